//! The use of a passkey: looked at before the unit, used up in it.

use jiff::Timestamp;
use uuid::Uuid;

use super::ceremony::{Ceremony, CeremonyKind};
use super::model::{Assertion, PasskeyDoc, Verdict};
use super::relying_party::RelyingParty;
use super::store::{self, PasskeyFound, PasskeyRow};
use crate::db::{At, Tx};
use crate::identity::security_events::{SecurityEvent, tell_owner};
use crate::kernel::id::Account;
use crate::kernel::{Error, Id, Result};
use crate::state::State;
use crate::vault::{Keys, MacLabel, Purpose, SealContext, Vault};

/// Returns the keyed hash under which a passkey is looked up.
pub(super) fn credential_key(vault: &Vault, credential_id: &[u8]) -> Vec<u8> {
    vault.mac(MacLabel::Passkey, &[b"credential", credential_id]).to_vec()
}

/// Returns the handle under which devices keep the passkeys of an account. It says nothing of the account.
pub(super) fn handle_of(vault: &Vault, account: Id<Account>) -> Uuid {
    let mac = vault.mac(MacLabel::Passkey, &[b"handle", account.uuid().as_bytes()]);
    Id::<Account>::from_mac(&mac).uuid()
}

fn place(row: &PasskeyRow) -> SealContext {
    let (subject, id) = (row.account_id.uuid(), row.id.uuid());
    SealContext { table: "passkeys", column: "doc", subject, row: id, revision: row.version }
}

/// Seals the document of a passkey for the version of its row.
pub(super) fn seal(keys: &Keys, row: &PasskeyRow, doc: &PasskeyDoc) -> Result<Vec<u8>> {
    keys.seal_json(Purpose::Account, &place(row), doc)
}

/// Opens the document of a passkey.
pub(super) fn open(keys: &Keys, found: &PasskeyFound) -> Result<PasskeyDoc> {
    keys.open_json(&place(&found.row), &found.doc)
}

/// A passkey that has signed a challenge, with its document as it is to be stored.
#[derive(Clone)]
struct Signed {
    row: PasskeyRow,
    keys: Keys,
    doc: PasskeyDoc,
    ceremony: Ceremony,
}

/// The answer of a device that was looked at before the unit that uses it up; without a passkey when it is wrong.
#[derive(Clone)]
pub(in crate::identity) struct ShownPasskey(Option<Signed>);

impl std::fmt::Debug for ShownPasskey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ShownPasskey(***, fits: {})", self.0.is_some())
    }
}

impl ShownPasskey {
    /// Returns the account of the passkey, with its keys.
    pub(in crate::identity) fn owner(&self) -> Option<(Id<Account>, Keys)> {
        self.0.as_ref().map(|signed| (signed.row.account_id, signed.keys.clone()))
    }

    /// Uses the challenge up and stores how the passkey stands now. Returns whether it is good: it is one of this
    /// account, it is still there, and the challenge was not answered before. That of another account stays as it was,
    /// but its answer is not good a second time.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the passkey was used since it was looked at.
    pub(in crate::identity) fn spend(&self, tx: &mut Tx<'_>, account: Id<Account>, now: Timestamp) -> Result<bool> {
        let Some(signed) = &self.0 else { return Ok(false) };
        if !signed.ceremony.spend(tx)? || signed.row.account_id != account {
            return Ok(false);
        }
        let Some(held) = store::hold_passkey(tx, signed.row.id)? else { return Ok(false) };
        if held.version != signed.row.version {
            return Err(Error::Unavailable("the passkey was used at the same time"));
        }
        let row = PasskeyRow { version: tx.version_after(held.version), last_used_at: Some(At(now)), ..held };
        let doc = seal(&signed.keys, &row, &signed.doc)?;
        store::update_passkey(tx, &row, &doc)?;
        Ok(true)
    }
}

/// Looks whether a device has answered a challenge with a passkey that is known here. For one that is not, the same
/// look-ups are made.
///
/// # Errors
///
/// When database or keyring cannot be reached; [`Code::PasskeysOff`](crate::kernel::Code::PasskeysOff).
pub(in crate::identity) async fn look_at(state: &State, shown: Assertion, now: Timestamp) -> Result<ShownPasskey> {
    let party = RelyingParty::of(&state.config)?;
    Ok(ShownPasskey(verify(state, &party, shown, now).await?))
}

async fn verify(state: &State, party: &RelyingParty, shown: Assertion, now: Timestamp) -> Result<Option<Signed>> {
    let Assertion { ceremony, credential } = shown;
    let ceremony = Ceremony::open(&state.vault, &CeremonyKind::log_in(), &ceremony, now);
    let Some((ceremony, named)) = ceremony.zip(RelyingParty::named(&credential)) else { return Ok(None) };
    let key = credential_key(&state.vault, &named.credential_id);
    let found = state.db.read(move |tx| store::find_by_credential(tx, &key)).await?;
    // An unknown one gets an id that no account has, so that the same look-ups are made.
    let account = found.as_ref().map_or_else(|| Id::from_uuid(state.entropy.opaque()), |found| found.row.account_id);
    let keys = state.vault.keys_from_keyring(account.uuid()).await?;
    let Some((found, keys)) = found.zip(keys) else { return Ok(None) };
    let handle = handle_of(&state.vault, account);
    if named.handle.is_some_and(|named| named != handle.as_bytes()) {
        return Ok(None);
    }
    let Some(doc) = Error::skip_damaged(open(&keys, &found))? else { return Ok(None) };
    match party.finish_log_in(ceremony.state(), credential, &doc.key)? {
        Verdict::Right(key) => Ok(Some(Signed { row: found.row, keys, doc: PasskeyDoc { key, ..doc }, ceremony })),
        Verdict::Wrong => Ok(None),
        Verdict::Copied => tell_of_copy(state, keys, account, ceremony, now).await.map(|()| None),
    }
}

/// Tells the owner of an account that there may be a copy of a passkey: once for each challenge, since whoever has
/// heard an answer could repeat it.
async fn tell_of_copy(
    state: &State,
    keys: Keys,
    account: Id<Account>,
    ceremony: Ceremony,
    now: Timestamp,
) -> Result<()> {
    let vault = state.vault.clone();
    let unit = move |tx: &mut Tx<'_>| {
        if ceremony.spend(tx)? {
            tell_owner(tx, (&vault, &keys), account, None, SecurityEvent::PasskeyCopied, now)?;
        }
        Ok(())
    };
    state.db.write(unit).await
}
