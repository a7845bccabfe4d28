//! Firebase Cloud Messaging, HTTP v1: a service account signs an assertion, for which it gets an access token.

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::Url;
use zeroize::Zeroizing;

use super::model::{Address, Channel, Notice, SendError};
use super::outbound::{Answer, Outbound, secret};
use crate::kernel::Clock;

/// The permission that the token is for.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// The lifetime of an assertion, the longest that is allowed.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);
/// The longest time for which a token is used.
const RENEWED: SignedDuration = SignedDuration::from_mins(55);
/// How long before its end a token is replaced.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// The channel `fcm`.
pub struct Fcm {
    signing: EncodingKey,
    key_id: Option<String>,
    email: String,
    token_uri: Url,
    send: Url,
    token: Mutex<Option<Token>>,
    client: Outbound,
    clock: Clock,
}

#[derive(Clone)]
struct Token {
    made_at: Timestamp,
    renewed_at: Timestamp,
    text: String,
}

/// What is read of the file of a service account.
#[derive(Deserialize)]
struct ServiceAccount {
    project_id: String,
    private_key: String,
    private_key_id: Option<String>,
    client_email: String,
    token_uri: String,
}

impl fmt::Debug for Fcm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fcm(***)")
    }
}

impl Fcm {
    /// The service of Google.
    pub const SERVICE: &'static str = "https://fcm.googleapis.com";

    /// Makes the channel of a service account, whose file is `account`. `service` is [`Fcm::SERVICE`].
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn new(account: &str, service: &str, client: Outbound, clock: Clock) -> Result<Self, &'static str> {
        let account: ServiceAccount = serde_json::from_str(account)
            .ok()
            .ok_or("the service account of FCM is not the JSON file that Google gives")?;
        let pem = Zeroizing::new(account.private_key);
        let signing = EncodingKey::from_rsa_pem(pem.as_bytes());
        let signing = signing.ok().ok_or("the private key of FCM's service account is not an RSA key in PEM")?;
        let token_uri =
            Url::parse(&account.token_uri).ok().ok_or("the token_uri of FCM's service account is no URL")?;
        let mut send = Url::parse(service).ok().ok_or("the address of FCM is no URL")?;
        let mut path = send.path_segments_mut().ok().ok_or("the address of FCM is no URL")?;
        path.pop_if_empty().extend(["v1", "projects", &account.project_id, "messages:send"]);
        drop(path);
        client.check(&send)?;
        client.check(&token_uri)?;
        let (key_id, email) = (account.private_key_id, account.client_email);
        Ok(Self { signing, key_id, email, token_uri, send, token: Mutex::default(), client, clock })
    }

    /// Returns the access token, which is kept until shortly before its end. `refused` is one that was not taken. One
    /// push asks for a token while the others wait for it.
    async fn token(&self, refused: Option<&Token>, now: Timestamp) -> Result<Token, SendError> {
        let mut kept = self.token.lock().await;
        let fresh = |token: &&Token| {
            (token.made_at..token.renewed_at).contains(&now) && refused.is_none_or(|refused| refused.text != token.text)
        };
        if let Some(token) = kept.as_ref().filter(fresh) {
            return Ok(token.clone());
        }
        *kept = None;
        let token = self.ask_for_token(now).await?;
        *kept = Some(token.clone());
        Ok(token)
    }

    async fn ask_for_token(&self, now: Timestamp) -> Result<Token, SendError> {
        const REFUSED: SendError = SendError::Misconfigured { reason: "the service account is refused" };
        let header = Header { kid: self.key_id.clone(), ..Header::new(Algorithm::RS256) };
        let (issued, expires) = (now.as_second(), now.saturating_add(LIFETIME).unwrap_or(now).as_second());
        let claims =
            json!({ "iss": self.email, "scope": SCOPE, "aud": self.token_uri.as_str(), "iat": issued, "exp": expires });
        let signed = jsonwebtoken::encode(&header, &claims, &self.signing);
        let assertion = signed.ok().ok_or(SendError::Refused { reason: "the assertion of FCM cannot be signed" })?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        // An assertion is base64url with dots, which a form takes as it is.
        let form = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let answer = self.client.post(&self.token_uri, headers, form.into_bytes(), now).await?;
        if matches!(answer.status, 400 | 401 | 403) {
            return Err(REFUSED);
        }
        answer.result()?;
        let body = answer.json();
        let text = body.get("access_token").and_then(Value::as_str).ok_or(REFUSED)?.to_owned();
        let lifetime = body
            .get("expires_in")
            .and_then(Value::as_u64)
            .map_or(LIFETIME, |seconds| SignedDuration::try_from(Duration::from_secs(seconds)).unwrap_or(LIFETIME));
        let used = lifetime.saturating_sub(MARGIN).clamp(SignedDuration::ZERO, RENEWED);
        Ok(Token { made_at: now, renewed_at: now.saturating_add(used).unwrap_or(now), text })
    }

    async fn post(&self, to: &str, notice: &Notice) -> Result<(), SendError> {
        let now = self.clock.now();
        let body = message(to, notice, now).to_string();
        let first = self.token(None, now).await?;
        let mut answer = self.attempt(&body, &first, now).await?;
        // One that was made just now would be refused again, and so would any where it is not the token that is wrong.
        let other = matches!(result(&answer), Err(SendError::Mismatched { .. }));
        if answer.status == 401 && first.made_at != now && !other {
            let second = self.token(Some(&first), now).await?;
            answer = self.attempt(&body, &second, now).await?;
        }
        result(&answer)
    }

    async fn attempt(&self, body: &str, token: &Token, now: Timestamp) -> Result<Answer, SendError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        secret(&mut headers, AUTHORIZATION, &format!("Bearer {}", token.text))?;
        self.client.post(&self.send, headers, body.as_bytes().to_vec(), now).await
    }
}

impl Channel for Fcm {
    fn name(&self) -> &'static str {
        "fcm"
    }

    fn send<'a>(&'a self, to: &'a Address, notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>> {
        async move {
            let Address::Fcm { token } = to else {
                return Err(SendError::Refused { reason: "the address is one of another channel" });
            };
            self.post(token, notice).await
        }
        .boxed()
    }
}

/// Makes the message. A push with a sentence is shown by the system, a silent one goes to the app alone.
fn message(to: &str, notice: &Notice, now: Timestamp) -> Value {
    let mut android = json!({
        "ttl": format!("{}s", notice.seconds_left(now)),
        "collapse_key": notice.prompt,
        "priority": if notice.text.is_some() { "HIGH" } else { "NORMAL" },
    });
    let mut message = json!({ "token": to, "data": { "id": notice.prompt, "delivery": notice.delivery } });
    if let (Some(text), Some(fields), Some(android)) = (notice.text, message.as_object_mut(), android.as_object_mut()) {
        fields.insert("notification".to_owned(), json!({ "body": text }));
        android.insert("notification".to_owned(), json!({ "tag": notice.prompt }));
    }
    if let Some(fields) = message.as_object_mut() {
        fields.insert("android".to_owned(), android);
    }
    json!({ "message": message })
}

/// Returns what the service says of a push.
fn result(answer: &Answer) -> Result<(), SendError> {
    let body = answer.json();
    let mut details = body.pointer("/error/details").and_then(Value::as_array).into_iter().flatten();
    let code = details.find_map(|detail| detail.get("errorCode")?.as_str()).unwrap_or_default();
    match (answer.status, code) {
        (404, "UNREGISTERED") => Err(SendError::Gone),
        (400, _) if is_no_token(&body) => Err(SendError::Gone),
        // The address that is asked for has nothing of the device in it.
        (404, _) => Err(SendError::Misconfigured { reason: "the service does not know the project" }),
        (403, "SENDER_ID_MISMATCH") => {
            Err(SendError::Mismatched { reason: "the registration is one of another project" })
        }
        // Phones of Apple and browsers are reached through their own services, with keys that the project has for them.
        (401, "THIRD_PARTY_AUTH_ERROR") => {
            Err(SendError::Mismatched { reason: "the project has no right key for devices of this kind" })
        }
        _ => answer.result(),
    }
}

/// Whether the service says that what was sent as a registration token never was one. Other arguments may be at fault
/// too, and a fault of ours must not retire devices.
fn is_no_token(body: &Value) -> bool {
    let mut details = body.pointer("/error/details").and_then(Value::as_array).into_iter().flatten();
    if body.pointer("/error/status").is_none_or(|status| status != "INVALID_ARGUMENT") {
        return false;
    }
    let fields = |detail: &Value| {
        let mut violations = detail.get("fieldViolations").and_then(Value::as_array).into_iter().flatten();
        violations.any(|one| one.get("field").is_some_and(|field| field == "message.token"))
    };
    let said = body.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
    details.any(fields) || said == "The registration token is not a valid FCM registration token"
}
