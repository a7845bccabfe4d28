//! What a reader sees of a patient, shown to the patient.

use serde_json::{Value, json};

use crate::matrix::observable;
use crate::support::app::{Answer, TestApp, new_id};
use crate::support::exercises::work;
use crate::support::journal::{grant, ids, reflection, two, with};
use crate::support::people::{Clinic, Person};
use crate::support::reader::{new_reader, stored};
use crate::support::world::{CANARY, World, away};

impl Person {
    /// What this patient is shown at an address of theirs, in the place of a reader.
    async fn views_as(&self, reader: &str, rest: &str) -> Answer {
        self.get(&self.my(&format!("/view-as/{reader}{rest}"))).send().await
    }
}

/// The addresses of Ann's things that readers ask for.
fn things(world: &World) -> Vec<String> {
    let one = |kind: &str, id: &str| format!("/{kind}/{id}");
    vec![
        "/entries?limit=200".to_owned(),
        "/entries?kind=reflection&phase=acute".to_owned(),
        "/entries?status=deleted".to_owned(),
        one("entries", &world.entry),
        one("entries", &world.deleted),
        one("entries", &new_id(&world.app)),
        "/exercise-responses?limit=200".to_owned(),
        one("exercise-responses", &world.response),
        one("exercise-responses", &world.deleted_response),
    ]
}

#[actix_web::test]
async fn the_patient_sees_to_the_byte_what_each_reader_gets() {
    let world = World::open().await;
    let ann = world.ann();
    let (mut shown, mut hidden) = (0, 0);
    let readers = [
        "granted",
        "ungranted",
        "wrong_section",
        "revoked",
        "expired",
        "link_ended",
        "unlinked",
        "foreign",
        "covering",
    ];
    for who in readers {
        let reader = world.person(who);
        for thing in things(&world) {
            let theirs = reader.reads(ann, &thing).await;
            let view = ann.views_as(&reader.account, &thing).await;
            let said = format!("{thing} as {who}");
            assert_eq!(view.status, theirs.status, "{said}: {} {}", view.body, theirs.body);
            if theirs.status == 200 {
                assert_eq!(view.bytes, theirs.bytes, "{said}");
                shown += usize::from(view.body.to_string().contains(CANARY));
                if !thing.contains('?') {
                    assert_eq!(view.etag(), theirs.etag(), "{said}");
                }
            } else {
                view.not_found();
                hidden += 1;
            }
        }
    }
    assert!(shown >= 4 && hidden >= 30, "{shown} {hidden}");
}

#[actix_web::test]
async fn who_sees_nothing_is_not_told_from_who_is_not_there() {
    let world = World::open().await;
    let ann = world.ann();
    let nobody = new_id(&world.app);
    for thing in things(&world) {
        let absent = observable(&ann.views_as(&nobody, &thing).await.not_found());
        for who in ["link_ended", "unlinked", "foreign", "nurse", "duty", "admin", "disabled", "other_patient", "owner"]
        {
            let view = ann.views_as(&world.person(who).account, &thing).await.not_found();
            assert_eq!(observable(&view), absent, "{thing} as {who}");
        }
    }
    ann.views_as("me", "/entries").await.expect(422).refused("invalid");
}

#[actix_web::test]
async fn the_view_is_of_this_moment() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    let one = format!("/entries/{entry}");
    ann.views_as(&theo.account, &one).await.not_found();
    assert!(ids(&ann.views_as(&theo.account, "/entries").await.ok()).is_empty());
    let mood = ann.opens(&entry, &["mood"], &theo).await;
    let seen = ann.views_as(&theo.account, &one).await.ok();
    assert_eq!(seen.body["sections"], json!(["mood"]));
    assert!(!String::from_utf8_lossy(&seen.bytes).contains("Lake"), "{}", seen.body);
    let known = ann.get(&ann.my(&format!("/view-as/{}{one}", theo.account))).header("if-none-match", seen.etag());
    known.send().await.expect(304);
    ann.opens(&entry, &["text"], &theo).await;
    ann.revokes(&mood).await;
    let seen = ann.views_as(&theo.account, &one).await.ok();
    assert_eq!((&seen.body["sections"], &seen.body["text"]["title"]), (&json!(["text"]), &json!("Lake")));
    ann.edits(&entry, json!({ "text": { "title": "Sea" } })).await;
    assert_eq!(ann.views_as(&theo.account, &one).await.ok().body["text"]["title"], "Sea");
    let link = ann.care_links().await[0]["id"].as_str().unwrap().to_owned();
    ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    ann.views_as(&theo.account, &one).await.not_found();
    ann.views_as(&theo.account, "/entries").await.not_found();
}

#[actix_web::test]
async fn whoever_stands_in_for_a_therapist_is_shown_with_what_is_for_the_team_while_they_do() {
    let clinic = Clinic::open().await;
    let (app, ann) = (&clinic.app, &clinic.ann);
    let id = clinic.admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
    let tom = app.staff(&clinic.admin, "Tom Adler", &["care"]).await;
    let (team, alone) = (ann.writes(reflection("Lake")).await, ann.writes(reflection("Sea")).await);
    let to_team = with(grant(&team, &["text"], &tom), json!({ "reader": { "type": "care_team" } }));
    ann.put_grant(&new_id(app), to_team).send().await.created();
    ann.opens(&alone, &["text"], &clinic.therapist).await;
    ann.views_as(&tom.account, "/entries").await.not_found();
    let cover = format!("/v1/clinics/{id}/covers/{}", new_id(app));
    clinic.therapist.put(&cover, away(app, &tom, 0)).send().await.created();
    let (list, one) = ("/entries".to_owned(), format!("/entries/{team}"));
    for thing in [&list, &one] {
        let theirs = tom.reads(ann, thing).await.ok();
        assert_eq!(ann.views_as(&tom.account, thing).await.ok().bytes, theirs.bytes, "{thing}");
    }
    assert_eq!(ids(&ann.views_as(&tom.account, &list).await.ok()), [team.as_str()]);
    ann.views_as(&tom.account, &format!("/entries/{alone}")).await.not_found();
    tom.delete(&cover).send().await.no_content();
    for thing in [&list, &one] {
        ann.views_as(&tom.account, thing).await.not_found();
    }
}

#[actix_web::test]
async fn the_words_of_an_exercise_are_in_the_language_that_the_reader_would_get() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    ann.sets(json!({ "locale": "de" })).await.ok();
    let response = ann.works(work()).await;
    ann.opens_response(&response, &["answers"], &theo).await;
    let rest = format!("/exercise-responses/{response}");
    let theirs = theo.reads(&ann, &rest).await.ok();
    assert_eq!(ann.views_as(&theo.account, &rest).await.ok().bytes, theirs.bytes);
    let spanish = |person: &Person, path: String| person.get(&path).header("accept-language", "es");
    let theirs = spanish(&theo, ann.of_theirs(&rest)).send().await.ok();
    let view = spanish(&ann, ann.my(&format!("/view-as/{}{rest}", theo.account))).send().await.ok();
    assert_eq!(view.bytes, theirs.bytes);
}

#[actix_web::test]
async fn nobody_is_told_of_a_view_and_nothing_counts_as_read() {
    let world = World::open().await;
    let (ann, granted) = (world.ann(), world.person("granted"));
    let log = async || ann.get("/v1/patients/me/access-log?limit=200").send().await.ok().body["items"].clone();
    let mut app = new_reader(granted).await;
    let seen_by = async || ann.entry(&world.entry).await.ok().body["seen_by"].clone();
    let before: (Value, Value, i64, Vec<String>) =
        (log().await, seen_by().await, world.change_number().await, stored(&world.app));
    for who in ["granted", "ungranted", "revoked", "link_ended", "unlinked"] {
        for thing in things(&world) {
            ann.views_as(&world.person(who).account, &thing).await;
        }
    }
    assert_eq!((log().await, seen_by().await, world.change_number().await, stored(&world.app)), before);
    assert!(app.pull(granted, 200).await.is_empty(), "the reader's feed tells of the view");
}

#[actix_web::test]
async fn a_page_of_one_reader_is_no_page_of_another() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care"]).await;
    let una = app.staff(&admin, "Una Falk", &["care"]).await;
    let ann = app.patient(&theo, "Ann Lind").await;
    ann.linked_to(&una).await;
    for day in 1..4 {
        let at = json!({ "occurred_at": format!("2026-03-0{day}T08:00:00+01:00") });
        let entry = ann.writes(with(reflection("Lake"), at)).await;
        ann.opens(&entry, &["text"], &theo).await;
        ann.opens(&entry, &["text"], &una).await;
    }
    let first = ann.views_as(&theo.account, "/entries?limit=2").await.ok();
    let cursor = first.text("/next_cursor");
    let next = format!("/entries?limit=2&cursor={cursor}");
    let rest = ann.views_as(&theo.account, &next).await.ok();
    let pages = [ids(&first), ids(&rest)].concat();
    assert_eq!(pages, theo.finds(&ann).await, "page by page the same order");
    ann.views_as(&una.account, &next).await.expect(422).refused("invalid");
    theo.reads(&ann, &next).await.expect(422).refused("invalid");
}

#[actix_web::test]
async fn what_a_reader_may_not_filter_by_is_refused_to_the_patient_too() {
    let world = World::open().await;
    let (ann, granted) = (world.ann(), world.person("granted"));
    for thing in [
        format!("/entries?infusion_id={}", world.infusion),
        format!("/entries?prompt_id={}", world.prompt),
        format!("/exercise-responses?assignment_id={}", world.assignment),
        "/entries?nonsense=1".to_owned(),
    ] {
        let theirs = granted.reads(ann, &thing).await.expect(422);
        let view = ann.views_as(&granted.account, &thing).await.expect(422);
        assert_eq!(observable(&view).1, observable(&theirs).1, "{thing}");
    }
}
