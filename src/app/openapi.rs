//! The OpenAPI document, made from the handlers.

mod access;
mod headers;
pub mod older;
mod parameters;
mod shared;

use std::sync::{Arc, OnceLock};

use actix_web::web::{self, Bytes};
use actix_web::{HttpResponse, Route};
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::server::ServerBuilder;
use utoipa::openapi::{ArrayBuilder, Content, OpenApi, Ref, RefOr, Schema, SecurityRequirement};
use utoipa::{Modify, OpenApi as _};
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use self::shared::operations;
use crate::http::deprecation;
use crate::http::{Operations, PatientRef, Problem};

/// The committed document in one line. Making it takes longer than all else that a start does, and ten times its text in
/// memory; that it is what the handlers say, a test proves.
pub static COMMITTED: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

/// What the layers read of the committed document.
pub(super) static OPERATIONS: &str = include_str!(concat!(env!("OUT_DIR"), "/operations.json"));

/// The parts of the document that no handler declares.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Afterglow",
        description = "The backend of a companion app for ketamine therapy.\n\nAn infusion opens a window; the window \
            plans prompts for the days that follow; the patient writes reflections, offline too, and shares what they \
            choose; the therapist reads it before the next session.\n\n[The first hour](/docs/guide) is a guide for those who \
            build an app, from registration to the first shared reflection, with every request and reply.\n\nErrors are RFC 9457 problems; `type` is a page \
            of this server. Instants are RFC 3339 in UTC. Objects are created with PUT and a client-made UUID of version 4 or 7, and \
            changed with `If-Match`. A query parameter that an operation does not declare is refused with 422. Every unsafe operation takes an `Idempotency-Key`. Response strings with \
            examples are open sets: an app must accept values it does not know.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    external_docs(url = "/docs/guide", description = "The first hour: a guide for app developers"),
    components(schemas(Problem, PatientRef)),
    modifiers(&SecurityModifier),
    tags(
        (name = "identity", description = "Logging in and out"),
        (name = "care", description = "Clinics, invitations, care links and the care team"),
        (name = "grants", description = "The content that patients share, and its readers"),
        (name = "infusions", description = "Administrations of ketamine"),
        (name = "window", description = "The phases after an infusion"),
        (name = "prompts", description = "The questions that the app asks, and their times"),
        (name = "protocols", description = "The protocols that clinics write, and the one that a patient follows"),
        (name = "devices", description = "The phones of a patient: where pushes go, and what they receive"),
        (name = "consents", description = "What patients agree to, and what they withdraw"),
        (name = "calendar", description = "The plan of a patient in their own calendar"),
        (name = "exercises", description = "Integration exercises: the library, responses of patients, assignments of therapists"),
        (name = "journal", description = "The entries of patients"),
        (name = "sync", description = "What a phone keeps, and how it learns what has changed"),
        (name = "server", description = "The server itself"),
    ),
)]
struct BaseDocument;

struct SecurityModifier;

impl Modify for SecurityModifier {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The `access_token` of a log-in"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("access_token", SecurityScheme::Http(bearer));
        document.security = Some(vec![SecurityRequirement::new("access_token", Vec::<String>::new())]);
        document.servers = Some(vec![ServerBuilder::new().url("/").description(Some("This server")).build()]);
    }
}

fn describe(config: &mut ServiceConfig<'_>) {
    super::mount::mount(&mut Operations::described(config));
}

/// Makes the document of every mounted operation.
fn document() -> OpenApi {
    let (_, mut document) =
        actix_web::App::new().into_utoipa_app().openapi(BaseDocument::openapi()).configure(describe).split_for_parts();
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    allow_warnings(&mut document);
    headers::declare_not_modified(&mut document);
    let shared = shared::share_responses(&mut document);
    headers::declare(&mut document, &shared);
    show_examples(&mut document);
    access::describe(&mut document);
    parameters::fill_in(&mut document);
    deprecation::declare(&mut document);
    document
}

/// Adds `warnings` to the replies of requests with a body: a reply to a lenient request has them.
fn allow_warnings(document: &mut OpenApi) {
    let Some(components) = &mut document.components else { return };
    let list = ArrayBuilder::new()
        .items(Ref::from_schema_name("ProblemField"))
        .description(Some("What was ignored of a request with `Prefer: handling=lenient`; only in the answer to it."));
    let warnings = RefOr::T(Schema::Array(list.build()));
    for operation in document.paths.paths.values_mut().flat_map(operations).filter(|one| one.request_body.is_some()) {
        let successes = operation.responses.responses.iter().filter(|(status, _)| status.starts_with('2'));
        for (_, response) in successes {
            let RefOr::T(response) = response else { continue };
            for content in response.content.values() {
                if let RefOr::T(Content { schema: Some(RefOr::Ref(view)), .. }) = content
                    && let Some((_, name)) = view.ref_location.rsplit_once('/')
                    && let Some(RefOr::T(Schema::Object(view))) = components.schemas.get_mut(name)
                {
                    view.properties.insert("warnings".to_owned(), warnings.clone());
                }
            }
        }
    }
}

/// The requests and responses of a test by operation: `{request?, response?, status}`. The test writes them.
const EXAMPLES: &str = include_str!("../../openapi/examples.json");

fn show_examples(document: &mut OpenApi) {
    let examples: Value = EXAMPLES.parse().unwrap_or_default();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let Some(example) = operation.operation_id.as_ref().and_then(|id| examples.get(id)) else { continue };
        if let (Some(RefOr::T(body)), Some(request)) = (&mut operation.request_body, example.get("request")) {
            show(body.content.values_mut(), request);
        }
        let status = example.get("status").map(ToString::to_string).unwrap_or_default();
        let response = operation.responses.responses.get_mut(&status);
        if let (Some(RefOr::T(response)), Some(body)) = (response, example.get("response")) {
            show(response.content.values_mut(), body);
        }
    }
}

fn show<'c>(contents: impl Iterator<Item = &'c mut RefOr<Content>>, example: &Value) {
    for content in contents {
        if let RefOr::T(content) = content {
            content.example = Some(example.clone());
        }
    }
}

/// Sends the committed document.
pub(super) fn route() -> Route {
    web::get().to(|| std::future::ready(HttpResponse::Ok().content_type("application/json").body(COMMITTED)))
}

/// Sends the document in OpenAPI 3.0. It is made when it is first asked for: parsed, it takes ten times its text.
pub(super) fn older_route(older: Arc<OnceLock<Bytes>>) -> Route {
    web::get().to(move || {
        let made = older.get_or_init(|| {
            let document = serde_json::from_str(COMMITTED).unwrap_or_default();
            Bytes::from(older::down_levelled(document).to_string())
        });
        std::future::ready(HttpResponse::Ok().content_type("application/json").body(made.clone()))
    })
}

/// Returns the document as it is committed: pretty, with a line break at the end.
pub fn json() -> String {
    let mut text = document().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Methods;

    #[test]
    fn the_layers_of_a_server_read_what_the_whole_document_says() {
        let table = |document| format!("{:?}", Methods::of(document).unwrap());
        assert!(table(OPERATIONS).contains("entries"));
        assert_eq!(table(OPERATIONS), table(COMMITTED));
    }
}
