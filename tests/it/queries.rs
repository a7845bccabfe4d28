//! Query parameters: what the document does not declare for an operation is refused by name, and changes nothing.

use reqwest::Method;
use serde_json::{Value, json};

use crate::matrix::{absent, observable, rows};
use crate::support::app::{Answer, TestApp, document};
use crate::support::requests::{Ask, Operation, operations};
use crate::support::world::{COLUMNS, World};

/// The query parameters that the document declares for an operation.
fn declared(operation: &str) -> Vec<&'static str> {
    let items = document()["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let found = items.into_iter().find(|one| one["operationId"] == operation).unwrap();
    let parameters = found["parameters"].as_array().into_iter().flatten();
    parameters.filter(|one| one["in"] == "query").map(|one| one["name"].as_str().unwrap()).collect()
}

/// The first person of the matrix to whom an operation answers with success.
fn admitted(operation: &str) -> &'static str {
    let cells = &rows()[operation];
    // A server is set up once, by somebody without a log-in.
    let place = cells.iter().position(|cell| cell.starts_with(['2', '3'])).filter(|_| operation != "set_up");
    place.map_or("anonymous", |place| COLUMNS[place])
}

fn asking(ask: &Ask, query: &str) -> Ask {
    let sign = if ask.path.contains('?') { '&' } else { '?' };
    Ask { path: format!("{}{sign}{query}", ask.path), ..ask.clone() }
}

/// The faults of the query that an answer names.
fn faults(answer: &Answer) -> Vec<(String, String)> {
    let errors = answer.body["errors"].as_array().into_iter().flatten().filter(|fault| fault["in"] == "query");
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap_or_default().to_owned();
    errors.map(|fault| (text(fault, "name"), text(fault, "detail"))).collect()
}

/// What programs read that are not written for this interface: calendar apps add parameters of their own.
const IGNORED: [&str; 1] = ["get_calendar_feed"];

fn changes(operation: &Operation) -> bool {
    operation.method != Method::GET && operation.id != "search_entries" && !operation.public
}

#[actix_web::test]
async fn an_unknown_query_parameter_is_refused_by_every_operation_and_changes_nothing() {
    let world = World::open().await;
    let (mut asked, mut wrong) = (0, Vec::new());
    // One that changed something would get in the way of the next: all readings come before.
    let (reading, changing): (Vec<_>, Vec<_>) =
        operations().into_iter().partition(|operation| operation.method == Method::GET);
    for operation in reading.into_iter().chain(changing) {
        let id = operation.id.as_str();
        assert!(
            operation.method == Method::GET || wrong.is_empty(),
            "before {id}, {} of {asked}: {wrong:#?}",
            wrong.len()
        );
        let ask = world.ask(id, admitted(id)).await;
        let before = if changes(&operation) { Some(world.state_around(&ask.path).await) } else { None };
        let refused = asking(&ask, "x-unknown=1").send(&world.app).await;
        asked += 1;
        if IGNORED.contains(&id) {
            let plain = ask.send(&world.app).await.ok();
            assert_eq!((refused.status.as_u16(), refused.bytes), (200, plain.bytes), "{id}");
            continue;
        }
        if refused.status != 422 || refused.body["code"] != "invalid" {
            wrong.push(format!("{id}: {} {}", refused.status, refused.body));
            continue;
        }
        let named = faults(&refused);
        assert_eq!(named.len(), 1, "{id}: {}", refused.body);
        let (name, detail) = &named[0];
        assert_eq!(name, "x-unknown", "{id}");
        assert!(detail.starts_with("is not known"), "{id}: {detail}");
        for known in declared(id) {
            assert!(detail.contains(&format!("`{known}`")), "{id}: {detail} does not name {known}");
        }
        assert_eq!(detail.contains('`'), !declared(id).is_empty(), "{id}: {detail}");
        if let Some(before) = before {
            assert_eq!(before, world.state_around(&ask.path).await, "{id} was refused and changed something");
        } else if operation.takes_body && id != "set_up" {
            // What can be spent once was not.
            let done = ask.send(&world.app).await;
            assert!(done.status.is_success(), "{id}: {}", done.body);
        }
    }
    assert!(wrong.is_empty() && asked > 80, "{} of {asked}: {wrong:#?}", wrong.len());
}

#[actix_web::test]
async fn a_declared_query_parameter_is_read_by_its_operation() {
    let world = World::open().await;
    let mut asked = 0;
    for operation in operations() {
        let id = operation.id.as_str();
        let names = declared(id);
        if names.is_empty() {
            continue;
        }
        let mut ask = world.ask(id, admitted(id)).await;
        ask.path = ask.path.split('?').next().unwrap().to_owned();
        for name in names {
            let answer = asking(&ask, &format!("{name}=zzz")).send(&world.app).await;
            for (fault, detail) in faults(&answer) {
                assert!(fault == name && !detail.starts_with("is not known"), "{id}: {fault} {detail}");
            }
            asked += 1;
        }
    }
    assert!(asked > 40, "{asked}");
}

/// A list tells what it does not know together with what is wrong about what it knows, wherever its lock is.
#[actix_web::test]
async fn all_faults_of_a_query_are_told_at_once_and_not_without_end() {
    let world = World::open().await;
    for operation in operations() {
        let id = operation.id.as_str();
        if !declared(id).contains(&"limit") {
            continue;
        }
        let mut ask = world.ask(id, admitted(id)).await;
        ask.path = ask.path.split('?').next().unwrap().to_owned();
        let refused = asking(&ask, "limit=zzz&Limit=1&x=1&x=2").send(&world.app).await.expect(422);
        let names: Vec<String> = faults(&refused).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Limit", "x", "limit"], "{id}");
    }
    let many: Vec<String> = (0..2000).map(|n| format!("n{n}=1")).collect();
    let refused = world.ann().get(&format!("/v1/me?{}", many.join("&"))).send().await.expect(422);
    assert_eq!(faults(&refused).len(), 64);
    let refused = world.ann().get("/v1/me?x=%ff").send().await.expect(400).refused("malformed");
    assert_eq!(faults(&refused), [("x".to_owned(), "is not UTF-8".to_owned())]);
}

/// Whoever is not let in learns nothing from a query: the refusal is that of the operation, or the same for what is
/// there and what is not.
#[actix_web::test]
async fn a_query_opens_no_door_and_tells_nothing_to_those_outside() {
    let world = World::open().await;
    let golden = rows();
    for operation in operations().into_iter().filter(|operation| !operation.public) {
        let id = operation.id.as_str();
        for who in ["anonymous", "disabled", "other_patient", "unlinked", "link_ended", "nurse"] {
            let place = COLUMNS.iter().position(|column| *column == who).unwrap();
            let cell: u16 = golden[id][place].parse().unwrap();
            if ![401, 403, 404].contains(&cell) {
                continue;
            }
            let ask = asking(&world.ask(id, who).await, "x-unknown=1");
            let answer = ask.send(&world.app).await;
            let (status, said) = (answer.status.as_u16(), format!("{id} as {who}"));
            let locked = ask.path.starts_with("/v1/patients/") && who != "nurse";
            assert!(status == cell || (status == 422 && cell != 401 && !locked), "{said}: {cell}, {status}");
            for other in absent(&world, &ask, cell) {
                let nothing = other.send(&world.app).await;
                assert_eq!(observable(&nothing), observable(&answer), "{said}: {}", other.path);
            }
        }
    }
}

/// Pages and files for browsers stand in no document, and links to them may carry what others added.
#[actix_web::test]
async fn pages_for_people_ignore_their_query() {
    let app = TestApp::start().await;
    for path in [
        "/",
        "/docs/",
        "/docs/guide",
        "/docs/guide.md",
        "/docs/sync",
        "/docs/swagger-ui.css",
        "/problems",
        "/openapi.json",
    ] {
        app.get(&format!("{path}?v=2")).send().await.ok();
    }
    let refused = app.get("/healthz?nocache=7").send().await.expect(422);
    assert_eq!(refused.body["errors"][0]["name"], json!("nocache"));
}
