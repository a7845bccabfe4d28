use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::kernel::{Creation, Error, Id};
use crate::planning::window::Route;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const NOW: &str = "2026-03-02T12:00:00Z";

fn completed(start: &str, end: &str) -> InfusionDraft {
    InfusionDraft {
        started_at: Some(at(start)),
        ended_at: Some(at(end)),
        dose_mg: Some(35.0),
        weight_kg: Some(70.0),
        ..InfusionDraft::new(InfusionStatus::Completed, Route::IvInfusion)
    }
}

fn create(draft: InfusionDraft) -> crate::kernel::Result<InfusionFacts> {
    InfusionFacts::create(draft, Id::from_uuid(Uuid::nil()), Source::Clinic, at(NOW))
}

fn change(facts: &InfusionFacts, draft: InfusionDraft) -> crate::kernel::Result<InfusionFacts> {
    facts.change(draft, Id::from_uuid(Uuid::nil()), Source::Clinic, at(NOW))
}

#[track_caller]
fn faults<T: std::fmt::Debug>(answer: crate::kernel::Result<T>) -> Vec<String> {
    match answer {
        Err(Error::Invalid(faults)) => faults.into_iter().map(|fault| fault.pointer).collect(),
        other => panic!("expected faults, got {other:?}"),
    }
}

#[test]
fn a_completed_infusion_needs_its_times() {
    let facts = create(completed("2026-03-02T09:00:00Z", "2026-03-02T09:40:00Z")).unwrap();
    assert!(facts.supervised);
    let bare = InfusionDraft::new(InfusionStatus::Completed, Route::Im);
    assert_eq!(faults(create(bare)), ["/started_at", "/ended_at"]);
    let planned = InfusionDraft::new(InfusionStatus::Planned, Route::Im);
    assert_eq!(faults(create(planned)), ["/planned_start"]);
    let cancelled = InfusionDraft::new(InfusionStatus::Cancelled, Route::Im);
    assert_eq!(faults(create(cancelled)), ["/status"]);
}

#[test]
fn odd_times_are_refused() {
    assert!(create(completed("2026-03-02T11:00:00Z", "2026-03-02T12:05:00Z")).is_ok());
    assert_eq!(faults(create(completed("2026-03-02T11:00:00Z", "2026-03-02T12:05:01Z"))), ["/ended_at"]);
    assert_eq!(faults(create(completed("2026-03-02T11:00:00Z", "2026-03-02T11:00:00Z"))), ["/ended_at"]);
    assert!(create(completed("2026-03-01T11:00:00Z", "2026-03-01T23:00:00Z")).is_ok());
    assert_eq!(faults(create(completed("2026-03-01T11:00:00Z", "2026-03-01T23:00:01Z"))), ["/ended_at"]);
}

#[test]
fn every_fault_is_told_at_once() {
    let draft = InfusionDraft {
        dose_mg: Some(0.0),
        weight_kg: Some(f64::NAN),
        planned_minutes: Some(-1),
        note: Some("a\0b".into()),
        ..completed("2026-03-02T09:00:00Z", "2026-03-02T09:40:00Z")
    };
    assert_eq!(faults(create(draft)), ["/dose_mg", "/weight_kg", "/planned_minutes", "/note"]);
    for (dose, fine) in [(2000.0, true), (2000.1, false), (f64::INFINITY, false), (-1.0, false), (0.1, true)] {
        let draft = InfusionDraft { dose_mg: Some(dose), ..completed("2026-03-02T09:00:00Z", "2026-03-02T09:40:00Z") };
        assert_eq!(create(draft).is_ok(), fine, "{dose}");
    }
}

#[test]
fn an_infusion_only_moves_forward() {
    use InfusionStatus::{Cancelled, Completed, NoShow, Planned};
    let planned = create(InfusionDraft {
        planned_start: Some(at("2026-03-02T09:00:00Z")),
        ..InfusionDraft::new(Planned, Route::Sc)
    })
    .unwrap();
    let done = change(
        &planned,
        InfusionDraft {
            status: Completed,
            started_at: Some(at("2026-03-02T09:00:00Z")),
            ended_at: Some(at("2026-03-02T09:40:00Z")),
            ..planned.draft()
        },
    )
    .unwrap();
    assert_eq!(done.planned_start, planned.planned_start);
    assert_eq!(faults(change(&planned, InfusionDraft { status: Completed, ..planned.draft() })).len(), 2);
    let gone = change(&done, InfusionDraft { status: Cancelled, ..done.draft() }).unwrap();
    for (facts, status, fine) in [
        (&planned, NoShow, true),
        (&done, Completed, true),
        (&done, Planned, false),
        (&done, NoShow, false),
        (&gone, Planned, false),
        // Cancelling it again changes nothing.
        (&gone, Cancelled, true),
        (&gone, NoShow, false),
    ] {
        let answer = change(facts, InfusionDraft { status, ..facts.draft() });
        assert_eq!(answer.is_ok(), fine, "{:?} to {status:?}", facts.status);
    }
    let note = Some("Ill.".to_owned());
    assert!(change(&gone, InfusionDraft { note, ..gone.draft() }).is_err(), "what is called off stays as it is");
    let json = serde_json::to_string(&done).unwrap();
    assert_eq!(serde_json::from_str::<InfusionFacts>(&json).unwrap(), done);
}

#[test]
fn one_administration_is_one_infusion() {
    let [a, b] = [1, 2].map(|n| Id::from_uuid(Uuid::from_u128(n)));
    let one = create(completed("2026-03-01T09:00:00Z", "2026-03-01T10:00:00Z")).unwrap();
    let close = create(completed("2026-03-01T16:00:00Z", "2026-03-01T17:00:00Z")).unwrap();
    let far = create(completed("2026-03-01T16:00:01Z", "2026-03-01T17:00:00Z")).unwrap();
    assert_eq!(clash(b, &close, [(a, &one)]), Some(a));
    assert_eq!(clash(a, &one, [(b, &close)]), Some(b));
    assert_eq!(clash(b, &far, [(a, &one)]), None);
    assert_eq!(clash(a, &close, [(a, &one)]), None, "not with itself");
    let named = InfusionFacts { distinct_from: vec![a], ..close.clone() };
    assert_eq!(clash(b, &named, [(a, &one)]), None);
    assert_eq!(clash(a, &one, [(b, &named)]), None);
    let gone = change(&one, InfusionDraft { status: InfusionStatus::Cancelled, ..one.draft() }).unwrap();
    assert_eq!(clash(b, &close, [(a, &gone)]), None);
}

/// Makes a command with every field, so that a field which loses its name on the wire is noticed.
fn whole() -> InfusionDraft {
    InfusionDraft {
        status: InfusionStatus::Planned,
        route: Route::IvInfusion,
        planned_start: Some(at("2026-03-10T09:00:00Z")),
        planned_minutes: Some(40),
        started_at: Some(at("2026-03-10T09:05:00Z")),
        ended_at: Some(at("2026-03-10T09:45:00Z")),
        dose_mg: Some(35.0),
        weight_kg: Some(70.5),
        setting: Some("Room 2".into()),
        supervised: Some(true),
        note: Some("First.".into()),
        distinct_from: vec![Id::from_uuid(Uuid::nil())],
        same_as: Some(Id::from_uuid(Uuid::nil())),
        course: Some(CourseKind::Induction),
        cancel_reason: Some("Ill.".into()),
    }
}

#[test]
fn a_command_is_written_as_the_body_that_gives_it() {
    let body = json!({
        "status": "planned",
        "route": "iv_infusion",
        "planned_start": "2026-03-10T09:00:00Z",
        "planned_minutes": 40,
        "started_at": "2026-03-10T09:05:00Z",
        "ended_at": "2026-03-10T09:45:00Z",
        "dose_mg": 35,
        "weight_kg": 70.5,
        "setting": "Room 2",
        "supervised": true,
        "note": "First.",
        "distinct_from": [Uuid::nil()],
        "same_as": Uuid::nil(),
        "course": "induction",
        "cancel_reason": "Ill.",
    });
    assert_eq!(Creation::of(&whole()).unwrap(), Creation::of(&body).unwrap(), "also as old phones send it");
}

#[test]
fn times_that_were_only_planned_count_as_long_as_it_is_completed() {
    let planned = create(InfusionDraft {
        planned_start: Some(at("2026-03-02T09:00:00Z")),
        ..InfusionDraft::new(InfusionStatus::Planned, Route::Im)
    });
    let facts = planned.unwrap().provisional();
    let noted = facts.patched(|draft| Ok(InfusionDraft { note: Some("Well.".into()), ..draft })).unwrap();
    assert_eq!((noted.started_at, noted.ended_at), (facts.started_at, facts.ended_at));
    let missed = facts.patched(|draft| Ok(InfusionDraft { status: InfusionStatus::NoShow, ..draft })).unwrap();
    assert_eq!((missed.started_at, missed.ended_at), (None, None), "nobody said them");
}
