//! The limits of a protocol: caps on the burden of a day, reminders, what is carried over, and the shortened templates
//! of close series.

use serde::{Deserialize, Serialize};

/// The cap of one date; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayCap {
    /// The first day after an infusion for which it holds.
    pub first: i32,
    /// The last one.
    pub last: i32,
    /// The number of prompts.
    pub prompts: u32,
    /// The number of minutes.
    pub minutes: Option<u32>,
}

/// The cap of the days before a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreparationCap {
    /// The number of days before it.
    pub days_before: i32,
    /// The number of prompts.
    pub prompts: u32,
    /// The number of minutes.
    pub minutes: Option<u32>,
}

/// The cap between windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaterCap {
    /// The number of prompts.
    pub prompts: u32,
    /// The number of minutes.
    pub minutes: Option<u32>,
    /// The period in which they are counted.
    pub per: Period,
}

/// A period in which prompts are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// Seven days.
    Week,
}

/// The caps on the burden of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caps {
    /// The cap before a session.
    pub preparation: PreparationCap,
    /// The caps after an infusion, without gaps from day 0.
    pub days: Vec<DayCap>,
    /// The cap between windows.
    pub later: LaterCap,
    /// The number of dials a day that do not count.
    pub free_dials_per_day: u32,
    /// The longest duration of such a dial in minutes.
    pub free_dial_minutes: u32,
    /// The days after the last infusion of a series on which every dial counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub full_days_after_series: Vec<i32>,
}

/// The number of reminders of one prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reminders {
    /// The number for any prompt.
    pub each: u32,
    /// The number for a safety check.
    pub safety: u32,
}

/// The exercises that come once more on the next day when they lapse: at most one a day, the one of the highest
/// priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarryOver {
    /// Exercises that expire in fewer hours than this are carried over.
    pub expires_within_hours: i64,
    /// The priority on the next day.
    pub priority: u8,
}

/// The reduced template for sessions that are few days apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compact {
    /// Local days from one infusion to the next.
    pub gap_days: i64,
    /// The rules of day 1 and later that are kept.
    pub days: Vec<String>,
    /// The alternatives. They take turns by the number of the session; one that is left out for the patient gives its
    /// turn to the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// The rules of the preparation of the next infusion that are kept.
    pub preparation: Vec<String>,
}

impl Compact {
    /// Whether the rule `key`, of the preparation, is kept.
    pub fn prepares(&self, key: &str) -> bool {
        self.preparation.iter().any(|kept| kept == key)
    }

    /// Whether the rule `key`, of day 1 or later, is kept after the session with this number in its series, from 0, for
    /// a patient for whom the rules that are `out` are left out.
    pub fn keeps(&self, key: &str, session: u32, out: impl Fn(&str) -> bool) -> bool {
        let turn = usize::try_from(session).unwrap_or(0) % self.one_of.len().max(1);
        let chosen = self.one_of.iter().cycle().skip(turn).take(self.one_of.len()).find(|key| !out(key));
        self.days.iter().chain(chosen).any(|kept| kept == key)
    }
}
