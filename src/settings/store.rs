//! The settings row of a patient, sealed under their clinical key.

use std::collections::BTreeSet;

use diesel::prelude::*;
use jiff::Timestamp;

use super::model::{CautionFlag, ClinicCautions, Settings};
use crate::care::{Access, Write};
use crate::db::schema::patient_settings;
use crate::db::{At, Both, Tx, columns};
use crate::kernel::id::Patient;
use crate::kernel::{Error, Id, Result};
use crate::vault::{Keys, Purpose, SealContext, stamp};

/// The settings of a patient as they are stored, sealed.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = patient_settings)]
pub struct SettingsRow {
    doc: Vec<u8>,
    version: i64,
}

fn place(patient: Id<Patient>, column: &'static str, revision: i64) -> SealContext {
    SealContext { table: "patient_settings", column, subject: patient.uuid(), row: patient.uuid(), revision }
}

impl SettingsRow {
    /// Makes them of the columns, for a statement that reads others too.
    pub fn new(doc: Vec<u8>, version: i64) -> Self {
        Self { doc, version }
    }

    /// Returns their version.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Returns their stamp: other settings of the patient have another one.
    pub fn stamp(&self) -> u64 {
        stamp((self.version, &self.doc))
    }

    /// Opens the settings, and returns them with their version.
    pub fn open(&self, keys: &Keys, patient: Id<Patient>) -> Result<(Settings, i64)> {
        Ok((keys.open_json(&place(patient, "doc", self.version), &self.doc)?, self.version))
    }
}

/// Opens the settings in `row`, and returns them with their version. A patient without a row lives in UTC.
pub fn open_settings(row: Option<&SettingsRow>, keys: &Keys, patient: Id<Patient>) -> Result<(Settings, i64)> {
    row.map_or_else(|| Ok((Settings::default(), 0)), |row| row.open(keys, patient))
}

/// Opens the settings in `row` for what goes on without them: settings that do not open count as none.
pub fn open_or_default(row: Option<&SettingsRow>, keys: &Keys, patient: Id<Patient>) -> Result<Settings> {
    let opened = Error::skip_damaged(open_settings(row, keys, patient))?;
    Ok(opened.map_or_else(Settings::default, |(settings, _)| settings))
}

/// Finds the settings of the patient, sealed.
pub fn find_settings<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Option<SettingsRow>> {
    let own = patient_settings::table.filter(patient_settings::patient_id.eq(access.patient()));
    Ok(Both(own.select(columns::<SettingsRow>())).get_result(tx.conn()).optional()?)
}

/// Finds the version of the patient's settings.
pub fn find_settings_version<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Option<i64>> {
    let own = patient_settings::table.filter(patient_settings::patient_id.eq(access.patient()));
    Ok(own.select(patient_settings::version).first(tx.conn()).optional()?)
}

/// Inserts the first settings of a new patient.
pub fn insert_settings(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    keys: &Keys,
    settings: &Settings,
    now: Timestamp,
) -> Result<()> {
    let doc = keys.seal_json(Purpose::Clinical, &place(patient, "doc", 1), settings)?;
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

/// Stores changed settings as `version`.
pub fn update_settings(tx: &mut Tx<'_>, access: &Access<Write>, settings: &Settings, version: i64) -> Result<()> {
    let patient = access.patient();
    let doc = access.keys()?.seal_json(Purpose::Clinical, &place(patient, "doc", version), settings)?;
    diesel::update(patient_settings::table.filter(patient_settings::patient_id.eq(patient)))
        .set((
            patient_settings::doc.eq(doc),
            patient_settings::version.eq(version),
            patient_settings::updated_at.eq(At(access.now())),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// The caution flags of a patient as they are stored, sealed.
#[derive(Clone, Debug, Default)]
pub struct SealedCautions {
    sealed: Option<Vec<u8>>,
    revision: i64,
}

impl SealedCautions {
    /// Makes them of the columns, for a statement that joins them to others.
    pub fn new(sealed: Option<Vec<u8>>, revision: i64) -> Self {
        Self { sealed, revision }
    }

    /// Opens the flags of every clinic, as one set. If they do not open, every flag counts: nothing is offered that one
    /// of them may be against.
    pub fn open(&self, keys: &Keys, patient: Id<Patient>) -> Result<BTreeSet<CautionFlag>> {
        let Some(clinics) = Error::skip_damaged(self.by_clinic(keys, patient))? else {
            return Ok(CautionFlag::ALL.into());
        };
        Ok(clinics.into_iter().flat_map(|cautions| cautions.flags).collect())
    }

    fn by_clinic(&self, keys: &Keys, patient: Id<Patient>) -> Result<Vec<ClinicCautions>> {
        let Some(sealed) = &self.sealed else { return Ok(Vec::new()) };
        keys.open_json(&place(patient, "cautions", self.revision), sealed)
    }
}

/// Finds the caution flags of the patient, sealed.
pub fn find_sealed_cautions<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<SealedCautions> {
    let row: Option<(Option<Vec<u8>>, i64)> = patient_settings::table
        .filter(patient_settings::patient_id.eq(access.patient()))
        .select((patient_settings::cautions, patient_settings::cautions_rev))
        .first(tx.conn())
        .optional()?;
    let (sealed, revision) = row.unwrap_or_default();
    Ok(SealedCautions { sealed, revision })
}

/// Finds and opens the caution flags of the patient, those of all clinics, because the unit decides on them.
pub fn find_cautions<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<BTreeSet<CautionFlag>> {
    find_sealed_cautions(tx, access)?.open(access.keys()?, access.patient())
}

/// Finds and opens the caution flags that the caller's clinic has set, with the number of its changes.
pub fn find_own_cautions<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<ClinicCautions> {
    let clinic = access.clinic()?;
    let all = find_sealed_cautions(tx, access)?.by_clinic(access.keys()?, access.patient())?;
    let own = all.into_iter().find(|cautions| cautions.clinic == clinic);
    Ok(own.unwrap_or(ClinicCautions { clinic, changes: 0, flags: BTreeSet::new() }))
}

/// Stores the caution flags of the caller's clinic, and returns them. The settings keep their version, because the
/// patient must not see that a flag was set.
pub fn update_cautions(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    flags: &BTreeSet<CautionFlag>,
) -> Result<ClinicCautions> {
    let (patient, before) = (access.patient(), find_sealed_cautions(tx, access)?);
    let own = find_own_cautions(tx, access)?;
    let own = ClinicCautions { changes: own.changes + 1, flags: flags.clone(), ..own };
    let mut all = before.by_clinic(access.keys()?, patient)?;
    all.retain(|cautions| cautions.clinic != own.clinic);
    all.push(own.clone());
    let revision = before.revision + 1;
    let sealed = access.keys()?.seal_json(Purpose::Clinical, &place(patient, "cautions", revision), &all)?;
    diesel::update(patient_settings::table.filter(patient_settings::patient_id.eq(patient)))
        .set((patient_settings::cautions.eq(sealed), patient_settings::cautions_rev.eq(revision)))
        .execute(tx.conn())?;
    Ok(own)
}
