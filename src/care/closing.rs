//! Closing a clinic: its links end, then the work of its members, and with that its invitations and protocols are void.
//!
//! Patients keep all that they have written. Links end in portions, because a clinic may have thousands of patients. A
//! closing that was interrupted goes on when it is asked for again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::access::{Access, Role};
use super::clinics::{hold_as_admin, require_admin};
use super::links::{self, keys_of};
use super::members::end_temporary;
use super::model::Capabilities;
use super::store::{self, Member};
use super::write_scope::WriteScope;
use crate::audit::{self, Record, Subject};
use crate::changes::{self, Closed, Planner};
use crate::db::{At, Tx};
use crate::idempotency::{self, IdempotentRequest};
use crate::identity::{Claimed, Guarded, Live, Staff};
use crate::kernel::id::{Clinic, Patient};
use crate::kernel::{Error, Id, Result};
use crate::state::State;
use crate::vault::{Keys, Vault};

/// The links that end in one unit.
const PORTION: i64 = 50;

/// The name of the event in the access log of a patient.
const ACT: &str = "clinic_closed";

/// Ends the links of a clinic for an admin of it, portion by portion, before the unit that ends the work there. For
/// everybody else, and for a request that was done before under its key, it does nothing: that unit answers them.
///
/// # Errors
///
/// [`Error::StepUp`] and [`crate::kernel::Code::KeyReused`], before anything ends; [`Error::Damaged`] when one of the
/// next links does not fit its MAC; when database, keyring or ledger cannot be reached.
pub async fn end_links(
    state: &State,
    caller: &Claimed<Guarded<Staff>>,
    clinic: Id<Clinic>,
    once: &IdempotentRequest,
) -> Result<()> {
    loop {
        let asked = once.clone();
        let patients = caller.read(state, move |tx, live| {
            if may_close(tx, &live.plain(), clinic, &asked)? {
                store::list_linked(tx, clinic, PORTION)
            } else {
                Ok(Vec::new())
            }
        });
        let patients = patients.await?;
        if patients.is_empty() {
            return Ok(());
        }
        let keys = keys_of(&state.vault, patients.clone()).await?;
        let (asking, planner, vault) = (caller.clone(), Arc::clone(&state.planner), state.vault.clone());
        let asked = once.clone();
        let unit = state.db.write(move |tx| {
            let live = asking.live(tx)?.plain();
            // Held, so that an admin whose work is ended meanwhile ends no more links.
            store::hold_member(tx, clinic, live.account())?;
            if !may_close(tx, &live, clinic, &asked)? {
                return Ok(0);
            }
            end_portion(tx, planner.as_ref(), (&vault, &keys), &live, (clinic, &patients))
        });
        if unit.await? == 0 {
            return Ok(());
        }
    }
}

/// Whether the caller is an admin of a clinic, and the request was not done before under its key.
fn may_close(tx: &mut Tx<'_>, live: &Live<Staff>, clinic: Id<Clinic>, once: &IdempotentRequest) -> Result<bool> {
    if !idempotency::is_new(tx, live.account(), once)? {
        return Ok(false);
    }
    match require_admin(tx, live, clinic) {
        Ok(()) => Ok(true),
        Err(Error::NotFound | Error::Forbidden(_)) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Ends the links of `patients` that are among the first of a clinic, and tells those patients. A link that has come
/// among the first meanwhile waits for the next portion, for which the keys of its patient are fetched. Returns the
/// number of the first links: none when the clinic has none left.
fn end_portion(
    tx: &mut Tx<'_>,
    planner: &dyn Planner,
    (vault, keys): (&Vault, &BTreeMap<Id<Patient>, Keys>),
    live: &Live<Staff>,
    (clinic, patients): (Id<Clinic>, &[Id<Patient>]),
) -> Result<usize> {
    let actor = (live.account(), live.session());
    let held = store::hold_links_at(tx, clinic, PORTION)?;
    for link in held.iter().filter(|link| patients.contains(&link.patient)) {
        let access = Access::opened(link.patient, Role::Server, actor, None, live.now());
        WriteScope::of(access).run(tx, planner, |tx, access| links::end(tx, access, link))?;
        if let Some(keys) = keys.get(&link.patient) {
            let (act, role) = (ACT.to_owned(), "admin".to_owned());
            let record = Record { act, role, refused: false, ids: vec![link.id.uuid()] };
            let subject = Subject::Patient(link.patient);
            audit::append(tx, vault, keys, subject, Some(actor.0), Some(actor.1), live.now(), &record)?;
        }
    }
    Ok(held.len())
}

/// Ends the work of every member of a clinic whose links have ended, that of the caller included. Nobody can then do
/// anything there. A second call of somebody who was an admin to the end changes nothing, also one that waited for the
/// first.
///
/// # Errors
///
/// [`Error::NotFound`] when the caller never worked there; as [`hold_as_admin`]; [`Error::State`] when a patient
/// has come meanwhile; [`Error::Damaged`] when a link that does not fit its MAC is left.
pub fn close(tx: &mut Tx<'_>, live: &Live<Staff>, clinic: Id<Clinic>) -> Result<()> {
    let members = match hold_as_admin(tx, live, clinic) {
        Err(Error::NotFound) if was_closed(tx, live, clinic)? => {
            // A repetition, too, is answered once what ended stands in the ledger.
            tx.follow_up();
            return Ok(());
        }
        held => held?,
    };
    if !store::hold_links_at(tx, clinic, 1)?.is_empty() {
        return Err(Error::state("open_links", ["close_clinic"]));
    }
    for member in members {
        end_temporary(tx, (clinic, member.account_id), Capabilities::NONE, live.now())?;
        let version = tx.version_after(member.version);
        store::update_member(tx, &Member { ended_at: Some(At(live.now())), version, ..member })?;
        changes::note_closed(tx, Closed::Member(clinic, member.account_id), live.now())?;
    }
    Ok(())
}

/// Whether a clinic has no members left, and the caller was an admin of it to the end.
fn was_closed(tx: &mut Tx<'_>, live: &Live<Staff>, clinic: Id<Clinic>) -> Result<bool> {
    let own = store::find_member(tx, clinic, live.account())?;
    Ok(own.is_some_and(|own| own.may().admin()) && store::count_members(tx, clinic)? == 0)
}
