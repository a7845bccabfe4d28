//! Inserting a new item; on PostgreSQL with its change row, taking the patient's next number and counting the item's
//! bytes, in one statement.
//!
//! It does what four statements do on SQLite: `made` reads from `head`, so the head is locked before anything is
//! inserted; a taken id inserts nothing and still takes its number, and its bytes are taken back later.
//!
//! Both are literal SQL: with a conflict clause diesel writes the text of a statement anew for every run.

use std::marker::PhantomData;

use diesel::backend::Backend;
use diesel::pg::{Pg, PgConnection};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Binary, Bool, HasSqlType, Integer, Nullable};
use diesel::{Connection, QueryResult, RunQueryDsl};

use super::table::{Columns, ItemTable};
use crate::care::{Access, Write};
use crate::changes::{Bytes, Change};
use crate::db::{At, TimestampTz, Uid};
use crate::items::model::{ItemKind, ItemRow};
use crate::kernel::Id;
use crate::kernel::id::{Account, Any, Patient, Session};

/// The statement that inserts an item if its id is free.
pub(super) struct Insert<'a, K, T> {
    patient: Id<Patient>,
    row: &'a ItemRow,
    columns: &'a Columns,
    times: [At; 3],
    of: PhantomData<fn() -> (K, T)>,
}

impl<'a, K: ItemKind, T: ItemTable> Insert<'a, K, T> {
    pub(super) fn new(access: &Access<Write>, row: &'a ItemRow, columns: &'a Columns) -> Self {
        let times = [columns.occurred_at, row.received_at, row.updated_at].map(At);
        Self { patient: access.patient(), row, columns, times, of: PhantomData }
    }

    /// Writes the table and its columns: first that of the patient.
    fn push_names<DB: Backend>(out: &mut AstPass<'_, '_, DB>) {
        out.push_sql(K::TABLE);
        out.push_sql(" (patient_id, id, version, meta, meta_rev");
        for section in K::SECTIONS {
            for name in [", ", section.column, ", ", section.column, "_rev"] {
                out.push_sql(name);
            }
        }
        out.push_sql(", draft");
        for link in T::LINKS {
            out.push_sql(", ");
            out.push_sql(link);
        }
        out.push_sql(", occurred_at, received_at, updated_at)");
    }

    /// Writes the values of the columns after that of the patient.
    fn push_values<'b, DB>(&'b self, out: &mut AstPass<'_, 'b, DB>) -> QueryResult<()>
    where
        DB: Backend + HasSqlType<Uid> + HasSqlType<TimestampTz> + HasSqlType<Bool>,
        Id<Any>: ToSql<Uid, DB>,
        Vec<u8>: ToSql<Binary, DB>,
        i64: ToSql<BigInt, DB>,
        bool: ToSql<Bool, DB>,
        At: ToSql<TimestampTz, DB>,
    {
        macro_rules! next {
            ($type:ty, $value:expr) => {
                out.push_sql(", ");
                out.push_bind_param::<$type, _>($value)?;
            };
        }
        next!(Uid, &self.row.id);
        next!(BigInt, &self.row.version);
        for part in &self.row.parts {
            next!(Nullable<Binary>, &part.sealed);
            next!(BigInt, &part.rev);
        }
        next!(Bool, &self.columns.draft);
        for link in &self.columns.links {
            next!(Nullable<Uid>, link);
        }
        for at in &self.times {
            next!(TimestampTz, at);
        }
        Ok(())
    }
}

// The text is always the same for a kind of item, so it is prepared once for each connection.
impl<K: ItemKind, T: ItemTable> QueryId for Insert<'_, K, T> {
    type QueryId = Insert<'static, K, T>;
    const HAS_STATIC_QUERY_ID: bool = true;
}
impl<C: Connection, K: ItemKind, T: ItemTable> RunQueryDsl<C> for Insert<'_, K, T> {}

impl<DB: Backend, K: ItemKind, T: ItemTable> QueryFragment<DB> for Insert<'_, K, T>
where
    DB: HasSqlType<Uid> + HasSqlType<TimestampTz> + HasSqlType<Bool>,
    Id<Patient>: ToSql<Uid, DB>,
    Id<Any>: ToSql<Uid, DB>,
    Vec<u8>: ToSql<Binary, DB>,
    i64: ToSql<BigInt, DB>,
    bool: ToSql<Bool, DB>,
    At: ToSql<TimestampTz, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("INSERT INTO ");
        Self::push_names(&mut out);
        out.push_sql(" VALUES (");
        out.push_bind_param::<Uid, _>(&self.patient)?;
        self.push_values(&mut out)?;
        out.push_sql(") ON CONFLICT DO NOTHING");
        Ok(())
    }
}

/// The one statement of PostgreSQL. It returns the change number, whether the item was inserted, the bytes of text and
/// of comments that are stored now, the floor of versions, whether the patient has made a grant by rule, and whether
/// the plan awaits an entry.
pub(super) struct Create<'a, K, T> {
    insert: Insert<'a, K, T>,
    bytes: Bytes,
    actor: Option<Id<Account>>,
    session: Option<Id<Session>>,
    entity: i32,
    op: i32,
    now: At,
}

impl<'a, K: ItemKind, T: ItemTable> Create<'a, K, T> {
    pub(super) fn new(access: &Access<Write>, row: &'a ItemRow, columns: &'a Columns, change: &Change) -> Self {
        let (actor, session) = access.actor().unzip();
        let (entity, op) = (change.entity.number(), change.op.number());
        let insert = Insert::new(access, row, columns);
        Self { insert, bytes: access.pending(), actor, session, entity, op, now: At(access.now()) }
    }
}

impl<K: ItemKind, T: ItemTable> QueryId for Create<'_, K, T> {
    type QueryId = Create<'static, K, T>;
    const HAS_STATIC_QUERY_ID: bool = true;
}
impl<K: ItemKind, T: ItemTable> Query for Create<'_, K, T> {
    type SqlType = (BigInt, Bool, BigInt, BigInt, BigInt, Bool, Bool);
}
impl<K: ItemKind, T: ItemTable> RunQueryDsl<PgConnection> for Create<'_, K, T> {}

impl<K: ItemKind, T: ItemTable> QueryFragment<Pg> for Create<'_, K, T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        macro_rules! next {
            ($type:ty, $value:expr) => {
                out.push_sql(", ");
                out.push_bind_param::<$type, _>($value)?;
            };
        }
        out.push_sql("WITH head AS (UPDATE patient_heads SET change_seq = change_seq + 1, text_bytes = text_bytes + ");
        out.push_bind_param::<BigInt, _>(&self.bytes.text)?;
        out.push_sql(", comment_bytes = comment_bytes + ");
        out.push_bind_param::<BigInt, _>(&self.bytes.comments)?;
        out.push_sql(" WHERE patient_id = ");
        out.push_bind_param::<Uid, _>(&self.insert.patient)?;
        out.push_sql(
            " RETURNING change_seq, text_bytes, comment_bytes, version_floor, has_rules, awaits_entry), made AS \
             (INSERT INTO ",
        );
        Insert::<K, T>::push_names(&mut out);
        out.push_sql(" SELECT $3");
        self.insert.push_values(&mut out)?;
        out.push_sql(
            " FROM head ON CONFLICT DO NOTHING RETURNING id), noted AS (INSERT INTO changes (patient_id, entity_id, \
             version, seq, entity, op, actor_id, session_id, at) SELECT $3, $4, $5, change_seq",
        );
        next!(Integer, &self.entity);
        next!(Integer, &self.op);
        next!(Nullable<Uid>, &self.actor);
        next!(Nullable<Uid>, &self.session);
        next!(TimestampTz, &self.now);
        out.push_sql(
            " FROM head, made) SELECT change_seq, EXISTS (SELECT 1 FROM made), text_bytes, comment_bytes, \
             version_floor, has_rules, awaits_entry FROM head",
        );
        Ok(())
    }
}
