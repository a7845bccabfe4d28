//! Text that is compared has one form, what others are shown can be seen, and a value that says nothing is no answer.

use jiff::SignedDuration;
use serde_json::json;

use crate::support::app::{Answer, TestApp, new_id};
use crate::support::journal::{grant, reflection, with};
use crate::support::people::registration;

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
    for range in [
        format!("from={now}&to={now}"),
        format!("from={now}&to={}", now - second),
        format!("to={}", now - SignedDuration::from_hours(48)),
    ] {
        for (reader, path) in [(&ann, ann.my("/prompts")), (&thea, ann.of_theirs("/prompts"))] {
            assert_eq!(refused(reader.get(&format!("{path}?{range}")).send().await), "to", "{range}");
        }
    }
    // Without an end, the list goes on from its beginning.
    let later = now + SignedDuration::from_hours(24 * 30);
    ann.get(&ann.my(&format!("/prompts?from={later}"))).send().await.ok();
}
