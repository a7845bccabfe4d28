//! Rows that come into the outbox.

use diesel::prelude::*;
use diesel::sql_types::{Array, Integer, Nullable, Text};

use crate::db::schema::deliveries;
use crate::db::{AnyConnection, At, Prepared, TimestampTz, Tx, Uid};
use crate::kernel::id::{Delivery, Device, Patient, Prompt};
use crate::kernel::{Id, Result};

/// A new row of the outbox. What is `None` is written too, so that the text of the statement is always the same.
#[derive(Insertable)]
#[diesel(table_name = deliveries, treat_none_as_default_value = false)]
pub(super) struct NewDelivery {
    pub(super) id: Id<Delivery>,
    pub(super) patient_id: Id<Patient>,
    pub(super) prompt_id: Id<Prompt>,
    pub(super) ordinal: i32,
    pub(super) channel: &'static str,
    pub(super) state: &'static str,
    pub(super) attempts: i32,
    pub(super) due_at: At,
    pub(super) expires_at: At,
    pub(super) created_at: At,
    pub(super) device_id: Option<Id<Device>>,
    pub(super) sent_at: Option<At>,
    pub(super) done_at: Option<At>,
    pub(super) lane: i32,
}

/// Inserts rows. One that is there already is not changed. On PostgreSQL each column is one value of the statement:
/// to read and plan one with thousands of values takes longer than to insert the rows.
pub(super) fn insert_rows(tx: &mut Tx<'_>, rows: &[NewDelivery]) -> Result<()> {
    match tx.conn() {
        AnyConnection::Pg(conn) => {
            let insert = diesel::sql_query(
                "INSERT INTO deliveries (id, patient_id, prompt_id, ordinal, channel, state, attempts, due_at, \
                 expires_at, created_at, device_id, sent_at, done_at, lane) \
                 SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
                 ON CONFLICT DO NOTHING",
            )
            .bind::<Array<Uid>, _>(column(rows, |row| row.id))
            .bind::<Array<Uid>, _>(column(rows, |row| row.patient_id))
            .bind::<Array<Uid>, _>(column(rows, |row| row.prompt_id))
            .bind::<Array<Integer>, _>(column(rows, |row| row.ordinal))
            .bind::<Array<Text>, _>(column(rows, |row| row.channel))
            .bind::<Array<Text>, _>(column(rows, |row| row.state))
            .bind::<Array<Integer>, _>(column(rows, |row| row.attempts))
            .bind::<Array<TimestampTz>, _>(column(rows, |row| row.due_at))
            .bind::<Array<TimestampTz>, _>(column(rows, |row| row.expires_at))
            .bind::<Array<TimestampTz>, _>(column(rows, |row| row.created_at))
            .bind::<Array<Nullable<Uid>>, _>(column(rows, |row| row.device_id))
            .bind::<Array<Nullable<TimestampTz>>, _>(column(rows, |row| row.sent_at))
            .bind::<Array<Nullable<TimestampTz>>, _>(column(rows, |row| row.done_at))
            .bind::<Array<Integer>, _>(column(rows, |row| row.lane));
            Prepared(insert).run_on(conn)?;
        }
        AnyConnection::Sqlite(conn) => {
            for row in rows {
                // Not `on_conflict_do_nothing`: diesel would write the text of the statement anew for each row.
                diesel::insert_or_ignore_into(deliveries::table).values(row).execute(conn)?;
            }
        }
    }
    Ok(())
}

fn column<T>(rows: &[NewDelivery], of: impl Fn(&NewDelivery) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}
