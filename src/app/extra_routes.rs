//! Operations beside those of the product.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web;
use futures_util::future::LocalBoxFuture;

use crate::http::Methods;

/// The answer of [`ExtraRoutes`] to a request.
pub type ExtraResponse = LocalBoxFuture<'static, Result<ServiceResponse<BoxBody>, actix_web::Error>>;

/// Operations of one command, such as `sandbox`, and not of the product: they are in no document.
pub trait ExtraRoutes: Send + Sync {
    /// Adds the paths of these operations to the table of methods.
    fn methods(&self, table: Methods) -> Methods;

    /// Registers the operations.
    fn mount(&self, config: &mut web::ServiceConfig);

    /// Returns the chapter of the page at `/`, in Markdown, that leads to them.
    fn welcome(&self) -> &'static str {
        ""
    }

    /// Wraps every operation, inside the layers.
    fn around(&self, request: ServiceRequest, next: Next<BoxBody>) -> ExtraResponse;
}
