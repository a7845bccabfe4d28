//! Care links and the rows a patient begins with. The roster reads across patients, by therapist
//! (index `care_links_therapist`) or by clinic (index `care_links_clinic`).

use diesel::prelude::*;
use jiff::Timestamp;

use crate::care::access::{Access, Write};
use crate::care::model::LinkState;
use crate::db::schema::{care_links, grant_readers, grants, patient_heads, patients};
use crate::db::{At, Tx};
use crate::kernel::id::{Account, CareLink, Clinic, Grant, Patient};
use crate::kernel::{Error, Id, Result};
use crate::locked;

/// Inserts a patient with the head of their changes and of their audit chain.
pub fn insert_patient(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<()> {
    let patient = access.patient();
    diesel::insert_into(patients::table)
        .values((
            patients::id.eq(patient),
            patients::account_id.eq(access.account()?),
            patients::plan_version.eq(0_i64),
            // The workers make the first plan.
            patients::next_plan_at.eq(At(access.now())),
            patients::created_at.eq(At(access.now())),
        ))
        .execute(tx.conn())?;
    diesel::insert_into(patient_heads::table)
        .values((
            patient_heads::patient_id.eq(patient),
            patient_heads::change_seq.eq(0_i64),
            patient_heads::audit_seq.eq(0_i64),
            patient_heads::audit_mac.eq(Vec::new()),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// A care link with the account of its patient.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Its id.
    pub id: Id<CareLink>,
    /// The patient.
    pub patient: Id<Patient>,
    /// The patient's account.
    pub person: Id<Account>,
    /// The clinic the therapist works for.
    pub clinic: Id<Clinic>,
    /// The therapist.
    pub therapist: Id<Account>,
    /// How far it has come.
    pub state: LinkState,
    /// Its version.
    pub version: i64,
    /// When the patient accepted.
    pub accepted_at: Timestamp,
    /// When the therapist confirmed.
    pub active_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

type Row = (Id<CareLink>, Id<Patient>, Id<Account>, Id<Clinic>, Id<Account>, String, i64, At, Option<At>, Option<At>);

type Columns = (
    care_links::id,
    care_links::patient_id,
    patients::account_id,
    care_links::clinic_id,
    care_links::therapist_id,
    care_links::state,
    care_links::version,
    care_links::created_at,
    care_links::active_at,
    care_links::ended_at,
);

const COLUMNS: Columns = (
    care_links::id,
    care_links::patient_id,
    patients::account_id,
    care_links::clinic_id,
    care_links::therapist_id,
    care_links::state,
    care_links::version,
    care_links::created_at,
    care_links::active_at,
    care_links::ended_at,
);

fn link((id, patient, person, clinic, therapist, state, version, accepted, active, ended): Row) -> Result<Link> {
    Ok(Link {
        id,
        patient,
        person,
        clinic,
        therapist,
        state: LinkState::parse(&state).ok_or_else(|| Error::corrupt("care_links", id))?,
        version,
        accepted_at: accepted.0,
        active_at: active.map(|at| at.0),
        ended_at: ended.map(|at| at.0),
    })
}

macro_rules! links {
    ($filter:expr) => {
        care_links::table
            .inner_join(patients::table.on(patients::id.eq(care_links::patient_id)))
            .filter($filter)
            .select(COLUMNS)
    };
}

/// The link of this id.
pub fn find_link(tx: &mut Tx<'_>, id: Id<CareLink>) -> Result<Option<Link>> {
    links!(care_links::id.eq(id)).first::<Row>(tx.conn()).optional()?.map(link).transpose()
}

/// The link of this id, held until the unit ends: before the head of its patient.
pub fn hold_link(tx: &mut Tx<'_>, id: Id<CareLink>) -> Result<Option<Link>> {
    let _held: Vec<Id<CareLink>> =
        locked!(tx, for_update, care_links::table.filter(care_links::id.eq(id)).select(care_links::id))?;
    find_link(tx, id)
}

/// The links of a therapist at a clinic that have not ended, held until the unit ends, by patient.
pub fn hold_links_of(tx: &mut Tx<'_>, clinic: Id<Clinic>, therapist: Id<Account>) -> Result<Vec<Link>> {
    let held: Vec<Id<CareLink>> = locked!(
        tx,
        for_update,
        care_links::table
            .filter(care_links::clinic_id.eq(clinic))
            .filter(care_links::therapist_id.eq(therapist))
            .filter(care_links::state.ne(LinkState::Ended.name()))
            .order(care_links::patient_id)
            .select(care_links::id)
    )?;
    let rows: Vec<Row> = links!(care_links::id.eq_any(held)).order(care_links::patient_id).load(tx.conn())?;
    rows.into_iter().map(link).collect()
}

/// The link of this patient and therapist that has not ended.
pub fn find_live_link(tx: &mut Tx<'_>, access: &Access<Write>, therapist: Id<Account>) -> Result<Option<Id<CareLink>>> {
    Ok(care_links::table
        .filter(care_links::patient_id.eq(access.patient()))
        .filter(care_links::therapist_id.eq(therapist))
        .filter(care_links::state.ne(LinkState::Ended.name()))
        .select(care_links::id)
        .first(tx.conn())
        .optional()?)
}

/// Inserts a link that the patient has accepted.
pub fn insert_link(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<CareLink>,
    clinic: Id<Clinic>,
    therapist: Id<Account>,
) -> Result<()> {
    diesel::insert_into(care_links::table)
        .values((
            care_links::id.eq(id),
            care_links::patient_id.eq(access.patient()),
            care_links::clinic_id.eq(clinic),
            care_links::therapist_id.eq(therapist),
            care_links::state.eq(LinkState::Accepted.name()),
            care_links::version.eq(1_i64),
            care_links::created_at.eq(At(access.now())),
            care_links::accepted_at.eq(At(access.now())),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Makes a link active.
pub fn mark_active(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<CareLink>) -> Result<()> {
    diesel::update(care_links::table.filter(care_links::id.eq(id)).filter(care_links::patient_id.eq(access.patient())))
        .set((
            care_links::state.eq(LinkState::Active.name()),
            care_links::version.eq(care_links::version + 1),
            care_links::active_at.eq(At(access.now())),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Has the workers plan again at once.
pub fn mark_plan_stale(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<()> {
    diesel::update(patients::table.filter(patients::id.eq(access.patient())))
        .set(patients::next_plan_at.eq(At(access.now())))
        .execute(tx.conn())?;
    Ok(())
}

/// Ends a link.
pub fn mark_ended(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<CareLink>) -> Result<()> {
    diesel::update(care_links::table.filter(care_links::id.eq(id)).filter(care_links::patient_id.eq(access.patient())))
        .set((
            care_links::state.eq(LinkState::Ended.name()),
            care_links::version.eq(care_links::version + 1),
            care_links::ended_at.eq(At(access.now())),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Takes a link out of the readers of every grant, and closes the grants that nobody reads any more. Answers those,
/// with their new versions.
pub fn close_grants(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<CareLink>) -> Result<Vec<(Id<Grant>, i64)>> {
    let patient = access.patient();
    let own = grant_readers::table.filter(grant_readers::patient_id.eq(patient));
    let touched: Vec<Id<Grant>> =
        own.filter(grant_readers::link_id.eq(id)).select(grant_readers::grant_id).load(tx.conn())?;
    if touched.is_empty() {
        return Ok(Vec::new());
    }
    diesel::delete(
        grant_readers::table.filter(grant_readers::patient_id.eq(patient)).filter(grant_readers::link_id.eq(id)),
    )
    .execute(tx.conn())?;
    let read: Vec<Id<Grant>> = own
        .filter(grant_readers::grant_id.eq_any(touched.iter().copied()))
        .select(grant_readers::grant_id)
        .load(tx.conn())?;
    let unread: Vec<Id<Grant>> = touched.into_iter().filter(|grant| !read.contains(grant)).collect();
    let open = grants::table
        .filter(grants::patient_id.eq(patient))
        .filter(grants::closed_at.is_null())
        .filter(grants::id.eq_any(unread));
    let closed: Vec<(Id<Grant>, i64)> = open.select((grants::id, grants::version)).load(tx.conn())?;
    let ids: Vec<Id<Grant>> = closed.iter().map(|(id, _)| *id).collect();
    diesel::update(grants::table.filter(grants::patient_id.eq(patient)).filter(grants::id.eq_any(ids)))
        .set((grants::closed_at.eq(At(access.now())), grants::version.eq(grants::version + 1)))
        .execute(tx.conn())?;
    Ok(closed.into_iter().map(|(id, version)| (id, version + 1)).collect())
}

/// The links of a patient, ended ones too, by id, after `after`.
pub fn list_links_of_patient(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    after: Option<Id<CareLink>>,
    limit: i64,
) -> Result<Vec<Link>> {
    let rows: Vec<Row> = links!(care_links::patient_id.eq(patient))
        .filter(care_links::id.gt(after.unwrap_or(Id::from_uuid(uuid::Uuid::nil()))))
        .order(care_links::id)
        .limit(limit)
        .load(tx.conn())?;
    rows.into_iter().map(link).collect()
}

/// The active links of a patient, by id.
pub fn list_active_links<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<Link>> {
    let rows: Vec<Row> = links!(care_links::patient_id.eq(access.patient()))
        .filter(care_links::state.eq(LinkState::Active.name()))
        .order(care_links::id)
        .load(tx.conn())?;
    rows.into_iter().map(link).collect()
}

/// The links of a therapist at `clinics` that have not ended, by id, after `after`.
pub fn list_links_of_therapist(
    tx: &mut Tx<'_>,
    therapist: Id<Account>,
    clinics: &[Id<Clinic>],
    after: Option<Id<CareLink>>,
    limit: i64,
) -> Result<Vec<Link>> {
    let rows: Vec<Row> = links!(care_links::therapist_id.eq(therapist))
        .filter(care_links::clinic_id.eq_any(clinics.iter().copied()))
        .filter(care_links::state.ne(LinkState::Ended.name()))
        .filter(care_links::id.gt(after.unwrap_or(Id::from_uuid(uuid::Uuid::nil()))))
        .order(care_links::id)
        .limit(limit)
        .load(tx.conn())?;
    rows.into_iter().map(link).collect()
}

/// The patients whom `account` has on the roster, after `after`: over an active link of their own at a clinic of
/// `care`, or over anybody's at a clinic of `record`.
pub fn list_roster(
    tx: &mut Tx<'_>,
    account: Id<Account>,
    care: &[Id<Clinic>],
    record: &[Id<Clinic>],
    after: Option<Id<Patient>>,
    limit: i64,
) -> Result<Vec<Id<Patient>>> {
    let own = care_links::therapist_id.eq(account).and(care_links::clinic_id.eq_any(care.iter().copied()));
    Ok(care_links::table
        .filter(care_links::state.eq(LinkState::Active.name()))
        .filter(own.or(care_links::clinic_id.eq_any(record.iter().copied())))
        .filter(care_links::patient_id.gt(after.unwrap_or(Id::from_uuid(uuid::Uuid::nil()))))
        .order(care_links::patient_id)
        .limit(limit)
        .select(care_links::patient_id)
        .distinct()
        .load(tx.conn())?)
}

/// How many patients have an active link at a clinic.
pub fn count_patients(tx: &mut Tx<'_>, clinic: Id<Clinic>) -> Result<i64> {
    Ok(care_links::table
        .filter(care_links::clinic_id.eq(clinic))
        .filter(care_links::state.eq(LinkState::Active.name()))
        .select(diesel::dsl::count(care_links::patient_id).aggregate_distinct())
        .get_result(tx.conn())?)
}

/// The links of these patients that have not ended, held until the unit ends, by patient and then by id.
pub fn hold_links_between(tx: &mut Tx<'_>, patients_: &[Id<Patient>], at: &[Id<Clinic>]) -> Result<Vec<Link>> {
    let held: Vec<Id<CareLink>> = locked!(
        tx,
        for_share,
        care_links::table
            .filter(care_links::patient_id.eq_any(patients_.iter().copied()))
            .filter(care_links::clinic_id.eq_any(at.iter().copied()))
            .filter(care_links::state.ne(LinkState::Ended.name()))
            .order(care_links::id)
            .select(care_links::id)
    )?;
    let rows: Vec<Row> =
        links!(care_links::id.eq_any(held)).order((care_links::patient_id, care_links::id)).load(tx.conn())?;
    rows.into_iter().map(link).collect()
}
