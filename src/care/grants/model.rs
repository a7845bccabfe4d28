//! The content of a grant.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::kernel::Id;
use crate::kernel::id::{Account, Entry, Response};

/// The kinds of entries that a rule can name.
pub const KINDS: [&str; 5] = ["reflection", "fragment", "note", "dream", "intention"];

/// The sections of an item that are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sections(i32);

impl Sections {
    /// Title and body.
    pub const TEXT: Self = Self(1);
    /// The dials.
    pub const MOOD: Self = Self(2);
    /// The tags.
    pub const TAGS: Self = Self(4);
    /// The attachments.
    pub const ATTACHMENTS: Self = Self(8);
    /// The answers to an exercise.
    pub const ANSWERS: Self = Self(32);
    /// The patient's ratings of an exercise: distress and usefulness.
    pub const DISTRESS: Self = Self(64);

    /// The sections of an entry.
    pub const ENTRY: Self = Self(15);
    /// The sections of an exercise response.
    pub const RESPONSE: Self = Self(96);
    /// Every section.
    pub const ALL: Self = Self(111);

    const NAMES: [(&'static str, Self); 6] = [
        ("text", Self::TEXT),
        ("mood", Self::MOOD),
        ("tags", Self::TAGS),
        ("attachments", Self::ATTACHMENTS),
        ("answers", Self::ANSWERS),
        ("distress", Self::DISTRESS),
    ];
    /// Marks, in the database only, a grant by rule, so that such grants are found without opening any. Rules are about
    /// entries: with the mark the bits are at least 16 and less than 32.
    const BY_RULE: i32 = 16;

    /// Reads section names; `None` when one is unknown or there is none.
    pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<Self> {
        let mut bits = 0;
        for name in names {
            bits |= Self::NAMES.iter().find(|(known, _)| *known == name)?.1.0;
        }
        (bits != 0).then_some(Self(bits))
    }

    /// Reads stored bits; unknown ones are dropped.
    pub const fn from_bits(bits: i32) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Returns the bits to store.
    pub const fn bits(self, by_rule: bool) -> i32 {
        if by_rule { self.0 | Self::BY_RULE } else { self.0 }
    }

    /// Returns the bits of grants by rule: from the first number to below the second.
    pub(super) const fn by_rule() -> (i32, i32) {
        (Self::BY_RULE, 2 * Self::BY_RULE)
    }

    /// Returns the stored bits of grants of some of these sections: from the first number to below the second. The
    /// sections must be those of one kind of thing, whose bits stand side by side.
    pub const fn range(self) -> (i32, i32) {
        match self.0 {
            0 => (0, 0),
            bits if bits < Self::BY_RULE => (1, 2 * Self::BY_RULE),
            bits => (bits & -bits, 2 << bits.ilog2()),
        }
    }

    /// Returns the sections that are also in `others`.
    #[must_use]
    pub const fn within(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Whether nothing is open.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns their names.
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMES.iter().filter(|(_, section)| self.has(*section)).map(|(name, _)| *name).collect()
    }

    /// Whether `section` is open.
    pub const fn has(self, section: Self) -> bool {
        self.0 & section.0 != 0
    }

    /// Returns the union of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The rule of a grant. Both conditions hold together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The entries' kind; absent for every kind.
    pub kind: Option<String>,
    /// Whether only entries that answer a prompt match.
    pub answers_prompt: bool,
}

impl Rule {
    /// Whether such an entry matches the rule.
    pub fn matches(&self, kind: &str, answers_prompt: bool) -> bool {
        self.kind.as_deref().is_none_or(|wanted| wanted == kind) && (answers_prompt || !self.answers_prompt)
    }
}

/// The target of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// One entry.
    Entry(Id<Entry>),
    /// One exercise response.
    ExerciseResponse(Id<Response>),
    /// Every entry that matches a rule.
    Rule(Rule),
}

/// The reader of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reader {
    /// A therapist with an active link.
    Therapist(Id<Account>),
    /// Every therapist whose link is active when the grant is made.
    CareTeam,
}

impl Reader {
    /// Whether a therapist can be a reader of both.
    pub fn overlaps(self, other: Self) -> bool {
        self == other || self == Self::CareTeam || other == Self::CareTeam
    }
}

/// The sealed document of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantDoc {
    /// The open sections.
    pub target: Target,
    /// The sections that are open.
    pub sections: Sections,
    /// The reader.
    pub reader: Reader,
    /// The instant at which it expires.
    pub expires_at: Option<Timestamp>,
}

impl GrantDoc {
    /// Returns the rule of a grant by rule.
    pub fn rule(&self) -> Option<&Rule> {
        match &self.target {
            Target::Rule(rule) => Some(rule),
            Target::Entry(_) | Target::ExerciseResponse(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_names() {
        let both = Sections::parse(["mood", "text"]).unwrap();
        assert_eq!(both.names(), ["text", "mood"]);
        assert!(both.has(Sections::TEXT) && !both.has(Sections::TAGS));
        assert_eq!(Sections::parse([]), None, "a grant of nothing is no grant");
        assert_eq!(Sections::parse(["text", "zone"]), None);
        assert_eq!(Sections::from_bits(both.bits(true)), both, "the mark of a rule is not a section");
        assert_eq!(Sections::ALL, Sections::ENTRY.or(Sections::RESPONSE));
        let (least, more) = Sections::by_rule();
        assert_eq!(Sections::ENTRY.range(), (1, more));
        assert_eq!(Sections::RESPONSE.range(), (32, 128), "a kind that comes later is not among them");
        assert_eq!(Sections::default().range(), (0, 0), "what is never shared is open to nobody");
        assert!((least..more).contains(&Sections::ENTRY.bits(true)) && Sections::ANSWERS.bits(false) >= more);
    }

    #[test]
    fn a_rule_matches_what_it_names() {
        let answers = Rule { kind: Some("reflection".to_owned()), answers_prompt: true };
        assert!(answers.matches("reflection", true));
        assert!(!answers.matches("reflection", false));
        assert!(!answers.matches("dream", true));
        let dreams = Rule { kind: Some("dream".to_owned()), answers_prompt: false };
        assert!(dreams.matches("dream", false) && dreams.matches("dream", true));
    }
}
