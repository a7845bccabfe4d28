//! What all lists have in common.

use std::collections::{BTreeMap, BTreeSet};

use afterglow::db::Tx;
use afterglow::db::schema::{assignments, audit_log, comments, grants, invitations, prompts};
use afterglow::kernel::Zone;
use diesel::prelude::*;
use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::support::app::{document, id_of};
use crate::support::contract::resolved;
use crate::support::exercises::work;
use crate::support::journal::{ids, reflection, with};
use crate::support::protocols::{content, publishes};
use crate::support::requests::operations;
use crate::support::world::{World, earlier};

/// The reads of the document, with their parameters in the query.
fn reads() -> Vec<(&'static str, &'static Value)> {
    let items = document()["paths"].as_object().unwrap().values();
    let reads = items.filter_map(|item| item.get("get")).filter(|read| read["operationId"].is_string());
    reads.map(|read| (read["operationId"].as_str().unwrap(), read)).collect()
}

fn parameters(read: &'static Value) -> impl Iterator<Item = &'static Value> {
    read["parameters"].as_array().into_iter().flatten().map(resolved)
}

/// The schema of what a read answers.
fn shown(read: &'static Value) -> &'static Value {
    &resolved(&read["responses"]["200"])["content"]["application/json"]["schema"]
}

/// The reads that answer a list, with or without pages.
fn lists() -> Vec<(&'static str, &'static Value)> {
    let is_list = |read: &Value| {
        let name = read["$ref"].as_str().unwrap_or_default();
        name.ends_with("List") || name.ends_with("Page")
    };
    let holds_items = |schema: &Value| schema["type"] == "array" || schema["properties"]["items"]["type"] == "array";
    // A page of changes is asked for by its cursor: it is never the same twice.
    let changes = |schema: &Value| schema["properties"]["has_more"].is_object();
    let mut all = reads();
    all.retain(|(_, read)| is_list(shown(read)) || holds_items(resolved(shown(read))));
    all.retain(|(_, read)| !changes(resolved(shown(read))));
    all
}

/// Somebody to whom an operation answers.
fn reader(id: &str) -> &'static str {
    let staff =
        ["list_invitations", "list_my_patients", "get_clinical_window", "get_cautions", "pull_feed", "list_covers"];
    let admins =
        ["list_members", "list_clinic_protocols", "get_clinic_protocol", "compare_clinic_protocol", "list_emergencies"];
    if staff.contains(&id) {
        "granted"
    } else if admins.contains(&id) {
        "admin"
    } else {
        "owner"
    }
}

#[test]
fn rule_every_list_declares_a_tag_and_a_304() {
    let mut seen = 0;
    for (id, read) in lists() {
        let headers = |status: &str| &resolved(&read["responses"][status])["headers"];
        assert!(headers("200")["ETag"].is_object(), "{id} declares no tag");
        assert!(headers("304")["ETag"].is_object(), "{id} declares no 304");
        assert!(parameters(read).any(|one| one["name"] == "If-None-Match"), "{id} takes no condition");
        seen += 1;
    }
    assert!(seen >= 22, "{seen}");
}

#[actix_web::test]
async fn rule_a_list_has_a_tag_and_is_not_sent_to_who_has_it() {
    let world = World::open().await;
    let mut seen = 0;
    for (id, _) in lists() {
        let mut whos = vec![reader(id)];
        if world.ask(id, "granted").await.send(&world.app).await.status.is_success() {
            whos.push("granted");
        }
        for who in whos {
            let ask = world.ask(id, who).await;
            let first = ask.send(&world.app).await.ok();
            let known = ask.call(&world.app).header("if-none-match", first.etag()).send().await;
            // Reading is logged, so the next page of that log is another.
            if id == "list_access_log" && known.status == 200 {
                continue;
            }
            assert!(known.status == 304 && known.bytes.is_empty(), "{id} by {who}: {}", known.status);
            assert_eq!(known.etag(), first.etag(), "{id} by {who}");
            // What proxies make of the tag when they compress.
            let weakened = format!("W/{}", first.etag());
            let suffixed = format!("{}-gzip\"", first.etag().trim_end_matches('"'));
            for spelled in [weakened, suffixed] {
                ask.call(&world.app).header("if-none-match", spelled).send().await.expect(304);
            }
            let other = ask.call(&world.app).header("if-none-match", "\"another\"").send().await.ok();
            assert_eq!(other.bytes, first.bytes, "{id} by {who}");
            ask.call(&world.app).header("if-none-match", "no tag").send().await.expect(422).refused("invalid");
            seen += 1;
        }
    }
    assert!(seen >= 30, "{seen}");
}

/// Changes what a list answers.
async fn change(world: &World, id: &str) {
    let (operation, who) = match id {
        "list_care_links" | "list_care_team" => {
            let therapist = if id == "list_care_team" { "foreign" } else { "unlinked" };
            world.ann().linked_to(world.person(therapist)).await;
            return;
        }
        "list_clinic_protocols" => {
            publishes(world.person("admin"), &world.clinic, content("Another")).await;
            return;
        }
        "list_members" => {
            world.app.staff(world.person("admin"), "Nora Novak", &["care"]).await;
            return;
        }
        "list_patient_exercises" => {
            let (path, granted) = (world.ann().of_theirs("/cautions"), world.person("granted"));
            let tag = granted.get(&path).send().await.ok().etag();
            granted.put(&path, json!({ "flags": ["psychosis_mania"] })).if_match(&tag).send().await.ok();
            return;
        }
        "list_security_events" | "list_sessions" => {
            world.log_in("owner").await;
            return;
        }
        "suggest_exercises" => {
            world.person("granted").assigns(world.ann(), "if-then-habit").await;
            return;
        }
        "list_entries_as_reader" => {
            let (ann, granted) = (world.ann(), world.person("granted"));
            ann.opens(&ann.writes(reflection("Another")).await, &["text"], granted).await;
            return;
        }
        "list_responses_as_reader" => {
            let (ann, granted) = (world.ann(), world.person("granted"));
            ann.opens_response(&ann.works(work()).await, &["answers"], granted).await;
            return;
        }
        "list_revisions" => {
            world.ann().edits(&world.entry, json!({ "tags": ["other"] })).await;
            return;
        }
        "list_response_revisions" => {
            world.ann().resumes(&world.response, json!({ "answers": { "hook": "Another" } })).await;
            return;
        }
        "list_covers" => ("put_cover", "granted"),
        "list_emergencies" => ("break_glass", "duty"),
        "list_transfers" => ("offer_transfer", "granted"),
        "get_cautions" => ("put_cautions", "granted"),
        "get_overrides" => ("put_overrides", "granted"),
        "list_access_log" => ("list_entries", "granted"),
        "list_assignments" => ("put_assignment", "granted"),
        "list_comments" => ("put_comment", "granted"),
        "list_courses" | "list_infusions" => ("put_infusion", "granted"),
        "list_entries" => ("put_entry", "owner"),
        "list_exercise_responses" => ("put_exercise_response", "owner"),
        "list_grants" => ("put_grant", "owner"),
        "list_invitations" => ("create_invitation", "granted"),
        "list_my_patients" => ("confirm_care_link", "granted"),
        "list_consents" => ("put_consent", "owner"),
        "list_devices" => ("put_device", "owner"),
        "list_pauses" => ("put_pause", "owner"),
        "get_plan" | "list_prompts" => ("skip_prompt", "owner"),
        _ => panic!("{id}: say what changes this list"),
    };
    let changed = world.ask(operation, who).await.send(&world.app).await;
    assert!(changed.status.is_success(), "{operation}: {}", changed.status);
}

#[actix_web::test]
async fn rule_a_list_that_changed_is_sent_with_another_tag() {
    let world = World::open().await;
    for (id, _) in lists() {
        let ask = world.ask(id, reader(id)).await;
        let first = ask.send(&world.app).await.ok();
        let again = ask.call(&world.app).header("if-none-match", first.etag());
        let changed = match id {
            // They are part of the program.
            "list_protocols" | "list_consent_documents" => continue,
            "list_exercises" => again.header("accept-language", "de").send().await.ok(),
            _ => {
                change(&world, id).await;
                again.send().await.ok()
            }
        };
        assert_ne!(changed.etag(), first.etag(), "{id}");
        assert_ne!(changed.bytes, first.bytes, "{id}");
    }
}

#[actix_web::test]
async fn rule_a_read_that_is_answered_with_304_is_in_the_patients_log() {
    let world = World::open().await;
    let reads = async |id: &str| {
        let log = world.ask("list_access_log", "owner").await.send(&world.app).await.ok();
        let read = |row: &&Value| row["act"] == id;
        log.items().iter().filter(read).map(|row| row["ids"].clone()).collect::<Vec<Value>>()
    };
    let mut seen = 0;
    for (id, _) in lists() {
        let ask = world.ask(id, "granted").await;
        let first = ask.send(&world.app).await;
        // A list of a patient's; the other ones are about the caller or the same for all.
        if !first.status.is_success() || !ask.path.starts_with("/v1/patients/") {
            continue;
        }
        let before = reads(id).await;
        ask.call(&world.app).header("if-none-match", first.etag()).send().await.expect(304);
        let after = reads(id).await;
        assert_eq!(after.len(), before.len() + 1, "{id}");
        assert_eq!(after[0], before[0], "{id}: with the ids of what was asked for");
        seen += usize::from(after[0] != json!([]));
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn rule_from_and_to_are_the_same_dates_in_every_list() {
    let mut all: BTreeMap<&str, Vec<(&str, Value)>> = BTreeMap::new();
    for (id, read) in reads() {
        for parameter in parameters(read).filter(|one| one["in"] == "query") {
            let said = json!([parameter["description"], parameter["required"], resolved(&parameter["schema"])]);
            if let Some(name @ ("from" | "to")) = parameter["name"].as_str() {
                all.entry(name).or_default().push((id, said));
            }
        }
    }
    assert_eq!(all.keys().collect::<Vec<_>>(), [&"from", &"to"]);
    for (name, lists) in all {
        let (first, said) = &lists[0];
        assert!(lists.len() >= 2, "{name}");
        assert_eq!(said[2], json!({ "type": "string", "format": "date" }), "{first} {name}");
        for (id, other) in &lists {
            assert_eq!(other, said, "{name} of {id} and of {first}");
        }
        // The search has them in its body.
        let searched = &document()["components"]["schemas"]["SearchEntries"]["properties"][name];
        assert!(said[0].as_str().unwrap().starts_with(searched["description"].as_str().unwrap()), "{name}");
        assert_eq!(searched["format"], "date");
    }
}

/// The ids that a list answers for the dates from `from` to `to`.
async fn between(world: &World, path: &str, from: Date, to: Date) -> BTreeSet<String> {
    let ann = world.ann();
    ids(&ann.get(&ann.my(&format!("/{path}?from={from}&to={to}&limit=200"))).send().await.ok()).into_iter().collect()
}

#[actix_web::test]
async fn rule_from_and_to_are_local_dates_of_the_patient_both_inclusive() {
    let world = World::open().await;
    let (app, ann) = (&world.app, world.ann());
    // In Auckland the clocks go back at three in the morning of 5 April 2026: the day has 25 hours.
    ann.sets(json!({ "time_zone": "Pacific/Auckland" })).await.ok();
    app.set_clock("2026-04-03T02:00:00Z");
    world.person("granted").records(ann, earlier(app, SignedDuration::from_hours(1))).await;
    let mut written = Vec::new();
    for (day, at) in [
        (4, "2026-04-04T00:10:00+13:00"),
        (4, "2026-04-04T23:50:00+13:00"),
        (5, "2026-04-05T00:10:00+13:00"),
        (5, "2026-04-05T23:50:00+12:00"),
        (6, "2026-04-06T00:10:00+12:00"),
    ] {
        let body = with(reflection("Lake"), json!({ "occurred_at": at, "zone": "Pacific/Auckland" }));
        written.push((date(2026, 4, day), ann.writes(body).await));
    }
    let planned = ann.prompts().await.into_iter().map(|prompt| {
        let detail = &prompt["detail"];
        let due: Timestamp = detail["due_at"].as_str().unwrap().parse().unwrap();
        let local = Zone::parse("Pacific/Auckland").unwrap().date(due);
        assert!(due < app.now() || detail["local_date"] == json!(local.to_string()), "{prompt}");
        (detail["local_date"].as_str().unwrap().parse().unwrap(), id_of(&prompt))
    });
    let planned: Vec<(Date, String)> = planned.collect();
    for (path, all, least) in [("entries", written, 3), ("prompts", planned, 6)] {
        let mut days = BTreeSet::new();
        let dates = |from: Date, to: Date| {
            all.iter()
                .filter(move |(day, _)| (from..=to).contains(day))
                .map(|(_, id)| id.clone())
                .collect::<BTreeSet<_>>()
        };
        for day in date(2026, 4, 2).series(1.day()).take(14) {
            let one = dates(day, day);
            assert_eq!(between(&world, path, day, day).await, one, "{path} {day}");
            let next = day.tomorrow().unwrap();
            assert_eq!(between(&world, path, day, next).await, dates(day, next), "{path} {day} and the next");
            days.extend((!one.is_empty()).then_some(day));
        }
        assert!(days.len() >= least, "{path}: {days:?}");
    }
}

#[actix_web::test]
async fn rule_a_page_ends_at_a_megabyte_and_is_never_empty() {
    let world = World::open().await;
    let (ann, granted) = (world.ann(), world.person("granted"));
    let thread = ann.of_theirs(&format!("/entries/{}/comments", world.entry));
    for exercise in ["kind-letter", "if-then-habit", "leaves-defusion", "kind-letter"] {
        granted.assigns(ann, exercise).await;
        granted.code_for_patient().await;
        granted.says(&thread, json!({ "body": exercise })).send().await.created();
    }
    // As large as no row is today: what is stored in a row may grow without a thought for lists.
    let unit = |tx: &mut Tx<'_>| {
        let doc = vec![7_u8; 400_000];
        diesel::update(assignments::table).set(assignments::doc.eq(&doc)).execute(tx.conn())?;
        diesel::update(comments::table).set(comments::doc.eq(&doc)).execute(tx.conn())?;
        diesel::update(grants::table).set(grants::doc.eq(&doc)).execute(tx.conn())?;
        diesel::update(prompts::table).set(prompts::doc.eq(&doc)).execute(tx.conn())?;
        diesel::update(invitations::table).set(invitations::doc.eq(&doc)).execute(tx.conn())?;
        diesel::update(audit_log::table).set(audit_log::doc.eq(&doc)).execute(tx.conn())?;
        Ok(())
    };
    world.app.server.state.db.write(unit).await.unwrap();
    for id in
        ["list_assignments", "list_comments", "list_grants", "list_prompts", "list_invitations", "list_access_log"]
    {
        let ask = world.ask(id, reader(id)).await;
        let path = format!("{}?limit=200", ask.path.split('?').next().unwrap());
        let (mut cursor, mut pages) = (String::new(), Vec::new());
        loop {
            let mut next = ask.clone();
            next.path = format!("{path}{cursor}");
            let page = next.send(&world.app).await.ok();
            pages.push(page.items().len());
            match page.body["next_cursor"].as_str() {
                Some(text) => cursor = format!("&cursor={text}"),
                None => break,
            }
        }
        // Two of them are less than a megabyte, three are more. The last page may have fewer.
        let (last, whole) = pages.split_last().unwrap();
        assert!(whole.len() >= 2 && whole.iter().all(|items| *items == 2), "{id}: {pages:?}");
        assert!((1..=2).contains(last), "{id}: {pages:?}");
    }
}

#[actix_web::test]
async fn rule_an_unknown_value_of_a_filter_is_refused_by_name() {
    let world = World::open().await;
    let mut seen = 0;
    for (id, read) in reads() {
        for parameter in parameters(read).filter(|one| one["in"] == "query" && one["name"] != "cursor") {
            let (name, schema) = (parameter["name"].as_str().unwrap(), resolved(&parameter["schema"]));
            let mut ask = world.ask(id, reader(id)).await;
            ask.path = format!("{}?{name}=no-such-thing", ask.path.split('?').next().unwrap());
            let refused = ask.send(&world.app).await.expect(422).refused("invalid");
            let faults = refused.body["errors"].as_array().unwrap();
            assert!(
                faults.iter().any(|fault| fault["in"] == "query" && fault["name"] == name),
                "{id} {name}: {schema}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 20, "{seen}");
    assert!(operations().len() > 60);
}
