//! The limits of a push: of what a body unpacks to, of a section, and of the mutations of an hour.

use std::io::Write as _;
use std::num::NonZeroU32;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::push::changes;
use crate::statements::{heard, listen};
use crate::support::app::{Answer, TestApp, new_id};
use crate::support::database::on_postgres;
use crate::support::journal::{grant, reflection, two};
use crate::support::people::Person;
use crate::support::phone::{is, mutation, new_phone};

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

impl Person {
    /// Pushes a body as it is, with this content coding.
    async fn push_bytes(&self, coding: Option<&str>, bytes: Vec<u8>) -> Answer {
        let call = self.request(Method::POST, &self.my("/mutations")).bytes("application/json", bytes);
        match coding {
            Some(coding) => call.header("content-encoding", coding).send().await,
            None => call.send().await,
        }
    }
}

/// A new entry of so many bytes of text.
fn new(ann: &Person, id: &str, bytes: usize) -> Value {
    let header = json!({ "kind": "reflection", "occurred_at": "2026-03-10T08:30:00Z" });
    mutation(ann, "entry", id, 0, json!({ "header": header, "text": { "body": "w".repeat(bytes) } }))
}

#[actix_web::test]
async fn a_packed_batch_is_done_as_a_plain_one_is() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let ids: Vec<String> = (0..60).map(|_| new_id(&app)).collect();
    // More than other operations take, and more than one unit does.
    let batch: Vec<Value> = ids.iter().map(|id| new(&ann, id, 40_000)).collect();
    let body = json!({ "epoch": ann.epoch().await, "mutations": batch }).to_string();
    assert!(body.len() > 2 << 20);
    let packed_answer = ann.push_bytes(Some("gzip"), packed(body.as_bytes())).await.ok();
    let results = packed_answer.body["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), 60);
    for (result, sent) in results.iter().zip(&batch) {
        assert_eq!((&result["status"], &result["mutation_id"]), (&json!("applied"), &sent["mutation_id"]));
    }
    assert_eq!(ann.entry(&ids[59]).await.ok().body["text"]["body"].as_str().unwrap().len(), 40_000);
    let before = changes(&app);
    let plain = ann.push_bytes(None, body.clone().into_bytes()).await.ok();
    for result in plain.body["results"].as_array().unwrap() {
        assert_eq!(
            (&result["status"], &result["was"]),
            (&json!("replayed"), &json!("applied")),
            "it was the same batch"
        );
    }
    assert_eq!(changes(&app), before);
    is(&ann.push_bytes(Some("IDENTITY"), body.into_bytes()).await.ok().body["results"][0], "replayed");
}

#[actix_web::test]
async fn what_unpacks_to_too_much_or_not_at_all_is_refused_before_anything_is_done() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let most = app.get("/v1/meta").send().await.ok().body["limits"]["mutations_body_bytes"].as_u64().unwrap();
    let most = usize::try_from(most).unwrap();
    let (epoch, id) = (ann.epoch().await, new_id(&app));
    let body = json!({ "epoch": epoch, "mutations": [new(&ann, &id, 10)] }).to_string();
    // As large as is taken, with blanks; and one byte more.
    let padded = |size: usize| [body.as_bytes(), &vec![b' '; size - body.len()]].concat();
    let before = changes(&app);
    for bytes in [packed(&padded(most + 1)), packed(&padded(64 << 20))] {
        assert!(bytes.len() < 1 << 20);
        ann.push_bytes(Some("gzip"), bytes).await.expect(413).refused("too_large");
    }
    ann.push_bytes(None, padded(most + 1)).await.expect(413).refused("too_large");
    let whole = packed(body.as_bytes());
    for (coding, bytes, status) in [
        ("gzip", body.clone().into_bytes(), 400),
        ("gzip", whole[..whole.len() - 5].to_vec(), 400),
        ("br", whole.clone(), 415),
        ("deflate", whole.clone(), 415),
        ("gzip, gzip", packed(&whole), 415),
        ("identity, gzip", whole.clone(), 415),
    ] {
        ann.push_bytes(Some(coding), bytes).await.expect(status);
    }
    assert_eq!(changes(&app), before);
    ann.entry(&id).await.not_found();
    is(&ann.push_bytes(Some("gzip"), packed(&padded(most))).await.ok().body["results"][0], "applied");
    // Nothing else is unpacked.
    let put = ann.request(Method::PUT, &ann.my(&format!("/entries/{}", new_id(&app))));
    let put = put.bytes("application/json", packed(b"{}")).header("content-encoding", "gzip");
    put.send().await.expect(415);
}

#[actix_web::test]
async fn a_section_that_is_too_large_harms_no_other() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let ids: Vec<String> = (0..4).map(|_| new_id(&app)).collect();
    let fits = 256 * 1024 - r#"{"body":""}"#.len();
    // 256,000 characters is the most of a text: this is for the bound of bytes to refuse, and a text of two bytes each.
    let mut wide = new(&ann, &ids[2], 0);
    wide["text"]["body"] = json!("\u{e9}".repeat(fits / 2));
    let batch = [new(&ann, &ids[0], 10), new(&ann, &ids[1], 300 * 1024), wide, new(&ann, &ids[3], 10)];
    let answer = ann.push(&batch).await.ok();
    let results = answer.body["results"].as_array().unwrap();
    let told: Vec<_> = results.iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(told, ["applied", "rejected", "applied", "applied"], "{results:#?}");
    let problem = &results[1]["problem"];
    assert_eq!((&problem["code"], &problem["retryable"]), (&json!("too_large"), &json!(false)));
    assert!(problem["detail"].as_str().unwrap().contains("text"), "{problem}");
    for (id, there) in ids.iter().zip([true, false, true, true]) {
        assert_eq!(ann.entry(id).await.status == 200, there);
    }
    // One byte more.
    let mut over = batch[2].clone();
    over["id"] = json!(new_id(&app));
    over["mutation_id"] = json!(new_id(&app));
    over["text"]["body"] = json!(format!("{}ww", "\u{e9}".repeat(fits / 2)));
    assert_eq!(ann.pushes(&over).await["problem"]["code"], "too_large");
}

#[actix_web::test]
async fn the_mutations_of_an_hour_are_limited_for_each_patient() {
    let app = TestApp::start_with(|config| config.mutations_per_hour = NonZeroU32::new(10)).await;
    let (theo, ann) = two(&app).await;
    let bea = app.patient(&theo, "Bea Holt").await;
    assert_eq!(app.get("/v1/meta").send().await.ok().body["limits"]["mutations_per_hour"], 10);
    let some = |count: usize| (0..count).map(|_| new(&ann, &new_id(&app), 10)).collect::<Vec<_>>();
    ann.push(&some(8)).await.ok();
    let (before, three) = (changes(&app), some(3));
    let refused = ann.push(&three).await.expect(429).refused("too_many_requests");
    let wait: i64 = refused.headers["retry-after"].parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    assert_eq!(changes(&app), before, "nothing of it is done");
    // Whoever asks for another patient's takes nothing of what is theirs.
    let foreign = json!({ "epoch": ann.epoch().await, "mutations": three });
    bea.post(&ann.of_theirs("/mutations"), foreign).send().await.not_found();
    ann.push(&some(2)).await.ok();
    ann.push(&some(1)).await.expect(429);
    bea.push(&[mutation(&bea, "entry", &new_id(&app), 3, json!({ "op": "delete" }))]).await.ok();
    // After the time that was told, the same batch is done.
    app.wait(SignedDuration::from_secs(wait));
    app.wait(SignedDuration::from_mins(30));
    for result in ann.push(&three).await.ok().body["results"].as_array().unwrap() {
        is(result, "applied");
    }
    ann.push(&some(11)).await.expect(429);
}

/// 5,000 are admitted in one hour, and not one more.
#[actix_web::test]
async fn the_limit_of_an_hour_is_that_of_the_document() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let meta = app.get("/v1/meta").send().await.ok();
    let limits = &meta.body["limits"];
    assert_eq!(
        [
            &limits["mutations"],
            &limits["mutations_body_bytes"],
            &limits["section_bytes"],
            &limits["mutations_per_hour"]
        ],
        [&json!(500), &json!(8 << 20), &json!(256 << 10), &json!(5000)]
    );
    let epoch = ann.epoch().await;
    let many: Vec<Value> = (0..500).map(|_| json!({})).collect();
    let body = json!({ "epoch": epoch, "mutations": many });
    for _ in 0..10 {
        ann.post(&ann.my("/mutations"), body.clone()).send().await.ok();
    }
    ann.push(&[json!({})]).await.expect(429).refused("too_many_requests");
}

#[actix_web::test]
async fn answers_of_sync_are_packed_unless_words_of_others_stand_in_them() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ids: Vec<String> = (0..3).map(|_| new_id(&app)).collect();
    let batch: Vec<Value> = ids.iter().map(|id| new(&ann, id, 3000)).collect();
    ann.push(&batch).await.ok();
    let cursor = async || {
        let mut phone = crate::support::phone::new_phone(&ann).await;
        phone.cursor.take().unwrap()
    };
    let at = cursor().await;
    let edit = |id: &str, base: i64, body: &str| mutation(&ann, "entry", id, base, json!({ "text": { "body": body } }));
    for id in &ids {
        is(&ann.pushes(&edit(id, 1, &"one ".repeat(900))).await, "applied");
    }
    let coding = |answer: &Answer| answer.headers.get("content-encoding").cloned();
    for asked in ["gzip", "br"] {
        let pull =
            ann.get(&ann.my(&format!("/changes?cursor={at}"))).header("accept-encoding", asked).send().await.ok();
        assert_eq!((coding(&pull).as_deref(), pull.items().len()), (Some(asked), 3));
        let body = json!({ "epoch": ann.epoch().await, "mutations": [edit(&ids[0], 1, "two")] });
        let push = ann.post(&ann.my("/mutations"), body).header("accept-encoding", asked).send().await.ok();
        assert_eq!(push.body["results"][0]["status"], "conflict");
        assert_eq!(coding(&push).as_deref(), Some(asked));
    }
    ann.opens(&ids[0], &["text"], &theo).await;
    let thread = ann.of_theirs(&format!("/entries/{}/comments", ids[0]));
    theo.says(&thread, json!({ "body": "I read it." })).send().await.created();
    let pull = ann.get(&ann.my(&format!("/changes?cursor={at}"))).header("accept-encoding", "gzip").send().await.ok();
    assert_eq!(coding(&pull), None, "a therapist's words stand beside the patient's");
}

/// The number of units in which a batch is done, all of it as `status` says.
async fn units(ann: &Person, batch: &[Value], status: &str) -> usize {
    let body = json!({ "epoch": ann.epoch().await, "mutations": batch });
    heard(&ann.app);
    let answer = ann.post(&ann.my("/mutations"), body).send().await.ok();
    let results = answer.body["results"].as_array().unwrap();
    assert_eq!(results.len(), batch.len());
    for (result, sent) in results.iter().zip(batch) {
        is(result, status);
        assert_eq!(result["mutation_id"], sent["mutation_id"]);
    }
    // Each unit begins with the session.
    heard(&ann.app).iter().filter(|text| text.contains("sessions")).count()
}

/// `alone` where others wait while a unit writes. PostgreSQL has many writers: its units are not cut.
fn cut(alone: usize) -> usize {
    if on_postgres() { 1 } else { alone }
}

/// A new grant of all reflections, to the care team.
fn rule(ann: &Person) -> Value {
    let rule = json!({ "rule": { "kind": "reflection" }, "sections": ["text"], "reader": { "type": "care_team" } });
    mutation(ann, "grant", &new_id(&ann.app), 0, rule)
}

#[actix_web::test]
async fn the_more_rules_a_patient_has_the_fewer_entries_one_unit_does() {
    listen();
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let some = |count: usize| (0..count).map(|_| new(&ann, &new_id(&app), 10)).collect::<Vec<_>>();
    assert_eq!(units(&ann, &some(60), "applied").await, 2, "without rules");
    // Each may open thousands of entries: it has a unit of its own.
    let rules = |count: usize| (0..count).map(|_| rule(&ann)).collect::<Vec<_>>();
    assert_eq!(units(&ann, &rules(4), "applied").await, cut(4));
    assert_eq!(units(&ann, &some(50), "applied").await, cut(4), "with four rules");
    assert_eq!(units(&ann, &rules(46), "applied").await, cut(46));
    let batch = some(50);
    assert_eq!(units(&ann, &batch, "applied").await, cut(50), "with fifty rules others come in between");
    let before = changes(&app);
    units(&ann, &batch, "replayed").await;
    assert_eq!(changes(&app), before, "each was done once");
    assert_eq!(units(&ann, &some(1), "applied").await, 1);
}

#[actix_web::test]
async fn each_rule_that_a_patient_ends_has_a_unit_of_its_own() {
    listen();
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let rules: Vec<Value> = (0..5).map(|_| rule(&ann)).collect();
    units(&ann, &rules, "applied").await;
    let mut single = Vec::new();
    for _ in 0..3 {
        single.push(ann.opens(&ann.writes(reflection("Lake")).await, &["text"], &theo).await);
    }
    let ids: Vec<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    // She has seen all of them, so that the end of one does not end the others.
    let end = async |id: &str, more: Value| {
        let mut end = mutation(&ann, "grant", id, 0, more);
        end["op"] = json!("delete");
        end["seen_seq"] = json!(new_phone(&ann).await.seq);
        end
    };
    let mut ends = Vec::new();
    for id in &ids[..3] {
        ends.push(end(id, json!({})).await);
    }
    assert_eq!(units(&ann, &ends, "applied").await, cut(3), "thousands of entries may leave each");
    assert_eq!(units(&ann, &ends, "replayed").await, cut(3), "one that is ended may still end what came after it");
    ends.clear();
    for id in &single {
        ends.push(end(id, json!({})).await);
    }
    assert_eq!(units(&ann, &ends, "applied").await, 1, "one entry leaves each");
    // Rules that the server never had, of which she says what they were: what they cover may have to end.
    ends.clear();
    for _ in 0..2 {
        let said = json!({ "rule": { "kind": "dream" }, "sections": ["text"], "reader": { "type": "care_team" } });
        ends.push(end(&new_id(&app), said).await);
    }
    assert_eq!(units(&ann, &ends, "applied").await, cut(2));
    // A grant that comes in the place of two rules, and an entry that does not go with it.
    let entry = ann.writes(reflection("Sea")).await;
    let mut instead = mutation(&ann, "grant", &new_id(&app), 0, grant(&entry, &["text"], &theo));
    instead["replaces"] = json!(ids[3..5]);
    instead["seen_seq"] = json!(new_phone(&ann).await.seq);
    let batch = [instead, new(&ann, &new_id(&app), 10)];
    assert_eq!(units(&ann, &batch, "applied").await, cut(2), "each has a unit of its own");
}

#[actix_web::test]
async fn the_more_a_patient_has_shared_the_fewer_ends_one_unit_does() {
    listen();
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    let ids: Vec<String> = (0..100).map(|_| new_id(&app)).collect();
    for some in ids.chunks(50) {
        let shares = some.iter().map(|id| mutation(&ann, "grant", id, 0, grant(&entry, &["text"], &theo)));
        assert_eq!(units(&ann, &shares.collect::<Vec<_>>(), "applied").await, 1);
    }
    let ends = ids[..32].iter().map(|id| mutation(&ann, "grant", id, 0, json!({ "op": "delete" })));
    let ends: Vec<Value> = ends.collect();
    assert_eq!(units(&ann, &ends, "applied").await, cut(2), "each is compared with what was shared");
}

#[actix_web::test]
async fn the_more_infusions_a_patient_has_the_fewer_one_unit_does() {
    listen();
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let planned = |days: i64| {
        let at = app.now() + SignedDuration::from_hours(24 * days);
        let fields =
            json!({ "status": "planned", "route": "iv_infusion", "planned_start": at.to_string(), "dose_mg": 35.0 });
        mutation(&ann, "infusion", &new_id(&app), 0, json!({ "fields": fields }))
    };
    let some = |days: std::ops::Range<i64>| days.map(planned).collect::<Vec<_>>();
    assert_eq!(units(&ann, &some(1..51), "applied").await, 1);
    assert_eq!(units(&ann, &some(51..101), "applied").await, cut(2), "each is compared with fifty others");
}
