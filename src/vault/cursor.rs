//! Sealed cursors, which a client cannot read, change, or use for another caller or filter.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::seal::NONCE;

const FORMAT: u8 = 1;

/// Seals a cursor. `None` only for a plaintext of many gigabytes.
pub(super) fn seal(key: &LessSafeKey, nonce: [u8; NONCE], bound: &[u8], plain: &[u8]) -> Option<String> {
    let mut body = plain.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut body).ok()?;
    Some(URL_SAFE_NO_PAD.encode([&[FORMAT], nonce.as_slice(), body.as_slice()].concat()))
}

pub(super) fn open(key: &LessSafeKey, bound: &[u8], text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (&format, rest) = bytes.split_first()?;
    let (nonce, body) = rest.split_first_chunk()?;
    if format != FORMAT {
        return None;
    }
    let mut body = body.to_vec();
    let plain = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound), &mut body).ok()?.len();
    body.truncate(plain);
    Some(body)
}
