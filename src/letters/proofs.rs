//! Proofs of addresses: codes for one use that were sent there.

use jiff::{SignedDuration, Timestamp};

use super::model::ProofPurpose;
use super::store::{self, ProofRow};
use crate::db::{At, Tx};
use crate::kernel::id::{Account, AddressProof};
use crate::kernel::{Code, Error, Id, JoinCode, Result};
use crate::vault::{MacLabel, Vault};

/// The most proofs of an address for a purpose within [`WITHIN`].
pub const MOST: i64 = 5;
/// The most proofs that an account asks for within [`WITHIN`], whatever the addresses: nobody mails strangers by it.
pub const MOST_OF_ACCOUNT: i64 = 10;
/// The time within which they are counted.
pub const WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// Returns the one error for a code that cannot be used, whatever the reason.
pub fn refused() -> Error {
    Error::Malformed(Code::CodeInvalid, String::new())
}

/// Derives the code of a proof.
pub fn code_of(vault: &Vault, id: Id<AddressProof>) -> JoinCode {
    JoinCode::of(vault.mac(MacLabel::Code, &[b"address proof", id.uuid().as_bytes()]))
}

/// Returns the keyed hash under which a code is looked up.
fn code_hash(vault: &Vault, code: &JoinCode) -> Vec<u8> {
    vault.mac(MacLabel::Code, &[b"address proof hash", code.bytes()]).to_vec()
}

/// The proof that a letter will carry.
#[derive(Clone, Debug)]
pub struct NewProof {
    /// Its id, drawn before the unit.
    pub id: Id<AddressProof>,
    /// What it is for.
    pub purpose: ProofPurpose,
    /// The keyed hash of the address.
    pub email_key: Vec<u8>,
    /// The account whose address it proves.
    pub account: Option<Id<Account>>,
}

/// Whether a proof may be sent now: its address was not sent enough, nor has its account asked for enough.
///
/// # Errors
///
/// When the database cannot be read.
pub fn has_room(tx: &mut Tx<'_>, new: &NewProof, now: Timestamp) -> Result<bool> {
    let since = now.saturating_sub(WITHIN).unwrap_or(now);
    let of_account = new.account.map_or(Ok(0), |account| store::count_proofs_of(tx, account, since))?;
    Ok(of_account < MOST_OF_ACCOUNT && store::count_proofs(tx, &new.email_key, new.purpose, since)? < MOST)
}

/// Issues a proof, unless there is no room for it ([`has_room`]): then `false`, and no letter is to be posted. The
/// same is done for addresses that nobody has.
///
/// # Errors
///
/// When the database cannot be written.
pub fn issue(tx: &mut Tx<'_>, vault: &Vault, new: &NewProof, now: Timestamp) -> Result<bool> {
    store::hold_counted(tx, new.account, &new.email_key)?;
    if !has_room(tx, new, now)? {
        return Ok(false);
    }
    let row = ProofRow {
        id: new.id,
        code_hash: code_hash(vault, &code_of(vault, new.id)),
        purpose: new.purpose.number(),
        email_key: new.email_key.clone(),
        account_id: new.account,
        created_at: At(now),
        expires_at: At(now.saturating_add(new.purpose.lifetime()).unwrap_or(now)),
        used_at: None,
    };
    store::insert_proof(tx, &row)?;
    Ok(true)
}

/// Finds the proof of a code that may be used now.
///
/// # Errors
///
/// When the database cannot be read.
pub fn find(
    tx: &mut Tx<'_>,
    vault: &Vault,
    code: &JoinCode,
    purpose: ProofPurpose,
    now: Timestamp,
) -> Result<Option<ProofRow>> {
    store::find_open_proof(tx, &code_hash(vault, code), purpose, now)
}

/// Whether the proof of a code was used.
///
/// # Errors
///
/// When the database cannot be read.
pub fn is_used(tx: &mut Tx<'_>, vault: &Vault, code: &JoinCode, purpose: ProofPurpose) -> Result<bool> {
    store::is_proof_used(tx, &code_hash(vault, code), purpose)
}

/// Uses a proof up, with all others of its address for the same purpose. Of concurrent units only one gets `true`.
///
/// # Errors
///
/// When the database cannot be written.
pub fn redeem(tx: &mut Tx<'_>, proof: &ProofRow, now: Timestamp) -> Result<bool> {
    let open = store::hold_open_proofs(tx, &proof.email_key, proof.purpose)?;
    let found = open.iter().any(|row| row.id == proof.id && row.expires_at.0 > now);
    if found {
        for row in open {
            store::mark_proof_used(tx, row, now)?;
        }
    }
    Ok(found)
}

/// Uses a proof up as [`redeem`], and notes the account whose passphrase its code sets.
///
/// # Errors
///
/// When the database cannot be written.
pub fn redeem_reset(tx: &mut Tx<'_>, proof: &ProofRow, account: Id<Account>, now: Timestamp) -> Result<bool> {
    let is_redeemed = redeem(tx, proof, now)?;
    if is_redeemed {
        store::mark_proof_used(tx, ProofRow { account_id: Some(account), ..proof.clone() }, now)?;
    }
    Ok(is_redeemed)
}

/// Returns the instant after `since` at which a code from a letter last set the passphrase of an account, also if its
/// address has changed since. A proof that was used is kept for a day at least.
///
/// # Errors
///
/// When the database cannot be read.
pub fn last_reset(tx: &mut Tx<'_>, account: Id<Account>, since: Timestamp) -> Result<Option<Timestamp>> {
    store::find_last_use(tx, account, ProofPurpose::Reset, since)
}

/// Returns what a pause of an account's resets is found by, whatever the address: somebody else may move it.
fn pause_key(vault: &Vault, account: Id<Account>) -> Vec<u8> {
    vault.mac(MacLabel::Code, &[b"reset pause", account.uuid().as_bytes()]).to_vec()
}

/// Pauses resets by mail of an account for 24 hours. Codes that were sent before set no passphrase either, since they
/// work for a shorter time.
///
/// # Errors
///
/// When the database cannot be written.
pub fn pause_resets(
    tx: &mut Tx<'_>,
    vault: &Vault,
    (id, account): (Id<AddressProof>, Id<Account>),
    now: Timestamp,
) -> Result<()> {
    let email_key = pause_key(vault, account);
    let pause = NewProof { id, purpose: ProofPurpose::ResetPause, email_key, account: None };
    // Without room for another, five pauses have begun within the hour.
    issue(tx, vault, &pause, now).map(drop)
}

/// Whether resets by mail of an account are paused.
///
/// # Errors
///
/// When the database cannot be read.
pub fn is_reset_paused(tx: &mut Tx<'_>, vault: &Vault, account: Id<Account>, now: Timestamp) -> Result<bool> {
    let since = now.saturating_sub(ProofPurpose::ResetPause.lifetime()).unwrap_or(now);
    Ok(store::count_proofs(tx, &pause_key(vault, account), ProofPurpose::ResetPause, since)? > 0)
}

/// Makes the proofs that an account has asked for void: their codes do nothing any more.
///
/// # Errors
///
/// When the database cannot be written.
pub fn void_of(tx: &mut Tx<'_>, account: Id<Account>, now: Timestamp) -> Result<()> {
    for row in store::hold_open_proofs_of(tx, account)? {
        store::mark_proof_used(tx, row, now)?;
    }
    Ok(())
}
