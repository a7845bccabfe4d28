//! The clock on the patient's wall, wherever they lived.

use jiff::Timestamp;
use jiff::civil::{Date, Time};

use crate::kernel::Zone;
use crate::planning::calendar::{QuietHours, ZoneSince, zone_at};
use crate::planning::facts::Facts;

/// The clock on the patient's wall, wherever they lived.
pub(super) struct Calendar<'a> {
    zones: &'a [ZoneSince],
    nowhere: Zone,
    quiet: QuietHours,
}

impl<'a> Calendar<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        Self { zones: &facts.zones, nowhere: Zone::utc(), quiet: facts.quiet_hours }
    }

    /// The zone in force at `at`.
    pub(super) fn zone(&self, at: Timestamp) -> &Zone {
        zone_at(self.zones, at).unwrap_or(&self.nowhere)
    }

    /// The date on which `at` falls.
    pub(super) fn date(&self, at: Timestamp) -> Date {
        self.zone(at).date(at)
    }

    /// The instant of a local time. A change of zone is read as a change of the clock is: a local time that it skips
    /// is its first instant, one that it repeats is the first of the two.
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

    /// `at`, or the first instant after it that is not quiet. A change of zone may end a night, or lead from one into
    /// another.
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

/// Whole days from one date to another.
pub(super) fn days(from: Date, to: Date) -> i64 {
    to.duration_since(from).as_hours() / 24
}
