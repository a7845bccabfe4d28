//! Opening and closing.

use super::model::{GrantDoc, Reader, Rule, Target};
use super::store::{self, GrantRow};
use crate::care::Access;
use crate::care::access::Write;
use crate::care::follow::plan_follows;
use crate::changes::{self, Change, Entity, Op};
use crate::db::{At, Tx};
use crate::exercises;
use crate::idempotency::Done;
use crate::items::ItemTable as _;
use crate::journal;
use crate::kernel::id::{Any, Entry, Grant, Patient};
use crate::kernel::{Code, Error, Id, Result};
use crate::vault::{Keys, Place, Purpose};

fn place(patient: Id<Patient>, id: Id<Grant>) -> Place {
    Place { table: "grants", column: "doc", subject: patient.uuid(), row: id.uuid(), revision: 1 }
}

/// Opens the document of a grant.
pub fn open(keys: &Keys, patient: Id<Patient>, row: &GrantRow) -> Result<GrantDoc> {
    keys.open_json(&place(patient, row.id), &row.doc)
}

/// Makes a grant; the same again changes nothing.
///
/// # Errors
///
/// [`Error::Deleted`] when it was ended, [`Code::AlreadyExists`] when it says something else, [`Error::NotFound`] for
/// an item that is not there, [`Code::NotShareable`] for a draft, [`Error::Invalid`] for a reader without an active
/// link and for an end in the past.
pub fn put(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Grant>, doc: &GrantDoc) -> Result<(Done, GrantRow)> {
    let therapist = match doc.reader {
        Reader::Therapist(account) => Some(account),
        Reader::CareTeam => None,
    };
    let links = store::hold_active(tx, access, therapist)?;
    let number = changes::take(tx, access.patient(), 1)?;
    if let Some(row) = store::find(tx, access, id)? {
        return match (&row.closed_at, open(access.keys()?, access.patient(), &row)? == *doc) {
            (Some(_), _) => Err(Error::Deleted),
            (None, true) => Ok((Done::ok(id.uuid()), row)),
            (None, false) => Err(Error::Conflict(Code::AlreadyExists, Some(id.uuid()))),
        };
    }
    if links.is_empty() {
        return Err(match therapist {
            Some(_) => Error::field("/reader/account_id", "is not a therapist with an active link to you"),
            None => Error::field("/reader", "there is no active care link"),
        });
    }
    if doc.expires_at.is_some_and(|until| until <= access.now()) {
        return Err(Error::field("/expires_at", "must be in the future"));
    }
    let items = match &doc.target {
        Target::Entry(entry) => {
            let state = journal::store::EntryTable::find_state(tx, access, entry.any())?;
            vec![shareable(entry.any(), state.map(|state| (state.draft, state.deleted)))?]
        }
        Target::ExerciseResponse(response) => {
            let state = exercises::store::ResponseTable::find_state(tx, access, response.any())?;
            vec![shareable(response.any(), state.map(|state| (state.draft, state.deleted)))?]
        }
        Target::Rule(rule) => matching(tx, access, rule)?.into_iter().map(Id::any).collect(),
    };
    let sealed = access.keys()?.seal_json(Purpose::Journal, &place(access.patient(), id), doc)?;
    let row =
        GrantRow { id, doc: sealed, created_at: At(access.now()), expires_at: doc.expires_at.map(At), closed_at: None };
    store::insert(tx, access, &row, doc.sections.bits(doc.rule().is_some()), &links)?;
    for item in items {
        store::insert_item(tx, access, id, item)?;
    }
    let change = Change::new(Entity::Grant, id, 1, Op::Create);
    changes::insert(tx, access.patient(), number, access.actor(), access.now(), &[change])?;
    plan_follows(tx, access)?;
    Ok((Done::created(id.uuid()), row))
}

/// The item, if it can be opened to somebody: it is there and done. `state` is whether it is a draft, and deleted.
fn shareable(item: Id<Any>, state: Option<(bool, bool)>) -> Result<Id<Any>> {
    match state {
        Some((false, false)) => Ok(item),
        Some((true, false)) => Err(Error::conflict(Code::NotShareable)),
        Some((_, true)) | None => Err(Error::NotFound),
    }
}

/// The done entries that fall under a rule now.
fn matching(tx: &mut Tx<'_>, access: &Access<Write>, rule: &Rule) -> Result<Vec<Id<Entry>>> {
    let mut found = Vec::new();
    for (entry, kind, answers_prompt) in journal::store::list_kinds(tx, access, rule.answers_prompt)? {
        if rule.matches(kind.name(), answers_prompt) {
            found.push(entry);
        }
    }
    Ok(found)
}

/// Ends a grant; ended again, nothing changes.
///
/// # Errors
///
/// [`Error::NotFound`] when there is no such grant.
pub fn delete(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Grant>) -> Result<()> {
    store::hold_readers(tx, access, id)?;
    let number = changes::take(tx, access.patient(), 1)?;
    let row = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
    if row.closed_at.is_some() {
        return Ok(());
    }
    store::mark_closed(tx, access, id)?;
    let change = Change::new(Entity::Grant, id, 2, Op::Delete);
    changes::insert(tx, access.patient(), number, access.actor(), access.now(), &[change])?;
    plan_follows(tx, access)
}

/// Puts an entry under the rules that it falls under now. Called when it has become done, and when its kind or whether
/// it answers a prompt has changed (then `before` is true: it leaves the rules that it falls under no more).
pub fn on_entry(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    entry: Id<Entry>,
    kind: &str,
    answers_prompt: bool,
    before: bool,
) -> Result<()> {
    for row in store::list_by_rule(tx, access)? {
        let doc = open(access.keys()?, access.patient(), &row)?;
        let falls = doc.rule().is_some_and(|rule| rule.matches(kind, answers_prompt));
        if falls {
            store::insert_item(tx, access, row.id, entry.any())?;
        } else if before {
            store::delete_item(tx, access, row.id, entry.any())?;
        }
    }
    Ok(())
}

/// Takes an item out of every grant: what it says now is not what was opened. A grant of that item alone is closed.
pub fn drop_item(tx: &mut Tx<'_>, access: &Access<Write>, item: Id<Any>) -> Result<()> {
    let alone = store::list_of_item_alone(tx, access, item)?;
    if !alone.is_empty() {
        let first = changes::take(tx, access.patient(), alone.len())?;
        let mut list = Vec::with_capacity(alone.len());
        for (id, version) in alone {
            store::mark_closed(tx, access, id)?;
            list.push(Change::new(Entity::Grant, id, version + 1, Op::Delete));
        }
        changes::insert(tx, access.patient(), first, access.actor(), access.now(), &list)?;
    }
    store::delete_item_everywhere(tx, access, item)
}
