//! What staff may do, whom they invite, and the states of a care link.

use serde::{Deserialize, Serialize};

use crate::identity::Email;
use crate::kernel::Text;

/// What a member of staff may do at one clinic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities(i32);

impl Capabilities {
    const CARE: i32 = 1;
    const RECORD: i32 = 2;
    const DUTY: i32 = 4;
    const ADMIN: i32 = 8;
    const NAMES: [(&'static str, i32); 4] =
        [("care", Self::CARE), ("record", Self::RECORD), ("duty", Self::DUTY), ("admin", Self::ADMIN)];

    /// Reads stored bits; unknown ones are dropped.
    pub const fn from_bits(bits: i32) -> Self {
        Self(bits & 15)
    }

    /// The bits to store.
    pub const fn bits(self) -> i32 {
        self.0
    }

    /// The capabilities of these names; `None` when one is unknown or there is none.
    pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<Self> {
        let mut bits = 0;
        for name in names {
            bits |= Self::NAMES.iter().find(|(known, _)| *known == name)?.1;
        }
        (bits != 0).then_some(Self(bits))
    }

    /// Their names.
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMES.iter().filter(|(_, bit)| self.0 & bit != 0).map(|(name, _)| *name).collect()
    }

    /// A therapist: care links and what is granted over them.
    pub const fn care(self) -> bool {
        self.0 & Self::CARE != 0
    }

    /// A nurse: infusions of the clinic's patients, and no journal.
    pub const fn record(self) -> bool {
        self.0 & Self::RECORD != 0
    }

    /// Looks after alerts.
    pub const fn duty(self) -> bool {
        self.0 & Self::DUTY != 0
    }

    /// Manages people and protocols, and sees no content.
    pub const fn admin(self) -> bool {
        self.0 & Self::ADMIN != 0
    }
}

/// How far a care link has come. An invitation that nobody has taken has no link yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The patient has accepted; the therapist has not confirmed who it was.
    Accepted,
    /// Both have agreed: the therapist sees what is theirs to see.
    Active,
    /// Over, for good.
    Ended,
}

impl LinkState {
    /// The stored name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Active => "active",
            Self::Ended => "ended",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Accepted, Self::Active, Self::Ended].into_iter().find(|state| state.name() == name)
    }

    /// Whether it has not ended.
    pub const fn live(self) -> bool {
        !matches!(self, Self::Ended)
    }
}

/// The sealed document of a clinic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClinicDoc {
    /// Its name.
    pub name: Text<120>,
}

/// The sealed document of an invitation: whom the inviter had in mind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct InvitationDoc {
    /// Their name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<120>>,
    /// Their address; the code is good for it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
}

/// Whom an invitation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invitee {
    /// A patient, for the therapist who invites.
    Patient,
    /// Somebody who will work at the clinic, and what they may do there.
    Staff(Capabilities),
}

impl Invitee {
    /// Of the stored bits.
    pub fn of(bits: Option<i32>) -> Self {
        bits.map_or(Self::Patient, |bits| Self::Staff(Capabilities::from_bits(bits)))
    }

    /// The bits to store.
    pub fn bits(self) -> Option<i32> {
        match self {
            Self::Patient => None,
            Self::Staff(capabilities) => Some(capabilities.bits()),
        }
    }

    /// Whether somebody of these capabilities may invite them: a therapist their patients, an admin the staff.
    pub fn invited_by(self, inviter: Capabilities) -> bool {
        match self {
            Self::Patient => inviter.care(),
            Self::Staff(_) => inviter.admin(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_by_name_and_none_is_no_set() {
        let both = Capabilities::parse(["care", "record"]).unwrap();
        assert_eq!((both.care(), both.record(), both.duty(), both.admin()), (true, true, false, false));
        assert_eq!(both.names(), ["care", "record"]);
        assert_eq!(Capabilities::parse([]), None);
        assert_eq!(Capabilities::parse(["care", "everything"]), None);
    }

    #[test]
    fn therapists_invite_patients_and_admins_invite_staff() {
        let (care, admin) = (Capabilities::parse(["care"]).unwrap(), Capabilities::parse(["admin"]).unwrap());
        let nurse = Invitee::Staff(Capabilities::parse(["record"]).unwrap());
        assert!(Invitee::Patient.invited_by(care) && !Invitee::Patient.invited_by(admin));
        assert!(nurse.invited_by(admin) && !nurse.invited_by(care));
        assert_eq!(Invitee::of(nurse.bits()), nurse);
        assert_eq!(Invitee::of(Invitee::Patient.bits()), Invitee::Patient);
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
