//! The acts on prompts that phones push.

use super::kinds::{self, Held};
use super::mutation::{Kept, Mutation};
use super::outcome::{Done, Numbered, number};
use crate::care::{Access, Write};
use crate::changes::Entity;
use crate::db::Tx;
use crate::kernel::id::Any;
use crate::kernel::{Error, Fields, Id, Result, Text, device_time};
use crate::prompts::actions::{PromptAction, SnoozeOption, act};
use crate::prompts::store;

/// Finds a prompt as it is.
pub(super) fn find(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Any>) -> Result<Option<Numbered>> {
    let Some(row) = store::list_among(tx, access, &[id.typed()])?.pop() else { return Ok(None) };
    let held: Held = kinds::prompt(row);
    Ok(Some((number(tx, access, Entity::Prompt, (id, held.version))?, held)))
}

/// Does the act of a mutation. One that comes too late changes nothing: the prompt is then told as it is.
pub(super) fn apply(tx: &mut Tx<'_>, access: &Access<Write>, name: &str, mutation: &Mutation) -> Result<Done> {
    let what = parse(access, name, mutation)?;
    let late = match act(tx, access, mutation.thing.typed(), &what) {
        Ok(unchanged) => unchanged.is_some(),
        Err(Error::State(..)) => true,
        Err(error) => return Err(error),
    };
    let item = find(tx, access, mutation.thing)?.ok_or(Error::NotFound)?;
    let kept = Kept { merged: late, item: mutation.thing, version: item.1.version, sibling: None };
    Ok(Done::Stored {
        replayed: false,
        kept,
        item: late.then_some(item),
        sibling: None,
        code: None,
        warnings: Vec::new(),
    })
}

fn parse(access: &Access<Write>, name: &str, mutation: &Mutation) -> Result<PromptAction> {
    let member = |name: &str| mutation.members.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let mut fields = Fields::new();
    let action = match name {
        "open" => Some(PromptAction::Open),
        "skip" => {
            let reason = member("reason").and_then(|text| fields.take("/reason", Text::<200>::parse(text)));
            Some(PromptAction::Skip { reason: reason.map(Text::into_string) })
        }
        "snooze" => {
            let until = member("until").unwrap_or_else(|| "hour".to_owned());
            fields.take("/until", SnoozeOption::parse(&until)).map(PromptAction::Snooze)
        }
        _ => {
            let at = device_time::take(&mut fields, "/occurred_at", member("occurred_at"));
            let at = at.unwrap_or(access.now()).min(access.now());
            Some(PromptAction::Complete { occurred_at: at, answer: None })
        }
    };
    fields.finish(action)
}
