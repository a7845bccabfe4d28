//! Tests of the places of keys: the folder, the root key, the keyring's server.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{ANN, NOW, ann, entry, open, vault};
use crate::db::Backend;
use crate::kernel::{Code, Entropy};
use crate::vault::keyring::make_database;
use crate::vault::{MacLabel, Purpose, VaultConfig};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn everything_in_the_folder_is_private() {
    let (home, vault) = vault().await;
    ann(&vault).await;
    let folder = home.path().join("keys");
    assert_eq!(mode(&folder), 0o700);
    let names: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
            entry.file_name().into_string().unwrap()
        })
        .collect();
    for name in ["root.key", "keyring.sqlite", "keyring.sqlite-wal"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert!(!names.iter().any(|name| Path::new(name).extension().is_some_and(|end| end == "new")));
    assert_eq!(fs::read(folder.join("root.key")).unwrap().len(), 32);
}

#[tokio::test]
async fn a_folder_open_to_others_is_refused() {
    let (home, vault) = vault().await;
    vault.close();
    let folder = home.path().join("keys");
    for (path, wrong, right) in [
        (folder.clone(), 0o750, 0o700),
        (folder.clone(), 0o701, 0o700),
        (folder.join("root.key"), 0o640, 0o600),
        (folder.join("keyring.sqlite"), 0o644, 0o600),
    ] {
        fs::set_permissions(&path, Permissions::from_mode(wrong)).unwrap();
        let error = open(VaultConfig::in_folder(&folder)).await.unwrap_err().to_string();
        assert!(error.contains(&format!("chmod {right:o} {}", path.display())), "{error}");
        fs::set_permissions(&path, Permissions::from_mode(right)).unwrap();
    }
    open(VaultConfig::in_folder(&folder)).await.unwrap();
}

#[tokio::test]
async fn a_damaged_or_foreign_root_key_is_refused() {
    let (home, vault) = vault().await;
    ann(&vault).await;
    vault.close();
    let folder = home.path().join("keys");
    let file = folder.join("root.key");
    let right = fs::read(&file).unwrap();

    fs::write(&file, b"short").unwrap();
    assert!(open(VaultConfig::in_folder(&folder)).await.unwrap_err().to_string().contains("restore it"));
    fs::write(&file, [0; 32]).unwrap();
    assert!(open(VaultConfig::in_folder(&folder)).await.unwrap_err().to_string().contains("root key does not belong"));
    fs::remove_file(&file).unwrap();
    assert!(open(VaultConfig::in_folder(&folder)).await.unwrap_err().to_string().contains("root key is missing"));
    assert!(!file.exists(), "it was made anew");

    let given = VaultConfig { root_key: Some(right), ..VaultConfig::in_folder(&folder) };
    let vault = open(given).await.unwrap();
    assert!(vault.keys(ANN).await.unwrap().is_some());
    assert!(!file.exists());
}

#[tokio::test]
async fn servers_with_the_same_given_root_sign_alike() {
    let home = tempfile::tempdir().unwrap();
    let start = async |name: &str, byte| {
        let config = VaultConfig { root_key: Some(vec![byte; 32]), ..VaultConfig::in_folder(home.path().join(name)) };
        open(config).await.unwrap().signing_keys().signing(NOW).kid().to_owned()
    };
    let (one, two, other) = (start("one", 1).await, start("two", 1).await, start("three", 2).await);
    assert_eq!(one, two);
    assert_ne!(one, other);
    let short = VaultConfig { root_key: Some(vec![1; 31]), ..VaultConfig::in_folder(home.path().join("four")) };
    assert!(open(short).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_start_at_once_make_one_root() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("keys");
    let starts: Vec<_> = (0..8).map(|_| tokio::spawn(open(VaultConfig::in_folder(&folder)))).collect();
    let mut seen = BTreeSet::new();
    for start in starts {
        let vault = start.await.unwrap().unwrap();
        seen.insert((vault.mac(MacLabel::Code, &[b"x"]), vault.signing_keys().signing(NOW).kid().to_owned()));
        vault.close();
    }
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn the_keyring_lives_on_postgresql_too() {
    #[expect(clippy::disallowed_methods, reason = "names the server that the tests may use")]
    let Ok(url) = std::env::var("AFTERGLOW_TEST_POSTGRES_URL") else { return };
    let url = keyring_database(&url);
    let home = tempfile::tempdir().unwrap();
    let config =
        VaultConfig { keyring: Some(Backend::Postgres(url)), ..VaultConfig::in_folder(home.path().join("keys")) };
    let vault = open(config.clone()).await.unwrap();
    let sealed = ann(&vault).await.seal(Purpose::Journal, &entry(), b"words").unwrap();
    assert_eq!(vault.create(ANN, &[Purpose::Notes], NOW).await.unwrap_err().code(), Code::AlreadyExists);
    vault.close();

    let vault = open(config.clone()).await.unwrap();
    assert_eq!(vault.keys(ANN).await.unwrap().unwrap().open(&entry(), &sealed).unwrap(), b"words");
    vault.destroy(ANN, &[Purpose::Journal]).await.unwrap();
    vault.close();

    let vault = open(config).await.unwrap();
    let keys = vault.keys(ANN).await.unwrap().unwrap();
    assert!(!keys.has(Purpose::Journal) && keys.has(Purpose::Clinical));
    vault.close();
}

/// Makes a fresh database on the server of `url`.
fn keyring_database(url: &str) -> String {
    let name = format!("keyring_{}", Entropy::System.opaque().simple());
    make_database(url, &name);
    let (before, options) = url.split_once('?').map_or((url, String::new()), |(url, rest)| (url, format!("?{rest}")));
    // scheme://authority/name
    let server = before.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    format!("{server}/{name}{options}")
}
