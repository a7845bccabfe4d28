//! A new epoch in place, for data that went back: restored from a backup, or taken over by a standby that lagged.
//!
//! Versions and numbers go on above a floor that no earlier epoch can have reached, so that none is used twice for one
//! thing, and no precondition of before fits. All sessions end: nothing that was sent before arrives after.
//!
//! The data count how often they were anchored, and the keyring keeps the highest count. Data with a lower count went
//! back, and a server does not start on them until a new epoch was begun.

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::epoch::{self, Epoch};
use crate::db::{Db, Tx, catalog, values};
use crate::identity;
use crate::kernel::{Error, Result};
use crate::state::State;
use crate::tasks::{Due, Task, TaskProgress, TaskRun};
use crate::vault::{DataAnchor, Vault};

/// The name under which the data keep the count of their anchors.
const COUNT: &str = "anchored";
/// The first second of 2020.
const YEAR_2020: i64 = 1_577_836_800;
/// The versions of a second: more than a thing gets.
const A_SECOND: i64 = 1024;

/// What was done.
#[derive(Clone, Copy, Debug)]
pub struct Renewed {
    /// The epoch that has begun.
    pub epoch: Epoch,
    /// The number above which it gives versions.
    pub floor: i64,
    /// The number of sessions that ended.
    pub sessions: usize,
}

/// Begins a new epoch.
///
/// # Errors
///
/// [`Error::Internal`] with a sentence for the operator when the clock stands before what the data tell; when database
/// or keyring cannot be reached.
pub async fn renew(state: &State) -> Result<Renewed> {
    let (now, epoch) = (state.clock.now(), Epoch::draw(&state.entropy));
    let anchor = state.vault.data_anchor().await?.unwrap_or_default();
    let unit = state.db.write(move |tx| renew_in(tx, epoch, anchor, now));
    let (renewed, anchor) = unit.await?;
    state.db.raise_version_floor(renewed.floor);
    state.vault.raise_data_anchor(anchor).await?;
    let Renewed { floor, sessions, .. } = renewed;
    tracing::warn!(%epoch, floor, sessions, "the operator has begun a new epoch; all sessions have ended");
    Ok(renewed)
}

fn renew_in(tx: &mut Tx<'_>, epoch: Epoch, anchor: DataAnchor, now: Timestamp) -> Result<(Renewed, DataAnchor)> {
    catalog::hold_heads(tx)?;
    if let Some(newest) = catalog::newest_instant(tx)?.filter(|newest| *newest > now) {
        return Err(Error::internal(format!(
            "the clock stands at {now}, before {newest}, when something happened that the database tells of: set the \
             clock right, then begin the epoch"
        )));
    }
    let last = epoch::floor(tx)?.max(anchor.floor);
    let by_time = (now.as_second() - YEAR_2020) * A_SECOND;
    // What was lost may have used some of the last epoch's second, and within one second there may be another epoch.
    let floor = catalog::greatest_number(tx)?.max(last + A_SECOND).max(by_time);
    epoch::replace(tx, epoch, floor)?;
    catalog::raise_heads(tx, floor)?;
    let sessions = identity::end_all_sessions(tx, now)?;
    values::hold(tx, COUNT)?;
    let count = values::number(tx, COUNT)?.max(anchor.count) + 1;
    values::replace_number(tx, COUNT, count)?;
    Ok((Renewed { epoch, floor, sessions }, DataAnchor { count, floor }))
}

/// Refuses data that are older than their anchor.
///
/// # Errors
///
/// [`Error::Internal`] with a sentence for the operator.
pub async fn refuse_older(db: &Db, vault: &Vault) -> Result<()> {
    // The anchor is read first: it is raised after the data.
    let Some(anchor) = vault.data_anchor().await? else { return Ok(()) };
    let count = db.read(|tx| values::number(tx, COUNT)).await?;
    if count >= anchor.count {
        return Ok(());
    }
    Err(Error::internal(format!(
        "the database {} is older than the keyring knows it: it was restored from a backup, or a standby that lacked \
         the newest changes has taken over, and phones may hold what it has lost. Bring back the newest database, or \
         begin a new epoch (`afterglow epoch new`) and start again",
        db.backend().place()
    )))
}

/// Anchors the data when the server starts and stops, and when chains of the audit log are anchored.
#[derive(Clone, Copy, Debug)]
pub struct DataAnchoring;

impl Task for DataAnchoring {
    fn name(&self) -> &'static str {
        "data-anchor"
    }

    fn next_due(&self) -> &'static [Due] {
        &[]
    }

    fn follows(&self) -> Option<&'static str> {
        Some("audit-anchors")
    }

    fn begin<'a>(&'a self, state: &'a State, _now: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(anchor(state))
    }

    fn run<'a>(&'a self, TaskRun { state, .. }: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        Box::pin(async move { anchor(state).await.map(|()| TaskProgress::default()) })
    }

    fn end<'a>(&'a self, state: &'a State) -> BoxFuture<'a, Result<()>> {
        Box::pin(anchor(state))
    }
}

/// Counts one more anchor of the data, and raises it in the keyring once that is durable.
async fn anchor(state: &State) -> Result<()> {
    let unit = state.db.write_bulk(|tx| {
        // Of servers that count at the same time none puts the count back: the data would seem to have gone back.
        values::hold(tx, COUNT)?;
        let count = values::number(tx, COUNT)? + 1;
        values::replace_number(tx, COUNT, count)?;
        Ok(DataAnchor { count, floor: epoch::floor(tx)? })
    });
    state.vault.raise_data_anchor(unit.await?).await
}
