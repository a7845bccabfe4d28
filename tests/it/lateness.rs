//! What operators are told of deliveries: that they are late, by how much, and what became of them.

use std::sync::Arc;

use afterglow::delivery::{Deliver, MarkDue, MemoryChannel};
use afterglow::tasks::{PutOff, Task as _, TaskRun};
use afterglow::{app, jobs};
use jiff::SignedDuration;
use serde_json::json;

use crate::channels::outbound::Log;
use crate::delivery::{World, minutes, plant, work};
use crate::pushes::{self, registers};
use crate::put_off::refuse_if;
use crate::support::app::TestApp;
use crate::support::journal::two;

#[actix_web::test]
async fn a_line_of_the_log_says_when_deliveries_are_late_for_a_minute_and_when_that_ends() {
    let world = World::new().await;
    world.work().await;
    let state = &world.app.server.state;
    // The task of a worker, which lasts for as long as that does.
    let (task, put_off) = (Deliver::by(MemoryChannel::default()), PutOff::of("a task"));
    let log = Log::default();
    for (waits, late) in [(60, 0), (61, 1)] {
        world.plant(minutes(1)).await;
        world.app.wait(minutes(1));
        let since = world.app.now();
        let run = TaskRun { state, now: since, since, stop: None, put_off: &put_off };
        MarkDue::by("memory").run(run).await.unwrap();
        world.app.wait(SignedDuration::from_secs(waits));
        let listening = log.listen();
        task.run(TaskRun { now: world.app.now(), ..run }).await.unwrap();
        drop(listening);
        let told = |text: &str| log.text().lines().filter(|line| line.contains(text)).count();
        // It ends with the round that has taken all that waited.
        assert_eq!((told("deliveries are late"), told("in time again")), (late, late), "{waits}: {}", log.text());
    }
    assert!(log.text().contains("seconds=61"), "{}", log.text());
}

/// The value of a metric, which other tests of this process count in too.
async fn counted(app: &Arc<TestApp>, line: &str) -> f64 {
    let text = String::from_utf8(app.get("/metrics").send().await.ok().bytes).unwrap();
    let found = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().unwrap())
}

#[actix_web::test]
async fn lateness_backlog_and_outcomes_by_channel_are_measured() {
    let world = pushes::World::open().await;
    registers(&world.ann, "canary-7f3a", json!({ "acknowledges": false })).await;
    let sent = "afterglow_pushes_total{channel=\"fcm\",outcome=\"sent\"}";
    let late = "afterglow_delivery_lateness_seconds_count";
    let before = (counted(&world.app, sent).await, counted(&world.app, late).await);
    world.plant().await;
    world.waits(minutes(1)).await;
    assert!(counted(&world.app, sent).await >= before.0 + 1.0);
    assert!(counted(&world.app, late).await >= before.1 + 1.0);
    let text = String::from_utf8(world.app.get("/metrics").send().await.ok().bytes).unwrap();
    assert!(text.contains("\nafterglow_delivery_backlog_seconds "), "{text}");
    assert!(!text.contains("canary-7f3a"), "nothing about anybody");
}

#[actix_web::test]
async fn a_push_that_has_left_is_counted_also_when_one_to_another_patient_cannot_be_noted() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    let channel = MemoryChannel::default();
    work(&app, &channel).await;
    for patient in [&ann, &ben] {
        plant(&app, patient.patient.parse().unwrap(), app.now() + minutes(1), |_| {}).await;
    }
    refuse_if(&app, ("UPDATE", "prompts"), ("patient_id", &ann.patient), ("NEW.stage = 2", "deadlock detected"));
    app.wait(minutes(1));
    let sent = "afterglow_deliveries_sent_total";
    let before = counted(&app, sent).await;
    // It may be an outage.
    jobs::tick(&app.server.state, &app::tasks(&channel), app.now()).await.unwrap_err();
    assert!(counted(&app, sent).await >= before + 1.0, "the push to Ben");
}
