//! Delivery: sends what is due, once, at the right time.
//!
//! Owns the outbox (`deliveries`) and the channels. A delivery is inserted in the unit that marks its prompt due. Its
//! id follows from the prompt and a count, so that a receiver can drop repeats. A worker leases deliveries, sends them
//! outside any unit, and notes the outcomes. When a lease runs out, another worker may take the delivery: delivery is
//! at-least-once. Whether a push may be sent is judged from the opened prompt just before ([`model::judge`]). A push
//! carries ids and one neutral sentence: no rule, no kind, no patient's text.
//!
//! What fails for one patient costs no other a push or an attempt: a part of a round that fails is judged, and its
//! outcomes are stored, for each patient apart. Deliveries of a patient of whom a row cannot be read wait for an
//! hour at a time, until they expire.
//!
//! The unit that notes that a delivery has left also puts its reminder into the outbox, under the same prompt: one
//! reminder, for a safety check two. A reminder is judged at its time; it lapses when the prompt is answered, quiet or
//! paused.
//!
//! Nothing goes to a patient whose account is disabled, by any channel: their deliveries lapse, and the prompts stay
//! until they expire. Once the account is enabled, what comes due then is delivered again.
//!
//! What asks for effort is judged by the newest dials when it comes due, also if it does so without a push: on a heavy
//! day a lighter prompt comes in its place ([`Protocol::lighter_than`](crate::planning::Protocol::lighter_than)), and
//! its reminder is dropped.
//!
//! In a process with channels to devices ([`crate::channels`]) a delivery becomes one for each device of the patient when
//! it is leased, each with an id of its own that follows from prompt, count and device. A device that
//! acknowledges what it receives is sent again what it has not acknowledged, twice at most. A device that shows the prompt
//! from its own plan is woken without a sentence. A process without such channels, for development and tests, sends
//! every delivery by its one [`Channel`].
//!
//! Processes may share the channels between them ([`Channels::only`](crate::channels::Channels::only)). Any of them
//! makes a delivery into one for each device; those by a channel that it does not serve wait for a process that does,
//! and lapse when they expire.
//!
//! No channel holds another: a round waits a second for its pushes to devices. What is still under way then goes on by
//! itself under the same lease, and its outcomes are noted when it is done ([`Tails`]).
//!
//! No clinic holds another: a worker leases of each of sixteen lanes, which clinics share, before it takes what has
//! waited longest of all ([`model::lane_of`], [`store::lease()`]).
//!
//! Marking prompts due ([`due`]) and emptying the outbox ([`outbox`]) are two tasks. The rule for prompts after an
//! outage is in [`outage`].
//!
//! The statements that work through the outbox span patients and rest on the partial indexes `deliveries_waiting`,
//! `deliveries_lane`, `deliveries_leased` and `prompts_next_action`. All others name deliveries by id.

pub mod actions;
pub mod channel;
pub mod due;
mod lighter;
pub mod model;
pub mod outage;
pub mod outbox;
mod plan;
mod routes;
mod sending;
pub mod store;
mod storing;
mod texts;

pub use actions::{DeliverySummary, Tails, deliver};
pub use channel::{Channel, ChannelError, LogChannel, MemoryChannel};
pub use due::MarkDue;
pub use model::{Push, TEXT};
pub use outbox::Deliver;
pub use plan::DevicePlan;
pub use routes::{configure, configure_patient};
pub use texts::{CalendarTitles, calendar_titles};
