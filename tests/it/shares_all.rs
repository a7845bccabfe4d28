//! A patient who shares everything is asked what to share as soon as one entry is not: their plans keep that all was
//! shared, and look only at what has changed since.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of, new_id};
use crate::support::exercises::work;
use crate::support::journal::{reflection, two, with};
use crate::support::people::Person;
use crate::support::phone::{is, mutation};
use crate::unseen::{revoke, rule, seen, share};

/// Ann on the day on which a patient is asked what to share. Her rule opens all that she has written to her care team,
/// for two hours.
struct Sharing {
    app: Arc<TestApp>,
    theo: Person,
    ann: Person,
    rule: String,
    lake: String,
}

fn pause() -> Value {
    json!({ "from": "2026-06-01T00:00:00Z", "until": "2026-06-05T00:00:00Z" })
}

impl Sharing {
    async fn new() -> Self {
        let app = TestApp::start_on_fixture().await;
        let (theo, ann) = two(&app).await;
        theo.records(&ann, app.now() - SignedDuration::from_hours(1)).await;
        app.set_clock("2026-03-13T09:00:00Z");
        let until = (app.now() + SignedDuration::from_hours(2)).to_string();
        let body = json!({ "rule": { "kind": "reflection" }, "sections": ["text"], "reader": { "type": "care_team" },
            "expires_at": until });
        let rule = new_id(&app);
        ann.put_grant(&rule, body).send().await.created();
        let lake = ann.writes(reflection("Lake")).await;
        ann.writes(reflection("River")).await;
        let sharing = Self { app, theo, ann, rule, lake };
        assert!(!sharing.is_asked().await, "all is shared");
        sharing
    }

    /// Whether Ann is asked what to share, by a plan that is made now. A pause in the summer has it made.
    async fn is_asked(&self) -> bool {
        let path = self.ann.my(&format!("/pauses/{}", new_id(&self.app)));
        self.ann.put(&path, pause()).send().await.created();
        self.ann.delete(&path).send().await.no_content();
        self.is_asked_already().await
    }

    /// Whether Ann is asked what to share, by the last plan.
    async fn is_asked_already(&self) -> bool {
        let prompts = self.ann.prompts().await;
        prompts.iter().any(|prompt| prompt["rule_key"] == "d3.share" && prompt["state"] == "planned")
    }

    /// Pushes a mutation, alone or with a pause. If one unit does both, the pause takes the number that the unit holds.
    async fn pushes(&self, first: Value, with_a_pause: bool) -> Value {
        let second = mutation(&self.ann, "pause", &new_id(&self.app), 0, json!({ "fields": pause() }));
        let batch = if with_a_pause { vec![first, second] } else { vec![first] };
        let results = self.ann.push(&batch).await.ok().body["results"].clone();
        results.as_array().unwrap().iter().skip(1).for_each(|other| is(other, "applied"));
        results[0].clone()
    }

    /// In the place of the rule for the care team, Ann makes one for Theo. She also opens the entry about the lake to
    /// him, and takes that back, while the rule goes on. Returns the rule, the grant, and the last number before the
    /// rule.
    async fn with_a_rule_for_theo(&self, entry_first: bool) -> (String, String, i64) {
        self.ann.revokes(&self.rule).await;
        let id = new_id(&self.app);
        let makes = async || drop(self.ann.put_grant(&id, rule("reflection", &self.theo)).send().await.created());
        let (before, open);
        if entry_first {
            open = self.ann.opens(&self.lake, &["text"], &self.theo).await;
            before = seen(&self.ann).await;
            makes().await;
        } else {
            before = seen(&self.ann).await;
            makes().await;
            open = self.ann.opens(&self.lake, &["text"], &self.theo).await;
        }
        self.ann.revokes(&open).await;
        assert!(!self.is_asked().await, "the rule opens all");
        (id, open, before)
    }
}

/// Whether Ann is asked what to share after `deed`.
async fn asked_after(deed: impl AsyncFnOnce(&Sharing)) -> bool {
    let sharing = Sharing::new().await;
    deed(&sharing).await;
    sharing.is_asked().await
}

fn dream() -> Value {
    with(reflection("Sea"), json!({ "kind": "dream" }))
}

#[actix_web::test]
async fn a_patient_who_goes_on_to_share_all_is_not_asked_what_to_share() {
    assert!(!asked_after(async |_| {}).await);
    assert!(!asked_after(async |all| drop(all.ann.writes(reflection("Sea")).await)).await, "a rule opens it");
    let draft = async |all: &Sharing| drop(all.ann.writes(with(dream(), json!({ "status": "draft" }))).await);
    assert!(!asked_after(draft).await, "a draft");
    let unshared = async |all: &Sharing| {
        let sea = all.ann.writes(dream()).await;
        assert!(all.is_asked().await);
        all.ann.delete(&all.ann.my(&format!("/entries/{sea}"))).send().await.no_content();
    };
    assert!(!asked_after(unshared).await, "what nobody else might read was deleted");
    assert!(!asked_after(async |all| drop(all.ann.works(work()).await)).await, "a response is no entry");
    let text = async |all: &Sharing| drop(all.ann.edits(&all.lake, json!({ "text": { "body": "More." } })).await);
    assert!(!asked_after(text).await, "another text of a shared entry");
}

#[actix_web::test]
async fn a_patient_who_writes_what_no_rule_opens_is_asked_what_to_share() {
    assert!(asked_after(async |all| drop(all.ann.writes(dream()).await)).await);
    // An older entry than the newest, which is shared.
    let older = with(dream(), json!({ "occurred_at": "2026-03-09T08:30:00+01:00" }));
    assert!(asked_after(async |all| drop(all.ann.writes(older).await)).await);
    let draft = async |all: &Sharing| {
        let sea = all.ann.writes(with(dream(), json!({ "status": "draft" }))).await;
        assert!(!all.is_asked().await);
        all.ann.edits(&sea, json!({ "status": "done" })).await;
    };
    assert!(asked_after(draft).await, "a draft became done");
    let left = async |all: &Sharing| drop(all.ann.edits(&all.lake, json!({ "kind": "dream" })).await);
    assert!(asked_after(left).await, "an entry left the rule");
}

#[actix_web::test]
async fn a_patient_who_takes_back_what_was_shared_is_asked_what_to_share() {
    assert!(asked_after(async |all| all.ann.revokes(&all.rule).await).await, "the rule");
    let one = async |all: &Sharing| {
        let sea = all.ann.writes(dream()).await;
        let open = all.ann.opens(&sea, &["text"], &all.theo).await;
        assert!(!all.is_asked().await);
        all.ann.revokes(&open).await;
    };
    assert!(asked_after(one).await, "one entry");
    let back = async |all: &Sharing| {
        let path = all.ann.my(&format!("/entries/{}", all.lake));
        all.ann.delete(&path).send().await.no_content();
        assert!(!all.is_asked().await, "it is deleted");
        all.ann.act(&format!("{path}/undelete")).send().await.ok();
    };
    assert!(asked_after(back).await, "what comes back is open to nobody");
    let replaced = async |all: &Sharing| {
        let link = id_of(&all.ann.care_links().await[0]);
        all.ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
        assert!(!all.is_asked().await, "nobody is there to read it");
        all.ann.linked_to(&all.theo).await;
    };
    assert!(asked_after(replaced).await, "the grants of a link ended with it");
}

#[actix_web::test]
async fn a_patient_whose_rule_runs_out_is_asked_what_to_share_though_nothing_has_ended_it_yet() {
    let all = Sharing::new().await;
    all.app.wait(SignedDuration::from_mins(119));
    assert!(!all.is_asked().await);
    all.app.wait(SignedDuration::from_mins(1));
    assert!(all.is_asked().await);
}

#[actix_web::test]
async fn a_patient_whose_entry_leaves_or_enters_a_rule_has_a_new_plan_at_once() {
    let all = Sharing::new().await;
    all.ann.edits(&all.lake, json!({ "kind": "dream" })).await;
    assert!(all.is_asked_already().await, "it left the rule");
    all.ann.edits(&all.lake, json!({ "kind": "reflection" })).await;
    assert!(!all.is_asked_already().await, "it is back");
}

#[actix_web::test]
async fn a_patient_whose_phone_takes_an_entry_out_of_a_rule_that_goes_on_is_asked_what_to_share() {
    for with_a_pause in [false, true] {
        // The revocation of what was revoked already, on a phone that had not seen the rule.
        let all = Sharing::new().await;
        let (_, open, before) = all.with_a_rule_for_theo(true).await;
        is(&all.pushes(revoke(&all.ann, &open, before, json!({})), with_a_pause).await, "applied");
        assert!(all.is_asked_already().await);

        // The rule once more, from a phone that had not seen that the entry was revoked.
        let all = Sharing::new().await;
        let (id, _, before) = all.with_a_rule_for_theo(false).await;
        is(&all.pushes(share(&all.ann, &id, before, rule("reflection", &all.theo)), with_a_pause).await, "applied");
        assert!(all.is_asked_already().await);

        // A deletion on a phone that had not seen the newer words: they stay, and are open to nobody.
        let all = Sharing::new().await;
        all.ann.edits(&all.lake, json!({ "text": { "body": "More." } })).await;
        assert!(!all.is_asked().await);
        let deletion = mutation(&all.ann, "entry", &all.lake, 1, json!({ "op": "delete" }));
        let kept = all.pushes(deletion, with_a_pause).await;
        assert_eq!(kept["code"], "kept_newer_words", "{kept:#}");
        assert!(all.is_asked_already().await);
    }
}
