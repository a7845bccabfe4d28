//! The registration of operations, for a server or for the document.
//!
//! Each worker of a server registers all of them. Only the document needs their descriptions, and collecting these
//! takes megabytes that the allocator of each worker would keep.

use actix_web::dev::HttpServiceFactory;
use actix_web::web;
use utoipa_actix_web::OpenApiFactory;
use utoipa_actix_web::service_config::ServiceConfig as Described;

/// The operations, in the order in which the router tries them.
pub struct Operations<'c, 'd>(Into<'c, 'd>);

enum Into<'c, 'd> {
    Server(&'c mut web::ServiceConfig),
    Document(&'c mut Described<'d>),
}

impl std::fmt::Debug for Operations<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Operations")
    }
}

impl<'c, 'd> Operations<'c, 'd> {
    /// Registers operations with a server.
    pub fn served(config: &'c mut web::ServiceConfig) -> Self {
        Self(Into::Server(config))
    }

    /// Registers operations with the document.
    pub fn described(config: &'c mut Described<'d>) -> Self {
        Self(Into::Document(config))
    }

    /// Adds an operation.
    pub fn service<F: HttpServiceFactory + OpenApiFactory + 'static>(&mut self, operation: F) -> &mut Self {
        match &mut self.0 {
            Into::Server(config) => drop(config.service(operation)),
            Into::Document(config) => drop(config.service(operation)),
        }
        self
    }

    /// Adds the operations of a slice.
    pub fn configure(&mut self, list: impl FnOnce(&mut Operations<'_, '_>)) -> &mut Self {
        list(self);
        self
    }

    /// Adds operations below `path`.
    pub fn scope(&mut self, path: &str, list: impl FnOnce(&mut Operations<'_, '_>)) -> &mut Self {
        match &mut self.0 {
            Into::Server(config) => {
                let inner = web::scope(path).configure(|inner| list(&mut Operations::served(inner)));
                config.service(inner);
            }
            Into::Document(config) => {
                let list = |inner: &mut Described<'_>| list(&mut Operations::described(inner));
                config.service(utoipa_actix_web::scope(path).configure(list));
            }
        }
        self
    }
}
