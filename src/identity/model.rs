//! Accounts: their kinds, addresses and passphrases.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;
use zxcvbn::{Score, zxcvbn};

use super::well_known;
pub use crate::kernel::Email;
use crate::kernel::{Text, unicode};

/// The most bytes of a body that somebody sends to get in: such requests come from anybody.
pub const SIGN_IN_BYTES: usize = 8 * 1024;

/// What a letter tells the owner of an account. The numbers are stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A log-in on a device that the account did not know.
    NewDevice,
    /// A spent refresh token came again.
    RefreshReused,
    /// The passphrase is another one.
    PassphraseChanged,
    /// The account was disabled by its owner.
    Disabled,
    /// The account was disabled by an admin of a clinic.
    DisabledByAdmin,
    /// A second factor was switched on, a recovery code was used, or a passkey was taken away or copied.
    SecondFactor,
    /// The account was enabled again by the operator.
    EnabledByOperator,
    /// The operator took the second factor and the passkeys away.
    FactorsForgotten,
    /// A passkey was added. What lets somebody in has a kind of its own: it does not wait behind a harmless letter.
    PasskeyAdded,
    /// The second factor was switched off.
    FactorOff,
    /// New recovery codes were made.
    RecoveryCodesMade,
}

impl Notice {
    const ALL: [Self; 11] = [
        Self::NewDevice,
        Self::RefreshReused,
        Self::PassphraseChanged,
        Self::Disabled,
        Self::DisabledByAdmin,
        Self::SecondFactor,
        Self::EnabledByOperator,
        Self::FactorsForgotten,
        Self::PasskeyAdded,
        Self::FactorOff,
        Self::RecoveryCodesMade,
    ];

    /// Returns the stored number.
    pub const fn number(self) -> i32 {
        match self {
            Self::NewDevice => 1,
            Self::RefreshReused => 2,
            Self::PassphraseChanged => 3,
            Self::Disabled => 4,
            Self::DisabledByAdmin => 5,
            Self::SecondFactor => 6,
            Self::EnabledByOperator => 7,
            Self::FactorsForgotten => 8,
            Self::PasskeyAdded => 9,
            Self::FactorOff => 10,
            Self::RecoveryCodesMade => 11,
        }
    }

    /// Reads a stored number.
    pub fn of(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|notice| notice.number() == number)
    }
}

/// The two kinds of account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// A person in treatment.
    Patient,
    /// A member of staff.
    Staff,
}

impl AccountKind {
    /// Returns the stored name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Staff => "staff",
        }
    }

    /// Reads a stored name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Patient, Self::Staff].into_iter().find(|kind| kind.name() == name)
    }
}

/// How long the sessions of a kind of account live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLifetime {
    /// The time without a refresh after which a session is over.
    pub idle: SignedDuration,
    /// The time after the log-in at which it is over, however much it was used.
    pub absolute: SignedDuration,
}

impl SessionLifetime {
    /// The longest time without a refresh, of any kind of account.
    pub const LONGEST_IDLE: SignedDuration = AccountKind::Patient.session_lifetime().idle;

    const fn of_days(idle: i64, absolute: i64) -> Self {
        Self { idle: SignedDuration::from_hours(24 * idle), absolute: SignedDuration::from_hours(24 * absolute) }
    }

    /// Returns the instant at which a session of a log-in at `created` is over that is used at `now` for the last time.
    pub fn end(self, created: Timestamp, now: Timestamp) -> Timestamp {
        let idle = now.saturating_add(self.idle).unwrap_or(now);
        idle.min(created.saturating_add(self.absolute).unwrap_or(now))
    }
}

impl AccountKind {
    /// Returns how long its sessions live. A patient may leave the app alone between two courses; staff read the
    /// journals of others, so they log in more often.
    pub const fn session_lifetime(self) -> SessionLifetime {
        match self {
            Self::Patient => SessionLifetime::of_days(90, 400),
            Self::Staff => SessionLifetime::of_days(60, 180),
        }
    }
}

/// The name that a person gives a device.
pub type DeviceName = Text<80>;

/// The sealed document of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionDoc {
    /// The name of the device.
    pub device_name: DeviceName,
}

/// The shortest passphrase of an account without a second factor (NIST SP 800-63B-4).
const MIN: usize = 15;
/// The longest passphrase; longer ones would only cost time to hash.
const MAX: usize = 256;

/// Returns a passphrase in the form in which it is compared (`OpaqueString` of RFC 8265): spaces of any width are one
/// kind, letters are composed. Case and width of letters count.
fn prepared(text: &str) -> Zeroizing<String> {
    let spaced: Zeroizing<String> =
        Zeroizing::new(text.chars().map(|c| if unicode::is_space(c) { ' ' } else { c }).collect());
    Zeroizing::new(unicode::composed(&spaced))
}

/// Whether a passphrase is found within 10^10 guesses by somebody who knows words, patterns of the keyboard, and its
/// owner's address. Only its beginning is looked at, which is as long as the estimate needs.
fn is_guessed(folded: &str, email: Option<&Email>) -> bool {
    let address = email.map(Email::folded).unwrap_or_default();
    let known: Vec<&str> = address.split(['@', '.', '+', '-', '_']).chain(["afterglow"]).collect();
    zxcvbn(folded, &known).score() < Score::Four
}

/// A typed passphrase. Prints `***`; wiped from memory when dropped.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Reads a new passphrase: one line of 15 to 256 characters, not one of those that are tried first, not one that
    /// is soon guessed, not the address it protects.
    ///
    /// # Errors
    ///
    /// A sentence for the person who sent it.
    pub fn new(text: String, email: Option<&Email>) -> Result<Self, String> {
        let given = Zeroizing::new(text);
        unicode::check_line(&given)?;
        let text = prepared(&given);
        let count = text.chars().count();
        if !(MIN..=MAX).contains(&count) {
            return Err(format!("must have {MIN} to {MAX} characters"));
        }
        let folded = Zeroizing::new(unicode::folded(&text));
        let mut kinds: Vec<char> = folded.chars().collect();
        kinds.sort_unstable();
        kinds.dedup();
        let address = email.is_some_and(|email| {
            [email.folded(), unicode::folded(email.as_str())].iter().any(|address| folded.contains(address))
        });
        if well_known::has(&folded) {
            return Err("is one of the passphrases that are tried first".to_owned());
        }
        let famous = ["correct horse battery staple", "correcthorsebatterystaple"];
        let easy = kinds.len() < 5 || address || famous.iter().any(|words| folded.contains(words));
        if easy || is_guessed(&folded, email) {
            return Err("is too easy to guess".to_owned());
        }
        Ok(Self(text))
    }

    /// Takes the passphrase of a log-in unchecked: only whether it fits matters. It is as long as the request allows,
    /// and is never cut: the beginning of a passphrase is another one.
    pub fn typed(text: String) -> Self {
        Self(prepared(&Zeroizing::new(text)))
    }

    /// Returns the bytes to hash.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The sealed document of an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// The person's name.
    pub name: Text<120>,
    /// The e-mail address for log-in and for mail.
    pub email: Email,
    /// Whether the address was proved to be the person's.
    #[serde(default)]
    pub verified: bool,
    /// The address that takes its place once it is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Email>,
    /// The language of letters, BCP 47.
    #[serde(default = "english")]
    pub locale: String,
}

/// The language of letters to who named none.
fn english() -> String {
    "en".to_owned()
}

impl Profile {
    /// Makes the first profile of a person, whose address is not proved yet.
    pub fn new(name: Text<120>, email: Email) -> Self {
        Self { name, email, verified: false, pending: None, locale: english() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_idle_and_in_any_case() {
        let at = |days: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * days);
        for kind in [AccountKind::Patient, AccountKind::Staff] {
            let lifetime = kind.session_lifetime();
            assert!(lifetime.idle < lifetime.absolute && lifetime.idle <= SessionLifetime::LONGEST_IDLE);
        }
        let patient = AccountKind::Patient.session_lifetime();
        assert_eq!((patient.end(at(0), at(0)), patient.end(at(0), at(310))), (at(90), at(400)));
        assert_eq!((patient.end(at(0), at(309)), patient.end(at(0), at(399))), (at(399), at(400)));
        assert_eq!(AccountKind::Staff.session_lifetime().end(at(0), at(1)), at(61));
    }

    #[test]
    fn a_passphrase_is_long_and_not_easy() {
        assert!(Passphrase::new("a quiet river at dawn".to_owned(), None).is_ok());
        assert!(Passphrase::new("日本語の長い合言葉はとても安全です".to_owned(), None).is_ok());
        for bad in [
            "short",
            "aaaaaaaaaaaaaaaaaaaa",
            "correct horse battery staple",
            "abababababababababab",
            "passwordpassword",
            "123456789012345",
            "qwerty123456789",
            "QWERTYUIOP12345678",
            "Password1Password1",
            "afterglowafterglow",
            "iloveyouiloveyou",
        ] {
            assert!(Passphrase::new(bad.to_owned(), None).is_err(), "{bad}");
        }
        let email = Email::parse("ann.walker@example.org").unwrap();
        for bad in ["my ann.walker@example.org", "annwalkerexample", "walkerwalker12345"] {
            assert!(Passphrase::new(bad.to_owned(), Some(&email)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_passphrase_is_one_however_it_was_typed() {
        let new = |text: &str| Passphrase::new(text.to_owned(), None).unwrap();
        let typed = |text: &str| Passphrase::typed(text.to_owned());
        for (one, other) in [
            ("für später im März", "fu\u{308}r spa\u{308}ter im Ma\u{308}rz"),
            ("a quiet river at dawn", "a\u{a0}quiet\u{3000}river at dawn"),
            ("a quiet river 🫩 at dawn", "a quiet river\u{2009}🫩 at dawn"),
        ] {
            assert_eq!(new(one).as_bytes(), typed(other).as_bytes(), "{one}");
            assert_eq!(new(other).as_bytes(), typed(one).as_bytes(), "{one}");
        }
        assert_ne!(new("a quiet river at dawn").as_bytes(), typed("a quiet river at ｄawn").as_bytes());
        assert_ne!(new("a quiet river at dawn").as_bytes(), typed("A quiet river at dawn").as_bytes());
        for odd in ["a quiet river\nat dawn", "a quiet river\u{7}at dawn", "a quiet\u{200b} river at dawn", ""] {
            assert!(Passphrase::new(odd.to_owned(), None).is_err(), "{odd:?}");
        }
        let longest: String = "a long line of words that goes on ".chars().cycle().take(256).collect();
        assert_ne!(new(&longest).as_bytes(), typed(&format!("{longest}x")).as_bytes());
        // The letters are counted in the form that is kept.
        let decomposed = "a\u{308}".repeat(7) + "bcdefg";
        assert!(Passphrase::new(decomposed, None).is_err());
    }
}
