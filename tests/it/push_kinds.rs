//! Comments and pauses that phones push: each by the rule of its kind.

use reqwest::Method;
use serde_json::{Value, json};

use crate::push::changes;
use crate::support::app::{TestApp, new_id};
use crate::support::journal::{reflection, two};
use crate::support::people::Person;
use crate::support::phone::{is, mutation, new_phone};

/// The mutation of a new comment.
fn comment(person: &Person, id: &str, entry: &str, thread: &str, body: &str) -> Value {
    mutation(person, "comment", id, 0, json!({ "entry_id": entry, "thread_id": thread, "body": body }))
}

/// The link between a patient and a therapist.
async fn link(ann: &Person, theo: &Person) -> String {
    let links = ann.care_links().await;
    links.iter().find(|link| link["name"] == json!(theo.name)).unwrap()["id"].as_str().unwrap().to_owned()
}

/// The texts of the comments on an entry that somebody is shown.
async fn texts(reader: &Person, path: &str) -> Vec<String> {
    let list = reader.get(&format!("{path}/comments")).send().await.ok();
    let mut texts: Vec<_> = list.items().iter().map(|one| one["body"].as_str().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

#[actix_web::test]
async fn a_comment_that_was_written_offline_is_stored_once_and_its_words_do_not_change() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (entry, thread) = (ann.writes(reflection("Lake")).await, link(&ann, &theo).await);
    ann.opens(&entry, &["text"], &theo).await;
    let (path, id) = (ann.of_theirs(&format!("/entries/{entry}")), new_id(&app));
    let sent = comment(&ann, &id, &entry, &thread, "Thank you.");
    let first = ann.pushes(&sent).await;
    assert_eq!((&first["status"], &first["version"]), (&json!("applied"), &json!(1)), "{first:#}");
    assert_eq!(texts(&theo, &path).await, ["Thank you."], "it is no other than one that was put");
    let before = changes(&app);
    let again = ann.pushes(&sent).await;
    assert_eq!((&again["status"], &again["was"]), (&json!("replayed"), &json!("applied")));
    // The answer was lost, and the phone sends it anew; by the other door; and the other way round.
    is(&ann.pushes(&comment(&ann, &id, &entry, &thread, "Thank you.")).await, "applied");
    let rest =
        |id: &str| ann.put(&format!("{path}/comments/{id}"), json!({ "body": "Thank you.", "thread_id": thread }));
    rest(&id).send().await.ok();
    assert_eq!(changes(&app), before);
    let other = new_id(&app);
    rest(&other).send().await.created();
    is(&ann.pushes(&comment(&ann, &other, &entry, &thread, "Thank you.")).await, "applied");
    // Other words under its id, on either phone, and words under the id of the therapist's.
    let theirs = new_id(&app);
    theo.put(&format!("{path}/comments/{theirs}"), json!({ "body": "Well done." })).send().await.created();
    for (id, holds) in [(&id, "Thank you."), (&theirs, "Well done.")] {
        let clash = ann.pushes(&comment(&ann, id, &entry, &thread, "No.")).await;
        assert_eq!((&clash["status"], &clash["sections"]), (&json!("conflict"), &json!(["body"])));
        assert_eq!((&clash["current"]["body"], &clash["current"]["id"]), (&json!(holds), &json!(id)));
    }
    // A phone that sends all it holds to a restored server does not say what others said.
    let mut echo = comment(&ann, &new_id(&app), &entry, &thread, "Well done.");
    echo["author_id"] = json!(theo.account);
    let refused = ann.pushes(&echo).await;
    assert_eq!((&refused["status"], &refused["problem"]["code"]), (&json!("rejected"), &json!("not_found")));
    for op in ["delete", "undelete", "open"] {
        let sent = mutation(&ann, "comment", &id, 1, json!({ "op": op }));
        is(&ann.pushes(&sent).await, "rejected");
    }
    assert_eq!(texts(&ann, &path).await, ["Thank you.", "Thank you.", "Well done."]);
}

#[actix_web::test]
async fn a_comment_into_a_closed_thread_is_held_and_is_the_patients_alone_for_good() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (entry, thread) = (ann.writes(reflection("Lake")).await, link(&ann, &theo).await);
    let grant = ann.opens(&entry, &["text"], &theo).await;
    let path = ann.of_theirs(&format!("/entries/{entry}"));
    theo.says(&format!("{path}/comments"), json!({ "body": "Tell me more." })).send().await.created();
    ann.revokes(&grant).await;
    let id = new_id(&app);
    let sent = comment(&ann, &id, &entry, &thread, "I was afraid.");
    let held = ann.pushes(&sent).await;
    assert_eq!((&held["status"], &held["code"]), (&json!("merged"), &json!("thread_closed")), "{held:#}");
    assert_eq!((&held["item"]["held"], &held["warnings"][0]["pointer"]), (&json!(true), &json!("/thread_id")));
    let again = ann.pushes(&sent).await;
    assert_eq!(
        (&again["status"], &again["was"], &again["item"]),
        (&json!("replayed"), &json!("merged"), &held["item"])
    );
    let anew = ann.pushes(&comment(&ann, &id, &entry, &thread, "I was afraid.")).await;
    assert_eq!((&anew["status"], &anew["item"]), (&json!("merged"), &held["item"]));
    // By the other door the person is there to hear of it: nothing is stored.
    let here = json!({ "body": "Now.", "thread_id": thread });
    ann.says(&format!("{path}/comments"), here).send().await.expect(409);
    // A thread of nobody's, of another patient's, and none: the words are kept.
    let bea = app.patient(&theo, "Bea Holt").await;
    let foreign = link(&bea, &theo).await;
    let mut none = comment(&ann, &new_id(&app), &entry, "", "Three.");
    none.as_object_mut().unwrap().remove("thread_id");
    for (sent, says) in [
        (comment(&ann, &new_id(&app), &entry, &new_id(&app), "One."), "One."),
        (comment(&ann, &new_id(&app), &entry, &foreign, "Two."), "Two."),
        (none, "Three."),
    ] {
        let result = ann.pushes(&sent).await;
        assert_eq!((&result["status"], &result["item"]["body"]), (&json!("merged"), &json!(says)), "{result:#}");
        assert_eq!((&result["item"]["held"], result["item"].get("thread_id")), (&json!(true), None));
    }
    // The thread opens again: what was held stays with the patient, by every door.
    ann.opens(&entry, &["text"], &theo).await;
    assert_eq!(texts(&theo, &path).await, ["Tell me more."]);
    let probe = theo.put(&format!("{path}/comments/{id}"), json!({ "body": "I was afraid." })).send().await;
    probe.expect(409).refused("already_exists");
    let mine = ann.get(&format!("{path}/comments")).send().await.ok();
    let held: Vec<(&Value, Option<&Value>)> = mine.items().iter().map(|one| (&one["body"], one.get("held"))).collect();
    let yes = json!(true);
    let bodies = ["I was afraid.", "One.", "Two.", "Three."].map(|body| json!(body));
    for body in &bodies {
        assert!(held.contains(&(body, Some(&yes))), "{held:?}");
    }
    assert!(held.contains(&(&json!("Tell me more."), None)), "{held:?}");
    let phone = new_phone(&ann).await;
    let pulled: Vec<_> = phone.of_kind("comment").into_iter().filter(|one| one["held"] == true).collect();
    assert_eq!(pulled.len(), 4);
    assert_eq!(phone.item("comment", &id)["thread_id"], json!(thread));
    assert_eq!(phone.compare(&ann).await["differ"], json!([]));
}

#[actix_web::test]
async fn a_comment_about_a_deleted_entry_goes_and_comes_back_with_it() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (entry, thread) = (ann.writes(reflection("Lake")).await, link(&ann, &theo).await);
    ann.opens(&entry, &["text"], &theo).await;
    is(&ann.pushes(&mutation(&ann, "entry", &entry, 1, json!({ "op": "delete" }))).await, "applied");
    let late = comment(&ann, &new_id(&app), &entry, &thread, "Later.");
    let held = ann.pushes(&late).await;
    assert_eq!((&held["status"], &held["item"]["held"]), (&json!("merged"), &json!(true)), "{held:#}");
    is(&ann.pushes(&mutation(&ann, "entry", &entry, 2, json!({ "op": "undelete" }))).await, "applied");
    let path = ann.of_theirs(&format!("/entries/{entry}"));
    assert_eq!(texts(&ann, &path).await, ["Later."]);
    // Of an entry that is not there, or is another patient's, there is no place for words.
    let bea = app.patient(&theo, "Bea Holt").await;
    let foreign = bea.writes(reflection("Hers")).await;
    for entry in [&new_id(&app), &foreign] {
        let refused = ann.pushes(&comment(&ann, &new_id(&app), entry, &thread, "Lost.")).await;
        assert_eq!((&refused["status"], &refused["problem"]["code"]), (&json!("rejected"), &json!("not_found")));
    }
    let bad = ann.pushes(&comment(&ann, &new_id(&app), &entry, &thread, " ")).await;
    assert_eq!(
        (&bad["problem"]["code"], &bad["problem"]["errors"][0]["pointer"]),
        (&json!("invalid"), &json!("/body"))
    );
}

#[actix_web::test]
async fn a_pause_is_one_value_and_ended_is_final() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let april = |day: &str| json!({ "fields": { "from": "2026-04-01T00:00:00Z", "until": format!("2026-04-{day}T00:00:00Z") } });
    let id = new_id(&app);
    let new = mutation(&ann, "pause", &id, 0, april("05"));
    is(&ann.pushes(&new).await, "applied");
    let listed = async || {
        let list = ann.get(&ann.my("/pauses")).send().await.ok();
        list.items().iter().map(|one| one["until"].as_str().unwrap()[8..10].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, ["05"]);
    // The answer was lost: by either door nothing is new.
    let before = changes(&app);
    is(&ann.pushes(&new).await, "replayed");
    is(&ann.pushes(&mutation(&ann, "pause", &id, 0, april("05"))).await, "applied");
    ann.put(&ann.my(&format!("/pauses/{id}")), april("05")["fields"].clone()).send().await.ok();
    assert_eq!(changes(&app), before);
    // Two phones: the first changes it, the second had not seen that.
    is(&ann.pushes(&mutation(&ann, "pause", &id, 1, april("06"))).await, "applied");
    let late = ann.pushes(&mutation(&ann, "pause", &id, 1, april("09"))).await;
    assert_eq!((&late["status"], &late["sections"]), (&json!("conflict"), &json!(["fields"])), "{late:#}");
    assert_eq!(
        (&late["current"]["version"], &late["current"]["fields"]["until"]),
        (&json!(2), &json!("2026-04-06T00:00:00Z"))
    );
    let same = ann.pushes(&mutation(&ann, "pause", &id, 1, april("06"))).await;
    assert_eq!((&same["status"], &same["item"]["version"]), (&json!("merged"), &json!(2)), "both said the same");
    is(&ann.pushes(&mutation(&ann, "pause", &id, 2, april("05"))).await, "applied");
    assert_eq!(listed().await, ["05"], "also back to what it was at first");
    // Ended, in both orders.
    let end = |base| mutation(&ann, "pause", &id, base, json!({ "op": "delete" }));
    let ended = end(1);
    let told = ann.pushes(&ended).await;
    assert_eq!((&told["status"], &told["version"]), (&json!("applied"), &json!(4)), "{told:#}");
    assert!(listed().await.is_empty());
    is(&ann.pushes(&ended).await, "replayed");
    is(&ann.pushes(&end(3)).await, "applied");
    let late = ann.pushes(&mutation(&ann, "pause", &id, 3, april("20"))).await;
    assert_eq!((&late["status"], &late["item"]["deleted"]), (&json!("merged"), &json!(true)), "{late:#}");
    assert!(listed().await.is_empty());
    let unknown = mutation(&ann, "pause", &new_id(&app), 3, json!({ "op": "delete" }));
    is(&ann.pushes(&unknown).await, "applied");
    let gone = ann.pushes(&mutation(&ann, "pause", &new_id(&app), 3, april("20"))).await;
    assert_eq!((&gone["status"], gone.get("current")), (&json!("conflict"), None));
    // What is wrong is told where it stands; another patient's pause is none of hers.
    let bea = app.patient(&theo, "Bea Holt").await;
    let hers = new_id(&app);
    bea.put(&bea.my(&format!("/pauses/{hers}")), april("05")["fields"].clone()).send().await.created();
    is(&ann.pushes(&mutation(&ann, "pause", &hers, 1, json!({ "op": "delete" }))).await, "applied");
    assert_eq!(bea.get(&bea.my("/pauses")).send().await.ok().items().len(), 1);
    let wrong = ann.pushes(&mutation(&ann, "pause", &new_id(&app), 0, json!({ "fields": { "until": "soon" } }))).await;
    assert_eq!(wrong["problem"]["errors"][0]["pointer"], "/fields/until", "{wrong:#}");
    is(&ann.pushes(&mutation(&ann, "pause", &new_id(&app), 0, json!({}))).await, "rejected");
    ann.request(Method::GET, &ann.my("/pauses")).send().await.ok();
}
