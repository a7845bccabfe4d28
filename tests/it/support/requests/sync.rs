//! Requests of phones that keep their patient's data.

use super::{Ask, Asker};

/// The request for `operation`, if it is one of these.
pub fn ask(asker: &Asker<'_>, operation: &str) -> Option<Ask> {
    Some(match operation {
        "get_bundle" => Ask::get("/v1/bundle"),
        "pull_changes" => Ask::get(asker.of_ann("/changes?limit=200")),
        _ => return None,
    })
}
