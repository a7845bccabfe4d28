//! The operations of care: clinics and their staff, links, the roster, the care team, the access log.

pub(crate) mod links;
mod members;
mod patient;
mod roster;

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
        .service(members::update_member);
}

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(patient::list_care_team).service(patient::list_access_log);
}
