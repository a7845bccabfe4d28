//! Time zones, and the instant of a local time.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::zone_data;

/// Names of zones that nobody has set, or that are those of the machine.
const UNSET: [&str; 4] = ["Etc/Unknown", "Factory", "localtime", "posixrules"];

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
    /// A sentence for the person who sent it, when no such zone is known, or its name says that nobody has set one.
    pub fn parse(name: &str) -> Result<Self, String> {
        let zone = Self::find(name)?;
        if zone.0.is_unknown() || UNSET.iter().any(|unset| name.eq_ignore_ascii_case(unset)) {
            return Err("must name the time zone of a place, such as Europe/Berlin".to_owned());
        }
        Ok(zone)
    }

    fn find(name: &str) -> Result<Self, String> {
        let known = name.len() <= 64 && !name.is_empty();
        let zone = known.then(|| zone_data::find(name)).flatten().map(Self);
        zone.ok_or_else(|| "must be a time zone of the IANA database, such as Europe/Berlin".to_owned())
    }

    /// Returns the IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Returns the place that the zone is named for, such as `New York`. Zones such as `UTC` and `Etc/GMT+5` have none.
    pub fn place(&self) -> Option<String> {
        let (area, place) = self.name().rsplit_once('/')?;
        (area != "Etc").then(|| place.replace('_', " "))
    }

    /// Returns the offset from UTC in this zone.
    pub fn offset(&self, at: Timestamp) -> Offset {
        self.0.to_offset(at)
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
        let at = |offset: Offset| offset.to_timestamp(local).unwrap_or(Timestamp::MAX);
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

/// Takes any zone that is known: a stored one was checked before it was stored.
impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::find(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_known_in_any_case_and_is_that_of_a_place() {
        for (sent, kept) in [("europe/berlin", "Europe/Berlin"), ("UTC", "UTC"), ("etc/gmt+5", "Etc/GMT+5")] {
            assert_eq!(Zone::parse(sent).unwrap().name(), kept, "{sent}");
        }
        let unset = ["Etc/Unknown", "etc/unknown", "Factory", "FACTORY", "localtime", "posixrules", "", "Mars/Olympus"];
        for unset in unset {
            assert!(Zone::parse(unset).is_err(), "{unset}");
        }
    }

    #[test]
    fn a_zone_is_named_for_a_place_or_for_none() {
        for (name, place) in [
            ("Europe/Berlin", Some("Berlin")),
            ("America/Argentina/Buenos_Aires", Some("Buenos Aires")),
            ("Etc/GMT+5", None),
            ("UTC", None),
            ("EST5EDT", None),
        ] {
            assert_eq!(Zone::parse(name).unwrap().place().as_deref(), place, "{name}");
        }
    }
}
