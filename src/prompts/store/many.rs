//! Prompts that are stored together, as those that one plan makes and changes: on PostgreSQL all of them in one
//! statement, where each column is one value. On SQLite a statement that is prepared once is run for each.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable};

use super::{PromptRow, insert_row, update_row};
use crate::care::{Access, Write};
use crate::db::{AnyConnection, At, Prepared, TimestampTz, Tx, Uid};
use crate::kernel::{Error, Result};

/// Inserts sealed prompts.
///
/// # Errors
///
/// When they cannot be written.
pub fn insert_all(tx: &mut Tx<'_>, access: &Access<Write>, list: &[&PromptRow]) -> Result<()> {
    if let (AnyConnection::Pg(conn), [_, _, ..]) = (tx.conn(), list) {
        return insert_at_once(conn, access, list);
    }
    list.iter().try_for_each(|row| insert_row(tx, access, row))
}

/// Stores changed prompts that were sealed, each as its new version, unless one has come due since it was read.
///
/// # Errors
///
/// [`Error::Transient`] when one has come due, on PostgreSQL only: the unit then decides again. Others when they cannot
/// be written.
pub fn update_all(tx: &mut Tx<'_>, access: &Access<Write>, list: &[&PromptRow]) -> Result<()> {
    // One alone, too: only this statement asks whether it has come due.
    if let (AnyConnection::Pg(conn), [_, ..]) = (tx.conn(), list) {
        return update_at_once(conn, access, list);
    }
    list.iter().try_for_each(|row| update_row(tx, access, row))
}

fn insert_at_once(conn: &mut PgConnection, access: &Access<Write>, list: &[&PromptRow]) -> Result<()> {
    let rows = diesel::sql_query(
        "INSERT INTO prompts (patient_id, created_at, updated_at, id, doc, stage, due_at, expires_at, \
         next_action_at, version) SELECT $1, $2, $2, these.* FROM unnest($3, $4, $5, $6, $7, $8, $9) AS these",
    )
    .bind::<Uid, _>(access.patient())
    .bind::<TimestampTz, _>(At(access.now()))
    .bind::<Array<Uid>, _>(column(list, |row| row.id))
    .bind::<Array<Binary>, _>(column(list, |row| row.doc.as_slice()))
    .bind::<Array<Integer>, _>(column(list, |row| row.stage))
    .bind::<Array<TimestampTz>, _>(column(list, |row| row.due_at))
    .bind::<Array<TimestampTz>, _>(column(list, |row| row.expires_at))
    .bind::<Array<Nullable<TimestampTz>>, _>(column(list, PromptRow::next_action_at))
    .bind::<Array<BigInt>, _>(column(list, |row| row.version));
    Prepared(rows).run_on(conn)?;
    Ok(())
}

/// The number of prompts that were updated.
#[derive(QueryableByName)]
struct UpdateCount {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn update_at_once(conn: &mut PgConnection, access: &Access<Write>, list: &[&PromptRow]) -> Result<()> {
    let rows = diesel::sql_query(
        "WITH stored AS (UPDATE prompts SET doc = these.doc, stage = these.stage, due_at = these.due_at, \
         expires_at = these.expires_at, next_action_at = these.next_action_at, version = these.version, \
         updated_at = $2 FROM unnest($3, $4, $5, $6, $7, $8, $9, $10) \
         AS these (id, doc, stage, due_at, expires_at, next_action_at, fired_at, version) \
         WHERE prompts.patient_id = $1 AND prompts.id = these.id \
         AND prompts.fired_at IS NOT DISTINCT FROM these.fired_at RETURNING 1) \
         SELECT count(*) AS number FROM stored",
    )
    .bind::<Uid, _>(access.patient())
    .bind::<TimestampTz, _>(At(access.now()))
    .bind::<Array<Uid>, _>(column(list, |row| row.id))
    .bind::<Array<Binary>, _>(column(list, |row| row.doc.as_slice()))
    .bind::<Array<Integer>, _>(column(list, |row| row.stage))
    .bind::<Array<TimestampTz>, _>(column(list, |row| row.due_at))
    .bind::<Array<TimestampTz>, _>(column(list, |row| row.expires_at))
    .bind::<Array<Nullable<TimestampTz>>, _>(column(list, PromptRow::next_action_at))
    .bind::<Array<Nullable<TimestampTz>>, _>(column(list, |row| row.fired_at))
    .bind::<Array<BigInt>, _>(column(list, |row| row.version));
    let updated: UpdateCount = Prepared(rows).get_result(conn)?;
    if usize::try_from(updated.number) == Ok(list.len()) {
        Ok(())
    } else {
        Err(Error::Transient("a prompt came due while its change was decided".into()))
    }
}

fn column<'r, T>(list: &[&'r PromptRow], of: impl Fn(&'r PromptRow) -> T) -> Vec<T> {
    list.iter().copied().map(of).collect()
}
