//! The order of items by which one of them is the newest.

use std::cmp::Reverse;

use jiff::Timestamp;

use crate::care::Access;
use crate::changes::{self, Entity};
use crate::db::Tx;
use crate::kernel::id::Any;
use crate::kernel::{Id, Result};

/// Sorts a list of a kind of item that is newest first: of items of the same second, the one that was changed last is the newest. `of`
/// returns the instant of an item and its id.
///
/// # Errors
///
/// When the changes cannot be read.
pub fn sort_newest_first<A, R>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    kind: Entity,
    list: &mut [R],
    of: impl Fn(&R) -> (Timestamp, Id<Any>),
) -> Result<()> {
    let groups = list.chunk_by(|one, other| of(one).0 == of(other).0).filter(|group| group.len() > 1);
    let same: Vec<_> = groups.flatten().map(|one| of(one).1).collect();
    if same.is_empty() {
        return Ok(());
    }
    let numbers = changes::last_numbers(tx, access.patient(), kind, &same)?;
    list.sort_by_key(|one| {
        let (at, id) = of(one);
        Reverse((at, numbers.get(&id).copied()))
    });
    Ok(())
}
