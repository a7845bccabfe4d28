//! The proof that a check was made.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

use jiff::Timestamp;
use uuid::Uuid;

use crate::changes::{self, Bytes, Change, FeedsPlan, LockedHead, PlanRequest, Planner};
use crate::db::Tx;
use crate::identity::{Live, Need, Proofs};
use crate::kernel::id::{Account, CareLink, Clinic, Patient, Session};
use crate::kernel::{Code, Error, Id, Result};
use crate::vault::Keys;

/// May read.
#[derive(Debug)]
pub enum Read {}
/// May read and write.
#[derive(Debug)]
pub enum Write {}

/// The role in which a patient's data was opened.
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
    /// A colleague who stands in for the therapist of a live care link.
    Cover {
        /// The link.
        link: Id<CareLink>,
        /// The clinic it belongs to.
        clinic: Id<Clinic>,
    },
    /// A member of staff in an emergency, for some hours.
    BreakGlass {
        /// The clinic.
        clinic: Id<Clinic>,
    },
    /// A member of staff who records infusions at a clinic of the patient's.
    Recorder {
        /// The clinic.
        clinic: Id<Clinic>,
    },
    /// The server itself: planning, delivery, clearing.
    Server,
}

impl Role {
    /// Returns the word for the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Therapist { .. } => "therapist",
            Self::Cover { .. } => "cover",
            Self::BreakGlass { .. } => "break_glass",
            Self::Recorder { .. } => "record",
            Self::Server => "server",
        }
    }
}

/// The bytes that a unit adds to those stored about the patient.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// All that the unit adds.
    added: Bytes,
    /// The part of it that the head does not have yet.
    pending: Bytes,
    /// What the head had when it was last written.
    stored: Bytes,
}

/// The permission to touch one patient's data, in one unit of work.
#[derive(Debug)]
pub struct Access<A> {
    patient: Id<Patient>,
    role: Role,
    actor: Option<(Id<Account>, Id<Session>)>,
    keys: Option<Keys>,
    /// The proofs of the caller's session, where the patient asks.
    proofs: Option<Proofs>,
    now: Timestamp,
    read: RefCell<Vec<Uuid>>,
    /// The number for the next change, once the patient's head is locked.
    number: Cell<Option<i64>>,
    /// Whether the unit has locked the patient's head.
    holds_head: Cell<bool>,
    feeds: Cell<FeedsPlan>,
    bytes: Cell<Tally>,
    /// Whether the patient may have a grant by rule. The head says so once it is locked.
    may_have_rules: Cell<bool>,
    /// Whether a new entry that is not shared may change the plan. The head says so once it is locked.
    awaits_entry: Cell<bool>,
    of: PhantomData<fn() -> A>,
}

impl<A> Access<A> {
    pub(super) fn new(
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
            proofs: None,
            now,
            read: RefCell::default(),
            number: Cell::default(),
            holds_head: Cell::default(),
            feeds: Cell::default(),
            bytes: Cell::default(),
            may_have_rules: Cell::new(true),
            awaits_entry: Cell::new(true),
            of: PhantomData,
        }
    }

    /// Makes an access. Only the doors call this, after the check.
    pub(super) fn opened(
        patient: Id<Patient>,
        role: Role,
        actor: (Id<Account>, Id<Session>),
        keys: Option<Keys>,
        now: Timestamp,
    ) -> Self {
        Self::new(patient, role, Some(actor), keys, now)
    }

    /// Adds the proofs of the caller's session.
    pub(super) fn proved(self, proofs: Proofs) -> Self {
        Self { proofs: Some(proofs), ..self }
    }

    /// Checks the proofs of the caller's session, for an operation that asks for them by what is in its body. What the
    /// server does by itself needs none.
    ///
    /// # Errors
    ///
    /// [`Error::StepUp`] with those that are missing or too old.
    pub fn require(&self, need: Need) -> Result<()> {
        self.proofs.map_or(Ok(()), |proofs| need.check(&proofs, self.now))
    }

    /// Returns the patient.
    pub fn patient(&self) -> Id<Patient> {
        self.patient
    }

    /// Returns the caller's role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether the caller is the patient, or the server on the patient's behalf.
    pub fn is_owner(&self) -> bool {
        matches!(self.role, Role::Owner | Role::Server)
    }

    /// Returns the care link over which a therapist reads, or who stands in for one.
    pub fn link(&self) -> Option<Id<CareLink>> {
        match self.role {
            Role::Therapist { link, .. } | Role::Cover { link, .. } => Some(link),
            Role::Owner | Role::BreakGlass { .. } | Role::Recorder { .. } | Role::Server => None,
        }
    }

    /// Whether the caller stands in for a therapist: only what is granted to the care team is open to them.
    pub fn is_cover(&self) -> bool {
        matches!(self.role, Role::Cover { .. })
    }

    /// Returns the clinic for which staff act.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for the patient and the server.
    pub fn clinic(&self) -> Result<Id<Clinic>> {
        match self.role {
            Role::Therapist { clinic, .. }
            | Role::Cover { clinic, .. }
            | Role::BreakGlass { clinic }
            | Role::Recorder { clinic } => Ok(clinic),
            Role::Owner | Role::Server => Err(Error::NotFound),
        }
    }

    /// Returns the account and session of the caller; `None` for the server.
    pub fn actor(&self) -> Option<(Id<Account>, Id<Session>)> {
        self.actor
    }

    /// Returns the account of the caller.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] for the server: only accounts sign what they write.
    pub fn account(&self) -> Result<Id<Account>> {
        self.actor.map(|(account, _)| account).ok_or_else(|| Error::internal("the server has no account"))
    }

    /// Returns the patient's keys.
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

    /// Notes that the answer holds the content of `id`, for the audit row of this access.
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
    /// Lets the server read a patient's data: to judge what may be delivered, to look for what is due.
    pub fn for_server(patient: Id<Patient>, keys: Option<Keys>, now: Timestamp) -> Self {
        Self::new(patient, Role::Server, None, keys, now)
    }

    /// Lets a patient read their own data outside the operations that name a patient.
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
    /// Makes the access of the planner in the unit that changed something.
    pub fn for_planner(request: &PlanRequest) -> Self {
        Self::new(request.patient, Role::Server, request.actor, request.keys.clone(), request.now)
    }

    /// Locks the patient's head and takes the number of the first change. This is the first write on their data in a
    /// unit.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such patient.
    pub fn lock(&self, tx: &mut Tx<'_>) -> Result<()> {
        if self.number.get().is_none() {
            self.number.set(Some(self.take(tx, 1)?));
        }
        Ok(())
    }

    /// Takes a number that no change gets, because an item left a grant and neither of them changed. The plan is made
    /// again, and whoever keeps what was open as of an earlier number sees that one is missing.
    ///
    /// # Errors
    ///
    /// As [`Self::lock`].
    pub fn skip_number(&self, tx: &mut Tx<'_>) -> Result<()> {
        self.take(tx, 1)?;
        self.feed_plan(FeedsPlan::Always);
        Ok(())
    }

    /// Takes `count` numbers. The head also gets the bytes that it does not have yet.
    fn take(&self, tx: &mut Tx<'_>, count: usize) -> Result<i64> {
        let tally = self.bytes.get();
        let head = changes::take(tx, self.patient, count, tally.pending)?;
        self.hold(head);
        Ok(head.number)
    }

    /// Notes that the head is locked, with what was pending.
    fn hold(&self, head: LockedHead) {
        self.holds_head.set(true);
        self.may_have_rules.set(head.has_rules);
        self.awaits_entry.set(head.awaits_entry);
        self.bytes.set(Tally { pending: Bytes::default(), stored: head.stored, ..self.bytes.get() });
    }

    /// Notes that the unit adds so many bytes, before it locks the head if they are known by then: the head is then
    /// written once.
    pub fn stores(&self, bytes: Bytes) {
        let Tally { added, pending, stored } = self.bytes.get();
        self.bytes.set(Tally { added: added.plus(bytes), pending: pending.plus(bytes), stored });
    }

    /// Notes that the unit frees so many bytes.
    pub fn frees(&self, bytes: Bytes) {
        self.stores(Bytes::default().minus(bytes));
    }

    /// Returns the bytes that the head does not have yet, for a statement that locks it.
    pub fn pending(&self) -> Bytes {
        self.bytes.get().pending
    }

    /// Writes to the head what it does not have yet, and checks the quota.
    ///
    /// # Errors
    ///
    /// [`Error::LimitReached`] when the unit adds bytes that are more than the `quota`; `None` is for the server's own
    /// work.
    pub(super) fn settle(&self, tx: &mut Tx<'_>, quota: Option<i64>) -> Result<()> {
        if self.pending() != Bytes::default() {
            self.take(tx, 0)?;
        }
        let Tally { added, stored, .. } = self.bytes.get();
        quota.map_or(Ok(()), |quota| added.within(stored, quota))
    }

    /// Runs `f`. When it refuses, its changes are undone, with all that this access has noted of them, and the unit goes
    /// on.
    ///
    /// # Errors
    ///
    /// Faults of the server, with which the unit must end.
    pub fn attempt<T>(&self, tx: &mut Tx<'_>, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<Result<T>> {
        // The head is locked before the savepoint: the lock then stays when the rest is undone.
        if !self.holds_head.get() {
            self.lock(tx)?;
        }
        let before = (self.number.get(), self.feeds.get(), self.bytes.get());
        let result = tx.attempt(f)?;
        if result.is_err() {
            self.number.set(before.0);
            self.feeds.set(before.1);
            self.bytes.set(before.2);
        }
        Ok(result)
    }

    /// Writes to the head the bytes that it does not have yet, and checks the quota, within a unit that goes on.
    ///
    /// # Errors
    ///
    /// [`Error::LimitReached`].
    pub fn within(&self, tx: &mut Tx<'_>, quota: i64) -> Result<()> {
        self.settle(tx, Some(quota))
    }

    /// Notes that a statement has locked the patient's head, added what was pending to its bytes, and taken a number;
    /// `used` if it recorded a change under it.
    pub fn locked(&self, head: LockedHead, used: bool) {
        self.number.set(Some(head.number).filter(|_| !used));
        self.hold(head);
    }

    /// Whether the patient may have a grant by rule: no other unit makes the first one while this one holds the head.
    pub fn may_have_rules(&self) -> bool {
        self.may_have_rules.get()
    }

    /// Whether a new entry that is not shared may change the plan. If not, the plan was made with such an entry,
    /// and does not wait for activity.
    pub fn awaits_entry(&self) -> bool {
        self.awaits_entry.get()
    }

    /// Notes that the unit makes a grant by rule.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn note_rule(&self, tx: &mut Tx<'_>) -> Result<()> {
        changes::note_rule(tx, self.patient)?;
        self.may_have_rules.set(true);
        Ok(())
    }

    /// Records a change under the patient's next number. The kind of thing decides whether the plan follows.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn record(&self, tx: &mut Tx<'_>, change: Change) -> Result<()> {
        self.record_feeding(tx, change, change.entity.feeds_plan())
    }

    /// Records a change and lets the caller decide whether it feeds the plan.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn record_feeding(&self, tx: &mut Tx<'_>, change: Change, feeds: FeedsPlan) -> Result<()> {
        self.insert(tx, change, self.actor)?;
        self.feed_plan(feeds);
        Ok(())
    }

    /// Records a change that the server makes in the unit of another caller: the change has no actor. It does not feed
    /// the plan, because the planner that makes it plans afterwards.
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

    /// Records many changes of one kind. The first of them takes the number that is held.
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
            let number = self.take(tx, rest.len())?;
            changes::insert(tx, self.patient, number, self.actor, self.now, rest)?;
        }
        self.feed_plan(kind.feeds_plan());
        Ok(())
    }

    /// Notes that the unit changed facts of the plan for which there is no change row.
    pub fn feed_plan(&self, feeds: FeedsPlan) {
        self.feeds.set(self.feeds.get().max(feeds));
    }

    /// Brings the plan up to date. Every unit that writes does this once, as its last step.
    ///
    /// # Errors
    ///
    /// The errors of the planner.
    pub(super) fn follow(&self, tx: &mut Tx<'_>, planner: &dyn Planner) -> Result<()> {
        let feeds = self.feeds.take();
        if feeds == FeedsPlan::Never {
            return Ok(());
        }
        let Self { patient, actor, now, .. } = *self;
        planner.follow(tx, &PlanRequest { patient, keys: self.keys.clone(), actor, now, feeds })
    }
}
