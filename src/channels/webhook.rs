//! Pushes to a clinic's own gateway: a POST that is signed as Standard Webhooks says.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use url::Url;

use super::model::{Address, Channel, Notice, SendError};
use super::outbound::{Outbound, secret};
use crate::kernel::Clock;

/// The channel `webhook`.
pub struct Webhook {
    url: Url,
    key: hmac::Key,
    client: Outbound,
    clock: Clock,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Webhook(***)")
    }
}

impl Webhook {
    /// Makes the channel of a gateway at `url` that shares `secret` (`whsec_…`) with this server.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn new(url: &str, secret: &str, client: Outbound, clock: Clock) -> Result<Self, &'static str> {
        let url = Url::parse(url).ok().ok_or("the address of the webhook is no URL")?;
        client.check(&url)?;
        let bytes = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        let bytes = bytes.filter(|bytes| (24..=64).contains(&bytes.len()));
        let bytes = bytes.ok_or("the secret of the webhook must be whsec_ and 24 to 64 bytes in base64")?;
        if bytes.windows(2).all(|pair| pair.first() == pair.last()) {
            return Err("the secret of the webhook is one byte over and over: take random ones");
        }
        Ok(Self { url, key: hmac::Key::new(hmac::HMAC_SHA256, &bytes), client, clock })
    }

    async fn post(&self, to: &str, notice: &Notice) -> Result<(), SendError> {
        let now = self.clock.now();
        let mut data = json!({
            "to": to,
            "id": notice.prompt,
            "delivery": notice.delivery,
            "expires_at": notice.expires_at,
        });
        if let (Some(text), Some(data)) = (notice.text, data.as_object_mut()) {
            data.insert("text".to_owned(), text.into());
        }
        let body = json!({ "type": "prompt.due", "timestamp": now, "data": data }).to_string();
        let (id, seconds) = (notice.delivery.to_string(), now.as_second());
        let signed = hmac::sign(&self.key, format!("{id}.{seconds}.{body}").as_bytes());
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("webhook-timestamp", HeaderValue::from(seconds));
        secret(&mut headers, HeaderName::from_static("webhook-id"), &id)?;
        let signature = format!("v1,{}", STANDARD.encode(signed));
        secret(&mut headers, HeaderName::from_static("webhook-signature"), &signature)?;
        let answer = self.client.post(&self.url, headers, body.into_bytes(), now).await?;
        if answer.status == 410 { Err(SendError::Gone) } else { answer.result() }
    }
}

impl Channel for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn send<'a>(&'a self, to: &'a Address, notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>> {
        async move {
            let Address::Webhook { token } = to else {
                return Err(SendError::Refused { reason: "the address is one of another channel" });
            };
            self.post(token, notice).await
        }
        .boxed()
    }
}
