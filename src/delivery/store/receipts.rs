//! That a device has received a push.

use diesel::prelude::*;
use jiff::Timestamp;

use crate::care::{Access, Write};
use crate::db::schema::deliveries;
use crate::db::{At, Tx};
use crate::devices::store as devices;
use crate::kernel::id::{Delivery, Device, Prompt};
use crate::kernel::{Error, Id, Result};

/// The receipt of a push.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    /// The delivery.
    pub delivery: Id<Delivery>,
    /// The prompt.
    pub prompt: Id<Prompt>,
    /// The instant of the first receipt.
    pub at: Timestamp,
}

/// Notes that a device has received a delivery, which is then not sent again. A second call changes nothing. It is
/// delivery's own state and takes no change number.
///
/// # Errors
///
/// [`Error::NotFound`] for what was never sent to a device of the patient.
pub fn receive(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Delivery>) -> Result<Receipt> {
    let own = deliveries::table.filter(deliveries::patient_id.eq(access.patient())).filter(deliveries::id.eq(id));
    let found: Option<(Id<Prompt>, Option<Id<Device>>, Option<At>)> = own
        .filter(deliveries::device_id.is_not_null())
        .select((deliveries::prompt_id, deliveries::device_id, deliveries::received_at))
        .first(tx.conn())
        .optional()?;
    let Some((prompt, Some(device), received_at)) = found else { return Err(Error::NotFound) };
    if let Some(At(at)) = received_at {
        return Ok(Receipt { delivery: id, prompt, at });
    }
    let now = Some(At(access.now()));
    diesel::update(own).set(deliveries::received_at.eq(now)).execute(tx.conn())?;
    // What a worker holds at this moment is ended when it is next looked at.
    diesel::update(own.filter(deliveries::state.eq("waiting")))
        .set((deliveries::state.eq("sent"), deliveries::done_at.eq(now)))
        .execute(tx.conn())?;
    devices::mark_seen(tx, access, device)?;
    Ok(Receipt { delivery: id, prompt, at: access.now() })
}
