//! Units on PostgreSQL hold rows in one order, so that one of two that meet waits for the other. If each waited for the
//! other, PostgreSQL would notice after a second, and one of them would be run again.

use afterglow::identity::actions::{SessionSecrets, open_session};
use afterglow::kernel::limits::SESSIONS;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::accounts::{code_of, code_sent_to, with_factor};
use crate::support::app::{Answer, new_id};
use crate::support::database::on_postgres;
use crate::support::people::{Clinic, PASSPHRASE, Person};
use crate::support::protocols::clinic_of;
use crate::support::sql::{Sql, in_order};
use crate::support::world::away;
use crate::tasks::Tables;

/// The address of Thea.
const THEA: &str = "thea.brandt@example.org";

/// The rows of a table that are of this account.
fn own(table: &str, who: &Person) -> String {
    format!("{table} WHERE account_id = '{}'", who.account)
}

fn account(who: &Person) -> String {
    format!("accounts WHERE id = '{}'", who.account)
}

fn link(id: &str) -> String {
    format!("care_links WHERE id = '{id}'")
}

fn head(patient: &Person) -> String {
    format!("patient_heads WHERE patient_id = '{}'", patient.patient)
}

/// Does `work` of this clinic's while somebody else holds the first rows and then wants the second.
async fn meets(clinic: &Clinic, held: &str, wanted: &str, work: impl Future<Output = Answer>) -> Answer {
    in_order(&clinic.app.database.backend, [held, wanted], work).await
}

#[actix_web::test]
async fn a_therapist_who_reads_does_not_hold_up_the_admin_who_just_ends_their_work() {
    if !on_postgres() {
        return;
    }
    let clinic = Clinic::open().await;
    let thea = &clinic.therapist;
    let reads = thea.reads(&clinic.ann, "/entries");
    meets(&clinic, &own("staff_members", thea), &link(&clinic.link), reads).await.ok();
}

#[actix_web::test]
async fn a_therapist_who_reads_does_not_hold_up_the_patient_who_just_ends_a_grant_to_the_whole_team() {
    if !on_postgres() {
        return;
    }
    let clinic = Clinic::open().await;
    let (app, ann) = (&clinic.app, &clinic.ann);
    let tom = app.staff(&clinic.admin, "Tom Adler", &["care"]).await;
    app.wait(SignedDuration::from_secs(1));
    let later = ann.linked_to(&tom).await;
    assert!(clinic.link < later);
    // The row of the first link then lies behind that of the second.
    let becomes = |state: &str| format!("UPDATE care_links SET state = '{state}' WHERE id = '{}'", clinic.link);
    let mut sql = Sql::open(&app.database.backend);
    sql.run(&becomes("ended"));
    sql.run(&becomes("active"));
    // Ann holds the links of the readers in the order of their ids.
    meets(&clinic, &link(&clinic.link), &link(&later), clinic.therapist.reads(ann, "/entries")).await.ok();
}

#[actix_web::test]
async fn a_therapist_who_lists_their_patients_does_not_hold_up_the_admin_who_just_ends_their_work() {
    if !on_postgres() {
        return;
    }
    let clinic = Clinic::open().await;
    let app = &clinic.app;
    let tom = app.staff(&clinic.admin, "Tom Adler", &["care"]).await;
    let ben = app.patient(&clinic.therapist, "Ben Roth").await;
    let mut both = [&clinic.ann, &ben];
    both.sort_by_key(|patient| patient.patient.clone());
    // The one whose id is greater comes first, so the order of links is not that of patients.
    let second = both[1].linked_to(&tom).await;
    app.wait(SignedDuration::from_secs(1));
    let first = both[0].linked_to(&tom).await;
    assert!(second < first);
    // Links end in the order of patients.
    let listed = meets(&clinic, &link(&first), &link(&second), tom.get("/v1/me/patients").send()).await.ok();
    assert_eq!(listed.items().len(), 2);
}

#[actix_web::test]
async fn a_transfer_does_not_hold_up_the_admin_who_just_ends_the_work_of_one_of_the_two() {
    if !on_postgres() {
        return;
    }
    let clinic = Clinic::open().await;
    let (ann, tom) = (&clinic.ann, clinic.app.staff(&clinic.admin, "Tom Adler", &["care"]).await);
    let [held, wanted] = [own("staff_members", &tom), link(&clinic.link)];
    let transfer = format!("/v1/care-links/{}/transfer", clinic.link);
    let offers = clinic.therapist.put(&transfer, json!({ "therapist_id": tom.account })).send();
    assert_eq!(meets(&clinic, &held, &wanted, offers).await.ok().body["state"], "offered");
    let answer = ann.my(&format!("/transfers/{}/answer", clinic.link));
    let agrees = ann.post(&answer, json!({ "accept": true })).send();
    assert_eq!(meets(&clinic, &held, &wanted, agrees).await.ok().body["state"], "accepted");
    let of_tom = |link: &Value| link["name"] == json!("Tom Adler") && link["state"] != json!("ended");
    assert!(ann.care_links().await.iter().any(of_tom));
}

/// As the task does that tells patients who stands in.
#[actix_web::test]
async fn an_admin_who_ends_the_work_of_a_colleague_who_stands_in_does_not_hold_up_whoever_just_tells_patients_of_it() {
    if !on_postgres() {
        return;
    }
    let clinic = Clinic::open().await;
    let (app, admin, ann) = (&clinic.app, &clinic.admin, &clinic.ann);
    let tom = app.staff(admin, "Tom Adler", &["care"]).await;
    let of_tom = ann.linked_to(&tom).await;
    let id = clinic_of(admin).await;
    let cover = format!("/v1/clinics/{id}/covers/{}", new_id(app));
    clinic.therapist.put(&cover, away(app, &tom, 0)).send().await.created();
    let ends = admin.patch(&format!("/v1/clinics/{id}/members/{}", tom.account), json!({ "ended": true }));
    let covers = "covers WHERE ended_at IS NULL";
    meets(&clinic, covers, &head(ann), ends.if_match("*").send()).await.ok();
    assert_eq!(Tables::of(app).count(covers), 0);
    let ended = |one: &Value| one["id"] == json!(of_tom) && one["state"] == "ended";
    assert!(ann.care_links().await.iter().any(ended));
}

#[actix_web::test]
async fn a_member_who_gets_a_new_passphrase_and_just_joins_another_clinic_does_not_wait_for_themself() {
    if !on_postgres() {
        return;
    }
    let clinic = Clinic::open().await;
    let (app, admin, thea) = (&clinic.app, &clinic.admin, &clinic.therapist);
    let member = format!("/v1/clinics/{}/members/{}", clinic_of(admin).await, thea.account);
    let (members, codes, row) = (own("staff_members", thea), own("staff_resets", thea), account(thea));
    // Who joins holds the account, and deletes the codes; who manages it holds the members first.
    for [held, wanted] in [[&row, &codes], [&members, &row]] {
        let code = admin.act(&format!("{member}/credential-reset")).send().await.ok().text("/code");
        let body = json!({ "code": code, "email": THEA, "passphrase": "another river at dusk" });
        meets(&clinic, held, wanted, app.post("/v1/auth/staff-reset", body).send()).await.ok();
        assert_eq!(Tables::of(app).count(&codes), 0, "the code is used up");
    }
    assert_eq!(clinic.ann.care_links().await[0]["state"], "ended");
}

#[actix_web::test]
async fn whatever_ends_the_sessions_of_an_account_does_not_hold_up_its_owner_who_just_ends_one() {
    if !on_postgres() {
        return;
    }
    let clinic = Clinic::open().await;
    let (app, admin, thea) = (&clinic.app, &clinic.admin, &clinic.therapist);
    with_factor(thea).await;
    // The owner holds the session, and then the log in which it stands.
    let (sessions, log) = (own("sessions", thea), own("account_heads", thea));
    let path = format!("/v1/clinics/{}/members/{}/credential-reset", clinic_of(admin).await, thea.account);
    let code = meets(&clinic, &sessions, &log, admin.act(&path).send()).await.ok().text("/code");
    let new = "another river at dusk";
    let body = json!({ "code": code, "email": THEA, "passphrase": new });
    meets(&clinic, &sessions, &log, app.post("/v1/auth/staff-reset", body).send()).await.ok();
    let log_in = app.post("/v1/auth/login", json!({ "email": THEA, "passphrase": new })).send().await.ok();
    let disables = Person::of(app, &log_in).post("/v1/me/disable", json!({ "passphrase": new })).send();
    meets(&clinic, &sessions, &log, disables).await.ok();
    assert_eq!(Tables::of(app).count(&format!("{sessions} AND revoked_at IS NULL")), 0);
}

#[actix_web::test]
async fn somebody_who_shows_a_recovery_code_does_not_hold_up_their_other_device_which_just_ends_a_session() {
    if !on_postgres() {
        return;
    }
    let clinic = Clinic::open().await;
    let (app, thea) = (&clinic.app, &clinic.therapist);
    let (_, codes) = with_factor(thea).await;
    let (sessions, log) = (own("sessions", thea), own("account_heads", thea));
    let shows = thea.post("/v1/auth/step-up", json!({ "code": codes[0] })).send();
    meets(&clinic, &sessions, &log, shows).await.ok();
    // With as many sessions as there may be, a log-in ends one.
    let (state, account, now) = (&app.server.state, thea.account.parse().unwrap(), app.now());
    let openings: Vec<_> = (1..SESSIONS.rows()).map(|_| SessionSecrets::draw(state, now)).collect();
    let (vault, tokens) = (state.vault.clone(), app.server.tokens.clone());
    let unit = state.db.write(move |tx| {
        openings.iter().try_for_each(|one| open_session(tx, &vault, &tokens, account, one, now).map(drop))
    });
    unit.await.unwrap();
    let body = json!({ "email": THEA, "passphrase": PASSPHRASE, "code": codes[1] });
    meets(&clinic, &sessions, &log, app.post("/v1/auth/login", body).send()).await.ok();
    let displaced = format!("{sessions} AND revoked_at IS NOT NULL");
    assert_eq!(Tables::of(app).count(&displaced), 1);
}

#[actix_web::test]
async fn somebody_who_changes_their_second_factor_does_not_hold_up_their_log_in_on_another_device() {
    if !on_postgres() {
        return;
    }
    let clinic = Clinic::open().await;
    let thea = &clinic.therapist;
    let secret = thea.act("/v1/me/factors/totp").send().await.ok().text("/secret");
    // A log-in holds the account, and then the factor.
    let (row, factor) = (account(thea), own("second_factors", thea));
    let code = json!({ "code": code_of(&clinic.app, &secret) });
    meets(&clinic, &row, &factor, thea.post("/v1/me/factors/totp/confirm", code).send()).await.ok();
    meets(&clinic, &row, &factor, thea.delete("/v1/me/factors/totp").send()).await.no_content();
    assert_eq!(thea.get("/v1/me/factors").send().await.ok().body["totp"], "none");
}

#[actix_web::test]
async fn somebody_who_proves_their_address_does_not_hold_up_the_admin_who_just_disables_them() {
    if !on_postgres() {
        return;
    }
    let clinic = Clinic::open().await;
    let (app, thea) = (&clinic.app, &clinic.therapist);
    let other = "thea@else.example";
    thea.post("/v1/me/email", json!({ "email": other, "passphrase": PASSPHRASE })).send().await.ok();
    let code = json!({ "code": code_sent_to(app, other).await });
    let proves = thea.post("/v1/auth/verify-email", code).send();
    meets(&clinic, &account(thea), &own("address_proofs", thea), proves).await.ok();
    assert_eq!(thea.get("/v1/me/profile").send().await.ok().body["email"], other);
}
