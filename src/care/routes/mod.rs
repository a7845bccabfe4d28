//! The operations of care: clinics and their staff, links, the roster, the care team, the access log.

mod covers;
mod emergencies;
pub(crate) mod links;
mod members;
mod membership;
mod patient;
mod roster;
mod transfers;

use crate::http::Operations;

/// Registers the operations below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config
        .service(links::list_care_links)
        .service(links::confirm_care_link)
        .service(links::end_care_link)
        .service(roster::list_my_patients)
        .service(members::get_clinic)
        .service(members::list_members)
        .service(members::update_member)
        .service(members::require_second_factor)
        .service(membership::disable_member)
        .service(membership::enable_member)
        .service(membership::leave_clinic)
        .service(membership::close_clinic)
        .service(transfers::offer_transfer)
        .service(transfers::withdraw_transfer)
        .service(covers::list_covers)
        .service(covers::put_cover)
        .service(covers::delete_cover)
        .service(emergencies::list_emergencies)
        .service(emergencies::review_emergency);
}

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config
        .service(patient::list_care_team)
        .service(patient::list_access_log)
        .service(transfers::list_transfers)
        .service(transfers::answer_transfer)
        .service(emergencies::break_glass);
}
