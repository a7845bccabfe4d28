//! Joining with a code, as a new account or with an existing one.
//!
//! A code that is unknown, used, revoked, expired or bound to another address, and an address that is taken, all get
//! the same answer, after the same statements. The code stays unused. A holder of a good invitation still learns from
//! this that an address is taken: where registration is open, [`opening`](super::opening) asks for a proof of the
//! address first, and they do not.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::invitations::code_hash;
use super::model::{Invitee, Person, Registration, TypedCode, refused};
use super::store::{self, InvitationKey};
use crate::care::access::{Access, Write};
use crate::care::model::Capabilities;
use crate::care::people::SealedNames;
use crate::care::store::{Link, delete_resets, find_link, find_link_with, memberships};
use crate::care::write_scope::WriteScope;
use crate::care::{links, members};
use crate::db::Tx;
use crate::idempotency::Outcome;
use crate::identity::actions::{self, SessionSecrets, SignedIn, email_key};
use crate::identity::log_in::{self, LogInAttempt};
use crate::identity::{AccountKind, Live, Passwords, Profile, Tokens, find_email_key, is_email_taken};
use crate::kernel::id::{Account, Any, CareLink, Clinic};
use crate::kernel::{Code, Error, Id, JoinCode, Result};
use crate::letters::{ProofPurpose, ProofRow, proofs};
use crate::settings::{Settings, insert_settings};
use crate::state::State;
use crate::vault::{Purpose, Vault};

/// The time for which a used code still answers whoever used it: their first answer may be lost.
pub(super) const REPEATED: SignedDuration = SignedDuration::from_hours(24);

/// An account that has joined.
#[derive(Debug)]
pub struct Registered {
    /// Whether this request made it.
    pub created: bool,
    /// The account, logged in.
    pub account: SignedIn,
}

/// Inserts the rows that every patient has from the beginning. Further such rows are added here.
pub fn on_patient_created(tx: &mut Tx<'_>, access: &Access<Write>, settings: &Settings) -> Result<()> {
    store::insert_patient(tx, access)?;
    insert_settings(tx, access.patient(), access.keys()?, settings, access.now())
}

/// Finds the invitation of a code that may be used with this address.
pub(super) fn get_open(tx: &mut Tx<'_>, code_hash: &[u8], email: &[u8], now: Timestamp) -> Result<InvitationKey> {
    let open = store::find_open(tx, code_hash, now)?;
    open.filter(|open| open.email_key.as_deref().is_none_or(|bound| bound == email)).ok_or_else(refused)
}

/// Finds the proof that a letter has carried to this address.
fn get_proof(tx: &mut Tx<'_>, vault: &Vault, code: &JoinCode, email: &[u8], now: Timestamp) -> Result<ProofRow> {
    let proof = proofs::find(tx, vault, code, ProofPurpose::Register, now)?;
    proof.filter(|proof| proof.email_key == email).ok_or_else(refused)
}

/// Returns the hash under which the invitation of a registration is looked up.
pub(super) fn invitation_hash(state: &State, registration: &Registration) -> Option<Vec<u8>> {
    registration.code.map(|typed| code_hash(&state.vault, &looked_up(state, typed)))
}

/// Returns the code to look up: a text that cannot be one is looked up like an unknown one.
fn looked_up(state: &State, typed: TypedCode) -> JoinCode {
    typed.or_else(|| JoinCode::of(state.entropy.bytes()))
}

/// The codes of a registration, as they are looked up.
#[derive(Clone)]
struct Codes {
    /// The hash of the invitation's.
    invitation: Option<Vec<u8>>,
    /// That of the letter.
    proof: Option<JoinCode>,
}

/// What the codes of a registration stand for: an invitation, a proof of the address, or both.
struct Pass {
    invitation: Option<InvitationKey>,
    proof: Option<ProofRow>,
}

impl Pass {
    /// Finds what may be done with the codes and this address. Each is good, or none is.
    fn find(tx: &mut Tx<'_>, vault: &Vault, codes: &Codes, email: &[u8], now: Timestamp) -> Result<Self> {
        // Both are looked up, whatever becomes of the first.
        let invitation = codes.invitation.as_deref().map(|hash| get_open(tx, hash, email, now));
        let proof = codes.proof.as_ref().map(|code| get_proof(tx, vault, code, email, now));
        let pass = Self { invitation: invitation.transpose()?, proof: proof.transpose()? };
        if pass.invitation.is_none() && pass.proof.is_none() {
            return Err(refused());
        }
        Ok(pass)
    }

    /// Uses the codes up. Only one of concurrent units gets `true`; after `false` the unit must not commit.
    fn redeem(&self, tx: &mut Tx<'_>, by: Id<Account>, now: Timestamp) -> Result<bool> {
        if let Some(open) = &self.invitation
            && !store::mark_used(tx, open, by, now)?
        {
            return Ok(false);
        }
        self.proof.as_ref().map_or(Ok(true), |proof| proofs::redeem(tx, proof, now))
    }

    /// The invitee; whoever has no invitation joins as a patient.
    fn invitee(&self) -> Invitee {
        self.invitation.as_ref().map_or(Invitee::Patient, InvitationKey::invitee)
    }
}

/// Makes an account with an invitation, a proof of the address, or both, and logs it in. A patient's care link is then
/// accepted; a member of staff is a member of the clinic. For a day, the used invitation logs in the account that it
/// made, with its address and passphrase: the first answer may be lost.
///
/// # Errors
///
/// [`Code::CodeInvalid`], also for an address that is taken; faults of the fields
/// that patients must fill in.
pub async fn register(
    state: &State,
    passwords: &Passwords,
    tokens: Arc<Tokens>,
    registration: Registration,
) -> Result<Registered> {
    let hash = invitation_hash(state, &registration);
    let proof = registration.email_code.map(|typed| looked_up(state, typed));
    let (codes, person) = (Codes { invitation: hash.clone(), proof }, registration.person.clone());
    match make_account(state, passwords, Arc::clone(&tokens), (codes, registration)).await {
        Err(Error::Malformed(Code::CodeInvalid, _)) => repeat(state, passwords, tokens, (hash, person)).await,
        made => made.map(|account| Registered { created: true, account }),
    }
}

/// Logs in somebody who has made their account with this invitation within the last day: the first answer may be lost.
///
/// # Errors
///
/// [`Code::CodeInvalid`] for everybody else.
pub(super) async fn repeat(
    state: &State,
    passwords: &Passwords,
    tokens: Arc<Tokens>,
    (invitation, person): (Option<Vec<u8>>, Person),
) -> Result<Registered> {
    let (hash, Person { email, passphrase, .. }) = (invitation.ok_or_else(refused)?, person);
    let (key, now) = (email_key(&state.vault, &email), state.clock.now());
    let used = state.db.read(move |tx| match store::find_used(tx, &hash, since(now))?.and_then(|used| used.used_by) {
        Some(account) => Ok(find_email_key(tx, account)? == Some(key.clone())),
        None => Ok(false),
    });
    if !used.await? {
        return Err(refused());
    }
    let account = log_in::log_in(state, passwords, tokens, LogInAttempt::again(email, passphrase)).await;
    account.map(|account| Registered { created: false, account }).map_err(|error| match error {
        Error::Unauthenticated(_) => refused(),
        other => other,
    })
}

/// Returns the earliest use of a code that still answers.
fn since(now: Timestamp) -> Timestamp {
    now.saturating_sub(REPEATED).unwrap_or(now)
}

async fn make_account(
    state: &State,
    passwords: &Passwords,
    tokens: Arc<Tokens>,
    (codes, registration): (Codes, Registration),
) -> Result<SignedIn> {
    let now = state.clock.now();
    let (vault, planner) = (state.vault.clone(), Arc::clone(&state.planner));
    let email = email_key(&vault, &registration.person.email);
    let peeked = (codes.clone(), email.clone(), vault.clone());
    let peek = state.db.read(move |tx| {
        let (codes, email, vault) = &peeked;
        let (pass, taken) = (Pass::find(tx, vault, codes, email, now), is_email_taken(tx, email)?);
        Ok((pass?, taken))
    });
    let (pass, taken) = peek.await?;
    // Checked before the address: the faults of a form must not depend on the addresses that are known.
    let settings = match pass.invitee() {
        Invitee::Patient => Some(registration.settings(now)?),
        Invitee::Staff(_) => None,
    };
    if taken {
        return Err(refused());
    }
    let kind = if settings.is_some() { AccountKind::Patient } else { AccountKind::Staff };
    let Person { name, email: address, passphrase } = registration.person;
    let (locale, verified) = (registration.locale, pass.proof.is_some());
    let profile = Profile { verified, locale, ..Profile::new(name.clone(), address) };
    let draft = actions::draft(state, passwords, kind, &profile, passphrase, now).await?;
    let (account, patient) = (draft.id, draft.patient);
    let opening = SessionSecrets::draw(state, now);
    let link: Id<CareLink> = state.entropy.id(now);
    let unit = state.db.write(move |tx| {
        let pass = Pass::find(tx, &vault, &codes, &email, now)?;
        if !pass.redeem(tx, draft.id, now)? {
            return Err(refused());
        }
        let account = actions::insert(tx, &vault, &draft)?.ok_or_else(refused)?;
        let grant = actions::open_session(tx, &vault, &tokens, account, &opening, now)?;
        match (&pass.invitation, pass.invitee(), &settings) {
            (Some(open), Invitee::Staff(may), None) => {
                members::join(tx, open.clinic_id, account, may, (grant.session, now))?;
            }
            (invitation, Invitee::Patient, Some(settings)) => {
                WriteScope::for_new(&draft, grant.session, now)?.run(tx, planner.as_ref(), |tx, access| {
                    on_patient_created(tx, access, settings)?;
                    match invitation {
                        Some(open) => links::accept(tx, access, link, open.clinic_id, open.inviter_id),
                        None => Ok(()),
                    }
                })?;
            }
            _ => return Err(Error::internal("an invitation changed its kind")),
        }
        Ok(grant)
    });
    let answer = unit.await;
    if matches!(&answer, Err(Error::Malformed(..))) {
        // The code or the address was taken meanwhile, so this account was never inserted.
        state.vault.destroy(account.uuid(), &[Purpose::Account]).await?;
        if let Some(patient) = patient {
            state.vault.destroy(patient.uuid(), &Purpose::OF_PATIENT).await?;
        }
    }
    Ok(SignedIn { kind, patient, name: Some(name), grant: answer? })
}

/// The clinic or patient that an account has joined.
#[derive(Clone, Copy, Debug)]
pub enum JoinResult {
    /// The link to a therapist, for a patient.
    Link(Link),
    /// The clinic with the capabilities there, for staff.
    Clinic(Id<Clinic>, Capabilities),
}

impl JoinResult {
    /// Returns the id of the link or of the clinic.
    pub fn id(&self) -> Id<Any> {
        match self {
            Self::Link(link) => link.id.any(),
            Self::Clinic(clinic, _) => clinic.any(),
        }
    }
}

/// Uses a code for an existing account: a patient gets another therapist, staff another clinic. For a day, the same
/// code from the same account changes nothing: the first answer may be lost.
///
/// # Errors
///
/// [`Code::CodeInvalid`], also for an invitation of the other kind; [`Code::AlreadyLinked`] or [`Code::StateConflict`]
/// when the account has that link or membership. The code then stays unused.
pub fn accept<K>(
    tx: &mut Tx<'_>,
    state: &State,
    live: &Live<K>,
    code: Option<JoinCode>,
    link: Id<CareLink>,
) -> Result<JoinResult> {
    let hash = code_hash(&state.vault, &code.ok_or_else(refused)?);
    if let Some(joined) = find_repeated(tx, live, &hash)? {
        return Ok(joined);
    }
    let email = find_email_key(tx, live.account())?.ok_or(Error::NotFound)?;
    let open = get_open(tx, &hash, &email, live.now())?;
    if !store::mark_used(tx, &open, live.account(), live.now())? {
        return Err(refused());
    }
    match (open.invitee(), live.kind()) {
        (Invitee::Patient, AccountKind::Patient) => {
            let accept = |tx: &mut Tx<'_>, access: &_| links::accept(tx, access, link, open.clinic_id, open.inviter_id);
            WriteScope::of_self(live, None)?.run(tx, state.planner.as_ref(), accept)?;
            find_link(tx, link)?.map(JoinResult::Link).ok_or(Error::NotFound)
        }
        (Invitee::Staff(may), AccountKind::Staff) => {
            members::join(tx, open.clinic_id, live.account(), may, (live.session(), live.now()))?;
            // The account is no longer that of the clinic whose admin made a code for it.
            delete_resets(tx, &[live.account()])?;
            Ok(JoinResult::Clinic(open.clinic_id, may))
        }
        _ => Err(refused()),
    }
}

/// Finds what the caller joined with this code within the last day, as it is now.
fn find_repeated<K>(tx: &mut Tx<'_>, live: &Live<K>, hash: &[u8]) -> Result<Option<JoinResult>> {
    let used = store::find_used(tx, hash, since(live.now()))?.filter(|used| used.used_by == Some(live.account()));
    let Some(used) = used else { return Ok(None) };
    match live.patient() {
        None => get_joined(tx, live, used.clinic_id.any()).map(Some),
        Some(patient) => {
            let link = find_link_with(tx, patient, (used.clinic_id, used.inviter_id))?;
            link.map(JoinResult::Link).ok_or(Error::NotFound).map(Some)
        }
    }
}

/// Reads what the caller has joined, with the names that its view needs.
///
/// # Errors
///
/// [`Error::NotFound`] when it is not the caller's, or no longer.
pub fn show<K>(tx: &mut Tx<'_>, live: &Live<K>, outcome: Outcome<JoinResult>) -> Result<(JoinResult, SealedNames)> {
    let joined = outcome.or_get(|id| get_joined(tx, live, id))?;
    let (therapist, clinic) = match &joined {
        JoinResult::Link(link) => (Some(link.therapist), link.clinic),
        JoinResult::Clinic(clinic, _) => (None, *clinic),
    };
    Ok((joined, SealedNames::collect(tx, therapist, [clinic])?))
}

fn get_joined<K>(tx: &mut Tx<'_>, live: &Live<K>, id: Id<Any>) -> Result<JoinResult> {
    let joined = match live.kind() {
        AccountKind::Patient => {
            find_link(tx, id.typed())?.filter(|link| link.person == live.account()).map(JoinResult::Link)
        }
        AccountKind::Staff => {
            let works = memberships(tx, live.account())?;
            works.into_iter().find(|(at, _)| at.any() == id).map(|(at, may)| JoinResult::Clinic(at, may))
        }
    };
    joined.ok_or(Error::NotFound)
}
