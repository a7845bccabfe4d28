//! The recurring prompts.

use jiff::ToSpan;

use super::builder::{CandidateBuilder, Limits};
use super::calendar::days;
use super::sessions::{Sessions, between_windows};
use super::slots::later_days;
use crate::planning::protocol::Anchor;

impl CandidateBuilder<'_, '_> {
    /// Collects recurring prompts.
    pub(super) fn recurring(&mut self, sessions: &Sessions<'_>) {
        let protocol = self.protocol;
        let origin = self.calendar.date(self.facts.care_start);
        for rule in &protocol.rules {
            let period = match rule.anchor {
                Anchor::Weekly => 7,
                Anchor::Monthly => 28,
                _ => continue,
            };
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
                    self.call(rule, None, occurrence, None, Limits::default(), |calendar, jitter| {
                        let mut slots = later_days(protocol, rule, calendar, date, jitter);
                        slots.retain(|slot| weekly && slot.base == date || !weekly && !sessions.are_near(slot.base));
                        slots
                    });
                }
            }
        }
    }
}
