//! Working on an exercise: writing, deleting, bringing back, restoring, opening.

use jiff::Timestamp;

use super::catalogue::Offer;
use super::draft::ResponsePatch;
use super::model::Content;
use super::moment;
use super::seal::{Of, Opened, Parts};
use super::store::{self, Row};
use crate::care::Access;
use crate::care::access::Write;
use crate::care::grants::{self, Sections};
use crate::changes::{self, Change, Entity, Op};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::kernel::id::{Patient, Response};
use crate::kernel::{Code, Error, Fields, Id, Result};
use crate::prompts;
use crate::replay::Done;
use crate::revisions;
use crate::vault::Keys;

const NOT_YOUR_PROMPT: &str = "is not a prompt of yours";

/// Opens all of a row.
pub fn open(keys: &Keys, patient: Id<Patient>, row: &Row) -> Result<Opened> {
    Of { patient, response: row.id }.open(keys, &row.parts, Sections::ALL)
}

/// The response, for its owner.
///
/// # Errors
///
/// [`Error::Deleted`] while it can be brought back, [`Error::NotFound`] after that and when it never was.
pub fn get<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Response>) -> Result<Row> {
    let row = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
    match row.deleted_at {
        None => Ok(row),
        Some(at) if gone(at, access.now()) => Err(Error::NotFound),
        Some(_) => Err(Error::Deleted),
    }
}

fn gone(deleted_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(deleted_at) >= store::UNDO
}

/// Creates or replaces a response. The body that created it, sent again, changes nothing; nor does the present state.
///
/// # Errors
///
/// [`Error::Deleted`]; [`Error::PreconditionRequired`] and [`Error::Stale`] by the preconditions; [`Error::Invalid`]
/// for links that are not the patient's, for another exercise, and for making a draft of what is done;
/// [`Code::ExerciseWithheld`] for beginning what is not offered.
pub fn put(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Response>,
    content: &Content,
    if_: &Preconditions,
) -> Result<(Done, Row)> {
    let number = changes::take(tx, access.patient(), 1)?;
    let Some(row) = store::find(tx, access, id)? else {
        if if_.change_only() {
            return Err(Error::Stale);
        }
        return Ok((Done::created(id.uuid()), create(tx, access, number, id, content)?));
    };
    if row.deleted_at.is_some() {
        return Err(Error::Deleted);
    }
    let old = open(access.keys()?, access.patient(), &row)?.content;
    let first = || at_version(tx, access, &row, 1);
    if !if_.replaces(&EntityTag::version(row.version), (&old, content), first)? {
        return Ok((Done::ok(id.uuid()), row));
    }
    let row = revise(tx, access, number, &row, (&old, content), Op::Update)?;
    Ok((Done::ok(id.uuid()), row))
}

fn create(tx: &mut Tx<'_>, access: &Access<Write>, number: i64, id: Id<Response>, content: &Content) -> Result<Row> {
    check_links(tx, access, content, None)?;
    // What somebody has worked on is kept, whatever is offered to them; only beginning can be refused.
    let begins = content.header.draft && content.answers.is_none();
    if begins && moment::offer_of(tx, access, &content.header)? != Offer::Yes {
        return Err(Error::conflict(Code::ExerciseWithheld));
    }
    let now = access.now();
    let parts = Of { patient: access.patient(), response: id }.fresh(access.keys()?, content, now)?;
    let row = Row { id, version: 1, parts, received_at: now, updated_at: now, deleted_at: None };
    store::insert(tx, access, &row, &content.header)?;
    record(tx, access, number, &row, Op::Create)?;
    tell(tx, access, id, None, content)?;
    Ok(row)
}

/// Changes a response by a merge patch. A patch that changes nothing is done, whatever the precondition.
///
/// # Errors
///
/// As [`put`].
pub fn patch(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Response>,
    patch: &ResponsePatch,
    if_: &Preconditions,
) -> Result<Row> {
    let number = changes::take(tx, access.patient(), 1)?;
    let row = get(tx, access, id)?;
    let old = open(access.keys()?, access.patient(), &row)?.content;
    let new = old.patched(patch.clone())?;
    if old == new {
        return Ok(row);
    }
    if_.require(&EntityTag::version(row.version))?;
    revise(tx, access, number, &row, (&old, &new), Op::Update)
}

/// Makes `new` the present state, and keeps what it replaces.
fn revise(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    number: i64,
    row: &Row,
    (old, new): (&Content, &Content),
    op: Op,
) -> Result<Row> {
    old.may_become(new)?;
    check_links(tx, access, new, Some(old))?;
    let version = row.version + 1;
    let of = Of { patient: access.patient(), response: row.id };
    let (parts, changed) = of.revised(access.keys()?, &row.parts, (old, new), version, access.now())?;
    for section in changed {
        let part = row.parts.get(section);
        if part.rev > 0 {
            revisions::store::insert(tx, access, row.id.any(), (section.number(), part), version)?;
        }
    }
    let row = Row { version, parts, updated_at: access.now(), ..row.clone() };
    store::update(tx, access, &row, &new.header)?;
    record(tx, access, number, &row, op)?;
    if op == Op::Restore {
        grants::drop_item(tx, access, row.id.any())?;
    } else {
        tell(tx, access, row.id, Some(old), new)?;
    }
    Ok(row)
}

/// Refuses links to prompts and assignments that are not the patient's; what is linked already is not asked for again.
fn check_links(tx: &mut Tx<'_>, access: &Access<Write>, new: &Content, old: Option<&Content>) -> Result<()> {
    let (header, old) = (&new.header, old.map(|old| &old.header));
    let mut fields = Fields::new();
    if let Some(id) = header.assignment_id
        && old.and_then(|old| old.assignment_id) != Some(id)
    {
        let known = store::assignment_exists(tx, access, id)?;
        fields.check(known, "/assignment_id", "is not an assignment of yours");
    }
    if let Some(id) = header.prompt_id
        && old.and_then(|old| old.prompt_id) != Some(id)
    {
        fields.check(prompts::store::exists(tx, access, id)?, "/prompt_id", NOT_YOUR_PROMPT);
    }
    fields.done()
}

/// Completes the prompt that a response has come to answer; plans again when there is one more that is done: some
/// prompts wait for that.
fn tell(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Response>, old: Option<&Content>, new: &Content) -> Result<()> {
    if new.header.draft {
        return Ok(());
    }
    let before = old.map(|old| &old.header).filter(|old| !old.draft);
    let answers = new.header.prompt_id.filter(|prompt| before.and_then(|before| before.prompt_id) != Some(*prompt));
    if let Some(prompt) = answers
        && !prompts::actions::answered(tx, access, prompt, new.header.occurred_at, id.uuid())?
    {
        return Err(Error::field("/prompt_id", NOT_YOUR_PROMPT));
    }
    if before.is_none() {
        prompts::actions::replan(tx, access)?;
    }
    Ok(())
}

fn record(tx: &mut Tx<'_>, access: &Access<Write>, number: i64, row: &Row, op: Op) -> Result<()> {
    let change = Change::new(Entity::Response, row.id, row.version, op);
    changes::insert(tx, access.patient(), number, access.actor(), access.now(), &[change])
}

/// Deletes a response; deleted again, nothing changes. What it completed stays completed.
///
/// # Errors
///
/// [`Error::NotFound`]; [`Error::Stale`] when a precondition does not hold.
pub fn delete(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Response>, if_: &Preconditions) -> Result<()> {
    let number = changes::take(tx, access.patient(), 1)?;
    let row = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
    if row.deleted_at.is_some() {
        return Ok(());
    }
    if_.check(Some(&EntityTag::version(row.version)))?;
    let now = access.now();
    let row = Row { version: row.version + 1, deleted_at: Some(now), updated_at: now, ..row };
    store::mark_deleted(tx, access, &row)?;
    record(tx, access, number, &row, Op::Delete)?;
    prompts::actions::replan(tx, access).map(|_| ())
}

/// Brings a deleted response back, opened to nobody; one that is not deleted stays as it is.
///
/// # Errors
///
/// [`Error::NotFound`] when it never was, or was deleted too long ago.
pub fn undelete(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Response>) -> Result<Row> {
    let number = changes::take(tx, access.patient(), 1)?;
    let row = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
    match row.deleted_at {
        None => return Ok(row),
        Some(at) if gone(at, access.now()) => return Err(Error::NotFound),
        Some(_) => {}
    }
    let row = Row { version: row.version + 1, deleted_at: None, updated_at: access.now(), ..row };
    store::mark_deleted(tx, access, &row)?;
    grants::drop_item(tx, access, id.any())?;
    record(tx, access, number, &row, Op::Undelete)?;
    prompts::actions::replan(tx, access)?;
    Ok(row)
}

/// The parts of a response as they were in `version`.
///
/// # Errors
///
/// [`Error::NotFound`] when there was no such version.
pub fn parts_at<A>(tx: &mut Tx<'_>, access: &Access<A>, row: &Row, version: i64) -> Result<Parts> {
    if !(1..=row.version).contains(&version) {
        return Err(Error::NotFound);
    }
    let kept = revisions::store::list(tx, access, row.id.any(), version)?;
    Ok(row.parts.clone().back_to(version, &kept))
}

fn at_version(tx: &mut Tx<'_>, access: &Access<Write>, row: &Row, version: i64) -> Result<Content> {
    let parts = parts_at(tx, access, row, version)?;
    Ok(Of { patient: access.patient(), response: row.id }.open(access.keys()?, &parts, Sections::ALL)?.content)
}

/// Makes what a response said in `version` its present state, opened to nobody. It stays done if it is done.
///
/// # Errors
///
/// [`Error::NotFound`] when there was no such version; [`Error::Deleted`]; [`Error::Stale`] when a precondition does
/// not hold.
pub fn restore(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Response>,
    version: i64,
    if_: &Preconditions,
) -> Result<Row> {
    let number = changes::take(tx, access.patient(), 1)?;
    let row = get(tx, access, id)?;
    let old = open(access.keys()?, access.patient(), &row)?.content;
    let mut new = at_version(tx, access, &row, version)?;
    new.header.draft = old.header.draft;
    if old == new {
        return Ok(row);
    }
    if_.check(Some(&EntityTag::version(row.version)))?;
    revise(tx, access, number, &row, (&old, &new), Op::Restore)
}

/// What a reader sees of a response: the row, and which sections are open to them.
///
/// # Errors
///
/// [`Error::NotFound`] when they may see nothing of it, or it is not there.
pub fn get_shared<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Response>) -> Result<(Row, Sections)> {
    let link = access.link().ok_or(Error::NotFound)?;
    let open = grants::store::visible(tx, access, link, &[id.any()])?;
    let sections = open.get(&id.any()).map(|open| open.within(Sections::RESPONSE)).unwrap_or_default();
    let row = store::list_done(tx, access, &[id])?.pop();
    let row = row.filter(|_| !sections.is_empty()).ok_or(Error::NotFound)?;
    access.returns(id.uuid());
    Ok((row, sections))
}

/// Notes that the therapist at work has opened a response; the first time counts.
///
/// # Errors
///
/// [`Error::NotFound`] when they may not see it.
pub fn mark_opened(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Response>) -> Result<Timestamp> {
    let _visible = get_shared(tx, access, id)?;
    grants::store::insert_opening(tx, access, id.any(), access.account()?)
}
