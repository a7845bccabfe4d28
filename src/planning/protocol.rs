//! The protocol: what may be asked, when, for how long, and within which limits.
//!
//! Protocols are data and append-only: a change is a new version, and old prompts keep theirs. The default one lies
//! beside this file and holds every rule of the clinical brief, also those that the server cannot serve yet
//! ([`Rule::needs`]).

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::civil::Time;
use serde::{Deserialize, Serialize};

use super::calendar::DayPart;
use super::overrides::{Override, RuleChange};
use super::window::WindowParams;

/// The kind of task of a prompt. The order is that in which places under a cap are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Answers that rules look at at once (S).
    Safety,
    /// A questionnaire (M).
    Measure,
    /// Something to do before a session (P).
    Preparation,
    /// Something to write (R).
    Reflection,
    /// An integration exercise (X).
    Exercise,
    /// A dial or a habit (H).
    Habit,
    /// Never planned, shown when something calls for it (O).
    OnDemand,
}

/// A capability of the server that a rule needs before it may be planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Safety checks, with the rules and the crisis card that answer them.
    Checks,
    /// Questionnaires and their scores.
    Measures,
    /// Uploaded files.
    Attachments,
    /// Prompts that follow from the latest answers.
    Adaptive,
}

impl Capability {
    /// The capabilities of this server.
    pub const SERVED: [Self; 0] = [];

    /// Whether this server can do it.
    pub fn is_served(self) -> bool {
        Self::SERVED.contains(&self)
    }
}

/// A prerequisite of a rule: a fact that must hold for the patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prerequisite {
    /// A therapist who may read what is shared.
    LiveLink,
    /// Something has been written.
    Entry,
    /// Something has been written that nobody else may read.
    UnsharedEntry,
    /// A when-then plan.
    IfThenResponse,
    /// Any exercise has been done.
    Response,
    /// A sentence to bring along from last time.
    Takeaway,
}

impl Prerequisite {
    /// Every prerequisite.
    pub const ALL: [Self; 6] =
        [Self::LiveLink, Self::Entry, Self::UnsharedEntry, Self::IfThenResponse, Self::Response, Self::Takeaway];
}

/// How much it asks of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// Fits any state.
    Light,
    /// An exercise, or writing for more than five minutes.
    Effortful,
}

/// From when to when, as the clock on the wall shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Its start.
    pub from: Time,
    /// The last moment in which a prompt may be placed.
    pub to: Time,
}

/// The parts of the day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Windows {
    pub morning: Span,
    pub midday: Span,
    pub afternoon: Span,
    pub evening: Span,
}

impl Windows {
    /// Returns the span of that part of the day.
    pub fn span(&self, part: DayPart) -> Span {
        match part {
            DayPart::Morning => self.morning,
            DayPart::Midday => self.midday,
            DayPart::Afternoon => self.afternoon,
            DayPart::Evening => self.evening,
        }
    }
}

/// The anchor of a prompt's time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Anchor {
    /// The local day so many days after the one on which an infusion ended.
    Day(i32),
    /// Elapsed hours after the end of an infusion.
    AfterEnd {
        /// How many.
        hours: i64,
    },
    /// Local days before the next session; the first that is possible.
    BeforeNextDays(Vec<i32>),
    /// Hours before the start of the next session.
    BeforeStart {
        /// How many.
        hours: i64,
        /// Not before this local time.
        earliest: Time,
        /// Not later than so many minutes before the start.
        at_least_minutes: i64,
    },
    /// Every seven days since the start of care, on the patient's weekly day, between windows.
    Weekly,
    /// Every 28 days since the start of care.
    Monthly,
    /// Not planned.
    Adaptive,
}

/// The expiry of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Expiry {
    /// Elapsed hours after its planned time.
    Hours(i64),
    /// A local time, so many days after the day it belongs to.
    Until {
        /// How many.
        days: i32,
        /// The local time.
        time: Time,
    },
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, unique in the protocol and part of the prompt's id.
    pub key: String,
    /// The kind of task.
    pub kind: Kind,
    /// The anchor of its time.
    pub anchor: Anchor,
    /// The parts of the day it may fall into, tried in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub window: Vec<DayPart>,
    /// The duration in minutes.
    pub minutes: u32,
    /// The instant at which it expires.
    pub expires: Expiry,
    /// 1 (never dropped for a cap) to 5 (a card in the app).
    pub priority: u8,
    /// A card in the app that nobody is reminded of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Whether the phone may say that it is there.
    pub push: bool,
    /// How much it asks of somebody.
    pub effort: Effort,
    /// The capabilities that the server needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Capability>,
    /// The prerequisites of the rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Prerequisite>,
    /// The prerequisites that hold once it, or one of its exercises, is answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gives: Vec<Prerequisite>,
    /// For measures: not sooner after the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_days_since_last: Option<i64>,
    /// For use at home alone: nobody trained is there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_home: bool,
    /// After a session that ended too late for a check in the evening: no later than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_late_session: Option<Time>,
    /// Keys of the exercises it offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exercises: Vec<String>,
    /// The words, with placeholders in braces.
    pub text: String,
}

impl Rule {
    /// Whether it takes a place under the cap of its date (a dial may still be free).
    pub fn counts(&self) -> bool {
        self.push && !self.optional
    }

    /// Whether all of the exercises that it offers are among `withheld`.
    pub fn is_withheld(&self, withheld: &BTreeSet<String>) -> bool {
        !self.exercises.is_empty() && self.exercises.iter().all(|key| withheld.contains(key))
    }

    /// Whether a therapist may leave it out or move it: not what is for safety, nor what is never dropped.
    pub fn may_change(&self) -> bool {
        self.kind != Kind::Safety && self.priority > 1
    }
}

/// How much may be asked on one date; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayCap {
    /// The first day after an infusion it holds for.
    pub first: i32,
    /// The last one.
    pub last: i32,
    /// How many prompts.
    pub prompts: u32,
    /// How many minutes.
    pub minutes: Option<u32>,
}

/// How much may be asked on the days before a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreparationCap {
    /// How many days before it.
    pub days_before: i32,
    /// How many prompts.
    pub prompts: u32,
    /// How many minutes.
    pub minutes: Option<u32>,
}

/// How much may be asked between windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaterCap {
    /// How many prompts.
    pub prompts: u32,
    /// How many minutes.
    pub minutes: Option<u32>,
    /// In which time.
    pub per: Period,
}

/// A time in which things are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// Seven days.
    Week,
}

/// The burden a day may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caps {
    /// Before a session.
    pub preparation: PreparationCap,
    /// After an infusion, without gaps from day 0.
    pub days: Vec<DayCap>,
    /// Later.
    pub later: LaterCap,
    /// How many dials a day are not counted.
    pub free_dials_per_day: u32,
    /// How long such a dial takes at most.
    pub free_dial_minutes: u32,
}

/// How often somebody is reminded of one prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reminders {
    /// Of any prompt.
    pub each: u32,
    /// Of a safety check.
    pub safety: u32,
}

/// The reduced template for sessions that are few days apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compact {
    /// Local days from one infusion to the next.
    pub gap_days: i64,
    /// The rules kept of day 1 and later.
    pub days: Vec<String>,
    /// Of these the first that is not left out for the patient.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// The rules kept of the preparation of the next.
    pub preparation: Vec<String>,
}

impl Compact {
    /// Whether `rule`, of day 1 or later, is kept for a patient for whom therapists have changed these.
    pub fn keeps(&self, rule: &Rule, overrides: &[Override]) -> bool {
        let out = |key: &str| overrides.iter().any(|one| one.rule_key == key && one.change == RuleChange::LeftOut);
        self.days.contains(&rule.key) || self.one_of.iter().find(|key| !out(key)) == Some(&rule.key)
    }
}

/// A protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Its name.
    pub key: String,
    /// Its version; versions are never changed.
    pub version: u32,
    /// The state of its approval.
    pub status: String,
    /// Its title.
    pub title: String,
    /// The language of its texts.
    pub locale: String,
    /// How many days ahead prompts are planned.
    pub horizon_days: i32,
    /// Prompts start at most so many minutes after their window does.
    pub jitter_minutes: u8,
    /// Time between two prompts that are not for safety.
    pub spacing_minutes: i64,
    /// The parts of the day.
    pub windows: Windows,
    /// The burden a day may have.
    pub caps: Caps,
    /// How often somebody is reminded.
    pub reminders: Reminders,
    /// Templates of close series.
    pub series: Vec<Compact>,
    /// Parameters of the window model.
    pub window: WindowParams,
    /// The rules.
    pub rules: Vec<Rule>,
}

static DEFAULT: LazyLock<Protocol> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "embedded at build time; a test parses it")]
    serde_json::from_str(include_str!("protocol.json")).expect("the embedded protocol is well-formed")
});

impl Protocol {
    /// The default protocol, version 1.
    pub fn default_v1() -> &'static Self {
        &DEFAULT
    }

    /// The protocol as therapists have changed it for one patient: rules in other parts of the day. What is left out stays
    /// a rule, so that the plan can say why it is not asked.
    #[must_use]
    pub fn with(&self, overrides: &[Override]) -> Self {
        let mut edited = self.clone();
        for Override { rule_key, change } in overrides {
            let rule = edited.rules.iter_mut().find(|rule| rule.key == *rule_key && rule.may_change());
            if let (Some(rule), RuleChange::MovedTo(part)) = (rule, change) {
                rule.window = vec![*part];
            }
        }
        edited
    }

    /// The exercises of the rules that give `what`.
    pub fn exercises_giving(&self, what: Prerequisite) -> impl Iterator<Item = &str> {
        let giving = self.rules.iter().filter(move |rule| rule.gives.contains(&what));
        giving.flat_map(|rule| rule.exercises.iter().map(String::as_str))
    }

    /// The rule of that name.
    pub fn rule(&self, key: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.key == key)
    }
}
