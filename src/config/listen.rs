//! An address to listen on.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::str::FromStr;

use url::{Host, Url};

/// A host and a port. Port 0 stands for one that the system chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    host: Host,
    port: u16,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "is a host and a port, such as 127.0.0.1:8080".to_owned();
        let (host, port) = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).ok_or_else(wrong)?;
        let whole = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| whole).ok_or_else(wrong)?;
        Ok(Self { host: Host::parse(host).ok().ok_or_else(wrong)?, port })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Listen {
    /// Returns the addresses that it names.
    ///
    /// # Errors
    ///
    /// When the name of the host is not known.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.host {
            Host::Ipv4(address) => Ok(vec![(*address, self.port).into()]),
            Host::Ipv6(address) => Ok(vec![(*address, self.port).into()]),
            Host::Domain(name) => Ok((name.as_str(), self.port).to_socket_addrs()?.collect()),
        }
    }

    /// Whether the host resolves to loopback addresses only, which no other machine reaches.
    ///
    /// # Errors
    ///
    /// As [`Listen::addresses`].
    pub fn is_this_machine(&self) -> io::Result<bool> {
        Ok(self.addresses()?.iter().all(|address| address.ip().to_canonical().is_loopback()))
    }

    /// Opens the first of the addresses that can be opened.
    ///
    /// # Errors
    ///
    /// When none can.
    pub fn bind(&self) -> io::Result<TcpListener> {
        TcpListener::bind(self.addresses()?.as_slice())
    }

    /// Whether the other is the same host and port, and not one that the system chooses.
    pub fn is_taken_by(&self, other: &Self) -> bool {
        self == other && !self.has_open_port()
    }

    /// Whether the system chooses the port.
    pub fn has_open_port(&self) -> bool {
        self.port == 0
    }

    /// Returns the URL under which clients of this machine reach it.
    pub fn url(&self) -> String {
        match &self.host {
            Host::Domain(_) => url_of(&self.host, self.port),
            Host::Ipv4(address) => url_at((*address, self.port).into()),
            Host::Ipv6(address) => url_at((*address, self.port).into()),
        }
    }
}

/// Returns the URL under which clients of this machine reach a server that listens on `address`.
pub fn url_at(address: SocketAddr) -> String {
    let host = match address.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Host::Ipv4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => Host::Ipv6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(ip) => Host::Ipv4(ip),
        IpAddr::V6(ip) => Host::Ipv6(ip),
    };
    url_of(&host, address.port())
}

fn url_of(host: &Host, port: u16) -> String {
    let text = format!("http://{host}:{port}");
    // The standard port is left out.
    Url::parse(&text).map_or(text, |url| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_parsed_and_nothing_else() {
        for (text, url) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("127.1:8080", "http://127.0.0.1:8080"),
            ("localhost:80", "http://localhost"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:8080", "http://[::1]:8080"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("[::ffff:127.0.0.1]:8080", "http://127.0.0.1:8080"),
            ("afterglow.example:8443", "http://afterglow.example:8443"),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().url(), url, "{text}");
        }
        for text in [
            "",
            "nowhere",
            ":8080",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:http",
            "127.0.0.1:65536",
            "::1:80",
            "127.0.0.1:+80",
            "http://127.0.0.1:80",
            "a b:80",
            "ann@127.0.0.1:80",
            "127.0.0.1/x:80",
        ] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }

    #[test]
    fn this_machine_is_an_address_and_not_a_spelling() {
        for text in ["127.0.0.1:0", "127.1:0", "127.9.9.9:0", "[::1]:0", "[::ffff:127.0.0.1]:0", "localhost:0"] {
            assert!(text.parse::<Listen>().unwrap().is_this_machine().unwrap(), "{text}");
        }
        for text in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
            assert!(!text.parse::<Listen>().unwrap().is_this_machine().unwrap(), "{text}");
        }
        for text in ["127.0.0.1.invalid:0", "localhost.invalid:0"] {
            assert!(!text.parse::<Listen>().unwrap().is_this_machine().unwrap_or_default(), "{text}");
        }
    }
}
