//! A prompt that a rule calls for, before it has a place.

use jiff::Timestamp;
use jiff::civil::Date;

use super::slots::TimeSlot;
use crate::kernel::Id;
use crate::kernel::id::{Infusion, Prompt};
use crate::planning::protocol::{Anchor, PromptKind, Rule};

/// The dates that are planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) first: Date,
    pub(super) last: Date,
}

impl Range {
    pub(super) fn holds(self, date: Date) -> bool {
        self.first <= date && date <= self.last
    }
}

/// A prompt that a rule calls for.
pub(super) struct Candidate<'a> {
    pub(super) rule: &'a Rule,
    pub(super) id: Id<Prompt>,
    pub(super) anchor: Option<Id<Infusion>>,
    pub(super) occurrence: u32,
    /// The priority of its rule, or a lower one of what is carried over.
    pub(super) priority: u8,
    /// The date to which it is carried over, if it lapsed on the day before.
    pub(super) carried_to: Option<Date>,
    /// The date of day 0.
    pub(super) zero: Option<Date>,
    /// The number of the wording of its text.
    pub(super) wording: u32,
    /// The start of its first window: the jitter decides nothing about places.
    pub(super) opens: Timestamp,
    /// The slots, in the order in which they are tried.
    pub(super) slots: Vec<TimeSlot>,
    /// Whether it may go out in quiet hours: a check in the evening of a late session.
    pub(super) awake: bool,
    /// Whether it is only a card in the app this time, without a push.
    pub(super) card: bool,
    /// The start or end of the infusion from which its time is computed.
    pub(super) hangs_on: Option<Timestamp>,
    /// The latest instant for it.
    pub(super) deadline: Option<Timestamp>,
    /// The start of the session that it prepares.
    pub(super) starts: Option<Timestamp>,
    /// The last date on which it has a place if something moves it.
    pub(super) last_date: Option<Date>,
    /// The instant at which it was due, if it went out or was answered.
    pub(super) settled: Option<Timestamp>,
    /// Whether it is no longer called for. It went out and still counts.
    pub(super) orphan: bool,
}

impl<'a> Candidate<'a> {
    /// Begins a candidate of `rule` that hangs on nothing and has no slots yet.
    pub(super) fn new(rule: &'a Rule, id: Id<Prompt>) -> Self {
        Self {
            rule,
            id,
            anchor: None,
            occurrence: 0,
            priority: rule.priority,
            carried_to: None,
            zero: None,
            wording: 0,
            opens: Timestamp::MAX,
            slots: Vec::new(),
            awake: false,
            card: false,
            hangs_on: None,
            deadline: None,
            starts: None,
            last_date: None,
            settled: None,
            orphan: false,
        }
    }

    /// Whether it is a safety check.
    pub(super) fn is_safety(&self) -> bool {
        self.rule.kind == PromptKind::Safety
    }

    /// Whether it comes on a later date if one has no room, and is a card if none of its dates has: what the patient
    /// wrote for a date.
    pub(super) fn waits_for_room(&self) -> bool {
        self.settled.is_none() && matches!(self.rule.anchor, Anchor::DateOf(_))
    }

    /// Returns the instant before which it has no place; `None` if it has none at all.
    pub(super) fn earliest(&self) -> Option<Timestamp> {
        self.slots.iter().flat_map(|slot| [slot.opens, slot.from]).chain(self.settled).min()
    }

    /// Whether it keeps a distance from others, and they from it. Safety checks and cards do not.
    pub(super) fn keeps_distance(&self) -> bool {
        !self.is_safety() && !self.card
    }

    /// Whether the phone may announce it.
    pub(super) fn is_pushed(&self) -> bool {
        self.rule.push && !self.card
    }

    /// Whether it takes a place under the cap of its date.
    pub(super) fn is_capped(&self) -> bool {
        self.rule.is_capped() && !self.card
    }

    /// Whether it may have a reminder. What takes a minute has none.
    pub(super) fn may_remind(&self) -> bool {
        !self.orphan && !self.card && self.rule.counts() && self.rule.minutes > 1
    }
}
