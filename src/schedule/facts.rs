//! The facts of a patient, gathered from the slices that keep them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::followed::Following;
use super::library::withheld;
use super::store::{self, Holds};
use super::unreadable::UnreadableFacts;
use crate::care::Access;
use crate::course::{self, InfusionFacts, InfusionStatus, OpenedInfusions, Source, StoredDocument};
use crate::db::Tx;
use crate::exercises::{self, DatedResponses};
use crate::journal;
use crate::kernel::id::{Infusion, Prompt};
use crate::kernel::{Error, Id, Result};
use crate::planning::protocol::Anchor;
use crate::planning::{
    Capability, Condition, Facts, InfusionFact, PastPrompt, Plan, Prerequisite, PromptKind, Protocol, Protocols,
    QuietHours, Rule, USUAL_MINUTES, Weekday, ids_in_a_row, other_about_silence, row_begins,
};
use crate::prompts::model::StoredPrompt;
use crate::prompts::store::{self as prompts, OpenedPrompts};
use crate::settings::{Settings, settings, settings_or_default};

/// The past time in which stored prompts are compared with the plan.
const BACK: SignedDuration = SignedDuration::from_hours(24 * 20);
/// The past days that are searched for a prompt whose answer gives a takeaway.
pub const TAKEAWAY_DAYS: i64 = 70;
/// The furthest that a stored prompt can lie ahead.
const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 40);
/// The least time after an infusion in which a when-then plan may be asked about: a therapist may move rules to any day
/// in it. A protocol may ask later.
const ASKED_ABOUT: SignedDuration = SignedDuration::from_hours(24 * 15);
/// The days by which a prompt that asks about one may come later than on the day of its rule.
const MOVED: i64 = 5;
/// The number of newest responses that are searched for a when-then plan.
const MOST_RESPONSES: i64 = 200;

fn shift(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(at)
}

/// Returns the time in which stored prompts are compared with a plan made at `now`.
pub(super) fn stored_range(now: Timestamp) -> (Timestamp, Timestamp) {
    (shift(now, -BACK), shift(now, AHEAD))
}

/// Reads the stored prompts with which a plan made now is compared.
pub(super) fn stored_prompts<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<OpenedPrompts> {
    prompts::list_opened(tx, access, stored_range(access.now()))
}

/// Reads the stored prompts that have ids of `plan` and are too old to be among those `found`: a session may move by
/// many weeks, and its prompts keep their ids. The message about a silence has two, and is not asked by one of them if it
/// went out by the other. Only of infusions that were recorded before that time there can be some.
pub(super) fn earlier_prompts<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    (found, infusions): (&OpenedPrompts, &OpenedInfusions),
    (protocol, facts, plan): (&Protocol, &Facts, &Plan),
) -> Result<OpenedPrompts> {
    let (from, _) = stored_range(access.now());
    let old = infusions.list.iter().filter(|stored| stored.created_at < from);
    let old: Vec<_> = old.map(|stored| stored.doc.same_as.unwrap_or(stored.id)).collect();
    let asked = plan.prompts.iter().filter(|planned| planned.due_at > access.now());
    let asked = asked.filter(|planned| planned.anchor.is_some_and(|infusion| old.contains(&infusion)));
    let ids = asked.flat_map(|planned| [Some(planned.id), other_about_silence(protocol, facts, planned)]).flatten();
    let is_new = |id: &Id<Prompt>| !found.unreadable.contains(id) && found.list.iter().all(|prompt| prompt.id != *id);
    let ids: Vec<_> = ids.filter(is_new).collect();
    if ids.is_empty() { Ok(OpenedPrompts::default()) } else { prompts::list_opened_among(tx, access, &ids) }
}

/// Reads the responses that are still to come back on a date, and adds to `found` the prompts that brought them back
/// before, or were to, however long ago: their ids are not free. A response that came back on its date, or later, is
/// over once its prompt does not wait for the patient any more. One that expired in an outage did not come back.
pub(super) fn dated_responses<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    protocol: &Protocol,
    found: &mut OpenedPrompts,
) -> Result<DatedResponses> {
    let mut dated = exercises::dated_responses(tx, access)?;
    let (key, now) = (prompts::id_key(access)?, access.now());
    for response in &dated.list {
        for rule in protocol.rules.iter().filter(|rule| rule.anchor == Anchor::DateOf(response.exercise.clone())) {
            for occurrence in 0.. {
                let id = key.of_response(access.patient(), &rule.key, response.id, occurrence);
                if found.unreadable.contains(&id) {
                    continue;
                }
                if found.list.iter().all(|prompt| prompt.id != id) {
                    match Error::skip_damaged(prompts::find(tx, access, id))? {
                        Some(Some(prompt)) => found.list.push(prompt),
                        Some(None) => break,
                        None => {
                            found.unreadable.insert(id);
                            continue;
                        }
                    }
                }
                let came = |prompt: &&StoredPrompt| prompt.id == id && prompt.date() >= response.date;
                let gone = |prompt: &StoredPrompt| !prompt.is_open(now) && !prompt.is_missed(now);
                let over = |prompt: &StoredPrompt| prompt.settled(now).is_some() && gone(prompt);
                if found.list.iter().find(came).is_some_and(over) {
                    dated.over.push(response.id);
                }
            }
        }
    }
    Ok(dated)
}

/// The facts of a plan.
pub(super) struct PlanFacts {
    /// Those that open.
    pub(super) known: Facts,
    /// Those that do not.
    pub(super) unreadable: UnreadableFacts,
    /// The instant at which a fact next changes by itself.
    pub(super) closing: Option<Timestamp>,
}

/// Gathers the facts of a plan, under the lock on the patient's head.
pub(super) fn facts<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    by: Following<'_>,
    (found, dated): (&OpenedPrompts, DatedResponses),
    infusions: &OpenedInfusions,
) -> Result<PlanFacts> {
    let opened = Error::skip_damaged(settings(tx, access))?;
    let mut unreadable = UnreadableFacts {
        prompts: BTreeSet::new(),
        infusions: infusions.unreadable.clone(),
        pause: false,
        dated: !dated.whole,
        waiting: dated.waiting.into_iter().collect(),
        settings: opened.is_none(),
    };
    let settings = opened.map_or_else(Settings::default, |(settings, _)| settings);
    let (pauses, all) = course::pause_periods(tx, access)?;
    unreadable.pause = !all;
    let Holds { link, entry, unshared, response, cautions, closing, written_at } = store::holds(tx, access)?;
    let care_start = store::care_start(tx, access)?;
    let takeaway = asks_about_a_takeaway(by.protocol, &infusions.list) && takeaway(tx, access, by.known)?.is_some();
    let holds = [
        (takeaway, Prerequisite::Takeaway),
        (response, Prerequisite::Response),
        (link, Prerequisite::LiveLink),
        (entry, Prerequisite::Entry),
        (unshared, Prerequisite::UnsharedEntry),
    ];
    let known = Facts {
        patient: access.patient(),
        prompt_key: prompts::id_key(access)?,
        care_start,
        zones: settings.zones,
        quiet_hours: settings.quiet_hours,
        weekly_day: settings.weekly_day,
        infusions: infusion_facts(&infusions.list),
        pauses,
        settled: Vec::new(),
        last_active_at: Some(written_at.map_or(care_start, |written_at| written_at.max(care_start))),
        overrides: settings.overrides,
        dated: dated.list,
        holds: holds.into_iter().filter_map(|(holds, what)| holds.then_some(what)).collect(),
        condition: Condition::default(),
        last_measure_at: None,
        capabilities: Capability::SERVED.into(),
        withheld: withheld(tx, access, &cautions)?,
    };
    let mut facts = PlanFacts { known, unreadable, closing };
    facts.follow_prompts(tx, access, by, (found, infusions))?;
    Ok(facts)
}

impl PlanFacts {
    /// Gathers what follows from the stored prompts: again, once more of them are `found`.
    pub(super) fn follow_prompts<A>(
        &mut self,
        tx: &mut Tx<'_>,
        access: &Access<A>,
        by: Following<'_>,
        (found, infusions): (&OpenedPrompts, &OpenedInfusions),
    ) -> Result<()> {
        let (Self { known, unreadable, closing }, stored, now) = (self, &found.list, access.now());
        unreadable.prompts.clone_from(&found.unreadable);
        if stored.iter().any(is_practised) {
            known.holds.insert(Prerequisite::Response);
        }
        let is_asked = || asks_about_a_plan(by.protocol, &infusions.list, now);
        if stored.iter().any(|prompt| gives(by.known, prompt, Prerequisite::IfThenResponse))
            || (known.holds.contains(&Prerequisite::Response) && is_asked() && has_if_then(tx, access, by)?)
        {
            known.holds.insert(Prerequisite::IfThenResponse);
        }
        // What the patient did with a prompt that does not open is unknown.
        let active = known.last_active_at.filter(|_| found.unreadable.is_empty());
        let touched = stored.iter().filter_map(StoredPrompt::touched_at);
        known.last_active_at = active.map(|active| touched.fold(active, Timestamp::max));
        known.settled = stored.iter().filter_map(|prompt| settled(by, prompt, now)).collect();
        let row = prompts_in_a_row(tx, access, by, known)?;
        known.settled.extend(row.iter().filter_map(|prompt| settled(by, prompt, now)));
        *closing = stored.iter().filter_map(|prompt| lapses_at(by, prompt, now)).chain(*closing).min();
        Ok(())
    }
}

/// Whether it is a prompt for an exercise that has a written answer.
fn is_practised(prompt: &StoredPrompt) -> bool {
    prompt.doc.planned.kind == PromptKind::Exercise && prompt.doc.answer_id.is_some()
}

/// Reads the older prompts that may have lapsed in a row. Only of a patient who has not been active for long there are
/// some.
fn prompts_in_a_row<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    by: Following<'_>,
    known: &Facts,
) -> Result<Vec<StoredPrompt>> {
    let from = shift(access.now(), -BACK);
    if row_begins(known).is_none_or(|begins| begins >= from) {
        return Ok(Vec::new());
    }
    let ids = ids_in_a_row(by.protocol, known, access.now());
    let mut older = prompts::list_of(tx, access, &ids)?;
    older.retain(|prompt| prompt.due_at < from);
    Ok(older)
}

/// Returns the instant at which a prompt that has gone out lapses, if the plan carries it over then.
fn lapses_at(by: Following<'_>, prompt: &StoredPrompt, now: Timestamp) -> Option<Timestamp> {
    let rule = by.known.rule_of(&prompt.doc.planned).filter(|_| prompt.fired_at.is_some() && prompt.is_open(now))?;
    by.protocol.carries_over(rule).then_some(prompt.expires_at)
}

/// Gathers the facts as if the patient had never written, answered, paused or moved. They reveal nothing that the
/// clinic does not know.
pub(super) fn known_to_the_clinic<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Facts> {
    let settings = settings_or_default(tx, access)?;
    let infusions = course::list_infusions(tx, access)?.list;
    Ok(Facts {
        patient: access.patient(),
        prompt_key: prompts::id_key(access)?,
        care_start: store::care_start(tx, access)?,
        zones: settings.zones.into_iter().take(1).collect(),
        quiet_hours: QuietHours::default(),
        weekly_day: Weekday::Sunday,
        infusions: infusion_facts(&infusions),
        pauses: Vec::new(),
        settled: Vec::new(),
        last_active_at: None,
        overrides: settings.overrides,
        dated: Vec::new(),
        holds: Prerequisite::ALL.into(),
        condition: Condition::default(),
        last_measure_at: None,
        capabilities: Capability::SERVED.into(),
        withheld: BTreeSet::new(),
    })
}

/// Converts the infusions in `list`, which is all of them, to facts. Cancelled and missed ones do not count.
fn infusion_facts(list: &[StoredDocument<Infusion, InfusionFacts>]) -> Vec<InfusionFact> {
    let mut reports: BTreeMap<Id<Infusion>, Id<Infusion>> = BTreeMap::new();
    for (of, report) in list.iter().filter_map(|one| Some((one.doc.same_as?, one.id))) {
        let first = reports.entry(of).or_insert(report);
        *first = report.min(*first);
    }
    let live = list.iter().filter(|stored| stored.doc.status.is_live());
    live.map(|StoredDocument { id, doc, updated_at, .. }| InfusionFact {
        id: *id,
        route: doc.route,
        supervised: doc.supervised,
        planned_minutes: doc.planned_minutes.unwrap_or(USUAL_MINUTES),
        planned_start: doc.planned_start,
        started_at: doc.started_at,
        ended_at: doc.ended_at.filter(|_| doc.status == InfusionStatus::Completed),
        provisional: doc.source == Source::Provisional,
        recorded_at: *updated_at,
        reported_as: reports.get(id).copied(),
    })
    .collect()
}

/// Converts a prompt that went out or was answered, with its rule if the current protocol has another.
fn settled(by: Following<'_>, prompt: &StoredPrompt, now: Timestamp) -> Option<PastPrompt> {
    let past = prompt.settled(now)?;
    let rule = by.known.rule_of(&prompt.doc.planned);
    let other = rule.filter(|rule| by.protocol.rule(&rule.key) != Some(rule));
    Some(PastPrompt { rule: other.cloned().map(Box::new), ..past })
}

/// Whether the prompt has a written answer and its rule gives `what`.
fn gives(protocols: &Protocols, prompt: &StoredPrompt, what: Prerequisite) -> bool {
    let rule = protocols.rule_of(&prompt.doc.planned).filter(|_| prompt.doc.answer_id.is_some());
    rule.is_some_and(|rule| rule.gives.contains(&what))
}

/// Whether a takeaway may be asked about: a session is planned, or a rule of a clinic asks that prepares for none. Only
/// then is one searched.
fn asks_about_a_takeaway(protocol: &Protocol, infusions: &[StoredDocument<Infusion, InfusionFacts>]) -> bool {
    let mut asking = protocol.rules.iter().filter(|rule| rule.requires.contains(&Prerequisite::Takeaway));
    infusions.iter().any(|stored| stored.doc.status == InfusionStatus::Planned)
        || asking.any(|rule| !matches!(rule.anchor, Anchor::BeforeNextDays(_) | Anchor::BeforeStart { .. }))
}

/// Whether a when-then plan may be asked about: an infusion is so recent, or a rule of a clinic asks that counts from
/// something else than its end. Only then are responses searched.
fn asks_about_a_plan(
    protocol: &Protocol,
    infusions: &[StoredDocument<Infusion, InfusionFacts>],
    now: Timestamp,
) -> bool {
    let asking = || protocol.rules.iter().filter(|rule| rule.requires.contains(&Prerequisite::IfThenResponse));
    if asking().any(|rule| !matches!(rule.anchor, Anchor::Day(_) | Anchor::AfterEnd { .. })) {
        return true;
    }
    let last = asking().flat_map(Rule::days).max().map_or(0, i64::from);
    let time = ASKED_ABOUT.max(SignedDuration::from_hours(24 * (last + MOVED)));
    let mut ends = infusions.iter().filter_map(|stored| stored.doc.ended_at);
    ends.any(|end| now.duration_since(end) < time)
}

/// Whether the patient has made a when-then plan.
fn has_if_then<A>(tx: &mut Tx<'_>, access: &Access<A>, by: Following<'_>) -> Result<bool> {
    let done = exercises::store::list_headers(tx, access, MOST_RESPONSES)?;
    let mut keys = by.protocol.exercises_giving(Prerequisite::IfThenResponse);
    Ok(keys.any(|key| done.iter().any(|(_, header)| header.exercise_key == key)))
}

/// Reads the patient's takeaway, in their words. It comes from the newest entry that has one, or that answers a look
/// back or a letter, even weeks ago.
pub(super) fn takeaway<A>(tx: &mut Tx<'_>, access: &Access<A>, protocols: &Protocols) -> Result<Option<String>> {
    let range = (shift(access.now(), SignedDuration::from_hours(-24 * TAKEAWAY_DAYS)), access.now());
    let list = prompts::list_opened(tx, access, range)?.list;
    let giving = list.iter().filter(|prompt| gives(protocols, prompt, Prerequisite::Takeaway));
    let answers: Vec<_> = giving.filter_map(|prompt| prompt.doc.answer_id?.entry()).collect();
    journal::takeaway(tx, access, &answers)
}
