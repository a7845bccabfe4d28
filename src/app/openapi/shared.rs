//! Responses that operations have in common, written once among the components of the document.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi, PathItem, Ref, RefOr};

/// Returns the operations of an address.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// Moves the responses that are no success into the components, each under the name of its status. One that differs
/// from those of other operations stays; a test refuses it. Returns the names by status.
pub(super) fn share_responses(document: &mut OpenApi) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let components = document.components.get_or_insert_default();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        for (status, response) in &mut operation.responses.responses {
            let Some(name) = name(status) else { continue };
            let shared = components.responses.entry(name.clone()).or_insert_with(|| response.clone());
            if shared == response {
                *response = RefOr::Ref(Ref::from_response_name(&name));
            }
            names.entry(status.clone()).or_insert(name);
        }
    }
    names
}

/// Returns the name of a status that is no success: `NotFound`.
fn name(status: &str) -> Option<String> {
    let status = StatusCode::from_bytes(status.as_bytes()).ok().filter(|status| !status.is_success())?;
    Some(status.canonical_reason()?.chars().filter(char::is_ascii_alphanumeric).collect())
}
