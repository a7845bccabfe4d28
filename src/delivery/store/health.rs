//! The numbers of deliveries.

use std::collections::BTreeMap;

use diesel::dsl::{count, count_star, min};
use diesel::prelude::*;
use jiff::Timestamp;

use crate::db::schema::deliveries;
use crate::db::{At, Tx};
use crate::kernel::id::Patient;
use crate::kernel::{Id, Result};

/// The most patients named in one statement.
const AT_ONCE: usize = 200;

/// The numbers of deliveries of one channel, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelCounts {
    /// The channel.
    pub channel: String,
    /// A push service took them.
    pub sent: i64,
    /// A device acknowledged them.
    pub received: i64,
    /// They were given up.
    pub lapsed: i64,
    /// They wait.
    pub waiting: i64,
}

/// Counts the deliveries to these patients that were made since an instant, by channel. One that became one for each
/// device is counted by those.
///
/// Spans patients: those of one clinic, which its door has listed (index `deliveries_prompt`).
///
/// # Errors
///
/// When they cannot be read.
pub fn count_by_channel(tx: &mut Tx<'_>, patients: &[Id<Patient>], since: Timestamp) -> Result<Vec<ChannelCounts>> {
    let mut channels: BTreeMap<String, ChannelCounts> = BTreeMap::new();
    for some in patients.chunks(AT_ONCE) {
        let rows: Vec<(String, String, i64, i64)> = deliveries::table
            .filter(deliveries::patient_id.eq_any(some.iter().copied()))
            .filter(deliveries::created_at.ge(At(since)))
            .group_by((deliveries::channel, deliveries::state))
            .select((deliveries::channel, deliveries::state, count_star(), count(deliveries::received_at)))
            .load(tx.conn())?;
        for (channel, state, number, received) in rows.into_iter().filter(|(_, state, ..)| state != "fanned_out") {
            let of = channels.entry(channel.clone()).or_insert_with(|| ChannelCounts { channel, ..Default::default() });
            of.received += received;
            match state.as_str() {
                "sent" => of.sent += number,
                "lapsed" => of.lapsed += number,
                _ => of.waiting += number,
            }
        }
    }
    Ok(channels.into_values().collect())
}

/// Finds the instant at which the oldest delivery to these patients that has not left should have left; `None` if each
/// has, or waits for its time.
///
/// Spans patients, as [`count_by_channel`] does.
///
/// # Errors
///
/// When it cannot be read.
pub fn oldest_late(tx: &mut Tx<'_>, patients: &[Id<Patient>], now: Timestamp) -> Result<Option<Timestamp>> {
    let mut oldest: Option<Timestamp> = None;
    for some in patients.chunks(AT_ONCE) {
        let found: Option<At> = deliveries::table
            .filter(deliveries::patient_id.eq_any(some.iter().copied()))
            .filter(deliveries::state.eq_any(["waiting", "leased"]))
            .filter(deliveries::due_at.le(At(now)))
            .select(min(deliveries::due_at))
            .first(tx.conn())?;
        oldest = oldest.into_iter().chain(found.map(|at| at.0)).min();
    }
    Ok(oldest)
}
