//! A new share that can be taken back before its reader sees it.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp, new_id};
use crate::support::exercises::work;
use crate::support::journal::{grant, ids, reflection, two, with};
use crate::support::people::Person;
use crate::support::phone::{is, mutation};
use crate::support::reader::{Reader, new_reader, stored};
use crate::tasks::settled;

const DELAY: SignedDuration = SignedDuration::from_mins(10);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

async fn patient() -> (Arc<TestApp>, Person, Person) {
    let app = TestApp::start_with(|config| config.share_delay_minutes = 10).await;
    let (theo, ann) = two(&app).await;
    (app, theo, ann)
}

/// What a therapist finds of a patient's wherever they may look.
async fn found(theo: &Person, ann: &Person) -> Vec<Value> {
    let mut all = Vec::new();
    for path in ["/entries", "/exercise-responses", "/grants"] {
        all.extend(theo.reads(ann, path).await.ok().items().to_vec());
        if path != "/grants" {
            let shown = ann.get(&ann.my(&format!("/view-as/{}{path}", theo.account))).send().await.ok();
            all.extend(shown.items().to_vec());
        }
    }
    all
}

async fn list(ann: &Person) -> Value {
    ann.get(&ann.my("/grants")).send().await.ok().body["items"].clone()
}

#[actix_web::test]
async fn a_new_share_is_seen_ten_minutes_later_and_not_before() {
    let (app, theo, ann) = patient().await;
    let (entry, response) = (ann.writes(reflection("Lake")).await, ann.works(work()).await);
    let mut reader = new_reader(&theo).await;
    let made = app.now();
    let share = new_id(&app);
    let answer = ann.put_grant(&share, grant(&entry, &["text"], &theo)).send().await.created();
    let from = made.checked_add(DELAY).unwrap().to_string();
    assert_eq!((&answer.body["live"], &answer.body["visible_from"]), (&json!(false), &json!(from)));
    assert_eq!(answer.body["readers"], json!([theo.account]), "who will see it");
    ann.opens_response(&response, &["answers"], &theo).await;
    for waited in [SignedDuration::ZERO, SignedDuration::from_mins(5), SignedDuration::from_mins(5) - SECOND] {
        app.wait(waited);
        settled(&app).await;
        assert_eq!(found(&theo, &ann).await, Vec::<Value>::new());
        theo.reads(&ann, &format!("/entries/{entry}")).await.not_found();
        theo.reads(&ann, &format!("/exercise-responses/{response}")).await.not_found();
        theo.post(&ann.of_theirs(&format!("/entries/{entry}/opened")), json!({})).send().await.not_found();
        assert_eq!(reader.pull(&theo, 20).await, Vec::<Value>::new());
    }
    app.wait(SECOND);
    // By the clock alone, while the task is still to come.
    assert_eq!(theo.finds(&ann).await, [entry.as_str()]);
    let mine = list(&ann).await;
    let own = mine.as_array().unwrap().iter().find(|item| item["id"] == json!(share)).unwrap();
    assert_eq!((&own["live"], own.get("visible_from")), (&json!(true), None));
    settled(&app).await;
    reader.pull(&theo, 20).await;
    assert_eq!((reader.ids("entry"), reader.ids("exercise_response")), (vec![entry.as_str()], vec![response.as_str()]));
    assert_eq!(reader.ids("grant").len(), 2);
    reader.holds_what_it_may_see(&theo, &[&ann]).await;
    reader.equals(&new_reader(&theo).await);
}

#[actix_web::test]
async fn what_is_taken_back_before_leaves_no_trace_with_its_reader() {
    let (app, theo, ann) = patient().await;
    let entry = ann.writes(reflection("Lake")).await;
    let open = json!({ "visible_at_once": true });
    let other = ann.writes(reflection("Sea")).await;
    ann.put_grant(&new_id(&app), with(grant(&other, &["text"], &theo), open)).send().await.created();
    let mut reader = new_reader(&theo).await;
    let look = async || {
        let answers = [
            theo.reads(&ann, "/entries").await,
            theo.reads(&ann, "/grants").await,
            theo.get("/v1/me/patients").send().await,
        ];
        (stored(&app), answers.map(|answer: Answer| (answer.bytes.clone(), answer.etag())))
    };
    let before = look().await;
    let one = ann.opens(&entry, &["text"], &theo).await;
    let team = with(grant(&entry, &["mood"], &theo), json!({ "reader": { "type": "care_team" } }));
    let two = new_id(&app);
    ann.put_grant(&two, team).send().await.created();
    let all = json!({ "rule": { "kind": "reflection" }, "sections": ["tags"], "reader": { "type": "care_team" } });
    let three = new_id(&app);
    ann.put_grant(&three, all).send().await.created();
    assert_eq!(look().await, before);
    app.wait(DELAY - SECOND);
    settled(&app).await;
    for share in [&one, &two, &three] {
        ann.revokes(share).await;
    }
    assert_eq!(look().await, before);
    app.wait(DELAY);
    settled(&app).await;
    assert_eq!(look().await, before);
    assert_eq!(reader.pull(&theo, 20).await, Vec::<Value>::new());
    assert!(list(&ann).await.as_array().unwrap().iter().all(|item| item.get("visible_from").is_none()));
}

#[actix_web::test]
async fn with_a_wish_it_is_seen_at_once() {
    let (app, theo, ann) = patient().await;
    let entry = ann.writes(reflection("Lake")).await;
    let mut reader = new_reader(&theo).await;
    let body = with(grant(&entry, &["text"], &theo), json!({ "visible_at_once": true }));
    let made = ann.put_grant(&new_id(&app), body).send().await.created();
    assert_eq!((&made.body["live"], made.body.get("visible_from")), (&json!(true), None));
    assert_eq!(theo.finds(&ann).await, [entry.as_str()]);
    reader.pull(&theo, 20).await;
    assert_eq!(reader.ids("entry"), [entry.as_str()]);
    assert_eq!(app.get("/v1/meta").send().await.ok().body["share_delay_minutes"], 10);
    let refused = with(grant(&entry, &["mood"], &theo), json!({ "visible_at_once": "yes" }));
    ann.put_grant(&new_id(&app), refused).send().await.expect(422);
}

#[actix_web::test]
async fn the_same_share_again_does_not_wait_anew() {
    let (app, theo, ann) = patient().await;
    let entry = ann.writes(reflection("Lake")).await;
    let (id, body) = (new_id(&app), grant(&entry, &["text"], &theo));
    let made = ann.put_grant(&id, body.clone()).key("k").send().await.created();
    app.wait(SignedDuration::from_mins(4));
    assert_eq!(ann.put_grant(&id, body.clone()).send().await.ok().body, made.body);
    assert_eq!(ann.put_grant(&id, body).key("k").send().await.created().body, made.body);
    app.wait(SignedDuration::from_mins(6));
    assert_eq!(theo.finds(&ann).await, [entry.as_str()]);
}

#[actix_web::test]
async fn a_share_adds_to_what_is_open_when_it_begins() {
    let (app, theo, ann) = patient().await;
    let entry = ann.writes(reflection("Lake")).await;
    let at_once = with(grant(&entry, &["mood"], &theo), json!({ "visible_at_once": true }));
    ann.put_grant(&new_id(&app), at_once).send().await.created();
    let rule = json!({ "rule": { "kind": "reflection" }, "sections": ["text"], "reader": { "type": "care_team" } });
    ann.put_grant(&new_id(&app), rule).send().await.created();
    // What is written meanwhile falls under the rule, and waits with it.
    let later = ann.writes(reflection("Sea")).await;
    let mut reader = new_reader(&theo).await;
    assert_eq!((reader.ids("entry"), reader.item("entry", &entry).unwrap().get("text")), (vec![entry.as_str()], None));
    assert_eq!(theo.finds(&ann).await, [entry.as_str()]);
    app.wait(DELAY);
    settled(&app).await;
    reader.pull(&theo, 20).await;
    assert_eq!(reader.item("entry", &entry).unwrap()["text"]["title"], "Lake");
    assert_eq!(reader.item("entry", &later).unwrap()["text"]["title"], "Sea");
    reader.holds_what_it_may_see(&theo, &[&ann]).await;
}

#[actix_web::test]
async fn a_share_that_would_end_before_it_begins_is_refused() {
    let (app, theo, ann) = patient().await;
    let entry = ann.writes(reflection("Lake")).await;
    let until = |time: SignedDuration| json!({ "expires_at": app.now().checked_add(time).unwrap().to_string() });
    let put =
        async |more: Value| ann.put_grant(&new_id(&app), with(grant(&entry, &["text"], &theo), more)).send().await;
    let refused = put(until(DELAY)).await.expect(422).refused("invalid");
    assert_eq!(refused.body["errors"][0]["pointer"], "/expires_at");
    assert_eq!(list(&ann).await, json!([]), "nothing was made");
    put(until(DELAY + SECOND)).await.created();
    put(with(until(SECOND), json!({ "visible_at_once": true }))).await.created();
    app.wait(DELAY);
    assert_eq!(theo.finds(&ann).await, [entry.as_str()]);
    app.wait(SECOND);
    assert!(theo.finds(&ann).await.is_empty());
}

#[actix_web::test]
async fn a_share_that_a_phone_made_offline_waits_from_its_arrival() {
    let (app, theo, ann) = patient().await;
    let (entry, other) = (ann.writes(reflection("Lake")).await, ann.writes(reflection("Sea")).await);
    let share = |entry: &str, more: Value| {
        let mut share = mutation(&ann, "grant", &new_id(&app), 0, with(grant(entry, &["text"], &theo), more));
        share["seen_seq"] = json!(0);
        share
    };
    is(&ann.pushes(&share(&entry, json!({}))).await, "applied");
    is(&ann.pushes(&share(&other, json!({ "visible_at_once": true }))).await, "applied");
    assert_eq!(theo.finds(&ann).await, [other.as_str()]);
    // Another phone of hers shows until when it can be taken back.
    let page = ann.get(&ann.my("/changes?limit=200")).send().await.ok();
    let waiting = page.body.to_string().matches("\"visible_from\"").count();
    assert_eq!(waiting, 1, "{}", page.body);
    app.wait(DELAY);
    settled(&app).await;
    let mut both = vec![entry, other];
    both.sort();
    let mut seen = ids(&theo.reads(&ann, "/entries").await.ok());
    seen.sort();
    assert_eq!(seen, both);
    let mut reader = Reader::default();
    reader.pull(&theo, 20).await;
    assert_eq!(reader.ids("grant").len(), 2);
}

#[actix_web::test]
async fn a_link_that_ends_meanwhile_takes_the_share_with_it() {
    let (app, theo, ann) = patient().await;
    let entry = ann.writes(reflection("Lake")).await;
    let share = ann.opens(&entry, &["text"], &theo).await;
    let link = ann.care_links().await[0]["id"].as_str().unwrap().to_owned();
    ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    app.wait(DELAY);
    settled(&app).await;
    let mine = list(&ann).await;
    assert_eq!((&mine[0]["id"], &mine[0]["live"]), (&json!(share), &json!(false)));
    theo.reads(&ann, "/entries").await.not_found();
    ann.linked_to(&theo).await;
    assert!(theo.finds(&ann).await.is_empty(), "a new link starts empty");
}
