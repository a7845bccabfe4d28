//! The reasons of a plan, in words for people.

use super::plan::{DropReason, Why};

/// Words for the reason of a prompt's time.
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
        Why::AfterSession => "after the session, when its first hours are over",
        Why::Readiness => "before that it would have asked too much",
        Why::CarriedOver => "it was not done on the day before",
        Why::Silence => "it has been quiet for some time",
        Why::Lighter => "in the place of something that would have asked too much",
        Why::Corrected => "asked again: the time of the infusion was corrected after it had gone out",
    }
}

/// Words for the reason why a prompt is not planned.
pub fn dropped_in_words(reason: DropReason) -> &'static str {
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
    fn every_reason_is_listed() {
        assert_eq!(names(&Why::ALL), variants::<Why>());
        assert_eq!(names(&DropReason::ALL), variants::<DropReason>());
    }
}
