//! What speaks against some exercises: for therapists only.

use std::collections::BTreeSet;

use actix_web::{get, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::care::Door;
use crate::care::door::Care;
use crate::exercises::cautions;
use crate::http::document::{IfMatchHeader, OnceHeader, ReadErrors, WriteErrors};
use crate::http::{Body, IdempotencyKey, PatientRef, Preconditions, Reply};
use crate::idempotency::Done;
use crate::kernel::{Error, Result};
use crate::settings::{CautionFlag, find_cautions};

/// What speaks against some exercises for a patient.
#[derive(Serialize, ToSchema)]
struct CautionList {
    /// Of `psychosis_mania`, `acute_si`, `ptsd_active`, `dissociation`, `eating_body`, `dv`, `pain`, `grief`, `substance`.
    #[schema(example = json!(["grief"]))]
    flags: Vec<String>,
}

/// What speaks against some exercises for a patient: all of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutCautions {
    /// Of `psychosis_mania`, `acute_si`, `ptsd_active`, `dissociation`, `eating_body`, `dv`, `pain`, `grief`, `substance`.
    #[schema(max_items = 9, example = json!(["grief"]))]
    flags: Vec<String>,
}

fn reply(door: &Door<Care>, flags: &BTreeSet<CautionFlag>) -> Reply {
    let names = flags.iter().map(|flag| flag.name().to_owned()).collect();
    Reply::ok(&CautionList { flags: names }).etag(&cautions::tag(&door.state().vault, flags))
}

/// Read what speaks against some exercises
///
/// For linked therapists. The patient sees what is offered to them and what is not, and never why.
#[utoipa::path(tag = "exercises", operation_id = "get_cautions",
    params(("patient_id" = PatientRef, Path, description = "A patient's id")),
    responses((status = 200, description = "The flags", body = CautionList), ReadErrors))]
#[get("/cautions")]
pub(super) async fn get_cautions(door: Door<Care>) -> Result<Reply> {
    let flags = door.read("get_cautions", find_cautions).await?;
    Ok(reply(&door, &flags))
}

/// Say what speaks against some exercises
///
/// Replaces the whole set, with `If-Match`. Exercises that a flag speaks against are offered together with a therapist
/// only (an assignment opens them), or not for now.
#[utoipa::path(tag = "exercises", operation_id = "put_cautions", request_body = PutCautions,
    params(("patient_id" = PatientRef, Path, description = "A patient's id"), OnceHeader, IfMatchHeader),
    responses((status = 200, description = "Changed, or as it was", body = CautionList), WriteErrors))]
#[put("/cautions")]
pub(super) async fn put_cautions(
    door: Door<Care>,
    when: Preconditions,
    key: IdempotencyKey,
    body: Result<Body<PutCautions>, Error>,
) -> Result<Reply> {
    let once = door.once(&key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let command = body.and_then(|body| cautions::parse(&body.into_inner().flags));
    let vault = door.state().vault.clone();
    let (_, flags) = door
        .write(
            "put_cautions",
            once,
            command,
            move |tx, access, flags: &BTreeSet<CautionFlag>| {
                cautions::put(tx, access, flags, &when, |flags| cautions::tag(&vault, flags))?;
                Ok((Done::ok(access.patient().uuid()), flags.clone()))
            },
            |tx, access, _| find_cautions(tx, access),
        )
        .await?;
    Ok(reply(&door, &flags))
}
