//! The actions on comments: writing and reading.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::store;
pub use super::store::{CommentKey, CommentRow};
use crate::care::Access;
use crate::care::access::{Read, Write};
use crate::care::grants::{self, Sections};
use crate::changes::{Bytes, Change, Entity, Op};
use crate::db::{At, Tx};
use crate::idempotency::Outcome;
use crate::items::actions as items;
use crate::journal::Entries;
use crate::kernel::id::{CareLink, Comment, Entry, Patient};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Code, Error, Id, Result, Text, limits};
use crate::vault::{Keys, Purpose, SealContext as SealedPlace};

/// A new comment.
#[derive(Clone, Debug)]
pub struct NewComment {
    /// Its id, made by the client.
    pub id: Id<Comment>,
    /// The entry it is about.
    pub entry: Id<Entry>,
    /// The link of its thread; a therapist has only one.
    pub thread: Option<Id<CareLink>>,
    /// The text.
    pub body: Text<4000>,
}

#[derive(Serialize, Deserialize)]
struct Doc {
    body: Text<4000>,
}

fn place(patient: Id<Patient>, id: Id<Comment>) -> SealedPlace {
    SealedPlace { table: "comments", column: "doc", subject: patient.uuid(), row: id.uuid(), revision: 1 }
}

/// Opens the text of a comment.
///
/// # Errors
///
/// When it cannot be opened with the patient's keys.
pub fn open(keys: &Keys, patient: Id<Patient>, row: &CommentRow) -> Result<Text<4000>> {
    Ok(keys.open_json::<Doc>(&place(patient, row.key.id), &row.doc)?.body)
}

/// Finds the thread of an entry that the caller may see; `None` stands for all of them.
fn thread_of<A>(tx: &mut Tx<'_>, access: &Access<A>, entry: Id<Entry>) -> Result<Option<Id<CareLink>>> {
    if access.is_owner() {
        items::get::<Entries, _>(tx, access, entry)?;
        return Ok(None);
    }
    items::get_shared::<Entries, _>(tx, access, entry)?;
    Ok(access.link())
}

/// Adds a comment to a thread. The same comment again changes nothing.
///
/// # Errors
///
/// [`Error::NotFound`] when the caller may not see the entry, [`Code::AlreadyExists`] when the id has another comment,
/// [`Error::LimitReached`], [`Error::State`] when the patient writes in a thread whose therapist may see it no longer.
pub fn put(tx: &mut Tx<'_>, access: &Access<Write>, new: &NewComment) -> Result<Outcome<CommentRow>> {
    access.lock(tx)?;
    let own = thread_of(tx, access, new.entry)?;
    if let Some(row) = store::find(tx, access, new.id)? {
        let thread =
            own.is_none_or(|own| own == row.key.link_id) && new.thread.is_none_or(|asked| asked == row.key.link_id);
        let same = thread && row.key.entry_id == new.entry && row.key.author_id == access.account()?;
        if !same || open(access.keys()?, access.patient(), &row)? != new.body {
            return Err(Error::conflict(Code::AlreadyExists));
        }
        access.returns(new.id.uuid());
        return Ok(Outcome::ok(new.id, row));
    }
    let link_id = match (own, new.thread) {
        (Some(own), None) => own,
        (Some(own), Some(asked)) if own == asked => own,
        (Some(_), Some(_)) => return Err(Error::field("/thread_id", "is not a thread of yours")),
        (None, None) => return Err(Error::field("/thread_id", "is required")),
        (None, Some(asked)) => open_thread(tx, access, new.entry, asked)?,
    };
    let doc = Doc { body: new.body.clone() };
    let key = CommentKey {
        id: new.id,
        patient_id: access.patient(),
        entry_id: new.entry,
        link_id,
        author_id: access.account()?,
        version: tx.first_version(),
        created_at: At(access.now()),
    };
    limits::COMMENTS_OF_ENTRY.admit(store::count(tx, access, new.entry)?)?;
    let doc = access.keys()?.seal_json(Purpose::Journal, &place(access.patient(), new.id), &doc)?;
    let row = CommentRow { key, doc };
    access.stores(Bytes::comments([row.doc.as_slice()]));
    store::insert(tx, &row)?;
    access.record(tx, Change::new(Entity::Comment, new.id, row.key.version, Op::Create))?;
    access.returns(new.id.uuid());
    Ok(Outcome::created(new.id, row))
}

/// Checks the thread that the patient asks for: its therapist must be able to see the entry.
fn open_thread(tx: &mut Tx<'_>, access: &Access<Write>, entry: Id<Entry>, asked: Id<CareLink>) -> Result<Id<CareLink>> {
    if !grants::store::visible(tx, access, asked, Sections::ENTRY, &[entry.any()])?.is_empty() {
        return Ok(asked);
    }
    Err(if store::exists(tx, access, entry, asked)? {
        Error::state("read_only", ["list_comments"])
    } else {
        Error::field("/thread_id", "is not a thread of this entry")
    })
}

/// Finds a comment, if the caller may see it now.
///
/// # Errors
///
/// [`Error::NotFound`].
pub fn get<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Comment>) -> Result<CommentRow> {
    let row = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
    let thread = thread_of(tx, access, row.key.entry_id)?;
    if thread.is_some_and(|own| own != row.key.link_id) {
        return Err(Error::NotFound);
    }
    access.returns(id.uuid());
    Ok(row)
}

/// The place of a comment in its list: clients make the ids, so that only the time orders them.
pub type Place = (Timestamp, Id<Comment>);

/// Lists a page of the comments that the caller may see, oldest first.
///
/// # Errors
///
/// [`Error::NotFound`] when they may not see the entry.
pub fn list(
    tx: &mut Tx<'_>,
    access: &Access<Read>,
    entry: Id<Entry>,
    page: PageRequest<Place>,
) -> Result<Page<CommentRow, Place>> {
    let thread = thread_of(tx, access, entry)?;
    let rows = store::list(tx, access, entry, thread, page)?;
    let page = page.cut(rows, |row| row.doc.len(), |row| (row.key.created_at.0, row.key.id));
    for row in &page.items {
        access.returns(row.key.id.uuid());
    }
    Ok(page)
}
