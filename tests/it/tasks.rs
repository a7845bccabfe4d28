//! Background work: every column that a worker must heed is served, and what was to be done stands in the table
//! afterwards. A status proves nothing here: most things are over for a client by the time alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use afterglow::app::{self, tasks};
use afterglow::audit::{self, Record, Subject};
use afterglow::db::{Backend, Tx};
use afterglow::delivery::{LogChannel, store as outbox};
use afterglow::kernel::{Entropy, Error, Result};
use afterglow::schedule::store as plans;
use afterglow::tasks::{Due, ListedTask, Task, TaskProgress, TaskRun, Tasks};
use afterglow::{jobs, tasks as background};
use diesel::prelude::*;
use diesel::sql_types::Text;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::delivery::{World, hours, minutes};
use crate::support::app::{TestApp, new_id};
use crate::support::authenticator::{challenge, with_passkey};
use crate::support::database::{Count, on_postgres};
use crate::support::exercises::work;
use crate::support::journal::{grant, reflection, two, with};
use crate::support::people::{Clinic, Person, again};
use crate::support::protocols::{clinic_of, content, publishes};
use crate::support::sql::{Sql, beside};

/// Columns that no task names itself: the task that serves each, and how.
const SERVED_THROUGH: &[(&str, &str, &str)] = &[];

/// Columns that need no task, with the reason.
const NEEDS_NO_TASK: &[(&str, &[&str])] = &[
    (
        "it says when something happened, and nothing follows from it by time alone",
        &[
            "accounts.created_at",
            "address_proofs.created_at",
            "address_proofs.used_at",
            "accounts.disabled_at",
            "assignments.created_at",
            "assignments.updated_at",
            "audit_log.at",
            "calendars.created_at",
            "calendars.deleted_at",
            "calendars.read_at",
            "calendars.updated_at",
            "care_links.accepted_at",
            "care_links.active_at",
            "care_links.created_at",
            "care_links.ended_at",
            "covers.created_at",
            "covers.ended_at",
            "changes.at",
            "closings.at",
            "clinics.created_at",
            "consents.created_at",
            "comments.created_at",
            "deliveries.created_at",
            "deliveries.received_at",
            "deliveries.sent_at",
            "devices.created_at",
            "devices.deleted_at",
            "devices.plan_at",
            "devices.retired_at",
            "devices.seen_at",
            "devices.updated_at",
            "deliveries.done_at",
            "emergencies.created_at",
            "emergencies.reviewed_at",
            "entries.occurred_at",
            "entries.received_at",
            "entries.updated_at",
            "exercise_responses.occurred_at",
            "exercise_responses.received_at",
            "exercise_responses.updated_at",
            "grant_items.occurred_at",
            "grants.closed_at",
            "grants.created_at",
            "infusions.created_at",
            "infusions.updated_at",
            "invitations.created_at",
            "invitations.revoked_at",
            "invitations.used_at",
            "letters.created_at",
            "owner_notices.asked_at",
            "passkeys.created_at",
            "passkeys.last_used_at",
            "patient_settings.updated_at",
            "patients.created_at",
            "pauses.created_at",
            "pauses.updated_at",
            "prompts.created_at",
            "prompts.delivered_at",
            "prompts.fired_at",
            "prompts.updated_at",
            "protocols.created_at",
            "protocols.published_at",
            "protocols.updated_at",
            "receipts.delivered_at",
            "receipts.opened_at",
            "second_factors.confirmed_at",
            "second_factors.created_at",
            "staff_members.created_at",
            "staff_members.ended_at",
            "staff_resets.created_at",
            "transfers.answered_at",
            "transfers.offered_at",
        ],
    ),
    ("`purge_at` beside it says when its words go", &["entries.deleted_at", "exercise_responses.deleted_at"]),
    ("a pause that was withdrawn stays in the patient's history", &["pauses.deleted_at"]),
    (
        "the session that it belongs to, or of which it is the token, goes as a whole when it has run out",
        &[
            "refresh_tokens.created_at",
            "sessions.created_at",
            "sessions.factor_at",
            "sessions.last_used_at",
            "sessions.revoked_at",
            "sessions.verified_at",
        ],
    ),
    ("it is judged when somebody logs in", &["accounts.guarded_until", "log_in_failures.locked_until"]),
    (
        "it is judged whenever staff open a patient's data",
        &["covers.starts_at", "covers.ends_at", "emergencies.ends_at"],
    ),
    (
        "it is judged when the code is presented; the clinic sees in its list that it ran out",
        &["invitations.expires_at", "staff_resets.expires_at"],
    ),
    ("`next_action_at` beside it says when it is due", &["prompts.due_at"]),
    ("the state of a prompt is told from the clock; nothing goes out after it", &["prompts.expires_at"]),
    ("it is judged when a push goes to the device", &["devices.plan_until"]),
    (
        "it is judged when it is sent, and no attempt is put off beyond it",
        &["deliveries.expires_at", "letters.expires_at"],
    ),
];

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Every column of the database whose name says that it holds an instant, as `table.column`.
fn instants(backend: &Backend) -> BTreeSet<String> {
    let query = match backend {
        Backend::Sqlite(_) => {
            "SELECT m.name || '.' || c.name AS name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
        }
        Backend::Postgres(_) => {
            "SELECT (table_name || '.' || column_name)::text AS name FROM information_schema.columns \
             WHERE table_schema = 'public'"
        }
    };
    let all = Sql::open(backend).rows::<Column>(query).into_iter().map(|column| column.name);
    let instant = |name: &String| {
        let column = name.split('.').next_back().unwrap();
        !name.starts_with("__") && (column == "at" || column.ends_with("_at") || column.ends_with("_until"))
    };
    all.filter(instant).collect()
}

/// The columns that tasks name, with the names of the tasks.
fn named() -> BTreeMap<String, &'static str> {
    let list = tasks(LogChannel);
    let names =
        list.iter().flat_map(|ListedTask { task, .. }| task.next_due().iter().map(move |due| (due, task.name())));
    names.map(|(due, task)| (format!("{}.{}", due.table, due.column), task)).collect()
}

#[actix_web::test]
async fn every_column_that_a_worker_must_heed_is_served_and_proved() {
    let app = TestApp::start().await;
    let (there, named) = (instants(&app.database.backend), named());
    let through: BTreeSet<String> = SERVED_THROUGH.iter().map(|(column, ..)| (*column).to_owned()).collect();
    for (column, by, _) in SERVED_THROUGH {
        assert!(named.contains_key(*by), "{column} is served through {by}, which no task names");
    }
    let served: BTreeSet<String> = named.keys().cloned().chain(through).collect();
    let excused = |column: &str| NEEDS_NO_TASK.iter().any(|(_, list)| list.contains(&column));
    for column in &there {
        assert!(
            served.contains(column) != excused(column),
            "{column}: a task names it in `next_due`, or it stands in NEEDS_NO_TASK with the reason, and not both"
        );
    }
    for column in &served {
        assert!(there.contains(column), "a task names {column}, which is not in the database");
    }
    for column in NEEDS_NO_TASK.iter().flat_map(|(_, list)| *list) {
        assert!(there.contains(*column), "{column} is excused, and not in the database");
    }
    let proved: BTreeSet<String> = PROVED.iter().map(|column| (*column).to_owned()).collect();
    assert_eq!(proved, served, "each column that is served has a proof below that looks into the table");
}

#[actix_web::test]
async fn when_tasks_are_due_is_found_at_the_low_end_of_an_index() {
    let app = TestApp::start().await;
    let mut sql = Sql::open(&app.database.backend);
    let list = tasks(LogChannel);
    for due in list.iter().flat_map(|listed| listed.task.next_due()) {
        let plan = explain(&mut sql, &due.look());
        let sorted = ["Seq Scan", "Sort", "B-TREE"].iter().any(|word| plan.contains(word));
        assert!(!sorted && (plan.contains("INDEX") || plan.contains("Index")), "{due:?}: {plan}");
    }
}

fn explain(sql: &mut Sql, query: &str) -> String {
    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
        line: String,
    }
    match sql {
        Sql::Sqlite(conn) => {
            let steps: Vec<Step> = diesel::sql_query(format!("EXPLAIN QUERY PLAN {query}")).load(conn).unwrap();
            steps.into_iter().map(|step| step.detail).collect()
        }
        Sql::Postgres(conn) => {
            // A table of a test is so small that nobody needs its index.
            diesel::sql_query("SET enable_seqscan = off").execute(conn).unwrap();
            let lines: Vec<Line> = diesel::sql_query(format!("EXPLAIN {query}")).load(conn).unwrap();
            lines.into_iter().map(|line| line.line).collect()
        }
    }
}

/// The tables of a test, looked into from outside.
pub struct Tables(Sql, Backend);

impl Tables {
    pub fn of(app: &TestApp) -> Self {
        Self(Sql::open(&app.database.backend), app.database.backend.clone())
    }

    /// How many rows there are of a table, as `FROM` takes it.
    pub fn count(&mut self, rows: &str) -> i64 {
        self.0.rows::<Count>(&format!("SELECT count(*) AS n FROM {rows}"))[0].n
    }

    /// An instant as the database writes it.
    fn instant(&self, at: Timestamp) -> String {
        match self.1 {
            Backend::Sqlite(_) => at.as_microsecond().to_string(),
            Backend::Postgres(_) => format!("timestamptz '{at}'"),
        }
    }
}

async fn tick(app: &TestApp) -> jobs::RoundSummary {
    app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap()
}

pub async fn settled(app: &TestApp) {
    while tick(app).await.next == Some(app.now()) {}
}

/// Proofs by column: each looks into the table after a round.
macro_rules! proofs {
    ($($column:literal => async fn $name:ident() $body:block)*) => {
        const PROVED: &[&str] = &[$($column),*];
        $(#[actix_web::test] async fn $name() $body)*
    };
}

proofs! {
    "prompts.next_action_at" => async fn a_prompt_whose_time_has_come_is_marked_due_and_delivered() {
        let world = World::new().await;
        settled(&world.app).await;
        world.plant(minutes(5)).await;
        let mut tables = Tables::of(&world.app);
        let marked = "prompts WHERE stage = 2 AND next_action_at IS NULL AND fired_at IS NOT NULL AND delivered_at IS NOT NULL";
        world.app.wait(minutes(4));
        tick(&world.app).await;
        assert_eq!((tables.count(marked), tables.count("deliveries")), (0, 0));
        world.app.wait(minutes(1));
        tick(&world.app).await;
        assert_eq!((tables.count(marked), tables.count("deliveries WHERE state = 'sent'")), (1, 1));
    }

    "staff_members.tell_at" => async fn patients_are_told_who_may_now_see_their_infusions() {
        let clinic = Clinic::open().await;
        settled(&clinic.app).await;
        let mut tables = Tables::of(&clinic.app);
        clinic.app.wait(minutes(2));
        tick(&clinic.app).await;
        let clinic_id = clinic.admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
        let nurse = format!("/v1/clinics/{clinic_id}/members/{}", clinic.nurse.account);
        for may in ["duty", "record"] {
            let change = json!({ "capabilities": [may] });
            clinic.admin.patch(&nurse, change).if_match("*").send().await.ok();
        }
        let waiting = "staff_members WHERE tell_at IS NOT NULL";
        let rows = tables.count("audit_log");
        assert_eq!(tables.count(waiting), 1);
        tick(&clinic.app).await;
        assert_eq!((tables.count(waiting), tables.count("audit_log")), (0, rows + 1));
    }

    "covers.tell_at" => async fn patients_are_told_who_stands_in_for_their_therapist() {
        let clinic = Clinic::open().await;
        let tom = clinic.app.staff(&clinic.admin, "Tom Adler", &["care"]).await;
        settled(&clinic.app).await;
        let mut tables = Tables::of(&clinic.app);
        let clinic_id = clinic_of(&clinic.admin).await;
        let path = format!("/v1/clinics/{clinic_id}/covers/{}", new_id(&clinic.app));
        let (from, until) = (clinic.app.now() + hours(1), clinic.app.now() + hours(48));
        let body = json!({ "colleague_id": tom.account, "starts_at": from.to_string(), "ends_at": until.to_string() });
        clinic.therapist.put(&path, body).send().await.created();
        let waiting = "covers WHERE tell_at IS NOT NULL";
        let rows = tables.count("audit_log");
        tick(&clinic.app).await;
        assert_eq!((tables.count(waiting), tables.count("audit_log")), (1, rows), "not yet");
        clinic.app.wait(hours(1));
        tick(&clinic.app).await;
        assert_eq!((tables.count(waiting), tables.count("audit_log")), (0, rows + 1));
    }

    "clinic_plans.follow_at" => async fn the_patients_of_a_clinic_are_planned_again_once_its_protocol_is_in_force() {
        let clinic = Clinic::open().await;
        settled(&clinic.app).await;
        let clinic_id = clinic_of(&clinic.admin).await;
        publishes(&clinic.admin, &clinic_id, content("Ours")).await;
        let mut tables = Tables::of(&clinic.app);
        let waiting = "clinic_plans WHERE follow_at IS NOT NULL";
        tick(&clinic.app).await;
        assert_eq!(tables.count(waiting), 1, "not yet");
        clinic.app.wait(SignedDuration::from_secs(60));
        let now = tables.instant(clinic.app.now());
        let before = tables.count(&format!("patients WHERE next_plan_at > {now}"));
        tick(&clinic.app).await;
        assert_eq!(tables.count(waiting), 0);
        let marked = before - tables.count(&format!("patients WHERE next_plan_at > {now}"));
        assert!(marked > 0, "the patients of the clinic are marked");
    }

    "patient_heads.anchor_due_at" => async fn the_head_of_a_patients_chain_that_has_grown_is_anchored() {
        let world = World::new().await;
        settled(&world.app).await;
        let mut tables = Tables::of(&world.app);
        let due = "patient_heads WHERE anchor_due_at IS NOT NULL";
        world.tess().get(&world.ann.of_theirs("/window")).send().await.ok();
        tick(&world.app).await;
        assert_eq!(tables.count(due), 1, "not yet");
        world.app.wait(SignedDuration::from_secs(30));
        tick(&world.app).await;
        assert_eq!(tables.count(due), 0);
        let anchors = world.app.server.state.vault.anchors(None).await.unwrap();
        assert!(anchors.contains_key(&world.ann.patient.parse().unwrap()));
    }

    "account_heads.anchor_due_at" => async fn the_head_of_an_accounts_chain_that_has_grown_is_anchored() {
        let world = World::new().await;
        settled(&world.app).await;
        let (mut tables, state) = (Tables::of(&world.app), &world.app.server.state);
        let (vault, keys) = (state.vault.clone(), state.vault.keys(world.ann.account.parse().unwrap()).await.unwrap());
        let (subject, keys, now) = (Subject::Account(world.ann.account.parse().unwrap()), keys.unwrap(), world.app.now());
        let record = Record { act: "refresh_reused".to_owned(), role: "owner".to_owned(), refused: true, ids: Vec::new() };
        let unit = move |tx: &mut Tx<'_>| audit::append(tx, &vault, &keys, subject, None, None, now, &record);
        state.db.write(unit).await.unwrap();
        let due = "account_heads WHERE anchor_due_at IS NOT NULL";
        assert!(tables.count(due) > 0);
        world.app.wait(SignedDuration::from_secs(30));
        tick(&world.app).await;
        assert_eq!(tables.count(due), 0);
        assert!(state.vault.anchors(None).await.unwrap().contains_key(&subject.uuid()));
    }

    "deliveries.due_at" => async fn a_delivery_that_failed_is_tried_again_at_its_time() {
        let world = World::new().await;
        world.plant(minutes(5)).await;
        world.app.wait(minutes(5));
        world.channel.fail(1);
        let tick = async || app::tick(&world.app.server.state, &world.channel, world.app.now()).await.unwrap();
        tick().await;
        let mut tables = Tables::of(&world.app);
        assert_eq!(tables.count("deliveries WHERE state = 'waiting' AND done_at IS NULL"), 1);
        world.app.wait(SignedDuration::from_secs(5));
        tick().await;
        assert_eq!(tables.count("deliveries WHERE state = 'sent' AND done_at IS NOT NULL"), 1);
    }

    "deliveries.lease_until" => async fn what_a_dead_worker_held_is_given_back() {
        let world = World::new().await;
        world.plant(minutes(5)).await;
        world.app.wait(minutes(5));
        world.channel.fail(1);
        app::tick(&world.app.server.state, &world.channel, world.app.now()).await.unwrap();
        world.app.wait(SignedDuration::from_secs(5));
        let (state, now) = (&world.app.server.state, world.app.now());
        // It takes the delivery, and is not heard of again.
        let dead = Entropy::System.opaque();
        state.db.write(move |tx| outbox::lease(tx, dead, now, 10, &[])).await.unwrap();
        let mut tables = Tables::of(&world.app);
        let held = "deliveries WHERE state = 'leased' AND lease_until IS NOT NULL AND leased_by IS NOT NULL";
        tick(&world.app).await;
        assert_eq!(tables.count(held), 1);
        world.app.wait(SignedDuration::from_secs(30));
        tick(&world.app).await;
        let given_back = "deliveries WHERE state = 'sent' AND lease_until IS NULL AND leased_by IS NULL";
        assert_eq!((tables.count(held), tables.count(given_back)), (0, 1));
    }

    "patients.next_plan_at" => async fn a_plan_whose_horizon_has_moved_is_made_again() {
        let app = TestApp::start().await;
        let (theo, ann) = two(&app).await;
        theo.records(&ann, app.now()).await;
        settled(&app).await;
        let mut tables = Tables::of(&app);
        let stale = |tables: &Tables| format!("patients WHERE next_plan_at <= {}", tables.instant(app.now()));
        assert_eq!(tables.count(&stale(&tables)), 0);
        app.wait(hours(24));
        assert_eq!(tables.count(&stale(&tables)), 1);
        tick(&app).await;
        assert_eq!((tables.count(&stale(&tables)), tables.count("patients WHERE next_plan_at IS NULL")), (0, 0));
    }

    "grants.expires_at" => async fn the_plan_follows_at_the_instant_at_which_a_grant_runs_out() {
        let app = TestApp::start().await;
        let (theo, ann) = two(&app).await;
        theo.records(&ann, app.now().checked_sub(hours(1)).unwrap()).await;
        // The day on which a patient is asked what to share.
        app.set_clock("2026-03-13T09:00:00Z");
        settled(&app).await;
        let entry = ann.writes(reflection("Lake")).await;
        let mut tables = Tables::of(&app);
        let mut withdrawn = || tables.count("prompts WHERE stage = 3");
        let unshared = withdrawn();
        let until = app.now().checked_add(hours(1)).unwrap().to_string();
        let body = with(grant(&entry, &["text"], &theo), json!({ "expires_at": until }));
        ann.put_grant(&crate::support::app::new_id(&app), body).send().await.created();
        assert_eq!(withdrawn(), unshared + 1, "nothing is left to be shared");
        app.wait(minutes(59));
        settled(&app).await;
        assert_eq!(withdrawn(), unshared + 1);
        assert_eq!(Tables::of(&app).count("grants WHERE closed_at IS NOT NULL"), 0);
        app.wait(minutes(1));
        settled(&app).await;
        assert_eq!(withdrawn(), unshared, "there is again");
        assert_eq!(Tables::of(&app).count("grants WHERE closed_at IS NOT NULL"), 1, "and it is ended");
        assert_eq!(Tables::of(&app).count("grant_items"), 0);
    }

    "grants.tell_at" => async fn the_reader_of_a_grant_is_told_of_it_when_they_begin_to_see_it() {
        let app = TestApp::start_with(|config| config.share_delay_minutes = 10).await;
        let (theo, ann) = two(&app).await;
        let entry = ann.writes(reflection("Lake")).await;
        ann.opens(&entry, &["text"], &theo).await;
        let waiting = "grants WHERE tell_at IS NOT NULL";
        app.wait(minutes(10) - SignedDuration::from_secs(1));
        settled(&app).await;
        assert_eq!((Tables::of(&app).count(waiting), Tables::of(&app).count("feed")), (1, 0));
        app.wait(SignedDuration::from_secs(1));
        settled(&app).await;
        assert_eq!((Tables::of(&app).count(waiting), Tables::of(&app).count("feed")), (0, 2), "entry and grant");
    }

    "feed_backlog.at" => async fn what_a_unit_has_left_of_a_history_is_told_to_its_readers() {
        let app = TestApp::start().await;
        let (theo, ann) = two(&app).await;
        crate::feed::history::write(&ann).await;
        crate::feed::history::open_all(&ann).await;
        let mut tables = Tables::of(&app);
        let in_unit = tables.count("feed");
        assert!(tables.count("feed_backlog") > 1, "in parts");
        settled(&app).await;
        assert_eq!(tables.count("feed_backlog"), 0);
        let told = tables.count("feed");
        assert!(told > in_unit);
        assert_eq!(tables.count("feed WHERE removed_at IS NULL"), told);
        assert_eq!(theo.get("/v1/me/feed/changes?limit=200").send().await.ok().body["has_more"], true);
    }

    "feed.removed_at" => async fn what_a_therapist_ceased_to_see_is_forgotten_after_half_a_year() {
        let app = TestApp::start().await;
        let (theo, ann) = two(&app).await;
        let (kept, gone) = (ann.writes(reflection("Kept")).await, ann.writes(reflection("Gone")).await);
        ann.opens(&kept, &["text"], &theo).await;
        let ended = ann.opens(&gone, &["text"], &theo).await;
        ann.revokes(&ended).await;
        let mut tables = Tables::of(&app);
        assert_eq!(tables.count("feed WHERE removed_at IS NOT NULL"), 2, "the entry and the grant");
        app.wait(hours(24 * 180 - 1));
        settled(&app).await;
        assert_eq!(tables.count("feed WHERE removed_at IS NOT NULL"), 2);
        assert_eq!(tables.count("feed_heads WHERE horizon_seq > 0"), 0);
        app.wait(hours(1));
        settled(&app).await;
        assert_eq!(tables.count("feed WHERE removed_at IS NOT NULL"), 0);
        assert_eq!(tables.count("feed"), 2, "what is open stays");
        assert_eq!(tables.count("feed_heads WHERE horizon_seq > 0"), 1);
    }

    "idempotency_records.created_at" => async fn used_keys_are_forgotten_after_a_day() {
        let Clinic { ann, .. } = Clinic::open().await;
        settled(&ann.app).await;
        let mut tables = Tables::of(&ann.app);
        ann.app.wait(hours(48));
        settled(&ann.app).await;
        assert_eq!(tables.count("idempotency_records"), 0, "of how the clinic was made");
        let id = crate::support::app::new_id(&ann.app);
        ann.put_entry(&id, reflection("Lake")).key("one").send().await.created();
        ann.app.wait(hours(24));
        settled(&ann.app).await;
        assert_eq!(tables.count("idempotency_records"), 1);
        ann.app.wait(minutes(5));
        settled(&ann.app).await;
        assert_eq!(tables.count("idempotency_records"), 0);
    }

    "sessions.expires_at" => async fn sessions_that_ran_out_are_forgotten_with_their_tokens() {
        let Clinic { ann, .. } = Clinic::open().await;
        let mut tables = Tables::of(&ann.app);
        let all = tables.count("sessions");
        ann.app.wait(hours(24 * 60));
        ann.get("/v1/me").send().await.ok();
        // Hers is used again; those of staff ran out a day ago.
        ann.app.wait(hours(24));
        settled(&ann.app).await;
        assert!(all > 1);
        assert_eq!(tables.count("sessions"), 1);
        assert_eq!(tables.count("refresh_tokens WHERE session_id NOT IN (SELECT id FROM sessions)"), 0);
        assert_eq!(tables.count("refresh_tokens"), 2, "the spent one tells of theft");
        ann.app.wait(hours(24 * 91));
        settled(&ann.app).await;
        assert_eq!((tables.count("sessions"), tables.count("refresh_tokens")), (0, 0));
    }

    "refresh_tokens.spent_at" => async fn spent_tokens_of_a_session_that_lives_on_are_forgotten() {
        let Clinic { ann, .. } = Clinic::open().await;
        let mut tables = Tables::of(&ann.app);
        let hers = |spent: &str| format!("refresh_tokens WHERE spent_at IS {spent} AND session_id = (SELECT id FROM \
            sessions ORDER BY last_used_at DESC LIMIT 1)");
        // She refreshes every day: without the task, each would leave a row for as long as the session lives.
        for _ in 0..100 {
            ann.app.wait(hours(24));
            ann.get("/v1/me").send().await.ok();
            settled(&ann.app).await;
        }
        let (spent, unspent) = (tables.count(&hers("NOT NULL")), tables.count(&hers("NULL")));
        assert!((85..=91).contains(&spent) && unspent == 1, "{spent} spent, {unspent} unspent");
    }

    "log_in_failures.last_at" => async fn failed_log_ins_of_a_day_ago_are_forgotten() {
        let app = TestApp::start().await;
        let mut tables = Tables::of(&app);
        let guess = json!({ "email": "nobody@example.org", "passphrase": "a loud river at noon" });
        app.post("/v1/auth/login", guess).send().await.expect(401);
        app.wait(hours(23));
        settled(&app).await;
        assert_eq!(tables.count("log_in_failures WHERE failures = 1"), 2);
        app.wait(hours(1));
        settled(&app).await;
        assert_eq!(tables.count("log_in_failures"), 0);
    }

    "passkey_ceremonies.expires_at" => async fn answered_challenges_are_forgotten_a_day_after_they_are_over() {
        let Clinic { app, ann, .. } = Clinic::open().await;
        let mut tables = Tables::of(&app);
        let (mut device, _) = with_passkey(&ann).await;
        let answer = device.answers(&app).await;
        app.post("/v1/auth/passkey/finish", answer).send().await.ok();
        // A challenge that nobody answers leaves no row.
        challenge(&app).await;
        assert_eq!(tables.count("passkey_ceremonies"), 2);
        app.wait(hours(24));
        settled(&app).await;
        assert_eq!(tables.count("passkey_ceremonies"), 2);
        app.wait(minutes(5));
        settled(&app).await;
        assert_eq!((tables.count("passkey_ceremonies"), tables.count("passkeys")), (0, 1));
    }

    "letters.due_at" => async fn a_letter_leaves_soon_after_it_was_posted() {
        let app = TestApp::start().await;
        let mut tables = Tables::of(&app);
        forgets(&app).await;
        assert_eq!(tables.count("letters WHERE due_at IS NOT NULL AND done_at IS NULL AND attempts = 0"), 1);
        tick(&app).await;
        assert_eq!(tables.count("letters WHERE due_at IS NULL AND done_at IS NOT NULL AND attempts = 1"), 1);
    }

    "owner_notices.due_at" => async fn the_owner_of_an_account_gets_a_letter_soon_after_what_it_tells_of() {
        let clinic = Clinic::open().await;
        settled(&clinic.app).await;
        let mut tables = Tables::of(&clinic.app);
        again(&clinic.app, &clinic.ann.name).await;
        let waiting = "owner_notices WHERE due_at IS NOT NULL";
        assert_eq!((tables.count(waiting), tables.count("letters")), (1, 0));
        tick(&clinic.app).await;
        assert_eq!((tables.count(waiting), tables.count("letters")), (0, 1));
    }

    "letters.done_at" => async fn a_letter_is_forgotten_a_month_after_it_has_left() {
        let app = TestApp::start().await;
        let mut tables = Tables::of(&app);
        forgets(&app).await;
        settled(&app).await;
        app.wait(hours(24 * 30 - 1));
        settled(&app).await;
        assert_eq!(tables.count("letters"), 1);
        app.wait(hours(1));
        settled(&app).await;
        assert_eq!(tables.count("letters"), 0);
    }

    "address_proofs.expires_at" => async fn a_proof_is_forgotten_a_day_after_it_has_expired() {
        let app = TestApp::start().await;
        let mut tables = Tables::of(&app);
        forgets(&app).await;
        app.wait(hours(24) + minutes(29));
        settled(&app).await;
        assert_eq!(tables.count("address_proofs"), 1);
        app.wait(minutes(1));
        settled(&app).await;
        assert_eq!(tables.count("address_proofs"), 0);
    }

    "mutations.at" => async fn a_mutation_is_forgotten_after_a_quarter_of_a_year() {
        let Clinic { ann, .. } = Clinic::open().await;
        let page = ann.get(&ann.my("/changes")).send().await.ok();
        let mutation = json!({
            "mutation_id": new_id(&ann.app), "patient_id": ann.patient, "kind": "entry", "id": new_id(&ann.app),
            "base_version": 0, "header": { "kind": "note", "occurred_at": "2026-03-10T08:00:00Z" }, "text": { "body": "x" },
        });
        let body = json!({ "epoch": page.body["epoch"], "mutations": [mutation] });
        ann.post(&ann.my("/mutations"), body).send().await.ok();
        let mut tables = Tables::of(&ann.app);
        ann.app.wait(hours(24 * 91 - 1));
        settled(&ann.app).await;
        assert_eq!(tables.count("mutations"), 1);
        ann.app.wait(hours(1));
        settled(&ann.app).await;
        assert_eq!(tables.count("mutations"), 0);
    }

    "entries.purge_at" => async fn a_deleted_entry_loses_its_words_after_thirty_days() {
        let Clinic { ann, therapist: tess, .. } = Clinic::open().await;
        let id = ann.writes(reflection("Lake")).await;
        ann.opens(&id, &["text"], &tess).await;
        tess.act(&ann.of_theirs(&format!("/entries/{id}/opened"))).send().await.ok();
        tess.says(&ann.of_theirs(&format!("/entries/{id}/comments")), json!({ "body": "Thank you" })).send().await.created();
        ann.edits(&id, json!({ "text": { "title": "Shore" } })).await;
        let full = "entries WHERE purge_at IS NOT NULL AND text IS NOT NULL AND mood IS NOT NULL AND length(meta) > 0";
        let empty = "entries WHERE purge_at IS NULL AND text IS NULL AND mood IS NULL AND tags IS NULL \
            AND attachments IS NULL AND length(meta) = 0 AND infusion_id IS NULL AND prompt_id IS NULL";
        purged(&ann, &format!("/entries/{id}"), full, empty, &["revisions", "receipts", "comments", "grant_items"]).await;
    }

    "exercise_responses.purge_at" => async fn a_deleted_response_loses_its_words_after_thirty_days() {
        let Clinic { ann, therapist: tess, .. } = Clinic::open().await;
        let id = ann.works(work()).await;
        ann.opens_response(&id, &["answers"], &tess).await;
        tess.act(&ann.of_theirs(&format!("/exercise-responses/{id}/opened"))).send().await.ok();
        ann.resumes(&id, json!({ "answers": { "hook": "Something else" } })).await;
        let full = "exercise_responses WHERE purge_at IS NOT NULL AND answers IS NOT NULL AND length(meta) > 0";
        let empty = "exercise_responses WHERE purge_at IS NULL AND answers IS NULL AND distress IS NULL \
            AND length(meta) = 0 AND prompt_id IS NULL AND assignment_id IS NULL";
        purged(&ann, &format!("/exercise-responses/{id}"), full, empty, &["revisions", "receipts", "grant_items"]).await;
    }
}

/// Somebody asks for a code, for an address that nobody has.
async fn forgets(app: &Arc<TestApp>) {
    app.post("/v1/auth/passphrase-reset", json!({ "email": "nobody@example.org" })).send().await.expect(202);
}

/// Deletes it, and lets thirty days pass: then the row is empty, and nothing is left of it in the other tables.
async fn purged(ann: &Person, path: &str, full: &str, empty: &str, others: &[&str]) {
    ann.delete(&ann.my(path)).send().await.no_content();
    let mut tables = Tables::of(&ann.app);
    ann.app.wait(hours(24 * 30 - 1));
    settled(&ann.app).await;
    assert_eq!((tables.count(full), tables.count(empty)), (1, 0));
    for other in others {
        assert_eq!(tables.count(other), 1, "{other}");
    }
    ann.app.wait(hours(1));
    // One round: nothing else has to be done first.
    tick(&ann.app).await;
    assert_eq!((tables.count(full), tables.count(empty)), (0, 1));
    for other in others {
        assert_eq!(tables.count(other), 0, "{other}");
    }
}

/// On PostgreSQL others write while a purge runs.
#[actix_web::test]
async fn an_entry_that_comes_back_while_a_purge_runs_keeps_its_words() {
    if !on_postgres() {
        return;
    }
    let Clinic { ann, .. } = Clinic::open().await;
    let id = ann.writes(reflection("Lake")).await;
    ann.delete(&ann.my(&format!("/entries/{id}"))).send().await.no_content();
    ann.app.wait(hours(24 * 30 - 1));
    settled(&ann.app).await;
    ann.app.wait(hours(1));
    // As an undeletion does it: the purge has selected the row, and waits for it.
    let returns = "UPDATE entries SET deleted_at = NULL, purge_at = NULL";
    beside(&ann.app.database.backend, returns, settled(&ann.app)).await;
    assert_eq!(ann.entry(&id).await.ok().body["text"], reflection("Lake")["text"]);
}

/// Otherwise it would count as one that ran out by itself, and a rule could open the entry again.
#[actix_web::test]
async fn a_grant_that_a_patient_takes_back_just_before_it_runs_out_stays_taken_back() {
    if !on_postgres() {
        return;
    }
    let Clinic { app, ann, therapist: tess, .. } = Clinic::open().await;
    let entry = ann.writes(reflection("Lake")).await;
    let until = app.now().checked_add(hours(1)).unwrap().to_string();
    let body = with(grant(&entry, &["text"], &tess), json!({ "expires_at": until }));
    ann.put_grant(&new_id(&app), body).send().await.created();
    app.wait(minutes(59));
    settled(&app).await;
    app.wait(minutes(1));
    let mut tables = Tables::of(&app);
    let changes = "changes WHERE entity_id IN (SELECT id FROM grants)";
    let before = tables.count(changes);
    let ends = "UPDATE grants SET closed_at = expires_at - interval '1 second', version = version + 1";
    beside(&app.database.backend, ends, settled(&app)).await;
    assert_eq!(tables.count("grants WHERE closed_at < expires_at"), 1);
    assert_eq!(tables.count(changes), before, "it ends once");
}

#[actix_web::test]
async fn a_log_in_that_fails_while_old_counts_are_cleared_is_counted() {
    if !on_postgres() {
        return;
    }
    let app = TestApp::start().await;
    let guess = json!({ "email": "nobody@example.org", "passphrase": "a loud river at noon" });
    app.post("/v1/auth/login", guess).send().await.expect(401);
    app.wait(hours(23));
    settled(&app).await;
    app.wait(hours(1));
    let fails = "UPDATE log_in_failures SET failures = 2, last_at = last_at + interval '1 day'";
    beside(&app.database.backend, fails, settled(&app)).await;
    assert_eq!(Tables::of(&app).count("log_in_failures WHERE failures = 2"), 2);
}

#[actix_web::test]
async fn the_plan_of_a_patient_that_was_made_meanwhile_is_not_put_off() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    settled(&app).await;
    let mut tables = Tables::of(&app);
    let patient = ann.patient.parse().unwrap();
    for put_off in [0, 1] {
        let (now, later) = (app.now(), app.now().checked_add(hours(1)).unwrap());
        let unit = move |tx: &mut Tx<'_>| plans::postpone_plan(tx, patient, now, Some(later));
        app.server.state.db.write(unit).await.unwrap();
        let later = tables.instant(later);
        assert_eq!(tables.count(&format!("patients WHERE next_plan_at = {later}")), put_off);
        // By then the next one is due.
        app.wait(hours(24));
    }
}

/// A task that is always due and fails.
struct Broken(fn() -> Result<TaskProgress>);

impl Task for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn next_due(&self) -> &'static [Due] {
        const { &[Due::at("patients", "created_at")] }
    }

    fn run<'a>(&'a self, _: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        Box::pin(async { (self.0)() })
    }
}

#[actix_web::test]
async fn a_task_that_fails_does_not_keep_the_others_from_their_work() {
    let fails: [fn() -> Result<TaskProgress>; 2] = [|| Err(Error::internal("broken")), || panic!("broken")];
    for fail in fails {
        let world = World::new().await;
        settled(&world.app).await;
        world.plant(minutes(5)).await;
        world.app.wait(minutes(5));
        let mut list: Tasks<'_> = vec![ListedTask::of(Broken(fail))];
        list.extend(tasks(&world.channel));
        let state = &world.app.server.state;
        jobs::tick(state, &list, world.app.now()).await.unwrap_err();
        assert_eq!(world.sent().len(), 1);
        // It is not forgotten when it is due, and what is due next is.
        let times = background::next_due(state, &list).await.unwrap();
        assert!(times[0].is_some_and(|at| at <= world.app.now()));
    }
}

#[actix_web::test]
async fn nothing_is_due_where_there_are_no_tasks() {
    let app: Arc<TestApp> = TestApp::start().await;
    assert_eq!(jobs::tick(&app.server.state, &Vec::new(), app.now()).await.unwrap(), jobs::RoundSummary::default());
}
