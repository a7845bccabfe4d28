//! Checks of pushes by implementations that are not ours.

use serde_json::Value;

/// Runs a script that has what reads pushes, see [`crate::support::python`].
#[track_caller]
pub fn python(script: &str, given: &Value) -> Option<Value> {
    crate::support::python::python("cryptography, http_ece, jwt, standardwebhooks", script, given)
}
