//! What came of a mutation.

use super::kinds::{self, Held};
use super::model::Kind;
use super::mutation::{Act, Came, Kept, Mutation};
use super::store;
use crate::care::{Access, Write};
use crate::changes::{self, Entity};
use crate::db::Tx;
use crate::kernel::id::Any;
use crate::kernel::{Error, FieldError, Id, Result};
use crate::sharing::Terms;
use crate::vault::Vault;

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
    /// Nothing was stored: both sides changed these sections, or something stands against it.
    Conflict {
        /// The sections.
        sections: Vec<&'static str>,
        /// The thing as it is; `None` if there is none.
        current: Option<Numbered>,
        /// What stands against it, if that has a name.
        code: Option<&'static str>,
    },
    /// Nothing was stored, and nothing will be.
    Rejected(Error),
}

/// What a server gives to those who do mutations.
#[derive(Clone, Debug)]
pub struct Means {
    /// The vault.
    pub vault: Vault,
    /// What the server asks of new grants.
    pub sharing: Terms,
    /// Whether others wait while a unit writes.
    pub one_writer: bool,
}

/// How phones write things of a kind. Every part is needed of each kind that they write.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// The members, or members of `fields`, that can be in conflict.
    pub conflicts: &'static [&'static str],
    /// Whether it has an act of that name.
    pub takes: fn(Act) -> bool,
    /// Does a mutation through the use cases of the kind.
    pub apply: fn(&mut Tx<'_>, &Access<Write>, &Means, &Mutation) -> Result<Done>,
    /// Finds a thing as a mutation left it, by id and version, for the answer to the same mutation sent again; as it is
    /// now if the kind has no history.
    pub at: fn(&mut Tx<'_>, &Access<Write>, Id<Any>, i64) -> Result<Option<Numbered>>,
}

impl Done {
    /// Makes the result of a mutation after which a thing is in `version`. What is exactly what was sent needs no item.
    pub fn stored((id, version): (Id<Any>, i64), item: Option<Numbered>) -> Self {
        let kept = Kept { merged: item.is_some(), item: id, version, sibling: None };
        Self::Stored { replayed: false, kept, item, sibling: None, code: None, warnings: Vec::new() }
    }

    /// Makes the result of a mutation that changed the same sections as somebody else; without sections, the thing is
    /// not there.
    pub fn conflict(sections: Vec<&'static str>, current: Option<Numbered>) -> Self {
        let code = (!sections.is_empty()).then_some("section_changed");
        Self::Conflict { sections, current, code }
    }

    /// Returns what is remembered of a mutation. A decision that was refused (a share, a comment) is refused for good.
    /// An item may be sent again when it can be stored, and what ends a share is tried whenever it comes.
    pub fn came(&self, mutation: &Mutation) -> Option<Came> {
        match (self, mutation.kind, mutation.act) {
            (Self::Stored { kept, .. }, ..) => Some(Came::Stored(*kept)),
            (Self::Conflict { code, .. }, ..) => Some(Came::Conflict(*code)),
            (Self::Rejected(_), Kind::Entry | Kind::ExerciseResponse, _)
            | (Self::Rejected(_), Kind::Grant, Act::Delete) => None,
            (Self::Rejected(error), ..) => Some(Came::Refused(error.code())).filter(store::is_remembered),
        }
    }

    /// Returns the result of a mutation whose texts were mended before it was done: the thing is not what was sent.
    ///
    /// # Errors
    ///
    /// When the thing cannot be read.
    pub fn mended(self, faults: &[FieldError], find: impl FnOnce(Id<Any>) -> Result<Option<Numbered>>) -> Result<Self> {
        let Self::Stored { replayed, kept, item, sibling, code, warnings } = self else { return Ok(self) };
        let item = if item.is_some() { item } else { find(kept.item)? };
        let (kept, warnings) = (Kept { merged: true, ..kept }, [faults, &warnings].concat());
        Ok(Self::Stored { replayed, kept, item, sibling, code, warnings })
    }

    /// Returns the result of a stored mutation with the name of the reason why it is not what was sent, and with what
    /// was left out.
    #[must_use]
    pub fn warned(self, code: Option<&'static str>, warnings: Vec<FieldError>) -> Self {
        match self {
            Self::Stored { replayed, kept, item, sibling, .. } => {
                Self::Stored { replayed, kept, item, sibling, code, warnings }
            }
            other => other,
        }
    }
}

/// Finds a thing as it is now.
pub(super) fn find(tx: &mut Tx<'_>, access: &Access<Write>, kind: Kind, id: Id<Any>) -> Result<Option<Numbered>> {
    let Some(held) = kinds::find(tx, access, kind, &[id])?.pop() else { return Ok(None) };
    Ok(Some((number(tx, access, kind.entity(), (id, held.version))?, held)))
}

/// Returns the version with which a thing began; `None` if no change is known of it.
pub(super) fn first_version(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    entity: Entity,
    id: Id<Any>,
) -> Result<Option<i64>> {
    let first = changes::list_of(tx, access.patient(), entity, id, 0, 1)?;
    Ok(first.first().map(|change| change.version))
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
