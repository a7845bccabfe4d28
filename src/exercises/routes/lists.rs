//! Lists of responses.

use actix_web::{HttpRequest, get};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Language;
use crate::care::door::Shared;
use crate::care::grants::Sections;
use crate::care::{Access, Door, grants};
use crate::course::{self, Background};
use crate::db::Tx;
use crate::exercises::actions;
use crate::exercises::seal::Of;
use crate::exercises::store::{self, Row, Scan};
use crate::exercises::view::{self, Found, ResponseView};
use crate::http::document::ReadErrors;
use crate::http::{PatientRef, Query, Reply};
use crate::kernel::id::{Any, Response};
use crate::kernel::page::Limit;
use crate::kernel::{Error, Fields, Id, Result};

/// How many rows are looked at for one answer. A page that has fewer items than asked for and a cursor says: go on.
const BUDGET: usize = 2000;
/// How many rows are read in one unit when most of them may not be what is asked for.
const CHUNK: i64 = 200;

/// A page of responses.
#[derive(Serialize, ToSchema)]
struct ExerciseResponseList {
    /// The responses.
    items: Vec<ResponseView>,
    /// Where the next page starts; absent at the end. A page may have fewer items than its limit and still not be the
    /// last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// Which responses, and which page of them.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListExerciseResponses {
    /// The exercise.
    #[param(nullable = false, example = "if-then-habit")]
    exercise_key: Option<String>,
    /// The assignment that asked for it; for the patient only.
    #[param(nullable = false)]
    assignment_id: Option<Uuid>,
    /// `draft`, `done` or `deleted`; without it, drafts and done ones. A therapist sees done ones in any case.
    #[param(nullable = false, example = "done")]
    status: Option<String>,
    /// How many items, 1 to 200; 20 unless said otherwise.
    #[param(nullable = false, minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
}

/// A place in the owner's order; a reader's knows no time.
type Key = (Timestamp, Id<Response>);

/// A page that is asked for.
struct Wanted {
    exercise: Option<String>,
    scan: Scan,
    limit: Limit,
    scope: Vec<u8>,
}

impl Wanted {
    fn parse(door: &Door<Shared>, query: ListExerciseResponses) -> Result<Self> {
        let ListExerciseResponses { exercise_key, assignment_id, status, limit, cursor } = query;
        let mut fields = Fields::new();
        let state = match status.as_deref() {
            None => Some((false, None)),
            Some("draft") => Some((false, Some(true))),
            Some("done") => Some((false, Some(false))),
            Some("deleted") => Some((true, None)),
            Some(_) => fields.take("query/status", Err("must be draft, done or deleted")),
        };
        let own = door.is_owner() || assignment_id.is_none();
        fields.check(own, "query/assignment_id", "is for the patient");
        let filter = format!("{exercise_key:?}|{assignment_id:?}|{status:?}");
        let scope = door.cursor_scope("list_exercise_responses", &filter);
        let after = cursor.and_then(|text| {
            let key = door.state().vault.open_cursor(&scope, &text).and_then(|key| read_key(&key));
            fields.take("query/cursor", key.ok_or("is not a cursor of this list"))
        });
        let (deleted, draft) = fields.finish(state)?;
        let limit = Limit::parse(limit)?;
        let rows = if exercise_key.is_some() { CHUNK } else { limit.rows() };
        let scan = Scan { deleted, draft, assignment: assignment_id.map(Id::from_uuid), after, rows };
        Ok(Self { exercise: exercise_key, scan, limit, scope })
    }

    fn admits(&self, key: &str) -> bool {
        self.exercise.as_deref().is_none_or(|wanted| wanted == key)
    }

    fn list(&self, door: &Door<Shared>, items: Vec<ResponseView>, next: Option<Key>) -> ExerciseResponseList {
        let next_cursor = next.map(|key| door.state().vault.seal_cursor(&self.scope, &write_key(key)));
        ExerciseResponseList { items, next_cursor }
    }
}

fn write_key((at, id): Key) -> Vec<u8> {
    [at.as_microsecond().to_be_bytes().as_slice(), id.uuid().as_bytes()].concat()
}

fn read_key(bytes: &[u8]) -> Option<Key> {
    let (at, id) = bytes.split_first_chunk()?;
    let at = Timestamp::from_microsecond(i64::from_be_bytes(*at)).ok()?;
    Some((at, Id::from_uuid(Uuid::from_slice(id).ok()?)))
}

/// List exercise responses
///
/// The patient's own, newest first; for a therapist those of which something is open to them.
#[utoipa::path(tag = "exercises", operation_id = "list_exercise_responses",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"), ListExerciseResponses),
    responses((status = 200, description = "Responses", body = ExerciseResponseList), ReadErrors))]
#[get("/exercise-responses")]
pub(super) async fn list_exercise_responses(
    door: Door<Shared>,
    query: Result<Query<ListExerciseResponses>, Error>,
    language: Language,
    request: HttpRequest,
) -> Result<Reply> {
    let asked = query.and_then(|query| Wanted::parse(&door, query.into_inner()));
    let wanted = door.first("list_exercise_responses", asked).await?;
    let list = if door.is_owner() {
        own_page(&door, wanted, language).await?
    } else {
        shared_page(&door, wanted, language).await?
    };
    Ok(Reply::ok(&list).next(&request, list.next_cursor.as_deref()))
}

/// The owner's responses: pages of rows, each its own unit, opened between the units until the page is full.
async fn own_page(door: &Door<Shared>, mut wanted: Wanted, language: Language) -> Result<ExerciseResponseList> {
    let (mut items, mut looked_at) = (Vec::new(), 0);
    loop {
        let scan = wanted.scan;
        let unit = move |tx: &mut Tx<'_>, access: &Access<_>| {
            Ok((store::list(tx, access, &scan)?, course::background(tx, access)?))
        };
        let (rows, background) = door.read("list_exercise_responses", unit).await?;
        let around = background.open(door.keys()?, door.patient()?)?;
        let last = i64::try_from(rows.len()).is_ok_and(|read| read < scan.rows);
        looked_at += rows.len();
        for row in rows {
            if items.len() == wanted.limit.items() {
                return Ok(wanted.list(door, items, wanted.scan.after));
            }
            let opened = actions::open(door.keys()?, door.patient()?, &row)?;
            wanted.scan.after = Some((opened.content.header.occurred_at, row.id));
            if wanted.admits(&opened.content.header.exercise_key) {
                let found = Found { row, shared: None, openings: None };
                items.push(view::rendered(&found, &opened, &around, language.or(&around.locale))?);
            }
        }
        if last {
            return Ok(wanted.list(door, items, None));
        }
        if looked_at >= BUDGET {
            return Ok(wanted.list(door, items, wanted.scan.after));
        }
    }
}

/// What one unit of a reader's list found.
struct Shelf {
    found: Vec<(Row, Sections)>,
    background: Background,
    next: Option<Id<Any>>,
}

/// What is open to a reader: one unit, with one row in the patient's log.
async fn shared_page(door: &Door<Shared>, wanted: Wanted, language: Language) -> Result<ExerciseResponseList> {
    let (exercise, limit, scan) = (wanted.exercise.clone(), wanted.limit, wanted.scan);
    let after = scan.after.map(|(_, id)| id.any());
    let done = !scan.deleted && scan.draft != Some(true);
    let unit = move |tx: &mut Tx<'_>, access: &Access<_>| {
        let mut shelf = shelf(tx, access, exercise.as_deref(), limit, after)?;
        if !done {
            shelf.found.clear();
        }
        shelf.found.iter().for_each(|(row, _)| access.returns(row.id.uuid()));
        Ok(shelf)
    };
    let shelf = door.read("list_exercise_responses", unit).await?;
    let around = shelf.background.open(door.keys()?, door.patient()?)?;
    let render = |(row, sections)| {
        let found = Found { row, shared: Some(sections), openings: None };
        view::render(door.keys()?, door.patient()?, &found, &around, language.or("en"))
    };
    let items = shelf.found.into_iter().map(render).collect::<Result<_>>()?;
    let next = shelf.next.map(|id| (Timestamp::UNIX_EPOCH, id.typed()));
    Ok(wanted.list(door, items, next))
}

fn shelf<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    exercise: Option<&str>,
    limit: Limit,
    after: Option<Id<Any>>,
) -> Result<Shelf> {
    let link = access.link().ok_or(Error::NotFound)?;
    let (open, more) = grants::store::visible_page(tx, access, link, Sections::RESPONSE, after, limit.items())?;
    let next = open.first_key_value().filter(|_| more).map(|(id, _)| *id);
    let ids: Vec<Id<Response>> = open.keys().map(|id| id.typed()).collect();
    let mut found = Vec::new();
    for row in store::list_done(tx, access, &ids)? {
        let sections = open.get(&row.id.any()).copied().unwrap_or_default();
        let wanted = match exercise {
            None => true,
            Some(wanted) => {
                let of = Of { patient: access.patient(), response: row.id };
                of.open_header(access.keys()?, &row.parts.header)?.exercise_key == wanted
            }
        };
        if wanted && !sections.is_empty() {
            found.push((row, sections));
        }
    }
    Ok(Shelf { found, background: course::background(tx, access)?, next })
}
