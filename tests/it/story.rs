//! The main journey, told once from beginning to end.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::reference_phone::Phone;
use crate::support::app::{TestApp, id_of, new_id};
use crate::support::dice::Dice;
use crate::support::journal::{reflection, with};
use crate::support::people::completed;
use crate::support::sync::{send, syncs};

fn keys_of(prompts: &[Value]) -> Vec<String> {
    prompts.iter().map(|prompt| prompt["rule_key"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn from_an_infusion_to_a_reflection_that_the_therapist_reads() {
    let app = TestApp::start().await;

    // A clinic, its people, and a care link that both sides have checked.
    let ada = app.admin().await;
    let tess = app.staff(&ada, "Tess Moreau", &["care"]).await;
    let noor = app.staff(&ada, "Noor Haddad", &["record"]).await;
    let ann = app.patient(&tess, "Ann Walker").await;

    // Nobody has had an infusion: no window, nothing planned but what recurs.
    let window = ann.get("/v1/patients/me/window").send().await.ok();
    assert_eq!(window.body["phase"], "none");

    // The nurse plans an infusion. When it is over the patient says so, and the plan is there with the answer.
    let infusion = new_id(&app);
    let planned = json!({ "status": "planned", "route": "iv_infusion", "planned_start": "2026-03-10T09:00:00Z", "planned_minutes": 40 });
    let tag = noor.put(&ann.of_theirs(&format!("/infusions/{infusion}")), planned).send().await.created().etag();
    app.wait(SignedDuration::from_mins(110));
    let over = ann.act(&format!("/v1/patients/me/infusions/{infusion}/end")).send().await.ok();
    assert_eq!((&over.body["status"], &over.body["source"]), (&json!("completed"), &json!("patient")));
    assert!(over.text("/driving").starts_with("Please do not drive before"));
    let told = ann.prompts().await;
    // The nurse's record replaces her word, and no prompt is asked twice.
    let done = completed(app.now());
    let path = ann.of_theirs(&format!("/infusions/{infusion}"));
    noor.put(&path, done.clone()).if_match(&tag).send().await.expect(412);
    let recorded = noor.put(&path, done).if_match(&over.etag()).send().await.ok();
    assert_eq!(
        (&recorded.body["source"], &recorded.body["reported"]["ended_at"]),
        (&json!("clinic"), &json!(app.now()))
    );
    let prompts = ann.prompts().await;
    let keys = keys_of(&prompts);
    assert_eq!(keys, keys_of(&told));
    let course = tess.get(&ann.of_theirs("/courses")).send().await.ok();
    assert_eq!((&course.body["items"][0]["completed"], &course.body["items"][1]), (&json!(1), &Value::Null));
    for rule in ["d0.fragments", "d1.tell", "d1.exercise", "d2.step", "d4.ifthen", "d12.signs", "d13.letter"] {
        assert!(keys.contains(&rule.to_owned()), "{rule} is missing in {keys:?}");
    }
    // Looking over the week makes sense once something was written.
    assert!(!keys.contains(&"d8.review".to_owned()));
    // What needs a capability that is not built is in the protocol and not in the plan.
    assert!(!keys.iter().any(|key| matches!(key.as_str(), "d0.landing" | "d1.check" | "d7.measures" | "adapt.low")));
    let window = ann.get("/v1/patients/me/window").send().await.ok();
    assert_eq!(window.body["phase"], "acute");
    assert!(window.body.get("index").is_none());
    let clinical = tess.get(&ann.of_theirs("/window/clinical")).send().await.ok();
    assert!(clinical.body["index"].is_number());

    // The next day the patient answers a prompt by writing. They are at home; the words are theirs alone.
    app.wait(SignedDuration::from_hours(27));
    let tell =
        prompts.iter().find(|prompt| prompt["rule_key"] == "d1.tell").unwrap()["id"].as_str().unwrap().to_owned();
    let id = new_id(&app);
    let words = with(reflection("The lake"), json!({ "prompt_id": tell, "occurred_at": app.now().to_string() }));
    let written = ann.put(&format!("/v1/patients/me/entries/{id}"), words).send().await.created();
    assert_eq!(written.body["context"]["phase"], "peak");
    let answered = ann.prompts().await.into_iter().find(|prompt| prompt["id"] == json!(tell)).unwrap();
    assert_eq!(answered["state"], "completed");
    assert_eq!(answered["detail"]["answer_id"], json!(id));
    assert!(keys_of(&ann.prompts().await).contains(&"d8.review".to_owned()));
    tess.get(&ann.of_theirs(&format!("/entries/{id}"))).send().await.not_found();
    assert_eq!(tess.get(&ann.of_theirs("/entries")).send().await.ok().body["items"], json!([]));

    // The patient opens one section of it to the therapist, who finds, opens and answers it.
    let grant = ann.opens(&id, &["text"], &tess).await;
    assert_eq!(tess.get("/v1/me/patients").send().await.ok().body["items"][0]["name"], "Ann Walker");
    let seen = tess.get(&ann.of_theirs(&format!("/entries/{id}"))).send().await.ok();
    assert_eq!(seen.text("/text/body"), "It was quiet, and I could stay.");
    assert!(seen.body.get("mood").is_none());
    tess.act(&ann.of_theirs(&format!("/entries/{id}/opened"))).send().await.ok();
    tess.says(&ann.of_theirs(&format!("/entries/{id}/comments")), json!({ "body": "Thank you for this." }))
        .send()
        .await
        .created();
    let mine = ann.get(&format!("/v1/patients/me/entries/{id}")).send().await.ok();
    assert_eq!(mine.body["seen_by"][0]["account_id"], json!(tess.account));
    let log = ann.get("/v1/patients/me/access-log").send().await.ok();
    let acts: Vec<&str> = log.items().iter().map(|item| item["act"].as_str().unwrap()).collect();
    assert!(acts.contains(&"get_entry") && acts.contains(&"mark_entry_opened"), "{acts:?}");
    noor.get(&ann.of_theirs(&format!("/entries/{id}"))).send().await.not_found();
    ada.get(&ann.of_theirs("/window")).send().await.not_found();

    // The therapist asks for an exercise. The patient works on it step by step, and opens the answers, not how it felt.
    let assignment = tess.assigns(&ann, "if-then-habit").await;
    let now = ann.get("/v1/patients/me/exercises/suggested").send().await.ok();
    assert_eq!(now.text("/items/0/assignment_id"), assignment);
    let begin = json!({ "exercise_key": "if-then-habit", "exercise_version": 1, "status": "draft", "assignment_id": assignment,
        "occurred_at": app.now().to_string(), "distress": { "before": 4 } });
    let response = ann.works(begin).await;
    ann.resumes(&response, json!({ "answers": { "when": "the kettle boils", "then": "three slow breaths" } })).await;
    tess.get(&ann.of_theirs(&format!("/exercise-responses/{response}"))).send().await.not_found();
    ann.resumes(&response, json!({ "status": "done", "distress": { "after": 2, "usefulness": 3 } })).await;
    assert!(keys_of(&ann.prompts().await).contains(&"d5.habit".to_owned()), "there is a plan to ask about");
    let asked = tess.get(&ann.of_theirs(&format!("/assignments/{assignment}"))).send().await.ok();
    assert_eq!((asked.text("/state"), asked.body.get("response_id")), ("done".to_owned(), None));
    ann.opens_response(&response, &["answers"], &tess).await;
    let seen = tess.get(&ann.of_theirs(&format!("/exercise-responses/{response}"))).send().await.ok();
    assert_eq!(seen.text("/answers/then"), "three slow breaths");
    assert!(seen.body.get("distress").is_none());
    noor.get(&ann.of_theirs(&format!("/exercise-responses/{response}"))).send().await.not_found();

    // And takes it back: at once, and with the link everything else.
    ann.delete(&format!("/v1/patients/me/grants/{grant}")).send().await.no_content();
    tess.get(&ann.of_theirs(&format!("/entries/{id}"))).send().await.not_found();
    let link = id_of(&ann.care_links().await[0]);
    ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    tess.get(&ann.of_theirs("/window")).send().await.not_found();
    tess.get(&ann.of_theirs("/infusions")).send().await.not_found();
    tess.get(&ann.of_theirs(&format!("/exercise-responses/{response}"))).send().await.not_found();
    tess.get(&ann.of_theirs(&format!("/assignments/{assignment}"))).send().await.not_found();
    assert_eq!(tess.get("/v1/me/patients").send().await.ok().body["items"], json!([]));
    assert_eq!(ann.get(&format!("/v1/patients/me/entries/{id}")).send().await.ok().text("/text/title"), "The lake");
}

/// A weekend in a cabin: two devices, no network, one clock that is wrong.
#[actix_web::test]
async fn what_was_written_in_a_cabin_without_a_network_is_read_on_monday() {
    let app = TestApp::start().await;
    let tess = app.staff(&app.admin().await, "Tess Moreau", &["care"]).await;
    let ann = app.patient(&tess, "Ann Walker").await;
    let folder = tempfile::tempdir().unwrap();
    let dice = Dice::new(1);
    let open = |name: &str| {
        let dice = dice.clone();
        Phone::open(&folder.path().join(name), (&ann.patient, &ann.account), move || dice.id())
    };
    let (mut phone, mut tablet) = (open("phone"), open("tablet"));
    // At home she begins an entry. Both devices have it.
    let lake = new_id(&app);
    let header = json!({ "kind": "reflection", "status": "done", "occurred_at": app.now().to_string() });
    phone.edit(("entry", &lake), "header", header);
    phone.edit(("entry", &lake), "text", json!({ "title": "The lake", "body": "Before we left." }));
    syncs(&ann, &mut phone).await;
    syncs(&ann, &mut tablet).await;

    // Three days without a network. The phone's clock is two days ahead, and it is switched off in between.
    app.wait(SignedDuration::from_hours(72));
    let night = new_id(&app);
    let ahead = (app.now() + SignedDuration::from_hours(48)).to_string();
    phone.edit(("entry", &night), "header", json!({ "kind": "dream", "status": "done", "occurred_at": ahead }));
    phone.edit(("entry", &night), "text", json!({ "body": "I was swimming at night." }));
    phone.edit(("entry", &lake), "mood", json!({ "valence": 7 }));
    drop(phone);
    let mut phone = open("phone");
    let shared = new_id(&app);
    let reader = json!({ "type": "therapist", "account_id": tess.account });
    let share = json!({ "base_version": 0, "target": { "type": "entry", "id": night }, "sections": ["text"], "reader": reader });
    phone.decide(("grant", &shared), share);
    // On the tablet she goes on with the entry of the phone, and on the phone too.
    let text = |body: &str| json!({ "title": "The lake", "body": body });
    tablet.edit(("entry", &lake), "text", text("Before we left. It rained."));
    phone.edit(("entry", &lake), "text", text("Before we left. We swam."));

    // On Monday the tablet is first. The phone sends, and loses the answer; what it types meanwhile waits.
    syncs(&ann, &mut tablet).await;
    let request = phone.next();
    assert_eq!(send(&ann, &request).await.0, 200);
    phone.edit(("entry", &night), "tags", json!(["takeaway"]));
    assert_eq!(phone.next(), request, "a batch stays as it is until it is answered");
    syncs(&ann, &mut phone).await;
    syncs(&ann, &mut tablet).await;

    // No word is gone, and none stands twice: the text of the phone is a draft beside that of the tablet.
    assert!(phone.told().is_empty());
    let bodies = |things: Vec<crate::reference_phone::Thing>| {
        let bodies =
            things.iter().filter(|thing| thing.kind == "entry").map(|thing| thing.local["text"]["body"].to_string());
        bodies.collect::<std::collections::BTreeSet<_>>()
    };
    let written = ["\"Before we left. It rained.\"", "\"Before we left. We swam.\"", "\"I was swimming at night.\""];
    assert_eq!(bodies(phone.things()), written.map(str::to_owned).into());
    assert_eq!(bodies(tablet.things()), bodies(phone.things()));
    let kept = ann.entry(&lake).await.ok().body;
    assert_eq!((&kept["text"]["body"], &kept["mood"]["valence"]), (&json!("Before we left. It rained."), &json!(7)));
    assert_eq!(ann.entry(&night).await.ok().body["tags"], json!(["takeaway"]));
    assert!(phone.seq() > 0);

    // Tess reads what was shared in the cabin, and only that.
    let list = tess.get(&ann.of_theirs("/entries")).send().await.ok();
    assert_eq!(list.items().iter().map(id_of).collect::<Vec<_>>(), [night.as_str()]);
    assert_eq!(list.items()[0]["text"]["body"], "I was swimming at night.");
    // On the tablet Ann thinks better of it.
    tablet.revoke(&shared);
    syncs(&ann, &mut tablet).await;
    assert_eq!(tess.get(&ann.of_theirs("/entries")).send().await.ok().body["items"], json!([]));
}
