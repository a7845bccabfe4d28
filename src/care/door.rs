//! Doors: what stands in a handler's signature is the lock on it.
//!
//! | door | opens for |
//! |---|---|
//! | `Door<Own>` | the patient |
//! | `Door<Shared>` | the patient; a therapist over a live link |
//! | `Door<Team>` | the patient; a therapist over a live link; `record` staff of a clinic of the patient's |
//! | `Door<Care>` | a therapist over a live link |
//!
//! Order of checks: authenticate, open, replay record, body and preconditions. A denial and an absence run the same
//! statements and give the same 404. A refusal of staff who could know the patient leaves a trace in the patient's
//! log, once an hour for each person.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use jiff::Timestamp;

use super::access::{Access, Read, Role, Write};
use super::store::{self, Bond};
use crate::audit::{self, Record as AuditRecord, Subject};
use crate::db::Tx;
use crate::http::{IdempotencyKey, PatientRef};
use crate::identity::{AccountKind, Anyone, Caller, Directory, Kind, Staff, once_of};
use crate::kernel::fields::FieldError;
use crate::kernel::id::{Account, Patient};
use crate::kernel::{Code, Error, Id, Result};
use crate::replay::{self, Done, Once};
use crate::state::State;
use crate::vault::Keys;

/// A lock: which accounts may try, and as whom they get in.
pub trait Lock: 'static {
    /// The kinds of account the operation is for; others get 403 whatever the patient.
    type For: Kind;
    /// As whom a caller gets in, by what binds them to the patient.
    fn admits(bonds: &Bonds<'_>) -> Option<Role>;
}

/// What binds a caller to a patient.
#[derive(Debug)]
pub struct Bonds<'b> {
    owner: bool,
    links: &'b [Bond],
}

impl Bonds<'_> {
    fn owner(&self) -> Option<Role> {
        self.owner.then_some(Role::Owner)
    }

    fn therapist(&self) -> Option<Role> {
        let own = self.links.iter().find(|bond| bond.own && bond.active && bond.capabilities.care());
        own.map(|bond| Role::Therapist { link: bond.link, clinic: bond.clinic })
    }

    fn recorder(&self) -> Option<Role> {
        let at = self.links.iter().find(|bond| bond.active && bond.capabilities.record());
        at.map(|bond| Role::Recorder { clinic: bond.clinic })
    }
}

macro_rules! locks {
    ($($(#[$doc:meta])* $name:ident for $kind:ty: $bonds:ident => $rule:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl Lock for $name {
            type For = $kind;
            fn admits($bonds: &Bonds<'_>) -> Option<Role> { $rule }
        }
    )* };
}

locks! {
    /// The patient.
    Own for Patient: bonds => bonds.owner();
    /// The patient, or a linked therapist.
    Shared for Anyone: bonds => bonds.owner().or_else(|| bonds.therapist());
    /// The patient, a linked therapist, or recording staff.
    Team for Anyone: bonds => bonds.owner().or_else(|| bonds.therapist()).or_else(|| bonds.recorder());
    /// A linked therapist.
    Care for Staff: bonds => bonds.therapist();
}

/// A request for one patient's data, not opened yet.
pub struct Door<L> {
    caller: Caller,
    /// `None`: staff said `me`.
    patient: Option<Id<Patient>>,
    owner: bool,
    keys: Option<Keys>,
    state: web::Data<State>,
    of: PhantomData<fn() -> L>,
}

impl<L> std::fmt::Debug for Door<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Door({:?})", self.patient)
    }
}

/// What [`Pass::open`] found: in, or a refusal that has left its trace and must be committed.
enum Opened<A> {
    In(Access<A>),
    Refused,
}

/// The pieces of a door that go into the unit.
struct Pass<L> {
    caller: Caller,
    patient: Option<Id<Patient>>,
    keys: Option<Keys>,
    state: web::Data<State>,
    act: &'static str,
    of: PhantomData<fn() -> L>,
}

impl<L: Lock> Pass<L> {
    fn open<A>(&self, tx: &mut Tx<'_>) -> Result<Opened<A>> {
        let live = self.caller.live(tx)?;
        if !L::For::admits(live.kind()) {
            return Err(Error::Forbidden(Code::Forbidden));
        }
        let patient = self.patient.ok_or(Error::Forbidden(Code::Forbidden))?;
        let owner = live.patient() == Some(patient);
        let links = if owner { Vec::new() } else { store::bonds(tx, patient, live.account())? };
        match L::admits(&Bonds { owner, links: &links }) {
            Some(role) => {
                let actor = (live.account(), live.session());
                Ok(Opened::In(Access::opened(patient, role, actor, self.keys.clone(), live.now())))
            }
            None if links.is_empty() || live.kind() != AccountKind::Staff => Err(Error::NotFound),
            None => {
                self.trace_refusal(tx, live.account(), patient, live.now())?;
                Ok(Opened::Refused)
            }
        }
    }

    /// Leaves the trace of a refusal, once an hour for each person.
    fn trace_refusal(&self, tx: &mut Tx<'_>, who: Id<Account>, patient: Id<Patient>, now: Timestamp) -> Result<()> {
        let Some(keys) = &self.keys else { return Ok(()) };
        if audit::refused_since(tx, patient, who, hour_of(now))? {
            return Ok(());
        }
        let record = AuditRecord { act: self.act.to_owned(), role: "staff".to_owned(), refused: true, ids: Vec::new() };
        let subject = Subject::Patient(patient);
        // Without a session: that is how a refusal is found again without opening it.
        audit::append(tx, &self.state.vault, keys, subject, Some(who), None, now, &record)
    }

    /// Leaves the trace of a refusal by somebody who works at a clinic of the patient's.
    fn refused(&self, tx: &mut Tx<'_>) -> Result<()> {
        let live = self.caller.live(tx)?;
        let Some(patient) = self.patient else { return Ok(()) };
        if store::bonds(tx, patient, live.account())?.is_empty() || live.kind() != AccountKind::Staff {
            return Ok(());
        }
        self.trace_refusal(tx, live.account(), patient, live.now())
    }

    /// Writes the audit row of an access by anybody but the patient.
    fn trace<A>(&self, tx: &mut Tx<'_>, access: &Access<A>) -> Result<()> {
        if access.is_owner() {
            return Ok(());
        }
        let record = AuditRecord {
            act: self.act.to_owned(),
            role: access.role().name().to_owned(),
            refused: false,
            ids: access.returned(),
        };
        let (account, session) = access.actor().unzip();
        let subject = Subject::Patient(access.patient());
        audit::append(tx, &self.state.vault, access.keys()?, subject, account, session, access.now(), &record)
    }
}

fn hour_of(now: Timestamp) -> Timestamp {
    let second = now.as_second();
    Timestamp::from_second(second - second.rem_euclid(3600)).unwrap_or(now)
}

impl<L: Lock> Door<L> {
    /// Steps up to a patient's door; to the caller's own without a `patient`. Whether it opens is seen in the unit that
    /// reads or writes.
    ///
    /// # Errors
    ///
    /// When database or keyring cannot be reached.
    pub async fn knock(
        caller: Caller,
        state: Arc<State>,
        directory: &Directory,
        patient: Option<Id<Patient>>,
    ) -> Result<Self> {
        let own = directory.patient_of(&state.db, caller.account()).await?;
        let patient = patient.or(own);
        let owner = patient.is_some() && patient == own;
        let keys = match patient {
            Some(patient) => state.vault.keys(patient.uuid()).await?,
            None => None,
        };
        Ok(Self { caller, patient, owner, keys, state: state.into(), of: PhantomData })
    }

    /// The patient behind the door, once a unit has opened it; for rendering what it returned.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is none.
    pub fn patient(&self) -> Result<Id<Patient>> {
        self.patient.ok_or(Error::NotFound)
    }

    /// The patient's keys, for opening what a unit returned.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there are none.
    pub fn keys(&self) -> Result<&Keys> {
        self.keys.as_ref().ok_or(Error::NotFound)
    }

    /// Whether the caller is the patient.
    pub fn is_owner(&self) -> bool {
        self.owner
    }

    /// When the request arrived.
    pub fn now(&self) -> Timestamp {
        self.caller.now()
    }

    /// The server's parts.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Binds cursors to the caller and to what they asked for.
    pub fn cursor_scope(&self, act: &str, filter: &str) -> Vec<u8> {
        let patient = self.patient.map(|id| id.to_string()).unwrap_or_default();
        format!("{act}|{}|{patient}|{filter}", self.caller.account()).into_bytes()
    }

    fn pass(&self, act: &'static str) -> Pass<L> {
        Pass {
            caller: self.caller,
            patient: self.patient,
            keys: self.keys.clone(),
            state: self.state.clone(),
            act,
            of: PhantomData,
        }
    }

    /// Opens the door to read, as operation `act`. For the patient one snapshot; for anybody else a unit that also
    /// writes the audit row, with the ids given to [`Access::returns`].
    ///
    /// # Errors
    ///
    /// 401, 403 or 404 when the door stays shut; what `f` answers.
    pub async fn read<T, F>(&self, act: &'static str, mut f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>, &Access<Read>) -> Result<T> + Send + 'static,
    {
        let pass = self.pass(act);
        let unit = move |tx: &mut Tx<'_>| match pass.open::<Read>(tx)? {
            Opened::Refused => Ok(Err(Error::NotFound)),
            Opened::In(access) => match f(tx, &access) {
                Ok(value) => {
                    pass.trace(tx, &access)?;
                    Ok(Ok(value))
                }
                // Not theirs to see, or not there: both leave the same trace.
                Err(Error::NotFound) if !access.is_owner() => {
                    pass.trace_refusal(tx, access.account()?, access.patient(), access.now())?;
                    Ok(Err(Error::NotFound))
                }
                Err(error) => Err(error),
            },
        };
        if self.owner { self.state.db.read(unit).await? } else { self.state.db.write(unit).await? }
    }

    /// What was asked for, parsed; what is wrong with it is only told to somebody whom the door lets in.
    ///
    /// # Errors
    ///
    /// 401, 403 or 404 when the door stays shut; then what is wrong.
    pub async fn first<T>(&self, act: &'static str, asked: Result<T>) -> Result<T> {
        match asked {
            Ok(asked) => Ok(asked),
            Err(fault) => self.read(act, |_, _| Ok(())).await.and(Err(fault)),
        }
    }

    /// Opens the door to write, as operation `act`: once for each idempotency key.
    ///
    /// `command` is the parsed body: what is wrong with it is only told to somebody whom the door lets in. `f` does
    /// the work; `again` renders an earlier outcome of the same request for what the caller may see now.
    ///
    /// # Errors
    ///
    /// 401, 403 or 404 when the door stays shut; what is wrong with the command; what `f` or `again` answer.
    pub async fn write<C, V, F, G>(
        &self,
        act: &'static str,
        once: Once,
        mut command: Result<C>,
        mut f: F,
        mut again: G,
    ) -> Result<(Done, V)>
    where
        C: Send + 'static,
        V: Send + 'static,
        F: FnMut(&mut Tx<'_>, &Access<Write>, &C) -> Result<(Done, V)> + Send + 'static,
        G: FnMut(&mut Tx<'_>, &Access<Write>, Done) -> Result<V> + Send + 'static,
    {
        let pass = self.pass(act);
        let verdict = self.state.db.write(move |tx| {
            let access = match pass.open::<Write>(tx)? {
                Opened::Refused => return Ok(Err(Error::NotFound)),
                Opened::In(access) => access,
            };
            let once = (pass.caller.account(), &once, access.now());
            let work = |tx: &mut Tx<'_>, command: &C| f(tx, &access, command);
            let answer = replay::run(tx, once, &mut command, work, |tx, done| again(tx, &access, done))?;
            pass.trace(tx, &access)?;
            Ok(Ok(answer))
        });
        let answer = verdict.await.and_then(|answer| answer);
        if !self.owner && matches!(answer, Err(Error::NotFound)) {
            // What the unit did is rolled back; the trace of the refusal needs one of its own.
            let pass = self.pass(act);
            self.state.db.write(move |tx| pass.refused(tx)).await?;
        }
        answer
    }

    /// The idempotency key of this request with its fingerprint, a keyed hash of method, path and body.
    pub fn once(&self, key: &IdempotencyKey, body: &[u8]) -> Once {
        once_of(&self.state, key, body)
    }
}

impl<L: Lock> FromRequest for Door<L> {
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
            let asked = request.match_info().get("patient_id").unwrap_or_default();
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
            Self::knock(caller, state.into_inner(), directory, patient).await
        })
    }
}
