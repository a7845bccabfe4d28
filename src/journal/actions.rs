//! Writing, deleting, bringing back, restoring, opening.

use jiff::Timestamp;

use super::draft::EntryPatch;
use super::hooks;
use super::model::{Content, Header};
use super::seal::{Of, Opened, Parts, Section};
use super::store::{self, Row};
use crate::care::Access;
use crate::care::access::Write;
use crate::care::grants::{self, Sections};
use crate::changes::{self, Change, Entity, Op};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::kernel::id::{Entry, Patient};
use crate::kernel::{Error, Id, Result};
use crate::replay::Done;
use crate::revisions;
use crate::vault::Keys;

/// An entry that somebody wants to exist, sealed as if it were new: most of them are.
#[derive(Clone, Debug)]
pub struct Put {
    id: Id<Entry>,
    content: Content,
    fresh: Parts,
    if_: Preconditions,
}

impl Put {
    /// Seals a new entry, before the unit.
    pub fn new(
        keys: &Keys,
        patient: Id<Patient>,
        entry: Id<Entry>,
        content: Content,
        if_: Preconditions,
        now: Timestamp,
    ) -> Result<Self> {
        let fresh = Of { patient, entry }.fresh(keys, &content, now)?;
        Ok(Self { id: entry, content, fresh, if_ })
    }
}

/// Opens all of a row.
pub fn open(keys: &Keys, patient: Id<Patient>, row: &Row) -> Result<Opened> {
    Of { patient, entry: row.id }.open(keys, &row.parts, Sections::ALL)
}

/// The entry, for its owner.
///
/// # Errors
///
/// [`Error::Deleted`] while it can be brought back, [`Error::NotFound`] after that and when it never was.
pub fn get<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Entry>) -> Result<Row> {
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

/// Creates or replaces an entry. The body that created it, sent again, changes nothing; nor does the present state.
///
/// # Errors
///
/// [`Error::Deleted`]; [`Error::PreconditionRequired`] and [`Error::Stale`] by the preconditions; [`Error::Invalid`]
/// for links that are not the patient's, and for making a draft of what is done.
pub fn put(tx: &mut Tx<'_>, access: &Access<Write>, put: &Put) -> Result<(Done, Row)> {
    let number = if put.if_.change_only() {
        changes::take(tx, access.patient(), 1)?
    } else {
        hooks::check_links(tx, access, &put.content.header, None)?;
        let row = Row {
            id: put.id,
            version: 1,
            parts: put.fresh.clone(),
            received_at: access.now(),
            updated_at: access.now(),
            deleted_at: None,
        };
        let (number, created) = store::create(tx, access, &row, &put.content.header)?;
        if created {
            tell(tx, access, put.id, None, &put.content)?;
            return Ok((Done::created(put.id.uuid()), row));
        }
        number
    };
    let row = store::find(tx, access, put.id)?.ok_or(Error::Stale)?;
    if row.deleted_at.is_some() {
        return Err(Error::Deleted);
    }
    let old = open(access.keys()?, access.patient(), &row)?;
    let first = || Ok(at_version(tx, access, &row, 1)?.content);
    if !put.if_.replaces(&EntityTag::version(row.version), (&old.content, &put.content), first)? {
        return Ok((Done::ok(put.id.uuid()), row));
    }
    let row = revise(tx, access, number, &row, &old.content, &put.content, Op::Update)?;
    Ok((Done::ok(put.id.uuid()), row))
}

/// Changes an entry by a merge patch. A patch that changes nothing is done, whatever the precondition.
///
/// # Errors
///
/// As [`put`].
pub fn patch(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Entry>,
    patch: &EntryPatch,
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
    revise(tx, access, number, &row, &old, &new, Op::Update)
}

/// Makes `new` the present state, and keeps what it replaces.
fn revise(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    number: i64,
    row: &Row,
    old: &Content,
    new: &Content,
    op: Op,
) -> Result<Row> {
    if new.header.draft && !old.header.draft {
        return Err(Error::field("/status", "what is done does not become a draft again"));
    }
    hooks::check_links(tx, access, &new.header, Some(&old.header))?;
    let version = row.version + 1;
    let of = Of { patient: access.patient(), entry: row.id };
    let (parts, changed) = of.revised(access.keys()?, &row.parts, (old, new), version, access.now())?;
    for section in changed {
        let part = row.parts.get(section);
        if part.rev > 0 {
            revisions::store::insert(tx, access, row.id.any(), (section.number(), part), version)?;
        }
    }
    let row = Row { version, parts, updated_at: access.now(), ..row.clone() };
    store::update(tx, access, &row, &new.header)?;
    if op == Op::Restore {
        grants::drop_item(tx, access, row.id.any())?;
    } else {
        tell(tx, access, row.id, Some(old), new)?;
    }
    record(tx, access, number, &row, op)?;
    Ok(row)
}

/// Tells prompts and grants by rule what they need to know of an entry that has become `new`.
fn tell(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Entry>, old: Option<&Content>, new: &Content) -> Result<()> {
    if new.header.draft {
        return Ok(());
    }
    let before = old.map(|old| &old.header).filter(|old| !old.draft);
    if new.header.prompt_id.is_some() && before.and_then(|before| before.prompt_id) != new.header.prompt_id {
        hooks::answered(tx, access, id, &new.header)?;
    }
    let falls = |header: &Header| (header.kind, header.prompt_id.is_some());
    if before.map(falls) != Some(falls(&new.header)) {
        let (kind, answers) = falls(&new.header);
        grants::on_entry(tx, access, id, kind.name(), answers, before.is_some())?;
    }
    let kept = hooks::is_takeaway(new) != old.is_some_and(hooks::is_takeaway);
    if kept || before.is_none() { hooks::plan_follows(tx, access, kept) } else { Ok(()) }
}

fn record(tx: &mut Tx<'_>, access: &Access<Write>, number: i64, row: &Row, op: Op) -> Result<()> {
    let change = Change::new(Entity::Entry, row.id, row.version, op);
    changes::insert(tx, access.patient(), number, access.actor(), access.now(), &[change])
}

/// Deletes an entry; deleted again, nothing changes.
///
/// # Errors
///
/// [`Error::NotFound`]; [`Error::Stale`] when a precondition does not hold.
pub fn delete(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Entry>, if_: &Preconditions) -> Result<()> {
    let number = changes::take(tx, access.patient(), 1)?;
    let row = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
    if row.deleted_at.is_some() {
        return Ok(());
    }
    if_.check(Some(&EntityTag::version(row.version)))?;
    let now = access.now();
    let row = Row { version: row.version + 1, deleted_at: Some(now), updated_at: now, ..row };
    store::mark_deleted(tx, access, &row)?;
    let takeaway = hooks::is_takeaway(&open(access.keys()?, access.patient(), &row)?.content);
    hooks::plan_follows(tx, access, takeaway)?;
    record(tx, access, number, &row, Op::Delete)
}

/// Brings a deleted entry back, opened to nobody; one that is not deleted stays as it is.
///
/// # Errors
///
/// [`Error::NotFound`] when it never was, or was deleted too long ago.
pub fn undelete(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Entry>) -> Result<Row> {
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
    let takeaway = hooks::is_takeaway(&open(access.keys()?, access.patient(), &row)?.content);
    hooks::plan_follows(tx, access, takeaway)?;
    record(tx, access, number, &row, Op::Undelete)?;
    Ok(row)
}

/// The parts of an entry as they were in `version`.
///
/// # Errors
///
/// [`Error::NotFound`] when there was no such version.
pub fn parts_at<A>(tx: &mut Tx<'_>, access: &Access<A>, row: &Row, version: i64) -> Result<Parts> {
    if !(1..=row.version).contains(&version) {
        return Err(Error::NotFound);
    }
    let kept = revisions::store::list(tx, access, row.id.any(), version)?;
    let known = |(number, part)| Some((Section::of(number)?, part));
    let kept = kept.into_iter().filter_map(known).collect();
    Ok(row.parts.clone().back_to(version, kept))
}

fn at_version(tx: &mut Tx<'_>, access: &Access<Write>, row: &Row, version: i64) -> Result<Opened> {
    let parts = parts_at(tx, access, row, version)?;
    Of { patient: access.patient(), entry: row.id }.open(access.keys()?, &parts, Sections::ALL)
}

/// Makes what an entry said in `version` its present state, opened to nobody. It stays done if it is done.
///
/// # Errors
///
/// [`Error::NotFound`] when there was no such version; [`Error::Deleted`]; [`Error::Stale`] when a precondition does
/// not hold.
pub fn restore(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Entry>,
    version: i64,
    if_: &Preconditions,
) -> Result<Row> {
    let number = changes::take(tx, access.patient(), 1)?;
    let row = get(tx, access, id)?;
    let old = open(access.keys()?, access.patient(), &row)?.content;
    let mut new = at_version(tx, access, &row, version)?.content;
    new.header.draft = old.header.draft;
    if old == new {
        return Ok(row);
    }
    if_.check(Some(&EntityTag::version(row.version)))?;
    revise(tx, access, number, &row, &old, &new, Op::Restore)
}

/// What a reader sees of an entry: the row, and which sections are open to them.
///
/// # Errors
///
/// [`Error::NotFound`] when they may see nothing of it, or it is not there.
pub fn get_shared<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Entry>) -> Result<(Row, Sections)> {
    let link = access.link().ok_or(Error::NotFound)?;
    let open = grants::store::visible(tx, access, link, &[id.any()])?;
    let sections = *open.get(&id.any()).ok_or(Error::NotFound)?;
    let row = store::list_done(tx, access, &[id])?.pop().ok_or(Error::NotFound)?;
    access.returns(id.uuid());
    Ok((row, sections))
}

/// Notes that the therapist at work has opened an entry; the first time counts.
///
/// # Errors
///
/// [`Error::NotFound`] when they may not see it.
pub fn mark_opened(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Entry>) -> Result<Timestamp> {
    let _visible = get_shared(tx, access, id)?;
    grants::store::insert_opening(tx, access, id.any(), access.account()?)
}
