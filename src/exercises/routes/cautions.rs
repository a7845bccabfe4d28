//! Caution flags over HTTP: for therapists only.

use actix_web::{get, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::care::Door;
use crate::care::door::Care;
use crate::exercises::cautions;
use crate::http::document::{IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader, ReadErrors, WriteErrors};
use crate::http::{Body, EntityTag, PatientRef, Preconditions, Reply, Request};
use crate::kernel::id::Patient;
use crate::kernel::{Id, Result};
use crate::settings::{CHANGED_OFFER, ClinicCautions, find_own_cautions};

/// The caution flags of a patient.
#[derive(Serialize, ToSchema)]
struct CautionList {
    /// The flags, of `psychosis_mania`, `acute_si`, `ptsd_active`, `dissociation`, `eating_body`, `dv`, `pain`,
    /// `grief`, `substance`.
    #[schema(example = json!(["grief"]))]
    flags: Vec<String>,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"Vx1…\"")]
    etag: EntityTag,
}

/// The caution flags of a patient: the whole set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutCautions {
    /// The flags, of `psychosis_mania`, `acute_si`, `ptsd_active`, `dissociation`, `eating_body`, `dv`, `pain`,
    /// `grief`, `substance`.
    #[schema(value_type = BTreeSet<String>, max_items = 9, example = json!(["grief"]))]
    flags: Vec<String>,
}

fn reply(own: &ClinicCautions, when: &Preconditions) -> Reply {
    let names = own.flags.iter().map(|flag| flag.name().to_owned()).collect();
    let list = CautionList { flags: names, etag: cautions::tag(own) };
    Reply::ok(&list).unless_known(&list.etag, when)
}

/// Read what speaks against some exercises
///
/// For linked therapists: the flags that their clinic has set. The patient sees only the offers, never the reasons.
#[utoipa::path(tag = "exercises",
    params(("patient_id" = PatientRef, Path, description = "A patient's id"), IfNoneMatchHeader),
    responses((status = 200, description = "The flags", body = CautionList), ReadErrors))]
#[get("/cautions")]
pub(super) async fn get_cautions(door: Door<Care>, when: Preconditions) -> Result<Reply> {
    Ok(reply(&door.read("get_cautions", find_own_cautions).await?, &when))
}

/// Say what speaks against some exercises
///
/// Replaces the whole set of the therapist's clinic, with `If-Match`. Exercises that a flag speaks against are offered
/// together with a therapist only (an assignment opens them), or not for now.
#[utoipa::path(tag = "exercises", request_body = PutCautions,
    params(("patient_id" = PatientRef, Path, description = "A patient's id"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Changed, or as it was", body = CautionList), WriteErrors))]
#[put("/cautions")]
pub(super) async fn put_cautions(door: Door<Care>, request: Request<(), Body<PutCautions>>) -> Result<Reply> {
    let answer = door.change(
        // The patient's log does not tell this from a change of the protocol.
        CHANGED_OFFER,
        request,
        |command| Ok((cautions::parse(&command.body.into_inner().flags)?, command.when)),
        |tx, access, (flags, when)| cautions::put(tx, access, flags, when),
        |tx, access, outcome| outcome.or_get(|_: Id<Patient>| find_own_cautions(tx, access)),
    );
    answer.await?.reply(|own| Ok(reply(&own, &Preconditions::none())))
}
