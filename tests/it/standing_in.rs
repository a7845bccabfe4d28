//! Another therapist, a colleague who stands in, and an emergency: who then sees what, and what the patient learns of it.

use afterglow::delivery::LogChannel;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::accounts::with_factor;
use crate::support::app::{Answer, new_id};
use crate::support::database::{Count, on_postgres};
use crate::support::journal::{grant, ids, reflection, with};
use crate::support::people::{Clinic, Person};
use crate::support::reader::new_reader;
use crate::support::sql::{Sql, beside};
use crate::support::world::{another_clinic, away, emergency};

/// The clinic where this admin works.
async fn clinic_of(admin: &Person) -> String {
    admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id")
}

/// The rows of a patient's access log with this act: who did it, and in which role.
async fn logged(patient: &Person, act: &str) -> Vec<(String, String)> {
    let log = patient.get(&patient.my("/access-log?limit=200")).send().await.ok();
    let rows = log.items().iter().filter(|row| row["act"] == act);
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    rows.map(|row| (text(row, "actor_name"), text(row, "role"))).collect()
}

/// Opens an entry to everybody in the care team.
async fn opens_to_team(patient: &Person, entry: &str, sections: &[&str]) {
    let to_team = with(grant(entry, sections, patient), json!({ "reader": { "type": "care_team" } }));
    patient.put_grant(&new_id(&patient.app), to_team).send().await.created();
}

async fn offers(from: &Person, link: &str, to: &Person) -> Answer {
    from.put(&format!("/v1/care-links/{link}/transfer"), json!({ "therapist_id": to.account })).send().await
}

async fn answers(patient: &Person, link: &str, body: Value) -> Answer {
    patient.post(&patient.my(&format!("/transfers/{link}/answer")), body).send().await
}

#[actix_web::test]
async fn a_second_therapist_starts_with_nothing_and_sees_only_what_is_opened_to_them() {
    let clinic = Clinic::open().await;
    let ann = &clinic.ann;
    let tom = clinic.app.staff(&clinic.admin, "Tom Adler", &["care"]).await;
    let entry = ann.writes(reflection("Lake")).await;
    ann.opens(&entry, &["text"], &clinic.therapist).await;
    ann.linked_to(&tom).await;
    assert!(tom.finds(ann).await.is_empty());
    ann.opens(&entry, &["mood"], &tom).await;
    assert!(tom.reads(ann, &format!("/entries/{entry}")).await.ok().body.get("text").is_none());
    assert!(clinic.therapist.reads(ann, &format!("/entries/{entry}")).await.ok().body.get("text").is_some());
}

#[actix_web::test]
async fn a_transfer_waits_for_the_patient_and_takes_the_grants_with_it_unless_they_say_otherwise() {
    for keep in [None, Some(false), Some(true)] {
        let clinic = Clinic::open().await;
        let (ann, thea, link) = (&clinic.ann, &clinic.therapist, &clinic.link);
        let tom = clinic.app.staff(&clinic.admin, "Tom Adler", &["care"]).await;
        let entry = ann.writes(reflection("Lake")).await;
        let other = ann.writes(reflection("Hill")).await;
        ann.opens(&entry, &["text"], thea).await;
        opens_to_team(ann, &other, &["mood"]).await;

        assert_eq!(offers(thea, link, &tom).await.ok().body["state"], "offered");
        offers(thea, link, &tom).await.ok();
        assert_eq!(logged(ann, "offer_transfer").await, [(thea.name.clone(), "therapist".to_owned())], "told once");
        let asked = ann.get(&ann.my("/transfers")).send().await.ok();
        assert_eq!(
            (&asked.items()[0]["from_name"], &asked.items()[0]["to_name"]),
            (&json!(thea.name), &json!(tom.name))
        );
        // Nothing has changed yet.
        assert_eq!(thea.finds(ann).await.len(), 2);
        tom.reads(ann, "/entries").await.not_found();

        let answer = keep.map_or(json!({ "accept": true }), |keep| json!({ "accept": true, "keep_grants": keep }));
        assert_eq!(answers(ann, link, answer.clone()).await.ok().body["state"], "accepted");
        assert_eq!(answers(ann, link, answer).await.ok().body["state"], "accepted", "a repetition");
        thea.reads(ann, "/entries").await.not_found();
        tom.reads(ann, "/entries").await.not_found();
        ann.linked_to(&tom).await;
        let live = ann.care_links().await.into_iter().filter(|link| link["state"] == "active").count();
        assert_eq!(live, 1);
        let mut seen = tom.finds(ann).await;
        seen.sort_unstable();
        let mut all = vec![entry.clone(), other.clone()];
        all.sort_unstable();
        assert_eq!(seen, if keep == Some(true) { all } else { Vec::new() }, "{keep:?}");
        let grants = ann.get(&ann.my("/grants?limit=200")).send().await.ok();
        let live: Vec<&Value> = grants.items().iter().filter(|grant| grant["live"] == json!(true)).collect();
        assert_eq!(live.len(), if keep == Some(true) { 2 } else { 0 });
        assert!(live.iter().all(|grant| grant["reader"]["account_id"] == json!(tom.account)), "{live:?}");
        if keep == Some(true) {
            let mood = tom.reads(ann, &format!("/entries/{other}")).await.ok();
            assert!(mood.body.get("text").is_none(), "no more than before: {}", mood.body);
        }
        assert!(ann.get(&ann.my("/transfers")).send().await.ok().items().is_empty());
    }
}

#[actix_web::test]
async fn what_a_transfer_keeps_is_in_the_feed_of_the_new_therapist_once_they_confirm() {
    let clinic = Clinic::open().await;
    let (app, ann, thea) = (&clinic.app, &clinic.ann, &clinic.therapist);
    let tom = app.staff(&clinic.admin, "Tom Adler", &["care"]).await;
    let entry = ann.writes(reflection("Lake")).await;
    ann.opens(&entry, &["text"], thea).await;
    let mut reader = new_reader(&tom).await;
    offers(thea, &clinic.link, &tom).await.ok();
    answers(ann, &clinic.link, json!({ "accept": true, "keep_grants": true })).await.ok();
    assert_eq!(reader.pull(&tom, 50).await, Vec::<Value>::new(), "the link is not active");
    ann.linked_to(&tom).await;
    reader.pull(&tom, 50).await;
    assert_eq!((reader.ids("entry"), reader.ids("grant").len()), (vec![entry.as_str()], 1));
    reader.holds_what_it_may_see(&tom, &[ann]).await;
    reader.equals(&new_reader(&tom).await);
}

#[actix_web::test]
async fn an_entry_that_just_leaves_a_grant_does_not_come_back_with_a_transfer_that_keeps_it() {
    if !on_postgres() {
        return;
    }
    let Clinic { app, admin, therapist: thea, ann, link, .. } = Clinic::open().await;
    let tom = app.staff(&admin, "Tom Adler", &["care"]).await;
    let entry = ann.writes(reflection("Lake")).await;
    ann.opens(&entry, &["text"], &thea).await;
    offers(&thea, &link, &tom).await.ok();
    // As it leaves when older words of it are restored.
    let leaves = "SELECT patient_id FROM patient_heads FOR UPDATE; DELETE FROM grant_items";
    let agrees = answers(&ann, &link, json!({ "accept": true, "keep_grants": true }));
    beside(&app.database.backend, leaves, agrees).await.ok();
    ann.linked_to(&tom).await;
    assert!(tom.finds(&ann).await.is_empty());
    tom.reads(&ann, &format!("/entries/{entry}")).await.not_found();
}

#[actix_web::test]
async fn a_transfer_that_is_declined_or_taken_back_changes_nothing() {
    let clinic = Clinic::open().await;
    let (ann, thea, link) = (&clinic.ann, &clinic.therapist, &clinic.link);
    let tom = clinic.app.staff(&clinic.admin, "Tom Adler", &["care"]).await;
    offers(thea, link, &tom).await.ok();
    assert_eq!(answers(ann, link, json!({ "accept": false })).await.ok().body["state"], "declined");
    assert_eq!(answers(ann, link, json!({ "accept": true })).await.expect(409).body["state"], "declined");
    offers(thea, link, &tom).await.ok();
    thea.delete(&format!("/v1/care-links/{link}/transfer")).send().await.no_content();
    assert!(ann.get(&ann.my("/transfers")).send().await.ok().items().is_empty());
    assert_eq!(answers(ann, link, json!({ "accept": true })).await.expect(409).body["state"], "withdrawn");
    thea.reads(ann, "/entries").await.ok();
    tom.reads(ann, "/entries").await.not_found();
    assert_eq!(ann.care_links().await.len(), 1);
    // Nobody else offers it, and nobody else is offered.
    let una = clinic.app.staff(&another_clinic(&clinic.app).await, "Una Gerst", &["care"]).await;
    for somebody in [&clinic.nurse, &una, thea] {
        offers(thea, link, somebody).await.expect(422);
    }
    for somebody in [&tom, &una, &clinic.nurse] {
        offers(somebody, link, &tom).await.not_found();
    }
    // What the link's end leaves cannot be answered.
    offers(thea, link, &tom).await.ok();
    ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    assert_eq!(answers(ann, link, json!({ "accept": true })).await.expect(409).body["state"], "ended");
    assert!(ann.get(&ann.my("/transfers")).send().await.ok().items().is_empty());
}

#[actix_web::test]
async fn a_colleague_who_stands_in_sees_what_is_for_the_team_and_nothing_else_until_the_time_is_over() {
    let clinic = Clinic::open().await;
    let (app, ann, thea) = (&clinic.app, &clinic.ann, &clinic.therapist);
    let id = clinic_of(&clinic.admin).await;
    let tom = app.staff(&clinic.admin, "Tom Adler", &["care"]).await;
    let (team, own, response) = (
        ann.writes(reflection("For the team")).await,
        ann.writes(reflection("For Thea alone")).await,
        ann.writes(reflection("For nobody")).await,
    );
    opens_to_team(ann, &team, &["text"]).await;
    ann.opens(&team, &["mood"], thea).await;
    ann.opens(&own, &["text"], thea).await;
    let cover = format!("/v1/clinics/{id}/covers/{}", new_id(app));
    thea.put(&cover, away(app, &tom, 1)).send().await.created();
    thea.put(&cover, away(app, &tom, 1)).send().await.ok();
    tom.reads(ann, "/entries").await.not_found();
    app.wait(SignedDuration::from_hours(24));

    assert_eq!(tom.finds(ann).await, std::slice::from_ref(&team));
    let read = tom.reads(ann, &format!("/entries/{team}")).await.ok();
    assert!(read.body.get("text").is_some() && read.body.get("mood").is_none(), "{}", read.body);
    for entry in [&own, &response] {
        tom.reads(ann, &format!("/entries/{entry}")).await.not_found();
    }
    for rest in ["/infusions", "/window", "/prompts", "/grants", "/assignments", "/cautions", "/overrides"] {
        tom.reads(ann, rest).await.not_found();
    }
    let roster = tom.get("/v1/me/patients").send().await.ok();
    assert_eq!((&roster.items()[0]["patient_id"], &roster.items()[0]["role"]), (&json!(ann.patient), &json!("cover")));
    assert!(logged(ann, "get_entry").await.contains(&(tom.name.clone(), "cover".to_owned())));
    for _ in 0..2 {
        afterglow::app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap();
    }
    assert_eq!(logged(ann, "may_see_shared_with_team").await, [(tom.name.clone(), "cover".to_owned())]);

    app.wait(SignedDuration::from_hours(3 * 24));
    tom.reads(ann, "/entries").await.not_found();
    assert!(tom.get("/v1/me/patients").send().await.ok().items().is_empty());
    assert_eq!(ids(&thea.reads(ann, "/entries").await.ok()).len(), 2);
}

#[actix_web::test]
async fn a_patient_who_comes_while_a_colleague_stands_in_is_told_of_it_once_like_the_others() {
    let clinic = Clinic::open().await;
    let (app, ann, thea) = (&clinic.app, &clinic.ann, &clinic.therapist);
    let id = clinic_of(&clinic.admin).await;
    let tom = app.staff(&clinic.admin, "Tom Adler", &["care"]).await;
    let cover = format!("/v1/clinics/{id}/covers/{}", new_id(app));
    thea.put(&cover, away(app, &tom, 1)).send().await.created();
    app.wait(SignedDuration::from_hours(1));
    let early = app.patient(thea, "Ben Roth").await;
    assert!(logged(&early, "may_see_shared_with_team").await.is_empty(), "it has not begun");

    app.wait(SignedDuration::from_hours(24));
    let told = [(tom.name.clone(), "cover".to_owned())];
    // The task has not run yet.
    let late = app.patient(thea, "Cleo Hart").await;
    assert_eq!(logged(&late, "may_see_shared_with_team").await, told);
    late.linked_to(thea).await;
    for _ in 0..2 {
        afterglow::app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap();
    }
    let later = app.patient(thea, "Dora Ilg").await;
    for patient in [ann, &early, &late, &later] {
        assert_eq!(logged(patient, "may_see_shared_with_team").await, told, "{}", patient.name);
    }
    // What they read is so.
    let entry = later.writes(reflection("For the team")).await;
    opens_to_team(&later, &entry, &["text"]).await;
    assert_eq!(tom.finds(&later).await, [entry]);

    // Nobody else's patients are told, nor who comes after it.
    let other = app.patient(&tom, "Emil Ebner").await;
    thea.delete(&cover).send().await.no_content();
    let after = app.patient(thea, "Finn Lund").await;
    for patient in [&other, &after] {
        assert!(logged(patient, "may_see_shared_with_team").await.is_empty(), "{}", patient.name);
    }
}

#[actix_web::test]
async fn a_cover_lasts_three_weeks_at_most_and_ends_when_one_of_them_says_so() {
    let clinic = Clinic::open().await;
    let (app, ann, thea, admin) = (&clinic.app, &clinic.ann, &clinic.therapist, &clinic.admin);
    let id = clinic_of(admin).await;
    let tom = app.staff(admin, "Tom Adler", &["care"]).await;
    let una = app.staff(&another_clinic(app).await, "Una Gerst", &["care"]).await;
    let place = || format!("/v1/clinics/{id}/covers/{}", new_id(app));
    let until = |days: i64| (app.now() + SignedDuration::from_hours(24 * days)).to_string();
    let long = json!({ "colleague_id": tom.account, "ends_at": until(22) });
    assert_eq!(thea.put(&place(), long).send().await.expect(422).body["errors"][0]["pointer"], "/ends_at");
    let past = json!({ "colleague_id": tom.account, "ends_at": until(-1) });
    thea.put(&place(), past).send().await.expect(422);
    for nobody in [thea, &una, &clinic.nurse] {
        let body = json!({ "colleague_id": nobody.account, "ends_at": until(3) });
        assert_eq!(thea.put(&place(), body).send().await.expect(422).body["errors"][0]["pointer"], "/colleague_id");
    }
    // An admin gives nobody content.
    admin.put(&place(), away(app, &tom, 0)).send().await.expect(403);
    una.put(&place(), away(app, &tom, 0)).send().await.not_found();
    tom.reads(ann, "/entries").await.not_found();

    for who in [thea, &tom, admin] {
        let cover = place();
        let body = json!({ "colleague_id": tom.account, "ends_at": until(21) });
        thea.put(&cover, body).send().await.created();
        tom.reads(ann, "/entries").await.ok();
        clinic.nurse.delete(&cover).send().await.not_found();
        tom.reads(ann, "/entries").await.ok();
        who.delete(&cover).send().await.no_content();
        who.delete(&cover).send().await.no_content();
        tom.reads(ann, "/entries").await.not_found();
    }
    assert_eq!(admin.get(&format!("/v1/clinics/{id}/covers")).send().await.ok().items().len(), 3);
    assert!(clinic.nurse.get(&format!("/v1/clinics/{id}/covers")).send().await.ok().items().is_empty());
}

#[actix_web::test]
async fn whoever_breaks_the_glass_reaches_the_patient_for_four_hours_and_reads_no_word_of_theirs() {
    let clinic = Clinic::open().await;
    let (app, ann, admin) = (&clinic.app, &clinic.ann, &clinic.admin);
    let id = clinic_of(admin).await;
    let dirk = app.staff(admin, "Dirk Unger", &["duty"]).await;
    let entry = ann.writes(reflection("Lake")).await;
    ann.opens(&entry, &["text"], &clinic.therapist).await;
    opens_to_team(ann, &entry, &["mood"]).await;
    clinic.therapist.records(ann, app.now()).await;
    let glass = ann.of_theirs("/break-glass");
    dirk.reads(ann, "/infusions").await.not_found();
    let short = dirk.post(&glass, json!({ "reason": "urgent, urgent      " })).send().await.expect(422);
    assert_eq!(short.body["errors"][0]["pointer"], "/reason");
    dirk.reads(ann, "/infusions").await.not_found();

    let broken = dirk.post(&glass, emergency()).send().await.ok();
    assert_eq!((&broken.body["name"], &broken.body["email"]), (&json!(ann.name), &json!("ann.walker@example.org")));
    assert_eq!(logged(ann, "break_glass").await, [(dirk.name.clone(), "break_glass".to_owned())], "at once");
    assert_eq!(dirk.reads(ann, "/infusions").await.ok().items().len(), 1);
    assert!(logged(ann, "list_infusions").await.contains(&(dirk.name.clone(), "break_glass".to_owned())));
    for rest in ["/entries", "/window", "/prompts", "/exercise-responses", "/grants", "/care-team"] {
        dirk.reads(ann, rest).await.not_found();
    }
    dirk.reads(ann, &format!("/entries/{entry}")).await.not_found();
    let change = json!({ "status": "planned", "route": "oral", "planned_start": (app.now() + SignedDuration::from_hours(48)).to_string() });
    dirk.put(&ann.of_theirs(&format!("/infusions/{}", new_id(app))), change).send().await.not_found();

    // What was said stands sealed.
    let mut sql = Sql::open(&app.database.backend);
    assert_eq!(sql.rows::<Count>("SELECT count(*) AS n FROM emergencies WHERE reviewed_at IS NULL")[0].n, 1);
    // A second person reviews it.
    let list = format!("/v1/clinics/{id}/emergencies");
    let listed = admin.get(&list).send().await.ok();
    assert_eq!(listed.items()[0]["reason"], emergency()["reason"]);
    assert_eq!(listed.items()[0]["account_name"], json!(dirk.name));
    let review = format!("{list}/{}/review", broken.id());
    assert_eq!(dirk.act(&review).send().await.expect(409).body["state"], "own_access");
    clinic.therapist.act(&review).send().await.expect(403);
    admin.act(&review).send().await.no_content();
    admin.act(&review).send().await.no_content();
    assert_eq!(admin.get(&list).send().await.ok().items()[0]["reviewer_name"], json!(admin.name));
    assert_eq!(logged(ann, "review_emergency").await.len(), 1);

    app.wait(SignedDuration::from_hours(4));
    dirk.reads(ann, "/infusions").await.not_found();
}

#[actix_web::test]
async fn nobody_breaks_the_glass_over_somebody_of_another_clinic_and_a_refusal_is_in_the_log() {
    let clinic = Clinic::open().await;
    let ann = &clinic.ann;
    let hanna = another_clinic(&clinic.app).await;
    let una = clinic.app.staff(&hanna, "Una Gerst", &["care", "duty"]).await;
    let glass = ann.of_theirs("/break-glass");
    una.post(&glass, emergency()).send().await.not_found();
    assert!(logged(ann, "break_glass").await.is_empty(), "they have never had to do with each other");
    for who in [&clinic.nurse, &clinic.admin] {
        who.post(&glass, emergency()).send().await.not_found();
    }
    let refused = logged(ann, "break_glass").await;
    assert_eq!(refused.iter().filter(|(_, role)| role == "staff").count(), 2, "{refused:?}");
    ann.post(&glass, emergency()).send().await.expect(403);
    let mut sql = Sql::open(&clinic.app.database.backend);
    assert_eq!(sql.rows::<Count>("SELECT count(*) AS n FROM emergencies")[0].n, 0);
    // Over after the link has ended, whatever was left of the hours.
    clinic.therapist.post(&glass, emergency()).send().await.ok();
    ann.delete(&format!("/v1/care-links/{}", clinic.link)).send().await.no_content();
    clinic.therapist.reads(ann, "/infusions").await.not_found();
}

/// Gives a member of a clinic these capabilities; without any their work there ends.
async fn allows(admin: &Person, clinic: &str, who: &Person, names: &[&str]) {
    let listed = admin.get(&format!("/v1/clinics/{clinic}/members?limit=200")).send().await.ok();
    let member = listed.items().iter().find(|one| one["account_id"] == json!(who.account)).unwrap();
    let change = if names.is_empty() { json!({ "ended": true }) } else { json!({ "capabilities": names }) };
    let path = format!("/v1/clinics/{clinic}/members/{}", who.account);
    admin.patch(&path, change).if_match(member["etag"].as_str().unwrap()).send().await.ok();
}

#[actix_web::test]
async fn whoever_treats_patients_again_stands_in_for_nobody_and_nobody_for_them() {
    let clinic = Clinic::open().await;
    let (app, ann, thea, admin) = (&clinic.app, &clinic.ann, &clinic.therapist, &clinic.admin);
    let id = clinic_of(admin).await;
    let tom = app.staff(admin, "Tom Adler", &["care"]).await;
    let entry = ann.writes(reflection("Lake")).await;
    opens_to_team(ann, &entry, &["text"]).await;
    let covers = async || {
        let ends_at = (app.now() + SignedDuration::from_hours(24)).to_string();
        let body = json!({ "colleague_id": tom.account, "ends_at": ends_at });
        thea.put(&format!("/v1/clinics/{id}/covers/{}", new_id(app)), body).send().await.created();
        assert_eq!(tom.finds(ann).await, std::slice::from_ref(&entry));
    };
    // Of the one who stands in.
    covers().await;
    allows(admin, &id, &tom, &["record"]).await;
    allows(admin, &id, &tom, &["care"]).await;
    tom.reads(ann, "/entries").await.not_found();
    covers().await;
    allows(admin, &id, &tom, &[]).await;
    let code = admin.code_for_staff(&["care"]).await;
    tom.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok();
    tom.reads(ann, "/entries").await.not_found();
    covers().await;
    tom.act(&format!("/v1/clinics/{id}/leave")).send().await.no_content();
    let code = admin.code_for_staff(&["care"]).await;
    tom.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok();
    tom.reads(ann, "/entries").await.not_found();
    // Of the one for whom he does.
    covers().await;
    allows(admin, &id, thea, &["record"]).await;
    allows(admin, &id, thea, &["care"]).await;
    ann.linked_to(thea).await;
    opens_to_team(ann, &entry, &["text"]).await;
    assert_eq!(thea.finds(ann).await, std::slice::from_ref(&entry));
    tom.reads(ann, "/entries").await.not_found();
    assert!(tom.get("/v1/me/patients").send().await.ok().items().is_empty());
    let mut sql = Sql::open(&app.database.backend);
    assert_eq!(sql.rows::<Count>("SELECT count(*) AS n FROM covers WHERE ended_at IS NULL")[0].n, 0);
}

#[actix_web::test]
async fn an_emergency_is_over_with_the_capability_and_a_retry_does_not_bring_it_back() {
    let clinic = Clinic::open().await;
    let (app, ann, admin) = (&clinic.app, &clinic.ann, &clinic.admin);
    let id = clinic_of(admin).await;
    let dirk = app.staff(admin, "Dirk Unger", &["duty"]).await;
    let glass = ann.of_theirs("/break-glass");
    let breaks = |key: &str| dirk.post(&glass, emergency()).key(key);
    breaks("first").send().await.ok();
    dirk.reads(ann, "/infusions").await.ok();
    allows(admin, &id, &dirk, &["admin"]).await;
    allows(admin, &id, &dirk, &["duty"]).await;
    dirk.reads(ann, "/infusions").await.not_found();
    // What a retry gets is what the caller may see by now.
    breaks("first").send().await.not_found();
    let second = breaks("second").send().await.ok();
    assert_eq!(breaks("second").send().await.ok().body, second.body);
    app.wait(SignedDuration::from_hours(4));
    let refused = breaks("second").send().await.not_found();
    assert!(!String::from_utf8_lossy(&refused.bytes).contains("ann.walker"));
    dirk.reads(ann, "/infusions").await.not_found();
    assert_eq!(admin.get(&format!("/v1/clinics/{id}/emergencies")).send().await.ok().items().len(), 2);
}

#[actix_web::test]
async fn what_is_about_patients_asks_for_the_second_factor_of_the_clinic_beside_the_doors_too() {
    let clinic = Clinic::open().await;
    let (app, ann, thea, admin) = (&clinic.app, &clinic.ann, &clinic.therapist, &clinic.admin);
    let id = clinic_of(admin).await;
    let tom = app.staff(admin, "Tom Adler", &["care"]).await;
    let broken = tom.post(&ann.of_theirs("/break-glass"), emergency()).send().await.ok();
    let rule = json!({ "required": true });
    admin.post(&format!("/v1/clinics/{id}/second-factor"), rule).send().await.ok();
    let list = format!("/v1/clinics/{id}/emergencies");
    admin.get(&list).send().await.expect(403).refused("second_factor_missing");
    let review = format!("{list}/{}/review", broken.id());
    admin.act(&review).send().await.expect(403).refused("second_factor_missing");
    offers(thea, &clinic.link, &tom).await.expect(403).refused("second_factor_missing");
    // Who may not see them is told nothing else than before.
    thea.get(&list).send().await.expect(403).refused("forbidden");
    assert!(logged(ann, "review_emergency").await.is_empty() && logged(ann, "offer_transfer").await.is_empty());
    with_factor(admin).await;
    admin.act(&review).send().await.no_content();
    assert_eq!(admin.get(&list).send().await.ok().items().len(), 1);
}

/// A cover that came after would count again once they work there again.
#[actix_web::test]
async fn a_therapist_whose_work_is_just_being_ended_names_nobody_who_stands_in() {
    if !on_postgres() {
        return;
    }
    let Clinic { app, admin, therapist: thea, .. } = Clinic::open().await;
    let id = clinic_of(&admin).await;
    let tom = app.staff(&admin, "Tom Adler", &["care"]).await;
    let ends = format!("UPDATE staff_members SET ended_at = created_at WHERE account_id = '{}'", thea.account);
    let names = thea.put(&format!("/v1/clinics/{id}/covers/{}", new_id(&app)), away(&app, &tom, 1)).send();
    beside(&app.database.backend, &ends, names).await.not_found();
    assert_eq!(Sql::open(&app.database.backend).rows::<Count>("SELECT count(*) AS n FROM covers")[0].n, 0);
}

#[actix_web::test]
async fn an_admin_whose_work_is_just_being_ended_ends_no_cover_and_reviews_no_emergency() {
    if !on_postgres() {
        return;
    }
    let Clinic { app, admin, therapist: thea, ann, .. } = Clinic::open().await;
    let id = clinic_of(&admin).await;
    let tom = app.staff(&admin, "Tom Adler", &["care"]).await;
    let cover = format!("/v1/clinics/{id}/covers/{}", new_id(&app));
    thea.put(&cover, away(&app, &tom, 1)).send().await.created();
    let broken = tom.post(&ann.of_theirs("/break-glass"), emergency()).send().await.ok();
    let review = format!("/v1/clinics/{id}/emergencies/{}/review", broken.id());
    let ends =
        |who: &Person| format!("UPDATE staff_members SET ended_at = created_at WHERE account_id = '{}'", who.account);
    let (sam, sue) =
        (app.staff(&admin, "Sam Idris", &["admin"]).await, app.staff(&admin, "Sue Okafor", &["admin"]).await);
    beside(&app.database.backend, &ends(&sam), sam.delete(&cover).send()).await.not_found();
    beside(&app.database.backend, &ends(&sue), sue.act(&review).send()).await.not_found();
    let mut sql = Sql::open(&app.database.backend);
    for untouched in ["covers WHERE ended_at IS NULL", "emergencies WHERE reviewed_at IS NULL"] {
        assert_eq!(sql.rows::<Count>(&format!("SELECT count(*) AS n FROM {untouched}"))[0].n, 1, "{untouched}");
    }
}
