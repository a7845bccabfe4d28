//! The operations of onboarding: the first run, registration, invitations, new passphrases for staff.

mod invitations;
mod registration;
mod resets;

use crate::http::Operations;

/// Registers the operations below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config
        .service(registration::set_up)
        .service(registration::register)
        .service(registration::accept_invitation)
        .service(resets::create_staff_reset)
        .service(resets::reset_credential)
        .service(invitations::create_invitation)
        .service(invitations::list_invitations)
        .service(invitations::revoke_invitation);
}
