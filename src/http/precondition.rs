//! Entity tags and preconditions (RFC 9110 §13).

use std::fmt;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderName};
use actix_web::{FromRequest, HttpRequest};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::kernel::{Creation, Error, Result};

/// A strong entity tag. Clients treat it as opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag(header::EntityTag);

impl EntityTag {
    /// Returns the tag of a row's version, which the owner sees.
    pub fn version(version: i64) -> Self {
        Self(header::EntityTag::new_strong(format!("v{version}")))
    }

    /// Returns a tag of any text, such as the keyed hash of a reader's view. Characters that do not fit are dropped.
    pub fn opaque(text: &str) -> Self {
        let fits = |c: &char| c.is_ascii_graphic() && *c != '"';
        Self(header::EntityTag::new_strong(text.chars().filter(fits).collect()))
    }

    /// Returns the tag of content that is the same for everybody: its SHA-256.
    pub fn of_content(content: &[u8]) -> Self {
        Self::opaque(&URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, content)))
    }

    /// Returns the version, if it is the tag of one.
    pub fn as_version(&self) -> Option<i64> {
        self.0.tag().strip_prefix('v')?.parse().ok()
    }
}

/// As in the header, with its quotes: a client sends it back as it is.
impl Serialize for EntityTag {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl PartialSchema for EntityTag {
    fn schema() -> RefOr<Schema> {
        let text =
            "The tag of the shown state, with its quotes: the same as the header `ETag` has when this is read alone.";
        let schema = ObjectBuilder::new().schema_type(Type::String).description(Some(text)).examples(["\"v3\""]);
        schema.build().into()
    }
}

impl ToSchema for EntityTag {}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The condition in one of the two headers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    /// Any present state: `*`.
    Any,
    /// One of these tags.
    Tags(Vec<header::EntityTag>),
}

impl Condition {
    fn names(&self, current: &EntityTag) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| spellings(tag.tag()).any(|tag| tag == current.0.tag())),
        }
    }
}

/// The endings that proxies give to the tag of a response that they compress: `-gzip` and `-br` (Apache), `--gzip`
/// (Jetty), `;gzip` and others.
const CODINGS: [&str; 4] = ["gzip", "br", "zstd", "deflate"];
const SEPARATORS: [&str; 3] = ["--", "-", ";"];

/// Returns the tag, and then what is left of it without the endings of proxies, one after the other.
///
/// Other proxies make the tag weak. A tag of this server is that of a state, not of the bytes that show it, so a weak
/// tag in `If-Match` names one state all the same.
fn spellings(tag: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(tag), |tag| without_coding(tag))
}

fn without_coding(text: &str) -> Option<&str> {
    let bare = CODINGS.iter().find_map(|coding| text.strip_suffix(coding))?;
    SEPARATORS.iter().find_map(|separator| bare.strip_suffix(separator))
}

/// The headers `If-Match` and `If-None-Match` of a request. Actions may take this plain value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    if_match: Option<Condition>,
    if_none_match: Option<Condition>,
}

impl Preconditions {
    /// Returns preconditions without a condition.
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns the preconditions of `If-Match: <tag>`.
    pub fn matching(tag: EntityTag) -> Self {
        Self { if_match: Some(Condition::Tags(vec![tag.0])), if_none_match: None }
    }

    /// Returns the preconditions of `If-None-Match: *`.
    pub fn creating() -> Self {
        Self { if_match: None, if_none_match: Some(Condition::Any) }
    }

    /// Whether the request may only create (`If-None-Match: *`).
    pub fn create_only(&self) -> bool {
        self.if_none_match == Some(Condition::Any)
    }

    /// Whether the request may only change what exists (any `If-Match`).
    pub fn change_only(&self) -> bool {
        self.if_match.is_some()
    }

    /// Checks a change that must name the version it changes.
    ///
    /// # Errors
    ///
    /// [`Error::PreconditionRequired`] without `If-Match`, [`Error::Stale`] when it names another state.
    pub fn require(&self, current: &EntityTag) -> Result<()> {
        if self.if_match.is_none() {
            return Err(Error::PreconditionRequired);
        }
        self.check(Some(current))
    }

    /// Checks a request whose conditions are optional. `current` is `None` where nothing exists.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] when a condition does not hold.
    pub fn check(&self, current: Option<&EntityTag>) -> Result<()> {
        let matches = self.if_match.as_ref().is_none_or(|wanted| current.is_some_and(|tag| wanted.names(tag)));
        let differs = self.if_none_match.as_ref().is_none_or(|known| !current.is_some_and(|tag| known.names(tag)));
        if matches && differs { Ok(()) } else { Err(Error::Stale) }
    }

    /// Whether a PUT of `sent` repeats the request that created the object (`created`): the same body, no `If-Match`. A
    /// client sends it when it has not seen an answer. It changes nothing and is answered with the present state.
    pub fn is_creation(&self, created: Option<&Creation>, sent: &Creation) -> bool {
        !self.change_only() && created == Some(sent)
    }

    /// Whether a PUT of a whole `new` changes `old`, whose tag is `current` and which was created by `created`; the
    /// body of the PUT is `sent`. A PUT of the present state changes nothing, nor does a repeat of the creating
    /// request.
    ///
    /// # Errors
    ///
    /// As [`Self::require`]; [`Error::Stale`] when the request may only create.
    pub fn puts<T: PartialEq>(
        &self,
        current: &EntityTag,
        (old, new): (&T, &T),
        (created, sent): (Option<&Creation>, &Creation),
    ) -> Result<bool> {
        if old == new || self.is_creation(created, sent) {
            return Ok(false);
        }
        if self.create_only() {
            return Err(Error::Stale);
        }
        self.require(current)?;
        Ok(true)
    }

    /// Whether a reader has this state already (304).
    pub fn not_modified(&self, current: &EntityTag) -> bool {
        self.if_none_match.as_ref().is_some_and(|known| known.names(current))
    }
}

impl FromRequest for Preconditions {
    type Error = Error;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request))
    }
}

/// The header `If-None-Match` of a read by programs that are not written for this interface, such as calendar apps. One
/// that is no list of tags names no state: the answer is whole.
#[derive(Clone, Debug)]
pub struct KnownStates(Preconditions);

impl KnownStates {
    /// Returns the condition.
    pub fn into_inner(self) -> Preconditions {
        self.0
    }
}

impl FromRequest for KnownStates {
    type Error = Error;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let if_none_match = condition(request, &header::IF_NONE_MATCH, "header/if-none-match").ok().flatten();
        ready(Ok(Self(Preconditions { if_match: None, if_none_match })))
    }
}

/// Reads the headers of a request.
///
/// # Errors
///
/// [`Error::Invalid`] for a header that is no condition.
pub(super) fn parse(request: &HttpRequest) -> Result<Preconditions> {
    Ok(Preconditions {
        if_match: condition(request, &header::IF_MATCH, "header/if-match")?,
        if_none_match: condition(request, &header::IF_NONE_MATCH, "header/if-none-match")?,
    })
}

/// The most tags in one header, and the most bytes in one tag.
const TAGS: usize = 32;
const LENGTH: usize = 200;

/// Parses a condition. The framework's `IfMatch` and `IfNoneMatch` are not used: they cut tags at the commas inside
/// their quotes and leave out unreadable tags, so that a broken condition names nothing.
fn condition(request: &HttpRequest, name: &HeaderName, pointer: &str) -> Result<Option<Condition>> {
    let fault = || Error::field(pointer, "must be `*` or a list of entity tags in double quotes");
    let (mut tags, mut any) = (Vec::new(), false);
    for line in request.headers().get_all(name) {
        let Some(line) = line.to_str().ok().map(str::trim) else { return Err(fault()) };
        if line == "*" {
            any = true;
            continue;
        }
        let mut quoted = false;
        for item in line.split(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        }) {
            // Apache 2.2 wrote its ending behind the quotes.
            let item = item.trim();
            let item = without_coding(item).filter(|quoted| quoted.ends_with('"')).unwrap_or(item);
            let Ok(tag) = item.parse::<header::EntityTag>() else { return Err(fault()) };
            tags.push(tag);
        }
    }
    match (any, tags.as_slice()) {
        (false, []) => Ok(None),
        (true, []) => Ok(Some(Condition::Any)),
        (false, all) if all.len() <= TAGS && all.iter().all(|tag| tag.tag().len() <= LENGTH) => {
            Ok(Some(Condition::Tags(tags)))
        }
        _ => Err(fault()),
    }
}
