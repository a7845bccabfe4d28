//! Accounts, sessions and refresh tokens.

mod factors;
mod notices;
mod suspension;

use std::collections::HashSet;

use diesel::prelude::*;
use jiff::{SignedDuration, Timestamp};

pub(super) use factors::{
    FactorFound, FactorRow, delete_factor, find_factor, hold_factor, insert_factor, update_factor, update_factor_doc,
};

use super::model::AccountKind;
use crate::db::authentic::checked;
use crate::db::schema::{account_heads, accounts, log_in_failures, refresh_tokens, sessions};
use crate::db::{At, Both, Signal, Stored, Topic, Tx, columns};
use crate::kernel::id::{Account, Patient, Session};
use crate::kernel::{Error, Id, Result, limits};
use crate::{authentic, locked};

pub use notices::{DueNotice, ask_notice, list_due_notices, mark_notice_written};
pub use suspension::{list_disabled, set_disabled};

/// The time for which a count of failed log-ins and an expired session are kept: longer than its last access token
/// lives.
pub(super) const KEPT: SignedDuration = SignedDuration::from_hours(24);

authentic! {
    /// A session.
    #[derive(Copy)]
    pub(super) struct SessionRow of sessions {
        /// Its id.
        id: Id<Session>,
        /// The account.
        account_id: Id<Account>,
        /// The instant of the log-in.
        created_at: At,
        /// The instant of the last refresh.
        last_used_at: At,
        /// The instant from which it is over.
        expires_at: At,
        /// The instant at which it was ended.
        revoked_at: Option<At>,
        /// The number of the [`Ending`].
        revoked_cause: Option<i32>,
    } later {
        /// The instant at which the passphrase was last shown in it.
        verified_at: Option<At>,
        /// The instant at which a code was last shown in it.
        factor_at: Option<At>,
    }
}

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
        /// The instant until which only devices that it knows log in.
        guarded_until: Option<At>,
    }
}

authentic! {
    /// A refresh token.
    pub(super) struct RefreshRow of refresh_tokens {
        /// The keyed hash of the token.
        hash: Vec<u8>,
        /// The session.
        session_id: Id<Session>,
        /// The instant of its creation.
        created_at: At,
        /// The instant of its use.
        spent_at: Option<At>,
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

impl SessionRow {
    /// Whether it was ended on purpose. The device then erases its data.
    pub(super) fn revoked(&self) -> bool {
        self.revoked_cause == Some(Ending::Wanted.number())
    }

    /// Whether it, or its account, is over at `now`. Unless it was ended on purpose the device keeps its data.
    pub(super) fn over(&self, account: &AccountRow, now: Timestamp) -> bool {
        let ended = self.revoked_at.is_some() || self.revoked_cause.is_some();
        ended || account.disabled_at.is_some() || self.expires_at.0 <= now
    }
}

/// Finds a session and its account.
pub(super) fn find_live(tx: &mut Tx<'_>, session: Id<Session>) -> Result<Option<(SessionRow, AccountRow)>> {
    let found: Option<(Stored<SessionRow>, Stored<AccountRow>)> = Both(
        sessions::table
            .inner_join(accounts::table.on(accounts::id.eq(sessions::account_id)))
            .filter(sessions::id.eq(session))
            .select((columns::<Stored<SessionRow>>(), columns::<Stored<AccountRow>>())),
    )
    .get_result(tx.conn())
    .optional()?;
    let Some((session, account)) = found else { return Ok(None) };
    Ok(session.checked(tx)?.zip(account.checked(tx)?))
}

/// Returns those of some sessions that are live at `now`.
///
/// Spans accounts: for streams, which end with their session.
pub fn live_sessions(tx: &mut Tx<'_>, ids: &[Id<Session>], now: Timestamp) -> Result<HashSet<Id<Session>>> {
    let rows: Vec<(Stored<SessionRow>, Stored<AccountRow>)> = Both(
        sessions::table
            .inner_join(accounts::table.on(accounts::id.eq(sessions::account_id)))
            .filter(sessions::id.eq_any(ids.to_vec()))
            .select((columns::<Stored<SessionRow>>(), columns::<Stored<AccountRow>>())),
    )
    .load(tx.conn())?;
    let mut live = HashSet::new();
    for (session, account) in rows {
        let found = session.checked(tx)?.zip(account.checked(tx)?);
        live.extend(found.filter(|(session, account)| !session.over(account, now)).map(|(session, _)| session.id));
    }
    Ok(live)
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

/// Finds an account.
pub(super) fn find_account(tx: &mut Tx<'_>, id: Id<Account>) -> Result<Option<AccountRow>> {
    let query = accounts::table.filter(accounts::id.eq(id)).select(columns::<Stored<AccountRow>>());
    let found: Option<Stored<AccountRow>> = query.first(tx.conn()).optional()?;
    found.map_or(Ok(None), |row| row.checked(tx))
}

/// Finds an account, and holds it as it is until the unit ends.
pub(super) fn hold_account(tx: &mut Tx<'_>, id: Id<Account>) -> Result<Option<AccountRow>> {
    let own = accounts::table.filter(accounts::id.eq(id)).select(columns::<Stored<AccountRow>>());
    let held: Vec<Stored<AccountRow>> = locked!(tx, for_share, own)?;
    Ok(checked(tx, held)?.pop())
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
/// it has another version, or was disabled or enabled meanwhile.
pub(super) fn update_account(
    tx: &mut Tx<'_>,
    (before, row): (&AccountRow, &AccountRow),
    (profile, credential): (&[u8], &[u8]),
) -> Result<bool> {
    let own = accounts::table.filter(accounts::id.eq(row.id));
    let held: Vec<Stored<AccountRow>> = locked!(tx, for_update, own.select(columns::<Stored<AccountRow>>()))?;
    let disabled_at = |row: &AccountRow| row.disabled_at.map(|at| at.0);
    let same = |held: &AccountRow| held.version == before.version && disabled_at(held) == disabled_at(before);
    if !checked(tx, held)?.first().is_some_and(same) {
        return Ok(false);
    }
    let values = (row.signed(tx)?, accounts::profile.eq(profile), accounts::credential.eq(credential));
    Ok(diesel::update(own).set(values).execute(tx.conn())? == 1)
}

/// Holds the live sessions of an account until the unit ends.
pub(super) fn hold_live_sessions(tx: &mut Tx<'_>, account: Id<Account>, now: Timestamp) -> Result<Vec<SessionRow>> {
    let live = sessions::table
        .filter(sessions::account_id.eq(account))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(At(now)))
        .select(columns::<Stored<SessionRow>>());
    let found: Vec<Stored<SessionRow>> = locked!(tx, for_update, live)?;
    checked(tx, found)
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
    Ok(diesel::delete(log_in_failures::table.filter(log_in_failures::counter.eq_any(&rows))).execute(tx.conn())?)
}

/// Inserts a session whose device has no name yet.
pub(super) fn insert_session(tx: &mut Tx<'_>, row: &SessionRow) -> Result<()> {
    let version = sessions::version.eq(tx.first_version());
    diesel::insert_into(sessions::table).values((row.signed(tx)?, version)).execute(tx.conn())?;
    Ok(())
}

/// A session with the sealed name of its device.
#[derive(Clone, Debug)]
pub(super) struct NamedSession {
    /// The session.
    pub row: SessionRow,
    /// The version of the name.
    pub version: i64,
    /// The sealed document; `None` for a device without a name.
    pub doc: Option<Vec<u8>>,
}

type NamedRows = (Stored<SessionRow>, i64, Option<Vec<u8>>);

fn named(tx: &Tx<'_>, found: Vec<NamedRows>) -> Result<Vec<NamedSession>> {
    let mut all = Vec::with_capacity(found.len());
    for (row, version, doc) in found {
        all.extend(row.checked(tx)?.map(|row| NamedSession { row, version, doc }));
    }
    Ok(all)
}

/// Lists the live sessions of an account, the one used last first.
pub(super) fn list_sessions(tx: &mut Tx<'_>, account: Id<Account>, now: Timestamp) -> Result<Vec<NamedSession>> {
    let found: Vec<NamedRows> = sessions::table
        .filter(sessions::account_id.eq(account))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(At(now)))
        .order((sessions::last_used_at.desc(), sessions::id.desc()))
        .limit(limits::SESSIONS.rows())
        .select((columns::<Stored<SessionRow>>(), sessions::version, sessions::doc))
        .load(tx.conn())?;
    named(tx, found)
}

/// Finds a session with the name of its device, and locks it until the unit ends.
pub(super) fn hold_named_session(tx: &mut Tx<'_>, id: Id<Session>) -> Result<Option<NamedSession>> {
    let query = sessions::table.filter(sessions::id.eq(id)).select((
        columns::<Stored<SessionRow>>(),
        sessions::version,
        sessions::doc,
    ));
    let found: Vec<NamedRows> = locked!(tx, for_update, query)?;
    Ok(named(tx, found)?.pop())
}

/// Stores the name of the device of a session, which is held.
pub(super) fn update_name(tx: &mut Tx<'_>, named: &NamedSession) -> Result<()> {
    let name = (sessions::doc.eq(named.doc.clone()), sessions::version.eq(named.version));
    let values = (named.row.signed(tx)?, name);
    diesel::update(sessions::table.filter(sessions::id.eq(named.row.id))).set(values).execute(tx.conn())?;
    Ok(())
}

/// Stores a changed session, which is held. Listeners hear of its end after the commit.
pub(super) fn update_session(tx: &mut Tx<'_>, row: &SessionRow) -> Result<()> {
    diesel::update(sessions::table.filter(sessions::id.eq(row.id))).set(row.signed(tx)?).execute(tx.conn())?;
    if row.revoked_at.is_some() {
        tx.signal(Signal { topic: Topic::Session, id: row.id.uuid() });
    }
    Ok(())
}

/// Finds a session and locks it until the unit ends.
pub(super) fn hold_session(tx: &mut Tx<'_>, id: Id<Session>) -> Result<Option<SessionRow>> {
    let query = sessions::table.filter(sessions::id.eq(id)).select(columns::<Stored<SessionRow>>());
    let found: Vec<Stored<SessionRow>> = locked!(tx, for_update, query)?;
    Ok(checked(tx, found)?.pop())
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
    /// A new epoch of the data has begun; the device keeps its data.
    Epoch,
    /// The passphrase was changed, or the account disabled; the device keeps its data.
    Account,
}

impl Ending {
    const fn number(self) -> i32 {
        match self {
            Self::Wanted => 1,
            Self::Reuse => 2,
            Self::Displaced => 3,
            Self::Epoch => 4,
            Self::Account => 5,
        }
    }
}

/// Ends the oldest live sessions of an account but the newest `most`.
pub(super) fn displace(tx: &mut Tx<'_>, account: Id<Account>, most: i64, now: Timestamp) -> Result<()> {
    let old: Vec<Stored<SessionRow>> = sessions::table
        .filter(sessions::account_id.eq(account))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(At(now)))
        .order((sessions::last_used_at.desc(), sessions::id.desc()))
        .offset(most)
        .limit(most)
        .select(columns::<Stored<SessionRow>>())
        .load(tx.conn())?;
    for row in checked(tx, old)? {
        mark_revoked(tx, row, Ending::Displaced, now)?;
    }
    Ok(())
}

/// The most sessions that are read at once.
const PAGE: i64 = 500;

/// Ends every live session, because a new epoch begins, and returns their number.
///
/// Spans accounts: an act of the operator.
pub fn end_all_sessions(tx: &mut Tx<'_>, now: Timestamp) -> Result<usize> {
    let (mut after, mut ended) = (Id::<Session>::from_uuid(uuid::Uuid::nil()), 0);
    loop {
        let live = sessions::table.filter(sessions::revoked_at.is_null()).filter(sessions::expires_at.gt(At(now)));
        let next = live.filter(sessions::id.gt(after)).order(sessions::id).limit(PAGE);
        let rows: Vec<(Id<Session>, Stored<SessionRow>)> =
            next.select((sessions::id, columns::<Stored<SessionRow>>())).load(tx.conn())?;
        let Some((last, _)) = rows.last() else { return Ok(ended) };
        after = *last;
        for row in checked(tx, rows.into_iter().map(|(_, row)| row).collect())? {
            mark_revoked(tx, row, Ending::Epoch, now)?;
            ended += 1;
        }
    }
}

/// Ends a session, which is held. A second ending changes nothing.
pub(super) fn mark_revoked(tx: &mut Tx<'_>, row: SessionRow, cause: Ending, now: Timestamp) -> Result<()> {
    if row.revoked_at.is_some() {
        return Ok(());
    }
    // One whose device need not be told to erase anything is cleared a day later, as if it had run out.
    let expires_at = if matches!(cause, Ending::Wanted | Ending::Reuse) { row.expires_at } else { At(now) };
    update_session(
        tx,
        &SessionRow { expires_at, revoked_at: Some(At(now)), revoked_cause: Some(cause.number()), ..row },
    )
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

type RefreshRows = (Stored<RefreshRow>, Stored<SessionRow>, Stored<AccountRow>);

/// A refresh token with its session, and its account with the sealed profile.
pub(super) struct RefreshFound {
    pub token: RefreshRow,
    pub session: SessionRow,
    pub account: AccountRow,
    pub profile: Vec<u8>,
}

/// Finds a refresh token with its session and account, and locks the session until the unit ends.
pub(super) fn find_refresh(tx: &mut Tx<'_>, hash: &[u8]) -> Result<Option<RefreshFound>> {
    let session: Option<Id<Session>> = refresh_tokens::table
        .filter(refresh_tokens::hash.eq(hash))
        .select(refresh_tokens::session_id)
        .first(tx.conn())
        .optional()?;
    let Some(session) = session else { return Ok(None) };
    let _held: Vec<Id<Session>> =
        locked!(tx, for_update, sessions::table.filter(sessions::id.eq(session)).select(sessions::id))?;
    let rows = (columns::<Stored<RefreshRow>>(), columns::<Stored<SessionRow>>(), columns::<Stored<AccountRow>>());
    let found: Option<(RefreshRows, Vec<u8>)> = refresh_tokens::table
        .inner_join(sessions::table.on(sessions::id.eq(refresh_tokens::session_id)))
        .inner_join(accounts::table.on(accounts::id.eq(sessions::account_id)))
        .filter(refresh_tokens::hash.eq(hash))
        .select((rows, accounts::profile))
        .first(tx.conn())
        .optional()?;
    let Some(((token, session, account), profile)) = found else { return Ok(None) };
    let all = token.checked(tx)?.zip(session.checked(tx)?).zip(account.checked(tx)?);
    Ok(all.map(|((token, session), account)| RefreshFound { token, session, account, profile }))
}

/// Whether there is a refresh token with this hash that was not used.
pub(super) fn refresh_is_unspent(tx: &mut Tx<'_>, hash: &[u8]) -> Result<bool> {
    let query = refresh_tokens::table.filter(refresh_tokens::hash.eq(hash)).select(columns::<Stored<RefreshRow>>());
    let found: Option<Stored<RefreshRow>> = query.first(tx.conn()).optional()?;
    let row = found.map_or(Ok(None), |row| row.checked(tx))?;
    Ok(row.is_some_and(|row| row.spent_at.is_none()))
}

/// Inserts a refresh token.
pub(super) fn insert_refresh(tx: &mut Tx<'_>, hash: &[u8], session: Id<Session>, now: Timestamp) -> Result<()> {
    let row = RefreshRow { hash: hash.to_vec(), session_id: session, created_at: At(now), spent_at: None };
    diesel::insert_into(refresh_tokens::table).values(row.signed(tx)?).execute(tx.conn())?;
    Ok(())
}

/// Notes that a refresh token was used.
pub(super) fn mark_spent(tx: &mut Tx<'_>, row: RefreshRow, now: Timestamp) -> Result<()> {
    let row = RefreshRow { spent_at: Some(At(now)), ..row };
    let own = refresh_tokens::table.filter(refresh_tokens::hash.eq(row.hash.clone()));
    diesel::update(own).set(row.signed(tx)?).execute(tx.conn())?;
    Ok(())
}

/// Deletes up to `most` refresh tokens that were spent before `before`. Returns their number.
///
/// Spans accounts: rests on the partial index `refresh_tokens_spent`.
pub(super) fn delete_spent(tx: &mut Tx<'_>, before: Timestamp, most: i64) -> Result<usize> {
    let spent: Vec<Vec<u8>> = refresh_tokens::table
        .filter(refresh_tokens::spent_at.is_not_null())
        .filter(refresh_tokens::spent_at.le(At(before)))
        .order(refresh_tokens::spent_at)
        .limit(most)
        .select(refresh_tokens::hash)
        .load(tx.conn())?;
    Ok(diesel::delete(refresh_tokens::table.filter(refresh_tokens::hash.eq_any(&spent))).execute(tx.conn())?)
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
