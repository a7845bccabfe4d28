//! Clinics and their members.

use diesel::prelude::*;
use jiff::Timestamp;

use crate::care::model::Capabilities;
use crate::db::authentic::{all_checked, checked, checked_page};
use crate::db::schema::{clinics, staff_members};
use crate::db::{At, Both, Stored, Tx, columns};
use crate::kernel::id::{Account, Clinic, Patient, Session};
use crate::kernel::{Id, Result};
use crate::{authentic, locked};

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
        .values((
            clinics::id.eq(id),
            clinics::doc.eq(doc),
            clinics::version.eq(tx.first_version()),
            clinics::created_at.eq(At(now)),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Holds a clinic until the unit ends, before what is limited at a clinic is counted. It is held before its members.
pub fn hold_clinic(tx: &mut Tx<'_>, id: Id<Clinic>) -> Result<()> {
    let own = clinics::table.filter(clinics::id.eq(id)).select(clinics::id);
    let _held: Vec<Id<Clinic>> = locked!(tx, for_no_key_update, own)?;
    Ok(())
}

/// Finds the sealed documents of clinics with their versions, in no order.
pub fn clinic_docs(tx: &mut Tx<'_>, ids: &[Id<Clinic>]) -> Result<Vec<(Id<Clinic>, i64, Vec<u8>)>> {
    Ok(clinics::table
        .filter(clinics::id.eq_any(ids.iter().copied()))
        .select((clinics::id, clinics::version, clinics::doc))
        .load(tx.conn())?)
}

authentic! {
    /// A member of a clinic, present or former.
    #[derive(Copy)]
    pub struct Member of staff_members {
        /// The clinic.
        clinic_id: Id<Clinic>,
        /// The account.
        account_id: Id<Account>,
        /// The bits of the capabilities.
        capabilities: i32,
        /// The instant of joining.
        created_at: At,
        /// The end of their work there.
        ended_at: Option<At>,
        /// Its version.
        version: i64,
    } later {
        /// The instant from which the clinic asks its staff for a second factor: the same of every member.
        factor_from: Option<At>,
    }
}

impl Member {
    /// Returns the capabilities.
    pub fn may(&self) -> Capabilities {
        Capabilities::from_bits(self.capabilities)
    }
}

/// Lists the clinics where `account` works, with their capabilities.
pub fn memberships(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Vec<(Id<Clinic>, Capabilities)>> {
    let rows: Vec<Stored<Member>> = staff_members::table
        .filter(staff_members::account_id.eq(account))
        .filter(staff_members::ended_at.is_null())
        .order(staff_members::clinic_id)
        .select(columns::<Stored<Member>>())
        .load(tx.conn())?;
    Ok(checked(tx, rows)?.iter().map(|member| (member.clinic_id, member.may())).collect())
}

/// Lists what [`memberships`] does, where one that is left out would allow something.
///
/// # Errors
///
/// [`Error::Damaged`](crate::kernel::Error::Damaged) when a membership, present or former, does not fit its MAC.
pub fn all_memberships(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Vec<(Id<Clinic>, Capabilities)>> {
    let rows: Vec<Stored<Member>> = staff_members::table
        .filter(staff_members::account_id.eq(account))
        .order(staff_members::clinic_id)
        .select(columns::<Stored<Member>>())
        .load(tx.conn())?;
    let all = all_checked(tx, rows, |member| member.clinic_id.uuid())?;
    let present = all.iter().filter(|member| member.ended_at.is_none());
    Ok(present.map(|member| (member.clinic_id, member.may())).collect())
}

/// Lists every member of a clinic by account, and holds them until a writing unit ends. Meanwhile nobody comes: those
/// who could let them in are held.
pub fn hold_members(tx: &mut Tx<'_>, clinic: Id<Clinic>) -> Result<Vec<Member>> {
    // A statement that waits does not find who came while it waited; the next one does.
    lock_members(tx, clinic)?;
    lock_members(tx, clinic)
}

fn lock_members(tx: &mut Tx<'_>, clinic: Id<Clinic>) -> Result<Vec<Member>> {
    let rows: Vec<Stored<Member>> = locked!(
        tx,
        for_update,
        staff_members::table
            .filter(staff_members::clinic_id.eq(clinic))
            .filter(staff_members::ended_at.is_null())
            .order(staff_members::account_id)
            .select(columns::<Stored<Member>>())
    )?;
    checked(tx, rows)
}

/// Finds a member of a clinic, present or former.
pub fn find_member(tx: &mut Tx<'_>, clinic: Id<Clinic>, account: Id<Account>) -> Result<Option<Member>> {
    let rows: Vec<Stored<Member>> = staff_members::table
        .filter(staff_members::clinic_id.eq(clinic))
        .filter(staff_members::account_id.eq(account))
        .select(columns::<Stored<Member>>())
        .load(tx.conn())?;
    Ok(checked(tx, rows)?.pop())
}

/// Finds a member as [`find_member`] does, and holds them as they are until a writing unit ends: whoever ends their
/// work or takes a capability waits.
pub fn hold_member(tx: &mut Tx<'_>, clinic: Id<Clinic>, account: Id<Account>) -> Result<Option<Member>> {
    let own = staff_members::table
        .filter(staff_members::clinic_id.eq(clinic))
        .filter(staff_members::account_id.eq(account))
        .select(columns::<Stored<Member>>());
    let rows: Vec<Stored<Member>> = locked!(tx, for_share, own)?;
    Ok(checked(tx, rows)?.pop())
}

/// Holds some members of a clinic, present or former, by account, until a writing unit ends: before what is limited for
/// one of them is counted. Whoever ends their work or takes a capability waits, too.
pub fn hold_some_members(tx: &mut Tx<'_>, clinic: Id<Clinic>, accounts: &[Id<Account>]) -> Result<()> {
    let some = staff_members::table
        .filter(staff_members::clinic_id.eq(clinic))
        .filter(staff_members::account_id.eq_any(accounts.iter().copied()))
        .order(staff_members::account_id)
        .select(staff_members::account_id);
    let _held: Vec<Id<Account>> = locked!(tx, for_update, some)?;
    Ok(())
}

/// Lists a page of a clinic's members, by account, after `after`.
pub fn list_members(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    after: Option<Id<Account>>,
    limit: i64,
) -> Result<Vec<Member>> {
    let read = |tx: &mut Tx<'_>, after: Option<Id<Account>>, limit: i64| {
        let rows: Vec<Stored<Member>> = staff_members::table
            .filter(staff_members::clinic_id.eq(clinic))
            .filter(staff_members::ended_at.is_null())
            .filter(staff_members::account_id.gt(after.unwrap_or(Id::from_uuid(uuid::Uuid::nil()))))
            .order(staff_members::account_id)
            .limit(limit)
            .select(columns::<Stored<Member>>())
            .load(tx.conn())?;
        Ok(rows)
    };
    checked_page(tx, (after, limit), read, |member: &Member| member.account_id, checked)
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
    let (capabilities, created_at) = (capabilities.bits(), At(now));
    let (version, factor_from) = (tx.first_version(), find_factor_rule(tx, clinic)?);
    let ended_at = None;
    let row =
        Member { clinic_id: clinic, account_id: account, capabilities, created_at, ended_at, version, factor_from };
    let inserted = Both(diesel::insert_into(staff_members::table).values(row.signed(tx)?).on_conflict_do_nothing());
    if inserted.execute(tx.conn())? == 1 {
        return Ok(true);
    }
    // The version goes on, so that no tag names two states.
    let former = find_member(tx, clinic, account)?.map_or(0, |former| former.version);
    let version = tx.version_after(former);
    let row = Member { version, ..row };
    let former = staff_members::table
        .filter(staff_members::clinic_id.eq(clinic))
        .filter(staff_members::account_id.eq(account))
        .filter(staff_members::ended_at.is_not_null());
    Ok(diesel::update(former).set(row.signed(tx)?).execute(tx.conn())? == 1)
}

/// Finds since when a clinic asks its staff for a second factor.
pub fn find_factor_rule(tx: &mut Tx<'_>, clinic: Id<Clinic>) -> Result<Option<At>> {
    let rows: Vec<Stored<Member>> = staff_members::table
        .filter(staff_members::clinic_id.eq(clinic))
        .filter(staff_members::ended_at.is_null())
        .filter(staff_members::factor_from.is_not_null())
        .select(columns::<Stored<Member>>())
        .load(tx.conn())?;
    Ok(checked(tx, rows)?.pop().and_then(|member| member.factor_from))
}

/// Whether a clinic where `account` works asks its staff for a second factor.
pub fn asks_factor(tx: &mut Tx<'_>, account: Id<Account>) -> Result<bool> {
    let rows: Vec<Stored<Member>> = staff_members::table
        .filter(staff_members::account_id.eq(account))
        .filter(staff_members::ended_at.is_null())
        .filter(staff_members::factor_from.is_not_null())
        .select(columns::<Stored<Member>>())
        .load(tx.conn())?;
    Ok(!checked(tx, rows)?.is_empty())
}

/// Stores a changed member, who is held.
pub fn update_member(tx: &mut Tx<'_>, row: &Member) -> Result<()> {
    let own = staff_members::table
        .filter(staff_members::clinic_id.eq(row.clinic_id))
        .filter(staff_members::account_id.eq(row.account_id));
    diesel::update(own).set(row.signed(tx)?).execute(tx.conn())?;
    Ok(())
}

/// What the patients of a clinic are still to be told of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// The instant from which they are told.
    pub at: At,
    /// The patient who was told last.
    pub after: Option<Id<Patient>>,
    /// The session in which the member got the capability.
    pub session: Option<Id<Session>>,
}

type TellingColumns = (Id<Clinic>, Id<Account>, Option<At>, Option<Id<Patient>>, Option<Id<Session>>);

/// Finds the member of whom patients are to be told, the longest waiting one but for the accounts in `left_out`.
///
/// Spans clinics: rests on the partial index `staff_members_tell`.
pub fn find_to_tell(
    tx: &mut Tx<'_>,
    now: Timestamp,
    left_out: &[Id<Account>],
) -> Result<Option<(Id<Clinic>, Id<Account>, Telling)>> {
    let found: Option<TellingColumns> = staff_members::table
        .filter(staff_members::tell_at.is_not_null())
        .filter(staff_members::tell_at.le(At(now)))
        .filter(staff_members::account_id.ne_all(left_out.to_vec()))
        .order(staff_members::tell_at)
        .select((
            staff_members::clinic_id,
            staff_members::account_id,
            staff_members::tell_at,
            staff_members::tell_after,
            staff_members::tell_session,
        ))
        .first(tx.conn())
        .optional()?;
    let told = |(clinic, account, at, after, session): (_, _, Option<At>, _, _)| {
        at.map(|at| (clinic, account, Telling { at, after, session }))
    };
    Ok(found.and_then(told))
}

/// Finds what is still to be told of a member.
pub fn find_telling(tx: &mut Tx<'_>, (clinic, account): (Id<Clinic>, Id<Account>)) -> Result<Option<Telling>> {
    let found: Option<(Option<At>, Option<Id<Patient>>, Option<Id<Session>>)> = staff_members::table
        .filter(staff_members::clinic_id.eq(clinic))
        .filter(staff_members::account_id.eq(account))
        .select((staff_members::tell_at, staff_members::tell_after, staff_members::tell_session))
        .first(tx.conn())
        .optional()?;
    Ok(found.and_then(|(at, after, session)| at.map(|at| Telling { at, after, session })))
}

/// Stores what is still to be told of a member; `None` when everybody knows.
pub fn update_telling(
    tx: &mut Tx<'_>,
    (clinic, account): (Id<Clinic>, Id<Account>),
    telling: Option<Telling>,
) -> Result<()> {
    let own =
        staff_members::table.filter(staff_members::clinic_id.eq(clinic)).filter(staff_members::account_id.eq(account));
    diesel::update(own)
        .set((
            staff_members::tell_at.eq(telling.map(|telling| telling.at)),
            staff_members::tell_after.eq(telling.and_then(|telling| telling.after)),
            staff_members::tell_session.eq(telling.and_then(|telling| telling.session)),
        ))
        .execute(tx.conn())?;
    Ok(())
}
