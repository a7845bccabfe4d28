//! Working on exercises, as people do it.

use serde_json::{Value, json};

use super::app::{Answer, new_id};
use super::people::Person;
use super::world::CANARY;

/// A response with the canary in an answer, done.
pub fn work() -> Value {
    json!({
        "exercise_key": "leaves-defusion", "exercise_version": 1,
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
