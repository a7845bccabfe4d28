//! Infusions that phones push, merged field by field. What the clinic has recorded stands over what the patient says,
//! which is kept as their report.

use serde_json::{Map, Value};

use super::merge::{self, Stands};
use super::model::Kind;
use super::mutation::{Act, Mutation, in_fields, of_fields};
use super::outcome::{Done, Written, find, first_version};
use crate::care::{Access, Write};
use crate::changes::Entity;
use crate::course::actions;
use crate::course::{self, InfusionDraft, InfusionFacts, InfusionStatus, REPORTED};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::kernel::{Creation, Error, FieldError, Result, Seen};

/// How phones write infusions. What they were is known field by field, not as a whole: a mutation that is sent again is
/// answered with the infusion as it is now, at the version that it has now.
pub(super) const WRITTEN: Written = Written {
    conflicts: &FIELDS,
    takes: |act| act == Act::Put,
    apply: |tx, access, _, mutation| apply(tx, access, mutation),
    at: |tx, access, id, _| find(tx, access, Kind::Infusion, id),
};

/// The fields that a patient may write in their own report.
const FIELDS: [&str; 14] = [
    "status",
    "route",
    "planned_start",
    "planned_minutes",
    "started_at",
    "ended_at",
    "dose_mg",
    "weight_kg",
    "setting",
    "supervised",
    "note",
    "distinct_from",
    "course",
    "cancel_reason",
];

/// The fields with which a patient starts and ends what the clinic has recorded.
const TIMES: [&str; 3] = ["status", "started_at", "ended_at"];

const ELSEWHERE: &str = "was changed on another device, and stays as it is there";

fn warning(name: &str, detail: &str) -> FieldError {
    FieldError { pointer: format!("/fields/{name}"), detail: detail.to_owned() }
}

/// What a mutation asks of an infusion that is there.
struct Asked<'m> {
    mutation: &'m Mutation,
    facts: &'m InfusionFacts,
    version: i64,
    /// The fields that were sent.
    sent: Map<String, Value>,
    /// The infusion if all of them counted.
    wished: InfusionDraft,
}

impl Asked<'_> {
    fn seen(&self, name: &str) -> Seen<'_> {
        self.facts.history.at(name, self.mutation.base, self.version)
    }

    fn present(&self) -> Preconditions {
        Preconditions::matching(EntityTag::version(self.version))
    }
}

fn apply(tx: &mut Tx<'_>, access: &Access<Write>, mutation: &Mutation) -> Result<Done> {
    let mut warnings = mutation.unknown(&["fields"]);
    let id = mutation.thing.typed();
    let mut sent = mutation.fields()?.clone();
    sent.retain(|name, _| {
        let known = FIELDS.contains(&name.as_str());
        if !known {
            warnings.push(warning(name, "is not a field that a patient writes"));
        }
        known
    });
    let Some(found) = course::find_infusion(tx, access, id)? else {
        return if mutation.base > 0 {
            Ok(Done::conflict(Vec::new(), None))
        } else {
            create(tx, access, mutation, (sent, warnings))
        };
    };
    let mut body = found.doc.draft().fields()?;
    body.extend(sent.clone());
    let (wished, ignored) = in_fields(course::read_infusion(Value::Object(body)))?;
    warnings.extend(of_fields(ignored));
    let asked = Asked { mutation, facts: &found.doc, version: found.version, sent, wished };
    if mutation.base == 0 && is_creation(&asked)? {
        let first = first_version(tx, access, Entity::Infusion, mutation.thing)?;
        let item = if first == Some(found.version) { None } else { find(tx, access, Kind::Infusion, mutation.thing)? };
        return Ok(Done::stored((mutation.thing, found.version), item));
    }
    let done = if asked.facts.of_clinic {
        report(tx, access, &asked, &mut warnings).map(|()| None)
    } else {
        change(tx, access, &asked, &mut warnings)
    };
    if let Some(sections) = done? {
        return Ok(Done::conflict(sections, find(tx, access, Kind::Infusion, mutation.thing)?));
    }
    let after = course::find_infusion(tx, access, id)?.ok_or(Error::NotFound)?;
    let (is, wants) = (after.doc.draft().fields()?, asked.wished.fields()?);
    let all = asked.sent.keys().all(|name| is.get(name) == wants.get(name));
    let exact = found.version == mutation.base && warnings.is_empty() && all;
    let item = if exact { None } else { find(tx, access, Kind::Infusion, mutation.thing)? };
    Ok(Done::stored((mutation.thing, after.version), item).warned(None, warnings))
}

/// Whether an infusion was recorded by this very body.
fn is_creation(asked: &Asked<'_>) -> Result<bool> {
    match course::read_infusion(Value::Object(asked.sent.clone())) {
        Ok((draft, _)) => Ok(asked.facts.creation == Some(Creation::of(&draft)?)),
        Err(Error::Invalid(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn create(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    mutation: &Mutation,
    (sent, mut warnings): (Map<String, Value>, Vec<FieldError>),
) -> Result<Done> {
    if !mutation.thing.is_of_client() {
        return Err(Error::field("/id", "must be a UUID of version 4 or 7"));
    }
    let (draft, ignored) = in_fields(course::read_infusion(Value::Object(sent)))?;
    warnings.extend(of_fields(ignored));
    in_fields(actions::put_infusion(tx, access, mutation.thing.typed(), &draft, &Preconditions::none()))?;
    let version = course::find_infusion(tx, access, mutation.thing.typed())?.ok_or(Error::NotFound)?.version;
    let item = if warnings.is_empty() { None } else { find(tx, access, Kind::Infusion, mutation.thing)? };
    Ok(Done::stored((mutation.thing, version), item).warned(None, warnings))
}

/// Changes the patient's own report. What two devices have changed stays as the server has it. Returns the fields that
/// do not fit what another device has made of it.
fn change(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    asked: &Asked<'_>,
    warnings: &mut Vec<FieldError>,
) -> Result<Option<Vec<&'static str>>> {
    let (has, wants) = (asked.facts.draft().fields()?, asked.wished.fields()?);
    let mut chosen = Vec::new();
    for name in FIELDS.into_iter().filter(|name| asked.sent.contains_key(*name)) {
        let of = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
        match merge::field(asked.seen(name), &of(&has), &of(&wants)) {
            Stands::Phone => chosen.push((name, of(&wants))),
            Stands::Server => {}
            Stands::Conflict => warnings.push(warning(name, ELSEWHERE)),
        }
    }
    if chosen.is_empty() {
        return Ok(None);
    }
    let patch = |draft: InfusionDraft| {
        let mut body = draft.fields()?;
        body.extend(chosen.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Ok(course::read_infusion(Value::Object(body))?.0)
    };
    match actions::patch_infusion(tx, access, asked.mutation.thing.typed(), patch, &asked.present()) {
        Ok(_) => Ok(None),
        Err(Error::Invalid(_)) if asked.version > asked.mutation.base => {
            Ok(Some(chosen.into_iter().map(|(name, _)| name).collect()))
        }
        Err(error) => in_fields(Err(error)),
    }
}

/// Starts or ends what the clinic has recorded, as a patient may. All else that they say of it is left out.
fn report(tx: &mut Tx<'_>, access: &Access<Write>, asked: &Asked<'_>, warnings: &mut Vec<FieldError>) -> Result<()> {
    let (has, wants) = (asked.facts.draft().fields()?, asked.wished.fields()?);
    for name in asked.sent.keys().filter(|name| !TIMES.contains(&name.as_str()) && has.get(*name) != wants.get(*name)) {
        warnings.push(warning(name, "is the clinic's, and stays as it is"));
    }
    let (id, wished) = (asked.mutation.thing.typed(), &asked.wished);
    let said = |name: &str| asked.sent.get(name).is_some_and(|value| !value.is_null());
    let started = wished.started_at.filter(|_| said("started_at"));
    let ended = wished.ended_at.filter(|_| said("ended_at"));
    let completes = said("status") && wished.status == InfusionStatus::Completed;
    if completes || ended.is_some() {
        let when = if asked.seen(REPORTED) == Seen::Same { asked.present() } else { Preconditions::none() };
        match actions::end_infusion(tx, access, id, (started, ended, None), &when) {
            Ok(_) => {}
            Err(Error::PreconditionRequired) => warnings.push(warning("ended_at", ELSEWHERE)),
            Err(error) => return in_fields(Err(error)),
        }
    } else if started.is_some() && asked.facts.started_at.is_none() {
        in_fields(actions::start_infusion(tx, access, id, started, &asked.present()))?;
    } else {
        let stays = TIMES.into_iter().filter(|name| said(name) && has.get(*name) != wants.get(*name));
        warnings.extend(stays.map(|name| warning(name, "is the clinic's, and stays as it is")));
    }
    Ok(())
}
