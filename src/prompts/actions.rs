//! Planning again, and what a patient does with a prompt.

use std::collections::BTreeSet;

use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::gather::infusion_facts;
use super::library::withheld;
use super::model::{Deed, PromptDoc, Stage, StoredPrompt};
use super::store;
use super::unsaid::settle_unsaid;
use crate::care::{Access, Write};
use crate::changes::{self, Change, Entity, Op};
use crate::course::{self, InfusionFacts, InfusionStatus, Stored};
use crate::db::Tx;
use crate::exercises;
use crate::kernel::id::{Infusion, Prompt};
use crate::kernel::{Code, Error, Id, Result};
use crate::planning::{
    Capability, Condition, Dropped, Facts, Kind, Planned, Prerequisite, Protocol, QuietHours, Step, Weekday, diff,
    plan, put_off, zone_at,
};
use crate::settings::{find_cautions, settings};

/// How far back stored prompts are compared with the plan.
const BACK: SignedDuration = SignedDuration::from_hours(24 * 20);
/// How far back an answer is looked for that a later session quotes.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 70);
/// How far ahead a stored prompt can lie.
const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 40);
/// How often a prompt can be put off.
const SNOOZES: usize = 3;
/// The exercise that makes a when-then plan.
const IF_THEN: &str = "if-then-habit";
/// How long after an infusion it is asked about, with room for what moves.
const ASKED_ABOUT: SignedDuration = SignedDuration::from_hours(24 * 15);
/// Responses that are looked through for one: the newest.
const MOST_RESPONSES: i64 = 200;
/// More prompts than this in these sixty days cannot come from a plan.
const MOST: i64 = 2000;

fn shift(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(at)
}

/// Whether something was written in answer to a prompt of one of `rules`.
fn answers(prompt: &StoredPrompt, rules: &[&str]) -> bool {
    prompt.doc.answer_id.is_some() && rules.contains(&prompt.doc.planned.rule_key.as_str())
}

/// Everything a plan depends on, read under the lock on the patient's head; and when something of it changes by itself.
fn facts<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    stored: &[StoredPrompt],
    infusions: &[Stored<Infusion, InfusionFacts>],
) -> Result<(Facts, Option<Timestamp>)> {
    let (settings, _) = settings(tx, access)?;
    let course::Holds { link, entry, unshared, response, cautions, closing } = course::holds(tx, access)?;
    // Only before a session does anybody ask what to bring along to it.
    let coming = infusions.iter().any(|stored| stored.doc.status == InfusionStatus::Planned);
    let takeaway = coming && takeaway(tx, access)?.is_some();
    let if_then = stored.iter().any(|prompt| answers(prompt, &["d4.ifthen"]));
    let practised = |prompt: &StoredPrompt| prompt.doc.planned.kind == Kind::Exercise && prompt.doc.answer_id.is_some();
    let response = response || stored.iter().any(practised);
    let if_then = if_then || (response && asks_about_a_plan(infusions, access.now()) && has_if_then(tx, access)?);
    let holds: BTreeSet<Prerequisite> = [
        (takeaway, Prerequisite::Takeaway),
        (if_then, Prerequisite::IfThenResponse),
        (response, Prerequisite::Response),
        (link, Prerequisite::LiveLink),
        (entry, Prerequisite::Entry),
        (unshared, Prerequisite::UnsharedEntry),
    ]
    .into_iter()
    .filter_map(|(holds, what)| holds.then_some(what))
    .collect();
    let facts = Facts {
        patient: access.patient(),
        care_start: store::care_start(tx, access)?,
        zones: settings.zones,
        quiet_hours: settings.quiet_hours,
        weekly_day: settings.weekly_day,
        infusions: infusion_facts(infusions),
        pauses: course::pause_periods(tx, access)?,
        settled: stored.iter().filter_map(|prompt| prompt.settled(access.now())).collect(),
        overrides: settings.overrides,
        holds,
        condition: Condition::default(),
        last_measure_at: None,
        capabilities: Capability::SERVED.into(),
        withheld: withheld(tx, access, &cautions)?,
    };
    Ok((facts, closing))
}

/// Whether an infusion is so close that a when-then plan may be asked about: only then are responses looked through.
fn asks_about_a_plan(infusions: &[Stored<Infusion, InfusionFacts>], now: Timestamp) -> bool {
    let ends = infusions.iter().filter_map(|stored| stored.doc.ended_at);
    ends.into_iter().any(|end| now.duration_since(end) < ASKED_ABOUT)
}

/// Whether the patient has made a when-then plan.
fn has_if_then<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<bool> {
    let done = exercises::store::list_headers(tx, access, MOST_RESPONSES)?;
    Ok(done.iter().any(|(_, header)| header.exercise_key == IF_THEN))
}

/// What the patient wants to bring along, in their words: the newest entry that says so, or that answers a look back or a
/// letter, also if that was weeks ago.
fn takeaway<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Option<String>> {
    let range = (shift(access.now(), -KEPT), access.now());
    let looked_back = |prompt: &StoredPrompt| answers(prompt, &["d8.review", "d13.letter"]);
    let prompts = store::list(tx, access, range, None, MOST)?;
    let answers: Vec<_> = prompts.iter().filter(|one| looked_back(one)).filter_map(|one| one.doc.answer_id).collect();
    crate::journal::takeaway(tx, access, &answers)
}

/// What is filled into prompts for the eyes of their owner.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// What they want to bring along, if a prompt quotes it.
    pub(super) takeaway: Option<String>,
    /// The exercises that are not offered to them.
    pub(super) withheld: BTreeSet<String>,
}

/// Reads it; what they want to bring along only if a prompt `quotes` it.
pub(super) fn known<A>(tx: &mut Tx<'_>, access: &Access<A>, quotes: bool) -> Result<Known> {
    let takeaway = if quotes { takeaway(tx, access)? } else { None };
    let flags = find_cautions(tx, access)?;
    Ok(Known { takeaway, withheld: withheld(tx, access, &flags)? })
}

/// What the protocol schedules for the infusions of a patient who never wrote, answered, paused or moved: what others
/// may see of the plan. It says nothing of the patient that the clinic does not know.
pub(super) fn schedule<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<Planned>> {
    let (settings, _) = settings(tx, access)?;
    let infusions = course::list_infusions(tx, access)?;
    let facts = Facts {
        patient: access.patient(),
        care_start: store::care_start(tx, access)?,
        zones: settings.zones.into_iter().take(1).collect(),
        quiet_hours: QuietHours::default(),
        weekly_day: Weekday::Sunday,
        infusions: infusion_facts(&infusions),
        pauses: Vec::new(),
        settled: Vec::new(),
        overrides: settings.overrides,
        holds: Prerequisite::ALL.into(),
        condition: Condition::default(),
        last_measure_at: None,
        capabilities: Capability::SERVED.into(),
        withheld: BTreeSet::new(),
    };
    Ok(plan(Protocol::default_v1(), &facts, access.now()).prompts)
}

/// What rules call for and is not asked of the patient, and never was, each with the reason.
pub(super) fn not_asked<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<Dropped>> {
    let range = (shift(access.now(), -BACK), shift(access.now(), AHEAD));
    let stored = store::list(tx, access, range, None, MOST)?;
    let infusions = course::list_infusions(tx, access)?;
    let (facts, _) = facts(tx, access, &stored, &infusions)?;
    let mut dropped = plan(Protocol::default_v1(), &facts, access.now()).dropped;
    dropped.retain(|one| stored.iter().all(|prompt| prompt.id != one.id));
    Ok(dropped)
}

/// Plans again and stores the difference: only what is still to come and has not gone out is moved or withdrawn.
///
/// To be called in the unit that changed a fact, after [`changes::take`] (which holds the patient's head). Answers how
/// many prompts changed.
pub fn replan(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<usize> {
    replan_by(tx, access, Protocol::default_v1())
}

/// As [`replan`], by a protocol that is not the one in force.
pub fn replan_by(tx: &mut Tx<'_>, access: &Access<Write>, protocol: &Protocol) -> Result<usize> {
    let now = access.now();
    let range = (shift(now, -BACK), shift(now, AHEAD));
    let stored = store::list(tx, access, range, None, MOST)?;
    let (infusions, unsaid) = settle_unsaid(tx, access)?;
    let (facts, closing) = facts(tx, access, &stored, &infusions)?;
    let existing: Vec<_> = stored.iter().map(StoredPrompt::existing).collect();
    let plan = plan(protocol, &facts, now);
    let mut steps = diff(&existing, &plan, now);
    let open = stored.iter().filter(|prompt| steps.iter().all(|step| step.id() != prompt.id));
    let delays: Vec<_> = open.filter_map(|prompt| delay(protocol, prompt, &facts, now)).collect();
    steps.extend(delays);
    let zone = zone_at(&facts.zones, now).cloned().unwrap_or_else(crate::kernel::Zone::utc);
    // A little after midnight where the patient lives: the horizon has moved by a day.
    let tomorrow = zone.instant(zone.date(now).saturating_add(1.day()), Time::constant(0, 10, 0, 0));
    let next = unsaid.into_iter().chain(closing).fold(tomorrow, Timestamp::min);
    store::mark_planned(tx, access, next, !steps.is_empty())?;
    if steps.is_empty() {
        return Ok(0);
    }
    let first = changes::take(tx, access.patient(), steps.len())?;
    let mut list = Vec::with_capacity(steps.len());
    for step in steps {
        list.push(apply(tx, access, &stored, step)?);
    }
    changes::insert(tx, access.patient(), first, access.actor(), now, &list)?;
    Ok(list.len())
}

/// What becomes of a prompt that the patient put off to a time that does not fit any more.
fn delay(protocol: &Protocol, prompt: &StoredPrompt, facts: &Facts, now: Timestamp) -> Option<Step> {
    let rule = protocol.rule(&prompt.doc.planned.rule_key).filter(|_| prompt.is_put_off() && prompt.due_at > now)?;
    let id = prompt.id;
    match put_off(protocol, facts, rule, (prompt.due_at, prompt.expires_at)) {
        Ok((due_at, why)) => (due_at != prompt.due_at).then_some(Step::Delay { id, due_at, why }),
        Err(reason) => Some(Step::Cancel { id, reason }),
    }
}

fn apply(tx: &mut Tx<'_>, access: &Access<Write>, stored: &[StoredPrompt], step: Step) -> Result<Change> {
    let now = access.now();
    let mut later = None;
    let (id, to, deed, cause) = match step {
        Step::Insert(planned) => {
            let prompt = StoredPrompt {
                id: planned.id,
                due_at: planned.due_at,
                expires_at: planned.expires_at,
                doc: PromptDoc { planned, history: Vec::new(), answer_id: None, answered_at: None },
                stage: Stage::Planned,
                fired_at: None,
                delivered_at: None,
                version: 1,
            };
            store::insert(tx, access, &prompt)?;
            return Ok(Change::new(Entity::Prompt, prompt.id, 1, Op::Create));
        }
        Step::Move { id, to, reason } => (id, Some(to), Deed::Moved, Some(word(&reason)?)),
        Step::Revive { id, to } => (id, Some(to), Deed::Revived, None),
        Step::Delay { id, due_at, why } => {
            later = Some(due_at);
            (id, None, Deed::Moved, Some(word(&why)?))
        }
        Step::Cancel { id, reason } => (id, None, Deed::Cancelled, Some(word(&reason)?)),
    };
    let found = stored.iter().find(|prompt| prompt.id == id);
    let mut prompt = found.cloned().ok_or_else(|| Error::internal("a plan changed a prompt that is not stored"))?;
    prompt.note(deed, now, cause);
    prompt.stage = if deed == Deed::Cancelled { Stage::Settled } else { Stage::Planned };
    if let Some(to) = to {
        place(&mut prompt, to);
    }
    prompt.due_at = later.unwrap_or(prompt.due_at);
    prompt.version += 1;
    store::update(tx, access, &prompt)?;
    Ok(Change::new(Entity::Prompt, id, prompt.version, Op::Update))
}

fn place(prompt: &mut StoredPrompt, to: Planned) {
    prompt.due_at = to.due_at;
    prompt.expires_at = to.expires_at;
    prompt.doc.planned = to;
}

/// The word of a reason, as it is serialised.
fn word<T: serde::Serialize>(reason: &T) -> Result<String> {
    match serde_json::to_value(reason) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(Error::internal("a reason is not a word")),
    }
}

/// What a patient does with a prompt.
#[derive(Clone, Debug)]
pub enum Act {
    /// Looks at it.
    Open,
    /// Answers it. `answer` names what was written, if anything was.
    Complete {
        /// When, by the patient's clock.
        occurred_at: Timestamp,
        /// The entry or response.
        answer: Option<uuid::Uuid>,
    },
    /// Does not want it.
    Skip {
        /// Why, in a word.
        reason: Option<String>,
    },
    /// Wants it later.
    Snooze(Later),
}

/// When a snoozed prompt comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// In an hour.
    Hour,
    /// This evening.
    Evening,
    /// Tomorrow, at the same time of the day.
    Tomorrow,
}

impl Later {
    /// The value of that name.
    pub fn parse(name: &str) -> Result<Self, &'static str> {
        match name {
            "hour" => Ok(Self::Hour),
            "evening" => Ok(Self::Evening),
            "tomorrow" => Ok(Self::Tomorrow),
            _ => Err("must be hour, evening or tomorrow"),
        }
    }
}

/// Does `act` with a prompt. Doing the same thing twice is done once. What was done is a fact that the plan rests on: its
/// place is taken, what waited for it comes, and what it now crowds makes room.
///
/// # Errors
///
/// [`Error::NotFound`] when the patient has no such prompt; [`Code::StateConflict`] when its state does not allow it.
pub fn act(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Prompt>, act: &Act) -> Result<StoredPrompt> {
    let first = changes::take(tx, access.patient(), 1)?;
    let mut prompt = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
    let now = access.now();
    let state = prompt.state(now);
    let conflict = || Error::conflict(Code::StateConflict);
    match act {
        Act::Open if matches!(state, "opened" | "completed") || prompt.is_opened() => return Ok(prompt),
        Act::Open if matches!(state, "planned" | "due" | "delivered" | "lapsed") => {
            prompt.note(Deed::Opened, now, None);
            prompt.stage = Stage::Settled;
        }
        Act::Complete { .. } if prompt.is_completed() => return Ok(prompt),
        // An answer in time counts, however late it arrives and whatever became of the prompt meanwhile.
        Act::Complete { occurred_at, answer } if prompt.is_answered_by(*occurred_at) => {
            prompt.note(Deed::Completed, now, (state == "lapsed").then(|| "late_sync".to_owned()));
            prompt.doc.answered_at = Some(*occurred_at);
            prompt.doc.answer_id = *answer;
            prompt.stage = Stage::Settled;
        }
        Act::Skip { .. } if state == "skipped" => return Ok(prompt),
        Act::Skip { reason } if matches!(state, "planned" | "due" | "delivered" | "opened") => {
            prompt.note(Deed::Skipped, now, reason.clone());
            prompt.stage = Stage::Settled;
        }
        // Whoever has put it off three times does not want it.
        Act::Snooze(_) if prompt.doc.history.iter().filter(|event| event.deed == Deed::Snoozed).count() >= SNOOZES => {
            return Err(conflict());
        }
        Act::Snooze(later) if matches!(state, "planned" | "due" | "delivered" | "opened") => {
            let due = later_than(tx, access, now, *later)?;
            if prompt.doc.history.last().is_some_and(|last| last.deed == Deed::Snoozed) && prompt.due_at == due {
                return Ok(prompt);
            }
            prompt.note(Deed::Snoozed, now, None);
            prompt.due_at = due;
            prompt.expires_at = prompt.expires_at.max(shift(due, SignedDuration::from_hours(2)));
            prompt.stage = Stage::Planned;
            prompt.fired_at = None;
        }
        _ => return Err(conflict()),
    }
    prompt.version += 1;
    store::update(tx, access, &prompt)?;
    let change = Change::new(Entity::Prompt, id, prompt.version, Op::Update);
    changes::insert(tx, access.patient(), first, access.actor(), now, &[change])?;
    replan(tx, access)?;
    store::find(tx, access, id)?.ok_or(Error::NotFound)
}

fn later_than(tx: &mut Tx<'_>, access: &Access<Write>, now: Timestamp, later: Later) -> Result<Timestamp> {
    let (settings, _) = settings(tx, access)?;
    let zone = settings.zone_at(now);
    let local = zone.local(now);
    let wanted = match later {
        Later::Hour => shift(now, SignedDuration::from_hours(1)),
        Later::Evening => {
            zone.instant(local.date(), Time::constant(18, 30, 0, 0)).max(shift(now, SignedDuration::from_hours(1)))
        }
        Later::Tomorrow => zone.instant(local.date().saturating_add(1.day()), local.time()),
    };
    Ok(settings.quiet_hours.next_allowed(&zone, wanted))
}

/// Completes the prompt that an entry or response answers, in the same unit. An answer after the prompt's time keeps
/// its link and changes nothing. `false` when the patient has no such prompt.
pub fn answered(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Prompt>,
    occurred_at: Timestamp,
    answer: uuid::Uuid,
) -> Result<bool> {
    match store::find(tx, access, id)? {
        None => Ok(false),
        Some(prompt) if prompt.is_completed() || !prompt.is_answered_by(occurred_at) => Ok(true),
        Some(_) => act(tx, access, id, &Act::Complete { occurred_at, answer: Some(answer) }).map(|_| true),
    }
}
