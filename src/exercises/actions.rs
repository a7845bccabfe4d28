//! Working on an exercise; the rest is what is done to everything that keeps its revisions ([`Kept`]).

use super::assignments;
use super::assignments::model::DoneBy;
use super::catalogue::Offer;
use super::model::Content;
use super::seal::{Of, Opened, Parts, Section};
use super::store::{self, Row};
use super::suggestions;
use crate::care::Access;
use crate::care::access::Write;
use crate::care::grants::Sections;
use crate::changes::{self, Entity, Op};
use crate::db::Tx;
use crate::http::Preconditions;
use crate::idempotency::Done;
use crate::kernel::id::{Patient, Response};
use crate::kernel::{Code, Error, Fields, Id, Result};
use crate::prompts;
use crate::revisions::{self, Kept};
use crate::vault::Keys;

const NOT_YOUR_PROMPT: &str = "is not a prompt of yours";

/// Opens all of a row.
pub fn open(keys: &Keys, patient: Id<Patient>, row: &Row) -> Result<Opened> {
    Of { patient, response: row.id }.open(keys, &row.parts, Sections::ALL)
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
    match store::find(tx, access, id)? {
        Some(row) => Ok((Done::ok(id.uuid()), Responses::replace(tx, access, number, row, content, if_)?)),
        None if if_.change_only() => Err(Error::Stale),
        None => Ok((Done::created(id.uuid()), create(tx, access, number, id, content)?)),
    }
}

fn create(tx: &mut Tx<'_>, access: &Access<Write>, number: i64, id: Id<Response>, content: &Content) -> Result<Row> {
    check_links(tx, access, content, None)?;
    // What somebody has worked on is kept, whatever is offered to them; only beginning can be refused.
    let begins = content.header.draft && content.answers.is_none() && content.distress.is_none();
    if begins && suggestions::offer_of(tx, access, &content.header)? != Offer::Yes {
        return Err(Error::conflict(Code::ExerciseWithheld));
    }
    let now = access.now();
    let parts = Of { patient: access.patient(), response: id }.fresh(access.keys()?, content, now)?;
    let row = Row { id, version: 1, parts, received_at: now, updated_at: now, deleted_at: None };
    store::insert(tx, access, &row, &content.header)?;
    revisions::actions::record::<Responses>(tx, access, number, &row, Op::Create)?;
    tell(tx, access, id, None, content)?;
    Ok(row)
}

/// Responses, as things that keep their revisions.
#[derive(Debug)]
pub enum Responses {}

impl Kept for Responses {
    type Kind = Response;
    type Parts = Parts;
    type Content = Content;

    const ENTITY: Entity = Entity::Response;
    const SECTIONS: Sections = Sections::RESPONSE;

    fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Response>) -> Result<Option<Row>> {
        store::find(tx, access, id)
    }

    fn find_done<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Response>) -> Result<Option<Row>> {
        Ok(store::list_done(tx, access, &[id])?.pop())
    }

    fn update(tx: &mut Tx<'_>, access: &Access<Write>, row: &Row, content: &Content) -> Result<()> {
        store::update(tx, access, row, &content.header)
    }

    fn mark_deleted(tx: &mut Tx<'_>, access: &Access<Write>, row: &Row) -> Result<()> {
        store::mark_deleted(tx, access, row)
    }

    fn content(keys: &Keys, patient: Id<Patient>, response: Id<Response>, parts: &Parts) -> Result<Content> {
        Ok(Of { patient, response }.open(keys, parts, Sections::ALL)?.content)
    }

    fn sealed(
        access: &Access<Write>,
        row: &Row,
        change: (&Content, &Content),
        version: i64,
    ) -> Result<(Parts, Vec<Section>)> {
        let of = Of { patient: access.patient(), response: row.id };
        of.revised(access.keys()?, &row.parts, change, version, access.now())
    }

    fn check(tx: &mut Tx<'_>, access: &Access<Write>, old: &Content, new: &Content) -> Result<()> {
        old.may_become(new)?;
        check_links(tx, access, new, Some(old))
    }

    fn tell(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Response>, (old, new): (&Content, &Content)) -> Result<()> {
        tell(tx, access, id, Some(old), new)
    }

    /// What it completed stays completed; what waits for a response may have to go or to come.
    fn tell_gone(tx: &mut Tx<'_>, access: &Access<Write>, _: &Row) -> Result<()> {
        prompts::actions::replan(tx, access).map(|_| ())
    }

    fn in_state_of(now: &Content, mut restored: Content) -> Content {
        restored.header.draft = now.header.draft;
        restored
    }
}

/// Refuses links to prompts and assignments that are not the patient's; what is linked already is not asked for again.
fn check_links(tx: &mut Tx<'_>, access: &Access<Write>, new: &Content, old: Option<&Content>) -> Result<()> {
    let (header, old) = (&new.header, old.map(|old| &old.header));
    let mut fields = Fields::new();
    if let Some(id) = header.assignment_id
        && old.and_then(|old| old.assignment_id) != Some(id)
    {
        let asked = assignments::actions::find(tx, access, id)?;
        let right = asked.as_ref().is_none_or(|asked| asked.exercise_key == header.exercise_key);
        fields.check(asked.is_some(), "/assignment_id", "is not an assignment of yours");
        fields.check(right, "/assignment_id", "asks for another exercise");
    }
    if let Some(id) = header.prompt_id
        && old.and_then(|old| old.prompt_id) != Some(id)
    {
        fields.check(prompts::store::exists(tx, access, id)?, "/prompt_id", NOT_YOUR_PROMPT);
    }
    fields.done()
}

/// Completes the prompt and the assignment that a response has come to answer; plans again when there is one more that is done: some
/// prompts wait for that.
fn tell(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Response>, old: Option<&Content>, new: &Content) -> Result<()> {
    if new.header.draft {
        return Ok(());
    }
    let before = old.map(|old| &old.header).filter(|old| !old.draft);
    if let Some(assignment) = new.header.assignment_id
        && before.and_then(|before| before.assignment_id) != Some(assignment)
    {
        let (settings, _) = prompts::actions::settings(tx, access)?;
        let on = new.header.local_date(|at| settings.zone_at(at));
        assignments::actions::mark_done(tx, access, assignment, DoneBy { on, response: id })?;
    }
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
