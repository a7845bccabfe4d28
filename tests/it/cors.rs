//! Pages of other sites in a browser: none by default, those that the operator names, and those of one's own machine in
//! a sandbox.

use std::sync::Arc;

use reqwest::Method;
use serde_json::json;

use crate::support::app::{Answer, TestApp, document};
use crate::support::playground::Playground;

const PAGE: &str = "https://app.example.org";

async fn open() -> Arc<TestApp> {
    TestApp::start_with(|config| config.cors_origins = vec![PAGE.to_owned(), "capacitor://localhost".to_owned()]).await
}

/// The values of a list in a header, in lower case.
fn list(answer: &Answer, name: &str) -> Vec<String> {
    let text = answer.headers.get(name).unwrap_or_else(|| panic!("no {name}"));
    text.split(',').map(|one| one.trim().to_lowercase()).collect()
}

#[actix_web::test]
async fn a_named_origin_may_ask_for_what_each_address_has_and_read_every_answer() {
    let app = open().await;
    let mut count = 0;
    for (path, item) in document()["paths"].as_object().unwrap() {
        let part =
            |part: &str| if part.starts_with('{') { "00000000-0000-4000-8000-000000000000" } else { part }.to_owned();
        let path = path.split('/').map(part).collect::<Vec<_>>().join("/");
        for (method, operation) in item.as_object().unwrap() {
            let asked = app.request(Method::OPTIONS, &path).header("origin", PAGE);
            let asked = asked.header("access-control-request-method", method.to_uppercase());
            let answer =
                asked.header("access-control-request-headers", "authorization,if-match").send().await.no_content();
            assert_eq!(answer.headers["access-control-allow-origin"], PAGE, "{path}");
            let methods = list(&answer, "access-control-allow-methods");
            assert!(methods.contains(method), "{method} {path}: {methods:?}");
            for other in ["put", "post", "patch", "delete"].iter().filter(|other| item.get(**other).is_none()) {
                assert!(!methods.contains(&(*other).to_owned()), "{other} {path}: {methods:?}");
            }
            let headers = list(&answer, "access-control-allow-headers");
            for parameter in
                operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "header")
            {
                let name = parameter["name"].as_str().unwrap().to_lowercase();
                assert!(headers.contains(&name), "{path}: a page cannot send {name}");
            }
            assert!(headers.contains(&"authorization".to_owned()) && headers.contains(&"content-type".to_owned()));
            assert!(!answer.headers.contains_key("access-control-allow-credentials"), "bearer tokens only");
            count += 1;
        }
    }
    assert!(count > 80);

    let found = app.get("/v1/meta").header("origin", "capacitor://localhost").send().await.ok();
    assert_eq!(found.headers["access-control-allow-origin"], "capacitor://localhost");
    let exposed = list(&found, "access-control-expose-headers");
    for name in ["etag", "location", "link", "retry-after", "ratelimit", "x-request-id", "idempotent-replayed"] {
        assert!(exposed.contains(&name.to_owned()), "a page cannot read {name}");
    }
    let mut declared: Vec<String> = Vec::new();
    collect(document(), &mut declared);
    for name in declared.iter().filter(|name| !["cache-control", "content-type", "date"].contains(&name.as_str())) {
        assert!(exposed.contains(name), "a page cannot read {name}, which the document declares");
    }
    // Refusals are read as well, also those of the layers.
    let wrong = json!({"email": "ann@example.org", "passphrase": "not the right one"});
    for answer in [
        app.get("/v1/me").header("origin", PAGE).send().await.expect(401),
        app.get("/nowhere").header("origin", PAGE).send().await.expect(404),
        app.request(Method::DELETE, "/v1/meta").header("origin", PAGE).send().await.expect(405),
        app.get("/v1/meta").header("origin", PAGE).header("x-long", "a".repeat(40_000)).send().await.expect(431),
        app.post("/v1/auth/login", wrong).header("origin", PAGE).send().await.expect(401),
    ] {
        assert_eq!(answer.headers["access-control-allow-origin"], PAGE);
        assert!(answer.headers["vary"].contains("Origin"));
    }
}

/// The names of the headers that a document declares for its answers.
fn collect(value: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, inner) in fields {
                if name == "headers"
                    && inner.as_object().is_some_and(|all| all.values().all(serde_json::Value::is_object))
                {
                    names.extend(inner.as_object().unwrap().keys().map(|name| name.to_lowercase()));
                }
                collect(inner, names);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|inner| collect(inner, names)),
        _ => {}
    }
}

#[actix_web::test]
async fn an_origin_that_was_not_named_may_nothing() {
    let app = open().await;
    for origin in
        ["https://evil.example", "null", "http://app.example.org", "https://app.example.org.evil.example", "*"]
    {
        let asked = app.request(Method::OPTIONS, "/v1/me").header("origin", origin);
        let preflight = asked.header("access-control-request-method", "GET").send().await.no_content();
        let answer = app.get("/v1/meta").header("origin", origin).send().await.ok();
        for answer in [preflight, answer] {
            let allowed = answer.headers.keys().any(|name| name.starts_with("access-control-"));
            assert!(!allowed, "{origin}: {:?}", answer.headers);
            assert!(answer.headers["vary"].contains("Origin"), "a cache must not give it to others");
        }
    }
    let plain = TestApp::start().await;
    let answer = plain.get("/v1/meta").header("origin", PAGE).send().await.ok();
    assert!(!answer.headers.keys().any(|name| name.starts_with("access-control-")), "none by default");
}

#[actix_web::test]
async fn what_is_no_origin_is_refused_at_the_start() {
    for wrong in ["*", "null", "app.example.org", "https://app.example.org/", "https://*.example.org"] {
        let mut config = afterglow::config::Config::in_folder("afterglow-data");
        config.cors_origins = vec![wrong.to_owned()];
        assert!(config.faults().iter().any(|fault| fault.contains(wrong) && fault.contains("origin")), "{wrong}");
    }
}

#[actix_web::test]
async fn a_sandbox_takes_the_pages_of_its_own_machine_on_any_port() {
    let play = Playground::open().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (origin, allowed) in
        [("http://localhost:5173", true), ("http://127.0.0.1:3000", true), ("https://evil.example", false)]
    {
        for path in ["/v1/meta", "/sandbox/clock"] {
            let url = format!("{}{path}", play.web.url);
            let preflight = http.request(Method::OPTIONS, &url).header("access-control-request-method", "GET");
            for asked in [http.get(&url), preflight] {
                let answer = asked.header("origin", origin).send().await.unwrap();
                let said = answer.headers().get("access-control-allow-origin").map(|one| one.to_str().unwrap());
                assert_eq!(said, allowed.then_some(origin), "{path}");
            }
        }
    }
}

#[actix_web::test]
async fn the_question_of_a_browser_before_a_log_in_does_not_count_as_one() {
    let app = TestApp::start_with(|config| {
        config.cors_origins = vec![PAGE.to_owned()];
        config.auth_per_minute = std::num::NonZeroU32::new(1);
    })
    .await;
    let wrong = json!({"email": "ann@example.org", "passphrase": "not the right one"});
    for status in [401, 429] {
        let asked = app.request(Method::OPTIONS, "/v1/auth/login").header("origin", PAGE);
        asked.header("access-control-request-method", "POST").send().await.no_content();
        app.post("/v1/auth/login", wrong.clone()).header("origin", PAGE).send().await.expect(status);
    }
}
