//! Random lives of a patient with three phones: requests are lost, repeated and late, phones crash and come back from
//! backups, the server too, clocks are wrong, two therapists read along. In the end everybody holds the same, and no
//! word that anybody had is gone.
//!
//! `AFTERGLOW_SEEDS=10000` lives as many, `AFTERGLOW_SEED=17` one of them.

mod life;
mod words;

use life::Life;
use serde_json::json;

use crate::reference_phone::Phone;
use crate::support::app::TestApp;
use crate::support::database::on_postgres;
use crate::support::dice::Dice;
use crate::support::sync::send;

#[expect(clippy::disallowed_methods, reason = "the tests' own configuration")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The lives of one test.
async fn lives(part: u64) {
    if let Some(seed) = asked("AFTERGLOW_SEED") {
        return if seed % PARTS == part {
            Life::begin(seed).await.live().await
        };
    }
    // A life takes a second and more of a build without optimisation. On PostgreSQL each has a database to make, and no
    // copy of the server comes back.
    let seeds = asked("AFTERGLOW_SEEDS").unwrap_or(if on_postgres() { 4 } else { 24 });
    for seed in (0..seeds).filter(|seed| seed % PARTS == part) {
        // A failure names its seed.
        let told = Seed(seed);
        Life::begin(seed).await.live().await;
        std::mem::forget(told);
    }
}

const PARTS: u64 = 4;

struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        eprintln!("AFTERGLOW_SEED={} fails", self.0);
    }
}

macro_rules! parts {
    ($($name:ident $part:literal)*) => {
        $(#[actix_web::test]
        async fn $name() {
            lives($part).await;
        })*
    };
}

parts! {
    three_phones_and_two_therapists_lose_no_word 0
    three_phones_and_two_therapists_hold_the_same_in_the_end 1
    whatever_is_lost_on_the_way_is_said_again 2
    whatever_comes_twice_is_done_once 3
}

/// I3. `AFTERGLOW_PHONES=200` takes so many.
#[actix_web::test]
async fn phones_that_write_alone_meet_no_conflict_and_nothing_stands_twice_whatever_is_lost() {
    let app = TestApp::start().await;
    let theo = app.staff(&app.admin().await, "Theo Brandt", &["care"]).await;
    let folder = tempfile::tempdir().unwrap();
    for number in 0..asked("AFTERGLOW_PHONES").unwrap_or(20) {
        let dice = Dice::new(number + 1);
        let ann = app.patient(&theo, &format!("Ann Number{number}")).await;
        let draw = dice.clone();
        let file = folder.path().join(format!("{number}"));
        let mut phone = Phone::open(&file, (&ann.patient, &ann.account), move || draw.id());
        phone.keep_both = false;
        for round in 0..4 {
            for entry in 0..10 {
                let id = dice.id();
                let header = json!({ "kind": "note", "status": "done", "occurred_at": app.now().to_string() });
                phone.edit(("entry", &id), "header", header);
                phone.edit(("entry", &id), "text", json!({ "body": format!("{round} {entry}") }));
                if dice.once_in(3) {
                    phone.edit(("entry", &id), "tags", json!(["lake"]));
                }
            }
            phone.wake();
            while !phone.is_quiet() {
                let request = phone.next();
                let lost = dice.once_in(10);
                if lost && dice.once_in(2) {
                    continue;
                }
                let answer = send(&ann, &request).await;
                assert_eq!(answer.0, 200, "{}", answer.1);
                if !lost {
                    phone.take(&request, (answer.0, &answer.1));
                }
            }
        }
        assert!(phone.told().is_empty(), "{:?}", phone.told());
        let stored = ann.get(&ann.my("/entries?limit=200")).send().await.ok();
        let bodies: std::collections::BTreeSet<_> =
            stored.items().iter().map(|entry| entry["text"]["body"].as_str().unwrap()).collect();
        assert_eq!((stored.items().len(), bodies.len()), (40, 40));
        assert!(stored.items().iter().all(|entry| entry["version"] == 1), "each was stored once");
        assert_eq!(phone.things().iter().filter(|thing| thing.kind == "entry").count(), 40);
    }
}
