//! The rows of assignments, sealed.

use diesel::prelude::*;

use crate::authentic;
use crate::care::access::{Read, Write};
use crate::care::store::LinkRow;
use crate::care::{Access, Role};
use crate::db::authentic::checked_page;
use crate::db::schema::{assignments, care_links};
use crate::db::{At, Stored, Tx, columns};
use crate::kernel::id::{Account, Assignment, CareLink, Patient};
use crate::kernel::{Id, Result};

authentic! {
    /// An assignment without its sealed document, which is bound to the version. Its link says who reads it.
    #[derive(Copy)]
    pub struct AssignmentKey of assignments {
        /// Its id.
        id: Id<Assignment>,
        /// The patient.
        patient_id: Id<Patient>,
        /// The link it belongs to.
        link_id: Id<CareLink>,
        /// The therapist.
        author_id: Id<Account>,
        /// Its version.
        version: i64,
        /// The instant of its creation.
        created_at: At,
        /// The instant of the last change.
        updated_at: At,
    }
}

/// An assignment as it is stored, with the state of its link.
#[derive(Clone, Debug)]
pub struct AssignmentRow {
    /// What decides.
    pub key: AssignmentKey,
    /// The sealed document.
    pub doc: Vec<u8>,
    /// The state of the link.
    pub link_state: String,
}

impl AssignmentRow {
    /// Whether its link is active.
    pub fn is_live(&self) -> bool {
        self.link_state == ACTIVE
    }
}

/// The state of an active link.
pub(super) const ACTIVE: &str = "active";

type Found = (Stored<AssignmentKey>, Vec<u8>, Stored<LinkRow>);

fn assignments_of(tx: &Tx<'_>, found: Vec<Found>) -> Result<Vec<AssignmentRow>> {
    let mut rows = Vec::with_capacity(found.len());
    for (key, doc, link) in found {
        let both = key.checked(tx)?.zip(link.checked(tx)?);
        rows.extend(both.map(|(key, link)| AssignmentRow { key, doc, link_state: link.state }));
    }
    Ok(rows)
}

/// Selects the assignments that are visible to the caller: all for the patient, those over this link for a therapist.
macro_rules! known {
    ($access:expr) => {{
        let mut query = assignments::table
            .inner_join(care_links::table.on(care_links::id.eq(assignments::link_id)))
            .filter(assignments::patient_id.eq($access.patient()))
            .select((columns::<Stored<AssignmentKey>>(), assignments::doc, columns::<Stored<LinkRow>>()))
            .into_boxed();
        if let Role::Therapist { link, .. } = $access.role() {
            query = query.filter(assignments::link_id.eq(link));
        }
        query
    }};
}

/// Finds an assignment, if it is visible to the caller.
pub(super) fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Assignment>) -> Result<Option<AssignmentRow>> {
    let found: Vec<Found> = known!(access).filter(assignments::id.eq(id)).load(tx.conn())?;
    Ok(assignments_of(tx, found)?.pop())
}

/// Lists the assignments among `ids` that are visible to the caller, in no order.
pub fn list_among<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Assignment>]) -> Result<Vec<AssignmentRow>> {
    let found: Vec<Found> = known!(access).filter(assignments::id.eq_any(ids.to_vec())).load(tx.conn())?;
    assignments_of(tx, found)
}

/// Lists the assignments that are visible to the caller, in descending order of their ids, after `after`.
pub fn list<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    after: Option<Id<Assignment>>,
    rows: i64,
) -> Result<Vec<AssignmentRow>> {
    let read = |tx: &mut Tx<'_>, after: Option<Id<Assignment>>, rows: i64| {
        let mut query = known!(access);
        if let Some(after) = after {
            query = query.filter(assignments::id.lt(after));
        }
        let found: Vec<Found> = query.order(assignments::id.desc()).limit(rows).load(tx.conn())?;
        Ok(found)
    };
    checked_page(tx, (after, rows), read, |key: &AssignmentKey| key.id, assignments_of)
}

/// Lists all assignments of the patient without their documents, in no order.
pub fn list_keys(tx: &mut Tx<'_>, access: &Access<Read>) -> Result<Vec<AssignmentKey>> {
    let found: Vec<(Stored<AssignmentKey>, Stored<LinkRow>)> = assignments::table
        .inner_join(care_links::table.on(care_links::id.eq(assignments::link_id)))
        .filter(assignments::patient_id.eq(access.patient()))
        .select((columns::<Stored<AssignmentKey>>(), columns::<Stored<LinkRow>>()))
        .load(tx.conn())?;
    let mut keys = Vec::with_capacity(found.len());
    for (key, link) in found {
        let both = key.checked(tx)?.zip(link.checked(tx)?);
        keys.extend(both.map(|(key, _)| key));
    }
    Ok(keys)
}

/// Lists the assignments over active links, newest first.
pub fn list_live<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<AssignmentRow>> {
    let live = known!(access).filter(care_links::state.eq(ACTIVE));
    let found: Vec<Found> = live.order((assignments::created_at.desc(), assignments::id.desc())).load(tx.conn())?;
    assignments_of(tx, found)
}

pub(super) fn insert(tx: &mut Tx<'_>, row: &AssignmentRow) -> Result<()> {
    let values = (row.key.signed(tx)?, assignments::doc.eq(&row.doc));
    diesel::insert_into(assignments::table).values(values).execute(tx.conn())?;
    Ok(())
}

pub(super) fn update(tx: &mut Tx<'_>, access: &Access<Write>, row: &AssignmentRow) -> Result<()> {
    let own = assignments::table.filter(assignments::patient_id.eq(access.patient()));
    let values = (row.key.signed(tx)?, assignments::doc.eq(&row.doc));
    diesel::update(own.filter(assignments::id.eq(row.key.id))).set(values).execute(tx.conn())?;
    Ok(())
}

/// Counts the assignments over a link.
pub(super) fn count(tx: &mut Tx<'_>, access: &Access<Write>, link: Id<CareLink>) -> Result<i64> {
    let own = assignments::table.filter(assignments::patient_id.eq(access.patient()));
    Ok(own.filter(assignments::link_id.eq(link)).count().get_result(tx.conn())?)
}

/// Whether an assignment of this patient has the id, whoever made it.
pub(super) fn is_taken(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Assignment>) -> Result<bool> {
    let own = assignments::table.filter(assignments::patient_id.eq(access.patient()));
    let found: Option<Id<Assignment>> =
        own.filter(assignments::id.eq(id)).select(assignments::id).first(tx.conn()).optional()?;
    Ok(found.is_some())
}
