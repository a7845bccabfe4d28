//! Chains of events that random lives have found, each by itself.

use afterglow::db::Backend;
use serde_json::json;
use tempfile::TempDir;

use crate::reference_phone::Phone;
use crate::support::app::{TestApp, new_id};
use crate::support::database::new_folder;
use crate::support::dice::Dice;
use crate::support::journal::{reflection, two, with};
use crate::support::people::Person;
use crate::support::sql::Sql;
use crate::support::sync::{send, syncs};

fn phone(folder: &TempDir, name: &str, ann: &Person, seed: u64) -> Phone {
    let dice = Dice::new(seed);
    Phone::open(&folder.path().join(name), (&ann.patient, &ann.account), move || dice.id())
}

fn comments(phone: &mut Phone) -> usize {
    phone.things().iter().filter(|thing| thing.kind == "comment").count()
}

/// An entry is deleted elsewhere, and on this phone while the page that tells of it is under way. The phone passes over
/// the tombstone, since its copy has a change: the answer to its own deletion is the last that it hears of it.
#[actix_web::test]
async fn rule_phone_the_comments_of_an_entry_go_with_the_answer_to_its_deletion() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = ann.writes(reflection("Lake")).await;
    ann.opens(&id, &["text"], &theo).await;
    let thread = ann.of_theirs(&format!("/entries/{id}/comments"));
    theo.says(&thread, json!({ "body": "Thank you." })).send().await.created();
    let folder = new_folder();
    let mut held = phone(&folder, "phone", &ann, 1);
    syncs(&ann, &mut held).await;
    assert_eq!(comments(&mut held), 1);
    let path = ann.my(&format!("/entries/{id}"));
    ann.delete(&path).if_match(&ann.entry(&id).await.ok().etag()).send().await.no_content();
    held.wake();
    let page = held.next();
    let (status, body) = send(&ann, &page).await;
    held.delete("entry", &id);
    held.take(&page, (status, &body));
    syncs(&ann, &mut held).await;
    assert_eq!(comments(&mut held), 0, "a new phone has none");
    // They come back with it.
    ann.act(&format!("{path}/undelete")).send().await.ok();
    syncs(&ann, &mut held).await;
    assert_eq!(comments(&mut held), 1);
}

/// A phone comes back from its backup of the time before its first push. The page holds what it pushes again, and is
/// passed over.
#[actix_web::test]
async fn rule_phone_what_was_made_before_its_backup_is_in_the_end_as_the_server_has_it() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let folder = new_folder();
    let mut lost = phone(&folder, "phone", &ann, 1);
    let id = new_id(&app);
    // Its clock is wrong, which the server notes.
    let header = json!({ "kind": "reflection", "status": "done", "occurred_at": "2026-03-12T08:00:00Z" });
    lost.edit(("entry", &id), "header", header);
    lost.edit(("entry", &id), "text", json!({ "body": "It was quiet." }));
    let backup = folder.path().join("backup");
    let file = Backend::Sqlite(folder.path().join("phone"));
    Sql::open(&file).run(&format!("VACUUM INTO '{}'", backup.display()));
    syncs(&ann, &mut lost).await;
    let mut back = phone(&folder, "backup", &ann, 2);
    syncs(&ann, &mut back).await;
    let mut new = phone(&folder, "new", &ann, 3);
    syncs(&ann, &mut new).await;
    let stored = new.find("entry", &id).unwrap().base;
    assert_eq!((&stored["header"]["clock_suspect"], &stored["version"]), (&json!(true), &json!(1)));
    for held in [&mut lost, &mut back] {
        assert_eq!(held.find("entry", &id).unwrap().base, stored);
    }
}

/// A deletion is undone, and the header and tags are changed before that is sent. The answer does not bring the words:
/// the change waits for the page that does, and undoes no deletion that came between.
#[actix_web::test]
async fn rule_phone_a_change_of_what_was_undeleted_waits_for_its_words_and_undoes_no_later_deletion() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let (kept, gone) = (ann.writes(reflection("Lake")).await, ann.writes(reflection("Wood")).await);
    let folder = new_folder();
    let mut held = phone(&folder, "phone", &ann, 1);
    syncs(&ann, &mut held).await;
    let header = with(held.find("entry", &kept).unwrap().base["header"].clone(), json!({ "kind": "dream" }));
    for id in [&kept, &gone] {
        held.delete("entry", id);
    }
    syncs(&ann, &mut held).await;
    for id in [&kept, &gone] {
        held.undelete("entry", id);
        held.edit(("entry", id), "header", header.clone());
        held.edit(("entry", id), "tags", json!(["walk"]));
    }
    let undeletes = held.next();
    let (status, body) = send(&ann, &undeletes).await;
    for result in body["results"].as_array().unwrap() {
        assert_eq!(result["status"], "applied", "{result:#}");
    }
    held.take(&undeletes, (status, &body));
    // One of them is deleted again, elsewhere.
    let tag = ann.entry(&gone).await.ok().etag();
    ann.delete(&ann.my(&format!("/entries/{gone}"))).if_match(&tag).send().await.no_content();
    syncs(&ann, &mut held).await;
    ann.entry(&gone).await.expect(410).refused("deleted");
    let thing = held.find("entry", &gone).unwrap();
    assert!(thing.deleted && thing.dirty.is_empty(), "{thing:?}");
    let entry = ann.entry(&kept).await.ok().body;
    assert_eq!((&entry["kind"], &entry["tags"]), (&json!("dream"), &json!(["lake", "walk"])));
    assert_eq!(entry["text"]["title"], "Lake");
    let mut new = phone(&folder, "new", &ann, 2);
    // What it has pushed comes back with the next page.
    for held in [&mut held, &mut new] {
        syncs(&ann, held).await;
    }
    assert_eq!(held.find("entry", &kept).unwrap().base, new.find("entry", &kept).unwrap().base);
    assert!(held.told().is_empty(), "{:?}", held.told());
}
