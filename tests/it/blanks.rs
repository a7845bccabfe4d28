//! A field that was left blank says nothing, and costs nothing of what stands beside it.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_id};
use crate::support::journal::{reflection, two, with};
use crate::support::phone::{is, mutation};
use crate::support::world::planned_for;

/// What forms send of a field that was left blank.
const BLANK: [&str; 2] = ["", " \n"];

#[actix_web::test]
async fn rule_a_blank_title_costs_the_patient_no_words() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let words = json!({ "body": "It was quiet." });
    for title in BLANK {
        let text = with(words.clone(), json!({ "title": title }));
        let written = with(reflection("Lake"), json!({ "text": text }));
        let put = ann.put_entry(&new_id(&app), written).send().await.created();
        assert_eq!(put.body["text"], words, "{title:?}");
        // Her phone was offline.
        let id = new_id(&app);
        let header = json!({ "kind": "reflection", "occurred_at": "2026-03-10T08:30:00+01:00" });
        ann.pushes(&mutation(&ann, "entry", &id, 0, json!({ "header": header, "text": text }))).await;
        assert_eq!(ann.entry(&id).await.ok().body["text"], words, "{title:?}");
    }
}

#[actix_web::test]
async fn rule_a_prompt_is_skipped_with_a_blank_reason_as_without_one() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now()).await;
    let planned = ann.prompts().await.into_iter().filter(|prompt| prompt["state"] == "planned");
    let ids: Vec<String> = planned.map(|prompt| prompt["id"].as_str().unwrap().to_owned()).collect();
    for (reason, ids) in BLANK.into_iter().zip(ids.chunks(2)) {
        let [online, offline] = ids else { panic!("two prompts for each") };
        ann.post(&ann.my(&format!("/prompts/{online}/skip")), json!({ "reason": reason })).send().await.ok();
        let skip = mutation(&ann, "prompt", offline, 0, json!({ "op": "skip", "reason": reason }));
        is(&ann.pushes(&skip).await, "applied");
    }
    let all = ann.prompts().await;
    let skipped: Vec<&Value> = all.iter().filter(|prompt| prompt["state"] == "skipped").collect();
    assert_eq!(skipped.len(), 2 * BLANK.len());
    assert!(skipped.iter().all(|prompt| prompt["detail"]["cause"].is_null()), "{skipped:?}");
}

#[actix_web::test]
async fn rule_an_infusion_has_no_note_where_the_clinic_left_it_blank() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    for (blank, hours) in BLANK.into_iter().zip([24, 72]) {
        let path = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
        let start = app.now().checked_add(SignedDuration::from_hours(hours)).unwrap();
        let blanks = json!({ "setting": blank, "note": blank, "cancel_reason": blank });
        let made = theo.put(&path, with(planned_for(start), blanks)).send().await.created();
        for name in ["setting", "note", "cancel_reason"] {
            assert!(made.body[name].is_null(), "{name} {blank:?}: {}", made.body);
        }
        let noted = theo.patch(&path, json!({ "note": "Calm." })).if_match(&made.etag()).send().await.ok();
        let cleared = theo.patch(&path, json!({ "note": blank })).if_match(&noted.etag()).send().await.ok();
        assert_eq!((&noted.body["note"], &cleared.body["note"]), (&json!("Calm."), &Value::Null), "{blank:?}");
    }
}
