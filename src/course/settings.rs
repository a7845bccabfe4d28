//! Where and when a patient lives: zones, quiet hours, weekly day, pauses.

use jiff::civil::{self, Date, Time};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::kernel::{Error, Fields, Result, Zone};

/// A zone and the instant it took effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneSince {
    /// The zone.
    pub zone: Zone,
    /// Since when.
    pub from: Timestamp,
}

/// The zone in force at `at`: the last that took effect until then, before the first one the first.
pub fn zone_at(history: &[ZoneSince], at: Timestamp) -> Option<&Zone> {
    let known = history.iter().rev().find(|since| since.from <= at).or_else(|| history.first());
    known.map(|since| &since.zone)
}

/// The hours in which nothing is delivered, as the clock on the wall shows them. May cross midnight; `from` equal to
/// `to` means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// Their first moment.
    pub from: Time,
    /// The first moment after them.
    pub to: Time,
}

impl QuietHours {
    /// Quiet hours of at most 14 hours.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when they are longer.
    pub fn parse(from: Time, to: Time) -> Result<Self> {
        let mut length = to.duration_since(from);
        if length.is_negative() {
            length += SignedDuration::from_hours(24);
        }
        let mut fields = Fields::new();
        fields.check(length <= SignedDuration::from_hours(14), "/quiet_hours", "must last at most 14 hours");
        fields.done()?;
        Ok(Self { from, to })
    }

    /// Whether it is quiet at `time`.
    pub fn contains(self, time: Time) -> bool {
        if self.from <= self.to { self.from <= time && time < self.to } else { self.from <= time || time < self.to }
    }

    /// `at`, or the end of the quiet hours it lies in.
    pub fn next_allowed(self, zone: &Zone, at: Timestamp) -> Timestamp {
        let local = zone.local(at);
        if !self.contains(local.time()) {
            return at;
        }
        let crosses = local.time() >= self.to;
        let date = if crosses { local.date().tomorrow().unwrap_or(local.date()) } else { local.date() };
        // Within a fold the first `to` of the day may lie before `at`: then the hours are over.
        zone.instant(date, self.to).max(at)
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
    /// The first date on this day of the week, at or after `date`.
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

/// What a therapist has changed in the protocol for one patient.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Override {
    /// Which rule.
    pub rule_key: String,
    /// What became of it.
    pub change: RuleChange,
}

/// What becomes of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleChange {
    /// It is left out.
    LeftOut,
    /// It comes in this part of the day.
    MovedTo(DayPart),
}

/// Something about a patient that speaks against some exercises: set by therapists, never named to the patient.
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
    /// Every flag, in the order of the library.
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

    /// The name on the wire.
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

/// What may be sent.
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

/// The sealed settings document of a patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The zones lived in, oldest first; never empty.
    pub zones: Vec<ZoneSince>,
    /// When nothing is delivered.
    pub quiet_hours: QuietHours,
    /// The day of the weekly prompt.
    pub weekly_day: Weekday,
    /// ISO 3166 country whose crisis numbers are shown.
    pub country: Option<String>,
    /// BCP 47 language.
    pub locale: String,
    /// What may be sent.
    pub notifications: Notifications,
    /// Whether linked therapists see on how many days the patient was active.
    #[serde(default)]
    pub share_activity: bool,
    /// What therapists have changed in the protocol for this patient, by rule.
    #[serde(default)]
    pub overrides: Vec<Override>,
}

impl Settings {
    /// The settings of somebody new who lives in `zone`.
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
        }
    }

    /// The zone in force at `at`.
    pub fn zone_at(&self, at: Timestamp) -> Zone {
        zone_at(&self.zones, at).cloned().unwrap_or_else(Zone::utc)
    }

    /// Notes that the patient lives in `zone` since `from`. Answers whether that is news.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when `from` lies before the last change, or more than 5 minutes ahead.
    pub fn change_zone(&mut self, zone: Zone, from: Timestamp, now: Timestamp) -> Result<bool> {
        if self.zones.last().is_some_and(|last| last.zone == zone) {
            return Ok(false);
        }
        if from > now.saturating_add(SignedDuration::from_mins(5)).unwrap_or(now) {
            return Err(Error::field("/effective_at", "must not lie in the future"));
        }
        match self.zones.last_mut() {
            Some(last) if from < last.from => {
                return Err(Error::field("/effective_at", "must not lie before the last change of zone"));
            }
            Some(last) if from == last.from => last.zone = zone,
            _ => self.zones.push(ZoneSince { zone, from }),
        }
        Ok(true)
    }
}

/// The sealed document of a pause: nothing but safety is asked in `[from, until)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseDoc {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

impl PauseDoc {
    /// A pause of at most 60 days.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when it ends before it starts, or is longer.
    pub fn parse(from: Timestamp, until: Timestamp) -> Result<Self> {
        let mut fields = Fields::new();
        fields.check(until > from, "/until", "must be later than `from`");
        let longest = SignedDuration::from_hours(60 * 24);
        fields.check(until.duration_since(from) <= longest, "/until", "must be at most 60 days after `from`");
        fields.done()?;
        Ok(Self { from, until })
    }

    /// Whether it is on at `at`.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}
