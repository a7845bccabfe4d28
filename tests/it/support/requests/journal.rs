//! Requests about entries, their revisions and their comments.

use serde_json::json;

use super::{Ask, Asker};
use crate::support::app::new_id;
use crate::support::world::{CANARY, words};

/// The request for `operation`, if it is one of these.
pub async fn ask(asker: &Asker<'_>, operation: &str) -> Option<Ask> {
    let world = asker.world;
    let (ann, owner, n) = (world.ann(), asker.owner(), asker.n);
    let ask = match operation {
        "list_entries" => Ask::get(asker.of_ann("/entries?limit=200")),
        "search_entries" => Ask::post(asker.of_ann("/entries/search")).with(json!({ "words": CANARY })),
        "get_entry" => Ask::get(asker.of_ann(&format!("/entries/{}", world.entry))),
        "list_entries_as_reader" => {
            Ask::get(asker.of_ann(&format!("/view-as/{}/entries?limit=200", world.person("granted").account)))
        }
        "get_entry_as_reader" => {
            let reader = &world.person("granted").account;
            Ask::get(asker.of_ann(&format!("/view-as/{reader}/entries/{}", world.entry)))
        }
        "put_entry" => Ask::put(asker.of_ann(&format!("/entries/{}", new_id(&world.app)))).with(words()),
        "patch_entry" => {
            let id = if owner { ann.writes(words()).await } else { world.entry.clone() };
            let tag = ann.entry(&id).await.ok().etag();
            let body = json!({ "text": { "title": format!("Changed {n}") } });
            Ask::patch(asker.of_ann(&format!("/entries/{id}"))).with(body).when(tag)
        }
        "delete_entry" => {
            let id = if owner { ann.writes(words()).await } else { world.entry.clone() };
            Ask::delete(asker.of_ann(&format!("/entries/{id}")))
        }
        "undelete_entry" => {
            let id = if owner {
                let id = ann.writes(words()).await;
                ann.delete(&ann.my(&format!("/entries/{id}"))).send().await.no_content();
                id
            } else {
                world.deleted.clone()
            };
            Ask::post(asker.of_ann(&format!("/entries/{id}/undelete")))
        }
        "list_revisions" => Ask::get(asker.of_ann(&format!("/entries/{}/revisions", world.entry))),
        "get_revision" => Ask::get(asker.of_ann(&format!("/entries/{}/revisions/1", world.entry))),
        "restore_revision" => {
            let id = if owner {
                let id = ann.writes(words()).await;
                ann.edits(&id, json!({ "text": { "title": "Second" } })).await;
                id
            } else {
                world.entry.clone()
            };
            Ask::post(asker.of_ann(&format!("/entries/{id}/revisions/1/restore"))).when("\"v2\"".to_owned())
        }
        "list_comments" => Ask::get(asker.of_ann(&format!("/entries/{}/comments", world.entry))),
        "put_comment" => {
            let mut body = json!({ "body": format!("Number {n}") });
            if owner {
                body["thread_id"] = json!(world.link);
            }
            Ask::put(asker.of_ann(&format!("/entries/{}/comments/{}", world.entry, new_id(&world.app)))).with(body)
        }
        "mark_entry_opened" => Ask::post(asker.of_ann(&format!("/entries/{}/opened", world.entry))),
        _ => return None,
    };
    Some(ask)
}
