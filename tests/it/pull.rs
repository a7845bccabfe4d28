//! What a phone keeps of its patient: a first pull of everything, then what has changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_id};
use crate::support::database::on_postgres;
use crate::support::journal::{reflection, two, with};
use crate::support::lakeside::{Visitor, lakeside};
use crate::support::phone::{Phone, Things, key_of, live, new_phone, page};
use crate::support::sql::Sql;

#[actix_web::test]
async fn a_first_pull_brings_everything_the_first_screen_first() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (kept, infusion) = live(&app, &theo, &ann).await;
    for day in 1..=25 {
        let at = format!("2026-02-{day:02}T08:00:00Z");
        ann.writes(with(reflection("Older"), json!({ "occurred_at": at }))).await;
    }
    let mut phone = Phone::default();
    let (first, more) = phone.page(&ann, 200).await;
    assert!(more);
    let kinds: Vec<&str> = first.iter().map(|item| item["kind"].as_str().unwrap()).collect();
    let mut order = kinds.clone();
    order.dedup();
    let expected = ["settings", "care_link", "infusion", "pause", "grant", "assignment", "prompt", "entry"];
    assert_eq!(order, expected, "what the first screen shows stands on the first page");
    assert_eq!(kinds.iter().filter(|kind| **kind == "entry").count(), 20);
    let newest: Vec<&str> =
        first.iter().filter_map(|item| item.pointer("/header/occurred_at").and_then(Value::as_str)).collect();
    assert!(newest.is_sorted_by(|one, next| one >= next), "the newest first");
    phone.pull(&ann, 200).await;
    for (kind, count) in [
        ("settings", 1),
        ("care_link", 1),
        ("infusion", 1),
        ("pause", 1),
        ("grant", 1),
        ("assignment", 1),
        ("entry", 27),
        ("exercise_response", 1),
        ("comment", 1),
        ("receipt", 2),
    ] {
        assert_eq!(phone.of_kind(kind).len(), count, "{kind}");
    }
    let planned = ann.prompts().await.len();
    assert!(planned > 5 && phone.of_kind("prompt").len() >= planned, "every prompt of the plan");
    let entry = phone.item("entry", &kept);
    let own = ann.entry(&kept).await.ok();
    for section in ["text", "mood", "tags", "received_at", "version"] {
        assert_eq!(entry[section], own.body[section], "{section}");
    }
    assert_eq!(entry["header"]["occurred_at"], own.body["occurred_at"]);
    assert_eq!(phone.item("infusion", &infusion)["fields"]["dose_mg"], json!(35.0));
    assert_eq!(phone.of_kind("comment")[0]["body"], "Thank you.");
}

#[actix_web::test]
async fn what_changed_comes_once_as_it_is_and_what_is_deleted_as_a_tombstone() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let mut phone = new_phone(&ann).await;
    assert_eq!(phone.pull(&ann, 50).await, Vec::<Value>::new(), "nothing has changed");
    let before = phone.seq;
    let (kept, _) = live(&app, &theo, &ann).await;
    let items = phone.pull(&ann, 200).await;
    let mut seen = BTreeMap::new();
    for item in &items {
        assert!(seen.insert(key_of(item), ()).is_none(), "{item} came twice");
        assert!(item["seq"].as_i64().unwrap() > before);
    }
    let numbers: Vec<i64> = items.iter().map(|item| item["seq"].as_i64().unwrap()).collect();
    assert!(numbers.is_sorted());
    let gone: Vec<&Value> = items.iter().filter(|item| item["deleted"] == true).collect();
    let kinds: Vec<&str> = gone.iter().map(|item| item["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["grant", "pause", "entry"], "one of each was ended or deleted");
    let words = gone[2].as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(words, ["deleted", "deleted_at", "id", "kind", "seq", "undelete_until", "version"]);
    assert_eq!(phone.item("entry", &kept)["version"], 2);
    phone.equals(&new_phone(&ann).await);
}

/// Whatever the size of the pages, and whatever happens between them.
#[actix_web::test]
async fn an_old_phone_holds_what_a_new_one_is_given() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    live(&app, &theo, &ann).await;
    let mut phones = [(1, Phone::default()), (7, Phone::default()), (200, Phone::default())];
    for round in 0..3 {
        // A page of each phone stands between the changes: the first pulls go on while things change.
        for (limit, phone) in &mut phones {
            phone.page(&ann, *limit).await;
        }
        app.wait(SignedDuration::from_hours(30));
        live(&app, &theo, &ann).await;
        let day = ["monday", "tuesday", "friday"][round];
        ann.sets(json!({ "weekly_day": day })).await;
        for (limit, phone) in &mut phones {
            phone.page(&ann, *limit).await;
        }
        let prompt = ann.prompts().await.into_iter().find(|prompt| prompt["state"] == "planned").unwrap();
        let path = ann.my(&format!("/prompts/{}/snooze", prompt["id"].as_str().unwrap()));
        ann.post(&path, json!({ "until": "tomorrow" })).send().await.ok();
    }
    for (limit, phone) in &mut phones {
        phone.pull(&ann, *limit).await;
        phone.equals(&new_phone(&ann).await);
    }
}

/// Two phones at one version hold the same: what others do, the clock, and corrected infusions change nothing of a thing
/// that has not changed itself.
#[actix_web::test]
async fn an_item_shows_what_its_version_covers_and_nothing_else() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (kept, infusion) = live(&app, &theo, &ann).await;
    let before = new_phone(&ann).await;
    theo.post(&ann.of_theirs(&format!("/entries/{kept}/opened")), json!({})).send().await.ok();
    app.wait(SignedDuration::from_hours(26));
    let path = ann.of_theirs(&format!("/infusions/{infusion}"));
    let tag = theo.get(&path).send().await.ok().etag();
    theo.patch(&path, json!({ "ended_at": "2026-03-10T06:00:00Z", "started_at": "2026-03-10T05:00:00Z" }))
        .if_match(&tag)
        .send()
        .await
        .ok();
    let link = before.of_kind("care_link")[0]["id"].as_str().unwrap().to_owned();
    ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    let after = new_phone(&ann).await;
    let mut same = 0;
    for (key, item) in &before.things {
        let Some(now) = after.things.get(key) else { continue };
        if now["version"] == item["version"] {
            assert_eq!(now, item);
            same += 1;
        }
    }
    assert!(same > 8, "{same}");
    assert_eq!(after.item("care_link", &link)["fields"]["state"], "ended");
    let others = after.things.values().filter(|item| item["kind"] != "receipt");
    let shown = serde_json::to_string(&others.collect::<Vec<_>>()).unwrap();
    for derived in ["\"context\"", "\"phase\"", "\"seen_by\"", "\"local_date\"", "\"driving\"", "\"delivered"] {
        assert!(!shown.contains(derived), "{derived}");
    }
}

#[actix_web::test]
async fn a_caution_and_what_it_withholds_are_never_told() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now()).await;
    let mut phone = new_phone(&ann).await;
    let path = ann.of_theirs("/cautions");
    let tag = theo.get(&path).send().await.ok().etag();
    theo.put(&path, json!({ "flags": ["psychosis_mania", "ptsd_active"] })).if_match(&tag).send().await.ok();
    phone.pull(&ann, 200).await;
    let shown = serde_json::to_string(&phone.things.values().collect::<Vec<_>>()).unwrap();
    for word in ["caution", "withheld", "psychosis"] {
        assert!(!shown.contains(word), "{word}");
    }
}

#[actix_web::test]
async fn a_cursor_is_its_callers_and_of_one_epoch() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let bea = app.patient(&theo, "Bea Holt").await;
    ann.writes(reflection("Lake")).await;
    let phone = new_phone(&ann).await;
    let cursor = phone.cursor.clone().unwrap();
    assert!(cursor.len() <= 200, "{}", cursor.len());
    page(&bea, Some(&cursor), 20).await.expect(422);
    page(&ann, Some("v1.nonsense"), 20).await.expect(422);
    ann.get(&ann.my("/changes?limit=0")).send().await.expect(422);
    ann.get(&ann.my("/changes?since=3")).send().await.expect(422);
    theo.get(&ann.of_theirs("/changes")).send().await.expect(403);
    bea.get(&ann.of_theirs("/changes")).send().await.not_found();
    // The data went back behind what the phone knows, as after a restore of which nobody said a word.
    let mut sql = Sql::open(&app.database.backend);
    sql.run("UPDATE patient_heads SET change_seq = change_seq - 1");
    let gone = page(&ann, Some(&cursor), 20).await.expect(410);
    assert_eq!((&gone.body["code"], &gone.body["reason"]), (&json!("resync_required"), &json!("ahead")));
    assert_eq!(gone.body["client_action"], "keep", "a phone deletes nothing");
    sql.run("UPDATE patient_heads SET change_seq = change_seq + 1");
    assert!(page(&ann, Some(&cursor), 20).await.ok().items().is_empty());
    // What came after it may have been forgotten; while a first pull goes on, what came after its beginning.
    let first = page(&ann, None, 1).await.ok().text("/cursor");
    sql.run("UPDATE patient_heads SET horizon_seq = change_seq");
    for at_horizon in [&cursor, &first] {
        page(&ann, Some(at_horizon), 1).await.ok();
    }
    ann.writes(reflection("River")).await;
    sql.run("UPDATE patient_heads SET horizon_seq = change_seq");
    for old in [&cursor, &first] {
        let gone = page(&ann, Some(old), 20).await.expect(410);
        assert_eq!((&gone.body["code"], &gone.body["reason"]), (&json!("resync_required"), &json!("too_old")));
        assert_eq!((&gone.body["client_action"], &gone.body["epoch"]), (&json!("keep"), &json!(phone.epoch)));
    }
    new_phone(&ann).await;
    let value = if on_postgres() {
        "decode('000102030405060708090a0b0c0d0e0f', 'hex')"
    } else {
        "x'000102030405060708090a0b0c0d0e0f'"
    };
    sql.run(&format!("UPDATE settings SET value = {value} WHERE name = 'epoch'"));
    let gone = page(&ann, Some(&cursor), 20).await.expect(410);
    assert_eq!((&gone.body["reason"], &gone.body["epoch"]), (&json!("epoch"), &json!("AAECAwQFBgcICQoLDA0ODw")));
    let fresh = page(&ann, None, 20).await.ok();
    assert_eq!(fresh.body["epoch"], gone.body["epoch"], "and without a cursor it begins again");
}

/// A row that does not open stands in its place: the phone keeps what it holds.
#[actix_web::test]
async fn a_damaged_row_is_told_as_unreadable() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let (kept, other) = (ann.writes(reflection("Lake")).await, ann.writes(reflection("River")).await);
    let bytes = if on_postgres() { "decode('00', 'hex')" } else { "x'00'" };
    let id = kept.replace('-', "");
    let same = if on_postgres() { format!("'{kept}'") } else { format!("x'{id}'") };
    Sql::open(&app.database.backend).run(&format!("UPDATE entries SET text = {bytes} WHERE id = {same}"));
    let phone = new_phone(&ann).await;
    assert_eq!(phone.item("entry", &kept)["unreadable"], true);
    assert_eq!(phone.item("entry", &other)["text"]["title"], "River");
}

/// A believable life: what lists show, phones hold.
#[actix_web::test]
async fn the_demo_clinic_comes_whole() {
    let app = lakeside().await;
    let mut seen = 0;
    for email in ["mara@example.org", "jonah@example.org"] {
        let visitor = Visitor::log_in(&app, email).await;
        let mut held: Things = BTreeMap::new();
        let mut cursor = String::new();
        loop {
            let page = visitor.ask(&format!("/v1/patients/me/changes?limit=200{cursor}")).await.ok();
            held.extend(page.items().iter().map(|item| (key_of(item), item.clone())));
            cursor = format!("&cursor={}", page.text("/cursor"));
            if page.body["has_more"] == false {
                break;
            }
        }
        for (kind, list) in
            [("entry", "/entries"), ("exercise_response", "/exercise-responses"), ("infusion", "/infusions")]
        {
            for item in visitor.mine(&list[1..]).await {
                let held = &held[&(kind.to_owned(), item["id"].as_str().unwrap().to_owned())];
                assert_eq!(held["version"], item["version"]);
                assert_eq!(held["text"], item["text"]);
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen}");
}

/// Numbers are given under a lock that is held until the commit: a snapshot that sees one sees all below it.
/// `AFTERGLOW_CHANGES` is the number of changes; 100,000 take some minutes on PostgreSQL.
#[actix_web::test]
async fn i12_a_cursor_skips_nothing_while_others_write() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let ann = Arc::new(ann);
    #[expect(clippy::disallowed_methods, reason = "a test's own variable")]
    let changes: usize = std::env::var("AFTERGLOW_CHANGES").map_or(400, |count| count.parse().unwrap());
    let written = Arc::new(AtomicUsize::new(0));
    let writers = (0..8).map(|_| {
        let (app, ann, written) = (Arc::clone(&app), Arc::clone(&ann), Arc::clone(&written));
        async move {
            let mut ids = Vec::new();
            while written.fetch_add(1, Ordering::SeqCst) < changes {
                let id = new_id(&app);
                ann.put_entry(&id, reflection("Lake")).send().await.created();
                ids.push(id);
            }
            ids
        }
    });
    let pullers = (0..4).map(|turn| {
        let (ann, written) = (Arc::clone(&ann), Arc::clone(&written));
        async move {
            let mut phone = new_phone(&ann).await;
            while written.load(Ordering::SeqCst) < changes + 8 {
                phone.page(&ann, 5 + 40 * turn).await;
            }
            phone.pull(&ann, 200).await;
            phone
        }
    });
    let (ids, phones) = tokio::join!(futures_util::future::join_all(writers), futures_util::future::join_all(pullers));
    let ids: Vec<String> = ids.into_iter().flatten().collect();
    assert!(ids.len() >= changes);
    for phone in phones {
        let missed = ids.iter().filter(|id| !phone.things.contains_key(&("entry".to_owned(), (*id).clone()))).count();
        assert_eq!(missed, 0);
    }
}
