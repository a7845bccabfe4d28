//! Everybody who may or may not see Ann, and a request for each operation of the document.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use afterglow::db::At;
use afterglow::db::schema::{accounts, clinics, patient_heads, staff_members};
use afterglow::kernel::Id;
use afterglow::kernel::id::{Account, Clinic, Patient};
use afterglow::vault::{Place, Purpose};
use diesel::prelude::*;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use super::app::{Answer, Call, TestApp, document, new_id};
use super::exercises::{grant_response, work};
use super::journal::{grant, reflection, with};
use super::people::{PASSPHRASE, Person, registration};

/// Who asks. `anonymous` sends no token; the rest are people of [`World::people`].
pub const COLUMNS: [&str; 15] = [
    "anonymous",
    "owner",
    "other_patient",
    "granted",
    "ungranted",
    "wrong_section",
    "revoked",
    "expired",
    "link_ended",
    "unlinked",
    "foreign",
    "nurse",
    "duty",
    "admin",
    "disabled",
];

/// Therapists with an active link to Ann, whatever she opened to them.
pub const LINKED: [&str; 5] = ["granted", "ungranted", "wrong_section", "revoked", "expired"];

/// A word that stands in every section of Ann's entry that can hold one, and nowhere else.
pub const CANARY: &str = "zanzibarine";

/// An operation of the document.
#[derive(Clone, Debug)]
pub struct Operation {
    pub id: String,
    pub method: Method,
    pub public: bool,
    pub takes_key: bool,
    pub takes_body: bool,
}

/// Every operation of the document, by id.
pub fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    for item in document()["paths"].as_object().unwrap().values() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(id) = operation["operationId"].as_str() else { continue };
            let empty = Vec::new();
            let parameters = operation["parameters"].as_array().unwrap_or(&empty);
            all.push(Operation {
                id: id.to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                public: operation["security"] == json!([{}]),
                takes_key: parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key"),
                takes_body: operation.get("requestBody").is_some(),
            });
        }
    }
    all.sort_by(|one, two| one.id.cmp(&two.id));
    all
}

/// A request that is ready to be sent, again and again.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
    pub if_match: Option<String>,
    pub token: Option<String>,
}

impl Ask {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: None, if_match: None, token: None }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn with(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn when(mut self, tag: String) -> Self {
        self.if_match = Some(tag);
        self
    }

    pub fn call(&self, app: &Arc<TestApp>) -> Call {
        let mut call = app.request(self.method.clone(), &self.path);
        if let Some(token) = &self.token {
            call = call.bearer(token);
        }
        if let Some(tag) = &self.if_match {
            call = call.if_match(tag);
        }
        match &self.body {
            Some(body) if self.method == Method::PATCH => {
                call.bytes("application/merge-patch+json", body.to_string().into_bytes())
            }
            Some(body) => call.json(body.clone()),
            None => call,
        }
    }

    pub async fn send(&self, app: &Arc<TestApp>) -> Answer {
        self.call(app).send().await
    }
}

/// One clinic with everybody in it, another one, and Ann.
pub struct World {
    pub app: Arc<TestApp>,
    pub people: BTreeMap<&'static str, Person>,
    pub clinic: String,
    /// Open to `granted`; one section of it to `wrong_section`; no longer to `revoked`, `expired`, `link_ended`.
    pub entry: String,
    /// Was open to `granted` and is deleted.
    pub deleted: String,
    pub grant: String,
    /// An exercise response: open as the entry is.
    pub response: String,
    pub deleted_response: String,
    /// By `granted`.
    pub assignment: String,
    pub infusion: String,
    pub planned: String,
    pub pause: String,
    pub prompt: String,
    pub link: String,
    asked: AtomicU64,
    taken: Mutex<HashSet<String>>,
}

impl World {
    pub async fn open() -> Self {
        let app = TestApp::start().await;
        let admin = app.admin().await;
        let mut people = BTreeMap::new();
        for (who, name) in [
            ("granted", "Grace Adler"),
            ("ungranted", "Ursula Beck"),
            ("wrong_section", "Wim Castor"),
            ("revoked", "Rosa Dahl"),
            ("expired", "Emil Ebner"),
            ("link_ended", "Lena Falk"),
            ("unlinked", "Uwe Gerst"),
            ("foreign", "Fred Holm"),
            ("disabled", "Dora Ilg"),
        ] {
            people.insert(who, app.staff(&admin, name, &["care"]).await);
        }
        people.insert("nurse", app.staff(&admin, "Noor Haddad", &["record"]).await);
        people.insert("duty", app.staff(&admin, "Dirk Unger", &["duty"]).await);
        let clinic = admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
        people.insert("admin", admin);
        move_to_another_clinic(&app, &people["foreign"]).await;
        // The other patients have therapists of their own, and one of them is Ann's.
        app.patient(&people["foreign"], "Cleo Hart").await;
        people.insert("other_patient", app.patient(&people["granted"], "Ben Roth").await);

        let ann = app.patient(&people["granted"], "Ann Walker").await;
        let link = ann.linked_to(&people["granted"]).await;
        for who in ["ungranted", "wrong_section", "revoked", "expired", "disabled"] {
            ann.linked_to(&people[who]).await;
        }
        let ended = ann.linked_to(&people["link_ended"]).await;

        let infusion = people["granted"].records(&ann, earlier(&app, SignedDuration::from_hours(26))).await;
        let planned = new_id(&app);
        let path = ann.of_theirs(&format!("/infusions/{planned}"));
        people["granted"]
            .put(&path, planned_for(later(&app, SignedDuration::from_hours(24 * 9))))
            .send()
            .await
            .created();
        let pause = new_id(&app);
        let body = json!({ "from": later(&app, SignedDuration::from_hours(24 * 400)).to_string(), "until": later(&app, SignedDuration::from_hours(24 * 401)).to_string() });
        ann.put(&ann.my(&format!("/pauses/{pause}")), body).send().await.created();

        let entry = ann.writes(words()).await;
        ann.edits(&entry, json!({ "text": { "title": format!("The {CANARY} again") } })).await;
        let open = ann.opens(&entry, &["text", "mood", "tags"], &people["granted"]).await;
        ann.opens(&entry, &["mood"], &people["wrong_section"]).await;
        ann.opens(&entry, &["text"], &people["link_ended"]).await;
        ann.opens(&entry, &["text"], &people["disabled"]).await;
        let revoked = ann.opens(&entry, &["text"], &people["revoked"]).await;
        let soon = later(&app, SignedDuration::from_mins(1)).to_string();
        let expiring = with(grant(&entry, &["text"], &people["expired"]), json!({ "expires_at": soon }));
        ann.put_grant(&new_id(&app), expiring).send().await.created();
        for who in ["granted", "revoked", "expired", "link_ended", "disabled"] {
            people[who].reads(&ann, &format!("/entries/{entry}")).await.ok();
        }
        let deleted = ann.writes(words()).await;
        ann.opens(&deleted, &["text"], &people["granted"]).await;
        people["granted"].reads(&ann, &format!("/entries/{deleted}")).await.ok();
        ann.delete(&ann.my(&format!("/entries/{deleted}"))).send().await.no_content();

        let thread = ann.of_theirs(&format!("/entries/{entry}/comments"));
        people["granted"].post(&thread, json!({ "body": "Thank you." })).send().await.created();
        ann.revokes(&revoked).await;

        let assignment = people["granted"].assigns(&ann, "values-sort").await;
        let response = ann.works(work()).await;
        ann.resumes(&response, json!({ "answers": { "reworded": format!("A story of a {CANARY}") } })).await;
        ann.opens_response(&response, &["answers", "distress"], &people["granted"]).await;
        ann.opens_response(&response, &["distress"], &people["wrong_section"]).await;
        for who in ["link_ended", "disabled"] {
            ann.opens_response(&response, &["answers"], &people[who]).await;
        }
        let revoked = ann.opens_response(&response, &["answers"], &people["revoked"]).await;
        let expiring = with(grant_response(&response, &["answers"], &people["expired"]), json!({ "expires_at": soon }));
        ann.put_grant(&new_id(&app), expiring).send().await.created();
        people["granted"].reads(&ann, &format!("/exercise-responses/{response}")).await.ok();
        ann.revokes(&revoked).await;
        let deleted_response = ann.works(work()).await;
        ann.opens_response(&deleted_response, &["answers"], &people["granted"]).await;
        ann.delete(&ann.my(&format!("/exercise-responses/{deleted_response}"))).send().await.no_content();
        ann.delete(&format!("/v1/care-links/{ended}")).send().await.no_content();
        disable(&app, &people["disabled"]).await;
        app.wait(SignedDuration::from_mins(2));

        let prompt = ann.prompts().await.last().unwrap()["id"].as_str().unwrap().to_owned();
        people.insert("owner", ann);
        Self {
            app,
            people,
            clinic,
            entry,
            deleted,
            grant: open,
            response,
            deleted_response,
            assignment,
            infusion,
            planned,
            pause,
            taken: Mutex::new(HashSet::from([prompt.clone()])),
            prompt,
            link,
            asked: AtomicU64::new(0),
        }
    }

    /// The same database and keys under a new server.
    pub async fn restarted(self) -> Self {
        let people = self.people;
        let kept: Vec<(&'static str, [String; 5])> = people
            .into_iter()
            .map(|(who, person)| {
                let Person { name, account, patient, token, refresh, .. } = person;
                (who, [name, account, patient, token, refresh])
            })
            .collect();
        let app = self.app.restart().await;
        let person = |[name, account, patient, token, refresh]: [String; 5]| Person {
            app: Arc::clone(&app),
            name,
            account,
            patient,
            token,
            refresh,
        };
        let people = kept.into_iter().map(|(who, of)| (who, person(of))).collect();
        Self { app, people, ..self }
    }

    pub fn ann(&self) -> &Person {
        &self.people["owner"]
    }

    pub fn person(&self, who: &str) -> &Person {
        &self.people[who]
    }

    fn number(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::Relaxed)
    }

    async fn logged_in(&self, who: &str) -> Answer {
        let name = self.person(who).name.to_lowercase().replace(' ', ".");
        let email = if who == "admin" { "ada@lakeside.example".to_owned() } else { format!("{name}@example.org") };
        let body = json!({ "email": email, "passphrase": PASSPHRASE });
        self.app.post("/v1/auth/login", body).send().await.ok()
    }

    /// A prompt of Ann's that no request was made for yet, and that she may still act on.
    async fn fresh_prompt(&self) -> String {
        let all = self.ann().prompts().await;
        let mut taken = self.taken.lock().unwrap();
        let open = |prompt: &&Value| ["planned", "due"].contains(&prompt["state"].as_str().unwrap());
        let ids = all.iter().filter(open).map(|prompt| prompt["id"].as_str().unwrap().to_owned());
        let found = ids.into_iter().find(|id| !taken.contains(id)).expect("a prompt is left");
        taken.insert(found.clone());
        found
    }

    /// A request for `operation` as `who` would send it, about Ann's things. Whoever may make a difference gets an
    /// object of their own to make it to, so that requests do not get in each other's way.
    pub async fn ask(&self, operation: &str, who: &str) -> Ask {
        let mut ask = self.put_together(operation, who).await;
        if ask.token.is_none() && who != "anonymous" {
            ask.token = Some(self.person(who).token.clone());
        }
        ask
    }

    async fn put_together(&self, operation: &str, who: &str) -> Ask {
        let (ann, granted, n) = (self.ann(), self.person("granted"), self.number());
        let owner = who == "owner";
        let hers = |rest: String| ann.of_theirs(&rest);
        let post = |path: String| Ask::new(Method::POST, path);
        let (put, patch, delete) = (Method::PUT, Method::PATCH, Method::DELETE);
        match operation {
            "get_jwks" => Ask::get("/.well-known/jwks.json"),
            "get_security_txt" => Ask::get("/.well-known/security.txt"),
            "get_change_password" => Ask::get("/.well-known/change-password"),
            "get_health" => Ask::get("/healthz"),
            "get_metrics" => Ask::get("/metrics"),
            "get_problem" => Ask::get("/problems/not_found"),
            "get_ready" => Ask::get("/readyz"),
            "get_meta" => Ask::get("/v1/meta"),
            "log_in" => post("/v1/auth/login".to_owned())
                .with(json!({ "email": "ann.walker@example.org", "passphrase": PASSPHRASE })),
            "refresh_session" => {
                let token = self.logged_in("owner").await.text("/refresh_token");
                post("/v1/auth/refresh".to_owned()).with(json!({ "refresh_token": token }))
            }
            "register" => {
                let code = self.person("admin").code_for_staff(&["duty"]).await;
                post("/v1/auth/register".to_owned()).with(registration(&format!("Newcomer {n}"), &code))
            }
            "set_up" => post("/v1/setup".to_owned()).with(json!({
                "code": "7K2M-9XQ4-T0VB-HS3D", "clinic_name": "Another", "name": "Mallory",
                "email": "mallory@example.org", "passphrase": PASSPHRASE,
            })),
            "log_out" => {
                let mut ask = post("/v1/auth/logout".to_owned());
                if !["anonymous", "disabled"].contains(&who) {
                    ask.token = Some(self.logged_in(who).await.text("/access_token"));
                }
                ask
            }
            "get_me" => Ask::get("/v1/me"),
            "patch_me" => {
                let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
                Ask::new(patch, "/v1/me").with(json!({ "weekly_day": days[(n % 6) as usize] }))
            }
            "list_my_patients" => Ask::get("/v1/me/patients?limit=200"),
            "list_invitations" => Ask::get("/v1/invitations?limit=200"),
            "create_invitation" => {
                post("/v1/invitations".to_owned()).with(json!({ "kind": "patient", "name": format!("Somebody {n}") }))
            }
            "revoke_invitation" => {
                let body = json!({ "kind": "patient" });
                let id = granted.post("/v1/invitations", body).send().await.created().text("/id");
                Ask::new(delete, format!("/v1/invitations/{id}"))
            }
            "accept_invitation" => {
                let spare = self.app.staff(self.person("admin"), &format!("Spare {n}"), &["care"]).await;
                post("/v1/invitations/accept".to_owned()).with(json!({ "code": spare.code_for_patient().await }))
            }
            "list_care_links" => Ask::get("/v1/care-links?limit=200"),
            "confirm_care_link" => {
                // Somebody new, whom `granted` has not confirmed yet.
                let code = granted.code_for_patient().await;
                let dana = self.app.register(&format!("Dana {n}"), &code).await;
                let id = dana.care_links().await[0]["id"].as_str().unwrap().to_owned();
                post(format!("/v1/care-links/{id}/confirm"))
            }
            "end_care_link" => Ask::new(delete, format!("/v1/care-links/{}", ann.linked_to(granted).await)),
            "list_members" => Ask::get(format!("/v1/clinics/{}/members?limit=200", self.clinic)),
            "get_clinic" => Ask::get(format!("/v1/clinics/{}", self.clinic)),
            "update_member" => {
                let path = format!("/v1/clinics/{}/members/{}", self.clinic, self.person("duty").account);
                let may = if n % 2 == 0 { json!(["duty"]) } else { json!(["duty", "admin"]) };
                let may = if who == "admin" { may } else { json!(["duty", "record"]) };
                Ask::new(patch, path).with(json!({ "capabilities": may }))
            }
            "list_protocols" => Ask::get("/v1/protocols"),
            "preview_protocol" => post("/v1/protocols/afterglow-default/preview".to_owned()).with(json!({
                "infusions": [{ "planned_start": "2026-03-24T09:00:00+01:00", "ended_at": "2026-03-24T10:00:00+01:00" }],
                "zones": [{ "time_zone": "Europe/Berlin" }],
            })),
            "get_protocol" => Ask::get("/v1/protocols/afterglow-default"),
            "list_access_log" => Ask::get(hers("/access-log?limit=200".to_owned())),
            "list_care_team" => Ask::get(hers("/care-team".to_owned())),
            "list_entries" => Ask::get(hers("/entries?limit=200".to_owned())),
            "search_entries" => post(hers("/entries/search".to_owned())).with(json!({ "words": CANARY })),
            "get_entry" => Ask::get(hers(format!("/entries/{}", self.entry))),
            "put_entry" => Ask::new(put, hers(format!("/entries/{}", new_id(&self.app)))).with(words()),
            "patch_entry" => {
                let id = if owner { ann.writes(words()).await } else { self.entry.clone() };
                let tag = ann.entry(&id).await.ok().etag();
                let body = json!({ "text": { "title": format!("Changed {n}") } });
                Ask::new(patch, hers(format!("/entries/{id}"))).with(body).when(tag)
            }
            "delete_entry" => {
                let id = if owner { ann.writes(words()).await } else { self.entry.clone() };
                Ask::new(delete, hers(format!("/entries/{id}")))
            }
            "undelete_entry" => {
                let id = if owner {
                    let id = ann.writes(words()).await;
                    ann.delete(&ann.my(&format!("/entries/{id}"))).send().await.no_content();
                    id
                } else {
                    self.deleted.clone()
                };
                post(hers(format!("/entries/{id}/undelete")))
            }
            "list_revisions" => Ask::get(hers(format!("/entries/{}/revisions", self.entry))),
            "get_revision" => Ask::get(hers(format!("/entries/{}/revisions/1", self.entry))),
            "restore_revision" => {
                let id = if owner {
                    let id = ann.writes(words()).await;
                    ann.edits(&id, json!({ "text": { "title": "Second" } })).await;
                    id
                } else {
                    self.entry.clone()
                };
                post(hers(format!("/entries/{id}/revisions/1/restore")))
            }
            "list_comments" => Ask::get(hers(format!("/entries/{}/comments", self.entry))),
            "post_comment" => {
                let mut body = json!({ "body": format!("Number {n}") });
                if owner {
                    body["thread_id"] = json!(self.link);
                }
                post(hers(format!("/entries/{}/comments", self.entry))).with(body)
            }
            "mark_entry_opened" => post(hers(format!("/entries/{}/opened", self.entry))),
            "list_grants" => Ask::get(hers("/grants?limit=200".to_owned())),
            "put_grant" => {
                let body = grant(&self.entry, &["text"], self.person("ungranted"));
                let body =
                    with(body, json!({ "expires_at": later(&self.app, SignedDuration::from_secs(1)).to_string() }));
                Ask::new(put, hers(format!("/grants/{}", new_id(&self.app)))).with(body)
            }
            "delete_grant" => {
                let id = if owner { ann.opens(&self.entry, &["tags"], granted).await } else { self.grant.clone() };
                Ask::new(delete, hers(format!("/grants/{id}")))
            }
            "list_courses" => Ask::get(hers("/courses".to_owned())),
            "list_infusions" => Ask::get(hers("/infusions".to_owned())),
            "get_infusion" => Ask::get(hers(format!("/infusions/{}", self.infusion))),
            "put_infusion" => {
                let at = later(&self.app, SignedDuration::from_hours(24 * 40 + 13 * i64::try_from(n).unwrap()));
                Ask::new(put, hers(format!("/infusions/{}", new_id(&self.app)))).with(planned_for(at))
            }
            "patch_infusion" => {
                let path = hers(format!("/infusions/{}", self.infusion));
                let tag = ann.get(&path).send().await.ok().etag();
                Ask::new(patch, path).with(json!({ "note": format!("Note {n}") })).when(tag)
            }
            "start_infusion" => {
                let at = earlier(&self.app, SignedDuration::from_hours(24 * 40 + 13 * i64::try_from(n).unwrap()));
                let mut id = self.planned.clone();
                if owner || LINKED.contains(&who) || who == "nurse" {
                    id = new_id(&self.app);
                    granted.put(&hers(format!("/infusions/{id}")), planned_for(at)).send().await.created();
                }
                post(hers(format!("/infusions/{id}/start"))).with(json!({ "started_at": at.to_string() }))
            }
            "end_infusion" => {
                let at = earlier(&self.app, SignedDuration::from_hours(24 * 40 + 13 * i64::try_from(n).unwrap()));
                let mut id = self.planned.clone();
                if owner || LINKED.contains(&who) || who == "nurse" {
                    id = new_id(&self.app);
                    granted.put(&hers(format!("/infusions/{id}")), planned_for(at)).send().await.created();
                }
                let ended = at.checked_add(SignedDuration::from_mins(40)).unwrap();
                post(hers(format!("/infusions/{id}/end")))
                    .with(json!({ "ended_at": ended.to_string(), "dose_mg": 35.0 }))
            }
            "get_window" => Ask::get(hers("/window".to_owned())),
            "get_activity" => Ask::get(hers("/activity".to_owned())),
            "list_prompts" => Ask::get(hers("/prompts?limit=200".to_owned())),
            "open_prompt" | "complete_prompt" | "snooze_prompt" | "skip_prompt" => {
                let id = if owner { self.fresh_prompt().await } else { self.prompt.clone() };
                let verb = operation.strip_suffix("_prompt").unwrap();
                let ask = post(hers(format!("/prompts/{id}/{verb}")));
                match verb {
                    "snooze" => ask.with(json!({ "until": "tomorrow" })),
                    "skip" => ask.with(json!({ "reason": "not today" })),
                    "complete" => ask.with(json!({ "occurred_at": self.app.now().to_string() })),
                    _ => ask,
                }
            }
            "get_overrides" => Ask::get(hers("/overrides".to_owned())),
            "put_overrides" => {
                let tag = ann.get(&ann.my("/overrides")).send().await.ok().etag();
                let parts = ["morning", "midday", "afternoon", "evening"];
                let window = parts[usize::try_from(n).unwrap() % parts.len()];
                let body = json!({ "items": [{ "rule_key": "d6.people", "window": window }] });
                Ask::new(put, hers("/overrides".to_owned())).with(body).when(tag)
            }
            "list_pauses" => Ask::get(hers("/pauses".to_owned())),
            "put_pause" => Ask::new(put, hers(format!("/pauses/{}", new_id(&self.app)))).with(self.far_pause(n)),
            "delete_pause" => {
                let id = if owner {
                    let id = new_id(&self.app);
                    ann.put(&ann.my(&format!("/pauses/{id}")), self.far_pause(n)).send().await.created();
                    id
                } else {
                    self.pause.clone()
                };
                Ask::new(delete, hers(format!("/pauses/{id}")))
            }
            other => match self.ask_exercise(other, who, n).await {
                Some(ask) => ask,
                None => panic!("the document has an operation that no test knows: add {other} to World::ask"),
            },
        }
    }

    fn far_pause(&self, n: u64) -> Value {
        let from = SignedDuration::from_hours(24 * (500 + i64::try_from(n).unwrap()));
        json!({
            "from": later(&self.app, from).to_string(),
            "until": later(&self.app, from + SignedDuration::from_hours(24)).to_string(),
        })
    }

    /// Everything that requests about Ann and her clinic can change, as the people concerned read it.
    pub async fn state(&self) -> Value {
        let all = [
            "/me",
            "/overrides",
            "/care-links",
            "/entries",
            "/grants",
            "/infusions",
            "/pauses",
            "/prompts",
            "/clinics",
            "/exercise-responses",
            "/assignments",
            "/cautions",
        ];
        let mut state = json!({});
        for part in all.into_iter().chain(["/invitations"]) {
            state[part] = self.part(part).await;
        }
        state
    }

    /// What a request to `path` could have changed, as the people concerned read it; and the number of changes of
    /// Ann's data, which every change of it takes.
    pub async fn state_around(&self, path: &str) -> Value {
        let parts = [
            "/overrides",
            "/care-links",
            "/entries",
            "/grants",
            "/infusions",
            "/pauses",
            "/prompts",
            "/clinics",
            "/exercise-responses",
            "/assignments",
            "/cautions",
        ];
        let part = parts.into_iter().chain(["/invitations", "/me"]).find(|part| path.contains(part));
        let read = match part {
            Some(part) => self.part(part).await,
            None => Value::Null,
        };
        json!({ "number": self.change_number().await, "read": read })
    }

    async fn part(&self, part: &str) -> Value {
        let (ann, admin, granted) = (self.ann(), self.person("admin"), self.person("granted"));
        let list = async |who: &Person, path: &str| who.get(path).send().await.ok().body;
        match part {
            "/me" => list(ann, "/v1/me").await,
            "/care-links" => list(ann, "/v1/care-links?limit=200").await,
            "/entries" => {
                let comments = ann.my(&format!("/entries/{}/comments?limit=200", self.entry));
                json!([
                    list(ann, &ann.my("/entries?limit=200")).await,
                    list(ann, &ann.my("/entries?limit=200&status=deleted")).await,
                    list(ann, &comments).await,
                ])
            }
            "/exercise-responses" => {
                json!([
                    list(ann, &ann.my("/exercise-responses?limit=200")).await,
                    list(ann, &ann.my("/exercise-responses?limit=200&status=deleted")).await,
                ])
            }
            "/cautions" => list(self.person("ungranted"), &ann.of_theirs("/cautions")).await,
            "/clinics" => list(admin, &format!("/v1/clinics/{}/members?limit=200", self.clinic)).await,
            "/invitations" => list(granted, "/v1/invitations?limit=200").await,
            "/grants" | "/prompts" => list(ann, &ann.my(&format!("{part}?limit=200"))).await,
            other => list(ann, &ann.my(other)).await,
        }
    }

    /// How many changes Ann's data has seen.
    pub async fn change_number(&self) -> i64 {
        let patient: Id<Patient> = self.ann().patient.parse().unwrap();
        let head = patient_heads::table.filter(patient_heads::patient_id.eq(patient));
        let unit =
            move |tx: &mut afterglow::db::Tx<'_>| Ok(head.select(patient_heads::change_seq).first::<i64>(tx.conn())?);
        self.app.server.state.db.read(unit).await.unwrap()
    }
}

/// A reflection with the canary in each section that holds words.
pub fn words() -> Value {
    let text = json!({ "title": format!("The {CANARY}"), "body": format!("A {CANARY} stood there.") });
    with(reflection("x"), json!({ "text": text, "tags": [CANARY] }))
}

/// An infusion that is to start at `at`.
pub fn planned_for(at: Timestamp) -> Value {
    json!({ "status": "planned", "route": "iv_infusion", "planned_start": at.to_string(), "planned_minutes": 40 })
}

fn later(app: &TestApp, by: SignedDuration) -> Timestamp {
    app.now().checked_add(by).unwrap()
}

fn earlier(app: &TestApp, by: SignedDuration) -> Timestamp {
    app.now().checked_sub(by).unwrap()
}

/// Clinics are made by the operator, for whom there is no operation: a second one beside the first.
async fn move_to_another_clinic(app: &TestApp, member: &Person) {
    let state = &app.server.state;
    let (clinic, now): (Id<Clinic>, Timestamp) = (new_id(app).parse().unwrap(), app.now());
    let keys = state.vault.create(clinic.uuid(), &[Purpose::Clinic], now).await.unwrap();
    let place = Place { table: "clinics", column: "doc", subject: clinic.uuid(), row: clinic.uuid(), revision: 1 };
    let doc = keys.seal_json(Purpose::Clinic, &place, &json!({ "name": "Hillside Clinic" })).unwrap();
    let account: Id<Account> = member.account.parse().unwrap();
    let unit = move |tx: &mut afterglow::db::Tx<'_>| {
        let row = (
            clinics::id.eq(clinic),
            clinics::doc.eq(&doc),
            clinics::version.eq(1_i64),
            clinics::created_at.eq(At(now)),
        );
        diesel::insert_into(clinics::table).values(row).execute(tx.conn())?;
        let moved = diesel::update(staff_members::table.filter(staff_members::account_id.eq(account)))
            .set(staff_members::clinic_id.eq(clinic))
            .execute(tx.conn())?;
        assert_eq!(moved, 1);
        Ok(())
    };
    state.db.write(unit).await.unwrap();
}

/// Accounts are disabled by the operator, for whom there is no operation yet.
pub async fn disable(app: &TestApp, person: &Person) {
    let (account, now): (Id<Account>, Timestamp) = (person.account.parse().unwrap(), app.now());
    let unit = move |tx: &mut afterglow::db::Tx<'_>| {
        diesel::update(accounts::table.filter(accounts::id.eq(account)))
            .set(accounts::disabled_at.eq(Some(At(now))))
            .execute(tx.conn())?;
        Ok(())
    };
    app.server.state.db.write(unit).await.unwrap();
}
