//! The words of a prompt, with their placeholders filled for the owner's eyes.

use super::library::title;
use super::plan::{DropReason, Why};

/// The placeholder that quotes the patient.
const TAKEAWAY: &str = "last_takeaway";

/// Whether the text quotes the patient.
pub fn quotes(text: &str) -> bool {
    text.contains(&format!("{{{TAKEAWAY}}}"))
}

/// Fills the placeholders of a rule's text for the eyes of its owner; nothing of it is ever stored. `{ex:key}` becomes
/// the exercise's title, what quotes the patient their `takeaway` or a neutral phrase.
pub fn render(text: &str, takeaway: Option<&str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        match name.split_once(':') {
            Some(("ex", key)) => out.push_str(&title(key)),
            _ => out.push_str(match name {
                "therapist_name" => "your therapist",
                TAKEAWAY => takeaway.unwrap_or("what you took along"),
                _ => "…",
            }),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// Why a prompt sits where it sits, for people.
pub fn why_in_words(why: Why) -> &'static str {
    match why {
        Why::Window => "at the start of its part of the day, a few minutes to and fro",
        Why::LaterWindow => "its first part of the day was taken",
        Why::EarlierDay => "the day it was meant for was too close to an infusion",
        Why::LaterDay => "on the day it was meant for it was too soon after an infusion",
        Why::AfterEnd => "hours after the end of the infusion",
        Why::LateSession => "the session ended late: as late as it may be, or early the next morning",
        Why::BeforeStart => "hours before the session",
        Why::Spacing => "three hours after the prompt before",
        Why::QuietHours => "at the end of the quiet hours",
        Why::Readiness => "before that it would have asked too much",
        Why::Corrected => "asked again: the time of the infusion was corrected after it had gone out",
    }
}

/// Why a prompt that a rule calls for is not asked, for people.
pub fn dropped_in_words(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Capability => "this server cannot do what it needs yet",
        DropReason::LeftOut => "a therapist has left it out for this patient",
        DropReason::Withheld => "it is set aside for now",
        DropReason::Prerequisite => "something it needs of the patient is missing",
        DropReason::Paused => "it falls into a pause",
        DropReason::Suspended => "something else has to be looked at first",
        DropReason::NotReady => {
            "it would ask too much of somebody who has just landed, or who said that things feel unreal"
        }
        DropReason::Merged => "another infusion on the same date takes its place",
        DropReason::Series => "the next infusion follows so soon that only a part of the template is kept",
        DropReason::Superseded => "the next infusion comes first",
        DropReason::Provisional => "the end of the infusion is not confirmed",
        DropReason::Cap => "the day holds no more",
        DropReason::Spacing => "there is no room between its neighbours",
        DropReason::QuietHours => "the quiet hours last until it is of no use",
        DropReason::TooLate => "what it prepares for comes first",
        DropReason::TooSoon => "a questionnaire so soon after an infusion, or after the last one, says little",
        DropReason::Corrected => "the time of the infusion was corrected after it had gone out",
        DropReason::Withdrawn => "what it hung on is gone",
        DropReason::Past => "its new time has passed already",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompts::Protocol;

    #[test]
    fn no_placeholder_is_left_in_any_text() {
        for rule in &Protocol::default_v1().rules {
            let text = render(&rule.text, None);
            assert!(!text.contains(['{', '}']), "{}: {text}", rule.key);
        }
        assert_eq!(render("a {ex:body-scan} b { c", None), "a Slow tour of the body b { c");
        assert_eq!(render("'{last_takeaway}'", Some("{ex:slow} is allowed")), "'{ex:slow} is allowed'");
    }
}
