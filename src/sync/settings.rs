//! Settings that phones push, merged field by field; the history of zones is a set.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::merge::{self, Stands};
use super::model::Kind;
use super::mutation::{Act, Mutation, in_fields};
use super::outcome::{Done, Written, find};
use crate::care::{Access, Write};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::kernel::{Error, FieldError, Fields, Result, Zone, device_time};
use crate::settings::actions::patch_settings;
use crate::settings::{OWN_FIELDS, changed_settings, settings};

/// How phones write settings. What they were is known field by field, not as a whole: a mutation that is sent again is
/// answered with the settings as they are now, at the version that they have now.
pub(super) const WRITTEN: Written = Written {
    conflicts: &OWN_FIELDS,
    takes: |act| act == Act::Put,
    apply: |tx, access, _, mutation| apply(tx, access, mutation),
    at: |tx, access, id, _| find(tx, access, Kind::Settings, id),
};

/// The furthest that a move may lie ahead of the server's clock.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A period in a zone that a phone tells of.
type Move = (Zone, Timestamp);

fn apply(tx: &mut Tx<'_>, access: &Access<Write>, mutation: &Mutation) -> Result<Done> {
    if mutation.thing != access.patient().any() {
        return Err(Error::NotFound);
    }
    let (before, version) = settings(tx, access)?;
    let sent = mutation.fields()?;
    let mut warnings = mutation.unknown(&["fields"]);
    let (own, others): (Map<_, _>, Map<_, _>) =
        sent.clone().into_iter().partition(|(name, _)| OWN_FIELDS.contains(&name.as_str()));
    let strange = others.keys().filter(|name| *name != "zones");
    warnings.extend(strange.map(|name| fault(name, "is not a field of settings")));
    let moves = moves(others.get("zones"), access.now(), &mut warnings);
    let wished = in_fields(changed_settings(&before, &own, access.now()))?;
    let (has, wants) = (before.own_fields()?, wished.own_fields()?);
    let whose = |name: &str| {
        let of = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
        merge::field(before.history.at(name, mutation.base, version), &of(&has), &of(&wants))
    };
    let written = OWN_FIELDS.into_iter().filter(|name| own.contains_key(*name));
    let judged: Vec<_> = written.map(|name| (name, whose(name))).collect();
    let sections: Vec<_> =
        judged.iter().filter(|(_, whose)| *whose == Stands::Conflict).map(|(name, _)| *name).collect();
    if !sections.is_empty() {
        return Ok(Done::conflict(sections, find(tx, access, Kind::Settings, mutation.thing)?));
    }
    let mut chosen = own;
    chosen.retain(|name, _| judged.contains(&(name.as_str(), Stands::Phone)));
    let change = |before: &_| {
        let mut after = changed_settings(before, &chosen, access.now())?;
        for (zone, from) in moves {
            after.add_zone(zone, from)?;
        }
        Ok(after)
    };
    let (_, stored) = patch_settings(tx, access, change, &Preconditions::matching(EntityTag::version(version)))?;
    let exact = version == mutation.base && warnings.is_empty();
    let item = if exact { None } else { find(tx, access, Kind::Settings, mutation.thing)? };
    Ok(Done::stored((mutation.thing, stored), item).warned(None, warnings))
}

fn fault(name: &str, detail: impl Into<String>) -> FieldError {
    FieldError { pointer: format!("/fields/{name}"), detail: detail.into() }
}

/// Reads the moves that a phone tells of, oldest first. One that cannot be read is left out; one that lies ahead
/// happened by now.
fn moves(zones: Option<&Value>, now: Timestamp, warnings: &mut Vec<FieldError>) -> Vec<Move> {
    let Some(zones) = zones else { return Vec::new() };
    let Some(list) = zones.as_array() else {
        warnings.push(fault("zones", "must be an array"));
        return Vec::new();
    };
    let soon = now.saturating_add(SKEW).unwrap_or(now);
    let mut moves = Vec::with_capacity(list.len());
    for (place, period) in list.iter().enumerate() {
        let mut fields = Fields::new();
        let text = |name: &str| period.get(name).and_then(Value::as_str);
        let zone = Zone::parse(text("time_zone").unwrap_or_default());
        let zone = fields.take(&format!("/fields/zones/{place}/time_zone"), zone);
        let pointer = format!("/fields/zones/{place}/from");
        let from = text("from").ok_or("is required");
        let from = fields.take(&pointer, from).map(str::to_owned);
        let from = device_time::take(&mut fields, &pointer, from);
        match fields.finish(zone.zip(from)) {
            Ok((zone, from)) if from > soon => {
                warnings.push(FieldError { pointer, detail: "lies ahead: it was taken to be now".to_owned() });
                moves.push((zone, now));
            }
            Ok(period) => moves.push(period),
            Err(Error::Invalid(faults)) => warnings.extend(faults),
            Err(_) => {}
        }
    }
    // A return to a zone is none as long as the move away from it is not known.
    moves.sort_by_key(|(_, from)| *from);
    moves
}
