//! The one list of mounted operations.

use super::{health, wellknown};
use crate::http::Operations;

/// Registers every operation, in the order in which the router tries them. What apps ask for most stands first: each
/// address with a parameter before it costs the request a regular expression.
pub(super) fn mount(config: &mut Operations<'_, '_>) {
    config
        .scope("/v1/patients/{patient_id}", mount_patient)
        .service(health::get_health)
        .service(health::get_ready)
        .service(health::get_metrics)
        .service(health::get_problem)
        .service(wellknown::get_security_txt)
        .service(wellknown::get_change_password)
        .service(crate::identity::routes::get_jwks)
        .service(crate::identity::routes::oauth::get_authorization_server)
        .configure(crate::exercises::configure_public)
        .configure(crate::protocols::configure_public)
        .scope("/v1", |config| {
            crate::identity::configure(config);
            crate::care::configure(config);
            crate::consents::configure(config);
            crate::onboarding::configure(config);
            crate::protocols::configure(config);
            crate::schedule::configure(config);
            crate::settings::configure(config);
            crate::account::configure(config);
            crate::exercises::configure(config);
            crate::delivery::configure(config);
            crate::calendar::configure(config);
            crate::sync::configure(config);
            config.service(health::get_meta);
        });
}

/// Registers the operations below `/v1/patients/{patient_id}`: each handler has a door.
fn mount_patient(config: &mut Operations<'_, '_>) {
    crate::journal::configure_patient(config);
    crate::sync::configure_patient(config);
    crate::schedule::configure_patient(config);
    crate::exercises::configure_patient(config);
    crate::course::configure_patient(config);
    crate::prompts::configure_patient(config);
    crate::delivery::configure_patient(config);
    crate::devices::configure_patient(config);
    crate::sharing::configure_patient(config);
    crate::care::configure_patient(config);
    crate::consents::configure_patient(config);
    crate::calendar::configure_patient(config);
}
