//! What goes out: all to the owner, the granted sections to a reader.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::draft::{MoodFields, TextFields};
use super::hooks::Surroundings;
use super::seal::{Of, Opened};
use super::store::Row;
use crate::care::grants::Sections;
use crate::kernel::id::{Account, Patient};
use crate::kernel::{Id, Result};
use crate::planning::window::{Context, Phase};
use crate::vault::Keys;

/// An entry. A therapist sees `id`, `kind`, `local_date`, `phase`, `sections`, the sections that are open to them, and
/// when those last changed; the patient sees the rest.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EntryView {
    /// Its id.
    pub id: Uuid,
    /// `reflection`, `fragment`, `note`, `dream` or `intention`.
    #[schema(example = "reflection")]
    pub kind: String,
    /// The date on which it happened, where the patient was.
    #[schema(value_type = String, format = Date, example = "2026-11-02")]
    pub local_date: Date,
    /// The phase in which it happened. Corrected infusions change it; it is not part of the version.
    #[schema(value_type = String, example = "peak")]
    pub phase: Phase,
    /// The sections that are open to you; shown to a therapist only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!(["text"]))]
    pub sections: Option<Vec<String>>,
    /// Title and body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub text: Option<TextFields>,
    /// Dials.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub mood: Option<MoodFields>,
    /// Tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!(["takeaway"]))]
    pub tags: Option<Vec<String>>,
    /// Attachments.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub attachments: Option<Vec<Uuid>>,
    /// When it last changed; to a therapist, when one of the sections they see did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub updated_at: Option<Timestamp>,
    /// `draft`, `done` or `deleted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "done")]
    pub status: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 1)]
    pub version: Option<i64>,
    /// When it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub occurred_at: Option<Timestamp>,
    /// The zone the device was in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Europe/Berlin")]
    pub zone: Option<String>,
    /// When the device took it down.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub recorded_at: Option<Timestamp>,
    /// When it arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub received_at: Option<Timestamp>,
    /// Whether its times were odd when it arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    pub clock_suspect: Option<bool>,
    /// The infusion it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub infusion_id: Option<Uuid>,
    /// The prompt it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub prompt_id: Option<Uuid>,
    /// Where it lies in relation to the infusions. Not part of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub context: Option<Context>,
    /// When it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub deleted_at: Option<Timestamp>,
    /// Who opened it, and when first; not in lists. Not part of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub seen_by: Option<Vec<SeenBy>>,
}

/// Who opened an entry.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SeenBy {
    /// Who.
    pub account_id: Uuid,
    /// When first.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
}

/// An entry as a unit returns it: still sealed.
#[derive(Clone, Debug)]
pub struct Found {
    /// The row.
    pub row: Row,
    /// What a reader may see of it; `None` for the owner.
    pub shared: Option<Sections>,
    /// Who opened it, if that was asked for.
    pub openings: Option<Vec<(Id<Account>, Timestamp)>>,
}

impl Found {
    /// All of it, for the owner.
    pub fn own(row: Row) -> Self {
        Self { row, shared: None, openings: None }
    }

    /// What is open to a reader.
    pub fn shared(row: Row, sections: Sections) -> Self {
        Self { row, shared: Some(sections), openings: None }
    }
}

/// Opens and renders an entry, after the unit.
pub fn render(keys: &Keys, patient: Id<Patient>, found: &Found, around: &Surroundings) -> Result<EntryView> {
    let open = found.shared.unwrap_or(Sections::ALL);
    let opened = Of { patient, entry: found.row.id }.open(keys, &found.row.parts, open)?;
    Ok(rendered(found, &opened, around))
}

/// Renders an entry of which the sections it may show were opened, and no others.
pub fn rendered(found: &Found, opened: &Opened, around: &Surroundings) -> EntryView {
    let row = &found.row;
    let open = found.shared.unwrap_or(Sections::ALL);
    let (content, header) = (&opened.content, &opened.content.header);
    let place = around.context(header.occurred_at);
    let shown = |section| open.has(section);
    let mut view = EntryView {
        id: row.id.uuid(),
        kind: header.kind.name().to_owned(),
        local_date: header.local_date(|at| around.zone_at(at)),
        phase: place.phase,
        sections: found.shared.map(|open| open.names().into_iter().map(str::to_owned).collect()),
        text: content.text.as_ref().map(TextFields::of),
        mood: content.mood.map(MoodFields::of),
        tags: shown(Sections::TAGS).then(|| content.tags.iter().map(|tag| tag.as_str().to_owned()).collect()),
        attachments: shown(Sections::ATTACHMENTS).then(|| content.attachments.iter().map(|id| id.uuid()).collect()),
        updated_at: opened.sections_at,
        status: None,
        version: None,
        occurred_at: None,
        zone: None,
        recorded_at: None,
        received_at: None,
        clock_suspect: None,
        infusion_id: None,
        prompt_id: None,
        context: None,
        deleted_at: None,
        seen_by: None,
        // The reply adds them.
    };
    if found.shared.is_none() {
        let status = match (row.deleted_at, header.draft) {
            (Some(_), _) => "deleted",
            (None, true) => "draft",
            (None, false) => "done",
        };
        view.updated_at = Some(row.updated_at);
        view.status = Some(status.to_owned());
        view.version = Some(row.version);
        view.occurred_at = Some(header.occurred_at);
        view.zone = header.zone.as_ref().map(|zone| zone.name().to_owned());
        view.recorded_at = header.recorded_at;
        view.received_at = Some(row.received_at);
        view.clock_suspect = Some(opened.clock_suspect);
        view.infusion_id = header.infusion_id.map(Id::uuid);
        view.prompt_id = header.prompt_id.map(Id::uuid);
        view.context = Some(place);
        view.deleted_at = row.deleted_at;
        let seen = |(account, opened_at): &(Id<Account>, Timestamp)| SeenBy {
            account_id: account.uuid(),
            opened_at: *opened_at,
        };
        view.seen_by = found.openings.as_ref().map(|list| list.iter().map(seen).collect());
    }
    view
}
