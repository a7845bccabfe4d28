//! Every address with every method: one that the address lacks is 405, names those it has, and changes nothing.

use reqwest::Method;

use crate::support::app::{TestApp, document};

const METHODS: [&str; 11] =
    ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "BREW"];

/// The `Allow` of an address with these methods in the document.
fn allow(declared: impl Fn(&str) -> bool) -> String {
    let has = |name: &&str| match *name {
        "HEAD" => declared("get"),
        "OPTIONS" => true,
        name => declared(&name.to_lowercase()),
    };
    METHODS[..7].iter().copied().filter(has).collect::<Vec<_>>().join(", ")
}

/// The addresses of the document and those beside it, with a value for each parameter, and their `Allow`.
fn addresses() -> Vec<(String, String)> {
    let filled = |path: &str| {
        let part =
            |part: &str| if part.starts_with('{') { "00000000-0000-4000-8000-000000000000" } else { part }.to_owned();
        path.split('/').map(part).collect::<Vec<_>>().join("/")
    };
    let paths = document()["paths"].as_object().unwrap();
    let mut all: Vec<_> =
        paths.iter().map(|(path, item)| (filled(path), allow(|name| item[name].is_object()))).collect();
    for beside in [
        "/",
        "/docs",
        "/docs/",
        "/docs/guide",
        "/docs/guide.md",
        "/docs/sync",
        "/docs/sync.md",
        "/docs/changes",
        "/problems",
        "/openapi.json",
        "/openapi-3.0.json",
    ] {
        all.push((beside.to_owned(), allow(|name| name == "get")));
    }
    all
}

#[actix_web::test]
async fn a_method_that_an_address_lacks_is_405_and_names_those_it_has() {
    let app = TestApp::start().await;
    let all = addresses();
    assert!(all.len() > 70);
    let mut faults = Vec::new();
    for (path, allow) in &all {
        for name in METHODS {
            let method: Method = name.parse().unwrap();
            let answer = app.request(method, path).send().await;
            let (status, said) = (answer.status.as_u16(), answer.headers.get("allow").cloned().unwrap_or_default());
            let fits = match name {
                "OPTIONS" => status == 204 && said == *allow,
                name if allow.split(", ").any(|one| one == name) => status != 405 && said.is_empty(),
                "HEAD" => status == 405 && said == *allow,
                _ => status == 405 && said == *allow && answer.body["code"] == "method_not_allowed",
            };
            if !fits {
                faults.push(format!("{name} {path} → {status}, Allow: {said}; it has {allow}"));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[actix_web::test]
async fn an_address_that_is_not_there_is_404_with_every_method() {
    let app = TestApp::start().await;
    for path in ["/nowhere", "/v1", "/v1/me/", "/v1//me", "/v1/patients/me", "/v1/patients/me/entries/a/b/c"] {
        for name in METHODS {
            let answer = app.request(name.parse().unwrap(), path).send().await;
            assert_eq!(answer.status.as_u16(), 404, "{name} {path}");
            assert!(!answer.headers.contains_key("allow"), "{name} {path}");
        }
    }
}
