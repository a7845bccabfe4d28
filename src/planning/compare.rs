//! Compares two versions of a protocol: what is different in them, and what that changes for a patient.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::burden::{Asked, induction};
use super::protocol::Protocol;

/// One difference between two versions.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The rule, if it is one of a rule.
    pub rule_key: Option<String>,
    /// The member of the rule or of the protocol; nothing for a whole rule that came or went.
    pub member: Option<String>,
    /// The value before; nothing if there was none.
    pub before: Option<Value>,
    /// The value after; nothing if there is none.
    pub after: Option<Value>,
}

/// What a sample induction is asked by one of two versions only, or at another time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// What is no longer asked.
    pub gone: Vec<Asked>,
    /// What is asked anew.
    pub new: Vec<Asked>,
    /// What is asked at another time, or takes longer or shorter: before and after.
    pub changed: Vec<(Asked, Asked)>,
}

fn members(value: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

fn by_member(rule_key: Option<&str>, before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<Difference> {
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let differs = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let difference = |name: &String| Difference {
        rule_key: rule_key.map(str::to_owned),
        member: Some(name.clone()),
        before: before.get(name).cloned(),
        after: after.get(name).cloned(),
    };
    differs.map(difference).collect()
}

/// Lists the differences between two versions: of the protocol first, then of its rules in their order.
pub fn differences(before: &Protocol, after: &Protocol) -> Vec<Difference> {
    let own = |protocol: &Protocol| {
        let mut own = members(&protocol.content());
        own.remove("rules");
        own
    };
    let mut list = by_member(None, &own(before), &own(after));
    for rule in &before.rules {
        match after.rule(&rule.key) {
            Some(other) => list.extend(by_member(Some(&rule.key), &members(rule), &members(other))),
            None => list.push(whole(&rule.key, Some(Value::Object(members(rule))), None)),
        }
    }
    let new = after.rules.iter().filter(|rule| before.rule(&rule.key).is_none());
    list.extend(new.map(|rule| whole(&rule.key, None, Some(Value::Object(members(rule))))));
    list
}

fn whole(key: &str, before: Option<Value>, after: Option<Value>) -> Difference {
    Difference { rule_key: Some(key.to_owned()), member: None, before, after }
}

/// Computes what a sample induction is asked differently.
pub fn effect(before: &Protocol, after: &Protocol) -> Effect {
    let mut effect = Effect::default();
    let mut others: BTreeMap<_, Vec<Asked>> = BTreeMap::new();
    for asked in induction(after) {
        others.entry((asked.rule_key.clone(), asked.infusion)).or_default().push(asked);
    }
    for was in induction(before) {
        let same = others.get_mut(&(was.rule_key.clone(), was.infusion)).filter(|list| !list.is_empty());
        match same.map(|list| list.remove(0)) {
            Some(is) if is == was => {}
            Some(is) => effect.changed.push((was, is)),
            None => effect.gone.push(was),
        }
    }
    effect.new = others.into_values().flatten().collect();
    effect.new.sort_by_key(|asked| (asked.course_day, asked.local_time, asked.rule_key.clone()));
    effect
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_different_is_told_with_what_it_changes_for_a_patient() {
        let before = Protocol::default_v1();
        let mut after = before.clone();
        after.rules.retain(|rule| rule.key != "d1.tell");
        let moved = after.rules.iter_mut().find(|rule| rule.key == "d2.mood").unwrap();
        moved.window = vec![crate::planning::DayPart::Evening];
        after.spacing_minutes = 120;
        let list = differences(before, &after);
        let named = |key: Option<&str>, member: Option<&str>| {
            list.iter().any(|one| one.rule_key.as_deref() == key && one.member.as_deref() == member)
        };
        assert!(named(None, Some("spacing_minutes")) && named(Some("d2.mood"), Some("window")));
        assert!(named(Some("d1.tell"), None));
        assert_eq!(list.len(), 3, "{list:?}");
        let effect = effect(before, &after);
        assert!(effect.gone.iter().any(|one| one.rule_key == "d1.tell"), "{effect:?}");
        let mood = effect.changed.iter().find(|(was, _)| was.rule_key == "d2.mood").unwrap();
        assert!(mood.0.local_time < mood.1.local_time);
        assert!(differences(before, before).is_empty());
        assert_eq!(super::effect(before, before), Effect::default());
    }
}
