//! The therapists' changes of the protocol for one patient, over HTTP.

use std::sync::Arc;

use actix_web::{get, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::care::Door;
use crate::care::door::{Care, Shared};
use crate::http::document::{IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader, ReadErrors, WriteErrors};
use crate::http::{Body, EntityTag, PatientRef, Preconditions, Reply, Request};
use crate::kernel::Result;
use crate::planning::{DayPart, Override, Protocols, RuleChange};
use crate::settings::CHANGED_OFFER;
use crate::settings::Settings;
use crate::settings::actions::{put_overrides as replace, settings};
use crate::settings::overrides::{self, OverrideFields};
use crate::settings::store::{find_settings, open_settings};

/// The changes of the protocol for a patient.
#[derive(Serialize, ToSchema)]
struct OverrideList {
    /// The changes, by rule.
    items: Vec<OverrideView>,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v3\"")]
    etag: EntityTag,
}

/// A changed rule.
#[derive(Serialize, ToSchema)]
struct OverrideView {
    /// The rule's key.
    #[schema(example = "d5.parts")]
    rule_key: String,
    /// Whether it is left out.
    left_out: bool,
    /// The part of the day that replaces its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "evening", examples("morning", "midday", "afternoon", "evening"))]
    window: Option<DayPart>,
}

impl OverrideList {
    fn of(list: Vec<Override>, etag: EntityTag) -> Self {
        let view = |Override { rule_key, change }: Override| match change {
            RuleChange::LeftOut => OverrideView { rule_key, left_out: true, window: None },
            RuleChange::MovedTo(part) => OverrideView { rule_key, left_out: false, window: Some(part) },
        };
        Self { items: list.into_iter().map(view).collect(), etag }
    }
}

/// The changes of the protocol for a patient: the whole list.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutOverrides {
    /// The changes, each rule once.
    #[schema(max_items = 64)]
    items: Vec<PutOverride>,
}

impl PutOverrides {
    fn parse(self, protocols: &Protocols) -> Result<Vec<Override>> {
        overrides::parse(protocols.current(), "/items", self.items.into_iter().map(PutOverride::draft).collect())
    }
}

/// A change of a rule: `left_out`, or another `window`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutOverride {
    /// The rule's key; not that of a safety rule or a rule with priority 1.
    #[schema(example = "d5.parts")]
    rule_key: String,
    /// Whether it is to be left out.
    #[serde(default)]
    #[schema(default = false)]
    left_out: bool,
    /// `morning`, `midday`, `afternoon` or `evening`.
    #[schema(example = "evening")]
    window: Option<String>,
}

impl PutOverride {
    /// Returns the change, not yet checked.
    pub fn draft(self) -> OverrideFields {
        (self.rule_key, self.left_out, self.window)
    }
}

fn reply(settings: Settings, when: &Preconditions) -> Reply {
    let etag = overrides::tag(&settings);
    let list = OverrideList::of(settings.overrides, etag);
    Reply::ok(&list).unless_known(&list.etag, when)
}

/// Read what was changed in the protocol
///
/// The rules that therapists have left out or moved to another part of the day for this patient. The patient sees them
/// too.
#[utoipa::path(tag = "prompts", params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), IfNoneMatchHeader),
    responses((status = 200, description = "The changes", body = OverrideList), ReadErrors))]
#[get("/overrides")]
pub(super) async fn get_overrides(door: Door<Shared>, when: Preconditions) -> Result<Reply> {
    let row = door.read("get_overrides", find_settings).await?;
    Ok(reply(open_settings(row.as_ref(), door.keys()?, door.patient()?)?.0, &when))
}

/// Change the protocol for a patient
///
/// Replaces the whole list, with `If-Match`; the plan follows before the answer is sent. Safety checks and rules with
/// priority 1 cannot be changed (422), and no cap is raised.
#[utoipa::path(tag = "prompts", request_body = PutOverrides,
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Changed, or as it was", body = OverrideList), WriteErrors))]
#[put("/overrides")]
pub(super) async fn put_overrides(door: Door<Care>, request: Request<(), Body<PutOverrides>>) -> Result<Reply> {
    let protocols = Arc::clone(&door.state().protocols);
    let answer = door.change(
        CHANGED_OFFER,
        request,
        |command| Ok((command.body.into_inner().parse(&protocols)?, command.when)),
        |tx, access, (list, when)| replace(tx, access, list, when),
        |tx, access, outcome| outcome.or_read(|| Ok(settings(tx, access)?.0)),
    );
    answer.await?.reply(|settings| Ok(reply(settings, &Preconditions::none())))
}
