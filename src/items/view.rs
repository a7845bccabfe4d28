//! The view of an item: all of it for the owner, the granted sections for a reader.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::actions::Item;
use super::model::{Header as _, ItemKind, ItemRow};
use super::seal::{self, OpenedItem};
use crate::care::grants::Sections;
use crate::course::ContextSource;
use crate::http::EntityTag;
use crate::kernel::id::{Account, Patient};
use crate::kernel::{Error, Id, Result, Zone};
use crate::planning::window::{Context, Phase};
use crate::vault::{Keys, Vault};

/// The bytes of most views, so that the buffer of one seldom grows.
const USUAL: usize = 4096;

/// An item as its caller may see it, still sealed.
#[derive(Clone, Debug)]
pub struct Visible {
    /// The row.
    pub row: ItemRow,
    /// The sections that a reader may see; `None` for the owner, who sees all.
    pub shared: Option<Sections>,
    /// The accounts that opened it, if they were asked for.
    pub openings: Option<Vec<(Id<Account>, Timestamp)>>,
}

impl Visible {
    /// Returns the number of its sealed bytes, of those sections that its caller may see.
    pub fn bytes<T: ItemKind>(&self) -> usize {
        self.shared.map_or_else(|| self.row.bytes(), |shared| self.row.shared_bytes::<T>(shared))
    }
}

/// The view of a kind of item.
pub trait ItemPresenter: Item {
    /// The fields of its view besides those of every item.
    type Fields: Serialize + ToSchema + Send;
    /// The reading options of the caller, e.g. the language.
    type Manner: Copy + Send + 'static;

    /// Renders an item of which only the visible sections were opened.
    ///
    /// # Errors
    ///
    /// When a section does not have its shape.
    fn fields(
        opened: &mut OpenedItem<Self>,
        shared: Option<Sections>,
        around: &ContextSource,
        manner: Self::Manner,
    ) -> Result<Self::Fields>;
}

/// The view of an item. The schema of the document is one flat object with the name of `F`'s.
#[derive(Debug, Serialize)]
pub struct ItemView<F> {
    #[serde(flatten)]
    common: Common,
    #[serde(flatten)]
    fields: F,
    #[serde(flatten)]
    own: Option<Own>,
}

/// The fields of the view of every item.
#[derive(Debug, Serialize, ToSchema)]
struct Common {
    /// Its id.
    id: Uuid,
    /// The date on which it happened, where the patient was.
    #[schema(value_type = String, format = Date, example = "2026-11-02")]
    local_date: Date,
    /// The phase in which it happened. Corrected infusions change it; it is not part of the version.
    #[schema(value_type = String, example = "peak")]
    phase: Phase,
    /// The sections that are open to you; shown to a therapist only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!(["text"]))]
    sections: Option<Vec<&'static str>>,
    /// The instant of the last change; for a therapist, of the sections they see.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    updated_at: Option<Timestamp>,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = true, nullable = false, example = "\"v3\"")]
    etag: Option<EntityTag>,
}

/// The fields that only the owner sees.
#[derive(Debug, Serialize, ToSchema)]
struct Own {
    /// `draft`, `done` or `deleted`.
    #[schema(example = "done")]
    status: &'static str,
    /// Its version.
    #[schema(example = 1)]
    version: i64,
    /// The instant at which it happened.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// The zone the device was in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "Europe/Berlin")]
    zone: Option<Zone>,
    /// The instant of writing, by the clock of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    recorded_at: Option<Timestamp>,
    /// The instant at which it reached the server.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// Whether its times were odd when it arrived.
    #[schema(example = false)]
    clock_suspect: bool,
    /// The prompt it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    prompt_id: Option<Uuid>,
    /// The item of which it is a copy: both of two devices wrote something else, and one of the texts stands here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    copy_of: Option<Uuid>,
    /// The place in the window of the infusions. Not part of the version.
    context: Context,
    /// The instant of the deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    deleted_at: Option<Timestamp>,
    /// The therapists who opened it, each with the first time; not in lists. Not part of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    seen_by: Option<Vec<SeenBy>>,
}

/// A person who opened an item.
#[derive(Debug, Serialize, ToSchema)]
struct SeenBy {
    /// The account.
    account_id: Uuid,
    /// The instant at which they first opened it.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
}

impl<F: Serialize> ItemView<F> {
    /// Adds the tag of a reader's view, over all that it shows: a change of a section that is not open to the reader
    /// does not change it.
    ///
    /// # Errors
    ///
    /// When the view cannot be written.
    pub fn tagged(mut self, vault: &Vault) -> Result<Self> {
        if self.common.etag.is_none() {
            let mut shown = Vec::with_capacity(USUAL);
            serde_json::to_writer(&mut shown, &self).map_err(|error| Error::Internal(Box::new(error)))?;
            self.common.etag = Some(EntityTag::opaque(&vault.tag(b"item", &shown)));
        }
        Ok(self)
    }

    /// Returns the tag of the shown state.
    ///
    /// # Errors
    ///
    /// When a reader's view was not tagged.
    pub fn tag(&self) -> Result<&EntityTag> {
        self.common.etag.as_ref().ok_or_else(|| Error::internal("a view without a tag"))
    }
}

impl<F: ToSchema> PartialSchema for ItemView<F> {
    fn schema() -> RefOr<Schema> {
        let (RefOr::T(Schema::Object(mut whole)), RefOr::T(Schema::Object(common)), RefOr::T(Schema::Object(own))) =
            (F::schema(), Common::schema(), Own::schema())
        else {
            return F::schema();
        };
        whole.properties.extend(common.properties);
        whole.required.extend(common.required);
        // A reader is shown none of these.
        whole.properties.extend(own.properties);
        RefOr::T(Schema::Object(whole))
    }
}

impl<F: ToSchema> ToSchema for ItemView<F> {
    fn name() -> Cow<'static, str> {
        F::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        F::schemas(schemas);
        Common::schemas(schemas);
        Own::schemas(schemas);
    }
}

/// Opens and renders an item, after the unit.
///
/// # Errors
///
/// When it cannot be opened.
pub fn render<T: ItemPresenter>(
    (keys, patient): (&Keys, Id<Patient>),
    item: &Visible,
    around: &ContextSource,
    manner: T::Manner,
) -> Result<ItemView<T::Fields>> {
    let opened = seal::open::<T>(keys, patient, (item.row.id, item.row.parts.clone()), item.shared)?;
    rendered(item, opened, around, manner)
}

/// Renders an item of which only the visible sections were opened.
///
/// # Errors
///
/// When a section does not have its shape.
pub fn rendered<T: ItemPresenter>(
    item: &Visible,
    mut opened: OpenedItem<T>,
    around: &ContextSource,
    manner: T::Manner,
) -> Result<ItemView<T::Fields>> {
    let (row, owner) = (&item.row, item.shared.is_none());
    let fields = T::fields(&mut opened, item.shared, around, manner)?;
    let circumstances = opened.header.circumstances();
    let context = around.context(circumstances.occurred_at);
    let common = Common {
        id: row.id.uuid(),
        local_date: circumstances.local_date(|at| around.zone_at(at)),
        phase: context.phase,
        sections: item.shared.map(Sections::names),
        updated_at: if owner { Some(row.updated_at) } else { opened.sections_at() },
        etag: owner.then(|| EntityTag::version(row.version)),
    };
    let seen =
        |(account, opened_at): &(Id<Account>, Timestamp)| SeenBy { account_id: account.uuid(), opened_at: *opened_at };
    let own = owner.then(|| Own {
        status: match (row.deleted_at, circumstances.draft) {
            (Some(_), _) => "deleted",
            (None, true) => "draft",
            (None, false) => "done",
        },
        version: row.version,
        occurred_at: circumstances.occurred_at,
        zone: circumstances.zone.clone(),
        recorded_at: circumstances.recorded_at,
        received_at: row.received_at,
        clock_suspect: opened.clock_suspect,
        prompt_id: circumstances.prompt_id.map(Id::uuid),
        copy_of: opened.copy_of().map(Id::uuid),
        context,
        deleted_at: row.deleted_at,
        seen_by: item.openings.as_ref().map(|list| list.iter().map(seen).collect()),
    });
    Ok(ItemView { common, fields, own })
}
