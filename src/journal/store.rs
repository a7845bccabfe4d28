//! Entries.

mod create;

use diesel::prelude::*;
use jiff::Timestamp;

use self::create::Create;
use super::filter::Scan;
use super::model::{Header, Kind};
use super::seal::{Of, Part, Parts, Section};
use crate::care::access::Write;
use crate::care::{Access, grants};
use crate::changes::{self, Change, Entity, Op};
use crate::db::schema::{comments, entries, infusions};
use crate::db::{AnyConnection, At, Both, Tx};
use crate::kernel::id::{Entry, Infusion, Patient, Prompt};
use crate::kernel::{Error, Id, Result};
use crate::revisions::{self, Section as _};

/// An entry as it is stored.
pub type Row = revisions::Row<Entry, Parts>;

type Flat = (
    (Id<Entry>, i64, At, At, Option<At>),
    (Vec<u8>, i64),
    (Option<Vec<u8>>, i64),
    (Option<Vec<u8>>, i64),
    (Option<Vec<u8>>, i64),
    (Option<Vec<u8>>, i64),
);

type EntryColumns = (
    (entries::id, entries::version, entries::received_at, entries::updated_at, entries::deleted_at),
    (entries::meta, entries::meta_rev),
    (entries::text, entries::text_rev),
    (entries::mood, entries::mood_rev),
    (entries::tags, entries::tags_rev),
    (entries::attachments, entries::attachments_rev),
);
const ENTRY: EntryColumns = (
    (entries::id, entries::version, entries::received_at, entries::updated_at, entries::deleted_at),
    (entries::meta, entries::meta_rev),
    (entries::text, entries::text_rev),
    (entries::mood, entries::mood_rev),
    (entries::tags, entries::tags_rev),
    (entries::attachments, entries::attachments_rev),
);

fn row((entry, header, text, mood, tags, attachments): Flat) -> Row {
    let (id, version, received_at, updated_at, deleted_at) = entry;
    let part = |(sealed, rev): (Option<Vec<u8>>, i64)| Part { rev, sealed };
    Row {
        id,
        version,
        parts: Parts {
            header: Part { rev: header.1, sealed: Some(header.0) },
            text: part(text),
            mood: part(mood),
            tags: part(tags),
            attachments: part(attachments),
        },
        received_at: received_at.0,
        updated_at: updated_at.0,
        deleted_at: deleted_at.map(|at| at.0),
    }
}

fn sealed_header(row: &Row) -> Result<&Vec<u8>> {
    row.parts.header.sealed.as_ref().ok_or_else(|| Error::corrupt("entries", row.id))
}

/// Takes a number and, when the id is free, inserts the entry and its change row. Answers the number, and whether it
/// was free. The hottest write: one statement on PostgreSQL, where each costs a round trip.
pub(super) fn create(tx: &mut Tx<'_>, access: &Access<Write>, row: &Row, header: &Header) -> Result<(i64, bool)> {
    let change = Change::new(Entity::Entry, row.id, row.version, Op::Create);
    if let AnyConnection::Pg(conn) = tx.conn() {
        return Ok(Create::new(access, row, header, &change).get_result(conn)?);
    }
    let number = changes::take(tx, access.patient(), 1)?;
    let created = insert(tx, access, row, header)?;
    if created {
        changes::insert(tx, access.patient(), number, access.actor(), access.now(), &[change])?;
    }
    Ok((number, created))
}

/// Inserts an entry; `false` when its id is taken.
fn insert(tx: &mut Tx<'_>, access: &Access<Write>, row: &Row, header: &Header) -> Result<bool> {
    let parts = &row.parts;
    let inserted = Both(
        diesel::insert_into(entries::table)
            .values((
                (
                    entries::patient_id.eq(access.patient()),
                    entries::id.eq(row.id),
                    entries::version.eq(row.version),
                    entries::meta.eq(sealed_header(row)?),
                    entries::meta_rev.eq(parts.header.rev),
                    entries::text.eq(&parts.text.sealed),
                    entries::text_rev.eq(parts.text.rev),
                    entries::mood.eq(&parts.mood.sealed),
                    entries::mood_rev.eq(parts.mood.rev),
                    entries::tags.eq(&parts.tags.sealed),
                ),
                (
                    entries::tags_rev.eq(parts.tags.rev),
                    entries::attachments.eq(&parts.attachments.sealed),
                    entries::attachments_rev.eq(parts.attachments.rev),
                    entries::draft.eq(header.draft),
                    entries::infusion_id.eq(header.infusion_id),
                    entries::prompt_id.eq(header.prompt_id),
                    entries::occurred_at.eq(At(header.occurred_at)),
                    entries::received_at.eq(At(row.received_at)),
                    entries::updated_at.eq(At(row.updated_at)),
                ),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn())?;
    Ok(inserted == 1)
}

/// Puts `row` in the place of what is stored.
pub(super) fn update(tx: &mut Tx<'_>, access: &Access<Write>, row: &Row, header: &Header) -> Result<()> {
    let parts = &row.parts;
    diesel::update(entries::table.filter(entries::patient_id.eq(access.patient())).filter(entries::id.eq(row.id)))
        .set((
            (
                entries::version.eq(row.version),
                entries::meta.eq(sealed_header(row)?),
                entries::meta_rev.eq(parts.header.rev),
                entries::text.eq(&parts.text.sealed),
                entries::text_rev.eq(parts.text.rev),
                entries::mood.eq(&parts.mood.sealed),
                entries::mood_rev.eq(parts.mood.rev),
                entries::tags.eq(&parts.tags.sealed),
                entries::tags_rev.eq(parts.tags.rev),
            ),
            (
                entries::attachments.eq(&parts.attachments.sealed),
                entries::attachments_rev.eq(parts.attachments.rev),
                entries::draft.eq(header.draft),
                entries::infusion_id.eq(header.infusion_id),
                entries::prompt_id.eq(header.prompt_id),
                entries::occurred_at.eq(At(header.occurred_at)),
                entries::updated_at.eq(At(row.updated_at)),
            ),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Marks an entry deleted, or not deleted any more.
pub(super) fn mark_deleted(tx: &mut Tx<'_>, access: &Access<Write>, row: &Row) -> Result<()> {
    diesel::update(entries::table.filter(entries::patient_id.eq(access.patient())).filter(entries::id.eq(row.id)))
        .set((
            entries::version.eq(row.version),
            entries::deleted_at.eq(row.deleted_at.map(At)),
            entries::purge_at.eq(row.deleted_at.map(|at| At(at.saturating_add(revisions::UNDO).unwrap_or(at)))),
            entries::updated_at.eq(At(row.updated_at)),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Takes the words out of up to `most` entries that were deleted thirty days before `now`: sections, revisions,
/// comments, who opened them. What is left says that there was an entry, for devices that have not heard.
///
/// Spans patients: rests on the partial index `entries_purge`.
pub(super) fn purge(tx: &mut Tx<'_>, now: Timestamp, most: i64) -> Result<usize> {
    let old: Vec<(Id<Patient>, Id<Entry>)> = entries::table
        .filter(entries::purge_at.le(At(now)))
        .order(entries::purge_at)
        .limit(most)
        .select((entries::patient_id, entries::id))
        .load(tx.conn())?;
    for (patient, id) in &old {
        let nothing: Option<Vec<u8>> = None;
        diesel::update(entries::table.filter(entries::patient_id.eq(patient)).filter(entries::id.eq(id)))
            .set((
                entries::meta.eq(Vec::new()),
                entries::text.eq(&nothing),
                entries::mood.eq(&nothing),
                entries::tags.eq(&nothing),
                entries::attachments.eq(&nothing),
                entries::infusion_id.eq(None::<Id<Infusion>>),
                entries::prompt_id.eq(None::<Id<Prompt>>),
                entries::purge_at.eq(None::<At>),
            ))
            .execute(tx.conn())?;
        let thread = comments::table.filter(comments::patient_id.eq(patient));
        diesel::delete(thread.filter(comments::entry_id.eq(id))).execute(tx.conn())?;
        let access = Access::<crate::care::Write>::for_server(*patient, None, now);
        revisions::store::delete(
            tx,
            &access,
            id.any(),
            &Section::ALL.iter().map(|section| section.number()).collect::<Vec<_>>(),
        )?;
        grants::store::delete_openings(tx, &access, id.any())?;
        grants::drop_item(tx, &access, id.any())?;
    }
    Ok(old.len())
}

/// The entry of that id, deleted or not.
pub fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Entry>) -> Result<Option<Row>> {
    let found: Option<Flat> = entries::table
        .filter(entries::patient_id.eq(access.patient()))
        .filter(entries::id.eq(id))
        .select(ENTRY)
        .first(tx.conn())
        .optional()?;
    Ok(found.map(row))
}

/// What others may need to know of an entry without opening it.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// Whether it is still being written.
    pub draft: bool,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// How far an entry has come.
pub fn find_state<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Entry>) -> Result<Option<State>> {
    let found: Option<(bool, Option<At>)> = entries::table
        .filter(entries::patient_id.eq(access.patient()))
        .filter(entries::id.eq(id))
        .select((entries::draft, entries::deleted_at))
        .first(tx.conn())
        .optional()?;
    Ok(found.map(|(draft, deleted)| State { draft, deleted: deleted.is_some() }))
}

/// Done entries with their kind and whether they answer a prompt; with `answers` only those that do.
pub fn kinds(tx: &mut Tx<'_>, access: &Access<Write>, answers: bool) -> Result<Vec<(Id<Entry>, Kind, bool)>> {
    let mut query = entries::table
        .filter(entries::patient_id.eq(access.patient()))
        .filter(entries::deleted_at.is_null())
        .filter(entries::draft.eq(false))
        .select((entries::id, entries::meta, entries::meta_rev))
        .into_boxed();
    if answers {
        query = query.filter(entries::prompt_id.is_not_null());
    }
    let rows: Vec<(Id<Entry>, Vec<u8>, i64)> = query.load(tx.conn())?;
    rows.into_iter()
        .map(|(entry, sealed, rev)| {
            let part = Part { rev, sealed: Some(sealed) };
            let header = Of { patient: access.patient(), entry }.open_header(access.keys()?, &part)?;
            Ok((entry, header.kind, header.prompt_id.is_some()))
        })
        .collect()
}

/// The done entries among `ids`, in descending order of their ids.
pub fn list_done<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Entry>]) -> Result<Vec<Row>> {
    let rows: Vec<Flat> = entries::table
        .filter(entries::patient_id.eq(access.patient()))
        .filter(entries::id.eq_any(ids.iter().copied()))
        .filter(entries::deleted_at.is_null())
        .filter(entries::draft.eq(false))
        .order(entries::id.desc())
        .select(ENTRY)
        .load(tx.conn())?;
    Ok(rows.into_iter().map(row).collect())
}

/// The next entries of a scan, newest first.
pub fn list<A>(tx: &mut Tx<'_>, access: &Access<A>, scan: &Scan) -> Result<Vec<Row>> {
    let mut query = entries::table.filter(entries::patient_id.eq(access.patient())).select(ENTRY).into_boxed();
    query = if scan.deleted {
        query.filter(entries::purge_at.is_not_null())
    } else {
        query.filter(entries::deleted_at.is_null())
    };
    if let Some(draft) = scan.draft {
        query = query.filter(entries::draft.eq(draft));
    }
    if let Some(from) = scan.from {
        query = query.filter(entries::occurred_at.ge(At(from)));
    }
    if let Some(until) = scan.until {
        query = query.filter(entries::occurred_at.lt(At(until)));
    }
    if let Some(prompt) = scan.prompt {
        query = query.filter(entries::prompt_id.eq(prompt));
    }
    if let Some((at, id)) = scan.after {
        query = query
            .filter(entries::occurred_at.le(At(at)))
            .filter(entries::occurred_at.lt(At(at)).or(entries::id.lt(id)));
    }
    let rows: Vec<Flat> =
        query.order((entries::occurred_at.desc(), entries::id.desc())).limit(scan.rows).load(tx.conn())?;
    Ok(rows.into_iter().map(row).collect())
}

/// Whether the infusion is one of the patient's.
pub(super) fn infusion_exists(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Infusion>) -> Result<bool> {
    let found: Option<Id<Infusion>> = infusions::table
        .filter(infusions::patient_id.eq(access.patient()))
        .filter(infusions::id.eq(id))
        .select(infusions::id)
        .first(tx.conn())
        .optional()?;
    Ok(found.is_some())
}
