//! The content of a protocol that a clinic writes: its rules and limits. The window is the program's, because the phase of
//! what is written is the same for everybody who reads it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caps::{Caps, CarryOver, Compact, Reminders};
use super::protocol::{PromptKind, Protocol, Rule, Windows};
use super::translations::Translation;
use super::window::WindowParams;
use crate::kernel::locale::language;

/// The content of a protocol, as `/schemas/protocol.json` describes it in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PutClinicProtocol)]
#[serde(deny_unknown_fields)]
pub struct ProtocolContent {
    /// Its title.
    #[schema(example = "Ten days, gently")]
    pub title: String,
    /// The language of the texts of its rules, a tag of BCP 47.
    #[schema(example = "en")]
    pub locale: String,
    /// The days ahead for which prompts are planned.
    #[schema(example = 10)]
    pub horizon_days: i32,
    /// The longest delay of a prompt after the start of its part of the day, in minutes.
    #[schema(example = 20)]
    pub jitter_minutes: u8,
    /// The least time between two prompts that are not for safety, in minutes.
    #[schema(example = 180)]
    pub spacing_minutes: i64,
    /// The parts of the day.
    #[schema(value_type = HashMap<String, Value>)]
    pub windows: Windows,
    /// The caps on the burden of a day.
    #[schema(value_type = HashMap<String, Value>)]
    pub caps: Caps,
    /// The numbers of reminders.
    #[schema(value_type = HashMap<String, u32>)]
    pub reminders: Reminders,
    /// The shortened templates of close series.
    #[schema(value_type = Vec<HashMap<String, Value>>)]
    pub series: Vec<Compact>,
    /// The exercises that come once more on the next day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<HashMap<String, Value>>, nullable = false)]
    pub carry_over: Option<CarryOver>,
    /// The rules.
    #[schema(value_type = Vec<HashMap<String, Value>>)]
    pub rules: Vec<Rule>,
    /// The texts of the rules in other languages.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = HashMap<String, Value>)]
    pub translations: BTreeMap<String, Translation>,
}

impl ProtocolContent {
    /// Makes the version of a clinic's protocol that has this content.
    pub fn of_clinic(self, key: String, version: u32) -> Protocol {
        let Self {
            title,
            locale,
            horizon_days,
            jitter_minutes,
            spacing_minutes,
            windows,
            caps,
            reminders,
            series,
            carry_over,
            rules,
            translations,
        } = self;
        let status = "published_by_a_clinic".to_owned();
        // However it was typed: texts are found and filled in by the canonical spelling.
        let locale = language(&locale).unwrap_or(locale);
        Protocol {
            key,
            version,
            status,
            title,
            locale,
            horizon_days,
            jitter_minutes,
            spacing_minutes,
            windows,
            caps,
            reminders,
            series,
            carry_over,
            window: WindowParams::shipped().clone(),
            rules,
            translations,
        }
    }
}

impl Protocol {
    /// Returns its content, as a clinic writes one.
    pub fn content(&self) -> ProtocolContent {
        let Self { title, locale, windows, caps, series, rules, translations, .. } = self.clone();
        let Self { horizon_days, jitter_minutes, spacing_minutes, reminders, carry_over, .. } = *self;
        ProtocolContent {
            title,
            locale,
            horizon_days,
            jitter_minutes,
            spacing_minutes,
            windows,
            caps,
            reminders,
            series,
            carry_over,
            rules,
            translations,
        }
    }

    /// Lists the safety checks of the default protocol that this one lacks, has otherwise, replaces or leaves out of a
    /// series.
    pub fn unsafe_without(&self) -> Vec<&'static str> {
        let default = Self::default_v1();
        // At home, checks of the default stand for each other.
        let of_default = |rule: &&Rule| default.rule(&rule.key) == Some(*rule);
        let others = || self.rules.iter().filter(|rule| !of_default(rule));
        let replaced = |key: &str| others().any(|rule| rule.stands_for.as_deref() == Some(key));
        let in_series = |rule: &Rule| {
            let kept = |keys: &[String]| keys.contains(&rule.key);
            let in_days = default.series.iter().any(|compact| kept(&compact.days));
            let in_preparation = default.series.iter().any(|compact| kept(&compact.preparation));
            // The default keeps no preparation between sessions on two days in a row.
            let prepares = |gap: i64| {
                in_preparation && default.series.iter().all(|one| one.gap_days != gap || kept(&one.preparation))
            };
            let fits = |compact: &Compact| {
                (!in_days || kept(&compact.days)) && (!prepares(compact.gap_days) || kept(&compact.preparation))
            };
            self.series.iter().all(fits)
        };
        let kept = |rule: &Rule| self.rule(&rule.key) == Some(rule) && !replaced(&rule.key) && in_series(rule);
        let safety = default.rules.iter().filter(|rule| rule.kind == PromptKind::Safety);
        safety.filter(|rule| !kept(rule)).map(|rule| rule.key.as_str()).collect()
    }
}
