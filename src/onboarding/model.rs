//! Invitees, and what they say about themselves when they join.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::code::JoinCode;
use crate::care::model::Capabilities;
use crate::identity::{Email, Passphrase};
use crate::kernel::{Code, Error, Fields, Result, Text, Zone};
use crate::settings::Settings;

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

/// The invitee of an invitation.
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

/// The one answer to a code that cannot be used, whatever the reason.
pub fn refused() -> Error {
    Error::Malformed(Code::CodeInvalid, String::new())
}

/// Somebody who makes an account.
#[derive(Clone, Debug)]
pub struct Person {
    /// The person's name.
    pub name: Text<120>,
    /// Their address.
    pub email: Email,
    /// Their passphrase.
    pub passphrase: Passphrase,
}

/// A registration.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The code; `None` when what was typed cannot be one.
    pub code: Option<JoinCode>,
    /// The person.
    pub person: Person,
    /// Whether they said that they are of age. Asked of patients.
    pub adult: bool,
    /// Asked of patients.
    pub zone: Option<Zone>,
    /// Their language.
    pub locale: String,
    /// Their country.
    pub country: Option<String>,
}

impl Registration {
    /// The settings a patient begins with. Asked once it is known that the code is one for patients.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for somebody who is not of age, or names no zone.
    pub fn settings(&self, now: Timestamp) -> Result<Settings> {
        let mut fields = Fields::new();
        fields.check(self.adult, "/adult", "must be true: this server is for adults");
        let zone = fields.need("/time_zone", self.zone.clone(), Ok::<_, String>);
        let settings = Settings::new(fields.finish(zone)?, self.locale.as_str(), now);
        Ok(Settings { country: self.country.clone(), ..settings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn therapists_invite_patients_and_admins_invite_staff() {
        let (care, admin) = (Capabilities::parse(["care"]).unwrap(), Capabilities::parse(["admin"]).unwrap());
        let nurse = Invitee::Staff(Capabilities::parse(["record"]).unwrap());
        assert!(Invitee::Patient.invited_by(care) && !Invitee::Patient.invited_by(admin));
        assert!(nurse.invited_by(admin) && !nurse.invited_by(care));
        assert_eq!(Invitee::of(nurse.bits()), nurse);
        assert_eq!(Invitee::of(Invitee::Patient.bits()), Invitee::Patient);
    }
}
