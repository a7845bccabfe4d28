//! Tests of the conventions, through a small application with one handler of each kind.

mod bodies;
mod errors;
mod linear;
mod requests;
mod spellings;
mod wire;

use std::num::NonZeroU32;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, init_service, read_body};
use actix_web::{App, HttpRequest, HttpResponse, get, patch, post, put, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa_actix_web::{AppExt, scope};
use uuid::Uuid;

use super::document::{IdempotencyKeyHeader, IfMatchHeader, ReadErrors, WriteErrors};
use super::*;
use crate::kernel::id::Entry;
use crate::kernel::{Code, Entropy, Error, Id, Result};

#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Words {
    title: String,
    body: String,
}

#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct PutThing {
    text: Words,
    #[serde(default)]
    mood: Option<f64>,
    #[serde(default)]
    links: Vec<Uuid>,
}

impl Patchable for PutThing {
    const FIXED: &'static [&'static str] = &["mood"];
}

#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct PutTitle {
    title: Option<String>,
}

impl Patchable for PutTitle {
    const FIXED: &'static [&'static str] = &[];
}

type PatchTitle = Patch<PutTitle>;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct List {
    drafts: Option<bool>,
}

/// Put a thing
#[utoipa::path(
    params(("patient_id" = PatientRef, Path), ("entry_id" = Uuid, Path), IdempotencyKeyHeader, IfMatchHeader),
    request_body = PutThing,
    responses((status = 200, description = "The thing"), WriteErrors)
)]
#[put("/things/{entry_id}")]
async fn put_thing(
    id: PathOf<Id<Entry>>,
    preconditions: Preconditions,
    once: IdempotencyKey,
    body: Body<PutThing>,
) -> Result<Reply> {
    let tag = EntityTag::version(3);
    preconditions.check(Some(&tag))?;
    let parts: Vec<usize> = once.parts(body.raw()).into_iter().map(<[u8]>::len).collect();
    let thing = body.into_inner();
    let view = json!({"id": id.into_inner(), "text": thing.text, "key": once.key(), "parts": parts});
    Ok(Reply::ok(&view).created_if(preconditions.create_only(), "/v1/x").etag(&tag))
}

/// Get a thing
#[utoipa::path(params(("patient_id" = PatientRef, Path), ("entry_id" = Uuid, Path)), responses((status = 200), ReadErrors))]
#[get("/things/{entry_id}")]
async fn get_thing(at: PathOf<(PatientRef, Id<Entry>)>, preconditions: Preconditions) -> Reply {
    let (patient, entry) = at.into_inner();
    let tag = EntityTag::opaque("a1,b2");
    Reply::ok(&json!({"patient": patient.to_string(), "id": entry})).unless_known(&tag, &preconditions)
}

/// Change a thing
#[utoipa::path(params(("patient_id" = PatientRef, Path), ("entry_id" = Uuid, Path)), request_body = PatchTitle, responses(WriteErrors))]
#[patch("/things/{entry_id}")]
async fn patch_thing(preconditions: Preconditions, body: PatchTitle) -> Result<Reply> {
    preconditions.require(&EntityTag::version(3))?;
    let patched = body.apply(&PutTitle { title: Some("old".to_owned()) })?;
    let said = match patched.title.as_deref() {
        None => "Clear".to_owned(),
        Some("old") => "Keep".to_owned(),
        Some(new) => format!("Set({new:?})"),
    };
    Ok(Reply::ok(&json!({"title": said})))
}

/// List things
#[utoipa::path(params(("patient_id" = PatientRef, Path), PageQuery, List), responses((status = 200), ReadErrors))]
#[get("/things")]
async fn list_things(listing: Result<Listing<List>>) -> Result<Reply> {
    let listing = listing?;
    let view = json!({"items": [listing.limit.items()], "drafts": listing.filter.drafts, "cursor": listing.cursor});
    Ok(Reply::ok(&view).link(Some(&listing.next_link("abc_-"))))
}

/// Complete a thing
#[utoipa::path(params(("patient_id" = PatientRef, Path), ("entry_id" = Uuid, Path)), responses((status = 204), WriteErrors))]
#[post("/things/{entry_id}/complete")]
async fn complete_thing(body: MaybeBody<Words>) -> Reply {
    if body.into_inner().is_some() { Reply::ok(&json!({"body": true})) } else { Reply::no_content().no_store() }
}

/// Get an old thing
#[utoipa::path(params(("patient_id" = PatientRef, Path)), responses((status = 200, description = "It"), ReadErrors),
    extensions(("x-deprecation" = json!({"since": "2027-01-01", "sunset": "2027-07-01"}))))]
#[get("/old-thing")]
async fn get_old_thing() -> Reply {
    Reply::ok(&json!({}))
}

#[derive(OpenApi)]
#[openapi(components(schemas(Problem)))]
struct Document;

fn settings(limits: LimitSettings, document: &utoipa::openapi::OpenApi) -> Settings {
    let methods = Methods::of(&document.to_json().unwrap()).unwrap().with("/docs/{rest:.*}", &[Method::GET]);
    Settings::new(Entropy::seeded(1), Arc::new(Limits::new(limits)), Arc::new(methods))
}

fn guarded(per_minute: u32) -> LimitSettings {
    LimitSettings {
        auth_per_minute: NonZeroU32::new(per_minute),
        guarded: vec!["/v1/auth/login"],
        ..LimitSettings::default()
    }
}

/// A log-in that succeeds for who says so.
async fn log_in(request: HttpRequest) -> Result<Reply, Error> {
    if request.headers().contains_key("x-right") {
        return Ok(Reply::ok(&json!({})).no_store());
    }
    Err(Error::Unauthenticated(Code::CredentialsWrong))
}

/// Builds the application. The handlers below `/odd` fail as a framework or a programmer can.
fn build(
    limits: &LimitSettings,
) -> (
    App<
        impl actix_web::dev::ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<BoxBody>,
            Error = actix_web::Error,
            InitError = (),
        > + use<>,
    >,
    utoipa::openapi::OpenApi,
) {
    let (app, document) = App::new()
        .into_utoipa_app()
        .openapi(Document::openapi())
        .service(
            scope("/v1/patients/{patient_id}")
                .service(put_thing)
                .service(get_thing)
                .service(patch_thing)
                .service(list_things)
                .service(complete_thing)
                .service(get_old_thing),
        )
        .split_for_parts();
    let settings = settings(limits.clone(), &document);
    let app = app
        .configure(|config| configure(config, &settings))
        .service(
            web::scope("/odd")
                .route("/panic", web::get().to(panics))
                .route("/internal", web::get().to(internal))
                .route("/damaged", web::get().to(damaged))
                .route("/plain", web::get().to(async || HttpResponse::BadGateway().body("secret upstream words")))
                .route("/path/{n}", web::get().to(async |n: web::Path<u8>| n.to_string()))
                .route("/query", web::get().to(async |q: web::Query<List>| format!("{:?}", q.drafts)))
                .route("/json", web::post().to(async |w: web::Json<Words>| w.into_inner().title))
                .route("/text", web::post().to(async |text: String| text))
                .route("/id", web::get().to(async |id: RequestId| id.as_str().to_owned())),
        )
        .route("/v1/auth/login", web::post().to(log_in))
        .route("/docs/{rest:.*}", web::get().to(async || "docs"))
        .wrap(from_fn(guard::methods))
        .wrap(from_fn(limits::throttle))
        .wrap(from_fn(layers::outer));
    (app, document)
}

async fn panics() -> HttpResponse {
    panic!("canary words in a panic")
}

async fn internal() -> Result<HttpResponse> {
    Err(Error::internal("canary: duplicate key ann@example.org"))
}

async fn damaged() -> Result<HttpResponse> {
    Err(Error::Damaged("things", Uuid::from_u128(7)))
}

/// An answer, read to its end.
struct ChangeResult {
    status: u16,
    headers: actix_web::http::header::HeaderMap,
    body: Vec<u8>,
}

impl ChangeResult {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
    /// Checks the members that every problem has, and returns its code.
    fn code(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.header("content-type"), "application/problem+json", "{} {body}", self.status);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        assert!(!self.header("x-request-id").is_empty());
        assert_eq!(problem["type"], format!("/problems/{}", problem["code"].as_str().unwrap()));
        assert!(problem["title"].is_string() && problem["retryable"].is_boolean(), "{problem}");
        assert!(!body.contains("canary"), "{problem}");
        problem["code"].as_str().unwrap().to_owned()
    }
    /// The place of the first fault: a pointer into the body, or a place and a name.
    fn pointer(&self) -> String {
        self.places().into_iter().next().unwrap_or_default()
    }
    fn places(&self) -> Vec<String> {
        let problem = self.json();
        let place = |fault: &Value| match (fault["in"].as_str().unwrap(), fault.get("pointer"), fault.get("name")) {
            ("body", Some(pointer), None) => pointer.as_str().unwrap().to_owned(),
            (part @ ("query" | "path" | "header"), None, Some(name)) => format!("{part}/{}", name.as_str().unwrap()),
            (part @ ("query" | "path"), None, None) => part.to_owned(),
            odd => panic!("{odd:?}"),
        };
        problem["errors"].as_array().into_iter().flatten().map(place).collect()
    }
    fn detail(&self) -> String {
        self.json()["errors"][0]["detail"].as_str().unwrap_or_default().to_owned()
    }
}

async fn ask(request: TestRequest) -> ChangeResult {
    let app = init_service(build(&LimitSettings::default()).0).await;
    call(&app, request.to_request()).await
}

async fn call<S, R, B>(app: &S, request: R) -> ChangeResult
where
    S: Service<R, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    match app.call(request).await {
        Ok(response) => {
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            ChangeResult { status, headers, body: read_body(response).await.to_vec() }
        }
        // The server does the same with an error that leaves the application.
        Err(error) => {
            let response = error.error_response();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = actix_web::body::to_bytes(response.into_body()).await.unwrap_or_default();
            ChangeResult { status, headers, body: body.to_vec() }
        }
    }
}

const THING: &str = "/v1/patients/me/things/018f3b6e-0000-7000-8000-000000000001";
