//! Entries and exercise responses that phones push: the merge of what was, what the server has and what was written
//! offline. Merge makes the content; the use cases of [`crate::items`] store it.

mod merging;

use serde_json::Value;

use self::merging::{Outcome, Parts, merge_all};
use super::mutation::{Act, Kept, Mutation};
use super::outcome::{Done, Means, Numbered, Written, number};
use super::sent::{Merges, Places, Sent, body_of, mend, sent};
use crate::care::{Access, Write, grants};
use crate::changes;
use crate::db::Tx;
use crate::http::Preconditions;
use crate::items::actions::{self as items, New};
use crate::items::deletion;
use crate::items::seal::{self, OpenedItem};
use crate::items::{Header as _, ItemRow, ItemTable as _};
use crate::kernel::id::Any;
use crate::kernel::{Creation, Error, FieldError, Id, Result};
use crate::vault::{MacLabel, Vault};

/// How phones write items of a kind.
pub(super) const fn written<T: Merges>() -> Written {
    Written { conflicts: T::WORDS, takes: |act| !matches!(act, Act::Prompt(_)), apply: apply::<T>, at: at::<T> }
}

/// Finds an item as it was in `version`, a tombstone if that was one; as it is now if its words went for good since.
fn at<T: Merges>(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Any>, version: i64) -> Result<Option<Numbered>> {
    let Some(row) = T::Table::find(tx, access, id)? else { return Ok(None) };
    if row.version == version || row.is_gone(access.now()) {
        return shown::<T>(tx, access, row).map(Some);
    }
    let made = changes::list_of(tx, access.patient(), T::ENTITY, id, version - 1, 1)?;
    let deletion = made.first().filter(|made| made.version == version && made.op == changes::Op::Delete);
    let row = match items::parts_at::<T, _>(tx, access, &row, version) {
        // It was purged, and a phone that still had it has sent it again.
        Err(Error::NotFound) => row,
        parts => ItemRow { version, parts: parts?, deleted_at: deletion.map(|made| made.at), ..row },
    };
    shown::<T>(tx, access, row).map(Some)
}

fn shown<T: Merges>(tx: &mut Tx<'_>, access: &Access<Write>, row: ItemRow) -> Result<Numbered> {
    Ok((number(tx, access, T::ENTITY, (row.id, row.version))?, T::held(row)))
}

/// Makes the result of a mutation that was stored. What is exactly what was sent needs no item.
fn stored<T: Merges>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    row: ItemRow,
    merged: bool,
    warnings: Vec<FieldError>,
) -> Result<Done> {
    let kept = Kept { merged, item: row.id, version: row.version, sibling: None };
    let item = if merged { Some(shown::<T>(tx, access, row)?) } else { None };
    Ok(Done::Stored { replayed: false, kept, item, sibling: None, code: None, warnings })
}

fn conflict<T: Merges>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    sections: Vec<&'static str>,
    row: Option<ItemRow>,
) -> Result<Done> {
    let current = row.map(|row| shown::<T>(tx, access, row)).transpose()?;
    Ok(Done::conflict(sections, current))
}

/// Does a mutation of an item.
///
/// # Errors
///
/// The refusals of the kind.
fn apply<T: Merges>(tx: &mut Tx<'_>, access: &Access<Write>, means: &Means, mutation: &Mutation) -> Result<Done> {
    let vault = &means.vault;
    let row = T::Table::find(tx, access, mutation.thing)?;
    match mutation.act {
        Act::Delete => delete::<T>(tx, access, row, mutation),
        Act::Undelete => match row {
            Some(row) if row.deleted_at.is_some() && row.is_gone(access.now()) => {
                conflict::<T>(tx, access, Vec::new(), None)
            }
            Some(row) => {
                let merged = row.deleted_at.is_none() || row.version != mutation.base;
                let ahead = mutation.base > row.version && row.deleted_at.is_none();
                let back = deletion::undelete::<T>(tx, access, row.id.typed())?.value.unwrap_or(row);
                let back = if ahead { deletion::restate::<T>(tx, access, back)? } else { back };
                stored::<T>(tx, access, back, merged, Vec::new())
            }
            None => conflict::<T>(tx, access, Vec::new(), None),
        },
        Act::Put | Act::Prompt(_) => match row {
            None if mutation.base > 0 => conflict::<T>(tx, access, Vec::new(), None),
            None => create::<T>(tx, access, mutation),
            Some(row) => write::<T>(tx, access, vault, row, mutation),
        },
    }
}

/// Deletes an item, unless the phone had not seen words of it, or its coming back.
fn delete<T: Merges>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    row: Option<ItemRow>,
    mutation: &Mutation,
) -> Result<Done> {
    let Some(row) = row else {
        let kept = Kept { merged: false, item: mutation.thing, version: 0, sibling: None };
        return Ok(Done::Stored { replayed: false, kept, item: None, sibling: None, code: None, warnings: Vec::new() });
    };
    if row.deleted_at.is_some() {
        return stored::<T>(tx, access, row, false, Vec::new());
    }
    let base = mutation.base;
    if changes::was_undeleted_since(tx, access.patient(), (T::ENTITY, row.id), base)? {
        return stored::<T>(tx, access, row, true, Vec::new());
    }
    let newer = T::SECTIONS.iter().zip(row.parts.iter().skip(1));
    if newer.into_iter().any(|(section, part)| T::WORDS.contains(&section.column) && part.rev > base) {
        grants::drop_item(tx, access, T::grants(), row.id)?;
        // It may have left a grant by rule, and stays as it is.
        access.skip_number(tx)?;
        let kept = Kept { merged: true, item: row.id, version: row.version, sibling: None };
        let item = Some(shown::<T>(tx, access, row)?);
        let code = Some("kept_newer_words");
        return Ok(Done::Stored { replayed: false, kept, item, sibling: None, code, warnings: Vec::new() });
    }
    deletion::delete::<T>(tx, access, row.id.typed(), &Preconditions::none())?;
    let row = T::Table::find(tx, access, mutation.thing)?.ok_or(Error::NotFound)?;
    stored::<T>(tx, access, row, false, Vec::new())
}

fn create<T: Merges>(tx: &mut Tx<'_>, access: &Access<Write>, mutation: &Mutation) -> Result<Done> {
    // A draft that this server made for two texts in conflict comes again from a phone, if a restore has lost it.
    if !mutation.thing.is_of_client() && !mutation.thing.is_derived() {
        return Err(Error::field("/id", "must be a UUID of version 4 or 7"));
    }
    let Sent { content, warnings, .. } = sent::<T>(access, None, mutation)?;
    let (row, warnings) = linked::<T, _>((content, None), warnings, |content| {
        let creation = Creation::of(&T::body(&content))?;
        let is_linked = is_linked::<T>(&content);
        let (new, _) = New::<T>::seal(
            access.keys()?,
            (access.patient(), mutation.thing.typed()),
            content,
            creation,
            access.now(),
        )?;
        insert::<T>(tx, access, &new, is_linked)
    })?;
    let row = row.ok_or_else(|| Error::internal("an id that was free is taken"))?;
    let merged = !warnings.is_empty();
    stored::<T>(tx, access, row, merged, warnings)
}

fn is_linked<T: Merges>(content: &T::Content) -> bool {
    T::links(T::header(content)).iter().any(Option::is_some)
}

/// Inserts a new item; nothing if its id is taken. Without links nothing can be left out: what is refused is undone
/// with the mutation.
fn insert<T: Merges>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    new: &New<T>,
    is_linked: bool,
) -> Result<Result<Option<ItemRow>>> {
    if is_linked {
        access.attempt(tx, |tx| items::create::<T>(tx, access, new))
    } else {
        items::create::<T>(tx, access, new).map(Ok)
    }
}

/// Does `work` with a content; where it refuses links or times of the header, again as they were `before`.
fn linked<T: Merges, R>(
    (mut content, before): (T::Content, Option<&T::Content>),
    mut warnings: Vec<FieldError>,
    mut work: impl FnMut(T::Content) -> Result<Result<R>>,
) -> Result<(R, Vec<FieldError>)> {
    let before = before.map(body_of::<T>).transpose()?;
    let mut places = Places::default();
    loop {
        let faults = match work(content.clone())? {
            Ok(done) => return Ok((done, warnings)),
            Err(Error::Invalid(faults)) => faults,
            Err(other) => return Err(other),
        };
        let sent = body_of::<T>(&content)?;
        let mut body = sent.clone();
        let faults = mend::<T>(&mut body, before.as_ref(), &faults, &mut places);
        if body == sent {
            return Err(Error::Invalid(faults));
        }
        content = T::read(Value::Object(body))?.0;
        warnings.extend(faults);
    }
}

/// Writes what a phone sends of an item that is there, or was deleted.
fn write<T: Merges>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    vault: &Vault,
    row: ItemRow,
    mutation: &Mutation,
) -> Result<Done> {
    if row.deleted_at.is_none() {
        return merge_into::<T>(tx, access, vault, (row, false), mutation);
    }
    let words = T::WORDS.iter().any(|name| mutation.members.get(*name).is_some_and(|value| !value.is_null()));
    if !words {
        // Times and tags of what was deleted are of no use to anybody: it stays as it is.
        return stored::<T>(tx, access, row, true, Vec::new());
    }
    if row.is_gone(access.now()) {
        return revive::<T>(tx, access, &row, mutation);
    }
    let back = deletion::undelete::<T>(tx, access, row.id.typed())?.value.ok_or(Error::NotFound)?;
    merge_into::<T>(tx, access, vault, (back, true), mutation)
}

/// Writes words into an item whose own went for good. They cannot be merged: the phone sends all it has, and that is
/// what there is.
fn revive<T: Merges>(tx: &mut Tx<'_>, access: &Access<Write>, row: &ItemRow, mutation: &Mutation) -> Result<Done> {
    if mutation.base != 0 {
        return conflict::<T>(tx, access, Vec::new(), None);
    }
    let Sent { content, warnings, .. } = sent::<T>(access, None, mutation)?;
    let (row, warnings) = linked::<T, _>((content, None), warnings, |content| {
        access.attempt(tx, |tx| deletion::revive::<T>(tx, access, row, &content))
    })?;
    stored::<T>(tx, access, row, true, warnings)
}

/// Merges what a phone sends into an item; `came_back` says that its words have just brought that back from a deletion.
fn merge_into<T: Merges>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    vault: &Vault,
    (row, came_back): (ItemRow, bool),
    mutation: &Mutation,
) -> Result<Done> {
    let old: OpenedItem<T> = items::open(access, &row)?;
    let before = old.content()?;
    let base = base_of::<T>(tx, access, &row, mutation.base)?;
    let known = base.as_ref().or(if mutation.base > 0 { Some(&before) } else { None });
    let sends = sent::<T>(access, known, mutation)?;
    if mutation.base == 0 && old.creation() == Some(&Creation::of(&T::body(&sends.content))?) {
        // It was made by this very body, and stands in a page that this phone may have passed over: what the server
        // made of it comes with the answer, or never.
        return stored::<T>(tx, access, row, true, sends.warnings);
    }
    let Outcome { content, conflicts, warnings } =
        merge_all::<T>(tx, access, (&row, &before), (base.as_ref(), mutation.base), &sends)?;
    if !conflicts.is_empty() && !mutation.keep_both {
        let names = conflicts.iter().filter_map(|place| Some(T::SECTIONS.get(*place)?.column)).collect();
        return conflict::<T>(tx, access, names, Some(row));
    }
    let (exact, ahead) = (row.version == mutation.base, mutation.base > row.version);
    let exact = exact && warnings.is_empty() && content == sends.content;
    let (row, warnings) = if content == before {
        (row, warnings)
    } else {
        linked::<T, _>((content, Some(&before)), warnings, |after| {
            access.attempt(tx, |tx| items::change::<T>(tx, access, &row, (&old, &before, &after)))
        })?
    };
    // The same words may end a draft or change a kind, by which a rule of sharing would open it again.
    if came_back {
        deletion::close::<T>(tx, access, row.id)?;
    }
    // The phone has seen more than a restored server has: what it saw to be there, it states to be there.
    let row = if ahead { deletion::restate::<T>(tx, access, row)? } else { row };
    if conflicts.is_empty() {
        let merged = !exact || !warnings.is_empty();
        return stored::<T>(tx, access, row, merged, warnings);
    }
    let (sibling, left_out) = sibling::<T>(tx, access, vault, mutation, (&sends, &conflicts))?;
    let news: Vec<_> = left_out.into_iter().filter(|fault| !warnings.contains(fault)).collect();
    let warnings = [warnings, news].concat();
    let kept = Kept { merged: true, item: row.id, version: row.version, sibling: Some(sibling.id) };
    let (item, sibling) = (Some(shown::<T>(tx, access, row)?), Some(shown::<T>(tx, access, sibling)?));
    Ok(Done::Stored { replayed: false, kept, item, sibling, code: None, warnings })
}

/// Reads the content that the phone began with, if the server still has it.
fn base_of<T: Merges>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    row: &ItemRow,
    version: i64,
) -> Result<Option<T::Content>> {
    if version == 0 || version > row.version {
        return Ok(None);
    }
    let parts = match items::parts_at::<T, _>(tx, access, row, version) {
        Err(Error::NotFound) => return Ok(None),
        parts => parts?,
    };
    if parts.first().is_none_or(|header| header.sealed.is_none()) {
        return Ok(None);
    }
    Ok(Some(seal::open::<T>(access.keys()?, access.patient(), (row.id, parts), None)?.content()?))
}

/// Makes the draft that holds what was in conflict, with header and tags as they were sent. Its id follows from the
/// mutation, so that a retry makes no second one. Nobody but the patient sees a draft. Links that are not theirs are
/// left out, with a warning.
fn sibling<T: Merges>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    vault: &Vault,
    mutation: &Mutation,
    (sends, conflicts): (&Sent<T>, &[usize]),
) -> Result<(ItemRow, Vec<FieldError>)> {
    let patient = access.patient();
    let parts = [patient.uuid(), mutation.id.uuid()];
    let mac = vault.mac(MacLabel::Sync, &[parts[0].as_bytes(), parts[1].as_bytes(), b"sibling"]);
    let mut copy = Parts::of::<T>(&sends.content)?;
    for (place, section) in T::SECTIONS.iter().enumerate() {
        if T::WORDS.contains(&section.column)
            && !conflicts.contains(&place)
            && let Some(slot) = copy.sections.get_mut(place)
        {
            *slot = None;
        }
    }
    let mut content = copy.content::<T>().ok_or_else(|| Error::internal("a copy that is none of its kind"))?;
    let circumstances = T::header_mut(&mut content).circumstances_mut();
    circumstances.draft = true;
    let id = Id::from_mac(&mac);
    let (row, warnings) = linked::<T, _>((content, None), Vec::new(), |content| {
        let creation = Creation::of(&T::body(&content))?;
        let is_linked = is_linked::<T>(&content);
        let new = New::<T>::copy(access.keys()?, (patient, id), (content, mutation.thing), creation, access.now())?;
        insert::<T>(tx, access, &new, is_linked)
    })?;
    let row = row.map_or_else(|| T::Table::find(tx, access, id.any())?.ok_or(Error::NotFound), Ok)?;
    Ok((row, warnings))
}
