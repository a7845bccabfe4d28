//! What one clinic has to send holds no other clinic.

use std::collections::HashSet;

use afterglow::db::Tx;
use afterglow::db::schema::{deliveries, staff_members};
use afterglow::delivery::MemoryChannel;
use afterglow::delivery::model::lane_of;
use afterglow::kernel::id::{Account, Clinic, Patient, Prompt};
use afterglow::kernel::{Entropy, Id};
use diesel::prelude::*;
use jiff::SignedDuration;

use crate::delivery::{minutes, planned, plant, plant_all, tick, work};
use crate::support::app::{START, TestApp};
use crate::support::people::Person;
use crate::support::world::move_to_another_clinic;

/// The lane of the clinic of a member.
async fn lane(app: &TestApp, member: &Person) -> i32 {
    let account: Id<Account> = member.account.parse().unwrap();
    let unit = move |tx: &mut Tx<'_>| {
        let own = staff_members::table.filter(staff_members::account_id.eq(account));
        Ok(own.select(staff_members::clinic_id).first::<Id<Clinic>>(tx.conn())?)
    };
    lane_of(Some(app.server.state.db.read(unit).await.unwrap()))
}

/// The lane, the ordinal and the state of each delivery to a patient.
async fn rows(app: &TestApp, patient: Id<Patient>) -> Vec<(i32, i32, String)> {
    let unit = move |tx: &mut Tx<'_>| {
        let own = deliveries::table.filter(deliveries::patient_id.eq(patient));
        Ok(own.select((deliveries::lane, deliveries::ordinal, deliveries::state)).load(tx.conn())?)
    };
    app.server.state.db.read(unit).await.unwrap()
}

fn id_of(person: &Person) -> Id<Patient> {
    person.patient.parse().unwrap()
}

fn prompts_of(channel: &MemoryChannel) -> HashSet<Id<Prompt>> {
    channel.sent().iter().map(|push| push.prompt).collect()
}

#[actix_web::test]
async fn five_prompts_of_one_clinic_leave_at_once_though_another_has_three_thousand_waiting() {
    let app = TestApp::start().await;
    let ada = app.admin().await;
    let tess = app.staff(&ada, "Tess Moreau", &["care"]).await;
    let una = app.staff(&ada, "Una Falk", &["care"]).await;
    move_to_another_clinic(&app, &una).await;
    let large = lane(&app, &tess).await;
    // Sixteen lanes are shared: one clinic in sixteen waits with this one.
    while lane(&app, &una).await == large {
        move_to_another_clinic(&app, &una).await;
    }
    let small = lane(&app, &una).await;
    let (ann, ben) = (app.patient(&tess, "Ann Walker").await, app.patient(&una, "Ben Roth").await);
    let channel = MemoryChannel::default();
    work(&app, &channel).await;

    let (first, second) = (app.now() + minutes(5), app.now() + minutes(6));
    let many = (0..3000).map(|n| planned(first + SignedDuration::from_millis(n))).collect();
    let many: HashSet<_> = plant_all(&app, id_of(&ann), many).await.into_iter().collect();
    app.clock.set(first + SignedDuration::from_secs(3));
    let sent = tick(&app, &channel).await.sent;
    let left = channel.sent().len();
    assert!(sent == left && (1..1000).contains(&left), "{left} have left: the others wait");
    assert!(prompts_of(&channel).is_subset(&many));
    // Alone, the clinic has the whole round.
    assert!(left > 16, "{left}");

    let few: HashSet<_> =
        plant_all(&app, id_of(&ben), (0..5).map(|_| planned(second)).collect()).await.into_iter().collect();
    app.clock.set(second);
    tick(&app, &channel).await;
    assert!(few.is_subset(&prompts_of(&channel)), "they wait behind those of the other clinic");
    let waiting = rows(&app, id_of(&ann)).await.iter().filter(|(.., state)| state == "waiting").count();
    assert!(waiting > 2000, "{waiting}");
    assert!(rows(&app, id_of(&ann)).await.iter().all(|(lane, ..)| *lane == large));
    assert!(rows(&app, id_of(&ben)).await.iter().all(|(lane, ..)| *lane == small));

    work(&app, &channel).await;
    assert_eq!(channel.sent().len(), 3005, "each leaves once");
    assert_eq!(prompts_of(&channel).len(), 3005);
}

#[actix_web::test]
async fn a_reminder_and_what_leaves_after_an_outage_keep_the_lane_of_the_clinic() {
    let app = TestApp::start().await;
    let ada = app.admin().await;
    let tess = app.staff(&ada, "Tess Moreau", &["care"]).await;
    let ann = app.patient(&tess, "Ann Walker").await;
    let (lane, channel) = (lane(&app, &tess).await, MemoryChannel::default());
    work(&app, &channel).await;
    plant(&app, id_of(&ann), app.now() + minutes(1), |planned| {
        planned.reminder_at = Some(planned.due_at + minutes(20));
    })
    .await;
    app.wait(minutes(1));
    work(&app, &channel).await;
    app.wait(minutes(20));
    work(&app, &channel).await;
    plant(&app, id_of(&ann), app.now() + minutes(1), |_| {}).await;
    // Nobody works for an hour.
    app.wait(minutes(60));
    work(&app, &channel).await;
    let sent = |ordinal| (lane, ordinal, "sent".to_owned());
    let mut found = rows(&app, id_of(&ann)).await;
    found.sort_unstable();
    assert_eq!(found, [sent(0), sent(0), sent(1)]);
}

#[actix_web::test]
async fn somebody_who_is_with_no_clinic_waits_in_the_first_lane() {
    let app = TestApp::start().await;
    let ada = app.admin().await;
    let tess = app.staff(&ada, "Tess Moreau", &["care"]).await;
    let ann = app.register("Ann Walker", &tess.code_for_patient().await).await;
    let channel = MemoryChannel::default();
    work(&app, &channel).await;
    plant(&app, id_of(&ann), app.now() + minutes(1), |_| {}).await;
    app.wait(minutes(1));
    work(&app, &channel).await;
    assert_eq!(rows(&app, id_of(&ann)).await, [(0, 0, "sent".to_owned())], "the therapist has not confirmed them");
}

#[test]
fn clinics_are_spread_over_sixteen_lanes_and_keep_theirs() {
    let clinics: Vec<Id<Clinic>> = (0..1000).map(|_| Entropy::System.id(START.parse().unwrap())).collect();
    let lanes: HashSet<i32> = clinics.iter().map(|clinic| lane_of(Some(*clinic))).collect();
    assert_eq!(lanes, (0..16).collect::<HashSet<i32>>());
    let known: Id<Clinic> = "0195a000-0000-7000-8000-00000000d0fd".parse().unwrap();
    assert_eq!((lane_of(Some(known)), lane_of(None)), (13, 0), "rows are stored by it");
}
