//! The outbox, and the prompts that go into it.

mod health;
mod outcomes;
mod receipts;

use std::collections::HashMap;

use diesel::dsl::{exists, sql};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel::sqlite::SqliteConnection;
use jiff::Timestamp;
use uuid::Uuid;

pub use health::{ChannelCounts, count_by_channel, oldest_late};
pub use outcomes::{FannedOut, Left, Outcomes, finish};
pub use receipts::{Receipt, receive};

use super::model::{LEASE, Outgoing, delivery_id};
use crate::care::Access;
use crate::db::schema::{deliveries, entries, exercise_responses, infusions, patient_settings, prompts};
use crate::db::{AnyConnection, At, TimestampTz, Tx, Uid};
use crate::kernel::id::{Any, Delivery, Device, Patient, Prompt};
use crate::kernel::{Id, Result};
use crate::prompts::model::StoredPrompt;
use crate::prompts::store::{self as prompt_rows, PromptRow};
use crate::settings::{Settings, SettingsRow, open_settings};
use crate::vault::Vault;

#[derive(Insertable)]
#[diesel(table_name = deliveries)]
struct NewDelivery {
    id: Id<Delivery>,
    patient_id: Id<Patient>,
    prompt_id: Id<Prompt>,
    ordinal: i32,
    channel: &'static str,
    state: &'static str,
    attempts: i32,
    due_at: At,
    expires_at: At,
    created_at: At,
}

/// Puts deliveries into the outbox. One that is there already is not changed.
pub fn insert(tx: &mut Tx<'_>, vault: &Vault, channel: &'static str, list: &[Outgoing], now: Timestamp) -> Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    let rows: Vec<NewDelivery> = list
        .iter()
        .map(|one| NewDelivery {
            id: delivery_id(vault, one.prompt, one.ordinal),
            patient_id: one.patient,
            prompt_id: one.prompt,
            ordinal: one.ordinal,
            channel,
            state: "waiting",
            attempts: 0,
            due_at: At(one.due_at),
            expires_at: At(one.expires_at),
            created_at: At(now),
        })
        .collect();
    match tx.conn() {
        AnyConnection::Pg(conn) => {
            diesel::insert_into(deliveries::table).values(&rows).on_conflict_do_nothing().execute(conn)?;
        }
        AnyConnection::Sqlite(conn) => {
            for row in &rows {
                diesel::insert_into(deliveries::table).values(row).on_conflict_do_nothing().execute(conn)?;
            }
        }
    }
    Ok(())
}

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
}

/// A row of a leased delivery. `attempts` is counted before this attempt on SQLite, with it on PostgreSQL.
#[derive(Queryable, Selectable, QueryableByName)]
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
}

impl From<LeasedRow> for Leased {
    fn from(row: LeasedRow) -> Self {
        let LeasedRow { id, patient_id: patient, prompt_id: prompt, ordinal, attempts, .. } = row;
        let (due_at, sent_at, received) = (row.due_at.0, row.sent_at.map(|at| at.0), row.received_at.is_some());
        let (device, resends) = (row.device_id, row.resends);
        let expires_at = row.expires_at.0;
        Self { id, patient, prompt, ordinal, attempts, device, due_at, sent_at, resends, received, expires_at }
    }
}

/// Leases up to `most` deliveries whose time has come for `holder`: waiting ones, and those whose lease has run out.
/// Deliveries that another worker is taking are passed over.
pub fn lease(tx: &mut Tx<'_>, holder: Uuid, now: Timestamp, most: i64) -> Result<Vec<Leased>> {
    let until = now.saturating_add(LEASE).unwrap_or(now);
    let mut rows = match tx.conn() {
        AnyConnection::Pg(conn) => lease_at_once(conn, holder, (now, until), most)?,
        AnyConnection::Sqlite(conn) => lease_each(conn, holder, (now, until), most)?,
    };
    rows.sort_unstable_by_key(|row| (row.due_at.0, row.id));
    Ok(rows.into_iter().map(Leased::from).collect())
}

/// Leases deliveries on SQLite, where one worker at a time writes.
fn lease_each(
    conn: &mut SqliteConnection,
    holder: Uuid,
    (now, until): (Timestamp, Timestamp),
    most: i64,
) -> Result<Vec<LeasedRow>> {
    // The states are literals, so that the partial indexes apply.
    let waiting = deliveries::table
        .filter(sql::<Bool>("state = 'waiting'"))
        .filter(deliveries::due_at.le(At(now)))
        .order(deliveries::due_at)
        .limit(most)
        .select(LeasedRow::as_select());
    let lost = deliveries::table
        .filter(sql::<Bool>("state = 'leased'"))
        .filter(deliveries::lease_until.le(At(now)))
        .order(deliveries::lease_until)
        .limit(most)
        .select(LeasedRow::as_select());
    let mut rows = waiting.load(conn)?;
    rows.append(&mut lost.load(conn)?);
    rows.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    if rows.is_empty() {
        return Ok(rows);
    }
    diesel::update(deliveries::table.filter(deliveries::id.eq_any(rows.iter().map(|row| row.id))))
        .set((
            deliveries::state.eq("leased"),
            deliveries::lease_until.eq(Some(At(until))),
            deliveries::leased_by.eq(Some(Id::<Any>::from_uuid(holder))),
            deliveries::attempts.eq(deliveries::attempts + 1),
        ))
        .execute(conn)?;
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
    most: i64,
) -> Result<Vec<LeasedRow>> {
    const SQL: &str = "WITH waiting AS (SELECT id FROM deliveries WHERE state = 'waiting' AND due_at <= $1 \
        ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED), \
        lost AS (SELECT id FROM deliveries WHERE state = 'leased' AND lease_until <= $1 \
        ORDER BY lease_until LIMIT $2 FOR UPDATE SKIP LOCKED) \
        UPDATE deliveries SET state = 'leased', lease_until = $3, leased_by = $4, attempts = attempts + 1 \
        WHERE id IN (SELECT id FROM waiting UNION ALL SELECT id FROM lost LIMIT $2) \
        RETURNING id, patient_id, prompt_id, ordinal, attempts, due_at, device_id, sent_at, resends, \
        received_at, expires_at";
    Ok(diesel::sql_query(SQL)
        .bind::<TimestampTz, _>(At(now))
        .bind::<BigInt, _>(most)
        .bind::<TimestampTz, _>(At(until))
        .bind::<Uid, _>(Id::<Any>::from_uuid(holder))
        .load(conn)?)
}

/// Takes up to `most` prompts that came due between `cutoff` and `now`, the longest waiting first, without the patients
/// in `late`. Prompts that another worker is taking are passed over.
///
/// Spans patients: rests on the partial index `prompts_next_action`.
pub fn claim(
    tx: &mut Tx<'_>,
    (cutoff, now): (Timestamp, Timestamp),
    late: &[Id<Patient>],
    most: i64,
) -> Result<Vec<Outgoing>> {
    let delivered = deliveries::table
        .filter(deliveries::patient_id.eq(prompts::patient_id))
        .filter(deliveries::prompt_id.eq(prompts::id))
        .filter(deliveries::device_id.is_null())
        .count()
        .single_value();
    let due = prompts::table
        .filter(prompts::next_action_at.ge(At(cutoff)))
        .filter(prompts::next_action_at.le(At(now)))
        .filter(prompts::patient_id.ne_all(late))
        .order(prompts::next_action_at)
        .limit(most)
        .select((prompts::patient_id, prompts::id, prompts::expires_at, delivered));
    let rows: Vec<(Id<Patient>, Id<Prompt>, At, Option<i64>)> = match tx.conn() {
        AnyConnection::Pg(conn) => due.for_update().skip_locked().load(conn)?,
        AnyConnection::Sqlite(conn) => due.load(conn)?,
    };
    let outgoing = |(patient, prompt, expires_at, count): (_, _, At, Option<i64>)| Outgoing {
        patient,
        prompt,
        ordinal: ordinal(count.unwrap_or_default()),
        due_at: now,
        expires_at: expires_at.0,
    };
    Ok(rows.into_iter().map(outgoing).collect())
}

fn ordinal(count: i64) -> i32 {
    i32::try_from(count).unwrap_or_default()
}

/// Makes deliveries of a patient's waiting prompts.
pub fn outgoing<A>(tx: &mut Tx<'_>, access: &Access<A>, waiting: Vec<PromptRow>) -> Result<Vec<(Outgoing, PromptRow)>> {
    let patient = access.patient();
    let counts: Vec<(Id<Prompt>, i64)> = deliveries::table
        .filter(deliveries::patient_id.eq(patient))
        .filter(deliveries::prompt_id.eq_any(waiting.iter().map(|row| row.id)))
        .filter(deliveries::device_id.is_null())
        .group_by(deliveries::prompt_id)
        .select((deliveries::prompt_id, diesel::dsl::count_star()))
        .load(tx.conn())?;
    let counts: HashMap<_, _> = counts.into_iter().collect();
    let leaving = |row: PromptRow| {
        let count = counts.get(&row.id).copied().unwrap_or_default();
        let (prompt, expires_at) = (row.id, row.expires_at.0);
        (Outgoing { patient, prompt, ordinal: ordinal(count), due_at: access.now(), expires_at }, row)
    };
    Ok(waiting.into_iter().map(leaving).collect())
}

/// The facts of one delivery, still sealed.
#[derive(Clone, Debug)]
pub struct SealedPrompt {
    /// The instant at which its prompt was due.
    pub due_at: Timestamp,
    /// Whether an infusion of the patient has just changed.
    pub changed: bool,
    /// Whether the patient has set a dial lately.
    pub dials: bool,
    /// The instant of the last change of its prompt.
    pub updated_at: Timestamp,
    prompt: PromptRow,
    settings: Option<SettingsRow>,
}

impl SealedPrompt {
    /// Opens the settings of the patient.
    pub fn open_settings<A>(&self, access: &Access<A>) -> Result<Settings> {
        Ok(open_settings(self.settings.as_ref(), access.keys()?, access.patient())?.0)
    }

    /// Opens the prompt.
    pub fn open<A>(self, access: &Access<A>) -> Result<StoredPrompt> {
        prompt_rows::open(access, self.prompt)
    }
}

/// Finds the prompts of these deliveries with their patients' settings, in one statement, and whether an infusion of
/// the patient has changed, and a dial was set, since these instants.
pub fn list_sealed(
    tx: &mut Tx<'_>,
    ids: &[Id<Delivery>],
    (since, dials_since): (Timestamp, Timestamp),
) -> Result<Vec<(Id<Delivery>, SealedPrompt)>> {
    let of_patient = infusions::table.filter(infusions::patient_id.eq(deliveries::patient_id));
    let changed = exists(of_patient.filter(infusions::updated_at.ge(At(since))));
    let written = entries::table
        .filter(entries::patient_id.eq(deliveries::patient_id))
        .filter(entries::deleted_at.is_null())
        .filter(entries::occurred_at.ge(At(dials_since)))
        .filter(entries::mood.is_not_null());
    let worked = exercise_responses::table
        .filter(exercise_responses::patient_id.eq(deliveries::patient_id))
        .filter(exercise_responses::deleted_at.is_null())
        .filter(exercise_responses::occurred_at.ge(At(dials_since)))
        .filter(exercise_responses::distress.is_not_null());
    let dials = exists(written).or(exists(worked));
    let own = prompts::patient_id.eq(deliveries::patient_id).and(prompts::id.eq(deliveries::prompt_id));
    let rows: Vec<(Id<Delivery>, PromptRow, Option<SettingsRow>, (bool, bool, At))> = deliveries::table
        .inner_join(prompts::table.on(own))
        .left_join(patient_settings::table.on(patient_settings::patient_id.eq(deliveries::patient_id)))
        .filter(deliveries::id.eq_any(ids))
        .select((
            deliveries::id,
            PromptRow::as_select(),
            Option::<SettingsRow>::as_select(),
            (changed, dials, prompts::updated_at),
        ))
        .load(tx.conn())?;
    let sealed = |(id, prompt, settings, (changed, dials, updated_at)): (_, PromptRow, _, (_, _, At))| {
        (id, SealedPrompt { due_at: prompt.due_at.0, changed, dials, updated_at: updated_at.0, prompt, settings })
    };
    Ok(rows.into_iter().map(sealed).collect())
}
