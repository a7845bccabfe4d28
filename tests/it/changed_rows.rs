//! Whoever can write the database, and has no keys, lets nobody in: rows that decide on access are believed only with
//! their MAC.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::Text;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_id};
use crate::support::authenticator::with_passkey;
use crate::support::exercises::work;
use crate::support::journal::{grant, reflection, with};
use crate::support::people::{PASSPHRASE, Person, registration};
use crate::support::protocols::{at, content, publishes};
use crate::support::sql::Sql;

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    word: String,
}

/// Two patients with therapists, a nurse, an admin, and words of theirs that only some may read. Each row that decides
/// has a twin that decides for somebody else: with the value of its twin in any column it would open a door.
struct Scene {
    app: Arc<TestApp>,
    /// An access and a refresh token of each.
    tokens: BTreeMap<&'static str, (String, String)>,
    /// What can be asked for without a change.
    paths: Vec<String>,
    /// Codes that are used, revoked, expired or bound to the address of somebody else.
    codes: Vec<String>,
}

fn titled(word: &str) -> Value {
    with(reflection(word), json!({ "text": { "title": word, "body": word }, "tags": [] }))
}

/// The words that are looked for in what anybody is answered.
const WORDS: [&str; 13] = [
    "annopen",
    "annclosed",
    "annended",
    "annexpired",
    "anncomment",
    "annnote",
    "beaopen",
    "beaclosed",
    "beavic",
    "annasked",
    "vicnote",
    "Ann Lind",
    "Bea Roth",
];

impl Scene {
    async fn set() -> Self {
        let app = TestApp::start().await;
        let admin = app.admin().await;
        let theo = app.staff(&admin, "Theo Brandt", &["care"]).await;
        let una = app.staff(&admin, "Una Falk", &["care"]).await;
        let vic = app.staff(&admin, "Vic Dorn", &["care"]).await;
        let rex = app.staff(&admin, "Rex Holm", &["record"]).await;
        let mut codes = vec![theo.code_for_patient().await, admin.code_for_staff(&["care", "record"]).await];
        let ann = app.register("Ann Lind", &codes[0]).await;
        let gone = app.register("Gus Gone", &codes[1]).await;
        ann.linked_to(&theo).await;
        ann.linked_to(&una).await;
        let bea = app.patient(&una, "Bea Roth").await;
        let beas_vic = bea.linked_to(&vic).await;
        for who in [&ann, &bea] {
            who.act("/v1/me/factors/totp").send().await.ok();
            with_passkey(who).await;
        }

        let mut paths = Vec::new();
        for (who, word) in
            [(&ann, "annopen"), (&ann, "annclosed"), (&bea, "beaopen"), (&bea, "beaclosed"), (&bea, "beavic")]
        {
            let entry = who.writes(titled(word)).await;
            paths.push(who.of_theirs(&format!("/entries/{entry}")));
            if word == "annopen" {
                who.opens(&entry, &["text"], &theo).await;
                who.opens(&entry, &["mood"], &una).await;
                let comment = json!({ "body": "anncomment" });
                let comments = who.of_theirs(&format!("/entries/{entry}/comments"));
                theo.says(&comments, comment).send().await.created();
                una.says(&comments, json!({ "body": "una's own" })).send().await.created();
                paths.push(comments);
            }
            if word == "beaopen" {
                who.opens(&entry, &["text"], &una).await;
            }
            if word == "beavic" {
                who.opens(&entry, &["text"], &vic).await;
                let comments = who.of_theirs(&format!("/entries/{entry}/comments"));
                let answer = json!({ "body": "for Vic", "thread_id": beas_vic });
                who.says(&comments, answer).send().await.created();
                paths.push(comments);
            }
        }
        let entry = ann.writes(titled("annended")).await;
        let ended = ann.opens(&entry, &["text"], &una).await;
        let asked = ann.of_theirs(&format!("/entries/{entry}/comments"));
        una.says(&asked, json!({ "body": "annasked" })).send().await.created();
        ann.revokes(&ended).await;
        let entry = ann.writes(titled("annexpired")).await;
        let until = json!({ "expires_at": (app.now() + SignedDuration::from_mins(2)).to_string() });
        ann.put_grant(&new_id(&app), with(grant(&entry, &["text"], &una), until)).send().await.created();
        let response = ann.works(work()).await;
        ann.opens_response(&response, &["answers"], &theo).await;
        let assignment = json!({ "exercise_key": "values-sort", "note": "annnote" });
        let place = ann.of_theirs(&format!("/assignments/{}", new_id(&app)));
        theo.put(&place, assignment).send().await.created();
        una.assigns(&ann, "box-breath").await;
        let place = bea.of_theirs(&format!("/assignments/{}", new_id(&app)));
        let assignment = json!({ "exercise_key": "values-sort", "note": "vicnote" });
        vic.put(&place, assignment).send().await.created();
        for who in [&ann, &bea] {
            who.agrees("sharing").await;
            who.agrees("research").await;
            who.withdraws("research").await;
        }
        let gus = json!({ "ended": true });
        let wish = json!({ "kind": "staff", "capabilities": ["care", "admin"] });
        let made = admin.post("/v1/invitations", wish.clone()).send().await.created();
        let clinic = made.text("/clinic_id");
        admin.patch(&format!("/v1/clinics/{clinic}/members/{}", gone.account), gus).if_match("*").send().await.ok();
        admin.delete(&format!("/v1/invitations/{}", made.text("/id"))).send().await.no_content();
        let bound = with(wish, json!({ "email": "somebody@lakeside.example" }));
        codes.push(made.text("/code"));
        codes.push(admin.post("/v1/invitations", bound).send().await.created().text("/code"));
        let out = una.post("/v1/invitations", json!({ "kind": "patient" })).send().await.created();
        codes.push(out.text("/code"));
        una.delete(&format!("/v1/invitations/{}", out.text("/id"))).send().await.no_content();

        let lost = format!("/v1/clinics/{clinic}/members/{}/credential-reset", rex.account);
        admin.act(&lost).send().await.ok();
        let team = ann.writes(titled("annteam")).await;
        let to_team = with(grant(&team, &["text"], &una), json!({ "reader": { "type": "care_team" } }));
        ann.put_grant(&new_id(&app), to_team).send().await.created();
        let reason = json!({ "reason": "Nobody has heard of her since noon." });
        vic.post(&ann.of_theirs("/break-glass"), reason).send().await.ok();
        let offer = json!({ "therapist_id": vic.account });
        una.put(&format!("/v1/care-links/{}/transfer", bea.linked_to(&una).await), offer).send().await.ok();
        for (days, colleague) in [(2, &theo), (9, &vic)] {
            let (from, until) = (SignedDuration::from_hours(days * 24), SignedDuration::from_hours(days * 24 + 24));
            let (from, until) = ((app.now() + from).to_string(), (app.now() + until).to_string());
            let cover = json!({ "colleague_id": colleague.account, "starts_at": from, "ends_at": until });
            let path = format!("/v1/clinics/{clinic}/covers/{}", new_id(&app));
            una.put(&path, cover).send().await.created();
        }

        for who in [&ann, &bea] {
            for rest in [
                "entries",
                "exercise-responses",
                "assignments",
                "infusions",
                "grants",
                "access-log",
                "care-team",
                "consents",
            ] {
                paths.push(who.of_theirs(&format!("/{rest}")));
            }
        }
        paths.push(ann.of_theirs(&format!("/exercise-responses/{response}")));
        for own in ["/v1/me", "/v1/me/patients", "/v1/care-links", "/v1/invitations", "/v1/patients/me/entries"] {
            paths.push(own.to_owned());
        }
        paths.push(format!("/v1/clinics/{clinic}/members"));
        for name in ["una.falk", "bea.roth"] {
            let forgetful = json!({ "email": format!("{name}@example.org") });
            app.post("/v1/auth/passphrase-reset", forgetful).send().await.expect(202);
        }
        let protocol = publishes(&admin, &clinic, content("Ours")).await;
        paths.push(at(&clinic, &protocol));
        paths.push(format!("/v1/clinics/{clinic}/protocols"));
        paths.push(format!("/v1/clinics/{clinic}/protocol"));

        let people: BTreeMap<&str, Person> =
            [("theo", theo), ("una", una), ("vic", vic), ("rex", rex), ("bea", bea), ("gone", gone), ("admin", admin)]
                .into();
        let mut tokens = BTreeMap::new();
        for (name, person) in &people {
            let email = match *name {
                "admin" => "ada@lakeside.example".to_owned(),
                _ => registration(&person.name, "")["email"].as_str().unwrap().to_owned(),
            };
            let body = json!({ "email": email, "passphrase": PASSPHRASE });
            let answer = app.post("/v1/auth/login", body).send().await.ok();
            tokens.insert(*name, (answer.text("/tokens/access_token"), answer.text("/tokens/refresh_token")));
        }
        // The grant expires; tokens do not.
        app.wait(SignedDuration::from_mins(5));
        Self { app, tokens, paths, codes }
    }

    /// What everybody gets at these doors: for each person and door, whether it opens, and the words found there.
    async fn doors(&self, doors: &Doors) -> BTreeSet<String> {
        let mut open = BTreeSet::new();
        let mut note = |who: &str, door: &str, status: u16, text: &str| {
            if status < 300 {
                open.insert(format!("{who} {door}"));
            }
            for word in WORDS.iter().filter(|word| text.contains(**word)) {
                open.insert(format!("{who} reads {word}"));
            }
        };
        for name in ["una", "vic", "rex", "bea", "gone"] {
            let (access, refresh) = &self.tokens[name];
            let paths = self.paths.iter().filter(|path| doors.paths.iter().any(|part| path.contains(part)));
            let asked = paths.map(|path| async move { (path, self.app.get(path).bearer(access).transmit().await) });
            for (path, answer) in futures_util::future::join_all(asked).await {
                note(name, path, answer.status.as_u16(), &answer.body.to_string());
            }
            if !doors.refresh {
                continue;
            }
            let body = json!({ "refresh_token": refresh });
            let answer = self.app.post("/v1/auth/refresh", body).transmit().await;
            if let Some(token) = answer.body.pointer("/tokens/access_token").and_then(Value::as_str) {
                for path in ["/v1/patients/me/entries", "/v1/me", "/v1/me/patients"] {
                    let answer = self.app.get(path).bearer(token).transmit().await;
                    note(name, &format!("refreshed {path}"), answer.status.as_u16(), &answer.body.to_string());
                }
            }
        }
        for code in self.codes.iter().filter(|_| doors.codes) {
            let body = registration("Mal Ory", code);
            let answer = self.app.post("/v1/auth/register", body).transmit().await;
            note("mal", code, answer.status.as_u16(), "");
            for name in ["bea", "rex"] {
                let call = self.app.post("/v1/invitations/accept", json!({ "code": code }));
                let answer = call.bearer(&self.tokens[name].0).transmit().await;
                note(name, code, answer.status.as_u16(), "");
            }
        }
        open
    }
}

/// Doors that are tried.
struct Doors {
    /// Parts of their paths.
    paths: &'static [&'static str],
    /// Whether refresh tokens are used.
    refresh: bool,
    /// Whether the codes of invitations are used.
    codes: bool,
}

impl Doors {
    const ALL: Self = Self { paths: &[""], refresh: true, codes: true };

    /// The doors that the rows of a table decide.
    fn of(table: &str) -> Self {
        let (paths, refresh, codes): (&[&str], _, _) = match table {
            "accounts" => (&["/v1/me", "/entries", "/members"], true, true),
            // A changed row counts as none: its codes then open nothing (tests/it/factors.rs).
            "second_factors" => (&["/v1/me"], false, false),
            // What a changed one opens is tried in tests/it/passkeys.rs.
            "passkeys" => (&["/v1/me"], false, false),
            "sessions" => (&["/v1/me", "/entries", "/members"], true, false),
            "refresh_tokens" => (&[], true, false),
            // What its codes open is tried in tests/it/account_life.rs.
            "address_proofs" => (&["/v1/me"], false, true),
            "staff_members" => {
                (&["/v1/", "/infusions", "/members", "/entries", "/care-team", "/access-log"], false, true)
            }
            "invitations" => (&["/v1/invitations"], false, true),
            "patients" | "care_links" => (&[""], false, false),
            "grants" | "grant_readers" | "grant_items" => {
                (&["/entries", "/exercise-responses", "/grants"], false, false)
            }
            "team_grants" | "covers" => (&["/entries", "/exercise-responses", "/me/patients"], false, false),
            "staff_resets" => (&[], false, true),
            "transfers" => (&["/care-links"], false, false),
            "emergencies" => (&["/infusions"], false, false),
            "comments" => (&["/comments"], false, false),
            "calendars" => (&["/calendar"], false, false),
            "protocols" | "clinic_plans" => (&["/protocol"], false, false),
            "devices" => (&["/devices"], false, false),
            // A consent opens nothing to others: it lets the patient open it.
            "consents" => (&["/consents", "/entries"], false, false),
            "assignments" => (&["/assignments", "/exercise-responses"], false, false),
            other => panic!("which doors does {other} decide?"),
        };
        Self { paths, refresh, codes }
    }
}

/// The chain of the audit log, and what stands in the keyring.
const MACS_OF_THEIR_OWN: [&str; 4] = ["audit_log", "audit_anchors", "installation", "signing_keys"];

/// The tables of the keyring.
pub const KEYRING: [&str; 4] = ["wrapped_keys", "signing_keys", "audit_anchors", "installation"];

/// Every table, with its columns.
pub fn all_tables() -> BTreeMap<String, Vec<String>> {
    let schema = include_str!("../../src/db/schema.rs");
    let (mut table, mut found) = ("", BTreeMap::<String, Vec<String>>::new());
    for line in schema.lines().map(str::trim) {
        if let Some((name, _)) = line.strip_suffix(") {").and_then(|head| head.split_once(" (")) {
            table = name;
        } else if let Some((column, _)) = line.split_once(" -> ") {
            found.entry(table.to_owned()).or_default().push(column.to_owned());
        }
    }
    found
}

/// Every table with a column `mac` of rows, with its columns.
fn tables() -> BTreeMap<String, Vec<String>> {
    let with_mac = |(table, columns): &(String, Vec<String>)| {
        columns.iter().any(|name| name == "mac") && !MACS_OF_THEIR_OWN.contains(&table.as_str())
    };
    all_tables().into_iter().filter(with_mac).collect()
}

/// A database that somebody changes from outside, and that is put back.
struct Hand {
    sql: Sql,
    postgres: bool,
    /// Every table of the data.
    kept: Vec<String>,
    tables: BTreeMap<String, Vec<String>>,
}

impl Hand {
    fn new(app: &TestApp) -> Self {
        let postgres = matches!(&app.database.backend, afterglow::db::Backend::Postgres(_));
        let kept = all_tables().into_keys().filter(|table| !KEYRING.contains(&table.as_str())).collect();
        let mut hand = Self { sql: Sql::open(&app.database.backend), postgres, kept, tables: tables() };
        for table in &hand.kept {
            hand.sql.run(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}"));
        }
        hand
    }

    fn restore(&mut self) {
        let each = self
            .kept
            .iter()
            .map(|table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table};"));
        let all: String = each.collect();
        self.sql.run(&format!("BEGIN; {all} COMMIT"));
    }

    /// The values of a column, as SQL writes them.
    fn values(&mut self, table: &str, column: &str) -> Vec<String> {
        let quoted = if self.postgres { format!("quote_nullable({column}::text)") } else { format!("quote({column})") };
        let query = format!("SELECT DISTINCT {quoted} AS word FROM kept_{table} ORDER BY 1");
        self.sql.rows::<Word>(&query).into_iter().map(|row| row.word).collect()
    }

    /// Runs a change. One that the database itself refuses is none.
    fn try_run(&mut self, statement: &str) -> bool {
        let statement = format!("BEGIN; {statement}; COMMIT");
        let done = match &mut self.sql {
            Sql::Sqlite(conn) => conn.batch_execute(&statement).is_ok(),
            Sql::Postgres(conn) => conn.batch_execute(&statement).is_ok(),
        };
        if !done {
            self.sql.run("ROLLBACK");
        }
        done
    }

    /// Changes of every column: each row gets the value of another one, all rows get one value, or one that is made up;
    /// rows are copied under the key of another row; rows are taken away.
    fn changes(&mut self) -> Vec<Change> {
        let mut list = Vec::new();
        for (table, columns) in self.tables.clone() {
            let rows = self.values(&table, "mac");
            for column in &columns {
                let mut add = |how: String, sql: String| {
                    list.push(Change { table: table.clone(), column: column.clone(), how, sql });
                };
                let others = columns.iter().filter(|other| *other != column).cloned().collect::<Vec<_>>().join(", ");
                for by in shifts(&table, column, rows.len()) {
                    // The row with this MAC gets the value of the row so many places later.
                    let cases = rows.iter().zip(rows.iter().cycle().skip(by)).map(|(to, from)| {
                        format!("WHEN {to} THEN (SELECT f.{column} FROM kept_{table} f WHERE f.mac = {from})")
                    });
                    let cases = cases.collect::<Vec<_>>().join(" ");
                    let moved = format!(
                        "INSERT INTO {table} ({column}, {others}) SELECT CASE k.mac {cases} END, {others} FROM kept_{table} k"
                    );
                    add(format!("of the row {by} later"), format!("DELETE FROM {table}; {moved}"));
                    if by == 1 {
                        add(format!("of the row {by} later, in a copy"), moved);
                    }
                }
                let mut values = self.values(&table, column);
                values.truncate(4);
                let later = if self.postgres { "'2100-01-01T00:00:00Z'" } else { "4102444800000000" };
                values.extend(invented(column).iter().map(|value| value.replace("LATER", later)));
                for value in values {
                    add(format!("= {value}"), format!("UPDATE {table} SET {column} = {value}"));
                }
            }
            let few = rows.iter().filter(|_| rows.len() <= FEW);
            let mut gone: Vec<_> =
                few.map(|mac| ("one row less", format!("DELETE FROM {table} WHERE mac = {mac}"))).collect();
            gone.push(("no rows", format!("DELETE FROM {table}")));
            list.extend(gone.into_iter().map(|(how, sql)| Change {
                table: table.clone(),
                column: String::new(),
                how: how.to_owned(),
                sql,
            }));
        }
        list
    }
}

/// A change of the rows of a table.
struct Change {
    table: String,
    column: String,
    how: String,
    sql: String,
}

/// The most rows of a table of which each is tried alone.
const FEW: usize = 10;

/// By how many places the values of a column are moved among so many rows. Of what names something else, each row gets
/// the value of each other row once; of the versions of consents as well, since a patient has each version once and the
/// database refuses most moves.
fn shifts(table: &str, column: &str, rows: usize) -> Vec<usize> {
    let all = column.ends_with("_id") || (table, column) == ("consents", "version");
    if rows <= FEW && all { (1..rows).collect() } else { vec![1, rows / 2] }
}

/// Other values for a column than those that stand there.
fn invented(column: &str) -> &'static [&'static str] {
    match column {
        "capabilities" => &["15"],
        "sections" => &["111", "127"],
        "state" => &["'active'"],
        name if name.ends_with("_at") => &["NULL", "LATER"],
        _ => &["NULL"],
    }
}

#[actix_web::test]
async fn no_change_of_a_row_that_decides_on_access_opens_a_door() {
    let scene = Scene::set().await;
    let mut hand = Hand::new(&scene.app);
    let before = scene.doors(&Doors::ALL).await;
    hand.restore();
    assert!(before.contains("una reads beaopen"), "{before:#?}");
    assert!(!before.iter().any(|door| door.ends_with("annended") || door.ends_with("annexpired")), "{before:#?}");
    let (mut tried, mut opened) = (BTreeSet::new(), Vec::new());
    for Change { table, column, how, sql } in hand.changes() {
        if !hand.try_run(&sql) {
            continue;
        }
        let after = scene.doors(&Doors::of(&table)).await;
        opened.extend(after.difference(&before).map(|door| format!("{table}.{column} {how}: {door}")));
        hand.restore();
        tried.insert((table, column));
    }
    assert!(opened.is_empty(), "some changes opened doors:\n{}", opened.join("\n"));
    for (table, columns) in tables() {
        for column in columns {
            assert!(tried.contains(&(table.clone(), column.clone())), "no change of {table}.{column} was tried");
        }
    }
}

/// The tables whose rows carry no MAC, each with the reason why no change of them lets anybody in.
const DECIDE_NOTHING: &[(&str, &str)] = &[
    (
        "settings",
        "the code of the set-up is a keyed hash of the seed, and its admin needs the passphrase; the others are versions",
    ),
    ("account_heads", "the end of a chain, which has MACs of its own"),
    ("patient_heads", "the same, and the number of the next change"),
    ("audit_log", "a chain with MACs of its own"),
    ("audit_anchors", "in the keyring, with MACs of their own"),
    ("installation", "in the keyring, with a MAC of its own"),
    ("letters", "sealed under keys of their own; the codes in them are good by the rows of the proofs"),
    ("owner_notices", "asks for letters to the owner of an account"),
    ("passkey_ceremonies", "a row refuses a challenge that was answered; whoever deletes it still needs its answer"),
    ("log_in_failures", "whoever clears them can try more passphrases, and still needs the right one"),
    ("clinics", "a sealed name, bound to its row"),
    ("patient_settings", "sealed, and bound to their row and version"),
    ("infusions", "sealed with the clinic they are of, and bound to their row and version"),
    ("pauses", "sealed, and bound to their row and version"),
    ("prompts", "the patient's own: shown to nobody else but in counts"),
    ("deliveries", "they carry an id and a neutral sentence"),
    ("entries", "sealed; what others read of them is decided by grants"),
    ("exercise_responses", "the same"),
    ("revisions", "sealed, and bound to item and section"),
    ("receipts", "a note for the patient"),
    ("changes", "a list of what has happened"),
    ("revocations", "says what is looked at; what is entered is read from grants and links"),
    ("closings", "says what is entered in the ledger as closed, and opens nothing"),
    ("feed", "says what is looked at again; what is shown of it is decided by links and grants"),
    ("feed_backlog", "says what is looked at again; what is shown of it is decided by links and grants"),
    ("feed_heads", "a number"),
    ("mutations", "a replay is rendered from what is stored, for the patient alone"),
    ("idempotency_records", "a replay is rendered for what the caller may see then"),
    ("signing_keys", "in the keyring, with MACs of their own, of keys that only the root key makes"),
    ("wrapped_keys", "in the keyring, wrapped by the root key"),
];

#[test]
fn each_table_carries_macs_or_decides_nothing() {
    let schema = include_str!("../../src/db/schema.rs");
    let all: BTreeSet<&str> = schema
        .lines()
        .filter_map(|line| line.strip_suffix(") {")?.trim().split_once(" (").map(|(name, _)| name))
        .collect();
    let with_mac = tables();
    assert_eq!(with_mac.len(), 25, "{:?}", with_mac.keys());
    for table in &all {
        let listed = DECIDE_NOTHING.iter().any(|(name, _)| name == table);
        assert_ne!(listed, with_mac.contains_key(*table), "{table}: a MAC, or a reason why it decides nothing");
    }
    assert!(DECIDE_NOTHING.iter().all(|(name, _)| all.contains(name)), "a table that is gone");
    for table in with_mac.keys() {
        let sources = crate::support::sources::shipped();
        assert!(
            sources.iter().any(|source| source.code.contains(&format!(" of {table} {{"))),
            "{table} is not declared"
        );
    }
}
