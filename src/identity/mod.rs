//! Accounts, sessions and tokens: the identity of the caller.
//!
//! Extractors verify a token's signature only and give [`Claimed`]. The first statement of the unit checks session and
//! account, and makes it [`Live`]. Only a `Live` opens an access to patient data.
//!
//! - Access tokens: Ed25519, 10 minutes, bound to a session row; no role inside.
//! - Refresh tokens: opaque, stored as a keyed hash, good for one use. The successor is a keyed hash of the token
//!   presented, so a lost reply can be asked for again. A spent token whose successor was used counts as theft and ends
//!   the session.
//! - A session ends when it was not refreshed for a while, and some time after its log-in in any case; how long depends
//!   on the kind of account ([`model::SessionLifetime`]). It is deleted a day later, with its refresh tokens
//!   ([`clearing`]).
//! - The owner sees, names and ends their sessions ([`sessions`]) and is told of new devices ([`security_events`]), also
//!   with a letter: one of each kind an hour at most. What comes sooner is told by the next one.
//! - Failed log-ins of strangers lock out strangers alone: a device that has logged in before is counted apart.
//! - For a day after a reset by mail a log-in needs a second factor or a device that nobody has thrown out, if there is
//!   one.
//! - The passphrase, the address and the name of an account change in one way ([`upkeep`]): profile and credential are
//!   sealed anew under the next version of its row, so that no older one opens there again.
//! - An account may have a second factor ([`factors`]): time-based codes, each good once, and ten recovery codes.
//! - Passkeys (`passkeys`) stand in for the passphrase and a code.
//! - What is hard to take back asks for a fresh proof ([`freshness`]), in the signature of its handler:
//!   `Claimed<Fresh<…>>`.
//! - The answers for known, unknown and disabled accounts are the same, with the same work done.

pub mod actions;
mod attempts;
mod claimed;
pub mod clearing;
mod codes;
mod directory;
pub mod factors;
pub mod freshness;
pub mod log_in;
pub mod model;
pub mod operator;
mod passkeys;
mod password;
pub mod routes;
pub mod security_events;
pub mod sessions;
mod store;
mod token;
pub mod totp;
pub mod upkeep;
mod well_known;

pub use claimed::{AccountPolicy, Anyone, Caller, Claimed, Fresh, Guarded, Live, Staff, Unlocked, WithCode, key_of};
pub use directory::Directory;
pub use freshness::{Need, Proofs};
pub use model::{AccountKind, Email, Notice, Passphrase, Profile};
pub use password::{Credential, Passwords};
pub use routes::configure;
pub use security_events::SecurityEvent;
pub use store::{
    AccountRow, DueNotice, ask_notice, end_all_sessions, find_email_key, has_factor, hold_enabled, is_email_taken,
    is_enabled, is_welcome, list_disabled, list_due_notices, list_pending_notices, live_sessions, mark_notice_written,
    names_of, set_disabled,
};
pub use token::{LIFETIME as ACCESS_TOKEN_LIFETIME, Tokens};
