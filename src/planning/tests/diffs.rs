use super::*;

const NOW: &str = "2026-09-07T08:50:00Z";

fn one() -> Facts {
    Facts { infusions: vec![done(1, "2026-09-07T08:00:00Z")], ..thin("Europe/Berlin") }
}

pub(super) fn stored(to: &Planned, hold: Hold) -> Existing {
    Existing {
        wording: to.wording,
        id: to.id,
        hold,
        due_at: to.due_at,
        expires_at: to.expires_at,
        reminder_at: to.reminder_at,
        zone: to.zone.name().to_owned(),
        protocol: (to.protocol.clone(), to.protocol_version),
        own: to.own.clone(),
        anchor: to.anchor,
        hangs_on: to.hangs_on,
        why: to.why,
    }
}

/// Applies the steps as a store does.
pub(super) fn apply(existing: &mut Vec<Existing>, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Insert(to) => existing.push(stored(to, Hold::Waiting)),
            Step::Move { id, to, .. } | Step::Revive { id, to } => {
                let prompt = existing.iter_mut().find(|prompt| prompt.id == *id).unwrap();
                *prompt = stored(to, Hold::Waiting);
            }
            Step::Delay { .. } => unreachable!("nothing was put off"),
            Step::Cancel { id, .. } => {
                existing.iter_mut().find(|prompt| prompt.id == *id).unwrap().hold = Hold::Withdrawn;
            }
        }
    }
}

#[test]
fn a_second_time_there_is_nothing_left_to_change() {
    let plan = planned(&one(), NOW);
    let mut existing = Vec::new();
    let steps = diff(&existing, &plan, at(NOW));
    assert_eq!(steps.len(), plan.prompts.len());
    apply(&mut existing, &steps);
    assert_eq!(diff(&existing, &plan, at(NOW)), []);
}

#[test]
fn nothing_appears_in_the_past() {
    let late = at("2026-09-10T12:00:00Z");
    let plan = planned(&one(), &late.to_string());
    let steps = diff(&[], &plan, late);
    assert!(!steps.is_empty() && steps.len() < plan.prompts.len());
    assert!(steps.iter().all(|step| matches!(step, Step::Insert(to) if to.due_at > late)));
}

#[test]
fn what_went_out_is_not_touched_and_what_is_withdrawn_comes_back() {
    let plan = planned(&one(), NOW);
    let mut existing = Vec::new();
    let steps = diff(&existing, &plan, at(NOW));
    apply(&mut existing, &steps);
    let settled = existing[3].id;
    existing[3].hold = Hold::Settled;
    // The infusion is cancelled.
    let gone = planned(&Facts { infusions: Vec::new(), ..one() }, NOW);
    let steps = diff(&existing, &gone, at(NOW));
    assert_eq!(steps.len(), existing.len() - 1);
    assert!(
        steps.iter().all(|step| matches!(step, Step::Cancel { id, reason: DropReason::Withdrawn } if *id != settled))
    );
    apply(&mut existing, &steps);
    assert_eq!(diff(&existing, &gone, at(NOW)), []);
    // And recorded again.
    let steps = diff(&existing, &plan, at(NOW));
    assert!(steps.iter().all(|step| matches!(step, Step::Revive { .. })));
    assert_eq!(steps.len(), existing.len() - 1);
    apply(&mut existing, &steps);
    assert_eq!(diff(&existing, &plan, at(NOW)), []);
}

#[test]
fn a_correction_moves_and_a_pause_says_why() {
    let mut existing = Vec::new();
    let steps = diff(&existing, &planned(&one(), NOW), at(NOW));
    apply(&mut existing, &steps);
    let later = Facts { infusions: vec![done(1, "2026-09-07T08:05:00Z")], ..one() };
    let steps = diff(&existing, &planned(&later, NOW), at(NOW));
    let moved = |to: &Planned, reason| to.rule_key == "d0.fragments" && reason == MoveReason::Infusion;
    assert!(matches!(&steps[..], [Step::Move { to, reason, .. }] if moved(to, *reason)), "{steps:?}");
    let pause = PausePeriod { from: at("2026-09-08T00:00:00Z"), until: at("2026-09-09T00:00:00Z") };
    let steps = diff(&existing, &planned(&Facts { pauses: vec![pause], ..one() }, NOW), at(NOW));
    let paused = steps.iter().filter(|step| matches!(step, Step::Cancel { reason: DropReason::Paused, .. }));
    assert_eq!(paused.count(), 3, "{steps:?}");
}

#[test]
fn what_would_move_into_the_past_is_withdrawn() {
    let mut existing = Vec::new();
    let steps = diff(&existing, &planned(&one(), NOW), at(NOW));
    apply(&mut existing, &steps);
    let now = "2026-09-07T10:00:00Z";
    let earlier = Facts { infusions: vec![done(1, "2026-09-07T03:00:00Z")], ..one() };
    let steps = diff(&existing, &planned(&earlier, now), at(now));
    assert!(matches!(&steps[..], [Step::Cancel { reason: DropReason::Past, .. }]), "{steps:?}");
}
