//! The list of revisions, the same for everything that has some.

use actix_web::HttpRequest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::care::door::Own;
use crate::care::{Access, Door, Read};
use crate::changes::{self, Entity, Recorded};
use crate::db::Tx;
use crate::http::{Query, Reply};
use crate::kernel::id::Any;
use crate::kernel::page::{Limit, Page};
use crate::kernel::{Error, Id, Result};

/// A revision.
#[derive(Serialize, ToSchema)]
pub struct RevisionItem {
    /// The version that it was.
    #[schema(example = 1)]
    revision: i64,
    /// What made it: `created`, `updated`, `deleted`, `undeleted` or `restored`.
    #[schema(example = "updated")]
    change: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// A page of revisions.
#[derive(Serialize, ToSchema)]
pub struct RevisionList {
    /// The revisions, oldest first.
    items: Vec<RevisionItem>,
    /// Where the next page starts; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A page of a list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListRevisions {
    /// How many items, 1 to 200; 20 unless said otherwise.
    #[param(nullable = false, minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
}

/// A page of the revisions of `item`, as operation `act`. `there` refuses what is not there.
///
/// # Errors
///
/// 401, 403 or 404 when the door stays shut; what is wrong with the query; what `there` answers.
pub async fn list<F>(
    door: &Door<Own>,
    act: &'static str,
    (entity, item): (Entity, Id<Any>),
    query: Result<Query<ListRevisions>, Error>,
    request: &HttpRequest,
    mut there: F,
) -> Result<Reply>
where
    F: FnMut(&mut Tx<'_>, &Access<Read>) -> Result<()> + Send + 'static,
{
    let scope = door.cursor_scope(act, &item.to_string());
    let asked = query.and_then(|query| {
        let query = query.into_inner();
        let after = query.cursor.map(|cursor| {
            let bytes = door.state().vault.open_cursor(&scope, &cursor);
            let version = bytes.and_then(|bytes| bytes.first_chunk().copied()).map(i64::from_be_bytes);
            version.ok_or_else(|| Error::field("query/cursor", "is not a cursor of this list"))
        });
        Ok((Limit::parse(query.limit)?, after.transpose()?.unwrap_or_default()))
    });
    let (limit, after) = door.first(act, asked).await?;
    let read = door.read(act, move |tx, access| {
        there(tx, access)?;
        changes::list_of(tx, access.patient(), entity, item, after, limit.rows())
    });
    let page = Page::cut(read.await?, limit, |change: &Recorded| change.version);
    let next_cursor = page.next.map(|version| door.state().vault.seal_cursor(&scope, &version.to_be_bytes()));
    let item = |change: &Recorded| RevisionItem {
        revision: change.version,
        change: change.op.name().to_owned(),
        at: change.at,
    };
    let list = RevisionList { items: page.items.iter().map(item).collect(), next_cursor };
    Ok(Reply::ok(&list).next(request, list.next_cursor.as_deref()))
}
