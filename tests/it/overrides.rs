//! What a therapist changes in the protocol for one patient.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::journal::two;
use crate::support::people::Person;

async fn of(ann: &Person, key: &str) -> Option<Value> {
    ann.prompts().await.into_iter().find(|prompt| prompt["rule_key"] == key)
}

#[actix_web::test]
async fn rule_a_therapist_leaves_out_or_moves_what_is_not_for_safety_and_the_plan_follows() {
    let app = TestApp::start_on_fixture().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - SignedDuration::from_hours(1)).await;
    let (hers, mine) = (ann.of_theirs("/overrides"), ann.my("/overrides"));
    let at_first = theo.get(&hers).send().await.ok();
    assert!(at_first.items().is_empty());
    assert_eq!(at_first.body["etag"], json!(at_first.etag()));
    let people = of(&ann, "d6.people").await.unwrap();
    assert_eq!(of(&ann, "d5.parts").await.unwrap()["state"], "planned");

    let items = json!([{ "rule_key": "d5.parts", "left_out": true }, { "rule_key": "d6.people", "window": "evening" }]);
    let change = || theo.put(&hers, json!({ "items": items }));
    change().send().await.expect(428).refused("precondition_required");
    let changed = change().if_match(&at_first.etag()).send().await.ok();
    let told = json!({ "etag": changed.etag(), "items": [
        { "rule_key": "d5.parts", "left_out": true },
        { "rule_key": "d6.people", "left_out": false, "window": "evening" },
    ] });
    assert_eq!(changed.body, told);
    let seen = ann.get(&mine).send().await.ok();
    assert_eq!((&seen.body, seen.etag()), (&told, changed.etag()), "the patient sees it too");
    assert_eq!(change().send().await.ok().body, told, "twice is once");

    let gone = of(&ann, "d5.parts").await.unwrap();
    assert_eq!((&gone["state"], &gone["detail"]["cause"]), (&json!("cancelled"), &json!("left_out")));
    let moved = of(&ann, "d6.people").await.unwrap();
    assert_eq!(moved["id"], people["id"]);
    assert!(moved["detail"]["local_time"].as_str().unwrap() >= "18:00:00", "{moved}");

    // What is for safety stays, and whoever is late is told so.
    for (item, pointer) in [
        (json!({ "rule_key": "d1.check", "left_out": true }), "/items/0/rule_key"),
        (json!({ "rule_key": "d7.measures", "left_out": true }), "/items/0/rule_key"),
        (json!({ "rule_key": "d5.party", "left_out": true }), "/items/0/rule_key"),
        (json!({ "rule_key": "d5.parts" }), "/items/0"),
        (json!({ "rule_key": "d5.parts", "left_out": true, "window": "evening" }), "/items/0"),
        (json!({ "rule_key": "d5.parts", "window": "night" }), "/items/0/window"),
        (json!({ "rule_key": "d0.fragments", "window": "morning" }), "/items/0/window"),
    ] {
        let refused = theo.put(&hers, json!({ "items": [item] })).if_match(&changed.etag()).send().await.expect(422);
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{item}");
    }
    let twice = json!([{ "rule_key": "d5.parts", "left_out": true }, { "rule_key": "d5.parts", "window": "evening" }]);
    theo.put(&hers, json!({ "items": twice })).if_match(&changed.etag()).send().await.expect(422);
    theo.put(&hers, json!({ "items": [] })).if_match(&at_first.etag()).send().await.expect(412).refused("stale");
    ann.put(&mine, json!({ "items": [] })).if_match(&changed.etag()).send().await.expect(403);
    assert_eq!(ann.get(&mine).send().await.ok().body, told);

    // Taken back, everything is where it was, under the same ids.
    theo.put(&hers, json!({ "items": [] })).if_match(&changed.etag()).send().await.ok();
    assert_eq!(of(&ann, "d5.parts").await.unwrap()["state"], "planned");
    assert_eq!(of(&ann, "d6.people").await.unwrap()["detail"]["due_at"], people["detail"]["due_at"]);
    // Her settings are hers: that they are changed does not show in what a therapist sees.
    let before = theo.get(&hers).send().await.ok().etag();
    ann.sets(json!({ "quiet_hours": { "from": "20:00", "to": "09:00" } })).await.ok();
    assert_eq!(theo.get(&hers).send().await.ok().etag(), before);
}
