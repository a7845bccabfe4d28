//! The last change of each field of a document, for merging what was written without knowing of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// When each field of a document was last changed, and what it was before. The document has versions that count from 1;
/// it keeps this beside its fields.
///
/// Of each field only the last change is kept, so it stays small. What a field was before an earlier change is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldHistory {
    /// The version from which on changes were noted; 0 before the first.
    since: i64,
    fields: BTreeMap<String, LastChange>,
}

/// The last change of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LastChange {
    /// The version that it made.
    version: i64,
    /// The version that had made the value before it, as far as is known.
    from: i64,
    /// The value before it.
    was: Value,
}

/// What a field was in a version that somebody has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'h> {
    /// What it is now.
    Same,
    /// This.
    Was(&'h Value),
    /// It was changed since, more than once: what it was is not known.
    Unknown,
}

impl FieldHistory {
    /// Whether nothing was noted yet.
    pub fn is_empty(&self) -> bool {
        self.since == 0
    }

    /// Returns the history after the change of a document with these fields from `before` to `after`, which makes
    /// `version`.
    #[must_use]
    pub fn noted(&self, version: i64, before: &Map<String, Value>, after: &Map<String, Value>) -> Self {
        let since = if self.is_empty() { version - 1 } else { self.since };
        let mut fields = self.fields.clone();
        for name in before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))) {
            let (was, is) = (before.get(name), after.get(name));
            if was != is {
                let from = fields.get(name).map_or(since, |last| last.version);
                let was = was.cloned().unwrap_or_default();
                fields.insert(name.clone(), LastChange { version, from, was });
            }
        }
        Self { since, fields }
    }

    /// Returns what the field `name` was in version `seen` of a document that is now in version `present`.
    pub fn at(&self, name: &str, seen: i64, present: i64) -> Seen<'_> {
        match self.fields.get(name) {
            _ if seen >= present => Seen::Same,
            Some(last) if last.version <= seen => Seen::Same,
            Some(last) if last.from <= seen => Seen::Was(&last.was),
            None if !self.is_empty() && self.since <= seen => Seen::Same,
            Some(_) | None => Seen::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_field_was_is_known_as_far_back_as_its_last_change_but_one() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let first = map(json!({ "a": 1, "b": 1 }));
        let (second, third) = (map(json!({ "a": 2, "b": 1 })), map(json!({ "a": 3, "b": 1, "c": 1 })));
        let history = FieldHistory::default();
        assert_eq!((history.at("a", 1, 1), history.at("a", 0, 1)), (Seen::Same, Seen::Unknown));
        let history = history.noted(2, &first, &second);
        assert_eq!((history.at("a", 1, 2), history.at("b", 1, 2)), (Seen::Was(&json!(1)), Seen::Same));
        let history = history.noted(3, &second, &third);
        assert_eq!((history.at("a", 1, 3), history.at("a", 2, 3)), (Seen::Unknown, Seen::Was(&json!(2))));
        assert_eq!((history.at("a", 3, 3), history.at("a", 9, 3)), (Seen::Same, Seen::Same));
        assert_eq!((history.at("b", 1, 3), history.at("b", 0, 3)), (Seen::Same, Seen::Unknown));
        assert_eq!((history.at("c", 2, 3), history.at("c", 0, 3)), (Seen::Was(&Value::Null), Seen::Unknown));
        // What was not noted from the first version on is not known before.
        let late = FieldHistory::default().noted(6, &first, &second);
        assert_eq!(
            (late.at("b", 5, 6), late.at("b", 4, 6), late.at("a", 4, 6)),
            (Seen::Same, Seen::Unknown, Seen::Unknown)
        );
    }
}
