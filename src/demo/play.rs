//! The playing of the story: in the order of time, each deed by the person who does it.

use jiff::Timestamp;

use super::cast::{self, DemoPatient, Workplace};
use super::stage::{DemoServer, unfit};
use super::story::{StoryStep, named, timeline};
use crate::kernel::id::{Assignment, Entry, Patient, Response};
use crate::kernel::{Id, Result};
use crate::prompts::actions::{PromptAction, SnoozeOption};

/// The names of the first patient's entry, response and assignment that the guide shows. The therapist may read the
/// entry and the response, which answers the assignment.
const SHOWN: (&str, &str, &str) = ("radio", "place", "place");

/// A summary of the story that was played.
#[derive(Clone, Copy, Debug)]
pub(super) struct StorySummary {
    /// The number of entries.
    pub(super) entries: usize,
    /// The number of exercise responses.
    pub(super) responses: usize,
    /// The patient, entry, response and assignment that the guide shows.
    pub(super) shown: (Id<Patient>, Id<Entry>, Id<Response>, Id<Assignment>),
}

/// One patient, at one moment.
pub(super) struct Scene<'s> {
    pub(super) stage: &'s DemoServer,
    pub(super) work: &'s mut Workplace,
    pub(super) person: &'s mut DemoPatient,
}

/// Plays the story of everybody until `now`.
pub(super) async fn play(
    stage: &DemoServer,
    work: &mut Workplace,
    people: &mut [DemoPatient],
    now: Timestamp,
) -> Result<StorySummary> {
    let (mut entries, mut responses) = (0, 0);
    for (at, number, deed) in timeline(people.iter().map(|person| &person.story), now)? {
        stage.advance(at).await?;
        let Some(person) = people.get_mut(number) else { continue };
        entries += usize::from(matches!(deed, StoryStep::Write(_)));
        responses += usize::from(matches!(deed, StoryStep::Practise(_)));
        let what = format!("{}, {at}", person.story.key);
        let scene = Scene { stage, work: &mut *work, person };
        scene.act_out(deed).await.map_err(|error| unfit(format!("{what}: {error}: {error:?}")))?;
    }
    let first = people.first().ok_or_else(|| unfit("it has no patients"))?;
    let (entry, response, assignment) = SHOWN;
    let shown = (
        first.patient()?,
        named(&first.entries, entry)?,
        named(&first.responses, response)?,
        named(&first.assignments, assignment)?,
    );
    Ok(StorySummary { entries, responses, shown })
}

impl Scene<'_> {
    async fn act_out(mut self, deed: StoryStep) -> Result<()> {
        match deed {
            StoryStep::Join { with, confirmed } => {
                let therapist = self.work.therapist(&with)?;
                cast::join(self.stage, self.person, therapist, confirmed).await
            }
            StoryStep::Leave { therapist } => {
                let (_, link) = self.person.link(Some(&therapist))?;
                cast::end_link(self.stage, self.person, link).await
            }
            StoryStep::Plan(planning) => self.plan(planning).await,
            StoryStep::End { infusion } => self.end(&infusion).await,
            StoryStep::Cancel { infusion, reason } => self.cancel(&infusion, reason).await,
            StoryStep::Report { route, minutes, setting } => self.report(&route, minutes, setting).await,
            StoryStep::Write(writing) => self.write(*writing).await,
            StoryStep::Rewrite { entry, body } => self.rewrite(&entry, body).await,
            StoryStep::Practise(practice) => self.practise(*practice).await,
            StoryStep::Resume { response, answers, distress } => self.resume(&response, answers, distress).await,
            StoryStep::Open { rule } => self.respond(&rule, PromptAction::Open).await,
            StoryStep::Finish { rule } => {
                let occurred_at = self.stage.now();
                self.respond(&rule, PromptAction::Complete { occurred_at, answer: None }).await
            }
            StoryStep::Skip { rule, reason } => self.respond(&rule, PromptAction::Skip { reason: Some(reason) }).await,
            StoryStep::Snooze { rule, until } => {
                self.respond(&rule, PromptAction::Snooze(SnoozeOption::parse(&until).map_err(unfit)?)).await
            }
            StoryStep::Pause { days } => self.pause(days).await,
            StoryStep::Settings { share_activity, quiet_from, quiet_until } => {
                self.set(share_activity, quiet_from.zip(quiet_until)).await
            }
            StoryStep::Share(sharing) => self.share(sharing).await,
            StoryStep::Revoke { share } => self.revoke(&share).await,
            StoryStep::Assign(assigning) => self.assign(assigning).await,
            StoryStep::Withdraw { assignment } => self.withdraw(&assignment).await,
            StoryStep::Cautions { flags } => self.caution(&flags).await,
            StoryStep::Overrides { changes } => self.change_protocol(changes).await,
            StoryStep::Read { entry: Some(entry), response: None, by } => self.read_entry(&entry, by.as_deref()).await,
            StoryStep::Read { entry: None, response: Some(response), by } => {
                self.read_response(&response, by.as_deref()).await
            }
            StoryStep::Read { .. } => Err(unfit("what is read is an entry or a response")),
            StoryStep::Comment { entry, body, by } => self.comment(&entry, body, by.as_deref()).await,
            StoryStep::Reply { entry, body, to } => self.reply(&entry, body, to.as_deref()).await,
        }
    }

    /// Makes an id, as an app does: of version 4, which does not tell the time.
    pub(super) fn new_id<K>(&self) -> Id<K> {
        Id::from_uuid(self.stage.state().entropy.opaque())
    }
}
