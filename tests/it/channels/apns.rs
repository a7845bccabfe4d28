//! The Apple Push Notification service, which speaks HTTP/2 alone.

use std::time::Duration;

use afterglow::channels::{Address, Apns, ApnsKey, ApnsServices, Channel as _, Outbound, OutboundSettings, SendError};
use afterglow::kernel::Clock;
use hyper::Version;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::keys::{Pair, p256};
use super::outbound::Log;
use super::python::python;
use super::service::{Asked, Reply, Service};
use super::{TEXT, clock, faults, notice, now};

const DEVICE: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";

fn to(development: bool) -> Address {
    Address::Apns { token: DEVICE.to_owned(), development }
}

fn client() -> Outbound {
    let total = Duration::from_millis(700);
    Outbound::new(OutboundSettings { private_networks: true, http2_prior_knowledge: true, total }).unwrap()
}

fn key(pair: &Pair) -> ApnsKey {
    let text = str::to_owned;
    ApnsKey {
        pem: pair.private.clone(),
        key_id: text("KEY4567890"),
        team: text("TEAM567890"),
        topic: text("app.afterglow"),
    }
}

fn apns(production: &Service, sandbox: &Service, pair: &Pair, clock: Clock) -> Apns {
    let services = ApnsServices { production: production.url(""), development: sandbox.url("") };
    Apns::new(key(pair), &services, client(), clock).unwrap()
}

fn bearer(asked: &Asked) -> String {
    asked.header("authorization").strip_prefix("bearer ").unwrap().to_owned()
}

fn reason(status: u16, reason: &str) -> Reply {
    Reply::json(status, &json!({ "reason": reason }))
}

#[actix_web::test]
async fn a_phone_gets_an_alert_with_ids_and_a_sentence_alone_over_http2() {
    let (service, sandbox, pair) =
        (Service::start(Reply::status(200)).await, Service::start(Reply::status(200)).await, p256());
    let apns = apns(&service, &sandbox, &pair, clock());
    apns.send(&to(false), &notice(Some(TEXT))).await.unwrap();
    let (asked, push) = (service.only(), notice(None));
    assert_eq!((asked.version, asked.method.as_str()), (Version::HTTP_2, "POST"));
    assert_eq!(asked.path, format!("/3/device/{DEVICE}"));
    let (prompt, delivery) = (push.prompt.to_string(), push.delivery.to_string());
    let expiration = push.expires_at.as_second().to_string();
    let names = ["apns-push-type", "apns-priority", "apns-expiration", "apns-topic", "apns-collapse-id", "apns-id"];
    let headers = |asked: &Asked| names.map(|name| asked.header(name).to_owned());
    assert_eq!(headers(&asked), ["alert", "10", &expiration, "app.afterglow", &prompt, &delivery]);
    let alert = json!({ "alert": { "body": TEXT }, "sound": "default" });
    assert_eq!(asked.json(), json!({ "aps": alert, "id": prompt, "delivery": delivery }));

    apns.send(&to(true), &notice(None)).await.unwrap();
    let silent = sandbox.only();
    assert_eq!(headers(&silent), ["background", "5", &expiration, "app.afterglow", &prompt, &delivery]);
    assert_eq!(silent.json(), json!({ "aps": { "content-available": 1 }, "id": prompt, "delivery": delivery }));
    assert!(service.asked().is_empty(), "the sandbox is another server");

    let token = bearer(&asked);
    let public = jsonwebtoken::DecodingKey::from_ec_pem(pair.public.as_bytes()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    let ours = jsonwebtoken::decode::<Value>(&token, &public, &validation).unwrap();
    assert_eq!(ours.header.kid.as_deref(), Some("KEY4567890"));
    let claims = json!({ "iss": "TEAM567890", "iat": now().as_second() });
    assert_eq!(ours.claims, claims);
    let script = r#"
import jwt
print(json.dumps(jwt.decode(given["token"], given["key"], algorithms=["ES256"], options={"verify_iat": False})))
"#;
    assert!(python(script, &json!({ "token": token, "key": pair.public })).is_none_or(|theirs| theirs == claims));
}

#[actix_web::test]
async fn a_token_is_kept_for_most_of_an_hour_and_never_made_anew_within_twenty_minutes() {
    let (service, clock) = (Service::start(Reply::status(200)).await, clock());
    let apns = apns(&service, &service, &p256(), clock.clone());
    let (to, push) = (to(false), notice(None));
    let mut tokens = Vec::new();
    for minutes in [0, 49, 50] {
        clock.set(now() + SignedDuration::from_mins(minutes));
        apns.send(&to, &push).await.unwrap();
        tokens.push(bearer(&service.only()));
    }
    assert!(tokens[0] == tokens[1] && tokens[1] != tokens[2]);

    service.answer(reason(403, "ExpiredProviderToken"));
    clock.set(now() + SignedDuration::from_mins(69));
    let later = Err(SendError::Later { after: None, reason: "the service calls a new token expired" });
    assert_eq!(apns.send(&to, &push).await, later);
    assert_eq!(bearer(&service.only()), tokens[2], "too early for another");
    clock.set(now() + SignedDuration::from_mins(70));
    let refused = Err(SendError::Misconfigured { reason: "the service refuses the credentials" });
    assert_eq!(apns.send(&to, &push).await, refused);
    let used: Vec<_> = service.asked().iter().map(bearer).collect();
    assert!(used.len() == 2 && used[0] == tokens[2] && used[1] != tokens[2], "once more, with another");
}

#[actix_web::test]
async fn the_service_tells_that_a_device_is_gone_and_a_fault_of_the_settings_retires_nobody() {
    let service = Service::start(Reply::status(200)).await;
    let apns = apns(&service, &service, &p256(), clock());
    for dead in [reason(410, "Unregistered"), reason(410, "ExpiredToken"), reason(400, "BadDeviceToken")] {
        service.answer(dead);
        assert_eq!(apns.send(&to(false), &notice(None)).await, Err(SendError::Gone));
    }
    let topic = SendError::Misconfigured { reason: "the service refuses the topic" };
    let credentials = SendError::Misconfigured { reason: "the service refuses the credentials" };
    // A wrong topic gives `DeviceTokenNotForTopic` for every device: it would retire them all, for good.
    let app = SendError::Mismatched { reason: "the device has another app than the topic says" };
    let key = SendError::Mismatched { reason: "the key is not one for this service of Apple's" };
    for (reply, expected) in [
        (reason(400, "DeviceTokenNotForTopic"), app),
        (reason(400, "BadTopic"), topic.clone()),
        (reason(400, "MissingTopic"), topic.clone()),
        (reason(400, "TopicDisallowed"), topic),
        (reason(413, "PayloadTooLarge"), SendError::Refused { reason: "the service refuses the push" }),
        (reason(403, "InvalidProviderToken"), credentials.clone()),
        (reason(403, "BadCertificate"), credentials),
        (reason(403, "BadEnvironmentKeyIdInToken"), key),
    ] {
        let case = format!("{reply:?}");
        service.answer(reply);
        assert_eq!(apns.send(&to(false), &notice(None)).await, Err(expected), "{case}");
    }
    faults(&apns, &to(false), &service).await;
}

#[actix_web::test]
async fn the_settings_of_apns_are_checked_and_no_log_has_a_secret() {
    let pair = p256();
    let made = |key| Apns::new(key, &ApnsServices::default(), client(), clock());
    assert!(made(key(&pair)).is_ok());
    assert!(made(ApnsKey { pem: "x".to_owned(), ..key(&pair) }).is_err());
    assert!(made(ApnsKey { key_id: "short".to_owned(), ..key(&pair) }).is_err());
    assert!(made(ApnsKey { topic: String::new(), ..key(&pair) }).is_err());

    let log = Log::default();
    let listening = log.listen();
    let service = Service::start(Reply::status(200)).await;
    let apns = apns(&service, &service, &pair, clock());
    for reply in
        [Reply::status(200), reason(403, "ExpiredProviderToken"), Reply::status(500), Reply::Never, Reply::Break]
    {
        service.answer(reply);
        let _ = apns.send(&to(false), &notice(Some("canary-sentence"))).await;
    }
    let tokens: Vec<_> = service.asked().iter().map(bearer).collect();
    drop(listening);
    assert!(!format!("{apns:?} {:?}", key(&pair)).contains("KEY4567890"));
    log.lacks(tokens.iter().map(String::as_str).chain(["canary", DEVICE, &pair.private[40..80]]));
}
