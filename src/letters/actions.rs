//! Writing a letter: prepared before a unit, posted in it.

use std::sync::Arc;

use jiff::Timestamp;

use super::model::LetterDoc;
use super::proofs::{self, NewProof};
use super::store;
use crate::db::Tx;
use crate::kernel::id::Letter;
use crate::kernel::{Id, Result};
use crate::state::State;
use crate::vault::{KeyGuard, Keys, Purpose, SealContext, Vault};

/// The purposes of the keys of a letter.
pub(super) const PURPOSES: &[Purpose] = &[Purpose::Account];

/// A letter that is sealed, and not posted yet. Its keys are durable, and destroyed if no unit begins to post it.
#[derive(Clone)]
pub struct PreparedLetter {
    id: Id<Letter>,
    guard: Arc<KeyGuard>,
    doc: Vec<u8>,
    keys: Keys,
    written_at: Timestamp,
    expires_at: Timestamp,
}

impl std::fmt::Debug for PreparedLetter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PreparedLetter({})", self.id)
    }
}

/// Returns the place of a letter's content.
pub(super) fn place(id: Id<Letter>) -> SealContext {
    SealContext { table: "letters", column: "doc", subject: id.uuid(), row: id.uuid(), revision: 1 }
}

/// Seals a letter under keys of its own, before the unit that posts it.
///
/// # Errors
///
/// When the keyring cannot be written.
pub async fn prepare(state: &State, letter: &LetterDoc, now: Timestamp) -> Result<PreparedLetter> {
    let id: Id<Letter> = state.entropy.id(now);
    let keys = state.vault.create(id.uuid(), PURPOSES, now).await?;
    let guard = Arc::new(state.vault.guard(id.uuid(), PURPOSES));
    let doc = keys.seal_json(Purpose::Account, &place(id), letter)?;
    let expires_at = now.saturating_add(letter.kind.lifetime()).unwrap_or(now);
    Ok(PreparedLetter { id, guard, doc, keys, written_at: now, expires_at })
}

/// Posts a letter: it leaves soon after the unit has committed, and not if it does not.
///
/// # Errors
///
/// When the database cannot be written.
pub fn post(tx: &mut Tx<'_>, vault: &Vault, letter: &PreparedLetter) -> Result<()> {
    letter.guard.begin_use();
    store::insert(tx, letter.id, &letter.doc, (letter.written_at, letter.expires_at))?;
    vault.keep(tx, &letter.keys)
}

/// Issues a proof and posts the letter that carries its code, in one unit. Nothing is written for an address that was
/// sent enough within the hour.
///
/// # Errors
///
/// When database or keyring cannot be written.
pub async fn send_proof(state: &State, proof: NewProof, letter: &LetterDoc, now: Timestamp) -> Result<()> {
    let letter = prepare(state, letter, now).await?;
    let vault = state.vault.clone();
    let unit = state.db.write(move |tx| {
        let issued = proofs::issue(tx, &vault, &proof, now)?;
        if issued { post(tx, &vault, &letter) } else { Ok(()) }
    });
    unit.await
}
