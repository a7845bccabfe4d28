//! A part, sealed and opened.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A sealed part, and the version of the row that last changed it; 0 and nothing when it never was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Its revision.
    pub rev: i64,
    /// The sealed document.
    pub sealed: Option<Vec<u8>>,
}

/// What a part holds, with when the server took it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stamped<T> {
    /// When.
    pub at: Timestamp,
    /// What.
    pub value: T,
}

/// Names the parts of something.
pub trait Section: Copy + PartialEq + 'static {
    /// Every part.
    const ALL: &'static [Self];
    /// The stored number: no two slices share one.
    fn number(self) -> i32;
}

/// The parts of something.
pub trait Parts: Clone {
    /// Their names.
    type Section: Section;
    /// One of them.
    fn get(&self, section: Self::Section) -> &Part;
    /// One of them, to be replaced.
    fn get_mut(&mut self, section: Self::Section) -> &mut Part;

    /// The parts as they were in `version`, from the present ones and those that were replaced after it. `kept` holds,
    /// of each part, the one with `rev <= version < replaced at`, if there is one.
    #[must_use]
    fn back_to(mut self, version: i64, kept: &[(i32, Part)]) -> Self {
        for section in Self::Section::ALL {
            let old = kept.iter().find(|(number, _)| *number == section.number());
            if let Some((_, old)) = old {
                old.clone_into(self.get_mut(*section));
            } else if self.get(*section).rev > version {
                *self.get_mut(*section) = Part::default();
            }
        }
        self
    }
}
