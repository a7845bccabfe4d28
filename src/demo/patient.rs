//! The deeds of patients: write, practise, answer prompts, share, and change their settings.

use jiff::SignedDuration;
use jiff::civil::Time;
use serde_json::{Map, Value};

use super::play::Scene;
use super::stage::{change, unfit};
use super::story::{Practice, Sharing, Writing, dated, named};
use crate::care::door::{Own, Shared};
use crate::care::grants::{GrantDoc, Reader, Sections, Target};
use crate::care::{Access, Door, Write};
use crate::consents::actions as consents;
use crate::consents::documents::{Document, text_hash};
use crate::consents::model::NewConsent;
use crate::course::{InfusionDraft, InfusionStatus, PauseRequest, actions as infusions, pauses};
use crate::db::Tx;
use crate::exercises::catalogue;
use crate::exercises::draft::{DistressFields, PutExerciseResponse};
use crate::exercises::model::{self as exercises, Responses};
use crate::http::{EntityTag, Preconditions};
use crate::items::New;
use crate::items::actions as items;
use crate::journal::comments::actions::{self as comments, Closed, NewComment};
use crate::journal::draft::{PutEntry, TextFields};
use crate::journal::model::{self as journal, Entries};
use crate::kernel::id::Prompt;
use crate::kernel::{Creation, Id, Result, Text};
use crate::planning::window::Route;
use crate::planning::{PausePeriod, QuietHours};
use crate::prompts::actions::{self as prompts, PromptAction};
use crate::prompts::store;
use crate::settings::Settings;
use crate::settings::actions::{patch_settings, settings};
use crate::sharing::actions::{self as sharing, NewGrant, Terms};

impl Scene<'_> {
    async fn own(&mut self) -> Result<Door<Own>> {
        self.stage.door(self.person.actor()?, None).await
    }

    /// Finds the prompt of `rule` that waits for an answer now. Plans differ a little from patient to patient and from
    /// date to date: a prompt that a cap has dropped is no fault of the story.
    async fn prompt(&mut self, rule: &str) -> Result<Option<Id<Prompt>>> {
        let (door, now) = (self.own().await?, self.stage.now());
        let days = |n: i64| now.saturating_add(SignedDuration::from_hours(24 * n)).unwrap_or(now);
        let range = (days(-3), days(1));
        let found = door.read("list_prompts", move |tx, access| store::list(tx, access, range, None, 500));
        let waiting = |state| matches!(state, "due" | "delivered" | "opened" | "planned");
        for row in found.await? {
            let prompt = row.open(door.keys()?, door.patient()?)?;
            if prompt.doc.planned.rule_key == rule && waiting(prompt.state(now)) {
                return Ok(Some(prompt.id));
            }
        }
        Ok(None)
    }

    /// Acts on the prompt of a rule, if there is one.
    pub(super) async fn respond(&mut self, rule: &str, act: PromptAction) -> Result<()> {
        let Some(id) = self.prompt(rule).await? else { return Ok(()) };
        let name = match &act {
            PromptAction::Open => "open_prompt",
            PromptAction::Complete { .. } => "complete_prompt",
            PromptAction::Skip { .. } => "skip_prompt",
            PromptAction::Snooze(_) => "snooze_prompt",
        };
        let door = self.own().await?;
        change(&door, name, act, move |tx, access, act| prompts::act(tx, access, id, act).map(drop)).await
    }

    async fn answered(&mut self, rule: Option<&str>) -> Result<Option<uuid::Uuid>> {
        match rule {
            Some(rule) => Ok(self.prompt(rule).await?.map(Id::uuid)),
            None => Ok(None),
        }
    }

    pub(super) async fn write(&mut self, writing: Writing) -> Result<()> {
        let prompt_id = self.answered(writing.answers.as_deref()).await?;
        let now = self.stage.now();
        let draft = PutEntry {
            kind: writing.kind,
            status: writing.draft.then(|| "draft".to_owned()),
            occurred_at: now.to_string(),
            zone: Some(self.person.zone.name().to_owned()),
            recorded_at: Some(now.to_string()),
            infusion_id: None,
            prompt_id,
            text: Some(TextFields { title: writing.title, body: Some(writing.body) }),
            mood: writing.mood,
            tags: Some(writing.tags),
            attachments: None,
        };
        let (id, door, content) = (self.new_id(), self.own().await?, draft.parse()?);
        let (at, creation) = ((door.patient()?, id), Creation::of(&PutEntry::of(&content))?);
        let (new, _) = New::<Entries>::seal(door.keys()?, at, content, creation, now)?;
        change(&door, "put_entry", new, move |tx, access, new| {
            items::put(tx, access, new, &Preconditions::none()).map(drop)
        })
        .await?;
        if let Some(key) = writing.key {
            self.person.entries.insert(key, id);
        }
        Ok(())
    }

    pub(super) async fn rewrite(&mut self, key: &str, body: String) -> Result<()> {
        let (id, door) = (named(&self.person.entries, key)?, self.own().await?);
        change(&door, "patch_entry", body, move |tx, access, body| {
            let now = EntityTag::version(items::get::<Entries, _>(tx, access, id)?.version);
            let patched = |old: &journal::EntryContent| {
                let mut entry = PutEntry::of(old);
                entry.text.get_or_insert_default().body = Some(body.clone());
                entry.parse()
            };
            items::patch::<Entries>(tx, access, id, patched, &Preconditions::matching(now)).map(drop)
        })
        .await
    }

    pub(super) async fn practise(&mut self, practice: Practice) -> Result<()> {
        let prompt_id = self.answered(practice.answers_prompt.as_deref()).await?;
        let now = self.stage.now();
        let assignment = practice.assignment.map(|key| named(&self.person.assignments, &key)).transpose()?;
        let shown = catalogue::find(&practice.exercise, None).ok_or_else(|| unfit("no such exercise"))?;
        let draft = PutExerciseResponse {
            exercise_key: practice.exercise,
            exercise_version: shown.version,
            status: practice.draft.then(|| "draft".to_owned()),
            occurred_at: now.to_string(),
            zone: Some(self.person.zone.name().to_owned()),
            recorded_at: Some(now.to_string()),
            prompt_id,
            assignment_id: assignment.map(Id::uuid),
            answers: Some(dated(practice.answers, &self.person.zone, now)?),
            distress: practice.distress,
        };
        let (id, door, content) = (self.new_id(), self.own().await?, draft.parse()?);
        let (at, creation) = ((door.patient()?, id), Creation::of(&PutExerciseResponse::of(&content))?);
        let (new, _) = New::<Responses>::seal(door.keys()?, at, content, creation, door.now())?;
        change(&door, "put_exercise_response", new, move |tx, access, new| {
            items::put(tx, access, new, &Preconditions::none()).map(drop)
        })
        .await?;
        if let Some(key) = practice.key {
            self.person.responses.insert(key, id);
        }
        Ok(())
    }

    pub(super) async fn resume(
        &mut self,
        key: &str,
        answers: Option<Map<String, Value>>,
        distress: Option<DistressFields>,
    ) -> Result<()> {
        let (id, door) = (named(&self.person.responses, key)?, self.own().await?);
        change(&door, "patch_exercise_response", (answers, distress), move |tx, access, (answers, distress)| {
            let now = EntityTag::version(items::get::<Responses, _>(tx, access, id)?.version);
            let patched = |old: &exercises::ResponseContent| {
                let mut response = PutExerciseResponse::of(old);
                response.answers.get_or_insert_default().extend(answers.clone().unwrap_or_default());
                response.distress = distress.or(response.distress);
                response.parse()
            };
            items::patch::<Responses>(tx, access, id, patched, &Preconditions::matching(now)).map(drop)
        })
        .await
    }

    /// Reports an infusion that has just ended.
    pub(super) async fn report(&mut self, route: &str, minutes: i64, setting: String) -> Result<()> {
        let ended_at = self.stage.now();
        let started_at = ended_at.saturating_sub(SignedDuration::from_mins(minutes)).map_err(unfit)?;
        let route = Route::parse(route).map_err(unfit)?;
        let draft = InfusionDraft {
            started_at: Some(started_at),
            ended_at: Some(ended_at),
            setting: Some(setting),
            ..InfusionDraft::new(InfusionStatus::Completed, route)
        };
        let (id, door) = (self.new_id(), self.own().await?);
        change(&door, "put_infusion", draft, move |tx, access, draft| {
            infusions::put_infusion(tx, access, id, draft, &Preconditions::none()).map(drop)
        })
        .await
    }

    pub(super) async fn pause(&mut self, days: i64) -> Result<()> {
        let from = self.stage.now();
        let until = from.saturating_add(SignedDuration::from_hours(24 * days)).map_err(unfit)?;
        let pause = PauseRequest { period: PausePeriod::parse(from, until), creation: None };
        let (id, door) = (self.new_id(), self.own().await?);
        change(&door, "put_pause", pause, move |tx, access, pause| {
            pauses::put_pause(tx, access, id, pause, &Preconditions::none()).map(drop)
        })
        .await
    }

    pub(super) async fn set(&mut self, share_activity: Option<bool>, quiet: Option<(Time, Time)>) -> Result<()> {
        let quiet_hours = quiet.map(|(from, until)| QuietHours::parse(from, until)).transpose()?;
        let door = self.own().await?;
        change(&door, "patch_me", (), move |tx, access, ()| {
            let change = |before: &Settings| {
                let quiet_hours = quiet_hours.unwrap_or(before.quiet_hours);
                let share_activity = share_activity.unwrap_or(before.share_activity);
                Ok(Settings { quiet_hours, share_activity, ..before.clone() })
            };
            let (_, version) = settings(tx, access)?;
            patch_settings(tx, access, change, &Preconditions::matching(EntityTag::version(version))).map(drop)
        })
        .await
    }

    /// Agrees to the document of sharing, without which nobody shares.
    async fn agree(&mut self) -> Result<()> {
        let document = Document::find("sharing").ok_or_else(|| unfit("no document of sharing"))?;
        let text = document.text("en").ok_or_else(|| unfit("no text of that document"))?;
        let (locale, method) = ("en".to_owned(), "app".to_owned());
        let new = NewConsent { document, locale, text_sha256: text_hash(text), method };
        let door = self.own().await?;
        change(&door, "put_consent", new, |tx, access, new| consents::give(tx, access, new).map(drop)).await
    }

    pub(super) async fn share(&mut self, sharing: Sharing) -> Result<()> {
        self.agree().await?;
        let target = match (sharing.entry, sharing.response, sharing.rule) {
            (Some(key), None, None) => Target::Entry(named(&self.person.entries, &key)?),
            (None, Some(key), None) => Target::ExerciseResponse(named(&self.person.responses, &key)?),
            (None, None, Some(rule)) => Target::Rule(rule),
            _ => return Err(unfit("a share names an entry, a response or a rule")),
        };
        let reader = match sharing.with.as_deref() {
            Some("care_team") => Reader::CareTeam,
            with => {
                let (therapist, _) = self.person.link(with)?;
                Reader::Therapist(self.work.therapist(&therapist)?.account)
            }
        };
        let until = |days| self.stage.now().saturating_add(SignedDuration::from_hours(24 * days)).map_err(unfit);
        let sections = Sections::parse(sharing.sections.iter().map(String::as_str));
        let doc = GrantDoc {
            target,
            sections: sections.ok_or_else(|| unfit("no such section"))?,
            reader,
            expires_at: sharing.for_days.map(until).transpose()?,
        };
        let (id, door) = (self.new_id(), self.own().await?);
        let new = NewGrant { doc, at_once: true };
        let put = move |tx: &mut Tx<'_>, access: &Access<Write>, new: &NewGrant| {
            sharing::put(tx, access, (id, new), Terms { delay: SignedDuration::ZERO, consent: true }).map(drop)
        };
        change(&door, "put_grant", new, put).await?;
        self.person.grants.insert(sharing.key, id);
        Ok(())
    }

    pub(super) async fn revoke(&mut self, share: &str) -> Result<()> {
        let (id, door) = (named(&self.person.grants, share)?, self.own().await?);
        change(&door, "delete_grant", (), move |tx, access, ()| sharing::delete(tx, access, id).map(drop)).await
    }

    /// Answers in a therapist's thread.
    pub(super) async fn reply(&mut self, key: &str, body: String, to: Option<&str>) -> Result<()> {
        let (id, entry, (_, link)) = (self.new_id(), named(&self.person.entries, key)?, self.person.link(to)?);
        let new = NewComment {
            id,
            entry,
            thread: Some(link),
            body: Text::parse(body).map_err(unfit)?,
            closed: Closed::Refuse,
        };
        let door: Door<Shared> = self.stage.door(self.person.actor()?, None).await?;
        change(&door, "put_comment", new, move |tx, access, new| comments::put(tx, access, new).map(drop)).await
    }
}
