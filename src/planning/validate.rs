//! Validates protocols.

use std::collections::HashSet;

use super::placeholders::{Piece, Quote, pieces, quotes};
use super::protocol::{Anchor, Effort, Prerequisite, PromptKind, Protocol, Rule};

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
            fault(rule.texts().all(|text| text.chars().count() <= 240), key, "the text has at most 240 characters");
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
            fault(rule.plain.chars().count() <= 240, key, "the text has at most 240 characters");
            fault(quotes(&rule.plain).next().is_none(), key, "the text without a quote quotes");
            let answers = [Prerequisite::IfThenResponse, Prerequisite::Takeaway];
            fault(rule.gives.iter().all(|what| answers.contains(what)), key, "no answer gives that");
            fault(
                (rule.kind != PromptKind::Measure) == rule.min_days_since_last.is_none(),
                key,
                "measures keep a distance",
            );
        }
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

/// Whether each placeholder is one that is filled in, and each exercise that is named one that the rule offers.
fn placeholders_known(rule: &Rule) -> bool {
    rule.texts().chain([rule.plain.as_str()]).flat_map(pieces).all(|piece| match piece {
        Piece::Exercise(key) => rule.exercises.iter().any(|known| known == key),
        Piece::Other(_) => false,
        Piece::Text(text) => !text.contains(['{', '}']),
        Piece::TherapistName | Piece::Quote(_) => true,
    })
}
