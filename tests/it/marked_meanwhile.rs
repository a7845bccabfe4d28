//! Workers mark prompts without the lock under which plans are made and patients act. On PostgreSQL both happen at
//! once; SQLite has one writer.

use afterglow::kernel::Id;
use afterglow::kernel::id::Prompt;
use afterglow::planning::Planned;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::delivery::{World, hours, minutes};
use crate::support::app::new_id;
use crate::support::database::on_postgres;
use crate::support::journal::{reflection, with};
use crate::support::sql::beside;
use crate::tasks::Tables;

/// Marks a prompt, as a worker does when its time has come.
fn comes_due(id: Id<Prompt>) -> String {
    format!("UPDATE prompts SET stage = 1, fired_at = due_at, next_action_at = NULL WHERE id = '{id}'")
}

/// Whether the prompt is at this stage, and has come due.
fn has_come_due(world: &World, id: Id<Prompt>, stage: i32) -> bool {
    let row = format!("prompts WHERE id = '{id}' AND stage = {stage} AND fired_at IS NOT NULL");
    Tables::of(&world.app).count(&row) == 1
}

/// Ann a second before her next prompt that rings, and that prompt with its time.
async fn before_the_next() -> (World, Id<Prompt>, Timestamp) {
    let world = World::new().await;
    world.tess().records(&world.ann, world.app.now()).await;
    world.work().await;
    let prompts = world.ann.prompts().await;
    let rings = |prompt: &&Value| prompt["detail"]["optional"] != json!(true) && prompt["state"] == "planned";
    let next = prompts.iter().filter(rings).min_by_key(|prompt| prompt["detail"]["due_at"].as_str()).unwrap();
    let id = next["id"].as_str().unwrap().parse().unwrap();
    let due: Timestamp = next["detail"]["due_at"].as_str().unwrap().parse().unwrap();
    world.app.clock.set(due - SignedDuration::from_secs(1));
    world.work().await;
    (world, id, due)
}

/// Nothing of the prompt leaves in the eight hours after its time.
async fn does_not_ring_again(world: &World, id: Id<Prompt>, due: Timestamp) {
    world.app.clock.set(due);
    for _ in 0..16 {
        world.work().await;
        world.app.wait(minutes(30));
    }
    assert!(!world.sent().contains(&id), "it rings a second time");
}

#[actix_web::test]
async fn a_prompt_that_rang_while_its_plan_was_made_does_not_ring_again() {
    if !on_postgres() {
        return;
    }
    let (world, id, due) = before_the_next().await;
    let moves = world.ann.sets(json!({ "time_zone": "America/New_York" }));
    beside(&world.app.database.backend, &comes_due(id), moves).await.ok();
    assert!(has_come_due(&world, id, 1), "the plan let it wait again");
    assert_eq!(world.state(id).await, "due");
    let prompts = world.ann.prompts().await;
    let moved = |prompt: &&Value| prompt["detail"]["zone"] == "America/New_York" && prompt["state"] == "planned";
    assert!(prompts.iter().filter(moved).count() > 3, "the others follow her");
    does_not_ring_again(&world, id, due).await;
}

#[actix_web::test]
async fn a_prompt_that_rang_while_a_pause_began_is_not_taken_back() {
    if !on_postgres() {
        return;
    }
    let (world, id, due) = before_the_next().await;
    let until = (world.app.now() + hours(72)).to_string();
    let path = world.ann.my(&format!("/pauses/{}", new_id(&world.app)));
    let pauses = world.ann.put(&path, json!({ "until": until })).send();
    beside(&world.app.database.backend, &comes_due(id), pauses).await.created();
    assert!(has_come_due(&world, id, 1), "the plan withdrew it");
    assert_eq!(world.state(id).await, "due");
    does_not_ring_again(&world, id, due).await;
}

#[actix_web::test]
async fn a_prompt_that_a_patient_opens_while_it_comes_due_has_come_due() {
    if !on_postgres() {
        return;
    }
    let world = World::new().await;
    world.work().await;
    let id = world.plant(minutes(5)).await;
    let opens = world.ann.post(&world.ann.my(&format!("/prompts/{id}/open")), json!({})).send();
    beside(&world.app.database.backend, &comes_due(id), opens).await.ok();
    assert!(has_come_due(&world, id, 3));
    assert_eq!(world.state(id).await, "opened");
}

#[actix_web::test]
async fn a_prompt_that_a_patient_puts_off_while_it_comes_due_rings_at_the_later_time_alone() {
    if !on_postgres() {
        return;
    }
    let world = World::new().await;
    world.work().await;
    let id = world.plant(minutes(5)).await;
    let puts_off = world.ann.post(&world.ann.my(&format!("/prompts/{id}/snooze")), json!({ "until": "hour" })).send();
    beside(&world.app.database.backend, &comes_due(id), puts_off).await.ok();
    world.app.wait(minutes(5));
    world.work().await;
    assert_eq!(world.sent(), []);
    assert_eq!(world.state(id).await, "planned");
    world.app.wait(hours(1));
    world.work().await;
    assert_eq!(world.sent(), [id]);
}

#[actix_web::test]
async fn what_a_patient_did_while_a_push_left_stands() {
    if !on_postgres() {
        return;
    }
    let world = World::new().await;
    world.work().await;
    let id = world.plant(minutes(5)).await;
    world.channel.fail(1);
    world.app.wait(minutes(5));
    world.work().await;
    world.app.wait(minutes(1));
    // As an answer does it: the push was judged and has left, and the note of it waits.
    let answers = format!("UPDATE prompts SET stage = 3 WHERE id = '{id}'");
    beside(&world.app.database.backend, &answers, world.work()).await;
    assert_eq!(world.sent(), [id]);
    let answered = format!("prompts WHERE id = '{id}' AND stage = 3 AND delivered_at IS NULL");
    assert_eq!(Tables::of(&world.app).count(&answered), 1);
}

#[actix_web::test]
async fn a_card_that_comes_due_while_it_takes_the_place_of_effort_is_announced_once() {
    if !on_postgres() {
        return;
    }
    let world = World::new().await;
    world.ann.writes(with(reflection("Today"), json!({ "mood": { "valence": 0 } }))).await;
    let effort = world.plant(minutes(5)).await;
    let as_card = |planned: &mut Planned| {
        "adapt.low".clone_into(&mut planned.rule_key);
        planned.push = false;
    };
    let card = world.plant_as(minutes(5), as_card).await;
    world.app.wait(minutes(5));
    // Another worker has taken the card, so this one finds the prompt alone.
    beside(&world.app.database.backend, &comes_due(card), world.work()).await;
    world.work().await;
    assert_eq!((world.state(effort).await.as_str(), world.sent()), ("cancelled", vec![card]));
    let deliveries = format!("deliveries WHERE prompt_id = '{card}'");
    assert_eq!(Tables::of(&world.app).count(&deliveries), 1);
}
