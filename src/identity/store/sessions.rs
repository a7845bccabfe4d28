//! Sessions and refresh tokens.

use std::collections::HashSet;

use diesel::prelude::*;
use jiff::Timestamp;

use super::{AccountRow, KEPT};
use crate::db::authentic::checked;
use crate::db::schema::{accounts, refresh_tokens, sessions};
use crate::db::{At, Both, Prepared, Signal, Stored, Topic, Tx, columns};
use crate::kernel::id::{Account, Session};
use crate::kernel::{Id, Result, limits};
use crate::{authentic, locked};

authentic! {
    /// A session.
    #[derive(Copy)]
    pub(in crate::identity) struct SessionRow of sessions {
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
    /// A refresh token.
    pub(in crate::identity) struct RefreshRow of refresh_tokens {
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

impl SessionRow {
    /// Whether it was ended on purpose. The device then erases its data.
    pub(in crate::identity) fn revoked(&self) -> bool {
        let on_purpose = [Ending::Wanted, Ending::LoggedOut].map(Ending::number);
        self.revoked_cause.is_some_and(|cause| on_purpose.contains(&cause))
    }

    /// Whether it has neither been ended nor run out.
    pub(in crate::identity) fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.revoked_cause.is_none() && self.expires_at.0 > now
    }

    /// Whether it ended for this cause.
    pub(in crate::identity) fn ended_by(&self, cause: Ending) -> bool {
        self.revoked_cause == Some(cause.number())
    }

    /// Whether the account knows its device: nobody has thrown it out, and newer sessions have not taken its place. A
    /// session that ran out was not thrown out; it counts for another day, until it is cleared.
    pub(in crate::identity) fn knows_device(&self, now: Timestamp) -> bool {
        let harmless = [Ending::Epoch, Ending::LoggedOut, Ending::Reset].map(Ending::number);
        let thrown_out = self.revoked_cause.is_some_and(|cause| !harmless.contains(&cause));
        !thrown_out && self.known_until() > now
    }

    /// Returns the instant until which its device is known unless somebody throws it out: from then on it may be
    /// cleared.
    pub(in crate::identity) fn known_until(&self) -> Timestamp {
        self.expires_at.0.saturating_add(KEPT).unwrap_or(self.expires_at.0)
    }

    /// Whether it, or its account, is over at `now`. Unless it was ended on purpose the device keeps its data.
    pub(in crate::identity) fn over(&self, account: &AccountRow, now: Timestamp) -> bool {
        account.disabled_at.is_some() || !self.is_live(now)
    }
}

/// Finds a session and its account.
pub(in crate::identity) fn find_live(
    tx: &mut Tx<'_>,
    session: Id<Session>,
) -> Result<Option<(SessionRow, AccountRow)>> {
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

/// Holds the live sessions of an account until the unit ends.
pub(in crate::identity) fn hold_live_sessions(
    tx: &mut Tx<'_>,
    account: Id<Account>,
    now: Timestamp,
) -> Result<Vec<SessionRow>> {
    let live = sessions::table
        .filter(sessions::account_id.eq(account))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(At(now)))
        .select(columns::<Stored<SessionRow>>());
    let found: Vec<Stored<SessionRow>> = locked!(tx, for_update, live)?;
    checked(tx, found)
}

/// Holds the sessions whose devices an account knows, live and over, until the unit ends. The account is held before: a
/// log-in at the same time finds the devices as they are afterwards.
pub(in crate::identity) fn hold_known_sessions(
    tx: &mut Tx<'_>,
    account: Id<Account>,
    now: Timestamp,
) -> Result<Vec<SessionRow>> {
    super::hold_account(tx, account)?;
    let kept = sessions::table
        .filter(sessions::account_id.eq(account))
        .filter(sessions::expires_at.gt(At(now.saturating_sub(KEPT).unwrap_or(now))))
        .select(columns::<Stored<SessionRow>>());
    let found: Vec<Stored<SessionRow>> = locked!(tx, for_update, kept)?;
    Ok(checked(tx, found)?.into_iter().filter(|row| row.knows_device(now)).collect())
}

/// Throws every device of an account out but that of `kept`: its live sessions end for `cause`, and those that are over
/// leave no device known. Returns the number of those that were live.
pub(in crate::identity) fn throw_out_all(
    tx: &mut Tx<'_>,
    account: Id<Account>,
    kept: Option<Id<Session>>,
    cause: Ending,
    now: Timestamp,
) -> Result<usize> {
    let mut ended = 0;
    for row in hold_known_sessions(tx, account, now)?.into_iter().filter(|row| Some(row.id) != kept) {
        let is_live = row.is_live(now);
        // A device that logged out by itself is still told to erase what it holds; the others of these keep it.
        let over = if row.ended_by(Ending::LoggedOut) { Ending::Wanted } else { Ending::Account };
        throw_out(tx, row, if is_live { cause } else { over }, now)?;
        ended += usize::from(is_live);
    }
    Ok(ended)
}

/// Ends a session, which is held, and throws its device out, also when the session is over. Returns whether that
/// changed anything.
pub(in crate::identity) fn throw_out(tx: &mut Tx<'_>, row: SessionRow, cause: Ending, now: Timestamp) -> Result<bool> {
    if row.is_live(now) {
        mark_revoked(tx, row, cause, now)?;
        return Ok(true);
    }
    if !row.knows_device(now) {
        return Ok(false);
    }
    let revoked_at = row.revoked_at.or(Some(At(now)));
    update_session(tx, &SessionRow { revoked_at, revoked_cause: Some(cause.number()), ..row })?;
    Ok(true)
}

/// Inserts a session whose device has no name yet.
pub(in crate::identity) fn insert_session(tx: &mut Tx<'_>, row: &SessionRow) -> Result<()> {
    let version = sessions::version.eq(tx.first_version());
    diesel::insert_into(sessions::table).values((row.signed(tx)?, version)).execute(tx.conn())?;
    Ok(())
}

/// A session with the sealed name of its device.
#[derive(Clone, Debug)]
pub(in crate::identity) struct NamedSession {
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
pub(in crate::identity) fn list_sessions(
    tx: &mut Tx<'_>,
    account: Id<Account>,
    now: Timestamp,
) -> Result<Vec<NamedSession>> {
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

/// Finds a session of an account with the name of its device, and locks it until the unit ends.
pub(in crate::identity) fn hold_named_session(
    tx: &mut Tx<'_>,
    account: Id<Account>,
    id: Id<Session>,
) -> Result<Option<NamedSession>> {
    let own = sessions::table.filter(sessions::id.eq(id)).filter(sessions::account_id.eq(account));
    let query = own.select((columns::<Stored<SessionRow>>(), sessions::version, sessions::doc));
    let found: Vec<NamedRows> = locked!(tx, for_update, query)?;
    Ok(named(tx, found)?.pop())
}

/// Stores the name of the device of a session, which is held.
pub(in crate::identity) fn update_name(tx: &mut Tx<'_>, named: &NamedSession) -> Result<()> {
    let name = (sessions::doc.eq(named.doc.clone()), sessions::version.eq(named.version));
    let values = (named.row.signed(tx)?, name);
    diesel::update(sessions::table.filter(sessions::id.eq(named.row.id))).set(values).execute(tx.conn())?;
    Ok(())
}

/// Stores a changed session, which is held. Listeners hear of its end after the commit.
pub(in crate::identity) fn update_session(tx: &mut Tx<'_>, row: &SessionRow) -> Result<()> {
    let own = diesel::update(sessions::table.filter(sessions::id.eq(row.id)));
    Prepared(own.set(row.signed(tx)?)).run(tx.conn())?;
    if row.revoked_at.is_some() {
        tx.signal(Signal { topic: Topic::Session, id: row.id.uuid() });
    }
    Ok(())
}

/// Finds a session of an account and locks it until the unit ends. That of another account is not locked.
pub(in crate::identity) fn hold_session(
    tx: &mut Tx<'_>,
    account: Id<Account>,
    id: Id<Session>,
) -> Result<Option<SessionRow>> {
    let own = sessions::table.filter(sessions::id.eq(id)).filter(sessions::account_id.eq(account));
    let found: Vec<Stored<SessionRow>> = locked!(tx, for_update, own.select(columns::<Stored<SessionRow>>()))?;
    Ok(checked(tx, found)?.pop())
}

/// The reason why a session ended. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::identity) enum Ending {
    /// Another device, or an admin, ended it on purpose; the device erases its data.
    Wanted,
    /// A spent refresh token was sent again.
    Reuse,
    /// Newer sessions took its place; the device keeps its data.
    Displaced,
    /// A new epoch of the data has begun; the device keeps its data.
    Epoch,
    /// The passphrase was changed, the account disabled, or the operator ended it; the device keeps its data.
    Account,
    /// Its own device logged out, and erases its data.
    LoggedOut,
    /// A code from a letter set the passphrase; the device keeps its data.
    Reset,
}

impl Ending {
    const fn number(self) -> i32 {
        match self {
            Self::Wanted => 1,
            Self::Reuse => 2,
            Self::Displaced => 3,
            Self::Epoch => 4,
            Self::Account => 5,
            Self::LoggedOut => 6,
            Self::Reset => 7,
        }
    }
}

/// Ends the oldest live sessions of an account but the newest `most`.
pub(in crate::identity) fn displace(tx: &mut Tx<'_>, account: Id<Account>, most: i64, now: Timestamp) -> Result<()> {
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
        // Somebody may have ended it since it was listed, and its device then erases its data.
        if let Some(row) = hold_session(tx, account, row.id)? {
            mark_revoked(tx, row, Ending::Displaced, now)?;
        }
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
        // Held: one that its owner ends meanwhile has ended, and its device erases its data.
        let rows: Vec<(Id<Session>, Stored<SessionRow>)> =
            locked!(tx, for_update, next.select((sessions::id, columns::<Stored<SessionRow>>())))?;
        let Some((last, _)) = rows.last() else { return Ok(ended) };
        after = *last;
        for row in checked(tx, rows.into_iter().map(|(_, row)| row).collect())? {
            mark_revoked(tx, row, Ending::Epoch, now)?;
            ended += 1;
        }
    }
}

/// Ends a session, which is held. A second ending changes nothing.
pub(in crate::identity) fn mark_revoked(tx: &mut Tx<'_>, row: SessionRow, cause: Ending, now: Timestamp) -> Result<()> {
    if row.revoked_at.is_some() {
        return Ok(());
    }
    // One whose device need not be told to erase anything is cleared a day later, as if it had run out.
    let is_kept = matches!(cause, Ending::Wanted | Ending::Reuse | Ending::LoggedOut);
    let expires_at = if is_kept { row.expires_at } else { At(now) };
    update_session(
        tx,
        &SessionRow { expires_at, revoked_at: Some(At(now)), revoked_cause: Some(cause.number()), ..row },
    )
}

/// Ends a session, which is held, because its own device logs out. Of an account whose devices have done so very often
/// only the newest stay known: whoever ends sessions holds all that are.
pub(in crate::identity) fn mark_logged_out(tx: &mut Tx<'_>, row: SessionRow, now: Timestamp) -> Result<()> {
    let account = row.account_id;
    mark_revoked(tx, row, Ending::LoggedOut, now)?;
    let most = limits::SESSIONS.rows();
    let old: Vec<Stored<SessionRow>> = sessions::table
        .filter(sessions::account_id.eq(account))
        .filter(sessions::revoked_cause.eq(Ending::LoggedOut.number()))
        .order((sessions::revoked_at.desc(), sessions::id.desc()))
        .offset(most)
        .limit(most)
        .select(columns::<Stored<SessionRow>>())
        .load(tx.conn())?;
    for row in checked(tx, old)? {
        update_session(tx, &SessionRow { revoked_cause: Some(Ending::Wanted.number()), ..row })?;
    }
    Ok(())
}

/// Finds the account of a refresh token.
pub(in crate::identity) fn find_refresh_owner(tx: &mut Tx<'_>, hash: &[u8]) -> Result<Option<Id<Account>>> {
    Ok(refresh_tokens::table
        .inner_join(sessions::table.on(sessions::id.eq(refresh_tokens::session_id)))
        .filter(refresh_tokens::hash.eq(hash))
        .select(sessions::account_id)
        .first(tx.conn())
        .optional()?)
}

type RefreshRows = (Stored<RefreshRow>, Stored<SessionRow>, Stored<AccountRow>);

/// A refresh token with its session, and its account with the sealed profile.
pub(in crate::identity) struct RefreshFound {
    pub token: RefreshRow,
    pub session: SessionRow,
    pub account: AccountRow,
    pub profile: Vec<u8>,
}

/// Finds a refresh token with its session and account, and locks the session until the unit ends.
pub(in crate::identity) fn find_refresh(tx: &mut Tx<'_>, hash: &[u8]) -> Result<Option<RefreshFound>> {
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
pub(in crate::identity) fn refresh_is_unspent(tx: &mut Tx<'_>, hash: &[u8]) -> Result<bool> {
    let query = refresh_tokens::table.filter(refresh_tokens::hash.eq(hash)).select(columns::<Stored<RefreshRow>>());
    let found: Option<Stored<RefreshRow>> = query.first(tx.conn()).optional()?;
    let row = found.map_or(Ok(None), |row| row.checked(tx))?;
    Ok(row.is_some_and(|row| row.spent_at.is_none()))
}

/// Inserts a refresh token.
pub(in crate::identity) fn insert_refresh(
    tx: &mut Tx<'_>,
    hash: &[u8],
    session: Id<Session>,
    now: Timestamp,
) -> Result<()> {
    let row = RefreshRow { hash: hash.to_vec(), session_id: session, created_at: At(now), spent_at: None };
    diesel::insert_into(refresh_tokens::table).values(row.signed(tx)?).execute(tx.conn())?;
    Ok(())
}

/// Notes that a refresh token was used.
pub(in crate::identity) fn mark_spent(tx: &mut Tx<'_>, row: RefreshRow, now: Timestamp) -> Result<()> {
    let row = RefreshRow { spent_at: Some(At(now)), ..row };
    let own = refresh_tokens::table.filter(refresh_tokens::hash.eq(row.hash.clone()));
    diesel::update(own).set(row.signed(tx)?).execute(tx.conn())?;
    Ok(())
}

/// Deletes up to `most` refresh tokens that were spent before `before`. Returns their number.
///
/// Spans accounts: rests on the partial index `refresh_tokens_spent`.
pub(in crate::identity) fn delete_spent(tx: &mut Tx<'_>, before: Timestamp, most: i64) -> Result<usize> {
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
pub(in crate::identity) fn delete_over(tx: &mut Tx<'_>, now: Timestamp, most: i64) -> Result<usize> {
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
