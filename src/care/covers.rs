//! Covers: a therapist who is away names a colleague who stands in, for three weeks at most.
//!
//! The colleague sees the therapist's patients in their roster, and what these have granted to the care team; never
//! what is for the therapist alone. Only the therapist names them: an admin gives nobody content. A task writes into
//! the logs of the patients who stands in; who comes later is told when their link is confirmed ([`super::links`]).

use std::collections::BTreeSet;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

use super::clinics::{clinic_for, where_may};
use super::cover_notices::{is_told_by_task, note};
use super::members;
use super::model::{Capabilities, LinkState};
use super::people::SealedNames;
use super::store::{self, CoverRow, CoverTelling, Link};
use crate::changes::{self, Closed};
use crate::db::{At, Tx};
use crate::idempotency::Outcome;
use crate::identity::{Live, Staff};
use crate::kernel::id::{Account, Clinic, Cover};
use crate::kernel::page::{Page, PageRequest, SMALL};
use crate::kernel::{Code, Error, Fields, Id, Result, limits};
use crate::tasks::{Due, Task, TaskProgress, TaskRun, keys_of};

/// The longest cover.
const LONGEST: SignedDuration = SignedDuration::from_hours(21 * 24);

/// The most patients told in one unit.
const PORTION: usize = 100;

/// A cover that a therapist asks for.
#[derive(Clone, Copy, Debug)]
pub struct CoverRequest {
    /// The colleague.
    pub colleague: Id<Account>,
    /// The first instant; now by default.
    pub starts_at: Option<Timestamp>,
    /// The instant from which it is over.
    pub ends_at: Timestamp,
}

impl CoverRequest {
    /// Whether this is what was asked for when `row` was made.
    fn made(&self, row: &CoverRow) -> bool {
        let starts_at = self.starts_at.map_or(row.created_at.0, |at| at.max(row.created_at.0));
        starts_at == row.starts_at.0 && self.colleague == row.colleague_id && self.ends_at == row.ends_at.0
    }

    /// Returns the first instant.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a time that is over, or longer than a cover may be.
    fn start(&self, now: Timestamp) -> Result<Timestamp> {
        let starts_at = self.starts_at.map_or(now, |at| at.max(now));
        let mut fields = Fields::new();
        fields.check(self.ends_at > starts_at, "/ends_at", "must lie after the start, in the future");
        let short = self.ends_at.duration_since(starts_at) <= LONGEST;
        fields.check(short, "/ends_at", "must lie at most 21 days after the start");
        fields.finish(Some(starts_at))
    }
}

/// Makes a cover of the caller's own patients at a clinic. A repetition changes nothing.
///
/// # Errors
///
/// As [`clinic_for`]; [`Error::NotFound`] for the id of somebody else's cover; [`Error::Deleted`] when it was ended;
/// [`Code::AlreadyExists`] when the id has another content; [`Error::Invalid`] for times that do not fit, and for a
/// colleague who is no other therapist of the clinic; [`Error::LimitReached`].
pub fn put(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    (clinic, id): (Id<Clinic>, Id<Cover>),
    asked: &CoverRequest,
) -> Result<Outcome<CoverRow>> {
    // Whoever does not work there holds nobody: how long that takes would tell who does.
    clinic_for(&store::memberships(tx, live.account())?, Some(clinic), Capabilities::care)?;
    // Held, so that whoever takes a capability of one of them meanwhile finds the cover that hangs on it, and so that
    // requests at once do not pass the limit of covers together. In one statement, which locks by account: two may name
    // each other at once.
    store::hold_some_members(tx, clinic, &[live.account(), asked.colleague])?;
    clinic_for(&store::memberships(tx, live.account())?, Some(clinic), Capabilities::care)?;
    if let Some(row) = store::hold_cover(tx, id)? {
        if row.clinic_id != clinic || row.therapist_id != live.account() {
            return Err(Error::NotFound);
        }
        return match (row.ended_at, asked.made(&row)) {
            (Some(_), _) => Err(Error::Deleted),
            (None, true) => Ok(Outcome::ok(id, row)),
            (None, false) => Err(Error::Conflict(Code::AlreadyExists, Some(id.uuid()))),
        };
    }
    let (account, now) = (live.account(), live.now());
    let starts_at = asked.start(now)?;
    if asked.colleague == account || !members::is_therapist_at(tx, clinic, asked.colleague)? {
        return Err(Error::field("/colleague_id", "is not another therapist of this clinic"));
    }
    limits::COVERS.admit(store::count_covers(tx, clinic, account, now)?)?;
    let row = CoverRow {
        id,
        clinic_id: clinic,
        therapist_id: account,
        colleague_id: asked.colleague,
        version: tx.first_version(),
        created_at: At(now),
        starts_at: At(starts_at),
        ends_at: At(asked.ends_at),
        ended_at: None,
    };
    store::insert_cover(tx, &row, live.session())?;
    Ok(Outcome::created(id, row))
}

/// Returns the account whose covers at a clinic the caller sees: their own, in which they are away or stand in; `None`
/// for admins, who see all.
///
/// # Errors
///
/// [`Error::NotFound`] when the caller does not work there.
fn seen_by(tx: &mut Tx<'_>, live: &Live<Staff>, clinic: Id<Clinic>) -> Result<Option<Id<Account>>> {
    let works = store::memberships(tx, live.account())?;
    let (_, may) = works.into_iter().find(|(at, _)| *at == clinic).ok_or(Error::NotFound)?;
    Ok(if may.admin() { None } else { Some(live.account()) })
}

/// A cover with the names of both.
pub type Shown = (CoverRow, SealedNames);

/// Reads a cover after a change.
///
/// # Errors
///
/// [`Error::NotFound`] when the caller does not see it.
pub fn show(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    clinic: Option<Id<Clinic>>,
    outcome: Outcome<CoverRow>,
) -> Result<Shown> {
    let clinic = clinic.ok_or(Error::NotFound)?;
    let row = outcome.or_get(|id| {
        let of = seen_by(tx, live, clinic)?;
        store::find_cover(tx, clinic, of, id)?.ok_or(Error::NotFound)
    })?;
    let names = SealedNames::collect(tx, [row.therapist_id, row.colleague_id], [])?;
    Ok((row, names))
}

/// A page of covers with the names of both sides.
pub type CoverPage = (Page<CoverRow, Id<Cover>>, SealedNames);

/// Lists a page of the covers at a clinic that concern the caller, newest first; all of them for its admins.
///
/// # Errors
///
/// [`Error::NotFound`] when the caller does not work there.
pub fn list(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    clinic: Id<Clinic>,
    asked: PageRequest<Id<Cover>>,
) -> Result<CoverPage> {
    let of = seen_by(tx, live, clinic)?;
    let page = asked.cut(store::list_covers(tx, clinic, of, asked.after, asked.rows())?, |_| SMALL, |row| row.id);
    let people = page.items.iter().flat_map(|row| [row.therapist_id, row.colleague_id]);
    let names = SealedNames::collect(tx, people, [])?;
    Ok((page, names))
}

/// Ends a cover early: its therapist, its colleague, or an admin. A second call changes nothing.
///
/// # Errors
///
/// [`Error::NotFound`] for everybody else.
pub fn end(tx: &mut Tx<'_>, live: &Live<Staff>, (clinic, id): (Id<Clinic>, Id<Cover>)) -> Result<()> {
    // Held, so that an admin whose work is ended meanwhile ends no cover.
    store::hold_member(tx, clinic, live.account())?;
    let of = seen_by(tx, live, clinic)?;
    store::find_cover(tx, clinic, of, id)?.ok_or(Error::NotFound)?;
    let row = store::hold_cover(tx, id)?.ok_or(Error::NotFound)?;
    if row.ended_at.is_some() {
        // A repetition, too, is answered once it stands in the ledger.
        tx.follow_up();
        return Ok(());
    }
    let version = tx.version_after(row.version);
    store::update_cover(tx, &CoverRow { ended_at: Some(At(live.now())), version, ..row })?;
    changes::note_closed(tx, Closed::Cover(id), live.now())
}

/// Lists the therapists for whom the caller stands in now, with the clinics: where the caller still has `care`.
pub fn list_covered(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    works: &[(Id<Clinic>, Capabilities)],
) -> Result<Vec<(Id<Clinic>, Id<Account>)>> {
    let care = where_may(works, Capabilities::care);
    let mut covered = store::list_covered(tx, live.account(), live.now())?;
    covered.retain(|(clinic, _)| care.contains(clinic));
    Ok(covered)
}

/// Writes into the logs of patients who stands in for their therapist.
#[derive(Clone, Copy, Debug)]
pub struct TellCovered;

impl Task for TellCovered {
    fn name(&self) -> &'static str {
        "tell-covered"
    }

    fn next_due(&self) -> &'static [Due] {
        const { &[Due::at("covers", "tell_at")] }
    }

    fn run<'a>(&'a self, round: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        round.in_portions(move |left_out| tell_next(round, left_out).boxed())
    }
}

/// Tells of the next cover, and returns the number of patients.
async fn tell_next(round: TaskRun<'_>, left_out: Vec<Id<Cover>>) -> Result<usize> {
    let TaskRun { state, now, put_off, .. } = round;
    let Some(seen) = state.db.read(move |tx| store::find_cover_to_tell(tx, now, &left_out)).await? else {
        return Ok(0);
    };
    Ok(put_off.note(seen.id, now, tell(round, seen).await)?.unwrap_or_default())
}

/// Tells a portion of the patients of a cover, and returns their number, at least one.
async fn tell(TaskRun { state, now, .. }: TaskRun<'_>, seen: CoverTelling) -> Result<usize> {
    let row = state.db.read(move |tx| store::find_cover(tx, seen.clinic, None, seen.id)).await?;
    // A row that does not fit its MAC gives no access, and nothing is told of it.
    let Some(row) = row else {
        state.db.write_bulk(move |tx| store::update_cover_telling(tx, &seen, None)).await?;
        return Ok(1);
    };
    let most = i64::try_from(PORTION).unwrap_or(i64::MAX);
    let (clinic, therapist) = (row.clinic_id, row.therapist_id);
    let patients = state.db.read(move |tx| store::list_roster(tx, &[therapist], &[clinic], &[], seen.after, most));
    let patients = patients.await?;
    let (keys, vault) = (keys_of(state, patients.clone()).await?, state.vault.clone());
    let unit = state.db.write_bulk(move |tx| {
        let links = store::hold_links_between(tx, &patients, &[clinic])?;
        let row = store::hold_cover(tx, seen.id)?;
        // Another server may have been faster.
        if store::find_cover_telling(tx, seen.id)? != Some(seen) {
            return Ok(1);
        }
        let Some(row) = row.filter(|row| row.ended_at.is_none() && row.ends_at.0 > now) else {
            store::update_cover_telling(tx, &seen, None)?;
            return Ok(1);
        };
        let covered = |link: &&Link| {
            let is_theirs = link.state == LinkState::Active && link.therapist == row.therapist_id;
            is_theirs && is_told_by_task(link, row.starts_at.0)
        };
        let linked: BTreeSet<_> = links.iter().filter(covered).map(|link| link.patient).collect();
        for patient in linked {
            let Some(Some(keys)) = keys.get(&patient) else { continue };
            note(tx, (&vault, keys), (patient, row.colleague_id), seen.session, now)?;
        }
        let reached = patients.last().copied().filter(|_| patients.len() == PORTION);
        store::update_cover_telling(tx, &seen, reached)?;
        Ok(patients.len().max(1))
    });
    unit.await
}
