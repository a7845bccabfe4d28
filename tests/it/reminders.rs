//! Reminders: one, half-way to expiry, never at night, never once answered.

use afterglow::planning::{Planned, PromptKind};
use jiff::Timestamp;
use serde_json::json;

use crate::delivery::{World, hours, minutes};

/// A prompt that comes due in ten minutes (09:10 in Berlin) and is reminded of `later` after that.
fn reminded(due: Timestamp, later: i64) -> impl FnOnce(&mut Planned) {
    move |planned| planned.reminder_at = Some(due + hours(later))
}

#[actix_web::test]
async fn rule_one_reminder_goes_half_way_under_the_same_notification() {
    let world = World::new().await;
    let due = world.app.now() + minutes(10);
    let id = world.plant_as(minutes(10), reminded(due, 3)).await;
    world.app.wait(minutes(10));
    world.work().await;
    assert_eq!(world.sent(), [id]);
    world.app.wait(hours(2));
    world.work().await;
    assert_eq!(world.sent(), [id], "not yet");
    world.app.wait(hours(1));
    world.work().await;
    assert_eq!(world.sent(), [id, id]);
    let [first, second] = &world.channel.sent()[..] else { panic!("two pushes") };
    assert_eq!((first.prompt, first.text), (second.prompt, second.text), "the phone replaces one by the other");
    assert_ne!(first.delivery, second.delivery);
    world.app.wait(hours(12));
    world.work().await;
    assert_eq!(world.sent(), [id, id], "and no other");
    assert_eq!(world.state(id).await, "delivered");
}

#[actix_web::test]
async fn rule_a_safety_check_is_reminded_of_twice() {
    let world = World::new().await;
    let due = world.app.now() + minutes(10);
    let change = |planned: &mut Planned| {
        planned.kind = PromptKind::Safety;
        planned.expires_at = due + hours(8);
        reminded(due, 4)(planned);
    };
    let id = world.plant_as(minutes(10), change).await;
    world.app.wait(minutes(10));
    world.work().await;
    world.app.wait(hours(4));
    world.work().await;
    assert_eq!(world.sent(), [id, id], "half-way");
    world.app.wait(hours(2) - minutes(1));
    world.work().await;
    assert_eq!(world.sent().len(), 2);
    world.app.wait(minutes(1));
    world.work().await;
    assert_eq!(world.sent(), [id, id, id], "and after three quarters");
    for _ in 0..12 {
        world.app.wait(minutes(10));
        world.work().await;
    }
    assert_eq!(world.sent().len(), 3, "and never again");
}

#[actix_web::test]
async fn rule_nobody_is_reminded_of_what_was_answered_or_skipped_or_at_night() {
    let world = World::new().await;
    let due = world.app.now() + minutes(10);
    let answered = world.plant_as(minutes(10), reminded(due, 3)).await;
    let skipped = world.plant_as(minutes(10), reminded(due, 3)).await;
    let late = world.plant_as(minutes(10), reminded(due, 13)).await;
    world.app.wait(minutes(10));
    world.work().await;
    assert_eq!(world.sent().len(), 3);
    world.ann.post(&world.ann.my(&format!("/prompts/{answered}/complete")), json!({})).send().await.ok();
    world.ann.post(&world.ann.my(&format!("/prompts/{skipped}/skip")), json!({})).send().await.ok();
    for _ in 0..20 {
        world.app.wait(hours(1));
        world.work().await;
    }
    assert_eq!(world.sent().len(), 3, "no reminder");
    assert_eq!(world.state(late).await, "delivered");
}

#[actix_web::test]
async fn fault_resends_come_out_of_order_after_expiry_or_as_spam() {
    let world = World::new().await;
    let due = world.app.now() + minutes(10);
    let first = world.plant_as(minutes(10), reminded(due, 3)).await;
    // The channel is down for a while: what it fails to take is tried again, a few times, in order.
    world.channel.fail(2);
    world.app.wait(minutes(10));
    for _ in 0..10 {
        world.work().await;
        world.app.wait(minutes(1));
    }
    assert_eq!(world.sent(), [first]);
    let second = world.plant_as(hours(4), |planned| planned.expires_at = due + hours(5)).await;
    // Nobody works for five hours: the reminder and the second prompt, both late, do not all go at once.
    world.app.wait(hours(5));
    for _ in 0..10 {
        world.work().await;
        world.app.wait(minutes(1));
    }
    let sent = world.sent();
    assert_eq!(sent, [first], "what has expired does not go, and nobody is reminded after an outage");
    assert_eq!(world.state(second).await, "lapsed");
    // Whatever else happens, a prompt is pushed twice at most, and never after it expired.
    for _ in 0..48 {
        world.work().await;
        world.app.wait(hours(1));
    }
    assert_eq!(world.sent(), [first]);
    assert!(world.channel.sent().iter().all(|push| push.expires_at > due));
}
