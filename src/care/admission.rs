//! Admission to a patient's data: decides in the unit whether a request gets an access, and in which role, and leaves
//! the traces of accesses and refusals in the patient's log.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::access::Access;
use super::policy::{Policy, Relations};
use super::store;
use crate::audit::{self, Record as AuditRecord, Subject};
use crate::db::Tx;
use crate::identity::{self, AccountKind, AccountPolicy as _, Caller};
use crate::kernel::id::{Account, Patient};
use crate::kernel::{Code, Error, Id, Result};
use crate::state::State;
use crate::vault::Keys;

/// The parts of a request that the unit needs.
pub(super) struct Parts {
    pub(super) caller: Caller,
    /// `None` for staff who said `me`.
    pub(super) patient: Option<Id<Patient>>,
    pub(super) owner: bool,
    /// The therapist in whose place the patient looks, if the address names one.
    pub(super) reader: Option<Id<Account>>,
    /// Whether the caller works at a clinic with a link to the patient.
    pub(super) met: bool,
    pub(super) keys: Option<Keys>,
    pub(super) state: Arc<State>,
}

impl Parts {
    /// Opens an access, for the patient also in the place of a `reader`. `None` is a refusal that has left its trace
    /// and must be committed.
    pub(super) fn open<L: Policy, A>(
        &self,
        tx: &mut Tx<'_>,
        act: &'static str,
        reader: Option<Id<Account>>,
    ) -> Result<Option<Access<A>>> {
        let access = self.admit::<L, A>(tx, reader)?;
        if access.is_none() {
            self.trace_refusal(tx, act)?;
        }
        Ok(access)
    }

    /// Opens an access as [`Parts::open`] does. `None` is a refusal that is yet to leave its trace.
    pub(super) fn admit<L: Policy, A>(
        &self,
        tx: &mut Tx<'_>,
        reader: Option<Id<Account>>,
    ) -> Result<Option<Access<A>>> {
        let live = self.caller.live(tx)?;
        if !L::For::admits(live.kind()) {
            return Err(Error::Forbidden(Code::Forbidden));
        }
        L::NEED.check(live.proofs(), live.now())?;
        let patient = self.patient.ok_or(Error::Forbidden(Code::Forbidden))?;
        let owner = live.patient() == Some(patient);
        // A patient has to do with no other: whether there is one is not looked up.
        let strange = live.kind() != AccountKind::Staff;
        // Nor is one whom the caller has nothing to do with: the same statement runs, and finds nobody.
        let asked = if self.met { patient } else { Id::from_uuid(Uuid::nil()) };
        let (known, who, now) = (owner || strange, live.account(), live.now());
        let in_place_of = reader.filter(|_| owner);
        let links = match in_place_of {
            Some(reader) => links_of_reader(tx, patient, reader)?,
            None if known => Vec::new(),
            None => store::relations(tx, asked, who)?,
        };
        // Who looks in the place of another is not admitted as themself.
        let as_self = owner && reader.is_none();
        let mut role = L::admits(&Relations { owner: as_self, links: &links, covers: &[], emergencies: &[] });
        // Whom a link lets in is not asked for more: every policy looks for these roles last.
        if role.is_none() {
            let reader = in_place_of.map(|reader| known_reader(&links, reader));
            let stands_in = reader.or_else(|| (!known).then_some(who)).filter(|_| L::BY_COVER);
            let covers = stands_in.map_or_else(|| Ok(Vec::new()), |who| store::list_covered(tx, who, now))?;
            let emergencies =
                if known || !L::BY_EMERGENCY { Vec::new() } else { store::list_in_emergency(tx, asked, who, now)? };
            role = L::admits(&Relations { owner: as_self, links: &links, covers: &covers, emergencies: &emergencies });
        }
        match role {
            // Told to those alone for whom the door would open.
            Some(_) if reader.is_none() && !live.proofs().has_factor && links.iter().any(|link| link.asks_factor) => {
                Err(Error::Forbidden(Code::SecondFactorMissing))
            }
            Some(role) => {
                let actor = (live.account(), live.session());
                let access = Access::opened(patient, role, actor, self.keys.clone(), live.now());
                Ok(Some(access.proved(*live.proofs())))
            }
            None if links.is_empty() || owner => Err(Error::NotFound),
            None => Ok(None),
        }
    }

    /// Leaves the trace of a refusal, once an hour for each person.
    pub(super) fn trace_refusal(&self, tx: &mut Tx<'_>, act: &'static str) -> Result<()> {
        let (Some(keys), Some(patient)) = (&self.keys, self.patient) else { return Ok(()) };
        let (who, now) = (self.caller.account(), self.caller.now());
        if audit::refused_since(tx, patient, who, hour_of(now))? {
            return Ok(());
        }
        let record = AuditRecord { act: act.to_owned(), role: "staff".to_owned(), refused: true, ids: Vec::new() };
        let subject = Subject::Patient(patient);
        // No session: such rows are found as refusals without opening them.
        audit::append(tx, &self.state.vault, keys, subject, Some(who), None, now, &record)
    }

    /// Does `f`. For callers other than the patient, a 404 undoes `f` and leaves the trace of a refusal, which must be
    /// committed.
    pub(super) fn attempt<A, T>(
        &self,
        tx: &mut Tx<'_>,
        act: &'static str,
        access: &Access<A>,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T>,
    ) -> Result<Result<T>> {
        if access.is_owner() {
            return f(tx).map(Ok);
        }
        match tx.attempt(f)? {
            Err(Error::NotFound) => {
                self.trace_refusal(tx, act)?;
                Ok(Err(Error::NotFound))
            }
            done => done.map(Ok),
        }
    }

    /// Writes the audit row of an access; none for the patient.
    pub(super) fn trace<A>(&self, tx: &mut Tx<'_>, act: &'static str, access: &Access<A>) -> Result<()> {
        if self.owner {
            return Ok(());
        }
        let record = AuditRecord {
            act: act.to_owned(),
            role: access.role().name().to_owned(),
            refused: false,
            ids: access.returned(),
        };
        let (account, session) = access.actor().unzip();
        let subject = Subject::Patient(access.patient());
        audit::append(tx, &self.state.vault, access.keys()?, subject, account, session, access.now(), &record)
    }
}

/// Finds the relations by which a therapist would be admitted now; none for one who is not there or was disabled.
fn links_of_reader(tx: &mut Tx<'_>, patient: Id<Patient>, reader: Id<Account>) -> Result<Vec<store::Relation>> {
    let links = store::relations_as_read(tx, patient, reader)?;
    let enabled = identity::is_enabled(tx, known_reader(&links, reader))?;
    Ok(if enabled { links } else { Vec::new() })
}

/// Returns the id by which the account of a reader is looked up: the nil id, which no account has, for a reader without
/// `links` to the patient. Both run the same statements, so the time does not tell whether there is such an account.
fn known_reader(links: &[store::Relation], reader: Id<Account>) -> Id<Account> {
    if links.is_empty() { Id::from_uuid(Uuid::nil()) } else { reader }
}

fn hour_of(now: Timestamp) -> Timestamp {
    let second = now.as_second();
    Timestamp::from_second(second - second.rem_euclid(3600)).unwrap_or(now)
}
