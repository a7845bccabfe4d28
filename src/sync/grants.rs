//! The grants that phones push, and their revocations.

use serde_json::{Map, Value, json};

use super::kinds::{self, Held};
use super::model::Kind;
use super::mutation::{Act, Mutation};
use super::outcome::{Done, Numbered, Written, number};
use crate::care::grants::GrantDoc;
use crate::care::grants::store::{self, GrantKey, GrantRow};
use crate::care::{Access, Write};
use crate::changes::{self, Entity};
use crate::db::Tx;
use crate::kernel::id::{Any, Grant};
use crate::kernel::{Code, Error, FieldError, Id, Result};
use crate::sharing::{self, NewGrant, Terms};

/// How phones make and end grants.
pub(super) const WRITTEN: Written = Written {
    conflicts: &[],
    takes: |act| matches!(act, Act::Put | Act::Delete),
    apply: |tx, access, means, mutation| match mutation.act {
        Act::Delete => delete(tx, access, mutation),
        _ => put(tx, access, means.sharing, mutation),
    },
    at,
};

/// The members of a grant, as in its PUT.
const MEMBERS: [&str; 6] = ["target", "rule", "sections", "reader", "expires_at", "visible_at_once"];

/// The members of a mutation of a grant.
const KNOWN: [&str; 8] =
    ["target", "rule", "sections", "reader", "expires_at", "visible_at_once", "seen_seq", "replaces"];

/// Whether a mutation ends a grant.
pub(super) fn ends(mutation: &Mutation) -> bool {
    mutation.kind == Kind::Grant && mutation.act == Act::Delete
}

/// Whether a mutation ends grants, if only to put another one in their place. Its unit holds the links of the readers.
pub(super) fn revokes(mutation: &Mutation) -> bool {
    ends(mutation) || shares(mutation) && mutation.members.contains_key("replaces")
}

/// Whether a mutation makes a grant.
pub(super) fn shares(mutation: &Mutation) -> bool {
    mutation.kind == Kind::Grant && mutation.act == Act::Put
}

/// Whether a mutation makes a grant by rule, or says of one that it ends what its rule is.
pub(super) fn is_by_rule(mutation: &Mutation) -> bool {
    (shares(mutation) || ends(mutation)) && mutation.members.get("rule").is_some_and(|rule| !rule.is_null())
}

/// Lists the grants that a mutation names to be ended, if only to put another one in their place.
pub(super) fn named_to_end(mutation: &Mutation) -> Vec<Id<Grant>> {
    if ends(mutation) {
        return vec![mutation.thing.typed()];
    }
    // One that names them wrongly is refused when it is done.
    if shares(mutation) { replaced(&mutation.members).unwrap_or_default() } else { Vec::new() }
}

/// Finds a grant as it was in `version`. It never changes but for its end.
fn at(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Any>, version: i64) -> Result<Option<Numbered>> {
    let Some(row) = store::find(tx, access, id.typed())? else { return Ok(None) };
    let key = GrantKey { version, closed_at: row.key.closed_at.filter(|_| version == row.key.version), ..row.key };
    shown(tx, access, GrantRow { key, ..row }).map(Some)
}

fn shown(tx: &mut Tx<'_>, access: &Access<Write>, row: GrantRow) -> Result<Numbered> {
    let held: Held = kinds::grant(row);
    Ok((number(tx, access, Entity::Grant, (held.id, held.version))?, held))
}

/// Makes the grant of a mutation, unless a revocation covers it that its phone had not seen.
fn put(tx: &mut Tx<'_>, access: &Access<Write>, terms: Terms, mutation: &Mutation) -> Result<Done> {
    of_client(mutation)?;
    let new = read(&mutation.members)?;
    let replaced = replaced(&mutation.members)?;
    let (seen, mut warnings) = seen(tx, access, &mutation.members)?;
    let made = sharing::put_unseen(tx, access, (mutation.thing.typed(), &new), (seen, &replaced), terms);
    let code = match made {
        Ok(Some(_)) => None,
        Ok(None) => Some("revoked_since"),
        Err(Error::State(Code::NotShareable, _)) => Some("not_shareable"),
        Err(error) => return Err(error),
    };
    let row = store::find(tx, access, mutation.thing.typed())?;
    match (code, row) {
        (None, Some(row)) => {
            warnings.extend(mutation.unknown(&KNOWN));
            Ok(Done::stored((mutation.thing, row.key.version), None).warned(None, warnings))
        }
        (_, row) => {
            let current = row.map(|row| shown(tx, access, row)).transpose()?;
            Ok(Done::Conflict { sections: Vec::new(), current, code })
        }
    }
}

/// Ends the grant of a mutation, and what was opened in the same way since, which its phone had not seen.
fn delete(tx: &mut Tx<'_>, access: &Access<Write>, mutation: &Mutation) -> Result<Done> {
    let said = MEMBERS.iter().any(|name| mutation.members.contains_key(*name));
    let known = store::find(tx, access, mutation.thing.typed())?;
    if known.is_none() {
        of_client(mutation)?;
    }
    let doc = if said && known.is_none() { Some(ended(&mutation.members)?) } else { None };
    let (seen, warnings) = seen(tx, access, &mutation.members)?;
    sharing::revoke(tx, access, mutation.thing.typed(), doc.as_ref(), seen)?;
    let row = store::find(tx, access, mutation.thing.typed())?.ok_or(Error::NotFound)?;
    Ok(Done::stored((mutation.thing, row.key.version), None).warned(None, warnings))
}

fn of_client(mutation: &Mutation) -> Result<()> {
    let made = mutation.thing.is_of_client().then_some(());
    made.ok_or_else(|| Error::field("/id", "must be a UUID of version 4 or 7"))
}

/// Reads a grant in the form of its PUT.
fn read(members: &Map<String, Value>) -> Result<NewGrant> {
    let own = members.iter().filter(|(name, value)| MEMBERS.contains(&name.as_str()) && !value.is_null());
    sharing::read(Value::Object(own.map(|(name, value)| (name.clone(), value.clone())).collect()))
}

/// Reads what a phone says of a grant that it ends. Its sections and its end do not matter; without a reader that can be
/// read it is everybody.
fn ended(members: &Map<String, Value>) -> Result<GrantDoc> {
    let response = members.get("target").is_some_and(|target| target["type"] == "exercise_response");
    let mut whole = members.clone();
    whole.remove("expires_at");
    whole.remove("visible_at_once");
    whole.insert("sections".to_owned(), if response { json!(["answers"]) } else { json!(["text"]) });
    let ended = read(&whole).or_else(|_fault| {
        whole.insert("reader".to_owned(), json!({ "type": "care_team" }));
        read(&whole)
    });
    Ok(ended?.doc)
}

/// Returns the number up to which the phone had seen the changes when the person decided. It is 0 if the phone does not
/// say, or, with a warning, says what cannot be: then every revocation counts, and none is refused for it.
fn seen(tx: &mut Tx<'_>, access: &Access<Write>, members: &Map<String, Value>) -> Result<(i64, Vec<FieldError>)> {
    let newest = changes::head(tx, access.patient())?.seq;
    let said = members.get("seen_seq").filter(|said| !said.is_null());
    let seen = said.map(|said| said.as_i64().filter(|seq| (0..=newest).contains(seq)));
    let detail = || format!("is not a number of a change, at most {newest}; it was read as 0");
    let warnings = matches!(seen, Some(None)).then(|| FieldError { pointer: "/seen_seq".to_owned(), detail: detail() });
    Ok((seen.flatten().unwrap_or(0), warnings.into_iter().collect()))
}

/// Returns the grants in whose place a new one comes.
fn replaced(members: &Map<String, Value>) -> Result<Vec<Id<Grant>>> {
    let ids = match members.get("replaces") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(value) => value.as_array().filter(|ids| ids.len() <= 50),
    };
    let id = |id: &Value| id.as_str().and_then(|id| id.parse().ok()).map(Id::from_uuid);
    let ids = ids.and_then(|ids| ids.iter().map(id).collect::<Option<Vec<_>>>());
    ids.ok_or_else(|| Error::field("/replaces", "must be at most 50 ids of grants"))
}
