//! Accounts: their kinds, addresses and passphrases.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::kernel::Text;

/// The most bytes of a body that somebody sends to get in: such requests come from anybody.
pub const SIGN_IN_BYTES: usize = 8 * 1024;

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

/// An e-mail address as its owner writes it. Spellings that differ only in case are the same address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Reads an address: something, `@`, a domain; at most 254 characters, no spaces.
    ///
    /// # Errors
    ///
    /// A sentence for the person who sent it.
    pub fn parse(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        let text = text.trim();
        if text.chars().count() > 254 {
            return Err("must have at most 254 characters".to_owned());
        }
        let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        match text.rsplit_once('@') {
            Some((name, domain)) if plain && !name.is_empty() && domain.len() > 2 && !domain.starts_with('.') => {
                Ok(Self(text.to_owned()))
            }
            _ => Err("must be an e-mail address".to_owned()),
        }
    }

    /// Returns the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the form under which it is looked up.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(***)")
    }
}

/// The shortest passphrase of an account without a second factor (NIST SP 800-63B-4).
const MIN: usize = 15;
/// The longest passphrase; longer ones would only cost time to hash.
const MAX: usize = 256;

/// A typed passphrase. Prints `***`; wiped from memory when dropped.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Reads a new passphrase: 15 to 256 characters, not one character repeated, not a well-known one, not the address
    /// it protects.
    ///
    /// # Errors
    ///
    /// A sentence for the person who sent it.
    pub fn new(text: String, email: Option<&Email>) -> Result<Self, String> {
        let text = Zeroizing::new(text);
        let count = text.chars().count();
        if !(MIN..=MAX).contains(&count) {
            return Err(format!("must have {MIN} to {MAX} characters"));
        }
        let folded = text.to_lowercase();
        let mut kinds: Vec<char> = folded.chars().collect();
        kinds.sort_unstable();
        kinds.dedup();
        let known =
            ["correct horse battery staple", "correcthorsebatterystaple", "passwordpassword", "123456789012345"];
        let address = email.is_some_and(|email| folded.contains(&email.folded()));
        if kinds.len() < 5 || address || known.iter().any(|word| folded.contains(word)) {
            return Err("is too easy to guess".to_owned());
        }
        Ok(Self(text))
    }

    /// Takes the passphrase of a log-in unchecked: only whether it fits matters.
    pub fn typed(text: String) -> Self {
        let mut text = Zeroizing::new(text);
        if let Some((end, _)) = text.char_indices().nth(MAX) {
            text.truncate(end);
        }
        Self(text)
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_a_name_and_a_domain() {
        for good in ["ann@example.org", " ann+x@a.bc ", "ä@exämple.org"] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "ann", "@example.org", "ann@", "a b@example.org", "ann@.org", "a\0@b.cd"] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_passphrase_is_long_and_not_easy() {
        assert!(Passphrase::new("a quiet river at dawn".to_owned(), None).is_ok());
        assert!(Passphrase::new("日本語の長い合言葉はとても安全です".to_owned(), None).is_ok());
        for bad in ["short", "aaaaaaaaaaaaaaaaaaaa", "correct horse battery staple", "abababababababababab"] {
            assert!(Passphrase::new(bad.to_owned(), None).is_err(), "{bad}");
        }
        let email = Email::parse("ann.walker@example.org").unwrap();
        assert!(Passphrase::new("my ann.walker@example.org".to_owned(), Some(&email)).is_err());
    }
}
