//! Comments that phones push. A comment does not change: the same id with other words is a conflict.

use uuid::Uuid;

use super::model::Kind;
use super::mutation::{Act, Mutation};
use super::outcome::{Done, Written, find};
use crate::care::{Access, Write};
use crate::db::Tx;
use crate::journal::comments::actions::{self as comments, Closed, NewComment};
use crate::journal::comments::store;
use crate::kernel::{Error, FieldError, Fields, Id, Result, Text};

/// How phones write comments. A comment is sent again as it was sent first, so that each answer tells the same one.
pub(super) const WRITTEN: Written = Written {
    conflicts: &["body"],
    takes: |act| act == Act::Put,
    apply: |tx, access, _, mutation| apply(tx, access, mutation),
    at: |tx, access, id, _| find(tx, access, Kind::Comment, id),
};

/// The members of a comment's mutation.
const MEMBERS: [&str; 4] = ["entry_id", "thread_id", "body", "author_id"];

/// Adds the comment of a mutation. One whose thread was closed meanwhile is held.
fn apply(tx: &mut Tx<'_>, access: &Access<Write>, mutation: &Mutation) -> Result<Done> {
    let (new, mut warnings) = parse(access, mutation)?;
    if let Some(row) = store::find(tx, access, new.id)? {
        let own = row.key.author_id == access.account()?;
        let item = find(tx, access, Kind::Comment, mutation.thing)?;
        if !own || comments::open(access.keys()?, access.patient(), &row)? != new.body {
            return Ok(Done::conflict(vec!["body"], item));
        }
        let same = row.key.entry_id == new.entry && row.key.thread() == new.thread && !row.key.held;
        return Ok(Done::stored((mutation.thing, row.key.version), item.filter(|_| !same)));
    }
    let outcome = comments::put(tx, access, &new)?;
    let row = outcome.or_get(|id| comments::get(tx, access, id))?;
    if !row.key.held {
        let item = if warnings.is_empty() { None } else { find(tx, access, Kind::Comment, mutation.thing)? };
        return Ok(Done::stored((mutation.thing, row.key.version), item).warned(None, warnings));
    }
    let detail = "the thread is closed: the comment is held, and only you see it".to_owned();
    warnings.push(FieldError { pointer: "/thread_id".to_owned(), detail });
    let item = find(tx, access, Kind::Comment, mutation.thing)?;
    Ok(Done::stored((mutation.thing, row.key.version), item).warned(Some("thread_closed"), warnings))
}

/// Reads a comment. A thread that cannot be read is none: words are never refused for that.
fn parse(access: &Access<Write>, mutation: &Mutation) -> Result<(NewComment, Vec<FieldError>)> {
    let text = |name: &str| mutation.members.get(name).and_then(|value| value.as_str());
    let uuid = |name: &str| text(name).and_then(|text| text.parse::<Uuid>().ok());
    if mutation.members.contains_key("author_id") && uuid("author_id") != Some(access.account()?.uuid()) {
        // A phone that sends again all that it holds does not say what a therapist said.
        return Err(Error::NotFound);
    }
    let mut fields = Fields::new();
    fields.check(mutation.thing.is_of_client(), "/id", "must be a UUID of version 4 or 7");
    let entry = fields.take("/entry_id", uuid("entry_id").ok_or("must be a UUID"));
    let body = fields.take("/body", Text::parse(text("body").unwrap_or_default()));
    let new = fields.finish(entry.zip(body).map(|(entry, body)| NewComment {
        id: mutation.thing.typed(),
        entry: Id::from_uuid(entry),
        thread: uuid("thread_id").map(Id::from_uuid),
        body,
        closed: Closed::Hold,
    }))?;
    Ok((new, mutation.unknown(&MEMBERS)))
}
