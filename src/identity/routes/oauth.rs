//! What generic OAuth clients ask for: the revocation of a token, and the metadata of the server.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::document::{AuthErrors, PublicErrors};
use crate::http::{FormBody, Reply};
use crate::identity::model::SIGN_IN_BYTES;
use crate::identity::{Tokens, actions};
use crate::kernel::Result;
use crate::state::State;

/// A token to revoke. Other parameters are ignored.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the document reads the fields")]
struct RevokeToken {
    /// An access token or a refresh token.
    #[schema(format = "password", example = "pHc1mQ…")]
    token: String,
    /// `access_token` or `refresh_token`. It is not needed: the server sees which it is.
    #[schema(nullable = false, example = "refresh_token")]
    token_type_hint: Option<String>,
}

/// Revoke a token
///
/// Ends the session of the token (RFC 7009), as a log-out does. A token that is unknown, spent or over is answered the
/// same, and changes nothing.
#[utoipa::path(tag = "identity", security(()),
    request_body(content = RevokeToken, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The token is not good any more"), AuthErrors))]
#[post("/auth/revoke")]
pub(super) async fn revoke_token(
    form: FormBody<SIGN_IN_BYTES>,
    state: web::Data<State>,
    tokens: web::Data<Arc<Tokens>>,
) -> Result<HttpResponse> {
    let token = form.required("token")?.to_owned();
    actions::revoke(&state, &tokens, token).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).finish())
}

/// The metadata of the server, of which only what is true stands here.
#[derive(Serialize, ToSchema)]
struct AuthorizationServer {
    /// The issuer of access tokens: the claim `iss`.
    #[schema(format = "uri", example = "https://afterglow.example.org")]
    issuer: String,
    /// The address of the public keys.
    #[schema(format = "uri", example = "https://afterglow.example.org/.well-known/jwks.json")]
    jwks_uri: String,
    /// The address at which tokens are revoked.
    #[schema(format = "uri", example = "https://afterglow.example.org/v1/auth/revoke")]
    revocation_endpoint: String,
    /// The ways in which a client names itself there: `none`.
    #[schema(example = json!(["none"]))]
    revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    /// The response types: none. Apps log in with `POST /v1/auth/login`.
    #[schema(example = json!([]))]
    response_types_supported: Vec<&'static str>,
    /// The grant types: none.
    #[schema(example = json!([]))]
    grant_types_supported: Vec<&'static str>,
    /// The address of the documentation.
    #[schema(format = "uri", example = "https://afterglow.example.org/docs")]
    service_documentation: String,
}

/// Get the metadata of the authorization server
///
/// RFC 8414, for libraries that verify access tokens or revoke tokens.
#[utoipa::path(tag = "server", security(()),
    responses((status = 200, description = "The metadata", body = AuthorizationServer), PublicErrors))]
#[get("/.well-known/oauth-authorization-server")]
pub(crate) async fn get_authorization_server(state: web::Data<State>, _request: HttpRequest) -> Reply {
    let url = &state.config.public_url;
    Reply::ok(&AuthorizationServer {
        issuer: url.clone(),
        jwks_uri: format!("{url}/.well-known/jwks.json"),
        revocation_endpoint: format!("{url}/v1/auth/revoke"),
        revocation_endpoint_auth_methods_supported: vec!["none"],
        response_types_supported: Vec::new(),
        grant_types_supported: Vec::new(),
        service_documentation: format!("{url}/docs"),
    })
    .public()
}
