//! Infusions, settings and pauses, sealed under the patient's clinical key.

use std::collections::BTreeSet;

use diesel::prelude::*;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::model::InfusionFacts;
use super::settings::{CautionFlag, Settings};
use super::surroundings::Surroundings;
use crate::care::{Access, Write};
use crate::db::schema::{infusions, patient_settings, pauses};
use crate::db::{At, Both, Tx};
use crate::kernel::id::{Infusion, Patient, Pause};
use crate::kernel::{Id, Result};
use crate::planning::PausePeriod;
use crate::planning::window::Dose;
use crate::vault::{Keys, Place, Purpose};

/// A document with its id and version.
#[derive(Clone, Debug)]
pub struct Stored<K, T> {
    /// Its id.
    pub id: Id<K>,
    /// What it says.
    pub doc: T,
    /// Its version.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

fn place<K>(table: &'static str, patient: Id<Patient>, id: Id<K>, version: i64) -> Place {
    Place { table, column: "doc", subject: patient.uuid(), row: id.uuid(), revision: version }
}

type Row<K> = (Id<K>, Vec<u8>, i64, At, At);

fn open<K, T: DeserializeOwned>(
    keys: &Keys,
    table: &'static str,
    patient: Id<Patient>,
    (id, doc, version, created_at, updated_at): Row<K>,
) -> Result<Stored<K, T>> {
    let doc = keys.open_json(&place(table, patient, id, version), &doc)?;
    Ok(Stored { id, doc, version, created_at: created_at.0, updated_at: updated_at.0 })
}

/// The settings of the patient.
pub fn find_settings<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Option<(Settings, i64)>> {
    let patient = access.patient();
    let row: Option<(Vec<u8>, i64)> = patient_settings::table
        .filter(patient_settings::patient_id.eq(patient))
        .select((patient_settings::doc, patient_settings::version))
        .first(tx.conn())
        .optional()?;
    row.map(|(doc, version)| Ok((open_settings(access, &doc, version)?, version))).transpose()
}

/// Opens a settings row with the keys of `access`.
pub fn open_settings<A>(access: &Access<A>, doc: &[u8], version: i64) -> Result<Settings> {
    let patient = access.patient();
    access.keys()?.open_json(&place("patient_settings", patient, patient, version), doc)
}

/// Keeps the first settings of somebody new.
pub fn insert_settings(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    keys: &Keys,
    settings: &Settings,
    now: Timestamp,
) -> Result<()> {
    let doc = keys.seal_json(Purpose::Clinical, &place("patient_settings", patient, patient, 1), settings)?;
    diesel::insert_into(patient_settings::table)
        .values((
            patient_settings::patient_id.eq(patient),
            patient_settings::doc.eq(doc),
            patient_settings::version.eq(1_i64),
            patient_settings::updated_at.eq(At(now)),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Keeps changed settings as `version`.
pub fn update_settings(tx: &mut Tx<'_>, access: &Access<Write>, settings: &Settings, version: i64) -> Result<()> {
    let patient = access.patient();
    let place = place("patient_settings", patient, patient, version);
    let doc = access.keys()?.seal_json(Purpose::Clinical, &place, settings)?;
    diesel::update(patient_settings::table.filter(patient_settings::patient_id.eq(patient)))
        .set((
            patient_settings::doc.eq(doc),
            patient_settings::version.eq(version),
            patient_settings::updated_at.eq(At(access.now())),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// What speaks against some exercises, as therapists see it.
pub fn find_cautions<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<BTreeSet<CautionFlag>> {
    let patient = access.patient();
    let row: Option<(Option<Vec<u8>>, i64)> = patient_settings::table
        .filter(patient_settings::patient_id.eq(patient))
        .select((patient_settings::cautions, patient_settings::cautions_rev))
        .first(tx.conn())
        .optional()?;
    let (sealed, revision) = row.unwrap_or_default();
    open_cautions(access, sealed, revision)
}

/// Opens the cautions of a settings row with the keys of `access`.
pub fn open_cautions<A>(access: &Access<A>, sealed: Option<Vec<u8>>, revision: i64) -> Result<BTreeSet<CautionFlag>> {
    let Some(sealed) = sealed else { return Ok(BTreeSet::new()) };
    let patient = access.patient();
    let place = Place { column: "cautions", ..place("patient_settings", patient, patient, revision) };
    access.keys()?.open_json(&place, &sealed)
}

/// Keeps what speaks against some exercises. The settings stay as they are, version and all: the patient is not to see
/// that something was said.
pub fn update_cautions(tx: &mut Tx<'_>, access: &Access<Write>, flags: &BTreeSet<CautionFlag>) -> Result<()> {
    let patient = access.patient();
    let own = || patient_settings::table.filter(patient_settings::patient_id.eq(patient));
    let revision: i64 = own().select(patient_settings::cautions_rev).first::<i64>(tx.conn())? + 1;
    let place = Place { column: "cautions", ..place("patient_settings", patient, patient, revision) };
    let sealed = access.keys()?.seal_json(Purpose::Clinical, &place, flags)?;
    diesel::update(own())
        .set((patient_settings::cautions.eq(sealed), patient_settings::cautions_rev.eq(revision)))
        .execute(tx.conn())?;
    Ok(())
}

/// Every infusion of the patient, in no order; a patient has dozens.
pub fn list_infusions<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<Stored<Infusion, InfusionFacts>>> {
    let patient = access.patient();
    let rows: Vec<Row<Infusion>> = infusions::table
        .filter(infusions::patient_id.eq(patient))
        .select((infusions::id, infusions::doc, infusions::version, infusions::created_at, infusions::updated_at))
        .load(tx.conn())?;
    rows.into_iter().map(|row| open(access.keys()?, "infusions", patient, row)).collect()
}

/// One infusion.
pub fn find_infusion<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    id: Id<Infusion>,
) -> Result<Option<Stored<Infusion, InfusionFacts>>> {
    let patient = access.patient();
    let row: Option<Row<Infusion>> = infusions::table
        .filter(infusions::patient_id.eq(patient))
        .filter(infusions::id.eq(id))
        .select((infusions::id, infusions::doc, infusions::version, infusions::created_at, infusions::updated_at))
        .first(tx.conn())
        .optional()?;
    row.map(|row| open(access.keys()?, "infusions", patient, row)).transpose()
}

/// Whether the infusion is one of the patient's.
pub fn infusion_exists(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Infusion>) -> Result<bool> {
    let own = infusions::table.filter(infusions::patient_id.eq(access.patient())).filter(infusions::id.eq(id));
    Ok(own.select(infusions::id).first::<Id<Infusion>>(tx.conn()).optional()?.is_some())
}

/// Keeps a new infusion.
pub fn insert_infusion(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Infusion>, facts: &InfusionFacts) -> Result<()> {
    let patient = access.patient();
    let doc = access.keys()?.seal_json(Purpose::Clinical, &place("infusions", patient, id, 1), facts)?;
    diesel::insert_into(infusions::table)
        .values((
            infusions::patient_id.eq(patient),
            infusions::id.eq(id),
            infusions::doc.eq(doc),
            infusions::version.eq(1_i64),
            infusions::created_at.eq(At(access.now())),
            infusions::updated_at.eq(At(access.now())),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Keeps a changed infusion as `version`.
pub fn update_infusion(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Infusion>,
    facts: &InfusionFacts,
    version: i64,
) -> Result<()> {
    let patient = access.patient();
    let doc = access.keys()?.seal_json(Purpose::Clinical, &place("infusions", patient, id, version), facts)?;
    diesel::update(infusions::table.filter(infusions::patient_id.eq(patient)).filter(infusions::id.eq(id)))
        .set((infusions::doc.eq(doc), infusions::version.eq(version), infusions::updated_at.eq(At(access.now()))))
        .execute(tx.conn())?;
    Ok(())
}

/// What says when the patient's infusions were and where they lived: rows still sealed, for opening after the unit.
#[derive(Clone, Debug)]
pub struct Background {
    settings: Option<(Vec<u8>, i64)>,
    infusions: Vec<SealedInfusion>,
}

type SealedInfusion = (Id<Infusion>, Vec<u8>, i64);

/// Reads it in one statement: every answer about an entry needs it.
pub fn background<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Background> {
    let of = infusions::table.on(infusions::patient_id.eq(patient_settings::patient_id));
    let rows: Vec<((Vec<u8>, i64), Option<SealedInfusion>)> =
        Both(patient_settings::table.left_join(of).filter(patient_settings::patient_id.eq(access.patient())).select((
            (patient_settings::doc, patient_settings::version),
            (infusions::id, infusions::doc, infusions::version).nullable(),
        )))
        .load(tx.conn())?;
    let mut found = Background { settings: None, infusions: Vec::new() };
    for (settings, infusion) in rows {
        found.settings.get_or_insert(settings);
        found.infusions.extend(infusion);
    }
    Ok(found)
}

impl Background {
    /// Opens it.
    pub fn open(&self, keys: &Keys, patient: Id<Patient>) -> Result<Surroundings> {
        let mut doses = Vec::new();
        for (id, doc, version) in &self.infusions {
            let facts: InfusionFacts = keys.open_json(&place("infusions", patient, *id, *version), doc)?;
            doses.extend(facts.dose(*id));
        }
        let Some((doc, version)) = &self.settings else {
            return Ok(Surroundings { doses, zones: Vec::new(), locale: "en".to_owned() });
        };
        let settings: Settings = keys.open_json(&place("patient_settings", patient, patient, *version), doc)?;
        Ok(Surroundings { doses, zones: settings.zones, locale: settings.locale })
    }
}

/// The patient's infusions as the window sees them.
pub fn doses<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<Dose>> {
    Ok(list_infusions(tx, access)?.into_iter().filter_map(|stored| stored.doc.dose(stored.id)).collect())
}

/// The pauses that are not withdrawn, with withdrawn ones when `all`.
pub fn list_pauses<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    all: bool,
) -> Result<Vec<(Stored<Pause, PausePeriod>, bool)>> {
    let patient = access.patient();
    let rows: Vec<(Row<Pause>, Option<At>)> = pauses::table
        .filter(pauses::patient_id.eq(patient))
        .filter(
            pauses::deleted_at
                .is_null()
                .or(diesel::expression::AsExpression::<diesel::sql_types::Bool>::as_expression(all)),
        )
        .select((
            (pauses::id, pauses::doc, pauses::version, pauses::created_at, pauses::updated_at),
            pauses::deleted_at,
        ))
        .load(tx.conn())?;
    rows.into_iter().map(|(row, gone)| Ok((open(access.keys()?, "pauses", patient, row)?, gone.is_some()))).collect()
}

/// Keeps a pause as `version`; the first one is inserted.
pub fn put_pause(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Pause>,
    pause: &PausePeriod,
    version: i64,
    gone: bool,
) -> Result<()> {
    let patient = access.patient();
    let doc = access.keys()?.seal_json(Purpose::Clinical, &place("pauses", patient, id, version), pause)?;
    let now = At(access.now());
    if version == 1 {
        diesel::insert_into(pauses::table)
            .values((
                pauses::patient_id.eq(patient),
                pauses::id.eq(id),
                pauses::doc.eq(doc),
                pauses::version.eq(version),
                pauses::created_at.eq(now),
                pauses::updated_at.eq(now),
            ))
            .execute(tx.conn())?;
    } else {
        diesel::update(pauses::table.filter(pauses::patient_id.eq(patient)).filter(pauses::id.eq(id)))
            .set((
                pauses::doc.eq(doc),
                pauses::version.eq(version),
                pauses::updated_at.eq(now),
                pauses::deleted_at.eq(gone.then_some(now)),
            ))
            .execute(tx.conn())?;
    }
    Ok(())
}
