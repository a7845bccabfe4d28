//! Letters and the proofs of addresses.

use diesel::prelude::*;
use jiff::{SignedDuration, Timestamp};

use super::model::ProofPurpose;
use crate::db::authentic::checked;
use crate::db::schema::{address_proofs, letters};
use crate::db::{At, Stored, Tx, columns, hold_name};
use crate::kernel::id::{Account, AddressProof, Letter};
use crate::kernel::{Id, Result};
use crate::{authentic, locked};

/// The time for which a letter is left to the worker that took it.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

authentic! {
    /// A proof of an address.
    pub struct ProofRow of address_proofs {
        /// Its id.
        id: Id<AddressProof>,
        /// The keyed hash of its code.
        code_hash: Vec<u8>,
        /// The number of its [`ProofPurpose`].
        purpose: i32,
        /// The keyed hash of the address.
        email_key: Vec<u8>,
        /// The account whose address it proves, or whose passphrase its code has set.
        account_id: Option<Id<Account>>,
        /// The instant of its creation.
        created_at: At,
        /// The instant at which it expires.
        expires_at: At,
        /// The instant of its use.
        used_at: Option<At>,
    }
}

/// A letter that a worker has taken.
#[derive(Clone, Debug)]
pub(super) struct LeasedLetter {
    pub id: Id<Letter>,
    pub doc: Vec<u8>,
    /// The number of attempts, this one included.
    pub attempts: i32,
    pub expires_at: Timestamp,
}

/// Inserts a letter that is due at once.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: Id<Letter>,
    doc: &[u8],
    (now, expires_at): (Timestamp, Timestamp),
) -> Result<()> {
    diesel::insert_into(letters::table)
        .values((
            letters::id.eq(id),
            letters::doc.eq(doc),
            letters::attempts.eq(0),
            letters::created_at.eq(At(now)),
            letters::expires_at.eq(At(expires_at)),
            letters::due_at.eq(Some(At(now))),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Takes up to `most` letters that are due: they are due again when the lease has run out.
///
/// Spans accounts: rests on the partial index `letters_due`.
pub(super) fn lease(tx: &mut Tx<'_>, now: Timestamp, most: i64) -> Result<Vec<LeasedLetter>> {
    let due = letters::table
        .filter(letters::due_at.is_not_null())
        .filter(letters::due_at.le(At(now)))
        .order(letters::due_at)
        .limit(most)
        .select((letters::id, letters::doc, letters::attempts, letters::expires_at));
    let rows: Vec<(Id<Letter>, Vec<u8>, i32, At)> = locked!(tx, for_update, due)?;
    let ids: Vec<Id<Letter>> = rows.iter().map(|(id, ..)| *id).collect();
    let until = now.saturating_add(LEASE).unwrap_or(now);
    diesel::update(letters::table.filter(letters::id.eq_any(ids)))
        .set((letters::due_at.eq(Some(At(until))), letters::attempts.eq(letters::attempts + 1)))
        .execute(tx.conn())?;
    let leased =
        |(id, doc, attempts, at): (_, _, i32, At)| LeasedLetter { id, doc, attempts: attempts + 1, expires_at: at.0 };
    Ok(rows.into_iter().map(leased).collect())
}

/// Puts a letter off.
pub(super) fn mark_due(tx: &mut Tx<'_>, id: Id<Letter>, at: Timestamp) -> Result<()> {
    let own = letters::table.filter(letters::id.eq(id)).filter(letters::done_at.is_null());
    diesel::update(own).set(letters::due_at.eq(Some(At(at)))).execute(tx.conn())?;
    Ok(())
}

/// Notes that a letter has left, or is given up.
pub(super) fn mark_done(tx: &mut Tx<'_>, id: Id<Letter>, now: Timestamp) -> Result<()> {
    let none: Option<At> = None;
    diesel::update(letters::table.filter(letters::id.eq(id)))
        .set((letters::due_at.eq(none), letters::done_at.eq(Some(At(now)))))
        .execute(tx.conn())?;
    Ok(())
}

/// Deletes up to `most` letters that were done at `before` or earlier. Returns their number.
///
/// Spans accounts: rests on the partial index `letters_done`.
pub(super) fn delete_done(tx: &mut Tx<'_>, before: Timestamp, most: i64) -> Result<usize> {
    let old: Vec<Id<Letter>> = letters::table
        .filter(letters::done_at.is_not_null())
        .filter(letters::done_at.le(At(before)))
        .order(letters::done_at)
        .limit(most)
        .select(letters::id)
        .load(tx.conn())?;
    Ok(diesel::delete(letters::table.filter(letters::id.eq_any(&old))).execute(tx.conn())?)
}

/// Holds what proofs are counted by until the unit ends: the account that asks for one, and the address. They are held
/// by name, because an address may belong to no account and then has no row; the same is done for every address.
pub(super) fn hold_counted(tx: &mut Tx<'_>, account: Option<Id<Account>>, email_key: &[u8]) -> Result<()> {
    if let Some(account) = account {
        hold_name(tx, "proofs of an account", account.uuid().as_bytes())?;
    }
    hold_name(tx, "proofs of an address", email_key)
}

/// Counts the proofs of an address for a purpose that were made after `since`.
pub(super) fn count_proofs(tx: &mut Tx<'_>, email_key: &[u8], purpose: ProofPurpose, since: Timestamp) -> Result<i64> {
    let of_address = address_proofs::table
        .filter(address_proofs::email_key.eq(email_key))
        .filter(address_proofs::purpose.eq(purpose.number()));
    Ok(of_address.filter(address_proofs::created_at.gt(At(since))).count().get_result(tx.conn())?)
}

/// Counts the proofs that an account has asked for after `since`, of any address.
pub(super) fn count_proofs_of(tx: &mut Tx<'_>, account: Id<Account>, since: Timestamp) -> Result<i64> {
    let of_account = address_proofs::table.filter(address_proofs::account_id.eq(account));
    Ok(of_account.filter(address_proofs::created_at.gt(At(since))).count().get_result(tx.conn())?)
}

/// Finds the instant after `since` at which a proof for a purpose was last used for an account.
pub(super) fn find_last_use(
    tx: &mut Tx<'_>,
    account: Id<Account>,
    purpose: ProofPurpose,
    since: Timestamp,
) -> Result<Option<Timestamp>> {
    let used: Vec<Stored<ProofRow>> = address_proofs::table
        .filter(address_proofs::account_id.eq(account))
        .filter(address_proofs::purpose.eq(purpose.number()))
        .filter(address_proofs::used_at.gt(At(since)))
        .select(columns::<Stored<ProofRow>>())
        .load(tx.conn())?;
    Ok(checked(tx, used)?.into_iter().filter_map(|row| row.used_at).map(|at| at.0).max())
}

/// Inserts a proof.
pub(super) fn insert_proof(tx: &mut Tx<'_>, row: &ProofRow) -> Result<()> {
    diesel::insert_into(address_proofs::table).values(row.signed(tx)?).execute(tx.conn())?;
    Ok(())
}

/// Finds the proof of a code that was not used and has not expired.
pub(super) fn find_open_proof(
    tx: &mut Tx<'_>,
    code_hash: &[u8],
    purpose: ProofPurpose,
    now: Timestamp,
) -> Result<Option<ProofRow>> {
    let found: Option<Stored<ProofRow>> = address_proofs::table
        .filter(address_proofs::code_hash.eq(code_hash))
        .filter(address_proofs::purpose.eq(purpose.number()))
        .filter(address_proofs::used_at.is_null())
        .filter(address_proofs::expires_at.gt(At(now)))
        .select(columns::<Stored<ProofRow>>())
        .first(tx.conn())
        .optional()?;
    found.map_or(Ok(None), |row| row.checked(tx))
}

/// Whether the proof of a code was used.
pub(super) fn is_proof_used(tx: &mut Tx<'_>, code_hash: &[u8], purpose: ProofPurpose) -> Result<bool> {
    let found: Option<Stored<ProofRow>> = address_proofs::table
        .filter(address_proofs::code_hash.eq(code_hash))
        .filter(address_proofs::purpose.eq(purpose.number()))
        .filter(address_proofs::used_at.is_not_null())
        .select(columns::<Stored<ProofRow>>())
        .first(tx.conn())
        .optional()?;
    Ok(found.map_or(Ok(None), |row| row.checked(tx))?.is_some())
}

/// Holds the proofs of an address for a purpose that were not used, until the unit ends.
pub(super) fn hold_open_proofs(tx: &mut Tx<'_>, email_key: &[u8], purpose: i32) -> Result<Vec<ProofRow>> {
    let open = address_proofs::table
        .filter(address_proofs::email_key.eq(email_key.to_vec()))
        .filter(address_proofs::purpose.eq(purpose))
        .filter(address_proofs::used_at.is_null())
        .select(columns::<Stored<ProofRow>>());
    let found: Vec<Stored<ProofRow>> = locked!(tx, for_update, open)?;
    checked(tx, found)
}

/// Holds the proofs that an account has asked for and that were not used, until the unit ends.
pub(super) fn hold_open_proofs_of(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Vec<ProofRow>> {
    let open = address_proofs::table
        .filter(address_proofs::account_id.eq(account))
        .filter(address_proofs::used_at.is_null())
        .select(columns::<Stored<ProofRow>>());
    let found: Vec<Stored<ProofRow>> = locked!(tx, for_update, open)?;
    checked(tx, found)
}

/// Notes that a proof was used. Its row is held.
pub(super) fn mark_proof_used(tx: &mut Tx<'_>, row: ProofRow, now: Timestamp) -> Result<()> {
    let row = ProofRow { used_at: Some(At(now)), ..row };
    let own = address_proofs::table.filter(address_proofs::id.eq(row.id));
    diesel::update(own).set(row.signed(tx)?).execute(tx.conn())?;
    Ok(())
}

/// Deletes up to `most` proofs that expired at `before` or earlier. Returns their number.
///
/// Spans accounts: rests on the index `address_proofs_expires`.
pub(super) fn delete_expired(tx: &mut Tx<'_>, before: Timestamp, most: i64) -> Result<usize> {
    let old: Vec<Id<AddressProof>> = address_proofs::table
        .filter(address_proofs::expires_at.le(At(before)))
        .order(address_proofs::expires_at)
        .limit(most)
        .select(address_proofs::id)
        .load(tx.conn())?;
    Ok(diesel::delete(address_proofs::table.filter(address_proofs::id.eq_any(&old))).execute(tx.conn())?)
}
