//! The operations of care: joining, invitations, links, the roster, staff.

mod invitations;
mod joining;
mod links;
mod members;
mod patient;
mod roster;

use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::http::Operations;
use crate::kernel::page::Limit;
use crate::kernel::{Error, Id, Result};
use crate::state::State;

/// Registers the operations below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config
        .service(joining::set_up)
        .service(joining::register)
        .service(joining::accept_invitation)
        .service(invitations::create_invitation)
        .service(invitations::list_invitations)
        .service(invitations::revoke_invitation)
        .service(links::list_care_links)
        .service(links::confirm_care_link)
        .service(links::end_care_link)
        .service(roster::list_my_patients)
        .service(members::get_clinic)
        .service(members::list_members)
        .service(members::update_member);
}

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(patient::list_care_team).service(patient::list_access_log);
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// How many items: 1 to 200, 20 unless said.
    #[param(required = false, nullable = false, minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[param(required = false, nullable = false, max_length = 500)]
    cursor: Option<String>,
}

impl PageQuery {
    fn limit(&self) -> Result<Limit> {
        Limit::parse(self.limit)
    }

    /// The id after which the page starts; the cursor is good for the same `scope` only.
    fn after<K>(&self, state: &State, scope: &[u8]) -> Result<Option<Id<K>>> {
        let Some(text) = &self.cursor else { return Ok(None) };
        let bytes = state.vault.open_cursor(scope, text);
        let id = bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok());
        id.map(|id| Some(Id::from_uuid(id))).ok_or_else(|| Error::field("query/cursor", "is not a cursor of this list"))
    }
}

/// The cursor of the page after `last`.
fn cursor<K>(state: &State, scope: &[u8], last: Option<Id<K>>) -> Option<String> {
    last.map(|id| state.vault.seal_cursor(scope, id.uuid().as_bytes()))
}

/// Binds cursors to the caller and the operation.
fn scope(act: &str, caller: impl std::fmt::Display) -> Vec<u8> {
    format!("{act}|{caller}").into_bytes()
}
