//! A believable clinic for somebody who wants to look around: people, infusions, entries, shares.
//!
//! Owns the story (a data file of what happens on which day) and the stage on which it is played. The story is played
//! against a clock that starts three weeks ago and is moved forward: people log in, doors are opened, actions are
//! called and the background work is done at the time it is due. So what is stored is what the product itself would
//! have stored, down to the access log and the change numbers. The story is the same every time; ids and keys are not.
//!
//! Nobody in it is real, and nothing in it is advice.

mod cast;
mod guide;
mod stage;
mod story;

pub use guide::{Filled, LogIn, PASSPHRASE};

use jiff::{SignedDuration, Timestamp};

use crate::app::Server;
use crate::kernel::{Clock, Error, Result};

/// How long ago the story begins.
const BEGINS: SignedDuration = SignedDuration::from_hours(22 * 24);

/// When a story that ends at `now` begins: where the clock of the server to fill has to stand.
pub fn beginning(now: Timestamp) -> Timestamp {
    now.saturating_sub(BEGINS).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Fills a new database with a clinic whose present is `now`.
///
/// # Errors
///
/// [`Error::Internal`] with words for the operator when there is a clinic already.
pub async fn fill(server: &Server, now: Timestamp) -> Result<Filled> {
    let Clock::Manual(_) = &server.state.clock else {
        return Err(Error::internal("the demo needs a clock that it can move"));
    };
    server.state.clock.set(beginning(now));
    let mut stage = stage::Stage::new(server);
    let mut cast = cast::gather(&mut stage).await?;
    let told = story::play(&mut stage, &mut cast, now).await?;
    stage.advance(now).await?;
    cast.leave(&stage).await?;
    guide::filled(&cast, told)
}
