//! The Ed25519 key that signs access tokens.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::kernel::{Error, Result};

/// The key pair that signs and verifies access tokens (`alg` is `EdDSA`).
pub struct SigningKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
    kid: String,
    jwk: Value,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, ***)", self.kid)
    }
}

impl SigningKey {
    /// Returns the private half, for `jsonwebtoken::encode`.
    pub fn encoding(&self) -> &EncodingKey {
        &self.encoding
    }

    /// Returns the public half, for `jsonwebtoken::decode`.
    pub fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    /// Returns the id of the key in a token's header: its RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Returns the public half as a JSON Web Key, for `/.well-known/jwks.json`.
    pub fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// Makes the key of a seed.
    pub(super) fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Result<Self> {
        let (pair, pkcs8) = pair_of(seed)?;
        Ok(Self::new(&pair, &pkcs8))
    }

    fn new(pair: &Ed25519KeyPair, pkcs8: &[u8]) -> Self {
        let public = pair.public_key().as_ref();
        let x = URL_SAFE_NO_PAD.encode(public);
        // RFC 7638: the required members in alphabetical order, without spaces.
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": "EdDSA", "use": "sig" });
        Self { encoding: EncodingKey::from_ed_der(pkcs8), decoding: DecodingKey::from_ed_der(public), kid, jwk }
    }
}

/// Makes the key of a seed, also as PKCS #8.
fn pair_of(seed: &Zeroizing<[u8; 32]>) -> Result<(Ed25519KeyPair, Zeroizing<Vec<u8>>)> {
    let refused = || Error::internal("the signing key cannot be made");
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).ok().ok_or_else(refused)?;
    let pkcs8 = Zeroizing::new(pair.to_pkcs8v1().ok().ok_or_else(refused)?.as_ref().to_vec());
    Ok((pair, pkcs8))
}
