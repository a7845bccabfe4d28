//! The task that sends letters.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use jiff::Timestamp;

use super::actions::{PURPOSES, place};
use super::model::{LetterDoc, LetterKind, retry_at};
use super::proofs::code_of;
use super::store::{self, LeasedLetter};
use super::texts;
use crate::channels::{Letter, SendError};
use crate::kernel::{Error, Result};
use crate::state::State;
use crate::tasks::{Due, Task, TaskProgress, TaskRun};

/// The most letters of one round, sent at once.
const MOST: i64 = 8;
/// The longest that one may take. Prompts wait for the end of a round, too.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends what is due, and tries again later what fails.
#[derive(Clone, Copy, Debug)]
pub struct SendLetters;

impl Task for SendLetters {
    fn name(&self) -> &'static str {
        "letters"
    }

    fn next_due(&self) -> &'static [Due] {
        const { &[Due::at("letters", "due_at")] }
    }

    fn run<'a>(&'a self, TaskRun { state, now, .. }: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        async move {
            let leased = state.db.write_bulk(move |tx| store::lease(tx, now, MOST)).await?;
            let outcomes = join_all(leased.iter().map(|letter| send(state, letter, now))).await;
            let mut fault = None;
            for (letter, outcome) in leased.iter().zip(outcomes) {
                // It is due again when the lease has run out; what became of the others is noted.
                if let Err(error) = note(state, letter, outcome, now).await {
                    fault = Some(error);
                }
            }
            fault.map_or(Ok(TaskProgress::rows(leased.len())), Err)
        }
        .boxed()
    }
}

/// Notes what became of a letter: the instant at which it is tried again, if it is.
async fn note(state: &State, leased: &LeasedLetter, outcome: Result<Option<Timestamp>>, now: Timestamp) -> Result<()> {
    let (id, again) = (leased.id, outcome?);
    if again.is_none() {
        // Nobody reads it any more. Once its keys are gone it cannot leave a second time.
        state.vault.destroy(id.uuid(), PURPOSES).await?;
    }
    let unit = state.db.write_bulk(move |tx| match again {
        Some(at) => store::mark_due(tx, id, at),
        None => store::mark_done(tx, id, now),
    });
    unit.await
}

/// Sends one letter, and returns the instant at which it is tried again, if it is.
async fn send(state: &State, leased: &LeasedLetter, now: Timestamp) -> Result<Option<Timestamp>> {
    let Some(doc) = open(state, leased).await? else { return Ok(None) };
    if doc.kind == LetterKind::Nothing {
        return Ok(None);
    }
    if leased.expires_at <= now {
        tracing::warn!(letter = %leased.id, "a letter has expired before it could leave");
        return Ok(None);
    }
    let code = doc.proof.map(|proof| code_of(&state.vault, proof));
    let (subject, body) = texts::subject_and_body(doc.kind, &doc.locale, code.as_ref());
    let letter = Letter { id: leased.id.uuid(), to: doc.to, subject: subject.to_owned(), body };
    let late = SendError::Later { after: None, reason: "it took too long" };
    let sent = tokio::time::timeout(PATIENCE, state.mail.send(&letter, now)).await.unwrap_or(Err(late));
    match sent {
        Ok(()) => Ok(None),
        // What the operator has to mend may be mended before the letter expires.
        Err(
            SendError::Later { reason, .. } | SendError::Misconfigured { reason } | SendError::Mismatched { reason },
        ) => {
            let again = retry_at(leased.id, leased.attempts, leased.expires_at, now);
            let given_up = again.is_none();
            tracing::warn!(letter = %leased.id, reason, given_up, "a letter could not be sent");
            Ok(again)
        }
        Err(SendError::Refused { reason }) => {
            tracing::error!(letter = %leased.id, reason, "a letter is refused and given up");
            Ok(None)
        }
        Err(SendError::Gone) => {
            tracing::info!(letter = %leased.id, "the address of a letter is dead");
            Ok(None)
        }
    }
}

/// Opens a letter. One that does not open is given up; the others go on.
async fn open(state: &State, leased: &LeasedLetter) -> Result<Option<LetterDoc>> {
    // Past the cache: without keys it has left already, and the worker ended before it could note that.
    let keys = Error::skip_damaged(state.vault.keys_from_keyring(leased.id.uuid()).await)?.flatten();
    let Some(keys) = keys else { return Ok(None) };
    let opened = Error::skip_damaged(keys.open_json(&place(leased.id), &leased.doc))?;
    if opened.is_none() {
        tracing::error!(letter = %leased.id, "a letter is given up: it cannot be opened");
    }
    Ok(opened)
}
