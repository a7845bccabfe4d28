//! The takeaway: the patient's own words for the next session.

use super::model::{Entries, TextSection, is_takeaway};
use super::store::{EntryTable, list_tagged};
use crate::care::Access;
use crate::db::Tx;
use crate::items::{ItemTable as _, seal::open_section};
use crate::kernel::excerpt::excerpt;
use crate::kernel::id::Entry;
use crate::kernel::{Error, Id, Result, Text};

/// The most entries that are read, the newest first.
const MOST: i64 = 200;
/// The most characters that are quoted.
pub const QUOTED: usize = 140;

/// Reads the words of the newest entry that is tagged as a takeaway or is one of `answers`, cut to a line; `None` when
/// there is none. Drafts, deleted entries and those that do not open do not count.
///
/// # Errors
///
/// When the entries cannot be read.
pub fn takeaway<A>(tx: &mut Tx<'_>, access: &Access<A>, answers: &[Id<Entry>]) -> Result<Option<String>> {
    let (keys, patient) = (access.keys()?, access.patient());
    for (id, tags) in list_tagged(tx, access, answers, MOST)? {
        let tags = || open_section::<Entries, Vec<String>>(keys, (patient, id.any()), "tags", &tags);
        let tags = || Error::skip_damaged(tags()).map(|tags| tags.flatten().unwrap_or_default());
        if !answers.contains(&id) && !tags()?.iter().any(|tag| is_takeaway(tag)) {
            continue;
        }
        let Some(row) = EntryTable::find(tx, access, id.any())? else { continue };
        let Some(text) = row.parts.get(1) else { continue };
        let text = open_section::<Entries, TextSection>(keys, (patient, id.any()), "text", text);
        let text = Error::skip_damaged(text)?.flatten();
        let words = text.and_then(|text| {
            let title = text.title.map(Text::into_string);
            title.or_else(|| text.body.map(|body| body.as_str().to_owned()))
        });
        let line = words.map(|words| first_line(&words)).filter(|line| !line.is_empty());
        if line.is_some() {
            return Ok(line);
        }
    }
    Ok(None)
}

/// Returns the first line of `words` that has any, cut for display.
fn first_line(words: &str) -> String {
    excerpt(words.lines().find(|line| !line.trim().is_empty()).unwrap_or_default(), QUOTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_one_line_and_ends_with_a_word() {
        assert_eq!(first_line("\n  Slow is allowed. \nAnd more."), "Slow is allowed.");
        let long = "ebb and flow ".repeat(20);
        let cut = first_line(&long);
        assert!(cut.chars().count() <= QUOTED + 2 && cut.ends_with("and …"), "{cut}");
    }

    #[test]
    fn a_tag_is_read_as_people_write_it() {
        assert!(is_takeaway(" Takeaway"));
        assert!(!is_takeaway("take away"));
    }
}
