//! Pages of a list.

use super::{Error, Result};
use crate::kernel::fields::FieldError;

/// How many items a page holds: 1 to 200, 20 unless asked otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// The largest page.
    pub const MAX: u16 = 200;

    /// The limit a client asked for.
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

    /// The number of items.
    pub fn items(self) -> usize {
        usize::from(self.0)
    }

    /// The number of rows to ask for: one more than a page, to see whether there is another.
    pub fn rows(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

/// One page of a list and where the next one starts.
#[derive(Clone, Debug)]
pub struct Page<T, C> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// Cuts `rows` (asked for with [`Limit::rows`]) to a page; `key` names the place of an item in the order.
    pub fn cut(mut rows: Vec<T>, limit: Limit, key: impl Fn(&T) -> C) -> Self {
        let more = rows.len() > limit.items();
        rows.truncate(limit.items());
        let next = if more { rows.last().map(key) } else { None };
        Self { items: rows, next }
    }
}
