//! The log-in with a passphrase, and with a code or a passkey beside it.
//!
//! An attempt is looked at before the unit that judges it: no passphrase is hashed and no signature is verified while
//! rows are held. The unit judges, uses up what was shown, counts, and opens the session.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::Tokens;
use super::actions::{SessionSecrets, SignedIn, admit, email_key, open_credential, open_profile, reseal};
use super::attempts::Attempt;
use super::codes::{self, JudgedCode};
use super::model::{DeviceName, Email, Passphrase};
use super::passkeys::model::Assertion;
use super::passkeys::proofs::{self, ShownPasskey};
use super::password::{Credential, Passwords};
use super::security_events::SecurityEvent;
use super::store::{self, AccountFound};
use crate::db::{Tx, authentic};
use crate::kernel::id::Account;
use crate::kernel::{Code, Error, Id, Result};
use crate::state::State;
use crate::vault::Keys;

/// What somebody sends to log in.
pub struct LogInAttempt {
    /// The account's address.
    pub email: Email,
    /// Its passphrase, as it was typed.
    pub passphrase: Passphrase,
    /// A code of its second factor, as it was typed.
    pub code: Option<String>,
    /// The answer of a passkey, in place of a code.
    pub passkey: Option<Assertion>,
    /// The device token of an earlier log-in.
    pub device_token: Option<String>,
    /// The name of the device.
    pub device_name: Option<DeviceName>,
    /// The network of the client.
    pub network: Option<IpAddr>,
}

impl std::fmt::Debug for LogInAttempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogInAttempt(***)")
    }
}

impl LogInAttempt {
    /// Makes the attempt of somebody who repeats the request that made their account.
    pub fn again(email: Email, passphrase: Passphrase) -> Self {
        Self { email, passphrase, code: None, passkey: None, device_token: None, device_name: None, network: None }
    }
}

/// An attempt as it was looked at, for the unit that judges it.
struct CheckedAttempt {
    /// The account; an id that no account has for an unknown address.
    account: Id<Account>,
    /// Its version when the passphrase was looked at.
    version: Option<i64>,
    /// Its keys.
    keys: Option<Keys>,
    /// Whether the passphrase is right.
    fits: bool,
    code: Option<String>,
    passkey: Option<ShownPasskey>,
    /// The counters of the passphrase.
    attempt: Attempt,
    /// The counters of the code or the passkey.
    code_attempt: Attempt,
}

/// What becomes of an attempt. A refusal is a value, not an error, so that the count of failures is committed.
enum Verdict {
    /// It is let in.
    Welcome {
        /// Whether a code or a passkey was shown, too.
        with_code: bool,
        /// Whether the account knows the device.
        knows_device: bool,
        /// What its owner is told of the code.
        event: Option<SecurityEvent>,
    },
    Refused(Code),
}

impl CheckedAttempt {
    /// Judges the attempt, uses up what was shown, and counts it.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the account was changed since its passphrase was looked at.
    fn judge(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<Verdict> {
        // Held, so that no session is opened with a passphrase beside the unit that changes it and ends all sessions.
        let row = store::hold_account(tx, self.account)?;
        if self.fits && row.as_ref().map(|row| row.version) != self.version {
            return Err(Error::Unavailable("the account was changed at the same time"));
        }
        let row = row.filter(|row| self.fits && row.disabled_at.is_none());
        let has_factor = row.as_ref().is_some_and(|row| row.factor_since.is_some());
        // A passkey is judged also where none is asked for: no challenge is good twice.
        let with_code = has_factor || (row.is_some() && self.passkey.is_some());
        let (mut right, mut event) = (row.is_some(), None);
        if with_code {
            // While log-ins rest, the right passphrase is answered like a wrong one, and nothing is used up.
            right = !self.attempt.rests(tx, now)?;
            if right {
                match self.judge_factor(tx, now)? {
                    Ok(of_code) => event = of_code,
                    Err(refusal) => return Ok(Verdict::Refused(refusal)),
                }
            }
        }
        if !self.attempt.count(tx, right, now)? {
            return Ok(Verdict::Refused(Code::CredentialsWrong));
        }
        // Whoever reads the mail of somebody else has set that passphrase, perhaps.
        let is_guarded = !with_code && row.is_some_and(|row| row.is_guarded(now));
        let knows_device = self.attempt.is_of_known_device(tx, now)?;
        if is_guarded && !knows_device {
            return Ok(Verdict::Refused(Code::KnownDeviceRequired));
        }
        Ok(Verdict::Welcome { with_code, knows_device, event })
    }

    /// Uses up the code or the passkey beside the right passphrase, and counts it. Returns what the owner is told of
    /// it; as the error, why it is refused.
    fn judge_factor(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<Result<Option<SecurityEvent>, Code>> {
        // What comes while codes rest is not used up.
        let resting = self.code_attempt.rests(tx, now)?;
        let keys = self.keys.as_ref().filter(|_| !resting);
        let (shown, event) = match (&self.passkey, &self.code) {
            (Some(passkey), _) => (!resting && passkey.spend(tx, self.account, now)?, None),
            (None, Some(code)) => {
                let spend = |keys| codes::spend(tx, keys, (self.account, code.as_str()), now);
                let judged = keys.map_or(Ok(JudgedCode::Wrong), spend)?;
                (judged.is_good(), judged.event())
            }
            (None, None) => return Ok(Err(Code::SecondFactorRequired)),
        };
        let is_good = self.code_attempt.count(tx, shown, now)?;
        Ok(if is_good { Ok(event) } else { Err(Code::SecondFactorWrong) })
    }
}

/// Logs in. Known, unknown, locked and disabled accounts get the same answer after the same work: one look into the
/// keyring, one hash, and a failure that is counted by the address, whether an account has it or not. Only the right
/// passphrase of an account with a second factor is answered that a code is asked for, and only beside the right
/// passphrase is a passkey judged.
///
/// # Errors
///
/// [`Code::CredentialsWrong`], [`Code::SecondFactorRequired`], [`Code::SecondFactorWrong`]; for a day after the
/// passphrase was reset, [`Code::KnownDeviceRequired`]; [`Error::Unavailable`] when the account was changed since its
/// passphrase was looked at: sent again, the request is judged anew; with a passkey, [`Code::PasskeysOff`].
pub async fn log_in(
    state: &State,
    passwords: &Passwords,
    tokens: Arc<Tokens>,
    attempt: LogInAttempt,
) -> Result<SignedIn> {
    let LogInAttempt { email, passphrase, code, passkey, device_token, device_name, network } = attempt;
    let now = state.clock.now();
    let email_key = email_key(&state.vault, &email);
    let sought = email_key.clone();
    let found = state.db.read(move |tx| store::find_by_email(tx, &sought)).await?;
    // An unknown address gets an id that no account has, so that the same look-ups are made.
    let account = found.as_ref().map_or_else(|| Id::from_uuid(state.entropy.opaque()), |found| found.account.id);
    let owner = (account, email_key.as_slice());
    let attempt = Attempt::new(&state.vault, owner, device_token.as_deref(), network);
    let code_attempt = Attempt::with_code(&state.vault, owner, device_token.as_deref(), network);
    let keys = state.vault.keys_from_keyring(account.uuid()).await?;
    let credential = credential_of(found.as_ref(), keys.as_ref());
    let (typed, outdated) = (passphrase.clone(), passwords.is_outdated(&credential));
    let fits = passwords.fits(passphrase, credential).await?;
    let passkey = match passkey {
        Some(assertion) => Some(proofs::look_at(state, assertion, now).await?),
        None => None,
    };
    let version = found.as_ref().map(|found| found.account.version);
    let checked = CheckedAttempt { account, version, keys: keys.clone(), fits, code, passkey, attempt, code_attempt };
    let (vault, opening) = (state.vault.clone(), SessionSecrets::draw(state, now));
    let unit = state.db.write(move |tx| {
        let (with_code, knows_device, event) = match checked.judge(tx, now)? {
            Verdict::Welcome { with_code, knows_device, event } => (with_code, knows_device, event),
            Verdict::Refused(code) => return Ok(Err(Error::Unauthenticated(code))),
        };
        let opening = opening.clone().with_code(with_code);
        let device = (device_name.as_ref(), knows_device, event);
        admit(tx, (&vault, tokens.as_ref(), checked.keys.as_ref()), account, &opening, device, now).map(Ok)
    });
    let grant = unit.await??;
    let (found, keys) = found.zip(keys).ok_or(Error::Unauthenticated(Code::CredentialsWrong))?;
    if outdated {
        // Somebody who is logged in stays so, whatever becomes of it: it is tried again at the next log-in.
        if let Err(error) = rehash(state, passwords, &found, &keys, typed).await {
            tracing::warn!(%error, "a passphrase was not hashed anew");
        }
    }
    SignedIn::open(&found.account, &found.profile, &keys, grant)
}

/// Opens the credential of an account. One that is not there, or does not open, fits no passphrase.
fn credential_of(found: Option<&AccountFound>, keys: Option<&Keys>) -> Credential {
    let Some((found, keys)) = found.zip(keys) else { return Credential::nobody() };
    open_credential(keys, &found.account, &found.credential).unwrap_or_else(|_changed| {
        authentic::refused("accounts");
        Credential::nobody()
    })
}

/// Hashes the passphrase of an account at the present cost: only when somebody logs in is it known.
async fn rehash(
    state: &State,
    passwords: &Passwords,
    found: &AccountFound,
    keys: &Keys,
    typed: Passphrase,
) -> Result<()> {
    let (row, keys) = (found.account.clone(), keys.clone());
    let profile = open_profile(&keys, row.id, row.version, &found.profile)?;
    let credential = passwords.hash(typed, &state.entropy).await?;
    // Whoever changed the account meanwhile hashed at that cost.
    state.db.write(move |tx| reseal(tx, &keys, (&row, &row), &profile, &credential)).await.map(drop)
}
