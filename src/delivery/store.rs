//! The outbox.

use diesel::dsl::sql;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer};
use jiff::Timestamp;
use uuid::Uuid;

use super::model::{LEASE, delivery_id};
use crate::care::Access;
use crate::db::schema::{deliveries, patient_settings, prompts};
use crate::db::{AnyConnection, At, Moment, Tx, Uid};
use crate::kernel::id::{Any, Delivery, Patient, Prompt};
use crate::kernel::{Id, Result};
use crate::prompts::model::StoredPrompt;
use crate::prompts::store::{self as prompt_rows, Mark};
use crate::settings::{Settings, SettingsRow};

/// A prompt that is to be delivered.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// Whose.
    pub patient: Id<Patient>,
    /// Which.
    pub prompt: Id<Prompt>,
    /// How often it was delivered before.
    pub ordinal: i32,
    /// When it is to leave.
    pub due_at: Timestamp,
    /// When it is no longer of use.
    pub expires_at: Timestamp,
}

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

/// Puts deliveries into the outbox. One that is there already stays as it is.
pub fn insert(tx: &mut Tx<'_>, channel: &'static str, list: &[Outgoing], now: Timestamp) -> Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    let rows: Vec<NewDelivery> = list
        .iter()
        .map(|one| NewDelivery {
            id: delivery_id(one.prompt, one.ordinal),
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

/// A delivery that this worker holds.
#[derive(Clone, Copy, Debug)]
pub struct Leased {
    /// Its id.
    pub id: Id<Delivery>,
    /// Whose.
    pub patient: Id<Patient>,
    /// Of what.
    pub prompt: Id<Prompt>,
    /// How often its prompt was delivered before.
    pub ordinal: i32,
    /// How often it was tried, this time included.
    pub attempts: i32,
}

type LeasedRow = (Id<Delivery>, Id<Patient>, Id<Prompt>, i32, i32);

/// Takes up to `most` deliveries whose time has come for `holder`: those that wait, and those that a worker took and
/// let go of. What another worker is taking is passed over.
pub fn lease(tx: &mut Tx<'_>, holder: Uuid, now: Timestamp, most: i64) -> Result<Vec<Leased>> {
    type Columns =
        (deliveries::id, deliveries::patient_id, deliveries::prompt_id, deliveries::ordinal, deliveries::attempts);
    const COLUMNS: Columns =
        (deliveries::id, deliveries::patient_id, deliveries::prompt_id, deliveries::ordinal, deliveries::attempts);
    // The states stand in the text, so that the partial indexes fit.
    let waiting = deliveries::table
        .filter(sql::<Bool>("state = 'waiting'"))
        .filter(deliveries::due_at.le(At(now)))
        .order(deliveries::due_at)
        .limit(most)
        .select(COLUMNS);
    let lost = deliveries::table
        .filter(sql::<Bool>("state = 'leased'"))
        .filter(deliveries::lease_until.le(At(now)))
        .order(deliveries::lease_until)
        .limit(most)
        .select(COLUMNS);
    let until = now.saturating_add(LEASE).unwrap_or(now);
    let mut rows: Vec<LeasedRow> = match tx.conn() {
        AnyConnection::Pg(conn) => return lease_at_once(conn, holder, (now, until), most),
        AnyConnection::Sqlite(conn) => waiting.load(conn)?,
    };
    rows.append(&mut lost.load(tx.conn())?);
    rows.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    diesel::update(deliveries::table.filter(deliveries::id.eq_any(rows.iter().map(|row| row.0))))
        .set((
            deliveries::state.eq("leased"),
            deliveries::lease_until.eq(Some(At(until))),
            deliveries::leased_by.eq(Some(Id::<Any>::from_uuid(holder))),
            deliveries::attempts.eq(deliveries::attempts + 1),
        ))
        .execute(tx.conn())?;
    let leased =
        |(id, patient, prompt, ordinal, attempts)| Leased { id, patient, prompt, ordinal, attempts: attempts + 1 };
    Ok(rows.into_iter().map(leased).collect())
}

/// The same in one statement, as PostgreSQL likes it.
fn lease_at_once(
    conn: &mut PgConnection,
    holder: Uuid,
    (now, until): (Timestamp, Timestamp),
    most: i64,
) -> Result<Vec<Leased>> {
    const SQL: &str = "WITH waiting AS (SELECT id FROM deliveries WHERE state = 'waiting' AND due_at <= $1 \
        ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED), \
        lost AS (SELECT id FROM deliveries WHERE state = 'leased' AND lease_until <= $1 \
        ORDER BY lease_until LIMIT $2 FOR UPDATE SKIP LOCKED) \
        UPDATE deliveries SET state = 'leased', lease_until = $3, leased_by = $4, attempts = attempts + 1 \
        WHERE id IN (SELECT id FROM waiting UNION ALL SELECT id FROM lost LIMIT $2) \
        RETURNING id, patient_id, prompt_id, ordinal, attempts, due_at";
    let mut rows: Vec<LeasedAtOnce> = diesel::sql_query(SQL)
        .bind::<Moment, _>(At(now))
        .bind::<BigInt, _>(most)
        .bind::<Moment, _>(At(until))
        .bind::<Uid, _>(Id::<Any>::from_uuid(holder))
        .load(conn)?;
    rows.sort_unstable_by_key(|row| (row.due_at.0, row.id));
    let leased = |LeasedAtOnce { id, patient_id, prompt_id, ordinal, attempts, .. }| Leased {
        id,
        patient: patient_id,
        prompt: prompt_id,
        ordinal,
        attempts,
    };
    Ok(rows.into_iter().map(leased).collect())
}

#[derive(QueryableByName)]
struct LeasedAtOnce {
    #[diesel(sql_type = Uid)]
    id: Id<Delivery>,
    #[diesel(sql_type = Uid)]
    patient_id: Id<Patient>,
    #[diesel(sql_type = Uid)]
    prompt_id: Id<Prompt>,
    #[diesel(sql_type = Integer)]
    ordinal: i32,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Moment)]
    due_at: At,
}

/// What the judgement of one delivery rests on, still sealed.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The delivery.
    pub id: Id<Delivery>,
    /// When its prompt was due.
    pub due_at: Timestamp,
    prompt: prompt_rows::Row,
    settings: Option<SettingsRow>,
}

impl Sealed {
    /// Opens prompt and settings; somebody without settings has none.
    pub fn open<A>(&self, access: &Access<A>) -> Result<(StoredPrompt, Option<Settings>)> {
        let settings = self.settings.as_ref().map(|row| row.open(access.keys()?, access.patient())).transpose()?;
        Ok((prompt_rows::open(access, self.prompt.clone())?, settings.map(|(settings, _)| settings)))
    }
}

/// The prompts of these deliveries, with their patients' settings, in one statement.
pub fn list_sealed(tx: &mut Tx<'_>, ids: &[Id<Delivery>]) -> Result<Vec<Sealed>> {
    let own = prompts::patient_id.eq(deliveries::patient_id).and(prompts::id.eq(deliveries::prompt_id));
    let rows: Vec<(Id<Delivery>, prompt_rows::Row, Option<SettingsRow>)> = deliveries::table
        .inner_join(prompts::table.on(own))
        .left_join(patient_settings::table.on(patient_settings::patient_id.eq(deliveries::patient_id)))
        .filter(deliveries::id.eq_any(ids))
        .select((deliveries::id, prompt_rows::COLUMNS, Option::<SettingsRow>::as_select()))
        .load(tx.conn())?;
    let sealed = |(id, prompt, settings): (_, prompt_rows::Row, _)| Sealed { id, due_at: prompt.3.0, prompt, settings };
    Ok(rows.into_iter().map(sealed).collect())
}

/// What became of the deliveries a worker held.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    /// They have left.
    pub sent: Vec<Leased>,
    /// What reminds of them.
    pub reminders: Vec<Outgoing>,
    /// They never will.
    pub lapsed: Vec<Id<Delivery>>,
    /// They are to be tried again then, with this many attempts behind them.
    pub again: Vec<(Id<Delivery>, Timestamp, i32)>,
}

/// Notes that deliveries and their prompts have left, in one statement, if the database is PostgreSQL.
fn sent_at_once(tx: &mut Tx<'_>, outcomes: &Outcomes, now: Timestamp) -> Result<bool> {
    let AnyConnection::Pg(conn) = tx.conn() else { return Ok(false) };
    let ids: Vec<_> = outcomes.sent.iter().map(|one| one.id).collect();
    diesel::sql_query(
        "WITH done AS (UPDATE deliveries SET state = 'sent', done_at = $1, lease_until = NULL, leased_by = NULL \
         WHERE id = ANY($2) RETURNING patient_id, prompt_id) \
         UPDATE prompts SET stage = 2, delivered_at = $1 FROM done \
         WHERE prompts.patient_id = done.patient_id AND prompts.id = done.prompt_id AND stage = 1",
    )
    .bind::<Moment, _>(At(now))
    .bind::<Array<Uid>, _>(ids)
    .execute(conn)?;
    Ok(true)
}

/// Notes what became of deliveries, and that their prompts have left. What has left stays so though the lease ran out
/// meanwhile; all else is noted only by who still holds it.
pub fn finish(tx: &mut Tx<'_>, channel: &'static str, holder: Uuid, outcomes: &Outcomes, now: Timestamp) -> Result<()> {
    insert(tx, channel, &outcomes.reminders, now)?;
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
