//! S13: what lies on the disk says nothing of what anybody wrote, answered, was asked, took or felt.

use std::collections::{BTreeMap, BTreeSet};

use afterglow::db::Backend;
use afterglow::planning::Protocol;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Nullable, Text};
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::canaries::{Left, MARK, Search, journey, stands};
use crate::support::child::Web;
use crate::support::database::{Count, Database, on_postgres};
use crate::support::journal::{reflection, two};
use crate::support::sql::Sql;

/// Everything in the clear that is a word, and why.
///
/// A care link's state, an account's kind and a delivery's state and channel are what queries across patients select
/// by; none says what somebody wrote, answered, was asked, took or felt. The rest of the database is numbers, ids,
/// instants, keyed hashes and sealed values.
const WORDS: &[(&str, &str, &[&str])] = &[
    (
        "settings",
        "name",
        &[
            "epoch",
            "first_run_code",
            "first_run_admin",
            "first_run_code_used",
            "installation",
            "keyring_generation",
            "time_zones",
        ],
    ),
    ("accounts", "kind", &["patient", "staff"]),
    ("care_links", "state", &["accepted", "active", "ended"]),
    ("transfers", "state", &["offered", "accepted", "declined", "withdrawn"]),
    ("deliveries", "channel", &["log"]),
    ("deliveries", "state", &["waiting", "leased", "sent", "lapsed"]),
    ("protocols", "state", &["draft", "published", "retired"]),
];

/// Lists of ids, of sixteen bytes each.
const IDS: &[(&str, &str)] = &[("feed_backlog", "things")];

/// Binary columns that hold no sealed value: ids apart, keyed hashes and a random seed.
const HASHES: &[(&str, &str)] = &[
    ("accounts", "email_key"),
    ("log_in_failures", "counter"),
    ("address_proofs", "code_hash"),
    ("address_proofs", "email_key"),
    ("passkeys", "credential_key"),
    ("passkey_ceremonies", "ceremony_key"),
    ("account_heads", "audit_mac"),
    ("refresh_tokens", "hash"),
    ("invitations", "code_hash"),
    ("staff_resets", "code_hash"),
    ("invitations", "email_key"),
    ("patient_heads", "audit_mac"),
    ("idempotency_records", "key_hash"),
    ("idempotency_records", "fingerprint"),
    ("mutations", "fingerprint"),
    ("calendars", "address_key"),
    ("devices", "reach_key"),
];

/// The columns that hold sealed values.
pub const SEALED: &[(&str, &str)] = &[
    ("accounts", "profile"),
    ("accounts", "credential"),
    ("sessions", "doc"),
    ("second_factors", "doc"),
    ("passkeys", "doc"),
    ("letters", "doc"),
    ("clinics", "doc"),
    ("protocols", "doc"),
    ("invitations", "doc"),
    ("emergencies", "doc"),
    ("patient_settings", "doc"),
    ("patient_settings", "cautions"),
    ("calendars", "doc"),
    ("devices", "doc"),
    ("consents", "doc"),
    ("grants", "doc"),
    ("infusions", "doc"),
    ("pauses", "doc"),
    ("prompts", "doc"),
    ("entries", "meta"),
    ("entries", "text"),
    ("entries", "mood"),
    ("entries", "tags"),
    ("entries", "attachments"),
    ("revisions", "sealed"),
    ("exercise_responses", "meta"),
    ("exercise_responses", "answers"),
    ("exercise_responses", "distress"),
    ("assignments", "doc"),
    ("comments", "doc"),
    ("audit_log", "doc"),
];

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    t: String,
    #[diesel(sql_type = Text)]
    c: String,
    #[diesel(sql_type = Text)]
    kind: String,
}

#[derive(QueryableByName)]
struct Blob {
    #[diesel(sql_type = Nullable<Binary>)]
    b: Option<Vec<u8>>,
}

#[derive(QueryableByName)]
struct Said {
    #[diesel(sql_type = Nullable<Text>)]
    s: Option<String>,
}

fn columns(sql: &mut Sql) -> Vec<Column> {
    let query = if on_postgres() {
        "SELECT table_name::text AS t, column_name::text AS c, data_type::text AS kind FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_%' ORDER BY table_name, ordinal_position"
    } else {
        "SELECT m.name AS t, i.name AS c, lower(i.type) AS kind FROM sqlite_master m, pragma_table_info(m.name) i \
         WHERE m.type = 'table' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\' AND m.name NOT LIKE 'sqlite%' ORDER BY m.name, i.cid"
    };
    sql.rows(query)
}

async fn lived() -> (std::sync::Arc<TestApp>, Left, Web) {
    let database = Database::fresh();
    let clock = afterglow::kernel::Clock::System;
    let app = TestApp::on(database, clock, |_| {}).await;
    let web = Web::new(&app.url);
    let left = journey(&web, &app.first_run_code().await.unwrap()).await;
    (app, left, web)
}

/// Files as they lie on the disk, and on PostgreSQL the text of every row.
fn remains(app: &TestApp) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![app.database.folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    if on_postgres() {
        let mut sql = Sql::open(&app.database.backend);
        let tables: BTreeSet<String> = columns(&mut sql).into_iter().map(|column| column.t).collect();
        for table in tables {
            let rows: Vec<Said> = sql.rows(&format!("SELECT t::text AS s FROM {table} t"));
            let dump: String = rows.into_iter().filter_map(|row| row.s).collect::<Vec<_>>().join("\n");
            files.push((table, dump.into_bytes()));
        }
    }
    files
}

/// Words that follow from what was said, in the forms in which a document would hold them.
fn derived() -> Vec<String> {
    let mut words: Vec<String> = Protocol::default_v1().rules.iter().map(|rule| rule.key.clone()).collect();
    words.extend(afterglow::exercises::catalogue::newest().map(|exercise| exercise.key.clone()));
    words.extend(afterglow::settings::CautionFlag::ALL.map(|flag| format!("\"{}\"", flag.name())));
    let quoted = [
        "get_exercise_response",
        "withdrawn",
        "reflection",
        "fragment",
        "note",
        "dream",
        "intention",
        "safety",
        "measure",
        "exercise",
        "preparation",
        "habit",
        "iv_infusion",
        "in_esketamine",
        "completed",
        "planned",
        "cancelled",
        "snoozed",
        "skipped",
        "opened",
        "acute",
        "settling",
        "peak",
        "consolidate",
        "closing",
        "maintenance",
        "clinic",
        "wednesday",
        "therapist",
        "record",
        "care",
        "list_entries",
        "get_entry",
        "mark_entry_opened",
        "paused",
        "window",
    ];
    words.extend(quoted.map(|word| format!("\"{word}\"")));
    words.extend(
        [
            "Pacific/Chatham",
            "America/Argentina/Ushuaia",
            "\"valence\":7",
            "\"distress\":1",
            "valence",
            "distress",
            "36.5",
            "71.25",
            "dose_mg",
            "rule_key",
            "21:17",
            "07:43",
            "$argon2",
            "iv_infusion",
            "in_esketamine",
        ]
        .map(str::to_owned),
    );
    words.retain(|word| word.len() >= 6);
    words
}

#[actix_web::test]
async fn s13_nothing_of_what_was_said_or_follows_from_it_lies_in_the_clear() {
    let (app, left, web) = lived().await;
    // What an untouched database says anyway: names of tables and columns.
    let untouched = Database::fresh();
    let files = remains(&app);
    let schema = match &untouched.backend {
        Backend::Sqlite(path) => std::fs::read(path).unwrap(),
        Backend::Postgres(_) => Vec::new(),
    };
    if !on_postgres() {
        let names: Vec<_> = files.iter().map(|(name, _)| name.clone()).collect();
        for end in
            ["afterglow.sqlite", "afterglow.sqlite-wal", "afterglow.sqlite-shm", "keyring.sqlite", "keyring.sqlite-wal"]
        {
            assert!(names.iter().any(|name| name.ends_with(end)), "{end} is not among {names:?}");
        }
    }
    let mut words = derived();
    words.extend([MARK.to_owned()]);
    words.extend(left.codes.iter().cloned());
    words.extend(left.codes.iter().map(|code| code.replace('-', "")));
    words.extend(left.keys.clone());
    words.extend(left.accounts.clone());
    words.extend(web.secrets.lock().unwrap().clone());
    words.retain(|word| !stands(word, &schema));
    let search = Search::of(&words);
    let mut faults = Vec::new();
    for (name, bytes) in &files {
        faults.extend(search.hits(bytes).into_iter().map(|(word, around)| format!("{word} in {name}: {around}")));
    }
    assert!(faults.is_empty(), "{} words: {:#?}", faults.len(), &faults[..faults.len().min(12)]);
    // The search finds what is there.
    let links = files.iter().filter(|(_, bytes)| stands("active", bytes)).count();
    assert!(links > 0, "the state of a care link is in the clear, and was not found");
}

#[actix_web::test]
async fn s13_every_column_is_a_number_an_id_a_hash_a_listed_word_or_sealed() {
    let (app, _left, _web) = lived().await;
    let mut sql = Sql::open(&app.database.backend);
    let (mut words, mut blobs) = (BTreeSet::new(), BTreeSet::new());
    for Column { t, c, kind } in columns(&mut sql) {
        match kind.as_str() {
            "text" => drop(words.insert((t, c))),
            "blob" | "bytea" => drop(blobs.insert((t, c))),
            "integer" | "bigint" | "uuid" | "boolean" | "timestamp with time zone" | "smallint" => {}
            other => panic!("{t}.{c} is a {other}"),
        }
    }
    let listed: BTreeSet<_> = WORDS.iter().map(|(t, c, _)| ((*t).to_owned(), (*c).to_owned())).collect();
    assert_eq!(words, listed, "words in the clear");
    for (table, column, known) in WORDS {
        for row in sql.rows::<Said>(&format!("SELECT DISTINCT {column} AS s FROM {table}")) {
            let word = row.s.unwrap();
            assert!(known.contains(&word.as_str()), "{table}.{column} says {word:?}");
        }
    }
    for (table, column) in IDS {
        let odd = format!("SELECT count(*) AS n FROM {table} WHERE length({column}) % 16 <> 0");
        assert_eq!(sql.rows::<Count>(&odd)[0].n, 0, "{table}.{column} is no list of ids");
    }
    // On SQLite ids are blobs too: of sixteen bytes.
    for (table, column) in blobs {
        let pair = (table.as_str(), column.as_str());
        if IDS.contains(&pair)
            || HASHES.contains(&pair)
            || SEALED.contains(&pair)
            || column == "mac"
            || pair == ("settings", "value")
        {
            continue;
        }
        assert!(!on_postgres(), "{table}.{column} is neither a hash nor sealed");
        let odd = format!("SELECT count(*) AS n FROM {table} WHERE {column} IS NOT NULL AND length({column}) <> 16");
        assert_eq!(sql.rows::<Count>(&odd)[0].n, 0, "{table}.{column} is no id");
    }
    for (table, column) in HASHES {
        let odd = format!("SELECT count(*) AS n FROM {table} WHERE length({column}) <> 32");
        let odd = sql.rows::<Count>(&odd)[0].n;
        let empty = format!("SELECT count(*) AS n FROM {table} WHERE length({column}) = 0");
        let empty = sql.rows::<Count>(&empty)[0].n;
        assert_eq!(odd, empty, "{table}.{column} is no hash of 32 bytes");
    }
    // The server's own values: seeds, an id with its MAC, a count.
    let odd = "SELECT count(*) AS n FROM settings WHERE NOT (name IN ('first_run_code', 'first_run_code_used') AND \
               length(value) = 32 OR name = 'installation' AND length(value) = 48 OR name IN ('first_run_admin', 'epoch') AND length(value) = 16 OR name = 'keyring_generation' AND \
               length(value) = 8)";
    assert_eq!(sql.rows::<Count>(odd)[0].n, 0, "settings.value holds something else");
}

#[actix_web::test]
async fn s13_sealed_values_are_padded_and_their_nonces_unique() {
    let (app, _left, _web) = lived().await;
    let mut sql = Sql::open(&app.database.backend);
    let mut nonces: BTreeMap<Vec<u8>, String> = BTreeMap::new();
    let mut empty = Vec::new();
    for (table, column) in SEALED {
        let rows: Vec<Blob> = sql.rows(&format!("SELECT {column} AS b FROM {table} WHERE {column} IS NOT NULL"));
        if rows.is_empty() {
            empty.push(*column);
        }
        for Blob { b } in rows {
            let value = b.unwrap();
            assert_eq!(value[0], 1, "{table}.{column}: format");
            assert!(value.len() > 33 + 255 && (value.len() - 33) % 256 == 0, "{table}.{column}: {} bytes", value.len());
            let other = nonces.insert(value[5..17].to_vec(), format!("{table}.{column}"));
            assert!(other.is_none_or(|other| other == "revisions.sealed"), "a nonce twice: {table}.{column}");
        }
    }
    assert!(nonces.len() > 50, "too few: {}", nonces.len());
    assert_eq!(empty, ["attachments"], "columns that the journey does not fill");
}

#[actix_web::test]
async fn s13_a_sealed_value_opens_in_its_own_place_only() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    let first = ann.writes(reflection(&format!("{MARK} first"))).await;
    let second = ann.writes(reflection(&format!("{MARK} second"))).await;
    let others = ben.writes(reflection(&format!("{MARK} Ben's"))).await;
    let mut sql = Sql::open(&app.database.backend);
    let literal = |id: &str| {
        let hex = id.replace('-', "");
        if on_postgres() { format!("'{id}'") } else { format!("x'{hex}'") }
    };
    let (one, two, bens) = (literal(&first), literal(&second), literal(&others));
    let swaps = [
        // Between columns of a row, rows of a patient, patients; an older text in a newer row.
        format!("UPDATE entries SET text = mood WHERE id = {one}"),
        format!("UPDATE entries SET tags = meta WHERE id = {one}"),
        format!("UPDATE entries SET text = (SELECT text FROM entries e WHERE e.id = {two}) WHERE id = {one}"),
        format!("UPDATE entries SET mood = (SELECT mood FROM entries e WHERE e.id = {two}) WHERE id = {one}"),
        format!("UPDATE entries SET meta = (SELECT meta FROM entries e WHERE e.id = {bens}) WHERE id = {one}"),
        format!("UPDATE entries SET text = (SELECT text FROM entries e WHERE e.id = {bens}) WHERE id = {one}"),
        format!("UPDATE entries SET text_rev = text_rev + 1 WHERE id = {one}"),
    ];
    sql.run("CREATE TABLE kept AS SELECT * FROM entries");
    for swap in swaps {
        sql.run(&swap);
        let answer = ann.entry(&first).await.expect(500).refused("unreadable");
        assert!(!String::from_utf8_lossy(&answer.bytes).contains(MARK), "{swap}");
        assert_eq!(answer.body["retryable"], json!(true));
        assert!(answer.body.get("detail").is_none() && answer.body.get("errors").is_none(), "{swap}: {}", answer.body);
        ann.entry(&second).await.ok();
        app.get("/readyz").send().await.ok();
        sql.run(
            "UPDATE entries SET meta = (SELECT meta FROM kept k WHERE k.id = entries.id), \
             text = (SELECT text FROM kept k WHERE k.id = entries.id), mood = (SELECT mood FROM kept k WHERE k.id = entries.id), \
             tags = (SELECT tags FROM kept k WHERE k.id = entries.id), text_rev = (SELECT text_rev FROM kept k WHERE k.id = entries.id)",
        );
        assert_eq!(ann.entry(&first).await.ok().body["text"]["title"], format!("{MARK} first"), "{swap}");
    }
    // Names, settings and infusions are bound as well.
    sql.run("UPDATE accounts SET profile = credential");
    ann.get("/v1/me").send().await.expect(500);
}
