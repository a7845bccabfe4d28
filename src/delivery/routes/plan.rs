//! The plan of a device.

use actix_web::{get, post};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::Door;
use crate::care::door::Own;
use crate::delivery::plan::{self, DevicePlan};
use crate::delivery::texts;
use crate::http::document::{IdempotencyKeyHeader, IfNoneMatchHeader, ReadErrors, WriteErrors};
use crate::http::{Body, PatientRef, Preconditions, Reply, Request};
use crate::idempotency::Outcome;
use crate::kernel::id::Device;
use crate::kernel::{Id, Result};
use crate::planning::Protocols;
use crate::prompts::model::StoredPrompt;
use crate::schedule::actions::placeholder_values;
use crate::schedule::rendering::{self, PlaceholderValues};

/// A prompt that a device shows by itself.
#[derive(Serialize, ToSchema)]
struct PlanItem {
    /// The prompt, which is also the id of the notification: a push about it takes its place.
    prompt_id: Uuid,
    /// The local date at which it is due.
    #[schema(format = Date, example = "2026-11-02")]
    local_date: String,
    /// The local time at which it is due.
    #[schema(example = "09:00:00")]
    local_time: String,
    /// The time zone for which it was planned, of the IANA database. A phone that is elsewhere asks for its plan again.
    #[schema(example = "Europe/Berlin")]
    zone: String,
    /// The instant at which it is due.
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    /// The instant from which it is not shown any more.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The sentence of the notification, in the patient's language. It says nothing of what is asked.
    notification: &'static str,
    /// The text in the app, in the patient's language if the protocol is translated into it.
    text: String,
    /// The minutes that it takes.
    minutes: u32,
}

impl PlanItem {
    fn of(
        prompt: &StoredPrompt,
        protocols: &Protocols,
        values: &PlaceholderValues,
        notification: &'static str,
    ) -> Self {
        let planned = &prompt.doc.planned;
        let zone = prompt.zone(values.zone.as_ref());
        let protocol = protocols.of(planned);
        let rule = protocols.rule_of(planned);
        Self {
            prompt_id: prompt.id.uuid(),
            local_date: zone.date(prompt.due_at).to_string(),
            local_time: zone.local(prompt.due_at).time().strftime("%H:%M:%S").to_string(),
            zone: zone.name().to_owned(),
            due_at: prompt.due_at,
            expires_at: prompt.expires_at,
            notification,
            text: rule.map(|rule| rendering::text(protocol, rule, planned, values)).unwrap_or_default(),
            minutes: planned.minutes,
        }
    }
}

/// The prompts that a device shows by itself.
#[derive(Serialize, ToSchema)]
struct DevicePlanView {
    /// The name of this state of the plan, with which a device says that it has taken it.
    version: String,
    /// The instant before which the plan has every prompt that is known now.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// At most 64 prompts, by time.
    items: Vec<PlanItem>,
}

/// Read the plan of a device
///
/// The prompts of the next fourteen days, with local times, so that a phone without a network shows them by itself. It
/// schedules a local notification for each, replaces the ones it had, and says so with `POST …/devices/{device_id}/plan`:
/// then pushes for these prompts only wake the app. Asking again with `If-None-Match` costs little.
#[utoipa::path(tag = "devices",
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), IfNoneMatchHeader),
    responses((status = 200, description = "The plan", body = DevicePlanView), ReadErrors))]
#[get("/plan")]
pub(super) async fn get_plan(door: Door<Own>, when: Preconditions) -> Result<Reply> {
    let protocols = door.state().protocols.known();
    let read = door.read("get_plan", move |tx, access| {
        let plan = DevicePlan::read(tx, access)?;
        let values = placeholder_values(tx, access, &protocols, &plan.prompts)?;
        Ok((plan, values))
    });
    let (plan, values) = read.await?;
    let sentence = texts::sentence([values.language.as_str()]);
    let protocols = door.state().protocols.known();
    let item = |prompt| PlanItem::of(prompt, &protocols, &values, sentence);
    let (version, items) = (plan.version(&door.state().vault), plan.prompts.iter().map(item).collect());
    Ok(door.whole_list("get_plan", &DevicePlanView { version, until: plan.until, items }, &when))
}

/// The plan that a device has taken.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TakePlan {
    /// The `version` of the plan.
    version: String,
}

/// Whether a device shows the present plan.
#[derive(Serialize, ToSchema)]
struct PlanTaken {
    /// Whether that is the plan now. If not, the device asks for it again; pushes speak until then.
    current: bool,
    /// The instant before which pushes for prompts of the plan only wake the app, for 48 hours at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// Take the plan
///
/// A device says that it has scheduled every notification of the plan of this version. For 48 hours, pushes about prompts
/// that have not changed since wake the app without a sentence, so that nothing rings twice. It says so again whenever
/// it has looked, at least once a day.
#[utoipa::path(tag = "devices", request_body = TakePlan,
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), ("device_id" = Uuid, Path, description = "The device's id"), IdempotencyKeyHeader),
    responses((status = 200, description = "Noted", body = PlanTaken), WriteErrors))]
#[post("/devices/{device_id}/plan")]
pub(super) async fn take_plan(door: Door<Own>, request: Request<Id<Device>, Body<TakePlan>>) -> Result<Reply> {
    let vault = door.state().vault.clone();
    let answer = door.change(
        "take_plan",
        request,
        |command| Ok((command.id, command.body.into_inner().version)),
        move |tx, access, (id, version)| Ok(Outcome::ok(*id, plan::take_plan(tx, access, &vault, (*id, version))?)),
        |tx, access, outcome| outcome.or_get(|id| plan::plan_of(tx, access, id)),
    );
    answer.await?.reply(|until| Ok(Reply::ok(&PlanTaken { current: until.is_some(), until })))
}
