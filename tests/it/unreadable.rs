//! A row that does not open spoils nothing but itself.

use std::collections::{BTreeMap, BTreeSet};

use afterglow::delivery::MemoryChannel;
use afterglow::kernel::Id;
use afterglow::kernel::id::{Patient, Prompt};
use diesel::prelude::*;
use diesel::sql_types::Binary;
use reqwest::Method;
use serde_json::{Value, json};

use crate::at_rest::SEALED;
use crate::delivery::{hours, minutes, plant, work};
use crate::support::app::{TestApp, new_id};
use crate::support::database::on_postgres;
use crate::support::journal::{ids, reflection, two};
use crate::support::people::{PASSPHRASE, Person};
use crate::support::requests::operations;
use crate::support::sql::Sql;
use crate::support::world::World;

#[derive(QueryableByName)]
struct Blob {
    #[diesel(sql_type = Binary)]
    b: Vec<u8>,
}

fn bytes(value: &[u8]) -> String {
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    if on_postgres() { format!("'\\x{hex}'::bytea") } else { format!("X'{hex}'") }
}

fn id(value: &str) -> String {
    if on_postgres() { format!("'{value}'") } else { format!("X'{}'", value.replace('-', "")) }
}

/// A sealed value that was damaged. No two sealed values are equal, so that the value names its row.
pub struct Damaged {
    place: (&'static str, &'static str),
    whole: Option<Vec<u8>>,
    broken: Vec<u8>,
}

impl Damaged {
    /// Damages the value of the first row for which `which` holds, in the `manner`-th of several ways.
    pub fn new(app: &TestApp, place: (&'static str, &'static str), which: &str, manner: usize) -> Self {
        let (table, column) = place;
        let query = format!("SELECT {column} AS b FROM {table} WHERE {column} IS NOT NULL AND {which}");
        let whole = Sql::open(&app.database.backend).rows::<Blob>(&query).into_iter().next().map(|found| found.b);
        let mut broken = whole.clone().unwrap_or_default();
        match (&whole, manner % 4) {
            (Some(_), 0) => *broken.last_mut().unwrap() ^= 1,
            (Some(whole), 1) => broken.truncate(whole.len() / 2),
            // Another key.
            (Some(_), 2) => broken[2] ^= 0x55,
            _ => broken = b"{\"not\": \"sealed\"}".to_vec(),
        }
        let damaged = Self { place, whole, broken };
        let old = match &damaged.whole {
            Some(whole) => format!("{column} = {}", bytes(whole)),
            // Nothing can be written there yet.
            None => format!("{column} IS NULL AND {which}"),
        };
        damaged.set(app, &bytes(&damaged.broken), &old);
        assert!(damaged.stands(app), "no row: {query}");
        damaged
    }

    fn set(&self, app: &TestApp, new: &str, which: &str) {
        let (table, column) = self.place;
        Sql::open(&app.database.backend).run(&format!("UPDATE {table} SET {column} = {new} WHERE {which}"));
    }

    /// Whether the damaged value still stands there.
    fn stands(&self, app: &TestApp) -> bool {
        let (table, column) = self.place;
        let query = format!("SELECT {column} AS b FROM {table} WHERE {column} = {}", bytes(&self.broken));
        !Sql::open(&app.database.backend).rows::<Blob>(&query).is_empty()
    }

    pub fn mend(self, app: &TestApp) {
        let whole = self.whole.as_deref().map_or_else(|| "NULL".to_owned(), bytes);
        self.set(app, &whole, &format!("{} = {}", self.place.1, bytes(&self.broken)));
    }
}

/// Which rows of each table are damaged, one after the other, and a list that then shows `unreadable`: nothing where no
/// list shows the column.
fn rows(world: &World, table: &str, column: &str) -> (Vec<String>, Option<&'static str>) {
    let (ann, granted) = (world.ann(), world.person("granted"));
    let this = |value: &str| vec![format!("id = {}", id(value))];
    match (table, column) {
        ("accounts", "credential") => (this(&ann.account), None),
        ("accounts", _) => ([this(&ann.account), this(&granted.account)].concat(), Some("list_care_links")),
        ("clinics", _) => (this(&world.clinic), Some("list_care_links")),
        ("protocols", _) => (this(&world.protocol), Some("list_clinic_protocols")),
        ("invitations", _) => (vec![format!("inviter_id = {}", id(&granted.account))], Some("list_invitations")),
        ("emergencies", _) => (this(&world.emergency), Some("list_emergencies")),
        ("patient_settings", "doc") => (vec![format!("patient_id = {}", id(&ann.patient))], Some("pull_changes")),
        ("patient_settings", _) => (vec![format!("patient_id = {}", id(&ann.patient))], None),
        ("grants", _) => (this(&world.grant), Some("list_grants")),
        ("infusions", _) => ([this(&world.infusion), this(&world.planned)].concat(), Some("list_infusions")),
        ("pauses", _) => (this(&world.pause), Some("list_pauses")),
        ("consents", _) => (vec![format!("patient_id = {}", id(&ann.patient))], None),
        ("calendars", _) => (vec![format!("patient_id = {}", id(&ann.patient))], None),
        ("sessions", _) => {
            (vec![format!("account_id = {} AND doc IS NOT NULL", id(&ann.account))], Some("list_sessions"))
        }
        ("passkeys", _) => (vec![format!("account_id = {}", id(&ann.account))], Some("get_factors")),
        ("devices", _) => (this(&world.device), Some("list_devices")),
        ("prompts", _) => (this(&world.prompt), Some("list_prompts")),
        ("entries", _) => (this(&world.entry), Some("list_entries")),
        ("revisions", _) => (
            ["entry", "response"]
                .map(|of| {
                    let item = if of == "entry" { &world.entry } else { &world.response };
                    format!("item_id = {}", id(item))
                })
                .to_vec(),
            None,
        ),
        ("exercise_responses", _) => (this(&world.response), Some("list_exercise_responses")),
        ("assignments", _) => (this(&world.assignment), Some("list_assignments")),
        ("comments", _) => (vec![format!("entry_id = {}", id(&world.entry))], Some("list_comments")),
        ("audit_log", _) => {
            (vec![format!("subject_id = {} ORDER BY seq DESC", id(&ann.patient))], Some("list_access_log"))
        }
        other => panic!("which rows of {other:?} are damaged, and which list shows them?"),
    }
}

/// What people were answered: the status, the names of the items, and whether one is shown as unreadable.
type Seen = BTreeMap<(String, &'static str), (u16, String, BTreeSet<String>, bool)>;

fn name_of(item: &Value) -> String {
    let named = ["/id", "/account_id", "/link_id", "/exercise/key", "/key", "/revision", "/patient_id"];
    let name = named.into_iter().find_map(|place| item.pointer(place));
    name.map_or_else(String::new, Value::to_string)
}

async fn look(world: &World) -> Seen {
    let mut seen = Seen::new();
    let reads = operations().into_iter().filter(|operation| {
        operation.method == Method::GET || ["check_integrity", "search_entries"].contains(&operation.id.as_str())
    });
    for operation in reads.filter(|operation| !operation.id.starts_with("get_metrics")) {
        for who in ["owner", "granted", "nurse", "other_patient", "admin"] {
            let answer = world.ask(&operation.id, who).await.send(&world.app).await;
            let items = answer.body["items"].as_array().cloned().unwrap_or_default();
            let names = items.iter().map(name_of).filter(|name| !name.is_empty()).collect();
            let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
            let unreadable = String::from_utf8_lossy(&answer.bytes).contains("\"unreadable\":true");
            seen.insert((operation.id.clone(), who), (answer.status.as_u16(), code, names, unreadable));
        }
    }
    seen
}

/// What a list lacks beside a damaged row, with the reason.
fn may_lack((list, who): (&str, &str), table: &str) -> bool {
    match list {
        // The words that are looked for do not open.
        "search_entries" => table == "entries",
        // What was agreed to is in the row that does not open.
        "list_consents" => table == "consents",
        // The clinic of the infusion does not open.
        "list_infusions" => who == "nurse",
        // The schedule of the protocol is made from the infusions and the zone alone.
        "list_prompts" => who != "owner" && ["infusions", "patient_settings"].contains(&table),
        _ => false,
    }
}

async fn counted(app: &std::sync::Arc<TestApp>, table: &str) -> u64 {
    let text = String::from_utf8(app.get("/metrics").send().await.ok().bytes).unwrap();
    let line = format!("afterglow_unreadable_rows_total{{table=\"{table}\"}} ");
    text.lines().find_map(|found| found.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
}

async fn unreadable_rows(app: &std::sync::Arc<TestApp>) -> u64 {
    let ready = app.get("/readyz").send().await.ok().body;
    let all = ready["warnings"].as_array().unwrap().clone();
    let found = all.iter().find(|warning| warning["code"] == "unreadable_rows");
    found.map_or(0, |warning| warning["count"].as_u64().unwrap())
}

async fn log_in(app: &std::sync::Arc<TestApp>, person: &Person) -> u16 {
    let email = format!("{}@example.org", person.name.to_lowercase().replace(' ', "."));
    let body = json!({ "email": email, "passphrase": PASSPHRASE });
    app.post("/v1/auth/login", body).send().await.status.as_u16()
}

#[actix_web::test]
async fn every_list_goes_on_beside_a_damaged_row_of_any_table_and_every_task_too() {
    let world = World::open().await;
    let app = &world.app;
    let flags = world.ann().of_theirs("/cautions");
    let tag = world.person("granted").get(&flags).send().await.etag();
    let set = world.person("granted").put(&flags, json!({ "flags": ["dissociation"] })).if_match(&tag);
    set.send().await.ok();
    let channel = MemoryChannel::default();
    work(app, &channel).await;
    let ben: Id<Patient> = world.person("other_patient").patient.parse().unwrap();
    let mut rounds = 0;
    // Nobody reads a letter but the task that sends it, nor the secrets of a second factor but who shows a code:
    // tests/it/account_life.rs and tests/it/factors.rs damage one.
    let apart = ["letters", "second_factors"];
    for &(table, column) in SEALED.iter().filter(|(table, _)| !apart.contains(table)) {
        let (which, list) = rows(&world, table, column);
        for which in which {
            let before = look(&world).await;
            // A revision is a replaced section of its item.
            let counts_as = match table {
                "revisions" if which.contains(&id(&world.entry)) => "entries",
                "revisions" => "exercise_responses",
                _ => table,
            };
            let counted_before = counted(app, counts_as).await;
            let damaged = Damaged::new(app, (table, column), &which, rounds);
            rounds += 1;
            let context = format!("{table}.{column} of {which}");
            let after = look(&world).await;
            let signed_in = log_in(app, world.ann()).await;
            assert_eq!(signed_in, if column == "credential" { 401 } else { 200 }, "{context}");

            for (place, (status, _, names, _)) in &before {
                let (now, code, left, _) = &after[place];
                let reads =
                    ["check_", "list_", "pull_", "search_", "suggest_"].iter().any(|verb| place.0.starts_with(verb));
                if !reads && *now == 500 {
                    assert_eq!(code, "unreadable", "{place:?} beside {context}");
                    continue;
                }
                if *now == 404 && table == "infusions" && place.1 == "nurse" {
                    // Nobody knows whether it is one of her clinic.
                    continue;
                }
                assert_eq!(now, status, "{place:?} beside {context}");
                let lost: Vec<_> = names.difference(left).collect();
                assert!(lost.is_empty() || may_lack((&place.0, place.1), table), "{place:?} lacks {lost:?}: {context}");
            }
            let shows = |(place, seen): (&(String, &str), &(u16, String, BTreeSet<String>, bool))| {
                seen.3.then(|| place.0.clone())
            };
            let shown: BTreeSet<String> = after.iter().filter_map(shows).collect();
            assert_eq!(list.is_some(), !shown.is_empty(), "{context}: {shown:?}");
            assert!(list.is_none_or(|list| shown.contains(list)), "{context}: {shown:?}");
            assert!(counted(app, counts_as).await > counted_before, "{context}");
            assert!(unreadable_rows(app).await > 0, "{context}");

            // Whatever is due is done, and what is due to others reaches them.
            let planted = plant(app, ben, app.now() + minutes(30), |_| {}).await;
            app.wait(minutes(30));
            work(app, &channel).await;
            let sent: Vec<Id<Prompt>> = channel.sent().iter().map(|push| push.prompt).collect();
            assert!(sent.contains(&planted), "{context}");
            damaged.mend(app);
        }
    }
    let whole = look(&world).await;
    assert!(whole.values().all(|(status, ..)| *status < 500), "{whole:?}");
    assert!(whole.values().all(|(.., unreadable)| !unreadable), "{whole:?}");
}

#[actix_web::test]
async fn a_page_goes_on_past_a_damaged_item() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let mut written = Vec::new();
    for title in ["one", "two", "three"] {
        app.wait(minutes(1));
        written.push(ann.writes(reflection(title)).await);
    }
    written.reverse();
    for column in ["meta", "text"] {
        for entry in &written {
            let damaged = Damaged::new(&app, ("entries", column), &format!("id = {}", id(entry)), 0);
            let (mut path, mut found) = (ann.my("/entries?limit=1"), Vec::new());
            loop {
                let page = ann.get(&path).send().await.ok();
                found.extend(page.items().to_vec());
                let Some(next) = page.body["next_cursor"].as_str() else { break };
                path = ann.my(&format!("/entries?limit=1&cursor={next}"));
            }
            let names: BTreeSet<String> = found.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
            assert_eq!(names, written.iter().cloned().collect());
            assert_eq!(found.len(), 3);
            let shown: Vec<&Value> = found.iter().filter(|item| item["unreadable"] == true).collect();
            assert_eq!(shown, [&json!({ "id": entry, "unreadable": true })]);
            damaged.mend(&app);
        }
    }
}

#[actix_web::test]
async fn what_is_damaged_is_not_written_over_and_can_be_deleted() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let entry = ann.writes(reflection("one")).await;
    let tag = ann.entry(&entry).await.etag();
    for column in ["meta", "text", "mood"] {
        let damaged = Damaged::new(&app, ("entries", column), &format!("id = {}", id(&entry)), 0);
        ann.entry(&entry).await.expect(500).refused("unreadable");
        let body = json!({ "text": { "title": "other" } });
        ann.patch_entry(&entry, body).if_match(&tag).send().await.expect(500).refused("unreadable");
        ann.put_entry(&entry, reflection("other")).if_match(&tag).send().await.expect(500).refused("unreadable");
        assert!(damaged.stands(&app), "{column}");
        damaged.mend(&app);
    }
    assert_eq!(ann.entry(&entry).await.text("/text/title"), "one");
    let damaged = Damaged::new(&app, ("entries", "meta"), &format!("id = {}", id(&entry)), 1);
    ann.delete(&ann.my(&format!("/entries/{entry}"))).send().await.no_content();
    assert!(ids(&ann.get(&ann.my("/entries")).send().await.ok()).is_empty());
    assert!(damaged.stands(&app));

    let from = (app.now() + hours(1)).to_string();
    let pause = crate::support::app::new_id(&app);
    let body = json!({ "from": from, "until": (app.now() + hours(9)).to_string() });
    ann.put(&ann.my(&format!("/pauses/{pause}")), body.clone()).send().await.created();
    let damaged = Damaged::new(&app, ("pauses", "doc"), &format!("id = {}", id(&pause)), 0);
    ann.put(&ann.my(&format!("/pauses/{pause}")), body).send().await.expect(500).refused("unreadable");
    assert!(damaged.stands(&app));
    ann.delete(&ann.my(&format!("/pauses/{pause}"))).send().await.no_content();
    assert!(ann.get(&ann.my("/pauses")).send().await.ok().items().is_empty());
}

/// What is planned for Ann, as it is stored.
async fn plan(ann: &Person) -> BTreeSet<String> {
    let of = |prompt: &Value| format!("{} {} {}", prompt["id"], prompt["state"], prompt["detail"]["due_at"]);
    ann.prompts().await.iter().map(of).collect()
}

#[actix_web::test]
async fn while_a_fact_does_not_open_its_patient_is_left_in_peace_and_the_plan_adds_nothing() {
    let world = World::open().await;
    let (app, ann) = (&world.app, world.ann());
    let channel = MemoryChannel::default();
    work(app, &channel).await;
    let patient: Id<Patient> = ann.patient.parse().unwrap();
    let of_ann = format!("patient_id = {}", id(&ann.patient));
    let facts = [
        ("infusions", "doc", format!("id = {}", id(&world.infusion))),
        ("infusions", "doc", format!("id = {}", id(&world.planned))),
        ("pauses", "doc", of_ann.clone()),
        ("patient_settings", "doc", of_ann),
    ];
    for (table, column, which) in facts {
        let before = plan(ann).await;
        let damaged = Damaged::new(app, (table, column), &which, 0);
        // Writing feeds the plan.
        ann.writes(reflection("beside it")).await;
        let now = plan(ann).await;
        let added: Vec<_> = now.difference(&before).filter(|one| one.contains("\"planned\"")).collect();
        assert!(added.is_empty(), "{table}: {added:?}");
        let planted = plant(app, patient, app.now() + minutes(2), |_| {}).await;
        let sent = || channel.sent().iter().any(|push| push.prompt == planted);
        app.wait(minutes(3));
        work(app, &channel).await;
        assert!(!sent(), "{table}");
        damaged.mend(app);
        app.wait(hours(1));
        work(app, &channel).await;
        assert!(sent(), "{table}");
    }
}

#[actix_web::test]
async fn a_context_rests_on_what_opens_now_and_not_on_what_opened_before() {
    let world = World::open().await;
    let (app, ann) = (&world.app, world.ann());
    let entry = ann.writes(reflection("beside it")).await;
    let address = ann.my(&format!("/entries/{entry}"));
    let context = async || ann.get(&address).send().await.ok().body["context"].clone();
    let before = context().await;
    assert_eq!(before["infusion_id"], world.infusion.as_str());
    for manner in 0..4 {
        let damaged = Damaged::new(app, ("infusions", "doc"), &format!("id = {}", id(&world.infusion)), manner);
        assert_ne!(context().await["infusion_id"], before["infusion_id"], "{manner}");
        damaged.mend(app);
        assert_eq!(context().await, before, "{manner}");
    }
}

#[actix_web::test]
async fn a_plan_from_a_long_history_rests_on_what_opens_now() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let mut infusions = Vec::new();
    for n in (1..=50).rev() {
        infusions.push(theo.records(&ann, app.now() - hours(96 * n)).await);
    }
    let plans = async || {
        let until = json!({ "until": (app.now() + hours(24)).to_string() });
        ann.put(&ann.my(&format!("/pauses/{}", new_id(&app))), until).send().await.created();
        app.server.state.vault.unreadable_rows()
    };
    assert_eq!(plans().await, 0);
    for (manner, infusion) in infusions.iter().take(4).enumerate() {
        let damaged = Damaged::new(&app, ("infusions", "doc"), &format!("id = {}", id(infusion)), manner);
        assert_eq!(
            plans().await,
            u64::try_from(manner + 1).unwrap(),
            "what opened before stood for a damaged document"
        );
        damaged.mend(&app);
    }
}
