//! What the patient wrote for a date comes back on it.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::super::*;
use super::calls::{Call, Found};
use super::{minutes, plus};
use crate::planning::protocol::Anchor;

impl<'a> Found<'_, 'a> {
    /// "Future notes delivered on their date": once for each date that the patient gave one, on the date or, where
    /// there is no room, within a week of it. What comes too late for that week comes within a week of today, and so does
    /// what was to come on its date or later and expired in an outage.
    pub(super) fn comes_back(&mut self, rule: &'a Rule, first: Date, last: Date) {
        let (world, Anchor::DateOf(exercise)) = (self.world, &rule.anchor) else { return };
        let notes = world.facts.dated.iter().filter(|note| note.exercise == *exercise);
        for note in notes {
            // "A pause": it waits for the day on which the patient is back.
            let paused = |date| {
                let noon = world.wall(date, jiff::civil::time(12, 0, 0, 0));
                world.facts.pauses.iter().filter(move |pause| pause.from <= noon && noon < pause.until)
            };
            let after_the_pause = |mut back: Date| {
                while let Some(end) = paused(back).map(|pause| world.date(pause.until)).filter(|end| *end > back).max()
                {
                    back = end;
                }
                back
            };
            let id = |times| world.facts.prompt_key.of_response(world.facts.patient, &rule.key, note.id, times);
            let came = |times| world.facts.settled.iter().find(|past| past.id == id(times));
            let times = (0..100).take_while(|times| came(*times).is_some()).count();
            let occurrence = u32::try_from(times).unwrap();
            let for_its_date = |past: &&PastPrompt| past.date >= note.date;
            let (missed, had): (Vec<_>, Vec<_>) =
                (0..occurrence).filter_map(came).filter(for_its_date).partition(|past| past.missed);
            if !had.is_empty() {
                continue;
            }
            let late = after_the_pause(note.date).saturating_add(7.days()) < world.today;
            let on = if late || !missed.is_empty() { world.today } else { note.date };
            let back = after_the_pause(on);
            let looked_at = |date: Date| first <= date && date <= last;
            if !looked_at(on) && !looked_at(back) {
                continue;
            }
            let id = id(occurrence);
            let first_bits = u64::from_be_bytes(id.uuid().as_bytes()[..8].try_into().unwrap());
            let jitter = first_bits % (u64::from(world.protocol.jitter_minutes) + 1);
            let jitter = minutes(i64::try_from(jitter).unwrap());
            let week = |from: Date| (0..=7).map(move |more| from.saturating_add(more.days()));
            let again = week(back).filter(|_| back > on);
            let mut times: Vec<_> = week(on).chain(again).flat_map(|day| world.parts(rule, day, jitter)).collect();
            // What is left of today.
            let minute = Timestamp::from_second(world.now.as_second() / 60 * 60).unwrap();
            let soon = plus(minute, minutes(1));
            times.retain(|time| time.until >= soon);
            for time in &mut times {
                time.from = time.from.max(soon);
                time.unjittered = time.unjittered.max(soon);
            }
            self.calls.push(Call {
                rule,
                id,
                anchor: None,
                occurrence,
                priority: rule.priority,
                carried_to: None,
                opens: world.parts(rule, note.date, jitter)[0].unjittered,
                times,
                not_after: None,
                starts: None,
                last_date: None,
                though_quiet: false,
                card: false,
                went_out: None,
                orphan: false,
            });
        }
    }
}
