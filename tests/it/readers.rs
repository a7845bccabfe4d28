//! The order in which a reader sees what was opened to them.

use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of, new_id};
use crate::support::exercises::work;
use crate::support::journal::{grant, ids, reflection, two, with};
use crate::support::people::Person;

/// Every item of a list, read in pages of `limit`: its id and its date.
async fn all(reader: &Person, of: &Person, list: &str, limit: usize) -> Vec<(String, String)> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = reader.reads(of, &format!("{list}?limit={limit}{cursor}")).await.ok();
        assert!(page.items().len() <= limit);
        seen.extend(page.items().iter().map(|item| (id_of(item), item["local_date"].as_str().unwrap().to_owned())));
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
}

/// What is written on three dates, in the order of writing: in zones that are a day apart, so that what has the later
/// date may have happened earlier.
fn moments() -> Vec<(String, &'static str)> {
    let mut all = Vec::new();
    for day in 8..11 {
        for hour in 0..12 {
            all.push((format!("2026-03-{day:02}T{:02}:10:00Z", 11 + hour), "Pacific/Pago_Pago"));
            all.push((format!("2026-03-{:02}T{:02}:20:00Z", day - 1, 11 + hour), "Pacific/Kiritimati"));
        }
    }
    all
}

#[actix_web::test]
async fn rule_a_readers_list_is_by_local_date_and_then_in_an_order_that_tells_nothing() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    for (list, kind) in [("/entries", "entry"), ("/exercise-responses", "exercise_response")] {
        let mut written = Vec::new();
        for (at, zone) in moments() {
            let when = json!({ "occurred_at": at, "zone": zone });
            let id = if kind == "entry" {
                ann.writes(with(reflection("Lake"), when)).await
            } else {
                ann.works(with(work(), when)).await
            };
            let sections = if kind == "entry" { ["text", "tags"] } else { ["answers", "distress"] };
            // Two grants on each, so that a page may be cut between them.
            for section in sections {
                let mut body = grant(&id, &[section], &theo);
                body["target"]["type"] = json!(kind);
                ann.put(&ann.my(&format!("/grants/{}", new_id(&app))), body).send().await.created();
            }
            written.push(id);
        }
        let whole = all(&theo, &ann, list, 200).await;
        assert_eq!(whole.len(), written.len(), "{list}");
        for limit in [5, 30] {
            assert_eq!(all(&theo, &ann, list, limit).await, whole, "{list}: pages of {limit}");
        }
        let dates: Vec<&String> = whole.iter().map(|(_, date)| date).collect();
        assert!(dates.is_sorted_by(|one, two| one >= two), "{list}: {dates:?}");
        let distinct: std::collections::BTreeSet<_> = dates.iter().collect();
        assert_eq!(distinct.len(), 3, "{distinct:?}");
        for date in distinct {
            let place = |id: &String| written.iter().position(|known| known == id).unwrap();
            let order: Vec<usize> = whole.iter().filter(|(_, of)| of == *date).map(|(id, _)| place(id)).collect();
            // Of 24 in a random order some 138 of the 276 pairs are as they were written; fewer than 30 or more than
            // 246 are so once in some million times.
            let pairs = (0..order.len()).flat_map(|a| (a + 1..order.len()).map(move |b| (a, b)));
            let kept = pairs.filter(|(a, b)| order[*a] < order[*b]).count();
            assert!(order.len() == 24 && (30..=246).contains(&kept), "{list} on {date}: {order:?}");
        }

        // Another hour of the same date changes nothing that a reader sees; another date moves the item.
        let of = |id: &str| format!("{list}/{id}");
        let change = async |id: &str, at: &str| {
            let tag = ann.get(&ann.my(&of(id))).send().await.ok().etag();
            let body = json!({ "occurred_at": at });
            ann.patch(&ann.my(&of(id)), body).if_match(&tag).send().await.ok();
        };
        change(&written[0], "2026-03-09T09:00:00Z").await;
        assert_eq!(all(&theo, &ann, list, 5).await, whole, "{list}");
        change(&written[0], "2026-03-12T15:00:00Z").await;
        let moved = all(&theo, &ann, list, 5).await;
        assert_eq!(moved[0], (written[0].clone(), "2026-03-12".to_owned()), "{list}");
        assert_eq!(moved.len(), whole.len(), "{list}");
        assert_eq!(all(&theo, &ann, list, 200).await, moved, "{list}");
        if kind == "entry" {
            let dated = "/entries?from=2026-03-08&to=2026-03-09&limit=200";
            let some = ids(&theo.reads(&ann, dated).await.ok());
            let of_these: Vec<String> =
                moved.iter().filter(|(_, date)| date.as_str() < "2026-03-10").map(|(id, _)| id.clone()).collect();
            assert_eq!(some, of_these);
        }
    }
}

#[actix_web::test]
async fn a_date_with_more_items_than_one_walk_is_shown_in_parts_and_whole() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    // Each step of a walk reads a number of rows, and here each item has forty.
    for _ in 0..40 {
        let rule = json!({
            "rule": { "kind": "reflection" }, "sections": ["text"],
            "reader": { "type": "therapist", "account_id": theo.account },
        });
        ann.put(&ann.my(&format!("/grants/{}", new_id(&app))), rule).send().await.created();
    }
    let mut written = Vec::new();
    for n in 0..130 {
        let at = format!("2026-03-10T08:{:02}:{:02}Z", n / 60, n % 60);
        let body = json!({ "kind": "reflection", "occurred_at": at, "text": { "body": "So it was." } });
        written.push(ann.writes(body).await);
    }
    assert!(ids(&theo.reads(&ann, "/entries?limit=200").await.ok()).len() < 130, "one page holds a part");
    for limit in [7, 50] {
        assert_eq!(all(&theo, &ann, "/entries", limit).await, all(&theo, &ann, "/entries", 200).await);
    }
    let seen = all(&theo, &ann, "/entries", 200).await;
    let mut ids: Vec<&String> = seen.iter().map(|(id, _)| id).collect();
    let newest_first = ids.iter().rev().zip(&written).filter(|(one, two)| *one == two).count();
    assert!(newest_first < 15, "{newest_first} stand where they were written");
    ids.sort_unstable();
    written.sort_unstable();
    assert_eq!(ids.len(), written.len());
    assert!(ids.iter().zip(&written).all(|(one, two)| *one == two), "each once");
    let log = ann.get(&ann.my("/access-log?limit=1")).send().await.ok();
    let last: &Value = &log.items()[0];
    assert!(last["ids"].as_array().unwrap().len() <= 200, "{last}");
}
