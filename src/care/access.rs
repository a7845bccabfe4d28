//! The proof that a check was made.

use std::cell::RefCell;
use std::marker::PhantomData;

use jiff::Timestamp;
use uuid::Uuid;

use crate::identity::Live;
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

/// Leave to touch one patient's data, in one unit of work.
#[derive(Debug)]
pub struct Access<A> {
    patient: Id<Patient>,
    role: Role,
    actor: Option<(Id<Account>, Id<Session>)>,
    keys: Option<Keys>,
    now: Timestamp,
    read: RefCell<Vec<Uuid>>,
    of: PhantomData<fn() -> A>,
}

impl<A> Access<A> {
    /// Made by the doors only, after the check.
    pub(super) fn opened(
        patient: Id<Patient>,
        role: Role,
        actor: (Id<Account>, Id<Session>),
        keys: Option<Keys>,
        now: Timestamp,
    ) -> Self {
        Self { patient, role, actor: Some(actor), keys, now, read: RefCell::default(), of: PhantomData }
    }

    /// Whose data.
    pub fn patient(&self) -> Id<Patient> {
        self.patient
    }

    /// As whom.
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

    /// When the request arrived, or the job began.
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

impl Access<Write> {
    /// Leave for the server's own work on a patient's data: planning, delivery, clearing, the demo.
    pub fn for_server(patient: Id<Patient>, keys: Option<Keys>, now: Timestamp) -> Self {
        Self { patient, role: Role::Server, actor: None, keys, now, read: RefCell::default(), of: PhantomData }
    }

    /// Leave for a patient who is known to be themself, outside the operations that name a patient.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for an account that is no patient's.
    pub fn of_self<K>(live: &Live<K>, keys: Option<Keys>) -> Result<Self> {
        let patient = live.patient().ok_or(Error::Forbidden(Code::Forbidden))?;
        Ok(Self::opened(patient, Role::Owner, (live.account(), live.session()), keys, live.now()))
    }
}
