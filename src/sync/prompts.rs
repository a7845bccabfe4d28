//! The acts on prompts that phones push.

use super::model::Kind;
use super::mutation::{Act, Mutation};
use super::outcome::{Done, Written, find};
use crate::care::{Access, Write};
use crate::db::Tx;
use crate::kernel::{Error, Fields, Result, Text, device_time};
use crate::prompts::actions::{PromptAction, SnoozeOption, act};

/// How phones act on prompts. A prompt has no history: an act that is sent again is answered with the prompt as it is.
pub(super) const WRITTEN: Written = Written {
    conflicts: &[],
    takes: |act| matches!(act, Act::Prompt(_)),
    apply: |tx, access, _, mutation| apply(tx, access, mutation),
    at: |tx, access, id, _| find(tx, access, Kind::Prompt, id),
};

/// Does the act of a mutation. One that comes too late changes nothing: the prompt is then told as it is.
fn apply(tx: &mut Tx<'_>, access: &Access<Write>, mutation: &Mutation) -> Result<Done> {
    let Act::Prompt(name) = mutation.act else { return Err(Error::internal("an act that is not one on a prompt")) };
    let what = parse(access, name, mutation)?;
    let late = match act(tx, access, mutation.thing.typed(), &what) {
        Ok(unchanged) => unchanged.is_some(),
        Err(Error::State(..)) => true,
        Err(error) => return Err(error),
    };
    let item = find(tx, access, Kind::Prompt, mutation.thing)?.ok_or(Error::NotFound)?;
    Ok(Done::stored((mutation.thing, item.1.version), late.then_some(item)))
}

fn parse(access: &Access<Write>, name: &str, mutation: &Mutation) -> Result<PromptAction> {
    let member = |name: &str| mutation.members.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let mut fields = Fields::new();
    let action = match name {
        "open" => Some(PromptAction::Open),
        "skip" => {
            let reason = member("reason").and_then(|text| fields.take("/reason", Text::<200>::optional(&text)));
            Some(PromptAction::Skip { reason: reason.flatten().map(Text::into_string) })
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
