//! R12 and its relatives: requests that meet.
//!
//! `AFTERGLOW_TEST_INTERLEAVINGS=10000` makes the loops longer than a suite has time for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use afterglow::care::model::Capabilities;
use afterglow::kernel::{Entropy, Text};
use afterglow::onboarding::operator::create_clinic;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp, new_id};
use crate::support::journal::{reflection, two, with};
use crate::support::people::{Clinic, Person};
use crate::support::world::away;

const WORDS: &str = "zanzibarine";

/// How often a grant is revoked under reads, unless the environment says otherwise; a link ends a fifth as often.
const INTERLEAVINGS: usize = 420;

fn interleavings() -> usize {
    #[expect(clippy::disallowed_methods, reason = "the tests' own configuration")]
    let asked = std::env::var("AFTERGLOW_TEST_INTERLEAVINGS").ok();
    asked.map_or(INTERLEAVINGS, |count| count.parse().unwrap())
}

/// Somebody who reads again and again.
#[derive(Clone, Copy)]
enum Look {
    Entry,
    Entries,
    Comments,
}

/// Reads until a read that started after `over` has been answered. Answers how many reads saw the words.
async fn reads_until(over: Arc<AtomicBool>, reader: Person, look: Look, patient: Person, entry: String) -> usize {
    let mut seen = 0;
    loop {
        let after = over.load(Ordering::SeqCst);
        let rest = match look {
            Look::Entry => format!("/entries/{entry}"),
            Look::Entries => "/entries".to_owned(),
            Look::Comments => format!("/entries/{entry}/comments"),
        };
        let answer = reader.reads(&patient, &rest).await;
        let shown = shows(&answer);
        assert!(
            !(after && shown),
            "a read that started after the end was acknowledged: {}",
            String::from_utf8_lossy(&answer.bytes)
        );
        seen += usize::from(shown);
        if after {
            return seen;
        }
    }
}

fn shows(answer: &Answer) -> bool {
    let status = answer.status.as_u16();
    assert!([200, 404].contains(&status), "{status}: {}", String::from_utf8_lossy(&answer.bytes));
    String::from_utf8_lossy(&answer.bytes).contains(WORDS)
}

/// One interleaving: three readers, and an end that comes a random while later.
async fn race(theo: &Person, ann: &Person, entry: &str, end: impl AsyncFnOnce()) -> usize {
    let over = Arc::new(AtomicBool::new(false));
    let readers = [Look::Entry, Look::Entries, Look::Comments]
        .map(|look| reads_until(Arc::clone(&over), theo.clone(), look, ann.clone(), entry.to_owned()));
    let ending = async {
        for _ in 0..Entropy::System.bytes::<1>()[0] % 64 {
            tokio::task::yield_now().await;
        }
        end().await;
        over.store(true, Ordering::SeqCst);
    };
    let (seen, ()) = futures_util::future::join(join_all(readers), ending).await;
    seen.into_iter().sum()
}

async fn entry_of(theo: &Person, ann: &Person) -> String {
    let entry = ann.writes(with(reflection("x"), json!({ "text": { "title": WORDS, "body": WORDS } }))).await;
    let grant = ann.opens(&entry, &["text"], theo).await;
    let path = ann.of_theirs(&format!("/entries/{entry}/comments"));
    theo.says(&path, json!({ "body": WORDS })).send().await.created();
    ann.revokes(&grant).await;
    entry
}

#[actix_web::test]
async fn r12_no_read_that_starts_after_a_revoke_shows_anything() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = entry_of(&theo, &ann).await;
    let mut seen = 0;
    for _ in 0..interleavings() {
        let grant = ann.opens(&entry, &["text"], &theo).await;
        seen += race(&theo, &ann, &entry, async || ann.revokes(&grant).await).await;
    }
    assert!(seen > interleavings() / 10, "the reads hardly ever met the grant: {seen}");
}

#[actix_web::test]
async fn r12_no_read_that_starts_after_the_end_of_a_link_shows_anything() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = entry_of(&theo, &ann).await;
    let (mut seen, rounds) = (0, interleavings() / 5);
    for _ in 0..rounds {
        let link = ann.linked_to(&theo).await;
        ann.opens(&entry, &["text"], &theo).await;
        let path = format!("/v1/care-links/{link}");
        seen += race(&theo, &ann, &entry, async || {
            ann.delete(&path).send().await.no_content();
        })
        .await;
    }
    assert!(seen > rounds / 10, "the reads hardly ever met the link: {seen}");
}

#[actix_web::test]
async fn of_twenty_changes_to_one_version_one_wins() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    for _ in 0..5 {
        let before = ann.entry(&entry).await.ok();
        let tag = before.etag();
        let patches = (0..20).map(|n| {
            let body = json!({ "text": { "body": format!("{tag} {n}") } });
            ann.patch_entry(&entry, body).if_match(&tag).send()
        });
        let answers = join_all(patches).await;
        let won: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(won.len(), 1);
        assert!(answers.iter().all(|answer| answer.status == 200 || answer.body["code"] == "stale"));
        let after = ann.entry(&entry).await.ok();
        assert_eq!(after.body["text"], won[0].body["text"], "and its words stand");
        assert_eq!(after.body["version"].as_i64(), before.body["version"].as_i64().map(|version| version + 1));
    }
    // The same for those who record.
    let infusion = theo.records(&ann, app.now()).await;
    let path = ann.of_theirs(&format!("/infusions/{infusion}"));
    let tag = theo.get(&path).send().await.ok().etag();
    let patches = (0..20).map(|n| theo.patch(&path, json!({ "note": format!("Note {n}") })).if_match(&tag).send());
    let won = AtomicUsize::new(0);
    for answer in join_all(patches).await {
        match answer.status.as_u16() {
            200 => drop(won.fetch_add(1, Ordering::Relaxed)),
            _ => drop(answer.expect(412)),
        }
    }
    assert_eq!(won.into_inner(), 1);
}

#[actix_web::test]
async fn of_twenty_entries_under_one_id_one_is_made() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let id = new_id(&app);
    let path = ann.my(&format!("/entries/{id}"));
    let puts = (0..20).map(|n| ann.request(Method::PUT, &path).json(reflection(&format!("Number {n}"))).send());
    let answers = join_all(puts).await;
    let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 1);
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.status == 428), "{answers:?}");
    assert_eq!(ann.entry(&id).await.ok().body["text"], made[0].body["text"]);
    let list: Value = ann.get(&ann.my("/entries")).send().await.ok().body;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn of_eight_covers_under_one_id_one_is_made_and_the_others_are_the_same() {
    let clinic = Clinic::open().await;
    let (app, thea) = (&clinic.app, &clinic.therapist);
    let id = clinic.admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
    let tom = app.staff(&clinic.admin, "Tom Adler", &["care"]).await;
    for round in 0..5 {
        let path = format!("/v1/clinics/{id}/covers/{}", new_id(app));
        let answers = join_all((0..8).map(|_| thea.put(&path, away(app, &tom, round)).send())).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
    }
    let listed = thea.get(&format!("/v1/clinics/{id}/covers?limit=200")).send().await.ok();
    assert_eq!(listed.items().len(), 5);
}

#[actix_web::test]
async fn nobody_is_left_in_a_clinic_that_closes_while_they_come() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    for round in 0..12 {
        let name = Text::parse(format!("Clinic {round}")).unwrap();
        let made = create_clinic(&app.server.state, name, Capabilities::ADMIN_ONLY).await.unwrap();
        let admin = app.register(&format!("Ada {round}"), &made.code.to_string()).await;
        let una = app.staff(&admin, &format!("Una {round}"), &["care"]).await;
        let (for_staff, for_patient) = (admin.code_for_staff(&["care"]).await, una.code_for_patient().await);
        let path = format!("/v1/clinics/{}", made.clinic);
        let accepts = |who: &Person, code: &str| who.post("/v1/invitations/accept", json!({ "code": code })).send();
        let closing = async { admin.delete(&path).send().await.status.as_u16() };
        let (closed, _, _) =
            futures_util::future::join3(closing, accepts(&theo, &for_staff), accepts(&ann, &for_patient)).await;
        if closed != 204 {
            assert_eq!(closed, 409, "a patient has come meanwhile");
            admin.delete(&path).send().await.no_content();
        }
        theo.get(&format!("{path}/covers")).send().await.not_found();
        let links = ann.care_links().await;
        let mut here = links.iter().filter(|link| link["clinic_id"] == json!(made.clinic.to_string()));
        assert!(here.all(|link| link["state"] == "ended"), "{links:?}");
    }
}

#[actix_web::test]
async fn of_three_requests_that_close_a_clinic_at_once_all_are_told_that_it_is_closed() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    for round in 0..8 {
        let name = Text::parse(format!("Clinic {round}")).unwrap();
        let made = create_clinic(&app.server.state, name, Capabilities::ADMIN_ONLY).await.unwrap();
        let admin = app.register(&format!("Ada {round}"), &made.code.to_string()).await;
        let other = app.staff(&admin, &format!("Olga {round}"), &["admin"]).await;
        let una = app.staff(&admin, &format!("Una {round}"), &["care"]).await;
        let code = una.code_for_patient().await;
        ann.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok();
        let path = format!("/v1/clinics/{}", made.clinic);
        let answers = join_all([&admin, &other, &admin].map(|who| who.delete(&path).send())).await;
        for answer in answers {
            answer.no_content();
        }
        una.get(&format!("{path}/covers")).send().await.not_found();
        let log = ann.get(&ann.my("/access-log?limit=200")).send().await.ok();
        let told = log.items().iter().filter(|row| row["act"] == "clinic_closed");
        assert_eq!(told.count(), round + 1, "each link ends once");
    }
}
