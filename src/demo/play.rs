//! The playing of the story: in the order of time, each deed by the person who does it.

use jiff::Timestamp;

use super::cast::{self, Character, Workplace};
use super::stage::{Stage, unfit};
use super::story::{Deed, named, timeline};
use crate::kernel::id::{Assignment, Entry, Patient, Response};
use crate::kernel::{Id, Result};
use crate::prompts::actions::{Act, Later};

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
    pub(super) stage: &'s Stage,
    pub(super) work: &'s mut Workplace,
    pub(super) person: &'s mut Character,
}

/// Plays the story of everybody until `now`.
pub(super) async fn play(
    stage: &Stage,
    work: &mut Workplace,
    people: &mut [Character],
    now: Timestamp,
) -> Result<StorySummary> {
    let (mut entries, mut responses) = (0, 0);
    for (at, number, deed) in timeline(people.iter().map(|person| &person.story), now)? {
        stage.advance(at).await?;
        let Some(person) = people.get_mut(number) else { continue };
        entries += usize::from(matches!(deed, Deed::Write(_)));
        responses += usize::from(matches!(deed, Deed::Practise(_)));
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
    async fn act_out(mut self, deed: Deed) -> Result<()> {
        match deed {
            Deed::Join { with, confirmed } => {
                let therapist = self.work.therapist(&with)?;
                cast::join(self.stage, self.person, therapist, confirmed).await
            }
            Deed::Leave { therapist } => {
                let (_, link) = self.person.link(Some(&therapist))?;
                cast::part(self.stage, self.person, link).await
            }
            Deed::Plan(planning) => self.plan(planning).await,
            Deed::End { infusion } => self.end(&infusion).await,
            Deed::Cancel { infusion, reason } => self.cancel(&infusion, reason).await,
            Deed::Report { route, minutes, setting } => self.report(&route, minutes, setting).await,
            Deed::Write(writing) => self.write(*writing).await,
            Deed::Rewrite { entry, body } => self.rewrite(&entry, body).await,
            Deed::Practise(practice) => self.practise(*practice).await,
            Deed::Resume { response, answers, distress } => self.resume(&response, answers, distress).await,
            Deed::Open { rule } => self.respond(&rule, Act::Open).await,
            Deed::Finish { rule } => {
                let occurred_at = self.stage.now();
                self.respond(&rule, Act::Complete { occurred_at, answer: None }).await
            }
            Deed::Skip { rule, reason } => self.respond(&rule, Act::Skip { reason: Some(reason) }).await,
            Deed::Snooze { rule, until } => {
                self.respond(&rule, Act::Snooze(Later::parse(&until).map_err(unfit)?)).await
            }
            Deed::Pause { days } => self.pause(days).await,
            Deed::Settings { share_activity, quiet_from, quiet_until } => {
                self.set(share_activity, quiet_from.zip(quiet_until)).await
            }
            Deed::Share(sharing) => self.share(sharing).await,
            Deed::Revoke { share } => self.revoke(&share).await,
            Deed::Assign(assigning) => self.assign(assigning).await,
            Deed::Withdraw { assignment } => self.withdraw(&assignment).await,
            Deed::Cautions { flags } => self.caution(&flags).await,
            Deed::Overrides { changes } => self.change_protocol(changes).await,
            Deed::Read { entry: Some(entry), response: None, by } => self.read_entry(&entry, by.as_deref()).await,
            Deed::Read { entry: None, response: Some(response), by } => {
                self.read_response(&response, by.as_deref()).await
            }
            Deed::Read { .. } => Err(unfit("what is read is an entry or a response")),
            Deed::Comment { entry, body, by } => self.comment(&entry, body, by.as_deref()).await,
            Deed::Reply { entry, body, to } => self.reply(&entry, body, to.as_deref()).await,
        }
    }

    /// Makes an id.
    pub(super) fn new_id<K>(&self) -> Id<K> {
        self.stage.state().entropy.id(self.stage.now())
    }
}
