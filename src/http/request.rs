//! The request for a change.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::canonical::canonical;
use super::idempotency_key::HEADER;
use super::{Body, IdempotencyKey, MaybeBody, Patch, Patchable, PathOf, Preconditions, Reply};
use crate::kernel::{Error, Fields, Id, Result};

/// The request for a change: the id in its address, preconditions, body and idempotency key.
///
/// Extraction never fails. [`Request::into_command`] tells the faults of the parts. It is called once the caller has
/// access: a stranger learns nothing from the faults of a form.
///
/// `I` is read by [`PathOf`], `B` is a [`RequestBody`].
#[derive(Debug)]
pub struct Request<I = (), B = ()> {
    id: Result<I>,
    when: Result<Preconditions>,
    key: Result<IdempotencyKey>,
    body: Result<B>,
    /// The canonical form of the body; empty in a request without a key.
    canonical: Vec<u8>,
    path: String,
}

/// A well-formed request for a change.
#[derive(Clone, Debug)]
pub struct Command<I = (), B = ()> {
    /// The id in the address.
    pub id: I,
    /// The preconditions.
    pub when: Preconditions,
    /// The body.
    pub body: B,
}

impl<I, B> Request<I, B> {
    /// Makes a request that did not come over HTTP, without preconditions and without a key.
    pub fn internal(id: I, body: B) -> Self {
        let (when, key) = (Ok(Preconditions::none()), Ok(IdempotencyKey::none()));
        Self { id: Ok(id), when, key, body: Ok(body), canonical: Vec::new(), path: String::new() }
    }

    /// Returns the id in the address, if it is well-formed, to fetch things before the unit.
    pub fn id(&self) -> Option<&I> {
        self.id.as_ref().ok()
    }

    /// Replaces the body by the result of `make`, before the unit: for work that needs keys or takes time.
    pub async fn prepare<C>(self, make: impl AsyncFnOnce(Command<I, B>) -> Result<C>) -> Request<(), C> {
        let Self { id, when, key, body, canonical, path } = self;
        let unkeyed = Ok(IdempotencyKey::none());
        let asked = Self { id, when, key: unkeyed, body, canonical: Vec::new(), path: String::new() };
        let body = match asked.into_command() {
            Ok(command) => make(command).await,
            Err(fault) => Err(fault),
        };
        Request { id: Ok(()), when: Ok(Preconditions::none()), key, body, canonical, path }
    }

    /// Returns the path of the request, which is the location of an object it creates.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the idempotency key and the canonical form of the body, for the fingerprint; nothing without a key.
    ///
    /// # Errors
    ///
    /// 422 for a malformed key.
    pub fn key(&self) -> Result<Option<(&IdempotencyKey, &[u8])>> {
        let key = self.key.as_ref().map_err(Error::again)?;
        Ok(key.key().is_some().then_some((key, self.canonical.as_slice())))
    }

    /// Returns the well-formed command.
    ///
    /// # Errors
    ///
    /// Every fault of its fields at once; an unreadable body before these.
    pub fn into_command(self) -> Result<Command<I, B>> {
        let mut fields = Fields::new();
        let (id, when, body) = (fields.part(self.id)?, fields.part(self.when)?, fields.part(self.body)?);
        let command = id.zip(when).zip(body).map(|((id, when), body)| Command { id, when, body });
        fields.finish(command)
    }
}

/// The body of a change.
pub trait RequestBody: Sized + 'static {
    /// Reads the body and, for a request with an idempotency key, makes its canonical form.
    fn read(request: &HttpRequest, payload: &mut Payload) -> Reading<Self>;
}

/// A body that is being read, with its canonical form, by which a retry is recognised.
pub type Reading<B> = Pin<Box<dyn Future<Output = (Result<B>, Vec<u8>)>>>;

impl RequestBody for () {
    fn read(_: &HttpRequest, _: &mut Payload) -> Reading<Self> {
        Box::pin(std::future::ready((Ok(()), Vec::new())))
    }
}

macro_rules! content {
    ($(<$($of:ident),*> $body:ty;)*) => { $(
        impl<T: DeserializeOwned + ToSchema + Send + 'static, $(const $of: usize),*> RequestBody for $body {
            fn read(request: &HttpRequest, payload: &mut Payload) -> Reading<Self> {
                let keyed = request.headers().contains_key(HEADER);
                // Made of the parsed document: a second parsing was seen in the profile.
                let derive = move |document| if keyed { canonical::<T>(document, false) } else { Vec::new() };
                let body = Self::read_with(request, payload, derive);
                Box::pin(async move {
                    match body.await {
                        Ok((body, canonical)) => (Ok(body), canonical),
                        // An unreadable body counts as an empty one.
                        Err(error) => (Err(error), b"{}".to_vec()),
                    }
                })
            }
        }
    )* };
}
content! { <MOST> Body<T, MOST>; <> MaybeBody<T>; }

impl<T: Patchable> RequestBody for Patch<T> {
    fn read(request: &HttpRequest, payload: &mut Payload) -> Reading<Self> {
        let keyed = request.headers().contains_key(HEADER);
        let derive = move |patch: &Value| if keyed { canonical::<T>(patch.clone(), true) } else { Vec::new() };
        let body = Self::read_with(request, payload, derive);
        Box::pin(async move {
            match body.await {
                Ok((body, canonical)) => (Ok(body), canonical),
                Err(error) => (Err(error), Vec::new()),
            }
        })
    }
}

impl<I: DeserializeOwned + 'static, B: RequestBody> FromRequest for Request<I, B> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let id = PathOf::from_request(request, payload).into_inner().map(PathOf::into_inner);
        let when = Preconditions::from_request(request, payload).into_inner();
        let key = IdempotencyKey::from_request(request, payload).into_inner();
        let body = B::read(request, payload);
        let path = request.path().to_owned();
        Box::pin(async move {
            let (body, canonical) = body.await;
            Ok(Self { id, when, key, body, canonical, path })
        })
    }
}

/// The id of an object that a client creates: a UUID of version 4 or 7 made by the client.
#[derive(Debug)]
pub struct NewId<K>(pub Id<K>);

impl<K> Clone for NewId<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for NewId<K> {}

impl<'de, K> Deserialize<'de> for NewId<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let id = Id::deserialize(from)?;
        if id.is_of_client() { Ok(Self(id)) } else { Err(serde::de::Error::custom("must be a UUID of version 4 or 7")) }
    }
}

/// The answer to a change, before it is rendered.
#[derive(Debug)]
pub struct ChangeResult<V> {
    origin: Origin,
    value: V,
}

/// The parts of an answer that do not hang on its value.
#[derive(Debug)]
#[must_use]
pub struct Origin {
    created: bool,
    replayed: bool,
    path: String,
}

impl<V> ChangeResult<V> {
    /// Makes the answer to a request for `path`: whether the object is new, whether the request was done before under
    /// its idempotency key, and the value that the unit returned.
    pub fn new(path: String, created: bool, replayed: bool, value: V) -> Self {
        Self { origin: Origin { created, replayed, path }, value }
    }

    /// Whether this request has made the object, and not an earlier one with its idempotency key.
    pub fn is_new(&self) -> bool {
        self.origin.created && !self.origin.replayed
    }

    /// Returns the value for a caller that sends no reply.
    pub fn into_value(self) -> V {
        self.value
    }

    /// Returns the parts, for a view that takes time to make; [`Origin::reply`] finishes it.
    pub fn into_parts(self) -> (Origin, V) {
        (self.origin, self.value)
    }

    /// Renders the value by `view`, as [`Origin::reply`] says.
    ///
    /// # Errors
    ///
    /// The errors of `view`.
    pub fn reply(self, view: impl FnOnce(V) -> Result<Reply>) -> Result<Reply> {
        Ok(self.origin.reply(view(self.value)?))
    }
}

impl Origin {
    /// Makes `reply` a 201 with the location if the object is new, and says whether the request was done before.
    pub fn reply(self, reply: Reply) -> Reply {
        reply.created_if(self.created, &self.path).replayed_if(self.replayed)
    }

    /// As [`Origin::reply`], for an object whose address is not that of the request.
    pub fn reply_at(self, reply: Reply, location: &str) -> Reply {
        Self { path: location.to_owned(), ..self }.reply(reply)
    }
}
