//! Working on exercises, as people do it.

use reqwest::Method;
use serde_json::{Value, json};

use super::app::{Answer, new_id};
use super::people::Person;
use super::world::{Ask, CANARY, World};

/// A response with the canary in an answer, done.
pub fn work() -> Value {
    json!({
        "exercise_key": "leaves-defusion",
        "occurred_at": "2026-03-10T18:30:00+01:00",
        "zone": "Europe/Berlin",
        "answers": { "hook": format!("The {CANARY} says no"), "grip": 4 },
        "distress": { "before": 5, "after": 3, "usefulness": 3 },
    })
}

/// A grant of sections of a response.
pub fn grant_response(response: &str, sections: &[&str], reader: &Person) -> Value {
    json!({
        "target": { "type": "exercise_response", "id": response },
        "sections": sections,
        "reader": { "type": "therapist", "account_id": reader.account },
    })
}

impl Person {
    /// Reads one of the own responses.
    pub async fn response(&self, id: &str) -> Answer {
        self.get(&self.my(&format!("/exercise-responses/{id}"))).send().await
    }

    /// Works on an exercise; the id of the response.
    pub async fn works(&self, body: Value) -> String {
        let id = new_id(&self.app);
        self.put(&self.my(&format!("/exercise-responses/{id}")), body).send().await.created();
        id
    }

    /// Goes on with a response that nobody else is changing.
    pub async fn resumes(&self, id: &str, body: Value) -> Answer {
        let tag = self.response(id).await.ok().etag();
        self.patch(&self.my(&format!("/exercise-responses/{id}")), body).if_match(&tag).send().await.ok()
    }

    /// Opens sections of a response to a therapist; the id of the grant.
    pub async fn opens_response(&self, response: &str, sections: &[&str], reader: &Person) -> String {
        let id = new_id(&self.app);
        self.put_grant(&id, grant_response(response, sections, reader)).send().await.created();
        id
    }

    /// Asks a patient to do an exercise; the id of the assignment.
    pub async fn assigns(&self, patient: &Person, exercise: &str) -> String {
        let id = new_id(&self.app);
        let body = json!({ "exercise_key": exercise, "note": "When it suits you.", "request_share": true });
        self.put(&patient.of_theirs(&format!("/assignments/{id}")), body).send().await.created();
        id
    }
}

impl World {
    /// A request for an operation on exercises, as `who` would send it.
    pub(super) async fn ask_exercise(&self, operation: &str, who: &str, n: u64) -> Option<Ask> {
        let (ann, granted, owner) = (self.ann(), self.person("granted"), who == "owner");
        let hers = |rest: String| ann.of_theirs(&rest);
        let ask = match operation {
            "get_exercise_schema" => Ask::get("/schemas/exercise.json"),
            "list_exercises" => Ask::get("/v1/exercises"),
            "get_exercise" => Ask::get("/v1/exercises/values-sort"),
            "list_patient_exercises" => Ask::get(hers("/exercises".to_owned())),
            "suggest_exercises" => Ask::get(hers("/exercises/suggested?minutes=20".to_owned())),
            "list_exercise_responses" => Ask::get(hers("/exercise-responses?limit=200".to_owned())),
            "put_exercise_response" => {
                Ask::new(Method::PUT, hers(format!("/exercise-responses/{}", new_id(&self.app)))).with(work())
            }
            "get_exercise_response" => Ask::get(hers(format!("/exercise-responses/{}", self.response))),
            "patch_exercise_response" => {
                let id = if owner { ann.works(work()).await } else { self.response.clone() };
                let tag = ann.response(&id).await.ok().etag();
                let body = json!({ "answers": { "hook": format!("Number {n}") } });
                Ask::new(Method::PATCH, hers(format!("/exercise-responses/{id}"))).with(body).when(tag)
            }
            "delete_exercise_response" => {
                let id = if owner { ann.works(work()).await } else { self.response.clone() };
                Ask::new(Method::DELETE, hers(format!("/exercise-responses/{id}")))
            }
            "undelete_exercise_response" => {
                let id = if owner {
                    let id = ann.works(work()).await;
                    ann.delete(&ann.my(&format!("/exercise-responses/{id}"))).send().await.no_content();
                    id
                } else {
                    self.deleted_response.clone()
                };
                Ask::new(Method::POST, hers(format!("/exercise-responses/{id}/undelete")))
            }
            "mark_response_opened" => {
                Ask::new(Method::POST, hers(format!("/exercise-responses/{}/opened", self.response)))
            }
            "list_response_revisions" => Ask::get(hers(format!("/exercise-responses/{}/revisions", self.response))),
            "get_response_revision" => Ask::get(hers(format!("/exercise-responses/{}/revisions/1", self.response))),
            "restore_response_revision" => {
                let id = if owner {
                    let id = ann.works(work()).await;
                    ann.resumes(&id, json!({ "answers": { "hook": "Second" } })).await;
                    id
                } else {
                    self.response.clone()
                };
                Ask::new(Method::POST, hers(format!("/exercise-responses/{id}/revisions/1/restore")))
            }
            "list_assignments" => Ask::get(hers("/assignments?limit=200".to_owned())),
            "get_assignment" => Ask::get(hers(format!("/assignments/{}", self.assignment))),
            "put_assignment" => {
                let body =
                    json!({ "exercise_key": "kind-letter", "note": format!("Number {n}"), "request_share": true });
                Ask::new(Method::PUT, hers(format!("/assignments/{}", new_id(&self.app)))).with(body)
            }
            "patch_assignment" => {
                let path = hers(format!("/assignments/{}", self.assignment));
                let tag = ann.get(&path).send().await.ok().etag();
                Ask::new(Method::PATCH, path).with(json!({ "note": format!("Number {n}") })).when(tag)
            }
            "get_cautions" => Ask::get(hers("/cautions".to_owned())),
            "put_cautions" => {
                let path = ann.of_theirs("/cautions");
                let tag = granted.get(&path).send().await.ok().etag();
                let flags = if n.is_multiple_of(2) { json!(["grief"]) } else { json!(["grief", "pain"]) };
                Ask::new(Method::PUT, hers("/cautions".to_owned())).with(json!({ "flags": flags })).when(tag)
            }
            _ => return None,
        };
        Some(ask)
    }
}
