//! Clinics and their members.

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql};
use diesel::prelude::*;
use diesel::sql_types::Integer;
use jiff::Timestamp;

use crate::care::model::Capabilities;
use crate::db::schema::{clinics, staff_members};
use crate::db::{At, Both, Tx};
use crate::kernel::id::{Account, Clinic};
use crate::kernel::{Id, Result};
use crate::locked;

/// Finds the clinic that was made first, and the instant at which it was made.
pub fn first_clinic(tx: &mut Tx<'_>) -> Result<Option<(Id<Clinic>, Timestamp)>> {
    let found: Option<(Id<Clinic>, At)> = clinics::table
        .order((clinics::created_at, clinics::id))
        .select((clinics::id, clinics::created_at))
        .first(tx.conn())
        .optional()?;
    Ok(found.map(|(id, at)| (id, at.0)))
}

/// Inserts a clinic with its sealed document.
pub fn insert_clinic(tx: &mut Tx<'_>, id: Id<Clinic>, doc: &[u8], now: Timestamp) -> Result<()> {
    diesel::insert_into(clinics::table)
        .values((clinics::id.eq(id), clinics::doc.eq(doc), clinics::version.eq(1_i64), clinics::created_at.eq(At(now))))
        .execute(tx.conn())?;
    Ok(())
}

/// Finds the sealed documents of clinics with their versions, in no order.
pub fn clinic_docs(tx: &mut Tx<'_>, ids: &[Id<Clinic>]) -> Result<Vec<(Id<Clinic>, i64, Vec<u8>)>> {
    Ok(clinics::table
        .filter(clinics::id.eq_any(ids.iter().copied()))
        .select((clinics::id, clinics::version, clinics::doc))
        .load(tx.conn())?)
}

/// Lists the clinics where `account` works, with their capabilities.
pub fn memberships(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Vec<(Id<Clinic>, Capabilities)>> {
    Ok(staff_members::table
        .filter(staff_members::account_id.eq(account))
        .filter(staff_members::ended_at.is_null())
        .order(staff_members::clinic_id)
        .select((staff_members::clinic_id, staff_members::capabilities))
        .load(tx.conn())?)
}

/// A member of a clinic.
#[derive(Clone, Copy, Debug, Queryable, Selectable)]
#[diesel(table_name = staff_members)]
pub struct Member {
    /// The account.
    #[diesel(column_name = account_id)]
    pub account: Id<Account>,
    /// The capabilities.
    pub capabilities: Capabilities,
    /// The instant of joining.
    #[diesel(column_name = created_at)]
    pub since: At,
}

impl<DB: Backend> Queryable<Integer, DB> for Capabilities
where
    i32: FromSql<Integer, DB>,
{
    type Row = i32;
    fn build(bits: i32) -> deserialize::Result<Self> {
        Ok(Self::from_bits(bits))
    }
}

/// Lists every member of a clinic by account, and holds them until a writing unit ends.
pub fn hold_members(tx: &mut Tx<'_>, clinic: Id<Clinic>) -> Result<Vec<Member>> {
    Ok(locked!(
        tx,
        for_update,
        staff_members::table
            .filter(staff_members::clinic_id.eq(clinic))
            .filter(staff_members::ended_at.is_null())
            .order(staff_members::account_id)
            .select(Member::as_select())
    )?)
}

/// Finds a member of a clinic, present or former.
pub fn find_member(tx: &mut Tx<'_>, clinic: Id<Clinic>, account: Id<Account>) -> Result<Option<Member>> {
    let mut rows: Vec<Member> = staff_members::table
        .filter(staff_members::clinic_id.eq(clinic))
        .filter(staff_members::account_id.eq(account))
        .select(Member::as_select())
        .load(tx.conn())?;
    Ok(rows.pop())
}

/// Lists a page of a clinic's members, by account, after `after`.
pub fn list_members(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    after: Option<Id<Account>>,
    limit: i64,
) -> Result<Vec<Member>> {
    Ok(staff_members::table
        .filter(staff_members::clinic_id.eq(clinic))
        .filter(staff_members::ended_at.is_null())
        .filter(staff_members::account_id.gt(after.unwrap_or(Id::from_uuid(uuid::Uuid::nil()))))
        .order(staff_members::account_id)
        .limit(limit)
        .select(Member::as_select())
        .load(tx.conn())?)
}

/// Counts the members of a clinic.
pub fn count_members(tx: &mut Tx<'_>, clinic: Id<Clinic>) -> Result<i64> {
    let members = staff_members::table.filter(staff_members::clinic_id.eq(clinic));
    Ok(members.filter(staff_members::ended_at.is_null()).count().get_result(tx.conn())?)
}

/// Makes `account` a member, for the first time or again. Returns `false` when it is one already.
pub fn insert_member(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    account: Id<Account>,
    capabilities: Capabilities,
    now: Timestamp,
) -> Result<bool> {
    let inserted = Both(
        diesel::insert_into(staff_members::table)
            .values((
                staff_members::clinic_id.eq(clinic),
                staff_members::account_id.eq(account),
                staff_members::capabilities.eq(capabilities.bits()),
                staff_members::created_at.eq(At(now)),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn())?;
    if inserted == 1 {
        return Ok(true);
    }
    let former = staff_members::table
        .filter(staff_members::clinic_id.eq(clinic))
        .filter(staff_members::account_id.eq(account))
        .filter(staff_members::ended_at.is_not_null());
    let returned = diesel::update(former)
        .set((
            staff_members::capabilities.eq(capabilities.bits()),
            staff_members::created_at.eq(At(now)),
            staff_members::ended_at.eq(None::<At>),
        ))
        .execute(tx.conn())?;
    Ok(returned == 1)
}

/// Changes a member's capabilities; with `ended`, they no longer work there.
pub fn update_member(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    account: Id<Account>,
    capabilities: Capabilities,
    ended: Option<Timestamp>,
) -> Result<()> {
    let row =
        staff_members::table.filter(staff_members::clinic_id.eq(clinic)).filter(staff_members::account_id.eq(account));
    diesel::update(row)
        .set((staff_members::capabilities.eq(capabilities.bits()), staff_members::ended_at.eq(ended.map(At))))
        .execute(tx.conn())?;
    Ok(())
}
