//! Leasing: how a worker takes the next deliveries, fairly between clinics.

use std::collections::HashSet;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};
use diesel::sqlite::SqliteConnection;
use jiff::Timestamp;
use uuid::Uuid;

use crate::db::schema::deliveries;
use crate::db::{AnyConnection, At, Prepared, TimestampTz, Tx, Uid, rounded};
use crate::delivery::model::{LANES, LEASE};
use crate::kernel::id::{Any, Delivery, Device, Patient, Prompt};
use crate::kernel::{Id, Result};

/// A delivery leased by this worker.
#[derive(Clone, Copy, Debug)]
pub struct Leased {
    /// Its id.
    pub id: Id<Delivery>,
    /// The patient.
    pub patient: Id<Patient>,
    /// The prompt.
    pub prompt: Id<Prompt>,
    /// The number of earlier deliveries of its prompt.
    pub ordinal: i32,
    /// The number of attempts, this one included.
    pub attempts: i32,
    /// The device that it goes to; `None` while it has not been made into one for each device.
    pub device: Option<Id<Device>>,
    /// The instant at which it was to leave.
    pub due_at: Timestamp,
    /// The instant at which it first left: it is sent again because the device did not acknowledge it.
    pub sent_at: Option<Timestamp>,
    /// The times that it was sent again.
    pub resends: i32,
    /// Whether the device has acknowledged it.
    pub received: bool,
    /// The instant at which its prompt expires.
    pub expires_at: Timestamp,
    /// The lane of the clinic.
    pub lane: i32,
}

/// A row of a leased delivery. `attempts` is counted before this attempt on SQLite, with it on PostgreSQL.
#[derive(QueryableByName)]
#[diesel(table_name = deliveries)]
struct LeasedRow {
    id: Id<Delivery>,
    patient_id: Id<Patient>,
    prompt_id: Id<Prompt>,
    ordinal: i32,
    attempts: i32,
    due_at: At,
    device_id: Option<Id<Device>>,
    sent_at: Option<At>,
    resends: i32,
    received_at: Option<At>,
    expires_at: At,
    lane: i32,
}

/// The columns of [`LeasedRow`].
const COLUMNS: &str = "id, patient_id, prompt_id, ordinal, attempts, due_at, device_id, sent_at, resends, \
    received_at, expires_at, lane";

impl From<LeasedRow> for Leased {
    fn from(row: LeasedRow) -> Self {
        let LeasedRow { id, patient_id: patient, prompt_id: prompt, ordinal, attempts, lane, .. } = row;
        let (due_at, sent_at, received) = (row.due_at.0, row.sent_at.map(|at| at.0), row.received_at.is_some());
        let (device, resends) = (row.device_id, row.resends);
        let expires_at = row.expires_at.0;
        Self { id, patient, prompt, ordinal, attempts, device, due_at, sent_at, resends, received, expires_at, lane }
    }
}

/// Leases up to `most` deliveries whose time has come for `holder`: those whose lease has run out, of each lane the
/// longest waiting up to its share, and then the longest waiting of all, so that no clinic holds another. Deliveries
/// that another worker is taking are passed over, and so are those to devices by the channels of `left`, which other
/// processes serve, until they expire.
///
/// Spans patients: rests on the partial indexes `deliveries_leased`, `deliveries_lane` and `deliveries_waiting`.
///
/// # Errors
///
/// When the database cannot be read or written.
pub fn lease(tx: &mut Tx<'_>, holder: Uuid, now: Timestamp, most: i64, left: &[&'static str]) -> Result<Vec<Leased>> {
    let until = now.saturating_add(LEASE).unwrap_or(now);
    let share = (most / i64::from(LANES)).max(1);
    let mut rows = match tx.conn() {
        AnyConnection::Pg(conn) => lease_at_once(conn, holder, (now, until), (most, share), left)?,
        AnyConnection::Sqlite(conn) => lease_each(conn, holder, (now, until), (most, share), left)?,
    };
    rows.sort_unstable_by_key(|row| (row.due_at.0, row.id));
    Ok(rows.into_iter().map(Leased::from).collect())
}

/// Leases deliveries on SQLite, where one worker at a time writes.
fn lease_each(
    conn: &mut SqliteConnection,
    holder: Uuid,
    (now, until): (Timestamp, Timestamp),
    (most, share): (i64, i64),
    left: &[&'static str],
) -> Result<Vec<LeasedRow>> {
    // The states are literals, so that the partial indexes apply.
    let part = |of: &str, time: &str, limit: &str| {
        format!(
            "SELECT * FROM (SELECT {COLUMNS} FROM deliveries WHERE {of} AND {time} <= ?1 \
             AND (device_id IS NULL OR instr(?3, ',' || channel || ',') = 0 OR expires_at <= ?1) \
             ORDER BY {time} LIMIT {limit})"
        )
    };
    let mut parts = vec![part("state = 'leased'", "lease_until", "?2")];
    parts.extend((0..LANES).map(|lane| part(&format!("lane = {lane} AND state = 'waiting'"), "due_at", "?4")));
    parts.push(part("state = 'waiting'", "due_at", "?2"));
    let next = diesel::sql_query(parts.join(" UNION ALL "))
        .bind::<TimestampTz, _>(At(now))
        .bind::<BigInt, _>(most)
        .bind::<Text, _>(format!(",{},", left.join(",")))
        .bind::<BigInt, _>(share);
    let mut rows: Vec<LeasedRow> = Prepared(next).load(conn)?;
    // The last part has rows of the lanes once more.
    let mut taken = HashSet::new();
    rows.retain(|row| taken.insert(row.id));
    rows.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    if rows.is_empty() {
        return Ok(rows);
    }
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let taking = diesel::update(deliveries::table.filter(deliveries::id.eq_any(rounded(&ids)))).set((
        deliveries::state.eq("leased"),
        deliveries::lease_until.eq(Some(At(until))),
        deliveries::leased_by.eq(Some(Id::<Any>::from_uuid(holder))),
        deliveries::attempts.eq(deliveries::attempts + 1),
    ));
    Prepared(taking).run_on(conn)?;
    for row in &mut rows {
        row.attempts += 1;
    }
    Ok(rows)
}

/// Leases deliveries in one statement, on PostgreSQL.
fn lease_at_once(
    conn: &mut PgConnection,
    holder: Uuid,
    (now, until): (Timestamp, Timestamp),
    (most, share): (i64, i64),
    left: &[&'static str],
) -> Result<Vec<LeasedRow>> {
    const OWN: &str = "(device_id IS NULL OR channel <> ALL($6) OR expires_at <= $1)";
    let last = LANES - 1;
    let sql = format!(
        "WITH lost AS (SELECT id FROM deliveries WHERE state = 'leased' AND lease_until <= $1 AND {OWN} \
         ORDER BY lease_until LIMIT $2 FOR UPDATE SKIP LOCKED), \
         fair AS (SELECT next.id FROM generate_series(0, {last}) AS lanes (number), LATERAL (\
         SELECT id FROM deliveries WHERE lane = lanes.number AND state = 'waiting' AND due_at <= $1 AND {OWN} \
         ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) AS next), \
         oldest AS (SELECT id FROM deliveries WHERE state = 'waiting' AND due_at <= $1 AND {OWN} \
         AND id NOT IN (SELECT id FROM fair) ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED) \
         UPDATE deliveries SET state = 'leased', lease_until = $4, leased_by = $5, attempts = attempts + 1 \
         WHERE id IN (SELECT id FROM lost UNION ALL SELECT id FROM fair UNION ALL SELECT id FROM oldest LIMIT $2) \
         RETURNING {COLUMNS}"
    );
    Ok(diesel::sql_query(sql)
        .bind::<TimestampTz, _>(At(now))
        .bind::<BigInt, _>(most)
        .bind::<BigInt, _>(share)
        .bind::<TimestampTz, _>(At(until))
        .bind::<Uid, _>(Id::<Any>::from_uuid(holder))
        .bind::<Array<Text>, _>(left.to_vec())
        .load(conn)?)
}
