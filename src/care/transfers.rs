//! Transfers: a therapist names a colleague who is to take a care link over, and the patient decides.
//!
//! Until the patient agrees nothing changes. When they agree, the link ends, and its grants with it; the colleague
//! confirms the new link like any other. The patient is asked once whether the colleague may see what the therapist
//! could: then the same grants are made anew, to the colleague alone. Without that the new link starts empty.

use super::access::{Access, Read, Write};
use super::clinics::check_second_factor;
use super::grants;
use super::links::{self, note_shown};
use super::members;
use super::model::{LinkState, TransferState};
use super::people::SealedNames;
use super::store::{self, Link, TransferRow};
use crate::db::{At, Tx};
use crate::idempotency::Outcome;
use crate::identity::{Live, Need, Staff};
use crate::kernel::id::{Account, CareLink};
use crate::kernel::{Entropy, Error, Id, Result};
use crate::vault::{Keys, Vault};

/// Returns the state of a transfer.
///
/// # Errors
///
/// [`Error::Internal`] for a name that no state has.
pub fn state_of(row: &TransferRow) -> Result<TransferState> {
    TransferState::parse(&row.state).ok_or_else(|| Error::corrupt("transfers", row.link_id))
}

/// Offers the transfer of the caller's own link to another therapist of the clinic, and writes that into the patient's
/// log. The same offer again changes nothing; another one takes its place. `keys` are the patient's.
///
/// # Errors
///
/// [`Error::NotFound`] when the link has ended or is not the caller's;
/// [`Code::SecondFactorMissing`](crate::kernel::Code::SecondFactorMissing); [`Error::State`] before it is confirmed;
/// [`Error::Invalid`] when the other account is no other therapist of the clinic.
pub fn offer(
    tx: &mut Tx<'_>,
    (vault, keys): (&Vault, Option<&Keys>),
    live: &Live<Staff>,
    id: Id<CareLink>,
    to: Id<Account>,
) -> Result<TransferRow> {
    // Members are held before links, as by whoever ends their work.
    if let Some(link) = store::find_link_of(tx, id, live.account())? {
        store::hold_member(tx, link.clinic, to)?;
    }
    let link = links::own_live(tx, live, id)?;
    check_second_factor(tx, live)?;
    if link.state != LinkState::Active {
        return Err(Error::state(link.state.name(), ["confirm_care_link"]));
    }
    if to == live.account() || !members::is_therapist_at(tx, link.clinic, to)? {
        return Err(Error::field("/therapist_id", "is not another therapist of your clinic"));
    }
    let known = store::find_transfer(tx, id)?;
    if let Some(row) = known.as_ref().filter(|row| row.therapist_id == to)
        && state_of(row)? == TransferState::Offered
    {
        return Ok(row.clone());
    }
    let row = TransferRow {
        link_id: id,
        patient_id: link.patient,
        therapist_id: to,
        state: TransferState::Offered.name().to_owned(),
        version: tx.version_after(known.map_or(0, |row| row.version)),
        offered_at: At(live.now()),
        answered_at: None,
    };
    store::put_transfer(tx, &row)?;
    note_shown(tx, vault, keys.ok_or(Error::NotFound)?, live, "offer_transfer", "therapist", &link)?;
    Ok(row)
}

/// Reads the transfer of the caller's own link.
///
/// # Errors
///
/// [`Error::NotFound`] when there is none, or the link is not the caller's.
pub fn get_own(tx: &mut Tx<'_>, live: &Live<Staff>, id: Id<CareLink>) -> Result<TransferRow> {
    let link = links::own_live(tx, live, id)?;
    store::find_transfer(tx, link.id)?.ok_or(Error::NotFound)
}

/// Reads the transfer of the caller's own link after it was offered.
///
/// # Errors
///
/// As [`get_own`].
pub fn show_own(tx: &mut Tx<'_>, live: &Live<Staff>, outcome: Outcome<TransferRow>) -> Result<TransferRow> {
    outcome.or_get(|id| get_own(tx, live, id))
}

/// Takes an offer back. A second call changes nothing.
///
/// # Errors
///
/// [`Error::NotFound`] when there is none, or the link is not the caller's.
pub fn withdraw(tx: &mut Tx<'_>, live: &Live<Staff>, id: Id<CareLink>) -> Result<()> {
    let row = get_own(tx, live, id)?;
    if state_of(&row)? != TransferState::Offered {
        return Ok(());
    }
    let version = tx.version_after(row.version);
    store::update_transfer(tx, &TransferRow { state: TransferState::Withdrawn.name().to_owned(), version, ..row })
}

/// Transfers that wait for the patient's answer, each with its link, and the names.
pub type Waiting = (Vec<(TransferRow, Link)>, SealedNames);

/// Lists the transfers that wait for the patient's answer.
pub fn list(tx: &mut Tx<'_>, access: &Access<Read>) -> Result<Waiting> {
    let mut waiting = Vec::new();
    for row in store::list_offered(tx, access, TransferState::Offered.name())? {
        let link = store::find_link(tx, row.link_id)?.filter(|link| link.state.live());
        waiting.extend(link.map(|link| (row, link)));
    }
    let people = waiting.iter().flat_map(|(row, link)| [row.therapist_id, link.therapist]);
    let names = SealedNames::collect(tx, people, waiting.iter().map(|(_, link)| link.clinic))?;
    Ok((waiting, names))
}

/// The patient's answer to an offered transfer.
#[derive(Clone, Copy, Debug)]
pub struct TransferAnswer {
    /// Whether they agree.
    pub accept: bool,
    /// Whether the colleague may see what the therapist could.
    pub keep_grants: bool,
}

/// Answers an offered transfer. When the patient agrees, the link ends and `new` begins, unless they have a link to the
/// colleague already. The same answer again changes nothing.
///
/// # Errors
///
/// [`Error::NotFound`] when there is no such transfer; [`Error::State`] when it was answered otherwise or taken back,
/// when its link has ended, and when the colleague no longer works there; [`Error::StepUp`] to agree without a fresh
/// proof, of accounts with a second factor or the lock; [`Error::LimitReached`].
pub fn answer(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (id, new): (Id<CareLink>, Id<CareLink>),
    answer: TransferAnswer,
    entropy: &Entropy,
) -> Result<TransferRow> {
    // Members are held before links, as by whoever ends their work. Both rows are asked again under the lock.
    if answer.accept
        && let Some(row) = store::find_transfer_for(tx, access, id)?
        && let Some(link) = store::find_link(tx, id)?
    {
        store::hold_member(tx, link.clinic, row.therapist_id)?;
    }
    let link = store::hold_link(tx, id, access.account()?)?.filter(|link| link.patient == access.patient());
    let link = link.ok_or(Error::NotFound)?;
    let row = store::find_transfer_for(tx, access, id)?.ok_or(Error::NotFound)?;
    let after = if answer.accept { TransferState::Accepted } else { TransferState::Declined };
    let before = state_of(&row)?;
    if before == after {
        tx.follow_up();
        return Ok(row);
    }
    if before != TransferState::Offered {
        return Err(Error::state(before.name(), []));
    }
    if !link.state.live() {
        return Err(Error::state(link.state.name(), []));
    }
    if answer.accept {
        access.require(Need::Guarded)?;
        accept(tx, access, (&link, new), row.therapist_id, answer.keep_grants, entropy)?;
    }
    let version = tx.version_after(row.version);
    let answered_at = Some(At(access.now()));
    let row = TransferRow { state: after.name().to_owned(), version, answered_at, ..row };
    store::update_transfer(tx, &row)?;
    Ok(row)
}

/// Reads a transfer after the patient's answer.
///
/// # Errors
///
/// [`Error::NotFound`] when there is none.
pub fn show(tx: &mut Tx<'_>, access: &Access<Write>, outcome: Outcome<TransferRow>) -> Result<TransferRow> {
    outcome.or_get(|id| store::find_transfer_for(tx, access, id)?.ok_or(Error::NotFound))
}

fn accept(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (link, new): (&Link, Id<CareLink>),
    therapist: Id<Account>,
    keep_grants: bool,
    entropy: &Entropy,
) -> Result<()> {
    if !members::is_therapist_at(tx, link.clinic, therapist)? {
        return Err(Error::state("unavailable", ["answer_transfer"]));
    }
    // Locked first: what leaves a grant meanwhile is not granted again.
    access.lock(tx)?;
    let kept = if keep_grants { grants::list_read_by(tx, access, link.id)? } else { Vec::new() };
    links::end(tx, access, link)?;
    let reader = if let Some(there) = store::find_live_link(tx, access, therapist)? {
        there
    } else {
        links::accept(tx, access, new, link.clinic, therapist)?;
        new
    };
    grants::make_again(tx, access, (therapist, reader), kept, entropy)
}
