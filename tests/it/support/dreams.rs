//! A third kind of item, with its table and its operations: what it costs to add one. Only tests know it.

use actix_web::{delete, get, patch, post, put, web};
use afterglow::care::door::{Own, Shared};
use afterglow::care::grants::Sections;
use afterglow::care::{Access, Door, Write};
use afterglow::changes::{Entity, FeedsPlan};
use afterglow::course::ContextSource;
use afterglow::db::Tx;
use afterglow::http::{Body, NewId, Patch, Patchable, PathOf, Preconditions, Reply, Request};
use afterglow::items::routes::{self as items, WritableItem};
use afterglow::items::view::ItemPresenter;
use afterglow::items::{Circumstances, CircumstancesFields, Item, ItemKind, OpenedItem, Section, read, section};
use afterglow::kernel::id::Any;
use afterglow::kernel::{Fields, Id, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

diesel::table! {
    use afterglow::db::{TimestampTz, Uid};
    use diesel::sql_types::*;

    dreams (patient_id, id) {
        patient_id -> Uid,
        id -> Uid,
        version -> BigInt,
        meta -> Binary,
        meta_rev -> BigInt,
        story -> Nullable<Binary>,
        story_rev -> BigInt,
        draft -> Bool,
        occurred_at -> TimestampTz,
        received_at -> TimestampTz,
        updated_at -> TimestampTz,
        deleted_at -> Nullable<TimestampTz>,
        purge_at -> Nullable<TimestampTz>,
    }
}

afterglow::item_table!(DreamTable, dreams, [story story_rev], []);

/// A dream: when, and what happened in it.
pub type Dream = (Circumstances, Option<String>);

#[derive(Debug)]
pub enum Dreams {}

impl ItemKind for Dreams {
    type Id = Any;
    type Header = Circumstances;
    type Content = Dream;
    const ENTITY: Entity = Entity::Extension(900);
    const TABLE: &'static str = "dreams";
    const HEADER: i32 = 900;
    const SECTIONS: &'static [Section] = &[Section { number: 901, column: "story", grant: None }];

    fn header(dream: &Dream) -> &Circumstances {
        &dream.0
    }
    fn header_mut(dream: &mut Dream) -> &mut Circumstances {
        &mut dream.0
    }
    fn differ_for_readers(_: &Circumstances, _: &Circumstances) -> bool {
        false
    }
    fn sections(dream: &Dream) -> Result<Vec<Option<Box<RawValue>>>> {
        Ok(vec![section(&dream.1)?])
    }
    fn content(header: Circumstances, sections: &[Option<&RawValue>]) -> serde_json::Result<Dream> {
        Ok((header, read(sections, 0)?))
    }
}

impl Item for Dreams {
    type Table = DreamTable;
    fn on_changed(_: &mut Tx<'_>, _: &Access<Write>, _: Id<Any>, _: (Option<&Dream>, &Dream)) -> Result<FeedsPlan> {
        Ok(FeedsPlan::Never)
    }
    fn on_removed(_: &Dream) -> FeedsPlan {
        FeedsPlan::Never
    }
}

/// The body of a PUT.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutDream {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    occurred_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    story: Option<String>,
}

impl Patchable for PutDream {
    const FIXED: &'static [&'static str] = &["status"];
}

/// What a dream's view has besides what every item's has.
#[derive(Debug, Serialize, ToSchema)]
pub struct DreamView {
    #[schema(value_type = Option<String>)]
    story: Option<Box<RawValue>>,
}

impl ItemPresenter for Dreams {
    type Fields = DreamView;
    type Manner = ();
    fn fields(dream: &mut OpenedItem<Self>, _: Option<Sections>, _: &ContextSource, (): ()) -> Result<DreamView> {
        Ok(DreamView { story: dream.take(0) })
    }
}

impl WritableItem for Dreams {
    type Body = PutDream;
    fn parse(PutDream { status, occurred_at, story }: PutDream) -> Result<Dream> {
        let mut fields = Fields::new();
        let told = CircumstancesFields { status, occurred_at, zone: None, recorded_at: None, prompt_id: None }
            .parse(&mut fields);
        fields.finish(told.map(|circumstances| (circumstances, story)))
    }
    fn body((circumstances, story): &Dream) -> PutDream {
        let CircumstancesFields { status, occurred_at, .. } = CircumstancesFields::of(circumstances);
        PutDream { status, occurred_at, story: story.clone() }
    }
}

#[put("/dreams/{dream_id}")]
async fn put_dream(door: Door<Own>, request: Request<NewId<Any>, Body<PutDream>>) -> Result<Reply> {
    items::put::<Dreams>(door, "put_dream", request, ()).await
}

#[get("/dreams/{dream_id}")]
async fn get_dream(door: Door<Shared>, id: PathOf<Id<Any>>, when: Preconditions) -> Result<Reply> {
    items::get::<Dreams, _>(door, "get_dream", (id.0, when), ()).await
}

#[patch("/dreams/{dream_id}")]
async fn patch_dream(door: Door<Own>, request: Request<Id<Any>, Patch<PutDream>>) -> Result<Reply> {
    items::patch::<Dreams>(door, "patch_dream", request, ()).await
}

#[delete("/dreams/{dream_id}")]
async fn delete_dream(door: Door<Own>, request: Request<Id<Any>>) -> Result<Reply> {
    items::delete::<Dreams>(door, "delete_dream", request).await
}

#[post("/dreams/{dream_id}/undelete")]
async fn undelete_dream(door: Door<Own>, request: Request<Id<Any>>) -> Result<Reply> {
    items::undelete::<Dreams>(door, "undelete_dream", request, ()).await
}

#[post("/dreams/{dream_id}/revisions/{revision}/restore")]
async fn restore_dream(door: Door<Own>, request: Request<(Id<Any>, i64)>) -> Result<Reply> {
    items::restore::<Dreams>(door, "restore_dream", request, ()).await
}

/// Registers the operations below a patient.
pub fn configure_patient(config: &mut web::ServiceConfig) {
    let operations = config.service(put_dream).service(get_dream).service(patch_dream);
    operations.service(delete_dream).service(undelete_dream).service(restore_dream);
}
