//! Entries, exercise responses, comments and grants as items.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::grants::GrantDoc;
use crate::exercises::Responses;
use crate::exercises::draft::DistressFields;
use crate::items::{Circumstances, OpenedItem};
use crate::journal::Entries;
use crate::journal::comments::actions::{self as comments, CommentRow};
use crate::journal::draft::{MoodFields, TextFields};
use crate::kernel::id::Patient;
use crate::kernel::{Id, Result};
use crate::sharing::{GrantReader, GrantRule, GrantTarget, target_and_rule};
use crate::vault::Keys;

fn status(circumstances: &Circumstances) -> &'static str {
    if circumstances.draft { "draft" } else { "done" }
}

fn zone(circumstances: &Circumstances) -> Option<String> {
    circumstances.zone.as_ref().map(|zone| zone.name().to_owned())
}

/// The header of an entry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncEntryHeader)]
struct EntryHeader {
    /// `reflection`, `fragment`, `note`, `dream` or `intention`.
    #[schema(example = "reflection")]
    kind: &'static str,
    /// The infusion it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    infusion_id: Option<Uuid>,
    /// `draft` or `done`.
    #[schema(example = "done")]
    status: &'static str,
    /// The instant at which it happened.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// The zone the device was in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Europe/Berlin")]
    zone: Option<String>,
    /// The instant of writing, by the clock of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    recorded_at: Option<Timestamp>,
    /// Whether its times were odd when it arrived.
    #[schema(example = false)]
    clock_suspect: bool,
    /// The prompt it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    prompt_id: Option<Uuid>,
    /// The item of which it is a copy, which holds what was in conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    copy_of: Option<Uuid>,
}

/// A journal entry.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntryBody {
    header: EntryHeader,
    /// Title and body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<TextFields>, nullable = false)]
    text: Option<Box<RawValue>>,
    /// Dials.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoodFields>, nullable = false)]
    mood: Option<Box<RawValue>>,
    /// Tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, example = json!(["takeaway"]))]
    tags: Option<Box<RawValue>>,
    /// Attachments.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Uuid>>, nullable = false)]
    attachments: Option<Box<RawValue>>,
    /// The instant at which it reached the server.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
}

impl EntryBody {
    /// Renders an opened entry.
    pub fn new(mut opened: OpenedItem<Entries>, received_at: Timestamp) -> Self {
        let circumstances = &opened.header.circumstances;
        let header = EntryHeader {
            kind: opened.header.kind.name(),
            infusion_id: opened.header.infusion_id.map(Id::uuid),
            status: status(circumstances),
            occurred_at: circumstances.occurred_at,
            zone: zone(circumstances),
            recorded_at: circumstances.recorded_at,
            clock_suspect: opened.clock_suspect,
            prompt_id: circumstances.prompt_id.map(Id::uuid),
            copy_of: opened.copy_of().map(Id::uuid),
        };
        Self {
            header,
            text: opened.take(0),
            mood: opened.take(1),
            tags: opened.take(2),
            attachments: opened.take(3),
            received_at,
        }
    }
}

/// The header of a response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncExerciseResponseHeader)]
struct ResponseHeader {
    /// The exercise.
    #[schema(example = "if-then-habit")]
    exercise_key: String,
    /// The version that was shown.
    #[schema(example = 1)]
    exercise_version: u32,
    /// The assignment that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    assignment_id: Option<Uuid>,
    /// `draft` or `done`.
    #[schema(example = "done")]
    status: &'static str,
    /// The instant at which it happened.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// The zone the device was in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Europe/Berlin")]
    zone: Option<String>,
    /// The instant of writing, by the clock of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    recorded_at: Option<Timestamp>,
    /// Whether its times were odd when it arrived.
    #[schema(example = false)]
    clock_suspect: bool,
    /// The prompt it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    prompt_id: Option<Uuid>,
    /// The item of which it is a copy, which holds what was in conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    copy_of: Option<Uuid>,
}

/// The work on one exercise.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResponseBody {
    header: ResponseHeader,
    /// Answers by step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<HashMap<String, serde_json::Value>>)]
    answers: Option<Box<RawValue>>,
    /// Distress before and after, and usefulness.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DistressFields>, nullable = false)]
    distress: Option<Box<RawValue>>,
    /// The instant at which it reached the server.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
}

impl ResponseBody {
    /// Renders an opened response.
    pub fn new(mut opened: OpenedItem<Responses>, received_at: Timestamp) -> Self {
        let circumstances = &opened.header.circumstances;
        let header = ResponseHeader {
            exercise_key: opened.header.exercise_key.clone(),
            exercise_version: opened.header.exercise_version,
            assignment_id: opened.header.assignment_id.map(Id::uuid),
            status: status(circumstances),
            occurred_at: circumstances.occurred_at,
            zone: zone(circumstances),
            recorded_at: circumstances.recorded_at,
            clock_suspect: opened.clock_suspect,
            prompt_id: circumstances.prompt_id.map(Id::uuid),
            copy_of: opened.copy_of().map(Id::uuid),
        };
        Self { header, answers: opened.take(0), distress: opened.take(1), received_at }
    }
}

/// A comment on an entry. `GET …/comments` has the name of its author.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommentBody {
    /// The entry.
    pub entry_id: Uuid,
    /// The thread: the care link of the therapist. Absent for a held comment that named none of the patient's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub thread_id: Option<Uuid>,
    /// The author's account.
    pub author_id: Uuid,
    /// The text.
    #[schema(example = "Thank you for showing me this.")]
    pub body: String,
    /// The instant of its creation.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Whether it is held: its thread was closed when it arrived. Only the patient sees it, also if the thread opens
    /// again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false, example = false)]
    pub held: bool,
}

impl CommentBody {
    /// Opens and renders a comment.
    ///
    /// # Errors
    ///
    /// When it cannot be opened with the patient's keys.
    pub fn open(keys: &Keys, patient: Id<Patient>, row: &CommentRow) -> Result<Self> {
        Ok(Self {
            entry_id: row.key.entry_id.uuid(),
            thread_id: row.key.thread().map(Id::uuid),
            author_id: row.key.author_id.uuid(),
            body: comments::open(keys, patient, row)?.into_string(),
            created_at: row.key.created_at.0,
            held: row.key.held,
        })
    }
}

/// A grant. It does not change.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantBody {
    /// The item it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    target: Option<GrantTarget>,
    /// The rule whose entries it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rule: Option<GrantRule>,
    /// The open sections.
    #[schema(example = json!(["text"]))]
    sections: Vec<&'static str>,
    /// The reader.
    reader: GrantReader,
    /// The instant at which it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    expires_at: Option<Timestamp>,
    /// The instant from which its reader sees it, if they did not at once: ended before, it leaves no trace with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    visible_from: Option<Timestamp>,
    /// The instant of its creation.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl GrantBody {
    /// Renders an opened grant that was made at `created_at`.
    pub fn new(doc: &GrantDoc, created_at: Timestamp, visible_from: Option<Timestamp>) -> Self {
        let (target, rule) = target_and_rule(&doc.target);
        let (sections, reader) = (doc.sections.names(), GrantReader::from(doc.reader));
        Self { target, rule, sections, reader, expires_at: doc.expires_at, visible_from, created_at }
    }
}
