//! Requests about accounts and sessions.

use serde_json::json;

use super::{Ask, Asker};
use crate::support::people::{PASSPHRASE, Session, registration};

/// The request for `operation`, if it is one of these.
pub async fn ask(asker: &Asker<'_>, operation: &str) -> Option<Ask> {
    let world = asker.world;
    let (who, n) = (asker.who, asker.n);
    let ask = match operation {
        "log_in" => {
            Ask::post("/v1/auth/login").with(json!({ "email": "ann.walker@example.org", "passphrase": PASSPHRASE }))
        }
        "refresh_session" => {
            let token = world.logged_in("owner").await.text("/tokens/refresh_token");
            Ask::post("/v1/auth/refresh").with(json!({ "refresh_token": token }))
        }
        "register" => {
            let code = world.person("admin").code_for_staff(&["duty"]).await;
            Ask::post("/v1/auth/register").with(registration(&format!("Newcomer {n}"), &code))
        }
        "set_up" => Ask::post("/v1/setup").with(json!({
            "code": "7K2M-9XQ4-T0VB-HS3D", "clinic_name": "Another", "name": "Mallory",
            "email": "mallory@example.org", "passphrase": PASSPHRASE,
        })),
        "log_out" => {
            let mut ask = Ask::post("/v1/auth/logout");
            if !["anonymous", "disabled"].contains(&who) {
                ask.session = Some(Session::of(&world.app, &world.logged_in(who).await, "/tokens"));
            }
            ask
        }
        "get_me" => Ask::get("/v1/me"),
        "patch_me" => {
            let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
            let tag = world.ann().get("/v1/me").send().await.ok().etag();
            Ask::patch("/v1/me").with(json!({ "weekly_day": days[(n % 6) as usize] })).when(tag)
        }
        _ => return None,
    };
    Some(ask)
}
