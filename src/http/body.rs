//! Bodies: bounded, timed, of the right type, well-formed, then parsed with the pointer of the field that failed.

use std::fmt;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::rt::time::timeout;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{reader, strict_json};
use crate::kernel::{Code, Error, FieldError, Result};
use crate::vault::apart;

/// The limits of a body. Another one in the app data of a scope changes them there.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit {
    /// The most bytes.
    pub bytes: usize,
    /// The longest time from the first byte of the body to the last.
    pub time: Duration,
}

impl Default for BodyLimit {
    fn default() -> Self {
        Self { bytes: 1024 * 1024, time: Duration::from_secs(30) }
    }
}

/// The media type of a body.
pub(super) const JSON: &[&str] = &["application/json"];

/// The media types of a merge patch (RFC 7396).
pub(super) const MERGE_PATCH: &[&str] = &["application/merge-patch+json", "application/json"];

/// A JSON body as a `T`. `T` derives `Deserialize` with `deny_unknown_fields`; fields an app does not know are then
/// faults, or warnings if it said `Prefer: handling=lenient`.
///
/// No more than `MOST` bytes, and than the [`BodyLimit`].
pub struct Body<T, const MOST: usize = { usize::MAX }> {
    value: T,
    raw: Bytes,
}

/// A body that is being read, with what is made of the document that it is read from.
pub(super) type ReadWith<B, D> = LocalBoxFuture<'static, Result<(B, D)>>;

/// The ignored fields of a lenient request; the [`super::Reply`] names them.
pub(super) struct Warnings(pub Vec<FieldError>);

impl<T, const MOST: usize> Body<T, MOST> {
    /// The value.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Returns the value by reference.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// Returns the received bytes.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
}

impl<T, const MOST: usize> fmt::Debug for Body<T, MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.raw.len())
    }
}

impl<T: DeserializeOwned + Send + 'static, const MOST: usize> Body<T, MOST> {
    /// Reads a body, and returns it with what `derive` makes of the document that it was read from.
    pub(super) fn read_with<D: Send + 'static>(
        request: &HttpRequest,
        payload: &mut Payload,
        derive: impl FnOnce(Value) -> D + Send + 'static,
    ) -> ReadWith<Self, D> {
        let checked = expect_json(request, JSON).and_then(|()| expect_small(request, MOST));
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let raw = read(payload, checked?).await?;
            let (value, made) = parsed_with(&raw, &request, derive).await?;
            Ok((Self { value, raw }, made))
        })
    }
}

impl<T: DeserializeOwned + Send + 'static, const MOST: usize> FromRequest for Body<T, MOST> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = Self::read_with(request, payload, drop);
        Box::pin(async move { Ok(body.await?.0) })
    }
}

/// A body that may be absent. An absent body has no content type either.
pub struct MaybeBody<T> {
    value: Option<T>,
    raw: Bytes,
}

impl<T> MaybeBody<T> {
    /// Returns the value, if there was a body.
    pub fn into_inner(self) -> Option<T> {
        self.value
    }
}

impl<T> fmt::Debug for MaybeBody<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaybeBody({} bytes)", self.raw.len())
    }
}

impl<T: DeserializeOwned + Send + 'static> MaybeBody<T> {
    /// Reads a body, and returns it with what `derive` makes of the document that it was read from. An absent one has an
    /// empty document.
    pub(super) fn read_with<D: Send + 'static>(
        request: &HttpRequest,
        payload: &mut Payload,
        derive: impl FnOnce(Value) -> D + Send + 'static,
    ) -> ReadWith<Self, D> {
        let typed = expect_json(request, JSON);
        let small = expect_small(request, usize::MAX);
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let raw = read(payload, small?).await?;
            if raw.is_empty() {
                return Ok((Self { value: None, raw }, derive(Value::Object(Map::new()))));
            }
            typed?;
            let (value, made) = parsed_with(&raw, &request, derive).await?;
            Ok((Self { value: Some(value), raw }, made))
        })
    }
}

impl<T: DeserializeOwned + Send + 'static> FromRequest for MaybeBody<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = Self::read_with(request, payload, drop);
        Box::pin(async move { Ok(body.await?.0) })
    }
}

/// Refuses another media type, another charset and any coding. Only the operations that say so unpack a body
/// ([`super::PackedBody`]): a small one could unpack to a very large one.
pub(super) fn expect_json(request: &HttpRequest, types: &[&str]) -> Result<()> {
    let identity = |coding: &[u8]| coding.eq_ignore_ascii_case(b"identity");
    if request.headers().get_all(header::CONTENT_ENCODING).any(|coding| !identity(coding.as_bytes())) {
        let detail = "bodies are taken without content coding".to_owned();
        return Err(Error::Malformed(Code::UnsupportedMediaType, detail));
    }
    expect_type(request, types)
}

/// Refuses another media type and another charset.
pub(super) fn expect_type(request: &HttpRequest, types: &[&str]) -> Result<()> {
    let refuse = |detail: String| Err(Error::Malformed(Code::UnsupportedMediaType, detail));
    let expected = || format!("send {}", types.join(" or "));
    let Ok(Some(media)) = request.mime_type() else { return refuse(expected()) };
    if !types.contains(&media.essence_str()) {
        return refuse(expected());
    }
    let charset = media.get_param("charset").map(|charset| charset.as_str().to_ascii_lowercase());
    match charset.as_deref() {
        None | Some("utf-8" | "utf8") => Ok(()),
        Some(_) => refuse("the charset is utf-8".to_owned()),
    }
}

/// Refuses by `Content-Length`, before anything is read.
pub(super) fn expect_small(request: &HttpRequest, most: usize) -> Result<BodyLimit> {
    let limit = request.app_data::<BodyLimit>().copied().unwrap_or_default();
    expect_within(request, BodyLimit { bytes: limit.bytes.min(most), ..limit })
}

/// Refuses what is larger than `limit` by `Content-Length`, before anything is read.
pub(super) fn expect_within(request: &HttpRequest, limit: BodyLimit) -> Result<BodyLimit> {
    let said = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    match said.and_then(|length| length.parse::<usize>().ok()) {
        Some(length) if length > limit.bytes => Err(too_large(limit)),
        _ => Ok(limit),
    }
}

pub(super) fn too_large(limit: BodyLimit) -> Error {
    Error::Malformed(Code::TooLarge, format!("the limit is {} bytes", limit.bytes))
}

fn lenient(request: &HttpRequest) -> bool {
    request.headers().get_all("prefer").filter_map(|value| value.to_str().ok()).any(|value| {
        value.split([',', ';']).any(|preference| preference.trim().eq_ignore_ascii_case("handling=lenient"))
    })
}

pub(super) async fn read(payload: Payload, limit: BodyLimit) -> Result<Bytes> {
    let all = async {
        let mut payload = std::pin::pin!(payload);
        let mut bytes = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| broken(&error, limit))?;
            if bytes.len() + chunk.len() > limit.bytes {
                return Err(too_large(limit));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    };
    timeout(limit.time, all).await.unwrap_or_else(|_| {
        let detail = format!("the body did not arrive within {} s", limit.time.as_secs());
        Err(Error::Malformed(Code::RequestTimeout, detail))
    })
}

fn broken(error: &PayloadError, limit: BodyLimit) -> Error {
    match error {
        PayloadError::Overflow => too_large(limit),
        _ => Error::Malformed(Code::Malformed, "the body ended early or was damaged on the way".to_owned()),
    }
}

/// Parses a body of so many `bytes` by `parse`, which is told whether the client is lenient, and keeps the fields that it
/// ignored for the reply. A long body is parsed on a blocking thread, so that no other request waits for it: every body
/// goes through this.
pub(super) async fn parsing<T: Send + 'static>(
    bytes: usize,
    request: &HttpRequest,
    parse: impl FnOnce(bool) -> Result<(T, Vec<FieldError>)> + Send + 'static,
) -> Result<T> {
    let lenient = lenient(request);
    let (value, ignored) = apart(bytes, move || parse(lenient)).await??;
    if !ignored.is_empty() {
        request.extensions_mut().insert(Warnings(ignored));
    }
    Ok(value)
}

/// Parses a body, and answers it with what `derive` makes of the document that it was read from.
async fn parsed_with<T: DeserializeOwned + Send + 'static, D: Send + 'static>(
    raw: &Bytes,
    request: &HttpRequest,
    derive: impl FnOnce(Value) -> D + Send + 'static,
) -> Result<(T, D)> {
    let bytes = raw.clone();
    let parse = move |lenient| {
        let (value, ignored, document) = parsed(&bytes, lenient)?;
        Ok(((value, derive(document)), ignored))
    };
    parsing(raw.len(), request, parse).await
}

/// Parses a body. Returns the value, the ignored fields, and the document that it was read from.
pub(super) fn parsed<T: DeserializeOwned>(raw: &[u8], lenient: bool) -> Result<(T, Vec<FieldError>, Value)> {
    let mut document = strict_json::parse(raw)?;
    let (value, ignored) = reader::document(&mut document, raw.len(), lenient)?;
    Ok((value, ignored, document))
}
