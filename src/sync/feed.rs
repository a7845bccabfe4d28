//! The page of a therapist's feed.
//!
//! A read unit finds the next rows. If there are any, a write unit holds the links of their patients and locks their
//! heads, decides what the therapist may see of them now, reads it, writes one audit row for each patient, and notes
//! what was sent. What has moved between the units comes later.

pub mod view;

use std::collections::{BTreeMap, BTreeSet};

use self::view::{Content, FeedEvent};
use super::epoch::{self, Epoch};
use super::model::Kind;
use crate::care::grants::Sections;
use crate::care::grants::{receipts, store as grants};
use crate::care::{Access, Read, reading};
use crate::changes::Entity;
use crate::course::{self, Needed, SealedContextSource};
use crate::db::Tx;
use crate::exercises::assignments::actions as assignments;
use crate::exercises::store::ResponseTable;
use crate::feed::visible::{Visible, visible};
use crate::feed::{FeedRow, Place, store};
use crate::identity::{Live, Staff};
use crate::items::view::Visible as Shown;
use crate::items::{ItemRow, ItemTable};
use crate::journal::comments::store as comments;
use crate::journal::store::EntryTable;
use crate::kernel::id::{Account, Any, Patient};
use crate::kernel::page::{BYTES, CursorKey, PageRequest, SMALL};
use crate::kernel::{Entropy, Error, Id, Result};
use crate::vault::{Keys, Vault};

/// The most patients of one page: each is a lock and an audit row.
const PATIENTS: usize = 16;

/// How far a therapist's app has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedPlace {
    /// The epoch of the data.
    pub epoch: Epoch,
    /// The last number when a pull of everything began, while it goes on.
    pub base: Option<i64>,
    /// The last row.
    pub place: Place,
}

impl CursorKey for FeedPlace {
    fn to_bytes(&self) -> Vec<u8> {
        let (seq, key) = self.place;
        let base = self.base.unwrap_or(-1);
        [self.epoch.bytes().to_vec(), base.to_bytes(), seq.to_bytes(), key.to_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (epoch, rest) = bytes.split_first_chunk()?;
        let (base, rest) = rest.split_at_checked(8)?;
        let (seq, key) = rest.split_at_checked(8)?;
        let base = Some(i64::from_bytes(base)?).filter(|base| *base >= 0);
        Some(Self { epoch: Epoch::new(*epoch), base, place: (i64::from_bytes(seq)?, Id::from_bytes(key)?) })
    }
}

/// The rows of a page.
#[derive(Clone, Debug)]
pub struct Found {
    rows: Vec<FeedRow>,
    /// Whether the page is one of a pull of everything.
    pub full: bool,
    /// Whether there is another page now.
    pub has_more: bool,
    /// The place of the next page.
    pub next: FeedPlace,
}

impl Found {
    /// Returns the patients of whose things the page tells.
    pub fn patients(&self) -> Vec<Id<Patient>> {
        let of_things = self.rows.iter().filter(|row| row.thing.0 != Entity::CareLink);
        of_things.map(|row| row.patient).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether it has nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Ends the page after the row in `place`.
    fn cut(&mut self, place: Place, from: FeedPlace) {
        self.has_more = true;
        self.next = FeedPlace { place, ..from };
    }
}

/// Finds the rows of the page that begins at `asked`; without a place a pull of everything begins.
///
/// # Errors
///
/// [`Error::Resync`] for a place of another epoch, ahead of the data, or before removals that were forgotten.
pub fn find(tx: &mut Tx<'_>, account: Id<Account>, asked: PageRequest<FeedPlace>) -> Result<(Found, FeedPlace)> {
    let epoch = epoch::current(tx)?;
    let head = store::head(tx, account)?;
    let from = match asked.after {
        None => FeedPlace { epoch, base: Some(head.seq), place: (0, Id::from_uuid(uuid::Uuid::nil())) },
        Some(place) if place.epoch != epoch => return Err(epoch.resync("epoch")),
        Some(place) => place,
    };
    if from.base.unwrap_or_default().max(from.place.0) > head.seq {
        tracing::error!(
            known = from.place.0,
            head = head.seq,
            "an app knows a change that the data do not have: were they restored?"
        );
        metrics::counter!("sync_cursors_ahead_total").increment(1);
        return Err(epoch.resync("ahead"));
    }
    // A pull of everything needs the removals since it began.
    let known = from.base.map_or(from.place, store::after_all);
    if known < store::after_all(head.horizon) && head.horizon > 0 {
        return Err(epoch.resync("too_old"));
    }
    let mut rows = store::list(tx, account, (from.place, from.base), asked.limit.rows())?;
    let mut found = Found {
        rows: Vec::new(),
        full: from.base.is_some(),
        has_more: false,
        next: FeedPlace { epoch, base: None, place: store::after_all(head.seq) },
    };
    let mut patients = BTreeSet::new();
    let fits = |row: &&FeedRow| {
        patients.insert(row.patient);
        patients.len() <= PATIENTS
    };
    let room = rows.iter().take(asked.limit.items()).take_while(fits).count();
    if room < rows.len() {
        rows.truncate(room);
        let last = rows.last().map_or(from.place, |row| row.place);
        found.cut(last, from);
    }
    found.rows = rows;
    Ok((found, from))
}

/// The events of a page, still sealed.
pub struct Told {
    /// The events, each with the patient's keys if there is something to open.
    pub events: Vec<FeedEvent>,
    /// The keys of the patients.
    pub keys: BTreeMap<Id<Patient>, Keys>,
    /// The backgrounds of the patients' items.
    pub around: BTreeMap<Id<Patient>, SealedContextSource>,
}

/// Reads what the therapist may see now of the rows that were found. The page ends before the row with which it would
/// have too many bytes.
///
/// # Errors
///
/// When the database fails.
pub fn tell(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    (vault, ids, act): (&Vault, &Entropy, &'static str),
    keys: &BTreeMap<Id<Patient>, Keys>,
    (found, from): (&mut Found, FeedPlace),
) -> Result<Told> {
    let opened = reading::open(tx, live, &found.patients(), keys)?;
    let rows = store::still(tx, &found.rows)?;
    let mut contents = BTreeMap::new();
    for (patient, access) in &opened {
        for kind in Kind::ALL {
            let ids: Vec<Id<Any>> = rows
                .iter()
                .filter(|row| row.patient == *patient && row.thing.0 == kind.entity() && !row.removed)
                .map(|row| row.thing.1)
                .collect();
            if !ids.is_empty() {
                let read = contents_of(tx, access, kind.entity(), &ids)?;
                contents.extend(read.into_iter().map(|(id, content)| ((*patient, kind.entity(), id), content)));
            }
        }
    }
    let mut told = Told { events: Vec::new(), keys: keys.clone(), around: BTreeMap::new() };
    let (mut bytes, mut last) = (0, None);
    let mut sent: BTreeMap<Id<Patient>, Vec<_>> = BTreeMap::new();
    for row in &rows {
        let content = contents.remove(&(row.patient, row.thing.0, row.thing.1));
        let size = content.as_ref().map_or(SMALL, Content::bytes);
        if let Some(last) = last.filter(|_| bytes + size > BYTES) {
            found.cut(last, from);
            break;
        }
        bytes += size;
        last = Some(row.place);
        if let Some((content, access)) = content.as_ref().zip(opened.get(&row.patient))
            && !matches!(content, Content::Unreadable)
        {
            access.returns(row.thing.1.uuid());
            sent.entry(row.patient).or_default().push(row.thing);
        }
        told.events.push(FeedEvent::new(row.patient, row.thing, content));
    }
    for (patient, things) in sent {
        let Some(access) = opened.get(&patient) else { continue };
        receipts::delivered(tx, access, &things, ids)?;
        told.around.insert(patient, course::background(tx, access, Needed::All)?);
        reading::trace(tx, vault, act, access)?;
    }
    Ok(told)
}

fn typed<K>(ids: &[Id<Any>]) -> Vec<Id<K>> {
    ids.iter().map(|id| id.typed()).collect()
}

/// Makes the contents of items, each with the sections that are open.
fn shared(rows: Vec<ItemRow>, open: &Visible, content: fn(Shown) -> Content) -> Vec<(Id<Any>, Content)> {
    let seen = |row: ItemRow| {
        let shared = Some(Sections::from_bits(*open.get(&row.id)?));
        Some((row.id, content(Shown { row, shared, openings: None })))
    };
    rows.into_iter().filter_map(seen).collect()
}

/// Reads those of some things of one kind that the caller may see now.
fn contents_of(
    tx: &mut Tx<'_>,
    access: &Access<Read>,
    kind: Entity,
    ids: &[Id<Any>],
) -> Result<Vec<(Id<Any>, Content)>> {
    let link = access.link().ok_or(Error::NotFound)?;
    let open: Visible = visible(tx, access, &[link], kind, ids)?.pop().unwrap_or_default();
    let ids: Vec<Id<Any>> = open.keys().copied().collect();
    if access.keys().is_err() {
        return Ok(ids.into_iter().map(|id| (id, Content::Unreadable)).collect());
    }
    Ok(match kind {
        Entity::Entry => shared(EntryTable::list_done(tx, access, &ids)?, &open, Content::Entry),
        Entity::Response => shared(ResponseTable::list_done(tx, access, &ids)?, &open, Content::Response),
        Entity::Comment => {
            let rows = comments::list_among(tx, access, &typed(&ids))?;
            rows.into_iter().map(|row| (row.key.id.any(), Content::Comment(row))).collect()
        }
        Entity::Grant => {
            let rows = grants::list_among(tx, access, &typed(&ids))?;
            rows.into_iter().map(|row| (row.key.id.any(), Content::Grant(row, access.now()))).collect()
        }
        Entity::Assignment => {
            let known = assignments::list_among(tx, access, &typed(&ids))?;
            known.into_iter().map(|known| (known.row.key.id.any(), Content::Assignment(known))).collect()
        }
        Entity::Infusion => {
            let mut rows = course::list_infusion_rows(tx, access)?;
            rows.retain(|row| open.contains_key(&row.id.any()));
            rows.into_iter().map(|row| (row.id.any(), Content::Infusion(row))).collect()
        }
        Entity::Prompt
        | Entity::Settings
        | Entity::Pause
        | Entity::CareLink
        | Entity::Receipt
        | Entity::Device
        | Entity::Calendar
        | Entity::Consent
        | Entity::Extension(_) => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_holds_its_place() {
        let epoch = Epoch::new([9; 16]);
        for base in [None, Some(0), Some(i64::MAX)] {
            let place = FeedPlace { epoch, base, place: (17, Id::from_uuid(uuid::Uuid::max())) };
            assert_eq!(FeedPlace::from_bytes(&place.to_bytes()), Some(place));
        }
        assert_eq!(FeedPlace::from_bytes(&[0; 47]), None);
    }
}
