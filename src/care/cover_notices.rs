//! What a patient reads in their access log of a colleague who stands in for their therapist. Those whose link is
//! active when a cover begins are told by its task ([`super::covers`]), those who come later when their link is
//! confirmed.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::store::{self, Link};
use crate::audit::{self, Record, Subject};
use crate::db::Tx;
use crate::kernel::id::{Account, Patient, Session};
use crate::kernel::{Id, Result};
use crate::vault::{Keys, Vault};

/// The name of the event in the access log of a patient.
const ACT: &str = "may_see_shared_with_team";

/// Whether the task of a cover that began at `starts_at` tells the patient of a link. It does not depend on when the
/// task runs, so that everybody is told once.
pub(super) fn is_told_by_task(link: &Link, starts_at: Timestamp) -> bool {
    link.active_at.is_some_and(|since| since.0 <= starts_at)
}

/// Lists the colleagues who stand in for the therapist of a link that becomes active at `now`, of covers whose task
/// does not tell its patient. The covers are held until the unit ends.
///
/// # Errors
///
/// When the database cannot be read.
pub(super) fn hold_colleagues(tx: &mut Tx<'_>, link: &Link, now: Timestamp) -> Result<BTreeSet<Id<Account>>> {
    let covers = store::hold_covers_of(tx, link.clinic, link.therapist, now)?;
    let begun = covers.iter().filter(|cover| cover.therapist_id == link.therapist && cover.starts_at.0 < now);
    Ok(begun.map(|cover| cover.colleague_id).collect())
}

/// Writes into the log of a patient that a colleague may see what is shared with the care team. `session` is one of the
/// therapist's: that in which the cover was made, or the link confirmed.
///
/// # Errors
///
/// When the database cannot be written.
pub(super) fn note(
    tx: &mut Tx<'_>,
    (vault, keys): (&Vault, &Keys),
    (patient, colleague): (Id<Patient>, Id<Account>),
    session: Option<Id<Session>>,
    now: Timestamp,
) -> Result<()> {
    let record = Record { act: ACT.to_owned(), role: "cover".to_owned(), refused: false, ids: Vec::new() };
    audit::append(tx, vault, keys, Subject::Patient(patient), Some(colleague), session, now, &record)
}
