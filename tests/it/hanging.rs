//! A push service that accepts and never answers holds no delivery of another.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use afterglow::channels::{Address, Channel, Channels, Notice, SendError};
use afterglow::db::Tx;
use afterglow::db::schema::deliveries;
use afterglow::delivery::{LogChannel, MemoryChannel};
use afterglow::kernel::Id;
use afterglow::kernel::id::Prompt;
use diesel::prelude::*;
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use serde_json::json;

use crate::delivery::{minutes, plant, work};
use crate::support::app::{TestApp, new_id};
use crate::support::journal::with;
use crate::support::people::Person;
use crate::support::requests::devices::phone;

/// A push service that keeps what it has taken, by address, and may hang.
#[derive(Clone)]
struct Service(&'static str, Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    taken: Vec<(String, Id<Prompt>)>,
    tried: usize,
    hangs: bool,
}

impl Service {
    /// The prompts that were taken for an address, in order.
    fn at(&self, address: &str) -> Vec<Id<Prompt>> {
        self.1.lock().unwrap().taken.iter().filter(|(to, _)| to == address).map(|(_, prompt)| *prompt).collect()
    }

    fn tried(&self) -> usize {
        self.1.lock().unwrap().tried
    }

    fn hangs(&self, hangs: bool) {
        self.1.lock().unwrap().hangs = hangs;
    }
}

impl Channel for Service {
    fn name(&self) -> &'static str {
        self.0
    }

    fn send<'a>(&'a self, to: &'a Address, notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>> {
        let (Address::Fcm { token } | Address::Webhook { token }) = to else { unreachable!() };
        let mut kept = self.1.lock().unwrap();
        kept.tried += 1;
        if kept.hangs {
            return Box::pin(std::future::pending());
        }
        kept.taken.push((token.clone(), notice.prompt));
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Ordinal, channel, state and attempts of a delivery.
type Row = (i32, String, String, i32);

fn row(ordinal: i32, channel: &str, state: &str, attempts: i32) -> Row {
    (ordinal, channel.to_owned(), state.to_owned(), attempts)
}

/// Ann and Ben, and two push services.
struct World {
    app: Arc<TestApp>,
    ann: Person,
    ben: Person,
    fcm: Service,
    gateway: Service,
    /// Where pushes would go in a process without channels to devices.
    here: MemoryChannel,
}

impl World {
    async fn open() -> Self {
        let [fcm, gateway] = ["fcm", "webhook"].map(|name| Service(name, Arc::default()));
        let channels: [Arc<dyn Channel>; 2] = [Arc::new(fcm.clone()), Arc::new(gateway.clone())];
        let app = TestApp::start_with_channels(Channels::new(channels)).await;
        let ada = app.admin().await;
        let tess = app.staff(&ada, "Tess Moreau", &["care"]).await;
        let ann = app.patient(&tess, "Ann Walker").await;
        let ben = app.patient(&tess, "Ben Roth").await;
        Self { app, ann, ben, fcm, gateway, here: MemoryChannel::default() }
    }

    /// Rounds until there is nothing to do.
    async fn work(&self) {
        work(&self.app, &self.here).await;
        assert_eq!(self.here.sent(), [], "it goes to devices alone");
    }

    /// A prompt that comes due in a second, with a reminder.
    async fn plant(&self, person: &Person) -> Id<Prompt> {
        let due_at = self.app.now() + SignedDuration::from_secs(1);
        let reminds = plant(&self.app, person.patient.parse().unwrap(), due_at, |planned| {
            planned.reminder_at = Some(planned.due_at + minutes(20));
        });
        reminds.await
    }

    /// All deliveries of a prompt.
    async fn rows(&self, prompt: Id<Prompt>) -> Vec<Row> {
        let unit = move |tx: &mut Tx<'_>| {
            let columns = (deliveries::ordinal, deliveries::channel, deliveries::state, deliveries::attempts);
            let order = (deliveries::ordinal, deliveries::channel, deliveries::state);
            let all = deliveries::table.filter(deliveries::prompt_id.eq(prompt));
            Ok(all.order(order).select(columns).load(tx.conn())?)
        };
        self.app.server.state.db.read(unit).await.unwrap()
    }
}

/// Registers a device that does not acknowledge.
async fn registers(person: &Person, channel: &str, address: &str) {
    let push = json!({ "channel": channel, "address": address });
    let device = with(phone(address), json!({ "push": push, "acknowledges": false }));
    person.put(&person.my(&format!("/devices/{}", new_id(&person.app))), device).send().await.created();
}

#[actix_web::test]
async fn a_service_that_hangs_holds_no_delivery_of_another() {
    let world = World::open().await;
    registers(&world.ann, "fcm", "anns").await;
    registers(&world.ann, "webhook", "watch").await;
    registers(&world.ben, "webhook", "bens").await;
    world.work().await;
    world.fcm.hangs(true);
    let (hanging, first) = (world.plant(&world.ann).await, world.plant(&world.ben).await);
    world.app.wait(SignedDuration::from_secs(1));
    let begun = Instant::now();
    world.work().await;
    assert_eq!(world.fcm.tried(), 1);
    assert_eq!(world.gateway.at("bens"), [first]);
    assert_eq!(world.gateway.at("watch"), [hanging], "her other device rings at once");
    let stored = [row(0, "memory", "fanned_out", 1), row(0, "webhook", "sent", 1), row(1, "memory", "waiting", 0)];
    assert_eq!(world.rows(first).await, stored);
    let under_way = [row(0, "memory", "leased", 1)];
    assert_eq!(world.rows(hanging).await, under_way, "it is stored once, with all of its devices");

    let second = world.plant(&world.ben).await;
    world.app.wait(SignedDuration::from_secs(1));
    world.work().await;
    assert_eq!(world.gateway.at("bens"), [first, second]);
    let taken = begun.elapsed();
    assert_eq!(world.rows(second).await, stored);
    assert_eq!(world.rows(hanging).await, under_way, "the service still hangs");
    assert!(taken < Duration::from_secs(5), "it waited for the service: {taken:?}");

    for _ in 0..200 {
        if world.rows(hanging).await != under_way {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut noted = stored.to_vec();
    noted.insert(0, row(0, "fcm", "waiting", 1));
    assert_eq!(world.rows(hanging).await, noted, "another attempt, and the reminder");

    world.fcm.hangs(false);
    world.app.wait(SignedDuration::from_secs(16));
    world.work().await;
    assert_eq!((world.fcm.tried(), world.fcm.at("anns")), (2, vec![hanging]));
    assert_eq!(world.gateway.at("watch"), [hanging], "once");
    noted[0] = row(0, "fcm", "sent", 2);
    assert_eq!(world.rows(hanging).await, noted);
}

#[actix_web::test]
async fn a_worker_that_is_asked_to_stop_waits_for_what_is_under_way() {
    let world = World::open().await;
    registers(&world.ann, "fcm", "anns").await;
    world.fcm.hangs(true);
    let prompt = world.plant(&world.ann).await;
    world.app.wait(SignedDuration::from_secs(1));
    let worker = world.app.server.work(Arc::new(LogChannel));
    for _ in 0..400 {
        if world.fcm.tried() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(world.fcm.tried(), 1);
    // Its round has ended.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(world.rows(prompt).await, [row(0, "log", "leased", 1)]);
    worker.stop().await;
    let noted = [row(0, "fcm", "waiting", 1), row(0, "log", "fanned_out", 1), row(1, "log", "waiting", 0)];
    assert_eq!(world.rows(prompt).await, noted);
}
