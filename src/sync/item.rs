//! The items of a pull: the form of each kind of thing on the wire, as far as its version covers it.

mod plan;
mod receipt;
mod words;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::openapi::schema::{Discriminator, ObjectBuilder, OneOfBuilder, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, Object, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

pub use plan::{AssignmentFields, CareLinkFields, PauseFields, PromptBody, SettingsFields};
pub use receipt::ReceiptFields;
pub use words::{CommentBody, EntryBody, GrantBody, ResponseBody};

use super::model::Kind;
use crate::course::InfusionView;

/// A thing that a phone holds, as one version of it: whole, a tombstone, or unreadable.
#[derive(Debug, Serialize)]
pub struct SyncItem {
    kind: &'static str,
    id: Uuid,
    version: i64,
    seq: i64,
    #[serde(flatten)]
    state: ItemState,
}

/// The state of a thing.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ItemState {
    /// It is there.
    Whole(Box<Body>),
    /// It was deleted.
    Deleted(Tombstone),
    /// Its row does not open.
    Unreadable {
        /// Always true.
        unreadable: bool,
    },
}

/// What is left of a thing that was deleted.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct Tombstone {
    /// Whether it was deleted. It then has no content.
    #[schema(required = false, example = false)]
    deleted: bool,
    /// The instant of the deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    deleted_at: Option<Timestamp>,
    /// The instant until which it can be undeleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    undelete_until: Option<Timestamp>,
}

impl Tombstone {
    /// Makes a tombstone; `dates` are the deletion and the end of the time in which it can be undone.
    pub fn new(dates: Option<(Timestamp, Timestamp)>) -> Self {
        let (deleted_at, undelete_until) = dates.unzip();
        Self { deleted: true, deleted_at, undelete_until }
    }
}

impl SyncItem {
    /// Makes the item of the change `seq`, which brought a thing to `version`.
    pub fn new(kind: Kind, (id, version, seq): (Uuid, i64, i64), state: ItemState) -> Self {
        Self { kind: kind.name(), id, version, seq, state }
    }
}

/// The content of a thing.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the kinds of things")]
pub enum Body {
    Settings(Fields<SettingsFields>),
    CareLink(Fields<CareLinkFields>),
    Infusion(Fields<InfusionView>),
    Pause(Fields<PauseFields>),
    Grant(GrantBody),
    Assignment(Fields<AssignmentFields>),
    Prompt(PromptBody),
    Entry(EntryBody),
    ExerciseResponse(ResponseBody),
    Comment(CommentBody),
    Receipt(Fields<ReceiptFields>),
}

/// A kind without sections of its own.
#[derive(Debug, Serialize)]
pub struct Fields<F> {
    /// Its content.
    pub fields: F,
}

impl Kind {
    /// Returns the name of the schema of its items.
    const fn schema_name(self) -> &'static str {
        match self {
            Self::Settings => "SyncSettings",
            Self::CareLink => "SyncCareLink",
            Self::Infusion => "SyncInfusion",
            Self::Pause => "SyncPause",
            Self::Grant => "SyncGrant",
            Self::Assignment => "SyncAssignment",
            Self::Prompt => "SyncPrompt",
            Self::Entry => "SyncEntry",
            Self::ExerciseResponse => "SyncExerciseResponse",
            Self::Comment => "SyncComment",
            Self::Receipt => "SyncReceipt",
        }
    }

    /// Returns the schema of its content, and those that it names.
    fn body(self) -> (RefOr<Schema>, Vec<(String, RefOr<Schema>)>) {
        fn of<B: ToSchema>() -> (RefOr<Schema>, Vec<(String, RefOr<Schema>)>) {
            let mut schemas = Vec::new();
            B::schemas(&mut schemas);
            (B::schema(), schemas)
        }
        fn fields<F: ToSchema>() -> (RefOr<Schema>, Vec<(String, RefOr<Schema>)>) {
            let (schema, mut schemas) = of::<F>();
            schemas.push((F::name().into_owned(), schema));
            let whole = ObjectBuilder::new().property("fields", Ref::from_schema_name(F::name())).build();
            (RefOr::T(Schema::Object(whole)), schemas)
        }
        match self {
            Self::Settings => fields::<SettingsFields>(),
            Self::CareLink => fields::<CareLinkFields>(),
            Self::Infusion => fields::<InfusionView>(),
            Self::Pause => fields::<PauseFields>(),
            Self::Grant => of::<GrantBody>(),
            Self::Assignment => fields::<AssignmentFields>(),
            Self::Prompt => of::<PromptBody>(),
            Self::Entry => of::<EntryBody>(),
            Self::ExerciseResponse => of::<ResponseBody>(),
            Self::Comment => of::<CommentBody>(),
            Self::Receipt => fields::<ReceiptFields>(),
        }
    }

    /// Returns the schema of its items: one flat object, with what every item has.
    fn schema(self) -> Object {
        let text = |format, says: &str| {
            let text = ObjectBuilder::new().schema_type(Type::String).format(format).description(Some(says));
            text.build()
        };
        let number = |says: &str| {
            let number = ObjectBuilder::new().schema_type(Type::Integer).description(Some(says));
            number.format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64))).build()
        };
        let mut whole = ObjectBuilder::new()
            .description(Some("One version of a thing: whole, a tombstone (`deleted`), or `unreadable`."))
            .property(
                "kind",
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some([self.name()]))
                    .description(Some("The kind of thing.")),
            )
            .property("id", text(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)), "Its id."))
            .property("version", number("Its version."))
            .property("seq", number("The number of its last change among those of the patient; 0 if it never changed."))
            .property(
                "unreadable",
                ObjectBuilder::new()
                    .schema_type(Type::Boolean)
                    .description(Some("Whether the stored thing is damaged. Keep what you hold of it.")),
            )
            .build();
        for part in [self.body().0, Tombstone::schema()] {
            if let RefOr::T(Schema::Object(object)) = part {
                whole.properties.extend(object.properties);
            }
        }
        whole.required = ["kind", "id", "version", "seq"].map(str::to_owned).to_vec();
        whole
    }
}

impl PartialSchema for SyncItem {
    fn schema() -> RefOr<Schema> {
        let place = |kind: Kind| format!("#/components/schemas/{}", kind.schema_name());
        let mut choice = OneOfBuilder::new()
            .description(Some("A thing of the kind that `kind` names. The set is open: an app passes over others."))
            .discriminator(Some(Discriminator::with_mapping("kind", Kind::ALL.map(|kind| (kind.name(), place(kind))))));
        for kind in Kind::ALL {
            choice = choice.item(Ref::from_schema_name(kind.schema_name()));
        }
        RefOr::T(Schema::OneOf(choice.build()))
    }
}

impl ToSchema for SyncItem {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SyncItem")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        for kind in Kind::ALL {
            schemas.push((kind.schema_name().to_owned(), RefOr::T(Schema::Object(kind.schema()))));
            schemas.extend(kind.body().1);
        }
    }
}
