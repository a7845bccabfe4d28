//! What is due rings on the phones of the patient: on all of them, once, and not when it should not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use afterglow::channels::{Address, Channel, Channels, Notice, SendError};
use afterglow::db::schema::deliveries;
use afterglow::delivery::{MemoryChannel, TEXT};
use afterglow::kernel::Id;
use afterglow::kernel::id::{Delivery, Prompt};
use afterglow::planning::PromptKind;
use diesel::prelude::*;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::delivery::{hours, minutes, plant, work};
use crate::support::app::{TestApp, new_id};
use crate::support::journal::with;
use crate::support::people::{Person, again};
use crate::support::requests::devices::phone;

/// A push service that keeps what it is handed, by address, and fails as it is told.
#[derive(Clone)]
pub struct Service(Arc<Mutex<Kept>>, &'static str);

#[derive(Default)]
struct Kept {
    sent: Vec<(String, Notice)>,
    tried: usize,
    faults: HashMap<String, Vec<SendError>>,
    down: Option<SendError>,
}

impl Service {
    fn new(name: &'static str) -> Self {
        Self(Arc::default(), name)
    }

    /// The notices that were taken for an address, in order.
    pub fn at(&self, address: &str) -> Vec<Notice> {
        self.0.lock().unwrap().sent.iter().filter(|(to, _)| to == address).map(|(_, notice)| notice.clone()).collect()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().sent.len()
    }

    pub fn tried(&self) -> usize {
        self.0.lock().unwrap().tried
    }

    /// The next push to this address fails so.
    pub fn fails(&self, address: &str, error: SendError) {
        self.0.lock().unwrap().faults.entry(address.to_owned()).or_default().push(error);
    }

    /// Every push fails so, or none.
    pub fn is_down(&self, down: Option<SendError>) {
        self.0.lock().unwrap().down = down;
    }
}

impl Channel for Service {
    fn name(&self) -> &'static str {
        self.1
    }

    fn send<'a>(&'a self, to: &'a Address, notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>> {
        let (Address::Fcm { token: address } | Address::Webhook { token: address }) = to else { unreachable!() };
        let mut kept = self.0.lock().unwrap();
        kept.tried += 1;
        let fault = kept.faults.get_mut(address).filter(|list| !list.is_empty()).map(|list| list.remove(0));
        let fault = fault.or_else(|| kept.down.clone());
        if fault.is_none() {
            kept.sent.push((address.clone(), notice.clone()));
        }
        Box::pin(std::future::ready(fault.map_or(Ok(()), Err)))
    }
}

/// Ann, whose phones ring.
pub struct World {
    pub app: Arc<TestApp>,
    pub ann: Person,
    tess: Person,
    pub fcm: Service,
    pub gateway: Service,
    /// Where pushes would go in a process without channels to devices.
    here: MemoryChannel,
}

impl World {
    pub async fn open() -> Self {
        let (fcm, gateway) = (Service::new("fcm"), Service::new("webhook"));
        let channels: [Arc<dyn Channel>; 2] = [Arc::new(fcm.clone()), Arc::new(gateway.clone())];
        let app = TestApp::start_with_channels(Channels::new(channels)).await;
        let ada = app.admin().await;
        let tess = app.staff(&ada, "Tess Moreau", &["care"]).await;
        let ann = app.patient(&tess, "Ann Walker").await;
        Self { app, ann, tess, fcm, gateway, here: MemoryChannel::default() }
    }

    pub async fn work(&self) {
        work(&self.app, &self.here).await;
        assert_eq!(self.here.sent(), [], "it goes to devices alone");
    }

    pub async fn waits(&self, time: SignedDuration) {
        self.app.wait(time);
        self.work().await;
    }

    /// A prompt of hers that comes due in a minute, and expires a day later.
    pub async fn plant(&self) -> Id<Prompt> {
        plant(&self.app, self.ann.patient.parse().unwrap(), self.app.now() + minutes(1), |_| {}).await
    }

    /// The state, resends and device of each delivery of a prompt, but for those that became one for each device.
    pub async fn rows(&self, prompt: Id<Prompt>) -> Vec<(Id<Delivery>, String, i32)> {
        let unit = move |tx: &mut afterglow::db::Tx<'_>| {
            let all =
                deliveries::table.filter(deliveries::prompt_id.eq(prompt)).filter(deliveries::device_id.is_not_null());
            Ok(all
                .order(deliveries::id)
                .select((deliveries::id, deliveries::state, deliveries::resends))
                .load(tx.conn())?)
        };
        self.app.server.state.db.read(unit).await.unwrap()
    }

    pub async fn state(&self, id: Id<Prompt>) -> String {
        let all = self.ann.prompts().await;
        all.iter().find(|prompt| prompt["id"] == json!(id.to_string())).unwrap()["state"].as_str().unwrap().to_owned()
    }
}

/// Registers a phone with this token.
pub async fn registers(person: &Person, token: &str, change: serde_json::Value) -> String {
    let id = new_id(&person.app);
    person.put(&person.my(&format!("/devices/{id}")), with(phone(token), change)).send().await.created();
    id
}

pub async fn acknowledges(person: &Person, delivery: Id<Delivery>) {
    let answer = person.act(&person.my(&format!("/deliveries/{delivery}/received"))).send().await.ok();
    assert_eq!(answer.text("/id"), delivery.to_string());
}

fn later(after: Option<u64>) -> SendError {
    SendError::Later { after: after.map(Duration::from_secs), reason: "busy" }
}

fn ids(notices: &[Notice]) -> Vec<Id<Delivery>> {
    notices.iter().map(|notice| notice.delivery).collect()
}

#[actix_web::test]
async fn a_prompt_rings_on_every_phone_of_the_patient_in_its_language() {
    let world = World::open().await;
    let ben = world.app.patient(&world.tess, "Ben Roth").await;
    registers(&world.ann, "phone", json!({})).await;
    registers(&world.ann, "tablet", json!({ "locale": "es", "acknowledges": false })).await;
    registers(
        &world.ann,
        "watch",
        json!({ "push": { "channel": "webhook", "address": "watch" }, "notifications": "silent" }),
    )
    .await;
    registers(&world.ann, "mute", json!({ "notifications": "off" })).await;
    registers(&world.ann, "none", json!({ "push": null })).await;
    registers(&ben, "bens", json!({})).await;
    let prompt = world.plant().await;
    world.waits(minutes(1)).await;

    assert_eq!(world.fcm.count() + world.gateway.count(), 3);
    let texts = ["phone", "tablet"].map(|token| world.fcm.at(token).pop().unwrap().text);
    assert_eq!(texts, [Some("Ein Moment für dich ist bereit"), Some("Un momento para ti está listo")]);
    assert_eq!(world.gateway.at("watch").pop().unwrap().text, None, "a silent push has no sentence");
    let all = [world.fcm.at("phone"), world.fcm.at("tablet"), world.gateway.at("watch")].concat();
    assert!(all.iter().all(|notice| notice.prompt == prompt));
    let mut own = ids(&all);
    own.sort_unstable();
    own.dedup();
    assert_eq!(own.len(), 3, "each device has a delivery of its own");
    assert_eq!(world.state(prompt).await, "delivered");
    assert_eq!(world.rows(prompt).await.len(), 3);
}

#[actix_web::test]
async fn without_a_phone_nothing_leaves_and_the_prompt_waits_in_the_app() {
    let world = World::open().await;
    let prompt = world.plant().await;
    world.waits(minutes(1)).await;
    assert_eq!(world.state(prompt).await, "due");
    assert_eq!(world.rows(prompt).await, []);
}

#[actix_web::test]
async fn what_a_phone_does_not_acknowledge_is_sent_again_twice_at_most() {
    let world = World::open().await;
    registers(&world.ann, "deaf", json!({})).await;
    registers(&world.ann, "heard", json!({})).await;
    registers(&world.ann, "old-app", json!({ "acknowledges": false })).await;
    let prompt = world.plant().await;
    world.waits(minutes(1)).await;
    let first = world.fcm.at("deaf")[0].delivery;
    acknowledges(&world.ann, world.fcm.at("heard")[0].delivery).await;
    acknowledges(&world.ann, world.fcm.at("heard")[0].delivery).await;
    world.waits(minutes(29)).await;
    assert_eq!(world.fcm.at("deaf").len(), 1, "not before half an hour");
    world.waits(minutes(1)).await;
    assert_eq!(ids(&world.fcm.at("deaf")), [first, first], "a receiver can drop what it had");
    world.waits(minutes(30)).await;
    assert_eq!(world.fcm.at("deaf").len(), 3);
    for _ in 0..4 {
        world.waits(minutes(30)).await;
    }
    assert_eq!(world.fcm.at("deaf").len(), 3, "twice at most");
    assert_eq!((world.fcm.at("heard").len(), world.fcm.at("old-app").len()), (1, 1));
    assert!(world.rows(prompt).await.iter().all(|(_, state, _)| state == "sent"));
}

#[actix_web::test]
async fn once_it_is_answered_on_one_phone_the_others_are_quiet() {
    let world = World::open().await;
    registers(&world.ann, "phone", json!({})).await;
    registers(&world.ann, "tablet", json!({})).await;
    let prompt = world.plant().await;
    world.waits(minutes(1)).await;
    world.ann.act(&world.ann.my(&format!("/prompts/{prompt}/open"))).send().await.ok();
    for _ in 0..4 {
        world.waits(minutes(30)).await;
    }
    assert_eq!(world.fcm.count(), 2);
    let rows = world.rows(prompt).await;
    assert!(rows.iter().all(|(_, state, resends)| state == "sent" && *resends == 0), "{rows:?}");
}

#[actix_web::test]
async fn nothing_is_sent_again_in_quiet_hours_or_after_the_expiry() {
    let world = World::open().await;
    registers(&world.ann, "deaf", json!({})).await;
    // Quiet hours begin at 22:00 in Berlin.
    world.app.set_clock("2026-03-10T20:44:00Z");
    world.work().await;
    world.plant().await;
    world.waits(minutes(1)).await;
    assert_eq!(world.fcm.count(), 1);
    for _ in 0..40 {
        world.waits(minutes(30)).await;
    }
    assert_eq!(world.fcm.count(), 1, "a push in the night, or one that was put off to the morning");

    let short = plant(&world.app, world.ann.patient.parse().unwrap(), world.app.now() + minutes(1), |planned| {
        planned.expires_at = planned.due_at + minutes(20);
    });
    short.await;
    for _ in 0..4 {
        world.waits(minutes(10)).await;
    }
    assert_eq!(world.fcm.count(), 2, "it has expired");
}

#[actix_web::test]
async fn what_would_be_sent_again_in_a_session_waits_for_its_silence_to_end() {
    let world = World::open().await;
    registers(&world.ann, "deaf", json!({})).await;
    registers(&world.ann, "busy", json!({})).await;
    // Nobody has taken what goes to this one: it is tried again after half an hour.
    for _ in 0..2 {
        world.fcm.fails("busy", later(Some(1800)));
    }
    let planted = |expires: SignedDuration| {
        plant(&world.app, world.ann.patient.parse().unwrap(), world.app.now() + minutes(1), move |planned| {
            crate::delivery::light(planned);
            planned.expires_at = planned.due_at + expires;
        })
    };
    let (long, short) = (planted(hours(8)).await, planted(hours(2)).await);
    world.waits(minutes(1)).await;
    let of = |token: &str, prompt| {
        let all = world.fcm.at(token);
        all.into_iter().filter(|notice| notice.prompt == prompt).map(|notice| notice.delivery).collect::<Vec<_>>()
    };
    let first = of("deaf", long);
    assert_eq!([first.len(), of("deaf", short).len()], [1, 1]);
    assert_eq!(world.fcm.at("busy"), []);

    // Only now the session is recorded, which ended at 08:10: its acute phase lasts until 10:10.
    world.waits(minutes(19)).await;
    let end = world.app.now() - minutes(10);
    let done = json!({ "status": "completed", "route": "iv_infusion",
        "started_at": (end - minutes(40)).to_string(), "ended_at": end.to_string() });
    world.ann.put(&world.ann.my(&format!("/infusions/{}", new_id(&world.app))), done).send().await.created();
    for _ in 0..10 {
        world.waits(minutes(10)).await;
        assert_eq!(of("deaf", long), first, "at {}", world.app.now());
        assert_eq!(of("busy", long), [], "at {}", world.app.now());
    }
    world.waits(minutes(10)).await;
    assert_eq!(of("deaf", long), [first[0], first[0]], "the same delivery, when the silence is over");
    assert_eq!(of("busy", long).len(), 1, "what was never sent waits as well");
    let rows = world.rows(long).await;
    assert!(rows.iter().any(|(id, state, resends)| *id == first[0] && state == "waiting" && *resends == 1), "{rows:?}");

    // The other had expired by then.
    assert_eq!((of("deaf", short).len(), of("busy", short).len()), (1, 0));
    let mut states: Vec<_> = world.rows(short).await.into_iter().map(|(_, state, resends)| (state, resends)).collect();
    states.sort();
    assert_eq!(states, [("lapsed".to_owned(), 0), ("sent".to_owned(), 0)]);
}

#[actix_web::test]
async fn after_the_reminder_the_first_push_is_not_sent_again() {
    let world = World::open().await;
    registers(&world.ann, "deaf", json!({ "acknowledges": true })).await;
    let prompt = plant(&world.app, world.ann.patient.parse().unwrap(), world.app.now() + minutes(1), |planned| {
        planned.reminder_at = Some(planned.due_at + minutes(20));
    });
    let prompt = prompt.await;
    world.waits(minutes(1)).await;
    let first = world.fcm.at("deaf")[0].delivery;
    world.waits(minutes(20)).await;
    for _ in 0..4 {
        world.waits(minutes(10)).await;
    }
    let all = ids(&world.fcm.at("deaf"));
    let reminder = all[1];
    assert_ne!(reminder, first);
    assert!(all[1..].iter().all(|id| *id == reminder), "the first came after its reminder: {all:?}");
    assert_eq!(world.state(prompt).await, "delivered");
}

#[actix_web::test]
async fn a_dead_address_is_retired_and_harms_no_other() {
    let world = World::open().await;
    let dead = registers(&world.ann, "dead", json!({})).await;
    registers(&world.ann, "alive", json!({})).await;
    world.fcm.fails("dead", SendError::Gone);
    let prompt = world.plant().await;
    world.waits(minutes(1)).await;
    assert_eq!((world.fcm.at("dead").len(), world.fcm.at("alive").len()), (0, 1));
    assert_eq!(world.state(prompt).await, "delivered");
    let path = world.ann.my(&format!("/devices/{dead}"));
    assert_eq!(world.ann.get(&path).send().await.ok().body["reachable"], false);
    let second = world.plant().await;
    world.waits(minutes(1)).await;
    assert_eq!(world.fcm.at("dead").len(), 0);
    assert_eq!(world.rows(second).await.len(), 1);
    // The app names its new address.
    let tag = world.ann.get(&path).send().await.ok().etag();
    world.ann.put(&path, phone("renewed")).if_match(&tag).send().await.ok();
    world.plant().await;
    world.waits(minutes(1)).await;
    assert_eq!(world.fcm.at("renewed").len(), 1);
}

#[actix_web::test]
async fn what_fails_is_tried_again_not_before_the_service_allows() {
    let world = World::open().await;
    registers(&world.ann, "busy", json!({ "acknowledges": false })).await;
    registers(&world.ann, "refused", json!({ "acknowledges": false })).await;
    world.fcm.fails("busy", later(Some(120)));
    world.fcm.fails("refused", SendError::Refused { reason: "too large" });
    let prompt = world.plant().await;
    world.waits(minutes(1)).await;
    assert_eq!(world.state(prompt).await, "due", "no service has taken it");
    world.waits(SignedDuration::from_secs(100)).await;
    assert_eq!(world.fcm.count(), 0);
    world.waits(SignedDuration::from_secs(40)).await;
    assert_eq!(world.fcm.at("busy").len(), 1);
    assert_eq!(world.state(prompt).await, "delivered");
    let states: Vec<_> = world.rows(prompt).await.into_iter().map(|(_, state, _)| state).collect();
    assert!(states.contains(&"lapsed".to_owned()) && states.contains(&"sent".to_owned()), "{states:?}");
}

#[actix_web::test]
async fn a_channel_that_is_down_rests_and_holds_no_other() {
    let world = World::open().await;
    for n in 0..12 {
        registers(&world.ann, &format!("fcm-{n}"), json!({ "acknowledges": false })).await;
    }
    registers(&world.ann, "x", json!({ "push": { "channel": "webhook", "address": "watch" }, "acknowledges": false }))
        .await;
    world.fcm.is_down(Some(later(None)));
    let prompt = world.plant().await;
    world.waits(minutes(1)).await;
    assert_eq!(world.gateway.at("watch").len(), 1);
    assert_eq!(world.fcm.tried(), 5, "after five failures in a row it is left alone");
    assert_eq!(world.state(prompt).await, "delivered");
    world.fcm.is_down(None);
    for _ in 0..10 {
        world.waits(minutes(1)).await;
    }
    let reached = (0..12).filter(|n| world.fcm.at(&format!("fcm-{n}")).len() == 1).count();
    assert_eq!(reached, 12, "nobody is forgotten, and nobody is rung twice");
    assert_eq!(world.fcm.count(), 12);
}

#[actix_web::test]
async fn a_phone_that_was_logged_out_or_removed_is_sent_nothing() {
    let world = World::open().await;
    let other = again(&world.app, &world.ann.name).await;
    registers(&other, "logged-out", json!({})).await;
    let removed = registers(&world.ann, "removed", json!({})).await;
    registers(&world.ann, "kept", json!({})).await;
    other.act("/v1/auth/logout").send().await.no_content();
    world.ann.delete(&world.ann.my(&format!("/devices/{removed}"))).send().await.no_content();
    world.plant().await;
    world.waits(minutes(1)).await;
    assert_eq!(world.fcm.at("kept").len(), 1);
    assert_eq!(world.fcm.count(), 1);
}

#[actix_web::test]
async fn a_worker_that_died_after_it_sent_does_not_ring_under_another_id() {
    let world = World::open().await;
    registers(&world.ann, "phone", json!({ "acknowledges": false })).await;
    let prompt = world.plant().await;
    world.waits(minutes(1)).await;
    // As if the worker had died before it noted what it sent.
    let unit = move |tx: &mut afterglow::db::Tx<'_>| {
        let of = deliveries::table.filter(deliveries::prompt_id.eq(prompt));
        diesel::delete(of.filter(deliveries::device_id.is_not_null())).execute(tx.conn())?;
        let lost = (
            deliveries::state.eq("leased"),
            deliveries::lease_until.eq(Some(afterglow::db::At(Timestamp::UNIX_EPOCH))),
        );
        diesel::update(of).set(lost).execute(tx.conn())?;
        let stage = afterglow::db::schema::prompts::table.filter(afterglow::db::schema::prompts::id.eq(prompt));
        diesel::update(stage).set(afterglow::db::schema::prompts::stage.eq(1)).execute(tx.conn())?;
        Ok(())
    };
    world.app.server.state.db.write(unit).await.unwrap();
    world.work().await;
    let all = ids(&world.fcm.at("phone"));
    assert_eq!(all.len(), 2);
    assert_eq!(all[0], all[1], "the phone can drop the second");
}

#[actix_web::test]
async fn only_the_patient_acknowledges_and_only_what_was_sent() {
    let world = World::open().await;
    registers(&world.ann, "phone", json!({})).await;
    let ben = world.app.patient(&world.tess, "Ben Roth").await;
    world.plant().await;
    world.waits(minutes(1)).await;
    let delivery = world.fcm.at("phone")[0].delivery;
    ben.act(&ben.my(&format!("/deliveries/{delivery}/received"))).send().await.not_found();
    ben.act(&world.ann.of_theirs(&format!("/deliveries/{delivery}/received"))).send().await.not_found();
    world.ann.act(&world.ann.my(&format!("/deliveries/{}/received", new_id(&world.app)))).send().await.not_found();
    world.waits(minutes(30)).await;
    assert_eq!(world.fcm.at("phone").len(), 2, "nobody has acknowledged it");
    acknowledges(&world.ann, delivery).await;
    let devices = world.ann.get(&world.ann.my("/devices")).send().await.ok();
    assert_eq!(devices.text("/items/0/last_receipt_at"), world.app.now().to_string());
    world.waits(hours(2)).await;
    assert_eq!(world.fcm.at("phone").len(), 2);
    assert_ne!(world.fcm.at("phone")[0].text, Some(TEXT), "she reads German");
}

#[actix_web::test]
async fn a_phone_that_has_taken_its_plan_is_woken_without_a_sentence() {
    let world = World::open().await;
    let phone = registers(&world.ann, "phone", json!({ "acknowledges": false })).await;
    registers(&world.ann, "tablet", json!({ "acknowledges": false })).await;
    let (known, patient) = (world.plant().await, world.ann.patient.parse().unwrap());
    let far = plant(&world.app, patient, world.app.now() + hours(24 * 20), |_| {}).await;
    world.app.wait(SignedDuration::from_secs(1));
    let plan = world.ann.get(&world.ann.my("/plan")).send().await.ok();
    assert_eq!(plan.items().len(), 1, "two weeks: {}", plan.body);
    assert_eq!(plan.text("/items/0/prompt_id"), known.to_string());
    assert_eq!(plan.text("/items/0/local_time"), "09:01:00");
    assert_eq!(plan.text("/items/0/zone"), "Europe/Berlin");
    assert_eq!(plan.text("/items/0/notification"), TEXT, "her own language");
    let path = world.ann.my(&format!("/devices/{phone}/plan"));
    let stale = world.ann.post(&path, json!({ "version": "another" })).send().await.ok();
    assert_eq!(stale.body, json!({ "current": false }));
    let taken = json!({ "version": plan.text("/version") });
    assert_eq!(world.ann.post(&path, taken.clone()).send().await.ok().body["current"], true);
    // One that was planned since is not on the phone.
    let new = plant(&world.app, patient, world.app.now() + minutes(2), |_| {}).await;
    world.waits(minutes(3)).await;
    let texts = |token: &str, prompt| world.fcm.at(token).iter().find(|notice| notice.prompt == prompt).unwrap().text;
    assert_eq!(texts("phone", known), None, "it rings by itself");
    assert_eq!(texts("tablet", known), Some("Ein Moment für dich ist bereit"));
    assert_eq!(texts("phone", new), Some("Ein Moment für dich ist bereit"));
    let _ = far;

    // After two days without a sign the phone may have lost its plan.
    let later = plant(&world.app, patient, world.app.now() + hours(50), |_| {}).await;
    world.app.wait(SignedDuration::from_secs(1));
    let plan = world.ann.get(&world.ann.my("/plan")).send().await.ok();
    world.ann.post(&path, json!({ "version": plan.text("/version") })).send().await.ok();
    world.waits(hours(51)).await;
    assert_eq!(texts("phone", later), Some("Ein Moment für dich ist bereit"));
}

#[actix_web::test]
async fn a_plan_has_the_prompts_that_a_phone_of_apple_can_keep_and_says_how_far_it_reaches() {
    let world = World::open().await;
    let patient = world.ann.patient.parse().unwrap();
    for n in 1..=70 {
        plant(&world.app, patient, world.app.now() + hours(n), |planned| planned.push = n != 3).await;
    }
    let plan = world.ann.get(&world.ann.my("/plan")).send().await.ok();
    assert_eq!(plan.items().len(), 64);
    let until: Timestamp = plan.text("/until").parse().unwrap();
    assert_eq!(until, world.app.now() + hours(66), "the sixty-fifth, beside one that is a card");
    let again = world.ann.get(&world.ann.my("/plan")).header("If-None-Match", plan.etag()).send().await;
    assert_eq!(again.status, 304);
    // Who wants no notifications has none by themselves either.
    world.ann.sets(json!({ "notifications": false })).await.ok();
    assert_eq!(world.ann.get(&world.ann.my("/plan")).send().await.ok().items(), [] as [serde_json::Value; 0]);
}

/// The first push of a prompt fails; then nobody works for three hours. Another prompt that came due meanwhile is the
/// one that rings: what failed rings only in its stead, or if it is a safety check.
#[actix_web::test]
async fn rule_after_an_outage_what_failed_before_it_does_not_ring_beside_the_chosen_prompt() {
    for (kind, is_alone, rings, state) in [
        (PromptKind::Exercise, false, false, "lapsed"),
        (PromptKind::Exercise, true, true, "waiting"),
        (PromptKind::Safety, false, true, "waiting"),
    ] {
        let world = World::open().await;
        registers(&world.ann, "phone", json!({})).await;
        // The plan of somebody new is made first: it would withdraw what no rule calls for.
        world.work().await;
        let (start, patient) = (world.app.now(), world.ann.patient.parse().unwrap());
        let failed = plant(&world.app, patient, start + minutes(1), |planned| planned.kind = kind).await;
        let mut rang: Vec<_> = rings.then_some(failed).into_iter().collect();
        if !is_alone {
            rang.push(plant(&world.app, patient, start + hours(1), |_| {}).await);
        }
        world.fcm.fails("phone", SendError::Later { after: None, reason: "unavailable" });
        world.waits(minutes(1)).await;
        assert_eq!((world.fcm.tried(), world.fcm.count()), (1, 0));
        world.waits(hours(3)).await;
        let mut sent: Vec<_> = world.fcm.at("phone").iter().map(|notice| notice.prompt).collect();
        sent.sort_unstable();
        rang.sort_unstable();
        assert_eq!(sent, rang, "{kind:?}");
        let rows: Vec<_> = world.rows(failed).await.into_iter().map(|(_, state, _)| state).collect();
        assert_eq!(rows, [state], "{kind:?}: what was sent waits for its acknowledgement");
        let shown = if rings { "delivered" } else { "due" };
        assert_eq!(world.state(failed).await, shown, "{kind:?}: it stands in the app all the same");
    }
}
