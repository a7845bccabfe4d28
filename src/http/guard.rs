//! The layer that answers for the methods of addresses, before the router.

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web;

use super::{Settings, problem};
use crate::kernel::{Code, Error};

/// Answers a request whose method its address lacks with 405, and OPTIONS with 204. Both name the methods there are.
pub async fn methods(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let settings = request.app_data::<web::Data<Settings>>();
    // The decoded path, as the router matches it.
    let allowed = settings.map(|settings| settings.methods.of(request.match_info().as_str())).unwrap_or_default();
    let asks = request.method() == Method::OPTIONS;
    if allowed.is_empty() || (allowed.contains(request.method()) && !asks) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let mut response = if asks {
        HttpResponse::new(StatusCode::NO_CONTENT)
    } else {
        problem::response(&Error::Malformed(Code::MethodNotAllowed, String::new()))
    };
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    if let Ok(allow) = HeaderValue::from_str(&names.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    Ok(request.into_response(response))
}
