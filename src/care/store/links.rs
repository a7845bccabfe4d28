//! Care links. The roster reads across patients, by therapist (index `care_links_therapist`) or by clinic (index
//! `care_links_clinic`).

use std::collections::BTreeSet;

use diesel::prelude::*;
use jiff::Timestamp;

use crate::care::access::{Access, Write};
use crate::care::model::LinkState;
use crate::db::authentic::{all_checked, checked, checked_page};
use crate::db::schema::{care_links, patients};
use crate::db::{At, Both, Stored, Tx, columns};
use crate::kernel::id::{Account, CareLink, Clinic, Patient};
use crate::kernel::{Error, Id, Result};
use crate::{authentic, locked};

authentic! {
    /// A care link as it is stored.
    pub struct LinkRow of care_links {
        /// Its id.
        id: Id<CareLink>,
        /// The patient.
        patient_id: Id<Patient>,
        /// The clinic the therapist works for.
        clinic_id: Id<Clinic>,
        /// The therapist.
        therapist_id: Id<Account>,
        /// The name of its state.
        state: String,
        /// Its version.
        version: i64,
        /// The instant of its creation.
        created_at: At,
        /// The instant at which the patient accepted: that of its creation.
        accepted_at: Option<At>,
        /// The instant at which the therapist confirmed.
        active_at: Option<At>,
        /// The end.
        ended_at: Option<At>,
    }
}

authentic! {
    /// A patient and their account. When the next plan is due, and its version, decide on no access.
    #[derive(Copy)]
    pub struct PatientRow of patients {
        /// The id.
        id: Id<Patient>,
        /// The account.
        account_id: Id<Account>,
        /// The instant of the registration.
        created_at: At,
    }
}

/// Finds the row of the patient.
pub fn find_patient<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Option<PatientRow>> {
    let own = patients::table.filter(patients::id.eq(access.patient())).select(columns::<Stored<PatientRow>>());
    let found: Vec<Stored<PatientRow>> = Both(own).load(tx.conn())?;
    Ok(checked(tx, found)?.pop())
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
    /// Its state.
    pub state: LinkState,
    /// Its version.
    pub version: i64,
    /// The instant at which the patient accepted.
    pub accepted_at: At,
    /// The instant at which the therapist confirmed.
    pub active_at: Option<At>,
    /// The end.
    pub ended_at: Option<At>,
}

impl Link {
    fn of(row: &LinkRow, patient: &PatientRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            patient: row.patient_id,
            person: patient.account_id,
            clinic: row.clinic_id,
            therapist: row.therapist_id,
            state: LinkState::parse(&row.state).ok_or_else(|| Error::corrupt("care_links", row.id))?,
            version: row.version,
            accepted_at: row.created_at,
            active_at: row.active_at,
            ended_at: row.ended_at,
        })
    }

    fn row(&self) -> LinkRow {
        LinkRow {
            id: self.id,
            patient_id: self.patient,
            clinic_id: self.clinic,
            therapist_id: self.therapist,
            state: self.state.name().to_owned(),
            version: self.version,
            created_at: self.accepted_at,
            accepted_at: Some(self.accepted_at),
            active_at: self.active_at,
            ended_at: self.ended_at,
        }
    }
}

type Found = (Stored<LinkRow>, Stored<PatientRow>);

macro_rules! links {
    ($filter:expr) => {
        care_links::table
            .inner_join(patients::table.on(patients::id.eq(care_links::patient_id)))
            .filter($filter)
            .select((columns::<Stored<LinkRow>>(), columns::<Stored<PatientRow>>()))
    };
}

fn links_of(tx: &Tx<'_>, found: Vec<Found>) -> Result<Vec<Link>> {
    let mut links = Vec::with_capacity(found.len());
    for (link, patient) in found {
        if let Some((link, patient)) = link.checked(tx)?.zip(patient.checked(tx)?) {
            links.push(Link::of(&link, &patient)?);
        }
    }
    Ok(links)
}

/// As [`links_of`], for what a link that is left out would allow or end.
fn all_links_of(tx: &Tx<'_>, found: Vec<Found>) -> Result<Vec<Link>> {
    let (links, patients): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let links = all_checked(tx, links, |link| link.id.uuid())?;
    let patients = all_checked(tx, patients, |patient| patient.id.uuid())?;
    links.iter().zip(&patients).map(|(link, patient)| Link::of(link, patient)).collect()
}

/// Finds a link by its id.
pub fn find_link(tx: &mut Tx<'_>, id: Id<CareLink>) -> Result<Option<Link>> {
    let found: Vec<Found> = links!(care_links::id.eq(id)).load(tx.conn())?;
    Ok(links_of(tx, found)?.pop())
}

/// Finds a link of the patient by its id. That of another patient is not read.
pub fn find_link_for<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<CareLink>) -> Result<Option<Link>> {
    let own = care_links::patient_id.eq(access.patient());
    let found: Vec<Found> = links!(care_links::id.eq(id)).filter(own).load(tx.conn())?;
    Ok(links_of(tx, found)?.pop())
}

/// Finds a link by its id, if `account` is one of its two sides. The row of the link says so, and its patient is read
/// for them alone: who is neither side waits as long for the answer as for a link that is not there.
pub fn find_link_of(tx: &mut Tx<'_>, id: Id<CareLink>, account: Id<Account>) -> Result<Option<Link>> {
    let own = find_own_patient(tx, account)?;
    let side = care_links::therapist_id.eq(account).or(care_links::patient_id.eq(own));
    let found: Vec<Found> = links!(care_links::id.eq(id)).filter(side).load(tx.conn())?;
    Ok(links_of(tx, found)?.pop())
}

/// Finds a link as [`find_link_of`] does and holds it until the unit ends. It is locked before the head of its patient.
pub fn hold_link(tx: &mut Tx<'_>, id: Id<CareLink>, account: Id<Account>) -> Result<Option<Link>> {
    let own = find_own_patient(tx, account)?;
    let side = care_links::therapist_id.eq(account).or(care_links::patient_id.eq(own));
    let held: Vec<Id<CareLink>> =
        locked!(tx, for_update, care_links::table.filter(care_links::id.eq(id)).filter(side).select(care_links::id))?;
    if held.is_empty() { Ok(None) } else { find_link(tx, id) }
}

/// Finds the patient that an account is; an id that no patient has for staff.
fn find_own_patient(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Id<Patient>> {
    let own = patients::table.filter(patients::account_id.eq(account)).select(patients::id);
    let found: Option<Id<Patient>> = own.first(tx.conn()).optional()?;
    Ok(found.unwrap_or(Id::from_uuid(uuid::Uuid::nil())))
}

/// Lists the links of a therapist at a clinic that have not ended, by patient, and holds them until the unit ends.
/// Those that do not fit their MACs are left out: they cannot be ended, and nobody reads over them.
pub fn hold_links_of(tx: &mut Tx<'_>, clinic: Id<Clinic>, therapist: Id<Account>) -> Result<Vec<Link>> {
    let found = hold_found_of(tx, &[clinic], therapist)?;
    links_of(tx, found)
}

/// Lists what [`hold_links_of`] does, at some clinics, before a step that is taken only if none is left.
///
/// # Errors
///
/// [`Error::Damaged`] when one does not fit its MAC.
pub fn hold_all_links_of(tx: &mut Tx<'_>, clinics: &[Id<Clinic>], therapist: Id<Account>) -> Result<Vec<Link>> {
    let found = hold_found_of(tx, clinics, therapist)?;
    all_links_of(tx, found)
}

fn hold_found_of(tx: &mut Tx<'_>, clinics: &[Id<Clinic>], therapist: Id<Account>) -> Result<Vec<Found>> {
    let held: Vec<Id<CareLink>> = locked!(
        tx,
        for_update,
        care_links::table
            .filter(care_links::clinic_id.eq_any(clinics.iter().copied()))
            .filter(care_links::therapist_id.eq(therapist))
            .filter(care_links::state.ne(LinkState::Ended.name()))
            .order((care_links::patient_id, care_links::id))
            .select(care_links::id)
    )?;
    Ok(links!(care_links::id.eq_any(held)).order(care_links::patient_id).load(tx.conn())?)
}

/// Lists links at a clinic that have not ended, at most `most`, by patient, and holds them until the unit ends.
///
/// # Errors
///
/// [`Error::Damaged`] when one does not fit its MAC: a clinic closes only if none is left.
pub fn hold_links_at(tx: &mut Tx<'_>, clinic: Id<Clinic>, most: i64) -> Result<Vec<Link>> {
    let held: Vec<Id<CareLink>> = locked!(
        tx,
        for_update,
        care_links::table
            .filter(care_links::clinic_id.eq(clinic))
            .filter(care_links::state.ne(LinkState::Ended.name()))
            .order((care_links::patient_id, care_links::id))
            .limit(most)
            .select(care_links::id)
    )?;
    let found: Vec<Found> = links!(care_links::id.eq_any(held)).order(care_links::patient_id).load(tx.conn())?;
    all_links_of(tx, found)
}

/// Lists the patients of links at a clinic that have not ended, at most `most`. Ids only, from rows that are not
/// checked: for the keys of a unit that reads the rows.
pub fn list_linked(tx: &mut Tx<'_>, clinic: Id<Clinic>, most: i64) -> Result<Vec<Id<Patient>>> {
    Ok(care_links::table
        .filter(care_links::clinic_id.eq(clinic))
        .filter(care_links::state.ne(LinkState::Ended.name()))
        .order(care_links::patient_id)
        .limit(most)
        .select(care_links::patient_id)
        .load(tx.conn())?)
}

/// Finds the link of this patient and therapist that has not ended, before one is made.
///
/// # Errors
///
/// [`Error::Damaged`] when it does not fit its MAC.
pub fn find_live_link(tx: &mut Tx<'_>, access: &Access<Write>, therapist: Id<Account>) -> Result<Option<Id<CareLink>>> {
    let found: Vec<Stored<LinkRow>> = care_links::table
        .filter(care_links::patient_id.eq(access.patient()))
        .filter(care_links::therapist_id.eq(therapist))
        .filter(care_links::state.ne(LinkState::Ended.name()))
        .select(columns::<Stored<LinkRow>>())
        .load(tx.conn())?;
    Ok(all_checked(tx, found, |link| link.id.uuid())?.first().map(|link| link.id))
}

/// Finds the therapist of a link for the revocation ledger, from a row that is not checked.
pub fn find_linked_therapist(tx: &mut Tx<'_>, id: Id<CareLink>) -> Result<Option<Id<Account>>> {
    let own = care_links::table.filter(care_links::id.eq(id)).select(care_links::therapist_id);
    Ok(own.first(tx.conn()).optional()?)
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
    let of_both = care_links::clinic_id.eq(clinic).and(care_links::therapist_id.eq(therapist));
    let found: Vec<Found> = links!(care_links::patient_id.eq(patient).and(of_both))
        .order(care_links::created_at.desc())
        .limit(1)
        .load(tx.conn())?;
    Ok(links_of(tx, found)?.pop())
}

/// Inserts a link that the patient has accepted.
pub fn insert_link(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<CareLink>,
    clinic: Id<Clinic>,
    therapist: Id<Account>,
) -> Result<()> {
    let now = At(access.now());
    let row = LinkRow {
        id,
        patient_id: access.patient(),
        clinic_id: clinic,
        therapist_id: therapist,
        state: LinkState::Accepted.name().to_owned(),
        version: tx.first_version(),
        created_at: now,
        accepted_at: Some(now),
        active_at: None,
        ended_at: None,
    };
    diesel::insert_into(care_links::table).values(row.signed(tx)?).execute(tx.conn())?;
    Ok(())
}

/// Makes a link active, and returns it.
pub fn mark_active(tx: &mut Tx<'_>, access: &Access<Write>, link: &Link) -> Result<Link> {
    let active_at = Some(At(access.now()));
    let version = tx.version_after(link.version);
    update(tx, access, Link { state: LinkState::Active, version, active_at, ..*link })
}

/// Ends a link, and returns it.
pub fn mark_ended(tx: &mut Tx<'_>, access: &Access<Write>, link: &Link) -> Result<Link> {
    let ended_at = Some(At(access.now()));
    let version = tx.version_after(link.version);
    update(tx, access, Link { state: LinkState::Ended, version, ended_at, ..*link })
}

fn update(tx: &mut Tx<'_>, access: &Access<Write>, link: Link) -> Result<Link> {
    let own = care_links::table.filter(care_links::id.eq(link.id)).filter(care_links::patient_id.eq(access.patient()));
    diesel::update(own).set(link.row().signed(tx)?).execute(tx.conn())?;
    Ok(link)
}

/// Lists the links of a patient, ended ones too, by id, after `after`.
pub fn list_links_of_patient(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    after: Option<Id<CareLink>>,
    limit: i64,
) -> Result<Vec<Link>> {
    let read = |tx: &mut Tx<'_>, after: Option<Id<CareLink>>, limit: i64| {
        let found: Vec<Found> = links!(care_links::patient_id.eq(patient))
            .filter(care_links::id.gt(after.unwrap_or(Id::from_uuid(uuid::Uuid::nil()))))
            .order(care_links::id)
            .limit(limit)
            .load(tx.conn())?;
        Ok(found)
    };
    checked_page(tx, (after, limit), read, |link: &LinkRow| link.id, links_of)
}

/// Lists the active links of a patient, by id.
pub fn list_active_links<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<Link>> {
    let found: Vec<Found> = links!(care_links::patient_id.eq(access.patient()))
        .filter(care_links::state.eq(LinkState::Active.name()))
        .order(care_links::id)
        .load(tx.conn())?;
    links_of(tx, found)
}

/// Lists the links of a therapist at `clinics` that have not ended, by id, after `after`.
pub fn list_links_of_therapist(
    tx: &mut Tx<'_>,
    therapist: Id<Account>,
    clinics: &[Id<Clinic>],
    after: Option<Id<CareLink>>,
    limit: i64,
) -> Result<Vec<Link>> {
    let read = |tx: &mut Tx<'_>, after: Option<Id<CareLink>>, limit: i64| {
        let found: Vec<Found> = links!(care_links::therapist_id.eq(therapist))
            .filter(care_links::clinic_id.eq_any(clinics.iter().copied()))
            .filter(care_links::state.ne(LinkState::Ended.name()))
            .filter(care_links::id.gt(after.unwrap_or(Id::from_uuid(uuid::Uuid::nil()))))
            .order(care_links::id)
            .limit(limit)
            .load(tx.conn())?;
        Ok(found)
    };
    checked_page(tx, (after, limit), read, |link: &LinkRow| link.id, links_of)
}

/// Lists the patients on a roster, after `after`: over an active link of one of `therapists` at a clinic of `care`, or
/// over any active link at a clinic of `record`. Ids only, from rows that are not checked: who is shown a
/// name is decided on [`hold_links_between`].
pub fn list_roster(
    tx: &mut Tx<'_>,
    therapists: &[Id<Account>],
    care: &[Id<Clinic>],
    record: &[Id<Clinic>],
    after: Option<Id<Patient>>,
    limit: i64,
) -> Result<Vec<Id<Patient>>> {
    let own = care_links::therapist_id.eq_any(therapists.iter().copied());
    let own = own.and(care_links::clinic_id.eq_any(care.iter().copied()));
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

/// Lists the patients with an active link at a clinic, each once.
pub fn list_patients_at(tx: &mut Tx<'_>, clinic: Id<Clinic>) -> Result<Vec<Id<Patient>>> {
    let active = care_links::state.eq(LinkState::Active.name());
    let here = care_links::table.filter(care_links::clinic_id.eq(clinic)).filter(active);
    let rows: Vec<Stored<LinkRow>> = here.select(columns::<Stored<LinkRow>>()).load(tx.conn())?;
    let patients: BTreeSet<Id<Patient>> = checked(tx, rows)?.iter().map(|link| link.patient_id).collect();
    Ok(patients.into_iter().collect())
}

/// Lists the clinics that treat a patient, or have treated them, each with the end of that.
pub fn list_clinics_of(tx: &mut Tx<'_>, patient: Id<Patient>) -> Result<Vec<(Id<Clinic>, Option<Timestamp>)>> {
    let of = care_links::table.filter(care_links::patient_id.eq(patient)).filter(care_links::active_at.is_not_null());
    let rows: Vec<Stored<LinkRow>> = of.select(columns::<Stored<LinkRow>>()).load(tx.conn())?;
    Ok(checked(tx, rows)?.iter().map(|link| (link.clinic_id, link.ended_at.map(|at| at.0))).collect())
}

/// Lists the links of these patients that have not ended, by patient and then by id, and holds them until the unit
/// ends. Whoever holds links of several patients does so in this order.
pub fn hold_links_between(tx: &mut Tx<'_>, patients_: &[Id<Patient>], at: &[Id<Clinic>]) -> Result<Vec<Link>> {
    let held: Vec<Id<CareLink>> = locked!(
        tx,
        for_share,
        care_links::table
            .filter(care_links::patient_id.eq_any(patients_.iter().copied()))
            .filter(care_links::clinic_id.eq_any(at.iter().copied()))
            .filter(care_links::state.ne(LinkState::Ended.name()))
            .order((care_links::patient_id, care_links::id))
            .select(care_links::id)
    )?;
    let order = (care_links::patient_id, care_links::id);
    let found: Vec<Found> = links!(care_links::id.eq_any(held)).order(order).load(tx.conn())?;
    links_of(tx, found)
}
