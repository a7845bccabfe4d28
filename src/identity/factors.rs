//! The second factor of an account: time-based codes, each good once, and recovery codes for who lost what makes them.
//!
//! It counts once a first code of it was shown. No code is good twice: the step of the last one is kept, and a bit for
//! each recovery code that was used. Each change of it is entered in the revocation ledger, because a database that is
//! restored holds an earlier one, or none.

use jiff::Timestamp;

use super::attempts::Attempt;
use super::codes::{self, FactorDoc, JudgedCode};
use super::freshness::Need;
use super::model::Passphrase;
use super::passkeys::actions as passkeys;
use super::passkeys::model::Assertion;
use super::passkeys::proofs::{self, ShownPasskey};
use super::password::Passwords;
use super::security_events::{SecurityEvent, tell_owner};
use super::sessions::forget_proofs;
use super::store::{self, FactorRow, SessionRow};
use super::totp::{self, RECOVERY_CODES, SECRET_BYTES};
use super::upkeep::{self, AccountChange, AccountSnapshot};
use super::{AccountPolicy, Claimed, Email, Live};
use crate::changes::{self, Closed};
use crate::db::{At, Tx};
use crate::idempotency::Outcome;
use crate::kernel::{Error, JoinCode, Result};
use crate::state::State;
use crate::vault::{Keys, Vault};

/// Returns the error for a code that is not the present one.
fn not_present() -> Error {
    Error::field("/code", "is not the present code, was used before, or there were too many wrong ones: wait a while")
}

/// Returns the error for an account without a second factor.
fn none_yet() -> Error {
    Error::state("none", ["begin_totp"])
}

/// How the second factor of an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactorState {
    /// The instant from which it counts; `None` while its first code is awaited.
    pub confirmed_at: Option<Timestamp>,
    /// The number of recovery codes that are left.
    pub recovery_codes: u32,
}

/// Reads how the caller's second factor stands; `None` when there is none.
///
/// # Errors
///
/// When the database fails.
pub fn state<K>(tx: &mut Tx<'_>, live: &Live<K>) -> Result<Option<FactorState>> {
    Ok(store::find_factor(tx, live.account())?.map(|found| FactorState {
        confirmed_at: found.row.confirmed_at.map(|at| at.0),
        recovery_codes: u32::from(RECOVERY_CODES).saturating_sub(found.row.recovery_used.count_ones()),
    }))
}

/// The secrets of a second factor that is about to be stored.
pub struct NewFactor {
    own: AccountSnapshot,
    doc: FactorDoc,
}

impl std::fmt::Debug for NewFactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewFactor(***)")
    }
}

impl NewFactor {
    /// Returns the keys of its account.
    pub fn keys(&self) -> &Keys {
        self.own.keys()
    }

    /// Returns the address of its account.
    pub fn email(&self) -> &Email {
        self.own.email()
    }
}

/// Draws the secrets of a second factor for the caller, before the unit.
///
/// # Errors
///
/// As [`upkeep::read_own`].
pub async fn prepare<K: AccountPolicy>(state: &State, caller: &Claimed<K>) -> Result<NewFactor> {
    let own = upkeep::read_own(state, caller).await?;
    let doc = FactorDoc { secret: state.entropy.bytes(), recovery: state.entropy.bytes() };
    Ok(NewFactor { own, doc })
}

/// Stores a new second factor, which counts once its first code is shown. One that awaits it is replaced.
///
/// # Errors
///
/// [`Error::State`] when there is one already; [`Error::Unavailable`] when another request stores one.
pub fn begin<K>(tx: &mut Tx<'_>, live: &Live<K>, new: &NewFactor) -> Result<Outcome<()>> {
    let (account, before) = (live.account(), store::hold_factor(tx, live.account())?);
    if before.as_ref().is_some_and(|found| found.row.confirmed_at.is_some()) {
        return Err(Error::state("on", ["delete_totp"]));
    }
    let version = before.as_ref().map_or_else(|| tx.first_version(), |found| tx.version_after(found.row.version));
    let created_at = At(live.now());
    let row =
        FactorRow { account_id: account, last_step: 0, recovery_used: 0, confirmed_at: None, version, created_at };
    let doc = codes::seal(new.keys(), (account, version), &new.doc)?;
    if before.is_some() {
        store::update_factor_doc(tx, &row, &doc)?;
    } else if !store::insert_factor(tx, &row, &doc)? {
        return Err(Error::Unavailable("the account was changed at the same time"));
    }
    Ok(Outcome::ok(account, ()))
}

/// Returns the secret of a second factor whose first code is awaited.
///
/// # Errors
///
/// [`Error::State`] when that was shown, or there is none; [`Error::Damaged`] when it does not open.
pub fn awaited<K>(tx: &mut Tx<'_>, live: &Live<K>, keys: &Keys) -> Result<[u8; SECRET_BYTES]> {
    match store::find_factor(tx, live.account())? {
        Some(found) if found.row.confirmed_at.is_none() => Ok(codes::open(keys, &found)?.secret),
        Some(_) => Err(Error::state("on", ["delete_totp"])),
        None => Err(none_yet()),
    }
}

/// A code that was looked at before the unit that uses it up.
#[derive(Clone)]
pub struct TypedCode {
    keys: Keys,
    code: String,
    /// Whether it is one of the account's, used or not, and codes do not rest.
    fits: bool,
}

impl std::fmt::Debug for TypedCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TypedCode(***, fits: {})", self.fits)
    }
}

/// Looks whether a typed code is one of the caller's, and counts a wrong one. One that was used before is no guess: it
/// is not counted, and is refused in the unit.
///
/// # Errors
///
/// When database or keyring cannot be reached.
pub async fn look_at<K: AccountPolicy>(state: &State, caller: &Claimed<K>, code: String) -> Result<TypedCode> {
    let (own, now) = (upkeep::read_own(state, caller).await?, caller.now());
    let account = own.account();
    let found = state.db.read(move |tx| store::find_factor(tx, account)).await?;
    let doc = match &found {
        Some(found) => Error::skip_damaged(codes::open(own.keys(), found))?,
        None => None,
    };
    let known = doc.is_some_and(|doc| {
        totp::step_of(&doc.secret, &code, now, i64::MIN).is_some()
            || totp::recovery_number(&doc.recovery, &code).is_some()
    });
    let attempt = Attempt::of_code(&state.vault, own.account(), caller.session());
    let fits = state.db.write(move |tx| attempt.count(tx, known, now)).await?;
    Ok(TypedCode { keys: own.keys().clone(), code, fits })
}

/// Switches the caller's second factor on with its first code. The session counts as one in which it was shown.
///
/// # Errors
///
/// [`Error::State`] when it is on, or there is none; [`Error::Invalid`] for another code; [`Error::StepUp`] when the
/// proofs of the session were taken back.
pub fn confirm<K>(tx: &mut Tx<'_>, live: &Live<K>, vault: &Vault, typed: &TypedCode) -> Result<Outcome<()>> {
    let (account, now, keys) = (live.account(), live.now(), &typed.keys);
    // The account before its factor, as in a log-in.
    store::hold_account(tx, account)?;
    let found = store::hold_factor(tx, account)?.ok_or_else(none_yet)?;
    if found.row.confirmed_at.is_some() {
        // It may be this request that switched it on: the answer to the last one waited for the revocation ledger.
        tx.follow_up();
        return Err(Error::state("on", ["delete_totp"]));
    }
    // The secret was made with a proof that counts no more, perhaps.
    live.proofs().check_kept(now)?;
    let doc = codes::open(keys, &found)?;
    let step = totp::step_of(&doc.secret, &typed.code, now, found.row.last_step).filter(|_| typed.fits);
    let last_step = step.ok_or_else(not_present)?;
    store::update_factor(tx, &FactorRow { last_step, confirmed_at: Some(At(now)), ..found.row })?;
    let own = upkeep::open_own(tx, account, keys)?;
    own.store(tx, &AccountChange { factor_since: Some(now), ..own.unchanged() }, now)?;
    prove(tx, live, (false, true))?;
    tell_owner(tx, (vault, keys), account, Some(live.session()), SecurityEvent::FactorOn, now)?;
    Ok(Outcome::ok(account, ()))
}

/// Returns the recovery codes of the caller's second factor, as they are by now.
///
/// # Errors
///
/// [`Error::StepUp`] when the proofs of the session were taken back: a repeated request does not show them again, nor
/// those that took their place; [`Error::State`] when there is none; [`Error::Damaged`] when they do not open.
pub fn recovery_codes<K>(tx: &mut Tx<'_>, live: &Live<K>, keys: Option<&Keys>) -> Result<Vec<JoinCode>> {
    live.proofs().check_kept(live.now())?;
    let found = store::find_factor(tx, live.account())?.ok_or_else(none_yet)?;
    let doc = codes::open(keys.ok_or(Error::NotFound)?, &found)?;
    Ok((0..RECOVERY_CODES).map(|number| totp::recovery_code(&doc.recovery, number)).collect())
}

/// Makes a new set of recovery codes. Those of the last one are void. What was shown in other sessions is taken back.
///
/// # Errors
///
/// [`Error::State`] when there is no second factor; [`Error::Damaged`] when it does not open.
pub fn renew_recovery_codes<K>(tx: &mut Tx<'_>, live: &Live<K>, vault: &Vault, new: &NewFactor) -> Result<Outcome<()>> {
    let (account, keys) = (live.account(), new.keys());
    let found = store::hold_factor(tx, account)?.filter(|found| found.row.confirmed_at.is_some());
    let found = found.ok_or_else(none_yet)?;
    let doc = FactorDoc { recovery: new.doc.recovery, ..codes::open(keys, &found)? };
    let row = FactorRow { version: tx.version_after(found.row.version), recovery_used: 0, ..found.row };
    let sealed = codes::seal(keys, (account, row.version), &doc)?;
    store::update_factor_doc(tx, &row, &sealed)?;
    changes::note_closed(tx, Closed::Factor(account), live.now())?;
    forget_proofs(tx, account, Some(live.session()), live.now())?;
    tell_owner(tx, (vault, keys), account, Some(live.session()), SecurityEvent::RecoveryCodesMade, live.now())?;
    Ok(Outcome::ok(account, ()))
}

/// Takes the caller's second factor away, also one whose first code is awaited. What was shown in other sessions is
/// taken back. A repetition changes nothing.
///
/// # Errors
///
/// When the database fails; [`Error::Damaged`] when the account does not open; [`Error::Unavailable`] when its first
/// code is shown at the same time: sent again, the request is asked for a proof.
pub fn remove<K>(tx: &mut Tx<'_>, live: &Live<K>, (vault, keys): (&Vault, Option<&Keys>)) -> Result<()> {
    let (account, keys) = (live.account(), keys.ok_or(Error::NotFound)?);
    // Held before the account is read: one whose first code is shown meanwhile counts by then. The account before its
    // factor, as in a log-in.
    store::hold_account(tx, account)?;
    store::hold_factor(tx, account)?;
    let counts = store::has_factor(tx, account)?;
    if counts && !live.proofs().has_factor {
        return Err(Error::Unavailable("the account was changed at the same time"));
    }
    store::delete_factor(tx, account)?;
    if !counts {
        // A repetition, too, is answered once it stands in the ledger.
        tx.follow_up();
        return Ok(());
    }
    let own = upkeep::open_own(tx, account, keys)?;
    own.store(tx, &AccountChange { factor_since: None, ..own.unchanged() }, live.now())?;
    forget_proofs(tx, account, Some(live.session()), live.now())?;
    tell_owner(tx, (vault, keys), account, Some(live.session()), SecurityEvent::FactorOff, live.now())
}

/// Takes away the passkeys of an account whose passphrase was forgotten: whoever added one may have been somebody else.
///
/// # Errors
///
/// As [`AccountSnapshot::tell_owner`].
pub fn forget_passkeys(tx: &mut Tx<'_>, own: &AccountSnapshot, vault: &Vault, now: Timestamp) -> Result<()> {
    if passkeys::remove_all(tx, own.account(), now)? {
        own.tell_owner(tx, vault, None, SecurityEvent::PasskeyRemoved, now)?;
    }
    Ok(())
}

/// Takes away the second factor and the passkeys of an account whose owner has proved in person who they are, and ends
/// its sessions. The account is held.
///
/// # Errors
///
/// As [`AccountSnapshot::store`], [`AccountSnapshot::tell_owner`].
pub fn forget(tx: &mut Tx<'_>, own: &AccountSnapshot, vault: &Vault, now: Timestamp) -> Result<()> {
    store::delete_factor(tx, own.account())?;
    let had_passkeys = passkeys::remove_all(tx, own.account(), now)?;
    // The sessions of an account are held before its log, as by its owner who ends one.
    upkeep::revoke_sessions(tx, own.account(), now)?;
    if had_passkeys {
        own.tell_owner(tx, vault, None, SecurityEvent::PasskeyRemoved, now)?;
    }
    if own.unchanged().factor_since.is_some() {
        own.tell_owner(tx, vault, None, SecurityEvent::FactorOff, now)?;
    }
    Ok(())
}

/// Notes in the caller's session that the passphrase, a code, or both were shown now.
fn prove<K>(tx: &mut Tx<'_>, live: &Live<K>, (passphrase, code): (bool, bool)) -> Result<()> {
    let session = store::hold_session(tx, live.account(), live.session())?.ok_or(Error::NotFound)?;
    let now = Some(At(live.now()));
    let verified_at = if passphrase { now } else { session.verified_at };
    let factor_at = if code { now } else { session.factor_at };
    store::update_session(tx, &SessionRow { verified_at, factor_at, ..session })
}

/// Returns the instant of the newest proof of the caller's session.
///
/// # Errors
///
/// [`Error::StepUp`] when what was shown was taken back: a repeated request does not show it again.
pub fn proved_at<K>(tx: &mut Tx<'_>, live: &Live<K>) -> Result<Timestamp> {
    let session = store::hold_session(tx, live.account(), live.session())?.ok_or(Error::NotFound)?;
    let newest = [session.verified_at, session.factor_at].into_iter().flatten().map(|at| at.0).max();
    let Some(newest) = newest else {
        return Need::Fresh.check(live.proofs(), live.now()).and(Err(Error::NotFound));
    };
    Ok(newest)
}

/// The proofs that somebody shows within a session, looked at before the unit.
#[derive(Debug)]
pub struct ShownProofs {
    keys: Keys,
    /// Whether the passphrase is right, if there is one.
    passphrase: Option<bool>,
    code: Option<TypedCode>,
    passkey: Option<ShownPasskey>,
}

/// Looks at the proofs that the caller shows within the session, and counts wrong ones.
///
/// # Errors
///
/// [`Error::Invalid`] without any; [`Error::Unavailable`] when too many wait for their turn.
pub async fn look_at_proofs<K: AccountPolicy>(
    state: &State,
    passwords: &Passwords,
    caller: &Claimed<K>,
    (passphrase, code, passkey): (Option<String>, Option<String>, Option<Assertion>),
) -> Result<ShownProofs> {
    let own = upkeep::read_own(state, caller).await?;
    if passphrase.is_none() && code.is_none() && passkey.is_none() {
        return Err(Error::field("/passphrase", "is required, or `code`, or `passkey`"));
    }
    let passphrase = match passphrase {
        Some(text) => {
            let typed = (caller.session(), Passphrase::typed(text));
            Some(upkeep::fits(state, passwords, &own, typed, caller.now()).await?)
        }
        None => None,
    };
    let code = match code {
        Some(code) => Some(look_at(state, caller, code).await?),
        None => None,
    };
    let passkey = match passkey {
        Some(assertion) => Some(proofs::look_at(state, assertion, caller.now()).await?),
        None => None,
    };
    Ok(ShownProofs { keys: own.keys().clone(), passphrase, code, passkey })
}

/// Notes in the caller's session what was shown. The code is used up. A passkey counts as both.
///
/// # Errors
///
/// [`Error::Invalid`] when one of them is wrong: then none counts.
pub fn step_up<K>(tx: &mut Tx<'_>, live: &Live<K>, vault: &Vault, shown: &ShownProofs) -> Result<Outcome<()>> {
    if shown.passphrase == Some(false) {
        return Err(Error::field(
            "/passphrase",
            "is not the present passphrase, or there were too many wrong ones: wait a while",
        ));
    }
    let mut code = None;
    if let Some(typed) = &shown.code {
        let of_account = (live.account(), typed.code.as_str());
        let judged =
            if typed.fits { codes::spend(tx, &shown.keys, of_account, live.now())? } else { JudgedCode::Wrong };
        if !judged.is_good() {
            return Err(not_present());
        }
        code = judged.event();
    }
    let mut both = false;
    if let Some(passkey) = &shown.passkey {
        both = passkey.spend(tx, live.account(), live.now())?;
        if !both {
            return Err(Error::field(
                "/passkey",
                "is not one of the account's that answers a challenge just given out",
            ));
        }
    }
    prove(tx, live, (both || shown.passphrase.is_some(), both || shown.code.is_some()))?;
    if let Some(event) = code {
        tell_owner(tx, (vault, &shown.keys), live.account(), None, event, live.now())?;
    }
    Ok(Outcome::ok(live.account(), ()))
}
