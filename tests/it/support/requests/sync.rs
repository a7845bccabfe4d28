//! Requests of phones that keep their patient's data.

use serde_json::json;

use super::{Ask, Asker};
use crate::support::app::new_id;

/// The request for `operation`, if it is one of these.
pub async fn ask(asker: &Asker<'_>, operation: &str) -> Option<Ask> {
    Some(match operation {
        "get_bundle" => Ask::get("/v1/bundle"),
        "check_integrity" => Ask::post(asker.of_ann("/integrity")).with(json!({
            "epoch": "Zx0vQW8mT3eYb1c5aDf2gA",
            "have": [{ "kind": "entry", "id": asker.world.entry, "version": 1 }],
        })),
        "stream_changes" => Ask::get("/v1/me/changes/stream"),
        "pull_feed" => Ask::get("/v1/me/feed/changes?limit=200"),
        "pull_changes" => Ask::get(asker.of_ann("/changes?limit=200")),
        "push_mutations" => {
            let page = asker.world.ann().get(&asker.world.ann().my("/changes?limit=1")).send().await.ok();
            let mutation = json!({
                "mutation_id": new_id(&asker.world.app), "patient_id": asker.world.ann().patient, "kind": "entry",
                "id": new_id(&asker.world.app), "base_version": 0, "on_conflict": "keep_both",
                "header": { "kind": "reflection", "occurred_at": "2026-03-10T08:30:00+01:00" },
                "text": { "title": "On the train" }, "tags": ["takeaway"],
            });
            let body = json!({ "epoch": page.body["epoch"], "mutations": [mutation] });
            Ask::post(asker.of_ann("/mutations")).with(body)
        }
        _ => return None,
    })
}
