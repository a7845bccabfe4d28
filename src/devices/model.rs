//! What is known of a device, and whether a push to it may speak.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::channels::Address;
use crate::kernel::{self, Creation, Fields};

/// The time for which a device that has taken its plan shows prompts by itself.
pub const PLAN_TRUSTED: SignedDuration = SignedDuration::from_hours(48);

/// What the patient wants a device to do when a prompt comes due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notifications {
    /// It shows a sentence.
    #[default]
    Visible,
    /// Pushes wake the app, which shows what it likes.
    Silent,
    /// It is sent nothing.
    Off,
}

impl Notifications {
    /// Reads the name on the wire.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "visible" => Self::Visible,
            "silent" => Self::Silent,
            "off" => Self::Off,
            _ => return None,
        })
    }

    /// Returns the name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Visible => "visible",
            Self::Silent => "silent",
            Self::Off => "off",
        }
    }
}

/// The names that [`Notifications`] has.
pub const WRONG: &str = "must be visible, silent or off";

/// Reads a platform.
///
/// # Errors
///
/// A sentence for the person who sent it.
pub fn platform(name: &str) -> Result<String, &'static str> {
    let known = matches!(name, "ios" | "android" | "web" | "email" | "other");
    known.then(|| name.to_owned()).ok_or("must be ios, android, web, email or other")
}

/// Reads the version of an app.
///
/// # Errors
///
/// A sentence for the person who sent it.
pub fn app_version(text: &str) -> Result<String, &'static str> {
    let right = (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    right.then(|| text.to_owned()).ok_or("must have 1 to 40 characters of ASCII")
}

/// Where a push service reaches a device. It is a secret: its `Debug` shows the channel alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushAddress {
    /// The channel, by name.
    pub channel: String,
    /// The token or address that the push service gave the app.
    pub address: String,
    /// The public key of a Web Push subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p256dh: Option<String>,
    /// The secret of a Web Push subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// Whether the address is of an app under development, which APNs serves apart.
    #[serde(default)]
    pub development: bool,
}

impl PushAddress {
    /// Returns the address for its channel.
    ///
    /// # Errors
    ///
    /// The part that is wrong, with a sentence for the person who sent it.
    pub fn address(self) -> Result<Address, (&'static str, &'static str)> {
        let Self { channel, address, p256dh, auth, development } = self;
        Ok(match channel.as_str() {
            "fcm" => Address::Fcm { token: address },
            "apns" => Address::Apns { token: address, development },
            "webhook" => Address::Webhook { token: address },
            "email" => Address::Email { address },
            "web_push" => Address::WebPush {
                endpoint: address,
                p256dh: p256dh.ok_or(("p256dh", "is needed for web_push"))?,
                auth: auth.ok_or(("auth", "is needed for web_push"))?,
            },
            _ => return Err(("channel", "must be fcm, apns, web_push, webhook or email")),
        })
    }

    /// Whether it is an e-mail address: others may know it, and several people may share it.
    pub fn is_mailbox(&self) -> bool {
        self.channel == EMAIL
    }

    /// Checks that the address is one of its channel, and returns it in its one spelling ([`Address::spelling`]): what
    /// is compared later is compared in that. Faults point below `at`.
    ///
    /// # Errors
    ///
    /// Every fault.
    pub fn checked(mut self, at: &str) -> kernel::Result<Self> {
        let mut f = Fields::new();
        match self.clone().address() {
            Ok(address) => match address.fault() {
                Some((part, fault)) => f.fault(format!("{at}/{part}"), fault),
                None => self.address = address.spelling(),
            },
            Err((part, fault)) => f.fault(format!("{at}/{part}"), fault),
        }
        f.finish(Some(self))
    }
}

impl std::fmt::Debug for PushAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PushAddress({})", self.channel)
    }
}

/// The name of the channel and of the platform of a mailbox.
const EMAIL: &str = "email";

/// The sealed document of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceDoc {
    /// `ios`, `android`, `web`, `email` or `other`.
    pub platform: String,
    /// Where it is reached; `None` for one that shows prompts from its plan alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<PushAddress>,
    /// Its language, as a canonical tag of BCP 47.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The version of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
    /// What it does when a prompt comes due.
    #[serde(default)]
    pub notifications: Notifications,
    /// Whether the app acknowledges what it receives: what it does not is sent again.
    #[serde(default)]
    pub acknowledges: bool,
    /// Its creation, by which the same body sent again is known as a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation: Option<Creation>,
}

impl DeviceDoc {
    /// Finds what does not fit together: a mailbox is a device without an app. Returns the field, and a sentence for the person
    /// who sent it.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        let is_mailbox = self.push.as_ref().is_some_and(PushAddress::is_mailbox);
        if is_mailbox != (self.platform == EMAIL) {
            return Some(("/platform", "must be email with the channel email, and with no other"));
        }
        if is_mailbox && self.notifications == Notifications::Silent {
            return Some(("/notifications", "must be visible or off: no app is woken by an e-mail"));
        }
        (is_mailbox && self.acknowledges).then_some(("/acknowledges", "must be false: no app receives an e-mail"))
    }
}

/// The plan that a device has taken and shows by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenPlan {
    /// The instant at which the server made it.
    pub made_at: Timestamp,
    /// The instant before which it has every prompt.
    pub until: Timestamp,
}

impl TakenPlan {
    /// Whether the device shows a prompt by itself: it took its plan less than [`PLAN_TRUSTED`] ago, and the prompt was
    /// in it as it is now.
    pub fn shows(self, prompt: (Timestamp, Timestamp), now: Timestamp) -> bool {
        let (due_at, updated_at) = prompt;
        now.duration_since(self.made_at) <= PLAN_TRUSTED && updated_at < self.made_at && due_at < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_one_firer_per_device() {
        let at = |hours: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        let plan = TakenPlan { made_at: at(10), until: at(100) };
        assert!(plan.shows((at(20), at(9)), at(20)));
        assert!(!plan.shows((at(20), at(10)), at(20)), "one of the same instant may be missing in it");
        assert!(plan.shows((at(58), at(1)), at(58)), "forty-eight hours are within");
        assert!(!plan.shows((at(59), at(1)), at(59)), "an app that was not opened since may be gone");
        assert!(!plan.shows((at(20), at(11)), at(20)), "a prompt that changed since");
        assert!(!plan.shows((at(100), at(1)), at(50)), "a prompt beyond the end of the plan");
    }

    #[test]
    fn no_address_stands_in_a_log() {
        let address = PushAddress {
            channel: "fcm".to_owned(),
            address: "the-secret-token".to_owned(),
            p256dh: None,
            auth: None,
            development: false,
        };
        assert_eq!(format!("{address:?}"), "PushAddress(fcm)");
    }
}
