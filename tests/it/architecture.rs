//! The architecture as `src/lib.rs` tells it: slices import in one direction, and each file keeps to its kind.
//!
//! The sources are read as text, without comments, strings and tests: every `crate::` and `super::` path counts, not
//! only those of `use`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::sources::{self, Source, kind, rank, shipped};

/// Everything below `src`, in import order: a slice imports only what stands before it.
const ORDER: &[&str] = &[
    "kernel",
    "planning",
    "db",
    "vault",
    "http",
    "config",
    "changes",
    "state",
    "audit",
    "idempotency",
    "identity",
    "care",
    "course",
    "safety",
    "prompts",
    "delivery",
    "items",
    "exercises",
    "measures",
    "journal",
    "attachments",
    "sync",
    "digest",
    "privacy",
    "schedule",
    "jobs",
    "app",
    "demo",
    "sandbox",
    "cli",
];

/// Considered exceptions: file, what it names, why. An entry that is no longer needed fails a test.
const FORWARD: &[(&str, &str, &str)] = &[
    ("care/joining.rs", "course", "a patient who registers has settings from the first moment, in the same unit"),
    ("prompts/infusions.rs", "schedule", "until infusions and settings answer at the end of the unit"),
    ("care/follow.rs", "schedule", "links and grants are facts of the plan, which follows in the same unit"),
    ("care/grants/actions.rs", "items", "what is opened has to be there and done"),
];

/// What files outside the HTTP layer may name of it: a precondition is judged inside the unit that changes the object;
/// a view tells what was ignored in the form in which a problem tells what was wrong.
const OF_HTTP: &[&str] = &["EntityTag", "Patchable", "Preconditions", "ProblemField"];

/// Where the framework is used besides `http`, `app` and the routes: the two makers of extractors, and the command line.
const FRAMEWORK: &[&str] = &["care/door.rs", "identity/claimed.rs", "cli.rs"];

/// Files that decide and do nothing else, besides every `model.rs`.
const PURE: &[&str] =
    &["planning/", "exercises/catalogue.rs", "exercises/words.rs", "exercises/answers.rs", "exercises/fit.rs"];

/// Where time that only measures (deadlines, durations) is read.
const STOPWATCH: &[&str] = &["db/", "http/layers.rs", "vault/cache.rs"];

fn place(slice: &str) -> usize {
    ORDER.iter().position(|known| *known == slice).unwrap_or_else(|| panic!("{slice} has no place in ORDER"))
}

#[track_caller]
fn none(faults: &[String], what_to_do: &str) {
    assert!(faults.is_empty(), "{}\n\n{what_to_do}", faults.join("\n"));
}

#[test]
fn the_map_in_lib_rs_stands_in_import_order() {
    let lib = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let named: Vec<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';'))).collect();
    let places: Vec<usize> = named.iter().map(|slice| place(slice)).collect();
    assert!(places.is_sorted(), "{named:?} is not in the order of {ORDER:?}");
    for source in shipped() {
        assert!(named.contains(&source.slice()), "src/{} belongs to no module of src/lib.rs", source.name);
    }
}

#[test]
fn slices_import_only_what_stands_before_them() {
    let (mut faults, mut used) = (Vec::new(), vec![false; FORWARD.len()]);
    for source in shipped() {
        // Use cases may also write through the store of a later slice; models, stores and routes may not.
        let action = !matches!(source.kind(), Some("model" | "store" | "routes"));
        for path in source.paths() {
            let Some(target) = path.first().filter(|target| ORDER.contains(&target.as_str())) else { continue };
            let forward = place(target) > place(source.slice());
            let whole = path.len() == 1;
            let through_store = action && path.get(1).is_some_and(|second| second == "store");
            if !forward || whole || through_store {
                continue;
            }
            match FORWARD.iter().position(|(file, to, _)| *file == source.name && *to == target) {
                Some(known) => used[known] = true,
                None => faults.push(format!("src/{} names crate::{}", source.name, path.join("::"))),
            }
        }
    }
    none(&faults, "Import only what stands earlier in src/lib.rs; an action may also call a later slice's `store`.");
    assert!(used.iter().all(|used| *used), "an exception in FORWARD is no longer needed: {FORWARD:?} {used:?}");
}

#[test]
fn inside_a_slice_model_store_actions_and_routes_import_in_this_order() {
    let mut faults = Vec::new();
    for source in shipped() {
        let Some(own) = source.kind() else { continue };
        for path in source.paths().into_iter().filter(|path| path.first().is_some_and(|slice| slice == source.slice()))
        {
            if kind(path.iter().skip(1).map(String::as_str)).is_some_and(|other| rank(other) > rank(own)) {
                faults.push(format!("src/{} names crate::{}", source.name, path.join("::")));
            }
        }
    }
    none(&faults, "Inside a slice: model ← store ← actions ← routes.");
}

#[test]
fn database_and_http_do_not_see_each_other() {
    let faults: Vec<String> = shipped()
        .iter()
        .flat_map(|source| {
            source.paths().into_iter().map(move |path| (source.name.clone(), source.slice().to_owned(), path))
        })
        .filter(|(_, slice, path)| {
            let target = path.first().map(String::as_str);
            (slice == "db" && target == Some("http")) || (slice == "http" && target == Some("db"))
        })
        .map(|(name, _, path)| format!("src/{name} names crate::{}", path.join("::")))
        .collect();
    none(&faults, "What both need belongs to the kernel.");
}

#[test]
fn only_stores_know_sql() {
    let mut faults = Vec::new();
    for source in shipped().iter().filter(|source| source.slice() != "db" && source.kind() != Some("store")) {
        for word in ["diesel", "diesel_migrations", "libsqlite3_sys", "pq_sys"] {
            if source.words(word) {
                faults.push(format!("src/{} names {word}", source.name));
            }
        }
        if source.paths().iter().any(|path| path.starts_with(&["db".to_owned(), "schema".to_owned()])) {
            faults.push(format!("src/{} names a table", source.name));
        }
        if source.code.contains(".conn()") {
            faults.push(format!("src/{} takes a connection", source.name));
        }
    }
    none(&faults, "Move the statement into the slice's store.rs.");
}

#[test]
fn only_routes_know_the_web_framework() {
    let at_home = |source: &Source| {
        matches!(source.slice(), "http" | "app") || source.kind() == Some("routes") || source.is(FRAMEWORK)
    };
    let mut faults = Vec::new();
    for source in shipped().iter().filter(|source| !at_home(source)) {
        for word in ["actix_web", "actix_http", "actix_rt", "utoipa_actix_web"] {
            if source.words(word) {
                faults.push(format!("src/{} names {word}", source.name));
            }
        }
        for path in source.paths().iter().filter(|path| path.first().is_some_and(|slice| slice == "http")) {
            if !path.last().is_some_and(|name| OF_HTTP.contains(&name.as_str())) {
                faults.push(format!("src/{} names crate::{}", source.name, path.join("::")));
            }
        }
    }
    none(&faults, "Only routes speak HTTP; other files may name the preconditions that a unit judges.");
}

#[test]
fn what_decides_is_pure() {
    let mut faults = Vec::new();
    for source in shipped().iter().filter(|source| source.kind() == Some("model") || source.is(PURE)) {
        for word in ["async", "Clock", "Entropy", "tokio", "tracing", "std::fs", "std::env"] {
            if source.words(word) {
                faults.push(format!("src/{} names {word}", source.name));
            }
        }
        for path in source.paths() {
            if path.first().is_some_and(|slice| matches!(slice.as_str(), "db" | "http" | "state" | "config")) {
                faults.push(format!("src/{} names crate::{}", source.name, path.join("::")));
            }
        }
    }
    none(&faults, "Models and planning take time and data as arguments.");
}

#[test]
fn time_and_chance_come_from_the_kernel() {
    let impure = [
        "Timestamp::now",
        "SystemTime",
        "Zoned::now",
        "new_v4",
        "now_v7",
        "rand::fill",
        "SystemRandom",
        "getrandom",
        "env::var",
    ];
    let mut faults = Vec::new();
    for source in shipped().iter().filter(|source| !source.is(&["kernel/clock.rs", "kernel/entropy.rs"])) {
        let names = impure.iter().filter(|name| source.code.contains(*name)).map(ToString::to_string);
        let watch = (!source.is(STOPWATCH) && source.code.contains("Instant::now")).then(|| "Instant::now".to_owned());
        faults.extend(names.chain(watch).map(|name| format!("src/{} names {name}", source.name)));
    }
    none(&faults, "Take `now` and random bytes as arguments, from the injected clock and entropy.");
}

#[test]
fn nothing_that_ships_unwraps_without_a_reason() {
    let mut faults = Vec::new();
    for source in shipped() {
        let lines: Vec<&str> = source.code.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let bare = [".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "unimplemented!("];
            let excused = lines[at.saturating_sub(6)..=at].iter().any(|near| near.contains("expect(clippy::"));
            if bare.iter().any(|call| line.contains(call)) && !excused {
                faults.push(format!("src/{}:{}: {}", source.name, at + 1, line.trim()));
            }
        }
    }
    none(&faults, "Answer an error. Where it cannot happen, say why in #[expect(clippy::…, reason = …)].");
}

#[test]
fn files_are_short_enough_to_read() {
    let all = sources::all();
    let mut long: BTreeMap<usize, &str> = BTreeMap::new();
    for source in all.iter().filter(|source| source.lines > 400) {
        long.insert(source.lines, &source.name);
    }
    if !long.is_empty() {
        println!("note: past 400 lines, to be split by meaning: {long:?}");
    }
    let faults: Vec<String> = all
        .iter()
        .filter(|source| source.lines > 600)
        .map(|source| format!("src/{}: {}", source.name, source.lines))
        .collect();
    none(&faults, "Split it by meaning; 600 lines is the most.");
}
