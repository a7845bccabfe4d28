//! Prompt rows: the sealed document, and in the clear what the workers scan for.

mod waiting;

use diesel::prelude::*;
use diesel::sql_types::Array;
use jiff::Timestamp;

pub use waiting::{NEXT_DUE, hold_waiting, list_late, list_waiting};

use super::model::{PromptDoc, Stage, StoredPrompt};
use crate::care::{Access, Write};
use crate::db::schema::prompts;
use crate::db::{AnyConnection, At, Moment, Tx, Uid};
use crate::kernel::id::{Patient, Prompt};
use crate::kernel::{Error, Id, Result};
use crate::vault::{Place, Purpose};

fn place(patient: Id<Patient>, id: Id<Prompt>, version: i64) -> Place {
    Place { table: "prompts", column: "doc", subject: patient.uuid(), row: id.uuid(), revision: version }
}

/// A prompt as it is stored, still sealed.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = prompts)]
pub struct PromptRow {
    /// Its id.
    pub id: Id<Prompt>,
    doc: Vec<u8>,
    stage: i32,
    /// The instant at which it is due.
    pub due_at: At,
    /// The instant at which it expires.
    pub expires_at: At,
    fired_at: Option<At>,
    delivered_at: Option<At>,
    /// Its version.
    pub version: i64,
}

/// Opens a prompt with the keys of `access`.
pub fn open<A>(access: &Access<A>, row: PromptRow) -> Result<StoredPrompt> {
    let PromptRow { id, doc, stage, due_at, expires_at, fired_at, delivered_at, version } = row;
    let doc: PromptDoc = access.keys()?.open_json(&place(access.patient(), id, version), &doc)?;
    Ok(StoredPrompt {
        id,
        doc,
        stage: Stage::of(stage).ok_or_else(|| Error::corrupt("prompts", id))?,
        due_at: due_at.0,
        expires_at: expires_at.0,
        fired_at: fired_at.map(|at| at.0),
        delivered_at: delivered_at.map(|at| at.0),
        version,
    })
}

/// The prompts due in `[from, to)`, by time, at most `limit` after `after`.
pub fn list<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    (from, to): (Timestamp, Timestamp),
    after: Option<(Timestamp, Id<Prompt>)>,
    limit: i64,
) -> Result<Vec<StoredPrompt>> {
    let (after_at, after_id) = after.unwrap_or((Timestamp::MIN, Id::from_uuid(uuid::Uuid::nil())));
    let after_at = At(after_at.max(Timestamp::UNIX_EPOCH));
    let rows: Vec<PromptRow> = prompts::table
        .filter(prompts::patient_id.eq(access.patient()))
        .filter(prompts::due_at.ge(At(from)))
        .filter(prompts::due_at.lt(At(to)))
        .filter(prompts::due_at.gt(after_at).or(prompts::due_at.eq(after_at).and(prompts::id.gt(after_id))))
        .order((prompts::due_at, prompts::id))
        .limit(limit)
        .select(PromptRow::as_select())
        .load(tx.conn())?;
    rows.into_iter().map(|row| open(access, row)).collect()
}

/// One prompt.
pub fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Prompt>) -> Result<Option<StoredPrompt>> {
    let row: Option<PromptRow> = prompts::table
        .filter(prompts::patient_id.eq(access.patient()))
        .filter(prompts::id.eq(id))
        .select(PromptRow::as_select())
        .first(tx.conn())
        .optional()?;
    row.map(|row| open(access, row)).transpose()
}

/// When the workers look at it next: at its time while it waits, at no time once nothing is to be delivered.
fn next_action(prompt: &StoredPrompt) -> Option<At> {
    (prompt.stage == Stage::Planned).then_some(At(prompt.due_at))
}

/// Keeps a new prompt.
pub fn insert(tx: &mut Tx<'_>, access: &Access<Write>, prompt: &StoredPrompt) -> Result<()> {
    let patient = access.patient();
    let place = place(patient, prompt.id, prompt.version);
    let doc = access.keys()?.seal_json(Purpose::Clinical, &place, &prompt.doc)?;
    diesel::insert_into(prompts::table)
        .values((
            prompts::patient_id.eq(patient),
            prompts::id.eq(prompt.id),
            prompts::doc.eq(doc),
            prompts::stage.eq(prompt.stage.number()),
            prompts::due_at.eq(At(prompt.due_at)),
            prompts::expires_at.eq(At(prompt.expires_at)),
            prompts::next_action_at.eq(next_action(prompt)),
            prompts::version.eq(prompt.version),
            prompts::created_at.eq(At(access.now())),
            prompts::updated_at.eq(At(access.now())),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Keeps a changed prompt; `prompt.version` is the new one.
pub fn update(tx: &mut Tx<'_>, access: &Access<Write>, prompt: &StoredPrompt) -> Result<()> {
    let patient = access.patient();
    let place = place(patient, prompt.id, prompt.version);
    let doc = access.keys()?.seal_json(Purpose::Clinical, &place, &prompt.doc)?;
    diesel::update(prompts::table.filter(prompts::patient_id.eq(patient)).filter(prompts::id.eq(prompt.id)))
        .set((
            prompts::doc.eq(doc),
            prompts::stage.eq(prompt.stage.number()),
            prompts::due_at.eq(At(prompt.due_at)),
            prompts::expires_at.eq(At(prompt.expires_at)),
            prompts::next_action_at.eq(next_action(prompt)),
            prompts::fired_at.eq(prompt.fired_at.map(At)),
            prompts::version.eq(prompt.version),
            prompts::updated_at.eq(At(access.now())),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// How delivery moves a prompt on. None of it takes a change number: it says nothing that a client could not see from
/// the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Its time has come.
    Due,
    /// It has left the server.
    Delivered,
    /// It lapses without a sound: nothing looks at it any more, and it is of no use from now on.
    Lapsed,
}

impl Mark {
    /// What is set at `$1`, and in which stage a prompt has to be.
    const fn sql(self) -> (&'static str, &'static str) {
        match self {
            Self::Due => ("stage = 1, fired_at = $1, next_action_at = NULL", "stage = 0"),
            Self::Delivered => ("stage = 2, delivered_at = $1", "stage = 1"),
            Self::Lapsed => (
                "next_action_at = NULL, expires_at = CASE WHEN expires_at > $1 THEN $1 ELSE expires_at END",
                "stage = 0",
            ),
        }
    }
}

/// Moves prompts of many patients on at `now`, those that are still in the stage before. One statement on PostgreSQL.
pub fn mark(tx: &mut Tx<'_>, prompts: &[(Id<Patient>, Id<Prompt>)], mark: Mark, now: Timestamp) -> Result<()> {
    if prompts.is_empty() {
        return Ok(());
    }
    let (set, stage) = mark.sql();
    match tx.conn() {
        AnyConnection::Pg(conn) => {
            let (owners, ids): (Vec<_>, Vec<_>) = prompts.iter().copied().unzip();
            let sql = format!(
                "UPDATE prompts SET {set} FROM unnest($2, $3) AS these (patient, prompt) \
                 WHERE patient_id = these.patient AND id = these.prompt AND {stage}"
            );
            diesel::sql_query(sql)
                .bind::<Moment, _>(At(now))
                .bind::<Array<Uid>, _>(owners)
                .bind::<Array<Uid>, _>(ids)
                .execute(conn)?;
        }
        AnyConnection::Sqlite(conn) => {
            let sql = format!("UPDATE prompts SET {set} WHERE patient_id = $2 AND id = $3 AND {stage}");
            for (owner, id) in prompts {
                diesel::sql_query(sql.as_str())
                    .bind::<Moment, _>(At(now))
                    .bind::<Uid, _>(*owner)
                    .bind::<Uid, _>(*id)
                    .execute(conn)?;
            }
        }
    }
    Ok(())
}

/// Whether the prompt is one of the patient's.
pub fn exists(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Prompt>) -> Result<bool> {
    let found: Option<Id<Prompt>> = prompts::table
        .filter(prompts::patient_id.eq(access.patient()))
        .filter(prompts::id.eq(id))
        .select(prompts::id)
        .first(tx.conn())
        .optional()?;
    Ok(found.is_some())
}
