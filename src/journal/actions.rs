//! The rules of entries: checks of links, and the consequences of a done entry.

use super::comments;
use super::model::{Entries, EntryContent};
use super::store::{EntryTable, has_other};
use crate::care::grants;
use crate::care::{Access, Write};
use crate::changes::FeedsPlan;
use crate::course;
use crate::db::Tx;
use crate::items::Item;
use crate::kernel::id::Entry;
use crate::kernel::{Error, Fields, Id, Result};
use crate::prompts::{self, model::AnswerId};

const NOT_YOUR_PROMPT: &str = "is not a prompt of yours";

impl Item for Entries {
    type Table = EntryTable;

    /// Refuses new links to infusions and prompts that are not the patient's.
    fn check(
        tx: &mut Tx<'_>,
        access: &Access<Write>,
        _: Id<Entry>,
        (old, new): (Option<&EntryContent>, &EntryContent),
    ) -> Result<()> {
        let (header, old) = (&new.header, old.map(|old| &old.header));
        let mut fields = Fields::new();
        if let Some(infusion) = header.infusion_id
            && old.and_then(|old| old.infusion_id) != Some(infusion)
        {
            let known = course::infusion_exists(tx, access, infusion)?;
            fields.check(known, "/infusion_id", "is not an infusion of yours");
        }
        // For a done entry, `on_changed` checks the prompt when it completes it.
        if let Some(prompt) = header.circumstances.prompt_id.filter(|_| header.circumstances.draft)
            && old.and_then(|old| old.circumstances.prompt_id) != Some(prompt)
        {
            fields.check(prompts::store::exists(tx, access, prompt)?, "/prompt_id", NOT_YOUR_PROMPT);
        }
        fields.done()
    }

    /// Completes the prompt of an entry that becomes done or gets the link, and applies the rules of sharing to the
    /// entry.
    fn on_changed(
        tx: &mut Tx<'_>,
        access: &Access<Write>,
        id: Id<Entry>,
        (old, new): (Option<&EntryContent>, &EntryContent),
    ) -> Result<FeedsPlan> {
        let now = &new.header.circumstances;
        if now.draft {
            return Ok(FeedsPlan::IfAwaited);
        }
        let before = old.map(|old| &old.header).filter(|old| !old.circumstances.draft);
        if let Some(prompt) = now.prompt_id
            && before.and_then(|before| before.circumstances.prompt_id) != Some(prompt)
            && !prompts::actions::answered(tx, access, prompt, now.occurred_at, AnswerId::Entry(id))?
        {
            return Err(Error::field("/prompt_id", NOT_YOUR_PROMPT));
        }
        let falls = (new.header.kind, now.prompt_id.is_some());
        let applies = before.map(|before| (before.kind, before.circumstances.prompt_id.is_some())) != Some(falls);
        let opened =
            applies && grants::on_entry(tx, access, (id, now.occurred_at), falls.0.name(), falls.1, before.is_some())?;
        Ok(match (new.is_takeaway() == old.is_some_and(EntryContent::is_takeaway), before) {
            (false, _) => FeedsPlan::Always,
            // The plan asks whether there is an entry, and whether there is one that nobody else may read.
            (true, None) if !opened && !access.awaits_entry() => FeedsPlan::Never,
            (true, None) if opened && has_other(tx, access, id)? => FeedsPlan::IfAwaited,
            (true, None) => FeedsPlan::Perhaps,
            // It may have entered a rule of sharing, or left one.
            (true, Some(_)) if applies && access.may_have_rules() => FeedsPlan::Perhaps,
            (true, Some(_)) => FeedsPlan::IfAwaited,
        })
    }

    /// Brings its comments back: a phone has dropped them with the entry.
    fn on_returned(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Entry>) -> Result<()> {
        comments::actions::bring_back(tx, access, id)
    }

    /// Deletes its comments.
    fn on_purged(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Entry>) -> Result<()> {
        comments::delete_all(tx, access, id)
    }

    fn on_removed(content: &EntryContent) -> FeedsPlan {
        match content.is_takeaway() {
            _ if content.header.circumstances.draft => FeedsPlan::IfAwaited,
            true => FeedsPlan::Always,
            false => FeedsPlan::Perhaps,
        }
    }
}
