//! The rows of used keys.

use diesel::prelude::*;
use jiff::{Timestamp, ToSpan};
use subtle::ConstantTimeEq;

use super::model::{Claim, IdempotentRequest, RecordedOutcome};
use crate::db::schema::idempotency_records;
use crate::db::{AnyConnection, At, Both, Prepared, Tx};
use crate::kernel::id::{Account, Any};
use crate::kernel::{Code, Error, Id, Result, limits};

/// Claims the key of `once` for `account`, or finds the result kept under it. Kept for 24 hours.
///
/// # Errors
///
/// [`Code::KeyReused`] when the key came with another request before.
pub(super) fn claim(tx: &mut Tx<'_>, account: Id<Account>, once: &IdempotentRequest, now: Timestamp) -> Result<Claim> {
    let Some(key) = once.key else { return Ok(Claim::Fresh) };
    if claims_before(tx, once) && insert(tx, account, &key, once, once.probable, now)? {
        return Ok(Claim::Fresh);
    }
    find(tx, account, once)
}

/// Finds the result kept under the key of `once`, and claims nothing.
///
/// # Errors
///
/// As [`claim`].
pub(super) fn find(tx: &mut Tx<'_>, account: Id<Account>, once: &IdempotentRequest) -> Result<Claim> {
    let Some(key) = once.key else { return Ok(Claim::Fresh) };
    let rows: Vec<(Vec<u8>, i32, Option<Id<Any>>)> = Both(
        idempotency_records::table
            .filter(idempotency_records::account_id.eq(account))
            .filter(idempotency_records::key_hash.eq(key.to_vec()))
            .select((idempotency_records::fingerprint, idempotency_records::status, idempotency_records::reference)),
    )
    .load(tx.conn())?;
    let Some((fingerprint, status, reference)) = rows.into_iter().next() else { return Ok(Claim::Fresh) };
    if !bool::from(fingerprint.as_slice().ct_eq(&once.fingerprint)) {
        return Err(Error::Malformed(Code::KeyReused, "the key came with another request before".to_owned()));
    }
    let status = u16::try_from(status).map_err(|_range| Error::corrupt("idempotency_records", account))?;
    Ok(Claim::Completed(RecordedOutcome { status, reference: reference.map(Id::uuid) }))
}

/// Keeps what was done under the key.
pub(super) fn record_outcome(
    tx: &mut Tx<'_>,
    account: Id<Account>,
    once: &IdempotentRequest,
    done: RecordedOutcome,
    now: Timestamp,
) -> Result<()> {
    let Some(key) = once.key else { return Ok(()) };
    // One of 256 keys pays for the others.
    if key.first() == Some(&0) {
        forget_oldest(tx, account)?;
    }
    if !claims_before(tx, once) {
        insert(tx, account, &key, once, Some(done), now)?;
        return Ok(());
    }
    if once.probable == Some(done) {
        return Ok(());
    }
    let own = idempotency_records::table.filter(idempotency_records::account_id.eq(account));
    Prepared(diesel::update(own.filter(idempotency_records::key_hash.eq(key.to_vec()))).set((
        idempotency_records::status.eq(i32::from(done.status)),
        idempotency_records::reference.eq(done.reference.map(Id::<Any>::from_uuid)),
    )))
    .run(tx.conn())?;
    Ok(())
}

/// Whether the row is written before the work. On PostgreSQL a request with the same key could come between claim and
/// settlement: the row makes it wait. SQLite has one writer: there the row waits for settlement, unless the claim can
/// already say what will be done. It is written once then, and nothing is looked up.
fn claims_before(tx: &mut Tx<'_>, once: &IdempotentRequest) -> bool {
    once.probable.is_some() || matches!(tx.conn(), AnyConnection::Pg(_))
}

/// Inserts the row of a key. Returns `false` when there is one.
fn insert(
    tx: &mut Tx<'_>,
    account: Id<Account>,
    key: &[u8; 32],
    once: &IdempotentRequest,
    done: Option<RecordedOutcome>,
    now: Timestamp,
) -> Result<bool> {
    let inserted = Both(
        diesel::insert_into(idempotency_records::table)
            .values((
                idempotency_records::account_id.eq(account),
                idempotency_records::key_hash.eq(key.to_vec()),
                idempotency_records::fingerprint.eq(once.fingerprint.to_vec()),
                idempotency_records::status.eq(done.map_or(0, |done| i32::from(done.status))),
                idempotency_records::reference.eq(done.and_then(|done| done.reference).map(Id::<Any>::from_uuid)),
                idempotency_records::created_at.eq(At(now)),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn())?;
    Ok(inserted == 1)
}

/// Forgets the oldest keys of an account that has too many.
fn forget_oldest(tx: &mut Tx<'_>, account: Id<Account>) -> Result<()> {
    let own = idempotency_records::table.filter(idempotency_records::account_id.eq(account));
    let last: Option<At> = own
        .order(idempotency_records::created_at.desc())
        .offset(limits::IDEMPOTENCY_KEYS.rows())
        .limit(1)
        .select(idempotency_records::created_at)
        .first(tx.conn())
        .optional()?;
    if let Some(last) = last {
        diesel::delete(own.filter(idempotency_records::created_at.le(last))).execute(tx.conn())?;
    }
    Ok(())
}

/// Deletes keys that are 24 hours old, about `most` of them at a time: those of one instant go together. Returns their
/// number.
///
/// Spans accounts: rests on the index `idempotency_records_created`.
pub(super) fn delete_old(tx: &mut Tx<'_>, now: Timestamp, most: i64) -> Result<usize> {
    let old = At(now.checked_sub(24.hours()).unwrap_or(now));
    let last: Option<At> = idempotency_records::table
        .filter(idempotency_records::created_at.le(old))
        .order(idempotency_records::created_at)
        .offset(most)
        .limit(1)
        .select(idempotency_records::created_at)
        .first(tx.conn())
        .optional()?;
    let upto = idempotency_records::created_at.le(last.unwrap_or(old));
    Ok(diesel::delete(idempotency_records::table.filter(upto)).execute(tx.conn())?)
}
