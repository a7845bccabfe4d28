//! The examples of parameters. Swagger UI fills them into its form, and sends what stands there.

use serde_json::json;
use utoipa::openapi::path::{Parameter, ParameterBuilder};
use utoipa::openapi::{OpenApi, RefOr, Required};

use super::access::Callers;
use super::shared::operations;

/// A patient's id, for operations that only others than the patient may call.
const SOMEBODY: &str = "ca29a134-1f54-4dbd-b869-9f5cef5e01c7";

/// Fills in `me` for the patient wherever a patient may call, and takes the examples of optional parameters into their
/// descriptions: who tries an operation is not to send a condition that they did not choose.
pub(super) fn fill_in(document: &mut OpenApi) {
    let callers = Callers::by_operation();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let callers = operation.operation_id.as_deref().and_then(|id| callers.get(id));
        let own = callers.is_some_and(|who| who.include("owner"));
        for parameter in operation.parameters.iter_mut().flatten() {
            let RefOr::T(parameter) = parameter else { continue };
            let filled = std::mem::replace(parameter, Parameter::new(""));
            *parameter = if filled.name == "patient_id" {
                let example = if own { "me" } else { SOMEBODY };
                ParameterBuilder::from(filled).example(Some(json!(example))).build()
            } else if filled.required == Required::False {
                without_example(filled)
            } else {
                filled
            };
        }
    }
}

fn without_example(parameter: Parameter) -> Parameter {
    let written = serde_json::to_value(&parameter).unwrap_or_default();
    let builder = ParameterBuilder::from(parameter).example(None);
    let Some(example) = written.get("example") else { return builder.build() };
    let text = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
    let description = written.get("description").and_then(|text| text.as_str()).unwrap_or_default();
    builder.description(Some(format!("{description} For example `{text}`."))).build()
}
