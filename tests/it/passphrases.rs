//! S5: every door that sets a passphrase asks the same of it, and the way in which it was typed does not matter.

use std::sync::Arc;

use afterglow::account::operator;
use afterglow::kernel::Email;
use serde_json::{Value, json};

use crate::support::accounts::{code_sent_to, has_proved_address};
use crate::support::app::{Answer, TestApp};
use crate::support::people::{PASSPHRASE, Person, registration};

/// 85 characters, none of them a capital or a digit.
const LONG: &str = "a loud waterfall at noon, a heron that waits by the reeds, and nobody who counts them";

/// A request that sets a passphrase.
struct Door {
    path: &'static str,
    /// The member that holds the passphrase.
    member: &'static str,
    /// The other members.
    body: Value,
    /// The address of the account.
    email: &'static str,
    /// Whoever sends it, if they have to be logged in.
    caller: Option<Person>,
}

impl Door {
    async fn tries(&self, app: &Arc<TestApp>, passphrase: &str) -> Answer {
        let mut body = self.body.clone();
        body[self.member] = json!(passphrase);
        match &self.caller {
            Some(person) => person.post(self.path, body).send().await,
            None => app.post(self.path, body).send().await,
        }
    }

    /// Refuses what is short, long, known, soon guessed or leans on the address; then takes a good one. Answers as the
    /// door does.
    async fn asks_what_all_ask(&self, app: &Arc<TestApp>) -> Answer {
        let refused = [
            "fourteen chars".to_owned(),
            "passwordpassword".to_owned(),
            "123456789012345".to_owned(),
            "Qwertyuiop12345678".to_owned(),
            "afterglowafterglow".to_owned(),
            "aB3$aB3$aB3$aB3$".to_owned(),
            format!("my {} is easy", self.email),
            LONG.chars().cycle().take(257).collect(),
            "a quiet\u{200b} river at dawn".to_owned(),
        ];
        for passphrase in refused {
            let answer = self.tries(app, &passphrase).await.expect(422).refused("invalid");
            let pointer = format!("/{}", self.member);
            assert_eq!(answer.body["errors"][0]["pointer"], pointer, "{}: {passphrase}", self.path);
        }
        let answer = self.tries(app, LONG).await;
        assert!(answer.status.is_success(), "{}: {}", self.path, answer.body);
        log_in(app, self.email, LONG).await.ok();
        log_in(app, self.email, &LONG.to_uppercase()).await.expect(401).refused("credentials_wrong");
        answer
    }
}

async fn log_in(app: &Arc<TestApp>, email: &str, passphrase: &str) -> Answer {
    app.post("/v1/auth/login", json!({ "email": email, "passphrase": passphrase })).send().await
}

#[actix_web::test]
async fn s5_every_door_that_sets_a_passphrase_asks_the_same_of_it() {
    let app = TestApp::start().await;
    let door = |path, body, email| Door { path, member: "passphrase", body, email, caller: None };

    let ada = "ada@lakeside.example";
    let code = app.first_run_code().await.unwrap();
    let body = json!({ "code": code, "clinic_name": "Lakeside Clinic", "name": "Ada Keller", "email": ada });
    let admin = Person::of(&app, &door("/v1/setup", body, ada).asks_what_all_ask(&app).await);

    let code = admin.code_for_staff(&["care"]).await;
    let mut body = registration("Thea Brandt", &code);
    body.as_object_mut().unwrap().remove("passphrase");
    let thea = "thea.brandt@example.org";
    let therapist = Person::of(&app, &door("/v1/auth/register", body, thea).asks_what_all_ask(&app).await);

    let ann = "ann.walker@example.org";
    // While a device of hers is known, a log-in after a reset needs it.
    let person = app.patient(&therapist, "Ann Walker").await;
    has_proved_address(&person).await;
    operator::log_out(&app.server.state, &Email::parse(ann).unwrap()).await.unwrap();
    app.post("/v1/auth/passphrase-reset", json!({ "email": ann })).send().await.expect(202);
    let body = json!({ "code": code_sent_to(&app, ann).await });
    door("/v1/auth/passphrase-reset/confirm", body, ann).asks_what_all_ask(&app).await;

    let ben = "ben.roth@example.org";
    let person = app.patient(&therapist, "Ben Roth").await;
    let body = json!({ "passphrase": PASSPHRASE });
    let caller = Some(person);
    let change = Door { path: "/v1/me/passphrase", member: "new_passphrase", body, email: ben, caller };
    change.asks_what_all_ask(&app).await;

    let noor = "noor.haddad@example.org";
    let nurse = app.staff(&admin, "Noor Haddad", &["record"]).await;
    let clinic = admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
    let reset = format!("/v1/clinics/{clinic}/members/{}/credential-reset", nurse.account);
    let body = json!({ "code": admin.act(&reset).send().await.ok().text("/code"), "email": noor });
    door("/v1/auth/staff-reset", body, noor).asks_what_all_ask(&app).await;
}

#[actix_web::test]
async fn s5_a_passphrase_logs_in_however_its_letters_and_spaces_were_typed() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let therapist = app.staff(&admin, "Thea Brandt", &["care"]).await;
    let ann = app.patient(&therapist, "Ann Walker").await;
    let (composed, decomposed) = ("ein stiller Fluß früh im März", "ein stiller Fluß fru\u{308}h im Ma\u{308}rz");
    assert_ne!(composed, decomposed);
    let change = json!({ "passphrase": PASSPHRASE, "new_passphrase": decomposed });
    ann.post("/v1/me/passphrase", change).send().await.ok();
    for typed in [composed, decomposed, "ein\u{a0}stiller Fluß\u{2003}früh im März"] {
        log_in(&app, "ann.walker@example.org", typed).await.ok();
    }
    for other in ["ein stiller Fluss früh im März", "ein stiller Fluß fruh im Marz", "Ein stiller Fluß früh im März"]
    {
        log_in(&app, "ann.walker@example.org", other).await.expect(401).refused("credentials_wrong");
    }
}
