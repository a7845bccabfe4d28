//! A local mail server that answers as it is told, with and without TLS, and keeps what it is handed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The authority that signed the server's certificate, and the only one that it has.
pub const AUTHORITY: &str = include_str!("tls/authority.pem");
const CERTIFICATE: &str = include_str!("tls/server.pem");
const KEY: &str = include_str!("tls/server.key");

/// When the server speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    Never,
    AtOnce,
    Offered,
}

/// A message that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub from: String,
    pub to: String,
    pub message: String,
    /// Whether it came over TLS.
    pub secret: bool,
}

#[derive(Default)]
struct Kept {
    /// Answers to the next commands of a name, in place of the usual.
    answers: HashMap<&'static str, Vec<String>>,
    taken: Vec<Taken>,
    commands: Vec<String>,
    connections: usize,
    /// Whether it hangs up when a connection is idle.
    impatient: bool,
}

pub struct MailServer {
    kept: Arc<Mutex<Kept>>,
    pub port: u16,
}

impl MailServer {
    pub async fn start(tls: Tls) -> Self {
        Self::start_at("127.0.0.1", tls).await
    }

    pub async fn start_at(host: &str, tls: Tls) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let shared = Arc::clone(&kept);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                tokio::spawn(connection(stream, tls, Arc::clone(&shared)));
            }
        });
        Self { kept, port }
    }

    /// The next command of this name is answered so.
    pub fn answers(&self, command: &'static str, line: &str) {
        self.kept.lock().unwrap().answers.entry(command).or_default().push(line.to_owned());
    }

    pub fn is_impatient(&self) {
        self.kept.lock().unwrap().impatient = true;
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.kept.lock().unwrap().taken.clone()
    }

    pub fn commands(&self) -> Vec<String> {
        self.kept.lock().unwrap().commands.clone()
    }

    pub fn connections(&self) -> usize {
        self.kept.lock().unwrap().connections
    }
}

fn acceptor() -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()))
}

async fn connection(stream: TcpStream, tls: Tls, kept: Arc<Mutex<Kept>>) {
    if tls == Tls::AtOnce {
        let Ok(stream) = acceptor().accept(stream).await else { return };
        drop(talk(stream, (true, true), true, &kept).await);
        return;
    }
    let Some(plain) = talk(stream, (true, false), tls != Tls::Offered, &kept).await else { return };
    let Ok(stream) = acceptor().accept(plain).await else { return };
    drop(talk(stream, (false, true), true, &kept).await);
}

/// Speaks until the client leaves, or wants TLS: then the stream comes back.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    (greets, secret): (bool, bool),
    without_starttls: bool,
    kept: &Mutex<Kept>,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    let (mut from, mut to) = (String::new(), String::new());
    if greets {
        stream.get_mut().write_all(b"220 mail.test ESMTP\r\n").await.ok()?;
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        let name = line.split([' ', ':']).next().unwrap().to_owned();
        let told = {
            let mut kept = kept.lock().unwrap();
            kept.commands.push(line.clone());
            kept.answers.get_mut(name.as_str()).filter(|list| !list.is_empty()).map(|list| list.remove(0))
        };
        let usual = match name.as_str() {
            "EHLO" if without_starttls => "250-mail.test\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
            "EHLO" => "250-mail.test\r\n250-STARTTLS\r\n250 8BITMIME",
            "AUTH" => "235 2.7.0 welcome",
            "STARTTLS" => "220 go on",
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 2.1.0 fine",
        };
        let answer = told.unwrap_or_else(|| usual.to_owned());
        let fine = answer.starts_with(['2', '3']);
        match name.as_str() {
            "MAIL" => from = line,
            "RCPT" => to = line,
            _ => {}
        }
        stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        if name == "STARTTLS" && fine {
            return Some(stream.into_inner());
        }
        if name == "DATA" && fine {
            let mut message = String::new();
            while !message.ends_with("\r\n.\r\n") {
                if stream.read_line(&mut message).await.ok()? == 0 {
                    return None;
                }
            }
            let told =
                kept.lock().unwrap().answers.get_mut(".").filter(|list| !list.is_empty()).map(|list| list.remove(0));
            let answer = told.unwrap_or_else(|| "250 2.0.0 taken".to_owned());
            let impatient = {
                let mut kept = kept.lock().unwrap();
                if answer.starts_with('2') {
                    kept.taken.push(Taken { from: from.clone(), to: to.clone(), message, secret });
                }
                kept.impatient
            };
            stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
            if impatient {
                return None;
            }
        }
        if name == "QUIT" {
            return None;
        }
    }
}
