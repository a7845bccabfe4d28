//! Comments.

use diesel::prelude::*;
use jiff::Timestamp;

use crate::care::Access;
use crate::care::access::Write;
use crate::db::schema::comments;
use crate::db::{At, Tx};
use crate::kernel::id::{Account, Any, CareLink, Comment, Entry};
use crate::kernel::{Id, Result};

/// A comment as it is stored.
#[derive(Clone, Debug)]
pub struct CommentRow {
    /// Its id.
    pub id: Id<Comment>,
    /// The entry.
    pub entry: Id<Entry>,
    /// The link whose thread it is in.
    pub link: Id<CareLink>,
    /// Who wrote it.
    pub author: Id<Account>,
    /// The sealed text.
    pub doc: Vec<u8>,
    /// When.
    pub created_at: Timestamp,
}

type Flat = (Id<Comment>, Id<Entry>, Id<CareLink>, Id<Account>, Vec<u8>, At);
type Columns =
    (comments::id, comments::entry_id, comments::link_id, comments::author_id, comments::doc, comments::created_at);
const COMMENT: Columns =
    (comments::id, comments::entry_id, comments::link_id, comments::author_id, comments::doc, comments::created_at);

fn row((id, entry, link, author, doc, created_at): Flat) -> CommentRow {
    CommentRow { id, entry, link, author, doc, created_at: created_at.0 }
}

pub(super) fn insert(tx: &mut Tx<'_>, access: &Access<Write>, row: &CommentRow) -> Result<()> {
    diesel::insert_into(comments::table)
        .values((
            comments::patient_id.eq(access.patient()),
            comments::id.eq(row.id),
            comments::entry_id.eq(row.entry),
            comments::link_id.eq(row.link),
            comments::author_id.eq(row.author),
            comments::doc.eq(&row.doc),
            comments::version.eq(1_i64),
            comments::created_at.eq(At(row.created_at)),
        ))
        .execute(tx.conn())?;
    Ok(())
}

pub(super) fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Comment>) -> Result<Option<CommentRow>> {
    let found: Option<Flat> = comments::table
        .filter(comments::patient_id.eq(access.patient()))
        .filter(comments::id.eq(id))
        .select(COMMENT)
        .first(tx.conn())
        .optional()?;
    Ok(found.map(row))
}

/// The comments of an entry, oldest first; of one thread, or of all.
pub(super) fn list<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    entry: Id<Entry>,
    thread: Option<Id<CareLink>>,
    after: Option<Id<Comment>>,
    rows: i64,
) -> Result<Vec<CommentRow>> {
    let mut query = comments::table
        .filter(comments::patient_id.eq(access.patient()))
        .filter(comments::entry_id.eq(entry))
        .select(COMMENT)
        .into_boxed();
    if let Some(link) = thread {
        query = query.filter(comments::link_id.eq(link));
    }
    if let Some(after) = after {
        query = query.filter(comments::id.gt(after));
    }
    let rows: Vec<Flat> = query.order(comments::id).limit(rows).load(tx.conn())?;
    Ok(rows.into_iter().map(row).collect())
}

/// Deletes the comments of an entry.
pub(in crate::journal) fn delete_all(tx: &mut Tx<'_>, access: &Access<Write>, entry: Id<Any>) -> Result<()> {
    let own = comments::table.filter(comments::patient_id.eq(access.patient()));
    diesel::delete(own.filter(comments::entry_id.eq(entry))).execute(tx.conn())?;
    Ok(())
}
