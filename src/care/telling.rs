//! The task that tells the patients of a clinic who may now see their infusions.
//!
//! A clinic may have thousands of patients, so their logs are written in portions, each in a unit that also stores how
//! far it came.

use std::collections::BTreeSet;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::model::LinkState;
use super::store::{self, Link, Telling};
use crate::audit::{self, Record, Subject};
use crate::db::{At, Tx};
use crate::kernel::id::{Account, Clinic, Session};
use crate::kernel::{Id, Result};
use crate::tasks::{Due, Task, TaskProgress, TaskRun, keys_of};

/// The most patients told in one unit.
const PORTION: usize = 100;

/// The name of the event in the access log of a patient.
const ACT: &str = "may_see_infusions";

/// Notes that a member has got the capability `record` in `session`, in the unit that gives it.
pub(super) fn begin(
    tx: &mut Tx<'_>,
    member: (Id<Clinic>, Id<Account>),
    (session, now): (Id<Session>, jiff::Timestamp),
) -> Result<()> {
    store::update_telling(tx, member, Some(Telling { at: At(now), after: None, session: Some(session) }))
}

/// Writes into the logs of a clinic's patients who may now see their infusions.
#[derive(Clone, Copy, Debug)]
pub struct TellPatients;

impl Task for TellPatients {
    fn name(&self) -> &'static str {
        "tell-patients"
    }

    fn next_due(&self) -> &'static [Due] {
        const { &[Due::at("staff_members", "tell_at")] }
    }

    fn run<'a>(&'a self, round: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        round.in_portions(move |left_out| tell_next(round, left_out).boxed())
    }
}

/// Tells of the next member, and returns the number of patients.
async fn tell_next(round: TaskRun<'_>, left_out: Vec<Id<Account>>) -> Result<usize> {
    let TaskRun { state, now, put_off, .. } = round;
    let Some(next) = state.db.read(move |tx| store::find_to_tell(tx, now, &left_out)).await? else {
        return Ok(0);
    };
    let (_, account, _) = next;
    Ok(put_off.note(account, now, tell(round, next).await)?.unwrap_or_default())
}

/// Tells a portion of the patients, and returns their number, at least one.
async fn tell(
    TaskRun { state, now, .. }: TaskRun<'_>,
    (clinic, account, seen): (Id<Clinic>, Id<Account>, Telling),
) -> Result<usize> {
    let most = i64::try_from(PORTION).unwrap_or(i64::MAX);
    let list = state.db.read(move |tx| store::list_roster(tx, &[account], &[], &[clinic], seen.after, most));
    let patients = list.await?;
    let (keys, vault) = (keys_of(state, patients.clone()).await?, state.vault.clone());
    let unit = state.db.write_bulk(move |tx| {
        let members = store::hold_members(tx, clinic)?;
        // Another server may have been faster, or the capability was given again.
        if store::find_telling(tx, (clinic, account))? != Some(seen) {
            return Ok(1);
        }
        let may = members.iter().any(|member| member.account_id == account && member.may().record());
        let reached = patients.last().copied().filter(|_| may && patients.len() == PORTION);
        if may {
            let links = store::hold_links_between(tx, &patients, &[clinic])?;
            // Whoever came later chose a clinic where the member had the capability.
            let concerned = |link: &&Link| {
                link.state == LinkState::Active && link.active_at.is_some_and(|since| since.0 < seen.at.0)
            };
            let linked: BTreeSet<_> = links.iter().filter(concerned).map(|link| link.patient).collect();
            for patient in linked {
                let Some(Some(keys)) = keys.get(&patient) else { continue };
                let record = Record { act: ACT.to_owned(), role: "record".to_owned(), refused: false, ids: Vec::new() };
                let subject = Subject::Patient(patient);
                audit::append(tx, &vault, keys, subject, Some(account), seen.session, now, &record)?;
            }
        }
        store::update_telling(tx, (clinic, account), reached.map(|patient| Telling { after: Some(patient), ..seen }))?;
        Ok(patients.len().max(1))
    });
    unit.await
}
