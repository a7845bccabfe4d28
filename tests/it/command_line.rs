//! The command: its settings, what it prints, what it leaves in memory.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use afterglow::db::Backend;
use reqwest::Method;

use crate::support::child::{self, Child, Web, first_run_code};
use crate::support::database::Database;
use crate::support::sql::Sql;

/// Everything below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let inside = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    inside.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

/// The built command with nothing of this machine's environment in it.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterglow"));
    command.args(arguments).current_dir(folder).env_clear();
    command
}

fn afterglow(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// Settings that are wrong, with what is said of each.
const WRONG: &[(&[&str], &str)] = &[
    (&["--key-dir", "afterglow-data/keys"], "below the data folder"),
    (&["--revocation-ledger", "afterglow-data/ledger"], "(--revocation-ledger)"),
    (&["--revocation-ledger", "/"], "(--revocation-ledger)"),
    (&["--keyring-url", "sqlite:afterglow-data/keyring.sqlite"], "below the data folder"),
    (&["--database-url", "sqlite:afterglow-data-keys/data.sqlite"], "below the key folder"),
    (&["--database-url", "mysql://localhost/x"], "(--database-url)"),
    (&["--database-url", "sqlite:file:/x?vfs=memdb"], "(--database-url)"),
    (&["--database-url", "postgres://localhost:port/x"], "(--database-url)"),
    (&["--database-url", "postgres://db.example.org/x"], "no TLS"),
    (&["--database-url", "postgres://127.0.0.1.example.org/x"], "no TLS"),
    (&["--database-url", "postgres://localhost/x?hostaddr=10.0.0.1"], "no TLS"),
    (&["--keyring-url", "postgres://10.0.0.1/x"], "no TLS"),
    (&["--keyring-url", "nonsense"], "(--keyring-url)"),
    (&["--database-url", "postgres://localhost/x", "--keyring-url", "postgres://LOCALHOST:5432/x?a=b"], "are one"),
    (&["--database-url", "sqlite:one.sqlite", "--keyring-url", "sqlite:./nothing/../one.sqlite"], "are one"),
    (&["--public-url", "ftp://example.org"], "(--public-url)"),
    (&["--public-url", "http://example.org/"], "(--public-url)"),
    (&["--public-url", "http://"], "(--public-url)"),
    (&["--public-url", "http://ann@example.org"], "(--public-url)"),
    (&["--public-url", "https://example.org?x"], "(--public-url)"),
    (&["--public-url", "https://exa mple.org"], "(--public-url)"),
    (&["--open-registration"], "(--open-registration)"),
    (&["--passkey-rp-id", "https://example.org"], "(--passkey-rp-id)"),
    (&["--passkey-origin", "https://example.org"], "(--passkey-origin) need their domain"),
    (&["--passkey-rp-id", "example.org", "--passkey-origin", "https://example.com"], "(--passkey-origin)"),
    (&["--mail", "smtp"], "(--mail smtp)"),
    (&["--mail", "file", "--mail-dir", "/dev/null"], "(--mail-dir)"),
    (&["--listen", "nowhere"], "(--listen)"),
    (&["--listen", "127.0.0.1:http"], "(--listen)"),
    (&["--listen", "127.0.0.1:65536"], "(--listen)"),
    (&["--workers", "0"], "(--workers)"),
    (&["--workers", "100000"], "(--workers)"),
    (&["--auth-per-minute", "4294967295"], "(--auth-per-minute)"),
    (&["--requests-per-minute", "4294967295"], "(--requests-per-minute)"),
    (&["--trusted-proxies", "17"], "(--trusted-proxies)"),
    (&["--security-contact", "security@example.org"], "(--security-contact)"),
    (&["--change-password-url", "http://example.org"], "(--change-password-url)"),
    (&["--only", "smoke"], "\"smoke\" is no channel (--only)"),
    (&["--only", "email"], "the channel email (--only) is not in the file of the channels (--channels)"),
    (&["--log", "afterglow=loud"], "(--log)"),
    (&["--data-dir", "a-file"], "(--data-dir)"),
    (&["--key-dir", "a-file"], "(--key-dir)"),
];

#[test]
fn check_config_and_serve_say_the_same_of_each_setting_and_touch_nothing() {
    let root = tempfile::tempdir().unwrap();
    let right = afterglow(root.path(), &["check-config"]);
    assert!(right.status.success(), "{right:?}");
    std::fs::write(root.path().join("a-file"), b"").unwrap();
    let said = |name: &str, arguments: &[&str]| {
        let output = afterglow(root.path(), &[&[name], arguments].concat());
        assert!(!output.status.success(), "{name} {arguments:?} passed");
        String::from_utf8(output.stderr).unwrap().split_once(": ").unwrap().1.to_owned()
    };
    for (arguments, words) in WRONG {
        let checked = said("check-config", arguments);
        assert!(checked.contains(words), "{arguments:?}: {checked:?} does not say {words:?}");
        assert_eq!(said("serve", arguments), checked, "{arguments:?}");
    }
    assert_eq!(below(root.path()), [root.path().join("a-file")], "checking made something");
}

#[actix_web::test]
async fn check_config_says_before_a_start_that_data_or_keys_are_of_a_newer_build() {
    for part in ["data", "keyring"] {
        let database = Database::fresh();
        first_run_code(&database).await;
        let keyring = Backend::Sqlite(database.folder.path().join("data-keys/keyring.sqlite"));
        let backend = if part == "data" { &database.backend } else { &keyring };
        let right = child::run(&database, &["check-config"]);
        assert!(right.0.success(), "{part}: {}", right.1);
        Sql::open(backend).run("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')");
        for command in ["check-config", "serve"] {
            let (status, said) = child::run(&database, &["--listen", "127.0.0.1:0", command]);
            let words = "the database has migration 99990101000000, which this build does not know";
            assert!(!status.success() && said.contains(words), "{command} with the {part}: {said}");
        }
    }
}

#[test]
fn a_process_serves_only_channels_that_its_file_configures() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("channels.json");
    let webhook =
        r#"{ "url": "https://gateway.example.org/push", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }"#;
    std::fs::write(&file, format!(r#"{{ "webhook": {webhook} }}"#)).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let run = |name: &str, only: &str| afterglow(root.path(), &[name, "--channels", "channels.json", "--only", only]);
    let right = run("check-config", "webhook");
    assert!(right.status.success(), "{right:?}");
    for name in ["check-config", "serve", "worker"] {
        let refused = run(name, "webhook,fcm,apns,pigeon");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success(), "{name}");
        for words in ["the channel fcm (--only)", "the channel apns (--only)", "\"pigeon\" is no channel (--only)"] {
            assert!(said.contains(words), "{name}: {words} is not in {said}");
        }
        assert!(!said.contains("webhook (--only)"), "{name}: {said}");
    }
    assert_eq!(below(root.path()), [file], "checking made something");
}

#[test]
fn all_faults_are_said_at_once() {
    let root = tempfile::tempdir().unwrap();
    let wrong =
        ["--listen", "nowhere", "--database-url", "x:y", "--keyring-url", "z", "--workers", "0", "--log", "a=b"];
    let mut command = command(root.path(), &wrong);
    let said = command.args(["--public-url", "x", "check-config"]).env("AFTERGLOW_ROOT_KEY", "?").output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    for name in
        ["--listen", "--database-url", "--keyring-url", "--workers", "--log", "--public-url", "AFTERGLOW_ROOT_KEY"]
    {
        assert!(said.contains(&format!("({name})")), "{name}: {said}");
    }
}

#[test]
fn the_root_key_comes_from_the_environment_and_is_no_flag() {
    let root = tempfile::tempdir().unwrap();
    let flag = afterglow(root.path(), &["check-config", "--root-key", "AAAA"]);
    assert!(
        !flag.status.success() && String::from_utf8_lossy(&flag.stderr).contains("unexpected argument"),
        "{flag:?}"
    );
    for (key, words) in [
        ("c2hvcnQ=", "32 bytes"),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "over and over"),
        ("not base64!", "base64"),
    ] {
        for name in ["check-config", "serve", "worker"] {
            let output = command(root.path(), &[name]).env("AFTERGLOW_ROOT_KEY", key).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains(words), "{name} with {key}: {said}");
            assert!(!said.contains(key), "the key is in the message");
        }
    }
    let good = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let output = command(root.path(), &["check-config"]).env("AFTERGLOW_ROOT_KEY", good).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_command_listens_on_this_machine_only_unless_told() {
    let root = tempfile::tempdir().unwrap();
    let help = String::from_utf8(afterglow(root.path(), &["--help"]).stdout).unwrap();
    let listen = help.split("--listen").nth(1).unwrap();
    assert!(listen.split("--").next().unwrap().contains("[default: 127.0.0.1:8080]"), "{listen}");
    // Secrets that come from the environment are not shown by it.
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterglow"));
    let secret = "postgres://ann:canary@localhost/x";
    let output =
        command.arg("--help").env("DATABASE_URL", secret).env("AFTERGLOW_ROOT_KEY", "canary").output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stdout).contains("canary"));
}

#[actix_web::test]
async fn with_port_0_the_real_port_is_printed_and_issued() {
    let database = Database::fresh();
    let folder = database.folder.path().join("data");
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterglow"));
    command.env_clear().arg("--data-dir").arg(&folder).args(["--listen", "127.1:0", "--workers", "1"]);
    if let Backend::Postgres(url) = &database.backend {
        command.args(["--database-url", url]);
    }
    command.args(["--metrics-address", "localhost:0", "--log-format", "json"]);
    let log = database.folder.path().join("log");
    let mut process =
        command.stdout(std::process::Stdio::piped()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let docs = lines.next().unwrap();
    let url = docs.strip_prefix("API reference: ").unwrap().strip_suffix("/docs").unwrap().to_owned();
    assert!(url.starts_with("http://127.0.0.1:") && !url.ends_with(":0"), "{url}");
    let curl = lines.find(|line| line.starts_with("curl ")).unwrap();
    assert!(curl.contains(&format!("{url}/v1/setup")), "{curl}");
    let code = curl.split(r#""code":""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let web = Web::new(&url);
    let (_, ann, _) = web.found(&code).await;
    let claims = ann.token.split('.').nth(1).unwrap();
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], url);

    // The metrics are on the other address, and there alone; that address has nothing else.
    let said = std::fs::read_to_string(&log).unwrap();
    let metrics = said.split("metrics on ").nth(1).unwrap().split("/metrics").next().unwrap().to_owned();
    assert_ne!(metrics, url);
    let apart = Web::new(&metrics);
    let text = apart.call(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(text.contains("keyring_changes_missing"), "{text}");
    for path in ["/v1/meta", "/healthz", "/docs/"] {
        assert_eq!(apart.call(Method::GET, path).send().await.unwrap().status(), 404, "{path}");
    }
    web.expect(Method::GET, "/metrics", serde_json::Value::Null, 404).await;
    process.kill().unwrap();
    process.wait().unwrap();
}

/// Whether a running process has the bytes in memory that it may write.
fn remembers(process: u32, bytes: &[u8]) -> bool {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{process}/mem")).unwrap();
    maps.lines().any(|line| {
        let (range, rest) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).unwrap());
        let mut content = vec![0; usize::try_from(to - from).unwrap()];
        rest.starts_with("rw")
            && std::os::unix::fs::FileExt::read_exact_at(&memory, &mut content, from).is_ok()
            && content.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[actix_web::test]
async fn a_passphrase_does_not_stay_in_memory() {
    let database = Database::fresh();
    let code = first_run_code(&database).await;
    let server = Child::serve(&database, &["--workers", "1", "--log", "warn"]).await;
    let typed = "nineteen herons over the reeds";
    {
        let web = Web::new(&server.url);
        web.found(&code).await;
        let wrong = serde_json::json!({ "email": "ann@example.org", "passphrase": typed });
        web.expect(Method::POST, "/v1/auth/login", wrong, 401).await;
    }
    // The connections are closed; what they held is freed. The framework keeps the heads of requests for the next ones,
    // and with them the bytes that were read together.
    for _ in 0..5 {
        Web::new(&server.url).expect(Method::GET, "/healthz", serde_json::Value::Null, 200).await;
        if !remembers(server.id(), typed.as_bytes()) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    panic!("the passphrase is still in memory");
}

/// The ids of the public keys that a server shows.
async fn published(server: &Child) -> Vec<String> {
    let set = Web::new(&server.url).expect(Method::GET, "/.well-known/jwks.json", serde_json::Value::Null, 200).await;
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn the_signing_key_is_rotated_beside_a_server() {
    let database = Database::fresh();
    let (done, said) = child::run(&database, &["keys", "rotate-signing"]);
    assert!(!done.success() && said.contains("no key to rotate"), "{said}");
    first_run_code(&database).await;
    let server = Child::serve(&database, &["--workers", "1", "--log", "warn"]).await;
    let before = published(&server).await;
    let (done, said) = child::run(&database, &["keys", "rotate-signing"]);
    assert!(done.success() && said.contains("signs from"), "{said}");
    let (again, said) = child::run(&database, &["keys", "rotate-signing"]);
    assert!(!again.success() && said.contains("under way"), "{said}");
    // The one that runs goes on; one that starts now publishes both.
    assert!(published(&server).await.contains(&before[0]));
    drop(server);
    let server = Child::serve(&database, &["--workers", "1", "--log", "warn"]).await;
    let after = published(&server).await;
    assert_eq!((before.len(), after.len(), &after[0]), (1, 2, &before[0]));
}
