//! Pauses, sealed under the patient's clinical key.

use diesel::prelude::*;
use jiff::Timestamp;

use super::{StoredDocument, place};
use crate::care::{Access, Write};
use crate::changes::Bytes;
use crate::course::model::PauseDoc;
use crate::db::schema::pauses;
use crate::db::{At, Both, Tx, columns};
use crate::kernel::id::{Patient, Pause};
use crate::kernel::{Id, Result};
use crate::planning::PausePeriod;
use crate::vault::{Keys, Purpose};

/// A stored pause, sealed.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = pauses)]
pub struct PauseRow {
    /// Its id.
    pub id: Id<Pause>,
    doc: Vec<u8>,
    version: i64,
    created_at: At,
    updated_at: At,
    deleted_at: Option<At>,
}

impl PauseRow {
    /// Returns its version.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Whether it was ended.
    pub fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    /// Opens the pause.
    pub fn open(&self, keys: &Keys, patient: Id<Patient>) -> Result<StoredDocument<Pause, PauseDoc>> {
        let Self { id, version, created_at, updated_at, .. } = *self;
        let doc = keys.open_json(&place("pauses", patient, id, version), &self.doc)?;
        Ok(StoredDocument { id, doc, version, created_at: created_at.0, updated_at: updated_at.0 })
    }
}

/// Lists the pauses of the patient that were not ended, in no order.
pub fn list_pauses<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<PauseRow>> {
    let own = pauses::table.filter(pauses::patient_id.eq(access.patient())).filter(pauses::deleted_at.is_null());
    Ok(Both(own.select(columns::<PauseRow>())).load(tx.conn())?)
}

/// Lists the pauses among `ids`, also those that were ended, in no order.
pub fn list_pauses_among<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Pause>]) -> Result<Vec<PauseRow>> {
    let own = pauses::table.filter(pauses::patient_id.eq(access.patient())).filter(pauses::id.eq_any(ids.to_vec()));
    Ok(own.select(PauseRow::as_select()).load(tx.conn())?)
}

/// Lists the ids and versions of all pauses of the patient, and whether each was ended, in no order.
pub fn list_pause_versions<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<(Id<Pause>, i64, bool)>> {
    let own = pauses::table.filter(pauses::patient_id.eq(access.patient()));
    Ok(own.select((pauses::id, pauses::version, pauses::deleted_at.is_not_null())).load(tx.conn())?)
}

/// Counts the pauses of the patient that were not ended.
pub fn count_pauses(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<i64> {
    let own = pauses::table.filter(pauses::patient_id.eq(access.patient())).filter(pauses::deleted_at.is_null());
    Ok(own.count().get_result(tx.conn())?)
}

/// Lists the pauses of these patients that were not ended, sealed, in no order.
///
/// Spans patients: delivery looks at them before something leaves.
pub fn list_pauses_of(tx: &mut Tx<'_>, patients: &[Id<Patient>]) -> Result<Vec<(Id<Patient>, PauseRow)>> {
    let of = pauses::table.filter(pauses::patient_id.eq_any(patients.to_vec())).filter(pauses::deleted_at.is_null());
    Ok(of.select((pauses::patient_id, PauseRow::as_select())).load(tx.conn())?)
}

/// Lists the periods of the pauses that were not ended, opened, for planning in the unit. Returns also whether all of
/// them open.
pub fn pause_periods<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<(Vec<PausePeriod>, bool)> {
    let (rows, patient) = (list_pauses(tx, access)?, access.patient());
    let sealed = rows.iter().map(|row| (place("pauses", patient, row.id, row.version), row.doc.as_slice()));
    let opened = access.keys()?.open_set::<PauseDoc>(tx, &sealed.collect::<Vec<_>>())?;
    let periods: Vec<_> = opened.iter().flatten().map(|pause| pause.period).collect();
    let all = periods.len() == rows.len();
    Ok((periods, all))
}

/// Opens pauses and returns their periods.
///
/// # Errors
///
/// When a pause cannot be opened.
pub fn open_periods<'a, A>(
    rows: impl IntoIterator<Item = &'a PauseRow>,
    access: &Access<A>,
) -> Result<Vec<PausePeriod>> {
    rows.into_iter().map(|row| Ok(row.open(access.keys()?, access.patient())?.doc.period)).collect()
}

/// Ends a pause that does not open, and returns its new version. Its document stays as it is.
pub fn end_unopened_pause(tx: &mut Tx<'_>, access: &Access<Write>, row: &PauseRow) -> Result<i64> {
    let (version, now) = (tx.version_after(row.version), At(access.now()));
    diesel::update(pauses::table.filter(pauses::patient_id.eq(access.patient())).filter(pauses::id.eq(row.id)))
        .set((pauses::version.eq(version), pauses::updated_at.eq(now), pauses::deleted_at.eq(now)))
        .execute(tx.conn())?;
    Ok(version)
}

/// Finds a pause, also an ended one.
pub fn find_pause<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Pause>) -> Result<Option<PauseRow>> {
    let own = pauses::table.filter(pauses::patient_id.eq(access.patient())).filter(pauses::id.eq(id));
    Ok(own.select(PauseRow::as_select()).first(tx.conn()).optional()?)
}

/// Seals a pause; `deleted_at` is the instant at which it was ended.
fn sealed(
    access: &Access<Write>,
    pause: &StoredDocument<Pause, PauseDoc>,
    deleted_at: Option<Timestamp>,
) -> Result<PauseRow> {
    let StoredDocument { id, doc, version, created_at, updated_at } = pause;
    let place = place("pauses", access.patient(), *id, *version);
    Ok(PauseRow {
        id: *id,
        doc: access.keys()?.seal_json(Purpose::Clinical, &place, doc)?,
        version: *version,
        created_at: At(*created_at),
        updated_at: At(*updated_at),
        deleted_at: deleted_at.map(At),
    })
}

/// Inserts a pause.
pub fn insert_pause(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    pause: &StoredDocument<Pause, PauseDoc>,
) -> Result<PauseRow> {
    let row = sealed(access, pause, None)?;
    access.stores(Bytes::text([row.doc.as_slice()]));
    diesel::insert_into(pauses::table)
        .values((
            pauses::patient_id.eq(access.patient()),
            pauses::id.eq(row.id),
            pauses::doc.eq(&row.doc),
            pauses::version.eq(row.version),
            pauses::created_at.eq(row.created_at),
            pauses::updated_at.eq(row.updated_at),
        ))
        .execute(tx.conn())?;
    Ok(row)
}

/// Stores another version of a pause; `deleted_at` is the instant at which it was ended.
pub fn update_pause(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    pause: &StoredDocument<Pause, PauseDoc>,
    deleted_at: Option<Timestamp>,
) -> Result<PauseRow> {
    let row = sealed(access, pause, deleted_at)?;
    diesel::update(pauses::table.filter(pauses::patient_id.eq(access.patient())).filter(pauses::id.eq(row.id)))
        .set((
            pauses::doc.eq(&row.doc),
            pauses::version.eq(row.version),
            pauses::updated_at.eq(row.updated_at),
            pauses::deleted_at.eq(row.deleted_at),
        ))
        .execute(tx.conn())?;
    Ok(row)
}
