//! The planner. It gathers the facts, makes the plan, and applies its difference from the stored prompts.

use jiff::civil::Time;
use jiff::{Timestamp, ToSpan};

use super::facts::{self, PlanFacts};
use super::followed::Following;
use super::provisional::{next_end, settle};
use super::store;
use crate::care::access::{Access, Write};
use crate::changes::{Change, Entity, FeedsPlan, Op, PlanRequest, Planner};
use crate::course::{self, OpenedInfusions};
use crate::db::Tx;
use crate::exercises::{self, DatedResponses};
use crate::kernel::{Error, Result, Zone};
use crate::planning::{
    Facts, Plan, Planned, Prerequisite, ProtocolLibrary, Protocols, Step, diff, plan, put_off as put_off_until, zone_at,
};
use crate::prompts::model::{DeliveryStage, PromptDoc, PromptEvent, StoredPrompt};
use crate::prompts::store::{self as prompts, OpenedPrompts, PromptRow};

/// The planner of a server.
#[derive(Clone, Debug)]
pub struct Plans(pub ProtocolLibrary);

impl Planner for Plans {
    fn follow(&self, tx: &mut Tx<'_>, request: &PlanRequest) -> Result<()> {
        let access = Access::<Write>::for_planner(request);
        if request.keys.is_none() {
            // The unit changed the plans of many patients, without their keys: the workers make them at once.
            return store::mark_to_plan(tx, &[request.patient], request.now);
        }
        let changes = match request.feeds {
            FeedsPlan::Never => false,
            FeedsPlan::IfAwaited => store::awaits_activity(tx, &access)?,
            FeedsPlan::Perhaps => store::may_hold_otherwise(tx, &access)?,
            FeedsPlan::Always => true,
        };
        if !changes {
            return Ok(());
        }
        replan(tx, &access, &self.0.known()).map(|_| ())
    }
}

/// Plans again and stores the difference. Apart from corrections and prompts that were put off, only prompts that are
/// still to come and have not gone out change. Answers the number of changed prompts.
///
/// The patient's head is held. Nobody calls it to have a plan follow a change: that is the last step of every unit
/// ([`crate::care::write_scope::WriteScope`]).
///
/// # Errors
///
/// When facts cannot be read or prompts cannot be written.
pub fn replan(tx: &mut Tx<'_>, access: &Access<Write>, protocols: &Protocols) -> Result<usize> {
    let mut sources = PlanSources::read(tx, access, protocols)?;
    exercises::store::mark_date_to_come(tx, access, &sources.dated.over, false)?;
    settle(tx, access, &mut sources.infusions)?;
    let changes = PlanChanges::make(tx, access, protocols, sources)?;
    changes.store(tx, access)?;
    Ok(changes.prompts.len())
}

/// The documents that a plan begins with.
pub(super) struct PlanSources<'p> {
    by: Following<'p>,
    found: OpenedPrompts,
    dated: DatedResponses,
    infusions: OpenedInfusions,
}

impl<'p> PlanSources<'p> {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub(super) fn read<A>(tx: &mut Tx<'_>, access: &Access<A>, protocols: &'p Protocols) -> Result<Self> {
        let by = Following::find(tx, access, protocols)?;
        let mut found = facts::stored_prompts(tx, access)?;
        let dated = facts::dated_responses(tx, access, by.protocol, &mut found)?;
        Ok(Self { by, found, dated, infusions: course::list_infusions(tx, access)? })
    }

    /// Whether more than prompts is to be changed with the plan made at `now`: a response has no date to come any more,
    /// or a planned end is taken for the end.
    pub(super) fn are_to_be_settled(&self, now: Timestamp) -> bool {
        !self.dated.over.is_empty() || next_end(&self.infusions).is_some_and(|at| at <= now)
    }
}

/// What a new plan changes, ready to be stored.
#[derive(Clone, Debug)]
pub(super) struct PlanChanges {
    /// The prompts that it makes and changes.
    prompts: Vec<(Op, PromptRow)>,
    /// The instant of the next plan.
    next_plan_at: Timestamp,
    /// Whether it waits for activity of the patient.
    awaits_activity: bool,
    /// Whether a new entry that is not shared may change it.
    awaits_entry: bool,
}

impl PlanChanges {
    /// Makes a plan, and returns its difference from the stored prompts.
    ///
    /// # Errors
    ///
    /// When facts cannot be read.
    pub(super) fn make<A>(
        tx: &mut Tx<'_>,
        access: &Access<A>,
        protocols: &Protocols,
        sources: PlanSources<'_>,
    ) -> Result<Self> {
        let (PlanSources { by, mut found, dated, infusions }, now) = (sources, access.now());
        let mut facts = facts::facts(tx, access, by, (&found, dated), &infusions)?;
        let plan = loop {
            let plan = plan(by.protocol, &facts.known, now);
            let earlier = facts::earlier_prompts(tx, access, (&found, &infusions), (by.protocol, &facts.known, &plan))?;
            if earlier.is_empty() {
                break plan;
            }
            found.list.extend(earlier.list);
            found.unreadable.extend(earlier.unreadable);
            facts.follow_prompts(tx, access, by, (&found, &infusions))?;
        };
        let PlanFacts { known: facts, unreadable, closing } = facts;
        let stored = found.list;
        let existing: Vec<_> = stored.iter().map(StoredPrompt::existing).collect();
        let mut steps = diff(&existing, &plan, now);
        steps.extend(delays(protocols, &stored, &steps, &plan, &facts, now));
        steps.retain(|step| unreadable.allow(step, &stored));
        let sealed = |(op, prompt): (Op, StoredPrompt)| prompts::seal(access, &prompt).map(|row| (op, row));
        let prompts = steps.into_iter().map(|step| applied(tx, &stored, step, now).and_then(sealed));
        let prompts = prompts.collect::<Result<Vec<_>>>()?;
        let zone = zone_at(&facts.zones, now).cloned().unwrap_or_else(Zone::utc);
        // A little after midnight where the patient lives: the horizon has moved by a day.
        let tomorrow = zone.instant(zone.date(now).saturating_add(1.day()), Time::constant(0, 10, 0, 0));
        // A unit that waits while a version comes into force plans by the one before, perhaps behind the worker that has
        // planned by the new one: so the next plan is due by then, whoever marks the patient.
        let changes = next_end(&infusions).into_iter().chain(closing).chain(by.changes_at);
        let next_plan_at = changes.fold(tomorrow, Timestamp::min);
        let awaits_activity = plan.awaits_activity;
        // The plan that was made of such an entry is made of one after the next, too.
        let entry = [Prerequisite::Entry, Prerequisite::UnsharedEntry];
        let awaits_entry = awaits_activity || !entry.iter().all(|what| facts.holds.contains(what));
        Ok(Self { prompts, next_plan_at, awaits_activity, awaits_entry })
    }

    /// Whether a prompt whose time had come at `now` is taken back. Delivery may be about to mark it.
    pub(super) fn take_back(&self, now: Timestamp) -> bool {
        self.prompts.iter().any(|(_, row)| row.due_at.0 <= now)
    }

    /// Stores them, and notes that a plan was made.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub(super) fn store(&self, tx: &mut Tx<'_>, access: &Access<Write>) -> Result<()> {
        let awaits = (self.awaits_activity, self.awaits_entry);
        store::mark_planned(tx, access, self.next_plan_at, !self.prompts.is_empty(), awaits)?;
        let of = |wanted: Op| self.prompts.iter().filter(move |(op, _)| *op == wanted).map(|(_, row)| row);
        prompts::insert_all(tx, access, &of(Op::Create).collect::<Vec<_>>())?;
        prompts::update_all(tx, access, &of(Op::Update).collect::<Vec<_>>())?;
        let change = |(op, row): &(Op, PromptRow)| Change::new(Entity::Prompt, row.id, row.version, *op);
        access.record_all(tx, &self.prompts.iter().map(change).collect::<Vec<_>>())
    }
}

/// Lists the changes of prompts that were put off to a time that no longer fits, each by the rule that made it. One
/// that was put off later gives way to one that was put off before.
fn delays(
    protocols: &Protocols,
    stored: &[StoredPrompt],
    steps: &[Step],
    plan: &Plan,
    facts: &Facts,
    now: Timestamp,
) -> Vec<Step> {
    let changed = |prompt: &&StoredPrompt| steps.iter().any(|step| step.id() == prompt.id);
    let put_off = stored.iter().filter(|prompt| !changed(prompt) && prompt.is_put_off() && prompt.due_at > now);
    let mut put_off: Vec<_> =
        put_off.filter_map(|prompt| Some((prompt, protocols.rule_of(&prompt.doc.planned)?))).collect();
    put_off.sort_by_key(|(prompt, _)| (prompt.snoozed_at(), prompt.id));
    let waits = |planned: &&Planned| put_off.iter().all(|(prompt, _)| prompt.id != planned.id);
    let mut others: Vec<_> = plan.prompts.iter().filter(waits).map(|planned| planned.due_at).collect();
    let mut delays = Vec::new();
    for (prompt, rule) in put_off {
        let (id, times) = (prompt.id, (prompt.due_at, prompt.expires_at));
        match put_off_until(protocols.of(&prompt.doc.planned), facts, rule, times, &others) {
            Ok((due_at, why)) => {
                others.push(due_at);
                delays.extend((due_at != prompt.due_at).then_some(Step::Delay { id, due_at, why }));
            }
            Err(reason) => delays.push(Step::Cancel { id, reason }),
        }
    }
    delays
}

/// Returns the prompt that `step` makes, or the one that it changes as it is then.
fn applied(tx: &Tx<'_>, stored: &[StoredPrompt], step: Step, now: Timestamp) -> Result<(Op, StoredPrompt)> {
    let mut later = None;
    let (id, to, deed, cause) = match step {
        Step::Insert(planned) => {
            let prompt = StoredPrompt {
                id: planned.id,
                due_at: planned.due_at,
                expires_at: planned.expires_at,
                doc: PromptDoc { planned, history: Vec::new(), answer_id: None, answered_at: None },
                stage: DeliveryStage::Planned,
                fired_at: None,
                delivered_at: None,
                version: tx.first_version(),
            };
            return Ok((Op::Create, prompt));
        }
        Step::Move { id, to, reason } => (id, Some(to), PromptEvent::Moved, Some(word(&reason)?)),
        Step::Revive { id, to } => (id, Some(to), PromptEvent::Revived, None),
        Step::Delay { id, due_at, why } => {
            later = Some(due_at);
            (id, None, PromptEvent::Moved, Some(word(&why)?))
        }
        Step::Cancel { id, reason } => (id, None, PromptEvent::Cancelled, Some(word(&reason)?)),
    };
    let found = stored.iter().find(|prompt| prompt.id == id);
    let mut prompt = found.cloned().ok_or_else(|| Error::internal("a plan changed a prompt that is not stored"))?;
    prompt.note(deed, now, cause);
    prompt.stage = if deed == PromptEvent::Cancelled { DeliveryStage::Settled } else { DeliveryStage::Planned };
    if let Some(to) = to {
        place(&mut prompt, to);
    }
    prompt.due_at = later.unwrap_or(prompt.due_at);
    prompt.version = tx.version_after(prompt.version);
    Ok((Op::Update, prompt))
}

fn place(prompt: &mut StoredPrompt, to: Planned) {
    prompt.due_at = to.due_at;
    prompt.expires_at = to.expires_at;
    prompt.doc.planned = to;
}

/// Returns the word of a reason, as it is serialised.
fn word<T: serde::Serialize>(reason: &T) -> Result<String> {
    match serde_json::to_value(reason) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(Error::internal("a reason is not a word")),
    }
}
