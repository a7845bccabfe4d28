//! A phone that pulls, and a life for it to pull.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use super::app::{Answer, TestApp, new_id};
use super::exercises::work;
use super::journal::{reflection, with};
use super::people::Person;
use super::reader::feed_page;

/// What a phone holds, by kind and id.
pub type Things = BTreeMap<(String, String), Value>;

/// A phone that pulls and never writes.
#[derive(Default)]
pub struct Phone {
    pub things: Things,
    /// What it knows to be deleted.
    pub tombstones: Things,
    pub cursor: Option<String>,
    pub seq: i64,
    pub epoch: String,
}

pub fn key_of(item: &Value) -> (String, String) {
    (item["kind"].as_str().unwrap().to_owned(), item["id"].as_str().unwrap().to_owned())
}

impl Phone {
    /// Asks for the next page and stores it; the items of the page, and whether there is another.
    pub async fn page(&mut self, person: &Person, limit: usize) -> (Vec<Value>, bool) {
        let page = page(person, self.cursor.as_deref(), limit).await.ok();
        let items = page.items().to_vec();
        for item in &items {
            let (held, other) = match item["deleted"] == true {
                true => (&mut self.tombstones, &mut self.things),
                false => (&mut self.things, &mut self.tombstones),
            };
            other.remove(&key_of(item));
            held.insert(key_of(item), item.clone());
        }
        let seq = page.body["seq"].as_i64().unwrap();
        assert!(seq >= self.seq, "what a phone has seen does not become less");
        (self.cursor, self.seq, self.epoch) = (Some(page.text("/cursor")), seq, page.text("/epoch"));
        (items, page.body["has_more"] == true)
    }

    /// Pulls until there is nothing more.
    pub async fn pull(&mut self, person: &Person, limit: usize) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let (items, more) = self.page(person, limit).await;
            assert!(items.len() <= limit);
            all.extend(items);
            if !more {
                return all;
            }
        }
    }

    /// What it holds, as it asks for a comparison: tombstones too.
    pub fn have(&self) -> Vec<Value> {
        let named = |item: &Value| {
            let mut named = json!({ "kind": item["kind"], "id": item["id"], "version": item["version"] });
            if item["deleted"] == true {
                named["deleted"] = json!(true);
            }
            named
        };
        self.things.values().chain(self.tombstones.values()).map(named).collect()
    }

    /// Compares what it holds with the data.
    pub async fn compare(&self, person: &Person) -> Value {
        let asked = json!({ "epoch": self.epoch, "have": self.have() });
        person.post(&person.my("/integrity"), asked).send().await.ok().body
    }

    pub fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.things.iter().filter(|((of, _), _)| of == kind).map(|(_, item)| item).collect()
    }

    /// The item of that kind and id.
    pub fn item(&self, kind: &str, id: &str) -> &Value {
        &self.things[&(kind.to_owned(), id.to_owned())]
    }

    /// Whether it holds what another one holds.
    #[track_caller]
    pub fn equals(&self, other: &Self) {
        let keys = |phone: &Self| phone.things.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(self), keys(other));
        for (key, item) in &self.things {
            assert_eq!(item, &other.things[key]);
        }
    }
}

pub async fn page(person: &Person, cursor: Option<&str>, limit: usize) -> Answer {
    let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    person.get(&person.my(&format!("/changes?limit={limit}{cursor}"))).send().await
}

/// A phone that was bought today.
pub async fn new_phone(person: &Person) -> Phone {
    let mut phone = Phone::default();
    phone.pull(person, 200).await;
    phone
}

/// Writes, shares, comments, deletes: something of every kind, some of it twice.
pub async fn live(app: &Arc<TestApp>, theo: &Person, ann: &Person) -> (String, String) {
    let infusion = theo.records(ann, app.now()).await;
    let kept = ann.writes(reflection("Lake")).await;
    let gone = ann.writes(reflection("Gone")).await;
    ann.writes(with(reflection("Draft"), json!({ "status": "draft" }))).await;
    ann.works(work()).await;
    ann.opens(&kept, &["text"], theo).await;
    let closed = ann.opens(&gone, &["mood"], theo).await;
    feed_page(theo, None, 200).await.ok();
    theo.act(&ann.of_theirs(&format!("/entries/{gone}/opened"))).send().await.ok();
    ann.revokes(&closed).await;
    let thread = ann.of_theirs(&format!("/entries/{kept}/comments/{}", new_id(app)));
    theo.put(&thread, json!({ "body": "Thank you." })).send().await.created();
    theo.assigns(ann, "values-sort").await;
    let pause = |from: &str, until: &str| json!({ "from": from, "until": until });
    for (from, until) in
        [("2026-04-01T00:00:00Z", "2026-04-05T00:00:00Z"), ("2026-05-01T00:00:00Z", "2026-05-05T00:00:00Z")]
    {
        let path = ann.my(&format!("/pauses/{}", new_id(app)));
        ann.put(&path, pause(from, until)).send().await.created();
        if from.starts_with("2026-05") {
            ann.delete(&path).send().await.no_content();
        }
    }
    ann.edits(&kept, json!({ "tags": ["takeaway"] })).await;
    let tag = ann.entry(&gone).await.ok().etag();
    ann.delete(&ann.my(&format!("/entries/{gone}"))).if_match(&tag).send().await.no_content();
    (kept, infusion)
}

/// A change of one thing.
pub fn mutation(person: &Person, kind: &str, id: &str, base: i64, more: Value) -> Value {
    let mut mutation = json!({
        "mutation_id": new_id(&person.app), "patient_id": person.patient, "kind": kind, "id": id, "base_version": base,
    });
    mutation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    mutation
}

impl Person {
    /// The epoch of the data.
    pub async fn epoch(&self) -> Value {
        self.get(&self.my("/changes?limit=1")).send().await.ok().body["epoch"].clone()
    }

    /// Pushes a batch.
    pub async fn push(&self, mutations: &[Value]) -> Answer {
        let body = json!({ "epoch": self.epoch().await, "mutations": mutations });
        self.request(Method::POST, &self.my("/mutations")).json(body).send().await
    }

    /// Pushes one mutation; its result.
    pub async fn pushes(&self, mutation: &Value) -> Value {
        self.push(std::slice::from_ref(mutation)).await.ok().body["results"][0].clone()
    }
}

/// Whether a mutation had this status.
#[track_caller]
pub fn is(result: &Value, status: &str) {
    assert_eq!(result["status"], status, "{result:#}");
}
