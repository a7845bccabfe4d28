//! The architecture as `src/lib.rs` tells it: slices import in one direction, and each file keeps to its kind.
//!
//! The sources are read as text, without comments, strings and tests: every `crate::` and `super::` path counts, not
//! only those of `use`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::graph::Graph;
use crate::support::sources::{self, Source, rank, shipped};

/// Everything below `src`, in import order: a slice imports only what stands before it.
const ORDER: &[&str] = &[
    "kernel",
    "planning",
    "db",
    "vault",
    "channels",
    "http",
    "config",
    "changes",
    "state",
    "tasks",
    "audit",
    "idempotency",
    "identity",
    "letters",
    "care",
    "settings",
    "account",
    "devices",
    "consents",
    "onboarding",
    "course",
    "safety",
    "prompts",
    "items",
    "exercises",
    "measures",
    "journal",
    "attachments",
    "sharing",
    "feed",
    "protocols",
    "schedule",
    "delivery",
    "calendar",
    "sync",
    "digest",
    "privacy",
    "jobs",
    "app",
    "demo",
    "sandbox",
    "cli",
];

/// Considered exceptions: file, what it names, why. An entry that is no longer needed fails a test.
const FORWARD: &[(&str, &str, &str)] = &[(
    "devices/routes.rs",
    "consents",
    "a mailbox is registered with the consent whose withdrawal removes it: each of the two slices needs the other",
)];

/// What is no slice: its files are of no kind, and stand in import order as whatever else.
const PLATFORM: &[&str] =
    &["kernel", "db", "vault", "channels", "http", "config", "state", "jobs", "app", "demo", "cli"];

/// The kind of the files of slices whose name does not say it. A place that ends with `/` is a folder.
const KINDS: &[(&str, &str)] = &[
    ("audit/anchoring.rs", "actions"),
    ("vault/anchors.rs", "store"),
    ("vault/rotation.rs", "store"),
    ("account/operator.rs", "actions"),
    ("calendar/ics.rs", "model"),
    ("care/access.rs", "store"),
    ("care/admission.rs", "actions"),
    ("care/clinics.rs", "actions"),
    ("care/closing.rs", "actions"),
    ("care/cover_notices.rs", "actions"),
    ("care/covers.rs", "actions"),
    ("care/door.rs", "actions"),
    ("care/emergencies.rs", "actions"),
    ("care/grants/receipts.rs", "actions"),
    ("care/grants/timed.rs", "actions"),
    ("care/links.rs", "actions"),
    ("care/members.rs", "actions"),
    ("care/people.rs", "actions"),
    ("care/policy.rs", "store"),
    ("care/prepared.rs", "actions"),
    ("care/reading.rs", "actions"),
    ("care/revocations.rs", "actions"),
    ("care/roster.rs", "actions"),
    ("care/telling.rs", "actions"),
    ("care/transfers.rs", "actions"),
    ("care/verification_words.rs", "model"),
    ("care/write_scope.rs", "store"),
    ("changes/planner.rs", "model"),
    ("consents/documents.rs", "model"),
    ("course/draft.rs", "model"),
    ("course/pauses.rs", "actions"),
    ("course/series.rs", "model"),
    ("course/status.rs", "model"),
    ("course/surroundings.rs", "model"),
    ("delivery/channel.rs", "actions"),
    ("delivery/due.rs", "actions"),
    ("delivery/lighter.rs", "actions"),
    ("delivery/outage.rs", "model"),
    ("delivery/outbox.rs", "actions"),
    ("delivery/plan.rs", "actions"),
    ("delivery/sending.rs", "actions"),
    ("delivery/storing.rs", "actions"),
    ("delivery/texts.rs", "model"),
    ("exercises/answers.rs", "model"),
    ("exercises/catalogue.rs", "model"),
    ("exercises/cautions.rs", "actions"),
    ("exercises/draft.rs", "model"),
    ("exercises/fit.rs", "model"),
    ("exercises/purge.rs", "actions"),
    ("exercises/quotes.rs", "actions"),
    ("exercises/suggestions.rs", "actions"),
    ("exercises/translations.rs", "model"),
    ("exercises/view.rs", "routes"),
    ("feed/backlog.rs", "actions"),
    ("feed/clearing.rs", "actions"),
    ("feed/step.rs", "actions"),
    ("feed/visible.rs", "actions"),
    ("idempotency/clearing.rs", "actions"),
    ("identity/attempts.rs", "actions"),
    ("identity/claimed.rs", "actions"),
    ("identity/clearing.rs", "actions"),
    ("identity/codes.rs", "actions"),
    ("identity/directory.rs", "actions"),
    ("identity/factors.rs", "actions"),
    ("identity/freshness.rs", "model"),
    ("identity/log_in.rs", "actions"),
    ("identity/operator.rs", "actions"),
    ("identity/passkeys/ceremony.rs", "actions"),
    ("identity/passkeys/log_in.rs", "actions"),
    ("identity/passkeys/no_relying_party.rs", "actions"),
    ("identity/passkeys/proofs.rs", "actions"),
    ("identity/passkeys/relying_party.rs", "actions"),
    ("identity/password.rs", "actions"),
    ("identity/security_events.rs", "actions"),
    ("identity/sessions.rs", "actions"),
    ("identity/token.rs", "actions"),
    ("identity/totp.rs", "model"),
    ("identity/upkeep.rs", "actions"),
    ("identity/well_known.rs", "model"),
    ("items/deletion.rs", "actions"),
    ("items/newest.rs", "store"),
    ("items/pages.rs", "routes"),
    ("items/purging.rs", "actions"),
    ("items/readers.rs", "routes"),
    ("items/seal.rs", "store"),
    ("items/view.rs", "routes"),
    ("journal/draft.rs", "model"),
    ("journal/filter.rs", "model"),
    ("journal/purge.rs", "actions"),
    ("journal/takeaway.rs", "actions"),
    ("journal/view.rs", "routes"),
    ("letters/clearing.rs", "actions"),
    ("letters/notifying.rs", "actions"),
    ("letters/proofs.rs", "actions"),
    ("letters/sending.rs", "actions"),
    ("letters/texts.rs", "model"),
    ("onboarding/invitations.rs", "actions"),
    ("onboarding/opening.rs", "actions"),
    ("onboarding/operator.rs", "actions"),
    ("onboarding/registration.rs", "actions"),
    ("onboarding/resets.rs", "actions"),
    ("onboarding/setup.rs", "actions"),
    ("planning/", "model"),
    ("sandbox/guide.rs", "actions"),
    ("sandbox/outbox.rs", "model"),
    ("schedule/adherence.rs", "model"),
    ("schedule/facts.rs", "actions"),
    ("schedule/horizon.rs", "actions"),
    ("schedule/library.rs", "store"),
    ("schedule/planner.rs", "actions"),
    ("schedule/prepared.rs", "actions"),
    ("schedule/provisional.rs", "actions"),
    ("schedule/rendering.rs", "actions"),
    ("schedule/unreadable.rs", "actions"),
    ("settings/overrides.rs", "model"),
    ("sharing/unseen.rs", "actions"),
    ("protocols/library.rs", "actions"),
    ("schedule/followed.rs", "actions"),
    ("schedule/following.rs", "actions"),
    ("sync/clearing.rs", "actions"),
    ("sync/comments.rs", "actions"),
    ("sync/bundle.rs", "model"),
    ("sync/bundle/", "model"),
    ("sync/epoch.rs", "model"),
    ("sync/feed.rs", "actions"),
    ("sync/feed/", "actions"),
    ("sync/grants.rs", "actions"),
    ("sync/item.rs", "model"),
    ("sync/item/", "model"),
    ("sync/integrity.rs", "actions"),
    ("sync/kinds.rs", "actions"),
    ("sync/live.rs", "actions"),
    ("sync/merge.rs", "model"),
    ("sync/mutation.rs", "model"),
    ("sync/outcome.rs", "actions"),
    ("sync/pauses.rs", "actions"),
    ("sync/prompts.rs", "actions"),
    ("sync/settings.rs", "actions"),
    ("sync/infusions.rs", "actions"),
    ("sync/pull.rs", "actions"),
    ("sync/push.rs", "actions"),
    ("sync/renewal.rs", "actions"),
    ("sync/sent.rs", "actions"),
    ("sync/words.rs", "actions"),
    ("sync/words/", "actions"),
    ("sync/versions.rs", "actions"),
    ("tasks/", "actions"),
];

/// What files outside the HTTP layer may name of it: a precondition is judged inside the unit that changes the object;
/// a view tells what was ignored in the form in which a problem tells what was wrong; the demo asks for changes as
/// requests do.
const OF_HTTP: &[&str] = &["EntityTag", "Patchable", "Preconditions", "ProblemField", "Request"];

/// The one place that makes a request of its own, without HTTP: the demo does what requests do.
const MAKES_REQUESTS: (&str, &str) = ("demo/stage.rs", "Request");

/// Where the framework is used besides `http`, `app` and the routes: the two makers of extractors, and the command
/// line.
const FRAMEWORK: &[&str] = &["care/door.rs", "identity/claimed.rs", "cli.rs"];

/// Files that decide and do nothing else, besides every `model.rs`.
const PURE: &[&str] =
    &["planning/", "exercises/catalogue.rs", "exercises/translations.rs", "exercises/answers.rs", "exercises/fit.rs"];

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

/// The slice of a file.
fn slice(file: &str) -> &str {
    let first = file.split('/').next().unwrap();
    first.strip_suffix(".rs").unwrap_or(first)
}

/// What `file` names that stands in a later slice, or, in its own, is of a later kind.
fn forward(file: &str, to: &str, kinds: &BTreeMap<String, &'static str>) -> bool {
    if slice(file) != slice(to) {
        return place(slice(to)) > place(slice(file));
    }
    let rank_of = |file: &str| kinds.get(file).map(|kind| rank(kind));
    rank_of(file).zip(rank_of(to)).is_some_and(|(own, other)| other > own)
}

/// The kind of each file of a slice: by its name, or as [`KINDS`] says. A `mod.rs` that only passes on is of none.
fn kinds() -> BTreeMap<String, &'static str> {
    let kind = |source: &Source| {
        source.kind().or_else(|| KINDS.iter().find(|(place, _)| source.is(&[place])).map(|(_, kind)| *kind))
    };
    shipped().iter().filter_map(|source| Some((source.name.clone(), kind(source)?))).collect()
}

#[test]
fn every_file_of_a_slice_is_of_a_kind() {
    let (kinds, graph) = (kinds(), Graph::read());
    let faults: Vec<String> = shipped()
        .iter()
        .filter(|source| !PLATFORM.contains(&source.slice()) && !kinds.contains_key(&source.name))
        .filter(|source| !(source.name.ends_with("/mod.rs") && graph.edges[&source.name].is_empty()))
        .map(|source| format!("src/{} is neither model, store, actions nor routes", source.name))
        .collect();
    none(
        &faults,
        "Name the file or its folder for what it is, or say it in KINDS. A mod.rs that only passes on is of none.",
    );
    let sources = shipped();
    let needed = |place: &str| sources.iter().any(|source| source.is(&[place]));
    let stale: Vec<_> =
        KINDS.iter().filter(|(place, _)| !needed(place)).map(|(place, _)| (*place).to_owned()).collect();
    none(&stale, "These are not there: take them out of KINDS.");
}

#[test]
fn files_import_only_what_stands_before_them() {
    let (graph, kinds) = (Graph::read(), kinds());
    let (mut faults, mut used) = (Vec::new(), vec![false; FORWARD.len()]);
    for (file, targets) in &graph.edges {
        for to in targets.iter().filter(|to| forward(file, to, &kinds)) {
            match FORWARD.iter().position(|(known, whole, _)| known == file && *whole == slice(to)) {
                Some(known) => used[known] = true,
                None => faults.push(format!("src/{file} names what stands in src/{to}")),
            }
        }
    }
    none(
        &faults,
        "Import only what stands earlier in src/lib.rs, and inside a slice model ← store ← actions ← routes.",
    );
    assert!(used.iter().all(|used| *used), "an exception in FORWARD is no longer needed: {FORWARD:?} {used:?}");
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    let circles: Vec<String> = Graph::read()
        .circles()
        .iter()
        .map(|edges| edges.iter().map(|(from, to)| format!("src/{from} → src/{to}\n")).collect::<String>())
        .collect();
    none(&circles, "Of each circle, move what one of these names to a file below both.");
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
            let allowed = |name: &String| {
                OF_HTTP.contains(&name.as_str()) || (source.name.as_str(), name.as_str()) == MAKES_REQUESTS
            };
            if !path.last().is_some_and(allowed) {
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

/// Reads the variables that must not be flags as well.
const ENVIRONMENT: &[&str] = &["config/environment.rs"];

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
        let read_here = |name: &&str| *name == "env::var" && source.is(ENVIRONMENT);
        let named = impure.iter().filter(|name| source.code.contains(**name) && !read_here(name));
        let names = named.map(ToString::to_string);
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

/// The handlers of a change in `code`: name, number of parameters, lines of the body.
fn handlers_of_a_change(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if !["#[post(", "#[put(", "#[patch(", "#[delete("].iter().any(|verb| line.starts_with(verb)) {
            continue;
        }
        let head: Vec<&str> = lines.by_ref().skip_while(|line| !line.contains("fn ")).take(1).collect();
        let mut head = head.concat();
        while !head.ends_with('{') {
            head.push_str(lines.next().unwrap());
        }
        let name = head.split("fn ").nth(1).unwrap().split('(').next().unwrap().to_owned();
        let signature = head.split_once(") ->").unwrap().0;
        let parameters = signature.matches(": ").count();
        found.push((name, parameters, lines.by_ref().take_while(|line| *line != "}").count()));
    }
    found
}

#[test]
fn the_handlers_of_a_change_are_short() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for source in shipped() {
        for (name, parameters, lines) in handlers_of_a_change(&source.code) {
            seen += 1;
            if parameters > 3 || lines > 10 {
                faults.push(format!("{}: {name} has {parameters} parameters and {lines} lines", source.name));
            }
        }
    }
    assert!(seen > 40, "only {seen} handlers were found");
    none(&faults, "move what is not about the answer to a function with a name; three parameters and ten lines");
}
