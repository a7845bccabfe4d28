//! Invitations: codes for one use within 72 hours.
//!
//! A code is a keyed hash of its invitation's id and is not stored. The database therefore holds no codes, and a retry
//! of the request that made a code is answered with the same one.

use jiff::{SignedDuration, Timestamp};

use super::model::{InvitationDoc, Invitee};
use super::store::{self, InvitationRow, NewInvitation};
use crate::care::clinics::{clinic_for, where_may};
use crate::care::model::Capabilities;
use crate::care::store::{count_members, hold_clinic, memberships};
use crate::changes::{self, Closed};
use crate::db::Tx;
use crate::identity::actions::email_key;
use crate::identity::{Claimed, Live, Staff};
use crate::kernel::id::{Clinic, Invitation};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Id, JoinCode, Result, limits};
use crate::state::State;
use crate::vault::{Keys, MacLabel, Purpose, SealContext, Vault};

/// The lifetime of a code.
const LIFETIME: SignedDuration = SignedDuration::from_hours(72);

/// Derives the code of an invitation.
pub fn code_of(vault: &Vault, id: Id<Invitation>) -> JoinCode {
    JoinCode::of(vault.mac(MacLabel::Code, &[b"invitation", id.uuid().as_bytes()]))
}

/// Returns the keyed hash under which a code is looked up.
pub fn code_hash(vault: &Vault, code: &JoinCode) -> Vec<u8> {
    vault.mac(MacLabel::Code, &[b"hash", code.bytes()]).to_vec()
}

fn place(clinic: Id<Clinic>, id: Id<Invitation>) -> SealContext {
    SealContext { table: "invitations", column: "doc", subject: clinic.uuid(), row: id.uuid(), revision: 1 }
}

/// The invitee of a request.
#[derive(Clone, Debug)]
pub struct InvitationRequest {
    /// The invitee: a patient, or staff.
    pub invitee: Invitee,
    /// Their name and address, if known.
    pub doc: InvitationDoc,
    /// The clinic; required if the inviter works at several.
    pub clinic: Option<Id<Clinic>>,
}

/// Makes and seals an invitation, before the unit that inserts it.
///
/// # Errors
///
/// As [`clinic_for`].
pub async fn prepare(state: &State, caller: &Claimed<Staff>, wish: InvitationRequest) -> Result<NewInvitation> {
    let asking = caller.clone();
    let (named, invitee) = (wish.clinic, wish.invitee);
    let clinic = state.db.read(move |tx| {
        let live = asking.live(tx)?;
        clinic_for(&memberships(tx, live.account())?, named, |may| invitee.invited_by(may))
    });
    let clinic = clinic.await?;
    let keys = state.vault.keys(clinic.uuid()).await?.ok_or(Error::NotFound)?;
    seal(&state.vault, &keys, state.entropy.id(caller.now()), (clinic, invitee, &wish.doc), caller.now())
}

/// Seals an invitation to a clinic, whose keys these are.
///
/// # Errors
///
/// When the keys do not seal.
pub(super) fn seal(
    vault: &Vault,
    keys: &Keys,
    id: Id<Invitation>,
    (clinic, invitee, doc): (Id<Clinic>, Invitee, &InvitationDoc),
    now: Timestamp,
) -> Result<NewInvitation> {
    Ok(NewInvitation {
        id,
        code_hash: code_hash(vault, &code_of(vault, id)),
        clinic,
        invitee,
        email_key: doc.email.as_ref().map(|email| email_key(vault, email)),
        doc: keys.seal_json(Purpose::Clinic, &place(clinic, id), doc)?,
        expires_at: now.saturating_add(LIFETIME).unwrap_or(Timestamp::MAX),
    })
}

/// Inserts a prepared invitation.
///
/// # Errors
///
/// As [`clinic_for`]; [`Error::LimitReached`].
pub fn invite(tx: &mut Tx<'_>, live: &Live<Staff>, new: &NewInvitation) -> Result<InvitationRow> {
    // Invitations of a clinic are counted one after the other.
    hold_clinic(tx, new.clinic)?;
    let works = memberships(tx, live.account())?;
    clinic_for(&works, Some(new.clinic), |may| new.invitee.invited_by(may))?;
    let since = live.now().saturating_sub(LIFETIME).unwrap_or(Timestamp::MIN);
    limits::INVITATIONS.admit(store::count_since(tx, new.clinic, since)?)?;
    if matches!(new.invitee, Invitee::Staff(_)) {
        let invited = store::count_open_staff(tx, new.clinic, live.now())?;
        limits::CLINIC_MEMBERS.admit(count_members(tx, new.clinic)? + invited)?;
    }
    store::insert_invitation(tx, live.account(), new, live.now())
}

/// Finds the caller's own invitation, for the answer to a retry.
pub fn get_own(tx: &mut Tx<'_>, live: &Live<Staff>, id: Id<Invitation>) -> Result<InvitationRow> {
    store::find_invitation(tx, id, live.account(), &[])?.ok_or(Error::NotFound)
}

/// Lists the caller's invitations, and those of staff at clinics they administer, newest first.
pub fn list(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    asked: PageRequest<Id<Invitation>>,
) -> Result<Page<InvitationRow, Id<Invitation>>> {
    let works = memberships(tx, live.account())?;
    let (own, administered) = (where_may(&works, |_| true), where_may(&works, Capabilities::admin));
    let rows = store::list_invitations(tx, &own, &administered, live.account(), asked.after, asked.rows())?;
    Ok(asked.cut(rows, |row| row.doc.len(), |row| row.key.id))
}

/// Revokes an invitation. A second call changes nothing.
///
/// # Errors
///
/// [`Error::NotFound`] for callers other than its inviter and, if it is for staff, the clinic's admins;
/// [`Error::State`] when it was
/// used.
pub fn revoke(tx: &mut Tx<'_>, live: &Live<Staff>, id: Id<Invitation>) -> Result<()> {
    let works = memberships(tx, live.account())?;
    let administered: Vec<_> = works.iter().filter(|(_, may)| may.admin()).map(|(clinic, _)| *clinic).collect();
    let row = store::find_invitation(tx, id, live.account(), &administered)?.filter(|row| {
        let may = works.iter().find(|(clinic, _)| *clinic == row.key.clinic_id).map(|(_, may)| *may);
        let of_staff = row.key.invitee() != Invitee::Patient;
        may.is_some_and(|may| row.key.inviter_id == live.account() || (of_staff && may.admin()))
    });
    let key = row.ok_or(Error::NotFound)?.key;
    if key.revoked_at.is_some() {
        // A repetition, too, is answered once it stands in the ledger.
        tx.follow_up();
        return Ok(());
    }
    if !store::mark_invitation_revoked(tx, key, live.now())? {
        return Err(Error::state("used", []));
    }
    changes::note_closed(tx, Closed::Invitation(id), live.now())
}

/// Returns the state: `open`, `used`, `revoked` or `expired`.
pub fn state_of(row: &InvitationRow, now: Timestamp) -> &'static str {
    if row.key.used_at.is_some() {
        "used"
    } else if row.key.revoked_at.is_some() {
        "revoked"
    } else if row.key.expires_at.0 <= now {
        "expired"
    } else {
        "open"
    }
}

/// Opens the document of an invitation, after the unit.
pub async fn open_doc(vault: &Vault, row: &InvitationRow) -> Result<InvitationDoc> {
    match vault.keys(row.key.clinic_id.uuid()).await? {
        Some(keys) => keys.open_json(&place(row.key.clinic_id, row.key.id), &row.doc),
        None => Ok(InvitationDoc::default()),
    }
}
