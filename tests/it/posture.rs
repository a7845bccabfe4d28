//! S17: how the server stands in its folders and on the network before anybody has configured anything.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use afterglow::app::Server;
use afterglow::config::Config;
use afterglow::db::Backend;
use afterglow::kernel::{Clock, Entropy, Error};
use reqwest::Method;

use crate::support::app::{START, TestApp, document};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

async fn opened(config: Config) -> Result<Server, String> {
    Server::open(config, Clock::manual(START.parse().unwrap()), Entropy::System).await.map_err(|error| match error {
        Error::Internal(why) => why.to_string(),
        other => other.to_string(),
    })
}

#[track_caller]
fn refused(opened: Result<Server, String>, words: &str) {
    let why = opened.expect_err("the server must refuse to start");
    assert!(why.contains(words), "{why:?} does not say {words:?}");
}

/// Everything below a folder.
fn below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(below(&path));
        }
        all.push(path);
    }
    all
}

#[actix_web::test]
async fn a_new_server_makes_folders_and_files_for_its_own_user_only() {
    let root = tempfile::tempdir().unwrap();
    let config = Config::in_folder(root.path().join("deep/er/data"));
    let (data, keys) = (config.data_dir.clone(), config.key_dir.clone());
    let server = opened(config).await.unwrap();
    assert!(!keys.starts_with(&data) && !data.starts_with(&keys), "keys lie beside the data");
    for folder in [&data, &keys] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
        let files = below(folder);
        assert!(files.len() >= 2, "{files:?}");
        for file in files {
            let wanted = if file.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&file), wanted, "{}", file.display());
        }
    }
    assert!(keys.join("root.key").is_file() && data.join("afterglow.sqlite").is_file());
    server.close();
}

#[actix_web::test]
async fn keys_that_others_can_read_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let config = Config::in_folder(root.path().join("data"));
    opened(config.clone()).await.unwrap().close();
    let keys = config.key_dir.clone();
    for open in [0o755, 0o750, 0o701] {
        chmod(&keys, open);
        refused(opened(config.clone()).await, "chmod 700");
    }
    chmod(&keys, 0o700);
    for file in below(&keys).iter().filter(|path| path.is_file()) {
        let before = mode(file);
        chmod(file, 0o640);
        refused(opened(config.clone()).await, "chmod 600");
        chmod(file, before);
    }
    opened(config).await.unwrap().close();
}

#[actix_web::test]
async fn files_in_a_folder_that_the_operator_made_are_closed_too() {
    let root = tempfile::tempdir().unwrap();
    let config = Config::in_folder(root.path().join("data"));
    // The folder's mode is the operator's business; what the server keeps in it is not.
    std::fs::create_dir(&config.data_dir).unwrap();
    chmod(&config.data_dir, 0o755);
    std::fs::write(config.data_dir.join("afterglow.sqlite"), b"").unwrap();
    chmod(&config.data_dir.join("afterglow.sqlite"), 0o644);
    let server = opened(config.clone()).await.unwrap();
    for file in below(&config.data_dir) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    server.close();
}

#[actix_web::test]
async fn keys_below_the_data_are_refused_also_over_a_link() {
    let root = tempfile::tempdir().unwrap();
    let mut config = Config::in_folder(root.path().join("data"));
    config.key_dir = config.data_dir.join("keys");
    refused(opened(config.clone()).await, "below the data folder");
    config.key_dir = config.data_dir.clone();
    refused(opened(config.clone()).await, "below the data folder");
    config.key_dir = root.path().join("not-there-yet/../data/keys");
    refused(opened(config.clone()).await, "below the data folder");
    std::fs::create_dir_all(root.path().join("data/keys")).unwrap();
    std::os::unix::fs::symlink(root.path().join("data/keys"), root.path().join("elsewhere")).unwrap();
    config.key_dir = root.path().join("elsewhere");
    refused(opened(config.clone()).await, "below the data folder");
    // A folder that is not there yet, below one that is reached over a link.
    std::os::unix::fs::symlink(root.path().join("data"), root.path().join("alias")).unwrap();
    config.key_dir = root.path().join("alias/new-keys");
    refused(opened(config).await, "below the data folder");
}

#[actix_web::test]
async fn one_sqlite_file_has_one_server_by_whatever_path_it_comes() {
    let root = tempfile::tempdir().unwrap();
    let config = Config::in_folder(root.path().join("data"));
    let file = config.data_dir.join("afterglow.sqlite");
    let first = opened(config.clone()).await.unwrap();
    std::os::unix::fs::symlink(&file, root.path().join("link.sqlite")).unwrap();
    std::os::unix::fs::symlink(&config.data_dir, root.path().join("alias")).unwrap();
    for path in [
        file.clone(),
        root.path().join("link.sqlite"),
        root.path().join("alias/afterglow.sqlite"),
        root.path().join("data/../alias/./afterglow.sqlite"),
    ] {
        // Another data folder, and other keys: the file alone is shared.
        let mut second = Config::in_folder(root.path().join("other"));
        second.database = Backend::Sqlite(path.clone());
        second.key_dir = config.key_dir.clone();
        refused(opened(second).await, "another server uses");
    }
    // Two files in one folder are two databases.
    let mut neighbour = Config::in_folder(root.path().join("data"));
    neighbour.database = Backend::Sqlite(root.path().join("data/neighbour.sqlite"));
    neighbour.key_dir = root.path().join("neighbours-keys");
    opened(neighbour).await.unwrap().close();
    first.close();
}

#[actix_web::test]
async fn a_database_file_with_two_names_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let config = Config::in_folder(root.path().join("data"));
    opened(config.clone()).await.unwrap().close();
    std::fs::hard_link(config.data_dir.join("afterglow.sqlite"), root.path().join("second.sqlite")).unwrap();
    let mut second = config.clone();
    second.database = Backend::Sqlite(root.path().join("second.sqlite"));
    for config in [config.clone(), second] {
        refused(opened(config).await, "several names");
    }
    std::fs::remove_file(root.path().join("second.sqlite")).unwrap();
    opened(config).await.unwrap().close();
}

#[actix_web::test]
async fn a_root_key_that_is_lost_or_another_one_is_found_at_the_start() {
    let root = tempfile::tempdir().unwrap();
    let config = Config::in_folder(root.path().join("data"));
    let server = opened(config.clone()).await.unwrap();
    let subject = server.state.entropy.opaque();
    server.state.vault.create(subject, &[afterglow::vault::Purpose::Account], server.state.clock.now()).await.unwrap();
    server.close();
    drop(server);
    let key = std::fs::read(config.key_dir.join("root.key")).unwrap();
    for wrong in [None, Some(vec![7; 32]), Some(vec![7; 31]), Some(Vec::new())] {
        std::fs::remove_file(config.key_dir.join("root.key")).unwrap();
        if let Some(bytes) = wrong {
            std::fs::write(config.key_dir.join("root.key"), bytes).unwrap();
            chmod(&config.key_dir.join("root.key"), 0o600);
        }
        assert!(opened(config.clone()).await.is_err());
        if !config.key_dir.join("root.key").exists() {
            std::fs::write(config.key_dir.join("root.key"), b"x").unwrap();
        }
    }
    std::fs::write(config.key_dir.join("root.key"), key).unwrap();
    chmod(&config.key_dir.join("root.key"), 0o600);
    opened(config).await.unwrap().close();
}

/// Every address of the document, with something in place of its parameters.
fn addresses() -> Vec<(Method, String)> {
    let mut all = vec![(Method::GET, "/docs/".to_owned()), (Method::GET, "/openapi.json".to_owned())];
    let outside = [
        "/nowhere",
        "/",
        "/problems",
        "/openapi-3.0.json",
        "/docs",
        "/docs/guide",
        "/docs/guide.md",
        "/docs/sync",
        "/docs/sync.md",
        "/docs/clients",
        "/docs/changes",
    ];
    all.extend(outside.map(|path| (Method::GET, path.to_owned())));
    for (path, item) in document()["paths"].as_object().unwrap() {
        let filled: Vec<&str> = path
            .split('/')
            .map(|part| if part.starts_with('{') { "019cd6c2-8c00-7f04-8f84-36e206e8f207" } else { part })
            .collect();
        for method in item.as_object().unwrap().keys() {
            if let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) {
                all.push((method, filled.join("/")));
            }
        }
    }
    all
}

#[actix_web::test]
async fn every_address_answers_with_the_security_headers() {
    let app = TestApp::start().await;
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let all = addresses();
    assert!(all.len() > 40, "{}", all.len());
    for (method, path) in all {
        for method in [method.clone(), Method::HEAD, Method::OPTIONS] {
            let answer = http.request(method.clone(), format!("{}{path}", app.url)).send().await.unwrap();
            let said = format!("{method} {path} → {}", answer.status());
            assert!(answer.status().as_u16() < 500, "{said}");
            let header =
                |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            assert_eq!(header("x-content-type-options"), "nosniff", "{said}");
            assert_eq!(header("referrer-policy"), "no-referrer", "{said}");
            assert!(header("strict-transport-security").starts_with("max-age="), "{said}");
            let policy = header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{said}");
            assert_eq!(policy.contains("script-src"), path.starts_with("/docs"), "{said}: {policy}");
            assert!(!policy.contains("unsafe-eval") && !policy.contains("http"), "{said}: {policy}");
            assert!(!header("x-request-id").is_empty(), "{said}");
            let public = ["/problems/", "/.well-known/", "/schemas/"].iter().any(|start| path.starts_with(start));
            let cache = header("cache-control");
            assert!(cache.contains("no-store") || cache.contains("private") || public, "{said}: {cache}");
            assert!(header("server").is_empty() && header("x-powered-by").is_empty(), "{said}");
        }
    }
}

#[actix_web::test]
async fn no_address_is_open_to_other_sites() {
    let app = TestApp::start().await;
    for origin in ["https://evil.example", "null", "http://127.0.0.1:8080"] {
        let asked = app.request(Method::OPTIONS, "/v1/me").header("origin", origin);
        let answer = asked.header("access-control-request-method", "GET").send().await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
        let answer = app.get("/v1/meta").header("origin", origin).send().await.ok();
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
}

#[actix_web::test]
async fn there_is_no_default_account_or_passphrase() {
    let app = TestApp::start().await;
    for email in ["admin@localhost.local", "admin@example.org", "root@example.org"] {
        for passphrase in ["admin", "password", "afterglow", ""] {
            let body = serde_json::json!({ "email": email, "passphrase": passphrase });
            app.post("/v1/auth/login", body).send().await.expect(401).refused("credentials_wrong");
        }
    }
}
