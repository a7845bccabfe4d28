//! Open registration: an account is made once its address is proved, with an invitation or without one.
//!
//! A registration without the code of a letter is answered by that letter. A known, an unknown and a disabled address
//! get the same answer, after the same statements and writes: neither a stranger nor somebody who holds a good
//! invitation learns who has an account. Only the owner of the mailbox does, by the letter.
//!
//! Where registration is not open, an invitation makes the account at once: servers without mail need that. The others
//! then send a letter with a code that proves the address.

use std::sync::Arc;

use super::model::{Invitee, Registration};
use super::registration::{self, Registered};
use super::store::InvitationKey;
use crate::config::Registration as Policy;
use crate::identity::actions::email_key;
use crate::identity::{Email, Passwords, Tokens, is_email_taken};
use crate::kernel::id::Account;
use crate::kernel::{Code, Error, Id, Result};
use crate::letters::proofs::NewProof;
use crate::letters::{self, LetterDoc, LetterKind, ProofPurpose};
use crate::state::State;

/// Registers somebody. Returns `None` when a letter was sent instead: the same form makes the account once it comes
/// again with the code of that letter.
///
/// # Errors
///
/// As [`registration::register`]; [`Error::Invalid`] without an invitation where registration is not open.
pub async fn register(
    state: &State,
    passwords: &Passwords,
    tokens: Arc<Tokens>,
    form: Registration,
) -> Result<Option<Registered>> {
    let open = state.config.registration == Policy::Open;
    if !open && form.code.is_none() {
        return Err(Error::field("/code", "is required"));
    }
    if form.email_code.is_some() {
        return registration::register(state, passwords, tokens, form).await.map(Some);
    }
    if !open {
        let (to, locale) = (form.person.email.clone(), form.locale.clone());
        let registered = registration::register(state, passwords, tokens, form).await?;
        if registered.created {
            ask_for_proof(state, registered.account.grant.account, to, locale).await;
        }
        return Ok(Some(registered));
    }
    let invitation = registration::invitation_hash(state, &form);
    match send_code(state, &form, invitation.clone()).await {
        // A used invitation, of somebody who joined before registration was opened and lost the answer.
        Err(Error::Malformed(Code::CodeInvalid, _)) => {
            registration::repeat(state, passwords, tokens, (invitation, form.person)).await.map(Some)
        }
        sent => sent.map(|()| None),
    }
}

/// Sends a code that proves the address of a new account: only then is a forgotten passphrase no lost journal. The
/// account is made, so a letter that cannot be written fails nothing: its owner asks for another one. None is written
/// to an address that no letter reaches.
async fn ask_for_proof(state: &State, account: Id<Account>, to: Email, locale: String) {
    if !state.config.sends_letters() || to.routable().is_none() {
        return;
    }
    let (now, key) = (state.clock.now(), email_key(&state.vault, &to));
    let proof =
        NewProof { id: state.entropy.id(now), purpose: ProofPurpose::Verify, email_key: key, account: Some(account) };
    let letter = LetterDoc { kind: LetterKind::Verify, to, locale, proof: Some(proof.id) };
    if let Err(error) = letters::send_proof(state, proof, &letter, now).await {
        tracing::warn!(%error, "no letter was written that proves the address of a new account");
    }
}

/// Sends a code to the address of a form. An address that has an account gets a letter that says so; the same is looked
/// up and written. Nothing of the form is kept, and the invitation stays unused: both come again with the code.
async fn send_code(state: &State, form: &Registration, invitation: Option<Vec<u8>>) -> Result<()> {
    let (now, invited) = (state.clock.now(), invitation.is_some());
    let (to, locale) = (form.person.email.clone(), form.locale.clone());
    let key = email_key(&state.vault, &to);
    let asked = key.clone();
    let read = state.db.read(move |tx| {
        let found = invitation.as_deref().map(|hash| registration::get_open(tx, hash, &asked, now));
        let taken = is_email_taken(tx, &asked)?;
        Ok((found.transpose()?, taken))
    });
    let (open, taken) = read.await?;
    to.check_routable().map_err(|why| Error::field("/email", why))?;
    if open.as_ref().map_or(Invitee::Patient, InvitationKey::invitee) == Invitee::Patient {
        // Its faults are told now, not when the code is presented.
        form.settings(now)?;
    }
    let kind = match (taken, invited) {
        (false, _) => LetterKind::Register,
        (true, false) => LetterKind::Known,
        (true, true) => LetterKind::KnownInvited,
    };
    let proof = NewProof { id: state.entropy.id(now), purpose: ProofPurpose::Register, email_key: key, account: None };
    let letter = LetterDoc { kind, to, locale, proof: (!taken).then_some(proof.id) };
    letters::send_proof(state, proof, &letter, now).await
}
