//! Doors: the policy of an operation stands in the signature of its handler.
//!
//! | door | opens for |
//! |---|---|
//! | `Door<Own>` | the patient |
//! | `Door<Shared>` | the patient; a therapist over a live link |
//! | `Door<Team>` | the patient; a therapist over a live link; `record` staff of a clinic of the patient's |
//! | `Door<Clinical>` | a therapist over a live link; `record` staff of a clinic of the patient's |
//! | `Door<Care>` | a therapist over a live link |
//! | `Door<ViewAs>` | the patient, who sees what the therapist in the address, or who stands in for one, sees now |
//! | `Door<Granted>` | as `Shared`; who stands in for the therapist of a live link |
//! | `Door<Records>` | as `Team`; staff in an emergency |
//! | `Door<Urgent>` | staff of a clinic of the patient's with `care` or `duty` |
//!
//! A door asks for a fresh proof as a wrapper says: `Door<Unlocked<Own>>` for the passphrase within 10 minutes where
//! the lock is on ([`crate::identity::Need`]). Staff of a clinic that asks for a second factor need one at every door.
//!
//! Order of checks: authenticate, proofs, open, names in the query, replay record, body and preconditions. A denial and
//! an absence run the same statements, fetch no keys, and give the same 404. A refusal of staff of one of the patient's
//! clinics leaves a trace in the patient's log, once an hour for each person (`admission`).
//!
//! `Door<ViewAs>` opens the access that the therapist would get, in a unit of the patient's that only reads: the same
//! code serves both, and nobody's log, receipts or feed tell of it.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use jiff::Timestamp;
use serde::Serialize;

use super::access::{Access, Read, Write};
use super::admission::Parts;
pub use super::policy::{Care, Clinical, Granted, Own, Policy, Records, Shared, Team, Urgent, ViewAs};
use super::prepared::{self, Basis, Reading};
use super::store;
use crate::db::{Db, Tx};
use crate::http::{ChangeResult, Command, Listing, PatientRef, Preconditions, Reply, Request, whole_list};
use crate::idempotency::{self, Outcome};
use crate::identity::{Caller, Directory, key_of};
use crate::kernel::id::{Account, Patient, Session};
use crate::kernel::page::{CursorKey, PageRequest};
use crate::kernel::{Error, FieldError, Id, Result};
use crate::state::State;
use crate::vault::Keys;

/// A request for one patient's data, not opened yet.
pub struct Door<L> {
    parts: Arc<Parts>,
    of: PhantomData<fn() -> L>,
}

impl<L> std::fmt::Debug for Door<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Door({:?})", self.parts.patient)
    }
}

/// Whether the caller works at a clinic with a link to the patient. The unit still decides on access.
async fn has_met(state: &State, directory: &Directory, caller: &Caller, patient: Id<Patient>) -> Result<bool> {
    let account = caller.account();
    if directory.has_met(account, patient) {
        return Ok(true);
    }
    let db = state.db.for_caller(account.uuid());
    let met = db.read(move |tx| store::is_related(tx, patient, account)).await?;
    if met {
        directory.note_met(account, patient);
    }
    Ok(met)
}

/// Runs a reading that is shared by the unit that prepares it and the one that answers for it.
fn run<T, F>(f: &Mutex<F>, tx: &mut Tx<'_>, access: &Access<Read>) -> Result<T>
where
    F: FnMut(&mut Tx<'_>, &Access<Read>) -> Result<T>,
{
    let mut held = f.lock().unwrap_or_else(PoisonError::into_inner);
    let f: &mut F = &mut held;
    f(tx, access)
}

impl<L: Policy> Door<L> {
    /// Makes the door to a patient's data, or to the caller's own without a `patient`. The check is made later, in the
    /// unit that reads or writes.
    ///
    /// # Errors
    ///
    /// When database or keyring cannot be reached.
    pub async fn for_patient(
        caller: Caller,
        state: Arc<State>,
        directory: &Directory,
        patient: Option<Id<Patient>>,
    ) -> Result<Self> {
        Self::made(caller, state, directory, (patient, None)).await
    }

    /// Makes the door to a patient's data, for a patient also in the place of a `reader` of theirs.
    async fn made(
        caller: Caller,
        state: Arc<State>,
        directory: &Directory,
        (patient, reader): (Option<Id<Patient>>, Option<Id<Account>>),
    ) -> Result<Self> {
        let own = directory.patient_of(&state.db, caller.account()).await?;
        let patient = patient.or(own);
        let owner = patient.is_some() && patient == own;
        // A patient has only their own keys. For others, nothing is fetched before it is known that they have to do
        // with the patient: a stranger must not learn from the time whether there is such a patient.
        let met = match patient {
            Some(patient) if own.is_none() => has_met(&state, directory, &caller, patient).await?,
            Some(_) | None => false,
        };
        let keys = match patient {
            Some(patient) if owner || met => state.vault.keys(patient.uuid()).await?,
            Some(_) | None => None,
        };
        Ok(Self { parts: Arc::new(Parts { caller, patient, owner, reader, met, keys, state }), of: PhantomData })
    }

    /// Returns the patient. Called after a unit has opened the door, to render the answer.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is none.
    pub fn patient(&self) -> Result<Id<Patient>> {
        self.parts.patient.ok_or(Error::NotFound)
    }

    /// Returns the patient's keys, to open what a unit returned.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there are none.
    pub fn keys(&self) -> Result<&Keys> {
        self.parts.keys.as_ref().ok_or(Error::NotFound)
    }

    /// Whether the caller is the patient, and looks in nobody's place.
    pub fn is_owner(&self) -> bool {
        self.parts.owner && self.parts.reader.is_none()
    }

    /// Returns the instant at which the request arrived.
    pub fn now(&self) -> Timestamp {
        self.parts.caller.now()
    }

    /// Returns the caller's session.
    pub fn session(&self) -> Id<Session> {
        self.parts.caller.session()
    }

    /// Returns the server's parts.
    pub fn state(&self) -> &State {
        &self.parts.state
    }

    /// Returns the database, where the caller takes turns with others.
    fn db(&self) -> Db {
        self.state().db.for_caller(self.parts.caller.account().uuid())
    }

    /// Binds cursors to the caller, the operation and the filter.
    pub fn cursor_scope(&self, act: &str, filter: &str) -> Vec<u8> {
        let patient = self.parts.patient.map(|id| id.to_string()).unwrap_or_default();
        let reader = self.parts.reader.map(|id| format!("{id}|")).unwrap_or_default();
        format!("{act}|{}|{patient}|{reader}{filter}", self.parts.caller.account()).into_bytes()
    }

    /// Opens the door to read, as operation `act`. A patient reads one snapshot. For other callers the unit also writes
    /// the audit row, with the ids given to [`Access::returns`]; on SQLite most of it is done beside the writer
    /// (`prepared`).
    ///
    /// # Errors
    ///
    /// 401, 403 or 404 when the door stays shut; then as [`Caller::check_query`]; the errors of `f`.
    pub async fn read<T, F>(&self, act: &'static str, mut f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>, &Access<Read>) -> Result<T> + Send + 'static,
    {
        let parts = Arc::clone(&self.parts);
        self.look(act, move |tx, access| parts.caller.check_query().and_then(|()| f(tx, access))).await
    }

    async fn look<T, F>(&self, act: &'static str, mut f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>, &Access<Read>) -> Result<T> + Send + 'static,
    {
        let (parts, db) = (Arc::clone(&self.parts), self.db());
        if parts.owner {
            let unit = move |tx: &mut Tx<'_>| {
                let access = parts.admit::<L, Read>(tx, parts.reader)?.ok_or(Error::NotFound)?;
                f(tx, &access)
            };
            return db.read(unit).await;
        }
        let f = Arc::new(Mutex::new(f));
        let (basis, reading) = self.prepare(&f).await?.unzip();
        let unit = move |tx: &mut Tx<'_>| {
            let Some(access) = parts.open::<L, Read>(tx, act, parts.reader)? else { return Ok(Err(Error::NotFound)) };
            let holds = basis.as_ref().map(|basis| basis.holds(tx, &access)).transpose()?;
            let read = if holds == Some(true) { Ok(None) } else { run(&f, tx, &access).map(Some) };
            match read {
                Ok(value) => {
                    parts.trace(tx, act, &access)?;
                    Ok(Ok(value))
                }
                // A forbidden and an absent thing leave the same trace.
                Err(Error::NotFound) => {
                    parts.trace_refusal(tx, act)?;
                    Ok(Err(Error::NotFound))
                }
                Err(error) => Err(error),
            }
        };
        match db.write(unit).await?? {
            Some(value) => Ok(value),
            None => reading.map(Reading::finish).ok_or_else(|| Error::internal("a reading was not prepared")),
        }
    }

    /// Makes a reading beside the one writer of an SQLite file. There is none where the database has many writers, nor
    /// for what is refused with a trace: the unit meets the same.
    async fn prepare<T, F>(&self, f: &Arc<Mutex<F>>) -> Result<Option<(Basis, Reading<T>)>>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>, &Access<Read>) -> Result<T> + Send + 'static,
    {
        let db = self.db();
        if !db.backend().reads_beside_writer() {
            return Ok(None);
        }
        let (parts, f) = (Arc::clone(&self.parts), Arc::clone(f));
        let unit = move |tx: &mut Tx<'_>| {
            let Some(access) = parts.admit::<L, Read>(tx, parts.reader)? else { return Ok(None) };
            match prepared::read(tx, &access, |tx, access| run(&f, tx, access)) {
                Err(Error::NotFound) => Ok(None),
                made => made.map(Some),
            }
        };
        db.read(unit).await
    }

    /// Opens the door, then returns the parsed request. Its faults are told only to callers whom the door lets in.
    ///
    /// # Errors
    ///
    /// 401, 403 or 404 when the door stays shut; then the faults of the request.
    pub async fn first<T>(&self, act: &'static str, asked: Result<T>) -> Result<T> {
        match asked {
            Ok(asked) => Ok(asked),
            Err(fault) => self.look(act, |_, _| Ok(())).await.and(Err(fault)),
        }
    }

    /// Reads a page of a list, as operation `act`. `filter` is the list's filter, for its cursors. `V` is a
    /// [`Page`](crate::kernel::page::Page), with what else its view needs.
    ///
    /// # Errors
    ///
    /// 401, 403 or 404 when the door stays shut; faults of the listing; the errors of `read`.
    pub async fn list<F, K, V>(
        &self,
        act: &'static str,
        listing: Result<Listing<F>>,
        filter: &str,
        mut read: impl FnMut(&mut Tx<'_>, &Access<Read>, PageRequest<K>) -> Result<V> + Send + 'static,
    ) -> Result<(Listing<F>, V)>
    where
        K: CursorKey + Copy + Send + 'static,
        V: Send + 'static,
    {
        let scope = self.cursor_scope(act, filter);
        let asked = listing.and_then(|listing| Ok((listing.page(&self.state().vault, &scope)?, listing)));
        let (asked, listing) = self.first(act, asked).await?;
        let read = self.read(act, move |tx, access| read(tx, access, asked)).await?;
        Ok((listing, read))
    }

    /// Replies to operation `act` with a list without pages: with its tag, or with a 304 to a caller who has that tag.
    pub fn whole_list<V: Serialize>(&self, act: &str, list: &V, when: &Preconditions) -> Reply {
        whole_list(&self.state().vault, &self.cursor_scope(act, ""), list, when)
    }

    /// Does `request` as operation `act`, once for each idempotency key.
    ///
    /// `parse` makes the command; its faults are told only to callers whom the door lets in. `work` does it, and the
    /// plan follows. Then `show` reads what the answer needs and what the caller may see now: the first time with the
    /// value in the outcome, for a replay without.
    ///
    /// # Errors
    ///
    /// 401, 403 or 404 when the door stays shut; then as [`Caller::check_query`]; faults of the request; the errors of
    /// `work` and `show`.
    pub async fn change<I, B, C, T, V>(
        &self,
        act: &'static str,
        request: Request<I, B>,
        parse: impl FnOnce(Command<I, B>) -> Result<C>,
        mut work: impl FnMut(&mut Tx<'_>, &Access<Write>, &C) -> Result<Outcome<T>> + Send + 'static,
        mut show: impl FnMut(&mut Tx<'_>, &Access<Write>, Outcome<T>) -> Result<V> + Send + 'static,
    ) -> Result<ChangeResult<V>>
    where
        C: Send + 'static,
        V: Send + 'static,
    {
        let (key, path) = (key_of(self.state(), &request, self.parts.patient), request.path().to_owned());
        let mut command = request.into_command().and_then(parse);
        let parts = Arc::clone(&self.parts);
        let db = self.db();
        let verdict = db.write(move |tx| {
            // Nothing is changed in the place of another.
            let Some(access) = parts.open::<L, Write>(tx, act, None)? else { return Ok(Err(Error::NotFound)) };
            parts.caller.check_query()?;
            let key = (parts.caller.account(), key.as_ref().map_err(Error::again)?, access.now());
            parts.attempt(tx, act, &access, |tx| {
                let outcome = idempotency::run(tx, key, &mut command, |tx, command: &C| work(tx, &access, command))?;
                access.settle(tx, Some(parts.state.config.quota()))?;
                access.follow(tx, parts.state.planner.as_ref())?;
                let (status, replayed) = (outcome.done.status, outcome.replayed);
                let value = show(tx, &access, outcome)?;
                parts.trace(tx, act, &access)?;
                Ok((status, replayed, value))
            })
        });
        let (status, replayed, value) = verdict.await??;
        Ok(ChangeResult::new(path, status == 201, replayed, value))
    }

    /// Opens the door to write, as operation `act`, without an idempotency key: `work` knows itself what was done before.
    /// The plan follows.
    ///
    /// # Errors
    ///
    /// 401, 403 or 404 when the door stays shut; then as [`Caller::check_query`]; the errors of `work`.
    pub async fn write<T>(
        &self,
        act: &'static str,
        mut work: impl FnMut(&mut Tx<'_>, &Access<Write>) -> Result<T> + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
    {
        let (parts, db) = (Arc::clone(&self.parts), self.db());
        let verdict = db.write(move |tx| {
            let Some(access) = parts.open::<L, Write>(tx, act, None)? else { return Ok(Err(Error::NotFound)) };
            parts.caller.check_query()?;
            parts.attempt(tx, act, &access, |tx| {
                let value = work(tx, &access)?;
                access.settle(tx, Some(parts.state.config.quota()))?;
                access.follow(tx, parts.state.planner.as_ref())?;
                parts.trace(tx, act, &access)?;
                Ok(value)
            })
        });
        verdict.await?
    }

    /// Does `request` as [`Door::change`] does, and answers 204.
    ///
    /// # Errors
    ///
    /// As [`Door::change`].
    pub async fn delete<I>(
        &self,
        act: &'static str,
        request: Request<I>,
        mut work: impl FnMut(&mut Tx<'_>, &Access<Write>, &Command<I>) -> Result<()> + Send + 'static,
    ) -> Result<Reply>
    where
        I: Send + 'static,
    {
        let work = move |tx: &mut Tx<'_>, access: &Access<Write>, command: &_| {
            work(tx, access, command).map(Outcome::no_content)
        };
        self.change(act, request, Ok, work, |_, _, _| Ok(())).await?.reply(|()| Ok(Reply::no_content()))
    }
}

impl<L: Policy> FromRequest for Door<L> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload).into_inner();
        let request = request.clone();
        Box::pin(async move {
            let caller = caller?;
            let part = |what: &'static str| Error::internal(format!("no {what}"));
            let state = request.app_data::<web::Data<State>>().ok_or_else(|| part("state"))?.clone();
            let directory = request.app_data::<web::Data<Directory>>().ok_or_else(|| part("directory"))?;
            // An address that names no patient means the caller's own data.
            let asked = request.match_info().get("patient_id").unwrap_or("me");
            let asked: PatientRef = asked.parse().map_err(|_malformed| {
                Error::Invalid(vec![FieldError {
                    pointer: "path/patient_id".to_owned(),
                    detail: "must be `me` or a UUID".to_owned(),
                }])
            })?;
            let patient = match asked {
                PatientRef::Me => None,
                PatientRef::Id(id) => Some(id),
            };
            let reader = request.match_info().get("reader_id").map(str::parse::<Id<Account>>).transpose();
            let reader = reader.map_err(|_malformed| {
                let (pointer, detail) = ("path/reader_id".to_owned(), "must be a UUID".to_owned());
                Error::Invalid(vec![FieldError { pointer, detail }])
            })?;
            Self::made(caller, state.into_inner(), directory, (patient, reader)).await
        })
    }
}
