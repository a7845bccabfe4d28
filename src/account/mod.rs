//! The life of an account: its name, address and passphrase, and its end.
//!
//! - A new passphrase, also after a reset, ends the other sessions, whose devices keep what they hold; a letter tells
//!   the owner. A forgotten passphrase is no lost journal: the keys of a patient do not hang on it.
//! - A reset needs a code that was sent to the address. The answer to the request, what it writes and what it looks up
//!   are the same for known, unknown and disabled accounts.
//! - A new address takes the place of the old one once a code that was sent there is presented. The old one is told
//!   when it is asked for.
//! - Whoever changes what lets them in gives the present passphrase. A wrong one is counted like a failed log-in.
//! - A disabled account lets nobody in. Nothing of it is deleted.
//!
//! Second factors, which would be needed for a day after a reset, do not exist yet.

pub mod actions;
mod routes;

pub use routes::configure;
