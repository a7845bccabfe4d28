//! The rows of comments.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::care::Access;
use crate::care::access::Write;
use crate::changes::Bytes;
use crate::db::schema::comments;
use crate::db::{At, Tx};
use crate::kernel::id::{Account, Any, CareLink, Comment, Entry};
use crate::kernel::page::PageRequest;
use crate::kernel::{Id, Result};

/// A comment as it is stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = comments)]
pub struct CommentRow {
    /// Its id.
    pub id: Id<Comment>,
    /// The entry.
    pub entry_id: Id<Entry>,
    /// The link of its thread.
    pub link_id: Id<CareLink>,
    /// The account that wrote it.
    pub author_id: Id<Account>,
    /// The sealed text.
    pub doc: Vec<u8>,
    /// The instant of its creation.
    pub created_at: At,
}

pub(super) fn insert(tx: &mut Tx<'_>, access: &Access<Write>, row: &CommentRow) -> Result<()> {
    diesel::insert_into(comments::table)
        .values((
            comments::patient_id.eq(access.patient()),
            comments::id.eq(row.id),
            comments::entry_id.eq(row.entry_id),
            comments::link_id.eq(row.link_id),
            comments::author_id.eq(row.author_id),
            comments::doc.eq(&row.doc),
            comments::version.eq(1_i64),
            comments::created_at.eq(row.created_at),
        ))
        .execute(tx.conn())?;
    Ok(())
}

pub(super) fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Comment>) -> Result<Option<CommentRow>> {
    let own = comments::table.filter(comments::patient_id.eq(access.patient()));
    Ok(own.filter(comments::id.eq(id)).select(CommentRow::as_select()).first(tx.conn()).optional()?)
}

/// Lists the comments of an entry, oldest first; of one thread, or of all.
pub(super) fn list<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    entry: Id<Entry>,
    thread: Option<Id<CareLink>>,
    page: PageRequest<Id<Comment>>,
) -> Result<Vec<CommentRow>> {
    let mut query = comments::table
        .filter(comments::patient_id.eq(access.patient()))
        .filter(comments::entry_id.eq(entry))
        .select(CommentRow::as_select())
        .into_boxed();
    if let Some(link) = thread {
        query = query.filter(comments::link_id.eq(link));
    }
    if let Some(after) = page.after {
        query = query.filter(comments::id.gt(after));
    }
    Ok(query.order(comments::id).limit(page.rows()).load(tx.conn())?)
}

/// Whether an entry has comments in a thread.
pub(super) fn exists<A>(tx: &mut Tx<'_>, access: &Access<A>, entry: Id<Entry>, thread: Id<CareLink>) -> Result<bool> {
    let own = comments::table.filter(comments::patient_id.eq(access.patient()));
    let found: Option<Id<Comment>> = own
        .filter(comments::entry_id.eq(entry))
        .filter(comments::link_id.eq(thread))
        .select(comments::id)
        .first(tx.conn())
        .optional()?;
    Ok(found.is_some())
}

/// Counts the comments of an entry, in all threads.
pub(super) fn count(tx: &mut Tx<'_>, access: &Access<Write>, entry: Id<Entry>) -> Result<i64> {
    let own = comments::table.filter(comments::patient_id.eq(access.patient()));
    Ok(own.filter(comments::entry_id.eq(entry)).count().get_result(tx.conn())?)
}

/// Deletes the comments of an entry.
pub(in crate::journal) fn delete_all(tx: &mut Tx<'_>, access: &Access<Write>, entry: Id<Any>) -> Result<()> {
    let own = comments::table.filter(comments::patient_id.eq(access.patient())).filter(comments::entry_id.eq(entry));
    let length = sql::<BigInt>("CAST(coalesce(sum(length(doc)), 0) AS bigint)");
    let bytes: i64 = own.select(length).get_result(tx.conn())?;
    access.frees(Bytes { text: 0, comments: bytes });
    diesel::delete(own).execute(tx.conn())?;
    Ok(())
}
