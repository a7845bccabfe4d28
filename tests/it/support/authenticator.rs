//! A device that keeps a passkey, written by hand from WebAuthn, so that it can also do what it must not.

use std::sync::Arc;

use afterglow::kernel::Entropy;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::app::TestApp;
use super::people::Person;

/// The domain of the passkeys of the servers of tests.
pub const RP_ID: &str = "lakeside.example";
/// The page of their app.
pub const ORIGIN: &str = "https://app.lakeside.example";
/// Their app on Android.
pub const ANDROID: &str = "android:apk-key-hash:pNiP5iKyQ8JwgGOaKA1zGPUPJIS-0H1xKCQcfIoGLck";

/// The user is there, and was verified.
const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
/// A key follows.
const WITH_KEY: u8 = 0x40;

/// A device with one passkey.
pub struct Authenticator {
    key: EcdsaKeyPair,
    id: [u8; 32],
    /// The handle of the account, as the server wrote it.
    pub handle: Value,
    /// The number of signatures so far.
    pub counter: u32,
    /// The page or app that asks it.
    pub origin: String,
    /// The domain for which it signs.
    pub rp_id: String,
    /// Whether it verifies its owner before it signs.
    pub verifies: bool,
}

/// The head of a CBOR item.
fn head(major: u8, length: usize) -> Vec<u8> {
    let major = major << 5;
    match length {
        0..=23 => vec![major | length as u8],
        24..=255 => vec![major | 24, length as u8],
        _ => [vec![major | 25], (length as u16).to_be_bytes().to_vec()].concat(),
    }
}

fn cbor_bytes(bytes: &[u8]) -> Vec<u8> {
    [head(2, bytes.len()), bytes.to_vec()].concat()
}

fn cbor_text(text: &str) -> Vec<u8> {
    [head(3, text.len()), text.as_bytes().to_vec()].concat()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

impl Authenticator {
    /// A device with a key that no server knows yet.
    pub fn new() -> Self {
        Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            id: Entropy::System.bytes(),
            handle: Value::Null,
            counter: 0,
            origin: ORIGIN.to_owned(),
            rp_id: RP_ID.to_owned(),
            verifies: true,
        }
    }

    /// The id of its key, as it is sent.
    pub fn credential_id(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.id)
    }

    /// The same key under the id of another one's.
    pub fn pretending_to_be(self, other: &Self) -> Self {
        Self { id: other.id, handle: other.handle.clone(), ..self }
    }

    fn flags(&self) -> u8 {
        if self.verifies { PRESENT | VERIFIED } else { PRESENT }
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let data = json!({
            "type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false,
        });
        data.to_string().into_bytes()
    }

    /// The answer to a challenge and the options to make a key: its name, the challenge, and the new key.
    pub fn adds(&mut self, begun: &Value) -> Value {
        let options = &begun["public_key"];
        self.handle = options["user"]["id"].clone();
        let public = self.key.public_key().as_ref().to_vec();
        let (x, y) = public[1..].split_at(32);
        // A COSE key: EC2, ES256, P-256.
        let cose = [vec![0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21], cbor_bytes(x), vec![0x22], cbor_bytes(y)].concat();
        let data = [
            sha256(self.rp_id.as_bytes()).as_slice(),
            &[self.flags() | WITH_KEY],
            &self.counter.to_be_bytes(),
            &[0; 16],
            &32_u16.to_be_bytes(),
            &self.id,
            &cose,
        ]
        .concat();
        let attestation = [
            head(5, 3),
            cbor_text("fmt"),
            cbor_text("none"),
            cbor_text("attStmt"),
            head(5, 0),
            cbor_text("authData"),
            cbor_bytes(&data),
        ]
        .concat();
        let credential = json!({
            "id": self.credential_id(), "rawId": self.credential_id(), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": { "credProps": { "rk": true } },
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(self.client_data("webauthn.create", options)),
                "attestationObject": URL_SAFE_NO_PAD.encode(attestation),
                "transports": ["internal", "something-new"],
            },
        });
        json!({ "name": "Ann's phone", "ceremony": begun["ceremony"], "credential": credential })
    }

    /// The answer to a challenge: with it, what was signed. Each signature is counted.
    pub fn signs(&mut self, begun: &Value) -> Value {
        self.counter += 1;
        let options = &begun["public_key"];
        let client_data = self.client_data("webauthn.get", options);
        let counter = self.counter.to_be_bytes().to_vec();
        let data = [sha256(self.rp_id.as_bytes()), vec![self.flags()], counter].concat();
        let signed = [data.clone(), sha256(&client_data)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        let mut response = json!({
            "clientDataJSON": URL_SAFE_NO_PAD.encode(client_data), "authenticatorData": URL_SAFE_NO_PAD.encode(data),
            "signature": URL_SAFE_NO_PAD.encode(signature.as_ref()),
        });
        if !self.handle.is_null() {
            response["userHandle"] = self.handle.clone();
        }
        let credential = json!({
            "id": self.credential_id(), "rawId": self.credential_id(), "type": "public-key",
            "clientExtensionResults": {}, "response": response,
        });
        json!({ "ceremony": begun["ceremony"], "credential": credential })
    }

    /// The answer to a new challenge of a server.
    pub async fn answers(&mut self, app: &Arc<TestApp>) -> Value {
        self.signs(&challenge(app).await)
    }
}

/// A challenge for whoever asks.
pub async fn challenge(app: &Arc<TestApp>) -> Value {
    app.request(reqwest::Method::POST, "/v1/auth/passkey/begin").send().await.ok().body
}

/// What a new device of somebody sends to be added, who has just proved themself.
pub async fn made(person: &Person) -> (Authenticator, Value) {
    let begun = person.act("/v1/me/factors/passkeys/begin").send().await.ok().body;
    let mut device = Authenticator::new();
    let body = device.adds(&begun);
    (device, body)
}

/// Adds a passkey of somebody who has just proved themself. Returns the device, and the id of the passkey.
pub async fn with_passkey(person: &Person) -> (Authenticator, String) {
    let (device, body) = made(person).await;
    let added = person.post("/v1/me/factors/passkeys", body).send().await.created();
    (device, added.text("/id"))
}
