//! The keys that a task needs, fetched before its unit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::kernel::id::Patient;
use crate::kernel::{Id, Result};
use crate::state::State;
use crate::vault::Keys;

/// The keys of each patient; `None` for one whose keys were destroyed.
pub type KeyRing = Arc<HashMap<Id<Patient>, Option<Keys>>>;

/// Fetches the keys of patients, before a unit that needs them.
///
/// # Errors
///
/// When the keyring cannot be read.
pub async fn keys_of(state: &State, patients: Vec<Id<Patient>>) -> Result<KeyRing> {
    let mut ring = HashMap::new();
    for patient in patients {
        if let Entry::Vacant(place) = ring.entry(patient) {
            place.insert(state.vault.keys(patient.uuid()).await?);
        }
    }
    Ok(Arc::new(ring))
}
