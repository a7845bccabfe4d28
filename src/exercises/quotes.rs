//! Quotes of the patient's own answers, for prompts that they read. The library says which steps are quoted and how.

use serde_json::Value;

use super::answers::Answers;
use super::model::{Header, Responses};
use super::store::{ResponseTable, list_beyond_the_limit, list_with_date_to_come};
use super::translations::Words;
use crate::care::Access;
use crate::changes::Entity;
use crate::db::Tx;
use crate::items::seal::open_section;
use crate::items::{ItemTable as _, open_header};
use crate::kernel::excerpt::excerpt;
use crate::kernel::id::{Any, Response};
use crate::kernel::{Error, Id, Result, limits};
use crate::planning::{DatedResponse, Piece, pieces};

/// The number of newest responses that are searched for a quote.
const MOST: i64 = 200;
/// The most characters that are quoted of one answer.
pub const QUOTED: usize = 140;
/// The most characters that are quoted of one answer that comes back.
pub const RETURNED: usize = 1000;

/// Reads the newest done response to `exercise` and quotes its answers in the words of `locale`. Of those that were done
/// in the same second, it is the one that was changed last. There is no quote when
/// an answer is missing or does not open, or when a newer response does not open: it may be the newest to this
/// exercise.
///
/// # Errors
///
/// When the responses cannot be read.
pub fn newest_quote<A>(tx: &mut Tx<'_>, access: &Access<A>, exercise: &str, locale: &str) -> Result<Option<String>> {
    let (keys, patient) = (access.keys()?, access.patient());
    for (id, part) in ResponseTable::list_headers(tx, access, Entity::Response, None, MOST)? {
        let header = Error::skip_damaged(open_header::<Responses>(keys, patient, id, &part))?;
        let Some(header) = header else { return Ok(None) };
        if header.exercise_key != exercise {
            continue;
        }
        let answers = Error::skip_damaged(answers(tx, access, id))?.flatten();
        return answers.map_or(Ok(None), |answers| quote(&header, &answers, (locale, QUOTED)));
    }
    Ok(None)
}

/// Quotes the answers of a response in the words of `locale`, at length; `None` when it was deleted or does not open,
/// or an answer is missing.
///
/// # Errors
///
/// When the response cannot be read.
pub fn quote_of<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Response>, locale: &str) -> Result<Option<String>> {
    let rows = ResponseTable::list_done_headers(tx, access, &[id.any()])?;
    let Some((id, part, _)) = rows.first() else { return Ok(None) };
    let header = Error::skip_damaged(open_header::<Responses>(access.keys()?, access.patient(), *id, part))?;
    let answers = Error::skip_damaged(answers(tx, access, *id))?.flatten();
    header.zip(answers).map_or(Ok(None), |(header, answers)| quote(&header, &answers, (locale, RETURNED)))
}

/// The responses that are still to come back to the patient on a date.
#[derive(Clone, Debug, Default)]
pub struct DatedResponses {
    /// Those that open, in the order of their arrival.
    pub list: Vec<DatedResponse>,
    /// Whether there is none that does not open.
    pub whole: bool,
    /// Those that wait until there are fewer: they are not planned, and what brings them back already stays.
    pub waiting: Vec<Id<Response>>,
    /// Those that turn out to have no date, or none to come.
    pub over: Vec<Id<Response>>,
}

/// Lists the done responses that are still to come back on a date, opened, for planning: at most
/// [`limits::DATED_RESPONSES`], those that arrived first.
///
/// # Errors
///
/// When the responses cannot be read.
pub fn dated_responses<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<DatedResponses> {
    let (keys, patient) = (access.keys()?, access.patient());
    let mut found = DatedResponses { whole: true, ..DatedResponses::default() };
    let rows = list_with_date_to_come(tx, access)?;
    if i64::try_from(rows.len()).is_ok_and(|count| count >= limits::DATED_RESPONSES.rows()) {
        found.waiting = list_beyond_the_limit(tx, access)?;
    }
    for (id, header, answers) in rows {
        let header = Error::skip_damaged(open_header::<Responses>(keys, patient, id.any(), &header))?;
        let answers = open_section::<Responses, Answers>(keys, (patient, id.any()), "answers", &answers);
        let Some((header, answers)) = header.zip(Error::skip_damaged(answers)?) else {
            found.whole = false;
            continue;
        };
        let step = header.exercise()?.returns_on.as_ref();
        match step.and_then(|step| answers.as_ref()?.date(step)) {
            Some(date) => found.list.push(DatedResponse { id, exercise: header.exercise_key, date }),
            None => found.over.push(id),
        }
    }
    Ok(found)
}

/// Opens the answers of a response; `None` when it has none.
fn answers<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Any>) -> Result<Option<Answers>> {
    let row = ResponseTable::find(tx, access, id)?;
    let Some(part) = row.as_ref().and_then(|row| row.parts.get(1)) else { return Ok(None) };
    open_section::<Responses, Answers>(access.keys()?, (access.patient(), id), "answers", part)
}

/// Writes the quote of a response; `None` when its exercise has none, or an answer is missing.
fn quote(header: &Header, answers: &Answers, (locale, most): (&str, usize)) -> Result<Option<String>> {
    let words = Words::of(header.exercise()?, locale);
    let Some(template) = words.find("quote") else { return Ok(None) };
    let mut quote = String::new();
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => quote.push_str(text),
            Piece::Other(step) => {
                let answer = answers.get(step).and_then(Value::as_str).map(|answer| excerpt(answer, most));
                let Some(answer) = answer.filter(|answer| !answer.is_empty()) else { return Ok(None) };
                quote.push_str(&answer);
            }
            _ => {}
        }
    }
    Ok(Some(quote))
}
