//! Work that is done once for each key.

use jiff::Timestamp;

use super::model::{Claim, IdempotentRequest, Outcome};
use super::store;
use crate::db::Tx;
use crate::kernel::id::Account;
use crate::kernel::{Error, Id, Result};

/// Does `work` with `command`, once for the key of `account`.
///
/// A fault of the command is told only if nothing was done under the key.
///
/// # Errors
///
/// [`crate::kernel::Code::KeyReused`]; the fault of the command; the errors of `work`.
pub fn run<C, T>(
    tx: &mut Tx<'_>,
    (account, once, now): (Id<Account>, &IdempotentRequest, Timestamp),
    command: &mut Result<C>,
    work: impl FnOnce(&mut Tx<'_>, &C) -> Result<Outcome<T>>,
) -> Result<Outcome<T>> {
    if let Claim::Completed(done) = store::claim(tx, account, once, now)? {
        // What it did may lack what was to follow: the answer got lost, and why is not known.
        tx.follow_up();
        return Ok(Outcome::replay(done));
    }
    let command = match command {
        Ok(command) => command,
        // The fault can be moved out, because it ends the unit and the unit is not run again.
        Err(fault) => return Err(std::mem::replace(fault, Error::Unavailable("the request was refused before"))),
    };
    let outcome = work(tx, command)?;
    store::record_outcome(tx, account, once, outcome.done, now)?;
    Ok(outcome)
}

/// Whether nothing was done under the key yet. Work that takes several units asks in each of them before the last,
/// which alone claims the key: otherwise a request that is refused in the end would have done half of it.
///
/// # Errors
///
/// [`crate::kernel::Code::KeyReused`].
pub fn is_new(tx: &mut Tx<'_>, account: Id<Account>, once: &IdempotentRequest) -> Result<bool> {
    Ok(matches!(store::find(tx, account, once)?, Claim::Fresh))
}
