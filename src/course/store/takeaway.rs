//! What the patient wants to bring along to the next session, in their own words.

use diesel::prelude::*;
use serde::Deserialize;

use crate::care::Access;
use crate::db::schema::entries;
use crate::db::{Both, Tx};
use crate::kernel::id::{Any, Patient};
use crate::kernel::{Id, Result};
use crate::vault::Place;

/// An entry with this tag is a takeaway.
pub const TAG: &str = "takeaway";
/// Entries that are looked through: the newest.
const MOST: i64 = 200;
/// The most characters that are quoted.
const QUOTED: usize = 140;

/// As the journal seals a section.
#[derive(Deserialize)]
struct Section<T> {
    value: T,
}

#[derive(Deserialize)]
struct Words {
    title: Option<String>,
    body: Option<String>,
}

fn place(patient: Id<Patient>, column: &'static str, entry: Id<Any>, revision: i64) -> Place {
    Place { table: "entries", column, subject: patient.uuid(), row: entry.uuid(), revision }
}

/// The words of the newest entry that is tagged as a takeaway or is one of `answers`, cut to a line; `None` when there is
/// none. Drafts and deleted entries are none.
///
/// # Errors
///
/// When an entry cannot be opened.
pub fn takeaway<A>(tx: &mut Tx<'_>, access: &Access<A>, answers: &[uuid::Uuid]) -> Result<Option<String>> {
    let (patient, keys) = (access.patient(), access.keys()?);
    let answers: Vec<Id<Any>> = answers.iter().copied().map(Id::from_uuid).collect();
    let rows: Vec<(Id<Any>, Option<Vec<u8>>, i64)> = Both(
        entries::table
            .filter(entries::patient_id.eq(patient))
            .filter(entries::deleted_at.is_null())
            .filter(entries::draft.eq(false))
            .filter(entries::text.is_not_null())
            .filter(entries::tags.is_not_null().or(entries::id.eq_any(answers.clone())))
            .order((entries::occurred_at.desc(), entries::id.desc()))
            .limit(MOST)
            .select((entries::id, entries::tags, entries::tags_rev)),
    )
    .load(tx.conn())?;
    for (id, tags, revision) in rows {
        let is_tagged = |tags: Vec<u8>| -> Result<bool> {
            let tags: Section<Vec<String>> = keys.open_json(&place(patient, "tags", id, revision), &tags)?;
            Ok(tags.value.iter().any(|tag| is_takeaway(tag)))
        };
        let wanted = answers.contains(&id) || tags.map_or(Ok(false), is_tagged)?;
        let line = if wanted { line(tx, access, id)? } else { None };
        if line.is_some() {
            return Ok(line);
        }
    }
    Ok(None)
}

/// The first line of an entry.
fn line<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Any>) -> Result<Option<String>> {
    let patient = access.patient();
    let (text, revision): (Option<Vec<u8>>, i64) = entries::table
        .filter(entries::patient_id.eq(patient))
        .filter(entries::id.eq(id))
        .select((entries::text, entries::text_rev))
        .first(tx.conn())?;
    let Some(text) = text else { return Ok(None) };
    let words: Section<Option<Words>> = access.keys()?.open_json(&place(patient, "text", id, revision), &text)?;
    let line = words.value.and_then(|words| words.title.or(words.body)).map(|words| cut(&words));
    Ok(line.filter(|line| !line.is_empty()))
}

/// Whether `tag` says that an entry is a takeaway.
pub fn is_takeaway(tag: &str) -> bool {
    tag.trim().to_lowercase() == TAG
}

/// The first line of `words`, at a word's end.
fn cut(words: &str) -> String {
    let line = words.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    if line.chars().count() <= QUOTED {
        return line.to_owned();
    }
    let start: String = line.chars().take(QUOTED).collect();
    let whole = start.rsplit_once(' ').map_or(start.as_str(), |(whole, _)| whole);
    format!("{whole} …")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_one_line_and_ends_with_a_word() {
        assert_eq!(cut("\n  Slow is allowed. \nAnd more."), "Slow is allowed.");
        let long = "ebb and flow ".repeat(20);
        let cut = cut(&long);
        assert!(cut.chars().count() <= QUOTED + 2 && cut.ends_with("and …"), "{cut}");
    }

    #[test]
    fn a_tag_is_read_as_people_write_it() {
        assert!(is_takeaway(" Takeaway"));
        assert!(!is_takeaway("take away"));
    }
}
