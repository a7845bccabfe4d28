//! The clinic of the demo, walked over HTTP as each of its people: what the story left behind, who sees what of it.

use std::collections::{BTreeMap, BTreeSet};

use afterglow::kernel::Zone;
use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::app::id_of;
use crate::support::child;
use crate::support::lakeside::{
    ADA, ALL, ELIF, IDA, JONAH, MARA, NIAMH, NOOR, NOW, PATIENTS, SAMIR, TESS, Visitor, deeds, each, in_state,
    lakeside, one,
};

#[actix_web::test]
async fn everybody_is_where_the_story_left_them() {
    let app = lakeside().await;
    let (mut entries, mut responses) = (0, 0);
    for (email, phase, done, planned) in [
        (MARA, "settling", 3, 3),
        (JONAH, "consolidate", 3, 1),
        (IDA, "maintenance", 4, 1),
        (ELIF, "peak", 2, 0),
        (NIAMH, "maintenance", 2, 0),
    ] {
        let who = Visitor::log_in(&app, email).await;
        let window = who.get("/v1/patients/me/window").await;
        assert_eq!(window["phase"], phase, "{email}: {window}");
        assert!(window.get("index").is_none() && window["disclaimer"].is_string());
        let infusions = who.mine("infusions").await;
        let count = |status: &str| infusions.iter().filter(|one| one["status"] == status).count();
        assert_eq!((count("completed"), count("planned")), (done, planned), "{email}");
        let prompts = who.mine(ALL).await;
        for state in ["completed", "lapsed"] {
            assert!(in_state(&prompts, state) > 0, "{email}: nothing is {state}");
        }
        assert!(prompts.iter().any(|one| one["state"] == "planned"), "{email}: nothing is to come");
        let written = who.mine("entries").await;
        assert!(written.iter().any(|entry| entry.get("mood").is_some()), "{email}");
        assert!(each(&written, "/kind").into_iter().collect::<BTreeSet<_>>().len() >= 3, "{email}");
        let kept = written.iter().filter(|entry| entry["tags"].to_string().contains("takeaway")).count();
        assert!(kept > 0, "{email} has kept nothing");
        entries += written.len();
        let worked = who.mine("exercise-responses").await;
        assert!(!worked.is_empty(), "{email}");
        responses += worked.len();
    }
    assert_eq!((entries, responses), (deeds("write"), deeds("practise")), "all of it");
    assert!(entries > 40 && responses > 18, "{entries} entries, {responses} responses");
}

#[actix_web::test]
async fn what_patients_do_with_prompts_and_exercises_is_all_there() {
    let app = lakeside().await;
    let (mut states, mut statuses) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
    for email in PATIENTS {
        let who = Visitor::log_in(&app, email).await;
        let prompts = who.mine(ALL).await;
        states.extend(each(&prompts, "/state").into_iter().map(str::to_owned));
        for response in who.mine("exercise-responses").await {
            *statuses.entry(response["status"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    for state in ["planned", "completed", "skipped", "lapsed", "cancelled", "opened"] {
        assert!(states.contains(state), "nothing is {state}: {states:?}");
    }
    assert!(statuses["draft"] >= 3 && statuses["done"] >= 15, "{statuses:?}");

    let mara = Visitor::log_in(&app, MARA).await;
    let values = one(&mara.mine("exercise-responses").await, "/exercise_key", "values-sort").clone();
    let path = format!("/v1/patients/me/exercise-responses/{}/revisions", values["id"].as_str().unwrap());
    assert_eq!(values["version"], 2);
    assert!(!mara.list(&path).await.is_empty(), "what she changed is kept");
    let elif = Visitor::log_in(&app, ELIF).await;
    let bridge = one(&elif.mine("entries").await, "/text/title", "Half a bridge").clone();
    assert!(bridge["version"] == 2 && bridge["text"]["body"].as_str().unwrap().ends_with("uncle's hat."));
    assert!(!elif.mine(&format!("entries/{}/revisions", bridge["id"].as_str().unwrap())).await.is_empty());

    let ida = Visitor::log_in(&app, IDA).await;
    let pauses = ida.mine("pauses").await;
    assert_eq!(pauses.len(), 1);
    let due: Vec<String> = each(&ida.mine(ALL).await, "/detail/due_at").into_iter().map(str::to_owned).collect();
    let (from, until) = (pauses[0]["from"].as_str().unwrap(), pauses[0]["until"].as_str().unwrap());
    assert!(from < until && due.iter().any(|at| at.as_str() < from) && due.iter().any(|at| at.as_str() > until));
    let jonah = Visitor::log_in(&app, JONAH).await;
    let later = jonah.mine(ALL).await.into_iter().rfind(|one| one["rule_key"] == "d5.parts").unwrap();
    assert_eq!(later["detail"]["local_date"], "2026-03-10", "put off until today: {later}");
}

#[actix_web::test]
async fn therapists_see_their_own_patients_and_what_is_open_to_them() {
    let app = lakeside().await;
    let (tess, samir) = (Visitor::log_in(&app, TESS).await, Visitor::log_in(&app, SAMIR).await);
    let names = |roster: Vec<Value>| {
        each(&roster, "/name")
            .into_iter()
            .map(|name| name.split(' ').next().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names(tess.list("/v1/me/patients").await), set(&["Jonah", "Mara"]));
    assert_eq!(names(samir.list("/v1/me/patients").await), set(&["Ida", "Jonah"]));

    let mara = Visitor::log_in(&app, MARA).await;
    let shared = tess.of(&mara, "entries").await;
    let titles: BTreeSet<&str> = each(&shared, "/text/title").into_iter().collect();
    assert_eq!(titles, BTreeSet::from(["A very small thing", "Between two stations", "For tomorrow", "The staircase"]));
    assert!(shared.len() < mara.mine("entries").await.len());
    assert!(!json!(shared).to_string().contains("library"), "what was taken back is not there");
    samir.ask(&format!("/v1/patients/{}/entries", mara.patient)).await.not_found();

    let jonah = Visitor::log_in(&app, JONAH).await;
    let shared = tess.of(&jonah, "entries").await;
    assert!(shared.iter().any(|entry| entry.get("text").is_none() && entry.get("mood").is_some()), "one section only");
    assert!(titles_of(&shared).contains("Took the coat off"), "an entry under a rule that was made before it");
    assert_eq!(titles_of(&samir.of(&jonah, "entries").await), BTreeSet::from(["Soup".to_owned()]), "for the team");

    let place = tess.of(&mara, "exercise-responses").await;
    assert_eq!(each(&place, "/exercise_key"), ["safe-place"]);
    assert!(place[0]["answers"].is_object() && place[0]["distress"].is_object());
    let step = tess.of(&jonah, "exercise-responses").await;
    assert!(step[0]["answers"]["done"].as_bool().unwrap() && step[0].get("distress").is_none());
}

fn titles_of(entries: &[Value]) -> BTreeSet<String> {
    each(entries, "/text/title").into_iter().map(str::to_owned).collect()
}

#[actix_web::test]
async fn comments_stay_in_the_thread_of_their_therapist() {
    let app = lakeside().await;
    let (jonah, tess, samir) =
        (Visitor::log_in(&app, JONAH).await, Visitor::log_in(&app, TESS).await, Visitor::log_in(&app, SAMIR).await);
    let soup = id_of(one(&jonah.mine("entries").await, "/text/title", "Soup"));
    let thread = format!("entries/{soup}/comments");
    let mine = jonah.mine(&thread).await;
    assert_eq!(each(&mine, "/author_id").into_iter().collect::<BTreeSet<_>>().len(), 2, "both sides wrote");
    assert_eq!(samir.of(&jonah, &thread).await.len(), 2);
    assert!(tess.of(&jonah, &thread).await.is_empty(), "the entry is open to both, the thread is not");
    let seen = jonah.get(&format!("/v1/patients/me/entries/{soup}")).await;
    assert_eq!(each(seen["seen_by"].as_array().unwrap(), "/account_id"), [samir.account.as_str()]);
}

#[actix_web::test]
async fn assignments_tell_that_and_when_and_not_what() {
    let app = lakeside().await;
    let (mara, jonah, ida) =
        (Visitor::log_in(&app, MARA).await, Visitor::log_in(&app, JONAH).await, Visitor::log_in(&app, IDA).await);
    let (tess, samir) = (Visitor::log_in(&app, TESS).await, Visitor::log_in(&app, SAMIR).await);
    let hers = tess.of(&mara, "assignments").await;
    let state = |list: &[Value], key: &str| one(list, "/exercise_key", key)["state"].as_str().unwrap().to_owned();
    assert_eq!(state(&hers, "safe-place"), "done");
    assert_eq!(state(&hers, "leaves-defusion"), "assigned");
    assert_eq!(state(&hers, "repair-letter"), "withdrawn");
    let place = one(&hers, "/exercise_key", "safe-place");
    assert_eq!(place["done_on"], "2026-02-16", "the day where she was");
    assert!(place["response_id"].is_string(), "it was opened");

    let his = samir.of(&jonah, "assignments").await;
    assert_eq!(each(&his, "/exercise_key"), ["experiment"], "each therapist sees their own");
    assert_eq!(jonah.mine("assignments").await.len(), 2);

    let thanks = one(&samir.of(&ida, "assignments").await, "/exercise_key", "gratitude-specific").clone();
    assert_eq!((&thanks["state"], thanks.get("response_id")), (&json!("done"), None), "done, and hers");
}

#[actix_web::test]
async fn what_speaks_against_an_exercise_is_never_named_to_the_patient() {
    let app = lakeside().await;
    let (ida, samir) = (Visitor::log_in(&app, IDA).await, Visitor::log_in(&app, SAMIR).await);
    let flags = samir.get(&format!("/v1/patients/{}/cautions", ida.patient)).await;
    assert_eq!(flags["flags"], json!(["grief"]));
    let offered = ida.mine("exercises").await;
    let offer = |key: &str| one(&offered, "/exercise/key", key)["offer"].as_str().unwrap().to_owned();
    assert_eq!(offer("kind-letter"), "with_therapist");
    assert_eq!(offer("box-breath"), "yes");
    for path in ["exercises", "exercises/suggested", "assignments"] {
        let text = ida.get(&format!("/v1/patients/me/{path}")).await.to_string();
        assert!(!text.contains("grief"), "{path}");
    }
}

#[actix_web::test]
async fn the_patient_sees_who_looked() {
    let app = lakeside().await;
    for email in [MARA, JONAH, IDA, NIAMH] {
        let log = Visitor::log_in(&app, email).await.mine("access-log").await;
        let acts: BTreeSet<&str> = each(&log, "/act").into_iter().collect();
        for act in [
            "confirm_care_link",
            "put_infusion",
            "end_infusion",
            "get_entry",
            "mark_entry_opened",
            "put_comment",
            "put_assignment",
            "get_exercise_response",
            "mark_response_opened",
        ] {
            assert!(acts.contains(act), "{email}: no {act}");
        }
        assert!(each(&log, "/at").iter().all(|at| *at < NOW));
    }
}

#[actix_web::test]
async fn the_nurse_and_the_admin_read_no_journal() {
    let app = lakeside().await;
    let (mara, noor, ada) =
        (Visitor::log_in(&app, MARA).await, Visitor::log_in(&app, NOOR).await, Visitor::log_in(&app, ADA).await);
    assert_eq!(noor.of(&mara, "infusions").await.len(), 6);
    for path in ["entries", "exercise-responses", "assignments", "prompts", "cautions", "activity"] {
        noor.ask(&format!("/v1/patients/{}/{path}", mara.patient)).await.not_found();
    }
    for path in ["entries", "infusions", "window"] {
        ada.ask(&format!("/v1/patients/{}/{path}", mara.patient)).await.not_found();
    }
}

#[actix_web::test]
async fn after_a_link_has_ended_the_clinic_sees_nothing_and_the_patient_keeps_all() {
    let app = lakeside().await;
    let (niamh, tess, noor) =
        (Visitor::log_in(&app, NIAMH).await, Visitor::log_in(&app, TESS).await, Visitor::log_in(&app, NOOR).await);
    for path in
        ["entries", "exercise-responses", "assignments", "prompts", "window", "infusions", "care-team", "courses"]
    {
        tess.ask(&format!("/v1/patients/{}/{path}", niamh.patient)).await.not_found();
        noor.ask(&format!("/v1/patients/{}/{path}", niamh.patient)).await.not_found();
    }
    assert!(niamh.mine("grants").await.iter().all(|grant| grant["live"] == json!(false)));
    let assigned = niamh.mine("assignments").await;
    assert_eq!(one(&assigned, "/exercise_key", "box-breath")["state"], "done");
    assert_eq!(one(&assigned, "/exercise_key", "kind-letter")["state"], "ended");
    let entries = niamh.mine("entries").await;
    let well = one(&entries, "/text/title", "The well in the yard")["id"].as_str().unwrap();
    let thread = niamh.mine(&format!("entries/{well}/comments")).await;
    assert_eq!(thread.len(), 2, "what was said stays with her");
    let more = json!({ "body": "Still there?", "thread_id": thread[0]["thread_id"] });
    let path = format!("/v1/patients/me/entries/{well}/comments");
    niamh.says(&path, more).await.expect(409).refused("state_conflict");
    assert!(titles_of(&entries).contains("Three lines from the west"), "she goes on writing");
    let links = niamh.list("/v1/care-links").await;
    assert_eq!(each(&links, "/state"), ["ended"]);
}

#[actix_web::test]
async fn the_patient_without_a_clinic_is_her_own() {
    let app = lakeside().await;
    let elif = Visitor::log_in(&app, ELIF).await;
    let links = elif.list("/v1/care-links").await;
    assert_eq!((each(&links, "/state"), links[0].get("active_at")), (vec!["ended"], None), "never confirmed");
    for email in [SAMIR, TESS, NOOR] {
        let staff = Visitor::log_in(&app, email).await;
        for path in ["entries", "window", "infusions", "assignments"] {
            staff.ask(&format!("/v1/patients/{}/{path}", elif.patient)).await.not_found();
        }
    }
    assert!(elif.mine("care-team").await.is_empty() && elif.mine("grants").await.is_empty());
    assert_eq!(each(&elif.mine("infusions").await, "/source"), ["patient", "patient"]);
    let prompts = elif.mine(ALL).await;
    assert!(in_state(&prompts, "completed") >= 4 && in_state(&prompts, "planned") >= 5);
    assert!(!each(&prompts, "/rule_key").contains(&"d3.share"), "nobody to show it to");
    let read = elif.mine("access-log").await;
    assert!(read.iter().all(|row| row["refused"] == json!(true)), "nobody has read anything: {read:?}");
    assert_eq!(elif.get("/v1/me").await["settings"]["quiet_hours"]["from"], "22:00");
}

#[actix_web::test]
async fn activity_is_shown_where_it_was_switched_on_and_overrides_to_both() {
    let app = lakeside().await;
    let (mara, jonah, tess) =
        (Visitor::log_in(&app, MARA).await, Visitor::log_in(&app, JONAH).await, Visitor::log_in(&app, TESS).await);
    let path = |who: &Visitor| format!("/v1/patients/{}/activity", who.patient);
    let active = tess.get(&path(&jonah)).await;
    assert!(active["shared"] == json!(true) && active["days_active_of_7"].as_u64().unwrap() >= 4, "{active}");
    assert_eq!(tess.get(&path(&mara)).await, json!({ "shared": false }));
    let changed = jonah.mine("overrides").await;
    assert_eq!(each(&changed, "/rule_key"), ["d11.draw", "d3.kindness"]);
    let draws = jonah.mine(ALL).await.into_iter().filter(|one| one["rule_key"] == "d11.draw");
    assert!(draws.into_iter().all(|one| one["state"] == "cancelled"), "what is left out is not asked");
    let kindness = jonah.mine(ALL).await.into_iter().rfind(|one| one["rule_key"] == "d3.kindness").unwrap();
    assert!(kindness["detail"]["local_time"].as_str().unwrap() >= "15:00", "what is moved comes then: {kindness}");
}

/// Quiet hours, the caps and the horizon hold in every plan, on both sides of a change of the clocks.
#[actix_web::test]
async fn no_prompt_comes_in_quiet_hours_nor_more_in_a_day_than_the_cap() {
    let app = lakeside().await;
    let now: Timestamp = NOW.parse().unwrap();
    for email in PATIENTS {
        let who = Visitor::log_in(&app, email).await;
        let settings = who.get("/v1/me").await["settings"].clone();
        let zone = Zone::parse(settings["time_zone"].as_str().unwrap()).unwrap();
        let time = |side: &str| settings["quiet_hours"][side].as_str().unwrap().parse::<Time>().unwrap();
        let (from, to) = (time("from"), time("to"));
        let mut days: BTreeMap<Date, usize> = BTreeMap::new();
        for prompt in who.mine(ALL).await {
            let due: Timestamp = prompt["detail"]["due_at"].as_str().unwrap().parse().unwrap();
            assert!(due <= now + SignedDuration::from_hours(15 * 24), "{email}: {prompt}");
            if prompt["state"] == "cancelled" {
                continue;
            }
            let local = zone.local(due);
            assert_eq!(prompt["detail"]["local_date"], json!(local.date()), "{email}");
            assert!(local.time() < from && local.time() >= to, "{email}: {local} is quiet: {prompt}");
            if !prompt["rule_key"].as_str().unwrap().ends_with(".mood") {
                *days.entry(local.date()).or_default() += 1;
            }
        }
        assert!(days.len() > 10 && days.values().all(|count| *count <= 3), "{email}: {days:?}");
    }
}

#[actix_web::test]
async fn an_induction_goes_across_a_change_of_the_clocks() {
    let app = lakeside().await;
    let mara = Visitor::log_in(&app, MARA).await;
    assert_eq!(mara.get("/v1/me").await["settings"]["time_zone"], "America/New_York");
    let infusions = mara.mine("infusions").await;
    let starts: BTreeSet<&str> = each(&infusions, "/planned_start").into_iter().collect();
    let expected = [
        "2026-03-02T15:30:00Z",
        "2026-03-05T15:30:00Z",
        "2026-03-09T14:30:00Z",
        "2026-03-13T14:30:00Z",
        "2026-03-16T14:30:00Z",
        "2026-03-20T14:30:00Z",
    ];
    assert_eq!(starts, BTreeSet::from(expected), "half past ten on the wall, before and after");
    let tells: Vec<Value> = mara
        .mine(ALL)
        .await
        .into_iter()
        .filter(|one| one["rule_key"] == "d1.tell" && one["state"] != "cancelled")
        .collect();
    assert!(tells.len() >= 3, "{tells:#?}");
    for tell in tells {
        let time = tell["detail"]["local_time"].as_str().unwrap().to_owned();
        assert!(("11:30".."14:00").contains(&time.as_str()), "{tell}");
    }
}

#[actix_web::test]
async fn every_audit_chain_of_the_clinic_fits() {
    let app = lakeside().await;
    let tess = Visitor::log_in(&app, TESS).await;
    let mara = Visitor::log_in(&app, MARA).await;
    tess.of(&mara, "entries").await;
    drop((tess, mara));
    let (status, said) = child::run(&app.stop(), &["audit", "verify", "--log", "warn"]);
    assert!(status.success() && said.contains("chains fit"), "{said}");
}
