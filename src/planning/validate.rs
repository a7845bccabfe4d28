//! Validates protocols.

use std::collections::{BTreeMap, HashSet};

use jiff::civil::Time;

use super::placeholders::{Piece, Quote, pieces, quotes};
use super::protocol::{Anchor, Effort, Expiry, Prerequisite, PromptKind, Protocol, Rule};
use super::translations::RuleTexts;
use crate::kernel::locale::{language, primary};
use crate::kernel::{Error, FieldError};

/// The most characters of a text.
const MOST: usize = 240;
/// The most rules of a protocol.
const MOST_RULES: usize = 80;
/// The most rules of one day: planning looks at each beside all others.
const MOST_OF_DAY: usize = 20;
/// The most prompts that a cap allows.
const MOST_PROMPTS: u32 = 12;
/// The longest time in days by which anything in a rule may be away from what it hangs on.
const MOST_DAYS: i64 = 120;
/// The most prompts that lapse in a row before their rule stops.
const MOST_LAPSED: u32 = 52;
/// The most days ahead for which prompts are planned.
const MOST_HORIZON: i32 = 28;

/// The faults of a protocol: what each is of (a rule by its key, or a member), and where it stands in the document.
#[derive(Default)]
struct Faults(Vec<(String, FieldError)>);

impl Faults {
    fn check(&mut self, right: bool, of: &str, pointer: String, detail: &str) {
        if !right {
            self.0.push((of.to_owned(), FieldError { pointer, detail: detail.to_owned() }));
        }
    }
}

impl Protocol {
    /// Returns its faults in words; empty when it can be used.
    pub fn validate(&self) -> Vec<String> {
        self.all_faults().0.into_iter().map(|(of, fault)| format!("{of}: {}", fault.detail)).collect()
    }

    /// Returns its faults, each with its place in the document; empty when it can be used.
    pub fn faults(&self) -> Vec<FieldError> {
        self.all_faults().0.into_iter().map(|(_, fault)| fault).collect()
    }

    /// Returns the faults that `before` does not have, each with the rule or member that it is of.
    pub fn new_faults(&self, before: &Self) -> Vec<(String, String)> {
        let known = before.validate();
        let all = self.all_faults().0.into_iter().map(|(of, fault)| (of, fault.detail));
        all.filter(|(of, detail)| !known.contains(&format!("{of}: {detail}"))).collect()
    }

    fn all_faults(&self) -> Faults {
        let mut faults = Faults::default();
        let mut keys = HashSet::new();
        for (n, rule) in self.rules.iter().enumerate() {
            let twice = !keys.insert(rule.key.as_str());
            let mut fault = |right: bool, member: &str, what: &str| {
                faults.check(right, &rule.key, format!("/rules/{n}{member}"), what);
            };
            fault(!twice, "/key", "the key is used twice");
            check_rule(rule, &mut fault);
            self.check_silence(rule, &mut fault);
            let replaced = rule.stands_for.as_ref().is_none_or(|key| self.rule(key).is_some());
            fault(replaced, "/stands_for", "it stands for a rule that does not exist");
            fault(!self.replaces_itself(rule), "/stands_for", "it stands for itself, so that it is never asked");
        }
        self.check_limits(&mut faults);
        self.check_translations(&mut faults);
        for (n, compact) in self.series.iter().enumerate() {
            for key in compact.days.iter().chain(&compact.one_of).chain(&compact.preparation) {
                let pointer = format!("/series/{n}");
                faults.check(keys.contains(key.as_str()), key, pointer, "a series keeps a rule that does not exist");
            }
        }
        faults
    }

    /// Whether a rule comes in its own place, if only by way of others that stand for each other.
    fn replaces_itself(&self, rule: &Rule) -> bool {
        let next = |one: &&Rule| one.stands_for.as_ref().and_then(|key| self.rule(key));
        std::iter::successors(next(&rule), next).take(self.rules.len()).any(|one| one.key == rule.key)
    }

    /// Checks what is not of a single rule.
    fn check_limits(&self, faults: &mut Faults) {
        let mut fault = |right: bool, member: &str, what: &str| faults.check(right, member, format!("/{member}"), what);
        fault((1..=MOST_RULES).contains(&self.rules.len()), "rules", "1 to 80 rules make a protocol");
        fault((1..=MOST_HORIZON).contains(&self.horizon_days), "horizon_days", "plans reach 1 to 28 days ahead");
        fault((0..=720).contains(&self.spacing_minutes), "spacing_minutes", "prompts are 0 to 720 minutes apart");
        fault(self.series.len() <= 14, "series", "there are at most 14 templates of series");
        let title = self.title.chars().count();
        fault(
            (1..=120).contains(&title) && !self.title.trim().is_empty() && !self.title.contains('\0'),
            "title",
            "the title has 1 to 120 characters",
        );
        let carry = self.carry_over.is_none_or(|carry| {
            (2..=5).contains(&carry.priority) && (1..=24 * MOST_DAYS).contains(&carry.expires_within_hours)
        });
        fault(carry, "carry_over", "what is carried over expires in some hours and is not the most important");
        let w = &self.windows;
        let spans = [w.morning, w.midday, w.afternoon, w.evening];
        let ordered = spans.iter().all(|span| span.from < span.to)
            && spans.iter().zip(spans.iter().skip(1)).all(|(one, next)| one.to <= next.from);
        fault(ordered, "windows", "parts of the day follow each other");
        let hours = [(5, 12), (10, 15), (12, 19), (16, 22)];
        let usual = spans.iter().zip(hours).all(|(span, (first, last))| {
            span.from >= Time::constant(first, 0, 0, 0) && span.to <= Time::constant(last, 0, 0, 0)
        });
        fault(usual, "windows", "morning is within 5-12, midday 10-15, afternoon 12-19, evening 16-22");
        let long = i64::from(self.jitter_minutes).max(30);
        let room = spans.iter().all(|span| span.from.duration_until(span.to).as_mins() >= long);
        fault(room, "windows", "a part of the day has half an hour, and no less than the jitter");
        let locale = language(&self.locale).is_ok();
        fault(locale, "locale", "is no tag of a language, such as en");
        let covered = self.caps.days.iter().try_fold(0, |day, cap| {
            (cap.first == day && cap.last >= day && cap.prompts > 0).then_some(cap.last.saturating_add(1))
        });
        fault(covered.is_some_and(|days| days > self.horizon_days), "caps", "every day of the plan has a cap");
        let days = self.caps.days.len() <= 60 && (0..=14).contains(&self.caps.preparation.days_before);
        fault(days, "caps", "there are at most 60 caps of days, and 14 days of preparation");
        let capped = self
            .caps
            .days
            .iter()
            .map(|cap| cap.prompts)
            .chain([self.caps.preparation.prompts, self.caps.later.prompts]);
        fault(capped.into_iter().all(|prompts| prompts <= MOST_PROMPTS), "caps", "a cap allows at most 12 prompts");
        fault(self.caps.full_days_after_series.len() <= 60, "caps", "there are at most 60 full days");
        let mut of_day: BTreeMap<i32, usize> = BTreeMap::new();
        for day in self.rules.iter().flat_map(Rule::days) {
            *of_day.entry(day).or_default() += 1;
        }
        fault(of_day.values().all(|rules| *rules <= MOST_OF_DAY), "rules", "at most 20 rules are of one day");
        let reminders = self.reminders.each <= 3 && self.reminders.safety <= 3;
        fault(reminders, "reminders", "a prompt has at most 3 reminders");
        let gaps = self.series.iter().all(|compact| (1..=14).contains(&compact.gap_days));
        fault(gaps, "series", "the sessions of a series are 1 to 14 days apart");
        let later = self.rules.iter().filter(|rule| rule.counts() && rule.recurs()).count();
        fault(u32::try_from(later).is_ok_and(|n| n <= self.caps.later.prompts), "caps", "too much between windows");
        if let Err(Error::Invalid(wrong)) = self.window.validate() {
            for FieldError { pointer, detail } in wrong {
                faults.check(false, "window", format!("/window{pointer}"), &detail);
            }
        }
    }

    /// Checks that every translation is whole.
    fn check_translations(&self, faults: &mut Faults) {
        let mut fault = |right: bool, of: &str, what: &str| {
            faults.check(right, of, format!("/translations/{of}"), what);
        };
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

    /// Checks what follows from the patient's silence.
    fn check_silence(&self, rule: &Rule, fault: &mut impl FnMut(bool, &str, &str)) {
        let lasting = rule.stops_after.is_none_or(|lapsed| lapsed > 0 && rule.recurs());
        fault(lasting, "/stops_after", "only what recurs stops, after some have lapsed");
        let soon = rule.stops_after.is_none_or(|lapsed| lapsed <= MOST_LAPSED);
        fault(soon, "/stops_after", "it stops after at most 52 that lapse in a row");
        match &rule.anchor {
            Anchor::AfterSilence { hours, phase } => {
                fault(*hours > 0, "/anchor", "a silence lasts some hours");
                let known = self.window.phases.iter().any(|hours| hours.key == *phase);
                fault(known, "/anchor", "a silence is reached in a phase after an infusion");
            }
            Anchor::AfterStop(of) => {
                let stops = self.rule(of).is_some_and(|rule| rule.stops_after.is_some());
                fault(stops, "/anchor", "it follows the stop of a rule that does not stop");
            }
            _ => {}
        }
    }
}

/// Checks what a rule says of itself.
fn check_rule(rule: &Rule, fault: &mut impl FnMut(bool, &str, &str)) {
    let spelt = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    fault(
        (1..=40).contains(&rule.key.len()) && rule.key.bytes().all(spelt),
        "/key",
        "the key is 1 to 40 of a-z 0-9 . _ -",
    );
    fault((1..=5).contains(&rule.priority), "/priority", "the priority is between 1 and 5");
    fault(rule.optional == (rule.priority == 5), "/optional", "priority 5 is what is optional");
    fault(rule.push != rule.optional, "/push", "what is optional is not pushed, all else is");
    fault(rule.texts().all(fits), "/text", "the text has at most 240 characters");
    fault(rule.texts().all(|text| !text.trim().is_empty()), "/text", "the text is empty");
    let said = rule.texts().chain([rule.plain.as_str(), rule.because.as_str()]);
    fault(said.into_iter().all(|text| !text.contains('\0')), "/text", "no text has a NUL character");
    fault(!rule.because.contains(['{', '}']), "/because", "the reason has no placeholders");
    fault(rule.wordings.len() <= 10, "/wordings", "there are at most 10 more wordings");
    fault(fits(&rule.because), "/because", "the reason has at most 240 characters");
    fault((1..=240).contains(&rule.minutes), "/minutes", "it takes time");
    fault(is_near(rule), "/anchor", "its times lie within 120 days");
    let effortful = rule.kind == PromptKind::Exercise || (rule.kind == PromptKind::Reflection && rule.minutes > 5);
    let effort = (rule.effort == Effort::Effortful) == effortful;
    fault(effort, "/effort", "exercises and long writing are effortful");
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
    let instead = rule.in_place_of_effort.is_some() <= lighter;
    fault(instead, "/in_place_of_effort", "what comes in the place of effort asks for none");
    let fresh = rule.in_place_of_effort.is_none_or(|heavy| (1..=24 * MOST_DAYS).contains(&heavy.within_hours));
    fault(fresh, "/in_place_of_effort", "a dial counts for some hours");
    let returns = rule.texts().flat_map(quotes).any(|quote| quote == Quote::Returned);
    let has_response = returns <= matches!(rule.anchor, Anchor::DateOf(_));
    fault(has_response, "/text", "it quotes a response that it does not have");
    fault(windowed != rule.window.is_empty(), "/window", "a window goes with an anchor of days");
    let outside = matches!(rule.anchor, Anchor::Adaptive | Anchor::AfterSilence { .. } | Anchor::AfterStop(_));
    fault((rule.kind == PromptKind::OnDemand) == outside, "/kind", "on demand is what is outside the template");
    let names = (rule.kind == PromptKind::Exercise) <= !rule.exercises.is_empty();
    fault(names, "/exercises", "an exercise names exercises");
    fault(rule.exercises.len() <= 10, "/exercises", "it names at most 10 exercises");
    fault(placeholders_known(rule), "/text", "a placeholder is unknown");
    let quoting = rule.texts().any(|text| quotes(text).next().is_some());
    fault(quoting != rule.plain.is_empty(), "/plain", "a text that quotes goes with one that does not");
    fault(fits(&rule.plain), "/plain", "the text has at most 240 characters");
    fault(quotes(&rule.plain).next().is_none(), "/plain", "the text without a quote quotes");
    let answers = [Prerequisite::IfThenResponse, Prerequisite::Takeaway];
    fault(rule.gives.iter().all(|what| answers.contains(what)), "/gives", "no answer gives that");
    let distance = (rule.kind != PromptKind::Measure) == rule.min_days_since_last.is_none();
    fault(distance, "/min_days_since_last", "measures keep a distance");
}

/// Whether everything in a rule lies near what it hangs on, so that no plan counts past the ends of the calendar.
fn is_near(rule: &Rule) -> bool {
    let near = |days: i64| (-MOST_DAYS..=MOST_DAYS).contains(&days);
    let hours = |hours: i64| near(hours / 24);
    let anchor = match &rule.anchor {
        Anchor::Day(day) => near((*day).into()),
        Anchor::AfterEnd { hours: after } => *after >= 0 && hours(*after),
        Anchor::BeforeNextDays(days) => {
            (1..=14).contains(&days.len()) && days.iter().all(|day| *day >= 0 && near((*day).into()))
        }
        Anchor::BeforeStart { hours: before, at_least_minutes, .. } => {
            *before >= 0 && hours(*before) && *at_least_minutes >= 0 && hours(*at_least_minutes / 60)
        }
        Anchor::AfterSilence { hours: silent, .. } => hours(*silent),
        Anchor::Weekly | Anchor::Monthly | Anchor::AfterStop(_) | Anchor::DateOf(_) | Anchor::Adaptive => true,
    };
    let expires = match rule.expires {
        Expiry::Hours(after) => after > 0 && hours(after),
        Expiry::Until { days, .. } => days >= 0 && near(days.into()),
    };
    let days = [rule.min_days_since_last, rule.min_days_apart, rule.unless_answered_since.map(i64::from)];
    anchor && expires && days.into_iter().flatten().all(near)
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
    let clean = all().chain([&texts.plain, &texts.because]).all(|text| !text.contains('\0'));
    fault(clean, "no text has a NUL character");
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
