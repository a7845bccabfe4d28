//! Kinds of letters, purposes of proofs, and the times of attempts.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::kernel::id::{AddressProof, Letter};
use crate::kernel::{Email, Id};

/// What a letter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterKind {
    /// A code that proves the address of an account.
    Verify,
    /// A code that sets a new passphrase.
    Reset,
    /// A code to register with.
    Register,
    /// Somebody wanted an account for an address that has one.
    Known,
    /// Somebody with an invitation wanted an account for an address that has one.
    KnownInvited,
    /// The passphrase was changed.
    PassphraseChanged,
    /// Another address was asked for.
    AddressAsked,
    /// Another address has taken the place of the one to which this goes.
    AddressChanged,
    /// The account was disabled by its owner.
    Disabled,
    /// The account was disabled by an admin.
    DisabledByAdmin,
    /// A log-in on a device that the account did not know.
    NewDevice,
    /// A spent token of a device came again.
    RefreshReused,
    /// A second factor was switched on, a recovery code was used, or a passkey was taken away or copied.
    SecondFactor,
    /// The account was enabled again by the operator.
    EnabledByOperator,
    /// The operator took the second factor and the passkeys away.
    FactorsForgotten,
    /// A passkey was added.
    PasskeyAdded,
    /// The second factor was switched off.
    FactorOff,
    /// New recovery codes were made.
    RecoveryCodesMade,
    /// Nothing: it does not leave. For an unknown address the same is stored as for a known one.
    Nothing,
}

impl LetterKind {
    /// Every kind that leaves.
    pub const SENT: [Self; 18] = [
        Self::Verify,
        Self::Reset,
        Self::Register,
        Self::Known,
        Self::KnownInvited,
        Self::PassphraseChanged,
        Self::AddressAsked,
        Self::AddressChanged,
        Self::Disabled,
        Self::DisabledByAdmin,
        Self::NewDevice,
        Self::RefreshReused,
        Self::SecondFactor,
        Self::EnabledByOperator,
        Self::FactorsForgotten,
        Self::PasskeyAdded,
        Self::FactorOff,
        Self::RecoveryCodesMade,
    ];

    /// The time for which it is worth sending.
    pub const fn lifetime(self) -> SignedDuration {
        match self {
            Self::Reset => ProofPurpose::Reset.lifetime(),
            _ => SignedDuration::from_hours(24),
        }
    }
}

/// The sealed content of a letter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LetterDoc {
    /// What it says.
    pub kind: LetterKind,
    /// The address.
    pub to: Email,
    /// The language, BCP 47.
    pub locale: String,
    /// The proof whose code it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Id<AddressProof>>,
}

/// What a proof of an address is for. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofPurpose {
    /// The address of an account is its owner's.
    Verify,
    /// A new passphrase.
    Reset,
    /// A new account.
    Register,
    /// Nothing: no letter carries its code. For as long as it lasts, codes set no passphrase with its address.
    ResetPause,
}

impl ProofPurpose {
    /// Returns the stored number.
    pub const fn number(self) -> i32 {
        match self {
            Self::Verify => 1,
            Self::Reset => 2,
            Self::Register => 3,
            Self::ResetPause => 4,
        }
    }

    /// The time for which the code works.
    pub const fn lifetime(self) -> SignedDuration {
        match self {
            Self::Reset => SignedDuration::from_mins(30),
            Self::Verify | Self::Register | Self::ResetPause => SignedDuration::from_hours(24),
        }
    }
}

/// The pauses between two attempts.
const BACKOFF: [SignedDuration; 6] = [
    SignedDuration::from_mins(1),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(30),
    SignedDuration::from_hours(2),
    SignedDuration::from_hours(6),
    SignedDuration::from_hours(12),
];

/// Returns the instant of the next attempt after the `attempts`-th has failed at `now`; `None` when it would be too
/// late. Up to a quarter of the pause is added, by the letter, so that what failed together does not come back
/// together.
pub fn retry_at(id: Id<Letter>, attempts: i32, expires_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let pause = usize::try_from(attempts - 1).ok().and_then(|turn| BACKOFF.get(turn))?;
    let [.., last] = *id.uuid().as_bytes();
    let spread = SignedDuration::from_millis(i64::from(last) * pause.as_secs());
    let at = now.checked_add(*pause).ok()?.checked_add(spread).ok()?;
    (at < expires_at).then_some(at)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_letter_is_tried_again_ever_later_until_it_expires() {
        let now = Timestamp::UNIX_EPOCH;
        let late = now + SignedDuration::from_hours(48);
        let pause = |last: u8, attempts| {
            let id = Id::from_uuid(Uuid::from_u128(u128::from(last)));
            retry_at(id, attempts, late, now).map(|at| at.duration_since(now))
        };
        for (turn, most) in (1..).zip(BACKOFF) {
            let (first, last) = (pause(0, turn).unwrap(), pause(255, turn).unwrap());
            assert_eq!(first, most);
            assert!(last > first && last <= most + most / 3, "{last}");
        }
        assert_eq!(pause(0, 7), None);
        assert_eq!(pause(0, 0), None);
        let id = Id::from_uuid(Uuid::nil());
        assert_eq!(retry_at(id, 3, now + SignedDuration::from_mins(30), now), None);
    }
}
