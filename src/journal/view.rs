//! The view of an entry.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::draft::{MoodFields, TextFields};
use super::model::Entries;
use crate::care::grants::Sections;
use crate::course::ContextSource;
use crate::items::OpenedItem;
use crate::items::view::{ItemPresenter, ItemView};
use crate::kernel::{Id, Listed, Result};

/// An entry. A therapist sees `id`, `kind`, `local_date`, `phase`, `sections`, the sections that are open to them, and
/// when those last changed; the patient sees the rest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EntryView)]
pub struct EntryFields {
    /// `reflection`, `fragment`, `note`, `dream` or `intention`.
    #[schema(example = "reflection")]
    kind: &'static str,
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
    tags: Option<StoredList>,
    /// Attachments.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Uuid>>, nullable = false)]
    attachments: Option<StoredList>,
    /// The infusion it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    infusion_id: Option<Uuid>,
}

/// A list as it is stored: an empty one is not.
#[derive(Debug)]
struct StoredList(Option<Box<RawValue>>);

impl Serialize for StoredList {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(list) => list.serialize(to),
            None => to.collect_seq([(); 0]),
        }
    }
}

/// The view of an entry.
pub type EntryView = ItemView<EntryFields>;

/// An entry in a list.
pub type EntryItem = Listed<EntryView>;

impl ItemPresenter for Entries {
    type Fields = EntryFields;
    type Manner = ();

    fn fields(
        opened: &mut OpenedItem<Self>,
        shared: Option<Sections>,
        _: &ContextSource,
        (): (),
    ) -> Result<EntryFields> {
        let is_open = |section| shared.is_none_or(|shared| shared.has(section));
        Ok(EntryFields {
            kind: opened.header.kind.name(),
            text: opened.take(0),
            mood: opened.take(1),
            tags: is_open(Sections::TAGS).then(|| StoredList(opened.take(2))),
            attachments: is_open(Sections::ATTACHMENTS).then(|| StoredList(opened.take(3))),
            infusion_id: opened.header.infusion_id.filter(|_| shared.is_none()).map(Id::uuid),
        })
    }
}
