//! Epochs: data that went back are known, and nothing of what was lost comes again under the same version.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use afterglow::app::Server;
use afterglow::db::values;
use afterglow::delivery::MemoryChannel;
use afterglow::kernel::{Clock, Entropy};
use afterglow::sync::renewal;
use afterglow::tasks::Task;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::examples::askers;
use crate::support::app::{Answer, START, TestApp, id_of, new_id};
use crate::support::child;
use crate::support::database::{Database, on_postgres};
use crate::support::exercises::work;
use crate::support::journal::{grant, reflection, two, with};
use crate::support::people::{Person, again, completed};
use crate::support::phone::{Phone, live, new_phone, page};
use crate::support::sources::shipped;
use crate::support::sql::{Sql, beside};
use crate::support::world::World;
use crate::tasks::Tables;

/// What was ever shown of each version of a thing, and in which history.
#[derive(Default)]
struct Shown(BTreeMap<(String, String, i64), (usize, Value)>);

impl Shown {
    /// Adds what a phone was given.
    fn add(&mut self, history: usize, items: Vec<Value>) {
        for mut item in items {
            item.as_object_mut().unwrap().remove("seq");
            let version = item["version"].as_i64().unwrap();
            let key = (item["kind"].as_str().unwrap().to_owned(), id_of(&item), version);
            let (before, shown) = self.0.entry(key.clone()).or_insert_with(|| (history, item.clone()));
            assert_eq!(*shown, item, "{key:?} of history {before} was used again in history {history}");
        }
    }
}

/// Ids that apps have drawn: they come again with what is sent again.
struct Drawn {
    kept: String,
    new: [String; 7],
}

/// What happens in one history: other words each time, under the same ids. The phone pulls after each step.
async fn history(number: usize, (theo, ann): (&Person, &Person), drawn: &Drawn, shown: &mut Shown) {
    let app = &ann.app;
    let mut phone = Phone::default();
    let [entry, response, pause, infusion, shared, comment, assignment] = &drawn.new;
    let words = |what: &str| json!({ "text": { "body": format!("{what} of history {number}") } });
    macro_rules! then {
        ($step:expr) => {{
            $step;
            shown.add(number, phone.pull(ann, 200).await);
        }};
    }
    shown.add(number, phone.pull(ann, 200).await);
    then!(ann.edits(&drawn.kept, words("First")).await);
    then!(ann.edits(&drawn.kept, words("Second")).await);
    then!(ann.put_entry(entry, with(reflection("New"), words("New"))).send().await.created());
    then!(ann.edits(entry, words("Newer")).await);
    let at = format!("2026-03-10T07:0{number}:00Z");
    let path = ann.my(&format!("/exercise-responses/{response}"));
    then!(ann.put(&path, with(work(), json!({ "occurred_at": at }))).send().await.created());
    let until = format!("2026-06-0{}T00:00:00Z", number + 2);
    let path = ann.my(&format!("/pauses/{pause}"));
    then!(ann.put(&path, json!({ "from": "2026-06-01T00:00:00Z", "until": until })).send().await.created());
    let ended = app.now() - SignedDuration::from_hours(30 + i64::try_from(number).unwrap());
    let path = ann.of_theirs(&format!("/infusions/{infusion}"));
    then!(theo.put(&path, completed(ended)).send().await.created());
    let sections: &[&[&str]] = &[&["text"], &["mood"], &["text", "mood"]];
    let path = ann.my(&format!("/grants/{shared}"));
    then!(ann.put(&path, grant(entry, sections[number], theo)).send().await.created());
    // It was delivered before.
    then!(theo.act(&ann.of_theirs(&format!("/entries/{}/opened", drawn.kept))).send().await.ok());
    let path = ann.of_theirs(&format!("/entries/{}/comments/{comment}", drawn.kept));
    then!(theo.put(&path, json!({ "body": format!("Comment {number}") })).send().await.created());
    let path = ann.of_theirs(&format!("/assignments/{assignment}"));
    let asked = json!({ "exercise_key": "values-sort", "note": format!("Note {number}") });
    then!(theo.put(&path, asked).send().await.created());
    let day = ["monday", "tuesday", "friday"][number];
    then!(ann.sets(json!({ "weekly_day": day })).await.ok());
    let prompt = ann.prompts().await.into_iter().find(|prompt| prompt["state"] == "planned").unwrap();
    let act = ["skip", "snooze", "open"][number];
    let call = ann.request(Method::POST, &ann.my(&format!("/prompts/{}/{act}", id_of(&prompt))));
    let call = if act == "snooze" { call.json(json!({ "until": "tomorrow" })) } else { call };
    then!(call.send().await.ok());
    if number != 1 {
        then!(ann.delete(&path_of_link(ann).await).send().await.no_content());
    }
    for id in &drawn.new {
        let of = |(history, item): &(usize, Value)| *history == number && item["id"] == *id;
        assert!(shown.0.values().any(of), "{id} was stored in history {number}");
    }
    let before = shown.0.len();
    shown.add(number, new_phone(ann).await.things.into_values().collect());
    assert_eq!(shown.0.len(), before, "a new phone is given nothing that was not shown");
}

async fn path_of_link(ann: &Person) -> String {
    let link = ann.care_links().await.into_iter().find(|link| link["state"] == "active").unwrap();
    format!("/v1/care-links/{}", id_of(&link))
}

/// I13.
#[actix_web::test]
async fn no_version_is_used_twice_however_often_a_copy_is_restored() {
    let clock = || Clock::manual(START.parse().unwrap());
    let app = TestApp::start_on_disk().await;
    let (theo, ann) = two(&app).await;
    let (kept, _) = live(&app, &theo, &ann).await;
    let drawn = Drawn { kept, new: std::array::from_fn(|_| new_id(&app)) };
    drop((theo, ann));
    let mut database = app.stop();
    let copy = database.copy();
    let mut shown = Shown::default();
    let mut newest: Vec<String> = Vec::new();
    for number in 0..3 {
        if number > 0 {
            database.restore(&copy);
            let (done, said) = child::run(&database, &["epoch", "new"]);
            assert!(done.success() && said.contains("has begun"), "{said}");
        }
        let app = TestApp::on(database, clock(), |_| {}).await;
        let (theo, ann) = (again(&app, "Theo Brandt").await, again(&app, "Ann Lind").await);
        for tag in &newest {
            // What an app of another history has seen fits nothing here.
            ann.patch_entry(&drawn.kept, json!({ "tags": ["lost"] })).if_match(tag).send().await.expect(412);
        }
        history(number, (&theo, &ann), &drawn, &mut shown).await;
        newest.push(ann.entry(&drawn.kept).await.ok().etag());
        for tag in newest.iter().rev().skip(1) {
            ann.patch_entry(&drawn.kept, json!({ "tags": ["lost"] })).if_match(tag).send().await.expect(412);
        }
        drop((theo, ann));
        database = app.stop();
        if number > 0 {
            // The copy is older than what the keyring knows, and says so.
            database.restore(&copy);
            let (done, said) = child::run(&database, &["serve", "--listen", "127.0.0.1:0"]);
            assert!(!done.success() && said.contains("`afterglow epoch new`"), "{said}");
        }
    }
    let kinds: std::collections::BTreeSet<&str> = shown.0.keys().map(|(kind, ..)| kind.as_str()).collect();
    let all = [
        "assignment",
        "care_link",
        "comment",
        "entry",
        "exercise_response",
        "grant",
        "infusion",
        "pause",
        "prompt",
        "receipt",
        "settings",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
}

async fn renewed(app: &TestApp) -> i64 {
    renewal::renew(&app.server.state).await.unwrap().floor
}

async fn stored_number(app: &TestApp, name: &'static str) -> i64 {
    app.server.state.db.read(move |tx| values::number(tx, name)).await.unwrap()
}

#[actix_web::test]
async fn a_new_epoch_ends_what_was_begun_before_and_goes_on_above_it() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (kept, _) = live(&app, &theo, &ann).await;
    let mut phone = new_phone(&ann).await;
    let tag = ann.entry(&kept).await.ok().etag();
    let batch = |phone: &Phone| {
        let mutation = json!({ "mutation_id": new_id(&app), "patient_id": ann.patient, "kind": "entry", "id": kept,
            "base_version": phone.item("entry", &kept)["version"], "text": { "body": "Offline" } });
        json!({ "epoch": phone.epoch, "mutations": [mutation] })
    };
    let old = batch(&phone);
    let floor = renewed(&app).await;
    assert!(floor > 1024 * 86_400 * 365, "{floor}");
    assert_eq!(stored_number(&app, "version_floor").await, floor);

    // The device is told to log in, not to erase.
    ann.get("/v1/me").send().await.expect(401).refused("unauthenticated");
    theo.get("/v1/me").send().await.expect(401).refused("unauthenticated");
    let ann = again(&app, "Ann Lind").await;
    let refused = page(&ann, phone.cursor.as_deref(), 50).await.expect(410).refused("resync_required");
    assert_eq!(refused.body["reason"], "epoch");
    let mutations = ann.my("/mutations");
    let refused = ann.post(&mutations, old).send().await.expect(410).refused("resync_required");
    assert_eq!(refused.body["reason"], "epoch");
    assert_ne!(refused.text("/epoch"), phone.epoch);

    // Nothing has changed yet: what the phone holds is the same, and its versions are known.
    phone.epoch = refused.text("/epoch");
    let report = phone.compare(&ann).await;
    assert_eq!((report["differ"].clone(), report["missing"].clone()), (json!([]), json!([])), "{report}");
    (phone.cursor, phone.seq) = (None, 0);
    phone.pull(&ann, 200).await;
    assert!(phone.seq >= floor, "{}", phone.seq);
    let done = ann.post(&mutations, batch(&phone)).send().await.ok();
    assert_eq!(done.body["results"][0]["status"], "applied");
    assert_eq!(done.body["results"][0]["version"], floor + 1);
    ann.patch_entry(&kept, json!({ "tags": ["lost"] })).if_match(&tag).send().await.expect(412);
    let changed = ann.edits(&kept, json!({ "tags": ["lake"] })).await.ok();
    assert_eq!(changed.body["version"], floor + 2);
    let report = phone.compare(&ann).await;
    assert_eq!(report["differ"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(report["differ"][0]["state"], "behind");
    let items = phone.pull(&ann, 50).await;
    assert_eq!(items.len(), 1);
    let new = ann.writes(reflection("New")).await;
    assert_eq!(ann.entry(&new).await.ok().body["version"], floor + 1);
    // Its first version opens again, and it is known by what made it.
    ann.put_entry(&new, reflection("New")).send().await.ok();

    // Another one is above all of it.
    assert!(renewed(&app).await > floor + 2);
}

/// No kind of thing gives a version below the floor: the change row of each is refused.
#[actix_web::test]
async fn every_operation_works_in_a_later_epoch() {
    let app = TestApp::start().await;
    let floor = renewed(&app).await;
    let world = World::on(app).await;
    let mut asks: Vec<_> = askers().into_iter().collect();
    asks.sort_by_key(|(operation, _)| ["end_care_link", "log_out", "update_member"].contains(operation));
    for (operation, who) in asks {
        let mut ask = world.ask(operation, who).await;
        // The requests name the first two versions.
        ask.path = ask.path.replace("/revisions/1", &format!("/revisions/{}", floor + 1));
        ask.if_match = ask.if_match.map(|tag| tag.replace("\"v2\"", &format!("\"v{}\"", floor + 2)));
        let answer = ask.send(&world.app).await;
        assert!(answer.status.is_success(), "{operation} as {who}: {}", String::from_utf8_lossy(&answer.bytes));
    }
    afterglow::app::tick(&world.app.server.state, &MemoryChannel::default(), world.app.now()).await.unwrap();
    let ann = again(&world.app, "Ann Walker").await;
    // There is no version of an earlier epoch.
    let path = ann.my(&format!("/entries/{}/revisions/1", world.entry));
    ann.get(&path).send().await.not_found();
    for item in new_phone(&ann).await.things.into_values() {
        let (version, first) = (item["version"].as_i64().unwrap(), item["kind"] == "settings");
        assert!(version > floor || first && version == 1, "{item}");
    }
}

/// Versions are made in one place.
#[test]
fn no_version_is_counted_by_hand() {
    // What the server draws an id for, beside which no other was ever made.
    let drawn =
        ["changes/store/history.rs", "identity/actions.rs", "settings/store.rs", "db/unit.rs", "items/actions.rs"];
    let mut faults = Vec::new();
    for source in shipped().iter().filter(|source| !drawn.contains(&source.name.as_str())) {
        for sign in
            ["version == 1", "version + 1", "version += 1", "version: 1", "version.eq(1", "::Create, 1", ", 1, Op::"]
        {
            if source.code.contains(sign) && !source.name.starts_with("planning/") {
                faults.push(format!("src/{}: {sign}", source.name));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:?}: use Tx::version_after and Tx::first_version");
}

/// A new epoch finds versions and numbers by the names of their columns.
#[test]
fn every_column_of_versions_and_numbers_is_named_like_one() {
    let other = ["text_bytes", "comment_bytes", "version_floor", "generation", "missing", "last_step"];
    let schema = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/db/schema.rs")).unwrap();
    let columns: Vec<&str> = schema.lines().filter_map(|line| line.trim().strip_suffix(" -> BigInt,")).collect();
    assert!(columns.len() > 30, "{columns:?}");
    for name in columns {
        let number = ["version", "rev", "seq"].iter().any(|word| name == *word || name.ends_with(&format!("_{word}")));
        assert!(number != other.contains(&name), "{name}: see src/db/catalog.rs");
    }
}

/// Takes numbers back from the database, as a restore does that nobody has noticed.
fn put_back(app: &TestApp, ann: &Person, by: i64) {
    let mut sql = Sql::open(&app.database.backend);
    let id = sql.id(&ann.patient);
    sql.run(&format!(
        "DELETE FROM changes WHERE patient_id = {id} AND seq > (SELECT change_seq FROM patient_heads \
         WHERE patient_id = {id}) - {by}; \
         UPDATE patient_heads SET change_seq = change_seq - {by} WHERE patient_id = {id}"
    ));
}

async fn ready(app: &Arc<TestApp>) -> Answer {
    app.get("/readyz").send().await
}

#[actix_web::test]
async fn a_server_whose_data_a_phone_is_ahead_of_is_not_ready_until_a_new_epoch() {
    let app = TestApp::start_on_disk().await;
    let (_theo, ann) = two(&app).await;
    for n in 0..4 {
        ann.writes(reflection(&format!("No {n}"))).await;
    }
    let phone = new_phone(&ann).await;
    page(&ann, phone.cursor.as_deref(), 50).await.ok();
    ready(&app).await.ok();
    put_back(&app, &ann, 2);
    ready(&app).await.ok();
    let refused = page(&ann, phone.cursor.as_deref(), 50).await.expect(410);
    assert_eq!(refused.body["reason"], "ahead");
    let red = ready(&app).await.expect(503).refused("unavailable");
    assert!(red.text("/detail").starts_with("cursor_ahead") && red.headers.contains_key("retry-after"));
    // What others ask is answered.
    ann.writes(reflection("All the same")).await;

    let (ann, _theo) = (ann.absent(), _theo.absent());
    let app = app.restart().await;
    ready(&app).await.expect(503);
    let ann = ann.at(&app);
    renewed(&app).await;
    ready(&app).await.ok();
    ann.get("/v1/me").send().await.expect(401);
    let ann = again(&app, "Ann Lind").await;
    let refused = page(&ann, phone.cursor.as_deref(), 50).await.expect(410);
    assert_eq!(refused.body["reason"], "epoch");
    ready(&app).await.ok();
}

#[actix_web::test]
async fn data_that_are_older_than_their_anchor_are_served_only_in_a_new_epoch() {
    let app = TestApp::start_on_disk().await;
    let (_theo, ann) = two(&app).await;
    ann.writes(reflection("The lake")).await;
    let (config, channel) = (app.server.state.config.as_ref().clone(), MemoryChannel::default());
    let before = stored_number(&app, "anchored").await;
    app.wait(SignedDuration::from_mins(2));
    afterglow::app::tick(&app.server.state, &channel, app.now()).await.unwrap();
    let after = stored_number(&app, "anchored").await;
    assert!(after > before);
    assert_eq!(app.server.state.vault.data_anchor().await.unwrap().unwrap().count, after);
    drop((_theo, ann));
    let clock = app.clock.clone();
    let database = app.stop();
    let opened = async || Server::open(config.clone(), clock.clone(), Entropy::System).await;
    opened().await.unwrap().close();
    // As it was before it was anchored.
    Sql::open(&database.backend).run("DELETE FROM settings WHERE name = 'anchored'");
    let error = opened().await.unwrap_err();
    let afterglow::kernel::Error::Internal(said) = error else { panic!("{error:?}") };
    assert!(said.to_string().contains("`afterglow epoch new`"), "{said}");
    let earlier = Clock::manual(clock.now() - SignedDuration::from_hours(1));
    let refused = Server::renew(config.clone(), earlier, Entropy::System).await.unwrap_err();
    let afterglow::kernel::Error::Internal(said) = refused else { panic!("{refused:?}") };
    assert!(said.to_string().contains("the clock stands at"), "{said}");
    opened().await.unwrap_err();
    let first = Server::renew(config.clone(), clock.clone(), Entropy::System).await.unwrap();
    assert!(first.sessions >= 3, "{}", first.sessions);
    opened().await.unwrap().close();
    // The keyring knows the floor: data of before the epoch do not begin it again.
    Sql::open(&database.backend).run("DELETE FROM settings WHERE name IN ('anchored', 'version_floor')");
    opened().await.unwrap_err();
    let second = Server::renew(config.clone(), clock.clone(), Entropy::System).await.unwrap();
    assert!(second.floor > first.floor && second.epoch != first.epoch);
    opened().await.unwrap().close();
}

#[actix_web::test]
async fn the_command_begins_an_epoch_only_where_there_is_something() {
    let database = Database::fresh();
    let (done, said) = child::run(&database, &["epoch", "new"]);
    assert!(!done.success() && said.contains("holds no installation"), "{said}");
    assert!(!Path::new(&database.folder.path().join("data-keys")).exists());
    child::first_run_code(&database).await;
    let (done, said) = child::run(&database, &["epoch", "new"]);
    assert!(done.success() && said.contains("0 sessions have ended"), "{said}");
}

/// Nobody has stopped it, and it has given versions of its own.
#[actix_web::test]
async fn a_server_that_was_running_goes_on_above_the_floor_of_another_ones_epoch() {
    if !on_postgres() {
        return;
    }
    let app = TestApp::start_on_disk().await;
    let (_theo, ann) = two(&app).await;
    let kept = ann.writes(reflection("The lake")).await;
    let config = app.server.state.config.as_ref().clone();
    let renewed = Server::renew(config, app.clock.clone(), Entropy::System).await.unwrap();
    let ann = again(&app, "Ann Lind").await;
    let new = ann.writes(reflection("The hill")).await;
    assert_eq!(ann.entry(&new).await.ok().body["version"], renewed.floor + 1);
    assert_eq!(ann.edits(&kept, json!({ "tags": ["hill"] })).await.ok().body["version"], renewed.floor + 1);
    assert_eq!(new_phone(&ann).await.item("entry", &new)["seq"], renewed.floor + 1);
}

/// The data would seem to have gone back, and no server would start on them.
#[actix_web::test]
async fn servers_that_anchor_the_data_at_the_same_time_do_not_put_the_count_back() {
    if !on_postgres() {
        return;
    }
    let (app, anchoring) = (TestApp::start().await, renewal::DataAnchoring);
    anchoring.begin(&app.server.state, app.now()).await.unwrap();
    let others = stored_number(&app, "anchored").await + 5;
    let counts = format!("UPDATE settings SET value = decode('{others:016x}', 'hex') WHERE name = 'anchored'");
    beside(&app.database.backend, &counts, anchoring.begin(&app.server.state, app.now())).await.unwrap();
    assert_eq!(stored_number(&app, "anchored").await, others + 1);
}

#[actix_web::test]
async fn a_phone_that_is_ahead_of_an_epoch_that_just_ends_does_not_stop_the_next_one() {
    if !on_postgres() {
        return;
    }
    let app = TestApp::start().await;
    let (_theo, ann) = two(&app).await;
    for n in 0..4 {
        ann.writes(reflection(&format!("No {n}"))).await;
    }
    let phone = new_phone(&ann).await;
    put_back(&app, &ann, 2);
    let begins = "UPDATE settings SET value = decode(repeat('ab', 16), 'hex') WHERE name = 'epoch'";
    let asks = page(&ann, phone.cursor.as_deref(), 50);
    let refused = beside(&app.database.backend, begins, asks).await.expect(410);
    assert_eq!(refused.body["reason"], "ahead");
    ready(&app).await.ok();
}

#[actix_web::test]
async fn a_lost_phone_whose_session_is_ended_while_an_epoch_begins_is_told_to_erase_its_data() {
    if !on_postgres() {
        return;
    }
    let app = TestApp::start().await;
    let (_theo, ann) = two(&app).await;
    let ends =
        format!("UPDATE sessions SET revoked_at = created_at, revoked_cause = 1 WHERE account_id = '{}'", ann.account);
    beside(&app.database.backend, &ends, renewal::renew(&app.server.state)).await.unwrap();
    let others = format!("sessions WHERE account_id = '{}' AND revoked_cause <> 1", ann.account);
    assert_eq!(Tables::of(&app).count(&others), 0);
}
