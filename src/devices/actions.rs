//! Registering, showing and removing a device.

use super::model::{DeviceDoc, PushAddress};
use super::store::{self, DeviceKey, DeviceRow};
use crate::care::{Access, Write};
use crate::changes::{Change, Entity, Op};
use crate::db::{At, Tx};
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::identity::actions::end_session;
use crate::identity::live_sessions;
use crate::kernel::id::{Device, Patient, Session};
use crate::kernel::{Error, Id, Result, limits};
use crate::vault::{MacLabel, Vault};

/// Computes the keyed hash by which the device of an address is found. A mailbox is found among the patient's own devices
/// alone: its address is no secret, and another patient who names it must not end these e-mails.
fn reach_key(vault: &Vault, patient: Id<Patient>, push: Option<&PushAddress>) -> Option<Vec<u8>> {
    let push = push?;
    let (channel, address, patient) = (push.channel.as_bytes(), push.address.as_bytes(), patient.uuid());
    let mac = if push.is_mailbox() {
        vault.mac(MacLabel::Reach, &[channel, address, patient.as_bytes()])
    } else {
        vault.mac(MacLabel::Reach, &[channel, address])
    };
    Some(mac.to_vec())
}

fn session_of(access: &Access<Write>) -> Result<Id<Session>> {
    let session = access.actor().map(|(_, session)| session);
    session.ok_or_else(|| Error::internal("a device registers in a session"))
}

/// Registers a device under the client's id, in the caller's session. In a new session, after a log-in, it does so
/// without a precondition, also if it was removed. `may_mail` says whether the patient lets e-mails be sent: it is
/// asked of a mailbox.
///
/// # Errors
///
/// Those of `may_mail`; [`Error::Deleted`] when it was removed in this session; [`Error::LimitReached`]; 428 and 412
/// for preconditions of a change.
pub fn put_device(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (vault, may_mail): (&Vault, impl FnOnce(&mut Tx<'_>, &Access<Write>) -> Result<()>),
    (id, doc): (Id<Device>, &DeviceDoc),
    when: &Preconditions,
) -> Result<Outcome<DeviceRow>> {
    access.lock(tx)?;
    if doc.push.as_ref().is_some_and(PushAddress::is_mailbox) {
        may_mail(tx, access)?;
    }
    let (session_id, now) = (session_of(access)?, At(access.now()));
    let reach = reach_key(vault, access.patient(), doc.push.as_ref());
    if let Some(reach) = &reach {
        store::retire_others(tx, (access.patient(), id), reach, access.now())?;
    }
    let Some(row) = store::find(tx, access, id)? else {
        limits::DEVICES.admit(store::count(tx, access)?)?;
        let (patient_id, version) = (access.patient(), tx.first_version());
        let key = DeviceKey { patient_id, id, session_id, version, created_at: now, updated_at: now, deleted_at: None };
        let row = store::insert(tx, access, key, doc, reach)?;
        access.record(tx, Change::new(Entity::Device, id, version, Op::Create))?;
        return Ok(Outcome::created(id, row));
    };
    let known = Error::skip_damaged(row.open(access.keys()?))?;
    let created = known.as_ref().and_then(|known| known.creation.clone());
    if row.key.session_id == session_id {
        if row.is_deleted() {
            return Err(Error::Deleted);
        }
        let again = doc.creation.as_ref().is_some_and(|sent| when.is_creation(created.as_ref(), sent));
        let same = known.is_some_and(|known| DeviceDoc { creation: None, ..known } == without_creation(doc));
        if row.retired_at.is_none() && (again || same) {
            return Ok(Outcome::ok(id, row));
        }
        // A body that arrives late does not bring an older address back.
        if !same {
            when.require(&EntityTag::version(row.key.version))?;
        }
    }
    if row.is_deleted() {
        limits::DEVICES.admit(store::count(tx, access)?)?;
    }
    let version = tx.version_after(row.key.version);
    let key = DeviceKey { session_id, version, updated_at: now, deleted_at: None, ..row.key };
    let doc = DeviceDoc { creation: created.or_else(|| doc.creation.clone()), ..doc.clone() };
    let op = if row.is_deleted() { Op::Undelete } else { Op::Update };
    let row = store::update(tx, access, (key, &row), &doc, reach)?;
    access.record(tx, Change::new(Entity::Device, id, version, op))?;
    Ok(Outcome::ok(id, row))
}

fn without_creation(doc: &DeviceDoc) -> DeviceDoc {
    DeviceDoc { creation: None, ..doc.clone() }
}

/// Returns the device of that id, unless it was removed.
///
/// # Errors
///
/// [`Error::NotFound`] when it never existed; [`Error::Deleted`].
pub fn get_device<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Device>) -> Result<DeviceRow> {
    let row = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
    if row.is_deleted() { Err(Error::Deleted) } else { Ok(row) }
}

/// A device, and whether its session goes on: without it nothing goes there.
pub type ShownDevice = (DeviceRow, bool);

fn shown<A>(tx: &mut Tx<'_>, access: &Access<A>, row: DeviceRow) -> Result<ShownDevice> {
    let session = row.key.session_id;
    let goes_on = live_sessions(tx, &[session], access.now())?.contains(&session);
    Ok((row, goes_on))
}

/// Reads a device to show it.
///
/// # Errors
///
/// As [`get_device`].
pub fn read_device<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Device>) -> Result<ShownDevice> {
    let row = get_device(tx, access, id)?;
    shown(tx, access, row)
}

/// Reads a device to show it after it was registered.
///
/// # Errors
///
/// As [`get_device`].
pub fn show<A>(tx: &mut Tx<'_>, access: &Access<A>, outcome: Outcome<DeviceRow>) -> Result<ShownDevice> {
    let row = outcome.or_get(|id| get_device(tx, access, id))?;
    shown(tx, access, row)
}

/// Lists the devices of the patient that were not removed, in no order.
///
/// # Errors
///
/// When the database cannot be read.
pub fn list_devices<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<ShownDevice>> {
    let rows = store::list(tx, access)?;
    let sessions: Vec<_> = rows.iter().map(|row| row.key.session_id).collect();
    let live = live_sessions(tx, &sessions, access.now())?;
    let shown = |(row, session): (DeviceRow, &Id<Session>)| (row, live.contains(session));
    Ok(rows.into_iter().zip(&sessions).map(shown).collect())
}

/// Removes a device, also one that does not open, and ends its session, unless that is the caller's own. A mailbox has no
/// app: the session in which it was registered is that of a phone, and goes on. A second call changes nothing.
///
/// # Errors
///
/// [`Error::NotFound`] when it never existed.
pub fn remove_device(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Device>) -> Result<()> {
    access.lock(tx)?;
    let row = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
    if row.is_deleted() {
        // A repetition, too, is answered once it stands in the ledger.
        tx.follow_up();
        return Ok(());
    }
    let doc = Error::skip_damaged(row.open(access.keys()?))?.unwrap_or_default();
    let is_mailbox = doc.push.as_ref().is_some_and(PushAddress::is_mailbox);
    if !is_mailbox && row.key.session_id != session_of(access)? {
        end_session(tx, access.account()?, row.key.session_id, access.now())?;
    }
    forget(tx, access, &row, doc)
}

/// Removes the mailboxes of the patient. The sessions in which they were registered go on.
///
/// # Errors
///
/// When the database cannot be written.
pub fn remove_mailboxes(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<()> {
    for row in store::list(tx, access)? {
        let doc = Error::skip_damaged(row.open(access.keys()?))?;
        if let Some(doc) = doc.filter(|doc| doc.push.as_ref().is_some_and(PushAddress::is_mailbox)) {
            forget(tx, access, &row, doc)?;
        }
    }
    Ok(())
}

/// Marks a device removed. Its address is forgotten with it.
fn forget(tx: &mut Tx<'_>, access: &Access<Write>, row: &DeviceRow, doc: DeviceDoc) -> Result<()> {
    let (version, now) = (tx.version_after(row.key.version), At(access.now()));
    let key = DeviceKey { version, updated_at: now, deleted_at: Some(now), ..row.key };
    store::update(tx, access, (key, row), &DeviceDoc { push: None, ..doc }, None)?;
    access.record(tx, Change::new(Entity::Device, row.key.id, version, Op::Delete))
}
