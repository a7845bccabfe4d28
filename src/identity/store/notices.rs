//! The letters that owners of accounts are to get.

use diesel::prelude::*;
use jiff::{SignedDuration, Timestamp};

use crate::db::schema::owner_notices;
use crate::db::{At, Both, Tx};
use crate::identity::model::Notice;
use crate::kernel::id::Account;
use crate::kernel::{Id, Result};
use crate::locked;

/// The time within which an owner gets one letter of a kind: whoever has got in cannot bury them under letters. What
/// happens meanwhile is told by the next one.
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

/// Account, kind and due time of a letter that is to be written.
type DueRow = (Id<Account>, i32, Option<At>);

impl DueNotice {
    fn of_rows(rows: Vec<DueRow>) -> Vec<Self> {
        let due = |(account, kind, due_at): DueRow| {
            due_at.map(|due_at| Self { account, notice: Notice::of(kind), kind, due_at })
        };
        rows.into_iter().filter_map(due).collect()
    }
}

/// Asks for a letter to the owner of an account, in the unit of what it tells of. It is due an hour after the last one
/// of its kind, at once if that is over; one that waits already tells of this as well.
///
/// # Errors
///
/// When the database cannot be written.
pub fn ask_notice(tx: &mut Tx<'_>, account: Id<Account>, notice: Notice, now: Timestamp) -> Result<()> {
    let own = owner_notices::table
        .filter(owner_notices::account_id.eq(account))
        .filter(owner_notices::kind.eq(notice.number()));
    let first = (
        owner_notices::account_id.eq(account),
        owner_notices::kind.eq(notice.number()),
        owner_notices::due_at.eq(Some(At(now))),
        owner_notices::asked_at.eq(At(now)),
    );
    let inserted = Both(diesel::insert_into(owner_notices::table).values(first).on_conflict_do_nothing());
    if inserted.execute(tx.conn())? == 1 {
        return Ok(());
    }
    // The row is held, also one that a concurrent unit has just inserted: a letter that still waits here is written
    // after this unit, and so tells of it.
    let held: Vec<(Option<At>, At)> =
        locked!(tx, for_update, own.select((owner_notices::due_at, owner_notices::asked_at)))?;
    let Some((None, last)) = held.first() else { return Ok(()) };
    let latest = now.saturating_add(PAUSE).unwrap_or(now);
    // The last one may have been written before it was due.
    let due = At(last.0.saturating_add(PAUSE).unwrap_or(now).clamp(now, latest));
    diesel::update(own)
        .set((owner_notices::due_at.eq(Some(due)), owner_notices::asked_at.eq(due)))
        .execute(tx.conn())?;
    Ok(())
}

/// Lists up to `most` letters that are to be written, the longest waiting first, without those of the accounts in
/// `left_out`.
///
/// Spans accounts: rests on the partial index `owner_notices_due`.
///
/// # Errors
///
/// When they cannot be read.
pub fn list_due_notices(
    tx: &mut Tx<'_>,
    now: Timestamp,
    left_out: &[Id<Account>],
    most: i64,
) -> Result<Vec<DueNotice>> {
    let rows: Vec<DueRow> = owner_notices::table
        .filter(owner_notices::due_at.is_not_null())
        .filter(owner_notices::due_at.le(At(now)))
        .filter(owner_notices::account_id.ne_all(left_out.to_vec()))
        .order(owner_notices::due_at)
        .limit(most)
        .select((owner_notices::account_id, owner_notices::kind, owner_notices::due_at))
        .load(tx.conn())?;
    Ok(DueNotice::of_rows(rows))
}

/// Lists the letters that an account is still to get, also those that are put off.
///
/// # Errors
///
/// When they cannot be read.
pub fn list_pending_notices(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Vec<DueNotice>> {
    let rows: Vec<DueRow> = owner_notices::table
        .filter(owner_notices::account_id.eq(account))
        .filter(owner_notices::due_at.is_not_null())
        .order(owner_notices::kind)
        .select((owner_notices::account_id, owner_notices::kind, owner_notices::due_at))
        .load(tx.conn())?;
    Ok(DueNotice::of_rows(rows))
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
