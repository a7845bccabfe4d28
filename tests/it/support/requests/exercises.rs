//! Requests about exercises, responses, assignments and cautions.

use serde_json::json;

use super::{Ask, Asker};
use crate::support::app::new_id;
use crate::support::exercises::work;

/// The request for `operation`, if it is one of these.
pub async fn ask(asker: &Asker<'_>, operation: &str) -> Option<Ask> {
    let world = asker.world;
    let (ann, granted, owner, n) = (world.ann(), world.person("granted"), asker.owner(), asker.n);
    let ask = match operation {
        "get_exercise_schema" => Ask::get("/schemas/exercise.json"),
        "list_exercises" => Ask::get("/v1/exercises"),
        "get_exercise" => Ask::get("/v1/exercises/values-sort"),
        "list_patient_exercises" => Ask::get(asker.of_ann("/exercises")),
        "suggest_exercises" => Ask::get(asker.of_ann("/exercises/suggested?minutes=20")),
        "list_exercise_responses" => Ask::get(asker.of_ann("/exercise-responses?limit=200")),
        "list_responses_as_reader" => {
            Ask::get(asker.of_ann(&format!("/view-as/{}/exercise-responses?limit=200", granted.account)))
        }
        "get_response_as_reader" => {
            let path = format!("/view-as/{}/exercise-responses/{}", granted.account, world.response);
            Ask::get(asker.of_ann(&path))
        }
        "put_exercise_response" => {
            Ask::put(asker.of_ann(&format!("/exercise-responses/{}", new_id(&world.app)))).with(work())
        }
        "get_exercise_response" => Ask::get(asker.of_ann(&format!("/exercise-responses/{}", world.response))),
        "patch_exercise_response" => {
            let id = if owner { ann.works(work()).await } else { world.response.clone() };
            let tag = ann.response(&id).await.ok().etag();
            let body = json!({ "answers": { "hook": format!("Number {n}") } });
            Ask::patch(asker.of_ann(&format!("/exercise-responses/{id}"))).with(body).when(tag)
        }
        "delete_exercise_response" => {
            let id = if owner { ann.works(work()).await } else { world.response.clone() };
            Ask::delete(asker.of_ann(&format!("/exercise-responses/{id}")))
        }
        "undelete_exercise_response" => {
            let id = if owner {
                let id = ann.works(work()).await;
                ann.delete(&ann.my(&format!("/exercise-responses/{id}"))).send().await.no_content();
                id
            } else {
                world.deleted_response.clone()
            };
            Ask::post(asker.of_ann(&format!("/exercise-responses/{id}/undelete")))
        }
        "mark_response_opened" => Ask::post(asker.of_ann(&format!("/exercise-responses/{}/opened", world.response))),
        "list_response_revisions" => {
            Ask::get(asker.of_ann(&format!("/exercise-responses/{}/revisions", world.response)))
        }
        "get_response_revision" => {
            Ask::get(asker.of_ann(&format!("/exercise-responses/{}/revisions/1", world.response)))
        }
        "restore_response_revision" => {
            let id = if owner {
                let id = ann.works(work()).await;
                ann.resumes(&id, json!({ "answers": { "hook": "Second" } })).await;
                id
            } else {
                world.response.clone()
            };
            let path = asker.of_ann(&format!("/exercise-responses/{id}/revisions/1/restore"));
            Ask::post(path).when("\"v2\"".to_owned())
        }
        "list_assignments" => Ask::get(asker.of_ann("/assignments?limit=200")),
        "get_assignment" => Ask::get(asker.of_ann(&format!("/assignments/{}", world.assignment))),
        "put_assignment" => {
            let body = json!({ "exercise_key": "kind-letter", "note": format!("Number {n}"), "request_share": true });
            Ask::put(asker.of_ann(&format!("/assignments/{}", new_id(&world.app)))).with(body)
        }
        "patch_assignment" => {
            let path = asker.of_ann(&format!("/assignments/{}", world.assignment));
            let tag = ann.get(&path).send().await.ok().etag();
            Ask::patch(path).with(json!({ "note": format!("Number {n}") })).when(tag)
        }
        "get_cautions" => Ask::get(asker.of_ann("/cautions")),
        "put_cautions" => {
            let path = ann.of_theirs("/cautions");
            let tag = granted.get(&path).send().await.ok().etag();
            let flags = if n.is_multiple_of(2) { json!(["grief"]) } else { json!(["grief", "pain"]) };
            Ask::put(asker.of_ann("/cautions")).with(json!({ "flags": flags })).when(tag)
        }
        _ => return None,
    };
    Some(ask)
}
