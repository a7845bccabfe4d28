//! Open registration: a letter with a code to the address of somebody who has no invitation.

use super::model::Registration;
use crate::config::Registration as Policy;
use crate::identity::actions::email_key;
use crate::identity::is_email_taken;
use crate::kernel::{Error, Result};
use crate::letters::proofs::NewProof;
use crate::letters::{self, LetterDoc, LetterKind, ProofPurpose};
use crate::state::State;

/// Sends a code to the address of a form. An address that has an account gets a letter that says so; the same is looked
/// up and written. Nothing of the form is kept: it comes again with the code.
///
/// # Errors
///
/// [`Error::Invalid`] where registration is not open, and for the faults of the form.
pub async fn request_code(state: &State, registration: Registration) -> Result<()> {
    if state.config.registration != Policy::Open {
        return Err(Error::field("/code", "is required"));
    }
    let now = state.clock.now();
    // Its faults are told now, not when the code is presented.
    registration.settings(now)?;
    let (to, locale) = (registration.person.email, registration.locale);
    let key = email_key(&state.vault, &to);
    let asked = key.clone();
    let taken = state.db.read(move |tx| is_email_taken(tx, &asked)).await?;
    let proof = NewProof { id: state.entropy.id(now), purpose: ProofPurpose::Register, email_key: key, account: None };
    let (kind, code) = if taken { (LetterKind::Known, None) } else { (LetterKind::Register, Some(proof.id)) };
    letters::send_proof(state, proof, &LetterDoc { kind, to, locale, proof: code }, now).await
}
