//! Writing and reading comments.

use serde::{Deserialize, Serialize};

use super::store;
pub use super::store::CommentRow;
use crate::care::Access;
use crate::care::access::Write;
use crate::care::grants::{self, Sections};
use crate::changes::{self, Change, Entity, Op};
use crate::db::Tx;
use crate::items::actions as items;
use crate::journal::Entries;
use crate::kernel::id::{CareLink, Comment, Entry, Patient};
use crate::kernel::{Code, Error, Id, Result, Text};
use crate::vault::{Keys, Place, Purpose};

/// A new comment.
#[derive(Clone, Debug)]
pub struct NewComment {
    /// Its id, drawn before the unit.
    pub id: Id<Comment>,
    /// The entry it is about.
    pub entry: Id<Entry>,
    /// The link whose thread it goes to; a therapist has only one.
    pub thread: Option<Id<CareLink>>,
    /// The text.
    pub body: Text<4000>,
}

#[derive(Serialize, Deserialize)]
struct Doc {
    body: Text<4000>,
}

fn place(patient: Id<Patient>, id: Id<Comment>) -> Place {
    Place { table: "comments", column: "doc", subject: patient.uuid(), row: id.uuid(), revision: 1 }
}

/// Opens the text of a comment.
pub fn open(keys: &Keys, patient: Id<Patient>, row: &CommentRow) -> Result<Text<4000>> {
    Ok(keys.open_json::<Doc>(&place(patient, row.id), &row.doc)?.body)
}

/// The thread that the caller may see of an entry; `None` is all of them.
fn thread_of<A>(tx: &mut Tx<'_>, access: &Access<A>, entry: Id<Entry>) -> Result<Option<Id<CareLink>>> {
    if access.is_owner() {
        items::get::<Entries, _>(tx, access, entry)?;
        return Ok(None);
    }
    items::get_shared::<Entries, _>(tx, access, entry)?;
    Ok(access.link())
}

/// Adds a comment to a thread.
///
/// # Errors
///
/// [`Error::NotFound`] when the caller may not see the entry, [`Code::StateConflict`] when the patient writes in a
/// thread whose therapist may see it no longer.
pub fn create(tx: &mut Tx<'_>, access: &Access<Write>, new: &NewComment) -> Result<CommentRow> {
    let link = match (thread_of(tx, access, new.entry)?, new.thread) {
        (Some(own), None) => own,
        (Some(own), Some(asked)) if own == asked => own,
        (Some(_), Some(_)) => return Err(Error::field("/thread_id", "is not a thread of yours")),
        (None, None) => return Err(Error::field("/thread_id", "is required")),
        (None, Some(asked)) => {
            let open = grants::store::visible(tx, access, asked, Sections::ENTRY, &[new.entry.any()])?;
            if open.is_empty() {
                let known = !store::list(tx, access, new.entry, Some(asked), None, 1)?.is_empty();
                return Err(if known {
                    Error::conflict(Code::StateConflict)
                } else {
                    Error::field("/thread_id", "is not a thread of this entry")
                });
            }
            asked
        }
    };
    let number = changes::take(tx, access.patient(), 1)?;
    let doc = Doc { body: new.body.clone() };
    let row = CommentRow {
        id: new.id,
        entry: new.entry,
        link,
        author: access.account()?,
        doc: access.keys()?.seal_json(Purpose::Journal, &place(access.patient(), new.id), &doc)?,
        created_at: access.now(),
    };
    store::insert(tx, access, &row)?;
    let change = Change::new(Entity::Comment, new.id, 1, Op::Create);
    changes::insert(tx, access.patient(), number, access.actor(), access.now(), &[change])?;
    access.returns(new.id.uuid());
    Ok(row)
}

/// A comment, if the caller may see it now.
///
/// # Errors
///
/// [`Error::NotFound`].
pub fn get<A>(tx: &mut Tx<'_>, access: &Access<A>, entry: Id<Entry>, id: Id<Comment>) -> Result<CommentRow> {
    let thread = thread_of(tx, access, entry)?;
    let row = store::find(tx, access, id)?.filter(|row| row.entry == entry);
    let row = row.filter(|row| thread.is_none_or(|link| link == row.link)).ok_or(Error::NotFound)?;
    access.returns(id.uuid());
    Ok(row)
}

/// A page of the comments that the caller may see, oldest first.
///
/// # Errors
///
/// [`Error::NotFound`] when they may not see the entry.
pub fn list<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    entry: Id<Entry>,
    after: Option<Id<Comment>>,
    rows: i64,
) -> Result<Vec<CommentRow>> {
    let thread = thread_of(tx, access, entry)?;
    store::list(tx, access, entry, thread, after, rows)
}
