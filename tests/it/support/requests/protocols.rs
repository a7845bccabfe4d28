//! Requests about the protocols of Ann's clinic, and the one that she follows.

use serde_json::{Value, json};

use super::{Ask, Asker};
use crate::support::protocols::{content, drafts, publishes};

/// The request for `operation`, if it is one of these.
pub async fn ask(asker: &Asker<'_>, operation: &str) -> Option<Ask> {
    let (world, n) = (asker.world, asker.n);
    let (admin, clinic) = (world.person("admin"), &world.clinic);
    let at = |id: &str| format!("/v1/clinics/{clinic}/protocols/{id}");
    let tag = |body: &Value| body["etag"].as_str().unwrap().to_owned();
    let ask = match operation {
        "get_protocol_schema" => Ask::get("/schemas/protocol.json"),
        "list_clinic_protocols" => Ask::get(format!("/v1/clinics/{clinic}/protocols?limit=200")),
        "get_clinic_protocol" => Ask::get(at(&world.protocol)),
        "compare_clinic_protocol" => Ask::get(format!("{}/comparison?before=1&after=1", at(&world.protocol))),
        "put_clinic_protocol" => {
            let (id, draft) = drafts(admin, clinic, content(&format!("Draft {n}"))).await;
            Ask::put(at(&id)).with(content(&format!("Another draft {n}"))).when(tag(&draft))
        }
        "publish_clinic_protocol" => {
            let (id, draft) = drafts(admin, clinic, content(&format!("Finished {n}"))).await;
            Ask::post(format!("{}/publish", at(&id))).when(tag(&draft))
        }
        "retire_clinic_protocol" => {
            let id = publishes(admin, clinic, content(&format!("Old {n}"))).await;
            Ask::post(format!("{}/retire", at(&id))).with(json!({ "version": 1 }))
        }
        "get_clinic_plan" => Ask::get(format!("/v1/clinics/{clinic}/protocol")),
        "put_clinic_plan" => {
            let id = publishes(admin, clinic, content(&format!("Ours {n}"))).await;
            let now = admin.get(&format!("/v1/clinics/{clinic}/protocol")).send().await.ok().body;
            Ask::put(format!("/v1/clinics/{clinic}/protocol")).with(json!({ "protocol_id": id })).when(tag(&now))
        }
        "get_chosen_protocol" => Ask::get(asker.of_ann("/protocol")),
        "put_chosen_protocol" => {
            let id = publishes(admin, clinic, content(&format!("Hers {n}"))).await;
            let now = world.ann().get(&world.ann().my("/protocol")).send().await.ok().body;
            Ask::put(asker.of_ann("/protocol")).with(json!({ "protocol_id": id })).when(tag(&now))
        }
        _ => return None,
    };
    Some(ask)
}
