//! The sandbox: a clinic in memory, a clock to move, deliveries to look at, faults to ask for.

use std::time::{Duration, Instant};

use afterglow::app;
use afterglow::delivery::MemoryChannel;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::people::registration;
use crate::support::playground::{MARA, NOW, Playground, TESS, entry, list, put};
use crate::support::shell;

#[actix_web::test]
async fn a_day_passes_at_once_and_what_was_planned_has_been_delivered() {
    let play = Playground::open().await;
    let mara = play.log_in(MARA).await;
    assert_eq!(play.get("/v1/meta").await["now"], NOW);
    assert_eq!(play.get("/sandbox/outbox").await["items"], json!([]), "nothing has left yet");
    let planned = list(&mara, "/v1/patients/me/prompts?state=planned&limit=100").await;
    let tomorrow = "2026-03-11T08:00:00Z";
    let due = |prompt: &Value| prompt["detail"]["due_at"].as_str().unwrap().to_owned();
    let awaited: Vec<&Value> = planned.iter().filter(|one| *due(one) <= *tomorrow).map(|one| &one["id"]).collect();
    assert!(!awaited.is_empty(), "{planned:?}");

    let moved = play.advance("P1D").await;
    assert_eq!(moved["now"], tomorrow);
    assert_eq!(play.get("/sandbox/clock").await["now"], tomorrow);
    let outbox = play.get("/sandbox/outbox").await;
    let items = outbox["items"].as_array().unwrap();
    assert_eq!(moved["delivered"], json!(items.len()));
    let times: Vec<&str> = items.iter().map(|item| item["sent_at"].as_str().unwrap()).collect();
    assert!(times.is_sorted() && times.iter().all(|at| (NOW..=tomorrow).contains(at)), "each at its time: {times:?}");

    let late = mara.call(Method::GET, "/v1/me");
    assert_eq!(mara.send(late).await.unwrap().0, StatusCode::UNAUTHORIZED, "a token of yesterday");
    let mara = play.log_in(MARA).await;
    let prompts = list(&mara, "/v1/patients/me/prompts?from=2025-12-01T00:00:00Z&limit=200").await;
    let (mut own, mut punctual) = (0, 0);
    for item in items.iter().filter(|item| prompts.iter().any(|prompt| prompt["id"] == item["prompt_id"])) {
        assert_eq!((&item["kind"], &item["text"]), (&json!("visible"), &json!("A moment for you is ready")));
        let prompt = prompts.iter().find(|prompt| prompt["id"] == item["prompt_id"]).unwrap();
        assert!(["delivered", "lapsed"].contains(&prompt["state"].as_str().unwrap()), "{prompt}");
        own += 1;
        // The others remind of what was delivered before.
        punctual += usize::from(item["sent_at"] == *due(prompt));
    }
    assert!(own > 0 && punctual > 0, "{own} {punctual}");
    for prompt in prompts.iter().filter(|prompt| awaited.contains(&&prompt["id"])) {
        assert_ne!(prompt["state"], "planned", "{prompt}");
    }
}

#[actix_web::test]
async fn the_outbox_is_read_from_where_the_reader_was_and_can_be_cleared() {
    let play = Playground::open().await;
    play.advance("P3D").await;
    let all = play.get("/sandbox/outbox").await;
    let count = all["items"].as_array().unwrap().len();
    assert!(count > 2);
    let mut read = Vec::new();
    let mut after = json!(0);
    loop {
        let part = play.get(&format!("/sandbox/outbox?after={after}&limit=2")).await;
        read.extend(part["items"].as_array().unwrap().clone());
        after = part["next_after"].clone();
        if part["has_more"] == false {
            break;
        }
    }
    assert_eq!(json!(read), all["items"]);
    play.web.expect(Method::DELETE, "/sandbox/outbox", Value::Null, 204).await;
    let rest = play.get(&format!("/sandbox/outbox?after={after}")).await;
    assert_eq!((&rest["items"], &rest["forgotten"], &rest["next_after"]), (&json!([]), &json!(0), &after));
    let delivered = play.advance("P2D").await["delivered"].as_u64().unwrap();
    let next = play.get(&format!("/sandbox/outbox?after={after}")).await;
    assert_eq!(next["items"][0]["number"], json!(count + 1), "numbers go on");
    assert_eq!(next["items"].as_array().unwrap().len() as u64, delivered);
}

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
    let none = json!({ "lose": 0, "delay_ms": 0, "for": 0, "unavailable": 0 });
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
async fn faults_hit_the_api_and_nothing_else() {
    let play = Playground::open().await;
    play.post("/sandbox/fault", json!({ "unavailable": 1 })).await;
    for path in ["/healthz", "/readyz", "/openapi.json", "/.well-known/jwks.json", "/sandbox/clock", "/sandbox/fault"] {
        play.get(path).await;
    }
    play.web.expect(Method::GET, "/v1/meta", Value::Null, 503).await;
    play.get("/v1/meta").await;
}

#[actix_web::test]
async fn what_a_request_makes_due_is_done_before_its_reply_leaves() {
    let play = Playground::open().await;
    let tess = play.log_in(TESS).await;
    let wish = json!({ "kind": "patient" });
    let code = tess.expect(Method::POST, "/v1/invitations", wish, 201).await["code"].as_str().unwrap().to_owned();
    play.web.expect(Method::POST, "/v1/auth/register", registration("Ann", &code), 201).await;
    let state = &play.sandbox.server().state;
    let left = app::tick(state, &MemoryChannel::default(), play.sandbox.now()).await.unwrap();
    assert_eq!((left.planned, left.due, left.sent), (0, 0, 0), "nobody waits for a plan");
    let next: Vec<_> = left.next.into_iter().filter(|at| *at <= play.sandbox.now()).collect();
    assert!(next.is_empty());
}

#[actix_web::test]
async fn the_clock_goes_forward_only_and_a_move_twice_is_one() {
    let play = Playground::open().await;
    let there = json!({ "now": "2026-03-12T09:00:00+01:00" });
    let moved = play.post("/sandbox/clock", there.clone()).await;
    assert_eq!(moved["now"], "2026-03-12T08:00:00Z");
    assert_eq!(play.post("/sandbox/clock", there).await["delivered"], 0);
    assert_eq!(play.advance("PT0S").await["now"], "2026-03-12T08:00:00Z");
    let back = json!({ "now": NOW });
    let problem = play.web.expect(Method::POST, "/sandbox/clock", back, 422).await;
    assert_eq!(problem["errors"][0]["pointer"], "/now");
    assert!(problem["errors"][0]["detail"].as_str().unwrap().contains("2026-03-12T08:00:00Z"), "{problem}");
}

#[actix_web::test]
async fn wrong_requests_are_problems_that_name_the_field() {
    let play = Playground::open().await;
    for (path, body, pointer) in [
        ("/sandbox/clock", json!({}), "/advance"),
        ("/sandbox/clock", json!({ "now": "soon" }), "/now"),
        ("/sandbox/clock", json!({ "advance": "-PT1H" }), "/advance"),
        ("/sandbox/clock", json!({ "advance": "P401D" }), "/advance"),
        ("/sandbox/clock", json!({ "advance": 3 }), "/advance"),
        ("/sandbox/clock", json!({ "advance": "PT1H", "now": "2026-03-11T08:00:00Z" }), "/now"),
        ("/sandbox/clock", json!({ "advance": "PT1H", "zone": "UTC" }), "/zone"),
        ("/sandbox/fault", json!({}), ""),
        ("/sandbox/fault", json!({ "lose": 1001 }), "/lose"),
        ("/sandbox/fault", json!({ "lose": -1 }), "/lose"),
        ("/sandbox/fault", json!({ "lose": "all" }), "/lose"),
        ("/sandbox/fault", json!({ "unavailable": 1001 }), "/unavailable"),
        ("/sandbox/fault", json!({ "delay_ms": 60_001, "for": 1 }), "/delay_ms"),
        ("/sandbox/fault", json!({ "delay_ms": 10, "for": 1001 }), "/for"),
        ("/sandbox/fault", json!({ "for": 3, "lose": 1 }), "/for"),
        ("/sandbox/fault", json!({ "lose": 1, "crash": true }), "/crash"),
    ] {
        let problem = play.web.expect(Method::POST, path, body.clone(), 422).await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{path} {body}: {problem}");
    }
    for query in ["after=-1", "after=x", "limit=0", "limit=10001", "since=3"] {
        let problem = play.web.expect(Method::GET, &format!("/sandbox/outbox?{query}"), Value::Null, 422).await;
        let name = query.split('=').next().unwrap();
        assert_eq!((&problem["errors"][0]["in"], &problem["errors"][0]["name"]), (&json!("query"), &json!(name)));
    }
    for (method, path) in
        [(Method::PUT, "/sandbox/clock"), (Method::POST, "/sandbox/outbox"), (Method::POST, "/sandbox")]
    {
        let problem = play.web.expect(method, path, Value::Null, 405).await;
        assert_eq!(problem["code"], "method_not_allowed");
    }
    // A page of another site can send plain text without asking, and nothing else.
    let plain = play.web.call(Method::POST, "/sandbox/fault").header("content-type", "text/plain").body("{\"lose\":1}");
    assert_eq!(play.web.send(plain).await.unwrap().0.as_u16(), 415);
    assert_eq!(play.get("/sandbox/fault").await["lose"], 0, "nothing of it was taken");
    assert_eq!(play.get("/sandbox/clock").await["now"], NOW);
}

#[actix_web::test]
async fn the_same_sandbox_has_the_same_people_plans_and_ids() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let play = Playground::open().await;
        play.advance("P2D").await;
        let mara = play.log_in(MARA).await;
        let account = mara.expect(Method::GET, "/v1/me", Value::Null, 200).await;
        let prompts = list(&mara, "/v1/patients/me/prompts?from=2025-12-01T00:00:00Z&limit=200").await;
        let entries = list(&mara, "/v1/patients/me/entries?limit=200").await;
        let ids = |items: &[Value]| items.iter().map(|item| item["id"].clone()).collect::<Vec<_>>();
        let mut sent: Vec<String> = play.get("/sandbox/outbox").await["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| format!("{} {}", item["sent_at"], item["delivery_id"]))
            .collect();
        // What leaves at one time leaves in any order.
        sent.sort();
        seen.push(json!([account["id"], prompts, ids(&entries), sent]));
    }
    assert_eq!(seen[0], seen[1]);
}

#[actix_web::test]
async fn many_people_write_and_read_in_memory_while_time_passes() {
    let play = Playground::open().await;
    let mara = play.log_in(MARA).await;
    let before = list(&mara, "/v1/patients/me/entries?limit=200").await.len();
    let mut writers = Vec::new();
    for _ in 0..6 {
        let mara = mara.clone();
        writers.push(tokio::spawn(async move {
            for _ in 0..15 {
                let (path, body) = entry();
                assert_eq!(put(&mara, &path, &body, &path).await.unwrap().0, 201);
                list(&mara, "/v1/patients/me/entries?limit=200").await;
            }
        }));
    }
    for _ in 0..4 {
        play.advance("PT2M").await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let mara = play.log_in(MARA).await;
    assert_eq!(list(&mara, "/v1/patients/me/entries?limit=200").await.len(), before + 90);
}

#[actix_web::test]
async fn what_it_prints_can_be_pasted() {
    if !shell::can_curl() {
        return;
    }
    let play = Playground::open().await;
    let reply = play.web.send(play.web.call(Method::GET, "/sandbox")).await.unwrap();
    assert_eq!(reply.0, StatusCode::OK);
    let guide = play.sandbox.guide().to_owned();
    let (hands, tour) = guide.split_once("To begin with:\n").unwrap();
    let lines: Vec<String> =
        hands.lines().filter(|line| line.starts_with("curl ")).map(|line| format!("{line}; echo")).collect();
    assert!(lines.len() >= 9, "{guide}");
    let script = [lines.join("\n"), tour.to_owned()].concat();
    let said = tokio::task::spawn_blocking(move || shell::run(&script)).await.unwrap();
    assert!(!said.contains("client_action"), "{said}");
    let answers: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(answers.len(), lines.len() - 2 + 9, "all but the two DELETEs answer: {said}");
    assert_eq!(answers.last().unwrap()["items"][0]["act"], "get_entry");
}
