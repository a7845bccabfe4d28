//! The calendar feed: what it shows of a patient's plan, to whom, and until when.

use std::collections::BTreeMap;

use afterglow::kernel::Id;
use afterglow::kernel::id::Patient;
use afterglow::planning::PromptKind;
use afterglow::sync::renewal;
use afterglow::vault::Purpose;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Nullable};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::delivery::plant;
use crate::known_faults::{refuse, refuse_no_more};
use crate::support::accounts::disable;
use crate::support::app::{TestApp, new_id};
use crate::support::people::{Clinic, Person, again};
use crate::support::python::python;
use crate::support::requests::calendar::{address, makes, ticked};
use crate::support::sql::Sql;
use crate::support::world::planned_for;

const EVERYTHING: [&str; 6] = ["safety", "measure", "preparation", "reflection", "exercise", "habit"];

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// The text of the feed at an address.
async fn feed(app: &std::sync::Arc<TestApp>, path: &str) -> String {
    let answer = app.get(path).send().await.ok();
    assert_eq!(answer.headers["content-type"], "text/calendar; charset=utf-8");
    assert!(answer.headers["cache-control"].starts_with("private"), "{:?}", answer.headers);
    String::from_utf8(answer.bytes).unwrap()
}

/// The events of a feed: id, start and title.
fn events(feed: &str) -> Vec<(String, Timestamp, String)> {
    let of = |event: &str, name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {event}")).to_owned()
    };
    let instant = |text: &str| {
        let local = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).unwrap();
        jiff::tz::Offset::UTC.to_timestamp(local).unwrap()
    };
    let each = feed.split("BEGIN:VEVENT").skip(1);
    each.map(|event| (of(event, "UID:"), instant(&of(event, "DTSTART:")), of(event, "SUMMARY:"))).collect()
}

/// A patient whose infusion ended yesterday, with a plan.
async fn treated() -> Clinic {
    let clinic = Clinic::open().await;
    clinic.therapist.records(&clinic.ann, clinic.app.now() - hours(24)).await;
    clinic
}

async fn plan(ann: &Person) -> Vec<Value> {
    ann.get(&ann.my("/plan")).send().await.ok().items().to_vec()
}

async fn plans_infusion(therapist: &Person, ann: &Person, at: Timestamp) -> String {
    let id = new_id(&therapist.app);
    therapist.put(&ann.of_theirs(&format!("/infusions/{id}")), planned_for(at)).send().await.created();
    id
}

#[actix_web::test]
async fn a_feed_shows_what_is_ticked_of_the_plan_of_devices_rounded_and_with_neutral_titles() {
    let Clinic { app, therapist, ann, .. } = treated().await;
    let start = app.now() + hours(24 * 5) + SignedDuration::from_mins(8);
    let infusion = plans_infusion(&therapist, &ann, start).await;
    plans_infusion(&therapist, &ann, app.now() + hours(24 * 15)).await;
    let made = makes(&ann, &ticked(&EVERYTHING, true)).await;
    assert_eq!(made.body["prompts"], json!(EVERYTHING));
    assert_eq!(made.headers["cache-control"], "no-store");
    let text = feed(&app, &address(&made)).await;
    let (shown, planned) = (events(&text), plan(&ann).await);
    assert!(planned.len() > 5, "{planned:?}");
    assert_eq!(shown.len(), planned.len() + 1, "one infusion is within two weeks: {text}");
    assert!(shown.is_sorted_by_key(|(_, start, _)| *start), "{text}");
    assert!(shown.iter().all(|(_, start, _)| start.as_second() % 900 == 0), "{text}");
    let mut exact: Vec<Timestamp> =
        planned.iter().map(|item| item["due_at"].as_str().unwrap().parse().unwrap()).collect();
    exact.push(start);
    exact.sort();
    for ((_, shown, _), exact) in shown.iter().zip(&exact) {
        assert!(shown.duration_since(*exact).abs() <= SignedDuration::from_mins(15 / 2 + 1), "{shown} {exact}");
    }
    let appointments: Vec<_> = shown.iter().filter(|(.., title)| title == "Appointment").collect();
    assert_eq!(appointments.len(), 1);
    assert!(shown.iter().all(|(.., title)| ["Appointment", "A moment for you"].contains(&title.as_str())));
    // No id of the server's, and no word of what it is about.
    let ids = planned.iter().map(|item| item["prompt_id"].as_str().unwrap()).chain([
        infusion.as_str(),
        &ann.patient,
        &ann.account,
    ]);
    let words = ["ketamine", "infusion", "therap", "reflect", "mood", "afterglow", "clinic", "Ann", "Europe", "alarm"];
    for word in ids.chain(words) {
        assert!(!text.to_lowercase().contains(&word.to_lowercase()), "{word} in {text}");
    }
    let uids: std::collections::BTreeSet<_> = shown.iter().map(|(uid, ..)| uid).collect();
    assert_eq!(uids.len(), shown.len());

    // Only the appointments.
    let change = ann.put(&ann.my("/calendar"), ticked(&[], true)).if_match(&made.etag()).send().await.ok();
    assert_eq!(change.body["url"], Value::Null, "the address stays, and is not shown again");
    assert_eq!(events(&feed(&app, &address(&made)).await), [appointments[0].clone()]);
    // And nothing at all is a calendar, too.
    ann.put(&ann.my("/calendar"), ticked(&[], false)).if_match(&change.etag()).send().await.ok();
    assert_eq!(events(&feed(&app, &address(&made)).await), []);
}

#[actix_web::test]
async fn each_kind_of_prompt_is_ticked_by_itself() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let patient = ann.patient.parse().unwrap();
    let kinds = [PromptKind::Safety, PromptKind::Reflection, PromptKind::Habit, PromptKind::OnDemand];
    for (n, kind) in kinds.into_iter().enumerate() {
        plant(&app, patient, app.now() + hours(i64::try_from(n).unwrap() + 1), |planned| planned.kind = kind).await;
    }
    for (kinds, count) in [(&["safety"][..], 1), (&["reflection", "habit"], 2), (&["measure"], 0), (&EVERYTHING, 3)] {
        let made = makes(&ann, &ticked(kinds, true)).await;
        assert_eq!(events(&feed(&app, &address(&made)).await).len(), count, "{kinds:?}");
    }
    let wrong = ann.put(&ann.my("/calendar"), ticked(&["habit", "on_demand"], true)).send().await.expect(422);
    assert_eq!(wrong.body["errors"][0]["pointer"], "/prompts/1");
}

#[actix_web::test]
async fn what_moves_keeps_its_id_and_what_is_cancelled_paused_or_switched_off_disappears() {
    let Clinic { app, therapist, ann, .. } = treated().await;
    let start = app.now() + hours(24 * 5);
    let infusion = plans_infusion(&therapist, &ann, start).await;
    let path = address(&makes(&ann, &ticked(&EVERYTHING, true)).await);
    let infusions =
        |text: &str| events(text).into_iter().filter(|(.., title)| title == "Appointment").collect::<Vec<_>>();
    let first = infusions(&feed(&app, &path).await);
    let change = async |body: Value| {
        let at = ann.of_theirs(&format!("/infusions/{infusion}"));
        let tag = therapist.get(&at).send().await.ok().etag();
        therapist.patch(&at, body).if_match(&tag).send().await.ok();
    };
    change(json!({ "planned_start": (start + hours(2)).to_string() })).await;
    let moved = infusions(&feed(&app, &path).await);
    assert_eq!((&moved[0].0, moved[0].1), (&first[0].0, first[0].1 + hours(2)));
    change(json!({ "status": "cancelled", "cancel_reason": "Moved." })).await;
    assert_eq!(infusions(&feed(&app, &path).await), []);

    // A pause: what is asked in it is not shown, until it is withdrawn.
    let before = events(&feed(&app, &path).await);
    let until = app.now() + hours(72);
    assert!(before.iter().any(|(_, start, _)| *start < until));
    let pause = ann.my(&format!("/pauses/{}", new_id(&app)));
    ann.put(&pause, json!({ "until": until.to_string() })).send().await.created();
    let paused = events(&feed(&app, &path).await);
    assert!(paused.iter().all(|(_, start, _)| *start >= until), "{paused:?}");
    ann.delete(&pause).send().await.no_content();
    assert_eq!(events(&feed(&app, &path).await), before);

    ann.sets(json!({ "locale": "de-AT" })).await.ok();
    assert_eq!(events(&feed(&app, &path).await)[0].2, "Ein Moment für dich");
    ann.sets(json!({ "notifications": false })).await.ok();
    assert_eq!(events(&feed(&app, &path).await), [], "as on her phone");
}

/// What the events of a feed tell of their changes, by id: the start, the stamp and the number.
fn changes(feed: &str) -> BTreeMap<String, (Timestamp, String, i64)> {
    let starts = events(feed).into_iter().map(|(uid, start, _)| (uid, start));
    let each = feed.split("BEGIN:VEVENT").skip(1).zip(starts);
    let told = |event: &str, name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    each.map(|(event, (uid, start))| {
        let stamp = told(event, "DTSTAMP:");
        assert_eq!(told(event, "LAST-MODIFIED:"), stamp);
        assert!(["00", "06", "12", "18"].contains(&&stamp[9..11]) && stamp[11..13] == *"00", "{stamp} tells too much");
        (uid, (start, stamp, told(event, "SEQUENCE:").parse().unwrap()))
    })
    .collect()
}

#[actix_web::test]
async fn fault_a_calendar_app_keeps_the_old_time_of_what_moved() {
    let Clinic { app, therapist, ann, .. } = treated().await;
    let start = app.now() + hours(24 * 5);
    let infusion = plans_infusion(&therapist, &ann, start).await;
    let path = address(&makes(&ann, &ticked(&EVERYTHING, true)).await);
    let text = feed(&app, &path).await;
    let uid = events(&text).into_iter().find(|(.., title)| title == "Appointment").unwrap().0;
    let mut before = changes(&text);
    // Time alone changes nothing of an event.
    app.wait(hours(7));
    let later = changes(&feed(&app, &path).await);
    let same = before.iter().filter(|(uid, state)| later.get(*uid).is_none_or(|now| now == *state));
    assert_eq!(same.count(), before.len(), "{before:?} {later:?}");
    // Two moves within a minute, and one on the next day.
    for (wait, later) in [(SignedDuration::ZERO, 2), (SignedDuration::from_secs(30), 3), (hours(24), 4)] {
        app.wait(wait);
        let at = ann.of_theirs(&format!("/infusions/{infusion}"));
        let tag = therapist.get(&at).send().await.ok().etag();
        let moved = json!({ "planned_start": (start + hours(later)).to_string() });
        therapist.patch(&at, moved).if_match(&tag).send().await.ok();
        let after = changes(&feed(&app, &path).await);
        let ((was, old, few), (is, new, more)) = (&before[&uid], &after[&uid]);
        assert!(was < is && old < new && few < more, "{:?} {:?}", before[&uid], after[&uid]);
        before = after;
    }
    // Prompts move with their patient, who flies to New York.
    ann.sets(json!({ "time_zone": "America/New_York" })).await.ok();
    let (mut moved, after) = (0, changes(&feed(&app, &path).await));
    for (uid, (is, new, more)) in &after {
        let Some((was, old, few)) = before.get(uid) else { continue };
        if was != is {
            assert!(old < new && few < more, "{uid}: {old} {new} {few} {more}");
            moved += 1;
        }
    }
    assert!(moved > 1, "{before:?} {after:?}");
}

#[actix_web::test]
async fn a_feed_of_a_full_plan_has_sixty_four_events() {
    let Clinic { app, therapist, ann, .. } = Clinic::open().await;
    plans_infusion(&therapist, &ann, app.now() + hours(24)).await;
    for n in 1..=70 {
        plant(&app, ann.patient.parse().unwrap(), app.now() + hours(n), |_| {}).await;
    }
    let path = address(&makes(&ann, &ticked(&EVERYTHING, true)).await);
    assert_eq!(events(&feed(&app, &path).await).len(), 64);
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Nullable<Binary>)]
    address_key: Option<Vec<u8>>,
    #[diesel(sql_type = Binary)]
    doc: Vec<u8>,
}

#[actix_web::test]
async fn an_address_is_shown_once_and_stored_as_a_keyed_hash_alone() {
    let Clinic { app, ann, .. } = treated().await;
    let path = ann.my("/calendar");
    ann.get(&path).send().await.not_found();
    let body = ticked(&["reflection"], false);
    let made = ann.put(&path, body.clone()).key("a-key").send().await.created();
    let secret = address(&made).strip_prefix("/v1/calendar/").unwrap().strip_suffix(".ics").unwrap().to_owned();
    assert_eq!(secret.len(), 32, "192 bits");
    // The answer got lost: with the same key it comes again.
    let again = ann.put(&path, body.clone()).key("a-key").send().await.created();
    assert_eq!((again.text("/url"), &again.headers["idempotent-replayed"]), (made.text("/url"), &"true".to_owned()));
    // Nobody else sees it again, not even the patient.
    for other in [ann.put(&path, body.clone()).send().await.ok(), ann.get(&path).send().await.ok()] {
        assert!(!String::from_utf8(other.bytes).unwrap().contains(&secret));
        assert_eq!((&other.body["version"], &other.body["prompts"]), (&json!(1), &json!(["reflection"])));
    }
    let rows: Vec<Stored> = Sql::open(&app.database.backend).rows("SELECT address_key, doc FROM calendars");
    let key = rows[0].address_key.clone().unwrap();
    assert_eq!(key.len(), 32);
    for stored in [&key, &rows[0].doc] {
        assert!(!stored.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
    // With another address the first ends, and a key does not bring it back.
    ann.put(&path, json!({ "prompts": [], "infusions": false, "new_address": true })).send().await.expect(428);
    let body = json!({ "prompts": ["reflection"], "infusions": false, "new_address": true });
    let next = ann.put(&path, body.clone()).if_match(&made.etag()).send().await.created();
    assert_ne!(next.text("/url"), made.text("/url"));
    ann.put(&path, body).if_match(&made.etag()).send().await.expect(412);
    app.get(&address(&made)).send().await.not_found();
    feed(&app, &address(&next)).await;
    let late = ann.put(&path, ticked(&["reflection"], false)).key("a-key").send().await;
    assert_eq!((late.status.as_u16(), &late.body["url"]), (201, &Value::Null));
}

#[actix_web::test]
async fn an_address_that_has_ended_is_like_one_that_never_was() {
    let Clinic { app, therapist, ann, .. } = treated().await;
    let made = makes(&ann, &ticked(&EVERYTHING, true)).await;
    feed(&app, &address(&made)).await;
    ann.delete(&ann.my("/calendar")).send().await.no_content();
    ann.delete(&ann.my("/calendar")).send().await.no_content();
    ann.get(&ann.my("/calendar")).send().await.not_found();
    let gone = app.get(&address(&made)).send().await.not_found();
    let other = "/v1/calendar/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.ics".to_owned();
    for path in [
        other,
        "/v1/calendar/short.ics".to_owned(),
        "/v1/calendar/%C3%A4%ff.ics".to_owned(),
        address(&made).to_lowercase(),
        address(&made).replace(".ics", ""),
    ] {
        let never = app.get(&path).send().await.not_found();
        let without_id = |answer: &Value| {
            let mut answer = answer.clone();
            answer["request_id"] = Value::Null;
            answer
        };
        assert_eq!(without_id(&never.body), without_id(&gone.body), "{path}");
    }
    // A calendar made again has another address, and its versions go on.
    let again = makes(&ann, &ticked(&[], true)).await;
    assert_ne!(address(&again), address(&made));
    assert_eq!(again.body["version"], 3);
    feed(&app, &address(&again)).await;

    // Of a patient whose keys are destroyed, and of one whose account is disabled.
    let ben = app.patient(&therapist, "Ben Roth").await;
    let path = address(&makes(&ben, &ticked(&[], true)).await);
    feed(&app, &path).await;
    let patient: Id<Patient> = ben.patient.parse().unwrap();
    app.server.state.vault.destroy(patient.uuid(), &Purpose::OF_PATIENT).await.unwrap();
    app.get(&path).send().await.not_found();
    disable(&app, ann.account.parse().unwrap()).await;
    app.get(&address(&again)).send().await.not_found();
}

#[actix_web::test]
async fn an_address_ends_with_the_epoch_so_that_a_restored_backup_opens_no_revoked_one() {
    let Clinic { app, ann, therapist, .. } = treated().await;
    let made = makes(&ann, &ticked(&EVERYTHING, true)).await;
    feed(&app, &address(&made)).await;
    drop((ann, therapist));
    renewal::renew(&app.server.state).await.unwrap();
    app.get(&address(&made)).send().await.not_found();
    let ann = again(&app, "Ann Walker").await;
    ann.get(&ann.my("/calendar")).send().await.not_found();
    let next = ann.put(&ann.my("/calendar"), ticked(&EVERYTHING, true)).send().await.created();
    assert!(next.body["version"].as_i64() > Some(1000), "{}", next.body);
    feed(&app, &address(&next)).await;
}

#[actix_web::test]
async fn a_row_that_was_changed_from_outside_opens_no_feed() {
    let Clinic { app, ann, therapist, .. } = treated().await;
    let ben = app.patient(&therapist, "Ben Roth").await;
    let (anns, bens) = (makes(&ann, &ticked(&EVERYTHING, true)).await, makes(&ben, &ticked(&[], true)).await);
    // Whoever can write the database gives Ben's address to Ann's calendar.
    let mut sql = Sql::open(&app.database.backend);
    let whose = |person: &Person| match app.database.backend {
        afterglow::db::Backend::Sqlite(_) => format!("patient_id = x'{}'", person.patient.replace('-', "")),
        afterglow::db::Backend::Postgres(_) => format!("patient_id = '{}'", person.patient),
    };
    sql.run(&format!("CREATE TABLE kept AS SELECT address_key FROM calendars WHERE {}", whose(&ben)));
    sql.run(&format!("UPDATE calendars SET address_key = NULL WHERE {}", whose(&ben)));
    sql.run(&format!("UPDATE calendars SET address_key = (SELECT address_key FROM kept) WHERE {}", whose(&ann)));
    sql.run("DROP TABLE kept");
    app.get(&address(&bens)).send().await.not_found();
    app.get(&address(&anns)).send().await.not_found();
}

#[actix_web::test]
async fn a_calendar_app_that_has_the_feed_gets_nothing_and_the_patient_sees_when_it_was_read() {
    let Clinic { app, therapist, ann, .. } = treated().await;
    let made = makes(&ann, &ticked(&EVERYTHING, true)).await;
    let path = address(&made);
    assert_eq!(made.body["last_read_at"], Value::Null);
    let first = app.get(&path).send().await.ok();
    let (read_at, tag) = (app.now().to_string(), first.etag());
    let seen = async || ann.get(&ann.my("/calendar")).send().await.ok().body["last_read_at"].clone();
    assert_eq!(seen().await, json!(read_at));
    app.wait(SignedDuration::from_mins(20));
    let same = app.get(&path).header("if-none-match", &tag).send().await;
    assert_eq!((same.status.as_u16(), same.bytes.len()), (304, 0));
    assert_eq!(seen().await, json!(read_at), "to the hour: a reading is seldom a write");
    app.wait(SignedDuration::from_mins(40));
    app.get(&path).header("if-none-match", &tag).send().await;
    assert_eq!(seen().await, json!(app.now().to_string()));
    plans_infusion(&therapist, &ann, app.now() + hours(24 * 5)).await;
    let other = app.get(&path).header("if-none-match", &tag).send().await.ok();
    assert_ne!(other.etag(), tag);
    let head = app.request(reqwest::Method::HEAD, &path).send().await.ok();
    assert_eq!(head.bytes.len(), 0);
    // A change of what is ticked keeps the note, another address begins anew.
    let tag = ann.get(&ann.my("/calendar")).send().await.ok().etag();
    ann.put(&ann.my("/calendar"), ticked(&[], true)).if_match(&tag).send().await.ok();
    assert_ne!(seen().await, Value::Null);
    makes(&ann, &ticked(&[], true)).await;
    assert_eq!(seen().await, Value::Null);
}

#[actix_web::test]
async fn a_calendar_app_may_add_parameters_and_send_what_is_no_tag() {
    let Clinic { app, ann, .. } = treated().await;
    let path = address(&makes(&ann, &ticked(&EVERYTHING, true)).await);
    let first = app.get(&path).send().await.ok();
    assert!(first.bytes.len() > 500);
    for more in ["?nocache=1765432100", "?a&a=%ff&=", "?"] {
        assert_eq!(app.get(&format!("{path}{more}")).send().await.ok().bytes, first.bytes, "{more}");
    }
    let long = "\"x\",".repeat(99);
    for odd in ["unquoted", "\"open", "W/", "*, x", &long] {
        let whole = app.get(&path).header("if-none-match", odd).send().await.ok();
        assert_eq!((&whole.bytes, whole.etag()), (&first.bytes, first.etag()), "{odd}");
    }
    let known = app.get(&format!("{path}?nocache=7")).header("if-none-match", first.etag()).send().await.expect(304);
    assert_eq!(known.bytes, b"");
    app.get("/v1/calendar/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.ics?nocache=7").send().await.not_found();
}

#[actix_web::test]
async fn another_implementation_reads_the_feed() {
    let Clinic { app, therapist, ann, .. } = treated().await;
    plans_infusion(&therapist, &ann, app.now() + hours(24 * 5)).await;
    ann.sets(json!({ "locale": "pl" })).await.ok();
    let made = makes(&ann, &ticked(&EVERYTHING, true)).await;
    let text = feed(&app, &address(&made)).await;
    let script = "whole = icalendar.Calendar.from_ical(given)\n\
        assert not whole.errors, whole.errors\n\
        found = [[str(one['UID']), one.decoded('DTSTART').strftime('%Y-%m-%dT%H:%M:%S%z'), str(one['SUMMARY'])] \
        for one in whole.walk('VEVENT') if not one.errors]\n\
        json.dump(found, sys.stdout)";
    let read = |text: &str| python("icalendar", script, &json!(text));
    let Some(found) = read(&text) else { return };
    let own: Vec<_> = events(&text)
        .into_iter()
        .map(|(uid, start, title)| json!([uid, start.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string(), title]))
        .collect();
    assert!(own.len() > 5);
    assert_eq!(found, json!(own));
    // Also one without events.
    let tag = made.etag();
    ann.put(&ann.my("/calendar"), ticked(&[], false)).if_match(&tag).send().await.ok();
    assert_eq!(read(&feed(&app, &address(&made)).await), Some(json!([])));
}

#[actix_web::test]
async fn while_the_disk_is_full_a_calendar_app_is_told_to_come_back() {
    let Clinic { app, ann, .. } = treated().await;
    let path = address(&makes(&ann, &ticked(&EVERYTHING, true)).await);
    // Its patient could not see that it was read.
    refuse(&app, ("UPDATE", "calendars"), "database or disk is full");
    app.get(&path).send().await.expect(507).refused("storage_full");
    refuse_no_more(&app);
    feed(&app, &path).await;
}
