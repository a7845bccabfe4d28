//! Delivery: sends what is due, once, at the right time.
//!
//! Owns the outbox (`deliveries`) and the channels. A delivery is inserted in the unit that marks its prompt due, under
//! an id that follows from the prompt and a count: a receiver can drop repeats. A worker leases deliveries, sends them
//! outside any unit, and notes what became of them; a lease that runs out comes back to whoever asks next, so delivery
//! is at-least-once. What may be sent is judged from the opened prompt just before it is sent ([`model::judge`]). A
//! push carries ids and one neutral sentence: no rule, no kind, no word of anybody's.
//!
//! What has left and has a reminder puts it into the outbox in the unit that notes that it left: one, of a safety check
//! two, under the same prompt. It is judged when its time comes: answered, quiet or paused, it lapses.
//!
//! Marking prompts due ([`due`]) and emptying the outbox ([`outbox`]) are two tasks. The rule of what still goes out after
//! an outage is [`outage`].
//!
//! The outbox is worked through across patients. Those statements rest on the partial indexes `deliveries_waiting`,
//! `deliveries_leased` and `prompts_next_action`; all others name deliveries by id.

pub mod actions;
pub mod channel;
pub mod due;
pub mod model;
pub mod outage;
pub mod outbox;
pub mod store;

pub use actions::{Round, deliver};
pub use channel::{Channel, ChannelError, LogChannel, MemoryChannel};
pub use due::MarkDue;
pub use model::{Push, TEXT};
pub use outbox::Deliver;
