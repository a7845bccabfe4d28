//! Responses.

use diesel::prelude::*;
use jiff::Timestamp;

use super::model::Header;
use super::seal::{Of, Part, Parts, Section};
use crate::care::access::Write;
use crate::care::{Access, grants};
use crate::db::schema::exercise_responses as responses;
use crate::db::{At, Tx};
use crate::kernel::id::{Assignment, Patient, Prompt, Response};
use crate::kernel::{Error, Id, Result};
use crate::revisions::{self, Section as _};

/// A response as it is stored.
pub type Row = revisions::Row<Response, Parts>;

type Flat = ((Id<Response>, i64, At, At, Option<At>), (Vec<u8>, i64), (Option<Vec<u8>>, i64), (Option<Vec<u8>>, i64));
type Columns = (
    (responses::id, responses::version, responses::received_at, responses::updated_at, responses::deleted_at),
    (responses::meta, responses::meta_rev),
    (responses::answers, responses::answers_rev),
    (responses::distress, responses::distress_rev),
);
const RESPONSE: Columns = (
    (responses::id, responses::version, responses::received_at, responses::updated_at, responses::deleted_at),
    (responses::meta, responses::meta_rev),
    (responses::answers, responses::answers_rev),
    (responses::distress, responses::distress_rev),
);

fn row(((id, version, received_at, updated_at, deleted_at), header, answers, distress): Flat) -> Row {
    let part = |(sealed, rev): (Option<Vec<u8>>, i64)| Part { rev, sealed };
    Row {
        id,
        version,
        parts: Parts {
            header: Part { rev: header.1, sealed: Some(header.0) },
            answers: part(answers),
            distress: part(distress),
        },
        received_at: received_at.0,
        updated_at: updated_at.0,
        deleted_at: deleted_at.map(|at| at.0),
    }
}

fn sealed_header(row: &Row) -> Result<&Vec<u8>> {
    row.parts.header.sealed.as_ref().ok_or_else(|| Error::corrupt("exercise_responses", row.id))
}

/// Keeps a new response.
pub(super) fn insert(tx: &mut Tx<'_>, access: &Access<Write>, row: &Row, header: &Header) -> Result<()> {
    let parts = &row.parts;
    diesel::insert_into(responses::table)
        .values((
            responses::patient_id.eq(access.patient()),
            responses::id.eq(row.id),
            responses::version.eq(row.version),
            (responses::meta.eq(sealed_header(row)?), responses::meta_rev.eq(parts.header.rev)),
            (responses::answers.eq(&parts.answers.sealed), responses::answers_rev.eq(parts.answers.rev)),
            (responses::distress.eq(&parts.distress.sealed), responses::distress_rev.eq(parts.distress.rev)),
            responses::draft.eq(header.draft),
            responses::prompt_id.eq(header.prompt_id),
            responses::assignment_id.eq(header.assignment_id),
            responses::occurred_at.eq(At(header.occurred_at)),
            responses::received_at.eq(At(row.received_at)),
            responses::updated_at.eq(At(row.updated_at)),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Puts `row` in the place of what is stored.
pub(super) fn update(tx: &mut Tx<'_>, access: &Access<Write>, row: &Row, header: &Header) -> Result<()> {
    let parts = &row.parts;
    diesel::update(
        responses::table.filter(responses::patient_id.eq(access.patient())).filter(responses::id.eq(row.id)),
    )
    .set((
        responses::version.eq(row.version),
        (responses::meta.eq(sealed_header(row)?), responses::meta_rev.eq(parts.header.rev)),
        (responses::answers.eq(&parts.answers.sealed), responses::answers_rev.eq(parts.answers.rev)),
        (responses::distress.eq(&parts.distress.sealed), responses::distress_rev.eq(parts.distress.rev)),
        responses::draft.eq(header.draft),
        responses::prompt_id.eq(header.prompt_id),
        responses::assignment_id.eq(header.assignment_id),
        responses::occurred_at.eq(At(header.occurred_at)),
        responses::updated_at.eq(At(row.updated_at)),
    ))
    .execute(tx.conn())?;
    Ok(())
}

/// Marks a response deleted, or not deleted any more.
pub(super) fn mark_deleted(tx: &mut Tx<'_>, access: &Access<Write>, row: &Row) -> Result<()> {
    diesel::update(
        responses::table.filter(responses::patient_id.eq(access.patient())).filter(responses::id.eq(row.id)),
    )
    .set((
        responses::version.eq(row.version),
        responses::deleted_at.eq(row.deleted_at.map(At)),
        responses::purge_at.eq(row.deleted_at.map(|at| At(at.saturating_add(revisions::UNDO).unwrap_or(at)))),
        responses::updated_at.eq(At(row.updated_at)),
    ))
    .execute(tx.conn())?;
    Ok(())
}

/// Takes the words out of up to `most` responses that were deleted thirty days before `now`. What is left says that
/// there was one, for devices that have not heard.
///
/// Spans patients: rests on the partial index `exercise_responses_purge`.
pub(super) fn purge(tx: &mut Tx<'_>, now: Timestamp, most: i64) -> Result<usize> {
    let old: Vec<(Id<Patient>, Id<Response>)> = responses::table
        .filter(responses::purge_at.le(At(now)))
        .order(responses::purge_at)
        .limit(most)
        .select((responses::patient_id, responses::id))
        .load(tx.conn())?;
    for (patient, id) in &old {
        let nothing: Option<Vec<u8>> = None;
        diesel::update(responses::table.filter(responses::patient_id.eq(patient)).filter(responses::id.eq(id)))
            .set((
                responses::meta.eq(Vec::new()),
                responses::answers.eq(&nothing),
                responses::distress.eq(&nothing),
                responses::prompt_id.eq(None::<Id<Prompt>>),
                responses::assignment_id.eq(None::<Id<Assignment>>),
                responses::purge_at.eq(None::<At>),
            ))
            .execute(tx.conn())?;
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

/// The response of that id, deleted or not.
pub fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Response>) -> Result<Option<Row>> {
    let found: Option<Flat> = responses::table
        .filter(responses::patient_id.eq(access.patient()))
        .filter(responses::id.eq(id))
        .select(RESPONSE)
        .first(tx.conn())
        .optional()?;
    Ok(found.map(row))
}

/// What others may need to know of a response without opening it.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// Whether it is still being worked on.
    pub draft: bool,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// How far a response has come.
pub fn find_state<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Response>) -> Result<Option<State>> {
    let found: Option<(bool, Option<At>)> = responses::table
        .filter(responses::patient_id.eq(access.patient()))
        .filter(responses::id.eq(id))
        .select((responses::draft, responses::deleted_at))
        .first(tx.conn())
        .optional()?;
    Ok(found.map(|(draft, deleted)| State { draft, deleted: deleted.is_some() }))
}

/// The done responses among `ids`, in descending order of their ids.
pub fn list_done<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Response>]) -> Result<Vec<Row>> {
    let rows: Vec<Flat> = responses::table
        .filter(responses::patient_id.eq(access.patient()))
        .filter(responses::id.eq_any(ids.iter().copied()))
        .filter(responses::deleted_at.is_null())
        .filter(responses::draft.eq(false))
        .order(responses::id.desc())
        .select(RESPONSE)
        .load(tx.conn())?;
    Ok(rows.into_iter().map(row).collect())
}

/// Which responses of a list are asked for, and where to go on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    /// Deleted ones, or those that are not.
    pub deleted: bool,
    /// Drafts, done ones, or both.
    pub draft: Option<bool>,
    /// Only what answers this assignment.
    pub assignment: Option<Id<Assignment>>,
    /// Only after this place in the order.
    pub after: Option<(Timestamp, Id<Response>)>,
    /// How many rows at most.
    pub rows: i64,
}

/// The next responses of a scan, newest first.
pub fn list<A>(tx: &mut Tx<'_>, access: &Access<A>, scan: &Scan) -> Result<Vec<Row>> {
    let mut query = responses::table.filter(responses::patient_id.eq(access.patient())).select(RESPONSE).into_boxed();
    query = if scan.deleted {
        query.filter(responses::purge_at.is_not_null())
    } else {
        query.filter(responses::deleted_at.is_null())
    };
    if let Some(draft) = scan.draft {
        query = query.filter(responses::draft.eq(draft));
    }
    if let Some(assignment) = scan.assignment {
        query = query.filter(responses::assignment_id.eq(assignment));
    }
    if let Some((at, id)) = scan.after {
        query = query
            .filter(responses::occurred_at.le(At(at)))
            .filter(responses::occurred_at.lt(At(at)).or(responses::id.lt(id)));
    }
    let rows: Vec<Flat> =
        query.order((responses::occurred_at.desc(), responses::id.desc())).limit(scan.rows).load(tx.conn())?;
    Ok(rows.into_iter().map(row).collect())
}

/// The headers of the newest done responses, at most `most`, newest first.
pub fn list_headers<A>(tx: &mut Tx<'_>, access: &Access<A>, most: i64) -> Result<Vec<(Id<Response>, Header)>> {
    let rows: Vec<(Id<Response>, Vec<u8>, i64)> = responses::table
        .filter(responses::patient_id.eq(access.patient()))
        .filter(responses::deleted_at.is_null())
        .filter(responses::draft.eq(false))
        .order((responses::occurred_at.desc(), responses::id.desc()))
        .limit(most)
        .select((responses::id, responses::meta, responses::meta_rev))
        .load(tx.conn())?;
    let open = |(response, sealed, rev)| {
        let part = Part { rev, sealed: Some(sealed) };
        Ok((response, Of { patient: access.patient(), response }.open_header(access.keys()?, &part)?))
    };
    rows.into_iter().map(open).collect()
}
