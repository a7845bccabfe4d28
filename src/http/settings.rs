//! The settings of the HTTP layer.

use std::sync::Arc;

use super::{BodyLimit, Cors, Limits, Methods};
use crate::kernel::Entropy;

/// The settings that the layers of every worker share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The source of request ids.
    pub entropy: Entropy,
    /// The limits of a body.
    pub body: BodyLimit,
    /// The most bytes of address and headers.
    pub head_bytes: usize,
    /// The rate limits; their counts are shared by all workers.
    pub limits: Arc<Limits>,
    /// The methods of each address.
    pub methods: Arc<Methods>,
    /// The origins whose pages may talk to this server.
    pub cors: Cors,
    /// The address below which the content security policy lets the vendored Swagger UI run.
    pub docs: &'static str,
}

impl Settings {
    /// Returns the usual settings.
    pub fn new(entropy: Entropy, limits: Arc<Limits>, methods: Arc<Methods>) -> Self {
        Self {
            entropy,
            body: BodyLimit::default(),
            head_bytes: 32 * 1024,
            limits,
            methods,
            cors: Cors::default(),
            docs: "/docs",
        }
    }
}
