//! Letters: mails to the owners of accounts, and the proofs of addresses that some of them carry.
//!
//! A letter is prepared before a unit and posted in it, so that it leaves exactly if the unit commits. A task sends it
//! ([`SendLetters`]), again after a failure, until it expires. Each letter is sealed under keys of its own, which are
//! destroyed once it has left or is given up, or if no unit begins to post it: what was written to whom cannot be read
//! afterwards. Neither an account nor a kind stands
//! in its row, so that letters that tell of an unknown address look like the others.
//!
//! What happened to an account is told by letters that a task prepares ([`NotifyOwners`]): the unit in which it happens
//! only asks for one. When the address of an account moves, those that it is still to get go to the address it leaves.
//!
//! A proof is a code of 80 bits that was sent to an address. Whoever presents it reads the mail of that address. It is
//! good for one use and for a short time, and is a keyed hash of its id: the database does not hold it. Its row carries
//! a MAC over the address and the purpose.
//!
//! Subjects and texts name neither medicine nor therapy: others see the screen.
//!
//! Queries here that span accounts: due letters (`letters_due`), old ones (`letters_done`), proofs by the hash of their
//! code (`address_proofs_code`), old ones (`address_proofs_expires`).

pub mod actions;
pub mod clearing;
pub mod model;
mod notifying;
pub mod proofs;
pub mod routes;
mod sending;
mod store;
mod texts;

pub use actions::{PreparedLetter, post, prepare, send_proof};
pub use model::{LetterDoc, LetterKind, ProofPurpose};
pub use notifying::{NotifyOwners, PendingLetters, post_pending, prepare_pending};
pub use sending::SendLetters;
pub use store::ProofRow;
