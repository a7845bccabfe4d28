//! The sets that grow with use: each is limited or counts to a quota, and a full one refuses by name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use afterglow::care::grants::store::GrantKey;
use afterglow::db::schema::grants;
use afterglow::db::{At, Backend};
use afterglow::kernel::Id;
use afterglow::kernel::id::{Grant, Patient};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::account_life::{ANN, Scene};
use crate::support::app::{Answer, Call, TestApp, new_id};
use crate::support::journal::{grant, reflection, two, with};
use crate::support::people::{Clinic, PASSPHRASE, Person, completed};
use crate::support::protocols::clinic_of;
use crate::support::sql::{Sql, at_once};
use crate::support::world::away;
use crate::tasks::settled;

/// What keeps a table small.
enum Bound {
    /// Limits of `GET /v1/meta`.
    Limits(&'static [&'static str]),
    /// Its sealed bytes count to the quota of this name, too, beside limits of its parts.
    Quota(&'static str, &'static [&'static str]),
    /// It does not grow by what a person does, or not without bounds.
    Reason(&'static str),
}
use Bound::{Limits, Quota, Reason};

const BOUNDS: &[(&str, Bound)] = &[
    ("settings", Reason("a value of the server's for each name")),
    ("accounts", Reason("one for each invitation that is used")),
    ("account_heads", Reason("one for each account")),
    ("log_in_failures", Reason("six for each address that was tried within a day, under the rate limit")),
    ("letters", Reason("a few for each address in an hour; each goes a month after it has left")),
    ("owner_notices", Reason("one of each kind for each account")),
    ("address_proofs", Reason("five for each address and purpose in an hour; each goes a day after it has expired")),
    ("second_factors", Reason("one for each account")),
    ("passkeys", Limits(&["passkeys"])),
    (
        "passkey_ceremonies",
        Reason("one for each challenge that a known passkey answered; each goes a day after it is over"),
    ),
    ("sessions", Limits(&["sessions"])),
    ("refresh_tokens", Reason("one for each refresh; they go with their session")),
    ("clinics", Reason("made by the operator")),
    ("protocols", Limits(&["protocol_versions"])),
    ("clinic_plans", Reason("one for each clinic")),
    ("staff_members", Limits(&["clinic_members"])),
    ("invitations", Limits(&["invitations"])),
    ("staff_resets", Reason("one for each member of staff, the newest")),
    ("patients", Reason("one for each account")),
    ("patient_heads", Reason("one for each patient")),
    ("patient_settings", Limits(&["zone_changes"])),
    ("calendars", Reason("one for each patient")),
    ("devices", Quota("text_bytes_of_patient", &["devices"])),
    ("consents", Limits(&["consents"])),
    ("care_links", Limits(&["live_care_links"])),
    ("transfers", Reason("one for each care link")),
    ("covers", Limits(&["covers"])),
    ("team_grants", Limits(&["live_grants"])),
    ("emergencies", Limits(&["emergencies"])),
    ("grants", Quota("text_bytes_of_patient", &["live_grants", "grants_by_rule"])),
    ("grant_readers", Limits(&["live_grants", "live_care_links"])),
    ("grant_items", Limits(&["live_grants", "grants_by_rule", "past_entries_of_rule"])),
    ("infusions", Limits(&["infusions"])),
    ("pauses", Quota("text_bytes_of_patient", &["pauses"])),
    ("prompts", Reason("as many as the plan makes of the infusions, which are limited")),
    ("deliveries", Reason("a few for each prompt")),
    ("entries", Quota("text_bytes_of_patient", &["text_characters", "tags_of_entry"])),
    ("exercise_responses", Quota("text_bytes_of_patient", &["body_bytes", "dated_responses"])),
    ("revisions", Quota("text_bytes_of_patient", &[])),
    ("comments", Quota("comment_bytes_of_patient", &["comments_of_entry"])),
    ("assignments", Limits(&["assignments_of_link", "live_care_links"])),
    ("receipts", Reason("one for each item and therapist")),
    (
        "changes",
        Reason(
            "one narrow row for each accepted write; no unit reads more than a page of them, two for each thing of a \
             request, or the instants of nine days",
        ),
    ),
    ("revocations", Reason("what stands in the ledger leaves the table at once")),
    ("closings", Reason("what stands in the ledger leaves the table at once")),
    ("audit_log", Reason("evidence is not dropped; no unit reads more than a page of it")),
    ("idempotency_records", Limits(&["idempotency_keys"])),
    ("mutations", Reason("one narrow row for each accepted write, kept for a quarter of a year")),
    ("feed", Reason("one narrow row for each thing and therapist who sees it or saw it half a year ago")),
    ("feed_backlog", Reason("what was touched, in parts, until a task follows them a moment later")),
    ("feed_heads", Reason("one for each therapist")),
    ("installation", Reason("a single row")),
    ("audit_anchors", Reason("one for each chain, which is one for each account and patient")),
    ("signing_keys", Reason("one for each rotation, by the operator")),
    ("wrapped_keys", Reason("a fixed number for each subject")),
];

fn tables() -> BTreeSet<String> {
    let schema = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/db/schema.rs")).unwrap();
    let named = schema.lines().filter_map(|line| line.strip_suffix(") {")?.trim().split_once(" (").map(|at| at.0));
    named.map(str::to_owned).collect()
}

#[actix_web::test]
async fn each_table_is_limited_or_counts_to_a_quota_or_does_not_grow() {
    let app = TestApp::start().await;
    let meta = app.get("/v1/meta").send().await.ok();
    let limits = meta.body["limits"].as_object().unwrap();
    let bounds: BTreeMap<&str, &Bound> = BOUNDS.iter().map(|(table, bound)| (*table, bound)).collect();
    let known = tables();
    for table in &known {
        let published: Vec<&str> = match bounds.get(table.as_str()) {
            Some(Limits(names)) => names.to_vec(),
            Some(Quota(quota, names)) => [&[*quota], *names].concat(),
            Some(Reason(why)) => {
                assert!(why.len() > 10, "{table}");
                Vec::new()
            }
            None => panic!("{table} may grow without bounds: give it a limit, count it to the quota, or say why not"),
        };
        for name in published {
            assert!(limits.get(name).is_some_and(|most| most.as_u64() > Some(0)), "{table}: {name} is not published");
        }
    }
    for (table, _) in BOUNDS {
        assert!(known.contains(*table), "{table} is no table");
    }
    for (name, bytes) in [("sign_in_body_bytes", 8192), ("text_bytes_of_patient", 256 << 20)] {
        assert_eq!(limits[name], json!(bytes));
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn number(sql: &mut Sql, query: &str) -> i64 {
    sql.rows::<Count>(&format!("SELECT CAST(coalesce({query}, 0) AS bigint) AS n"))[0].n
}

fn count(sql: &mut Sql, table: &str) -> i64 {
    number(sql, &format!("(SELECT count(*) FROM {table})"))
}

/// Copies one row of `table` under new ids until there are `rows`. A column may have a value of its own, also one that
/// counts with `i`.
pub fn fill(app: &TestApp, table: &str, columns: &'static str, rows: i64) {
    let mut sql = Sql::open(&app.database.backend);
    let (id, bytes) = match app.database.backend {
        Backend::Sqlite(_) => ("randomblob(16)", "randomblob(16)"),
        Backend::Postgres(_) => ("gen_random_uuid()", "uuid_send(gen_random_uuid())"),
    };
    let new: Vec<&str> = columns.split(", ").filter_map(|column| column.split('=').next()).collect();
    let value = |column: &'static str| match column.split_once('=') {
        Some((_, "id")) => id,
        Some((_, "bytes")) => bytes,
        Some((_, other)) => other,
        None => column,
    };
    let copied: Vec<&str> = columns.split(", ").map(value).collect();
    let missing = rows - count(&mut sql, table);
    sql.run(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {missing}) \
         INSERT INTO {table} ({}) SELECT {} FROM n CROSS JOIN (SELECT * FROM {table} LIMIT 1) AS one",
        new.join(", "),
        copied.join(", ")
    ));
    assert_eq!(count(&mut sql, table), rows, "{table}");
}

/// Lets 300 grants expire, as the server would have stored them.
async fn expire_grants(app: &TestApp) {
    let past = At(app.now() - SignedDuration::from_hours(1));
    let unit = app.server.state.db.write(move |tx| {
        let some = grants::table.limit(300).select((grants::id, grants::patient_id, grants::created_at));
        let found: Vec<(Id<Grant>, Id<Patient>, At)> = some.load(tx.conn())?;
        for (id, patient_id, created_at) in found {
            let expires_at = Some(past);
            let (closed_at, visible_from) = (None, None);
            let key =
                GrantKey { id, patient_id, sections: 1, version: 1, created_at, expires_at, closed_at, visible_from };
            let own = grants::table.filter(grants::patient_id.eq(patient_id)).filter(grants::id.eq(id));
            diesel::update(own).set(key.signed(tx)?).execute(tx.conn())?;
        }
        Ok(())
    });
    unit.await.unwrap();
}

#[track_caller]
fn refused_by(answer: Answer, limit: &str) {
    let answer = answer.expect(409).refused("limit_reached");
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&format!("`{limit}`")), "{detail:?} does not name {limit}");
}

async fn put_pause(ann: &Person) -> Answer {
    let days = |n: i64| (ann.app.now() + SignedDuration::from_hours(24 * n)).to_string();
    let body = json!({ "from": days(400), "until": days(401) });
    ann.put(&ann.my(&format!("/pauses/{}", new_id(&ann.app))), body).send().await
}

async fn put_grant(ann: &Person, body: Value) -> Answer {
    ann.put(&ann.my(&format!("/grants/{}", new_id(&ann.app))), body).send().await
}

#[actix_web::test]
async fn a_full_set_refuses_by_name_and_stores_nothing() {
    let Clinic { app, admin, therapist: tess, ann, .. } = Clinic::open().await;
    let mut sql = Sql::open(&app.database.backend);

    put_pause(&ann).await.created();
    fill(&app, "pauses", "patient_id, id=id, doc, version, created_at, updated_at", 200);
    refused_by(put_pause(&ann).await, "pauses");
    assert_eq!(count(&mut sql, "pauses"), 200);
    sql.run("DELETE FROM pauses");
    put_pause(&ann).await.created();

    let device = crate::support::requests::devices::phone("a-token");
    let put_device = async || ann.put(&ann.my(&format!("/devices/{}", new_id(&app))), device.clone()).send().await;
    for _ in 0..20 {
        put_device().await.created();
    }
    refused_by(put_device().await, "devices");
    assert_eq!(count(&mut sql, "devices"), 20);

    let infusion = completed(app.now() - SignedDuration::from_hours(24 * 30));
    let put_infusion =
        async || ann.put(&ann.my(&format!("/infusions/{}", new_id(&app))), infusion.clone()).send().await;
    put_infusion().await.created();
    fill(&app, "infusions", "patient_id, id=id, doc, version, created_at, updated_at", 1000);
    refused_by(put_infusion().await, "infusions");
    assert_eq!(count(&mut sql, "infusions"), 1000);
    sql.run("DELETE FROM infusions");
    put_infusion().await.created();

    let entry = ann.writes(reflection("Lake")).await;
    let rule = json!({ "rule": { "kind": "dream" }, "sections": ["text"], "reader": { "type": "care_team" } });
    for _ in 0..50 {
        put_grant(&ann, rule.clone()).await.created();
    }
    refused_by(put_grant(&ann, rule.clone()).await, "grants_by_rule");
    assert_eq!(count(&mut sql, "grants"), 50);
    put_grant(&ann, grant(&entry, &["text"], &tess)).await.created();
    sql.run("UPDATE grants SET sections = 1");
    fill(&app, "grants", "patient_id, id=id, doc, sections, version, created_at, expires_at, mac", 5000);
    refused_by(put_grant(&ann, grant(&entry, &["mood"], &tess)).await, "live_grants");
    assert_eq!(count(&mut sql, "grants"), 5000);
    // Those that have expired make room.
    expire_grants(&app).await;
    put_grant(&ann, grant(&entry, &["mood"], &tess)).await.created();
    assert_eq!(count(&mut sql, "grants WHERE closed_at IS NULL"), 4801, "a unit closes 200");

    let thread = ann.care_links().await[0]["id"].clone();
    let comment = json!({ "body": "How was it?", "thread_id": thread });
    let add = async || {
        let path = ann.my(&format!("/entries/{entry}/comments/{}", new_id(&app)));
        ann.put(&path, comment.clone()).send().await
    };
    add().await.created();
    fill(&app, "comments", "patient_id, id=id, entry_id, link_id, author_id, doc, version, created_at, held, mac", 500);
    refused_by(add().await, "comments_of_entry");
    assert_eq!(count(&mut sql, "comments"), 500);

    fill(&app, "invitations", "id=id, code_hash=bytes, clinic_id, inviter_id, doc, created_at, expires_at, mac", 5000);
    refused_by(
        admin.post("/v1/invitations", json!({ "kind": "staff", "capabilities": ["care"] })).send().await,
        "invitations",
    );
    app.wait(SignedDuration::from_hours(73));
    admin.code_for_staff(&["care"]).await;
}

#[actix_web::test]
async fn assignments_care_links_members_and_zones_are_limited() {
    let Clinic { app, admin, therapist: tess, ann, .. } = Clinic::open().await;
    let mut sql = Sql::open(&app.database.backend);

    let body = json!({ "exercise_key": "values-sort", "note": "When it suits you.", "request_share": true });
    let put = async || tess.put(&ann.of_theirs(&format!("/assignments/{}", new_id(&app))), body.clone()).send().await;
    put().await.created();
    fill(&app, "assignments", "patient_id, id=id, link_id, author_id, doc, version, created_at, updated_at, mac", 500);
    refused_by(put().await, "assignments_of_link");
    sql.run("DELETE FROM assignments");

    let code = admin.code_for_staff(&["care"]).await;
    fill(&app, "staff_members", "clinic_id, account_id=id, capabilities, created_at, version, mac", 999);
    let invite = json!({ "kind": "staff", "capabilities": ["care"] });
    refused_by(admin.post("/v1/invitations", invite).send().await, "clinic_members");
    sql.run("DELETE FROM staff_members WHERE account_id NOT IN (SELECT id FROM accounts)");
    let thora = app.register("Thora Beck", &code).await;

    fill(&app, "care_links", "id=id, patient_id, clinic_id, therapist_id, state, version, created_at, mac", 20);
    let code = thora.code_for_patient().await;
    let accept = async || ann.post("/v1/invitations/accept", json!({ "code": code })).send().await;
    refused_by(accept().await, "live_care_links");
    assert_eq!(count(&mut sql, "care_links"), 20);

    let places = ["Europe/Paris", "Europe/Berlin"];
    let mut refused = None;
    for n in 0..500 {
        app.wait(SignedDuration::from_mins(1));
        let tag = ann.get("/v1/me").send().await.ok().etag();
        let answer = ann.patch("/v1/me", json!({ "time_zone": places[n % 2] })).if_match(&tag).send().await;
        if answer.status != 200 {
            refused = Some((n, answer));
            break;
        }
    }
    let (n, answer) = refused.expect("the history of zones ends");
    assert_eq!(n, 499, "with the first there are 500");
    refused_by(answer, "zone_changes");
}

/// Sends two requests for the last place of a set: one gets it, the other one is refused by name.
async fn one_is_refused(app: &TestApp, (table, limit): (&str, &str), requests: [Call; 2]) {
    let mut answers = at_once(&app.database.backend, table, requests.map(Call::send)).await;
    answers.sort_by_key(|answer| answer.status);
    let refused = answers.pop().unwrap();
    answers.pop().unwrap().created();
    refused_by(refused, limit);
}

#[actix_web::test]
async fn requests_at_once_do_not_pass_a_limit_together() {
    let Clinic { app, admin, therapist: tess, ann, .. } = Clinic::open().await;
    let mut sql = Sql::open(&app.database.backend);

    let clinic = clinic_of(&admin).await;
    let tom = app.staff(&admin, "Tom Adler", &["care"]).await;
    let cover = |n: i64| tess.put(&format!("/v1/clinics/{clinic}/covers/{}", new_id(&app)), away(&app, &tom, n));
    cover(1).send().await.created();
    let columns = "id=id, clinic_id, therapist_id, colleague_id, version, created_at, starts_at, ends_at, mac";
    fill(&app, "covers", columns, 49);
    one_is_refused(&app, ("covers", "covers"), [cover(2), cover(3)]).await;
    assert_eq!(count(&mut sql, "covers"), 50);

    let device = |token: &str| {
        let phone = crate::support::requests::devices::phone(token);
        ann.put(&ann.my(&format!("/devices/{}", new_id(&app))), phone)
    };
    for n in 0..19 {
        device(&format!("token-{n}")).send().await.created();
    }
    one_is_refused(&app, ("devices", "devices"), [device("one"), device("another")]).await;
    assert_eq!(count(&mut sql, "devices"), 20);

    let invites = |who: &Person, wish: Value| who.post("/v1/invitations", wish);
    let colleague = || invites(&admin, json!({ "kind": "staff", "capabilities": ["care"] }));
    fill(&app, "staff_members", "clinic_id, account_id=id, capabilities, created_at, version, mac", 999);
    one_is_refused(&app, ("invitations", "clinic_members"), [colleague(), colleague()]).await;
    sql.run("DELETE FROM staff_members WHERE account_id NOT IN (SELECT id FROM accounts)");

    // A clinic's are counted together, whoever invites.
    let columns = "id=id, code_hash=bytes, clinic_id, inviter_id, doc, created_at, expires_at, mac";
    fill(&app, "invitations", columns, 4999);
    let patient = invites(&tess, json!({ "kind": "patient" }));
    one_is_refused(&app, ("invitations", "invitations"), [colleague(), patient]).await;
    assert_eq!(count(&mut sql, "invitations"), 5000);
}

#[actix_web::test]
async fn codes_that_are_asked_for_at_once_are_not_more_than_an_hour_allows() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    let backend = &app.database.backend;
    let mut sql = Sql::open(backend);

    // The answer is the same whether a letter leaves or not.
    let forgets = || app.post("/v1/auth/passphrase-reset", json!({ "email": ANN }));
    for _ in 0..4 {
        forgets().send().await.expect(202);
    }
    for answer in at_once(backend, "address_proofs", [forgets().send(), forgets().send()]).await {
        answer.expect(202);
    }
    assert_eq!(count(&mut sql, "address_proofs"), 5);
    sql.run("DELETE FROM address_proofs");

    let again = || ann.act("/v1/me/email/verification");
    again().send().await.ok();
    let columns = "id=id, code_hash=bytes, purpose, email_key=bytes, account_id, created_at, expires_at, mac";
    fill(&app, "address_proofs", columns, 9);
    let other = ann.post("/v1/me/email", json!({ "email": "ann@new.example.org", "passphrase": PASSPHRASE }));
    let answers = at_once(backend, "address_proofs", [again().send(), other.send()]).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429]);
    assert_eq!(count(&mut sql, "address_proofs"), 10);
}

/// The bytes in the head of the only patient, and those that are in the tables.
fn bytes(sql: &mut Sql) -> [(i64, i64); 2] {
    let sum = |sql: &mut Sql, table: &str, columns: &[&str]| {
        let length: Vec<String> = columns.iter().map(|column| format!("coalesce(length({column}), 0)")).collect();
        number(sql, &format!("(SELECT sum({}) FROM {table})", length.join(" + ")))
    };
    let text = sum(sql, "entries", &["meta", "text", "mood", "tags", "attachments"])
        + sum(sql, "exercise_responses", &["meta", "answers", "distress"])
        + sum(sql, "revisions", &["sealed"])
        + sum(sql, "grants", &["doc"])
        + number(sql, "(SELECT sum(length(doc)) FROM pauses)");
    let comments = sum(sql, "comments", &["doc"]);
    let head = |sql: &mut Sql, column: &str| number(sql, &format!("(SELECT {column} FROM patient_heads)"));
    [(head(sql, "text_bytes"), text), (head(sql, "comment_bytes"), comments)]
}

#[track_caller]
fn counted(sql: &mut Sql, after: &str) -> i64 {
    let [(text, stored), (comments, there)] = bytes(sql);
    assert_eq!(text, stored, "text after {after}");
    assert_eq!(comments, there, "comments after {after}");
    text
}

#[actix_web::test]
async fn the_head_counts_the_sealed_bytes_that_are_stored() {
    let Clinic { app, therapist: tess, ann, .. } = Clinic::open().await;
    let mut sql = Sql::open(&app.database.backend);
    let nothing = counted(&mut sql, "registration");
    assert_eq!(nothing, 0);
    let (id, key) = (new_id(&app), new_id(&app));
    let body = with(reflection("Lake"), json!({ "text": { "body": "wave ".repeat(900) } }));
    for step in ["creation", "a retry", "a creation that was made"] {
        let call = ann.put_entry(&id, body.clone());
        let call = if step == "a creation that was made" { call } else { call.key(&key) };
        assert!(call.send().await.status.is_success());
        assert!(counted(&mut sql, step) > 4500, "{step}");
    }
    ann.edits(&id, json!({ "text": { "body": "still" }, "tags": [] })).await.ok();
    let edited = counted(&mut sql, "an edit");
    let now = ann.get(&ann.my(&format!("/entries/{id}"))).send().await.ok().etag();
    ann.act(&ann.my(&format!("/entries/{id}/revisions/1/restore"))).if_match(&now).send().await.ok();
    assert!(counted(&mut sql, "a restoration") > edited);
    let refused = ann.put_entry(&id, with(body.clone(), json!({ "kind": "note" }))).header("if-none-match", "*");
    refused.send().await.expect(412);
    counted(&mut sql, "a refused creation");
    let work = ann.works(crate::support::exercises::work()).await;
    ann.resumes(&work, json!({ "answers": { "hook": "Something else" } })).await;
    counted(&mut sql, "a response");
    put_grant(&ann, grant(&id, &["text"], &tess)).await.created();
    put_pause(&ann).await.created();
    counted(&mut sql, "a grant and a pause");
    let comment = ann.of_theirs(&format!("/entries/{id}/comments/{}", new_id(&app)));
    tess.put(&comment, json!({ "body": "Thank you." })).send().await.created();
    counted(&mut sql, "a comment");
    for path in [format!("/entries/{id}"), format!("/exercise-responses/{work}")] {
        ann.delete(&ann.my(&path)).send().await.no_content();
    }
    let before = counted(&mut sql, "a deletion");
    app.wait(SignedDuration::from_hours(24 * 30));
    settled(&app).await;
    let after = counted(&mut sql, "a purge");
    assert!(after < before - 9000, "{after} of {before} are left");
    assert_eq!(bytes(&mut sql)[1], (0, 0), "the comments went with their entry");
}

#[actix_web::test]
async fn a_patient_who_writes_too_much_is_refused_and_others_are_not() {
    let app = TestApp::start_with(|config| config.text_bytes_of_patient = 30_000).await;
    let (tess, ann) = two(&app).await;
    let bea = app.patient(&tess, "Bea Lund").await;
    assert_eq!(app.get("/v1/meta").send().await.ok().body["limits"]["text_bytes_of_patient"], 30_000);
    let mut sql = Sql::open(&app.database.backend);
    let long = with(reflection("Lake"), json!({ "text": { "body": "wave ".repeat(1200) } }));
    let mut ids = Vec::new();
    let refused = loop {
        let id = new_id(&app);
        let answer = ann.put_entry(&id, long.clone()).send().await;
        if answer.status != 201 {
            break answer;
        }
        ids.push(id);
    };
    refused_by(refused, "text_bytes_of_patient");
    assert_eq!(ids.len(), 4, "7 KB each");
    assert_eq!(count(&mut sql, "entries"), 4);
    // What frees or does not add is not refused, and others write on.
    let tag = ann.entry(&ids[0]).await.ok().etag();
    let more = json!({ "text": { "body": "foam ".repeat(1200) } });
    refused_by(ann.patch_entry(&ids[0], more).if_match(&tag).send().await, "text_bytes_of_patient");
    bea.put_entry(&new_id(&app), long.clone()).send().await.created();
    for id in &ids {
        ann.delete(&ann.my(&format!("/entries/{id}"))).send().await.no_content();
    }
    app.wait(SignedDuration::from_hours(24 * 30));
    settled(&app).await;
    ann.put_entry(&new_id(&app), long).send().await.created();
}

#[actix_web::test]
async fn a_therapist_who_writes_too_much_does_not_use_up_the_patients_quota() {
    let app = TestApp::start_with(|config| config.text_bytes_of_patient = 20_000).await;
    let (tess, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    put_grant(&ann, grant(&entry, &["text"], &tess)).await.created();
    let body = json!({ "body": "wave ".repeat(780) });
    let refused = loop {
        let comment = ann.of_theirs(&format!("/entries/{entry}/comments/{}", new_id(&app)));
        let answer = tess.put(&comment, body.clone()).send().await;
        if answer.status != 201 {
            break answer;
        }
    };
    refused_by(refused, "comment_bytes_of_patient");
    ann.writes(with(reflection("Lake"), json!({ "text": { "body": "wave ".repeat(1200) } }))).await;
}

#[actix_web::test]
async fn the_oldest_session_ends_when_there_are_too_many() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let email = ann.get("/v1/me").send().await.ok().text("/email");
    app.wait(SignedDuration::from_mins(1));
    let log_in = json!({ "email": email, "passphrase": PASSPHRASE });
    for _ in 0..99 {
        app.post("/v1/auth/login", log_in.clone()).send().await.ok();
    }
    ann.get("/v1/me").send().await.ok();
    app.post("/v1/auth/login", log_in.clone()).send().await.ok();
    let ended = ann.get("/v1/me").send().await.expect(401).refused("unauthenticated");
    assert_eq!(ended.body["client_action"], "relogin", "the device keeps what it has");
    let mut sql = Sql::open(&app.database.backend);
    assert_eq!(count(&mut sql, "sessions WHERE revoked_at IS NOT NULL"), 1);
}

#[actix_web::test]
async fn the_oldest_idempotency_keys_are_forgotten_when_there_are_too_many() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    let patch = async || {
        let call = ann.patch_entry(&entry, json!({ "tags": ["lake"] })).key(&new_id(&app));
        call.send().await.ok();
    };
    patch().await;
    fill(&app, "idempotency_records", "account_id, key_hash=bytes, fingerprint, status, reference, created_at", 12_000);
    let mut sql = Sql::open(&app.database.backend);
    app.wait(SignedDuration::from_secs(1));
    for _ in 0..4000 {
        patch().await;
        if count(&mut sql, "idempotency_records") < 12_000 {
            break;
        }
    }
    assert!(count(&mut sql, "idempotency_records") <= 10_001, "{}", count(&mut sql, "idempotency_records"));
}
