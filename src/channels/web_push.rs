//! Web Push: the payload is encrypted for the browser (RFC 8291), the server identifies itself by VAPID (RFC 8292).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use super::model::{Address, Channel, Notice, SendError};
use super::outbound::{Answer, Outbound, secret};
use crate::kernel::{Clock, Entropy};

/// The length of every payload before encryption: what a push says does not show in its length.
const PADDED: usize = 512;
/// The lifetime of a VAPID token: at most 24 hours are allowed.
const LIFETIME: SignedDuration = SignedDuration::from_hours(12);
/// The age at which a token is replaced.
const RENEWED: SignedDuration = SignedDuration::from_hours(6);
/// The most tokens kept, one for each push service. Clients choose the services: beyond this, all are forgotten.
const ORIGINS: usize = 256;

/// The channel `web_push`.
pub struct WebPush {
    signing: EncodingKey,
    public: [u8; 65],
    subject: String,
    tokens: Mutex<HashMap<String, Token>>,
    client: Outbound,
    clock: Clock,
}

#[derive(Clone)]
struct Token {
    made_at: Timestamp,
    text: String,
}

impl fmt::Debug for WebPush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebPush({}, ***)", self.public_key())
    }
}

impl WebPush {
    /// Makes the channel of a VAPID key: the 32 bytes of a private key of P-256, base64url. `subject` is a `mailto:` or
    /// `https:` address of the operator, for the push services.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn new(private_key: &str, subject: &str, client: Outbound, clock: Clock) -> Result<Self, &'static str> {
        const KEY: &str = "the VAPID key must be the 32 bytes of a private key of P-256 in base64url";
        if !subject.starts_with("mailto:") && !subject.starts_with("https://") {
            return Err("the subject of the VAPID key must be a mailto: or https: address");
        }
        let private = Zeroizing::new(URL_SAFE_NO_PAD.decode(private_key.trim_end_matches('=')).ok().ok_or(KEY)?);
        let public = PrivateKey::from_private_key(&ECDH_P256, &private).ok().ok_or(KEY)?;
        let public = point(&public).ok_or(KEY)?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, &public);
        let pkcs8 = pair.ok().and_then(|pair| pair.to_pkcs8v1().ok()).ok_or(KEY)?;
        let signing = EncodingKey::from_ec_der(pkcs8.as_ref());
        Ok(Self { signing, public, subject: subject.to_owned(), tokens: Mutex::default(), client, clock })
    }

    /// Returns the public key, which browsers need to subscribe: base64url.
    pub fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.public)
    }

    /// Returns the token for a push service, which is kept for some hours. `refused` is one that it did not take.
    fn token(&self, origin: &str, refused: Option<&Token>, now: Timestamp) -> Result<Token, SendError> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |token: &&Token| {
            let age = now.duration_since(token.made_at);
            (SignedDuration::ZERO..RENEWED).contains(&age) && refused.is_none_or(|refused| refused.text != token.text)
        };
        if let Some(token) = tokens.get(origin).filter(fresh) {
            return Ok(token.clone());
        }
        let expires = now.saturating_add(LIFETIME).unwrap_or(now).as_second();
        let claims = json!({ "aud": origin, "exp": expires, "sub": self.subject });
        let signed = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.signing);
        let text = signed.ok().ok_or(SendError::Refused { reason: "the VAPID token cannot be signed" })?;
        if tokens.len() >= ORIGINS {
            tokens.clear();
        }
        let token = Token { made_at: now, text };
        tokens.insert(origin.to_owned(), token.clone());
        Ok(token)
    }

    async fn post(&self, to: &Subscription, notice: &Notice) -> Result<(), SendError> {
        let now = self.clock.now();
        let mut payload = json!({ "id": notice.prompt, "delivery": notice.delivery });
        if let (Some(text), Some(payload)) = (notice.text, payload.as_object_mut()) {
            payload.insert("text".to_owned(), text.into());
        }
        let fault = SendError::Refused { reason: "the push cannot be encrypted" };
        let own = PrivateKey::generate(&ECDH_P256).ok().ok_or(fault.clone())?;
        let salt = Entropy::System.bytes();
        let body = encrypt(payload.to_string().as_bytes(), PADDED, to, &own, salt).ok_or(fault)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
        headers.insert("ttl", HeaderValue::from(notice.seconds_left(now)));
        headers.insert("urgency", HeaderValue::from_static(if notice.text.is_some() { "high" } else { "normal" }));
        // A later push about the same prompt takes the place of one that still waits.
        let topic = URL_SAFE_NO_PAD.encode(notice.prompt.uuid().as_bytes());
        secret(&mut headers, HeaderName::from_static("topic"), &topic)?;
        let origin = to.endpoint.origin().ascii_serialization();
        let first = self.token(&origin, None, now)?;
        let mut answer = self.attempt(&to.endpoint, headers.clone(), &body, &first, now).await?;
        // One that was made just now would be refused again.
        if matches!(answer.status, 401 | 403) && first.made_at != now {
            let second = self.token(&origin, Some(&first), now)?;
            answer = self.attempt(&to.endpoint, headers, &body, &second, now).await?;
        }
        result(&answer)
    }

    async fn attempt(
        &self,
        endpoint: &Url,
        mut headers: HeaderMap,
        body: &[u8],
        token: &Token,
        now: Timestamp,
    ) -> Result<Answer, SendError> {
        secret(&mut headers, AUTHORIZATION, &format!("vapid t={}, k={}", token.text, self.public_key()))?;
        self.client.post(endpoint, headers, body.to_vec(), now).await
    }
}

impl Channel for WebPush {
    fn name(&self) -> &'static str {
        "web_push"
    }

    fn public_key(&self) -> Option<String> {
        Some(self.public_key())
    }

    fn send<'a>(&'a self, to: &'a Address, notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>> {
        async move {
            let Address::WebPush { endpoint, p256dh, auth } = to else {
                return Err(SendError::Refused { reason: "the address is one of another channel" });
            };
            let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
            let parsed = Url::parse(endpoint).ok().zip(bytes(p256dh)).zip(bytes(auth));
            let ((endpoint, key), auth) =
                parsed.ok_or(SendError::Refused { reason: "the subscription is unreadable" })?;
            self.post(&Subscription { endpoint, key, auth }, notice).await
        }
        .boxed()
    }
}

/// Returns what a push service says of a push. Each subscription is bound to the VAPID key that it was made for, and
/// services answer to another one as to a wrong token. So that is a fault of this subscription or of the key, of which
/// the browser learns from `/v1/meta`. It is none of the channel, whose services are chosen by clients.
fn result(answer: &Answer) -> Result<(), SendError> {
    let mismatched =
        answer.status == 400 && answer.json().get("reason").is_some_and(|reason| reason == "VapidPkHashMismatch");
    match answer.status {
        404 | 410 => Err(SendError::Gone),
        401 | 403 => Err(SendError::Mismatched { reason: "the service refuses the key or its token" }),
        _ if mismatched => Err(SendError::Mismatched { reason: "the subscription was made for another key" }),
        _ => answer.result(),
    }
}

/// Where a browser is reached, and its keys.
struct Subscription {
    endpoint: Url,
    key: Vec<u8>,
    auth: Vec<u8>,
}

/// Returns the uncompressed point of the public key.
fn point(private: &PrivateKey) -> Option<[u8; 65]> {
    private.compute_public_key().ok()?.as_ref().try_into().ok()
}

/// A length of key material.
#[derive(Clone, Copy)]
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

/// Encrypts a payload as one record of `aes128gcm` (RFC 8188) with the keys of RFC 8291. `length` is that of the record
/// before encryption, padding and its delimiter included. `None` when the payload is longer or a key is none.
fn encrypt(payload: &[u8], length: usize, to: &Subscription, own: &PrivateKey, salt: [u8; 16]) -> Option<Vec<u8>> {
    /// The length of a record that the header announces: the longest that every push service takes.
    const RECORD: u32 = 4096;
    let public = point(own)?;
    let (their, secret) = (UnparsedPublicKey::new(&ECDH_P256, to.key.as_slice()), Salt::new(HKDF_SHA256, &to.auth));
    let info: [&[u8]; 3] = [b"WebPush: info\0", &to.key, &public];
    let mut ikm = Zeroizing::new([0; 32]);
    let derive = |shared: &[u8]| {
        let prk = secret.extract(shared);
        prk.expand(&info, Bytes(32)).and_then(|okm| okm.fill(&mut *ikm)).ok().ok_or(())
    };
    agree(own, their, (), derive).ok()?;
    let prk = Salt::new(HKDF_SHA256, &salt).extract(&*ikm);
    let (mut key, mut nonce) = (Zeroizing::new([0; 16]), [0; 12]);
    prk.expand(&[b"Content-Encoding: aes128gcm\0"], Bytes(16)).ok()?.fill(&mut *key).ok()?;
    prk.expand(&[b"Content-Encoding: nonce\0"], Bytes(12)).ok()?.fill(&mut nonce).ok()?;
    let mut record = Vec::with_capacity(length.checked_add(16)?);
    record.extend_from_slice(payload);
    record.push(2);
    if record.len() > length {
        return None;
    }
    record.resize(length, 0);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &*key).ok()?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record).ok()?;
    let head: [&[u8]; 4] = [&salt, &RECORD.to_be_bytes(), &[65], &public];
    Some([head.concat(), record].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    #[test]
    fn the_example_of_rfc_8291_comes_out() {
        let to = Subscription {
            endpoint: Url::parse("https://push.example.net/").unwrap(),
            key: bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
            auth: bytes("BTBZMqHH6r4Tts7J_aSIgg"),
        };
        let own = bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
        let own = PrivateKey::from_private_key(&ECDH_P256, &own).unwrap();
        let salt = bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap();
        let payload = b"When I grow up, I want to be a watermelon";
        let sealed = encrypt(payload, payload.len() + 1, &to, &own, salt).unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(sealed),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBr\
             u3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        );
        assert!(encrypt(payload, payload.len(), &to, &own, salt).is_none(), "no room for the delimiter");
        let wrong = Subscription { key: vec![4; 65], ..to };
        assert!(encrypt(payload, 512, &wrong, &own, salt).is_none(), "no point of the curve");
    }
}
