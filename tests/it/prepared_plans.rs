//! Plans that are made beside the writer: one is stored only if it is the plan that the patient would get now.

use std::collections::BTreeMap;
use std::sync::Arc;

use afterglow::care::{Access, Read, Write};
use afterglow::changes::{self, FeedsPlan, PlanRequest};
use afterglow::db::Tx;
use afterglow::delivery::LogChannel;
use afterglow::kernel::Id;
use afterglow::kernel::id::{Patient, Prompt};
use afterglow::planning::{Protocol, Protocols};
use afterglow::prompts::store::{self as prompts, Mark};
use afterglow::schedule::PreparedPlan;
use afterglow::{app, schedule};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::statements::{heard, listen};
use crate::support::app::{TestApp, fixture, id_of, new_id};
use crate::support::journal::{reflection, two};
use crate::support::people::Person;
use crate::support::sql::Sql;
use crate::support::world::planned_for;

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// Ann, an hour after an infusion, with a plan.
async fn planned() -> (Arc<TestApp>, Person, Person) {
    let app = TestApp::start_on_fixture().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - hours(1)).await;
    (app, theo, ann)
}

/// A newer version of the protocol, whose midday begins half an hour later.
fn newer() -> Protocols {
    let mut newer = Protocol { version: 2, ..fixture() };
    newer.windows.midday.from = newer.windows.midday.from.saturating_add(SignedDuration::from_mins(30));
    Protocols::new(newer, [])
}

fn id(person: &Person) -> Id<Patient> {
    person.patient.parse().unwrap()
}

/// The plan by the newer version, made on a snapshot.
async fn prepared(ann: &Person) -> Option<PreparedPlan> {
    let (state, patient, now) = (&ann.app.server.state, id(ann), ann.app.now());
    let keys = state.vault.keys(patient.uuid()).await.unwrap();
    let unit = move |tx: &mut Tx<'_>| {
        PreparedPlan::make(tx, &Access::<Read>::for_server(patient, keys.clone(), now), &newer())
    };
    state.db.read(unit).await.unwrap()
}

/// The request for a plan of Ann's at `now`.
async fn request(ann: &Person, now: Timestamp) -> PlanRequest {
    let keys = ann.app.server.state.vault.keys(id(ann).uuid()).await.unwrap();
    PlanRequest { patient: id(ann), keys, actor: None, now, feeds: FeedsPlan::Always }
}

/// Stores a plan that was made at `now`, if it still holds.
async fn stored(ann: &Person, plan: PreparedPlan, now: Timestamp) -> bool {
    let request = request(ann, now).await;
    let unit = move |tx: &mut Tx<'_>| {
        let number = changes::take(tx, request.patient, 0, changes::Bytes::default())?.number;
        plan.store(tx, &request, number)
    };
    ann.app.server.state.db.write(unit).await.unwrap()
}

/// The number of Ann's last change.
async fn last_number(ann: &Person) -> i64 {
    let patient = id(ann);
    ann.app.server.state.db.read(move |tx| changes::head(tx, patient)).await.unwrap().seq
}

/// The version of each row of Ann's prompts.
async fn versions(ann: &Person) -> BTreeMap<Id<Prompt>, i64> {
    let (patient, now) = (id(ann), ann.app.now());
    let unit = move |tx: &mut Tx<'_>| prompts::list_versions(tx, &Access::<Read>::for_server(patient, None, now));
    ann.app.server.state.db.read(unit).await.unwrap().into_iter().collect()
}

/// Each prompt by its id, with its state and its time.
async fn prompts_of(ann: &Person) -> BTreeMap<String, (Value, Value)> {
    let prompts = ann.prompts().await;
    prompts.iter().map(|one| (id_of(one), (one["state"].clone(), one["detail"]["due_at"].clone()))).collect()
}

#[actix_web::test]
async fn a_plan_made_beside_the_writer_is_the_one_that_its_unit_would_have_made() {
    let (app, _theo, ann) = planned().await;
    let (before, number, now) = (prompts_of(&ann).await, last_number(&ann).await, app.now());
    let rows_before = versions(&ann).await;
    let plan = prepared(&ann).await.unwrap();
    assert_eq!(prompts_of(&ann).await, before, "nothing is stored yet");
    assert!(stored(&ann, plan.clone(), now).await);
    let after = prompts_of(&ann).await;
    let moved = after.iter().filter(|(id, prompt)| before.get(*id) != Some(*prompt)).count();
    assert!(moved > 0 && before.keys().all(|id| after.contains_key(id)), "at other times, under the same ids");
    let (rows_after, changed) = (versions(&ann).await, last_number(&ann).await - number);
    let rows = rows_after.iter().filter(|(id, version)| rows_before.get(*id) != Some(*version)).count();
    assert_eq!(usize::try_from(changed).unwrap(), rows, "each changed prompt has a number");

    // Plans made in a unit find nothing to change, and a second time this one does not hold.
    let request = request(&ann, now).await;
    let unit = move |tx: &mut Tx<'_>| schedule::replan(tx, &Access::<Write>::for_planner(&request), &newer());
    assert_eq!(app.server.state.db.write(unit).await.unwrap(), 0);
    assert!(!stored(&ann, plan, now).await);
    assert_eq!((prompts_of(&ann).await, last_number(&ann).await), (after, number + changed));
}

#[actix_web::test]
async fn a_patient_who_pauses_or_writes_while_a_plan_is_made_gets_another() {
    let (app, _theo, ann) = planned().await;
    let now = app.now();
    let plan = prepared(&ann).await.unwrap();
    ann.writes(reflection("Lake")).await;
    let written = prompts_of(&ann).await;
    assert!(!stored(&ann, plan, now).await, "something may be shared by now");
    assert_eq!(prompts_of(&ann).await, written);

    let plan = prepared(&ann).await.unwrap();
    let pause = json!({ "until": (now + hours(72)).to_string() });
    ann.put(&ann.my(&format!("/pauses/{}", new_id(&app))), pause).send().await.created();
    let paused = prompts_of(&ann).await;
    assert_ne!(paused, written);
    assert!(!stored(&ann, plan, now).await, "nothing is asked in a pause");
    assert_eq!(prompts_of(&ann).await, paused);
}

#[actix_web::test]
async fn a_patient_is_not_asked_again_what_went_out_while_a_plan_was_made() {
    let (app, _theo, ann) = planned().await;
    let (patient, now) = (id(&ann), app.now());
    let plan = prepared(&ann).await.unwrap();
    let waiting = ann.prompts().await.into_iter().find(|prompt| prompt["state"] == "planned").unwrap();
    let prompt = id_of(&waiting).parse().unwrap();
    // Another worker's clock is ahead: for it the time of this prompt has come. That takes no number.
    let (number, due) = (last_number(&ann).await, waiting["detail"]["due_at"].as_str().unwrap().parse().unwrap());
    let unit = move |tx: &mut Tx<'_>| prompts::mark(tx, &[(patient, prompt)], Mark::Due, due);
    app.server.state.db.write(unit).await.unwrap();
    assert_eq!(last_number(&ann).await, number);
    let marked = prompts_of(&ann).await;
    assert_eq!(marked[&id_of(&waiting)].0, "due");
    assert!(!stored(&ann, plan, now).await);
    assert_eq!(prompts_of(&ann).await, marked);
}

#[actix_web::test]
async fn a_session_whose_end_nobody_recorded_is_ended_in_the_unit_that_plans() {
    let (app, theo, ann) = planned().await;
    let session = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
    theo.put(&session, planned_for(app.now() + hours(24))).send().await.created();
    assert!(prepared(&ann).await.is_some(), "it is to come");
    app.wait(hours(24) + hours(3));
    assert!(prepared(&ann).await.is_none(), "its end is to be stored as well");
}

#[actix_web::test]
async fn what_went_out_about_a_session_that_never_was_is_taken_back_in_the_unit_that_plans() {
    let (app, _theo, ann) = planned().await;
    app::advance(&app.server.state, &LogChannel, app.now() + hours(4)).await.unwrap();
    let out = ann.prompts().await.iter().any(|prompt| prompt["state"] == "due" || prompt["state"] == "delivered");
    assert!(out, "the landing check went out");
    assert!(prepared(&ann).await.is_some(), "it stays");
    Sql::open(&app.database.backend).run("DELETE FROM infusions");
    assert!(prepared(&ann).await.is_none(), "delivery may be about to mark it");
}

#[actix_web::test]
async fn the_background_work_makes_a_plan_once_wherever_it_is_stored() {
    listen();
    let (app, _theo, _ann) = planned().await;
    let tick = async || app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap();
    while tick().await.next == Some(app.now()) {}
    Sql::open(&app.database.backend).run("UPDATE patients SET next_plan_at = created_at");
    heard(&app);
    assert_eq!(tick().await.planned, 1);
    let all = heard(&app);
    let plain = |text: &String| text.replace(['`', '"'], "");
    let reads = all.iter().filter(|text| plain(text).starts_with("SELECT prompts.id, prompts.doc")).count();
    let notes = all.iter().filter(|text| text.contains("plan_version") && text.contains("next_plan_at")).count();
    assert_eq!((reads, notes), (1, 1), "{all:#?}");
}
