//! Requests about grants.

use jiff::SignedDuration;
use serde_json::json;

use super::{Ask, Asker};
use crate::support::app::new_id;
use crate::support::journal::{grant, with};
use crate::support::world::later;

/// The request for `operation`, if it is one of these.
pub async fn ask(asker: &Asker<'_>, operation: &str) -> Option<Ask> {
    let world = asker.world;
    let (ann, granted, owner) = (world.ann(), world.person("granted"), asker.owner());
    let ask = match operation {
        "list_grants" => Ask::get(asker.of_ann("/grants?limit=200")),
        "put_grant" => {
            let body = grant(&world.entry, &["text"], world.person("ungranted"));
            let body = with(body, json!({ "expires_at": later(&world.app, SignedDuration::from_secs(1)).to_string() }));
            Ask::put(asker.of_ann(&format!("/grants/{}", new_id(&world.app)))).with(body)
        }
        "delete_grant" => {
            let id = if owner { ann.opens(&world.entry, &["tags"], granted).await } else { world.grant.clone() };
            Ask::delete(asker.of_ann(&format!("/grants/{id}")))
        }
        _ => return None,
    };
    Some(ask)
}
