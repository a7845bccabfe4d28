//! The task that writes the letters about what happened to accounts.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::actions::{discard, post, prepare};
use super::model::{LetterDoc, LetterKind};
use crate::identity::{DueNotice, Notice, list_due_notices, mark_notice_written, upkeep};
use crate::kernel::{Error, Result};
use crate::state::State;
use crate::tasks::{Due, Task, TaskProgress, TaskRun};

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

    fn run<'a>(&'a self, TaskRun { state, now, .. }: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        async move {
            let due = state.db.read(move |tx| list_due_notices(tx, now, MOST)).await?;
            for one in &due {
                write(state, *one, now).await?;
            }
            Ok(TaskProgress::rows(due.len()))
        }
        .boxed()
    }
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

/// Writes one letter, to the present address. One for an account that does not open is given up, and for a disabled one
/// all but those of its end.
async fn write(state: &State, due: DueNotice, now: Timestamp) -> Result<()> {
    let own = Error::skip_damaged(upkeep::find(state, due.account).await)?.flatten();
    let letter = match own.zip(due.notice) {
        Some((own, notice)) if !own.is_disabled() || notice.is_of_the_end() => {
            let (to, locale) = (own.email().clone(), own.profile().locale.clone());
            Some(prepare(state, &LetterDoc { kind: kind_of(notice), to, locale, proof: None }, now).await?)
        }
        _ => None,
    };
    let (vault, posted) = (state.vault.clone(), letter.clone());
    let unit = state.db.write_bulk(move |tx| {
        let first = mark_notice_written(tx, &due)?;
        if let Some(letter) = posted.as_ref().filter(|_| first) {
            post(tx, &vault, letter)?;
        }
        Ok(first)
    });
    let first = unit.await?;
    // Another worker has written it.
    match letter.filter(|_| !first) {
        Some(letter) => discard(state, &letter).await,
        None => Ok(()),
    }
}
