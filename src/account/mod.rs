//! The life of an account: its name, address and passphrase, and its end.
//!
//! - A new passphrase, also after a reset, ends the other sessions, whose devices keep what they hold; a letter tells
//!   the owner. A forgotten passphrase is no lost journal: the keys of a patient do not hang on it.
//! - An address is proved once the code that was sent there comes back in a session of the account. Somebody who gets
//!   the letter because the address was mistyped has no such session.
//! - A reset needs a code that was sent to the address, and goes to a proved address alone: the mailbox of a mistyped
//!   one may be a stranger's, who would get all that the patient wrote. This weighs more than the way back that it
//!   closes: a phone that is still logged in proves the address without the passphrase. Who has neither phone nor
//!   passphrase nor a proved address needs the operator ([`operator`]), so a letter asks for the proof as soon as
//!   somebody has joined. The answer to the request, what it writes and what it looks up are the same for known,
//!   unproved, unknown and disabled accounts.
//! - A new address takes the place of the old one once it is proved. The old one is told when it is asked for.
//! - Whoever changes what lets them in gives the present passphrase. A wrong one is counted like a failed log-in.
//! - A disabled account lets nobody in. Nothing of it is deleted.
//! - The operator enables an account again, and takes factors away that their owner has lost ([`operator`]). Whether it
//!   is the owner who asks is for the operator to see, in person; within a day of a mailed reset they say so twice.

pub mod actions;
pub mod operator;
mod routes;

pub use routes::configure;
