//! Device rows: the sealed document, and the clear columns that deliveries need.

use diesel::prelude::*;
use jiff::Timestamp;

use super::model::{DeviceDoc, TakenPlan};
use crate::authentic;
use crate::care::{Access, Write};
use crate::changes::Bytes;
use crate::db::schema::devices;
use crate::db::{At, Stored, Tx, columns, hold_name};
use crate::kernel::id::{Device, Patient, Session};
use crate::kernel::{Id, Result};
use crate::vault::{Keys, Purpose, SealContext};

authentic! {
    /// What decides where pushes go.
    #[derive(Copy)]
    pub struct DeviceKey of devices {
        /// The patient.
        patient_id: Id<Patient>,
        /// Its id.
        id: Id<Device>,
        /// The session in which it registered.
        session_id: Id<Session>,
        /// Its version.
        version: i64,
        /// The instant of its creation.
        created_at: At,
        /// The instant of the last change.
        updated_at: At,
        /// The instant at which it was removed.
        deleted_at: Option<At>,
    }
}

/// A stored device, sealed.
#[derive(Clone, Debug)]
pub struct DeviceRow {
    /// What decides.
    pub key: DeviceKey,
    doc: Vec<u8>,
    /// The instant at which its address was found dead, or was named by another device.
    pub retired_at: Option<Timestamp>,
    /// The instant of its last receipt.
    pub seen_at: Option<Timestamp>,
    /// The plan that it has taken.
    pub plan: Option<TakenPlan>,
}

/// The columns beside those that decide.
type Rest = (Vec<u8>, Option<At>, Option<At>, Option<At>, Option<At>);
/// A device as it was read, not checked yet.
type Found = (Stored<DeviceKey>, Rest);

const REST: (devices::doc, devices::retired_at, devices::seen_at, devices::plan_at, devices::plan_until) =
    (devices::doc, devices::retired_at, devices::seen_at, devices::plan_at, devices::plan_until);

fn place(key: &DeviceKey) -> SealContext {
    let (subject, row) = (key.patient_id.uuid(), key.id.uuid());
    SealContext { table: "devices", column: "doc", subject, row, revision: key.version }
}

fn rows_of(tx: &Tx<'_>, found: Vec<Found>) -> Result<Vec<DeviceRow>> {
    let mut rows = Vec::with_capacity(found.len());
    for (key, (doc, retired_at, seen_at, plan_at, plan_until)) in found {
        let Some(key) = key.checked(tx)? else { continue };
        let at = |column: Option<At>| column.map(|at| at.0);
        let plan = at(plan_at).zip(at(plan_until)).map(|(made_at, until)| TakenPlan { made_at, until });
        rows.push(DeviceRow { key, doc, retired_at: at(retired_at), seen_at: at(seen_at), plan });
    }
    Ok(rows)
}

impl DeviceRow {
    /// Whether it was removed.
    pub fn is_deleted(&self) -> bool {
        self.key.deleted_at.is_some()
    }

    /// Opens its document.
    pub fn open(&self, keys: &Keys) -> Result<DeviceDoc> {
        keys.open_json(&place(&self.key), &self.doc)
    }
}

/// Finds a device, also a removed one.
pub fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Device>) -> Result<Option<DeviceRow>> {
    let own = devices::table.filter(devices::patient_id.eq(access.patient())).filter(devices::id.eq(id));
    let found: Vec<Found> = own.select((columns::<Stored<DeviceKey>>(), REST)).load(tx.conn())?;
    Ok(rows_of(tx, found)?.pop())
}

/// Lists the devices of the patient that were not removed, in no order.
pub fn list<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<DeviceRow>> {
    list_of(tx, &[access.patient()])
}

/// Lists the devices of these patients that were not removed, in no order.
///
/// Spans patients: delivery looks for them before something leaves.
pub fn list_of(tx: &mut Tx<'_>, patients: &[Id<Patient>]) -> Result<Vec<DeviceRow>> {
    let of = devices::table.filter(devices::patient_id.eq_any(patients.to_vec())).filter(devices::deleted_at.is_null());
    let found: Vec<Found> = of.select((columns::<Stored<DeviceKey>>(), REST)).load(tx.conn())?;
    rows_of(tx, found)
}

/// Counts the devices of the patient that were not removed.
pub fn count<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<i64> {
    let own = devices::table.filter(devices::patient_id.eq(access.patient())).filter(devices::deleted_at.is_null());
    Ok(own.count().get_result(tx.conn())?)
}

/// Seals `doc` for a row of `key`.
fn sealed(access: &Access<Write>, key: DeviceKey, doc: &DeviceDoc) -> Result<DeviceRow> {
    let doc = access.keys()?.seal_json(Purpose::Clinical, &place(&key), doc)?;
    Ok(DeviceRow { key, doc, retired_at: None, seen_at: None, plan: None })
}

/// Inserts a device; `reach` is the keyed hash of its address.
pub fn insert(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    key: DeviceKey,
    doc: &DeviceDoc,
    reach: Option<Vec<u8>>,
) -> Result<DeviceRow> {
    let row = sealed(access, key, doc)?;
    access.stores(Bytes::text([row.doc.as_slice()]));
    let values = (key.signed(tx)?, devices::doc.eq(&row.doc), devices::reach_key.eq(reach));
    diesel::insert_into(devices::table).values(values).execute(tx.conn())?;
    Ok(row)
}

/// Stores another version of a device. Its address counts as alive again.
pub fn update(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (key, old): (DeviceKey, &DeviceRow),
    doc: &DeviceDoc,
    reach: Option<Vec<u8>>,
) -> Result<DeviceRow> {
    let row = DeviceRow { seen_at: old.seen_at, plan: old.plan, ..sealed(access, key, doc)? };
    access.stores(Bytes::text([row.doc.as_slice()]).minus(Bytes::text([old.doc.as_slice()])));
    let values =
        (key.signed(tx)?, devices::doc.eq(&row.doc), devices::reach_key.eq(reach), devices::retired_at.eq(None::<At>));
    let own = devices::table.filter(devices::patient_id.eq(key.patient_id)).filter(devices::id.eq(key.id));
    diesel::update(own).set(values).execute(tx.conn())?;
    Ok(row)
}

/// Retires every device with the address of this keyed hash but `keep`, of any patient: an app may name its phone alike
/// for several. Of devices that take one address at once, the last one keeps it: the address is held until the unit
/// ends.
///
/// Spans patients: rests on the partial index `devices_reach`.
pub fn retire_others(tx: &mut Tx<'_>, keep: (Id<Patient>, Id<Device>), reach: &[u8], now: Timestamp) -> Result<()> {
    hold_name(tx, "push address", reach)?;
    let others = devices::patient_id.ne(keep.0).or(devices::id.ne(keep.1));
    let same = devices::table.filter(devices::reach_key.eq(reach)).filter(others);
    diesel::update(same)
        .set((devices::retired_at.eq(Some(At(now))), devices::reach_key.eq(None::<Vec<u8>>)))
        .execute(tx.conn())?;
    Ok(())
}

/// Retires the addresses of devices that push services have called dead, unless they have changed since.
///
/// Spans patients: names devices by id.
pub fn retire(tx: &mut Tx<'_>, dead: &[(Id<Patient>, Id<Device>, i64)], now: Timestamp) -> Result<()> {
    for (patient, id, version) in dead {
        let own = devices::table.filter(devices::patient_id.eq(patient)).filter(devices::id.eq(id));
        diesel::update(own.filter(devices::version.eq(version)))
            .set((devices::retired_at.eq(Some(At(now))), devices::reach_key.eq(None::<Vec<u8>>)))
            .execute(tx.conn())?;
    }
    Ok(())
}

/// Notes that a device has acknowledged a delivery.
pub fn mark_seen(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Device>) -> Result<()> {
    let own = devices::table.filter(devices::patient_id.eq(access.patient())).filter(devices::id.eq(id));
    diesel::update(own).set(devices::seen_at.eq(Some(At(access.now())))).execute(tx.conn())?;
    Ok(())
}

/// Notes the plan that a device has taken.
pub fn mark_plan(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Device>, plan: TakenPlan) -> Result<()> {
    let own = devices::table.filter(devices::patient_id.eq(access.patient())).filter(devices::id.eq(id));
    diesel::update(own)
        .set((devices::plan_at.eq(Some(At(plan.made_at))), devices::plan_until.eq(Some(At(plan.until)))))
        .execute(tx.conn())?;
    Ok(())
}
