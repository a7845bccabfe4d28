//! Origins, as browsers write them: scheme, host, and a port unless it is the scheme's own.

use std::net::{IpAddr, Ipv6Addr};

/// Returns the host of an origin; `None` if the text is none. `*` and `null` are none: anybody's page has them.
pub fn host(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
    } else {
        let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_');
        (!host.is_empty() && host.bytes().all(plain)).then_some(())?;
        (host, port)
    };
    let usual = match scheme {
        "http" => "80",
        "https" => "443",
        _ => "",
    };
    let fits = |port: &str| port.parse::<u16>().is_ok_and(|number| number.to_string() == port) && port != usual;
    let scheme_fits = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.'));
    (scheme_fits && port.is_none_or(fits)).then_some(host)
}

/// Whether an origin is of the reader's own machine.
pub fn is_local(text: &str) -> bool {
    host(text).is_some_and(|host| {
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        for origin in [
            "https://app.example.org",
            "http://localhost:5173",
            "capacitor://localhost",
            "http://[::1]:3000",
            "http://10.0.0.1",
        ] {
            assert!(host(origin).is_some(), "{origin}");
        }
        for other in [
            "*",
            "null",
            "",
            "app.example.org",
            "https://",
            "://a",
            "https://app.example.org/",
            "https://app.example.org/x",
            "https://App.example.org",
            "https://ann@app.example.org",
            "https://*.example.org",
            "https://app.example.org:",
            "https://app.example.org:443",
            "http://app.example.org:80",
            "https://app.example.org?x",
            "https://a b",
            "http://[::1",
            "http://[x]",
            "http://a:1:2",
            "http://a:65536",
            "http://a:080",
            "HTTP://a",
            "1http://a",
        ] {
            assert_eq!(host(other), None, "{other}");
        }
    }

    #[test]
    fn the_machine_of_the_reader_is_known_by_its_names() {
        for origin in [
            "http://localhost",
            "http://localhost:5173",
            "https://127.0.0.1:8443",
            "http://[::1]:3000",
            "http://app.localhost:1",
        ] {
            assert!(is_local(origin), "{origin}");
        }
        for other in [
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "null",
            "https://example.org",
            "http://192.168.1.4:81",
            "localhost",
        ] {
            assert!(!is_local(other), "{other}");
        }
    }
}
