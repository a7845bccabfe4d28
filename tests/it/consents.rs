//! What patients agree to: the texts, the record, what a required one gates, and what a withdrawal ends.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp, new_id};
use crate::support::consents::consent;
use crate::support::database::Count;
use crate::support::exercises::work;
use crate::support::journal::{grant, reflection, two, with};
use crate::support::people::{Person, again};
use crate::support::phone::{is, mutation};
use crate::support::reader::new_reader;
use crate::support::sql::Sql;
use crate::tasks::settled;

/// A server that asks for the required consents.
async fn strict() -> (Arc<TestApp>, Person, Person) {
    let app = TestApp::start_with(|config| config.require_consents = true).await;
    let (theo, ann) = two(&app).await;
    (app, theo, ann)
}

/// How many rows there are.
fn rows(app: &TestApp) -> i64 {
    Sql::open(&app.database.backend).rows::<Count>("SELECT count(*) AS n FROM consents")[0].n
}

async fn shares(ann: &Person, entry: &str, reader: &Person) -> Answer {
    ann.put_grant(&new_id(&ann.app), grant(entry, &["text"], reader)).send().await
}

async fn list(person: &Person, path: &str) -> Vec<Value> {
    person.get(path).send().await.ok().items().to_vec()
}

#[track_caller]
fn needs_consent(answer: Answer) {
    let answer = answer.expect(403).refused("consent_required");
    assert_eq!((&answer.body["document"], &answer.body["document_version"]), (&json!("sharing"), &json!(1)));
    assert_eq!(answer.body["client_action"], "keep");
}

#[actix_web::test]
async fn anybody_may_read_the_texts() {
    let app = TestApp::start().await;
    let all = app.get("/v1/consent-documents").send().await.ok();
    let required: Vec<&Value> = all.items().iter().filter(|document| document["required"] == true).collect();
    assert_eq!(required.len(), 1);
    assert_eq!((&required[0]["key"], &required[0]["covers"]), (&json!("sharing"), &json!("sharing")));
    for document in all.items() {
        let texts = document["texts"].as_array().unwrap();
        let locales: Vec<&str> = texts.iter().map(|text| text["locale"].as_str().unwrap()).collect();
        assert_eq!(locales, ["en", "de", "es"], "{document}");
        for text in texts {
            let hash = text["text_sha256"].as_str().unwrap();
            assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
        }
    }
}

#[actix_web::test]
async fn a_consent_names_the_text_that_was_shown() {
    let app = TestApp::start().await;
    let (_theo, ann) = two(&app).await;
    let path = ann.my("/consents/sharing");
    let right = consent(&app, "sharing", "de").await;
    let english = consent(&app, "sharing", "en").await["text_sha256"].clone();
    for (wrong, pointer) in [
        (json!({ "version": 2 }), "/version"),
        (json!({ "locale": "fr" }), "/locale"),
        (json!({ "text_sha256": english }), "/text_sha256"),
        (json!({ "text_sha256": "" }), "/text_sha256"),
        (json!({ "method": "shouted" }), "/method"),
    ] {
        let refused = ann.put(&path, with(right.clone(), wrong)).send().await.expect(422).refused("invalid");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{}", refused.body);
    }
    ann.put(&ann.my("/consents/no_such_text"), right.clone()).send().await.not_found();
    assert_eq!(rows(&app), 0);
    let given = ann.put(&path, right.clone()).send().await.created();
    assert_eq!((&given.body["state"], &given.body["method"]), (&json!("given"), &json!("app")));
    assert_eq!(given.body["given_at"], json!(app.now().to_string()));
    assert_eq!(given.body["text_sha256"], right["text_sha256"]);
    assert_eq!(list(&ann, &ann.my("/consents")).await, [given.body]);
}

#[actix_web::test]
async fn the_record_of_what_was_given_stays() {
    let app = TestApp::start().await;
    let (_theo, ann) = two(&app).await;
    let body = consent(&app, "research", "en").await;
    let put = || ann.put(&ann.my("/consents/research"), body.clone());
    ann.delete(&ann.my("/consents/research")).send().await.not_found();
    put().key("k").send().await.created();
    let given_at = app.now().to_string();
    app.wait(SignedDuration::from_mins(1));
    put().key("k").send().await.created();
    put().send().await.ok();
    assert_eq!(rows(&app), 1, "the same again is not another one");
    ann.withdraws("research").await;
    ann.withdraws("research").await;
    assert_eq!(rows(&app), 2);
    let withdrawn = list(&ann, &ann.my("/consents")).await;
    assert_eq!(withdrawn.len(), 1);
    assert_eq!((&withdrawn[0]["state"], &withdrawn[0]["given_at"]), (&json!("withdrawn"), &json!(given_at)));
    assert_eq!(withdrawn[0]["withdrawn_at"], json!(app.now().to_string()));
    put().send().await.created();
    // Another language is another text.
    let german = consent(&app, "research", "de").await;
    assert_eq!(ann.put(&ann.my("/consents/research"), german).send().await.ok().body["locale"], "de");
    assert_eq!(rows(&app), 4);
    let again = list(&ann, &ann.my("/consents")).await;
    assert_eq!((again.len(), again[0].get("withdrawn_at")), (1, None));
}

#[actix_web::test]
async fn a_required_consent_gates_what_it_covers() {
    let (app, theo, ann) = strict().await;
    let entry = ann.writes(reflection("Lake")).await;
    let response = ann.works(work()).await;
    needs_consent(shares(&ann, &entry, &theo).await);
    let rule = json!({ "rule": { "kind": "reflection" }, "sections": ["text"], "reader": { "type": "care_team" } });
    needs_consent(ann.put_grant(&new_id(&app), rule).send().await);
    let offline = mutation(&ann, "grant", &new_id(&app), 0, grant(&entry, &["text"], &theo));
    let refused = ann.pushes(&offline).await;
    assert_eq!((&refused["status"], &refused["problem"]["code"]), (&json!("rejected"), &json!("consent_required")));
    assert_eq!(
        (&refused["problem"]["document"], &refused["problem"]["document_version"]),
        (&json!("sharing"), &json!(1))
    );
    assert_eq!(list(&ann, &ann.my("/grants")).await, Vec::<Value>::new());
    // Another consent is not this one, and that of another patient neither.
    ann.agrees("safety_answers").await;
    app.patient(&theo, "Ben Roth").await.agrees("sharing").await;
    needs_consent(shares(&ann, &entry, &theo).await);
    ann.agrees("sharing").await;
    shares(&ann, &entry, &theo).await.created();
    ann.opens_response(&response, &["answers"], &theo).await;
    is(&ann.pushes(&offline).await, "applied");
    assert_eq!(theo.finds(&ann).await, [entry.as_str()]);
    assert_eq!(list(&ann, &ann.my("/grants")).await.len(), 3);
}

#[actix_web::test]
async fn a_withdrawal_is_one_call_and_ends_at_once_what_was_shared() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    // A server that does not ask lets a patient share who was never shown the text.
    let before = new_id(&app);
    ann.put_grant(&before, grant(&entry, &["mood"], &theo)).send().await.created();
    ann.agrees("sharing").await;
    shares(&ann, &entry, &theo).await.created();
    let mut reader = new_reader(&theo).await;
    assert_eq!(reader.ids("entry"), [entry.as_str()]);
    ann.withdraws("sharing").await;
    theo.reads(&ann, &format!("/entries/{entry}")).await.not_found();
    assert!(theo.finds(&ann).await.is_empty());
    reader.pull(&theo, 20).await;
    assert!(reader.ids("entry").is_empty() && reader.ids("grant").is_empty());
    assert!(list(&ann, &ann.my("/grants")).await.iter().all(|grant| grant["live"] == false));
    needs_consent(shares(&ann, &entry, &theo).await);
    // What is repeated makes nothing, and brings nothing back.
    ann.put_grant(&before, grant(&entry, &["mood"], &theo)).send().await.expect(410);
    ann.agrees("sharing").await;
    settled(&app).await;
    assert!(theo.finds(&ann).await.is_empty(), "what has ended does not come back");
    shares(&ann, &entry, &theo).await.created();
    assert_eq!(theo.finds(&ann).await, [entry.as_str()]);
}

#[actix_web::test]
async fn a_therapist_sees_how_those_stand_that_concern_them() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    for key in ["sharing", "research", "safety_answers", "no_driving"] {
        ann.agrees(key).await;
    }
    app.wait(SignedDuration::from_mins(1));
    ann.withdraws("safety_answers").await;
    let seen = list(&theo, &ann.of_theirs("/consents")).await;
    let stand = |key: &str| seen.iter().find(|one| one["key"] == key).unwrap_or_else(|| panic!("no {key}: {seen:?}"));
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!((&stand("sharing")["state"], &stand("sharing")["version"]), (&json!("given"), &json!(1)));
    assert_eq!(stand("safety_answers")["state"], "withdrawn");
    assert_eq!(stand("safety_answers")["withdrawn_at"], json!(app.now().to_string()));
    for hidden in ["locale", "text_sha256", "method"] {
        assert!(seen.iter().all(|one| one.get(hidden).is_none()), "{hidden}");
    }
    theo.put(&ann.of_theirs("/consents/sharing"), consent(&app, "sharing", "en").await).send().await.expect(403);
    theo.delete(&ann.of_theirs("/consents/sharing")).send().await.expect(403);
    assert_eq!(list(&theo, &ann.of_theirs("/consents")).await, seen);
}

#[actix_web::test]
async fn without_the_consent_to_messages_no_mailbox_is_left() {
    let app = TestApp::start().await;
    let (_theo, ann) = two(&app).await;
    ann.agrees("automated_messages").await;
    let mailbox = json!({ "platform": "email", "push": { "channel": "email", "address": "ann@example.org" } });
    let (mail, phone) = (new_id(&app), new_id(&app));
    ann.put(&ann.my(&format!("/devices/{mail}")), mailbox).send().await.created();
    let android = crate::support::requests::devices::phone("anns-token");
    ann.put(&ann.my(&format!("/devices/{phone}")), android).send().await.created();
    ann.withdraws("automated_messages").await;
    let left = list(&ann, &ann.my("/devices")).await;
    assert_eq!(left.iter().map(|device| device["id"].as_str().unwrap()).collect::<Vec<_>>(), [phone.as_str()]);
    ann.get(&ann.my(&format!("/devices/{mail}"))).send().await.expect(410);
    let reached =
        Sql::open(&app.database.backend).rows::<Count>("SELECT count(*) AS n FROM devices WHERE reach_key IS NOT NULL");
    assert_eq!(reached[0].n, 1, "the address is forgotten");
    ann.get("/v1/me").send().await.ok();
}

#[actix_web::test]
async fn after_a_withdrawal_no_mailbox_is_registered_until_the_consent_is_given_again() {
    for always in [false, true] {
        let app = TestApp::start_with(|config| config.require_consents = always).await;
        let (_theo, ann) = two(&app).await;
        let mailbox = json!({ "platform": "email", "push": { "channel": "email", "address": "ann@example.org" } });
        let path = |id: &str| ann.my(&format!("/devices/{id}"));
        let reached = || {
            let count = "SELECT count(*) AS n FROM devices WHERE reach_key IS NOT NULL";
            Sql::open(&app.database.backend).rows::<Count>(count)[0].n
        };
        // Who was never asked has chosen it by doing it.
        let (mail, phone) = (new_id(&app), new_id(&app));
        ann.put(&path(&mail), mailbox.clone()).send().await.created();
        let android = crate::support::requests::devices::phone("anns-token");
        let made = ann.put(&path(&phone), android).send().await.created();
        assert_eq!(reached(), 2);
        ann.agrees("automated_messages").await;
        ann.withdraws("automated_messages").await;
        assert_eq!(reached(), 1);

        let elsewhere = again(&app, "Ann Lind").await;
        let calls = [
            ann.put(&path(&mail), mailbox.clone()),
            ann.put(&path(&new_id(&app)), mailbox.clone()),
            // A phone does not become one, and a removed one does not come back after a log-in.
            ann.put(&path(&phone), mailbox.clone()).if_match(&made.etag()),
            elsewhere.put(&path(&mail), mailbox.clone()),
        ];
        for call in calls {
            let refused = call.send().await.expect(403).refused("consent_required");
            let named = (&refused.body["document"], &refused.body["document_version"]);
            assert_eq!(named, (&json!("automated_messages"), &json!(1)));
        }
        assert_eq!(reached(), 1);
        let left = list(&ann, &ann.my("/devices")).await;
        assert_eq!(left.iter().map(|device| &device["channel"]).collect::<Vec<_>>(), ["fcm"]);
        // Phones register as before.
        let tablet = crate::support::requests::devices::phone("anns-tablet");
        ann.put(&path(&new_id(&app)), tablet).send().await.created();
        assert_eq!(reached(), 2);

        ann.agrees("automated_messages").await;
        ann.put(&path(&new_id(&app)), mailbox).send().await.created();
        assert_eq!(reached(), 3);
    }
}

#[actix_web::test]
async fn a_row_that_was_changed_lets_nobody_share() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    ann.agrees("sharing").await;
    ann.withdraws("sharing").await;
    let mut sql = Sql::open(&app.database.backend);
    // The withdrawal is made into a consent from outside.
    sql.run("UPDATE consents SET withdrawn = FALSE");
    needs_consent(shares(&ann, &entry, &theo).await);
    assert_eq!(list(&ann, &ann.my("/consents")).await[0]["state"], "unclear");
    ann.agrees("sharing").await;
    shares(&ann, &entry, &theo).await.created();
    assert_eq!(list(&ann, &ann.my("/consents")).await[0]["state"], "given");
}

#[actix_web::test]
async fn a_consent_of_which_the_row_was_changed_can_be_withdrawn() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    ann.agrees("sharing").await;
    shares(&ann, &entry, &theo).await.created();
    let mut sql = Sql::open(&app.database.backend);
    // Nobody can say any more what it was that she agreed to.
    sql.run("UPDATE consents SET withdrawn = TRUE");
    assert_eq!(theo.finds(&ann).await, [entry.as_str()]);
    for _ in 0..2 {
        ann.withdraws("sharing").await;
        assert!(theo.finds(&ann).await.is_empty());
    }
    needs_consent(shares(&ann, &entry, &theo).await);
    ann.agrees("sharing").await;
    shares(&ann, &entry, &theo).await.created();
}
