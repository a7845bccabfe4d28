//! The events of a therapist's feed: the form of each kind of thing, as its reader sees it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, Object, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::care::grants;
use crate::care::grants::store::GrantRow;
use crate::changes::Entity;
use crate::course::{ContextSource, InfusionRow, InfusionView};
use crate::exercises::Responses;
use crate::exercises::assignments::AssignmentView;
use crate::exercises::assignments::actions::KnownAssignment;
use crate::http::EntityTag;
use crate::items::view::{ItemPresenter, ItemView, Visible, render};
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
            Self::Entry(item) | Self::Response(item) => item.row.bytes(),
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

/// An event of a therapist's feed.
#[derive(Debug, Serialize)]
pub struct EventView {
    #[serde(rename = "type")]
    type_: &'static str,
    patient_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<EntityTag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<bool>,
}

impl EventView {
    const fn of(type_: &'static str, patient_id: Uuid) -> Self {
        Self { type_, patient_id, kind: None, id: None, etag: None, item: None, unreadable: None }
    }
}

/// A schema, and those that it names.
type Schemas = (RefOr<Schema>, Vec<(String, RefOr<Schema>)>);

/// The kinds of things in a feed, each with the name of its schema.
const KINDS: [(Kind, &str); 6] = [
    (Kind::Entry, "FeedEntry"),
    (Kind::ExerciseResponse, "FeedExerciseResponse"),
    (Kind::Comment, "FeedComment"),
    (Kind::Grant, "FeedGrant"),
    (Kind::Assignment, "FeedAssignment"),
    (Kind::Infusion, "FeedInfusion"),
];

/// Returns the schema of the items of a kind.
fn schema_of(kind: Kind) -> Schemas {
    fn of<B: ToSchema>() -> Schemas {
        let mut schemas = Vec::new();
        B::schemas(&mut schemas);
        (B::schema(), schemas)
    }
    let (schema, schemas) = match kind {
        Kind::Entry => ItemView::<<Entries as ItemPresenter>::Fields>::reader_schema(),
        Kind::ExerciseResponse => ItemView::<<Responses as ItemPresenter>::Fields>::reader_schema(),
        Kind::Comment => of::<CommentBody>(),
        Kind::Grant => of::<GrantView>(),
        Kind::Assignment => of::<AssignmentView>(),
        _ => of::<InfusionView>(),
    };
    let RefOr::T(Schema::Object(mut object)) = schema else { return (schema, schemas) };
    for name in LEFT_OUT {
        object.properties.shift_remove(name);
        object.required.retain(|required| required != name);
    }
    (RefOr::T(Schema::Object(object)), schemas)
}

/// Returns the schema of events of one type.
fn event(type_: &str, description: &str) -> ObjectBuilder {
    let one_of = |value: &str| ObjectBuilder::new().schema_type(Type::String).enum_values(Some([value]));
    ObjectBuilder::new()
        .description(Some(description))
        .property("type", one_of(type_).description(Some("The type of event.")))
        .required("type")
        .property("patient_id", uuid("The patient."))
        .required("patient_id")
}

fn uuid(description: &str) -> Object {
    let text = ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    text.format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))).build()
}

/// Returns the schemas of all events, by their names.
fn events() -> BTreeMap<&'static str, Object> {
    let kind = |names: Vec<&'static str>| {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).description(Some("The kind of thing."))
    };
    let mut all = BTreeMap::new();
    for (of, name) in KINDS {
        let tag = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The tag of what you may see of it: it changes with that and with nothing else."));
        let unreadable = ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .description(Some("Whether the stored thing is damaged. Keep what you hold of it."));
        let whole = event("item", "A thing that you see for the first time, or of which you see something else now.")
            .property("kind", kind(vec![of.name()]))
            .required("kind")
            .property("id", uuid("Its id."))
            .required("id")
            .property("etag", tag)
            .property("item", Ref::from_schema_name(format!("{name}Item")))
            .property("unreadable", unreadable);
        all.insert(name, whole.build());
    }
    let removed = event("item.removed", "A thing that you see no longer: delete it.")
        .property("kind", kind(KINDS.iter().map(|(kind, _)| kind.name()).collect()))
        .required("kind")
        .property("id", uuid("Its id."))
        .required("id");
    all.insert("FeedItemRemoved", removed.build());
    let patient = event("patient.removed", "A patient of whom you see nothing any longer: delete all that you hold.");
    all.insert("FeedPatientRemoved", patient.build());
    all
}

impl PartialSchema for EventView {
    fn schema() -> RefOr<Schema> {
        let mut choice = OneOfBuilder::new().description(Some("An event. The set is open: an app passes over others."));
        for name in events().into_keys() {
            choice = choice.item(Ref::from_schema_name(name));
        }
        RefOr::T(Schema::OneOf(choice.build()))
    }
}

impl ToSchema for EventView {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("FeedEvent")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        for (name, object) in events() {
            schemas.push((name.to_owned(), RefOr::T(Schema::Object(object))));
        }
        for (kind, name) in KINDS {
            let (schema, named) = schema_of(kind);
            schemas.push((format!("{name}Item"), schema));
            schemas.extend(named);
        }
    }
}
