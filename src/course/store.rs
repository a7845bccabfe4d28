//! Infusions, sealed under the patient's clinical key.

mod context;
mod pauses;

use std::collections::BTreeSet;
use std::sync::Arc;

use diesel::prelude::*;
use jiff::Timestamp;

use super::model::InfusionFacts;
use super::status::InfusionStatus;
use crate::care::{Access, Role, Write};
use crate::db::schema::infusions;
use crate::db::{At, Both, Tx, columns};
use crate::http::EntityTag;
use crate::kernel::id::{Infusion, Patient};
use crate::kernel::{Error, Id, Result};
use crate::planning::window::{Dose, WindowParams};
use crate::planning::{self, UntoldEnd};
use crate::vault::{Keys, Purpose, SealContext};

pub use context::{SealedContextSource, background};
pub use pauses::{
    PauseRow, count_pauses, end_unopened_pause, find_pause, insert_pause, list_pause_versions, list_pauses,
    list_pauses_among, list_pauses_of, open_periods, pause_periods, update_pause,
};

/// A document with its id and version.
#[derive(Clone, Debug)]
pub struct StoredDocument<K, T> {
    /// Its id.
    pub id: Id<K>,
    /// The content.
    pub doc: T,
    /// Its version.
    pub version: i64,
    /// The instant of its creation.
    pub created_at: Timestamp,
    /// The instant of the last change.
    pub updated_at: Timestamp,
}

fn place<K>(table: &'static str, patient: Id<Patient>, id: Id<K>, version: i64) -> SealContext {
    SealContext { table, column: "doc", subject: patient.uuid(), row: id.uuid(), revision: version }
}

/// A stored infusion, sealed.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = infusions)]
pub struct InfusionRow {
    /// Its id.
    pub id: Id<Infusion>,
    doc: Vec<u8>,
    version: i64,
    created_at: At,
    updated_at: At,
}

impl InfusionRow {
    /// Returns the number of its sealed bytes.
    pub fn bytes(&self) -> usize {
        self.doc.len()
    }

    /// Returns its version.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Returns the entity tag of the stored version.
    pub fn tag(&self) -> EntityTag {
        EntityTag::version(self.version)
    }

    /// Opens the infusion.
    pub fn open(&self, keys: &Keys, patient: Id<Patient>) -> Result<StoredDocument<Infusion, InfusionFacts>> {
        let Self { id, version, created_at, updated_at, .. } = *self;
        let doc = open_facts(keys, patient, (id, version), &self.doc)?;
        Ok(StoredDocument { id, doc, version, created_at: created_at.0, updated_at: updated_at.0 })
    }
}

fn open_facts(
    keys: &Keys,
    patient: Id<Patient>,
    (id, version): (Id<Infusion>, i64),
    doc: &[u8],
) -> Result<InfusionFacts> {
    keys.open_json(&place("infusions", patient, id, version), doc)
}

/// Lists every infusion of the patient, sealed, in no order; a patient has dozens.
pub fn list_infusion_rows<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<InfusionRow>> {
    let own = infusions::table.filter(infusions::patient_id.eq(access.patient()));
    Ok(Both(own.select(columns::<InfusionRow>())).load(tx.conn())?)
}

/// Lists the ids and versions of every infusion of the patient, in no order.
pub fn list_infusion_versions<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<(Id<Infusion>, i64)>> {
    let own = infusions::table.filter(infusions::patient_id.eq(access.patient()));
    Ok(own.select((infusions::id, infusions::version)).load(tx.conn())?)
}

/// The infusions of a patient, opened.
#[derive(Clone, Debug, Default)]
pub struct OpenedInfusions {
    /// Those that open, in no order.
    pub list: Vec<StoredDocument<Infusion, InfusionFacts>>,
    /// The ids of those that do not open.
    pub unreadable: BTreeSet<Id<Infusion>>,
}

/// Lists every infusion of the patient, opened, for planning and checks in the unit.
pub fn list_infusions<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<OpenedInfusions> {
    let (rows, patient) = (list_infusion_rows(tx, access)?, access.patient());
    let sealed = rows.iter().map(|row| (place("infusions", patient, row.id, row.version), row.doc.as_slice()));
    let opened = access.keys()?.open_set::<InfusionFacts>(tx, &sealed.collect::<Vec<_>>())?;
    let mut found = OpenedInfusions::default();
    for (row, facts) in rows.iter().zip(opened) {
        let InfusionRow { id, version, created_at: At(created_at), updated_at: At(updated_at), .. } = *row;
        match facts.map(Arc::unwrap_or_clone) {
            Some(doc) => found.list.push(StoredDocument { id, doc, version, created_at, updated_at }),
            None => drop(found.unreadable.insert(id)),
        }
    }
    Ok(found)
}

/// Opens infusions.
pub fn open_infusions<'a>(
    rows: impl IntoIterator<Item = &'a InfusionRow>,
    keys: &Keys,
    patient: Id<Patient>,
) -> Result<OpenedInfusions> {
    let mut found = OpenedInfusions::default();
    for row in rows {
        match Error::skip_damaged(row.open(keys, patient))? {
            Some(infusion) => found.list.push(infusion),
            None => drop(found.unreadable.insert(row.id)),
        }
    }
    Ok(found)
}

/// Counts the infusions of the patient.
pub fn count_infusions(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<i64> {
    Ok(infusions::table.filter(infusions::patient_id.eq(access.patient())).count().get_result(tx.conn())?)
}

/// Finds an infusion, sealed.
pub fn find_infusion_row<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Infusion>) -> Result<Option<InfusionRow>> {
    let own = infusions::table.filter(infusions::patient_id.eq(access.patient())).filter(infusions::id.eq(id));
    Ok(own.select(InfusionRow::as_select()).first(tx.conn()).optional()?)
}

/// Whether the caller sees the infusion: all of them, except that recording staff see those of their clinic and those
/// that the patient reported without one.
pub fn is_visible<A>(access: &Access<A>, facts: &InfusionFacts) -> bool {
    match access.role() {
        Role::Recorder { clinic } => facts.clinic.is_none_or(|of| of == clinic),
        Role::Owner | Role::Therapist { .. } | Role::Cover { .. } | Role::BreakGlass { .. } | Role::Server => true,
    }
}

/// Whether the caller sees every infusion, so that none needs to be opened to tell.
fn sees_all<A>(access: &Access<A>) -> bool {
    !matches!(access.role(), Role::Recorder { .. })
}

/// Whether the caller sees the infusion in `row`. Recording staff do not see one that does
/// not open, because its clinic is unknown.
fn may_see<A>(access: &Access<A>, row: &InfusionRow) -> Result<bool> {
    if sees_all(access) {
        return Ok(true);
    }
    let opened = Error::skip_damaged(row.open(access.keys()?, access.patient()))?;
    Ok(opened.is_some_and(|opened| is_visible(access, &opened.doc)))
}

/// Lists the infusions that the caller sees, sealed, in no order.
pub fn list_visible_rows<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<InfusionRow>> {
    let mut rows = list_infusion_rows(tx, access)?;
    if !sees_all(access) {
        let seen = rows.iter().map(|row| may_see(access, row)).collect::<Result<Vec<_>>>()?;
        let mut seen = seen.into_iter();
        rows.retain(|_| seen.next().unwrap_or_default());
    }
    Ok(rows)
}

/// Finds an infusion that the caller sees, sealed.
pub fn find_visible_row<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Infusion>) -> Result<Option<InfusionRow>> {
    let Some(row) = find_infusion_row(tx, access, id)? else { return Ok(None) };
    Ok(may_see(access, &row)?.then_some(row))
}

/// Finds an infusion, opened for a check in the unit.
pub fn find_infusion<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    id: Id<Infusion>,
) -> Result<Option<StoredDocument<Infusion, InfusionFacts>>> {
    find_infusion_row(tx, access, id)?.map(|row| row.open(access.keys()?, access.patient())).transpose()
}

/// Lists every infusion of these patients, sealed, in no order.
///
/// Spans patients: delivery looks at them before something leaves.
pub fn list_infusions_of(tx: &mut Tx<'_>, patients: &[Id<Patient>]) -> Result<Vec<(Id<Patient>, InfusionRow)>> {
    let of = infusions::table.filter(infusions::patient_id.eq_any(patients.to_vec()));
    Ok(of.select((infusions::patient_id, InfusionRow::as_select())).load(tx.conn())?)
}

/// Returns the end of the session or acute phase in which the patient is now, by all their infusions. A session that
/// has started and has no recorded end goes on.
///
/// # Errors
///
/// When one of `rows` does not open.
pub fn silence<'a, A>(
    rows: impl IntoIterator<Item = &'a InfusionRow>,
    access: &Access<A>,
    params: &WindowParams,
) -> Result<Option<Timestamp>> {
    let now = access.now();
    let mut last = None;
    for row in rows {
        let facts = row.open(access.keys()?, access.patient())?.doc;
        let Some(span) = facts.span() else { continue };
        let under_way = facts.status == InfusionStatus::Planned && facts.started_at.is_some();
        let untold = if under_way { UntoldEnd::NotBefore(now) } else { UntoldEnd::AsPlanned };
        let (from, until) = planning::silence(span, params.acute(facts.route), untold);
        if from <= now && now < until {
            last = last.max(Some(until));
        }
    }
    Ok(last)
}

/// Whether the infusion is one of the patient's.
pub fn infusion_exists(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Infusion>) -> Result<bool> {
    let own = infusions::table.filter(infusions::patient_id.eq(access.patient())).filter(infusions::id.eq(id));
    Ok(own.select(infusions::id).first::<Id<Infusion>>(tx.conn()).optional()?.is_some())
}

/// Inserts an infusion and returns its version.
pub fn insert_infusion(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    facts: &InfusionFacts,
) -> Result<i64> {
    let (patient, version) = (access.patient(), tx.first_version());
    let doc = access.keys()?.seal_json(Purpose::Clinical, &place("infusions", patient, id, version), facts)?;
    diesel::insert_into(infusions::table)
        .values((
            infusions::patient_id.eq(patient),
            infusions::id.eq(id),
            infusions::doc.eq(doc),
            infusions::version.eq(version),
            infusions::created_at.eq(At(access.now())),
            infusions::updated_at.eq(At(access.now())),
        ))
        .execute(tx.conn())?;
    Ok(version)
}

/// Stores what follows on an infusion as its next version.
pub fn update_infusion(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    before: &StoredDocument<Infusion, InfusionFacts>,
    next: &InfusionFacts,
) -> Result<()> {
    let (patient, id, version) = (access.patient(), before.id, tx.version_after(before.version));
    let facts = before.doc.followed_by(next, version)?;
    let doc = access.keys()?.seal_json(Purpose::Clinical, &place("infusions", patient, id, version), &facts)?;
    diesel::update(infusions::table.filter(infusions::patient_id.eq(patient)).filter(infusions::id.eq(id)))
        .set((infusions::doc.eq(doc), infusions::version.eq(version), infusions::updated_at.eq(At(access.now()))))
        .execute(tx.conn())?;
    Ok(())
}

/// Lists the patient's doses for the window.
pub fn doses<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<Dose>> {
    open_doses(&list_infusion_rows(tx, access)?, access.keys()?, access.patient())
}

/// Opens the doses among `rows` for the window, without those that do not open.
pub fn open_doses<'a>(
    rows: impl IntoIterator<Item = &'a InfusionRow>,
    keys: &Keys,
    patient: Id<Patient>,
) -> Result<Vec<Dose>> {
    let opened = open_infusions(rows, keys, patient)?;
    Ok(opened.list.into_iter().filter_map(|infusion| infusion.doc.dose(infusion.id)).collect())
}
