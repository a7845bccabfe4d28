//! Breaking the glass: staff of a clinic of the patient's reach them in an emergency, for four hours.
//!
//! They give a reason, see how the patient is reached, and the infusions; never an entry or an answer that was not
//! granted to them. The patient reads it in their access log at once. Another member of staff reviews it.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::access::{Access, Write};
use super::clinics::{check_second_factor, clinic_for};
use super::links::keys_of;
use super::model::{Capabilities, EmergencyDoc};
use super::people::SealedNames;
use super::store::{self, EmergencyKey, EmergencyRow};
use crate::audit::{self, Record, Subject};
use crate::db::{At, Tx};
use crate::idempotency::Outcome;
use crate::identity::actions::open_profile;
use crate::identity::{Live, Profile, Staff, names_of};
use crate::kernel::id::{Account, Clinic, Emergency, Patient};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Id, Result, limits};
use crate::state::State;
use crate::vault::{Keys, Purpose, SealContext, Vault};

/// The time for which the access holds.
const LASTS: SignedDuration = SignedDuration::from_hours(4);

fn place(patient: Id<Patient>, id: Id<Emergency>) -> SealContext {
    SealContext { table: "emergencies", column: "doc", subject: patient.uuid(), row: id.uuid(), revision: 1 }
}

/// Opens the reason of an access, after the unit.
///
/// # Errors
///
/// When the row was changed, or sealed with other keys.
pub fn open_doc(keys: &Keys, row: &EmergencyRow) -> Result<EmergencyDoc> {
    keys.open_json(&place(row.key.patient_id, row.key.id), &row.doc)
}

/// The profile of a patient's account, sealed: how they are reached.
pub type SealedContact = (Id<Account>, Option<(Id<Account>, i64, Vec<u8>)>);

/// Reads how the patient is reached, sealed.
///
/// # Errors
///
/// [`Error::NotFound`] when there is no such patient.
fn contact_of<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<SealedContact> {
    let person = store::find_patient(tx, access)?.ok_or(Error::NotFound)?.account_id;
    Ok((person, names_of(tx, &[person])?.pop()))
}

/// Opens how the patient is reached, after the unit. `None` when it is damaged, or its keys were destroyed.
///
/// # Errors
///
/// When the keyring cannot be reached.
pub async fn open_contact(vault: &Vault, (person, sealed): SealedContact) -> Result<Option<Profile>> {
    let (Some(keys), Some((_, version, profile))) = (vault.keys(person.uuid()).await?, sealed) else {
        return Ok(None);
    };
    Error::skip_damaged(open_profile(&keys, person, version, &profile))
}

/// An access in an emergency, and how the patient is reached.
pub type Shown = (EmergencyKey, SealedContact);

/// Begins an access of the caller to the patient, whom the door has checked. For the same reason as one that is not
/// over nothing begins: that one goes on.
///
/// # Errors
///
/// [`Error::LimitReached`].
pub fn begin(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Emergency>,
    doc: &EmergencyDoc,
) -> Result<Outcome<EmergencyKey>> {
    let (patient, account, now) = (access.patient(), access.account()?, access.now());
    // Two requests at once find each other.
    access.lock(tx)?;
    let (clinic_id, keys) = (access.clinic()?, access.keys()?);
    let open = store::list_open_emergencies(tx, patient, account, now)?;
    for row in open.iter().filter(|row| row.key.clinic_id == clinic_id) {
        if Error::skip_damaged(open_doc(keys, row))?.is_some_and(|known| known.reason.as_str() == doc.reason.as_str()) {
            return Ok(Outcome::ok(row.key.id, row.key));
        }
    }
    limits::EMERGENCIES.admit(i64::try_from(open.len()).unwrap_or(i64::MAX))?;
    let key = EmergencyKey {
        id,
        clinic_id,
        patient_id: patient,
        account_id: account,
        version: tx.first_version(),
        created_at: At(now),
        ends_at: At(now.saturating_add(LASTS).unwrap_or(now)),
        reviewed_at: None,
        reviewer_id: None,
    };
    let doc = keys.seal_json(Purpose::Clinical, &place(patient, id), doc)?;
    store::insert_emergency(tx, &EmergencyRow { key, doc })?;
    access.returns(id.uuid());
    Ok(Outcome::ok(id, key))
}

/// Reads the access after it has begun, and how the patient is reached.
///
/// # Errors
///
/// [`Error::NotFound`] when it is not the caller's, and when it is over by now.
pub fn show(tx: &mut Tx<'_>, access: &Access<Write>, outcome: Outcome<EmergencyKey>) -> Result<Shown> {
    let (clinic, account) = (access.clinic()?, access.account()?);
    let key = outcome.or_get(|id| {
        let found = store::find_emergency(tx, clinic, id)?.map(|row| row.key);
        let open = found.filter(|key| key.ends_at.0 > access.now());
        open.filter(|key| key.account_id == account && key.patient_id == access.patient()).ok_or(Error::NotFound)
    })?;
    Ok((key, contact_of(tx, access)?))
}

/// Lets only admins of a clinic, and members who look after alerts, review accesses: the reasons are about patients.
fn require_reviewer(tx: &mut Tx<'_>, live: &Live<Staff>, clinic: Id<Clinic>) -> Result<()> {
    let works = store::memberships(tx, live.account())?;
    let may = |may: Capabilities| may.admin() || may.duty();
    clinic_for(&works, Some(clinic), may)?;
    check_second_factor(tx, live)
}

/// A page of accesses with the names of the staff.
pub type EmergencyPage = (Page<EmergencyRow, Id<Emergency>>, SealedNames);

/// Lists a page of the accesses at a clinic, newest first, for its reviewers.
///
/// # Errors
///
/// As [`clinic_for`].
pub fn list(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    clinic: Id<Clinic>,
    asked: PageRequest<Id<Emergency>>,
) -> Result<EmergencyPage> {
    require_reviewer(tx, live, clinic)?;
    let rows = store::list_emergencies(tx, clinic, asked.after, asked.rows())?;
    let page = asked.cut(rows, |row| row.doc.len(), |row| row.key.id);
    let people = page.items.iter().flat_map(|row| [Some(row.key.account_id), row.key.reviewer_id]).flatten();
    let names = SealedNames::collect(tx, people, [])?;
    Ok((page, names))
}

/// Opens the reasons of accesses, after the unit: those that open.
///
/// # Errors
///
/// When the keyring cannot be reached.
pub async fn open_reasons(vault: &Vault, rows: &[EmergencyRow]) -> Result<BTreeMap<Id<Emergency>, EmergencyDoc>> {
    let keys = keys_of(vault, rows.iter().map(|row| row.key.patient_id)).await?;
    let mut reasons = BTreeMap::new();
    for row in rows {
        if let Some(keys) = keys.get(&row.key.patient_id)
            && let Some(doc) = Error::skip_damaged(open_doc(keys, row))?
        {
            reasons.insert(row.key.id, doc);
        }
    }
    Ok(reasons)
}

/// Fetches the keys of the patient of an access for its reviewer, before the unit that writes to the patient's log.
///
/// # Errors
///
/// When database or keyring cannot be reached.
pub async fn keys_for_review(
    state: &State,
    reviewer: Id<Account>,
    of: Option<(Id<Clinic>, Id<Emergency>)>,
) -> Result<Option<Keys>> {
    let Some((clinic, id)) = of else { return Ok(None) };
    let found = state.db.read(move |tx| {
        let works = store::memberships(tx, reviewer)?;
        // Only for a reviewer is it looked up whether there is such an access.
        if !works.iter().any(|(at, may)| *at == clinic && (may.admin() || may.duty())) {
            return Ok(None);
        }
        Ok(store::find_emergency(tx, clinic, id)?.map(|row| row.key.patient_id))
    });
    match found.await? {
        Some(patient) => state.vault.keys(patient.uuid()).await,
        None => Ok(None),
    }
}

/// Reviews an access of somebody else, which the patient reads in their log. A second call changes nothing.
///
/// # Errors
///
/// As [`clinic_for`]; [`Error::NotFound`] when there is no such access;
/// [`Error::State`] for the caller's own.
pub fn review(
    tx: &mut Tx<'_>,
    (vault, keys): (&Vault, Option<&Keys>),
    live: &Live<Staff>,
    (clinic, id): (Id<Clinic>, Id<Emergency>),
) -> Result<()> {
    // Held, so that a reviewer whose work is ended meanwhile reviews nothing.
    store::hold_member(tx, clinic, live.account())?;
    require_reviewer(tx, live, clinic)?;
    let key = store::hold_emergency(tx, clinic, id)?.ok_or(Error::NotFound)?.key;
    if key.account_id == live.account() {
        return Err(Error::state("own_access", []));
    }
    if key.reviewed_at.is_some() {
        return Ok(());
    }
    let (reviewed_at, reviewer_id) = (Some(At(live.now())), Some(live.account()));
    let version = tx.version_after(key.version);
    store::update_emergency(tx, &EmergencyKey { version, reviewed_at, reviewer_id, ..key })?;
    let (Some(keys), act) = (keys, "review_emergency".to_owned()) else { return Ok(()) };
    let record = Record { act, role: "staff".to_owned(), refused: false, ids: vec![id.uuid()] };
    let subject = Subject::Patient(key.patient_id);
    audit::append(tx, vault, keys, subject, Some(live.account()), Some(live.session()), live.now(), &record)
}
