//! Adherence: how much of what was asked found its time, in words for the patient and counted for a therapist; and how
//! pushes go at a clinic.

use afterglow::kernel::Id;
use afterglow::kernel::id::Prompt;
use afterglow::planning::PromptKind;
use jiff::{SignedDuration, ToSpan};
use serde_json::{Value, json};

use crate::delivery::{World, hours, minutes, plant, work};
use crate::support::journal::{reflection, with};
use crate::support::people::Person;
use crate::support::sql::Sql;

async fn words(ann: &Person) -> Value {
    ann.get(&ann.my("/adherence")).send().await.ok().body["words"].clone()
}

async fn counts(world: &World) -> Value {
    let path = world.ann.of_theirs("/adherence");
    let body = world.tess().get(&path).send().await.ok().body;
    assert!(body.get("words").is_none());
    body["counts"].clone()
}

/// A safety check that comes due in a minute.
async fn check(world: &World) -> Id<Prompt> {
    let as_check = |planned: &mut afterglow::planning::Planned| {
        planned.kind = PromptKind::Safety;
        planned.rule_key = "d1.check".to_owned();
        planned.priority = 1;
    };
    world.plant_as(minutes(1), as_check).await
}

async fn completes(ann: &Person, prompt: Id<Prompt>, ago: SignedDuration) {
    let occurred_at = (ann.app.now() - ago).to_string();
    let body = json!({ "occurred_at": occurred_at });
    ann.post(&ann.my(&format!("/prompts/{prompt}/complete")), body).send().await.ok();
}

#[actix_web::test]
async fn nothing_offered_is_no_full_adherence() {
    let world = World::new().await;
    let told = words(&world.ann).await;
    assert_eq!((&told["portion"], &told["kinds"]), (&json!("nothing_offered"), &json!([])));
    let none = json!({ "completed": 0, "skipped": 0, "lapsed": 0, "open": 0, "excused": 0 });
    assert_eq!(counts(&world).await, json!({ "total": none, "groups": [] }));
    // What is still to come, and a card that nobody was asked about, are not offered.
    world.plant(hours(2)).await;
    let card = |planned: &mut afterglow::planning::Planned| planned.optional = true;
    world.plant_as(minutes(1), card).await;
    world.app.wait(minutes(2));
    world.work().await;
    assert_eq!(words(&world.ann).await["portion"], "nothing_offered");
}

#[actix_web::test]
async fn the_patient_is_told_in_words_and_no_number() {
    let world = World::new().await;
    let [answered, skipped, _lapses] =
        [world.plant(minutes(1)).await, world.plant(minutes(1)).await, world.plant(minutes(1)).await];
    world.app.wait(minutes(2));
    world.work().await;
    assert_eq!(words(&world.ann).await["portion"], "nothing_offered", "all can still be answered");
    world.ann.writes(with(reflection("Lake"), json!({ "prompt_id": answered }))).await;
    world.ann.post(&world.ann.my(&format!("/prompts/{skipped}/skip")), json!({})).send().await.ok();
    assert_eq!(words(&world.ann).await["portion"], "about_half");
    world.app.wait(hours(25));
    world.work().await;
    let told = words(&world.ann).await;
    assert_eq!(told["portion"], "a_little");
    assert_eq!(told["kinds"], json!([{ "kind": "reflection", "portion": "a_little" }]));
    assert!(!told.to_string().contains(|c: char| c.is_ascii_digit()), "{told}");
    world.ann.sets(json!({ "locale": "de" })).await;
    assert!(words(&world.ann).await["sentence"].as_str().unwrap().contains("Zeit"));
}

#[actix_web::test]
async fn a_therapist_gets_counts_of_checks_and_measures_only() {
    let world = World::new().await;
    let [done, skipped, _open] = [check(&world).await, check(&world).await, check(&world).await];
    world.plant(minutes(1)).await;
    world.app.wait(minutes(2));
    world.work().await;
    completes(&world.ann, done, minutes(1)).await;
    world.ann.post(&world.ann.my(&format!("/prompts/{skipped}/skip")), json!({ "reason": "no" })).send().await.ok();
    let tally = json!({
        "completed": 1, "skipped": 1, "lapsed": 0, "open": 1, "excused": 0,
        "adherence": { "numerator": 1, "denominator": 2 },
    });
    let group = json!({ "phase": "none", "kind": "safety", "counts": tally });
    assert_eq!(counts(&world).await, json!({ "total": tally, "groups": [group] }));
}

#[actix_web::test]
async fn an_answer_counts_by_the_time_at_which_it_was_written() {
    let world = World::new().await;
    let [in_time, _late] = [check(&world).await, check(&world).await];
    world.app.wait(minutes(2));
    world.work().await;
    world.app.wait(hours(30));
    world.work().await;
    assert_eq!(counts(&world).await["total"]["adherence"], json!({ "numerator": 0, "denominator": 2 }));
    // The phone was in a cellar.
    completes(&world.ann, in_time, hours(29)).await;
    assert_eq!(counts(&world).await["total"]["adherence"], json!({ "numerator": 1, "denominator": 2 }));
}

#[actix_web::test]
async fn what_a_cancelled_infusion_called_for_is_excused() {
    let world = World::new().await;
    let start = world.app.now() + hours(20);
    let id = crate::support::app::new_id(&world.app);
    let path = world.ann.of_theirs(&format!("/infusions/{id}"));
    let planned = json!({ "status": "planned", "planned_start": start.to_string(), "route": "iv_infusion" });
    let tag = world.tess().put(&path, planned).send().await.created().etag();
    let infusion = id.parse().unwrap();
    let as_check = |planned: &mut afterglow::planning::Planned| {
        planned.kind = PromptKind::Safety;
        planned.rule_key = "prep.safety".to_owned();
        planned.anchor = Some(infusion);
    };
    world.plant_as(minutes(1), as_check).await;
    check(&world).await;
    world.app.wait(minutes(2));
    world.work().await;
    world.tess().patch(&path, json!({ "status": "cancelled" })).if_match(&tag).send().await.ok();
    world.app.wait(hours(26));
    world.work().await;
    let total = counts(&world).await["total"].clone();
    assert_eq!((&total["excused"], &total["lapsed"]), (&json!(1), &json!(1)));
    assert_eq!(total["adherence"], json!({ "numerator": 0, "denominator": 1 }));
}

#[actix_web::test]
async fn what_was_never_announced_was_not_asked() {
    let world = World::new().await;
    check(&world).await;
    // The server is away until it has expired.
    world.app.wait(hours(30));
    world.work().await;
    assert_eq!(counts(&world).await["total"]["adherence"], Value::Null);
}

#[actix_web::test]
async fn days_are_those_of_the_patient_and_at_most_a_year() {
    let world = World::new().await;
    check(&world).await;
    world.app.wait(minutes(2));
    world.work().await;
    world.app.wait(hours(25));
    world.work().await;
    let today = afterglow::kernel::Zone::parse("Europe/Berlin").unwrap().date(world.app.now());
    let of = async |from: i64, to: i64| {
        let query = format!("/adherence?from={}&to={}", today - from.days(), today - to.days());
        let body = world.tess().get(&world.ann.of_theirs(&query)).send().await.ok().body;
        body["counts"]["total"]["lapsed"].clone()
    };
    assert_eq!([of(1, 1).await, of(0, 0).await, of(9, 2).await], [json!(1), json!(0), json!(0)]);
    let long = format!("/adherence?from={}&to={today}", today - 366.days());
    world.ann.get(&world.ann.my(&long)).send().await.expect(422).refused("invalid");
    world.ann.get(&world.ann.my("/adherence?from=2026-03-02&to=2026-03-01")).send().await.expect(422);
}

#[actix_web::test]
async fn a_clinic_sees_how_its_pushes_go_and_small_numbers_of_nobody() {
    let clinic = crate::support::people::Clinic::open().await;
    let (app, admin) = (&clinic.app, &clinic.admin);
    let channel = afterglow::delivery::MemoryChannel::default();
    let patient: Id<afterglow::kernel::id::Patient> = clinic.ann.patient.parse().unwrap();
    let clinic_id = admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
    let path = format!("/v1/clinics/{clinic_id}/delivery-health");
    let health = async || admin.get(&path).send().await.ok().body;
    let quiet = health().await;
    assert_eq!(
        (&quiet["channels"], &quiet["backlog_seconds"], &quiet["late"]),
        (&json!([]), &Value::Null, &json!(false))
    );
    for _ in 0..12 {
        plant(app, patient, app.now() + minutes(1), |_| {}).await;
    }
    app.wait(minutes(1));
    work(app, &channel).await;
    let name = afterglow::delivery::Channel::name(&channel);
    let row = json!({ "channel": name, "sent": "12", "received": "< 10", "lapsed": "< 10", "waiting": "< 10" });
    assert_eq!(health().await["channels"], json!([row]));
    // The workers stand still.
    Sql::open(&app.database.backend).run("UPDATE deliveries SET state = 'waiting'");
    app.wait(SignedDuration::from_secs(61));
    let late = health().await;
    assert_eq!((&late["backlog_seconds"], &late["late"]), (&json!(61), &json!(true)));
    let text = late.to_string();
    assert!(!text.contains(&clinic.ann.patient) && !text.contains("d1.tell"), "{text}");
    clinic.therapist.get(&path).send().await.expect(403);
    clinic.ann.get(&path).send().await.expect(403);
    app.wait(hours(25));
    assert_eq!(health().await["channels"], json!([]), "the last day");
}
