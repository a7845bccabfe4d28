//! The rules of exercise responses: checks of new ones and of links, and the consequences of a done one.

use super::answers::Answers;
use super::assignments;
use super::assignments::model::DoneBy;
use super::catalogue::Availability;
use super::model::{ResponseContent, Responses};
use super::store::{self, ResponseTable};
use super::suggestions;
use crate::care::{Access, Write};
use crate::changes::FeedsPlan;
use crate::db::Tx;
use crate::items::{Item, ItemTable as _};
use crate::kernel::id::Response;
use crate::kernel::{Code, Error, Fields, Id, Result, Standing};
use crate::prompts::{self, model::AnswerId};
use crate::settings::settings_or_default;

const NOT_YOUR_PROMPT: &str = "is not a prompt of yours";

impl Item for Responses {
    type Table = ResponseTable;

    /// Refuses a change of the exercise, a done response without a required answer, new links to prompts and
    /// assignments that are not the patient's, and the beginning of an exercise that is not offered. A response with
    /// content is kept, whatever is offered.
    fn check(
        tx: &mut Tx<'_>,
        access: &Access<Write>,
        id: Id<Response>,
        (old, new): (Option<&ResponseContent>, &ResponseContent),
    ) -> Result<()> {
        if let Some(old) = old {
            old.may_become(new)?;
        }
        let (header, before) = (&new.header, old.map(|old| &old.header));
        let mut fields = Fields::new();
        // What comes back from the time when it was a draft may lack an answer, and could then not be changed.
        if old.is_some() && !header.circumstances.draft {
            new.answers.as_ref().unwrap_or(&Answers::default()).check_done(header.exercise()?, &mut fields);
        }
        if let Some(id) = header.assignment_id
            && before.and_then(|before| before.assignment_id) != Some(id)
        {
            // What answers an assignment that does not open is kept.
            if let Some(asked) = Error::skip_damaged(assignments::actions::find(tx, access, id))? {
                let right = asked.as_ref().is_none_or(|asked| asked.exercise_key == header.exercise_key);
                fields.check(asked.is_some(), "/assignment_id", "is not an assignment of yours");
                fields.check(right, "/assignment_id", "asks for another exercise");
            }
        }
        if let Some(id) = header.circumstances.prompt_id
            && before.and_then(|before| before.circumstances.prompt_id) != Some(id)
        {
            fields.check(prompts::store::exists(tx, access, id)?, "/prompt_id", NOT_YOUR_PROMPT);
        }
        fields.done()?;
        // A repeated creation is no beginning.
        let begins = old.is_none() && new.begins() && ResponseTable::find_state(tx, access, id.any())?.is_none();
        if begins {
            let offer = suggestions::offer_of(tx, access, header)?;
            if offer != Availability::Yes {
                let standing = Standing { state: offer.name(), allowed: Vec::new() };
                return Err(Error::State(Code::ExerciseWithheld, standing));
            }
        }
        Ok(())
    }

    /// Marks a done response that has a date on which it comes back.
    fn on_stored(
        tx: &mut Tx<'_>,
        access: &Access<Write>,
        id: Id<Response>,
        (old, new): (Option<&ResponseContent>, &ResponseContent),
    ) -> Result<()> {
        let date = |content: &ResponseContent| {
            let done = !content.header.circumstances.draft;
            done.then(|| content.returns_on()).transpose().map(Option::flatten)
        };
        let (before, now) = (old.map(date).transpose()?.flatten(), date(new)?);
        if before == now { Ok(()) } else { store::mark_date_to_come(tx, access, &[id], now.is_some()) }
    }

    /// Completes the prompt and the assignment of a response that becomes done or gets the link.
    fn on_changed(
        tx: &mut Tx<'_>,
        access: &Access<Write>,
        id: Id<Response>,
        (old, new): (Option<&ResponseContent>, &ResponseContent),
    ) -> Result<FeedsPlan> {
        let now = &new.header.circumstances;
        if now.draft {
            return Ok(FeedsPlan::IfAwaited);
        }
        let before = old.map(|old| &old.header).filter(|old| !old.circumstances.draft);
        if let Some(assignment) = new.header.assignment_id
            && before.and_then(|before| before.assignment_id) != Some(assignment)
        {
            let settings = settings_or_default(tx, access)?;
            let on = now.local_date(|at| settings.zone_at(at));
            assignments::actions::mark_done(tx, access, assignment, DoneBy { on, response: id })?;
        }
        if let Some(prompt) = now.prompt_id
            && before.and_then(|before| before.circumstances.prompt_id) != Some(prompt)
            && !prompts::actions::answered(tx, access, prompt, now.occurred_at, AnswerId::ExerciseResponse(id))?
        {
            return Err(Error::field("/prompt_id", NOT_YOUR_PROMPT));
        }
        // Some prompts wait for another done response, and one brings a response back on its date.
        let date = |content: &ResponseContent| content.returns_on();
        let moved = old.map(date).transpose()? != Some(date(new)?);
        Ok(if before.is_none() || moved { FeedsPlan::Always } else { FeedsPlan::IfAwaited })
    }

    /// Feeds the plan for a done response, because some prompts depend on it. Completed prompts and assignments stay
    /// completed.
    fn on_removed(content: &ResponseContent) -> FeedsPlan {
        if content.header.circumstances.draft { FeedsPlan::IfAwaited } else { FeedsPlan::Always }
    }
}
