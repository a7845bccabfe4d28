//! What happens, day by day; and how it is done.

use std::collections::BTreeMap;

use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::Deserialize;

use super::cast::{Cast, PatientActor};
use super::stage::{Actor, Stage, unfit};
use crate::care::door::{Care, Lock, Own, Shared, Team};
use crate::care::grants::{self, GrantDoc, Reader, Rule, Sections, Target};
use crate::care::{Access, Door, Write};
use crate::course::{self, InfusionDraft, InfusionPatch, InfusionStatus};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::journal::actions::{self as journal, Entries, Put};
use crate::journal::comments::actions::{self as comments, NewComment};
use crate::journal::draft::{EntryDraft, MoodFields, TextFields};
use crate::kernel::id::{Entry, Grant, Infusion, Patient, Prompt};
use crate::kernel::{Change, Error, Id, Result, Text, Zone};
use crate::prompts::actions::{self as prompts, Act};
use crate::prompts::{infusions, store};
use crate::replay::{Done, Once};
use crate::revisions::Kept as _;
use crate::window::Route;

const STORY: &str = include_str!("story.json");
/// The entry of the first patient that the guide shows.
const SHOWN: &str = "radio";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Story {
    patients: Vec<PatientStory>,
}

/// One patient and what happens to them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PatientStory {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) time_zone: String,
    pub(super) country: String,
    events: Vec<Event>,
}

/// Something that happens, `day` days from the last day of the story, at `at` where the patient lives.
#[derive(Clone, Debug, Deserialize)]
struct Event {
    day: i32,
    at: Time,
    #[serde(flatten)]
    deed: Deed,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Deed {
    /// The nurse plans an infusion.
    Plan { key: String, in_days: i32, start: Time, minutes: i64, dose_mg: f64, weight_kg: f64, setting: String },
    /// The nurse records that an infusion has just ended.
    End { infusion: String },
    /// The nurse cancels an infusion.
    Cancel { infusion: String, reason: String },
    /// The patient writes.
    Write(Box<Writing>),
    /// The patient looks at a prompt.
    Open { rule: String },
    /// The patient does what a prompt asks, without writing.
    Finish { rule: String },
    /// The patient does not want a prompt.
    Skip { rule: String, reason: String },
    /// The patient opens an entry, or every entry under a rule.
    Share(Sharing),
    /// The patient takes that back.
    Revoke { share: String },
    /// The therapist opens an entry.
    Read { entry: String },
    /// The therapist comments on an entry.
    Comment { entry: String, body: String },
    /// The patient answers the therapist.
    Reply { entry: String, body: String },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Writing {
    key: Option<String>,
    kind: String,
    title: Option<String>,
    body: String,
    mood: Option<MoodFields>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    draft: bool,
    /// The rule of the prompt that it answers.
    answers: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sharing {
    key: String,
    entry: Option<String>,
    rule: Option<Rule>,
    sections: Vec<String>,
    /// `therapist`, unless it is `care_team`.
    with: Option<String>,
    for_days: Option<i64>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// How many entries were written.
    pub(super) entries: usize,
    /// An entry that the therapist may read, and whose it is.
    pub(super) shared: Option<(Id<Patient>, Id<Entry>)>,
}

/// The patients of the story.
pub(super) fn patients() -> Result<Vec<PatientStory>> {
    Ok(serde_json::from_str::<Story>(STORY).map_err(unfit)?.patients)
}

/// Tells the story of everybody, in the order of time.
pub(super) async fn play(stage: &mut Stage, cast: &mut Cast, now: Timestamp) -> Result<Told> {
    let mut all = Vec::new();
    for (number, patient) in cast.patients.iter().enumerate() {
        let zone = Zone::parse(&patient.story.time_zone).map_err(unfit)?;
        for event in &patient.story.events {
            let date = zone.date(now).checked_add(event.day.days()).map_err(unfit)?;
            all.push((zone.instant(date, event.at), number, event.deed.clone()));
        }
    }
    all.sort_by_key(|(at, number, _)| (*at, *number));
    let mut known: Vec<Known> = cast.patients.iter().map(|_| Known::default()).collect();
    let mut told = Told::default();
    for (at, number, deed) in all {
        stage.advance(at).await?;
        let Cast { therapist, therapist_id, nurse, patients, .. } = cast;
        let (Some(person), Some(known)) = (patients.get_mut(number), known.get_mut(number)) else { continue };
        let mut scene = Scene { stage, person, known, told: &mut told };
        match deed {
            Deed::Plan { .. } | Deed::End { .. } | Deed::Cancel { .. } => scene.treat(nurse, deed).await?,
            Deed::Write(writing) => scene.write(*writing).await?,
            Deed::Open { rule } => scene.act(&rule, Act::Open).await?,
            Deed::Finish { rule } => scene.act(&rule, Act::Complete { occurred_at: at, answer: None }).await?,
            Deed::Skip { rule, reason } => scene.act(&rule, Act::Skip { reason: Some(reason) }).await?,
            Deed::Share(sharing) => {
                let therapist = Reader::Therapist(*therapist_id);
                scene.share(sharing, therapist).await?;
            }
            Deed::Revoke { share } => scene.revoke(&share).await?,
            Deed::Read { entry } => scene.read(therapist, &entry).await?,
            Deed::Comment { entry, body } => scene.comment(Some(therapist), &entry, body).await?,
            Deed::Reply { entry, body } => scene.comment(None, &entry, body).await?,
        }
    }
    let first = cast.patients.first().zip(known.first()).ok_or_else(|| unfit("it has no patients"))?;
    told.shared = Some((first.0.patient, named(&first.1.entries, SHOWN)?));
    Ok(told)
}

/// What the story calls by name.
#[derive(Debug, Default)]
struct Known {
    infusions: BTreeMap<String, Id<Infusion>>,
    entries: BTreeMap<String, Id<Entry>>,
    grants: BTreeMap<String, Id<Grant>>,
}

/// One unit of work behind a door.
async fn unit<L, C, F>(door: &Door<L>, act: &'static str, command: C, mut work: F) -> Result<()>
where
    L: Lock,
    C: Send + 'static,
    F: FnMut(&mut Tx<'_>, &Access<Write>, &C) -> Result<()> + Send + 'static,
{
    let work = move |tx: &mut Tx<'_>, access: &Access<Write>, command: &C| {
        work(tx, access, command)?;
        Ok((Done::no_content(), ()))
    };
    door.write(act, Once::none(), Ok(command), work, |_, _, _| Ok(())).await?;
    Ok(())
}

fn named<K>(map: &BTreeMap<String, Id<K>>, key: &str) -> Result<Id<K>> {
    map.get(key).copied().ok_or_else(|| unfit(format!("nothing is called {key}")))
}

/// One patient, at one moment.
struct Scene<'s> {
    stage: &'s Stage,
    person: &'s mut PatientActor,
    known: &'s mut Known,
    told: &'s mut Told,
}

impl Scene<'_> {
    async fn own(&mut self) -> Result<Door<Own>> {
        self.stage.door(&mut self.person.actor, None).await
    }

    fn new_id<K>(&self) -> Id<K> {
        self.stage.state().entropy.id(self.stage.now())
    }

    async fn treat(&mut self, nurse: &mut Actor, deed: Deed) -> Result<()> {
        let door: Door<Team> = self.stage.door(nurse, Some(self.person.patient)).await?;
        match deed {
            Deed::Plan { key, in_days, start, minutes, dose_mg, weight_kg, setting } => {
                let zone = Zone::parse(&self.person.story.time_zone).map_err(unfit)?;
                let date = zone.date(self.stage.now()).checked_add(in_days.days()).map_err(unfit)?;
                let draft = InfusionDraft {
                    planned_start: Some(zone.instant(date, start)),
                    planned_minutes: Some(minutes),
                    dose_mg: Some(dose_mg),
                    weight_kg: Some(weight_kg),
                    setting: Some(setting),
                    ..InfusionDraft::new(InfusionStatus::Planned, Route::IvInfusion)
                };
                let id = self.new_id();
                self.known.infusions.insert(key, id);
                unit(&door, "put_infusion", draft, move |tx, access, draft| {
                    infusions::put_infusion(tx, access, id, draft, &Preconditions::none()).map(drop)
                })
                .await?;
            }
            Deed::End { infusion } => {
                let id = named(&self.known.infusions, &infusion)?;
                unit(&door, "end_infusion", (), move |tx, access, ()| {
                    infusions::end_infusion(tx, access, id, (None, None, None)).map(drop)
                })
                .await?;
            }
            Deed::Cancel { infusion, reason } => {
                let id = named(&self.known.infusions, &infusion)?;
                let patch = InfusionPatch {
                    status: Some(InfusionStatus::Cancelled),
                    cancel_reason: Change::Set(reason),
                    ..InfusionPatch::default()
                };
                unit(&door, "patch_infusion", patch, move |tx, access, patch| {
                    let now = course::find_infusion(tx, access, id)?.ok_or(Error::NotFound)?;
                    let when = Preconditions::matching(EntityTag::version(now.version));
                    infusions::patch_infusion(tx, access, id, patch, &when).map(drop)
                })
                .await?;
            }
            _ => return Err(unfit("a nurse does not do this")),
        }
        Ok(())
    }

    /// The prompt of `rule` that waits for an answer now. Plans differ a little from patient to patient and from date
    /// to date: a prompt that a cap has dropped is no fault of the story.
    async fn prompt(&mut self, rule: &str) -> Result<Option<Id<Prompt>>> {
        let (door, now, rule) = (self.own().await?, self.stage.now(), rule.to_owned());
        let days = |n: i64| now.saturating_add(SignedDuration::from_hours(24 * n)).unwrap_or(now);
        let range = (days(-3), days(1));
        let found = door.read("list_prompts", move |tx, access| {
            let all = store::list(tx, access, range, None, 500)?;
            let waiting = |state| matches!(state, "due" | "delivered" | "opened" | "planned");
            let mut fit = all.into_iter().filter(|p| p.doc.planned.rule_key == rule && waiting(p.state(now)));
            Ok(fit.next().map(|prompt| prompt.id))
        });
        found.await
    }

    async fn act(&mut self, rule: &str, act: Act) -> Result<()> {
        let Some(id) = self.prompt(rule).await? else { return Ok(()) };
        let name = match &act {
            Act::Open => "open_prompt",
            Act::Complete { .. } => "complete_prompt",
            Act::Skip { .. } => "skip_prompt",
            Act::Snooze(_) => "snooze_prompt",
        };
        let door = self.own().await?;
        unit(&door, name, act, move |tx, access, act| prompts::act(tx, access, id, act).map(drop)).await
    }

    async fn write(&mut self, writing: Writing) -> Result<()> {
        let prompt = match &writing.answers {
            Some(rule) => self.prompt(rule).await?,
            None => None,
        };
        let now = self.stage.now();
        let draft = EntryDraft {
            kind: writing.kind,
            status: writing.draft.then(|| "draft".to_owned()),
            occurred_at: now.to_string(),
            zone: Some(self.person.story.time_zone.clone()),
            recorded_at: Some(now.to_string()),
            infusion_id: None,
            prompt_id: prompt.map(Id::uuid),
            text: Some(TextFields { title: writing.title, body: Some(writing.body) }),
            mood: writing.mood,
            tags: Some(writing.tags),
            attachments: None,
        };
        let (id, door) = (self.new_id(), self.own().await?);
        let put = Put::new(door.keys()?, door.patient()?, id, draft.parse()?, Preconditions::none(), now)?;
        unit(&door, "put_entry", put, move |tx, access, put| journal::put(tx, access, put).map(drop)).await?;
        if let Some(key) = writing.key {
            self.known.entries.insert(key, id);
        }
        self.told.entries += 1;
        Ok(())
    }

    async fn share(&mut self, sharing: Sharing, therapist: Reader) -> Result<()> {
        let target = match (sharing.entry, sharing.rule) {
            (Some(key), None) => Target::Entry(named(&self.known.entries, &key)?),
            (None, Some(rule)) => Target::Rule(rule),
            _ => return Err(unfit("a share names an entry or a rule")),
        };
        let sections = Sections::parse(sharing.sections.iter().map(String::as_str));
        let doc = GrantDoc {
            target,
            sections: sections.ok_or_else(|| unfit("no such section"))?,
            reader: match sharing.with.as_deref() {
                None => therapist,
                Some("care_team") => Reader::CareTeam,
                Some(other) => return Err(unfit(format!("nobody is called {other}"))),
            },
            expires_at: match sharing.for_days {
                None => None,
                Some(days) => {
                    Some(self.stage.now().saturating_add(SignedDuration::from_hours(24 * days)).map_err(unfit)?)
                }
            },
        };
        let id = self.new_id();
        unit(&self.own().await?, "put_grant", doc, move |tx, access, doc| {
            grants::actions::put(tx, access, id, doc).map(drop)
        })
        .await?;
        self.known.grants.insert(sharing.key, id);
        Ok(())
    }

    async fn revoke(&mut self, share: &str) -> Result<()> {
        let id = named(&self.known.grants, share)?;
        unit(&self.own().await?, "delete_grant", (), move |tx, access, ()| {
            grants::actions::delete(tx, access, id).map(drop)
        })
        .await
    }

    /// The therapist reads an entry: what a client does when a person has opened it.
    async fn read(&mut self, therapist: &mut Actor, key: &str) -> Result<()> {
        let (patient, id) = (self.person.patient, named(&self.known.entries, key)?);
        let door: Door<Shared> = self.stage.door(therapist, Some(patient)).await?;
        door.read("get_entry", move |tx, access| Entries::get_shared(tx, access, id).map(|_| ())).await?;
        let door: Door<Care> = self.stage.door(therapist, Some(patient)).await?;
        unit(&door, "mark_entry_opened", (), move |tx, access, ()| Entries::mark_opened(tx, access, id).map(drop)).await
    }

    /// A comment by the therapist, or by the patient in the therapist's thread.
    async fn comment(&mut self, therapist: Option<&mut Actor>, key: &str, body: String) -> Result<()> {
        let (id, entry) = (self.new_id(), named(&self.known.entries, key)?);
        let thread = therapist.is_none().then_some(self.person.link);
        let door: Door<Shared> = match therapist {
            Some(therapist) => self.stage.door(therapist, Some(self.person.patient)).await?,
            None => self.stage.door(&mut self.person.actor, None).await?,
        };
        let new = NewComment { id, entry, thread, body: Text::parse(body).map_err(unfit)? };
        unit(&door, "post_comment", new, move |tx, access, new| comments::create(tx, access, new).map(drop)).await
    }
}
