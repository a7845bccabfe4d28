//! Pauses that phones push. A pause is one value: two periods of one pause are a conflict.

use serde_json::Value;

use super::model::Kind;
use super::mutation::{Act, Mutation, in_fields, of_fields};
use super::outcome::{Done, Written, find, first_version};
use crate::care::{Access, Write};
use crate::changes::Entity;
use crate::course::{self, pauses};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::kernel::{Error, Result};

/// How phones write pauses. A pause has no history: a mutation that is sent again is answered with the pause as it is
/// now, at the version that it has now.
pub(super) const WRITTEN: Written = Written {
    conflicts: &["fields"],
    takes: |act| matches!(act, Act::Put | Act::Delete),
    apply: |tx, access, _, mutation| match mutation.act {
        Act::Delete => end(tx, access, mutation),
        _ => put(tx, access, mutation),
    },
    at: |tx, access, id, _| find(tx, access, Kind::Pause, id),
};

/// Ends a pause, whatever another phone has made of it meanwhile: to ask less than somebody wants does more harm than
/// to ask again.
fn end(tx: &mut Tx<'_>, access: &Access<Write>, mutation: &Mutation) -> Result<Done> {
    match pauses::end_pause(tx, access, mutation.thing.typed()) {
        Ok(()) | Err(Error::NotFound) => {}
        Err(error) => return Err(error),
    }
    let version = find(tx, access, Kind::Pause, mutation.thing)?.map_or(0, |(_, held)| held.version);
    Ok(Done::stored((mutation.thing, version), None))
}

fn put(tx: &mut Tx<'_>, access: &Access<Write>, mutation: &Mutation) -> Result<Done> {
    let mut warnings = mutation.unknown(&["fields"]);
    let read = course::read_pause(Value::Object(mutation.fields()?.clone()), access.now());
    let (asked, ignored) = in_fields(read)?;
    warnings.extend(of_fields(ignored));
    let id = mutation.thing.typed();
    let found = course::list_pauses_among(tx, access, &[id])?.pop();
    let version = match &found {
        None if mutation.base > 0 => return Ok(Done::conflict(Vec::new(), None)),
        None if !mutation.thing.is_of_client() => {
            return Err(Error::field("/id", "must be a UUID of version 4 or 7"));
        }
        // Ended is final, and what it says no longer counts.
        Some(row) if row.is_deleted() => {
            let item = find(tx, access, Kind::Pause, mutation.thing)?;
            return Ok(Done::stored((mutation.thing, row.version()), item).warned(None, warnings));
        }
        found => found.as_ref().map_or(0, course::PauseRow::version),
    };
    // What was last changed by a version that the phone has seen may be replaced.
    let seen = version <= mutation.base;
    let when = if seen && found.is_some() {
        Preconditions::matching(EntityTag::version(version))
    } else {
        Preconditions::none()
    };
    let row = match pauses::put_pause(tx, access, id, &asked, &when) {
        Ok(outcome) => outcome.or_get(|id| pauses::get_pause(tx, access, id))?,
        Err(Error::PreconditionRequired) => {
            let current = find(tx, access, Kind::Pause, mutation.thing)?;
            return Ok(Done::conflict(vec!["fields"], current));
        }
        Err(error) => return in_fields(Err(error)),
    };
    let began = mutation.base == 0 && first_version(tx, access, Entity::Pause, mutation.thing)? == Some(version);
    let exact = found.is_none() || version == mutation.base || began;
    let item = if exact && warnings.is_empty() { None } else { find(tx, access, Kind::Pause, mutation.thing)? };
    Ok(Done::stored((mutation.thing, row.version()), item).warned(None, warnings))
}
