//! Requests about infusions, pauses and what follows from them.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Ask, Asker};
use crate::support::app::new_id;
use crate::support::world::{earlier, later, linked, planned_for};

/// The request for `operation`, if it is one of these.
pub async fn ask(asker: &Asker<'_>, operation: &str) -> Option<Ask> {
    let world = asker.world;
    let (ann, owner, who, n) = (world.ann(), asker.owner(), asker.who, asker.n);
    let ask = match operation {
        "list_courses" => Ask::get(asker.of_ann("/courses")),
        "list_infusions" => Ask::get(asker.of_ann("/infusions")),
        "get_infusion" => Ask::get(asker.of_ann(&format!("/infusions/{}", world.infusion))),
        "put_infusion" => {
            // At most two years ahead; the requests for one operation come one after the other.
            let place = i64::try_from(n % 1000).unwrap();
            let at = later(&world.app, SignedDuration::from_hours(24 * 40 + 13 * place));
            Ask::put(asker.of_ann(&format!("/infusions/{}", new_id(&world.app)))).with(planned_for(at))
        }
        "patch_infusion" => {
            let path = asker.of_ann(&format!("/infusions/{}", world.infusion));
            let tag = ann.get(&path).send().await.ok().etag();
            Ask::patch(path).with(json!({ "note": format!("Note {n}") })).when(tag)
        }
        "start_infusion" => {
            let at = earlier(&world.app, SignedDuration::from_hours(24 * 40 + 13 * i64::try_from(n).unwrap()));
            let mut id = world.planned.clone();
            if owner || linked(who) || who == "nurse" {
                id = new_id(&world.app);
                planned_long_ago(asker, &id, at).await;
            }
            Ask::post(asker.of_ann(&format!("/infusions/{id}/start"))).with(json!({ "started_at": at.to_string() }))
        }
        "end_infusion" => {
            let at = earlier(&world.app, SignedDuration::from_hours(24 * 40 + 13 * i64::try_from(n).unwrap()));
            let mut id = world.planned.clone();
            if owner || linked(who) || who == "nurse" {
                id = new_id(&world.app);
                planned_long_ago(asker, &id, at).await;
            }
            let ended = at.checked_add(SignedDuration::from_mins(40)).unwrap();
            Ask::post(asker.of_ann(&format!("/infusions/{id}/end")))
                .with(json!({ "ended_at": ended.to_string(), "dose_mg": 35.0 }))
        }
        "get_clinical_window" => Ask::get(asker.of_ann("/window/clinical")),
        "get_window" => Ask::get(asker.of_ann("/window")),
        "get_activity" => Ask::get(asker.of_ann("/activity")),
        "list_pauses" => Ask::get(asker.of_ann("/pauses")),
        "put_pause" => Ask::put(asker.of_ann(&format!("/pauses/{}", new_id(&world.app)))).with(far_pause(asker)),
        "delete_pause" => {
            let id = if owner {
                let id = new_id(&world.app);
                ann.put(&ann.my(&format!("/pauses/{id}")), far_pause(asker)).send().await.created();
                id
            } else {
                world.pause.clone()
            };
            Ask::delete(asker.of_ann(&format!("/pauses/{id}")))
        }
        _ => return None,
    };
    Some(ask)
}

/// A day that nobody else has paused, far from all plans.
fn far_pause(asker: &Asker<'_>) -> Value {
    let app = &asker.world.app;
    let from = SignedDuration::from_hours(24 * (500 + i64::try_from(asker.n).unwrap()));
    json!({
        "from": later(app, from).to_string(),
        "until": later(app, from + SignedDuration::from_hours(24)).to_string(),
    })
}

/// An infusion that was planned for `at`, long past: it was moved there, for a new one is recorded as completed.
async fn planned_long_ago(asker: &Asker<'_>, id: &str, at: Timestamp) {
    let (granted, path) = (asker.world.person("granted"), asker.of_ann(&format!("/infusions/{id}")));
    let ahead = SignedDuration::from_hours(24 * 30 + 5 * i64::try_from(asker.n).unwrap());
    let new = granted.put(&path, planned_for(later(&asker.world.app, ahead))).send().await.created();
    let moved = json!({ "planned_start": at.to_string() });
    granted.patch(&path, moved).if_match(&new.etag()).send().await.ok();
}
