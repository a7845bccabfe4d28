//! Codes by which a member of staff gets a new passphrase from an admin of their clinic, in person.
//!
//! No act of an admin gives anybody content. Whoever holds a code and knows the address could be the admin: so the care
//! links of the account end when its code is used, and a new link needs the patient.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::invitations::code_hash;
use super::model::refused;
use crate::care::clinics::require_admin;
use crate::care::members;
use crate::care::store::{self, ResetRow, memberships};
use crate::db::{At, Tx};
use crate::idempotency::Outcome;
use crate::identity::actions::email_key;
use crate::identity::upkeep::{self, AccountChange};
use crate::identity::{Email, Live, Passphrase, Passwords, Profile, SecurityEvent, Staff, factors, find_email_key};
use crate::kernel::id::{Account, Clinic, StaffReset};
use crate::kernel::{Error, Id, JoinCode, Result};
use crate::state::State;
use crate::vault::{Keys, MacLabel, Vault};

/// The lifetime of a code.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// Derives the code of a reset.
pub fn code_of(vault: &Vault, id: Id<StaffReset>) -> JoinCode {
    JoinCode::of(vault.mac(MacLabel::Code, &[b"staff reset", id.uuid().as_bytes()]))
}

/// Makes a code for a member, for an admin of their clinic, and ends the member's sessions. Codes that were made before
/// and not used no longer work.
///
/// # Errors
///
/// As [`members::manage_account`].
pub fn create(
    tx: &mut Tx<'_>,
    (vault, keys): (&Vault, Option<&Keys>),
    live: &Live<Staff>,
    (clinic, account): (Id<Clinic>, Id<Account>),
    id: Id<StaffReset>,
) -> Result<ResetRow> {
    members::manage_account(tx, (vault, keys), live, (clinic, account), "credential_reset_by_admin", |tx| {
        upkeep::revoke_sessions(tx, account, live.now())
    })?;
    store::delete_resets(tx, &[account])?;
    let row = ResetRow {
        id,
        code_hash: code_hash(vault, &code_of(vault, id)),
        account_id: account,
        created_at: At(live.now()),
        expires_at: At(live.now().saturating_add(LIFETIME).unwrap_or(Timestamp::MAX)),
    };
    store::insert_reset(tx, &row)?;
    Ok(row)
}

/// Reads a reset after it was made, for an admin of the clinic.
///
/// # Errors
///
/// As [`require_admin`]; [`Error::NotFound`] when it was used, or another one has taken its place.
pub fn show(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    clinic: Option<Id<Clinic>>,
    outcome: Outcome<ResetRow>,
) -> Result<ResetRow> {
    require_admin(tx, live, clinic.ok_or(Error::NotFound)?)?;
    outcome.or_get(|id| store::get_reset(tx, id))
}

/// A new passphrase, with the code for it.
#[derive(Clone, Debug)]
pub struct NewPassphrase {
    /// The code; `None` when the typed text cannot be one.
    pub code: Option<JoinCode>,
    /// The address of the account.
    pub email: Email,
    /// The passphrase.
    pub passphrase: Passphrase,
}

/// Finds the reset of a code for the account with this address. Of who works nowhere any more no admin has a say.
fn get_open(tx: &mut Tx<'_>, hash: &[u8], email: &[u8], now: Timestamp) -> Result<Id<Account>> {
    let Some(ResetRow { account_id: account, .. }) = store::find_reset(tx, hash, now)? else {
        // A request may have used it up whose answer waited for the revocation ledger.
        tx.follow_up();
        return Err(refused());
    };
    let fits = find_email_key(tx, account)?.is_some_and(|own| own == email);
    if fits && !memberships(tx, account)?.is_empty() { Ok(account) } else { Err(refused()) }
}

/// Gives an account a new passphrase. Its sessions end, its care links, covers and accesses in emergencies; its second
/// factor is taken away; an address that was asked for is forgotten, and the failed log-ins from `network`.
///
/// # Errors
///
/// [`Code::CodeInvalid`](crate::kernel::Code::CodeInvalid) for a code that is unknown, used or expired, or is of another
/// account; [`Error::Damaged`] when it cannot be read where they work, or what is to end there.
pub async fn redeem(
    state: &State,
    passwords: &Passwords,
    wish: NewPassphrase,
    network: Option<IpAddr>,
) -> Result<Id<Account>> {
    let NewPassphrase { code, email, passphrase } = wish;
    let (now, vault) = (state.clock.now(), state.vault.clone());
    // An impossible code is looked up like an unknown one.
    let code = code.unwrap_or_else(|| JoinCode::of(state.entropy.bytes()));
    let (hash, email) = (code_hash(&vault, &code), email_key(&vault, &email));
    let asked = (hash.clone(), email.clone());
    let account = state.db.read(move |tx| get_open(tx, &asked.0, &asked.1, now)).await?;
    let own = upkeep::find(state, account).await?.ok_or_else(refused)?;
    let credential = passwords.hash(passphrase, &state.entropy).await?;
    let planner = Arc::clone(&state.planner);
    let unit = state.db.write(move |tx| {
        let account = get_open(tx, &hash, &email, now)?;
        // Held before the code: who just joins a clinic deletes it, and holds the account by then.
        let clinics = members::hold_work_of(tx, account)?;
        if !store::delete_reset(tx, &hash)? {
            return Err(refused());
        }
        store::delete_resets(tx, &[account])?;
        // Who has lost the passphrase may have lost the phone with it: nothing that was granted is behind this door.
        factors::forget(tx, &own, &vault, now)?;
        let (credential, unchanged) = (Some(credential.clone()), own.unchanged());
        let profile = Profile { pending: None, ..unchanged.profile.clone() };
        let change = AccountChange { credential, profile, factor_since: None, guarded_until: None, ..unchanged };
        own.store(tx, &change, now)?;
        own.tell_owner(tx, &vault, None, SecurityEvent::PassphraseReset, now)?;
        // Who has forgotten the passphrase has tried others.
        upkeep::forgive(tx, &vault, (own.email_key(), network), now)?;
        members::end_links_of(tx, planner.as_ref(), (account, &clinics), now)?;
        Ok(account)
    });
    unit.await
}
