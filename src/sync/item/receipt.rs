//! Receipts as items.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::grants::store::ReceiptRow;
use crate::kernel::{Error, Result};
use crate::sync::model::Kind;

/// What a therapist's app and the therapist in person did with an item. Since when the item is on the server stands in
/// its own `received_at`. A receipt stays when the sharing ends, and goes when its item is purged.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncReceiptFields)]
pub struct ReceiptFields {
    /// The item.
    item: ReceiptItem,
    /// The therapist.
    therapist_id: Uuid,
    /// The instant at which the item was first sent to the therapist's app, to be kept there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    delivered_at: Option<Timestamp>,
    /// The instant at which the therapist first opened the item in person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    opened_at: Option<Timestamp>,
}

/// The item of a receipt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncReceiptItem)]
struct ReceiptItem {
    /// `entry` or `exercise_response`.
    #[serde(rename = "type")]
    #[schema(example = "entry")]
    type_: &'static str,
    /// Its id.
    id: Uuid,
}

impl ReceiptFields {
    /// Renders a receipt.
    ///
    /// # Errors
    ///
    /// An error for an item of a kind that phones do not hold.
    pub fn of(row: &ReceiptRow) -> Result<Self> {
        let (entity, id) = row.item;
        let kind = Kind::of(entity).ok_or_else(|| Error::corrupt("receipts", row.id))?;
        Ok(Self {
            item: ReceiptItem { type_: kind.name(), id: id.uuid() },
            therapist_id: row.account.uuid(),
            delivered_at: row.delivered_at,
            opened_at: row.opened_at,
        })
    }
}
