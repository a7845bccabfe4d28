//! Pages of a list.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Error, FieldError, Id, Result};

/// The stored bytes after which a page ends, with one item at least.
pub const BYTES: usize = 1024 * 1024;

/// The size of a row of ids, numbers and instants, of which the largest page is small.
pub const SMALL: usize = 512;

/// The number of items of a page: 1 to 200, 20 unless asked otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// The largest page.
    pub const MAX: u16 = 200;

    /// Takes the limit that a client asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] outside 1 to 200.
    pub fn parse(asked: Option<i64>) -> Result<Self> {
        match asked.map(u16::try_from) {
            None => Ok(Self(20)),
            Some(Ok(n @ 1..=Self::MAX)) => Ok(Self(n)),
            Some(_) => Err(Error::Invalid(vec![FieldError {
                pointer: "query/limit".to_owned(),
                detail: format!("must be between 1 and {}", Self::MAX),
            }])),
        }
    }

    /// Returns the number of items.
    pub fn items(self) -> usize {
        usize::from(self.0)
    }

    /// Returns the number of rows to ask for: one more than a page, to see whether there is another.
    pub fn rows(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

/// One page of a list, and the start of the next one.
#[derive(Clone, Debug)]
pub struct Page<T, C> {
    /// The items, in order.
    pub items: Vec<T>,
    /// The start of the next page; `None` at the end.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// Cuts `rows` as [`PageRequest::cut`] does.
    fn cut(mut rows: Vec<T>, limit: Limit, size: impl Fn(&T) -> usize, key: impl Fn(&T) -> C) -> Self {
        let mut bytes = 0_usize;
        let mut fits = |row: &T| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(size(row).max(1));
            first || bytes <= BYTES
        };
        let room = rows.iter().take(limit.items()).take_while(|row| fits(row)).count();
        let more = rows.len() > room;
        rows.truncate(room);
        let next = if more { rows.last().map(key) } else { None };
        Self { items: rows, next }
    }

    /// Replaces each item by its `view`.
    ///
    /// # Errors
    ///
    /// The errors of `view`.
    pub fn try_map<V>(self, view: impl FnMut(T) -> Result<V>) -> Result<Page<V, C>> {
        let items = self.items.into_iter().map(view).collect::<Result<_>>()?;
        Ok(Page { items, next: self.next })
    }
}

/// A place in the order of a list, kept in a cursor.
pub trait CursorKey: Sized {
    /// Returns the bytes to seal.
    fn to_bytes(&self) -> Vec<u8>;
    /// Reads the place from the bytes of an opened cursor; `None` when they are not one.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

impl<K> CursorKey for Id<K> {
    fn to_bytes(&self) -> Vec<u8> {
        self.uuid().as_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice(bytes).ok().map(Self::from_uuid)
    }
}

impl CursorKey for i64 {
    fn to_bytes(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_be_bytes)
    }
}

impl<K> CursorKey for (Timestamp, Id<K>) {
    fn to_bytes(&self) -> Vec<u8> {
        [self.0.as_microsecond().to_bytes(), self.1.to_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (at, id) = bytes.split_at_checked(8)?;
        Some((Timestamp::from_microsecond(i64::from_bytes(at)?).ok()?, Id::from_bytes(id)?))
    }
}

/// The request for a page of a list, with its cursor opened.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest<K> {
    /// The number of items.
    pub limit: Limit,
    /// The end of the page before.
    pub after: Option<K>,
}

impl<K> PageRequest<K> {
    /// Returns the number of rows to ask for.
    pub fn rows(&self) -> i64 {
        self.limit.rows()
    }

    /// Cuts `rows` (asked for with [`Self::rows`]) to a page, which ends before the row that is one too many or with
    /// which it would have more than [`BYTES`]; the first row of a page may be of any size. `size` returns the stored
    /// bytes of a row, [`SMALL`] for one that holds no text; `key` returns its place in the order.
    pub fn cut<T>(&self, rows: Vec<T>, size: impl Fn(&T) -> usize, key: impl Fn(&T) -> K) -> Page<T, K> {
        Page::cut(rows, self.limit, size, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_at_its_limit_or_its_bytes_and_is_never_empty() {
        let cut = |sizes: &[usize]| {
            let asked = PageRequest { limit: Limit(3), after: None };
            let page = asked.cut(sizes.iter().copied().enumerate().collect(), |row| row.1, |row| row.0);
            (page.items.len(), page.next)
        };
        assert_eq!(cut(&[]), (0, None));
        assert_eq!(cut(&[1, 1, 1]), (3, None));
        assert_eq!(cut(&[1, 1, 1, 1]), (3, Some(2)));
        assert_eq!(cut(&[BYTES / 2, BYTES / 2]), (2, None));
        assert_eq!(cut(&[BYTES / 2, BYTES / 2, 1]), (2, Some(1)));
        assert_eq!(cut(&[2 * BYTES]), (1, None));
        assert_eq!(cut(&[2 * BYTES, 1]), (1, Some(0)));
        assert_eq!(cut(&[0, 2 * BYTES]), (1, Some(0)));
    }
}
