//! What the catalog of the database says of all tables, so that a new table needs no entry anywhere: which columns hold
//! versions and numbers, which hold instants that have passed, and which tables hold the heads of sequences.

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use jiff::Timestamp;

use super::{AnyConnection, At, TimestampTz, Tx};
use crate::kernel::Result;

/// The names of columns that hold versions and numbers, and their endings.
const NUMBERS: (&[&str], &[&str]) = (&["version", "rev", "seq"], &["_version", "_rev", "_seq"]);
/// The names of columns that hold instants at which the server did something.
const PASSED: (&[&str], &[&str]) = (&["at", "created_at", "updated_at", "received_at", "last_used_at"], &[]);
/// The names of columns in which a head has the last number of its sequence.
const HEADS: &[&str] = &["change_seq", "seq"];
/// The ending of the names of tables of heads.
const OF_HEADS: &str = "_heads";
/// The name of the column in which a head has the floor of versions.
const FLOOR: &str = "version_floor";

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    of: String,
    #[diesel(sql_type = Text)]
    name: String,
}

/// Lists the columns of numbers, or of instants, of all tables.
fn columns(tx: &mut Tx<'_>, postgres: &str) -> Result<Vec<Column>> {
    let query = match tx.conn() {
        AnyConnection::Pg(_) => format!(
            "SELECT table_name::text AS of, column_name::text AS name FROM information_schema.columns \
             WHERE table_schema = current_schema() AND data_type = '{postgres}' ORDER BY 1, 2"
        ),
        AnyConnection::Sqlite(_) => {
            "SELECT m.name AS of, c.name AS name FROM sqlite_master m, pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND c.type = 'INTEGER' ORDER BY 1, 2"
                .to_owned()
        }
    };
    Ok(diesel::sql_query(query).load(tx.conn())?)
}

fn named(column: &Column, (names, endings): (&[&str], &[&str])) -> bool {
    names.contains(&column.name.as_str()) || endings.iter().any(|ending| column.name.ends_with(ending))
}

#[derive(QueryableByName)]
struct Greatest {
    #[diesel(sql_type = Nullable<BigInt>)]
    most: Option<i64>,
}

#[derive(QueryableByName)]
struct Newest {
    #[diesel(sql_type = Nullable<TimestampTz>)]
    most: Option<At>,
}

/// Returns the greatest version or number in the database.
///
/// # Errors
///
/// When the database fails.
pub fn greatest_number(tx: &mut Tx<'_>) -> Result<i64> {
    let mut greatest = 0;
    for column in columns(tx, "bigint")?.into_iter().filter(|column| named(column, NUMBERS)) {
        let query = format!("SELECT max({}) AS most FROM {}", column.name, column.of);
        let found: Greatest = diesel::sql_query(query).get_result(tx.conn())?;
        greatest = greatest.max(found.most.unwrap_or(0));
    }
    Ok(greatest)
}

/// Returns the newest instant at which the server has done something.
///
/// # Errors
///
/// When the database fails.
pub fn newest_instant(tx: &mut Tx<'_>) -> Result<Option<Timestamp>> {
    let mut newest = None;
    for column in columns(tx, "timestamp with time zone")?.into_iter().filter(|column| named(column, PASSED)) {
        let query = format!("SELECT max({}) AS most FROM {}", column.name, column.of);
        let found: Newest = diesel::sql_query(query).get_result(tx.conn())?;
        newest = newest.max(found.most.map(|at| at.0));
    }
    Ok(newest)
}

/// Keeps others from taking numbers until the unit ends, and lets this one take its time.
///
/// # Errors
///
/// When the database fails.
pub fn hold_heads(tx: &mut Tx<'_>) -> Result<()> {
    let mut tables: Vec<String> = columns(tx, "bigint")?.into_iter().map(|column| column.of).collect();
    tables.dedup();
    let AnyConnection::Pg(conn) = tx.conn() else { return Ok(()) };
    conn.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")?;
    for table in tables.into_iter().filter(|table| table.ends_with(OF_HEADS)) {
        conn.batch_execute(&format!("LOCK TABLE {table} IN EXCLUSIVE MODE"))?;
    }
    Ok(())
}

/// Raises all heads to `floor`, which is not below any of their numbers.
///
/// # Errors
///
/// When the database fails.
pub fn raise_heads(tx: &mut Tx<'_>, floor: i64) -> Result<()> {
    let heads = |column: &Column| {
        column.of.ends_with(OF_HEADS) && (HEADS.contains(&column.name.as_str()) || column.name == FLOOR)
    };
    for column in columns(tx, "bigint")?.into_iter().filter(heads) {
        tx.conn().batch_execute(&format!("UPDATE {} SET {} = {floor}", column.of, column.name))?;
    }
    Ok(())
}
