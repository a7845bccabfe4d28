//! A therapist's feed over HTTP.

use std::collections::BTreeMap;

use actix_web::{get, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::care::links::keys_of;
use crate::exercises::Language;
use crate::http::document::{AcceptLanguageHeader, ItemErrors};
use crate::http::{Query, Reply};
use crate::identity::{Claimed, Staff};
use crate::kernel::id::Account;
use crate::kernel::page::{CursorKey as _, Limit, PageRequest};
use crate::kernel::{Error, Id, Result};
use crate::state::State;
use crate::sync::feed::view::{EventView, FeedEvent, Opener};
use crate::sync::feed::{self, FeedPlace, Found, Told};
use crate::vault::{Vault, apart};

/// The name of the operation.
const ACT: &str = "pull_feed";

/// The place and the size of a page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FeedQuery {
    /// The `cursor` of the page before; without it everything comes.
    #[param(required = false, nullable = false)]
    cursor: Option<String>,
    /// The most events, 1 to 200; 20 by default.
    #[param(required = false, nullable = false, minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// A page of what a therapist may see of their patients.
#[derive(Serialize, ToSchema)]
struct FeedPage {
    /// The epoch of the data: a history that was never interrupted.
    #[schema(example = "Zx0vQW8mT3eYb1c5aDf2gA")]
    epoch: String,
    /// The events, in order. A page may be empty and not the last one.
    events: Vec<EventView>,
    /// The place of the next page. Store it in the transaction that stores the events.
    cursor: String,
    /// Whether there is another page now.
    has_more: bool,
    /// Whether the page is one of a pull of everything. When it is over, delete what no page of it mentioned.
    full: bool,
}

/// Pull a therapist's feed
///
/// What a therapist may see of all their patients, for an app that keeps it offline: the granted sections of entries
/// and exercise responses, the comments of their own threads, the grants that name them, their assignments, infusions.
/// Without a cursor everything comes; with a cursor what has changed since. What they may see no longer comes as
/// `item.removed` or `patient.removed`, without a reason. What was never open to them is never mentioned, and its
/// changes change nothing here. Each patient's access log names what was sent. 410 `resync_required` means to begin
/// again without a cursor.
#[utoipa::path(tag = "sync", params(FeedQuery, AcceptLanguageHeader),
    responses((status = 200, description = "A page", body = FeedPage), ItemErrors))]
#[get("/me/feed/changes")]
pub(super) async fn pull_feed(
    caller: Claimed<Staff>,
    query: Result<Query<FeedQuery>, Error>,
    language: Language,
    state: web::Data<State>,
) -> Result<Reply> {
    let scope = caller.cursor_scope(ACT);
    let asked = query.and_then(|Query(query)| {
        let after = query.cursor.map(|text| {
            let place = state.vault.open_cursor(&scope, &text).and_then(|bytes| FeedPlace::from_bytes(&bytes));
            place.ok_or_else(|| Error::field("query/cursor", "is not a cursor of yours"))
        });
        Ok(PageRequest { limit: Limit::parse(query.limit)?, after: after.transpose()? })
    });
    let asked = caller.first(&state, asked).await?;
    let (found, from) = caller.read(&state, move |tx, live| feed::find(tx, live.account(), asked)).await?;
    let (found, told) = if found.is_empty() { (found, None) } else { tell(&caller, &state, (found, from)).await? };
    let events = match told {
        Some(told) => shown(told, state.vault.clone(), (caller.account(), language.asked())).await?,
        None => Vec::new(),
    };
    let Found { full, has_more, next, .. } = found;
    let cursor = state.vault.seal_cursor(&scope, &next.to_bytes());
    Ok(Reply::ok(&FeedPage { epoch: next.epoch.to_string(), events, cursor, has_more, full }))
}

/// Reads what the rows tell, in a unit that leaves its traces.
async fn tell(
    caller: &Claimed<Staff>,
    state: &State,
    (found, from): (Found, FeedPlace),
) -> Result<(Found, Option<Told>)> {
    let keys = keys_of(&state.vault, found.patients()).await?;
    let (caller, vault, ids) = (caller.clone(), state.vault.clone(), state.entropy.clone());
    let unit = state.db.write(move |tx| {
        let live = caller.live(tx)?;
        let mut found = found.clone();
        let told = feed::tell(tx, &live, (&vault, &ids, ACT), &keys, (&mut found, from))?;
        Ok((found, Some(told)))
    });
    unit.await
}

/// Opens and renders the events, after the unit.
async fn shown(
    told: Told,
    vault: Vault,
    (account, language): (Id<Account>, Option<&'static str>),
) -> Result<Vec<EventView>> {
    let Told { events, keys, around } = told;
    let bytes = events.iter().map(FeedEvent::bytes).sum();
    let opened = apart(bytes, move || {
        let mut contexts = BTreeMap::new();
        for (patient, sealed) in around {
            if let Some(keys) = keys.get(&patient)
                && let Some(context) = Error::skip_damaged(sealed.open(keys, patient))?
            {
                contexts.insert(patient, context);
            }
        }
        let render = |event: FeedEvent| {
            let parts = keys.get(&event.patient).zip(contexts.get(&event.patient));
            let opener = parts.map(|(keys, around)| Opener { keys, around, language });
            event.render(&vault, account, opener.as_ref())
        };
        events.into_iter().map(render).collect::<Result<Vec<_>>>()
    });
    opened.await?
}
