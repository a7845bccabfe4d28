//! What an entry said before, and who opened it.

use diesel::prelude::*;
use jiff::Timestamp;

use super::Part;
use crate::care::Access;
use crate::care::access::Write;
use crate::db::schema::{entry_history, openings};
use crate::db::{At, Both, Tx};
use crate::journal::seal::Section;
use crate::kernel::id::{Account, Any, Entry};
use crate::kernel::{Error, Id, Result};

/// Keeps a part that is being replaced by version `replaced_at`.
pub(in crate::journal) fn insert_history(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Entry>,
    section: Section,
    part: &Part,
    replaced_at: i64,
) -> Result<()> {
    diesel::insert_into(entry_history::table)
        .values((
            entry_history::patient_id.eq(access.patient()),
            entry_history::entry_id.eq(id),
            entry_history::section.eq(section.number()),
            entry_history::rev.eq(part.rev),
            entry_history::sealed.eq(&part.sealed),
            entry_history::replaced_at_version.eq(replaced_at),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// The replaced parts that were in force in `version`.
pub(in crate::journal) fn list_history<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    id: Id<Entry>,
    version: i64,
) -> Result<Vec<(Section, Part)>> {
    let rows: Vec<(i32, i64, Option<Vec<u8>>)> = entry_history::table
        .filter(entry_history::patient_id.eq(access.patient()))
        .filter(entry_history::entry_id.eq(id))
        .filter(entry_history::rev.le(version))
        .filter(entry_history::replaced_at_version.gt(version))
        .select((entry_history::section, entry_history::rev, entry_history::sealed))
        .load(tx.conn())?;
    rows.into_iter()
        .map(|(number, rev, sealed)| {
            let section = Section::ALL.into_iter().find(|section| section.number() == number);
            Ok((section.ok_or_else(|| Error::corrupt("entry_history", id))?, Part { rev, sealed }))
        })
        .collect()
}

/// Notes that a person opened an item; the first time counts. Answers when that was.
pub(in crate::journal) fn insert_opening(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    item: Id<Any>,
    account: Id<Account>,
) -> Result<Timestamp> {
    Both(
        diesel::insert_into(openings::table)
            .values((
                openings::patient_id.eq(access.patient()),
                openings::item_id.eq(item),
                openings::account_id.eq(account),
                openings::opened_at.eq(At(access.now())),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn())?;
    let first: At = openings::table
        .filter(openings::patient_id.eq(access.patient()))
        .filter(openings::item_id.eq(item))
        .filter(openings::account_id.eq(account))
        .select(openings::opened_at)
        .first(tx.conn())?;
    Ok(first.0)
}

/// Who opened an item, and when first.
pub fn list_openings<A>(tx: &mut Tx<'_>, access: &Access<A>, item: Id<Any>) -> Result<Vec<(Id<Account>, Timestamp)>> {
    let rows: Vec<(Id<Account>, At)> = openings::table
        .filter(openings::patient_id.eq(access.patient()))
        .filter(openings::item_id.eq(item))
        .order((openings::opened_at, openings::account_id))
        .select((openings::account_id, openings::opened_at))
        .load(tx.conn())?;
    Ok(rows.into_iter().map(|(account, at)| (account, at.0)).collect())
}
