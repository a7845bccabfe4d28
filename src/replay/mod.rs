//! Idempotency keys: a retry never makes a duplicate.
//!
//! The first write of a unit claims (account, key); a unit with the same key waits for it and then replays. What is
//! kept is a status and a reference, never a body: the answer is rendered again for what the caller may see *now*.
//! A refused request rolls back with its claim, so sending it again tries again.

mod store;

use jiff::Timestamp;
use uuid::Uuid;

use crate::db::Tx;
use crate::kernel::id::Account;
use crate::kernel::{Error, Id, Result};

pub use store::sweep;

/// The key of a request and what the request was.
#[derive(Clone, Debug)]
pub struct Once {
    /// A keyed hash of the `Idempotency-Key`; `None` when the client sent none.
    pub key: Option<[u8; 32]>,
    /// A keyed hash of method, path and body.
    pub fingerprint: [u8; 32],
}

impl Once {
    /// A request without a key.
    pub const fn none() -> Self {
        Self { key: None, fingerprint: [0; 32] }
    }
}

/// What a request did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The status it was answered with.
    pub status: u16,
    /// The thing it made or changed.
    pub reference: Option<Uuid>,
}

impl Done {
    /// 201: it was made.
    pub const fn created(reference: Uuid) -> Self {
        Self { status: 201, reference: Some(reference) }
    }

    /// 200: it is as asked.
    pub const fn ok(reference: Uuid) -> Self {
        Self { status: 200, reference: Some(reference) }
    }

    /// 204: nothing to say.
    pub const fn no_content() -> Self {
        Self { status: 204, reference: None }
    }
}

/// What a claim found.
#[derive(Clone, Copy, Debug)]
enum Claim {
    /// Nobody came with this key before: go on, and settle.
    Fresh,
    /// It was done before: render this again.
    Done(Done),
}

/// Does what `command` asks for with `work`, once for the key of `account`; `again` renders what was done before.
///
/// What is wrong with the command is told only if nothing was done under the key.
///
/// # Errors
///
/// [`crate::kernel::Code::KeyReused`]; the fault of the command; what `work` or `again` answer.
pub fn run<C, V>(
    tx: &mut Tx<'_>,
    (account, once, now): (Id<Account>, &Once, Timestamp),
    command: &mut Result<C>,
    work: impl FnOnce(&mut Tx<'_>, &C) -> Result<(Done, V)>,
    again: impl FnOnce(&mut Tx<'_>, Done) -> Result<V>,
) -> Result<(Done, V)> {
    if let Claim::Done(done) = store::claim(tx, account, once, now)? {
        return Ok((done, again(tx, done)?));
    }
    let command = match command {
        Ok(command) => command,
        // It ends the unit, which is not run again: nobody asks for it twice.
        Err(fault) => return Err(std::mem::replace(fault, Error::Unavailable("the request was refused before"))),
    };
    let (done, value) = work(tx, command)?;
    store::settle(tx, account, once, done, now)?;
    Ok((done, value))
}
