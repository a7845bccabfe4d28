//! Transfers of care links.

use actix_web::{delete, get, post, put, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::access::Write;
use crate::care::door::{Door, Own};
use crate::care::people::Names;
use crate::care::store::{Link, TransferRow};
use crate::care::transfers::{self, TransferAnswer};
use crate::care::{Access, links};
use crate::db::Tx;
use crate::http::document::{ActionErrors, IdempotencyKeyHeader, IfNoneMatchHeader, ReadErrors, WriteErrors};
use crate::http::{Body, Command, PatientRef, Preconditions, Reply, Request};
use crate::idempotency::Outcome;
use crate::identity::{Claimed, Live, Staff, Unlocked};
use crate::kernel::id::{Account, CareLink};
use crate::kernel::{Id, Result};
use crate::state::State;

/// The colleague who is to take a care link over.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OfferTransfer {
    /// The account of another therapist of the clinic.
    therapist_id: Uuid,
}

impl OfferTransfer {
    fn parse(command: Command<Id<CareLink>, Body<Self>>) -> (Id<CareLink>, Id<Account>) {
        (command.id, Id::from_uuid(command.body.into_inner().therapist_id))
    }
}

/// The transfer of a care link.
#[derive(Serialize, ToSchema)]
struct TransferView {
    /// The care link.
    link_id: Uuid,
    /// The therapist who is to take over.
    therapist_id: Uuid,
    /// `offered`, `accepted` or `declined` by the patient, `withdrawn`.
    #[schema(example = "offered")]
    state: String,
    /// The instant of the offer.
    #[schema(value_type = String, format = DateTime)]
    offered_at: Timestamp,
    /// The instant of the patient's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    answered_at: Option<Timestamp>,
}

impl TransferView {
    fn new(row: TransferRow) -> Self {
        Self {
            link_id: row.link_id.uuid(),
            therapist_id: row.therapist_id.uuid(),
            state: row.state,
            offered_at: row.offered_at.0,
            answered_at: row.answered_at.map(|at| at.0),
        }
    }
}

/// A transfer that waits for the patient's answer.
#[derive(Serialize, ToSchema)]
struct OfferedTransfer {
    /// The care link that would end.
    link_id: Uuid,
    /// The present therapist.
    from_id: Uuid,
    /// The name of the present therapist.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Thea Brandt")]
    from_name: Option<String>,
    /// The therapist who would take over.
    to_id: Uuid,
    /// The name of the therapist who would take over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Tom Adler")]
    to_name: Option<String>,
    /// The clinic of both.
    clinic_id: Uuid,
    /// The name of the clinic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Lakeside Clinic")]
    clinic_name: Option<String>,
    /// The instant of the offer.
    #[schema(value_type = String, format = DateTime)]
    offered_at: Timestamp,
    /// Whether a name that belongs here is damaged and left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

impl OfferedTransfer {
    fn new(row: &TransferRow, link: &Link, names: &Names) -> Self {
        Self {
            link_id: row.link_id.uuid(),
            from_id: link.therapist.uuid(),
            from_name: names.person(link.therapist),
            to_id: row.therapist_id.uuid(),
            to_name: names.person(row.therapist_id),
            clinic_id: link.clinic.uuid(),
            clinic_name: names.clinic(link.clinic),
            offered_at: row.offered_at.0,
            unreadable: names.unreadable([link.therapist.uuid(), row.therapist_id.uuid(), link.clinic.uuid()]),
        }
    }
}

/// The transfers that wait for an answer.
#[derive(Serialize, ToSchema)]
struct OfferedTransferList {
    items: Vec<OfferedTransfer>,
}

/// The patient's answer to an offered transfer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AnswerTransfer {
    /// Whether the colleague is to take over.
    accept: bool,
    /// Whether the colleague may see what the therapist could see until now. Without it they start with nothing.
    #[serde(default)]
    keep_grants: bool,
}

impl AnswerTransfer {
    fn parse(command: Command<Id<CareLink>, Body<Self>>) -> (Id<CareLink>, TransferAnswer) {
        let Self { accept, keep_grants } = command.body.into_inner();
        (command.id, TransferAnswer { accept, keep_grants })
    }
}

/// Offer a transfer
///
/// The therapist of an active care link names a colleague of the same clinic who is to take over. Nothing changes until
/// the patient answers. The same offer again changes nothing; another one takes its place.
#[utoipa::path(tag = "care", request_body = OfferTransfer,
    params(("link_id" = Uuid, Path, description = "The care link's id"), IdempotencyKeyHeader),
    responses((status = 200, description = "The offer", body = TransferView), WriteErrors))]
#[put("/care-links/{link_id}/transfer")]
pub(super) async fn offer_transfer(
    caller: Claimed<Staff>,
    request: Request<Id<CareLink>, Body<OfferTransfer>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let keys = links::keys_of_link(&state, caller.account(), request.id()).await?;
    let vault = state.vault.clone();
    let work = move |tx: &mut Tx<'_>, live: &Live<Staff>, (id, to): &(Id<CareLink>, Id<Account>)| {
        transfers::offer(tx, (&vault, keys.as_ref()), live, *id, *to).map(|row| Outcome::ok(*id, row))
    };
    let answer = caller.change(&state, request, |command| Ok(OfferTransfer::parse(command)), work, transfers::show_own);
    answer.await?.reply(|row| Ok(Reply::ok(&TransferView::new(row))))
}

/// Take the offer of a transfer back
///
/// By the therapist who made it, before the patient answers. A repetition changes nothing.
#[utoipa::path(tag = "care",
    params(("link_id" = Uuid, Path, description = "The care link's id"), IdempotencyKeyHeader),
    responses((status = 204, description = "Nothing is offered"), ActionErrors))]
#[delete("/care-links/{link_id}/transfer")]
pub(super) async fn withdraw_transfer(
    caller: Claimed<Staff>,
    request: Request<Id<CareLink>>,
    state: web::Data<State>,
) -> Result<Reply> {
    caller.delete(&state, request, |tx, live, command| transfers::withdraw(tx, live, command.id)).await
}

/// List the transfers that wait for an answer
///
/// The therapists of the patient who have named a colleague to take over. Where the lock is on, this asks for the
/// passphrase within 10 minutes.
#[utoipa::path(tag = "care",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"), IfNoneMatchHeader),
    responses((status = 200, description = "The transfers", body = OfferedTransferList), ReadErrors))]
#[get("/transfers")]
pub(super) async fn list_transfers(door: Door<Unlocked<Own>>, when: Preconditions) -> Result<Reply> {
    let (waiting, names) = door.read("list_transfers", transfers::list).await?;
    let names = names.open(&door.state().vault).await?;
    let items = waiting.iter().map(|(row, link)| OfferedTransfer::new(row, link, &names)).collect();
    Ok(door.whole_list("list_transfers", &OfferedTransferList { items }, &when))
}

/// Answer a transfer
///
/// With `accept` the care link ends, and the grants over it; the colleague confirms a new one. They see what the
/// therapist could see only with `keep_grants`: the same grants are then made anew for them. The same answer again
/// changes nothing. With a second factor, or with the lock on, to accept asks for a proof within 5 minutes (403
/// `step_up_required`).
#[utoipa::path(tag = "care", request_body = AnswerTransfer,
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("link_id" = Uuid, Path, description = "The care link's id"), IdempotencyKeyHeader),
    responses((status = 200, description = "Answered", body = TransferView), WriteErrors))]
#[post("/transfers/{link_id}/answer")]
pub(super) async fn answer_transfer(
    door: Door<Own>,
    request: Request<Id<CareLink>, Body<AnswerTransfer>>,
) -> Result<Reply> {
    let entropy = door.state().entropy.clone();
    let new: Id<CareLink> = entropy.id(door.now());
    let work = move |tx: &mut Tx<'_>, access: &Access<Write>, (id, answer): &(Id<CareLink>, TransferAnswer)| {
        transfers::answer(tx, access, (*id, new), *answer, &entropy).map(|row| Outcome::ok(*id, row))
    };
    let answer =
        door.change("answer_transfer", request, |command| Ok(AnswerTransfer::parse(command)), work, transfers::show);
    answer.await?.reply(|row| Ok(Reply::ok(&TransferView::new(row))))
}
