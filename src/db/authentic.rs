//! Rows that decide who gets in.
//!
//! Write access to the database must not give access to a patient. Each row that decides carries a MAC over every
//! column that decides, its keys and states included, under a key that is not in the database. A row is read as a
//! [`Stored`], which gives its content only after the check, and is written with the `signed` values of its type. A row
//! that does not fit its MAC is taken for absent; one log line and a metric tell of it. Where an absent row would allow
//! or end something, [`all_checked`] refuses instead. A statement with a limit is read by [`checked_page`]: fewer rows
//! than were asked for mean that there are no more, not that one was taken for absent.
//!
//! A MAC does not show that a row is an older one, restored as a whole.

use uuid::Uuid;

use super::row_key::RowKey;
use super::types::At;
use super::unit::Tx;
use crate::kernel::{Error, Id, Result};

/// A row that decides who gets in. [`authentic!`](crate::authentic) implements it.
pub trait Authentic {
    /// The table.
    const TABLE: &'static str;
    /// The domain of the MAC: the table with the names of its covered columns.
    const LABEL: &'static str;

    /// Appends the covered columns, each so that no two contents give the same bytes.
    fn cover(&self, bytes: &mut Vec<u8>);
}

/// A row as it was read, not checked yet.
#[derive(Clone, Debug)]
pub struct Stored<R> {
    row: R,
    mac: Vec<u8>,
}

impl<R: Authentic> Stored<R> {
    /// Wraps what was read. Only [`authentic!`](crate::authentic) calls this.
    pub fn new(row: R, mac: Vec<u8>) -> Self {
        Self { row, mac }
    }

    /// Returns the row if it fits its MAC. Otherwise it is to be taken for absent.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] for a database that was opened without a key.
    pub fn checked(self, tx: &Tx<'_>) -> Result<Option<R>> {
        if key(tx)?.fits(&covered(&self.row), &self.mac) {
            return Ok(Some(self.row));
        }
        refused(R::TABLE);
        Ok(None)
    }
}

/// Returns those of `rows` that fit their MACs.
///
/// # Errors
///
/// As [`Stored::checked`].
pub fn checked<R: Authentic>(tx: &Tx<'_>, rows: Vec<Stored<R>>) -> Result<Vec<R>> {
    rows.into_iter().filter_map(|row| row.checked(tx).transpose()).collect()
}

/// Returns `rows` if all of them fit their MACs, for a decision where one that is taken for absent would allow or end
/// something. `id` returns the id by which the operator finds a row that does not fit.
///
/// # Errors
///
/// [`Error::Damaged`] for the first that does not fit; those of [`Stored::checked`].
pub fn all_checked<R: Authentic>(tx: &Tx<'_>, rows: Vec<Stored<R>>, id: impl Fn(&R) -> Uuid) -> Result<Vec<R>> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let damaged = Error::Damaged(R::TABLE, id(&row.row));
        all.push(row.checked(tx)?.ok_or(damaged)?);
    }
    Ok(all)
}

/// One result of a statement that lists rows: a [`Stored`] row, alone or as the first value of a tuple. Its columns say
/// where the result stands in the list.
pub trait Unchecked {
    /// The type of the row.
    type Row: Authentic;

    /// Returns the row, not checked yet.
    fn stored(&self) -> &Stored<Self::Row>;
}

impl<R: Authentic> Unchecked for Stored<R> {
    type Row = R;

    fn stored(&self) -> &Self {
        self
    }
}
impl<R: Authentic, B> Unchecked for (Stored<R>, B) {
    type Row = R;

    fn stored(&self) -> &Stored<R> {
        &self.0
    }
}
impl<R: Authentic, B, C> Unchecked for (Stored<R>, B, C) {
    type Row = R;

    fn stored(&self) -> &Stored<R> {
        &self.0
    }
}

/// The fewest rows that are asked for behind a page that lacks some: where one is damaged, many may be.
const AT_LEAST: i64 = 200;

/// Returns the next `most` rows after `after` that pass `check`, or all that there are. Mostly that is one statement;
/// where rows are taken for absent, more are read behind the last one. `read` lists the rows behind a place, in order
/// and at most so many. `place` returns the place of a row that is not checked yet: it says only where to read on.
///
/// # Errors
///
/// Those of `read` and `check`; [`Error::Internal`] when `read` comes to the same place again.
pub fn checked_page<F: Unchecked, K: Copy + PartialEq, T>(
    tx: &mut Tx<'_>,
    (mut after, most): (Option<K>, i64),
    read: impl Fn(&mut Tx<'_>, Option<K>, i64) -> Result<Vec<F>>,
    place: impl Fn(&F::Row) -> K,
    check: impl Fn(&Tx<'_>, Vec<F>) -> Result<Vec<T>>,
) -> Result<Vec<T>> {
    let room = usize::try_from(most).unwrap_or(usize::MAX);
    let (mut page, mut asked) = (Vec::new(), most);
    loop {
        let found = read(tx, after, asked)?;
        let is_last = i64::try_from(found.len()).is_ok_and(|rows| rows < asked);
        let last = found.last().map(|row| place(&row.stored().row));
        page.extend(check(tx, found)?);
        if is_last || page.len() >= room {
            page.truncate(room);
            return Ok(page);
        }
        if last == after {
            return Err(Error::internal("a list does not go on behind its last row"));
        }
        (after, asked) = (last, most.max(AT_LEAST));
    }
}

/// Computes the MAC of a row that is about to be written.
///
/// # Errors
///
/// [`Error::Internal`] for a database that was opened without a key.
pub fn row_mac<R: Authentic>(tx: &Tx<'_>, row: &R) -> Result<Vec<u8>> {
    Ok(key(tx)?.mac(&covered(row)))
}

/// Tells that a row was refused, because it does not fit its MAC or a sealed column that decides does not open.
pub fn refused(table: &'static str) {
    tracing::warn!(table, "a row that decides on access was changed from outside; it is taken for absent");
    metrics::counter!("afterglow_rows_refused_total", "table" => table).increment(1);
}

fn key<'t>(tx: &'t Tx<'_>) -> Result<&'t RowKey> {
    tx.row_key().ok_or_else(|| Error::internal("this database was opened without the key of its rows"))
}

fn covered<R: Authentic>(row: &R) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(384);
    R::LABEL.cover(&mut bytes);
    row.cover(&mut bytes);
    bytes
}

/// A value of a column that a MAC covers. The type of a column is fixed, so it is not among the bytes.
pub trait Covered {
    /// Appends the value: of fixed length, or with its length before it.
    fn cover(&self, bytes: &mut Vec<u8>);
}

impl<K> Covered for Id<K> {
    fn cover(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.uuid().as_bytes());
    }
}
impl Covered for At {
    fn cover(&self, bytes: &mut Vec<u8>) {
        self.0.as_microsecond().cover(bytes);
    }
}
impl Covered for bool {
    fn cover(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(*self));
    }
}
impl Covered for i32 {
    fn cover(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_be_bytes());
    }
}
impl Covered for i64 {
    fn cover(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_be_bytes());
    }
}
impl Covered for [u8] {
    fn cover(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&u64::try_from(self.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(self);
    }
}
impl Covered for Vec<u8> {
    fn cover(&self, bytes: &mut Vec<u8>) {
        self.as_slice().cover(bytes);
    }
}
impl Covered for str {
    fn cover(&self, bytes: &mut Vec<u8>) {
        self.as_bytes().cover(bytes);
    }
}
impl Covered for String {
    fn cover(&self, bytes: &mut Vec<u8>) {
        self.as_str().cover(bytes);
    }
}
impl<T: Covered> Covered for Option<T> {
    fn cover(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.cover(bytes);
        }
    }
}

/// Declares the row of a table that decides who gets in, with the columns that its MAC covers. The table has a column
/// `mac`.
///
/// ```text
/// authentic! {
///     /// A membership.
///     pub struct MemberRow of staff_members {
///         /// The clinic.
///         clinic_id: Id<Clinic>,
///     }
/// }
/// ```
///
/// Columns that a later migration adds stand in a block of their own, `} later { … }`, and may be null: those that are
/// null are not covered, so that the MACs of older rows hold.
///
/// Queries select `columns::<Stored<MemberRow>>()`. Inserts and updates are given `row.signed(tx)?`, with the values of
/// uncovered columns beside it.
#[macro_export]
macro_rules! authentic {
    ($(#[$doc:meta])* $vis:vis struct $name:ident of $table:ident {
        $($(#[$column_doc:meta])* $column:ident: $type:ty,)+
    } $(later {
        $($(#[$later_doc:meta])* $later:ident: $later_type:ty,)+
    })?) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        $vis struct $name {
            $($(#[$column_doc])* pub $column: $type,)+
            $($($(#[$later_doc])* pub $later: $later_type,)+)?
        }

        const _: () = {
            use diesel::backend::Backend;
            use diesel::deserialize::{FromStaticSqlRow, Queryable, Result as Built};
            use $crate::db::authentic::{Authentic, Covered, Stored, row_mac};
            use $crate::db::schema::$table;

            impl Authentic for $name {
                const TABLE: &'static str = stringify!($table);
                const LABEL: &'static str = concat!(stringify!($table), $(" ", stringify!($column)),+);

                fn cover(&self, bytes: &mut Vec<u8>) {
                    $(self.$column.cover(bytes);)+
                    $($(if self.$later.is_some() {
                        stringify!($later).cover(bytes);
                        self.$later.cover(bytes);
                    })+)?
                }
            }

            impl<DB: Backend> diesel::Selectable<DB> for Stored<$name> {
                type SelectExpression = ($($table::$column,)+ $($($table::$later,)+)? $table::mac);

                fn construct_selection() -> Self::SelectExpression {
                    ($($table::$column,)+ $($($table::$later,)+)? $table::mac)
                }
            }

            impl<DB: Backend, ST> Queryable<ST, DB> for Stored<$name>
            where
                ($($type,)+ $($($later_type,)+)? Vec<u8>): FromStaticSqlRow<ST, DB>,
            {
                type Row = ($($type,)+ $($($later_type,)+)? Vec<u8>);

                fn build(($($column,)+ $($($later,)+)? mac): Self::Row) -> Built<Self> {
                    Ok(Self::new($name { $($column,)+ $($($later,)+)? }, mac))
                }
            }

            type Values = (
                $(diesel::dsl::Eq<$table::$column, $type>,)+
                $($(diesel::dsl::Eq<$table::$later, $later_type>,)+)?
                diesel::dsl::Eq<$table::mac, Vec<u8>>,
            );

            impl $name {
                /// Returns the values of the covered columns with their MAC, to insert or to update them all.
                ///
                /// # Errors
                ///
                /// For a database that was opened without the key of its rows.
                $vis fn signed(&self, tx: &$crate::db::Tx<'_>) -> $crate::kernel::Result<Values> {
                    use diesel::ExpressionMethods as _;
                    let mac = row_mac(tx, self)?;
                    Ok((
                        $($table::$column.eq(self.$column.clone()),)+
                        $($($table::$later.eq(self.$later.clone()),)+)?
                        $table::mac.eq(mac),
                    ))
                }
            }
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_contents_give_the_same_bytes() {
        let bytes = |columns: &[&dyn Covered]| {
            let mut bytes = Vec::new();
            for column in columns {
                column.cover(&mut bytes);
            }
            bytes
        };
        let text = |text: &str| text.to_owned();
        let all = [
            bytes(&[&text("ab"), &text("c")]),
            bytes(&[&text("a"), &text("bc")]),
            bytes(&[&text(""), &text("abc")]),
            bytes(&[&None::<String>, &text("abc")]),
            bytes(&[&Some(text("")), &text("abc")]),
            bytes(&[&None::<i32>, &Some(0)]),
            bytes(&[&Some(0), &None::<i32>]),
            bytes(&[&Some(0_i64), &None::<i32>]),
        ];
        for (n, one) in all.iter().enumerate() {
            assert!(all.iter().skip(n + 1).all(|other| other != one), "{n}");
        }
    }
}
