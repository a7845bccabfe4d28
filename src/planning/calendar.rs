//! The calendar of a patient: zones, quiet hours, the weekly day, pauses.

use jiff::civil::{self, Date, Time};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::kernel::{Fields, Result, Zone};

/// A zone and the instant it took effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneSince {
    /// The zone.
    pub zone: Zone,
    /// The start of the period.
    pub from: Timestamp,
}

/// Finds the zone in force at `at`. Before the first one took effect, the first counts.
pub fn zone_at(history: &[ZoneSince], at: Timestamp) -> Option<&Zone> {
    let known = history.iter().rev().find(|since| since.from <= at).or_else(|| history.first());
    known.map(|since| &since.zone)
}

/// The hours of local time in which nothing is delivered. They may cross midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// Their first moment.
    pub from: Time,
    /// The first moment after them.
    pub to: Time,
}

impl QuietHours {
    /// Creates quiet hours of at most 14 hours.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::kernel::Error::Invalid) when they are longer, or begin and end at the same time: that
    /// can be meant as none, or as the whole day.
    pub fn parse(from: Time, to: Time) -> Result<Self> {
        let mut length = to.duration_since(from);
        if length.is_negative() {
            length += SignedDuration::from_hours(24);
        }
        let mut fields = Fields::new();
        fields.check(from != to, "/quiet_hours", "must not begin and end at the same time");
        fields.check(length <= SignedDuration::from_hours(14), "/quiet_hours", "must last at most 14 hours");
        fields.done()?;
        Ok(Self { from, to })
    }

    /// Whether it is quiet at `time`.
    pub fn contains(self, time: Time) -> bool {
        if self.from <= self.to { self.from <= time && time < self.to } else { self.from <= time || time < self.to }
    }

    /// Returns `at`, or the end of the quiet hours around it.
    pub fn next_allowed(self, zone: &Zone, at: Timestamp) -> Timestamp {
        let local = zone.local(at);
        if !self.contains(local.time()) {
            return at;
        }
        let crosses = local.time() >= self.to;
        let date = if crosses { local.date().tomorrow().unwrap_or(local.date()) } else { local.date() };
        let end = zone.instant(date, self.to);
        // Where the clocks go back, the first `to` of the day may lie before `at`: then they show it once more.
        if end > at { end } else { at.saturating_add(self.to.duration_since(local.time())).unwrap_or(at).max(at) }
    }
}

impl Default for QuietHours {
    fn default() -> Self {
        Self { from: civil::time(21, 0, 0, 0), to: civil::time(8, 0, 0, 0) }
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    #[default]
    Sunday,
}

impl Weekday {
    /// Finds the first date on this day of the week, at or after `date`.
    pub fn on_or_after(self, date: Date) -> Date {
        let day = match self {
            Self::Monday => civil::Weekday::Monday,
            Self::Tuesday => civil::Weekday::Tuesday,
            Self::Wednesday => civil::Weekday::Wednesday,
            Self::Thursday => civil::Weekday::Thursday,
            Self::Friday => civil::Weekday::Friday,
            Self::Saturday => civil::Weekday::Saturday,
            Self::Sunday => civil::Weekday::Sunday,
        };
        if date.weekday() == day { date } else { date.nth_weekday(1, day).unwrap_or(date) }
    }
}

/// A part of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum DayPart {
    Morning,
    Midday,
    Afternoon,
    Evening,
}

/// A period in which only safety checks are asked: `[from, until)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PausePeriod {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

impl PausePeriod {
    /// Creates a pause of at most 60 days.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::kernel::Error::Invalid) when it ends before it starts, or is longer.
    pub fn parse(from: Timestamp, until: Timestamp) -> Result<Self> {
        let mut fields = Fields::new();
        fields.check(until > from, "/until", "must be later than `from`");
        let longest = SignedDuration::from_hours(60 * 24);
        fields.check(until.duration_since(from) <= longest, "/until", "must be at most 60 days after `from`");
        fields.done()?;
        Ok(Self { from, until })
    }

    /// Whether `at` lies in the pause.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}
