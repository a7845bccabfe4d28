//! Sharing: a patient makes, lists and ends grants.
//!
//! A grant opens one entry, one exercise response or every entry that falls under a rule. The rows of grants and the
//! decision on visibility belong to [`care::grants`](crate::care::grants), which does not depend on entries and
//! responses. This module checks that the items to be opened exist and are done.
//!
//! A new grant waits some minutes, which the operator sets, before its reader sees it, unless the patient wishes it at
//! once. Until then it can be taken back without a trace.

pub mod actions;
mod routes;
mod unseen;

pub use actions::{NewGrant, Terms};
pub use routes::{GrantReader, GrantRule, GrantTarget, GrantView, configure_patient, read, target_and_rule};
pub use unseen::{put_unseen, revoke};
