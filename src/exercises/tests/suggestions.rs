//! Offers and suggestions.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::date;
use uuid::Uuid;

use crate::exercises::catalogue::{self, Availability, Exercise, Guidance};
use crate::exercises::fit::{Fit, Reason, Situation, offer};
use crate::planning::window::Phase;
use crate::settings::CautionFlag;

fn exercise(key: &str) -> &'static Exercise {
    catalogue::find(key, None).unwrap()
}

/// Returns the situation of a new patient in `phase`.
fn somebody(phase: Phase) -> Situation {
    Situation {
        phase,
        today: date(2026, 3, 10),
        minutes: None,
        flags: BTreeSet::new(),
        done: BTreeMap::new(),
        prompted: BTreeMap::new(),
        assigned: BTreeMap::new(),
    }
}

fn keys(situation: &Situation, most: usize) -> Vec<&'static str> {
    situation.suggest(most).into_iter().map(|(one, _)| one.exercise.key.as_str()).collect()
}

#[test]
fn phase_fit_is_advice() {
    let letter = exercise("kind-letter");
    assert_eq!(Fit::of(letter, Phase::Settling), Fit::Early);
    assert_eq!(Fit::of(letter, Phase::Peak), Fit::Good);
    assert_eq!(Fit::of(letter, Phase::Maintenance), Fit::Late);
    for phase in Phase::ALL.into_iter().filter(|phase| !matches!(phase, Phase::Acute | Phase::InSession)) {
        assert_eq!(offer(letter, &BTreeSet::new(), false, phase), Availability::Yes, "{phase}: fit withholds nothing");
    }
}

#[test]
fn somebody_who_is_landing_is_offered_what_holds_them_and_nothing_else() {
    for phase in [Phase::Acute, Phase::InSession] {
        let offered = somebody(phase).library().into_iter().filter(|one| one.offer == Availability::Yes);
        let offered: Vec<_> = offered.map(|one| one.exercise.key.as_str()).collect();
        assert_eq!(offered, ["grounding-54321", "box-breath", "urge-surf"], "{phase}");
    }
    let assigned = offer(exercise("imagery-rescript"), &BTreeSet::new(), true, Phase::Acute);
    assert_eq!(assigned, Availability::NotNow, "no assignment opens it while landing");
}

#[test]
fn what_is_for_a_therapist_is_opened_by_an_assignment() {
    let nobody = BTreeSet::new();
    let therapist = exercise("imagery-rescript");
    assert_eq!(therapist.guidance, Guidance::TherapistOnly);
    assert_eq!(offer(therapist, &nobody, false, Phase::Peak), Availability::WithTherapist);
    assert_eq!(offer(therapist, &nobody, true, Phase::Peak), Availability::Yes);
    assert_eq!(offer(exercise("parts-letter"), &nobody, false, Phase::Closing), Availability::Yes, "guided is advice");
}

#[test]
fn each_caution_withholds_what_the_library_says() {
    for exercise in catalogue::newest() {
        for caution in &exercise.cautions {
            let flags = BTreeSet::from([caution.flag]);
            let alone = offer(exercise, &flags, false, Phase::Consolidate);
            let own = offer(exercise, &BTreeSet::new(), false, Phase::Consolidate);
            assert_eq!(alone, caution.offer.max(own), "{}: {:?}", exercise.key, caution.flag);
            let assigned = offer(exercise, &flags, true, Phase::Consolidate);
            let wanted = if caution.offer == Availability::NotNow { Availability::NotNow } else { Availability::Yes };
            assert_eq!(
                assigned, wanted,
                "{}: {:?}: what is not for now no assignment opens",
                exercise.key, caution.flag
            );
        }
    }
    let others = BTreeSet::from([CautionFlag::EatingBody]);
    assert_eq!(
        offer(exercise("kind-letter"), &others, false, Phase::Peak),
        Availability::Yes,
        "a flag it does not name"
    );
}

#[test]
fn what_is_suggested_fits_the_days_and_the_minutes() {
    let mut situation = somebody(Phase::Peak);
    situation.minutes = Some(8);
    for (one, reasons) in situation.suggest(22) {
        assert!(one.exercise.minutes <= 8 && one.fit == Fit::Good, "{}", one.exercise.key);
        assert_eq!(reasons, [Reason::Phase, Reason::Minutes, Reason::NotDoneYet]);
    }
    assert_eq!(situation.suggest(3).len(), 3);
    situation.minutes = Some(1);
    assert!(situation.suggest(22).is_empty(), "nothing takes a minute, and that is fine");
}

#[test]
fn what_was_asked_for_comes_first_and_what_was_done_last_comes_last() {
    let mut situation = somebody(Phase::Peak);
    situation.prompted.insert("leaves-defusion".to_owned(), Uuid::from_u128(1));
    situation.assigned.insert("if-then-habit".to_owned(), (Uuid::from_u128(2), None));
    situation.assigned.insert("kind-letter".to_owned(), (Uuid::from_u128(3), Some(date(2026, 3, 12))));
    assert_eq!(keys(&situation, 3), ["kind-letter", "if-then-habit", "leaves-defusion"], "the sooner due the earlier");
    let mut situation = somebody(Phase::Peak);
    for one in situation.library() {
        situation.done.insert(one.exercise.key.clone(), date(2026, 3, 8));
    }
    situation.done.insert("box-breath".to_owned(), date(2026, 3, 1));
    situation.done.remove("safe-place");
    situation.done.insert("thought-record".to_owned(), date(2026, 3, 10));
    let all = keys(&situation, 22);
    assert_eq!(all[..2], ["safe-place", "box-breath"], "new, then longest ago");
    assert!(!all.contains(&"thought-record"), "not twice on one day");
    let reasons = situation.suggest(2).remove(1).1;
    assert_eq!(reasons, [Reason::Phase, Reason::DoneBefore(9)]);
}

#[test]
fn an_assignment_is_suggested_whatever_the_days_and_never_against_a_caution() {
    let mut situation = somebody(Phase::Settling);
    situation.assigned.insert("repair-letter".to_owned(), (Uuid::from_u128(1), None));
    assert_eq!(keys(&situation, 1), ["repair-letter"], "early, and a therapist asked for it");
    situation.assigned.insert("kind-letter".to_owned(), (Uuid::from_u128(2), None));
    situation.flags.insert(CautionFlag::AcuteSi);
    assert!(!keys(&situation, 22).contains(&"kind-letter"));
}

#[test]
fn without_an_infusion_it_is_as_between_windows() {
    let first = keys(&somebody(Phase::None), 22);
    assert_eq!(first, keys(&somebody(Phase::Maintenance), 22));
    assert!(first.contains(&"early-signs"));
}
