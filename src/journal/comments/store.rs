//! The rows of comments.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use jiff::Timestamp;
use uuid::Uuid;

use crate::authentic;
use crate::care::Access;
use crate::care::access::Write;
use crate::changes::Bytes;
use crate::db::authentic::{checked, checked_page};
use crate::db::schema::comments;
use crate::db::{At, Stored, Tx, columns};
use crate::kernel::id::{Account, CareLink, Comment, Entry, Patient};
use crate::kernel::page::PageRequest;
use crate::kernel::{Id, Result};

authentic! {
    /// A comment without its sealed text. Its link says in which thread it stands: who reads it, unless it is held.
    #[derive(Copy)]
    pub struct CommentKey of comments {
        /// Its id.
        id: Id<Comment>,
        /// The patient.
        patient_id: Id<Patient>,
        /// The entry.
        entry_id: Id<Entry>,
        /// The link of its thread.
        link_id: Id<CareLink>,
        /// The account that wrote it.
        author_id: Id<Account>,
        /// Its version.
        version: i64,
        /// The instant of its creation.
        created_at: At,
        /// Whether the thread was closed when it arrived: only the patient reads it, for good.
        held: bool,
    }
}

/// A comment as it is stored.
#[derive(Clone, Debug)]
pub struct CommentRow {
    /// What decides.
    pub key: CommentKey,
    /// The sealed text.
    pub doc: Vec<u8>,
}

type Found = (Stored<CommentKey>, Vec<u8>);

fn comments_of(tx: &Tx<'_>, found: Vec<Found>) -> Result<Vec<CommentRow>> {
    let mut rows = Vec::with_capacity(found.len());
    for (key, doc) in found {
        rows.extend(key.checked(tx)?.map(|key| CommentRow { key, doc }));
    }
    Ok(rows)
}

pub(super) fn insert(tx: &mut Tx<'_>, row: &CommentRow) -> Result<()> {
    let values = (row.key.signed(tx)?, comments::doc.eq(&row.doc));
    diesel::insert_into(comments::table).values(values).execute(tx.conn())?;
    Ok(())
}

/// Changes what decides about a comment.
pub(super) fn update(tx: &mut Tx<'_>, key: CommentKey) -> Result<()> {
    let own = comments::table.filter(comments::patient_id.eq(key.patient_id)).filter(comments::id.eq(key.id));
    diesel::update(own).set(key.signed(tx)?).execute(tx.conn())?;
    Ok(())
}

/// Finds a comment.
pub fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Comment>) -> Result<Option<CommentRow>> {
    let own = comments::table.filter(comments::patient_id.eq(access.patient())).filter(comments::id.eq(id));
    let found: Vec<Found> = own.select((columns::<Stored<CommentKey>>(), comments::doc)).load(tx.conn())?;
    Ok(comments_of(tx, found)?.pop())
}

/// Lists the patient's comments among `ids`, in no order.
pub fn list_among<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Comment>]) -> Result<Vec<CommentRow>> {
    let own = comments::table.filter(comments::patient_id.eq(access.patient()));
    let found: Vec<Found> = own
        .filter(comments::id.eq_any(ids.to_vec()))
        .select((columns::<Stored<CommentKey>>(), comments::doc))
        .load(tx.conn())?;
    comments_of(tx, found)
}

/// Lists the comments on all of the patient's entries, by id, after `after`.
pub fn list_all<A>(tx: &mut Tx<'_>, access: &Access<A>, after: Id<Comment>, rows: i64) -> Result<Vec<CommentRow>> {
    let read = |tx: &mut Tx<'_>, after: Option<Id<Comment>>, rows: i64| {
        let found: Vec<Found> = comments::table
            .filter(comments::patient_id.eq(access.patient()))
            .filter(comments::id.gt(after.unwrap_or(Id::from_uuid(Uuid::nil()))))
            .order(comments::id)
            .limit(rows)
            .select((columns::<Stored<CommentKey>>(), comments::doc))
            .load(tx.conn())?;
        Ok(found)
    };
    checked_page(tx, (Some(after), rows), read, |key: &CommentKey| key.id, comments_of)
}

/// Lists the comments on all of the patient's entries without their texts, in no order.
pub fn list_keys<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<CommentKey>> {
    let own = comments::table.filter(comments::patient_id.eq(access.patient()));
    let found: Vec<Stored<CommentKey>> = own.select(columns::<Stored<CommentKey>>()).load(tx.conn())?;
    checked(tx, found)
}

/// Lists the comments on these entries without their texts, in no order.
pub fn list_keys_on<A>(tx: &mut Tx<'_>, access: &Access<A>, entries: &[Id<Entry>]) -> Result<Vec<CommentKey>> {
    let own = comments::table.filter(comments::patient_id.eq(access.patient()));
    let found: Vec<Stored<CommentKey>> = own
        .filter(comments::entry_id.eq_any(entries.to_vec()))
        .select(columns::<Stored<CommentKey>>())
        .load(tx.conn())?;
    checked(tx, found)
}

/// Lists the comments of an entry, oldest first; of one thread without those that are held, or all.
pub(super) fn list<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    entry: Id<Entry>,
    thread: Option<Id<CareLink>>,
    page: PageRequest<(Timestamp, Id<Comment>)>,
) -> Result<Vec<CommentRow>> {
    let read = |tx: &mut Tx<'_>, after: Option<(Timestamp, Id<Comment>)>, rows: i64| {
        let mut query = comments::table
            .filter(comments::patient_id.eq(access.patient()))
            .filter(comments::entry_id.eq(entry))
            .select((columns::<Stored<CommentKey>>(), comments::doc))
            .into_boxed();
        if let Some(link) = thread {
            query = query.filter(comments::link_id.eq(link)).filter(comments::held.eq(false));
        }
        if let Some((at, id)) = after {
            let later = comments::created_at.gt(At(at)).or(comments::id.gt(id));
            query = query.filter(comments::created_at.ge(At(at))).filter(later);
        }
        let found: Vec<Found> = query.order((comments::created_at, comments::id)).limit(rows).load(tx.conn())?;
        Ok(found)
    };
    let place = |key: &CommentKey| (key.created_at.0, key.id);
    checked_page(tx, (page.after, page.rows()), read, place, comments_of)
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

/// Counts the comments of an entry, in all threads: those that are held, or the others.
pub(super) fn count(tx: &mut Tx<'_>, access: &Access<Write>, entry: Id<Entry>, held: bool) -> Result<i64> {
    let own = comments::table.filter(comments::patient_id.eq(access.patient())).filter(comments::held.eq(held));
    Ok(own.filter(comments::entry_id.eq(entry)).count().get_result(tx.conn())?)
}

/// Deletes the comments of an entry.
pub(in crate::journal) fn delete_all(tx: &mut Tx<'_>, access: &Access<Write>, entry: Id<Entry>) -> Result<()> {
    let own = comments::table.filter(comments::patient_id.eq(access.patient())).filter(comments::entry_id.eq(entry));
    let length = sql::<BigInt>("CAST(coalesce(sum(length(doc)), 0) AS bigint)");
    let bytes: i64 = own.select(length).get_result(tx.conn())?;
    access.frees(Bytes { text: 0, comments: bytes });
    diesel::delete(own).execute(tx.conn())?;
    Ok(())
}
