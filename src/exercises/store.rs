//! The rows of exercise responses.

use diesel::prelude::*;
use jiff::Timestamp;

use super::model::{Distress, Header, Responses};
use crate::care::{Access, Write};
use crate::changes::Entity;
use crate::db::schema::exercise_responses;
use crate::db::{At, Both, Tx};
use crate::items::seal::open_section;
use crate::items::{ItemTable as _, Part, open_header, sort_newest_first};
use crate::kernel::id::{Any, Response};
use crate::kernel::{Error, Id, Result, limits};
use crate::planning::window::Rating;

/// The most responses that are searched for a dial: those of a day.
const MOST_DIALS: i64 = 100;
/// The most responses that one statement marks.
const AT_ONCE: usize = 1000;

crate::item_table! {
    /// The table of exercise responses.
    ResponseTable, exercise_responses, [answers answers_rev, distress distress_rev], [prompt_id, assignment_id]
}

/// Lists the assignments that asked for these responses.
///
/// # Errors
///
/// When they cannot be read.
pub fn list_assignments_of<A>(tx: &mut Tx<'_>, access: &Access<A>, responses: &[Id<Response>]) -> Result<Vec<Id<Any>>> {
    let found: Vec<Option<Id<Any>>> = exercise_responses::table
        .filter(exercise_responses::patient_id.eq(access.patient()))
        .filter(exercise_responses::id.eq_any(responses.to_vec()))
        .select(exercise_responses::assignment_id)
        .load(tx.conn())?;
    Ok(found.into_iter().flatten().collect())
}

/// Reads the newest distress of the done responses since `since`, opened, for the judgement on what comes due: at the
/// end of the exercise, or else at its beginning. One that does not open counts as none.
///
/// # Errors
///
/// When they cannot be read.
pub fn newest_distress<A>(tx: &mut Tx<'_>, access: &Access<A>, since: Timestamp) -> Result<Option<Rating>> {
    let mut rows: Vec<(Id<Response>, Option<Vec<u8>>, i64, At)> = exercise_responses::table
        .filter(exercise_responses::patient_id.eq(access.patient()))
        .filter(exercise_responses::deleted_at.is_null())
        .filter(exercise_responses::draft.eq(false))
        .filter(exercise_responses::distress.is_not_null())
        .filter(exercise_responses::occurred_at.ge(At(since)))
        .filter(exercise_responses::occurred_at.le(At(access.now())))
        .order((exercise_responses::occurred_at.desc(), exercise_responses::id.desc()))
        .limit(MOST_DIALS)
        .select((
            exercise_responses::id,
            exercise_responses::distress,
            exercise_responses::distress_rev,
            exercise_responses::occurred_at,
        ))
        .load(tx.conn())?;
    sort_newest_first(tx, access, Entity::Response, &mut rows, |(id, .., at)| (at.0, id.any()))?;
    for (id, sealed, rev, at) in rows {
        let part = Part { rev, sealed };
        let felt = open_section::<Responses, Distress>(access.keys()?, (access.patient(), id.any()), "distress", &part);
        let felt = Error::skip_damaged(felt)?.flatten().and_then(|felt| felt.after.or(felt.before));
        if let Some(value) = felt {
            return Ok(Some(Rating { value, answered_at: at.0 }));
        }
    }
    Ok(None)
}

/// A done response with its sealed header and answers.
pub(super) type SealedResponse = (Id<Response>, Part, Part);

/// Selects the done responses that have a date on which they are still to come back, those that arrived first first.
macro_rules! with_date_to_come {
    ($access:expr) => {
        exercise_responses::table
            .filter(exercise_responses::patient_id.eq($access.patient()))
            // The column as it is, without a value, so that the partial index applies.
            .filter(exercise_responses::date_to_come)
            .filter(exercise_responses::deleted_at.is_null())
            .filter(exercise_responses::draft.eq(false))
            .order((exercise_responses::received_at, exercise_responses::id))
    };
}

/// Lists the done responses that have a date on which they are still to come back, those that arrived first first, at
/// most [`limits::DATED_RESPONSES`].
pub(super) fn list_with_date_to_come<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<SealedResponse>> {
    let found = with_date_to_come!(access).limit(limits::DATED_RESPONSES.rows()).select((
        exercise_responses::id,
        exercise_responses::meta,
        exercise_responses::meta_rev,
        exercise_responses::answers,
        exercise_responses::answers_rev,
    ));
    let rows: Vec<(Id<Response>, Vec<u8>, i64, Option<Vec<u8>>, i64)> = Both(found).load(tx.conn())?;
    let parts = |(id, meta, rev, sealed, answers_rev)| {
        (id, Part { rev, sealed: Some(meta) }, Part { rev: answers_rev, sealed })
    };
    Ok(rows.into_iter().map(parts).collect())
}

/// Lists the ids of those that [`list_with_date_to_come`] leaves out.
pub(super) fn list_beyond_the_limit<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<Id<Response>>> {
    let beyond = with_date_to_come!(access).offset(limits::DATED_RESPONSES.rows()).limit(i64::MAX);
    Ok(beyond.select(exercise_responses::id).load(tx.conn())?)
}

/// Notes whether these responses have a date on which they are still to come back.
///
/// # Errors
///
/// When that cannot be stored.
pub fn mark_date_to_come(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    ids: &[Id<Response>],
    date_to_come: bool,
) -> Result<()> {
    for some in ids.chunks(AT_ONCE) {
        let own = exercise_responses::table.filter(exercise_responses::patient_id.eq(access.patient()));
        diesel::update(own.filter(exercise_responses::id.eq_any(some)))
            .set(exercise_responses::date_to_come.eq(date_to_come))
            .execute(tx.conn())?;
    }
    Ok(())
}

/// Lists the headers of the newest done responses, at most `most`, newest first. Those that do not open are left
/// out.
///
/// # Errors
///
/// When they cannot be read.
pub fn list_headers<A>(tx: &mut Tx<'_>, access: &Access<A>, most: i64) -> Result<Vec<(Id<Response>, Header)>> {
    let mut headers = Vec::new();
    for (id, part) in ResponseTable::list_headers(tx, access, Entity::Response, None, most)? {
        let header = Error::skip_damaged(open_header::<Responses>(access.keys()?, access.patient(), id, &part))?;
        headers.extend(header.map(|header| (id.typed(), header)));
    }
    Ok(headers)
}
