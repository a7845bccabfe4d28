//! Ids are made by clients, for each kind of thing: an entry and a response may have the same one. They are two things,
//! and nothing that is noted about one is found under the other.

use std::collections::BTreeSet;

use afterglow::app;
use afterglow::delivery::LogChannel;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_id};
use crate::support::database::Count;
use crate::support::exercises::work;
use crate::support::journal::{reflection, two, with};
use crate::support::people::Person;
use crate::support::sources::{functions, shipped};
use crate::support::sql::Sql;
use crate::support::world::planned_for;

const KINDS: [&str; 2] = ["entries", "exercise-responses"];

/// An entry and a response under one id; both are open to the reader if there is one.
async fn one_id(ann: &Person, reader: Option<&Person>) -> String {
    let id = ann.writes(reflection("Lake")).await;
    ann.put(&ann.my(&format!("/exercise-responses/{id}")), work()).send().await.created();
    if let Some(reader) = reader {
        ann.opens(&id, &["text"], reader).await;
        ann.opens_response(&id, &["answers"], reader).await;
    }
    id
}

#[actix_web::test]
async fn each_of_two_kinds_under_one_id_was_opened_at_an_instant_of_its_own() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let mut tables = Sql::open(&app.database.backend);
    let mut stored = || tables.rows::<Count>("SELECT count(*) AS n FROM receipts")[0].n;
    for (first, second) in [(KINDS[0], KINDS[1]), (KINDS[1], KINDS[0])] {
        let (before, id) = (stored(), one_id(&ann, Some(&theo)).await);
        let path = |kind: &str| format!("/{kind}/{id}");
        let seen = async |kind: &str| ann.get(&ann.my(&path(kind))).send().await.ok().body["seen_by"].clone();
        let opens = async |kind: &str| {
            theo.act(&ann.of_theirs(&format!("{}/opened", path(kind)))).send().await.ok().body["opened_at"].clone()
        };
        let by = |at: &Value| json!([{ "account_id": theo.account, "opened_at": at }]);
        // Its answer to a change says the same as a read.
        let changed = async |kind: &str| {
            let answer = match kind {
                "entries" => ann.edits(&id, json!({ "mood": { "distress": 3 } })).await,
                _ => ann.resumes(&id, json!({ "answers": { "hook": "Something else" } })).await,
            };
            answer.body["seen_by"].clone()
        };

        let early = opens(first).await;
        assert_eq!((seen(first).await, seen(second).await), (by(&early), json!([])), "{first} alone was opened");
        assert_eq!((changed(first).await, changed(second).await), (by(&early), json!([])), "{first} alone was opened");
        app.wait(SignedDuration::from_mins(7));
        let late = opens(second).await;
        assert_ne!(early, late, "{second} after {first}");
        assert_eq!((seen(first).await, seen(second).await), (by(&early), by(&late)));
        assert_eq!(opens(first).await, early, "the first time counts");
        assert_eq!(stored(), before + 2);

        ann.delete(&ann.my(&path(first))).send().await.no_content();
        app.wait(SignedDuration::from_hours(24 * 30));
        app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap();
        assert_eq!(stored(), before + 1, "the purge of {first}");
        assert_eq!(seen(second).await, by(&late), "the purge of {first}");
    }
}

#[actix_web::test]
async fn an_entry_is_unshared_while_only_a_response_of_its_id_is_shared() {
    let app = TestApp::start_on_fixture().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now().checked_sub(SignedDuration::from_hours(1)).unwrap()).await;
    app.set_clock("2026-03-13T09:00:00Z");
    let asked = async || {
        let prompts = ann.prompts().await;
        prompts.iter().find(|prompt| prompt["rule_key"] == "d3.share").unwrap()["state"].clone()
    };
    let id = one_id(&ann, None).await;
    assert_eq!(asked().await, "planned");
    let response = ann.opens_response(&id, &["answers", "distress"], &theo).await;
    assert_eq!(asked().await, "planned", "the response is shared, the entry is not");
    let entry = ann.opens(&id, &["text"], &theo).await;
    assert_eq!(asked().await, "cancelled", "the entry is shared");
    ann.revokes(&response).await;
    assert_eq!(asked().await, "cancelled", "the entry is still shared");
    ann.opens_response(&id, &["answers"], &theo).await;
    ann.revokes(&entry).await;
    assert_eq!(asked().await, "planned", "the response alone is shared again");
}

#[actix_web::test]
async fn an_entry_is_no_takeaway_because_a_response_of_its_id_answered_a_look_back() {
    let app = TestApp::start_on_fixture().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    let hours = |hours| app.now().checked_add(SignedDuration::from_hours(hours)).unwrap();
    let (ended, session) = (hours(-1), hours(12 * 24));
    let mut entries = Vec::new();
    for who in [&ann, &ben] {
        theo.records(who, ended).await;
        let path = who.of_theirs(&format!("/infusions/{}", new_id(&app)));
        theo.put(&path, planned_for(session)).send().await.created();
        entries.push(who.writes(reflection("Only a note")).await);
    }
    app.wait(SignedDuration::from_hours(8 * 24 + 8));
    app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap();
    for (who, entry, by_entry) in [(&ann, &entries[0], false), (&ben, &entries[1], true)] {
        let of_rule = async |key: &str| {
            let prompts = who.prompts().await;
            prompts.into_iter().find(|prompt| prompt["rule_key"] == key)
        };
        let review = of_rule("d8.review").await.unwrap()["id"].clone();
        let answers = json!({ "prompt_id": review });
        if by_entry {
            who.edits(entry, answers).await;
        } else {
            let response = who.my(&format!("/exercise-responses/{entry}"));
            who.put(&response, with(work(), answers)).send().await.created();
        }
        assert_eq!(of_rule("d8.review").await.unwrap()["detail"]["answer_id"], json!(entry));
        let quoted = of_rule("prep.lastround").await.map(|prompt| prompt["detail"]["text"].to_string());
        assert_eq!(
            quoted.is_some_and(|text| text.contains("Only a note")),
            by_entry,
            "answered by an entry: {by_entry}"
        );
    }
}

/// The columns that hold the id of a thing of any kind, and what of a statement says of which kind: a column of the same
/// row, the sections of its grant, or one grant.
const KIND_OF: &[(&str, &[&str])] = &[
    ("changes::entity_id", &["changes::entity.eq("]),
    ("feed::item_id", &["feed::entity.eq("]),
    ("grant_items::item_id", &["grants::sections.ge(", "grant_items::grant_id.eq(", "grant_items::grant_id.eq_any("]),
    ("receipts::item_id", &["receipts::entity.eq("]),
    ("revisions::item_id", &["revisions::section"]),
];

#[test]
fn a_statement_that_finds_a_thing_by_its_id_names_its_kind() {
    let schema = include_str!("../../src/db/schema.rs");
    let (mut table, mut columns) = ("", BTreeSet::new());
    for line in schema.lines().map(str::trim) {
        if let Some((name, _)) = line.strip_suffix(") {").and_then(|head| head.split_once(" (")) {
            table = name;
        } else if let Some((column @ ("item_id" | "entity_id"), _)) = line.split_once(" -> ") {
            columns.insert(format!("{table}::{column}"));
        }
    }
    let known: BTreeSet<String> = KIND_OF.iter().map(|(column, _)| (*column).to_owned()).collect();
    assert_eq!(columns, known, "say in KIND_OF what tells the kind");

    let (mut faults, mut seen) = (Vec::new(), BTreeSet::new());
    for source in shipped().iter().filter(|source| source.slice() != "db") {
        for (name, text) in functions(source) {
            for (column, kinds) in KIND_OF {
                let by = [".eq(", ".eq_any(", ".ne_all("].map(|by| format!("{column}{by}"));
                let finds = by.iter().any(|by| text.contains(by)) || text.contains(&format!("select({column})"));
                seen.extend(finds.then_some(*column));
                if finds && !kinds.iter().any(|kind| text.contains(kind)) {
                    faults.push(format!("{name} of src/{} finds {column} and names none of {kinds:?}", source.name));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(seen.len(), KIND_OF.len(), "{seen:?}");
}
