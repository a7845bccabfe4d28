//! Pages of a feed: their cursors, their traces, and what others do meanwhile.

use std::sync::Arc;

use afterglow::changes::Entity;
use afterglow::feed::{FeedRow, store};
use afterglow::kernel::Id;
use jiff::SignedDuration;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{deletes, removed, told};
use crate::support::app::TestApp;
use crate::support::journal::{reflection, two};
use crate::support::people::{Clinic, Person, again};
use crate::support::phone::new_phone;
use crate::support::reader::{Reader, feed_page, new_reader, stored, thing};
use crate::support::sources::{functions, shipped};
use crate::support::sql::Sql;
use crate::tasks::settled;

#[actix_web::test]
async fn a_cursor_is_its_readers_and_of_this_history() {
    let Clinic { app, admin, ann, therapist: thea, .. } = Clinic::open().await;
    let uma = app.staff(&admin, "Uma Beck", &["care"]).await;
    let entry = ann.writes(reflection("Lake")).await;
    let open = ann.opens(&entry, &["text"], &thea).await;
    let reader = new_reader(&thea).await;
    let cursor = reader.cursor.unwrap();
    assert!(cursor.len() <= 200);
    feed_page(&uma, Some(&cursor), 20).await.expect(422);
    feed_page(&thea, Some("x"), 20).await.expect(422);
    let own = ann.get(&ann.my("/changes")).send().await.ok().text("/cursor");
    feed_page(&thea, Some(&own), 20).await.expect(422);
    thea.get(&ann.of_theirs(&format!("/entries?cursor={cursor}"))).send().await.expect(422);
    feed_page(&thea, Some(&cursor), 20).await.ok();
    // Removals of half a year ago are forgotten: an older cursor is answered by a pull of everything.
    ann.revokes(&open).await;
    for _ in 0..25 {
        app.wait(SignedDuration::from_hours(24 * 7));
        thea.get("/v1/me").send().await.ok();
    }
    app.wait(SignedDuration::from_hours(24 * 7));
    // No session of staff lasts for half a year.
    let thea = again(&app, "Thea Brandt").await;
    settled(&app).await;
    let old = feed_page(&thea, Some(&cursor), 20).await.expect(410).refused("resync_required");
    assert_eq!(old.body["reason"], "too_old");
    let mut new = Reader::default();
    new.pull(&thea, 20).await;
    feed_page(&thea, new.cursor.as_deref(), 20).await.ok();
    let mut sql = Sql::open(&app.database.backend);
    sql.run("UPDATE feed_heads SET seq = 0, horizon_seq = 0");
    let ahead = feed_page(&thea, new.cursor.as_deref(), 20).await.expect(410);
    assert_eq!(ahead.body["reason"], "ahead");
    let other = sql.id("00112233-4455-4677-8899-aabbccddeeff");
    let value = if other.starts_with('x') { other } else { "'\\x00112233445546778899aabbccddeeff'".to_owned() };
    sql.run(&format!("UPDATE settings SET value = {value} WHERE name = 'epoch'"));
    let epoch = feed_page(&thea, new.cursor.as_deref(), 20).await.expect(410);
    assert_eq!(epoch.body["reason"], "epoch");
}

/// A page is one access to each of its patients, and is delivered once.
#[actix_web::test]
async fn each_patient_of_a_page_is_told_once_what_was_sent() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Okafor").await;
    let mut opened = Vec::new();
    for patient in [&ann, &ben] {
        for title in ["One", "Two"] {
            let entry = patient.writes(reflection(title)).await;
            patient.opens(&entry, &["text"], &theo).await;
            opened.push(entry);
        }
    }
    let audited = |app: &Arc<TestApp>| {
        #[derive(diesel::QueryableByName)]
        struct Count {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            n: i64,
        }
        Sql::open(&app.database.backend).rows::<Count>("SELECT count(*) AS n FROM audit_log")[0].n
    };
    let before = audited(&app);
    let mut reader = Reader::default();
    let (events, more) = reader.page(&theo, 200).await;
    assert!(!more && events.len() == 8);
    assert_eq!(audited(&app), before + 2, "one row for each patient");
    let delivered = async || {
        let phones = [new_phone(&ann).await, new_phone(&ben).await];
        let fields = |item: &Value| (item["version"].clone(), item["fields"].clone());
        phones.iter().flat_map(|phone| phone.of_kind("receipt").into_iter().map(fields)).collect::<Vec<_>>()
    };
    let (first, rows) = (delivered().await, stored(&app));
    assert_eq!(first.len(), 4, "of each entry: {first:?}");
    app.wait(SignedDuration::from_hours(1));
    new_reader(&theo).await;
    assert_eq!(delivered().await, first, "the first time counts");
    assert_eq!(stored(&app), rows);
    assert_eq!(audited(&app), before + 4);
    reader.pull(&theo, 200).await;
    assert_eq!(audited(&app), before + 4, "nothing new: no access");
    // It was delivered, and nobody has opened it.
    assert_eq!(ann.entry(&opened[0]).await.ok().body["seen_by"], json!([]));
    // A removal shows nothing of the patient.
    deletes(&ann, &opened[0]).await;
    let events = reader.pull(&theo, 200).await;
    assert_eq!(told(&events), [removed("entry", &opened[0])]);
    assert_eq!(audited(&app), before + 4);
    assert!(events.iter().all(|event| thing(event).0 == ann.patient));
}

/// The pages of more patients than one page locks.
#[actix_web::test]
async fn a_page_has_at_most_sixteen_patients() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care", "record"]).await;
    for n in 0..18 {
        let patient = app.patient(&theo, &format!("Patient {n}")).await;
        theo.records(&patient, app.now()).await;
    }
    let mut reader = Reader::default();
    let (first, more) = reader.page(&theo, 200).await;
    assert!(more && first.len() == 16, "{}", first.len());
    let (rest, more) = reader.page(&theo, 200).await;
    assert!(!more && rest.len() == 2);
    assert_eq!(reader.things.len(), 18, "the sweep after a pull of several pages");
}

/// I12 for readers, and no deadlock: patients share and revoke at once, and pages are pulled between.
#[actix_web::test]
async fn a_cursor_skips_nothing_while_patients_write() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care", "record"]).await;
    let uma = app.staff(&admin, "Uma Beck", &["care"]).await;
    let mut patients = Vec::new();
    for name in ["Ann Lind", "Ben Okafor", "Cem Aydin"] {
        let patient = app.patient(&theo, name).await;
        patient.linked_to(&uma).await;
        patients.push(patient);
    }
    let lives = patients.iter().cloned().map(|patient| {
        let (theo, uma) = (theo.clone(), uma.clone());
        async move {
            for n in 0..12 {
                let entry = patient.writes(reflection(&format!("Lake {n}"))).await;
                let open = patient.opens(&entry, &["text"], &theo).await;
                patient.opens(&entry, &["mood"], &uma).await;
                patient.edits(&entry, json!({ "text": { "body": "Loud." } })).await;
                match n % 3 {
                    0 => patient.revokes(&open).await,
                    1 => deletes(&patient, &entry).await,
                    _ => {}
                }
            }
        }
    });
    let pulled = async |therapist: &Person| {
        let mut reader = Reader::default();
        for _ in 0..40 {
            reader.page(therapist, 3).await;
        }
        reader
    };
    let writing = futures_util::future::join_all(lives);
    let (_, mut his, mut hers) = tokio::join!(writing, pulled(&theo), pulled(&uma));
    for (reader, therapist) in [(&mut his, &theo), (&mut hers, &uma)] {
        reader.pull(therapist, 50).await;
        reader.equals(&new_reader(therapist).await);
        reader.holds_what_it_may_see(therapist, &patients.iter().collect::<Vec<_>>()).await;
        assert_eq!(reader.ids("entry").len(), if therapist.account == theo.account { 12 } else { 24 });
    }
}

/// A page finds its rows in one unit and tells of them in another. What moved between the two comes with a later page.
#[actix_web::test]
async fn rule_feed_a_row_that_moved_while_the_page_was_read_is_told_later() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (moved, other) = (ann.writes(reflection("Moved")).await, ann.writes(reflection("Lake")).await);
    for id in [&moved, &other] {
        ann.opens(id, &["text"], &theo).await;
    }
    let (account, db) = (theo.account.parse().unwrap(), &app.server.state.db);
    let found = db.read(move |tx| store::list(tx, account, ((0, Id::from_uuid(Uuid::nil())), None), 50)).await.unwrap();
    let things = |rows: &[FeedRow]| rows.iter().map(|row| row.thing).collect::<Vec<_>>();
    let still = async |rows: &[FeedRow]| {
        let rows = rows.to_vec();
        things(&db.read(move |tx| store::still(tx, &rows)).await.unwrap())
    };
    assert_eq!(still(&found).await, things(&found));
    ann.edits(&moved, json!({ "text": { "body": "Loud." } })).await;
    let entry = (Entity::Entry, moved.parse().unwrap());
    let mut others = things(&found);
    others.retain(|thing| *thing != entry);
    assert_eq!(others.len() + 1, found.len());
    assert_eq!(still(&found).await, others);
    let last = found.last().unwrap().place;
    let later = db.read(move |tx| store::list(tx, account, (last, None), 50)).await.unwrap();
    assert_eq!(things(&later), [entry]);
    // The rows of a link go with it.
    let link = ann.care_links().await[0]["id"].as_str().unwrap().to_owned();
    ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    assert!(still(&found).await.is_empty());
}

/// What does not open stands in its place: the app keeps what it holds of it, and the rest of the page comes.
#[actix_web::test]
async fn a_damaged_thing_is_told_as_unreadable() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (damaged, other) = (ann.writes(reflection("Damaged")).await, ann.writes(reflection("Lake")).await);
    for id in [&damaged, &other] {
        ann.opens(id, &["text"], &theo).await;
    }
    let mut sql = Sql::open(&app.database.backend);
    let (id, bytes) = (sql.id(&damaged), if crate::support::database::on_postgres() { "'\\x00'" } else { "x'00'" });
    sql.run(&format!("UPDATE entries SET text = {bytes} WHERE id = {id}"));
    let page = feed_page(&theo, None, 20).await.ok();
    let of = |id: &str| page.body["events"].as_array().unwrap().iter().find(|event| event["id"] == id).unwrap().clone();
    let expected = json!({
        "type": "item", "patient_id": ann.patient, "kind": "entry", "id": damaged, "unreadable": true,
    });
    assert_eq!(of(&damaged), expected);
    assert_eq!(of(&other)["item"]["text"]["title"], "Lake");
}

/// A statement that is added later cannot forget the feeds.
#[test]
fn whatever_changes_the_items_of_grants_notes_it_for_the_feeds() {
    let (mut faults, mut seen) = (Vec::new(), 0);
    for source in shipped().iter().filter(|source| source.slice() != "db") {
        for (name, text) in functions(source) {
            let changes = ["diesel::delete(", "diesel::insert_into("].iter().any(|change| text.contains(change));
            if changes && text.contains("grant_items::table") {
                seen += 1;
                if !text.contains("note_opened(") {
                    faults.push(format!("{name} of src/{}", source.name));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:?}: call changes::note_opened");
    assert!(seen >= 5, "{seen}");
}
