//! The rows of assignments, sealed.

use diesel::prelude::*;

use crate::care::access::Write;
use crate::care::{Access, Role};
use crate::db::schema::{assignments, care_links};
use crate::db::{At, Tx};
use crate::kernel::id::{Account, Assignment, CareLink};
use crate::kernel::page::PageRequest;
use crate::kernel::{Id, Result};

/// An assignment as it is stored, with the state of its link.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = assignments)]
pub struct AssignmentRow {
    /// Its id.
    pub id: Id<Assignment>,
    /// The link it belongs to.
    pub link_id: Id<CareLink>,
    /// The therapist.
    pub author_id: Id<Account>,
    /// The sealed document.
    pub doc: Vec<u8>,
    /// Its version.
    pub version: i64,
    /// The instant of its creation.
    pub created_at: At,
    /// The instant of the last change.
    pub updated_at: At,
    /// The state of the link.
    #[diesel(select_expression = care_links::state)]
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

/// Selects the assignments that are visible to the caller: all for the patient, those over this link for a therapist.
macro_rules! known {
    ($access:expr) => {{
        let mut query = assignments::table
            .inner_join(care_links::table.on(care_links::id.eq(assignments::link_id)))
            .filter(assignments::patient_id.eq($access.patient()))
            .select(AssignmentRow::as_select())
            .into_boxed();
        if let Role::Therapist { link, .. } = $access.role() {
            query = query.filter(assignments::link_id.eq(link));
        }
        query
    }};
}

/// Finds an assignment, if it is visible to the caller.
pub(super) fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Assignment>) -> Result<Option<AssignmentRow>> {
    Ok(known!(access).filter(assignments::id.eq(id)).first(tx.conn()).optional()?)
}

/// Lists the assignments that are visible to the caller, newest id first.
pub(super) fn list<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    page: PageRequest<Id<Assignment>>,
) -> Result<Vec<AssignmentRow>> {
    let mut query = known!(access);
    if let Some(after) = page.after {
        query = query.filter(assignments::id.lt(after));
    }
    Ok(query.order(assignments::id.desc()).limit(page.rows()).load(tx.conn())?)
}

/// Lists the assignments over active links, newest id first.
pub fn list_live<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<AssignmentRow>> {
    Ok(known!(access).filter(care_links::state.eq(ACTIVE)).order(assignments::id.desc()).load(tx.conn())?)
}

pub(super) fn insert(tx: &mut Tx<'_>, access: &Access<Write>, row: &AssignmentRow) -> Result<()> {
    diesel::insert_into(assignments::table)
        .values((
            assignments::patient_id.eq(access.patient()),
            assignments::id.eq(row.id),
            assignments::link_id.eq(row.link_id),
            assignments::author_id.eq(row.author_id),
            assignments::doc.eq(&row.doc),
            assignments::version.eq(row.version),
            assignments::created_at.eq(row.created_at),
            assignments::updated_at.eq(row.updated_at),
        ))
        .execute(tx.conn())?;
    Ok(())
}

pub(super) fn update(tx: &mut Tx<'_>, access: &Access<Write>, row: &AssignmentRow) -> Result<()> {
    let own = assignments::table.filter(assignments::patient_id.eq(access.patient()));
    diesel::update(own.filter(assignments::id.eq(row.id)))
        .set((
            assignments::doc.eq(&row.doc),
            assignments::version.eq(row.version),
            assignments::updated_at.eq(row.updated_at),
        ))
        .execute(tx.conn())?;
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
