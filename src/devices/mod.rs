//! The phones and browsers of a patient: where pushes go.
//!
//! A device belongs to the session in which it registered: when that ends, nothing goes to it any more. Its push address is
//! sealed and is never shown. An address reaches one installation of an app, so it belongs to the device that named it
//! last, of any patient: on a phone that two people share, the prompts of one must not reach the other. A mailbox, which
//! people may share and whose address others know, belongs to the last device of each patient. An address
//! that a push service calls dead is retired; the device stays, and names a new one.
//!
//! Without the consent to messages by e-mail a patient has no mailbox: its withdrawal removes them
//! ([`actions::remove_mailboxes`]), and the route asks for it before it registers one.
//!
//! Statements that span patients: the devices of the patients of a round of deliveries; the device of an address, by
//! the partial index `devices_reach`.

pub mod actions;
pub mod model;
mod routes;
pub mod store;

pub use model::{DeviceDoc, Notifications, PushAddress};
pub use routes::configure_patient;
pub use store::DeviceRow;
