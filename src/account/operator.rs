//! What the operator does for the owner of an account who has proved in person who they are, by its address.

use jiff::{SignedDuration, Timestamp};

use crate::db::Tx;
use crate::identity::Email;
use crate::identity::actions::email_key;
use crate::identity::operator::{self, AccountSummary};
use crate::identity::upkeep::{self, AccountSnapshot};
use crate::kernel::{Error, Result};
use crate::letters::proofs;
use crate::state::State;

/// The time after a passphrase reset in which second factors are kept: whoever reads the mail of somebody else may have
/// set the passphrase, and then lacks nothing but the factor.
const AFTER_RESET: SignedDuration = SignedDuration::from_hours(24);

/// What came of forgetting the factors of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgetting {
    /// They are gone, and all sessions have ended.
    Done,
    /// There were none: nothing has changed.
    Nothing,
    /// A code from a letter has set the passphrase within the last 24 hours: nothing has changed.
    ResetLately,
}

/// Finds the account with an address.
async fn find(state: &State, email: &Email) -> Result<AccountSnapshot> {
    let found = upkeep::find_by_email(state, email_key(&state.vault, email)).await?;
    found.ok_or(Error::NotFound)
}

/// Whether a code from a letter has set the passphrase of an account lately. Its guard tells so as well.
fn is_reset_lately(tx: &mut Tx<'_>, own: &AccountSnapshot, now: Timestamp) -> Result<bool> {
    let is_guarded = own.unchanged().guarded_until.is_some_and(|until| until > now);
    let since = now.saturating_sub(AFTER_RESET).unwrap_or(now);
    Ok(is_guarded || proofs::last_reset(tx, own.account(), since)?.is_some())
}

/// Reads who gets into an account, and whether a code from a letter has set its passphrase within the last 24 hours.
///
/// # Errors
///
/// [`Error::NotFound`] when no account that opens has the address.
pub async fn summary(state: &State, email: &Email) -> Result<(AccountSummary, bool)> {
    let (own, now) = (find(state, email).await?, state.clock.now());
    state.db.read(move |tx| Ok((operator::summary(tx, &own, now)?, is_reset_lately(tx, &own, now)?))).await
}

/// Enables a disabled account and tells its owner. Returns whether that changed anything. Its sessions stay ended.
///
/// # Errors
///
/// [`Error::NotFound`] when no account that opens has the address.
pub async fn enable(state: &State, email: &Email) -> Result<bool> {
    let (own, now, vault) = (find(state, email).await?, state.clock.now(), state.vault.clone());
    state.db.write(move |tx| operator::enable(tx, &own, &vault, now)).await
}

/// Ends every session of an account. Its devices keep what they hold, and none of them counts as known any more.
///
/// # Errors
///
/// [`Error::NotFound`] when no account that opens has the address.
pub async fn log_out(state: &State, email: &Email) -> Result<()> {
    let (own, now, vault) = (find(state, email).await?, state.clock.now(), state.vault.clone());
    state.db.write(move |tx| operator::log_out(tx, &own, &vault, now)).await
}

/// Notes that the address of an account is its owner's. Returns whether that changed anything.
///
/// # Errors
///
/// [`Error::NotFound`] when no account that opens has the address; [`Error::Unavailable`] when it was changed at the
/// same time.
pub async fn prove_address(state: &State, email: &Email) -> Result<bool> {
    let (own, now, vault) = (find(state, email).await?, state.clock.now(), state.vault.clone());
    if own.profile().verified {
        return Ok(false);
    }
    state.db.write(move |tx| operator::prove_address(tx, &own, &vault, now)).await?;
    Ok(true)
}

/// Takes the second factor and all passkeys of an account away, ends its sessions and tells its owner. After a mailed
/// reset it does so only with `force`. For 24 hours no mailed code sets its passphrase: whoever reads the owner's mail
/// may have asked for this.
///
/// # Errors
///
/// [`Error::NotFound`] when no account that opens has the address; [`Error::Unavailable`] when it was changed at the
/// same time.
pub async fn forget_factors(state: &State, email: &Email, force: bool) -> Result<Forgetting> {
    let (own, now, vault) = (find(state, email).await?, state.clock.now(), state.vault.clone());
    let pause = state.entropy.id(now);
    let unit = state.db.write(move |tx| {
        if !operator::summary(tx, &own, now)?.has_factors() {
            // A repetition, too, is answered once it stands in the ledger.
            tx.follow_up();
            return Ok(Forgetting::Nothing);
        }
        if !force && is_reset_lately(tx, &own, now)? {
            return Ok(Forgetting::ResetLately);
        }
        operator::forget_factors(tx, &own, &vault, now)?;
        proofs::pause_resets(tx, &vault, (pause, own.account()), now)?;
        Ok(Forgetting::Done)
    });
    unit.await
}
