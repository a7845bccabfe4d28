//! Time zones, and the instant of a local time.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::zone_data;

/// A time zone of the IANA database, by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Returns UTC.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Finds the zone of that name.
    ///
    /// # Errors
    ///
    /// A sentence for the person who sent it, when no such zone is known.
    pub fn parse(name: &str) -> Result<Self, String> {
        let known = name.len() <= 64 && !name.is_empty();
        known
            .then(|| zone_data::find(name))
            .flatten()
            .map(Self)
            .ok_or_else(|| "must be a time zone of the IANA database, such as Europe/Berlin".to_owned())
    }

    /// Returns the IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Returns the local time in this zone.
    pub fn local(&self, at: Timestamp) -> DateTime {
        self.0.to_datetime(at)
    }

    /// Returns the date in this zone.
    pub fn date(&self, at: Timestamp) -> Date {
        self.local(at).date()
    }

    /// Returns the next change of the clocks after `at` and the last one before it, as far as they are known.
    pub fn changes_around(&self, at: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
        let next = self.0.following(at).next().map(|change| change.timestamp());
        (next, self.0.preceding(at).next().map(|change| change.timestamp()))
    }

    /// Returns the instant of a local time, cut to the range of a timestamp.
    ///
    /// A time that does not exist (clocks go forward) is the first instant after the gap; one that exists twice
    /// (clocks go back) is the first of the two.
    pub fn instant(&self, date: Date, time: Time) -> Timestamp {
        let local = date.to_datetime(time);
        let at = |offset: jiff::tz::Offset| offset.to_timestamp(local).unwrap_or(Timestamp::MAX);
        match self.0.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => at(offset),
            AmbiguousOffset::Fold { before, .. } => at(before),
            // Read with the later offset the time lies before the change, read with the earlier one after it.
            AmbiguousOffset::Gap { before, after } => {
                self.0.following(at(after)).next().map_or_else(|| at(before), |change| change.timestamp())
            }
        }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}
