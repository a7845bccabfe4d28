//! The receipts of devices.

use actix_web::post;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::Door;
use crate::care::door::Own;
use crate::delivery::store::{self, Receipt};
use crate::http::document::{ActionErrors, IdempotencyKeyHeader};
use crate::http::{PatientRef, Reply, Request};
use crate::idempotency::Outcome;
use crate::kernel::id::Delivery;
use crate::kernel::{Id, Result};

/// A push that a device has received.
#[derive(Serialize, ToSchema)]
struct DeliveryReceipt {
    /// The delivery, as the push names it.
    id: Uuid,
    /// The prompt.
    prompt_id: Uuid,
    /// The time of the first receipt.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
}

impl DeliveryReceipt {
    fn reply(receipt: Receipt) -> Reply {
        let Receipt { delivery, prompt, at } = receipt;
        Reply::ok(&Self { id: delivery.uuid(), prompt_id: prompt.uuid(), received_at: at })
    }
}

/// Acknowledge a push
///
/// An app does so in the background for each push that it receives, with the id that the push carries as `delivery`. What
/// a device that acknowledges does not acknowledge is sent again after half an hour, twice at most.
#[utoipa::path(tag = "devices",
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), ("delivery_id" = Uuid, Path, description = "The id of the delivery"), IdempotencyKeyHeader),
    responses((status = 200, description = "Noted", body = DeliveryReceipt), ActionErrors))]
#[post("/deliveries/{delivery_id}/received")]
pub(super) async fn receive_delivery(door: Door<Own>, request: Request<Id<Delivery>>) -> Result<Reply> {
    let answer = door.change(
        "receive_delivery",
        request,
        Ok,
        |tx, access, command| Ok(Outcome::ok(command.id, store::receive(tx, access, command.id)?)),
        |tx, access, outcome| outcome.or_get(|id| store::receive(tx, access, id)),
    );
    answer.await?.reply(|receipt| Ok(DeliveryReceipt::reply(receipt)))
}
