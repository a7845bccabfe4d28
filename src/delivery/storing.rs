//! Storing what became of the deliveries of a round: at once, or, if that fails, for each patient apart.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::model::{Outgoing, TASK, remind_at};
use super::sending::UnderWay;
use super::store::{self, Leased, Left, Outcomes};
use crate::kernel::id::Delivery;
use crate::kernel::{Error, Id, Result};
use crate::prompts::model::StoredPrompt;
use crate::state::State;

/// What storing the outcomes of a round needs.
pub(super) struct Round {
    pub(super) state: State,
    /// The holder of the leases.
    pub(super) holder: Uuid,
    /// The name of the channel for the reminders.
    pub(super) channel: &'static str,
    /// The deliveries of this part of the round; those of a patient stand together.
    pub(super) leased: Vec<Leased>,
    pub(super) prompts: HashMap<Id<Delivery>, StoredPrompt>,
    pub(super) now: Timestamp,
}

impl Round {
    /// Stores what became of deliveries, with their reminders, and returns the number of pushes that have left. What
    /// cannot be stored for one patient is stored for the others: else the same would leave to all of them again.
    ///
    /// # Errors
    ///
    /// Outages only.
    pub(super) async fn store(&self, mut outcomes: Outcomes) -> Result<usize> {
        let now = self.now;
        let gone_out = outcomes.sent.iter().chain(outcomes.fanned_out.iter().map(|of| &of.one));
        outcomes.reminders = gone_out.filter_map(|one| reminder(one, self.prompts.get(&one.id)?, now)).collect();
        note_lateness(&outcomes, self.state.clock.now());
        let outcomes = Arc::new(outcomes);
        let (sent, outage) = match self.write(Arc::clone(&outcomes)).await {
            Ok(()) => (outcomes.count_sent(), None),
            Err(error) if error.is_outage_for_all() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "deliveries cannot be noted at once; those of each patient are noted apart");
                self.store_apart(&outcomes).await
            }
        };
        metrics::counter!("afterglow_deliveries_sent_total").increment(u64::try_from(sent).unwrap_or(u64::MAX));
        outage.map_or(Ok(sent), Err)
    }

    async fn write(&self, outcomes: Arc<Outcomes>) -> Result<()> {
        let Self { holder, channel, now, .. } = *self;
        let vault = self.state.vault.clone();
        let unit = self.state.db.write(move |tx| {
            store::insert(tx, &vault, channel, &outcomes.reminders, now)?;
            store::finish(tx, &vault, holder, &outcomes, now)
        });
        unit.await
    }

    /// Stores what became of the deliveries of each patient in a unit of its own. Returns the number of pushes that
    /// have left and are stored, and an outage that others have met.
    async fn store_apart(&self, outcomes: &Outcomes) -> (usize, Option<Error>) {
        let of_patient = |of: &[Leased]| {
            let (patient, own) = (of.first()?.patient, outcomes.only(of));
            let count = own.count_sent();
            Some(self.write(Arc::new(own)).map(move |stored| (patient, count, stored)).boxed())
        };
        let units: Vec<_> =
            self.leased.chunk_by(|one, next| one.patient == next.patient).filter_map(of_patient).collect();
        let (mut sent, mut outage) = (0, None);
        for (patient, count, stored) in join_all(units).await {
            match stored {
                Ok(()) => sent += count,
                Err(error) if error.is_outage() => outage = Some(error),
                Err(error) => {
                    metrics::counter!("afterglow_task_failures_total", "task" => TASK).increment(1);
                    tracing::error!(%patient, %error, "what became of deliveries is not stored: they are tried again");
                }
            }
        }
        (sent, outage)
    }

    /// Waits for the pushes that were under way when the round ended, and stores what became of them, by the leases of
    /// the round. Of those that are lost, because they take too long or the process dies, the leases run out: that is
    /// an attempt which came to no end.
    pub(super) async fn go_on(
        self: Arc<Self>,
        mut under_way: UnderWay,
        (_place, lasts): (Arc<OwnedSemaphorePermit>, Duration),
    ) {
        let mut outcomes = Outcomes::default();
        if tokio::time::timeout(lasts, under_way.note(&mut outcomes)).await.is_err() {
            tracing::error!("pushes took too long and are given up: they are tried again when their lease runs out");
        }
        // Nothing leaves any more when the outcomes are stored.
        drop(under_way);
        if let Err(error) = self.store(outcomes).await {
            tracing::error!(%error, "what became of pushes is not stored: they are tried again");
        }
    }
}

/// Counts how late deliveries have left for the first time.
fn note_lateness(outcomes: &Outcomes, now: Timestamp) {
    let to_devices = outcomes.fanned_out.iter().filter(|of| of.is_sent()).map(|of| &of.one);
    // Those that another process has left to this one.
    let is_first = |(one, left): &&(Leased, Left)| left.is_sent() && one.sent_at.is_none() && one.attempts == 1;
    let left_here = outcomes.of_device.iter().filter(is_first).map(|(one, _)| one);
    let lateness = metrics::histogram!("afterglow_delivery_lateness_seconds");
    for one in outcomes.sent.iter().chain(to_devices).chain(left_here) {
        lateness.record(now.duration_since(one.due_at).as_secs_f64().max(0.0));
    }
}

/// Makes the reminder of a delivery that has just left, if it has one.
fn reminder(one: &Leased, prompt: &StoredPrompt, now: Timestamp) -> Option<Outgoing> {
    let due_at = remind_at(prompt, one.ordinal, now)?;
    let Leased { patient, prompt: id, ordinal, lane, .. } = *one;
    Some(Outgoing { patient, prompt: id, ordinal: ordinal + 1, due_at, expires_at: prompt.expires_at, lane })
}
