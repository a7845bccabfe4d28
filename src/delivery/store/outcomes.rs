//! What became of the deliveries of a round.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::sql_types::Array;
use jiff::Timestamp;
use uuid::Uuid;

use super::Leased;
use super::rows::{NewDelivery, insert_rows};
use crate::db::schema::deliveries;
use crate::db::{AnyConnection, At, Prepared, TimestampTz, Tx, Uid, rounded};
use crate::delivery::model::{Outgoing, device_delivery_id};
use crate::devices::store as devices;
use crate::kernel::id::{Any, Delivery, Device, Patient};
use crate::kernel::{Id, Result};
use crate::prompts::store::{self as prompts, Mark};
use crate::vault::Vault;

/// What became of the push to one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The push service took it, and that is the end.
    Sent,
    /// The push service took it. It is sent again at the instant, unless the device acknowledges it.
    Unconfirmed(Timestamp),
    /// It is tried again at the instant, with this number of attempts so far.
    Again(Timestamp, i32),
    /// It waits for a process that serves this channel, as long as it is of use.
    Elsewhere(&'static str),
    /// It is given up.
    Lapsed,
}

impl Left {
    /// Whether a push service took it.
    pub fn is_sent(self) -> bool {
        matches!(self, Self::Sent | Self::Unconfirmed(_))
    }
}

/// A delivery that became one for each device.
#[derive(Clone, Debug)]
pub struct FannedOut {
    /// The delivery.
    pub one: Leased,
    /// Its devices, with the channel of each.
    pub devices: Vec<(Id<Device>, &'static str, Left)>,
}

impl FannedOut {
    /// Whether a push service took it for one of the devices.
    pub fn is_sent(&self) -> bool {
        self.devices.iter().any(|(.., left)| left.is_sent())
    }
}

/// The results of the deliveries that a worker held.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    /// The deliveries without a device that have left by the channel of this process.
    pub sent: Vec<Leased>,
    /// The deliveries that became one for each device.
    pub fanned_out: Vec<FannedOut>,
    /// The deliveries to one device.
    pub of_device: Vec<(Leased, Left)>,
    /// The prompts that remind of them.
    pub reminders: Vec<Outgoing>,
    /// The deliveries that lapse.
    pub lapsed: Vec<Id<Delivery>>,
    /// The deliveries to try again, with the instant and the number of attempts so far.
    pub again: Vec<(Id<Delivery>, Timestamp, i32)>,
    /// The devices whose address is dead, with the version that named it.
    pub dead: Vec<(Id<Patient>, Id<Device>, i64)>,
}

impl Outcomes {
    /// Returns what became of these deliveries, which are all of their patients'.
    #[must_use]
    pub fn only(&self, leased: &[Leased]) -> Self {
        let ids: HashSet<_> = leased.iter().map(|one| one.id).collect();
        let patients: HashSet<_> = leased.iter().map(|one| one.patient).collect();
        let mut only = self.clone();
        only.sent.retain(|one| ids.contains(&one.id));
        only.fanned_out.retain(|of| ids.contains(&of.one.id));
        only.of_device.retain(|(one, _)| ids.contains(&one.id));
        only.reminders.retain(|one| patients.contains(&one.patient));
        only.lapsed.retain(|id| ids.contains(id));
        only.again.retain(|(id, ..)| ids.contains(id));
        only.dead.retain(|(patient, ..)| patients.contains(patient));
        only
    }

    /// Counts the pushes that have left.
    pub fn count_sent(&self) -> usize {
        let new = self.fanned_out.iter().flat_map(|of| &of.devices).filter(|(.., left)| left.is_sent()).count();
        self.sent.len() + new + self.of_device.iter().filter(|(_, left)| left.is_sent()).count()
    }
}

/// Makes the row of a delivery to one device. One that was given up at once is kept too.
fn device_row(
    vault: &Vault,
    one: &Leased,
    (device, channel, left): (Id<Device>, &'static str, Left),
    now: Timestamp,
) -> NewDelivery {
    let (state, due_at, attempts) = match left {
        Left::Sent => ("sent", now, 1),
        Left::Unconfirmed(again) => ("waiting", again, 0),
        Left::Again(at, attempts) => ("waiting", at, attempts),
        Left::Elsewhere(_) => ("waiting", one.due_at, 0),
        Left::Lapsed => ("lapsed", now, 1),
    };
    NewDelivery {
        id: device_delivery_id(vault, one.prompt, one.ordinal, device),
        patient_id: one.patient,
        prompt_id: one.prompt,
        ordinal: one.ordinal,
        channel,
        state,
        attempts,
        due_at: At(due_at),
        expires_at: At(one.expires_at),
        created_at: At(now),
        device_id: Some(device),
        sent_at: left.is_sent().then_some(At(now)),
        done_at: (state != "waiting").then_some(At(now)),
        lane: one.lane,
    }
}

/// The columns of a lease that has ended.
type Free =
    (diesel::dsl::Eq<deliveries::lease_until, Option<At>>, diesel::dsl::Eq<deliveries::leased_by, Option<Id<Any>>>);

fn free() -> Free {
    (deliveries::lease_until.eq(None), deliveries::leased_by.eq(None))
}

/// Notes the outcomes of deliveries, and that their prompts have left. A delivery that has left stays so even if its
/// lease has run out; other outcomes are noted only by the holder of the lease.
pub fn finish(tx: &mut Tx<'_>, vault: &Vault, holder: Uuid, outcomes: &Outcomes, now: Timestamp) -> Result<()> {
    let held = || deliveries::leased_by.eq(Some(Id::<Any>::from_uuid(holder)));
    note_sent(tx, &outcomes.sent, now)?;
    fan_out(tx, vault, &outcomes.fanned_out, now)?;
    for (one, left) in &outcomes.of_device {
        note_device(tx, holder, one, *left, now)?;
    }
    mark_delivered(tx, outcomes.of_device.iter().filter(|(_, left)| left.is_sent()).map(|(one, _)| one), now)?;
    devices::retire(tx, &outcomes.dead, now)?;
    if !outcomes.lapsed.is_empty() {
        diesel::update(deliveries::table.filter(deliveries::id.eq_any(&outcomes.lapsed)).filter(held()))
            .set((deliveries::state.eq("lapsed"), deliveries::done_at.eq(Some(At(now))), free()))
            .execute(tx.conn())?;
    }
    for (id, due_at, attempts) in &outcomes.again {
        diesel::update(deliveries::table.filter(deliveries::id.eq(id)).filter(held()))
            .set((
                deliveries::state.eq("waiting"),
                deliveries::due_at.eq(At(*due_at)),
                deliveries::attempts.eq(*attempts),
                free(),
            ))
            .execute(tx.conn())?;
    }
    Ok(())
}

/// Notes that deliveries without a device, and their prompts, have left: in one statement on PostgreSQL.
fn note_sent(tx: &mut Tx<'_>, sent: &[Leased], now: Timestamp) -> Result<()> {
    if sent.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = sent.iter().map(|one| one.id).collect();
    if let AnyConnection::Pg(conn) = tx.conn() {
        let both = diesel::sql_query(
            "WITH done AS (UPDATE deliveries SET state = 'sent', sent_at = $1, done_at = $1, lease_until = NULL, \
             leased_by = NULL WHERE id = ANY($2) RETURNING patient_id, prompt_id) \
             UPDATE prompts SET stage = 2, delivered_at = $1 FROM done \
             WHERE prompts.patient_id = done.patient_id AND prompts.id = done.prompt_id AND stage = 1",
        )
        .bind::<TimestampTz, _>(At(now))
        .bind::<Array<Uid>, _>(ids);
        Prepared(both).run_on(conn)?;
        return Ok(());
    }
    let left = (deliveries::sent_at.eq(Some(At(now))), deliveries::done_at.eq(Some(At(now))));
    let rows = deliveries::table.filter(deliveries::id.eq_any(rounded(&ids)));
    Prepared(diesel::update(rows).set((deliveries::state.eq("sent"), left, free()))).run(tx.conn())?;
    mark_delivered(tx, sent.iter(), now)
}

fn mark_delivered<'l>(tx: &mut Tx<'_>, sent: impl Iterator<Item = &'l Leased>, now: Timestamp) -> Result<()> {
    let prompts: Vec<_> = sent.map(|one| (one.patient, one.prompt)).collect();
    prompts::mark(tx, &prompts, Mark::Delivered, now)
}

/// Stores the deliveries to devices, and ends those that they were made of. A device that has its delivery already,
/// because a worker died after it sent, keeps it.
fn fan_out(tx: &mut Tx<'_>, vault: &Vault, list: &[FannedOut], now: Timestamp) -> Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> =
        list.iter().flat_map(|of| of.devices.iter().map(|to| device_row(vault, &of.one, *to, now))).collect();
    insert_rows(tx, &rows)?;
    diesel::update(deliveries::table.filter(deliveries::id.eq_any(list.iter().map(|of| of.one.id))))
        .set((deliveries::state.eq("fanned_out"), deliveries::done_at.eq(Some(At(now))), free()))
        .execute(tx.conn())?;
    mark_delivered(tx, list.iter().filter(|of| of.is_sent()).map(|of| &of.one), now)?;
    // What is sent again never comes after the reminder, and what no process has sent yet does not come beside it.
    for Leased { patient, prompt, ordinal, .. } in list.iter().map(|of| of.one).filter(|one| one.ordinal > 0) {
        let earlier = || {
            deliveries::table
                .filter(deliveries::patient_id.eq(patient))
                .filter(deliveries::prompt_id.eq(prompt))
                .filter(deliveries::ordinal.lt(ordinal))
                .filter(deliveries::device_id.is_not_null())
                .filter(deliveries::state.eq("waiting"))
        };
        let done_at = || deliveries::done_at.eq(Some(At(now)));
        diesel::update(earlier().filter(deliveries::sent_at.is_not_null()))
            .set((deliveries::state.eq("sent"), done_at()))
            .execute(tx.conn())?;
        diesel::update(earlier().filter(deliveries::sent_at.is_null()))
            .set((deliveries::state.eq("lapsed"), done_at()))
            .execute(tx.conn())?;
    }
    Ok(())
}

/// Notes what became of another attempt at a delivery to one device. What has left once is not undone when it is not
/// sent again.
fn note_device(tx: &mut Tx<'_>, holder: Uuid, one: &Leased, left: Left, now: Timestamp) -> Result<()> {
    let row = deliveries::table.filter(deliveries::id.eq(one.id));
    let held = deliveries::leased_by.eq(Some(Id::<Any>::from_uuid(holder)));
    let sent_at = one.sent_at.or_else(|| left.is_sent().then_some(now)).map(At);
    let resends = one.resends + i32::from(one.sent_at.is_some() && left.is_sent());
    let (state, due_at, attempts) = match left {
        Left::Sent => ("sent", one.due_at, one.attempts),
        Left::Unconfirmed(at) => ("waiting", at, 0),
        Left::Again(at, attempts) => ("waiting", at, attempts),
        Left::Elsewhere(_) => ("waiting", one.due_at, one.attempts - 1),
        Left::Lapsed => (if sent_at.is_some() { "sent" } else { "lapsed" }, one.due_at, one.attempts),
    };
    let done_at = (state != "waiting").then_some(At(now));
    let times = (deliveries::due_at.eq(At(due_at)), deliveries::sent_at.eq(sent_at), deliveries::done_at.eq(done_at));
    let counts = (deliveries::attempts.eq(attempts), deliveries::resends.eq(resends));
    let next = (deliveries::state.eq(state), times, counts, free());
    match left {
        Left::Sent => diesel::update(row).set(next).execute(tx.conn())?,
        // The device has moved to a channel of another process, which finds it by its channel.
        Left::Elsewhere(channel) => {
            diesel::update(row.filter(held)).set((next, deliveries::channel.eq(channel))).execute(tx.conn())?
        }
        Left::Unconfirmed(_) | Left::Again(..) | Left::Lapsed => {
            diesel::update(row.filter(held)).set(next).execute(tx.conn())?
        }
    };
    Ok(())
}
