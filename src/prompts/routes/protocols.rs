//! Protocols.

use actix_web::{get, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::document::ReadErrors;
use crate::http::{EntityTag, PathOf, Preconditions, Reply};
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
    /// How far it has been approved.
    status: String,
    /// Its title.
    title: String,
    /// How many rules it has.
    rules: usize,
}

/// The protocols.
#[derive(Serialize, ToSchema)]
struct ProtocolList {
    /// The protocols.
    items: Vec<ProtocolSummary>,
}

/// List protocols
#[utoipa::path(tag = "prompts", operation_id = "list_protocols",
    responses((status = 200, description = "The protocols", body = ProtocolList), ReadErrors))]
#[get("/protocols")]
pub(super) async fn list_protocols(caller: Caller, state: web::Data<State>) -> Result<Reply> {
    state.db.read(move |tx| caller.live(tx).map(|_| ())).await?;
    let protocol = Protocol::default_v1();
    let summary = ProtocolSummary {
        key: protocol.key.clone(),
        version: protocol.version,
        status: protocol.status.clone(),
        title: protocol.title.clone(),
        rules: protocol.rules.len(),
    };
    Ok(Reply::ok(&ProtocolList { items: vec![summary] }))
}

/// Read a protocol
///
/// The whole definition: window parameters, parts of the day, caps and rules. Rules with `needs` are planned only by a
/// server that has these capabilities.
#[utoipa::path(tag = "prompts", operation_id = "get_protocol",
    params(("key" = String, Path, description = "Its name", example = "afterglow-default"), crate::http::document::IfNoneMatchHeader),
    responses((status = 200, description = "The protocol", body = serde_json::Value), (status = 304, description = "You have it"), ReadErrors))]
#[get("/protocols/{key}")]
pub(super) async fn get_protocol(
    caller: Caller,
    key: PathOf<(String,)>,
    when: Preconditions,
    state: web::Data<State>,
) -> Result<Reply> {
    state.db.read(move |tx| caller.live(tx).map(|_| ())).await?;
    let protocol = Protocol::default_v1();
    if key.0.0 != protocol.key {
        return Err(Error::NotFound);
    }
    Ok(Reply::ok(protocol).unless_known(&EntityTag::version(i64::from(protocol.version)), &when))
}
