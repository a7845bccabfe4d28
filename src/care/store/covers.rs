//! Covers: the times in which colleagues stand in for therapists.

use diesel::prelude::*;
use jiff::Timestamp;
use uuid::Uuid;

use crate::db::authentic::{checked, checked_page};
use crate::db::schema::covers;
use crate::db::{At, Stored, Tx, columns};
use crate::kernel::id::{Account, Clinic, Cover, Patient, Session};
use crate::kernel::{Id, Result};
use crate::{authentic, locked};

authentic! {
    /// A cover as it is stored.
    #[derive(Copy)]
    pub struct CoverRow of covers {
        /// Its id.
        id: Id<Cover>,
        /// The clinic.
        clinic_id: Id<Clinic>,
        /// The therapist who is away.
        therapist_id: Id<Account>,
        /// The colleague who stands in.
        colleague_id: Id<Account>,
        /// Its version.
        version: i64,
        /// The instant of its creation.
        created_at: At,
        /// The first instant.
        starts_at: At,
        /// The instant from which it is over.
        ends_at: At,
        /// The instant at which it was ended early.
        ended_at: Option<At>,
    }
}

/// Inserts a cover that was made in `session`. Patients are to be told from its start on.
pub fn insert_cover(tx: &mut Tx<'_>, row: &CoverRow, session: Id<Session>) -> Result<()> {
    let values = (row.signed(tx)?, covers::tell_at.eq(row.starts_at), covers::tell_session.eq(session));
    diesel::insert_into(covers::table).values(values).execute(tx.conn())?;
    Ok(())
}

/// Stores a changed cover, which is held.
pub fn update_cover(tx: &mut Tx<'_>, row: &CoverRow) -> Result<()> {
    diesel::update(covers::table.filter(covers::id.eq(row.id))).set(row.signed(tx)?).execute(tx.conn())?;
    Ok(())
}

/// Finds a cover of a clinic; with `of`, only one in which that account is away or stands in.
pub fn find_cover(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    of: Option<Id<Account>>,
    id: Id<Cover>,
) -> Result<Option<CoverRow>> {
    let here = covers::table
        .filter(covers::id.eq(id))
        .filter(covers::clinic_id.eq(clinic))
        .select(columns::<Stored<CoverRow>>());
    let rows: Vec<Stored<CoverRow>> = match of {
        Some(of) => here.filter(covers::therapist_id.eq(of).or(covers::colleague_id.eq(of))).load(tx.conn())?,
        None => here.load(tx.conn())?,
    };
    Ok(checked(tx, rows)?.pop())
}

/// Finds a cover, whatever its clinic, and holds it until the unit ends.
pub fn hold_cover(tx: &mut Tx<'_>, id: Id<Cover>) -> Result<Option<CoverRow>> {
    let rows: Vec<Stored<CoverRow>> =
        locked!(tx, for_update, covers::table.filter(covers::id.eq(id)).select(columns::<Stored<CoverRow>>()))?;
    Ok(checked(tx, rows)?.pop())
}

/// Lists the covers at a clinic that are not over and in which `account` is one of the two, and holds them until the
/// unit ends.
pub fn hold_covers_of(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    account: Id<Account>,
    now: Timestamp,
) -> Result<Vec<CoverRow>> {
    let side = covers::therapist_id.eq(account).or(covers::colleague_id.eq(account));
    let open = covers::table
        .filter(covers::clinic_id.eq(clinic))
        .filter(side)
        .filter(covers::ended_at.is_null())
        .filter(covers::ends_at.gt(At(now)))
        .order(covers::id)
        .select(columns::<Stored<CoverRow>>());
    let rows: Vec<Stored<CoverRow>> = locked!(tx, for_update, open)?;
    checked(tx, rows)
}

/// Counts the covers of a therapist that are not over.
pub fn count_covers(tx: &mut Tx<'_>, clinic: Id<Clinic>, therapist: Id<Account>, now: Timestamp) -> Result<i64> {
    Ok(covers::table
        .filter(covers::clinic_id.eq(clinic))
        .filter(covers::therapist_id.eq(therapist))
        .filter(covers::ended_at.is_null())
        .filter(covers::ends_at.gt(At(now)))
        .count()
        .get_result(tx.conn())?)
}

/// Lists the covers of a clinic, newest first, before `before`; those of `of` alone, unless it is `None`.
pub fn list_covers(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    of: Option<Id<Account>>,
    before: Option<Id<Cover>>,
    limit: i64,
) -> Result<Vec<CoverRow>> {
    let read = |tx: &mut Tx<'_>, before: Option<Id<Cover>>, limit: i64| {
        let here = covers::table
            .filter(covers::clinic_id.eq(clinic))
            .filter(covers::id.lt(before.unwrap_or(Id::from_uuid(Uuid::max()))))
            .order(covers::id.desc())
            .limit(limit)
            .select(columns::<Stored<CoverRow>>());
        let rows: Vec<Stored<CoverRow>> = match of {
            Some(of) => here.filter(covers::therapist_id.eq(of).or(covers::colleague_id.eq(of))).load(tx.conn())?,
            None => here.load(tx.conn())?,
        };
        Ok(rows)
    };
    checked_page(tx, (before, limit), read, |row: &CoverRow| row.id, checked)
}

/// Lists the clinics and therapists for whom a colleague stands in at `now`.
///
/// Spans clinics: rests on the index `covers_colleague`.
pub fn list_covered(tx: &mut Tx<'_>, colleague: Id<Account>, now: Timestamp) -> Result<Vec<(Id<Clinic>, Id<Account>)>> {
    let rows: Vec<Stored<CoverRow>> = covers::table
        .filter(covers::colleague_id.eq(colleague))
        .filter(covers::ends_at.gt(At(now)))
        .filter(covers::starts_at.le(At(now)))
        .filter(covers::ended_at.is_null())
        .select(columns::<Stored<CoverRow>>())
        .load(tx.conn())?;
    Ok(checked(tx, rows)?.iter().map(|row| (row.clinic_id, row.therapist_id)).collect())
}

/// What patients are still to be told of a cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoverTelling {
    /// The cover.
    pub id: Id<Cover>,
    /// Its clinic.
    pub clinic: Id<Clinic>,
    /// The instant from which they are told.
    pub at: At,
    /// The patient who was told last.
    pub after: Option<Id<Patient>>,
    /// The session in which the cover was made.
    pub session: Option<Id<Session>>,
}

type TellingColumns = (Id<Cover>, Id<Clinic>, Option<At>, Option<Id<Patient>>, Option<Id<Session>>);

/// The columns of a [`CoverTelling`].
macro_rules! telling {
    () => {
        (covers::id, covers::clinic_id, covers::tell_at, covers::tell_after, covers::tell_session)
    };
}

fn telling_of((id, clinic, at, after, session): TellingColumns) -> Option<CoverTelling> {
    at.map(|at| CoverTelling { id, clinic, at, after, session })
}

/// Finds the cover of which patients are to be told, the longest waiting one but for those in `left_out`.
///
/// Spans clinics: rests on the partial index `covers_tell`.
pub fn find_cover_to_tell(tx: &mut Tx<'_>, now: Timestamp, left_out: &[Id<Cover>]) -> Result<Option<CoverTelling>> {
    let found: Option<TellingColumns> = covers::table
        .filter(covers::tell_at.is_not_null())
        .filter(covers::tell_at.le(At(now)))
        .filter(covers::id.ne_all(left_out.to_vec()))
        .order(covers::tell_at)
        .select(telling!())
        .first(tx.conn())
        .optional()?;
    Ok(found.and_then(telling_of))
}

/// Finds what is still to be told of a cover.
pub fn find_cover_telling(tx: &mut Tx<'_>, id: Id<Cover>) -> Result<Option<CoverTelling>> {
    let found: Option<TellingColumns> =
        covers::table.filter(covers::id.eq(id)).select(telling!()).first(tx.conn()).optional()?;
    Ok(found.and_then(telling_of))
}

/// Stores how far the telling of a cover came; `None` when everybody knows.
pub fn update_cover_telling(tx: &mut Tx<'_>, seen: &CoverTelling, reached: Option<Id<Patient>>) -> Result<()> {
    let values = (covers::tell_at.eq(reached.map(|_| seen.at)), covers::tell_after.eq(reached));
    diesel::update(covers::table.filter(covers::id.eq(seen.id))).set(values).execute(tx.conn())?;
    Ok(())
}
