//! Doing a thing once.

use jiff::Timestamp;

use super::model::{Claim, IdempotentRequest, Outcome};
use super::store;
use crate::db::Tx;
use crate::kernel::id::Account;
use crate::kernel::{Error, Id, Result};

/// Does what `command` asks for with `work`, once for the key of `account`.
///
/// What is wrong with the command is told only if nothing was done under the key.
///
/// # Errors
///
/// [`crate::kernel::Code::KeyReused`]; the fault of the command; what `work` answers.
pub fn run<C, T>(
    tx: &mut Tx<'_>,
    (account, once, now): (Id<Account>, &IdempotentRequest, Timestamp),
    command: &mut Result<C>,
    work: impl FnOnce(&mut Tx<'_>, &C) -> Result<Outcome<T>>,
) -> Result<Outcome<T>> {
    if let Claim::Done(done) = store::claim(tx, account, once, now)? {
        return Ok(Outcome { done, value: None });
    }
    let command = match command {
        Ok(command) => command,
        // It ends the unit, which is not run again: nobody asks for it twice.
        Err(fault) => return Err(std::mem::replace(fault, Error::Unavailable("the request was refused before"))),
    };
    let outcome = work(tx, command)?;
    store::settle(tx, account, once, outcome.done, now)?;
    Ok(outcome)
}
