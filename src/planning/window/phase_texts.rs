//! The words of a phase: a label and one plain sentence.
//!
//! They use the second person and make no promise. They put no pressure, name no number of hours left, and always leave
//! a way out. A test checks this.

use super::phase::Phase;
use super::{german, spanish};
use crate::kernel::locale::TextLanguage;

impl Phase {
    /// Returns the label shown to people.
    pub const fn label(self, language: TextLanguage) -> &'static str {
        match language {
            TextLanguage::English => self.english_label(),
            TextLanguage::German => german::label(self),
            TextLanguage::Spanish => spanish::label(self),
        }
    }

    /// Returns one plain sentence for the patient.
    pub const fn sentence(self, language: TextLanguage) -> &'static str {
        match language {
            TextLanguage::English => self.english_sentence(),
            TextLanguage::German => german::sentence(self),
            TextLanguage::Spanish => spanish::sentence(self),
        }
    }

    const fn english_label(self) -> &'static str {
        match self {
            Self::None => "No session yet",
            Self::InSession => "In session",
            Self::Acute => "In clinic / landing",
            Self::Settling => "Rest & capture",
            Self::Peak => "Open window",
            Self::Consolidate => "Practise & repeat",
            Self::Closing => "Carry forward",
            Self::Maintenance => "Between windows",
        }
    }

    const fn english_sentence(self) -> &'static str {
        match self {
            Self::None => {
                "Once a session is on record, you can see here which part of the days after it you are in. \
                 Until then you can write whenever you like."
            }
            Self::InSession => "Your session is under way, and nothing here needs your attention.",
            Self::Acute => "You are just landing: take your time, nothing is asked of you here.",
            Self::Settling => {
                "Rest comes first for you now. If you like, catch a few pieces of what you noticed, in a word or a colour."
            }
            Self::Peak => {
                "Some research suggests that learning new patterns may be easier in these days. \
                 If it suits you, you can try one small practice."
            }
            Self::Consolidate => {
                "You can come back to what felt useful and repeat it in small ways. A little is enough, and a pause is fine."
            }
            Self::Closing => {
                "You can look at what you would like to keep, and let it join your ordinary days at your own pace."
            }
            Self::Maintenance => {
                "You are in the everyday time between sessions. A short look back now and then is plenty, and skipping it is fine."
            }
        }
    }
}
