//! The recurring prompts.

use jiff::ToSpan;
use jiff::civil::Date;

use super::activity::period;
use super::builder::{CandidateBuilder, Limits};
use super::calendar::days;
use super::model::DropReason;
use super::sessions::{Sessions, between_windows};
use super::slots::{later_days, windows};
use crate::planning::protocol::{Anchor, Rule};

impl CandidateBuilder<'_, '_> {
    /// Collects recurring prompts, and the message that comes in the place of the next one of a rule that has stopped.
    pub(super) fn recurring(&mut self, sessions: &Sessions<'_>) {
        let protocol = self.protocol;
        let origin = self.calendar.date(self.facts.care_start);
        for rule in &protocol.rules {
            let Some(period) = period(rule) else { continue };
            let last = self.stopped_by(rule);
            let stop = last.map(|past| self.calendar.date(past.due_at));
            let mut stopped = Vec::new();
            // The period before the range may still reach into it: a weekly day lies anywhere in its period.
            let first = days(origin, self.range.first).div_euclid(period).max(0);
            for occurrence in first.. {
                let Ok(whole) = i32::try_from(occurrence * period) else { break };
                let start = origin.saturating_add(whole.days());
                if start > self.range.last {
                    break;
                }
                let weekly = period == 7;
                let date = if weekly { self.facts.weekly_day.on_or_after(start) } else { start };
                let asked = if weekly { between_windows(sessions, protocol, date) } else { occurrence > 0 };
                let Ok(occurrence) = u32::try_from(occurrence) else { break };
                if asked && self.range.holds(date) {
                    let against = stop.filter(|stop| *stop < date).map(|_| DropReason::Stopped);
                    stopped.extend(against.map(|_| date));
                    self.call(rule, None, occurrence, against, Limits::default(), |calendar, jitter| {
                        let mut slots = later_days(protocol, rule, calendar, date, jitter);
                        slots.retain(|slot| weekly && slot.base == date || !weekly && !sessions.are_near(slot.base));
                        slots
                    });
                }
            }
            if let Some((last, stop)) = last.zip(stop) {
                self.awaits_activity = true;
                // A night or another zone may have moved it out of its period.
                let near = days(origin, stop).div_euclid(period);
                let mut numbers = (near - 1..=near + 1).filter_map(|number| u32::try_from(number).ok());
                let number = numbers.find(|number| self.id(rule, None, *number) == last.id);
                self.after_stop(rule, number.unwrap_or_default(), &stopped);
            }
        }
    }

    /// Collects the message about the stop of `of`, on the first of `dates` that has a place for it.
    fn after_stop(&mut self, of: &Rule, occurrence: u32, dates: &[Date]) {
        let protocol = self.protocol;
        for rule in &protocol.rules {
            if matches!(&rule.anchor, Anchor::AfterStop(key) if *key == of.key) && !dates.is_empty() {
                self.call(rule, None, occurrence, None, Limits::default(), |calendar, jitter| {
                    dates.iter().flat_map(|date| windows(protocol, rule, calendar, *date, jitter)).collect()
                });
            }
        }
    }
}
