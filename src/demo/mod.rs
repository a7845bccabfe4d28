//! A believable clinic to look around in: people, infusions, entries, exercises, shares.
//!
//! Owns the story (data files of what happens on which day) and the stage on which it is played. The story is played
//! against a clock that starts ten weeks ago and is moved forward: people log in, doors are opened, actions are called
//! and the background work is done at the time it is due. So the rows are those that the product itself would have
//! stored, down to the access log and the change numbers.
//!
//! The same seed and the same present give the same people, ids, entries and plans. Codes, tokens and the keys that
//! seal are drawn from the system all the same ([`entropy`]): the database of a demo lies on a disk, and `serve`
//! answers for it. The keys of its prompts' ids follow from the seed.
//!
//! Everybody's times hang on the present. One patient lives where the clocks change in these weeks (`zones`); where in
//! the year none do, it is the zone whose clocks change next or have last. One patient has no clinic: she registered
//! with a therapist's code, which registration requires, and ended the link before it was confirmed: no therapist
//! has read anything of hers.
//!
//! Nobody in it is real, and nothing in it is advice.

mod cast;
mod guide;
mod patient;
mod play;
mod staff;
mod stage;
mod story;
mod zones;

pub use guide::{DemoClinic, LogIn};
pub use stage::PASSPHRASE;

use jiff::{SignedDuration, Timestamp};

use crate::app::Server;
use crate::kernel::{Clock, Entropy, Error, Result};

/// The length of the story.
const BEGINS: SignedDuration = SignedDuration::from_hours(70 * 24);

/// Returns the beginning of a story that ends at `now`, at which the clock of the server to fill has to stand.
pub fn beginning(now: Timestamp) -> Timestamp {
    now.saturating_sub(BEGINS).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Returns the entropy of a server whose demo is kept: its ids follow from `seed`, its secrets do not.
pub fn entropy(seed: u64) -> Entropy {
    Entropy::with_ids_of(seed)
}

/// Fills a new database with a clinic whose present is `now`.
///
/// # Errors
///
/// [`Error::Internal`] with words for the operator when there is a clinic already.
pub async fn fill(server: &Server, now: Timestamp) -> Result<DemoClinic> {
    let Clock::Manual(_) = &server.state.clock else {
        return Err(Error::internal("the demo needs a clock that it can move"));
    };
    server.state.clock.set(beginning(now));
    let stage = stage::DemoServer::new(server);
    let mut work = cast::set_up_clinic(&stage).await?;
    let mut patients = cast::patients(story::patients()?, now)?;
    let summary = play::play(&stage, &mut work, &mut patients, now).await?;
    stage.advance(now).await?;
    cast::leave(&stage, &mut work, &mut patients).await?;
    Ok(guide::clinic_guide(&work, &patients, summary))
}
