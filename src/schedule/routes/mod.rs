//! The operations that show protocols and prompts, and those of a patient with a prompt.

mod adherence;
mod chosen;
mod overrides;
mod preview;
mod preview_view;
mod prompts;
mod protocols;
mod view;

use crate::http::Operations;

/// Registers what lies below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config.service(protocols::list_protocols).service(protocols::get_protocol).service(preview::preview_protocol);
}

/// Registers what lies below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config
        .service(prompts::list_prompts)
        .service(adherence::get_adherence)
        .service(chosen::get_chosen_protocol)
        .service(chosen::put_chosen_protocol)
        .service(overrides::get_overrides)
        .service(overrides::put_overrides)
        .service(prompts::open_prompt)
        .service(prompts::complete_prompt)
        .service(prompts::snooze_prompt)
        .service(prompts::skip_prompt);
}
