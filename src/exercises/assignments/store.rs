//! Assignments.

use diesel::prelude::*;
use jiff::Timestamp;

use super::model::{AssignmentDoc, State};
use crate::care::access::Write;
use crate::care::{Access, Role};
use crate::db::schema::{assignments, care_links};
use crate::db::{At, Tx};
use crate::kernel::id::{Account, Assignment, CareLink, Patient};
use crate::kernel::{Id, Result};
use crate::vault::{Place, Purpose};

/// An assignment, opened.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its id.
    pub id: Id<Assignment>,
    /// The link it belongs to.
    pub link: Id<CareLink>,
    /// Whether that link is active.
    pub live: bool,
    /// The therapist.
    pub author: Id<Account>,
    /// What it says.
    pub doc: AssignmentDoc,
    /// Its version.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Stored {
    /// Whether it is to be done.
    pub fn is_open(&self) -> bool {
        State::of(&self.doc, self.live) == State::Assigned
    }
}

fn place(patient: Id<Patient>, id: Id<Assignment>, version: i64) -> Place {
    Place { table: "assignments", column: "doc", subject: patient.uuid(), row: id.uuid(), revision: version }
}

type Flat = ((Id<Assignment>, Id<CareLink>, Id<Account>, Vec<u8>, i64, At, At), String);

fn open<A>(access: &Access<A>, (row, state): Flat) -> Result<Stored> {
    let (id, link, author, sealed, version, created_at, updated_at) = row;
    let doc = access.keys()?.open_json(&place(access.patient(), id, version), &sealed)?;
    let (created_at, updated_at) = (created_at.0, updated_at.0);
    Ok(Stored { id, link, live: state == "active", author, doc, version, created_at, updated_at })
}

/// The assignments that the caller may know of: the patient's all, a therapist's own over this link.
macro_rules! known {
    ($access:expr) => {{
        let mut query = assignments::table
            .inner_join(care_links::table.on(care_links::id.eq(assignments::link_id)))
            .filter(assignments::patient_id.eq($access.patient()))
            .select((
                (
                    assignments::id,
                    assignments::link_id,
                    assignments::author_id,
                    assignments::doc,
                    assignments::version,
                    assignments::created_at,
                    assignments::updated_at,
                ),
                care_links::state,
            ))
            .into_boxed();
        if let Role::Therapist { link, .. } = $access.role() {
            query = query.filter(assignments::link_id.eq(link));
        }
        query
    }};
}

/// The assignment of that id, if the caller may know of it.
pub fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Assignment>) -> Result<Option<Stored>> {
    let row: Option<Flat> = known!(access).filter(assignments::id.eq(id)).first(tx.conn()).optional()?;
    row.map(|row| open(access, row)).transpose()
}

/// Those that the caller may know of, newest id first.
pub(super) fn list<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    after: Option<Id<Assignment>>,
    rows: i64,
) -> Result<Vec<Stored>> {
    let mut query = known!(access);
    if let Some(after) = after {
        query = query.filter(assignments::id.lt(after));
    }
    let rows: Vec<Flat> = query.order(assignments::id.desc()).limit(rows).load(tx.conn())?;
    rows.into_iter().map(|row| open(access, row)).collect()
}

/// Those over active links that are neither done nor taken back, newest id first.
pub fn list_open<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<Stored>> {
    let rows: Vec<Flat> =
        known!(access).filter(care_links::state.eq("active")).order(assignments::id.desc()).load(tx.conn())?;
    let all: Result<Vec<Stored>> = rows.into_iter().map(|row| open(access, row)).collect();
    Ok(all?.into_iter().filter(Stored::is_open).collect())
}

/// Keeps an assignment as `version`; the first one is inserted.
pub(super) fn put(tx: &mut Tx<'_>, access: &Access<Write>, stored: &Stored) -> Result<()> {
    let place = place(access.patient(), stored.id, stored.version);
    let doc = access.keys()?.seal_json(Purpose::Clinical, &place, &stored.doc)?;
    let (created_at, updated_at) = (At(stored.created_at), At(stored.updated_at));
    if stored.version == 1 {
        diesel::insert_into(assignments::table)
            .values((
                assignments::patient_id.eq(access.patient()),
                assignments::id.eq(stored.id),
                assignments::link_id.eq(stored.link),
                assignments::author_id.eq(stored.author),
                assignments::doc.eq(doc),
                assignments::version.eq(stored.version),
                assignments::created_at.eq(created_at),
                assignments::updated_at.eq(updated_at),
            ))
            .execute(tx.conn())?;
    } else {
        let own = assignments::table.filter(assignments::patient_id.eq(access.patient()));
        diesel::update(own.filter(assignments::id.eq(stored.id)))
            .set((
                assignments::doc.eq(doc),
                assignments::version.eq(stored.version),
                assignments::updated_at.eq(updated_at),
            ))
            .execute(tx.conn())?;
    }
    Ok(())
}

/// Whether the id is taken by an assignment of this patient's, whoever made it.
pub(super) fn is_taken(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Assignment>) -> Result<bool> {
    let own = assignments::table.filter(assignments::patient_id.eq(access.patient()));
    let found: Option<Id<Assignment>> =
        own.filter(assignments::id.eq(id)).select(assignments::id).first(tx.conn()).optional()?;
    Ok(found.is_some())
}
