//! The actions on comments: writing and reading.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::store;
pub use super::store::{CommentKey, CommentRow};
use crate::care::access::{Read, Write};
use crate::care::grants::{self, Sections};
use crate::care::{Access, store as links};
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
    /// What becomes of it if the patient may not write in that thread.
    pub closed: Closed,
}

/// What becomes of a comment that the patient writes in a thread where they may not write now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It is refused: the person is there to hear of it.
    Refuse,
    /// It is held: stored for the patient alone, because it was written before they could know.
    Hold,
}

/// The thread of a held comment that named none of the patient's.
const NO_THREAD: Id<CareLink> = Id::from_uuid(Uuid::nil());

impl CommentKey {
    /// Returns its thread; `None` for a held comment that named none of the patient's.
    pub fn thread(&self) -> Option<Id<CareLink>> {
        Some(self.link_id).filter(|link| *link != NO_THREAD)
    }
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

/// Makes new versions of the comments of an entry that was undeleted, so that phones are given them again.
///
/// # Errors
///
/// When they cannot be stored.
pub(in crate::journal) fn bring_back(tx: &mut Tx<'_>, access: &Access<Write>, entry: Id<Entry>) -> Result<()> {
    let mut changes = Vec::new();
    for key in store::list_keys_on(tx, access, &[entry])? {
        let key = CommentKey { version: tx.version_after(key.version), ..key };
        store::update(tx, key)?;
        changes.push(Change::new(Entity::Comment, key.id, key.version, Op::Undelete));
    }
    access.record_all(tx, &changes)
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

/// Adds a comment to a thread. The same comment again changes nothing. [`Closed`] says what becomes of one that the
/// patient writes in a thread whose therapist may see it no longer.
///
/// # Errors
///
/// [`Error::NotFound`] when the caller may not see the entry, [`Code::AlreadyExists`] when the id has another comment,
/// [`Error::LimitReached`], [`Error::State`] when it is refused because its thread is closed.
pub fn put(tx: &mut Tx<'_>, access: &Access<Write>, new: &NewComment) -> Result<Outcome<CommentRow>> {
    access.lock(tx)?;
    let (own, deleted) = match (thread_of(tx, access, new.entry), new.closed) {
        // The entry can come back for thirty days, and what was written about it with it.
        (Err(Error::Deleted), Closed::Hold) => (None, true),
        (own, _) => (own?, false),
    };
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
    let (link_id, held) = match (own, new.thread) {
        (Some(own), None) => (own, false),
        (Some(own), Some(asked)) if own == asked => (own, false),
        (Some(_), Some(_)) => return Err(Error::field("/thread_id", "is not a thread of yours")),
        (None, asked) if deleted => (own_link(tx, access, asked)?, true),
        (None, asked) => match (open_thread(tx, access, new.entry, asked), new.closed) {
            (Ok(open), _) => (open, false),
            (Err(Error::State(..) | Error::Invalid(_)), Closed::Hold) => (own_link(tx, access, asked)?, true),
            (Err(refusal), _) => return Err(refusal),
        },
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
        held,
    };
    limits::COMMENTS_OF_ENTRY.admit(store::count(tx, access, new.entry, held)?)?;
    let doc = access.keys()?.seal_json(Purpose::Journal, &place(access.patient(), new.id), &doc)?;
    let row = CommentRow { key, doc };
    access.stores(Bytes::comments([row.doc.as_slice()]));
    store::insert(tx, &row)?;
    access.record(tx, Change::new(Entity::Comment, new.id, row.key.version, Op::Create))?;
    access.returns(new.id.uuid());
    Ok(Outcome::created(new.id, row))
}

/// Checks the thread that the patient asks for: its therapist must be able to see the entry.
fn open_thread(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    entry: Id<Entry>,
    asked: Option<Id<CareLink>>,
) -> Result<Id<CareLink>> {
    let asked = asked.ok_or_else(|| Error::field("/thread_id", "is required"))?;
    if !grants::store::visible(tx, access, asked, Sections::ENTRY, &[entry.any()])?.is_empty() {
        return Ok(asked);
    }
    Err(if store::exists(tx, access, entry, asked)? {
        Error::state("read_only", ["list_comments"])
    } else {
        Error::field("/thread_id", "is not a thread of this entry")
    })
}

/// Returns the thread for a comment that is held: the link that was asked for, if it is one of the patient's, else none.
fn own_link(tx: &mut Tx<'_>, access: &Access<Write>, asked: Option<Id<CareLink>>) -> Result<Id<CareLink>> {
    let all = links::list_links_of_patient(tx, access.patient(), None, i64::MAX)?;
    Ok(all.iter().map(|link| link.id).find(|link| Some(*link) == asked).unwrap_or(NO_THREAD))
}

/// Finds a comment, if the caller may see it now.
///
/// # Errors
///
/// [`Error::NotFound`].
pub fn get<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Comment>) -> Result<CommentRow> {
    let row = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
    let thread = thread_of(tx, access, row.key.entry_id)?;
    if thread.is_some_and(|own| own != row.key.link_id || row.key.held) {
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
