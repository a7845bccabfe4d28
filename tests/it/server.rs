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
