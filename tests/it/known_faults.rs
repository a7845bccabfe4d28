//! Known faults of comparable systems. Below each of them stand the tests which show that this system has not got it;
//! what no other test shows is shown in this file. `every_test_that_the_head_names_is_there` holds the names.
//!
//! Prompts are an hour off after a change of the clock, or computed as minute offsets that drift (mindLAMP, RADAR):
//! - `planning::faults::fault_prompts_an_hour_off_after_a_change_of_the_clock`
//! - `planning::zones::every_local_night_of_every_change_has_one_documented_instant`
//! - `replanning::rule_another_zone_keeps_the_time_on_the_wall`
//!
//! After an outage every missed push fires at once (RADAR):
//! - `delivery::after_an_outage_of_three_days_the_latest_valid_prompt_leaves_and_the_rest_keep_their_expiry`
//! - `delivery::after_a_large_outage_each_patient_gets_one_push_though_two_workers_catch_up`
//! - `delivery::after_an_outage_nothing_leaves_in_quiet_hours`
//! - `known_faults::fault_after_an_outage_every_missed_push_fires_at_once_on_every_device`
//!
//! Planning again asks for what is done (RADAR):
//! - `planning::faults::fault_planning_again_asks_for_what_was_answered`
//! - `replanning::rule_a_cancelled_infusion_withdraws_what_is_to_come_and_not_what_was_answered`
//!
//! Repeats land on one instant (RADAR):
//! - `planning::faults::fault_repeats_that_land_on_one_instant`
//!
//! Resends arrive out of order, after expiry, as spam (Beiwe):
//! - `reminders::fault_resends_come_out_of_order_after_expiry_or_as_spam`
//! - `pushes::what_a_phone_does_not_acknowledge_is_sent_again_twice_at_most`
//! - `pushes::nothing_is_sent_again_in_quiet_hours_or_after_the_expiry`
//! - `pushes::after_the_reminder_the_first_push_is_not_sent_again`
//!
//! A write error is swallowed and answered with success (mindLAMP):
//! - `db::sqlite_a_lost_transaction_refuses_the_whole_batch_and_the_next_one_works`
//! - `db::sqlite_a_full_disk_refuses_the_unit_and_loses_nothing`
//! - `known_faults::fault_a_write_error_is_swallowed_and_answered_with_success`
//!
//! A retry makes a duplicate (mindLAMP):
//! - `idempotency::r5_sent_twice_there_is_one_effect_and_one_outcome_also_after_a_restart`
//! - `idempotency::r5_twenty_at_once_have_one_effect_and_one_outcome`
//! - `idempotency::r5_without_a_key_the_creating_request_sent_again_changes_nothing`
//!
//! A lost reply turns a client's own retry into a conflict with a copy (Standard Notes):
//! - `push::i3_a_phone_that_writes_alone_is_never_told_of_a_conflict`
//!
//! A cursor that is a clock skips concurrent commits (Standard Notes):
//! - `pull::i12_a_cursor_skips_nothing_while_others_write`
//!
//! A suspended account looks like an empty store, and clients delete their data (Joplin, vaultwarden):
//! - `sessions::a_disabled_account_is_refused_at_once_on_every_device`
//! - `known_faults::fault_a_suspended_account_looks_like_an_empty_store`
//!
//! A restored server looks like an empty store, and clients delete their data (Joplin, vaultwarden):
//! - `epoch::a_server_whose_data_a_phone_is_ahead_of_is_not_ready_until_a_new_epoch`
//! - `restored::rule_restore_a_copy_that_the_server_has_lost_is_stored_again`
//! - `restored::rule_restore_what_a_phone_states_to_be_there_is_not_deleted_by_one_that_knew_less`
//!
//! Adherence is 100 % when nothing was offered (Bridge):
//! - `adherence::nothing_offered_is_no_full_adherence`
//! - `discretion::fault_nothing_offered_is_no_hundred_percent_and_an_answer_in_time_counts_however_late_it_arrives`
//!
//! A guard checks "may see the list" where the write needs "may manage this" (vaultwarden). Every operation, asked by
//! everybody, changes nothing when it is refused: that is the first. Devices and cautions are read by nobody who may
//! not change them. The last one writes over what the reader sees there, with the tag of it, and by the door of phones:
//! - `matrix::s1_who_gets_what`
//! - `known_faults::fault_whoever_may_see_it_may_change_it`

use std::collections::BTreeMap;

use afterglow::kernel::Id;
use afterglow::kernel::id::Prompt;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::changed_rows::all_tables;
use crate::delivery::{self, hours, minutes, plant};
use crate::push::changes;
use crate::pushes::{self, acknowledges, registers};
use crate::support::accounts::{disable, enable};
use crate::support::app::{Answer, TestApp, id_of, new_id};
use crate::support::journal::{grant, ids, reflection, two};
use crate::support::people::{Clinic, Person, completed};
use crate::support::phone::{is, live, mutation, new_phone, page};
use crate::support::protocols::{at, clinic_of, content, drafts};
use crate::support::reader::{Reader, feed_page};
use crate::support::sources;
use crate::support::sql::Sql;

#[test]
fn every_test_that_the_head_names_is_there() {
    let head = include_str!("known_faults.rs").lines().filter_map(|line| line.strip_prefix("//! - `"));
    let named: Vec<&str> = head.map(|line| line.strip_suffix('`').unwrap()).collect();
    assert!(named.len() > 20, "{named:?}");
    for test in named {
        let planning = test.strip_prefix("planning::").map(|test| format!("src/planning/tests/{test}"));
        assert!(sources::has_test(planning.as_deref().unwrap_or(test)), "{test} is not there");
    }
}

/// The rows of some tables, byte for byte.
fn rows(app: &TestApp, tables: &[&str]) -> BTreeMap<String, Vec<String>> {
    let (mut sql, all) = (Sql::open(&app.database.backend), all_tables());
    tables.iter().map(|table| ((*table).to_owned(), sql.dump(table, &all[*table]))).collect()
}

/// The prompts that a device has rung for, in order.
fn rung(service: &pushes::Service, address: &str) -> Vec<Id<Prompt>> {
    service.at(address).iter().map(|notice| notice.prompt).collect()
}

#[actix_web::test]
async fn fault_after_an_outage_every_missed_push_fires_at_once_on_every_device() {
    let world = pushes::World::open().await;
    registers(&world.ann, "phone", json!({})).await;
    let watch = json!({ "push": { "channel": "webhook", "address": "watch" }, "acknowledges": false });
    registers(&world.ann, "-", watch).await;
    // The plan of somebody new is made first: it would withdraw what no rule calls for.
    world.work().await;
    let (start, patient) = (world.app.now(), world.ann.patient.parse().unwrap());
    let due = |time: SignedDuration, of_use: SignedDuration| {
        plant(&world.app, patient, start + time, move |planned| planned.expires_at = planned.due_at + of_use)
    };
    // It is 9:00 in Berlin. The first one leaves in time; its reminder, and its resend to the phone, are missed.
    let first = plant(&world.app, patient, start + minutes(1), |planned| {
        planned.reminder_at = Some(planned.due_at + hours(2));
    });
    let first = first.await;
    let lapsed = due(hours(1), hours(1)).await;
    let older = [due(hours(2), hours(24)).await, due(hours(4), hours(24)).await];
    let latest = due(minutes(350), hours(24)).await;
    world.waits(minutes(1)).await;
    assert_eq!((rung(&world.fcm, "phone"), rung(&world.gateway, "watch")), (vec![first], vec![first]));

    // Nobody works for six hours. In the three hours after that, which is how far apart prompts are planned, every
    // device rings once, for the latest.
    world.app.wait(hours(6));
    for turn in 0..36 {
        world.work().await;
        if turn == 0 {
            acknowledges(&world.ann, world.fcm.at("phone").last().unwrap().delivery).await;
        }
        let (phone, watch) = (rung(&world.fcm, "phone"), rung(&world.gateway, "watch"));
        assert_eq!((phone, watch), (vec![first, latest], vec![first, latest]), "at {}", world.app.now());
        world.app.wait(minutes(5));
    }
    assert_eq!(world.state(lapsed).await, "lapsed");
    for id in older {
        assert_eq!((world.state(id).await.as_str(), world.rows(id).await), ("due", vec![]), "it waits in the app");
    }
    // What comes due after the outage rings at its time.
    let next = world.plant().await;
    world.waits(minutes(1)).await;
    let all = vec![first, latest, next];
    assert_eq!((rung(&world.fcm, "phone"), rung(&world.gateway, "watch")), (all.clone(), all));
}

/// Lets the database refuse a kind of write to a table, with these words.
pub fn refuse(app: &TestApp, (event, table): (&str, &str), words: &str) {
    let mut sql = Sql::open(&app.database.backend);
    let trigger = match &sql {
        Sql::Sqlite(_) => {
            format!("CREATE TRIGGER refusal BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, '{words}'); END")
        }
        Sql::Postgres(_) => format!(
            "CREATE FUNCTION refusal() RETURNS trigger LANGUAGE plpgsql AS \
               $$ BEGIN RAISE EXCEPTION '{words}'; END $$; \
             CREATE TRIGGER refusal BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION refusal()"
        ),
    };
    sql.run(&trigger);
}

/// Ends what [`refuse`] has begun.
pub fn refuse_no_more(app: &TestApp) {
    let mut sql = Sql::open(&app.database.backend);
    let end = match &sql {
        Sql::Sqlite(_) => "DROP TRIGGER refusal",
        Sql::Postgres(_) => "DROP FUNCTION refusal() CASCADE",
    };
    sql.run(end);
}

/// What the writes below can change.
const WRITTEN: [&str; 6] = ["entries", "revisions", "changes", "prompts", "mutations", "idempotency_records"];

/// Each of the `writes` of a request fails, in two ways: the request is told so, and nothing of it is stored. Then it
/// is done, once, though it is sent twice.
async fn tells_every_fault(app: &TestApp, writes: &[(&str, &str)], done: u16, ask: impl AsyncFn() -> Answer) {
    let before = rows(app, &WRITTEN);
    for write in writes {
        for (words, status, code) in
            [("the write is refused", 500, "internal"), ("database or disk is full", 507, "storage_full")]
        {
            refuse(app, *write, words);
            let told = ask().await;
            refuse_no_more(app);
            let told = told.expect(status).refused(code);
            assert_eq!(told.body["retryable"], true, "{write:?}");
            assert_eq!(rows(app, &WRITTEN), before, "{write:?} failed, and something is stored");
        }
    }
    let count = changes(app);
    ask().await.expect(done);
    assert!(changes(app) > count);
    let once = rows(app, &WRITTEN);
    ask().await.expect(done);
    assert_eq!(rows(app, &WRITTEN), once, "it was done twice");
}

#[actix_web::test]
async fn fault_a_write_error_is_swallowed_and_answered_with_success() {
    let world = delivery::World::new().await;
    world.work().await;
    let prompt = world.plant(minutes(1)).await;
    world.app.wait(minutes(1));
    world.work().await;
    let (app, ann) = (&world.app, &world.ann);

    let put = new_id(app);
    let writes = [("INSERT", "entries"), ("INSERT", "changes"), ("INSERT", "idempotency_records")];
    tells_every_fault(app, &writes, 201, async || {
        ann.put_entry(&put, reflection("The lake")).key("the-lake").send().await
    })
    .await;

    let header = json!({ "kind": "reflection", "occurred_at": "2026-03-10T08:30:00+01:00", "zone": "Europe/Berlin" });
    let pushed = [new_id(app), new_id(app)];
    let batch = pushed
        .clone()
        .map(|id| mutation(ann, "entry", &id, 0, json!({ "header": header, "text": { "body": "It was quiet." } })));
    let writes = [("INSERT", "entries"), ("INSERT", "changes"), ("INSERT", "mutations")];
    tells_every_fault(app, &writes, 200, async || ann.push(&batch).await).await;
    for result in ann.push(&batch).await.ok().body["results"].as_array().unwrap() {
        is(result, "replayed");
        assert_eq!(result["was"], "applied");
    }

    let complete = ann.my(&format!("/prompts/{prompt}/complete"));
    let writes = [("UPDATE", "prompts"), ("INSERT", "changes"), ("INSERT", "idempotency_records")];
    tells_every_fault(app, &writes, 200, async || ann.post(&complete, json!({})).key("complete-once").send().await)
        .await;
    assert_eq!(world.state(prompt).await, "completed");

    let mut found = ids(&ann.get(&ann.my("/entries?limit=200")).send().await.ok());
    let mut written = vec![put];
    written.extend(pushed);
    found.sort_unstable();
    written.sort_unstable();
    assert_eq!(found, written, "each once");
}

/// What one role reads and another one changes.
const MANAGED: [&str; 10] = [
    "assignments",
    "care_links",
    "clinic_plans",
    "grant_items",
    "grant_readers",
    "grants",
    "infusions",
    "patient_settings",
    "protocols",
    "staff_members",
];

/// A change that `reader` asks for and may not make. `manager` may make the same; nobody may where there is none.
struct Wish<'p> {
    reader: &'p Person,
    manager: Option<&'p Person>,
    method: Method,
    path: String,
    body: Value,
    /// Where the manager reads the tag of what is changed; `*` for any, nothing for none.
    read: String,
}

impl Wish<'_> {
    async fn tag(&self) -> Option<String> {
        let manager = self.manager.filter(|_| self.read.starts_with('/'));
        let Some(manager) = manager else { return Some(self.read.clone()).filter(|tag| !tag.is_empty()) };
        let read = manager.get(&self.read).send().await.ok();
        Some(read.body["etag"].as_str().map_or_else(|| read.etag(), str::to_owned))
    }

    async fn is_asked_by(&self, who: &Person, tag: Option<&str>) -> Answer {
        let mut call = who.request(self.method.clone(), &self.path);
        if !self.body.is_null() {
            call = call.json(self.body.clone());
        }
        if let Some(tag) = tag {
            call = call.if_match(tag);
        }
        call.send().await
    }

    async fn is_for_its_manager_alone(&self, app: &TestApp) {
        let said = format!("{} {}", self.method, self.path);
        let (before, tag) = (rows(app, &MANAGED), self.tag().await);
        let refused = self.is_asked_by(self.reader, tag.as_deref()).await;
        assert!([403, 404, 409].contains(&refused.status.as_u16()), "{said}: {} {}", refused.status, refused.body);
        assert_eq!(rows(app, &MANAGED), before, "{said} was refused and changed something");
        let Some(manager) = self.manager else { return };
        // The tag still fits.
        let done = self.is_asked_by(manager, tag.as_deref()).await;
        assert!(done.status.is_success(), "{said}: {} {}", done.status, done.body);
        assert_ne!(rows(app, &MANAGED), before, "{said} changes nothing, so that its refusal proves nothing");
    }
}

#[actix_web::test]
async fn fault_whoever_may_see_it_may_change_it() {
    let Clinic { app, admin, ann, therapist: thea, link, .. } = Clinic::open().await;
    let uma = app.staff(&admin, "Uma Beck", &["care"]).await;
    ann.linked_to(&uma).await;
    let clinic = clinic_of(&admin).await;
    let infusion = thea.records(&ann, app.now() - hours(26)).await;
    let assignment = thea.assigns(&ann, "values-sort").await;
    let entry = ann.writes(reflection("The lake")).await;
    let opened = ann.opens(&entry, &["text"], &thea).await;
    let (protocol, _) = drafts(&admin, &clinic, content("Ours")).await;
    // All of it is there for those who may not change it.
    for part in ["/infusions", "/assignments", "/protocol", "/overrides", "/grants"] {
        ann.get(&ann.my(part)).send().await.ok();
    }
    assert_eq!(ids(&thea.reads(&ann, "/grants").await.ok()), std::slice::from_ref(&opened));
    thea.get(&at(&clinic, &protocol)).send().await.ok();

    let wish = |reader, manager, method, path: &str, body, read: &str| Wish {
        reader,
        manager,
        method,
        path: path.to_owned(),
        body,
        read: read.to_owned(),
    };
    let of_ann = |rest: &str| ann.of_theirs(rest);
    let task = of_ann(&format!("/assignments/{assignment}"));
    let given = of_ann(&format!("/grants/{opened}"));
    let session = of_ann(&format!("/infusions/{infusion}"));
    let (own, chosen, of_clinic) =
        (of_ann("/overrides"), of_ann("/protocol"), format!("/v1/clinics/{clinic}/protocol"));
    let draft = at(&clinic, &protocol);
    let (publish, retire) = (format!("{draft}/publish"), format!("{draft}/retire"));
    let member = format!("/v1/clinics/{clinic}/members/{}", thea.account);
    let evening = json!({ "items": [{ "rule_key": "d6.people", "window": "evening" }] });
    let mine = json!({ "exercise_key": "values-sort", "note": "Do it today." });
    let choice = json!({ "protocol_id": protocol });
    let (put, patch) = (Method::PUT, Method::PATCH);
    let wishes = [
        // Another therapist of hers, and the patient, do not change what a therapist asks for.
        wish(&uma, Some(&thea), put.clone(), &task, mine, &task),
        wish(&uma, Some(&thea), patch.clone(), &task, json!({ "status": "withdrawn" }), &task),
        wish(&ann, Some(&thea), patch.clone(), &task, json!({ "status": "assigned" }), &task),
        // A reader opens no more to themselves, and closes nothing.
        wish(&thea, None, put.clone(), &given, grant(&entry, &["text", "mood"], &thea), ""),
        wish(&thea, Some(&ann), Method::DELETE, &given, Value::Null, ""),
        // What the clinic has recorded is the clinic's.
        wish(&ann, Some(&thea), patch.clone(), &session, json!({ "note": "Another note." }), &session),
        wish(&ann, None, put.clone(), &session, completed(app.now() - hours(20)), "*"),
        wish(&ann, Some(&thea), put.clone(), &own, evening, &own),
        // Protocols are written by admins, and chosen for a patient by therapists.
        wish(&thea, Some(&admin), put.clone(), &draft, content("Theirs"), &draft),
        wish(&thea, Some(&admin), Method::POST, &publish, json!({}), &draft),
        wish(&ann, Some(&thea), put.clone(), &chosen, choice.clone(), &chosen),
        wish(&thea, Some(&admin), put, &of_clinic, choice, &of_clinic),
        wish(&thea, Some(&admin), Method::POST, &retire, json!({ "version": 1 }), ""),
        wish(&thea, Some(&admin), patch, &member, json!({ "capabilities": ["care", "record"] }), "*"),
    ];
    for wish in wishes {
        wish.is_for_its_manager_alone(&app).await;
    }

    // The phone pulls these too, and pushes none of them.
    let recorded = ann.get(&session).send().await.ok();
    let version = recorded.body["version"].as_i64().unwrap();
    let before = rows(&app, &MANAGED);
    for (kind, id) in [("assignment", &assignment), ("care_link", &link)] {
        for more in [json!({ "fields": { "status": "withdrawn" } }), json!({ "op": "delete" })] {
            is(&ann.pushes(&mutation(&ann, kind, id, 1, more)).await, "rejected");
        }
    }
    let fields = json!({ "fields": { "dose_mg": 99.0, "note": "Mine." } });
    let said = ann.pushes(&mutation(&ann, "infusion", &infusion, version, fields)).await;
    assert_ne!(said["status"], "applied", "{said:#}");
    assert_eq!(rows(&app, &MANAGED), before);
    assert_eq!(thea.get(&session).send().await.ok().body["dose_mg"], recorded.body["dose_mg"]);
}

#[actix_web::test]
async fn fault_a_suspended_account_looks_like_an_empty_store() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    live(&app, &theo, &ann).await;
    let (mut phone, mut reader) = (new_phone(&ann).await, Reader::default());
    while reader.page(&theo, 200).await.1 {}
    // Something to come, which neither has seen.
    let entry = ann.writes(reflection("The hill")).await;
    ann.opens(&entry, &["text"], &theo).await;

    for who in [&ann, &theo] {
        disable(&app, who.account.parse().unwrap()).await;
    }
    let have = json!({ "epoch": phone.epoch, "have": phone.have() });
    let late = mutation(&ann, "entry", &new_id(&app), 0, json!({ "text": { "body": "Written meanwhile." } }));
    let answers = [
        page(&ann, phone.cursor.as_deref(), 200).await,
        page(&ann, None, 200).await,
        ann.get(&ann.my("/entries")).send().await,
        ann.entry(&entry).await,
        ann.post(&ann.my("/integrity"), have).send().await,
        ann.get("/v1/bundle").send().await,
        ann.post(&ann.my("/mutations"), json!({ "epoch": phone.epoch, "mutations": [late] })).send().await,
        feed_page(&theo, reader.cursor.as_deref(), 200).await,
        feed_page(&theo, None, 200).await,
        theo.reads(&ann, "/entries").await,
    ];
    for answer in answers {
        let refused = answer.expect(401).refused("unauthenticated");
        assert!(refused.body.get("items").is_none() && refused.body.get("events").is_none(), "{}", refused.body);
    }

    // The cursors go on where they were.
    for who in [&ann, &theo] {
        enable(&app, who.account.parse().unwrap()).await;
    }
    let (held, buried) = (phone.things.len(), phone.tombstones.clone());
    let came = phone.pull(&ann, 200).await;
    assert!(came.iter().any(|item| item["kind"] == "entry" && id_of(item) == entry), "{came:?}");
    assert!(came.len() < held && phone.tombstones == buried, "no pull of everything, and nothing is deleted");
    phone.equals(&new_phone(&ann).await);
    assert_ne!(feed_page(&theo, reader.cursor.as_deref(), 200).await.ok().body["full"], true);
    let (events, _) = reader.page(&theo, 200).await;
    assert!(events.iter().any(|event| event["type"] == "item" && event["id"] == json!(entry)), "{events:?}");
    assert!(events.iter().all(|event| event["type"] == "item"), "{events:?}");
}
