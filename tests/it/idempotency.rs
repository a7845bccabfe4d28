//! R5: a request that is sent again has one effect and one outcome.
//!
//! The requests are generated from the document: every operation that takes an `Idempotency-Key`.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp};
use crate::support::journal::{reflection, two};
use crate::support::requests::{Ask, Operation, operations};
use crate::support::world::World;

/// Those that change nothing, that make or spend tokens, or whose parts have ids of their own: no key.
const WITHOUT_KEY: [&str; 15] = [
    "begin_passkey",
    "begin_passkey_log_in",
    "check_integrity",
    "confirm_passphrase_reset",
    "log_in",
    "log_in_with_passkey",
    "preview_protocol",
    "push_mutations",
    "refresh_session",
    "register",
    "request_passphrase_reset",
    "reset_credential",
    "revoke_token",
    "search_entries",
    "set_up",
];

/// Every operation that takes a key; the one that takes the world apart comes last.
pub fn mutating() -> Vec<Operation> {
    let mut all: Vec<Operation> = operations().into_iter().filter(|operation| operation.takes_key).collect();
    all.sort_by_key(|operation| operation.id == "end_care_link");
    all
}

/// Who may do it, and does.
pub fn doer(operation: &str) -> &'static str {
    match operation {
        "create_invitation"
        | "revoke_invitation"
        | "confirm_care_link"
        | "mark_entry_opened"
        | "put_infusion"
        | "patch_infusion"
        | "start_infusion"
        | "end_infusion"
        | "put_overrides"
        | "mark_response_opened"
        | "put_assignment"
        | "patch_assignment"
        | "put_chosen_protocol"
        | "offer_transfer"
        | "withdraw_transfer"
        | "put_cover"
        | "delete_cover"
        | "break_glass"
        | "leave_clinic"
        | "put_cautions" => "granted",
        "update_member"
        | "disable_member"
        | "enable_member"
        | "create_staff_reset"
        | "close_clinic"
        | "review_emergency"
        | "put_clinic_protocol"
        | "publish_clinic_protocol"
        | "retire_clinic_protocol"
        | "put_clinic_plan"
        | "require_second_factor" => "admin",
        _ => "owner",
    }
}

/// Once a session is ended its token opens nothing, not even what it did.
pub fn ends_its_session(operation: &str) -> bool {
    ["disable_account", "log_out"].contains(&operation)
}

/// Somebody who has just joined does these: their keys are tried in `tests/it/factors.rs` and `tests/it/unproved.rs`.
const OF_NEWCOMERS: [&str; 6] =
    ["close_clinic", "confirm_totp", "delete_totp", "leave_clinic", "renew_recovery_codes", "verify_email"];

/// What a token of that session is told. The device of a disabled account keeps what it holds.
fn ended(operation: &str) -> &'static str {
    if operation == "log_out" { "session_revoked" } else { "unauthenticated" }
}

pub fn outcome(answer: &Answer) -> (u16, Value) {
    let mut body = answer.body.clone();
    if let Some(object) = body.as_object_mut() {
        object.remove("request_id");
    }
    (answer.status.as_u16(), body)
}

fn says_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replayed").is_some_and(|said| said == "true")
}

/// How many things there are: each list's length.
fn sizes(state: &Value) -> Vec<usize> {
    let mut sizes = Vec::new();
    fn walk(value: &Value, sizes: &mut Vec<usize>) {
        match value {
            Value::Object(object) => object.iter().for_each(|(name, value)| match value {
                // A plan follows its infusions: how many prompts there are says nothing about one request.
                Value::Array(items) if name == "items" => sizes.push(items.len()),
                // Those of the clinic are among "/clinics" as well.
                _ if ["/prompts", "/break-glass"].contains(&name.as_str()) => {}
                value => walk(value, sizes),
            }),
            Value::Array(items) => items.iter().for_each(|value| walk(value, sizes)),
            _ => {}
        }
    }
    walk(state, &mut sizes);
    sizes
}

#[test]
fn every_mutating_operation_takes_a_key() {
    let without: Vec<String> = operations()
        .into_iter()
        .filter(|operation| operation.method != Method::GET && !operation.takes_key)
        .map(|operation| operation.id)
        .collect();
    assert_eq!(without, WITHOUT_KEY);
}

#[actix_web::test]
async fn r5_sent_twice_there_is_one_effect_and_one_outcome_also_after_a_restart() {
    let mut world = World::on(TestApp::start_on_disk().await).await;
    let mut sent: Vec<(String, Ask, Answer)> = Vec::new();
    for operation in mutating() {
        if operation.id == "end_care_link" {
            // What went over the link is not told any more afterwards: see S14c.
            world = replayed_after_a_restart(world, std::mem::take(&mut sent)).await;
        }
        let ask = world.ask(&operation.id, doer(&operation.id)).await;
        let first = ask.call(&world.app).key(&operation.id).send().await;
        assert!(first.status.is_success(), "{}: {} {}", operation.id, first.status, first.body);
        let after = world.state().await;
        let second = ask.call(&world.app).key(&operation.id).send().await;
        if ends_its_session(&operation.id) {
            second.expect(401).refused(ended(&operation.id));
        } else {
            assert_eq!(outcome(&second), outcome(&first), "{}", operation.id);
            assert_eq!((says_replayed(&first), says_replayed(&second)), (false, true), "{}", operation.id);
        }
        assert_eq!(world.state().await, after, "{} had two effects", operation.id);
        sent.push((operation.id, ask, first));
    }
    replayed_after_a_restart(world, sent).await;
}

/// What was answered is rendered again for what is true now: status and thing stay, its state may have moved on.
async fn replayed_after_a_restart(world: World, sent: Vec<(String, Ask, Answer)>) -> World {
    let before = world.state().await;
    let world = world.restarted().await;
    assert_eq!(world.state().await, before);
    for (operation, ask, first) in sent.into_iter().filter(|(operation, ..)| !ends_its_session(operation)) {
        let again = ask.call(&world.app).key(&operation).send().await;
        assert_eq!(again.status, first.status, "{operation} after a restart: {}", again.body);
        assert_eq!(again.body["id"], first.body["id"], "{operation}");
    }
    assert_eq!(world.state().await, before, "a replay after a restart had an effect");
    world
}

#[actix_web::test]
async fn r5_twenty_at_once_have_one_effect_and_one_outcome() {
    let world = World::open().await;
    for operation in mutating() {
        let ask = world.ask(&operation.id, doer(&operation.id)).await;
        let before = sizes(&world.state().await);
        let calls = (0..20).map(|_| ask.call(&world.app).key(&operation.id).send());
        let answers = join_all(calls).await;
        let after = world.state().await;
        if ends_its_session(&operation.id) {
            // Whoever was let in before the first one's end was durable is told what that one did.
            let code = ended(&operation.id);
            assert!(answers.iter().any(|answer| answer.status.is_success()));
            assert!(answers.iter().all(|answer| answer.status.is_success() || answer.body["code"] == code));
            continue;
        }
        assert!(answers[0].status.is_success(), "{}: {} {}", operation.id, answers[0].status, answers[0].body);
        for answer in &answers {
            assert_eq!(outcome(answer), outcome(&answers[0]), "{}", operation.id);
        }
        let more: usize = sizes(&after).iter().zip(&before).map(|(after, before)| after.saturating_sub(*before)).sum();
        assert!(more <= 1, "{} made {more} things", operation.id);
        // And one more changes nothing.
        let last = ask.call(&world.app).key(&operation.id).send().await;
        assert_eq!(outcome(&last), outcome(&answers[0]), "{}", operation.id);
        assert_eq!(world.state().await, after, "{}", operation.id);
    }
}

#[actix_web::test]
async fn r5_a_key_that_came_with_another_request_is_refused() {
    let world = World::open().await;
    for who in ["owner", "granted", "admin"] {
        let other = if who == "owner" { "patch_me" } else { "create_invitation" };
        let mut first = world.ask(other, who).await;
        if who == "admin" {
            first.body = Some(json!({ "kind": "staff", "capabilities": ["duty"] }));
        }
        assert!(first.call(&world.app).key("used").send().await.status.is_success());
    }
    let known = |id: &str| !ends_its_session(id) && !OF_NEWCOMERS.contains(&id);
    for operation in mutating().into_iter().filter(|operation| known(&operation.id)) {
        let who = doer(&operation.id);
        let ask = world.ask(&operation.id, who).await;
        let before = world.state().await;
        let refused = ask.call(&world.app).key("used").send().await;
        refused.expect(422).refused("idempotency_key_reused");
        assert_eq!(world.state().await, before, "{}", operation.id);
        // Another body under the key of this one.
        if !operation.takes_body {
            continue;
        }
        assert!(ask.call(&world.app).key(&operation.id).send().await.status.is_success(), "{}", operation.id);
        let after = world.state().await;
        let mut changed = ask.clone();
        changed.body.as_mut().unwrap()["unknown"] = json!(1);
        let refused = changed.call(&world.app).key(&operation.id).send().await;
        assert_eq!(refused.status, 422, "{}", operation.id);
        let other = world.ask(&operation.id, who).await;
        let changed = Ask { body: other.body.clone(), ..ask.clone() };
        if changed.body != ask.body {
            let refused = changed.call(&world.app).key(&operation.id).send().await;
            refused.expect(422).refused("idempotency_key_reused");
        }
        let moved = world.state().await["/entries"] != after["/entries"];
        assert!(!moved || operation.id == "patch_entry", "{}", operation.id);
    }
}

#[actix_web::test]
async fn r5_the_same_request_is_known_however_its_json_is_written() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care", "record"]).await;
    let ann = app.patient(&theo, "Ann Lind").await;
    let path = ann.of_theirs(&format!("/infusions/{}", crate::support::app::new_id(&app)));
    let (start, end) = ("2026-03-09T08:00:00Z", "2026-03-09T08:40:00Z");
    let forms = [
        format!(
            r#"{{"status":"completed","route":"iv_infusion","started_at":"{start}","ended_at":"{end}","dose_mg":35}}"#
        ),
        format!(
            r#"{{"dose_mg":35.0,"ended_at":"{end}","started_at":"{start}","route":"iv_infusion","status":"completed"}}"#
        ),
        format!(
            r#"{{ "dose_mg": 3.5e1, "note": null, "status": "completed", "route": "iv_infusion", "started_at": "{start}", "ended_at": "{end}" }}"#
        ),
    ];
    let send = |form: &str| theo.request(Method::PUT, &path).bytes("application/json", form.as_bytes()).key("k");
    let first = send(&forms[0]).send().await.created();
    for form in &forms[1..] {
        assert_eq!(send(form).send().await.created().body, first.body, "{form}");
    }
    let other = forms[0].replace("35", "36");
    send(&other).send().await.expect(422).refused("idempotency_key_reused");
    // In a patch, a member that is null says something.
    let patch = |form: &str| theo.patch(&path, serde_json::from_str(form).unwrap()).if_match("\"v1\"").key("p");
    patch(r#"{"dose_mg":null,"note":"x"}"#).send().await.ok();
    patch(r#"{"note":"x"}"#).send().await.expect(422).refused("idempotency_key_reused");
    patch(r#"{"note":"x","dose_mg":null}"#).send().await.ok();
}

#[actix_web::test]
async fn s14c_a_replay_after_access_was_lost_tells_nothing() {
    let world = World::open().await;
    let theirs = [
        "put_comment",
        "mark_entry_opened",
        "put_infusion",
        "patch_infusion",
        "end_infusion",
        "put_overrides",
        "mark_response_opened",
        "put_assignment",
        "patch_assignment",
        "put_cautions",
    ];
    let mut sent = Vec::new();
    for operation in theirs {
        let ask = world.ask(operation, "granted").await;
        let first = ask.call(&world.app).key(operation).send().await;
        assert!(first.status.is_success(), "{operation}: {}", first.body);
        sent.push((operation, ask));
    }
    let absent = world.person("unlinked").get(&world.ann().of_theirs("/infusions")).send().await.not_found();
    world.ann().delete(&format!("/v1/care-links/{}", world.link)).send().await.no_content();
    let before = world.state().await;
    for (operation, ask) in sent {
        let denied = ask.call(&world.app).key(operation).send().await.not_found();
        assert_eq!(outcome(&denied), outcome(&absent), "{operation}");
    }
    assert_eq!(world.state().await, before);
}

#[actix_web::test]
async fn r5_stale_conditions_stay_stale_and_what_is_done_is_done() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    let path = ann.my(&format!("/entries/{entry}"));
    let stale = ann.entry(&entry).await.ok().etag();
    ann.edits(&entry, json!({ "text": { "title": "Second" } })).await;
    let body = ann.entry(&entry).await.ok().body;
    for key in [None, Some("k")] {
        for _ in 0..2 {
            for (method, body) in [
                (Method::PUT, Some(reflection("Third"))),
                (Method::PATCH, Some(json!({ "text": { "title": "Third" } }))),
                (Method::DELETE, None),
            ] {
                let key = key.map(|key| format!("{key}{method}"));
                let mut call = ann.request(method, &path).if_match(&stale);
                if let Some(key) = &key {
                    call = call.key(key);
                }
                if let Some(body) = body {
                    call = call.json(body);
                }
                call.send().await.expect(412).refused("stale");
            }
        }
    }
    assert_eq!(ann.entry(&entry).await.ok().body, body, "and nothing has changed");

    // The same change under the same condition, sent again: the condition is stale now, and the change was made.
    let tag = ann.entry(&entry).await.ok().etag();
    let patch = || ann.patch_entry(&entry, json!({ "text": { "title": "Fourth" } })).if_match(&tag);
    let first = patch().send().await.ok();
    assert_eq!(patch().send().await.ok().body, first.body);
    let put = || ann.put(&path, reflection("Fifth")).if_match(&first.etag());
    let fifth = put().send().await.ok();
    assert_eq!(put().send().await.ok().body, fifth.body);
    let delete = || ann.delete(&path).if_match(&fifth.etag());
    delete().send().await.no_content();
    delete().send().await.no_content();

    // Of infusions too.
    let infusion = theo.records(&ann, app.now()).await;
    let path = ann.of_theirs(&format!("/infusions/{infusion}"));
    let tag = theo.get(&path).send().await.ok().etag();
    let patch = |note: &str| theo.patch(&path, json!({ "note": note })).if_match(&tag);
    let first = patch("One").send().await.ok();
    assert_eq!(patch("One").send().await.ok().body, first.body);
    patch("Two").send().await.expect(412);
    patch("Two").key("two").send().await.expect(412);
    patch("Two").key("two").send().await.expect(412);
}

#[actix_web::test]
async fn r5_without_a_key_the_creating_request_sent_again_changes_nothing() {
    let world = World::open().await;
    for operation in ["put_entry", "put_grant", "put_infusion", "put_pause"] {
        let ask = world.ask(operation, doer(operation)).await;
        let first = ask.send(&world.app).await.created();
        let after = world.state().await;
        let second = ask.send(&world.app).await.ok();
        assert_eq!(second.body, first.body, "{operation}");
        let again: Value = world.state().await;
        assert_eq!(again, after, "{operation} had two effects");
    }
}

#[actix_web::test]
async fn r5_letting_somebody_go_twice_is_letting_them_go_once() {
    let world = World::open().await;
    let admin = world.person("admin");
    let path = format!("/v1/clinics/{}/members/{}", world.clinic, world.person("unlinked").account);
    let go = || admin.patch(&path, json!({ "ended": true })).if_match("*").key("go");
    let first = go().send().await.ok();
    let second = go().send().await.ok();
    assert_eq!(second.body, first.body);
    let third = admin.patch(&path, json!({ "ended": true })).send().await.ok();
    assert_eq!(third.body, first.body, "also without a key");
    admin.patch(&path, json!({ "capabilities": ["duty"] })).send().await.not_found();
}
