//! The patient's local time across changes of zone.

use jiff::Timestamp;
use jiff::civil::{Date, Time};

use crate::kernel::Zone;
use crate::planning::calendar::{QuietHours, ZoneSince, zone_at};
use crate::planning::facts::Facts;

/// The patient's local time across changes of zone.
pub(super) struct Calendar<'a> {
    zones: &'a [ZoneSince],
    nowhere: Zone,
    quiet: QuietHours,
}

impl<'a> Calendar<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        Self::of(&facts.zones, facts.quiet_hours)
    }

    pub(super) fn of(zones: &'a [ZoneSince], quiet: QuietHours) -> Self {
        Self { zones, nowhere: Zone::utc(), quiet }
    }

    /// Finds the zone in force at `at`.
    pub(super) fn zone(&self, at: Timestamp) -> &Zone {
        zone_at(self.zones, at).unwrap_or(&self.nowhere)
    }

    /// Returns the date on which `at` falls.
    pub(super) fn date(&self, at: Timestamp) -> Date {
        self.zone(at).date(at)
    }

    /// Returns the instant of a local time. A change of zone is treated like a change of the clock: a skipped local
    /// time becomes the instant of the change, a repeated one the first of the two.
    pub(super) fn instant(&self, date: Date, time: Time) -> Timestamp {
        let mut found = None;
        for (n, since) in self.zones.iter().enumerate() {
            let at = since.zone.instant(date, time);
            let at = if n == 0 { at } else { at.max(since.from) };
            found = Some(at);
            if self.zones.get(n + 1).is_none_or(|next| at < next.from) {
                break;
            }
        }
        found.unwrap_or_else(|| self.nowhere.instant(date, time))
    }

    /// Whether it is quiet at `at`.
    pub(super) fn is_quiet(&self, at: Timestamp) -> bool {
        self.quiet.contains(self.zone(at).local(at).time())
    }

    /// Returns `at`, or the first instant after it that is not quiet. A change of zone may end the quiet hours, or lead
    /// from some into others.
    pub(super) fn next_allowed(&self, at: Timestamp) -> Option<Timestamp> {
        let mut at = at;
        for _ in 0..8 {
            if !self.is_quiet(at) {
                return Some(at);
            }
            let over = self.quiet.next_allowed(self.zone(at), at);
            let changes = self.zones.iter().map(|since| since.from);
            at = changes.filter(|from| at < *from && *from < over).min().unwrap_or(over);
        }
        None
    }
}

/// Counts the whole days from one date to another.
pub(super) fn days(from: Date, to: Date) -> i64 {
    to.duration_since(from).as_hours() / 24
}
