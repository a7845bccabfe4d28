//! The settings of passkeys: whose they are, and which pages and apps may ask for them.

use url::Url;

use crate::kernel::origin;

/// The beginning of the origin of an Android app; the hash of the certificate that signs it follows.
const ANDROID: &str = "android:apk-key-hash:";

/// The passkeys of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeySettings {
    /// The relying party id: the domain that every passkey is bound to. With another one they are all lost.
    pub rp_id: String,
    /// The origins that may ask for passkeys, beside `https://` with that domain.
    pub origins: Vec<String>,
}

impl PasskeySettings {
    /// Returns the origin of the domain itself, which is always allowed: iOS apps have it, too.
    pub fn own_origin(&self) -> String {
        format!("https://{}", self.rp_id)
    }

    /// Returns the faults of the settings, in words for the operator.
    pub(super) fn faults(&self) -> Vec<String> {
        if !cfg!(feature = "passkeys") {
            return vec!["this build has no passkeys (--passkey-rp-id): build with --features passkeys".to_owned()];
        }
        let domain = Url::parse(&self.own_origin()).is_ok_and(|url| url.domain() == Some(self.rp_id.as_str()));
        if !domain {
            return vec!["the domain of passkeys (--passkey-rp-id) is a domain, such as example.org".to_owned()];
        }
        let wrong = self.origins.iter().filter(|origin| !self.may_allow(origin));
        wrong
            .map(|wrong| {
                format!(
                    "{wrong} (--passkey-origin) is no origin of passkeys: say https:// with the domain of \
                     --passkey-rp-id or one below it, or {ANDROID} with the hash of the app's certificate"
                )
            })
            .collect()
    }

    fn may_allow(&self, origin: &str) -> bool {
        if let Some(hash) = origin.strip_prefix(ANDROID) {
            let base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            return hash.len() == 43 && hash.bytes().all(base64url);
        }
        let below = |host: &str| {
            host.strip_suffix(self.rp_id.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let secure = origin.starts_with("https://") || origin::is_local(origin);
        secure && origin::host(origin).is_some_and(below)
    }
}

#[cfg(all(test, feature = "passkeys"))]
mod tests {
    use super::*;

    fn faults(rp_id: &str, origins: &[&str]) -> usize {
        let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        PasskeySettings { rp_id: rp_id.to_owned(), origins }.faults().len()
    }

    #[test]
    fn passkeys_are_of_a_domain_and_asked_for_by_its_pages_and_apps() {
        for rp_id in ["example.org", "app.example.org", "localhost"] {
            assert_eq!(faults(rp_id, &[]), 0, "{rp_id}");
        }
        for other in
            ["", "https://example.org", "Example.org", "example.org/x", "example.org:8080", "192.0.2.1", "[::1]"]
        {
            assert_eq!(faults(other, &[]), 1, "{other}");
        }
        let app = "android:apk-key-hash:pNiP5iKyQ8JwgGOaKA1zGPUPJIS-0H1xKCQcfIoGLck";
        assert_eq!(faults("example.org", &["https://example.org:8443", "https://app.example.org", app]), 0);
        assert_eq!(faults("localhost", &["http://localhost:5173"]), 0);
        let wrong = [
            "https://badexample.org",
            "http://example.org",
            "https://example.org/",
            "https://example.com",
            "*",
            "android:apk-key-hash:short",
        ];
        assert_eq!(faults("example.org", &wrong), wrong.len());
    }
}
