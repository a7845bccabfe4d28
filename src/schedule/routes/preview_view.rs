//! The view of a preview: what would be asked, and what would not.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::kernel::locale::TextLanguage;
use crate::planning::reasons::{dropped_in_words, why_in_words};
use crate::planning::{DropReason, Facts, Plan, PromptKind, Protocol, Why};

/// The planned prompts, and those that are not planned.
#[derive(Serialize, ToSchema)]
pub struct PreviewView {
    /// The protocol's version.
    #[schema(example = 1)]
    protocol_version: u32,
    /// The prompts that would be planned if nothing were answered, by time.
    prompts: Vec<PreviewPrompt>,
    /// The prompts that rules call for and that would not be planned.
    dropped: Vec<PreviewDropped>,
}

/// A prompt that would be asked.
#[derive(Serialize, ToSchema)]
struct PreviewPrompt {
    /// The rule that made it.
    #[schema(example = "d1.tell")]
    rule_key: String,
    /// The kind of task.
    #[schema(value_type = String, example = "reflection")]
    kind: PromptKind,
    /// The number of the infusion, counted from 0; absent for recurring prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    infusion: Option<usize>,
    /// Days after (below 0: before) that infusion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    day: Option<i32>,
    /// The local date.
    #[schema(value_type = String, format = Date)]
    local_date: jiff::civil::Date,
    /// The local time.
    #[schema(example = "11:40:00")]
    local_time: String,
    /// The zone of both.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// Their instant.
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    /// The instant at which it expires.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The instant of the reminder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    reminder_at: Option<Timestamp>,
    /// The duration in minutes.
    minutes: u32,
    /// Whether the phone announces it.
    push: bool,
    /// The reason for its time.
    #[schema(value_type = String, example = "window")]
    why: Why,
    /// The same in words, in the protocol's language.
    why_in_words: &'static str,
}

/// A prompt that would not be asked.
#[derive(Serialize, ToSchema)]
struct PreviewDropped {
    /// The rule that calls for it.
    #[schema(example = "d5.parts")]
    rule_key: String,
    /// The number of the infusion, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    infusion: Option<usize>,
    /// The reason.
    #[schema(value_type = String, example = "series")]
    reason: DropReason,
    /// The same in words, in the protocol's language.
    reason_in_words: &'static str,
}

impl PreviewView {
    /// Renders a plan for these facts.
    pub fn of(protocol: &Protocol, facts: &Facts, plan: Plan) -> Self {
        let language = TextLanguage::of(&protocol.locale);
        let number = |id| facts.infusions.iter().position(|infusion| Some(infusion.id) == id);
        let prompts = plan.prompts.into_iter().map(|prompt| PreviewPrompt {
            rule_key: prompt.rule_key,
            kind: prompt.kind,
            infusion: number(prompt.anchor),
            day: prompt.day,
            local_date: prompt.local_date,
            local_time: prompt.local_time.strftime("%H:%M:%S").to_string(),
            time_zone: prompt.zone.name().to_owned(),
            due_at: prompt.due_at,
            expires_at: prompt.expires_at,
            reminder_at: prompt.reminder_at,
            minutes: prompt.minutes,
            push: prompt.push,
            why: prompt.why,
            why_in_words: why_in_words(prompt.why, language),
        });
        let dropped = plan.dropped.into_iter().map(|one| PreviewDropped {
            rule_key: one.rule_key,
            infusion: number(one.anchor),
            reason: one.reason,
            reason_in_words: dropped_in_words(one.reason, language),
        });
        Self { protocol_version: protocol.version, prompts: prompts.collect(), dropped: dropped.collect() }
    }
}
