//! Requests about accounts and sessions.

use serde_json::json;

use super::{Ask, Asker};
use crate::support::accounts::{code_of, code_sent_to, has_proved_address, proves, with_factor};
use crate::support::app::new_id;
use crate::support::authenticator::{made, with_passkey};
use crate::support::people::{PASSPHRASE, Person, Session, registration};

/// The address of the session in which somebody asks, and its tag.
async fn own_session(person: &Person) -> (String, String) {
    let list = person.get("/v1/me/sessions").send().await.ok();
    let own = list.items().iter().find(|session| session["current"] == true).unwrap();
    let text = |name: &str| own[name].as_str().unwrap().to_owned();
    (format!("/v1/me/sessions/{}", text("id")), text("etag"))
}

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
        "revoke_token" => {
            let token = world.logged_in("owner").await.text("/tokens/refresh_token");
            Ask::post("/v1/auth/revoke").with(json!({ "token": token })).into_form()
        }
        "list_sessions" => Ask::get("/v1/me/sessions"),
        "list_security_events" => Ask::get("/v1/me/security-events"),
        "delete_other_sessions" => Ask::delete("/v1/me/sessions"),
        "patch_session" => {
            let (path, tag) = own_session(world.ann()).await;
            Ask::patch(path).with(json!({ "device_name": format!("Telephone {n}") })).when(tag)
        }
        "delete_session" => {
            let other = world.logged_in("owner").await.text("/tokens/session_id");
            Ask::delete(format!("/v1/me/sessions/{other}"))
        }
        "get_me" => Ask::get("/v1/me"),
        "patch_me" => {
            let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
            let tag = world.ann().get("/v1/me").send().await.ok().etag();
            Ask::patch("/v1/me").with(json!({ "weekly_day": days[(n % 6) as usize] })).when(tag)
        }
        _ => return account(asker, operation).await,
    };
    Some(ask)
}

/// Somebody who has just joined: nothing happens to the people of the world.
async fn newcomer(asker: &Asker<'_>) -> (Person, String) {
    let code = asker.world.person("admin").code_for_staff(&["duty"]).await;
    let person = asker.world.app.register(&format!("Passer {}", asker.n), &code).await;
    (person, format!("passer.{}@example.org", asker.n))
}

/// The request for `operation`, if it is about the life of an account.
async fn account(asker: &Asker<'_>, operation: &str) -> Option<Ask> {
    let (world, who, n) = (asker.world, asker.who, asker.n);
    let here = !["anonymous", "disabled"].contains(&who);
    let ask = match operation {
        "request_passphrase_reset" => {
            Ask::post("/v1/auth/passphrase-reset").with(json!({ "email": "ann.walker@example.org" }))
        }
        "confirm_passphrase_reset" => {
            let (person, email) = newcomer(asker).await;
            has_proved_address(&person).await;
            world.app.post("/v1/auth/passphrase-reset", json!({ "email": email })).send().await.expect(202);
            let code = code_sent_to(&world.app, &email).await;
            Ask::post("/v1/auth/passphrase-reset/confirm").with(json!({ "code": code, "passphrase": PASSPHRASE }))
        }
        "verify_email" => {
            let (person, email) = newcomer(asker).await;
            person.act("/v1/me/email/verification").send().await.ok();
            let code = code_sent_to(&world.app, &email).await;
            let mut ask = Ask::post("/v1/auth/verify-email").with(json!({ "code": code }));
            if here {
                ask.session = Some(person.session);
            }
            ask
        }
        "send_verification" => {
            // This one has proved their address: the code goes to the one that is to take its place.
            if who == "granted" {
                let wish = json!({ "email": format!("another.{n}@example.org"), "passphrase": PASSPHRASE });
                world.person(who).post("/v1/me/email", wish).send().await.ok();
            }
            Ask::post("/v1/me/email/verification")
        }
        "change_email" => {
            let email = format!("another.{n}@example.org");
            Ask::post("/v1/me/email").with(json!({ "email": email, "passphrase": PASSPHRASE }))
        }
        // The same one again, with which the others of this world log in.
        "change_passphrase" => {
            Ask::post("/v1/me/passphrase").with(json!({ "passphrase": PASSPHRASE, "new_passphrase": PASSPHRASE }))
        }
        "disable_account" => {
            let mut ask = Ask::post("/v1/me/disable").with(json!({ "passphrase": PASSPHRASE }));
            if here {
                ask.session = Some(newcomer(asker).await.0.session);
            }
            ask
        }
        "step_up" => Ask::post("/v1/auth/step-up").with(json!({ "passphrase": PASSPHRASE })),
        "get_factors" => Ask::get("/v1/me/factors"),
        "begin_totp" => {
            if here {
                proves(world.person(who)).await;
            }
            Ask::post("/v1/me/factors/totp")
        }
        // Nobody of this world needs a code for a log-in.
        "confirm_totp" => {
            let mut ask = Ask::post("/v1/me/factors/totp/confirm").with(json!({ "code": "287082" }));
            if here {
                let (person, _) = newcomer(asker).await;
                let secret = person.act("/v1/me/factors/totp").send().await.ok().text("/secret");
                ask = ask.with(json!({ "code": code_of(&world.app, &secret) }));
                ask.session = Some(person.session);
            }
            ask
        }
        "delete_totp" | "renew_recovery_codes" => {
            let mut ask = if operation == "delete_totp" {
                Ask::delete("/v1/me/factors/totp")
            } else {
                Ask::post("/v1/me/factors/recovery-codes")
            };
            if here {
                let (person, _) = newcomer(asker).await;
                with_factor(&person).await;
                ask.session = Some(person.session);
            }
            ask
        }
        "begin_passkey_log_in" => Ask::post("/v1/auth/passkey/begin"),
        "log_in_with_passkey" => {
            let (mut device, _) = with_passkey(&newcomer(asker).await.0).await;
            Ask::post("/v1/auth/passkey/finish").with(device.answers(&world.app).await)
        }
        "begin_passkey" | "add_passkey" | "delete_passkey" => passkeys(asker, operation, here).await,
        "get_profile" => Ask::get("/v1/me/profile"),
        "patch_profile" => {
            let languages = ["de", "es", "fr", "it", "nl", "pl"];
            let tag =
                if here { world.person(who).get("/v1/me/profile").send().await.ok().etag() } else { "*".to_owned() };
            Ask::patch("/v1/me/profile").with(json!({ "locale": languages[(n % 6) as usize] })).when(tag)
        }
        _ => return None,
    };
    Some(ask)
}

/// The request for `operation`, which is about the passkeys of whoever asks.
async fn passkeys(asker: &Asker<'_>, operation: &str, here: bool) -> Ask {
    let (world, who) = (asker.world, asker.who);
    if here {
        proves(world.person(who)).await;
    }
    match (operation, here) {
        ("begin_passkey", _) => Ask::post("/v1/me/factors/passkeys/begin"),
        ("add_passkey", true) => Ask::post("/v1/me/factors/passkeys").with(made(world.person(who)).await.1),
        ("add_passkey", false) => {
            Ask::post("/v1/me/factors/passkeys").with(json!({ "name": "Phone", "ceremony": "none", "credential": {} }))
        }
        _ => {
            let id = if here { with_passkey(world.person(who)).await.1 } else { new_id(&world.app) };
            Ask::delete(format!("/v1/me/factors/passkeys/{id}"))
        }
    }
}
