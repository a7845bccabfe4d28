//! What therapists change in the protocol for one patient.

use std::sync::Arc;

use actix_web::{get, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::care::Door;
use crate::care::door::{Care, Shared};
use crate::http::document::{IfMatchHeader, OnceHeader, ReadErrors, WriteErrors};
use crate::http::{Body, PatientRef, Reply, Request};
use crate::idempotency::Outcome;
use crate::kernel::Result;
use crate::planning::{DayPart, Override, RuleChange};
use crate::settings::actions::{put_overrides as replace, settings};
use crate::settings::overrides::{self, Draft};
use crate::settings::store::{find_settings, open_settings};

/// What was changed in the protocol for a patient.
#[derive(Serialize, ToSchema)]
struct OverrideList {
    /// By rule.
    items: Vec<OverrideView>,
}

/// A rule that was changed.
#[derive(Serialize, ToSchema)]
struct OverrideView {
    /// The rule's key.
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
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutOverride {
    /// The rule's key; not one that is for safety or has priority 1.
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
    /// What it says, not yet checked.
    pub fn draft(self) -> Draft {
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
#[utoipa::path(tag = "prompts", params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`")),
    responses((status = 200, description = "What was changed", body = OverrideList), ReadErrors))]
#[get("/overrides")]
pub(super) async fn get_overrides(door: Door<Shared>) -> Result<Reply> {
    let row = door.read("get_overrides", find_settings).await?;
    reply(open_settings(row.as_ref(), door.keys()?, door.patient()?)?.0.overrides)
}

/// Change the protocol for a patient
///
/// Replaces the whole list, with `If-Match`; the plan follows before the answer is sent. Safety checks and what is never
/// dropped stay as they are (422), and no cap is raised.
#[utoipa::path(tag = "prompts", request_body = PutOverrides,
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), OnceHeader, IfMatchHeader),
    responses((status = 200, description = "Changed, or as it was", body = OverrideList), WriteErrors))]
#[put("/overrides")]
pub(super) async fn put_overrides(door: Door<Care>, request: Request<(), Body<PutOverrides>>) -> Result<Reply> {
    let protocols = Arc::clone(&door.state().protocols);
    let answer = door.change(
        "put_overrides",
        request,
        |command| {
            let drafts = command.body.into_inner().items.into_iter().map(PutOverride::draft);
            Ok((overrides::parse(protocols.current(), "/items", drafts.collect())?, command.when))
        },
        |tx, access, (list, when)| {
            replace(tx, access, list, when)?;
            Ok(Outcome::ok(access.patient(), list.clone()))
        },
        |tx, access, outcome| outcome.value.map_or_else(|| Ok(settings(tx, access)?.0.overrides), Ok),
    );
    reply(answer.await?.value)
}
