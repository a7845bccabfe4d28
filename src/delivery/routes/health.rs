//! How deliveries go at a clinic, over HTTP.

use actix_web::{get, web};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::care::clinics;
use crate::delivery::outbox::LATE;
use crate::delivery::store::{self, ChannelCounts};
use crate::http::document::ReadErrors;
use crate::http::{PathOf, Reply};
use crate::identity::{Claimed, Staff};
use crate::kernel::id::Clinic;
use crate::kernel::{Id, Result};
use crate::state::State;

/// The time that is looked back on.
const BACK: SignedDuration = SignedDuration::from_hours(24);

/// How pushes went to the patients of a clinic on the last day. It tells nothing of a prompt or a person.
#[derive(Serialize, ToSchema)]
struct DeliveryHealth {
    /// The instant since which deliveries are counted.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// The age in seconds of the oldest delivery that should have left; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    backlog_seconds: Option<i64>,
    /// Whether deliveries wait for more than a minute: the workers stand still, or have too much to do.
    late: bool,
    /// The numbers by channel.
    channels: Vec<ChannelHealth>,
}

/// What became of the deliveries of one channel. Numbers below ten are `< 10`: the difference between two small
/// numbers would tell of one patient.
#[derive(Serialize, ToSchema)]
struct ChannelHealth {
    /// The channel: `fcm`, `apns`, `web_push`, `webhook`, `email`, or `log` where there are no devices.
    #[schema(example = "fcm")]
    channel: String,
    /// The number that a push service took.
    #[schema(example = "128")]
    sent: String,
    /// The number of those that a device has acknowledged.
    #[schema(example = "117")]
    received: String,
    /// The number that was given up, or was no longer to be sent when its turn came.
    #[schema(example = "< 10")]
    lapsed: String,
    /// The number that waits for its time, a resend or another attempt.
    #[schema(example = "< 10")]
    waiting: String,
}

impl From<ChannelCounts> for ChannelHealth {
    fn from(ChannelCounts { channel, sent, received, lapsed, waiting }: ChannelCounts) -> Self {
        let [sent, received, lapsed, waiting] = [sent, received, lapsed, waiting].map(clinics::told);
        Self { channel, sent, received, lapsed, waiting }
    }
}

/// Read how deliveries go
///
/// For the clinic's admins: what became of the pushes to its patients in the last 24 hours, by channel, and whether any
/// are late. There is no content and no patient in it.
#[utoipa::path(tag = "care",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id")),
    responses((status = 200, description = "The last day", body = DeliveryHealth), ReadErrors))]
#[get("/clinics/{clinic_id}/delivery-health")]
pub(super) async fn get_delivery_health(
    caller: Claimed<Staff>,
    clinic: PathOf<Id<Clinic>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let clinic = clinic.into_inner();
    let unit = caller.read(&state, move |tx, live| {
        let patients = clinics::list_patients(tx, live, clinic)?;
        let since = live.now().saturating_sub(BACK).unwrap_or(live.now());
        let counts = store::count_by_channel(tx, &patients, since)?;
        Ok((since, counts, store::oldest_late(tx, &patients, live.now())?, live.now()))
    });
    let (since, counts, oldest, now) = unit.await?;
    let waits = oldest.map(|at| now.duration_since(at));
    let (backlog_seconds, late) = (waits.map(|waits| waits.as_secs()), waits.is_some_and(|waits| waits > LATE));
    let channels = counts.into_iter().map(ChannelHealth::from).collect();
    Ok(Reply::ok(&DeliveryHealth { since, backlog_seconds, late, channels }))
}
