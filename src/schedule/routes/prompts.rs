//! The operations on prompts.

use actix_web::{get, post};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::view::{NotAsked, PromptView};
use crate::care::door::{Own, Shared};
use crate::care::{Access, Door};
use crate::db::Tx;
use crate::http::document::{ActionErrors, IdempotencyKeyHeader, ReadErrors, WriteErrors};
use crate::http::{Body, Command, Listing, MaybeBody, PageQuery, PatientRef, Reply, Request};
use crate::idempotency::{Outcome, RecordedOutcome};
use crate::kernel::id::Prompt;
use crate::kernel::locale::TextLanguage;
use crate::kernel::page::{Page, PageRequest, SMALL};
use crate::kernel::{DateRange, Error, Fields, Id, Listed, Result, Text, Zone, device_time};
use crate::planning::PromptKind;
use crate::prompts::actions::{PromptAction, SnoozeOption, act};
use crate::prompts::model::{STATES, StoredPrompt};
use crate::prompts::store;
use crate::schedule::actions::{self, placeholder_values};
use crate::settings::{settings, settings_or_default};

/// A prompt in a list.
type PromptItem = Listed<PromptView>;

/// A page of prompts.
#[derive(Serialize, ToSchema)]
struct PromptPage {
    /// The prompts, by time.
    items: Vec<PromptItem>,
    /// The cursor of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
    /// The prompts that rules call for and that were not planned, if the patient asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    not_asked: Option<Vec<NotAsked>>,
}

/// Filters of a list of prompts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PromptQuery {
    /// The first local date of the patient, inclusive.
    #[param(required = false, nullable = false, format = Date, example = "2026-11-02")]
    from: Option<String>,
    /// The last local date of the patient, inclusive.
    #[param(required = false, nullable = false, format = Date, example = "2026-11-09")]
    to: Option<String>,
    /// Whether to include the prompts that rules call for and that were not planned; for the patient.
    #[param(required = false, nullable = false)]
    not_asked: Option<bool>,
    /// The state of the prompts, of `planned`, `due`, `delivered`, `opened`, `completed`, `skipped`, `cancelled`,
    /// `lapsed`; for the patient.
    #[param(required = false, nullable = false, example = "due")]
    state: Option<String>,
}

/// The days after today, or after the first date if that is later, that a list without a last date shows.
const AHEAD: i64 = 15;

/// The place of a prompt in the list.
type CursorPosition = (Timestamp, Id<Prompt>);

/// A prompt of the owner's list, with its place and its stored bytes; without it one that does not open.
type OwnPrompt = ((CursorPosition, usize), Option<StoredPrompt>);

fn place_of(((place, _), _): &OwnPrompt) -> CursorPosition {
    *place
}

fn size_of(((_, bytes), _): &OwnPrompt) -> usize {
    *bytes
}

/// The filter of a list of prompts.
#[derive(Clone)]
struct PromptFilter {
    dates: DateRange,
    state: Option<&'static str>,
    not_asked: bool,
}

impl PromptFilter {
    /// Returns the dates, which begin with today unless asked otherwise, and the zone where the patient is.
    fn days<A>(&self, tx: &mut Tx<'_>, access: &Access<A>) -> Result<(DateRange, Zone)> {
        let settings = Error::skip_damaged(settings(tx, access))?;
        let here = settings.as_ref().map_or_else(Zone::utc, |(settings, _)| settings.zone_at(access.now()));
        // Without the zone the patient's day may be the one before that of UTC.
        let today = here.date(access.now()).saturating_sub(i64::from(settings.is_none()).days());
        let from = self.dates.from.unwrap_or(today);
        let to = self.dates.to.unwrap_or_else(|| from.max(today).saturating_add(AHEAD.days()));
        if to < from {
            return Err(Error::field("query/to", "must not be earlier than `from`, which is today by default"));
        }
        Ok((DateRange { from: Some(from), to: Some(to) }, here))
    }
}

impl PromptQuery {
    /// The scope that cursors are bound to: the request as it was sent, since bounds that follow the clock change.
    fn scope(&self) -> String {
        format!("{:?}|{:?}|{:?}", self.from, self.to, self.state)
    }

    fn parse(self) -> Result<PromptFilter> {
        let mut f = Fields::new();
        let dates = DateRange::take(&mut f, "query/", self.from, self.to);
        let state = self.state.and_then(|name| {
            let known = STATES.into_iter().find(|state| *state == name);
            f.take("query/state", known.ok_or_else(|| format!("must be one of {}", STATES.join(", "))))
        });
        f.done()?;
        Ok(PromptFilter { dates, state, not_asked: self.not_asked.unwrap_or(false) })
    }
}

/// List prompts
///
/// By time, from today to the fifteenth day after it unless asked otherwise. A therapist sees the schedule of the protocol, with the state of
/// safety checks and measures only.
#[utoipa::path(tag = "prompts",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"), PromptQuery, PageQuery),
    responses((status = 200, description = "A page", body = PromptPage), ReadErrors))]
#[get("/prompts")]
pub(super) async fn list_prompts(door: Door<Shared>, listing: Result<Listing<PromptQuery>, Error>) -> Result<Reply> {
    let filter = listing.as_ref().map(|asked| asked.filter.scope()).unwrap_or_default();
    let scope = door.cursor_scope("list_prompts", &filter);
    let listing = listing.and_then(|listing| listing.map(PromptQuery::parse));
    let asked = listing.and_then(|listing| Ok((listing.page(&door.state().vault, &scope)?, listing)));
    let (asked, listing) = door.first("list_prompts", asked).await?;
    let (page, not_asked) = if door.is_owner() {
        (own_page(&door, &listing.filter, asked).await?, not_asked(&door, &listing.filter).await?)
    } else {
        (outline_page(&door, &listing.filter, asked).await?, None)
    };
    let list = |items, next_cursor| PromptPage { items, next_cursor, not_asked };
    Ok(listing.reply(&door.state().vault, &scope, page, list))
}

/// Reads the prompts that rules call for and that were not planned, if the patient asks for them.
async fn not_asked(door: &Door<Shared>, filter: &PromptFilter) -> Result<Option<Vec<NotAsked>>> {
    if !filter.not_asked {
        return Ok(None);
    }
    let protocols = door.state().protocols.known();
    let read = door.read("list_prompts", move |tx, access| {
        Ok((actions::not_asked(tx, access, &protocols)?, settings_or_default(tx, access)?.locale))
    });
    let (dropped, own) = read.await?;
    let language = TextLanguage::of(&own);
    Ok(Some(dropped.into_iter().map(|one| NotAsked::new(one, language)).collect()))
}

/// Reads the patient's own prompts: pages of rows until there are enough in the state that is asked for.
async fn own_page(
    door: &Door<Shared>,
    filter: &PromptFilter,
    asked: PageRequest<CursorPosition>,
) -> Result<Page<PromptItem, CursorPosition>> {
    let (filter, protocols) = (filter.clone(), door.state().protocols.known());
    let read = door.read("list_prompts", move |tx, access| {
        let (dates, here) = filter.days(tx, access)?;
        let (from, until) = dates.instants();
        let range = (from.unwrap_or(Timestamp::MIN), until.unwrap_or(Timestamp::MAX));
        let (mut found, mut after) = (Vec::new(), asked.after);
        loop {
            let rows = store::list(tx, access, range, after, asked.rows())?;
            let full = rows.len() >= asked.limit.items();
            for row in rows {
                let (place, bytes) = ((row.due_at.0, row.id), row.bytes());
                let prompt = Error::skip_damaged(store::open(access, row))?;
                // Of one that does not open neither the state is known nor the zone for which it was planned.
                let state = prompt.as_ref().map(|prompt| prompt.state(access.now()));
                let zone = prompt.as_ref().map_or(&here, |prompt| prompt.zone(Some(&here)));
                let hidden = prompt.as_ref().is_some_and(StoredPrompt::is_foreseen);
                let admitted = !hidden && dates.admits(zone.date(place.0));
                if admitted && filter.state.is_none_or(|wanted| state == Some(wanted)) {
                    found.push(((place, bytes), prompt));
                }
                after = Some(place);
            }
            if found.len() > asked.limit.items() || !full {
                break;
            }
        }
        let page = asked.cut(found, size_of, place_of);
        let opened = page.items.iter().filter_map(|(_, prompt)| prompt.as_ref());
        let values = placeholder_values(tx, access, &protocols, opened)?;
        Ok((page, values))
    });
    let (page, values) = read.await?;
    let protocols = door.state().protocols.known();
    let view = |prompt: StoredPrompt| PromptView::for_owner(&prompt, &protocols, &values, door.now());
    page.try_map(|(((_, id), _), prompt)| {
        Ok(prompt.map_or_else(|| Listed::unreadable(id.uuid()), |prompt| Listed::Readable(view(prompt))))
    })
}

/// Reads a page of the outline, whatever the patient did, wrote, shared or put off. An order, a gap or a new item in
/// the patient's own list would reveal that.
async fn outline_page(
    door: &Door<Shared>,
    filter: &PromptFilter,
    asked: PageRequest<CursorPosition>,
) -> Result<Page<PromptItem, CursorPosition>> {
    let (filter, protocols) = (filter.clone(), door.state().protocols.known());
    let read = door.read("list_prompts", move |tx, access| {
        let (dates, _) = filter.days(tx, access)?;
        let mut planned = actions::outline(tx, access, &protocols)?;
        planned.retain(|prompt| {
            let place = (prompt.due_at, prompt.id);
            dates.admits(prompt.local_date) && asked.after.is_none_or(|after| after < place)
        });
        planned.sort_by_key(|prompt| (prompt.due_at, prompt.id));
        let page = asked.cut(planned, |_| SMALL, |prompt| (prompt.due_at, prompt.id));
        let mut items = Vec::with_capacity(page.items.len());
        for prompt in page.items {
            access.returns(prompt.id.uuid());
            let shown = matches!(prompt.kind, PromptKind::Safety | PromptKind::Measure);
            let found = if shown { store::find(tx, access, prompt.id) } else { Ok(None) };
            // One that does not open still stands in the schedule of the protocol, without its state.
            let stored = Error::skip_damaged(found)?.flatten();
            let view = PromptView::for_reader(prompt, stored.map(|stored| stored.state(access.now())));
            items.push(Listed::Readable(view));
        }
        Ok(Page { items, next: page.next })
    });
    read.await
}

/// Applies the patient's act to a prompt. The answer shows the prompt as it is after planning.
async fn change<B: 'static>(
    door: &Door<Own>,
    name: &'static str,
    request: Request<Id<Prompt>, B>,
    parse: impl FnOnce(B) -> Result<PromptAction>,
) -> Result<Reply> {
    let protocols = door.state().protocols.known();
    let answer = door.change(
        name,
        request,
        |Command { id, body, .. }| Ok((id, parse(body)?)),
        |tx, access, (id, what)| Ok(Outcome::new(RecordedOutcome::ok(id.uuid()), act(tx, access, *id, what)?)),
        move |tx, access, outcome| {
            let prompt = outcome.or_get(|id| store::find(tx, access, id)?.ok_or(Error::NotFound))?;
            let values = placeholder_values(tx, access, &protocols, [&prompt])?;
            Ok((prompt, values))
        },
    );
    let protocols = door.state().protocols.known();
    let view = |(prompt, values)| PromptView::for_owner(&prompt, &protocols, &values, door.now());
    answer.await?.reply(|shown| Ok(Reply::ok(&view(shown))))
}

/// Open a prompt
///
/// Notes that the patient looked at it. Nothing more is sent for it.
#[utoipa::path(tag = "prompts",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"), ("prompt_id" = Uuid, Path, description = "A prompt's id"), IdempotencyKeyHeader),
    responses((status = 200, description = "Opened", body = PromptView), ActionErrors))]
#[post("/prompts/{prompt_id}/open")]
pub(super) async fn open_prompt(door: Door<Own>, request: Request<Id<Prompt>>) -> Result<Reply> {
    change(&door, "open_prompt", request, |()| Ok(PromptAction::Open)).await
}

/// The instant of the answer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CompletePrompt {
    /// The instant by the patient's clock; now by default. An answer in time counts, however late it arrives.
    #[schema(format = DateTime)]
    occurred_at: Option<String>,
}

impl CompletePrompt {
    fn parse(body: Option<Self>, now: Timestamp) -> Result<PromptAction> {
        let mut f = Fields::new();
        let at = device_time::take(&mut f, "/occurred_at", body.and_then(|body| body.occurred_at));
        f.done()?;
        Ok(PromptAction::Complete { occurred_at: at.unwrap_or(now).min(now), answer: None })
    }
}

/// Complete a prompt
///
/// For prompts without content. Writing an entry with `prompt_id` completes the prompt by itself.
#[utoipa::path(tag = "prompts", request_body(content = CompletePrompt, description = "May be absent"),
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"), ("prompt_id" = Uuid, Path, description = "A prompt's id"), IdempotencyKeyHeader),
    responses((status = 200, description = "Completed", body = PromptView), WriteErrors))]
#[post("/prompts/{prompt_id}/complete")]
pub(super) async fn complete_prompt(
    door: Door<Own>,
    request: Request<Id<Prompt>, MaybeBody<CompletePrompt>>,
) -> Result<Reply> {
    let now = door.now();
    change(&door, "complete_prompt", request, |body| CompletePrompt::parse(body.into_inner(), now)).await
}

/// The time to which a prompt is put off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SnoozePrompt {
    /// `hour`, `evening` or `tomorrow`. Never in quiet hours.
    #[schema(example = "evening")]
    until: String,
}

impl SnoozePrompt {
    fn parse(self) -> Result<PromptAction> {
        SnoozeOption::parse(&self.until).map(PromptAction::Snooze).map_err(|why| Error::field("/until", why))
    }
}

/// Snooze a prompt
#[utoipa::path(tag = "prompts", request_body = SnoozePrompt,
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"), ("prompt_id" = Uuid, Path, description = "A prompt's id"), IdempotencyKeyHeader),
    responses((status = 200, description = "Snoozed", body = PromptView), WriteErrors))]
#[post("/prompts/{prompt_id}/snooze")]
pub(super) async fn snooze_prompt(door: Door<Own>, request: Request<Id<Prompt>, Body<SnoozePrompt>>) -> Result<Reply> {
    change(&door, "snooze_prompt", request, |body| body.into_inner().parse()).await
}

/// The reason for skipping a prompt.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SkipPrompt {
    /// The reason in a few words. Nobody else sees them.
    #[schema(max_length = 200, example = "not today")]
    reason: Option<String>,
}

impl SkipPrompt {
    fn parse(body: Option<Self>) -> Result<PromptAction> {
        let mut f = Fields::new();
        let reason = body.and_then(|body| body.reason).and_then(|text| f.take("/reason", Text::<200>::optional(&text)));
        f.done()?;
        Ok(PromptAction::Skip { reason: reason.flatten().map(Text::into_string) })
    }
}

/// Skip a prompt
#[utoipa::path(tag = "prompts", request_body(content = SkipPrompt, description = "May be absent"),
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"), ("prompt_id" = Uuid, Path, description = "A prompt's id"), IdempotencyKeyHeader),
    responses((status = 200, description = "Skipped", body = PromptView), WriteErrors))]
#[post("/prompts/{prompt_id}/skip")]
pub(super) async fn skip_prompt(door: Door<Own>, request: Request<Id<Prompt>, MaybeBody<SkipPrompt>>) -> Result<Reply> {
    change(&door, "skip_prompt", request, |body| SkipPrompt::parse(body.into_inner())).await
}
