//! The work that falls due while a manual clock is moved.

use jiff::Timestamp;

use super::tick;
use crate::kernel::{Error, Result};
use crate::state::State;
use crate::tasks::Tasks;

/// The most rounds of work at one time.
const ROUNDS: usize = 10_000;

/// Moves a manual clock forward to `to`, and does the work that falls due on the way, in order, each at its time.
/// Returns the number of deliveries that left. If `to` has passed, the clock stays and only the work due now is done.
///
/// # Errors
///
/// When database or keyring cannot be reached. The clock then stands where that happened.
pub async fn advance(state: &State, tasks: &Tasks<'_>, to: Timestamp) -> Result<usize> {
    let (mut sent, mut rounds) = (0, 0);
    while rounds < ROUNDS {
        let now = state.clock.now();
        let outcome = tick(state, tasks, now).await?;
        sent += outcome.sent;
        match outcome.next {
            Some(next) if next <= to => {
                rounds = if next > now { 0 } else { rounds + 1 };
                state.clock.set(next.max(now));
            }
            _ => {
                state.clock.set(to.max(now));
                return Ok(sent);
            }
        }
    }
    Err(Error::internal("the background work has no end"))
}
