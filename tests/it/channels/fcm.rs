//! Firebase Cloud Messaging.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use afterglow::channels::{Address, Channel as _, Fcm, SendError};
use afterglow::kernel::Clock;
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::keys::{Pair, rsa};
use super::outbound::Log;
use super::python::python;
use super::service::{Asked, Reply, Service};
use super::{TEXT, clock, faults, local, notice, now};

fn to() -> Address {
    Address::Fcm { token: "canary-registration".to_owned() }
}

/// A server of tokens: `canary-token-1`, `canary-token-2` and so on.
async fn tokens() -> Service {
    let count = AtomicUsize::new(0);
    Service::scripted(move |_| {
        let token = format!("canary-token-{}", count.fetch_add(1, Ordering::SeqCst) + 1);
        Reply::json(200, &json!({ "access_token": token, "expires_in": 3599, "token_type": "Bearer" }))
    })
    .await
}

fn fcm(service: &Service, tokens: &Service, key: &Pair, clock: Clock) -> Fcm {
    let account = json!({
        "type": "service_account",
        "project_id": "clinic-7",
        "private_key_id": "key-1",
        "private_key": key.private,
        "client_email": "push@clinic-7.iam.example",
        "token_uri": tokens.url("/token"),
    });
    Fcm::new(&account.to_string(), &service.url(""), local(), clock).unwrap()
}

fn bearer(asked: &Asked) -> &str {
    asked.header("authorization").strip_prefix("Bearer ").unwrap()
}

/// An error as the service words it.
fn error(status: u16, name: &str, code: &str, message: &str, field: Option<&str>) -> Reply {
    let mut details =
        vec![json!({ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code })];
    details.extend(field.map(|field| {
        json!({ "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{ "field": field }] })
    }));
    Reply::json(status, &json!({ "error": { "code": status, "message": message, "status": name, "details": details } }))
}

#[actix_web::test]
async fn a_phone_gets_a_message_with_ids_and_a_sentence_alone() {
    let (service, tokens, key) =
        (Service::start(Reply::json(200, &json!({ "name": "x" }))).await, tokens().await, rsa());
    let fcm = fcm(&service, &tokens, &key, clock());
    fcm.send(&to(), &notice(Some(TEXT))).await.unwrap();
    let (asked, push) = (service.only(), notice(None));
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/projects/clinic-7/messages:send"));
    assert_eq!(bearer(&asked), "canary-token-1");
    let expected = json!({ "message": {
        "token": "canary-registration",
        "data": { "id": push.prompt, "delivery": push.delivery },
        "notification": { "body": TEXT },
        "android": {
            "ttl": "3600s",
            "priority": "HIGH",
            "collapse_key": push.prompt,
            "notification": { "tag": push.prompt },
        },
    } });
    assert_eq!(asked.json(), expected);

    fcm.send(&to(), &notice(None)).await.unwrap();
    let silent = service.only().json();
    assert_eq!(silent["message"]["data"], expected["message"]["data"]);
    assert_eq!(silent["message"].get("notification"), None);
    let android = json!({ "ttl": "3600s", "priority": "NORMAL", "collapse_key": push.prompt });
    assert_eq!(silent["message"]["android"], android);

    // One token for both, for an assertion that the account has signed.
    let asked = tokens.only();
    assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded");
    let form: Vec<(String, String)> = form_urlencoded::parse(&asked.body).into_owned().collect();
    let [(kind, grant), (name, assertion)] = form.try_into().unwrap();
    assert_eq!([kind, grant, name], ["grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion"]);
    let public = jsonwebtoken::DecodingKey::from_rsa_pem(key.public.as_bytes()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.validate_exp = false;
    validation.set_audience(&[tokens.url("/token")]);
    let ours = jsonwebtoken::decode::<Value>(&assertion, &public, &validation).unwrap();
    assert_eq!(ours.header.kid.as_deref(), Some("key-1"));
    let claims = json!({
        "iss": "push@clinic-7.iam.example",
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": tokens.url("/token"),
        "iat": now().as_second(),
        "exp": now().as_second() + 3600,
    });
    assert_eq!(ours.claims, claims);
    let script = r#"
import jwt
free = {"verify_exp": False, "verify_iat": False}
print(json.dumps(jwt.decode(given["token"], given["key"], algorithms=["RS256"], audience=given["audience"], options=free)))
"#;
    let given = json!({ "token": assertion, "key": key.public, "audience": tokens.url("/token") });
    assert!(python(script, &given).is_none_or(|theirs| theirs == claims));
}

#[actix_web::test]
async fn a_token_is_asked_for_once_and_again_before_its_end_or_after_a_refusal() {
    let (service, tokens, clock) = (Service::start(Reply::status(200)).await, tokens().await, clock());
    let fcm = fcm(&service, &tokens, &rsa(), clock.clone());
    let (to, push) = (to(), notice(None));
    let sent = join_all((0..20).map(|_| fcm.send(&to, &push))).await;
    assert!(sent.iter().all(Result::is_ok));
    assert_eq!((tokens.asked().len(), service.asked().len()), (1, 20), "one asks, the others wait");
    for (minutes, token) in [(54, "canary-token-1"), (55, "canary-token-2")] {
        clock.set(now() + SignedDuration::from_mins(minutes));
        fcm.send(&to, &push).await.unwrap();
        assert_eq!(bearer(&service.only()), token);
    }
    clock.set(now() + SignedDuration::from_mins(60));
    service.answer(Reply::status(401));
    let refused = Err(SendError::Misconfigured { reason: "the service refuses the credentials" });
    assert_eq!(fcm.send(&to, &push).await, refused);
    let used: Vec<_> = service.asked().iter().map(|asked| bearer(asked).to_owned()).collect();
    assert_eq!(used, ["canary-token-2", "canary-token-3"], "once more, with another");
    assert_eq!(fcm.send(&to, &push).await, refused);
    assert_eq!(service.asked().len(), 1, "a new one is not asked for anew at once");
}

#[actix_web::test]
async fn a_service_account_may_be_refused_and_its_server_have_faults() {
    let (service, tokens) = (Service::start(Reply::status(200)).await, tokens().await);
    let fcm = fcm(&service, &tokens, &rsa(), clock());
    let refused = Err(SendError::Misconfigured { reason: "the service account is refused" });
    for reply in [
        Reply::json(400, &json!({ "error": "invalid_grant" })),
        Reply::status(401),
        Reply::json(200, &json!({ "id_token": "x" })),
        Reply::status(200),
    ] {
        tokens.answer(reply);
        assert_eq!(fcm.send(&to(), &notice(None)).await, refused);
    }
    faults(&fcm, &to(), &tokens).await;
    assert_eq!(service.connections(), 0, "nothing leaves without a token");
}

#[actix_web::test]
async fn the_service_tells_that_a_registration_is_dead_and_a_fault_of_ours_retires_nobody() {
    let (service, tokens) = (Service::start(Reply::status(200)).await, tokens().await);
    let fcm = fcm(&service, &tokens, &rsa(), clock());
    let argument = |message, field| error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", message, field);
    for dead in [
        error(404, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found.", None),
        argument("Invalid registration token", Some("message.token")),
        argument("The registration token is not a valid FCM registration token", None),
    ] {
        service.answer(dead);
        assert_eq!(fcm.send(&to(), &notice(None)).await, Err(SendError::Gone));
    }
    let push = SendError::Refused { reason: "the service refuses the push" };
    let project = SendError::Misconfigured { reason: "the service does not know the project" };
    let credentials = SendError::Misconfigured { reason: "the service refuses the credentials" };
    // Another project, or no key for phones of Apple, is a fault of the settings or of one app.
    let other = SendError::Mismatched { reason: "the registration is one of another project" };
    let key = SendError::Mismatched { reason: "the project has no right key for devices of this kind" };
    for (alive, expected) in [
        (error(404, "NOT_FOUND", "OTHER", "no such project", None), project.clone()),
        (Reply::status(404), project),
        (argument("Invalid value", Some("message.android.ttl")), push.clone()),
        (Reply::status(400), push),
        (error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", "SenderId mismatch", None), other),
        (
            error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", "Auth error from APNS or Web Push Service", None),
            key,
        ),
        (Reply::status(403), credentials),
    ] {
        let case = format!("{alive:?}");
        service.answer(alive);
        assert_eq!(fcm.send(&to(), &notice(None)).await, Err(expected), "{case}");
    }
    faults(&fcm, &to(), &service).await;
}

#[actix_web::test]
async fn the_settings_of_fcm_are_checked_and_no_log_has_a_secret() {
    assert!(Fcm::new("{}", Fcm::SERVICE, local(), clock()).is_err());
    let account =
        json!({ "project_id": "p", "private_key": "x", "client_email": "e", "token_uri": "https://t.example" });
    assert!(Fcm::new(&account.to_string(), Fcm::SERVICE, local(), clock()).is_err(), "no key");

    let (log, key) = (Log::default(), rsa());
    let listening = log.listen();
    let (service, tokens) = (Arc::new(Service::start(Reply::status(200)).await), tokens().await);
    let fcm = fcm(&service, &tokens, &key, clock());
    for reply in [Reply::status(200), Reply::status(401), Reply::status(500), Reply::Never, Reply::Break] {
        service.answer(reply);
        let _ = fcm.send(&to(), &notice(Some("canary-sentence"))).await;
    }
    drop(listening);
    assert!(!format!("{fcm:?}").contains("clinic-7"));
    log.lacks(["canary", "iam.example", "assertion=", &key.private[40..80]]);
}
