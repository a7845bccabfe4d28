//! The therapists' changes of the protocol for one patient.

use super::model::Settings;
use crate::http::EntityTag;
use crate::kernel::{Fields, Result};
use crate::planning::protocol::Anchor;
use crate::planning::{AddedRule, DayPart, OWN, Override, PromptKind, Protocol, Rule, RuleChange, RuleEdit};

/// The most changes in a list: enough for the whole protocol.
const MOST: usize = 64;
/// The last day after an infusion to which a rule may be moved, or on which one may be added.
const LAST_DAY: i32 = 14;
/// The most minutes of a rule that a therapist adds.
const MOST_MINUTES: u32 = 30;
/// The most characters of a text.
const MOST_TEXT: usize = 240;

/// A change of a rule, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct OverrideFields {
    /// The rule.
    pub rule_key: String,
    /// Whether it is left out.
    pub left_out: bool,
    /// The part of the day.
    pub window: Option<String>,
    /// The day after an infusion.
    pub day: Option<i32>,
    /// The text.
    pub text: Option<String>,
    /// The kind of task of an added rule.
    pub kind: Option<String>,
    /// Its duration in minutes.
    pub minutes: Option<u32>,
    /// The exercises that it offers.
    pub exercises: Vec<String>,
}

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

fn kind(name: &str) -> Result<PromptKind, &'static str> {
    match name {
        "reflection" => Ok(PromptKind::Reflection),
        "exercise" => Ok(PromptKind::Exercise),
        "habit" => Ok(PromptKind::Habit),
        _ => Err("must be reflection, exercise or habit"),
    }
}

fn text(text: String) -> Result<String, String> {
    let fits = !text.trim().is_empty() && text.chars().count() <= MOST_TEXT && !text.contains('\0');
    fits.then_some(text).ok_or_else(|| format!("must have 1 to {MOST_TEXT} characters"))
}

fn day(day: i32) -> Result<i32, String> {
    (0..=LAST_DAY).contains(&day).then_some(day).ok_or_else(|| format!("must be 0 to {LAST_DAY}"))
}

/// Checks a list of changes, which stands at `base` in the request: of rules that may be changed, none twice, and of
/// rules that a therapist adds. The protocol with all of them must be one by which plans can be made; its caps hold as
/// before. Returns them by rule. One of `stored` whose rule the protocol lacks by now, or no longer lets be changed, is
/// kept as it is: it counts again if the rule comes back.
///
/// # Errors
///
/// [`Error::Invalid`](crate::kernel::Error::Invalid) with every fault.
pub fn parse(protocol: &Protocol, stored: &[Override], base: &str, list: Vec<OverrideFields>) -> Result<Vec<Override>> {
    let mut f = Fields::new();
    f.check(list.len() <= MOST, base, "must be at most 64");
    f.done()?;
    let mut f = Fields::new();
    let mut overrides: Vec<Override> = Vec::new();
    for (n, fields) in list.into_iter().enumerate() {
        let at = format!("{base}/{n}");
        let rule_key = fields.rule_key.clone();
        let twice = overrides.iter().any(|one| one.rule_key == rule_key);
        f.check(!twice, &format!("{at}/rule_key"), "is named twice");
        let change = if rule_key.starts_with(OWN) {
            added(&mut f, &at, fields)
        } else {
            Some(changed(&mut f, &at, (protocol, stored), fields))
        };
        // What was noted as a fault stands for itself.
        overrides.push(Override { rule_key, change: change.unwrap_or(RuleChange::LeftOut) });
    }
    f.done()?;
    let mut f = Fields::new();
    for (rule, fault) in protocol.with(&overrides).new_faults(protocol) {
        let n = overrides.iter().position(|one| one.rule_key == rule);
        f.fault(n.map_or_else(|| base.to_owned(), |n| format!("{base}/{n}")), fault);
    }
    f.done()?;
    overrides.sort_unstable();
    Ok(overrides)
}

/// Parses the change of a rule of the protocol.
fn changed(
    f: &mut Fields,
    at: &str,
    (protocol, stored): (&Protocol, &[Override]),
    fields: OverrideFields,
) -> RuleChange {
    let OverrideFields { rule_key, left_out, window, day: moved_to, text: words, kind, minutes, exercises } = fields;
    let rule = protocol.rule(&rule_key);
    let edited = window.is_some() || moved_to.is_some() || words.is_some();
    f.check(left_out != edited, at, "needs either `left_out`, or `window`, `day` or `text`");
    let of_added = kind.is_some() || minutes.is_some() || !exercises.is_empty();
    f.check(!of_added, at, "`kind`, `minutes` and `exercises` are for rules that you add, such as `own.walk`");
    let by_part = rule.is_none_or(|rule| !rule.window.is_empty());
    let place = format!("{at}/window");
    f.check(window.is_none() || by_part, &place, "its time hangs on a session, not on a part of the day");
    let window = window.and_then(|name| f.take(&place, part(&name)));
    let place = format!("{at}/day");
    let by_day = rule.is_none_or(|rule| matches!(rule.anchor, Anchor::Day(_)));
    f.check(moved_to.is_none() || by_day, &place, "it hangs on no day after an infusion");
    let moved_to = moved_to.and_then(|to| f.take(&place, day(to)));
    let words = words.and_then(|words| f.take(&format!("{at}/text"), text(words)));
    let change = match (window, moved_to, words) {
        _ if left_out => RuleChange::LeftOut,
        (Some(part), None, None) => RuleChange::MovedTo(part),
        (window, day, text) => RuleChange::Edited(RuleEdit { window, day, text }),
    };
    let is_stored = stored.iter().any(|one| one.rule_key == rule_key && one.change == change);
    let may = is_stored || rule.is_some_and(Rule::may_change);
    let place = format!("{at}/rule_key");
    f.check(is_stored || rule.is_some(), &place, "is not a rule of the protocol");
    f.check(rule.is_none() || may, &place, "is for safety or ordered by the clinic, and stays as it is");
    change
}

/// Parses a rule that a therapist adds.
fn added(f: &mut Fields, at: &str, fields: OverrideFields) -> Option<RuleChange> {
    let place = |name: &str| format!("{at}/{name}");
    f.check(!fields.left_out, &place("left_out"), "is for rules of the protocol");
    let window = f.need(&place("window"), fields.window, |name| part(&name));
    let day = f.need(&place("day"), fields.day, day);
    let kind = f.need(&place("kind"), fields.kind, |name| kind(&name));
    let fits = |minutes: u32| {
        let fits = (1..=MOST_MINUTES).contains(&minutes);
        fits.then_some(minutes).ok_or_else(|| format!("must be 1 to {MOST_MINUTES}"))
    };
    let minutes = f.need(&place("minutes"), fields.minutes, fits);
    let text = f.need(&place("text"), fields.text, text);
    let offers = fields.exercises.is_empty() || kind == Some(PromptKind::Exercise);
    f.check(offers, &place("exercises"), "are for the kind `exercise`");
    let all = window.zip(day).zip(kind).zip(minutes).zip(text);
    let ((((window, day), kind), minutes), text) = all?;
    Some(RuleChange::Added(AddedRule { kind, day, window, minutes, text, exercises: fields.exercises }))
}

/// Returns the entity tag of the list in `settings`: a counter of its changes.
pub fn tag(settings: &Settings) -> EntityTag {
    EntityTag::version(settings.overrides_version)
}

/// Returns the entity tag of the choice of protocols in `settings`.
pub fn choice_tag(settings: &Settings) -> EntityTag {
    EntityTag::version(settings.protocols.version)
}
