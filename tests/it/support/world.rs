//! Everybody who may or may not see Ann, and the things of hers that requests are about.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use afterglow::care::model::Capabilities;
use afterglow::care::store::Member;
use afterglow::db::schema::{clinics, deliveries, patient_heads, staff_members};
use afterglow::db::{At, Stored, columns};
use afterglow::kernel::id::{Account, Clinic, Delivery, Device, Patient, Prompt};
use afterglow::kernel::{Id, Text};
use afterglow::onboarding::operator::create_clinic;
use afterglow::vault::{Purpose, SealContext};
use diesel::prelude::*;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::accounts::{code_sent_to, disable};
use super::app::{Answer, TestApp, id_of, new_id};
use super::authenticator::with_passkey;
use super::exercises::{grant_response, work};
use super::journal::{grant, reflection, with};
use super::people::{PASSPHRASE, Person};
use super::protocols::{content, publishes};
use super::requests::calendar::{makes, ticked};
use super::requests::devices::phone;

/// Who asks. `anonymous` sends no token; the rest are people of [`World::people`].
pub const COLUMNS: [&str; 18] = [
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
    "covering",
    "break_glass",
    "unverified",
];

/// Therapists who are to Ann what `granted` is, with their names: what differs is how their account stands. A column of
/// that kind takes a row here, its name in [`COLUMNS`], what makes its account differ in [`World::on`], and
/// `.ci/matrix-column`.
const LIKE_GRANTED: [(&str, &str); 1] = [("unverified", "Vera Nolte")];

/// Whether somebody is a therapist with an active link to Ann, whatever she opened to them.
pub fn linked(who: &str) -> bool {
    ["ungranted", "wrong_section", "revoked", "expired"].contains(&who) || like_granted(who)
}

/// Whether somebody is a therapist to whom Ann opened the words of her entry and of her response.
pub fn like_granted(who: &str) -> bool {
    who == "granted" || LIKE_GRANTED.iter().any(|(like, _)| *like == who)
}

/// A word that stands in every section of Ann's entry that can hold one, and nowhere else.
pub const CANARY: &str = "zanzibarine";

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
    pub device: String,
    /// A published protocol of the clinic, which nobody follows.
    pub protocol: String,
    pub prompt: String,
    pub link: String,
    /// Of `break_glass`, over Ann.
    pub emergency: String,
    pub(super) asked: AtomicU64,
    taken: Mutex<HashSet<String>>,
}

/// What requests can change, by how it is found in their addresses: each is read by [`World::part`].
const PARTS: [&str; 19] = [
    "/consents",
    "/transfers",
    "/break-glass",
    "/overrides",
    "/care-links",
    "/entries",
    "/grants",
    "/infusions",
    "/pauses",
    "/prompts",
    "/clinics",
    "/protocol",
    "/devices",
    "/calendar",
    "/exercise-responses",
    "/assignments",
    "/cautions",
    "/invitations",
    "/me",
];

/// What changes nothing of a patient's: sessions, the set-up, a preview, a comparison.
const ELSEWHERE: [&str; 5] = ["/v1/auth", "/v1/setup", "/v1/protocols", "/integrity", "/deliveries"];

/// Gives the session of a person the name of a device.
async fn names_own_session(person: &Person, name: &str) {
    let session = person.get("/v1/me/sessions").send().await.ok().items()[0].clone();
    let path = format!("/v1/me/sessions/{}", session["id"].as_str().unwrap());
    let call = person.patch(&path, json!({ "device_name": name }));
    call.if_match(session["etag"].as_str().unwrap()).send().await.ok();
}

/// Proves the address of a person by the code of its letter.
async fn proves_address(person: &Person) {
    person.act("/v1/me/email/verification").send().await.ok();
    let code = code_sent_to(&person.app, &email_of(person)).await;
    person.post("/v1/auth/verify-email", json!({ "code": code })).send().await.ok();
}

/// The address with which somebody of the world but its admin has registered.
fn email_of(person: &Person) -> String {
    format!("{}@example.org", person.name.to_lowercase().replace(' ', "."))
}

impl World {
    pub async fn open() -> Self {
        Self::on(TestApp::start().await).await
    }

    /// The same on an empty server.
    pub async fn on(app: Arc<TestApp>) -> Self {
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
            ("disabled", "Dora Ilg"),
        ] {
            people.insert(who, app.staff(&admin, name, &["care"]).await);
        }
        for (who, name) in LIKE_GRANTED {
            people.insert(who, app.staff(&admin, name, &["care"]).await);
        }
        people.insert("nurse", app.staff(&admin, "Noor Haddad", &["record"]).await);
        people.insert("duty", app.staff(&admin, "Dirk Unger", &["duty"]).await);
        people.insert("covering", app.staff(&admin, "Cora Vogt", &["care"]).await);
        people.insert("break_glass", app.staff(&admin, "Bodo Kranz", &["duty"]).await);
        let clinic = admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
        people.insert("admin", admin);
        let hanna = another_clinic(&app).await;
        people.insert("foreign", app.staff(&hanna, "Fred Holm", &["care"]).await);
        // The other patients have therapists of their own, and one of them is Ann's.
        app.patient(&people["foreign"], "Cleo Hart").await;
        people.insert("other_patient", app.patient(&people["granted"], "Ben Roth").await);

        let ann = app.patient(&people["granted"], "Ann Walker").await;
        let link = ann.linked_to(&people["granted"]).await;
        let like_granted = LIKE_GRANTED.map(|(who, _)| who);
        for who in ["ungranted", "wrong_section", "revoked", "expired", "disabled"].into_iter().chain(like_granted) {
            ann.linked_to(&people[who]).await;
        }
        // Nobody else's address is proved.
        proves_address(&people["granted"]).await;
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

        let protocol = publishes(&people["admin"], &clinic, content("Fourteen quiet days")).await;
        names_own_session(&ann, "Ann's telephone").await;
        // Its first code is awaited: log-ins go on without one.
        ann.act("/v1/me/factors/totp").send().await.ok();
        with_passkey(&ann).await;
        let device = new_id(&app);
        ann.put(&ann.my(&format!("/devices/{device}")), phone("anns-token")).send().await.created();

        makes(&ann, &ticked(&["reflection"], true)).await;
        ann.agrees("sharing").await;

        let entry = ann.writes(words()).await;
        ann.edits(&entry, json!({ "text": { "title": format!("The {CANARY} again") } })).await;
        let open = ann.opens(&entry, &["text", "mood", "tags"], &people["granted"]).await;
        for who in like_granted {
            ann.opens(&entry, &["text", "mood", "tags"], &people[who]).await;
        }
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
        people["granted"].says(&thread, json!({ "body": "Thank you." })).send().await.created();
        ann.revokes(&revoked).await;

        let assignment = people["granted"].assigns(&ann, "values-sort").await;
        let response = ann.works(work()).await;
        ann.resumes(&response, json!({ "answers": { "reworded": format!("A story of a {CANARY}") } })).await;
        ann.opens_response(&response, &["answers", "distress"], &people["granted"]).await;
        for who in like_granted {
            ann.opens_response(&response, &["answers", "distress"], &people[who]).await;
        }
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
        disable(&app, people["disabled"].account.parse().unwrap()).await;
        app.wait(SignedDuration::from_mins(2));
        let cover = format!("/v1/clinics/{clinic}/covers/{}", new_id(&app));
        people["granted"].put(&cover, away(&app, &people["covering"], 0)).send().await.created();
        let broken = people["break_glass"].post(&ann.of_theirs("/break-glass"), emergency()).send().await.ok();

        let prompt = id_of(ann.prompts().await.last().unwrap());
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
            device,
            protocol,
            taken: Mutex::new(HashSet::from([prompt.clone()])),
            prompt,
            link,
            emergency: broken.id(),
            asked: AtomicU64::new(0),
        }
    }

    /// The same database and keys under a new server.
    pub async fn restarted(self) -> Self {
        // A person holds the server they ask: it stops when none is left.
        let people: Vec<_> = self.people.into_iter().map(|(who, person)| (who, person.absent())).collect();
        let app = self.app.restart().await;
        let people = people.into_iter().map(|(who, person)| (who, person.at(&app))).collect();
        Self { app, people, ..self }
    }

    pub fn ann(&self) -> &Person {
        &self.people["owner"]
    }

    pub fn person(&self, who: &str) -> &Person {
        &self.people[who]
    }

    /// Logs somebody in once more, on a new device.
    pub async fn log_in(&self, who: &str) {
        self.logged_in(who).await;
    }

    /// The answer to another log-in of theirs.
    pub(super) async fn logged_in(&self, who: &str) -> Answer {
        let email = if who == "admin" { "ada@lakeside.example".to_owned() } else { email_of(self.person(who)) };
        let body = json!({ "email": email, "passphrase": PASSPHRASE });
        self.app.post("/v1/auth/login", body).send().await.ok()
    }

    /// A prompt of Ann's that no request was made for yet, and that she may still act on.
    pub(super) async fn fresh_prompt(&self) -> String {
        let all = self.ann().prompts().await;
        let mut taken = self.taken.lock().unwrap();
        let open = |prompt: &&Value| ["planned", "due"].contains(&prompt["state"].as_str().unwrap());
        let ids = all.iter().filter(open).map(id_of);
        let found = ids.into_iter().find(|id| !taken.contains(id)).expect("a prompt is left");
        taken.insert(found.clone());
        found
    }

    /// A push that has left to a device of Ann's. This server has no channels to devices: the row is made here.
    pub(super) async fn delivery(&self) -> String {
        let (patient, prompt): (Id<Patient>, Id<Prompt>) =
            (self.ann().patient.parse().unwrap(), self.prompt.parse().unwrap());
        let (id, device): (Id<Delivery>, Id<Device>) =
            (new_id(&self.app).parse().unwrap(), new_id(&self.app).parse().unwrap());
        let now = At(self.app.now());
        let unit = move |tx: &mut afterglow::db::Tx<'_>| {
            let whose =
                (deliveries::patient_id.eq(patient), deliveries::prompt_id.eq(prompt), deliveries::ordinal.eq(0));
            let state = (deliveries::channel.eq("fcm"), deliveries::state.eq("sent"), deliveries::attempts.eq(1));
            let times = (deliveries::due_at.eq(now), deliveries::expires_at.eq(now), deliveries::created_at.eq(now));
            let row = (
                deliveries::id.eq(id),
                whose,
                state,
                times,
                deliveries::device_id.eq(device),
                deliveries::resends.eq(0),
            );
            diesel::insert_into(deliveries::table).values(row).execute(tx.conn())?;
            Ok(())
        };
        self.app.server.state.db.write(unit).await.unwrap();
        id.to_string()
    }

    /// Everything that requests about Ann and her clinic can change, as the people concerned read it.
    pub async fn state(&self) -> Value {
        let mut state = json!({});
        for part in PARTS {
            state[part] = self.part(part).await;
        }
        state
    }

    /// What a request to `path` could have changed, as the people concerned read it; and the number of changes of
    /// Ann's data, which every change of it takes.
    pub async fn state_around(&self, path: &str) -> Value {
        // A push changes what the other doors change.
        let path = &path.replace("/mutations", "/entries");
        let part = PARTS.into_iter().find(|part| path.contains(part)).filter(|_| !path.starts_with("/v1/auth"));
        let read = match part {
            Some(part) => self.part(part).await,
            None if ELSEWHERE.iter().any(|place| path.contains(place)) => Value::Null,
            None => panic!(
                "{path}: say in PARTS how it is read what this can change, or in ELSEWHERE that it is tested apart"
            ),
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
            "/calendar" => {
                let found = ann.get(&ann.my("/calendar")).send().await;
                if found.status == 200 { found.body } else { json!(found.status.as_u16()) }
            }
            "/break-glass" => list(admin, &format!("/v1/clinics/{}/emergencies?limit=200", self.clinic)).await,
            "/cautions" => list(self.person("ungranted"), &ann.of_theirs("/cautions")).await,
            "/clinics" => {
                let clinic = format!("/v1/clinics/{}", self.clinic);
                json!([
                    list(admin, &format!("{clinic}/members?limit=200")).await,
                    list(admin, &format!("{clinic}/protocols?limit=200")).await,
                    list(admin, &format!("{clinic}/covers?limit=200")).await,
                    list(admin, &format!("{clinic}/emergencies?limit=200")).await,
                    list(admin, &format!("{clinic}/protocol")).await,
                ])
            }
            "/protocol" => list(ann, &ann.my("/protocol")).await,
            "/invitations" => list(granted, "/v1/invitations?limit=200").await,
            "/prompts" => list(ann, &ann.my("/prompts?from=2025-12-01&limit=200")).await,
            "/grants" => list(ann, &ann.my(&format!("{part}?limit=200"))).await,
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

/// A cover by a colleague for three days that begins in so many days.
pub fn away(app: &TestApp, colleague: &Person, days: i64) -> Value {
    let at = |days: i64| later(app, SignedDuration::from_hours(24 * days)).to_string();
    json!({ "colleague_id": colleague.account, "starts_at": at(days), "ends_at": at(days + 3) })
}

/// The reason of an access in an emergency.
pub fn emergency() -> Value {
    json!({ "reason": "She called from a bridge and hung up." })
}

/// An infusion that is to start at `at`.
pub fn planned_for(at: Timestamp) -> Value {
    json!({ "status": "planned", "route": "iv_infusion", "planned_start": at.to_string(), "planned_minutes": 40 })
}

pub(super) fn later(app: &TestApp, by: SignedDuration) -> Timestamp {
    app.now().checked_add(by).unwrap()
}

pub fn earlier(app: &TestApp, by: SignedDuration) -> Timestamp {
    app.now().checked_sub(by).unwrap()
}

/// A second clinic, made as the operator makes it and joined with its code; its admin.
pub async fn another_clinic(app: &Arc<TestApp>) -> Person {
    let name = Text::parse("Hillside Clinic").unwrap();
    let made = create_clinic(&app.server.state, name, Capabilities::ADMIN_ONLY).await.unwrap();
    app.register("Hanna Oster", &made.code.to_string()).await
}

/// Moves somebody with all that they have to a second clinic, which no operation does.
pub async fn move_to_another_clinic(app: &TestApp, member: &Person) {
    let state = &app.server.state;
    let (clinic, now): (Id<Clinic>, Timestamp) = (state.entropy.id(app.now()), app.now());
    let keys = state.vault.create(clinic.uuid(), &[Purpose::Clinic], now).await.unwrap();
    let place =
        SealContext { table: "clinics", column: "doc", subject: clinic.uuid(), row: clinic.uuid(), revision: 1 };
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
        let own = staff_members::table.filter(staff_members::account_id.eq(account));
        let row: Stored<Member> = own.select(columns::<Stored<Member>>()).first(tx.conn())?;
        let row = Member { clinic_id: clinic, ..row.checked(tx)?.unwrap() };
        assert_eq!(diesel::update(own).set(row.signed(tx)?).execute(tx.conn())?, 1);
        Ok(())
    };
    state.db.write(unit).await.unwrap();
}
