//! What therapists change in the protocol for one patient.

use actix_web::{get, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::care::Door;
use crate::care::door::{Care, Shared};
use crate::http::document::{IfMatchHeader, OnceHeader, ReadErrors, WriteErrors};
use crate::http::{Body, IdempotencyKey, PatientRef, Preconditions, Reply};
use crate::idempotency::Done;
use crate::kernel::{Error, Result};
use crate::planning::{DayPart, Override, RuleChange};
use crate::prompts::overrides;

/// What was changed in the protocol for a patient.
#[derive(Serialize, ToSchema)]
struct OverrideList {
    /// By rule.
    items: Vec<OverrideView>,
}

/// A rule that was changed.
#[derive(Serialize, ToSchema)]
struct OverrideView {
    /// Which.
    #[schema(example = "d5.parts")]
    rule_key: String,
    /// Whether it is not asked.
    left_out: bool,
    /// The part of the day that it comes in instead of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "evening", examples("morning", "midday", "afternoon", "evening"))]
    window: Option<DayPart>,
}

impl OverrideList {
    fn of(list: Vec<Override>) -> Self {
        let view = |Override { rule_key, change }: Override| match change {
            RuleChange::LeftOut => OverrideView { rule_key, left_out: true, window: None },
            RuleChange::MovedTo(part) => OverrideView { rule_key, left_out: false, window: Some(part) },
        };
        Self { items: list.into_iter().map(view).collect() }
    }
}

/// What is to be changed in the protocol for a patient: all of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutOverrides {
    /// By rule, each once.
    #[schema(max_items = 64)]
    items: Vec<PutOverride>,
}

/// A rule to be changed: `left_out`, or another `window`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutOverride {
    /// Which; not one that is for safety or has priority 1.
    #[schema(example = "d5.parts")]
    rule_key: String,
    /// Not to be asked.
    #[serde(default)]
    left_out: bool,
    /// `morning`, `midday`, `afternoon` or `evening`.
    #[schema(example = "evening")]
    window: Option<String>,
}

impl PutOverride {
    pub(crate) fn draft(self) -> overrides::Draft {
        (self.rule_key, self.left_out, self.window)
    }
}

fn reply(list: Vec<Override>) -> Result<Reply> {
    let tag = overrides::tag(&list)?;
    Ok(Reply::ok(&OverrideList::of(list)).etag(&tag))
}

/// Read what was changed in the protocol
///
/// What therapists have left out of the protocol or moved to another part of the day for this patient. The patient sees it
/// too.
#[utoipa::path(tag = "prompts", operation_id = "get_overrides",
    params(("patient_id" = PatientRef, Path, description = "Whose")),
    responses((status = 200, description = "What was changed", body = OverrideList), ReadErrors))]
#[get("/overrides")]
pub(crate) async fn get_overrides(door: Door<Shared>) -> Result<Reply> {
    let found = door.read("get_overrides", crate::prompts::actions::settings);
    reply(found.await?.0.overrides)
}

/// Change the protocol for a patient
///
/// Replaces the whole list, with `If-Match`; the plan follows before the answer is sent. Safety checks and what is never
/// dropped stay as they are (422), and no cap is raised.
#[utoipa::path(tag = "prompts", operation_id = "put_overrides", request_body = PutOverrides,
    params(("patient_id" = PatientRef, Path, description = "Whose"), OnceHeader, IfMatchHeader),
    responses((status = 200, description = "Changed, or as it was", body = OverrideList), WriteErrors))]
#[put("/overrides")]
pub(crate) async fn put_overrides(
    door: Door<Care>,
    when: Preconditions,
    key: IdempotencyKey,
    body: Result<Body<PutOverrides>, Error>,
) -> Result<Reply> {
    let once = door.once(&key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let command = body.and_then(|body| {
        let drafts = body.into_inner().items.into_iter().map(PutOverride::draft);
        overrides::parse(door.state().protocols.current(), "/items", drafts.collect())
    });
    let (_, list) = door
        .write(
            "put_overrides",
            once,
            command,
            move |tx, access, list: &Vec<Override>| {
                overrides::put(tx, access, list, &when)?;
                Ok((Done::ok(access.patient().uuid()), list.clone()))
            },
            |tx, access, _| Ok(crate::prompts::actions::settings(tx, access)?.0.overrides),
        )
        .await?;
    reply(list)
}
