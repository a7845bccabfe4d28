//! Adherence, over HTTP.

use std::collections::BTreeMap;

use actix_web::get;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::care::door::Shared;
use crate::care::{Access, Door};
use crate::course::{self, Needed, SealedContextSource};
use crate::db::Tx;
use crate::http::document::ReadErrors;
use crate::http::{PatientRef, Query, Reply};
use crate::kernel::{DateRange, Error, Fields, Result};
use crate::planning::PromptKind;
use crate::planning::window::Phase;
use crate::prompts::store::{self, OpenedPrompts};
use crate::schedule::adherence::{Portion, Tally, tallies};
use crate::settings::settings_or_default;

/// The days up to today that are shown unless asked otherwise.
const DAYS: i64 = 28;
/// The most days that are shown.
const MOST_DAYS: i64 = 366;

/// The days to count.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AdherenceQuery {
    /// The first local date of the patient, inclusive.
    #[param(required = false, nullable = false, format = Date, example = "2026-11-02")]
    from: Option<String>,
    /// The last local date of the patient, inclusive.
    #[param(required = false, nullable = false, format = Date, example = "2026-11-09")]
    to: Option<String>,
}

impl AdherenceQuery {
    fn parse(self) -> Result<DateRange> {
        let mut f = Fields::new();
        let dates = DateRange::take(&mut f, "query/", self.from, self.to);
        f.done()?;
        Ok(dates)
    }
}

/// How much of what was asked found its time: in words for the patient, counted for a therapist.
#[derive(Serialize, ToSchema)]
struct AdherenceReport {
    /// The first local date.
    #[schema(value_type = String, format = Date)]
    from: Date,
    /// The last local date.
    #[schema(value_type = String, format = Date)]
    to: Date,
    /// In words, for the patient.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    words: Option<AdherenceWords>,
    /// Counted, for a therapist: safety checks and measures only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    counts: Option<AdherenceCounts>,
    /// The number of prompts of these days that are damaged and left out, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 1)]
    unreadable: Option<usize>,
}

/// Adherence as a patient is shown it. There is no number.
#[derive(Serialize, ToSchema)]
struct AdherenceWords {
    /// One sentence.
    #[schema(example = "You found time for most of what was offered.")]
    sentence: &'static str,
    /// The part that was answered: `nothing_offered`, `none`, `a_little`, `about_half`, `most`, `all`.
    #[schema(value_type = String, example = "most")]
    portion: Portion,
    /// The same by kind of task, of the kinds that were offered.
    kinds: Vec<KindInWords>,
}

/// The part of one kind of task that was answered.
#[derive(Serialize, ToSchema)]
struct KindInWords {
    /// The kind of task.
    #[schema(value_type = String, example = "reflection")]
    kind: PromptKind,
    /// The part that was answered.
    #[schema(value_type = String, example = "about_half")]
    portion: Portion,
}

/// Adherence, counted.
#[derive(Serialize, ToSchema)]
struct AdherenceCounts {
    /// All of it.
    total: AdherenceTally,
    /// By phase of the window and kind of task, of those in which something was due.
    groups: Vec<AdherenceGroup>,
}

/// What became of the prompts of one phase and kind.
#[derive(Serialize, ToSchema)]
struct AdherenceGroup {
    /// The phase in which they were due.
    #[schema(value_type = String, example = "peak")]
    phase: Phase,
    /// The kind of task: `safety` or `measure`.
    #[schema(value_type = String, example = "safety")]
    kind: PromptKind,
    /// What became of them.
    counts: AdherenceTally,
}

/// What became of prompts.
#[derive(Serialize, ToSchema)]
struct AdherenceTally {
    /// The number that was answered in time, by the instant at which the answer was written.
    completed: u32,
    /// The number that the patient did not want.
    skipped: u32,
    /// The number that expired without an answer.
    lapsed: u32,
    /// The number that can still be answered.
    open: u32,
    /// The number that was taken back because an infusion was cancelled, moved or corrected. They were not offered.
    excused: u32,
    /// The answered ones of those that were offered and are over; absent if there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    adherence: Option<AdherenceRatio>,
}

/// A ratio, not divided: with small numbers the denominator says more than a percentage.
#[derive(Serialize, ToSchema)]
struct AdherenceRatio {
    /// The number that was answered in time.
    numerator: u32,
    /// The number that was offered and is over: answered, not wanted or expired.
    denominator: u32,
}

impl From<Tally> for AdherenceTally {
    fn from(tally: Tally) -> Self {
        let denominator = tally.offered();
        let Tally { completed, skipped, lapsed, open, excused } = tally;
        let adherence = (denominator > 0).then_some(AdherenceRatio { numerator: completed, denominator });
        Self { completed, skipped, lapsed, open, excused, adherence }
    }
}

/// What is counted, read in one unit.
struct Counted {
    from: Date,
    to: Date,
    locale: String,
    prompts: OpenedPrompts,
    around: SealedContextSource,
}

fn count<A>(tx: &mut Tx<'_>, access: &Access<A>, asked: DateRange) -> Result<Counted> {
    let settings = settings_or_default(tx, access)?;
    let here = settings.zone_at(access.now());
    let to = asked.to.unwrap_or_else(|| here.date(access.now()).max(asked.from.unwrap_or(Date::MIN)));
    let from = asked.from.unwrap_or_else(|| to.saturating_sub((DAYS - 1).days()));
    if to.saturating_sub((MOST_DAYS - 1).days()) > from {
        return Err(Error::field("query/from", "must be at most 365 days before `to`"));
    }
    let dates = DateRange { from: Some(from), to: Some(to) };
    let (begin, end) = dates.instants();
    let range = (begin.unwrap_or(Timestamp::MIN), end.unwrap_or(Timestamp::MAX));
    let mut prompts = store::list_opened(tx, access, range)?;
    prompts.list.retain(|prompt| dates.admits(prompt.zone(Some(&here)).date(prompt.due_at)));
    let around = course::background(tx, access, Needed::All)?;
    Ok(Counted { from, to, locale: settings.locale, prompts, around })
}

type Groups = BTreeMap<(Phase, PromptKind), Tally>;

/// Adds up groups.
fn sum<'t>(tallies: impl IntoIterator<Item = &'t Tally>) -> Tally {
    tallies.into_iter().fold(Tally::default(), |sum, tally| sum.plus(*tally))
}

fn words(groups: &Groups, locale: &str) -> AdherenceWords {
    let mut kinds: BTreeMap<PromptKind, Tally> = BTreeMap::new();
    for ((_, kind), tally) in groups {
        let known = kinds.entry(*kind).or_default();
        *known = known.plus(*tally);
    }
    let offered = kinds.into_iter().filter(|(_, tally)| tally.offered() > 0);
    let portion = sum(groups.values()).portion();
    AdherenceWords {
        sentence: portion.sentence(locale),
        portion,
        kinds: offered.map(|(kind, tally)| KindInWords { kind, portion: tally.portion() }).collect(),
    }
}

fn counts(groups: Groups) -> AdherenceCounts {
    let total = sum(groups.values()).into();
    let group = |((phase, kind), tally): (_, Tally)| AdherenceGroup { phase, kind, counts: tally.into() };
    AdherenceCounts { total, groups: groups.into_iter().map(group).collect() }
}

/// Whether a therapist may know what became of prompts of this kind.
fn is_told(kind: PromptKind) -> bool {
    matches!(kind, PromptKind::Safety | PromptKind::Measure)
}

/// Read adherence
///
/// How much of what was asked on some local dates was answered in time: on the last 28 unless asked otherwise, on 366 at
/// most. An answer counts by the instant at which it was
/// written, also if it came later; what was taken back or never announced is in no denominator; cards without a reminder
/// do not count. The patient is told in words, without a number; a therapist gets counts of safety checks and measures, and
/// no `adherence` where nothing was offered.
#[utoipa::path(tag = "prompts",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"), AdherenceQuery),
    responses((status = 200, description = "Adherence", body = AdherenceReport), ReadErrors))]
#[get("/adherence")]
pub(super) async fn get_adherence(door: Door<Shared>, query: Result<Query<AdherenceQuery>, Error>) -> Result<Reply> {
    let asked = door.first("get_adherence", query.and_then(|query| query.into_inner().parse())).await?;
    let found = door.read("get_adherence", move |tx, access| count(tx, access, asked)).await?;
    let Counted { from, to, locale, prompts, around } = found;
    let around = around.open(door.keys()?, door.patient()?)?;
    let mut groups = tallies(&prompts.list, |at| around.context(at).phase, door.now());
    let owner = door.is_owner();
    groups.retain(|(_, kind), _| owner || is_told(*kind));
    let (words, counts) = if owner { (Some(words(&groups, &locale)), None) } else { (None, Some(counts(groups))) };
    let unreadable = Some(prompts.unreadable.len()).filter(|number| *number > 0 && owner);
    Ok(Reply::ok(&AdherenceReport { from, to, words, counts, unreadable }))
}
