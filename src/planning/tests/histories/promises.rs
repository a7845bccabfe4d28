//! The promises that stored prompts keep after every step of a history.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::super::*;
use super::{Row, World};

pub(super) fn keeps_its_promises(world: &mut World, before: &[Row]) -> Result<(), TestCaseError> {
    let again = world.steps();
    prop_assert!(again.is_empty(), "a second plan changes something: {:?}", again);
    let ids: HashSet<_> = world.rows.iter().map(|row| row.existing.id).collect();
    prop_assert_eq!(ids.len(), world.rows.len(), "an id appears twice");
    for old in before {
        let row = world.rows.iter().find(|row| row.existing.id == old.existing.id).unwrap();
        match old.existing.hold {
            Hold::Settled => prop_assert_eq!(row, old, "what was answered, skipped or taken back has changed"),
            Hold::Out => prop_assert_eq!(row.existing.due_at, old.existing.due_at, "what went out has moved"),
            Hold::Waiting | Hold::Withdrawn => {}
        }
    }
    follows_from_silence(world)?;
    loses_no_note(world)?;
    let mut pushes: BTreeMap<Date, Vec<&Row>> = BTreeMap::new();
    let waits = |row: &&Row| row.existing.hold == Hold::Waiting && !row.is_missed(world.now);
    for row in world.rows.iter().filter(waits) {
        let Planned { due_at, kind, local_time, push, .. } = row.planned;
        prop_assert!(due_at > world.now && due_at < row.planned.expires_at, "{:?}", row);
        let quiet = world.facts.quiet_hours.contains(local_time);
        let awake = kind == PromptKind::Safety && (!push || local_time <= Time::constant(22, 30, 0, 0));
        prop_assert!(!quiet || awake, "at night: {:?}", row);
        let open = world.facts.condition.suspended.iter();
        let paused = world.facts.pauses.iter().chain(open).any(|pause| pause.contains(due_at));
        prop_assert!(!paused || kind == PromptKind::Safety, "paused: {:?}", row);
        pushes.entry(row.planned.local_date).or_default().push(row);
    }
    for (date, rows) in pushes {
        let dial = |row: &&&Row| row.planned.push && row.planned.kind == PromptKind::Habit && row.planned.minutes == 1;
        let outside = ["prep.morning", "note.returned"];
        let counted = rows.iter().filter(|row| row.planned.push && !outside.contains(&&*row.planned.rule_key)).count();
        let free = rows.iter().filter(dial).count().min(1);
        let first = rows.iter().filter(|row| row.planned.push).all(|row| row.planned.priority == 1);
        prop_assert!(counted - free <= 3 || first, "{}: {} pushes", date, counted);
    }
    Ok(())
}

/// Each note came back on its date or later, or is to.
fn loses_no_note(world: &World) -> Result<(), TestCaseError> {
    let facts = &world.facts;
    if !facts.pauses.is_empty() || facts.condition.suspended.is_some() {
        return Ok(());
    }
    let date = |at| zone_at(&facts.zones, at).unwrap().date(at);
    // The last of the days on which it may come is planned.
    let known = date(world.now).saturating_add(jiff::Span::new().days(6));
    for note in facts.dated.iter().filter(|note| note.date <= known) {
        let ids: Vec<_> = (0..100)
            .map(|times| facts.prompt_key.of_response(facts.patient, "note.returned", note.id, times))
            .collect();
        let of_it = |row: &&Row| ids.contains(&row.existing.id);
        let kept = world.rows.iter().filter(of_it).any(|row| match row.existing.hold {
            Hold::Waiting => row.existing.due_at > world.now,
            Hold::Out | Hold::Settled => row.planned.zone.date(row.existing.due_at) >= note.date,
            Hold::Withdrawn => false,
        });
        prop_assert!(kept, "{} has lost {:?}", world.now, note);
    }
    Ok(())
}

/// What follows from silence waits only while there is one. Without it activity changes nothing.
fn follows_from_silence(world: &World) -> Result<(), TestCaseError> {
    let facts = &world.facts;
    let active = facts.last_active_at.unwrap();
    let begins = facts.infusions.iter().filter_map(|one| one.ended_at).fold(active, Timestamp::max);
    let of = |key: &'static str| facts.settled.iter().filter(move |past| past.rule_key == key);
    let lapsed = of("mnt.weekly").filter(|past| past.lapsed && past.due_at > begins).count();
    let mut stops = 0;
    for row in world.rows.iter().filter(|row| row.existing.hold == Hold::Waiting && !row.is_missed(world.now)) {
        let Planned { due_at, .. } = row.planned;
        match row.planned.rule_key.as_str() {
            "adapt.quiet" => prop_assert!(due_at >= active + hours(48), "{} after {active}", due_at),
            "mnt.weekly" => prop_assert!(lapsed < 4, "{} lapsed, and then {}", lapsed, due_at),
            "mnt.rest" => {
                stops += 1;
                prop_assert!(lapsed >= 4 && of("mnt.rest").all(|past| past.due_at < begins), "{}", lapsed);
            }
            _ => {}
        }
    }
    prop_assert!(stops <= 1, "{} messages about one stop", stops);
    let now = plan(fixture(), facts, world.now);
    if !now.awaits_activity {
        let active = Facts { last_active_at: Some(world.now), ..facts.clone() };
        let ahead = |plan: Plan| plan.prompts.into_iter().filter(|one| one.due_at > world.now).collect::<Vec<_>>();
        prop_assert_eq!(ahead(now), ahead(plan(fixture(), &active, world.now)), "activity changes it");
    }
    Ok(())
}
