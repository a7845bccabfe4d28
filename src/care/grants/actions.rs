//! The sealed document of a grant, and the upkeep of the grants' items.

use jiff::Timestamp;

use super::model::{GrantDoc, Sections};
use super::store::{self, GrantKey, GrantRow};
use crate::care::Access;
use crate::care::access::Write;
use crate::changes::{Change, Entity, Op};
use crate::db::Tx;
use crate::kernel::id::{Any, Entry, Grant, Patient};
use crate::kernel::{Error, Id, Result};
use crate::vault::{Keys, Purpose, SealContext};

fn place(patient: Id<Patient>, id: Id<Grant>) -> SealContext {
    SealContext { table: "grants", column: "doc", subject: patient.uuid(), row: id.uuid(), revision: 1 }
}

/// Seals the document of a grant.
///
/// # Errors
///
/// When the keys do not seal.
pub fn seal(keys: &Keys, patient: Id<Patient>, id: Id<Grant>, doc: &GrantDoc) -> Result<Vec<u8>> {
    keys.seal_json(Purpose::Journal, &place(patient, id), doc)
}

/// Opens the document of a grant.
///
/// # Errors
///
/// When the row was changed, or sealed with other keys.
pub fn open(keys: &Keys, patient: Id<Patient>, row: &GrantRow) -> Result<GrantDoc> {
    open_doc(keys, patient, row.key.id, &row.doc)
}

/// Opens a document of a grant that is kept outside its row.
///
/// # Errors
///
/// As [`open`].
pub fn open_doc(keys: &Keys, patient: Id<Patient>, id: Id<Grant>, doc: &[u8]) -> Result<GrantDoc> {
    keys.open_json(&place(patient, id), doc)
}

/// Adds an entry to the grants by rule that it matches now. Called when it has become done, and when its kind or
/// whether it answers a prompt has changed. In the second case `before` is true: the entry leaves the grants that it no
/// longer matches.
pub fn on_entry(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (entry, occurred_at): (Id<Entry>, Timestamp),
    kind: &str,
    answers_prompt: bool,
    before: bool,
) -> Result<()> {
    for row in store::list_by_rule(tx, access)? {
        // A rule that does not open opens nothing new, and what has changed leaves it.
        let doc = Error::skip_damaged(open(access.keys()?, access.patient(), &row))?;
        let falls = doc.as_ref().and_then(GrantDoc::rule).is_some_and(|rule| rule.matches(kind, answers_prompt));
        if falls {
            store::insert_item(tx, access, row.key.id, (entry.any(), occurred_at))?;
        } else if before {
            store::delete_item(tx, access, row.key.id, entry.any())?;
        }
    }
    Ok(())
}

/// Takes an item of a kind with sections `of` out of every grant, because its present text is not what was opened. A
/// grant of that item alone is closed.
pub fn drop_item(tx: &mut Tx<'_>, access: &Access<Write>, of: Sections, item: Id<Any>) -> Result<()> {
    let alone = store::list_of_item_alone(tx, access, of, item)?;
    if !alone.is_empty() {
        access.lock(tx)?;
    }
    end(tx, access, &alone)?;
    store::delete_item_everywhere(tx, access, of, item)
}

/// Ends grants that are open.
///
/// # Errors
///
/// When the database cannot be written.
pub fn end(tx: &mut Tx<'_>, access: &Access<Write>, open: &[GrantKey]) -> Result<()> {
    let mut closed = Vec::with_capacity(open.len());
    for key in open {
        let version = store::mark_closed(tx, access, key)?;
        closed.push(Change::new(Entity::Grant, key.id, version, Op::Delete));
    }
    access.record_all(tx, &closed)
}

/// Ends grants that have expired, as many as one unit ends, and returns their number.
///
/// # Errors
///
/// When the database cannot be written.
pub fn end_expired(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<usize> {
    let expired = store::list_expired(tx, access)?;
    if !expired.is_empty() {
        access.lock(tx)?;
    }
    end(tx, access, &expired)?;
    Ok(expired.len())
}
