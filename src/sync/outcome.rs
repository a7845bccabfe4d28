//! What came of a mutation.

use super::kinds::Held;
use super::mutation::Kept;
use crate::care::{Access, Write};
use crate::changes::{self, Entity};
use crate::db::Tx;
use crate::kernel::id::Any;
use crate::kernel::{Error, FieldError, Id, Result};

/// A thing of an answer, still sealed, with the number of its change.
pub type Numbered = (i64, Held);

/// What came of a mutation.
#[derive(Debug)]
pub enum Done {
    /// It was stored, now or before.
    Stored {
        /// Whether it was done before.
        replayed: bool,
        /// What is remembered.
        kept: Kept,
        /// The thing, if it is not what was sent.
        item: Option<Numbered>,
        /// The draft that holds what was in conflict.
        sibling: Option<Numbered>,
        /// Why it is not what was sent, if that has a name.
        code: Option<&'static str>,
        /// What was left out.
        warnings: Vec<FieldError>,
    },
    /// Nothing was stored: both sides changed these sections.
    Conflict {
        /// The sections.
        sections: Vec<&'static str>,
        /// The thing as it is; `None` if there is none.
        current: Option<Numbered>,
    },
    /// Nothing was stored, and nothing will be.
    Rejected(Error),
}

/// Returns the number of the change that brought a thing to `version`; 0 if there is none.
pub(super) fn number(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    entity: Entity,
    (id, version): (Id<Any>, i64),
) -> Result<i64> {
    Ok(changes::number_of(tx, access.patient(), entity, id, version)?.unwrap_or(0))
}
