//! A therapist's app, which keeps what the feed brings, and what it ought to hold.

use std::collections::{BTreeMap, BTreeSet};

use afterglow::db::Backend;
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde_json::{Map, Value, json};

use super::app::{Answer, TestApp};
use super::people::Person;
use super::sql::Sql;

/// A thing: its patient, its kind, its id.
pub type Thing = (String, String, String);

/// What a therapist's app holds.
#[derive(Default)]
pub struct Reader {
    pub things: BTreeMap<Thing, Value>,
    /// Every thing that was ever mentioned.
    pub mentioned: BTreeSet<Thing>,
    pub cursor: Option<String>,
    /// What the pages of a pull of everything have mentioned so far.
    swept: Option<BTreeSet<Thing>>,
}

fn text(event: &Value, name: &str) -> String {
    event[name].as_str().unwrap_or_else(|| panic!("no {name} in {event}")).to_owned()
}

/// The thing that an event tells of.
pub fn thing(event: &Value) -> Thing {
    (text(event, "patient_id"), text(event, "kind"), text(event, "id"))
}

pub async fn feed_page(person: &Person, cursor: Option<&str>, limit: usize) -> Answer {
    let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    person.get(&format!("/v1/me/feed/changes?limit={limit}{cursor}")).send().await
}

impl Reader {
    /// Begins a pull of everything, also if one is under way: what that has mentioned does not count.
    pub fn begins_again(&mut self) {
        self.cursor = None;
        self.swept = None;
    }

    /// Asks for the next page and stores it; its events, and whether there is another.
    pub async fn page(&mut self, person: &Person, limit: usize) -> (Vec<Value>, bool) {
        let page = feed_page(person, self.cursor.as_deref(), limit).await.ok();
        let (full, more) = (page.body["full"] == true, page.body["has_more"] == true);
        assert!(full || self.swept.is_none(), "a pull of everything says so on each page");
        if full {
            self.swept.get_or_insert_default();
        }
        let events = page.body["events"].as_array().unwrap().clone();
        assert!(events.len() <= limit);
        for event in &events {
            match event["type"].as_str().unwrap() {
                "patient.removed" => {
                    let patient = text(event, "patient_id");
                    self.things.retain(|(of, ..), _| *of != patient);
                    assert_eq!(event.as_object().unwrap().len(), 2, "{event}");
                }
                "item.removed" => {
                    self.mention(thing(event));
                    self.things.remove(&thing(event));
                    assert_eq!(event.as_object().unwrap().len(), 4, "no reason: {event}");
                }
                "item" => {
                    self.mention(thing(event));
                    assert!(event["item"].is_object(), "{event}");
                    self.things.insert(thing(event), event.clone());
                }
                other => panic!("{other}"),
            }
        }
        if full && !more {
            let swept = self.swept.take().unwrap();
            self.things.retain(|thing, _| swept.contains(thing));
        }
        self.cursor = Some(page.text("/cursor"));
        (events, more)
    }

    fn mention(&mut self, thing: Thing) {
        self.mentioned.insert(thing.clone());
        if let Some(swept) = &mut self.swept {
            swept.insert(thing);
        }
    }

    /// Pulls until there is nothing more; the events.
    pub async fn pull(&mut self, person: &Person, limit: usize) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let (events, more) = self.page(person, limit).await;
            all.extend(events);
            if !more {
                return all;
            }
        }
    }

    /// What it shows of a thing.
    pub fn item(&self, kind: &str, id: &str) -> Option<&Value> {
        let found = self.things.iter().find(|((_, of, thing), _)| of == kind && thing == id);
        found.map(|(_, event)| &event["item"])
    }

    pub fn ids(&self, kind: &str) -> Vec<&str> {
        self.things.keys().filter(|(_, of, _)| of == kind).map(|(.., id)| id.as_str()).collect()
    }

    /// Whether it holds what another one holds, to the byte.
    #[track_caller]
    pub fn equals(&self, other: &Self) {
        let keys = |reader: &Self| reader.things.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(self), keys(other));
        for (thing, event) in &self.things {
            assert_eq!(event, &other.things[thing], "{thing:?}");
        }
    }

    /// Whether it holds what its user may see of these patients by the other operations, and nothing else.
    pub async fn holds_what_it_may_see(&self, person: &Person, patients: &[&Person]) {
        let mut expected = BTreeMap::new();
        for patient in patients {
            expected.extend(visible(person, patient).await);
        }
        let held: BTreeMap<&Thing, &Value> = self.things.iter().map(|(thing, event)| (thing, &event["item"])).collect();
        let keys: Vec<&Thing> = held.keys().copied().collect();
        assert_eq!(keys, expected.keys().collect::<Vec<_>>());
        for (thing, item) in &expected {
            assert_eq!(held[thing], item, "{thing:?}");
        }
    }
}

/// An app that was installed today.
pub async fn new_reader(person: &Person) -> Reader {
    let mut reader = Reader::default();
    reader.pull(person, 200).await;
    reader
}

/// What stands in a view and not in a feed.
const LEFT_OUT: [&str; 5] = ["id", "version", "etag", "author_name", "driving"];

/// What a therapist sees of a patient by the operations that show it.
async fn visible(person: &Person, patient: &Person) -> BTreeMap<Thing, Value> {
    let mut all = BTreeMap::new();
    let lists = [
        ("entry", "/entries?limit=200"),
        ("exercise_response", "/exercise-responses?limit=200"),
        ("grant", "/grants?limit=200"),
        ("assignment", "/assignments?limit=200"),
        ("infusion", "/infusions"),
    ];
    let mut keep = |kind: &str, item: &Value| {
        let id = item["id"].as_str().unwrap().to_owned();
        let mut shown: Map<String, Value> = item.as_object().unwrap().clone();
        shown.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
        all.insert((patient.patient.clone(), kind.to_owned(), id), json!(shown));
    };
    let mut entries = Vec::new();
    for (kind, list) in lists {
        let answer = person.reads(patient, list).await;
        if answer.status == 404 {
            return BTreeMap::new();
        }
        for item in answer.ok().items() {
            keep(kind, item);
            if kind == "entry" {
                entries.push(text(item, "id"));
            }
        }
    }
    for entry in entries {
        for comment in person.reads(patient, &format!("/entries/{entry}/comments?limit=200")).await.ok().items() {
            keep("comment", comment);
        }
    }
    all
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    text: String,
}

/// Every byte of the feeds and their heads.
pub fn stored(app: &TestApp) -> Vec<String> {
    let id = |name: &str| match app.database.backend {
        Backend::Sqlite(_) => format!("hex({name})"),
        Backend::Postgres(_) => format!("CAST({name} AS text)"),
    };
    let plain = |name: &str| format!("coalesce(CAST({name} AS text), '-')");
    let mut sql = Sql::open(&app.database.backend);
    let mut rows = Vec::new();
    for (table, ids, others) in [
        ("feed_heads", &["account_id"][..], &["seq", "horizon_seq"][..]),
        (
            "feed",
            &["account_id", "patient_id", "link_id", "item_id", "order_key"][..],
            &["entity", "seq", "sections", "removed_at"][..],
        ),
    ] {
        let columns: Vec<String> =
            ids.iter().map(|name| id(name)).chain(others.iter().map(|name| plain(name))).collect();
        let query = format!("SELECT {} AS text FROM {table} ORDER BY 1", columns.join(" || ' ' || "));
        rows.extend(sql.rows::<Row>(&query).into_iter().map(|row| format!("{table} {}", row.text)));
    }
    rows
}
