//! The first run: a code that the server prints makes the first clinic and its admin.

use std::sync::Arc;

use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::model::{Person, refused};
use super::registration::REPEATED;
use crate::care::clinics::clinic_place;
use crate::care::model::{Capabilities, ClinicDoc};
use crate::care::people::SealedNames;
use crate::care::store::{first_clinic, insert_clinic, insert_member};
use crate::db::values;
use crate::identity::actions::{self, SessionSecrets, SignedIn, email_key};
use crate::identity::log_in::{self, LogInAttempt};
use crate::identity::{AccountKind, Passwords, Profile, Tokens, find_email_key};
use crate::kernel::id::Clinic;
use crate::kernel::{Code, Error, Id, JoinCode, Result, Text};
use crate::state::State;
use crate::vault::{MacLabel, Purpose, Vault};

/// The name under which the seed of the code is kept until it is used.
const SETTING: &str = "first_run_code";
/// The name under which it is kept after that.
const USED: &str = "first_run_code_used";
/// The name under which the account of the first admin is kept.
const ADMIN: &str = "first_run_admin";

/// Returns the code that makes the first clinic, while there is none.
///
/// A random seed is stored; the code is a keyed hash of it. The code therefore stays the same when the server restarts
/// or several start at once, and the database does not hold it.
pub async fn first_run_code(state: &State) -> Result<Option<String>> {
    let fresh: [u8; 32] = state.entropy.bytes();
    let seed = state.db.write(move |tx| {
        if first_clinic(tx)?.is_some() {
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
    /// Whether this request made them.
    pub created: bool,
    /// The clinic.
    pub clinic: Id<Clinic>,
    /// Its name.
    pub name: Text<120>,
    /// The admin, logged in.
    pub admin: SignedIn,
}

/// Makes the first clinic and its admin, who has the capabilities `may` there, and logs the admin in. For a day, the
/// same code, address and passphrase log that admin in again, and nobody else: the first answer may be lost.
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
    let (email, passphrase) = (admin.email.clone(), admin.passphrase.clone());
    match found(state, passwords, Arc::clone(&tokens), code, clinic_name, (admin, may)).await {
        Err(Error::Conflict(Code::SetupDone, _)) => {}
        founded => return founded,
    }
    let done = || Error::conflict(Code::SetupDone);
    let asked = email_key(&state.vault, &email);
    let read = state.db.read(move |tx| {
        let clinic = first_clinic(tx)?;
        let names = SealedNames::collect(tx, [], clinic.map(|(id, _)| id))?;
        let first = values::find(tx, ADMIN)?.and_then(|id| Uuid::from_slice(&id).ok());
        let address = first.map_or(Ok(None), |id| find_email_key(tx, Id::from_uuid(id)))?;
        Ok((clinic, values::find(tx, USED)?, names, address == Some(asked.clone())))
    });
    let (clinic, seed, names, of_admin) = read.await?;
    let (clinic, made_at) = clinic.ok_or_else(done)?;
    let recent = state.clock.now().duration_since(made_at) <= REPEATED;
    if !(recent && of_admin && seed.is_some_and(|seed| fits(&state.vault, code, &seed))) {
        return Err(done());
    }
    let attempt = LogInAttempt::again(email, passphrase);
    let admin = log_in::log_in(state, passwords, tokens, attempt).await.map_err(|error| match error {
        Error::Unauthenticated(_) => done(),
        other => other,
    })?;
    let name = names.open(&state.vault).await?.clinic(clinic).ok_or_else(done)?;
    Ok(Founded { created: false, clinic, name: Text::parse(name).map_err(Error::internal)?, admin })
}

/// Whether `code` is the one that `seed` makes.
fn fits(vault: &Vault, code: Option<JoinCode>, seed: &[u8]) -> bool {
    code.is_some_and(|code| bool::from(code.bytes().ct_eq(code_of(vault, seed).bytes())))
}

async fn found(
    state: &State,
    passwords: &Passwords,
    tokens: Arc<Tokens>,
    code: Option<JoinCode>,
    clinic_name: Text<120>,
    (admin, may): (Person, Capabilities),
) -> Result<Founded> {
    let now = state.clock.now();
    let found = state.db.read(|tx| Ok((first_clinic(tx)?.is_some(), values::find(tx, SETTING)?))).await?;
    let seed = match found {
        (true, _) => return Err(Error::conflict(Code::SetupDone)),
        (false, seed) => seed.ok_or_else(refused)?,
    };
    if !fits(&state.vault, code, &seed) {
        return Err(refused());
    }
    let clinic: Id<Clinic> = state.entropy.id(now);
    let keys = state.vault.create(clinic.uuid(), &[Purpose::Clinic], now).await?;
    let guard = state.vault.guard(clinic.uuid(), &[Purpose::Clinic]);
    let doc = keys.seal_json(Purpose::Clinic, &clinic_place(clinic, 1), &ClinicDoc { name: clinic_name.clone() })?;
    let profile = Profile::new(admin.name.clone(), admin.email);
    let draft = actions::draft(state, passwords, AccountKind::Staff, &profile, admin.passphrase, now).await?;
    let account = draft.id;
    let (vault, opening) = (state.vault.clone(), SessionSecrets::draw(state, now));
    let unit = state.db.write(move |tx| {
        if !values::delete(tx, SETTING, &seed)? {
            return Err(Error::conflict(Code::SetupDone));
        }
        guard.begin_use();
        values::insert(tx, USED, &seed)?;
        values::insert(tx, ADMIN, account.uuid().as_bytes())?;
        insert_clinic(tx, clinic, &doc, now)?;
        let account = actions::insert(tx, &vault, &draft)?.ok_or_else(refused)?;
        insert_member(tx, clinic, account, may, now)?;
        vault.keep(tx, &keys)?;
        actions::open_session(tx, &vault, &tokens, account, &opening, now)
    });
    let grant = unit.await;
    if matches!(&grant, Err(Error::Conflict(..) | Error::Malformed(..))) {
        // Another request was faster, so these subjects were never inserted. The unit may have begun to use the keys,
        // and then their guards leave them.
        state.vault.destroy(clinic.uuid(), &[Purpose::Clinic]).await?;
        state.vault.destroy(account.uuid(), &[Purpose::Account]).await?;
    }
    let admin = SignedIn { kind: AccountKind::Staff, patient: None, name: Some(admin.name), grant: grant? };
    Ok(Founded { created: true, clinic, name: clinic_name, admin })
}
