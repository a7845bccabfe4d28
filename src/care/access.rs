//! The proof that a check was made.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

use jiff::Timestamp;
use uuid::Uuid;

use crate::changes::{self, Change, FeedsPlan, PlanRequest, Planner};
use crate::db::Tx;
use crate::identity::Live;
use crate::identity::actions::Draft;
use crate::kernel::id::{Account, CareLink, Clinic, Patient, Session};
use crate::kernel::{Code, Error, Id, Result};
use crate::vault::Keys;

/// May read.
#[derive(Debug)]
pub enum Read {}
/// May read and write.
#[derive(Debug)]
pub enum Write {}

/// As whom a patient's data was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The patient themself.
    Owner,
    /// A therapist, over a live care link.
    Therapist {
        /// The link.
        link: Id<CareLink>,
        /// The clinic it belongs to.
        clinic: Id<Clinic>,
    },
    /// Somebody who records infusions at a clinic of the patient's.
    Recorder {
        /// The clinic.
        clinic: Id<Clinic>,
    },
    /// The server itself: planning, delivery, clearing.
    Server,
}

impl Role {
    /// The word in the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Therapist { .. } => "therapist",
            Self::Recorder { .. } => "record",
            Self::Server => "server",
        }
    }
}

/// The permission to touch one patient's data, in one unit of work.
#[derive(Debug)]
pub struct Access<A> {
    patient: Id<Patient>,
    role: Role,
    actor: Option<(Id<Account>, Id<Session>)>,
    keys: Option<Keys>,
    now: Timestamp,
    read: RefCell<Vec<Uuid>>,
    /// The number for the next change, once the patient's head is locked.
    number: Cell<Option<i64>>,
    feeds: Cell<FeedsPlan>,
    of: PhantomData<fn() -> A>,
}

impl<A> Access<A> {
    fn new(
        patient: Id<Patient>,
        role: Role,
        actor: Option<(Id<Account>, Id<Session>)>,
        keys: Option<Keys>,
        now: Timestamp,
    ) -> Self {
        Self {
            patient,
            role,
            actor,
            keys,
            now,
            read: RefCell::default(),
            number: Cell::default(),
            feeds: Cell::default(),
            of: PhantomData,
        }
    }

    /// Made by the doors only, after the check.
    pub(super) fn opened(
        patient: Id<Patient>,
        role: Role,
        actor: (Id<Account>, Id<Session>),
        keys: Option<Keys>,
        now: Timestamp,
    ) -> Self {
        Self::new(patient, role, Some(actor), keys, now)
    }

    /// Returns the patient.
    pub fn patient(&self) -> Id<Patient> {
        self.patient
    }

    /// The caller's role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether the patient themself (or the server for them) is at work.
    pub fn is_owner(&self) -> bool {
        matches!(self.role, Role::Owner | Role::Server)
    }

    /// The care link a therapist came over.
    pub fn link(&self) -> Option<Id<CareLink>> {
        match self.role {
            Role::Therapist { link, .. } => Some(link),
            _ => None,
        }
    }

    /// The account and session at work; `None` for the server.
    pub fn actor(&self) -> Option<(Id<Account>, Id<Session>)> {
        self.actor
    }

    /// The account at work.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] for the server: only accounts sign what they write.
    pub fn account(&self) -> Result<Id<Account>> {
        self.actor.map(|(account, _)| account).ok_or_else(|| Error::internal("the server has no account"))
    }

    /// The patient's keys.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when they were destroyed.
    pub fn keys(&self) -> Result<&Keys> {
        self.keys.as_ref().ok_or(Error::NotFound)
    }

    /// Returns the instant at which the request arrived or the job began.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Notes that the content of `id` goes to the caller: it stands in the audit row of this access.
    pub fn returns(&self, id: Uuid) {
        if !self.is_owner() {
            self.read.borrow_mut().push(id);
        }
    }

    pub(super) fn returned(&self) -> Vec<Uuid> {
        self.read.take()
    }
}

impl Access<Read> {
    /// The permission of the server to read a patient's data: to judge what may be delivered, to look for what is due.
    pub fn for_server(patient: Id<Patient>, keys: Option<Keys>, now: Timestamp) -> Self {
        Self::new(patient, Role::Server, None, keys, now)
    }

    /// The permission of a patient, who is known to be themself, to read outside the operations that name a patient.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for an account that is no patient's.
    pub fn of_self<K>(live: &Live<K>, keys: Option<Keys>) -> Result<Self> {
        let patient = live.patient().ok_or(Error::Forbidden(Code::Forbidden))?;
        Ok(Self::opened(patient, Role::Owner, (live.account(), live.session()), keys, live.now()))
    }
}

impl Access<Write> {
    /// The access of the planner, in the unit of whoever changed something.
    pub fn for_planner(request: &PlanRequest) -> Self {
        Self::new(request.patient, Role::Server, request.actor, request.keys.clone(), request.now)
    }

    /// Locks the patient's head, as the first write on their data in a unit, and takes the number of the first change.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such patient.
    pub fn lock(&self, tx: &mut Tx<'_>) -> Result<()> {
        if self.number.get().is_none() {
            self.number.set(Some(changes::take(tx, self.patient, 1)?));
        }
        Ok(())
    }

    /// Notes that a statement has locked the patient's head and taken `number`, and whether it recorded a change under it.
    pub fn locked(&self, number: i64, used: bool) {
        self.number.set(Some(number).filter(|_| !used));
    }

    /// Records a change under the next number of the patient. The plan follows as the kind of thing says.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn record(&self, tx: &mut Tx<'_>, change: Change) -> Result<()> {
        self.record_feeding(tx, change, change.entity.feeds_plan())
    }

    /// Records a change whose own content says whether it feeds the plan.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn record_feeding(&self, tx: &mut Tx<'_>, change: Change, feeds: FeedsPlan) -> Result<()> {
        self.insert(tx, change, self.actor)?;
        self.feed_plan(feeds);
        Ok(())
    }

    /// Records a change that the server makes in the unit of somebody else: it has no actor, and the planner who makes it
    /// plans after it.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn record_of_server(&self, tx: &mut Tx<'_>, change: Change) -> Result<()> {
        self.insert(tx, change, None)
    }

    fn insert(&self, tx: &mut Tx<'_>, change: Change, actor: Option<(Id<Account>, Id<Session>)>) -> Result<()> {
        self.lock(tx)?;
        let Some(number) = self.number.take() else { return Err(Error::internal("a change has no number")) };
        changes::insert(tx, self.patient, number, actor, self.now, &[change])
    }

    /// Records many changes of one kind, the first of them under the number that is held.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn record_all(&self, tx: &mut Tx<'_>, list: &[Change]) -> Result<()> {
        let Some(kind) = list.first().map(|change| change.entity) else { return Ok(()) };
        let held = self.number.take();
        let (first, rest) = list.split_at(usize::from(held.is_some()));
        if let Some(number) = held {
            changes::insert(tx, self.patient, number, self.actor, self.now, first)?;
        }
        if !rest.is_empty() {
            let number = changes::take(tx, self.patient, rest.len())?;
            changes::insert(tx, self.patient, number, self.actor, self.now, rest)?;
        }
        self.feed_plan(kind.feeds_plan());
        Ok(())
    }

    /// Notes that the unit changed what the plan depends on, where no change row says so.
    pub fn feed_plan(&self, feeds: FeedsPlan) {
        self.feeds.set(self.feeds.get().max(feeds));
    }

    /// Has the plan follow what the unit changed: the last step of every unit that writes, once.
    ///
    /// # Errors
    ///
    /// What the planner answers.
    pub(super) fn follow(&self, tx: &mut Tx<'_>, planner: &dyn Planner) -> Result<()> {
        let feeds = self.feeds.take();
        if feeds == FeedsPlan::Never {
            return Ok(());
        }
        let Self { patient, actor, now, .. } = *self;
        planner.follow(tx, &PlanRequest { patient, keys: self.keys.clone(), actor, now, feeds })
    }
}

/// A permission to write that was given outside a door. It is used up by a piece of work, after which the plan follows.
#[derive(Debug)]
pub struct WriteScope(Access<Write>);

impl WriteScope {
    /// For the server's own work on a patient's data.
    pub fn for_server(patient: Id<Patient>, keys: Option<Keys>, now: Timestamp) -> Self {
        Self(Access::new(patient, Role::Server, None, keys, now))
    }

    /// For a patient who is known to be themself, outside the operations that name a patient.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for an account that is no patient's.
    pub fn of_self<K>(live: &Live<K>, keys: Option<Keys>) -> Result<Self> {
        let patient = live.patient().ok_or(Error::Forbidden(Code::Forbidden))?;
        Ok(Self(Access::opened(patient, Role::Owner, (live.account(), live.session()), keys, live.now())))
    }

    /// For the patient of an account that this unit makes, in the session that it opens for them.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] for an account that is no patient's.
    pub fn for_new(account: &Draft, session: Id<Session>, now: Timestamp) -> Result<Self> {
        let patient = account.patient.zip(account.patient_keys());
        let (patient, keys) = patient.ok_or_else(|| Error::internal("a new account is no patient's"))?;
        Ok(Self(Access::opened(patient, Role::Owner, (account.id, session), Some(keys.clone()), now)))
    }

    /// With an access for which this slice has checked everything itself.
    pub(super) fn of(access: Access<Write>) -> Self {
        Self(access)
    }

    /// Does `work`, and then has the plan follow what it changed.
    ///
    /// # Errors
    ///
    /// What `work` or the planner answer.
    pub fn run<T>(
        self,
        tx: &mut Tx<'_>,
        planner: &dyn Planner,
        work: impl FnOnce(&mut Tx<'_>, &Access<Write>) -> Result<T>,
    ) -> Result<T> {
        let value = work(tx, &self.0)?;
        self.0.follow(tx, planner)?;
        Ok(value)
    }
}
