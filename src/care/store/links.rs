//! Care links. The roster reads across patients, by therapist (index `care_links_therapist`) or by clinic (index
//! `care_links_clinic`).

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql};
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::care::access::{Access, Write};
use crate::care::model::LinkState;
use crate::db::schema::{care_links, patients};
use crate::db::{At, Tx};
use crate::kernel::id::{Account, CareLink, Clinic, Patient};
use crate::kernel::{Id, Result};
use crate::locked;

/// A care link with the account of its patient.
#[derive(Clone, Copy, Debug, Queryable, Selectable)]
#[diesel(table_name = care_links)]
pub struct Link {
    /// Its id.
    pub id: Id<CareLink>,
    /// The patient.
    #[diesel(column_name = patient_id)]
    pub patient: Id<Patient>,
    /// The patient's account.
    #[diesel(select_expression = patients::account_id)]
    pub person: Id<Account>,
    /// The clinic the therapist works for.
    #[diesel(column_name = clinic_id)]
    pub clinic: Id<Clinic>,
    /// The therapist.
    #[diesel(column_name = therapist_id)]
    pub therapist: Id<Account>,
    /// Its state.
    pub state: LinkState,
    /// Its version.
    pub version: i64,
    /// The instant at which the patient accepted.
    #[diesel(column_name = created_at)]
    pub accepted_at: At,
    /// The instant at which the therapist confirmed.
    pub active_at: Option<At>,
    /// The end.
    pub ended_at: Option<At>,
}

impl<DB: Backend> Queryable<Text, DB> for LinkState
where
    String: FromSql<Text, DB>,
{
    type Row = String;
    fn build(name: String) -> deserialize::Result<Self> {
        Self::parse(&name).ok_or_else(|| "care_links: no such state".into())
    }
}

macro_rules! links {
    ($filter:expr) => {
        care_links::table
            .inner_join(patients::table.on(patients::id.eq(care_links::patient_id)))
            .filter($filter)
            .select(Link::as_select())
    };
}

/// Finds a link by its id.
pub fn find_link(tx: &mut Tx<'_>, id: Id<CareLink>) -> Result<Option<Link>> {
    Ok(links!(care_links::id.eq(id)).first(tx.conn()).optional()?)
}

/// Finds a link by its id, if `account` is one of its two sides.
pub fn find_link_of(tx: &mut Tx<'_>, id: Id<CareLink>, account: Id<Account>) -> Result<Option<Link>> {
    let side = care_links::therapist_id.eq(account).or(patients::account_id.eq(account));
    Ok(links!(care_links::id.eq(id)).filter(side).first(tx.conn()).optional()?)
}

/// Finds a link as [`find_link_of`] does and holds it until the unit ends. It is locked before the head of its patient.
pub fn hold_link(tx: &mut Tx<'_>, id: Id<CareLink>, account: Id<Account>) -> Result<Option<Link>> {
    let own = patients::table.filter(patients::account_id.eq(account)).select(patients::id);
    let side = care_links::therapist_id.eq(account).or(care_links::patient_id.eq_any(own));
    let _held: Vec<Id<CareLink>> =
        locked!(tx, for_update, care_links::table.filter(care_links::id.eq(id)).filter(side).select(care_links::id))?;
    find_link_of(tx, id, account)
}

/// Lists the links of a therapist at a clinic that have not ended, by patient, and holds them until the unit ends.
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
    Ok(links!(care_links::id.eq_any(held)).order(care_links::patient_id).load(tx.conn())?)
}

/// Finds the link of this patient and therapist that has not ended.
pub fn find_live_link(tx: &mut Tx<'_>, access: &Access<Write>, therapist: Id<Account>) -> Result<Option<Id<CareLink>>> {
    Ok(care_links::table
        .filter(care_links::patient_id.eq(access.patient()))
        .filter(care_links::therapist_id.eq(therapist))
        .filter(care_links::state.ne(LinkState::Ended.name()))
        .select(care_links::id)
        .first(tx.conn())
        .optional()?)
}

/// Counts the links of the patient that have not ended.
pub fn count_live_links(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<i64> {
    let own = care_links::table.filter(care_links::patient_id.eq(access.patient()));
    Ok(own.filter(care_links::state.ne(LinkState::Ended.name())).count().get_result(tx.conn())?)
}

/// Finds the newest link of a patient and a therapist at a clinic, also one that has ended.
pub fn find_link_with(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    (clinic, therapist): (Id<Clinic>, Id<Account>),
) -> Result<Option<Link>> {
    Ok(links!(
        care_links::patient_id
            .eq(patient)
            .and(care_links::clinic_id.eq(clinic))
            .and(care_links::therapist_id.eq(therapist))
    )
    .order(care_links::created_at.desc())
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

/// Lists the links of a patient, ended ones too, by id, after `after`.
pub fn list_links_of_patient(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    after: Option<Id<CareLink>>,
    limit: i64,
) -> Result<Vec<Link>> {
    Ok(links!(care_links::patient_id.eq(patient))
        .filter(care_links::id.gt(after.unwrap_or(Id::from_uuid(uuid::Uuid::nil()))))
        .order(care_links::id)
        .limit(limit)
        .load(tx.conn())?)
}

/// Lists the active links of a patient, by id.
pub fn list_active_links<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<Link>> {
    Ok(links!(care_links::patient_id.eq(access.patient()))
        .filter(care_links::state.eq(LinkState::Active.name()))
        .order(care_links::id)
        .load(tx.conn())?)
}

/// Lists the links of a therapist at `clinics` that have not ended, by id, after `after`.
pub fn list_links_of_therapist(
    tx: &mut Tx<'_>,
    therapist: Id<Account>,
    clinics: &[Id<Clinic>],
    after: Option<Id<CareLink>>,
    limit: i64,
) -> Result<Vec<Link>> {
    Ok(links!(care_links::therapist_id.eq(therapist))
        .filter(care_links::clinic_id.eq_any(clinics.iter().copied()))
        .filter(care_links::state.ne(LinkState::Ended.name()))
        .filter(care_links::id.gt(after.unwrap_or(Id::from_uuid(uuid::Uuid::nil()))))
        .order(care_links::id)
        .limit(limit)
        .load(tx.conn())?)
}

/// Lists the patients on the roster of `account`, after `after`: over an active link of their own at a clinic of
/// `care`, or over any active link at a clinic of `record`.
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

/// Counts the patients with an active link at a clinic.
pub fn count_patients(tx: &mut Tx<'_>, clinic: Id<Clinic>) -> Result<i64> {
    Ok(care_links::table
        .filter(care_links::clinic_id.eq(clinic))
        .filter(care_links::state.eq(LinkState::Active.name()))
        .select(diesel::dsl::count(care_links::patient_id).aggregate_distinct())
        .get_result(tx.conn())?)
}

/// Lists the links of these patients that have not ended, by patient and then by id, and holds them until the unit
/// ends.
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
    Ok(links!(care_links::id.eq_any(held)).order((care_links::patient_id, care_links::id)).load(tx.conn())?)
}
