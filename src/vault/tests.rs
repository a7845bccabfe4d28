//! Tests of the vault's promises. The key folder and the keyring's server have a file of their own.

mod places;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::cache::{Cache, FRESH};
use super::damage::Damage;
use super::keyring::begin_reading;
use super::{Keys, MacLabel, Purpose, SealContext, Vault, VaultConfig};
use crate::db::{Backend, Db, Tx};
use crate::kernel::{Code, Entropy, Result};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const ANN: Uuid = Uuid::from_u128(0xa);
const BOB: Uuid = Uuid::from_u128(0xb);
/// Bytes that nothing else in the files has.
const GONE: Uuid = Uuid::from_u128(0xa7c3_19e5_5d02_4b6f_8e11_37d9_c2f4_0a6b);

async fn open(config: VaultConfig) -> Result<Vault> {
    Vault::open(config, None, Entropy::System).await
}

async fn vault() -> (TempDir, Vault) {
    let home = tempfile::tempdir().unwrap();
    let vault = open(VaultConfig::in_folder(home.path().join("keys"))).await.unwrap();
    (home, vault)
}

/// Counts the places of the keyring's files at which a subject stands.
fn traces(home: &TempDir, subject: Uuid) -> usize {
    let read = |name| fs::read(home.path().join("keys").join(name)).unwrap_or_default();
    let found = [read("keyring.sqlite"), read("keyring.sqlite-wal")].concat();
    found.windows(16).filter(|window| *window == subject.as_bytes().as_slice()).count()
}

async fn reopen(home: &TempDir, vault: Vault) -> Vault {
    vault.close();
    open(VaultConfig::in_folder(home.path().join("keys"))).await.unwrap()
}

async fn ann(vault: &Vault) -> Keys {
    vault.create(ANN, &[Purpose::Journal, Purpose::Clinical], NOW).await.unwrap()
}

const fn entry() -> SealContext {
    SealContext { table: "entries", column: "text", subject: ANN, row: Uuid::from_u128(1), revision: 3 }
}

#[tokio::test]
async fn what_is_sealed_opens() {
    let (_home, vault) = vault().await;
    let keys = ann(&vault).await;
    for length in [0, 1, 252, 253, 2048, 100_000] {
        let text = vec![7; length];
        let sealed = keys.seal(Purpose::Journal, &entry(), &text).unwrap();
        assert_eq!(keys.open(&entry(), &sealed).unwrap(), text);
    }
    let document = json!({ "words": "the sea, and nobody there" });
    let sealed = keys.seal_json(Purpose::Clinical, &entry(), &document).unwrap();
    assert_eq!(keys.open_json::<Value>(&entry(), &sealed).unwrap(), document);
}

/// Every plan needs all infusions. To open hundreds of them for each held up the one writer of SQLite for the others.
#[tokio::test]
async fn a_document_of_a_large_set_is_opened_again_if_it_is_another_one_and_not_before() {
    let (home, vault) = vault().await;
    let keys = ann(&vault).await;
    let db = Db::open(Backend::Sqlite(home.path().join("data.sqlite"))).unwrap();
    let places = (0..50).map(|row| SealContext { row: Uuid::from_u128(row), ..entry() });
    let mut sealed: Vec<(SealContext, Vec<u8>)> =
        places.map(|place| (place, keys.seal_json(Purpose::Clinical, &place, &"lake").unwrap())).collect();
    let open = async |sealed: &[(SealContext, Vec<u8>)]| {
        let (keys, sealed) = (keys.clone(), sealed.to_vec());
        let unit = move |tx: &mut Tx<'_>| {
            let set: Vec<_> = sealed.iter().map(|(place, bytes)| (*place, bytes.as_slice())).collect();
            keys.open_set::<String>(tx, &set)
        };
        db.read(unit).await.unwrap()
    };
    let same = |one: &Option<Arc<String>>, other: &Option<Arc<String>>| match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    };
    let first = open(&sealed).await;
    let again = open(&sealed).await;
    assert!(first.iter().zip(&again).all(|(one, other)| same(one, other)), "they were opened again");
    sealed[7].1 = keys.seal_json(Purpose::Clinical, &sealed[7].0, &"wood").unwrap();
    let middle = sealed[8].1.len() / 2;
    sealed[8].1[middle] ^= 1;
    let changed = open(&sealed).await;
    assert_eq!(changed[7].as_ref().unwrap().as_str(), "wood");
    assert!(changed[8].is_none(), "a damaged document was taken for what it had been");
    assert!(first.iter().zip(&changed).enumerate().all(|(n, (one, other))| same(one, other) != [7, 8].contains(&n)));
}

#[tokio::test]
async fn one_thing_of_a_type_is_kept_and_forgotten_with_the_keys() {
    let (_home, vault) = vault().await;
    ann(&vault).await;
    let keys = vault.keys(ANN).await.unwrap().unwrap();
    assert!(keys.kept::<String>().is_none());
    keys.keep(Arc::new("the sea".to_owned()));
    let again = vault.keys(ANN).await.unwrap().unwrap();
    assert_eq!(again.kept::<String>().as_deref().map(String::as_str), Some("the sea"));
    assert!(keys.kept::<u64>().is_none(), "of another type");
    keys.keep(Arc::new(7_u64));
    keys.keep(Arc::new("nobody there".to_owned()));
    assert_eq!(keys.kept::<String>().as_deref().map(String::as_str), Some("nobody there"));
    assert_eq!(keys.kept::<u64>().as_deref(), Some(&7), "they stand side by side");
    vault.destroy(ANN, &[Purpose::Journal]).await.unwrap();
    let rest = vault.keys(ANN).await.unwrap().unwrap();
    assert!(rest.kept::<String>().is_none() && rest.kept::<u64>().is_none(), "by keys of which one is gone");
}

#[tokio::test]
async fn a_changed_value_never_opens() {
    let (_home, vault) = vault().await;
    let keys = ann(&vault).await;
    let sealed = keys.seal(Purpose::Journal, &entry(), b"words").unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(keys.open(&entry(), &changed).is_err(), "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert!(keys.open(&entry(), &sealed[..length]).is_err(), "first {length} bytes");
        assert!(keys.open(&entry(), &sealed[length + 1..]).is_err(), "without the first {length} bytes");
    }
    assert!(keys.open(&entry(), &[sealed.clone(), vec![0; 256]].concat()).is_err());
    for length in 0..1000 {
        let noise: Vec<u8> = (0..length).map(|at: usize| u8::try_from(at % 2).unwrap()).collect();
        assert!(keys.open(&entry(), &noise).is_err());
    }
}

#[tokio::test]
async fn a_value_opens_only_in_its_place() {
    let (_home, vault) = vault().await;
    let keys = ann(&vault).await;
    let bobs = vault.create(BOB, &[Purpose::Journal], NOW).await.unwrap();
    let sealed = keys.seal(Purpose::Journal, &entry(), b"words").unwrap();
    let elsewhere = [
        SealContext { table: "comments", ..entry() },
        SealContext { column: "tags", ..entry() },
        // The same letters, cut in another place.
        SealContext { table: "entriest", column: "ext", ..entry() },
        SealContext { subject: BOB, ..entry() },
        SealContext { row: Uuid::from_u128(2), ..entry() },
        SealContext { revision: 2, ..entry() },
    ];
    for place in elsewhere {
        assert!(keys.open(&place, &sealed).is_err(), "{place:?}");
        assert!(bobs.open(&place, &sealed).is_err(), "{place:?}");
    }
    assert!(bobs.open(&entry(), &sealed).is_err());
    // Another key of the same subject.
    let clinical = keys.seal(Purpose::Clinical, &entry(), b"words").unwrap();
    let mut renumbered = sealed.clone();
    renumbered[..5].copy_from_slice(&clinical[..5]);
    assert_ne!(renumbered, sealed);
    assert!(keys.open(&entry(), &renumbered).is_err());
}

#[tokio::test]
async fn nothing_is_sealed_under_the_wrong_key() {
    let (_home, vault) = vault().await;
    let keys = ann(&vault).await;
    assert!(!keys.has(Purpose::Account));
    assert_eq!(keys.seal(Purpose::Account, &entry(), b"x").unwrap_err().code(), Code::Internal);
    let bobs = SealContext { subject: BOB, ..entry() };
    assert_eq!(keys.seal(Purpose::Journal, &bobs, b"x").unwrap_err().code(), Code::Internal);
}

#[tokio::test]
async fn padding_hides_the_length() {
    let (_home, vault) = vault().await;
    let keys = ann(&vault).await;
    let lengths = |range: std::ops::RangeInclusive<usize>| -> BTreeSet<usize> {
        range.map(|n| keys.seal(Purpose::Journal, &entry(), &vec![1; n]).unwrap().len()).collect()
    };
    assert_eq!(lengths(0..=252), BTreeSet::from([17 + 256 + 16]));
    assert_eq!(lengths(253..=508), BTreeSet::from([17 + 512 + 16]));
    let json: BTreeSet<usize> = ["", "a", "a somewhat longer answer"]
        .iter()
        .map(|text| keys.seal_json(Purpose::Journal, &entry(), text).unwrap().len())
        .collect();
    assert_eq!(json.len(), 1);
}

#[tokio::test]
async fn nonces_do_not_repeat() {
    let (_home, vault) = vault().await;
    let keys = ann(&vault).await;
    let nonces: BTreeSet<Vec<u8>> =
        (0..10_000).map(|_| keys.seal(Purpose::Journal, &entry(), b"x").unwrap()[5..17].to_vec()).collect();
    assert_eq!(nonces.len(), 10_000);
}

#[tokio::test]
async fn errors_and_debug_quote_nothing() {
    let (_home, vault) = vault().await;
    let keys = ann(&vault).await;
    let sealed = keys.seal_json(Purpose::Journal, &entry(), "my secret").unwrap();
    let error = keys.open_json::<u8>(&entry(), &sealed).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
    let config = VaultConfig { root_key: Some(b"secret".to_vec()), ..VaultConfig::in_folder("keys") };
    assert_eq!(format!("{config:?}"), r#"VaultConfig { key_dir: "keys", .. }"#);
    assert_eq!(format!("{keys:?} {vault:?}"), "Keys(***) Vault(***)");
}

#[tokio::test]
async fn a_page_has_another_tag_when_any_byte_of_it_differs_and_for_another_reader() {
    let (home, vault) = vault().await;
    let page = b"It was quiet. ".repeat(100);
    let tag = vault.tag(b"ann", &page);
    let mut tags = BTreeSet::from([tag.clone(), vault.tag(b"bob", &page), vault.tag(b"", &page)]);
    tags.insert(vault.tag(b"ann", &[page.as_slice(), b"\0"].concat()));
    tags.insert(vault.tag(b"annI", &page[1..]));
    for at in 0..page.len() {
        let mut changed = page.clone();
        changed[at] ^= 1;
        tags.insert(vault.tag(b"ann", &changed));
    }
    assert_eq!(tags.len(), 5 + page.len());
    let vault = reopen(&home, vault).await;
    assert_eq!(vault.tag(b"ann", &page), tag);
}

#[tokio::test]
async fn keys_survive_a_restart() {
    let (home, vault) = vault().await;
    let sealed = ann(&vault).await.seal(Purpose::Journal, &entry(), b"words").unwrap();
    let (email, cursor) = (vault.mac(MacLabel::Email, &[b"ann"]), vault.seal_cursor(b"ann", b"page 2"));
    let kid = vault.signing_keys().signing(NOW).kid().to_owned();

    let vault = reopen(&home, vault).await;
    let keys = vault.keys(ANN).await.unwrap().unwrap();
    assert_eq!(keys.subject(), ANN);
    assert_eq!(keys.open(&entry(), &sealed).unwrap(), b"words");
    assert_eq!(vault.mac(MacLabel::Email, &[b"ann"]), email);
    assert_eq!(vault.open_cursor(b"ann", &cursor).unwrap(), b"page 2");
    assert_eq!(vault.signing_keys().signing(NOW).kid(), kid);
    assert!(vault.keys(BOB).await.unwrap().is_none());
    assert!(vault.keys(Uuid::nil()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_subject_is_made_once() {
    let (_home, vault) = vault().await;
    let sealed = ann(&vault).await.seal(Purpose::Journal, &entry(), b"words").unwrap();
    for purposes in [[Purpose::Journal], [Purpose::Notes]] {
        let error = vault.create(ANN, &purposes, NOW).await.unwrap_err();
        assert_eq!(error.code(), Code::AlreadyExists);
    }
    assert_eq!(vault.keys(ANN).await.unwrap().unwrap().open(&entry(), &sealed).unwrap(), b"words");
    assert!(vault.create(BOB, &[], NOW).await.is_err());
    assert!(vault.create(Uuid::nil(), &[Purpose::Notes], NOW).await.is_err());
}

#[tokio::test]
async fn destroyed_keys_are_gone_and_others_stay() {
    let (home, vault) = vault().await;
    let keys = ann(&vault).await;
    vault.remember(&keys);
    let journal = keys.seal(Purpose::Journal, &entry(), b"words").unwrap();
    let clinical = keys.seal(Purpose::Clinical, &entry(), b"dose").unwrap();
    vault.create(BOB, &[Purpose::Journal], NOW).await.unwrap();

    vault.destroy(ANN, &[Purpose::Journal]).await.unwrap();
    let vault = reopen(&home, vault).await;
    let keys = vault.keys(ANN).await.unwrap().unwrap();
    assert!(keys.open(&entry(), &journal).is_err());
    assert!(keys.seal(Purpose::Journal, &entry(), b"more").is_err());
    assert_eq!(keys.open(&entry(), &clinical).unwrap(), b"dose");
    assert!(vault.keys(BOB).await.unwrap().is_some());
}

#[tokio::test]
async fn destruction_reaches_the_cache() {
    let (_home, vault) = vault().await;
    vault.remember(&ann(&vault).await);
    vault.destroy(ANN, &[Purpose::Journal]).await.unwrap();
    let keys = vault.keys(ANN).await.unwrap().unwrap();
    assert!(!keys.has(Purpose::Journal) && keys.has(Purpose::Clinical));
    vault.destroy(ANN, &[Purpose::Journal, Purpose::Clinical]).await.unwrap();
    assert!(vault.keys(ANN).await.unwrap().is_none());
    vault.destroy(ANN, &Purpose::ALL).await.unwrap();
}

/// Copies of the keyring's files made after the destruction hold no trace of the wrapped key.
#[tokio::test]
async fn destruction_leaves_no_copy_in_the_files() {
    let (home, vault) = vault().await;
    vault.create(GONE, &[Purpose::Journal, Purpose::Clinical], NOW).await.unwrap();
    vault.create(BOB, &[Purpose::Journal], NOW).await.unwrap();
    assert!(traces(&home, GONE) > 0);
    vault.destroy(GONE, &[Purpose::Journal, Purpose::Clinical]).await.unwrap();
    assert_eq!(traces(&home, GONE), 0);
    assert!(traces(&home, BOB) > 0);
}

#[tokio::test]
async fn a_key_that_was_destroyed_while_a_backup_read_the_keyring_leaves_the_files_after_it() {
    let (home, vault) = vault().await;
    vault.create(GONE, &[Purpose::Journal], NOW).await.unwrap();
    let backup = begin_reading(&home.path().join("keys/keyring.sqlite"));
    vault.destroy(GONE, &[Purpose::Journal]).await.unwrap();
    assert!(traces(&home, GONE) > 0, "the backup reads it");
    drop(backup);
    vault.tend().await;
    assert_eq!(traces(&home, GONE), 0);
}

#[tokio::test]
async fn keys_are_cached_when_told_and_when_read() {
    let (_home, vault) = vault().await;
    let keys = ann(&vault).await;
    vault.create(BOB, &[Purpose::Journal], NOW).await.unwrap();
    vault.remember(&keys);
    vault.close();
    assert!(vault.keys(ANN).await.unwrap().is_some(), "remembered");
    assert!(vault.keys(BOB).await.is_err(), "never remembered");
}

#[test]
fn the_cache_is_bounded() {
    let cache = Cache::with_room(64);
    for subject in 0..10_000 {
        cache.put(Keys::new(Uuid::from_u128(subject), Vec::new(), Entropy::System, Damage::default()), None);
    }
    assert!(cache.len() <= 64);
    assert!(cache.find(Uuid::from_u128(9_999)).is_ok());
}

#[test]
fn keys_of_who_was_not_here_lately_leave_the_memory() {
    let cache = Cache::with_room(64);
    for subject in [ANN, BOB] {
        cache.put(Keys::new(subject, Vec::new(), Entropy::System, Damage::default()), None);
    }
    cache.forget_older_than(FRESH);
    assert_eq!(cache.len(), 2);
    cache.forget_older_than(Duration::ZERO);
    assert_eq!(cache.len(), 0);
}

#[test]
fn keys_read_before_a_destruction_are_not_cached_after_it() {
    let cache = Cache::with_room(64);
    let Err(before) = cache.find(ANN) else { panic!("it is empty") };
    cache.forget(ANN);
    cache.put(Keys::new(ANN, Vec::new(), Entropy::System, Damage::default()), Some(before));
    assert!(cache.find(ANN).is_err());
}

#[tokio::test]
async fn hashes_depend_on_label_and_parts() {
    let (_home, vault) = vault().await;
    let hashes = BTreeSet::from([
        vault.mac(MacLabel::Email, &[b"ab", b"c"]),
        vault.mac(MacLabel::Email, &[b"a", b"bc"]),
        vault.mac(MacLabel::Email, &[b"abc"]),
        vault.mac(MacLabel::Email, &[b"abc", b""]),
        vault.mac(MacLabel::Code, &[b"abc"]),
        vault.mac(MacLabel::RefreshHash, &[b"abc"]),
        vault.mac(MacLabel::Refresh, &[b"abc"]),
    ]);
    assert_eq!(hashes.len(), 7);
}

#[tokio::test]
async fn a_cursor_serves_one_caller() {
    let (_home, vault) = vault().await;
    let cursor = vault.seal_cursor(b"ann", b"after 7");
    assert_eq!(vault.open_cursor(b"ann", &cursor).unwrap(), b"after 7");
    assert!(vault.open_cursor(b"bob", &cursor).is_none());
    assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    for at in 0..cursor.len() {
        let mut changed = cursor.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(vault.open_cursor(b"ann", std::str::from_utf8(&changed).unwrap()).is_none(), "letter {at}");
        assert!(vault.open_cursor(b"ann", cursor.get(..at).unwrap()).is_none());
    }
    assert!(vault.open_cursor(b"ann", "no cursor; ü").is_none());
}

#[tokio::test]
async fn tokens_are_signed_and_verified() {
    let (_home, vault) = vault().await;
    let (_other_home, other) = self::vault().await;
    let keys = vault.signing_keys();
    let key = keys.signing(NOW);
    let header = Header { kid: Some(key.kid().to_owned()), ..Header::new(Algorithm::EdDSA) };
    let token =
        jsonwebtoken::encode(&header, &json!({ "sub": "ann", "exp": 4_000_000_000_u64 }), key.encoding()).unwrap();

    let rules = Validation::new(Algorithm::EdDSA);
    let verified = jsonwebtoken::decode::<Value>(&token, key.decoding(), &rules).unwrap();
    assert_eq!(verified.claims["sub"], "ann");
    assert_eq!(verified.header.kid.as_deref(), Some(key.kid()));
    assert!(jsonwebtoken::decode::<Value>(&token, other.signing_keys().signing(NOW).decoding(), &rules).is_err());

    // Others read only the published key.
    let jwk: Jwk = serde_json::from_value(key.jwk().clone()).unwrap();
    assert_eq!(jwk.thumbprint(ThumbprintHash::SHA256).unwrap(), key.kid());
    assert_eq!(jwk.common.key_id.as_deref(), Some(key.kid()));
    assert!(jsonwebtoken::decode::<Value>(&token, &DecodingKey::from_jwk(&jwk).unwrap(), &rules).is_ok());
    assert!(key.jwk().get("d").is_none());
}
