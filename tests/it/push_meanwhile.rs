//! What phones push of things that have changed meanwhile.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::journal::{reflection, two};
use crate::support::phone::{is, mutation};

#[actix_web::test]
async fn a_patient_is_told_that_a_response_stays_a_draft_because_another_phone_took_a_needed_answer_away() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let id = ann
        .works(json!({
            "exercise_key": "music-relisten", "exercise_version": 1, "status": "draft",
            "occurred_at": "2026-03-10T18:30:00+01:00", "answers": { "track": "The lake", "seated": true },
        }))
        .await;
    let change = |more: Value| mutation(&ann, "exercise_response", &id, 1, more);
    is(&ann.pushes(&change(json!({ "answers": { "track": "The lake" } }))).await, "applied");
    let told = ann.pushes(&change(json!({ "header": { "status": "done" } }))).await;
    is(&told, "merged");
    assert_eq!(
        (&told["item"]["header"]["status"], &told["warnings"][0]["pointer"]),
        (&json!("draft"), &json!("/header"))
    );
}

#[actix_web::test]
async fn a_phone_that_asks_again_hears_of_the_deletion_that_it_was_told_of_though_the_entry_is_back() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let id = ann.writes(reflection("Lake")).await;
    is(&ann.pushes(&mutation(&ann, "entry", &id, 1, json!({ "op": "delete" }))).await, "applied");
    let tags = mutation(&ann, "entry", &id, 1, json!({ "tags": ["late"] }));
    let told = ann.pushes(&tags).await;
    assert_eq!((&told["status"], &told["item"]["deleted"]), (&json!("merged"), &json!(true)));
    is(&ann.pushes(&mutation(&ann, "entry", &id, 2, json!({ "op": "undelete" }))).await, "applied");
    let again = ann.pushes(&tags).await;
    assert_eq!((&again["status"], &again["item"]), (&json!("replayed"), &told["item"]), "both answers are equal");
}
