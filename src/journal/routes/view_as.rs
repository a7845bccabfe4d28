//! What a reader sees of a patient's entries now, shown to the patient by the code that serves the reader.

use actix_web::get;

use super::lists::{self, EntryList, ListEntries};
use crate::care::Door;
use crate::care::door::ViewAs;
use crate::http::document::{IfNoneMatchHeader, ReadErrors};
use crate::http::{Listing, PageQuery, PathOf, PatientRef, Preconditions, Reply};
use crate::identity::Unlocked;
use crate::items::routes as items;
use crate::journal::model::Entries;
use crate::journal::view::EntryView;
use crate::kernel::id::Entry;
use crate::kernel::{Error, Id, Result};

/// List entries as a reader sees them
///
/// The answer that this therapist gets to `list_entries` now. It is 404 when they see nothing of the patient: no active
/// care link, of theirs or of somebody for whom they stand in, or no such person. The therapist is not told, and the
/// access log has no row of it.
#[utoipa::path(tag = "journal",
    params(("patient_id" = PatientRef, Path, description = "`me`, or the caller's own id"),
        ("reader_id" = Uuid, Path, description = "The therapist's account"), ListEntries, PageQuery),
    responses((status = 200, description = "Entries", body = EntryList), ReadErrors))]
#[get("/view-as/{reader_id}/entries")]
pub(super) async fn list_entries_as_reader(
    door: Door<Unlocked<ViewAs>>,
    listing: Result<Listing<ListEntries>, Error>,
) -> Result<Reply> {
    lists::list(door, "list_entries_as_reader", listing).await
}

/// Read an entry as a reader sees it
///
/// The answer that this therapist gets to `get_entry` now: the sections that are open to them, and 404 without any. The
/// therapist is not told, and nothing counts as opened.
#[utoipa::path(tag = "journal",
    params(("patient_id" = PatientRef, Path, description = "`me`, or the caller's own id"),
        ("reader_id" = Uuid, Path, description = "The therapist's account"),
        ("entry_id" = Uuid, Path, description = "The entry"), IfNoneMatchHeader),
    responses((status = 200, description = "The entry", body = EntryView),
        (status = 304, description = "You have it"),
        ReadErrors))]
#[get("/view-as/{reader_id}/entries/{entry_id}")]
pub(super) async fn get_entry_as_reader(
    door: Door<Unlocked<ViewAs>>,
    id: PathOf<Id<Entry>>,
    when: Preconditions,
) -> Result<Reply> {
    items::get::<Entries, _>(door, "get_entry_as_reader", (id.0, when), ()).await
}
