//! Access tokens: JSON Web Tokens signed with Ed25519, and the cache of verified ones.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::kernel::id::{Account, Session};
use crate::kernel::{Error, Id, Result};
use crate::vault::{SigningKey, Vault};

/// The lifetime of an access token.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(10);
/// The most that the clocks of two servers may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(1);
/// The most tokens cached. At this number only expired ones make room for new ones.
const CAPACITY: usize = 20_000;
/// The account of the tokens.
const AUDIENCE: &str = "afterglow";

/// The claims of our tokens. Others are refused: an unknown claim such as `nbf` or `act` must not pass unchecked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    iss: String,
    aud: String,
    sub: Id<Account>,
    sid: Id<Session>,
    iat: i64,
    exp: i64,
}

/// The claims of a genuine token.
#[derive(Clone, Copy, Debug)]
pub struct Claims {
    /// The account.
    pub account: Id<Account>,
    /// The session.
    pub session: Id<Session>,
    expires: i64,
}

/// Issues and verifies access tokens.
pub struct Tokens {
    vault: Vault,
    issuer: String,
    validation: Validation,
    known: RwLock<HashMap<[u8; 32], Claims>>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// Makes the tokens of the server at `issuer`, signed with the vault's keys.
    pub fn new(vault: Vault, issuer: impl Into<String>) -> Arc<Self> {
        let issuer = issuer.into();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The expiry is checked below, with the injected clock.
        validation.validate_exp = false;
        Arc::new(Self { vault, issuer, validation, known: RwLock::default() })
    }

    /// Issues a token for a session.
    pub fn issue(&self, account: Id<Account>, session: Id<Session>, now: Timestamp) -> Result<String> {
        let exp = now.saturating_add(LIFETIME).map_err(|error| Error::Internal(Box::new(error)))?;
        let claims = Wire {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: account,
            sid: session,
            iat: now.as_second(),
            exp: exp.as_second(),
        };
        let keys = self.vault.signing_keys();
        let key = keys.signing(now);
        jsonwebtoken::encode(&header_of(key), &claims, key.encoding()).map_err(|error| Error::Internal(Box::new(error)))
    }

    /// Returns the claims of a token, if it is genuine and not expired.
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<Claims> {
        if token.len() > 1024 {
            return None;
        }
        let key: [u8; 32] = digest::digest(&digest::SHA256, token.as_bytes()).as_ref().try_into().ok()?;
        let cached = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        let claims = match cached {
            Some(claims) => claims,
            None => self.check(token, now)?,
        };
        // A token is never issued for longer than its lifetime, so one that ends later is from the future.
        let latest = now.as_second().saturating_add((LIFETIME + SKEW).as_secs());
        if claims.expires <= now.as_second() || claims.expires > latest {
            return None;
        }
        if cached.is_none() {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= CAPACITY {
                known.retain(|_, claims| claims.expires > now.as_second());
            }
            if known.len() < CAPACITY {
                known.insert(key, claims);
            }
        }
        Some(claims)
    }

    fn check(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let keys = self.vault.signing_keys();
        let key = keys.find(header.kid.as_deref()?, now)?;
        if header != header_of(key) {
            return None;
        }
        let wire = jsonwebtoken::decode::<Wire>(token, key.decoding(), &self.validation).ok()?.claims;
        let lifetime = wire.exp.checked_sub(wire.iat)?;
        if !(1..=LIFETIME.as_secs()).contains(&lifetime) {
            return None;
        }
        Some(Claims { account: wire.sub, session: wire.sid, expires: wire.exp })
    }

    /// Returns the public keys at `now`, as a JWK set: the present one, and during a rotation the next or the last.
    pub fn jwks(&self, now: Timestamp) -> serde_json::Value {
        let keys = self.vault.signing_keys();
        serde_json::json!({ "keys": keys.accepted(now).map(SigningKey::jwk).collect::<Vec<_>>() })
    }
}

/// Makes the only header that tokens signed with `key` have.
fn header_of(key: &SigningKey) -> Header {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some("at+jwt".to_owned());
    header.kid = Some(key.kid().to_owned());
    header
}
