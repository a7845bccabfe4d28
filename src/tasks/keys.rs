//! The keys that a task needs, fetched before its unit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::kernel::id::Patient;
use crate::kernel::{Error, Id, Result};
use crate::state::State;
use crate::vault::Keys;

/// The keys of each patient; `None` for one whose keys were destroyed. Patients whose keys do not open are left out.
pub type KeyRing = Arc<HashMap<Id<Patient>, Option<Keys>>>;

/// Fetches the keys of patients, before a unit that needs them.
///
/// # Errors
///
/// When the keyring cannot be read.
pub async fn keys_of(state: &State, patients: Vec<Id<Patient>>) -> Result<KeyRing> {
    let mut ring = HashMap::new();
    for patient in patients {
        if let Entry::Vacant(place) = ring.entry(patient)
            && let Some(keys) = Error::skip_damaged(state.vault.keys(patient.uuid()).await)?
        {
            place.insert(keys);
        }
    }
    Ok(Arc::new(ring))
}
