//! Random lives of a patient with three phones: requests are lost, repeated and late, phones crash and come back from
//! backups, the server too, clocks are wrong, two therapists read along. In the end everybody holds the same, and no
//! word that anybody had is gone.
//!
//! `AFTERGLOW_SEEDS=10000` lives as many, `AFTERGLOW_SEED=17` one of them.

mod chains;
mod life;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use life::{Clinic, Life, is_long};
use serde_json::{Value, json};

use crate::reference_phone::Phone;
use crate::support::app::{TestApp, id_of};
use crate::support::database::{new_folder, on_postgres};
use crate::support::dice::Dice;
use crate::support::people::Person;
use crate::support::sync::send;

#[expect(clippy::disallowed_methods, reason = "the tests' own configuration")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The lives of one test.
async fn lives(part: u64) {
    let seeds = match asked("AFTERGLOW_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..asked("AFTERGLOW_SEEDS").unwrap_or(if on_postgres() { 20 } else { 200 }),
    };
    let mut shared: Option<Clinic> = None;
    for seed in seeds.filter(|seed| seed % PARTS == part) {
        // A failure names its seed.
        let told = Seed(seed);
        if is_long(seed) {
            Life::begin(seed, Clinic::open().await).await.live().await;
        } else {
            let clinic = match shared.take().filter(Clinic::has_room) {
                Some(clinic) => clinic,
                None => Clinic::open().await,
            };
            shared = Some(Life::begin(seed, clinic).await.live().await);
        }
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
    let folder = new_folder();
    let (phones, mut lost) = (asked("AFTERGLOW_PHONES").unwrap_or(10), 0);
    for number in 0..phones {
        let dice = Dice::new(number + 1);
        let ann = app.patient(&theo, &format!("Ann Number{number}")).await;
        let draw = dice.clone();
        let file = folder.path().join(format!("{number}"));
        let mut phone = Phone::open(&file, (&ann.patient, &ann.account), move || draw.id());
        phone.keep_both = false;
        let mut network = Network { ann, dice, done: BTreeSet::new(), lost: 0 };
        // What was typed last, by entry.
        let mut typed = BTreeMap::new();
        for entry in 0..40 {
            let (dice, id) = (&network.dice, network.dice.id());
            let header = json!({ "kind": "note", "status": "done", "occurred_at": app.now().to_string() });
            phone.edit(("entry", &id), "header", header);
            phone.edit(("entry", &id), "text", json!({ "body": format!("Entry {entry}") }));
            typed.insert(id, format!("Entry {entry}"));
            // An earlier entry is written on, perhaps while its batch is under way.
            let earlier = typed.keys().nth(dice.below(typed.len())).unwrap().clone();
            if dice.once_in(3) {
                phone.edit(("entry", &earlier), "tags", json!([format!("tag {entry}")]));
            }
            if dice.once_in(3) {
                let body = format!("{} and {entry}", typed[&earlier]);
                phone.edit(("entry", &earlier), "text", json!({ "body": body }));
                typed.insert(earlier, body);
            }
            if dice.once_in(2) {
                network.carry(&mut phone).await;
            }
        }
        phone.wake();
        while !phone.is_quiet() {
            network.carry(&mut phone).await;
        }
        assert!(phone.told().is_empty(), "{:?}", phone.told());
        let stored = network.ann.get(&network.ann.my("/entries?limit=200")).send().await.ok();
        let bodies: BTreeMap<_, _> = stored
            .items()
            .iter()
            .map(|entry| (id_of(entry), entry["text"]["body"].as_str().unwrap().to_owned()))
            .collect();
        assert_eq!((stored.items().len(), &bodies), (40, &typed));
        let versions: usize =
            stored.items().iter().map(|entry| usize::try_from(entry["version"].as_i64().unwrap()).unwrap()).sum();
        assert_eq!(versions, network.done.len(), "each mutation was done once");
        let held = phone.things().into_iter().filter(|thing| thing.kind == "entry");
        assert!(held.map(|thing| thing.base["version"].as_i64()).eq(versions_by_id(stored.items())));
        lost += network.lost;
    }
    println!("{phones} phones, {lost} batches whose answer was lost");
    assert!(lost > 0);
}

/// The versions of items, in the order of their ids.
fn versions_by_id(items: &[Value]) -> impl Iterator<Item = Option<i64>> {
    let by_id: BTreeMap<_, _> = items.iter().map(|item| (id_of(item), item["version"].as_i64())).collect();
    by_id.into_values()
}

/// The network of one phone.
struct Network {
    ann: Person,
    dice: Dice,
    /// The mutations that were done.
    done: BTreeSet<String>,
    /// The batches that were done and whose answer was lost.
    lost: u64,
}

impl Network {
    /// Carries a request and its answer. Every tenth answer is lost, and every twentieth request.
    async fn carry(&mut self, phone: &mut Phone) {
        let request = phone.next();
        if self.dice.once_in(20) {
            return;
        }
        let (status, body) = send(&self.ann, &request).await;
        assert_eq!(status, 200, "{body}");
        for result in body["results"].as_array().into_iter().flatten() {
            let status = if result["status"] == "replayed" { &result["was"] } else { &result["status"] };
            assert!(status == "applied" && result.get("sibling").is_none(), "{result:#}");
            self.done.insert(result["mutation_id"].as_str().unwrap().to_owned());
        }
        if self.dice.once_in(10) {
            self.lost += u64::from(body.get("results").is_some());
        } else {
            phone.take(&request, (status, &body));
        }
    }
}
