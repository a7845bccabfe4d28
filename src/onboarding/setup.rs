//! The first run: a code that the server prints makes the first clinic and its admin.

use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::code::JoinCode;
use super::model::{Person, refused};
use crate::care::clinics::clinic_place;
use crate::care::model::{Capabilities, ClinicDoc};
use crate::care::store::{any_clinic, insert_clinic, insert_member};
use crate::db::values;
use crate::identity::actions::{self, SessionSecrets, SessionTokens};
use crate::identity::{AccountKind, Passwords, Profile, Tokens};
use crate::kernel::id::Clinic;
use crate::kernel::{Code, Error, Id, Result, Text};
use crate::state::State;
use crate::vault::{MacLabel, Purpose, Vault};

/// The name under which the seed of the code is kept until it is used.
const SETTING: &str = "first_run_code";

/// Returns the code that makes the first clinic, while there is none.
///
/// A random seed is stored; the code is a keyed hash of it. The code therefore stays the same when the server restarts
/// or several start at once, and the database does not hold it.
pub async fn first_run_code(state: &State) -> Result<Option<String>> {
    let fresh: [u8; 32] = state.entropy.bytes();
    let seed = state.db.write(move |tx| {
        if any_clinic(tx)? {
            return Ok(None);
        }
        values::insert(tx, SETTING, &fresh)?;
        values::find(tx, SETTING)
    });
    Ok(seed.await?.map(|seed| code_of(&state.vault, &seed).to_string()))
}

fn code_of(vault: &Vault, seed: &[u8]) -> JoinCode {
    JoinCode::of(vault.mac(MacLabel::Code, &[b"first run", seed]))
}

/// The first clinic and its admin.
#[derive(Debug)]
pub struct Founded {
    /// The clinic.
    pub clinic: Id<Clinic>,
    /// The admin's first session.
    pub grant: SessionTokens,
}

/// Makes the first clinic and its admin, who has the capabilities `may` there, and logs the admin in.
///
/// # Errors
///
/// [`Code::SetupDone`] when there is a clinic, [`Code::CodeInvalid`] when the code is not the one printed.
pub async fn set_up(
    state: &State,
    passwords: &Passwords,
    tokens: Arc<Tokens>,
    code: Option<JoinCode>,
    clinic_name: Text<120>,
    (admin, may): (Person, Capabilities),
) -> Result<Founded> {
    let now = state.clock.now();
    let found = state.db.read(|tx| Ok((any_clinic(tx)?, values::find(tx, SETTING)?))).await?;
    let seed = match found {
        (true, _) => return Err(Error::conflict(Code::SetupDone)),
        (false, seed) => seed.ok_or_else(refused)?,
    };
    let right = code.is_some_and(|code| bool::from(code.bytes().ct_eq(code_of(&state.vault, &seed).bytes())));
    if !right {
        return Err(refused());
    }
    let clinic: Id<Clinic> = state.entropy.id(now);
    let keys = state.vault.create(clinic.uuid(), &[Purpose::Clinic], now).await?;
    let doc = keys.seal_json(Purpose::Clinic, &clinic_place(clinic, 1), &ClinicDoc { name: clinic_name })?;
    let profile = Profile { name: admin.name, email: admin.email };
    let draft = actions::draft(state, passwords, AccountKind::Staff, &profile, admin.passphrase, now).await?;
    let account = draft.id;
    let (vault, opening) = (state.vault.clone(), SessionSecrets::draw(state, now));
    let unit = state.db.write(move |tx| {
        if !values::delete(tx, SETTING, &seed)? {
            return Err(Error::conflict(Code::SetupDone));
        }
        insert_clinic(tx, clinic, &doc, now)?;
        let admin = actions::insert(tx, &vault, &draft)?.ok_or_else(refused)?;
        insert_member(tx, clinic, admin, may, now)?;
        let (vault_of, keys) = (vault.clone(), keys.clone());
        tx.after_commit(move || vault_of.remember(&keys));
        let grant = actions::open_session(tx, &vault, &tokens, admin, &opening, now)?;
        Ok(Founded { clinic, grant })
    });
    let founded = unit.await;
    if matches!(&founded, Err(Error::Conflict(..) | Error::Malformed(..))) {
        // Another request was faster, so these subjects were never inserted.
        state.vault.destroy(clinic.uuid(), &[Purpose::Clinic]).await?;
        state.vault.destroy(account.uuid(), &[Purpose::Account]).await?;
    }
    founded
}
