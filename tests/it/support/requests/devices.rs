//! Requests about devices and what reaches them.

use serde_json::{Value, json};

use super::{Ask, Asker};
use crate::support::app::new_id;

/// An Android phone with this registration token.
pub fn phone(token: &str) -> Value {
    json!({
        "platform": "android",
        "push": { "channel": "fcm", "address": token },
        "locale": "de-AT",
        "app_version": "1.4.2",
        "acknowledges": true,
    })
}

/// The request for `operation`, if it is one of these.
pub async fn ask(asker: &Asker<'_>, operation: &str) -> Option<Ask> {
    let (world, n) = (asker.world, asker.n);
    let new = || asker.of_ann(&format!("/devices/{}", new_id(&world.app)));
    let ask = match operation {
        "list_devices" => Ask::get(asker.of_ann("/devices")),
        "put_device" => {
            make_room(asker).await;
            Ask::put(new()).with(phone(&format!("token-{n}")))
        }
        "get_device" => Ask::get(asker.of_ann(&format!("/devices/{}", world.device))),
        "delete_device" => Ask::delete(registered(asker).await),
        "get_plan" => Ask::get(asker.of_ann("/plan")),
        "take_plan" => {
            let plan = world.ann().get(&world.ann().my("/plan")).send().await.ok();
            let path = asker.of_ann(&format!("/devices/{}/plan", world.device));
            Ask::post(path).with(json!({ "version": plan.text("/version") }))
        }
        "receive_delivery" => Ask::post(asker.of_ann(&format!("/deliveries/{}/received", world.delivery().await))),
        _ => return None,
    };
    Some(ask)
}

/// The address of a device that Ann has just registered.
async fn registered(asker: &Asker<'_>) -> String {
    make_room(asker).await;
    let (ann, path) = (asker.world.ann(), asker.of_ann(&format!("/devices/{}", new_id(&asker.world.app))));
    ann.put(&path, phone(&format!("token-{}", asker.n))).send().await.created();
    path
}

/// Removes Ann's devices before they are too many.
async fn make_room(asker: &Asker<'_>) {
    let ann = asker.world.ann();
    let all = ann.get(&ann.my("/devices")).send().await.ok();
    let others = all.items().iter().filter(|device| device["id"] != json!(asker.world.device));
    for device in others.take(all.items().len().saturating_sub(10)) {
        ann.delete(&ann.my(&format!("/devices/{}", device["id"].as_str().unwrap()))).send().await.no_content();
    }
}
