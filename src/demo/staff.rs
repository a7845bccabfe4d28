//! The deeds of the clinic's staff: plan, record, read, comment, assign.

use jiff::ToSpan;

use super::play::Scene;
use super::stage::{change, unfit};
use super::story::{Assigning, Planning, RuleChange, named};
use crate::care::Door;
use crate::care::door::{Care, Policy, Shared, Team};
use crate::course::{self, CourseKind, InfusionDraft, InfusionStatus, actions as infusions};
use crate::exercises::Responses;
use crate::exercises::assignments::actions as assignments;
use crate::exercises::assignments::model::PutAssignment;
use crate::exercises::cautions;
use crate::http::{EntityTag, Preconditions};
use crate::items::actions as items;
use crate::journal::Entries;
use crate::journal::comments::actions::{self as comments, Closed, NewComment};
use crate::kernel::{Error, Result, Text};
use crate::planning::window::Route;
use crate::settings::actions::put_overrides;
use crate::settings::overrides::OverrideFields;
use crate::settings::{CHANGED_OFFER, find_own_cautions, overrides, settings};

impl Scene<'_> {
    async fn nurse(&mut self) -> Result<Door<Team>> {
        self.stage.door(&mut self.work.nurse.actor, Some(self.person.patient()?)).await
    }

    /// Returns the door to the patient, for one of their therapists.
    async fn therapist<L: Policy>(&mut self, who: Option<&str>) -> Result<Door<L>> {
        let (key, _) = self.person.link(who)?;
        let patient = self.person.patient()?;
        self.stage.door(&mut self.work.therapist(&key)?.actor, Some(patient)).await
    }

    pub(super) async fn plan(&mut self, planning: Planning) -> Result<()> {
        let zone = &self.person.zone;
        let date = zone.date(self.stage.now()).checked_add(planning.in_days.days()).map_err(unfit)?;
        let course = planning.course.as_deref().map(CourseKind::parse).transpose().map_err(unfit)?;
        let draft = InfusionDraft {
            planned_start: Some(zone.instant(date, planning.start)),
            planned_minutes: Some(planning.minutes),
            dose_mg: Some(planning.dose_mg),
            weight_kg: Some(planning.weight_kg),
            setting: Some(planning.setting),
            course,
            ..InfusionDraft::new(InfusionStatus::Planned, Route::IvInfusion)
        };
        let (id, door) = (self.new_id(), self.nurse().await?);
        self.person.infusions.insert(planning.key, id);
        change(&door, "put_infusion", draft, move |tx, access, draft| {
            infusions::put_infusion(tx, access, id, draft, &Preconditions::none()).map(drop)
        })
        .await
    }

    pub(super) async fn end(&mut self, infusion: &str) -> Result<()> {
        let (id, door) = (named(&self.person.infusions, infusion)?, self.nurse().await?);
        change(&door, "end_infusion", (), move |tx, access, ()| {
            infusions::end_infusion(tx, access, id, (None, None, None), &Preconditions::none()).map(drop)
        })
        .await
    }

    pub(super) async fn cancel(&mut self, infusion: &str, reason: String) -> Result<()> {
        let (id, door) = (named(&self.person.infusions, infusion)?, self.nurse().await?);
        change(&door, "patch_infusion", Some(reason), move |tx, access, reason| {
            let now = course::find_infusion(tx, access, id)?.ok_or(Error::NotFound)?;
            let when = Preconditions::matching(EntityTag::version(now.version));
            let off =
                |draft| Ok(InfusionDraft { status: InfusionStatus::Cancelled, cancel_reason: reason.clone(), ..draft });
            infusions::patch_infusion(tx, access, id, off, &when).map(drop)
        })
        .await
    }

    pub(super) async fn assign(&mut self, assigning: Assigning) -> Result<()> {
        let today = self.person.zone.date(self.stage.now());
        let due = assigning.due_in_days.map(|days| today.checked_add(days.days())).transpose().map_err(unfit)?;
        let body = PutAssignment {
            exercise_key: assigning.exercise,
            note: assigning.note,
            due_on: due.map(|date| date.to_string()),
            request_share: Some(assigning.request_share),
            status: None,
        };
        let door: Door<Care> = self.therapist(assigning.by.as_deref()).await?;
        let id = self.new_id();
        self.person.assignments.insert(assigning.key, id);
        change(&door, "put_assignment", body, move |tx, access, body| {
            assignments::put(tx, access, id, body, &Preconditions::none()).map(drop)
        })
        .await
    }

    pub(super) async fn withdraw(&mut self, assignment: &str) -> Result<()> {
        let id = named(&self.person.assignments, assignment)?;
        let door: Door<Care> = self.therapist(None).await?;
        change(&door, "patch_assignment", (), move |tx, access, ()| {
            let now = assignments::get(tx, access, id)?.open(access.keys()?, access.patient())?.tag();
            let withdrawn =
                |body: &_| Ok(PutAssignment { status: Some("withdrawn".to_owned()), ..PutAssignment::clone(body) });
            assignments::patch(tx, access, id, withdrawn, &Preconditions::matching(now)).map(drop)
        })
        .await
    }

    pub(super) async fn caution(&mut self, flags: &[String]) -> Result<()> {
        let flags = cautions::parse(flags)?;
        let door: Door<Care> = self.therapist(None).await?;
        change(&door, CHANGED_OFFER, flags, move |tx, access, flags| {
            let now = cautions::tag(&find_own_cautions(tx, access)?);
            cautions::put(tx, access, flags, &Preconditions::matching(now)).map(drop)
        })
        .await
    }

    pub(super) async fn change_protocol(&mut self, changes: Vec<RuleChange>) -> Result<()> {
        let drafts = changes
            .into_iter()
            .map(|change| OverrideFields {
                rule_key: change.rule,
                left_out: change.left_out,
                window: change.window,
                ..OverrideFields::default()
            })
            .collect();
        let door: Door<Care> = self.therapist(None).await?;
        let list = overrides::parse(door.state().protocols.known().current(), &[], "/items", drafts)?;
        change(&door, CHANGED_OFFER, list, move |tx, access, list| {
            let now = overrides::tag(&settings(tx, access)?.0);
            put_overrides(tx, access, list, &Preconditions::matching(now)).map(drop)
        })
        .await
    }

    /// Reads an entry as a therapist's client does when the person has opened it.
    pub(super) async fn read_entry(&mut self, key: &str, by: Option<&str>) -> Result<()> {
        let id = named(&self.person.entries, key)?;
        let door: Door<Shared> = self.therapist(by).await?;
        door.read("get_entry", move |tx, access| items::get_shared::<Entries, _>(tx, access, id).map(|_| ())).await?;
        let door: Door<Care> = self.therapist(by).await?;
        let ids = door.state().entropy.clone();
        change(&door, "mark_entry_opened", (), move |tx, access, ()| {
            items::mark_opened::<Entries>(tx, access, id, &ids).map(drop)
        })
        .await
    }

    /// Reads a response as a therapist.
    pub(super) async fn read_response(&mut self, key: &str, by: Option<&str>) -> Result<()> {
        let id = named(&self.person.responses, key)?;
        let door: Door<Shared> = self.therapist(by).await?;
        let read = door.read("get_exercise_response", move |tx, access| {
            items::get_shared::<Responses, _>(tx, access, id).map(|_| ())
        });
        read.await?;
        let door: Door<Care> = self.therapist(by).await?;
        let ids = door.state().entropy.clone();
        change(&door, "mark_response_opened", (), move |tx, access, ()| {
            items::mark_opened::<Responses>(tx, access, id, &ids).map(drop)
        })
        .await
    }

    pub(super) async fn comment(&mut self, key: &str, body: String, by: Option<&str>) -> Result<()> {
        let (id, entry) = (self.new_id(), named(&self.person.entries, key)?);
        let new =
            NewComment { id, entry, thread: None, body: Text::parse(body).map_err(unfit)?, closed: Closed::Refuse };
        let door: Door<Shared> = self.therapist(by).await?;
        change(&door, "put_comment", new, move |tx, access, new| comments::put(tx, access, new).map(drop)).await
    }
}
