//! Room for operations beside those of the product.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web;
use futures_util::future::LocalBoxFuture;

use crate::http::Methods;

/// What a request of a [`Guest`] comes to.
pub type Answer = LocalBoxFuture<'static, Result<ServiceResponse<BoxBody>, actix_web::Error>>;

/// Operations that belong to the way in which a server was started, not to the product: they are in no document.
pub trait Guest: Send + Sync {
    /// The table of methods, with the guest's addresses.
    fn methods(&self, table: Methods) -> Methods;

    /// Registers the guest's operations.
    fn mount(&self, config: &mut web::ServiceConfig);

    /// Stands around every operation, inside the layers.
    fn around(&self, request: ServiceRequest, next: Next<BoxBody>) -> Answer;
}
