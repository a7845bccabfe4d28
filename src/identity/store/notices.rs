//! The letters that owners of accounts are to get.

use diesel::prelude::*;
use jiff::{SignedDuration, Timestamp};

use crate::db::schema::owner_notices;
use crate::db::{At, Both, Tx};
use crate::identity::model::Notice;
use crate::kernel::id::Account;
use crate::kernel::{Id, Result};
use crate::locked;

/// The time within which an owner gets one letter of a kind: whoever has got in cannot bury them under letters.
const PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// A letter that the owner of an account is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueNotice {
    /// The account.
    pub account: Id<Account>,
    /// What it says; `None` for a number that was never given.
    pub notice: Option<Notice>,
    kind: i32,
    due_at: At,
}

/// Asks for a letter to the owner of an account, in the unit of what it tells of. Nothing is asked for within an hour
/// of another one of the kind.
///
/// # Errors
///
/// When the database cannot be written.
pub fn ask_notice(tx: &mut Tx<'_>, account: Id<Account>, notice: Notice, now: Timestamp) -> Result<()> {
    let own = owner_notices::table
        .filter(owner_notices::account_id.eq(account))
        .filter(owner_notices::kind.eq(notice.number()));
    let last: Vec<At> = locked!(tx, for_update, own.select(owner_notices::asked_at))?;
    let values = (owner_notices::due_at.eq(Some(At(now))), owner_notices::asked_at.eq(At(now)));
    let Some(last) = last.first() else {
        let row = (owner_notices::account_id.eq(account), owner_notices::kind.eq(notice.number()), values);
        Both(diesel::insert_into(owner_notices::table).values(row).on_conflict_do_nothing()).execute(tx.conn())?;
        return Ok(());
    };
    if now.duration_since(last.0) >= PAUSE {
        diesel::update(own).set(values).execute(tx.conn())?;
    }
    Ok(())
}

/// Lists up to `most` letters that are to be written, the longest waiting first.
///
/// Spans accounts: rests on the partial index `owner_notices_due`.
///
/// # Errors
///
/// When they cannot be read.
pub fn list_due_notices(tx: &mut Tx<'_>, now: Timestamp, most: i64) -> Result<Vec<DueNotice>> {
    let rows: Vec<(Id<Account>, i32, Option<At>)> = owner_notices::table
        .filter(owner_notices::due_at.is_not_null())
        .filter(owner_notices::due_at.le(At(now)))
        .order(owner_notices::due_at)
        .limit(most)
        .select((owner_notices::account_id, owner_notices::kind, owner_notices::due_at))
        .load(tx.conn())?;
    let due = |(account, kind, due_at): (Id<Account>, i32, Option<At>)| {
        due_at.map(|due_at| DueNotice { account, notice: Notice::of(kind), kind, due_at })
    };
    Ok(rows.into_iter().filter_map(due).collect())
}

/// Notes that a letter was written. Of concurrent units only one gets `true`.
///
/// # Errors
///
/// When the database cannot be written.
pub fn mark_notice_written(tx: &mut Tx<'_>, seen: &DueNotice) -> Result<bool> {
    let none: Option<At> = None;
    let own = owner_notices::table
        .filter(owner_notices::account_id.eq(seen.account))
        .filter(owner_notices::kind.eq(seen.kind))
        .filter(owner_notices::due_at.eq(seen.due_at));
    Ok(diesel::update(own).set(owner_notices::due_at.eq(none)).execute(tx.conn())? == 1)
}
