//! The reasons of a plan, in words for people. Staff read them in English; the other languages speak to the patient.

mod german;
mod spanish;

use super::plan::{DropReason, Why};
use crate::kernel::locale::TextLanguage;

/// Returns words for the reason of a prompt's time.
pub fn why_in_words(why: Why, language: TextLanguage) -> &'static str {
    match language {
        TextLanguage::English => why_in_english(why),
        TextLanguage::German => german::why_in_words(why),
        TextLanguage::Spanish => spanish::why_in_words(why),
    }
}

/// Returns words for the reason why a prompt is not planned.
pub fn dropped_in_words(reason: DropReason, language: TextLanguage) -> &'static str {
    match language {
        TextLanguage::English => dropped_in_english(reason),
        TextLanguage::German => german::dropped_in_words(reason),
        TextLanguage::Spanish => spanish::dropped_in_words(reason),
    }
}

fn why_in_english(why: Why) -> &'static str {
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
        Why::AfterSession => "after the session, when its first hours are over",
        Why::Readiness => "before that it would have asked too much",
        Why::CarriedOver => "it was not done on the day before",
        Why::Silence => "it has been quiet for some time",
        Why::Lighter => "in the place of something that would have asked too much",
        Why::Corrected => "asked again: the time of the infusion was corrected after it had gone out",
    }
}

fn dropped_in_english(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Capability => "this server cannot do what it needs yet",
        DropReason::LeftOut => "a therapist has left it out for this patient",
        DropReason::Withheld => "it is set aside for now",
        DropReason::Prerequisite => "something it needs of the patient is missing",
        DropReason::Paused => "it falls into a pause",
        DropReason::Suspended => "something else has to be looked at first",
        DropReason::InSession => "it would come during a session, or in the first hours after it",
        DropReason::NotReady => {
            "it would ask too much of somebody who has just landed, or who said that things feel unreal"
        }
        DropReason::Answered => "it is for quiet days, and the patient has been active",
        DropReason::Stopped => "several in a row went by, so it rests until the patient or an infusion starts it again",
        DropReason::Replaced => "another prompt comes in its place",
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
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    /// The names of the variants: serde tells them for one that there is not.
    fn variants<T: DeserializeOwned>() -> Vec<String> {
        let told = serde_json::from_str::<T>("\"?\"").err().unwrap().to_string();
        let (_, list) = told.split_once("expected one of ").unwrap();
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    fn names<T: Serialize>(all: &[T]) -> Vec<String> {
        all.iter().map(|one| serde_json::to_value(one).unwrap().as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_language_says_each_reason_in_its_own_words() {
        let whys = Why::ALL.map(|why| TextLanguage::ALL.map(|language| why_in_words(why, language)));
        let drops = DropReason::ALL.map(|reason| TextLanguage::ALL.map(|language| dropped_in_words(reason, language)));
        for [english, german, spanish] in whys.into_iter().chain(drops) {
            assert!(english != german && english != spanish && german != spanish, "{english}, {german}, {spanish}");
            assert!([english, german, spanish].iter().all(|words| (8..=160).contains(&words.chars().count())));
        }
    }

    #[test]
    fn every_reason_is_listed() {
        assert_eq!(names(&Why::ALL), variants::<Why>());
        assert_eq!(names(&DropReason::ALL), variants::<DropReason>());
    }
}
