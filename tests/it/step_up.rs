//! How fresh a proof has to be: step-ups within a session, the lock of a phone in the wrong hands, and clinics that ask
//! their staff for a second factor.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::matrix::column;
use crate::support::accounts::{code_of, proves, with_factor};
use crate::support::app::{Answer, TestApp, new_id};
use crate::support::database::Count;
use crate::support::journal::{grant, reflection, two};
use crate::support::people::{Clinic, PASSPHRASE, Person, again};
use crate::support::phone::{is, mutation};
use crate::support::reader::feed_page;
use crate::support::requests::operations;
use crate::support::sources::shipped;
use crate::support::sql::Sql;
use crate::support::world::World;

/// What an answer asks for.
#[track_caller]
fn lacks(answer: Answer, factors: &[&str], seconds: i64) {
    let answer = answer.expect(403).refused("step_up_required");
    assert_eq!((&answer.body["factors"], &answer.body["max_age_seconds"]), (&json!(factors), &json!(seconds)));
    assert_eq!(answer.body["client_action"], "keep");
}

fn minutes(app: &TestApp, minutes: i64) {
    app.wait(SignedDuration::from_mins(minutes));
}

/// Shows a code in the session of somebody. The one that was shown last may be of the same half minute.
async fn shows_code(person: &Person, secret: &str) {
    person.app.wait(SignedDuration::from_secs(30));
    let code = code_of(&person.app, secret);
    person.post("/v1/auth/step-up", json!({ "code": code })).send().await.ok();
}

async fn set_lock(person: &Person, on: bool) -> Answer {
    let tag = person.get("/v1/me/profile").send().await.ok().etag();
    person.patch("/v1/me/profile", json!({ "lock": on })).if_match(&tag).send().await
}

/// A grant of every reflection to the care team.
fn to_the_team() -> Value {
    json!({ "rule": { "kind": "reflection" }, "sections": ["text"], "reader": { "type": "care_team" } })
}

async fn grants(person: &Person) -> usize {
    person.get(&person.my("/grants")).send().await.ok().items().len()
}

/// Asks for each operation as somebody, once the world was prepared. Returns those that are refused with `code`, and what
/// the refusal says of the age of a proof.
async fn refused_with(who: &str, code: &str, prepare: impl AsyncFnOnce(&World)) -> BTreeMap<String, Option<i64>> {
    let world = World::open().await;
    let mut asks = Vec::new();
    for operation in operations().into_iter().filter(|operation| !operation.public) {
        let ask = world.ask(&operation.id, who).await;
        asks.push((operation.id, ask));
    }
    // Ending the link takes the world apart.
    asks.sort_by_key(|(id, _)| id == "end_care_link");
    prepare(&world).await;
    let mut refused = BTreeMap::new();
    for (id, ask) in asks {
        let answer = ask.send(&world.app).await;
        if answer.status == 403 && answer.body["code"] == code {
            refused.insert(id, answer.body["max_age_seconds"].as_i64());
        }
    }
    refused
}

/// The operations that refuse somebody of a column, and answer another one otherwise.
fn refuses(name: &str, like: &str) -> BTreeSet<String> {
    let like = column(like);
    let mut refused = BTreeSet::new();
    for (id, cell) in column(name).into_iter().filter(|(id, cell)| *cell != like[id]) {
        assert_eq!(cell, "403", "{id} as {name}");
        refused.insert(id.to_owned());
    }
    refused
}

#[actix_web::test]
async fn s1_a_log_in_of_eleven_minutes_behind_the_lock_opens_what_the_matrix_says() {
    let prepare = async |world: &World| {
        set_lock(world.ann(), true).await.ok();
        minutes(&world.app, 11);
    };
    let refused = refused_with("owner", "step_up_required", prepare).await;
    // Nobody here has a second factor but a newcomer who takes it away. What only staff may do is not hers, stale or
    // not.
    let owner = column("owner");
    let hers = column("proof").into_iter().filter(|(id, _)| owner[id] != "403");
    let proofs = hers.filter_map(|(id, proof)| match proof {
        "fresh" | "guarded" => Some((id.to_owned(), Some(300))),
        "unlocked" => Some((id.to_owned(), Some(600))),
        "code" | "-" => None,
        other => panic!("{id}: {other}"),
    });
    assert_eq!(refused, proofs.collect::<BTreeMap<_, _>>());
    assert_eq!(refused.into_keys().collect::<BTreeSet<_>>(), refuses("stale", "owner"));
}

#[actix_web::test]
async fn s1_a_therapist_without_the_second_factor_that_the_clinic_asks_for_reaches_no_patient() {
    let prepare = async |world: &World| {
        let path = format!("/v1/clinics/{}/second-factor", world.clinic);
        world.people["admin"].post(&path, json!({ "required": true })).send().await.ok();
    };
    let refused = refused_with("granted", "second_factor_missing", prepare).await;
    assert_eq!(refused.into_keys().collect::<BTreeSet<_>>(), refuses("no_factor", "granted"));
}

/// The marks in the signatures of handlers, by operation.
fn marks() -> BTreeMap<String, &'static str> {
    let mut found = BTreeMap::new();
    for source in shipped() {
        for (at, _) in source.code.match_indices("async fn ") {
            let rest = &source.code[at + "async fn ".len()..];
            let head = rest.split_once(") ->").map_or(rest, |(head, _)| head);
            let Some((name, parameters)) = head.split_once('(') else { continue };
            let mark =
                [("Fresh<", "fresh"), ("Guarded<", "guarded"), ("WithPassphrase>", "code"), ("Unlocked<", "unlocked")]
                    .into_iter()
                    .find(|(mark, _)| parameters.contains(mark));
            if let Some((_, need)) = mark
                && (parameters.contains("caller: Claimed<") || parameters.contains("door: Door<"))
                && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            {
                found.insert(name.to_owned(), need);
            }
        }
    }
    found
}

#[test]
fn the_lock_is_in_the_signature_of_the_handler() {
    let golden = column("proof").into_iter().filter(|(_, proof)| *proof != "-");
    assert_eq!(marks(), golden.map(|(name, proof)| (name.to_owned(), proof)).collect());
}

#[actix_web::test]
async fn a_log_in_is_fresh_for_five_minutes_and_a_step_up_makes_it_so_again() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let begin = || ann.act("/v1/me/factors/totp");
    minutes(&app, 5);
    begin().send().await.ok();
    app.wait(SignedDuration::from_secs(1));
    lacks(begin().send().await, &["passphrase"], 300);
    // A refresh of the tokens proves nobody.
    minutes(&app, 15);
    lacks(begin().send().await, &["passphrase"], 300);
    let shows = |body: Value| ann.post("/v1/auth/step-up", body);
    shows(json!({})).send().await.expect(422).refused("invalid");
    shows(json!({ "passphrase": "a loud river at noon" })).send().await.expect(422).refused("invalid");
    shows(json!({ "code": "287082" })).send().await.expect(422).refused("invalid");
    shows(json!({ "passphrase": PASSPHRASE, "code": "287082" })).send().await.expect(422).refused("invalid");
    lacks(begin().send().await, &["passphrase"], 300);
    let done = shows(json!({ "passphrase": PASSPHRASE })).send().await.ok();
    assert_eq!(done.body["proved_at"], json!(app.now().to_string()));
    begin().send().await.ok();
    // It is of this session alone.
    let other = again(&app, "Ann Walker").await;
    minutes(&app, 6);
    proves(&ann).await;
    lacks(other.act("/v1/me/factors/totp").send().await, &["passphrase"], 300);
    begin().send().await.ok();
}

#[actix_web::test]
async fn wrong_passphrases_of_step_ups_are_counted() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let shows = |text: &str| ann.post("/v1/auth/step-up", json!({ "passphrase": text }));
    for _ in 0..10 {
        shows("a loud river at noon").send().await.expect(422);
    }
    shows(PASSPHRASE).send().await.expect(422).refused("invalid");
    minutes(&app, 15);
    shows(PASSPHRASE).send().await.ok();
}

#[actix_web::test]
async fn with_a_second_factor_what_is_hard_to_take_back_asks_for_it() {
    let Clinic { app, therapist, ann, .. } = Clinic::open().await;
    let entry = ann.writes(reflection("Lake")).await;
    let (secret, _) = with_factor(&ann).await;
    let email = || ann.post("/v1/me/email", json!({ "email": "ann@else.example", "passphrase": PASSPHRASE }));
    let code = therapist.code_for_patient().await;
    let accept = || ann.post("/v1/invitations/accept", json!({ "code": code }));
    let share = || ann.put_grant(&new_id(&app), to_the_team());
    let others = || ann.delete("/v1/me/sessions");
    minutes(&app, 6);
    for call in [accept(), share(), others(), ann.delete("/v1/me/factors/totp")] {
        lacks(call.send().await, &["passphrase", "code"], 300);
    }
    lacks(ann.act("/v1/me/factors/recovery-codes").send().await, &["passphrase", "code"], 300);
    // The request itself holds the passphrase.
    lacks(email().send().await, &["code"], 300);
    let disable = json!({ "passphrase": PASSPHRASE });
    lacks(ann.post("/v1/me/disable", disable).send().await, &["code"], 300);
    let change = json!({ "passphrase": PASSPHRASE, "new_passphrase": "a quiet river at dusk" });
    lacks(ann.post("/v1/me/passphrase", change).send().await, &["code"], 300);
    assert_eq!(grants(&ann).await, 0);
    // One entry for one therapist, and what takes back, go on.
    let single = ann.opens(&entry, &["text"], &therapist).await;
    ann.revokes(&single).await;
    // Each proof alone is half of it.
    proves(&ann).await;
    lacks(share().send().await, &["code"], 300);
    minutes(&app, 6);
    shows_code(&ann, &secret).await;
    lacks(share().send().await, &["passphrase"], 300);
    email().send().await.ok();
    proves(&ann).await;
    share().send().await.created();
    others().send().await.no_content();
    accept().send().await.expect(409).refused("already_linked");
    ann.delete("/v1/me/factors/totp").send().await.no_content();
}

#[actix_web::test]
async fn a_link_that_comes_by_a_transfer_asks_for_a_proof_like_one_by_a_code() {
    let Clinic { app, admin, therapist, ann, link, .. } = Clinic::open().await;
    let tom = app.staff(&admin, "Tom Adler", &["care"]).await;
    let offer = async || {
        let to = json!({ "therapist_id": tom.account });
        therapist.put(&format!("/v1/care-links/{link}/transfer"), to).send().await.ok()
    };
    let answer = |accept: bool| {
        let body = json!({ "accept": accept, "keep_grants": accept });
        ann.post(&ann.my(&format!("/transfers/{link}/answer")), body)
    };
    set_lock(&ann, true).await.ok();
    minutes(&app, 6);
    offer().await;
    lacks(answer(true).send().await, &["passphrase"], 300);
    // To stay asks for none.
    answer(false).send().await.ok();
    therapist.reads(&ann, "/entries").await.ok();
    offer().await;
    lacks(answer(true).send().await, &["passphrase"], 300);
    assert_eq!(links_of(&ann).await, [("Thea Brandt".to_owned(), "active".to_owned())]);
    proves(&ann).await;
    answer(true).send().await.ok();
    assert!(links_of(&ann).await.contains(&("Tom Adler".to_owned(), "accepted".to_owned())));
}

/// The therapists of a patient, each with the state of the link.
async fn links_of(patient: &Person) -> Vec<(String, String)> {
    let text = |link: &Value, name: &str| link[name].as_str().unwrap_or_default().to_owned();
    patient.care_links().await.iter().map(|link| (text(link, "name"), text(link, "state"))).collect()
}

#[actix_web::test]
async fn without_a_second_factor_and_the_lock_a_session_is_enough() {
    let Clinic { app, therapist, ann, .. } = Clinic::open().await;
    minutes(&app, 600);
    ann.put_grant(&new_id(&app), to_the_team()).send().await.created();
    ann.delete("/v1/me/sessions").send().await.no_content();
    for path in ["/entries", "/grants", "/access-log", "/devices"] {
        ann.get(&ann.my(path)).send().await.ok();
    }
    therapist.reads(&ann, "/entries").await.ok();
}

#[actix_web::test]
async fn behind_the_lock_reading_back_asks_for_the_passphrase_and_writing_never() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    ann.edits(&entry, json!({ "text": { "title": "Sea" } })).await;
    assert_eq!(set_lock(&ann, true).await.ok().body["lock"], true);
    let entry_path = ann.my(&format!("/entries/{entry}"));
    let mut behind: Vec<(Method, String, Option<Value>)> = [
        "/entries",
        "/exercise-responses",
        "/grants",
        "/access-log",
        "/devices",
        "/calendar",
        "/care-team",
        "/transfers",
    ]
    .iter()
    .map(|rest| (Method::GET, ann.my(rest), None))
    .collect();
    let own = ["/v1/care-links", "/v1/me/factors", "/v1/me/sessions"];
    behind.extend(own.map(|path| (Method::GET, path.to_owned(), None)));
    behind.push((Method::GET, entry_path.clone(), None));
    behind.push((Method::GET, format!("{entry_path}/revisions"), None));
    behind.push((Method::GET, format!("{entry_path}/revisions/1"), None));
    behind.push((Method::GET, ann.my(&format!("/view-as/{}/entries", theo.account)), None));
    behind.push((Method::POST, ann.my("/entries/search"), Some(json!({ "words": "Lake" }))));
    let calendar = json!({ "prompts": ["reflection"], "infusions": true });
    behind.push((Method::PUT, ann.my("/calendar"), Some(calendar)));
    let ask = async |(method, path, body): &(Method, String, Option<Value>)| {
        let call = ann.request(method.clone(), path);
        match body {
            Some(body) => call.json(body.clone()).send().await,
            None => call.send().await,
        }
    };
    minutes(&app, 11);
    for behind in &behind {
        let answer = ask(behind).await;
        assert!(!answer.body.to_string().contains("Sea"), "{behind:?}");
        lacks(answer, &["passphrase"], 600);
    }
    // What others see of it has a shorter time.
    lacks(ann.put_grant(&new_id(&app), to_the_team()).send().await, &["passphrase"], 300);
    lacks(ann.delete("/v1/me/sessions").send().await, &["passphrase"], 300);
    // Writing and the phone's own store never ask.
    let written = ann.writes(reflection("Late")).await;
    for path in ["/prompts", "/changes", "/infusions"] {
        ann.get(&ann.my(path)).send().await.ok();
    }
    ann.get("/v1/me").send().await.ok();
    let header = json!({ "kind": "reflection", "occurred_at": app.now().to_string() });
    let offline = json!({ "header": header, "text": { "body": "Offline" } });
    is(&ann.pushes(&mutation(&ann, "entry", &new_id(&app), 0, offline)).await, "applied");
    ann.delete(&ann.my(&format!("/entries/{written}"))).send().await.no_content();
    // The therapist reads on: the lock is the patient's.
    theo.reads(&ann, "/entries").await.ok();
    proves(&ann).await;
    for behind in &behind {
        let answer = ask(behind).await;
        assert_ne!(answer.status, 403, "{behind:?}: {}", answer.body);
    }
    minutes(&app, 10);
    ann.get(&ann.my("/entries")).send().await.ok();
}

#[actix_web::test]
async fn the_lock_is_switched_off_with_a_fresh_proof_alone() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    minutes(&app, 60);
    set_lock(&ann, true).await.ok();
    lacks(set_lock(&ann, false).await, &["passphrase"], 300);
    lacks(ann.get(&ann.my("/entries")).send().await, &["passphrase"], 600);
    // The rest of the profile is changed as before.
    let tag = ann.get("/v1/me/profile").send().await.ok().etag();
    let changed = ann.patch("/v1/me/profile", json!({ "locale": "de" })).if_match(&tag).send().await.ok();
    assert_eq!(changed.body["lock"], true);
    proves(&ann).await;
    assert_eq!(set_lock(&ann, false).await.ok().body["lock"], false);
    minutes(&app, 60);
    ann.get(&ann.my("/entries")).send().await.ok();
    let told = ann.get("/v1/me/security-events").send().await.ok();
    let told: Vec<&Value> = told.items().iter().map(|event| &event["event"]).take(2).collect();
    assert_eq!(told, [&json!("lock_off"), &json!("lock_on")]);
}

#[actix_web::test]
async fn a_share_that_was_decided_offline_waits_for_the_proof() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    set_lock(&ann, true).await.ok();
    minutes(&app, 6);
    let offline = mutation(&ann, "grant", &new_id(&app), 0, to_the_team());
    let refused = ann.pushes(&offline).await;
    assert_eq!((&refused["status"], &refused["problem"]["code"]), (&json!("rejected"), &json!("step_up_required")));
    assert_eq!(refused["problem"]["factors"], json!(["passphrase"]));
    is(&ann.pushes(&mutation(&ann, "grant", &new_id(&app), 0, grant(&entry, &["mood"], &theo))).await, "applied");
    proves(&ann).await;
    is(&ann.pushes(&offline).await, "applied");
    assert_eq!(grants(&ann).await, 2);
}

#[actix_web::test]
async fn a_clinic_asks_its_staff_for_a_second_factor() {
    let Clinic { app, admin, therapist, nurse, ann, .. } = Clinic::open().await;
    let entry = ann.writes(reflection("Lake")).await;
    let open = json!({ "visible_at_once": true });
    let open = crate::support::journal::with(grant(&entry, &["text"], &therapist), open);
    ann.put_grant(&new_id(&app), open).send().await.created();
    let unlinked = app.staff(&admin, "Uwe Gerst", &["care"]).await;
    let clinic = admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
    let clinic = format!("/v1/clinics/{clinic}");
    let rule = |required: bool| admin.post(&format!("{clinic}/second-factor"), json!({ "required": required }));
    therapist.post(&format!("{clinic}/second-factor"), json!({ "required": true })).send().await.expect(403);
    assert_eq!(admin.get(&clinic).send().await.ok().body["staff_second_factor"], false);
    feed_page(&therapist, None, 50).await.ok();
    for _ in 0..2 {
        assert_eq!(rule(true).send().await.ok().body, json!({ "required": true }));
    }
    assert_eq!(admin.get(&clinic).send().await.ok().body["staff_second_factor"], true);

    let of_ann = [format!("/entries/{entry}"), "/entries".to_owned(), "/infusions".to_owned()];
    for path in &of_ann {
        therapist.reads(&ann, path).await.expect(403).refused("second_factor_missing");
    }
    nurse.reads(&ann, "/infusions").await.expect(403).refused("second_factor_missing");
    for path in ["/v1/me/patients", "/v1/care-links"] {
        therapist.get(path).send().await.expect(403).refused("second_factor_missing");
    }
    feed_page(&therapist, None, 50).await.expect(403).refused("second_factor_missing");
    // Who would not be let in is told nothing else than before.
    unlinked.reads(&ann, "/entries").await.not_found();
    // Neither does a patient need one, nor an admin for what is about no patient.
    ann.get(&ann.my("/entries")).send().await.ok();
    admin.get(&format!("{clinic}/members")).send().await.ok();
    // A first code is still awaited: that is none.
    therapist.act("/v1/me/factors/totp").send().await.ok();
    therapist.reads(&ann, "/entries").await.expect(403);
    with_factor(&therapist).await;
    for path in &of_ann {
        therapist.reads(&ann, path).await.ok();
    }
    therapist.get("/v1/me/patients").send().await.ok();
    feed_page(&therapist, None, 50).await.ok();
    nurse.reads(&ann, "/infusions").await.expect(403);
    // Who joins later is asked, too.
    let late = app.staff(&admin, "Rex Holm", &["record"]).await;
    late.reads(&ann, "/infusions").await.expect(403).refused("second_factor_missing");
    // Who takes it away again stays out.
    therapist.delete("/v1/me/factors/totp").send().await.no_content();
    therapist.reads(&ann, "/entries").await.expect(403).refused("second_factor_missing");
    rule(false).send().await.ok();
    for person in [&nurse, &late] {
        person.reads(&ann, "/infusions").await.ok();
    }
    therapist.reads(&ann, &of_ann[0]).await.ok();
}

/// The members of a clinic, as its admin sees them.
async fn members(admin: &Person, clinic: &str) -> Vec<Value> {
    admin.get(&format!("{clinic}/members")).send().await.ok().items().to_vec()
}

/// How many codes for new passphrases of staff there are.
fn resets(app: &TestApp) -> i64 {
    Sql::open(&app.database.backend).rows::<Count>("SELECT count(*) AS n FROM staff_resets")[0].n
}

#[actix_web::test]
async fn an_admin_with_a_second_factor_weakens_no_account_by_an_old_proof() {
    let Clinic { app, admin, therapist, nurse, ann, .. } = Clinic::open().await;
    let clinic = admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
    let clinic = format!("/v1/clinics/{clinic}");
    let member = format!("{clinic}/members/{}", nurse.account);
    let (secret, _) = with_factor(&admin).await;
    let before = members(&admin, &clinic).await;
    let of_nurse = before.iter().find(|row| row["account_id"] == json!(nurse.account)).unwrap();
    let tag = of_nurse["etag"].as_str().unwrap().to_owned();
    let reset = || admin.act(&format!("{member}/credential-reset"));
    let rule = |required: bool| admin.post(&format!("{clinic}/second-factor"), json!({ "required": required }));
    let change = || admin.patch(&member, json!({ "capabilities": ["care"] })).if_match(&tag);
    let close = || admin.delete(&clinic);

    minutes(&app, 6);
    for call in [reset(), rule(true), change(), close()] {
        lacks(call.send().await, &["passphrase", "code"], 300);
    }
    // Each proof alone is half of it.
    proves(&admin).await;
    for call in [reset(), rule(true), change(), close()] {
        lacks(call.send().await, &["code"], 300);
    }
    assert_eq!(members(&admin, &clinic).await, before);
    assert_eq!(admin.get(&clinic).send().await.ok().body["staff_second_factor"], false);
    assert_eq!(resets(&app), 0);
    nurse.reads(&ann, "/infusions").await.ok();
    therapist.reads(&ann, "/entries").await.ok();
    // Who may not do it anyway is told nothing else than before.
    nurse.delete(&clinic).send().await.expect(403).refused("forbidden");

    shows_code(&admin, &secret).await;
    assert_eq!(rule(true).send().await.ok().body["required"], true);
    assert_eq!(rule(false).send().await.ok().body["required"], false);
    assert_eq!(change().send().await.ok().body["capabilities"], json!(["care"]));
    reset().send().await.ok();
    assert_eq!(resets(&app), 1);
    close().send().await.no_content();
    therapist.reads(&ann, "/entries").await.not_found();
}
