//! The prompts that one plan makes and changes: on PostgreSQL all of them in one statement, where each column is one
//! value. On SQLite a statement that is prepared once is run for each.

use diesel::pg::PgConnection;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable};

use super::{insert, next_action, sealed, update};
use crate::care::{Access, Write};
use crate::db::{AnyConnection, At, Prepared, TimestampTz, Tx, Uid};
use crate::kernel::Result;
use crate::prompts::model::StoredPrompt;

/// Inserts prompts.
///
/// # Errors
///
/// When they cannot be written.
pub fn insert_all(tx: &mut Tx<'_>, access: &Access<Write>, list: &[&StoredPrompt]) -> Result<()> {
    if let (AnyConnection::Pg(conn), [_, _, ..]) = (tx.conn(), list) {
        return insert_at_once(conn, access, list);
    }
    list.iter().try_for_each(|prompt| insert(tx, access, prompt))
}

/// Stores changed prompts, each as its new version.
///
/// # Errors
///
/// When they cannot be written.
pub fn update_all(tx: &mut Tx<'_>, access: &Access<Write>, list: &[&StoredPrompt]) -> Result<()> {
    if let (AnyConnection::Pg(conn), [_, _, ..]) = (tx.conn(), list) {
        return update_at_once(conn, access, list);
    }
    list.iter().try_for_each(|prompt| update(tx, access, prompt))
}

fn insert_at_once(conn: &mut PgConnection, access: &Access<Write>, list: &[&StoredPrompt]) -> Result<()> {
    let rows = diesel::sql_query(
        "INSERT INTO prompts (patient_id, created_at, updated_at, id, doc, stage, due_at, expires_at, \
         next_action_at, version) SELECT $1, $2, $2, these.* FROM unnest($3, $4, $5, $6, $7, $8, $9) AS these",
    )
    .bind::<Uid, _>(access.patient())
    .bind::<TimestampTz, _>(At(access.now()))
    .bind::<Array<Uid>, _>(column(list, |prompt| prompt.id))
    .bind::<Array<Binary>, _>(documents(access, list)?)
    .bind::<Array<Integer>, _>(column(list, |prompt| prompt.stage.number()))
    .bind::<Array<TimestampTz>, _>(column(list, |prompt| At(prompt.due_at)))
    .bind::<Array<TimestampTz>, _>(column(list, |prompt| At(prompt.expires_at)))
    .bind::<Array<Nullable<TimestampTz>>, _>(column(list, next_action))
    .bind::<Array<BigInt>, _>(column(list, |prompt| prompt.version));
    Prepared(rows).run_on(conn)?;
    Ok(())
}

fn update_at_once(conn: &mut PgConnection, access: &Access<Write>, list: &[&StoredPrompt]) -> Result<()> {
    let rows = diesel::sql_query(
        "UPDATE prompts SET doc = these.doc, stage = these.stage, due_at = these.due_at, \
         expires_at = these.expires_at, next_action_at = these.next_action_at, fired_at = these.fired_at, \
         version = these.version, updated_at = $2 FROM unnest($3, $4, $5, $6, $7, $8, $9, $10) \
         AS these (id, doc, stage, due_at, expires_at, next_action_at, fired_at, version) \
         WHERE prompts.patient_id = $1 AND prompts.id = these.id",
    )
    .bind::<Uid, _>(access.patient())
    .bind::<TimestampTz, _>(At(access.now()))
    .bind::<Array<Uid>, _>(column(list, |prompt| prompt.id))
    .bind::<Array<Binary>, _>(documents(access, list)?)
    .bind::<Array<Integer>, _>(column(list, |prompt| prompt.stage.number()))
    .bind::<Array<TimestampTz>, _>(column(list, |prompt| At(prompt.due_at)))
    .bind::<Array<TimestampTz>, _>(column(list, |prompt| At(prompt.expires_at)))
    .bind::<Array<Nullable<TimestampTz>>, _>(column(list, next_action))
    .bind::<Array<Nullable<TimestampTz>>, _>(column(list, |prompt| prompt.fired_at.map(At)))
    .bind::<Array<BigInt>, _>(column(list, |prompt| prompt.version));
    Prepared(rows).run_on(conn)?;
    Ok(())
}

fn documents(access: &Access<Write>, list: &[&StoredPrompt]) -> Result<Vec<Vec<u8>>> {
    list.iter().map(|prompt| sealed(access, prompt)).collect()
}

fn column<T>(list: &[&StoredPrompt], of: impl Fn(&StoredPrompt) -> T) -> Vec<T> {
    list.iter().map(|prompt| of(prompt)).collect()
}
