//! The names of people and clinics: collected sealed in a unit, opened after it.

use std::collections::HashMap;

use super::clinics::clinic_place;
use super::model::ClinicDoc;
use super::store;
use crate::db::Tx;
use crate::identity::actions::open_profile;
use crate::identity::names_of;
use crate::kernel::id::{Account, Clinic};
use crate::kernel::{Id, Result};
use crate::vault::Vault;

/// Names that are still sealed.
#[derive(Debug, Default)]
pub struct SealedNames {
    accounts: Vec<(Id<Account>, i64, Vec<u8>)>,
    clinics: Vec<(Id<Clinic>, i64, Vec<u8>)>,
}

impl SealedNames {
    /// Reads the sealed names of these people and clinics. The caller has checked that they may be shown.
    pub fn collect(
        tx: &mut Tx<'_>,
        accounts: impl IntoIterator<Item = Id<Account>>,
        clinics: impl IntoIterator<Item = Id<Clinic>>,
    ) -> Result<Self> {
        let (mut accounts, mut clinics): (Vec<_>, Vec<_>) =
            (accounts.into_iter().collect(), clinics.into_iter().collect());
        accounts.sort_unstable();
        accounts.dedup();
        clinics.sort_unstable();
        clinics.dedup();
        let accounts = if accounts.is_empty() { Vec::new() } else { names_of(tx, &accounts)? };
        let clinics = if clinics.is_empty() { Vec::new() } else { store::clinic_docs(tx, &clinics)? };
        Ok(Self { accounts, clinics })
    }

    /// Opens the names, after the unit. Accounts whose keys were destroyed have none.
    pub async fn open(self, vault: &Vault) -> Result<Names> {
        let mut names = Names::default();
        for (id, version, sealed) in self.accounts {
            if let Some(keys) = vault.keys(id.uuid()).await? {
                names.accounts.insert(id, open_profile(&keys, id, version, &sealed)?.name.into_string());
            }
        }
        for (id, version, sealed) in self.clinics {
            if let Some(keys) = vault.keys(id.uuid()).await? {
                let doc: ClinicDoc = keys.open_json(&clinic_place(id, version), &sealed)?;
                names.clinics.insert(id, doc.name.into_string());
            }
        }
        Ok(names)
    }
}

/// Names of people and clinics.
#[derive(Default)]
pub struct Names {
    accounts: HashMap<Id<Account>, String>,
    clinics: HashMap<Id<Clinic>, String>,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Names({} people, {} clinics)", self.accounts.len(), self.clinics.len())
    }
}

impl Names {
    /// The name of a person.
    pub fn person(&self, id: Id<Account>) -> Option<String> {
        self.accounts.get(&id).cloned()
    }

    /// The name of a clinic.
    pub fn clinic(&self, id: Id<Clinic>) -> Option<String> {
        self.clinics.get(&id).cloned()
    }
}
