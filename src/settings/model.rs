//! The settings of a patient, with their therapists' overrides and cautions.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kernel::id::{Clinic, ClinicProtocol, Infusion};
use crate::kernel::{Error, FieldHistory, Id, Result, Zone, limits};
use crate::planning::{Override, QuietHours, Weekday, ZoneSince, zone_at};

/// A reason against some exercises. Therapists set it; it is never named to the patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the clinical brief")]
pub enum CautionFlag {
    PsychosisMania,
    AcuteSi,
    PtsdActive,
    Dissociation,
    EatingBody,
    Dv,
    Pain,
    Grief,
    Substance,
}

impl CautionFlag {
    /// The flags, in the order of the library.
    pub const ALL: [Self; 9] = [
        Self::PsychosisMania,
        Self::AcuteSi,
        Self::PtsdActive,
        Self::Dissociation,
        Self::EatingBody,
        Self::Dv,
        Self::Pain,
        Self::Grief,
        Self::Substance,
    ];

    /// Returns the name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PsychosisMania => "psychosis_mania",
            Self::AcuteSi => "acute_si",
            Self::PtsdActive => "ptsd_active",
            Self::Dissociation => "dissociation",
            Self::EatingBody => "eating_body",
            Self::Dv => "dv",
            Self::Pain => "pain",
            Self::Grief => "grief",
            Self::Substance => "substance",
        }
    }
}

/// The caution flags that one clinic has set for a patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClinicCautions {
    /// The clinic.
    pub clinic: Id<Clinic>,
    /// The number of changes that the clinic has made: the version of its set.
    pub changes: i64,
    /// The flags.
    pub flags: BTreeSet<CautionFlag>,
}

/// The notification settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notifications {
    /// Whether prompts are pushed; they are shown in the app in any case.
    pub enabled: bool,
}

impl Default for Notifications {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// The protocols that therapists have chosen for a patient.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChosenProtocols {
    /// The one for the patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<Id<ClinicProtocol>>,
    /// The one for a course, with an infusion of that course.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<(Id<ClinicProtocol>, Id<Infusion>)>,
    /// A number that grows with every choice.
    #[serde(default)]
    pub version: i64,
}

impl ChosenProtocols {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The sealed settings document of a patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The zones lived in, oldest first; never empty.
    pub zones: Vec<ZoneSince>,
    /// The hours in which nothing is delivered.
    pub quiet_hours: QuietHours,
    /// The day of the weekly prompt.
    pub weekly_day: Weekday,
    /// The ISO 3166 country of the crisis numbers.
    pub country: Option<String>,
    /// The BCP 47 language.
    pub locale: String,
    /// The notification settings.
    pub notifications: Notifications,
    /// Whether linked therapists see on how many days the patient was active.
    #[serde(default)]
    pub share_activity: bool,
    /// The therapists' changes of the protocol for this patient, by rule.
    #[serde(default)]
    pub overrides: Vec<Override>,
    /// The number of times that these changes were replaced.
    #[serde(default)]
    pub overrides_version: i64,
    /// The protocols that therapists have chosen for this patient.
    #[serde(default, skip_serializing_if = "ChosenProtocols::is_empty")]
    pub protocols: ChosenProtocols,
    /// The last changes of the patient's own fields.
    #[serde(default, skip_serializing_if = "FieldHistory::is_empty")]
    pub history: FieldHistory,
}

/// The fields of the patient's own that have one value each.
pub const OWN_FIELDS: [&str; 6] = ["quiet_hours", "weekly_day", "country", "locale", "notifications", "share_activity"];

impl Default for Settings {
    fn default() -> Self {
        Self::new(Zone::utc(), "en", Timestamp::UNIX_EPOCH)
    }
}

impl Settings {
    /// Returns the settings of a new patient who lives in `zone`.
    pub fn new(zone: Zone, locale: impl Into<String>, now: Timestamp) -> Self {
        Self {
            zones: vec![ZoneSince { zone, from: now }],
            quiet_hours: QuietHours::default(),
            weekly_day: Weekday::default(),
            country: None,
            locale: locale.into(),
            notifications: Notifications::default(),
            share_activity: false,
            overrides: Vec::new(),
            overrides_version: 0,
            protocols: ChosenProtocols::default(),
            history: FieldHistory::default(),
        }
    }

    /// Returns the patient's own fields by name, to compare and to keep them.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when they are not representable as JSON.
    pub fn own_fields(&self) -> Result<Map<String, Value>> {
        match serde_json::to_value(self) {
            Ok(Value::Object(mut all)) => {
                all.retain(|name, _| OWN_FIELDS.contains(&name.as_str()));
                Ok(all)
            }
            Ok(_) => Err(Error::internal("settings that are no object")),
            Err(error) => Err(Error::Internal(Box::new(error))),
        }
    }

    /// Returns the zone in force at `at`.
    pub fn zone_at(&self, at: Timestamp) -> Zone {
        zone_at(&self.zones, at).cloned().unwrap_or_else(Zone::utc)
    }

    /// Records that the patient lives in `zone` since `from`, or since now. Returns whether the zone changed.
    ///
    /// # Errors
    ///
    /// [`Error::LimitReached`]; [`Error::Invalid`] when `from` lies before the last change, or more than 5 minutes
    /// ahead.
    pub fn change_zone(&mut self, zone: Zone, from: Option<Timestamp>, now: Timestamp) -> Result<bool> {
        let soon = now.saturating_add(SignedDuration::from_mins(5)).unwrap_or(now);
        if from.is_some_and(|from| from > soon) {
            return Err(Error::field("/effective_at", "must not lie in the future"));
        }
        // The last change may lie a little ahead.
        let from = from.unwrap_or_else(|| self.zones.last().map_or(now, |last| last.from.max(now)));
        match self.zones.last_mut() {
            Some(last) if from < last.from => {
                return Err(Error::field("/effective_at", "must not lie before the last change of zone"));
            }
            Some(last) if last.zone == zone => return Ok(false),
            Some(last) if from == last.from => last.zone = zone,
            _ => {
                limits::ZONE_CHANGES.admit(i64::try_from(self.zones.len()).unwrap_or(i64::MAX))?;
                self.zones.push(ZoneSince { zone, from });
            }
        }
        Ok(true)
    }

    /// Adds to the history that the patient has lived in `zone` since `from`, which may lie before later changes: a
    /// device that was offline tells of a move after another one has told of the next. What is known of that second
    /// stands. Returns whether the history changed.
    ///
    /// # Errors
    ///
    /// [`Error::LimitReached`].
    pub fn add_zone(&mut self, zone: Zone, from: Timestamp) -> Result<bool> {
        let place = self.zones.partition_point(|known| known.from.as_second() < from.as_second());
        let known = self.zones.get(place).is_some_and(|next| next.from.as_second() == from.as_second());
        let before = place.checked_sub(1).and_then(|place| self.zones.get(place));
        if known || before.is_some_and(|before| before.zone == zone) {
            return Ok(false);
        }
        limits::ZONE_CHANGES.admit(i64::try_from(self.zones.len()).unwrap_or(i64::MAX))?;
        self.zones.insert(place, ZoneSince { zone, from });
        Ok(true)
    }
}
