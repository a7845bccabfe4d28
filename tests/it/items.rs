//! Items: what holds for every versioned, sealed thing with sections, shown by a kind that only tests know.

use std::collections::HashSet;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::web;
use afterglow::app::{self, ExtraRoutes};
use afterglow::care::grants::Sections;
use afterglow::db::AnyConnection;
use afterglow::exercises::model::Responses;
use afterglow::http::Methods;
use afterglow::items::ItemKind;
use afterglow::items::deletion::purge;
use afterglow::journal::model::Entries;
use afterglow::kernel::Id;
use afterglow::kernel::id::Any;
use diesel::prelude::*;
use jiff::SignedDuration;
use serde_json::json;

use crate::support::app::{TestApp, new_id};
use crate::support::dreams::{self, Dreams};
use crate::support::journal::{reflection, two};

/// What a migration would say.
const TABLE: &str = "CREATE TABLE dreams ( patient_id ID NOT NULL, id ID NOT NULL, version NUMBER NOT NULL, \
    meta BYTES NOT NULL, meta_rev NUMBER NOT NULL, story BYTES, story_rev NUMBER NOT NULL, draft BOOLEAN NOT NULL, \
    occurred_at TIME NOT NULL, received_at TIME NOT NULL, updated_at TIME NOT NULL, deleted_at TIME, purge_at TIME, \
    PRIMARY KEY (patient_id, id))";

/// The operations of dreams, beside those of the product.
struct Sleep;

impl ExtraRoutes for Sleep {
    fn methods(&self, table: Methods) -> Methods {
        let one = "/extra/patients/{patient_id}/dreams/{dream_id}";
        table
            .with(one, &[Method::GET, Method::PUT, Method::PATCH, Method::DELETE])
            .with(&format!("{one}/undelete"), &[Method::POST])
            .with(&format!("{one}/revisions/{{revision}}/restore"), &[Method::POST])
    }

    fn mount(&self, config: &mut web::ServiceConfig) {
        config.service(web::scope("/extra/patients/{patient_id}").configure(dreams::configure_patient));
    }

    fn around(&self, request: ServiceRequest, next: Next<BoxBody>) -> app::ExtraResponse {
        Box::pin(async move { next.call(request).await })
    }
}

async fn app_that_knows_dreams() -> Arc<TestApp> {
    let app = TestApp::start_with_guest(Arc::new(Sleep)).await;
    let migrate = |tx: &mut afterglow::db::Tx<'_>| {
        let words = match tx.conn() {
            AnyConnection::Pg(_) => [("ID", "uuid"), ("NUMBER", "bigint"), ("BYTES", "bytea"), ("TIME", "timestamptz")],
            AnyConnection::Sqlite(_) => [("ID", "BLOB"), ("NUMBER", "INTEGER"), ("BYTES", "BLOB"), ("TIME", "INTEGER")],
        };
        let mut table = TABLE.to_owned();
        for (word, sql) in words {
            table = table.replace(&format!(" {word}"), &format!(" {sql}"));
        }
        diesel::sql_query(table).execute(tx.conn())?;
        Ok(())
    };
    app.server.state.db.write(migrate).await.unwrap();
    app
}

#[actix_web::test]
async fn a_third_kind_has_all_that_items_have() {
    let app = app_that_knows_dreams().await;
    let theo = app.staff(&app.admin().await, "Theo Brandt", &["care"]).await;
    let (ann, ben) = (app.patient(&theo, "Ann Lind").await, app.patient(&theo, "Ben Roth").await);
    let id = new_id(&app);
    let path = format!("/extra/patients/me/dreams/{id}");
    let body = json!({ "occurred_at": "2026-03-10T06:30:00+01:00", "story": "I flew." });

    let made = ann.put(&path, body.clone()).send().await.created();
    assert_eq!((made.text("/story"), made.text("/status")), ("I flew.".to_owned(), "done".to_owned()));
    ann.patch(&path, json!({ "story": "I swam." })).if_match("\"v1\"").send().await.ok();
    let again = ann.put(&path, body.clone()).send().await.ok();
    assert_eq!(again.text("/story"), "I swam.", "the creating body again changes nothing");
    ann.patch(&path, json!({ "story": "I fell." })).if_match("\"v1\"").send().await.expect(412);
    ann.patch(&path, json!({ "status": null })).if_match("\"v2\"").send().await.expect(422);

    ben.get(&format!("/extra/patients/{}/dreams/{id}", ann.patient)).send().await.not_found();
    theo.get(&format!("/extra/patients/{}/dreams/{id}", ann.patient)).send().await.not_found();

    let old = ann.act(&format!("{path}/revisions/1/restore")).if_match("\"v2\"").send().await.ok();
    assert_eq!((old.text("/story"), old.body["version"].as_i64()), ("I flew.".to_owned(), Some(3)));
    ann.delete(&path).send().await.no_content();
    ann.get(&path).send().await.expect(410);
    let back = ann.act(&format!("{path}/undelete")).send().await.ok();
    assert_eq!(back.text("/story"), "I flew.");
    ann.patch(&path, json!({ "story": null })).if_match("\"v5\"").send().await.ok();
    assert_eq!(ann.get(&path).send().await.ok().body["story"], json!(null));
}

#[actix_web::test]
async fn a_third_kind_is_purged_with_its_revisions() {
    let app = app_that_knows_dreams().await;
    let theo = app.staff(&app.admin().await, "Theo Brandt", &["care"]).await;
    let ann = app.patient(&theo, "Ann Lind").await;
    let id = new_id(&app);
    let path = format!("/extra/patients/me/dreams/{id}");
    let body = json!({ "occurred_at": "2026-03-10T06:30:00+01:00", "story": "I flew." });
    ann.put(&path, body).send().await.created();
    ann.patch(&path, json!({ "story": "I swam." })).if_match("\"v1\"").send().await.ok();
    ann.delete(&path).send().await.no_content();

    let id: Id<Any> = id.parse().unwrap();
    let left = async |app: &Arc<TestApp>| {
        let state = &app.server.state;
        let (planner, patient, now) = (Arc::clone(&state.planner), ann.patient.parse().unwrap(), app.now());
        let unit = move |tx: &mut afterglow::db::Tx<'_>| {
            purge::<Dreams>(tx, planner.as_ref(), (patient, &[id]), now)?;
            use afterglow::db::schema::revisions;
            let story: Option<Vec<u8>> = dreams::dreams::table
                .filter(dreams::dreams::id.eq(id))
                .select(dreams::dreams::story)
                .first(tx.conn())?;
            let kept: i64 = revisions::table.filter(revisions::item_id.eq(id)).count().get_result(tx.conn())?;
            Ok((story.is_some(), kept))
        };
        state.db.write(unit).await.unwrap()
    };
    app.wait(SignedDuration::from_hours(24 * 30 - 1));
    assert_eq!(left(&app).await, (true, 1), "it can be undeleted for thirty days");
    app.wait(SignedDuration::from_hours(2));
    assert_eq!(left(&app).await, (false, 0));
}

#[actix_web::test]
async fn a_third_kind_is_not_taken_for_an_entry_of_its_id() {
    let app = app_that_knows_dreams().await;
    let (theo, ann) = two(&app).await;
    let id = ann.writes(reflection("Lake")).await;
    let dream = format!("/extra/patients/me/dreams/{id}");
    let body = json!({ "occurred_at": "2026-03-10T06:30:00+01:00", "story": "I flew." });
    ann.put(&dream, body).send().await.created();
    ann.opens(&id, &["text"], &theo).await;
    theo.act(&ann.of_theirs(&format!("/entries/{id}/opened"))).send().await.ok();
    let seen = ann.entry(&id).await.ok().body["seen_by"].clone();
    assert_eq!(seen.as_array().unwrap().len(), 1, "{seen}");
    assert_eq!(ann.get(&dream).send().await.ok().body["seen_by"], json!([]));

    ann.delete(&dream).send().await.no_content();
    app.wait(SignedDuration::from_hours(24 * 30 + 1));
    let state = &app.server.state;
    let (planner, patient, now) = (Arc::clone(&state.planner), ann.patient.parse().unwrap(), app.now());
    let purged: Id<Any> = id.parse().unwrap();
    let unit = move |tx: &mut afterglow::db::Tx<'_>| purge::<Dreams>(tx, planner.as_ref(), (patient, &[purged]), now);
    assert_eq!(state.db.write(unit).await.unwrap(), 1);
    let left = ann.entry(&id).await.ok();
    assert_eq!((left.text("/text/title"), &left.body["seen_by"]), ("Lake".to_owned(), &seen));
    theo.reads(&ann, &format!("/entries/{id}")).await.ok();
}

#[test]
fn a_third_kind_costs_under_150_lines_of_code() {
    let lines = include_str!("support/dreams.rs").lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines < 150, "{lines}");
}

#[test]
fn no_two_kinds_share_a_section_number_or_a_bit_of_a_grant() {
    fn declared<K: ItemKind>() -> (Vec<i32>, Vec<Sections>) {
        let numbers = std::iter::once(K::HEADER).chain(K::SECTIONS.iter().map(|section| section.number)).collect();
        (numbers, K::SECTIONS.iter().filter_map(|section| section.grant).collect())
    }
    let kinds = [declared::<Entries>(), declared::<Responses>(), declared::<Dreams>()];
    let numbers: Vec<i32> = kinds.iter().flat_map(|(numbers, _)| numbers.clone()).collect();
    assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len(), "{numbers:?}");
    let bits: Vec<i32> = kinds.iter().flat_map(|(_, grants)| grants.iter().map(|one| one.bits(false))).collect();
    assert!(bits.iter().all(|bit| bit.count_ones() == 1), "{bits:?}");
    assert_eq!(bits.iter().collect::<HashSet<_>>().len(), bits.len(), "{bits:?}");
}
