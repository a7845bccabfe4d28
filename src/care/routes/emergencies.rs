//! Breaking the glass, and the review of it.

use actix_web::{get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::access::{Access, Write};
use crate::care::door::{Door, Urgent};
use crate::care::emergencies;
use crate::care::model::EmergencyDoc;
use crate::care::people::Names;
use crate::care::store::{EmergencyKey, EmergencyRow};
use crate::db::Tx;
use crate::http::document::{ActionErrors, IdempotencyKeyHeader, ReadErrors, WriteErrors, page};
use crate::http::{Body, Command, Listing, PageQuery, PathOf, PatientRef, Reply, Request};
use crate::identity::{Claimed, Live, Profile, Staff};
use crate::kernel::id::{Clinic, Emergency};
use crate::kernel::{Fields, Id, Result, Text};
use crate::state::State;

/// The fewest characters of a reason.
const REASON: usize = 20;

/// The reason of an access in an emergency.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BreakGlass {
    /// The reason, for the reviewer: at least 20 characters.
    #[schema(
        min_length = 20,
        max_length = 2000,
        example = "He called from a bridge and hung up; I cannot reach Thea."
    )]
    reason: String,
}

impl BreakGlass {
    fn parse(command: Command<(), Body<Self>>) -> Result<EmergencyDoc> {
        let Self { reason } = command.body.into_inner();
        let mut fields = Fields::new();
        let long = reason.trim().chars().count() >= REASON;
        fields.check(long, "/reason", "must have at least 20 characters");
        let reason = fields.take("/reason", Text::parse(reason));
        fields.finish(reason.map(|reason| EmergencyDoc { reason }))
    }
}

/// How a patient is reached, for some hours.
#[derive(Serialize, ToSchema)]
struct EmergencyAccess {
    /// The id of the access.
    id: Uuid,
    /// The patient.
    patient_id: Uuid,
    /// The clinic for which the caller acts.
    clinic_id: Uuid,
    /// The instant from which it is over: four hours after its beginning.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// The patient's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ann Walker")]
    name: Option<String>,
    /// The patient's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "idn-email", example = "ann@example.org")]
    email: Option<String>,
}

impl EmergencyAccess {
    fn new(key: &EmergencyKey, contact: Option<Profile>) -> Self {
        let (name, email) = contact.map(|contact| (contact.name, contact.email)).unzip();
        Self {
            id: key.id.uuid(),
            patient_id: key.patient_id.uuid(),
            clinic_id: key.clinic_id.uuid(),
            ends_at: key.ends_at.0,
            name: name.map(Text::into_string),
            email: email.map(|email| email.as_str().to_owned()),
        }
    }
}

/// An access in an emergency, as its reviewers see it: they are not told whose data it was.
#[derive(Serialize, ToSchema)]
pub(crate) struct EmergencyView {
    /// Its id.
    id: Uuid,
    /// The account of the member of staff.
    account_id: Uuid,
    /// The name of the member of staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Dirk Unger")]
    account_name: Option<String>,
    /// The reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// The instant of its beginning.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The instant from which it is over.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// The instant of the review.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    reviewed_at: Option<Timestamp>,
    /// The name of the reviewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ada Keller")]
    reviewer_name: Option<String>,
    /// Whether the reason or a name is damaged and left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

impl EmergencyView {
    fn new(row: &EmergencyRow, reason: Option<&EmergencyDoc>, names: &Names) -> Self {
        let EmergencyKey { account_id, reviewer_id, .. } = row.key;
        let damaged = reason.is_none().then_some(true);
        let people = [Some(account_id), reviewer_id].into_iter().flatten();
        Self {
            id: row.key.id.uuid(),
            account_id: account_id.uuid(),
            account_name: names.person(account_id),
            reason: reason.map(|doc| doc.reason.as_str().to_owned()),
            created_at: row.key.created_at.0,
            ends_at: row.key.ends_at.0,
            reviewed_at: row.key.reviewed_at.map(|at| at.0),
            reviewer_name: reviewer_id.and_then(|reviewer| names.person(reviewer)),
            unreadable: damaged.or_else(|| names.unreadable(people.map(Id::uuid))),
        }
    }
}

page! {
    /// A page of accesses in an emergency.
    EmergencyList: "The accesses, newest first." of EmergencyView
}

/// Break the glass
///
/// For staff with `care` or `duty` at a clinic of the patient's, in an emergency: shows how the patient is reached, and
/// opens their infusions for four hours; no entry, no answer. The patient reads it in their access log at once. A second
/// person at the clinic reviews it with its reason.
#[utoipa::path(tag = "care", request_body = BreakGlass,
    params(("patient_id" = PatientRef, Path, description = "A patient's id"), IdempotencyKeyHeader),
    responses((status = 200, description = "How the patient is reached", body = EmergencyAccess), WriteErrors))]
#[post("/break-glass")]
pub(super) async fn break_glass(door: Door<Urgent>, request: Request<(), Body<BreakGlass>>) -> Result<Reply> {
    let id: Id<Emergency> = door.state().entropy.id(door.now());
    let begin = move |tx: &mut Tx<'_>, access: &Access<Write>, doc: &_| emergencies::begin(tx, access, id, doc);
    let answer = door.change("break_glass", request, BreakGlass::parse, begin, emergencies::show);
    let (origin, (key, contact)) = answer.await?.into_parts();
    let contact = emergencies::open_contact(&door.state().vault, contact).await?;
    Ok(origin.reply(Reply::ok(&EmergencyAccess::new(&key, contact)).no_store()))
}

/// List the accesses in emergencies
///
/// For members of the clinic with `admin` or `duty`, who review those of others.
#[utoipa::path(tag = "care",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"), PageQuery),
    responses((status = 200, description = "A page of accesses", body = EmergencyList), ReadErrors))]
#[get("/clinics/{clinic_id}/emergencies")]
pub(super) async fn list_emergencies(
    caller: Claimed<Staff>,
    clinic: PathOf<Id<Clinic>>,
    listing: Result<Listing>,
    state: web::Data<State>,
) -> Result<Reply> {
    let (clinic, scope) = (clinic.into_inner(), caller.cursor_scope("list_emergencies"));
    let (asked, listing) = caller.page(&state, &scope, listing).await?;
    let (page, names) = caller.read(&state, move |tx, live| emergencies::list(tx, live, clinic, asked)).await?;
    let reasons = emergencies::open_reasons(&state.vault, &page.items).await?;
    let names = names.open(&state.vault).await?;
    let page = page.try_map(|row| Ok(EmergencyView::new(&row, reasons.get(&row.key.id), &names)))?;
    Ok(listing.reply(&state.vault, &scope, page, EmergencyList::of))
}

/// Review an access in an emergency
///
/// By a member of the clinic with `admin` or `duty`, and never by the one whose access it was. The patient reads it in
/// their access log. A repetition changes nothing.
#[utoipa::path(tag = "care",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("emergency_id" = Uuid, Path, description = "The access's id"), IdempotencyKeyHeader),
    responses((status = 204, description = "It is reviewed"), ActionErrors))]
#[post("/clinics/{clinic_id}/emergencies/{emergency_id}/review")]
pub(super) async fn review_emergency(
    caller: Claimed<Staff>,
    request: Request<(Id<Clinic>, Id<Emergency>)>,
    state: web::Data<State>,
) -> Result<Reply> {
    let keys = emergencies::keys_for_review(&state, caller.account(), request.id().copied()).await?;
    let vault = state.vault.clone();
    let review = move |tx: &mut Tx<'_>, live: &Live<Staff>, command: &Command<(Id<Clinic>, Id<Emergency>)>| {
        emergencies::review(tx, (&vault, keys.as_ref()), live, command.id)
    };
    caller.delete(&state, request, review).await
}
