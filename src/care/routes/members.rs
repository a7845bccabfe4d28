//! Who works at a clinic.

use actix_web::{HttpRequest, get, patch, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{PageQuery, cursor, scope};
use crate::care::clinics::{self, MemberChange};
use crate::care::model::Capabilities;
use crate::care::people::{Names, SealedNames};
use crate::care::store::Member;
use crate::db::Tx;
use crate::http::document::{OnceHeader, ReadErrors, WriteErrors};
use crate::http::{IdempotencyKey, PatchBody, PathOf, Query, Reply};
use crate::idempotency::Done;
use crate::identity::{Claimed, Live, Staff, once_of};
use crate::kernel::id::{Account, Clinic};
use crate::kernel::page::Page;
use crate::kernel::{Error, Fields, Id, Result};
use crate::state::State;

/// What changes about a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateMember {
    /// What they may do from now on, of `care`, `record`, `duty`, `admin`.
    #[schema(nullable = false, example = json!(["care", "record"]))]
    capabilities: Option<Vec<String>>,
    /// `true`: they no longer work here; their care links at this clinic end.
    #[schema(nullable = false)]
    ended: Option<bool>,
}

/// Somebody who works at a clinic.
#[derive(Serialize, ToSchema)]
struct ClinicMember {
    /// Their account.
    account_id: Uuid,
    /// What they are called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Thea Brandt")]
    name: Option<String>,
    /// What they may do: `care`, `record`, `duty`, `admin`.
    #[schema(example = json!(["care"]))]
    capabilities: Vec<&'static str>,
    /// Since when they work there.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// A page of members.
#[derive(Serialize, ToSchema)]
struct ClinicMemberPage {
    items: Vec<ClinicMember>,
    /// Where the next page starts; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl UpdateMember {
    fn parse(self) -> Result<MemberChange> {
        let mut fields = Fields::new();
        let capabilities = self.capabilities.and_then(|names| {
            let parsed = Capabilities::parse(names.iter().map(String::as_str));
            fields.take("/capabilities", parsed.ok_or("must be one or more of care, record, duty, admin"))
        });
        fields.check(self.ended != Some(false), "/ended", "can only become true: invite them again");
        fields.done()?;
        Ok(MemberChange { capabilities, ended: self.ended == Some(true) })
    }
}

fn view(member: &Member, names: &Names) -> ClinicMember {
    ClinicMember {
        account_id: member.account.uuid(),
        name: names.person(member.account),
        capabilities: member.capabilities.names(),
        since: member.since,
    }
}

/// A clinic, as its admins see it.
#[derive(Serialize, ToSchema)]
struct ClinicSummary {
    /// Its id.
    id: Uuid,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Lakeside Clinic")]
    name: Option<String>,
    /// How many patients have an active care link here: from ten on the number, below that `< 10`, so that nobody can
    /// be told by the difference.
    #[schema(example = "< 10")]
    patients: String,
}

/// Counts below this are not told.
const TOLD_FROM: i64 = 10;

/// Read a clinic
///
/// For its admins: what a clinic is called and how many patients it has, to the number only from ten on.
#[utoipa::path(tag = "care", operation_id = "get_clinic",
    params(("clinic_id" = Uuid, Path, description = "The clinic")),
    responses((status = 200, description = "The clinic", body = ClinicSummary), ReadErrors))]
#[get("/clinics/{clinic_id}")]
pub(super) async fn get_clinic(
    caller: Claimed<Staff>,
    clinic: PathOf<Id<Clinic>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let clinic = clinic.into_inner();
    let unit = state.db.read(move |tx| {
        let live = caller.live(tx)?;
        let patients = clinics::count_patients(tx, &live, clinic)?;
        Ok((patients, SealedNames::collect(tx, [], [clinic])?))
    });
    let (count, names) = unit.await?;
    let names = names.open(&state.vault).await?;
    let patients = if count < TOLD_FROM { format!("< {TOLD_FROM}") } else { count.to_string() };
    Ok(Reply::ok(&ClinicSummary { id: clinic.uuid(), name: names.clinic(clinic), patients }))
}

/// List a clinic's staff
///
/// For its admins.
#[utoipa::path(tag = "care", operation_id = "list_members",
    params(("clinic_id" = Uuid, Path, description = "The clinic"), PageQuery),
    responses((status = 200, description = "A page of members", body = ClinicMemberPage), ReadErrors))]
#[get("/clinics/{clinic_id}/members")]
pub(super) async fn list_members(
    caller: Claimed<Staff>,
    path: PathOf<Id<Clinic>>,
    query: Query<PageQuery>,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<Reply> {
    let clinic = path.into_inner();
    let scope = scope(&format!("list_members|{clinic}"), caller.account());
    let query = query.into_inner();
    let (limit, after) = (query.limit()?, query.after(&state, &scope)?);
    let unit = state.db.read(move |tx| {
        let live = caller.live(tx)?;
        let members = clinics::list_members(tx, &live, clinic, after, limit.rows())?;
        let page = Page::cut(members, limit, |member| member.account);
        let names = SealedNames::collect(tx, page.items.iter().map(|member| member.account), [])?;
        Ok((page, names))
    });
    let (page, names) = unit.await?;
    let names = names.open(&state.vault).await?;
    let items = page.items.iter().map(|member| view(member, &names)).collect();
    let view = ClinicMemberPage { items, next_cursor: cursor(&state, &scope, page.next) };
    Ok(Reply::ok(&view).next(&request, view.next_cursor.as_deref()))
}

/// Change a member of staff
///
/// For the clinic's admins: what the member may do there, or that they no longer work there. Their care links at this
/// clinic then end. The last admin stays one.
#[utoipa::path(tag = "care", operation_id = "update_member", request_body = UpdateMember,
    params(("clinic_id" = Uuid, Path, description = "The clinic"),
        ("account_id" = Uuid, Path, description = "The member's account"), OnceHeader),
    responses((status = 200, description = "The member", body = ClinicMember), WriteErrors))]
#[patch("/clinics/{clinic_id}/members/{account_id}")]
pub(super) async fn update_member(
    caller: Claimed<Staff>,
    path: PathOf<(Id<Clinic>, Id<Account>)>,
    key: IdempotencyKey,
    body: Result<PatchBody<UpdateMember>, Error>,
    state: web::Data<State>,
) -> Result<Reply> {
    let (clinic, account) = path.into_inner();
    let once = once_of(&state, &key, body.as_ref().map_or(b"", |body| body.raw()));
    let command = body.and_then(|body| body.into_inner().parse());
    let work = move |tx: &mut Tx<'_>, live: &Live<Staff>, change: &MemberChange| {
        let member = clinics::change_member(tx, live, clinic, account, *change)?;
        Ok((Done::ok(account.uuid()), (member, SealedNames::collect(tx, [account], [])?)))
    };
    let again = move |tx: &mut Tx<'_>, live: &Live<Staff>, _: Done| {
        let member = clinics::get_member(tx, live, clinic, account)?;
        Ok((member, SealedNames::collect(tx, [account], [])?))
    };
    let (_, (member, names)) = caller.write(&state, once, command, work, again).await?;
    let names = names.open(&state.vault).await?;
    Ok(Reply::ok(&view(&member, &names)))
}
