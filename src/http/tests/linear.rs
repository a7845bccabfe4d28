//! However a body is wrong, its bytes are read a few times at most.

use std::cell::Cell;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::http::{reader, strict_json};

thread_local! {
    /// The bytes of text that were read.
    static READ: Cell<usize> = const { Cell::new(0) };
}

fn counted<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    READ.with(|read| read.set(read.get() + text.len()));
    Ok(text)
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    key: String,
    value: String,
}

/// The long text comes first, so that each reading reads it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read")]
struct Long {
    #[serde(deserialize_with = "counted")]
    a_text: String,
    #[serde(default)]
    numbers: Vec<u8>,
    #[serde(default)]
    pairs: Vec<Pair>,
}

/// Documents of about `bytes`, each wrong in another way, many times.
fn wrong(bytes: usize) -> Vec<(&'static str, Value)> {
    let text = "word ".repeat(bytes / 10);
    let with = |name: &str, value: Value| {
        let mut document = Map::from_iter([("a_text".to_owned(), json!(text))]);
        document.insert(name.to_owned(), value);
        Value::Object(document)
    };
    let strangers = |value: &Value| {
        let mut document = Map::from_iter([("a_text".to_owned(), json!(text))]);
        document.extend((0..bytes / 100).map(|n| (format!("stranger_{n:040}"), value.clone())));
        Value::Object(document)
    };
    let mut deep = json!(1);
    for _ in 0..60 {
        deep = json!([deep]);
    }
    vec![
        ("values of a wrong type", with("numbers", json!(vec!["x"; bytes / 10]))),
        ("objects that lack a member", with("pairs", json!(vec![json!({ "key": "k" }); bytes / 30]))),
        ("objects with a member too many", with("pairs", json!(vec![json!({ "key": "k", "other": 1 }); bytes / 40]))),
        ("members that are not known", strangers(&json!(1))),
        ("members that are not known and deep", strangers(&deep)),
        ("a right one", with("numbers", json!([1, 2, 3]))),
    ]
}

#[test]
fn a_wrong_body_is_read_a_few_times_at_most_however_large_it_is() {
    for bytes in [256 * 1024, 1024 * 1024] {
        for (name, document) in wrong(bytes) {
            let text = document["a_text"].as_str().unwrap().len();
            for lenient in [false, true] {
                READ.with(|read| read.set(0));
                drop(reader::document::<Long>(&mut document.clone(), bytes, lenient));
                drop(reader::patch::<Long>(document.clone(), bytes, lenient, Vec::new()));
                let read = READ.with(Cell::get) / text;
                assert!(read <= 4, "{name}, {bytes} bytes, lenient {lenient}: read {read} times");
            }
        }
    }
}

#[test]
fn the_time_of_a_byte_does_not_grow_with_a_body_that_cannot_be_parsed() {
    let time = |bytes: &[u8]| {
        let once = || {
            let begin = std::time::Instant::now();
            if let Ok(document) = strict_json::parse(bytes) {
                drop(reader::document::<Long>(&mut document.clone(), bytes.len(), true));
                drop(reader::patch::<Long>(document, bytes.len(), true, Vec::new()));
            }
            begin.elapsed().as_secs_f64() / f64::from(u32::try_from(bytes.len()).unwrap())
        };
        // What else runs on the machine only makes it slower. Work that is quadratic would take 32 times as long.
        (0..5).map(|_| once()).fold(f64::INFINITY, f64::min)
    };
    let twice = |n: usize| format!("{{{}}}", vec!["\"k\":1"; n].join(",")).into_bytes();
    let nested = |n: usize| "[".repeat(n).into_bytes();
    for [small, large] in [[4_000, 128_000].map(twice), [4_000, 128_000].map(nested)] {
        let (small, large) = (time(&small), time(&large));
        assert!(large < small * 8.0, "{small} {large}");
    }
}
