//! Prompt rows: the sealed document, and the clear columns that the workers scan.
//!
//! What changes the document holds the patient's head. Workers mark prompts without it ([`mark`]), so on PostgreSQL a
//! prompt may be marked between the reading of its row and the update. No update undoes a mark: what the patient does
//! leaves the time of the mark as it stands ([`update`]), and what was decided for a prompt that had not come due is
//! decided again ([`update_all`]).

mod many;
mod waiting;

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::Array;
use jiff::Timestamp;

pub use many::{insert_all, update_all};
pub use waiting::{NEXT_DUE, hold_waiting, list_late, list_waiting};

use super::model::{DeliveryStage, PromptDoc, StoredPrompt};
use crate::care::{Access, Write};
use crate::db::schema::prompts;
use crate::db::{AnyConnection, At, Both, Prepared, TimestampTz, Tx, Uid, columns};
use crate::kernel::id::{Patient, Prompt};
use crate::kernel::{Error, Id, Result};
use crate::planning::PromptKey;
use crate::vault::{Keys, Purpose, SealContext};

fn place(patient: Id<Patient>, id: Id<Prompt>, version: i64) -> SealContext {
    SealContext { table: "prompts", column: "doc", subject: patient.uuid(), row: id.uuid(), revision: version }
}

/// Returns the key of the patient's prompt ids.
pub fn id_key<A>(access: &Access<A>) -> Result<PromptKey> {
    access.keys()?.id_key().copied().map(PromptKey::new)
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

impl PromptRow {
    /// Seals a prompt, as its present version.
    pub fn seal(prompt: &StoredPrompt, keys: &Keys, patient: Id<Patient>) -> Result<Self> {
        let place = place(patient, prompt.id, prompt.version);
        Ok(Self {
            id: prompt.id,
            doc: keys.seal_json(Purpose::Clinical, &place, &prompt.doc)?,
            stage: prompt.stage.number(),
            due_at: At(prompt.due_at),
            expires_at: At(prompt.expires_at),
            fired_at: prompt.fired_at.map(At),
            delivered_at: prompt.delivered_at.map(At),
            version: prompt.version,
        })
    }

    /// Returns the time at which the workers look at it next: its due time while it waits, else none.
    fn next_action_at(&self) -> Option<At> {
        (self.stage == DeliveryStage::Planned.number()).then_some(self.due_at)
    }

    /// Returns the number of its sealed bytes.
    pub fn bytes(&self) -> usize {
        self.doc.len()
    }

    /// Opens the prompt.
    pub fn open(self, keys: &Keys, patient: Id<Patient>) -> Result<StoredPrompt> {
        let Self { id, doc, stage, due_at, expires_at, fired_at, delivered_at, version } = self;
        let doc: PromptDoc = keys.open_json(&place(patient, id, version), &doc)?;
        Ok(StoredPrompt {
            id,
            doc,
            stage: DeliveryStage::of(stage).ok_or_else(|| Error::Damaged("prompts", id.uuid()))?,
            due_at: due_at.0,
            expires_at: expires_at.0,
            fired_at: fired_at.map(|at| at.0),
            delivered_at: delivered_at.map(|at| at.0),
            version,
        })
    }
}

/// Opens a prompt with the keys of `access`, for planning and for checks in the unit.
pub fn open<A>(access: &Access<A>, row: PromptRow) -> Result<StoredPrompt> {
    row.open(access.keys()?, access.patient())
}

/// Seals a prompt with the keys of `access`, as its present version.
pub fn seal<A>(access: &Access<A>, prompt: &StoredPrompt) -> Result<PromptRow> {
    PromptRow::seal(prompt, access.keys()?, access.patient())
}

/// Lists the prompts due in `[from, to)`, sealed, by time, at most `limit` after `after`.
pub fn list<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    (from, to): (Timestamp, Timestamp),
    after: Option<(Timestamp, Id<Prompt>)>,
    limit: i64,
) -> Result<Vec<PromptRow>> {
    let (after_at, after_id) = after.unwrap_or((Timestamp::MIN, Id::from_uuid(uuid::Uuid::nil())));
    let after_at = At(after_at.max(Timestamp::UNIX_EPOCH));
    let found = prompts::table
        .filter(prompts::patient_id.eq(access.patient()))
        .filter(prompts::due_at.ge(At(from)))
        .filter(prompts::due_at.lt(At(to)))
        .filter(prompts::due_at.gt(after_at).or(prompts::due_at.eq(after_at).and(prompts::id.gt(after_id))))
        .order((prompts::due_at, prompts::id))
        .limit(limit)
        .select(columns::<PromptRow>());
    Ok(Both(found).load(tx.conn())?)
}

/// Prompts of a range, or with given ids.
#[derive(Clone, Debug, Default)]
pub struct OpenedPrompts {
    /// Those that open, by time.
    pub list: Vec<StoredPrompt>,
    /// The ids of those that do not open.
    pub unreadable: BTreeSet<Id<Prompt>>,
}

impl OpenedPrompts {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.unreadable.is_empty()
    }
}

/// Lists all prompts due in `[from, to)`, opened, for planning and for checks in the unit. They are as many as plans
/// have made of the infusions, which are limited: those of a cancelled infusion stay.
pub fn list_opened<A>(tx: &mut Tx<'_>, access: &Access<A>, range: (Timestamp, Timestamp)) -> Result<OpenedPrompts> {
    opened(access, list(tx, access, range, None, i64::MAX)?)
}

/// Lists the prompts among `ids`, opened, for planning in the unit, in no order.
pub fn list_opened_among<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Prompt>]) -> Result<OpenedPrompts> {
    opened(access, list_among(tx, access, ids)?)
}

fn opened<A>(access: &Access<A>, rows: Vec<PromptRow>) -> Result<OpenedPrompts> {
    let mut found = OpenedPrompts::default();
    for row in rows {
        let id = row.id;
        match Error::skip_damaged(open(access, row))? {
            Some(prompt) => found.list.push(prompt),
            None => drop(found.unreadable.insert(id)),
        }
    }
    Ok(found)
}

/// Lists the prompts among `ids`, sealed, in no order.
pub fn list_among<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Prompt>]) -> Result<Vec<PromptRow>> {
    let own = prompts::table.filter(prompts::patient_id.eq(access.patient())).filter(prompts::id.eq_any(ids.to_vec()));
    Ok(own.select(PromptRow::as_select()).load(tx.conn())?)
}

/// Counts the prompts due in `[from, to)` that wait for their time.
pub fn count_waiting<A>(tx: &mut Tx<'_>, access: &Access<A>, (from, to): (Timestamp, Timestamp)) -> Result<i64> {
    let found = prompts::table
        .filter(prompts::patient_id.eq(access.patient()))
        .filter(prompts::due_at.ge(At(from)))
        .filter(prompts::due_at.lt(At(to)))
        .filter(prompts::next_action_at.is_not_null());
    Ok(Both(found.count()).get_result(tx.conn())?)
}

/// Lists the ids and versions of every prompt of the patient, in no order.
pub fn list_versions<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<(Id<Prompt>, i64)>> {
    let own = prompts::table.filter(prompts::patient_id.eq(access.patient()));
    Ok(own.select((prompts::id, prompts::version)).load(tx.conn())?)
}

/// Lists the prompts with these ids that open, for planning in the unit, in no order.
pub fn list_of<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Prompt>]) -> Result<Vec<StoredPrompt>> {
    let opened = list_among(tx, access, ids)?.into_iter().map(|row| Error::skip_damaged(open(access, row)));
    Ok(opened.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Finds a prompt.
pub fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Prompt>) -> Result<Option<StoredPrompt>> {
    let row: Option<PromptRow> = prompts::table
        .filter(prompts::patient_id.eq(access.patient()))
        .filter(prompts::id.eq(id))
        .select(PromptRow::as_select())
        .first(tx.conn())
        .optional()?;
    row.map(|row| open(access, row)).transpose()
}

/// Lists the instants at which the prompts among `ids` last changed, in no order.
pub fn list_updated_at<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Prompt>]) -> Result<Vec<(Id<Prompt>, At)>> {
    let own = prompts::table.filter(prompts::patient_id.eq(access.patient())).filter(prompts::id.eq_any(ids.to_vec()));
    Ok(own.select((prompts::id, prompts::updated_at)).load(tx.conn())?)
}

/// Inserts a prompt.
pub fn insert(tx: &mut Tx<'_>, access: &Access<Write>, prompt: &StoredPrompt) -> Result<()> {
    insert_row(tx, access, &seal(access, prompt)?)
}

fn insert_row(tx: &mut Tx<'_>, access: &Access<Write>, row: &PromptRow) -> Result<()> {
    Both(diesel::insert_into(prompts::table).values((
        prompts::patient_id.eq(access.patient()),
        prompts::id.eq(row.id),
        prompts::doc.eq(&row.doc),
        prompts::stage.eq(row.stage),
        prompts::due_at.eq(row.due_at),
        prompts::expires_at.eq(row.expires_at),
        prompts::next_action_at.eq(row.next_action_at()),
        prompts::version.eq(row.version),
        prompts::created_at.eq(At(access.now())),
        prompts::updated_at.eq(At(access.now())),
    )))
    .execute(tx.conn())?;
    Ok(())
}

/// Stores a changed prompt, whether or not it was marked since it was read; `prompt.version` is the new one.
pub fn update(tx: &mut Tx<'_>, access: &Access<Write>, prompt: &StoredPrompt) -> Result<()> {
    update_row(tx, access, &seal(access, prompt)?)
}

fn update_row(tx: &mut Tx<'_>, access: &Access<Write>, row: &PromptRow) -> Result<()> {
    let own = prompts::table.filter(prompts::patient_id.eq(access.patient())).filter(prompts::id.eq(row.id));
    // A prompt that waits has not come due. For any other the time at which it did stays, also if a worker has just set
    // it.
    let fired_at = row.next_action_at().map(|_| prompts::fired_at.eq(row.fired_at));
    Prepared(diesel::update(own).set((
        prompts::doc.eq(&row.doc),
        prompts::stage.eq(row.stage),
        prompts::due_at.eq(row.due_at),
        prompts::expires_at.eq(row.expires_at),
        prompts::next_action_at.eq(row.next_action_at()),
        fired_at,
        prompts::version.eq(row.version),
        prompts::updated_at.eq(At(access.now())),
    )))
    .run(tx.conn())?;
    Ok(())
}

/// A step of delivery. It takes no change number, because clients can tell it from the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Its time has come.
    Due,
    /// It was sent.
    Delivered,
    /// It lapses without being sent: the workers no longer look at it, and it expires now.
    Lapsed,
}

impl Mark {
    /// Returns the assignments of the step, at `$1`, and the condition on the stage of the prompt.
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

/// Applies `mark` at `now` to prompts of many patients, if they are still in the stage before. One statement on
/// PostgreSQL.
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
            let all = diesel::sql_query(sql)
                .bind::<TimestampTz, _>(At(now))
                .bind::<Array<Uid>, _>(owners)
                .bind::<Array<Uid>, _>(ids);
            Prepared(all).run_on(conn)?;
        }
        AnyConnection::Sqlite(conn) => {
            let sql = format!("UPDATE prompts SET {set} WHERE patient_id = $2 AND id = $3 AND {stage}");
            for (owner, id) in prompts {
                let one = diesel::sql_query(sql.as_str())
                    .bind::<TimestampTz, _>(At(now))
                    .bind::<Uid, _>(*owner)
                    .bind::<Uid, _>(*id);
                Prepared(one).run_on(conn)?;
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
