//! Random lives, and a therapist whose app pulls between the steps: it holds exactly what they may see, and was never
//! told of anything that was never open.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_id};
use crate::support::dice::Dice;
use crate::support::exercises::{grant_response, work};
use crate::support::journal::{grant, reflection, with};
use crate::support::people::Person;
use crate::support::reader::{Reader, new_reader};
use crate::tasks::settled;

/// A patient, what they have written, and what they have opened.
struct Life {
    person: Person,
    entries: Vec<String>,
    responses: Vec<String>,
    grants: Vec<String>,
    link: String,
}

const STEPS: usize = 45;

async fn simulate(seed: u64) {
    let dice = Dice::new(seed);
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care", "record"]).await;
    let uma = app.staff(&admin, "Uma Beck", &["care"]).await;
    let mut lives = Vec::new();
    for name in ["Ann Lind", "Ben Okafor"] {
        let person = app.patient(&theo, name).await;
        let link = person.linked_to(&theo).await;
        person.linked_to(&uma).await;
        lives.push(Life { person, entries: vec![], responses: vec![], grants: vec![], link });
    }
    // What was ever named by a grant to Theo, or fell under one by rule.
    let mut ever: BTreeSet<String> = BTreeSet::new();
    let mut reader = Reader::default();
    for number in 0..STEPS {
        let which = dice.below(lives.len());
        let life = &mut lives[which];
        step(&app, (&theo, &uma), life, &dice).await;
        for life in &lives {
            ever.extend(theo.finds(&life.person).await);
        }
        app.wait(SignedDuration::from_mins(7));
        if dice.below(3) == 0 {
            settled(&app).await;
        }
        if dice.below(2) == 0 {
            let limit = 1 + dice.below(5);
            reader.page(&theo, limit).await;
        }
        if number % 15 == 14 {
            settled(&app).await;
            reader.pull(&theo, 3).await;
            let patients: Vec<&Person> = lives.iter().map(|life| &life.person).collect();
            reader.holds_what_it_may_see(&theo, &patients).await;
            reader.equals(&new_reader(&theo).await);
        }
    }
    let told: BTreeSet<&String> =
        reader.mentioned.iter().filter(|(_, kind, _)| kind == "entry").map(|(.., id)| id).collect();
    let never: Vec<_> = told.iter().filter(|id| !ever.contains(**id)).collect();
    assert!(never.is_empty(), "seed {seed}: {never:?} was never open");
}

async fn step(app: &std::sync::Arc<TestApp>, (theo, uma): (&Person, &Person), life: &mut Life, dice: &Dice) {
    let person = life.person.clone();
    let sections: &[&str] = [&["text"][..], &["mood"], &["text", "tags"]][dice.below(3)];
    let reader = if dice.below(4) == 0 { uma } else { theo };
    let until = app.now().checked_add(SignedDuration::from_mins(20)).unwrap().to_string();
    let expiry = if dice.below(3) == 0 { json!({ "expires_at": until }) } else { json!({}) };
    match dice.below(14) {
        0..=2 => {
            let status = if dice.below(4) == 0 { "draft" } else { "done" };
            let kind = ["reflection", "dream"][dice.below(2)];
            let hour = 7 + dice.below(3);
            let at = format!("2026-03-0{}T{hour:02}:00:00Z", 1 + dice.below(9));
            let body = json!({ "status": status, "kind": kind, "occurred_at": at });
            life.entries.push(person.writes(with(reflection("Lake"), body)).await);
        }
        3 | 4 => {
            let Some(id) = dice.of(&life.entries).cloned() else { return };
            let now = person.entry(&id).await;
            if now.status != 200 {
                return;
            }
            let edits: [Value; 5] = [
                json!({ "text": { "body": format!("Text {}", dice.below(1000)) } }),
                json!({ "mood": { "valence": dice.below(10) } }),
                json!({ "status": "done" }),
                json!({ "kind": "dream" }),
                json!({ "occurred_at": "2026-03-05T09:00:00Z" }),
            ];
            let edit = edits[dice.below(5)].clone();
            person.patch_entry(&id, edit).if_match(&now.etag()).send().await.ok();
        }
        5 | 6 => {
            let Some(entry) = dice.of(&life.entries) else { return };
            let id = new_id(app);
            let body = with(grant(entry, sections, reader), expiry);
            // A draft or a deleted entry is refused.
            if person.put_grant(&id, body).send().await.status == 201 {
                life.grants.push(id);
            }
        }
        7 => {
            let id = new_id(app);
            let body = json!({
                "rule": { "kind": "dream" }, "sections": sections, "reader": { "type": "care_team" },
            });
            if person.put_grant(&id, with(body, expiry)).send().await.status == 201 {
                life.grants.push(id);
            }
        }
        8 => {
            let Some(id) = dice.of(&life.grants) else { return };
            person.revokes(id).await;
        }
        9 => {
            let Some(id) = dice.of(&life.entries).cloned() else { return };
            let now = person.entry(&id).await;
            let path = person.my(&format!("/entries/{id}"));
            match now.status.as_u16() {
                200 => drop(person.delete(&path).if_match(&now.etag()).send().await.no_content()),
                _ => drop(person.act(&format!("{path}/undelete")).send().await),
            }
        }
        10 => {
            let Some(id) = dice.of(&life.entries).cloned() else { return };
            let thread = person.of_theirs(&format!("/entries/{id}/comments"));
            // Refused unless the entry is open.
            drop(theo.says(&thread, json!({ "body": "Thank you." })).send().await);
            drop(uma.says(&thread, json!({ "body": "Thanks." })).send().await);
        }
        11 => {
            let id = theo.reads(&person, "/infusions").await;
            if id.status == 200 && id.items().is_empty() {
                theo.records(&person, "2026-03-04T10:00:00Z".parse().unwrap()).await;
            }
        }
        12 => {
            let id = person.works(work()).await;
            if dice.below(2) == 0 {
                let open = new_id(app);
                let body = grant_response(&id, &["answers"], reader);
                if person.put_grant(&open, body).send().await.status == 201 {
                    life.grants.push(open);
                }
            }
            life.responses.push(id);
        }
        _ => {
            person.delete(&format!("/v1/care-links/{}", life.link)).send().await.no_content();
            life.link = person.linked_to(theo).await;
        }
    }
}

#[actix_web::test]
async fn a_therapists_app_holds_exactly_what_they_may_see() {
    #[expect(clippy::disallowed_methods, reason = "the tests' own configuration")]
    let seeds = std::env::var("AFTERGLOW_FEED_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_u64);
    for seed in 1..=seeds {
        println!("seed {seed}");
        simulate(seed).await;
    }
}
