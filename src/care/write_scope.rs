//! The permission to write outside a door.

use jiff::Timestamp;

use super::access::{Access, Role, Write};
use crate::changes::Planner;
use crate::db::Tx;
use crate::identity::Live;
use crate::identity::actions::PendingAccount;
use crate::kernel::id::{Patient, Session};
use crate::kernel::{Code, Error, Id, Result};
use crate::vault::Keys;

/// A permission to write that was given outside a door. One piece of work uses it up; the plan then follows.
#[derive(Debug)]
pub struct WriteScope(Access<Write>);

impl WriteScope {
    /// For the server's own work on a patient's data.
    pub fn for_server(patient: Id<Patient>, keys: Option<Keys>, now: Timestamp) -> Self {
        Self(Access::new(patient, Role::Server, None, keys, now))
    }

    /// Lets a patient write their own data outside the operations that name a patient.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for an account that is no patient's.
    pub fn of_self<K>(live: &Live<K>, keys: Option<Keys>) -> Result<Self> {
        let patient = live.patient().ok_or(Error::Forbidden(Code::Forbidden))?;
        let access = Access::opened(patient, Role::Owner, (live.account(), live.session()), keys, live.now());
        Ok(Self(access.proved(*live.proofs())))
    }

    /// Lets a unit that makes a patient's account write that patient's data, in the session that it opens.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] for an account that is no patient's.
    pub fn for_new(account: &PendingAccount, session: Id<Session>, now: Timestamp) -> Result<Self> {
        let patient = account.patient.zip(account.patient_keys());
        let (patient, keys) = patient.ok_or_else(|| Error::internal("a new account is no patient's"))?;
        Ok(Self(Access::opened(patient, Role::Owner, (account.id, session), Some(keys.clone()), now)))
    }

    /// Wraps an access for which this slice has made every check.
    pub(super) fn of(access: Access<Write>) -> Self {
        Self(access)
    }

    /// Does `work`, then brings the plan up to date.
    ///
    /// # Errors
    ///
    /// The errors of `work` and of the planner.
    pub fn run<T>(
        self,
        tx: &mut Tx<'_>,
        planner: &dyn Planner,
        work: impl FnOnce(&mut Tx<'_>, &Access<Write>) -> Result<T>,
    ) -> Result<T> {
        let value = work(tx, &self.0)?;
        self.0.settle(tx, None)?;
        self.0.follow(tx, planner)?;
        Ok(value)
    }
}
