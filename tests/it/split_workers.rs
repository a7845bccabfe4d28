//! Processes that share the channels between them: each device rings once, by the process that serves its channel.

use std::sync::{Arc, Mutex};

use afterglow::app;
use afterglow::channels::{Address, Channel, Channels, Mail, MailSettings, Notice, SendError};
use afterglow::config::Config;
use afterglow::db::Tx;
use afterglow::db::schema::deliveries;
use afterglow::delivery::MemoryChannel;
use afterglow::jobs;
use afterglow::kernel::Id;
use afterglow::kernel::id::Prompt;
use afterglow::state::State;
use diesel::prelude::*;
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::account_life::{Scene, letter};
use crate::delivery::{hours, minutes, plant};
use crate::support::app::{TestApp, new_id};
use crate::support::journal::with;
use crate::support::people::Person;
use crate::support::requests::devices::phone;

/// A push service that takes everything, and keeps it.
#[derive(Clone)]
struct Service(&'static str, Arc<Mutex<Vec<Notice>>>);

impl Service {
    fn count(&self) -> usize {
        self.1.lock().unwrap().len()
    }
}

impl Channel for Service {
    fn name(&self) -> &'static str {
        self.0
    }

    fn send<'a>(&'a self, to: &'a Address, notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>> {
        assert_eq!(to.channel(), self.0);
        self.1.lock().unwrap().push(notice.clone());
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A process with the file of both channels, which serves one of them.
struct Process {
    state: State,
    webhook: Service,
    web_push: Service,
}

impl Process {
    fn serving(app: &TestApp, only: &str) -> Self {
        let service = |name| Service(name, Arc::default());
        let (webhook, web_push) = (service("webhook"), service("web_push"));
        let both: [Arc<dyn Channel>; 2] = [Arc::new(webhook.clone()), Arc::new(web_push.clone())];
        let channels = Channels::new(both).only(&[only.to_owned()]);
        Self { state: app.server.clone().with_channels(channels).state, webhook, web_push }
    }

    /// Rounds until it finds nothing to do.
    async fn work(&self) {
        work(&self.state).await;
    }

    /// What it has sent by each channel.
    fn sent(&self) -> [usize; 2] {
        [self.webhook.count(), self.web_push.count()]
    }
}

async fn work(state: &State) {
    let here = MemoryChannel::default();
    for _ in 0..100 {
        let now = state.clock.now();
        let next = app::tick(state, &here, now).await.unwrap().next;
        if next.is_none_or(|next| next > now) {
            assert_eq!(here.sent(), [], "it goes to devices alone");
            return;
        }
    }
    panic!("the work never ends");
}

/// Ann with a phone that a gateway reaches and a browser, and a process for each.
struct World {
    app: Arc<TestApp>,
    ann: Person,
    browser: String,
    gateway: Process,
    push: Process,
}

impl World {
    async fn open() -> Self {
        let app = TestApp::start().await;
        let ada = app.admin().await;
        let tess = app.staff(&ada, "Tess Moreau", &["care"]).await;
        let ann = app.patient(&tess, "Ann Walker").await;
        let (gateway, push) = (Process::serving(&app, "webhook"), Process::serving(&app, "web_push"));
        gateway.work().await;
        put(&ann, &new_id(&app), &webhook()).await;
        let browser = new_id(&app);
        put(&ann, &browser, &web_push()).await;
        Self { app, ann, browser, gateway, push }
    }

    /// A prompt of hers that comes due now, and expires after this time.
    async fn due(&self, expires: SignedDuration) -> Id<Prompt> {
        let patient = self.ann.patient.parse().unwrap();
        let due_at = self.app.now() + minutes(1);
        let prompt = plant(&self.app, patient, due_at, |planned| {
            planned.expires_at = planned.due_at + expires;
            planned.reminder_at = Some(planned.due_at + minutes(20));
        });
        let prompt = prompt.await;
        self.app.wait(minutes(1));
        prompt
    }

    /// Ordinal, channel, state and attempts of the deliveries of a prompt to devices.
    async fn rows(&self, prompt: Id<Prompt>) -> Vec<(i32, String, String, i32)> {
        let unit = move |tx: &mut Tx<'_>| {
            let all =
                deliveries::table.filter(deliveries::prompt_id.eq(prompt)).filter(deliveries::device_id.is_not_null());
            let columns = (deliveries::ordinal, deliveries::channel, deliveries::state, deliveries::attempts);
            let order = (deliveries::ordinal, deliveries::channel, deliveries::state);
            Ok(all.order(order).select(columns).load(tx.conn())?)
        };
        self.app.server.state.db.read(unit).await.unwrap()
    }

    async fn state(&self, id: Id<Prompt>) -> String {
        let all = self.ann.prompts().await;
        all.iter().find(|prompt| prompt["id"] == json!(id.to_string())).unwrap()["state"].as_str().unwrap().to_owned()
    }
}

fn row(ordinal: i32, channel: &str, state: &str, attempts: i32) -> (i32, String, String, i32) {
    (ordinal, channel.to_owned(), state.to_owned(), attempts)
}

fn webhook() -> Value {
    json!({ "channel": "webhook", "address": "gate" })
}

fn web_push() -> Value {
    let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    let auth = "BTBZMqHH6r4Tts7J_aSIgg";
    json!({ "channel": "web_push", "address": "https://push.example.org/ann", "p256dh": p256dh, "auth": auth })
}

/// Registers a device that does not acknowledge.
async fn put(person: &Person, id: &str, push: &Value) {
    let device = with(phone("x"), json!({ "push": push, "acknowledges": false }));
    person.put(&person.my(&format!("/devices/{id}")), device).send().await.created();
}

#[actix_web::test]
async fn each_device_rings_once_by_the_process_that_serves_its_channel() {
    let world = World::open().await;
    let first = world.due(hours(24)).await;
    world.gateway.work().await;
    assert_eq!((world.gateway.sent(), world.push.sent()), ([1, 0], [0, 0]));
    assert_eq!(world.rows(first).await, [row(0, "web_push", "waiting", 0), row(0, "webhook", "sent", 1)]);
    assert_eq!(world.state(first).await, "delivered");
    world.push.work().await;
    assert_eq!((world.gateway.sent(), world.push.sent()), ([1, 0], [0, 1]));
    let ids = [world.gateway.webhook.1.lock().unwrap()[0].delivery, world.push.web_push.1.lock().unwrap()[0].delivery];
    assert_ne!(ids[0], ids[1], "each device has a delivery of its own");

    // The other process is the first that finds it.
    let second = world.due(hours(24)).await;
    world.push.work().await;
    assert_eq!((world.gateway.sent(), world.push.sent()), ([1, 0], [0, 2]));
    world.gateway.work().await;
    assert_eq!((world.gateway.sent(), world.push.sent()), ([2, 0], [0, 2]));

    let third = world.due(hours(24)).await;
    tokio::join!(world.gateway.work(), world.push.work());
    tokio::join!(world.gateway.work(), world.push.work());
    assert_eq!((world.gateway.sent(), world.push.sent()), ([3, 0], [0, 3]));
    for prompt in [first, second, third] {
        assert_eq!(world.rows(prompt).await, [row(0, "web_push", "sent", 1), row(0, "webhook", "sent", 1)]);
    }
}

#[actix_web::test]
async fn what_goes_by_a_channel_that_nobody_serves_waits_and_lapses_when_it_expires() {
    let world = World::open().await;
    let prompt = world.due(minutes(15)).await;
    for _ in 0..3 {
        world.gateway.work().await;
        world.app.wait(minutes(4));
        assert_eq!(world.rows(prompt).await, [row(0, "web_push", "waiting", 0), row(0, "webhook", "sent", 1)]);
    }
    world.app.wait(minutes(3));
    world.gateway.work().await;
    assert_eq!(world.rows(prompt).await, [row(0, "web_push", "lapsed", 1), row(0, "webhook", "sent", 1)]);
    world.push.work().await;
    assert_eq!((world.gateway.sent(), world.push.sent()), ([1, 0], [0, 0]), "it came too late");
}

#[actix_web::test]
async fn a_reminder_takes_the_place_of_what_still_waits_for_another_process() {
    let world = World::open().await;
    let prompt = world.due(hours(24)).await;
    world.gateway.work().await;
    world.app.wait(minutes(20));
    world.gateway.work().await;
    let waiting = [
        row(0, "web_push", "lapsed", 0),
        row(0, "webhook", "sent", 1),
        row(1, "web_push", "waiting", 0),
        row(1, "webhook", "sent", 1),
    ];
    assert_eq!(world.rows(prompt).await, waiting);
    world.push.work().await;
    assert_eq!((world.gateway.sent(), world.push.sent()), ([2, 0], [0, 1]), "the browser rings once");
}

#[actix_web::test]
async fn a_device_that_changed_its_channel_meanwhile_rings_by_the_new_one() {
    let world = World::open().await;
    let prompt = world.due(hours(24)).await;
    world.gateway.work().await;
    let path = world.ann.my(&format!("/devices/{}", world.browser));
    let tag = world.ann.get(&path).send().await.ok().etag();
    let push = json!({ "channel": "webhook", "address": "other" });
    let device = with(phone("x"), json!({ "push": push, "acknowledges": false }));
    world.ann.put(&path, device).if_match(&tag).send().await.ok();
    world.push.work().await;
    assert_eq!(world.rows(prompt).await, [row(0, "webhook", "sent", 1), row(0, "webhook", "waiting", 0)]);
    world.gateway.work().await;
    assert_eq!((world.gateway.sent(), world.push.sent()), ([2, 0], [0, 0]));
    assert_eq!(world.rows(prompt).await, [row(0, "webhook", "sent", 1), row(0, "webhook", "sent", 1)]);
}

#[actix_web::test]
async fn what_waits_for_a_channel_that_is_configured_no_more_lapses() {
    let world = World::open().await;
    let prompt = world.due(hours(24)).await;
    world.gateway.work().await;
    let left = Service("webhook", Arc::default());
    let alone: [Arc<dyn Channel>; 1] = [Arc::new(left.clone())];
    let without = world.app.server.clone().with_channels(Channels::new(alone));
    work(&without.state).await;
    assert_eq!(world.rows(prompt).await, [row(0, "web_push", "lapsed", 1), row(0, "webhook", "sent", 1)]);

    // The browser is not among the devices that the next one reaches.
    let next = world.due(hours(24)).await;
    work(&without.state).await;
    assert_eq!(world.rows(next).await, [row(0, "webhook", "sent", 1)]);
    assert_eq!((left.count(), world.push.sent()), (1, [0, 0]));
}

#[actix_web::test]
async fn a_worker_that_knows_no_way_of_letters_leaves_them_to_the_server_that_does() {
    let Scene { app, therapist, .. } = Scene::open_with(|_| {}).await;
    let server = &app.server.state;
    let config = Config { mail: MailSettings::Log, ..Config::clone(&server.config) };
    let mail = Mail::new(&config.mail, server.clock.clone()).unwrap();
    let worker = State { mail: Arc::new(mail), config: Arc::new(config), ..server.clone() };
    app.patient(&therapist, "Mara Lind").await;

    let (here, now) = (MemoryChannel::default(), server.clock.now());
    let tasks = app::worker_tasks(&worker, &here);
    while jobs::tick(&worker, &tasks, now).await.unwrap().next == Some(now) {}
    // It asks Mara for the proof of her address.
    letter(&app, "mara.lind@example.org").await.code();
}
