//! The statements around units of work on SQLite. They are prepared once for each connection: those of diesel are text
//! that SQLite parses for every unit, as was seen in a profile.

use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};

macro_rules! prepared {
    ($($name:ident = $sql:literal;)+) => {$(
        #[doc = concat!("`", $sql, "`.")]
        #[derive(QueryId)]
        pub(super) struct $name;

        impl<DB: Backend> QueryFragment<DB> for $name {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
                out.push_sql($sql);
                Ok(())
            }
        }
        impl<C: Connection> RunQueryDsl<C> for $name {}
    )+};
}

prepared! {
    Begin = "BEGIN";
    BeginImmediate = "BEGIN IMMEDIATE";
    Commit = "COMMIT";
    Rollback = "ROLLBACK";
    Savepoint = "SAVEPOINT unit";
    Release = "RELEASE SAVEPOINT unit";
    RollbackTo = "ROLLBACK TO SAVEPOINT unit";
}
