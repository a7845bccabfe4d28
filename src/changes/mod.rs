//! The per-patient change sequence.
//!
//! Every write to a patient's data takes the next number of that patient, under the lock on the patient's head row and
//! in its own transaction. Commit order is number order, so a reader who has seen number `n` has seen everything up to
//! `n`. The row kept with the number (account, session, thing, instant) is the audit of writes.
//! A number may have no row: its unit changed nothing, or took an item out of a grant.
//!
//! Each kind of thing defines whether its changes feed the plan of prompts ([`FeedsPlan`]). The server's [`Planner`]
//! makes the plan again once, as the last step of the unit that changed something.
//!
//! Each kind also defines how therapists learn of its changes ([`ReaderView`]). What is recorded is noted for the last
//! step of the unit, which tells them ([`ForReaders`]).
//!
//! A change that closes access also leaves a note for the revocation ledger ([`Revocation`]), and its unit is answered
//! once it stands there. What closes access without a change of a patient's data leaves such a note as well
//! ([`note_closed`]).
//!
//! The head also counts the sealed bytes of what was written ([`Bytes`]), so that a quota costs no statement. It says
//! whether the patient has made grants by rule and whether the plan awaits an entry, so that most new entries ask for
//! neither.
//!
//! Taking the number is the **first** write on a patient's data in a unit, because it serialises writers.

mod model;
mod planner;
mod store;

pub use model::{
    Bytes, Change, Closed, Closing, Entity, FeedsPlan, ForReaders, Head, LockedHead, Numbered, Op, Part, Point,
    ReaderEvent, ReaderView, Recorded, Revocation,
};
pub use planner::{PlanRequest, Planner};
pub use store::{
    announce, delete_closings, delete_revocations, find_version, follow_up_owed, head, heads, insert, last_numbers,
    last_versions, list_by, list_closings, list_grants_since, list_made_versions, list_numbered, list_of,
    list_revocations, note_changed, note_closed, note_opened, note_rule, number_of, numbers_of, point, take,
    was_replaced_since, was_undeleted_since,
};
