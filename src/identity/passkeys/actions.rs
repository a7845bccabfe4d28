//! The passkeys of an account: made, listed, taken away.

use jiff::Timestamp;
use serde_json::Value;

use super::ceremony::{self, Ceremony, CeremonyKind};
use super::model::{Assertion, KeyOwner, NewKey, PasskeyDoc, PasskeyName};
use super::proofs::{self, credential_key, handle_of};
use super::relying_party::RelyingParty;
use super::store::{self, PasskeyFound, PasskeyRow};
use crate::changes::{self, Closed};
use crate::db::{At, Tx};
use crate::idempotency::Outcome;
use crate::identity::security_events::{SecurityEvent, tell_owner};
use crate::identity::sessions::forget_proofs;
use crate::identity::store::{find_live, hold_account};
use crate::identity::upkeep::{self, AccountSnapshot};
use crate::identity::{AccountPolicy, Claimed, Live};
use crate::kernel::id::{Account, Passkey};
use crate::kernel::{Error, Id, Result, limits};
use crate::state::State;
use crate::vault::{Keys, Vault};

/// A challenge for a device.
pub(in crate::identity) struct Challenge {
    /// What is sent back with the answer.
    pub ceremony: String,
    /// The options for the device, in the JSON form of WebAuthn.
    pub options: Value,
}

/// A passkey of the caller's account.
#[derive(Clone, Debug)]
pub(in crate::identity) struct OwnPasskey(PasskeyFound);

impl OwnPasskey {
    /// Returns its id.
    pub fn id(&self) -> Id<Passkey> {
        self.0.row.id
    }

    /// Returns the instant at which it was added.
    pub fn created_at(&self) -> Timestamp {
        self.0.row.created_at.0
    }

    /// Returns the instant of its last use.
    pub fn last_used_at(&self) -> Option<Timestamp> {
        self.0.row.last_used_at.map(|at| at.0)
    }

    /// Opens its name.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] when it does not open.
    pub fn name(&self, keys: &Keys) -> Result<PasskeyName> {
        Ok(proofs::open(keys, &self.0)?.name)
    }
}

/// Lists the passkeys of the caller's account, the oldest first.
///
/// # Errors
///
/// When the database fails.
pub(in crate::identity) fn list<K>(tx: &mut Tx<'_>, live: &Live<K>) -> Result<Vec<OwnPasskey>> {
    Ok(store::list_passkeys(tx, live.account())?.into_iter().map(OwnPasskey).collect())
}

/// Returns a passkey of the caller's account.
///
/// # Errors
///
/// [`Error::NotFound`] when there is none, or it is another account's.
pub(in crate::identity) fn get<K>(tx: &mut Tx<'_>, live: &Live<K>, id: Id<Passkey>) -> Result<OwnPasskey> {
    store::find_passkey(tx, live.account(), id)?.map(OwnPasskey).ok_or(Error::NotFound)
}

/// Begins a log-in, or a proof within a session. Nobody is named: it is the same for everybody.
///
/// # Errors
///
/// [`Code::PasskeysOff`](crate::kernel::Code::PasskeysOff).
pub(in crate::identity) fn begin_log_in(state: &State) -> Result<Challenge> {
    let begun = RelyingParty::of(&state.config)?.begin_log_in()?;
    let ceremony = ceremony::seal(&state.vault, &CeremonyKind::log_in(), begun.state, state.clock.now())?;
    Ok(Challenge { ceremony, options: begun.options })
}

/// Begins to add a passkey to the caller's account. Devices that have one of it make none again.
///
/// # Errors
///
/// [`Code::PasskeysOff`](crate::kernel::Code::PasskeysOff), as soon as the caller is live; [`Error::LimitReached`].
pub(in crate::identity) async fn begin<K: AccountPolicy>(state: &State, caller: &Claimed<K>) -> Result<Challenge> {
    let own = upkeep::read_own(state, caller).await?;
    let present = caller.read(state, |tx, live| store::list_passkeys(tx, live.account())).await?;
    let party = RelyingParty::of(&state.config)?;
    limits::PASSKEYS.admit(i64::try_from(present.len()).unwrap_or(i64::MAX))?;
    let mut known = Vec::with_capacity(present.len());
    for found in &present {
        known.extend(Error::skip_damaged(proofs::open(own.keys(), found))?.map(|doc| doc.credential_id));
    }
    let handle = handle_of(&state.vault, own.account());
    let owner = KeyOwner { handle, email: own.email().as_str(), name: own.profile().name.as_str() };
    let begun = party.begin_registration(&owner, known)?;
    let kind = CeremonyKind::registration(caller.account(), caller.session());
    let ceremony = ceremony::seal(&state.vault, &kind, begun.state, caller.now())?;
    Ok(Challenge { ceremony, options: begun.options })
}

/// A passkey that is about to be added.
pub(in crate::identity) struct NewPasskey {
    own: AccountSnapshot,
    id: Id<Passkey>,
    name: PasskeyName,
    key: NewKey,
    ceremony: Ceremony,
}

/// Looks at the key that a device has made, before the unit that adds it.
///
/// # Errors
///
/// [`Error::Invalid`] when it does not answer a challenge of this session; as [`upkeep::read_own`].
pub(in crate::identity) async fn look_at<K: AccountPolicy>(
    state: &State,
    caller: &Claimed<K>,
    (name, made): (PasskeyName, Assertion),
) -> Result<NewPasskey> {
    let own = upkeep::read_own(state, caller).await?;
    let party = RelyingParty::of(&state.config)?;
    let kind = CeremonyKind::registration(caller.account(), caller.session());
    let ceremony = Ceremony::open(&state.vault, &kind, &made.ceremony, caller.now()).ok_or_else(over)?;
    let key = party.finish_registration(ceremony.state(), made.credential)?;
    let key = key.ok_or_else(|| Error::field("/credential", "does not answer the challenge for this server"))?;
    Ok(NewPasskey { own, id: state.entropy.id(caller.now()), name, key, ceremony })
}

fn over() -> Error {
    Error::field("/ceremony", "is not of this session, was used before, or is older than five minutes: begin again")
}

/// Adds a passkey to the caller's account, and tells its owner.
///
/// # Errors
///
/// [`Error::Invalid`] when the challenge was used before, the proof with which it was asked for was taken back, or the
/// key is known; [`Error::LimitReached`].
pub(in crate::identity) fn add<K>(
    tx: &mut Tx<'_>,
    live: &Live<K>,
    vault: &Vault,
    new: &NewPasskey,
) -> Result<Outcome<OwnPasskey>> {
    let (account, keys, now) = (live.account(), new.own.keys(), live.now());
    // Whoever takes every passkey away holds the account, too: they find this one, or they have ended the session.
    hold_account(tx, account)?;
    let lives = find_live(tx, live.session())?.is_some_and(|(session, row)| !session.over(&row, now));
    // It was asked for with a proof that counts no more, perhaps.
    if !lives || live.proofs().were_taken_back() || !new.ceremony.spend(tx)? {
        return Err(over());
    }
    limits::PASSKEYS.admit(store::count(tx, account)?)?;
    let row = PasskeyRow {
        id: new.id,
        account_id: account,
        credential_key: credential_key(vault, &new.key.credential_id),
        version: tx.first_version(),
        created_at: At(now),
        last_used_at: None,
    };
    let NewKey { credential_id, key } = new.key.clone();
    let doc = proofs::seal(keys, &row, &PasskeyDoc { name: new.name.clone(), credential_id, key })?;
    if !store::insert_passkey(tx, &row, &doc)? {
        return Err(Error::field("/credential", "is a passkey that was added before"));
    }
    tell_owner(tx, (vault, keys), account, Some(live.session()), SecurityEvent::PasskeyAdded, now)?;
    Ok(Outcome::created(row.id, OwnPasskey(PasskeyFound { row, doc })))
}

/// Takes a passkey of the caller's account away, and tells its owner. What was shown in other sessions is taken back.
///
/// # Errors
///
/// [`Error::NotFound`] when there is none, or it is another account's.
pub(in crate::identity) fn remove<K>(
    tx: &mut Tx<'_>,
    live: &Live<K>,
    (vault, keys): (&Vault, Option<&Keys>),
    id: Id<Passkey>,
) -> Result<()> {
    if !store::delete_passkey(tx, live.account(), id)? {
        // A repetition, too, is answered once it stands in the ledger.
        tx.follow_up();
        return Err(Error::NotFound);
    }
    changes::note_closed(tx, Closed::Passkey(id), live.now())?;
    let (account, session, keys) = (live.account(), live.session(), keys.ok_or(Error::NotFound)?);
    forget_proofs(tx, account, Some(session), live.now())?;
    tell_owner(tx, (vault, keys), account, Some(session), SecurityEvent::PasskeyRemoved, live.now())
}

/// Takes every passkey of an account away, and returns whether there was one. What was shown in its sessions is taken
/// back.
///
/// # Errors
///
/// When the database cannot be written.
pub(in crate::identity) fn remove_all(tx: &mut Tx<'_>, account: Id<Account>, now: Timestamp) -> Result<bool> {
    hold_account(tx, account)?;
    let removed = store::delete_passkeys(tx, account)?;
    for id in &removed {
        changes::note_closed(tx, Closed::Passkey(*id), now)?;
    }
    if removed.is_empty() {
        return Ok(false);
    }
    forget_proofs(tx, account, None, now)?;
    Ok(true)
}
