//! The staff of a clinic.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use actix_web::{get, patch, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::clinics;
use crate::care::members::{self, MemberChange};
use crate::care::model::Capabilities;
use crate::care::people::{Names, SealedNames};
use crate::care::store::Member;
use crate::db::Tx;
use crate::http::document::{IdempotencyKeyHeader, IfMatchHeader, ReadErrors, WriteErrors};
use crate::http::{Body, Command, EntityTag, Listing, PageQuery, Patch, Patchable, PathOf, Reply, Request};
use crate::idempotency::Outcome;
use crate::identity::{Claimed, Guarded, Live, Staff, list_disabled};
use crate::kernel::id::{Account, Clinic};
use crate::kernel::{Fields, Id, Result};
use crate::state::State;

/// The parsed change of a member of staff.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Member)]
#[serde(deny_unknown_fields)]
struct MemberBody {
    /// The member's capabilities, of `care`, `record`, `duty`, `admin`.
    #[schema(example = json!(["care", "record"]))]
    capabilities: BTreeSet<String>,
    /// Whether the member no longer works here. Their care links at this clinic then end.
    ended: bool,
}

impl Patchable for MemberBody {
    const FIXED: &'static [&'static str] = &[];
}

type PatchMember = Patch<MemberBody>;

/// An admin who has shown a fresh proof.
type Proved = Live<Guarded<Staff>>;

/// A member of a clinic.
#[derive(Serialize, ToSchema)]
pub(super) struct ClinicMember {
    /// Their account.
    account_id: Uuid,
    /// The person's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Thea Brandt")]
    name: Option<String>,
    /// The capabilities: `care`, `record`, `duty`, `admin`.
    #[schema(example = json!(["care"]))]
    capabilities: Vec<&'static str>,
    /// The instant from which the person works there.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Whether the account is disabled: the person cannot log in.
    disabled: bool,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    pub(super) etag: EntityTag,
    /// Whether a name that belongs here is damaged and left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

/// A page of members.
#[derive(Serialize, ToSchema)]
struct ClinicMemberPage {
    items: Vec<ClinicMember>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl MemberBody {
    fn of(member: &Member) -> Self {
        let capabilities = member.may().names().into_iter().map(str::to_owned).collect();
        Self { capabilities, ended: false }
    }

    fn parse(self) -> Result<MemberChange> {
        let mut fields = Fields::new();
        let parsed = Capabilities::parse(self.capabilities.iter().map(String::as_str));
        let capabilities =
            fields.take("/capabilities", parsed.ok_or("must be one or more of care, record, duty, admin"));
        fields.finish(capabilities.map(|capabilities| MemberChange { capabilities, ended: self.ended }))
    }
}

impl ClinicMember {
    pub(super) fn new(member: &Member, names: &Names, disabled: &HashSet<Id<Account>>) -> Self {
        Self {
            account_id: member.account_id.uuid(),
            name: names.person(member.account_id),
            capabilities: member.may().names(),
            since: member.created_at.0,
            disabled: disabled.contains(&member.account_id),
            etag: members::tag(member),
            unreadable: names.unreadable([member.account_id.uuid()]),
        }
    }
}

/// A clinic, as its admins see it.
#[derive(Serialize, ToSchema)]
struct ClinicSummary {
    /// Its id.
    id: Uuid,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Lakeside Clinic")]
    name: Option<String>,
    /// The number of patients with an active care link here. Below ten it is `< 10`: the difference between
    /// two small numbers would identify a patient.
    #[schema(example = "< 10")]
    patients: String,
    /// Whether its staff need a second factor for everything about patients.
    staff_second_factor: bool,
    /// Whether a name that belongs here is damaged and left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

/// Read a clinic
///
/// For its admins: the clinic's name and its number of patients, shown exactly from ten on.
#[utoipa::path(tag = "care",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id")),
    responses((status = 200, description = "The clinic", body = ClinicSummary), ReadErrors))]
#[get("/clinics/{clinic_id}")]
pub(super) async fn get_clinic(
    caller: Claimed<Staff>,
    clinic: PathOf<Id<Clinic>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let clinic = clinic.into_inner();
    let unit = caller.read(&state, move |tx, live| {
        let patients = clinics::count_patients(tx, live, clinic)?;
        let factor = clinics::second_factor(tx, live, clinic)?;
        Ok((patients, factor, SealedNames::collect(tx, [], [clinic])?))
    });
    let (count, staff_second_factor, names) = unit.await?;
    let names = names.open(&state.vault).await?;
    let unreadable = names.unreadable([clinic.uuid()]);
    Ok(Reply::ok(&ClinicSummary {
        id: clinic.uuid(),
        name: names.clinic(clinic),
        patients: clinics::told(count),
        staff_second_factor,
        unreadable,
    }))
}

/// List a clinic's staff
///
/// For its admins.
#[utoipa::path(tag = "care",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"), PageQuery),
    responses((status = 200, description = "A page of members", body = ClinicMemberPage), ReadErrors))]
#[get("/clinics/{clinic_id}/members")]
pub(super) async fn list_members(
    caller: Claimed<Staff>,
    clinic: PathOf<Id<Clinic>>,
    listing: Result<Listing>,
    state: web::Data<State>,
) -> Result<Reply> {
    let (clinic, scope) = (clinic.into_inner(), caller.cursor_scope("list_members"));
    let (asked, listing) = caller.page(&state, &scope, listing).await?;
    let unit = caller.read(&state, move |tx, live| {
        let page = members::list(tx, live, clinic, asked)?;
        let accounts: Vec<_> = page.items.iter().map(|member| member.account_id).collect();
        let disabled = list_disabled(tx, &accounts)?;
        Ok((page, SealedNames::collect(tx, accounts, [])?, disabled))
    });
    let (page, names, disabled) = unit.await?;
    let names = names.open(&state.vault).await?;
    let page = page.try_map(|member| Ok(ClinicMember::new(&member, &names, &disabled)))?;
    Ok(listing.reply(&state.vault, &scope, page, |items, next_cursor| ClinicMemberPage { items, next_cursor }))
}

/// Change a member of staff
///
/// For the clinic's admins: sets the member's capabilities, or ends their work there. With their work, and with `care`,
/// their care links at this clinic end, and what was granted over them. When somebody gets `record`, the clinic's
/// patients find it in their access logs. An admin cannot give themself a capability, and the last admin cannot be removed.
/// An admin with a second factor proves themself again within 5 minutes (403 `step_up_required`).
#[utoipa::path(tag = "care",
    request_body(content((PatchMember = "application/merge-patch+json"), (PatchMember = "application/json"))),
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("account_id" = Uuid, Path, description = "The member's account"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "The member", body = ClinicMember), WriteErrors))]
#[patch("/clinics/{clinic_id}/members/{account_id}")]
pub(super) async fn update_member(
    caller: Claimed<Guarded<Staff>>,
    request: Request<(Id<Clinic>, Id<Account>), PatchMember>,
    state: web::Data<State>,
) -> Result<Reply> {
    let (planner, clinic) = (Arc::clone(&state.planner), request.id().map(|(clinic, _)| *clinic));
    let work = move |tx: &mut Tx<'_>, live: &Proved, Command { id, when, body }: &Command<_, PatchMember>| {
        let change = |member: &Member| body.apply(&MemberBody::of(member))?.parse();
        members::update(tx, planner.as_ref(), &live.plain(), *id, when, change).map(|member| Outcome::ok(id.1, member))
    };
    let show = move |tx: &mut Tx<'_>, live: &Proved, outcome| members::show(tx, &live.plain(), clinic, outcome);
    let (origin, (member, names, disabled)) = caller.change(&state, request, Ok, work, show).await?.into_parts();
    let names = names.open(&state.vault).await?;
    let view = ClinicMember::new(&member, &names, &disabled);
    Ok(origin.reply(Reply::ok(&view).etag(&view.etag)))
}

/// Whether the staff of a clinic need a second factor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RequireSecondFactor {
    /// Whether they need one.
    required: bool,
}

/// The rule of a clinic about second factors.
#[derive(Serialize, ToSchema)]
struct SecondFactorRuleView {
    /// Whether its staff need one.
    required: bool,
}

/// Ask the staff for a second factor
///
/// For the clinic's admins. Staff without one then get 403 `second_factor_missing` for everything about patients, until
/// they have set it up. An admin with a second factor proves themself again within 5 minutes (403 `step_up_required`).
#[utoipa::path(tag = "care", request_body = RequireSecondFactor,
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"), IdempotencyKeyHeader),
    responses((status = 200, description = "The rule", body = SecondFactorRuleView), WriteErrors))]
#[post("/clinics/{clinic_id}/second-factor")]
pub(super) async fn require_second_factor(
    caller: Claimed<Guarded<Staff>>,
    request: Request<Id<Clinic>, Body<RequireSecondFactor>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let answer = caller.change(
        &state,
        request,
        |command| Ok((command.id, command.body.into_inner().required)),
        |tx, live, (clinic, required)| clinics::require_second_factor(tx, &live.plain(), *clinic, *required),
        |tx, live, outcome| clinics::second_factor(tx, &live.plain(), outcome.id()?),
    );
    answer.await?.reply(|required| Ok(Reply::ok(&SecondFactorRuleView { required })))
}
