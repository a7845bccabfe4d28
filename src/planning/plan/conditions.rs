//! The conditions on which a rule asks at all: capabilities, prerequisites, changes by therapists, and what the patient
//! has answered.

use jiff::ToSpan;
use jiff::civil::Time;

use super::calendar::Calendar;
use super::model::DropReason;
use super::sessions::Session;
use crate::planning::facts::Facts;
use crate::planning::overrides::RuleChange;
use crate::planning::protocol::{Protocol, Rule};

/// The conditions of a protocol's rules for one patient.
#[derive(Clone, Copy)]
pub(super) struct Conditions<'a> {
    pub(super) protocol: &'a Protocol,
    pub(super) facts: &'a Facts,
    pub(super) calendar: &'a Calendar<'a>,
}

impl Conditions<'_> {
    /// Returns the reason why `rule` is not asked after any infusion.
    pub(super) fn refusal(&self, rule: &Rule) -> Option<DropReason> {
        if !rule.needs.iter().all(|need| self.facts.capabilities.contains(need)) {
            return Some(DropReason::Capability);
        }
        let left_out =
            self.facts.overrides.iter().any(|one| one.rule_key == rule.key && one.change == RuleChange::LeftOut);
        if left_out && rule.may_change() {
            return Some(DropReason::LeftOut);
        }
        rule.is_withheld(&self.facts.withheld).then_some(DropReason::Withheld)
    }

    /// Returns the reason not to ask for `rule` before the patient has what it needs.
    pub(super) fn lacks(&self, rule: &Rule) -> Option<DropReason> {
        let has = rule.requires.iter().all(|wanted| self.facts.holds.contains(wanted));
        (!has).then_some(DropReason::Prerequisite)
    }

    /// Whether a rule for quiet days finds that the patient has answered a prompt in them.
    pub(super) fn is_answered_since(&self, rule: &Rule, session: &Session<'_>) -> bool {
        let Some(day) = rule.unless_answered_since else { return false };
        let since = self.calendar.instant(session.date.saturating_add(day.days()), Time::midnight());
        self.facts.settled.iter().filter_map(|past| past.answered_at).any(|at| at >= since)
    }

    /// Whether another rule comes in the place of `rule` for this session.
    pub(super) fn is_replaced(&self, rule: &Rule, session: Option<&Session<'_>>) -> bool {
        let home = session.is_some_and(|session| !session.fact.supervised);
        self.protocol
            .rules
            .iter()
            .filter(|other| other.stands_for.as_ref() == Some(&rule.key))
            .any(|other| (home || !other.at_home) && self.refusal(other).is_none() && self.lacks(other).is_none())
    }
}
