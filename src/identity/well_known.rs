//! The passphrases that everybody tries first: 159,152 from leaks, at least eight characters long.
//!
//! `well_known.bin` has the first four bytes of the SHA-256 of each, in order, so that a look-up is a binary search in
//! 640 kB. They are, of the ten million passwords that Mark Burnett put in the public domain in 2015, the 150,000 most
//! frequent of that length and all those of 15 characters or more, folded ([`crate::kernel::unicode::folded`]). One
//! passphrase in 27,000 that is not among them is taken for one that is, which costs its owner another try.

use aws_lc_rs::digest::{SHA256, digest};

/// The beginnings of the hashes, in order.
static HASHES: &[u8] = include_bytes!("well_known.bin");
/// The bytes that are kept of a hash.
const KEPT: usize = 4;

/// Whether a passphrase in its folded form is well known.
pub(super) fn has(folded: &str) -> bool {
    let (hashes, _none) = HASHES.as_chunks::<KEPT>();
    digest(&SHA256, folded.as_bytes())
        .as_ref()
        .first_chunk::<KEPT>()
        .is_some_and(|beginning| hashes.binary_search(beginning).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_tries_first_is_known() {
        for known in ["password", "12345678", "1qaz2wsx3edc4rfv", "qwerty123456789", "12345678901234567890"] {
            assert!(has(known), "{known}");
        }
        for other in ["a quiet river at dawn", "lanterns over the lake", ""] {
            assert!(!has(other), "{other}");
        }
    }

    #[test]
    fn the_list_is_long_and_in_order_and_seldom_wrong() {
        let (hashes, rest) = HASHES.as_chunks::<KEPT>();
        assert!(rest.is_empty() && hashes.len() > 150_000 && hashes.is_sorted());
        let wrong = (0..100_000).filter(|number| has(&format!("nobody has this passphrase {number}"))).count();
        assert!(wrong < 20, "{wrong}");
    }
}
