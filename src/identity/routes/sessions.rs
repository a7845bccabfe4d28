//! The sessions of the caller's account, and what its owner is told of them.

use actix_web::{delete, get, patch, web};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::audit::{AuditRow, Record, Subject};
use crate::db::Tx;
use crate::http::document::{
    ActionErrors, IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader, ReadErrors, WriteErrors,
};
use crate::http::{
    Command, EntityTag, Listing, Operations, PageQuery, Patch, Patchable, Preconditions, Reply, Request, whole_list,
};
use crate::idempotency::Outcome;
use crate::identity::model::DeviceName;
use crate::identity::sessions::{self, OwnSession};
use crate::identity::{AccountPolicy, Anyone, Caller, Claimed, Guarded, Live, Unlocked, security_events};
use crate::kernel::id::Session;
use crate::kernel::page::Page;
use crate::kernel::{Error, Fields, Id, Listed, Result};
use crate::state::State;
use crate::vault::Keys;

/// Registers the operations below `/v1`.
pub(super) fn configure(config: &mut Operations<'_, '_>) {
    config
        .service(list_sessions)
        .service(delete_other_sessions)
        .service(patch_session)
        .service(delete_session)
        .service(list_security_events);
}

/// A session of the caller's account.
#[derive(Serialize, ToSchema)]
struct SessionView {
    /// Its id.
    id: Uuid,
    /// Whether the request was made in it.
    current: bool,
    /// The name of its device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ann's phone")]
    device_name: Option<String>,
    /// The hour of the last refresh of its tokens.
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    /// The instant of the log-in.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The instant from which it is over unless its tokens are refreshed before.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The tag of the shown state, for `If-Match`.
    #[schema(value_type = String, example = "\"v3\"")]
    etag: EntityTag,
}

impl SessionView {
    fn open(session: &OwnSession, current: Id<Session>, keys: &Keys) -> Result<Self> {
        Ok(Self {
            id: session.id().uuid(),
            current: session.id() == current,
            device_name: session.device_name(keys)?.map(DeviceName::into_string),
            last_used_at: hour(session.last_used_at()),
            created_at: session.created_at(),
            expires_at: session.expires_at(),
            etag: EntityTag::version(session.version()),
        })
    }

    fn reply(self) -> Reply {
        Reply::ok(&self).etag(&self.etag)
    }
}

/// Returns the hour in which an instant lies: when somebody has used a device is shown no closer than that.
fn hour(at: Timestamp) -> Timestamp {
    let down = TimestampRound::new().smallest(Unit::Hour).mode(RoundMode::Trunc);
    at.round(down).unwrap_or(at)
}

/// A session in a list.
type SessionItem = Listed<SessionView>;

/// The live sessions of an account.
#[derive(Serialize, ToSchema)]
struct SessionList {
    /// The sessions, the one used last first.
    items: Vec<SessionItem>,
}

/// A change of a session.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Session)]
#[serde(deny_unknown_fields)]
struct SessionBody {
    /// The name of its device.
    #[schema(min_length = 1, max_length = 80, example = "Ann's phone")]
    device_name: String,
}

impl Patchable for SessionBody {
    const FIXED: &'static [&'static str] = &[];
}

impl SessionBody {
    fn parse(&self) -> Result<DeviceName> {
        let mut fields = Fields::new();
        let name = fields.take("/device_name", DeviceName::line(&self.device_name));
        fields.finish(name)
    }
}

type PatchSession = Patch<SessionBody>;

/// An event of an account that its owner should know of.
#[derive(Serialize, ToSchema)]
struct SecurityEventView {
    /// The instant.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `log_in` for a log-in on a device that has logged in before, `log_in_new_device` on another one,
    /// `refresh_reused` for a session that ended because a spent refresh token came again, `session_ended` for one that
    /// was ended from another device, `other_sessions_ended` when all but one were, `second_factor_on`,
    /// `second_factor_off`, `recovery_codes_made`, `recovery_code_used`, `passkey_added`, `passkey_removed`,
    /// `passkey_copied` for a passkey that was refused because there may be a copy of it, `lock_on`, `lock_off`,
    /// `enabled_by_operator` for an account that was disabled before, `factors_forgotten_by_operator` when the second
    /// factor and all passkeys were taken away. There may be others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "log_in_new_device")]
    event: Option<String>,
    /// The session; for `other_sessions_ended` the one that was left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session_id: Option<Uuid>,
    /// Whether the row is damaged: the event is then absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

impl SecurityEventView {
    fn new(row: &AuditRow, record: Option<Record>) -> Self {
        let unreadable = record.is_none().then_some(true);
        let event = record.map(|record| record.act);
        Self { at: row.at.0, event, session_id: row.session.map(Id::uuid), unreadable }
    }
}

/// A page of security events.
#[derive(Serialize, ToSchema)]
struct SecurityEventPage {
    /// The events, newest first.
    items: Vec<SecurityEventView>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// Returns the keys of the caller's account, before the unit.
async fn keys_of<K: AccountPolicy>(caller: &Claimed<K>, state: &State) -> Result<Keys> {
    state.vault.keys(caller.account().uuid()).await?.ok_or(Error::NotFound)
}

/// List sessions
///
/// The devices on which the caller's account is logged in. Where the lock is on, this asks for the passphrase within 10
/// minutes.
#[utoipa::path(tag = "identity", params(IfNoneMatchHeader),
    responses((status = 200, description = "The sessions", body = SessionList), ReadErrors))]
#[get("/me/sessions")]
async fn list_sessions(
    caller: Claimed<Unlocked<Anyone>>,
    when: Preconditions,
    state: web::Data<State>,
) -> Result<Reply> {
    let found = caller.read(&state, sessions::list).await?;
    let keys = keys_of(&caller, &state).await?;
    let view = |found: &OwnSession| Listed::new(found.id().uuid(), SessionView::open(found, caller.session(), &keys));
    let items = found.iter().map(view).collect::<Result<Vec<_>>>()?;
    Ok(whole_list(&state.vault, &caller.cursor_scope("list_sessions"), &SessionList { items }, &when))
}

/// Name the device of a session
#[utoipa::path(tag = "identity",
    request_body(content((PatchSession = "application/merge-patch+json"), (PatchSession = "application/json"))),
    params(("session_id" = Uuid, Path, description = "The session's id"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Changed", body = SessionView), WriteErrors))]
#[patch("/me/sessions/{session_id}")]
async fn patch_session(
    caller: Caller,
    request: Request<Id<Session>, PatchSession>,
    state: web::Data<State>,
) -> Result<Reply> {
    let keys = state.vault.keys(caller.account().uuid()).await?;
    let (current, unit_keys) = (caller.session(), keys.clone());
    let work = move |tx: &mut Tx<'_>, live: &Live<Anyone>, command: &_| rename(tx, live, unit_keys.as_ref(), command);
    let show =
        |tx: &mut Tx<'_>, live: &Live<Anyone>, outcome: Outcome<_>| outcome.or_get(|id| sessions::get(tx, live, id));
    let answer = caller.change(&state, request, Ok, work, show).await?;
    let keys = keys.ok_or(Error::NotFound)?;
    answer.reply(|session| SessionView::open(&session, current, &keys).map(SessionView::reply))
}

/// Does what a request to name a device asks for.
fn rename(
    tx: &mut Tx<'_>,
    live: &Live<Anyone>,
    keys: Option<&Keys>,
    Command { id, when, body }: &Command<Id<Session>, PatchSession>,
) -> Result<Outcome<OwnSession>> {
    let change = |before: &str| {
        let body = body.apply(&SessionBody { device_name: before.to_owned() })?;
        if body.device_name == before { Ok(None) } else { body.parse().map(Some) }
    };
    let session = sessions::rename(tx, live, keys.ok_or(Error::NotFound)?, (*id, when), change)?;
    Ok(Outcome::ok(*id, session))
}

/// End a session
///
/// Its tokens are refused from then on, and its device is told to erase what it holds. The account knows the device no
/// more, also if the session was over. Ending it again changes nothing.
#[utoipa::path(tag = "identity",
    params(("session_id" = Uuid, Path, description = "The session's id"), IdempotencyKeyHeader),
    responses((status = 204, description = "Ended"), ActionErrors))]
#[delete("/me/sessions/{session_id}")]
async fn delete_session(caller: Caller, request: Request<Id<Session>>, state: web::Data<State>) -> Result<Reply> {
    let (vault, keys) = (state.vault.clone(), state.vault.keys(caller.account().uuid()).await?);
    let work = move |tx: &mut Tx<'_>, live: &Live<Anyone>, command: &Command<Id<Session>>| {
        sessions::end(tx, live, (&vault, keys.as_ref()), command.id)
    };
    caller.delete(&state, request, work).await
}

/// End all other sessions
///
/// The caller's own goes on. The devices of the others are told to erase what they hold, and the account knows none of
/// them any more. With a second factor, or with
/// the lock on, this asks for a proof within 5 minutes (403 `step_up_required`).
#[utoipa::path(tag = "identity", params(IdempotencyKeyHeader),
    responses((status = 204, description = "Ended"), ActionErrors))]
#[delete("/me/sessions")]
async fn delete_other_sessions(
    caller: Claimed<Guarded<Anyone>>,
    request: Request,
    state: web::Data<State>,
) -> Result<Reply> {
    let (vault, keys) = (state.vault.clone(), state.vault.keys(caller.account().uuid()).await?);
    let work = move |tx: &mut Tx<'_>, live: &Live<Guarded<Anyone>>, _: &Command| {
        sessions::end_others(tx, live, (&vault, keys.as_ref()))
    };
    caller.delete(&state, request, work).await
}

/// List security events
///
/// Log-ins and the ends of sessions of the caller's account, newest first.
#[utoipa::path(tag = "identity", params(PageQuery),
    responses((status = 200, description = "A page of events", body = SecurityEventPage), ReadErrors))]
#[get("/me/security-events")]
async fn list_security_events(caller: Caller, listing: Result<Listing>, state: web::Data<State>) -> Result<Reply> {
    let scope = caller.cursor_scope("list_security_events");
    let (asked, listing) = caller.page(&state, &scope, listing).await?;
    let page = caller.read(&state, move |tx, live| security_events::list(tx, live, asked)).await?;
    let (keys, subject) = (keys_of(&caller, &state).await?, Subject::Account(caller.account()));
    let view = |row: AuditRow| Ok(SecurityEventView::new(&row, Error::skip_damaged(row.open(&keys, subject))?));
    let page: Page<_, i64> = page.try_map(view)?;
    Ok(listing.reply(&state.vault, &scope, page, |items, next_cursor| SecurityEventPage { items, next_cursor }))
}
