//! The revocation ledger: what was revoked stands outside the database before anybody has the answer.

use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use afterglow::care::grants::{GrantDoc, Reader, Target};
use afterglow::care::model::Capabilities;
use afterglow::care::revocations::{LedgerEntry, Revoked, read_ledger};
use afterglow::config::Config;
use afterglow::vault::LedgerFile;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::idempotency::doer;
use crate::support::app::{TestApp, new_id};
use crate::support::database::Count;
use crate::support::journal::{reflection, two};
use crate::support::people::{Clinic, Person};
use crate::support::phone::{is, mutation, new_phone};
use crate::support::requests::operations;
use crate::support::sql::Sql;
use crate::support::world::{World, away};

pub fn path_of(app: &TestApp) -> PathBuf {
    app.server.state.config.ledger().unwrap()
}

/// The entries of the ledger, and the number of lines that are none.
pub fn ledger(app: &TestApp) -> (Vec<LedgerEntry>, usize) {
    read_ledger(&LedgerFile::new(path_of(app), app.server.state.vault.clone())).unwrap()
}

/// The ids of the grants and care links in the ledger.
fn entered(app: &TestApp) -> Vec<String> {
    let id = |entry: &LedgerEntry| match &entry.revoked {
        Revoked::Grant { grant, .. } => Some(grant.to_string()),
        Revoked::CareLink { link, .. } => Some(link.to_string()),
        _ => None,
    };
    ledger(app).0.iter().filter_map(id).collect()
}

pub fn noted(app: &TestApp) -> i64 {
    let count = |table: &str| format!("SELECT count(*) AS n FROM {table}");
    let mut sql = Sql::open(&app.database.backend);
    ["revocations", "closings"].map(|table| sql.rows::<Count>(&count(table))[0].n).iter().sum()
}

async fn doc(app: &TestApp, entry: &LedgerEntry) -> GrantDoc {
    let keys = app.server.state.vault.keys(entry.patient.unwrap()).await.unwrap().unwrap();
    entry.grant(&keys).unwrap().unwrap()
}

pub fn uuid(id: &str) -> Uuid {
    id.parse().unwrap()
}

async fn share(ann: &Person, theo: &Person) -> (String, String) {
    let entry = ann.writes(reflection("Lake")).await;
    let grant = ann.opens(&entry, &["text"], theo).await;
    (entry, grant)
}

/// Puts a folder in the place of the ledger, so that it cannot be written.
pub fn takes_away(ledger: &Path) {
    std::fs::rename(ledger, ledger.with_extension("kept")).unwrap();
    std::fs::DirBuilder::new().mode(0o700).create(ledger).unwrap();
}

pub fn puts_back(ledger: &Path) {
    std::fs::remove_dir(ledger).unwrap();
    std::fs::rename(ledger.with_extension("kept"), ledger).unwrap();
}

async fn revoke(ann: &Person, grant: &str, status: u16) {
    ann.delete(&ann.my(&format!("/grants/{grant}"))).send().await.expect(status);
}

#[actix_web::test]
async fn what_is_revoked_through_either_door_stands_in_the_ledger_with_its_target_and_its_reader() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (one, first) = share(&ann, &theo).await;
    let (_, second) = share(&ann, &theo).await;
    let (_, third) = share(&ann, &theo).await;
    assert_eq!(ledger(&app), (Vec::new(), 0));
    revoke(&ann, &first, 204).await;
    let (entries, _) = ledger(&app);
    let phone = new_phone(&ann).await;
    assert_eq!((entries.len(), entries[0].patient), (1, Some(uuid(&ann.patient))));
    assert_eq!((entries[0].number, entries[0].at), (Some(phone.seq), app.now()));
    let GrantDoc { target, reader, .. } = doc(&app, &entries[0]).await;
    assert!(matches!(target, Target::Entry(id) if id.uuid() == uuid(&one)));
    assert!(matches!(reader, Reader::Therapist(id) if id.uuid() == uuid(&theo.account)));
    assert!(!std::fs::read_to_string(path_of(&app)).unwrap().contains(&theo.account), "the reader is sealed");

    // From a phone, also of a grant that the server never had.
    let never = new_id(&app);
    let said = json!({ "op": "delete", "target": { "type": "entry", "id": one } });
    let batch = [
        mutation(&ann, "grant", &second, 0, json!({ "op": "delete", "seen_seq": phone.seq })),
        mutation(&ann, "grant", &never, 0, said),
    ];
    for result in ann.push(&batch).await.ok().body["results"].as_array().unwrap() {
        is(result, "applied");
    }
    let link = ann.care_links().await[0]["id"].as_str().unwrap().to_owned();
    ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    assert_eq!(entered(&app), [first, second, never, link.clone(), third]);
    let (entries, refused) = ledger(&app);
    assert!(entries.is_sorted_by_key(|entry| entry.number) && refused == 0);
    let by_link = Revoked::CareLink { link: uuid(&link), therapist: uuid(&theo.account) };
    assert_eq!(entries[3].revoked, by_link);
    assert_eq!(noted(&app), 0, "what stands there is not noted any more");
}

/// A server that stops between the commit and the ledger, and one whose ledger fails, owe an entry.
#[actix_web::test]
async fn what_is_owed_to_the_ledger_is_entered_before_a_repetition_is_answered_and_at_the_next_start() {
    let app = TestApp::start_on_disk().await;
    let (theo, ann) = two(&app).await;
    let (one, first) = share(&ann, &theo).await;
    let (_, second) = share(&ann, &theo).await;
    let (_, third) = share(&ann, &theo).await;
    let file = path_of(&app);
    takes_away(&file);
    revoke(&ann, &first, 503).await;
    theo.get(&ann.of_theirs(&format!("/entries/{one}"))).send().await.not_found();
    revoke(&ann, &first, 503).await;
    let key = new_id(&app);
    let keyed = async || ann.delete(&ann.my(&format!("/grants/{second}"))).header("idempotency-key", &key).send().await;
    keyed().await.expect(503);
    keyed().await.expect(503);
    let pushed = mutation(&ann, "grant", &third, 0, json!({ "op": "delete" }));
    ann.push(std::slice::from_ref(&pushed)).await.expect(503);
    ann.push(std::slice::from_ref(&pushed)).await.expect(503);
    // Nothing else waits for the ledger.
    ann.writes(reflection("River")).await;
    assert_eq!(noted(&app), 3);
    puts_back(&file);
    assert_eq!(entered(&app), Vec::<String>::new());
    let again = ann.pushes(&pushed).await;
    assert_eq!((&again["status"], &again["was"]), (&json!("replayed"), &json!("applied")));
    let owed = BTreeSet::from([first.clone(), second.clone(), third.clone()]);
    assert_eq!(entered(&app).into_iter().collect::<BTreeSet<_>>(), owed, "and what the others were not answered");
    keyed().await.no_content();
    revoke(&ann, &first, 204).await;
    assert_eq!((entered(&app).len(), noted(&app)), (3, 0));

    let (_, last) = share(&ann, &theo).await;
    takes_away(&file);
    revoke(&ann, &last, 503).await;
    puts_back(&file);
    drop((theo, ann));
    let app = app.restart().await;
    assert_eq!(entered(&app).last(), Some(&last), "nobody asked for it");
    assert_eq!((entered(&app).len(), noted(&app)), (4, 0));
}

#[actix_web::test]
async fn what_is_owed_to_the_ledger_is_entered_also_if_its_row_cannot_be_read_by_then() {
    let app = TestApp::start_on_disk().await;
    let (theo, ann) = two(&app).await;
    let (_, first) = share(&ann, &theo).await;
    let (_, second) = share(&ann, &theo).await;
    let link = ann.care_links().await[0]["id"].as_str().unwrap().to_owned();
    let file = path_of(&app);
    takes_away(&file);
    revoke(&ann, &first, 503).await;
    ann.delete(&format!("/v1/care-links/{link}")).send().await.expect(503);
    // The MACs cover the versions.
    let mut sql = Sql::open(&app.database.backend);
    let (of_grant, of_link) = (sql.id(&first), sql.id(&link));
    sql.run(&format!("UPDATE grants SET version = version + 1 WHERE id = {of_grant}"));
    sql.run(&format!("UPDATE care_links SET version = version + 1 WHERE id = {of_link}"));
    puts_back(&file);
    drop((sql, theo, ann));
    let app = app.restart().await;
    assert_eq!(entered(&app), [first, link, second]);
    assert_eq!(noted(&app), 0);
    doc(&app, &ledger(&app).0[0]).await;
}

#[actix_web::test]
async fn a_line_that_was_cut_or_forged_is_no_entry_and_takes_none_with_it() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (_, first) = share(&ann, &theo).await;
    let (_, second) = share(&ann, &theo).await;
    let (_, third) = share(&ann, &theo).await;
    revoke(&ann, &first, 204).await;
    let file = path_of(&app);
    let line = std::fs::read_to_string(&file).unwrap();
    let cut = &line[..line.len() / 2];
    std::fs::write(&file, format!("{line}{cut}")).unwrap();
    revoke(&ann, &second, 204).await;
    assert_eq!((entered(&app), ledger(&app).1), (vec![first.clone(), second.clone()], 1));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}{}", line.replace(&first, &third))).unwrap();
    assert_eq!((entered(&app), ledger(&app).1), (vec![first, second], 2));
    theo.get(&ann.of_theirs("/grants?limit=5")).send().await.ok();
}

#[actix_web::test]
async fn revocations_at_once_are_all_entered() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Okafor").await;
    let mut grants = Vec::new();
    for patient in [&ann, &ben] {
        for _ in 0..6 {
            grants.push((patient, share(patient, &theo).await.1));
        }
    }
    let all = grants.iter().map(|(patient, grant)| revoke(patient, grant, 204));
    futures_util::future::join_all(all).await;
    let expected: BTreeSet<String> = grants.into_iter().map(|(_, grant)| grant).collect();
    assert_eq!(entered(&app).into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!((ledger(&app).1, noted(&app)), (0, 0));
}

#[test]
fn a_ledger_below_the_data_is_refused() {
    let mut config = Config::in_folder("/somewhere/data");
    assert_eq!(config.ledger(), Some("/somewhere/data-keys/revocations.ledger".into()));
    config.revocation_ledger = Some("/somewhere/ledger".into());
    assert!(config.faults().is_empty());
    config.revocation_ledger = Some("/somewhere/data/ledger".into());
    assert_eq!(config.faults().len(), 1);
}

/// A server must not begin to answer if it could not enter anything.
#[actix_web::test]
async fn a_server_does_not_start_without_its_ledger() {
    let app = TestApp::start_on_disk().await;
    let file = path_of(&app);
    takes_away(&file);
    let mut config = Config::clone(&app.server.state.config);
    config.security_contact = None;
    let clock = afterglow::kernel::Clock::manual(app.now());
    let database: Arc<TestApp> = app;
    let database = database.stop();
    let started = afterglow::app::Server::open(config, clock, afterglow::kernel::Entropy::System).await;
    let said = started.map(drop).unwrap_err().to_string();
    assert!(said.contains("revocations.ledger"), "{said}");
    drop(database);
}

/// The links of somebody who leaves end with their work.
#[actix_web::test]
async fn the_links_of_somebody_who_leaves_are_entered_before_a_repetition_is_answered() {
    let Clinic { app, admin, therapist: thea, ann, link, .. } = Clinic::open().await;
    let (_, shared) = share(&ann, &thea).await;
    let clinic = admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
    let path = format!("/v1/clinics/{clinic}/members/{}", thea.account);
    let leaves = async || admin.patch(&path, json!({ "ended": true })).if_match("*").send().await;
    let file = path_of(&app);
    takes_away(&file);
    leaves().await.expect(503);
    leaves().await.expect(503);
    puts_back(&file);
    assert_eq!(entered(&app), Vec::<String>::new());
    leaves().await.ok();
    assert_eq!(entered(&app), [link, shared]);
}

/// What an operation leaves in the ledger.
pub enum Closes {
    /// Entries of these kinds.
    Entries(&'static [&'static str]),
    /// Nothing, for this reason.
    Reason(&'static str),
}
use Closes::{Entries, Reason};

/// Every operation that ends, withdraws, revokes or changes something by which somebody gets in.
pub const CLOSES: &[(&str, Closes)] = &[
    ("answer_transfer", Reason("a refusal closes nothing; with a consent the link ends, which is told apart")),
    ("change_email", Reason("the address counts once it is proved")),
    ("change_passphrase", Entries(&["passphrase"])),
    ("close_clinic", Entries(&["member"])),
    ("confirm_passphrase_reset", Entries(&["passphrase"])),
    ("confirm_totp", Entries(&["factor"])),
    ("create_staff_reset", Reason("it ends sessions, as a new epoch does; codes that it voids last a day")),
    ("delete_calendar", Reason("every address ends with the epoch")),
    ("delete_cover", Entries(&["cover"])),
    ("delete_device", Entries(&["device"])),
    ("delete_entry", Reason("what is deleted and comes back is open to those alone to whom it was open")),
    ("delete_exercise_response", Reason("the same as of an entry")),
    ("delete_grant", Entries(&["grant"])),
    ("delete_other_sessions", Reason("every session ends with the epoch")),
    ("delete_passkey", Entries(&["passkey"])),
    ("delete_pause", Reason("a pause opens nothing")),
    ("delete_session", Reason("every session ends with the epoch")),
    ("delete_totp", Entries(&["factor"])),
    ("disable_account", Entries(&["account"])),
    ("disable_member", Entries(&["account"])),
    ("end_care_link", Entries(&["care_link"])),
    ("end_infusion", Reason("an infusion opens nothing")),
    ("leave_clinic", Entries(&["member"])),
    ("log_out", Reason("every session ends with the epoch")),
    ("renew_recovery_codes", Entries(&["factor"])),
    ("reset_credential", Entries(&["passphrase"])),
    ("retire_clinic_protocol", Reason("a protocol opens nothing")),
    ("revoke_invitation", Entries(&["invitation"])),
    ("revoke_token", Reason("every session ends with the epoch")),
    ("update_member", Reason("it takes a capability away or gives one, which is told apart")),
    ("verify_email", Reason("it proves the present address, or moves the account, which is told apart")),
    ("withdraw_consent", Entries(&["consent"])),
    ("withdraw_transfer", Reason("an offer opens nothing without the patient")),
];

/// Parts of the names of operations that close something.
const CLOSING: [&str; 12] = [
    "delete",
    "disable",
    "end",
    "leave",
    "close",
    "revoke",
    "withdraw",
    "retire",
    "reset",
    "credential",
    "remove",
    "change",
];

/// The kinds of the entries of the ledger from `first` on.
fn kinds(app: &TestApp, first: usize) -> BTreeSet<String> {
    let kind = |entry: &LedgerEntry| serde_json::to_value(entry).unwrap()["what"].as_str().unwrap().to_owned();
    ledger(app).0[first..].iter().map(kind).collect()
}

/// The kinds of the entries of the ledger from `first` on, without those of grants unless they are `expected`: grants
/// may end with something else, and stand there by themselves.
pub fn kinds_beside_grants(app: &TestApp, first: usize, expected: &[&str]) -> Vec<String> {
    let mut found = kinds(app, first);
    if !expected.contains(&"grant") {
        found.remove("grant");
    }
    found.into_iter().collect()
}

#[actix_web::test]
async fn every_operation_that_closes_access_is_in_the_ledger_or_says_why_not() {
    let world = World::open().await;
    // Ending the link takes the world apart.
    let (last, first): (Vec<_>, Vec<_>) = operations()
        .into_iter()
        .filter(|operation| operation.method != Method::GET && operation.id != "set_up")
        .partition(|operation| operation.id == "end_care_link");
    let mut met = 0;
    for operation in first.into_iter().chain(last) {
        let id = operation.id.as_str();
        let listed = CLOSES.iter().find(|(name, _)| *name == id).map(|(_, closes)| closes);
        let is_closing = id.split('_').any(|part| CLOSING.contains(&part));
        assert!(listed.is_some() || !is_closing || id == "request_passphrase_reset", "{id}: what does it close?");
        met += usize::from(listed.is_some());
        let ask = world.ask(id, doer(id)).await;
        let before = ledger(&world.app).0.len();
        let answer = ask.send(&world.app).await;
        let found = kinds_beside_grants(&world.app, before, &[]);
        assert_eq!(noted(&world.app), 0, "{id}");
        match listed {
            Some(Entries(expected)) => {
                assert!(answer.status.is_success(), "{id}: {}", answer.body);
                assert_eq!(kinds_beside_grants(&world.app, before, expected), *expected, "{id}");
            }
            Some(Reason(_)) => {}
            None => assert!(found.is_empty(), "{id} closes {found:?}: list it"),
        }
    }
    assert_eq!(met, CLOSES.len(), "an operation is listed that is not there");
    let reasons = CLOSES.iter().filter_map(|(_, closes)| if let Reason(why) = closes { Some(*why) } else { None });
    assert!(reasons.into_iter().all(|why| why.len() > 10));
}

#[actix_web::test]
async fn a_cover_that_ends_early_and_a_capability_that_is_taken_away_stand_in_the_ledger_before_the_answer() {
    let Clinic { app, admin, therapist: thea, nurse, .. } = Clinic::open().await;
    let tom = app.staff(&admin, "Tom Adler", &["care"]).await;
    let clinic = admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
    let cover = new_id(&app);
    let path = format!("/v1/clinics/{clinic}/covers/{cover}");
    thea.put(&path, away(&app, &tom, 60)).send().await.created();
    let file = path_of(&app);
    takes_away(&file);
    thea.delete(&path).send().await.expect(503);
    thea.delete(&path).send().await.expect(503);
    assert_eq!(noted(&app), 1);
    puts_back(&file);
    thea.delete(&path).send().await.no_content();
    let of_cover = Revoked::Cover { cover: uuid(&cover) };
    assert_eq!(ledger(&app).0.into_iter().map(|entry| entry.revoked).collect::<Vec<_>>(), [of_cover]);

    let member = format!("/v1/clinics/{clinic}/members/{}", nurse.account);
    let may = async |capabilities: Value| {
        admin.patch(&member, json!({ "capabilities": capabilities })).if_match("*").send().await.ok()
    };
    may(json!(["record", "duty"])).await;
    assert_eq!(ledger(&app).0.len(), 1, "more closes nothing");
    may(json!(["duty"])).await;
    let (entries, refused) = ledger(&app);
    assert_eq!((entries.len(), refused, noted(&app)), (2, 0, 0));
    assert_eq!((entries[1].at, entries[1].patient, entries[1].number), (app.now(), None, None));
    let Revoked::Member { account, capabilities, .. } = &entries[1].revoked else { panic!("{:?}", entries[1]) };
    assert_eq!((*account, Capabilities::from_bits(*capabilities).names()), (uuid(&nurse.account), vec!["duty"]));
}

#[actix_web::test]
async fn a_patient_who_hides_their_activity_again_stands_in_the_ledger() {
    let app = TestApp::start().await;
    let (_theo, ann) = two(&app).await;
    for (shares, entries) in [(true, 0), (false, 1), (false, 1)] {
        ann.sets(json!({ "share_activity": shares })).await.ok();
        assert_eq!(ledger(&app).0.len(), entries);
    }
    assert_eq!(ledger(&app).0[0].revoked, Revoked::Activity);
    assert_eq!((ledger(&app).0[0].patient, noted(&app)), (Some(uuid(&ann.patient)), 0));
}
