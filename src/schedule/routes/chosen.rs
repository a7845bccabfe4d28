//! The protocol that therapists have chosen for a patient, over HTTP.

use actix_web::{get, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::door::{Care, Shared};
use crate::care::{Access, Door, Write};
use crate::course::{self, courses};
use crate::db::Tx;
use crate::http::document::{IdempotencyKeyHeader, IfMatchHeader, ReadErrors, WriteErrors};
use crate::http::{Body, Command, EntityTag, PatientRef, Preconditions, Reply, Request};
use crate::idempotency::Outcome;
use crate::kernel::id::ClinicProtocol;
use crate::kernel::{Error, Id, Result};
use crate::planning::Protocols;
use crate::protocols;
use crate::schedule::Following;
use crate::settings::actions::put_protocols;
use crate::settings::overrides::choice_tag;
use crate::settings::{CHANGED_OFFER, ChosenProtocols, Settings, settings, settings_or_default};

/// The protocol that a patient follows, and what was chosen for them.
#[derive(Serialize, ToSchema)]
struct ChosenProtocol {
    /// The protocol that was chosen for the patient.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    protocol_id: Option<Uuid>,
    /// The protocol that was chosen for the course that was under way then. It goes before the other one until that
    /// course is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    course_protocol_id: Option<Uuid>,
    /// The protocol by which plans are made now.
    follows: FollowedProtocol,
    /// The tag of what was chosen, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v1\"")]
    etag: EntityTag,
}

/// A version of a protocol by which plans are made.
#[derive(Serialize, ToSchema)]
struct FollowedProtocol {
    /// Its name: the id of a clinic's protocol, or the name of the program's own.
    #[schema(example = "afterglow-default")]
    key: String,
    /// Its version.
    #[schema(example = 1)]
    version: u32,
    /// Its title.
    #[schema(example = "Fourteen days after an infusion")]
    title: String,
}

/// What is chosen for a patient.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutChosenProtocol {
    /// A published protocol of your clinic; absent to follow what the clinic has chosen.
    #[schema(nullable = false)]
    protocol_id: Option<Uuid>,
    /// A published protocol of your clinic for the course that is under way, or comes next.
    #[schema(nullable = false)]
    course_protocol_id: Option<Uuid>,
}

impl ChosenProtocol {
    fn new(settings: &Settings, follows: FollowedProtocol) -> Self {
        let chosen = &settings.protocols;
        Self {
            protocol_id: chosen.patient.map(Id::uuid),
            course_protocol_id: chosen.course.map(|(id, _)| id.uuid()),
            follows,
            etag: choice_tag(settings),
        }
    }
}

/// What is wished, and in which state.
type Wish = (PutChosenProtocol, Preconditions);

/// Reads what was chosen, and what is followed.
fn read<A>(tx: &mut Tx<'_>, access: &Access<A>, known: &Protocols) -> Result<ChosenProtocol> {
    let protocol = Following::find(tx, access, known)?.protocol;
    let (key, title) = (protocol.key.clone(), protocol.title.clone());
    let follows = FollowedProtocol { key, version: protocol.version, title };
    Ok(ChosenProtocol::new(&settings_or_default(tx, access)?, follows))
}

/// Checks what is chosen, and finds the course that it is for.
fn choice(tx: &mut Tx<'_>, access: &Access<Write>, wish: &PutChosenProtocol) -> Result<ChosenProtocols> {
    let clinic = access.clinic()?;
    let mut published = |name: &str, id: Option<Uuid>| match id.map(Id::<ClinicProtocol>::from_uuid) {
        Some(id) if protocols::actions::is_published(tx, (clinic, id))? => Ok(Some(id)),
        Some(_) => Err(Error::field(name, "is not a published protocol of your clinic")),
        None => Ok(None),
    };
    let patient = published("/protocol_id", wish.protocol_id)?;
    let of_course = published("/course_protocol_id", wish.course_protocol_id)?;
    let course = match of_course {
        None => None,
        Some(id) => {
            let (settings, _) = settings(tx, access)?;
            let infusions = course::list_infusions(tx, access)?.list;
            let date = |at| settings.zone_at(at).date(at);
            let list = courses(infusions.iter().map(|stored| (stored.id, &stored.doc)), date);
            let first = list.last().and_then(|course| course.infusions.first().copied());
            let none = || Error::field("/course_protocol_id", "there is no course: no infusion is planned or recorded");
            Some((id, first.ok_or_else(none)?))
        }
    };
    Ok(ChosenProtocols { patient, course, version: 0 })
}

/// Read which protocol a patient follows
///
/// What their therapists have chosen for them, and the protocol by which their plan is made now.
#[utoipa::path(tag = "protocols", params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`")),
    responses((status = 200, description = "The choice", body = ChosenProtocol), ReadErrors))]
#[get("/protocol")]
pub(super) async fn get_chosen_protocol(door: Door<Shared>) -> Result<Reply> {
    let known = door.state().protocols.known();
    let view = door.read("get_chosen_protocol", move |tx, access| read(tx, access, &known)).await?;
    Ok(Reply::ok(&view).etag(&view.etag))
}

/// Choose the protocol of a patient
///
/// For a linked therapist, with `If-Match`: a published protocol of their clinic for the patient, or for the course that is
/// under way only. Without either, the patient follows what their clinic has chosen. What is still to come is planned
/// again before the answer is sent; prompts that have gone out stay as they are.
#[utoipa::path(tag = "protocols", request_body = PutChosenProtocol,
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Chosen, or as it was", body = ChosenProtocol), WriteErrors))]
#[put("/protocol")]
pub(super) async fn put_chosen_protocol(
    door: Door<Care>,
    request: Request<(), Body<PutChosenProtocol>>,
) -> Result<Reply> {
    let known = door.state().protocols.known();
    let work = |tx: &mut Tx<'_>, access: &Access<Write>, (wish, when): &Wish| {
        let chosen = choice(tx, access, wish)?;
        put_protocols(tx, access, &chosen, when)
    };
    let show = move |tx: &mut Tx<'_>, access: &Access<Write>, _: Outcome<Settings>| read(tx, access, &known);
    let parse = |command: Command<(), Body<PutChosenProtocol>>| Ok((command.body.into_inner(), command.when));
    let answer = door.change(CHANGED_OFFER, request, parse, work, show).await?;
    answer.reply(|view: ChosenProtocol| Ok(Reply::ok(&view).etag(&view.etag)))
}
