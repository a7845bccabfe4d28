//! The comparison of the versions that a phone holds with those of the data, after a restore or when a phone is in doubt.
//!
//! One unit reads the versions of all that the patient has, and of the history what the answer needs: one snapshot. It
//! opens nothing and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::epoch::{self, Epoch};
use super::model::{FirstPull, Kind, Place, Progress};
use super::versions::{self, Present};
use crate::care::{Access, Read};
use crate::changes;
use crate::db::Tx;
use crate::kernel::id::Any;
use crate::kernel::{Id, Result, limits};

/// A thing that a phone holds, at one version.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name of its kind, which may be unknown here.
    pub kind: String,
    /// Its id.
    pub id: Id<Any>,
    /// The version that the phone holds.
    pub version: i64,
    /// Whether the phone holds a tombstone.
    pub deleted: bool,
}

/// The state of a phone's copy of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyState {
    /// It is what the data have.
    Equal,
    /// The data do not have its version yet, or not any more.
    Ahead,
    /// The data have a later version, which came from it.
    Behind,
    /// The data have a later version, and never had this one.
    Diverged,
    /// The data have no such thing.
    Unknown,
    /// Of the same version, one is a tombstone and the other is not.
    Deleted,
}

impl CopyState {
    /// Returns the name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Ahead => "ahead",
            Self::Behind => "behind",
            Self::Diverged => "diverged",
            Self::Unknown => "unknown",
            Self::Deleted => "deleted",
        }
    }
}

/// A copy that was compared: its state, and the version of the data with whether that is a tombstone.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// The state of the copy.
    pub state: CopyState,
    /// The version of the data; 0 for what they do not have.
    pub version: i64,
    /// Whether the data have a tombstone.
    pub deleted: bool,
}

const UNKNOWN: Compared = Compared { state: CopyState::Unknown, version: 0, deleted: false };

/// A thing that a phone did not name, with its version.
pub type Missing = (Kind, Id<Any>, i64);

/// The differences between a phone and the data.
#[derive(Debug)]
pub struct Differences {
    /// The epoch of the data.
    pub epoch: Epoch,
    /// The place of a pull of everything that began with the comparison: what changes after it comes with that pull.
    pub pull: Place,
    /// The named things, in the order of the request.
    pub compared: Vec<Compared>,
    /// Things that the phone did not name, by kind and id.
    pub missing: Vec<Missing>,
    /// Whether there are more of them.
    pub more: bool,
}

/// Compares what a phone holds with the data.
///
/// # Errors
///
/// When the data cannot be read.
pub fn compare(tx: &mut Tx<'_>, access: &Access<Read>, have: &[Named]) -> Result<Differences> {
    let epoch = epoch::current(tx)?;
    let base = changes::head(tx, access.patient())?.seq;
    let first = FirstPull { base, began: access.now(), phase: 0, after: None };
    let pull = Place { epoch, progress: Progress::First(first) };
    let most = usize::try_from(limits::INTEGRITY_ITEMS).unwrap_or(usize::MAX);
    let mut compared = vec![UNKNOWN; have.len()];
    let (mut missing, mut deleted_entries) = (Vec::new(), BTreeSet::new());
    for kind in Kind::ALL {
        let mut present = versions::list(tx, access, kind)?;
        // With the tombstone of an entry a phone removes its comments.
        for thing in present.values_mut() {
            thing.deleted |= thing.entry.is_some_and(|entry| deleted_entries.contains(&entry));
        }
        let (slots, named): (Vec<_>, Vec<_>) =
            compared.iter_mut().zip(have).filter(|(_, named)| named.kind == kind.name()).unzip();
        for (slot, state) in slots.into_iter().zip(compare_kind(tx, access, kind, &named, &present)?) {
            *slot = state;
        }
        if kind == Kind::Entry {
            deleted_entries = present.iter().filter(|(_, entry)| entry.deleted).map(|(id, _)| *id).collect();
        }
        let ids: BTreeSet<_> = named.iter().map(|named| named.id).collect();
        let others = present.iter().filter(|(id, thing)| !thing.deleted && !ids.contains(id));
        missing.extend(others.map(|(id, thing)| (kind, *id, thing.version)).take(most + 1 - missing.len()));
    }
    let more = missing.len() > most;
    missing.truncate(most);
    Ok(Differences { epoch, pull, compared, missing, more })
}

/// Compares the named things of one kind.
fn compare_kind(
    tx: &mut Tx<'_>,
    access: &Access<Read>,
    kind: Kind,
    named: &[&Named],
    present: &BTreeMap<Id<Any>, Present>,
) -> Result<Vec<Compared>> {
    let absent: Vec<_> = named.iter().map(|named| named.id).filter(|id| !present.contains_key(id)).collect();
    let last = changes::last_versions(tx, access.patient(), kind.entity(), &absent)?;
    let older = |named: &&Named| {
        let version = present.get(&named.id).map(|thing| thing.version).or_else(|| last.get(&named.id).copied());
        version.is_some_and(|version| named.version < version).then_some((named.id, named.version))
    };
    let older: Vec<_> = named.iter().filter_map(older).collect();
    let made = changes::list_made_versions(tx, access.patient(), kind.entity(), &older)?;
    let judge = |named: &&Named| {
        let (version, deleted) = match (present.get(&named.id), last.get(&named.id)) {
            (Some(thing), _) => (thing.version, thing.deleted),
            // No row of it is left, as a pull tells too. There is nothing that two tombstones could differ in.
            (None, Some(_)) if named.deleted => (named.version, true),
            (None, Some(version)) => (*version, true),
            (None, None) => return UNKNOWN,
        };
        let state = if named.version > version {
            CopyState::Ahead
        } else if named.version < version {
            if made.contains(&(named.id, named.version)) { CopyState::Behind } else { CopyState::Diverged }
        } else if named.deleted == deleted || present.get(&named.id).is_some_and(|thing| thing.entry.is_some()) {
            // A comment goes with its entry: whether a phone has dropped it is told by the entry.
            CopyState::Equal
        } else {
            CopyState::Deleted
        };
        Compared { state, version, deleted }
    };
    Ok(named.iter().map(judge).collect())
}
