//! Accounts, and the counts of failed log-ins. Sessions, second factors and notices have files of their own.

mod factors;
mod notices;
mod sessions;
mod suspension;

use diesel::prelude::*;
use jiff::{SignedDuration, Timestamp};

pub(super) use factors::{
    FactorFound, FactorRow, delete_factor, find_factor, hold_factor, insert_factor, update_factor, update_factor_doc,
};
pub(super) use sessions::{
    Ending, NamedSession, RefreshFound, SessionRow, delete_over, delete_spent, displace, find_live, find_refresh,
    find_refresh_owner, hold_known_sessions, hold_live_sessions, hold_named_session, hold_session, insert_refresh,
    insert_session, list_sessions, mark_logged_out, mark_revoked, mark_spent, refresh_is_unspent, throw_out,
    throw_out_all, update_name, update_session,
};

use super::model::AccountKind;
use crate::db::authentic::checked;
use crate::db::schema::{account_heads, accounts, log_in_failures};
use crate::db::{At, Both, Stored, Tx, columns};
use crate::kernel::id::{Account, Patient};
use crate::kernel::{Error, Id, Result};
use crate::{authentic, locked};

pub use notices::{DueNotice, ask_notice, list_due_notices, list_pending_notices, mark_notice_written};
pub use sessions::{end_all_sessions, live_sessions};
pub(super) use suspension::end_guard;
pub use suspension::{list_disabled, set_disabled};

/// The time for which a count of failed log-ins and an expired session are kept: longer than its last access token
/// lives.
pub(super) const KEPT: SignedDuration = SignedDuration::from_hours(24);

authentic! {
    /// An account. Its sealed profile and credential are bound to the version.
    pub struct AccountRow of accounts {
        /// Its id.
        id: Id<Account>,
        /// Its kind, by name.
        kind: String,
        /// The patient of the account.
        patient_id: Option<Id<Patient>>,
        /// The keyed hash of its address.
        email_key: Vec<u8>,
        /// The instant from which it is disabled.
        disabled_at: Option<At>,
        /// Its version.
        version: i64,
        /// The instant of its creation.
        created_at: At,
    } later {
        /// The instant from which it has a second factor.
        factor_since: Option<At>,
        /// The instant from which its lock is on.
        lock_since: Option<At>,
        /// The instant until which only devices that it knows log in, unless it has a second factor.
        guarded_until: Option<At>,
    }
}

impl AccountRow {
    /// Returns its kind.
    pub(super) fn account_kind(&self) -> Result<AccountKind> {
        AccountKind::parse(&self.kind).ok_or_else(|| Error::corrupt("accounts", self.id))
    }

    /// Whether only devices that it knows log in at `now`.
    pub(super) fn is_guarded(&self, now: Timestamp) -> bool {
        self.guarded_until.is_some_and(|until| until.0 > now)
    }
}

/// Whether the patient has an account that is not disabled.
pub fn is_welcome(tx: &mut Tx<'_>, patient: Id<Patient>) -> Result<bool> {
    let query = accounts::table.filter(accounts::patient_id.eq(patient)).select(columns::<Stored<AccountRow>>());
    let found: Option<Stored<AccountRow>> = query.first(tx.conn()).optional()?;
    let account = found.map_or(Ok(None), |row| row.checked(tx))?;
    Ok(account.is_some_and(|account| account.disabled_at.is_none()))
}

/// Whether there is an account that is not disabled.
pub fn is_enabled(tx: &mut Tx<'_>, id: Id<Account>) -> Result<bool> {
    Ok(find_account(tx, id)?.is_some_and(|account| account.disabled_at.is_none()))
}

/// Whether an account has a second factor that counts. An account that does not fit its MAC is taken to have
/// one: the passphrase alone must not open it.
pub fn has_factor(tx: &mut Tx<'_>, id: Id<Account>) -> Result<bool> {
    let own = accounts::table.filter(accounts::id.eq(id)).select(columns::<Stored<AccountRow>>());
    let found: Option<Stored<AccountRow>> = own.first(tx.conn()).optional()?;
    let Some(found) = found else { return Ok(false) };
    Ok(found.checked(tx)?.is_none_or(|account| account.factor_since.is_some()))
}

/// Finds an account.
pub(super) fn find_account(tx: &mut Tx<'_>, id: Id<Account>) -> Result<Option<AccountRow>> {
    let query = accounts::table.filter(accounts::id.eq(id)).select(columns::<Stored<AccountRow>>());
    let found: Option<Stored<AccountRow>> = query.first(tx.conn()).optional()?;
    found.map_or(Ok(None), |row| row.checked(tx))
}

/// Finds an account, and holds it as it is until the unit ends. Units that hold it wait for each other, so that they
/// cannot keep out the one that changes it: a shared lock is given past whoever waits to write.
pub(super) fn hold_account(tx: &mut Tx<'_>, id: Id<Account>) -> Result<Option<AccountRow>> {
    let own = accounts::table.filter(accounts::id.eq(id)).select(columns::<Stored<AccountRow>>());
    let held: Vec<Stored<AccountRow>> = locked!(tx, for_no_key_update, own)?;
    Ok(checked(tx, held)?.pop())
}

/// Whether there is an account that is not disabled. It is held as it is until the unit ends.
pub fn hold_enabled(tx: &mut Tx<'_>, id: Id<Account>) -> Result<bool> {
    Ok(hold_account(tx, id)?.is_some_and(|account| account.disabled_at.is_none()))
}

/// An account with its sealed documents.
pub(super) struct AccountFound {
    pub account: AccountRow,
    pub profile: Vec<u8>,
    pub credential: Vec<u8>,
}

/// An account with its sealed documents, as it was read.
type AccountDocuments = (Stored<AccountRow>, Vec<u8>, Vec<u8>);

impl AccountFound {
    fn of(tx: &Tx<'_>, found: Option<AccountDocuments>) -> Result<Option<Self>> {
        let Some((account, profile, credential)) = found else { return Ok(None) };
        Ok(account.checked(tx)?.map(|account| Self { account, profile, credential }))
    }
}

/// Finds an account by the keyed hash of its address.
pub(super) fn find_by_email(tx: &mut Tx<'_>, email_key: &[u8]) -> Result<Option<AccountFound>> {
    let found: Option<AccountDocuments> = accounts::table
        .filter(accounts::email_key.eq(email_key))
        .select((columns::<Stored<AccountRow>>(), accounts::profile, accounts::credential))
        .first(tx.conn())
        .optional()?;
    AccountFound::of(tx, found)
}

/// Finds an account with its sealed documents.
pub(super) fn find_documents(tx: &mut Tx<'_>, id: Id<Account>) -> Result<Option<AccountFound>> {
    let found: Option<AccountDocuments> = accounts::table
        .filter(accounts::id.eq(id))
        .select((columns::<Stored<AccountRow>>(), accounts::profile, accounts::credential))
        .first(tx.conn())
        .optional()?;
    AccountFound::of(tx, found)
}

/// Stores a changed account with its sealed profile and credential. Returns `false` when it is no longer as `before`:
/// it has another version, or was disabled or enabled meanwhile, or its guard was ended.
pub(super) fn update_account(
    tx: &mut Tx<'_>,
    (before, row): (&AccountRow, &AccountRow),
    (profile, credential): (&[u8], &[u8]),
) -> Result<bool> {
    let own = accounts::table.filter(accounts::id.eq(row.id));
    let held: Vec<Stored<AccountRow>> = locked!(tx, for_update, own.select(columns::<Stored<AccountRow>>()))?;
    let others = |row: &AccountRow| [row.disabled_at, row.guarded_until].map(|at| at.map(|at| at.0));
    let same = |held: &AccountRow| held.version == before.version && others(held) == others(before);
    if !checked(tx, held)?.first().is_some_and(same) {
        return Ok(false);
    }
    let values = (row.signed(tx)?, accounts::profile.eq(profile), accounts::credential.eq(credential));
    Ok(diesel::update(own).set(values).execute(tx.conn())? == 1)
}

/// Whether an account has the address with this keyed hash.
pub fn is_email_taken(tx: &mut Tx<'_>, email_key: &[u8]) -> Result<bool> {
    let found: Option<Id<Account>> =
        accounts::table.filter(accounts::email_key.eq(email_key)).select(accounts::id).first(tx.conn()).optional()?;
    Ok(found.is_some())
}

/// Finds the keyed hash of an account's address.
pub fn find_email_key(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Option<Vec<u8>>> {
    Ok(find_account(tx, account)?.map(|row| row.email_key))
}

/// Finds the sealed profiles of `ids`, in no order.
pub fn names_of(tx: &mut Tx<'_>, ids: &[Id<Account>]) -> Result<Vec<(Id<Account>, i64, Vec<u8>)>> {
    Ok(accounts::table
        .filter(accounts::id.eq_any(ids.iter().copied()))
        .select((accounts::id, accounts::version, accounts::profile))
        .load(tx.conn())?)
}

/// Inserts an account with its sealed profile and credential, and the head of its audit chain. Returns `false` when its
/// address is taken, also by a concurrent unit.
pub(super) fn insert_account(tx: &mut Tx<'_>, row: &AccountRow, profile: &[u8], credential: &[u8]) -> Result<bool> {
    let values = (row.signed(tx)?, accounts::profile.eq(profile), accounts::credential.eq(credential));
    let inserted = Both(diesel::insert_into(accounts::table).values(values).on_conflict_do_nothing());
    if inserted.execute(tx.conn())? == 0 {
        return Ok(false);
    }
    diesel::insert_into(account_heads::table)
        .values((
            account_heads::account_id.eq(row.id),
            account_heads::audit_seq.eq(0_i64),
            account_heads::audit_mac.eq(Vec::new()),
        ))
        .execute(tx.conn())?;
    Ok(true)
}

/// Finds the failed log-ins in a row of a counter, and the instant until which log-ins fail, and holds the row until
/// the unit ends, so that concurrent log-ins are counted one after the other. Unknown addresses have such rows, too:
/// the same statements run for them.
pub(super) fn hold_failures(tx: &mut Tx<'_>, counter: &[u8], now: Timestamp) -> Result<(i32, Option<Timestamp>)> {
    Both(
        diesel::insert_into(log_in_failures::table)
            .values((
                log_in_failures::counter.eq(counter),
                log_in_failures::failures.eq(0),
                log_in_failures::last_at.eq(At(now)),
            ))
            .on_conflict(log_in_failures::counter)
            .do_update()
            .set(log_in_failures::last_at.eq(At(now))),
    )
    .execute(tx.conn())?;
    let row: (i32, Option<At>) = log_in_failures::table
        .filter(log_in_failures::counter.eq(counter))
        .select((log_in_failures::failures, log_in_failures::locked_until))
        .first(tx.conn())?;
    Ok((row.0, row.1.map(|until| until.0)))
}

/// Stores the failed log-ins of a counter, which is held.
pub(super) fn update_failures(tx: &mut Tx<'_>, counter: &[u8], failures: i32, until: Option<Timestamp>) -> Result<()> {
    diesel::update(log_in_failures::table.filter(log_in_failures::counter.eq(counter)))
        .set((log_in_failures::failures.eq(failures), log_in_failures::locked_until.eq(until.map(At))))
        .execute(tx.conn())?;
    Ok(())
}

/// Deletes up to `most` counters of failed log-ins that nobody has touched for a day. Returns their number.
///
/// Spans accounts: rests on the index `log_in_failures_last`.
pub(super) fn delete_failures(tx: &mut Tx<'_>, now: Timestamp, most: i64) -> Result<usize> {
    let old = At(now.saturating_sub(KEPT).unwrap_or(now));
    let rows: Vec<Vec<u8>> = log_in_failures::table
        .filter(log_in_failures::last_at.le(old))
        .order(log_in_failures::last_at)
        .limit(most)
        .select(log_in_failures::counter)
        .load(tx.conn())?;
    // On PostgreSQL a log-in may have failed since they were listed.
    let still = log_in_failures::table.filter(log_in_failures::last_at.le(old));
    Ok(diesel::delete(still.filter(log_in_failures::counter.eq_any(&rows))).execute(tx.conn())?)
}
