//! The ways to a patient's phone: push services, Web Push, and the gateways of clinics.
//!
//! A push carries opaque ids and one neutral sentence, or no sentence at all. A channel knows an address, and neither
//! patients nor prompts.

mod gate;
mod model;

pub use gate::{Channels, Sending};
pub use model::{Address, Channel, Notice, SendError};
