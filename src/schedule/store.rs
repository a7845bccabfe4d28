//! The facts of a plan from the tables of other slices, in one statement; and the times at which plans are due.
//!
//! It is the only store that reads many tables: every plan needs the answer, so it is one round trip. Of patients whose
//! newest entry is shared it takes a second one.

use std::collections::BTreeSet;
use std::sync::Arc;

use diesel::dsl::{exists, min, not};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use jiff::Timestamp;

use crate::care::grants::Sections;
use crate::care::store::find_patient;
use crate::care::{Access, Write};
use crate::changes::Entity;
use crate::db::schema::{
    care_links, changes, entries, exercise_responses, grant_items, grants, patient_heads, patient_settings, patients,
};
use crate::db::{AnyConnection, At, Both, Prepared, TimestampTz, Tx, Uid, values};
use crate::kernel::id::Patient;
use crate::kernel::{Error, Id, Result};
use crate::settings::{CautionFlag, SealedCautions};
use crate::tasks::Due;

/// The column of the next plan.
pub const NEXT_DUE: &[Due] = &[Due::at("patients", "next_plan_at")];

/// The prerequisites that hold for the patient.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are facts, each on its own")]
pub struct Holds {
    /// Whether there is an active care link.
    pub link: bool,
    /// Whether there is an entry.
    pub entry: bool,
    /// Whether there is an entry that nobody else may read.
    pub unshared: bool,
    /// Whether an exercise has been done.
    pub response: bool,
    /// The cautions of a patient.
    pub cautions: BTreeSet<CautionFlag>,
    /// Returns the next expiry among the open grants.
    pub closing: Option<Timestamp>,
    /// The instant at which the patient last wrote, changed or deleted an entry or a response.
    pub written_at: Option<Timestamp>,
}

/// The row of the statement that reads them.
type HoldsRow = (
    (bool, bool, bool),
    (Option<bool>, Option<At>, Option<At>),
    (Option<Vec<u8>>, Option<i64>),
    (Option<i64>, Option<i64>, Option<i64>),
);

/// What a plan found, as of a change of the patient. Later changes have higher numbers, so the next plan looks only at
/// these.
struct LastPlan {
    /// The number of the change.
    seq: i64,
    /// The floor of its epoch: another epoch may give the number again.
    floor: i64,
    /// The instant at which the patient had last written.
    written_at: Option<Timestamp>,
    /// If others might read every entry, the next expiry among the open grants: until then they may, unless a grant or
    /// an entry changes.
    all_shared_until: Option<Timestamp>,
}

/// Selects the entries that are no drafts.
macro_rules! done_entries {
    ($access:expr) => {
        entries::table
            .filter(entries::patient_id.eq($access.patient()))
            .filter(entries::deleted_at.is_null())
            .filter(entries::draft.eq(false))
    };
}

/// Selects the grants of an item, for sections of entries, that were not ended. They may have expired.
macro_rules! not_ended {
    () => {{
        let (least, more) = Sections::ENTRY.range();
        grants::table
            .filter(grants::patient_id.eq(grant_items::patient_id))
            .filter(grants::id.eq(grant_items::grant_id))
            .filter(grants::sections.ge(least))
            .filter(grants::sections.lt(more))
            .filter(grants::closed_at.is_null())
    }};
}

/// Selects whether an entry is open to somebody else at the instant of the access.
macro_rules! is_open_to_others {
    ($access:expr) => {{
        // Nested, so that the grants of an entry are looked up by their ids: joined, SQLite compared each open grant of
        // the patient with each item of all of them.
        let open = not_ended!().filter(grants::expires_at.is_null().or(grants::expires_at.gt(At($access.now()))));
        exists(
            grant_items::table
                .filter(grant_items::patient_id.eq(entries::patient_id))
                .filter(grant_items::item_id.eq(entries::id))
                .filter(exists(open)),
        )
    }};
}

/// Reads the [`Holds`], since every plan needs them. To look through thousands of shared entries for one that is not
/// took more than half of the time of a plan, so what was found is kept.
pub fn holds<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Holds> {
    let keys = access.keys()?.clone();
    let mut last = keys.kept::<LastPlan>();
    let mut found = find_holds(tx, access, last.as_deref())?;
    let (_, _, _, (seq, floor, _)) = found;
    if last.as_ref().is_some_and(|last| floor != Some(last.floor) || seq.is_none_or(|seq| seq < last.seq)) {
        // This snapshot is older, or of another epoch.
        last = None;
        found = find_holds(tx, access, None)?;
    }
    let ((link, entry, response), (newest_shared, closing, written), (sealed, revision), (seq, floor, counted)) = found;
    let cautions = SealedCautions::new(sealed, revision.unwrap_or_default()).open(&keys, access.patient())?;
    let (closing, written) = (closing.map(|at| at.0), written.map(|at| at.0));
    let written_at = written.or_else(|| last.as_ref().and_then(|last| last.written_at));
    let unshared = match newest_shared {
        None => false,
        Some(false) => true,
        Some(true) => {
            // Each number after that one belongs to a change, and none of these is of a grant.
            let same_grants = |last: &LastPlan| seq.map(|seq| seq - last.seq) == counted;
            let lasts = |last: &LastPlan| last.all_shared_until.is_some_and(|until| access.now() < until);
            let since = last.filter(|last| lasts(last) && same_grants(last)).map(|last| last.seq);
            has_unshared(tx, access, since)?
        }
    };
    if let Some((seq, floor)) = seq.zip(floor) {
        let all_shared_until = (!unshared).then(|| closing.unwrap_or(Timestamp::MAX));
        let plan = LastPlan { seq, floor, written_at, all_shared_until };
        tx.after_commit(move || keys.keep(Arc::new(plan)));
    }
    Ok(Holds { link, entry, unshared, response, cautions, closing, written_at })
}

/// Reads what holds, and whether the newest entry is shared. What the patient wrote is looked for after the last plan.
/// Reads also the number of the last change, the floor of its epoch, and how many changes after the last plan are none
/// of a grant.
fn find_holds<A>(tx: &mut Tx<'_>, access: &Access<A>, last: Option<&LastPlan>) -> Result<HoldsRow> {
    let (patient, now) = (access.patient(), At(access.now()));
    // Without a last plan none are counted: there may be many.
    let (since, counted_from) = last.map_or((0, i64::MAX), |last| (last.seq, last.seq));
    let links = care_links::table.filter(care_links::patient_id.eq(patient)).filter(care_links::state.eq("active"));
    let newest_shared = done_entries!(access)
        .order((entries::occurred_at.desc(), entries::id.desc()))
        .select(is_open_to_others!(access));
    let closing = grants::table
        .filter(grants::patient_id.eq(patient))
        .filter(grants::closed_at.is_null())
        .filter(grants::expires_at.gt(now))
        .select(min(grants::expires_at));
    let worked = exercise_responses::table
        .filter(exercise_responses::patient_id.eq(patient))
        .filter(exercise_responses::deleted_at.is_null())
        .filter(exercise_responses::draft.eq(false));
    // What the server does to them, as purging, has no actor.
    let own = changes::table
        .filter(changes::patient_id.eq(patient))
        .filter(changes::seq.gt(since))
        .filter(changes::entity.eq(Entity::Entry.number()).or(changes::entity.eq(Entity::Response.number())))
        .filter(changes::actor_id.is_not_null())
        .order(changes::seq.desc())
        .limit(1)
        .select(changes::at);
    let of_others = changes::table
        .filter(changes::patient_id.eq(patient))
        .filter(changes::seq.gt(counted_from))
        .filter(changes::entity.ne(Entity::Grant.number()))
        .count();
    let settings = patient_settings::table.filter(patient_settings::patient_id.eq(patient));
    let head = patient_heads::table.filter(patient_heads::patient_id.eq(patient));
    let found = Both(diesel::select((
        (exists(links), exists(done_entries!(access)), exists(worked)),
        (newest_shared.single_value(), closing.single_value(), own.single_value()),
        (
            settings.select(patient_settings::cautions).single_value(),
            settings.select(patient_settings::cautions_rev).single_value(),
        ),
        (
            head.select(patient_heads::change_seq).single_value(),
            head.select(patient_heads::version_floor).single_value(),
            of_others.single_value(),
        ),
    )))
    .get_result(tx.conn())?;
    Ok(found)
}

/// Whether there is an entry that nobody else may read, among all or among those that changed after the change `since`.
fn has_unshared<A>(tx: &mut Tx<'_>, access: &Access<A>, since: Option<i64>) -> Result<bool> {
    let unshared = done_entries!(access).filter(not(is_open_to_others!(access)));
    let Some(since) = since else {
        return Ok(Both(diesel::select(exists(unshared))).get_result(tx.conn())?);
    };
    // Nested, so that only these entries are looked up.
    let changed = changes::table
        .filter(changes::patient_id.eq(access.patient()))
        .filter(changes::seq.gt(since))
        .filter(changes::entity.eq(Entity::Entry.number()))
        .filter(exists(unshared.filter(entries::id.eq(changes::entity_id))));
    Ok(Both(diesel::select(exists(changed))).get_result(tx.conn())?)
}

/// Whether the plan waits for the next activity of the patient, which changes it.
pub fn awaits_activity<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<bool> {
    let own = patients::table.filter(patients::id.eq(access.patient()));
    Ok(Both(own.select(patients::awaits_activity)).get_result(tx.conn())?)
}

/// Whether writing, deleting or bringing back an entry may change the plan: because that waits for activity, or because
/// [`holds`] may have changed. They may, unless the newest two entries are closed to everybody. It is cheap, and errs
/// towards true. Most new entries need not ask: see [`Access::awaits_entry`].
pub fn may_hold_otherwise<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<bool> {
    let open = not_ended!();
    let opened = grant_items::table
        .filter(grant_items::patient_id.eq(entries::patient_id))
        .filter(grant_items::item_id.eq(entries::id))
        .filter(exists(open));
    let awaits = patients::table.filter(patients::id.eq(access.patient())).select(patients::awaits_activity);
    let newest: Vec<(bool, Option<bool>)> = Both(
        entries::table
            .filter(entries::patient_id.eq(access.patient()))
            .filter(entries::deleted_at.is_null())
            .filter(entries::draft.eq(false))
            .order((entries::occurred_at.desc(), entries::id.desc()))
            .limit(2)
            .select((exists(opened), awaits.single_value())),
    )
    .load(tx.conn())?;
    Ok(newest.len() < 2 || newest.iter().any(|(opened, awaits)| *opened || *awaits == Some(true)))
}

/// Returns the start of care.
pub fn care_start<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Timestamp> {
    Ok(find_patient(tx, access)?.ok_or(Error::NotFound)?.created_at.0)
}

/// Notes that a plan was made, the instant of the next one, whether it waits for activity of the patient, and whether
/// a new entry that is not shared may change it. The patient's head is held. On PostgreSQL it is one statement.
pub fn mark_planned(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    next: Timestamp,
    changed: bool,
    (awaits_activity, awaits_entry): (bool, bool),
) -> Result<()> {
    let (patient, next, by) = (access.patient(), At(next), i64::from(changed));
    match tx.conn() {
        AnyConnection::Pg(conn) => {
            let marked = diesel::sql_query(
                "WITH head AS (UPDATE patient_heads SET awaits_entry = $1 \
                 WHERE patient_id = $2 AND awaits_entry <> $1) \
                 UPDATE patients SET next_plan_at = $3, plan_version = plan_version + $4, awaits_activity = $5 \
                 WHERE id = $2",
            )
            .bind::<Bool, _>(awaits_entry)
            .bind::<Uid, _>(patient)
            .bind::<TimestampTz, _>(next)
            .bind::<BigInt, _>(by)
            .bind::<Bool, _>(awaits_activity);
            Prepared(marked).run_on(conn)?;
        }
        AnyConnection::Sqlite(conn) => {
            let other = patient_heads::table
                .filter(patient_heads::patient_id.eq(patient))
                .filter(patient_heads::awaits_entry.ne(awaits_entry));
            Prepared(diesel::update(other).set(patient_heads::awaits_entry.eq(awaits_entry))).run_on(conn)?;
            let own = patients::table.filter(patients::id.eq(patient));
            Prepared(diesel::update(own).set((
                patients::next_plan_at.eq(next),
                patients::plan_version.eq(patients::plan_version + by),
                patients::awaits_activity.eq(awaits_activity),
            )))
            .run_on(conn)?;
        }
    }
    Ok(())
}

/// Whether the horizon of the patient is still to be extended: another worker may have been faster.
pub fn is_to_plan<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<bool> {
    let own = patients::table.filter(patients::id.eq(access.patient()));
    let next: Option<At> = Both(own.select(patients::next_plan_at)).get_result(tx.conn())?;
    Ok(next.is_some_and(|next| next.0 <= access.now()))
}

/// Sets the instant of the patient's next plan, if one is due at `now`; `None` means never.
pub fn postpone_plan(tx: &mut Tx<'_>, patient: Id<Patient>, now: Timestamp, next: Option<Timestamp>) -> Result<()> {
    // Another unit may have made one since.
    let due = patients::table.filter(patients::id.eq(patient)).filter(patients::next_plan_at.le(At(now)));
    diesel::update(due).set(patients::next_plan_at.eq(next.map(At))).execute(tx.conn())?;
    Ok(())
}

/// Marks patients for planning at `now`, unless they are planned for before.
pub fn mark_to_plan(tx: &mut Tx<'_>, list: &[Id<Patient>], now: Timestamp) -> Result<()> {
    let of = patients::table.filter(patients::id.eq_any(list.to_vec())).filter(patients::next_plan_at.gt(At(now)));
    diesel::update(of).set(patients::next_plan_at.eq(At(now))).execute(tx.conn())?;
    Ok(())
}

/// Lists the patients whose horizon is to be extended at `now`, without those in `left_out`, the longest waiting first.
///
/// Spans patients: rests on the partial index `patients_next_plan`.
pub fn list_to_plan(tx: &mut Tx<'_>, now: Timestamp, left_out: &[Id<Patient>], limit: i64) -> Result<Vec<Id<Patient>>> {
    Ok(patients::table
        .filter(patients::next_plan_at.is_not_null())
        .filter(patients::next_plan_at.le(At(now)))
        .filter(patients::id.ne_all(left_out.to_vec()))
        .order(patients::next_plan_at)
        .limit(limit)
        .select(patients::id)
        .load(tx.conn())?)
}

fn version_name(protocol: &str) -> String {
    format!("protocol/{protocol}")
}

/// Reads the version of a protocol by which plans are made; `None` in a new database.
pub fn planned_version(tx: &mut Tx<'_>, protocol: &str) -> Result<Option<u32>> {
    let number = |bytes: Vec<u8>| bytes.try_into().map(u32::from_be_bytes);
    let value = values::find(tx, &version_name(protocol))?;
    value.map(|bytes| number(bytes).map_err(|_other| Error::internal("a version is no number"))).transpose()
}

/// Notes that plans are made by `version` of a protocol.
pub fn note_version(tx: &mut Tx<'_>, protocol: &str, version: u32) -> Result<()> {
    values::replace(tx, &version_name(protocol), &version.to_be_bytes())
}

/// The name of the edition of the time zones by which plans are made.
const ZONES: &str = "time_zones";

/// Reads the edition of the time zones by which plans are made; `None` in a new database.
pub fn planned_zones(tx: &mut Tx<'_>) -> Result<Option<Vec<u8>>> {
    values::find(tx, ZONES)
}

/// Notes that plans are made by this edition of the time zones.
pub fn note_zones(tx: &mut Tx<'_>, edition: &str) -> Result<()> {
    values::replace(tx, ZONES, edition.as_bytes())
}

/// Marks the next `most` patients after `after` for planning at `now`. Answers the last of them; `None` when there is
/// none.
pub fn mark_all_to_plan(
    tx: &mut Tx<'_>,
    after: Option<Id<Patient>>,
    now: Timestamp,
    most: i64,
) -> Result<Option<Id<Patient>>> {
    let after = after.unwrap_or(Id::from_uuid(uuid::Uuid::nil()));
    let next: Vec<Id<Patient>> = patients::table
        .filter(patients::id.gt(after))
        .filter(patients::next_plan_at.gt(At(now)))
        .order(patients::id)
        .limit(most)
        .select(patients::id)
        .load(tx.conn())?;
    diesel::update(patients::table.filter(patients::id.eq_any(&next)))
        .set(patients::next_plan_at.eq(At(now)))
        .execute(tx.conn())?;
    Ok(next.last().copied())
}
