//! A server for integrators: the demo's clinic in memory, a clock to move, faults to ask for.
//!
//! Owns the moves of the clock, the record of deliveries, and the pending faults. The product itself is the same as in
//! `serve`, operation for operation; only the clock, the channel and the place of the data differ.
//!
//! - **Nothing is left behind.** Data and keys lie in memory ([`crate::db::Memory`]); no folder is made.
//! - **Time stands still** until it is moved, unless it was asked to run, and only goes forward. Work that becomes due
//!   on the way is done at its time, by the rounds that the worker of `serve` does. Work that a request makes due at
//!   once is done before its reply is sent. So the same requests always have the same outcome, and no test has to wait.
//! - **A reset is a new start**: a new clinic with the same ids takes the place of the old one, which finishes what it
//!   has begun. No session id is given again, so no token from before opens anything.
//! - **A fault hits the next requests below `/v1`**, in the order in which they arrive. A lost reply is lost after its
//!   effects are durable; a throttled request and an unavailable server have
//!   done nothing.
//! - **Never in `serve`.** The operations ask for no log-in: `afterglow sandbox` alone mounts them, and listens on this
//!   machine only. A test reads the sources, another asks a running `serve`.

pub mod actions;
mod guide;
pub mod model;
pub mod outbox;
pub mod routes;

pub use actions::{Installation, Sandbox, listener};
pub use model::Start;
pub use routes::SandboxRoutes;
