//! Pushes that go on after their round: eight rounds at most have some, what is cut off goes again, and each is noted
//! once, whatever happens.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use afterglow::channels::{Address, Channel, Channels, Notice, SendError};
use afterglow::db::Tx;
use afterglow::db::schema::deliveries;
use afterglow::delivery::{DeliverySummary, MarkDue, MemoryChannel, Tails, deliver};
use afterglow::kernel::Id;
use afterglow::kernel::id::{Delivery, Patient, Prompt};
use afterglow::tasks::{PutOff, Task as _, TaskRun};
use diesel::prelude::*;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::delivery::{minutes, planned, plant_all, work};
use crate::pushes::registers;
use crate::support::app::TestApp;
use crate::support::people::Person;

/// Longer than any of these tests takes, so that nothing is cut off.
const LONG: Duration = Duration::from_secs(20);
/// The time for which a round waits for its pushes.
const HOLDS: Duration = Duration::from_millis(100);

/// A push service that takes nothing for some addresses, until it is told to.
#[derive(Clone, Default)]
struct Service(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    taken: Vec<(String, Id<Delivery>, Id<Prompt>)>,
    tried: usize,
    hanging: HashSet<String>,
}

impl Service {
    fn hangs(&self, address: &str) {
        self.0.lock().unwrap().hanging.insert(address.to_owned());
    }

    fn goes_on(&self, address: &str) {
        self.0.lock().unwrap().hanging.remove(address);
    }

    /// What was taken for an address, in order.
    fn at(&self, address: &str) -> Vec<(Id<Delivery>, Id<Prompt>)> {
        let kept = self.0.lock().unwrap();
        let own = kept.taken.iter().filter(|(to, ..)| to == address);
        own.map(|(_, delivery, prompt)| (*delivery, *prompt)).collect()
    }

    /// Waits until so many pushes have reached it.
    async fn is_tried(&self, times: usize) {
        for _ in 0..1000 {
            if self.0.lock().unwrap().tried >= times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("push {times} never comes");
    }
}

impl Channel for Service {
    fn name(&self) -> &'static str {
        "fcm"
    }

    fn send<'a>(&'a self, to: &'a Address, notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>> {
        let Address::Fcm { token } = to else { unreachable!() };
        self.0.lock().unwrap().tried += 1;
        async move {
            while self.0.lock().unwrap().hanging.contains(token) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.0.lock().unwrap().taken.push((token.clone(), notice.delivery, notice.prompt));
            Ok(())
        }
        .boxed()
    }
}

/// Ordinal, channel, state and attempts of a delivery.
type Row = (i32, String, String, i32);

/// The rows of a prompt that rang at this attempt, with its reminder.
fn rang_at(attempt: i32) -> [Row; 3] {
    let row = |ordinal, channel: &str, state: &str, attempts| (ordinal, channel.to_owned(), state.to_owned(), attempts);
    [row(0, "fcm", "sent", 1), row(0, "memory", "fanned_out", attempt), row(1, "memory", "waiting", 0)]
}

/// The row of a prompt whose push is under way.
fn under_way(attempt: i32) -> [Row; 1] {
    [(0, "memory".to_owned(), "leased".to_owned(), attempt)]
}

/// Ann and Ben, each with a phone.
struct World {
    app: Arc<TestApp>,
    ann: Person,
    ben: Person,
    fcm: Service,
    tails: Arc<Tails>,
}

impl World {
    async fn open(lasts: Duration) -> Self {
        let fcm = Service::default();
        let channel: Arc<dyn Channel> = Arc::new(fcm.clone());
        let app = TestApp::start_with_channels(Channels::new([channel])).await;
        let ada = app.admin().await;
        let tess = app.staff(&ada, "Tess Moreau", &["care"]).await;
        let ann = app.patient(&tess, "Ann Walker").await;
        let ben = app.patient(&tess, "Ben Roth").await;
        for (person, address) in [(&ann, "ann"), (&ben, "ben")] {
            registers(person, address, json!({ "acknowledges": false })).await;
        }
        work(&app, &MemoryChannel::default()).await;
        Self { app, ann, ben, fcm, tails: Arc::new(Tails::lasting(HOLDS, lasts)) }
    }

    /// Prompts that come due one second after another, each with a reminder.
    async fn plant(&self, person: &Person, count: i64) -> Vec<Id<Prompt>> {
        let patient: Id<Patient> = person.patient.parse().unwrap();
        let one = |n: i64| {
            let mut planned = planned(self.app.now() + SignedDuration::from_secs(n));
            planned.reminder_at = Some(planned.due_at + minutes(20));
            planned
        };
        plant_all(&self.app, patient, (1..=count).map(one).collect()).await
    }

    /// A second later, what has come due is in the outbox.
    async fn a_second_later(&self) {
        self.app.wait(SignedDuration::from_secs(1));
        let (state, now) = (&self.app.server.state, self.app.now());
        let put_off = PutOff::of(MarkDue::NAME);
        MarkDue::by("memory").run(TaskRun { state, now, since: now, stop: None, put_off: &put_off }).await.unwrap();
    }

    /// Begins a round of delivery.
    fn round(&self) -> JoinHandle<DeliverySummary> {
        let (state, tails, now) = (self.app.server.state.clone(), Arc::clone(&self.tails), self.app.now());
        tokio::spawn(async move { deliver(&state, &MemoryChannel::default(), &tails, now).await.unwrap() })
    }

    /// What a round that has ended has seen and sent.
    async fn whole_round(&self) -> (usize, usize) {
        let DeliverySummary { seen, sent, .. } = self.round().await.unwrap();
        (seen, sent)
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

/// Which of these rounds have ended.
fn ended(rounds: &[JoinHandle<DeliverySummary>]) -> Vec<bool> {
    rounds.iter().map(JoinHandle::is_finished).collect()
}

#[actix_web::test]
async fn pushes_of_eight_rounds_go_on_and_the_ninth_round_waits_for_its_own() {
    let world = World::open(LONG).await;
    world.fcm.hangs("ann");
    let prompts = world.plant(&world.ann, 9).await;
    let mut rounds = Vec::new();
    for n in 1..=9 {
        world.a_second_later().await;
        rounds.push(world.round());
        world.fcm.is_tried(n).await;
    }
    let eight = [true, true, true, true, true, true, true, true, false];
    for _ in 0..300 {
        if ended(&rounds) == eight {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(HOLDS * 3).await;
    assert_eq!(ended(&rounds), eight, "the ninth has waited for longer than a round does");
    for prompt in &prompts {
        assert_eq!(world.rows(*prompt).await, under_way(1));
    }
    world.fcm.goes_on("ann");
    let mut sent = Vec::new();
    for round in rounds {
        sent.push(round.await.unwrap().sent);
    }
    assert_eq!(sent, [0, 0, 0, 0, 0, 0, 0, 0, 1], "the others are noted after their rounds");
    world.tails.end().await;
    for prompt in &prompts {
        assert_eq!(world.rows(*prompt).await, rang_at(1));
    }
    let rang: Vec<_> = world.fcm.at("ann").into_iter().map(|(_, prompt)| prompt).collect();
    assert_eq!(rang.len(), 9, "each once");
    assert_eq!(rang.into_iter().collect::<BTreeSet<_>>(), prompts.into_iter().collect());

    // The places are free again.
    world.fcm.hangs("ann");
    let next = world.plant(&world.ann, 1).await[0];
    world.a_second_later().await;
    assert_eq!(world.whole_round().await, (1, 0), "it does not wait for its own");
    assert_eq!(world.rows(next).await, under_way(1));
    world.fcm.goes_on("ann");
    world.tails.end().await;
    assert_eq!(world.rows(next).await, rang_at(1));
}

#[actix_web::test]
async fn of_pushes_that_are_cut_off_what_was_sent_is_noted_once_and_the_rest_goes_again() {
    let world = World::open(Duration::from_millis(1500)).await;
    world.fcm.hangs("ann");
    world.fcm.hangs("ben");
    let (anns, bens) = (world.plant(&world.ann, 1).await[0], world.plant(&world.ben, 1).await[0]);
    world.a_second_later().await;
    assert_eq!(world.whole_round().await, (2, 0));
    world.fcm.goes_on("ben");
    world.tails.end().await;
    assert_eq!(world.rows(bens).await, rang_at(1), "it was sent before the end");
    assert_eq!(world.rows(anns).await, under_way(1), "nothing is known of it");

    // The one that was cut off does not leave any more, and is not taken before its lease is over.
    world.fcm.goes_on("ann");
    world.app.wait(SignedDuration::from_secs(29));
    assert_eq!(world.whole_round().await, (0, 0));
    assert_eq!((world.fcm.at("ann").len(), world.fcm.at("ben").len()), (0, 1));
    world.app.wait(SignedDuration::from_secs(1));
    assert_eq!(world.whole_round().await, (1, 1));
    assert_eq!(world.whole_round().await, (0, 0));
    assert_eq!((world.fcm.at("ann").len(), world.fcm.at("ben").len()), (1, 1), "none twice");
    assert_eq!(world.rows(anns).await, rang_at(2));
    assert_eq!(world.rows(bens).await, rang_at(1));
}

#[actix_web::test]
async fn a_push_that_outlives_its_lease_is_noted_once_under_one_id() {
    let world = World::open(LONG).await;
    world.fcm.hangs("ann");
    let prompt = world.plant(&world.ann, 1).await[0];
    world.a_second_later().await;
    assert_eq!(world.whole_round().await, (1, 0));
    world.app.wait(SignedDuration::from_secs(30));
    assert_eq!(world.whole_round().await, (1, 0), "another worker cannot know that it is still under way");
    assert_eq!(world.rows(prompt).await, under_way(2));
    world.fcm.goes_on("ann");
    world.tails.end().await;
    let rang = world.fcm.at("ann");
    assert_eq!(rang, [rang[0]; 2], "under one id, so that the phone drops the second");
    assert_eq!(world.rows(prompt).await, rang_at(2), "one delivery, one reminder");
    let shown = world.ann.prompts().await;
    let shown = shown.iter().find(|one| one["id"] == json!(prompt.to_string())).unwrap();
    assert_eq!(shown["state"], "delivered");
}
