//! Prompts, and what a patient does with one.

use actix_web::{HttpRequest, get, post};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::prompt::{NotAsked, PromptView};
use crate::care::door::{Own, Shared};
use crate::care::{Access, Door};
use crate::db::Tx;
use crate::http::document::{ActionErrors, OnceHeader, ReadErrors, WriteErrors};
use crate::http::{Body, IdempotencyKey, MaybeBody, PathOf, PatientRef, Query, Reply};
use crate::idempotency::Done;
use crate::kernel::id::Prompt;
use crate::kernel::page::{Limit, Page};
use crate::kernel::{Error, Fields, Id, Result, Text, device_time};
use crate::planning::{Kind, Protocol};
use crate::prompts::actions::{self, Act, Known, Later};
use crate::prompts::model::StoredPrompt;
use crate::prompts::store;
use crate::prompts::words::quotes;

/// A page of prompts.
#[derive(Serialize, ToSchema)]
struct PromptPage {
    /// The prompts, by time.
    items: Vec<PromptView>,
    /// Where the next page starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
    /// What rules call for and was not planned, if the patient asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    not_asked: Option<Vec<NotAsked>>,
}

/// Which prompts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PromptQuery {
    /// Due at or after; the beginning of the last 14 days unless said otherwise.
    #[param(required = false, nullable = false, format = DateTime)]
    from: Option<String>,
    /// Due before; 15 days from now unless said otherwise.
    #[param(required = false, nullable = false, format = DateTime)]
    to: Option<String>,
    /// Whether to tell what rules call for and was not planned, and why; for the patient.
    #[param(required = false, nullable = false)]
    not_asked: Option<bool>,
    /// In this state only; for the patient.
    #[param(required = false, nullable = false, example = "due")]
    state: Option<String>,
    /// Items a page: 1 to 200, 20 unless said otherwise.
    #[param(required = false, nullable = false, minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// Where the page starts: `next_cursor` of the page before.
    #[param(required = false, nullable = false)]
    cursor: Option<String>,
}

/// List prompts
///
/// By time. A therapist sees the schedule of the protocol, with the state of safety checks and measures only.
#[utoipa::path(tag = "prompts", operation_id = "list_prompts",
    params(("patient_id" = PatientRef, Path, description = "Whose"), PromptQuery),
    responses((status = 200, description = "A page", body = PromptPage), ReadErrors))]
#[get("/prompts")]
pub(super) async fn list_prompts(
    door: Door<Shared>,
    query: Result<Query<PromptQuery>, Error>,
    request: HttpRequest,
) -> Result<Reply> {
    let asked = query.and_then(|query| Asked::parse(&door, query.into_inner()));
    let asked = door.first("list_prompts", asked).await?;
    let page = if door.is_owner() { own_page(&door, &asked).await? } else { schedule_page(&door, &asked).await? };
    Ok(Reply::ok(&page).next(&request, page.next_cursor.as_deref()))
}

/// Which prompts are asked for.
struct Asked {
    from: Timestamp,
    to: Timestamp,
    state: Option<String>,
    with_dropped: bool,
    limit: Limit,
    scope: Vec<u8>,
    after: Option<(Timestamp, Id<Prompt>)>,
}

impl Asked {
    fn parse(door: &Door<Shared>, query: PromptQuery) -> Result<Self> {
        let (mut f, now) = (Fields::new(), door.now());
        // As it was asked: bounds that follow the clock would bind a cursor to its moment.
        let filter = format!("{:?}|{:?}|{:?}", query.from, query.to, query.state);
        let scope = door.cursor_scope("list_prompts", &filter);
        let days = |n: i64| SignedDuration::from_hours(24 * n);
        let shift = |by: SignedDuration| now.saturating_add(by).unwrap_or(now);
        let from = device_time::take(&mut f, "query/from", query.from).unwrap_or(shift(days(-14)));
        let to = device_time::take(&mut f, "query/to", query.to).unwrap_or(shift(days(15)));
        f.done()?;
        let limit = Limit::parse(query.limit)?;
        let after = query.cursor.map(|text| {
            let plain = door.state().vault.open_cursor(&scope, &text);
            let place = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
            place.ok_or_else(|| Error::field("query/cursor", "is not a cursor of this list"))
        });
        let with_dropped = query.not_asked.unwrap_or(false);
        Ok(Self { from, to, state: query.state, with_dropped, limit, after: after.transpose()?, scope })
    }

    fn page(&self, door: &Door<Shared>, items: Vec<PromptView>, next: Option<(Timestamp, Id<Prompt>)>) -> PromptPage {
        let next = next.and_then(|place| serde_json::to_vec(&place).ok());
        let next_cursor = next.map(|plain| door.state().vault.seal_cursor(&self.scope, &plain));
        PromptPage { items, next_cursor, not_asked: None }
    }
}

/// The patient's own prompts.
async fn own_page(door: &Door<Shared>, asked: &Asked) -> Result<PromptPage> {
    let (range, limit, mut after, now) = ((asked.from, asked.to), asked.limit, asked.after, door.now());
    let mut found: Vec<StoredPrompt> = Vec::new();
    loop {
        let rows = door.read("list_prompts", move |tx, access| store::list(tx, access, range, after, limit.rows()));
        let rows = rows.await?;
        let (full, last) = (rows.len() >= limit.items(), rows.last().map(|last| (last.due_at, last.id)));
        let wanted = |prompt: &StoredPrompt| asked.state.as_ref().is_none_or(|state| prompt.state(now) == state);
        found.extend(rows.into_iter().filter(wanted));
        if found.len() > limit.items() || !full {
            break;
        }
        after = last;
    }
    let page = Page::cut(found, limit, |prompt| (prompt.due_at, prompt.id));
    let quotes = page.items.iter().any(quotes_owner);
    let known = door.read("list_prompts", move |tx, access| actions::known(tx, access, quotes)).await?;
    let view = |prompt| PromptView::for_owner(prompt, &known, now);
    let items = page.items.iter().map(view).collect();
    let mut page = asked.page(door, items, page.next);
    if asked.with_dropped {
        let dropped = door.read("list_prompts", actions::not_asked).await?;
        page.not_asked = Some(dropped.into_iter().map(NotAsked::from).collect());
    }
    Ok(page)
}

/// Whether what is asked quotes the patient.
fn quotes_owner(prompt: &StoredPrompt) -> bool {
    Protocol::default_v1().rule(&prompt.doc.planned.rule_key).is_some_and(|rule| quotes(&rule.text))
}

/// What the protocol schedules after these infusions, whatever the patient did, wrote, shared or put off: an order, a
/// gap or a new item in the patient's own list would tell.
async fn schedule_page(door: &Door<Shared>, asked: &Asked) -> Result<PromptPage> {
    let (from, to, after, limit) = (asked.from, asked.to, asked.after, asked.limit);
    let page = door.read("list_prompts", move |tx, access| {
        let mut planned = actions::schedule(tx, access)?;
        planned.retain(|prompt| {
            let place = (prompt.due_at, prompt.id);
            from <= prompt.due_at && prompt.due_at < to && after.is_none_or(|after| after < place)
        });
        planned.sort_by_key(|prompt| (prompt.due_at, prompt.id));
        let page = Page::cut(planned, limit, |prompt| (prompt.due_at, prompt.id));
        let mut items = Vec::with_capacity(page.items.len());
        for prompt in page.items {
            access.returns(prompt.id.uuid());
            let shown = matches!(prompt.kind, Kind::Safety | Kind::Measure);
            let stored = if shown { store::find(tx, access, prompt.id)? } else { None };
            items.push(PromptView::for_reader(prompt, stored.map(|stored| stored.state(access.now()))));
        }
        Ok((items, page.next))
    });
    let (items, next) = page.await?;
    Ok(asked.page(door, items, next))
}

/// The prompt, with what is filled into it.
fn quoting<A>(tx: &mut Tx<'_>, access: &Access<A>, prompt: StoredPrompt) -> Result<(StoredPrompt, Known)> {
    let known = actions::known(tx, access, quotes_owner(&prompt))?;
    Ok((prompt, known))
}

async fn act(
    door: Door<Own>,
    name: &'static str,
    id: Id<Prompt>,
    key: &IdempotencyKey,
    raw: &[u8],
    command: Result<Act>,
) -> Result<Reply> {
    let once = door.once(key, raw);
    let now = door.now();
    let (_, prompt) = door
        .write(
            name,
            once,
            command,
            move |tx, access, what| {
                let prompt = actions::act(tx, access, id, what)?;
                Ok((Done::ok(id.uuid()), quoting(tx, access, prompt)?))
            },
            move |tx, access, _| {
                let prompt = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
                quoting(tx, access, prompt)
            },
        )
        .await?;
    let (prompt, known) = prompt;
    Ok(Reply::ok(&PromptView::for_owner(&prompt, &known, now)))
}

/// Open a prompt
///
/// The patient looked at it; nothing more is sent for it.
#[utoipa::path(tag = "prompts", operation_id = "open_prompt",
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("prompt_id" = Uuid, Path, description = "Which"), OnceHeader),
    responses((status = 200, description = "Opened", body = PromptView), ActionErrors))]
#[post("/prompts/{prompt_id}/open")]
pub(super) async fn open_prompt(door: Door<Own>, id: PathOf<Id<Prompt>>, key: IdempotencyKey) -> Result<Reply> {
    act(door, "open_prompt", id.0, &key, &[], Ok(Act::Open)).await
}

/// When it was answered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CompletePrompt {
    /// By the patient's clock; now unless said otherwise. An answer in time counts, however late it arrives.
    #[schema(format = DateTime)]
    occurred_at: Option<String>,
}

/// Complete a prompt
///
/// For prompts without content. Writing an entry with `prompt_id` completes the prompt by itself.
#[utoipa::path(tag = "prompts", operation_id = "complete_prompt", request_body(content = CompletePrompt, description = "May be absent"),
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("prompt_id" = Uuid, Path, description = "Which"), OnceHeader),
    responses((status = 200, description = "Completed", body = PromptView), WriteErrors))]
#[post("/prompts/{prompt_id}/complete")]
pub(super) async fn complete_prompt(
    door: Door<Own>,
    id: PathOf<Id<Prompt>>,
    key: IdempotencyKey,
    body: Result<MaybeBody<CompletePrompt>, Error>,
) -> Result<Reply> {
    let now = door.now();
    let raw = body.as_ref().map(|body| body.raw().clone()).unwrap_or_default();
    let command = body.and_then(|body| {
        let mut f = Fields::new();
        let at = device_time::take(&mut f, "/occurred_at", body.into_inner().and_then(|body| body.occurred_at));
        f.done()?;
        Ok(Act::Complete { occurred_at: at.unwrap_or(now).min(now), answer: None })
    });
    act(door, "complete_prompt", id.0, &key, &raw, command).await
}

/// Until when.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SnoozePrompt {
    /// `hour`, `evening` or `tomorrow`. Never in quiet hours.
    #[schema(example = "evening")]
    until: String,
}

/// Snooze a prompt
#[utoipa::path(tag = "prompts", operation_id = "snooze_prompt", request_body = SnoozePrompt,
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("prompt_id" = Uuid, Path, description = "Which"), OnceHeader),
    responses((status = 200, description = "Snoozed", body = PromptView), WriteErrors))]
#[post("/prompts/{prompt_id}/snooze")]
pub(super) async fn snooze_prompt(
    door: Door<Own>,
    id: PathOf<Id<Prompt>>,
    key: IdempotencyKey,
    body: Result<Body<SnoozePrompt>, Error>,
) -> Result<Reply> {
    let raw = body.as_ref().map(|body| body.raw().clone()).unwrap_or_default();
    let command = body.and_then(|body| {
        let later = Later::parse(&body.into_inner().until);
        later.map(Act::Snooze).map_err(|why| Error::field("/until", why))
    });
    act(door, "snooze_prompt", id.0, &key, &raw, command).await
}

/// Why not.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SkipPrompt {
    /// In a few words; nobody else sees them.
    #[schema(max_length = 200, example = "not today")]
    reason: Option<String>,
}

/// Skip a prompt
#[utoipa::path(tag = "prompts", operation_id = "skip_prompt", request_body(content = SkipPrompt, description = "May be absent"),
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("prompt_id" = Uuid, Path, description = "Which"), OnceHeader),
    responses((status = 200, description = "Skipped", body = PromptView), WriteErrors))]
#[post("/prompts/{prompt_id}/skip")]
pub(super) async fn skip_prompt(
    door: Door<Own>,
    id: PathOf<Id<Prompt>>,
    key: IdempotencyKey,
    body: Result<MaybeBody<SkipPrompt>, Error>,
) -> Result<Reply> {
    let raw = body.as_ref().map(|body| body.raw().clone()).unwrap_or_default();
    let command = body.and_then(|body| {
        let mut f = Fields::new();
        let reason = body.into_inner().and_then(|body| body.reason);
        let reason = reason.and_then(|text| f.take("/reason", Text::<200>::parse(text)));
        f.done()?;
        Ok(Act::Skip { reason: reason.map(Text::into_string) })
    });
    act(door, "skip_prompt", id.0, &key, &raw, command).await
}
