//! The list of entries and the search, over HTTP.

use actix_web::{get, post};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::Door;
use crate::care::door::{Granted, Own, Policy};
use crate::http::document::{ReadErrors, SearchErrors};
use crate::http::{Body, Listing, PageQuery, PatientRef, Reply, page};
use crate::identity::Unlocked;
use crate::items::{pages, routes as items};
use crate::journal::filter::{Asked, Filter};
use crate::journal::model::Entries;
use crate::journal::view::EntryItem;
use crate::kernel::page::{CursorKey as _, Limit, PageRequest};
use crate::kernel::{Error, Fields, Result};

page! {
    /// A page of entries. It may have fewer items than its limit and still not be the last one.
    EntryList: "The entries." of EntryItem
}

/// The filter of entries.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListEntries {
    /// The first local date of the patient, inclusive.
    #[param(nullable = false, format = Date, example = "2026-11-02")]
    from: Option<String>,
    /// The last local date of the patient, inclusive.
    #[param(nullable = false, format = Date, example = "2026-11-09")]
    to: Option<String>,
    /// `reflection`, `fragment`, `note`, `dream` or `intention`.
    #[param(nullable = false, example = "reflection")]
    kind: Option<String>,
    /// The phase in which it happened.
    #[param(nullable = false, example = "peak")]
    phase: Option<String>,
    /// The infusion that an entry names, or else follows; for the patient only.
    #[param(nullable = false)]
    infusion_id: Option<Uuid>,
    /// The prompt it answers; for the patient only.
    #[param(nullable = false)]
    prompt_id: Option<Uuid>,
    /// `draft`, `done` or `deleted`; without it, drafts and done ones.
    #[param(nullable = false, example = "done")]
    status: Option<String>,
}

/// A search, with its page.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SearchEntries {
    /// The words, all of which must stand in title, body or tags, in any case; parts of words are found too. Without
    /// words, the other filters decide.
    #[schema(nullable = false, min_length = 1, max_length = 200, example = "lake quiet")]
    words: Option<String>,
    /// The first local date of the patient, inclusive.
    #[schema(nullable = false, format = Date, example = "2026-11-02")]
    from: Option<String>,
    /// The last local date of the patient, inclusive.
    #[schema(nullable = false, format = Date, example = "2026-11-09")]
    to: Option<String>,
    /// `reflection`, `fragment`, `note`, `dream` or `intention`.
    #[schema(nullable = false, example = "reflection")]
    kind: Option<String>,
    /// The phase in which it happened.
    #[schema(nullable = false, example = "peak")]
    phase: Option<String>,
    /// The infusion that an entry names, or else follows.
    #[schema(nullable = false)]
    infusion_id: Option<Uuid>,
    /// The prompt it answers.
    #[schema(nullable = false)]
    prompt_id: Option<Uuid>,
    /// A tag, whatever its case.
    #[schema(nullable = false, max_length = 40, example = "takeaway")]
    tag: Option<String>,
    /// `draft`, `done` or `deleted`; without it, drafts and done ones.
    #[schema(nullable = false, example = "done")]
    status: Option<String>,
    /// The number of items, 1 to 200; 20 by default.
    #[schema(nullable = false, minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[schema(nullable = false)]
    cursor: Option<String>,
}

/// List entries
///
/// The patient's own entries come newest first by `occurred_at`. A therapist lists the entries of which a section is
/// open to them, by local date, newest first, and within a date in a fixed order that does not follow from their times.
#[utoipa::path(tag = "journal",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"), ListEntries, PageQuery),
    responses((status = 200, description = "Entries", body = EntryList), ReadErrors))]
#[get("/entries")]
pub(super) async fn list_entries(
    door: Door<Unlocked<Granted>>,
    listing: Result<Listing<ListEntries>, Error>,
) -> Result<Reply> {
    list(door, "list_entries", listing).await
}

/// Lists the entries that the caller sees, as operation `act`.
pub(super) async fn list<P: Policy>(
    door: Door<P>,
    act: &'static str,
    listing: Result<Listing<ListEntries>, Error>,
) -> Result<Reply> {
    let listing = listing.and_then(|listing| listing.map(|asked| asked.parse(door.is_owner())));
    let scope = listing.as_ref().map(|listing| listing.filter.scope()).unwrap_or_default();
    items::list::<Entries, Filter, _, _>(door, act, (listing, scope), (), EntryList::of).await
}

impl ListEntries {
    fn parse(self, owner: bool) -> Result<Filter> {
        let Self { from, to, kind, phase, infusion_id, prompt_id, status } = self;
        // Tags and words are for the search: they do not belong into an address.
        let asked = Asked { from, to, kind, phase, infusion_id, prompt_id, tag: None, status, words: None };
        let mut fields = Fields::new();
        fields.check(owner || asked.infusion_id.is_none(), "query/infusion_id", "is for the patient");
        fields.check(owner || asked.prompt_id.is_none(), "query/prompt_id", "is for the patient");
        let filter = fields.part(Filter::parse(asked, "query/"))?;
        fields.finish(filter)
    }
}

/// Search entries
///
/// Looks through the patient's own entries, newest first. No word of the search is kept or logged.
#[utoipa::path(tag = "journal", request_body = SearchEntries,
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id")),
    responses((status = 200, description = "Entries", body = EntryList), SearchErrors))]
#[post("/entries/search")]
pub(super) async fn search_entries(
    door: Door<Unlocked<Own>>,
    body: Result<Body<SearchEntries>, Error>,
) -> Result<Reply> {
    let asked = body.and_then(|body| body.into_inner().parse(&door));
    let Search { filter, page, scope } = door.first("search_entries", asked).await?;
    let (found, room) = pages::own::<Entries, Filter, _>(&door, "search_entries", &filter, page, ()).await?;
    let next = found.next.map(|key| door.state().vault.seal_cursor(&scope, &key.to_bytes()));
    Ok(Reply::long(&EntryList::of(found.items, next), room))
}

/// A search, parsed.
struct Search {
    filter: Filter,
    page: PageRequest<pages::CursorPosition>,
    scope: Vec<u8>,
}

impl SearchEntries {
    fn parse<P: Policy>(self, door: &Door<P>) -> Result<Search> {
        let Self { words, from, to, kind, phase, infusion_id, prompt_id, tag, status, limit, cursor } = self;
        if words.as_ref().is_some_and(|words| words.trim().is_empty()) {
            return Err(Error::field("/words", "must not be empty"));
        }
        let filter = Filter::parse(Asked { from, to, kind, phase, infusion_id, prompt_id, tag, status, words }, "/")?;
        let limit = Limit::parse(limit).map_err(|_range| Error::field("/limit", "must be between 1 and 200"))?;
        let scope = door.cursor_scope("search_entries", &filter.scope());
        let after = cursor.map(|text| {
            let key =
                door.state().vault.open_cursor(&scope, &text).and_then(|key| pages::CursorPosition::from_bytes(&key));
            key.ok_or_else(|| Error::field("/cursor", "is not a cursor of this list"))
        });
        Ok(Search { filter, page: PageRequest { limit, after: after.transpose()? }, scope })
    }
}
