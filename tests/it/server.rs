//! The server around the operations: health, documents, problems for everything.

use reqwest::Method;

use crate::support::app::TestApp;

#[actix_web::test]
async fn a_new_server_is_healthy_and_ready() {
    let app = TestApp::start().await;
    app.get("/healthz").send().await.ok();
    app.get("/readyz").send().await.ok();
    app.get("/v1/meta").send().await.ok();
    app.get("/metrics").send().await.ok();
    app.get("/.well-known/jwks.json").send().await.ok();
}

#[actix_web::test]
async fn the_reference_is_served_from_the_binary() {
    let app = TestApp::start().await;
    let page = app.get("/docs/").send().await.ok();
    assert!(String::from_utf8(page.bytes).unwrap().contains("swagger-ui"));
    assert_eq!(app.get("/openapi.json").send().await.ok().body["openapi"], "3.1.0");
}

#[actix_web::test]
async fn every_error_is_a_problem_with_a_page() {
    let app = TestApp::start().await;
    let problem = app.get("/nowhere").send().await.not_found().refused("not_found");
    app.get(&problem.text("/type")).send().await.ok();
    let wrong = app.request(Method::DELETE, "/healthz").send().await.expect(405).refused("method_not_allowed");
    assert!(wrong.headers["allow"].contains("GET"));
    app.get("/problems/no_such_code").send().await.not_found();
    app.post("/v1/auth/logout", serde_json::json!({})).send().await.expect(401).refused("unauthenticated");
}

#[actix_web::test]
async fn what_others_look_for_at_a_fixed_address_is_there_when_the_operator_said_so() {
    let app = TestApp::start().await;
    let file = app.get("/.well-known/security.txt").send().await.ok();
    let text = String::from_utf8(file.bytes.to_vec()).unwrap();
    assert!(text.starts_with("Contact: mailto:security@lakeside.example\nExpires: 2026-09-06T08:00:00Z\n"), "{text}");
    assert!(text.contains("\nCanonical: http://"), "{text}");
    let page = app.get("/.well-known/change-password").send().await.expect(303);
    assert_eq!(page.headers["location"], "https://app.lakeside.example/passphrase");

    let quiet = TestApp::start_with(|config| {
        config.security_contact = None;
        config.change_password_url = None;
    })
    .await;
    quiet.get("/.well-known/security.txt").send().await.not_found();
    quiet.get("/.well-known/change-password").send().await.not_found();
}
