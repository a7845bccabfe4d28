//! A patient opens or closes a whole history at once. The unit tells of the newest entries, a task of the others, and
//! who may read what is decided at once all the same.

use serde_json::{Value, json};

use super::told;
use crate::support::app::{TestApp, new_id};
use crate::support::journal::two;
use crate::support::people::Person;
use crate::support::reader::Reader;
use crate::tasks::{Tables, settled};

/// More entries than one unit follows, and than two do.
const ENTRIES: usize = 230;

/// Writes many reflections, in ascending order of their ids.
pub async fn write(person: &Person) -> Vec<String> {
    let epoch = person.get(&person.my("/changes?limit=1")).send().await.ok().body["epoch"].clone();
    let mut ids: Vec<String> = (0..ENTRIES).map(|_| new_id(&person.app)).collect();
    ids.sort();
    let new = |id: &String| {
        let header = json!({ "kind": "reflection", "occurred_at": person.app.now().to_string() });
        let (patient, text) = (&person.patient, json!({ "body": "Quiet water." }));
        json!({
            "mutation_id": new_id(&person.app), "patient_id": patient, "kind": "entry", "id": id, "base_version": 0,
            "header": header, "text": text,
        })
    };
    let mutations: Vec<Value> = ids.iter().map(new).collect();
    let body = json!({ "epoch": epoch, "mutations": mutations });
    let results = person.post(&person.my("/mutations"), body).send().await.ok().body["results"].clone();
    assert!(results.as_array().unwrap().iter().all(|result| result["status"] == "applied"), "{results}");
    ids
}

/// Opens all reflections, also later ones, to the care team.
pub async fn open_all(person: &Person) -> String {
    let id = new_id(&person.app);
    let rule = json!({ "rule": { "kind": "reflection" }, "sections": ["text"], "reader": { "type": "care_team" } });
    person.put_grant(&id, rule).send().await.created();
    id
}

fn entries(events: &[Value]) -> Vec<String> {
    told(events).into_iter().filter(|(_, kind, _)| kind == "entry").map(|(_, _, id)| id).collect()
}

#[actix_web::test]
async fn a_history_that_is_opened_at_once_is_told_the_newest_first() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ids = write(&ann).await;
    let mut reader = Reader::default();
    reader.pull(&theo, 200).await;
    open_all(&ann).await;
    let mut first = entries(&reader.pull(&theo, 200).await);
    first.sort();
    assert_eq!(first, ids[ENTRIES - 100..], "the newest hundred, in the unit of the grant");
    assert_eq!(theo.finds(&ann).await.len().min(20), 20);
    theo.reads(&ann, &format!("/entries/{}", ids[0])).await.ok();
    settled(&app).await;
    let mut rest = entries(&reader.pull(&theo, 200).await);
    rest.sort();
    assert_eq!(rest, ids[..ENTRIES - 100], "each of the others once");
    assert_eq!(reader.pull(&theo, 200).await, Vec::<Value>::new());
}

#[actix_web::test]
async fn a_history_that_is_closed_before_all_of_it_was_told_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ids = write(&ann).await;
    let mut reader = Reader::default();
    reader.pull(&theo, 200).await;
    let grant = open_all(&ann).await;
    reader.pull(&theo, 200).await;
    ann.revokes(&grant).await;
    theo.reads(&ann, &format!("/entries/{}", ids[0])).await.expect(404);
    let events = reader.pull(&theo, 200).await;
    assert!(told(&events).iter().all(|(event, ..)| event == "item.removed"), "{events:?}");
    settled(&app).await;
    reader.pull(&theo, 200).await;
    assert_eq!(reader.ids("entry"), Vec::<&str>::new());
    let mentioned: Vec<&str> = reader.mentioned.iter().map(|(_, _, id)| id.as_str()).collect();
    for id in &ids[..ENTRIES - 100] {
        assert!(!mentioned.contains(&id.as_str()), "{id} was closed before anybody was told of it");
    }
    assert_eq!(Tables::of(&app).count("feed_backlog"), 0);
    reader.holds_what_it_may_see(&theo, &[&ann]).await;
}

#[actix_web::test]
async fn a_history_that_is_closed_goes_whole_and_no_page_shows_it_meanwhile() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ids = write(&ann).await;
    let grant = open_all(&ann).await;
    settled(&app).await;
    let mut reader = Reader::default();
    reader.pull(&theo, 200).await;
    assert_eq!(reader.ids("entry").len(), ENTRIES);
    ann.revokes(&grant).await;
    // An app that begins now reads rows that no part has followed yet.
    let mut new = Reader::default();
    new.pull(&theo, 50).await;
    assert_eq!(new.ids("entry"), Vec::<&str>::new());
    settled(&app).await;
    let mut gone = entries(&reader.pull(&theo, 200).await);
    gone.sort();
    assert_eq!(gone, ids);
    assert_eq!(reader.ids("entry"), Vec::<&str>::new());
}
