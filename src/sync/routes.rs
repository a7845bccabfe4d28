//! Sync over HTTP.

mod bundle;
mod feed;
mod integrity;
mod push;
mod stream;

use actix_web::get;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::epoch;
use super::item::SyncItem;
use super::model::{PULL, Place};
use super::pull::{self, Pulled};
use crate::care::Door;
use crate::care::door::Own;
use crate::http::document::ItemErrors;
use crate::http::{Operations, PatientRef, Query, Reply};
use crate::kernel::page::{CursorKey as _, Limit, PageRequest};
use crate::kernel::{Error, Result, Resync};
use crate::vault::apart;

/// Registers the operations below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config.service(bundle::get_bundle).service(stream::stream_changes).service(feed::pull_feed);
}

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(pull_changes).service(push::push_mutations).service(integrity::check_integrity);
}

/// The place and the size of a page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PullQuery {
    /// The `cursor` of the page before; without it a first pull begins.
    #[param(required = false, nullable = false)]
    cursor: Option<String>,
    /// The most items, 1 to 200; 20 by default.
    #[param(required = false, nullable = false, minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// A page of what a phone holds.
#[derive(Serialize, ToSchema)]
struct ChangePage {
    /// The epoch of the data: a history that was never interrupted. If it is another one than that of what the app
    /// holds, treat the page as a 410.
    #[schema(example = "Zx0vQW8mT3eYb1c5aDf2gA")]
    epoch: String,
    /// The things that changed, each once, as they are now. A page may be empty and not the last one.
    items: Vec<SyncItem>,
    /// The number up to which the app has every change, once it has stored this page.
    #[schema(example = 121)]
    seq: i64,
    /// The place of the next page. Store it in the transaction that stores the items.
    cursor: String,
    /// Whether there is another page now.
    has_more: bool,
}

/// Pull changes
///
/// What the patient's app shows offline: entries with drafts, exercise responses, comments, prompts, infusions, pauses,
/// assignments, grants, care links, settings, receipts. Without a cursor everything comes, the settings, the plan and
/// the newest entries first; what is deleted is left out. With a cursor what has changed since comes, deleted things as
/// tombstones. A page is one snapshot. An item is the whole state of one thing: replace your copy by it, unless that has
/// changes of its own that were not sent. 410 `resync_required` means to begin again; it never means to delete.
#[utoipa::path(tag = "sync",
    params(("patient_id" = PatientRef, Path, description = "`me`, or the caller's own id"), PullQuery),
    responses((status = 200, description = "A page", body = ChangePage), ItemErrors))]
#[get("/changes")]
async fn pull_changes(door: Door<Own>, query: Result<Query<PullQuery>, Error>) -> Result<Reply> {
    let scope = door.cursor_scope(PULL, "");
    let asked = query.and_then(|Query(query)| {
        let after = query.cursor.map(|text| {
            let place = door.state().vault.open_cursor(&scope, &text).and_then(|bytes| Place::from_bytes(&bytes));
            place.ok_or_else(|| Error::field("query/cursor", "is not a cursor of yours"))
        });
        Ok(PageRequest { limit: Limit::parse(query.limit)?, after: after.transpose()? })
    });
    let asked = door.first(PULL, asked).await?;
    let pulled = door.read(PULL, move |tx, access| pull::page(tx, access, asked)).await;
    if let Err(Error::Resync(Resync { reason: "ahead", epoch })) = &pulled {
        // The cursor is sealed: this server gave it, for data that it has no longer.
        epoch::note_ahead(&door.state().db, epoch.clone()).await?;
    }
    let pulled = pulled?;
    let cursor = door.state().vault.seal_cursor(&scope, &pulled.next.to_bytes());
    let own = pulled.items.iter().all(|(_, held)| held.kind.is_own());
    Ok(shown(&door, pulled, cursor).await?.compressed_if(own))
}

/// Opens and renders a page, after the unit.
async fn shown(door: &Door<Own>, pulled: Pulled, cursor: String) -> Result<Reply> {
    let Pulled { epoch, items, seq, has_more, .. } = pulled;
    let (keys, patient) = (door.keys()?.clone(), door.patient()?);
    let bytes = items.iter().map(|(_, held)| held.bytes).sum();
    let opened = apart(bytes, move || {
        let item = |(seq, held): (i64, super::kinds::Held)| {
            let (kind, thing) = (held.kind, (held.id.uuid(), held.version, seq));
            Ok(SyncItem::new(kind, thing, held.open(&keys, patient)?))
        };
        let items = items.into_iter().map(item).collect::<Result<_>>()?;
        Ok(Reply::ok(&ChangePage { epoch: epoch.to_string(), items, seq, cursor, has_more }))
    });
    opened.await?
}
