//! The operations of onboarding: the first run, registration, invitations.

mod invitations;
mod joining;

use crate::http::Operations;

/// Registers the operations below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config
        .service(joining::set_up)
        .service(joining::register)
        .service(joining::accept_invitation)
        .service(invitations::create_invitation)
        .service(invitations::list_invitations)
        .service(invitations::revoke_invitation);
}
