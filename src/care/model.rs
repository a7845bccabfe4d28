//! Capabilities of staff, and the states of a care link.

use serde::{Deserialize, Serialize};

use crate::kernel::Text;

/// The capabilities of a member of staff at one clinic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities(i32);

impl Capabilities {
    const CARE: i32 = 1;
    const RECORD: i32 = 2;
    const DUTY: i32 = 4;
    const ADMIN: i32 = 8;
    const NAMES: [(&'static str, i32); 4] =
        [("care", Self::CARE), ("record", Self::RECORD), ("duty", Self::DUTY), ("admin", Self::ADMIN)];

    /// None: of somebody who does not work there.
    pub const NONE: Self = Self(0);
    /// Managing people and protocols, and nothing else.
    pub const ADMIN_ONLY: Self = Self(Self::ADMIN);
    /// All of them, for a practice of one person.
    pub const ALL: Self = Self(Self::CARE | Self::RECORD | Self::DUTY | Self::ADMIN);

    /// Reads stored bits; unknown ones are dropped.
    pub const fn from_bits(bits: i32) -> Self {
        Self(bits & 15)
    }

    /// Returns the bits to store.
    pub const fn bits(self) -> i32 {
        self.0
    }

    /// Reads capability names; `None` when one is unknown or there is none.
    pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<Self> {
        let mut bits = 0;
        for name in names {
            bits |= Self::NAMES.iter().find(|(known, _)| *known == name)?.1;
        }
        (bits != 0).then_some(Self(bits))
    }

    /// Whether there is one among them that `others` lack.
    pub const fn beyond(self, others: Self) -> bool {
        self.0 & !others.0 != 0
    }

    /// Returns their names.
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMES.iter().filter(|(_, bit)| self.0 & bit != 0).map(|(name, _)| *name).collect()
    }

    /// Whether they may treat patients: care links and what is granted over them.
    pub const fn care(self) -> bool {
        self.0 & Self::CARE != 0
    }

    /// Whether they may record infusions of the clinic's patients; this opens no journal.
    pub const fn record(self) -> bool {
        self.0 & Self::RECORD != 0
    }

    /// Whether they look after alerts.
    pub const fn duty(self) -> bool {
        self.0 & Self::DUTY != 0
    }

    /// Whether they manage people and protocols; this opens no content.
    pub const fn admin(self) -> bool {
        self.0 & Self::ADMIN != 0
    }
}

/// The state of a care link. An open invitation has no link yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The patient has accepted; the therapist has not confirmed the person.
    Accepted,
    /// Both have agreed; the therapist has access.
    Active,
    /// The link is over for good.
    Ended,
}

impl LinkState {
    /// Returns the stored name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Active => "active",
            Self::Ended => "ended",
        }
    }

    /// Reads a stored name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Accepted, Self::Active, Self::Ended].into_iter().find(|state| state.name() == name)
    }

    /// Whether it has not ended.
    pub const fn live(self) -> bool {
        !matches!(self, Self::Ended)
    }
}

/// The state of the transfer of a care link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferState {
    /// The therapist has named a colleague; the patient has not answered.
    Offered,
    /// The patient has agreed: the link has ended, and there is one to the colleague.
    Accepted,
    /// The patient stays with the therapist.
    Declined,
    /// The therapist has taken the offer back.
    Withdrawn,
}

impl TransferState {
    /// Returns the stored name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Reads a stored name.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Offered, Self::Accepted, Self::Declined, Self::Withdrawn];
        all.into_iter().find(|state| state.name() == name)
    }
}

/// The sealed document of an access in an emergency.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EmergencyDoc {
    /// The reason.
    pub reason: Text<2000>,
}

/// The sealed document of a clinic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClinicDoc {
    /// Its name.
    pub name: Text<120>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_by_name_and_none_is_no_set() {
        let both = Capabilities::parse(["care", "record"]).unwrap();
        assert_eq!((both.care(), both.record(), both.duty(), both.admin()), (true, true, false, false));
        assert_eq!(both.names(), ["care", "record"]);
        let care = Capabilities::parse(["care"]).unwrap();
        assert!(both.beyond(care) && !care.beyond(both) && !both.beyond(both));
        assert_eq!(Capabilities::parse([]), None);
        assert_eq!(Capabilities::parse(["care", "everything"]), None);
    }

    #[test]
    fn only_an_ended_link_is_not_live() {
        for state in [LinkState::Accepted, LinkState::Active, LinkState::Ended] {
            assert_eq!(LinkState::parse(state.name()), Some(state));
            assert_eq!(state.live(), state != LinkState::Ended);
        }
        assert_eq!(LinkState::parse("invited"), None);
    }
}
