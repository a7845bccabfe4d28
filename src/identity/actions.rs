//! Accounts and sessions: made, refreshed, ended. The log-in has a file of its own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::attempts::device_token;
use super::model::{AccountKind, DeviceName, Email, Passphrase, Profile};
use super::password::{Credential, Passwords};
use super::security_events::{SecurityEvent, tell_owner};
use super::sessions::name_device;
use super::store::{self, AccountRow, Ending, RefreshFound, SessionRow};
use super::{Live, Tokens};
use crate::db::{At, Tx};
use crate::kernel::id::{Account, Patient, Session};
use crate::kernel::{Code, Error, Id, Result, Text, limits};
use crate::state::State;
use crate::vault::{KeyGuard, Keys, MacLabel, Purpose, SealContext, Vault};

/// The tokens of a session.
#[derive(Clone)]
pub struct SessionTokens {
    /// The account.
    pub account: Id<Account>,
    /// The session.
    pub session: Id<Session>,
    /// The access token, good for ten minutes.
    pub access: String,
    /// The refresh token, good for one use.
    pub refresh: String,
    /// The token by which the account knows the device at its next log-in.
    pub device: String,
}

impl std::fmt::Debug for SessionTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionTokens(***)")
    }
}

/// An account that is logged in.
#[derive(Debug)]
pub struct SignedIn {
    /// Patient or staff.
    pub kind: AccountKind,
    /// The patient of the account.
    pub patient: Option<Id<Patient>>,
    /// The person's name; `None` when it does not open.
    pub name: Option<Text<120>>,
    /// The tokens of the session.
    pub grant: SessionTokens,
}

impl SignedIn {
    /// Opens the name in the row of the account, after the unit. A person whose name is damaged can still log in.
    pub(super) fn open(row: &AccountRow, profile: &[u8], keys: &Keys, grant: SessionTokens) -> Result<Self> {
        let kind = AccountKind::parse(&row.kind).ok_or_else(|| Error::corrupt("accounts", row.id))?;
        let profile = Error::skip_damaged(open_profile(keys, row.id, row.version, profile))?;
        let name = profile.map(|profile| profile.name);
        Ok(Self { kind, patient: row.patient_id, name, grant })
    }
}

/// Returns the keyed hash under which an address is looked up.
pub fn email_key(vault: &Vault, email: &Email) -> Vec<u8> {
    vault.mac(MacLabel::Email, &[email.folded().as_bytes()]).to_vec()
}

fn profile_place(account: Id<Account>, version: i64) -> SealContext {
    SealContext {
        table: "accounts",
        column: "profile",
        subject: account.uuid(),
        row: account.uuid(),
        revision: version,
    }
}

fn credential_place(account: Id<Account>, version: i64) -> SealContext {
    SealContext { column: "credential", ..profile_place(account, version) }
}

/// Opens the credential of an account.
pub(super) fn open_credential(keys: &Keys, account: &AccountRow, sealed: &[u8]) -> Result<Credential> {
    keys.open_json(&credential_place(account.id, account.version), sealed)
}

/// Stores a changed account as the next version of its row, with its documents sealed anew. Returns `false` when the
/// account is no longer as `before`.
pub(super) fn reseal(
    tx: &mut Tx<'_>,
    keys: &Keys,
    (before, after): (&AccountRow, &AccountRow),
    profile: &Profile,
    credential: &Credential,
) -> Result<bool> {
    let (id, version) = (before.id, tx.version_after(before.version));
    let profile = keys.seal_json(Purpose::Account, &profile_place(id, version), profile)?;
    let credential = keys.seal_json(Purpose::Account, &credential_place(id, version), credential)?;
    let after = AccountRow { version, ..after.clone() };
    store::update_account(tx, (before, &after), (profile.as_slice(), credential.as_slice()))
}

/// Opens a profile row of [`store::names_of`].
pub fn open_profile(keys: &Keys, account: Id<Account>, version: i64, sealed: &[u8]) -> Result<Profile> {
    keys.open_json(&profile_place(account, version), sealed)
}

/// An account that is about to be inserted. Its keys are durable already.
pub struct PendingAccount {
    /// Its id.
    pub id: Id<Account>,
    /// The patient of the account.
    pub patient: Option<Id<Patient>>,
    row: AccountRow,
    profile: Vec<u8>,
    credential: Vec<u8>,
    keys: Vec<Keys>,
    /// The guards that have the keys destroyed if no unit inserts it.
    guards: Vec<KeyGuard>,
}

impl std::fmt::Debug for PendingAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PendingAccount({})", self.id)
    }
}

impl PendingAccount {
    /// Returns the keys of the patient.
    pub fn patient_keys(&self) -> Option<&Keys> {
        self.patient.and_then(|patient| self.keys.iter().find(|keys| keys.subject() == patient.uuid()))
    }
}

/// Hashes the passphrase and makes the keys of a new account, before the unit that inserts it.
pub async fn draft(
    state: &State,
    passwords: &Passwords,
    kind: AccountKind,
    profile: &Profile,
    passphrase: Passphrase,
    now: Timestamp,
) -> Result<PendingAccount> {
    let id: Id<Account> = state.entropy.id(now);
    let credential = passwords.hash(passphrase, &state.entropy).await?;
    let keys = state.vault.create(id.uuid(), &[Purpose::Account], now).await?;
    let (mut all, mut guards) = (vec![keys.clone()], vec![state.vault.guard(id.uuid(), &[Purpose::Account])]);
    let patient = match kind {
        AccountKind::Staff => None,
        AccountKind::Patient => {
            let patient: Id<Patient> = Id::from_uuid(state.entropy.opaque());
            all.push(state.vault.create(patient.uuid(), &Purpose::OF_PATIENT, now).await?);
            guards.push(state.vault.guard(patient.uuid(), &Purpose::OF_PATIENT));
            Some(patient)
        }
    };
    let row = AccountRow {
        id,
        kind: kind.name().to_owned(),
        patient_id: patient,
        email_key: email_key(&state.vault, &profile.email),
        disabled_at: None,
        version: 1,
        created_at: At(now),
        factor_since: None,
        lock_since: None,
        guarded_until: None,
    };
    let profile = keys.seal_json(Purpose::Account, &profile_place(id, 1), profile)?;
    let credential = keys.seal_json(Purpose::Account, &credential_place(id, 1), &credential)?;
    Ok(PendingAccount { id, patient, row, profile, credential, keys: all, guards })
}

/// Inserts a drafted account. Its keys stay, and may be cached once that is durable. `None` when its address is taken:
/// then the unit has not used them, and an earlier run of it was rolled back.
pub fn insert(tx: &mut Tx<'_>, vault: &Vault, draft: &PendingAccount) -> Result<Option<Id<Account>>> {
    if !store::insert_account(tx, &draft.row, &draft.profile, &draft.credential)? {
        draft.guards.iter().for_each(KeyGuard::end_use);
        return Ok(None);
    }
    draft.guards.iter().for_each(KeyGuard::begin_use);
    for keys in &draft.keys {
        vault.keep(tx, keys)?;
    }
    Ok(Some(draft.id))
}

/// The secrets of a new session, made before the unit.
#[derive(Clone, Debug)]
pub struct SessionSecrets {
    session: Id<Session>,
    refresh: [u8; 32],
    /// Whether its owner has shown a code or a passkey, too.
    with_code: bool,
}

impl SessionSecrets {
    /// Draws a session id and a refresh token.
    pub fn draw(state: &State, now: Timestamp) -> Self {
        Self { session: state.entropy.id(now), refresh: state.entropy.bytes(), with_code: false }
    }

    /// Notes whether the owner has shown a code or a passkey, too.
    pub(super) fn with_code(self, with_code: bool) -> Self {
        Self { with_code, ..self }
    }
}

/// Opens a session for an account whose owner has just authenticated. If there are too many, the oldest ends.
pub fn open_session(
    tx: &mut Tx<'_>,
    vault: &Vault,
    tokens: &Tokens,
    account: Id<Account>,
    opening: &SessionSecrets,
    now: Timestamp,
) -> Result<SessionTokens> {
    let owner = store::find_account(tx, account)?.ok_or(Error::NotFound)?;
    let row = SessionRow {
        id: opening.session,
        account_id: account,
        created_at: At(now),
        last_used_at: At(now),
        expires_at: At(owner.account_kind()?.session_lifetime().end(now, now)),
        revoked_at: None,
        revoked_cause: None,
        verified_at: Some(At(now)),
        factor_at: opening.with_code.then_some(At(now)),
    };
    store::insert_session(tx, &row)?;
    store::displace(tx, account, limits::SESSIONS.rows(), now)?;
    let refresh = URL_SAFE_NO_PAD.encode(opening.refresh);
    store::insert_refresh(tx, &refresh_hash(vault, &refresh), opening.session, now)?;
    let access = tokens.issue(account, opening.session, now)?;
    let device = device_token(vault, account, opening.session);
    Ok(SessionTokens { account, session: opening.session, access, refresh, device })
}

/// Opens a session for somebody who has proved themself, names its device, and tells the owner of the account. Of the
/// device it takes the name, whether the account knows it, and the event of the code that it has shown, if the owner is
/// told of one.
pub(super) fn admit(
    tx: &mut Tx<'_>,
    (vault, tokens, keys): (&Vault, &Tokens, Option<&Keys>),
    account: Id<Account>,
    opening: &SessionSecrets,
    (name, known, shown): (Option<&DeviceName>, bool, Option<SecurityEvent>),
    now: Timestamp,
) -> Result<SessionTokens> {
    let grant = open_session(tx, vault, tokens, account, opening, now)?;
    if let Some(keys) = keys {
        if let Some(name) = name {
            name_device(tx, keys, (account, grant.session), name)?;
        }
        if let Some(shown) = shown {
            tell_owner(tx, (vault, keys), account, None, shown, now)?;
        }
        let event = if known { SecurityEvent::LogIn } else { SecurityEvent::NewDevice };
        tell_owner(tx, (vault, keys), account, Some(grant.session), event, now)?;
    }
    Ok(grant)
}

fn refresh_hash(vault: &Vault, token: &str) -> Vec<u8> {
    vault.mac(MacLabel::RefreshHash, &[token.as_bytes()]).to_vec()
}

/// Returns the refresh token that follows `presented`.
fn successor(vault: &Vault, presented: &str) -> String {
    URL_SAFE_NO_PAD.encode(vault.mac(MacLabel::Refresh, &[presented.as_bytes()]))
}

/// Exchanges a refresh token for its successor.
///
/// The successor is a keyed hash of the token presented. A client whose reply was lost presents the same token again
/// and gets the same successor, as long as the session lives. A spent token that comes after its successor was used
/// counts as theft: the session ends in the unit that answers 401.
///
/// # Errors
///
/// [`Code::RefreshInvalid`].
pub async fn refresh(state: &State, tokens: std::sync::Arc<Tokens>, presented: String) -> Result<SignedIn> {
    let now = state.clock.now();
    let vault = state.vault.clone();
    let hash = refresh_hash(&vault, &presented);
    let next = successor(&vault, &presented);
    let next_hash = refresh_hash(&vault, &next);
    let refused = || Error::Unauthenticated(Code::RefreshInvalid);
    // The account's keys are fetched before the unit, which may have to write its audit row.
    let peek = hash.clone();
    let owner = state.db.read(move |tx| store::find_refresh_owner(tx, &peek)).await?;
    let Some(owner) = owner else { return Err(refused()) };
    let keys = state.vault.keys(owner.uuid()).await?;
    let unit_keys = keys.clone();
    let verdict = state.db.write(move |tx| {
        let Some(found) = store::find_refresh(tx, &hash)? else { return Ok(Err(refused())) };
        let RefreshFound { token, session, account, profile } = found;
        let (id, account_id) = (session.id, account.id);
        if session.over(&account, now) {
            return Ok(Err(refused()));
        }
        if token.spent_at.is_some() {
            if !store::refresh_is_unspent(tx, &next_hash)? {
                store::mark_revoked(tx, session, Ending::Reuse, now)?;
                if let Some(keys) = &unit_keys {
                    tell_owner(tx, (&vault, keys), account_id, Some(id), SecurityEvent::RefreshReused, now)?;
                }
                return Ok(Err(refused()));
            }
        } else {
            let expires_at = At(account.account_kind()?.session_lifetime().end(session.created_at.0, now));
            store::mark_spent(tx, token, now)?;
            store::insert_refresh(tx, &next_hash, id, now)?;
            store::update_session(tx, &SessionRow { last_used_at: At(now), expires_at, ..session })?;
        }
        let access = tokens.issue(account_id, id, now)?;
        let device = device_token(&vault, account_id, id);
        let grant = SessionTokens { account: account_id, session: id, access, refresh: next.clone(), device };
        Ok(Ok((account, profile, grant)))
    });
    let (row, profile, grant) = verdict.await??;
    SignedIn::open(&row, &profile, &keys.ok_or_else(refused)?, grant)
}

/// Ends the session of an access token or of a refresh token, whoever presents it (RFC 7009). A token that is not good
/// any more changes nothing: one whose successor was used may be in the hands of somebody else.
///
/// # Errors
///
/// When the database cannot be written.
pub async fn revoke(state: &State, tokens: &Tokens, presented: String) -> Result<()> {
    let now = state.clock.now();
    let claims = tokens.verify(&presented, now);
    let (hash, next) = (refresh_hash(&state.vault, &presented), successor(&state.vault, &presented));
    let next_hash = refresh_hash(&state.vault, &next);
    let unit = move |tx: &mut Tx<'_>| {
        let session = match claims {
            Some(claims) => store::hold_session(tx, claims.account, claims.session)?,
            None => match store::find_refresh(tx, &hash)? {
                Some(found) if found.token.spent_at.is_none() || store::refresh_is_unspent(tx, &next_hash)? => {
                    Some(found.session)
                }
                _ => None,
            },
        };
        session.map_or(Ok(()), |session| store::mark_logged_out(tx, session, now))
    };
    state.db.write(unit).await
}

/// Ends the caller's session.
pub fn log_out<K>(tx: &mut Tx<'_>, live: &Live<K>) -> Result<()> {
    let session = store::hold_session(tx, live.account(), live.session())?.ok_or(Error::NotFound)?;
    store::mark_logged_out(tx, session, live.now())
}

/// Ends another session of the caller's, for good, and throws its device out, also when it is over already.
///
/// # Errors
///
/// When the database cannot be written.
pub fn end_session(tx: &mut Tx<'_>, account: Id<Account>, id: Id<Session>, now: Timestamp) -> Result<()> {
    match store::hold_session(tx, account, id)? {
        Some(session) => store::throw_out(tx, session, Ending::Wanted, now).map(drop),
        None => Ok(()),
    }
}
