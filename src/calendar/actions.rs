//! Making, showing and removing a calendar, and reading its feed.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::ics;
use super::model::{CalendarDoc, Event, Secret, Ticked, event_id, revised_at, rounded};
use super::store::{self, CalendarKey, CalendarRow};
use crate::care::{Access, Read, Write};
use crate::changes::{Change, Entity, Op};
use crate::course::{InfusionFacts, InfusionStatus, StoredDocument, list_infusions};
use crate::db::{At, Tx};
use crate::delivery::{DevicePlan, calendar_titles};
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::identity::is_welcome;
use crate::kernel::id::{CalendarAddress, Infusion};
use crate::kernel::{Error, Id, Result};
use crate::prompts::store as prompts;
use crate::settings::settings_or_default;
use crate::state::State;
use crate::vault::Vault;

/// How far a feed looks ahead for infusions: as far as the plan of a device does for prompts.
const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 14);
/// The most events of a feed, as in the plan of a device.
const MOST: usize = 64;
/// The length of the event of a prompt.
const SHORT: SignedDuration = SignedDuration::from_mins(15);
/// The length of the event of an infusion: how long one really takes says too much.
const LONG: SignedDuration = SignedDuration::from_hours(1);
/// The time for which the note that a feed was read counts as new.
const NOTED: SignedDuration = SignedDuration::from_hours(1);

/// A calendar to make or to change.
#[derive(Clone, Debug)]
pub struct CalendarCommand {
    /// What the feed is to show.
    pub ticked: Ticked,
    /// Whether it gets another address.
    pub new_address: bool,
    /// The id of the address, if one is made.
    pub address: Id<CalendarAddress>,
}

/// Makes the patient's calendar, or changes what it shows. The outcome is 201 if an address was made.
///
/// # Errors
///
/// 428 and 412 for preconditions of a change.
pub fn put_calendar(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    vault: &Vault,
    command: &CalendarCommand,
    when: &Preconditions,
) -> Result<Outcome<CalendarRow>> {
    access.lock(tx)?;
    let found = store::find(tx, access)?;
    let Some(row) = found.as_ref().filter(|row| row.is_live(tx)) else {
        when.check(None)?;
        return make_address(tx, access, vault, (command, found.as_ref()));
    };
    let known = Error::skip_damaged(row.open(access.keys()?))?;
    if !command.new_address && known.is_some_and(|doc| doc.ticked == command.ticked) {
        return Ok(Outcome::ok(row.key.address_id, row.clone()));
    }
    if when.create_only() {
        return Err(Error::Stale);
    }
    when.require(&EntityTag::version(row.key.version))?;
    if command.new_address {
        return make_address(tx, access, vault, (command, Some(row)));
    }
    let version = tx.version_after(row.key.version);
    let key = CalendarKey { version, updated_at: At(access.now()), ..row.key.clone() };
    let row = store::put(tx, access, (key, Some(row)), &CalendarDoc { ticked: command.ticked.clone() })?;
    access.record(tx, Change::new(Entity::Calendar, access.patient(), version, Op::Update))?;
    Ok(Outcome::ok(row.key.address_id, row))
}

fn make_address(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    vault: &Vault,
    (command, old): (&CalendarCommand, Option<&CalendarRow>),
) -> Result<Outcome<CalendarRow>> {
    let (patient_id, address_id, now) = (access.patient(), command.address, At(access.now()));
    let version = tx.version_after(old.map_or(0, |old| old.key.version));
    let key = CalendarKey {
        patient_id,
        address_id,
        address_key: Some(Secret::of(vault, patient_id, address_id).key(vault)),
        address_version: version,
        version,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    };
    let row = store::put(tx, access, (key, old), &CalendarDoc { ticked: command.ticked.clone() })?;
    let op = if old.is_some() { Op::Update } else { Op::Create };
    access.record(tx, Change::new(Entity::Calendar, patient_id, version, op))?;
    Ok(Outcome::created(address_id, row))
}

/// Returns the calendar for the answer to [`put_calendar`], and whether that request made the address that it has.
///
/// # Errors
///
/// As [`get_calendar`], for a replay.
pub fn shown(tx: &mut Tx<'_>, access: &Access<Write>, outcome: Outcome<CalendarRow>) -> Result<(CalendarRow, bool)> {
    let (made, address) = (outcome.done.status == 201, outcome.id()?);
    let row = outcome.or_read(|| get_calendar(tx, access))?;
    let made = made && row.key.address_id == address;
    Ok((row, made))
}

/// Returns the patient's calendar.
///
/// # Errors
///
/// [`Error::NotFound`] when there is none.
pub fn get_calendar<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<CalendarRow> {
    store::find(tx, access)?.filter(|row| row.is_live(tx)).ok_or(Error::NotFound)
}

/// Removes the patient's calendar: its address opens nothing any more. A second call changes nothing.
///
/// # Errors
///
/// [`Error::NotFound`] when there never was one.
pub fn remove_calendar(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<()> {
    access.lock(tx)?;
    let row = store::find(tx, access)?.ok_or(Error::NotFound)?;
    if row.key.deleted_at.is_some() {
        return Ok(());
    }
    let (version, now) = (tx.version_after(row.key.version), At(access.now()));
    let key = CalendarKey { version, address_key: None, updated_at: now, deleted_at: Some(now), ..row.key.clone() };
    store::put(tx, access, (key, Some(&row)), &CalendarDoc::default())?;
    access.record(tx, Change::new(Entity::Calendar, access.patient(), version, Op::Delete))
}

/// Reads the feed of an address, as iCalendar.
///
/// # Errors
///
/// [`Error::NotFound`], the same for an address that is none, that was never made and that has ended, and for that of
/// somebody whose account is disabled or whose keys were destroyed.
pub async fn read_feed(state: &State, secret: Option<Secret>, now: Timestamp) -> Result<String> {
    let address = secret.ok_or(Error::NotFound)?.key(&state.vault);
    let find = move |tx: &mut Tx<'_>| {
        let row = store::find_by_address(tx, &address)?.filter(|row| row.is_live(tx)).ok_or(Error::NotFound)?;
        if is_welcome(tx, row.key.patient_id)? { Ok(row) } else { Err(Error::NotFound) }
    };
    let found = state.db.read(find.clone()).await?;
    let patient = found.key.patient_id;
    let keys = state.vault.keys(patient.uuid()).await?.ok_or(Error::NotFound)?;
    let vault = state.vault.clone();
    let unit = move |tx: &mut Tx<'_>| {
        let row = find(tx)?;
        feed(tx, &Access::<Read>::for_server(patient, Some(keys.clone()), now), &vault, &row)
    };
    let feed = state.db.read(unit).await?;
    if found.read_at.is_none_or(|at| now.duration_since(at) >= NOTED) {
        let read = (patient, found.key.address_id);
        state.db.write(move |tx| store::mark_read(tx, read, now)).await?;
    }
    Ok(feed)
}

/// Writes the feed: what is ticked of the plan that the patient's devices have, and of the infusions.
fn feed(tx: &mut Tx<'_>, access: &Access<Read>, vault: &Vault, row: &CalendarRow) -> Result<String> {
    let ticked = row.open(access.keys()?)?.ticked;
    let titles = calendar_titles(&settings_or_default(tx, access)?.locale);
    let mut shown = DevicePlan::read(tx, access)?.prompts;
    shown.retain(|prompt| ticked.prompts.contains(&prompt.doc.planned.kind));
    let ids: Vec<_> = shown.iter().map(|prompt| prompt.id).collect();
    let updated_at: HashMap<_, _> = prompts::list_updated_at(tx, access, &ids)?.into_iter().collect();
    let infusions = if ticked.infusions { planned_infusions(tx, access)? } else { Vec::new() };
    let first = tx.first_version();
    let event = |(kind, thing): (&str, Uuid), start, (version, updated_at): (i64, Timestamp)| {
        // A feed ends with the epoch, so a row that is older than it has not changed yet.
        let sequence = (version - first + 1).max(0);
        let (id, revised_at) = (event_id(vault, access.patient(), (kind, thing)), revised_at(updated_at, sequence));
        Event { id, start: rounded(start), length: SHORT, title: titles.prompt, busy: false, sequence, revised_at }
    };
    let mut events = Vec::with_capacity(shown.len() + infusions.len());
    events.extend(shown.iter().filter_map(|prompt| {
        let At(at) = updated_at.get(&prompt.id)?;
        Some(event(("prompt", prompt.id.uuid()), prompt.due_at, (prompt.version, *at)))
    }));
    events.extend(infusions.iter().map(|(infusion, start)| {
        let event = event(("infusion", infusion.id.uuid()), *start, (infusion.version, infusion.updated_at));
        Event { length: LONG, title: titles.infusion, busy: true, ..event }
    }));
    events.sort_by_key(|event| (event.start, event.id));
    events.truncate(MOST);
    Ok(ics::write(titles.prompt, &events))
}

/// Lists the infusions that are planned for the time ahead, with their starts.
fn planned_infusions(
    tx: &mut Tx<'_>,
    access: &Access<Read>,
) -> Result<Vec<(StoredDocument<Infusion, InfusionFacts>, Timestamp)>> {
    let now = access.now();
    let end = now.saturating_add(AHEAD).unwrap_or(now);
    let start = |facts: &InfusionFacts| {
        let waits = facts.status == InfusionStatus::Planned && facts.started_at.is_none() && facts.same_as.is_none();
        facts.planned_start.filter(|start| waits && (now..end).contains(start))
    };
    let all = list_infusions(tx, access)?.list.into_iter();
    Ok(all.filter_map(|infusion| start(&infusion.doc).map(|start| (infusion, start))).collect())
}
