//! E-mail addresses.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::unicode;

/// An e-mail address as its owner writes it. Spellings that differ in case, in the composition of letters, or in the
/// form of the domain (`exämple.org`, `xn--exmple-cua.org.`) are the same address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Reads one address of at most 254 characters: the name of a mailbox (letters, digits and ``!#$%&'*+/=?^_`{|}~-``,
    /// with single dots between them), `@`, a domain. No display name, comment, list or scheme.
    ///
    /// # Errors
    ///
    /// A sentence for the person who sent it.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, String> {
        let text = text.as_ref().trim();
        if text.chars().count() > 254 {
            return Err("must have at most 254 characters".to_owned());
        }
        let wrong = || "must be one e-mail address, such as ann@example.org".to_owned();
        let (name, domain) = text.rsplit_once('@').ok_or_else(wrong)?;
        let (name, domain) = (unicode::composed(name), without_root(domain));
        let of_atom = |c: char| "!#$%&'*+/=?^_`{|}~-".contains(c) || unicode::is_of_word(c);
        let mailbox = name.len() <= 64 && name.split('.').all(|atom| !atom.is_empty() && atom.chars().all(of_atom));
        let host = ascii(domain).and_then(|host| host.rsplit_once('.').map(|(_, top)| top.to_owned()));
        // What ends in a number is an address of the network, no domain.
        let named = host.is_some_and(|top| !top.bytes().all(|b| b.is_ascii_digit()));
        if mailbox && named { Ok(Self(format!("{name}@{domain}"))) } else { Err(wrong()) }
    }

    /// Returns the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the form that every mail server takes: all of it is ASCII. `None` if the name of the mailbox is not.
    pub fn routable(&self) -> Option<String> {
        let (name, domain) = self.0.rsplit_once('@').filter(|(name, _)| name.is_ascii())?;
        ascii(domain).map(|domain| format!("{name}@{domain}"))
    }

    /// Checks that a letter can reach it.
    ///
    /// # Errors
    ///
    /// A sentence for the person who sent it.
    pub fn check_routable(&self) -> Result<(), &'static str> {
        self.routable().map(drop).ok_or("must have only ASCII before the @: no letter reaches it otherwise")
    }

    /// Returns the form under which it is looked up.
    pub fn folded(&self) -> String {
        let (name, domain) = self.0.rsplit_once('@').unwrap_or((&self.0, ""));
        let domain = ascii(without_root(domain)).unwrap_or_else(|| unicode::folded(domain));
        format!("{}@{domain}", unicode::folded(name))
    }
}

/// Returns the domain without the dot of the root. IDNA knows four dots.
fn without_root(domain: &str) -> &str {
    domain.strip_suffix(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).unwrap_or(domain)
}

/// Returns the form of a domain in which it is looked up (UTS 46); `None` for what cannot be one.
fn ascii(domain: &str) -> Option<String> {
    idna::domain_to_ascii_strict(domain).ok()
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_mailbox_at_one_domain() {
        let good = ["ann@example.org", " ann+x@a.bc ", "ä@exämple.org", "o'neill@example.org.", "用户@例子。公司"];
        for good in good {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        let long = format!("{}@example.org", "a".repeat(65));
        for bad in [
            "",
            "ann",
            "@example.org",
            "ann@",
            "a b@example.org",
            "ann@.org",
            "a\0@b.cd",
            "ann@example.org,bo@example.org",
            "Ann <ann@example.org>",
            "<ann@example.org>",
            "mailto:ann@example.org",
            "ann@example.org;bo",
            "ann(x)@example.org",
            "ann@example.org (Ann)",
            "\"ann\"@example.org",
            "ann..x@example.org",
            ".ann@example.org",
            "ann.@example.org",
            "ann@bo@example.org",
            "ann@[127.0.0.1]",
            "ann@127.0.0.1",
            "ann@example",
            "ann@exa_mple.org",
            "ann@-example.org",
            "a\u{202e}nn@example.org",
            "a\u{200b}nn@example.org",
            "ann@example.org/x",
            "ann@exam ple.org",
            "ann@example.org:25",
            "ann@example..org",
            "ann@example.org..",
            "ann@example.org\nbcc:bo@example.org",
            "ann@xn--a.org",
            long.as_str(),
        ] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_routable_address_is_ascii() {
        let routable = |text: &str| Email::parse(text).unwrap().routable();
        assert_eq!(routable("Ann.Lee@exämple.org."), Some("Ann.Lee@xn--exmple-cua.org".to_owned()));
        assert_eq!(routable("jörg@example.org"), None);
    }

    #[test]
    fn an_address_is_one_in_all_its_spellings() {
        let folded = |text: &str| Email::parse(text).unwrap().folded();
        for (one, others) in [
            ("jörg@exämple.org", ["JO\u{308}RG@XN--EXMPLE-CUA.ORG", "jörg@exa\u{308}mple.org.", "Jörg@EXÄMPLE。org"]),
            ("ann@example.org", ["Ann@Example.ORG", "ann@example.org.", " ann@ｅｘａｍｐｌｅ.org。 "]),
        ] {
            for other in others {
                assert_eq!(folded(one), folded(other), "{other}");
            }
        }
        assert_ne!(folded("jorg@example.org"), folded("jörg@example.org"));
    }
}
