//! The files at well-known addresses (RFC 8615).

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use jiff::{Timestamp, ToSpan, Unit};

use crate::http::document::PublicFileErrors;
use crate::kernel::{Error, Result};
use crate::state::State;

/// Get the contact for security reports
///
/// The file `security.txt` of RFC 9116. 404 unless the operator named a contact.
#[utoipa::path(tag = "server", operation_id = "get_security_txt", security(()),
    responses((status = 200, description = "The file", body = String, content_type = "text/plain"), PublicFileErrors))]
#[get("/.well-known/security.txt")]
pub(super) async fn get_security_txt(state: web::Data<State>) -> Result<HttpResponse> {
    let contact = state.config.security_contact.as_ref().ok_or(Error::NotFound)?;
    let url = &state.config.public_url;
    let expires = until(state.clock.now());
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .body(format!(
            "Contact: {contact}\nExpires: {expires}\nPreferred-Languages: en\nCanonical: {url}/.well-known/security.txt\n"
        )))
}

/// Returns the time half a year ahead. The file is made anew for each reader, so it never expires.
fn until(now: Timestamp) -> Timestamp {
    let expires = now.saturating_add((180 * 24).hours()).unwrap_or(now);
    expires.round(Unit::Second).unwrap_or(expires)
}

/// Go to the page to change a passphrase
///
/// For password managers. 404 unless the operator named the page.
#[utoipa::path(tag = "server", operation_id = "get_change_password", security(()),
    responses((status = 303, description = "The page is in `Location`"), PublicFileErrors))]
#[get("/.well-known/change-password")]
pub(super) async fn get_change_password(state: web::Data<State>) -> Result<HttpResponse> {
    let page = state.config.change_password_url.as_ref().ok_or(Error::NotFound)?;
    Ok(HttpResponse::SeeOther().insert_header((header::LOCATION, page.as_str())).finish())
}
