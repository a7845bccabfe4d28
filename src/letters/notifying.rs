//! The task that writes the letters about what happened to accounts.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::actions::{PreparedLetter, post, prepare};
use super::model::{LetterDoc, LetterKind};
use crate::db::Tx;
use crate::identity::upkeep::{self, AccountSnapshot};
use crate::identity::{DueNotice, Notice, list_due_notices, list_pending_notices, mark_notice_written};
use crate::kernel::id::Account;
use crate::kernel::{Error, Id, Result};
use crate::state::State;
use crate::tasks::{Due, Task, TaskProgress, TaskRun};
use crate::vault::Vault;

/// The most letters of one round.
const MOST: i64 = 20;

/// Writes the letters that owners of accounts are to get. They leave with the others.
#[derive(Clone, Copy, Debug)]
pub struct NotifyOwners;

impl Task for NotifyOwners {
    fn name(&self) -> &'static str {
        "owner-notices"
    }

    fn next_due(&self) -> &'static [Due] {
        const { &[Due::at("owner_notices", "due_at")] }
    }

    fn run<'a>(&'a self, round: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        round.in_portions(move |left_out| write_due(round, left_out).boxed())
    }
}

async fn write_due(round: TaskRun<'_>, left_out: Vec<Id<Account>>) -> Result<usize> {
    let TaskRun { state, now, put_off, .. } = round;
    let due = state.db.read(move |tx| list_due_notices(tx, now, &left_out, MOST)).await?;
    let mut written = 0;
    for one in due {
        let done = put_off.note(one.account, now, write(state, one, now).await)?;
        written += usize::from(done.is_some());
    }
    Ok(written)
}

const fn kind_of(notice: Notice) -> LetterKind {
    match notice {
        Notice::NewDevice => LetterKind::NewDevice,
        Notice::RefreshReused => LetterKind::RefreshReused,
        Notice::PassphraseChanged => LetterKind::PassphraseChanged,
        Notice::Disabled => LetterKind::Disabled,
        Notice::DisabledByAdmin => LetterKind::DisabledByAdmin,
        Notice::SecondFactor => LetterKind::SecondFactor,
        Notice::EnabledByOperator => LetterKind::EnabledByOperator,
        Notice::FactorsForgotten => LetterKind::FactorsForgotten,
        Notice::PasskeyAdded => LetterKind::PasskeyAdded,
        Notice::FactorOff => LetterKind::FactorOff,
        Notice::RecoveryCodesMade => LetterKind::RecoveryCodesMade,
    }
}

/// Prepares a letter to the address that an account has in this snapshot.
async fn to_owner(state: &State, own: &AccountSnapshot, notice: Notice, now: Timestamp) -> Result<PreparedLetter> {
    let (to, locale) = (own.email().clone(), own.profile().locale.clone());
    prepare(state, &LetterDoc { kind: kind_of(notice), to, locale, proof: None }, now).await
}

/// The letters that an account is still to get, prepared to the address that it is about to leave.
#[derive(Debug)]
pub struct PendingLetters(Vec<(Notice, PreparedLetter)>);

/// Prepares the letters that an account is still to get, before the unit that moves its address.
///
/// # Errors
///
/// When database or keyring cannot be reached.
pub async fn prepare_pending(state: &State, own: &AccountSnapshot, now: Timestamp) -> Result<PendingLetters> {
    let account = own.account();
    let pending = state.db.read(move |tx| list_pending_notices(tx, account)).await?;
    let mut letters = Vec::new();
    for notice in pending.into_iter().filter_map(|due| due.notice) {
        letters.push((notice, to_owner(state, own, notice, now).await?));
    }
    Ok(PendingLetters(letters))
}

/// Posts the letters that an account is still to get, in the unit that moves its address: whoever moves it may be
/// somebody else, who must not get them instead. Call it after the event of the unit is told: then no other unit adds
/// one.
///
/// # Errors
///
/// [`Error::Unavailable`] when the owner is to be told of more than was prepared: sent again, the request succeeds.
pub fn post_pending(tx: &mut Tx<'_>, vault: &Vault, account: Id<Account>, letters: &PendingLetters) -> Result<()> {
    for due in list_pending_notices(tx, account)? {
        let Some(notice) = due.notice else { continue };
        let prepared = letters.0.iter().find(|(of, _)| *of == notice);
        let (_, letter) = prepared.ok_or(Error::Unavailable("the account was changed at the same time"))?;
        // Otherwise the task has written it meanwhile, to the same address.
        if mark_notice_written(tx, &due)? {
            post(tx, vault, letter)?;
        }
    }
    Ok(())
}

/// Writes one letter, to the present address, also if the account is disabled by now: whoever disabled it may be
/// somebody else, who was let in by what the letter tells of. One for an account that does not open is given up.
async fn write(state: &State, due: DueNotice, now: Timestamp) -> Result<()> {
    let own = Error::skip_damaged(upkeep::find(state, due.account).await)?.flatten();
    let letter = match own.zip(due.notice) {
        Some((own, notice)) => Some(to_owner(state, &own, notice, now).await?),
        None => None,
    };
    let vault = state.vault.clone();
    let unit = state.db.write_bulk(move |tx| {
        // Otherwise another worker has written it.
        let first = mark_notice_written(tx, &due)?;
        letter.as_ref().filter(|_| first).map_or(Ok(()), |letter| post(tx, &vault, letter))
    });
    unit.await
}
