//! Clinics, members and links.

mod clinics;
mod covers;
mod emergencies;
mod links;
mod resets;
mod transfers;

use diesel::prelude::*;

pub use clinics::{
    Member, Telling, all_memberships, asks_factor, clinic_docs, count_members, find_factor_rule, find_member,
    find_telling, find_to_tell, first_clinic, hold_clinic, hold_member, hold_members, hold_some_members, insert_clinic,
    insert_member, list_members, memberships, update_member, update_telling,
};
pub use covers::{
    CoverRow, CoverTelling, count_covers, find_cover, find_cover_telling, find_cover_to_tell, hold_cover,
    hold_covers_of, insert_cover, list_covered, list_covers, update_cover, update_cover_telling,
};
pub use emergencies::{
    EmergencyKey, EmergencyRow, find_emergency, hold_emergencies_of, hold_emergency, insert_emergency,
    list_emergencies, list_in_emergency, list_open_emergencies, update_emergency,
};
pub use links::{
    Link, LinkRow, PatientRow, count_live_links, count_patients, find_link, find_link_for, find_link_of,
    find_link_with, find_linked_therapist, find_live_link, find_patient, hold_all_links_of, hold_link, hold_links_at,
    hold_links_between, hold_links_of, insert_link, list_active_links, list_clinics_of, list_linked,
    list_links_of_patient, list_links_of_therapist, list_patients_at, list_roster, mark_active, mark_ended,
};
pub use resets::{ResetRow, delete_reset, delete_resets, delete_resets_at, find_reset, get_reset, insert_reset};
pub use transfers::{TransferRow, find_transfer, find_transfer_for, list_offered, put_transfer, update_transfer};

use super::model::{Capabilities, LinkState};
use crate::db::schema::{care_links, consents, staff_members};
use crate::db::{Both, Stored, Tx, columns};
use crate::kernel::id::{Account, CareLink, Clinic, Patient};
use crate::kernel::{Id, Result};
use crate::locked;

/// Finds the sealed document of a consent, for the revocation ledger, which cannot open it.
pub fn find_consent_doc(tx: &mut Tx<'_>, patient: Id<Patient>, version: i64) -> Result<Option<Vec<u8>>> {
    let own = consents::table.filter(consents::patient_id.eq(patient)).filter(consents::version.eq(version));
    Ok(own.select(consents::doc).first(tx.conn()).optional()?)
}

/// A link of a patient at a clinic where the caller works.
#[derive(Clone, Copy, Debug)]
pub struct Relation {
    /// The link.
    pub link: Id<CareLink>,
    /// Its clinic.
    pub clinic: Id<Clinic>,
    /// Its therapist.
    pub therapist: Id<Account>,
    /// Whether the caller is its therapist.
    pub own: bool,
    /// Whether it is active.
    pub active: bool,
    /// The caller's capabilities at that clinic.
    pub capabilities: Capabilities,
    /// Whether that clinic asks its staff for a second factor.
    pub asks_factor: bool,
}

/// Whether `account` works at a clinic that has a link of `patient`, also an ended one. The look-up goes out from the
/// account, and asks each of its clinics for the patient: a patient of other clinics only is as much work as none.
pub fn is_related(tx: &mut Tx<'_>, patient: Id<Patient>, account: Id<Account>) -> Result<bool> {
    let theirs = care_links::clinic_id.eq(staff_members::clinic_id).and(care_links::patient_id.eq(patient));
    let found: Vec<Option<Id<CareLink>>> = staff_members::table
        .left_join(care_links::table.on(theirs))
        .filter(staff_members::account_id.eq(account))
        .filter(staff_members::ended_at.is_null())
        .select(care_links::id.nullable())
        .load(tx.conn())?;
    Ok(found.into_iter().flatten().next().is_some())
}

/// Selects every link of `$patient` at clinics where `$account` works. PostgreSQL locks the rows of a join in the order
/// of its tables: the member before the link, as whoever ends somebody's work does.
macro_rules! links_at_clinics_of {
    ($account:expr, $patient:expr) => {
        staff_members::table
            .inner_join(care_links::table.on(care_links::clinic_id.eq(staff_members::clinic_id)))
            .filter(care_links::patient_id.eq($patient))
            .filter(staff_members::account_id.eq($account))
            .filter(staff_members::ended_at.is_null())
            .select((columns::<Stored<LinkRow>>(), columns::<Stored<Member>>()))
    };
}

/// Finds every link of `patient` at clinics where `account` works, and holds them until the unit ends. One statement,
/// the same for a denial and an absence.
pub fn relations(tx: &mut Tx<'_>, patient: Id<Patient>, account: Id<Account>) -> Result<Vec<Relation>> {
    let rows: Vec<RelationRow> = locked!(tx, for_share, links_at_clinics_of!(account, patient).order(care_links::id))?;
    checked_relations(tx, account, rows)
}

/// Finds what [`relations`] finds, in a unit that only reads: another than `account` asks, and nothing is held.
pub fn relations_as_read(tx: &mut Tx<'_>, patient: Id<Patient>, account: Id<Account>) -> Result<Vec<Relation>> {
    let rows: Vec<RelationRow> = Both(links_at_clinics_of!(account, patient)).load(tx.conn())?;
    checked_relations(tx, account, rows)
}

/// A link with the membership of somebody at its clinic, not checked yet.
type RelationRow = (Stored<LinkRow>, Stored<Member>);

/// Returns the relations whose rows fit their MACs.
fn checked_relations(tx: &Tx<'_>, account: Id<Account>, rows: Vec<RelationRow>) -> Result<Vec<Relation>> {
    let mut found = Vec::with_capacity(rows.len());
    for (link, member) in rows {
        let Some((link, member)) = link.checked(tx)?.zip(member.checked(tx)?) else { continue };
        found.push(Relation {
            link: link.id,
            clinic: link.clinic_id,
            therapist: link.therapist_id,
            own: link.therapist_id == account,
            active: link.state == LinkState::Active.name(),
            capabilities: member.may(),
            asks_factor: member.factor_from.is_some(),
        });
    }
    Ok(found)
}
