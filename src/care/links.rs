//! Care links: accepted by the patient, confirmed by the therapist, ended by either.

use std::collections::BTreeMap;

use super::access::{Access, Role, Write};
use super::clinics::{check_second_factor, where_may};
use super::cover_notices;
use super::grants;
use super::model::{Capabilities, LinkState};
use super::people::SealedNames;
use super::store::{self, Link};
use super::write_scope::WriteScope;
use crate::audit::{self, Record, Subject};
use crate::changes::{Change, Entity, FeedsPlan, Op, Planner};
use crate::db::Tx;
use crate::idempotency::Outcome;
use crate::identity::{Anyone, Live, Staff};
use crate::kernel::id::{Account, CareLink, Clinic, Patient};
use crate::kernel::page::{Page, PageRequest, SMALL};
use crate::kernel::{Code, Error, Id, Result, limits};
use crate::state::State;
use crate::vault::{Keys, Vault};

/// Accepts an invitation for the patient and makes the link. The patient must exist.
///
/// # Errors
///
/// [`Code::AlreadyLinked`], with the existing link; [`Error::Damaged`] when that cannot be read;
/// [`Error::LimitReached`].
pub fn accept(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<CareLink>,
    clinic: Id<Clinic>,
    therapist: Id<Account>,
) -> Result<()> {
    // The head is locked first, so that two invitations of one therapist accepted at once make one link.
    access.lock(tx)?;
    if let Some(there) = store::find_live_link(tx, access, therapist)? {
        return Err(Error::Conflict(Code::AlreadyLinked, Some(there.uuid())));
    }
    limits::LIVE_CARE_LINKS.admit(store::count_live_links(tx, access)?)?;
    store::insert_link(tx, access, id, clinic, therapist)?;
    // The plan does not depend on a link that is not confirmed.
    let change = Change::new(Entity::CareLink, id, tx.first_version(), Op::Create);
    access.record_feeding(tx, change, FeedsPlan::Never)
}

/// Ends a link that is held, and closes the grants that only it could read. A second call does nothing.
pub(super) fn end(tx: &mut Tx<'_>, access: &Access<Write>, link: &Link) -> Result<()> {
    if !link.state.live() {
        tx.follow_up();
        return Ok(());
    }
    access.lock(tx)?;
    let link = store::mark_ended(tx, access, link)?;
    access.record(tx, Change::new(Entity::CareLink, link.id, link.version, Op::Delete))?;
    let closed = grants::store::close_unread(tx, access, link.id)?;
    let closed = closed.into_iter().map(|(grant, version)| Change::new(Entity::Grant, grant, version, Op::Delete));
    access.record_all(tx, &closed.collect::<Vec<_>>())
}

/// Ends a link for one of its two sides. `keys` are its patient's.
///
/// # Errors
///
/// [`Error::NotFound`] for everybody else.
pub fn end_own(
    tx: &mut Tx<'_>,
    planner: &dyn Planner,
    live: &Live<Anyone>,
    id: Id<CareLink>,
    keys: Option<Keys>,
) -> Result<()> {
    let link = store::hold_link(tx, id, live.account())?.ok_or(Error::NotFound)?;
    let role = if link.person == live.account() {
        Role::Owner
    } else if link.therapist == live.account() {
        Role::Therapist { link: link.id, clinic: link.clinic }
    } else {
        return Err(Error::NotFound);
    };
    let access = Access::opened(link.patient, role, (live.account(), live.session()), keys, live.now());
    WriteScope::of(access).run(tx, planner, |tx, access| end(tx, access, &link))
}

/// Confirms, as the therapist, that the patient is the person who was invited, and writes into the patient's log which
/// colleagues stand in for the therapist now. A second call changes nothing. The keys are the patient's.
///
/// # Errors
///
/// [`Error::NotFound`] when the link has ended or is not the caller's.
pub fn confirm(
    tx: &mut Tx<'_>,
    planner: &dyn Planner,
    live: &Live<Staff>,
    id: Id<CareLink>,
    (vault, keys): &(Vault, Option<Keys>),
) -> Result<Link> {
    check_second_factor(tx, live)?;
    let link = own_live(tx, live, id)?;
    if link.state == LinkState::Active {
        return Ok(link);
    }
    let colleagues = cover_notices::hold_colleagues(tx, &link, live.now())?;
    let role = Role::Therapist { link: link.id, clinic: link.clinic };
    let access = Access::opened(link.patient, role, (live.account(), live.session()), keys.clone(), live.now());
    let link = WriteScope::of(access).run(tx, planner, |tx, access| {
        access.lock(tx)?;
        let link = store::mark_active(tx, access, &link)?;
        access.record(tx, Change::new(Entity::CareLink, link.id, link.version, Op::Update))?;
        Ok(link)
    })?;
    if let Some(keys) = keys {
        for colleague in colleagues {
            let of = (link.patient, colleague);
            cover_notices::note(tx, (vault, keys), of, Some(live.session()), live.now())?;
        }
    }
    Ok(link)
}

/// Finds the caller's own link that has not ended, and holds it until the unit ends.
pub fn own_live(tx: &mut Tx<'_>, live: &Live<Staff>, id: Id<CareLink>) -> Result<Link> {
    let link = store::hold_link(tx, id, live.account())?;
    let memberships = store::memberships(tx, live.account())?;
    link.filter(|link| {
        let cares = memberships.iter().any(|(clinic, may)| *clinic == link.clinic && may.care());
        cares && link.therapist == live.account() && link.state.live()
    })
    .ok_or(Error::NotFound)
}

/// Fetches the keys of a link's patient, before the unit that changes the link: for its two sides only.
pub async fn keys_of_link(state: &State, account: Id<Account>, id: Option<&Id<CareLink>>) -> Result<Option<Keys>> {
    let Some(id) = id.copied() else { return Ok(None) };
    match state.db.read(move |tx| store::find_link_of(tx, id, account)).await? {
        Some(link) => state.vault.keys(link.patient.uuid()).await,
        None => Ok(None),
    }
}

/// Fetches the keys of patients, before the unit that writes their audit rows. Those that do not open are left out.
pub async fn keys_of(
    vault: &Vault,
    patients: impl IntoIterator<Item = Id<Patient>>,
) -> Result<BTreeMap<Id<Patient>, Keys>> {
    let mut found = BTreeMap::new();
    for patient in patients {
        if let Some(keys) = Error::skip_damaged(vault.keys(patient.uuid()).await)?.flatten() {
            found.insert(patient, keys);
        }
    }
    Ok(found)
}

/// Writes into a patient's log that the caller was shown their name.
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

/// Writes into the patient's log that the therapist was shown their name, and collects the name.
///
/// # Errors
///
/// [`Error::NotFound`] when the patient's keys were destroyed.
pub fn show_confirmed(
    tx: &mut Tx<'_>,
    (vault, keys): &(Vault, Option<Keys>),
    live: &Live<Staff>,
    outcome: Outcome<Link>,
) -> Result<(Link, SealedNames)> {
    let link = outcome.or_get(|id| own_live(tx, live, id))?;
    let keys = keys.as_ref();
    note_shown(tx, vault, keys.ok_or(Error::NotFound)?, live, "confirm_care_link", "therapist", &link)?;
    Ok((link, SealedNames::collect(tx, [link.person], [link.clinic])?))
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

/// Lists a page of the caller's links, with the cursor of the next. A patient also gets names. A therapist gets the
/// links alone; [`show`] adds the names.
pub fn list<K>(
    tx: &mut Tx<'_>,
    live: &Live<K>,
    asked: PageRequest<Id<CareLink>>,
) -> Result<(Listed, Option<Id<CareLink>>)> {
    let key = |link: &Link| link.id;
    if let Some(patient) = live.patient() {
        let links = store::list_links_of_patient(tx, patient, asked.after, asked.rows())?;
        let Page { items: links, next } = asked.cut(links, |_| SMALL, key);
        let people = links.iter().map(|link| link.therapist);
        let names = SealedNames::collect(tx, people, links.iter().map(|link| link.clinic))?;
        return Ok((Listed { links, owner: true, names }, next));
    }
    check_second_factor(tx, live)?;
    let care = where_may(&store::memberships(tx, live.account())?, Capabilities::care);
    let links = store::list_links_of_therapist(tx, live.account(), &care, asked.after, asked.rows())?;
    let Page { items: links, next } = asked.cut(links, |_| SMALL, key);
    Ok((Listed { links, owner: false, names: SealedNames::default() }, next))
}

/// Shows a therapist those of `wanted` that are still theirs, and writes a row into each patient's log.
pub fn show<K>(
    tx: &mut Tx<'_>,
    vault: &Vault,
    live: &Live<K>,
    wanted: &[Link],
    keys: &BTreeMap<Id<Patient>, Keys>,
) -> Result<Listed> {
    let patients: Vec<Id<Patient>> = wanted.iter().map(|link| link.patient).collect();
    let care = where_may(&store::memberships(tx, live.account())?, Capabilities::care);
    let mut links = store::hold_links_between(tx, &patients, &care)?;
    links.retain(|link| {
        link.therapist == live.account()
            && keys.contains_key(&link.patient)
            && wanted.iter().any(|wanted| wanted.id == link.id)
    });
    // Heads are locked in the order of patients.
    for link in &links {
        if let Some(keys) = keys.get(&link.patient) {
            note_shown(tx, vault, keys, live, "list_care_links", "therapist", link)?;
        }
    }
    links.sort_by_key(|link| link.id);
    let names = SealedNames::collect(tx, links.iter().map(|link| link.person), links.iter().map(|link| link.clinic))?;
    Ok(Listed { links, owner: false, names })
}
