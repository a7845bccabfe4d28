//! Sets of documents that stay open from one unit to the next.
//!
//! Planning needs all infusions and all pauses of a patient, an entry all rules of sharing, and most are as they were
//! before. A document is known by the hash of all its sealed bytes: one that was changed or damaged is another one.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Arc, LazyLock};

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::keys::Keys;
use super::seal::SealContext;
use crate::db::Tx;
use crate::kernel::{Error, Result};

/// The fewest documents of a set that stays open. To open fewer takes a fraction of a millisecond, and most patients
/// have fewer.
const FEWEST: usize = 40;
/// The most bytes of a sealed document that stays open.
const BYTES: usize = 1024;

/// The documents of a set that are open: the content by row, with the stamp of what was opened.
struct OpenSet<T>(HashMap<Uuid, (u64, Arc<T>)>);

impl Keys {
    /// Opens all documents of a set, each with its place, in their order; `None` for one that does not open. If there
    /// are many, they stay open once the unit is durable. Of each type there is one set.
    ///
    /// # Errors
    ///
    /// Faults other than documents that do not open.
    pub fn open_set<T>(&self, tx: &mut Tx<'_>, sealed: &[(SealContext, &[u8])]) -> Result<Vec<Option<Arc<T>>>>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let kept = self.kept::<OpenSet<T>>();
        let (mut all, mut open, mut any_new) = (Vec::with_capacity(sealed.len()), Vec::new(), false);
        for (place, bytes) in sealed {
            let stamp = stamp((place.table, place.revision, bytes));
            let known = kept.as_ref().and_then(|kept| kept.0.get(&place.row)).filter(|(of, _)| *of == stamp);
            let content = match known {
                Some((_, content)) => Some(Arc::clone(content)),
                None => Error::skip_damaged(self.open_json(place, bytes))?.map(Arc::new),
            };
            if sealed.len() >= FEWEST
                && bytes.len() <= BYTES
                && let Some(content) = &content
            {
                any_new |= known.is_none();
                open.push((place.row, (stamp, Arc::clone(content))));
            }
            all.push(content);
        }
        if any_new {
            let keys = self.clone();
            tx.after_commit(move || keys.keep(Arc::new(OpenSet(open.into_iter().collect()))));
        }
        Ok(all)
    }
}

/// Returns the stamp of a sealed document, given with its version: a hash of all of it, which is good in this process.
/// While it is the same, what was opened before is what opens now.
pub fn stamp(document: impl Hash) -> u64 {
    static STAMPS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    STAMPS.hash_one(document)
}
