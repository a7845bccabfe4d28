//! The layer that answers for the methods of addresses and the names of query parameters, before the router.

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, web};

use super::methods::Entry;
use super::{Settings, cors, problem};
use crate::kernel::{Code, Error};

/// Answers a request whose method its address lacks with 405, and OPTIONS with 204. Both name the methods there are. A
/// preflight of a page that may talk to this server learns what it may send.
///
/// A public operation refuses a query parameter that it does not declare here. Of another operation the names are handed
/// on to the extractors, which tell the fault to callers who have access.
pub async fn methods(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let settings = request.app_data::<web::Data<Settings>>();
    // The decoded path, as the router matches it.
    let address = settings.and_then(|settings| settings.methods.address(request.match_info().as_str()));
    let Some(address) = address else { return Ok(next.call(request).await?.map_into_boxed_body()) };
    let asks = request.method() == Method::OPTIONS;
    if address.has(request.method()) && !asks {
        let entry = address.operation(request.method()).cloned();
        let Some(Entry { query, public, deprecation, .. }) = entry else {
            return Ok(next.call(request).await?.map_into_boxed_body());
        };
        let fault = query.as_ref().filter(|_| public).and_then(|query| query.check(request.query_string()).err());
        let mut response = if let Some(fault) = fault {
            request.into_response(problem::response(&fault))
        } else {
            if let Some(query) = query {
                request.extensions_mut().insert(query);
            }
            next.call(request).await?.map_into_boxed_body()
        };
        if let Some(deprecation) = deprecation {
            deprecation.tell(response.headers_mut());
        }
        return Ok(response);
    }
    let mut response = if asks {
        HttpResponse::new(StatusCode::NO_CONTENT)
    } else {
        problem::response(&Error::Malformed(Code::MethodNotAllowed, String::new()))
    };
    let allowed = address.methods();
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    if let Ok(allow) = HeaderValue::from_str(&names.join(", ")) {
        let permitted = settings.is_some_and(|settings| settings.cors.allowed(request.headers()).is_some());
        if permitted && cors::is_preflight(request.method(), request.headers()) {
            cors::preflight(&allow, response.headers_mut());
        }
        response.headers_mut().insert(header::ALLOW, allow);
    }
    Ok(request.into_response(response))
}
