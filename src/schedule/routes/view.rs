//! The views of a prompt.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::kernel::Id;
use crate::kernel::locale::TextLanguage;
use crate::planning::reasons::dropped_in_words;
use crate::planning::{DropReason, Dropped, Planned, Protocols};
use crate::prompts::model::{AnswerId, StoredPrompt};
use crate::schedule::rendering::{PlaceholderValues, because, text};

/// One prompt. A therapist sees `id, rule_key, kind, day` only, and `state` where the protocol's kind allows it.
#[derive(Serialize, ToSchema)]
pub(super) struct PromptView {
    /// The prompt's id. It stays the same when the plan is made again.
    id: Uuid,
    /// The rule that made it.
    #[schema(example = "d1.tell")]
    rule_key: String,
    /// The kind of task: `safety`, `measure`, `reflection`, `exercise`, `preparation`, `habit`, `on_demand`.
    #[schema(example = "reflection")]
    kind: String,
    /// Days since the infusion's last day; absent for recurring ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 1)]
    day: Option<i32>,
    /// Its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        nullable = false,
        example = "planned",
        examples("planned", "due", "delivered", "opened", "completed", "skipped", "lapsed", "cancelled")
    )]
    state: Option<&'static str>,
    /// The details, for the patient only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<PromptDetail>,
}

/// The fields of a prompt that only the patient sees.
#[derive(Serialize, ToSchema)]
struct PromptDetail {
    /// The text, in the patient's language if the protocol is translated into it.
    text: String,
    /// The instant at which it is due.
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    /// The local date.
    #[schema(value_type = String, format = Date)]
    local_date: jiff::civil::Date,
    /// The local time.
    #[schema(example = "11:40:00")]
    local_time: String,
    /// The zone of both: where it was planned, or where the patient lives now if they put it off.
    #[schema(example = "Europe/Berlin")]
    zone: String,
    /// The instant at which it expires.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The duration in minutes.
    minutes: u32,
    /// Whether it is only a card in the app, without a reminder.
    optional: bool,
    /// The keys of the exercises that it offers.
    exercises: Vec<String>,
    /// The id of the infusion to which it is anchored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    infusion_id: Option<Uuid>,
    /// The id of the exercise response that comes back with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    response_id: Option<Uuid>,
    /// Why it is asked, and why then, in one sentence for the patient, in the language of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "On the day after, telling it once in your own order helps it settle.")]
    because: Option<String>,
    /// The reason for its time.
    #[schema(example = "window")]
    why: String,
    /// The reason why it was cancelled or skipped, or last moved: a word of planning, or the patient's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cause: Option<String>,
    /// The instant at which it was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    delivered_at: Option<Timestamp>,
    /// The instant of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    answered_at: Option<Timestamp>,
    /// The entry or response that answers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    answer_id: Option<Uuid>,
    /// Its version.
    version: i64,
}

/// A prompt that a rule calls for and that was not planned.
#[derive(Serialize, ToSchema)]
pub(super) struct NotAsked {
    /// The rule that calls for it.
    #[schema(example = "d9.rehearse")]
    rule_key: String,
    /// The id of the infusion to which it would be anchored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    infusion_id: Option<Uuid>,
    /// The reason.
    #[schema(value_type = String, example = "prerequisite")]
    reason: DropReason,
    /// The same in words, in the patient's language.
    reason_in_words: &'static str,
}

impl NotAsked {
    /// Builds the view for the owner.
    pub(super) fn new(Dropped { rule_key, anchor, reason, .. }: Dropped, language: TextLanguage) -> Self {
        let reason_in_words = dropped_in_words(reason, language);
        Self { rule_key, infusion_id: anchor.map(Id::uuid), reason, reason_in_words }
    }
}

fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

impl PromptView {
    /// Builds the full view for the owner, with the text of the rule that made the prompt, as it was then.
    pub(super) fn for_owner(
        prompt: &StoredPrompt,
        from: &Protocols,
        values: &PlaceholderValues,
        now: Timestamp,
    ) -> Self {
        let state = prompt.state(now);
        let planned = &prompt.doc.planned;
        let protocol = from.of(planned);
        let rule = from.rule_of(planned);
        let offered = rule.into_iter().flat_map(|rule| &rule.exercises).filter(|key| !values.withheld.contains(*key));
        let zone = prompt.zone(values.zone.as_ref());
        let detail = PromptDetail {
            text: rule.map(|rule| text(protocol, rule, planned, values)).unwrap_or_default(),
            because: rule.and_then(|rule| because(protocol, rule, values)),
            due_at: prompt.due_at,
            local_date: zone.date(prompt.due_at),
            local_time: zone.local(prompt.due_at).time().strftime("%H:%M:%S").to_string(),
            zone: zone.name().to_owned(),
            expires_at: prompt.expires_at,
            minutes: planned.minutes,
            optional: planned.optional,
            exercises: offered.cloned().collect(),
            infusion_id: planned.anchor.map(Id::uuid),
            response_id: planned.returns.map(Id::uuid),
            why: word(&planned.why),
            cause: prompt.cause_for_patient().map(str::to_owned),
            delivered_at: prompt.delivered_at,
            answered_at: prompt.doc.answered_at,
            answer_id: prompt.doc.answer_id.map(AnswerId::uuid),
            version: prompt.version,
        };
        Self {
            id: prompt.id.uuid(),
            rule_key: planned.rule_key.clone(),
            kind: word(&planned.kind),
            day: planned.day,
            state: Some(state),
            detail: Some(detail),
        }
    }

    /// Builds the view for other readers. It has a state only for safety checks and measures.
    pub(super) fn for_reader(planned: Planned, state: Option<&'static str>) -> Self {
        Self {
            id: planned.id.uuid(),
            kind: word(&planned.kind),
            rule_key: planned.rule_key,
            day: planned.day,
            state,
            detail: None,
        }
    }
}
