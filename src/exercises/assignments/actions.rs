//! The actions on assignments: assigning, changing, withdrawing.

use jiff::civil::Date;

use super::model::{AssignmentDoc, AssignmentState, DoneBy, PutAssignment};
use super::store::{self, AssignmentKey, AssignmentRow};
use crate::care::Access;
use crate::care::access::{Read, Write};
use crate::care::grants::{self, Sections};
use crate::changes::{Change, Entity, Op};
use crate::db::{At, Tx};
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::kernel::id::{Assignment, Patient, Response};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Code, Creation, Error, Id, Result, limits};
use crate::settings::settings_or_default;
use crate::vault::{Keys, Purpose, SealContext};

/// A sealed assignment, as visible to the caller.
#[derive(Clone, Debug)]
pub struct KnownAssignment {
    /// The assignment.
    pub row: AssignmentRow,
    /// Whether the caller may see the id of its response.
    pub response_visible: bool,
}

/// An opened assignment, as visible to the caller.
#[derive(Clone, Debug)]
pub struct OpenedAssignment {
    /// The document.
    pub doc: AssignmentDoc,
    /// The state.
    pub state: AssignmentState,
    /// The response that did it, if the caller may see something of that response.
    pub response: Option<Id<Response>>,
    version: i64,
}

impl KnownAssignment {
    /// Opens it with the patient's keys.
    ///
    /// # Errors
    ///
    /// When it cannot be opened with them.
    pub fn open(&self, keys: &Keys, patient: Id<Patient>) -> Result<OpenedAssignment> {
        let doc = open(keys, patient, &self.row)?;
        let response = doc.done.filter(|_| self.response_visible).map(|done| done.response);
        let state = AssignmentState::of(&doc, self.row.is_live());
        Ok(OpenedAssignment { doc, state, response, version: self.row.key.version })
    }
}

impl OpenedAssignment {
    /// Returns its tag, which changes with everything that the caller sees of it.
    pub fn tag(&self) -> EntityTag {
        let seen = if self.response.is_some() { "-seen" } else { "" };
        EntityTag::opaque(&format!("v{}-{}{seen}", self.version, self.state.name()))
    }
}

fn place(patient: Id<Patient>, id: Id<Assignment>, version: i64) -> SealContext {
    SealContext { table: "assignments", column: "doc", subject: patient.uuid(), row: id.uuid(), revision: version }
}

/// Opens the document of an assignment.
///
/// # Errors
///
/// When it cannot be opened with the patient's keys.
pub fn open(keys: &Keys, patient: Id<Patient>, row: &AssignmentRow) -> Result<AssignmentDoc> {
    keys.open_json(&place(patient, row.key.id, row.key.version), &row.doc)
}

fn seal(access: &Access<Write>, id: Id<Assignment>, version: i64, doc: &AssignmentDoc) -> Result<Vec<u8>> {
    access.keys()?.seal_json(Purpose::Clinical, &place(access.patient(), id, version), doc)
}

/// Returns `rows` as visible to the caller. For a therapist they are opened here, because the check of grants needs the
/// ids of their responses.
fn known<A>(tx: &mut Tx<'_>, access: &Access<A>, rows: Vec<AssignmentRow>) -> Result<Vec<KnownAssignment>> {
    let Some(link) = access.link() else {
        let response_visible = access.is_owner();
        return Ok(rows.into_iter().map(|row| KnownAssignment { row, response_visible }).collect());
    };
    let response = |row: &AssignmentRow| {
        let doc = Error::skip_damaged(open(access.keys()?, access.patient(), row))?;
        Ok(doc.and_then(|doc| doc.done).map(|done| done.response))
    };
    let responses = rows.iter().map(response).collect::<Result<Vec<_>>>()?;
    let done: Vec<_> = responses.iter().flatten().map(|response| response.any()).collect();
    let visible = grants::store::visible(tx, access, link, Sections::RESPONSE, &done)?;
    let sees = |response: Option<Id<Response>>| response.is_some_and(|response| visible.contains_key(&response.any()));
    let known = rows.into_iter().zip(responses);
    Ok(known.map(|(row, response)| KnownAssignment { row, response_visible: sees(response) }).collect())
}

fn find_known<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Assignment>) -> Result<Option<KnownAssignment>> {
    let row = store::find(tx, access, id)?;
    Ok(known(tx, access, row.into_iter().collect())?.pop())
}

/// Finds and opens an assignment, for checks, if it is visible to the caller.
///
/// # Errors
///
/// When it cannot be read.
pub fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Assignment>) -> Result<Option<AssignmentDoc>> {
    let row = store::find(tx, access, id)?;
    row.map(|row| open(access.keys()?, access.patient(), &row)).transpose()
}

/// Lists the assignments over active links that are neither done nor withdrawn, newest first.
///
/// # Errors
///
/// When they cannot be read.
pub fn list_open<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<(Id<Assignment>, AssignmentDoc)>> {
    open_live(&store::list_live(tx, access)?, access.keys()?, access.patient())
}

/// Opens those of `rows` that are neither done nor withdrawn. Those that do not open are left out: they offer nothing.
///
/// # Errors
///
/// When the keys do not open anything.
pub fn open_live(
    rows: &[AssignmentRow],
    keys: &Keys,
    patient: Id<Patient>,
) -> Result<Vec<(Id<Assignment>, AssignmentDoc)>> {
    let mut found = Vec::new();
    for row in rows {
        let Some(doc) = Error::skip_damaged(open(keys, patient, row))? else { continue };
        if AssignmentState::of(&doc, row.is_live()) == AssignmentState::Assigned {
            found.push((row.key.id, doc));
        }
    }
    Ok(found)
}

/// Records that a response has done an assignment; the first time counts.
///
/// # Errors
///
/// When it cannot be read or written.
pub fn mark_done(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Assignment>, done: DoneBy) -> Result<()> {
    let Some(row) = store::find(tx, access, id)? else { return Ok(()) };
    let doc = open(access.keys()?, access.patient(), &row);
    // A response is kept also when its assignment does not open.
    let Some(doc) = Error::skip_damaged(doc)? else { return Ok(()) };
    if doc.done.is_none() {
        update(tx, access, row, &AssignmentDoc { done: Some(done), ..doc })?;
    }
    Ok(())
}

/// Finds an assignment, if it is visible to the caller.
///
/// # Errors
///
/// [`Error::NotFound`].
pub fn get<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Assignment>) -> Result<KnownAssignment> {
    let known = find_known(tx, access, id)?.ok_or(Error::NotFound)?;
    access.returns(id.uuid());
    Ok(known)
}

/// Lists the assignments among `ids` that are visible to the caller, in no order.
///
/// # Errors
///
/// When they cannot be read.
pub fn list_among(tx: &mut Tx<'_>, access: &Access<Read>, ids: &[Id<Assignment>]) -> Result<Vec<KnownAssignment>> {
    let rows = store::list_among(tx, access, ids)?;
    known(tx, access, rows)
}

/// Lists a page of the assignments that are visible to the caller, in descending order of their ids.
///
/// # Errors
///
/// When they cannot be read.
pub fn list(
    tx: &mut Tx<'_>,
    access: &Access<Read>,
    page: PageRequest<Id<Assignment>>,
) -> Result<Page<KnownAssignment, Id<Assignment>>> {
    let rows = store::list(tx, access, page.after, page.rows())?;
    let Page { items, next } = page.cut(rows, |row| row.doc.len(), |row| row.key.id);
    for row in &items {
        access.returns(row.key.id.uuid());
    }
    Ok(Page { items: known(tx, access, items)?, next })
}

fn today<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Date> {
    Ok(settings_or_default(tx, access)?.zone_at(access.now()).date(access.now()))
}

/// Creates an assignment, or replaces one of this therapist. The creating body, sent again, changes nothing.
///
/// # Errors
///
/// [`Error::Invalid`]; [`Code::AlreadyExists`] for an id that is taken; 428 and 412 by the preconditions.
pub fn put(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Assignment>,
    body: &PutAssignment,
    when: &Preconditions,
) -> Result<Outcome<KnownAssignment>> {
    access.lock(tx)?;
    access.returns(id.uuid());
    let sent = body.creation()?;
    let Some(known) = find_known(tx, access, id)? else {
        return Ok(Outcome::created(id, create(tx, access, id, (body, sent), when)?));
    };
    let current = known.open(access.keys()?, access.patient())?;
    let created = current.doc.created_by.as_ref();
    if when.is_creation(created, &sent) {
        return Ok(Outcome::ok(id, known));
    }
    let new = body.parse(Some(&current.doc), today(tx, access)?, access.now())?;
    if !when.puts(&current.tag(), (&current.doc, &new), (created, &sent))? {
        return Ok(Outcome::ok(id, known));
    }
    let row = update(tx, access, known.row, &new)?;
    Ok(Outcome::ok(id, KnownAssignment { row, ..known }))
}

fn create(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Assignment>,
    (body, sent): (&PutAssignment, Creation),
    when: &Preconditions,
) -> Result<KnownAssignment> {
    let link_id = access.link().ok_or(Error::NotFound)?;
    if store::is_taken(tx, access, id)? {
        return Err(Error::conflict(Code::AlreadyExists));
    }
    if when.change_only() {
        return Err(Error::Stale);
    }
    limits::ASSIGNMENTS_OF_LINK.admit(store::count(tx, access, link_id)?)?;
    let doc = body.parse(None, today(tx, access)?, access.now())?;
    let doc = AssignmentDoc { created_by: Some(sent), ..doc };
    let key = AssignmentKey {
        id,
        patient_id: access.patient(),
        link_id,
        author_id: access.account()?,
        version: tx.first_version(),
        created_at: At(access.now()),
        updated_at: At(access.now()),
    };
    let row = AssignmentRow { key, doc: seal(access, id, key.version, &doc)?, link_state: store::ACTIVE.to_owned() };
    store::insert(tx, &row)?;
    access.record(tx, Change::new(Entity::Assignment, id, row.key.version, Op::Create))?;
    Ok(KnownAssignment { row, response_visible: false })
}

/// Changes an assignment by `patch`, which makes another body of the present one. A patch that changes nothing succeeds
/// whatever the precondition.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::Invalid`]; 428 and 412 by the preconditions.
pub fn patch(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Assignment>,
    patch: impl FnOnce(&PutAssignment) -> Result<PutAssignment>,
    when: &Preconditions,
) -> Result<Outcome<KnownAssignment>> {
    access.lock(tx)?;
    let known = get(tx, access, id)?;
    let current = known.open(access.keys()?, access.patient())?;
    let body = patch(&PutAssignment::of(&current.doc))?;
    let new = body.parse(Some(&current.doc), today(tx, access)?, access.now())?;
    if new == current.doc {
        return Ok(Outcome::ok(id, known));
    }
    when.require(&current.tag())?;
    let row = update(tx, access, known.row, &new)?;
    Ok(Outcome::ok(id, KnownAssignment { row, ..known }))
}

/// Stores `doc` as the next version of `row`.
fn update(tx: &mut Tx<'_>, access: &Access<Write>, row: AssignmentRow, doc: &AssignmentDoc) -> Result<AssignmentRow> {
    let (id, version) = (row.key.id, tx.version_after(row.key.version));
    let key = AssignmentKey { version, updated_at: At(access.now()), ..row.key };
    let row = AssignmentRow { key, doc: seal(access, id, version, doc)?, ..row };
    store::update(tx, access, &row)?;
    access.record(tx, Change::new(Entity::Assignment, id, version, Op::Update))?;
    Ok(row)
}
