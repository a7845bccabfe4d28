//! The protocols that a server knows, by key and version.

use std::sync::Arc;

use super::plan::Planned;
use super::protocol::{Protocol, Rule};

/// Every version of every protocol that a server knows. Plans are made by one of them. A prompt keeps the texts, the
/// minutes and the rule of the version by which it was planned.
#[derive(Clone, Debug)]
pub struct Protocols {
    current: Arc<Protocol>,
    all: Vec<Arc<Protocol>>,
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
        Self { current, all }
    }

    /// Returns the protocols that are part of the program.
    pub fn shipped() -> Self {
        Self::new(Protocol::default_v1().clone(), [])
    }

    /// Returns the protocol by which plans are made.
    pub fn current(&self) -> &Protocol {
        &self.current
    }

    /// Lists every version of every protocol, by key and version.
    pub fn every_version(&self) -> impl Iterator<Item = &Protocol> {
        self.all.iter().map(AsRef::as_ref)
    }

    /// Finds a version of a protocol.
    pub fn get(&self, key: &str, version: u32) -> Option<&Protocol> {
        self.every_version().find(|one| one.key == key && one.version == version)
    }

    /// Finds the newest version of a protocol.
    pub fn newest(&self, key: &str) -> Option<&Protocol> {
        self.all.iter().map(AsRef::as_ref).rfind(|one| one.key == key)
    }

    /// Lists the newest version of each protocol, by key.
    pub fn list(&self) -> impl Iterator<Item = &Protocol> {
        self.all.chunk_by(|one, two| one.key == two.key).filter_map(|versions| versions.last().map(AsRef::as_ref))
    }

    /// Finds the protocol by which `planned` was planned. The newest known version replaces one that only a newer
    /// server knows.
    pub fn of(&self, planned: &Planned) -> &Protocol {
        let known = self.get(&planned.protocol, planned.protocol_version).or_else(|| self.newest(&planned.protocol));
        known.unwrap_or(&self.current)
    }

    /// Finds the rule that made `planned`, as it was then.
    pub fn rule_of(&self, planned: &Planned) -> Option<&Rule> {
        self.of(planned).rule(&planned.rule_key)
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
