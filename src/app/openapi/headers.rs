//! The headers of requests and responses that follow from the kind of an operation, declared for all of them here.
//!
//! The tests hold each response against this: a header of the product that is not declared fails, and so does one that
//! is declared as required and not sent.

use std::collections::BTreeMap;

use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{
    Components, Content, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
};

use super::shared::operations;

/// A header of responses: its name, whether each response that declares it has it, its type and its description.
type Declared = (&'static str, bool, Type, &'static str);

const HEADERS: &[Declared] = &[
    ("Content-Language", false, Type::String, "The language of the words."),
    (
        "ETag",
        true,
        Type::String,
        "The tag of the state that is shown, for `If-Match` and `If-None-Match`; the same as `etag` in the body, where that has one.",
    ),
    (
        "Idempotent-Replayed",
        false,
        Type::String,
        "`true` if the request was done before under this `Idempotency-Key` and not again; the body is the present state.",
    ),
    ("Link", false, Type::String, "The address of the next page, with `rel=\"next\"`; absent at the end."),
    ("Location", true, Type::String, "The address of the new object, or of the page."),
    ("Preference-Applied", false, Type::String, "`handling=lenient` if fields were ignored."),
    (
        "RateLimit",
        false,
        Type::String,
        "The requests that are left, and the seconds until all are there again; absent where there is no limit.",
    ),
    (
        "RateLimit-Policy",
        false,
        Type::String,
        "The number of requests in a number of seconds; absent where there is no limit.",
    ),
    ("Retry-After", true, Type::Integer, "The seconds to wait before the next try."),
    ("WWW-Authenticate", true, Type::String, "The kind of token that is asked for."),
    ("X-Request-Id", true, Type::String, "The id of the request in the log of the server."),
];

/// Declares the 304 of every operation that takes `If-None-Match` to read.
pub(super) fn declare_not_modified(document: &mut OpenApi) {
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        if Request::of(operation).is_conditional() {
            let known = ResponseBuilder::new().description("You have it").build();
            operation.responses.responses.entry("304".to_owned()).or_insert(RefOr::T(known));
        }
    }
}

/// Declares the headers of all responses, of which `shared` has the names of those in the components by their status,
/// and the parameter `Prefer` of all requests with a body.
pub(super) fn declare(document: &mut OpenApi, shared: &BTreeMap<String, String>) {
    let components = document.components.get_or_insert_default();
    components.headers = HEADERS.iter().map(|declared| (declared.0.to_owned(), RefOr::T(header(declared)))).collect();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        if operation.request_body.is_some() {
            operation.parameters.get_or_insert_default().push(RefOr::T(prefer()));
        }
        let request = Request::of(operation);
        for (status, response) in &mut operation.responses.responses {
            let RefOr::T(response) = response else { continue };
            let names = of_status(status).iter().copied().chain(request.of_response(status, response, components));
            response.headers.extend(names.map(reference));
        }
    }
    for (status, name) in shared {
        let Some(RefOr::T(response)) = components.responses.get_mut(name) else { continue };
        let etag = (status == "304").then_some("ETag");
        response.headers.extend(of_status(status).iter().copied().chain(etag).map(reference));
    }
}

/// Returns the headers that hang on the status alone.
fn of_status(status: &str) -> &'static [&'static str] {
    match status {
        "201" | "303" => &["X-Request-Id", "RateLimit", "RateLimit-Policy", "Location"],
        "401" => &["X-Request-Id", "RateLimit", "RateLimit-Policy", "WWW-Authenticate"],
        "429" | "503" | "507" => &["X-Request-Id", "RateLimit", "RateLimit-Policy", "Retry-After"],
        _ => &["X-Request-Id", "RateLimit", "RateLimit-Policy"],
    }
}

/// The parts of a request on which the headers of its response hang.
struct Request {
    has_body: bool,
    names: Vec<String>,
}

impl Request {
    fn of(operation: &Operation) -> Self {
        let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter.name.clone()),
            RefOr::Ref(_) => None,
        });
        Self { has_body: operation.request_body.is_some(), names: parameters.collect() }
    }

    fn takes(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Whether it is a read with a condition. A PUT takes `If-None-Match` too.
    fn is_conditional(&self) -> bool {
        self.takes("If-None-Match") && !self.takes("Idempotency-Key")
    }

    fn of_response<'n>(
        &self,
        status: &str,
        response: &Response,
        components: &Components,
    ) -> impl Iterator<Item = &'n str> + use<'n> {
        let success = status.starts_with('2');
        let conditional = self.is_conditional();
        [
            ("Content-Language", success && self.takes("Accept-Language")),
            ("ETag", shows(response, "etag", components) || conditional && (success || status == "304")),
            ("Idempotent-Replayed", success && self.takes("Idempotency-Key")),
            ("Link", shows(response, "next_cursor", components)),
            ("Preference-Applied", success && self.has_body),
        ]
        .into_iter()
        .filter_map(|(name, declared)| declared.then_some(name))
    }
}

/// Whether the body of a response has the member `name`.
fn shows(response: &Response, name: &str, components: &Components) -> bool {
    response.content.values().any(|content| {
        let RefOr::T(Content { schema: Some(RefOr::Ref(of)), .. }) = content else { return false };
        let schema = of.ref_location.rsplit('/').next().and_then(|name| components.schemas.get(name));
        matches!(schema, Some(RefOr::T(Schema::Object(object))) if object.properties.contains_key(name))
    })
}

fn reference(name: &str) -> (String, RefOr<Header>) {
    (name.to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}"))))
}

fn header((_, required, kind, description): &Declared) -> Header {
    let schema = ObjectBuilder::new().schema_type(kind.clone()).build();
    let header = HeaderBuilder::new().schema(Some(schema)).description(Some(*description));
    // The library has no field for this part of a header object.
    header.extensions(required.then(|| Extensions::from_iter([("required", true)]))).build()
}

fn prefer() -> Parameter {
    ParameterBuilder::new()
        .name("Prefer")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("`handling=lenient`: fields that are not known are ignored and listed in `warnings`."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}
