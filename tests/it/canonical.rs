//! Text that is compared has one form, what others are shown can be seen, and a value that says nothing is no answer.

use jiff::SignedDuration;
use serde_json::json;

use crate::support::app::{Answer, TestApp, new_id};
use crate::support::journal::{grant, reflection, with};
use crate::support::people::{Clinic, registration};

#[track_caller]
fn places(answer: &Answer) -> Vec<&str> {
    let faults = answer.body["errors"].as_array().unwrap().iter();
    faults.map(|fault| fault["pointer"].as_str().or(fault["name"].as_str()).unwrap_or("?")).collect()
}

#[actix_web::test]
async fn rule_a_value_that_says_nothing_is_no_answer() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let thea = app.staff(&admin, "Thea Brandt", &["care"]).await;
    let ann = app.patient(&thea, "Ann Walker").await;
    let code = thea.code_for_patient().await;
    let cases = [
        ("time_zone", json!("Etc/Unknown")),
        ("time_zone", json!("factory")),
        ("time_zone", json!("localtime")),
        ("locale", json!("und")),
        ("locale", json!("zxx")),
        ("country", json!("ZZ")),
        ("country", json!("xx")),
    ];
    for (name, value) in cases {
        let mut body = registration("Dana", &code);
        body[name] = value.clone();
        let pointer = format!("/{name}");
        let refused = app.post("/v1/auth/register", body).send().await.expect(422);
        assert_eq!(places(&refused), [pointer.as_str()], "{name} {value}");
        let me = ann.get("/v1/me").send().await.ok();
        let change = json!({ name: value });
        let refused = ann.patch("/v1/me", change).if_match(&me.etag()).send().await.expect(422);
        assert_eq!(places(&refused), [pointer.as_str()], "{name} {value}");
        assert_eq!(ann.get("/v1/me").send().await.ok().body, me.body, "nothing changed");
    }
    let entry = with(reflection("Lake"), json!({ "zone": "Etc/Unknown" }));
    assert_eq!(places(&ann.put_entry(&new_id(&app), entry).send().await.expect(422)), ["/zone"]);
    let me = ann.get("/v1/me").send().await.ok();
    for (from, to) in [("21:00", "21:00"), ("00:00", "00:00"), ("21:00", "20:00")] {
        let change = json!({ "quiet_hours": { "from": from, "to": to } });
        let refused = ann.patch("/v1/me", change).if_match(&me.etag()).send().await.expect(422);
        assert_eq!(places(&refused), ["/quiet_hours"], "{from} to {to}");
        assert_eq!(ann.get("/v1/me").send().await.ok().body, me.body, "nothing changed");
    }
}

#[actix_web::test]
async fn rule_a_period_that_is_empty_is_refused() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let thea = app.staff(&admin, "Thea Brandt", &["care"]).await;
    let ann = app.patient(&thea, "Ann Walker").await;
    let refused = |answer: Answer| places(&answer.expect(422)).join(" ");
    let (now, second) = (app.now(), SignedDuration::from_secs(1));
    for until in [now, now - second] {
        let pause = json!({ "from": now.to_string(), "until": until.to_string() });
        assert_eq!(refused(ann.put(&ann.my(&format!("/pauses/{}", new_id(&app))), pause).send().await), "/until");
    }
    let entry = ann.writes(reflection("Lake")).await;
    for until in [now, now - second] {
        let body = with(grant(&entry, &["text"], &thea), json!({ "expires_at": until.to_string() }));
        assert_eq!(refused(ann.put_grant(&new_id(&app), body).send().await), "/expires_at");
    }
    assert!(ann.get(&ann.my("/grants")).send().await.ok().items().is_empty());
    assert!(ann.get(&ann.my("/pauses")).send().await.ok().items().is_empty());
    assert_eq!(refused(ann.get(&ann.my("/entries?from=2026-03-10&to=2026-03-09")).send().await), "to");
    ann.get(&ann.my("/entries?from=2026-03-10&to=2026-03-10")).send().await.ok();
    let search = json!({ "words": "lake", "from": "2026-03-10", "to": "2026-03-09" });
    assert_eq!(refused(ann.post(&ann.my("/entries/search"), search).send().await), "/to");
    for range in ["from=2026-03-10&to=2026-03-09", "to=2026-03-08"] {
        for (reader, path) in [(&ann, ann.my("/prompts")), (&thea, ann.of_theirs("/prompts"))] {
            assert_eq!(refused(reader.get(&format!("{path}?{range}")).send().await), "to", "{range}");
        }
    }
    ann.get(&ann.my("/prompts?from=2026-03-10&to=2026-03-10")).send().await.ok();
    // Without an end, the list goes on from its beginning.
    ann.get(&ann.my("/prompts?from=2026-04-10")).send().await.ok();
}

#[actix_web::test]
async fn rule_a_person_gets_in_however_they_type() {
    let clinic = Clinic::open().await;
    let app = &clinic.app;
    let code = clinic.therapist.code_for_patient().await;
    let long: String = "für später im März ".chars().cycle().take(256).collect();
    let body = with(registration("Dana", &code), json!({ "email": "jörg@exämple.org", "passphrase": long }));
    app.post("/v1/auth/register", body).send().await.created();
    let decomposed = long.replace('ü', "u\u{308}").replace('ä', "a\u{308}");
    let spaced = long.replace(' ', "\u{3000}");
    for (email, passphrase, right) in [
        ("jörg@exämple.org", long.clone(), true),
        ("jo\u{308}rg@exa\u{308}mple.org", decomposed, true),
        ("JÖRG@XN--EXMPLE-CUA.ORG.", spaced, true),
        ("jorg@exämple.org", long.clone(), false),
        ("jörg@exämple.org", long.replace("für", "Für"), false),
        ("jörg@exämple.org", format!("{long}x"), false),
        ("jörg@exämple.org", format!("{long}{long}"), false),
    ] {
        let answer = app.post("/v1/auth/login", json!({ "email": email, "passphrase": passphrase })).send().await;
        assert_eq!(answer.status, if right { 200 } else { 401 }, "{email} {passphrase}: {}", answer.body);
    }
    // The same address is taken, however it is spelled.
    let code = clinic.therapist.code_for_patient().await;
    let again = with(registration("Eve", &code), json!({ "email": "Jo\u{308}rg@xn--exmple-cua.org." }));
    app.post("/v1/auth/register", again).send().await.refused("code_invalid");
    // An invitation that is bound to an address knows it too.
    let bound = json!({ "kind": "patient", "email": "zoë@exämple.org" });
    let code = clinic.therapist.post("/v1/invitations", bound).send().await.created().text("/code");
    let zoe = with(registration("Zoe", &code), json!({ "email": "ZOE\u{308}@xn--exmple-cua.org" }));
    app.post("/v1/auth/register", zoe).send().await.created();
}

#[actix_web::test]
async fn rule_words_and_tags_are_found_however_they_were_typed() {
    let clinic = Clinic::open().await;
    let ann = &clinic.ann;
    let (composed, decomposed) =
        ("Ein Spätsommer an der Über-Straße", "Ein Spa\u{308}tsommer an der U\u{308}ber-Straße");
    for (written, tag) in [(composed, "Glück"), (decomposed, "Glu\u{308}ck")] {
        let text = json!({ "title": "Lake", "body": written });
        let entry = with(reflection("Lake"), json!({ "text": text, "tags": [tag, "GLÜCK"] }));
        let kept = ann.put_entry(&new_id(&clinic.app), entry).send().await.created();
        assert_eq!(kept.body["text"]["body"], written, "what was written stays as it was typed");
    }
    for search in [
        json!({ "words": "spätsommer" }),
        json!({ "words": "SPA\u{308}TSOMMER u\u{308}ber" }),
        json!({ "words": "STRASSE" }),
        json!({ "words": "stra\u{1e9e}e" }),
        json!({ "words": "lake", "tag": "glück" }),
        json!({ "words": "lake", "tag": "GLU\u{308}CK" }),
    ] {
        let found = ann.post(&ann.my("/entries/search"), search.clone()).send().await.ok();
        assert_eq!(found.items().len(), 2, "{search}");
        for item in found.items() {
            assert_eq!(item["tags"], json!(["Glück"]), "one tag, whatever its spelling");
        }
    }
    let other = ann.post(&ann.my("/entries/search"), json!({ "words": "spatsommer" })).send().await.ok();
    assert!(other.items().is_empty());
}

/// Names that cannot be seen, or make what stands beside them look like something else.
const UNSEEN: [&str; 11] = [
    "Ann\nWalker",
    "Ann Walker\n",
    "Ann\u{7}Walker",
    "Ann\u{202e}reklaW",
    "Ann\u{2067}Walker",
    "Ann\u{2028}Walker",
    "Ann\u{200b}Walker",
    "\u{200d}",
    "\u{3164}",
    "\u{301}",
    " \u{a0} ",
];

#[actix_web::test]
async fn rule_what_others_are_shown_can_be_seen() {
    let clinic = Clinic::open().await;
    let (app, thea) = (&clinic.app, &clinic.therapist);
    let code = thea.code_for_patient().await;
    for name in UNSEEN {
        let body = with(registration("Dana", &code), json!({ "name": name }));
        assert_eq!(places(&app.post("/v1/auth/register", body).send().await.expect(422)), ["/name"], "{name:?}");
        let body = json!({ "kind": "patient", "name": name });
        assert_eq!(places(&thea.post("/v1/invitations", body).send().await.expect(422)), ["/name"], "{name:?}");
        let body = json!({ "code": "7K2M-9XQ4-T0VB-HS3D", "clinic_name": name, "name": name,
            "email": "ada@lakeside.example", "passphrase": "a quiet river at dawn" });
        let refused = app.post("/v1/setup", body).send().await.expect(422);
        assert_eq!(places(&refused), ["/clinic_name", "/name"], "{name:?}");
    }
    let body = with(registration("Dana", &code), json!({ "name": "Ann\u{202e}reklaW" }));
    let refused = app.post("/v1/auth/register", body).send().await.expect(422);
    assert!(refused.body["errors"][0]["detail"].as_str().unwrap().contains("U+202E"), "{}", refused.body);
    // What is shown is composed and has no spaces around it; joiners of letters and emoji stay.
    for (sent, shown) in
        [("  Zoe\u{308} ", "Zoë"), ("می\u{200c}نا", "می\u{200c}نا"), ("Ann ❤\u{fe0f}", "Ann ❤\u{fe0f}")]
    {
        let made = thea.post("/v1/invitations", json!({ "kind": "patient", "name": sent })).send().await.created();
        assert_eq!(made.body["name"], shown);
    }
    for email in
        ["Dana <dana@example.org>", "mailto:dana@example.org", "dana@example.org,eve@example.org", "da na@example.org"]
    {
        let body = with(registration("Dana", &code), json!({ "email": email }));
        assert_eq!(places(&app.post("/v1/auth/register", body).send().await.expect(422)), ["/email"], "{email}");
        let body = json!({ "kind": "patient", "email": email });
        assert_eq!(places(&thea.post("/v1/invitations", body).send().await.expect(422)), ["/email"], "{email}");
    }
}
