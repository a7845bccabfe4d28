//! Quotes of the patient's own answers, for prompts that they read. The library says which steps are quoted and how.

use serde_json::Value;

use super::answers::Answers;
use super::model::{Header, Responses};
use super::store::ResponseTable;
use super::translations::Words;
use crate::care::Access;
use crate::db::Tx;
use crate::items::seal::open_section;
use crate::items::{ItemTable as _, open_header};
use crate::kernel::excerpt::excerpt;
use crate::kernel::{Error, Result};
use crate::planning::{Piece, pieces};

/// The number of newest responses that are searched.
const MOST: i64 = 200;
/// The most characters that are quoted of one answer.
const QUOTED: usize = 140;

/// Reads the newest done response to `exercise` and quotes its answers in the words of `locale`. There is no quote when
/// an answer is missing or does not open, or when a newer response does not open: it may be the newest to this
/// exercise.
///
/// # Errors
///
/// When the responses cannot be read.
pub fn newest_quote<A>(tx: &mut Tx<'_>, access: &Access<A>, exercise: &str, locale: &str) -> Result<Option<String>> {
    let (keys, patient) = (access.keys()?, access.patient());
    for (id, part) in ResponseTable::list_headers(tx, access, None, MOST)? {
        let header = Error::skip_damaged(open_header::<Responses>(keys, patient, id, &part))?;
        let Some(header) = header else { return Ok(None) };
        if header.exercise_key != exercise {
            continue;
        }
        let Some(row) = ResponseTable::find(tx, access, id)? else { return Ok(None) };
        let Some(part) = row.parts.get(1) else { return Ok(None) };
        let answers = Error::skip_damaged(open_section::<Responses, Answers>(keys, (patient, id), "answers", part))?;
        return answers.flatten().map_or(Ok(None), |answers| quote(&header, &answers, locale));
    }
    Ok(None)
}

/// Writes the quote of a response; `None` when its exercise has none, or an answer is missing.
fn quote(header: &Header, answers: &Answers, locale: &str) -> Result<Option<String>> {
    let words = Words::of(header.exercise()?, locale);
    let Some(template) = words.find("quote") else { return Ok(None) };
    let mut quote = String::new();
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => quote.push_str(text),
            Piece::Other(step) => {
                let answer = answers.get(step).and_then(Value::as_str).map(|answer| excerpt(answer, QUOTED));
                let Some(answer) = answer.filter(|answer| !answer.is_empty()) else { return Ok(None) };
                quote.push_str(&answer);
            }
            _ => {}
        }
    }
    Ok(Some(quote))
}
