//! Responses that operations have in common, written once among the components of the document.

use std::collections::BTreeMap;

use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi, PathItem, Ref, RefOr};

use crate::http::document::{problem, response_name};

/// Returns the operations of an address.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// Puts the responses that are no success among the components, each under the name of its status, where operations
/// refer to it. One that an operation declares by itself and that differs stays there; a test refuses it. Returns the
/// names by status.
pub(super) fn share_responses(document: &mut OpenApi) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let components = document.components.get_or_insert_default();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        for (status, response) in &mut operation.responses.responses {
            let Some(name) = response_name(status) else { continue };
            let shared = components.responses.entry(name.clone()).or_insert_with(|| match response {
                RefOr::Ref(_) => RefOr::T(problem(status.parse().unwrap_or_default())),
                RefOr::T(own) => RefOr::T(own.clone()),
            });
            if shared == response {
                *response = RefOr::Ref(Ref::from_response_name(&name));
            }
            names.entry(status.clone()).or_insert(name);
        }
    }
    names
}
