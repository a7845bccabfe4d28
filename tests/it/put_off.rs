//! Background work that always fails for one patient, account or clinic does not keep the others from theirs.
//!
//! The database refuses what a task writes for one of two, whose work is due before that of the other. What waits is
//! done for the other one, and stays to be done for the first.

use std::future::ready;

use afterglow::app;
use afterglow::db::{Backend, Tx};
use afterglow::delivery::MemoryChannel;
use afterglow::identity::{Notice, ask_notice};
use afterglow::jobs;
use afterglow::kernel::Id;
use afterglow::kernel::id::{Account, Patient, Prompt};
use afterglow::tasks::{PutOff, TaskRun};
use futures_util::FutureExt as _;
use jiff::SignedDuration;
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use crate::channels::outbound::Log;
use crate::delivery::{hours, minutes, planned, plant, plant_all, work};
use crate::feed::history;
use crate::known_faults;
use crate::support::app::{TestApp, new_id};
use crate::support::exercises;
use crate::support::journal::{grant, reflection, two, with};
use crate::support::people::{Clinic, Person};
use crate::support::protocols::{clinic_of, content, publishes};
use crate::support::sql::Sql;
use crate::support::world::another_clinic;
use crate::tasks::{Tables, settled};

/// Lets the database refuse a kind of write to the rows of a table where `column` is this id.
fn refuse(app: &TestApp, write: (&str, &str), own: (&str, &str)) {
    refuse_if(app, write, own, ("TRUE", "the write is refused"));
}

/// The same for the writes that meet a further condition, and with the words of an error.
pub fn refuse_if(
    app: &TestApp,
    (event, table): (&str, &str),
    (column, id): (&str, &str),
    (condition, error): (&str, &str),
) {
    let mut sql = Sql::open(&app.database.backend);
    let (name, id) = (format!("refusal_of_{table}"), sql.id(id));
    let refused = format!("OLD.{column} = {id} AND {condition}");
    let trigger = match &sql {
        Sql::Sqlite(_) => format!(
            "CREATE TRIGGER {name} BEFORE {event} ON {table} WHEN {refused} \
             BEGIN SELECT RAISE(ABORT, '{error}'); END"
        ),
        Sql::Postgres(_) => format!(
            "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS \
               $$ BEGIN RAISE EXCEPTION '{error}'; END $$; \
             CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW WHEN ({refused}) \
             EXECUTE FUNCTION {name}()"
        ),
    };
    sql.run(&trigger);
}

/// Counts the rows of a table that wait, by `condition`, for each of two ids in `column`.
fn waiting(app: &TestApp, table: &str, condition: &str, column: &str, ids: [&str; 2]) -> [i64; 2] {
    let sql = Sql::open(&app.database.backend);
    ids.map(|id| Tables::of(app).count(&format!("{table} WHERE {condition} AND {column} = {}", sql.id(id))))
}

fn second(app: &TestApp) {
    app.wait(SignedDuration::from_secs(1));
}

#[actix_web::test]
async fn five_hundred_late_prompts_of_a_patient_who_cannot_be_caught_up_with_hold_up_nobody_elses() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (ben, cleo) = (app.patient(&theo, "Ben Roth").await, app.patient(&theo, "Cleo Marsh").await);
    let [ann, ben, cleo] = [&ann, &ben, &cleo].map(|person| person.patient.parse::<Id<Patient>>().unwrap());
    let channel = MemoryChannel::default();
    // The plan of somebody new is made first: it would withdraw what no rule calls for.
    work(&app, &channel).await;
    let start = app.now();
    let many = (0..500).map(|_| planned(start + minutes(1))).collect();
    let many = plant_all(&app, ann, many).await;
    let late = plant(&app, ben, start + minutes(2), |_| {}).await;
    let on_time = plant(&app, cleo, start + hours(3), |_| {}).await;
    refuse(&app, ("UPDATE", "prompts"), ("patient_id", &ann.to_string()));
    app.wait(hours(3));
    work(&app, &channel).await;
    let sent: Vec<Id<Prompt>> = channel.sent().iter().map(|push| push.prompt).collect();
    assert!(sent.contains(&late), "another patient is caught up with");
    assert!(sent.contains(&on_time), "what is due now leaves");
    assert!(!sent.iter().any(|prompt| many.contains(prompt)));
}

#[actix_web::test]
async fn a_prompt_that_cannot_be_marked_keeps_no_other_patients_from_leaving_in_time() {
    for error in ["the write is refused", "deadlock detected"] {
        let app = TestApp::start().await;
        let (theo, ann) = two(&app).await;
        let ben = app.patient(&theo, "Ben Roth").await;
        let [ann, ben] = [&ann, &ben].map(|person| person.patient.parse::<Id<Patient>>().unwrap());
        let channel = MemoryChannel::default();
        work(&app, &channel).await;
        let start = app.now();
        plant(&app, ann, start + minutes(1), |_| {}).await;
        // What comes due together without an outage all leaves.
        let of_ben =
            [plant(&app, ben, start + minutes(2), |_| {}).await, plant(&app, ben, start + minutes(3), |_| {}).await];
        refuse_if(&app, ("UPDATE", "prompts"), ("patient_id", &ann.to_string()), ("TRUE", error));
        app.wait(minutes(3));
        let tasks = app::tasks(&channel);
        for _ in 0..2 {
            // It says whether it may have been an outage.
            let _ended = jobs::tick(&app.server.state, &tasks, app.now()).await;
        }
        let sent: Vec<Id<Prompt>> = channel.sent().iter().map(|push| push.prompt).collect();
        assert!(of_ben.iter().all(|prompt| sent.contains(prompt)), "{error}");
    }
}

#[actix_web::test]
async fn a_patients_prompt_leaves_as_soon_as_the_disk_is_full_no_more() {
    let app = TestApp::start().await;
    let (_theo, ann) = two(&app).await;
    let channel = MemoryChannel::default();
    work(&app, &channel).await;
    let prompt = plant(&app, ann.patient.parse().unwrap(), app.now() + minutes(1), |_| {}).await;
    app.wait(minutes(1));
    let tasks = app::tasks(&channel);
    known_faults::refuse(&app, ("UPDATE", "prompts"), "database or disk is full");
    jobs::tick(&app.server.state, &tasks, app.now()).await.unwrap_err();
    known_faults::refuse_no_more(&app);
    jobs::tick(&app.server.state, &tasks, app.now()).await.unwrap();
    assert!(channel.sent().iter().any(|push| push.prompt == prompt));
}

#[actix_web::test]
async fn a_late_prompt_that_always_meets_a_deadlock_does_not_keep_what_is_due_now_from_leaving() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    let [ann, ben] = [&ann, &ben].map(|person| person.patient.parse::<Id<Patient>>().unwrap());
    let channel = MemoryChannel::default();
    work(&app, &channel).await;
    let start = app.now();
    plant(&app, ann, start + minutes(1), |_| {}).await;
    let on_time = plant(&app, ben, start + hours(1), |_| {}).await;
    refuse_if(&app, ("UPDATE", "prompts"), ("patient_id", &ann.to_string()), ("TRUE", "deadlock detected"));
    app.wait(hours(1));
    let tasks = app::tasks(&channel);
    jobs::tick(&app.server.state, &tasks, app.now()).await.unwrap_err();
    let sent: Vec<Id<Prompt>> = channel.sent().iter().map(|push| push.prompt).collect();
    assert!(sent.contains(&on_time), "in the same round");
}

#[actix_web::test]
async fn a_prompt_whose_row_cannot_be_read_is_withheld_and_costs_no_other_patient_an_attempt() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    let both = [ann.patient.clone(), ben.patient.clone()];
    let channel = MemoryChannel::default();
    work(&app, &channel).await;
    let mut prompts = Vec::new();
    for patient in &both {
        prompts.push(plant(&app, patient.parse().unwrap(), app.now() + minutes(1), |_| {}).await);
    }
    let mut sql = Sql::open(&app.database.backend);
    let id = sql.id(&prompts[0].to_string());
    sql.run(&format!("UPDATE prompts SET updated_at = {} WHERE id = {id}", year_20000(&app)));
    app.wait(minutes(1));
    work(&app, &channel).await;
    let sent: Vec<Id<Prompt>> = channel.sent().iter().map(|push| push.prompt).collect();
    assert!(sent.contains(&prompts[1]) && !sent.contains(&prompts[0]));
    let withheld = "state = 'waiting' AND attempts = 0";
    assert_eq!(waiting(&app, "deliveries", withheld, "patient_id", [&both[0], &both[1]]), [1, 0]);
}

/// An instant that is none of this server's: the row cannot be read.
fn year_20000(app: &TestApp) -> &'static str {
    match &app.database.backend {
        Backend::Sqlite(_) => "568971820800000000",
        Backend::Postgres(_) => "timestamptz '20000-01-01 00:00:00+00'",
    }
}

#[actix_web::test]
async fn what_can_be_read_of_nobody_is_taken_for_no_fault_of_the_patients_and_leaves_soon_after_it_can_be() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    let channel = MemoryChannel::default();
    work(&app, &channel).await;
    let (mut prompts, due_at) = (Vec::new(), app.now() + minutes(1));
    for patient in [&ann, &ben] {
        prompts.push(plant(&app, patient.patient.parse().unwrap(), due_at, |_| {}).await);
    }
    let mut sql = Sql::open(&app.database.backend);
    let ids = [0, 1].map(|n: usize| sql.id(&prompts[n].to_string())).join(", ");
    sql.run(&format!("UPDATE prompts SET updated_at = {} WHERE id IN ({ids})", year_20000(&app)));
    app.wait(minutes(1));
    assert!(jobs::tick(&app.server.state, &app::tasks(&channel), app.now()).await.is_err());
    sql.run(&format!("UPDATE prompts SET updated_at = due_at WHERE id IN ({ids})"));
    app.wait(SignedDuration::from_secs(31));
    work(&app, &channel).await;
    let sent: Vec<Id<Prompt>> = channel.sent().iter().map(|push| push.prompt).collect();
    assert!(prompts.iter().all(|prompt| sent.contains(prompt)));
}

#[actix_web::test]
async fn a_push_that_cannot_be_noted_as_sent_rings_no_other_patients_phone_twice() {
    for error in ["the write is refused", "deadlock detected"] {
        let app = TestApp::start().await;
        let (theo, ann) = two(&app).await;
        let ben = app.patient(&theo, "Ben Roth").await;
        let channel = MemoryChannel::default();
        work(&app, &channel).await;
        plant(&app, ann.patient.parse().unwrap(), app.now() + minutes(1), |_| {}).await;
        let of_ben = plant(&app, ben.patient.parse().unwrap(), app.now() + minutes(1), |_| {}).await;
        refuse_if(&app, ("UPDATE", "prompts"), ("patient_id", &ann.patient), ("NEW.stage = 2", error));
        app.wait(minutes(1));
        let tasks = app::tasks(&channel);
        for _ in 0..3 {
            // It says whether it may have been an outage.
            let _ended = jobs::tick(&app.server.state, &tasks, app.now()).await;
            // The leases run out meanwhile.
            app.wait(SignedDuration::from_secs(31));
        }
        assert_eq!(channel.sent().iter().filter(|push| push.prompt == of_ben).count(), 1, "{error}");
    }
}

#[actix_web::test]
async fn a_plan_that_can_neither_be_made_nor_put_off_keeps_no_other_patient_from_theirs() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    settled(&app).await;
    Sql::open(&app.database.backend).run("UPDATE patients SET next_plan_at = created_at");
    refuse(&app, ("UPDATE", "patients"), ("id", &ann.patient));
    settled(&app).await;
    let due = waiting(&app, "patients", "next_plan_at = created_at", "id", [&ann.patient, &ben.patient]);
    assert_eq!(due, [1, 0]);
}

#[actix_web::test]
async fn a_patient_whose_plan_always_meets_a_deadlock_is_put_off_and_the_plans_of_others_go_on() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    settled(&app).await;
    let mut sql = Sql::open(&app.database.backend);
    sql.run("UPDATE patients SET next_plan_at = created_at");
    refuse_if(&app, ("UPDATE", "patients"), ("id", &ann.patient), ("TRUE", "deadlock detected"));
    let ben_is_due = format!("UPDATE patients SET next_plan_at = created_at WHERE id = {}", sql.id(&ben.patient));
    // The tasks of a worker, which last for as long as that does.
    let (channel, mut ended) = (MemoryChannel::default(), Vec::new());
    let tasks = app::tasks(&channel);
    for _ in 0..8 {
        sql.run(&ben_is_due);
        app.wait(SignedDuration::from_secs(2));
        ended.push(jobs::tick(&app.server.state, &tasks, app.now()).await.is_ok());
        // A round that met an outage may have ended before it came to Ben. In the next one Ann is put off.
        jobs::tick(&app.server.state, &tasks, app.now()).await.unwrap();
        let due = waiting(&app, "patients", "next_plan_at = created_at", "id", [&ann.patient, &ben.patient]);
        assert_eq!(due, [1, 0], "{ended:?}");
    }
    assert!(!ended[0], "it may be an outage");
    assert!(ended[5..].iter().all(|ended| *ended), "it is no outage: {ended:?}");
}

#[actix_web::test]
async fn a_plan_that_always_meets_a_deadlock_is_soon_no_outage_also_while_no_other_patient_has_work() {
    let app = TestApp::start().await;
    let (_theo, ann) = two(&app).await;
    settled(&app).await;
    Sql::open(&app.database.backend).run("UPDATE patients SET next_plan_at = created_at");
    refuse_if(&app, ("UPDATE", "patients"), ("id", &ann.patient), ("TRUE", "deadlock detected"));
    let (channel, mut ended) = (MemoryChannel::default(), Vec::new());
    let tasks = app::tasks(&channel);
    for _ in 0..12 {
        ended.push(jobs::tick(&app.server.state, &tasks, app.now()).await.is_ok());
        app.wait(SignedDuration::from_millis(500));
    }
    assert!(!ended[0], "it may be an outage");
    assert!(ended[6..].iter().all(|ended| *ended), "it is no outage: {ended:?}");
}

#[actix_web::test]
async fn a_worker_that_is_to_stop_does_not_wait_until_the_work_for_every_patient_has_failed() {
    let app = TestApp::start().await;
    let (asks, stop) = watch::channel(false);
    let (put_off, now, mut tried) = (PutOff::of("a task"), app.now(), 0);
    let run = TaskRun { state: &app.server.state, now, since: now, stop: Some(&stop), put_off: &put_off };
    let round = run.in_portions(|_: Vec<Id<Patient>>| {
        tried += 1;
        asks.send_replace(tried == 3);
        assert!(tried <= 3, "the worker is to stop");
        put_off.leave_out(Id::<Patient>::from_uuid(Uuid::from_u128(tried)), now);
        ready(Ok(0)).boxed()
    });
    assert_eq!(round.await.unwrap().rows, 0);
    assert_eq!(tried, 3);
}

#[actix_web::test]
async fn a_grant_that_cannot_be_written_keeps_those_of_no_other_patient_from_beginning_and_running_out() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    for patient in [&ann, &ben] {
        second(&app);
        let entry = patient.writes(reflection("Lake")).await;
        let until = json!({ "expires_at": (app.now() + hours(1)).to_string() });
        let body = with(grant(&entry, &["text"], &theo), until);
        patient.put_grant(&new_id(&app), body).send().await.created();
    }
    settled(&app).await;
    Sql::open(&app.database.backend).run("UPDATE grants SET tell_at = created_at");
    refuse(&app, ("UPDATE", "grants"), ("patient_id", &ann.patient));
    let both = [ann.patient.as_str(), &ben.patient];
    let log = Log::default();
    let listening = log.listen();
    settled(&app).await;
    drop(listening);
    assert_eq!(waiting(&app, "grants", "tell_at IS NOT NULL", "patient_id", both), [1, 0]);
    let named = |line: &&str| line.contains("begun-grants") && line.contains(&ann.patient);
    assert!(log.text().lines().any(|line| named(&line)), "the log names the task and the patient");
    app.wait(hours(1));
    settled(&app).await;
    assert_eq!(waiting(&app, "grants", "closed_at IS NULL", "patient_id", both), [1, 0]);
}

#[actix_web::test]
async fn a_history_that_cannot_be_followed_keeps_that_of_another_patient_from_no_reader() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    for patient in [&ann, &ben] {
        second(&app);
        history::write(patient).await;
        history::open_all(patient).await;
    }
    let left = || waiting(&app, "feed_backlog", "opened", "patient_id", [&ann.patient, &ben.patient]);
    let [of_ann, of_ben] = left();
    assert!(of_ann > 1 && of_ben > 1, "in parts");
    refuse(&app, ("DELETE", "feed_backlog"), ("patient_id", &ann.patient));
    settled(&app).await;
    assert_eq!(left(), [of_ann, 0]);
}

#[actix_web::test]
async fn an_item_that_cannot_be_purged_keeps_no_other_patients_words() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    let deletes = async |person: &Person, path: String| {
        person.delete(&person.my(&path)).send().await.no_content();
    };
    for patient in [&ann, &ben] {
        second(&app);
        deletes(patient, format!("/entries/{}", patient.writes(reflection("Lake")).await)).await;
        deletes(patient, format!("/exercise-responses/{}", patient.works(exercises::work()).await)).await;
    }
    app.wait(hours(24 * 30 - 1));
    settled(&app).await;
    for table in ["entries", "exercise_responses"] {
        refuse(&app, ("UPDATE", table), ("patient_id", &ann.patient));
    }
    app.wait(hours(1));
    settled(&app).await;
    for table in ["entries", "exercise_responses"] {
        let words = waiting(&app, table, "length(meta) > 0", "patient_id", [&ann.patient, &ben.patient]);
        assert_eq!(words, [1, 0], "{table}");
    }
}

#[actix_web::test]
async fn a_letter_that_cannot_be_written_keeps_no_other_owner_from_theirs() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    settled(&app).await;
    for person in [&ann, &theo] {
        second(&app);
        let (account, now): (Id<Account>, _) = (person.account.parse().unwrap(), app.now());
        let asks = move |tx: &mut Tx<'_>| ask_notice(tx, account, Notice::PasskeyAdded, now);
        app.server.state.db.write(asks).await.unwrap();
    }
    let left = || waiting(&app, "owner_notices", "due_at IS NOT NULL", "account_id", [&ann.account, &theo.account]);
    assert_eq!(left(), [1, 1]);
    refuse(&app, ("UPDATE", "owner_notices"), ("account_id", &ann.account));
    settled(&app).await;
    assert_eq!(left(), [1, 0]);
}

#[actix_web::test]
async fn a_member_of_whom_nobody_can_be_told_keeps_patients_from_hearing_of_no_other() {
    let Clinic { app, admin, .. } = Clinic::open().await;
    let id = clinic_of(&admin).await;
    let nora = app.staff(&admin, "Nora Weiss", &["duty"]).await;
    let olga = app.staff(&admin, "Olga Stein", &["duty"]).await;
    settled(&app).await;
    for nurse in [&nora, &olga] {
        second(&app);
        let change = json!({ "capabilities": ["record"] });
        let path = format!("/v1/clinics/{id}/members/{}", nurse.account);
        admin.patch(&path, change).if_match("*").send().await.ok();
    }
    let left = || waiting(&app, "staff_members", "tell_at IS NOT NULL", "account_id", [&nora.account, &olga.account]);
    assert_eq!(left(), [1, 1]);
    refuse(&app, ("UPDATE", "staff_members"), ("account_id", &nora.account));
    settled(&app).await;
    assert_eq!(left(), [1, 0]);
}

#[actix_web::test]
async fn a_cover_of_which_nobody_can_be_told_keeps_patients_from_hearing_of_no_other() {
    let Clinic { app, admin, therapist: thea, .. } = Clinic::open().await;
    let tom = app.staff(&admin, "Tom Adler", &["care"]).await;
    let id = clinic_of(&admin).await;
    settled(&app).await;
    let mut covers = Vec::new();
    for (away, colleague) in [(&thea, &tom), (&tom, &thea)] {
        second(&app);
        let cover = new_id(&app);
        let body = json!({ "colleague_id": colleague.account, "ends_at": (app.now() + hours(48)).to_string() });
        away.put(&format!("/v1/clinics/{id}/covers/{cover}"), body).send().await.created();
        covers.push(cover);
    }
    let left = || waiting(&app, "covers", "tell_at IS NOT NULL", "id", [&covers[0], &covers[1]]);
    assert_eq!(left(), [1, 1]);
    refuse(&app, ("UPDATE", "covers"), ("id", &covers[0]));
    settled(&app).await;
    assert_eq!(left(), [1, 0]);
}

#[actix_web::test]
async fn a_clinic_whose_choice_cannot_be_followed_keeps_no_other_clinic_from_its_own() {
    let app = TestApp::start().await;
    let (ada, hanna) = (app.admin().await, another_clinic(&app).await);
    let mut clinics = Vec::new();
    for admin in [&ada, &hanna] {
        second(&app);
        admin.code_for_staff(&["care"]).await;
        let clinic = clinic_of(admin).await;
        publishes(admin, &clinic, content("Ours")).await;
        clinics.push(clinic);
    }
    let left = || waiting(&app, "clinic_plans", "follow_at IS NOT NULL", "clinic_id", [&clinics[0], &clinics[1]]);
    assert_eq!(left(), [1, 1]);
    refuse(&app, ("UPDATE", "clinic_plans"), ("clinic_id", &clinics[0]));
    app.wait(minutes(2));
    settled(&app).await;
    assert_eq!(left(), [1, 0]);
}

#[actix_web::test]
async fn a_clinic_whose_keys_do_not_open_holds_up_no_background_work() {
    let app = TestApp::start_on_disk().await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care"]).await;
    let ann = app.patient(&theo, "Ann Lind").await;
    let clinic = clinic_of(&admin).await;
    publishes(&admin, &clinic, content("Ours")).await;
    let patient: Id<Patient> = ann.patient.parse().unwrap();
    let (keyring, subject) = (app.server.state.config.key_dir.join("keyring.sqlite"), clinic.replace('-', ""));
    Sql::open(&Backend::Sqlite(keyring))
        .run(&format!("UPDATE wrapped_keys SET wrapped = x'00' WHERE subject_id = x'{subject}'"));
    drop((admin, theo, ann));
    // The keys are not in the memory of this server.
    let app = app.restart().await;
    let channel = MemoryChannel::default();
    work(&app, &channel).await;
    let prompt = plant(&app, patient, app.now() + minutes(1), |_| {}).await;
    app.wait(minutes(1));
    work(&app, &channel).await;
    assert!(channel.sent().iter().any(|push| push.prompt == prompt));
}
