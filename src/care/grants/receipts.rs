//! Receipts: that an item was first sent to a reader's app, and that the reader first opened it in person. Both are facts
//! for the patient alone. Their change rows tell the patient's phones; no reader learns of them, and no plan follows.

use jiff::Timestamp;

use super::store::{self, ReceiptRow};
use crate::care::{Access, Read, Write};
use crate::changes::{self, Bytes, Change, Entity, Op};
use crate::db::Tx;
use crate::kernel::id::Any;
use crate::kernel::{Entropy, Id, Result};

/// A fact that a receipt holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    Delivered,
    Opened,
}

/// Records that these things were sent to the caller's app, to be kept there; of each item the first time counts. The
/// patient's head is held.
///
/// # Errors
///
/// When the database cannot be written.
pub fn delivered(tx: &mut Tx<'_>, access: &Access<Read>, things: &[(Entity, Id<Any>)], ids: &Entropy) -> Result<()> {
    let mut list = Vec::new();
    for kind in Entity::GRANTED {
        let items: Vec<_> = things.iter().filter(|(of, _)| *of == kind).map(|(_, id)| *id).collect();
        list.extend(note(tx, access, (kind, &items), (Fact::Delivered, ids))?);
    }
    if list.is_empty() {
        return Ok(());
    }
    let head = changes::take(tx, access.patient(), list.len(), Bytes::default())?;
    changes::insert(tx, access.patient(), head.number, access.actor(), access.now(), &list)
}

/// Records that the caller has opened an item in person, and returns the instant of the first time.
///
/// # Errors
///
/// When the database cannot be written.
pub fn opened(tx: &mut Tx<'_>, access: &Access<Write>, item: (Entity, Id<Any>), ids: &Entropy) -> Result<Timestamp> {
    let of = (item.0, &[item.1][..]);
    let mut known = store::find_receipts(tx, access, of, access.account()?)?;
    if let Some(at) = known.pop().and_then(|row| row.opened_at) {
        return Ok(at);
    }
    access.lock(tx)?;
    let list = note(tx, access, of, (Fact::Opened, ids))?;
    access.record_all(tx, &list)?;
    let now = store::find_receipts(tx, access, of, access.account()?)?.pop().and_then(|row| row.opened_at);
    Ok(now.unwrap_or(access.now()))
}

/// Deletes the receipts of an item that is purged.
///
/// # Errors
///
/// When the database cannot be written.
pub fn purge(tx: &mut Tx<'_>, access: &Access<Write>, item: (Entity, Id<Any>)) -> Result<()> {
    let gone = store::delete_receipts(tx, access, item)?;
    let deleted = |(id, version)| Change::new(Entity::Receipt, id, tx.version_after(version), Op::Delete);
    let list: Vec<_> = gone.into_iter().map(deleted).collect();
    access.record_all(tx, &list)
}

/// Stores a fact of the caller and these items where it is new, and returns the changes of receipts.
fn note<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    (kind, items): (Entity, &[Id<Any>]),
    (fact, ids): (Fact, &Entropy),
) -> Result<Vec<Change>> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let (account, now) = (access.account()?, access.now());
    let known = store::find_receipts(tx, access, (kind, items), account)?;
    let mut list = Vec::new();
    for id in items {
        let old = known.iter().find(|row| row.item.1 == *id).copied();
        let new =
            ReceiptRow { id: ids.id(now), item: (kind, *id), account, version: 0, delivered_at: None, opened_at: None };
        let mut row = old.unwrap_or(new);
        let slot = match fact {
            Fact::Delivered => &mut row.delivered_at,
            Fact::Opened => &mut row.opened_at,
        };
        if slot.is_some() {
            continue;
        }
        *slot = Some(now);
        row.version = tx.version_after(row.version);
        let op = if old.is_some() {
            store::update_receipt(tx, access, &row)?;
            Op::Update
        } else {
            store::insert_receipt(tx, access, &row)?;
            Op::Create
        };
        list.push(Change::new(Entity::Receipt, row.id, row.version, op));
    }
    Ok(list)
}
