//! Calendar rows: the sealed document, and the clear columns by which an address is found.

use diesel::prelude::*;
use jiff::Timestamp;

use super::model::CalendarDoc;
use crate::authentic;
use crate::care::{Access, Write};
use crate::changes::Bytes;
use crate::db::schema::calendars;
use crate::db::{At, Stored, Tx, columns};
use crate::kernel::id::{CalendarAddress, Patient};
use crate::kernel::{Id, Result};
use crate::vault::{Keys, Purpose, SealContext};

authentic! {
    /// What decides who reads a feed.
    pub struct CalendarKey of calendars {
        /// The patient.
        patient_id: Id<Patient>,
        /// The id from which the address follows.
        address_id: Id<CalendarAddress>,
        /// The keyed hash of the address; `None` when the calendar was removed.
        address_key: Option<Vec<u8>>,
        /// The version of the calendar by which the address was made.
        address_version: i64,
        /// Its version.
        version: i64,
        /// The instant at which the address was made.
        created_at: At,
        /// The instant of the last change.
        updated_at: At,
        /// The instant at which it was removed.
        deleted_at: Option<At>,
    }
}

/// A stored calendar, sealed.
#[derive(Clone, Debug)]
pub struct CalendarRow {
    /// What decides.
    pub key: CalendarKey,
    doc: Vec<u8>,
    /// The instant at which the feed was last read, to the hour.
    pub read_at: Option<Timestamp>,
}

/// A calendar as it was read, not checked yet.
type Found = (Stored<CalendarKey>, Vec<u8>, Option<At>);

fn place(key: &CalendarKey) -> SealContext {
    let subject = key.patient_id.uuid();
    SealContext { table: "calendars", column: "doc", subject, row: subject, revision: key.version }
}

fn row_of(tx: &Tx<'_>, found: Option<Found>) -> Result<Option<CalendarRow>> {
    let Some((key, doc, read_at)) = found else { return Ok(None) };
    Ok(key.checked(tx)?.map(|key| CalendarRow { key, doc, read_at: read_at.map(|at| at.0) }))
}

impl CalendarRow {
    /// Whether its address opens the feed: it was neither removed nor made in an earlier epoch of the data.
    pub fn is_live(&self, tx: &Tx<'_>) -> bool {
        self.key.deleted_at.is_none() && self.key.address_version >= tx.first_version()
    }

    /// Opens its document.
    pub fn open(&self, keys: &Keys) -> Result<CalendarDoc> {
        keys.open_json(&place(&self.key), &self.doc)
    }
}

/// Finds the patient's calendar, also a removed one.
pub fn find<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Option<CalendarRow>> {
    let own = calendars::table.filter(calendars::patient_id.eq(access.patient()));
    let found = own.select((columns::<Stored<CalendarKey>>(), calendars::doc, calendars::read_at));
    let found: Option<Found> = found.first(tx.conn()).optional()?;
    row_of(tx, found)
}

/// Finds the calendar of the address with this keyed hash.
///
/// Spans patients: rests on the partial index `calendars_address`.
pub fn find_by_address(tx: &mut Tx<'_>, address: &[u8]) -> Result<Option<CalendarRow>> {
    let of = calendars::table.filter(calendars::address_key.eq(address));
    let found = of.select((columns::<Stored<CalendarKey>>(), calendars::doc, calendars::read_at));
    let found: Option<Found> = found.first(tx.conn()).optional()?;
    row_of(tx, found)
}

/// Stores a version of the calendar, in place of the `old` one.
pub fn put(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (key, old): (CalendarKey, Option<&CalendarRow>),
    doc: &CalendarDoc,
) -> Result<CalendarRow> {
    let doc = access.keys()?.seal_json(Purpose::Clinical, &place(&key), doc)?;
    let before = old.map(|old| Bytes::text([old.doc.as_slice()])).unwrap_or_default();
    access.stores(Bytes::text([doc.as_slice()]).minus(before));
    // A new address was read by nobody.
    let read_at = old.filter(|old| old.key.address_id == key.address_id).and_then(|old| old.read_at);
    let rest = (calendars::doc.eq(&doc), calendars::read_at.eq(read_at.map(At)));
    // A row that does not fit its MAC is there all the same.
    let own = calendars::table.filter(calendars::patient_id.eq(key.patient_id));
    if diesel::update(own).set((key.signed(tx)?, rest)).execute(tx.conn())? == 0 {
        let rest = (calendars::doc.eq(&doc), calendars::read_at.eq(read_at.map(At)));
        diesel::insert_into(calendars::table).values((key.signed(tx)?, rest)).execute(tx.conn())?;
    }
    Ok(CalendarRow { key, doc, read_at })
}

/// Notes that the feed of an address was read.
pub fn mark_read(
    tx: &mut Tx<'_>,
    (patient, address): (Id<Patient>, Id<CalendarAddress>),
    now: Timestamp,
) -> Result<()> {
    let read = calendars::table.filter(calendars::patient_id.eq(patient)).filter(calendars::address_id.eq(address));
    diesel::update(read).set(calendars::read_at.eq(Some(At(now)))).execute(tx.conn())?;
    Ok(())
}
