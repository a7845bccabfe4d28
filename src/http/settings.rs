//! How the HTTP layer is set up.

use std::sync::Arc;

use super::{BodyLimit, Limits, Methods};
use crate::kernel::Entropy;

/// What the layers of every worker share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Makes request ids.
    pub entropy: Entropy,
    /// How large a body may be and how long it may take.
    pub body: BodyLimit,
    /// The most bytes of address and headers.
    pub head_bytes: usize,
    /// The rate limits; their counts are shared by all workers.
    pub limits: Arc<Limits>,
    /// Which methods each address has.
    pub methods: Arc<Methods>,
    /// Below this address the content security policy lets the vendored Swagger UI run.
    pub docs: &'static str,
}

impl Settings {
    /// The usual settings.
    pub fn new(entropy: Entropy, limits: Arc<Limits>, methods: Arc<Methods>) -> Self {
        Self { entropy, body: BodyLimit::default(), head_bytes: 32 * 1024, limits, methods, docs: "/docs" }
    }
}
