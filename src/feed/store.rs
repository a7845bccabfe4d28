//! The rows of feeds and their heads. Queries that span patients go out from an account, a care link (index
//! `feed_link`), or the instant of a removal (index `feed_removed`).

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use jiff::Timestamp;
use uuid::Uuid;

use super::model::{FeedRow, Place, Portion, Touch};
use crate::changes::Entity;
use crate::db::schema::{feed, feed_backlog, feed_heads};
use crate::db::{At, Both, Signal, Topic, Tx};
use crate::kernel::id::{Account, Any, CareLink, FeedPortion, Patient};
use crate::kernel::{Error, Id, Result};

/// The most rows named in one statement.
const AT_ONCE: usize = 200;

/// The head of a feed: its last number, and that up to which removals were forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The last number.
    pub seq: i64,
    /// The number up to which removals may have been forgotten.
    pub horizon: i64,
}

type Columns = (Id<Account>, Id<Patient>, Id<CareLink>, i32, Id<Any>, i32, Option<At>, i64, Id<Any>);

macro_rules! columns {
    () => {
        (
            feed::account_id,
            feed::patient_id,
            feed::link_id,
            feed::entity,
            feed::item_id,
            feed::sections,
            feed::removed_at,
            feed::seq,
            feed::order_key,
        )
    };
}

fn row((account, patient, link, entity, id, sections, removed, seq, key): Columns) -> FeedRow {
    let thing = (Entity::of(entity), id);
    FeedRow { account, patient, link, thing, sections, removed: removed.is_some(), place: (seq, key) }
}

/// Finds the head of a feed. One that was never written is at its beginning.
///
/// # Errors
///
/// When it cannot be read.
pub fn head(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Head> {
    let own = feed_heads::table.filter(feed_heads::account_id.eq(account));
    let found: Option<(i64, i64)> =
        own.select((feed_heads::seq, feed_heads::horizon_seq)).first(tx.conn()).optional()?;
    Ok(found.map_or(Head::default(), |(seq, horizon)| Head { seq, horizon }))
}

/// Reads the last numbers of some feeds; of those that were ever written.
///
/// # Errors
///
/// When they cannot be read.
pub fn heads(tx: &mut Tx<'_>, accounts: &[Id<Account>]) -> Result<HashMap<Id<Account>, i64>> {
    let some = feed_heads::table.filter(feed_heads::account_id.eq_any(accounts.iter().copied()));
    let rows: Vec<(Id<Account>, i64)> = some.select((feed_heads::account_id, feed_heads::seq)).load(tx.conn())?;
    Ok(rows.into_iter().collect())
}

/// Locks the head of a feed and takes its next number. Once the unit is durable, the streams of the account are told.
pub(super) fn take(tx: &mut Tx<'_>, account: Id<Account>) -> Result<i64> {
    Both(
        diesel::insert_into(feed_heads::table)
            .values((feed_heads::account_id.eq(account), feed_heads::seq.eq(1_i64), feed_heads::horizon_seq.eq(0_i64)))
            .on_conflict(feed_heads::account_id)
            .do_update()
            .set(feed_heads::seq.eq(feed_heads::seq + 1_i64)),
    )
    .execute(tx.conn())?;
    tx.signal(Signal { topic: Topic::Account, id: account.uuid() });
    Ok(head(tx, account)?.seq)
}

/// Lists the rows of things of one kind, in all feeds.
pub(super) fn list_of(tx: &mut Tx<'_>, patient: Id<Patient>, kind: Entity, ids: &[Id<Any>]) -> Result<Vec<FeedRow>> {
    let mut rows = Vec::new();
    for some in ids.chunks(AT_ONCE) {
        let own = feed::table.filter(feed::patient_id.eq(patient)).filter(feed::entity.eq(kind.number()));
        let own = own.select(columns!());
        let found: Vec<Columns> = match some {
            // An edit changes one thing. SQLite keeps this statement prepared, and not the other one.
            [one] => own.filter(feed::item_id.eq(one)).load(tx.conn())?,
            _ => own.filter(feed::item_id.eq_any(some.iter().copied())).load(tx.conn())?,
        };
        rows.extend(found.into_iter().map(row));
    }
    Ok(rows)
}

/// Whether a feed has rows over this care link.
pub(super) fn has_link(tx: &mut Tx<'_>, link: Id<CareLink>) -> Result<bool> {
    let one: Option<i64> = feed::table.filter(feed::link_id.eq(link)).select(feed::seq).first(tx.conn()).optional()?;
    Ok(one.is_some())
}

/// Deletes the rows over a care link.
pub(super) fn delete_link(tx: &mut Tx<'_>, link: Id<CareLink>) -> Result<()> {
    diesel::delete(feed::table.filter(feed::link_id.eq(link))).execute(tx.conn())?;
    Ok(())
}

/// Inserts new rows. The head of the feed is held.
pub(super) fn insert(tx: &mut Tx<'_>, rows: &[FeedRow], now: Timestamp) -> Result<()> {
    for some in rows.chunks(AT_ONCE) {
        let values = |row: &FeedRow| {
            (
                feed::account_id.eq(row.account),
                feed::patient_id.eq(row.patient),
                feed::link_id.eq(row.link),
                feed::entity.eq(row.thing.0.number()),
                feed::item_id.eq(row.thing.1),
                feed::sections.eq(row.sections),
                feed::removed_at.eq(row.removed.then_some(At(now))),
                feed::seq.eq(row.place.0),
                feed::order_key.eq(row.place.1),
            )
        };
        let values: Vec<_> = some.iter().map(values).collect();
        Both(diesel::insert_into(feed::table).values(values)).execute(tx.conn())?;
    }
    Ok(())
}

/// Moves rows of one feed to the number in their place. The head of the feed is held.
pub(super) fn update(tx: &mut Tx<'_>, rows: &[FeedRow], now: Timestamp) -> Result<()> {
    // What gets the same values is one statement.
    let mut alike: BTreeMap<_, Vec<Id<Any>>> = BTreeMap::new();
    for row in rows {
        let key = (row.account, row.patient, row.link, row.thing.0, row.sections, row.removed, row.place.0);
        alike.entry(key).or_default().push(row.thing.1);
    }
    for ((account, patient, link, kind, sections, removed, seq), ids) in alike {
        for some in ids.chunks(AT_ONCE) {
            let own = feed::table.filter(feed::patient_id.eq(patient)).filter(feed::entity.eq(kind.number()));
            let own = own.filter(feed::item_id.eq_any(some.iter().copied())).filter(feed::account_id.eq(account));
            diesel::update(own)
                .set((
                    feed::link_id.eq(link),
                    feed::sections.eq(sections),
                    feed::removed_at.eq(removed.then_some(At(now))),
                    feed::seq.eq(seq),
                ))
                .execute(tx.conn())?;
        }
    }
    Ok(())
}

/// Lists the next rows of a feed after a place, at most `most`. With a number, removals up to it are passed over.
///
/// # Errors
///
/// When they cannot be read.
pub fn list(
    tx: &mut Tx<'_>,
    account: Id<Account>,
    ((seq, key), live_until): (Place, Option<i64>),
    most: i64,
) -> Result<Vec<FeedRow>> {
    let after = feed::seq.gt(seq).or(feed::order_key.gt(key));
    let own = feed::table.filter(feed::account_id.eq(account)).filter(feed::seq.ge(seq)).filter(after);
    let wanted = own.filter(feed::removed_at.is_null().or(feed::seq.gt(live_until.unwrap_or(-1))));
    let found: Vec<Columns> =
        wanted.order((feed::seq, feed::order_key)).limit(most).select(columns!()).load(tx.conn())?;
    Ok(found.into_iter().map(row).collect())
}

/// Returns those of `rows` that still stand in their places. What has moved comes later.
///
/// # Errors
///
/// When they cannot be read.
pub fn still(tx: &mut Tx<'_>, rows: &[FeedRow]) -> Result<Vec<FeedRow>> {
    let mut things: BTreeMap<(Id<Patient>, Entity), Vec<Id<Any>>> = BTreeMap::new();
    for row in rows {
        things.entry((row.patient, row.thing.0)).or_default().push(row.thing.1);
    }
    let mut there = Vec::new();
    for ((patient, kind), ids) in things {
        there.extend(list_of(tx, patient, kind, &ids)?);
    }
    let same = |row: &FeedRow, other: &FeedRow| {
        (row.account, row.patient, row.thing, row.place) == (other.account, other.patient, other.thing, other.place)
    };
    Ok(rows.iter().filter(|row| there.iter().any(|other| same(row, other))).copied().collect())
}

/// Forgets up to `most` removals from before `until`, and raises the horizons of their feeds.
///
/// Spans accounts: a task deletes them by their age.
pub(super) fn delete_removed(tx: &mut Tx<'_>, until: Timestamp, most: i64) -> Result<usize> {
    let found: Vec<Columns> = feed::table
        .filter(feed::removed_at.le(At(until)))
        .order(feed::removed_at)
        .limit(most)
        .select(columns!())
        .load(tx.conn())?;
    let mut feeds: BTreeMap<Id<Account>, Vec<FeedRow>> = BTreeMap::new();
    for row in found.into_iter().map(row) {
        feeds.entry(row.account).or_default().push(row);
    }
    // The heads first, in ascending order, as in the step.
    for (account, rows) in &feeds {
        let last = rows.iter().map(|row| row.place.0).max().unwrap_or_default();
        let own = feed_heads::table.filter(feed_heads::account_id.eq(account));
        diesel::update(own.filter(feed_heads::horizon_seq.lt(last)))
            .set(feed_heads::horizon_seq.eq(last))
            .execute(tx.conn())?;
    }
    let mut deleted = 0;
    for row in feeds.into_values().flatten() {
        let own = feed::table.filter(feed::patient_id.eq(row.patient)).filter(feed::entity.eq(row.thing.0.number()));
        let own = own.filter(feed::item_id.eq(row.thing.1)).filter(feed::account_id.eq(row.account));
        // What is open again by now stays.
        deleted += diesel::delete(own.filter(feed::removed_at.le(At(until)))).execute(tx.conn())?;
    }
    Ok(deleted)
}

/// Stores a portion. One that is there says the same.
pub(super) fn insert_portion(tx: &mut Tx<'_>, id: Id<FeedPortion>, portion: &Portion) -> Result<()> {
    let things: Vec<u8> = portion.things.iter().flat_map(|id| *id.uuid().as_bytes()).collect();
    let values = (
        feed_backlog::patient_id.eq(portion.patient),
        feed_backlog::id.eq(id),
        feed_backlog::at.eq(At(portion.at)),
        feed_backlog::entity.eq(portion.kind.number()),
        feed_backlog::opened.eq(portion.touch.opened),
        feed_backlog::whole.eq(portion.touch.all),
        feed_backlog::sections.eq(portion.touch.sections),
        feed_backlog::things.eq(things),
    );
    Both(diesel::insert_into(feed_backlog::table).values(values).on_conflict_do_nothing()).execute(tx.conn())?;
    Ok(())
}

/// Lists portions, the oldest first, at most `most`, without those of the patients in `left_out`.
///
/// Spans patients: the server follows them in the order in which they were left.
pub(super) fn list_portions(
    tx: &mut Tx<'_>,
    left_out: &[Id<Patient>],
    most: i64,
) -> Result<Vec<(Id<Patient>, Id<FeedPortion>)>> {
    let others = feed_backlog::table.filter(feed_backlog::patient_id.ne_all(left_out.to_vec()));
    let oldest = others.order(feed_backlog::at).limit(most);
    Ok(oldest.select((feed_backlog::patient_id, feed_backlog::id)).load(tx.conn())?)
}

/// Finds a portion.
pub(super) fn find_portion(tx: &mut Tx<'_>, patient: Id<Patient>, id: Id<FeedPortion>) -> Result<Option<Portion>> {
    type Columns = (At, i32, bool, bool, i32, Vec<u8>);
    let own = feed_backlog::table.filter(feed_backlog::patient_id.eq(patient)).filter(feed_backlog::id.eq(id));
    let columns = (
        feed_backlog::at,
        feed_backlog::entity,
        feed_backlog::opened,
        feed_backlog::whole,
        feed_backlog::sections,
        feed_backlog::things,
    );
    let found: Option<Columns> = own.select(columns).first(tx.conn()).optional()?;
    found
        .map(|(at, kind, opened, all, sections, things)| {
            let ids = things.chunks(16).map(|bytes| Uuid::from_slice(bytes).map(Id::from_uuid));
            let things =
                ids.collect::<std::result::Result<_, _>>().map_err(|error| Error::Internal(Box::new(error)))?;
            Ok(Portion { patient, at: at.0, kind: Entity::of(kind), touch: Touch { opened, all, sections }, things })
        })
        .transpose()
}

/// Deletes a portion.
pub(super) fn delete_portion(tx: &mut Tx<'_>, patient: Id<Patient>, id: Id<FeedPortion>) -> Result<()> {
    let own = feed_backlog::table.filter(feed_backlog::patient_id.eq(patient)).filter(feed_backlog::id.eq(id));
    diesel::delete(own).execute(tx.conn())?;
    Ok(())
}

/// The place after all rows of a number.
pub const fn after_all(seq: i64) -> Place {
    (seq, Id::from_uuid(Uuid::max()))
}
