//! Faults that a developer asks the sandbox for.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::playground::{MARA, Playground, entry, list, put};

#[actix_web::test]
async fn a_lost_reply_has_had_its_effect_once_and_the_retry_is_answered_as_if_nothing_was_lost() {
    let play = Playground::open().await;
    let mara = play.log_in(MARA).await;
    let before = list(&mara, "/v1/patients/me/entries?limit=200").await.len();
    let ((path, body), (other, _)) = (entry(), entry());
    assert_eq!(play.post("/sandbox/fault", json!({ "lose": 2 })).await["lose"], 2);
    assert_eq!(put(&mara, &path, &body, "one").await, None);
    assert_eq!(put(&mara, &path, &body, "one").await, None, "the retry is lost, too");
    assert_eq!(play.get("/sandbox/fault").await["lose"], 0);
    let (status, retried) = put(&mara, &path, &body, "one").await.unwrap();
    let (expected, whole) = put(&mara, &other, &body, "another").await.unwrap();
    assert_eq!(status, expected, "{retried}");
    assert_eq!((&retried["version"], &retried["text"]), (&whole["version"], &whole["text"]));
    let without_key = put(&mara, &path, &body, "new-key").await.unwrap();
    assert_eq!((without_key.0, &without_key.1), (200, &retried), "also where the key is forgotten");
    assert_eq!(list(&mara, "/v1/patients/me/entries?limit=200").await.len(), before + 2, "one entry each");
}

#[actix_web::test]
async fn refusals_and_empty_answers_are_lost_like_others() {
    let play = Playground::open().await;
    let mara = play.log_in(MARA).await;
    let (path, body) = entry();
    assert_eq!(put(&mara, &path, &body, "one").await.unwrap().0, 201);
    play.post("/sandbox/fault", json!({ "lose": 3 })).await;
    assert_eq!(put(&mara, &entry().0, &json!({ "kind": "essay" }), "two").await, None, "a 422");
    assert!(play.web.send(play.web.call(Method::GET, "/v1/me")).await.is_err(), "a 401");
    assert!(mara.send(mara.call(Method::DELETE, &path).header("if-match", "\"v1\"")).await.is_err(), "a 204");
    mara.expect(Method::GET, &path, Value::Null, 410).await;
}

#[actix_web::test]
async fn late_replies_are_late_and_those_after_them_are_not() {
    let play = Playground::open().await;
    let mara = play.log_in(MARA).await;
    let waiting = play.post("/sandbox/fault", json!({ "delay_ms": 700, "for": 2 })).await;
    assert_eq!((&waiting["delay_ms"], &waiting["for"]), (&json!(700), &json!(2)));
    for late in [true, true, false] {
        let asked = Instant::now();
        mara.expect(Method::GET, "/v1/me", Value::Null, 200).await;
        assert_eq!(asked.elapsed() >= Duration::from_millis(700), late);
    }
    play.post("/sandbox/fault", json!({ "delay_ms": 60_000, "for": 1000, "lose": 7, "unavailable": 3 })).await;
    play.web.expect(Method::DELETE, "/sandbox/fault", Value::Null, 204).await;
    let none = json!({ "lose": 0, "delay_ms": 0, "for": 0, "unavailable": 0, "throttle": 0 });
    let mut left = play.get("/sandbox/fault").await;
    left.as_object_mut().unwrap().remove("etag");
    assert_eq!(left, none);
    mara.expect(Method::GET, "/v1/me", Value::Null, 200).await;
}

#[actix_web::test]
async fn an_unavailable_server_has_done_nothing() {
    let play = Playground::open().await;
    let mara = play.log_in(MARA).await;
    let (path, body) = entry();
    play.post("/sandbox/fault", json!({ "unavailable": 1 })).await;
    // The client also holds every 503 to its `Retry-After`.
    let (status, problem) = put(&mara, &path, &body, "one").await.unwrap();
    assert_eq!((status, &problem["code"], &problem["retryable"]), (503, &json!("unavailable"), &json!(true)));
    assert!(!problem["request_id"].as_str().unwrap().is_empty(), "it goes through the layers");
    mara.expect(Method::GET, &path, Value::Null, 404).await;
    assert_eq!(put(&mara, &path, &body, "one").await.unwrap().0, 201);
}

#[actix_web::test]
async fn a_throttled_request_is_answered_like_one_too_many_and_has_done_nothing() {
    let play = Playground::open().await;
    let mara = play.log_in(MARA).await;
    let ((path, body), (other, _)) = (entry(), entry());
    assert_eq!(play.post("/sandbox/fault", json!({ "throttle": 2, "lose": 1 })).await["throttle"], 2);
    for left in [1, 0] {
        let request = mara.call(Method::PUT, &path).json(&body).header("idempotency-key", "one");
        let answer = request.send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(
            (header("content-type").as_str(), header("retry-after").as_str()),
            ("application/problem+json", "3")
        );
        assert_eq!(answer.status().as_u16(), 429);
        let problem: Value = answer.json().await.unwrap();
        assert_eq!((&problem["code"], &problem["status"]), (&json!("too_many_requests"), &json!(429)));
        assert_eq!((&problem["retryable"], &problem["client_action"]), (&json!(true), &json!("keep")));
        assert!(!problem["request_id"].as_str().unwrap().is_empty(), "it goes through the layers");
        assert_eq!(play.get("/sandbox/fault").await["throttle"], left);
    }
    assert_eq!(play.get("/sandbox/fault").await["lose"], 1, "another fault waits for a request that gets so far");
    play.web.expect(Method::DELETE, "/sandbox/fault", Value::Null, 204).await;
    mara.expect(Method::GET, &path, Value::Null, 404).await;

    let all = json!({ "throttle_path": "/v1/patients/me/entries" });
    let waiting = play.post("/sandbox/fault", all.clone()).await;
    assert_eq!((&waiting["throttle"], &waiting["throttle_path"]), (&Value::Null, &all["throttle_path"]));
    for _ in 0..3 {
        assert_eq!(put(&mara, &path, &body, "one").await.unwrap().0, 429);
        mara.expect(Method::GET, "/v1/patients/me/entries?limit=1", Value::Null, 429).await;
        mara.expect(Method::GET, "/v1/me", Value::Null, 200).await;
    }
    play.post("/sandbox/fault", json!({ "throttle": 0 })).await;
    assert_eq!(put(&mara, &path, &body, "one").await.unwrap().0, 201);

    play.post("/sandbox/fault", json!({ "throttle": 1, "throttle_path": other })).await;
    mara.expect(Method::GET, &path, Value::Null, 200).await;
    assert_eq!(put(&mara, &other, &body, "two").await.unwrap().0, 429);
    assert_eq!(put(&mara, &other, &body, "two").await.unwrap().0, 201);
}

#[actix_web::test]
async fn faults_hit_the_api_and_nothing_else() {
    let play = Playground::open().await;
    play.post("/sandbox/fault", json!({ "unavailable": 1 })).await;
    for path in ["/healthz", "/readyz", "/openapi.json", "/.well-known/jwks.json", "/sandbox/clock", "/sandbox/fault"] {
        play.get(path).await;
    }
    play.web.expect(Method::GET, "/v1/meta", Value::Null, 503).await;
    play.get("/v1/meta").await;
}
