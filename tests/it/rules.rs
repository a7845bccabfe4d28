//! The exact rules, each as a sentence over HTTP. Rules of writing, sharing, joining and delivery have their tests in
//! the files of those names; what is decided by arithmetic alone is tested where it is computed.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::json;

use crate::support::app::{Answer, TestApp, new_id};
use crate::support::journal::{reflection, two, with};
use crate::support::people::{Clinic, Person, completed};

fn hours(n: i64) -> SignedDuration {
    SignedDuration::from_hours(n)
}

fn after(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap()
}

fn pointers(answer: &Answer) -> Vec<String> {
    let errors = answer.body["errors"].as_array().unwrap();
    errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
}

async fn phase(patient: &Person, at: Timestamp) -> String {
    patient.get(&patient.my(&format!("/window?at={at}"))).send().await.ok().text("/phase")
}

#[actix_web::test]
async fn rule_an_infusion_that_ends_in_the_future_before_its_start_or_after_twelve_hours_is_refused() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let record = async |from: SignedDuration, to: SignedDuration| {
        let body = json!({ "status": "completed", "route": "im", "started_at": after(app.now(), from).to_string(),
            "ended_at": after(app.now(), to).to_string() });
        theo.put(&ann.of_theirs(&format!("/infusions/{}", new_id(&app))), body).send().await
    };
    let minutes = SignedDuration::from_mins;
    for (from, to) in [(-40, 6), (-40, -40), (-40, -41), (-721, 0)] {
        let refused = record(minutes(from), minutes(to)).await.expect(422).refused("invalid");
        assert_eq!(pointers(&refused), ["/ended_at"], "{from} to {to}");
    }
    assert_eq!(ann.get(&ann.my("/infusions")).send().await.ok().body["items"], json!([]), "nothing was kept");
    record(minutes(-40), minutes(5)).await.created();
    record(hours(-72), hours(-60)).await.created();
}

#[actix_web::test]
async fn rule_a_written_word_with_an_odd_time_is_accepted_and_flagged() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    for (occurred, odd) in
        [("2031-01-01T00:00:00Z", true), ("1999-01-01T00:00:00Z", true), ("2026-03-10T07:59:00Z", false)]
    {
        let id = ann.writes(with(reflection("Lake"), json!({ "occurred_at": occurred }))).await;
        assert_eq!(ann.entry(&id).await.ok().body["clock_suspect"], json!(odd), "{occurred}");
    }
}

#[actix_web::test]
async fn rule_during_an_infusion_the_phase_is_in_session_and_before_any_none() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    assert_eq!(phase(&ann, app.now()).await, "none");
    theo.records(&ann, app.now()).await;
    let end = app.now();
    assert_eq!(phase(&ann, after(end, SignedDuration::from_mins(-20))).await, "in_session");
    assert_eq!(phase(&ann, after(end, SignedDuration::from_mins(-41))).await, "none");
    assert_eq!(phase(&ann, end).await, "acute");
}

#[actix_web::test]
async fn rule_preparation_is_an_overlay_and_no_phase() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now()).await;
    let next =
        json!({ "status": "planned", "route": "im", "planned_start": after(app.now(), hours(24 * 6)).to_string() });
    theo.put(&ann.of_theirs(&format!("/infusions/{}", new_id(&app))), next).send().await.created();
    let shortly_before = after(app.now(), hours(24 * 5 + 12));
    let window = ann.get(&ann.my(&format!("/window?at={shortly_before}"))).send().await.ok();
    assert_eq!(window.text("/overlay"), "prep");
    assert_ne!(window.text("/phase"), "prep");
}

#[actix_web::test]
async fn rule_the_horizon_of_504_hours_is_inclusive_and_counts_from_the_end() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now()).await;
    let index = async |at: Timestamp| {
        let path = ann.of_theirs(&format!("/window/clinical?at={at}"));
        theo.get(&path).send().await.ok().body["index"].as_f64().unwrap()
    };
    let horizon = after(app.now(), hours(504));
    assert!(index(horizon).await > 0.0);
    assert_eq!(index(after(horizon, SignedDuration::from_secs(1))).await, 0.0);
}

#[actix_web::test]
async fn rule_numbers_are_for_staff_and_no_word_of_the_owner_invites_counting_down() {
    let clinic = Clinic::open().await;
    clinic.nurse.records(&clinic.ann, clinic.app.now()).await;
    let own = clinic.ann.get("/v1/patients/me/window").send().await.ok();
    let mut fields: Vec<&str> = own.body.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["day", "disclaimer", "label", "phase", "phases", "sentence"]);
    for phase in own.body["phases"].as_array().unwrap() {
        let mut keys: Vec<&str> = phase.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["days", "key", "label"]);
    }
    let words = String::from_utf8(own.bytes.clone()).unwrap();
    assert!(!words.contains("2026-") && !words.contains("\"index\"") && !words.contains("\"curve\""), "{words}");
    clinic.ann.get("/v1/patients/me/window/clinical").send().await.expect(403);
    for staff in [&clinic.therapist, &clinic.nurse] {
        let view = staff.get(&clinic.ann.of_theirs("/window/clinical")).send().await.ok();
        assert!(view.body["index"].is_number() && view.body["curve"].is_array());
        assert!(staff.get(&clinic.ann.of_theirs("/window")).send().await.ok().body.get("index").is_none());
    }
}

#[actix_web::test]
async fn rule_a_body_time_carries_an_offset_and_without_a_zone_the_history_answers() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let bare = with(reflection("Lake"), json!({ "occurred_at": "2026-03-10T08:30:00" }));
    let refused = ann.put_entry(&new_id(&app), bare).send().await.expect(422);
    assert_eq!(pointers(&refused), ["/occurred_at"]);
    let bare = json!({ "status": "completed", "route": "im", "started_at": "2026-03-10T07:00:00", "ended_at": "2026-03-10T07:40:00" });
    let refused = theo.put(&ann.of_theirs(&format!("/infusions/{}", new_id(&app))), bare).send().await.expect(422);
    assert_eq!(pointers(&refused), ["/started_at", "/ended_at"]);

    // The patient lives in Berlin and moves to Tokyo at 08:02Z; the entries say neither.
    app.wait(SignedDuration::from_mins(5));
    let flown = json!({ "time_zone": "Asia/Tokyo", "effective_at": "2026-03-10T08:02:00Z" });
    ann.sets(flown).await.ok();
    for (occurred, date) in [("2026-03-09T22:30:00Z", "2026-03-09"), ("2026-03-10T05:30:00-10:00", "2026-03-11")] {
        let body = json!({ "kind": "note", "occurred_at": occurred, "text": { "body": "Over the sea." } });
        let id = ann.writes(body).await;
        let kept = ann.entry(&id).await.ok();
        assert_eq!(kept.text("/local_date"), date);
        assert_eq!(kept.text("/occurred_at").parse::<Timestamp>().unwrap(), occurred.parse::<Timestamp>().unwrap());
        assert!(kept.body.get("zone").is_none());
    }
    let said = with(reflection("Lake"), json!({ "occurred_at": "2026-03-09T22:30:00Z", "zone": "Pacific/Chatham" }));
    let kept = ann.entry(&ann.writes(said).await).await.ok();
    assert_eq!((kept.text("/zone"), kept.text("/local_date")), ("Pacific/Chatham".to_owned(), "2026-03-10".to_owned()));
}

#[actix_web::test]
async fn rule_correcting_an_infusion_changes_contexts_and_not_entries() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let infusion = theo.records(&ann, after(app.now(), hours(-30))).await;
    let entry = ann.writes(with(reflection("Lake"), json!({ "occurred_at": app.now().to_string() }))).await;
    let before = ann.entry(&entry).await.ok();
    let path = ann.of_theirs(&format!("/infusions/{infusion}"));
    let tag = theo.get(&path).send().await.ok().etag();
    let corrected = completed(after(app.now(), hours(-3)));
    theo.put(&path, corrected).if_match(&tag).send().await.ok();
    let now = ann.entry(&entry).await.ok();
    assert_ne!(now.body["context"], before.body["context"]);
    assert_eq!(
        (now.etag(), &now.body["version"], &now.body["updated_at"]),
        (before.etag(), &before.body["version"], &before.body["updated_at"])
    );
}

#[actix_web::test]
async fn rule_the_body_and_the_query_are_judged_after_the_door() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    let infusion = theo.records(&ann, app.now()).await;
    let entry = ann.writes(reflection("Lake")).await;
    let wrong = json!({ "colour": 1 });
    for (method, rest) in [
        (Method::GET, "/window?at=yesterday".to_owned()),
        (Method::GET, "/window?colour=red".to_owned()),
        (Method::GET, "/prompts?from=yesterday".to_owned()),
        (Method::GET, "/prompts?limit=0".to_owned()),
        (Method::GET, "/prompts?cursor=x".to_owned()),
        (Method::GET, "/entries?kind=poem".to_owned()),
        (Method::GET, "/grants?limit=0".to_owned()),
        (Method::GET, format!("/entries/{entry}/comments?limit=0")),
        (Method::POST, "/entries/search".to_owned()),
        (Method::POST, "/integrity".to_owned()),
        (Method::PUT, format!("/entries/{entry}")),
        (Method::PATCH, format!("/entries/{entry}")),
        (Method::PUT, format!("/grants/{}", new_id(&app))),
        (Method::PUT, format!("/pauses/{}", new_id(&app))),
        (Method::PUT, format!("/infusions/{infusion}")),
        (Method::PATCH, format!("/infusions/{infusion}")),
        (Method::POST, format!("/infusions/{infusion}/end")),
        (Method::PUT, format!("/entries/{entry}/comments/{}", new_id(&app))),
        (Method::POST, format!("/prompts/{infusion}/snooze")),
    ] {
        let call = ben.request(method.clone(), &ann.of_theirs(&rest));
        let call = if method == Method::GET { call } else { call.json(wrong.clone()) };
        let answer = call.if_match("\"v9\"").send().await;
        assert!([403, 404].contains(&answer.status.as_u16()), "{method} {rest}: {}", answer.status);
        let nobody = ben.request(method.clone(), &format!("/v1/patients/{}{rest}", new_id(&app)));
        let nobody = if method == Method::GET { nobody } else { nobody.json(wrong.clone()) };
        assert_eq!(nobody.send().await.status, answer.status, "{method} {rest}: there or not, the same");
        let call = app.request(method.clone(), &ann.of_theirs(&rest));
        let call = if method == Method::GET { call } else { call.json(wrong.clone()) };
        call.send().await.expect(401);
    }
}

#[actix_web::test]
async fn rule_a_replay_comes_before_preconditions_and_before_the_body() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let path = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
    let put = || theo.put(&path, completed(app.now())).key("k");
    let first = put().send().await.created();
    let tag = first.etag();
    theo.patch(&path, json!({ "note": "later" })).if_match(&tag).send().await.ok();
    let replayed = put().if_match("\"v77\"").send().await.created();
    assert_eq!(replayed.body["note"], "later", "rendered again, as it is now");
    theo.put(&path, json!({ "colour": 1 })).key("k").send().await.expect(422).refused("idempotency_key_reused");
}

#[actix_web::test]
async fn rule_a_merge_patch_may_be_called_json_and_null_clears_and_arrays_replace() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(with(reflection("Lake"), json!({ "tags": ["a", "b"] }))).await;
    let infusion = theo.records(&ann, app.now()).await;
    let targets = [
        (&ann, ann.my(&format!("/entries/{entry}")), r#"{"tags":["c"],"mood":null}"#, "/tags", json!(["c"])),
        (
            &theo,
            ann.of_theirs(&format!("/infusions/{infusion}")),
            r#"{"setting":null,"dose_mg":20}"#,
            "/dose_mg",
            json!(20.0),
        ),
        (&ann, "/v1/me".to_owned(), r#"{"country":"AT","locale":"de-AT"}"#, "/country", json!("AT")),
    ];
    for (who, path, body, pointer, value) in targets {
        for media in ["application/merge-patch+json", "application/json"] {
            let tag = who.get(&path).send().await.ok().etag();
            let changed = who.request(Method::PATCH, &path).bytes(media, body).if_match(&tag).send().await.ok();
            assert_eq!(changed.body.pointer(pointer), Some(&value), "{path} {media}");
            assert!(changed.body.get("mood").is_none() && changed.body.get("setting").is_none());
        }
        let refused = who.request(Method::PATCH, &path).bytes("text/plain", body).send().await;
        refused.expect(415).refused("unsupported_media_type");
        let refused = who.request(Method::PATCH, &path).bytes("application/json-patch+json", body).send().await;
        refused.expect(415);
    }
    let cleared = ann.sets(json!({ "country": null })).await.ok();
    assert!(cleared.body.get("country").is_none());
}

#[actix_web::test]
async fn rule_lenient_turns_unknown_fields_into_warnings() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    let grant =
        json!({ "target": { "type": "entry", "id": entry }, "sections": ["text"], "reader": { "type": "care_team" } });
    let requests = [
        (&ann, Method::PUT, ann.my(&format!("/entries/{}", new_id(&app))), reflection("Lake")),
        (&ann, Method::PATCH, "/v1/me".to_owned(), json!({ "locale": "de" })),
        (&ann, Method::PUT, ann.my(&format!("/pauses/{}", new_id(&app))), json!({ "until": "2026-03-12T00:00:00Z" })),
        (&ann, Method::PUT, ann.my(&format!("/grants/{}", new_id(&app))), grant),
        (&theo, Method::PUT, ann.of_theirs(&format!("/infusions/{}", new_id(&app))), completed(app.now())),
    ];
    let mut silent = Vec::new();
    for (who, method, path, body) in requests {
        let body = with(body, json!({ "colour": "red" }));
        let strict = who.request(method.clone(), &path).json(body.clone()).if_match("\"v1\"").send().await;
        assert_eq!(pointers(&strict.expect(422)), ["/colour"], "{path}");
        let lenient = who.request(method.clone(), &path).json(body).header("prefer", "handling=lenient");
        let lenient = if method == Method::PATCH { lenient.if_match("\"v1\"") } else { lenient };
        let lenient = lenient.send().await;
        assert!(lenient.status.is_success(), "{path}: {}", lenient.body);
        if lenient.body["warnings"][0]["pointer"] != "/colour" {
            silent.push(path);
        }
    }
    assert!(silent.is_empty(), "ignored without a warning: {silent:?}");
}

#[actix_web::test]
async fn rule_no_words_in_addresses_search_is_a_post() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    ann.writes(reflection("Lake")).await;
    ann.get(&ann.my("/entries?words=lake")).send().await.expect(422);
    assert!(
        [404, 405].contains(&ann.get(&ann.my("/entries/search")).send().await.status.as_u16()) || {
            // `search` may be read as an id: then it is no UUID.
            ann.get(&ann.my("/entries/search")).send().await.status == 422
        }
    );
    let found = ann.post(&ann.my("/entries/search"), json!({ "words": "lake" })).send().await.ok();
    assert_eq!(found.items().len(), 1);
    assert!(found.headers.get("link").is_none_or(|link| !link.contains("lake")));
}

#[actix_web::test]
async fn rule_put_create_again_is_200_and_delete_twice_is_204() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    let grant =
        json!({ "target": { "type": "entry", "id": entry }, "sections": ["text"], "reader": { "type": "care_team" } });
    let things = [
        (&ann, ann.my(&format!("/entries/{}", new_id(&app))), reflection("Lake"), true),
        (&ann, ann.my(&format!("/grants/{}", new_id(&app))), grant, true),
        (
            &ann,
            ann.my(&format!("/pauses/{}", new_id(&app))),
            json!({ "from": "2026-03-10T09:00:00Z", "until": "2026-03-12T00:00:00Z" }),
            true,
        ),
        (&theo, ann.of_theirs(&format!("/infusions/{}", new_id(&app))), completed(app.now()), false),
    ];
    for (who, path, body, ends) in things {
        let made = who.put(&path, body.clone()).send().await.created();
        assert!(made.headers["location"].ends_with(path.rsplit('/').next().unwrap()));
        app.wait(SignedDuration::from_secs(1));
        assert_eq!(who.put(&path, body.clone()).send().await.ok().body, made.body, "{path}");
        if ends {
            who.delete(&path).send().await.no_content();
            who.delete(&path).send().await.no_content();
            who.put(&path, body).send().await.expect(410).refused("deleted");
        }
    }
    let made = theo.post("/v1/invitations", json!({ "kind": "patient" })).send().await.created().id();
    theo.delete(&format!("/v1/invitations/{made}")).send().await.no_content();
    theo.delete(&format!("/v1/invitations/{made}")).send().await.no_content();
}

#[actix_web::test]
async fn rule_a_patient_is_me_or_a_uuid() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    ann.get("/v1/patients/me/entries").send().await.ok();
    ann.get(&ann.of_theirs("/entries")).send().await.ok();
    for odd in ["ME", "mine", "self", "0", "019cd6c2-8c00-7715-a98e", "%00"] {
        let answer = ann.get(&format!("/v1/patients/{odd}/entries")).send().await;
        assert!([404, 422].contains(&answer.status.as_u16()), "{odd}: {}", answer.status);
    }
    theo.get("/v1/patients/me/entries").send().await.expect(403);
}

#[actix_web::test]
async fn rule_a_nurse_sees_infusions_and_no_journal_and_an_admin_neither() {
    let clinic = Clinic::open().await;
    let (ann, nurse) = (&clinic.ann, &clinic.nurse);
    let infusion = nurse.records(ann, clinic.app.now()).await;
    let entry = ann.writes(reflection("Lake")).await;
    let team =
        json!({ "target": { "type": "entry", "id": entry }, "sections": ["text"], "reader": { "type": "care_team" } });
    ann.put_grant(&new_id(&clinic.app), team).send().await.created();
    clinic.therapist.get(&ann.of_theirs(&format!("/entries/{entry}"))).send().await.ok();
    for open in ["/infusions".to_owned(), format!("/infusions/{infusion}"), "/window".to_owned()] {
        nurse.get(&ann.of_theirs(&open)).send().await.ok();
        clinic.admin.get(&ann.of_theirs(&open)).send().await.not_found();
    }
    for closed in [
        "/entries".to_owned(),
        format!("/entries/{entry}"),
        format!("/entries/{entry}/comments"),
        format!("/entries/{entry}/revisions"),
        "/grants".to_owned(),
        "/prompts".to_owned(),
        "/pauses".to_owned(),
        "/access-log".to_owned(),
    ] {
        for staff in [nurse, &clinic.admin] {
            let status = staff.get(&ann.of_theirs(&closed)).send().await.status.as_u16();
            assert!([403, 404].contains(&status), "{} {closed}: {status}", staff.name);
        }
    }
    clinic
        .admin
        .put(&ann.of_theirs(&format!("/infusions/{}", new_id(&clinic.app))), completed(clinic.app.now()))
        .send()
        .await
        .not_found();
    // Not for want of trying: an admin may give themself capabilities, and still needs the patient for a link.
    assert!(ann.care_links().await.iter().all(|link| link["name"] != json!(clinic.admin.name)));
}

#[actix_web::test]
async fn rule_a_clinic_is_made_by_the_operator_only() {
    let clinic = Clinic::open().await;
    let body = json!({ "code": "0000-0000-0000-0000", "clinic_name": "Another", "name": "Eve", "email": "eve@example.org", "passphrase": "a quiet river at dawn" });
    clinic.app.post("/v1/setup", body.clone()).send().await.expect(409).refused("setup_done");
    for person in [&clinic.admin, &clinic.therapist, &clinic.ann] {
        let answer = person.post("/v1/clinics", body.clone()).send().await;
        assert!([404, 405].contains(&answer.status.as_u16()));
    }
}
