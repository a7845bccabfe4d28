//! Requests for what the server says of itself.

use super::Ask;

/// The request for `operation`, if it is one of these.
pub fn ask(operation: &str) -> Option<Ask> {
    let ask = match operation {
        "get_jwks" => Ask::get("/.well-known/jwks.json"),
        "get_authorization_server" => Ask::get("/.well-known/oauth-authorization-server"),
        "get_security_txt" => Ask::get("/.well-known/security.txt"),
        "get_change_password" => Ask::get("/.well-known/change-password"),
        "get_health" => Ask::get("/healthz"),
        "get_metrics" => Ask::get("/metrics"),
        "get_problem" => Ask::get("/problems/not_found"),
        "get_ready" => Ask::get("/readyz"),
        "get_meta" => Ask::get("/v1/meta"),
        _ => return None,
    };
    Some(ask)
}
