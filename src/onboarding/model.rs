//! Invitees, and what they say about themselves when they join.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::care::model::Capabilities;
use crate::identity::{Email, Passphrase};
use crate::kernel::{Code, Error, Fields, JoinCode, Result, Text, Zone};
use crate::settings::Settings;

/// The sealed document of an invitation: the invited person, as the inviter knows them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct InvitationDoc {
    /// Their name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<120>>,
    /// Their address; the code works for it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
}

/// The invitee of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invitee {
    /// A patient of the inviting therapist.
    Patient,
    /// A future member of the clinic with these capabilities.
    Staff(Capabilities),
}

impl Invitee {
    /// Reads the stored bits.
    pub fn of(bits: Option<i32>) -> Self {
        bits.map_or(Self::Patient, |bits| Self::Staff(Capabilities::from_bits(bits)))
    }

    /// Returns the bits to store.
    pub fn bits(self) -> Option<i32> {
        match self {
            Self::Patient => None,
            Self::Staff(capabilities) => Some(capabilities.bits()),
        }
    }

    /// Whether a member with these capabilities may invite them: a therapist patients, an admin staff.
    pub fn invited_by(self, inviter: Capabilities) -> bool {
        match self {
            Self::Patient => inviter.care(),
            Self::Staff(_) => inviter.admin(),
        }
    }
}

/// Returns the one error for a code that cannot be used, whatever the reason.
pub fn refused() -> Error {
    Error::Malformed(Code::CodeInvalid, String::new())
}

/// The person who makes an account.
#[derive(Clone, Debug)]
pub struct Person {
    /// The person's name.
    pub name: Text<120>,
    /// Their address.
    pub email: Email,
    /// Their passphrase.
    pub passphrase: Passphrase,
}

/// A code that somebody typed, which may be a text that no code is.
#[derive(Clone, Copy, Debug)]
pub struct TypedCode(Option<JoinCode>);

impl TypedCode {
    /// Reads a typed code.
    pub fn parse(typed: &str) -> Self {
        Self(JoinCode::parse(typed))
    }

    /// Returns the code, or another one for a text that no code is.
    pub fn or_else(self, other: impl FnOnce() -> JoinCode) -> JoinCode {
        self.0.unwrap_or_else(other)
    }
}

impl From<JoinCode> for TypedCode {
    fn from(code: JoinCode) -> Self {
        Self(Some(code))
    }
}

/// A registration.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The code of the invitation, if there is one.
    pub code: Option<TypedCode>,
    /// The code of the letter that was sent to the address, if there is one.
    pub email_code: Option<TypedCode>,
    /// The person.
    pub person: Person,
    /// Whether they declared that they are of age; for patients only.
    pub adult: bool,
    /// Their zone; for patients only.
    pub zone: Option<Zone>,
    /// Their language.
    pub locale: String,
    /// Their country.
    pub country: Option<String>,
}

impl Registration {
    /// Makes the first settings of a patient. Called only once the code is known to be one for patients.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when they are not of age or name no zone.
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
