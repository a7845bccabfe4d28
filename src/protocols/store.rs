//! Versions of protocols, and the choices of clinics.

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use jiff::Timestamp;

use super::model::{VersionState, place};
use crate::authentic;
use crate::db::authentic::{checked, checked_page};
use crate::db::schema::{clinic_plans, protocols};
use crate::db::{At, Both, Stored, Tx, columns};
use crate::kernel::id::{Clinic, ClinicProtocol};
use crate::kernel::{Id, Result};
use crate::planning::ProtocolContent;
use crate::tasks::Due;
use crate::vault::{Keys, Purpose};

/// When the plans of a clinic's patients are to follow what it has changed.
pub const NEXT_DUE: &[Due] = &[Due::at("clinic_plans", "follow_at")];

authentic! {
    /// What decides about a version of a protocol.
    pub struct VersionKey of protocols {
        /// The protocol.
        id: Id<ClinicProtocol>,
        /// The number of the version, from 1.
        number: i32,
        /// The clinic whose it is.
        clinic_id: Id<Clinic>,
        /// The name of its state.
        state: String,
        /// The version of this row.
        version: i64,
        /// The instant at which it was begun.
        created_at: At,
        /// The instant of the last change.
        updated_at: At,
        /// The instant at which it was published.
        published_at: Option<At>,
    }
}

authentic! {
    /// What a clinic has chosen for its patients.
    pub struct PlanChoice of clinic_plans {
        /// The clinic.
        clinic_id: Id<Clinic>,
        /// The protocol; `None` for the program's.
        protocol_id: Option<Id<ClinicProtocol>>,
        /// A number that grows with every change of the clinic's protocols.
        version: i64,
    }
}

/// A version of a protocol, with its content sealed.
#[derive(Clone, Debug)]
pub struct VersionRow {
    /// What decides.
    pub key: VersionKey,
    doc: Vec<u8>,
}

impl VersionRow {
    /// Seals a version.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub fn seal(key: VersionKey, content: &ProtocolContent, keys: &Keys) -> Result<Self> {
        let place = place(key.clinic_id, key.id, key.number, key.version);
        Ok(Self { doc: keys.seal_json(Purpose::Clinic, &place, content)?, key })
    }

    /// Opens the content.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`](crate::kernel::Error::Damaged) when it does not open.
    pub fn open(&self, keys: &Keys) -> Result<ProtocolContent> {
        let VersionKey { id, number, clinic_id, version, .. } = self.key;
        keys.open_json(&place(clinic_id, id, number, version), &self.doc)
    }

    /// Returns its state.
    pub fn state(&self) -> VersionState {
        VersionState::named(&self.key.state)
    }

    /// Whether it was published: plans may have been made by it, also if something in it has become a fault since.
    pub fn was_published(&self) -> bool {
        self.key.published_at.is_some()
    }

    /// Returns the size of its sealed content in bytes.
    pub fn bytes(&self) -> usize {
        self.doc.len()
    }
}

type Found = (Stored<VersionKey>, Vec<u8>);

fn rows_of(tx: &Tx<'_>, found: Vec<Found>) -> Result<Vec<VersionRow>> {
    let row = |(key, doc): Found| Ok(key.checked(tx)?.map(|key| VersionRow { key, doc }));
    found.into_iter().filter_map(|found| row(found).transpose()).collect()
}

/// Lists the versions of a protocol of a clinic without their contents, the newest first.
pub fn list_versions(tx: &mut Tx<'_>, clinic: Id<Clinic>, id: Id<ClinicProtocol>) -> Result<Vec<VersionKey>> {
    let rows: Vec<Stored<VersionKey>> = protocols::table
        .filter(protocols::clinic_id.eq(clinic))
        .filter(protocols::id.eq(id))
        .order(protocols::number.desc())
        .select(columns::<Stored<VersionKey>>())
        .load(tx.conn())?;
    checked(tx, rows)
}

/// Finds a version of a protocol of a clinic; the newest one without a number.
pub fn find(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    id: Id<ClinicProtocol>,
    number: Option<i32>,
) -> Result<Option<VersionRow>> {
    let of = protocols::table
        .filter(protocols::clinic_id.eq(clinic))
        .filter(protocols::id.eq(id))
        .select((columns::<Stored<VersionKey>>(), protocols::doc));
    let found: Vec<Found> = match number {
        Some(number) => Both(of.filter(protocols::number.eq(number))).load(tx.conn())?,
        None => Both(of.order(protocols::number.desc()).limit(1)).load(tx.conn())?,
    };
    Ok(rows_of(tx, found)?.pop())
}

/// Whether there is a protocol of this id, of whichever clinic.
pub fn is_taken(tx: &mut Tx<'_>, id: Id<ClinicProtocol>) -> Result<bool> {
    Ok(diesel::select(exists(protocols::table.filter(protocols::id.eq(id)))).get_result(tx.conn())?)
}

/// Lists the newest version of each protocol of a clinic, by id.
pub fn list_newest(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    after: Option<Id<ClinicProtocol>>,
    limit: i64,
) -> Result<Vec<VersionRow>> {
    let read = |tx: &mut Tx<'_>, after: Option<Id<ClinicProtocol>>, limit: i64| {
        let newer = diesel::alias!(protocols as newer);
        let superseded = newer
            .filter(newer.field(protocols::id).eq(protocols::id))
            .filter(newer.field(protocols::number).gt(protocols::number));
        let of = protocols::table
            .filter(protocols::clinic_id.eq(clinic))
            .filter(protocols::id.gt(after.unwrap_or(Id::from_uuid(uuid::Uuid::nil()))))
            .filter(not(exists(superseded)))
            .order(protocols::id)
            .limit(limit)
            .select((columns::<Stored<VersionKey>>(), protocols::doc));
        let found: Vec<Found> = Both(of).load(tx.conn())?;
        Ok(found)
    };
    checked_page(tx, (after, limit), read, |key: &VersionKey| key.id, rows_of)
}

/// Counts the versions of the protocols of a clinic.
pub fn count(tx: &mut Tx<'_>, clinic: Id<Clinic>) -> Result<i64> {
    Ok(protocols::table.filter(protocols::clinic_id.eq(clinic)).count().get_result(tx.conn())?)
}

/// Inserts a version.
pub fn insert(tx: &mut Tx<'_>, row: &VersionRow) -> Result<()> {
    let values = (row.key.signed(tx)?, protocols::doc.eq(&row.doc));
    diesel::insert_into(protocols::table).values(values).execute(tx.conn())?;
    Ok(())
}

/// Stores a changed version.
pub fn update(tx: &mut Tx<'_>, row: &VersionRow) -> Result<()> {
    let own = protocols::table.filter(protocols::id.eq(row.key.id)).filter(protocols::number.eq(row.key.number));
    diesel::update(own).set((row.key.signed(tx)?, protocols::doc.eq(&row.doc))).execute(tx.conn())?;
    Ok(())
}

/// Lists every version that was published, of every clinic, also retired ones, without contents, and whether these are
/// all: a row that does not fit its MAC is left out.
///
/// Spans clinics: what every process knows.
pub fn list_published(tx: &mut Tx<'_>) -> Result<(Vec<VersionKey>, bool)> {
    let rows: Vec<Stored<VersionKey>> = protocols::table
        .filter(protocols::published_at.is_not_null())
        .select(columns::<Stored<VersionKey>>())
        .load(tx.conn())?;
    let found = rows.len();
    let keys = checked(tx, rows)?;
    let are_all = keys.len() == found;
    Ok((keys, are_all))
}

/// Lists the choices of every clinic.
///
/// Spans clinics: what every process knows.
pub fn list_choices(tx: &mut Tx<'_>) -> Result<Vec<PlanChoice>> {
    let rows: Vec<Stored<PlanChoice>> = clinic_plans::table.select(columns::<Stored<PlanChoice>>()).load(tx.conn())?;
    checked(tx, rows)
}

/// Finds the choice of a clinic.
pub fn find_choice(tx: &mut Tx<'_>, clinic: Id<Clinic>) -> Result<Option<PlanChoice>> {
    let rows: Vec<Stored<PlanChoice>> = clinic_plans::table
        .filter(clinic_plans::clinic_id.eq(clinic))
        .select(columns::<Stored<PlanChoice>>())
        .load(tx.conn())?;
    Ok(checked(tx, rows)?.pop())
}

/// Stores the choice of a clinic, whose patients' plans follow at `follow_at`.
pub fn replace_choice(tx: &mut Tx<'_>, row: &PlanChoice, follow_at: Timestamp) -> Result<()> {
    let follow = clinic_plans::follow_at.eq(Some(At(follow_at)));
    let own = clinic_plans::table.filter(clinic_plans::clinic_id.eq(row.clinic_id));
    let changed = diesel::update(own).set((row.signed(tx)?, follow)).execute(tx.conn())?;
    if changed == 0 {
        diesel::insert_into(clinic_plans::table).values((row.signed(tx)?, follow)).execute(tx.conn())?;
    }
    Ok(())
}

/// Finds a clinic whose patients' plans are to follow by `now`, none of those in `left_out`.
pub fn find_to_follow(
    tx: &mut Tx<'_>,
    now: Timestamp,
    left_out: &[Id<Clinic>],
) -> Result<Option<(Id<Clinic>, Timestamp)>> {
    let found: Option<(Id<Clinic>, Option<At>)> = clinic_plans::table
        .filter(clinic_plans::follow_at.is_not_null())
        .filter(clinic_plans::follow_at.le(At(now)))
        .filter(clinic_plans::clinic_id.ne_all(left_out.to_vec()))
        .order(clinic_plans::follow_at)
        .select((clinic_plans::clinic_id, clinic_plans::follow_at))
        .first(tx.conn())
        .optional()?;
    Ok(found.and_then(|(clinic, at)| Some((clinic, at?.0))))
}

/// Notes that the plans of a clinic's patients follow what it had changed by `at`.
pub fn mark_followed(tx: &mut Tx<'_>, clinic: Id<Clinic>, at: Timestamp) -> Result<()> {
    let own = clinic_plans::table.filter(clinic_plans::clinic_id.eq(clinic)).filter(clinic_plans::follow_at.eq(At(at)));
    diesel::update(own).set(clinic_plans::follow_at.eq(None::<At>)).execute(tx.conn())?;
    Ok(())
}
