//! The request for a page of a list.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::document::IfNoneMatchHeader;
use super::query::pairs;
use super::{EntityTag, Preconditions, Reply, precondition, reader};
use crate::kernel::page::{CursorKey, Limit, Page, PageRequest};
use crate::kernel::{Error, Fields, Result};
use crate::vault::Vault;

/// The parameters of a page, and the header `If-None-Match`. In an operation: `params(PageQuery)`, beside the list's
/// own filters.
#[derive(Clone, Copy, Debug)]
pub struct PageQuery;

impl IntoParams for PageQuery {
    fn into_params(parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        [LimitAndCursor::into_params(&parameter_in), IfNoneMatchHeader::into_params(&parameter_in)].concat()
    }
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document reads the fields")]
struct LimitAndCursor {
    /// The number of items, 1 to 200; 20 by default.
    #[param(required = false, nullable = false, minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[param(required = false, nullable = false)]
    cursor: Option<String>,
}

/// The request for a page of a list: a filter `F` (which derives `Deserialize` with `deny_unknown_fields`), a limit and
/// a cursor.
#[derive(Clone, Debug)]
pub struct Listing<F = NoFilter> {
    /// The filter.
    pub filter: F,
    /// The number of items.
    pub limit: Limit,
    /// The start of the page: `next_cursor` of the page before, not opened yet.
    pub cursor: Option<String>,
    path: String,
    query: String,
    when: Preconditions,
}

/// A list without a filter.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoFilter {}

impl<F> Listing<F> {
    /// Returns the `Link` to the page that starts at `cursor`: this address with another cursor.
    pub(super) fn next_link(&self, cursor: &str) -> String {
        let kept = self.query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
        let own = format!("cursor={cursor}");
        let query: Vec<&str> = kept.chain([own.as_str()]).collect();
        format!("<{}?{}>; rel=\"next\"", self.path, query.join("&"))
    }

    /// Opens the cursor, which is bound to `scope`: the caller, the list and its filter.
    ///
    /// # Errors
    ///
    /// 422 for a cursor of another caller, list or filter.
    pub fn page<K: CursorKey>(&self, vault: &Vault, scope: &[u8]) -> Result<PageRequest<K>> {
        let after = self.cursor.as_ref().map(|text| {
            let key = vault.open_cursor(scope, text).and_then(|bytes| K::from_bytes(&bytes));
            key.ok_or_else(|| Error::field("query/cursor", "is not a cursor of this list"))
        });
        Ok(PageRequest { limit: self.limit, after: after.transpose()? })
    }

    /// Renders `page` with its cursor sealed for `scope`; `list` makes the view from the items and that cursor. Its tag
    /// is a keyed hash of what it shows. A caller who has it gets a 304; the unit has read the page all the same, and a
    /// log of readings names it.
    pub fn reply<T, K: CursorKey, L: Serialize>(
        &self,
        vault: &Vault,
        scope: &[u8],
        page: Page<T, K>,
        list: impl FnOnce(Vec<T>, Option<String>) -> L,
    ) -> Reply {
        self.long_reply(vault, scope, (page, 0), list)
    }

    /// Renders `page` as [`Listing::reply`] does; its view takes about `room` bytes.
    pub fn long_reply<T, K: CursorKey, L: Serialize>(
        &self,
        vault: &Vault,
        scope: &[u8],
        (page, room): (Page<T, K>, usize),
        list: impl FnOnce(Vec<T>, Option<String>) -> L,
    ) -> Reply {
        let cursor = page.next.map(|key| vault.seal_cursor(scope, &key.to_bytes()));
        let link = cursor.as_deref().map(|cursor| self.next_link(cursor));
        tagged(Reply::long(&list(page.items, cursor), room).link(link.as_deref()), (vault, scope), &self.when)
    }

    /// Returns the same request with another filter.
    pub fn map<G>(self, filter: impl FnOnce(F) -> Result<G>) -> Result<Listing<G>> {
        let Self { filter: old, limit, cursor, path, query, when } = self;
        Ok(Listing { filter: filter(old)?, limit, cursor, path, query, when })
    }
}

/// Renders a list without pages, with a tag as [`Listing::reply`] gives one to a page; `scope` is the list, and the
/// caller where not all see the same.
pub fn whole_list<L: Serialize>(vault: &Vault, scope: &[u8], list: &L, when: &Preconditions) -> Reply {
    tagged(Reply::ok(list), (vault, scope), when)
}

/// Gives the reply with a list its tag, and makes it a 304 for a caller who has that tag.
fn tagged(reply: Reply, (vault, scope): (&Vault, &[u8]), when: &Preconditions) -> Reply {
    reply.unless_shown(|shown| EntityTag::opaque(&vault.tag(scope, shown)), when)
}

impl<F: DeserializeOwned> FromRequest for Listing<F> {
    type Error = Error;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request))
    }
}

fn parse<F: DeserializeOwned>(request: &HttpRequest) -> Result<Listing<F>> {
    #[derive(serde::Deserialize)]
    struct Page {
        limit: Option<i64>,
        cursor: Option<String>,
    }
    let mut fields = Fields::new();
    let (page, filter): (Vec<_>, Vec<_>) =
        pairs(request, &mut fields)?.into_iter().partition(|(name, _)| matches!(name.as_str(), "limit" | "cursor"));
    let filter = fields.part(reader::parameters("query", &filter))?;
    let page = fields.part(reader::parameters("query", &page))?;
    let limit = page.as_ref().map(|Page { limit, .. }| Limit::parse(*limit));
    let limit = limit.map_or(Ok(None), |limit| fields.part(limit))?;
    let (path, query) = (request.path().to_owned(), request.query_string().to_owned());
    let when = fields.part(precondition::parse(request))?;
    let listing = filter.zip(page).zip(limit.zip(when));
    fields.finish(listing.map(|((filter, Page { cursor, .. }), (limit, when))| Listing {
        filter,
        limit,
        cursor,
        path,
        query,
        when,
    }))
}
