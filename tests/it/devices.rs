//! The phones of a patient: where pushes go, and where they no longer go.

use afterglow::devices::store as devices;
use afterglow::kernel::Id;
use afterglow::kernel::id::{Device, Patient};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_id};
use crate::support::journal::with;
use crate::support::people::{Clinic, Person, again};
use crate::support::requests::devices::phone;
use crate::support::sql::at_once;

fn path(person: &Person, id: &str) -> String {
    person.my(&format!("/devices/{id}"))
}

/// The devices of a patient as deliveries find them: id and whether the address is retired.
async fn stored(app: &TestApp, person: &Person) -> Vec<(Id<Device>, bool)> {
    let patient: Id<Patient> = person.patient.parse().unwrap();
    let rows = app.server.state.db.read(move |tx| devices::list_of(tx, &[patient])).await.unwrap();
    rows.iter().map(|row| (row.key.id, row.retired_at.is_some())).collect()
}

#[actix_web::test]
async fn a_phone_registers_changes_and_is_removed() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let id = new_id(&app);
    let made = ann.put(&path(&ann, &id), phone("first")).send().await.created();
    assert_eq!(made.body["channel"], "fcm");
    assert_eq!(made.body["reachable"], true);
    assert_eq!(made.body["current"], true);
    assert!(!made.body.to_string().contains("first"), "an address is never shown: {}", made.body);
    // The same again, after a lost reply.
    assert_eq!(ann.put(&path(&ann, &id), phone("first")).send().await.ok().body["version"], made.body["version"]);
    // Another address needs the tag of the state that it replaces: an older one that arrives late does not win.
    ann.put(&path(&ann, &id), phone("second")).send().await.expect(428);
    let next = ann.put(&path(&ann, &id), phone("second")).if_match(&made.etag()).send().await.ok();
    ann.put(&path(&ann, &id), phone("third")).if_match(&made.etag()).send().await.expect(412);
    assert_eq!(ann.get(&path(&ann, &id)).send().await.ok().body, next.body);
    assert_eq!(ann.get(&ann.my("/devices")).send().await.ok().items(), [next.body]);

    ann.delete(&path(&ann, &id)).send().await.no_content();
    ann.delete(&path(&ann, &id)).send().await.no_content();
    ann.get(&path(&ann, &id)).send().await.expect(410).refused("deleted");
    ann.put(&path(&ann, &id), phone("second")).send().await.expect(410).refused("deleted");
    assert_eq!(ann.get(&ann.my("/devices")).send().await.ok().items(), [] as [Value; 0]);
    assert_eq!(stored(&app, &ann).await, []);
    // It was the caller's own: the session goes on.
    ann.get("/v1/me").send().await.ok();
}

#[actix_web::test]
async fn removing_a_lost_phone_logs_it_out() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let lost = again(&app, &ann.name).await;
    let id = new_id(&app);
    lost.put(&path(&lost, &id), phone("lost")).send().await.created();
    let seen = ann.get(&path(&ann, &id)).send().await.ok();
    assert_eq!(seen.body["current"], false);
    ann.delete(&path(&ann, &id)).send().await.no_content();
    let refused = lost.get("/v1/me").send().await.expect(401).refused("session_revoked");
    assert_eq!(refused.body["client_action"], "erase");
    ann.get("/v1/me").send().await.ok();
    // Found again: after a log-in the same phone registers as before.
    let found = again(&app, &ann.name).await;
    let back = found.put(&path(&found, &id), phone("lost")).send().await.ok();
    assert_eq!(back.body["reachable"], true);
    assert_eq!(back.body["version"], 3);
}

/// Ann registers her mailbox on her phone, which may hold words that it has not sent yet.
#[actix_web::test]
async fn removing_a_mailbox_on_another_device_logs_no_phone_out() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let mailbox = json!({ "platform": "email", "push": { "channel": "email", "address": "ann@example.org" } });
    let (hers, mail) = (new_id(&app), new_id(&app));
    ann.put(&path(&ann, &hers), phone("hers")).send().await.created();
    ann.put(&path(&ann, &mail), mailbox).send().await.created();
    let laptop = again(&app, &ann.name).await;
    laptop.delete(&path(&laptop, &mail)).send().await.no_content();
    ann.get(&path(&ann, &mail)).send().await.expect(410).refused("deleted");
    assert_eq!(stored(&app, &ann).await, [(hers.parse().unwrap(), false)]);
    assert_eq!(ann.get(&path(&ann, &hers)).send().await.ok().body["current"], true);
}

#[actix_web::test]
async fn a_phone_registers_anew_after_each_log_in() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let id = new_id(&app);
    ann.put(&path(&ann, &id), phone("a")).send().await.created();
    let here_again = again(&app, &ann.name).await;
    let here = here_again.put(&path(&here_again, &id), phone("a")).send().await.ok();
    assert_eq!((&here.body["version"], &here.body["current"]), (&json!(2), &json!(true)));
    assert_eq!(ann.get(&path(&ann, &id)).send().await.ok().body["current"], false);
}

#[actix_web::test]
async fn on_a_phone_that_two_people_share_the_address_belongs_to_who_named_it_last() {
    let Clinic { app, ann, therapist, .. } = Clinic::open().await;
    let ben = app.patient(&therapist, "Ben Roth").await;
    let (hers, his) = (new_id(&app), new_id(&app));
    ann.put(&path(&ann, &hers), phone("shared")).send().await.created();
    ben.put(&path(&ben, &his), phone("shared")).send().await.created();
    assert_eq!(ann.get(&path(&ann, &hers)).send().await.ok().body["reachable"], false);
    assert_eq!(stored(&app, &ann).await, [(hers.parse().unwrap(), true)]);
    assert_eq!(stored(&app, &ben).await, [(his.parse().unwrap(), false)]);
    // She takes the phone again: the same body is no retry now.
    let back = ann.put(&path(&ann, &hers), phone("shared")).send().await.ok();
    assert_eq!(back.body["reachable"], true);
    assert_eq!(stored(&app, &ben).await, [(his.parse().unwrap(), true)]);
    // What she sent first arrives late, after the address that followed it was taken: it does not come back.
    let renewed = ann.put(&path(&ann, &hers), phone("renewed")).if_match(&back.etag()).send().await.ok();
    ben.put(&path(&ben, &new_id(&app)), phone("renewed")).send().await.created();
    ann.put(&path(&ann, &hers), phone("shared")).send().await.expect(428);
    assert_eq!(ann.get(&path(&ann, &hers)).send().await.ok().body["version"], renewed.body["version"]);
    // Nobody learns of the other.
    assert_eq!(ben.get(&path(&ben, &his)).send().await.ok().body["version"], 1);
}

#[actix_web::test]
async fn on_a_phone_that_two_patients_share_under_one_id_who_named_it_last_is_reached() {
    let Clinic { app, ann, therapist, .. } = Clinic::open().await;
    let ben = app.patient(&therapist, "Ben Roth").await;
    let id = new_id(&app);
    ann.put(&path(&ann, &id), phone("shared")).send().await.created();
    ben.put(&path(&ben, &id), phone("shared")).send().await.created();
    let device: Id<Device> = id.parse().unwrap();
    assert_eq!(stored(&app, &ann).await, [(device, true)], "nothing of hers goes to the phone that he has");
    assert_eq!(stored(&app, &ben).await, [(device, false)]);
    ann.put(&path(&ann, &id), phone("shared")).send().await.ok();
    assert_eq!((stored(&app, &ann).await, stored(&app, &ben).await), (vec![(device, false)], vec![(device, true)]));
}

#[actix_web::test]
async fn an_address_in_another_spelling_is_the_same_address() {
    let Clinic { app, ann, therapist, .. } = Clinic::open().await;
    let ben = app.patient(&therapist, "Ben Roth").await;
    let web = |endpoint: &str| {
        json!({ "platform": "web", "push": { "channel": "web_push", "address": endpoint,
            "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "auth": "BTBZMqHH6r4Tts7J_aSIgg" } })
    };
    let apns = |token: &str| json!({ "platform": "ios", "push": { "channel": "apns", "address": token } });
    let mail = |address: &str| json!({ "platform": "email", "push": { "channel": "email", "address": address } });
    let (small, large) = ("0a".repeat(32), "0A".repeat(32));
    for (person, first, second, same) in [
        (&ben, web("https://push.example/abc"), web("HTTPS://Push.EXAMPLE:443/x/../abc#of-the-app"), true),
        (&ben, web("https://push.example/def"), web("https://push.example/DEF"), false),
        (&ben, apns(&small), apns(&large), true),
        (&ann, mail("ann@exämple.org"), mail(" ann@XN--EXMPLE-CUA.org. "), true),
        (&ann, mail("sara@example.org"), mail("Sara@example.org"), false),
        // A mailbox is one among a patient's own devices alone.
        (&ben, mail("bo@example.org"), mail("bo@EXAMPLE.org"), false),
    ] {
        let (one, other) = (new_id(&app), new_id(&app));
        ann.put(&path(&ann, &one), first).send().await.created();
        person.put(&path(person, &other), second.clone()).send().await.created();
        let reached = ann.get(&path(&ann, &one)).send().await.ok().body["reachable"].clone();
        assert_eq!(reached, json!(!same), "{second}");
        assert_eq!(person.get(&path(person, &other)).send().await.ok().body["reachable"], true, "{second}");
    }
    // The app writes the same address otherwise after an update: its device has not changed.
    let id = new_id(&app);
    let made = ann.put(&path(&ann, &id), mail("lee@exämple.org")).send().await.created();
    let same = ann.put(&path(&ann, &id), mail("lee@EXÄMPLE.org.")).send().await.ok();
    assert_eq!(same.body, made.body);
}

#[actix_web::test]
async fn a_phone_that_registers_for_two_patients_at_once_is_reached_for_one() {
    let Clinic { app, therapist: thea, ann, .. } = Clinic::open().await;
    let ben = app.patient(&thea, "Ben Roth").await;
    let both = [&ann, &ben].map(|person| (person, path(person, &new_id(&app))));
    let puts = both.each_ref().map(|(person, path)| person.put(path, phone("handed-on")).send());
    for answer in at_once(&app.database.backend, "changes", puts).await {
        answer.created();
    }
    let mut reached = 0;
    for (person, path) in &both {
        reached += usize::from(person.get(path).send().await.ok().body["reachable"] == true);
    }
    assert_eq!(reached, 1);
}

#[actix_web::test]
async fn a_phone_that_has_logged_out_is_not_shown_as_one_that_pushes_go_to() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (left, kept) = (new_id(&app), new_id(&app));
    let other = again(&app, &ann.name).await;
    other.put(&path(&other, &left), phone("left")).send().await.created();
    ann.put(&path(&ann, &kept), phone("kept")).send().await.created();
    assert_eq!(ann.get(&path(&ann, &left)).send().await.ok().body["reachable"], true);
    other.act("/v1/auth/logout").send().await.no_content();
    for (id, reachable) in [(&left, false), (&kept, true)] {
        let alone = ann.get(&path(&ann, id)).send().await.ok().body;
        assert_eq!(alone["reachable"], reachable);
        let listed = ann.get(&ann.my("/devices")).send().await.ok();
        assert!(listed.items().contains(&alone), "{:?}", listed.items());
    }
}

#[actix_web::test]
async fn what_is_wrong_with_a_device_is_named_all_at_once() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let id = new_id(&app);
    let wrong = json!({ "platform": "toaster", "push": { "channel": "pigeon", "address": "a" }, "locale": "xx-klingon-too-long",
        "app_version": "", "notifications": "loud" });
    let answer = ann.put(&path(&ann, &id), wrong).send().await.expect(422);
    let named: Vec<&str> =
        answer.body["errors"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap()).collect();
    for pointer in ["/platform", "/push/channel", "/locale", "/app_version", "/notifications"] {
        assert!(named.contains(&pointer), "{pointer}: {named:?}");
    }
    for (push, part) in [
        (json!({ "channel": "fcm", "address": "a b" }), "/push/address"),
        (json!({ "channel": "apns", "address": "no digits" }), "/push/address"),
        (
            json!({ "channel": "web_push", "address": "https://push.example/abc", "p256dh": "BA", "auth": "AA" }),
            "/push/p256dh",
        ),
        // Of the length of a key, and no point of the curve: every push to it would fail.
        (
            json!({ "channel": "web_push", "address": "https://push.example/abc",
                "p256dh": format!("{}BAQ", "BAQE".repeat(21)), "auth": "BTBZMqHH6r4Tts7J_aSIgg" }),
            "/push/p256dh",
        ),
    ] {
        let answer = ann.put(&path(&ann, &id), with(phone("x"), json!({ "push": push }))).send().await.expect(422);
        assert_eq!(answer.text("/errors/0/pointer"), part);
    }
    let keyless = with(phone("x"), json!({ "push": { "channel": "web_push", "address": "https://push.example/abc" } }));
    ann.put(&path(&ann, &id), keyless).send().await.expect(422);
    let plain = json!({ "platform": "web", "push": { "channel": "web_push", "address": "http://push.example/abc",
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg" } });
    ann.put(&path(&ann, &id), plain).send().await.expect(422);
    assert_eq!(stored(&app, &ann).await, []);
    app.wait(SignedDuration::from_secs(1));
}
