//! The events of a therapist's feed: the form of each kind of thing, as its reader sees it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::grants;
use crate::care::grants::store::GrantRow;
use crate::changes::Entity;
use crate::course::{ContextSource, InfusionRow, InfusionView};
use crate::exercises::Responses;
use crate::exercises::assignments::AssignmentView;
use crate::exercises::assignments::actions::KnownAssignment;
use crate::http::EntityTag;
use crate::items::view::{ItemPresenter, Visible, render};
use crate::journal::Entries;
use crate::journal::comments::actions::CommentRow;
use crate::kernel::id::{Account, Any, Patient};
use crate::kernel::page::SMALL;
use crate::kernel::{Error, Id, Result};
use crate::sharing::GrantView;
use crate::sync::item::CommentBody;
use crate::sync::model::Kind;
use crate::vault::{Keys, MacLabel, Vault};

/// What an item does not have: its id stands beside it, and a version would tell of changes that are not shown.
const LEFT_OUT: [&str; 3] = ["id", "version", "etag"];

/// The present state of a thing as its reader may see it, still sealed.
#[derive(Debug)]
pub enum Content {
    Entry(Visible),
    Response(Visible),
    Comment(CommentRow),
    /// A grant, at the instant at which it is shown.
    Grant(GrantRow, Timestamp),
    Assignment(KnownAssignment),
    Infusion(InfusionRow),
    /// The patient's keys do not open.
    Unreadable,
}

impl Content {
    /// Returns the number of its sealed bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Entry(item) => item.bytes::<Entries>(),
            Self::Response(item) => item.bytes::<Responses>(),
            Self::Comment(row) => row.doc.len(),
            Self::Grant(row, _) => row.doc.len(),
            Self::Assignment(known) => known.row.doc.len(),
            Self::Infusion(row) => row.bytes(),
            Self::Unreadable => SMALL,
        }
    }
}

/// What is needed to open and render the things of a patient.
#[derive(Debug)]
pub struct Opener<'o> {
    /// The keys.
    pub keys: &'o Keys,
    /// The background of items.
    pub around: &'o ContextSource,
    /// The language of words of the library.
    pub language: Option<&'static str>,
}

/// An event, still sealed.
#[derive(Debug)]
pub struct FeedEvent {
    /// The patient.
    pub patient: Id<Patient>,
    kind: Option<Kind>,
    id: Id<Any>,
    content: Option<Content>,
}

impl FeedEvent {
    /// Makes the event of a thing: with what the reader sees of it, or its removal. A care link stands for the patient.
    pub fn new(patient: Id<Patient>, (entity, id): (Entity, Id<Any>), content: Option<Content>) -> Self {
        let kind = Kind::of(entity).filter(|_| entity != Entity::CareLink);
        Self { patient, kind, id, content }
    }

    /// Returns its sealed bytes.
    pub fn bytes(&self) -> usize {
        self.content.as_ref().map_or(0, Content::bytes)
    }

    /// Opens and renders it for `account`.
    ///
    /// # Errors
    ///
    /// When it cannot be opened for another reason than damage.
    pub fn render(self, vault: &Vault, account: Id<Account>, opener: Option<&Opener<'_>>) -> Result<EventView> {
        let patient_id = self.patient.uuid();
        let Some(kind) = self.kind else { return Ok(EventView::of("patient.removed", patient_id)) };
        let id = self.id.uuid();
        let (kind, id) = (Some(kind.name()), Some(id));
        let Some(content) = self.content else {
            return Ok(EventView { kind, id, ..EventView::of("item.removed", patient_id) });
        };
        let event = EventView { kind, id, ..EventView::of("item", patient_id) };
        let item = match opener {
            Some(opener) => Error::skip_damaged(open(self.patient, content, opener))?,
            None => None,
        };
        let Some(item) = item else { return Ok(EventView { unreadable: Some(true), ..event }) };
        let shown = serde_json::to_vec(&item).map_err(|error| Error::Internal(Box::new(error)))?;
        let mac = vault.mac(MacLabel::ReaderTag, &[b"feed item", account.uuid().as_bytes(), &shown]);
        let etag = EntityTag::opaque(&URL_SAFE_NO_PAD.encode(mac));
        Ok(EventView { etag: Some(etag), item: Some(item), ..event })
    }
}

/// Opens a thing and renders it without what an item leaves out.
fn open(patient: Id<Patient>, content: Content, opener: &Opener<'_>) -> Result<Map<String, Value>> {
    fn shown<T: ItemPresenter>(
        patient: Id<Patient>,
        item: &Visible,
        opener: &Opener<'_>,
        manner: T::Manner,
    ) -> Result<Value> {
        value(&render::<T>((opener.keys, patient), item, opener.around, manner)?)
    }
    let keys = opener.keys;
    let value = match content {
        Content::Entry(item) => shown::<Entries>(patient, &item, opener, ())?,
        Content::Response(item) => shown::<Responses>(patient, &item, opener, opener.language)?,
        Content::Comment(row) => value(&CommentBody::open(keys, patient, &row)?)?,
        Content::Grant(row, now) => value(&GrantView::for_reader(&row, &grants::open(keys, patient, &row)?, now))?,
        Content::Assignment(known) => value(&AssignmentView::new(keys, patient, &known)?)?,
        Content::Infusion(row) => value(&InfusionView::without_advice(row.open(keys, patient)?))?,
        Content::Unreadable => return Err(Error::internal("there is nothing to open")),
    };
    let Value::Object(mut item) = value else { return Err(Error::internal("an item is no object")) };
    item.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
    Ok(item)
}

fn value<V: Serialize>(view: &V) -> Result<Value> {
    serde_json::to_value(view).map_err(|error| Error::Internal(Box::new(error)))
}

/// An event of a therapist's feed. Pass over types and kinds that you do not know.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeedEvent)]
pub struct EventView {
    /// `item`: you see a thing for the first time, or something else of it. `item.removed`: you see it no longer.
    /// `patient.removed`: you see nothing of the patient any longer. Delete what you hold.
    #[serde(rename = "type")]
    #[schema(example = "item")]
    type_: &'static str,
    /// The patient.
    patient_id: Uuid,
    /// The kind of thing: `entry`, `exercise_response`, `comment`, `grant`, `assignment` or `infusion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "entry")]
    kind: Option<&'static str>,
    /// The id of the thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<Uuid>,
    /// The tag of what you may see of the thing: it changes with that and with nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "\"9f2c\"")]
    etag: Option<EntityTag>,
    /// What you may see of the thing, whole, as its own operation shows it to you (`EntryView`, `ExerciseResponseView`,
    /// `CommentView`, `GrantView`, `AssignmentView`, `InfusionView`), without `id`, `version`, `etag`, the name of an
    /// author and the advice on driving.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<HashMap<String, Value>>, nullable = false)]
    item: Option<Map<String, Value>>,
    /// Whether the stored thing is damaged. Keep what you hold of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

impl EventView {
    const fn of(type_: &'static str, patient_id: Uuid) -> Self {
        Self { type_, patient_id, kind: None, id: None, etag: None, item: None, unreadable: None }
    }
}
