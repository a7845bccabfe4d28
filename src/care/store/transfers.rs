//! Transfers: the therapist who is to take a care link over. A link has one at most.

use diesel::prelude::*;

use crate::authentic;
use crate::care::access::Access;
use crate::db::authentic::checked;
use crate::db::schema::transfers;
use crate::db::{At, Both, Stored, Tx, columns};
use crate::kernel::id::{Account, CareLink, Patient};
use crate::kernel::{Id, Result};

authentic! {
    /// A transfer as it is stored.
    pub struct TransferRow of transfers {
        /// The link that is to end.
        link_id: Id<CareLink>,
        /// Its patient.
        patient_id: Id<Patient>,
        /// The therapist who is to take over.
        therapist_id: Id<Account>,
        /// The name of its state.
        state: String,
        /// Its version.
        version: i64,
        /// The instant of the offer.
        offered_at: At,
        /// The instant of the answer.
        answered_at: Option<At>,
    }
}

/// Finds the transfer of a link.
pub fn find_transfer(tx: &mut Tx<'_>, link: Id<CareLink>) -> Result<Option<TransferRow>> {
    let own = transfers::table.filter(transfers::link_id.eq(link)).select(columns::<Stored<TransferRow>>());
    let rows: Vec<Stored<TransferRow>> = own.load(tx.conn())?;
    Ok(checked(tx, rows)?.pop())
}

/// Finds the transfer of a link of the patient. A transfer of another patient is not read.
pub fn find_transfer_for<A>(tx: &mut Tx<'_>, access: &Access<A>, link: Id<CareLink>) -> Result<Option<TransferRow>> {
    let own = transfers::table.filter(transfers::link_id.eq(link)).filter(transfers::patient_id.eq(access.patient()));
    let rows: Vec<Stored<TransferRow>> = own.select(columns::<Stored<TransferRow>>()).load(tx.conn())?;
    Ok(checked(tx, rows)?.pop())
}

/// Lists the transfers of the patient in a state, by link.
pub fn list_offered<A>(tx: &mut Tx<'_>, access: &Access<A>, state: &str) -> Result<Vec<TransferRow>> {
    let own = transfers::table
        .filter(transfers::patient_id.eq(access.patient()))
        .filter(transfers::state.eq(state.to_owned()))
        .order(transfers::link_id)
        .select(columns::<Stored<TransferRow>>());
    let rows: Vec<Stored<TransferRow>> = own.load(tx.conn())?;
    checked(tx, rows)
}

/// Inserts the transfer of a link that had none. The link is held.
pub fn put_transfer(tx: &mut Tx<'_>, row: &TransferRow) -> Result<()> {
    let values = row.signed(tx)?;
    let inserted = Both(diesel::insert_into(transfers::table).values(values).on_conflict_do_nothing());
    if inserted.execute(tx.conn())? == 1 { Ok(()) } else { update_transfer(tx, row) }
}

/// Stores a changed transfer. Its link is held.
pub fn update_transfer(tx: &mut Tx<'_>, row: &TransferRow) -> Result<()> {
    let own = transfers::table.filter(transfers::link_id.eq(row.link_id));
    diesel::update(own).set(row.signed(tx)?).execute(tx.conn())?;
    Ok(())
}
