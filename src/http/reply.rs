//! The replies of handlers.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, Responder};
use serde::Serialize;

use super::body::Warnings;
use super::compression::OwnWords;
use super::precondition::{EntityTag, Preconditions};
use super::problem::{self, ProblemField};
use crate::kernel::{Error, FieldError};

/// The capacity of a reply in which most fit.
const USUAL: usize = 4096;

/// A reply in JSON or another text, or one without a body. Unless said otherwise, shared caches do not keep it and private ones ask again.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    cache: &'static str,
    own_words: bool,
    media_type: &'static str,
    body: Result<Vec<u8>, Error>,
}

/// The media type of a view.
const JSON: &str = "application/json";

impl Reply {
    /// Makes a 200 with a view.
    pub fn ok<T: Serialize + ?Sized>(view: &T) -> Self {
        Self::long(view, USUAL)
    }

    /// Makes a 200 with a view that takes about `room` bytes. A buffer that grows copies what it holds, and the memory
    /// that it leaves is wiped.
    pub fn long<T: Serialize + ?Sized>(view: &T, room: usize) -> Self {
        let mut body = Vec::with_capacity(room.max(USUAL));
        let body = serde_json::to_writer(&mut body, view)
            .map(|()| body)
            .map_err(|error| Error::internal(format!("a view cannot be written: {error}")));
        Self::of(StatusCode::OK, JSON, body)
    }

    /// Makes a 200 with a text of this media type.
    pub fn text(media_type: &'static str, text: String) -> Self {
        Self::of(StatusCode::OK, media_type, Ok(text.into_bytes()))
    }

    fn of(status: StatusCode, media_type: &'static str, body: Result<Vec<u8>, Error>) -> Self {
        Self { status, headers: Vec::new(), cache: "private, no-cache", own_words: false, media_type, body }
    }

    /// Makes a 204.
    pub fn no_content() -> Self {
        Self::of(StatusCode::NO_CONTENT, JSON, Ok(Vec::new()))
    }

    /// Makes it a 201 with the location of the new object.
    #[must_use]
    pub fn created(mut self, location: &str) -> Self {
        self.status = StatusCode::CREATED;
        self.header(header::LOCATION, location)
    }

    /// Makes it a 201 with the location if the object is new.
    #[must_use]
    pub fn created_if(self, new: bool, location: &str) -> Self {
        if new { self.created(location) } else { self }
    }

    /// Says that the request was done before under its idempotency key, and not again.
    #[must_use]
    pub fn replayed_if(self, replayed: bool) -> Self {
        if replayed { self.header(HeaderName::from_static("idempotent-replayed"), "true") } else { self }
    }

    /// Makes it a 202.
    #[must_use]
    pub fn accepted(mut self) -> Self {
        self.status = StatusCode::ACCEPTED;
        self
    }

    /// Adds the tag of the state shown.
    #[must_use]
    pub fn etag(self, tag: &EntityTag) -> Self {
        self.header(header::ETAG, &tag.to_string())
    }

    /// Adds the tag of the state shown, and makes it a 304 without a body if the reader has that state.
    #[must_use]
    pub fn unless_known(mut self, tag: &EntityTag, preconditions: &Preconditions) -> Self {
        if self.body.is_ok() && preconditions.not_modified(tag) {
            self.status = StatusCode::NOT_MODIFIED;
            self.body = Ok(Vec::new());
            // The other headers are of the body that is not sent.
            self.headers.clear();
        }
        self.etag(tag)
    }

    /// As [`Self::unless_known`], with the tag that `tag` makes of the bytes of the body.
    #[must_use]
    pub fn unless_shown(self, tag: impl FnOnce(&[u8]) -> EntityTag, preconditions: &Preconditions) -> Self {
        let Ok(body) = &self.body else { return self };
        let tag = tag(body);
        self.unless_known(&tag, preconditions)
    }

    /// Adds a `Link`, if there is one.
    #[must_use]
    pub fn link(self, link: Option<&str>) -> Self {
        match link {
            Some(link) => self.header(header::LINK, link),
            None => self,
        }
    }

    /// Adds the ignored fields of a lenient request, as `warnings` in the object.
    fn warnings(mut self, warnings: &[FieldError]) -> Self {
        let warnings: Vec<ProblemField> = warnings.iter().map(ProblemField::from).collect();
        if let (Ok(body), Ok(list)) = (&mut self.body, serde_json::to_vec(&warnings))
            && body.pop_if(|last| *last == b'}').is_some()
        {
            let separator: &[u8] = if body.ends_with(b"{") { b"" } else { b"," };
            body.extend_from_slice(&[separator, b"\"warnings\":", &list, b"}"].concat());
        }
        self.header(HeaderName::from_static("preference-applied"), "handling=lenient")
    }

    /// Forbids every cache to keep it, for tokens.
    #[must_use]
    pub fn no_store(mut self) -> Self {
        self.cache = "no-store";
        self
    }

    /// Lets every cache keep it for five minutes, and check it by its tag after that: it is the same for everybody.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.cache = "public, max-age=300";
        self.compressed_if(true)
    }

    /// Lets the response be compressed if it holds only the reader's own words, or those of the product.
    #[must_use]
    pub fn compressed_if(mut self, own_words: bool) -> Self {
        self.own_words = own_words;
        self
    }

    /// Adds a header; a value that a header cannot hold is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
}

impl Responder for Reply {
    type Body = BoxBody;

    fn respond_to(mut self, request: &HttpRequest) -> HttpResponse {
        if let Some(Warnings(list)) = request.extensions_mut().remove() {
            self = self.warnings(&list);
        }
        let body = match self.body {
            Ok(body) => body,
            Err(error) => return problem::response(&error),
        };
        let mut response = HttpResponse::new(self.status);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(self.cache));
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        if body.is_empty() {
            return response;
        }
        if self.own_words {
            response.extensions_mut().insert(OwnWords);
        }
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        response.set_body(BoxBody::new(body))
    }
}
