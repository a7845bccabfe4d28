//! The end of an audit chain is held in the keyring: what was anchored can be neither cut nor put back unnoticed.

use std::process::Command;
use std::sync::Arc;

use afterglow::audit::{self, ChainFault, Subject};
use afterglow::db::Backend;
use afterglow::delivery::MemoryChannel;
use afterglow::kernel::id::Patient;
use afterglow::kernel::{Entropy, Id};
use afterglow::tasks::Task as _;
use afterglow::vault::Anchor;
use jiff::SignedDuration;
use uuid::Uuid;

use crate::support::app::TestApp;
use crate::support::journal::two;
use crate::support::people::Person;
use crate::support::sql::Sql;

/// Ann's chain, with rows of a therapist who looked.
struct Chain {
    app: Arc<TestApp>,
    theo: Person,
    ann: Person,
    subject: Subject,
}

impl Chain {
    async fn new() -> Self {
        let app = TestApp::start_on_disk().await;
        let (theo, ann) = two(&app).await;
        let patient: Id<Patient> = ann.patient.parse().unwrap();
        Self { app, theo, ann, subject: Subject::Patient(patient) }
    }

    async fn grows(&self, by: usize) {
        for _ in 0..by {
            self.theo.reads(&self.ann, "/window").await.ok();
        }
    }

    /// What the background work does in a minute.
    async fn a_minute(&self) {
        for _ in 0..12 {
            self.app.wait(SignedDuration::from_secs(5));
            afterglow::app::tick(&self.app.server.state, &MemoryChannel::default(), self.app.now()).await.unwrap();
        }
    }

    async fn head(&self) -> (i64, Vec<u8>) {
        let subject = self.subject;
        self.app.server.state.db.read(move |tx| audit::head(tx, subject)).await.unwrap()
    }

    async fn anchor(&self) -> Option<Anchor> {
        let all = self.app.server.state.vault.anchors(Some(vec![self.subject.uuid()])).await.unwrap();
        all.into_values().next().map(|anchor| anchor.expect("nobody has changed it"))
    }

    /// The fault that the chain shows, held against its anchor.
    async fn fault(&self) -> Option<ChainFault> {
        let state = &self.app.server.state;
        let anchors = state.vault.anchors(None).await.unwrap();
        let (subject, vault) = (self.subject, state.vault.clone());
        let unit = state.db.read(move |tx| {
            let (last, head) = audit::head(tx, subject)?;
            audit::verify(tx, &vault, subject, last, &head, anchors.get(&subject.uuid()))
        });
        unit.await.unwrap()
    }

    fn sql(&self) -> Sql {
        Sql::open(&self.app.database.backend)
    }

    fn id(&self) -> String {
        let id = self.subject.uuid();
        match self.app.database.backend {
            Backend::Sqlite(_) => format!("x'{}'", id.simple()),
            Backend::Postgres(_) => format!("'{id}'"),
        }
    }

    /// Cuts the chain behind row `last`, as well as somebody without keys can: head and rows fit each other.
    fn cut(&self, last: i64) {
        let id = self.id();
        self.sql().run(&format!(
            "DELETE FROM audit_log WHERE subject_id = {id} AND seq > {last}; \
             UPDATE patient_heads SET audit_seq = {last}, audit_mac = \
             (SELECT mac FROM audit_log WHERE subject_id = {id} AND seq = {last}) WHERE patient_id = {id}"
        ));
    }
}

fn verified(app: &TestApp) -> (bool, String) {
    let config = &app.server.state.config;
    let url = match &config.database {
        Backend::Sqlite(path) => format!("sqlite:{}", path.display()),
        Backend::Postgres(url) => url.clone(),
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterglow"));
    command.args(["audit", "verify", "--database-url", &url]);
    command.arg("--data-dir").arg(&config.data_dir).arg("--key-dir").arg(&config.key_dir);
    let done = command.output().unwrap();
    (done.status.success(), String::from_utf8(done.stdout).unwrap())
}

#[actix_web::test]
async fn d3_a_chain_that_was_cut_behind_its_anchor_is_found() {
    let chain = Chain::new().await;
    chain.grows(6).await;
    chain.a_minute().await;
    let (seq, mac) = chain.head().await;
    assert_eq!(chain.anchor().await, Some(Anchor { seq, head: mac }), "anchored within a minute");
    assert_eq!(chain.fault().await, None);
    assert!(verified(&chain.app).0);
    chain.cut(seq - 2);
    assert_eq!(chain.fault().await.unwrap().seq, seq - 1);
    let (fits, said) = verified(&chain.app);
    assert!(!fits && said.contains(&format!("row {}: rows that were anchored are missing", seq - 1)), "{said}");
    // Nobody gets rid of it by letting the chain grow again: the anchor stays what it was.
    let before = chain.anchor().await;
    chain.grows(5).await;
    chain.a_minute().await;
    assert_eq!(chain.anchor().await, before);
    let fault = chain.fault().await.unwrap();
    assert_eq!((fault.seq, fault.why), (seq, "the row is not the one that was anchored"));
}

#[actix_web::test]
async fn d3_a_patient_who_was_put_back_or_removed_is_found() {
    let chain = Chain::new().await;
    chain.grows(3).await;
    chain.a_minute().await;
    chain.sql().run(
        "CREATE TABLE __kept_log AS SELECT * FROM audit_log; CREATE TABLE __kept_heads AS SELECT * FROM patient_heads",
    );
    chain.grows(3).await;
    chain.a_minute().await;
    assert_eq!(chain.fault().await, None);
    let id = chain.id();
    chain.sql().run(&format!(
        "DELETE FROM audit_log WHERE subject_id = {id}; \
         INSERT INTO audit_log SELECT * FROM __kept_log WHERE subject_id = {id}; \
         DELETE FROM patient_heads WHERE patient_id = {id}; \
         INSERT INTO patient_heads SELECT * FROM __kept_heads WHERE patient_id = {id}"
    ));
    assert_eq!(chain.fault().await.unwrap().why, "rows that were anchored are missing at the end");
    assert!(!verified(&chain.app).0);
    chain.sql().run(&format!(
        "DELETE FROM audit_log WHERE subject_id = {id}; DELETE FROM patient_heads WHERE patient_id = {id}"
    ));
    let (fits, said) = verified(&chain.app);
    assert!(!fits && said.contains(&format!("{}: the whole chain is missing", chain.subject.uuid())), "{said}");
}

#[actix_web::test]
async fn d3_what_has_just_been_written_is_anchored_when_the_server_stops() {
    let chain = Chain::new().await;
    let worker = chain.app.server.work(Arc::new(MemoryChannel::default()));
    // It begins with what a server that was killed had left.
    while chain.anchor().await.is_none() {
        tokio::task::yield_now().await;
    }
    chain.grows(2).await;
    let (seq, head) = chain.head().await;
    assert_ne!(chain.anchor().await.map(|anchor| anchor.seq), Some(seq), "it is not due yet");
    worker.stop().await;
    assert_eq!(chain.anchor().await, Some(Anchor { seq, head }));
}

#[actix_web::test]
async fn d3_a_server_that_starts_anchors_what_a_lost_keyring_or_a_changed_row_left_out() {
    let chain = Chain::new().await;
    chain.grows(2).await;
    chain.sql().run("UPDATE patient_heads SET anchor_due_at = NULL");
    chain.a_minute().await;
    assert_eq!(chain.anchor().await, None);
    let (seq, head) = chain.head().await;
    audit::Anchoring.begin(&chain.app.server.state, chain.app.now()).await.unwrap();
    assert_eq!(chain.anchor().await, Some(Anchor { seq, head }));
}

#[actix_web::test]
async fn d3_an_anchor_only_grows_however_many_raise_it() {
    let chain = Chain::new().await;
    let vault = &chain.app.server.state.vault;
    let subject: Uuid = Entropy::System.opaque();
    let of = |seq: i64| Anchor { seq, head: vec![u8::try_from(seq).unwrap(); 32] };
    let raises = (1..=40_i64).map(|n| vault.raise_anchors(vec![(subject, of((n * 23) % 41))]));
    for done in futures_util::future::join_all(raises).await {
        done.unwrap();
    }
    let found = async || vault.anchors(Some(vec![subject])).await.unwrap().remove(&subject).unwrap();
    assert_eq!(found().await, Ok(of(40)));
    vault.raise_anchors(vec![(subject, of(39))]).await.unwrap();
    assert_eq!(found().await, Ok(of(40)));
}

#[actix_web::test]
async fn d3_an_anchor_that_was_lowered_without_the_root_key_is_found() {
    let chain = Chain::new().await;
    chain.grows(6).await;
    chain.a_minute().await;
    let (seq, _) = chain.head().await;
    chain.cut(seq - 2);
    let keyring = chain.app.server.state.config.key_dir.join("keyring.sqlite");
    let (id, low) = (chain.subject.uuid().simple(), seq - 2);
    Sql::open(&Backend::Sqlite(keyring))
        .run(&format!("UPDATE audit_anchors SET seq = {low} WHERE subject_id = x'{id}'"));
    assert_eq!(chain.fault().await.unwrap().why, "the anchor of the chain was changed");
}
