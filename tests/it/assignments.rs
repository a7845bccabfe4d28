//! What therapists ask for, what speaks against it, and what they learn.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{id_of, new_id};
use crate::support::people::{Clinic, Person};

/// A clinic with a therapist, and a patient of theirs.
async fn two() -> (Person, Person) {
    let Clinic { ann, therapist, .. } = Clinic::open().await;
    (ann, therapist)
}

/// How an exercise stands to a patient.
async fn offer(ann: &Person, key: &str) -> Value {
    let all = ann.get(&ann.my("/exercises")).send().await.ok().body;
    all["items"].as_array().unwrap().iter().find(|item| item["exercise"]["key"] == key).unwrap()["offer"].clone()
}

#[actix_web::test]
async fn an_assignment_is_seen_done_and_shared_or_not() {
    let Clinic { app, admin, ann, therapist: tess, .. } = Clinic::open().await;
    let uma = app.staff(&admin, "Uma Beck", &["care"]).await;
    ann.linked_to(&uma).await;
    let id = new_id(&ann.app);
    let at = format!("/assignments/{id}");
    let body = json!({ "exercise_key": "values-sort", "note": "Take your time with the cards.", "due_on": "2026-03-20", "request_share": true });
    let made = tess.put(&ann.of_theirs(&at), body.clone()).send().await.created();
    assert_eq!((made.text("/state"), made.text("/therapist_id")), ("assigned".to_owned(), tess.account.clone()));
    tess.put(&ann.of_theirs(&at), body.clone()).send().await.ok();
    assert_eq!(ann.get(&ann.my(&at)).send().await.ok().text("/note"), "Take your time with the cards.");
    uma.reads(&ann, &at).await.not_found();
    assert_eq!(uma.reads(&ann, "/assignments").await.ok().body["items"], json!([]));
    let now = ann.get(&ann.my("/exercises/suggested")).send().await.ok();
    assert_eq!(
        (now.text("/items/0/exercise/key"), now.text("/items/0/assignment_id")),
        ("values-sort".to_owned(), id.clone())
    );
    assert_eq!(now.text("/items/0/reasons/0/code"), "assignment");

    let work = json!({ "exercise_key": "values-sort", "exercise_version": 1, "occurred_at": "2026-03-10T22:30:00Z", "zone": "Europe/Berlin", "assignment_id": id, "answers": { "lived": 4 } });
    let response = ann.works(work).await;
    let seen = tess.reads(&ann, &at).await.ok();
    assert_eq!((seen.text("/state"), seen.text("/done_on")), ("done".to_owned(), "2026-03-10".to_owned()));
    assert!(seen.body.get("response_id").is_none(), "what was answered takes a grant");
    assert_ne!(seen.etag(), made.etag(), "whoever has an older copy is told");
    tess.reads(&ann, &format!("/exercise-responses/{response}")).await.not_found();
    ann.opens_response(&response, &["answers"], &tess).await;
    assert_eq!(tess.reads(&ann, &at).await.ok().text("/response_id"), response);
    let now = ann.get(&ann.my("/exercises/suggested?limit=22")).send().await.ok();
    assert!(!now.body.to_string().contains(&id), "what is done is not asked for again");
}

#[actix_web::test]
async fn a_therapist_changes_and_takes_back_what_is_theirs() {
    let Clinic { app, admin, ann, therapist: tess, .. } = Clinic::open().await;
    let uma = app.staff(&admin, "Uma Beck", &["care"]).await;
    ann.linked_to(&uma).await;
    let id = tess.assigns(&ann, "imagery-rescript").await;
    let at = ann.of_theirs(&format!("/assignments/{id}"));
    assert_eq!(offer(&ann, "imagery-rescript").await, "yes", "a therapist has opened it");
    let tag = tess.get(&at).send().await.ok().etag();
    uma.patch(&at, json!({ "status": "withdrawn" })).if_match(&tag).send().await.not_found();
    let refused = uma.put(&at, json!({ "exercise_key": "box-breath" })).send().await;
    assert_eq!(refused.status, 409, "the id is taken, by whom is not said");
    tess.patch(&at, json!({ "status": "gone", "due_on": "2020-01-01" })).if_match(&tag).send().await.refused("invalid");
    tess.put(&at, json!({ "exercise_key": "box-breath" })).if_match(&tag).send().await.refused("invalid");
    let back = tess.patch(&at, json!({ "status": "withdrawn", "note": null })).if_match(&tag).send().await.ok();
    assert_eq!((back.text("/state"), back.body.get("note")), ("withdrawn".to_owned(), None));
    assert_eq!(offer(&ann, "imagery-rescript").await, "with_therapist");
    assert_eq!(tess.patch(&at, json!({ "status": "assigned" })).if_match(&tag).send().await.status, 412);
    tess.patch(&at, json!({ "status": "assigned" })).if_match(&back.etag()).send().await.ok();
    assert_eq!(offer(&ann, "imagery-rescript").await, "yes");
}

#[actix_web::test]
async fn a_therapist_cannot_take_back_what_is_done_and_is_told_what_they_can_do() {
    let (ann, tess) = two().await;
    let id = tess.assigns(&ann, "values-sort").await;
    let work = json!({ "exercise_key": "values-sort", "exercise_version": 1, "occurred_at": "2026-03-10T22:30:00Z", "zone": "Europe/Berlin", "assignment_id": id, "answers": { "lived": 4 } });
    ann.works(work).await;
    let at = ann.of_theirs(&format!("/assignments/{id}"));
    let tag = tess.get(&at).send().await.ok().etag();
    let refused = tess.patch(&at, json!({ "status": "withdrawn" })).if_match(&tag).send().await;
    let refused = refused.expect(409).refused("state_conflict");
    assert_eq!((&refused.body["state"], &refused.body["allowed"]), (&json!("done"), &json!(["patch_assignment"])));
    let changed = tess.patch(&at, json!({ "note": "Thank you." })).if_match(&tag).send().await.ok();
    assert_eq!((changed.text("/state"), changed.text("/note")), ("done".to_owned(), "Thank you.".to_owned()));
}

#[actix_web::test]
async fn an_assignment_ends_with_its_link_and_stays_with_the_patient() {
    let (ann, tess) = two().await;
    let id = tess.assigns(&ann, "imagery-rescript").await;
    let link = id_of(&ann.care_links().await[0]);
    ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    tess.reads(&ann, &format!("/assignments/{id}")).await.not_found();
    let kept = ann.get(&ann.my(&format!("/assignments/{id}"))).send().await.ok();
    assert_eq!((kept.text("/state"), kept.text("/note")), ("ended".to_owned(), "When it suits you.".to_owned()));
    let all = ann.get(&ann.my("/exercises")).send().await.ok().body;
    let offer =
        all["items"].as_array().unwrap().iter().find(|item| item["exercise"]["key"] == "imagery-rescript").unwrap();
    assert_eq!(offer["offer"], "with_therapist", "what it opened is closed");
    // A new link starts empty.
    ann.linked_to(&tess).await;
    tess.reads(&ann, &format!("/assignments/{id}")).await.not_found();
    assert_eq!(tess.reads(&ann, "/assignments").await.ok().body["items"], json!([]));
}

#[actix_web::test]
async fn cautions_withhold_without_a_word_of_why() {
    let (ann, tess) = two().await;
    let cautions = ann.of_theirs("/cautions");
    let tag = tess.get(&cautions).send().await.ok().etag();
    ann.get(&ann.my("/cautions")).send().await.refused("forbidden");
    tess.put(&cautions, json!({ "flags": ["grief", "fear"] })).if_match(&tag).send().await.refused("invalid");
    assert_eq!(tess.put(&cautions, json!({ "flags": ["grief"] })).send().await.status, 428);
    tess.put(&cautions, json!({ "flags": ["grief", "acute_si"] })).if_match(&tag).send().await.ok();
    let all = ann.get(&ann.my("/exercises")).send().await.ok();
    let of = |key: &str| {
        let items = all.items();
        items.iter().find(|item| item["exercise"]["key"] == key).unwrap().clone()
    };
    assert_eq!(
        (&of("kind-letter")["offer"], &of("gratitude-specific")["offer"]),
        (&json!("not_now"), &json!("with_therapist"))
    );
    let said = all.body.to_string();
    for word in ["grief", "acute_si", "caution"] {
        assert!(!said.contains(word), "{word} is named");
    }
    // To begin is refused; what was worked on, perhaps without a network, is kept.
    let begin = json!({ "exercise_key": "kind-letter", "exercise_version": 1, "status": "draft", "occurred_at": ann.app.now().to_string() });
    let refused = ann.put(&ann.my(&format!("/exercise-responses/{}", new_id(&ann.app))), begin.clone()).send().await;
    assert_eq!((refused.status.as_u16(), refused.text("/code")), (409, "exercise_withheld".to_owned()));
    let mut words = begin;
    words["answers"] = json!({ "who": "My grandmother" });
    ann.works(words).await;
}

#[actix_web::test]
async fn what_becomes_of_a_response_that_is_not_open_is_not_to_be_seen_by_its_assignment() {
    let (ann, tess) = two().await;
    let id = tess.assigns(&ann, "values-sort").await;
    let at = format!("/assignments/{id}");
    let work = json!({ "exercise_key": "values-sort", "exercise_version": 1, "occurred_at": "2026-03-10T18:30:00+01:00", "assignment_id": id });
    let response = ann.works(work).await;
    let seen = tess.reads(&ann, &at).await.ok();
    assert_eq!(seen.text("/done_on"), "2026-03-10");
    ann.resumes(&response, json!({ "occurred_at": "2026-03-09T18:30:00+01:00" })).await;
    ann.resumes(&response, json!({ "assignment_id": null })).await;
    ann.delete(&ann.my(&format!("/exercise-responses/{response}"))).send().await.no_content();
    let after = tess.reads(&ann, &at).await.ok();
    assert_eq!((seen.body.clone(), seen.etag()), (after.body.clone(), after.etag()));
}

#[actix_web::test]
async fn whoever_has_an_older_copy_of_an_assignment_is_told_of_every_change_they_may_see() {
    let (ann, tess) = two().await;
    let id = tess.assigns(&ann, "values-sort").await;
    let at = ann.of_theirs(&format!("/assignments/{id}"));
    let has = async |tag: &str| tess.get(&at).header("if-none-match", tag).send().await;
    let made = tess.get(&at).send().await.ok().etag();
    assert_eq!(has(&made).await.status, 304);
    let work = json!({ "exercise_key": "values-sort", "exercise_version": 1, "occurred_at": "2026-03-10T18:30:00+01:00", "assignment_id": id });
    let response = ann.works(work).await;
    let done = has(&made).await.ok().etag();
    let grant = ann.opens_response(&response, &["answers"], &tess).await;
    let open = has(&done).await.ok();
    assert_eq!(open.text("/response_id"), response);
    ann.revokes(&grant).await;
    assert!(has(&open.etag()).await.ok().body.get("response_id").is_none());
    let own = ann.my(&format!("/assignments/{id}"));
    let kept = ann.get(&own).send().await.ok().etag();
    assert_eq!(ann.get(&own).header("if-none-match", kept).send().await.status, 304);
}

#[actix_web::test]
async fn what_a_therapist_said_may_be_said_again_when_its_day_has_passed() {
    let (ann, tess) = two().await;
    let at = ann.of_theirs(&format!("/assignments/{}", new_id(&ann.app)));
    let made = json!({ "exercise_key": "values-sort", "due_on": "2026-03-12" });
    let tag = tess.put(&at, made.clone()).send().await.created().etag();
    let sooner = json!({ "exercise_key": "values-sort", "due_on": "2026-03-11" });
    tess.put(&at, sooner.clone()).if_match(&tag).send().await.ok();
    ann.app.wait(SignedDuration::from_hours(24 * 10));
    tess.put(&at, made).send().await.ok();
    tess.put(&at, sooner).send().await.ok();
    let now = tess.patch(&at, json!({ "due_on": "2026-03-11" })).send().await.ok();
    let noted = json!({ "exercise_key": "values-sort", "due_on": "2026-03-11", "note": "No hurry." });
    tess.put(&at, noted).if_match(&now.etag()).send().await.ok();
    let tag = tess.get(&at).send().await.ok().etag();
    tess.patch(&at, json!({ "due_on": "2026-03-05" })).if_match(&tag).send().await.refused("invalid");
}

#[actix_web::test]
async fn a_response_does_the_assignment_that_asks_for_its_exercise() {
    let (ann, tess) = two().await;
    let id = tess.assigns(&ann, "values-sort").await;
    let other = json!({ "exercise_key": "box-breath", "exercise_version": 1, "occurred_at": "2026-03-10T18:30:00Z", "assignment_id": id });
    let path = ann.my(&format!("/exercise-responses/{}", new_id(&ann.app)));
    let refused = ann.put(&path, other).send().await.refused("invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "/assignment_id");
    assert_eq!(tess.reads(&ann, &format!("/assignments/{id}")).await.ok().text("/state"), "assigned");
}

#[actix_web::test]
async fn what_is_withheld_is_not_asked_and_comes_back_and_nothing_shows_that_something_was_said() {
    let (ann, tess) = two().await;
    tess.records(&ann, ann.app.now() - SignedDuration::from_hours(26)).await;
    let asked = async |key: &str| {
        let all = ann.prompts().await;
        all.iter().any(|prompt| prompt["rule_key"] == key && prompt["state"] == "planned")
    };
    assert!(asked("d6.people").await);
    let me = ann.get("/v1/me").send().await.ok();
    let cautions = ann.of_theirs("/cautions");
    let tag = tess.get(&cautions).send().await.ok().etag();
    assert!(!tag.contains("dv"), "headers are logged by others");
    let tag = tess.put(&cautions, json!({ "flags": ["dv"] })).if_match(&tag).send().await.ok().etag();
    assert!(!asked("d6.people").await, "in the same unit");
    let why = ann.get(&ann.my("/prompts?not_asked=true&limit=200")).send().await.ok();
    for word in ["dv", "caution", "unsafe", "withheld"] {
        assert!(!why.body.to_string().contains(&format!("\"{word}")), "{word}");
    }
    let after = ann.get("/v1/me").send().await.ok();
    assert_eq!((me.body.clone(), me.etag()), (after.body.clone(), after.etag()));
    tess.assigns(&ann, "repair-letter").await;
    assert!(asked("d6.people").await, "a therapist has opened it");
    tess.put(&cautions, json!({ "flags": [] })).if_match(&tag).send().await.ok();
    assert!(asked("d6.people").await);
}

#[actix_web::test]
async fn what_a_patient_has_put_off_is_not_asked_once_a_therapist_has_set_its_exercise_aside() {
    let (ann, tess) = two().await;
    tess.records(&ann, ann.app.now() - SignedDuration::from_hours(26)).await;
    let people = async || ann.prompts().await.into_iter().find(|prompt| prompt["rule_key"] == "d6.people").unwrap();
    let later = ann.my(&format!("/prompts/{}/snooze", people().await["id"].as_str().unwrap()));
    ann.post(&later, json!({ "until": "tomorrow" })).send().await.ok();
    assert_eq!(people().await["state"], "planned");
    let cautions = ann.of_theirs("/cautions");
    let tag = tess.get(&cautions).send().await.ok().etag();
    tess.put(&cautions, json!({ "flags": ["dv"] })).if_match(&tag).send().await.ok();
    let seen = people().await;
    assert_eq!((&seen["state"], seen["detail"].get("cause")), (&json!("cancelled"), None), "and no word of why");
}

#[actix_web::test]
async fn how_it_feels_at_the_beginning_is_kept_whatever_is_offered() {
    let (ann, tess) = two().await;
    tess.records(&ann, ann.app.now() - SignedDuration::from_mins(30)).await;
    assert_eq!(offer(&ann, "kind-letter").await, "not_now", "just landing");
    let begin = json!({ "exercise_key": "kind-letter", "exercise_version": 1, "status": "draft", "occurred_at": ann.app.now().to_string() });
    let path = ann.my(&format!("/exercise-responses/{}", new_id(&ann.app)));
    ann.put(&path, begin.clone()).send().await.expect(409).refused("exercise_withheld");
    let mut felt = begin;
    felt["distress"] = json!({ "before": 9 });
    ann.works(felt).await;
}

/// Ids are made by apps and follow no time: of two alike, the first that was given is the one that is offered.
#[actix_web::test]
async fn which_of_two_like_assignments_is_offered_does_not_hang_on_their_ids() {
    for ascending in [true, false] {
        let (ann, tess) = two().await;
        let mut ids = [new_id(&ann.app), new_id(&ann.app)];
        ids.sort_by(|one, other| if ascending { one.cmp(other) } else { other.cmp(one) });
        for id in &ids {
            let path = ann.of_theirs(&format!("/assignments/{id}"));
            tess.put(&path, json!({ "exercise_key": "values-sort" })).send().await.created();
            ann.app.wait(SignedDuration::from_secs(1));
        }
        let now = ann.get(&ann.my("/exercises/suggested")).send().await.ok();
        assert_eq!(now.text("/items/0/assignment_id"), ids[0], "ascending: {ascending}");
    }
}
