//! Web Push subscriptions: the key that browsers need, and one that was renewed.

use std::sync::{Arc, Mutex};

use afterglow::channels::{Address, Channel, Channels, Notice, SendError};
use afterglow::delivery::MemoryChannel;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::delivery::{minutes, plant, work};
use crate::support::app::{TestApp, new_id};
use crate::support::journal::with;
use crate::support::requests::devices::phone;

const KEY: &str = "a-public-key";

/// A push service that keeps the endpoints that it is asked for.
#[derive(Clone, Default)]
struct Browsers(Arc<Mutex<Vec<String>>>);

impl Channel for Browsers {
    fn name(&self) -> &'static str {
        "web_push"
    }

    fn public_key(&self) -> Option<String> {
        Some(KEY.to_owned())
    }

    fn send<'a>(&'a self, to: &'a Address, _notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>> {
        let Address::WebPush { endpoint, .. } = to else { unreachable!() };
        self.0.lock().unwrap().push(endpoint.clone());
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A browser with this subscription.
fn browser(endpoint: &str) -> Value {
    let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    let auth = "BTBZMqHH6r4Tts7J_aSIgg";
    let push = json!({ "channel": "web_push", "address": endpoint, "p256dh": p256dh, "auth": auth });
    with(phone("x"), json!({ "platform": "web", "push": push, "acknowledges": false }))
}

#[actix_web::test]
async fn a_renewed_subscription_takes_the_place_of_the_old_one() {
    let service = Browsers::default();
    let channel: Arc<dyn Channel> = Arc::new(service.clone());
    let app = TestApp::start_with_channels(Channels::new([channel])).await;
    let meta = app.get("/v1/meta").send().await.ok().body;
    assert_eq!((&meta["web_push_key"], &meta["push_channels"]), (&json!(KEY), &json!(["web_push"])));

    let ada = app.admin().await;
    let tess = app.staff(&ada, "Tess Moreau", &["care"]).await;
    let ann = app.patient(&tess, "Ann Walker").await;
    let path = ann.my(&format!("/devices/{}", new_id(&app)));
    ann.put(&path, browser("https://push.example.org/old")).send().await.created();
    let (here, patient) = (MemoryChannel::default(), ann.patient.parse().unwrap());
    let rings = async || {
        plant(&app, patient, app.now() + minutes(1), |_| {}).await;
        app.wait(minutes(1));
        work(&app, &here).await;
        std::mem::take(&mut *service.0.lock().unwrap())
    };
    work(&app, &here).await;
    assert_eq!(rings().await, ["https://push.example.org/old"]);
    let tag = ann.get(&path).send().await.ok().etag();
    ann.put(&path, browser("https://push.example.org/renewed")).if_match(&tag).send().await.ok();
    assert_eq!(rings().await, ["https://push.example.org/renewed"], "and nothing to the old one");
}
