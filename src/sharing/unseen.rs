//! What comes of grants and revocations that did not know of each other, because they were made on phones that were
//! offline: a revocation wins, whichever of the two arrives first.

use super::actions::{NewGrant, Terms, delete, put};
use crate::care::grants::store::{self, GrantKey, GrantRow};
use crate::care::grants::{GrantDoc, Reader, Rule, Target, end, list_revoked_since, new_row, open};
use crate::care::store::list_links_of_patient;
use crate::care::{Access, Write};
use crate::changes::{self, Change, Entity, Op};
use crate::db::{At, Tx};
use crate::idempotency::Outcome;
use crate::journal::store::{RuleFacts, find_rule_facts};
use crate::kernel::id::{Entry, Grant};
use crate::kernel::{Error, Id, Result};

/// The grants named in one statement.
const AT_ONCE: usize = 200;

/// Makes a grant that was decided when the phone had seen the changes up to `seen`, in the place of the grants
/// `replaced`. Returns `None` if a later revocation covers it. Entries whose own grants were revoked later stay out of a
/// grant by rule.
///
/// # Errors
///
/// Those of [`put`] and of [`revoke`].
pub fn put_unseen(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (id, new): (Id<Grant>, &NewGrant),
    (seen, replaced): (i64, &[Id<Grant>]),
    terms: Terms,
) -> Result<Option<Outcome<GrantRow>>> {
    let doc = &new.doc;
    let Some(revoked) = revoked_since(tx, access, doc, seen)? else { return Ok(None) };
    let outcome = match put(tx, access, (id, new), terms) {
        Err(Error::Deleted) => return Ok(None),
        made => made?,
    };
    if !revoked.is_empty() {
        // The grant may have been there before.
        access.skip_number(tx)?;
    }
    for entry in revoked {
        store::delete_item(tx, access, &[id], entry.any())?;
    }
    for old in replaced {
        match delete(tx, access, *old) {
            Err(Error::NotFound) => keep_closed(tx, access, (*old, doc))?,
            done => done?,
        }
    }
    Ok(Some(outcome))
}

/// Ends a grant, and every grant of its target to one of its readers that was made after `seen`. One that the server
/// does not know is kept as ended, with what the phone says `of` it, so that it opens nothing when it arrives late.
///
/// # Errors
///
/// [`Error::Invalid`] for an unknown grant of which the phone says nothing.
pub fn revoke(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Grant>, of: Option<&GrantDoc>, seen: i64) -> Result<()> {
    access.lock(tx)?;
    tx.follow_up();
    let doc = if let Some(row) = store::find(tx, access, id)? {
        if row.key.closed_at.is_none() {
            end(tx, access, &[row.key])?;
        }
        // What a damaged grant was about is not known: it alone is ended.
        let Some(doc) = Error::skip_damaged(open(access.keys()?, access.patient(), &row))? else { return Ok(()) };
        doc
    } else {
        let doc = of.ok_or_else(|| Error::field("/target", "is required for a grant that the server never had"))?;
        keep_closed(tx, access, (id, doc))?;
        doc.clone()
    };
    let made = changes::list_grants_since(tx, access.patient(), Op::Create, seen, i64::MAX)?;
    let made: Vec<Id<Grant>> = made.into_iter().rev().map(|(_, id)| id).collect();
    for some in made.chunks(AT_ONCE) {
        for row in store::list_among(tx, access, some)? {
            if row.key.closed_at.is_none() {
                withdraw(tx, access, &doc, &row)?;
            }
        }
    }
    Ok(())
}

/// Ends an open grant that `revoked` covers, or takes the entry out of it that was revoked.
fn withdraw(tx: &mut Tx<'_>, access: &Access<Write>, revoked: &GrantDoc, row: &GrantRow) -> Result<()> {
    let Some(doc) = Error::skip_damaged(open(access.keys()?, access.patient(), row))? else { return Ok(()) };
    match covers(tx, access, revoked, &doc)? {
        Covers::Nothing => Ok(()),
        Covers::All => end(tx, access, &[row.key]),
        Covers::Entry(entry) => {
            access.skip_number(tx)?;
            store::delete_item(tx, access, &[row.key.id], entry.any())
        }
    }
}

/// Stores a grant that arrives after its end.
fn keep_closed(tx: &mut Tx<'_>, access: &Access<Write>, (id, doc): (Id<Grant>, &GrantDoc)) -> Result<()> {
    let row = new_row(tx, access, (id, doc), None)?;
    let key = GrantKey { closed_at: Some(At(access.now())), ..row.key };
    store::insert(tx, access, &GrantRow { key, ..row }, &[], false)?;
    access.record(tx, Change::new(Entity::Grant, id, key.version, Op::Delete))
}

/// Returns the entries that were revoked after `seen` for a reader of `doc`, a grant by rule; `None` if a revocation
/// after `seen` covers all of `doc`.
fn revoked_since(tx: &mut Tx<'_>, access: &Access<Write>, doc: &GrantDoc, seen: i64) -> Result<Option<Vec<Id<Entry>>>> {
    let patient = access.patient();
    let item = match doc.target {
        Target::Entry(id) => Some((Entity::Entry, id.any())),
        Target::ExerciseResponse(id) => Some((Entity::Response, id.any())),
        Target::Rule(_) => None,
    };
    // What was deleted, brought back or given an earlier text is open to nobody.
    if let Some((entity, id)) = item
        && changes::was_replaced_since(tx, patient, (entity, id), seen)?
    {
        return Ok(None);
    }
    for link in list_links_of_patient(tx, patient, None, i64::MAX)? {
        let ended = link.ended_at.is_some() && doc.reader.overlaps(Reader::Therapist(link.therapist));
        let at =
            if ended { changes::number_of(tx, patient, Entity::CareLink, link.id.any(), link.version)? } else { None };
        if at.is_some_and(|at| at > seen) {
            return Ok(None);
        }
    }
    let Some(revocations) = list_revoked_since(tx, access, seen)? else { return Ok(None) };
    let mut entries = Vec::new();
    for revoked in revocations {
        match covers(tx, access, &revoked, doc)? {
            Covers::Nothing => {}
            Covers::All => return Ok(None),
            Covers::Entry(entry) => entries.push(entry),
        }
    }
    Ok(Some(entries))
}

/// The part of a grant that a revocation covers.
enum Covers {
    Nothing,
    All,
    Entry(Id<Entry>),
}

/// Tells what the revocation of one grant covers of another one. A rule covers every entry that falls under it.
fn covers(tx: &mut Tx<'_>, access: &Access<Write>, revoked: &GrantDoc, doc: &GrantDoc) -> Result<Covers> {
    if !revoked.reader.overlaps(doc.reader) {
        return Ok(Covers::Nothing);
    }
    Ok(match (&revoked.target, &doc.target) {
        (one, other) if one == other => Covers::All,
        (Target::Rule(rule), Target::Entry(entry)) => match find_rule_facts(tx, access, *entry)? {
            Some(RuleFacts { kind, answers_prompt, .. }) if rule.matches(kind.name(), answers_prompt) => Covers::All,
            _ => Covers::Nothing,
        },
        (Target::Rule(one), Target::Rule(other)) if may_meet(one, other) => Covers::All,
        (Target::Entry(entry), Target::Rule(_)) => Covers::Entry(*entry),
        _ => Covers::Nothing,
    })
}

/// Whether an entry can fall under both rules.
fn may_meet(one: &Rule, other: &Rule) -> bool {
    one.kind.is_none() || other.kind.is_none() || one.kind == other.kind
}
