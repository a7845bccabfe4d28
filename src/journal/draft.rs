//! The body of a PUT, not yet checked.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::model::{EntryContent, EntryKind, Header, Markdown, Mood, TAGS, TextSection};
use crate::http::Patchable;
use crate::items::CircumstancesFields;
use crate::kernel::unicode::{composed, folded};
use crate::kernel::{Fields, Id, Result, Text};

/// A whole entry; an absent field is empty.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutEntry {
    /// `reflection`, `fragment`, `note`, `dream` or `intention`.
    #[schema(example = "reflection")]
    pub kind: String,
    /// `done` (the default) or `draft`. A draft is seen by nobody else. A done entry does not become a draft again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, default = "done", example = "done")]
    pub status: Option<String>,
    /// The instant that the entry is about, with an offset. It decides the context of the entry. Odd times are flagged,
    /// not refused.
    #[schema(format = DateTime, example = "2026-11-02T21:30:00+01:00")]
    pub occurred_at: String,
    /// The IANA zone the device is in. Without it, the patient's zone at that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "time-zone", example = "Europe/Berlin")]
    pub zone: Option<String>,
    /// The instant of writing, by the clock of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime, example = "2026-11-02T21:34:10+01:00")]
    pub recorded_at: Option<String>,
    /// The infusion it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub infusion_id: Option<Uuid>,
    /// The prompt it answers. Once the entry is done, so is the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub prompt_id: Option<Uuid>,
    /// Title and body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub text: Option<TextFields>,
    /// Dials, 0 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub mood: Option<MoodFields>,
    /// The tags: at most 20, of at most 40 characters each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 20, example = json!(["takeaway"]))]
    pub tags: Option<Vec<String>>,
    /// The attachments; always empty for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 0)]
    pub attachments: Option<Vec<Uuid>>,
}

/// The section `text`.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EntryText)]
pub struct TextFields {
    /// The title, at most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 200, example = "The lake")]
    pub title: Option<String>,
    /// The body: Markdown, at most 256000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 256_000, example = "It was quiet, and I could stay.")]
    pub body: Option<String>,
}

/// The section `mood`.
#[derive(Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EntryMood)]
pub struct MoodFields {
    /// From unpleasant to pleasant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 10, example = 7)]
    pub valence: Option<i64>,
    /// From drained to lively.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 10, example = 4)]
    pub energy: Option<i64>,
    /// From alone to connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 10, example = 6)]
    pub connection: Option<i64>,
    /// From none to unbearable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 10, example = 2)]
    pub distress: Option<i64>,
}

// Their fields are private and must not be printed.
macro_rules! quiet {
    ($($name:ident),*) => { $(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(***)"))
            }
        }
    )* };
}
quiet!(PutEntry, TextFields, MoodFields);

impl Patchable for PutEntry {
    const FIXED: &'static [&'static str] = &["status"];
}

impl PutEntry {
    /// Parses the entry.
    ///
    /// # Errors
    ///
    /// [`crate::kernel::Error::Invalid`] with every fault.
    pub fn parse(self) -> Result<EntryContent> {
        let mut fields = Fields::new();
        let kind = fields.take("/kind", EntryKind::parse(&self.kind));
        let told = CircumstancesFields {
            status: self.status,
            occurred_at: self.occurred_at,
            zone: self.zone,
            recorded_at: self.recorded_at,
            prompt_id: self.prompt_id,
        };
        let circumstances = told.parse(&mut fields);
        let text = self.text.and_then(|text| text.parse(&mut fields));
        let mood = self.mood.and_then(|mood| mood.parse(&mut fields));
        let tags = tags(self.tags.unwrap_or_default(), &mut fields);
        fields.check(self.attachments.is_none_or(|list| list.is_empty()), "/attachments", "must be empty for now");
        let header = kind.zip(circumstances).map(|(kind, circumstances)| Header {
            kind,
            circumstances,
            infusion_id: self.infusion_id.map(Id::from_uuid),
        });
        fields.finish(header.map(|header| EntryContent { header, text, mood, tags, attachments: Vec::new() }))
    }

    /// Returns the body that would parse to `content`.
    pub fn of(content: &EntryContent) -> Self {
        let header = &content.header;
        let CircumstancesFields { status, occurred_at, zone, recorded_at, prompt_id } =
            CircumstancesFields::of(&header.circumstances);
        Self {
            kind: header.kind.name().to_owned(),
            status,
            occurred_at,
            zone,
            recorded_at,
            infusion_id: header.infusion_id.map(Id::uuid),
            prompt_id,
            text: content.text.as_ref().map(TextFields::of),
            mood: content.mood.map(MoodFields::of),
            tags: Some(content.tags.iter().map(|tag| tag.as_str().to_owned()).collect()),
            attachments: None,
        }
    }
}

impl TextFields {
    fn parse(self, fields: &mut Fields) -> Option<TextSection> {
        let title = self.title.and_then(|title| fields.take("/text/title", Text::optional(&title))).flatten();
        let body = self.body.filter(|body| !body.is_empty());
        let body = body.and_then(|body| fields.take("/text/body", Markdown::parse(body)));
        (title.is_some() || body.is_some()).then_some(TextSection { title, body })
    }
}

impl MoodFields {
    fn parse(self, fields: &mut Fields) -> Option<Mood> {
        let mut dial = |name: &str, value: Option<i64>| {
            let parsed = value.map(|value| u8::try_from(value).ok().filter(|value| *value <= 10));
            fields.check(parsed != Some(None), &format!("/mood/{name}"), "must be between 0 and 10");
            parsed.flatten()
        };
        let mood = Mood {
            valence: dial("valence", self.valence),
            energy: dial("energy", self.energy),
            connection: dial("connection", self.connection),
            distress: dial("distress", self.distress),
        };
        (mood != Mood::default()).then_some(mood)
    }
}

/// Parses the tags, trimmed, composed and without repetitions in whatever spelling; faults go to `fields`.
fn tags(list: Vec<String>, fields: &mut Fields) -> Vec<Text<40>> {
    let mut kept: Vec<Text<40>> = Vec::new();
    fields.check(list.len() <= TAGS, "/tags", "must be at most 20");
    for (place, tag) in list.into_iter().take(TAGS).enumerate() {
        if let Some(tag) = fields.take(&format!("/tags/{place}"), Text::parse(composed(tag.trim())))
            && !kept.iter().any(|other| folded(other.as_str()) == folded(tag.as_str()))
        {
            kept.push(tag);
        }
    }
    kept
}

impl TextFields {
    /// Returns the section in the form that is shown.
    pub fn of(section: &TextSection) -> Self {
        Self {
            title: section.title.as_ref().map(|title| title.as_str().to_owned()),
            body: section.body.as_ref().map(|body| body.as_str().to_owned()),
        }
    }
}

impl MoodFields {
    /// Returns the section in the form that is shown.
    pub fn of(mood: Mood) -> Self {
        let dial = |value: Option<u8>| value.map(i64::from);
        Self {
            valence: dial(mood.valence),
            energy: dial(mood.energy),
            connection: dial(mood.connection),
            distress: dial(mood.distress),
        }
    }
}
