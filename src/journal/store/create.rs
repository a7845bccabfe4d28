//! Writing a new entry on PostgreSQL in one statement.
//!
//! It does what [`super::create()`] does on SQLite in three: `made` reads from `head`, so the head is locked before
//! anything is inserted; a taken id inserts nothing and still takes its number.

use diesel::pg::{Pg, PgConnection};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable};
use diesel::{QueryResult, RunQueryDsl};

use super::Row;
use crate::care::Access;
use crate::care::access::Write;
use crate::changes::Change;
use crate::db::{At, Moment, Uid};
use crate::journal::model::Header;
use crate::kernel::Id;
use crate::kernel::id::{Account, Patient, Session};

/// The statement. Answers the number, and whether the entry was inserted.
pub(super) struct Create<'a> {
    patient: Id<Patient>,
    row: &'a Row,
    header: &'a Header,
    actor: Option<Id<Account>>,
    session: Option<Id<Session>>,
    entity: i32,
    op: i32,
    occurred_at: At,
    received_at: At,
    updated_at: At,
    now: At,
}

impl<'a> Create<'a> {
    pub(super) fn new(access: &Access<Write>, row: &'a Row, header: &'a Header, change: &Change) -> Self {
        let (actor, session) = access.actor().unzip();
        Self {
            patient: access.patient(),
            row,
            header,
            actor,
            session,
            entity: change.entity.number(),
            op: change.op.number(),
            occurred_at: At(header.occurred_at),
            received_at: At(row.received_at),
            updated_at: At(row.updated_at),
            now: At(access.now()),
        }
    }
}

// The text is always the same, so it is prepared once for each connection.
impl QueryId for Create<'_> {
    type QueryId = Create<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}
impl Query for Create<'_> {
    type SqlType = (BigInt, Bool);
}
impl RunQueryDsl<PgConnection> for Create<'_> {}

impl QueryFragment<Pg> for Create<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        macro_rules! next {
            ($type:ty, $value:expr) => {
                out.push_sql(", ");
                out.push_bind_param::<$type, _>(&$value)?;
            };
        }
        let (row, header, parts) = (self.row, self.header, &self.row.parts);
        out.push_sql("WITH head AS (UPDATE patient_heads SET change_seq = change_seq + 1 WHERE patient_id = ");
        out.push_bind_param::<Uid, _>(&self.patient)?;
        out.push_sql(
            " RETURNING change_seq), made AS (INSERT INTO entries (patient_id, id, version, meta, meta_rev, text, \
             text_rev, mood, mood_rev, tags, tags_rev, attachments, attachments_rev, draft, infusion_id, prompt_id, \
             occurred_at, received_at, updated_at) SELECT $1",
        );
        next!(Uid, row.id);
        next!(BigInt, row.version);
        next!(Nullable<Binary>, parts.header.sealed);
        next!(BigInt, parts.header.rev);
        next!(Nullable<Binary>, parts.text.sealed);
        next!(BigInt, parts.text.rev);
        next!(Nullable<Binary>, parts.mood.sealed);
        next!(BigInt, parts.mood.rev);
        next!(Nullable<Binary>, parts.tags.sealed);
        next!(BigInt, parts.tags.rev);
        next!(Nullable<Binary>, parts.attachments.sealed);
        next!(BigInt, parts.attachments.rev);
        next!(Bool, header.draft);
        next!(Nullable<Uid>, header.infusion_id);
        next!(Nullable<Uid>, header.prompt_id);
        next!(Moment, self.occurred_at);
        next!(Moment, self.received_at);
        next!(Moment, self.updated_at);
        out.push_sql(
            " FROM head ON CONFLICT DO NOTHING RETURNING id), noted AS (INSERT INTO changes (patient_id, entity_id, \
             version, seq, entity, op, actor_id, session_id, at) SELECT $1, $2, $3, change_seq",
        );
        next!(Integer, self.entity);
        next!(Integer, self.op);
        next!(Nullable<Uid>, self.actor);
        next!(Nullable<Uid>, self.session);
        next!(Moment, self.now);
        out.push_sql(" FROM head, made) SELECT change_seq, EXISTS (SELECT 1 FROM made) FROM head");
        Ok(())
    }
}
