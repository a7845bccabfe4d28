//! Assigning, changing, taking back.

use jiff::civil::Date;

use super::model::{AssignmentDoc, DoneBy, Draft, Patch, State};
use super::store::{self, Stored};
use crate::care::Access;
use crate::care::access::Write;
use crate::care::grants::{self, Sections};
use crate::changes::{self, Change, Entity, FeedsPlan, Op};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Done;
use crate::kernel::id::{Assignment, Response};
use crate::kernel::{Code, Error, Id, Result};
use crate::settings::settings;

/// An assignment, as the caller may know of it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The assignment.
    pub stored: Stored,
    /// Where it stands.
    pub state: State,
    /// The response, if the caller may see something of it.
    pub response: Option<Id<Response>>,
}

impl Found {
    /// Its tag: it changes with whatever the caller sees of it.
    pub fn tag(&self) -> EntityTag {
        let seen = if self.response.is_some() { "-seen" } else { "" };
        EntityTag::opaque(&format!("v{}-{}{seen}", self.stored.version, self.state.name()))
    }
}

/// `list`, as the caller may know of it.
fn found<A>(tx: &mut Tx<'_>, access: &Access<A>, list: Vec<Stored>) -> Result<Vec<Found>> {
    let done = |stored: &Stored| stored.doc.done.map(|done| done.response);
    let responses: Vec<_> = list.iter().filter_map(done).map(Id::any).collect();
    let open = match access.link() {
        Some(link) => grants::store::visible(tx, access, link, Sections::RESPONSE, &responses)?,
        None => grants::store::Open::new(),
    };
    let found = list.into_iter().map(|stored| Found {
        state: State::of(&stored.doc, stored.live),
        response: done(&stored).filter(|response| access.is_owner() || open.contains_key(&response.any())),
        stored,
    });
    Ok(found.collect())
}

/// Notes that a response has done what an assignment asks for; the first time counts.
///
/// # Errors
///
/// When it cannot be read or written.
pub fn mark_done(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Assignment>, done: DoneBy) -> Result<()> {
    let Some(current) = store::find(tx, access, id)?.filter(|stored| stored.doc.done.is_none()) else {
        return Ok(());
    };
    let number = changes::take(tx, access.patient(), 1)?;
    let doc = AssignmentDoc { done: Some(done), ..current.doc.clone() };
    let stored = Stored { doc, version: current.version + 1, updated_at: access.now(), ..current };
    store::put(tx, access, &stored)?;
    record(tx, access, number, &stored, Op::Update)
}

/// The assignment, if the caller may know of it.
///
/// # Errors
///
/// [`Error::NotFound`].
pub fn get<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Assignment>) -> Result<Found> {
    let found = known(tx, access, id)?;
    access.returns(id.uuid());
    Ok(found)
}

fn known<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Assignment>) -> Result<Found> {
    let stored = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
    found(tx, access, vec![stored])?.pop().ok_or(Error::NotFound)
}

/// A page of the assignments that the caller may know of, newest id first.
///
/// # Errors
///
/// When they cannot be read.
pub fn list<A>(tx: &mut Tx<'_>, access: &Access<A>, after: Option<Id<Assignment>>, rows: i64) -> Result<Vec<Found>> {
    let list = store::list(tx, access, after, rows)?;
    found(tx, access, list)
}

fn today<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Date> {
    Ok(settings(tx, access)?.0.zone_at(access.now()).date(access.now()))
}

/// Assigns, or replaces what this therapist has assigned. What it said first, sent again, changes nothing.
///
/// # Errors
///
/// [`Error::Invalid`]; [`Code::AlreadyExists`] for an id that is taken; 428 and 412 by the preconditions.
pub fn put(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Assignment>,
    draft: &Draft,
    if_: &Preconditions,
) -> Result<(Done, Found)> {
    let number = changes::take(tx, access.patient(), 1)?;
    let link = access.link().ok_or(Error::NotFound)?;
    let today = today(tx, access)?;
    let Some(current) = store::find(tx, access, id)? else {
        if store::is_taken(tx, access, id)? {
            return Err(Error::conflict(Code::AlreadyExists));
        }
        if if_.change_only() {
            return Err(Error::Stale);
        }
        let mut doc = AssignmentDoc::parse(draft.clone(), today)?;
        doc.first = Some(Box::new(doc.clone()));
        let (author, now) = (access.account()?, access.now());
        let stored = Stored { id, link, live: true, author, doc, version: 1, created_at: now, updated_at: now };
        store::put(tx, access, &stored)?;
        record(tx, access, number, &stored, Op::Create)?;
        access.feed_plan(FeedsPlan::Always);
        return Ok((Done::created(id.uuid()), get(tx, access, id)?));
    };
    let mut new = AssignmentDoc::parse(draft.clone(), current.doc.not_past(today))?;
    if new.exercise_key != current.doc.exercise_key {
        return Err(Error::field("/exercise_key", "does not change"));
    }
    (new.withdrawn_at, new.done) = (current.doc.withdrawn_at, current.doc.done);
    let tag = known(tx, access, id)?.tag();
    let old = current.doc.without_first();
    let first = || {
        let first = current.doc.first.as_ref().map_or_else(|| old.clone(), |first| first.without_first());
        Ok(AssignmentDoc { withdrawn_at: old.withdrawn_at, done: old.done, ..first })
    };
    if !if_.replaces(&tag, (&old, &new), first)? {
        return Ok((Done::ok(id.uuid()), get(tx, access, id)?));
    }
    Ok((Done::ok(id.uuid()), change(tx, access, number, &current, new)?))
}

/// Changes an assignment by a merge patch. A patch that changes nothing is done, whatever the precondition.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::Invalid`]; 428 and 412 by the preconditions.
pub fn patch(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Assignment>,
    patch: &Patch,
    if_: &Preconditions,
) -> Result<Found> {
    let number = changes::take(tx, access.patient(), 1)?;
    let current = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
    let old = current.doc.without_first();
    let new = old.patched(patch.clone(), access.now(), current.doc.not_past(today(tx, access)?))?;
    if new == old {
        return get(tx, access, id);
    }
    if_.require(&known(tx, access, id)?.tag())?;
    change(tx, access, number, &current, new)
}

fn change(tx: &mut Tx<'_>, access: &Access<Write>, number: i64, current: &Stored, doc: AssignmentDoc) -> Result<Found> {
    let doc = AssignmentDoc { first: current.doc.first.clone(), ..doc };
    let stored = Stored { doc, version: current.version + 1, updated_at: access.now(), ..current.clone() };
    store::put(tx, access, &stored)?;
    record(tx, access, number, &stored, Op::Update)?;
    access.feed_plan(FeedsPlan::Always);
    get(tx, access, stored.id)
}

fn record(tx: &mut Tx<'_>, access: &Access<Write>, number: i64, stored: &Stored, op: Op) -> Result<()> {
    let change = Change::new(Entity::Assignment, stored.id, stored.version, op);
    changes::insert(tx, access.patient(), number, access.actor(), access.now(), &[change])
}
