//! Passphrase, address, name and end of an account.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::care::members;
use crate::care::store::delete_resets;
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::identity::actions::email_key;
use crate::identity::upkeep::{self, AccountChange, AccountSnapshot};
use crate::identity::{
    AccountPolicy, Caller, Claimed, Credential, Email, Live, Need, Passphrase, Passwords, Profile, SecurityEvent,
    factors, hold_enabled, is_email_taken,
};
use crate::kernel::id::Account;
use crate::kernel::{Error, Fields, Id, JoinCode, Result};
use crate::letters::proofs::{self, NewProof, refused};
use crate::letters::{self, LetterDoc, LetterKind, PendingLetters, PreparedLetter, ProofPurpose, ProofRow};
use crate::state::State;
use crate::vault::{Keys, Vault};

/// Returns the error for a passphrase that is not the present one.
fn not_fitting() -> Error {
    Error::field("/passphrase", "is not the present passphrase, or there were too many wrong ones: wait a while")
}

/// Prepares a letter to the owner of an account.
async fn letter_to(
    state: &State,
    own: &AccountSnapshot,
    to: &Email,
    (kind, proof): (LetterKind, Option<&NewProof>),
    now: Timestamp,
) -> Result<PreparedLetter> {
    let (to, locale) = (to.clone(), own.profile().locale.clone());
    letters::prepare(state, &LetterDoc { kind, to, locale, proof: proof.map(|proof| proof.id) }, now).await
}

/// A change of the passphrase that is ready for its unit.
#[derive(Debug)]
pub struct NewPassphrase {
    own: AccountSnapshot,
    /// `None` when the present passphrase is another one.
    new: Option<Credential>,
}

/// Checks the present passphrase and hashes the new one, before the unit.
///
/// # Errors
///
/// [`Error::Invalid`] for a new passphrase that is too easy; [`Error::Unavailable`] when too many wait for their turn.
pub async fn prepare_passphrase<K: AccountPolicy>(
    state: &State,
    passwords: &Passwords,
    caller: &Claimed<K>,
    present: String,
    new: String,
) -> Result<NewPassphrase> {
    let (own, now) = (upkeep::read_own(state, caller).await?, caller.now());
    let mut fields = Fields::new();
    let new = fields.take("/new_passphrase", Passphrase::new(new, Some(own.email())));
    let new = fields.finish(new)?;
    if !upkeep::fits(state, passwords, &own, (caller.session(), Passphrase::typed(present)), now).await? {
        return Ok(NewPassphrase { own, new: None });
    }
    let credential = passwords.hash(new, &state.entropy).await?;
    Ok(NewPassphrase { own, new: Some(credential) })
}

/// Changes the passphrase, ends the other sessions and tells the owner. Passkeys stay: the letter says to look through
/// them. An address that was asked for and is not proved is forgotten: somebody else may have asked for it. A code that
/// an admin has made is void: it is needed no more, and somebody else may have it.
///
/// # Errors
///
/// [`Error::Invalid`] when the present passphrase is another one.
pub fn change_passphrase<K>(
    tx: &mut Tx<'_>,
    vault: &Vault,
    live: &Live<K>,
    wish: &NewPassphrase,
) -> Result<Outcome<()>> {
    let Some(credential) = &wish.new else {
        // A repetition sends the passphrase from before the change, which may not stand in the revocation ledger yet.
        tx.follow_up();
        return Err(not_fitting());
    };
    let unchanged = wish.own.unchanged();
    let profile = Profile { pending: None, ..unchanged.profile.clone() };
    let change = AccountChange { credential: Some(credential.clone()), profile, ..unchanged };
    wish.own.store(tx, &change, live.now())?;
    delete_resets(tx, &[live.account()])?;
    upkeep::end_sessions(tx, live.account(), Some(live.session()), live.now())?;
    wish.own.tell_owner(tx, vault, Some(live.session()), SecurityEvent::PassphraseChanged, live.now())?;
    Ok(Outcome::ok(live.account(), ()))
}

/// Returns whether a mailed code may reset the passphrase: the account is enabled, and its address is proved. A mistyped
/// address may be a stranger's, who would get the account and all that is in it.
fn takes_mailed_codes(own: &AccountSnapshot) -> bool {
    !own.is_disabled() && own.profile().verified
}

/// Sends a code for a new passphrase to an address, if an account has it that takes one and resets are not paused. The
/// same look-ups and writes are made if none has.
///
/// # Errors
///
/// When database or keyring cannot be reached.
pub async fn request_reset(state: &State, email: Email) -> Result<()> {
    let now = state.clock.now();
    let key = email_key(&state.vault, &email);
    let known = upkeep::find_by_email(state, key.clone()).await?;
    // An unknown address gets an id that no account has, so that the same look-ups are made.
    let sought = known.as_ref().map_or_else(|| Id::from_uuid(state.entropy.opaque()), AccountSnapshot::account);
    let vault = state.vault.clone();
    let is_paused = state.db.read(move |tx| proofs::is_reset_paused(tx, &vault, sought, now)).await?;
    let known = known.filter(|own| !is_paused && takes_mailed_codes(own));
    let proof = NewProof { id: state.entropy.id(now), purpose: ProofPurpose::Reset, email_key: key, account: None };
    let (kind, to, locale) = match &known {
        Some(own) => (LetterKind::Reset, own.email().clone(), own.profile().locale.clone()),
        None => (LetterKind::Nothing, email, "en".to_owned()),
    };
    let letter = LetterDoc { kind, to, locale, proof: Some(proof.id) };
    letters::send_proof(state, proof, &letter, now).await
}

/// Finds the proof of a code, before the unit that uses it up.
async fn find_proof(state: &State, code: Option<JoinCode>, purpose: ProofPurpose, now: Timestamp) -> Result<ProofRow> {
    // An impossible code is looked up like an unknown one.
    let code = code.unwrap_or_else(|| JoinCode::of(state.entropy.bytes()));
    let vault = state.vault.clone();
    let found = state.db.read(move |tx| {
        let found = proofs::find(tx, &vault, &code, purpose, now)?;
        if found.is_none() && proofs::is_used(tx, &vault, &code, purpose)? {
            // By a request, perhaps, whose answer waited for the revocation ledger.
            tx.follow_up();
        }
        Ok(found)
    });
    found.await?.ok_or_else(refused)
}

/// Sets a new passphrase with a code that was sent to the address. Every session ends, passkeys are taken away, an
/// address that was asked for and is not proved is forgotten, a code that an admin has made is void, and the owner is
/// told. For a day only devices log in that the account knows, if it knows any.
///
/// # Errors
///
/// [`crate::kernel::Code::CodeInvalid`], also while resets are paused; [`Error::Invalid`] for a passphrase that is too
/// easy: the code then stays good.
pub async fn confirm_reset(
    state: &State,
    passwords: &Passwords,
    (code, passphrase): (Option<JoinCode>, String),
    network: Option<IpAddr>,
) -> Result<()> {
    let now = state.clock.now();
    let proof = find_proof(state, code, ProofPurpose::Reset, now).await?;
    let own = upkeep::find_by_email(state, proof.email_key.clone()).await?;
    let own = own.filter(takes_mailed_codes).ok_or_else(refused)?;
    let mut fields = Fields::new();
    let new = fields.take("/passphrase", Passphrase::new(passphrase, Some(own.email())));
    let credential = passwords.hash(fields.finish(new)?, &state.entropy).await?;
    let unchanged = own.unchanged();
    let profile = Profile { pending: None, ..unchanged.profile.clone() };
    let change = AccountChange { credential: Some(credential), profile, ..unchanged };
    let vault = state.vault.clone();
    let unit = state.db.write(move |tx| {
        // A code that was sent before the pause began sets nothing either.
        let account = own.account();
        if proofs::is_reset_paused(tx, &vault, account, now)? || !proofs::redeem_reset(tx, &proof, account, now)? {
            return Err(refused());
        }
        let change = AccountChange { guarded_until: own.guarded_after_reset(tx, now)?, ..change.clone() };
        own.store(tx, &change, now)?;
        delete_resets(tx, &[own.account()])?;
        upkeep::end_sessions_at_reset(tx, own.account(), now)?;
        factors::forget_passkeys(tx, &own, &vault, now)?;
        upkeep::forgive(tx, &vault, (own.email_key(), network), now)?;
        own.tell_owner(tx, &vault, None, SecurityEvent::PassphraseReset, now)
    });
    unit.await
}

/// An address of the caller's that was proved, ready for the unit that notes it.
#[derive(Debug)]
pub struct ProvedAddress {
    own: AccountSnapshot,
    proof: ProofRow,
    change: AccountChange,
    /// To the address that is left, if one is: that it is left, and what its owner was still to be told.
    letters: Option<(PreparedLetter, PendingLetters)>,
}

/// Finds the proof of a code that was sent to an address of the caller's.
///
/// # Errors
///
/// [`crate::kernel::Code::CodeInvalid`], also for a code that was sent for another account.
pub async fn prepare_proof(state: &State, caller: &Caller, code: Option<JoinCode>) -> Result<ProvedAddress> {
    let own = upkeep::read_own(state, caller).await?;
    let proof = find_proof(state, code, ProofPurpose::Verify, caller.now()).await?;
    if proof.account_id != Some(own.account()) {
        return Err(refused());
    }
    let change = proved(&state.vault, &own, &proof.email_key).ok_or_else(refused)?;
    let moves = change.email_key != own.email_key();
    let letters = if moves {
        let letter = letter_to(state, &own, own.email(), (LetterKind::AddressChanged, None), caller.now()).await?;
        Some((letter, letters::prepare_pending(state, &own, caller.now()).await?))
    } else {
        None
    };
    Ok(ProvedAddress { own, proof, change, letters })
}

/// Notes that an address of the caller's is proved. If it is the one that was asked for last, it takes the place of the
/// present one, to which a letter tells so; letters that its owner was still to get go there as well.
///
/// # Errors
///
/// [`crate::kernel::Code::CodeInvalid`] when the code was used, or another account has the address by now;
/// [`Error::Unavailable`] when the account was changed at the same time; [`Error::StepUp`] when the address would move
/// and the proofs of the session were taken back.
pub fn verify_email<K>(tx: &mut Tx<'_>, vault: &Vault, live: &Live<K>, wish: &ProvedAddress) -> Result<Outcome<()>> {
    let ProvedAddress { own, proof, change, letters } = wish;
    let moves = change.email_key != own.email_key();
    if moves {
        // The address was asked for with a proof that counts no more, perhaps.
        live.proofs().check_kept(live.now())?;
    }
    // The account before its proofs, as by whoever disables it. Whether it is enabled, `live` has told.
    hold_enabled(tx, live.account())?;
    if !proofs::redeem(tx, proof, live.now())? || (moves && is_email_taken(tx, &change.email_key)?) {
        return Err(refused());
    }
    own.store(tx, change, live.now())?;
    own.tell_owner(tx, vault, Some(live.session()), SecurityEvent::EmailVerified, live.now())?;
    if let Some((letter, pending)) = letters {
        letters::post(tx, vault, letter)?;
        letters::post_pending(tx, vault, own.account(), pending)?;
    }
    Ok(Outcome::ok(live.account(), ()))
}

/// Returns what an account becomes when an address is proved: the present one, or the one that is to take its place.
fn proved(vault: &Vault, own: &AccountSnapshot, key: &[u8]) -> Option<AccountChange> {
    let unchanged = own.unchanged();
    if own.email_key() == key {
        let profile = Profile { verified: true, ..unchanged.profile.clone() };
        return Some(AccountChange { profile, ..unchanged });
    }
    let email = own.profile().pending.clone().filter(|pending| email_key(vault, pending) == key)?;
    let profile = Profile { email, verified: true, pending: None, ..unchanged.profile.clone() };
    Some(AccountChange { profile, email_key: key.to_vec(), ..unchanged })
}

/// A code for an address of the caller's, with its letters, that is ready for its unit.
#[derive(Debug)]
pub struct NewAddress {
    own: AccountSnapshot,
    /// The address that is to take the place of the present one.
    pending: Option<Email>,
    /// The proof and the letters; `None` when the present passphrase is another one.
    code: Option<(NewProof, Vec<PreparedLetter>)>,
}

/// Returns the error for an address that was sent enough codes, and for an account that has asked for enough.
fn too_many() -> Error {
    Error::TooMany(u32::try_from(proofs::WITHIN.as_secs()).unwrap_or(u32::MAX))
}

/// Prepares the code for an address and its letter. An address that another account has gets a letter that says so: the
/// answer does not.
async fn prepare_code(
    state: &State,
    own: &AccountSnapshot,
    to: &Email,
    now: Timestamp,
) -> Result<(NewProof, PreparedLetter)> {
    let (key, account) = (email_key(&state.vault, to), Some(own.account()));
    let proof = NewProof { id: state.entropy.id(now), purpose: ProofPurpose::Verify, email_key: key, account };
    let asked = proof.clone();
    let read = state.db.read(move |tx| Ok((is_email_taken(tx, &asked.email_key)?, proofs::has_room(tx, &asked, now)?)));
    let (taken, room) = read.await?;
    if !room {
        return Err(too_many());
    }
    let taken = taken && proof.email_key != own.email_key();
    let what = if taken { (LetterKind::Known, None) } else { (LetterKind::Verify, Some(&proof)) };
    let letter = letter_to(state, own, to, what, now).await?;
    Ok((proof, letter))
}

/// Checks the passphrase and prepares the letters for a new address: a code to the new one, a notice to the old one.
///
/// # Errors
///
/// [`Error::Invalid`] for the present address, and for one that no letter reaches; [`Error::TooMany`] as [`send_code`];
/// [`Error::Unavailable`] when too many wait for their turn.
pub async fn prepare_email<K: AccountPolicy>(
    state: &State,
    passwords: &Passwords,
    caller: &Claimed<K>,
    email: String,
    passphrase: String,
) -> Result<NewAddress> {
    let (own, now) = (upkeep::read_own(state, caller).await?, caller.now());
    let mut fields = Fields::new();
    let email = fields.take("/email", Email::parse(email));
    let present = email.as_ref().is_some_and(|email| email_key(&state.vault, email) == own.email_key());
    fields.check(!present, "/email", "is the present address");
    // Without the code of a letter it would never count.
    let email = email.filter(|email| fields.take("/email", email.check_routable()).is_some());
    let email = fields.finish(email)?;
    if !upkeep::fits(state, passwords, &own, (caller.session(), Passphrase::typed(passphrase)), now).await? {
        return Ok(NewAddress { own, pending: None, code: None });
    }
    let (proof, code) = prepare_code(state, &own, &email, now).await?;
    let notice = letter_to(state, &own, own.email(), (LetterKind::AddressAsked, None), now).await?;
    Ok(NewAddress { own, pending: Some(email), code: Some((proof, vec![code, notice])) })
}

/// Prepares another letter with a code for the address that is not proved yet: the one that was asked for last, else
/// the present one.
///
/// # Errors
///
/// [`Error::State`] when both are proved, or no letter reaches it; [`Error::TooMany`] when the address was sent enough
/// codes within the hour.
pub async fn prepare_verification(state: &State, caller: &Caller) -> Result<NewAddress> {
    let (own, now) = (upkeep::read_own(state, caller).await?, caller.now());
    let profile = own.profile();
    let unproved = profile.pending.clone().or_else(|| (!profile.verified).then(|| profile.email.clone()));
    let unproved = unproved.ok_or_else(|| Error::state("verified", []))?;
    if unproved.routable().is_none() {
        return Err(Error::state("unreachable", ["change_email"]));
    }
    let (proof, code) = prepare_code(state, &own, &unproved, now).await?;
    Ok(NewAddress { own, pending: None, code: Some((proof, vec![code])) })
}

/// Sends the code for an address.
///
/// # Errors
///
/// [`Error::Invalid`] when the present passphrase is another one; [`Error::TooMany`] when the address was sent enough
/// codes within the hour.
pub fn send_code<K>(tx: &mut Tx<'_>, vault: &Vault, live: &Live<K>, wish: &NewAddress) -> Result<Outcome<()>> {
    let (proof, letters) = wish.code.as_ref().ok_or_else(not_fitting)?;
    if !proofs::issue(tx, vault, proof, live.now())? {
        return Err(too_many());
    }
    if wish.pending.is_some() {
        let unchanged = wish.own.unchanged();
        let profile = Profile { pending: wish.pending.clone(), ..unchanged.profile.clone() };
        wish.own.store(tx, &AccountChange { profile, ..unchanged }, live.now())?;
        wish.own.tell_owner(tx, vault, Some(live.session()), SecurityEvent::EmailAsked, live.now())?;
    }
    for letter in letters {
        letters::post(tx, vault, letter)?;
    }
    Ok(Outcome::ok(live.account(), ()))
}

/// The end of an account that is ready for its unit.
#[derive(Debug)]
pub struct Disabling {
    own: AccountSnapshot,
    /// Whether the present passphrase is the one that was sent.
    fits: bool,
}

/// Checks the passphrase of who wants to disable their account.
///
/// # Errors
///
/// [`Error::Unavailable`] when too many wait for their turn.
pub async fn prepare_disabling<K: AccountPolicy>(
    state: &State,
    passwords: &Passwords,
    caller: &Claimed<K>,
    passphrase: String,
) -> Result<Disabling> {
    let (own, now) = (upkeep::read_own(state, caller).await?, caller.now());
    let fits = upkeep::fits(state, passwords, &own, (caller.session(), Passphrase::typed(passphrase)), now).await?;
    Ok(Disabling { own, fits })
}

/// Disables the caller's account and ends its sessions. Nothing is deleted.
///
/// # Errors
///
/// [`Error::Invalid`] when the passphrase is another one; [`Error::State`] when a clinic would be left without an
/// admin.
pub fn disable<K>(tx: &mut Tx<'_>, vault: &Vault, live: &Live<K>, wish: &Disabling) -> Result<Outcome<()>> {
    if !wish.fits {
        return Err(not_fitting());
    }
    members::check_replaceable(tx, live.account())?;
    wish.own.store(tx, &AccountChange { disabled_at: Some(live.now()), ..wish.own.unchanged() }, live.now())?;
    members::void_codes(tx, live.account(), live.now())?;
    // Before the log: whoever ends one of them holds it, and then the log.
    upkeep::end_sessions(tx, live.account(), None, live.now())?;
    wish.own.tell_owner(tx, vault, Some(live.session()), SecurityEvent::Disabled, live.now())?;
    Ok(Outcome::ok(live.account(), ()))
}

/// The caller's profile, whether the lock is on, and the version of both.
pub type OwnProfile = (Profile, bool, i64);

/// Reads the caller's profile in a unit.
///
/// # Errors
///
/// [`Error::Damaged`] when it does not open.
pub fn profile(tx: &mut Tx<'_>, account: Id<Account>, keys: &Keys) -> Result<OwnProfile> {
    let own = upkeep::open_own(tx, account, keys)?;
    Ok((own.profile().clone(), own.is_locked(), own.version()))
}

/// Changes the caller's profile, and whether the lock is on, by `change`.
///
/// # Errors
///
/// The errors of `change`; 428 and 412 for preconditions; [`Error::StepUp`] when the lock is to be switched off and the
/// caller's proof is too old.
pub fn patch_profile<K>(
    tx: &mut Tx<'_>,
    live: &Live<K>,
    (vault, keys): (&Vault, &Keys),
    when: &Preconditions,
    change: impl FnOnce(&Profile, bool) -> Result<(Profile, bool)>,
) -> Result<Outcome<OwnProfile>> {
    let account = live.account();
    let own = upkeep::open_own(tx, account, keys)?;
    let (before, locked) = (own.profile(), own.is_locked());
    let (after, lock) = change(before, locked)?;
    if after.name == before.name && after.locale == before.locale && lock == locked {
        return Ok(Outcome::ok(account, (after, locked, own.version())));
    }
    when.require(&EntityTag::version(own.version()))?;
    let unchanged = own.unchanged();
    let lock_since = if lock { unchanged.lock_since.or(Some(live.now())) } else { None };
    if locked && !lock {
        Need::Guarded.check(live.proofs(), live.now())?;
    }
    own.store(tx, &AccountChange { profile: after, lock_since, ..unchanged }, live.now())?;
    if lock != locked {
        let event = if lock { SecurityEvent::LockOn } else { SecurityEvent::LockOff };
        own.tell_owner(tx, vault, Some(live.session()), event, live.now())?;
    }
    Ok(Outcome::ok(account, profile(tx, account, keys)?))
}
