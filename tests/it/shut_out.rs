//! Patients whose account is disabled: nothing goes to them, by no way, until it is enabled again.

use afterglow::planning::PromptKind;
use serde_json::json;

use crate::delivery::{World, minutes};
use crate::pushes::{World as Phones, registers};
use crate::support::accounts::{disable, enable};
use crate::support::database::Count;
use crate::support::sql::Sql;

#[actix_web::test]
async fn by_the_channel_of_the_process_nothing_leaves_not_even_a_safety_check_or_a_reminder() {
    let world = World::new().await;
    world.work().await;
    let account = world.ann.account.parse().unwrap();
    let reminded = world.plant_as(minutes(1), |planned| planned.reminder_at = Some(planned.due_at + minutes(20)));
    let reminded = reminded.await;
    world.app.wait(minutes(1));
    world.work().await;
    let failed = world.plant(minutes(1)).await;
    world.channel.fail(1);
    world.app.wait(minutes(1));
    world.work().await;
    assert_eq!(world.sent(), [reminded]);

    disable(&world.app, account).await;
    let safety = world.plant_as(minutes(1), |planned| planned.kind = PromptKind::Safety).await;
    let other = world.plant(minutes(2)).await;
    for _ in 0..30 {
        world.app.wait(minutes(1));
        world.work().await;
    }
    assert_eq!(world.sent(), [reminded], "it left before");
    let lapsed = "SELECT count(*) AS n FROM deliveries WHERE state = 'lapsed'";
    let lapsed = Sql::open(&world.app.database.backend).rows::<Count>(lapsed)[0].n;
    assert_eq!(lapsed, 4, "the reminder, what failed, the safety check, the other");

    enable(&world.app, account).await;
    let back = world.plant(minutes(1)).await;
    world.app.wait(minutes(1));
    world.work().await;
    assert_eq!(world.sent(), [reminded, back]);
    for waits in [failed, safety, other] {
        assert_eq!(world.state(waits).await, "due", "it stays in the app until it expires");
    }
}

#[actix_web::test]
async fn no_phone_rings() {
    let world = Phones::open().await;
    let account = world.ann.account.parse().unwrap();
    registers(&world.ann, "phone", json!({})).await;
    registers(&world.ann, "watch", json!({ "push": { "channel": "webhook", "address": "watch" } })).await;
    world.plant().await;
    world.waits(minutes(1)).await;
    let rings = || (world.fcm.at("phone").len(), world.gateway.at("watch").len());
    assert_eq!(rings(), (1, 1));

    disable(&world.app, account).await;
    let prompt = world.plant().await;
    world.waits(minutes(1)).await;
    for _ in 0..3 {
        world.waits(minutes(30)).await;
    }
    assert_eq!(rings(), (1, 1), "neither what is new nor what was not acknowledged");
    assert_eq!((world.fcm.tried(), world.gateway.tried()), (1, 1));
    assert_eq!(world.rows(prompt).await, []);

    enable(&world.app, account).await;
    world.plant().await;
    world.waits(minutes(1)).await;
    assert_eq!(rings(), (2, 2));
}
