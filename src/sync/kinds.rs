//! The rows of each kind of thing that a phone holds: those among some ids, and those of a phase of a first pull.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::item::{AssignmentFields, Body, CareLinkFields, CommentBody, EntryBody, Fields, GrantBody, ItemState};
use super::item::{PauseFields, PromptBody, ReceiptFields, ResponseBody, SettingsFields, Tombstone};
use super::model::{FirstPull, Key, Kind, Phase};
use crate::care::grants::store::{GrantRow, ReceiptRow};
use crate::care::store::Link;
use crate::care::{Access, Read, grants};
use crate::care::{grants::store as grant_rows, store as links};
use crate::course::{self, InfusionRow, InfusionView, PauseRow};
use crate::db::Tx;
use crate::exercises::Responses;
use crate::exercises::assignments::actions as assignments;
use crate::exercises::assignments::model::AssignmentState;
use crate::exercises::assignments::store::{self as assignment_rows, AssignmentRow};
use crate::exercises::store::ResponseTable;
use crate::items::{self, ItemKind, ItemRow, ItemTable, OpenedItem, Scan, UNDO};
use crate::journal::Entries;
use crate::journal::comments::actions::CommentRow;
use crate::journal::comments::store as comment_rows;
use crate::journal::store::EntryTable;
use crate::kernel::id::{Any, Patient};
use crate::kernel::page::SMALL;
use crate::kernel::{Error, Id, Result, Text};
use crate::prompts::store::{self as prompts, PromptRow};
use crate::settings::{SettingsRow, find_settings};
use crate::vault::Keys;

/// The days before and after the beginning of a first pull whose prompts come early.
const NEAR: (i64, i64) = (2, 15);

/// The present state of a thing, still sealed.
pub struct Held {
    /// The kind of thing.
    pub kind: Kind,
    /// Its id.
    pub id: Id<Any>,
    /// Its version.
    pub version: i64,
    /// Its sealed bytes.
    pub bytes: usize,
    content: Content,
}

/// The content of a thing, still sealed.
enum Content {
    Deleted(Tombstone),
    Sealed(Box<dyn FnOnce(&Keys, Id<Patient>) -> Result<Body> + Send>),
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({} {} of version {})", self.kind.name(), self.id, self.version)
    }
}

impl Held {
    fn there(
        kind: Kind,
        id: Id<Any>,
        (version, bytes): (i64, usize),
        open: impl FnOnce(&Keys, Id<Patient>) -> Result<Body> + Send + 'static,
    ) -> Self {
        Self { kind, id, version, bytes, content: Content::Sealed(Box::new(open)) }
    }

    fn deleted(kind: Kind, id: Id<Any>, version: i64, dates: Option<(Timestamp, Timestamp)>) -> Self {
        Self { kind, id, version, bytes: SMALL, content: Content::Deleted(Tombstone::new(dates)) }
    }

    /// Makes the tombstone of a thing of which no row is left.
    pub fn gone(kind: Kind, id: Id<Any>) -> Self {
        Self::deleted(kind, id, 0, None)
    }

    /// Opens it. A row that does not open is `unreadable`.
    ///
    /// # Errors
    ///
    /// When it cannot be opened for another reason.
    pub fn open(self, keys: &Keys, patient: Id<Patient>) -> Result<ItemState> {
        match self.content {
            Content::Deleted(tombstone) => Ok(ItemState::Deleted(tombstone)),
            Content::Sealed(open) => Ok(match Error::skip_damaged(open(keys, patient))? {
                Some(body) => ItemState::Whole(Box::new(body)),
                None => ItemState::Unreadable { unreadable: true },
            }),
        }
    }
}

/// Finds the things of a kind among `ids`, deleted ones too, in no order.
///
/// # Errors
///
/// When they cannot be read.
pub fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, kind: Kind, ids: &[Id<Any>]) -> Result<Vec<Held>> {
    fn typed<K>(ids: &[Id<Any>]) -> Vec<Id<K>> {
        ids.iter().map(|id| id.typed()).collect()
    }
    let among = |id: Id<Any>| ids.contains(&id);
    Ok(match kind {
        Kind::Settings => find_settings(tx, access)?.into_iter().map(|row| settings(access.patient(), row)).collect(),
        Kind::CareLink => {
            let all = links::list_links_of_patient(tx, access.patient(), None, i64::MAX)?;
            all.iter().filter(|link| among(link.id.any())).map(care_link).collect()
        }
        Kind::Infusion => {
            let all = course::list_infusion_rows(tx, access)?;
            all.into_iter().filter(|row| among(row.id.any())).map(infusion).collect()
        }
        Kind::Pause => course::list_pauses_among(tx, access, &typed(ids))?.into_iter().map(pause).collect(),
        Kind::Grant => grant_rows::list_among(tx, access, &typed(ids))?.into_iter().map(grant).collect(),
        Kind::Assignment => assignment_rows::list_among(tx, access, &typed(ids))?.into_iter().map(assignment).collect(),
        Kind::Prompt => prompts::list_among(tx, access, &typed(ids))?.into_iter().map(prompt).collect(),
        Kind::Entry => EntryTable::list_all(tx, access, ids)?.into_iter().map(entry).collect(),
        Kind::ExerciseResponse => ResponseTable::list_all(tx, access, ids)?.into_iter().map(response).collect(),
        Kind::Comment => {
            let found = comment_rows::list_among(tx, access, &typed(ids))?;
            found.into_iter().map(|row| comment(row, &[])).collect()
        }
        Kind::Receipt => grant_rows::list_receipts_among(tx, access, &typed(ids))?.into_iter().map(receipt).collect(),
    })
}

/// Finds the things of a kind among `ids` as a page of a pull has them: a comment goes with its entry, and comes back
/// with it.
///
/// # Errors
///
/// When they cannot be read.
pub fn find_pulled(tx: &mut Tx<'_>, access: &Access<Read>, kind: Kind, ids: &[Id<Any>]) -> Result<Vec<Held>> {
    if kind != Kind::Comment {
        return find(tx, access, kind, ids);
    }
    let ids: Vec<_> = ids.iter().map(|id| id.typed()).collect();
    let found = comment_rows::list_among(tx, access, &ids)?;
    comments(tx, access, found)
}

/// Lists the next things of a phase of a first pull, `rows` of them or all that there are, each with its place in the
/// order of the phase. What is deleted is left out; its place is told all the same.
///
/// # Errors
///
/// When they cannot be read.
pub fn list(
    tx: &mut Tx<'_>,
    access: &Access<Read>,
    (phase, pull): (Phase, &FirstPull),
    rows: i64,
) -> Result<Vec<(Key, Option<Held>)>> {
    let near = |days: i64| pull.began.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(pull.began);
    let (from, until) = (near(-NEAR.0), near(NEAR.1));
    let after = pull.after;
    let after_id = after.map_or(Uuid::nil(), |(_, id)| id);
    Ok(match phase {
        Phase::All(kind @ (Kind::Settings | Kind::CareLink | Kind::Infusion | Kind::Pause)) => {
            let mut all = all_of(tx, access, kind)?;
            all.sort_by_key(|held| held.id);
            by_id(all.into_iter().filter(|held| after.is_none() || held.id.uuid() > after_id).take(most(rows)))
        }
        Phase::All(Kind::Grant) => {
            let found = grant_rows::list(tx, access, after.map(|(_, id)| Id::from_uuid(id)), rows)?;
            by_id(found.into_iter().map(grant))
        }
        Phase::All(Kind::Assignment) => {
            let found = assignment_rows::list(tx, access, after.map(|(_, id)| Id::from_uuid(id)), rows)?;
            by_id(found.into_iter().map(assignment))
        }
        Phase::All(Kind::Comment) => {
            let found = comment_rows::list_all(tx, access, Id::from_uuid(after_id), rows)?;
            by_id(comments(tx, access, found)?.into_iter())
        }
        Phase::All(Kind::Receipt) => {
            by_id(grant_rows::list_receipts(tx, access, Id::from_uuid(after_id), rows)?.into_iter().map(receipt))
        }
        Phase::All(Kind::Entry) => newest(EntryTable::list(tx, access, &scan(after, rows))?, entry),
        Phase::All(Kind::ExerciseResponse) => newest(ResponseTable::list(tx, access, &scan(after, rows))?, response),
        Phase::PromptsNear => by_time(prompts::list(tx, access, (from, until), place(after), rows)?, |_| true),
        Phase::All(Kind::Prompt) | Phase::PromptsFar => {
            let all = prompts::list(tx, access, (Timestamp::MIN, Timestamp::MAX), place(after), rows)?;
            by_time(all, |at| at < from || at >= until)
        }
    })
}

fn most(rows: i64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

/// Lists all things of a kind of which a patient has few.
fn all_of(tx: &mut Tx<'_>, access: &Access<Read>, kind: Kind) -> Result<Vec<Held>> {
    Ok(match kind {
        Kind::Infusion => course::list_infusion_rows(tx, access)?.into_iter().map(infusion).collect(),
        Kind::Pause => course::list_pauses(tx, access)?.into_iter().map(pause).collect(),
        Kind::CareLink => {
            let all = links::list_links_of_patient(tx, access.patient(), None, i64::MAX)?;
            all.iter().map(care_link).collect()
        }
        _ => find(tx, access, Kind::Settings, &[])?,
    })
}

/// Returns things with their places in the order of their ids.
fn by_id(found: impl Iterator<Item = Held>) -> Vec<(Key, Option<Held>)> {
    found
        .map(|held| ((0, held.id.uuid()), Some(held).filter(|held| !matches!(held.content, Content::Deleted(_)))))
        .collect()
}

fn place<K>(after: Option<Key>) -> Option<(Timestamp, Id<K>)> {
    let (at, id) = after?;
    Some((Timestamp::from_microsecond(at).ok()?, Id::from_uuid(id)))
}

fn scan(after: Option<Key>, rows: i64) -> Scan {
    Scan { after: place(after), rows, ..Scan::default() }
}

fn newest(rows: Vec<ItemRow>, held: fn(ItemRow) -> Held) -> Vec<(Key, Option<Held>)> {
    rows.into_iter().map(|row| ((row.occurred_at.as_microsecond(), row.id.uuid()), Some(held(row)))).collect()
}

fn by_time(rows: Vec<PromptRow>, wanted: impl Fn(Timestamp) -> bool) -> Vec<(Key, Option<Held>)> {
    let placed = |row: PromptRow| {
        let key = (row.due_at.0.as_microsecond(), row.id.uuid());
        (key, wanted(row.due_at.0).then(|| prompt(row)))
    };
    rows.into_iter().map(placed).collect()
}

fn settings(patient: Id<Patient>, row: SettingsRow) -> Held {
    let size = (row.version(), SMALL);
    Held::there(Kind::Settings, patient.any(), size, move |keys, patient| {
        let (settings, _) = row.open(keys, patient)?;
        Ok(Body::Settings(Fields { fields: SettingsFields::from(settings) }))
    })
}

fn care_link(link: &Link) -> Held {
    let fields = CareLinkFields {
        state: link.state.name(),
        clinic_id: link.clinic.uuid(),
        therapist_id: link.therapist.uuid(),
        accepted_at: link.accepted_at.0,
        active_at: link.active_at.map(|at| at.0),
        ended_at: link.ended_at.map(|at| at.0),
    };
    Held::there(Kind::CareLink, link.id.any(), (link.version, SMALL), move |_, _| Ok(Body::CareLink(Fields { fields })))
}

fn infusion(row: InfusionRow) -> Held {
    Held::there(Kind::Infusion, row.id.any(), (row.version(), row.bytes()), move |keys, patient| {
        Ok(Body::Infusion(Fields { fields: InfusionView::without_advice(row.open(keys, patient)?) }))
    })
}

fn pause(row: PauseRow) -> Held {
    if row.is_deleted() {
        return Held::deleted(Kind::Pause, row.id.any(), row.version(), None);
    }
    Held::there(Kind::Pause, row.id.any(), (row.version(), SMALL), move |keys, patient| {
        let period = row.open(keys, patient)?.doc.period;
        Ok(Body::Pause(Fields { fields: PauseFields { from: period.from, until: period.until } }))
    })
}

pub(super) fn grant(row: GrantRow) -> Held {
    if row.key.closed_at.is_some() {
        return Held::deleted(Kind::Grant, row.key.id.any(), row.key.version, None);
    }
    Held::there(Kind::Grant, row.key.id.any(), (row.key.version, row.doc.len()), move |keys, patient| {
        let visible_from = row.key.visible_from.map(|at| at.0);
        Ok(Body::Grant(GrantBody::new(&grants::open(keys, patient, &row)?, row.key.created_at.0, visible_from)))
    })
}

fn assignment(row: AssignmentRow) -> Held {
    Held::there(Kind::Assignment, row.key.id.any(), (row.key.version, row.doc.len()), move |keys, patient| {
        let doc = assignments::open(keys, patient, &row)?;
        let fields = AssignmentFields {
            // That its link has ended is for the phone to see.
            state: AssignmentState::of(&doc, true).name(),
            exercise_key: doc.exercise_key,
            done_on: doc.done.map(|done| done.on),
            response_id: doc.done.map(|done| done.response.uuid()),
            note: doc.note.map(Text::into_string),
            due_on: doc.due_on,
            request_share: doc.request_share,
            link_id: row.key.link_id.uuid(),
            therapist_id: row.key.author_id.uuid(),
            created_at: row.key.created_at.0,
            updated_at: row.key.updated_at.0,
        };
        Ok(Body::Assignment(Fields { fields }))
    })
}

fn prompt(row: PromptRow) -> Held {
    Held::there(Kind::Prompt, row.id.any(), (row.version, row.bytes()), move |keys, patient| {
        Ok(Body::Prompt(PromptBody::from(&row.open(keys, patient)?)))
    })
}

pub(super) fn entry(row: ItemRow) -> Held {
    item::<Entries>(Kind::Entry, row, |opened, at| Body::Entry(EntryBody::new(opened, at)))
}

pub(super) fn response(row: ItemRow) -> Held {
    item::<Responses>(Kind::ExerciseResponse, row, |opened, at| Body::ExerciseResponse(ResponseBody::new(opened, at)))
}

fn item<T: ItemKind>(kind: Kind, row: ItemRow, body: fn(OpenedItem<T>, Timestamp) -> Body) -> Held {
    if let Some(at) = row.deleted_at {
        let until = at.saturating_add(UNDO).unwrap_or(at);
        return Held::deleted(kind, row.id, row.version, Some((at, until)));
    }
    Held::there(kind, row.id, (row.version, row.bytes()), move |keys, patient| {
        Ok(body(items::open::<T>(keys, patient, (row.id, row.parts), None)?, row.received_at))
    })
}

fn comments(tx: &mut Tx<'_>, access: &Access<Read>, rows: Vec<CommentRow>) -> Result<Vec<Held>> {
    let entries = rows.iter().map(|row| row.key.entry_id.any()).collect();
    let gone = EntryTable::list_deleted(tx, access, entries)?;
    Ok(rows.into_iter().map(|row| comment(row, &gone)).collect())
}

fn comment(row: CommentRow, gone: &[Id<Any>]) -> Held {
    if gone.contains(&row.key.entry_id.any()) {
        return Held::deleted(Kind::Comment, row.key.id.any(), row.key.version, None);
    }
    Held::there(Kind::Comment, row.key.id.any(), (row.key.version, row.doc.len()), move |keys, patient| {
        Ok(Body::Comment(CommentBody::open(keys, patient, &row)?))
    })
}

fn receipt(row: ReceiptRow) -> Held {
    Held::there(Kind::Receipt, row.id.any(), (row.version, SMALL), move |_, _| {
        Ok(Body::Receipt(Fields { fields: ReceiptFields::of(&row)? }))
    })
}
