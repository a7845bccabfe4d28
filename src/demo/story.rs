//! The data files of the story: the people, and the events of each patient by day.

use std::collections::BTreeMap;

use jiff::civil::Time;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::stage::unfit;
use super::zones::{self, DemoZone};
use crate::care::grants::Rule;
use crate::exercises::draft::DistressFields;
use crate::journal::draft::MoodFields;
use crate::kernel::{Result, Zone};

const CLINIC: &str = include_str!("story/clinic.json");
/// The data files of the patients. The patient in the guide comes first.
const PATIENTS: [&str; 5] = [
    include_str!("story/mara.json"),
    include_str!("story/jonah.json"),
    include_str!("story/ida.json"),
    include_str!("story/elif.json"),
    include_str!("story/niamh.json"),
];

/// The clinic and its staff.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clinic {
    pub(super) name: String,
    pub(super) admin: Worker,
    pub(super) nurse: Worker,
    pub(super) therapists: Vec<Worker>,
}

/// Somebody who works there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Worker {
    /// A therapist's name in the story.
    #[serde(default)]
    pub(super) key: String,
    pub(super) name: String,
    pub(super) email: String,
    /// A word on their patients.
    pub(super) stage: String,
}

/// One patient and the events of their story.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PatientStory {
    /// Their name in the story.
    pub(super) key: String,
    pub(super) name: String,
    pub(super) email: String,
    home: Home,
    /// A word on their treatment.
    pub(super) stage: String,
    pub(super) events: Vec<Event>,
}

/// A home.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Home {
    /// In a zone whose clocks change during the story.
    WhereTheClocksChange,
    /// In this zone and country.
    In { time_zone: Zone, country: String },
}

impl PatientStory {
    /// Returns their home, in a story that ends at `now`.
    pub(super) fn home(&self, now: Timestamp) -> Result<DemoZone> {
        match &self.home {
            Home::WhereTheClocksChange => zones::across_a_change(now),
            Home::In { time_zone, country } => {
                Ok(DemoZone { zone: time_zone.clone(), country: country.clone(), changes: false })
            }
        }
    }
}

/// An event, `day` days from the last day of the story, at the patient's local time `at`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Event {
    pub(super) day: i32,
    pub(super) at: Time,
    #[serde(flatten)]
    pub(super) deed: StoryStep,
}

/// A deed. A `key` is its name in the story from then on; a therapist who is not named is the patient's
/// first.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum StoryStep {
    /// The therapist `with` invites the patient, who registers, or accepts if they have an account; the therapist
    /// confirms, unless told not to.
    Join {
        with: String,
        #[serde(default = "yes")]
        confirmed: bool,
    },
    /// The patient ends the link to a therapist.
    Leave { therapist: String },
    /// The nurse plans an infusion.
    Plan(Planning),
    /// The nurse records that an infusion has just ended.
    End { infusion: String },
    /// The nurse cancels an infusion.
    Cancel { infusion: String, reason: String },
    /// The patient reports an infusion that has just ended, of which no clinic knows.
    Report { route: String, minutes: i64, setting: String },
    /// The patient writes.
    Write(Box<Writing>),
    /// The patient changes an entry.
    Rewrite { entry: String, body: String },
    /// The patient works on an exercise.
    Practise(Box<Practice>),
    /// The patient changes their answers, or adds some.
    Resume { response: String, answers: Option<Map<String, Value>>, distress: Option<DistressFields> },
    /// The patient looks at a prompt.
    Open { rule: String },
    /// The patient completes a prompt without writing.
    Finish { rule: String },
    /// The patient skips a prompt.
    Skip { rule: String, reason: String },
    /// The patient wants a prompt later: in an `hour`, in the `evening`, `tomorrow`.
    Snooze { rule: String, until: String },
    /// The patient pauses the prompts for some days.
    Pause { days: i64 },
    /// The patient changes their settings.
    Settings { share_activity: Option<bool>, quiet_from: Option<Time>, quiet_until: Option<Time> },
    /// The patient opens an entry, a response, or every entry under a rule.
    Share(Sharing),
    /// The patient revokes a grant.
    Revoke { share: String },
    /// A therapist asks for an exercise.
    Assign(Assigning),
    /// The first therapist withdraws an assignment.
    Withdraw { assignment: String },
    /// The first therapist sets cautions against some exercises.
    Cautions { flags: Vec<String> },
    /// The first therapist changes the protocol.
    Overrides { changes: Vec<RuleChange> },
    /// A therapist opens an entry or a response.
    Read { entry: Option<String>, response: Option<String>, by: Option<String> },
    /// A therapist comments on an entry.
    Comment { entry: String, body: String, by: Option<String> },
    /// The patient answers a therapist.
    Reply { entry: String, body: String, to: Option<String> },
}

const fn yes() -> bool {
    true
}

/// A planned infusion.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Planning {
    pub(super) key: String,
    pub(super) in_days: i32,
    pub(super) start: Time,
    pub(super) minutes: i64,
    pub(super) dose_mg: f64,
    pub(super) weight_kg: f64,
    pub(super) setting: String,
    /// `induction` or `maintenance`, if the nurse says so.
    pub(super) course: Option<String>,
}

/// An entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Writing {
    pub(super) key: Option<String>,
    pub(super) kind: String,
    pub(super) title: Option<String>,
    pub(super) body: String,
    pub(super) mood: Option<MoodFields>,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) draft: bool,
    /// The rule of the prompt that it answers.
    pub(super) answers: Option<String>,
}

/// A response. A text answer such as `+3 days` stands for a date.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Practice {
    pub(super) key: Option<String>,
    pub(super) exercise: String,
    pub(super) answers: Map<String, Value>,
    pub(super) distress: Option<DistressFields>,
    #[serde(default)]
    pub(super) draft: bool,
    /// The rule of the prompt that it answers.
    pub(super) answers_prompt: Option<String>,
    /// The assignment that it answers.
    pub(super) assignment: Option<String>,
}

/// A grant.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sharing {
    pub(super) key: String,
    pub(super) entry: Option<String>,
    pub(super) response: Option<String>,
    pub(super) rule: Option<Rule>,
    pub(super) sections: Vec<String>,
    /// The first therapist, unless it is `care_team`.
    pub(super) with: Option<String>,
    pub(super) for_days: Option<i64>,
}

/// An assignment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Assigning {
    pub(super) key: String,
    pub(super) exercise: String,
    pub(super) note: Option<String>,
    pub(super) due_in_days: Option<i32>,
    #[serde(default)]
    pub(super) request_share: bool,
    pub(super) by: Option<String>,
}

/// A change of the protocol.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleChange {
    pub(super) rule: String,
    #[serde(default)]
    pub(super) left_out: bool,
    pub(super) window: Option<String>,
}

/// Reads the clinic of the story.
pub(super) fn clinic() -> Result<Clinic> {
    serde_json::from_str(CLINIC).map_err(unfit)
}

/// Reads the patients of the story.
pub(super) fn patients() -> Result<Vec<PatientStory>> {
    PATIENTS.into_iter().map(|text| serde_json::from_str(text).map_err(unfit)).collect()
}

/// Returns all events in the order of time, each with its instant and its patient.
pub(super) fn timeline<'s>(
    stories: impl Iterator<Item = &'s PatientStory>,
    now: Timestamp,
) -> Result<Vec<(Timestamp, usize, StoryStep)>> {
    let mut all = Vec::new();
    for (number, story) in stories.enumerate() {
        let zone = story.home(now)?.zone;
        for Event { day, at, deed } in &story.events {
            let date = zone.date(now).checked_add(day.days()).map_err(unfit)?;
            all.push((zone.instant(date, *at), number, deed.clone()));
        }
    }
    all.sort_by_key(|(at, number, _)| (*at, *number));
    Ok(all)
}

/// Replaces texts such as `+3 days` in answers by dates.
pub(super) fn dated(answers: Map<String, Value>, zone: &Zone, now: Timestamp) -> Result<Map<String, Value>> {
    let mut found = Map::new();
    for (step, answer) in answers {
        let ahead = answer.as_str().and_then(|text| text.strip_prefix('+')?.strip_suffix(" days")?.parse::<i32>().ok());
        let answer = match ahead {
            Some(days) => Value::String(zone.date(now).checked_add(days.days()).map_err(unfit)?.to_string()),
            None => answer,
        };
        found.insert(step, answer);
    }
    Ok(found)
}

/// Returns the object of that name.
pub(super) fn named<T: Copy>(map: &BTreeMap<String, T>, key: &str) -> Result<T> {
    map.get(key).copied().ok_or_else(|| unfit(format!("nothing is called {key}")))
}
