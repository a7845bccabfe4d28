//! The secrets of a second factor, and the use of its codes: none is good twice.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::security_events::{SecurityEvent, tell_owner};
use super::store::{self, FactorFound, FactorRow};
use super::totp::{self, SECRET_BYTES};
use crate::db::Tx;
use crate::kernel::id::Account;
use crate::kernel::{Error, Id, Result};
use crate::vault::{Keys, Purpose, SealContext, Vault};

/// The sealed secrets of a second factor.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct FactorDoc {
    /// The secret of the time-based codes.
    pub secret: [u8; SECRET_BYTES],
    /// The secret of the recovery codes.
    pub recovery: [u8; 32],
}

fn place(account: Id<Account>, version: i64) -> SealContext {
    let (subject, row) = (account.uuid(), account.uuid());
    SealContext { table: "second_factors", column: "doc", subject, row, revision: version }
}

/// Seals the secrets of an account's second factor for a version of its row.
pub(super) fn seal(keys: &Keys, (account, version): (Id<Account>, i64), doc: &FactorDoc) -> Result<Vec<u8>> {
    keys.seal_json(Purpose::Account, &place(account, version), doc)
}

/// Opens the secrets of a second factor.
pub(super) fn open(keys: &Keys, found: &FactorFound) -> Result<FactorDoc> {
    keys.open_json(&place(found.row.account_id, found.row.version), &found.doc)
}

/// Uses up a code of an account. Returns whether it was good.
pub(super) fn spend(
    tx: &mut Tx<'_>,
    (vault, keys): (&Vault, &Keys),
    (account, code): (Id<Account>, &str),
    now: Timestamp,
) -> Result<bool> {
    let found = store::hold_factor(tx, account)?.filter(|found| found.row.confirmed_at.is_some());
    let Some(found) = found else { return Ok(false) };
    let Some(doc) = Error::skip_damaged(open(keys, &found))? else { return Ok(false) };
    if let Some(last_step) = totp::step_of(&doc.secret, code, now, found.row.last_step) {
        store::update_factor(tx, &FactorRow { last_step, ..found.row })?;
        return Ok(true);
    }
    let used = found.row.recovery_used;
    let bit = totp::recovery_number(&doc.recovery, code).map(|number| 1_i32 << number);
    let Some(bit) = bit.filter(|bit| used & bit == 0) else { return Ok(false) };
    store::update_factor(tx, &FactorRow { recovery_used: used | bit, ..found.row })?;
    tell_owner(tx, (vault, keys), account, None, SecurityEvent::RecoveryCodeUsed, now)?;
    Ok(true)
}

/// Uses up the code of a log-in. Returns whether it was good; `None` when there was no code.
pub(super) fn show_code(
    tx: &mut Tx<'_>,
    (vault, keys): (&Vault, Option<&Keys>),
    (account, code): (Id<Account>, Option<&str>),
    now: Timestamp,
) -> Result<Option<bool>> {
    let Some(code) = code else { return Ok(None) };
    let Some(keys) = keys else { return Ok(Some(false)) };
    spend(tx, (vault, keys), (account, code), now).map(Some)
}
