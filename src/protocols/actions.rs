//! Writing, publishing and choosing the protocols of a clinic.

use jiff::Timestamp;

use super::model::{IN_FORCE_AFTER, VersionState, faults, protocol};
use super::store::{self, PlanChoice, VersionKey, VersionRow};
use crate::care::clinics::{clinic_for, hold_as_admin};
use crate::care::store::{list_clinics_of, memberships};
use crate::db::{At, Tx};
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::identity::{Anyone, Live, Staff};
use crate::kernel::id::{Account, Clinic, ClinicProtocol};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Id, Result, limits};
use crate::planning::ProtocolContent;
use crate::state::State;
use crate::vault::Keys;

/// A protocol of a clinic, as an address names it.
pub type Named = (Id<Clinic>, Id<ClinicProtocol>);

/// Returns the tag of a version.
pub fn tag(row: &VersionKey) -> EntityTag {
    EntityTag::version(row.version)
}

/// Lets members of `clinic` pass who treat patients or administer it.
fn require_reader(tx: &mut Tx<'_>, account: Id<Account>, clinic: Id<Clinic>) -> Result<()> {
    let memberships = memberships(tx, account)?;
    clinic_for(&memberships, Some(clinic), |may| may.care() || may.admin()).map(drop)
}

/// Fetches the keys of a clinic before the unit that changes a protocol there: for those alone who may read its
/// protocols.
///
/// # Errors
///
/// When database or keyring cannot be reached.
pub async fn keys_of_clinic(state: &State, account: Id<Account>, clinic: Option<Id<Clinic>>) -> Result<Option<Keys>> {
    let Some(clinic) = clinic else { return Ok(None) };
    let reads = state.db.read(move |tx| match require_reader(tx, account, clinic) {
        Err(Error::NotFound | Error::Forbidden(_)) => Ok(false),
        found => found.map(|()| true),
    });
    if reads.await? { state.vault.keys(clinic.uuid()).await } else { Ok(None) }
}

/// Lists the clinics whose published protocols the caller may see: those that treat or have treated them, with the end
/// of the care link there, or where they work.
///
/// # Errors
///
/// When the database cannot be read.
pub fn list_clinics_met(tx: &mut Tx<'_>, live: &Live<Anyone>) -> Result<Vec<(Id<Clinic>, Option<Timestamp>)>> {
    match live.patient() {
        Some(patient) => list_clinics_of(tx, patient),
        None => Ok(memberships(tx, live.account())?.into_iter().map(|(clinic, _)| (clinic, None)).collect()),
    }
}

/// Lists the newest version of each protocol of a clinic.
pub fn list(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    clinic: Id<Clinic>,
    asked: PageRequest<Id<ClinicProtocol>>,
) -> Result<Page<VersionRow, Id<ClinicProtocol>>> {
    require_reader(tx, live.account(), clinic)?;
    let rows = store::list_newest(tx, clinic, asked.after, asked.rows())?;
    Ok(asked.cut(rows, VersionRow::bytes, |row| row.key.id))
}

/// Finds a version of a protocol, the newest without a number, with all its versions.
///
/// # Errors
///
/// [`Error::NotFound`] when there is none.
pub fn get(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    (clinic, id): Named,
    number: Option<i32>,
) -> Result<(VersionRow, Vec<VersionKey>)> {
    require_reader(tx, live.account(), clinic)?;
    let row = store::find(tx, clinic, id, number)?.ok_or(Error::NotFound)?;
    Ok((row, store::list_versions(tx, clinic, id)?))
}

/// Writes a draft: the first version of a new protocol, the draft that there is, or one that follows the published
/// version. The same content again changes nothing.
///
/// # Errors
///
/// [`Error::NotFound`] and 403 for others than the clinic's admins; a fault of the id; [`Error::LimitReached`]; those of
/// [`Preconditions::require`].
pub fn put(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    keys: Option<&Keys>,
    (clinic, id): Named,
    (content, when): (&ProtocolContent, &Preconditions),
) -> Result<Outcome<VersionRow>> {
    hold_as_admin(tx, live, clinic)?;
    let keys = keys.ok_or(Error::NotFound)?;
    let now = At(live.now());
    let new = |number: i32, version: i64| VersionKey {
        id,
        number,
        clinic_id: clinic,
        state: VersionState::Draft.name().to_owned(),
        version,
        created_at: now,
        updated_at: now,
        published_at: None,
    };
    let Some(row) = store::find(tx, clinic, id, None)? else {
        if !id.is_of_client() {
            return Err(Error::field("path/protocol_id", "must be a UUID of version 4 or 7"));
        }
        if store::is_taken(tx, id)? {
            return Err(Error::NotFound);
        }
        limits::PROTOCOL_VERSIONS.admit(store::count(tx, clinic)?)?;
        let row = VersionRow::seal(new(1, tx.first_version()), content, keys)?;
        store::insert(tx, &row)?;
        return Ok(Outcome::created(id, row));
    };
    if row.open(keys)? == *content {
        return Ok(Outcome::ok(id, row));
    }
    when.require(&tag(&row.key))?;
    let version = tx.version_after(row.key.version);
    if row.state() == VersionState::Draft {
        let row = VersionRow::seal(VersionKey { version, updated_at: now, ..row.key }, content, keys)?;
        store::update(tx, &row)?;
        return Ok(Outcome::ok(id, row));
    }
    limits::PROTOCOL_VERSIONS.admit(store::count(tx, clinic)?)?;
    let row = VersionRow::seal(new(row.key.number.saturating_add(1), version), content, keys)?;
    store::insert(tx, &row)?;
    Ok(Outcome::ok(id, row))
}

/// Publishes the draft of a protocol. What is published already stays so.
///
/// # Errors
///
/// As [`put`]; [`Error::Invalid`] with everything that stands against it; [`Error::State`] for a retired version.
pub fn publish(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    keys: Option<&Keys>,
    (clinic, id): Named,
    when: &Preconditions,
) -> Result<Outcome<VersionRow>> {
    hold_as_admin(tx, live, clinic)?;
    let (row, keys) = store::find(tx, clinic, id, None)?.zip(keys).ok_or(Error::NotFound)?;
    match row.state() {
        VersionState::Published => return Ok(Outcome::ok(id, row)),
        VersionState::Retired => return Err(Error::state("retired", ["put_clinic_protocol"])),
        VersionState::Draft => when.require(&tag(&row.key))?,
    }
    let content = row.open(keys)?;
    let found = faults(&protocol(id, row.key.number, content.clone()));
    if !found.is_empty() {
        return Err(Error::Invalid(found));
    }
    let key = VersionKey { published_at: Some(At(live.now())), ..row.key };
    let row = change_state(tx, live.now(), &key, VersionState::Published, (&content, keys))?;
    Ok(Outcome::ok(id, row))
}

/// Retires a published version: no new plan is made by it. A second call changes nothing.
///
/// # Errors
///
/// As [`put`]; [`Error::NotFound`] when there is no such version; [`Error::State`] for a draft.
pub fn retire(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    keys: Option<&Keys>,
    (clinic, id): Named,
    number: i32,
) -> Result<Outcome<VersionRow>> {
    hold_as_admin(tx, live, clinic)?;
    let (row, keys) = store::find(tx, clinic, id, Some(number))?.zip(keys).ok_or(Error::NotFound)?;
    match row.state() {
        VersionState::Retired => Ok(Outcome::ok(id, row)),
        VersionState::Draft => Err(Error::state("draft", ["publish_clinic_protocol"])),
        VersionState::Published => {
            let content = row.open(keys)?;
            let row = change_state(tx, live.now(), &row.key, VersionState::Retired, (&content, keys))?;
            Ok(Outcome::ok(id, row))
        }
    }
}

fn change_state(
    tx: &mut Tx<'_>,
    now: Timestamp,
    key: &VersionKey,
    state: VersionState,
    (content, keys): (&ProtocolContent, &Keys),
) -> Result<VersionRow> {
    let version = tx.version_after(key.version);
    let key = VersionKey { state: state.name().to_owned(), version, updated_at: At(now), ..key.clone() };
    let row = VersionRow::seal(key, content, keys)?;
    store::update(tx, &row)?;
    let clinic = row.key.clinic_id;
    let chosen = store::find_choice(tx, clinic)?.and_then(|choice| choice.protocol_id);
    choose_and_follow(tx, clinic, chosen, now)?;
    Ok(row)
}

/// Stores the choice of a clinic under a new version, by which every process learns of it, and lets plans follow.
fn choose_and_follow(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    protocol: Option<Id<ClinicProtocol>>,
    now: Timestamp,
) -> Result<PlanChoice> {
    let before = store::find_choice(tx, clinic)?.map_or(0, |choice| choice.version);
    let row = PlanChoice { clinic_id: clinic, protocol_id: protocol, version: tx.version_after(before) };
    store::replace_choice(tx, &row, now.saturating_add(IN_FORCE_AFTER).unwrap_or(now))?;
    Ok(row)
}

/// Whether a protocol of a clinic has a version by which plans are made, now or a minute from now.
pub fn is_published(tx: &mut Tx<'_>, (clinic, id): Named) -> Result<bool> {
    let published = VersionState::Published.name();
    Ok(store::list_versions(tx, clinic, id)?.iter().any(|version| version.state == published))
}

/// Returns the tag of a choice, also of none.
pub fn choice_tag(choice: Option<&PlanChoice>) -> EntityTag {
    EntityTag::version(choice.map_or(0, |choice| choice.version))
}

/// Reads what a clinic has chosen for its patients.
pub fn get_choice(tx: &mut Tx<'_>, live: &Live<Staff>, clinic: Id<Clinic>) -> Result<Option<PlanChoice>> {
    require_reader(tx, live.account(), clinic)?;
    store::find_choice(tx, clinic)
}

/// Chooses the protocol of a clinic's patients; `None` for the program's.
///
/// # Errors
///
/// 403 and [`Error::NotFound`] for others than the clinic's admins; a fault of `/protocol_id` for what is not published;
/// those of [`Preconditions::require`].
pub fn choose(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    (clinic, protocol): (Id<Clinic>, Option<Id<ClinicProtocol>>),
    when: &Preconditions,
) -> Result<Outcome<Option<PlanChoice>>> {
    hold_as_admin(tx, live, clinic)?;
    let before = store::find_choice(tx, clinic)?;
    if before.as_ref().and_then(|choice| choice.protocol_id) == protocol {
        return Ok(Outcome::ok(clinic, before));
    }
    if let Some(id) = protocol
        && !is_published(tx, (clinic, id))?
    {
        return Err(Error::field("/protocol_id", "is not a published protocol of this clinic"));
    }
    when.require(&choice_tag(before.as_ref()))?;
    let row = choose_and_follow(tx, clinic, protocol, live.now())?;
    Ok(Outcome::ok(clinic, Some(row)))
}
