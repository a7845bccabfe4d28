//! The key of the MACs of rows.

use aws_lc_rs::hmac;

/// The key of the MACs of the rows that decide who gets in.
#[derive(Clone)]
pub struct RowKey(hmac::Key);

impl std::fmt::Debug for RowKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RowKey(***)")
    }
}

impl RowKey {
    /// Makes the key of its bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    pub(super) fn mac(&self, row: &[u8]) -> Vec<u8> {
        hmac::sign(&self.0, row).as_ref().to_vec()
    }

    pub(super) fn fits(&self, row: &[u8], mac: &[u8]) -> bool {
        hmac::verify(&self.0, row, mac).is_ok()
    }
}
