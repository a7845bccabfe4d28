//! The page of a pull. One unit reads the number of the last change, the changes and the rows: one snapshot.
//!
//! The number of a change is taken under the lock on the patient's head, which is held until the commit. A snapshot that
//! sees a number therefore sees all below it, and a cursor skips nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::epoch::{self, Epoch};
use super::kinds::{self, Held};
use super::model::{FirstPull, Kind, Phase, Place, Progress};
use crate::care::{Access, Read};
use crate::changes::{self, Head, Numbered};
use crate::db::Tx;
use crate::kernel::id::Any;
use crate::kernel::page::{BYTES, PageRequest};
use crate::kernel::{Id, Result};

/// The changes after which a page reads no more of them.
const WALK: usize = 1000;
/// The fewest changes that are read at once.
const STEP: usize = 50;

/// A page of a pull, still sealed.
#[derive(Debug)]
pub struct Pulled {
    /// The epoch of the data.
    pub epoch: Epoch,
    /// The things, each with the number of its last change.
    pub items: Vec<(i64, Held)>,
    /// The number up to which the phone has every change, if it has taken the pages before.
    pub seq: i64,
    /// The place of the next page.
    pub next: Place,
    /// Whether there is another page now.
    pub has_more: bool,
}

/// Reads the page that begins at `asked`; without a place it is the first page of a first pull.
///
/// # Errors
///
/// [`crate::kernel::Error::Resync`] for a place of another epoch, ahead of the data, or before changes that were
/// forgotten.
pub fn page(tx: &mut Tx<'_>, access: &Access<Read>, asked: PageRequest<Place>) -> Result<Pulled> {
    let epoch = epoch::current(tx)?;
    let Head { seq: head, horizon } = changes::head(tx, access.patient())?;
    let limit = asked.limit.items();
    let progress = match asked.after {
        None => Progress::First(FirstPull { base: head, began: access.now(), phase: 0, after: None }),
        Some(place) if place.epoch != epoch => return Err(epoch.resync("epoch")),
        Some(place) => place.progress,
    };
    let known = match progress {
        Progress::First(first) => first.base,
        Progress::Since(seq) => seq,
    };
    if known > head {
        tracing::error!(known, head, "a phone knows a change that the data do not have: were they restored?");
        metrics::counter!("sync_cursors_ahead_total").increment(1);
        return Err(epoch.resync("ahead"));
    }
    if known < horizon {
        return Err(epoch.resync("too_old"));
    }
    let (items, progress) = match progress {
        Progress::First(first) => first_page(tx, access, first, limit)?,
        Progress::Since(seq) => changed(tx, access, (seq, head), limit)?,
    };
    let (seq, has_more) = match progress {
        Progress::First(first) => (first.base, true),
        Progress::Since(seq) => (seq, seq < head),
    };
    Ok(Pulled { epoch, items, seq, next: Place { epoch, progress }, has_more })
}

/// Room of a page: items, and sealed bytes unless it is empty.
struct Room {
    items: usize,
    bytes: usize,
    empty: bool,
}

impl Room {
    fn new(items: usize) -> Self {
        Self { items, bytes: BYTES, empty: true }
    }

    /// Takes the room of a thing, if there is any.
    fn take(&mut self, bytes: usize) -> bool {
        let fits = self.items > 0 && (self.empty || bytes <= self.bytes);
        if fits {
            self.items -= 1;
            self.bytes = self.bytes.saturating_sub(bytes);
            self.empty = false;
        }
        fits
    }
}

type Page = (Vec<(i64, Held)>, Progress);

/// Reads the next things of a first pull. When it has all, it goes on with the changes since it began: what changed
/// meanwhile comes again.
fn first_page(tx: &mut Tx<'_>, access: &Access<Read>, mut pull: FirstPull, limit: usize) -> Result<Page> {
    let (mut items, mut room) = (Vec::new(), Room::new(limit));
    while let Some(&phase) = Phase::ORDER.get(pull.phase) {
        let begins = phase.first_page().filter(|_| pull.after.is_none());
        let most = room.items.min(begins.unwrap_or(usize::MAX));
        if most == 0 {
            return Ok((numbered(tx, access, items)?, Progress::First(pull)));
        }
        let asked = i64::try_from(most).unwrap_or(i64::MAX);
        let found = kinds::list(tx, access, (phase, &pull), asked)?;
        let last = found.len() < most;
        for (key, held) in found {
            if let Some(held) = held {
                if !room.take(held.bytes) {
                    return Ok((numbered(tx, access, items)?, Progress::First(pull)));
                }
                items.push(held);
            }
            pull.after = Some(key);
        }
        if last {
            pull = FirstPull { phase: pull.phase + 1, after: None, ..pull };
        }
        if begins.is_some() {
            return Ok((numbered(tx, access, items)?, Progress::First(pull)));
        }
    }
    Ok((numbered(tx, access, items)?, Progress::Since(pull.base)))
}

/// Finds the numbers of the last changes of `items`.
fn numbered(tx: &mut Tx<'_>, access: &Access<Read>, items: Vec<Held>) -> Result<Vec<(i64, Held)>> {
    let mut numbers = BTreeMap::new();
    for kind in Kind::ALL {
        let ids: Vec<_> = items.iter().filter(|held| held.kind == kind).map(|held| held.id).collect();
        let last = last_numbers(tx, access, kind, &ids)?;
        numbers.extend(last.into_iter().map(|(id, seq)| ((kind, id), seq)));
    }
    let number = |held: Held| (numbers.get(&(held.kind, held.id)).copied().unwrap_or(0), held);
    Ok(items.into_iter().map(number).collect())
}

fn last_numbers(tx: &mut Tx<'_>, access: &Access<Read>, kind: Kind, ids: &[Id<Any>]) -> Result<BTreeMap<Id<Any>, i64>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    changes::last_numbers(tx, access.patient(), kind.entity(), ids)
}

/// Reads the things that changed in `(since, head]`, each once, with its last number.
fn changed(tx: &mut Tx<'_>, access: &Access<Read>, (since, head): (i64, i64), limit: usize) -> Result<Page> {
    let (mut wanted, mut walked, mut end) = (Vec::new(), 0, since);
    // Mostly each change is the last of its thing: then no more are read than the page has room for.
    let step = limit.max(STEP);
    while wanted.len() < limit && walked < WALK && end < head {
        let rows = changes::list_numbered(tx, access.patient(), (end, head), i64::try_from(step).unwrap_or(i64::MAX))?;
        walked += rows.len();
        end = rows.last().filter(|_| rows.len() >= step).map_or(head, |last| last.seq);
        wanted.extend(last_changes(tx, access, rows, end < head)?);
    }
    let mut found = held_of(tx, access, wanted.iter().take(limit))?;
    let (mut items, mut room) = (Vec::new(), Room::new(limit));
    for (kind, Numbered { seq, id, .. }) in wanted {
        let thing = found.remove(&(kind, id)).unwrap_or_else(|| Held::gone(kind, id));
        if !room.take(thing.bytes) {
            return Ok((items, Progress::Since(seq - 1)));
        }
        items.push((seq, thing));
    }
    Ok((items, Progress::Since(end)))
}

/// Leaves of the changes those that are the last of a thing that phones hold. `beyond` says that there are more changes
/// after them.
fn last_changes(
    tx: &mut Tx<'_>,
    access: &Access<Read>,
    rows: Vec<Numbered>,
    beyond: bool,
) -> Result<Vec<(Kind, Numbered)>> {
    let rows: Vec<_> = rows.into_iter().filter_map(|row| Some((Kind::of(row.entity)?, row))).collect();
    let mut last: BTreeMap<(Kind, Id<Any>), i64> = rows.iter().map(|(kind, row)| ((*kind, row.id), row.seq)).collect();
    if beyond {
        for kind in Kind::ALL {
            let ids: BTreeSet<_> = last.keys().filter(|(of, _)| *of == kind).map(|(_, id)| *id).collect();
            let ids: Vec<_> = ids.into_iter().collect();
            let numbers = last_numbers(tx, access, kind, &ids)?;
            last.extend(numbers.into_iter().map(|(id, seq)| ((kind, id), seq)));
        }
    }
    Ok(rows.into_iter().filter(|(kind, row)| last.get(&(*kind, row.id)) == Some(&row.seq)).collect())
}

/// Reads the rows of changed things.
fn held_of<'n>(
    tx: &mut Tx<'_>,
    access: &Access<Read>,
    wanted: impl Iterator<Item = &'n (Kind, Numbered)>,
) -> Result<BTreeMap<(Kind, Id<Any>), Held>> {
    let mut ids: BTreeMap<Kind, Vec<Id<Any>>> = BTreeMap::new();
    for (kind, row) in wanted {
        ids.entry(*kind).or_default().push(row.id);
    }
    let mut found = BTreeMap::new();
    for (kind, ids) in ids {
        found.extend(kinds::find_pulled(tx, access, kind, &ids)?.into_iter().map(|held| ((kind, held.id), held)));
    }
    Ok(found)
}
