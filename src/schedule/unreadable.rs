//! The changes that a plan may make while facts of the patient do not open.
//!
//! Such a plan is made from less than is known, so it errs towards silence. Pushes are withheld by delivery meanwhile.
//!
//! | what does not open | the plan |
//! |---|---|
//! | a prompt | is made as usual; nothing takes the place of that prompt |
//! | an infusion, a pause | withdraws, but nothing of that infusion; adds the safety checks of an infusion that has no prompts yet; moves and revives nothing |
//! | a response | withdraws nothing that brings a response back on its date |
//! | the settings | stays as it is: without the zones there is no time of day |

use std::collections::BTreeSet;

use crate::kernel::Id;
use crate::kernel::id::{Infusion, Prompt, Response};
use crate::planning::{PromptKind, Step};
use crate::prompts::model::StoredPrompt;

/// The facts of a plan that do not open.
#[derive(Clone, Debug, Default)]
pub(super) struct UnreadableFacts {
    /// The prompts.
    pub(super) prompts: BTreeSet<Id<Prompt>>,
    /// The infusions.
    pub(super) infusions: BTreeSet<Id<Infusion>>,
    /// Whether a pause does not open.
    pub(super) pause: bool,
    /// Whether a response does not open that may come back on a date.
    pub(super) dated: bool,
    /// The responses with a date to come that are not read, because there are so many.
    pub(super) waiting: BTreeSet<Id<Response>>,
    /// Whether the settings do not open.
    pub(super) settings: bool,
}

impl UnreadableFacts {
    /// Whether a plan made without these facts may change one of the `stored` prompts, or add one, by `step`.
    pub(super) fn allow(&self, step: &Step, stored: &[StoredPrompt]) -> bool {
        if self.prompts.contains(&step.id()) || self.settings {
            return false;
        }
        let returned = |id| stored.iter().find(|prompt| prompt.id == id).and_then(|prompt| prompt.doc.planned.returns);
        let is_known = |response: Id<Response>| !self.dated && !self.waiting.contains(&response);
        if matches!(step, Step::Cancel { id, .. } if !returned(*id).is_none_or(is_known)) {
            return false;
        }
        if self.infusions.is_empty() && !self.pause {
            return true;
        }
        let anchor_of = |id| stored.iter().find(|prompt| prompt.id == id).and_then(|prompt| prompt.doc.planned.anchor);
        match step {
            Step::Cancel { id, .. } => anchor_of(*id).is_none_or(|infusion| !self.infusions.contains(&infusion)),
            Step::Insert(to) => {
                // What an earlier plan left out of this infusion's days may have made way for what does not open.
                let planned = || stored.iter().any(|prompt| prompt.doc.planned.anchor == to.anchor);
                to.kind == PromptKind::Safety && to.anchor.is_some() && !planned()
            }
            Step::Move { .. } | Step::Revive { .. } | Step::Delay { .. } => false,
        }
    }
}
