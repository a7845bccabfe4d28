//! S8: what somebody sends who means harm is refused with a problem, and the server goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::accounts::{PASSPHRASE, account};
use crate::support::app::{Answer, TestApp};
use crate::support::child::{Child, Web, first_run_code};
use crate::support::database::Database;

const LOGIN: &str = "/v1/auth/login";

async fn send(app: &Arc<TestApp>, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
    let call = app.request(reqwest::Method::POST, LOGIN);
    let answer = call.bytes(content_type, body).send().await;
    let status = answer.status.as_u16();
    assert!((400..500).contains(&status), "{status}: {}", String::from_utf8_lossy(&answer.bytes));
    assert_eq!(answer.body["status"], status, "a problem that says its status");
    answer
}

/// The right log-in, with `extra` put in after the brace.
fn login(extra: &str) -> String {
    format!("{{{extra}\"email\":\"ann@example.org\",\"passphrase\":\"{PASSPHRASE}\"}}")
}

async fn still_answers(app: &Arc<TestApp>) {
    app.post(LOGIN, json!({ "email": "ann@example.org", "passphrase": PASSPHRASE })).send().await.ok();
}

/// Writes bytes as they are and reads what comes back until the server hangs up or is silent.
fn raw(app: &TestApp, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(app.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // The server may refuse and hang up before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

async fn raw_status(app: &Arc<TestApp>, bytes: Vec<u8>) -> (u16, String) {
    let asked = Arc::clone(app);
    let answer = tokio::task::spawn_blocking(move || raw(&asked, &bytes)).await.unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}

#[actix_web::test]
async fn bodies_that_are_no_json_are_refused() {
    let app = TestApp::start().await;
    account(&app, "ann@example.org").await;
    let deep = |n: usize, open: &str, close: &str| format!("{}{}", open.repeat(n), close.repeat(n));
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("spaces", b"   ".to_vec()),
        ("half", b"{\"email\":".to_vec()),
        ("two values", login("").into_bytes().repeat(2)),
        ("a comma too many", login(",").into_bytes()),
        ("a comment", login("/* hello */").into_bytes()),
        ("a byte order mark", [b"\xef\xbb\xbf".as_slice(), login("").as_bytes()].concat()),
        ("UTF-16", login("").encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("Latin-1", b"{\"email\":\"ann\xe4@example.org\",\"passphrase\":\"x\"}".to_vec()),
        ("NUL bytes", vec![0; 1000]),
        ("a NUL in a string", b"{\"email\":\"a\0nn@example.org\",\"passphrase\":\"x\"}".to_vec()),
        ("a lone high surrogate", br#"{"email":"\ud800@example.org","passphrase":"x"}"#.to_vec()),
        ("a lone low surrogate", br#"{"email":"ann@example.org","passphrase":"\udc00"}"#.to_vec()),
        ("surrogates the wrong way round", br#"{"email":"ann@example.org","passphrase":"\udc00\ud800"}"#.to_vec()),
        ("a number past every double", login("\"x\":1e400,").into_bytes()),
        ("a long number", login(&format!("\"x\":{},", "9".repeat(100_000))).into_bytes()),
        ("not a number", login("\"x\":NaN,").into_bytes()),
        ("the same key twice", login("\"email\":\"bo@example.org\",").into_bytes()),
        ("the same key twice, once escaped", login("\"\\u0065mail\":\"bo@example.org\",").into_bytes()),
        ("an unknown field", login("\"admin\":true,").into_bytes()),
        ("a prototype", login("\"__proto__\":{\"admin\":true},").into_bytes()),
        ("a list", b"[\"ann@example.org\",\"a quiet river at dawn\"]".to_vec()),
        ("a string", b"\"ann@example.org\"".to_vec()),
        ("null", b"null".to_vec()),
        ("numbers for strings", b"{\"email\":1,\"passphrase\":2}".to_vec()),
        ("objects for strings", b"{\"email\":{\"$ne\":\"\"},\"passphrase\":{\"$ne\":\"\"}}".to_vec()),
        ("100,000 lists", deep(100_000, "[", "]").into_bytes()),
        ("100,000 objects", deep(100_000, "{\"a\":", "}").into_bytes()),
        ("100,000 lists, never closed", "[".repeat(100_000).into_bytes()),
        ("100,000 lists in a field", login(&format!("\"x\":{},", deep(100_000, "[", "]"))).into_bytes()),
        ("4,000 lists", deep(4_000, "[", "]").into_bytes()),
        ("1,000 objects", deep(1_000, "{\"a\":", "}").into_bytes()),
        ("4,000 digits", login(&format!("\"x\":{},", "9".repeat(4_000))).into_bytes()),
        ("600 keys", login(&(0..600).map(|i| format!("\"k{i}\":0,")).collect::<String>()).into_bytes()),
        ("200,000 keys", login(&(0..60_000).map(|i| format!("\"k{i}\":0,")).collect::<String>()).into_bytes()),
    ];
    for (name, body) in bodies {
        // What is longer than anybody's log-in is not even read.
        let expected: &[u16] = if body.len() > 8 * 1024 { &[413] } else { &[400, 422] };
        let answer = send(&app, "application/json", body).await;
        assert!(expected.contains(&answer.status.as_u16()), "{name}: {}", answer.status);
    }
    still_answers(&app).await;
}

#[actix_web::test]
async fn a_field_that_is_wrong_does_not_come_back_in_the_answer() {
    let app = TestApp::start().await;
    for body in [
        login("\"canary-7f3a\":\"canary-7f3a\","),
        "{\"email\":\"canary-7f3a\",\"passphrase\":\"canary-7f3a\"}".to_owned(),
        "{\"email\":\"canary-7f3a\",\"passphrase\":canary-7f3a}".to_owned(),
        "{\"email\":[\"canary-7f3a\"],\"passphrase\":7}".to_owned(),
    ] {
        let answer = send(&app, "application/json", body).await;
        let mut problem = answer.body.clone();
        // A pointer names a field by its name; what was in it stays private.
        for error in problem["errors"].as_array_mut().into_iter().flatten() {
            (error["pointer"], error["name"]) = (Value::Null, Value::Null);
        }
        assert!(!problem.to_string().contains("canary"), "{problem}");
    }
}

#[actix_web::test]
async fn a_body_past_the_limit_is_refused_before_it_is_read() {
    let app = TestApp::start().await;
    account(&app, "ann@example.org").await;
    let large = login(&format!("\"x\":\"{}\",", "a".repeat(2 * 1024 * 1024)));
    assert_eq!(send(&app, "application/json", large).await.refused("too_large").status, 413);

    // Anybody may send these: they are small.
    let long = login(&format!("\"x\":\"{}\",", "a".repeat(8 * 1024)));
    assert_eq!(send(&app, "application/json", long).await.refused("too_large").status, 413);

    // The head alone, with the promise of a gigabyte: the answer comes before any of it.
    let head = format!(
        "POST {LOGIN} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1073741824\r\n\r\n"
    );
    let (status, answer) = raw_status(&app, head.into_bytes()).await;
    assert_eq!(status, 413, "{answer}");

    // Two megabytes in chunks that promise nothing.
    let mut endless = format!(
        "POST {LOGIN} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for _ in 0..32 {
        endless.extend_from_slice(b"10000\r\n");
        endless.extend_from_slice(&[b' '; 0x10000]);
        endless.extend_from_slice(b"\r\n");
    }
    let (status, answer) = raw_status(&app, endless).await;
    assert_eq!(status, 413, "{answer}");
    still_answers(&app).await;
}

#[actix_web::test]
async fn a_body_that_breaks_off_is_no_fault_of_the_server() {
    let app = TestApp::start().await;
    account(&app, "ann@example.org").await;
    let head = format!("POST {LOGIN} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
    for rest in [
        "transfer-encoding: chunked\r\n\r\n400\r\n{\"email\":",
        "transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}",
        "content-length: 1000\r\n\r\n{\"email\":",
        "content-length: 10\r\ncontent-length: 20\r\n\r\n{}",
        "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        "content-length: -1\r\n\r\n{}",
        "content-length: 99999999999999999999999\r\n\r\n{}",
        "transfer-encoding: chunked, gzip\r\n\r\n{}",
    ] {
        let (status, answer) = raw_status(&app, format!("{head}{rest}").into_bytes()).await;
        assert!(status == 0 || (400..500).contains(&status), "{rest:?}: {answer}");
    }
    still_answers(&app).await;
}

#[actix_web::test]
async fn only_plain_json_is_taken() {
    let app = TestApp::start().await;
    account(&app, "ann@example.org").await;
    let right = login("");
    for kind in [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/json; charset=utf-16",
        "application/json; charset=latin1",
        "application/jsonx",
        "application/problem+json",
        "json",
        "*/*",
        "",
    ] {
        let answer = send(&app, kind, right.clone()).await;
        assert_eq!(answer.refused("unsupported_media_type").status, 415, "{kind}");
    }
    for kind in ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON; charset=\"UTF-8\""] {
        app.request(reqwest::Method::POST, LOGIN).bytes(kind, right.clone()).send().await.ok();
    }
    // A small body that unpacks to a large one: never unpacked at all.
    for coding in ["gzip", "br", "deflate", "zstd", "gzip, gzip", "identity, gzip", "x"] {
        let call =
            app.request(reqwest::Method::POST, LOGIN).bytes("application/json", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
        call.header("content-encoding", coding).send().await.expect(415).refused("unsupported_media_type");
    }
}

#[actix_web::test]
async fn large_heads_and_odd_addresses_are_refused() {
    let app = TestApp::start().await;
    account(&app, "ann@example.org").await;
    app.get("/v1/meta").header("x-filler", "a".repeat(40_000)).send().await.expect(431).refused("headers_too_large");
    app.get(&format!("/v1/meta?{}", "a".repeat(40_000))).send().await.expect(431).refused("headers_too_large");
    for path in [
        "/v1/meta%00",
        "/v1/%00",
        "/problems/%00",
        "/problems/%ff%fe",
        "/problems/..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/docs/%2e%2e/%2e%2e/Cargo.toml",
        "/docs/..%2f..%2fCargo.toml",
        "/docs/%00",
        "/v1//meta",
        "//v1/meta",
        "/v1/patients/%00/entries",
        "/v1/meta/",
        "/V1/META",
    ] {
        let answer = app.get(path).send().await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
    }
    still_answers(&app).await;
}

#[actix_web::test]
async fn odd_methods_and_broken_requests_are_refused() {
    let app = TestApp::start().await;
    account(&app, "ann@example.org").await;
    for method in ["BREW", "TRACE", "CONNECT", "PROPFIND", "get", "PATCH", "DELETE", "PUT"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        if method == reqwest::Method::CONNECT {
            continue; // the client refuses to say it; below, by hand
        }
        let answer = app.request(method.clone(), LOGIN).send().await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.headers["allow"].contains("POST"), "{method}");
    }
    let many: String = (0..200).map(|i| format!("x-{i}: y\r\n")).collect();
    for request in [
        "CONNECT 127.0.0.1:1 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "GET /v1/meta HTTP/9.9\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        "GET /v1/meta HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n".to_owned(),
        "GET /v1/meta HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n".to_owned(),
        "GET /v1/\u{e4} HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        format!("GET /v1/meta HTTP/1.1\r\nhost: x\r\n{many}\r\n"),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(200_000)),
        format!("GET /v1/meta HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(200_000)),
    ] {
        let (status, answer) = raw_status(&app, request.clone().into_bytes()).await;
        let shown: String = request.chars().take(60).collect();
        assert!(status == 0 || (400..500).contains(&status), "{shown:?}: {answer}");
    }
    still_answers(&app).await;
}

/// The memory of another process that is in use, in KiB.
fn resident(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
}

/// Bodies that would cost much if they were read, sent to an address of a patient's own; those of pushes are packed.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    const ENTRY: &str = "/entries/019cd6c2-8c00-7f04-8f84-36e206e8f207";
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000)).into_bytes();
    let within = |text: String| format!("{{\"kind\":\"reflection\",\"text\":{text}}}").into_bytes();
    let keys: String = (0..70_000).map(|n| format!("\"k{n}\":0,")).collect();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..64 {
        packed.write_all(&[b' '; 1024 * 1024]).unwrap();
    }
    vec![
        (ENTRY, deep("[", "]")),
        (ENTRY, deep("{\"a\":", "}")),
        (ENTRY, within("[".repeat(500_000))),
        (ENTRY, within("9".repeat(900_000))),
        (ENTRY, within(format!("{{{keys}\"z\":0}}"))),
        (ENTRY, vec![b' '; 4 * 1024 * 1024]),
        (PUSHES, packed.finish().unwrap()),
    ]
}

const PUSHES: &str = "/mutations";

/// 100 of each by `AFTERGLOW_BOMBS`.
#[actix_web::test]
async fn s8_bombs_cost_a_server_no_memory_that_it_keeps() {
    #[expect(clippy::disallowed_methods, reason = "the tests' own configuration")]
    let each: usize = std::env::var("AFTERGLOW_BOMBS").map_or(5, |text| text.parse().unwrap());
    let database = Database::fresh();
    let code = first_run_code(&database).await;
    let child = Child::serve(&database, &[]).await;
    let (_, patient, _) = Web::new(&child.url).found(&code).await;
    let bombs = bombs();
    let (at_start, mut warm) = (resident(child.id()), 0);
    for (number, (path, body)) in bombs.iter().cycle().take(each * bombs.len()).enumerate() {
        if number == 3 * bombs.len() {
            // Each worker has met them all by now, and keeps what the largest body needed for the next one.
            warm = resident(child.id());
        }
        let pushes = *path == PUSHES;
        let method = if pushes { Method::POST } else { Method::PUT };
        let call = patient.call(method, &format!("/v1/patients/me{path}")).header("content-type", "application/json");
        let call = if pushes { call.header("content-encoding", "gzip") } else { call };
        // The server may refuse and hang up before it has read everything.
        if let Ok(answer) = call.body(body.clone()).send().await {
            assert!(answer.status().is_client_error(), "{path}: {}", answer.status());
        }
    }
    let after = resident(child.id());
    let (more, all) = (after.saturating_sub(warm), after.saturating_sub(at_start));
    println!(
        "{} bombs, {all} KiB more than at the start, {more} KiB more than after three of each",
        each * bombs.len()
    );
    assert!(more <= 16 * 1024 && all <= 48 * 1024, "{more} KiB, {all} KiB");
    patient.expect(Method::GET, "/v1/me", Value::Null, 200).await;
}
