//! Idempotency keys, and the results kept under them.

use uuid::Uuid;

use crate::kernel::{Error, Id, Result};

/// The key and the fingerprint of a request.
#[derive(Clone, Debug)]
pub struct Once {
    /// A keyed hash of the `Idempotency-Key`; `None` when the client sent none.
    pub key: Option<[u8; 32]>,
    /// A keyed hash of method, path and body.
    pub fingerprint: [u8; 32],
}

impl Once {
    /// Returns a request without a key.
    pub const fn none() -> Self {
        Self { key: None, fingerprint: [0; 32] }
    }
}

/// The result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The status of the answer.
    pub status: u16,
    /// The thing it made or changed.
    pub reference: Option<Uuid>,
}

impl Done {
    /// Returns 201: it was made.
    pub const fn created(reference: Uuid) -> Self {
        Self { status: 201, reference: Some(reference) }
    }

    /// Returns 200: it is as asked.
    pub const fn ok(reference: Uuid) -> Self {
        Self { status: 200, reference: Some(reference) }
    }

    /// Returns 204: nothing to show.
    pub const fn no_content() -> Self {
        Self { status: 204, reference: None }
    }
}

/// The result of a change, with the thing as it is then. A replay has no value: the thing is read again for what the
/// caller may see.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<T> {
    /// The result kept under the key.
    pub done: Done,
    /// The thing, if this unit made or changed it.
    pub value: Option<T>,
}

impl<T> Outcome<T> {
    /// Returns 201: it was made.
    pub fn created<K>(id: Id<K>, value: T) -> Self {
        Self { done: Done::created(id.uuid()), value: Some(value) }
    }

    /// Returns 200: it is as asked.
    pub fn ok<K>(id: Id<K>, value: T) -> Self {
        Self { done: Done::ok(id.uuid()), value: Some(value) }
    }

    /// Returns 204: nothing to show.
    pub const fn no_content(value: T) -> Self {
        Self { done: Done::no_content(), value: Some(value) }
    }

    /// Returns the thing as the unit left it, or, for a replay, as `get` finds it by its id.
    ///
    /// # Errors
    ///
    /// The errors of `get`.
    pub fn or_get<K>(self, get: impl FnOnce(Id<K>) -> Result<T>) -> Result<T> {
        let id = self.id();
        self.value.map_or_else(|| get(id?), Ok)
    }

    /// Returns the id of the thing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is none.
    pub fn id<K>(&self) -> Result<Id<K>> {
        self.done.reference.map(Id::from_uuid).ok_or(Error::NotFound)
    }
}

/// The result of a claim.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claim {
    /// The key is new: do the work, then settle.
    Fresh,
    /// The request was done before: render this result again.
    Done(Done),
}
