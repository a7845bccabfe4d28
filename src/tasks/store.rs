//! The one statement of an idle round.

use std::collections::HashMap;

use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Integer, Nullable};
use jiff::Timestamp;

use super::model::Due;
use crate::db::{AnyConnection, At, TimestampTz, Tx};
use crate::kernel::Result;

/// A statement without values, the same in every round. Unlike [`diesel::sql_query`] it is prepared once for each
/// connection: on PostgreSQL to plan it takes ten times as long as to run it.
struct Agenda(String);

impl<DB: Backend> QueryFragment<DB> for Agenda {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql(&self.0);
        Ok(())
    }
}

impl QueryId for Agenda {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Agenda {
    type SqlType = (Integer, Nullable<TimestampTz>);
}

impl<C> diesel::RunQueryDsl<C> for Agenda {}

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
    let query = Agenda(looks.join(" UNION ALL "));
    let rows: Vec<(i32, Option<At>)> = match tx.conn() {
        AnyConnection::Pg(conn) => query.load(conn)?,
        AnyConnection::Sqlite(conn) => query.load(conn)?,
    };
    let found: HashMap<i32, Timestamp> =
        rows.into_iter().filter_map(|(place, earliest)| Some((place, earliest?.0))).collect();
    Ok((0..).zip(columns).map(|(place, _)| found.get(&place).copied()).collect())
}
