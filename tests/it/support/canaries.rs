//! A journey in which every word that somebody says contains a mark, and a search for marks in whatever the server
//! leaves behind.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use super::authenticator::Authenticator;
use super::child::Web;
use super::protocols::{content, rule};
use afterglow::kernel::{Clock, Entropy};

/// Stands in everything that people say here, and nowhere else.
pub const MARK: &str = "quokkazx9";

fn said(what: &str) -> String {
    format!("{MARK} {what}")
}

fn id() -> String {
    Entropy::System.opaque().to_string()
}

/// What is left after the journey, for those who look further.
pub struct Left {
    pub patient: Web,
    /// The id of the patient.
    pub who: String,
    /// Two entries with text, mood and tags.
    pub entries: [String; 2],
    /// The codes of invitations and the first run.
    pub codes: Vec<String>,
    /// Keys of idempotent requests.
    pub keys: Vec<String>,
    /// The addresses people log in with.
    pub accounts: Vec<String>,
}

fn text(body: &Value, pointer: &str) -> String {
    body.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {body}")).as_str().unwrap().to_owned()
}

fn person(name: &str, code: &str) -> Value {
    json!({
        "code": code, "name": said(name), "email": email(name), "passphrase": said("river at dawn"), "adult": true,
        "time_zone": "America/Argentina/Ushuaia", "locale": "is", "country": "AR",
    })
}

fn email(name: &str) -> String {
    format!("{MARK}.{name}@example.org")
}

/// The main journey, with its mistakes.
pub async fn journey(web: &Web, code: &str) -> Left {
    let (get, put, post, patch, delete) = (Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE);
    let mut codes = vec![code.to_owned()];

    // A clinic and its people.
    let founder = json!({ "code": code, "clinic_name": said("Clinic"), "name": said("Ada"), "email": email("ada"),
        "passphrase": said("river at dawn") });
    let admin = web.expect(post.clone(), "/v1/setup", founder.clone(), 201).await;
    web.expect(post.clone(), "/v1/setup", founder, 200).await;
    let admin = web.as_whom(&text(&admin, "/tokens/access_token"));
    let wish =
        json!({ "kind": "staff", "capabilities": ["care", "record"], "name": said("Theo"), "email": email("theo") });
    let invited = admin.expect(post.clone(), "/v1/invitations", wish, 201).await;
    codes.push(text(&invited, "/code"));
    let wrong = person("other", codes.last().unwrap());
    web.expect(post.clone(), "/v1/auth/register", wrong, 422).await;
    let theo = person("theo", codes.last().unwrap());
    let theo = web.expect(post.clone(), "/v1/auth/register", theo, 201).await;
    let theo_account = text(&theo, "/account/id");
    let theo = web.as_whom(&text(&theo, "/tokens/access_token"));
    // A protocol of the clinic: a draft that is published, and the next draft.
    let clinic = text(&invited, "/clinic_id");
    let protocol = format!("/v1/clinics/{clinic}/protocols/{}", id());
    let mut ours = content(&said("protocol"));
    rule(&mut ours, "d2.mood")["text"] = json!(said("how is the weather"));
    let draft = admin.expect(put.clone(), &protocol, ours.clone(), 201).await;
    let publish = admin.call(post.clone(), &format!("{protocol}/publish")).header("if-match", text(&draft, "/etag"));
    let (status, published, _) = admin.send(publish.json(&json!({}))).await.unwrap();
    assert_eq!(status.as_u16(), 200);
    ours["title"] = json!(said("next"));
    let next = admin.call(put.clone(), &protocol).header("if-match", text(&published, "/etag")).json(&ours);
    assert_eq!(admin.send(next).await.unwrap().0.as_u16(), 200);
    admin
        .expect(put.clone(), &format!("/v1/clinics/{clinic}/protocols/{}", id()), json!({ "title": said("x") }), 422)
        .await;
    let wish = json!({ "kind": "patient", "name": said("Ann"), "email": email("ann") });
    codes.push(text(&theo.expect(post.clone(), "/v1/invitations", wish, 201).await, "/code"));
    let spare = theo.expect(post.clone(), "/v1/invitations", json!({ "kind": "patient" }), 201).await;
    codes.push(text(&spare, "/code"));
    theo.expect(delete.clone(), &format!("/v1/invitations/{}", text(&spare, "/id")), Value::Null, 204).await;
    let ann = person("ann", &codes[2]);
    let ann = web.expect(post.clone(), "/v1/auth/register", ann, 201).await;
    let who = text(&ann, "/account/patient_id");
    let mut ann = web.as_whom(&text(&ann, "/tokens/access_token"));
    let link = text(&ann.expect(get.clone(), "/v1/care-links", Value::Null, 200).await, "/items/0/id");
    theo.expect(post.clone(), &format!("/v1/care-links/{link}/confirm"), json!({}), 200).await;

    let reason = said("he called from a bridge and hung up");
    theo.expect(post.clone(), &format!("/v1/patients/{who}/break-glass"), json!({ "reason": reason }), 200).await;
    let short = json!({ "reason": said("no") });
    theo.expect(post.clone(), &format!("/v1/patients/{who}/break-glass"), short, 422).await;

    // Logging in, wrongly and rightly; a refresh; a token spent twice.
    let log_in = |passphrase: &str| {
        json!({ "email": email("ann"), "passphrase": passphrase,
        "device_name": said("telephone") })
    };
    web.expect(post.clone(), "/v1/auth/login", log_in(&said("wrong river")), 401).await;
    let again = web.expect(post.clone(), "/v1/auth/login", log_in(&said("river at dawn")), 200).await;
    let spend = json!({ "refresh_token": again["tokens"]["refresh_token"] });
    let fresh = web.expect(post.clone(), "/v1/auth/refresh", spend, 200).await;
    ann = web.as_whom(&text(&fresh, "/tokens/access_token"));
    web.expect(post.clone(), "/v1/auth/refresh", json!({ "refresh_token": said("no token") }), 401).await;
    web.as_whom(&format!("{MARK}.{MARK}.{MARK}")).expect(get.clone(), "/v1/me", Value::Null, 401).await;

    // Settings.
    let settings = json!({ "quiet_hours": { "from": "21:17", "to": "07:43" }, "time_zone": "Pacific/Chatham",
        "weekly_day": "wednesday", "country": "NZ", "locale": "mi" });
    ann.expect(patch.clone(), "/v1/me", settings.clone(), 428).await;
    let change = ann.call(patch.clone(), "/v1/me").header("if-match", "\"v1\"").json(&settings);
    assert_eq!(ann.send(change).await.unwrap().0.as_u16(), 200);
    ann.expect(patch.clone(), "/v1/me", json!({ "time_zone": said("zone") }), 422).await;
    ann.expect(get.clone(), "/v1/me", Value::Null, 200).await;

    // Letters with codes, and codes that are wrong.
    ann.expect(post.clone(), "/v1/me/email/verification", Value::Null, 200).await;
    let other = json!({ "email": email("other"), "passphrase": said("river at dawn") });
    ann.expect(post.clone(), "/v1/me/email", other, 200).await;
    ann.expect(get.clone(), "/v1/me/profile", Value::Null, 200).await;
    let wrong = json!({ "passphrase": said("wrong river"), "new_passphrase": said("river at dusk") });
    ann.expect(post.clone(), "/v1/me/passphrase", wrong, 422).await;
    for forgetful in ["ann", "nobody"] {
        let forgetful = json!({ "email": email(forgetful) });
        web.expect(post.clone(), "/v1/auth/passphrase-reset", forgetful, 202).await;
    }
    ann.expect(post.clone(), "/v1/auth/verify-email", json!({ "code": said("code") }), 422).await;
    let wrong = json!({ "code": said("code"), "passphrase": said("river at dusk") });
    web.expect(post.clone(), "/v1/auth/passphrase-reset/confirm", wrong, 422).await;

    // A second factor that never counts, and a code that is wrong.
    ann.expect(post.clone(), "/v1/me/factors/totp", Value::Null, 200).await;
    ann.expect(post.clone(), "/v1/me/factors/totp/confirm", json!({ "code": said("code") }), 422).await;
    ann.expect(get.clone(), "/v1/me/factors", Value::Null, 200).await;
    let proof = json!({ "passphrase": said("river at dawn") });
    ann.expect(post.clone(), "/v1/auth/step-up", proof, 200).await;

    // A passkey, and a log-in with it, where the server has them.
    if web.expect(get.clone(), "/v1/meta", Value::Null, 200).await["passkey_rp_id"].is_string() {
        let begun = ann.expect(post.clone(), "/v1/me/factors/passkeys/begin", Value::Null, 200).await;
        let mut device = Authenticator::new();
        let mut added = device.adds(&begun);
        added["name"] = json!(said("phone"));
        ann.expect(post.clone(), "/v1/me/factors/passkeys", added, 201).await;
        let begun = web.expect(post.clone(), "/v1/auth/passkey/begin", Value::Null, 200).await;
        web.expect(post.clone(), "/v1/auth/passkey/finish", device.signs(&begun), 200).await;
    }

    // An infusion yesterday, one planned and cancelled.
    let now = Clock::System.now();
    let ago = |hours: i64| now.checked_sub(SignedDuration::from_hours(hours)).unwrap().to_string();
    let infusions = format!("/v1/patients/{who}/infusions");
    let first = id();
    let done = json!({ "status": "completed", "route": "iv_infusion", "started_at": ago(27), "ended_at": ago(26),
        "dose_mg": 36.5, "weight_kg": 71.25, "setting": said("Room"), "note": said("note"), "supervised": true });
    theo.expect(put.clone(), &format!("{infusions}/{first}"), done, 201).await;
    let second = format!("{infusions}/{}", id());
    let ahead = now.checked_add(SignedDuration::from_hours(24 * 9)).unwrap().to_string();
    let planned =
        json!({ "status": "planned", "route": "in_esketamine", "planned_start": ahead, "planned_minutes": 45 });
    let planned = theo.expect(put.clone(), &second, planned, 201).await;
    let cancel = json!({ "status": "cancelled", "cancel_reason": said("cancelled") });
    let request = theo.call(patch.clone(), &second).header("if-match", text(&planned, "/etag")).json(&cancel);
    assert_eq!(theo.send(request).await.unwrap().0.as_u16(), 200);
    let clash = json!({ "status": "completed", "route": "oral", "started_at": ago(26), "ended_at": ago(25), "note": said("x") });
    theo.expect(put.clone(), &format!("{infusions}/{}", id()), clash, 409).await;
    let wrong = json!({ "status": said("status"), "route": said("route"), "dose_mg": said("dose"), "note": said("n") });
    theo.expect(put.clone(), &format!("{infusions}/{}", id()), wrong, 422).await;
    theo.expect(get.clone(), &format!("/v1/patients/{who}/window/clinical"), Value::Null, 200).await;
    ann.expect(get.clone(), "/v1/patients/me/window", Value::Null, 200).await;

    // Prompts: opened, snoozed, skipped with a reason. What is done with one may withdraw the next, by the time of day.
    let waiting = async |asked: &[String]| -> String {
        let prompts =
            ann.expect(get.clone(), "/v1/patients/me/prompts?from=2025-12-01&limit=200", Value::Null, 200).await;
        let planned = prompts["items"].as_array().unwrap().iter().filter(|prompt| prompt["state"] == "planned");
        let id = |prompt: &Value| text(prompt, "/id");
        planned.map(id).find(|id| !asked.contains(id)).expect("a prompt is left")
    };
    let mut asked: Vec<String> = Vec::new();
    for (what, body) in [
        ("open", Value::Null),
        ("snooze", json!({ "until": "tomorrow" })),
        ("skip", json!({ "reason": said("reason") })),
        ("complete", json!({})),
    ] {
        asked.push(waiting(&asked).await);
        let path = format!("/v1/patients/me/prompts/{}/{what}", asked.last().unwrap());
        ann.expect(post.clone(), &path, body, 200).await;
        if what == "snooze" {
            ann.expect(post.clone(), &path, json!({ "until": said("later") }), 422).await;
        }
    }
    let answered = waiting(&asked).await;
    let until = now.checked_add(SignedDuration::from_hours(48)).unwrap().to_string();
    ann.expect(put.clone(), &format!("/v1/patients/me/pauses/{}", id()), json!({ "until": until }), 201).await;

    // A phone: its address is as secret as words.
    let device = format!("/v1/patients/me/devices/{}", id());
    let token = format!("{MARK}.token");
    let phone = json!({
        "platform": "android", "push": { "channel": "fcm", "address": token }, "locale": "is", "app_version": MARK,
    });
    ann.expect(put.clone(), &device, phone, 201).await;
    ann.expect(put.clone(), &device, json!({ "platform": said("toaster") }), 422).await;

    // A calendar feed: its address opens it, and one like it does not.
    let calendar = json!({ "prompts": ["reflection", "exercise"], "infusions": true });
    let made = ann.expect(put.clone(), "/v1/patients/me/calendar", calendar, 201).await;
    let address = text(&made, "/url");
    let secret = address.rsplit('/').next().unwrap().trim_end_matches(".ics").to_owned();
    for (path, status) in [(secret.clone(), 200), (format!("{secret}A"), 404), (secret.to_uppercase(), 404)] {
        ann.expect(get.clone(), &format!("/v1/calendar/{path}.ics"), Value::Null, status).await;
    }
    ann.secrets.lock().unwrap().push(secret);

    // Entries: one that answers a prompt, one with every field; changed, deleted, brought back, restored.
    let entries = [id(), id()];
    let mut keys = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        let kind = ["reflection", "intention"][place];
        let body = json!({
            "kind": kind, "occurred_at": ago(20), "recorded_at": ago(19),
            "zone": "Pacific/Chatham", "text": { "title": said("title"), "body": said("body ähnlich & mehr") },
            "mood": { "valence": 7, "energy": 3, "connection": 9, "distress": 1 }, "tags": [said("tag")],
            "infusion_id": first, "prompt_id": if place == 0 { json!(answered) } else { Value::Null },
        });
        let mut body = body;
        body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let path = format!("/v1/patients/me/entries/{entry}");
        keys.push(format!("{MARK}-key-{place}"));
        let request = || ann.call(put.clone(), &path).header("idempotency-key", &keys[place]).json(&body);
        assert_eq!(ann.send(request()).await.unwrap().0.as_u16(), 201);
        assert_eq!(ann.send(request()).await.unwrap().0.as_u16(), 201);
        let other =
            ann.call(put.clone(), &path).header("idempotency-key", &keys[place]).json(&json!({ "kind": said("k") }));
        assert_eq!(ann.send(other).await.unwrap().0.as_u16(), 422);
        let change = json!({ "text": { "body": said("another body") }, "tags": [said("tag"), said("more")] });
        let stale = ann.call(patch.clone(), &path).header("if-match", "\"v9\"").json(&change);
        assert_eq!(ann.send(stale).await.unwrap().0.as_u16(), 412);
        let right = ann.call(patch.clone(), &path).header("if-match", "\"v1\"").json(&change);
        assert_eq!(ann.send(right).await.unwrap().0.as_u16(), 200);
        let back = ann.call(post.clone(), &format!("{path}/revisions/1/restore")).header("if-match", "\"v2\"");
        assert_eq!(ann.send(back).await.unwrap().0.as_u16(), 200);
        ann.expect(delete.clone(), &path, Value::Null, 204).await;
        ann.expect(get.clone(), &path, Value::Null, 410).await;
        ann.expect(post.clone(), &format!("{path}/undelete"), json!({}), 200).await;
    }
    let tagged = json!({ "tag": format!("{MARK} tag") });
    let tagged = ann.expect(post.clone(), "/v1/patients/me/entries/search", tagged, 200).await;
    assert_eq!(tagged["items"].as_array().unwrap().len(), 2);
    let search = json!({ "words": said("body") });
    ann.expect(post.clone(), "/v1/patients/me/entries/search", search, 200).await;
    let wrong = json!({ "words": said("body"), "kind": said("kind"), "from": said("from"), "cursor": said("cursor") });
    ann.expect(post.clone(), "/v1/patients/me/entries/search", wrong, 422).await;
    mistakes(&ann, &said("mistake")).await;

    // An exercise: asked for, worked on, changed, brought back, opened.
    let assignment = format!("/v1/patients/{who}/assignments/{}", id());
    let asked = json!({ "exercise_key": "leaves-defusion", "note": said("assignment"), "due_on": now.to_string()[..10],
        "request_share": true });
    theo.expect(put.clone(), &assignment, asked, 201).await;
    let cautions = format!("/v1/patients/{who}/cautions");
    let none = theo.expect(get.clone(), &cautions, Value::Null, 200).await;
    let flags = theo.call(put.clone(), &cautions).header("if-match", text(&none, "/etag"));
    assert_eq!(theo.send(flags.json(&json!({ "flags": ["eating_body"] }))).await.unwrap().0.as_u16(), 200);
    let response = id();
    let own = format!("/v1/patients/me/exercise-responses/{response}");
    let work = json!({ "exercise_key": "leaves-defusion", "exercise_version": 1, "occurred_at": ago(3), "zone": "Pacific/Chatham",
        "assignment_id": assignment.rsplit('/').next(), "answers": { "hook": said("hook"), "grip": 7 },
        "distress": { "before": 7, "after": 4, "usefulness": 3 } });
    ann.expect(put.clone(), &own, work, 201).await;
    let wrong =
        json!({ "exercise_key": said("key"), "occurred_at": said("at"), "answers": { said("step"): said("answer") } });
    ann.expect(put.clone(), &format!("/v1/patients/me/exercise-responses/{}", id()), wrong, 422).await;
    let wrong = json!({ "answers": { "grip": said("grip"), said("step"): said("answer") } });
    ann.expect(patch.clone(), &own, wrong, 422).await;
    let change = json!({ "answers": { "reworded": said("reworded") }, "distress": { "after": 1 } });
    let changed = ann.call(patch.clone(), &own).header("if-match", "\"v1\"").json(&change);
    assert_eq!(ann.send(changed).await.unwrap().0.as_u16(), 200);
    let back = ann.call(post.clone(), &format!("{own}/revisions/1/restore")).header("if-match", "\"v2\"");
    assert_eq!(ann.send(back).await.unwrap().0.as_u16(), 200);
    ann.expect(get.clone(), "/v1/patients/me/exercises/suggested", Value::Null, 200).await;
    let documents = web.expect(get.clone(), "/v1/consent-documents", Value::Null, 200).await;
    let all = documents["items"].as_array().unwrap();
    let sharing = all.iter().find(|document| document["key"] == "sharing").unwrap();
    let hash = sharing["texts"][0]["text_sha256"].clone();
    let agreed = json!({ "version": 1, "locale": "en", "text_sha256": hash });
    ann.expect(put.clone(), "/v1/patients/me/consents/sharing", agreed, 201).await;
    let wrong = json!({ "version": 1, "locale": "en", "text_sha256": said("hash") });
    ann.expect(put.clone(), "/v1/patients/me/consents/sharing", wrong, 422).await;
    let open = json!({ "target": { "type": "exercise_response", "id": response }, "sections": ["answers", "distress"],
        "reader": { "type": "care_team" }, "visible_at_once": true });
    ann.expect(put.clone(), &format!("/v1/patients/me/grants/{}", id()), open, 201).await;
    let seen = theo.expect(get.clone(), &format!("/v1/patients/{who}/exercise-responses/{response}"), Value::Null, 200);
    assert_eq!(text(&seen.await, "/answers/hook"), said("hook"));

    // Sharing, reading, commenting, revoking.
    let grant = format!("/v1/patients/me/grants/{}", id());
    let body = json!({ "target": { "type": "entry", "id": entries[0] }, "sections": ["text", "mood", "tags"],
        "reader": { "type": "therapist", "account_id": theo_account }, "visible_at_once": true });
    ann.expect(put.clone(), &grant, body, 201).await;
    let shared = format!("/v1/patients/{who}/entries/{}", entries[0]);
    assert_eq!(text(&theo.expect(get.clone(), &shared, Value::Null, 200).await, "/text/title"), said("title"));
    theo.expect(get.clone(), &format!("/v1/patients/{who}/entries"), Value::Null, 200).await;
    theo.expect(post.clone(), &format!("{shared}/opened"), json!({}), 200).await;
    let thread =
        theo.expect(put.clone(), &format!("{shared}/comments/{}", id()), json!({ "body": said("comment") }), 201).await;
    let reply = json!({ "body": said("reply"), "thread_id": thread["thread_id"] });
    ann.expect(put.clone(), &format!("/v1/patients/me/entries/{}/comments/{}", entries[0], id()), reply, 201).await;
    theo.expect(get.clone(), "/v1/me/patients", Value::Null, 200).await;
    ann.expect(get.clone(), "/v1/patients/me/access-log", Value::Null, 200).await;
    ann.expect(delete.clone(), &grant, Value::Null, 204).await;
    theo.expect(get.clone(), &shared, Value::Null, 404).await;
    let accounts = ["ada", "theo", "ann"].map(email).to_vec();
    Left { patient: ann, who, entries, codes, keys, accounts }
}

/// Requests that are wrong in every place a word can stand in.
async fn mistakes(ann: &Web, word: &str) {
    let path = format!("/v1/patients/me/entries/{}", id());
    let wrong = json!({ "kind": word, "status": word, "occurred_at": word, "zone": word, "recorded_at": word,
        "text": { "title": word.repeat(20) }, "tags": [word.repeat(9)] });
    ann.expect(Method::PUT, &path, wrong, 422).await;
    for (field, value) in [
        ("text", json!(word)),
        ("mood", json!({ "valence": word })),
        ("tags", json!(word)),
        ("infusion_id", json!(word)),
        ("attachments", json!([word])),
        ("colour", json!(word)),
        ("draft", json!({ word: word })),
    ] {
        let mut body = json!({ "kind": "note", "occurred_at": "2026-03-10T08:30:00Z" });
        body[field] = value;
        ann.expect(Method::PUT, &path, body, 422).await;
    }
    let status = async |request: reqwest::RequestBuilder| ann.send(request).await.unwrap().0.as_u16();
    let json = |body: String| ann.call(Method::PUT, &path).header("content-type", "application/json").body(body);
    assert_eq!(status(json(format!("{{\"kind\": \"{word}"))).await, 400);
    assert_eq!(status(json(format!("{{\"kind\": \"{word}\", \"kind\": \"{word}\"}}"))).await, 400);
    let typed = ann.call(Method::PUT, &path).header("content-type", "text/plain").body(word.to_owned());
    assert_eq!(status(typed).await, 415);
    assert_eq!(status(json(format!("\"{}\"", word.repeat(100_000)))).await, 413);
    let lenient = ann.call(Method::PUT, &path).header("prefer", "handling=lenient");
    let body = json!({ "kind": "note", "occurred_at": "2026-03-10T08:30:00Z", "colour": word });
    assert_eq!(status(lenient.json(&body)).await, 201);
    let words = word.replace(' ', "%20");
    for path in [
        format!("/{words}"),
        format!("/v1/patients/{words}/entries"),
        format!("/v1/patients/me/entries/{words}"),
        format!("/v1/patients/me/entries?from={words}&kind={words}&cursor={words}&{words}={words}"),
        format!("/v1/patients/me/prompts?from={words}&cursor={words}"),
        format!("/v1/patients/me/window?at={words}&protocol={words}"),
        format!("/v1/protocols/{words}"),
        format!("/problems/{words}"),
    ] {
        let found = status(ann.call(Method::GET, &path)).await;
        assert!([404, 422].contains(&found), "{path}: {found}");
    }
    assert_eq!(status(ann.call(Method::DELETE, &format!("/v1/me?{words}"))).await, 405);
    let tagged = ann.call(Method::GET, &path).header("if-none-match", word).header("x-request-id", word);
    assert!([200, 422].contains(&status(tagged).await));
    let tagged = ann.call(Method::PATCH, &path).header("if-match", word).json(&json!({}));
    assert!([412, 422, 400, 428].contains(&status(tagged).await));
}

/// The ways in which a text may lie in a file: as it is, for URLs, in base64, in hex, in UTF-16.
pub fn forms(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut forms = vec![bytes.to_vec()];
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    forms.push(hex.clone().into_bytes());
    forms.push(hex.to_uppercase().into_bytes());
    forms.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    forms.push(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    for lead in 0..3 {
        // Text in the middle of other text: what of its base64 does not depend on its neighbours.
        let padded = [vec![0; lead], bytes.to_vec()].concat();
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&padded);
            let first = (lead * 8).div_ceil(6);
            let last = padded.len() * 8 / 6;
            forms.push(encoded.as_bytes()[first..last].to_vec());
        }
    }
    let escaped: String = text
        .bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    forms.push(escaped.into_bytes());
    // Too short to be told from noise.
    forms.retain(|form| form.len() >= START);
    forms.sort();
    forms.dedup();
    forms
}

/// Looks for many texts at once, each in all its forms.
pub struct Search {
    /// By their first bytes: the forms, and the text each is a form of.
    forms: HashMap<[u8; START], Vec<(Vec<u8>, String)>>,
    /// Which first two bytes there are: nearly every place is passed over by this alone.
    starts: Vec<bool>,
}

/// Every form is at least this long.
const START: usize = 6;

impl Search {
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a String>) -> Self {
        let mut found: HashMap<[u8; START], Vec<_>> = HashMap::new();
        for text in texts {
            for form in forms(text) {
                found.entry(*form.first_chunk().unwrap()).or_default().push((form, text.clone()));
            }
        }
        let mut starts = vec![false; 1 << 16];
        for [one, two, ..] in found.keys() {
            starts[usize::from(u16::from_be_bytes([*one, *two]))] = true;
        }
        Self { forms: found, starts }
    }

    /// The texts that stand in `bytes`, with what is around them.
    pub fn hits(&self, bytes: &[u8]) -> Vec<(String, String)> {
        let mut hits = BTreeMap::new();
        for (place, start) in bytes.windows(START).enumerate() {
            if !self.starts[usize::from(u16::from_be_bytes([start[0], start[1]]))] {
                continue;
            }
            for (form, text) in self.forms.get(start).into_iter().flatten() {
                if bytes[place..].starts_with(form) {
                    let around = &bytes[place.saturating_sub(60)..(place + form.len() + 60).min(bytes.len())];
                    hits.entry(text.clone()).or_insert_with(|| String::from_utf8_lossy(around).into_owned());
                }
            }
        }
        hits.into_iter().collect()
    }
}

/// Whether `text` stands in `bytes`, in any of its forms.
pub fn stands(text: &str, bytes: &[u8]) -> bool {
    !Search::of([&text.to_owned()]).hits(bytes).is_empty()
}

#[test]
fn marks_are_found_in_every_form() {
    let text = "quokkazx9 tag";
    let around = |inner: String| format!("..{inner}..").into_bytes();
    assert!(stands(text, &around(text.to_owned())));
    for lead in 0..3 {
        let inside = format!("{}{text}, and more", "x".repeat(lead));
        assert!(stands(text, &around(STANDARD_NO_PAD.encode(&inside))), "{lead}");
    }
    assert!(stands(text, &around("quokkazx9%20tag".to_owned())));
    assert!(!stands(text, b"another text of no interest at all"));
}
