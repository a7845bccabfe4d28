//! Properties for any infusions, any instant and any zone.

use proptest::prelude::*;

use super::*;

fn any_dose() -> impl Strategy<Value = Dose> {
    let status = prop_oneof![Just(DoseStatus::Planned), Just(DoseStatus::InProgress), Just(DoseStatus::Completed)];
    (1..1000_u128, 0..7_usize, -3_000_000..3_000_000_i64, 0..43_200_i64, status).prop_map(
        |(number, route, seconds, length, status)| {
            let ended = after(end(), secs(seconds));
            let start = Some(after(ended, secs(-length)));
            let ended = Some(ended).filter(|_| status == DoseStatus::Completed);
            Dose {
                started_at: start.filter(|_| status != DoseStatus::Planned),
                ended_at: ended,
                planned_start: start,
                status,
                ..dose(number, Route::ALL[route], end())
            }
        },
    )
}

proptest! {
    #[test]
    fn the_index_is_a_share(doses in prop::collection::vec(any_dose(), 0..8), seconds in -4_000_000..6_000_000_i64) {
        let window = seen(&doses, after(end(), secs(seconds)));
        prop_assert!((0.0..=1.0).contains(&window.index));
        prop_assert!((0.0..=1.0).contains(&window.readiness));
        prop_assert!(window.curve.iter().all(|point| (0.0..=1.0).contains(&point.index)));
    }

    #[test]
    fn a_further_dose_never_lowers_the_index(
        doses in prop::collection::vec(any_dose(), 0..6), further in any_dose(), seconds in -4_000_000..6_000_000_i64,
    ) {
        let at = after(end(), secs(seconds));
        let without = seen(&doses, at).index;
        let mut with = doses;
        with.push(further);
        prop_assert!(seen(&with, at).index >= without);
    }

    #[test]
    fn the_order_in_which_doses_are_passed_does_not_matter(
        doses in prop::collection::vec(any_dose(), 0..6), seconds in -4_000_000..6_000_000_i64,
    ) {
        let at = after(end(), secs(seconds));
        let mut turned = doses.clone();
        turned.reverse();
        prop_assert_eq!(seen(&doses, at).phase, seen(&turned, at).phase);
        prop_assert_eq!(seen(&doses, at).index.to_bits(), seen(&turned, at).index.to_bits());
    }

    #[test]
    fn one_dose_passes_its_phases_in_their_order(
        route in 0..7_usize, one in -10_000..2_000_000_i64, two in -10_000..2_000_000_i64,
    ) {
        let doses = [dose(1, Route::ALL[route], end())];
        let (early, late) = (one.min(two), one.max(two));
        prop_assert!(phase(&doses, after(end(), secs(early))) <= phase(&doses, after(end(), secs(late))));
    }

    #[test]
    fn the_phase_is_the_one_whose_boundaries_hold_the_instant(
        doses in prop::collection::vec(any_dose(), 0..6), seconds in -4_000_000..6_000_000_i64,
    ) {
        let at = after(end(), secs(seconds));
        let window = seen(&doses, at);
        let holding: Vec<Phase> = window.phases.iter()
            .filter(|time| time.starts_at <= at && time.ends_at.is_none_or(|ends| at < ends))
            .map(|time| time.phase)
            .collect();
        if window.hours_since.is_some() {
            prop_assert_eq!(holding, vec![window.phase]);
        } else {
            prop_assert!(holding.is_empty() && window.phase <= Phase::InSession);
        }
        prop_assert_eq!(context(&doses, shipped(), at).phase, window.phase);
    }

    #[test]
    fn a_window_is_that_of_each_dose_alone_put_together(
        doses in prop::collection::vec(any_dose(), 0..6), seconds in -4_000_000..6_000_000_i64,
    ) {
        let at = after(end(), secs(seconds));
        let window = seen(&doses, at);
        let whole = context(&doses, shipped(), at);
        prop_assert_eq!((window.phase, window.infusion_id), (whole.phase, whole.infusion_id));
        let alone = |dose: &Dose, at: Timestamp| seen(std::slice::from_ref(dose), at);
        prop_assert_eq!(window.overlay.is_some(), doses.iter().any(|dose| alone(dose, at).overlay.is_some()));
        let ended: Vec<(Timestamp, &Dose)> =
            doses.iter().filter_map(|dose| Some((dose.end().filter(|end| *end <= at)?, dose))).collect();
        let index = |at: Timestamp| ended.iter().map(|(_, dose)| alone(dose, at).index).fold(0.0, f64::max);
        prop_assert_eq!(window.index.to_bits(), index(at).to_bits());
        let last = ended.iter().map(|(end, _)| *end).max();
        prop_assert_eq!(window.curve.is_empty(), last.is_none());
        for (hours, point) in (0..).step_by(6).zip(&window.curve).step_by(14) {
            let then = after(last.unwrap(), SignedDuration::from_hours(hours));
            prop_assert_eq!(point.index.to_bits(), index(then).to_bits(), "{} hours", hours);
        }
    }

    #[test]
    fn the_doses_for_the_contexts_of_a_period_are_enough(
        doses in prop::collection::vec(any_dose(), 0..8), seconds in -4_000_000..6_000_000_i64, length in 0..800_000_i64,
    ) {
        let from = after(end(), secs(seconds));
        let few = doses_for_contexts(&doses, (from, after(from, secs(length))));
        for part in 0..=8 {
            let at = after(from, secs(length * part / 8));
            prop_assert_eq!(context(&few, shipped(), at), context(&doses, shipped(), at));
        }
    }

    #[test]
    fn a_zone_changes_days_and_nothing_else(
        doses in prop::collection::vec(any_dose(), 0..6), seconds in -4_000_000..6_000_000_i64,
        name in prop::sample::select(vec![
            "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu",
            "Australia/Lord_Howe",
        ]),
    ) {
        let window = seen(&doses, after(end(), secs(seconds)));
        let zone = Zone::parse(name).unwrap();
        let here = ClinicalView::of(&window, |at| zone.date(at));
        let there = ClinicalView::of(&window, |at| Zone::utc().date(at));
        prop_assert_eq!(here.phase, there.phase);
        prop_assert_eq!(here.index.to_bits(), there.index.to_bits());
        prop_assert_eq!(&here.curve, &there.curve);
        for (one, other) in here.phases.iter().zip(&there.phases) {
            prop_assert_eq!((one.starts_at, one.ends_at), (other.starts_at, other.ends_at));
        }
        // The day that is told lies among the days of the phase that is told.
        if let Some(day) = here.day {
            let days = here.phases.iter().find(|phase| phase.key == here.phase).unwrap().days;
            prop_assert!(days.from <= day && days.to.is_none_or(|to| day <= to));
        }
    }
}
