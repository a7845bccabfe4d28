//! Idempotency keys, and the results kept under them.

use uuid::Uuid;

use crate::kernel::{Error, Id, Result};

/// The key and the fingerprint of a request.
#[derive(Clone, Debug)]
pub struct IdempotentRequest {
    /// A keyed hash of the `Idempotency-Key`; `None` when the client sent none.
    pub key: Option<[u8; 32]>,
    /// A keyed hash of method, path and body.
    pub fingerprint: [u8; 32],
    /// The outcome that it probably has, to be kept before the work is done: mostly the row is then written once.
    pub probable: Option<RecordedOutcome>,
}

impl IdempotentRequest {
    /// A request without a key.
    pub const fn none() -> Self {
        Self { key: None, fingerprint: [0; 32], probable: None }
    }
}

/// The recorded outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedOutcome {
    /// The status it was answered with.
    pub status: u16,
    /// The thing it made or changed.
    pub reference: Option<Uuid>,
}

impl RecordedOutcome {
    /// 201: it was made.
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

/// The outcome of a change, and the thing as it is then. A replay has no value: the thing is read again, as far as the
/// caller may see it.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<T> {
    /// The outcome that is kept under the key.
    pub done: RecordedOutcome,
    /// The thing, if this unit made or changed it.
    pub value: Option<T>,
    /// Whether it was done before under the same key, and not again.
    pub replayed: bool,
}

impl<T> Outcome<T> {
    /// Returns an outcome of this unit, whose value may have to be read again.
    pub const fn new(done: RecordedOutcome, value: Option<T>) -> Self {
        Self { done, value, replayed: false }
    }

    /// Returns the recorded outcome of an earlier request.
    pub(super) const fn replay(done: RecordedOutcome) -> Self {
        Self { done, value: None, replayed: true }
    }

    /// Whether this unit made the thing.
    pub const fn is_new(&self) -> bool {
        !self.replayed && self.done.status == 201
    }

    /// Returns 201: it was made.
    pub fn created<K>(id: Id<K>, value: T) -> Self {
        Self::new(RecordedOutcome::created(id.uuid()), Some(value))
    }

    /// Returns 200: it is as asked.
    pub fn ok<K>(id: Id<K>, value: T) -> Self {
        Self::new(RecordedOutcome::ok(id.uuid()), Some(value))
    }

    /// Returns 204: nothing to show.
    pub const fn no_content(value: T) -> Self {
        Self::new(RecordedOutcome::no_content(), Some(value))
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

    /// Returns the thing as the unit left it, or, for a replay, as `read` finds it, if there is only one.
    ///
    /// # Errors
    ///
    /// The errors of `read`.
    pub fn or_read(self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        self.value.map_or_else(read, Ok)
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
    /// It was done before: render this again.
    Completed(RecordedOutcome),
}
