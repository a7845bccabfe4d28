//! The protocol that a clinic has chosen for its patients, over HTTP.

use actix_web::{get, put, web};

use super::view::{ClinicPlan, PutClinicPlan};
use crate::db::Tx;
use crate::http::document::{IdempotencyKeyHeader, IfMatchHeader, ReadErrors, WriteErrors};
use crate::http::{Body, Command, PathOf, Preconditions, Reply, Request};
use crate::idempotency::Outcome;
use crate::identity::{Claimed, Live, Staff};
use crate::kernel::id::{Clinic, ClinicProtocol};
use crate::kernel::{Error, Id, Result};
use crate::protocols::actions;
use crate::protocols::store::PlanChoice;
use crate::state::State;

/// The choice of a request.
type Choice = ((Id<Clinic>, Option<Id<ClinicProtocol>>), Preconditions);

impl PutClinicPlan {
    fn parse(Command { id, when, body }: Command<Id<Clinic>, Body<Self>>) -> Choice {
        ((id, body.into_inner().protocol_id.map(Id::from_uuid)), when)
    }
}

/// Answers with a choice.
fn shown(choice: Option<&PlanChoice>) -> Reply {
    let view = ClinicPlan::new(choice);
    Reply::ok(&view).etag(&view.etag)
}

/// Read which protocol a clinic has chosen
///
/// For members who treat patients or administer the clinic.
#[utoipa::path(tag = "protocols",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id")),
    responses((status = 200, description = "The choice", body = ClinicPlan), ReadErrors))]
#[get("/clinics/{clinic_id}/protocol")]
pub(super) async fn get_clinic_plan(
    caller: Claimed<Staff>,
    clinic: PathOf<Id<Clinic>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let clinic = clinic.into_inner();
    let choice = caller.read(&state, move |tx, live| actions::get_choice(tx, live, clinic)).await?;
    Ok(shown(choice.as_ref()))
}

/// Choose the protocol of a clinic's patients
///
/// For the clinic's admins, with `If-Match`. Patients for whom their therapist has chosen another keep that one. A minute
/// later, what is still to come is planned again.
#[utoipa::path(tag = "protocols", request_body = PutClinicPlan,
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Chosen, or as it was", body = ClinicPlan), WriteErrors))]
#[put("/clinics/{clinic_id}/protocol")]
pub(super) async fn put_clinic_plan(
    caller: Claimed<Staff>,
    request: Request<Id<Clinic>, Body<PutClinicPlan>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let clinic = request.id().copied();
    let work = |tx: &mut Tx<'_>, live: &Live<Staff>, (wish, when): &Choice| actions::choose(tx, live, *wish, when);
    let show = move |tx: &mut Tx<'_>, live: &Live<Staff>, outcome: Outcome<Option<PlanChoice>>| {
        outcome.or_read(|| actions::get_choice(tx, live, clinic.ok_or(Error::NotFound)?))
    };
    let parse = |command| Ok(PutClinicPlan::parse(command));
    caller.change(&state, request, parse, work, show).await?.reply(|choice| Ok(shown(choice.as_ref())))
}
