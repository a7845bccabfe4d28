//! The bodies of the handlers of items. A slice declares its operations, each with its door, and calls these.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::actions::{self, New};
use super::deletion;
use super::model::{ItemRow, Part};
use super::pages::{self, Filter, ItemWithContext};
use super::readers;
use super::seal::{self, OpenedItem};
use super::view::{ItemPresenter, ItemView, render, rendered};
use crate::care::door::{Care, Own, Policy};
use crate::care::{Access, Door, Write};
use crate::changes::{self, Recorded};
use crate::db::Tx;
use crate::http::{
    Body, ChangeResult as Answered, Command, Listing, NewId, Patch, Patchable, Preconditions, Reply, Request, page,
    read_document,
};
use crate::idempotency::Outcome;
use crate::kernel::page::{PageRequest, SMALL};
use crate::kernel::{Creation, FieldError, Id, Listed, Result};

/// A kind of item that is written over HTTP.
pub trait WritableItem: ItemPresenter {
    /// The body of a PUT.
    type Body: Patchable + Send;

    /// Parses the content of a body.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::kernel::Error::Invalid) with every fault.
    fn parse(body: Self::Body) -> Result<Self::Content>;
    /// Reads the content of a body that is a part of another one, and answers the ignored fields.
    ///
    /// # Errors
    ///
    /// As [`WritableItem::parse`].
    fn read(body: Value) -> Result<(Self::Content, Vec<FieldError>)> {
        let (body, ignored) = read_document(body)?;
        Ok((Self::parse(body)?, ignored))
    }
    /// Returns the body that would parse to the content.
    fn body(content: &Self::Content) -> Self::Body;
}

/// Renders an item; `opened` if the caller has it opened.
fn show_item<T: ItemPresenter, P: Policy>(
    door: &Door<P>,
    (item, background): &ItemWithContext,
    opened: Option<OpenedItem<T>>,
    manner: T::Manner,
) -> Result<ItemView<T::Fields>> {
    let around = background.open(door.keys()?, door.patient()?)?;
    let view = match opened {
        Some(opened) => rendered::<T>(item, opened, &around, manner),
        None => render::<T>((door.keys()?, door.patient()?), item, &around, manner),
    };
    view?.tagged(&door.state().vault)
}

/// Changes an item by `work`, and answers with the changed item.
async fn change<T: ItemPresenter, I, B, C: Send + 'static>(
    door: &Door<Own>,
    act: &'static str,
    (request, manner): (Request<I, B>, T::Manner),
    parse: impl FnOnce(Command<I, B>) -> Result<C>,
    work: impl FnMut(&mut Tx<'_>, &Access<Write>, &C) -> Result<Outcome<ItemRow>> + Send + 'static,
) -> Result<Reply> {
    let show = |tx: &mut Tx<'_>, access: &Access<Write>, outcome: Outcome<ItemRow>| {
        pages::own_answer::<T, _>(tx, access, outcome)
    };
    door.change(act, request, parse, work, show).await?.reply(|answer| {
        let view = show_item::<T, _>(door, &answer, None, manner)?;
        Ok(Reply::ok(&view).etag(view.tag()?))
    })
}

/// Creates or replaces an item.
///
/// # Errors
///
/// As [`Door::change`] and [`actions::put`].
pub async fn put<T: WritableItem>(
    door: Door<Own>,
    act: &'static str,
    request: Request<NewId<T::Id>, Body<T::Body>>,
    manner: T::Manner,
) -> Result<Reply> {
    let mut made = None;
    let parse = |Command { id, when, body }: Command<NewId<T::Id>, Body<T::Body>>| {
        let content = T::parse(body.into_inner())?;
        let creation = Creation::of(&T::body(&content))?;
        let (new, opened) = New::<T>::seal(door.keys()?, (door.patient()?, id.0), content, creation, door.now())?;
        made = Some(opened);
        Ok((new, when))
    };
    let work = |tx: &mut Tx<'_>, access: &Access<Write>, (new, when): &(New<T>, Preconditions)| {
        actions::put::<T>(tx, access, new, when)
    };
    let answer = door.change(act, request, parse, work, pages::own_answer::<T, Write>).await?;
    // What this request has made, and only that, is known without opening it.
    let made = made.filter(|_| answer.is_new());
    answer.reply(|answer| {
        let view = show_item::<T, _>(&door, &answer, made, manner)?;
        Ok(Reply::ok(&view).etag(view.tag()?))
    })
}

/// Reads an item. The slice chooses the door: `Own` for a kind that is never shared.
///
/// # Errors
///
/// As [`Door::read`] and [`pages::answer`].
pub async fn get<T: ItemPresenter, P: Policy>(
    door: Door<P>,
    act: &'static str,
    (id, when): (Id<T::Id>, Preconditions),
    manner: T::Manner,
) -> Result<Reply> {
    let answer = door.read(act, move |tx, access| pages::answer::<T, _>(tx, access, id)).await?;
    let view = show_item::<T, _>(&door, &answer, None, manner)?;
    Ok(Reply::ok(&view).compressed_if(door.is_owner()).unless_known(view.tag()?, &when))
}

/// Changes an item by a merge patch.
///
/// # Errors
///
/// As [`Door::change`] and [`actions::patch`].
pub async fn patch<T: WritableItem>(
    door: Door<Own>,
    act: &'static str,
    request: Request<Id<T::Id>, Patch<T::Body>>,
    manner: T::Manner,
) -> Result<Reply> {
    change::<T, _, _, _>(
        &door,
        act,
        (request, manner),
        Ok,
        |tx, access, Command { id, when, body }: &Command<Id<T::Id>, Patch<T::Body>>| {
            let patched = |content: &T::Content| T::parse(body.apply(&T::body(content))?);
            actions::patch::<T>(tx, access, *id, patched, when)
        },
    )
    .await
}

/// Deletes an item.
///
/// # Errors
///
/// As [`Door::change`] and [`deletion::delete`].
pub async fn delete<T: ItemPresenter>(
    door: Door<Own>,
    act: &'static str,
    request: Request<Id<T::Id>>,
) -> Result<Reply> {
    door.delete(act, request, |tx, access, command| deletion::delete::<T>(tx, access, command.id, &command.when)).await
}

/// Undeletes an item.
///
/// # Errors
///
/// As [`Door::change`] and [`deletion::undelete`].
pub async fn undelete<T: ItemPresenter>(
    door: Door<Own>,
    act: &'static str,
    request: Request<Id<T::Id>>,
    manner: T::Manner,
) -> Result<Reply> {
    change::<T, _, _, _>(&door, act, (request, manner), Ok, |tx, access, command: &Command<Id<T::Id>>| {
        deletion::undelete::<T>(tx, access, command.id)
    })
    .await
}

/// The answer to a therapist's opening of an item: its id, and the instant of the first time.
type Opening<K> = Answered<(Id<K>, Timestamp)>;

/// Records that a therapist has opened an item. Answers with the instant of the first time.
///
/// # Errors
///
/// As [`Door::change`] and [`actions::mark_opened`].
pub async fn mark_opened<T: ItemPresenter>(
    door: Door<Care>,
    act: &'static str,
    request: Request<Id<T::Id>>,
) -> Result<Opening<T::Id>> {
    let (ids, again) = (door.state().entropy.clone(), door.state().entropy.clone());
    let answer = door.change(
        act,
        request,
        Ok,
        move |tx, access, command: &Command<Id<T::Id>>| {
            Ok(Outcome::ok(command.id, actions::mark_opened::<T>(tx, access, command.id, &ids)?))
        },
        move |tx, access, outcome| {
            let id = outcome.id()?;
            Ok((id, outcome.or_get(|id| actions::mark_opened::<T>(tx, access, id, &again))?))
        },
    );
    answer.await
}

/// Lists the owner's items, or the items that are open to a reader, page by page.
///
/// # Errors
///
/// As [`Door::read`]; the faults of the listing.
pub async fn list<T: ItemPresenter, F: Filter<T>, P: Policy, L: Serialize>(
    door: Door<P>,
    act: &'static str,
    (listing, scope): (Result<Listing<F>>, String),
    manner: T::Manner,
    list: impl FnOnce(Vec<Listed<ItemView<T::Fields>>>, Option<String>) -> L,
) -> Result<Reply> {
    let (scope, vault) = (door.cursor_scope(act, &scope), &door.state().vault);
    if door.is_owner() {
        let asked = listing.and_then(|listing| Ok((listing.page(vault, &scope)?, listing)));
        let (asked, listing) = door.first(act, asked).await?;
        let page = pages::own::<T, F, _>(&door, act, &listing.filter, asked, manner).await?;
        return Ok(listing.long_reply(vault, &scope, page, list).compressed_if(true));
    }
    let asked = listing.and_then(|listing| Ok((listing.page(vault, &scope)?, listing)));
    let (asked, listing) = door.first(act, asked).await?;
    let page = readers::shared::<T, F, _>(&door, act, &listing.filter, asked, manner).await?;
    Ok(listing.long_reply(vault, &scope, page, list))
}

/// A change of an item.
#[derive(Serialize, ToSchema)]
pub struct RevisionItem {
    /// The version that the change made.
    #[schema(example = 2)]
    revision: i64,
    /// `created`, `updated`, `deleted`, `undeleted` or `restored`.
    #[schema(example = "updated")]
    change: String,
    /// The instant.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<Recorded> for RevisionItem {
    fn from(change: Recorded) -> Self {
        Self { revision: change.version, change: change.op.name().to_owned(), at: change.at }
    }
}

page! {
    /// A page of revisions.
    RevisionList: "The revisions, oldest first." of RevisionItem
}

/// Lists the revisions of an item, page by page.
///
/// # Errors
///
/// As [`Door::read`]; the faults of the listing.
pub async fn list_revisions<T: ItemPresenter, P: Policy>(
    door: Door<P>,
    act: &'static str,
    id: Id<T::Id>,
    listing: Result<Listing>,
) -> Result<Reply> {
    let id_text = id.to_string();
    let read = door.list(act, listing, &id_text, move |tx, access, page: PageRequest<i64>| {
        actions::get::<T, _>(tx, access, id)?;
        let after = page.after.unwrap_or_default();
        let rows = changes::list_of(tx, access.patient(), T::ENTITY, id.any(), after, page.rows())?;
        Ok(page.cut(rows, |_| SMALL, |change| change.version))
    });
    let (listing, page) = read.await?;
    let scope = door.cursor_scope(act, &id_text);
    Ok(listing.reply(&door.state().vault, &scope, page, |items, next_cursor| {
        RevisionList::of(items.into_iter().map(RevisionItem::from).collect(), next_cursor)
    }))
}

/// Reads and opens an item as of a version.
///
/// # Errors
///
/// As [`Door::read`] and [`actions::parts_at`].
pub async fn get_revision<T: ItemPresenter, P: Policy>(
    door: &Door<P>,
    act: &'static str,
    (id, revision): (Id<T::Id>, i64),
) -> Result<OpenedItem<T>> {
    let read = door.read(act, move |tx, access| {
        let row = actions::get::<T, _>(tx, access, id)?;
        actions::parts_at::<T, _>(tx, access, &row, revision)
    });
    let parts: Vec<Part> = read.await?;
    seal::open::<T>(door.keys()?, door.patient()?, (id.any(), parts), None)
}

/// Restores a version of an item as its present state.
///
/// # Errors
///
/// As [`Door::change`] and [`actions::restore`].
pub async fn restore<T: ItemPresenter>(
    door: Door<Own>,
    act: &'static str,
    request: Request<(Id<T::Id>, i64)>,
    manner: T::Manner,
) -> Result<Reply> {
    change::<T, _, _, _>(&door, act, (request, manner), Ok, |tx, access, command: &Command<(Id<T::Id>, i64)>| {
        actions::restore::<T>(tx, access, command.id, &command.when)
    })
    .await
}
