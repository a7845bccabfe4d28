//! Accounts, sessions and refresh tokens.

use diesel::prelude::*;
use jiff::{SignedDuration, Timestamp};

use crate::db::schema::{account_heads, accounts, log_in_failures, refresh_tokens, sessions};
use crate::db::{At, Both, Tx, columns};
use crate::kernel::id::{Account, Patient, Session};
use crate::kernel::{Id, Result};
use crate::locked;

/// The time for which a count of failed log-ins and an expired session are kept: longer than its last access token lives.
pub(super) const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// The session and account of a caller, in one row.
#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions)]
pub(super) struct LiveRow {
    #[diesel(column_name = account_id)]
    pub account: Id<Account>,
    pub expires_at: At,
    pub revoked_cause: Option<i32>,
    #[diesel(select_expression = accounts::kind)]
    pub kind: String,
    #[diesel(select_expression = accounts::patient_id)]
    pub patient: Option<Id<Patient>>,
    #[diesel(select_expression = accounts::disabled_at)]
    pub disabled_at: Option<At>,
}

impl LiveRow {
    /// Whether it was ended on purpose. The device then erases its data.
    pub(super) fn revoked(&self) -> bool {
        self.revoked_cause == Some(Ending::Wanted.number())
    }

    /// Whether it is over for another reason. The device then keeps its data.
    pub(super) fn over(&self, now: Timestamp) -> bool {
        self.revoked_cause.is_some() || self.disabled_at.is_some() || self.expires_at.0 <= now
    }
}

pub(super) fn find_live(tx: &mut Tx<'_>, session: Id<Session>) -> Result<Option<LiveRow>> {
    Ok(Both(
        sessions::table
            .inner_join(accounts::table.on(accounts::id.eq(sessions::account_id)))
            .filter(sessions::id.eq(session))
            .select(columns::<LiveRow>()),
    )
    .get_result(tx.conn())
    .optional()?)
}

/// An account and its patient.
pub(super) type Bond = (Id<Account>, Option<Id<Patient>>);

/// Finds an account and its patient; `None` when there is no such account.
pub(super) fn find_bond(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Option<Bond>> {
    Ok(accounts::table
        .filter(accounts::id.eq(account))
        .select((accounts::id, accounts::patient_id))
        .first(tx.conn())
        .optional()?)
}

/// A stored account.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = accounts)]
pub struct AccountRow {
    /// Its id.
    pub id: Id<Account>,
    /// Its kind, by name.
    pub kind: String,
    /// The patient of the account.
    pub patient_id: Option<Id<Patient>>,
    /// The sealed profile.
    pub profile: Vec<u8>,
    /// The sealed credential.
    pub credential: Vec<u8>,
    /// Failed log-ins in a row.
    pub failures: i32,
    /// The instant until which log-ins fail.
    pub locked_until: Option<At>,
    /// The instant from which it is disabled.
    pub disabled_at: Option<At>,
    /// Its version.
    pub version: i64,
}

pub(super) fn find_by_email(tx: &mut Tx<'_>, email_key: &[u8]) -> Result<Option<AccountRow>> {
    Ok(accounts::table
        .filter(accounts::email_key.eq(email_key))
        .select(AccountRow::as_select())
        .first(tx.conn())
        .optional()?)
}

/// Finds an account and locks it until the unit ends, so that concurrent log-ins are counted one after the other.
pub(super) fn find_account(tx: &mut Tx<'_>, id: Id<Account>) -> Result<Option<AccountRow>> {
    let _held: Vec<Id<Account>> =
        locked!(tx, for_update, accounts::table.filter(accounts::id.eq(id)).select(accounts::id))?;
    Ok(accounts::table.filter(accounts::id.eq(id)).select(AccountRow::as_select()).first(tx.conn()).optional()?)
}

/// Whether an account has the address with this keyed hash.
pub fn is_email_taken(tx: &mut Tx<'_>, email_key: &[u8]) -> Result<bool> {
    let found: Option<Id<Account>> =
        accounts::table.filter(accounts::email_key.eq(email_key)).select(accounts::id).first(tx.conn()).optional()?;
    Ok(found.is_some())
}

/// Finds the keyed hash of an account's address.
pub fn get_email_key(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Vec<u8>> {
    Ok(accounts::table.filter(accounts::id.eq(account)).select(accounts::email_key).first(tx.conn())?)
}

/// Finds the sealed profiles of `ids`, in no order.
pub fn names_of(tx: &mut Tx<'_>, ids: &[Id<Account>]) -> Result<Vec<(Id<Account>, i64, Vec<u8>)>> {
    Ok(accounts::table
        .filter(accounts::id.eq_any(ids.iter().copied()))
        .select((accounts::id, accounts::version, accounts::profile))
        .load(tx.conn())?)
}

/// A new account, sealed.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its id.
    pub id: Id<Account>,
    /// Its kind, by name.
    pub kind: &'static str,
    /// The patient of the account.
    pub patient: Option<Id<Patient>>,
    /// The keyed hash of its address.
    pub email_key: Vec<u8>,
    /// The sealed profile.
    pub profile: Vec<u8>,
    /// The sealed credential.
    pub credential: Vec<u8>,
}

/// Inserts an account with the head of its audit chain. Returns `false` when its address is taken, also by a concurrent
/// unit.
pub fn insert_account(tx: &mut Tx<'_>, new: &NewAccount, now: Timestamp) -> Result<bool> {
    let inserted = Both(
        diesel::insert_into(accounts::table)
            .values((
                accounts::id.eq(new.id),
                accounts::kind.eq(new.kind),
                accounts::patient_id.eq(new.patient),
                accounts::email_key.eq(&new.email_key),
                accounts::profile.eq(&new.profile),
                accounts::credential.eq(&new.credential),
                accounts::failures.eq(0),
                accounts::version.eq(1_i64),
                accounts::created_at.eq(At(now)),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn())?;
    if inserted == 0 {
        return Ok(false);
    }
    diesel::insert_into(account_heads::table)
        .values((
            account_heads::account_id.eq(new.id),
            account_heads::audit_seq.eq(0_i64),
            account_heads::audit_mac.eq(Vec::new()),
        ))
        .execute(tx.conn())?;
    Ok(true)
}

/// Finds the failed log-ins in a row with an address, and the instant until which log-ins fail, and holds the row until
/// the unit ends, so that concurrent log-ins are counted one after the other. Unknown addresses have such rows, too:
/// the same statements run for them.
pub(super) fn hold_failures(tx: &mut Tx<'_>, email_key: &[u8], now: Timestamp) -> Result<(i32, Option<Timestamp>)> {
    Both(
        diesel::insert_into(log_in_failures::table)
            .values((
                log_in_failures::email_key.eq(email_key),
                log_in_failures::failures.eq(0),
                log_in_failures::last_at.eq(At(now)),
            ))
            .on_conflict(log_in_failures::email_key)
            .do_update()
            .set(log_in_failures::last_at.eq(At(now))),
    )
    .execute(tx.conn())?;
    let row: (i32, Option<At>) = log_in_failures::table
        .filter(log_in_failures::email_key.eq(email_key))
        .select((log_in_failures::failures, log_in_failures::locked_until))
        .first(tx.conn())?;
    Ok((row.0, row.1.map(|until| until.0)))
}

pub(super) fn update_failures(
    tx: &mut Tx<'_>,
    email_key: &[u8],
    failures: i32,
    until: Option<Timestamp>,
) -> Result<()> {
    diesel::update(log_in_failures::table.filter(log_in_failures::email_key.eq(email_key)))
        .set((log_in_failures::failures.eq(failures), log_in_failures::locked_until.eq(until.map(At))))
        .execute(tx.conn())?;
    Ok(())
}

/// Deletes up to `most` counts of failed log-ins of addresses that nobody has tried for a day. Returns their number.
///
/// Spans accounts: rests on the index `log_in_failures_last`.
pub(super) fn delete_failures(tx: &mut Tx<'_>, now: Timestamp, most: i64) -> Result<usize> {
    let old = At(now.saturating_sub(KEPT).unwrap_or(now));
    let rows: Vec<Vec<u8>> = log_in_failures::table
        .filter(log_in_failures::last_at.le(old))
        .order(log_in_failures::last_at)
        .limit(most)
        .select(log_in_failures::email_key)
        .load(tx.conn())?;
    Ok(diesel::delete(log_in_failures::table.filter(log_in_failures::email_key.eq_any(&rows))).execute(tx.conn())?)
}

pub(super) fn insert_session(
    tx: &mut Tx<'_>,
    id: Id<Session>,
    account: Id<Account>,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(id),
            sessions::account_id.eq(account),
            sessions::created_at.eq(At(now)),
            sessions::last_used_at.eq(At(now)),
            sessions::expires_at.eq(At(expires_at)),
        ))
        .execute(tx.conn())?;
    Ok(())
}

pub(super) fn update_session_used(tx: &mut Tx<'_>, id: Id<Session>, now: Timestamp, expires: Timestamp) -> Result<()> {
    diesel::update(sessions::table.filter(sessions::id.eq(id)))
        .set((sessions::last_used_at.eq(At(now)), sessions::expires_at.eq(At(expires))))
        .execute(tx.conn())?;
    Ok(())
}

/// The reason why a session ended. The numbers are stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    /// It was ended on purpose; the device erases its data.
    Wanted,
    /// A spent refresh token was sent again.
    Reuse,
    /// Newer sessions took its place; the device keeps its data.
    Displaced,
}

impl Ending {
    const fn number(self) -> i32 {
        match self {
            Self::Wanted => 1,
            Self::Reuse => 2,
            Self::Displaced => 3,
        }
    }
}

/// Ends the oldest live sessions of an account but the newest `most`.
pub(super) fn displace(tx: &mut Tx<'_>, account: Id<Account>, most: i64, now: Timestamp) -> Result<()> {
    let old: Vec<Id<Session>> = sessions::table
        .filter(sessions::account_id.eq(account))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(At(now)))
        .order((sessions::last_used_at.desc(), sessions::id.desc()))
        .offset(most)
        .limit(most)
        .select(sessions::id)
        .load(tx.conn())?;
    for id in old {
        mark_revoked(tx, id, Ending::Displaced, now)?;
        // It is cleared a day later, as if it had run out.
        diesel::update(sessions::table.filter(sessions::id.eq(id)))
            .set(sessions::expires_at.eq(At(now)))
            .execute(tx.conn())?;
    }
    Ok(())
}

pub(super) fn mark_revoked(tx: &mut Tx<'_>, id: Id<Session>, cause: Ending, now: Timestamp) -> Result<()> {
    diesel::update(sessions::table.filter(sessions::id.eq(id)).filter(sessions::revoked_at.is_null()))
        .set((sessions::revoked_at.eq(At(now)), sessions::revoked_cause.eq(cause.number())))
        .execute(tx.conn())?;
    Ok(())
}

/// A refresh token with its session and account.
#[derive(Queryable, Selectable)]
#[diesel(table_name = refresh_tokens)]
pub(super) struct RefreshRow {
    #[diesel(column_name = session_id)]
    pub session: Id<Session>,
    pub spent_at: Option<At>,
    #[diesel(select_expression = sessions::account_id)]
    pub account: Id<Account>,
    #[diesel(select_expression = sessions::expires_at)]
    pub expires_at: At,
    #[diesel(select_expression = sessions::revoked_at)]
    pub revoked_at: Option<At>,
    #[diesel(select_expression = accounts::disabled_at)]
    pub disabled_at: Option<At>,
}

/// Finds the account of a refresh token.
pub(super) fn find_refresh_owner(tx: &mut Tx<'_>, hash: &[u8]) -> Result<Option<Id<Account>>> {
    Ok(refresh_tokens::table
        .inner_join(sessions::table.on(sessions::id.eq(refresh_tokens::session_id)))
        .filter(refresh_tokens::hash.eq(hash))
        .select(sessions::account_id)
        .first(tx.conn())
        .optional()?)
}

/// Finds a refresh token and locks its session until the unit ends.
pub(super) fn find_refresh(tx: &mut Tx<'_>, hash: &[u8]) -> Result<Option<RefreshRow>> {
    let session: Option<Id<Session>> = refresh_tokens::table
        .filter(refresh_tokens::hash.eq(hash))
        .select(refresh_tokens::session_id)
        .first(tx.conn())
        .optional()?;
    let Some(session) = session else { return Ok(None) };
    let _held: Vec<Id<Session>> =
        locked!(tx, for_update, sessions::table.filter(sessions::id.eq(session)).select(sessions::id))?;
    Ok(refresh_tokens::table
        .inner_join(sessions::table.on(sessions::id.eq(refresh_tokens::session_id)))
        .inner_join(accounts::table.on(accounts::id.eq(sessions::account_id)))
        .filter(refresh_tokens::hash.eq(hash))
        .select(RefreshRow::as_select())
        .first(tx.conn())
        .optional()?)
}

pub(super) fn refresh_is_unspent(tx: &mut Tx<'_>, hash: &[u8]) -> Result<bool> {
    let spent: Option<Option<At>> = refresh_tokens::table
        .filter(refresh_tokens::hash.eq(hash))
        .select(refresh_tokens::spent_at)
        .first(tx.conn())
        .optional()?;
    Ok(spent == Some(None))
}

pub(super) fn insert_refresh(tx: &mut Tx<'_>, hash: &[u8], session: Id<Session>, now: Timestamp) -> Result<()> {
    diesel::insert_into(refresh_tokens::table)
        .values((
            refresh_tokens::hash.eq(hash),
            refresh_tokens::session_id.eq(session),
            refresh_tokens::created_at.eq(At(now)),
        ))
        .execute(tx.conn())?;
    Ok(())
}

pub(super) fn mark_spent(tx: &mut Tx<'_>, hash: &[u8], now: Timestamp) -> Result<()> {
    diesel::update(refresh_tokens::table.filter(refresh_tokens::hash.eq(hash)))
        .set(refresh_tokens::spent_at.eq(At(now)))
        .execute(tx.conn())?;
    Ok(())
}

/// Deletes up to `most` refresh tokens of sessions that expired a while ago, then those sessions that have none left.
/// Returns the number of rows.
///
/// Spans accounts: rests on the index `sessions_expires`.
pub(super) fn delete_over(tx: &mut Tx<'_>, now: Timestamp, most: i64) -> Result<usize> {
    let old = At(now.saturating_sub(KEPT).unwrap_or(now));
    let over: Vec<Id<Session>> = sessions::table
        .filter(sessions::expires_at.le(old))
        .order(sessions::expires_at)
        .limit(most)
        .select(sessions::id)
        .load(tx.conn())?;
    let spent: Vec<Vec<u8>> = refresh_tokens::table
        .filter(refresh_tokens::session_id.eq_any(&over))
        .limit(most)
        .select(refresh_tokens::hash)
        .load(tx.conn())?;
    let tokens =
        diesel::delete(refresh_tokens::table.filter(refresh_tokens::hash.eq_any(&spent))).execute(tx.conn())?;
    if usize::try_from(most).is_ok_and(|most| spent.len() >= most) {
        return Ok(tokens);
    }
    Ok(tokens + diesel::delete(sessions::table.filter(sessions::id.eq_any(&over))).execute(tx.conn())?)
}
