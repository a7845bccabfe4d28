//! The ways to a patient's phone: push services, Web Push, the gateways of clinics, and e-mail.
//!
//! A push carries opaque ids and one neutral sentence, or no sentence at all. A channel knows an address, and neither
//! patients nor prompts. Own clients on `reqwest` speak to all services. Of the crates for them, `web-push` brings OpenSSL
//! by way of `ece` and a second library of tokens, `a2` OpenSSL or `ring`; and neither filters addresses.
//!
//! Letters to the owners of accounts have a way of their own ([`Mail`]).

mod apns;
mod email;
mod fcm;
mod gate;
mod mail;
mod model;
mod outbound;
mod web_push;
mod webhook;

pub use apns::{Apns, ApnsKey, ApnsServices};
pub use email::{EmailChannel, EmailSettings, EmailTls};
pub use fcm::Fcm;
pub use gate::{Channels, Sending};
pub use mail::{Mail, MailSettings};
pub use model::{Address, Channel, Letter, Notice, SendError};
pub use outbound::{Lookup, Outbound, OutboundSettings};
pub use web_push::WebPush;
pub use webhook::Webhook;
