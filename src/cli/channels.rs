//! The file of the channels to devices: a JSON document with one member for each channel. It holds secrets.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::channels::{
    Apns, ApnsKey, ApnsServices, Channel, EmailChannel, EmailSettings, EmailTls, Fcm, Outbound, OutboundSettings,
    WebPush, Webhook,
};
use crate::kernel::Clock;

/// The channels of a server. Files are named from the folder of the document.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelFile {
    /// Firebase Cloud Messaging.
    fcm: Option<FcmFile>,
    /// The Apple Push Notification service.
    apns: Option<ApnsFile>,
    /// Web Push.
    web_push: Option<WebPushFile>,
    /// A clinic's own gateway.
    webhook: Option<WebhookFile>,
    /// E-mail.
    email: Option<EmailFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FcmFile {
    /// The service account, as Google gives it.
    service_account_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApnsFile {
    /// The signing key, as Apple gives it (`AuthKey_….p8`).
    key_file: PathBuf,
    key_id: String,
    team: String,
    /// The bundle id of the app.
    topic: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebPushFile {
    /// The private VAPID key: 32 bytes, base64url.
    private_key: String,
    /// `mailto:` or `https:`, for the push services.
    subject: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookFile {
    url: String,
    /// `whsec_` and base64, as Standard Webhooks has it.
    secret: String,
    /// Whether the gateway is in a private network.
    #[serde(default)]
    private_network: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmailFile {
    /// The mail server.
    host: String,
    /// 465 by default, 587 with `starttls`.
    port: Option<u16>,
    #[serde(default)]
    tls: TlsName,
    user: Option<String>,
    password: Option<String>,
    /// The sender: `moments@example.org`, or with a name before it.
    from: String,
    /// The certificate of an authority of the operator's own, in PEM.
    authority_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TlsName {
    #[default]
    Implicit,
    Starttls,
    Off,
}

impl EmailFile {
    fn settings(self, authority: Option<String>) -> Result<EmailSettings, String> {
        let Self { host, port, tls, user, password, from, authority_file: _ } = self;
        let (tls, usual) = match tls {
            TlsName::Implicit => (EmailTls::Implicit, 465),
            TlsName::Starttls => (EmailTls::StartTls, 587),
            TlsName::Off => (EmailTls::Off, 25),
        };
        if user.is_some() != password.is_some() {
            return Err("the mail server needs both user and password, or neither".to_owned());
        }
        Ok(EmailSettings { host, port: port.unwrap_or(usual), tls, credentials: user.zip(password), from, authority })
    }
}

fn told(fault: &str) -> String {
    format!("the file of the channels (--channels): {fault}")
}

fn read_file(path: &Path) -> Result<ChannelFile, String> {
    let meta = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(format!("{} holds secrets and is readable by others: chmod 600", path.display()));
    }
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Reads a file that stands beside that of the channels.
fn read_beside(path: &Path, name: &Path) -> Result<String, String> {
    let at = path.parent().unwrap_or(Path::new(".")).join(name);
    fs::read_to_string(&at).map_err(|error| format!("{}: {error}", at.display()))
}

/// Reads the mail server that a file configures, for letters.
///
/// # Errors
///
/// A fault in words for the operator, also when the file configures none.
pub(super) fn read_mail_server(path: &Path) -> Result<EmailSettings, String> {
    let read = || -> Result<EmailSettings, String> {
        let email = read_file(path)?.email.ok_or("it has no `email`, by which letters (--mail smtp) would leave")?;
        let authority = email.authority_file.as_deref().map(|name| read_beside(path, name)).transpose()?;
        email.settings(authority)
    };
    read().map_err(|fault| told(&fault))
}

/// Reads the channels that a file configures.
///
/// # Errors
///
/// All faults, each in words for the operator.
pub(super) fn read(path: &Path) -> Result<Vec<Arc<dyn Channel>>, Vec<String>> {
    let file = read_file(path).map_err(|fault| vec![told(&fault)])?;
    let (mut list, mut faults): (Vec<Arc<dyn Channel>>, Vec<String>) = (Vec::new(), Vec::new());
    let mut take = |made: Option<Result<Arc<dyn Channel>, String>>| match made {
        Some(Ok(channel)) => list.push(channel),
        Some(Err(fault)) => faults.push(told(&fault)),
        None => (),
    };
    let beside = |name: &Path| read_beside(path, name);
    take(file.fcm.map(|fcm| {
        let account = beside(&fcm.service_account_file)?;
        Ok(shared(Fcm::new(&account, Fcm::SERVICE, client(false)?, Clock::System)?))
    }));
    take(file.apns.map(|apns| {
        let ApnsFile { key_file, key_id, team, topic } = apns;
        let key = ApnsKey { pem: beside(&key_file)?, key_id, team, topic };
        Ok(shared(Apns::new(key, &ApnsServices::default(), client(false)?, Clock::System)?))
    }));
    take(file.web_push.map(|web_push| {
        let made = WebPush::new(&web_push.private_key, &web_push.subject, client(false)?, Clock::System)?;
        Ok(shared(made))
    }));
    take(file.webhook.map(|webhook| {
        let client = client(webhook.private_network)?;
        Ok(shared(Webhook::new(&webhook.url, &webhook.secret, client, Clock::System)?))
    }));
    take(file.email.map(|email| {
        let authority = email.authority_file.as_deref().map(beside).transpose()?;
        Ok(shared(EmailChannel::new(email.settings(authority)?, Clock::System)?))
    }));
    if faults.is_empty() { Ok(list) } else { Err(faults) }
}

fn shared(channel: impl Channel + 'static) -> Arc<dyn Channel> {
    Arc::new(channel)
}

fn client(private_networks: bool) -> Result<Outbound, String> {
    Ok(Outbound::new(OutboundSettings { private_networks, ..OutboundSettings::default() })?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What is read of a file with this content: the names of the channels, or the faults.
    fn names(content: &Value) -> Result<Vec<&'static str>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("channels.json");
        fs::write(&path, content.to_string()).unwrap();
        fs::write(folder.path().join("authority.pem"), "no certificate").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let list = read(&path).map_err(|faults| faults.join("\n"))?;
        Ok(list.iter().map(crate::channels::Channel::name).collect())
    }

    fn email(change: &[(&str, Value)]) -> Value {
        let mut email = json!({ "host": "smtp.example.org", "from": "Moments <moments@example.org>" });
        for (name, value) in change {
            email[*name] = value.clone();
        }
        json!({ "email": email })
    }

    #[test]
    fn a_file_names_the_channels_of_a_server() {
        assert_eq!(names(&json!({})), Ok(vec![]));
        let all = json!({
            "web_push": { "private_key": "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw", "subject": "mailto:ops@example.org" },
            "webhook": { "url": "https://gateway.example.org", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" },
            "email": email(&[])["email"],
        });
        assert_eq!(names(&all), Ok(vec!["web_push", "webhook", "email"]));
        let misspelt = names(&json!({ "mail": {} })).unwrap_err();
        assert!(misspelt.contains("(--channels)") && misspelt.contains("`email`"), "{misspelt}");
    }

    #[test]
    fn the_mail_server_of_a_file_is_read_and_its_faults_are_said() {
        let port = |tls: Value| {
            let read: ChannelFile = serde_json::from_value(email(&[("tls", tls)])).unwrap();
            let settings = read.email.unwrap().settings(None).unwrap();
            (settings.host, settings.port, settings.tls)
        };
        let at = |port, tls| ("smtp.example.org".to_owned(), port, tls);
        assert_eq!(port(json!("implicit")), at(465, EmailTls::Implicit));
        assert_eq!(port(json!("starttls")), at(587, EmailTls::StartTls));
        assert_eq!(port(json!("off")), at(25, EmailTls::Off));
        let whole = email(&[("port", json!(2525)), ("user", json!("moments")), ("password", json!("a secret"))]);
        let read: ChannelFile = serde_json::from_value(whole.clone()).unwrap();
        let settings = read.email.unwrap().settings(Some("PEM".to_owned())).unwrap();
        assert_eq!(
            (settings.port, settings.tls, settings.from.as_str()),
            (2525, EmailTls::Implicit, "Moments <moments@example.org>")
        );
        assert_eq!(settings.credentials, Some(("moments".to_owned(), "a secret".to_owned())));
        assert_eq!(settings.authority.as_deref(), Some("PEM"));
        assert_eq!(names(&whole), Ok(vec!["email"]));
        for (change, said) in [
            (("user", json!("moments")), "needs both user and password, or neither"),
            (("password", json!("a secret")), "needs both user and password, or neither"),
            (("from", json!("nobody")), "the sender of the e-mails is no address"),
            (("tls", json!("off")), "without TLS the mail server must be on this machine"),
            (("tls", json!("STARTTLS")), "unknown variant"),
            (("authority_file", json!("nothing.pem")), "nothing.pem"),
            (("authority_file", json!("authority.pem")), "the authority of the mail server is no PEM"),
            (("starttls", json!(true)), "unknown field"),
            (("port", json!(65_536)), "65536"),
        ] {
            let faults = names(&email(&[change])).unwrap_err();
            assert!(faults.contains("(--channels)") && faults.contains(said), "{said}: {faults}");
            assert!(!faults.contains("a secret"), "{faults}");
        }
        assert_eq!(names(&email(&[("tls", json!("off")), ("host", json!("127.0.0.1"))])), Ok(vec!["email"]));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("channels.json");
        fs::write(&path, email(&[]).to_string()).unwrap();
        for (mode, right) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let faults = read(&path).map(drop).err().unwrap_or_default();
            assert_eq!(faults.is_empty(), right, "{mode:o}: {faults:?}");
            assert!(faults.iter().all(|fault| fault.contains("chmod 600")), "{faults:?}");
        }
    }
}
