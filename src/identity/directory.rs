//! Remembers the patient of each account, which never changes once it is set, and the patients with whom members of
//! staff have had to do.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use super::store;
use crate::db::Db;
use crate::kernel::id::{Account, Patient};
use crate::kernel::{Id, Result};

/// The most bonds kept. When it is reached, the cache is emptied.
const CAPACITY: usize = 100_000;

/// A cache of the patients of accounts. Filled from committed rows only.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    patients: Arc<RwLock<HashMap<Id<Account>, Option<Id<Patient>>>>>,
    met: Arc<RwLock<HashSet<(Id<Account>, Id<Patient>)>>>,
}

impl Directory {
    /// Finds the patient of `account`; `None` for staff and for accounts that do not exist.
    pub async fn patient_of(&self, db: &Db, account: Id<Account>) -> Result<Option<Id<Patient>>> {
        if let Some(patient) = self.patients.read().unwrap_or_else(PoisonError::into_inner).get(&account) {
            return Ok(*patient);
        }
        let found = db.read(move |tx| store::find_account(tx, account)).await?;
        // For staff `None` is cached; for accounts that do not exist, nothing.
        let patient = found.as_ref().and_then(|row| row.patient_id);
        if found.is_some() {
            let mut known = self.patients.write().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= CAPACITY {
                known.clear();
            }
            known.insert(account, patient);
        }
        Ok(patient)
    }

    /// Whether `account` is known to have had to do with `patient`. It may no longer have: only the unit decides on
    /// access.
    pub fn has_met(&self, account: Id<Account>, patient: Id<Patient>) -> bool {
        self.met.read().unwrap_or_else(PoisonError::into_inner).contains(&(account, patient))
    }

    /// Notes that `account` has to do with `patient`.
    pub fn note_met(&self, account: Id<Account>, patient: Id<Patient>) {
        let mut met = self.met.write().unwrap_or_else(PoisonError::into_inner);
        if met.len() >= CAPACITY {
            met.clear();
        }
        met.insert((account, patient));
    }
}
