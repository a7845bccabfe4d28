//! Changes of an account: read and opened before a unit, stored in it under the next version.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::actions::{open_credential, open_profile, reseal};
use super::attempts::Attempt;
use super::model::{AccountKind, Email, Passphrase, Profile};
use super::password::{Credential, Passwords};
use super::security_events::{SecurityEvent, tell_owner};
use super::sessions::end_live;
use super::store::{self, AccountFound, AccountRow, Ending, SessionRow};
use super::{AccountPolicy, Claimed};
use crate::changes::{self, Closed};
use crate::db::{At, Tx};
use crate::kernel::id::{Account, Session};
use crate::kernel::{Error, Id, Result};
use crate::state::State;
use crate::vault::{Keys, Vault};

/// The time after a reset of the passphrase in which only devices that the account knows log in. It is not longer than
/// the row of a session is kept after its end: a device that was known when it began is known until it is over.
const GUARDED: SignedDuration = store::KEPT;

/// An account as it was read before a unit, opened.
pub struct AccountSnapshot {
    row: AccountRow,
    keys: Keys,
    profile: Profile,
    /// `None` when it does not open: then no passphrase fits, and it is not written over but by a new one.
    credential: Option<Credential>,
}

impl std::fmt::Debug for AccountSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccountSnapshot({})", self.row.id)
    }
}

/// What an account is to be. The rest stays as it is.
#[derive(Clone, Debug)]
pub struct AccountChange {
    /// Its profile.
    pub profile: Profile,
    /// The keyed hash of its address.
    pub email_key: Vec<u8>,
    /// Its new credential.
    pub credential: Option<Credential>,
    /// The instant from which it is disabled.
    pub disabled_at: Option<Timestamp>,
    /// The instant from which it has a second factor.
    pub factor_since: Option<Timestamp>,
    /// The instant from which its lock is on.
    pub lock_since: Option<Timestamp>,
    /// The instant until which only devices that it knows log in.
    pub guarded_until: Option<Timestamp>,
}

impl AccountSnapshot {
    fn open(found: &AccountFound, keys: Keys) -> Result<Self> {
        let row = found.account.clone();
        let profile = open_profile(&keys, row.id, row.version, &found.profile)?;
        let credential = Error::skip_damaged(open_credential(&keys, &row, &found.credential))?;
        Ok(Self { row, keys, profile, credential })
    }

    /// Returns its id.
    pub fn account(&self) -> Id<Account> {
        self.row.id
    }

    /// Returns its kind.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] for a kind that was never given.
    pub fn kind(&self) -> Result<AccountKind> {
        self.row.account_kind()
    }

    /// Returns its profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Returns its address.
    pub fn email(&self) -> &Email {
        &self.profile.email
    }

    /// Returns the keyed hash of its address.
    pub fn email_key(&self) -> &[u8] {
        &self.row.email_key
    }

    /// Returns its version.
    pub fn version(&self) -> i64 {
        self.row.version
    }

    /// Whether it is disabled.
    pub fn is_disabled(&self) -> bool {
        self.row.disabled_at.is_some()
    }

    /// Returns the keys of the account.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether its lock is on.
    pub fn is_locked(&self) -> bool {
        self.row.lock_since.is_some()
    }

    /// Returns the change that changes nothing.
    pub fn unchanged(&self) -> AccountChange {
        AccountChange {
            profile: self.profile.clone(),
            email_key: self.row.email_key.clone(),
            credential: None,
            disabled_at: self.row.disabled_at.map(|at| at.0),
            factor_since: self.row.factor_since.map(|at| at.0),
            lock_since: self.row.lock_since.map(|at| at.0),
            guarded_until: self.row.guarded_until.map(|at| at.0),
        }
    }

    /// Returns the instant until which only devices that the account knows log in, after a code from a letter set its
    /// passphrase: whoever reads the mail may be somebody else. It knows the devices of live sessions, those that
    /// logged out by themselves as long as they could have stayed logged in, since such a phone keeps its device token,
    /// and for a day those whose session ran out, was displaced or ended with an epoch. Devices that were thrown out,
    /// by their owner, a change of the passphrase or the operator, are not known: where there is no other, nobody is
    /// kept out. The guard ends with the last device that passes it. A second reset takes nothing back.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn guarded_after_reset(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<Option<Timestamp>> {
        let latest = now.saturating_add(GUARDED).unwrap_or(now);
        let begins_guard = |session: &&SessionRow| {
            let is_away = session.ended_by(Ending::LoggedOut) && session.expires_at.0 <= now;
            !is_away && !session.ended_by(Ending::Reset)
        };
        let known = store::hold_known_sessions(tx, self.row.id, now)?;
        let by_devices = known.iter().filter(begins_guard).map(|session| session.known_until().min(latest));
        let present = self.row.guarded_until.map(|at| at.0).filter(|until| *until > now);
        Ok(by_devices.chain(present).max())
    }

    /// Stores a change as the next version. What it closes is entered in the revocation ledger.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the account was changed since it was read: sent again, the request succeeds.
    /// [`Error::Damaged`] when the credential does not open and there is no new one.
    pub fn store(&self, tx: &mut Tx<'_>, change: &AccountChange, now: Timestamp) -> Result<()> {
        let row = AccountRow {
            email_key: change.email_key.clone(),
            disabled_at: change.disabled_at.map(At),
            factor_since: change.factor_since.map(At),
            lock_since: change.lock_since.map(At),
            guarded_until: change.guarded_until.map(At),
            ..self.row.clone()
        };
        let credential = change.credential.as_ref().or(self.credential.as_ref());
        let credential = credential.ok_or(Error::Damaged("accounts", self.row.id.uuid()))?;
        if !reseal(tx, &self.keys, (&self.row, &row), &change.profile, credential)? {
            return Err(Error::Unavailable("the account was changed at the same time"));
        }
        let id = self.row.id;
        let closed = [
            (change.credential.is_some(), Closed::Passphrase(id)),
            (change.email_key != self.row.email_key, Closed::Address(id)),
            (change.disabled_at.is_some() && !self.is_disabled(), Closed::Account(id)),
            // Switched on as well: a backup from before would open to the passphrase alone.
            (change.factor_since != self.row.factor_since.map(|at| at.0), Closed::Factor(id)),
        ];
        for (_, closed) in closed.into_iter().filter(|(is_closed, _)| *is_closed) {
            changes::note_closed(tx, closed, now)?;
        }
        Ok(())
    }

    /// Tells the owner of an event, in the account's own log.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn tell_owner(
        &self,
        tx: &mut Tx<'_>,
        vault: &Vault,
        session: Option<Id<Session>>,
        event: SecurityEvent,
        now: Timestamp,
    ) -> Result<()> {
        tell_owner(tx, (vault, &self.keys), self.row.id, session, event, now)
    }
}

/// Reads the caller's account, once the caller is live.
///
/// # Errors
///
/// As [`Claimed::read`]; [`Error::Damaged`] when its profile does not open.
pub async fn read_own<K: AccountPolicy>(state: &State, caller: &Claimed<K>) -> Result<AccountSnapshot> {
    let found = caller.read(state, |tx, live| store::find_documents(tx, live.account())).await?;
    let found = found.ok_or(Error::NotFound)?;
    let keys = state.vault.keys(found.account.id.uuid()).await?.ok_or(Error::NotFound)?;
    AccountSnapshot::open(&found, keys)
}

/// Opens the caller's account in a unit that changes it.
///
/// # Errors
///
/// [`Error::NotFound`] when it is not there; [`Error::Damaged`] when its profile does not open.
pub fn open_own(tx: &mut Tx<'_>, account: Id<Account>, keys: &Keys) -> Result<AccountSnapshot> {
    let found = store::find_documents(tx, account)?.ok_or(Error::NotFound)?;
    AccountSnapshot::open(&found, keys.clone())
}

/// Finds an account by its id. One whose profile is damaged counts as absent.
///
/// # Errors
///
/// When database or keyring cannot be read.
pub async fn find(state: &State, account: Id<Account>) -> Result<Option<AccountSnapshot>> {
    let found = state.db.read(move |tx| store::find_documents(tx, account)).await?;
    opened(state, found).await
}

/// Finds an account by the keyed hash of its address, with the same look-ups for an address that nobody has. One whose
/// profile is damaged counts as absent.
///
/// # Errors
///
/// When database or keyring cannot be read.
pub async fn find_by_email(state: &State, email_key: Vec<u8>) -> Result<Option<AccountSnapshot>> {
    let found = state.db.read(move |tx| store::find_by_email(tx, &email_key)).await?;
    opened(state, found).await
}

async fn opened(state: &State, found: Option<AccountFound>) -> Result<Option<AccountSnapshot>> {
    // An id that no account has, so that the same look-ups are made.
    let id = found.as_ref().map_or_else(|| Id::from_uuid(state.entropy.opaque()), |found| found.account.id);
    let keys = state.vault.keys_from_keyring(id.uuid()).await?;
    let Some((found, keys)) = found.zip(keys) else { return Ok(None) };
    Error::skip_damaged(AccountSnapshot::open(&found, keys))
}

/// Whether a passphrase is the present one of an account. A wrong one is counted like a failed log-in of the device of
/// `session`, and while its log-ins rest no passphrase is right.
///
/// # Errors
///
/// [`Error::Unavailable`] when too many wait for their turn.
pub async fn fits(
    state: &State,
    passwords: &Passwords,
    own: &AccountSnapshot,
    (session, passphrase): (Id<Session>, Passphrase),
    now: Timestamp,
) -> Result<bool> {
    let credential = own.credential.clone().unwrap_or_else(Credential::nobody);
    let fits = passwords.fits(passphrase, credential).await?;
    let attempt = Attempt::of_session(&state.vault, own.account(), session);
    state.db.write(move |tx| attempt.count(tx, fits, now)).await
}

/// Forgets the failed log-ins of an address from a network, and from all together: its owner has proved to read its
/// mail.
///
/// # Errors
///
/// When the database cannot be written.
pub fn forgive(
    tx: &mut Tx<'_>,
    vault: &Vault,
    (email_key, network): (&[u8], Option<IpAddr>),
    now: Timestamp,
) -> Result<()> {
    Attempt::of_stranger(vault, email_key, network).forget(tx, now)
}

/// Ends the sessions of an account. Their devices are told to erase what they hold.
///
/// # Errors
///
/// When the database cannot be written.
pub fn revoke_sessions(tx: &mut Tx<'_>, account: Id<Account>, now: Timestamp) -> Result<()> {
    end_live(tx, account, None, Ending::Wanted, now).map(drop)
}

/// Ends the sessions of an account whose passphrase a code from a letter has set. Their devices keep what they hold,
/// and the account still knows them.
///
/// # Errors
///
/// When the database cannot be written.
pub fn end_sessions_at_reset(tx: &mut Tx<'_>, account: Id<Account>, now: Timestamp) -> Result<()> {
    end_live(tx, account, None, Ending::Reset, now).map(drop)
}

/// Ends the sessions of an account but `kept`. Their devices keep what they hold.
///
/// # Errors
///
/// When the database cannot be written.
pub fn end_sessions(tx: &mut Tx<'_>, account: Id<Account>, kept: Option<Id<Session>>, now: Timestamp) -> Result<()> {
    end_live(tx, account, kept, Ending::Account, now).map(drop)
}
