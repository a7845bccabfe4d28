//! R13: migrations run once, survive being killed, refuse what they do not know, and make the same tables everywhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use afterglow::db::Backend;
use afterglow::db::migrate::{self, Family};
use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel::sqlite::SqliteConnection;

use crate::support::database::{Count, Database, on_postgres};
use crate::support::sql::Sql;

/// Every table, with every column and whether it may be null.
type Tables = BTreeMap<String, BTreeMap<String, bool>>;

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Bool)]
    nullable: bool,
}

enum Conn {
    Sqlite(SqliteConnection),
    Pg(PgConnection),
}

impl Conn {
    fn to(backend: &Backend) -> Self {
        match backend {
            Backend::Sqlite(path) => Self::Sqlite(SqliteConnection::establish(path.to_str().unwrap()).unwrap()),
            Backend::Postgres(url) => Self::Pg(PgConnection::establish(url).unwrap()),
        }
    }

    fn run(&mut self, sql: &str) {
        match self {
            Self::Sqlite(conn) => conn.batch_execute(sql).unwrap(),
            Self::Pg(conn) => conn.batch_execute(sql).unwrap(),
        }
    }

    fn tables(&mut self) -> Tables {
        let columns: Vec<Column> = match self {
            Self::Sqlite(conn) => diesel::sql_query(
                "SELECT m.name AS table_name, c.name AS column_name, c.\"notnull\" = 0 AS nullable \
                 FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'",
            )
            .load(conn)
            .unwrap(),
            Self::Pg(conn) => diesel::sql_query(
                "SELECT table_name::text, column_name::text, is_nullable = 'YES' AS nullable \
                 FROM information_schema.columns WHERE table_schema = 'public'",
            )
            .load(conn)
            .unwrap(),
        };
        let mut tables = Tables::new();
        for Column { table_name, column_name, nullable } in
            columns.into_iter().filter(|c| !c.table_name.starts_with("__"))
        {
            tables.entry(table_name).or_default().insert(column_name, nullable);
        }
        tables
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(name)
}

/// The migrations of a folder: version and name, SQL.
fn written(name: &str) -> BTreeMap<String, String> {
    let folders = std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let sql = std::fs::read_to_string(path.join("up.sql")).unwrap();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), sql)
    };
    folders.filter(|path| path.is_dir()).map(read).collect()
}

/// The tables that the SQL of a folder makes, read as text.
fn declared(name: &str) -> Tables {
    let mut tables = Tables::new();
    for sql in written(name).values() {
        let bare: String = sql.lines().map(|line| line.split("--").next().unwrap()).collect::<Vec<_>>().join("\n");
        for statement in bare.split(';') {
            let words: Vec<&str> = statement.split_whitespace().collect();
            match words.as_slice() {
                ["ALTER", "TABLE", old, "RENAME", "TO", new] => {
                    let columns = tables.remove(*old).unwrap();
                    tables.insert((*new).to_owned(), columns);
                }
                ["ALTER", "TABLE", table, "ADD", "COLUMN", name, rest @ ..] => {
                    tables.get_mut(*table).unwrap().insert((*name).to_owned(), !rest.contains(&"NOT"));
                }
                ["DROP", "TABLE", table] => drop(tables.remove(*table).unwrap()),
                ["ALTER", "TABLE", table, "DROP", "COLUMN", name] => {
                    tables.get_mut(*table).unwrap().remove(*name).unwrap();
                }
                ["ALTER", "TABLE", table, "RENAME", "COLUMN", old, "TO", new] => {
                    let columns = tables.get_mut(*table).unwrap();
                    let nullable = columns.remove(*old).unwrap();
                    columns.insert((*new).to_owned(), nullable);
                }
                _ => {}
            }
            let Some(rest) = statement.trim().strip_prefix("CREATE TABLE ") else { continue };
            let (table, body) = rest.split_once('(').unwrap();
            let columns = tables.entry(table.trim().to_owned()).or_default();
            for line in body.rsplit_once(')').unwrap().0.lines().map(str::trim).filter(|line| !line.is_empty()) {
                let first = line.split([' ', '(']).next().unwrap();
                if !["PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "CONSTRAINT"].contains(&first) {
                    columns.insert(first.to_owned(), !line.contains("NOT NULL"));
                }
            }
        }
    }
    tables
}

#[test]
fn migrating_twice_changes_nothing() {
    let database = Database::fresh();
    let before = Conn::to(&database.backend).tables();
    for _ in 0..2 {
        assert!(migrate::run(&database.backend, Family::Main).unwrap().is_empty());
    }
    assert_eq!(Conn::to(&database.backend).tables(), before);
    assert!(before.len() > 10, "{before:?}");
}

#[test]
fn servers_that_start_at_once_migrate_once() {
    let database = empty();
    let runs: Vec<_> = (0..4)
        .map(|_| {
            let backend = database.backend.clone();
            std::thread::spawn(move || migrate::run(&backend, Family::Main).map(|added| added.len()))
        })
        .collect();
    let added: Vec<usize> = runs.into_iter().map(|run| run.join().unwrap().unwrap()).collect();
    assert_eq!(added.iter().sum::<usize>(), written("sqlite").len(), "{added:?}");
}

#[test]
fn both_databases_have_the_same_migrations_tables_columns_and_nullability() {
    for (sqlite, postgres) in [("sqlite", "postgres"), ("keyring-sqlite", "keyring-postgres")] {
        let names = |name: &str| written(name).into_keys().collect::<Vec<_>>();
        assert_eq!(names(sqlite), names(postgres), "migrations come in pairs of the same name");
        assert_eq!(declared(sqlite), declared(postgres));
    }
    // And what is written is what is made.
    let database = Database::fresh();
    assert_eq!(Conn::to(&database.backend).tables(), declared("sqlite"));
}

#[test]
fn every_index_is_on_both_databases() {
    let indices = |name: &str| {
        let all = written(name).into_values().collect::<String>();
        let mut names: Vec<String> = all
            .split(';')
            .map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter_map(|statement| {
                let at = statement.find("CREATE INDEX").or_else(|| statement.find("CREATE UNIQUE INDEX"))?;
                Some(statement[at..].split(" ON ").next().unwrap().to_owned())
            })
            .collect();
        names.sort();
        names
    };
    assert_eq!(indices("sqlite"), indices("postgres"));
    assert!(!indices("sqlite").is_empty());
}

#[test]
fn a_database_of_a_newer_build_is_refused_and_left_alone() {
    let database = Database::fresh();
    let mut conn = Conn::to(&database.backend);
    conn.run("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')");
    let before = conn.tables();
    let refused = migrate::run(&database.backend, Family::Main).unwrap_err();
    let afterglow::kernel::Error::Internal(why) = refused else { panic!("{refused}") };
    assert!(why.to_string().contains("99990101000000") && why.to_string().contains("newer"), "{why}");
    assert_eq!(conn.tables(), before);
}

/// An empty database: the server's own, with everything in it dropped.
fn empty() -> Database {
    let database = Database::fresh();
    match &database.backend {
        Backend::Sqlite(path) => {
            for end in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{end}", path.display()));
            }
        }
        backend => Conn::to(backend).run("DROP SCHEMA public CASCADE; CREATE SCHEMA public"),
    }
    assert!(Conn::to(&database.backend).tables().is_empty());
    database
}

#[test]
fn a_migration_that_was_killed_half_way_runs_again() {
    let name = if on_postgres() { "postgres" } else { "sqlite" };
    let sql = written(name).into_values().next().unwrap();
    let statements: Vec<&str> = sql.split_inclusive(';').collect();
    for part in [1, statements.len() / 2, statements.len() - 1] {
        let database = empty();
        // The process is gone in the middle: its connection drops with the transaction open.
        let mut killed = Conn::to(&database.backend);
        killed.run("BEGIN");
        killed.run(&statements[..part].concat());
        drop(killed);
        assert!(Conn::to(&database.backend).tables().is_empty(), "{part}: half of a migration is there");
        assert_eq!(migrate::run(&database.backend, Family::Main).unwrap().len(), written(name).len());
        assert_eq!(Conn::to(&database.backend).tables(), declared(name), "{part}");
    }
}

#[test]
fn a_migration_that_fails_leaves_nothing_behind() {
    let database = empty();
    let mut conn = Conn::to(&database.backend);
    // In the way of a table that comes late.
    let last = sql_of_last_table();
    conn.run(&format!("CREATE TABLE {last} (id INTEGER)"));
    assert!(migrate::run(&database.backend, Family::Main).is_err());
    assert_eq!(conn.tables().into_keys().collect::<Vec<_>>(), std::slice::from_ref(&last));
    conn.run(&format!("DROP TABLE {last}"));
    assert_eq!(migrate::run(&database.backend, Family::Main).unwrap().len(), written("sqlite").len());
    assert_eq!(conn.tables(), declared("sqlite"));
}

/// A server's own statements are cut off after seconds, so that nobody waits for them. What a migration does to the
/// entries of a large clinic takes longer, and so does the wait of the server that starts beside it.
#[test]
fn a_migration_takes_the_time_that_the_data_of_a_large_clinic_need() {
    let database = empty();
    let Backend::Postgres(url) = &database.backend else { return };
    let mut conn = PgConnection::establish(url).unwrap();
    // Under which limits each migration is noted as done.
    conn.batch_execute(
        "CREATE TABLE __limits (statement text, waiting text); \
         CREATE TABLE __diesel_schema_migrations \
           (version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP); \
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           INSERT INTO __limits VALUES (current_setting('statement_timeout'), current_setting('lock_timeout')); \
           RETURN NEW; END $$; \
         CREATE TRIGGER note BEFORE INSERT ON __diesel_schema_migrations FOR EACH ROW EXECUTE FUNCTION note()",
    )
    .unwrap();
    let done = migrate::run(&database.backend, Family::Main).unwrap().len();
    let unlimited = "SELECT count(*) AS n FROM __limits WHERE statement = '0' AND waiting = '5s'";
    let Count { n } = diesel::sql_query(unlimited).get_result(&mut conn).unwrap();
    assert_eq!(usize::try_from(n).unwrap(), done);
}

fn sql_of_last_table() -> String {
    let sql = written("sqlite").into_values().next().unwrap();
    let (_, rest) = sql.rsplit_once("CREATE TABLE ").unwrap();
    rest.split(['(', ' ']).next().unwrap().to_owned()
}

#[test]
fn the_keyring_migrates_like_the_rest() {
    let database = empty();
    assert_eq!(migrate::run(&database.backend, Family::Keyring).unwrap().len(), written("keyring-sqlite").len());
    assert!(migrate::run(&database.backend, Family::Keyring).unwrap().is_empty());
    assert_eq!(Conn::to(&database.backend).tables(), declared("keyring-sqlite"));
}

/// Their versions differ, so each takes the other's for those of a build it does not know.
#[test]
fn a_keyring_is_not_taken_for_a_database_nor_the_other_way_round() {
    for (first, second) in [(Family::Keyring, Family::Main), (Family::Main, Family::Keyring)] {
        let database = empty();
        migrate::run(&database.backend, first).unwrap();
        let before = Conn::to(&database.backend).tables();
        assert!(migrate::run(&database.backend, second).is_err(), "{second:?} into {first:?}");
        assert_eq!(Conn::to(&database.backend).tables(), before);
    }
}

#[test]
fn openings_from_before_they_had_a_kind_are_kept_for_every_kind_of_their_id() {
    let postgres = on_postgres();
    let (name, bytes, time) =
        if postgres { ("postgres", "'\\x00'", "'2026-03-10Z'") } else { ("sqlite", "x'00'", "0") };
    let id = |n: u8| if postgres { format!("'{}'", uuid::Uuid::from_u128(n.into())) } else { format!("x'{n:032x}'") };
    let database = empty();
    let mut conn = Conn::to(&database.backend);
    let (older, newer): (Vec<_>, Vec<_>) =
        written(name).into_iter().partition(|(version, _)| version.as_str() < "00000000000020");
    older.iter().for_each(|(_, sql)| conn.run(sql));
    let item = |table: &str, sections: &[&str], n: u8| {
        let revisions: String = sections.iter().map(|section| format!(", {section}_rev")).collect();
        let zeros = ", 0".repeat(sections.len());
        format!(
            "INSERT INTO {table} (patient_id, id, version, meta, meta_rev{revisions}, draft, occurred_at, received_at, \
             updated_at) VALUES ({}, {}, 1, {bytes}, 1{zeros}, FALSE, {time}, {time}, {time})",
            id(1),
            id(n)
        )
    };
    for n in [5, 6] {
        conn.run(&item("entries", &["text", "mood", "tags", "attachments"], n));
    }
    for n in [6, 7] {
        conn.run(&item("exercise_responses", &["answers", "distress"], n));
    }
    for n in [5, 6, 7] {
        conn.run(&format!("INSERT INTO openings VALUES ({}, {}, {}, {time})", id(1), id(n), id(9)));
    }
    newer.iter().for_each(|(_, sql)| conn.run(sql));
    let mut outside = Sql::open(&database.backend);
    let mut count = |of: String| outside.rows::<Count>(&format!("SELECT count(*) AS n FROM receipts {of}"))[0].n;
    for (kind, n) in [(1, 5), (1, 6), (9, 6), (9, 7)] {
        let (patient, item, reader) = (id(1), id(n), id(9));
        let this = format!("patient_id = {patient} AND item_id = {item} AND account_id = {reader}");
        assert_eq!(count(format!("WHERE entity = {kind} AND opened_at = {time} AND {this}")), 1, "{kind} {n}");
    }
    assert_eq!(count(String::new()), 4);
}

#[test]
fn a_head_from_before_it_told_of_rules_says_whether_the_patient_has_an_open_grant_by_rule() {
    let postgres = on_postgres();
    let (name, bytes, time) =
        if postgres { ("postgres", "'\\x00'", "'2026-03-10Z'") } else { ("sqlite", "x'00'", "0") };
    let id = |n: u8| if postgres { format!("'{}'", uuid::Uuid::from_u128(n.into())) } else { format!("x'{n:032x}'") };
    let database = empty();
    let mut conn = Conn::to(&database.backend);
    let (older, newer): (Vec<_>, Vec<_>) =
        written(name).into_iter().partition(|(version, _)| version.as_str() < "00000000000044");
    older.iter().for_each(|(_, sql)| conn.run(sql));
    // The text of new reflections; the text of one entry; a rule that was ended.
    for (n, sections, closed) in [(1, 17, "NULL"), (2, 1, "NULL"), (3, 17, time)] {
        conn.run(&format!(
            "INSERT INTO patient_heads (patient_id, change_seq, audit_seq, audit_mac) VALUES ({}, 0, 0, {bytes})",
            id(n)
        ));
        conn.run(&format!(
            "INSERT INTO grants (patient_id, id, doc, sections, version, created_at, closed_at, mac) \
             VALUES ({}, {}, {bytes}, {sections}, 1, {time}, {closed}, {bytes})",
            id(n),
            id(9)
        ));
    }
    newer.iter().for_each(|(_, sql)| conn.run(sql));
    let mut outside = Sql::open(&database.backend);
    for (n, has_rules) in [(1, 1), (2, 0), (3, 0)] {
        let told = format!("SELECT count(*) AS n FROM patient_heads WHERE has_rules AND patient_id = {}", id(n));
        assert_eq!(outside.rows::<Count>(&told)[0].n, has_rules, "{n}");
    }
}
