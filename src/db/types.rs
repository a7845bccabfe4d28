//! Portable column types: an instant and a UUID, native on each database.
//!
//! | here | PostgreSQL | SQLite |
//! |---|---|---|
//! | [`TimestampTz`] / [`At`] | `timestamptz` | `INTEGER`, microseconds since 1970 |
//! | [`Uid`] / [`Id`] | `uuid` | `BLOB` of 16 bytes |

use std::io::Write as _;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow, Queryable};
use diesel::expression::AsExpression;
use diesel::internal::derives::as_expression::Bound;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{HasSqlType, Nullable, SingleValue, SqlType};
use diesel::sqlite::Sqlite;
use jiff::Timestamp;
use uuid::Uuid;

use super::MultiBackend;
use crate::kernel::Id;

/// The types that the tables name.
pub mod columns {
    pub use diesel::sql_types::*;

    pub use super::{TimestampTz, Uid};
}

/// The SQL type of an instant.
#[derive(Debug, Clone, Copy, Default, SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(oid = 1184, array_oid = 1185))]
#[diesel(sqlite_type(name = "Long"))]
pub struct TimestampTz;

/// The SQL type of a UUID.
#[derive(Debug, Clone, Copy, Default, SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(oid = 2950, array_oid = 2951))]
#[diesel(sqlite_type(name = "Binary"))]
pub struct Uid;

impl diesel::sql_types::SqlOrd for TimestampTz {}
impl diesel::sql_types::SqlOrd for Uid {}

impl HasSqlType<TimestampTz> for MultiBackend {
    fn metadata(lookup: &mut Self::MetadataLookup) -> Self::TypeMetadata {
        Self::lookup_sql_type::<TimestampTz>(lookup)
    }
}
impl HasSqlType<Uid> for MultiBackend {
    fn metadata(lookup: &mut Self::MetadataLookup) -> Self::TypeMetadata {
        Self::lookup_sql_type::<Uid>(lookup)
    }
}

/// An instant in a row, in whole microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, AsExpression, FromSqlRow)]
#[diesel(sql_type = TimestampTz)]
pub struct At(pub Timestamp);

/// Microseconds from 1970 to 2000, where PostgreSQL starts to count.
const TO_2000: i64 = 946_684_800_000_000;

/// The first microsecond that PostgreSQL can keep (4714 BC), on its own count. An earlier time of a broken clock is
/// put there in the row; the time as sent is in the sealed document.
const FIRST: i64 = -211_813_488_000_000_000;

impl ToSql<TimestampTz, Pg> for At {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&(self.0.as_microsecond() - TO_2000).max(FIRST).to_be_bytes())?;
        Ok(IsNull::No)
    }
}
impl ToSql<TimestampTz, Sqlite> for At {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.as_microsecond());
        Ok(IsNull::No)
    }
}
impl ToSql<TimestampTz, MultiBackend> for At {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, MultiBackend>) -> serialize::Result {
        out.set_value((TimestampTz, self));
        Ok(IsNull::No)
    }
}
impl FromSql<TimestampTz, Pg> for At {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let micros = i64::from_be_bytes(value.as_bytes().try_into()?);
        Ok(Self(Timestamp::from_microsecond(micros + TO_2000)?))
    }
}
impl FromSql<TimestampTz, Sqlite> for At {
    fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        let micros = <i64 as FromSql<diesel::sql_types::BigInt, Sqlite>>::from_sql(value)?;
        Ok(Self(Timestamp::from_microsecond(micros)?))
    }
}
impl FromSql<TimestampTz, MultiBackend> for At {
    fn from_sql(value: <MultiBackend as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        value.from_sql::<Self, TimestampTz>()
    }
}

impl<K> ToSql<Uid, Pg> for Id<K> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.uuid().as_bytes())?;
        Ok(IsNull::No)
    }
}
impl<K> ToSql<Uid, Sqlite> for Id<K> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.as_bytes().as_slice());
        Ok(IsNull::No)
    }
}
impl<K: 'static> ToSql<Uid, MultiBackend> for Id<K> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, MultiBackend>) -> serialize::Result {
        out.set_value((Uid, self));
        Ok(IsNull::No)
    }
}
impl<K> FromSql<Uid, Pg> for Id<K> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self::from_uuid(Uuid::from_slice(value.as_bytes())?))
    }
}
impl<K> FromSql<Uid, Sqlite> for Id<K> {
    // As it stands in the row, without a vector: a reader's list reads ten ids for each item.
    fn from_sql(mut value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Self::from_uuid(Uuid::from_slice(value.read_blob())?))
    }
}
impl<K: 'static> FromSql<Uid, MultiBackend> for Id<K> {
    fn from_sql(value: <MultiBackend as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        value.from_sql::<Self, Uid>()
    }
}
impl<K, DB: Backend> Queryable<Uid, DB> for Id<K>
where
    Self: FromSql<Uid, DB>,
{
    type Row = Self;
    fn build(row: Self) -> deserialize::Result<Self> {
        Ok(row)
    }
}

// The code that `#[derive(AsExpression)]` writes for a type without parameters.
macro_rules! bind_id {
    ($($sql:ty),*) => { $(
        impl<K> AsExpression<$sql> for Id<K> where $sql: SingleValue {
            type Expression = Bound<$sql, Self>;
            fn as_expression(self) -> Self::Expression { Bound::new(self) }
        }
        impl<'e, K> AsExpression<$sql> for &'e Id<K> where $sql: SingleValue {
            type Expression = Bound<$sql, Self>;
            fn as_expression(self) -> Self::Expression { Bound::new(self) }
        }
    )* };
}
bind_id!(Uid, Nullable<Uid>);

impl<K, DB: Backend> ToSql<Nullable<Uid>, DB> for Id<K>
where
    Self: ToSql<Uid, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        <Self as ToSql<Uid, DB>>::to_sql(self, out)
    }
}
