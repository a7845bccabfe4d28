//! The outbox, and the prompts that go into it.

use std::collections::HashMap;

use diesel::dsl::{exists, sql};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool};
use diesel::sqlite::SqliteConnection;
use jiff::Timestamp;
use uuid::Uuid;

use super::model::{LEASE, Outgoing, delivery_id};
use crate::care::Access;
use crate::db::schema::{deliveries, entries, exercise_responses, infusions, patient_settings, prompts};
use crate::db::{AnyConnection, At, TimestampTz, Tx, Uid};
use crate::kernel::id::{Any, Delivery, Patient, Prompt};
use crate::kernel::{Id, Result};
use crate::prompts::model::StoredPrompt;
use crate::prompts::store::{self as prompt_rows, Mark, PromptRow};
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
}

impl From<LeasedRow> for Leased {
    fn from(row: LeasedRow) -> Self {
        let LeasedRow { id, patient_id: patient, prompt_id: prompt, ordinal, attempts, .. } = row;
        Self { id, patient, prompt, ordinal, attempts }
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
        RETURNING id, patient_id, prompt_id, ordinal, attempts, due_at";
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
    let rows: Vec<(Id<Delivery>, PromptRow, Option<SettingsRow>, (bool, bool))> = deliveries::table
        .inner_join(prompts::table.on(own))
        .left_join(patient_settings::table.on(patient_settings::patient_id.eq(deliveries::patient_id)))
        .filter(deliveries::id.eq_any(ids))
        .select((deliveries::id, PromptRow::as_select(), Option::<SettingsRow>::as_select(), (changed, dials)))
        .load(tx.conn())?;
    let sealed = |(id, prompt, settings, (changed, dials)): (_, PromptRow, _, _)| {
        (id, SealedPrompt { due_at: prompt.due_at.0, changed, dials, prompt, settings })
    };
    Ok(rows.into_iter().map(sealed).collect())
}

/// The results of the deliveries that a worker held.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    /// The deliveries that have left.
    pub sent: Vec<Leased>,
    /// The prompts that remind of them.
    pub reminders: Vec<Outgoing>,
    /// The deliveries that lapse.
    pub lapsed: Vec<Id<Delivery>>,
    /// The deliveries to try again, with the instant and the number of attempts so far.
    pub again: Vec<(Id<Delivery>, Timestamp, i32)>,
}

/// Notes in one statement that deliveries and their prompts have left. Returns `false` when the database is not
/// PostgreSQL.
fn sent_at_once(tx: &mut Tx<'_>, outcomes: &Outcomes, now: Timestamp) -> Result<bool> {
    let AnyConnection::Pg(conn) = tx.conn() else { return Ok(false) };
    let ids: Vec<_> = outcomes.sent.iter().map(|one| one.id).collect();
    diesel::sql_query(
        "WITH done AS (UPDATE deliveries SET state = 'sent', done_at = $1, lease_until = NULL, leased_by = NULL \
         WHERE id = ANY($2) RETURNING patient_id, prompt_id) \
         UPDATE prompts SET stage = 2, delivered_at = $1 FROM done \
         WHERE prompts.patient_id = done.patient_id AND prompts.id = done.prompt_id AND stage = 1",
    )
    .bind::<TimestampTz, _>(At(now))
    .bind::<Array<Uid>, _>(ids)
    .execute(conn)?;
    Ok(true)
}

/// Notes the outcomes of deliveries, and that their prompts have left. A delivery that has left stays so even if its
/// lease has run out; other outcomes are noted only by the holder of the lease.
pub fn finish(tx: &mut Tx<'_>, holder: Uuid, outcomes: &Outcomes, now: Timestamp) -> Result<()> {
    let free = (deliveries::lease_until.eq(None::<At>), deliveries::leased_by.eq(None::<Id<Any>>));
    let held = || deliveries::leased_by.eq(Some(Id::<Any>::from_uuid(holder)));
    if !outcomes.sent.is_empty() && !sent_at_once(tx, outcomes, now)? {
        diesel::update(deliveries::table.filter(deliveries::id.eq_any(outcomes.sent.iter().map(|one| one.id))))
            .set((deliveries::state.eq("sent"), deliveries::done_at.eq(Some(At(now))), free))
            .execute(tx.conn())?;
        let prompts: Vec<_> = outcomes.sent.iter().map(|one| (one.patient, one.prompt)).collect();
        prompt_rows::mark(tx, &prompts, Mark::Delivered, now)?;
    }
    if !outcomes.lapsed.is_empty() {
        diesel::update(deliveries::table.filter(deliveries::id.eq_any(&outcomes.lapsed)).filter(held()))
            .set((deliveries::state.eq("lapsed"), deliveries::done_at.eq(Some(At(now))), free))
            .execute(tx.conn())?;
    }
    for (id, due_at, attempts) in &outcomes.again {
        diesel::update(deliveries::table.filter(deliveries::id.eq(id)).filter(held()))
            .set((
                deliveries::state.eq("waiting"),
                deliveries::due_at.eq(At(*due_at)),
                deliveries::attempts.eq(*attempts),
                free,
            ))
            .execute(tx.conn())?;
    }
    Ok(())
}
