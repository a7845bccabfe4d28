//! The task that anchors the heads of chains in the keyring.
//!
//! An append to a chain sets the instant at which its head is to be anchored, unless one is set. Before an anchor is
//! raised, the rows since the last one are verified. A chain that was cut or put back keeps its anchor, and
//! [`verify`](super::verify) finds that they differ.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use super::store::{self, Chains, Head};
use crate::kernel::Result;
use crate::state::State;
use crate::tasks::{Due, Task, TaskProgress, TaskRun};
use crate::vault::Anchor;

/// The most chains anchored in one unit.
const BATCH: i64 = 100;

/// Anchors the chains that have grown.
#[derive(Clone, Copy, Debug)]
pub struct Anchoring;

impl Task for Anchoring {
    fn name(&self) -> &'static str {
        "audit-anchors"
    }

    fn next_due(&self) -> &'static [Due] {
        const { &[Due::at("patient_heads", "anchor_due_at"), Due::at("account_heads", "anchor_due_at")] }
    }

    /// Anchors every chain that is longer than its anchor. The due time in its row is not asked for: it may have been
    /// changed, or the keyring may be an older one.
    fn begin<'a>(&'a self, state: &'a State, _now: Timestamp) -> BoxFuture<'a, Result<()>> {
        async move {
            for kind in Chains::ALL {
                let mut after = Uuid::nil();
                loop {
                    let heads = state.db.read(move |tx| store::heads(tx, kind, after, BATCH)).await?;
                    let Some(last) = heads.last() else { break };
                    after = last.subject.uuid();
                    anchor(state, heads).await?;
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn run<'a>(&'a self, TaskRun { state, now, .. }: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        anchor_due(state, now).map(|done| done.map(TaskProgress::rows)).boxed()
    }

    /// Anchors what has grown since the last round.
    fn end<'a>(&'a self, state: &'a State) -> BoxFuture<'a, Result<()>> {
        async move {
            while anchor_due(state, Timestamp::MAX).await? > 0 {}
            Ok(())
        }
        .boxed()
    }
}

/// Anchors a batch of the chains that are due at `now`, and returns their number.
async fn anchor_due(state: &State, now: Timestamp) -> Result<usize> {
    let mut count = 0;
    for kind in Chains::ALL {
        let heads = state.db.read(move |tx| store::heads_due(tx, kind, now, BATCH)).await?;
        count += heads.len();
        if !heads.is_empty() {
            let seen = heads.iter().map(|head| (head.subject.uuid(), head.seq)).collect::<Vec<_>>();
            anchor(state, heads).await?;
            state.db.write_bulk(move |tx| store::mark_anchored(tx, kind, &seen)).await?;
        }
    }
    Ok(count)
}

/// Raises the anchors of `heads`, each if its chain fits the anchor that is there.
async fn anchor(state: &State, heads: Vec<Head>) -> Result<()> {
    let anchors = state.vault.anchors(Some(heads.iter().map(|head| head.subject.uuid()).collect())).await?;
    let vault = state.vault.clone();
    let checked = state.db.read(move |tx| {
        let (mut raised, mut faults) = (Vec::new(), Vec::new());
        for Head { subject, seq, mac } in &heads {
            let anchor = anchors.get(&subject.uuid());
            if anchor.is_some_and(|one| one.as_ref().is_ok_and(|one| (one.seq, &one.head) == (*seq, mac))) {
                continue;
            }
            match store::verify_since(tx, &vault, *subject, (*seq, mac.as_slice()), anchor)? {
                None => raised.push((subject.uuid(), Anchor { seq: *seq, head: mac.clone() })),
                Some(fault) => faults.push(fault),
            }
        }
        Ok((raised, faults))
    });
    let (raised, faults) = checked.await?;
    for fault in faults {
        metrics::counter!("afterglow_audit_faults_total").increment(1);
        tracing::error!(subject = %fault.subject, row = fault.seq, why = fault.why, "an audit chain does not fit its anchor");
    }
    if raised.is_empty() {
        return Ok(());
    }
    state.vault.raise_anchors(raised).await
}
