//! Bodies: bounded, timed, of the right type, well-formed, then parsed with the pointer of the field that failed.

use std::fmt;
use std::marker::PhantomData;
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
use serde_path_to_error::Segment;

use super::objects::Objects;
use super::{json, wording};
use crate::kernel::fields::FieldError;
use crate::kernel::{Code, Error, Result};

/// How large a body may be, and how long it may take to arrive. Put another one into the app data of a scope to
/// change it there.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit {
    /// Bytes.
    pub bytes: usize,
    /// From the first byte of the body to the last.
    pub time: Duration,
}

impl Default for BodyLimit {
    fn default() -> Self {
        Self { bytes: 1024 * 1024, time: Duration::from_secs(30) }
    }
}

/// Which media types a body may have.
pub trait Media {
    /// The essences, without parameters.
    const TYPES: &'static [&'static str];
}

/// `application/json`.
#[derive(Clone, Copy, Debug)]
pub struct Json;
impl Media for Json {
    const TYPES: &'static [&'static str] = &["application/json"];
}

/// `application/merge-patch+json` (RFC 7396) or `application/json`.
#[derive(Clone, Copy, Debug)]
pub struct MergePatch;
impl Media for MergePatch {
    const TYPES: &'static [&'static str] = &["application/merge-patch+json", "application/json"];
}

/// A JSON body as a `T`. `T` derives `Deserialize` with `deny_unknown_fields`; fields an app does not know are then
/// faults, or warnings if it said `Prefer: handling=lenient`.
pub struct Body<T, M = Json> {
    value: T,
    raw: Bytes,
    media: PhantomData<M>,
}

/// What was ignored of a lenient request; the [`super::Reply`] tells it.
pub(super) struct Warnings(pub Vec<FieldError>);

/// The body of a PATCH. The fields of `T` are [`super::Change`]s.
pub type PatchBody<T> = Body<T, MergePatch>;

impl<T, M> Body<T, M> {
    /// The value.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The value, by reference.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// The bytes as they came, for the fingerprint of an idempotent request.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
}

impl<T, M> fmt::Debug for Body<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.raw.len())
    }
}

impl<T: DeserializeOwned + 'static, M: Media + 'static> FromRequest for Body<T, M> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let checked = expect_json(request, M::TYPES).and_then(|()| expect_small(request));
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let raw = read(payload, checked?).await?;
            Ok(Self { value: parsed(&raw, &request)?, raw, media: PhantomData })
        })
    }
}

/// A body that may be absent: no bytes, and then no content type either.
pub struct MaybeBody<T> {
    value: Option<T>,
    raw: Bytes,
}

impl<T> MaybeBody<T> {
    /// The value, if there was a body.
    pub fn into_inner(self) -> Option<T> {
        self.value
    }

    /// The bytes as they came.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
}

impl<T> fmt::Debug for MaybeBody<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaybeBody({} bytes)", self.raw.len())
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for MaybeBody<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let typed = expect_json(request, Json::TYPES);
        let small = expect_small(request);
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let raw = read(payload, small?).await?;
            if raw.is_empty() {
                return Ok(Self { value: None, raw });
            }
            typed?;
            Ok(Self { value: Some(parsed(&raw, &request)?), raw })
        })
    }
}

/// Refuses another media type, another charset and any coding. Requests are never decompressed: a small body that
/// unpacks to a large one is not worth what it saves.
pub(super) fn expect_json(request: &HttpRequest, types: &[&str]) -> Result<()> {
    let refuse = |detail: String| Err(Error::Malformed(Code::UnsupportedMediaType, detail));
    let identity = |coding: &[u8]| coding.eq_ignore_ascii_case(b"identity");
    if request.headers().get_all(header::CONTENT_ENCODING).any(|coding| !identity(coding.as_bytes())) {
        return refuse("bodies are taken without content coding".to_owned());
    }
    let expected = || format!("send {}", types.join(" or "));
    let Ok(Some(media)) = request.mime_type() else { return refuse(expected()) };
    if !types.contains(&media.essence_str()) {
        return refuse(expected());
    }
    match media.get_param("charset") {
        Some(charset) if charset != "utf-8" => refuse("the charset is utf-8".to_owned()),
        _ => Ok(()),
    }
}

/// Refuses by `Content-Length`, before anything is read.
pub(super) fn expect_small(request: &HttpRequest) -> Result<BodyLimit> {
    let limit = request.app_data::<BodyLimit>().copied().unwrap_or_default();
    let said = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    match said.and_then(|length| length.parse::<usize>().ok()) {
        Some(length) if length > limit.bytes => Err(too_large(limit)),
        _ => Ok(limit),
    }
}

fn too_large(limit: BodyLimit) -> Error {
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

/// How many unknown fields are tolerated under `Prefer: handling=lenient`.
const WARNINGS: usize = 64;

/// A document of this server's own making as a `T`: the body that a merge patch makes.
pub(super) fn from_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T> {
    deserialize_from(value).map_err(Fault::error)
}

/// Parses, and keeps what was ignored for the reply.
fn parsed<T: DeserializeOwned>(raw: &[u8], request: &HttpRequest) -> Result<T> {
    let (value, warnings) = parse(raw, lenient(request))?;
    if !warnings.is_empty() {
        request.extensions_mut().insert(Warnings(warnings));
    }
    Ok(value)
}

/// The object of a merge patch on a `T`, without fields that a `T` does not have: these are faults, or warnings to the
/// lenient. Whether the values are right is seen when it is applied.
pub(super) fn parse_patch<T: DeserializeOwned>(
    raw: &[u8],
    request: &HttpRequest,
    fixed: &[&str],
) -> Result<serde_json::Map<String, serde_json::Value>> {
    json::check(raw)?;
    let unreadable = |error: serde_json::Error| Error::Malformed(Code::Malformed, error.to_string());
    let serde_json::Value::Object(mut patch) = serde_json::from_slice(raw).map_err(unreadable)? else {
        return Err(Error::field("", "must be an object"));
    };
    let cleared = fixed.iter().filter(|name| patch.get(**name).is_some_and(serde_json::Value::is_null));
    let faults: Vec<FieldError> = cleared
        .map(|name| FieldError { pointer: format!("/{name}"), detail: "cannot be cleared".to_owned() })
        .collect();
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let mut warnings = Vec::new();
    loop {
        let fault = match deserialize_from::<T, _>(serde_json::Value::Object(patch.clone())) {
            Err(fault) if fault.unknown => fault,
            _ => break,
        };
        let mut document = serde_json::Value::Object(patch);
        if !lenient(request) || warnings.len() == WARNINGS || !remove(&mut document, &fault.path) {
            return Err(fault.error());
        }
        warnings.push(FieldError { pointer: pointer(&fault.path), detail: "is not known and was ignored".to_owned() });
        let serde_json::Value::Object(rest) = document else { return Err(fault.error()) };
        patch = rest;
    }
    if !warnings.is_empty() {
        request.extensions_mut().insert(Warnings(warnings));
    }
    Ok(patch)
}

fn parse<T: DeserializeOwned>(raw: &[u8], lenient: bool) -> Result<(T, Vec<FieldError>)> {
    json::check(raw)?;
    let first = match deserialize(raw) {
        Ok(value) => return Ok((value, Vec::new())),
        Err(fault) => fault,
    };
    if !(lenient && first.unknown) {
        return Err(first.error());
    }
    let unreadable = |error: serde_json::Error| Error::Malformed(Code::Malformed, error.to_string());
    let mut document: serde_json::Value = serde_json::from_slice(raw).map_err(unreadable)?;
    let (mut fault, mut warnings) = (first, Vec::new());
    while fault.unknown && warnings.len() < WARNINGS && remove(&mut document, &fault.path) {
        warnings.push(FieldError { pointer: pointer(&fault.path), detail: "is not known and was ignored".to_owned() });
        match deserialize(&serde_json::to_vec(&document).map_err(unreadable)?) {
            Ok(value) => return Ok((value, warnings)),
            Err(next) => fault = next,
        }
    }
    Err(fault.error())
}

/// A field that does not parse.
struct Fault {
    path: Vec<String>,
    detail: String,
    unknown: bool,
}

impl Fault {
    fn error(self) -> Error {
        Error::field(pointer(&self.path), self.detail)
    }
}

fn deserialize<T: DeserializeOwned>(raw: &[u8]) -> std::result::Result<T, Fault> {
    deserialize_from(&mut serde_json::Deserializer::from_slice(raw))
}

fn deserialize_from<'de, T: DeserializeOwned, D>(reader: D) -> std::result::Result<T, Fault>
where
    D: serde::Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(Objects(reader)).map_err(|error| {
        let mut path: Vec<String> = error
            .path()
            .iter()
            .filter_map(|segment| match segment {
                Segment::Seq { index } => Some(index.to_string()),
                Segment::Map { key } => Some(key.clone()),
                Segment::Enum { variant } => Some(variant.clone()),
                Segment::Unknown => None,
            })
            .collect();
        match wording::read(&error.inner().to_string()) {
            wording::Fault::Unknown => Fault { path, detail: "is not known".to_owned(), unknown: true },
            wording::Fault::Missing(name) => {
                path.push(name);
                Fault { path, detail: "is required".to_owned(), unknown: false }
            }
            wording::Fault::Value(detail) => Fault { path, detail, unknown: false },
        }
    })
}

/// RFC 6901, cut to a length that is useful.
fn pointer(path: &[String]) -> String {
    path.iter()
        .flat_map(|step| ["/".to_owned(), step.replace('~', "~0").replace('/', "~1")])
        .collect::<String>()
        .chars()
        .take(200)
        .collect()
}

fn remove(document: &mut serde_json::Value, path: &[String]) -> bool {
    let Some((key, parents)) = path.split_last() else { return false };
    let parent = parents.iter().try_fold(document, |at, step| match at {
        serde_json::Value::Object(object) => object.get_mut(step),
        serde_json::Value::Array(list) => step.parse::<usize>().ok().and_then(|index| list.get_mut(index)),
        _ => None,
    });
    parent.and_then(serde_json::Value::as_object_mut).is_some_and(|object| object.remove(key).is_some())
}
