//! What the operator sees of an account and does to it, for an owner who has proved in person who they are.
//!
//! The operator reads neither name nor content here. What they do stands in the account's own list of events, and a
//! letter tells the owner.

use jiff::Timestamp;

use super::model::{AccountKind, Profile};
use super::passkeys::actions::remove_all;
use super::passkeys::store::count as count_passkeys;
use super::security_events::{SecurityEvent, tell_of_operator};
use super::store;
use super::upkeep::{self, AccountChange, AccountSnapshot};
use crate::db::Tx;
use crate::kernel::id::Account;
use crate::kernel::{Id, Result};
use crate::vault::Vault;

/// Who gets into an account, and by what.
#[derive(Clone, Copy, Debug)]
pub struct AccountSummary {
    /// The account.
    pub account: Id<Account>,
    /// Its kind.
    pub kind: AccountKind,
    /// The instant from which it is disabled.
    pub disabled_at: Option<Timestamp>,
    /// The instant from which it has a second factor.
    pub factor_since: Option<Timestamp>,
    /// The number of its passkeys.
    pub passkeys: i64,
    /// The number of its live sessions.
    pub sessions: usize,
    /// Whether its address was proved to be its owner's.
    pub verified: bool,
}

impl AccountSummary {
    /// Whether it has a second factor or passkeys.
    pub const fn has_factors(&self) -> bool {
        self.factor_since.is_some() || self.passkeys > 0
    }
}

/// Reads who gets into an account.
///
/// # Errors
///
/// When the database cannot be read.
pub fn summary(tx: &mut Tx<'_>, own: &AccountSnapshot, now: Timestamp) -> Result<AccountSummary> {
    let (account, AccountChange { disabled_at, factor_since, .. }) = (own.account(), own.unchanged());
    Ok(AccountSummary {
        account,
        kind: own.kind()?,
        disabled_at,
        factor_since,
        passkeys: count_passkeys(tx, account)?,
        sessions: store::list_sessions(tx, account, now)?.len(),
        verified: own.profile().verified,
    })
}

/// Enables a disabled account, and returns whether that changed anything. Its sessions stay ended; a guard after a
/// reset ends, since it knows no device.
///
/// # Errors
///
/// When the database cannot be written.
pub fn enable(tx: &mut Tx<'_>, own: &AccountSnapshot, vault: &Vault, now: Timestamp) -> Result<bool> {
    let account = own.account();
    if !store::set_disabled(tx, account, false, now)? {
        return Ok(false);
    }
    upkeep::end_sessions(tx, account, None, now)?;
    store::end_guard(tx, account)?;
    tell_of_operator(tx, (vault, own.keys()), account, SecurityEvent::EnabledByOperator, now)?;
    Ok(true)
}

/// Ends every session of an account. Its devices keep what they hold, and none of them counts as known any more: a
/// guard after a reset ends, and a later reset guards nothing, since nobody could pass.
///
/// # Errors
///
/// When the database cannot be written.
pub fn log_out(tx: &mut Tx<'_>, own: &AccountSnapshot, vault: &Vault, now: Timestamp) -> Result<()> {
    upkeep::end_sessions(tx, own.account(), None, now)?;
    store::end_guard(tx, own.account())?;
    tell_of_operator(tx, (vault, own.keys()), own.account(), SecurityEvent::OtherSessionsEnded, now)
}

/// Notes that the address of an account is its owner's.
///
/// # Errors
///
/// As [`AccountSnapshot::store`].
pub fn prove_address(tx: &mut Tx<'_>, own: &AccountSnapshot, vault: &Vault, now: Timestamp) -> Result<()> {
    let unchanged = own.unchanged();
    let profile = Profile { verified: true, ..unchanged.profile.clone() };
    own.store(tx, &AccountChange { profile, ..unchanged }, now)?;
    tell_of_operator(tx, (vault, own.keys()), own.account(), SecurityEvent::EmailVerified, now)
}

/// Takes the second factor of an account away, its recovery codes and all passkeys, and ends all sessions; their
/// devices keep what they hold. From now on the passphrase alone logs in, on any device.
///
/// # Errors
///
/// As [`AccountSnapshot::store`].
pub fn forget_factors(tx: &mut Tx<'_>, own: &AccountSnapshot, vault: &Vault, now: Timestamp) -> Result<()> {
    let account = own.account();
    store::hold_account(tx, account)?;
    store::delete_factor(tx, account)?;
    remove_all(tx, account, now)?;
    // The owner has lost what a known device would be: the guard after a reset would keep them out.
    own.store(tx, &AccountChange { factor_since: None, guarded_until: None, ..own.unchanged() }, now)?;
    upkeep::end_sessions(tx, account, None, now)?;
    tell_of_operator(tx, (vault, own.keys()), account, SecurityEvent::FactorsForgotten, now)
}
