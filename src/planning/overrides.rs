//! Changes of the protocol for one patient, by therapists.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::calendar::DayPart;
use super::protocol::{Anchor, Effort, Expiry, PromptKind, Protocol, Rule};
use super::translations;
use crate::kernel::locale::TextLanguage;

/// What the keys of rules begin with that a therapist has added for one patient.
pub const OWN: &str = "own.";
/// The hours after which its prompts expire.
const EXPIRES: i64 = 24;

/// A therapist's change of the protocol for one patient.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Override {
    /// The rule's key.
    pub rule_key: String,
    /// The result.
    pub change: RuleChange,
}

/// The change of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleChange {
    /// The rule is left out.
    LeftOut,
    /// The rule moves to this part of the day.
    MovedTo(DayPart),
    /// The rule is asked at another time, or in other words.
    Edited(RuleEdit),
    /// The rule is there for this patient only.
    Added(AddedRule),
}

/// Whether these changes leave a rule out.
pub(super) fn leave_out(overrides: &[Override], key: &str) -> bool {
    overrides.iter().any(|one| one.rule_key == key && one.change == RuleChange::LeftOut)
}

/// Another time of a rule, or other words.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleEdit {
    /// The part of the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<DayPart>,
    /// The day after an infusion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<i32>,
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A rule that a therapist has added.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AddedRule {
    /// The kind of task.
    pub kind: PromptKind,
    /// The day after each infusion.
    pub day: i32,
    /// The part of the day.
    pub window: DayPart,
    /// The duration in minutes.
    pub minutes: u32,
    /// The text.
    pub text: String,
    /// The exercises that it offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exercises: Vec<String>,
}

impl Override {
    /// Whether its prompts carry the rule themselves, because no protocol has it in these words.
    pub fn is_own(&self) -> bool {
        match &self.change {
            RuleChange::Added(_) => true,
            RuleChange::Edited(edit) => edit.text.is_some(),
            RuleChange::LeftOut | RuleChange::MovedTo(_) => false,
        }
    }
}

impl RuleEdit {
    /// Applies the change to a rule. One that hangs on no day of an infusion keeps its own.
    fn apply(&self, rule: &mut Rule) {
        if let Some(part) = self.window {
            rule.window = vec![part];
        }
        if let (Some(day), Anchor::Day(of)) = (self.day, &mut rule.anchor) {
            *of = day;
        }
        if let Some(text) = &self.text {
            rule.text.clone_from(text);
            rule.wordings.clear();
            rule.plain.clear();
        }
    }
}

impl AddedRule {
    /// Makes the rule. It gives way to what is more important, and keeps every cap.
    fn rule(&self, key: &str) -> Rule {
        let long = self.kind == PromptKind::Reflection && self.minutes > 5;
        let effortful = long || self.kind == PromptKind::Exercise;
        Rule {
            key: key.to_owned(),
            kind: self.kind,
            anchor: Anchor::Day(self.day),
            window: vec![self.window],
            minutes: self.minutes,
            expires: Expiry::Hours(EXPIRES),
            priority: 3,
            optional: false,
            push: true,
            effort: if effortful { Effort::Effortful } else { Effort::Light },
            needs: Vec::new(),
            requires: Vec::new(),
            gives: Vec::new(),
            min_days_since_last: None,
            at_home: false,
            stands_for: None,
            in_place_of_effort: None,
            only_in_series: false,
            min_days_apart: None,
            unless_answered_since: None,
            stops_after: None,
            after_late_session: None,
            exercises: self.exercises.clone(),
            text: self.text.clone(),
            wordings: Vec::new(),
            plain: String::new(),
            because: translations::added(TextLanguage::English).to_owned(),
        }
    }
}

impl Protocol {
    /// Applies the overrides that add, move or reword rules. A rule that is left out stays, so that the plan can tell why
    /// it is not asked.
    #[must_use]
    pub fn with(&self, overrides: &[Override]) -> Self {
        // What a therapist words is there in their words only.
        let mut edited = Self { translations: BTreeMap::new(), ..self.clone() };
        for Override { rule_key, change } in overrides {
            if let RuleChange::Added(added) = change {
                edited.rules.push(added.rule(rule_key));
                continue;
            }
            let rule = edited.rules.iter_mut().find(|rule| rule.key == *rule_key && rule.may_change());
            match (rule, change) {
                (Some(rule), RuleChange::MovedTo(part)) => rule.window = vec![*part],
                (Some(rule), RuleChange::Edited(edit)) => edit.apply(rule),
                _ => {}
            }
        }
        edited
    }
}
