//! Patients work on exercises, share what they choose, and therapists ask for some.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{id_of, new_id};
use crate::support::exercises::{grant_response, work};
use crate::support::journal::with;
use crate::support::people::{Clinic, Person};

/// A clinic with a therapist, and a patient of theirs.
async fn two() -> (Person, Person) {
    let Clinic { ann, therapist, .. } = Clinic::open().await;
    (ann, therapist)
}

fn habit(more: Value) -> Value {
    let mut body = json!({
        "exercise_key": "if-then-habit", "exercise_version": 1,
        "occurred_at": "2026-03-10T18:30:00+01:00",
        "zone": "Europe/Berlin",
        "answers": { "insight": "Slow is allowed", "when": "the kettle boils", "then": "three slow breaths" },
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[actix_web::test]
async fn a_patient_reads_the_library_in_their_language() {
    let (ann, _) = two().await;
    let list = ann.get("/v1/exercises").send().await.ok();
    assert_eq!(list.items().len(), 22);
    let values = ann.get("/v1/exercises/values-sort").header("accept-language", "de-AT, en;q=0.5").send().await.ok();
    assert_eq!(values.body["locale"], "de");
    assert_eq!(values.headers["content-language"], "de");
    let english = ann.get("/v1/exercises/values-sort").send().await.ok();
    let keys = |body: &Value| body.pointer("/steps/0/cards/0/key").cloned().unwrap();
    assert_eq!(keys(&values.body), keys(&english.body), "answers are the same in every language");
    assert_ne!(values.body["title"], english.body["title"]);
    assert_ne!(values.etag(), english.etag());
    let known = ann.get("/v1/exercises/values-sort").header("if-none-match", english.etag()).send().await;
    assert_eq!(known.status, 304);
    ann.get("/v1/exercises/values-sort?version=2").send().await.not_found();
    ann.get("/v1/exercises/yoga").send().await.not_found();
    let schema = ann.app.get("/schemas/exercise.json").send().await.ok();
    assert_eq!(schema.body["$id"], "/schemas/exercise.json");
}

#[actix_web::test]
async fn an_exercise_is_saved_step_by_step_and_finished_later() {
    let (ann, _) = two().await;
    let id = new_id(&ann.app);
    let path = ann.my(&format!("/exercise-responses/{id}"));
    let start = json!({ "exercise_key": "if-then-habit", "exercise_version": 1, "status": "draft", "occurred_at": "2026-03-10T18:30:00+01:00" });
    let begun = ann.put(&path, start.clone()).send().await.created();
    assert_eq!(begun.body["status"], "draft");
    ann.resumes(&id, json!({ "answers": { "then": "three slow breaths" } })).await;
    ann.resumes(&id, json!({ "answers": { "when": "the kettle boils" }, "distress": { "before": 5 } })).await;
    let done = ann.resumes(&id, json!({ "status": "done", "distress": { "after": 3, "usefulness": 4 } })).await;
    assert_eq!(done.body["answers"], json!({ "then": "three slow breaths", "when": "the kettle boils" }));
    assert_eq!(done.body["distress"], json!({ "before": 5, "after": 3, "usefulness": 4 }));
    assert_eq!((&done.body["status"], &done.body["version"]), (&json!("done"), &json!(4)));
    // The body that began it, sent again by a phone that heard nothing: the present state.
    let again = ann.put(&path, start).send().await.ok();
    assert_eq!(again.body["version"], 4);
    let back = ann.patch(&path, json!({ "status": "draft" })).if_match(&done.etag()).send().await.refused("invalid");
    assert_eq!(back.text("/errors/0/pointer"), "/status");
}

#[actix_web::test]
async fn what_is_wrong_with_an_answer_is_pointed_at_and_nothing_is_kept() {
    let (ann, _) = two().await;
    let id = new_id(&ann.app);
    let path = ann.my(&format!("/exercise-responses/{id}"));
    let wrong =
        habit(json!({ "answers": { "confidence": 12, "start": "soon", "when": 7 }, "distress": { "after": -1 } }));
    let refused = ann.put(&path, wrong).send().await.refused("invalid");
    let pointers: Vec<&str> =
        refused.body["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    for wanted in ["/answers/confidence", "/answers/start", "/answers/when", "/distress/after"] {
        assert!(pointers.contains(&wanted), "{pointers:?}");
    }
    ann.get(&path).send().await.not_found();
    ann.put(&path, habit(json!({ "exercise_key": "yoga" }))).send().await.refused("invalid");
    ann.put(&path, habit(json!({ "mood": 3 }))).send().await.refused("invalid");
    ann.put(&path, habit(json!({ "prompt_id": new_id(&ann.app) }))).send().await.refused("invalid");
    ann.put(&path, habit(json!({ "assignment_id": new_id(&ann.app) }))).send().await.refused("invalid");
    ann.get(&path).send().await.not_found();
}

#[actix_web::test]
async fn two_phones_do_not_overwrite_each_other() {
    let (ann, _) = two().await;
    let id = ann.works(habit(json!({ "status": "draft" }))).await;
    let path = ann.my(&format!("/exercise-responses/{id}"));
    let tag = ann.response(&id).await.ok().etag();
    ann.patch(&path, json!({ "answers": { "plan_b": "one breath" } })).if_match(&tag).send().await.ok();
    let late = ann.patch(&path, json!({ "answers": { "plan_b": "none" } })).if_match(&tag).send().await;
    assert_eq!(late.status, 412);
    let blind = ann.patch(&path, json!({ "answers": { "plan_b": "none" } })).send().await;
    assert_eq!(blind.status, 428);
    // The same words say nothing new.
    ann.patch(&path, json!({ "answers": { "plan_b": "one breath" } })).send().await.ok();
    let blind = ann.put(&path, habit(json!({}))).send().await;
    assert_eq!(blind.status, 428);
}

#[actix_web::test]
async fn what_was_said_before_can_be_read_and_brought_back_and_is_then_open_to_nobody() {
    let (ann, tess) = two().await;
    let id = ann.works(habit(json!({}))).await;
    ann.resumes(&id, json!({ "answers": { "then": "one slow breath" }, "distress": { "after": 2 } })).await;
    ann.opens_response(&id, &["answers"], &tess).await;
    tess.reads(&ann, &format!("/exercise-responses/{id}")).await.ok();
    let list = ann.get(&ann.my(&format!("/exercise-responses/{id}/revisions"))).send().await.ok();
    assert_eq!(list.items().len(), 2);
    let first = ann.get(&ann.my(&format!("/exercise-responses/{id}/revisions/1"))).send().await.ok();
    assert_eq!(first.body["answers"]["then"], "three slow breaths");
    assert!(first.body.get("distress").is_none(), "there was none then");
    let back = ann.act(&ann.my(&format!("/exercise-responses/{id}/revisions/1/restore")));
    let back = back.if_match("\"v2\"").send().await.ok();
    assert_eq!((&back.body["answers"]["then"], &back.body["version"]), (&json!("three slow breaths"), &json!(3)));
    tess.reads(&ann, &format!("/exercise-responses/{id}")).await.not_found();
    ann.get(&ann.my(&format!("/exercise-responses/{id}/revisions/9"))).send().await.not_found();
}

#[actix_web::test]
async fn a_done_exercise_does_not_go_back_to_a_time_when_it_lacked_a_required_answer() {
    let (ann, _) = two().await;
    let id = ann
        .works(json!({
            "exercise_key": "music-relisten", "exercise_version": 1, "status": "draft",
            "occurred_at": "2026-03-10T18:30:00+01:00", "answers": { "track": "The second one" },
        }))
        .await;
    ann.resumes(&id, json!({ "status": "done", "answers": { "track": "The last one", "seated": true } })).await;
    let path = ann.my(&format!("/exercise-responses/{id}"));
    let back = ann.act(&format!("{path}/revisions/1/restore")).if_match("\"v2\"").send().await.refused("invalid");
    assert_eq!(back.text("/errors/0/pointer"), "/answers/seated");
    let rated = ann.resumes(&id, json!({ "distress": { "after": 3 } })).await;
    assert_eq!(rated.body["answers"], json!({ "track": "The last one", "seated": true }));
    ann.resumes(&id, json!({ "answers": { "track": "The second one" } })).await;
}

#[actix_web::test]
async fn what_was_deleted_can_be_brought_back_for_thirty_days() {
    let (ann, tess) = two().await;
    let id = ann.works(habit(json!({}))).await;
    let path = ann.my(&format!("/exercise-responses/{id}"));
    ann.opens_response(&id, &["answers"], &tess).await;
    ann.delete(&path).send().await.no_content();
    ann.delete(&path).send().await.no_content();
    assert_eq!(ann.get(&path).send().await.status, 410);
    assert_eq!(ann.put(&path, habit(json!({ "answers": {} }))).send().await.status, 410);
    tess.reads(&ann, &format!("/exercise-responses/{id}")).await.not_found();
    let gone = ann.get(&ann.my("/exercise-responses?status=deleted")).send().await.ok();
    assert_eq!(gone.text("/items/0/id"), id);
    ann.act(&format!("{path}/undelete")).send().await.ok();
    tess.reads(&ann, &format!("/exercise-responses/{id}")).await.not_found();
    ann.delete(&path).send().await.no_content();
    ann.app.wait(SignedDuration::from_hours(24 * 30 + 1));
    ann.act(&format!("{path}/undelete")).send().await.not_found();
    ann.get(&path).send().await.not_found();
}

#[actix_web::test]
async fn a_therapist_sees_the_sections_that_are_open_and_nothing_else() {
    let (ann, tess) = two().await;
    let id = ann.works(work()).await;
    let at = format!("/exercise-responses/{id}");
    tess.reads(&ann, &at).await.not_found();
    assert_eq!(tess.reads(&ann, "/exercise-responses").await.ok().body["items"], json!([]));
    ann.opens_response(&id, &["distress"], &tess).await;
    let seen = tess.reads(&ann, &at).await.ok();
    assert_eq!(seen.body["sections"], json!(["distress"]));
    assert_eq!(seen.body["distress"]["before"], 5);
    for hidden in ["answers", "occurred_at", "zone", "status", "version", "prompt_id", "context", "support"] {
        assert!(seen.body.get(hidden).is_none(), "{hidden}");
    }
    // An edit of what is not open is not to be seen: not in the body, not in the headers.
    ann.resumes(&id, json!({ "answers": { "hook": "Something else" } })).await;
    let after = tess.reads(&ann, &at).await.ok();
    assert_eq!((seen.body.clone(), seen.etag()), (after.body.clone(), after.etag()));
    ann.opens_response(&id, &["answers"], &tess).await;
    let all = tess.reads(&ann, &at).await.ok();
    assert_eq!(all.body["answers"]["hook"], "Something else");
    let opened = tess.act(&ann.of_theirs(&format!("{at}/opened"))).send().await.ok();
    assert_eq!(opened.text("/response_id"), id);
    assert_eq!(ann.response(&id).await.ok().text("/seen_by/0/account_id"), tess.account);
    let log = ann.get(&ann.my("/access-log")).send().await.ok();
    assert!(log.body.to_string().contains(&id), "who read is in the log, with what they read");
}

#[actix_web::test]
async fn a_grant_names_sections_of_its_kind_and_a_draft_is_opened_to_nobody() {
    let (ann, tess) = two().await;
    let id = ann.works(work()).await;
    let entry = ann.writes(crate::support::journal::reflection("The lake")).await;
    let text = grant_response(&id, &["text"], &tess);
    assert_eq!(
        ann.put_grant(&new_id(&ann.app), text).send().await.refused("invalid").text("/errors/0/pointer"),
        "/sections"
    );
    let answers = crate::support::journal::grant(&entry, &["answers"], &tess);
    ann.put_grant(&new_id(&ann.app), answers).send().await.refused("invalid");
    // The id of an entry is not that of a response.
    ann.put_grant(&new_id(&ann.app), grant_response(&entry, &["answers"], &tess)).send().await.not_found();
    let draft = ann.works(habit(json!({ "status": "draft" }))).await;
    let refused = ann.put_grant(&new_id(&ann.app), grant_response(&draft, &["answers"], &tess)).send().await;
    assert_eq!((refused.status.as_u16(), refused.text("/code")), (409, "not_shareable".to_owned()));
    // What opens an entry opens no response, in no list.
    ann.opens(&entry, &["text"], &tess).await;
    assert_eq!(tess.reads(&ann, "/exercise-responses").await.ok().body["items"], json!([]));
    ann.opens_response(&id, &["answers"], &tess).await;
    assert_eq!(tess.finds(&ann).await, [entry]);
}

#[actix_web::test]
async fn lists_go_on_page_by_page_and_find_one_exercise() {
    let (ann, tess) = two().await;
    let mut habits = Vec::new();
    for n in 0..5 {
        let at = format!("2026-03-1{n}T18:30:00+01:00");
        habits.push(ann.works(habit(json!({ "occurred_at": at }))).await);
        let other = ann.works(work()).await;
        ann.opens_response(&other, &["answers"], &tess).await;
        ann.opens_response(&habits[n], &["answers"], &tess).await;
    }
    for (who, path) in [(&ann, ann.my("")), (&tess, ann.of_theirs(""))] {
        let mut found = Vec::new();
        let mut next = format!("{path}/exercise-responses?exercise_key=if-then-habit&limit=2");
        loop {
            let page = who.get(&next).send().await.ok();
            found.extend(page.items().iter().map(id_of));
            let Some(cursor) = page.body["next_cursor"].as_str() else { break };
            next = format!("{path}/exercise-responses?exercise_key=if-then-habit&limit=2&cursor={cursor}");
        }
        found.sort();
        let mut wanted = habits.clone();
        wanted.sort();
        assert_eq!(found, wanted, "each once");
    }
    ann.get(&ann.my("/exercise-responses?status=lost")).send().await.refused("invalid");
    tess.get(&ann.of_theirs(&format!("/exercise-responses?assignment_id={}", new_id(&ann.app))))
        .send()
        .await
        .refused("invalid");
}

#[actix_web::test]
async fn working_on_it_answers_the_prompt_that_suggested_it() {
    let (ann, tess) = two().await;
    let end = ann.app.now() - SignedDuration::from_hours(26);
    tess.records(&ann, end).await;
    let prompt = |key: &'static str| {
        let ann = ann.clone();
        async move {
            let all = ann.prompts().await;
            all.into_iter().find(|prompt| prompt["rule_key"] == key).unwrap_or_else(|| panic!("no {key}"))
        }
    };
    let step = prompt("d2.step").await["id"].clone();
    let at = ann.app.now().to_string();
    let work = json!({ "exercise_key": "activation-plan", "exercise_version": 1, "occurred_at": at, "prompt_id": step, "answers": { "area": "body" } });
    let mut draft = work.clone();
    draft["status"] = json!("draft");
    let id = ann.works(draft).await;
    assert_ne!(prompt("d2.step").await["state"], "completed", "a draft answers nothing");
    ann.resumes(&id, json!({ "status": "done" })).await;
    assert_eq!(prompt("d2.step").await["state"], "completed");
    // Deleting the work takes nothing back: it was done.
    ann.delete(&ann.my(&format!("/exercise-responses/{id}"))).send().await.no_content();
    assert_eq!(prompt("d2.step").await["state"], "completed");
}

#[actix_web::test]
async fn a_when_then_plan_calls_for_the_prompts_that_ask_about_it() {
    let (ann, tess) = two().await;
    tess.records(&ann, ann.app.now() - SignedDuration::from_hours(26)).await;
    let asked = async || {
        ann.prompts().await.iter().any(|prompt| prompt["rule_key"] == "d5.habit" && prompt["state"] == "planned")
    };
    assert!(!asked().await, "there is no plan yet");
    let id = ann.works(habit(json!({ "occurred_at": ann.app.now().to_string() }))).await;
    assert!(asked().await, "in the same unit");
    ann.delete(&ann.my(&format!("/exercise-responses/{id}"))).send().await.no_content();
    assert!(!asked().await, "and gone with it");
}

#[actix_web::test]
async fn distress_that_rises_is_answered_at_once_and_only_to_the_patient() {
    let (ann, tess) = two().await;
    let hard = habit(json!({ "distress": { "before": 4, "after": 8 } }));
    let id = ann.works(hard).await;
    let own = ann.response(&id).await.ok();
    assert_eq!(own.text("/support/exercise_key"), "grounding-54321");
    assert!(own.text("/support/text").contains("112"), "whom to call, without a network of staff");
    ann.opens_response(&id, &["answers", "distress"], &tess).await;
    assert!(tess.reads(&ann, &format!("/exercise-responses/{id}")).await.ok().body.get("support").is_none());
    let easy = ann.works(habit(json!({ "distress": { "before": 4, "after": 4 } }))).await;
    assert!(ann.response(&easy).await.ok().body.get("support").is_none());
}

#[actix_web::test]
async fn an_exercise_that_has_to_stop_says_so_and_asks_later_what_is_for_later() {
    let (ann, _) = two().await;
    let unsafe_ = json!({ "exercise_key": "repair-letter", "exercise_version": 1, "occurred_at": "2026-03-10T18:30:00Z", "answers": { "safe": "no" } });
    let id = ann.works(unsafe_).await;
    let stopped = ann.response(&id).await.ok();
    assert_eq!(stopped.text("/stopped/step"), "safe");
    assert!(!stopped.text("/stopped/text").is_empty());
    let plan = json!({ "exercise_key": "activation-plan", "exercise_version": 1, "occurred_at": "2026-03-10T18:30:00Z", "answers": { "area": "home" } });
    let id = ann.works(plan).await;
    assert_eq!(
        ann.response(&id).await.ok().body["later"][0],
        json!({ "step": "done", "from": "2026-03-11T18:30:00Z" })
    );
    let later = ann
        .resumes(&id, json!({ "answers": { "done": true, "mood": [{ "left": "flat", "right": "a bit lighter" }] } }))
        .await;
    assert!(later.body.get("later").is_none(), "nothing is left to ask");
}

#[actix_web::test]
async fn a_suggestion_says_why_in_words() {
    let (ann, tess) = two().await;
    tess.records(&ann, ann.app.now() - SignedDuration::from_hours(30)).await;
    let now = ann.get(&ann.my("/exercises/suggested?minutes=8&limit=22")).send().await.ok();
    for item in now.items() {
        assert!(item["exercise"]["minutes"].as_i64().unwrap() <= 8);
        assert!(item["reasons"].as_array().unwrap().iter().all(|reason| reason["text"].as_str().unwrap().len() > 10));
    }
    let german = ann.get(&ann.my("/exercises/suggested")).header("accept-language", "de").send().await.ok();
    assert_ne!(german.text("/items/0/reasons/0/text"), now.text("/items/0/reasons/0/text"));
    for wrong in ["minutes=0", "minutes=241", "limit=23", "limit=0", "mood=low"] {
        ann.get(&ann.my(&format!("/exercises/suggested?{wrong}"))).send().await.refused("invalid");
    }
}

#[actix_web::test]
async fn what_a_traveller_has_just_done_was_done_today_though_their_phone_has_the_next_date() {
    let (ann, _) = two().await;
    // 21:00 in Berlin, where her settings have her, and 09:00 of the next day where her phone is.
    ann.app.wait(SignedDuration::from_hours(12));
    let now = ann.app.now();
    ann.works(habit(json!({ "occurred_at": now.to_string(), "zone": "Pacific/Auckland" }))).await;
    // A fast clock says nothing of today.
    let ahead = now + SignedDuration::from_hours(48);
    ann.works(with(work(), json!({ "occurred_at": ahead.to_string(), "zone": "Pacific/Auckland" }))).await;
    let list = ann.get(&ann.my("/exercises")).send().await.ok();
    let days = |key: &str| {
        let one = list.items().iter().find(|one| one["exercise"]["key"] == key);
        one.unwrap_or_else(|| panic!("no {key}"))["days_since_done"].clone()
    };
    assert_eq!((days("if-then-habit"), days("leaves-defusion")), (json!(0), Value::Null));
    let suggested = ann.get(&ann.my("/exercises/suggested?limit=22")).send().await.ok();
    assert!(suggested.items().iter().all(|one| one["exercise"]["key"] != "if-then-habit"));
}

#[actix_web::test]
async fn words_with_an_impossible_time_are_kept_and_flagged() {
    let (ann, _) = two().await;
    for early in ["-005000-01-01T00:00:00Z", "9999-12-30T00:00:00Z"] {
        let id = ann.works(habit(json!({ "occurred_at": early }))).await;
        let kept = ann.response(&id).await.ok();
        assert_eq!(
            (&kept.body["clock_suspect"], kept.text("/answers/then")),
            (&json!(true), "three slow breaths".to_owned())
        );
        let entry = ann.writes(crate::support::journal::with(
            crate::support::journal::reflection("Lake"),
            json!({ "occurred_at": early }),
        ));
        entry.await;
    }
    let all = ann.get(&ann.my("/exercise-responses")).send().await.ok();
    assert_eq!(all.items().len(), 2);
    let odd = habit(json!({ "occurred_at": "2026-03-10T18:30:00+01:00:30" }));
    ann.put(&ann.my(&format!("/exercise-responses/{}", new_id(&ann.app))), odd).send().await.refused("invalid");
}

#[actix_web::test]
async fn an_entry_and_a_response_of_one_id_are_two_things() {
    let (ann, tess) = two().await;
    let id = ann.works(work()).await;
    ann.put_entry(&id, crate::support::journal::reflection("Lake")).send().await.created();
    ann.opens_response(&id, &["distress"], &tess).await;
    tess.reads(&ann, &format!("/entries/{id}")).await.not_found();
    assert!(tess.finds(&ann).await.is_empty(), "what opens one opens the other in no list");
    let thread = ann.care_links().await[0]["id"].clone();
    let words = json!({ "body": "Hello?", "thread_id": thread });
    ann.says(&ann.my(&format!("/entries/{id}/comments")), words).send().await.refused("invalid");
    ann.opens(&id, &["text"], &tess).await;
    let seen = tess.reads(&ann, &format!("/entries/{id}")).await.ok();
    assert_eq!(seen.body["sections"], json!(["text"]));
    let seen = tess.reads(&ann, &format!("/exercise-responses/{id}")).await.ok();
    assert_eq!(seen.body["sections"], json!(["distress"]));
}

#[actix_web::test]
async fn a_grant_of_what_was_restored_or_brought_back_is_closed_and_says_so() {
    let (ann, tess) = two().await;
    let id = ann.works(work()).await;
    ann.resumes(&id, json!({ "answers": { "hook": "Second" } })).await;
    let grant = ann.opens_response(&id, &["answers"], &tess).await;
    ann.act(&ann.my(&format!("/exercise-responses/{id}/revisions/1/restore"))).if_match("\"v2\"").send().await.ok();
    let all = ann.get(&ann.my("/grants")).send().await.ok();
    assert_eq!((all.text("/items/0/id"), &all.body["items"][0]["live"]), (grant.clone(), &json!(false)));
    let again = ann.put_grant(&grant, grant_response(&id, &["answers"], &tess)).send().await;
    assert_eq!(again.status, 410, "and it is not taken for open");
}
