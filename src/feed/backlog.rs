//! What a unit has touched and left to later units, in portions: a grant by rule may open thousands of entries at once.
//!
//! A portion names things, not what anybody sees of them. The unit that follows it looks at what is open by then, so a
//! portion that comes late, or twice, tells nothing wrong.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::model::{Portion, Touch};
use super::store;
use crate::changes::{self, Bytes};
use crate::db::Tx;
use crate::kernel::id::{FeedPortion, Patient};
use crate::kernel::{Error, Id, Result};
use crate::tasks::{Due, Task, TaskProgress, TaskRun};
use crate::vault::{MacLabel, Vault};

/// The most things of one kind that a unit follows itself.
pub(super) const PORTION: usize = 100;
/// The most portions of one round.
const PORTIONS: i64 = 20;

/// Returns the id of a portion. Portions that say the same are one.
fn id_of(vault: &Vault, portion: &Portion) -> Id<FeedPortion> {
    let Portion { patient, at, kind, touch: Touch { opened, all, sections }, things } = portion;
    let patient = patient.uuid();
    let things: Vec<u8> = things.iter().flat_map(|id| *id.uuid().as_bytes()).collect();
    let (at, kind) = (at.as_microsecond().to_be_bytes(), kind.number().to_be_bytes());
    let (touch, sections) = ([u8::from(*opened), u8::from(*all)], sections.to_be_bytes());
    let of: [&[u8]; 7] = [b"feed portion", patient.as_bytes(), &at, &kind, &touch, &sections, &things];
    Id::from_mac(&vault.mac(MacLabel::ReaderTag, &of))
}

/// Stores portions.
pub(super) fn insert(tx: &mut Tx<'_>, vault: &Vault, portions: &[Portion]) -> Result<()> {
    portions.iter().try_for_each(|portion| store::insert_portion(tx, id_of(vault, portion), portion))
}

/// Follows the portions that were left, each in a unit.
#[derive(Clone, Copy, Debug)]
pub struct Follow;

impl Task for Follow {
    fn name(&self) -> &'static str {
        "feed-backlog"
    }

    fn next_due(&self) -> &'static [Due] {
        const { &[Due::at("feed_backlog", "at")] }
    }

    fn run<'a>(&'a self, round: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        round.in_portions(move |left_out| follow(round, left_out).boxed())
    }
}

async fn follow(round: TaskRun<'_>, left_out: Vec<Id<Patient>>) -> Result<usize> {
    let TaskRun { state, now, put_off, .. } = round;
    let portions = state.db.read(move |tx| store::list_portions(tx, &left_out, PORTIONS)).await?;
    let mut followed = 0;
    for (patient, id) in portions {
        // The portions of a patient are followed in their order.
        if put_off.holds(patient, now) {
            continue;
        }
        let unit = state.db.write_bulk(move |tx| follow_portion(tx, (patient, id), now));
        followed += put_off.note(patient, now, unit.await)?.unwrap_or_default();
    }
    Ok(followed)
}

/// Takes a portion and notes it for the last step of this unit. The head of the patient is held, so what is open to
/// each reader does not change meanwhile.
fn follow_portion(tx: &mut Tx<'_>, (patient, id): (Id<Patient>, Id<FeedPortion>), now: Timestamp) -> Result<usize> {
    match changes::take(tx, patient, 0, Bytes::default()) {
        Ok(_) => {}
        Err(Error::NotFound) => return store::delete_portion(tx, patient, id).map(|()| 0),
        Err(error) => return Err(error),
    }
    let Some(portion) = store::find_portion(tx, patient, id)? else { return Ok(0) };
    store::delete_portion(tx, patient, id)?;
    // What is open is judged by the present instant.
    tx.note(Portion { at: now, ..portion });
    Ok(1)
}
