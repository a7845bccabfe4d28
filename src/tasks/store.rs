//! The one statement of an idle round.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Integer, Nullable};
use jiff::Timestamp;

use super::model::Due;
use crate::db::{AnyConnection, At, TimestampTz, Tx};
use crate::kernel::Result;

#[derive(QueryableByName)]
struct Earliest {
    #[diesel(sql_type = Integer)]
    place: i32,
    #[diesel(sql_type = Nullable<TimestampTz>)]
    earliest: Option<At>,
}

/// Finds the earliest instant in each of `columns`, in their order.
///
/// Spans patients and accounts: rests on an index of each column, which the task that names the column guarantees.
pub(super) fn earliest(tx: &mut Tx<'_>, columns: &[Due]) -> Result<Vec<Option<Timestamp>>> {
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let looks: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(n, due)| format!("SELECT {n} AS place, ({}) AS earliest", due.look()))
        .collect();
    let query = diesel::sql_query(looks.join(" UNION ALL "));
    let rows: Vec<Earliest> = match tx.conn() {
        AnyConnection::Pg(conn) => query.load(conn)?,
        AnyConnection::Sqlite(conn) => query.load(conn)?,
    };
    let found: HashMap<i32, Timestamp> =
        rows.into_iter().filter_map(|row| Some((row.place, row.earliest?.0))).collect();
    Ok((0..).zip(columns).map(|(place, _)| found.get(&place).copied()).collect())
}
