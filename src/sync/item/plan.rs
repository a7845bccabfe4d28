//! Settings, care links, pauses, assignments and prompts as items.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::kernel::Id;
use crate::planning::{Rule, Weekday, Why};
use crate::prompts::model::{AnswerId, StoredPrompt};
use crate::schedule::rendering::template;
use crate::settings::{QuietHoursDto, Settings};

/// The settings of a patient.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncSettingsFields)]
pub struct SettingsFields {
    /// The time zones the patient has lived in, oldest first.
    zones: Vec<SyncZone>,
    /// The hours in which nothing is delivered.
    quiet_hours: QuietHoursDto,
    /// The day of the weekly prompt.
    #[schema(value_type = String, example = "sunday")]
    weekly_day: Weekday,
    /// The country of the crisis numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "DE")]
    country: Option<String>,
    /// The language.
    #[schema(example = "en")]
    locale: String,
    /// Whether prompts are pushed.
    notifications: bool,
    /// Whether linked therapists see the number of active days of the last seven.
    share_activity: bool,
}

/// A period in a time zone.
#[derive(Debug, Serialize, ToSchema)]
struct SyncZone {
    /// The zone.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// The start of the period.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
}

impl From<Settings> for SettingsFields {
    fn from(settings: Settings) -> Self {
        let zone =
            |since: crate::planning::ZoneSince| SyncZone { time_zone: since.zone.name().to_owned(), from: since.from };
        Self {
            zones: settings.zones.into_iter().map(zone).collect(),
            quiet_hours: settings.quiet_hours.into(),
            weekly_day: settings.weekly_day,
            country: settings.country,
            locale: settings.locale,
            notifications: settings.notifications.enabled,
            share_activity: settings.share_activity,
        }
    }
}

/// A care link. `GET /v1/care-links` has the names.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncCareLinkFields)]
pub struct CareLinkFields {
    /// `accepted` by the patient, `active` once the therapist has confirmed, `ended`.
    #[schema(example = "active")]
    pub state: &'static str,
    /// The clinic the therapist works for.
    pub clinic_id: Uuid,
    /// The therapist.
    pub therapist_id: Uuid,
    /// The instant at which the patient accepted.
    #[schema(value_type = String, format = DateTime)]
    pub accepted_at: Timestamp,
    /// The instant at which the therapist confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub active_at: Option<Timestamp>,
    /// The end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub ended_at: Option<Timestamp>,
}

/// A pause.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncPauseFields)]
pub struct PauseFields {
    /// Its first moment.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The first moment after it.
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
}

/// An assignment. It has ended when its care link has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncAssignmentFields)]
pub struct AssignmentFields {
    /// The exercise.
    #[schema(example = "values-sort")]
    pub exercise_key: String,
    /// `assigned`, `done`, or `withdrawn` by the therapist.
    #[schema(example = "assigned")]
    pub state: &'static str,
    /// The day on which it was first done, where the patient was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, nullable = false)]
    pub done_on: Option<Date>,
    /// The response that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub response_id: Option<Uuid>,
    /// The therapist's note.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub note: Option<String>,
    /// The day by which it may be done, where the patient is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, nullable = false)]
    pub due_on: Option<Date>,
    /// Whether the therapist asks to see the response.
    pub request_share: bool,
    /// The care link.
    pub link_id: Uuid,
    /// The therapist.
    pub therapist_id: Uuid,
    /// The instant of its creation.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// The instant of the last change.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// A prompt.
#[derive(Debug, Serialize, ToSchema)]
pub struct PromptBody {
    fields: PromptFields,
    /// `planned`, `opened`, `snoozed`, `completed`, `skipped` or `cancelled`. Whether a planned or snoozed one is due or
    /// has lapsed follows from its times.
    #[schema(example = "planned")]
    state: &'static str,
}

/// A prompt without its text, which the rule of its protocol has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncPromptFields)]
struct PromptFields {
    /// The rule that made it.
    #[schema(example = "d1.tell")]
    rule_key: String,
    /// The protocol of the rule.
    #[schema(example = "default")]
    protocol: String,
    /// Its version.
    #[schema(example = 1)]
    protocol_version: u32,
    /// The number of the wording of its text, from 0.
    #[schema(example = 0)]
    wording: u32,
    /// The kind of task: `safety`, `measure`, `reflection`, `exercise`, `preparation`, `habit`, `on_demand`. One that is
    /// `on_demand` is shown from its time on, and only if nothing was written since it was planned.
    #[schema(example = "reflection")]
    kind: String,
    /// Days since the infusion's last day; absent for recurring ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 1)]
    day: Option<i32>,
    /// The instant at which it is due.
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    /// The instant at which it expires.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The zone for which it was planned.
    #[schema(example = "Europe/Berlin")]
    zone: String,
    /// The instant of its reminder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    reminder_at: Option<Timestamp>,
    /// The duration in minutes.
    minutes: u32,
    /// Whether it is only a card in the app, without a reminder.
    optional: bool,
    /// Whether the phone may announce it.
    push: bool,
    /// The infusion to which it is anchored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    infusion_id: Option<Uuid>,
    /// The exercise response that comes back with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    response_id: Option<Uuid>,
    /// The words of the rule, where a therapist wrote or reworded it for this patient: no protocol has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    own: Option<OwnWords>,
    /// The reason for its time.
    #[schema(value_type = String, example = "window")]
    why: Why,
    /// The reason why it was cancelled or skipped, or last moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cause: Option<String>,
    /// The instant of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    answered_at: Option<Timestamp>,
    /// The entry or response that answers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    answer_id: Option<Uuid>,
}

/// The words of a rule that a therapist wrote or reworded for a patient.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncPromptWords)]
struct OwnWords {
    /// The text, as in a rule of the bundle.
    #[schema(example = "A walk by the water, if you like.")]
    text: String,
    /// The keys of the exercises that it offers.
    exercises: Vec<String>,
    /// Why it is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    because: Option<String>,
}

impl From<&Rule> for OwnWords {
    fn from(rule: &Rule) -> Self {
        let because = Some(rule.because.clone()).filter(|because| !because.is_empty());
        Self { text: template(&rule.text, "en"), exercises: rule.exercises.clone(), because }
    }
}

impl From<&StoredPrompt> for PromptBody {
    fn from(prompt: &StoredPrompt) -> Self {
        let planned = &prompt.doc.planned;
        let kind = serde_json::to_value(planned.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
        Self {
            state: prompt.recorded_state(),
            fields: PromptFields {
                rule_key: planned.rule_key.clone(),
                protocol: planned.protocol.clone(),
                protocol_version: planned.protocol_version,
                wording: planned.wording,
                kind: kind.unwrap_or_default(),
                day: planned.day,
                due_at: prompt.due_at,
                // Delivery lets a prompt lapse early after an outage, which is no change of the prompt.
                expires_at: prompt.expires_at.max(planned.expires_at),
                zone: planned.zone.name().to_owned(),
                reminder_at: planned.reminder_at,
                minutes: planned.minutes,
                optional: planned.optional,
                push: planned.push,
                infusion_id: planned.anchor.map(Id::uuid),
                response_id: planned.returns.map(Id::uuid),
                own: planned.own.as_deref().map(OwnWords::from),
                why: planned.why,
                cause: prompt.cause_for_patient().map(str::to_owned),
                answered_at: prompt.doc.answered_at,
                answer_id: prompt.doc.answer_id.map(AnswerId::uuid),
            },
        }
    }
}
