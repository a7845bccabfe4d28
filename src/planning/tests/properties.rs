use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::diffs::apply;
use super::*;

const ZONES: [&str; 8] = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Asia/Kathmandu",
];

prop_compose! {
    /// Up to 8 infusions in 80 days around two changes of the clock, in up to three zones.
    fn any_facts()(
        starts in prop::collection::vec((0_i64..80 * 24 * 60, any::<bool>(), any::<bool>()), 0..=8),
        zones in prop::collection::vec((0_usize..8, 0_i64..80 * 24 * 60), 1..=3),
        quiet in (0_i8..24, 0_i64..=14),
        pauses in prop::collection::vec((0_i64..80 * 24, 1_i64..10 * 24), 0..=2),
        active in prop::option::of(0_i64..80 * 24),
        capable in any::<bool>(),
        all in any::<bool>(),
    ) -> Facts {
        let origin = at("2026-09-20T00:00:00Z");
        let mut zones: Vec<_> = zones
            .into_iter()
            .map(|(name, minutes)| ZoneSince { zone: zone(ZONES[name]), from: origin + SignedDuration::from_mins(minutes) })
            .collect();
        zones.sort_by_key(|since| since.from);
        let infusions = starts.into_iter().enumerate().map(|(n, (minutes, ended, announced))| {
            let start = origin + SignedDuration::from_mins(minutes);
            InfusionFact {
                route: Route::IvInfusion,
                supervised: true,
            planned_minutes: 40,
                recorded_at: Timestamp::UNIX_EPOCH,
                reported_as: None,
                id: Id::from_uuid(Uuid::from_u128(n.try_into().unwrap())),
                planned_start: (announced || !ended).then_some(start),
                started_at: ended.then_some(start),
                ended_at: ended.then_some(start + SignedDuration::from_mins(40)),
                provisional: false,
            }
        });
        let from = Time::constant(quiet.0, 0, 0, 0);
        let base = if capable { facts("UTC") } else { thin("UTC") };
        Facts {
            zones,
            infusions: infusions.collect(),
            quiet_hours: QuietHours { from, to: from.wrapping_add(hours(quiet.1)) },
            pauses: pauses
                .into_iter()
                .map(|(from, length)| PausePeriod { from: origin + hours(from), until: origin + hours(from + length) })
                .collect(),
            last_active_at: active.map(|active| origin + hours(active)),
            holds: if all { Prerequisite::ALL.into() } else { BTreeSet::new() },
            ..base
        }
    }
}

fn any_now() -> impl Strategy<Value = Timestamp> {
    (0_i64..90 * 24 * 60).prop_map(|minutes| at("2026-09-20T00:00:00Z") + SignedDuration::from_mins(minutes))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_holds_every_promise(facts in any_facts(), now in any_now()) {
        let protocol = fixture();
        let plan = plan(protocol, &facts, now);
        let mut ids = HashSet::new();
        let mut days: BTreeMap<Date, Vec<&Planned>> = BTreeMap::new();
        let mut previous = None;
        for prompt in &plan.prompts {
            prop_assert!(ids.insert(prompt.id), "twice: {:?}", prompt);
            prop_assert!(prompt.due_at < prompt.expires_at, "{:?}", prompt);
            let quiet = |at: Timestamp| {
                facts.quiet_hours.contains(crate::planning::zone_at(&facts.zones, at).unwrap().local(at).time())
            };
            // A check of day 0 may go until half past ten, or it is a card that says nothing.
            let late = prompt.kind == PromptKind::Safety
                && matches!(prompt.why, Why::AfterEnd | Why::LateSession)
                && (!prompt.push || prompt.local_time <= Time::constant(22, 30, 0, 0) && prompt.day == Some(0));
            prop_assert!(late || !quiet(prompt.due_at), "at night: {:?}", prompt);
            let silent = |at: Timestamp| {
                let mut silences = facts.infusions.iter().filter_map(|one| one.silence(&protocol.window));
                silences.any(|(from, until)| from <= at && at < until) && !prompt.rule_key.starts_with("home.")
            };
            prop_assert!(!silent(prompt.due_at), "in a session: {:?}", prompt);
            if let Some(reminder) = prompt.reminder_at {
                prop_assert!(!silent(reminder) && prompt.minutes > 1, "{:?}", prompt);
                prop_assert!(!quiet(reminder) && prompt.due_at < reminder && reminder < prompt.expires_at);
            }
            if prompt.kind != PromptKind::Safety {
                prop_assert!(facts.pauses.iter().all(|pause| !pause.contains(prompt.due_at)), "paused: {:?}", prompt);
                if let Some(previous) = previous {
                    prop_assert!(prompt.due_at.duration_since(previous) >= hours(3), "crowded: {:?}", prompt);
                }
                previous = Some(prompt.due_at);
            }
            days.entry(prompt.local_date).or_default().push(prompt);
        }
        for dropped in &plan.dropped {
            prop_assert!(!ids.contains(&dropped.id), "planned and dropped: {:?}", dropped);
        }
        // The largest cap of all is 3 prompts; minutes are checked where the cap is known without the planner.
        for (date, prompts) in &days {
            let mut free = 1;
            let counted: Vec<_> = prompts
                .iter()
                .filter(|prompt| prompt.push && prompt.rule_key != "prep.morning")
                .filter(|prompt| {
                    let dial = prompt.kind == PromptKind::Habit && prompt.minutes == 1 && free == 1;
                    free -= i32::from(dial);
                    !dial
                })
                .collect();
            let first_rank = counted.iter().all(|prompt| prompt.priority == 1);
            prop_assert!(counted.len() <= 3 || first_rank, "{}: {:?}", date, counted);
            let reminders = plan.prompts.iter().filter(|prompt| prompt.kind != PromptKind::Safety).filter(|prompt| {
                prompt.reminder_at.is_some_and(|at| crate::planning::zone_at(&facts.zones, at).unwrap().date(at) == *date)
            });
            let all = counted.len() + reminders.count();
            prop_assert!(all <= 3 || first_rank, "{}: {} with reminders", date, all);
            if facts.infusions.is_empty() {
                prop_assert!(counted.len() <= 2);
            }
        }
    }

    #[test]
    fn planning_again_changes_nothing(facts in any_facts(), now in any_now()) {
        let plan = plan(fixture(), &facts, now);
        let mut existing = Vec::new();
        let steps = diff(&existing, &plan, now);
        apply(&mut existing, &steps);
        prop_assert_eq!(diff(&existing, &plan, now), []);
    }

    #[test]
    fn a_change_of_facts_is_applied_once(old in any_facts(), new in any_facts(), now in any_now(), wait in 0_i64..200) {
        let protocol = fixture();
        let mut existing = Vec::new();
        let steps = diff(&existing, &plan(protocol, &old, now), now);
    apply(&mut existing, &steps);
        for prompt in existing.iter_mut().step_by(3) {
            prompt.hold = Hold::Settled;
        }
        let settled: Vec<_> = existing.iter().filter(|prompt| prompt.hold == Hold::Settled).cloned().collect();
        let later = now + hours(wait);
        let next = plan(protocol, &new, later);
        let steps = diff(&existing, &next, later);
        for step in &steps {
            if let Step::Insert(to) | Step::Move { to, .. } | Step::Revive { to, .. } = step {
                prop_assert!(to.due_at > later);
            }
        }
        apply(&mut existing, &steps);
        prop_assert_eq!(diff(&existing, &next, later), []);
        for prompt in settled {
            prop_assert!(existing.contains(&prompt));
        }
        let ids: HashSet<_> = existing.iter().map(|prompt| prompt.id).collect();
        prop_assert_eq!(ids.len(), existing.len());
    }

    #[test]
    fn time_alone_moves_nothing(facts in any_facts(), now in any_now(), wait in 1_i64..72) {
        // Unless the zone changes in between, which makes it another today, or a silence grows long enough.
        let later = now + hours(wait);
        let protocol = fixture();
        let mut existing = Vec::new();
        let first = plan(protocol, &facts, now);
        apply(&mut existing, &diff(&[], &first, now));
        let second = plan(protocol, &facts, later);
        let steps = diff(&existing, &second, later);
        let silences = |plan: &Plan| {
            let asked = plan.prompts.iter().map(|one| (one.id, &one.rule_key));
            let all = asked.chain(plan.dropped.iter().map(|one| (one.id, &one.rule_key)));
            all.filter(|(_, key)| *key == "adapt.quiet").map(|(id, _)| id).collect::<BTreeSet<_>>()
        };
        let same_silence = silences(&first) == silences(&second);
        let same = crate::planning::zone_at(&facts.zones, now) == crate::planning::zone_at(&facts.zones, later);
        if same && same_silence {
            prop_assert!(steps.iter().all(|step| matches!(step, Step::Insert(_))), "{:?}", steps);
        }
    }
}
