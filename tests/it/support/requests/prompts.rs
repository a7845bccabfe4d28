//! Requests about protocols, prompts and overrides.

use serde_json::json;

use super::{Ask, Asker};

/// The request for `operation`, if it is one of these.
pub async fn ask(asker: &Asker<'_>, operation: &str) -> Option<Ask> {
    let world = asker.world;
    let (ann, owner, n) = (world.ann(), asker.owner(), asker.n);
    let ask = match operation {
        "list_protocols" => Ask::get("/v1/protocols"),
        "preview_protocol" => Ask::post("/v1/protocols/afterglow-default/preview").with(json!({
            "infusions": [{ "planned_start": "2026-03-24T09:00:00+01:00", "ended_at": "2026-03-24T10:00:00+01:00" }],
            "zones": [{ "time_zone": "Europe/Berlin" }],
        })),
        "get_protocol" => Ask::get("/v1/protocols/afterglow-default"),
        "get_adherence" => Ask::get(asker.of_ann("/adherence")),
        "list_prompts" => Ask::get(asker.of_ann("/prompts?limit=200")),
        "open_prompt" | "complete_prompt" | "snooze_prompt" | "skip_prompt" => {
            let id = if owner { world.fresh_prompt().await } else { world.prompt.clone() };
            let verb = operation.strip_suffix("_prompt").unwrap();
            let ask = Ask::post(asker.of_ann(&format!("/prompts/{id}/{verb}")));
            match verb {
                "snooze" => ask.with(json!({ "until": "tomorrow" })),
                "skip" => ask.with(json!({ "reason": "not today" })),
                "complete" => ask.with(json!({ "occurred_at": world.app.now().to_string() })),
                _ => ask,
            }
        }
        "get_overrides" => Ask::get(asker.of_ann("/overrides")),
        "put_overrides" => {
            let tag = ann.get(&ann.my("/overrides")).send().await.ok().etag();
            let parts = ["morning", "midday", "afternoon", "evening"];
            let window = parts[usize::try_from(n).unwrap() % parts.len()];
            let body = json!({ "items": [{ "rule_key": "d6.people", "window": window }] });
            Ask::put(asker.of_ann("/overrides")).with(body).when(tag)
        }
        _ => return None,
    };
    Some(ask)
}
