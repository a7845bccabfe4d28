//! Validates protocols.

use std::collections::HashSet;

use super::placeholders::{Piece, Quote, pieces, quotes};
use super::protocol::{Anchor, Effort, Prerequisite, PromptKind, Protocol, Rule};
use super::translations::RuleTexts;
use crate::kernel::locale::{language, primary};

/// The most characters of a text.
const MOST: usize = 240;

impl Protocol {
    /// Returns its faults in words; empty when it can be used.
    pub fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |right: bool, key: &str, what: &str| {
            if !right {
                faults.push(format!("{key}: {what}"));
            }
        };
        let mut keys = HashSet::new();
        for rule in &self.rules {
            let key = rule.key.as_str();
            fault(keys.insert(key), key, "the key is used twice");
            fault((1..=5).contains(&rule.priority), key, "the priority is between 1 and 5");
            fault(rule.optional == (rule.priority == 5), key, "priority 5 is what is optional");
            fault(rule.push != rule.optional, key, "what is optional is not pushed, all else is");
            fault(rule.texts().all(fits), key, "the text has at most 240 characters");
            fault(rule.texts().all(|text| !text.is_empty()), key, "the text is empty");
            fault(rule.minutes > 0, key, "it takes time");
            let effortful =
                rule.kind == PromptKind::Exercise || (rule.kind == PromptKind::Reflection && rule.minutes > 5);
            fault((rule.effort == Effort::Effortful) == effortful, key, "exercises and long writing are effortful");
            let windowed = matches!(
                rule.anchor,
                Anchor::Day(_)
                    | Anchor::BeforeNextDays(_)
                    | Anchor::Weekly
                    | Anchor::Monthly
                    | Anchor::DateOf(_)
                    | Anchor::AfterStop(_)
            );
            let lighter = rule.anchor == Anchor::Adaptive && rule.effort == Effort::Light;
            fault(rule.in_place_of_effort.is_some() <= lighter, key, "what comes in the place of effort asks for none");
            let returns = rule.texts().flat_map(quotes).any(|quote| quote == Quote::Returned);
            fault(
                returns <= matches!(rule.anchor, Anchor::DateOf(_)),
                key,
                "it quotes a response that it does not have",
            );
            fault(windowed != rule.window.is_empty(), key, "a window goes with an anchor of days");
            let outside = matches!(rule.anchor, Anchor::Adaptive | Anchor::AfterSilence { .. } | Anchor::AfterStop(_));
            fault((rule.kind == PromptKind::OnDemand) == outside, key, "on demand is what is outside the template");
            self.check_silence(rule, &mut fault);
            fault(
                (rule.kind == PromptKind::Exercise) <= !rule.exercises.is_empty(),
                key,
                "an exercise names exercises",
            );
            let replaced = rule.stands_for.as_ref().is_none_or(|key| self.rule(key).is_some());
            fault(replaced, key, "it stands for a rule that does not exist");
            fault(placeholders_known(rule), key, "a placeholder is unknown");
            let quoting = rule.texts().any(|text| quotes(text).next().is_some());
            fault(quoting != rule.plain.is_empty(), key, "a text that quotes goes with one that does not");
            fault(fits(&rule.plain), key, "the text has at most 240 characters");
            fault(quotes(&rule.plain).next().is_none(), key, "the text without a quote quotes");
            let answers = [Prerequisite::IfThenResponse, Prerequisite::Takeaway];
            fault(rule.gives.iter().all(|what| answers.contains(what)), key, "no answer gives that");
            fault(
                (rule.kind != PromptKind::Measure) == rule.min_days_since_last.is_none(),
                key,
                "measures keep a distance",
            );
        }
        self.check_translations(&mut fault);
        let carry =
            self.carry_over.is_none_or(|carry| (2..=5).contains(&carry.priority) && carry.expires_within_hours > 0);
        fault(carry, "carry_over", "what is carried over expires in some hours and is not the most important");
        let w = &self.windows;
        let spans = [w.morning, w.midday, w.afternoon, w.evening];
        let ordered = spans.iter().all(|span| span.from < span.to)
            && spans.iter().zip(spans.iter().skip(1)).all(|(one, next)| one.to <= next.from);
        fault(ordered, "windows", "parts of the day follow each other");
        let covered =
            self.caps.days.iter().try_fold(0, |day, cap| {
                (cap.first == day && cap.last >= day && cap.prompts > 0).then_some(cap.last + 1)
            });
        fault(covered.is_some_and(|days| days > self.horizon_days), "caps", "every day of the plan has a cap");
        let later = self.rules.iter().filter(|rule| rule.counts() && rule.recurs()).count();
        fault(u32::try_from(later).is_ok_and(|n| n <= self.caps.later.prompts), "caps", "too much between windows");
        for compact in &self.series {
            for key in compact.days.iter().chain(&compact.one_of).chain(&compact.preparation) {
                fault(keys.contains(key.as_str()), key, "a series keeps a rule that does not exist");
            }
        }
        faults
    }
}

impl Protocol {
    /// Checks what follows from the patient's silence.
    fn check_silence(&self, rule: &Rule, fault: &mut impl FnMut(bool, &str, &str)) {
        let key = rule.key.as_str();
        let lasting = rule.stops_after.is_none_or(|lapsed| lapsed > 0 && rule.recurs());
        fault(lasting, key, "only what recurs stops, after some have lapsed");
        match &rule.anchor {
            Anchor::AfterSilence { hours, phase } => {
                fault(*hours > 0, key, "a silence lasts some hours");
                let known = self.window.phases.iter().any(|hours| hours.key == *phase);
                fault(known, key, "a silence is reached in a phase after an infusion");
            }
            Anchor::AfterStop(of) => {
                let stops = self.rule(of).is_some_and(|rule| rule.stops_after.is_some());
                fault(stops, key, "it follows the stop of a rule that does not stop");
            }
            _ => {}
        }
    }
}

impl Protocol {
    /// Checks that every translation is whole.
    fn check_translations(&self, fault: &mut impl FnMut(bool, &str, &str)) {
        for (name, rules) in &self.translations {
            let is_primary = language(name).is_ok_and(|tag| tag == *name && primary(name) == name);
            fault(is_primary, name, "a translation has the name of a language, such as de");
            fault(primary(&self.locale) != name, name, "the texts are in this language already");
            for key in rules.keys().filter(|key| self.rule(key).is_none()) {
                fault(false, &format!("{name}/{key}"), "it translates a rule that does not exist");
            }
            for rule in &self.rules {
                let at = format!("{name}/{}", rule.key);
                match rules.get(&rule.key) {
                    Some(texts) => check_texts(rule, texts, |right, what| fault(right, &at, what)),
                    None => fault(false, &at, "it is not translated"),
                }
            }
        }
    }
}

/// Checks the translated texts of a rule.
fn check_texts(rule: &Rule, texts: &RuleTexts, mut fault: impl FnMut(bool, &str)) {
    fault(texts.wordings.len() == rule.wordings.len(), "it has as many wordings as the rule");
    let said = texts.plain.is_empty() == rule.plain.is_empty() && texts.because.is_empty() == rule.because.is_empty();
    fault(said, "`plain` and `because` are there where the rule has them");
    let all = || std::iter::once(&texts.text).chain(&texts.wordings);
    fault(all().all(|text| !text.trim().is_empty()), "the text is empty");
    let fitting = all().chain([&texts.plain, &texts.because]).all(|text| fits(text));
    fault(fitting, "the text has at most 240 characters");
    let own = rule.texts().chain([rule.plain.as_str(), rule.because.as_str()]);
    let mut pairs = own.zip(all().chain([&texts.plain, &texts.because]));
    let same = pairs.all(|(own, text)| placeholders(own) == placeholders(text));
    fault(same || texts.wordings.len() != rule.wordings.len(), "each text has the placeholders of the rule's");
}

/// Lists the placeholders of a text in a fixed order; a brace without another stands for itself.
fn placeholders(text: &str) -> Vec<Piece<'_>> {
    let mut found: Vec<_> = pieces(text)
        .filter(|piece| match piece {
            Piece::Text(text) => text.contains(['{', '}']),
            _ => true,
        })
        .collect();
    found.sort();
    found
}

/// Whether a text is short enough.
fn fits(text: &str) -> bool {
    text.chars().count() <= MOST
}

/// Whether each placeholder is one that is filled in, and each exercise that is named one that the rule offers.
fn placeholders_known(rule: &Rule) -> bool {
    rule.texts().chain([rule.plain.as_str()]).flat_map(pieces).all(|piece| match piece {
        Piece::Exercise(key) => rule.exercises.iter().any(|known| known == key),
        Piece::Other(_) => false,
        Piece::Text(text) => !text.contains(['{', '}']),
        Piece::TherapistName | Piece::Quote(_) => true,
    })
}
