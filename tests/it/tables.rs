//! Each table belongs to one slice, whose store alone names it; and whoever touches patients' data without a door is
//! known.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::sources::{Source, shipped};

/// Which slice owns each table.
const OWNER_OF_TABLE: &[(&str, &str)] = &[
    ("account_heads", "identity"),
    ("accounts", "identity"),
    ("refresh_tokens", "identity"),
    ("sessions", "identity"),
    ("log_in_failures", "identity"),
    ("second_factors", "identity"),
    ("passkeys", "identity"),
    ("passkey_ceremonies", "identity"),
    ("letters", "letters"),
    ("owner_notices", "identity"),
    ("address_proofs", "letters"),
    ("care_links", "care"),
    ("transfers", "care"),
    ("covers", "care"),
    ("team_grants", "care"),
    ("emergencies", "care"),
    ("clinics", "care"),
    ("protocols", "protocols"),
    ("clinic_plans", "protocols"),
    ("grant_items", "care"),
    ("grant_readers", "care"),
    ("grants", "care"),
    ("invitations", "onboarding"),
    ("staff_resets", "care"),
    ("receipts", "care"),
    ("patients", "care"),
    ("settings", "db"),
    ("staff_members", "care"),
    ("patient_heads", "changes"),
    ("changes", "changes"),
    ("revocations", "changes"),
    ("closings", "changes"),
    ("patient_settings", "settings"),
    ("calendars", "calendar"),
    ("devices", "devices"),
    ("consents", "consents"),
    ("audit_log", "audit"),
    ("idempotency_records", "idempotency"),
    ("mutations", "sync"),
    ("feed", "feed"),
    ("feed_backlog", "feed"),
    ("feed_heads", "feed"),
    ("infusions", "course"),
    ("pauses", "course"),
    ("prompts", "prompts"),
    ("deliveries", "delivery"),
    ("revisions", "items"),
    ("comments", "journal"),
    ("entries", "journal"),
    ("assignments", "exercises"),
    ("exercise_responses", "exercises"),
    ("installation", "vault"),
    ("signing_keys", "vault"),
    ("wrapped_keys", "vault"),
    ("audit_anchors", "vault"),
];

/// What may name a table of another slice: file, table, why. An entry that is not needed fails.
const SHORT_LIST: &[(&str, &str, &str)] = &[
    (
        "audit/store.rs",
        "patient_heads",
        "the head of a patient's audit chain stands in the row that a unit locks anyway",
    ),
    ("audit/store.rs", "account_heads", "the same of an account"),
    (
        "course/store/context.rs",
        "patient_settings",
        "the context of what is written is one statement on the hottest path: settings with infusions",
    ),
    ("course/store/context.rs", "changes", "whether an infusion has changed is a column of that statement"),
    ("delivery/store.rs", "accounts", "whether the account of the patient is disabled is a column of that statement"),
    ("delivery/store.rs", "care_links", "the lane of what comes due, by clinic, is a column of that statement"),
    ("delivery/store.rs", "entries", "whether a dial was set lately is a column of that statement"),
    ("delivery/store.rs", "exercise_responses", "the same"),
    ("delivery/store.rs", "infusions", "whether a session has just begun is a column of that statement"),
    ("delivery/store.rs", "patient_settings", "a batch is judged from one statement: prompts with settings"),
    ("delivery/store.rs", "prompts", "claiming what is due is one statement"),
    ("care/store.rs", "consents", "the ledger copies the sealed document of a consent that was withdrawn"),
    (
        "delivery/store/outcomes.rs",
        "prompts",
        "that deliveries and their prompts have left is one statement on PostgreSQL",
    ),
    ("letters/notifying.rs", "owner_notices", "what happened to an account says when a letter is to be written"),
    ("audit/anchoring.rs", "account_heads", "the head of a chain says when it is to be anchored"),
    ("audit/anchoring.rs", "patient_heads", "the head of a chain says when it is to be anchored"),
    ("exercises/assignments/store.rs", "care_links", "who may see an assignment is a condition of the same statement"),
    ("items/store/create.rs", "changes", "the hottest write is one statement on PostgreSQL"),
    ("items/store/create.rs", "patient_heads", "the hottest write is one statement on PostgreSQL"),
    ("onboarding/store.rs", "patient_heads", "registration inserts a patient with their head"),
    ("onboarding/store.rs", "patients", "registration inserts the row of a patient"),
    ("schedule/store.rs", "care_links", "the facts that every plan asks for are one statement"),
    ("schedule/store.rs", "changes", "the same"),
    ("schedule/store.rs", "entries", "the same"),
    ("schedule/store.rs", "exercise_responses", "the same"),
    ("schedule/store.rs", "grant_items", "the same"),
    ("schedule/store.rs", "grants", "the same"),
    ("schedule/store.rs", "patient_heads", "whether the plan awaits an entry stands in the row that each entry locks"),
    ("schedule/store.rs", "patient_settings", "a fact that every plan asks for"),
    ("schedule/store.rs", "patients", "when a plan is due, and its version, stand in the patient's row"),
];

/// Who makes an access or a leave for the server itself, without a door: file, what, why. An entry that is not needed
/// fails.
const FOR_SERVER: &[(&str, &str, &str)] = &[
    ("calendar/actions.rs", "Access::<Read>", "whoever has the secret address reads what the patient has ticked"),
    ("delivery/actions.rs", "Access::<Read>", "what may still be sent is judged from the opened prompt"),
    ("delivery/due.rs", "Access::<Read>", "after an outage the one prompt that still goes out is chosen"),
    ("delivery/due.rs", "WriteScope", "the choice is stored under the lock on the patient's head"),
    ("delivery/lighter.rs", "Access::<Read>", "what asks too much is judged from the newest dials"),
    ("delivery/lighter.rs", "WriteScope", "what comes in its place is stored under the lock on the patient's head"),
    ("care/grants/timed.rs", "WriteScope", "a grant begins and ends by time"),
    ("care/revocations.rs", "Access::<Read>", "what was revoked is entered in the ledger after its unit"),
    ("feed/step.rs", "Access::<Read>", "what readers see is found at the end of the unit of whoever changed it"),
    ("items/deletion.rs", "WriteScope", "purging spans patients"),
    ("schedule/horizon.rs", "Access::<Read>", "a plan is made beside the writer, which stores it if it still holds"),
    ("schedule/horizon.rs", "WriteScope", "a plan grows with time"),
];

/// The file as it stands, comments aside: SQL is text.
fn text(source: &Source) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(&source.name);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The tables of `src/db/schema.rs`.
fn tables() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/db/schema.rs");
    let schema = std::fs::read_to_string(path).unwrap();
    let named =
        schema.lines().filter_map(|line| line.strip_suffix(") {")?.trim().split_once(" (").map(|(name, _)| name));
    named.map(str::to_owned).collect()
}

/// The tables that a file names: as diesel knows them, in SQL text, and in what a task heeds.
fn named(source: &Source, tables: &BTreeSet<String>) -> BTreeSet<String> {
    let paths = source.paths().into_iter().filter(|path| path.starts_with(&["db".to_owned(), "schema".to_owned()]));
    let mut found: BTreeSet<String> = paths.filter_map(|path| path.get(2).cloned()).collect();
    let text = text(source);
    for mark in ["FROM ", "INTO ", "UPDATE ", "JOIN ", "Due::at(\""] {
        for (at, _) in text.match_indices(mark) {
            let rest = &text[at + mark.len()..];
            found.insert(rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect());
        }
    }
    found.retain(|name| tables.contains(name));
    found
}

#[test]
fn each_table_is_named_by_its_owner_and_a_short_listed_few() {
    let owners: BTreeMap<&str, &str> = OWNER_OF_TABLE.iter().copied().collect();
    let tables = tables();
    assert!(tables.len() > 20, "the schema is read wrongly: {tables:?}");
    for table in &tables {
        assert!(owners.contains_key(table.as_str()), "{table} has no owner: say in OWNER_OF_TABLE which slice it is");
    }
    for table in owners.keys() {
        assert!(tables.contains(*table), "{table} is no table");
    }
    let mut faults = Vec::new();
    let mut needed = BTreeSet::new();
    for source in shipped().iter().filter(|source| source.slice() != "db") {
        for table in named(source, &tables) {
            if owners[table.as_str()] == source.slice() {
                continue;
            }
            let excused = |(file, of, _): &&(&str, &str, &str)| *file == source.name && *of == table;
            match SHORT_LIST.iter().find(excused) {
                Some((file, of, _)) => drop(needed.insert((*file, *of))),
                None => {
                    faults.push(format!("src/{} names {table}, which is {}'s", source.name, owners[table.as_str()]))
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}\n\nAsk the store of the slice that owns the table.", faults.join("\n"));
    for (file, table, _) in SHORT_LIST.iter() {
        assert!(
            needed.contains(&(*file, *table)),
            "{file} does not name {table} any more: take the entry off the list"
        );
    }
}

#[test]
fn whoever_works_for_the_server_itself_is_known() {
    let mut found = BTreeSet::new();
    for source in shipped().iter().filter(|source| !source.is(&["care/access.rs", "care/write_scope.rs"])) {
        for (at, _) in source.code.match_indices("for_server") {
            let before = source.code[..at].trim_end_matches("::");
            let start = before.rfind(|c: char| !(c.is_alphanumeric() || "_:<>".contains(c))).map_or(0, |at| at + 1);
            let kind = before[start..]
                .replace("crate::care::access::", "")
                .replace("crate::care::write_scope::", "")
                .replace("crate::care::", "");
            found.insert((source.name.clone(), kind));
        }
    }
    let known: BTreeSet<(String, String)> =
        FOR_SERVER.iter().map(|(file, what, _)| ((*file).to_owned(), (*what).to_owned())).collect();
    let new: Vec<_> = found.difference(&known).collect();
    assert!(new.is_empty(), "{new:?}: go through a door, or say in FOR_SERVER why not");
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "{gone:?} are no longer needed in FOR_SERVER");
}
