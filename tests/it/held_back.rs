//! A push that fails by the settings of the operator is kept until they are mended, and retires no device.

use afterglow::channels::SendError;
use serde_json::json;

use crate::delivery::{minutes, plant};
use crate::pushes::{World, registers};

/// The times that a push fails: more often than one is tried whose service has a fault.
const TIMES: usize = 7;

impl World {
    async fn is_reachable(&self, device: &str) -> bool {
        let shown = self.ann.get(&self.ann.my(&format!("/devices/{device}"))).send().await.ok();
        shown.body["reachable"].as_bool().unwrap()
    }
}

#[actix_web::test]
async fn a_device_that_does_not_fit_the_settings_stays_and_rings_once_when_they_are_mended() {
    let world = World::open().await;
    let foreign = registers(&world.ann, "foreign", json!({ "acknowledges": false })).await;
    registers(&world.ann, "right", json!({ "acknowledges": false })).await;
    for _ in 0..TIMES {
        world.fcm.fails("foreign", SendError::Mismatched { reason: "of another app" });
    }
    let prompt = world.plant().await;
    world.waits(minutes(1)).await;
    for turn in 1..=TIMES {
        assert_eq!((world.fcm.at("right").len(), world.fcm.at("foreign").len()), (1, 0), "it holds no other");
        assert_eq!(world.fcm.tried(), turn + 1);
        assert!(world.is_reachable(&foreign).await, "the topic may be wrong for all devices");
        world.waits(minutes(9)).await;
        assert_eq!(world.fcm.tried(), turn + 1, "not too often");
        world.waits(minutes(2)).await;
    }
    assert_eq!((world.fcm.at("right").len(), world.fcm.at("foreign").len()), (1, 1));
    assert_eq!(world.fcm.at("foreign")[0].prompt, prompt);
    let rows = world.rows(prompt).await;
    assert!(rows.len() == 2 && rows.iter().all(|(_, state, _)| state == "sent"), "{rows:?}");
}

#[actix_web::test]
async fn what_never_fits_the_settings_lapses_with_its_prompt_and_the_next_one_is_tried_again() {
    let world = World::open().await;
    let foreign = registers(&world.ann, "foreign", json!({ "acknowledges": false })).await;
    world.fcm.is_down(Some(SendError::Mismatched { reason: "of another app" }));
    let due_at = world.app.now() + minutes(1);
    let short = plant(&world.app, world.ann.patient.parse().unwrap(), due_at, |planned| {
        planned.expires_at = planned.due_at + minutes(25);
    });
    let prompt = short.await;
    world.waits(minutes(1)).await;
    for _ in 0..6 {
        world.waits(minutes(11)).await;
    }
    assert_eq!(world.fcm.tried(), 3, "at once, and twice before it expires");
    let rows = world.rows(prompt).await;
    assert!(rows.len() == 1 && rows[0].1 == "lapsed", "{rows:?}");
    assert!(world.is_reachable(&foreign).await);
    world.fcm.is_down(None);
    let next = world.plant().await;
    world.waits(minutes(1)).await;
    assert_eq!(world.fcm.at("foreign").iter().map(|notice| notice.prompt).collect::<Vec<_>>(), [next]);
}

#[actix_web::test]
async fn a_channel_whose_credentials_are_refused_rests_and_loses_nothing_until_they_are_mended() {
    const PHONES: usize = 12;
    /// Longer than what a fault of the service lasts before a push is given up.
    const MINUTES: usize = 40;
    let world = World::open().await;
    let mut devices = Vec::new();
    for n in 0..PHONES {
        devices.push(registers(&world.ann, &format!("fcm-{n}"), json!({ "acknowledges": false })).await);
    }
    let watch = json!({ "push": { "channel": "webhook", "address": "watch" }, "acknowledges": false });
    registers(&world.ann, "x", watch).await;
    world.fcm.is_down(Some(SendError::Misconfigured { reason: "the service refuses the credentials" }));
    let prompt = world.plant().await;
    world.waits(minutes(1)).await;
    assert_eq!(world.fcm.tried(), 5, "after five refusals in a row the channel is left alone");
    assert_eq!(world.gateway.at("watch").len(), 1, "it holds no other");
    for _ in 0..MINUTES {
        world.waits(minutes(1)).await;
    }
    assert!(world.fcm.tried() <= 5 + MINUTES / 10, "one tries it at times: {}", world.fcm.tried());
    for device in &devices {
        assert!(world.is_reachable(device).await);
    }
    world.fcm.is_down(None);
    for _ in 0..12 {
        world.waits(minutes(1)).await;
    }
    let rings: Vec<_> = (0..PHONES).map(|n| world.fcm.at(&format!("fcm-{n}")).len()).collect();
    assert_eq!(rings, [1; PHONES], "nobody is forgotten, and nobody is rung twice");
    let rows = world.rows(prompt).await;
    assert!(rows.len() == PHONES + 1 && rows.iter().all(|(_, state, _)| state == "sent"), "{rows:?}");
}
