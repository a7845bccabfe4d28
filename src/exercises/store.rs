//! The rows of exercise responses.

use super::model::{Header, Responses};
use crate::care::Access;
use crate::db::Tx;
use crate::db::schema::exercise_responses;
use crate::items::{ItemTable as _, Part, open_header};
use crate::kernel::id::{Any, Response};
use crate::kernel::{Id, Result};

crate::item_table! {
    /// The table of exercise responses.
    ResponseTable, exercise_responses, [answers answers_rev, distress distress_rev], [prompt_id, assignment_id]
}

/// Lists the headers of the newest done responses, at most `most`, newest first.
///
/// # Errors
///
/// When they cannot be read or opened.
pub fn list_headers<A>(tx: &mut Tx<'_>, access: &Access<A>, most: i64) -> Result<Vec<(Id<Response>, Header)>> {
    let open = |(id, part): (Id<Any>, Part)| {
        Ok((id.typed(), open_header::<Responses>(access.keys()?, access.patient(), id, &part)?))
    };
    ResponseTable::list_headers(tx, access, None, most)?.into_iter().map(open).collect()
}
