//! The names of people and clinics: collected sealed in a unit, opened after it.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::clinics::clinic_place;
use super::model::ClinicDoc;
use super::store;
use crate::db::Tx;
use crate::identity::actions::open_profile;
use crate::identity::names_of;
use crate::kernel::id::{Account, Clinic};
use crate::kernel::{Error, Id, Result};
use crate::vault::{Keys, Vault};

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

    /// Opens the names, after the unit. Accounts whose keys were destroyed have none, nor have those that do not open.
    pub async fn open(self, vault: &Vault) -> Result<Names> {
        let mut names = Names::default();
        for (id, version, sealed) in self.accounts {
            let keys = vault.keys(id.uuid()).await;
            let name = keys.and_then(|keys| {
                let profile = keys.map(|keys| open_profile(&keys, id, version, &sealed)).transpose()?;
                Ok(profile.map(|profile| profile.name.into_string()))
            });
            match Error::skip_damaged(name)? {
                Some(name) => names.accounts.extend(name.map(|name| (id, name))),
                None => drop(names.unreadable.insert(id.uuid())),
            }
        }
        for (id, version, sealed) in self.clinics {
            let keys = vault.keys(id.uuid()).await;
            let name = keys.and_then(|keys| {
                let open = |keys: Keys| keys.open_json::<ClinicDoc>(&clinic_place(id, version), &sealed);
                Ok(keys.map(open).transpose()?.map(|doc| doc.name.into_string()))
            });
            match Error::skip_damaged(name)? {
                Some(name) => names.clinics.extend(name.map(|name| (id, name))),
                None => drop(names.unreadable.insert(id.uuid())),
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
    /// The accounts and clinics whose names do not open.
    unreadable: HashSet<Uuid>,
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

    /// Returns `Some(true)` when the name of one of these accounts and clinics does not open, for a view.
    pub fn unreadable(&self, ids: impl IntoIterator<Item = Uuid>) -> Option<bool> {
        ids.into_iter().any(|id| self.unreadable.contains(&id)).then_some(true)
    }

    /// The name of a clinic.
    pub fn clinic(&self, id: Id<Clinic>) -> Option<String> {
        self.clinics.get(&id).cloned()
    }
}
