//! A page that lacks a damaged row is not taken for the last one.

use std::collections::BTreeSet;
use std::sync::Arc;

use afterglow::care::store::Member;
use afterglow::db::authentic::{checked, checked_page};
use afterglow::db::schema::staff_members;
use afterglow::db::{Backend, Stored, Tx, columns};
use afterglow::kernel::id::Account;
use afterglow::kernel::{Error, Id};
use diesel::prelude::*;
use jiff::SignedDuration;
use serde_json::json;

use crate::support::app::{TestApp, new_id};
use crate::support::journal::{grant, reflection, two, with};
use crate::support::phone::{Phone, new_phone};
use crate::support::protocols::{content, publishes};
use crate::support::requests::Ask;
use crate::support::sql::Sql;
use crate::support::world::{World, away};
use crate::tasks::{Tables, settled};
use crate::unreadable::Damaged;

/// The lists whose rows carry MACs, with somebody who reads them, what is damaged, and the name of an item by which it
/// is found there.
const LISTS: [(&str, &str, (&str, &str), &str); 14] = [
    ("list_grants", "owner", ("grants", "id"), "id"),
    ("list_grants", "granted", ("grants", "id"), "id"),
    ("list_grants", "granted", ("grant_readers", "grant_id"), "id"),
    ("list_assignments", "owner", ("assignments", "id"), "id"),
    ("list_assignments", "granted", ("assignments", "id"), "id"),
    ("list_comments", "owner", ("comments", "id"), "id"),
    ("list_care_links", "owner", ("care_links", "id"), "id"),
    ("list_care_links", "granted", ("care_links", "id"), "id"),
    ("list_care_links", "granted", ("patients", "id"), "patient_id"),
    ("list_members", "admin", ("staff_members", "account_id"), "account_id"),
    ("list_covers", "granted", ("covers", "id"), "id"),
    ("list_emergencies", "admin", ("emergencies", "id"), "id"),
    ("list_invitations", "granted", ("invitations", "id"), "id"),
    ("list_clinic_protocols", "admin", ("protocols", "id"), "id"),
];

/// Damages what decides in some rows.
fn damage(app: &TestApp, (table, column): (&'static str, &str), ids: &[&str]) -> Vec<Damaged> {
    let sql = Sql::open(&app.database.backend);
    ids.iter().map(|id| Damaged::new(app, (table, "mac"), &format!("{column} = {}", sql.id(id)), 0)).collect()
}

/// The names of the items of a list, page by page.
async fn walk(app: &Arc<TestApp>, ask: &Ask, name: &str) -> Vec<String> {
    let path = format!("{}?limit=2", ask.path.split('?').next().unwrap());
    let (mut cursor, mut all) = (String::new(), Vec::new());
    loop {
        let next = Ask { path: format!("{path}{cursor}"), ..ask.clone() };
        let page = next.send(app).await.ok();
        all.extend(page.items().iter().map(|item| item[name].as_str().unwrap().to_owned()));
        match page.body["next_cursor"].as_str() {
            Some(text) => cursor = format!("&cursor={text}"),
            None => return all,
        }
    }
}

#[actix_web::test]
async fn a_list_goes_on_behind_damaged_rows_and_brings_every_other_row_once() {
    let world = World::open().await;
    let (app, ann, granted, admin) = (&world.app, world.ann(), world.person("granted"), world.person("admin"));
    let thread = ann.of_theirs(&format!("/entries/{}/comments", world.entry));
    for (days, exercise) in [(10, "kind-letter"), (20, "if-then-habit"), (30, "leaves-defusion"), (40, "values-sort")] {
        granted.assigns(ann, exercise).await;
        granted.says(&thread, json!({ "body": exercise })).send().await.created();
        ann.opens(&ann.writes(reflection(exercise)).await, &["text"], granted).await;
        let cover = format!("/v1/clinics/{}/covers/{}", world.clinic, new_id(app));
        granted.put(&cover, away(app, world.person("unlinked"), days)).send().await.created();
        publishes(admin, &world.clinic, content(exercise)).await;
        // Of another patient of `granted` each.
        world.ask("break_glass", "duty").await.send(app).await.ok();
    }
    for (id, who, place, name) in LISTS {
        let ask = world.ask(id, who).await;
        let all = walk(app, &ask, name).await;
        assert!(all.len() >= 5, "{id} by {who}: {all:?}");
        let others = all.iter().map(String::as_str).filter(|one| *one != world.person(who).account);
        let first: Vec<&str> = others.take(3).collect();
        for some in first.chunks(1).chain([first.as_slice()]) {
            let damaged = damage(app, place, some);
            let rest: Vec<&String> = all.iter().filter(|one| !some.contains(&one.as_str())).collect();
            let found = walk(app, &ask, name).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), rest, "{id} by {who} beside {some:?} of {place:?}");
            damaged.into_iter().for_each(|row| row.mend(app));
        }
    }
}

#[actix_web::test]
async fn a_new_phone_is_given_all_that_stands_behind_damaged_rows() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    let thread = ann.of_theirs(&format!("/entries/{entry}/comments"));
    ann.opens(&entry, &["text"], &theo).await;
    for n in 0..5 {
        ann.opens(&ann.writes(reflection("River")).await, &["text"], &theo).await;
        theo.says(&thread, json!({ "body": format!("Number {n}") })).send().await.created();
        theo.assigns(&ann, "values-sort").await;
    }
    let keys = |phone: &Phone| phone.things.keys().cloned().collect::<BTreeSet<_>>();
    let whole = new_phone(&ann).await;
    for (kind, table) in [("grant", "grants"), ("assignment", "assignments"), ("comment", "comments")] {
        let all = whole.of_kind(kind);
        assert!(all.len() >= 5, "{kind}");
        // Some are listed from the newest on, others from the oldest.
        let ids = [0, 1, all.len() - 1].map(|n| all[n]["id"].as_str().unwrap());
        for some in ids.chunks(1).chain([ids.as_slice()]) {
            let damaged = damage(&app, (table, "id"), some);
            let rest = keys(&whole).into_iter().filter(|(of, id)| of != kind || !some.contains(&id.as_str()));
            let rest: BTreeSet<_> = rest.collect();
            for limit in [2, 200] {
                let mut phone = Phone::default();
                phone.pull(&ann, limit).await;
                assert_eq!(keys(&phone), rest, "{limit} {kind}");
            }
            damaged.into_iter().for_each(|row| row.mend(&app));
        }
    }
}

#[actix_web::test]
async fn a_new_phone_is_given_every_assignment_on_pages_of_any_size() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    for _ in 0..25 {
        theo.assigns(&ann, "values-sort").await;
    }
    for limit in [3, 20, 21, 22, 50, 200] {
        let mut phone = Phone::default();
        phone.pull(&ann, limit).await;
        assert_eq!(phone.of_kind("assignment").len(), 25, "{limit}");
    }
}

#[actix_web::test]
async fn grants_run_out_behind_any_number_of_damaged_ones_that_have_run_out() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    let hour = SignedDuration::from_hours(1);
    let until = json!({ "expires_at": (app.now() + hour).to_string() });
    let expiring = new_id(&app);
    for (patient, id) in [(&ann, expiring.clone()), (&ben, new_id(&app))] {
        let entry = patient.writes(reflection("Lake")).await;
        patient.put_grant(&id, with(grant(&entry, &["text"], &theo), until.clone())).send().await.created();
    }
    settled(&app).await;
    // More than a round and a unit look at, all due before. Each has the MAC of another row.
    let mut sql = Sql::open(&app.database.backend);
    let copies: Vec<String> = (1..=250)
        .map(|n| {
            let id = sql.id(&format!("00000000-0000-7000-8000-{n:012x}"));
            let of = sql.id(&expiring);
            format!(
                "INSERT INTO grants (patient_id, id, doc, sections, version, created_at, expires_at, mac) \
                 SELECT patient_id, {id}, doc, sections, version, created_at, created_at, mac FROM grants \
                 WHERE id = {of};"
            )
        })
        .collect();
    sql.run(&copies.concat());
    app.wait(hour);
    settled(&app).await;
    assert_eq!(Tables::of(&app).count("grants WHERE closed_at IS NOT NULL"), 2, "that of each patient");
}

#[actix_web::test]
async fn grants_begin_and_run_out_behind_those_of_a_patient_whose_keys_do_not_open() {
    let app = TestApp::start_on_disk().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    // More than are looked at together, all due before the one of the other patient.
    for (patient, grants) in [(&ann, 101), (&ben, 1)] {
        app.wait(SignedDuration::from_secs(1));
        let entry = patient.writes(reflection("Lake")).await;
        let until = json!({ "expires_at": (app.now() + SignedDuration::from_hours(1)).to_string() });
        for _ in 0..grants {
            let body = with(grant(&entry, &["text"], &theo), until.clone());
            patient.put_grant(&new_id(&app), body).send().await.created();
        }
    }
    settled(&app).await;
    Sql::open(&app.database.backend).run("UPDATE grants SET tell_at = created_at");
    let (keyring, subject) = (app.server.state.config.key_dir.join("keyring.sqlite"), ann.patient.replace('-', ""));
    Sql::open(&Backend::Sqlite(keyring))
        .run(&format!("UPDATE wrapped_keys SET wrapped = x'00' WHERE subject_id = x'{subject}'"));
    drop((theo, ann, ben));
    // The keys are not in the memory of this server.
    let app = app.restart().await;
    settled(&app).await;
    assert_eq!(Tables::of(&app).count("grants WHERE tell_at IS NULL"), 1, "the other patient's has begun");
    app.wait(SignedDuration::from_hours(1));
    settled(&app).await;
    assert_eq!(Tables::of(&app).count("grants WHERE closed_at IS NOT NULL"), 1, "and has run out");
}

#[actix_web::test]
async fn a_list_that_comes_to_the_same_place_again_is_an_error_and_not_endless() {
    let app = TestApp::start().await;
    two(&app).await;
    let unit = |tx: &mut Tx<'_>| {
        let again = |tx: &mut Tx<'_>, _after: Option<Id<Account>>, _most: i64| {
            let first = staff_members::table.order(staff_members::account_id).select(columns::<Stored<Member>>());
            let member = first.first::<Stored<Member>>(tx.conn())?.checked(tx)?.unwrap();
            Ok((0..200).map(|_| Stored::new(member, Vec::new())).collect::<Vec<_>>())
        };
        checked_page(tx, (None, 2), again, |member: &Member| member.account_id, checked)
    };
    let read = app.server.state.db.read(unit).await;
    assert!(matches!(read, Err(Error::Internal(_))), "{read:?}");
}
