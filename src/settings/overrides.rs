//! The therapists' changes of the protocol for one patient.

use super::model::Settings;
use crate::http::EntityTag;
use crate::kernel::{Fields, Result};
use crate::planning::{DayPart, Override, Protocol, Rule, RuleChange};

/// The most changes in a list: enough for the whole protocol.
const MOST: usize = 64;

/// A change of a rule, not yet checked: `(rule, left out, part of the day)`.
pub type OverrideFields = (String, bool, Option<String>);

/// Parses the name of a part of the day.
fn part(name: &str) -> Result<DayPart, &'static str> {
    match name {
        "morning" => Ok(DayPart::Morning),
        "midday" => Ok(DayPart::Midday),
        "afternoon" => Ok(DayPart::Afternoon),
        "evening" => Ok(DayPart::Evening),
        _ => Err("must be morning, midday, afternoon or evening"),
    }
}

/// Checks a list of changes, which stands at `base` in the request. Each must be of a rule that may be changed, none
/// twice. Returns them by rule.
///
/// # Errors
///
/// [`Error::Invalid`](crate::kernel::Error::Invalid) with every fault.
pub fn parse(protocol: &Protocol, base: &str, list: Vec<OverrideFields>) -> Result<Vec<Override>> {
    let mut f = Fields::new();
    f.check(list.len() <= MOST, base, "must be at most 64");
    f.done()?;
    let mut f = Fields::new();
    let mut overrides: Vec<Override> = Vec::new();
    for (n, (rule_key, left_out, window)) in list.into_iter().enumerate() {
        let at = |name: &str| format!("{base}/{n}/{name}");
        let rule = protocol.rule(&rule_key);
        let may = rule.is_some_and(Rule::may_change);
        f.check(rule.is_some(), &at("rule_key"), "is not a rule of the protocol");
        f.check(rule.is_none() || may, &at("rule_key"), "is for safety or ordered by the clinic, and stays as it is");
        f.check(overrides.iter().all(|one| one.rule_key != rule_key), &at("rule_key"), "is named twice");
        f.check(left_out != window.is_some(), &format!("{base}/{n}"), "needs either `left_out` or `window`");
        let by_part = rule.is_none_or(|rule| !rule.window.is_empty());
        f.check(window.is_none() || by_part, &at("window"), "its time hangs on a session, not on a part of the day");
        let moved = window.and_then(|name| f.take(&at("window"), part(&name)));
        let change = moved.map_or(RuleChange::LeftOut, RuleChange::MovedTo);
        overrides.push(Override { rule_key, change });
    }
    f.done()?;
    overrides.sort_unstable();
    Ok(overrides)
}

/// Returns the entity tag of the list in `settings`: a counter of its changes.
pub fn tag(settings: &Settings) -> EntityTag {
    EntityTag::version(settings.overrides_version)
}
