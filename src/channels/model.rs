//! Addresses, notices, and the interface of a channel.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::agreement::{ECDH_P256, ParsedPublicKey, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use crate::kernel::id::{Delivery, Prompt};
use crate::kernel::{Email, Id};

/// Where a device is reached. It is a secret: its `Debug` shows the channel alone.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// A registration token of Firebase Cloud Messaging.
    Fcm {
        /// The token.
        token: String,
    },
    /// A device token of the Apple Push Notification service.
    Apns {
        /// The token, in hexadecimal digits.
        token: String,
        /// Whether it is one of an app under development.
        development: bool,
    },
    /// A Web Push subscription.
    WebPush {
        /// Its endpoint.
        endpoint: String,
        /// Its public key, base64url.
        p256dh: String,
        /// Its secret, base64url.
        auth: String,
    },
    /// The name by which a clinic's gateway knows the device.
    Webhook {
        /// The name.
        token: String,
    },
    /// A mailbox.
    Email {
        /// Its address.
        address: String,
    },
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({})", self.channel())
    }
}

impl Address {
    /// The names of all channels.
    pub const CHANNELS: [&'static str; 5] = ["fcm", "apns", "web_push", "webhook", "email"];

    /// Finds what is wrong with it: the part, and a sentence for the person who sent it.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        let visible = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        match self {
            Self::Fcm { token } | Self::Webhook { token } => {
                (!visible(token, 4096)).then_some(("address", "must have 1 to 4096 visible characters of ASCII"))
            }
            Self::Apns { token, .. } => {
                let right = (32..=200).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_hexdigit());
                (!right).then_some(("address", "must have 32 to 200 hexadecimal digits"))
            }
            Self::WebPush { endpoint, p256dh, auth } => {
                let url = url::Url::parse(endpoint).ok().filter(|url| url.scheme() == "https" && url.has_host());
                if !visible(endpoint, 2048) || url.is_none() {
                    return Some(("address", "must be the https endpoint of a subscription, at most 2048 characters"));
                }
                let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).unwrap_or_default();
                let point = bytes(p256dh);
                let uncompressed = point.len() == 65 && point.first() == Some(&4);
                // To a point beside the curve no push can be encrypted.
                let key = UnparsedPublicKey::new(&ECDH_P256, point.as_slice());
                if !uncompressed || ParsedPublicKey::try_from(key).is_err() {
                    return Some(("p256dh", "must be an uncompressed point of P-256, base64url"));
                }
                (bytes(auth).len() != 16).then_some(("auth", "must be 16 bytes, base64url"))
            }
            Self::Email { address } => {
                let routable = Email::parse(address).ok().and_then(|email| email.routable());
                routable.is_none().then_some(("address", "must be one e-mail address, with ASCII before the @"))
            }
        }
    }

    /// Returns the one spelling of the address under which it is stored, so that a device is found by it however an
    /// app wrote it. Of a mailbox the domain is ASCII in small letters, and the name before it stays as it is. A
    /// subscription has the URL as browsers write it, without a fragment, which is never sent. APNs has small digits.
    /// Names that a service made up stay as they are.
    pub fn spelling(&self) -> String {
        match self {
            Self::Fcm { token } | Self::Webhook { token } => token.clone(),
            Self::Apns { token, .. } => token.to_ascii_lowercase(),
            Self::WebPush { endpoint, .. } => url::Url::parse(endpoint).map_or_else(
                |_| endpoint.clone(),
                |mut url| {
                    url.set_fragment(None);
                    url.into()
                },
            ),
            Self::Email { address } => {
                let routable = Email::parse(address).ok().and_then(|email| email.routable());
                routable.unwrap_or_else(|| address.clone())
            }
        }
    }

    /// Returns the service that the address names: the origin of a subscription. Every other channel has one service,
    /// which the operator chooses: its name is empty.
    pub(super) fn service(&self) -> String {
        match self {
            Self::WebPush { endpoint, .. } => {
                url::Url::parse(endpoint).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
            }
            Self::Fcm { .. } | Self::Apns { .. } | Self::Webhook { .. } | Self::Email { .. } => String::new(),
        }
    }

    /// Returns the name of its channel.
    pub const fn channel(&self) -> &'static str {
        match self {
            Self::Fcm { .. } => "fcm",
            Self::Apns { .. } => "apns",
            Self::WebPush { .. } => "web_push",
            Self::Webhook { .. } => "webhook",
            Self::Email { .. } => "email",
        }
    }
}

/// A letter that is ready to leave.
#[derive(Clone)]
pub struct Letter {
    /// Its id, the same for every attempt.
    pub id: Uuid,
    /// The address.
    pub to: Email,
    /// The subject.
    pub subject: String,
    /// The text, lines ended by line feeds.
    pub body: String,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Letter({})", self.id)
    }
}

/// What is sent: opaque ids and one neutral sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The delivery, the same for every attempt.
    pub delivery: Id<Delivery>,
    /// The prompt: the id of the notification, by which a repeated one takes the place of the first.
    pub prompt: Id<Prompt>,
    /// The sentence; `None` for a silent push.
    pub text: Option<&'static str>,
    /// The instant after which it is of no use.
    pub expires_at: Timestamp,
}

impl Notice {
    /// Returns the seconds for which it is still of use.
    pub(super) fn seconds_left(&self, now: Timestamp) -> u64 {
        u64::try_from(self.expires_at.duration_since(now).as_secs()).unwrap_or_default()
    }
}

/// The reason why a push did not leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The address is dead: the device is retired.
    Gone,
    /// It may work later.
    Later {
        /// The time to wait that the service asked for.
        after: Option<Duration>,
        /// The reason, without an address.
        reason: &'static str,
    },
    /// The service refuses this push: trying again does not help.
    Refused {
        /// The reason, without an address.
        reason: &'static str,
    },
    /// The service refuses every push by this channel until the operator has mended its settings, such as its
    /// credentials. The channel rests, and what waits is kept.
    Misconfigured {
        /// The reason, without an address.
        reason: &'static str,
    },
    /// Address and settings do not fit, such as the app that a token is of and the app that the channel serves. The
    /// answer does not say which of them is wrong, so the device stays, and what waits for it is kept. Pushes to other
    /// addresses may work.
    Mismatched {
        /// The reason, without an address.
        reason: &'static str,
    },
}

/// A way to a phone. The same push may be sent twice, with the same delivery id.
pub trait Channel: Send + Sync {
    /// Returns its name, as [`Address::channel`] has it.
    fn name(&self) -> &'static str;

    /// Returns the public key that browsers need to subscribe, if this channel has one.
    fn public_key(&self) -> Option<String> {
        None
    }

    /// Sends one push.
    fn send<'a>(&'a self, to: &'a Address, notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>>;
}

impl<C: Channel + ?Sized> Channel for Arc<C> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn public_key(&self) -> Option<String> {
        (**self).public_key()
    }

    fn send<'a>(&'a self, to: &'a Address, notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>> {
        (**self).send(to, notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling_however_an_app_writes_it() {
        let mailbox = |address: &str| Address::Email { address: address.to_owned() }.spelling();
        for other in ["Ann@EXÄMPLE.org", " Ann@exämple.org ", "Ann@xn--exmple-cua.org.", "Ann@exa\u{308}mple.org"] {
            assert_eq!(mailbox(other), "Ann@xn--exmple-cua.org", "{other}");
        }
        assert_ne!(
            mailbox("ann@example.org"),
            mailbox("Ann@example.org"),
            "only its server knows whether they are one"
        );
        let subscription = |endpoint: &str| {
            let (p256dh, auth) = (String::new(), String::new());
            Address::WebPush { endpoint: endpoint.to_owned(), p256dh, auth }.spelling()
        };
        for other in
            ["https://push.example/a/B?c=D", "HTTPS://PUSH.example:443/a/B?c=D#e", "https://push.example/x/../a/B?c=D"]
        {
            assert_eq!(subscription(other), "https://push.example/a/B?c=D", "{other}");
        }
        let apns = |token: &str| Address::Apns { token: token.to_owned(), development: false }.spelling();
        assert_eq!(apns("00FFAA"), "00ffaa");
        for opaque in [Address::Fcm { token: "Ab:C".to_owned() }, Address::Webhook { token: "Ab:C".to_owned() }] {
            assert_eq!(opaque.spelling(), "Ab:C");
        }
    }
}
