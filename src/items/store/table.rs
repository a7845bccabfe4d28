//! The table of a kind of item, declared once: its columns, and the statements that read and write them.

use jiff::Timestamp;

use crate::care::{Access, Write};
use crate::changes::Entity;
use crate::db::Tx;
use crate::items::model::{ItemRow, Part};
use crate::kernel::id::{Any, Patient};
use crate::kernel::{Id, Result};

/// The clear columns of an item.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Whether it is still being worked on.
    pub draft: bool,
    /// The instant at which it happened.
    pub occurred_at: Timestamp,
    /// The links, in the order of the columns.
    pub links: Vec<Option<Id<Any>>>,
}

/// The query of a list: its filter and its place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    /// Deleted items that can be undeleted, or those that are not deleted.
    pub deleted: bool,
    /// Drafts, done items, or both.
    pub draft: Option<bool>,
    /// The earliest instant.
    pub from: Option<Timestamp>,
    /// The end of the period, exclusive.
    pub until: Option<Timestamp>,
    /// The required link: its column, and the id.
    pub link: Option<(&'static str, Id<Any>)>,
    /// The place in the order after which it starts.
    pub after: Option<(Timestamp, Id<Any>)>,
    /// The most rows.
    pub rows: i64,
}

impl Scan {
    /// Whether the scan is that of the first page of a list without a filter.
    pub fn is_plain(&self) -> bool {
        matches!(self, Self { deleted: false, draft: None, from: None, until: None, link: None, after: None, rows: _ })
    }
}

/// The state of an item.
#[derive(Clone, Copy, Debug)]
pub struct ItemState {
    /// Whether it is still being worked on.
    pub draft: bool,
    /// Whether it was deleted.
    pub deleted: bool,
    /// The instant at which it happened.
    pub occurred_at: Timestamp,
}

/// The table of a kind of item, declared by [`item_table!`](crate::item_table).
pub trait ItemTable: 'static {
    /// The columns of the links.
    const LINKS: &'static [&'static str];

    /// Replaces the stored row by `row`.
    fn update(tx: &mut Tx<'_>, access: &Access<Write>, row: &ItemRow, columns: &Columns) -> Result<()>;
    /// Marks an item deleted, or not deleted any more.
    fn mark_deleted(tx: &mut Tx<'_>, access: &Access<Write>, row: &ItemRow) -> Result<()>;
    /// Finds the item of that id, deleted or not.
    fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Any>) -> Result<Option<ItemRow>>;
    /// Lists the items among `ids`, drafts and deleted ones too, in any order.
    fn list_all<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Any>]) -> Result<Vec<ItemRow>>;
    /// Lists the ids and versions of all items, drafts too, and whether each was deleted, in any order.
    fn list_versions<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<(Id<Any>, i64, bool)>>;

    /// Lists those of `ids` that are deleted, in any order.
    fn list_deleted<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: Vec<Id<Any>>) -> Result<Vec<Id<Any>>>;
    /// Finds the state of an item.
    fn find_state<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Any>) -> Result<Option<ItemState>>;
    /// Lists the done items among `ids`, in any order.
    fn list_done<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Any>]) -> Result<Vec<ItemRow>>;
    /// Returns those of `ids` that are done items, in any order.
    fn list_done_ids<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Any>]) -> Result<Vec<Id<Any>>>;
    /// Lists the sealed headers of the done items among `ids`, in any order, with the instants at which they happened.
    fn list_done_headers<A>(
        tx: &mut Tx<'_>,
        access: &Access<A>,
        ids: &[Id<Any>],
    ) -> Result<Vec<(Id<Any>, Part, Timestamp)>>;
    /// Lists the next items of a scan, newest first.
    fn list<A>(tx: &mut Tx<'_>, access: &Access<A>, scan: &Scan) -> Result<Vec<ItemRow>>;
    /// Lists the sealed headers of the newest done items of the kind `of`, newest first
    /// ([`sort_newest_first`](crate::items::sort_newest_first)): at most `most`, only those with a link in column
    /// `linked` if one is named.
    fn list_headers<A>(
        tx: &mut Tx<'_>,
        access: &Access<A>,
        of: Entity,
        linked: Option<&'static str>,
        most: i64,
    ) -> Result<Vec<(Id<Any>, Part)>>;
    /// Lists the `most` items that could be undeleted until `now` at the latest and have waited longest, but for those
    /// of the patients in `left_out`.
    fn list_to_purge(
        tx: &mut Tx<'_>,
        now: Timestamp,
        left_out: &[Id<Patient>],
        most: i64,
    ) -> Result<Vec<(Id<Patient>, Id<Any>)>>;
    /// Purges the content of those items of a patient among `ids` that could be undeleted until `now` at the latest,
    /// and returns the bytes that each had. The row stays, so that devices still learn of the deletion.
    fn purge(tx: &mut Tx<'_>, patient: Id<Patient>, ids: &[Id<Any>], now: Timestamp) -> Result<Vec<(Id<Any>, i64)>>;
}

/// Declares the table of a kind of item: a type with [`ItemTable`] from the `diesel` table, the columns of its sections
/// (each with that of its revision) and those of its links. The header stands in `meta`; the columns that every item
/// has have the same names in each table.
///
/// ```ignore
/// item_table!(EntryTable, entries, [text text_rev, mood mood_rev], [infusion_id, prompt_id]);
/// ```
#[macro_export]
macro_rules! item_table {
    ($(#[$doc:meta])* $name:ident, $table:ident, [$($section:ident $rev:ident),* $(,)?], [$($link:ident),* $(,)?]) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        const _: () = {
            use ::diesel::prelude::*;
            use $crate::care::{Access, Write};
            use $crate::changes::Entity;
            use $crate::db::{At, Both, Prepared, Tx, rounded};
            use $crate::items::store::table::ItemState;
            use $crate::items::{Columns, ItemTable, Part, ItemRow, Scan, UNDO, sort_newest_first};
            use $crate::kernel::id::{Any, Patient};
            use $crate::kernel::{Error, Id, Result};

            #[derive(Queryable, Selectable)]
            #[diesel(table_name = $table)]
            struct Stored {
                id: Id<Any>,
                version: i64,
                meta: Vec<u8>,
                meta_rev: i64,
                $($section: Option<Vec<u8>>, $rev: i64,)*
                occurred_at: At,
                received_at: At,
                updated_at: At,
                deleted_at: Option<At>,
            }

            impl From<Stored> for ItemRow {
                fn from(row: Stored) -> Self {
                    Self {
                        id: row.id,
                        version: row.version,
                        parts: vec![
                            Part { rev: row.meta_rev, sealed: Some(row.meta) },
                            $(Part { rev: row.$rev, sealed: row.$section },)*
                        ],
                        occurred_at: row.occurred_at.0,
                        received_at: row.received_at.0,
                        updated_at: row.updated_at.0,
                        deleted_at: row.deleted_at.map(|at| at.0),
                    }
                }
            }

            fn corrupt(id: Id<Any>) -> Error {
                Error::corrupt(stringify!($table), id)
            }

            fn rows(found: Vec<Stored>) -> Vec<ItemRow> {
                found.into_iter().map(ItemRow::from).collect()
            }

            impl ItemTable for $name {
                const LINKS: &'static [&'static str] = &[$(stringify!($link)),*];

                fn update(tx: &mut Tx<'_>, access: &Access<Write>, row: &ItemRow, columns: &Columns) -> Result<()> {
                    let [header, $($section),*] = row.parts.as_slice() else { return Err(corrupt(row.id)) };
                    let [$($link),*] = columns.links.as_slice() else { return Err(corrupt(row.id)) };
                    let header = (header.sealed.as_ref().ok_or_else(|| corrupt(row.id))?, header.rev);
                    let own = $table::table.filter($table::patient_id.eq(access.patient()));
                    Prepared(::diesel::update(own.filter($table::id.eq(row.id))).set((
                        $table::version.eq(row.version),
                        $table::meta.eq(header.0),
                        $table::meta_rev.eq(header.1),
                        $($table::$section.eq(&$section.sealed), $table::$rev.eq($section.rev),)*
                        $table::draft.eq(columns.draft),
                        $($table::$link.eq(*$link),)*
                        $table::occurred_at.eq(At(columns.occurred_at)),
                        $table::updated_at.eq(At(row.updated_at)),
                    )))
                    .run(tx.conn())?;
                    Ok(())
                }

                fn mark_deleted(tx: &mut Tx<'_>, access: &Access<Write>, row: &ItemRow) -> Result<()> {
                    let purge_at = row.deleted_at.map(|at| At(at.saturating_add(UNDO).unwrap_or(at)));
                    let own = $table::table.filter($table::patient_id.eq(access.patient()));
                    Prepared(::diesel::update(own.filter($table::id.eq(row.id))).set((
                        $table::version.eq(row.version),
                        $table::deleted_at.eq(row.deleted_at.map(At)),
                        $table::purge_at.eq(purge_at),
                        $table::updated_at.eq(At(row.updated_at)),
                    )))
                    .run(tx.conn())?;
                    Ok(())
                }

                fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Any>) -> Result<Option<ItemRow>> {
                    let found: Option<Stored> = $table::table
                        .filter($table::patient_id.eq(access.patient()))
                        .filter($table::id.eq(id))
                        .select(Stored::as_select())
                        .first(tx.conn())
                        .optional()?;
                    Ok(found.map(ItemRow::from))
                }

                fn list_all<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Any>]) -> Result<Vec<ItemRow>> {
                    let found: Vec<Stored> = $table::table
                        .filter($table::patient_id.eq(access.patient()))
                        .filter($table::id.eq_any(ids.iter().copied()))
                        .select(Stored::as_select())
                        .load(tx.conn())?;
                    Ok(rows(found))
                }

                fn list_versions<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<(Id<Any>, i64, bool)>> {
                    let own = $table::table.filter($table::patient_id.eq(access.patient()));
                    Ok(own.select(($table::id, $table::version, $table::deleted_at.is_not_null())).load(tx.conn())?)
                }

                fn list_deleted<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: Vec<Id<Any>>) -> Result<Vec<Id<Any>>> {
                    let own = $table::table.filter($table::patient_id.eq(access.patient()));
                    let deleted = own.filter($table::id.eq_any(ids)).filter($table::deleted_at.is_not_null());
                    Ok(deleted.select($table::id).load(tx.conn())?)
                }

                fn find_state<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Any>) -> Result<Option<ItemState>> {
                    let found: Option<(bool, Option<At>, At)> = $table::table
                        .filter($table::patient_id.eq(access.patient()))
                        .filter($table::id.eq(id))
                        .select(($table::draft, $table::deleted_at, $table::occurred_at))
                        .first(tx.conn())
                        .optional()?;
                    Ok(found.map(|(draft, deleted, at)| ItemState { draft, deleted: deleted.is_some(), occurred_at: at.0 }))
                }

                fn list_done<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Any>]) -> Result<Vec<ItemRow>> {
                    let done = $table::table
                        .filter($table::patient_id.eq(access.patient()))
                        .filter($table::id.eq_any(rounded(ids)))
                        .filter($table::deleted_at.is_null())
                        .filter($table::draft.eq(false))
                        .select($crate::db::columns::<Stored>());
                    let found: Vec<Stored> = Both(Prepared(done)).load(tx.conn())?;
                    Ok(rows(found))
                }

                fn list_done_ids<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Any>]) -> Result<Vec<Id<Any>>> {
                    Ok($table::table
                        .filter($table::patient_id.eq(access.patient()))
                        .filter($table::id.eq_any(ids.iter().copied()))
                        .filter($table::deleted_at.is_null())
                        .filter($table::draft.eq(false))
                        .select($table::id)
                        .load(tx.conn())?)
                }

                fn list_done_headers<A>(
                    tx: &mut Tx<'_>,
                    access: &Access<A>,
                    ids: &[Id<Any>],
                ) -> Result<Vec<(Id<Any>, Part, jiff::Timestamp)>> {
                    let headers = $table::table
                        .filter($table::patient_id.eq(access.patient()))
                        .filter($table::id.eq_any(rounded(ids)))
                        .filter($table::deleted_at.is_null())
                        .filter($table::draft.eq(false))
                        .select(($table::id, $table::meta, $table::meta_rev, $table::occurred_at));
                    let found: Vec<(Id<Any>, Vec<u8>, i64, At)> = Both(Prepared(headers)).load(tx.conn())?;
                    let part = |(id, sealed, rev, at): (_, _, _, At)| (id, Part { rev, sealed: Some(sealed) }, at.0);
                    Ok(found.into_iter().map(part).collect())
                }

                fn list<A>(tx: &mut Tx<'_>, access: &Access<A>, scan: &Scan) -> Result<Vec<ItemRow>> {
                    let own = $table::table.filter($table::patient_id.eq(access.patient()));
                    // The beginning of most lists: a statement that is known by its type. The text of the other is written
                    // for every run.
                    if scan.is_plain() {
                        let newest = own.filter($table::deleted_at.is_null()).select($crate::db::columns::<Stored>());
                        let newest = newest.order(($table::occurred_at.desc(), $table::id.desc())).limit(scan.rows);
                        let found: Vec<Stored> = Both(newest).load(tx.conn())?;
                        return Ok(rows(found));
                    }
                    let found: Vec<Stored> = $crate::boxed!(tx, {
                        let mut query = own.select($crate::db::columns::<Stored>()).into_boxed();
                        query = if scan.deleted {
                            // What was deleted before is gone, also while it waits for the task that purges it.
                            let gone = At(access.now().saturating_sub(UNDO).unwrap_or(access.now()));
                            query.filter($table::deleted_at.gt(gone))
                        } else {
                            query.filter($table::deleted_at.is_null())
                        };
                        if let Some(draft) = scan.draft {
                            query = query.filter($table::draft.eq(draft));
                        }
                        if let Some(from) = scan.from {
                            query = query.filter($table::occurred_at.ge(At(from)));
                        }
                        if let Some(until) = scan.until {
                            query = query.filter($table::occurred_at.lt(At(until)));
                        }
                        $(if let Some((stringify!($link), id)) = scan.link {
                            query = query.filter($table::$link.eq(id));
                        })*
                        if let Some((at, id)) = scan.after {
                            query = query
                                .filter($table::occurred_at.le(At(at)))
                                .filter($table::occurred_at.lt(At(at)).or($table::id.lt(id)));
                        }
                        query.order(($table::occurred_at.desc(), $table::id.desc())).limit(scan.rows)
                    })?;
                    Ok(rows(found))
                }

                fn list_headers<A>(
                    tx: &mut Tx<'_>,
                    access: &Access<A>,
                    of: Entity,
                    linked: Option<&'static str>,
                    most: i64,
                ) -> Result<Vec<(Id<Any>, Part)>> {
                    let query = $table::table
                        .filter($table::patient_id.eq(access.patient()))
                        .filter($table::deleted_at.is_null())
                        .filter($table::draft.eq(false))
                        .select(($table::id, $table::meta, $table::meta_rev, $table::occurred_at))
                        .into_boxed();
                    let query = match linked {
                        $(Some(stringify!($link)) => query.filter($table::$link.is_not_null()),)*
                        _ => query,
                    };
                    let newest = query.order(($table::occurred_at.desc(), $table::id.desc()));
                    let mut found: Vec<(Id<Any>, Vec<u8>, i64, At)> = newest.limit(most).load(tx.conn())?;
                    sort_newest_first(tx, access, of, &mut found, |(id, _, _, at)| (at.0, *id))?;
                    let part = |(id, sealed, rev, _)| (id, Part { rev, sealed: Some(sealed) });
                    Ok(found.into_iter().map(part).collect())
                }

                fn list_to_purge(
                    tx: &mut Tx<'_>,
                    now: ::jiff::Timestamp,
                    left_out: &[Id<Patient>],
                    most: i64,
                ) -> Result<Vec<(Id<Patient>, Id<Any>)>> {
                    Ok($table::table
                        .filter($table::purge_at.le(At(now)))
                        .filter($table::patient_id.ne_all(left_out.to_vec()))
                        .order($table::purge_at)
                        .limit(most)
                        .select(($table::patient_id, $table::id))
                        .load(tx.conn())?)
                }

                fn purge(
                    tx: &mut Tx<'_>,
                    patient: Id<Patient>,
                    ids: &[Id<Any>],
                    now: ::jiff::Timestamp,
                ) -> Result<Vec<(Id<Any>, i64)>> {
                    let length = ::diesel::dsl::sql::<::diesel::sql_types::BigInt>(concat!(
                        "CAST(length(meta)",
                        $(" + coalesce(length(", stringify!($section), "), 0)",)*
                        " AS bigint)"
                    ));
                    let old: Vec<(Id<Any>, i64)> = $table::table
                        .filter($table::patient_id.eq(patient))
                        .filter($table::id.eq_any(ids.iter().copied()))
                        .filter($table::purge_at.le(At(now)))
                        .select(($table::id, length))
                        .load(tx.conn())?;
                    let nothing: Option<Vec<u8>> = None;
                    let mut purged = Vec::with_capacity(old.len());
                    for (id, bytes) in old {
                        let own = $table::table.filter($table::patient_id.eq(patient));
                        // Nothing holds the rows: on PostgreSQL one may have come back since it was selected.
                        let still = own.filter($table::id.eq(id)).filter($table::purge_at.le(At(now)));
                        let emptied = ::diesel::update(still)
                            .set((
                                $table::meta.eq(Vec::new()),
                                $($table::$section.eq(&nothing),)*
                                $($table::$link.eq(None::<Id<Any>>),)*
                                $table::purge_at.eq(None::<At>),
                            ))
                            .execute(tx.conn())?;
                        if emptied == 1 {
                            purged.push((id, bytes));
                        }
                    }
                    Ok(purged)
                }
            }
        };
    };
}
