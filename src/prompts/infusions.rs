//! Recording infusions, settings and pauses: each change of a fact re-plans in the same unit.

use jiff::Timestamp;

use super::actions::settings;
use crate::care::{Access, Write};
use crate::changes::{self, Change as Changed, Entity, Op};
use crate::course::{
    self, InfusionDraft, InfusionFacts, InfusionPatch, InfusionStatus, Settings, Source, Stored, clash,
};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::kernel::id::{Infusion, Pause};
use crate::kernel::{Change, Code, Error, Id, Result, Zone};
use crate::planning::{PausePeriod, Protocols, QuietHours, Weekday};

/// An infusion as it is stored.
pub type StoredInfusion = Stored<Infusion, InfusionFacts>;

fn refuse_overlap(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Infusion>, facts: &InfusionFacts) -> Result<()> {
    let others = course::list_infusions(tx, access)?;
    match clash(id, facts, others.iter().map(|stored| (stored.id, &stored.doc))) {
        Some(other) => Err(Error::Conflict(Code::InfusionOverlaps, Some(other.uuid()))),
        None => Ok(()),
    }
}

/// On whose word it stands.
fn source(access: &Access<Write>) -> Source {
    if access.is_owner() { Source::Patient } else { Source::Clinic }
}

/// What the clinic recorded is the clinic's: a patient says when it ended ([`end_infusion`]) and changes nothing else.
fn refuse_foreign(access: &Access<Write>, current: &InfusionFacts) -> Result<()> {
    if access.is_owner() && current.of_clinic {
        return Err(Error::conflict(Code::StateConflict));
    }
    Ok(())
}

/// Puts the clinic's record `id` in the place of the patient's `report` of the same administration: the clinic's
/// values count, the patient's are kept beside them.
fn join(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    report: Id<Infusion>,
    facts: &mut InfusionFacts,
) -> Result<Changed> {
    let found = course::find_infusion(tx, access, report)?.filter(|_| !access.is_owner() && report != id);
    let Some(found) = found.filter(|found| !found.doc.of_clinic && found.doc.status.is_live()) else {
        return Err(Error::field("/same_as", "is not a report of the patient's that counts"));
    };
    let said = found.doc.source == Source::Patient;
    facts.reported = if said { Some(found.doc.report()) } else { found.doc.reported };
    let joined = InfusionFacts { status: InfusionStatus::Cancelled, same_as: Some(id), ..found.doc };
    course::update_infusion(tx, access, report, &joined, found.version + 1)?;
    Ok(Changed::new(Entity::Infusion, report, found.version + 1, Op::Update))
}

/// Records an infusion under the client's id, or replaces it. Answers it and whether it is new.
///
/// # Errors
///
/// 422 for its fields, 409 when it overlaps another, 428 and 412 for preconditions.
pub fn put_infusion(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    draft: &InfusionDraft,
    when: &Preconditions,
) -> Result<(StoredInfusion, bool)> {
    let first = changes::take(tx, access.patient(), 1)?;
    let (by, now) = (access.account()?, access.now());
    match course::find_infusion(tx, access, id)? {
        None => {
            if when.change_only() {
                return Err(Error::Stale);
            }
            let mut facts = InfusionFacts::create(draft.clone(), by, source(access), now)?;
            let mut list = vec![Changed::new(Entity::Infusion, id, 1, Op::Create)];
            if let Some(report) = draft.same_as {
                list.push(join(tx, access, id, report, &mut facts)?);
                // The head is ours: the number follows the first.
                changes::take(tx, access.patient(), 1)?;
            }
            refuse_overlap(tx, access, id, &facts)?;
            course::insert_infusion(tx, access, id, &facts)?;
            changes::insert(tx, access.patient(), first, access.actor(), now, &list)?;
            Ok((planned_again(tx, access, id)?, true))
        }
        // The body that created it, sent again, changes nothing; nor does the present state.
        Some(current) if !when.change_only() && current.doc.creation.as_ref() == Some(&draft.digest()) => {
            Ok((current, false))
        }
        Some(current) => {
            // Whatever its status was, a replacement has to be a step that the status allows.
            refuse_foreign(access, &current.doc)?;
            let patch = replacing(draft);
            let next = current.doc.change(patch, by, source(access), now);
            let report = to_join(tx, access, id, draft)?;
            if report.is_none() && next.as_ref().is_ok_and(|next| same(&current.doc, next)) {
                return Ok((current, false));
            }
            if when.create_only() {
                return Err(Error::conflict(Code::AlreadyExists));
            }
            when.require(&EntityTag::version(current.version))?;
            let mut next = next?;
            let joined = report.map(|report| join(tx, access, id, report, &mut next)).transpose()?;
            if joined.is_some() {
                changes::take(tx, access.patient(), 1)?;
            }
            Ok((store_change(tx, access, first, &current, &next, joined)?, false))
        }
    }
}

/// The report that `draft` wants the record `id` to take the place of, unless it has already.
fn to_join(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    draft: &InfusionDraft,
) -> Result<Option<Id<Infusion>>> {
    let Some(report) = draft.same_as else { return Ok(None) };
    let found = course::find_infusion(tx, access, report)?;
    Ok((found.and_then(|found| found.doc.same_as) != Some(id)).then_some(report))
}

/// Changes an infusion by a merge patch.
///
/// # Errors
///
/// As [`put_infusion`]; [`Error::NotFound`].
pub fn patch_infusion(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    patch: &InfusionPatch,
    when: &Preconditions,
) -> Result<StoredInfusion> {
    let first = changes::take(tx, access.patient(), 1)?;
    let current = course::find_infusion(tx, access, id)?.ok_or(Error::NotFound)?;
    refuse_foreign(access, &current.doc)?;
    let next = current.doc.change(patch.clone(), access.account()?, source(access), access.now());
    if next.as_ref().is_ok_and(|next| same(&current.doc, next)) {
        return Ok(current);
    }
    when.require(&EntityTag::version(current.version))?;
    store_change(tx, access, first, &current, &next?, None)
}

fn store_change(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    first: i64,
    current: &StoredInfusion,
    next: &InfusionFacts,
    joined: Option<Changed>,
) -> Result<StoredInfusion> {
    refuse_overlap(tx, access, current.id, next)?;
    let version = current.version + 1;
    course::update_infusion(tx, access, current.id, next, version)?;
    let change = Changed::new(Entity::Infusion, current.id, version, Op::Update);
    let list: Vec<_> = std::iter::once(change).chain(joined).collect();
    changes::insert(tx, access.patient(), first, access.actor(), access.now(), &list)?;
    planned_again(tx, access, current.id)
}

/// Plans again. Answers the infusion as it is then: one whose planned end is long past has a provisional end.
fn planned_again(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Infusion>) -> Result<StoredInfusion> {
    // Until the answer is made at the end of the unit, as every other is.
    crate::schedule::replan(tx, access, &Protocols::shipped())?;
    course::find_infusion(tx, access, id)?.ok_or(Error::NotFound)
}

/// Whether two records say the same on the same word, whoever wrote them.
fn same(one: &InfusionFacts, two: &InfusionFacts) -> bool {
    let (recorded_by, creation) = (one.recorded_by, one.creation.clone());
    *one == InfusionFacts { recorded_by, creation, ..two.clone() }
}

fn replacing(draft: &InfusionDraft) -> InfusionPatch {
    fn put<T>(value: Option<T>) -> Change<T> {
        value.map_or(Change::Clear, Change::Set)
    }
    let draft = draft.clone();
    InfusionPatch {
        status: Some(draft.status),
        route: Some(draft.route),
        planned_start: put(draft.planned_start),
        planned_minutes: put(draft.planned_minutes),
        started_at: put(draft.started_at),
        ended_at: put(draft.ended_at),
        dose_mg: put(draft.dose_mg),
        weight_kg: put(draft.weight_kg),
        setting: put(draft.setting),
        supervised: Some(draft.supervised.unwrap_or(true)),
        note: put(draft.note),
        distinct_from: Some(draft.distinct_from),
        course: put(draft.course),
        cancel_reason: put(draft.cancel_reason),
    }
}

/// A change of the patient's settings.
#[derive(Clone, Debug, Default)]
pub struct SettingsPatch {
    /// Another zone, since when.
    pub zone: Option<(Zone, Option<Timestamp>)>,
    /// When nothing is delivered.
    pub quiet_hours: Option<QuietHours>,
    /// The day of the weekly prompt.
    pub weekly_day: Option<Weekday>,
    /// The country whose crisis numbers are shown.
    pub country: Change<String>,
    /// The language.
    pub locale: Option<String>,
    /// Whether prompts are pushed.
    pub notifications: Option<bool>,
    /// Whether linked therapists see on how many days the patient was active.
    pub share_activity: Option<bool>,
}

/// Changes the patient's settings and re-plans what is not yet due.
///
/// # Errors
///
/// 422 for a zone that takes effect before the last one; 412 when `when` names another version.
pub fn patch_settings(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    patch: &SettingsPatch,
    when: &Preconditions,
) -> Result<(Settings, i64)> {
    let first = changes::take(tx, access.patient(), 1)?;
    let (before, version) = settings(tx, access)?;
    let (mut after, now) = (before.clone(), access.now());
    if let Some((zone, from)) = &patch.zone {
        after.change_zone(zone.clone(), from.unwrap_or(now), now)?;
    }
    after.quiet_hours = patch.quiet_hours.unwrap_or(after.quiet_hours);
    after.weekly_day = patch.weekly_day.unwrap_or(after.weekly_day);
    after.country = patch.country.clone().over(after.country);
    after.locale = patch.locale.clone().unwrap_or(after.locale);
    after.notifications.enabled = patch.notifications.unwrap_or(after.notifications.enabled);
    after.share_activity = patch.share_activity.unwrap_or(after.share_activity);
    if after == before {
        return Ok((before, version));
    }
    when.check(Some(&EntityTag::version(version)))?;
    course::update_settings(tx, access, &after, version + 1)?;
    let change = Changed::new(Entity::Settings, access.patient(), version + 1, Op::Update);
    changes::insert(tx, access.patient(), first, access.actor(), now, &[change])?;
    crate::schedule::replan(tx, access, &Protocols::shipped())?;
    Ok((after, version + 1))
}

/// Sets a pause under the client's id.
///
/// # Errors
///
/// [`Error::Deleted`] when it was ended before.
pub fn put_pause(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Pause>,
    pause: PausePeriod,
) -> Result<Outcome<Stored<Pause, PausePeriod>>> {
    access.lock(tx)?;
    let now = access.now();
    let found = course::list_pauses(tx, access, true)?.into_iter().find(|(stored, _)| stored.id == id);
    let (version, created_at) = match found {
        Some((_, true)) => return Err(Error::Deleted),
        Some((stored, false)) if stored.doc == pause => return Ok(Outcome::ok(id, stored)),
        Some((stored, false)) => (stored.version + 1, stored.created_at),
        None => (1, now),
    };
    course::put_pause(tx, access, id, &pause, version, false)?;
    let op = if version == 1 { Op::Create } else { Op::Update };
    access.record(tx, Changed::new(Entity::Pause, id, version, op))?;
    let stored = Stored { id, doc: pause, version, created_at, updated_at: now };
    Ok(if version == 1 { Outcome::created(id, stored) } else { Outcome::ok(id, stored) })
}

/// The pause of that id, unless it was ended.
///
/// # Errors
///
/// [`Error::Deleted`] when there is none any more.
pub fn get_pause<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Pause>) -> Result<Stored<Pause, PausePeriod>> {
    let list = course::list_pauses(tx, access, false)?;
    list.into_iter().map(|(stored, _)| stored).find(|stored| stored.id == id).ok_or(Error::Deleted)
}

/// Ends a pause. Ending it twice is ending it once.
///
/// # Errors
///
/// [`Error::NotFound`] when there never was one.
pub fn end_pause(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Pause>) -> Result<()> {
    access.lock(tx)?;
    let found = course::list_pauses(tx, access, true)?.into_iter().find(|(stored, _)| stored.id == id);
    let (stored, gone) = found.ok_or(Error::NotFound)?;
    if gone {
        return Ok(());
    }
    course::put_pause(tx, access, id, &stored.doc, stored.version + 1, true)?;
    access.record(tx, Changed::new(Entity::Pause, id, stored.version + 1, Op::Delete))
}

/// Notes that an infusion is under way since `started`. One that began so late that its planned end was taken for the
/// end has not ended.
///
/// # Errors
///
/// As [`patch_infusion`]; [`Code::StateConflict`] when it is not planned. Started already, it stays as it is.
pub fn start_infusion(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    started: Option<Timestamp>,
) -> Result<StoredInfusion> {
    let first = changes::take(tx, access.patient(), 1)?;
    let current = course::find_infusion(tx, access, id)?.ok_or(Error::NotFound)?;
    let unsaid = current.doc.source == Source::Provisional;
    let known = current.doc.started_at;
    if known.is_some() && started.map_or(!unsaid, |at| known == Some(at)) {
        return Ok(current);
    }
    if current.doc.status != InfusionStatus::Planned && !unsaid {
        return Err(Error::conflict(Code::StateConflict));
    }
    let started_at = Change::Set(started.unwrap_or(access.now()));
    let patch = InfusionPatch { status: Some(InfusionStatus::Planned), started_at, ..InfusionPatch::default() };
    let source = if unsaid { source(access) } else { current.doc.source };
    let next = current.doc.change(patch, access.account()?, source, access.now())?;
    store_change(tx, access, first, &current, &next, None)
}

/// Completes an infusion: `(started, ended, dose)`, each unless recorded before or said now. Whoever is nearest says it:
/// after the clinic has, what the patient says is kept beside it; after the patient has, the clinic's word counts.
///
/// # Errors
///
/// As [`patch_infusion`]. Ending a completed one with the same end is done already.
pub fn end_infusion(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    (started, ended, dose): (Option<Timestamp>, Option<Timestamp>, Option<f64>),
) -> Result<StoredInfusion> {
    let first = changes::take(tx, access.patient(), 1)?;
    let current = course::find_infusion(tx, access, id)?.ok_or(Error::NotFound)?;
    let (facts, owner) = (&current.doc, access.is_owner());
    let completed = facts.status == InfusionStatus::Completed;
    if completed && facts.source == source(access) && ended.is_none_or(|at| facts.ended_at == Some(at)) {
        return Ok(current);
    }
    let keep = |value: Option<Timestamp>| value.map_or(Change::Keep, Change::Set);
    // A report that the clinic confirms without a time of its own keeps its time.
    let said = facts.ended_at.filter(|_| completed && facts.source == Source::Patient);
    let patch = InfusionPatch {
        status: Some(InfusionStatus::Completed),
        started_at: keep(started.or(facts.started_at).or(facts.planned_start)),
        ended_at: keep(ended.or(said).or(Some(access.now()))),
        dose_mg: dose.filter(|_| !owner).map_or(Change::Keep, Change::Set),
        ..InfusionPatch::default()
    };
    let mut next = facts.change(patch, access.account()?, source(access), access.now())?;
    if owner {
        next.reported = Some(next.report());
        if completed && facts.source == Source::Clinic {
            // The clinic's values win.
            next = InfusionFacts { reported: next.reported, ..facts.clone() };
        }
    }
    if same(facts, &next) {
        return Ok(current);
    }
    store_change(tx, access, first, &current, &next, None)
}
