//! Remembers the patient of each account: that never changes once it is set.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::store;
use crate::db::Db;
use crate::kernel::id::{Account, Patient};
use crate::kernel::{Id, Result};

/// The most bonds kept. When it is reached, the cache is emptied.
const CAPACITY: usize = 100_000;

/// A cache of the patients behind accounts. Filled from committed rows only.
#[derive(Clone, Debug, Default)]
pub struct Directory(Arc<RwLock<HashMap<Id<Account>, Option<Id<Patient>>>>>);

impl Directory {
    /// Finds the patient of `account`; `None` for staff and for accounts that do not exist.
    pub async fn patient_of(&self, db: &Db, account: Id<Account>) -> Result<Option<Id<Patient>>> {
        if let Some(patient) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&account) {
            return Ok(*patient);
        }
        let found = db.read(move |tx| store::find_account(tx, account)).await?;
        // For staff `None` is cached; for accounts that do not exist, nothing.
        let patient = found.as_ref().and_then(|row| row.patient_id);
        if found.is_some() {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= CAPACITY {
                known.clear();
            }
            known.insert(account, patient);
        }
        Ok(patient)
    }
}
