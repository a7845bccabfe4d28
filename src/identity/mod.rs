//! Accounts, sessions and tokens: the identity of the caller.
//!
//! Extractors verify a token's signature only and give [`Claimed`]. The first statement of the unit checks session and
//! account, and makes it [`Live`]. Only a `Live` opens an access to patient data.
//!
//! - Access tokens: Ed25519, 10 minutes, bound to a session row; no role inside.
//! - Refresh tokens: opaque, stored as a keyed hash, good for one use. The successor is a keyed hash of the token
//!   presented, so a lost reply can be asked for again. A spent token whose successor was used counts as theft and ends
//!   the session.
//! - An expired session is deleted a day later, with its refresh tokens ([`clearing`]).
//! - The answers for known, unknown and disabled accounts are the same, with the same work done.

pub mod actions;
mod claimed;
pub mod clearing;
mod directory;
pub mod model;
mod password;
pub mod routes;
mod store;
mod token;
mod well_known;

pub use claimed::{AccountPolicy, Anyone, Caller, Claimed, Live, Staff, key_of};
pub use directory::Directory;
pub use model::{AccountKind, Email, Passphrase, Profile};
pub use password::Passwords;
pub use routes::configure;
pub use store::{AccountRow, end_all_sessions, find_email_key, is_email_taken, is_welcome, live_sessions, names_of};
pub use token::{LIFETIME as ACCESS_TOKEN_LIFETIME, Tokens};
