//! Open registration: an account is made once its address is proved, with an invitation or without one, and nobody else
//! learns who has an account.

use std::sync::Arc;

use afterglow::config::Registration;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::account_life::{ANN, Scene, letter, log_in, mail, profile, seen, written};
use crate::support::accounts::{code_sent_to, disable};
use crate::support::app::{Answer, TestApp};
use crate::support::journal::{reflection, with};
use crate::support::people::{PASSPHRASE, Person, registration};
use crate::tasks::Tables;

const CLEO: &str = "cleo.hart@example.org";

/// A server with open registration, where no letter waits.
async fn open() -> Scene {
    let scene = Scene::open_with(|config| config.registration = Registration::Open).await;
    mail(&scene.app, ANN).await;
    scene
}

/// A form without an invitation.
fn form(name: &str) -> Value {
    let mut form = registration(name, "");
    form.as_object_mut().unwrap().remove("code");
    form
}

async fn sends(app: &Arc<TestApp>, form: &Value) -> Answer {
    app.post("/v1/auth/register", form.clone()).send().await
}

/// Sends a form, and returns it with the code of the letter that it has brought.
async fn asks(app: &Arc<TestApp>, form: Value) -> Value {
    assert_eq!(sends(app, &form).await.expect(202).body["expires_in"], json!(24 * 3600));
    let email_code = code_sent_to(app, form["email"].as_str().unwrap()).await;
    with(form, json!({ "email_code": email_code }))
}

/// How many of the inviter's invitations are in a state.
async fn invitations(inviter: &Person, state: &str) -> usize {
    let listed = inviter.get("/v1/invitations").send().await.ok();
    listed.items().iter().filter(|item| item["state"] == state).count()
}

#[actix_web::test]
async fn where_registration_is_open_an_account_is_made_once_the_address_is_proved() {
    let Scene { app, .. } = open().await;
    let mut all = Vec::new();
    for name in ["Ann Walker", "Cleo Hart"] {
        let before = written(&app);
        let answer = sends(&app, &form(name)).await.expect(202);
        let more: Vec<i64> = written(&app).iter().zip(before).map(|(after, before)| after - before).collect();
        assert_eq!(more, [1, 1, 0, 0, 0, 0], "{name}");
        all.push(seen(&answer));
    }
    assert_eq!(all[0], all[1], "the same for an address that has an account");
    assert_eq!(letter(&app, ANN).await.subject, "You have an account");
    let code = letter(&app, CLEO).await.code();
    log_in(&app, CLEO, PASSPHRASE).await.expect(401);
    // No letter with a code can be sent there, so that nobody waits for one.
    let before = written(&app);
    let silent = sends(&app, &with(form("Cleo Hart"), json!({ "email": "cléo@example.org" }))).await.expect(422);
    assert_eq!(silent.body["errors"][0]["pointer"], "/email");
    assert_eq!(written(&app)[0], before[0], "no letter");

    // It is good for the address that it was sent to, and for one use.
    let with_code = |name: &str| with(form(name), json!({ "email_code": code }));
    sends(&app, &with_code("Dan Ives")).await.expect(422).refused("code_invalid");
    let child = with(with_code("Cleo Hart"), json!({ "adult": false }));
    sends(&app, &child).await.expect(422).refused("invalid");
    let made = sends(&app, &with_code("Cleo Hart")).await.created();
    let cleo = Person::of(&app, &made);
    sends(&app, &with_code("Cleo Hart")).await.expect(422).refused("code_invalid");
    assert_eq!(made.text("/account/kind"), "patient");
    assert_eq!(profile(&cleo).await["email_verified"], json!(true));
    assert!(cleo.care_links().await.is_empty());
    let entry = cleo.writes(reflection("Lake")).await;
    cleo.entry(&entry).await.ok();
}

#[actix_web::test]
async fn an_invitation_counts_together_with_the_code_of_the_letter() {
    let Scene { app, admin, therapist, .. } = open().await;
    let invited = registration("Cleo Hart", &therapist.code_for_patient().await);
    sends(&app, &invited).await.expect(202);
    assert_eq!(Tables::of(&app).count("invitations WHERE used_at IS NULL"), 1, "the invitation waits");
    let code = letter(&app, CLEO).await.code();
    let form = with(invited, json!({ "email_code": code.to_lowercase().replace('-', " ") }));
    let made = sends(&app, &form).await.created();
    let cleo = Person::of(&app, &made);
    assert_eq!(profile(&cleo).await["email_verified"], json!(true));
    let [link] = &cleo.care_links().await[..] else { panic!("one link") };
    assert_eq!((&link["state"], &link["name"]), (&json!("accepted"), &json!("Thea Brandt")));
    assert_eq!(Tables::of(&app).count("invitations WHERE used_at IS NULL"), 0);
    assert_eq!(Tables::of(&app).count("address_proofs WHERE used_at IS NULL"), 0);

    let staff = asks(&app, registration("Noor Haddad", &admin.code_for_staff(&["record"]).await)).await;
    let made = sends(&app, &staff).await.created();
    let noor = Person::of(&app, &made);
    assert_eq!(made.text("/account/kind"), "staff");
    assert_eq!(profile(&noor).await["email_verified"], json!(true));

    // A lost answer can be asked for again for a day, as everywhere; each code is used up all the same.
    for (form, first) in [(&form, &cleo), (&staff, &noor)] {
        let again = sends(&app, form).await.ok();
        assert_eq!(again.text("/account/id"), first.account);
        let wrong = with(form.clone(), json!({ "passphrase": "another quiet river" }));
        sends(&app, &wrong).await.expect(422).refused("code_invalid");
    }
    let other = with(form.clone(), json!({ "email": "dan.ives@example.org" }));
    sends(&app, &other).await.expect(422).refused("code_invalid");
    app.wait(SignedDuration::from_hours(24) + SignedDuration::from_secs(1));
    sends(&app, &form).await.expect(422).refused("code_invalid");
    assert_eq!(therapist.care_links().await.len(), 2, "Ann's and Cleo's");
}

#[actix_web::test]
async fn s7_a_good_invitation_tells_nobody_who_has_an_account() {
    let Scene { app, admin, therapist, .. } = open().await;
    let ben = app.patient(&therapist, "Ben Roth").await;
    disable(&app, ben.account.parse().unwrap()).await;
    mail(&app, "ben.roth@example.org").await;
    let people = ["Ann Walker", "Cleo Hart", "Ben Roth"];
    let addresses = [ANN, CLEO, "ben.roth@example.org"];
    let mut all = Vec::new();
    let (patient, staff) = (therapist.code_for_patient().await, admin.code_for_staff(&["care"]).await);
    for code in [&patient, &staff] {
        for name in people {
            let before = written(&app);
            let answer = sends(&app, &registration(name, code)).await.expect(202);
            let more: Vec<i64> = written(&app).iter().zip(before).map(|(after, before)| after - before).collect();
            assert_eq!(more, [1, 1, 0, 0, 0, 0], "{name}");
            all.push(seen(&answer));
        }
    }
    // An invitation that is bound to an address is no exception.
    for (name, email) in people.into_iter().zip(addresses) {
        let wish = json!({ "kind": "patient", "email": email });
        let bound = therapist.post("/v1/invitations", wish).send().await.created().text("/code");
        all.push(seen(&sends(&app, &registration(name, &bound)).await.expect(202)));
        let elsewhere = sends(&app, &registration("Dan Ives", &bound)).await;
        elsewhere.expect(422).refused("code_invalid");
    }
    assert!(all.iter().all(|answer| *answer == all[0]), "{all:#?}");
    // Nor do a wrong code of a letter, a wrong invitation, and what a form lacks.
    let mut refusals = Vec::new();
    for name in people {
        let wrong = json!({ "email_code": "0000-0000-0000-0000" });
        let guess = sends(&app, &with(registration(name, &patient), wrong)).await.expect(422).refused("code_invalid");
        let unknown = sends(&app, &registration(name, "0000-0000-0000-0000")).await.expect(422).refused("code_invalid");
        let child = with(registration(name, &patient), json!({ "adult": false }));
        let child = sends(&app, &child).await.expect(422).refused("invalid");
        refusals.push([seen(&guess), seen(&unknown), seen(&child)]);
    }
    assert_eq!(refusals[1], refusals[0]);
    assert_eq!(refusals[2], refusals[0]);
    assert_eq!(invitations(&therapist, "open").await, 4, "none of them was used");

    // Only the owner of the mailbox is told, and how to accept the invitation there.
    for (email, known) in addresses.into_iter().zip([true, false, true]) {
        let sent = mail(&app, email).await;
        assert_eq!(sent.len(), 3, "{email}: {sent:?}");
        for post in sent {
            assert_eq!(post.subject, if known { "You have an account" } else { "Your code to register" });
            assert_eq!(post.body.contains("code of the invitation"), known, "{post:?}");
        }
    }
    let ann = Person::of(&app, &log_in(&app, ANN, PASSPHRASE).await.ok());
    ann.post("/v1/invitations/accept", json!({ "code": patient })).send().await.expect(409).refused("already_linked");
}

#[actix_web::test]
async fn both_codes_are_good_or_neither_is_used() {
    let Scene { app, therapist, .. } = open().await;
    let patient = therapist.code_for_patient().await;
    let proved = asks(&app, form("Cleo Hart")).await;
    let mut tables = Tables::of(&app);
    let mut unused = || {
        let (invitations, proofs) = ("invitations WHERE used_at IS NULL", "address_proofs WHERE used_at IS NULL");
        (tables.count(invitations), tables.count(proofs))
    };
    let before = unused();
    for codes in [
        json!({ "code": "0000-0000-0000-0000" }),
        json!({ "code": "no code at all" }),
        json!({ "code": patient, "email_code": "0000-0000-0000-0000" }),
        json!({ "code": patient, "email_code": "" }),
        json!({ "code": patient, "email": "dan.ives@example.org" }),
    ] {
        let said = codes.to_string();
        sends(&app, &with(proved.clone(), codes)).await.expect(422).refused("code_invalid");
        assert_eq!(unused(), before, "{said}");
    }
    // The code of a letter that was asked for without an invitation is as good with one.
    let made = sends(&app, &with(proved, json!({ "code": patient }))).await.created();
    assert_eq!(Person::of(&app, &made).care_links().await.len(), 1);
    assert_eq!(unused(), (before.0 - 1, before.1 - 1));
}

#[actix_web::test]
async fn of_many_who_use_an_invitation_at_once_one_joins_and_the_others_keep_their_codes() {
    let Scene { app, therapist, .. } = open().await;
    let patient = therapist.code_for_patient().await;
    let mut forms = Vec::new();
    for n in 0..6 {
        forms.push(asks(&app, registration(&format!("Cleo{n}"), &patient)).await);
    }
    let unused = |app: &TestApp| Tables::of(app).count("address_proofs WHERE used_at IS NULL");
    let before = unused(&app);
    let answers = futures_util::future::join_all(forms.iter().map(|form| sends(&app, form))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.expect(422).refused("code_invalid");
    }
    assert_eq!(unused(&app), before - 1);
    assert_eq!(therapist.care_links().await.len(), 2, "Ann's and one more");
}

#[actix_web::test]
async fn an_invitation_makes_no_more_letters_than_five_an_hour() {
    let Scene { app, therapist, .. } = open().await;
    let patient = therapist.code_for_patient().await;
    let mut all = Vec::new();
    for n in 0..9 {
        // With the invitation and without it, it is one count.
        let form = if n % 2 == 0 { registration("Cleo Hart", &patient) } else { form("Cleo Hart") };
        all.push(seen(&sends(&app, &form).await.expect(202)));
    }
    assert!(all.iter().all(|answer| *answer == all[0]), "{all:#?}");
    assert_eq!(mail(&app, CLEO).await.len(), 5);
}

#[actix_web::test]
async fn where_registration_is_not_open_an_invitation_is_enough_and_the_proof_is_asked_for_afterwards() {
    let Scene { app, therapist, .. } = Scene::open_with(|_| {}).await;
    let invited = registration("Cleo Hart", &therapist.code_for_patient().await);
    let code = json!({ "email_code": "0000-0000-0000-0000" });
    sends(&app, &with(invited.clone(), code.clone())).await.expect(422).refused("code_invalid");
    let refused = sends(&app, &with(form("Cleo Hart"), code)).await.expect(422).refused("invalid");
    assert_eq!(refused.body["errors"][0]["pointer"], "/code");
    let cleo = Person::of(&app, &sends(&app, &invited).await.created());
    assert_eq!(profile(&cleo).await["email_verified"], json!(false));
    assert_eq!(letter(&app, CLEO).await.subject, "Your code");
    assert_eq!(Tables::of(&app).count("address_proofs"), 1);
}

/// An address before whose @ there is a letter that few mail servers take.
const CLEO_OUT_OF_REACH: &str = "cléo@example.org";

#[actix_web::test]
async fn nobody_is_invited_by_an_address_that_the_letter_for_their_registration_cannot_reach() {
    let Scene { app, therapist, .. } = open().await;
    let bound = |email: &str| json!({ "kind": "patient", "email": email });
    let refused = therapist.post("/v1/invitations", bound(CLEO_OUT_OF_REACH)).send().await.expect(422);
    assert_eq!(refused.text("/errors/0/pointer"), "/email");
    therapist.post("/v1/invitations", bound(CLEO)).send().await.created();
    assert_eq!(Tables::of(&app).count("invitations WHERE used_at IS NULL"), 1);
}

#[actix_web::test]
async fn where_registration_is_not_open_an_address_out_of_reach_joins_and_no_letter_is_written_to_it() {
    let Scene { app, therapist, .. } = Scene::open_with(|_| {}).await;
    let wish = json!({ "kind": "patient", "email": CLEO_OUT_OF_REACH });
    let code = therapist.post("/v1/invitations", wish).send().await.created().text("/code");
    let form = with(registration("Cleo Hart", &code), json!({ "email": CLEO_OUT_OF_REACH }));
    sends(&app, &form).await.created();
    assert_eq!([Tables::of(&app).count("letters"), Tables::of(&app).count("address_proofs")], [0, 0]);
}
