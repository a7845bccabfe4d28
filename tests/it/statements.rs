//! A denial and an absence run the same statements: whoever could listen to the database would learn nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use afterglow::config::{Config, Registration};
use afterglow::db::Backend;
use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::json;

use crate::account_life::into_a_folder;
use crate::delivery::{World, minutes};
use crate::known_faults::{refuse, refuse_no_more};
use crate::strangers::{ids_of, telling};
use crate::support::accounts::disable;
use crate::support::app::{TestApp, document, new_id};
use crate::support::authenticator::with_passkey;
use crate::support::exercises::work;
use crate::support::journal::{reflection, two, with};
use crate::support::people::{Person, completed, registration};
use crate::support::protocols::{content, publishes};
use crate::support::sql::Sql;
use crate::support::world::move_to_another_clinic;

/// What ran, with its values, on each database that a test has asked about. Of the others nothing is kept, nor made into
/// text: tests share a process, and all of them have connections with ears.
static HEARD: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

/// What was prepared to be run again, on any database.
static PREPARED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// What a connection runs. A unit is heard as a whole, when it ends.
#[derive(Default)]
struct Ear {
    database: String,
    unit: Vec<String>,
}

impl Ear {
    fn hears(&mut self, text: String) {
        let plain = without_values(&text);
        let (begins, ends) = (plain.starts_with("BEGIN"), ["COMMIT", "ROLLBACK"].contains(&plain));
        let inside = begins || !self.unit.is_empty();
        self.unit.push(text);
        if !inside || ends {
            let unit = std::mem::take(&mut self.unit);
            if !unit.iter().any(|text| text.contains(OF_TIMERS))
                && let Some(heard) = HEARD.lock().unwrap().get_mut(&self.database)
            {
                heard.extend(unit);
            }
        }
    }
}

impl Instrumentation for Ear {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartEstablishConnection { url, .. } => self.database = name_of(url),
            InstrumentationEvent::StartQuery { query, .. } if HEARD.lock().unwrap().contains_key(&self.database) => {
                self.hears(query.to_string().trim().to_owned());
            }
            InstrumentationEvent::CacheQuery { sql, .. } => {
                PREPARED.lock().unwrap().insert(sql.trim().to_owned());
            }
            _ => {}
        }
    }
}

/// A statement without the values that diesel writes behind it.
fn without_values(text: &str) -> &str {
    text.split("-- binds").next().unwrap().trim()
}

/// A database without the settings of a connection to it.
fn name_of(url: &str) -> String {
    url.split('?').next().unwrap().to_owned()
}

/// What a server does by the clock of the machine falls into the middle of whatever a slow test asks for: after thirty
/// quiet seconds it reads these keys.
const OF_TIMERS: &str = "signing_keys";

/// What the threads of the database run by themselves, whatever is asked for: a connection is opened when its thread has
/// its first unit, and one carries signals to other processes, and is tried after five quiet seconds.
const OF_CONNECTIONS: [&str; 6] =
    ["PRAGMA ", "SET synchronous_commit", "LISTEN ", "SELECT pg_backend_pid", "SELECT pg_notify", "SELECT 1 -- binds"];

pub fn listen() {
    set_default_instrumentation(|| Some(Box::<Ear>::default())).unwrap();
}

/// The statements on the data of this app since it was last asked about, without those of the background.
pub fn heard(app: &TestApp) -> Vec<String> {
    let ran = heard_on(&[&app.database.backend]);
    ran.iter().map(|text| without_values(text).to_owned()).collect()
}

/// The statements on the data and on the keyring of this app since it was last asked about.
fn heard_everywhere(app: &TestApp) -> Vec<String> {
    heard_with_values(app).iter().map(|text| without_values(text).to_owned()).collect()
}

/// What [`heard_everywhere`] returns, each statement with its values.
pub fn heard_with_values(app: &TestApp) -> Vec<String> {
    let keyring = app.server.state.config.keyring.as_ref();
    heard_on(&[&app.database.backend, keyring.expect("the keyring of these tests is in memory")])
}

fn heard_on(backends: &[&Backend]) -> Vec<String> {
    let name = |backend: &&Backend| match backend {
        Backend::Sqlite(path) => name_of(path.to_str().unwrap()),
        Backend::Postgres(url) => name_of(url),
    };
    let mut all = HEARD.lock().unwrap();
    let heard = backends.iter().map(name).flat_map(|database| std::mem::take(all.entry(database).or_default()));
    heard.filter(|text| !OF_CONNECTIONS.iter().any(|begin| text.starts_with(begin))).collect()
}

/// Whether a statement only begins or ends a transaction or a part of one.
fn is_bracket(text: &str) -> bool {
    ["BEGIN", "COMMIT", "ROLLBACK"].iter().any(|word| text.starts_with(word)) || text.contains("SAVEPOINT")
}

async fn statements(app: &Arc<TestApp>, who: &Person, method: Method, path: &str) -> Vec<String> {
    heard(app);
    who.request(method, path).send().await.not_found();
    heard(app)
}

#[actix_web::test]
async fn a_denial_and_an_absence_run_the_same_statements() {
    listen();
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care"]).await;
    let una = app.staff(&admin, "Una Falk", &["care"]).await;
    let ann = app.patient(&theo, "Ann Lind").await;
    let bea = app.patient(&una, "Bea Roth").await;
    let entry = ann.writes(reflection("Lake")).await;
    let nobody = new_id(&app);
    // Once, so that what is remembered of the callers is remembered.
    bea.get(&ann.of_theirs("/entries")).send().await.not_found();
    theo.get(&ann.of_theirs("/entries")).send().await.ok();
    // The first refusal of an hour leaves a row, whatever was asked for.
    theo.get(&ann.of_theirs(&format!("/entries/{}", new_id(&app)))).send().await.not_found();

    // Another patient, and a patient that is not there.
    let denied = statements(&app, &bea, Method::GET, &ann.of_theirs("/entries")).await;
    let absent = statements(&app, &bea, Method::GET, &format!("/v1/patients/{nobody}/entries")).await;
    assert!(!denied.is_empty(), "nothing was heard");
    assert_eq!(denied, absent);

    // A linked therapist: an entry that is not theirs to see, and one that is not there.
    let denied = statements(&app, &theo, Method::GET, &ann.of_theirs(&format!("/entries/{entry}"))).await;
    let absent = statements(&app, &theo, Method::GET, &ann.of_theirs(&format!("/entries/{nobody}"))).await;
    assert!(!denied.is_empty(), "nothing was heard");
    assert_eq!(denied, absent);
    let denied = statements(&app, &theo, Method::POST, &ann.of_theirs(&format!("/entries/{entry}/opened"))).await;
    let absent = statements(&app, &theo, Method::POST, &ann.of_theirs(&format!("/entries/{nobody}/opened"))).await;
    assert_eq!(denied, absent);
    let units = denied.iter().filter(|text| text.contains("sessions")).count();
    assert_eq!(units, 1, "the trace of a refused change is left by the unit that refuses it: {denied:#?}");

    // The same of what was worked on, and of what another therapist asks for.
    let response = ann.works(work()).await;
    ann.linked_to(&una).await;
    let assignment = una.assigns(&ann, "values-sort").await;
    for (method, there, end) in [
        (Method::GET, format!("/exercise-responses/{response}"), ""),
        (Method::POST, format!("/exercise-responses/{response}"), "/opened"),
        (Method::GET, format!("/assignments/{assignment}"), ""),
    ] {
        let kind = there.rsplit_once('/').unwrap().0.to_owned();
        let denied = statements(&app, &theo, method.clone(), &ann.of_theirs(&format!("{there}{end}"))).await;
        let absent = statements(&app, &theo, method, &ann.of_theirs(&format!("{kind}/{nobody}{end}"))).await;
        assert!(!denied.is_empty(), "nothing was heard");
        assert_eq!(denied, absent, "{kind}{end}");
    }
}

/// The method and the path of every operation on something with an id.
fn operations_with_an_id() -> Vec<(Method, String)> {
    let methods = [Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE];
    let paths = document()["paths"].as_object().unwrap().iter().filter(|(path, _)| path.contains("_id}"));
    let operations = paths.flat_map(|(path, item)| {
        let has = |method: &&Method| item.get(method.as_str().to_lowercase()).is_some();
        methods.iter().filter(has).map(|method| (method.clone(), path.clone())).collect::<Vec<_>>()
    });
    operations.collect()
}

/// The names in a path.
fn named(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap())
}

fn until_tomorrow(app: &TestApp) -> String {
    (app.now() + SignedDuration::from_hours(24)).to_string()
}

#[actix_web::test]
async fn every_operation_runs_the_same_statements_for_what_is_denied_and_for_what_is_not_there() {
    listen();
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care"]).await;
    let ann = app.patient(&theo, "Ann Lind").await;
    let bea = app.patient(&theo, "Bea Roth").await;
    let una = app.staff(&admin, "Una Falk", &["care"]).await;
    move_to_another_clinic(&app, &una).await;
    let infusion = theo.records(&ann, app.now()).await;
    let pause = new_id(&app);
    let until = json!({ "until": until_tomorrow(&app) });
    ann.put(&ann.my(&format!("/pauses/{pause}")), until).send().await.created();
    let device = new_id(&app);
    let phone = crate::support::requests::devices::phone("a-token");
    ann.put(&ann.my(&format!("/devices/{device}")), phone).send().await.created();
    let grant = new_id(&app);
    let rule = json!({ "rule": { "kind": "reflection" }, "sections": ["text"], "reader": { "type": "care_team" } });
    ann.put(&ann.my(&format!("/grants/{grant}")), rule).send().await.created();
    let code = theo.post("/v1/invitations", json!({ "kind": "patient" })).send().await.created();
    let link = ann.care_links().await[0].clone();
    let protocol = publishes(&admin, link["clinic_id"].as_str().unwrap(), content("Ours")).await;
    let clinic = link["clinic_id"].as_str().unwrap().to_owned();
    let vera = app.staff(&admin, "Vera Nau", &["care"]).await;
    let cover = new_id(&app);
    let away = json!({ "colleague_id": vera.account, "ends_at": until_tomorrow(&app) });
    theo.put(&format!("/v1/clinics/{clinic}/covers/{cover}"), away).send().await.created();
    let reason = json!({ "reason": "Nobody has heard of her since noon." });
    let emergency = vera.post(&ann.of_theirs("/break-glass"), reason).send().await.ok().text("/id");
    let session = ann.get("/v1/me/sessions").send().await.ok().items()[0]["id"].as_str().unwrap().to_owned();
    let there = [
        ("session_id", session),
        ("cover_id", cover),
        ("emergency_id", emergency),
        ("patient_id", ann.patient.clone()),
        ("entry_id", ann.writes(reflection("Lake")).await),
        ("response_id", ann.works(work()).await),
        ("infusion_id", infusion),
        ("pause_id", pause),
        ("device_id", device),
        ("passkey_id", with_passkey(&ann).await.1),
        ("delivery_id", new_id(&app)),
        ("grant_id", grant),
        ("prompt_id", ann.prompts().await[0]["id"].as_str().unwrap().to_owned()),
        ("assignment_id", theo.assigns(&ann, "values-sort").await),
        ("link_id", link["id"].as_str().unwrap().to_owned()),
        ("invitation_id", code.text("/id")),
        ("clinic_id", clinic),
        ("account_id", theo.account.clone()),
        ("protocol_id", protocol),
        ("comment_id", new_id(&app)),
        ("reader_id", una.account.clone()),
        ("revision", "1".to_owned()),
        ("key", "sharing".to_owned()),
    ];
    let nobody = new_id(&app);
    let filled = |path: &str, of: &dyn Fn(&str) -> String| {
        named(path).fold(path.to_owned(), |filled, name| filled.replace(&format!("{{{name}}}"), &of(name)))
    };
    let known = |name: &str| there.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    let absent = |name: &str| if ["revision", "key"].contains(&name) { known(name) } else { nobody.clone() };
    let mut compared = 0;
    for (method, path) in operations_with_an_id() {
        // A patient asks for their own things by the ids of another's; staff ask for a patient of another clinic.
        for (who, own) in [(&bea, false), (&bea, true), (&una, false)] {
            if own && !path.contains("{patient_id}") {
                continue;
            }
            let path = if own { path.replace("{patient_id}", "me") } else { path.clone() };
            let ask = async |path: &str| {
                heard_with_values(&app);
                let answer = who.request(method.clone(), path).json(json!({})).send().await;
                (answer.status.as_u16(), heard_with_values(&app))
            };
            let (denied, missing) = (filled(&path, &known), filled(&path, &absent));
            // Once, so that what is remembered of the caller is remembered.
            ask(&missing).await;
            let (denied, missing) = (ask(&denied).await, ask(&missing).await);
            if missing.0 < 400 {
                continue;
            }
            compared += 1;
            let said = format!("{method} {path} by {}", who.name);
            // The same statements may still read a row more. A reader is looked for among the patient's own links.
            let asked = named(&path).filter(|name| !["reader_id", "revision", "key"].contains(name));
            let asked: Vec<String> = asked.map(known).collect();
            let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
            let found = telling(&denied.1, &asked, &ids_of(who));
            assert!(found.is_empty(), "{said}: {found:#?}");
            let plain = |(status, ran): (u16, Vec<String>)| {
                (status, ran.iter().map(|text| without_values(text).to_owned()).collect::<Vec<_>>())
            };
            assert_eq!(plain(denied), plain(missing), "{said}");
        }
    }
    assert!(compared > 100, "{compared}");
}

#[actix_web::test]
async fn nothing_is_fetched_for_those_whom_no_door_lets_in() {
    listen();
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care"]).await;
    let ann = app.patient(&theo, "Ann Lind").await;
    let bea = app.patient(&theo, "Bea Roth").await;
    let una = app.staff(&admin, "Una Falk", &["care"]).await;
    move_to_another_clinic(&app, &una).await;
    let link = ann.care_links().await[0]["id"].as_str().unwrap().to_owned();
    let (entry, nobody) = (ann.writes(reflection("Lake")).await, new_id(&app));
    // Once, so that what is remembered of the callers is remembered.
    for who in [&bea, &una] {
        who.get("/v1/me").send().await.ok();
        who.get(&format!("/v1/patients/{}/window", new_id(&app))).send().await.not_found();
    }
    let mut compared = 0;
    for (method, there, absent) in [
        (Method::GET, ann.of_theirs("/window"), format!("/v1/patients/{nobody}/window")),
        (Method::GET, ann.of_theirs(&format!("/entries/{entry}")), format!("/v1/patients/{nobody}/entries/{entry}")),
        (Method::GET, ann.of_theirs("/entries"), format!("/v1/patients/{nobody}/entries")),
        (Method::DELETE, format!("/v1/care-links/{link}"), format!("/v1/care-links/{nobody}")),
    ] {
        for who in [&bea, &una] {
            // What is asked for has been looked up before, or never.
            for _ in 0..2 {
                heard_everywhere(&app);
                who.request(method.clone(), &there).send().await.not_found();
                let denied = heard_everywhere(&app);
                who.request(method.clone(), &absent).send().await.not_found();
                assert_eq!(denied, heard_everywhere(&app), "{method} {there} by {}", who.name);
                let keyring = denied.iter().filter(|text| text.contains("wrapped_keys")).count();
                assert_eq!(keyring, 0, "keys were fetched: {denied:#?}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 16);

    // The look-up goes out from the caller: how many links the patient has makes no difference to it.
    heard(&app);
    una.get(&ann.of_theirs("/window")).send().await.not_found();
    let plain = |text: &String| text.replace(['`', '"'], "");
    let ran = heard(&app);
    let of = |text: &&String| plain(text).contains("staff_members LEFT OUTER JOIN care_links");
    let found: Vec<&String> = ran.iter().filter(of).collect();
    let [look] = found.as_slice() else { panic!("{ran:#?}") };
    let plan = plan_of(&mut Sql::open(&app.database.backend), look);
    assert!(plan.contains("care_links_clinic") && !plan.contains("care_links_patient"), "{plan}");
}

#[actix_web::test]
async fn a_log_in_of_an_unknown_address_runs_and_writes_what_a_wrong_passphrase_does() {
    listen();
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let known = ann.get("/v1/me").send().await.ok().text("/email");
    let guess = async |email: &str| {
        heard_everywhere(&app);
        let body = json!({ "email": email, "passphrase": "a loud river at noon" });
        app.post("/v1/auth/login", body).send().await.expect(401).refused("credentials_wrong");
        heard_everywhere(&app)
    };
    // The account's keys are in the cache or not, the count of failures is there or not: it makes no difference.
    for _ in 0..3 {
        let (wrong, unknown) = (guess(&known).await, guess("nobody@example.org").await);
        assert!(wrong.iter().any(|text| text.contains("wrapped_keys")), "{wrong:#?}");
        assert!(wrong.iter().any(|text| text.replace(['`', '"'], "").contains("UPDATE log_in_failures")), "{wrong:#?}");
        assert_eq!(wrong, unknown);
    }
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        n: i64,
    }
    let query = "SELECT count(*) AS n FROM log_in_failures WHERE failures = 3";
    let counted = Sql::open(&app.database.backend).rows::<Count>(query)[0].n;
    assert_eq!(counted, 4, "the same rows for both: of the account, and of the account and the network");
}

/// Opens the registration, which sends letters.
fn open(config: &mut Config) {
    into_a_folder(config);
    config.registration = Registration::Open;
}

#[actix_web::test]
async fn s7_a_code_a_registration_and_an_invitation_run_the_same_statements_whoever_has_the_address() {
    listen();
    let app = TestApp::start_with(open).await;
    let (theo, _) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    disable(&app, ben.account.parse().unwrap()).await;
    let asks = async |act: &str, name: &str| {
        let mut form = registration(name, "0000-0000-0000-0000");
        let email = form["email"].clone();
        heard_everywhere(&app);
        match act {
            "has forgotten" => {
                app.post("/v1/auth/passphrase-reset", json!({ "email": email })).send().await.expect(202);
            }
            "guesses a code" => {
                form.as_object_mut().unwrap().remove("code");
                form["email_code"] = json!("0000-0000-0000-0000");
                app.post("/v1/auth/register", form).send().await.expect(422).refused("code_invalid");
            }
            "has no code" => {
                form.as_object_mut().unwrap().remove("code");
                app.post("/v1/auth/register", form).send().await.expect(202);
            }
            _ => {
                let wish = json!({ "kind": "patient", "email": email });
                theo.post("/v1/invitations", wish).send().await.created();
            }
        }
        heard_everywhere(&app)
    };
    for act in ["has forgotten", "guesses a code", "has no code", "is invited"] {
        // Once, so that what is remembered is remembered.
        asks(act, "Eva Nord").await;
        let unknown = asks(act, "Dan Ives").await;
        assert!(!unknown.is_empty(), "nothing was heard");
        for name in ["Ann Lind", "Ben Roth"] {
            assert_eq!(asks(act, name).await, unknown, "{name} {act}");
        }
    }
}

#[actix_web::test]
async fn where_registration_is_open_a_good_invitation_runs_the_same_for_every_address() {
    listen();
    let app = TestApp::start_with(open).await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care"]).await;
    app.patient(&theo, "Ann Lind").await;
    let bea = app.patient(&theo, "Bea Roth").await;
    disable(&app, bea.account.parse().unwrap()).await;
    for code in [theo.code_for_patient().await, admin.code_for_staff(&["record"]).await] {
        let ask = async |name: &str| {
            heard_everywhere(&app);
            app.post("/v1/auth/register", registration(name, &code)).send().await.expect(202);
            heard_everywhere(&app)
        };
        // Once, so that what is remembered is remembered.
        ask("Dan Ives").await;
        let (known, unknown, disabled) = (ask("Ann Lind").await, ask("Cleo Hart").await, ask("Bea Roth").await);
        let plain = |text: &String| text.replace(['`', '"'], "");
        assert!(unknown.iter().any(|text| plain(text).contains("INSERT INTO letters")), "{unknown:#?}");
        assert_eq!(known, unknown);
        assert_eq!(disabled, unknown);
    }
}

#[actix_web::test]
async fn a_batch_of_prompts_takes_six_statements_however_many_they_are() {
    listen();
    let world = World::new().await;
    world.work().await;
    for _ in 0..40 {
        world.plant(minutes(5)).await;
    }
    // The heads of the audit chains are anchored in a round before.
    world.app.wait(minutes(1));
    let state = &world.app.server.state;
    afterglow::app::tick(state, &afterglow::delivery::LogChannel, world.app.now()).await.unwrap();
    world.app.wait(minutes(4));
    // What clinics have published is looked at once in five seconds, whatever is due.
    afterglow::protocols::library::refresh(state, world.app.now()).await.unwrap();
    heard(&world.app);
    let done = afterglow::app::tick(state, &afterglow::delivery::LogChannel, world.app.now()).await.unwrap();
    assert_eq!((done.due, done.sent), (40, 40));
    let mut all = heard(&world.app);
    all.retain(|text| !is_bracket(text));
    let whole = all.len();
    all.sort_unstable();
    all.dedup();
    // One more looks what there is to do. On SQLite, where a statement is a call and no journey, rows are marked and
    // inserted one by one, and every statement stays prepared.
    match &world.app.database.backend {
        Backend::Postgres(_) => assert!(whole <= 6 + 1, "{whole}: {all:#?}"),
        Backend::Sqlite(_) => {
            assert!(all.len() <= 9 + 1, "{all:#?}");
            let prepared = PREPARED.lock().unwrap().clone();
            all.retain(|text| !prepared.contains(text));
            assert!(all.is_empty(), "prepared anew: {all:#?}");
        }
    }
}

/// How often a plan was made since it was last asked: each ends with a note of when the next is due.
fn plans_made(app: &TestApp) -> usize {
    heard(app).iter().filter(|text| text.contains("plan_version") && text.contains("next_plan_at")).count()
}

#[actix_web::test]
async fn a_unit_that_answers_a_prompt_makes_one_plan() {
    listen();
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - SignedDuration::from_hours(1)).await;
    let waiting = ann.prompts().await.into_iter().filter(|prompt| prompt["state"] == "planned");
    let ids: Vec<String> = waiting.map(|prompt| prompt["id"].as_str().unwrap().to_owned()).collect();
    let answering = |id: &str| json!({ "prompt_id": id, "occurred_at": app.now().to_string() });
    heard(&app);
    ann.writes(with(reflection("Lake"), answering(&ids[0]))).await;
    assert_eq!(plans_made(&app), 1, "an entry");
    ann.works(with(work(), answering(&ids[1]))).await;
    assert_eq!(plans_made(&app), 1, "a response");
    ann.post(&ann.my(&format!("/prompts/{}/complete", ids[2])), json!({})).send().await.ok();
    assert_eq!(plans_made(&app), 1, "the prompt itself");
    // Done again, it is done already: no plan, and no reading of the prompt a second time.
    ann.post(&ann.my(&format!("/prompts/{}/complete", ids[2])), json!({})).send().await.ok();
    let again = heard(&app);
    let reads = again.iter().filter(|text| text.replace(['`', '"'], "").starts_with("SELECT prompts.id, prompts.doc"));
    assert_eq!((reads.count(), again.iter().any(|text| text.contains("plan_version"))), (1, false), "{again:#?}");
}

#[actix_web::test]
async fn an_entry_that_a_rule_opens_makes_no_plan_unless_it_is_the_first() {
    listen();
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let rule = json!({ "rule": { "kind": "reflection" }, "sections": ["text"], "reader": { "type": "care_team" } });
    ann.put(&ann.my(&format!("/grants/{}", new_id(&app))), rule).send().await.created();
    heard(&app);
    ann.writes(reflection("Lake")).await;
    assert_eq!(plans_made(&app), 1, "there is an entry now");
    ann.writes(reflection("River")).await;
    assert_eq!(plans_made(&app), 0, "there was one, and nothing is unshared");
    ann.writes(with(reflection("Sea"), json!({ "kind": "dream" }))).await;
    assert_eq!(plans_made(&app), 1, "nobody else may read it");
}

#[actix_web::test]
async fn an_entry_makes_a_plan_only_if_the_last_one_knew_none_that_nobody_else_may_read() {
    listen();
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let mut entries = Vec::new();
    heard(&app);
    for (text, plans) in [("Lake", 1), ("River", 0)] {
        entries.push(ann.writes(reflection(text)).await);
        assert_eq!(plans_made(&app), plans, "{text}");
    }
    for entry in entries {
        ann.delete(&ann.my(&format!("/entries/{entry}"))).send().await.no_content();
    }
    heard(&app);
    let sea = ann.writes(reflection("Sea")).await;
    assert_eq!(plans_made(&app), 1, "the others were deleted");
    ann.opens(&sea, &["text"], &theo).await;
    heard(&app);
    ann.writes(reflection("Well")).await;
    assert_eq!(plans_made(&app), 1, "the other one is shared");
    ann.writes(reflection("Rain")).await;
    let ran = heard(&app);
    assert!(!ran.iter().any(|text| text.contains("awaits_activity")), "the plan is not even asked: {ran:#?}");
}

/// Which entries plans have looked through for one that nobody else may read, since it was last asked: all of them, or
/// those that have changed since the plan before.
fn looked_through(app: &TestApp) -> Vec<&'static str> {
    let ran: Vec<String> = heard(app).into_iter().map(|text| text.replace(['`', '"'], "")).collect();
    let looks = ran.iter().filter(|text| text.contains("NOT (EXISTS (SELECT grant_items"));
    looks.map(|text| if text.contains("entries.id = changes.entity_id") { "changed" } else { "all" }).collect()
}

#[actix_web::test]
async fn a_plan_of_a_patient_who_shares_all_looks_through_all_entries_only_after_a_change_of_a_grant() {
    listen();
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    for text in ["Lake", "River"] {
        ann.writes(reflection(text)).await;
    }
    let pauses = async || {
        let pause = ann.my(&format!("/pauses/{}", new_id(&app)));
        ann.put(&pause, json!({ "until": until_tomorrow(&app) })).send().await.created();
    };
    heard(&app);
    pauses().await;
    assert!(looked_through(&app).is_empty(), "the newest entry is not shared: that is enough");
    let rule = json!({ "rule": { "kind": "reflection" }, "sections": ["text"], "reader": { "type": "care_team" } });
    let rules = [new_id(&app), new_id(&app)];
    for id in &rules {
        ann.put_grant(id, rule.clone()).send().await.created();
        assert_eq!(looked_through(&app), ["all"]);
    }
    pauses().await;
    assert_eq!(looked_through(&app), ["changed"]);
    ann.writes(reflection("Sea")).await;
    pauses().await;
    assert_eq!(looked_through(&app), ["changed"], "also with another one that is shared");
    ann.revokes(&rules[0]).await;
    assert_eq!(looked_through(&app), ["all"]);
    pauses().await;
    assert_eq!(looked_through(&app), ["changed"], "the other rule opens the same");
}

#[actix_web::test]
async fn what_most_requests_run_stays_prepared() {
    listen();
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    // The first entries change the plan.
    for _ in 0..3 {
        ann.writes(reflection("Lake")).await;
    }
    let entry = ann.writes(reflection("River")).await;
    heard(&app);
    ann.put_entry(&new_id(&app), reflection("Sea")).key("make").send().await.created();
    ann.get(&ann.my("/entries")).send().await.ok();
    let tag = ann.entry(&entry).await.ok().etag();
    ann.put_entry(&entry, reflection("Shore")).if_match(&tag).key("replace").send().await.ok();
    theo.get(&ann.of_theirs("/window")).send().await.ok();
    let mut ran = heard(&app);
    // On SQLite a list of values has a text for each length, which is not kept.
    ran.retain(|text| !is_bracket(text) && !text.contains(" IN ("));
    assert!(ran.iter().any(|text| text.contains("audit_log")), "{ran:#?}");
    let prepared = PREPARED.lock().unwrap().clone();
    ran.retain(|text| !prepared.contains(text));
    assert!(ran.is_empty(), "prepared anew: {ran:#?}");
}

#[actix_web::test]
async fn a_phone_that_names_many_unknown_entries_has_their_look_up_prepared_once() {
    listen();
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let named = |_| json!({ "kind": "entry", "id": new_id(&app), "version": 1 });
    let have: Vec<_> = (0..400).map(named).collect();
    heard(&app);
    ann.post(&ann.my("/integrity"), json!({ "epoch": "of another age", "have": have })).send().await.ok();
    let mut ran = heard(&app);
    ran.retain(|text| text.replace(['`', '"'], "").contains("GROUP BY changes.entity_id"));
    assert_eq!(ran.len(), 2, "{ran:#?}");
    let prepared = PREPARED.lock().unwrap().clone();
    assert!(ran.iter().all(|text| prepared.contains(text)), "prepared anew: {ran:#?}");
}

#[actix_web::test]
async fn a_new_entry_writes_its_replay_record_once_and_takes_few_statements() {
    listen();
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    // The first entries change the plan.
    for _ in 0..3 {
        ann.writes(reflection("Lake")).await;
    }
    let ran = || {
        let mut all = heard(&app);
        // One of 256 keys pays for the others: it looks for old records, newest first.
        let is_cleared = |text: &str| text.contains("idempotency_records") && text.contains("DESC");
        all.retain(|text| !is_bracket(text) && !is_cleared(text));
        (all.iter().filter(|text| text.contains("idempotency_records")).count(), all)
    };
    let id = new_id(&app);
    ran();
    let made = ann.put_entry(&id, reflection("River")).key("make").send().await.created();
    let (records, all) = ran();
    assert_eq!(records, 1, "{all:#?}");
    // Ann has had no infusion: none is looked up for the context.
    assert!(!all.iter().any(|text| text.replace(['`', '"'], "").contains("FROM infusions")), "{all:#?}");
    // The session, the record, the entry, the course around it. On SQLite the entry takes four: the head twice, its own
    // row, the change. That Ann has made no rule of sharing, and that her plan awaits no entry, stands in the head.
    let most = match &app.database.backend {
        Backend::Postgres(_) => 4,
        Backend::Sqlite(_) => 7,
    };
    assert!(all.len() <= most, "{all:#?}");

    // What replaces an entry makes nothing: its record is put right.
    let replace = || ann.put_entry(&id, reflection("Sea")).if_match(&made.etag()).key("replace").send();
    let replaced = replace().await.ok();
    let (records, all) = ran();
    assert_eq!(records, 2, "{all:#?}");
    let again = ann.put_entry(&id, reflection("River")).key("make").send().await.created();
    assert_eq!(again.body, replaced.body, "what is there now");
    assert_eq!(replace().await.ok().body, replaced.body);
}

#[actix_web::test]
async fn a_round_that_finds_nothing_due_is_one_statement() {
    listen();
    let world = World::new().await;
    world.work().await;
    heard(&world.app);
    let state = &world.app.server.state;
    afterglow::app::tick(state, &afterglow::delivery::LogChannel, world.app.now()).await.unwrap();
    let mut all = heard(&world.app);
    all.retain(|text| !is_bracket(text));
    assert_eq!(all.len(), 1, "{all:#?}");
}

#[actix_web::test]
async fn a_readers_list_is_walked_through_along_an_index() {
    listen();
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    ann.opens(&entry, &["text"], &theo).await;
    heard(&app);
    assert_eq!(theo.finds(&ann).await, [entry]);
    let ran = heard(&app);
    let walks: Vec<&String> =
        ran.iter().filter(|text| text.contains("ORDER BY") && text.contains("grant_items")).collect();
    let [walk] = walks.as_slice() else { panic!("{ran:#?}") };
    let plan = plan_of(&mut Sql::open(&app.database.backend), walk);
    assert!(plan.contains("grant_items_list"), "{plan}");
    assert!(!plan.contains("B-TREE") && !plan.contains("Sort"), "{plan}");
}

#[actix_web::test]
async fn of_a_long_history_an_answer_reads_the_infusions_that_matter_to_it() {
    listen();
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let mut oldest = String::new();
    for n in 1..=12 {
        oldest = theo.records(&ann, app.now() - SignedDuration::from_hours(96 * n)).await;
    }
    // The first answer reads all of them.
    ann.writes(reflection("Lake")).await;
    heard(&app);
    let entry = ann.writes(reflection("River")).await;
    ann.get(&ann.my("/entries")).send().await.ok();
    ann.entry(&entry).await.ok();
    ann.get(&ann.my("/window")).send().await.ok();
    theo.get(&ann.of_theirs("/window/clinical")).send().await.ok();
    let plain = |text: &str| text.replace(['`', '"'], "");
    let around = |text: &String| plain(text).contains("FROM infusions") && text.contains("UNION ALL");
    let read: Vec<String> = heard(&app).into_iter().filter(around).collect();
    assert_eq!(read.len(), 5, "one each: {read:#?}");
    for text in &read {
        let by_id = ["infusions.id IN (", "infusions.id = ANY("].iter().any(|by| plain(text).contains(by));
        assert!(by_id, "all were read: {text}");
    }
    if let Backend::Sqlite(_) = &app.database.backend {
        let plan = plan_of(&mut Sql::open(&app.database.backend), &read[0]);
        assert!(plan.contains("changes_infusions") && !plan.contains("SCAN changes"), "{plan}");
    }

    // One that did not matter is moved: now it does.
    let path = ann.of_theirs(&format!("/infusions/{oldest}"));
    let tag = theo.get(&path).send().await.ok().etag();
    let moved = completed(app.now() - SignedDuration::from_hours(2));
    let moved = json!({ "started_at": moved["started_at"], "ended_at": moved["ended_at"] });
    theo.patch(&path, moved).if_match(&tag).send().await.ok();
    assert_eq!(ann.entry(&entry).await.ok().body["context"]["infusion_id"], oldest.as_str());
    assert_eq!(ann.get(&ann.my("/window")).send().await.ok().body["day"], 0);
}

/// A patient may have many grants, items in them, and changes. To look through all of them for each entry that they write
/// held up the one writer of SQLite for everybody else.
#[actix_web::test]
async fn an_entry_that_falls_under_rules_of_sharing_looks_through_no_set_of_the_patient() {
    listen();
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    for _ in 0..2 {
        let rule = json!({ "rule": { "kind": "reflection" }, "sections": ["text"], "reader": { "type": "care_team" },
            "visible_at_once": true });
        ann.put(&ann.my(&format!("/grants/{}", new_id(&app))), rule).send().await.created();
    }
    for text in ["Lake", "River", "Sea"] {
        ann.writes(reflection(text)).await;
    }
    heard(&app);
    ann.writes(reflection("Well")).await;
    ann.put(&ann.my(&format!("/pauses/{}", new_id(&app))), json!({ "until": until_tomorrow(&app) }))
        .send()
        .await
        .created();
    let ran: Vec<String> = heard(&app).into_iter().map(|text| text.replace(['`', '"'], "")).collect();
    let about = |what: &str| ran.iter().filter(|text| text.contains(what)).collect::<Vec<_>>();
    let (facts, revoked) = (about("NOT (EXISTS (SELECT grant_items"), about("changes.entity = 4"));
    assert!(facts.len() == 1 && revoked.len() == 1, "a plan, and one look for revocations for both rules: {ran:#?}");
    // The plan before knew that everything was shared.
    assert!(facts[0].contains("entries.id = changes.entity_id"), "it looks through all entries: {}", facts[0]);
    if let Backend::Sqlite(_) = &app.database.backend {
        let mut sql = Sql::open(&app.database.backend);
        let plan = plan_of(&mut sql, facts[0]);
        let of = |table: &str| plan.lines().filter(|step| step.contains(table)).collect::<Vec<_>>();
        assert!(of(" entries ").iter().all(|step| step.contains("AND id=?")), "{plan}");
        assert!(of(" changes ").iter().all(|step| step.contains("AND seq>?")), "{plan}");
        for text in about("grant_items").into_iter().filter(|text| text.starts_with("SELECT")) {
            let plan = plan_of(&mut sql, text);
            assert!(!plan.lines().any(|step| step.contains("grant_items") && !step.contains("item_id=?")), "{plan}");
        }
        assert!(plan_of(&mut sql, revoked[0]).contains("changes_grants"));
    }
}

#[actix_web::test]
async fn what_a_therapists_list_opened_is_kept_only_if_its_unit_is_stored() {
    listen();
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let records = async |hours| drop(theo.records(&ann, app.now() - SignedDuration::from_hours(hours)).await);
    records(288).await;
    let entry = ann.writes(reflection("Lake")).await;
    ann.opens(&entry, &["text"], &theo).await;
    // Whether an answer to Ann reads all infusions: what is kept is not of use to it.
    let reads_all = async || {
        heard(&app);
        ann.entry(&entry).await.ok();
        let plain = |text: &String| text.replace(['`', '"'], "");
        let around: Vec<String> =
            heard(&app).iter().map(plain).filter(|text| text.contains("FROM infusions")).collect();
        let by_id = |text: &String| ["infusions.id IN (", "infusions.id = ANY("].iter().any(|by| text.contains(by));
        assert!(!around.is_empty());
        !around.iter().all(by_id)
    };
    // A new infusion: what is kept is old. The list opens it, but the row in Ann's log cannot be written.
    records(192).await;
    refuse(&app, ("INSERT", "audit_log"), "no");
    assert!(!theo.reads(&ann, "/entries").await.status.is_success());
    refuse_no_more(&app);
    assert!(reads_all().await, "what was undone was kept");

    records(96).await;
    assert_eq!(theo.finds(&ann).await, std::slice::from_ref(&entry));
    assert!(!reads_all().await, "what is stored is kept");
}

/// The plan of a statement that is prepared, whatever its values are.
fn plan_of(sql: &mut Sql, statement: &str) -> String {
    use diesel::RunQueryDsl as _;
    use diesel::connection::SimpleConnection as _;
    use diesel::sql_types::Text;
    #[derive(diesel::QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }
    #[derive(diesel::QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
        line: String,
    }
    match sql {
        Sql::Sqlite(conn) => {
            let steps: Vec<Step> = diesel::sql_query(format!("EXPLAIN QUERY PLAN {statement}")).load(conn).unwrap();
            steps.into_iter().map(|step| format!("{}\n", step.detail)).collect()
        }
        Sql::Postgres(conn) => {
            let values = (1..).take_while(|n| statement.contains(&format!("${n}"))).map(|_| "NULL");
            let values = values.collect::<Vec<_>>().join(", ");
            // A table of a test is so small that nobody needs its index.
            conn.batch_execute(&format!(
                "SET enable_seqscan = off; SET enable_sort = off; SET plan_cache_mode = force_generic_plan; \
                 PREPARE walk AS {statement}"
            ))
            .unwrap();
            let lines: Vec<Line> = diesel::sql_query(format!("EXPLAIN EXECUTE walk({values})")).load(conn).unwrap();
            lines.into_iter().map(|line| format!("{}\n", line.line)).collect()
        }
    }
}
