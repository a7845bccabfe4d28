//! What leaves the server: in time, once, and only while it is of use.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use afterglow::app;
use afterglow::care::store::PatientRow;
use afterglow::db::At;
use afterglow::db::schema::{deliveries, patient_heads, patients, prompts};
use afterglow::delivery::{Channel, ChannelError, LogChannel, MemoryChannel, Push, TEXT};
use afterglow::jobs::RoundSummary;
use afterglow::kernel::id::{Delivery, Infusion, Patient, Prompt};
use afterglow::kernel::{Entropy, Id, Zone};
use afterglow::planning::{Planned, PromptKind, Why};
use afterglow::prompts::model::PromptDoc;
use afterglow::vault::{Purpose, SealContext};
use diesel::prelude::*;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of};
use crate::support::journal::{reflection, with};
use crate::support::people::Person;

pub fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

pub fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// A patient, and a channel that keeps what it is handed.
pub struct World {
    pub app: Arc<TestApp>,
    pub ann: Person,
    tess: Person,
    pub channel: MemoryChannel,
}

impl World {
    pub async fn new() -> Self {
        let app = TestApp::start().await;
        let ada = app.admin().await;
        let tess = app.staff(&ada, "Tess Moreau", &["care"]).await;
        let ann = app.patient(&tess, "Ann Walker").await;
        Self { app, ann, tess, channel: MemoryChannel::default() }
    }

    /// Ann's therapist.
    pub fn tess(&self) -> &Person {
        &self.tess
    }

    fn patient(&self) -> Id<Patient> {
        self.ann.patient.parse().unwrap()
    }

    /// One round.
    async fn tick(&self) -> RoundSummary {
        tick(&self.app, &self.channel).await
    }

    /// Rounds until there is nothing to do.
    pub async fn work(&self) -> RoundSummary {
        work(&self.app, &self.channel).await
    }

    /// A prompt of Ann's that comes due in this time, and expires a day later.
    pub async fn plant(&self, due_in: SignedDuration) -> Id<Prompt> {
        self.plant_as(due_in, |_| {}).await
    }

    pub async fn plant_as(&self, due_in: SignedDuration, change: impl FnOnce(&mut Planned)) -> Id<Prompt> {
        plant(&self.app, self.patient(), self.app.now() + due_in, change).await
    }

    pub fn sent(&self) -> Vec<Id<Prompt>> {
        self.channel.sent().iter().map(|push| push.prompt).collect()
    }

    pub async fn state(&self, id: Id<Prompt>) -> String {
        let prompts = self.ann.get("/v1/patients/me/prompts?from=2025-12-01&limit=200").send().await.ok();
        let all = prompts.items().to_vec();
        let found = all.iter().find(|prompt| prompt["id"] == json!(id.to_string())).unwrap();
        found["state"].as_str().unwrap().to_owned()
    }

    /// The states of the deliveries of a prompt.
    async fn deliveries(&self, id: Id<Prompt>) -> Vec<(Id<Delivery>, String, i32)> {
        let unit = move |tx: &mut afterglow::db::Tx<'_>| {
            let all = deliveries::table.filter(deliveries::prompt_id.eq(id)).order(deliveries::ordinal);
            Ok(all.select((deliveries::id, deliveries::state, deliveries::attempts)).load(tx.conn())?)
        };
        self.app.server.state.db.read(unit).await.unwrap()
    }
}

/// One round.
pub async fn tick(app: &TestApp, channel: &dyn Channel) -> RoundSummary {
    app::tick(&app.server.state, channel, app.now()).await.unwrap()
}

pub async fn work(app: &TestApp, channel: &dyn Channel) -> RoundSummary {
    let mut all = RoundSummary::default();
    for _ in 0..1000 {
        let RoundSummary { due, sent, planned, next } = tick(app, channel).await;
        all = RoundSummary { due: all.due + due, sent: all.sent + sent, planned: all.planned + planned, next };
        if next.is_none_or(|next| next > app.now()) {
            return all;
        }
    }
    panic!("the work never ends: {all:?}");
}

/// A stored prompt as planning makes it.
pub async fn plant(
    app: &TestApp,
    patient: Id<Patient>,
    due_at: Timestamp,
    change: impl FnOnce(&mut Planned),
) -> Id<Prompt> {
    let mut planned = planned(due_at);
    change(&mut planned);
    plant_all(app, patient, vec![planned]).await[0]
}

/// A prompt as planning makes it, which expires a day later.
pub fn planned(due_at: Timestamp) -> Planned {
    let zone = Zone::parse("Europe/Berlin").unwrap();
    let local = zone.local(due_at);
    Planned {
        returns: None,
        wording: 0,
        id: Id::from_uuid(Entropy::System.opaque()),
        rule_key: "d1.tell".to_owned(),
        protocol: "default".to_owned(),
        protocol_version: 1,
        kind: PromptKind::Reflection,
        priority: 3,
        anchor: None::<Id<Infusion>>,
        occurrence: 0,
        day: Some(1),
        local_date: local.date(),
        local_time: local.time(),
        zone,
        due_at,
        expires_at: due_at + hours(24),
        reminder_at: None,
        minutes: 5,
        optional: false,
        push: true,
        hangs_on: None,
        why: Why::Window,
        own: None,
    }
}

/// Stores prompts of one patient in one unit.
pub async fn plant_all(app: &TestApp, patient: Id<Patient>, all: Vec<Planned>) -> Vec<Id<Prompt>> {
    let (state, now) = (&app.server.state, app.now());
    let keys = state.vault.keys(patient.uuid()).await.unwrap().unwrap();
    let ids = all.iter().map(|planned| planned.id).collect();
    let sealed = |planned: Planned| {
        let (id, due_at, expires_at) = (planned.id, planned.due_at, planned.expires_at);
        let place =
            SealContext { table: "prompts", column: "doc", subject: patient.uuid(), row: id.uuid(), revision: 1 };
        let doc = PromptDoc { planned, history: Vec::new(), answer_id: None, answered_at: None };
        (id, due_at, expires_at, keys.seal_json(Purpose::Clinical, &place, &doc).unwrap())
    };
    let rows: Vec<_> = all.into_iter().map(sealed).collect();
    let unit = move |tx: &mut afterglow::db::Tx<'_>| {
        for (id, due_at, expires_at, doc) in &rows {
            diesel::insert_into(prompts::table)
                .values((
                    prompts::patient_id.eq(patient),
                    prompts::id.eq(id),
                    prompts::doc.eq(doc),
                    prompts::stage.eq(0),
                    prompts::due_at.eq(At(*due_at)),
                    prompts::expires_at.eq(At(*expires_at)),
                    prompts::next_action_at.eq(Some(At(*due_at))),
                    prompts::version.eq(1_i64),
                    prompts::created_at.eq(At(now)),
                    prompts::updated_at.eq(At(now)),
                ))
                .execute(tx.conn())?;
        }
        Ok(())
    };
    state.db.write(unit).await.unwrap();
    ids
}

/// A patient with keys and nothing else.
async fn stranger(app: &TestApp) -> Id<Patient> {
    let patient: Id<Patient> = Id::from_uuid(Entropy::System.opaque());
    let (state, now) = (&app.server.state, app.now());
    state.vault.create(patient.uuid(), &Purpose::OF_PATIENT, now).await.unwrap();
    let unit = move |tx: &mut afterglow::db::Tx<'_>| {
        let row = PatientRow { id: patient, account_id: Id::from_uuid(patient.uuid()), created_at: At(now) };
        let values = (row.signed(tx)?, patients::plan_version.eq(0_i64));
        diesel::insert_into(patients::table).values(values).execute(tx.conn())?;
        diesel::insert_into(patient_heads::table)
            .values((
                patient_heads::patient_id.eq(patient),
                patient_heads::change_seq.eq(0_i64),
                patient_heads::audit_seq.eq(0_i64),
                patient_heads::audit_mac.eq(vec![0_u8; 32]),
            ))
            .execute(tx.conn())?;
        Ok(())
    };
    state.db.write(unit).await.unwrap();
    patient
}

fn keys_of(prompts: &[Value]) -> HashSet<String> {
    prompts.iter().map(id_of).collect()
}

#[actix_web::test]
async fn a_prompt_comes_due_at_its_time_and_leaves_once() {
    let world = World::new().await;
    world.tess.records(&world.ann, world.app.now()).await;
    world.work().await;
    let prompts = world.ann.prompts().await;
    let pushed = |prompt: &&Value| prompt["detail"]["optional"] != json!(true);
    let first = prompts.iter().filter(pushed).min_by_key(|prompt| prompt["detail"]["due_at"].as_str()).unwrap();
    let id: Id<Prompt> = first["id"].as_str().unwrap().parse().unwrap();
    let due: Timestamp = first["detail"]["due_at"].as_str().unwrap().parse().unwrap();

    world.app.clock.set(due - SignedDuration::from_micros(1));
    world.work().await;
    assert!(!world.sent().contains(&id), "it left before its time");
    world.app.clock.set(due);
    world.tick().await;
    assert_eq!(world.sent().iter().filter(|sent| **sent == id).count(), 1);
    assert_eq!(world.state(id).await, "delivered");
    for _ in 0..3 {
        world.work().await;
        world.app.wait(minutes(1));
    }
    assert_eq!(world.sent().iter().filter(|sent| **sent == id).count(), 1);
}

#[actix_web::test]
async fn coming_due_and_leaving_takes_no_change_number() {
    let world = World::new().await;
    // The plan of somebody new is made first: it would withdraw what no rule calls for.
    world.work().await;
    world.plant(minutes(5)).await;
    let version = |world: &World| {
        let (db, patient) = (world.app.server.state.db.clone(), world.patient());
        async move {
            db.read(move |tx| {
                let seq: i64 = patient_heads::table
                    .filter(patient_heads::patient_id.eq(patient))
                    .select(patient_heads::change_seq)
                    .first(tx.conn())?;
                Ok(seq)
            })
            .await
            .unwrap()
        }
    };
    let before = version(&world).await;
    world.app.wait(minutes(5));
    assert_eq!(world.work().await.sent, 1);
    assert_eq!(version(&world).await, before);
}

#[actix_web::test]
async fn nothing_leaves_after_it_expired() {
    let world = World::new().await;
    let id = world.plant_as(minutes(5), |planned| planned.expires_at = planned.due_at + minutes(10)).await;
    world.app.wait(minutes(15));
    world.work().await;
    assert_eq!(world.sent(), []);
    assert_eq!(world.deliveries(id).await, []);
    assert_eq!(world.state(id).await, "lapsed");
}

#[actix_web::test]
async fn after_an_outage_of_three_days_the_latest_valid_prompt_leaves_and_the_rest_keep_their_expiry() {
    let world = World::new().await;
    // It is 9:00 in Berlin. Due at 10:00, then every 10 hours for three days; each is of use for a day.
    let mut all = Vec::new();
    for turn in 0..8 {
        all.push(world.plant(hours(1 + 10 * turn)).await);
    }
    let card = world
        .plant_as(hours(71), |planned| {
            planned.push = false;
            planned.optional = true;
        })
        .await;
    world.app.wait(hours(72));
    world.work().await;
    assert_eq!(world.sent(), [all[7]]);
    for id in &all[..5] {
        assert_eq!(world.state(*id).await, "lapsed", "a day has passed");
    }
    for id in &all[5..7] {
        assert_eq!((world.state(*id).await.as_str(), world.deliveries(*id).await), ("due", vec![]), "without a push");
    }
    assert_eq!(world.state(all[7]).await, "delivered");
    assert_eq!(world.state(card).await, "due");
}

#[actix_web::test]
async fn after_an_outage_a_valid_safety_prompt_goes_before_a_later_one() {
    let world = World::new().await;
    let safety = world.plant_as(hours(1), |planned| planned.kind = PromptKind::Safety).await;
    let other = world.plant(hours(2)).await;
    world.app.wait(hours(3));
    world.work().await;
    assert_eq!(world.sent(), [safety]);
    assert_eq!(world.deliveries(other).await, []);
}

/// Makes it ask for little.
pub fn light(planned: &mut Planned) {
    "d2.mood".clone_into(&mut planned.rule_key);
}

#[actix_web::test]
async fn rule_silence_is_judged_again_when_something_leaves() {
    let world = World::new().await;
    let wide = |planned: &mut Planned| planned.expires_at = planned.due_at + hours(8);
    let push = world.plant_as(minutes(1), |planned| (wide(planned), light(planned)).1).await;
    let effort = world.plant_as(minutes(1), wide).await;
    let short = |planned: &mut Planned| planned.expires_at = planned.due_at + hours(2);
    let short = world.plant_as(minutes(1), |planned| (short(planned), light(planned)).1).await;
    let look = |planned: &mut Planned| {
        wide(planned);
        planned.rule_key = "home.plus1".to_owned();
        planned.protocol = "afterglow-default".to_owned();
        planned.kind = PromptKind::Safety;
    };
    let look = world.plant_as(minutes(1), look).await;
    world.app.wait(minutes(1));
    // They are due this second, and this second the session begins.
    let path = world.ann.my(&format!("/infusions/{}", crate::support::app::new_id(&world.app)));
    let begun = json!({ "status": "planned", "route": "iv_infusion", "planned_start": world.app.now().to_string() });
    let tag = world.ann.put(&path, begun).send().await.created().etag();
    let started = world.ann.post(&format!("{path}/start"), json!({})).if_match(&tag).send().await.ok();
    world.work().await;
    assert_eq!(world.sent(), [look], "the look after use at home alone");
    world.app.wait(minutes(55));
    world.work().await;
    assert_eq!(world.sent(), [look], "it goes on as long as nobody says that it is over");
    let end = json!({ "ended_at": world.app.now().to_string() });
    world.ann.post(&format!("{path}/end"), end).if_match(&started.etag()).send().await.ok();
    world.app.wait(minutes(119));
    world.work().await;
    assert_eq!(world.sent(), [look], "nor in the acute phase");
    world.app.wait(hours(2));
    world.work().await;
    assert_eq!(world.sent().len(), 2);
    assert!(world.sent().contains(&push) && !world.sent().contains(&short), "what still is of use leaves after it");
    world.app.wait(hours(24));
    world.work().await;
    assert!(!world.sent().contains(&effort), "and effort not before the patient has slept");
}

/// Records an infusion that ended an hour ago.
async fn ended_an_hour_ago(world: &World) {
    let end = world.app.now() - hours(1);
    let done = json!({ "status": "completed", "route": "iv_infusion",
        "started_at": (end - minutes(40)).to_string(), "ended_at": end.to_string() });
    let path = world.ann.my(&format!("/infusions/{}", crate::support::app::new_id(&world.app)));
    world.ann.put(&path, done).send().await.created();
}

#[actix_web::test]
async fn rule_readiness_is_judged_again_when_something_leaves() {
    // The workers stand for ten minutes, in which three prompts come due and the end of an infusion is told. What has
    // come due is the plan's no more.
    let world = World::new().await;
    let effort = world.plant(minutes(5)).await;
    let dial = world.plant_as(minutes(5), light).await;
    let short = world.plant_as(minutes(5), |planned| planned.expires_at = planned.due_at + hours(12)).await;
    world.app.wait(minutes(10));
    ended_an_hour_ago(&world).await;
    world.work().await;
    assert_eq!(world.sent(), [], "the acute phase");
    // It is 10:10 in Berlin.
    world.app.wait(hours(1));
    for _ in 0..21 {
        world.work().await;
        assert_eq!(world.sent(), [dial], "at {}", world.app.now());
        world.app.wait(hours(1));
    }
    world.app.set_clock("2026-03-11T06:59:59Z");
    world.work().await;
    assert_eq!(world.sent(), [dial], "after the first sleep the quiet hours still hold");
    world.app.set_clock("2026-03-11T07:00:00Z");
    world.work().await;
    assert_eq!(world.sent(), [dial, effort]);
    assert_eq!(world.deliveries(short).await[0].1, "lapsed");
}

#[actix_web::test]
async fn rule_nobody_is_reminded_of_effort_before_they_are_ready() {
    for (effortful, times) in [(true, 1), (false, 2)] {
        let world = World::new().await;
        let at = world.app.now() + hours(3);
        let change = |planned: &mut Planned| {
            planned.reminder_at = Some(at);
            if !effortful {
                light(planned);
            }
        };
        let id = world.plant_as(minutes(1), change).await;
        world.app.wait(minutes(1));
        world.work().await;
        ended_an_hour_ago(&world).await;
        world.app.wait(hours(3));
        world.work().await;
        assert_eq!(world.sent().into_iter().filter(|sent| *sent == id).count(), times);
    }
}

#[actix_web::test]
async fn after_an_outage_nothing_leaves_in_quiet_hours() {
    let world = World::new().await;
    // Due at 20:00, the server is back at 23:00; quiet until 8:00, and of use until 20:00 of the next day.
    let id = world.plant(hours(11)).await;
    world.app.wait(hours(14));
    world.work().await;
    assert_eq!(world.sent(), []);
    world.app.set_clock("2026-03-11T06:59:59Z");
    world.work().await;
    assert_eq!(world.sent(), []);
    world.app.set_clock("2026-03-11T07:00:00Z");
    world.work().await;
    assert_eq!(world.sent(), [id]);
}

#[actix_web::test]
async fn two_prompts_that_come_due_together_both_leave() {
    let world = World::new().await;
    let one = world.plant(hours(1)).await;
    let two = world.plant(hours(1)).await;
    world.app.wait(hours(1));
    world.work().await;
    assert_eq!(world.sent().into_iter().collect::<HashSet<_>>(), HashSet::from([one, two]));
}

#[actix_web::test]
async fn what_was_answered_meanwhile_does_not_leave() {
    let world = World::new().await;
    let id = world.plant(minutes(5)).await;
    world.channel.fail(1);
    world.app.wait(minutes(5));
    world.work().await;
    assert_eq!(world.deliveries(id).await[0].1, "waiting");
    let answer = json!({ "occurred_at": world.app.now().to_string(), "prompt_id": id.to_string() });
    world.ann.writes(with(reflection("The lake"), answer)).await;
    world.app.wait(minutes(1));
    world.work().await;
    assert_eq!(world.sent(), []);
    assert_eq!(world.deliveries(id).await[0].1, "lapsed");
    assert_eq!(world.state(id).await, "completed");
}

#[actix_web::test]
async fn a_snoozed_prompt_leaves_again_under_a_delivery_of_its_own() {
    let world = World::new().await;
    let id = world.plant(minutes(5)).await;
    world.app.wait(minutes(5));
    world.work().await;
    world.ann.post(&format!("/v1/patients/me/prompts/{id}/snooze"), json!({ "until": "hour" })).send().await.ok();
    world.app.wait(minutes(59));
    world.work().await;
    assert_eq!(world.sent(), [id]);
    world.app.wait(minutes(1));
    world.work().await;
    assert_eq!(world.sent(), [id, id]);
    let ids: HashSet<_> = world.channel.sent().iter().map(|push| push.delivery).collect();
    assert_eq!(ids.len(), 2);
}

#[actix_web::test]
async fn a_card_and_somebody_without_notifications_get_no_push() {
    let world = World::new().await;
    let card = world
        .plant_as(minutes(5), |planned| {
            planned.push = false;
            planned.optional = true;
        })
        .await;
    world.app.wait(minutes(5));
    world.work().await;
    assert_eq!(world.state(card).await, "due");
    world.ann.sets(json!({ "notifications": false })).await.ok();
    let quiet = world.plant(minutes(5)).await;
    world.app.wait(minutes(5));
    world.work().await;
    assert_eq!(world.sent(), []);
    assert_eq!(world.state(quiet).await, "due");
    assert_eq!(world.deliveries(quiet).await[0].1, "lapsed");
}

#[actix_web::test]
async fn a_channel_that_fails_twice_is_tried_again_with_the_same_delivery() {
    let world = World::new().await;
    let id = world.plant(minutes(5)).await;
    world.channel.fail(2);
    world.app.wait(minutes(5));
    world.work().await;
    let before = world.deliveries(id).await;
    world.app.wait(SignedDuration::from_secs(4));
    world.work().await;
    assert_eq!(world.deliveries(id).await[0].2, 1, "it was tried before the pause was over");
    world.app.wait(SignedDuration::from_secs(1));
    world.work().await;
    assert_eq!(world.sent(), []);
    world.app.wait(SignedDuration::from_secs(30));
    world.work().await;
    assert_eq!(world.sent(), [id]);
    assert_eq!(world.channel.sent()[0].delivery, before[0].0);
    assert_eq!(world.deliveries(id).await, [(before[0].0, "sent".to_owned(), 3)]);
}

#[actix_web::test]
async fn a_channel_that_keeps_failing_is_given_up_after_five_attempts() {
    let world = World::new().await;
    let id = world.plant(minutes(5)).await;
    world.channel.fail(100);
    world.app.wait(minutes(5));
    for _ in 0..60 {
        world.work().await;
        world.app.wait(minutes(1));
    }
    let (_, state, attempts) = world.deliveries(id).await.remove(0);
    assert_eq!((state.as_str(), attempts), ("lapsed", 5));
}

/// Takes a push and never answers: what a worker sees of it that is killed meanwhile.
struct Hanging(std::sync::Mutex<Vec<Push>>);

impl Channel for Hanging {
    fn name(&self) -> &'static str {
        "hanging"
    }

    fn send<'a>(&'a self, push: &'a Push) -> futures_util::future::BoxFuture<'a, Result<(), ChannelError>> {
        self.0.lock().unwrap().push(push.clone());
        Box::pin(std::future::pending())
    }
}

#[actix_web::test]
async fn what_a_dead_worker_held_leaves_within_a_minute_under_the_same_delivery() {
    let world = World::new().await;
    let id = world.plant(minutes(5)).await;
    world.app.wait(minutes(5));
    let hanging = Hanging(std::sync::Mutex::default());
    // The worker dies with the push in its hands.
    let state = world.app.server.state.clone();
    let dying = app::tick(&state, &hanging, world.app.now());
    tokio::time::timeout(Duration::from_secs(2), dying).await.unwrap_err();
    let held = hanging.0.lock().unwrap().clone();
    assert_eq!(held.len(), 1);
    assert_eq!(world.deliveries(id).await[0].1, "leased");
    world.app.wait(SignedDuration::from_secs(29));
    world.work().await;
    assert_eq!(world.sent(), [], "another worker took what was still held");
    world.app.wait(SignedDuration::from_secs(1));
    world.work().await;
    assert_eq!(world.sent(), [id]);
    assert_eq!(world.channel.sent()[0].delivery, held[0].delivery);
}

#[actix_web::test]
async fn a_push_says_nothing_but_that_there_is_something() {
    let world = World::new().await;
    world.plant(minutes(5)).await;
    world.app.wait(minutes(5));
    world.work().await;
    let push = world.channel.sent().remove(0);
    // Every field is named here: a new one has to be thought about.
    let Push { delivery, patient, prompt, expires_at: _, text } = push;
    assert_eq!(text, TEXT);
    assert_eq!(patient, world.patient());
    assert_ne!(delivery.uuid(), prompt.uuid());
    let words = TEXT.to_lowercase();
    for word in ["ketamine", "infusion", "session", "therapy", "mood", "window", "exercise", "reflect", "d1.tell"] {
        assert!(!words.contains(word), "{word}");
    }
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[actix_web::test]
async fn the_log_channel_writes_ids_and_the_neutral_sentence() {
    let world = World::new().await;
    let id = world.plant(minutes(5)).await;
    world.app.wait(minutes(5));
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    // As in the other tests that listen: see `channels::outbound::Log`.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = tracing::subscriber::set_default(log);
    work(&world.app, &LogChannel).await;
    drop(guard);
    let said = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(said.contains(TEXT) && said.contains(&id.to_string()), "{said}");
    for word in ["d1.tell", "reflection", "Ann", "default", "Berlin"] {
        assert!(!said.contains(word), "{word} in {said}");
    }
}

#[actix_web::test]
async fn the_horizon_moves_with_the_days_and_twice_is_once() {
    let world = World::new().await;
    world.tess.records(&world.ann, world.app.now()).await;
    world.work().await;
    let (from, to) = ("2026-03-25", "2026-05-09");
    let path = format!("/v1/patients/me/prompts?limit=200&from={from}&to={to}");
    let items = |answer: crate::support::app::Answer| answer.items().to_vec();
    let before = keys_of(&items(world.ann.get(&path).send().await.ok()));
    // Day by day, as a worker lives through them.
    for _ in 0..14 {
        world.app.wait(hours(24));
        world.work().await;
    }
    let after = keys_of(&items(world.ann.get(&path).send().await.ok()));
    assert!(before.is_subset(&after) && after.len() > before.len(), "nothing was planned for later: {before:?}");
    let sent = world.sent().len();
    assert!(sent > 0);
    let again = world.work().await;
    assert_eq!((again.due, again.sent, again.planned), (0, 0, 0));
    assert!(again.next.unwrap() > world.app.now());
    assert_eq!(keys_of(&items(world.ann.get(&path).send().await.ok())), after);
    assert_eq!(world.sent().len(), sent);
}

#[actix_web::test]
async fn two_thousand_prompts_of_one_minute_leave_once_each_though_two_workers_share_them() {
    let app = TestApp::start().await;
    let start = app.now() + hours(1);
    let mut all = HashSet::new();
    for _ in 0..20 {
        let patient = stranger(&app).await;
        for turn in 0..100 {
            all.insert(plant(&app, patient, start + SignedDuration::from_millis(turn * 600), |_| {}).await);
        }
    }
    assert_eq!(all.len(), 2000);
    let (one, two) = (MemoryChannel::default(), MemoryChannel::default());
    for _ in 0..=6 {
        // Both work at once until neither finds anything.
        let (_, _) = tokio::join!(work(&app, &one), work(&app, &two));
        app.clock.set(if app.now() < start { start } else { app.now() + SignedDuration::from_secs(10) });
    }
    work(&app, &one).await;
    let sent: Vec<_> = one.sent().into_iter().chain(two.sent()).map(|push| push.prompt).collect();
    assert_eq!(sent.len(), 2000);
    assert_eq!(sent.into_iter().collect::<HashSet<_>>(), all);
}

#[actix_web::test]
async fn after_a_large_outage_each_patient_gets_one_push_though_two_workers_catch_up() {
    let app = TestApp::start().await;
    let mut latest = HashSet::new();
    for _ in 0..60 {
        let patient = stranger(&app).await;
        for turn in 0..10 {
            let id = plant(&app, patient, app.now() + hours(turn), |_| {}).await;
            if turn == 9 {
                latest.insert(id);
            }
        }
    }
    // The last one is only a minute late: it belongs to the outage all the same.
    app.wait(hours(9) + minutes(1));
    let (one, two) = (MemoryChannel::default(), MemoryChannel::default());
    tokio::join!(work(&app, &one), work(&app, &two));
    work(&app, &one).await;
    let sent: Vec<_> = one.sent().into_iter().chain(two.sent()).map(|push| push.prompt).collect();
    assert_eq!(sent.len(), 60);
    assert_eq!(sent.into_iter().collect::<HashSet<_>>(), latest);
}

#[actix_web::test]
async fn the_loop_delivers_and_stops_when_it_is_told() {
    let world = World::new().await;
    let id = world.plant(minutes(5)).await;
    let channel = Arc::new(MemoryChannel::default());
    let worker = world.app.server.work(Arc::clone(&channel) as Arc<dyn Channel>);
    world.app.wait(minutes(5));
    for _ in 0..200 {
        if !channel.sent().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    worker.stop().await;
    assert_eq!(channel.sent().iter().map(|push| push.prompt).collect::<Vec<_>>(), [id]);
}
