//! What a command says, not yet checked; and how a merge patch changes what an entry says.

use jiff::tz::Offset;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::model::{Content, Header, Kind, Markdown, Mood, TAGS, TextSection};
use crate::kernel::patch::Change;
use crate::kernel::told::instant;
use crate::kernel::{Fields, Id, Result, Text, Zone};

/// A whole entry. What is absent is empty.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PutEntry)]
pub struct EntryDraft {
    /// `reflection`, `fragment`, `note`, `dream` or `intention`.
    #[schema(example = "reflection")]
    pub kind: String,
    /// `done` (unless said otherwise) or `draft`. A draft is seen by nobody else. What is done does not become a draft
    /// again.
    #[schema(nullable = false, example = "done")]
    pub status: Option<String>,
    /// When it happened, with an offset. It decides the context of the entry. Odd times are flagged, not refused.
    #[schema(format = DateTime, example = "2026-11-02T21:30:00+01:00")]
    pub occurred_at: String,
    /// The IANA zone the device is in. Without it, the patient's zone at that time.
    #[schema(nullable = false, example = "Europe/Berlin")]
    pub zone: Option<String>,
    /// When it was taken down, by the clock of the device.
    #[schema(nullable = false, format = DateTime, example = "2026-11-02T21:34:10+01:00")]
    pub recorded_at: Option<String>,
    /// The infusion it is about.
    #[schema(nullable = false)]
    pub infusion_id: Option<Uuid>,
    /// The prompt it answers. Once the entry is done, so is the prompt.
    #[schema(nullable = false)]
    pub prompt_id: Option<Uuid>,
    /// Title and body.
    #[schema(nullable = false)]
    pub text: Option<TextFields>,
    /// Dials, 0 to 10.
    #[schema(nullable = false)]
    pub mood: Option<MoodFields>,
    /// At most 20, of at most 40 characters each.
    #[schema(nullable = false, max_items = 20, example = json!(["takeaway"]))]
    pub tags: Option<Vec<String>>,
    /// Always empty for now.
    #[schema(nullable = false, max_items = 0)]
    pub attachments: Option<Vec<Uuid>>,
}

/// The section `text`.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EntryText)]
pub struct TextFields {
    /// At most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 200, example = "The lake")]
    pub title: Option<String>,
    /// Markdown, at most 262144 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 262_144, example = "It was quiet, and I could stay.")]
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

/// A merge patch (RFC 7396): what is absent stays, `null` clears, arrays replace.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchEntry)]
pub struct EntryPatch {
    /// The kind.
    #[schema(nullable = false, example = "note")]
    pub kind: Option<String>,
    /// `done`, to finish a draft.
    #[schema(nullable = false, example = "done")]
    pub status: Option<String>,
    /// When it happened.
    #[schema(nullable = false, format = DateTime)]
    pub occurred_at: Option<String>,
    /// The zone.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub zone: Change<String>,
    /// When it was taken down.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub recorded_at: Change<String>,
    /// The infusion it is about.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    pub infusion_id: Change<Uuid>,
    /// The prompt it answers.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    pub prompt_id: Change<Uuid>,
    /// Title and body; `null` clears both.
    #[serde(default)]
    #[schema(value_type = Option<TextPatch>, nullable = false)]
    pub text: Change<TextPatch>,
    /// Dials; `null` clears all.
    #[serde(default)]
    #[schema(value_type = Option<MoodPatch>, nullable = false)]
    pub mood: Change<MoodPatch>,
    /// The tags, all of them.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub tags: Change<Vec<String>>,
    /// The attachments, all of them.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Uuid>>)]
    pub attachments: Change<Vec<Uuid>>,
}

/// A change of the section `text`.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchEntryText)]
pub struct TextPatch {
    /// The title.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub title: Change<String>,
    /// The body.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub body: Change<String>,
}

/// A change of the section `mood`.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchEntryMood)]
pub struct MoodPatch {
    /// From unpleasant to pleasant.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub valence: Change<i64>,
    /// From drained to lively.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub energy: Change<i64>,
    /// From alone to connected.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub connection: Change<i64>,
    /// From none to unbearable.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub distress: Change<i64>,
}

// Their fields are what somebody wrote.
macro_rules! quiet {
    ($($name:ident),*) => { $(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(***)"))
            }
        }
    )* };
}
quiet!(EntryDraft, TextFields, MoodFields, EntryPatch, TextPatch, MoodPatch);

impl EntryDraft {
    /// The entry, if every field is right.
    ///
    /// # Errors
    ///
    /// [`crate::kernel::Error::Invalid`] with every fault.
    pub fn parse(self) -> Result<Content> {
        let mut fields = Fields::new();
        let kind = fields.take("/kind", Kind::parse(&self.kind));
        let draft = match self.status.as_deref() {
            None | Some("done") => false,
            Some("draft") => true,
            Some(_) => {
                fields.fault("/status", "must be `draft` or `done`");
                false
            }
        };
        let occurred = fields.take("/occurred_at", instant(&self.occurred_at));
        let zone = self.zone.and_then(|name| fields.take("/zone", Zone::parse(&name)));
        let recorded = self.recorded_at.and_then(|text| fields.take("/recorded_at", instant(&text)));
        let text = self.text.and_then(|text| text.parse(&mut fields));
        let mood = self.mood.and_then(|mood| mood.parse(&mut fields));
        let tags = tags(self.tags.unwrap_or_default(), &mut fields);
        fields.check(self.attachments.is_none_or(|list| list.is_empty()), "/attachments", "must be empty for now");
        let content = kind.zip(occurred).map(|(kind, (occurred_at, offset))| Content {
            header: Header {
                kind,
                draft,
                occurred_at,
                offset: offset.seconds(),
                zone,
                recorded_at: recorded.map(|(at, _)| at),
                infusion_id: self.infusion_id.map(Id::from_uuid),
                prompt_id: self.prompt_id.map(Id::from_uuid),
            },
            text,
            mood,
            tags,
            attachments: Vec::new(),
        });
        fields.finish(content)
    }
}

impl TextFields {
    fn parse(self, fields: &mut Fields) -> Option<TextSection> {
        let title = self.title.filter(|title| !title.is_empty());
        let title = title.and_then(|title| fields.take("/text/title", Text::parse(title)));
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

/// Tags without what surrounds them; one that is there already is left out.
fn tags(list: Vec<String>, fields: &mut Fields) -> Vec<Text<40>> {
    let mut kept: Vec<Text<40>> = Vec::new();
    fields.check(list.len() <= TAGS, "/tags", "must be at most 20");
    for (place, tag) in list.into_iter().take(TAGS).enumerate() {
        if let Some(tag) = fields.take(&format!("/tags/{place}"), Text::parse(tag.trim()))
            && !kept.contains(&tag)
        {
            kept.push(tag);
        }
    }
    kept
}

impl Content {
    /// What a command would have to say to make this.
    pub fn to_draft(&self) -> EntryDraft {
        let header = &self.header;
        let offset = Offset::from_seconds(header.offset).unwrap_or(Offset::UTC);
        EntryDraft {
            kind: header.kind.name().to_owned(),
            status: Some(if header.draft { "draft" } else { "done" }.to_owned()),
            occurred_at: header.occurred_at.display_with_offset(offset).to_string(),
            zone: header.zone.as_ref().map(|zone| zone.name().to_owned()),
            recorded_at: header.recorded_at.map(|at| at.to_string()),
            infusion_id: header.infusion_id.map(Id::uuid),
            prompt_id: header.prompt_id.map(Id::uuid),
            text: self.text.as_ref().map(TextFields::of),
            mood: self.mood.map(MoodFields::of),
            tags: Some(self.tags.iter().map(|tag| tag.as_str().to_owned()).collect()),
            attachments: None,
        }
    }

    /// This, changed by a merge patch.
    ///
    /// # Errors
    ///
    /// [`crate::kernel::Error::Invalid`] with every fault of the result.
    pub fn patched(&self, patch: EntryPatch) -> Result<Self> {
        let mut draft = self.to_draft();
        set(&mut draft.kind, patch.kind);
        set(&mut draft.occurred_at, patch.occurred_at);
        set(&mut draft.status, patch.status.map(Some));
        draft.zone = patch.zone.over(draft.zone);
        draft.recorded_at = patch.recorded_at.over(draft.recorded_at);
        draft.infusion_id = patch.infusion_id.over(draft.infusion_id);
        draft.prompt_id = patch.prompt_id.over(draft.prompt_id);
        draft.tags = patch.tags.over(draft.tags);
        draft.attachments = patch.attachments.over(draft.attachments);
        draft.text = merged(draft.text, patch.text, |text: TextFields, change: TextPatch| TextFields {
            title: change.title.over(text.title),
            body: change.body.over(text.body),
        });
        draft.mood = merged(draft.mood, patch.mood, |mood: MoodFields, change: MoodPatch| MoodFields {
            valence: change.valence.over(mood.valence),
            energy: change.energy.over(mood.energy),
            connection: change.connection.over(mood.connection),
            distress: change.distress.over(mood.distress),
        });
        draft.parse()
    }
}

/// A section after a patch: what is not there is patched as if it were empty.
fn merged<S: Default, P>(section: Option<S>, change: Change<P>, merge: impl FnOnce(S, P) -> S) -> Option<S> {
    match change {
        Change::Keep => section,
        Change::Clear => None,
        Change::Set(change) => Some(merge(section.unwrap_or_default(), change)),
    }
}

fn set<T>(field: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *field = new;
    }
}

impl TextFields {
    /// The section, as it goes out.
    pub fn of(section: &TextSection) -> Self {
        Self {
            title: section.title.as_ref().map(|title| title.as_str().to_owned()),
            body: section.body.as_ref().map(|body| body.as_str().to_owned()),
        }
    }
}

impl MoodFields {
    /// The section, as it goes out.
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
