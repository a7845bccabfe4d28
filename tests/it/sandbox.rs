//! The sandbox: a clinic in memory, a clock to move, deliveries to look at, faults to ask for.

use std::time::{Duration, Instant};

use afterglow::app;
use afterglow::delivery::MemoryChannel;
use afterglow::demo::PASSPHRASE;
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
    let prompts = list(&mara, "/v1/patients/me/prompts?from=2025-12-01&limit=200").await;
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
async fn what_a_request_makes_due_is_done_before_its_reply_leaves() {
    let play = Playground::open().await;
    let tess = play.log_in(TESS).await;
    let wish = json!({ "kind": "patient" });
    let code = tess.expect(Method::POST, "/v1/invitations", wish, 201).await["code"].as_str().unwrap().to_owned();
    play.web.expect(Method::POST, "/v1/auth/register", registration("Ann", &code), 201).await;
    let installation = play.sandbox.installation();
    let state = &installation.server().state;
    let left = app::tick(state, &MemoryChannel::default(), installation.now()).await.unwrap();
    assert_eq!((left.planned, left.due, left.sent), (0, 0, 0), "nobody waits for a plan");
    let next: Vec<_> = left.next.into_iter().filter(|at| *at <= installation.now()).collect();
    assert!(next.is_empty());
}

/// All that a person of the clinic sees of it, and what has been sent.
async fn everything(play: &Playground) -> Value {
    let mara = play.log_in(MARA).await;
    let mut seen = vec![play.get("/sandbox/clock").await, play.get("/sandbox/outbox?after=0").await];
    for path in ["/v1/me", "/v1/patients/me/infusions", "/v1/patients/me/entries?limit=200", "/v1/patients/me/grants"] {
        seen.push(mara.expect(Method::GET, path, Value::Null, 200).await);
    }
    let from = "/v1/patients/me/prompts?from=2025-12-01&limit=200";
    seen.push(mara.expect(Method::GET, from, Value::Null, 200).await);
    // The tags of lists and pages, and what is drawn for each session, are secrets or cursors.
    for one in &mut seen {
        for member in ["etag", "next_cursor", "cursor"] {
            one.as_object_mut().unwrap().remove(member);
        }
    }
    json!(seen)
}

#[actix_web::test]
async fn a_reset_begins_again_as_at_the_start() {
    let play = Playground::open().await;
    let before = everything(&play).await;
    let log_in = json!({ "email": MARA, "passphrase": PASSPHRASE });
    let tokens = play.web.expect(Method::POST, "/v1/auth/login", log_in, 200).await["tokens"].clone();
    let mara = play.web.as_whom(tokens["access_token"].as_str().unwrap());
    let (path, body) = entry();
    assert_eq!(put(&mara, &path, &body, "one").await.unwrap().0, 201);
    assert!(play.advance("P2D").await["delivered"].as_u64().unwrap() > 0);
    let old = play.log_in(MARA).await;
    play.post("/sandbox/fault", json!({ "lose": 5, "delay_ms": 9, "unavailable": 4, "throttle": 3 })).await;
    assert_ne!(play.get("/sandbox/outbox").await["items"], json!([]));

    let reset = play.web.send(play.web.call(Method::POST, "/sandbox/reset")).await.unwrap();
    assert_eq!((reset.0, &reset.1["now"]), (StatusCode::OK, &json!(NOW)));
    assert_eq!(play.get("/sandbox/clock").await["now"], NOW);
    let faults = play.get("/sandbox/fault").await;
    assert!(["lose", "delay_ms", "for", "unavailable", "throttle"].iter().all(|one| faults[one] == 0), "{faults}");
    // Before anybody has logged in again, and after as many have as before.
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    for _ in 0..2 {
        for token in [&mara, &old] {
            assert_eq!(token.send(token.call(Method::GET, "/v1/me")).await.unwrap().0, StatusCode::UNAUTHORIZED);
        }
        play.web.expect(Method::POST, "/v1/auth/refresh", refresh.clone(), 401).await;
        assert_eq!(everything(&play).await, before);
        play.log_in(MARA).await;
        play.log_in(MARA).await;
    }
    let mara = play.log_in(MARA).await;
    mara.expect(Method::GET, &path, Value::Null, 404).await;
    assert_eq!(put(&mara, &path, &body, "one").await.unwrap().0, 201, "the key is forgotten, too");

    // Time passes in it as it did in the first.
    let delivered = play.advance("P1D").await;
    assert_eq!(delivered["now"], "2026-03-11T08:00:00Z");
    let sent = play.get("/sandbox/outbox").await["items"].clone();
    assert_eq!(delivered["delivered"], json!(sent.as_array().unwrap().len()));
    assert_eq!(sent[0]["number"], 1);
}

#[actix_web::test]
async fn another_seed_has_other_ids_and_a_reset_keeps_them() {
    let play = Playground::start(7, false).await;
    let ids = async |play: &Playground| {
        let entries = list(&play.log_in(MARA).await, "/v1/patients/me/entries?limit=200").await;
        entries.into_iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let before = ids(&play).await;
    play.post("/sandbox/reset", json!({})).await;
    assert_eq!(ids(&play).await, before);
    let usual = ids(&Playground::open().await).await;
    assert!(usual.len() == before.len() && usual.iter().all(|id| !before.contains(id)), "{usual:?} {before:?}");
}

#[actix_web::test]
async fn requests_that_meet_a_reset_are_answered_by_the_old_clinic_or_the_new() {
    let play = Playground::open().await;
    let mara = play.log_in(MARA).await;
    let asking = async {
        for _ in 0..200 {
            let (status, body, _) = mara.send(mara.call(Method::GET, "/v1/patients/me/entries")).await.unwrap();
            assert!([200, 401].contains(&status.as_u16()), "{status} {body}");
            if status == StatusCode::UNAUTHORIZED {
                return;
            }
        }
    };
    let (first, second) =
        (play.web.call(Method::POST, "/sandbox/reset"), play.web.call(Method::POST, "/sandbox/reset"));
    let (first, second, ()) = tokio::join!(play.web.send(first), play.web.send(second), asking);
    assert_eq!((first.unwrap().0, second.unwrap().0), (StatusCode::OK, StatusCode::OK));
    play.log_in(MARA).await;
}

#[actix_web::test]
async fn a_new_epoch_ends_all_sessions_and_refuses_cursors_and_batches_of_before() {
    let play = Playground::open().await;
    let mara = play.log_in(MARA).await;
    let (path, body) = entry();
    assert_eq!(put(&mara, &path, &body, "one").await.unwrap().0, 201);
    let page = mara.expect(Method::GET, "/v1/patients/me/changes?limit=200", Value::Null, 200).await;
    let before = list(&mara, "/v1/patients/me/entries?limit=200").await;

    let begun = play.post("/sandbox/epoch", json!({})).await;
    assert!(begun["epoch"] != page["epoch"] && begun["sessions"] == 1, "{begun}");
    mara.expect(Method::GET, "/v1/me", Value::Null, 401).await;
    let mara = play.log_in(MARA).await;
    let old = format!("/v1/patients/me/changes?cursor={}", page["cursor"].as_str().unwrap());
    let refused = mara.expect(Method::GET, &old, Value::Null, 410).await;
    assert_eq!((&refused["code"], &refused["epoch"]), (&json!("resync_required"), &begun["epoch"]));
    let batch = |epoch: &Value| json!({ "epoch": epoch, "mutations": [] });
    mara.expect(Method::POST, "/v1/patients/me/mutations", batch(&page["epoch"]), 410).await;
    mara.expect(Method::POST, "/v1/patients/me/mutations", batch(&begun["epoch"]), 200).await;
    assert_eq!(list(&mara, "/v1/patients/me/entries?limit=200").await, before, "nothing else has changed");

    let edit = mara.call(Method::PATCH, &path).header("if-match", "\"v1\"").json(&json!({ "tags": ["walk"] }));
    let version = mara.send(edit).await.unwrap().1["version"].as_i64().unwrap();
    assert!(version > 1_000_000, "versions go on above a floor: {version}");
}

#[actix_web::test]
async fn a_page_of_another_site_controls_nothing() {
    let play = Playground::open().await;
    play.advance("PT1H").await;
    for (origin, status) in [("https://evil.example", 403), ("null", 403), ("http://localhost:5173", 200)] {
        let request = play.web.call(Method::POST, "/sandbox/reset").header("origin", origin);
        let (answered, body, _) = play.web.send(request).await.unwrap();
        assert_eq!(answered.as_u16(), status, "{origin}: {body}");
        let now = play.get("/sandbox/clock").await["now"].clone();
        assert_eq!(now == NOW, status == 200, "{origin}");
    }
}

#[actix_web::test]
async fn a_ticking_clock_runs_by_itself_and_delivers_and_can_be_moved() {
    let play = Playground::start(0, true).await;
    let mara = play.log_in(MARA).await;
    let planned = list(&mara, "/v1/patients/me/prompts?state=planned&limit=100").await;
    let due = planned.iter().map(|one| one["detail"]["due_at"].as_str().unwrap()).min().unwrap().to_owned();
    // The last seconds before it pass by themselves.
    let near = due.parse::<jiff::Timestamp>().unwrap() - Duration::from_secs(2);
    let moved = play.post("/sandbox/clock", json!({ "now": near })).await;
    assert!(moved["now"].as_str().unwrap() < due.as_str(), "{moved}");
    let started = Instant::now();
    let sent = loop {
        let outbox = play.get("/sandbox/outbox").await;
        let sent = outbox["items"].as_array().unwrap().iter().find(|one| one["sent_at"] == *due).cloned();
        assert!(sent.is_some() || started.elapsed() < Duration::from_secs(30), "{outbox}");
        match sent {
            Some(sent) => break sent,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert!(planned.iter().any(|one| one["id"] == sent["prompt_id"]), "{sent}");
    assert!(play.sandbox.installation().guide().contains("runs with real time"));
    play.post("/sandbox/reset", json!({})).await;
    while play.get("/sandbox/clock").await["now"] == NOW {
        assert!(started.elapsed() < Duration::from_secs(60), "it runs after a reset, too");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[actix_web::test]
async fn the_page_at_the_root_leads_to_it() {
    let play = Playground::open().await;
    let page = reqwest::Client::builder().no_proxy().build().unwrap().get(&play.web.url).send().await.unwrap();
    let page = page.text().await.unwrap();
    let (greeting, chapters) = page.split_once("This is a sandbox").unwrap();
    assert_eq!(greeting.matches("<h2").count(), 1, "it is the first chapter");
    assert!(chapters.contains("<a href=\"/sandbox\">") && chapters.contains("If you build an app"), "{page}");
    let guide = play.web.send(play.web.call(Method::GET, "/sandbox")).await.unwrap();
    assert_eq!(guide.0, StatusCode::OK);
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
        ("/sandbox/fault", json!({ "throttle": 1001 }), "/throttle"),
        ("/sandbox/fault", json!({ "throttle_path": "/sandbox/clock" }), "/throttle_path"),
        ("/sandbox/fault", json!({ "throttle_path": "/v1/me?limit=3" }), "/throttle_path"),
        ("/sandbox/fault", json!({ "throttle_path": "" }), "/throttle_path"),
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
    for (method, path) in [
        (Method::GET, "/sandbox"),
        (Method::POST, "/sandbox/reset"),
        (Method::POST, "/sandbox/epoch"),
        (Method::GET, "/sandbox/clock"),
        (Method::POST, "/sandbox/clock"),
        (Method::DELETE, "/sandbox/outbox"),
        (Method::GET, "/sandbox/fault"),
        (Method::POST, "/sandbox/fault"),
        (Method::DELETE, "/sandbox/fault"),
    ] {
        let problem = play.web.expect(method, &format!("{path}?colour=1"), json!({ "lose": 1 }), 422).await;
        assert_eq!((&problem["errors"][0]["in"], &problem["errors"][0]["name"]), (&json!("query"), &json!("colour")));
    }
    assert_eq!(play.get("/sandbox/fault").await["lose"], 0, "nothing was asked for");
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
        let prompts = list(&mara, "/v1/patients/me/prompts?from=2025-12-01&limit=200").await;
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
    let guide = play.sandbox.installation().guide().to_owned();
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
