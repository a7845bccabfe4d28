//! No id, and no hash in the clear, is a function that somebody without the keys can compute of what is sealed.

use std::collections::{BTreeMap, BTreeSet};

use afterglow::delivery::MemoryChannel;
use afterglow::planning::Protocol;
use aws_lc_rs::digest::{self, Algorithm};
use aws_lc_rs::hmac;
use diesel::prelude::*;
use diesel::sql_types::Text;
use jiff::SignedDuration;
use serde_json::json;
use uuid::Uuid;

use crate::support::app::TestApp;
use crate::support::journal::{reflection, two, with};
use crate::support::sql::Sql;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    s: String,
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    t: String,
    #[diesel(sql_type = Text)]
    c: String,
}

/// Every value of sixteen or thirty-two bytes in the database, with the columns in which it stands: ids and hashes.
fn values(sql: &mut Sql) -> BTreeMap<Vec<u8>, BTreeSet<String>> {
    let columns: Vec<Column> = match sql {
        Sql::Postgres(_) => sql.rows(
            "SELECT table_name::text AS t, column_name::text AS c FROM information_schema.columns \
             WHERE table_schema = 'public' AND data_type IN ('uuid', 'bytea') AND table_name NOT LIKE '\\_\\_%'",
        ),
        Sql::Sqlite(_) => sql.rows(
            "SELECT m.name AS t, i.name AS c FROM sqlite_master m, pragma_table_info(m.name) i WHERE m.type = 'table' \
             AND lower(i.type) = 'blob' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\'",
        ),
    };
    let mut all: BTreeMap<Vec<u8>, BTreeSet<String>> = BTreeMap::new();
    for Column { t, c } in columns {
        let query = match sql {
            Sql::Postgres(_) => {
                format!("SELECT DISTINCT replace({c}::text, '-', '') AS s FROM {t} WHERE {c} IS NOT NULL")
            }
            Sql::Sqlite(_) => format!("SELECT DISTINCT lower(hex({c})) AS s FROM {t} WHERE {c} IS NOT NULL"),
        };
        for Row { s } in sql.rows::<Row>(&query) {
            let hex = s.trim_start_matches("\\x").as_bytes();
            if [32, 64].contains(&hex.len()) {
                let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
                all.entry(hex.chunks(2).map(byte).collect()).or_default().insert(format!("{t}.{c}"));
            }
        }
    }
    all
}

/// The bits of an id that do not say its version and variant.
fn bare(bytes: &[u8]) -> u128 {
    let whole = bytes.first_chunk().map_or(0, |half: &[u8; 16]| u128::from_be_bytes(*half));
    whole & !(0xf << 76) & !(0x3 << 62)
}

const HASHES: [&Algorithm; 4] =
    [&digest::SHA1_FOR_LEGACY_USE_ONLY, &digest::SHA256, &digest::SHA512, &digest::SHA512_256];

/// What anybody could make an id of, out of `parts` in every order, each bare or with its length before it: version 5
/// is SHA-1 of a name below a namespace, so it is among them. HMACs have keys that everybody knows.
fn guesses(parts: &[&[u8]], publicly: &[Vec<u8>]) -> Vec<u128> {
    let mut orders = vec![Vec::new()];
    for part in parts {
        orders = orders
            .iter()
            .flat_map(|order: &Vec<&[u8]>| {
                (0..=order.len()).map(|place| {
                    let mut longer = order.clone();
                    longer.insert(place, part);
                    longer
                })
            })
            .collect();
    }
    let mut found = Vec::new();
    for order in orders {
        let sized: Vec<u8> = order
            .iter()
            .flat_map(|part| [&(u64::try_from(part.len()).unwrap()).to_be_bytes()[..], part].concat())
            .collect();
        for text in [order.concat(), order.join(&b'/'), sized] {
            found.extend(HASHES.iter().map(|algorithm| bare(digest::digest(algorithm, &text).as_ref())));
            for key in publicly {
                let key = hmac::Key::new(hmac::HMAC_SHA256, key);
                found.push(bare(hmac::sign(&key, &text).as_ref()));
            }
        }
    }
    found
}

/// A patient who has lived through two weeks of a plan, with answers, and what was delivered.
async fn lived() -> std::sync::Arc<TestApp> {
    let app = TestApp::start_on_disk().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - SignedDuration::from_hours(1)).await;
    let channel = MemoryChannel::default();
    for _ in 0..72 {
        app.wait(SignedDuration::from_hours(1));
        afterglow::app::tick(&app.server.state, &channel, app.now()).await.unwrap();
        afterglow::app::tick(&app.server.state, &channel, app.now()).await.unwrap();
    }
    assert!(channel.sent().len() > 2, "{}", channel.sent().len());
    let prompt = ann.prompts().await[0]["id"].clone();
    let at = app.now().to_string();
    ann.writes(with(reflection("The lake"), json!({ "prompt_id": prompt, "occurred_at": at }))).await;
    app
}

#[actix_web::test]
async fn d2_no_id_or_hash_in_the_clear_follows_from_clear_columns_and_public_data() {
    let app = lived().await;
    let mut sql = Sql::open(&app.database.backend);
    let values = values(&mut sql);
    let ids: Vec<&Vec<u8>> = values.keys().filter(|value| value.len() == 16).collect();
    let versions: BTreeMap<_, BTreeSet<_>> = ids.iter().fold(BTreeMap::new(), |mut all, id| {
        let version = Uuid::from_slice(id).unwrap().get_version_num();
        all.entry(version).or_insert_with(BTreeSet::new).extend(&values[*id]);
        all
    });
    for (version, columns) in &versions {
        assert!([4, 7, 8].contains(version), "ids of version {version}, a plain hash, in {columns:?}");
    }
    let derived: BTreeSet<&str> = versions[&8].iter().map(|column| column.as_str()).collect();
    assert!(derived.contains("prompts.id") && derived.contains("deliveries.id"), "{derived:?}");

    let wanted: BTreeMap<u128, &Vec<u8>> = values.keys().map(|value| (bare(value), value)).collect();
    let (nil, rules) = (vec![0; 16], Protocol::default_v1().rules.iter().map(|rule| rule.key.as_bytes().to_vec()));
    let rules: Vec<Vec<u8>> = rules.collect();
    let of = |columns: &[&str]| -> Vec<Vec<u8>> {
        let stands = |id: &&&Vec<u8>| values[**id].iter().any(|column| columns.contains(&column.as_str()));
        ids.iter().filter(stands).map(|id| (*id).clone()).collect()
    };
    let (patients, prompts) = (of(&["patients.id"]), of(&["prompts.id"]));
    let mut anchors = of(&["infusions.id"]);
    anchors.push(nil.clone());
    assert!(!patients.is_empty() && prompts.len() > 10 && anchors.len() > 1);
    let keys: Vec<Vec<u8>> = [nil, vec![0; 32], Vec::new()].into_iter().chain(patients.clone()).collect();
    let mut guessed = Vec::new();
    // Prompts: which rule asks.
    for patient in &patients {
        for anchor in &anchors {
            for rule in &rules {
                for occurrence in 0..4_u32 {
                    let number = occurrence.to_be_bytes();
                    guessed.extend(guesses(&[patient, anchor, &number, rule], &keys));
                    guessed.extend(guesses(&[anchor, &number, rule], &keys));
                }
                guessed.extend(guesses(&[patient, anchor, rule], &keys));
            }
        }
    }
    // Deliveries and whatever else hangs on two ids, or on an id and a small number.
    for one in &ids {
        for number in 0..4_u32 {
            guessed.extend(guesses(&[one, &number.to_be_bytes()], &keys));
            guessed.extend(guesses(&[one, &u64::from(number).to_be_bytes()], &keys));
        }
        guessed.extend(guesses(&[one], &keys));
    }
    for patient in &patients {
        for one in &prompts {
            guessed.extend(guesses(&[patient, one], &keys));
        }
    }
    assert!(guessed.len() > 100_000, "{}", guessed.len());
    let hits: BTreeSet<_> =
        guessed.iter().filter_map(|guess| wanted.get(guess)).flat_map(|value| &values[*value]).collect();
    assert!(hits.is_empty(), "computed without a key: {hits:?}");
}

#[test]
fn d2_the_search_finds_ids_that_anybody_can_compute() {
    let (patient, infusion) = (Uuid::from_u128(7), Uuid::from_u128(9));
    // The prompt ids and delivery ids of old: version 5 is the first sixteen bytes of SHA-1.
    let name = [infusion.as_bytes().as_slice(), &0_u32.to_be_bytes(), b"d1.tell"].concat();
    let old = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &[patient.as_bytes().as_slice(), &name].concat());
    let found = guesses(&[patient.as_bytes(), infusion.as_bytes(), &0_u32.to_be_bytes(), b"d1.tell"], &[]);
    assert!(found.contains(&bare(old.as_ref())));
    let zero = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[0; 32]), patient.as_bytes());
    assert!(guesses(&[patient.as_bytes()], &[vec![0; 32]]).contains(&bare(zero.as_ref())));
}

#[actix_web::test]
async fn d2_ids_stay_the_same_when_everything_is_planned_again_after_a_restart() {
    let app = TestApp::start_on_disk().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - SignedDuration::from_hours(1)).await;
    let ids = |app: &TestApp| -> BTreeSet<String> {
        let mut sql = Sql::open(&app.database.backend);
        let id = match sql {
            Sql::Postgres(_) => "replace(id::text, '-', '')",
            Sql::Sqlite(_) => "lower(hex(id))",
        };
        sql.rows::<Row>(&format!("SELECT {id} AS s FROM prompts")).into_iter().map(|row| row.s).collect()
    };
    let before = ids(&app);
    assert!(before.len() > 10, "{}", before.len());
    let (_, _) = (theo.absent(), ann.absent());
    let app = app.restart().await;
    // Planned from nothing: the prompts are gone, and the horizon is due.
    Sql::open(&app.database.backend).run("DELETE FROM prompts; UPDATE patients SET next_plan_at = created_at");
    let channel = MemoryChannel::default();
    while afterglow::app::tick(&app.server.state, &channel, app.now()).await.unwrap().planned > 0 {}
    assert_eq!(ids(&app), before);
}
