//! The webhook of a clinic's gateway.

use std::sync::Arc;

use afterglow::channels::{Address, Channel, Channels, SendError, Sending, Webhook};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::outbound::Log;
use super::python::python;
use super::service::{Asked, Reply, Service};
use super::{TEXT, clock, faults, local, notice, now};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn to() -> Address {
    Address::Webhook { token: "device-7".to_owned() }
}

fn webhook(service: &Service) -> Webhook {
    Webhook::new(&service.url("/push"), SECRET, local(), clock()).unwrap()
}

/// Checks the signature as the gateway would.
fn verify(asked: &Asked) {
    let body = std::str::from_utf8(&asked.body).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap());
    let (id, at) = (asked.header("webhook-id"), asked.header("webhook-timestamp"));
    let signature = STANDARD.decode(asked.header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    hmac::verify(&key, format!("{id}.{at}.{body}").as_bytes(), &signature).unwrap();
    // The package refuses stamps that are not of today: its clock is set back.
    let script = r#"
import datetime, standardwebhooks.webhooks as module
stamp = datetime.datetime.fromtimestamp(int(given["headers"]["webhook-timestamp"]), tz=datetime.timezone.utc)
class Then(datetime.datetime):
    @classmethod
    def now(cls, tz=None): return stamp
module.datetime = Then
hook = module.Webhook(given["secret"])
hook.verify(given["body"], given["headers"])
given["headers"]["webhook-id"] = "another"
try:
    hook.verify(given["body"], given["headers"])
    print(json.dumps("another id passes"))
except module.WebhookVerificationError:
    print(json.dumps("verified"))
"#;
    let headers: serde_json::Map<_, _> = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .map(|name| (name.to_owned(), asked.header(name).into()))
        .into_iter()
        .collect();
    let verified = python(script, &json!({ "secret": SECRET, "body": body, "headers": headers }));
    assert!(verified.is_none_or(|it| it == "verified"));
}

#[actix_web::test]
async fn a_gateway_gets_a_signed_push_with_ids_and_a_sentence_alone() {
    let service = Service::start(Reply::status(204)).await;
    webhook(&service).send(&to(), &notice(Some(TEXT))).await.unwrap();
    let asked = service.only();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/push"));
    assert_eq!(asked.header("content-type"), "application/json");
    let push = notice(None);
    assert_eq!(asked.header("webhook-id"), push.delivery.to_string());
    assert_eq!(asked.header("webhook-timestamp"), now().as_second().to_string());
    let mut expected = json!({
        "type": "prompt.due",
        "timestamp": "2026-03-10T08:00:00Z",
        "data": {
            "to": "device-7",
            "id": push.prompt,
            "delivery": push.delivery,
            "text": TEXT,
            "expires_at": "2026-03-10T09:00:00Z",
        },
    });
    assert_eq!(asked.json(), expected);
    verify(&asked);

    webhook(&service).send(&to(), &notice(None)).await.unwrap();
    let silent = service.only();
    expected["data"].as_object_mut().unwrap().remove("text");
    assert_eq!(silent.json(), expected, "a silent push has no sentence");
    verify(&silent);
}

#[actix_web::test]
async fn a_gateway_tells_that_a_device_is_gone_or_that_it_refuses() {
    let service = Service::start(Reply::status(410)).await;
    let webhook = webhook(&service);
    assert_eq!(webhook.send(&to(), &notice(None)).await, Err(SendError::Gone));
    let credentials = SendError::Misconfigured { reason: "the service refuses the credentials" };
    let push = SendError::Refused { reason: "the service refuses the push" };
    for (status, expected) in [(401, credentials.clone()), (403, credentials), (400, push.clone()), (404, push)] {
        service.answer(Reply::status(status));
        assert_eq!(webhook.send(&to(), &notice(None)).await, Err(expected), "{status}");
    }
    let other = Address::Fcm { token: "x".to_owned() };
    assert!(matches!(webhook.send(&other, &notice(None)).await, Err(SendError::Refused { .. })));
}

#[actix_web::test]
async fn a_gateway_that_refuses_the_credentials_is_told_to_the_operator_when_it_is_left_alone() {
    let service = Service::start(Reply::status(401)).await;
    let channel: Arc<dyn Channel> = Arc::new(webhook(&service));
    let channels = Channels::new([channel]);
    let log = Log::default();
    let listening = log.listen();
    let credentials = SendError::Misconfigured { reason: "the service refuses the credentials" };
    for _ in 0..5 {
        assert_eq!(channels.send(&to(), &notice(None), now()).await, Sending::Failed(credentials.clone()));
    }
    assert!(matches!(channels.send(&to(), &notice(None), now()).await, Sending::Resting(_)));
    drop(listening);
    assert_eq!(service.asked().len(), 5);
    let text = log.text();
    let told: Vec<_> = text.lines().filter(|line| line.contains("a channel is held back")).collect();
    let [line] = told[..] else { panic!("{told:?}") };
    assert!(line.contains("ERROR") && line.contains("webhook") && line.contains("refuses the credentials"), "{line}");
}

#[actix_web::test]
async fn faults_of_a_gateway_are_tried_again_and_redirects_are_not_followed() {
    let service = Service::start(Reply::status(200)).await;
    faults(&webhook(&service), &to(), &service).await;
}

#[actix_web::test]
async fn the_settings_of_a_webhook_are_checked_and_never_shown() {
    let refused = |url: &str, secret: &str| Webhook::new(url, secret, local(), clock()).err();
    assert!(refused("nothing", SECRET).is_some());
    assert!(refused("ftp://gateway.example", SECRET).is_some());
    assert!(refused("https://gateway.example", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_some());
    assert!(refused("https://gateway.example", "whsec_c2hvcnQ=").is_some());
    assert!(refused("https://gateway.example", "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB").is_some());
    let made = Webhook::new("https://gateway.example/secret-path", SECRET, local(), clock()).unwrap();
    let shown = format!("{made:?}");
    assert!(!shown.contains("secret-path") && !shown.contains("MfKQ"), "{shown}");
}
