//! Clinics and who works there.

use diesel::prelude::*;
use jiff::Timestamp;

use crate::care::model::Capabilities;
use crate::db::schema::{clinics, settings, staff_members};
use crate::db::{At, Both, Tx};
use crate::kernel::id::{Account, Clinic};
use crate::kernel::{Id, Result};
use crate::locked;

/// Whether there is a clinic.
pub fn any_clinic(tx: &mut Tx<'_>) -> Result<bool> {
    let found: Option<Id<Clinic>> = clinics::table.select(clinics::id).first(tx.conn()).optional()?;
    Ok(found.is_some())
}

/// Inserts a clinic with its sealed document.
pub fn insert_clinic(tx: &mut Tx<'_>, id: Id<Clinic>, doc: &[u8], now: Timestamp) -> Result<()> {
    diesel::insert_into(clinics::table)
        .values((clinics::id.eq(id), clinics::doc.eq(doc), clinics::version.eq(1_i64), clinics::created_at.eq(At(now))))
        .execute(tx.conn())?;
    Ok(())
}

/// The sealed documents of clinics with their versions, in no order.
pub fn clinic_docs(tx: &mut Tx<'_>, ids: &[Id<Clinic>]) -> Result<Vec<(Id<Clinic>, i64, Vec<u8>)>> {
    Ok(clinics::table
        .filter(clinics::id.eq_any(ids.iter().copied()))
        .select((clinics::id, clinics::version, clinics::doc))
        .load(tx.conn())?)
}

/// A value of the server's own.
pub fn find_setting(tx: &mut Tx<'_>, name: &str) -> Result<Option<Vec<u8>>> {
    Ok(settings::table.filter(settings::name.eq(name)).select(settings::value).first(tx.conn()).optional()?)
}

/// Keeps a value unless there is one.
pub fn insert_setting(tx: &mut Tx<'_>, name: &str, value: &[u8]) -> Result<()> {
    Both(
        diesel::insert_into(settings::table)
            .values((settings::name.eq(name), settings::value.eq(value)))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn())?;
    Ok(())
}

/// Deletes a value if it still is `value`: of several units one hears `true`.
pub fn delete_setting(tx: &mut Tx<'_>, name: &str, value: &[u8]) -> Result<bool> {
    let row = settings::table.filter(settings::name.eq(name)).filter(settings::value.eq(value));
    Ok(diesel::delete(row).execute(tx.conn())? == 1)
}

/// The clinics where `account` works, and what they may do there.
pub fn memberships(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Vec<(Id<Clinic>, Capabilities)>> {
    let rows: Vec<(Id<Clinic>, i32)> = staff_members::table
        .filter(staff_members::account_id.eq(account))
        .filter(staff_members::ended_at.is_null())
        .order(staff_members::clinic_id)
        .select((staff_members::clinic_id, staff_members::capabilities))
        .load(tx.conn())?;
    Ok(rows.into_iter().map(|(clinic, bits)| (clinic, Capabilities::from_bits(bits))).collect())
}

/// Somebody who works at a clinic.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Who.
    pub account: Id<Account>,
    /// What they may do.
    pub capabilities: Capabilities,
    /// Since when.
    pub since: Timestamp,
}

/// Everybody who works at a clinic, held until a writing unit ends, by account.
pub fn hold_members(tx: &mut Tx<'_>, clinic: Id<Clinic>) -> Result<Vec<Member>> {
    let rows: Vec<(Id<Account>, i32, At)> = locked!(
        tx,
        for_update,
        staff_members::table
            .filter(staff_members::clinic_id.eq(clinic))
            .filter(staff_members::ended_at.is_null())
            .order(staff_members::account_id)
            .select((staff_members::account_id, staff_members::capabilities, staff_members::created_at))
    )?;
    Ok(members(rows))
}

/// Somebody who works at a clinic, or has worked there.
pub fn find_member(tx: &mut Tx<'_>, clinic: Id<Clinic>, account: Id<Account>) -> Result<Option<Member>> {
    let rows: Vec<(Id<Account>, i32, At)> = staff_members::table
        .filter(staff_members::clinic_id.eq(clinic))
        .filter(staff_members::account_id.eq(account))
        .select((staff_members::account_id, staff_members::capabilities, staff_members::created_at))
        .load(tx.conn())?;
    Ok(members(rows).pop())
}

/// A page of those who work at a clinic, by account, after `after`.
pub fn list_members(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    after: Option<Id<Account>>,
    limit: i64,
) -> Result<Vec<Member>> {
    let rows: Vec<(Id<Account>, i32, At)> = staff_members::table
        .filter(staff_members::clinic_id.eq(clinic))
        .filter(staff_members::ended_at.is_null())
        .filter(staff_members::account_id.gt(after.unwrap_or(Id::from_uuid(uuid::Uuid::nil()))))
        .order(staff_members::account_id)
        .limit(limit)
        .select((staff_members::account_id, staff_members::capabilities, staff_members::created_at))
        .load(tx.conn())?;
    Ok(members(rows))
}

fn members(rows: Vec<(Id<Account>, i32, At)>) -> Vec<Member> {
    let member = |(account, bits, since): (Id<Account>, i32, At)| Member {
        account,
        capabilities: Capabilities::from_bits(bits),
        since: since.0,
    };
    rows.into_iter().map(member).collect()
}

/// Makes `account` work at a clinic, for the first time or again. `false` when they do already.
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

/// Changes what a member may do; with `ended`, they no longer work there.
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
