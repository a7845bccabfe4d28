//! How fresh and how strong the proof of a caller has to be.
//!
//! A session lives for weeks, and a phone may come into the wrong hands. What is hard to take back asks its owner to
//! prove themself anew: with the passphrase, and with a code where the account has a second factor. Proofs are taken
//! back in all other sessions when a passkey, the second factor or its recovery codes stop being good.

use jiff::{SignedDuration, Timestamp};

use crate::kernel::{Error, Result, StepUp};

/// The age of a proof that may change who gets in, and what others see.
const TO_CHANGE: SignedDuration = SignedDuration::from_mins(5);
/// The age of a proof that opens what is behind the lock.
const TO_READ_BACK: SignedDuration = SignedDuration::from_mins(10);

/// The proofs of a session, and what its account has switched on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Proofs {
    /// The instant at which the passphrase was last shown.
    pub verified_at: Option<Timestamp>,
    /// The instant at which a code was last shown.
    pub factor_at: Option<Timestamp>,
    /// Whether the account has a second factor.
    pub has_factor: bool,
    /// Whether the owner has switched the lock on.
    pub locked: bool,
}

impl Proofs {
    /// Whether what the account asks for by now was not shown, or was taken back and not shown again: the passphrase,
    /// which a log-in always shows, or a passkey in its place, and a code where there is a second factor.
    pub const fn were_taken_back(&self) -> bool {
        self.verified_at.is_none() || (self.has_factor && self.factor_at.is_none())
    }

    /// Checks what ends in a session that may have begun it with proofs that count no more.
    ///
    /// # Errors
    ///
    /// [`Error::StepUp`] when they were taken back, unless all were shown anew.
    pub fn check_kept(&self, now: Timestamp) -> Result<()> {
        if self.were_taken_back() { Need::Fresh.check(self, now) } else { Ok(()) }
    }
}

/// The proof that an operation asks for, beside a session that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// None.
    Session,
    /// The passphrase within 5 minutes, and a code where there is a second factor.
    Fresh,
    /// As [`Need::Fresh`], of accounts with a second factor or with the lock on.
    Guarded,
    /// A code within 5 minutes where there is a second factor: the request itself holds the passphrase.
    Code,
    /// The passphrase within 10 minutes where the lock is on.
    Unlocked,
}

impl Need {
    /// Checks the proofs of a session at `now`.
    ///
    /// # Errors
    ///
    /// [`Error::StepUp`] with those that are missing or too old.
    pub fn check(self, proofs: &Proofs, now: Timestamp) -> Result<()> {
        let guarded = proofs.has_factor || proofs.locked;
        let (passphrase, code, age) = match self {
            Self::Session => return Ok(()),
            Self::Fresh => (true, proofs.has_factor, TO_CHANGE),
            Self::Guarded => (guarded, proofs.has_factor, TO_CHANGE),
            Self::Code => (false, proofs.has_factor, TO_CHANGE),
            Self::Unlocked => (proofs.locked, false, TO_READ_BACK),
        };
        let stale = |at: Option<Timestamp>| at.is_none_or(|at| now.duration_since(at) > age);
        let asked = [("passphrase", passphrase, proofs.verified_at), ("code", code, proofs.factor_at)];
        let lacking = asked.into_iter().filter(|(_, asked, at)| *asked && stale(*at));
        let factors: Vec<&'static str> = lacking.map(|(name, ..)| name).collect();
        if factors.is_empty() { Ok(()) } else { Err(Error::StepUp(StepUp { max_age_seconds: age.as_secs(), factors })) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is lacking, by name.
    fn lacks(need: Need, proofs: Proofs, now: Timestamp) -> Vec<&'static str> {
        match need.check(&proofs, now) {
            Ok(()) => Vec::new(),
            Err(Error::StepUp(lacking)) => lacking.factors,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn proofs_are_taken_back_until_all_that_the_account_asks_for_is_shown_anew() {
        let at = Some(Timestamp::UNIX_EPOCH);
        for (verified_at, factor_at, has_factor, taken_back) in [
            (None, None, false, true),
            (at, None, false, false),
            (None, None, true, true),
            (at, None, true, true),
            (None, at, true, true),
            (at, at, true, false),
        ] {
            let proofs = Proofs { verified_at, factor_at, has_factor, locked: false };
            assert_eq!(proofs.were_taken_back(), taken_back, "{proofs:?}");
            assert_eq!(proofs.check_kept(Timestamp::UNIX_EPOCH).is_err(), taken_back, "{proofs:?}");
        }
    }

    #[test]
    fn a_proof_is_asked_of_those_who_have_one_and_grows_old() {
        let at = |minutes: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let old = Proofs { verified_at: Some(at(0)), factor_at: Some(at(0)), has_factor: false, locked: false };
        let (strong, locked) = (Proofs { has_factor: true, ..old }, Proofs { locked: true, ..old });
        for need in [Need::Session, Need::Fresh, Need::Guarded, Need::Code, Need::Unlocked] {
            for proofs in [old, strong, locked] {
                assert!(lacks(need, proofs, at(5)).is_empty(), "{need:?}");
            }
        }
        let all = |need| [old, strong, locked].map(|proofs| lacks(need, proofs, at(6)));
        assert_eq!(all(Need::Fresh), [vec!["passphrase"], vec!["passphrase", "code"], vec!["passphrase"]]);
        assert_eq!(all(Need::Guarded), [vec![], vec!["passphrase", "code"], vec!["passphrase"]]);
        assert_eq!(all(Need::Code), [vec![], vec!["code"], vec![]]);
        for need in [Need::Session, Need::Unlocked] {
            assert!(all(need).iter().all(Vec::is_empty), "{need:?}");
        }
        assert_eq!([old, strong, locked].map(|proofs| lacks(Need::Unlocked, proofs, at(11)).len()), [0, 0, 1]);
        // A session of before has shown nothing.
        assert_eq!(lacks(Need::Fresh, Proofs::default(), at(0)), ["passphrase"]);
    }
}
