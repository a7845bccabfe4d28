//! Clinics that the operator makes, beside the one of the first run: a server may have several.

use jiff::Timestamp;

use super::invitations::{code_of, seal};
use super::model::{InvitationDoc, Invitee};
use super::store::{OPERATOR, insert_invitation};
use crate::care::clinics::clinic_place;
use crate::care::model::{Capabilities, ClinicDoc};
use crate::care::store::insert_clinic;
use crate::kernel::id::{Clinic, Invitation};
use crate::kernel::{Id, JoinCode, Result, Text};
use crate::state::State;
use crate::vault::Purpose;

/// A clinic that the operator made, with the code of its first admin.
#[derive(Clone, Copy, Debug)]
pub struct NewClinic {
    /// The clinic.
    pub clinic: Id<Clinic>,
    /// The code, good for one use.
    pub code: JoinCode,
    /// The instant at which the code expires.
    pub expires_at: Timestamp,
}

/// Makes a clinic, and an invitation of its first admin with the capabilities `may`. Whoever has the code registers with
/// it, or accepts it with an account of staff that is there already.
///
/// # Errors
///
/// When database or keyring cannot be written.
pub async fn create_clinic(state: &State, name: Text<120>, may: Capabilities) -> Result<NewClinic> {
    let now = state.clock.now();
    let (clinic, id): (Id<Clinic>, Id<Invitation>) = (state.entropy.id(now), state.entropy.id(now));
    let keys = state.vault.create(clinic.uuid(), &[Purpose::Clinic], now).await?;
    let guard = state.vault.guard(clinic.uuid(), &[Purpose::Clinic]);
    let wish = (clinic, Invitee::Staff(may), &InvitationDoc::default());
    let invitation = seal(&state.vault, &keys, id, wish, now)?;
    let (vault, doc, expires_at) = (state.vault.clone(), ClinicDoc { name }, invitation.expires_at);
    let unit = state.db.write(move |tx| {
        let sealed = keys.seal_json(Purpose::Clinic, &clinic_place(clinic, tx.first_version()), &doc)?;
        guard.begin_use();
        insert_clinic(tx, clinic, &sealed, now)?;
        insert_invitation(tx, OPERATOR, &invitation, now)?;
        vault.keep(tx, &keys)
    });
    unit.await?;
    Ok(NewClinic { clinic, code: code_of(&state.vault, id), expires_at })
}
