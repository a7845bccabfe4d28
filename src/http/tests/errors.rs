//! Every error is answered with a problem that says nothing private.

use actix_web::ResponseError;
use actix_web::body::to_bytes;
use utoipa::IntoResponses;

use super::*;
use crate::http::document::{problem, response_name};

#[actix_web::test]
async fn every_code_renders_with_its_status_and_type() {
    for code in Code::ALL {
        let response = Error::Malformed(*code, "why".to_owned()).error_response();
        assert_eq!(response.status().as_u16(), code.status());
        assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
        assert_eq!(response.headers().contains_key("www-authenticate"), code.status() == 401, "{code:?}");
        let problem: Value = serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
        assert_eq!(problem["code"], code.name());
        let action = problem["client_action"].as_str().unwrap();
        assert_eq!(action == "erase", *code == Code::SessionRevoked, "{code:?}");
        let behind = [409, 412, 428].contains(&code.status());
        assert!(action == "refresh" || !behind, "{code:?}: the app's copy is behind, and it is told to {action}");
    }
}

#[test]
fn waiting_is_said_where_waiting_helps() {
    let after = |error: Error| {
        let response = problem::response(&error);
        response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(after(Error::TooMany(7)).as_deref(), Some("7"));
    assert_eq!(after(Error::TooMany(0)).as_deref(), Some("1"));
    assert!(after(Error::Unavailable("the database restarts")).is_some());
    assert!(after(Error::Transient("deadlock".into())).is_some());
    assert!(after(Error::StorageFull).is_some());
    assert_eq!(after(Error::Stale), None);
}

#[actix_web::test]
async fn faults_of_the_server_show_a_request_id_only() {
    for path in ["/odd/internal", "/odd/panic"] {
        let answer = ask(TestRequest::get().uri(path)).await;
        assert_eq!((answer.status, answer.code().as_str()), (500, "internal"), "{path}");
        assert_eq!(answer.json().get("detail"), None);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
    let plain = ask(TestRequest::get().uri("/odd/plain")).await;
    assert_eq!((plain.status, plain.code().as_str()), (500, "internal"));
}

#[actix_web::test]
async fn conflicts_name_what_stands_in_the_way() {
    let id = Uuid::from_u128(7);
    let response = Error::Conflict(Code::InfusionOverlaps, Some(id)).error_response();
    let problem: Value = serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
    assert_eq!(problem["conflicting_id"], id.to_string());
    let response = Error::state("cancelled", ["put_thing"]).error_response();
    let problem: Value = serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
    assert_eq!((&problem["state"], &problem["allowed"]), (&json!("cancelled"), &json!(["put_thing"])));
}

#[actix_web::test]
async fn errors_of_the_framework_are_problems() {
    let json = ("content-type", "application/json");
    let cases = [
        (TestRequest::get().uri("/nowhere"), 404, "not_found"),
        (TestRequest::get().uri("/v1/patients/me/nothing"), 404, "not_found"),
        (TestRequest::get().uri("/odd/path/canary"), 422, "invalid"),
        (TestRequest::get().uri("/odd/query?drafts=canary"), 422, "invalid"),
        (TestRequest::post().uri("/odd/json").insert_header(json).set_payload("{canary"), 400, "malformed"),
        (TestRequest::post().uri("/odd/json").set_payload("{}"), 415, "unsupported_media_type"),
        (TestRequest::post().uri("/odd/json").insert_header(json).set_payload("x".repeat(2 << 20)), 413, "too_large"),
        (TestRequest::post().uri("/odd/text").set_payload("x".repeat(2 << 20)), 413, "too_large"),
        (TestRequest::get().uri("/docs/x").insert_header(("x-long", "a".repeat(40_000))), 431, "headers_too_large"),
    ];
    for (number, (request, status, code)) in cases.into_iter().enumerate() {
        let answer = ask(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "case {number}");
    }
}

#[actix_web::test]
async fn wrong_methods_are_told_the_right_ones() {
    let wrong = ask(TestRequest::post().uri(THING)).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(wrong.header("allow"), "GET, HEAD, PUT, PATCH, OPTIONS");
    let complete = ask(TestRequest::with_uri(&format!("{THING}/complete")).method(Method::HEAD)).await;
    assert_eq!((complete.status, complete.header("allow")), (405, "POST, OPTIONS"));
    let odd = ask(TestRequest::with_uri(THING).method(Method::from_bytes(b"BREW").unwrap())).await;
    assert_eq!(odd.status, 405);
    let options = ask(TestRequest::with_uri(THING).method(Method::OPTIONS)).await;
    assert_eq!((options.status, options.header("allow")), (204, "GET, HEAD, PUT, PATCH, OPTIONS"));
    assert_eq!(ask(TestRequest::with_uri("/v1/x").method(Method::OPTIONS)).await.status, 404);
    assert_eq!(ask(TestRequest::post().uri("/docs/a/b")).await.header("allow"), "GET, HEAD, OPTIONS");
}

#[actix_web::test]
async fn an_operation_that_will_go_away_says_so_with_each_answer_and_in_the_document() {
    for method in [Method::GET, Method::HEAD] {
        let old = ask(TestRequest::with_uri("/v1/patients/me/old-thing").method(method)).await;
        assert_eq!((old.status, old.header("deprecation")), (200, "@1798761600"));
        assert_eq!(old.header("sunset"), "Thu, 01 Jul 2027 00:00:00 GMT");
        assert_eq!(old.header("link"), "</docs/changes>; rel=\"deprecation\"; type=\"text/html\"");
    }
    let other = ask(TestRequest::get().uri(THING)).await;
    assert_eq!((other.header("deprecation"), other.header("sunset")), ("", ""));
    let mut document = build(&LimitSettings::default()).1;
    deprecation::declare(&mut document);
    let paths = serde_json::to_value(&document.paths).unwrap();
    let operation = &paths["/v1/patients/{patient_id}/old-thing"]["get"];
    assert_eq!(operation["deprecated"], true);
    let headers = operation["responses"]["200"]["headers"].as_object().unwrap();
    assert!(headers.contains_key("Deprecation") && headers.contains_key("Sunset"));
    assert!(paths["/v1/patients/{patient_id}/things"]["get"].get("deprecated").is_none());
}

#[actix_web::test]
async fn head_is_get_without_the_body() {
    let head = ask(TestRequest::with_uri(THING).method(Method::HEAD)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("etag"), "\"a1,b2\"");
    let missing = ask(TestRequest::with_uri("/nowhere").method(Method::HEAD)).await;
    assert_eq!((missing.status, missing.body.len()), (404, 0));
}

#[test]
fn the_document_describes_every_status_it_names() {
    let (_, document) = build(&LimitSettings::default());
    let text = serde_json::to_value(&document).unwrap();
    let put = &text["paths"]["/v1/patients/{patient_id}/things/{entry_id}"]["put"];
    assert!(WriteErrors::responses().len() > 10);
    for (status, response) in put["responses"].as_object().unwrap() {
        if status == "200" {
            assert_ne!(response["description"], "", "{status}");
            continue;
        }
        let name = response_name(status).unwrap();
        assert_eq!(response["$ref"], format!("#/components/responses/{name}"));
        let shared = serde_json::to_value(problem(status.parse().unwrap())).unwrap();
        assert_ne!(shared["description"], "", "{status}");
        let schema = &shared["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(schema, "#/components/schemas/Problem");
    }
    let names: Vec<&str> =
        put["parameters"].as_array().unwrap().iter().map(|each| each["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["patient_id", "entry_id", "Idempotency-Key", "If-Match"]);
    assert!(!put["parameters"].to_string().contains("null"), "{}", put["parameters"]);
    let list = &text["paths"]["/v1/patients/{patient_id}/things"]["get"]["parameters"];
    assert!(list.to_string().contains("drafts"), "a Query documents itself: {list}");
    let problem = &text["components"]["schemas"]["Problem"];
    assert!(!problem.to_string().contains("null"), "{problem}");
    assert!(problem["properties"]["type"].is_object(), "{problem}");
    let required = problem["required"].to_string();
    assert!(!required.contains("errors") && required.contains("request_id"), "{required}");
}

/// The captured output of a subscriber.
#[derive(Clone, Default)]
struct Kept(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[actix_web::test]
async fn the_log_names_routes_and_requests_and_nothing_private() {
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::INFO);
    // While there is but one, a place of the log that another thread comes to first is off for good: that thread has none.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());
    let id = ("x-request-id", "phone-1");
    let list = "/v1/patients/me/things?cursor=canary";
    ask(TestRequest::get().uri(list).insert_header(id).insert_header(("authorization", "Bearer canary"))).await;
    ask(TestRequest::get().uri("/canary/path").insert_header(id)).await;
    ask(TestRequest::get().uri("/odd/internal").insert_header(id)).await;
    let damaged = ask(TestRequest::get().uri("/odd/damaged").insert_header(id)).await;
    let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let line =
        |of: &str| log.lines().find(|line| line.contains(of)).unwrap_or_else(|| panic!("{of}: {log}")).to_owned();
    let listed = line("/v1/patients/{patient_id}/things");
    assert!(
        listed.contains("\"status\":200") && listed.contains("phone-1") && listed.contains("\"micros\":"),
        "{listed}"
    );
    assert!(line("unmatched").contains("\"status\":404"));
    assert!(line("a request failed").contains("phone-1"));
    let row = format!("things {}", Uuid::from_u128(7));
    assert!(line(&row).contains("phone-1"), "the operator finds the damaged row");
    assert!(damaged.code() == "unreadable" && !damaged.json().to_string().contains("things"), "{}", damaged.json());
    let private: Vec<&str> = log.lines().filter(|line| line.contains("canary")).collect();
    assert_eq!(private.len(), 1, "only the cause of the internal error, which came from the handler: {log}");
}
