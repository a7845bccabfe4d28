//! Routes of the care team and of the access log.

use actix_web::get;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::audit::{self, AuditRow, Record, Subject};
use crate::care::door::{Door, Own, Shared};
use crate::care::people::{Names, SealedNames};
use crate::care::store;
use crate::http::document::{IfNoneMatchHeader, ReadErrors};
use crate::http::{Listing, PageQuery, PatientRef, Preconditions, Reply};
use crate::identity::Unlocked;
use crate::kernel::page::PageRequest;
use crate::kernel::{Error, Id, Result};

/// A therapist of a patient.
#[derive(Serialize, ToSchema)]
struct CareTeamMember {
    /// The care link.
    link_id: Uuid,
    /// The therapist's account.
    therapist_id: Uuid,
    /// The person's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Thea Brandt")]
    name: Option<String>,
    /// The clinic they work for.
    clinic_id: Uuid,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Lakeside Clinic")]
    clinic_name: Option<String>,
    /// The instant from which the link is active.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Whether a name that belongs here is damaged and left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

/// The care team.
#[derive(Serialize, ToSchema)]
struct CareTeam {
    items: Vec<CareTeamMember>,
}

/// One access to a patient's data by somebody else, or a refused one.
#[derive(Serialize, ToSchema)]
struct AccessLogItem {
    /// The instant.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The account of the actor; absent for the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    actor_id: Option<Uuid>,
    /// The person's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Thea Brandt")]
    actor_name: Option<String>,
    /// The actor's role: `therapist`, `cover`, `break_glass`, `record`, `admin`, or `staff` for a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "therapist")]
    role: Option<String>,
    /// The operation or the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "list_entries")]
    act: Option<String>,
    /// Whether it was refused. Refusals are kept once an hour for each person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refused: Option<bool>,
    /// The ids of the things whose content was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ids: Option<Vec<Uuid>>,
    /// Whether the row is damaged: role, act, refusal and ids are then absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

impl AccessLogItem {
    fn new(row: &AuditRow, record: Option<Record>, names: &Names) -> Self {
        let unreadable = record.is_none().then_some(true);
        let (role, act, refused, ids) =
            record.map(|record| (record.role, record.act, record.refused, record.ids)).map_or_else(
                || (None, None, None, None),
                |(role, act, refused, ids)| (Some(role), Some(act), Some(refused), Some(ids)),
            );
        Self {
            at: row.at.0,
            actor_id: row.actor.map(Id::uuid),
            actor_name: row.actor.and_then(|actor| names.person(actor)),
            role,
            act,
            refused,
            ids,
            unreadable,
        }
    }
}

/// A page of the access log.
#[derive(Serialize, ToSchema)]
struct AccessLogPage {
    items: Vec<AccessLogItem>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// List the care team
///
/// The therapists with an active care link to this patient. Where the patient's lock is on, this asks them for the
/// passphrase within 10 minutes.
#[utoipa::path(tag = "care",
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), IfNoneMatchHeader),
    responses((status = 200, description = "The therapists", body = CareTeam), ReadErrors))]
#[get("/care-team")]
pub(super) async fn list_care_team(door: Door<Unlocked<Shared>>, when: Preconditions) -> Result<Reply> {
    let unit = door.read("list_care_team", |tx, access| {
        let links = store::list_active_links(tx, access)?;
        let people = links.iter().map(|link| link.therapist);
        let names = SealedNames::collect(tx, people, links.iter().map(|link| link.clinic))?;
        Ok((links, names))
    });
    let (links, names) = unit.await?;
    let names = names.open(&door.state().vault).await?;
    let items = links.iter().map(|link| CareTeamMember {
        link_id: link.id.uuid(),
        therapist_id: link.therapist.uuid(),
        name: names.person(link.therapist),
        clinic_id: link.clinic.uuid(),
        clinic_name: names.clinic(link.clinic),
        since: link.active_at.unwrap_or(link.accepted_at).0,
        unreadable: names.unreadable([link.therapist.uuid(), link.clinic.uuid()]),
    });
    Ok(door.whole_list("list_care_team", &CareTeam { items: items.collect() }, &when))
}

/// Read the access log
///
/// The accesses to this patient's data by others, with the things that were delivered, newest first. A delivery is not
/// an opening: that a therapist opened an entry is an act of its own.
#[utoipa::path(tag = "care",
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), PageQuery),
    responses((status = 200, description = "A page of the log", body = AccessLogPage), ReadErrors))]
#[get("/access-log")]
pub(super) async fn list_access_log(door: Door<Unlocked<Own>>, listing: Result<Listing, Error>) -> Result<Reply> {
    let read = door.list("list_access_log", listing, "", |tx, access, asked: PageRequest<i64>| {
        let rows = audit::list(tx, Subject::Patient(access.patient()), asked.after, asked.rows())?;
        let page = asked.cut(rows, |row| row.doc.len(), |row| row.seq);
        let names = SealedNames::collect(tx, page.items.iter().filter_map(|row| row.actor), [])?;
        Ok((page, names))
    });
    let (listing, (page, names)) = read.await?;
    let names = names.open(&door.state().vault).await?;
    let (keys, subject) = (door.keys()?, Subject::Patient(door.patient()?));
    let page =
        page.try_map(|row| Ok(AccessLogItem::new(&row, Error::skip_damaged(row.open(keys, subject))?, &names)))?;
    let scope = door.cursor_scope("list_access_log", "");
    Ok(listing.reply(&door.state().vault, &scope, page, |items, next_cursor| AccessLogPage { items, next_cursor }))
}
