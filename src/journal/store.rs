//! The rows of entries.

use diesel::dsl::exists;
use diesel::prelude::*;
use jiff::Timestamp;

use super::model::{Entries, EntryKind, Mood};
use crate::care::{Access, Write};
use crate::changes::Entity;
use crate::db::schema::entries;
use crate::db::{At, Both, Tx};
use crate::items::seal::open_section;
use crate::items::{ItemTable as _, Part, open_header, sort_newest_first};
use crate::kernel::id::Entry;
use crate::kernel::{Error, Id, Result};
use crate::planning::Dials;
use crate::planning::window::Rating;

/// The most entries that are searched for dials: those of a day.
const MOST_DIALS: i64 = 100;

crate::item_table! {
    /// The table of entries.
    EntryTable, entries,
    [text text_rev, mood mood_rev, tags tags_rev, attachments attachments_rev],
    [infusion_id, prompt_id]
}

/// What a rule of sharing looks at in an entry.
#[derive(Clone, Copy, Debug)]
pub struct RuleFacts {
    /// Its id.
    pub id: Id<Entry>,
    /// The instant at which it happened.
    pub occurred_at: Timestamp,
    /// Its kind.
    pub kind: EntryKind,
    /// Whether it answers a prompt.
    pub answers_prompt: bool,
}

/// Lists the newest done entries, at most `most`; with `answers` only those that answer a prompt. Those that do not
/// open are left out.
///
/// # Errors
///
/// When they cannot be read.
pub fn list_rule_facts(tx: &mut Tx<'_>, access: &Access<Write>, answers: bool, most: i64) -> Result<Vec<RuleFacts>> {
    let rows = EntryTable::list_headers(tx, access, Entity::Entry, answers.then_some("prompt_id"), most)?;
    let mut facts = Vec::with_capacity(rows.len());
    for (id, part) in rows {
        let header = open_header::<Entries>(access.keys()?, access.patient(), id, &part);
        let Some(header) = Error::skip_damaged(header)? else { continue };
        let (occurred_at, prompt) = (header.circumstances.occurred_at, header.circumstances.prompt_id);
        facts.push(RuleFacts { id: id.typed(), occurred_at, kind: header.kind, answers_prompt: prompt.is_some() });
    }
    Ok(facts)
}

/// Finds what a rule of sharing looks at in one entry; `None` if there is no such entry, or it does not open.
///
/// # Errors
///
/// When it cannot be read.
pub fn find_rule_facts(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Entry>) -> Result<Option<RuleFacts>> {
    let Some(row) = EntryTable::find(tx, access, id.any())? else { return Ok(None) };
    let Some(part) = row.parts.first().filter(|_| row.deleted_at.is_none()) else { return Ok(None) };
    let header = open_header::<Entries>(access.keys()?, access.patient(), row.id, part);
    let facts = Error::skip_damaged(header)?.map(|header| RuleFacts {
        id,
        occurred_at: header.circumstances.occurred_at,
        kind: header.kind,
        answers_prompt: header.circumstances.prompt_id.is_some(),
    });
    Ok(facts)
}

/// Whether there is a done entry beside `id`.
pub(super) fn has_other(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Entry>) -> Result<bool> {
    let done = entries::table
        .filter(entries::patient_id.eq(access.patient()))
        .filter(entries::deleted_at.is_null())
        .filter(entries::draft.eq(false));
    Ok(Both(diesel::select(exists(done.filter(entries::id.ne(id))))).get_result(tx.conn())?)
}

/// Reads the newest mood and the newest distress of the done entries since `since`, opened, for the judgement on what
/// comes due. Dials that do not open count as none.
///
/// # Errors
///
/// When they cannot be read.
pub fn newest_dials<A>(tx: &mut Tx<'_>, access: &Access<A>, since: Timestamp) -> Result<Dials> {
    let mut rows: Vec<(Id<Entry>, Option<Vec<u8>>, i64, At)> = entries::table
        .filter(entries::patient_id.eq(access.patient()))
        .filter(entries::deleted_at.is_null())
        .filter(entries::draft.eq(false))
        .filter(entries::mood.is_not_null())
        .filter(entries::occurred_at.ge(At(since)))
        .filter(entries::occurred_at.le(At(access.now())))
        .order((entries::occurred_at.desc(), entries::id.desc()))
        .limit(MOST_DIALS)
        .select((entries::id, entries::mood, entries::mood_rev, entries::occurred_at))
        .load(tx.conn())?;
    sort_newest_first(tx, access, Entity::Entry, &mut rows, |(id, .., at)| (at.0, id.any()))?;
    let mut dials = Dials::default();
    for (id, sealed, rev, at) in rows {
        let part = Part { rev, sealed };
        let mood = open_section::<Entries, Mood>(access.keys()?, (access.patient(), id.any()), "mood", &part);
        let Some(mood) = Error::skip_damaged(mood)?.flatten() else { continue };
        let rating = |value| Rating { value, answered_at: at.0 };
        dials.mood = dials.mood.or(mood.valence.map(rating));
        dials.distress = dials.distress.or(mood.distress.map(rating));
    }
    Ok(dials)
}

/// Lists the newest done entries with text that have tags or are among `answers`, newest first: their ids and sealed
/// tags.
pub(super) fn list_tagged<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    answers: &[Id<Entry>],
    most: i64,
) -> Result<Vec<(Id<Entry>, Part)>> {
    let mut rows: Vec<(Id<Entry>, Option<Vec<u8>>, i64, At)> = Both(
        entries::table
            .filter(entries::patient_id.eq(access.patient()))
            .filter(entries::deleted_at.is_null())
            .filter(entries::draft.eq(false))
            .filter(entries::text.is_not_null())
            .filter(entries::tags.is_not_null().or(entries::id.eq_any(answers.to_vec())))
            .order((entries::occurred_at.desc(), entries::id.desc()))
            .limit(most)
            .select((entries::id, entries::tags, entries::tags_rev, entries::occurred_at)),
    )
    .load(tx.conn())?;
    sort_newest_first(tx, access, Entity::Entry, &mut rows, |(id, .., at)| (at.0, id.any()))?;
    Ok(rows.into_iter().map(|(id, sealed, rev, _)| (id, Part { rev, sealed })).collect())
}
