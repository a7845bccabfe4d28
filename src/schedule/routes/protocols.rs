//! The operations on protocols.

use actix_web::{get, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::document::{IfNoneMatchHeader, ReadErrors};
use crate::http::{Command, EntityTag, Preconditions, Reply, Request, whole_list};
use crate::identity::Caller;
use crate::kernel::{Error, Result};
use crate::planning::Protocol;
use crate::state::State;

/// A protocol in a list.
#[derive(Serialize, ToSchema)]
struct ProtocolSummary {
    /// Its name.
    #[schema(example = "afterglow-default")]
    key: String,
    /// Its version. Versions are never changed.
    #[schema(example = 1)]
    version: u32,
    /// The state of its approval.
    status: String,
    /// Its title.
    title: String,
    /// The number of its rules.
    rules: usize,
}

/// The protocols.
#[derive(Serialize, ToSchema)]
struct ProtocolList {
    /// The protocols.
    items: Vec<ProtocolSummary>,
}

impl From<&Protocol> for ProtocolSummary {
    fn from(protocol: &Protocol) -> Self {
        Self {
            key: protocol.key.clone(),
            version: protocol.version,
            status: protocol.status.clone(),
            title: protocol.title.clone(),
            rules: protocol.rules.len(),
        }
    }
}

/// List protocols
#[utoipa::path(tag = "prompts", params(IfNoneMatchHeader),
    responses((status = 200, description = "The protocols", body = ProtocolList), ReadErrors))]
#[get("/protocols")]
pub(super) async fn list_protocols(caller: Caller, when: Preconditions, state: web::Data<State>) -> Result<Reply> {
    caller.read(&state, |_, _| Ok(())).await?;
    let list = ProtocolList { items: state.protocols.known().list().map(ProtocolSummary::from).collect() };
    Ok(whole_list(&state.vault, b"list_protocols", &list, &when).compressed_if(true))
}

/// Read a protocol
///
/// The whole definition: window parameters, parts of the day, caps and rules. Rules with `needs` are planned only by a
/// server that has these capabilities.
#[utoipa::path(tag = "prompts",
    params(("key" = String, Path, description = "Its name", example = "afterglow-default"), IfNoneMatchHeader),
    responses((status = 200, description = "The protocol", body = serde_json::Value), (status = 304, description = "You have it"), ReadErrors))]
#[get("/protocols/{key}")]
pub(super) async fn get_protocol(
    caller: Caller,
    request: Request<(String,)>,
    state: web::Data<State>,
) -> Result<Reply> {
    let Command { id: (key,), when, .. } = caller.first(&state, request.into_command()).await?;
    caller.read(&state, |_, _| Ok(())).await?;
    let protocols = state.protocols.known();
    let protocol = protocols.newest(&key).ok_or(Error::NotFound)?;
    // Translations are added to a version.
    Ok(Reply::ok(protocol).compressed_if(true).unless_shown(EntityTag::of_content, &when))
}
