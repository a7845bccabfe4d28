//! Protocols that clinics write: drafts, published versions, the choice of a clinic, a patient and a course, and what a
//! therapist changes for one patient.

use std::sync::Arc;

use afterglow::db::{At, Tx};
use afterglow::delivery::LogChannel;
use afterglow::kernel::Id;
use afterglow::kernel::id::{Clinic, ClinicProtocol};
use afterglow::planning::{ProtocolLibrary, Protocols};
use afterglow::protocols::library;
use afterglow::protocols::model::VersionState;
use afterglow::protocols::store::{self, VersionKey, VersionRow};
use afterglow::state::State;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_id};
use crate::support::journal::two;
use crate::support::people::{Person, again};
use crate::support::protocols::{at, clinic_of, content, drafts, publishes, rule};
use crate::support::world::move_to_another_clinic;
use crate::unreadable::Damaged;

/// A minute later, with the work of it done.
pub async fn a_minute_later(app: &TestApp) {
    app.wait(SignedDuration::from_secs(61));
    rounds(app).await;
}

pub async fn rounds(app: &TestApp) {
    let state = &app.server.state;
    while afterglow::app::tick(state, &LogChannel, app.now()).await.unwrap().next.is_some_and(|next| next <= app.now())
    {
    }
}

/// Ann, a day after an infusion, her therapist, and the admin of their clinic.
pub async fn clinic(app: &Arc<TestApp>) -> (Person, Person, Person, String) {
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care", "record"]).await;
    let ann = app.patient(&theo, "Ann Lind").await;
    theo.records(&ann, app.now() - SignedDuration::from_hours(2)).await;
    let clinic = clinic_of(&admin).await;
    (admin, theo, ann, clinic)
}

/// The title, the text and the time of a prompt that is still to come.
async fn prompt(ann: &Person, key: &str) -> Option<Value> {
    ann.prompts().await.into_iter().find(|prompt| prompt["rule_key"] == key && prompt["state"] == "planned")
}

async fn text(ann: &Person, key: &str) -> String {
    prompt(ann, key).await.unwrap()["detail"]["text"].as_str().unwrap().to_owned()
}

pub fn ours(title: &str, words: &str) -> Value {
    let mut ours = content(title);
    rule(&mut ours, "d2.mood")["text"] = json!(words);
    rule(&mut ours, "d2.mood")["wordings"] = json!([]);
    ours
}

pub fn tag(body: &Value) -> &str {
    body["etag"].as_str().unwrap()
}

pub async fn publish(admin: &Person, clinic: &str, id: &str, draft: &Value) -> Value {
    let path = format!("{}/publish", at(clinic, id));
    admin.post(&path, json!({})).if_match(tag(draft)).send().await.ok().body
}

pub async fn choose(admin: &Person, clinic: &str, choice: Value) {
    let path = format!("/v1/clinics/{clinic}/protocol");
    let now = admin.get(&path).send().await.ok().body;
    admin.put(&path, choice).if_match(tag(&now)).send().await.ok();
}

async fn choose_for(theo: &Person, ann: &Person, choice: Value) -> Value {
    let path = ann.of_theirs("/protocol");
    let now = theo.get(&path).send().await.ok().body;
    theo.put(&path, choice).if_match(tag(&now)).send().await.ok().body
}

async fn change(theo: &Person, ann: &Person, items: Value) -> crate::support::app::Answer {
    let path = ann.of_theirs("/overrides");
    let now = theo.get(&path).send().await.ok().body;
    theo.put(&path, json!({ "items": items })).if_match(tag(&now)).send().await
}

#[actix_web::test]
async fn a_draft_is_changed_until_it_is_published_and_never_again() {
    let app = TestApp::start().await;
    let (admin, theo, _, clinic) = clinic(&app).await;
    let (id, first) = drafts(&admin, &clinic, content("Ten days")).await;
    assert_eq!((&first["version"], &first["state"], &first["faults"]), (&json!(1), &json!("draft"), &json!([])));
    assert_eq!(first["content"], content("Ten days"));
    let days = first["burden"].as_array().unwrap();
    let one = days.iter().find(|day| day["day"] == 1).unwrap();
    assert_eq!((&one["prompts"], &one["most_prompts"], &one["most_minutes"]), (&json!(3), &json!(3), &json!(26)));
    // The same again changes nothing; another content needs the tag.
    let same = admin.put(&at(&clinic, &id), content("Ten days")).send().await.ok().body;
    assert_eq!(same["etag"], first["etag"]);
    admin.put(&at(&clinic, &id), content("Ten soft days")).send().await.expect(428);
    let second = admin.put(&at(&clinic, &id), content("Ten soft days")).if_match(tag(&first)).send().await.ok().body;
    admin.put(&at(&clinic, &id), content("Eleven")).if_match(tag(&first)).send().await.expect(412);
    let published = publish(&admin, &clinic, &id, &second).await;
    assert_eq!((&published["version"], &published["state"]), (&json!(1), &json!("published")));
    assert!(published["in_force_from"].as_str().unwrap() > published["published_at"].as_str().unwrap());
    // What is published again stays; what is changed is another version.
    let again = admin.post(&format!("{}/publish", at(&clinic, &id)), json!({})).send().await.ok().body;
    assert_eq!(again["etag"], published["etag"]);
    let next = admin.put(&at(&clinic, &id), content("Eleven")).if_match(tag(&published)).send().await.ok().body;
    assert_eq!((&next["version"], &next["state"]), (&json!(2), &json!("draft")));
    let states: Vec<_> = next["versions"].as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["draft", "published"]);
    let old = theo.get(&format!("{}?version=1", at(&clinic, &id))).send().await.ok().body;
    assert_eq!((&old["content"]["title"], &old["state"]), (&json!("Ten soft days"), &json!("published")));
    let listed = theo.get(&format!("/v1/clinics/{clinic}/protocols")).send().await.ok().body;
    assert_eq!((&listed["items"][0]["title"], &listed["items"][0]["version"]), (&json!("Eleven"), &json!(2)));
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    // A version that was never published cannot be retired.
    let retire = format!("{}/retire", at(&clinic, &id));
    admin.post(&retire, json!({ "version": 2 })).send().await.expect(409);
    admin.post(&retire, json!({ "version": 3 })).send().await.expect(404);
    assert_eq!(admin.post(&retire, json!({ "version": 1 })).send().await.ok().body["state"], "retired");
    theo.post(&retire, json!({ "version": 1 })).send().await.expect(403);
}

#[actix_web::test]
async fn every_fault_of_a_draft_is_told_with_its_place_and_none_is_published() {
    let app = TestApp::start().await;
    let (admin, _, _, clinic) = clinic(&app).await;
    let mut odd = content("Odd");
    let place =
        |odd: &Value, key: &str| odd["rules"].as_array().unwrap().iter().position(|rule| rule["key"] == key).unwrap();
    let (mood, tell) = (place(&odd, "d2.mood"), place(&odd, "d1.tell"));
    rule(&mut odd, "d2.mood")["text"] = json!("x".repeat(241));
    rule(&mut odd, "d1.exercise")["exercises"] = json!(["values-sort", "juggling"]);
    let exercise = place(&odd, "d1.exercise");
    rule(&mut odd, "d1.tell")["anchor"] = json!({ "day": 2_000_000_000 });
    odd["rules"].as_array_mut().unwrap().retain(|rule| rule["key"] != "d1.check");
    odd["horizon_days"] = json!(400);
    let (id, draft) = drafts(&admin, &clinic, odd).await;
    let faults: Vec<_> =
        draft["faults"].as_array().unwrap().iter().map(|one| one["pointer"].as_str().unwrap()).collect();
    let before = |place: usize, gone: usize| if place > gone { place - 1 } else { place };
    let gone = content("x")["rules"].as_array().unwrap().iter().position(|rule| rule["key"] == "d1.check").unwrap();
    for pointer in [
        format!("/rules/{}/text", before(mood, gone)),
        format!("/rules/{}/exercises/1", before(exercise, gone)),
        format!("/rules/{}/anchor", before(tell, gone)),
        "/rules".to_owned(),
        "/horizon_days".to_owned(),
    ] {
        assert!(faults.contains(&pointer.as_str()), "{pointer} in {faults:?}");
    }
    assert_eq!(draft["burden"], json!([]));
    let path = format!("{}/publish", at(&clinic, &id));
    let refused = admin.post(&path, json!({})).if_match(tag(&draft)).send().await;
    let told = refused.expect(422).body["errors"].as_array().unwrap().len();
    assert_eq!(told, faults.len());
    let still = admin.get(&at(&clinic, &id)).send().await.ok().body;
    assert_eq!((&still["state"], &still["etag"]), (&json!("draft"), &draft["etag"]));
    // What has not the form of a protocol is no draft.
    for (pointer, wrong) in [("/rules/0/kind", json!("dance")), ("/caps/later/per", json!("year"))] {
        let mut wrong_body = content("Wrong");
        *wrong_body.pointer_mut(pointer).unwrap() = wrong;
        let refused = admin.put(&at(&clinic, &new_id(&app)), wrong_body).send().await.expect(422).body.clone();
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    let mut unknown = content("Wrong");
    unknown["rules"][0]["colour"] = json!("blue");
    admin.put(&at(&clinic, &new_id(&app)), unknown).send().await.expect(422);
}

#[actix_web::test]
async fn the_published_schema_describes_what_the_server_takes() {
    let app = TestApp::start().await;
    let (admin, _, _, clinic) = clinic(&app).await;
    let schema = app.get("/schemas/protocol.json").send().await.ok().body;
    let rules = jsonschema::draft202012::new(&schema).unwrap();
    let whole = serde_json::to_value(afterglow::planning::Protocol::default_v1().content()).unwrap();
    assert!(rules.is_valid(&whole), "{:?}", rules.iter_errors(&whole).map(|e| e.to_string()).collect::<Vec<_>>());
    // Each member that goes, or is of another type, is refused by both or taken by both.
    let base = content("Checked");
    for name in base.as_object().unwrap().keys() {
        for change in [None, Some(json!("words")), Some(json!(-5)), Some(json!([]))] {
            let mut body = base.clone();
            match &change {
                Some(value) => body[name] = value.clone(),
                None => drop(body.as_object_mut().unwrap().remove(name)),
            }
            let answer = admin.put(&at(&clinic, &new_id(&app)), body.clone()).send().await;
            let taken = answer.status == 201 && answer.body["faults"] == json!([]);
            assert_eq!(rules.is_valid(&body), taken, "{name} {change:?}: {}", answer.body);
        }
    }
    // A rule that stops after more than a year of weeks would hardly ever stop.
    for (lapsed, stops) in [(0, false), (1, true), (52, true), (53, false), (4_294_967_295_u32, false)] {
        let mut body = base.clone();
        rule(&mut body, "mnt.weekly")["stops_after"] = json!(lapsed);
        let (_, draft) = drafts(&admin, &clinic, body.clone()).await;
        assert_eq!((rules.is_valid(&body), draft["faults"] == json!([])), (stops, stops), "{lapsed}: {draft}");
    }
}

#[actix_web::test]
async fn a_minute_after_a_clinic_has_chosen_its_protocol_its_patients_are_asked_by_it() {
    let app = TestApp::start().await;
    let (admin, theo, ann, clinic) = clinic(&app).await;
    let before = prompt(&ann, "d2.mood").await.unwrap();
    let id = publishes(&admin, &clinic, ours("Ours", "How is the weather in you?")).await;
    choose(&admin, &clinic, json!({ "protocol_id": id })).await;
    assert_ne!(text(&ann, "d2.mood").await, "How is the weather in you?");
    a_minute_later(&app).await;
    let after = prompt(&ann, "d2.mood").await.unwrap();
    assert_eq!(after["detail"]["text"], "How is the weather in you?");
    assert_eq!(after["id"], before["id"], "it is the same prompt, in other words");
    let follows = ann.get(&ann.my("/protocol")).send().await.ok().body["follows"].clone();
    assert_eq!(follows, json!({ "key": id, "version": 1, "title": "Ours" }));
    // The next version is followed a minute after it is published.
    let now = admin.get(&at(&clinic, &id)).send().await.ok().body;
    let next = ours("Ours", "And today?");
    let draft = admin.put(&at(&clinic, &id), next).if_match(tag(&now)).send().await.ok().body;
    publish(&admin, &clinic, &id, &draft).await;
    app.wait(SignedDuration::from_secs(30));
    rounds(&app).await;
    assert_eq!(text(&ann, "d2.mood").await, "How is the weather in you?");
    a_minute_later(&app).await;
    assert_eq!(text(&ann, "d2.mood").await, "And today?");
    // When it is retired, the version before is followed again; without any, the program's own.
    for (version, words) in [(2, Some("How is the weather in you?")), (1, None)] {
        admin.post(&format!("{}/retire", at(&clinic, &id)), json!({ "version": version })).send().await.ok();
        a_minute_later(&app).await;
        let shown = text(&ann, "d2.mood").await;
        assert_eq!(shown, words.map_or_else(|| before["detail"]["text"].as_str().unwrap().to_owned(), str::to_owned));
    }
    drop(theo);
}

#[actix_web::test]
async fn a_patient_whose_request_waits_while_a_protocol_comes_into_force_is_asked_by_it_all_the_same() {
    let app = TestApp::start().await;
    let (admin, _theo, ann, clinic) = clinic(&app).await;
    rounds(&app).await;
    let id = publishes(&admin, &clinic, ours("Ours", "How is the weather in you?")).await;
    choose(&admin, &clinic, json!({ "protocol_id": id })).await;
    app.wait(SignedDuration::from_secs(59));
    // The worker has planned by it when a request is done that came before the protocol was in force.
    let (state, in_force) = (&app.server.state, app.now() + SignedDuration::from_secs(2));
    while afterglow::app::tick(state, &LogChannel, in_force).await.unwrap().next.is_some_and(|next| next <= in_force) {}
    assert_eq!(text(&ann, "d2.mood").await, "How is the weather in you?");
    ann.sets(json!({ "weekly_day": "monday" })).await.ok();
    assert_ne!(text(&ann, "d2.mood").await, "How is the weather in you?");
    app.wait(SignedDuration::from_secs(2));
    rounds(&app).await;
    assert_eq!(text(&ann, "d2.mood").await, "How is the weather in you?");
}

#[actix_web::test]
async fn what_has_gone_out_keeps_its_words_and_the_bundle_has_the_versions_of_the_own_clinics_only() {
    let app = TestApp::start().await;
    let (admin, theo, ann, clinic) = clinic(&app).await;
    let id = publishes(&admin, &clinic, ours("Ours", "How is the weather in you?")).await;
    choose(&admin, &clinic, json!({ "protocol_id": id })).await;
    a_minute_later(&app).await;
    for _ in 0..48 {
        app.wait(SignedDuration::from_hours(1));
        rounds(&app).await;
    }
    let asked = ann.prompts().await.into_iter().find(|one| one["rule_key"] == "d2.mood").unwrap();
    assert_eq!(
        (&asked["state"], &asked["detail"]["text"]),
        (&json!("delivered"), &json!("How is the weather in you?"))
    );
    admin.post(&format!("{}/retire", at(&clinic, &id)), json!({ "version": 1 })).send().await.ok();
    a_minute_later(&app).await;
    let still = ann.prompts().await.into_iter().find(|one| one["rule_key"] == "d2.mood").unwrap();
    assert_eq!(still["detail"]["text"], "How is the weather in you?");
    let named = |bundle: &Value| bundle["protocols"].as_array().unwrap().iter().any(|one| one["key"] == json!(id));
    assert!(named(&ann.get("/v1/bundle").send().await.ok().body));
    // Somebody whom this clinic never treated.
    let other = app.staff(&admin, "Olga Rain", &["care"]).await;
    move_to_another_clinic(&app, &other).await;
    let bea = app.patient(&other, "Bea Holt").await;
    assert!(!named(&bea.get("/v1/bundle").send().await.ok().body));
    other.get(&at(&clinic, &id)).send().await.expect(404);
    drop(theo);
}

#[actix_web::test]
async fn another_process_knows_what_was_published_before_it_is_in_force() {
    let app = TestApp::start().await;
    let (admin, _, _, clinic) = clinic(&app).await;
    let other = State { protocols: ProtocolLibrary::new(Protocols::shipped()), ..app.server.state.clone() };
    library::refresh(&other, app.now()).await.unwrap();
    let id = publishes(&admin, &clinic, ours("Ours", "How is the weather in you?")).await;
    choose(&admin, &clinic, json!({ "protocol_id": id })).await;
    library::refresh(&other, app.now()).await.unwrap();
    assert!(!other.protocols.known().has_others(), "it has read a moment ago");
    app.wait(SignedDuration::from_secs(6));
    library::refresh(&other, app.now()).await.unwrap();
    let known = other.protocols.known();
    assert!(known.in_force(&id, app.now()).is_none());
    app.wait(SignedDuration::from_secs(60));
    assert_eq!(known.in_force(&id, app.now()).unwrap().protocol.title, "Ours");
    assert_eq!(known.default_of(clinic.parse().unwrap()), Some(id.as_str()));
}

#[actix_web::test]
async fn a_therapist_chooses_for_a_patient_or_for_a_course_and_only_what_their_clinic_has_published() {
    let app = TestApp::start().await;
    let (admin, theo, ann, clinic) = clinic(&app).await;
    let of_clinic = publishes(&admin, &clinic, ours("Clinic", "Of the clinic.")).await;
    let of_ann = publishes(&admin, &clinic, ours("Ann", "Of Ann.")).await;
    let of_course = publishes(&admin, &clinic, ours("Course", "Of the course.")).await;
    let (draft, _) = drafts(&admin, &clinic, content("Draft")).await;
    choose(&admin, &clinic, json!({ "protocol_id": of_clinic })).await;
    a_minute_later(&app).await;
    assert_eq!(text(&ann, "d2.mood").await, "Of the clinic.");
    // The plan follows at once.
    let chosen = choose_for(&theo, &ann, json!({ "protocol_id": of_ann })).await;
    assert_eq!((&chosen["protocol_id"], &chosen["follows"]["title"]), (&json!(of_ann), &json!("Ann")));
    assert_eq!(text(&ann, "d2.mood").await, "Of Ann.");
    choose_for(&theo, &ann, json!({ "protocol_id": of_ann, "course_protocol_id": of_course })).await;
    assert_eq!(text(&ann, "d2.mood").await, "Of the course.");
    let path = format!("/v1/clinics/{clinic}/protocol");
    let now = admin.get(&path).send().await.ok().body;
    admin.put(&path, json!({ "protocol_id": draft })).if_match(tag(&now)).send().await.expect(422);
    // Another course: a new kind of treatment, two months later.
    let later = app.now() + SignedDuration::from_hours(24 * 60);
    app.wait(SignedDuration::from_hours(24 * 60));
    rounds(&app).await;
    let (theo, ann) = (again(&app, "Theo Brandt").await, again(&app, "Ann Lind").await);
    theo.records(&ann, later - SignedDuration::from_hours(2)).await;
    assert_eq!(text(&ann, "d2.mood").await, "Of Ann.");
    choose_for(&theo, &ann, json!({})).await;
    assert_eq!(text(&ann, "d2.mood").await, "Of the clinic.");
    for (member, id) in [("protocol_id", &draft), ("course_protocol_id", &new_id(&app))] {
        let path = ann.of_theirs("/protocol");
        let now = theo.get(&path).send().await.ok().body;
        let refused = theo.put(&path, json!({ member: id })).if_match(tag(&now)).send().await.expect(422).body.clone();
        assert_eq!(refused["errors"][0]["pointer"], format!("/{member}"));
    }
    // The patient reads it, and their log has one name for it and for what is set aside.
    ann.get(&ann.my("/protocol")).send().await.ok();
}

#[actix_web::test]
async fn two_versions_are_compared_in_words_and_in_what_a_patient_is_asked() {
    let app = TestApp::start().await;
    let (admin, theo, _, clinic) = clinic(&app).await;
    let id = publishes(&admin, &clinic, content("Ours")).await;
    let now = admin.get(&at(&clinic, &id)).send().await.ok().body;
    let mut next = content("Ours");
    rule(&mut next, "d2.mood")["window"] = json!(["evening"]);
    next["rules"].as_array_mut().unwrap().retain(|rule| rule["key"] != "d12.letter");
    let shorter = next["rules"].as_array().unwrap().len() < content("x")["rules"].as_array().unwrap().len();
    admin.put(&at(&clinic, &id), next).if_match(tag(&now)).send().await.ok();
    let compared = theo.get(&format!("{}/comparison?before=1", at(&clinic, &id))).send().await.ok().body;
    assert_eq!((&compared["before"], &compared["after"]), (&json!(1), &json!(2)));
    let differences = compared["differences"].as_array().unwrap();
    assert!(differences.contains(&json!({
        "rule_key": "d2.mood", "member": "window", "before": ["morning"], "after": ["evening"]
    })));
    assert_eq!(differences.len(), 1 + usize::from(shorter));
    let moved = compared["changed"].as_array().unwrap();
    assert!(moved.iter().any(|one| one["before"]["rule_key"] == "d2.mood"
        && one["before"]["local_time"].as_str() < one["after"]["local_time"].as_str()));
    let same = theo.get(&format!("{}/comparison?before=1&after=1", at(&clinic, &id))).send().await.ok().body;
    assert_eq!((&same["differences"], &same["gone"], &same["changed"]), (&json!([]), &json!([]), &json!([])));
    theo.get(&format!("{}/comparison?before=7", at(&clinic, &id))).send().await.expect(404);
}

/// Patients are asked by it: what becomes a fault of drafts takes it from nobody.
#[actix_web::test]
async fn a_published_version_with_what_is_a_fault_by_now_is_compared_with_the_draft_that_mends_it() {
    let app = TestApp::start().await;
    let (admin, theo, _, clinic) = clinic(&app).await;
    let mut old = content("Ours");
    rule(&mut old, "mnt.weekly")["stops_after"] = json!(70);
    let (id, _) = drafts(&admin, &clinic, old).await;
    let path = at(&clinic, &id);
    let compares = async |query: &str| theo.get(&format!("{path}/comparison?{query}")).send().await;
    compares("before=1").await.expect(422);
    let (of, id): (Id<Clinic>, Id<ClinicProtocol>) = (clinic.parse().unwrap(), id.parse().unwrap());
    let keys = app.server.state.vault.keys(of.uuid()).await.unwrap().unwrap();
    let now = At(app.now());
    let published = move |tx: &mut Tx<'_>| {
        let row = store::find(tx, of, id, None)?.unwrap();
        let (content, state) = (row.open(&keys)?, VersionState::Published.name().to_owned());
        let key = VersionKey { state, published_at: Some(now), version: tx.version_after(row.key.version), ..row.key };
        store::update(tx, &VersionRow::seal(key, &content, &keys)?)
    };
    app.server.state.db.write(published).await.unwrap();
    let shown = admin.get(&path).send().await.ok().body;
    assert_eq!((shown["faults"].as_array().unwrap().len(), shown["burden"] == json!([])), (1, false), "{shown}");
    admin.put(&path, content("Ours")).if_match(tag(&shown)).send().await.ok();
    let compared = compares("before=1").await.ok().body;
    let differences = compared["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 1, "{compared}");
    assert_eq!((&differences[0]["before"], &differences[0]["after"]), (&json!(70), &json!(4)));
}

#[actix_web::test]
async fn a_therapist_adds_rewords_and_moves_rules_for_one_patient_and_no_safety_check() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - SignedDuration::from_hours(2)).await;
    let before = prompt(&ann, "d2.mood").await.unwrap();
    let items = json!([
        { "rule_key": "d2.mood", "text": "Ann, how is the garden?", "window": "evening" },
        { "rule_key": "own.walk", "kind": "habit", "day": 4, "window": "midday", "minutes": 5,
            "text": "A walk by the water, if you like." },
    ]);
    let answer = change(&theo, &ann, items).await.ok();
    assert_eq!(answer.body["items"][0]["text"], "Ann, how is the garden?");
    let reworded = prompt(&ann, "d2.mood").await.unwrap();
    assert_eq!(reworded["detail"]["text"], "Ann, how is the garden?");
    assert_eq!(reworded["id"], before["id"]);
    assert!(reworded["detail"]["due_at"].as_str() > before["detail"]["due_at"].as_str());
    let walk = prompt(&ann, "own.walk").await.unwrap();
    assert_eq!(walk["detail"]["text"], "A walk by the water, if you like.");
    assert_eq!((&walk["detail"]["minutes"], &walk["day"]), (&json!(5), &json!(4)));
    // A phone that pulled them can show them without a network, though no protocol has their words.
    let (mut pulled, mut page) = (Vec::new(), ann.get(&ann.my("/changes?limit=200")).send().await.ok().body);
    while page["has_more"] == true {
        pulled.extend(page["items"].as_array().unwrap().clone());
        let path = format!("/changes?limit=200&cursor={}", page["cursor"].as_str().unwrap());
        page = ann.get(&ann.my(&path)).send().await.ok().body;
    }
    pulled.extend(page["items"].as_array().unwrap().clone());
    let own = pulled.iter().find(|item| item["id"] == walk["id"]).unwrap();
    assert_eq!(own["fields"]["own"]["text"], "A walk by the water, if you like.");
    // What has no place under the cap of its day is not asked, and the patient can read why.
    let long = json!([{ "rule_key": "own.hike", "kind": "habit", "day": 4, "window": "midday", "minutes": 30,
        "text": "A long walk." }]);
    change(&theo, &ann, long).await.ok();
    assert!(prompt(&ann, "own.hike").await.is_none());
    let all = ann.get(&ann.my("/prompts?not_asked=true&limit=200")).send().await.ok().body;
    let walk = all["not_asked"].as_array().unwrap().iter().find(|one| one["rule_key"] == "own.hike").unwrap();
    assert_eq!(walk["reason"], "cap");
    // They go when the change goes; what a person did with them stays.
    change(&theo, &ann, json!([])).await.ok();
    assert!(prompt(&ann, "own.walk").await.is_none());
    assert_eq!(prompt(&ann, "d2.mood").await.unwrap()["detail"]["text"], before["detail"]["text"]);
    for (wrong, pointer) in [
        (json!({ "rule_key": "d1.check", "text": "No need to answer." }), "/items/0/rule_key"),
        (json!({ "rule_key": "d2.mood", "text": "{answer:values-sort}" }), "/items/0"),
        (json!({ "rule_key": "d2.mood", "day": 15 }), "/items/0/day"),
        (json!({ "rule_key": "d2.mood", "minutes": 3 }), "/items/0"),
        (json!({ "rule_key": "d2.mood", "text": " " }), "/items/0/text"),
        (
            json!({ "rule_key": "own.walk", "kind": "safety", "day": 4, "window": "midday", "minutes": 10, "text": "x" }),
            "/items/0/kind",
        ),
        (
            json!({ "rule_key": "own.walk", "kind": "habit", "window": "midday", "minutes": 10, "text": "x" }),
            "/items/0/day",
        ),
        (
            json!({ "rule_key": "own.walk", "kind": "exercise", "day": 1, "window": "midday", "minutes": 9, "text": "x" }),
            "/items/0",
        ),
        (
            json!({ "rule_key": "own.Walk!", "kind": "habit", "day": 1, "window": "midday", "minutes": 9, "text": "x" }),
            "/items/0",
        ),
    ] {
        let refused = change(&theo, &ann, json!([wrong])).await.expect(422).body.clone();
        let pointers: Vec<_> = refused["errors"].as_array().unwrap().iter().map(|one| one["pointer"].clone()).collect();
        assert!(pointers.contains(&json!(pointer)), "{wrong}: {refused}");
    }
}

#[actix_web::test]
async fn no_protocol_of_a_clinic_weakens_a_safety_check_or_makes_planning_slow() {
    let app = TestApp::start().await;
    let (admin, _, _, clinic) = clinic(&app).await;
    let faulty = async |change: &dyn Fn(&mut Value), pointer: &str| {
        let mut body = content("Weaker");
        change(&mut body);
        let (_, draft) = drafts(&admin, &clinic, body).await;
        let faults = draft["faults"].as_array().unwrap();
        assert!(faults.iter().any(|one| one["pointer"] == pointer), "{pointer}: {faults:?}");
    };
    faulty(&|body| rule(body, "d0.fragments")["stands_for"] = json!("d1.check"), "/rules").await;
    faulty(&|body| rule(body, "d1.check")["at_home"] = json!(true), "/rules").await;
    faulty(&|body| rule(body, "d1.check")["text"] = json!("Lorem."), "/rules").await;
    faulty(&|body| rule(body, "d1.check")["expires"] = json!({ "hours": 1 }), "/rules").await;
    faulty(&|body| rule(body, "d0.evening")["kind"] = json!("habit"), "/rules").await;
    faulty(&|body| body["series"] = json!([{ "gap_days": 5, "days": [], "preparation": [] }]), "/rules").await;
    faulty(&|body| body["reminders"]["safety"] = json!(0), "/reminders/safety").await;
    faulty(&|body| body["windows"]["morning"] = json!({ "from": "20:00", "to": "20:10" }), "/windows").await;
    faulty(&|body| body["windows"]["morning"] = json!({ "from": "08:00", "to": "08:01" }), "/windows").await;
    faulty(&|body| body["caps"]["later"]["prompts"] = json!(1000), "/caps").await;
    faulty(&|body| body["locale"] = json!("en\r\nX-A: b"), "/locale").await;
    let many = |body: &mut Value| {
        for n in 0..30 {
            let mut more = rule(body, "d2.mood").clone();
            more["key"] = json!(format!("more.{n}"));
            body["rules"].as_array_mut().unwrap().push(more);
        }
    };
    faulty(&many, "/rules").await;
    let place = content("x")["rules"].as_array().unwrap().iter().position(|rule| rule["key"] == "d2.mood").unwrap();
    faulty(&|body| rule(body, "d2.mood")["key"] = json!("own.mood"), &format!("/rules/{place}/key")).await;
}

#[actix_web::test]
async fn no_clinic_asks_about_the_wish_to_live_on_a_server_that_answers_with_nothing() {
    let app = TestApp::start().await;
    let (admin, _, _, clinic) = clinic(&app).await;
    for (kind, of, need) in [("safety", "d1.check", "checks"), ("measure", "d7.measures", "measures")] {
        let mut body = content("More questions");
        let mut more = rule(&mut body, of).clone();
        more["key"] = json!("more.questions");
        more["text"] = json!("Any thoughts of not wanting to live?");
        more["needs"] = json!([]);
        let rules = body["rules"].as_array_mut().unwrap();
        let place = rules.len();
        rules.push(more);
        let (id, draft) = drafts(&admin, &clinic, body.clone()).await;
        let path = format!("{}/publish", at(&clinic, &id));
        let refused = admin.post(&path, json!({})).if_match(tag(&draft)).send().await.expect(422).body.clone();
        assert_eq!(refused["errors"][0]["pointer"], json!(format!("/rules/{place}/needs")), "{kind}: {refused}");
        body["rules"][place]["needs"] = json!([need]);
        publishes(&admin, &clinic, body).await;
    }
}

#[actix_web::test]
async fn a_rule_that_would_never_be_asked_is_a_fault() {
    let app = TestApp::start().await;
    let (admin, _, _, clinic) = clinic(&app).await;
    let places = async |change: &dyn Fn(&mut Value)| {
        let mut body = content("Never");
        change(&mut body);
        let keys: Vec<_> = body["rules"].as_array().unwrap().iter().map(|rule| rule["key"].clone()).collect();
        let (_, draft) = drafts(&admin, &clinic, body).await;
        let of = |fault: &Value| {
            let pointer = fault["pointer"].as_str().unwrap().to_owned();
            let (place, member) = pointer.strip_prefix("/rules/").unwrap().split_once('/').unwrap();
            format!("{}/{member}", keys[place.parse::<usize>().unwrap()].as_str().unwrap())
        };
        let mut places: Vec<String> = draft["faults"].as_array().unwrap().iter().map(of).collect();
        places.sort();
        places
    };
    let stands = |body: &mut Value, key: &str, other: &str| rule(body, key)["stands_for"] = json!(other);
    assert_eq!(places(&|body| stands(body, "d2.mood", "d1.tell")).await, [""; 0]);
    assert_eq!(places(&|body| stands(body, "d2.mood", "d2.mood")).await, ["d2.mood/stands_for"]);
    // The third stands for one of two that stand for each other: it is asked itself.
    let circle = places(&|body| {
        stands(body, "d2.mood", "d1.tell");
        stands(body, "d1.tell", "d2.mood");
        stands(body, "mnt.weekly", "d2.mood");
    })
    .await;
    assert_eq!(circle, ["d1.tell/stands_for", "d2.mood/stands_for"]);
    for exercise in ["juggling", "values-sort"] {
        let never = places(&|body| rule(body, "note.returned")["anchor"] = json!({ "date_of": exercise })).await;
        assert_eq!(never, ["note.returned/anchor"], "{exercise}");
    }
}

#[actix_web::test]
async fn what_a_clinic_asks_for_weeks_after_an_infusion_is_asked() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care", "record"]).await;
    let ann = app.patient(&theo, "Ann Lind").await;
    theo.records(&ann, app.now() - SignedDuration::from_hours(24 * 39)).await;
    let (clinic, mut ours) = (clinic_of(&admin).await, content("Six weeks"));
    rule(&mut ours, "d4.ifthen")["anchor"] = json!({ "day": 40 });
    let id = publishes(&admin, &clinic, ours).await;
    choose(&admin, &clinic, json!({ "protocol_id": id })).await;
    a_minute_later(&app).await;
    let asked = prompt(&ann, "d4.ifthen").await.unwrap();
    assert_eq!((&asked["day"], &asked["detail"]["local_date"]), (&json!(40), &json!("2026-03-11")));
}

#[actix_web::test]
async fn a_clinic_whose_link_has_ended_has_no_say_any_more() {
    let app = TestApp::start().await;
    let (admin, theo, ann, clinic) = clinic(&app).await;
    let id = publishes(&admin, &clinic, ours("Ours", "How is the weather in you?")).await;
    a_minute_later(&app).await;
    choose_for(&theo, &ann, json!({ "protocol_id": id })).await;
    assert_eq!(text(&ann, "d2.mood").await, "How is the weather in you?");
    let link = ann.care_links().await[0]["id"].as_str().unwrap().to_owned();
    ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    let now = admin.get(&at(&clinic, &id)).send().await.ok().body;
    let next = ours("After", "Written after the end.");
    let draft = admin.put(&at(&clinic, &id), next).if_match(tag(&now)).send().await.ok().body;
    publish(&admin, &clinic, &id, &draft).await;
    a_minute_later(&app).await;
    assert_eq!(ann.get(&ann.my("/protocol")).send().await.ok().body["follows"]["key"], "afterglow-default");
    assert_ne!(text(&ann, "d2.mood").await, "How is the weather in you?");
    let bundle = String::from_utf8(ann.get("/v1/bundle").send().await.ok().bytes).unwrap();
    assert!(bundle.contains("How is the weather in you?") && !bundle.contains("Written after the end."));
}

#[actix_web::test]
async fn rule_what_a_therapist_changed_is_sent_back_as_it_was_shown_also_when_the_protocol_has_lost_the_rule() {
    let app = TestApp::start().await;
    let (admin, theo, ann, clinic) = clinic(&app).await;
    let mut renamed = content("Ours");
    rule(&mut renamed, "d5.parts")["key"] = json!("d5.ours");
    let id = publishes(&admin, &clinic, renamed).await;
    a_minute_later(&app).await;
    choose_for(&theo, &ann, json!({ "protocol_id": id })).await;
    let ours = json!({ "rule_key": "d5.ours", "left_out": true });
    let people = json!({ "rule_key": "d6.people", "window": "evening" });
    let shown = change(&theo, &ann, json!([ours, people])).await.ok().body["items"].clone();
    // The program's protocol has no such rule.
    choose_for(&theo, &ann, json!({})).await;
    let stored = theo.get(&ann.of_theirs("/overrides")).send().await.ok().body["items"].clone();
    assert_eq!(stored, shown);
    let mood = json!({ "rule_key": "d2.mood", "left_out": true });
    let changed = change(&theo, &ann, json!([mood, stored[0], stored[1]])).await.ok().body;
    assert_eq!(changed["items"], json!([mood, shown[0], shown[1]]));
    // Another change of it, or one of a rule that never was, is refused.
    for item in
        [json!({ "rule_key": "d5.ours", "window": "evening" }), json!({ "rule_key": "d5.no", "left_out": true })]
    {
        let refused = change(&theo, &ann, json!([item])).await.expect(422).body.clone();
        assert_eq!(refused["errors"][0]["pointer"], "/items/0/rule_key");
    }
    // It counts again where the rule is.
    choose_for(&theo, &ann, json!({ "protocol_id": id })).await;
    assert_eq!(prompt(&ann, "d5.ours").await, None);
}

#[actix_web::test]
async fn what_a_clinic_has_published_is_previewed_by_its_staff_and_its_patients() {
    let app = TestApp::start().await;
    let (admin, theo, ann, clinic) = clinic(&app).await;
    let mut ours = content("Ours");
    rule(&mut ours, "d2.mood")["window"] = json!(["evening"]);
    let id = publishes(&admin, &clinic, ours).await;
    let (draft, _) = drafts(&admin, &clinic, content("Draft")).await;
    a_minute_later(&app).await;
    let body = json!({
        "infusions": [{ "planned_start": "2026-03-24T09:00:00+01:00", "ended_at": "2026-03-24T10:00:00+01:00" }],
        "zones": [{ "time_zone": "Europe/Berlin" }],
    });
    let path = |id: &str| format!("/v1/protocols/{id}/preview");
    for person in [&admin, &theo, &ann] {
        let seen = person.post(&path(&id), body.clone()).send().await.ok().body;
        let mood = seen["prompts"].as_array().unwrap().iter().find(|one| one["rule_key"] == "d2.mood").unwrap();
        assert!(mood["local_time"].as_str().unwrap() >= "18:00:00", "{mood}");
        person.post(&path(&draft), body.clone()).send().await.not_found();
    }
    // Somebody whom this clinic never treated.
    let other = app.staff(&admin, "Olga Rain", &["care"]).await;
    move_to_another_clinic(&app, &other).await;
    let bea = app.patient(&other, "Bea Holt").await;
    for person in [&other, &bea] {
        person.post(&path(&id), body.clone()).send().await.not_found();
    }
}

#[actix_web::test]
async fn rule_a_published_version_that_did_not_open_is_tried_again_after_a_minute() {
    let app = TestApp::start().await;
    let (admin, _, _, clinic) = clinic(&app).await;
    let id = publishes(&admin, &clinic, ours("Ours", "How is the weather in you?")).await;
    for column in ["doc", "mac"] {
        let other = State { protocols: ProtocolLibrary::new(Protocols::shipped()), ..app.server.state.clone() };
        let damaged = Damaged::new(&app, ("protocols", column), "number = 1", 0);
        library::refresh(&other, app.now()).await.unwrap();
        damaged.mend(&app);
        app.wait(SignedDuration::from_secs(30));
        library::refresh(&other, app.now()).await.unwrap();
        assert!(!other.protocols.known().has_others(), "{column}: it was tried a moment ago");
        app.wait(SignedDuration::from_secs(31));
        library::refresh(&other, app.now()).await.unwrap();
        let known = other.protocols.known();
        assert_eq!(known.in_force(&id, app.now()).unwrap().protocol.title, "Ours", "{column}");
    }
}
