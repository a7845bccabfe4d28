//! Care links.

use actix_web::{HttpRequest, delete, get, post, web};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{PageQuery, cursor, scope};
use crate::care::links::{self, Listed};
use crate::care::people::SealedNames;
use crate::care::store::Link;
use crate::care::words::words_of;
use crate::db::Tx;
use crate::http::document::{ActionErrors, OnceHeader, ReadErrors};
use crate::http::{IdempotencyKey, PathOf, Query, Reply};
use crate::idempotency::Done;
use crate::identity::{Anyone, Caller, Claimed, Live, Staff, once_of};
use crate::kernel::id::CareLink;
use crate::kernel::page::Page;
use crate::kernel::{Error, Id, Result};
use crate::state::State;

/// The bond of one patient and one therapist.
#[derive(Serialize, ToSchema)]
pub(super) struct CareLinkView {
    /// Its id.
    id: Uuid,
    /// `accepted` by the patient, `active` once the therapist has confirmed, `ended`.
    #[schema(example = "accepted")]
    state: &'static str,
    /// The patient.
    patient_id: Uuid,
    /// The name of the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Thea Brandt")]
    name: Option<String>,
    /// The clinic the therapist works for.
    clinic_id: Uuid,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Lakeside Clinic")]
    clinic_name: Option<String>,
    /// Two words that both sides see while the link has not ended. Compare them before you confirm.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!(["maple", "lantern"]))]
    words: Vec<&'static str>,
    /// When the patient accepted.
    #[schema(value_type = String, format = DateTime)]
    accepted_at: Timestamp,
    /// When the therapist confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    active_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    ended_at: Option<Timestamp>,
}

impl CareLinkView {
    pub(super) fn new(
        link: &Link,
        name: Option<String>,
        clinic_name: Option<String>,
        words: Vec<&'static str>,
    ) -> Self {
        Self {
            id: link.id.uuid(),
            state: link.state.name(),
            patient_id: link.patient.uuid(),
            name,
            clinic_id: link.clinic.uuid(),
            clinic_name,
            words: if link.state.live() { words } else { Vec::new() },
            accepted_at: link.accepted_at,
            active_at: link.active_at,
            ended_at: link.ended_at,
        }
    }
}

/// A page of care links.
#[derive(Serialize, ToSchema)]
struct CareLinkPage {
    items: Vec<CareLinkView>,
    /// Where the next page starts; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// List care links
///
/// A patient sees all of their links, also those that have ended. A therapist sees those that have not, and the
/// patients read in their access log that they were shown. Oldest first.
#[utoipa::path(tag = "care", operation_id = "list_care_links", params(PageQuery),
    responses((status = 200, description = "A page of links", body = CareLinkPage), ReadErrors))]
#[get("/care-links")]
pub(super) async fn list_care_links(
    caller: Caller,
    query: Query<PageQuery>,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<Reply> {
    let (query, scope) = (query.into_inner(), scope("list_care_links", caller.account()));
    let (limit, after) = (query.limit()?, query.after(&state, &scope)?);
    let unit = state.db.read(move |tx| {
        let live = caller.live(tx)?;
        links::list(tx, &live, after, limit.rows())
    });
    let Listed { links, owner, names } = unit.await?;
    let page = Page::cut(links, limit, |link| link.id);
    let listed = if owner {
        Listed { links: page.items, owner, names }
    } else {
        let keys = links::keys_of(&state.vault, page.items.iter().map(|link| link.patient)).await?;
        let (vault, wanted) = (state.vault.clone(), page.items);
        let unit = state.db.write(move |tx| {
            let live = caller.live(tx)?;
            links::show(tx, &vault, &live, &wanted, &keys)
        });
        unit.await?
    };
    let names = listed.names.open(&state.vault).await?;
    let view = |link: &Link| {
        let other = if owner { link.therapist } else { link.person };
        let words = words_of(&state.vault, link.id, link.person);
        CareLinkView::new(link, names.person(other), names.clinic(link.clinic), words)
    };
    let next_cursor = cursor(&state, &scope, page.next);
    let view = CareLinkPage { items: listed.links.iter().map(view).collect(), next_cursor };
    Ok(Reply::ok(&view).next(&request, view.next_cursor.as_deref()))
}

/// Confirm a care link
///
/// The therapist says that the person at the other end is the one they invited: compare the two words first. The link
/// is then `active`. Twice is once.
#[utoipa::path(tag = "care", operation_id = "confirm_care_link",
    params(("link_id" = Uuid, Path, description = "The care link"), OnceHeader),
    responses((status = 200, description = "The active link", body = CareLinkView), ActionErrors))]
#[post("/care-links/{link_id}/confirm")]
pub(super) async fn confirm_care_link(
    caller: Claimed<Staff>,
    path: PathOf<Id<CareLink>>,
    key: IdempotencyKey,
    state: web::Data<State>,
) -> Result<Reply> {
    let id = path.into_inner();
    let once = once_of(&state, &key, &[]);
    let patient = links::patient_of(&state, id).await?;
    let keys = links::keys_of(&state.vault, patient).await?;
    let (vault, again_keys, again_vault) = (state.vault.clone(), keys.clone(), state.vault.clone());
    let work = move |tx: &mut Tx<'_>, live: &Live<Staff>, (): &()| {
        let link = links::confirm(tx, live, id, keys.values().next().cloned())?;
        let keys = keys.get(&link.patient).ok_or(Error::NotFound)?;
        links::note_shown(tx, &vault, keys, live, "confirm_care_link", "therapist", &link)?;
        Ok((Done::ok(id.uuid()), (link, SealedNames::collect(tx, [link.person], [link.clinic])?)))
    };
    let again = move |tx: &mut Tx<'_>, live: &Live<Staff>, _: Done| {
        let link = links::own_live(tx, live, id)?;
        let keys = again_keys.get(&link.patient).ok_or(Error::NotFound)?;
        links::note_shown(tx, &again_vault, keys, live, "confirm_care_link", "therapist", &link)?;
        Ok((link, SealedNames::collect(tx, [link.person], [link.clinic])?))
    };
    let (_, (link, names)) = caller.write(&state, once, Ok(()), work, again).await?;
    let names = names.open(&state.vault).await?;
    let words = words_of(&state.vault, link.id, link.person);
    Ok(Reply::ok(&CareLinkView::new(&link, names.person(link.person), names.clinic(link.clinic), words)))
}

/// End a care link
///
/// Either side ends it, at once and for good. What was granted over this link alone is closed; a new link starts
/// empty. Twice is once.
#[utoipa::path(tag = "care", operation_id = "end_care_link",
    params(("link_id" = Uuid, Path, description = "The care link"), OnceHeader),
    responses((status = 204, description = "It has ended"), ActionErrors))]
#[delete("/care-links/{link_id}")]
pub(super) async fn end_care_link(
    caller: Caller,
    path: PathOf<Id<CareLink>>,
    key: IdempotencyKey,
    state: web::Data<State>,
) -> Result<Reply> {
    let id = path.into_inner();
    let once = once_of(&state, &key, &[]);
    let patient = links::patient_of(&state, id).await?;
    let keys = links::keys_of(&state.vault, patient).await?.into_values().next();
    let work = move |tx: &mut Tx<'_>, live: &Live<Anyone>, (): &()| {
        links::end_own(tx, live, id, keys.clone())?;
        Ok((Done::no_content(), ()))
    };
    caller.write(&state, once, Ok(()), work, |_, _, _| Ok(())).await?;
    Ok(Reply::no_content())
}
