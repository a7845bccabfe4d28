//! Care links: accepted by the patient, confirmed by the therapist, ended by either.

use std::collections::BTreeMap;

use super::access::{Access, Role, Write};
use super::follow::plan_follows;
use super::grants;
use super::model::{Capabilities, LinkState};
use super::people::SealedNames;
use super::store::{self, Link};
use crate::audit::{self, Record, Subject};
use crate::changes::{self, Change, Entity, Op};
use crate::db::Tx;
use crate::identity::{Anyone, Live, Staff};
use crate::kernel::id::{Account, CareLink, Clinic, Patient, Session};
use crate::kernel::{Code, Error, Id, Result};
use crate::state::State;
use crate::vault::{Keys, Vault};

/// Accepts an invitation in the name of the patient: makes the link. The patient must exist.
///
/// # Errors
///
/// [`Code::AlreadyLinked`], with the link there is.
pub fn accept(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<CareLink>,
    clinic: Id<Clinic>,
    therapist: Id<Account>,
) -> Result<()> {
    // The head is locked first: two invitations of one therapist, accepted at once, make one link.
    let first = changes::take(tx, access.patient(), 1)?;
    if let Some(there) = store::find_live_link(tx, access, therapist)? {
        return Err(Error::Conflict(Code::AlreadyLinked, Some(there.uuid())));
    }
    store::insert_link(tx, access, id, clinic, therapist)?;
    let change = Change::new(Entity::CareLink, id, 1, Op::Create);
    changes::insert(tx, access.patient(), first, access.actor(), access.now(), &[change])
}

/// Ends a link that the caller holds, and closes what was granted over it alone. Again does nothing.
pub(super) fn end(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    link: &Link,
    actor: Option<(Id<Account>, Id<Session>)>,
) -> Result<()> {
    if !link.state.live() {
        return Ok(());
    }
    let first = changes::take(tx, link.patient, 1)?;
    store::mark_ended(tx, access, link.id)?;
    let mut list = vec![Change::new(Entity::CareLink, link.id, link.version + 1, Op::Delete)];
    let closed = store::close_grants(tx, access, link.id)?;
    if !closed.is_empty() {
        let ids: Vec<_> = closed.iter().map(|(grant, _)| *grant).collect();
        grants::store::forget(tx, access, &ids)?;
        // The head is ours: the numbers follow the first.
        changes::take(tx, link.patient, closed.len())?;
        list.extend(closed.into_iter().map(|(grant, version)| Change::new(Entity::Grant, grant, version, Op::Delete)));
    }
    changes::insert(tx, link.patient, first, actor, access.now(), &list)?;
    plan_follows(tx, access)
}

/// Ends a link for one of its two sides. `keys` are those of its patient.
///
/// # Errors
///
/// [`Error::NotFound`] for everybody else.
pub fn end_own(tx: &mut Tx<'_>, live: &Live<Anyone>, id: Id<CareLink>, keys: Option<Keys>) -> Result<()> {
    let link = store::hold_link(tx, id)?.ok_or(Error::NotFound)?;
    let actor = (live.account(), live.session());
    let role = if link.person == live.account() {
        Role::Owner
    } else if link.therapist == live.account() {
        Role::Therapist { link: link.id, clinic: link.clinic }
    } else {
        return Err(Error::NotFound);
    };
    let access = Access::opened(link.patient, role, actor, keys, live.now());
    end(tx, &access, &link, Some(actor))
}

/// Confirms, as the therapist, that the patient is who was invited. Twice is once. `keys` are those of the patient.
///
/// # Errors
///
/// [`Error::NotFound`] when the link has ended or is not the caller's.
pub fn confirm(tx: &mut Tx<'_>, live: &Live<Staff>, id: Id<CareLink>, keys: Option<Keys>) -> Result<Link> {
    let link = own_live(tx, live, id)?;
    if link.state == LinkState::Active {
        return Ok(link);
    }
    let actor = (live.account(), live.session());
    let role = Role::Therapist { link: link.id, clinic: link.clinic };
    let access = Access::opened(link.patient, role, actor, keys, live.now());
    let first = changes::take(tx, link.patient, 1)?;
    store::mark_active(tx, &access, link.id)?;
    let version = link.version + 1;
    let change = Change::new(Entity::CareLink, link.id, version, Op::Update);
    changes::insert(tx, link.patient, first, Some(actor), live.now(), &[change])?;
    plan_follows(tx, &access)?;
    Ok(Link { state: LinkState::Active, version, active_at: Some(live.now()), ..link })
}

/// The caller's own link that has not ended, held until the unit ends.
pub fn own_live(tx: &mut Tx<'_>, live: &Live<Staff>, id: Id<CareLink>) -> Result<Link> {
    let link = store::hold_link(tx, id)?;
    let memberships = store::memberships(tx, live.account())?;
    link.filter(|link| {
        let cares = memberships.iter().any(|(clinic, may)| *clinic == link.clinic && may.care());
        cares && link.therapist == live.account() && link.state.live()
    })
    .ok_or(Error::NotFound)
}

/// The patient of a link, for fetching keys before the unit that changes it.
pub async fn patient_of(state: &State, id: Id<CareLink>) -> Result<Option<Id<Patient>>> {
    Ok(state.db.read(move |tx| store::find_link(tx, id)).await?.map(|link| link.patient))
}

/// The keys of patients, fetched before the unit that writes their audit rows.
pub async fn keys_of(
    vault: &Vault,
    patients: impl IntoIterator<Item = Id<Patient>>,
) -> Result<BTreeMap<Id<Patient>, Keys>> {
    let mut found = BTreeMap::new();
    for patient in patients {
        if let Some(keys) = vault.keys(patient.uuid()).await? {
            found.insert(patient, keys);
        }
    }
    Ok(found)
}

/// Writes into a patient's log that the caller was told who they are.
pub fn note_shown<K>(
    tx: &mut Tx<'_>,
    vault: &Vault,
    keys: &Keys,
    live: &Live<K>,
    act: &str,
    role: &str,
    link: &Link,
) -> Result<()> {
    let record = Record { act: act.to_owned(), role: role.to_owned(), refused: false, ids: vec![link.id.uuid()] };
    let subject = Subject::Patient(link.patient);
    audit::append(tx, vault, keys, subject, Some(live.account()), Some(live.session()), live.now(), &record)
}

/// Links with the names of the other side.
#[derive(Debug)]
pub struct Listed {
    /// The links, by id.
    pub links: Vec<Link>,
    /// Whether the caller is the patient in them.
    pub owner: bool,
    /// The names.
    pub names: SealedNames,
}

/// What a caller finds when they ask for their links: everything for a patient, the links alone for a therapist, who
/// is shown them by [`show`].
pub fn list(tx: &mut Tx<'_>, live: &Live<Anyone>, after: Option<Id<CareLink>>, limit: i64) -> Result<Listed> {
    if let Some(patient) = live.patient() {
        let links = store::list_links_of_patient(tx, patient, after, limit)?;
        let people = links.iter().map(|link| link.therapist);
        let names = SealedNames::collect(tx, people, links.iter().map(|link| link.clinic))?;
        return Ok(Listed { links, owner: true, names });
    }
    let care = super::clinics::where_may(&store::memberships(tx, live.account())?, Capabilities::care);
    let links = store::list_links_of_therapist(tx, live.account(), &care, after, limit)?;
    Ok(Listed { links, owner: false, names: SealedNames::default() })
}

/// Shows a therapist those of `wanted` that are still theirs, and writes it into each patient's log.
pub fn show(
    tx: &mut Tx<'_>,
    vault: &Vault,
    live: &Live<Anyone>,
    wanted: &[Link],
    keys: &BTreeMap<Id<Patient>, Keys>,
) -> Result<Listed> {
    let patients: Vec<Id<Patient>> = wanted.iter().map(|link| link.patient).collect();
    let care = super::clinics::where_may(&store::memberships(tx, live.account())?, Capabilities::care);
    let mut links = store::hold_links_between(tx, &patients, &care)?;
    links.retain(|link| {
        link.therapist == live.account()
            && keys.contains_key(&link.patient)
            && wanted.iter().any(|wanted| wanted.id == link.id)
    });
    // By patient: the order in which heads are locked.
    for link in &links {
        if let Some(keys) = keys.get(&link.patient) {
            note_shown(tx, vault, keys, live, "list_care_links", "therapist", link)?;
        }
    }
    links.sort_by_key(|link| link.id);
    let names = SealedNames::collect(tx, links.iter().map(|link| link.person), links.iter().map(|link| link.clinic))?;
    Ok(Listed { links, owner: false, names })
}
