//! The sessions of an account, as their owner sees, names and ends them.

use jiff::Timestamp;

use super::Live;
use super::model::{DeviceName, SessionDoc};
use super::security_events::{SecurityEvent, tell_owner};
use super::store::{self, Ending, NamedSession, SessionRow};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::kernel::id::{Account, Session};
use crate::kernel::{Error, Id, Result};
use crate::vault::{Keys, Purpose, SealContext, Vault};

/// A live session of the caller's account.
#[derive(Clone, Debug)]
pub struct OwnSession(NamedSession);

impl OwnSession {
    /// Returns its id.
    pub fn id(&self) -> Id<Session> {
        self.0.row.id
    }

    /// Returns the version of the name of its device.
    pub fn version(&self) -> i64 {
        self.0.version
    }

    /// Returns the instant of the log-in.
    pub fn created_at(&self) -> Timestamp {
        self.0.row.created_at.0
    }

    /// Returns the instant of the last refresh.
    pub fn last_used_at(&self) -> Timestamp {
        self.0.row.last_used_at.0
    }

    /// Returns the instant from which it is over unless it is used before.
    pub fn expires_at(&self) -> Timestamp {
        self.0.row.expires_at.0
    }

    /// Opens the name of its device; `None` when it has none.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] when it does not open.
    pub fn device_name(&self, keys: &Keys) -> Result<Option<DeviceName>> {
        let Some(doc) = &self.0.doc else { return Ok(None) };
        let doc: SessionDoc = keys.open_json(&place(self.0.row.account_id, self.id(), self.0.version), doc)?;
        Ok(Some(doc.device_name))
    }
}

fn place(account: Id<Account>, session: Id<Session>, version: i64) -> SealContext {
    let (subject, row) = (account.uuid(), session.uuid());
    SealContext { table: "sessions", column: "doc", subject, row, revision: version }
}

/// Lists the live sessions of the caller's account, the one used last first.
///
/// # Errors
///
/// When the database fails.
pub fn list<K>(tx: &mut Tx<'_>, live: &Live<K>) -> Result<Vec<OwnSession>> {
    Ok(store::list_sessions(tx, live.account(), live.now())?.into_iter().map(OwnSession).collect())
}

/// Returns a live session of the caller's account.
///
/// # Errors
///
/// [`Error::NotFound`] when it is over, or another account's.
pub fn get<K>(tx: &mut Tx<'_>, live: &Live<K>, id: Id<Session>) -> Result<OwnSession> {
    let found = store::hold_named_session(tx, live.account(), id)?.filter(|found| found.row.is_live(live.now()));
    found.map(OwnSession).ok_or(Error::NotFound)
}

/// Names the device of a session in the unit of its log-in.
///
/// # Errors
///
/// When the database fails.
pub(super) fn name_device(
    tx: &mut Tx<'_>,
    keys: &Keys,
    (account, id): (Id<Account>, Id<Session>),
    name: &DeviceName,
) -> Result<()> {
    let Some(found) = store::hold_named_session(tx, account, id)? else { return Ok(()) };
    store_name(tx, keys, &found, name).map(drop)
}

fn store_name(tx: &mut Tx<'_>, keys: &Keys, found: &NamedSession, name: &DeviceName) -> Result<NamedSession> {
    let version = tx.version_after(found.version);
    let place = place(found.row.account_id, found.row.id, version);
    let doc = keys.seal_json(Purpose::Account, &place, &SessionDoc { device_name: name.clone() })?;
    let named = NamedSession { version, doc: Some(doc), ..found.clone() };
    store::update_name(tx, &named)?;
    Ok(named)
}

/// Names the device of a session anew. `change` makes the new name from the present one, which is empty for a device
/// without a name; `None` leaves it.
///
/// # Errors
///
/// As [`get`]; 428 and 412 for the precondition; the errors of `change`.
pub fn rename<K>(
    tx: &mut Tx<'_>,
    live: &Live<K>,
    keys: &Keys,
    (id, when): (Id<Session>, &Preconditions),
    change: impl FnOnce(&str) -> Result<Option<DeviceName>>,
) -> Result<OwnSession> {
    let found = get(tx, live, id)?;
    let before = Error::skip_damaged(found.device_name(keys))?.flatten();
    let Some(name) = change(before.as_ref().map_or("", DeviceName::as_str))? else { return Ok(found) };
    when.require(&EntityTag::version(found.version()))?;
    store_name(tx, keys, &found.0, &name).map(OwnSession)
}

/// Ends a session of the caller's account, and tells its owner unless it is the caller's own. The device is told to
/// erase what it holds, and the account knows it no more, also when the session was over. A second call changes
/// nothing.
///
/// # Errors
///
/// [`Error::NotFound`] when it never existed, was forgotten, or is another account's.
pub fn end<K>(tx: &mut Tx<'_>, live: &Live<K>, (vault, keys): (&Vault, Option<&Keys>), id: Id<Session>) -> Result<()> {
    let (account, now) = (live.account(), live.now());
    let session = store::hold_session(tx, account, id)?.ok_or(Error::NotFound)?;
    if id == live.session() {
        return store::mark_logged_out(tx, session, now);
    }
    let changed = store::throw_out(tx, session, Ending::Wanted, now)?;
    match keys.filter(|_| changed) {
        Some(keys) => tell_owner(tx, (vault, keys), account, Some(id), SecurityEvent::SessionEnded, now),
        None => Ok(()),
    }
}

/// Ends all sessions of the caller's account but the caller's own, and tells its owner.
///
/// # Errors
///
/// When the database fails.
pub fn end_others<K>(tx: &mut Tx<'_>, live: &Live<K>, (vault, keys): (&Vault, Option<&Keys>)) -> Result<()> {
    let (account, session, now) = (live.account(), live.session(), live.now());
    let ended = end_live(tx, account, Some(session), Ending::Wanted, now)?;
    match keys.filter(|_| ended > 0) {
        Some(keys) => tell_owner(tx, (vault, keys), account, Some(session), SecurityEvent::OtherSessionsEnded, now),
        None => Ok(()),
    }
}

/// Takes back what was shown in the live sessions of an account but `kept`, in the unit that makes a passkey, a second
/// factor or recovery codes void: whoever has shown them may have been somebody else. The sessions go on, and what asks
/// for a fresh proof asks again.
///
/// The row of what is void is held by then: a unit that shows it at the same time is done, or finds it void.
///
/// # Errors
///
/// When the database fails.
pub(super) fn forget_proofs(
    tx: &mut Tx<'_>,
    account: Id<Account>,
    kept: Option<Id<Session>>,
    now: Timestamp,
) -> Result<()> {
    for session in store::hold_live_sessions(tx, account, now)? {
        let has_proofs = session.verified_at.is_some() || session.factor_at.is_some();
        if has_proofs && Some(session.id) != kept {
            store::update_session(tx, &SessionRow { verified_at: None, factor_at: None, ..session })?;
        }
    }
    Ok(())
}

/// Ends the live sessions of an account but `kept`, and returns their number. Listeners hear of it after the commit.
/// Devices whose sessions are over are thrown out as well, unless the cause is a reset: that throws none out.
///
/// # Errors
///
/// When the database fails.
pub(super) fn end_live(
    tx: &mut Tx<'_>,
    account: Id<Account>,
    kept: Option<Id<Session>>,
    cause: Ending,
    now: Timestamp,
) -> Result<usize> {
    if cause != Ending::Reset {
        return store::throw_out_all(tx, account, kept, cause, now);
    }
    let mut ended = 0;
    for session in store::hold_live_sessions(tx, account, now)? {
        if Some(session.id) != kept {
            store::mark_revoked(tx, session, cause, now)?;
            ended += 1;
        }
    }
    Ok(ended)
}
