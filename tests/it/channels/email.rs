//! E-mail, against a mail server of the tests.

use std::process::{Command, Stdio};
use std::sync::Arc;

use afterglow::channels::{Address, Channel as _, Channels, EmailChannel, EmailSettings, EmailTls, SendError};
use afterglow::delivery::MemoryChannel;
use afterglow::kernel::Clock;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::smtp::{AUTHORITY, MailServer, Tls};
use super::{TEXT, clock, notice, now};
use crate::delivery::{minutes, plant, work};
use crate::support::app::{TestApp, new_id};
use crate::support::journal::with;

fn settings(server: &MailServer, tls: EmailTls) -> EmailSettings {
    EmailSettings {
        host: "127.0.0.1".to_owned(),
        port: server.port,
        tls,
        credentials: None,
        from: "Moments <moments@example.org>".to_owned(),
        authority: Some(AUTHORITY.to_owned()),
    }
}

fn channel(server: &MailServer) -> EmailChannel {
    EmailChannel::new(settings(server, EmailTls::Off), clock()).unwrap()
}

fn to(address: &str) -> Address {
    Address::Email { address: address.to_owned() }
}

fn ann() -> Address {
    to("ann@example.org")
}

/// The message as the mail library of Python reads it. `None` without a Python.
fn parsed(message: &str) -> Option<Value> {
    let script = "import email, email.policy, json, sys\n\
        it = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)\n\
        assert not it.defects, it.defects\n\
        json.dump({'headers': [[k, str(v)] for k, v in it.items()], 'body': it.get_content(), 'kind': it.get_content_type()}, sys.stdout)";
    let child = Command::new("python3").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        println!("note: no Python: only our own code reads the e-mail");
        return None;
    };
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), message.trim_end_matches(".\r\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[actix_web::test]
async fn an_email_has_one_neutral_sentence_and_an_id_that_a_repeat_has_too() {
    let server = MailServer::start(Tls::Never).await;
    let channel = channel(&server);
    for _ in 0..2 {
        channel.send(&ann(), &notice(Some(TEXT))).await.unwrap();
    }
    let taken = server.taken();
    assert_eq!(taken[0].message, taken[1].message, "sent again it is the same, to the letter");
    assert_eq!(
        (taken[0].from.as_str(), taken[0].to.as_str()),
        ("MAIL FROM:<moments@example.org>", "RCPT TO:<ann@example.org>")
    );
    let id = format!("Message-ID: <{}@example.org>\r\n", notice(None).delivery);
    for header in [id.as_str(), "Auto-Submitted: auto-generated\r\n", "Date: Tue, 10 Mar 2026 08:00:00 +0000\r\n"] {
        assert!(taken[0].message.contains(header), "{header} is not in {}", taken[0].message);
    }
    assert!(taken[0].message.is_ascii(), "every server takes it");
    let prompt = notice(None).prompt.to_string();
    assert!(!taken[0].message.contains(&prompt), "no other id");
    if let Some(read) = parsed(&taken[0].message) {
        let header = |name: &str| {
            let all = read["headers"].as_array().unwrap().iter();
            let found: Vec<_> =
                all.filter(|one| one[0] == name).map(|one| one[1].as_str().unwrap().to_owned()).collect();
            assert_eq!(found.len(), 1, "{name} in {read}");
            found[0].clone()
        };
        assert_eq!(
            (header("Subject"), header("To"), header("From")),
            (TEXT.to_owned(), "ann@example.org".to_owned(), "Moments <moments@example.org>".to_owned())
        );
        assert_eq!((&read["kind"], read["body"].as_str().unwrap().trim_end()), (&json!("text/plain"), TEXT));
    }
    // What would only wake an app says nothing to a person.
    channel.send(&ann(), &notice(None)).await.unwrap();
    assert_eq!(server.taken().len(), 2);
    assert!(channel.send(&Address::Webhook { token: "x".to_owned() }, &notice(Some(TEXT))).await.is_err());
}

#[actix_web::test]
async fn connections_are_used_again_and_one_that_was_closed_is_made_anew() {
    let server = MailServer::start(Tls::Never).await;
    let clock = clock();
    let channel = EmailChannel::new(settings(&server, EmailTls::Off), clock.clone()).unwrap();
    let send = async || channel.send(&ann(), &notice(Some(TEXT))).await;
    for _ in 0..3 {
        send().await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    // Idle for too long.
    clock.set(now() + SignedDuration::from_secs(61));
    send().await.unwrap();
    assert_eq!(server.connections(), 2);
    server.is_impatient();
    for _ in 0..3 {
        send().await.unwrap();
    }
    assert_eq!(server.taken().len(), 7, "each arrives once, whoever hung up");

    let server = MailServer::start(Tls::Never).await;
    let channel = self::channel(&server);
    let sends = (0..40).map(|_| async { channel.send(&ann(), &notice(Some(TEXT))).await.unwrap() });
    futures_util::future::join_all(sends).await;
    assert_eq!((server.taken().len(), server.connections() <= 8), (40, true), "a mail server allows a client few");
}

#[actix_web::test]
async fn only_what_a_server_says_of_the_mailbox_itself_retires_it() {
    let server = MailServer::start(Tls::Never).await;
    let channel = channel(&server);
    let later = |reason| SendError::Later { after: None, reason };
    let refused = SendError::Refused { reason: "the mail server refuses the message" };
    let cases = [
        ("RCPT", "550 5.1.1 <ann@example.org>: no such user", SendError::Gone),
        ("RCPT", "550-5.1.1 The account does not exist.\r\n550 5.1.1 Try another", SendError::Gone),
        ("RCPT", "556 5.1.10 the domain takes no mail", SendError::Gone),
        ("RCPT", "550 no such user here", SendError::Gone),
        ("RCPT", "553 mailbox name not allowed", SendError::Gone),
        // Faults of ours, or of the moment.
        ("RCPT", "554 5.7.1 relay access denied", refused.clone()),
        ("RCPT", "550 relay not permitted", refused.clone()),
        ("RCPT", "550 5.7.1 blocked", refused.clone()),
        ("RCPT", "552 5.2.2 the mailbox is full", refused.clone()),
        ("RCPT", "503 5.5.1 bad sequence", refused.clone()),
        ("RCPT", "450 4.2.0 greylisted", later("the mail server asks to try later")),
        ("RCPT", "451 4.3.0 try again", later("the mail server asks to try later")),
        ("MAIL", "550 5.1.1 sender unknown", refused.clone()),
        ("MAIL", "421 4.3.2 shutting down", later("the mail server asks to try later")),
        ("DATA", "554 5.5.1 no", refused.clone()),
        (".", "550 5.1.1 too late to say", refused.clone()),
        (".", "452 4.3.1 disk full", later("the mail server asks to try later")),
        ("EHLO", "421 too many connections", later("the mail server asks to try later")),
        ("RCPT", "nonsense", later("the mail server cannot be reached")),
    ];
    for (command, answer, expected) in cases {
        server.answers(command, answer);
        // No connection is left from a fault before: each case begins with a new one.
        assert_eq!(channel.send(&ann(), &notice(Some(TEXT))).await, Err(expected), "{command}: {answer}");
    }
    assert_eq!(server.taken().len(), 0);
    channel.send(&ann(), &notice(Some(TEXT))).await.unwrap();
}

#[actix_web::test]
async fn nothing_leaves_without_tls_but_to_this_machine_and_no_certificate_of_others_is_taken() {
    for (tls, secret) in [(Tls::AtOnce, EmailTls::Implicit), (Tls::Offered, EmailTls::StartTls)] {
        let server = MailServer::start(tls).await;
        let credentials = Some(("moments".to_owned(), "the password".to_owned()));
        let with_tls = EmailSettings { credentials, ..settings(&server, secret) };
        EmailChannel::new(with_tls.clone(), clock()).unwrap().send(&ann(), &notice(Some(TEXT))).await.unwrap();
        assert!(server.taken()[0].secret);
        let before = server.commands().len();
        // An authority that the system does not know, and a name that is not in the certificate.
        let other = MailServer::start_at("127.0.0.2", tls).await;
        let unknown = EmailSettings { authority: None, ..with_tls.clone() };
        let misnamed = EmailSettings { host: "127.0.0.2".to_owned(), port: other.port, ..with_tls };
        for wrong in [unknown, misnamed] {
            let sent = EmailChannel::new(wrong, clock()).unwrap().send(&ann(), &notice(Some(TEXT))).await;
            assert!(matches!(sent, Err(SendError::Later { .. })), "{sent:?}");
        }
        assert_eq!((server.connections(), other.connections()), (2, 1));
        let said = [&server.commands()[before..], &other.commands()[..]].concat();
        assert!(!said.iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")), "{said:?}");
    }
    // A server, or somebody in between, that does not offer STARTTLS.
    let server = MailServer::start(Tls::Never).await;
    let stripped = EmailChannel::new(settings(&server, EmailTls::StartTls), clock()).unwrap();
    let refused = SendError::Refused { reason: "the mail server does not offer what is needed" };
    assert_eq!(stripped.send(&ann(), &notice(Some(TEXT))).await, Err(refused));
    assert!(!server.commands().iter().any(|line| line.starts_with("MAIL")));

    let far = EmailSettings { host: "mail.example.org".to_owned(), ..settings(&server, EmailTls::Off) };
    assert_eq!(EmailChannel::new(far, clock()).unwrap_err(), "without TLS the mail server must be on this machine");
    let nobody = EmailSettings { from: "Moments".to_owned(), ..settings(&server, EmailTls::Off) };
    assert_eq!(EmailChannel::new(nobody, clock()).unwrap_err(), "the sender of the e-mails is no address");
}

#[actix_web::test]
async fn the_server_s_password_is_used_and_a_wrong_one_is_told() {
    let server = MailServer::start(Tls::Never).await;
    let credentials = Some(("moments".to_owned(), "pass".to_owned()));
    let channel =
        EmailChannel::new(EmailSettings { credentials, ..settings(&server, EmailTls::Off) }, clock()).unwrap();
    channel.send(&ann(), &notice(Some(TEXT))).await.unwrap();
    assert!(server.commands().contains(&"AUTH PLAIN AG1vbWVudHMAcGFzcw==".to_owned()), "{:?}", server.commands());
    assert_eq!(format!("{channel:?}"), "EmailChannel(***)");
    server.answers("MAIL", "421 bye");
    server.answers("AUTH", "535 5.7.8 no");
    let refused = SendError::Misconfigured { reason: "the mail server refuses the credentials" };
    assert_eq!(channel.send(&ann(), &notice(Some(TEXT))).await, Err(refused));
}

#[actix_web::test]
async fn a_mailbox_registers_gets_what_is_due_and_is_retired_when_it_is_gone() {
    let server = MailServer::start(Tls::Never).await;
    let channel = EmailChannel::new(settings(&server, EmailTls::Off), Clock::System).unwrap();
    let app =
        TestApp::start_with_channels(Channels::new([Arc::new(channel) as Arc<dyn afterglow::channels::Channel>])).await;
    let ada = app.admin().await;
    let tess = app.staff(&ada, "Tess Moreau", &["care"]).await;
    let (ann, ben) = (app.patient(&tess, "Ann Walker").await, app.patient(&tess, "Ben Roth").await);
    assert_eq!(app.get("/v1/meta").send().await.ok().body["push_channels"], json!(["email"]));
    let mailbox =
        json!({ "platform": "email", "push": { "channel": "email", "address": "Ann@exämple.org" }, "locale": "de" });
    for (change, pointer) in [
        (json!({ "platform": "ios" }), "/platform"),
        (json!({ "push": { "channel": "fcm", "address": "x" } }), "/platform"),
        (json!({ "push": null }), "/platform"),
        (json!({ "notifications": "silent" }), "/notifications"),
        (json!({ "acknowledges": true }), "/acknowledges"),
        (
            json!({ "push": { "channel": "email", "address": "ann@example.org\r\nBcc: bo@example.org" } }),
            "/push/address",
        ),
        (json!({ "push": { "channel": "email", "address": "ann@example.org> SIZE=1" } }), "/push/address"),
        (json!({ "push": { "channel": "email", "address": "ann@example.org, bo@example.org" } }), "/push/address"),
        (json!({ "push": { "channel": "email", "address": "jörg@example.org" } }), "/push/address"),
    ] {
        let path = ann.my(&format!("/devices/{}", new_id(&app)));
        let refused = ann.put(&path, with(mailbox.clone(), change)).send().await.expect(422);
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{}", refused.body);
    }
    let path = ann.my(&format!("/devices/{}", new_id(&app)));
    let made = ann.put(&path, mailbox.clone()).send().await.created();
    assert_eq!((&made.body["channel"], &made.body["reachable"]), (&json!("email"), &json!(true)));
    assert!(!made.body.to_string().contains("mple.org"), "an address is never shown");
    // Who knows the address of somebody takes nothing from them by it.
    ben.put(&ben.my(&format!("/devices/{}", new_id(&app))), mailbox.clone()).send().await.created();
    assert_eq!(ann.get(&path).send().await.ok().body["reachable"], true);

    let here = MemoryChannel::default();
    let due = async || {
        plant(&app, ann.patient.parse().unwrap(), app.now() + minutes(1), |_| {}).await;
        app.wait(minutes(2));
        work(&app, &here).await;
    };
    due().await;
    let taken = server.taken();
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert_eq!(taken[0].to, "RCPT TO:<Ann@xn--exmple-cua.org>");
    if let Some(read) = parsed(&taken[0].message) {
        assert_eq!(read["body"].as_str().unwrap().trim_end(), TEXT);
    }
    // Busy: it comes later, and once.
    server.answers("RCPT", "450 4.2.0 greylisted");
    due().await;
    assert_eq!(server.taken().len(), 1);
    app.wait(minutes(10));
    work(&app, &here).await;
    assert_eq!(server.taken().len(), 2);
    // Gone.
    server.answers("RCPT", "550 5.1.1 no such user");
    due().await;
    assert_eq!(ann.get(&path).send().await.ok().body["reachable"], false);
    due().await;
    assert_eq!(server.taken().len(), 2);
    assert_eq!(here.sent(), []);
}

#[actix_web::test]
async fn fault_one_mailbox_in_several_spellings_gets_as_many_emails() {
    let server = MailServer::start(Tls::Never).await;
    let channel = EmailChannel::new(settings(&server, EmailTls::Off), Clock::System).unwrap();
    let app =
        TestApp::start_with_channels(Channels::new([Arc::new(channel) as Arc<dyn afterglow::channels::Channel>])).await;
    let ada = app.admin().await;
    let tess = app.staff(&ada, "Tess Moreau", &["care"]).await;
    let ann = app.patient(&tess, "Ann Walker").await;
    for address in ["Ann@exämple.org", "Ann@EXÄMPLE.ORG", " Ann@xn--exmple-cua.org", "Ann@exa\u{308}mple.org."] {
        let mailbox = json!({ "platform": "email", "push": { "channel": "email", "address": address } });
        ann.put(&ann.my(&format!("/devices/{}", new_id(&app))), mailbox).send().await.created();
    }
    plant(&app, ann.patient.parse().unwrap(), app.now() + minutes(1), |_| {}).await;
    app.wait(minutes(2));
    work(&app, &MemoryChannel::default()).await;
    let taken: Vec<_> = server.taken().into_iter().map(|one| one.to).collect();
    assert_eq!(taken, ["RCPT TO:<Ann@xn--exmple-cua.org>"]);
}

#[actix_web::test]
async fn a_withdrawn_consent_stops_what_is_due_and_what_is_to_be_tried_again() {
    let server = MailServer::start(Tls::Never).await;
    let channel = EmailChannel::new(settings(&server, EmailTls::Off), Clock::System).unwrap();
    let app =
        TestApp::start_with_channels(Channels::new([Arc::new(channel) as Arc<dyn afterglow::channels::Channel>])).await;
    let ada = app.admin().await;
    let tess = app.staff(&ada, "Tess Moreau", &["care"]).await;
    let ann = app.patient(&tess, "Ann Walker").await;
    ann.agrees("automated_messages").await;
    let mailbox = json!({ "platform": "email", "push": { "channel": "email", "address": "ann@example.org" } });
    ann.put(&ann.my(&format!("/devices/{}", new_id(&app))), mailbox.clone()).send().await.created();
    let here = MemoryChannel::default();
    let due = async || {
        plant(&app, ann.patient.parse().unwrap(), app.now() + minutes(1), |_| {}).await;
        app.wait(minutes(2));
        work(&app, &here).await;
    };
    due().await;
    assert_eq!(server.taken().len(), 1);
    server.answers("RCPT", "450 4.2.0 greylisted");
    due().await;
    ann.withdraws("automated_messages").await;
    ann.put(&ann.my(&format!("/devices/{}", new_id(&app))), mailbox).send().await.expect(403);
    app.wait(minutes(10));
    work(&app, &here).await;
    due().await;
    assert_eq!(server.taken().len(), 1);
    assert_eq!(here.sent(), []);
}
