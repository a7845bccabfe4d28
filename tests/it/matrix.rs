//! S1: who gets what from each operation of the document.
//!
//! `tests/golden/authz_matrix.txt` is the promise: rows are operations, columns are people, cells are statuses. Nothing
//! overwrites it: a changed cell is looked at, and then written by hand.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use reqwest::Method;
use serde_json::Value;

use crate::support::app::{Answer, new_id};
use crate::support::requests::{Ask, operations};
use crate::support::world::{CANARY, COLUMNS, World, like_granted};

const GOLDEN: &str = include_str!("../golden/authz_matrix.txt");

/// The operations that need no token: the whole list.
const PUBLIC: [&str; 23] = [
    "begin_passkey_log_in",
    "confirm_passphrase_reset",
    "get_authorization_server",
    "get_calendar_feed",
    "get_change_password",
    "get_exercise_schema",
    "get_health",
    "get_jwks",
    "get_meta",
    "get_metrics",
    "get_problem",
    "get_protocol_schema",
    "get_ready",
    "get_security_txt",
    "list_consent_documents",
    "log_in",
    "log_in_with_passkey",
    "refresh_session",
    "register",
    "request_passphrase_reset",
    "reset_credential",
    "revoke_token",
    "set_up",
];

/// They are in no relation to Ann: nothing that names her reaches them.
const STRANGERS: [&str; 8] =
    ["anonymous", "other_patient", "link_ended", "unlinked", "foreign", "duty", "admin", "disabled"];

/// The columns after those of [`COLUMNS`]: for them the world is another one (`tests/it/step_up.rs`); the last one is a
/// proof.
const APART: [&str; 3] = ["stale", "no_factor", "proof"];

/// Every line of the golden file, with its operation.
fn lines() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let mut lines = GOLDEN.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let head: Vec<&str> = lines.next().unwrap().split_whitespace().skip(1).collect();
    assert_eq!(head, [&COLUMNS[..], &APART].concat(), "the head of the golden file");
    lines.map(|line| {
        let mut cells = line.split_whitespace();
        (cells.next().unwrap(), cells.collect())
    })
}

/// The cells of those who are all in one world.
pub fn rows() -> BTreeMap<&'static str, Vec<&'static str>> {
    let own = |mut cells: Vec<&'static str>| {
        assert_eq!(cells.len(), COLUMNS.len() + APART.len(), "{cells:?}");
        cells.truncate(COLUMNS.len());
        cells
    };
    lines().map(|(operation, cells)| (operation, own(cells))).collect()
}

/// The cells of one column, by operation.
pub fn column(name: &str) -> BTreeMap<&'static str, &'static str> {
    let place = COLUMNS.iter().chain(&APART).position(|column| *column == name).expect("a column");
    lines().map(|(operation, cells)| (operation, cells[place])).collect()
}

fn line(operation: &str, cells: &[u16]) -> String {
    let widths = COLUMNS.iter().map(|name| name.len().max(3));
    let cells: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    format!("{operation:<18} {}", cells.join(" ")).trim_end().to_owned()
}

#[test]
fn the_public_operations_are_these() {
    let declared: Vec<String> =
        operations().into_iter().filter(|operation| operation.public).map(|operation| operation.id).collect();
    assert_eq!(declared, PUBLIC, "an operation without a lock: is that meant?");
}

#[test]
fn the_matrix_covers_the_document() {
    let document: BTreeSet<String> = operations().into_iter().map(|operation| operation.id).collect();
    let golden: BTreeSet<String> = rows().into_keys().map(str::to_owned).collect();
    let missing: Vec<_> = document.difference(&golden).collect();
    let extra: Vec<_> = golden.difference(&document).collect();
    assert!(missing.is_empty() && extra.is_empty(), "without a row: {missing:?}; without an operation: {extra:?}");
    for (operation, cells) in rows() {
        // The clinic of the world itself was set up: that is the control of this row.
        let control = operation == "set_up" || cells.iter().any(|cell| cell.starts_with(['2', '3']));
        assert!(control, "{operation}: nobody gets in, so its refusals prove nothing");
    }
}

/// All that can be seen of an answer, but for what names the request or the time.
pub fn observable(answer: &Answer) -> (u16, Value, BTreeMap<String, String>) {
    let mut body = answer.body.clone();
    if let Some(object) = body.as_object_mut() {
        object.remove("request_id");
    }
    let headers: HashMap<String, String> = answer.headers.clone();
    let own = ["x-request-id", "date", "traceparent"];
    (answer.status.as_u16(), body, headers.into_iter().filter(|(name, _)| !own.contains(&name.as_str())).collect())
}

/// The same request, about things that do not exist: one for each id in its path. Staff may know that they work at
/// their own clinic: there, what they may not do is 403.
pub fn absent(world: &World, ask: &Ask, status: u16) -> Vec<Ask> {
    let (path, query) = ask.path.split_once('?').map_or((ask.path.as_str(), None), |(path, query)| (path, Some(query)));
    let parts: Vec<&str> = path.split('/').collect();
    let own = |part: &str| status == 403 && part == world.clinic;
    let ids = (0..parts.len()).filter(|at| uuid::Uuid::parse_str(parts[*at]).is_ok() && !own(parts[*at]));
    ids.map(|at| {
        let mut parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        parts[at] = new_id(&world.app);
        let path = query.map_or_else(|| parts.join("/"), |query| format!("{}?{query}", parts.join("/")));
        Ask { path, ..ask.clone() }
    })
    .collect()
}

#[actix_web::test]
async fn s1_who_gets_what() {
    let world = World::open().await;
    let ann = world.ann().clone();
    let mut wrong = Vec::new();
    // Ending the link takes the world apart.
    let (last, first): (Vec<_>, Vec<_>) =
        operations().into_iter().partition(|operation| operation.id == "end_care_link");
    let golden = rows();
    for operation in first.into_iter().chain(last) {
        let mut cells = [0; COLUMNS.len()];
        // Those who change things come last, so that all others find them unchanged.
        let mut order: Vec<usize> = (0..COLUMNS.len()).collect();
        order.sort_by_key(|column| COLUMNS[*column] == "owner");
        for column in order {
            let who = COLUMNS[column];
            let said = format!("{} as {who}", operation.id);
            let ask = world.ask(&operation.id, who).await;
            let mutates = operation.method != Method::GET && operation.id != "search_entries" && !operation.public;
            let before = if mutates { Some(world.state_around(&ask.path).await) } else { None };
            let answer = ask.send(&world.app).await;
            let status = answer.status.as_u16();
            cells[column] = status;
            let text = String::from_utf8_lossy(&answer.bytes);
            if !operation.public && STRANGERS.contains(&who) {
                for name in [ann.patient.as_str(), ann.account.as_str(), &ann.name, &world.entry, &world.link] {
                    assert!(!text.contains(name), "{said} tells of {name}: {text}");
                }
            }
            if who != "owner" && !like_granted(who) {
                assert!(!text.to_lowercase().contains(CANARY), "{said} tells what Ann wrote: {text}");
            }
            if (200..300).contains(&status) {
                continue;
            }
            if let Some(before) = before {
                assert_eq!(
                    before,
                    world.state_around(&ask.path).await,
                    "{said} was refused with {status} and changed something"
                );
            }
            if [401, 403, 404].contains(&status) {
                for other in absent(&world, &ask, status) {
                    let nothing = other.send(&world.app).await;
                    assert_eq!(
                        observable(&nothing),
                        observable(&answer),
                        "{said}: {} does not look like {}",
                        other.path,
                        ask.path
                    );
                }
            }
        }
        let found: Vec<String> = cells.iter().map(u16::to_string).collect();
        if golden.get(operation.id.as_str()).is_none_or(|cells| *cells != found) {
            wrong.push(line(&operation.id, &cells));
        }
    }
    let list = wrong.join("\n");
    assert!(
        wrong.is_empty(),
        "look at each cell, and at the rules, before these lines go into the golden file:\n{list}"
    );
}
