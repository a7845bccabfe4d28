//! What closes access is sent again when the revocation ledger could not be written: whatever the answer is then, the
//! entry stands in the ledger before it.

use std::sync::Arc;

use afterglow::account::operator::{self, Forgetting};
use afterglow::care::revocations::Revoked;
use afterglow::kernel::{Email, Error};
use serde_json::json;

use crate::idempotency::doer;
use crate::revocations::{CLOSES, Closes, kinds_beside_grants, ledger, noted, path_of, puts_back, takes_away, uuid};
use crate::support::accounts::{code_sent_to, with_factor};
use crate::support::app::{Answer, TestApp, new_id};
use crate::support::database::on_postgres;
use crate::support::journal::{reflection, two};
use crate::support::people::{Clinic, PASSPHRASE, Person};
use crate::support::phone::{is, mutation, new_phone};
use crate::support::sql::{Sql, beside};
use crate::support::world::World;

const ANN: &str = "ann.walker@example.org";

/// What the ledger holds from the entry `first` on.
fn entered(app: &TestApp, first: usize) -> Vec<Revoked> {
    ledger(app).0.into_iter().skip(first).map(|entry| entry.revoked).collect()
}

/// Sends a request twice while the ledger cannot be written, and once when it can. Returns the last answer, and what
/// was entered before it.
async fn sends_again(app: &Arc<TestApp>, send: impl AsyncFn() -> Answer) -> (Answer, Vec<Revoked>) {
    let (before, file) = (ledger(app).0.len(), path_of(app));
    takes_away(&file);
    send().await.expect(503);
    send().await.expect(503);
    assert!(noted(app) > 0, "nothing is owed to the ledger");
    puts_back(&file);
    assert_eq!(ledger(app).0.len(), before);
    let last = send().await;
    assert_eq!(noted(app), 0, "it was answered before it was entered: {}", last.body);
    (last, entered(app, before))
}

#[actix_web::test]
async fn every_operation_that_closes_access_is_entered_before_its_repetition_is_answered() {
    let world = World::open().await;
    let entries = |closes: &Closes| if let Closes::Entries(kinds) = closes { Some(*kinds) } else { None };
    let mut closing: Vec<_> = CLOSES.iter().filter_map(|(id, closes)| Some((*id, entries(closes)?))).collect();
    // Ending the link takes the world apart.
    closing.sort_by_key(|(id, _)| *id == "end_care_link");
    for (id, kinds) in closing {
        let ask = world.ask(id, doer(id)).await;
        let before = ledger(&world.app).0.len();
        let (last, _) = sends_again(&world.app, async || ask.send(&world.app).await).await;
        assert_ne!(last.status, 503, "{id}");
        assert_eq!(kinds_beside_grants(&world.app, before, kinds), kinds, "{id}: {}", last.body);
    }
}

#[actix_web::test]
async fn each_change_of_a_second_factor_is_entered_with_whether_there_is_one_now() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let of_ann = |has_factor| Revoked::Factor { account: uuid(&ann.account), has_factor };
    ann.act("/v1/me/factors/totp").send().await.ok();
    ann.delete("/v1/me/factors/totp").send().await.no_content();
    assert!(entered(&app, 0).is_empty(), "what never counted closes nothing");
    with_factor(&ann).await;
    assert_eq!(entered(&app, 0), [of_ann(true)], "a backup from before opens to the passphrase alone");
    ann.act("/v1/me/factors/recovery-codes").send().await.ok();
    ann.delete("/v1/me/factors/totp").send().await.no_content();
    assert_eq!(entered(&app, 1), [of_ann(true), of_ann(false)]);

    with_factor(&ann).await;
    let before = ledger(&app).0.len();
    let (file, address) = (path_of(&app), Email::parse(ANN).unwrap());
    let forgets = async || operator::forget_factors(&app.server.state, &address, false).await;
    takes_away(&file);
    assert!(matches!(forgets().await, Err(Error::Unavailable(_))));
    assert!(matches!(forgets().await, Err(Error::Unavailable(_))));
    puts_back(&file);
    assert_eq!(forgets().await.unwrap(), Forgetting::Nothing);
    assert_eq!((entered(&app, before), noted(&app)), (vec![of_ann(false)], 0));
}

#[actix_web::test]
async fn a_changed_passphrase_is_entered_before_the_one_from_before_is_refused() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let change = json!({ "passphrase": PASSPHRASE, "new_passphrase": "a loud waterfall at noon" });
    let send = async || ann.post("/v1/me/passphrase", change.clone()).send().await;
    let (last, entered) = sends_again(&app, send).await;
    last.expect(422).refused("invalid");
    assert_eq!(entered, [Revoked::Passphrase { account: uuid(&ann.account) }]);
}

#[actix_web::test]
async fn a_changed_address_is_entered_before_its_used_code_is_refused() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let address = "ann@new.example.org";
    ann.post("/v1/me/email", json!({ "email": address, "passphrase": PASSPHRASE })).send().await.ok();
    let code = code_sent_to(&app, address).await;
    let send = async || ann.post("/v1/auth/verify-email", json!({ "code": code })).send().await;
    let (last, entered) = sends_again(&app, send).await;
    last.expect(422).refused("code_invalid");
    assert_eq!(entered, [Revoked::Address { account: uuid(&ann.account) }]);
}

#[actix_web::test]
async fn the_work_of_an_admin_who_ends_it_is_entered_before_they_are_refused() {
    let Clinic { app, admin, .. } = Clinic::open().await;
    app.staff(&admin, "Bea Roth", &["admin"]).await;
    let clinic = admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
    let path = format!("/v1/clinics/{clinic}/members/{}", admin.account);
    let send = async || admin.patch(&path, json!({ "ended": true })).if_match("*").send().await;
    let (last, entered) = sends_again(&app, send).await;
    last.not_found();
    let member = Revoked::Member { clinic: uuid(&clinic), account: uuid(&admin.account), capabilities: 0 };
    assert_eq!(entered, [member]);
}

/// Sends a request that ends work at a clinic, and again while the first one has not committed. The ledger cannot be
/// written before the third.
async fn sends_beside_itself(app: &TestApp, send: impl AsyncFn() -> Answer) {
    let mut sql = Sql::open(&app.database.backend);
    let like = |table: &str| {
        format!(
            "UPDATE staff_members AS own SET ended_at = other.ended_at, version = other.version, mac = other.mac \
             FROM {table} AS other WHERE (own.clinic_id, own.account_id) = (other.clinic_id, other.account_id)"
        )
    };
    let file = path_of(app);
    takes_away(&file);
    sql.run("CREATE TABLE earlier AS SELECT * FROM staff_members");
    send().await.expect(503);
    sql.run("CREATE TABLE later AS SELECT * FROM staff_members");
    sql.run(&like("earlier"));
    beside(&app.database.backend, &like("later"), send()).await.expect(503);
    puts_back(&file);
    send().await.no_content();
    assert_eq!(noted(app), 0);
    sql.run("DROP TABLE earlier; DROP TABLE later");
}

#[actix_web::test]
async fn the_end_of_work_is_entered_before_the_same_request_that_waited_for_it_is_answered() {
    if !on_postgres() {
        return;
    }
    let Clinic { app, admin, therapist: thea, link, .. } = Clinic::open().await;
    let clinic = admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
    thea.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    sends_beside_itself(&app, async || thea.act(&format!("/v1/clinics/{clinic}/leave")).send().await).await;
    sends_beside_itself(&app, async || admin.delete(&format!("/v1/clinics/{clinic}")).send().await).await;
}

#[actix_web::test]
async fn activity_that_is_hidden_is_entered_before_a_repetition_that_changes_nothing() {
    let app = TestApp::start().await;
    let (_theo, ann) = two(&app).await;
    ann.sets(json!({ "share_activity": true })).await.ok();
    let (last, entered) = sends_again(&app, async || ann.sets(json!({ "share_activity": false })).await).await;
    last.ok();
    assert_eq!(entered, [Revoked::Activity]);

    // The same from a phone.
    ann.sets(json!({ "share_activity": true })).await.ok();
    let version = new_phone(&ann).await.item("settings", &ann.patient)["version"].as_i64().unwrap();
    let hides = json!({ "fields": { "share_activity": false } });
    let pushed = mutation(&ann, "settings", &ann.patient, version, hides);
    let (last, entered) = sends_again(&app, async || ann.push(std::slice::from_ref(&pushed)).await).await;
    assert_eq!(last.ok().body["results"][0]["status"], "replayed");
    assert_eq!(entered, [Revoked::Activity]);
}

#[actix_web::test]
async fn what_is_owed_for_one_patient_keeps_no_other_from_an_answer() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    let writes = |person: &Person| {
        let header = json!({ "kind": "reflection", "occurred_at": app.now().to_string() });
        mutation(person, "entry", &new_id(&app), 0, json!({ "header": header, "text": { "body": "By the lake." } }))
    };
    let (of_ben, of_ann) = (writes(&ben), writes(&ann));
    is(&ben.pushes(&of_ben).await, "applied");
    is(&ann.pushes(&of_ann).await, "applied");
    ben.sets(json!({ "share_activity": true })).await.ok();
    let entry = ann.writes(reflection("First")).await;
    let share = ann.opens(&entry, &["text"], &theo).await;
    let file = path_of(&app);
    takes_away(&file);
    ann.delete(&ann.my(&format!("/grants/{share}"))).send().await.expect(503);
    let owed = noted(&app);
    assert!(owed > 0);
    is(&ben.pushes(&of_ben).await, "replayed");
    ben.sets(json!({ "share_activity": true })).await.ok();
    assert_eq!(noted(&app), owed, "it is owed still");
    // Hers waits: nobody says here what it ended.
    ann.push(std::slice::from_ref(&of_ann)).await.expect(503);
    puts_back(&file);
    is(&ann.pushes(&of_ann).await, "replayed");
    assert_eq!(noted(&app), 0);
}

#[actix_web::test]
async fn grants_that_end_with_what_comes_back_are_entered_before_a_repetition_that_changes_nothing() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("First")).await;
    ann.edits(&entry, json!({ "text": { "title": "Second" } })).await;
    let path = ann.my(&format!("/entries/{entry}"));
    ann.opens(&entry, &["text"], &theo).await;
    let restore = async || ann.act(&format!("{path}/revisions/1/restore")).if_match("\"v2\"").send().await;
    let (last, entered) = sends_again(&app, restore).await;
    assert_eq!(last.ok().body["text"]["title"], "First");
    assert!(matches!(entered[..], [Revoked::Grant { .. }]), "{entered:?}");

    ann.opens(&entry, &["text"], &theo).await;
    ann.delete(&path).send().await.no_content();
    let undelete = async || ann.post(&format!("{path}/undelete"), json!({})).send().await;
    let (last, entered) = sends_again(&app, undelete).await;
    last.ok();
    assert!(matches!(entered[..], [Revoked::Grant { .. }]), "{entered:?}");
}
