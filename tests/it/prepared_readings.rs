//! Readings of staff that are made beside the writer of an SQLite file: one is answered only if nothing has changed for
//! the patient before its row in the log.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use afterglow::care::grants::{self, store};
use afterglow::care::{Access, Write};
use afterglow::changes::{FeedsPlan, PlanRequest};
use afterglow::db::Tx;
use afterglow::kernel::id::{Grant, Patient};
use afterglow::kernel::{Id, Result};
use diesel::RunQueryDsl as _;

use crate::audit::log;
use crate::statements::{heard, listen};
use crate::support::app::{Answer, TestApp};
use crate::support::database::on_postgres;
use crate::support::journal::{ids, reflection, two};
use crate::support::people::Person;

/// Theo, and Ann, who has opened two entries to him; the ids of both, and of the grant that opens the second.
async fn shared() -> (Arc<TestApp>, (Person, Person), (String, String), Id<Grant>) {
    listen();
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (lake, river) = (ann.writes(reflection("Lake")).await, ann.writes(reflection("River")).await);
    ann.opens(&lake, &["text"], &theo).await;
    let grant = ann.opens(&river, &["text"], &theo).await.parse().unwrap();
    // Once, so that what is remembered of the caller is remembered.
    assert_eq!(theo.finds(&ann).await.len(), 2);
    (app, (theo, ann), (lake, river), grant)
}

/// Whether a statement walks through what is open to a reader.
fn is_walk(text: &str) -> bool {
    text.contains("ORDER BY") && text.contains("grant_items")
}

/// What Theo is answered when he lists Ann's entries while the writer is held: the unit that holds it does `change` once
/// the list was read.
async fn overtaken<F>(theo: &Person, ann: &Person, mut change: F) -> Answer
where
    F: FnMut(&mut Tx<'_>) -> Result<()> + Send + 'static,
{
    let app = &theo.app;
    let (release, wait) = mpsc::channel::<()>();
    let (started, running) = tokio::sync::oneshot::channel();
    let (mut started, wait) = (Some(started), Mutex::new(wait));
    let db = app.server.state.db.clone();
    let held = tokio::spawn(async move {
        db.write(move |tx| {
            if let Some(started) = started.take() {
                let _ = started.send(());
            }
            let _ = wait.lock().unwrap().recv();
            change(tx)
        })
        .await
    });
    running.await.unwrap();
    heard(app);
    let once_read = async {
        let read = async {
            while !heard(app).iter().any(|text| is_walk(text)) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), read).await.expect("the list waits for the writer");
        release.send(()).unwrap();
    };
    let (answer, ()) = futures_util::future::join(theo.reads(ann, "/entries"), once_read).await;
    held.await.unwrap().unwrap();
    answer
}

/// A change that a unit makes.
type Change = Box<dyn FnMut(&mut Tx<'_>) -> Result<()> + Send>;

/// The end of a grant of Ann's.
async fn end(ann: &Person, grant: Id<Grant>) -> Change {
    let (state, patient, now) = (&ann.app.server.state, ann.patient.parse::<Id<Patient>>().unwrap(), ann.app.now());
    let keys = state.vault.keys(patient.uuid()).await.unwrap();
    let request = PlanRequest { patient, keys, actor: None, now, feeds: FeedsPlan::Never };
    Box::new(move |tx| {
        let access = Access::<Write>::for_planner(&request);
        let mut open = store::list_keys(tx, &access)?;
        open.retain(|key| key.id == grant);
        assert_eq!(open.len(), 1);
        grants::end(tx, &access, &open)
    })
}

/// The ids that the last row of Ann's log names, as it names them.
async fn named(ann: &Person) -> Vec<String> {
    let rows = log(&ann.app, ann).await;
    rows.last().unwrap().1.ids.iter().map(ToString::to_string).collect()
}

#[actix_web::test]
async fn a_therapists_list_is_read_beside_the_writer_once_and_the_log_names_what_was_sent() {
    if on_postgres() {
        return;
    }
    let (app, (theo, ann), (lake, river), _) = shared().await;
    let rows = log(&app, &ann).await.len();
    let list = overtaken(&theo, &ann, |_| Ok(())).await.ok();
    assert!(!heard(&app).iter().any(|text| is_walk(text)), "the writer read it again");
    let sent = ids(&list);
    assert_eq!(sent.len(), 2);
    assert!(sent.contains(&lake) && sent.contains(&river));
    assert_eq!(log(&app, &ann).await.len(), rows + 1);
    assert_eq!(named(&ann).await, sent);
}

#[actix_web::test]
async fn an_entry_that_a_patient_closes_while_a_therapists_list_is_read_is_neither_sent_nor_named() {
    if on_postgres() {
        return;
    }
    let (app, (theo, ann), (lake, _), grant) = shared().await;
    let rows = log(&app, &ann).await.len();
    let list = overtaken(&theo, &ann, end(&ann, grant).await).await.ok();
    assert_eq!(ids(&list), std::slice::from_ref(&lake));
    assert_eq!(log(&app, &ann).await.len(), rows + 1);
    assert_eq!(named(&ann).await, [lake]);
}

#[actix_web::test]
async fn a_therapist_whose_link_is_gone_once_a_list_was_read_is_not_sent_it() {
    if on_postgres() {
        return;
    }
    let (app, (theo, ann), _, _) = shared().await;
    let rows = log(&app, &ann).await.len();
    // No number is taken. The row does not fit its MAC any more, so it is taken for absent.
    let cut = |tx: &mut Tx<'_>| {
        diesel::sql_query("UPDATE care_links SET state = 'ended'").execute(tx.conn())?;
        Ok(())
    };
    overtaken(&theo, &ann, cut).await.not_found();
    assert_eq!(log(&app, &ann).await.len(), rows, "nothing was read");
}
