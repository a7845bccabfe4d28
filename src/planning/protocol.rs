//! The protocol: the rules of prompts, their times and their limits.
//!
//! Protocols are data and append-only: a change is a new version, and old prompts keep theirs. The default one lies
//! beside this file and holds every rule of the clinical brief, also those that the server cannot serve yet
//! ([`Rule::needs`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::Time;
use serde::{Deserialize, Serialize};

use super::calendar::DayPart;
use super::caps::{Caps, CarryOver, Compact, Reminders};
use super::dials::{Dials, HeavyDials};
use super::translations::{self, RuleWords, Translation};
use super::window::{Phase, WindowParams};
use crate::kernel::locale::{TextLanguage, primary};

/// The kind of task of a prompt. The order is that in which places under a cap are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptKind {
    /// A safety check, whose answers are evaluated at once (S).
    Safety,
    /// A questionnaire (M).
    Measure,
    /// A preparation for a session (P).
    Preparation,
    /// A piece of writing (R).
    Reflection,
    /// An integration exercise (X).
    Exercise,
    /// A dial or a habit (H).
    Habit,
    /// A prompt outside the template: it follows from what the patient does or leaves, or is shown on demand (O).
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
    pub const SERVED: [Self; 1] = [Self::Adaptive];

    /// Whether this server has it.
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
    /// An entry.
    Entry,
    /// An entry that nobody else may read.
    UnsharedEntry,
    /// A when-then plan.
    IfThenResponse,
    /// An exercise that has been done.
    Response,
    /// A sentence to bring along from last time.
    Takeaway,
}

impl Prerequisite {
    /// Every prerequisite.
    pub const ALL: [Self; 6] =
        [Self::LiveLink, Self::Entry, Self::UnsharedEntry, Self::IfThenResponse, Self::Response, Self::Takeaway];
}

/// The effort that it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// Little effort, suited to any state.
    Light,
    /// An exercise, or writing for more than five minutes.
    Effortful,
}

/// A span of local time.
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
    /// The local day this many days after the day on which an infusion ended.
    Day(i32),
    /// Elapsed hours after the end of an infusion.
    AfterEnd {
        /// The number.
        hours: i64,
    },
    /// Local days before the next session. The first possible one counts.
    BeforeNextDays(Vec<i32>),
    /// Hours before the start of the next session.
    BeforeStart {
        /// The number.
        hours: i64,
        /// The earliest local time.
        earliest: Time,
        /// The least number of minutes before the start.
        at_least_minutes: i64,
    },
    /// Every seven days since the start of care, on the patient's weekly day, between windows.
    Weekly,
    /// Every 28 days since the start of care.
    Monthly,
    /// A time without activity of the patient, once after an infusion.
    AfterSilence {
        /// Its length in hours, counted from the end of the infusion at the earliest.
        hours: i64,
        /// The phase in which that length must be reached.
        phase: Phase,
    },
    /// The stop of the recurring rule with this key ([`Rule::stops_after`]): once, in the place of its next prompt.
    AfterStop(String),
    /// The local date that the patient wrote in a response to this exercise, or the next date with room, once for each
    /// response.
    DateOf(String),
    /// Not planned: it follows from the latest answers when something comes due.
    Adaptive,
}

/// The expiry of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Expiry {
    /// Elapsed hours after its planned time.
    Hours(i64),
    /// A local time, some days after the day of the prompt.
    Until {
        /// The number.
        days: i32,
        /// The local time.
        time: Time,
    },
}

/// One rule of a protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the file, which are independent of each other")]
pub struct Rule {
    /// Its name, unique in the protocol and part of the prompt's id.
    pub key: String,
    /// The kind of task.
    pub kind: PromptKind,
    /// The anchor of its time.
    pub anchor: Anchor,
    /// The parts of the day it may fall into, tried in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub window: Vec<DayPart>,
    /// The duration in minutes.
    pub minutes: u32,
    /// The expiry of its prompts.
    pub expires: Expiry,
    /// The priority, from 1 (never dropped for a cap) to 5 (a card in the app).
    pub priority: u8,
    /// Whether it is only a card in the app, without a reminder.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Whether the phone may announce it.
    pub push: bool,
    /// The effort that it asks for.
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
    /// The least number of days since the last measure; for measures only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_days_since_last: Option<i64>,
    /// Whether it is only for use at home, without staff.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_home: bool,
    /// The key of the rule in whose place it comes, wherever it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_for: Option<String>,
    /// The dials at which it comes in the place of a prompt that asks for effort, when that comes due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_place_of_effort: Option<HeavyDials>,
    /// Whether it is only asked in a series, where the shortened template names it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_in_series: bool,
    /// The least number of days between two of its prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_days_apart: Option<i64>,
    /// The day after the infusion since which no prompt may have been answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless_answered_since: Option<i32>,
    /// For recurring rules: the number of its prompts that lapse in a row before it stops. Activity of the patient or an
    /// infusion starts it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stops_after: Option<u32>,
    /// The local time from which it may come after a session that ended too late for a check in the evening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_late_session: Option<Time>,
    /// Keys of the exercises it offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exercises: Vec<String>,
    /// The text, with placeholders in braces.
    pub text: String,
    /// More wordings of the text, for the second and third session of a series; then it is the first one's turn again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wordings: Vec<String>,
    /// The text for when there is nothing of what a text quotes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub plain: String,
    /// Why it is asked, and why then: one plain sentence for the patient.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub because: String,
}

impl Rule {
    /// Whether it leaves the server.
    pub fn counts(&self) -> bool {
        self.push && !self.optional
    }

    /// Lists every wording of its text.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.text).chain(&self.wordings).map(String::as_str)
    }

    /// Returns the wording with this number, which comes from [`Rule::wording`].
    pub fn text_of(&self, wording: u32) -> &str {
        let more = usize::try_from(wording).unwrap_or(0).checked_sub(1);
        more.and_then(|n| self.wordings.get(n)).unwrap_or(&self.text)
    }

    /// Returns the number of the wording for the session with this number in its series, both from 0.
    pub fn wording(&self, session: u32) -> u32 {
        session % u32::try_from(self.texts().count()).unwrap_or(1)
    }

    /// Whether it recurs without an infusion, every so many days.
    pub fn recurs(&self) -> bool {
        matches!(self.anchor, Anchor::Weekly | Anchor::Monthly)
    }

    /// Lists the days around an infusion on which it may be asked.
    pub fn days(&self) -> impl Iterator<Item = i32> {
        // Each plan asks for them, for every rule and infusion, so they are not collected in a list.
        let before: &[i32] = if let Anchor::BeforeNextDays(days) = &self.anchor { days } else { &[] };
        let after = match self.anchor {
            Anchor::Day(day) => Some(day),
            Anchor::AfterEnd { hours } => i32::try_from(hours / 24).ok(),
            _ => None,
        };
        before.iter().map(|day| -day).chain(after)
    }

    /// Whether it takes a place under the cap of its date. What prepares for a session on its day does not, and neither
    /// does what the patient asked for on a date, or what comes in the place of another.
    pub fn is_capped(&self) -> bool {
        self.counts() && !matches!(self.anchor, Anchor::BeforeStart { .. } | Anchor::DateOf(_) | Anchor::Adaptive)
    }

    /// Whether all of the exercises that it offers are among `withheld`.
    pub fn is_withheld(&self, withheld: &BTreeSet<String>) -> bool {
        !self.exercises.is_empty() && self.exercises.iter().all(|key| withheld.contains(key))
    }

    /// Whether a therapist may leave it out or move it. Safety checks and rules that are never dropped stay, and so does
    /// what the patient asked for on a date.
    pub fn may_change(&self) -> bool {
        self.kind != PromptKind::Safety && self.priority > 1 && !matches!(self.anchor, Anchor::DateOf(_))
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
    /// The number of days ahead for which prompts are planned.
    pub horizon_days: i32,
    /// The longest delay of a prompt after the start of its window, in minutes.
    pub jitter_minutes: u8,
    /// The least time between two prompts that are not for safety, in minutes.
    pub spacing_minutes: i64,
    /// The parts of the day.
    pub windows: Windows,
    /// The caps on the burden of a day.
    pub caps: Caps,
    /// The numbers of reminders.
    pub reminders: Reminders,
    /// The shortened templates of close series.
    pub series: Vec<Compact>,
    /// The exercises that come once more on the next day; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carry_over: Option<CarryOver>,
    /// Parameters of the window model.
    pub window: WindowParams,
    /// The rules.
    pub rules: Vec<Rule>,
    /// The texts of the rules in other languages, by primary language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub translations: BTreeMap<String, Translation>,
}

static DEFAULT: LazyLock<Protocol> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "embedded at build time; a test parses it")]
    let protocol: Protocol =
        serde_json::from_str(include_str!("protocol.json")).expect("the embedded protocol is well-formed");
    Protocol { translations: translations::shipped(), ..protocol }
});

impl Protocol {
    /// Returns the default protocol, version 1.
    pub fn default_v1() -> &'static Self {
        &DEFAULT
    }

    /// Lists the exercises of the rules that give `what`.
    pub fn exercises_giving(&self, what: Prerequisite) -> impl Iterator<Item = &str> {
        let giving = self.rules.iter().filter(move |rule| rule.gives.contains(&what));
        giving.flat_map(|rule| rule.exercises.iter().map(String::as_str))
    }

    /// Finds the rule that comes in the place of `rule` at `now`, because the newest dials say that its effort is too
    /// much.
    pub fn lighter_than(&self, rule: &Rule, dials: Dials, now: Timestamp) -> Option<&Rule> {
        let heavy = |other: &&Rule| other.in_place_of_effort.is_some_and(|heavy| heavy.are_met(dials, now));
        let served = |other: &Rule| other.needs.iter().copied().all(Capability::is_served);
        self.rules.iter().filter(|_| rule.effort == Effort::Effortful).find(|other| served(other) && heavy(other))
    }

    /// Returns the language of the texts for a BCP 47 tag: that of a translation, or the protocol's own.
    pub fn language_for(&self, reader: &str) -> &str {
        self.translations.get_key_value(primary(reader)).map_or(self.locale.as_str(), |(language, _)| language.as_str())
    }

    /// Returns the texts of `rule` in the language for `reader`. A therapist words a rule in one language, that of the
    /// patient: placeholders and the reason are in it too.
    pub fn words<'p>(&'p self, rule: &'p Rule, reader: &str) -> RuleWords<'p> {
        let translation = self.translations.get_key_value(primary(reader));
        let texts = translation.and_then(|(language, rules)| Some((language.as_str(), rules.get(&rule.key)?)));
        let own = RuleWords {
            language: &self.locale,
            text: &rule.text,
            wordings: &rule.wordings,
            plain: &rule.plain,
            because: &rule.because,
        };
        let language = TextLanguage::of(reader);
        match (self.rule(&rule.key), texts) {
            (Some(known), Some((language, texts))) if known == rule => RuleWords::translated(language, texts),
            (Some(known), None) if known == rule => own,
            (Some(_), texts) => {
                let because = texts.map_or(own.because, |(_, texts)| texts.because.as_str());
                RuleWords { language: language.tag(), because, ..own }
            }
            (None, _) => RuleWords { language: language.tag(), because: translations::added(language), ..own },
        }
    }

    /// Finds the rule with this key.
    pub fn rule(&self, key: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.key == key)
    }
}
