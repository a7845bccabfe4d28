//! Writing entries; the rest is what is done to everything that keeps its revisions ([`Kept`]).

use jiff::Timestamp;

use super::hooks;
use super::model::{Content, Header};
use super::seal::{Of, Opened, Parts, Section};
use super::store::{self, Row};
use crate::care::Access;
use crate::care::access::Write;
use crate::care::grants::{self, Sections};
use crate::changes::{self, Entity};
use crate::db::Tx;
use crate::http::Preconditions;
use crate::idempotency::Done;
use crate::kernel::id::{Entry, Patient};
use crate::kernel::{Error, Id, Result};
use crate::revisions::Kept;
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
        let (id, version, parts, now) = (put.id, 1, put.fresh.clone(), access.now());
        let row = Row { id, version, parts, received_at: now, updated_at: now, deleted_at: None };
        let (number, created) = store::create(tx, access, &row, &put.content.header)?;
        if created {
            tell(tx, access, put.id, None, &put.content)?;
            return Ok((Done::created(put.id.uuid()), row));
        }
        number
    };
    let row = store::find(tx, access, put.id)?.ok_or(Error::Stale)?;
    Ok((Done::ok(put.id.uuid()), Entries::replace(tx, access, number, row, &put.content, &put.if_)?))
}

/// Entries, as things that keep their revisions.
#[derive(Debug)]
pub enum Entries {}

impl Kept for Entries {
    type Kind = Entry;
    type Parts = Parts;
    type Content = Content;

    const ENTITY: Entity = Entity::Entry;
    const SECTIONS: Sections = Sections::ENTRY;

    fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Entry>) -> Result<Option<Row>> {
        store::find(tx, access, id)
    }

    fn find_done<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Entry>) -> Result<Option<Row>> {
        Ok(store::list_done(tx, access, &[id])?.pop())
    }

    fn update(tx: &mut Tx<'_>, access: &Access<Write>, row: &Row, content: &Content) -> Result<()> {
        store::update(tx, access, row, &content.header)
    }

    fn mark_deleted(tx: &mut Tx<'_>, access: &Access<Write>, row: &Row) -> Result<()> {
        store::mark_deleted(tx, access, row)
    }

    fn content(keys: &Keys, patient: Id<Patient>, entry: Id<Entry>, parts: &Parts) -> Result<Content> {
        Ok(Of { patient, entry }.open(keys, parts, Sections::ALL)?.content)
    }

    fn sealed(
        access: &Access<Write>,
        row: &Row,
        change: (&Content, &Content),
        version: i64,
    ) -> Result<(Parts, Vec<Section>)> {
        let of = Of { patient: access.patient(), entry: row.id };
        of.revised(access.keys()?, &row.parts, change, version, access.now())
    }

    fn check(tx: &mut Tx<'_>, access: &Access<Write>, old: &Content, new: &Content) -> Result<()> {
        if new.header.draft && !old.header.draft {
            return Err(Error::field("/status", "what is done does not become a draft again"));
        }
        hooks::check_links(tx, access, &new.header, Some(&old.header))
    }

    fn tell(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Entry>, (old, new): (&Content, &Content)) -> Result<()> {
        tell(tx, access, id, Some(old), new)
    }

    fn tell_gone(tx: &mut Tx<'_>, access: &Access<Write>, row: &Row) -> Result<()> {
        let takeaway = hooks::is_takeaway(&open(access.keys()?, access.patient(), row)?.content);
        hooks::plan_follows(tx, access, takeaway)
    }

    fn in_state_of(now: &Content, mut restored: Content) -> Content {
        restored.header.draft = now.header.draft;
        restored
    }
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
