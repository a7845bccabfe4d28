//! The secrets of a second factor, and the use of its codes: none is good twice.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::security_events::SecurityEvent;
use super::store::{self, FactorFound, FactorRow};
use super::totp::{self, SECRET_BYTES};
use crate::db::Tx;
use crate::kernel::id::Account;
use crate::kernel::{Error, Id, Result};
use crate::vault::{Keys, Purpose, SealContext};

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

/// A code as it was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JudgedCode {
    Wrong,
    TimeBased,
    Recovery,
}

impl JudgedCode {
    /// Whether it was good, and is used up.
    pub(super) fn is_good(self) -> bool {
        self != Self::Wrong
    }

    /// Returns what the owner is told of it, once the unit holds the sessions that it needs: they are held before the
    /// log.
    pub(super) fn event(self) -> Option<SecurityEvent> {
        (self == Self::Recovery).then_some(SecurityEvent::RecoveryCodeUsed)
    }
}

/// Judges a code of an account, and uses it up if it is good.
pub(super) fn spend(
    tx: &mut Tx<'_>,
    keys: &Keys,
    (account, code): (Id<Account>, &str),
    now: Timestamp,
) -> Result<JudgedCode> {
    let found = store::hold_factor(tx, account)?.filter(|found| found.row.confirmed_at.is_some());
    let Some(found) = found else { return Ok(JudgedCode::Wrong) };
    let Some(doc) = Error::skip_damaged(open(keys, &found))? else { return Ok(JudgedCode::Wrong) };
    if let Some(last_step) = totp::step_of(&doc.secret, code, now, found.row.last_step) {
        store::update_factor(tx, &FactorRow { last_step, ..found.row })?;
        return Ok(JudgedCode::TimeBased);
    }
    let used = found.row.recovery_used;
    let bit = totp::recovery_number(&doc.recovery, code).map(|number| 1_i32 << number);
    let Some(bit) = bit.filter(|bit| used & bit == 0) else { return Ok(JudgedCode::Wrong) };
    store::update_factor(tx, &FactorRow { recovery_used: used | bit, ..found.row })?;
    Ok(JudgedCode::Recovery)
}
