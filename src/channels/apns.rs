//! The Apple Push Notification service: HTTP/2, with a token that the team's key signs.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::model::{Address, Channel, Notice, SendError};
use super::outbound::{Answer, Outbound, secret};
use crate::kernel::Clock;

/// The age at which a token is replaced; Apple refuses those of more than an hour.
const RENEWED: SignedDuration = SignedDuration::from_mins(50);
/// The age below which a token is never replaced: Apple refuses those who make new ones more often.
const SOONEST: SignedDuration = SignedDuration::from_mins(20);

/// The key of a team, and the app that it is for.
#[derive(Clone)]
pub struct ApnsKey {
    /// The private key of P-256: the `.p8` file, PEM.
    pub pem: String,
    /// The id of the key.
    pub key_id: String,
    /// The id of the team.
    pub team: String,
    /// The bundle id of the app.
    pub topic: String,
}

impl fmt::Debug for ApnsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApnsKey({}, ***)", self.topic)
    }
}

/// The addresses of the service.
#[derive(Clone, Debug)]
pub struct ApnsServices {
    /// That of released apps.
    pub production: String,
    /// That of apps in development.
    pub development: String,
}

impl Default for ApnsServices {
    fn default() -> Self {
        Self {
            production: "https://api.push.apple.com".to_owned(),
            development: "https://api.sandbox.push.apple.com".to_owned(),
        }
    }
}

/// The channel `apns`.
pub struct Apns {
    signing: EncodingKey,
    key_id: String,
    team: String,
    topic: HeaderValue,
    production: Url,
    development: Url,
    token: Mutex<Option<Token>>,
    client: Outbound,
    clock: Clock,
}

#[derive(Clone)]
struct Token {
    made_at: Timestamp,
    text: String,
}

impl fmt::Debug for Apns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Apns({:?}, ***)", self.topic)
    }
}

impl Apns {
    /// Makes the channel of an app.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn new(key: ApnsKey, services: &ApnsServices, client: Outbound, clock: Clock) -> Result<Self, &'static str> {
        let ApnsKey { pem, key_id, team, topic } = key;
        let pem = zeroize::Zeroizing::new(pem);
        let signing = EncodingKey::from_ec_pem(pem.as_bytes());
        let signing = signing.ok().ok_or("the key of APNs is not the .p8 file that Apple gives")?;
        let id = |text: &str| text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !id(&key_id) || !id(&team) {
            return Err("the ids of APNs' key and team have ten letters and digits each");
        }
        let topic = HeaderValue::from_str(&topic).ok().filter(|topic| !topic.is_empty());
        let topic = topic.ok_or("the topic of APNs must be the bundle id of the app")?;
        let service = |text: &str| -> Result<Url, &'static str> {
            let url = Url::parse(text).ok().ok_or("the address of APNs is no URL")?;
            client.check(&url)?;
            Ok(url)
        };
        let (production, development) = (service(&services.production)?, service(&services.development)?);
        Ok(Self { signing, key_id, team, topic, production, development, token: Mutex::default(), client, clock })
    }

    /// Returns the token, which is kept for most of an hour. `refused` is one that was called expired.
    fn token(&self, refused: Option<&Token>, now: Timestamp) -> Result<Token, SendError> {
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |token: &&Token| {
            let age = now.duration_since(token.made_at);
            let again = refused.is_some_and(|refused| refused.text == token.text) && age >= SOONEST;
            (SignedDuration::ZERO..RENEWED).contains(&age) && !again
        };
        if let Some(token) = kept.as_ref().filter(fresh) {
            return Ok(token.clone());
        }
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::ES256) };
        let claims = json!({ "iss": self.team, "iat": now.as_second() });
        let signed = jsonwebtoken::encode(&header, &claims, &self.signing);
        let text = signed.ok().ok_or(SendError::Refused { reason: "the token of APNs cannot be signed" })?;
        let token = Token { made_at: now, text };
        *kept = Some(token.clone());
        Ok(token)
    }

    async fn post(&self, to: &str, development: bool, notice: &Notice) -> Result<(), SendError> {
        let now = self.clock.now();
        let mut url = if development { self.development.clone() } else { self.production.clone() };
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["3", "device", to]);
        }
        let first = self.token(None, now)?;
        let mut answer = self.attempt(&url, notice, &first, now).await?;
        if answer.status == 403 && reason(&answer) == "ExpiredProviderToken" {
            let second = self.token(Some(&first), now)?;
            if second.text == first.text {
                // The clock of the server is wrong, or a service of Apple's.
                return Err(SendError::Later { after: None, reason: "the service calls a new token expired" });
            }
            answer = self.attempt(&url, notice, &second, now).await?;
        }
        result(&answer)
    }

    async fn attempt(&self, url: &Url, notice: &Notice, token: &Token, now: Timestamp) -> Result<Answer, SendError> {
        let (kind, priority, aps) = match notice.text {
            Some(text) => ("alert", "10", json!({ "alert": { "body": text }, "sound": "default" })),
            None => ("background", "5", json!({ "content-available": 1 })),
        };
        let body = json!({ "aps": aps, "id": notice.prompt, "delivery": notice.delivery }).to_string();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("apns-push-type", HeaderValue::from_static(kind));
        headers.insert("apns-priority", HeaderValue::from_static(priority));
        headers.insert("apns-expiration", HeaderValue::from(notice.expires_at.as_second()));
        headers.insert("apns-topic", self.topic.clone());
        secret(&mut headers, HeaderName::from_static("apns-collapse-id"), &notice.prompt.to_string())?;
        secret(&mut headers, HeaderName::from_static("apns-id"), &notice.delivery.to_string())?;
        secret(&mut headers, AUTHORIZATION, &format!("bearer {}", token.text))?;
        self.client.post(url, headers, body.into_bytes(), now).await
    }
}

/// Returns what the service says of a push. A token of another app is not dead: it is the topic that may be wrong, which
/// is then so for all devices. A key that Apple made for one of its two services is refused by the other one alone.
fn result(answer: &Answer) -> Result<(), SendError> {
    match (answer.status, &*reason(answer)) {
        (410, _) | (400, "BadDeviceToken") => Err(SendError::Gone),
        (400, "DeviceTokenNotForTopic") => {
            Err(SendError::Mismatched { reason: "the device has another app than the topic says" })
        }
        (400, "BadTopic" | "MissingTopic" | "TopicDisallowed") => {
            Err(SendError::Misconfigured { reason: "the service refuses the topic" })
        }
        (403, "BadEnvironmentKeyIdInToken") => {
            Err(SendError::Mismatched { reason: "the key is not one for this service of Apple's" })
        }
        _ => answer.result(),
    }
}

/// Returns the reason that the service gives.
fn reason(answer: &Answer) -> String {
    answer.json().get("reason").and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Channel for Apns {
    fn name(&self) -> &'static str {
        "apns"
    }

    fn send<'a>(&'a self, to: &'a Address, notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>> {
        async move {
            let Address::Apns { token, development } = to else {
                return Err(SendError::Refused { reason: "the address is one of another channel" });
            };
            self.post(token, *development, notice).await
        }
        .boxed()
    }
}
