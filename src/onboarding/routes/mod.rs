//! The operations of onboarding: the first run, registration, invitations.

mod invitations;
mod registration;

use crate::http::Operations;

/// Registers the operations below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config
        .service(registration::set_up)
        .service(registration::register)
        .service(registration::accept_invitation)
        .service(invitations::create_invitation)
        .service(invitations::list_invitations)
        .service(invitations::revoke_invitation);
}
