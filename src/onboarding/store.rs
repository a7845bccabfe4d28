//! Invitations, looked up by the hash of their code (index `invitations_code`); the first rows of a patient; the
//! server's own values.

use diesel::prelude::*;
use jiff::Timestamp;

use super::model::Invitee;
use crate::care::access::{Access, Write};
use crate::care::model::Capabilities;
use crate::db::schema::{invitations, patient_heads, patients, staff_members};
use crate::db::{At, Tx};
use crate::kernel::id::{Account, Clinic, Invitation};
use crate::kernel::{Id, Result};

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

/// Inserts an invitation.
pub fn insert_invitation(tx: &mut Tx<'_>, inviter: Id<Account>, new: &NewInvitation, now: Timestamp) -> Result<()> {
    diesel::insert_into(invitations::table)
        .values((
            invitations::id.eq(new.id),
            invitations::code_hash.eq(&new.code_hash),
            invitations::clinic_id.eq(new.clinic),
            invitations::inviter_id.eq(inviter),
            invitations::capabilities.eq(new.invitee.bits()),
            invitations::email_key.eq(&new.email_key),
            invitations::doc.eq(&new.doc),
            invitations::created_at.eq(At(now)),
            invitations::expires_at.eq(At(new.expires_at)),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// An invitation that may be used.
#[derive(Clone, Debug)]
pub struct OpenInvitation {
    /// Its id.
    pub id: Id<Invitation>,
    /// The clinic.
    pub clinic: Id<Clinic>,
    /// The inviter.
    pub inviter: Id<Account>,
    /// The invitee.
    pub invitee: Invitee,
    /// The keyed hash of the address it is bound to.
    pub email_key: Option<Vec<u8>>,
}

type OpenRow = (Id<Invitation>, Id<Clinic>, Id<Account>, Option<i32>, Option<Vec<u8>>, i32);

/// Finds the invitation of a code: not used, revoked or expired, by an inviter who may still invite such a person.
pub fn find_open(tx: &mut Tx<'_>, code_hash: &[u8], now: Timestamp) -> Result<Option<OpenInvitation>> {
    let row: Option<OpenRow> = invitations::table
        .inner_join(
            staff_members::table.on(staff_members::clinic_id
                .eq(invitations::clinic_id)
                .and(staff_members::account_id.eq(invitations::inviter_id))),
        )
        .filter(invitations::code_hash.eq(code_hash))
        .filter(invitations::used_at.is_null())
        .filter(invitations::revoked_at.is_null())
        .filter(invitations::expires_at.gt(At(now)))
        .filter(staff_members::ended_at.is_null())
        .select((
            invitations::id,
            invitations::clinic_id,
            invitations::inviter_id,
            invitations::capabilities,
            invitations::email_key,
            staff_members::capabilities,
        ))
        .first(tx.conn())
        .optional()?;
    Ok(row.and_then(|(id, clinic, inviter, bits, email_key, may)| {
        let invitee = Invitee::of(bits);
        let honoured = invitee.invited_by(Capabilities::from_bits(may));
        honoured.then_some(OpenInvitation { id, clinic, inviter, invitee, email_key })
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

/// A used invitation.
#[derive(Clone, Copy, Debug)]
pub struct UsedInvitation {
    /// The account that used it.
    pub account: Id<Account>,
    /// The clinic.
    pub clinic: Id<Clinic>,
    /// The inviter.
    pub inviter: Id<Account>,
}

/// Finds the invitation of a code that was used at `since` or later.
pub fn find_used(tx: &mut Tx<'_>, code_hash: &[u8], since: Timestamp) -> Result<Option<UsedInvitation>> {
    let row: Option<(Option<Id<Account>>, Id<Clinic>, Id<Account>)> = invitations::table
        .filter(invitations::code_hash.eq(code_hash))
        .filter(invitations::used_at.ge(At(since)))
        .select((invitations::used_by, invitations::clinic_id, invitations::inviter_id))
        .first(tx.conn())
        .optional()?;
    Ok(row.and_then(|(by, clinic, inviter)| by.map(|account| UsedInvitation { account, clinic, inviter })))
}

/// Marks an invitation used. Only one of concurrent units gets `true`.
pub fn mark_used(tx: &mut Tx<'_>, id: Id<Invitation>, by: Id<Account>, now: Timestamp) -> Result<bool> {
    let open = invitations::table
        .filter(invitations::id.eq(id))
        .filter(invitations::used_at.is_null())
        .filter(invitations::revoked_at.is_null());
    let used =
        diesel::update(open).set((invitations::used_at.eq(At(now)), invitations::used_by.eq(by))).execute(tx.conn())?;
    Ok(used == 1)
}

/// Revokes an invitation that is not used. Returns `false` when it is used.
pub fn mark_invitation_revoked(tx: &mut Tx<'_>, id: Id<Invitation>, now: Timestamp) -> Result<bool> {
    let unused = invitations::table.filter(invitations::id.eq(id)).filter(invitations::used_at.is_null());
    Ok(diesel::update(unused).set(invitations::revoked_at.eq(At(now))).execute(tx.conn())? == 1)
}

/// A stored invitation.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = invitations)]
pub struct InvitationRow {
    /// Its id.
    pub id: Id<Invitation>,
    /// The clinic.
    #[diesel(column_name = clinic_id)]
    pub clinic: Id<Clinic>,
    /// The inviter.
    #[diesel(column_name = inviter_id)]
    pub inviter: Id<Account>,
    /// The capabilities of the invited person; none for patients.
    pub capabilities: Option<i32>,
    /// The sealed document.
    pub doc: Vec<u8>,
    /// The instant of its creation.
    pub created_at: At,
    /// The instant at which it expires.
    pub expires_at: At,
    /// The instant of the lease.
    pub used_at: Option<At>,
    /// The instant of the revocation.
    pub revoked_at: Option<At>,
}

/// Finds an invitation by its id.
pub fn find_invitation(tx: &mut Tx<'_>, id: Id<Invitation>) -> Result<Option<InvitationRow>> {
    Ok(invitations::table
        .filter(invitations::id.eq(id))
        .select(InvitationRow::as_select())
        .first(tx.conn())
        .optional()?)
}

/// Lists the invitations of these clinics that `inviter` made, and all of those in `administered`, newest first, made
/// before `before`.
pub fn list_invitations(
    tx: &mut Tx<'_>,
    clinics: &[Id<Clinic>],
    administered: &[Id<Clinic>],
    inviter: Id<Account>,
    before: Option<Id<Invitation>>,
    limit: i64,
) -> Result<Vec<InvitationRow>> {
    Ok(invitations::table
        .filter(invitations::clinic_id.eq_any(clinics.iter().copied()))
        .filter(invitations::inviter_id.eq(inviter).or(invitations::clinic_id.eq_any(administered.iter().copied())))
        .filter(invitations::id.lt(before.unwrap_or(Id::from_uuid(uuid::Uuid::max()))))
        .order(invitations::id.desc())
        .limit(limit)
        .select(InvitationRow::as_select())
        .load(tx.conn())?)
}

/// Inserts a patient with the head of their changes and of their audit chain.
pub fn insert_patient(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<()> {
    let patient = access.patient();
    diesel::insert_into(patients::table)
        .values((
            patients::id.eq(patient),
            patients::account_id.eq(access.account()?),
            patients::plan_version.eq(0_i64),
            // The workers make the first plan.
            patients::next_plan_at.eq(At(access.now())),
            patients::created_at.eq(At(access.now())),
        ))
        .execute(tx.conn())?;
    diesel::insert_into(patient_heads::table)
        .values((
            patient_heads::patient_id.eq(patient),
            patient_heads::change_seq.eq(0_i64),
            patient_heads::audit_seq.eq(0_i64),
            patient_heads::audit_mac.eq(Vec::new()),
        ))
        .execute(tx.conn())?;
    Ok(())
}
