//! Web Push.

use afterglow::channels::{Address, Channel as _, SendError, WebPush};
use afterglow::kernel::Clock;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::keys::raw_p256;
use super::outbound::Log;
use super::python::python;
use super::service::{Asked, Reply, Service};
use super::{TEXT, clock, faults, local, notice, now};

const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

/// A browser and the channel that reaches it.
struct Browser {
    private: String,
    to: Address,
    channel: WebPush,
}

fn browser(service: &Service, clock: Clock) -> Browser {
    let (private, p256dh) = raw_p256();
    let to = Address::WebPush { endpoint: service.url("/send/canary-endpoint"), p256dh, auth: AUTH.to_owned() };
    let channel = WebPush::new(&raw_p256().0, "mailto:push@clinic.example", local(), clock).unwrap();
    Browser { private, to, channel }
}

/// The token and the key of the header of VAPID.
fn vapid(asked: &Asked) -> (String, String) {
    let (token, key) = asked.header("authorization").strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
    (token.to_owned(), key.to_owned())
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// Decrypts a push and verifies its token, as a browser and its service do.
fn open(browser: &Browser, asked: &Asked, service: &Service) -> Option<Value> {
    let script = r#"
import http_ece, jwt
from cryptography.hazmat.primitives.asymmetric import ec
def raw(text): return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
curve = ec.SECP256R1()
own = ec.derive_private_key(int.from_bytes(raw(given["private"]), "big"), curve)
payload = http_ece.decrypt(raw(given["body"]), private_key=own, auth_secret=raw(given["auth"]), version="aes128gcm")
signer = ec.EllipticCurvePublicKey.from_encoded_point(curve, raw(given["key"]))
jwt.decode(given["token"], signer, algorithms=["ES256"], audience=given["origin"], options={"verify_exp": False})
print(payload.decode())
"#;
    let (token, key) = vapid(asked);
    let given = json!({
        "private": browser.private,
        "body": URL_SAFE_NO_PAD.encode(&asked.body),
        "auth": AUTH,
        "token": token,
        "key": key,
        "origin": service.url(""),
    });
    python(script, &given)
}

#[actix_web::test]
async fn a_browser_gets_a_push_that_only_it_can_read() {
    let service = Service::start(Reply::status(201)).await;
    let browser = browser(&service, clock());
    browser.channel.send(&browser.to, &notice(Some(TEXT))).await.unwrap();
    let (asked, push) = (service.only(), notice(None));
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/send/canary-endpoint"));
    let headers = ["content-encoding", "ttl", "urgency", "topic"].map(|name| asked.header(name));
    assert_eq!(headers, ["aes128gcm", "3600", "high", "AZWgAAAAcACAAAAAAACgAQ"]);
    let (token, key) = vapid(&asked);
    assert_eq!(key, browser.channel.public_key());
    let expires = now().as_second() + 12 * 3600;
    let expected = json!({ "aud": service.url(""), "exp": expires, "sub": "mailto:push@clinic.example" });
    assert_eq!(claims(&token), expected);
    assert!(!asked.body.windows(6).any(|part| part == b"Moment"));
    let payload = json!({ "id": push.prompt, "delivery": push.delivery, "text": TEXT });
    assert!(open(&browser, &asked, &service).is_none_or(|it| it == payload));

    browser.channel.send(&browser.to, &notice(None)).await.unwrap();
    let silent = service.only();
    assert_eq!(silent.header("urgency"), "normal");
    assert_eq!(silent.body.len(), asked.body.len(), "length tells nothing");
    let payload = json!({ "id": push.prompt, "delivery": push.delivery });
    assert!(open(&browser, &silent, &service).is_none_or(|it| it == payload));
    assert_ne!(asked.body[..16], silent.body[..16], "each has its own salt");
    assert_ne!(asked.body[21..86], silent.body[21..86], "and its own key");
}

#[actix_web::test]
async fn a_vapid_token_is_kept_and_made_anew_after_hours_or_a_refusal() {
    let service = Service::start(Reply::status(201)).await;
    let clock = clock();
    let browser = browser(&service, clock.clone());
    let mut tokens = Vec::new();
    for minutes in [0, 1, 359, 361] {
        clock.set(now() + SignedDuration::from_mins(minutes));
        browser.channel.send(&browser.to, &notice(None)).await.unwrap();
        tokens.push(vapid(&service.only()).0);
    }
    assert!(tokens[0] == tokens[1] && tokens[1] == tokens[2] && tokens[2] != tokens[3]);

    clock.set(now() + SignedDuration::from_mins(370));
    service.answer(Reply::status(403));
    let refused = Err(SendError::Mismatched { reason: "the service refuses the key or its token" });
    assert_eq!(browser.channel.send(&browser.to, &notice(None)).await, refused);
    let asked: Vec<_> = service.asked().iter().map(|asked| vapid(asked).0).collect();
    assert!(asked.len() == 2 && asked[0] == tokens[3] && asked[1] != tokens[3], "once more, with another");
    assert_eq!(browser.channel.send(&browser.to, &notice(None)).await, refused);
    assert_eq!(vapid(&service.only()).0, asked[1], "a new one is not made anew at once");
}

#[actix_web::test]
async fn a_push_service_tells_that_a_subscription_is_gone_or_was_made_for_another_key() {
    let service = Service::start(Reply::status(201)).await;
    let browser = browser(&service, clock());
    // Another key than that of the subscription would retire every browser if the operator has put a wrong one there.
    let key = SendError::Mismatched { reason: "the service refuses the key or its token" };
    let other = SendError::Mismatched { reason: "the subscription was made for another key" };
    let push = SendError::Refused { reason: "the service refuses the push" };
    for (reply, expected) in [
        (Reply::status(404), SendError::Gone),
        (Reply::status(410), SendError::Gone),
        (Reply::status(400), push.clone()),
        (Reply::status(413), push),
        (Reply::status(401), key.clone()),
        (Reply::status(403), key),
        (Reply::json(400, &json!({ "reason": "VapidPkHashMismatch" })), other),
    ] {
        let case = format!("{reply:?}");
        service.answer(reply);
        assert_eq!(browser.channel.send(&browser.to, &notice(None)).await, Err(expected), "{case}");
    }
    faults(&browser.channel, &browser.to, &service).await;
}

#[actix_web::test]
async fn the_settings_of_web_push_are_checked_and_no_log_has_a_secret() {
    let (private, public) = raw_p256();
    let made = |key: &str, subject: &str| WebPush::new(key, subject, local(), clock());
    assert!(made("AAAA", "mailto:a@b.example").is_err());
    assert!(made(&URL_SAFE_NO_PAD.encode([0; 32]), "mailto:a@b.example").is_err(), "zero is no key");
    assert!(made(&private, "a@b.example").is_err());
    let channel = made(&private, "https://clinic.example").unwrap();
    assert_eq!(channel.public_key(), public);
    assert!(!format!("{channel:?}").contains(&private));

    let log = Log::default();
    let listening = log.listen();
    let service = Service::start(Reply::status(201)).await;
    let browser = browser(&service, clock());
    for reply in [Reply::status(201), Reply::status(401), Reply::status(500), Reply::Never, Reply::Break] {
        service.answer(reply);
        let _ = browser.channel.send(&browser.to, &notice(Some("canary-sentence"))).await;
    }
    let tokens: Vec<_> = service.asked().iter().map(|asked| vapid(asked).0).collect();
    drop(listening);
    log.lacks(tokens.iter().map(String::as_str).chain(["canary", AUTH]));
}
