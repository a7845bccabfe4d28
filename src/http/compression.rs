//! Which responses are compressed.
//!
//! The size of a compressed text tells something about it, so that who can put words of their own beside a secret, and
//! sees sizes, can guess the secret (BREACH). So only two kinds are compressed: what anybody may read without a token,
//! and what holds only the reader's own words ([`Reply::compressed_if`](super::Reply::compressed_if)). Tokens,
//! comments, names, and what a therapist reads are sent as they are.

use actix_web::Error;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;

/// The smallest body that is worth the work.
const LEAST: u64 = 1024;

/// Marks a response that holds only the reader's own words, or those of the product.
#[derive(Clone, Copy, Debug)]
pub struct OwnWords;

/// Lets the compression inside of which it stands compress this response, or keeps it from it.
pub async fn choose<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let anybody = request.method() == Method::GET && !request.headers().contains_key(header::AUTHORIZATION);
    let mut response = next.call(request).await?;
    let own = response.response_mut().extensions_mut().remove::<OwnWords>().is_some();
    let whole = response.status() == StatusCode::OK;
    let large = matches!(response.response().body().size(), BodySize::Sized(size) if size >= LEAST);
    let chosen = whole && large && (anybody || own);
    let headers = response.headers_mut();
    if chosen {
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    } else if !headers.contains_key(header::CONTENT_ENCODING) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("identity"));
    }
    Ok(response)
}

/// Completes the headers after the compression. The tag of a compressed body is weak: it is not that of the same bytes.
pub fn complete(headers: &mut HeaderMap) {
    let coding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    match coding {
        None => return,
        Some(b"identity") => {
            headers.remove(header::CONTENT_ENCODING);
            return;
        }
        Some(_) => {}
    }
    // Each of the two layers has named it.
    let others: Vec<HeaderValue> =
        headers.get_all(header::VARY).filter(|value| *value != "accept-encoding").cloned().collect();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    for other in others {
        headers.append(header::VARY, other);
    }
    let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| tag.starts_with('"'));
    if let Some(Ok(weak)) = tag.map(|tag| HeaderValue::from_str(&format!("W/{tag}"))) {
        headers.insert(header::ETAG, weak);
    }
}
