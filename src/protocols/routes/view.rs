//! The protocols of clinics as requests and answers show them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::http::EntityTag;
use crate::kernel::{Error, Id, Result};
use crate::planning::Protocol;
use crate::planning::burden::{Asked, DayBurden, burden};
use crate::planning::compare::{Difference, Effect, differences, effect};
use crate::protocols::actions::{choice_tag, tag};
use crate::protocols::model::{IN_FORCE_AFTER, VersionState, faults, protocol};
use crate::protocols::store::{PlanChoice, VersionKey, VersionRow};
use crate::vault::Keys;

/// A protocol of a clinic in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct ClinicProtocolItem {
    /// Its id.
    pub(super) id: Uuid,
    /// The number of its newest version.
    #[schema(example = 2)]
    pub(super) version: i32,
    /// The state of that version: `draft`, `published` or `retired`.
    #[schema(example = "draft")]
    pub(super) state: &'static str,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ten days, gently")]
    pub(super) title: Option<String>,
    /// The instant of the last change.
    #[schema(value_type = String, format = DateTime)]
    pub(super) updated_at: Timestamp,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v1\"")]
    pub(super) etag: EntityTag,
    /// Whether its content is damaged and left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    pub(super) unreadable: Option<bool>,
}

/// A page of protocols.
#[derive(Serialize, ToSchema)]
pub(super) struct ClinicProtocolPage {
    pub(super) items: Vec<ClinicProtocolItem>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) next_cursor: Option<String>,
}

/// A version in the history of a protocol.
#[derive(Serialize, ToSchema)]
pub(super) struct ProtocolVersionItem {
    /// Its number.
    #[schema(example = 1)]
    pub(super) version: i32,
    /// `draft`, `published` or `retired`.
    #[schema(example = "published")]
    pub(super) state: &'static str,
    /// The instant at which it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub(super) published_at: Option<Timestamp>,
}

/// What stands against publishing a protocol.
#[derive(Serialize, ToSchema)]
pub(super) struct ProtocolFault {
    /// The place in the content, as a JSON Pointer.
    #[schema(example = "/rules/3/text")]
    pub(super) pointer: String,
    /// What is wrong.
    #[schema(example = "the text has at most 240 characters")]
    pub(super) detail: String,
}

/// What is asked on a day around a single infusion.
#[derive(Serialize, ToSchema)]
pub(super) struct ProtocolDay {
    /// The day after the infusion; below 0, before it.
    #[schema(example = 1)]
    pub(super) day: i32,
    /// The number of prompts that a phone announces.
    #[schema(example = 3)]
    pub(super) prompts: u32,
    /// Their minutes.
    #[schema(example = 24)]
    pub(super) minutes: u32,
    /// The most prompts that the caps allow; absent where none holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    pub(super) most_prompts: Option<u32>,
    /// The most minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 26)]
    pub(super) most_minutes: Option<u32>,
    /// The rules for which the caps leave no place.
    pub(super) dropped: Vec<String>,
}

/// A version of a protocol of a clinic.
#[derive(Serialize, ToSchema)]
pub(super) struct ClinicProtocolView {
    /// Its id, which is the `key` of the protocol in prompts.
    pub(super) id: Uuid,
    /// The number of the version.
    #[schema(example = 1)]
    pub(super) version: i32,
    /// `draft`, `published` or `retired`.
    #[schema(example = "draft")]
    pub(super) state: &'static str,
    /// The content, as `/schemas/protocol.json` describes it.
    pub(super) content: Value,
    /// What stands against publishing it.
    pub(super) faults: Vec<ProtocolFault>,
    /// What it asks on each day around a single infusion, against its caps.
    pub(super) burden: Vec<ProtocolDay>,
    /// The instant at which it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub(super) published_at: Option<Timestamp>,
    /// The instant from which plans are made by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub(super) in_force_from: Option<Timestamp>,
    /// Every version, the newest first.
    pub(super) versions: Vec<ProtocolVersionItem>,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v1\"")]
    pub(super) etag: EntityTag,
}

/// The version that is to be retired.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RetireClinicProtocol {
    /// Its number.
    #[schema(minimum = 1, example = 1)]
    pub(super) version: i32,
}

/// The version that is asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct VersionQuery {
    /// Its number; the newest by default.
    #[param(minimum = 1, example = 1)]
    pub(super) version: Option<i32>,
}

/// The two versions that are compared.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CompareQuery {
    /// The number of the version before.
    #[param(minimum = 1, example = 1)]
    pub(super) before: i32,
    /// The number of the version after; the newest by default.
    #[param(minimum = 1, example = 2)]
    pub(super) after: Option<i32>,
}

/// A difference between two versions.
#[derive(Serialize, ToSchema)]
pub(super) struct ProtocolDifference {
    /// The rule; absent for one of the protocol as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "d1.tell")]
    pub(super) rule_key: Option<String>,
    /// The member; absent for a rule that came or went.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "window")]
    pub(super) member: Option<String>,
    /// The value before; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) before: Option<Value>,
    /// The value after; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) after: Option<Value>,
}

/// A prompt of a sample induction.
#[derive(Serialize, ToSchema)]
pub(super) struct SamplePrompt {
    /// The rule.
    #[schema(example = "d1.tell")]
    pub(super) rule_key: String,
    /// The number of the infusion, from 0; absent for what recurs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) infusion: Option<usize>,
    /// The day of the course, from 0 on the day of the first infusion.
    #[schema(example = 1)]
    pub(super) course_day: i32,
    /// The local time.
    #[schema(example = "12:10:00")]
    pub(super) local_time: String,
    /// Its duration in minutes.
    #[schema(example = 12)]
    pub(super) minutes: u32,
}

/// A prompt of a sample induction that is asked otherwise.
#[derive(Serialize, ToSchema)]
pub(super) struct SampleChange {
    /// As it was.
    pub(super) before: SamplePrompt,
    /// As it is.
    pub(super) after: SamplePrompt,
}

/// Two versions of a protocol, compared.
#[derive(Serialize, ToSchema)]
pub(super) struct ProtocolComparison {
    /// The number of the version before.
    #[schema(example = 1)]
    pub(super) before: i32,
    /// The number of the version after.
    #[schema(example = 2)]
    pub(super) after: i32,
    /// What is different in them.
    pub(super) differences: Vec<ProtocolDifference>,
    /// What a patient with two infusions a week for three weeks is no longer asked.
    pub(super) gone: Vec<SamplePrompt>,
    /// What they are asked anew.
    pub(super) new: Vec<SamplePrompt>,
    /// What they are asked at another time, or takes longer or shorter.
    pub(super) changed: Vec<SampleChange>,
}

/// The protocol that a clinic has chosen for its patients.
#[derive(Serialize, ToSchema)]
pub(super) struct ClinicPlan {
    /// The protocol; absent for the program's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) protocol_id: Option<Uuid>,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v1\"")]
    pub(super) etag: EntityTag,
}

/// The choice of a clinic.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutClinicPlan {
    /// The protocol, which must be published; absent for the program's own.
    #[schema(nullable = false)]
    pub(super) protocol_id: Option<Uuid>,
}

impl ClinicProtocolItem {
    pub(super) fn new(row: &VersionRow, keys: Option<&Keys>) -> Result<Self> {
        let content = keys.map(|keys| Error::skip_damaged(row.open(keys))).transpose()?.flatten();
        Ok(Self {
            id: row.key.id.uuid(),
            version: row.key.number,
            state: row.state().name(),
            unreadable: content.is_none().then_some(true),
            title: content.map(|content| content.title),
            updated_at: row.key.updated_at.0,
            etag: tag(&row.key),
        })
    }
}

impl From<VersionKey> for ProtocolVersionItem {
    fn from(key: VersionKey) -> Self {
        let state = VersionState::named(&key.state).name();
        Self { version: key.number, state, published_at: key.published_at.map(|at| at.0) }
    }
}

impl From<DayBurden> for ProtocolDay {
    fn from(of: DayBurden) -> Self {
        let DayBurden { day, prompts, minutes, most_prompts, most_minutes, dropped } = of;
        Self { day, prompts, minutes, most_prompts, most_minutes, dropped }
    }
}

impl ClinicProtocolView {
    pub(super) fn new((row, versions): (VersionRow, Vec<VersionKey>), keys: &Keys) -> Result<Self> {
        let content = row.open(keys)?;
        let json = serde_json::to_value(&content).map_err(|error| Error::Internal(Box::new(error)))?;
        let protocol = protocol(row.key.id, row.key.number, content);
        let found = faults(&protocol);
        let published_at = row.key.published_at.map(|at| at.0);
        Ok(Self {
            id: row.key.id.uuid(),
            version: row.key.number,
            state: row.state().name(),
            content: json,
            // A draft with faults may not be planned by.
            burden: if row.was_published() || found.is_empty() {
                burden(&protocol).into_iter().map(Into::into).collect()
            } else {
                Vec::new()
            },
            faults: found.into_iter().map(|one| ProtocolFault { pointer: one.pointer, detail: one.detail }).collect(),
            published_at,
            in_force_from: published_at.and_then(|at| at.saturating_add(IN_FORCE_AFTER).ok()),
            versions: versions.into_iter().map(Into::into).collect(),
            etag: tag(&row.key),
        })
    }
}

impl From<Difference> for ProtocolDifference {
    fn from(of: Difference) -> Self {
        let Difference { rule_key, member, before, after } = of;
        Self { rule_key, member, before, after }
    }
}

impl From<Asked> for SamplePrompt {
    fn from(of: Asked) -> Self {
        let Asked { infusion, course_day, local_time, rule_key, minutes } = of;
        let local_time = local_time.strftime("%H:%M:%S").to_string();
        Self { rule_key, infusion, course_day, local_time, minutes }
    }
}

impl ProtocolComparison {
    pub(super) fn new(before: &Protocol, after: &Protocol, numbers: (i32, i32)) -> Self {
        let Effect { gone, new, changed } = effect(before, after);
        let change = |(before, after): (Asked, Asked)| SampleChange { before: before.into(), after: after.into() };
        Self {
            before: numbers.0,
            after: numbers.1,
            differences: differences(before, after).into_iter().map(Into::into).collect(),
            gone: gone.into_iter().map(Into::into).collect(),
            new: new.into_iter().map(Into::into).collect(),
            changed: changed.into_iter().map(change).collect(),
        }
    }
}

impl ClinicPlan {
    pub(super) fn new(choice: Option<&PlanChoice>) -> Self {
        let protocol_id = choice.and_then(|choice| choice.protocol_id).map(Id::uuid);
        Self { protocol_id, etag: choice_tag(choice) }
    }
}
