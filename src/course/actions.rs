//! Recording infusions. The plan follows at the end of the unit.
//!
//! An infusion that was changed is read again for the answer, after planning: if its planned end is long past, the
//! planner has given it a provisional end.

use jiff::Timestamp;

use super::draft::InfusionDraft;
use super::model::{InfusionFacts, clash};
use super::status::{InfusionStatus, Source};
use super::store::{self, InfusionRow, StoredDocument};
use crate::care::{Access, Write};
use crate::changes::{Change, Entity, Op};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::{Outcome, RecordedOutcome};
use crate::kernel::id::Infusion;
use crate::kernel::{Code, Creation, Error, Id, Result, limits};

/// An infusion as it was opened for a check.
type StoredInfusion = StoredDocument<Infusion, InfusionFacts>;

fn refuse_overlap(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Infusion>, facts: &InfusionFacts) -> Result<()> {
    let others = store::list_infusions(tx, access)?.list;
    let Some(other) = clash(id, facts, others.iter().map(|stored| (stored.id, &stored.doc))) else { return Ok(()) };
    let seen = others.iter().any(|stored| stored.id == other && store::is_visible(access, &stored.doc));
    // Of an infusion that the caller does not see, neither id nor time is told.
    Err(Error::Conflict(Code::InfusionOverlaps, seen.then(|| other.uuid())))
}

/// Returns the source of what the caller records.
fn source(access: &Access<Write>) -> Source {
    if access.is_owner() { Source::Patient } else { Source::Clinic }
}

/// Returns `facts` as the record of the caller's clinic, unless it is that of another already. What a patient records
/// belongs to no clinic.
fn of_clinic(access: &Access<Write>, facts: InfusionFacts) -> InfusionFacts {
    InfusionFacts { clinic: facts.clinic.or(access.clinic().ok()), ..facts }
}

/// Lets the clinic's record `id` take the place of the patient's `report` of the same administration. The clinic's
/// values count; the patient's are kept beside them.
fn join(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    report: Id<Infusion>,
    facts: &mut InfusionFacts,
) -> Result<Change> {
    let found = store::find_infusion(tx, access, report)?;
    let found = found.filter(|found| !access.is_owner() && report != id && store::is_visible(access, &found.doc));
    let Some(found) = found.filter(|found| !found.doc.of_clinic && found.doc.status.is_live()) else {
        return Err(Error::field("/same_as", "is not a report of the patient's that counts"));
    };
    let said = found.doc.source == Source::Patient;
    facts.reported = if said { Some(found.doc.report()) } else { found.doc.reported };
    let before = found.doc.clone();
    let taken = of_clinic(access, found.doc.clone());
    let joined = InfusionFacts { status: InfusionStatus::Cancelled, same_as: Some(id), ..taken };
    store::update_infusion(tx, access, &found, &joined)?;
    let change = Change::new(Entity::Infusion, report, tx.version_after(found.version), Op::Update);
    Ok(change.moving(joined.moves_phases(Some(&before))))
}

/// Returns the report whose place the record `id` is to take, unless it has done so already.
fn to_join(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    draft: &InfusionDraft,
) -> Result<Option<Id<Infusion>>> {
    let Some(report) = draft.same_as else { return Ok(None) };
    let found = store::find_infusion(tx, access, report)?;
    Ok((found.and_then(|found| found.doc.same_as) != Some(id)).then_some(report))
}

/// The infusion `id`, sealed and opened.
fn get(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Infusion>) -> Result<(InfusionRow, StoredInfusion)> {
    let row = store::find_visible_row(tx, access, id)?.ok_or(Error::NotFound)?;
    let opened = row.open(access.keys()?, access.patient())?;
    Ok((row, opened))
}

/// Records an infusion under the client's id, or replaces it.
///
/// # Errors
///
/// 422 for faults of its fields; 409 when it overlaps another, or when a patient replaces the clinic's record; 428 and
/// 412 for preconditions.
pub fn put_infusion(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    draft: &InfusionDraft,
    when: &Preconditions,
) -> Result<Outcome<InfusionRow>> {
    access.lock(tx)?;
    let Some(row) = store::find_infusion_row(tx, access, id)? else {
        return create(tx, access, id, draft, when);
    };
    let opened = row.open(access.keys()?, access.patient())?;
    if !store::is_visible(access, &opened.doc) {
        // It is another clinic's.
        return Err(Error::conflict(Code::AlreadyExists));
    }
    let found = (row, opened);
    if when.is_creation(found.1.doc.creation.as_ref(), &Creation::of(draft)?) {
        return Ok(Outcome::ok(id, found.0));
    }
    replace(tx, access, found, |_| Ok(draft.clone()), when)
}

fn create(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    draft: &InfusionDraft,
    when: &Preconditions,
) -> Result<Outcome<InfusionRow>> {
    if when.change_only() {
        return Err(Error::Stale);
    }
    limits::INFUSIONS.admit(store::count_infusions(tx, access)?)?;
    let facts = InfusionFacts::create(draft.clone(), access.account()?, source(access), access.now())?;
    let mut facts = of_clinic(access, facts);
    let joined = draft.same_as.map(|report| join(tx, access, id, report, &mut facts)).transpose()?;
    refuse_overlap(tx, access, id, &facts)?;
    let version = store::insert_infusion(tx, access, id, &facts)?;
    let change = Change::new(Entity::Infusion, id, version, Op::Create);
    access.record(tx, change.moving(facts.moves_phases(None)))?;
    joined.map_or(Ok(()), |change| access.record(tx, change))?;
    Ok(Outcome::new(RecordedOutcome::created(id.uuid()), None))
}

/// Changes an infusion by `patch`, which is given the command that would record the present state.
///
/// # Errors
///
/// As [`put_infusion`]; [`Error::NotFound`]; the errors of `patch`.
pub fn patch_infusion(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    patch: impl Fn(InfusionDraft) -> Result<InfusionDraft>,
    when: &Preconditions,
) -> Result<Outcome<InfusionRow>> {
    access.lock(tx)?;
    let found = get(tx, access, id)?;
    replace(tx, access, found, |facts| facts.patched(patch), when)
}

/// Replaces the content of an infusion. A patient cannot replace the clinic's record; they may only end it
/// ([`end_infusion`]).
fn replace(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (row, current): (InfusionRow, StoredInfusion),
    draft: impl FnOnce(&InfusionFacts) -> Result<InfusionDraft>,
    when: &Preconditions,
) -> Result<Outcome<InfusionRow>> {
    let (id, facts) = (current.id, &current.doc);
    let draft = draft(facts)?;
    if access.is_owner() && facts.of_clinic {
        return Err(facts.refusal(source(access)));
    }
    let report = to_join(tx, access, id, &draft)?;
    // Every replacement must be a step that the status allows.
    let next = facts.change(draft, access.account()?, source(access), access.now());
    if report.is_none() && next.as_ref().is_ok_and(|next| same(facts, next)) {
        return Ok(Outcome::ok(id, row));
    }
    if when.create_only() {
        return Err(Error::conflict(Code::AlreadyExists));
    }
    when.require(&EntityTag::version(current.version))?;
    let mut next = next?;
    let joined = report.map(|report| join(tx, access, id, report, &mut next)).transpose()?;
    store_change(tx, access, &current, &next, joined)
}

fn store_change(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    current: &StoredInfusion,
    next: &InfusionFacts,
    joined: Option<Change>,
) -> Result<Outcome<InfusionRow>> {
    let next = &of_clinic(access, next.clone());
    refuse_overlap(tx, access, current.id, next)?;
    let version = tx.version_after(current.version);
    store::update_infusion(tx, access, current, next)?;
    let change = Change::new(Entity::Infusion, current.id, version, Op::Update);
    access.record(tx, change.moving(next.moves_phases(Some(&current.doc))))?;
    joined.map_or(Ok(()), |change| access.record(tx, change))?;
    Ok(Outcome::new(RecordedOutcome::ok(current.id.uuid()), None))
}

/// Whether two records have the same content and source. Their authors may differ.
fn same(one: &InfusionFacts, two: &InfusionFacts) -> bool {
    let (recorded_by, creation) = (one.recorded_by, one.creation.clone());
    *one == InfusionFacts { recorded_by, creation, ..two.clone() }
}

/// Notes that an infusion is under way since `started`. If it began so late that its planned end was taken for the end,
/// that end is dropped.
///
/// # Errors
///
/// As [`patch_infusion`]; [`Error::State`] when it is not planned. One that has started stays as it is.
pub fn start_infusion(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    started: Option<Timestamp>,
    when: &Preconditions,
) -> Result<Outcome<InfusionRow>> {
    access.lock(tx)?;
    let (row, current) = get(tx, access, id)?;
    let facts = &current.doc;
    let provisional = facts.source == Source::Provisional;
    let known = facts.started_at;
    if known.is_some() && started.map_or(!provisional, |at| known == Some(at)) {
        return Ok(Outcome::ok(id, row));
    }
    if facts.status != InfusionStatus::Planned && !provisional {
        return Err(facts.refusal(source(access)));
    }
    let started_at = Some(started.unwrap_or(access.now()));
    let draft = InfusionDraft { status: InfusionStatus::Planned, started_at, ended_at: None, ..facts.draft() };
    require_if(known.is_some() && !provisional, when, &current)?;
    let source = if provisional { source(access) } else { facts.source };
    let next = facts.change(draft, access.account()?, source, access.now())?;
    store_change(tx, access, &current, &next, None)
}

/// Completes an infusion with `(started, ended, dose)`. An absent start is the recorded or planned one, an absent end
/// is the reported one or now, an absent dose is the recorded one. Clinic and patient may both end it: the clinic's
/// values count, the patient's are kept beside them.
///
/// # Errors
///
/// As [`patch_infusion`]. A completed infusion that is ended again with the same end stays as it is.
pub fn end_infusion(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    (started, ended, dose): (Option<Timestamp>, Option<Timestamp>, Option<f64>),
    when: &Preconditions,
) -> Result<Outcome<InfusionRow>> {
    access.lock(tx)?;
    let (row, current) = get(tx, access, id)?;
    let (facts, owner) = (&current.doc, access.is_owner());
    let completed = facts.status == InfusionStatus::Completed;
    // What the same side has said before: the record, or what a patient said beside the clinic's.
    let said_before = if facts.source == source(access) {
        Some(facts.ended_at)
    } else {
        facts.reported.as_ref().filter(|_| owner).map(|report| report.ended_at)
    };
    let said_before = said_before.filter(|_| completed);
    if said_before.is_some_and(|end| ended.is_none_or(|at| end == Some(at))) {
        return Ok(Outcome::ok(id, row));
    }
    // If the clinic confirms a report without a time, the patient's time stays.
    let said = facts.ended_at.filter(|_| completed && facts.source == Source::Patient);
    let draft = InfusionDraft {
        status: InfusionStatus::Completed,
        started_at: started.or(facts.started_at).or(facts.planned_start),
        ended_at: ended.or(said).or(Some(access.now())),
        dose_mg: dose.filter(|_| !owner).or(facts.dose_mg),
        ..facts.draft()
    };
    let mut next = facts.change(draft, access.account()?, source(access), access.now())?;
    if owner {
        next.reported = Some(next.report());
        if completed && facts.source == Source::Clinic {
            // The clinic's values count.
            next = InfusionFacts { reported: next.reported, ..facts.clone() };
        }
    }
    if same(facts, &next) {
        return Ok(Outcome::ok(id, row));
    }
    require_if(said_before.is_some(), when, &current)?;
    store_change(tx, access, &current, &next, None)
}

/// What is recorded changes only for those who say which version they have seen: a retry that comes late does not undo
/// a correction.
fn require_if(recorded: bool, when: &Preconditions, current: &StoredInfusion) -> Result<()> {
    let tag = EntityTag::version(current.version);
    if recorded { when.require(&tag) } else { when.check(Some(&tag)) }
}
