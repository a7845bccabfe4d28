//! Invitations, looked up by the hash of their code (index `invitations_code`); the first rows of a patient; the
//! server's own values.

use diesel::prelude::*;
use jiff::Timestamp;
use uuid::Uuid;

use super::model::Invitee;
use crate::authentic;
use crate::care::access::{Access, Write};
use crate::care::store::{PatientRow, find_member, hold_member};
use crate::db::authentic::checked_page;
use crate::db::schema::{invitations, patient_heads, patients};
use crate::db::{At, Stored, Tx, columns};
use crate::identity::list_disabled;
use crate::kernel::id::{Account, Clinic, Invitation};
use crate::kernel::{Id, Result};

/// The inviter of an invitation that the operator made: no account has this id.
pub const OPERATOR: Id<Account> = Id::from_uuid(Uuid::nil());

/// A new invitation, sealed.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// Its id.
    pub id: Id<Invitation>,
    /// The keyed hash of its code.
    pub code_hash: Vec<u8>,
    /// The clinic.
    pub clinic: Id<Clinic>,
    /// The invitee.
    pub invitee: Invitee,
    /// The keyed hash of the address it is bound to.
    pub email_key: Option<Vec<u8>>,
    /// The sealed document.
    pub doc: Vec<u8>,
    /// The instant at which it expires.
    pub expires_at: Timestamp,
}

authentic! {
    /// An invitation without its sealed document.
    pub struct InvitationKey of invitations {
        /// Its id.
        id: Id<Invitation>,
        /// The keyed hash of its code.
        code_hash: Vec<u8>,
        /// The clinic.
        clinic_id: Id<Clinic>,
        /// The inviter.
        inviter_id: Id<Account>,
        /// The bits of the invited person's capabilities; none for patients.
        capabilities: Option<i32>,
        /// The keyed hash of the address it is bound to.
        email_key: Option<Vec<u8>>,
        /// The instant of its creation.
        created_at: At,
        /// The instant at which it expires.
        expires_at: At,
        /// The instant of its use.
        used_at: Option<At>,
        /// The account that used it.
        used_by: Option<Id<Account>>,
        /// The instant of the revocation.
        revoked_at: Option<At>,
    }
}

impl InvitationKey {
    /// Returns the invitee.
    pub fn invitee(&self) -> Invitee {
        Invitee::of(self.capabilities)
    }
}

/// A stored invitation.
#[derive(Clone, Debug)]
pub struct InvitationRow {
    /// What decides.
    pub key: InvitationKey,
    /// The sealed document.
    pub doc: Vec<u8>,
}

type Found = (Stored<InvitationKey>, Vec<u8>);

fn invitations_of(tx: &Tx<'_>, found: Vec<Found>) -> Result<Vec<InvitationRow>> {
    let mut rows = Vec::with_capacity(found.len());
    for (key, doc) in found {
        rows.extend(key.checked(tx)?.map(|key| InvitationRow { key, doc }));
    }
    Ok(rows)
}

/// Inserts an invitation, and returns it.
pub fn insert_invitation(
    tx: &mut Tx<'_>,
    inviter: Id<Account>,
    new: &NewInvitation,
    now: Timestamp,
) -> Result<InvitationRow> {
    let key = InvitationKey {
        id: new.id,
        code_hash: new.code_hash.clone(),
        clinic_id: new.clinic,
        inviter_id: inviter,
        capabilities: new.invitee.bits(),
        email_key: new.email_key.clone(),
        created_at: At(now),
        expires_at: At(new.expires_at),
        used_at: None,
        used_by: None,
        revoked_at: None,
    };
    let values = (key.signed(tx)?, invitations::doc.eq(&new.doc));
    diesel::insert_into(invitations::table).values(values).execute(tx.conn())?;
    Ok(InvitationRow { key, doc: new.doc.clone() })
}

/// Finds the invitation of a code: not used, revoked or expired, by the operator or by an inviter who may still invite
/// such a person.
pub fn find_open(tx: &mut Tx<'_>, code_hash: &[u8], now: Timestamp) -> Result<Option<InvitationKey>> {
    let found: Option<Stored<InvitationKey>> = invitations::table
        .filter(invitations::code_hash.eq(code_hash))
        .filter(invitations::used_at.is_null())
        .filter(invitations::revoked_at.is_null())
        .filter(invitations::expires_at.gt(At(now)))
        .select(columns::<Stored<InvitationKey>>())
        .first(tx.conn())
        .optional()?;
    let key = found.map_or(Ok(None), |key| key.checked(tx))?;
    // For a code that nobody has, the same statement runs and finds nobody.
    let clinic = key.as_ref().map_or(Id::from_uuid(Uuid::nil()), |key| key.clinic_id);
    let account = key.as_ref().map_or(OPERATOR, |key| key.inviter_id);
    let inviter = find_member(tx, clinic, account)?;
    let is_disabled = !list_disabled(tx, &[account])?.is_empty();
    let inviter = inviter.filter(|inviter| inviter.ended_at.is_none() && !is_disabled);
    Ok(key.filter(|key| {
        let fits = inviter.is_some_and(|inviter| key.invitee().invited_by(inviter.may()));
        fits || key.inviter_id == OPERATOR
    }))
}

/// Counts the invitations that a clinic has made since `since`.
pub fn count_since(tx: &mut Tx<'_>, clinic: Id<Clinic>, since: Timestamp) -> Result<i64> {
    let made = invitations::table.filter(invitations::clinic_id.eq(clinic));
    Ok(made.filter(invitations::created_at.gt(At(since))).count().get_result(tx.conn())?)
}

/// Counts the invitations of staff to a clinic that may still be used.
pub fn count_open_staff(tx: &mut Tx<'_>, clinic: Id<Clinic>, now: Timestamp) -> Result<i64> {
    let made =
        invitations::table.filter(invitations::clinic_id.eq(clinic)).filter(invitations::capabilities.is_not_null());
    let unused = made.filter(invitations::used_at.is_null()).filter(invitations::revoked_at.is_null());
    Ok(unused.filter(invitations::expires_at.gt(At(now))).count().get_result(tx.conn())?)
}

/// Finds the invitation of a code that was used at `since` or later.
pub fn find_used(tx: &mut Tx<'_>, code_hash: &[u8], since: Timestamp) -> Result<Option<InvitationKey>> {
    let found: Option<Stored<InvitationKey>> = invitations::table
        .filter(invitations::code_hash.eq(code_hash))
        .filter(invitations::used_at.ge(At(since)))
        .select(columns::<Stored<InvitationKey>>())
        .first(tx.conn())
        .optional()?;
    found.map_or(Ok(None), |key| key.checked(tx))
}

/// Marks an open invitation used. Only one of concurrent units gets `true`, and none once its inviter may no longer
/// invite.
pub fn mark_used(tx: &mut Tx<'_>, key: &InvitationKey, by: Id<Account>, now: Timestamp) -> Result<bool> {
    let used = InvitationKey { used_at: Some(At(now)), used_by: Some(by), ..key.clone() };
    let open = invitations::table
        .filter(invitations::id.eq(key.id))
        .filter(invitations::used_at.is_null())
        .filter(invitations::revoked_at.is_null());
    if diesel::update(open).set(used.signed(tx)?).execute(tx.conn())? != 1 {
        return Ok(false);
    }
    // Held, so that whoever ends the inviter's work meanwhile finds those who came.
    let inviter = hold_member(tx, key.clinic_id, key.inviter_id)?.filter(|inviter| inviter.ended_at.is_none());
    let may_invite = inviter.is_some_and(|inviter| key.invitee().invited_by(inviter.may()));
    Ok(may_invite || key.inviter_id == OPERATOR)
}

/// Revokes an invitation that is not used. Returns `false` when it is used.
pub fn mark_invitation_revoked(tx: &mut Tx<'_>, key: InvitationKey, now: Timestamp) -> Result<bool> {
    let revoked = InvitationKey { revoked_at: Some(At(now)), ..key };
    let unused = invitations::table.filter(invitations::id.eq(revoked.id)).filter(invitations::used_at.is_null());
    Ok(diesel::update(unused).set(revoked.signed(tx)?).execute(tx.conn())? == 1)
}

/// Finds an invitation by its id, if `inviter` made it, or if it is for staff of a clinic in `administered`. Others
/// wait as long for the answer as for one that is not there.
pub fn find_invitation(
    tx: &mut Tx<'_>,
    id: Id<Invitation>,
    inviter: Id<Account>,
    administered: &[Id<Clinic>],
) -> Result<Option<InvitationRow>> {
    let of_staff =
        invitations::clinic_id.eq_any(administered.iter().copied()).and(invitations::capabilities.is_not_null());
    let found: Vec<Found> = invitations::table
        .filter(invitations::id.eq(id))
        .filter(invitations::inviter_id.eq(inviter).or(of_staff))
        .select((columns::<Stored<InvitationKey>>(), invitations::doc))
        .load(tx.conn())?;
    Ok(invitations_of(tx, found)?.pop())
}

/// Lists the invitations of these clinics that `inviter` made, and those of staff in `administered`, newest first, made
/// before `before`.
pub fn list_invitations(
    tx: &mut Tx<'_>,
    clinics: &[Id<Clinic>],
    administered: &[Id<Clinic>],
    inviter: Id<Account>,
    before: Option<Id<Invitation>>,
    limit: i64,
) -> Result<Vec<InvitationRow>> {
    let read = |tx: &mut Tx<'_>, before: Option<Id<Invitation>>, limit: i64| {
        let of_staff =
            invitations::clinic_id.eq_any(administered.iter().copied()).and(invitations::capabilities.is_not_null());
        let found: Vec<Found> = invitations::table
            .filter(invitations::clinic_id.eq_any(clinics.iter().copied()))
            .filter(invitations::inviter_id.eq(inviter).or(of_staff))
            .filter(invitations::id.lt(before.unwrap_or(Id::from_uuid(Uuid::max()))))
            .order(invitations::id.desc())
            .limit(limit)
            .select((columns::<Stored<InvitationKey>>(), invitations::doc))
            .load(tx.conn())?;
        Ok(found)
    };
    checked_page(tx, (before, limit), read, |key: &InvitationKey| key.id, invitations_of)
}

/// Inserts a patient with the head of their changes and of their audit chain.
pub fn insert_patient(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<()> {
    let patient = access.patient();
    let row = PatientRow { id: patient, account_id: access.account()?, created_at: At(access.now()) };
    // The workers make the first plan.
    let plan = (patients::plan_version.eq(0_i64), patients::next_plan_at.eq(At(access.now())));
    diesel::insert_into(patients::table).values((row.signed(tx)?, plan)).execute(tx.conn())?;
    // Numbers are above the floor, too.
    let floor = tx.first_version() - 1;
    diesel::insert_into(patient_heads::table)
        .values((
            patient_heads::patient_id.eq(patient),
            patient_heads::change_seq.eq(floor),
            patient_heads::version_floor.eq(floor),
            patient_heads::has_rules.eq(false),
            patient_heads::audit_seq.eq(0_i64),
            patient_heads::audit_mac.eq(Vec::new()),
        ))
        .execute(tx.conn())?;
    Ok(())
}
