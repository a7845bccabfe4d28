//! The rows of exercise responses.

use super::model::{Header, Responses};
use crate::care::Access;
use crate::db::Tx;
use crate::db::schema::exercise_responses;
use crate::items::{ItemTable as _, open_header};
use crate::kernel::id::Response;
use crate::kernel::{Error, Id, Result};

crate::item_table! {
    /// The table of exercise responses.
    ResponseTable, exercise_responses, [answers answers_rev, distress distress_rev], [prompt_id, assignment_id]
}

/// Lists the headers of the newest done responses, at most `most`, newest first. Those that do not open are left
/// out.
///
/// # Errors
///
/// When they cannot be read.
pub fn list_headers<A>(tx: &mut Tx<'_>, access: &Access<A>, most: i64) -> Result<Vec<(Id<Response>, Header)>> {
    let mut headers = Vec::new();
    for (id, part) in ResponseTable::list_headers(tx, access, None, most)? {
        let header = Error::skip_damaged(open_header::<Responses>(access.keys()?, access.patient(), id, &part))?;
        headers.extend(header.map(|header| (id.typed(), header)));
    }
    Ok(headers)
}
