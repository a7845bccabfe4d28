//! Invitations.

use std::collections::BTreeSet;

use actix_web::{delete, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::model::Capabilities;
use crate::config::Registration;
use crate::http::document::{ActionErrors, IdempotencyKeyHeader, ReadErrors, WriteErrors};
use crate::http::{Body, Listing, PageQuery, Reply, Request};
use crate::idempotency::Outcome;
use crate::identity::{Claimed, Email, Staff};
use crate::kernel::id::Invitation;
use crate::kernel::page::Page;
use crate::kernel::{Error, Fields, Id, Result, Text};
use crate::onboarding::invitations::{self, InvitationRequest};
use crate::onboarding::model::{InvitationDoc, Invitee};
use crate::onboarding::store::{InvitationRow, NewInvitation};
use crate::state::State;
use crate::vault::Vault;

/// The invitee.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateInvitation {
    /// `patient` (by a member with `care`, who becomes the therapist) or `staff` (by a member with `admin`).
    #[schema(pattern = "^(patient|staff)$", example = "patient")]
    kind: String,
    /// The capabilities of staff: `care`, `record`, `duty`, `admin`.
    #[schema(nullable = false, example = json!(["record"]))]
    capabilities: Option<BTreeSet<String>>,
    /// The invited person's name, for the inviter's own list.
    #[schema(nullable = false, min_length = 1, max_length = 120, example = "Ann Walker")]
    name: Option<String>,
    /// The invited person's address. The code then works for it alone.
    #[schema(nullable = false, format = "idn-email", max_length = 254, example = "ann@example.org")]
    email: Option<String>,
    /// The clinic; required for inviters who work at several.
    #[schema(nullable = false)]
    clinic_id: Option<Uuid>,
}

/// An invitation.
#[derive(Serialize, ToSchema)]
struct InvitationView {
    /// Its id.
    id: Uuid,
    /// The clinic.
    clinic_id: Uuid,
    /// The account that invites; all zeros for the operator of the server.
    inviter_id: Uuid,
    /// `patient` or `staff`.
    #[schema(example = "patient")]
    kind: &'static str,
    /// The capabilities of staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!(["record"]))]
    capabilities: Option<Vec<&'static str>>,
    /// The person's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ann Walker")]
    name: Option<String>,
    /// The address the code is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "ann@example.org")]
    email: Option<String>,
    /// `open`, `used`, `revoked` or `expired`.
    #[schema(example = "open")]
    state: &'static str,
    /// The code to hand over; only in the answer to the request that made the invitation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "7K2M-9XQ4-T0VB-HS3D")]
    code: Option<String>,
    /// The instant of its creation.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The instant at which the code expires: after 72 hours.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Whether name and address are damaged and left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

/// A page of invitations.
#[derive(Serialize, ToSchema)]
struct InvitationPage {
    items: Vec<InvitationView>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl CreateInvitation {
    /// Makes and seals the invitation, before the unit that inserts it.
    async fn prepare(self, state: &State, caller: &Claimed<Staff>) -> Result<NewInvitation> {
        let open = state.config.registration == Registration::Open;
        invitations::prepare(state, caller, self.parse(open)?).await
    }

    /// Where registration is `open`, nobody joins without the code of a letter: an address must then be one that
    /// letters reach.
    fn parse(self, open: bool) -> Result<InvitationRequest> {
        let mut fields = Fields::new();
        // An empty list names nothing, as in a client that sends every member.
        let invitee = match (self.kind.as_str(), self.capabilities.filter(|names| !names.is_empty())) {
            ("patient", None) => Some(Invitee::Patient),
            ("patient", Some(_)) => {
                fields.fault("/capabilities", "are for staff");
                None
            }
            ("staff", names) => fields.need("/capabilities", names, |names| {
                Capabilities::parse(names.iter().map(String::as_str))
                    .map(Invitee::Staff)
                    .ok_or("must be one or more of care, record, duty, admin")
            }),
            _ => {
                fields.fault("/kind", "must be patient or staff");
                None
            }
        };
        let name = self.name.and_then(|name| fields.take("/name", Text::line(&name)));
        let email = self.email.and_then(|email| fields.take("/email", Email::parse(email)));
        let email = email.filter(|email| !open || fields.take("/email", email.check_routable()).is_some());
        let invitee = fields.finish(invitee)?;
        Ok(InvitationRequest { invitee, doc: InvitationDoc { name, email }, clinic: self.clinic_id.map(Id::from_uuid) })
    }
}

impl InvitationView {
    /// Shows an invitation to its inviter once it is made, with its code.
    async fn with_code(vault: &Vault, row: &InvitationRow, now: Timestamp) -> Result<Self> {
        let code = invitations::code_of(vault, row.key.id).to_string();
        Ok(Self::new(row, Some(invitations::open_doc(vault, row).await?), now, Some(code)))
    }

    fn new(row: &InvitationRow, doc: Option<InvitationDoc>, now: Timestamp, code: Option<String>) -> Self {
        let unreadable = doc.is_none().then_some(true);
        let doc = doc.unwrap_or_default();
        let (kind, capabilities) = match row.key.invitee() {
            Invitee::Patient => ("patient", None),
            Invitee::Staff(may) => ("staff", Some(may.names())),
        };
        Self {
            id: row.key.id.uuid(),
            clinic_id: row.key.clinic_id.uuid(),
            inviter_id: row.key.inviter_id.uuid(),
            kind,
            capabilities,
            name: doc.name.map(Text::into_string),
            email: doc.email.map(|email| email.as_str().to_owned()),
            state: invitations::state_of(row, now),
            code,
            created_at: row.key.created_at.0,
            expires_at: row.key.expires_at.0,
            unreadable,
        }
    }
}

/// Make an invitation
///
/// Makes a code for one use within 72 hours, and shows it once. A therapist invites patients to a care link with
/// themself; an admin invites staff. Hand the code over in person or by a channel you trust.
#[utoipa::path(tag = "care", params(IdempotencyKeyHeader), request_body = CreateInvitation,
    responses((status = 201, description = "The invitation with its code", body = InvitationView), WriteErrors))]
#[post("/invitations")]
pub(super) async fn create_invitation(
    caller: Claimed<Staff>,
    request: Request<(), Body<CreateInvitation>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let answer = caller.change(
        &state,
        request.prepare(async |asked| asked.body.into_inner().prepare(&state, &caller).await).await,
        |command| Ok(command.body),
        |tx, live, new| Ok(Outcome::created(new.id, invitations::invite(tx, live, new)?)),
        |tx, live, outcome| outcome.or_get(|id| invitations::get_own(tx, live, id)),
    );
    let (origin, row) = answer.await?.into_parts();
    let view = InvitationView::with_code(&state.vault, &row, caller.now()).await?;
    Ok(origin.reply_at(Reply::ok(&view).no_store(), &format!("/v1/invitations/{}", row.key.id)))
}

/// List invitations
///
/// The caller's own, and those of staff at the clinics they administer; newest first, without codes.
#[utoipa::path(tag = "care", params(PageQuery),
    responses((status = 200, description = "A page of invitations", body = InvitationPage), ReadErrors))]
#[get("/invitations")]
pub(super) async fn list_invitations(
    caller: Claimed<Staff>,
    listing: Result<Listing>,
    state: web::Data<State>,
) -> Result<Reply> {
    let scope = caller.cursor_scope("list_invitations");
    let (asked, listing) = caller.page(&state, &scope, listing).await?;
    let page = caller.read(&state, move |tx, live| invitations::list(tx, live, asked)).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for row in &page.items {
        let doc = Error::skip_damaged(invitations::open_doc(&state.vault, row).await)?;
        items.push(InvitationView::new(row, doc, caller.now(), None));
    }
    let page = Page { items, next: page.next };
    Ok(listing.reply(&state.vault, &scope, page, |items, next_cursor| InvitationPage { items, next_cursor }))
}

/// Revoke an invitation
///
/// Its code then no longer works. Its inviter may revoke it, and the clinic's admins if it is for staff; only before it
/// is used. A repetition changes nothing.
#[utoipa::path(tag = "care",
    params(("invitation_id" = Uuid, Path, description = "The invitation's id"), IdempotencyKeyHeader),
    responses((status = 204, description = "It is revoked"), ActionErrors))]
#[delete("/invitations/{invitation_id}")]
pub(super) async fn revoke_invitation(
    caller: Claimed<Staff>,
    request: Request<Id<Invitation>>,
    state: web::Data<State>,
) -> Result<Reply> {
    caller.delete(&state, request, |tx, live, command| invitations::revoke(tx, live, command.id)).await
}
