//! E-mail by the operator's mail server (SMTP), for who would rather have a line in their mailbox than a push.
//!
//! `lettre` speaks the protocol. Its connections are used one command at a time, and not its transport, because only the
//! server's answer to `RCPT` says something about the address: what it refuses at another step is a fault of ours, and
//! must not retire devices.

use std::error::Error as _;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters, TlsParametersBuilder};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::sync::Semaphore;

use super::model::{Address, Channel, Letter, Notice, SendError};
use crate::kernel::{Clock, Email};

/// The longest that connecting may take.
const CONNECT: Duration = Duration::from_secs(3);
/// The time for which an idle connection is kept. Mail servers close theirs after five minutes.
const IDLE: SignedDuration = SignedDuration::from_secs(60);
/// The most connections at once: mail servers allow a client few.
const CONNECTIONS: usize = 8;

/// The fault of an address that was not checked when it was stored.
const WRONG: SendError = SendError::Refused { reason: "the address cannot be written into an e-mail" };

/// How the connection to the mail server is kept secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailTls {
    /// TLS from the first byte, usually on port 465.
    Implicit,
    /// `STARTTLS`, usually on port 587. A server that does not offer it gets nothing.
    StartTls,
    /// None: to this machine alone.
    Off,
}

/// The mail server of the operator.
#[derive(Clone)]
pub struct EmailSettings {
    /// Its name, which its certificate has.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept secret.
    pub tls: EmailTls,
    /// The user and the password.
    pub credentials: Option<(String, String)>,
    /// The sender: an address, or a name with an address in angle brackets.
    pub from: String,
    /// A certificate of an authority, in PEM, that is trusted beside those of the system.
    pub authority: Option<String>,
}

impl fmt::Debug for EmailSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailSettings(***)")
    }
}

/// The channel `email`.
pub struct EmailChannel {
    server: (String, u16),
    tls: EmailTls,
    parameters: Option<TlsParameters>,
    credentials: Option<Credentials>,
    from: Mailbox,
    hello: ClientId,
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
    clock: Clock,
}

/// A connection that waits for the next message, and the instant of the last.
struct Idle {
    connection: AsyncSmtpConnection,
    since: Timestamp,
}

impl fmt::Debug for EmailChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailChannel(***)")
    }
}

impl EmailChannel {
    /// Makes the channel of a mail server.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn new(settings: EmailSettings, clock: Clock) -> Result<Self, &'static str> {
        let EmailSettings { host, port, tls, credentials, from, authority } = settings;
        let from: Mailbox = from.parse().ok().ok_or("the sender of the e-mails is no address")?;
        let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let parameters = match tls {
            EmailTls::Off if !loopback => return Err("without TLS the mail server must be on this machine"),
            EmailTls::Off => None,
            EmailTls::Implicit | EmailTls::StartTls => Some(parameters(&host, authority.as_deref())?),
        };
        let hello = ClientId::Domain(from.email.domain().to_owned());
        let credentials = credentials.map(|(user, password)| Credentials::new(user, password));
        let (server, permits, idle) = ((host, port), Semaphore::new(CONNECTIONS), Mutex::default());
        Ok(Self { server, tls, parameters, credentials, from, hello, permits, idle, clock })
    }

    /// Sends a letter.
    ///
    /// # Errors
    ///
    /// The reason why it did not leave.
    pub(super) async fn send_letter(&self, letter: &Letter, now: Timestamp) -> Result<(), SendError> {
        let to = letter.to.routable().ok_or(WRONG)?;
        self.deliver(&to, &letter.id.to_string(), (letter.subject.as_str(), letter.body.as_str()), now).await
    }

    async fn deliver(&self, to: &str, id: &str, text: (&str, &str), now: Timestamp) -> Result<(), SendError> {
        let (to, message) = compose(&self.from, to, id, text, now).ok_or(WRONG)?;
        // A closed semaphore is never seen: nothing closes it.
        let _permit = self.permits.acquire().await;
        let mut connection = self.ready(now).await?;
        if let Err(error) = connection.command(Rcpt::new(to, Vec::new())).await {
            return Err(if is_dead(&error) { SendError::Gone } else { failure(&error) });
        }
        connection.command(Data).await.map_err(|error| failure(&error))?;
        connection.message(&message).await.map_err(|error| failure(&error))?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(Idle { connection, since: now });
        Ok(())
    }

    /// Returns a connection that waits for the recipient. One that was idle may have been closed meanwhile: then another is
    /// made.
    async fn ready(&self, now: Timestamp) -> Result<AsyncSmtpConnection, SendError> {
        let sender = || Mail::new(Some(self.from.email.clone()), Vec::new());
        while let Some(Idle { mut connection, since }) = self.take_idle() {
            let fresh = now.duration_since(since) < IDLE;
            if fresh && connection.command(sender()).await.is_ok() {
                return Ok(connection);
            }
        }
        let mut connection = self.connect().await.map_err(|error| failure(&error))?;
        if let Some(credentials) = &self.credentials {
            let known = connection.auth(DEFAULT_MECHANISMS, credentials).await;
            known.map_err(|error| match failure(&error) {
                SendError::Refused { .. } => {
                    SendError::Misconfigured { reason: "the mail server refuses the credentials" }
                }
                other => other,
            })?;
        }
        connection.command(sender()).await.map_err(|error| failure(&error))?;
        Ok(connection)
    }

    fn take_idle(&self) -> Option<Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let (host, port) = &self.server;
        let at_once = self.parameters.clone().filter(|_| self.tls == EmailTls::Implicit);
        let server = (host.as_str(), *port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &self.hello, at_once, None).await?;
        if let Some(parameters) = self.parameters.clone().filter(|_| self.tls == EmailTls::StartTls) {
            connection.starttls(parameters, &self.hello).await?;
        }
        Ok(connection)
    }
}

/// Writes a message. Its id is that of the delivery or the letter, so that mail programs see a repeated one as the
/// same.
pub(super) fn compose(
    from: &Mailbox,
    to: &str,
    id: &str,
    (subject, body): (&str, &str),
    now: Timestamp,
) -> Option<(lettre::Address, Vec<u8>)> {
    let to: lettre::Address = to.parse().ok()?;
    let header = |name, value| HeaderValue::new(HeaderName::new_from_ascii_str(name), value);
    let date = rfc2822::to_string(&now.to_zoned_datetime(TimeZone::UTC)).ok()?;
    let message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(subject)
        .raw_header(header("Date", date))
        .message_id(Some(format!("<{id}@{}>", from.email.domain())))
        .raw_header(header("Auto-Submitted", "auto-generated".to_owned()))
        .header(ContentType::TEXT_PLAIN)
        .body(format!("{}\r\n", body.trim_end().replace('\n', "\r\n")));
    Some((to, message.ok()?.formatted()))
}

/// Makes the settings of TLS: certificates of the system, TLS 1.2 or newer.
fn parameters(host: &str, authority: Option<&str>) -> Result<TlsParameters, &'static str> {
    let mut builder = TlsParametersBuilder::new(host.to_owned());
    if let Some(pem) = authority {
        // A text without any certificate is read as none.
        let certificate = Certificate::from_pem(pem.as_bytes()).ok().filter(|_| pem.contains("-----BEGIN CERTIFICATE"));
        builder = builder.add_root_certificate(certificate.ok_or("the authority of the mail server is no PEM")?);
    }
    builder.build_rustls().ok().ok_or("the e-mails cannot be sent: TLS is not available")
}

impl Channel for EmailChannel {
    fn name(&self) -> &'static str {
        "email"
    }

    fn send<'a>(&'a self, to: &'a Address, notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>> {
        async move {
            let Address::Email { address } = to else {
                return Err(SendError::Refused { reason: "the address is one of another channel" });
            };
            // There is no app that an e-mail without a sentence could wake.
            let Some(text) = notice.text else { return Ok(()) };
            let address = Email::parse(address).ok().and_then(|address| address.routable()).ok_or(WRONG)?;
            self.deliver(&address, &notice.delivery.to_string(), (text, text), self.clock.now()).await
        }
        .boxed()
    }
}

/// Whether the answer to `RCPT` says that the mailbox is not there. Refusals for other reasons (a relay that is not
/// allowed, a full mailbox, a blocked sender) have other enhanced codes (RFC 3463), or say so.
fn is_dead(error: &Error) -> bool {
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    let enhanced = text.split_whitespace().next().filter(|word| word.starts_with("5."));
    match (error.status().map(u16::from), enhanced) {
        (Some(500..=599), Some(code)) => ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"].contains(&code),
        (Some(550 | 551 | 553 | 556), None) => !text.to_lowercase().contains("relay"),
        _ => false,
    }
}

/// Puts a fault in words. The error itself is never logged: servers repeat the address in their answers.
fn failure(error: &Error) -> SendError {
    let later = |reason| SendError::Later { after: None, reason };
    match () {
        () if error.is_permanent() => SendError::Refused { reason: "the mail server refuses the message" },
        () if error.is_transient() => later("the mail server asks to try later"),
        () if error.is_client() => SendError::Refused { reason: "the mail server does not offer what is needed" },
        () if error.is_tls() => later("the mail server cannot be trusted"),
        () if error.is_timeout() => later("the mail server took too long"),
        () => later("the mail server cannot be reached"),
    }
}
