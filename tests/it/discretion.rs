//! What is told of people only in part, and only if they want it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of};
use crate::support::journal::{reflection, two, with};
use crate::support::people::Person;

#[actix_web::test]
async fn rule_an_admin_sees_counts_of_ten_or_more_only() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care"]).await;
    let clinic = theo.get("/v1/me/patients").send().await.ok();
    assert_eq!(clinic.body["items"], json!([]));
    let mut path = String::new();
    for count in 1..=11 {
        let patient = app.patient(&theo, &format!("Patient {count}")).await;
        if path.is_empty() {
            path = format!("/v1/clinics/{}", patient.care_links().await[0]["clinic_id"].as_str().unwrap());
            assert_eq!(admin.get(&path).send().await.ok().body["name"], "Lakeside Clinic");
        }
        let told = admin.get(&path).send().await.ok().body["patients"].clone();
        assert_eq!(told, if count < 10 { json!("< 10") } else { json!(count.to_string()) }, "{count}");
        if count == 9 {
            // A second therapist of the same patient is not a second patient.
            let una = app.staff(&admin, "Una Falk", &["care"]).await;
            let code = una.code_for_patient().await;
            patient.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok();
            let link = id_of(&una.care_links().await[0]);
            una.post(&format!("/v1/care-links/{link}/confirm"), json!({})).send().await.ok();
            assert_eq!(admin.get(&path).send().await.ok().body["patients"], "< 10");
        }
    }
    theo.get(&path).send().await.expect(403);
}

#[actix_web::test]
async fn rule_a_therapist_sees_activity_only_if_the_patient_switched_it_on() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (mine, hers) = (ann.my("/activity"), ann.of_theirs("/activity"));
    let hidden = json!({ "shared": false });
    // Nothing asked is not everything answered.
    let nothing = json!({ "offered": 0, "answered": 0 });
    for title in ["One", "Two"] {
        ann.writes(reflection(title)).await;
    }
    assert_eq!(theo.get(&hers).send().await.ok().body, hidden, "off at first");
    assert_eq!(
        ann.get(&mine).send().await.ok().body,
        json!({ "shared": false, "days_active_of_7": 1, "prompts": nothing })
    );

    app.wait(SignedDuration::from_hours(24));
    ann.sets(json!({ "share_activity": true })).await.ok();
    assert_eq!(
        theo.get(&hers).send().await.ok().body,
        json!({ "shared": true, "days_active_of_7": 2, "prompts": nothing })
    );
    // What a therapist does with her record is not her activity.
    app.wait(SignedDuration::from_hours(24));
    theo.records(&ann, app.now() - SignedDuration::from_hours(1)).await;
    assert_eq!(theo.get(&hers).send().await.ok().body["days_active_of_7"], 2);
    // A week later she has been quiet.
    app.wait(SignedDuration::from_hours(24 * 6));
    assert_eq!(theo.get(&hers).send().await.ok().body["days_active_of_7"], 0);
    // Switched off, it is gone at once.
    ann.sets(json!({ "share_activity": false })).await.ok();
    assert_eq!(theo.get(&hers).send().await.ok().body, hidden);
}

#[actix_web::test]
async fn fault_nothing_offered_is_no_hundred_percent_and_an_answer_in_time_counts_however_late_it_arrives() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    ann.sets(json!({ "share_activity": true })).await.ok();
    let prompts = async |theo: &Person, ann: &Person| {
        theo.get(&ann.of_theirs("/activity")).send().await.ok().body["prompts"].clone()
    };
    theo.records(&ann, app.now() - SignedDuration::from_hours(1)).await;
    assert_eq!(prompts(&theo, &ann).await, json!({ "offered": 0, "answered": 0 }));

    // Three days later: nine or so were asked. Offline, Ann has answered two of them in time, and one too late.
    let planned = ann.prompts().await;
    app.wait(SignedDuration::from_hours(72));
    let due = |prompt: &Value| prompt["detail"]["due_at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let asked: Vec<_> = planned.iter().filter(|prompt| due(prompt) <= app.now()).collect();
    let offered = asked.len();
    assert!(offered > 5, "{offered}");
    assert_eq!(prompts(&theo, &ann).await, json!({ "offered": offered, "answered": 0, "share": 0.0 }));
    let expires = |prompt: &Value| prompt["detail"]["expires_at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let lapsed: Vec<_> = asked.iter().filter(|prompt| expires(prompt) < app.now()).collect();
    for (prompt, answered) in [
        (lapsed[0], due(lapsed[0]) + SignedDuration::from_mins(9)),
        (lapsed[1], expires(lapsed[1]) - SignedDuration::from_secs(1)),
        (lapsed[2], expires(lapsed[2])),
    ] {
        let more = json!({ "prompt_id": prompt["id"], "occurred_at": answered.to_string() });
        ann.writes(with(reflection("Offline"), more)).await;
    }
    let share = (2000.0 / offered as f64).round() / 1000.0;
    assert_eq!(prompts(&theo, &ann).await, json!({ "offered": offered, "answered": 2, "share": share }));
}
