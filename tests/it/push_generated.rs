//! R5 through mutations: batches that are made from the document, with faults in them. One bad mutation harms no other,
//! each is answered with a result that the document knows, what is refused leaves nothing behind, and a batch that comes
//! again does nothing.
//!
//! `AFTERGLOW_BATCHES=1000` sends as many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use afterglow::kernel::Code;
use serde_json::{Value, json};

use crate::changed_rows::{KEYRING, all_tables};
use crate::support::app::{TestApp, document};
use crate::support::dice::Dice;
use crate::support::generator::Generator;
use crate::support::journal::{two, with};
use crate::support::people::Person;
use crate::support::phone::{Phone, is, live, mutation, new_phone};
use crate::support::reader::{Reader, new_reader};
use crate::support::sql::Sql;

/// The members that mutations of every kind have.
const COMMON: [&str; 7] = ["mutation_id", "patient_id", "kind", "id", "base_version", "op", "on_conflict"];

/// A kind of thing, as mutations change it.
struct Kind {
    name: &'static str,
    acts: &'static [&'static str],
    members: &'static [&'static str],
    /// The schema of its `header` or `fields`.
    fields: &'static str,
}

const KINDS: [Kind; 8] = [
    Kind {
        name: "entry",
        acts: &["put", "put", "put", "put", "delete", "undelete"],
        members: &["header", "text", "mood", "tags"],
        fields: "PutEntry",
    },
    Kind {
        name: "exercise_response",
        acts: &["put", "put", "put", "put", "delete", "undelete"],
        members: &["header", "answers", "distress"],
        fields: "PutExerciseResponse",
    },
    Kind {
        name: "prompt",
        acts: &["open", "snooze", "skip", "complete"],
        members: &["until", "reason", "occurred_at"],
        fields: "",
    },
    Kind {
        name: "grant",
        acts: &["put", "put", "put", "delete"],
        members: &["target", "rule", "sections", "reader", "expires_at", "visible_at_once", "seen_seq", "replaces"],
        fields: "",
    },
    Kind { name: "comment", acts: &["put"], members: &["entry_id", "thread_id", "body"], fields: "" },
    Kind { name: "pause", acts: &["put", "put", "delete"], members: &["fields"], fields: "PutPause" },
    Kind { name: "settings", acts: &["put"], members: &["fields"], fields: "SyncSettingsFields" },
    Kind { name: "infusion", acts: &["put"], members: &["fields"], fields: "PutInfusion" },
];

fn schema(name: &str) -> &'static Value {
    &document()["components"]["schemas"][name]
}

/// A kind or a member that is added to the document is generated too.
#[test]
fn every_kind_and_member_of_a_mutation_is_generated() {
    let properties = schema("SyncMutation")["properties"].as_object().unwrap();
    let known: BTreeSet<&str> = KINDS.iter().flat_map(|kind| kind.members).chain(&COMMON).copied().collect();
    assert_eq!(properties.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
    let said = properties["kind"]["description"].as_str().unwrap();
    let said: BTreeSet<&str> = said.split('`').skip(1).step_by(2).collect();
    assert_eq!(said, KINDS.iter().map(|kind| kind.name).collect());
}

/// What is generated, and what it meets.
struct Run {
    app: Arc<TestApp>,
    ann: Person,
    /// The account of the therapist.
    theo: String,
    phone: Phone,
    generator: Generator,
    /// By kind, how many mutations were stored and how many refused.
    counts: BTreeMap<&'static str, (usize, usize)>,
}

fn stored(result: &Value) -> bool {
    result["status"] == "applied" || result["status"] == "merged"
}

fn refused(result: &Value) -> bool {
    result["status"] == "rejected" || result["status"] == "conflict"
}

fn retryable(result: &Value) -> bool {
    result["problem"]["retryable"] == true
}

/// Whether a mutation that was refused is tried anew when it comes again: of an item, or one that ends a share.
fn tried_anew(sent: &Value) -> bool {
    let ends = sent["kind"] == "grant" && sent["op"] == "delete";
    ends || sent["kind"] == "entry" || sent["kind"] == "exercise_response"
}

impl Run {
    /// A mutation of one kind, as the document has it, but for the faults that are put in.
    fn mutation(&self, kind: &Kind, faults: usize) -> Value {
        let (dice, generator) = (&self.generator.dice, &self.generator);
        let of_kind = self.phone.things.values().chain(self.phone.tombstones.values());
        let of_kind: Vec<&Value> = of_kind.filter(|item| item["kind"] == kind.name).collect();
        let known = ["prompt", "settings"].contains(&kind.name) || dice.once_in(2);
        let (id, version) = match dice.of(&of_kind).filter(|_| known) {
            Some(item) => (item["id"].as_str().unwrap().to_owned(), item["version"].as_i64().unwrap()),
            None => (dice.id(), 0),
        };
        let mut mutation = mutation(&self.ann, kind.name, &id, version, json!({ "op": *dice.of(kind.acts).unwrap() }));
        if dice.once_in(3) {
            mutation["on_conflict"] = json!("keep_both");
        }
        if dice.once_in(4) {
            mutation["base_version"] = json!(dice.below(12));
        }
        let alone = kind.members.len() == 1;
        for member in kind.members.iter().filter(|_| alone || !dice.once_in(3)) {
            mutation[*member] = self.member(kind, member);
        }
        for _ in 0..faults {
            generator.spoil(&mut mutation);
        }
        mutation
    }

    /// A member of a mutation. What it names is there more often than chance would have it.
    fn member(&self, kind: &Kind, member: &str) -> Value {
        let (dice, generator) = (&self.generator.dice, &self.generator);
        let known = |kind: &str| {
            let ids: Vec<_> = self.phone.things.keys().filter(|(of, _)| of == kind).collect();
            dice.of(&ids).filter(|_| !dice.once_in(4)).map(|(_, id)| json!(id))
        };
        let entry = known("entry");
        match (member, entry) {
            ("header", _) => {
                let exercise = json!({ "exercise_key": "leaves-defusion", "exercise_version": 1 });
                let header = generator.object(schema(kind.fields), |name, required| {
                    !kind.members.contains(&name) && (required || dice.once_in(2))
                });
                if kind.name == "entry" { header } else { with(header, exercise) }
            }
            ("fields", _) => {
                let some = kind.name == "settings";
                generator.object(schema(kind.fields), |_, required| required && !some || dice.once_in(3))
            }
            ("answers", _) => json!({ "hook": format!("Leaf {}", dice.below(100)), "grip": dice.below(11) }),
            ("target", Some(entry)) => json!({ "type": "entry", "id": entry }),
            ("rule", Some(_)) => Value::Null,
            ("reader", Some(_)) => json!({ "type": "therapist", "account_id": self.theo }),
            ("sections", Some(_)) => json!([dice.of(&["text", "mood", "tags"])]),
            ("entry_id", Some(entry)) => entry,
            ("thread_id", Some(_)) => known("care_link").unwrap_or_default(),
            _ => generator.value(&schema("SyncMutation")["properties"][member]),
        }
    }

    /// Every row of the data, but for what is remembered of mutations.
    fn rows(&self) -> BTreeMap<String, Vec<String>> {
        let mut sql = Sql::open(&self.app.database.backend);
        let data = all_tables().into_iter().filter(|(table, _)| !KEYRING.contains(&table.as_str()));
        let mut data: BTreeMap<_, _> = data.filter(|(table, _)| table != "mutations").collect();
        // A batch takes numbers before it is known what comes of it. One without a change is nobody's.
        data.get_mut("patient_heads").unwrap().retain(|column| column != "change_seq");
        data.into_iter().map(|(table, columns)| (table.clone(), sql.dump(&table, &columns))).collect()
    }

    async fn batch(&mut self) {
        let dice = self.generator.dice.clone();
        let ids = self.phone.things.keys().map(|(_, id)| id.clone());
        self.generator.ids = ids.collect();
        let good = |words: &str| {
            let header = json!({ "kind": "note", "occurred_at": "2026-03-10T08:30:00+01:00" });
            mutation(&self.ann, "entry", &dice.id(), 0, json!({ "header": header, "text": { "body": words } }))
        };
        let (first, last) = (good("First"), good("Last"));
        let mut batch = vec![first.clone(), last.clone()];
        let mut kinds = BTreeMap::new();
        for _ in 0..1 + dice.below(6) {
            let kind = &KINDS[dice.below(KINDS.len())];
            let one = self.mutation(kind, dice.below(3));
            // A thing comes once in a batch.
            if !one.is_object() || batch.iter().all(|other| other["id"] != one["id"]) {
                kinds.insert(one["mutation_id"].to_string(), kind.name);
                batch.insert(dice.below(batch.len() + 1), one);
            }
        }
        let answer = self.ann.push(&batch).await.ok();
        let results = answer.body["results"].as_array().unwrap().clone();
        assert_eq!(results.len(), batch.len());
        for (sent, result) in batch.iter().zip(&results) {
            check(sent, result);
            if [&first, &last].contains(&sent) {
                is(result, "applied");
            } else if let Some(kind) = kinds.get(&sent["mutation_id"].to_string()) {
                let counts = self.counts.entry(kind).or_default();
                counts.0 += usize::from(stored(result));
                counts.1 += usize::from(refused(result));
            }
        }
        // A batch that comes again does nothing. What was refused of an item may be possible after the first one.
        let second = self.ann.push(&batch).await.ok().body["results"].clone();
        for ((sent, result), again) in batch.iter().zip(&results).zip(second.as_array().unwrap()) {
            if stored(result) {
                assert_eq!((&again["status"], &again["was"]), (&json!("replayed"), &result["status"]), "{sent}");
                assert_eq!(again["version"], result["version"], "{sent}");
            } else if result["status"] == "conflict" || !retryable(result) && !tried_anew(sent) {
                assert_eq!(again["status"], result["status"], "{sent}");
            }
        }
        let mut before = self.rows();
        let third = self.ann.push(&batch).await.ok().body["results"].clone();
        for (again, more) in second.as_array().unwrap().iter().zip(third.as_array().unwrap()) {
            assert_eq!((refused(again), &again["code"]), (refused(more), &more["code"]), "{again:#} {more:#}");
        }
        self.same(&before, &batch);
        // What is refused leaves nothing behind, though it is asked as another mutation.
        for (sent, result) in batch.iter().zip(third.as_array().unwrap()).filter(|(_, result)| refused(result)) {
            let mut alone = sent.clone();
            if result.get("mutation_id").is_some() {
                alone["mutation_id"] = json!(dice.id());
            }
            let again = self.ann.pushes(&alone).await;
            check(&alone, &again);
            match refused(&again) {
                true => self.same(&before, &[alone]),
                // What was refused before is told so when it comes again, though it might be done by now.
                false => before = self.rows(),
            }
        }
        self.phone.pull(&self.ann, 200).await;
        for (sent, words) in [(&first, "First"), (&last, "Last")] {
            assert_eq!(self.phone.item("entry", sent["id"].as_str().unwrap())["text"]["body"], words);
        }
    }

    #[track_caller]
    fn same(&self, before: &BTreeMap<String, Vec<String>>, batch: &[Value]) {
        for (table, rows) in self.rows() {
            assert_eq!(rows, before[&table], "{table} was changed by {batch:#?}");
        }
    }
}

/// A result says what came of its mutation: an answer of the document, and no fault of the server.
fn check(sent: &Value, result: &Value) {
    let known = uuid(&sent["mutation_id"]).is_none() || result["mutation_id"] == sent["mutation_id"];
    assert!(known, "{sent}: {result:#}");
    if result["status"] == "rejected" {
        let code = result["problem"]["code"].as_str().unwrap();
        let code = Code::ALL.iter().find(|one| one.name() == code).unwrap_or_else(|| panic!("{result:#}"));
        assert!(code.status() < 500, "{sent}: {result:#}");
    } else {
        assert!(stored(result) || refused(result), "{sent}: {result:#}");
    }
}

fn uuid(value: &Value) -> Option<uuid::Uuid> {
    value.as_str()?.parse().ok()
}

#[actix_web::test]
async fn r5_one_bad_mutation_of_a_generated_batch_harms_no_other_and_leaves_nothing_behind() {
    let app = TestApp::start_with(|config| config.mutations_per_hour = None).await;
    let (theo, ann) = two(&app).await;
    live(&app, &theo, &ann).await;
    let phone = new_phone(&ann).await;
    let generator = Generator { dice: Dice::new(5), ids: Vec::new() };
    let mut run = Run {
        app: Arc::clone(&app),
        ann: ann.clone(),
        theo: theo.account.clone(),
        phone,
        generator,
        counts: BTreeMap::new(),
    };
    let mut reader = Reader::default();
    #[expect(clippy::disallowed_methods, reason = "the tests' own configuration")]
    let batches = std::env::var("AFTERGLOW_BATCHES").map_or(60, |count| count.parse().unwrap());
    for number in 0..batches {
        println!("batch {number}");
        run.batch().await;
        reader.pull(&theo, 50).await;
    }
    run.phone.equals(&new_phone(&ann).await);
    let same = run.phone.compare(&ann).await;
    assert_eq!((&same["differ"], &same["missing"]), (&json!([]), &json!([])));
    reader.holds_what_it_may_see(&theo, &[&ann]).await;
    reader.equals(&new_reader(&theo).await);
    println!("{:?}", run.counts);
    for kind in &KINDS {
        let (stored, refused) = run.counts[kind.name];
        assert!(stored > 1 && refused > 1, "{}: {:?}", kind.name, run.counts);
    }
}
