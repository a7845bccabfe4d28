//! The parts of a PostgreSQL URL, split as libpq splits them.

use std::fmt::Write as _;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;

/// The parts of `postgres://user:password@host:port,host:port/database?name=value`, decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    user: Option<String>,
    /// The hosts with their ports: names, addresses, or folders of sockets. Of a URL that names none it is empty.
    hosts: Vec<(String, String)>,
    database: String,
    parameters: Vec<(String, String)>,
}

impl std::fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl PostgresUrl {
    /// Splits a URL.
    ///
    /// # Errors
    ///
    /// A sentence for the operator, which does not repeat the URL: it may hold a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("the PostgreSQL URL has {what}");
        let decode = |text: &str| match percent_decode_str(text).decode_utf8() {
            Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
            _ => Err(wrong("an escape that is no text")),
        };
        let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let mut rest = rest.ok_or_else(|| wrong("no postgres:// at its beginning"))?;
        let mut user = None;
        if let Some((credentials, after)) = rest.split_once('@').filter(|(before, _)| !before.contains('/')) {
            user = Some(decode(credentials.split(':').next().unwrap_or_default())?).filter(|name| !name.is_empty());
            rest = after;
        }
        let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, query)| (rest, query));
        let (authority, database) = rest.split_once('/').map_or((rest, ""), |(authority, name)| (authority, name));
        let mut hosts = Vec::new();
        for one in authority.split(',').filter(|_| !authority.is_empty()) {
            let (host, port) = match one.strip_prefix('[') {
                Some(address) => {
                    let (address, port) = address.split_once(']').ok_or_else(|| wrong("a [ without ]"))?;
                    (address, port.strip_prefix(':').unwrap_or(port))
                }
                None => one.split_once(':').unwrap_or((one, "")),
            };
            if !port.is_empty() && port.parse::<u16>().is_err() {
                return Err(wrong("a port that is no number up to 65535"));
            }
            hosts.push((decode(host)?, port.to_owned()));
        }
        let mut parameters = Vec::new();
        for pair in query.split('&').filter(|_| !query.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| wrong("a parameter without a value"))?;
            parameters.push((decode(name)?, decode(value)?));
        }
        Ok(Self { user, hosts, database: decode(database)?, parameters })
    }

    /// Returns the last value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rfind(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the hosts that libpq connects to, with their ports. Without any, it asks the environment.
    pub fn hosts(&self) -> Vec<(String, String)> {
        let named = ["hostaddr", "host"].iter().find_map(|name| self.parameter(name));
        let Some(named) = named.filter(|named| !named.is_empty()) else { return self.hosts.clone() };
        let ports: Vec<&str> = self.parameter("port").unwrap_or_default().split(',').collect();
        let port = |turn: usize| ports.get(turn).or(ports.first()).copied().unwrap_or_default().to_owned();
        named.split(',').enumerate().map(|(turn, host)| (host.trim().to_owned(), port(turn))).collect()
    }

    /// Whether every host is a socket or an address of this machine. A URL without a host is not: its host comes from
    /// elsewhere.
    pub fn is_on_this_machine(&self) -> bool {
        let hosts = self.hosts();
        !hosts.is_empty() && self.parameter("service").is_none() && hosts.iter().all(|(host, _)| is_local(host))
    }

    /// Whether it has no host, so that libpq takes the one of the environment, or else a socket of this machine.
    pub fn has_no_host(&self) -> bool {
        self.parameter("service").is_none() && self.hosts().iter().all(|(host, _)| host.is_empty())
    }

    /// Whether libpq refuses to connect without TLS.
    pub fn requires_tls(&self) -> bool {
        matches!(self.parameter("sslmode"), Some("require" | "verify-ca" | "verify-full"))
    }

    /// Returns the name for the operator: database and host, without user and password.
    pub fn name(&self) -> String {
        let mut name = format!("the PostgreSQL database `{}`", self.database_name());
        let hosts: Vec<String> =
            self.hosts().into_iter().map(|(host, _)| host).filter(|host| !host.is_empty()).collect();
        if !hosts.is_empty() {
            let _infallible = write!(name, " on {}", hosts.join(", "));
        }
        name
    }

    /// Whether both lead to one database, as far as their texts tell.
    pub fn is_same_database(&self, other: &Self) -> bool {
        let places = |url: &Self| -> Vec<(String, String)> {
            let port = |port: String| if port.is_empty() { "5432".to_owned() } else { port };
            url.hosts().into_iter().map(|(host, given)| (host.to_ascii_lowercase(), port(given))).collect()
        };
        self.database_name() == other.database_name() && places(self) == places(other)
    }

    /// Returns the name of the database: by default that of the user.
    fn database_name(&self) -> &str {
        let named = self.parameter("dbname").unwrap_or(&self.database);
        if named.is_empty() { self.parameter("user").or(self.user.as_deref()).unwrap_or_default() } else { named }
    }
}

/// Whether a host of libpq is on this machine: a folder of sockets, an abstract socket, a loopback address, or the
/// name `localhost`, which RFC 6761 keeps for this machine.
fn is_local(host: &str) -> bool {
    host.starts_with(['/', '@'])
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(url: &str) -> bool {
        PostgresUrl::parse(url).unwrap().is_on_this_machine()
    }

    #[test]
    fn only_addresses_of_this_machine_are_on_it() {
        for url in [
            "postgres://ann@127.0.0.1:5432/db",
            "postgres://ann@127.8.9.10/db",
            "postgres://localhost/db",
            "postgres://LOCALHOST:5433/db",
            "postgres:///db?host=/run/postgresql",
            "postgres://%2Frun%2Fpostgresql/db",
            "postgres://%2frun/db",
            "postgres://[::1]:5432/db",
            "postgres://[::ffff:127.0.0.1]/db",
            "postgres://127.0.0.1,localhost:5433,[::1]/db",
            "postgres://db.example.org/x?hostaddr=127.0.0.1",
        ] {
            assert!(local(url), "{url}");
        }
        for url in [
            "postgres://db.example.org/x",
            "postgres://127.0.0.1.example.org/x",
            "postgres://127.example.org/x",
            "postgres://localhost.example.org/x",
            "postgres://127.0.0.1,db.example.org/x",
            "postgres:///x?host=10.0.0.1",
            "postgres:///x?host=127.0.0.1.example.org",
            "postgres://localhost/x?hostaddr=10.0.0.1",
            "postgres://localhost/x?host=/run&host=example.org",
            "postgres://ann:p@10.1.2.3/x",
            "postgres://localhost:p@10.1.2.3/x",
            "postgres://localhost%2Eexample.org/x",
            "postgres://localhost/x?service=far",
            "postgres://[::ffff:10.0.0.1]/x",
            "postgres:///x",
        ] {
            assert!(!local(url), "{url}");
        }
        assert!(PostgresUrl::parse("postgres:///x").unwrap().has_no_host());
        assert!(!PostgresUrl::parse("postgres:///x?service=far").unwrap().has_no_host());
    }

    #[test]
    fn faults_are_named_and_the_password_is_not() {
        for url in [
            "mysql://ann:canary@localhost/x",
            "postgres://ann:canary@localhost:port/x",
            "postgres://ann:canary@localhost:65536/x",
            "postgres://ann:canary@[::1/x",
            "postgres://ann:canary@[::1].example.org/x",
            "postgres://ann:canary@localhost/x?canary",
            "postgres://ann:canary@localhost/%ff",
        ] {
            let fault = PostgresUrl::parse(url).unwrap_err();
            assert!(!fault.contains("canary"), "{fault}");
        }
        let name = PostgresUrl::parse("postgres://ann:canary@db.example.org:1/x?password=canary").unwrap().name();
        assert_eq!(name, "the PostgreSQL database `x` on db.example.org");
    }

    #[test]
    fn one_database_is_known_in_several_spellings() {
        let same = |one: &str, other: &str| {
            PostgresUrl::parse(one).unwrap().is_same_database(&PostgresUrl::parse(other).unwrap())
        };
        assert!(same("postgres://localhost/x", "postgresql://ann:p@LOCALHOST:5432/x?connect_timeout=3"));
        assert!(same("postgres://ann@localhost", "postgres://localhost/ann"));
        assert!(same("postgres://%2Frun/x", "postgres:///x?host=/run"));
        assert!(!same("postgres://localhost/x", "postgres://localhost/y"));
        assert!(!same("postgres://localhost:1/x", "postgres://localhost:2/x"));
        assert!(!same("postgres://one.example/x", "postgres://two.example/x"));
    }
}
