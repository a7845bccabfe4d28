//! The caller, in two steps: the claims of the token, then the present session and account.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};
use jiff::Timestamp;

use super::freshness::{Need, Proofs};
use super::model::AccountKind;
use super::store;
use super::token::Tokens;
use crate::db::{Db, Tx};
use crate::http::{ChangeResult, Command, Listing, Reply, Request, query};
use crate::idempotency::{self, IdempotentRequest, Outcome, RecordedOutcome};
use crate::kernel::id::{Account, Patient, Session};
use crate::kernel::page::{CursorKey, PageRequest};
use crate::kernel::{Code, Error, Id, Result};
use crate::state::State;
use crate::vault::MacLabel;

/// The kinds of account that an operation admits.
pub trait AccountPolicy: 'static {
    /// The proof that the operation asks for, beside a session that lives.
    const NEED: Need = Need::Session;
    /// Whether accounts of `kind` may call it.
    fn admits(kind: AccountKind) -> bool;
}

/// Marks operations for staff.
#[derive(Debug)]
pub enum Staff {}
/// Marks operations for every account.
#[derive(Debug)]
pub enum Anyone {}

impl AccountPolicy for Patient {
    fn admits(kind: AccountKind) -> bool {
        kind == AccountKind::Patient
    }
}
impl AccountPolicy for Staff {
    fn admits(kind: AccountKind) -> bool {
        kind == AccountKind::Staff
    }
}
impl AccountPolicy for Anyone {
    fn admits(_: AccountKind) -> bool {
        true
    }
}

macro_rules! proofs {
    ($($(#[$doc:meta])* $name:ident = $need:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<P>(PhantomData<P>);

        impl<P: AccountPolicy> AccountPolicy for $name<P> {
            const NEED: Need = Need::$need;

            fn admits(kind: AccountKind) -> bool {
                P::admits(kind)
            }
        }
    )* };
}

proofs! {
    /// Marks operations that ask for the passphrase within 5 minutes, and for a code where there is a second factor.
    Fresh = Fresh;
    /// Marks operations that ask this of accounts with a second factor or with the lock on.
    Guarded = Guarded;
    /// Marks operations whose request holds the passphrase, and that ask for a code where there is a second factor.
    WithCode = Code;
    /// Marks operations that ask for the passphrase within 10 minutes where the lock is on.
    Unlocked = Unlocked;
}

/// A caller whose token is genuine. The unit checks whether the session still lives: [`Claimed::live`].
pub struct Claimed<K> {
    account: Id<Account>,
    session: Id<Session>,
    now: Timestamp,
    /// The fault of the names in the query of the request, told once the caller has access.
    query: Option<Arc<Error>>,
    kind: PhantomData<fn() -> K>,
}

/// A caller with any account.
pub type Caller = Claimed<Anyone>;

impl<K> Clone for Claimed<K> {
    fn clone(&self) -> Self {
        Self { query: self.query.clone(), ..*self }
    }
}
impl<K> std::fmt::Debug for Claimed<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Claimed({})", self.account)
    }
}

impl<K> Claimed<K> {
    /// Verifies a token at `now` and returns its caller. For requests the extractor does this.
    ///
    /// # Errors
    ///
    /// [`Code::Unauthenticated`].
    pub fn by_token(tokens: &Tokens, token: &str, now: Timestamp) -> Result<Self> {
        let claims = tokens.verify(token, now).ok_or(Error::Unauthenticated(Code::Unauthenticated))?;
        Ok(Self { account: claims.account, session: claims.session, now, query: None, kind: PhantomData })
    }
}

impl<K: AccountPolicy> Claimed<K> {
    /// Returns the account of the token.
    pub fn account(&self) -> Id<Account> {
        self.account
    }

    /// Returns the session of the token.
    pub fn session(&self) -> Id<Session> {
        self.session
    }

    /// The instant at which the request arrived: read once, before the queue.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Binds cursors to the caller and the operation.
    pub fn cursor_scope(&self, act: &str) -> Vec<u8> {
        format!("{act}|{}", self.account).into_bytes()
    }

    /// Checks the names in the query of the request. Told once the caller has access, like other faults of the request.
    ///
    /// # Errors
    ///
    /// 422 for a parameter that the operation does not declare; 400 for a query that is not UTF-8.
    pub fn check_query(&self) -> Result<()> {
        self.query.as_ref().map_or(Ok(()), |fault| Err(fault.again()))
    }

    /// Loads session and account. This is the first statement of the unit.
    ///
    /// # Errors
    ///
    /// [`Code::SessionRevoked`] when the session was ended on purpose, [`Code::Unauthenticated`] when it is over or the
    /// account is disabled, [`Error::Forbidden`] when the operation is for another kind of account, [`Error::StepUp`]
    /// when it asks for a proof that the session lacks.
    pub fn live(&self, tx: &mut Tx<'_>) -> Result<Live<K>> {
        let found = store::find_live(tx, self.session)?.filter(|(session, _)| session.account_id == self.account);
        let Some((session, account)) = found else { return Err(Error::Unauthenticated(Code::Unauthenticated)) };
        if session.revoked() {
            return Err(Error::Unauthenticated(Code::SessionRevoked));
        }
        if session.over(&account, self.now) {
            if account.disabled_at.is_some() {
                // Who has disabled their account and sends that again is answered here.
                tx.follow_up();
            }
            return Err(Error::Unauthenticated(Code::Unauthenticated));
        }
        let kind = AccountKind::parse(&account.kind).ok_or_else(|| Error::corrupt("accounts", self.account))?;
        if !K::admits(kind) {
            return Err(Error::Forbidden(Code::Forbidden));
        }
        let proofs = Proofs {
            verified_at: session.verified_at.map(|at| at.0),
            factor_at: session.factor_at.map(|at| at.0),
            has_factor: account.factor_since.is_some(),
            locked: account.lock_since.is_some(),
        };
        K::NEED.check(&proofs, self.now)?;
        Ok(Live {
            account: self.account,
            session: self.session,
            patient: account.patient_id,
            kind,
            proofs,
            now: self.now,
            of: PhantomData,
        })
    }
}

impl<K: AccountPolicy> Claimed<K> {
    /// Reads one snapshot. Its first statement makes the caller live.
    ///
    /// # Errors
    ///
    /// As [`Claimed::live`]; then as [`Claimed::check_query`]; the errors of `read`.
    pub async fn read<T: Send + 'static>(
        &self,
        state: &State,
        mut read: impl FnMut(&mut Tx<'_>, &Live<K>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let asking = self.clone();
        self.look(state, move |tx, live| asking.check_query().and_then(|()| read(tx, live))).await
    }

    /// Returns the parsed request. Its faults are told only to a caller who is live.
    ///
    /// # Errors
    ///
    /// As [`Claimed::live`]; then the faults of the request.
    pub async fn first<T>(&self, state: &State, asked: Result<T>) -> Result<T> {
        match asked {
            Ok(asked) => Ok(asked),
            Err(fault) => self.look(state, |_, _| Ok(())).await.and(Err(fault)),
        }
    }

    /// Returns the request for a page of a list with its opened cursor, which is bound to `scope`.
    ///
    /// # Errors
    ///
    /// As [`Claimed::first`].
    pub async fn page<F, C: CursorKey>(
        &self,
        state: &State,
        scope: &[u8],
        listing: Result<Listing<F>>,
    ) -> Result<(PageRequest<C>, Listing<F>)> {
        let asked = listing.and_then(|listing| Ok((listing.page(&state.vault, scope)?, listing)));
        self.first(state, asked).await
    }

    /// Replaces the body of `request` by the result of `look`, before the unit that does it ([`Request::prepare`]). One
    /// that was done before under its key is not looked at again: the unit answers it, and nothing of it counts as a
    /// guess.
    pub async fn prepare<I, B, C>(
        &self,
        state: &State,
        request: Request<I, B>,
        look: impl AsyncFnOnce(Command<I, B>) -> Result<C>,
    ) -> Request<(), C> {
        // The unit tells of a malformed key.
        let once = key_of(state, &request, None).unwrap_or_else(|_malformed| IdempotentRequest::none());
        let has_key = once.key.is_some();
        let new = if has_key {
            self.look(state, move |tx, live| idempotency::is_new(tx, live.account(), &once)).await
        } else {
            Ok(true)
        };
        let make = async |asked: Command<I, B>| match new {
            Ok(true) => look(asked).await,
            Ok(false) => Err(Error::Unavailable("the request was done before")),
            Err(fault) => Err(fault),
        };
        request.prepare(make).await
    }

    /// Returns the database, where the caller takes turns with others.
    fn db(&self, state: &State) -> Db {
        state.db.for_caller(self.account.uuid())
    }

    async fn look<T: Send + 'static>(
        &self,
        state: &State,
        mut read: impl FnMut(&mut Tx<'_>, &Live<K>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let caller = self.clone();
        let unit = move |tx: &mut Tx<'_>| {
            let live = caller.live(tx)?;
            read(tx, &live)
        };
        self.db(state).read(unit).await
    }

    /// Does `request` in one unit, once for each idempotency key. The first statement makes the caller live.
    ///
    /// `parse` makes the command; its faults are told once the caller is known. `work` does it. `show` reads what the
    /// answer needs: the first time with the value in the outcome, for a replay without.
    ///
    /// # Errors
    ///
    /// As [`Claimed::live`]; then as [`Claimed::check_query`]; faults of the request; the errors of `work` and `show`.
    pub async fn change<I, B, C, T, V>(
        &self,
        state: &State,
        request: Request<I, B>,
        parse: impl FnOnce(Command<I, B>) -> Result<C>,
        mut work: impl FnMut(&mut Tx<'_>, &Live<K>, &C) -> Result<Outcome<T>> + Send + 'static,
        mut show: impl FnMut(&mut Tx<'_>, &Live<K>, Outcome<T>) -> Result<V> + Send + 'static,
    ) -> Result<ChangeResult<V>>
    where
        C: Send + 'static,
        V: Send + 'static,
    {
        let caller = self.clone();
        let (key, path) = (key_of(state, &request, None), request.path().to_owned());
        let mut command = request.into_command().and_then(parse);
        let unit = move |tx: &mut Tx<'_>| {
            let live = caller.live(tx)?;
            caller.check_query()?;
            let key = key.as_ref().map_err(Error::again)?;
            let work = |tx: &mut Tx<'_>, command: &C| work(tx, &live, command);
            let outcome = idempotency::run(tx, (live.account(), key, live.now()), &mut command, work)?;
            let (status, replayed) = (outcome.done.status, outcome.replayed);
            Ok((status, replayed, show(tx, &live, outcome)?))
        };
        let (status, replayed, value) = self.db(state).write(unit).await?;
        Ok(ChangeResult::new(path, status == 201, replayed, value))
    }

    /// Does `request` as [`Claimed::change`] does, and answers 204.
    ///
    /// # Errors
    ///
    /// As [`Claimed::change`].
    pub async fn delete<I, B>(
        &self,
        state: &State,
        request: Request<I, B>,
        mut work: impl FnMut(&mut Tx<'_>, &Live<K>, &Command<I, B>) -> Result<()> + Send + 'static,
    ) -> Result<Reply>
    where
        I: Send + 'static,
        B: Send + 'static,
    {
        let work = move |tx: &mut Tx<'_>, live: &Live<K>, command: &_| work(tx, live, command).map(Outcome::no_content);
        self.change(state, request, Ok, work, |_, _, _| Ok(())).await?.reply(|()| Ok(Reply::no_content()))
    }
}

/// Reads the idempotency key of a request with its fingerprint: a keyed hash of operation, address and body, and of the
/// `patient` that the address names.
///
/// # Errors
///
/// 422 for a malformed key.
pub fn key_of<I, B>(state: &State, request: &Request<I, B>, patient: Option<Id<Patient>>) -> Result<IdempotentRequest> {
    let Some((key, body)) = request.key()? else { return Ok(IdempotentRequest::none()) };
    let patient = patient.map(|patient| patient.uuid().into_bytes()).unwrap_or_default();
    let mut parts = key.parts(body);
    parts.push(&patient);
    Ok(IdempotentRequest {
        key: key.key().map(|text| state.vault.mac(MacLabel::Idempotency, &[text.as_bytes()])),
        fingerprint: state.vault.mac(MacLabel::Idempotency, &parts),
        probable: key.made().map(RecordedOutcome::created),
    })
}

/// A caller whose session lives, valid in the unit that checked it.
pub struct Live<K> {
    account: Id<Account>,
    session: Id<Session>,
    patient: Option<Id<Patient>>,
    kind: AccountKind,
    proofs: Proofs,
    now: Timestamp,
    of: PhantomData<fn() -> K>,
}

impl<K> std::fmt::Debug for Live<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Live({})", self.account)
    }
}

impl<K> Live<K> {
    /// Returns the account.
    pub fn account(&self) -> Id<Account> {
        self.account
    }

    /// Returns the session.
    pub fn session(&self) -> Id<Session> {
        self.session
    }

    /// Returns the patient of the account; `None` for staff.
    pub fn patient(&self) -> Option<Id<Patient>> {
        self.patient
    }

    /// Returns the kind of account.
    pub fn kind(&self) -> AccountKind {
        self.kind
    }

    /// Returns the proofs of the session.
    pub fn proofs(&self) -> &Proofs {
        &self.proofs
    }

    /// Returns the instant at which the request arrived.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

impl<P: AccountPolicy> Live<Guarded<P>> {
    /// Returns the same caller without the mark of the proof, which was asked for: for what any such session may do.
    pub fn plain(&self) -> Live<P> {
        let Self { account, session, patient, kind, proofs, now, .. } = *self;
        Live { account, session, patient, kind, proofs, now, of: PhantomData }
    }
}

impl<K: AccountPolicy> FromRequest for Claimed<K> {
    type Error = Error;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(claim(request))
    }
}

fn claim<K>(request: &HttpRequest) -> Result<Claimed<K>> {
    let missing = || Error::Unauthenticated(Code::Unauthenticated);
    let state = request.app_data::<web::Data<State>>().ok_or_else(|| Error::internal("no state"))?;
    let tokens = request.app_data::<web::Data<Arc<Tokens>>>().ok_or_else(|| Error::internal("no tokens"))?;
    // Exactly one header: of two, a proxy in front might check the other.
    let mut lines = request.headers().get_all(AUTHORIZATION);
    let (Some(line), None) = (lines.next(), lines.next()) else { return Err(missing()) };
    let Ok(header) = line.to_str() else { return Err(missing()) };
    let (scheme, token) = header.split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    let caller = Claimed::by_token(tokens, token.trim_matches(' '), state.clock.now())?;
    Ok(Claimed { query: query::check(request).err().map(Arc::new), ..caller })
}
