//! Receipts: what a patient's phone learns of a therapist's app and of the therapist, of each thing that was shared.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_id};
use crate::support::exercises::work;
use crate::support::journal::{reflection, two};
use crate::support::people::{Clinic, Person};
use crate::support::phone::{Phone, is, mutation, new_phone};
use crate::support::reader::{Reader, feed_page, new_reader, stored};
use crate::support::sql::Sql;
use crate::tasks::settled;

/// The receipts of an item that a phone holds: version, therapist, delivered, opened.
fn receipts(phone: &Phone, kind: &str, id: &str) -> Vec<(i64, String, Value, Value)> {
    let of = |item: &&&Value| item["fields"]["item"] == json!({ "type": kind, "id": id });
    let told = |item: &Value| {
        let fields = &item["fields"];
        let therapist = fields["therapist_id"].as_str().unwrap().to_owned();
        (item["version"].as_i64().unwrap(), therapist, fields["delivered_at"].clone(), fields["opened_at"].clone())
    };
    phone.of_kind("receipt").iter().filter(of).map(|item| told(item)).collect()
}

async fn opens(therapist: &Person, ann: &Person, path: &str) {
    therapist.act(&ann.of_theirs(&format!("{path}/opened"))).send().await.ok();
}

#[actix_web::test]
async fn a_phone_learns_once_that_something_was_delivered_and_once_that_it_was_opened() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (entry, closed) = (ann.writes(reflection("Lake")).await, ann.writes(reflection("Mine")).await);
    ann.opens(&entry, &["text"], &theo).await;
    let mut phone = new_phone(&ann).await;
    let mut reader = new_reader(&theo).await;
    let delivered = json!(app.now().to_string());
    let told = phone.pull(&ann, 200).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    let by_theo = |version, opened: Value| vec![(version, theo.account.clone(), delivered.clone(), opened)];
    assert_eq!(receipts(&phone, "entry", &entry), by_theo(1, Value::Null));

    app.wait(SignedDuration::from_mins(9));
    let (feed, plan) = (stored(&app), ann.prompts().await);
    opens(&theo, &ann, &format!("/entries/{entry}")).await;
    let opened = json!(app.now().to_string());
    assert_eq!(phone.pull(&ann, 200).await.len(), 1);
    assert_eq!(receipts(&phone, "entry", &entry), by_theo(2, opened.clone()));
    // No reader learns of it, and nothing is planned again.
    assert_eq!(reader.pull(&theo, 200).await, Vec::<Value>::new());
    assert_eq!((stored(&app), ann.prompts().await), (feed, plan));

    app.wait(SignedDuration::from_mins(9));
    opens(&theo, &ann, &format!("/entries/{entry}")).await;
    new_reader(&theo).await;
    ann.edits(&entry, json!({ "text": { "body": "Loud." } })).await;
    reader.pull(&theo, 200).await;
    let told = phone.pull(&ann, 200).await;
    let kinds: Vec<_> = told.iter().map(|item| item["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["entry"], "the first time counts");
    assert_eq!(receipts(&phone, "entry", &closed), []);
    new_phone(&ann).await.equals(&phone);
}

/// The rows of a feed go with the link, receipts do not: what was delivered was delivered.
#[actix_web::test]
async fn a_receipt_outlives_the_sharing_and_the_link() {
    let Clinic { app, ann, therapist: thea, .. } = Clinic::open().await;
    let entry = ann.writes(reflection("Lake")).await;
    let open = ann.opens(&entry, &["text"], &thea).await;
    new_reader(&thea).await;
    opens(&thea, &ann, &format!("/entries/{entry}")).await;
    let mut phone = new_phone(&ann).await;
    let before = receipts(&phone, "entry", &entry);
    assert_eq!((before.len(), before[0].0), (1, 2));
    ann.revokes(&open).await;
    for link in ann.care_links().await {
        ann.delete(&format!("/v1/care-links/{}", link["id"].as_str().unwrap())).send().await.no_content();
    }
    phone.pull(&ann, 200).await;
    assert_eq!(receipts(&phone, "entry", &entry), before);
    // Over a new link the same therapist gets it a second time.
    app.wait(SignedDuration::from_hours(1));
    ann.linked_to(&thea).await;
    ann.opens(&entry, &["mood"], &thea).await;
    new_reader(&thea).await;
    opens(&thea, &ann, &format!("/entries/{entry}")).await;
    phone.pull(&ann, 200).await;
    assert_eq!(receipts(&phone, "entry", &entry), before);
    assert_eq!(phone.compare(&ann).await["differ"], json!([]));
}

/// An entry and a response may share an id.
#[actix_web::test]
async fn each_kind_and_each_reader_has_a_receipt_of_its_own_until_its_item_is_purged() {
    let Clinic { app, admin, ann, therapist: thea, .. } = Clinic::open().await;
    let uma = app.staff(&admin, "Uma Beck", &["care"]).await;
    ann.linked_to(&uma).await;
    let id = ann.writes(reflection("Lake")).await;
    ann.put(&ann.my(&format!("/exercise-responses/{id}")), work()).send().await.created();
    for reader in [&thea, &uma] {
        ann.opens(&id, &["text"], reader).await;
        ann.opens_response(&id, &["answers"], reader).await;
    }
    opens(&thea, &ann, &format!("/entries/{id}")).await;
    opens(&uma, &ann, &format!("/exercise-responses/{id}")).await;
    new_reader(&uma).await;
    let mut phone = new_phone(&ann).await;
    let both = |list: &[(i64, String, Value, Value)]| {
        list.iter().map(|(_, by, delivered, opened)| (by.clone(), delivered.is_null(), opened.is_null())).collect()
    };
    let sorted = |mut list: Vec<(String, bool, bool)>| {
        list.sort();
        list
    };
    let (thea_id, uma_id) = (thea.account.clone(), uma.account.clone());
    let expected = sorted(vec![(thea_id, true, false), (uma_id.clone(), false, true)]);
    assert_eq!(sorted(both(&receipts(&phone, "entry", &id))), expected);
    assert_eq!(both(&receipts(&phone, "exercise_response", &id)), [(uma_id, false, false)]);
    // A receipt stays with what can still be undeleted, and goes with what is purged.
    let tag = ann.entry(&id).await.ok().etag();
    ann.delete(&ann.my(&format!("/entries/{id}"))).if_match(&tag).send().await.no_content();
    phone.pull(&ann, 200).await;
    assert_eq!(receipts(&phone, "entry", &id).len(), 2);
    new_phone(&ann).await.equals(&phone);
    app.wait(SignedDuration::from_hours(24 * 31));
    settled(&app).await;
    let gone = phone.pull(&ann, 200).await;
    assert_eq!(gone.iter().filter(|item| item["kind"] == "receipt" && item["deleted"] == true).count(), 2);
    assert_eq!(receipts(&phone, "entry", &id), []);
    assert_eq!(receipts(&phone, "exercise_response", &id).len(), 1);
    let answer = phone.compare(&ann).await;
    assert_eq!((&answer["differ"], &answer["missing"]), (&json!([]), &json!([])));
    new_phone(&ann).await.equals(&phone);
}

#[actix_web::test]
async fn a_phone_does_not_write_receipts() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let fields = json!({ "fields": { "opened_at": "2026-03-10T08:00:00Z" } });
    let answer = ann.pushes(&mutation(&ann, "receipt", &new_id(&app), 0, fields)).await;
    is(&answer, "rejected");
    assert_eq!(new_phone(&ann).await.of_kind("receipt").len(), 0);
}

/// Readings of one item at once, by several people and by several requests of one: each receipt is made once, and no
/// number is skipped over.
#[actix_web::test]
async fn readings_at_once_make_each_receipt_once() {
    let Clinic { app, admin, ann, therapist: thea, .. } = Clinic::open().await;
    let uma = app.staff(&admin, "Uma Beck", &["care"]).await;
    let ben = app.patient(&thea, "Ben Okafor").await;
    for patient in [&ann, &ben] {
        patient.linked_to(&uma).await;
    }
    let mut items = Vec::new();
    for patient in [&ann, &ben] {
        for title in ["One", "Two", "Three"] {
            let entry = patient.writes(reflection(title)).await;
            for reader in [&thea, &uma] {
                patient.opens(&entry, &["text"], reader).await;
            }
            items.push((patient, entry));
        }
    }
    let phone = Arc::new(tokio::sync::Mutex::new(new_phone(&ann).await));
    let readings = [&thea, &uma, &thea, &uma].map(|reader| {
        let (items, phone, ann) = (&items, Arc::clone(&phone), &ann);
        async move {
            feed_page(reader, None, 200).await.ok();
            for (patient, entry) in items {
                opens(reader, patient, &format!("/entries/{entry}")).await;
                phone.lock().await.pull(ann, 3).await;
            }
            Reader::default().pull(reader, 5).await;
        }
    });
    futures_util::future::join_all(readings).await;
    let mut phone = Arc::into_inner(phone).unwrap().into_inner();
    phone.pull(&ann, 200).await;
    phone.equals(&new_phone(&ann).await);
    for (patient, entry) in &items {
        let phone = new_phone(patient).await;
        let found = receipts(&phone, "entry", entry);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found.iter().all(|(version, _, delivered, opened)| {
                *version == 2 && delivered.is_string() && opened.is_string()
            })
        );
    }
    let stored = Sql::open(&app.database.backend)
        .rows::<crate::support::database::Count>("SELECT count(*) AS n FROM changes WHERE entity = 11");
    assert_eq!(stored[0].n, 24, "a change for each fact");
}
