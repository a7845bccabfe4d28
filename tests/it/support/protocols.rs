//! Protocols that clinics write.

use afterglow::planning::Protocol;
use serde_json::{Value, json};

use super::app::{id_of, new_id};
use super::people::Person;

/// The content of the default protocol, in English, under another title.
pub fn content(title: &str) -> Value {
    let mut content = serde_json::to_value(Protocol::default_v1().content()).unwrap();
    content["title"] = json!(title);
    content.as_object_mut().unwrap().remove("translations");
    content
}

/// A rule of a content.
pub fn rule<'c>(content: &'c mut Value, key: &str) -> &'c mut Value {
    content["rules"].as_array_mut().unwrap().iter_mut().find(|rule| rule["key"] == key).unwrap()
}

/// The clinic where somebody works.
pub async fn clinic_of(person: &Person) -> String {
    person.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id")
}

pub fn at(clinic: &str, id: &str) -> String {
    format!("/v1/clinics/{clinic}/protocols/{id}")
}

/// Writes the first draft of a protocol, and returns its id with the answer.
pub async fn drafts(admin: &Person, clinic: &str, content: Value) -> (String, Value) {
    let id = new_id(&admin.app);
    let made = admin.put(&at(clinic, &id), content).send().await.created();
    assert_eq!(id_of(&made.body), id);
    (id, made.body)
}

/// Writes a protocol and publishes it.
pub async fn publishes(admin: &Person, clinic: &str, content: Value) -> String {
    let (id, draft) = drafts(admin, clinic, content).await;
    let tag = draft["etag"].as_str().unwrap();
    admin.post(&format!("{}/publish", at(clinic, &id)), json!({})).if_match(tag).send().await.ok();
    id
}
