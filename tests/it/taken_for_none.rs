//! A row that does not fit its MAC is not taken for none where having none would allow something, or end it.

use std::sync::Arc;

use serde_json::json;

use crate::people::clinic_of;
use crate::support::app::{TestApp, new_id};
use crate::support::database::Count;
use crate::support::journal::{grant, reflection, two, with};
use crate::support::people::{Clinic, Person, again, registration};
use crate::support::sql::Sql;
use crate::support::world::another_clinic;
use crate::unseen::{rule, seen, share};

/// Rows that were damaged, and can be mended.
struct Damaged {
    app: Arc<TestApp>,
    table: &'static str,
    which: String,
}

impl Damaged {
    /// Damages the rows of a table where each of these columns is this id. Their MACs cover the version.
    fn new(app: &Arc<TestApp>, table: &'static str, which: &[(&str, &str)]) -> Self {
        let mut sql = Sql::open(&app.database.backend);
        let which: Vec<_> = which.iter().map(|(column, id)| format!("{column} = {}", sql.id(id))).collect();
        let damaged = Self { app: app.clone(), table, which: which.join(" AND ") };
        let found = sql.rows::<Count>(&format!("SELECT count(*) AS n FROM {table} WHERE {}", damaged.which));
        assert_eq!(found[0].n, 1, "{}", damaged.which);
        damaged.set("version + 1");
        damaged
    }

    fn mend(self) {
        self.set("version - 1");
    }

    fn set(&self, version: &str) {
        let Self { app, table, which } = self;
        Sql::open(&app.database.backend).run(&format!("UPDATE {table} SET version = {version} WHERE {which}"));
    }
}

#[actix_web::test]
async fn a_clinic_is_not_closed_while_the_link_of_a_patient_cannot_be_read() {
    let Clinic { app, admin, therapist: thea, ann, link, .. } = Clinic::open().await;
    let ben = app.patient(&thea, "Ben Roth").await;
    let path = format!("/v1/clinics/{}", clinic_of(&admin).await);
    let damaged = Damaged::new(&app, "care_links", &[("id", &link)]);
    admin.delete(&path).send().await.expect(500).refused("unreadable");
    assert_eq!(ben.care_links().await[0]["state"], "active");
    thea.get(&ben.of_theirs("/window")).send().await.ok();
    damaged.mend();
    assert_eq!(ann.care_links().await[0]["state"], "active");
    admin.delete(&path).send().await.no_content();
    for patient in [&ann, &ben] {
        assert_eq!(patient.care_links().await[0]["state"], "ended", "{}", patient.name);
    }
}

#[actix_web::test]
async fn a_therapist_does_not_leave_while_the_link_of_a_patient_cannot_be_read() {
    let Clinic { app, admin, therapist: thea, link, .. } = Clinic::open().await;
    let leave = format!("/v1/clinics/{}/leave", clinic_of(&admin).await);
    let damaged = Damaged::new(&app, "care_links", &[("id", &link)]);
    thea.act(&leave).send().await.expect(500).refused("unreadable");
    damaged.mend();
    assert_eq!(thea.act(&leave).send().await.expect(409).body["state"], "open_links");
}

#[actix_web::test]
async fn a_patient_makes_no_second_link_to_a_therapist_while_the_first_cannot_be_read() {
    let Clinic { app, therapist: thea, ann, link, .. } = Clinic::open().await;
    let code = thea.code_for_patient().await;
    let accept = async || ann.post("/v1/invitations/accept", json!({ "code": code })).send().await;
    let damaged = Damaged::new(&app, "care_links", &[("id", &link)]);
    accept().await.expect(500).refused("unreadable");
    damaged.mend();
    accept().await.expect(409).refused("already_linked");
}

#[actix_web::test]
async fn an_admin_whose_account_cannot_be_read_does_not_let_the_last_other_one_go() {
    let Clinic { app, admin, .. } = Clinic::open().await;
    let leave = format!("/v1/clinics/{}/leave", clinic_of(&admin).await);
    let sam = app.staff(&admin, "Sam Idris", &["admin"]).await;
    let damaged = Damaged::new(&app, "accounts", &[("id", &sam.account)]);
    assert_eq!(admin.act(&leave).send().await.expect(409).body["state"], "last_admin");
    damaged.mend();
    admin.act(&leave).send().await.no_content();
}

#[actix_web::test]
async fn an_invitation_by_a_therapist_who_was_disabled_stays_void_when_their_account_cannot_be_read() {
    let Clinic { app, admin, therapist: thea, .. } = Clinic::open().await;
    let id = clinic_of(&admin).await;
    let code = thea.code_for_patient().await;
    admin.act(&format!("/v1/clinics/{id}/members/{}/disable", thea.account)).send().await.ok();
    let _damaged = Damaged::new(&app, "accounts", &[("id", &thea.account)]);
    let comes = app.post("/v1/auth/register", registration("Bea Roth", &code)).send().await;
    comes.expect(422).refused("code_invalid");
}

#[actix_web::test]
async fn an_admin_manages_no_account_while_it_cannot_be_read_where_else_it_works() {
    let Clinic { app, admin, therapist: thea, .. } = Clinic::open().await;
    let (id, hanna) = (clinic_of(&admin).await, another_clinic(&app).await);
    let code = hanna.code_for_staff(&["care"]).await;
    thea.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok();
    let theirs = clinic_of(&hanna).await;
    let damaged = Damaged::new(&app, "staff_members", &[("account_id", &thea.account), ("clinic_id", &theirs)]);
    let acts = ["disable", "credential-reset"].map(|act| format!("/v1/clinics/{id}/members/{}/{act}", thea.account));
    for act in &acts {
        admin.act(act).send().await.expect(500).refused("unreadable");
    }
    damaged.mend();
    for act in &acts {
        assert_eq!(admin.act(act).send().await.expect(409).body["state"], "works_elsewhere");
    }
    again(&app, &thea.name).await;
}

#[actix_web::test]
async fn a_code_of_an_admin_sets_no_passphrase_while_a_link_that_is_to_end_cannot_be_read() {
    let Clinic { app, admin, therapist: thea, ann, link, .. } = Clinic::open().await;
    let path = format!("/v1/clinics/{}/members/{}/credential-reset", clinic_of(&admin).await, thea.account);
    let code = admin.act(&path).send().await.ok().text("/code");
    let email = "thea.brandt@example.org";
    let body = json!({ "code": code, "email": email, "passphrase": "another river at dusk" });
    let redeem = async || app.post("/v1/auth/staff-reset", body.clone()).send().await;
    let damaged = Damaged::new(&app, "care_links", &[("id", &link)]);
    redeem().await.expect(500).refused("unreadable");
    again(&app, &thea.name).await;
    damaged.mend();
    redeem().await.ok();
    assert_eq!(ann.care_links().await[0]["state"], "ended");
}

/// Who was an admin may have kept a code, and knows the address.
#[actix_web::test]
async fn a_code_is_void_once_an_admin_is_none_any_more_though_its_member_could_not_be_read_then() {
    let Clinic { app, admin, nurse: noor, .. } = Clinic::open().await;
    let id = clinic_of(&admin).await;
    let (members, leave) = (format!("/v1/clinics/{id}/members"), format!("/v1/clinics/{id}/leave"));
    for (name, leaves) in [("Sam Idris", true), ("Una Gerst", false)] {
        let other = app.staff(&admin, name, &["admin"]).await;
        let reset = other.act(&format!("{members}/{}/credential-reset", noor.account));
        let code = reset.send().await.ok().text("/code");
        let set = |change: &str| {
            let mut sql = Sql::open(&app.database.backend);
            sql.run(&format!("UPDATE staff_members SET {change} WHERE account_id = {}", sql.id(&noor.account)));
        };
        set("version = version + 1");
        if leaves {
            other.act(&leave).send().await.no_content();
        } else {
            admin.act(&format!("{members}/{}/disable", other.account)).send().await.ok();
        }
        set("version = version - 1");
        let body = json!({ "code": code, "email": "noor.haddad@example.org", "passphrase": "another river at dusk" });
        app.post("/v1/auth/staff-reset", body).send().await.expect(422).refused("code_invalid");
    }
    again(&app, &noor.name).await;
}

/// An entry that a patient opened to a therapist and closed again.
async fn closed_again(ann: &Person, theo: &Person, entry: &str) -> String {
    let own = ann.opens(entry, &["text"], theo).await;
    ann.revokes(&own).await;
    own
}

#[actix_web::test]
async fn what_a_patient_has_closed_enters_no_rule_while_its_end_cannot_be_read() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(with(reflection("Lake"), json!({ "kind": "dream" }))).await;
    ann.put_grant(&new_id(&app), rule("reflection", &theo)).send().await.created();
    let own = closed_again(&ann, &theo, &entry).await;
    let damaged = Damaged::new(&app, "grants", &[("id", &own)]);
    ann.edits(&entry, json!({ "kind": "reflection" })).await;
    assert!(theo.finds(&ann).await.is_empty());
    damaged.mend();
    let other = ann.writes(reflection("Tree")).await;
    assert_eq!(theo.finds(&ann).await, [other.as_str()], "the rule holds for all others");
}

#[actix_web::test]
async fn a_share_made_offline_loses_to_a_revocation_that_cannot_be_read() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    let before = seen(&ann).await;
    let own = closed_again(&ann, &theo, &entry).await;
    let _damaged = Damaged::new(&app, "grants", &[("id", &own)]);
    let late = ann.pushes(&share(&ann, &new_id(&app), before, grant(&entry, &["text"], &theo))).await;
    assert_eq!(late["code"], "revoked_since", "{late:#}");
    assert!(theo.finds(&ann).await.is_empty());
}
