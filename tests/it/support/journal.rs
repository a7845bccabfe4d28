//! Writing and sharing, as people do it.

use reqwest::Method;
use serde_json::{Value, json};

use super::app::{Answer, Call, TestApp, id_of, new_id};
use super::people::Person;

/// A reflection, done.
pub fn reflection(title: &str) -> Value {
    json!({
        "kind": "reflection",
        "occurred_at": "2026-03-10T08:30:00+01:00",
        "zone": "Europe/Berlin",
        "text": { "title": title, "body": "It was quiet, and I could stay." },
        "mood": { "valence": 7, "distress": 2 },
        "tags": ["lake"],
    })
}

/// `body` with other fields.
pub fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

impl Person {
    /// The address of something of this patient's, as they say it.
    pub fn my(&self, rest: &str) -> String {
        format!("/v1/patients/me{rest}")
    }

    /// The address of something of this patient's, as others say it.
    pub fn of_theirs(&self, rest: &str) -> String {
        format!("/v1/patients/{}{rest}", self.patient)
    }

    pub fn put_entry(&self, id: &str, body: Value) -> Call {
        self.put(&self.my(&format!("/entries/{id}")), body)
    }

    pub fn patch_entry(&self, id: &str, body: Value) -> Call {
        self.request(Method::PATCH, &self.my(&format!("/entries/{id}"))).json(body)
    }

    /// Reads one of the own entries.
    pub async fn entry(&self, id: &str) -> Answer {
        self.get(&self.my(&format!("/entries/{id}"))).send().await
    }

    /// Writes a new entry; its id.
    pub async fn writes(&self, body: Value) -> String {
        let id = new_id(&self.app);
        self.put_entry(&id, body).send().await.created();
        id
    }

    /// Changes an entry that nobody else is changing.
    pub async fn edits(&self, id: &str, body: Value) -> Answer {
        let tag = self.entry(id).await.ok().etag();
        self.patch_entry(id, body).if_match(&tag).send().await.ok()
    }

    pub fn put_grant(&self, id: &str, body: Value) -> Call {
        self.put(&self.my(&format!("/grants/{id}")), body)
    }

    /// Opens sections of an entry to a therapist; the grant.
    pub async fn opens(&self, entry: &str, sections: &[&str], reader: &Person) -> String {
        let id = new_id(&self.app);
        self.put_grant(&id, grant(entry, sections, reader)).send().await.created();
        id
    }

    pub async fn revokes(&self, grant: &str) {
        self.delete(&self.my(&format!("/grants/{grant}"))).send().await.no_content();
    }

    /// What this therapist finds at an address of a patient's.
    pub async fn reads(&self, patient: &Person, rest: &str) -> Answer {
        self.get(&patient.of_theirs(rest)).send().await
    }

    /// The ids of the entries this therapist finds.
    pub async fn finds(&self, patient: &Person) -> Vec<String> {
        ids(&self.reads(patient, "/entries").await.ok())
    }
}

/// The body of a grant to one therapist.
pub fn grant(entry: &str, sections: &[&str], reader: &Person) -> Value {
    json!({
        "target": { "type": "entry", "id": entry },
        "sections": sections,
        "reader": { "type": "therapist", "account_id": reader.account },
    })
}

/// The ids of the items of a list.
pub fn ids(list: &Answer) -> Vec<String> {
    list.items().iter().map(id_of).collect()
}

/// A therapist and a patient of theirs.
pub async fn two(app: &std::sync::Arc<TestApp>) -> (Person, Person) {
    let admin = app.admin().await;
    let therapist = app.staff(&admin, "Theo Brandt", &["care", "record"]).await;
    let patient = app.patient(&therapist, "Ann Lind").await;
    (therapist, patient)
}
