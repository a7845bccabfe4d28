//! Joining with a code: as a new account, or with the one somebody has.
//!
//! The answer to a code that is unknown, used, revoked, expired or bound to another address, and to an address that
//! somebody has already, is the same, after the same statements; the code stays unused.

use std::sync::Arc;

use super::access::{Access, Role, Write};
use super::code::JoinCode;
use super::inviting::code_hash;
use super::model::{Capabilities, Invitee};
use super::store::{self, Open};
use super::{clinics, links};
use crate::db::Tx;
use crate::identity::actions::{self, Grant, Opening, email_key};
use crate::identity::{AccountKind, Anyone, Email, Live, Passphrase, Passwords, Profile, Tokens};
use crate::kernel::id::{CareLink, Clinic, Patient};
use crate::kernel::{Code, Error, Fields, Id, Result, Text, Zone};
use crate::settings::{Settings, insert_settings};
use crate::state::State;
use crate::vault::{Purpose, Vault};

/// The one answer to a code that cannot be used, whatever the reason.
pub fn refused() -> Error {
    Error::Malformed(Code::CodeInvalid, String::new())
}

/// Somebody who makes an account.
#[derive(Clone, Debug)]
pub struct Person {
    /// What others call them.
    pub name: Text<120>,
    /// Their address.
    pub email: Email,
    /// Their passphrase.
    pub passphrase: Passphrase,
}

/// What a new patient says about where they live.
#[derive(Clone, Debug)]
pub struct Newborn {
    /// Where the clock on their wall is.
    pub zone: Zone,
    /// The language they read, BCP 47.
    pub locale: String,
    /// The country whose crisis numbers they are shown, ISO 3166.
    pub country: Option<String>,
}

/// A registration.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The code; `None` when what was typed cannot be one.
    pub code: Option<JoinCode>,
    /// Who.
    pub person: Person,
    /// Whether they said that they are of age. Asked of patients.
    pub adult: bool,
    /// Asked of patients.
    pub zone: Option<Zone>,
    /// Their language.
    pub locale: String,
    /// Their country.
    pub country: Option<String>,
}

/// Somebody who has just joined.
#[derive(Debug)]
pub struct Registered {
    /// Patient or staff.
    pub kind: AccountKind,
    /// The patient they are.
    pub patient: Option<Id<Patient>>,
    /// Their first session.
    pub grant: Grant,
}

/// The rows that a patient has from the first moment. The one place: what else must exist for everybody is added here.
pub fn on_patient_created(tx: &mut Tx<'_>, access: &Access<Write>, newborn: &Newborn) -> Result<()> {
    store::insert_patient(tx, access)?;
    let mut settings = Settings::new(newborn.zone.clone(), newborn.locale.as_str(), access.now());
    settings.country.clone_from(&newborn.country);
    insert_settings(tx, access.patient(), access.keys()?, &settings, access.now())
}

fn fits(open: &Open, email: &[u8]) -> bool {
    open.email_key.as_deref().is_none_or(|bound| bound == email)
}

/// What is asked of a patient, once it is known that the code is one for patients.
fn newborn(registration: &Registration) -> Result<Newborn> {
    let mut fields = Fields::new();
    fields.check(registration.adult, "/adult", "must be true: this server is for adults");
    let zone = fields.need("/time_zone", registration.zone.clone(), Ok::<_, String>);
    let zone = fields.finish(zone)?;
    Ok(Newborn { zone, locale: registration.locale.clone(), country: registration.country.clone() })
}

/// Makes an account with a code and logs it in. A patient's care link is then accepted; a member of staff works at
/// the clinic.
///
/// # Errors
///
/// [`Code::CodeInvalid`], also for an address that is taken; faults of what is asked of patients.
pub async fn register(
    state: &State,
    passwords: &Passwords,
    tokens: Arc<Tokens>,
    registration: Registration,
) -> Result<Registered> {
    let now = state.clock.now();
    let vault = state.vault.clone();
    // What cannot be a code is looked up like one that nobody has.
    let code = registration.code.unwrap_or_else(|| JoinCode::of(state.entropy.bytes()));
    let (hash, email) = (code_hash(&vault, &code), email_key(&vault, &registration.person.email));
    let (peek_hash, peek_email) = (hash.clone(), email.clone());
    let peek =
        state.db.read(move |tx| Ok((store::find_open(tx, &peek_hash, now)?, store::address_taken(tx, &peek_email)?)));
    let (open, taken) = peek.await?;
    let open = open.filter(|open| fits(open, &email)).ok_or_else(refused)?;
    // Before the address: the faults of a form must not depend on who is known here.
    let newborn = match open.invitee {
        Invitee::Patient => Some(newborn(&registration)?),
        Invitee::Staff(_) => None,
    };
    if taken {
        return Err(refused());
    }
    let kind = if newborn.is_some() { AccountKind::Patient } else { AccountKind::Staff };
    let Person { name, email: address, passphrase } = registration.person;
    let profile = Profile { name, email: address };
    let draft = actions::draft(state, passwords, kind, &profile, passphrase, now).await?;
    let (account, patient) = (draft.id, draft.patient);
    let opening = Opening::draw(state, now);
    let link: Id<CareLink> = state.entropy.id(now);
    let unit = state.db.write(move |tx| {
        let open = store::find_open(tx, &hash, now)?.filter(|open| fits(open, &email)).ok_or_else(refused)?;
        if !store::mark_used(tx, open.id, draft.id, now)? {
            return Err(refused());
        }
        let account = actions::insert(tx, &vault, &draft, now)?.ok_or_else(refused)?;
        let grant = actions::open_session(tx, &vault, &tokens, account, &opening, now)?;
        match (open.invitee, &newborn, draft.patient.zip(draft.patient_keys())) {
            (Invitee::Staff(may), None, None) => {
                clinics::join(tx, open.clinic, account, may, now)?;
            }
            (Invitee::Patient, Some(newborn), Some((patient, keys))) => {
                let actor = (account, grant.session);
                let access = Access::opened(patient, Role::Owner, actor, Some(keys.clone()), now);
                on_patient_created(tx, &access, newborn)?;
                links::accept(tx, &access, link, open.clinic, open.inviter)?;
            }
            _ => return Err(Error::internal("an invitation changed its kind")),
        }
        Ok(grant)
    });
    let answer = unit.await;
    if matches!(&answer, Err(Error::Malformed(..))) {
        // The code or the address was taken meanwhile: this account was never inserted.
        state.vault.destroy(account.uuid(), &[Purpose::Account]).await?;
        if let Some(patient) = patient {
            state.vault.destroy(patient.uuid(), &[Purpose::Journal, Purpose::Clinical]).await?;
        }
    }
    Ok(Registered { kind, patient, grant: answer? })
}

/// What an account has joined.
#[derive(Clone, Copy, Debug)]
pub enum Joined {
    /// A patient: a therapist, over this link.
    Link(Id<CareLink>),
    /// Staff: a clinic, where they may do this.
    Clinic(Id<Clinic>, Capabilities),
}

/// Uses a code for the account that somebody has: a patient gets another therapist, staff another clinic.
///
/// # Errors
///
/// [`Code::CodeInvalid`], also for an invitation of the other kind; [`Code::AlreadyLinked`], [`Code::StateConflict`]
/// for those who have what it offers. The code then stays unused.
pub fn accept(
    tx: &mut Tx<'_>,
    vault: &Vault,
    live: &Live<Anyone>,
    code: Option<JoinCode>,
    link: Id<CareLink>,
) -> Result<Joined> {
    let code = code.ok_or_else(refused)?;
    let email = store::address_of(tx, live.account())?;
    let open = store::find_open(tx, &code_hash(vault, &code), live.now())?;
    let open = open.filter(|open| fits(open, &email)).ok_or_else(refused)?;
    if !store::mark_used(tx, open.id, live.account(), live.now())? {
        return Err(refused());
    }
    match (open.invitee, live.kind(), live.patient()) {
        (Invitee::Patient, AccountKind::Patient, Some(patient)) => {
            let actor = (live.account(), live.session());
            let access = Access::opened(patient, Role::Owner, actor, None, live.now());
            links::accept(tx, &access, link, open.clinic, open.inviter)?;
            Ok(Joined::Link(link))
        }
        (Invitee::Staff(may), AccountKind::Staff, _) => clinics::join(tx, open.clinic, live.account(), may, live.now()),
        _ => Err(refused()),
    }
}
