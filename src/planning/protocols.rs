//! The protocols that a server knows, by key and version: those of the program, and those that clinics have published.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;

use super::plan::Planned;
use super::protocol::{Protocol, Rule};
use crate::kernel::Id;
use crate::kernel::id::Clinic;

/// A published version of a protocol of a clinic.
#[derive(Clone, Debug)]
pub struct PublishedVersion {
    /// The version.
    pub protocol: Arc<Protocol>,
    /// The clinic whose it is.
    pub clinic: Id<Clinic>,
    /// The instant from which plans are made by it. By then every process knows it.
    pub from: Timestamp,
    /// Whether new plans are no longer made by it.
    pub retired: bool,
}

/// What a clinic has chosen for its patients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClinicChoice {
    /// The key of the protocol; `None` for the program's.
    pub protocol: Option<String>,
    /// A number that grows with every change of the clinic's protocols.
    pub version: i64,
}

/// Every version of every protocol that a server knows. Plans are made by one of them. A prompt keeps the texts, the
/// minutes and the rule of the version by which it was planned.
#[derive(Clone, Debug)]
pub struct Protocols {
    current: Arc<Protocol>,
    all: Vec<Arc<Protocol>>,
    published: Vec<PublishedVersion>,
    choices: BTreeMap<Id<Clinic>, ClinicChoice>,
}

impl Protocols {
    /// Creates the set of `first` and `more`, which may be versions of it and other protocols. Plans are made by the
    /// newest version of `first`.
    pub fn new(first: Protocol, more: impl IntoIterator<Item = Protocol>) -> Self {
        let mut current = Arc::new(first);
        let mut all: Vec<_> = std::iter::once(Arc::clone(&current)).chain(more.into_iter().map(Arc::new)).collect();
        all.sort_by(|one, two| (&one.key, one.version).cmp(&(&two.key, two.version)));
        if let Some(newest) = all.iter().rev().find(|one| one.key == current.key) {
            current = Arc::clone(newest);
        }
        Self { current, all, published: Vec::new(), choices: BTreeMap::new() }
    }

    /// Returns the protocols that are part of the program.
    pub fn shipped() -> Self {
        Self::new(Protocol::default_v1().clone(), [])
    }

    /// Returns the same protocols of the program with these of clinics, and with the protocol that each clinic has
    /// chosen for its patients.
    #[must_use]
    pub fn with(&self, mut published: Vec<PublishedVersion>, choices: BTreeMap<Id<Clinic>, ClinicChoice>) -> Self {
        let order = |one: &PublishedVersion| (one.protocol.key.clone(), one.protocol.version);
        published.sort_by_key(order);
        Self { current: Arc::clone(&self.current), all: self.all.clone(), published, choices }
    }

    /// Returns the protocol by which plans are made, if no clinic has another.
    pub fn current(&self) -> &Protocol {
        &self.current
    }

    /// Whether clinics have published protocols.
    pub fn has_others(&self) -> bool {
        !self.published.is_empty()
    }

    /// Lists every published version of the protocols of clinics.
    pub fn published(&self) -> &[PublishedVersion] {
        &self.published
    }

    /// Returns the protocol that a clinic has chosen for its patients.
    pub fn default_of(&self, clinic: Id<Clinic>) -> Option<&str> {
        self.choices.get(&clinic)?.protocol.as_deref()
    }

    /// Returns what each clinic has chosen.
    pub fn choices(&self) -> &BTreeMap<Id<Clinic>, ClinicChoice> {
        &self.choices
    }

    /// Finds the version of a clinic's protocol by which plans are made at `now`: the newest that is in force and not
    /// retired.
    pub fn in_force(&self, key: &str, now: Timestamp) -> Option<&PublishedVersion> {
        let fits = |one: &&PublishedVersion| one.protocol.key == key && one.from <= now && !one.retired;
        self.published.iter().rev().find(fits)
    }

    /// Returns the instant after `now` at which a version of a protocol of `clinics` next comes into force.
    pub fn next_in_force(&self, clinics: &[Id<Clinic>], now: Timestamp) -> Option<Timestamp> {
        let coming = self.published.iter().filter(|one| now < one.from && clinics.contains(&one.clinic));
        coming.map(|one| one.from).min()
    }

    /// Lists every version of the program's protocols and of those of `clinics`, by key and version. The instant beside a
    /// clinic is the end of the care link there: versions that came into force after it are left out.
    pub fn every_version(&self, clinics: &[(Id<Clinic>, Option<Timestamp>)]) -> impl Iterator<Item = &Protocol> {
        let met = |one: &PublishedVersion, (clinic, ended): (Id<Clinic>, Option<Timestamp>)| {
            clinic == one.clinic && ended.is_none_or(|ended| one.from <= ended)
        };
        let own = self.published.iter().filter(move |one| clinics.iter().any(|clinic| met(one, *clinic)));
        let own = own.map(|one| &one.protocol);
        self.all.iter().chain(own).map(AsRef::as_ref)
    }

    fn known(&self) -> impl DoubleEndedIterator<Item = &Protocol> {
        self.all.iter().chain(self.published.iter().map(|one| &one.protocol)).map(AsRef::as_ref)
    }

    /// Finds a version of a protocol.
    pub fn get(&self, key: &str, version: u32) -> Option<&Protocol> {
        self.known().find(|one| one.key == key && one.version == version)
    }

    /// Finds the newest version of a protocol of the program.
    pub fn newest(&self, key: &str) -> Option<&Protocol> {
        self.all.iter().map(AsRef::as_ref).rfind(|one| one.key == key)
    }

    /// Lists the newest version of each protocol of the program, by key.
    pub fn list(&self) -> impl Iterator<Item = &Protocol> {
        self.all.chunk_by(|one, two| one.key == two.key).filter_map(|versions| versions.last().map(AsRef::as_ref))
    }

    /// Finds the protocol by which `planned` was planned. The newest known version replaces one that only a newer
    /// server knows.
    pub fn of(&self, planned: &Planned) -> &Protocol {
        let newest = || self.known().rfind(|one| one.key == planned.protocol);
        self.get(&planned.protocol, planned.protocol_version).or_else(newest).unwrap_or(&self.current)
    }

    /// Finds the rule that made `planned`, as it was then.
    pub fn rule_of<'a>(&'a self, planned: &'a Planned) -> Option<&'a Rule> {
        planned.own.as_deref().or_else(|| self.of(planned).rule(&planned.rule_key))
    }
}

/// The protocols of a running server, which grow while clinics publish. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProtocolLibrary(Arc<RwLock<KnownProtocols>>, Arc<AtomicBool>);

/// What a running server knows of protocols.
#[derive(Debug)]
struct KnownProtocols {
    protocols: Arc<Protocols>,
    /// The instant at which they were read last.
    read_at: Option<Timestamp>,
    /// The instant from which they are read again though nothing has changed: a published version did not open.
    again_at: Option<Timestamp>,
}

/// A claim on reading the published versions. It ends when it is dropped.
#[derive(Debug)]
pub struct Reading(Arc<AtomicBool>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl ProtocolLibrary {
    /// Creates the library of a server that has not read what clinics have published.
    pub fn new(protocols: Protocols) -> Self {
        let known = KnownProtocols { protocols: Arc::new(protocols), read_at: None, again_at: None };
        Self(Arc::new(RwLock::new(known)), Arc::default())
    }

    /// Claims the next reading of the published versions; `None` while another reading is under way.
    pub fn begin(&self) -> Option<Reading> {
        let free = self.1.compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire);
        free.ok().map(|_| Reading(Arc::clone(&self.1)))
    }

    fn shared(&self) -> RwLockReadGuard<'_, KnownProtocols> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, KnownProtocols> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the protocols as they are known now.
    pub fn known(&self) -> Arc<Protocols> {
        Arc::clone(&self.shared().protocols)
    }

    /// Returns the instant at which they were read last.
    pub fn read_at(&self) -> Option<Timestamp> {
        self.shared().read_at
    }

    /// Whether a published version that did not open is to be tried again at `now`.
    pub fn is_to_try_again(&self, now: Timestamp) -> bool {
        self.shared().again_at.is_some_and(|at| at <= now)
    }

    /// Puts the protocols that were read at `at` in the place of those that are known. From `again_at` on they are read
    /// again though nothing has changed.
    pub fn replace(&self, protocols: Protocols, at: Timestamp, again_at: Option<Timestamp>) {
        *self.exclusive() = KnownProtocols { protocols: Arc::new(protocols), read_at: Some(at), again_at };
    }

    /// Notes that nothing was new at `at`.
    pub fn note(&self, at: Timestamp) {
        self.exclusive().read_at = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(key: &str, version: u32) -> Protocol {
        Protocol { key: key.to_owned(), version, ..Protocol::default_v1().clone() }
    }

    #[test]
    fn plans_are_made_by_the_newest_version_of_the_first_protocol() {
        let known = Protocols::new(version("a", 2), [version("b", 9), version("a", 10), version("a", 1)]);
        assert_eq!((known.current().key.as_str(), known.current().version), ("a", 10));
        assert_eq!(known.newest("b").map(|one| one.version), Some(9));
        assert_eq!(known.get("a", 1).map(|one| one.version), Some(1));
        assert!(known.get("a", 3).is_none() && known.newest("c").is_none());
        let list: Vec<_> = known.list().map(|one| (one.key.as_str(), one.version)).collect();
        assert_eq!(list, [("a", 10), ("b", 9)]);
    }
}
