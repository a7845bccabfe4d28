//! S2: whoever looks at somebody else's content stands in the log, and nobody gets out of it again.

use std::process::Command;

use afterglow::audit::{self, AuditRow, Record, Subject};
use afterglow::db::schema::{audit_log, patient_heads};
use afterglow::db::{AnyConnection, At, Backend, Tx};
use afterglow::kernel::id::{Account, Any, Patient, Session};
use afterglow::kernel::{Entropy, Id};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use jiff::SignedDuration;
use serde_json::Value;

use crate::known_faults::{refuse, refuse_no_more};
use crate::support::app::{TestApp, new_id};
use crate::support::journal::{reflection, two};
use crate::support::people::Person;
use crate::support::requests::operations;
use crate::support::world::World;

fn patient_of(person: &Person) -> Id<Patient> {
    person.patient.parse().unwrap()
}

/// The rows of a patient's log, oldest first, and what they say.
pub async fn log(app: &TestApp, ann: &Person) -> Vec<(AuditRow, Record)> {
    let (state, subject) = (&app.server.state, Subject::Patient(patient_of(ann)));
    let mut rows = state.db.read(move |tx| audit::list(tx, subject, None, 100_000)).await.unwrap();
    rows.reverse();
    let keys = state.vault.keys(subject.uuid()).await.unwrap().unwrap();
    rows.into_iter()
        .map(|row| {
            let record = row.open(&keys, subject).unwrap();
            (row, record)
        })
        .collect()
}

/// The ids of what an answer shows.
fn shown(body: &Value) -> Vec<String> {
    let of = |value: &Value| {
        ["id", "entry_id", "response_id"].iter().find_map(|name| value[*name].as_str()).map(str::to_owned)
    };
    match body["items"].as_array() {
        Some(items) => items.iter().filter_map(of).collect(),
        None => of(body).into_iter().collect(),
    }
}

/// What answers with content of the patient's, by id.
const CONTENT: [&str; 18] = [
    "end_infusion",
    "get_assignment",
    "get_entry",
    "get_exercise_response",
    "get_infusion",
    "list_assignments",
    "list_comments",
    "list_entries",
    "list_exercise_responses",
    "list_infusions",
    "list_prompts",
    "mark_entry_opened",
    "mark_response_opened",
    "patch_assignment",
    "patch_infusion",
    "put_comment",
    "put_assignment",
    "put_infusion",
];

#[actix_web::test]
async fn s2_each_access_by_another_adds_one_row_with_what_was_returned_and_ones_own_none() {
    let world = World::open().await;
    let ann = world.ann();
    let mut accesses = 0;
    for operation in operations().into_iter().filter(|operation| operation.id != "end_care_link") {
        for who in ["owner", "granted", "nurse"] {
            let ask = world.ask(&operation.id, who).await;
            if !ask.path.contains(&ann.patient) {
                continue;
            }
            let before = log(&world.app, ann).await.len();
            let answer = ask.send(&world.app).await;
            let rows = log(&world.app, ann).await;
            let said = format!("{} as {who}: {}", operation.id, answer.status);
            if who == "owner" || answer.status == 403 {
                assert_eq!(rows.len(), before, "{said} left a trace");
                continue;
            }
            assert_eq!(rows.len(), before + 1, "{said}: {}", answer.body);
            let (row, record) = rows.last().unwrap();
            let role = if who == "nurse" { "record" } else { "therapist" };
            assert_eq!(row.actor.unwrap().to_string(), world.person(who).account, "{said}");
            let act = match operation.id.as_str() {
                // One name for both, so that the patient's log does not tell of flags.
                "put_cautions" | "put_overrides" | "put_chosen_protocol" => "changed_offer",
                id => id,
            };
            assert_eq!(record.act, act, "{said}");
            assert_eq!(row.at.0, world.app.now(), "{said}");
            if answer.status == 404 {
                assert!(record.refused && record.ids.is_empty(), "{said}");
                // The next refusal of this hour leaves no row.
                continue;
            }
            accesses += 1;
            assert!(!record.refused && record.role == role, "{said}: {record:?}");
            let ids: Vec<String> = record.ids.iter().map(ToString::to_string).collect();
            if CONTENT.contains(&operation.id.as_str()) {
                for id in shown(&answer.body) {
                    assert!(ids.contains(&id), "{said}: {id} was shown and is not in {ids:?}");
                }
                let known = |id: &String| shown(&answer.body).contains(id) || *id == world.entry;
                assert!(ids.iter().all(known), "{said}: {ids:?} were not all shown");
            }
        }
        // Let the hour pass in which refusals are one row.
        forget_refusals(&world.app, ann).await;
    }
    assert!(accesses >= 20, "only {accesses} accesses: who is left out?");
}

/// Removes the mark by which refusals of this hour are known, so that the next one is counted again.
async fn forget_refusals(app: &TestApp, ann: &Person) {
    let subject: Id<Any> = Id::from_uuid(patient_of(ann).uuid());
    let unit = move |tx: &mut Tx<'_>| {
        let marks = audit_log::table.filter(audit_log::subject_id.eq(subject)).filter(audit_log::session_id.is_null());
        let long_ago = At("2020-01-01T00:00:00Z".parse().unwrap());
        diesel::update(marks).set(audit_log::at.eq(long_ago)).execute(tx.conn())?;
        Ok(())
    };
    app.server.state.db.write(unit).await.unwrap();
}

#[actix_web::test]
async fn s2_a_refused_read_is_one_refusal_an_hour_and_a_page_names_what_is_on_it() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let mut entries = Vec::new();
    for n in 0..3 {
        let entry = ann.writes(reflection(&format!("Number {n}"))).await;
        ann.opens(&entry, &["text"], &theo).await;
        entries.push(entry);
    }
    theo.records(&ann, app.now()).await;
    let before = log(&app, &ann).await.len();
    theo.reads(&ann, &format!("/entries/{}", new_id(&app))).await.not_found();
    theo.reads(&ann, "/infusions/not-an-id").await;
    theo.reads(&ann, &format!("/infusions/{}", new_id(&app))).await.not_found();
    theo.act(&ann.of_theirs(&format!("/entries/{}/opened", new_id(&app)))).send().await.not_found();
    let rows = log(&app, &ann).await;
    assert_eq!(rows.len(), before + 1, "whatever is asked for in vain, once an hour");
    let (row, record) = rows.last().unwrap();
    assert!(record.refused && record.ids.is_empty());
    assert_eq!(row.actor.map(|actor| actor.to_string()), Some(theo.account.clone()));
    let all = theo.reads(&ann, "/prompts?limit=200").await.ok().items().len();
    // A page of fewer, of exactly as many, and of more than there are: one row each, with what went out.
    for (path, expected) in [
        ("/prompts?limit=2".to_owned(), 2),
        (format!("/prompts?limit={all}"), all),
        ("/prompts?limit=200".to_owned(), all),
        ("/entries?limit=1".to_owned(), 1),
        ("/entries?limit=3".to_owned(), 3),
    ] {
        let before = log(&app, &ann).await.len();
        let answer = theo.reads(&ann, &path).await.ok();
        assert_eq!(answer.items().len(), expected, "{path}");
        let rows = log(&app, &ann).await;
        assert_eq!(rows.len(), before + 1, "{path}: one row a request");
        assert_eq!(rows.last().unwrap().1.ids.len(), expected, "{path}: what went out, and no more");
    }
}

#[actix_web::test]
async fn s2_while_the_disk_is_full_a_therapist_reads_nothing_and_the_patient_reads_on() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    ann.opens(&entry, &["text"], &theo).await;
    theo.records(&ann, app.now()).await;
    let before = log(&app, &ann).await.len();
    refuse(&app, ("INSERT", "audit_log"), "database or disk is full");
    // The client holds each answer against the document, which has to declare it.
    for rest in ["/entries".to_owned(), format!("/entries/{entry}"), "/infusions".to_owned(), "/prompts".to_owned()] {
        let told = theo.reads(&ann, &rest).await.expect(507).refused("storage_full");
        assert_eq!(told.headers["retry-after"], "60", "{rest}");
        ann.reads(&ann, &rest).await.ok();
    }
    refuse_no_more(&app);
    assert_eq!(log(&app, &ann).await.len(), before, "nothing was read, so nothing is logged");
    assert_eq!(theo.finds(&ann).await, [entry]);
}

#[actix_web::test]
async fn s2_refusals_of_ones_own_clinic_are_logged_once_an_hour_and_those_of_others_not() {
    let world = World::open().await;
    let ann = world.ann();
    let people: Vec<(&str, Person)> =
        ["admin", "duty", "unlinked", "link_ended", "foreign", "other_patient", "disabled"]
            .into_iter()
            .map(|who| (who, world.person(who).clone()))
            .collect();
    for hour in 0..2 {
        for (who, person) in &people {
            let own = ["admin", "duty", "unlinked", "link_ended"].contains(who);
            let before = log(&world.app, ann).await.len();
            for path in ["/infusions", "/window", "/infusions", "/entries"] {
                let answer = person.reads(ann, path).await;
                assert!([401, 404].contains(&answer.status.as_u16()), "{who}");
            }
            let rows = log(&world.app, ann).await;
            assert_eq!(rows.len(), before + usize::from(own), "{who} in hour {hour}");
            if own {
                let (row, record) = rows.last().unwrap();
                assert!(record.refused && record.ids.is_empty());
                assert_eq!(
                    (row.actor.unwrap().to_string(), record.act.as_str()),
                    (person.account.clone(), "list_infusions")
                );
            }
        }
        world.app.wait(SignedDuration::from_hours(1));
    }
}

fn raw(tx: &mut Tx<'_>, sql: &str) {
    match tx.conn() {
        AnyConnection::Pg(conn) => conn.batch_execute(sql).unwrap(),
        AnyConnection::Sqlite(conn) => conn.batch_execute(sql).unwrap(),
    }
}

/// Random numbers for the tampers.
struct Dice;

impl Dice {
    fn below(&self, most: usize) -> usize {
        let drawn = u32::from_be_bytes(Entropy::System.bytes());
        usize::try_from(drawn).unwrap() % most
    }

    fn flip(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let at = self.below(bytes.len());
        bytes[at] ^= 1 << self.below(8);
        bytes
    }
}

const TAMPERS: usize = 12;

/// Does one thing to the chain that nobody may do; says which.
fn tamper(tx: &mut Tx<'_>, patient: Id<Patient>, rows: &[AuditRow], kind: usize) -> &'static str {
    let dice = Dice;
    let subject: Id<Any> = Id::from_uuid(patient.uuid());
    let one = &rows[dice.below(rows.len())];
    let other = rows.iter().cycle().skip(dice.below(rows.len())).find(|row| row.seq != one.seq).unwrap();
    let at = |seq: i64| audit_log::table.filter(audit_log::subject_id.eq(subject)).filter(audit_log::seq.eq(seq));
    let head = patient_heads::table.filter(patient_heads::patient_id.eq(patient));
    let last = rows.last().unwrap();
    let (said, changed) = match kind {
        0 => (
            "a byte of doc",
            diesel::update(at(one.seq)).set(audit_log::doc.eq(dice.flip(&one.doc))).execute(tx.conn()),
        ),
        1 => (
            "a byte of mac",
            diesel::update(at(one.seq)).set(audit_log::mac.eq(dice.flip(&one.mac))).execute(tx.conn()),
        ),
        2 => {
            let by = SignedDuration::from_micros(1 + i64::try_from(dice.below(1 << 30)).unwrap());
            let moved = At(one.at.0.checked_sub(by).unwrap());
            ("the time", diesel::update(at(one.seq)).set(audit_log::at.eq(moved)).execute(tx.conn()))
        }
        3 => {
            let somebody: Id<Account> = Id::from_uuid(Entropy::System.opaque());
            let actor = if dice.below(2) == 0 { None } else { Some(somebody) };
            ("the actor", diesel::update(at(one.seq)).set(audit_log::actor_id.eq(actor)).execute(tx.conn()))
        }
        4 => {
            let session: Option<Id<Session>> = Some(Id::from_uuid(Entropy::System.opaque()));
            ("the session", diesel::update(at(one.seq)).set(audit_log::session_id.eq(session)).execute(tx.conn()))
        }
        5 => {
            let seq = last.seq + 1 + i64::try_from(dice.below(9)).unwrap();
            ("the number", diesel::update(at(one.seq)).set(audit_log::seq.eq(seq)).execute(tx.conn()))
        }
        6 => ("a deleted row", diesel::delete(at(one.seq)).execute(tx.conn())),
        7 => {
            diesel::update(at(one.seq)).set(audit_log::seq.eq(1_000_000_i64)).execute(tx.conn()).unwrap();
            diesel::update(at(other.seq)).set(audit_log::seq.eq(one.seq)).execute(tx.conn()).unwrap();
            ("two swapped rows", diesel::update(at(1_000_000)).set(audit_log::seq.eq(other.seq)).execute(tx.conn()))
        }
        8 => {
            let tail = audit_log::table.filter(audit_log::subject_id.eq(subject)).filter(audit_log::seq.ge(one.seq));
            ("a cut tail", diesel::delete(tail).execute(tx.conn()))
        }
        9 => {
            let seq = i64::try_from(dice.below(rows.len())).unwrap();
            ("the number in the head", diesel::update(head).set(patient_heads::audit_seq.eq(seq)).execute(tx.conn()))
        }
        10 => {
            let mac = dice.flip(&last.mac);
            ("the mac in the head", diesel::update(head).set(patient_heads::audit_mac.eq(mac)).execute(tx.conn()))
        }
        _ => {
            let mac = Entropy::System.bytes::<32>().to_vec();
            let row = (
                audit_log::subject_id.eq(subject),
                audit_log::seq.eq(last.seq + 1),
                audit_log::at.eq(last.at),
                audit_log::actor_id.eq(last.actor),
                audit_log::session_id.eq(last.session),
                audit_log::doc.eq(&one.doc),
                audit_log::mac.eq(&mac),
            );
            diesel::insert_into(audit_log::table).values(row).execute(tx.conn()).unwrap();
            let forged = (patient_heads::audit_seq.eq(last.seq + 1), patient_heads::audit_mac.eq(&mac));
            ("a forged row with its head", diesel::update(head).set(forged).execute(tx.conn()))
        }
    };
    assert!(changed.unwrap() >= 1, "{said}");
    said
}

#[actix_web::test]
async fn s2_a_thousand_of_a_thousand_tampers_are_found() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    ann.opens(&entry, &["text"], &theo).await;
    for n in 0..14 {
        let path = if n % 2 == 0 { "/entries".to_owned() } else { format!("/entries/{entry}") };
        theo.reads(&ann, &path).await.ok();
        app.wait(SignedDuration::from_secs(1));
    }
    let (state, patient) = (&app.server.state, patient_of(&ann));
    let rows: Vec<AuditRow> = log(&app, &ann).await.into_iter().map(|(row, _)| row).collect();
    for block in 0..11 {
        let (vault, rows) = (state.vault.clone(), rows.clone());
        let unit = move |tx: &mut Tx<'_>| {
            let subject = Subject::Patient(patient);
            for n in 0..100 {
                raw(tx, "SAVEPOINT tamper");
                let said = tamper(tx, patient, &rows, (block * 100 + n) % TAMPERS);
                let (seq, mac) = head_of(tx, subject);
                let fault = audit::verify(tx, &vault, subject, seq, &mac, None)?;
                assert!(fault.is_some(), "{said} was not found");
                raw(tx, "ROLLBACK TO SAVEPOINT tamper; RELEASE SAVEPOINT tamper");
            }
            let (seq, mac) = head_of(tx, subject);
            assert_eq!(audit::verify(tx, &vault, subject, seq, &mac, None)?, None, "and what nobody touched fits");
            Ok(())
        };
        state.db.write(unit).await.unwrap();
    }
}

fn head_of(tx: &mut Tx<'_>, subject: Subject) -> (i64, Vec<u8>) {
    let all = audit::subjects(tx).unwrap();
    let (_, seq, mac) = all.into_iter().find(|(of, ..)| *of == subject).unwrap();
    (seq, mac)
}

#[actix_web::test]
async fn s2_the_command_says_whether_every_chain_fits() {
    let app = TestApp::start_on_disk().await;
    let (theo, ann) = two(&app).await;
    theo.reads(&ann, "/window").await.ok();
    let verify = || {
        let config = &app.server.state.config;
        let url = match &config.database {
            Backend::Sqlite(path) => format!("sqlite:{}", path.display()),
            Backend::Postgres(url) => url.clone(),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_afterglow"));
        command.args(["audit", "verify", "--database-url", &url]);
        command.arg("--data-dir").arg(&config.data_dir).arg("--key-dir").arg(&config.key_dir);
        command.output().unwrap()
    };
    let fits = verify();
    assert!(fits.status.success(), "{}", String::from_utf8_lossy(&fits.stderr));
    let subject: Id<Any> = Id::from_uuid(patient_of(&ann).uuid());
    let unit = move |tx: &mut Tx<'_>| {
        let rows = audit_log::table.filter(audit_log::subject_id.eq(subject)).filter(audit_log::seq.eq(1_i64));
        diesel::update(rows).set(audit_log::at.eq(At("2026-03-09T00:00:00Z".parse().unwrap()))).execute(tx.conn())?;
        Ok(())
    };
    app.server.state.db.write(unit).await.unwrap();
    let broken = verify();
    assert!(!broken.status.success());
    let said = String::from_utf8_lossy(&broken.stdout);
    assert!(said.contains("row 1") && said.contains(&subject.to_string()), "{said}");
}
