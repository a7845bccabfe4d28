//! The answer to a request without a handler.

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};

use super::{Settings, problem};
use crate::kernel::{Code, Error};

/// Answers a request without a handler: 204 to OPTIONS, 405 to a wrong method, else 404.
pub async fn fallback(request: HttpRequest) -> HttpResponse {
    let allowed = request
        .app_data::<web::Data<Settings>>()
        .map(|settings| settings.methods.of(request.match_info().as_str()))
        .unwrap_or_default();
    if allowed.is_empty() || (allowed.contains(request.method()) && request.method() != Method::OPTIONS) {
        return problem::response(&Error::NotFound);
    }
    let mut response = if request.method() == Method::OPTIONS {
        HttpResponse::new(StatusCode::NO_CONTENT)
    } else {
        problem::response(&Error::Malformed(Code::MethodNotAllowed, String::new()))
    };
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    if let Ok(allow) = HeaderValue::from_str(&names.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}
