//! Lists of entries, and searching them.

use actix_web::{HttpRequest, get, post};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::door::{Own, Policy, Shared};
use crate::care::grants::Sections;
use crate::care::{Access, Door, grants};
use crate::db::Tx;
use crate::http::document::{ReadErrors, SearchErrors};
use crate::http::{Body, PatientRef, Query, Reply};
use crate::journal::actions;
use crate::journal::filter::{Asked, Filter};
use crate::journal::hooks::{self, Background};
use crate::journal::seal::Of;
use crate::journal::store;
use crate::journal::view::{self, EntryView, Found};
use crate::kernel::id::{Any, Entry};
use crate::kernel::page::Limit;
use crate::kernel::{Error, Id, Result};

/// How many rows are looked at for one answer. A page that has fewer items than asked for and a cursor says: go on.
const BUDGET: usize = 2000;

/// A page of entries.
#[derive(Serialize, ToSchema)]
struct EntryList {
    /// The entries.
    items: Vec<EntryView>,
    /// Where the next page starts; absent at the end. A page may have fewer items than its limit and still not be the
    /// last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// Which entries, and which page of them.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListEntries {
    /// First local date.
    #[param(nullable = false, format = Date, example = "2026-11-02")]
    from: Option<String>,
    /// Last local date.
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
    /// A tag, whatever its case.
    #[param(nullable = false, max_length = 40, example = "takeaway")]
    tag: Option<String>,
    /// `draft`, `done` or `deleted`; without it, drafts and done ones.
    #[param(nullable = false, example = "done")]
    status: Option<String>,
    /// How many items, 1 to 200; 20 unless said otherwise.
    #[param(nullable = false, minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
}

/// What to look for, and which page of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SearchEntries {
    /// Words, all of which must stand in title, body or tags, in any case; parts of words are found too.
    #[schema(min_length = 1, max_length = 200, example = "lake quiet")]
    words: String,
    /// First local date.
    #[schema(nullable = false, format = Date, example = "2026-11-02")]
    from: Option<String>,
    /// Last local date.
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
    /// How many items, 1 to 200; 20 unless said otherwise.
    #[schema(nullable = false, minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[schema(nullable = false)]
    cursor: Option<String>,
}

/// List entries
///
/// The patient's own: newest first by `occurred_at`. A therapist lists the entries of which something is open to them,
/// in descending order of their ids.
#[utoipa::path(tag = "journal", operation_id = "list_entries",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"), ListEntries),
    responses((status = 200, description = "Entries", body = EntryList), ReadErrors))]
#[get("/entries")]
pub(super) async fn list_entries(
    door: Door<Shared>,
    query: Result<Query<ListEntries>, Error>,
    request: HttpRequest,
) -> Result<Reply> {
    let asked = query.and_then(|query| {
        let ListEntries { from, to, kind, phase, infusion_id, prompt_id, tag, status, limit, cursor } =
            query.into_inner();
        let asked = Asked { from, to, kind, phase, infusion_id, prompt_id, tag, status, words: None };
        let filter = Filter::parse(asked, "query/")?;
        if filter.owners_only() && !door.is_owner() {
            return Err(Error::field("query", "infusion_id and prompt_id are for the patient"));
        }
        Wanted::new(&door, "list_entries", filter, Limit::parse(limit)?, cursor, "query/cursor")
    });
    let wanted = door.first("list_entries", asked).await?;
    let list = if door.is_owner() { own_page(&door, wanted).await? } else { shared_page(&door, wanted).await? };
    Ok(Reply::ok(&list).next(&request, list.next_cursor.as_deref()))
}

/// Search entries
///
/// Looks through the patient's own entries, newest first. No word of the search is kept or logged.
#[utoipa::path(tag = "journal", operation_id = "search_entries", request_body = SearchEntries,
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id")),
    responses((status = 200, description = "Entries", body = EntryList), SearchErrors))]
#[post("/entries/search")]
pub(super) async fn search_entries(door: Door<Own>, body: Result<Body<SearchEntries>, Error>) -> Result<Reply> {
    let asked = body.and_then(|body| {
        let body = body.into_inner();
        let SearchEntries { words, from, to, kind, phase, infusion_id, prompt_id, tag, status, limit, cursor } = body;
        if words.trim().is_empty() {
            return Err(Error::field("/words", "must not be empty"));
        }
        let words = Some(words);
        let asked = Asked { from, to, kind, phase, infusion_id, prompt_id, tag, status, words };
        let limit = Limit::parse(limit).map_err(|_range| Error::field("/limit", "must be between 1 and 200"))?;
        Wanted::new(&door, "search_entries", Filter::parse(asked, "/")?, limit, cursor, "/cursor")
    });
    let wanted = door.first("search_entries", asked).await?;
    Ok(Reply::ok(&own_page(&door, wanted).await?))
}

/// A page that is asked for.
struct Wanted {
    act: &'static str,
    filter: Filter,
    limit: Limit,
    scope: Vec<u8>,
    /// Where the page before ended: the opened cursor.
    after: Option<Key>,
}

impl Wanted {
    fn new<L: Policy>(
        door: &Door<L>,
        act: &'static str,
        filter: Filter,
        limit: Limit,
        cursor: Option<String>,
        pointer: &str,
    ) -> Result<Self> {
        let scope = door.cursor_scope(act, &filter.scope());
        let after = cursor.map(|text| {
            let key = door.state().vault.open_cursor(&scope, &text).and_then(|key| read_key(&key));
            key.ok_or_else(|| Error::field(pointer, "is not a cursor of this list"))
        });
        Ok(Self { act, filter, limit, after: after.transpose()?, scope })
    }

    fn list<L: Policy>(&self, door: &Door<L>, items: Vec<EntryView>, next: Option<Key>) -> EntryList {
        let next_cursor = next.map(|key| door.state().vault.seal_cursor(&self.scope, &write_key(key)));
        EntryList { items, next_cursor }
    }
}

type Key = (Timestamp, Id<Entry>);

fn write_key((at, id): Key) -> Vec<u8> {
    [at.as_microsecond().to_be_bytes().as_slice(), id.uuid().as_bytes()].concat()
}

fn read_key(bytes: &[u8]) -> Option<Key> {
    let (at, id) = bytes.split_first_chunk()?;
    let at = Timestamp::from_microsecond(i64::from_be_bytes(*at)).ok()?;
    Some((at, Id::from_uuid(Uuid::from_slice(id).ok()?)))
}

/// The owner's entries: pages of rows, each its own unit, opened between the units until the page is full.
async fn own_page<L: Policy>(door: &Door<L>, wanted: Wanted) -> Result<EntryList> {
    let (filter, limit, mut after) = (&wanted.filter, wanted.limit, wanted.after);
    let (mut items, mut looked_at) = (Vec::new(), 0);
    loop {
        let scan = filter.scan(limit.rows(), after);
        let asked = scan.rows;
        let unit = move |tx: &mut Tx<'_>, access: &Access<_>| {
            Ok((store::list(tx, access, &scan)?, hooks::background(tx, access)?))
        };
        let (rows, background) = door.read(wanted.act, unit).await?;
        let around = background.open(door.keys()?, door.patient()?)?;
        let last = i64::try_from(rows.len()).is_ok_and(|read| read < asked);
        looked_at += rows.len();
        for row in rows {
            if items.len() == limit.items() {
                return Ok(wanted.list(door, items, after));
            }
            let opened = actions::open(door.keys()?, door.patient()?, &row)?;
            after = Some((opened.content.header.occurred_at, row.id));
            if filter.admits(&opened.content, &around) {
                items.push(view::rendered(&Found::own(row), &opened, &around));
            }
        }
        if last {
            return Ok(wanted.list(door, items, None));
        }
        if looked_at >= BUDGET {
            return Ok(wanted.list(door, items, after));
        }
    }
}

/// What one unit of a reader's list found.
struct Shelf {
    found: Vec<(store::Row, Sections)>,
    background: Background,
    next: Option<Id<Any>>,
}

/// What is open to a reader: one unit, with one row in the patient's log.
async fn shared_page(door: &Door<Shared>, wanted: Wanted) -> Result<EntryList> {
    let (filter, limit) = (wanted.filter.clone(), wanted.limit);
    let after = wanted.after.map(|(_, id)| id.any());
    let unit = move |tx: &mut Tx<'_>, access: &Access<_>| shelf(tx, access, &filter, limit, after);
    let shelf = door.read(wanted.act, unit).await?;
    let around = shelf.background.open(door.keys()?, door.patient()?)?;
    let render = |(row, sections)| view::render(door.keys()?, door.patient()?, &Found::shared(row, sections), &around);
    let items = shelf.found.into_iter().map(render).collect::<Result<_>>()?;
    // A reader's order knows no time.
    let next = shelf.next.map(|id| (Timestamp::UNIX_EPOCH, id.typed()));
    Ok(wanted.list(door, items, next))
}

fn shelf<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    filter: &Filter,
    limit: Limit,
    after: Option<Id<Any>>,
) -> Result<Shelf> {
    let link = access.link().ok_or(Error::NotFound)?;
    let (open, more) = grants::store::visible_page(tx, access, link, Sections::ENTRY, after, limit.items())?;
    let next = open.first_key_value().filter(|_| more).map(|(id, _)| *id);
    let ids: Vec<Id<Entry>> = open.keys().map(|id| id.typed()).collect();
    let background = hooks::background(tx, access)?;
    // The log is to name what goes out and nothing else, so what a filter asks for is opened here, in the unit.
    let around = filter.needs_opening().then(|| background.open(access.keys()?, access.patient()));
    let around = around.transpose()?;
    let mut found = Vec::new();
    for row in store::list_done(tx, access, &ids)? {
        let sections = open.get(&row.id.any()).copied().unwrap_or_default();
        let wanted = match &around {
            None => true,
            Some(around) => {
                let of = Of { patient: access.patient(), entry: row.id };
                filter.admits(&of.open(access.keys()?, &row.parts, sections)?.content, around)
            }
        };
        if wanted && filter.asks_for_done() {
            access.returns(row.id.uuid());
            found.push((row, sections));
        }
    }
    Ok(Shelf { found, background, next })
}
