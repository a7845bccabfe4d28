//! What patients agree to.

use std::sync::Arc;

use serde_json::{Value, json};

use super::app::TestApp;
use super::people::Person;

/// The body that gives a consent to the text of a document in a language.
pub async fn consent(app: &Arc<TestApp>, key: &str, locale: &str) -> Value {
    let all = app.get("/v1/consent-documents").send().await.ok();
    let document = all.items().iter().find(|document| document["key"] == key).expect("a document");
    let text = document["texts"].as_array().unwrap().iter().find(|text| text["locale"] == locale).expect("a text");
    json!({ "version": document["version"], "locale": locale, "text_sha256": text["text_sha256"] })
}

impl Person {
    /// Agrees to a document in English.
    pub async fn agrees(&self, key: &str) {
        let body = consent(&self.app, key, "en").await;
        let answer = self.put(&self.my(&format!("/consents/{key}")), body).send().await;
        assert!(answer.status.is_success(), "{}: {}", answer.status, answer.body);
    }

    /// Withdraws a consent.
    pub async fn withdraws(&self, key: &str) {
        self.delete(&self.my(&format!("/consents/{key}"))).send().await.no_content();
    }
}
