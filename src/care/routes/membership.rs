//! Disabling the account of a member of staff, leaving a clinic, and closing it.

use actix_web::{delete, post, web};

use super::members::ClinicMember;
use crate::care::{closing, members};
use crate::db::Tx;
use crate::http::document::{ActionErrors, IdempotencyKeyHeader};
use crate::http::{Command, Reply, Request};
use crate::idempotency::Outcome;
use crate::identity::{Claimed, Guarded, Live, Staff, key_of};
use crate::kernel::id::{Account, Clinic};
use crate::kernel::{Id, Result};
use crate::state::State;

/// The clinic and the account of a member.
type OfMember = (Id<Clinic>, Id<Account>);

/// Disable a member of staff
///
/// For the clinic's admins: the person's account is refused at once, in every session, until it is enabled again. Their
/// care links stay; to end these, end the person's work here. Not for an account that also works at a clinic that you
/// do not administer, and not for your own. A repetition changes nothing.
#[utoipa::path(tag = "care",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("account_id" = Uuid, Path, description = "The member's account"), IdempotencyKeyHeader),
    responses((status = 200, description = "The member", body = ClinicMember), ActionErrors))]
#[post("/clinics/{clinic_id}/members/{account_id}/disable")]
pub(super) async fn disable_member(
    caller: Claimed<Staff>,
    request: Request<OfMember>,
    state: web::Data<State>,
) -> Result<Reply> {
    set_disabled(&caller, request, &state, true).await
}

/// Enable a member of staff
///
/// For the clinic's admins: a disabled account may log in again. A repetition changes nothing.
#[utoipa::path(tag = "care",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("account_id" = Uuid, Path, description = "The member's account"), IdempotencyKeyHeader),
    responses((status = 200, description = "The member", body = ClinicMember), ActionErrors))]
#[post("/clinics/{clinic_id}/members/{account_id}/enable")]
pub(super) async fn enable_member(
    caller: Claimed<Staff>,
    request: Request<OfMember>,
    state: web::Data<State>,
) -> Result<Reply> {
    set_disabled(&caller, request, &state, false).await
}

async fn set_disabled(
    caller: &Claimed<Staff>,
    request: Request<OfMember>,
    state: &State,
    disabled: bool,
) -> Result<Reply> {
    let of = request.id().copied();
    let keys = members::keys_of_member(state, caller.account(), of).await?;
    let (vault, clinic) = (state.vault.clone(), of.map(|(clinic, _)| clinic));
    let work = move |tx: &mut Tx<'_>, live: &Live<Staff>, Command { id, .. }: &Command<OfMember>| {
        let member = members::set_disabled(tx, (&vault, keys.as_ref()), live, *id, disabled)?;
        Ok(Outcome::ok(id.1, member))
    };
    let show = move |tx: &mut Tx<'_>, live: &Live<Staff>, outcome| members::show(tx, live, clinic, outcome);
    let (origin, (member, names, disabled)) = caller.change(state, request, Ok, work, show).await?.into_parts();
    let names = names.open(&state.vault).await?;
    let view = ClinicMember::new(&member, &names, &disabled);
    Ok(origin.reply(Reply::ok(&view).etag(&view.etag)))
}

/// Leave a clinic
///
/// Ends your own work there. First transfer or end your care links, and see that another admin stays. A repetition
/// changes nothing.
#[utoipa::path(tag = "care",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"), IdempotencyKeyHeader),
    responses((status = 204, description = "You no longer work there"), ActionErrors))]
#[post("/clinics/{clinic_id}/leave")]
pub(super) async fn leave_clinic(
    caller: Claimed<Staff>,
    request: Request<Id<Clinic>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let leave = |tx: &mut Tx<'_>, live: &Live<Staff>, command: &Command<_>| members::leave(tx, live, command.id);
    caller.delete(&state, request, leave).await
}

/// Close a clinic
///
/// For its admins, and for good: every care link of the clinic ends, then the work of every member, your own too.
/// Invitations and protocols of the clinic are void. Patients keep all that they have, and read it in their access logs.
/// A repetition changes nothing; one that was interrupted goes on. An admin with a second factor proves themself again
/// within 5 minutes (403 `step_up_required`).
#[utoipa::path(tag = "care",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"), IdempotencyKeyHeader),
    responses((status = 204, description = "It is closed"), ActionErrors))]
#[delete("/clinics/{clinic_id}")]
pub(super) async fn close_clinic(
    caller: Claimed<Guarded<Staff>>,
    request: Request<Id<Clinic>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let key = key_of(&state, &request, None);
    let prepared = request.prepare(async |asked| {
        if let Ok(key) = &key {
            closing::end_links(&state, &caller, asked.id, key).await?;
        }
        Ok(asked.id)
    });
    let request = prepared.await;
    caller.delete(&state, request, |tx, live, command| closing::close(tx, &live.plain(), command.body)).await
}
