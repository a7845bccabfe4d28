//! Planning of a patient's prompts and their times. It is pure: the protocol, the facts of one patient and the time are
//! arguments, and nothing here reads a clock, a row or a request.
//!
//! Owns the [window](window::window) that an infusion opens, the protocol (a versioned data file of prompt rules) and
//! the plan: a function of the protocol, the [`Facts`] of one patient and the time. Promises that planning twice gives
//! the same prompts under the same ids, and that a plan keeps every cap, spacing and quiet hour. Applying one
//! ([`diff()`]) touches only prompts that lie in the future and have not gone out, except those that a correction of an
//! infusion takes back. [`preview()`] plans for made-up facts. Effortful prompts wait until the patient is ready. No
//! text of a patient belongs here.

pub mod burden;
pub mod calendar;
pub mod caps;
pub mod compare;
pub mod content;
pub mod dials;
pub mod diff;
pub mod facts;
pub mod overrides;
pub mod placeholders;
pub mod plan;
pub mod preview;
pub mod protocol;
pub mod protocols;
pub mod reasons;
#[cfg(test)]
mod tests;
pub mod translations;
mod validate;
pub mod window;

pub use calendar::{DayPart, PausePeriod, QuietHours, Weekday, ZoneSince, zone_at};
pub use content::ProtocolContent;
pub use dials::{Dials, HeavyDials};
pub use diff::{Existing, Hold, MoveReason, Step, diff};
pub use facts::{Condition, DatedResponse, Facts, InfusionFact, PastPrompt, PromptKey, USUAL_MINUTES};
pub use overrides::{AddedRule, OWN, Override, RuleChange, RuleEdit};
pub use placeholders::{Piece, Quote, pieces, quotes};
pub use plan::{
    DropReason, Dropped, Plan, Planned, UntoldEnd, Why, ids_in_a_row, other_about_silence, plan, put_off, row_begins,
    session_span, silence, unready_until,
};
pub use preview::preview;
pub use protocol::{Capability, Prerequisite, PromptKind, Protocol, Rule};
pub use protocols::{ClinicChoice, ProtocolLibrary, Protocols, PublishedVersion, Reading};
pub use translations::{RuleTexts, RuleWords, Translation};
