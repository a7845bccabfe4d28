//! Where other slices come in: infusions and zones for the context of an entry, prompts for what it answers.
//!
//! Each function here is called from one place. They are the only parts of this slice that know anything of those.

use super::model::{Content, Header};
use super::store;
use crate::care::Access;
use crate::care::access::Write;
use crate::course;
pub use crate::course::{Background, Surroundings, background};
use crate::db::Tx;
use crate::kernel::id::Entry;
use crate::kernel::{Error, Fields, Id, Result};
use crate::prompts;

/// Refuses links to infusions and prompts that are not the patient's. `before` is what the entry said before: what it
/// has linked already is not asked for again.
pub(super) fn check_links(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    header: &Header,
    before: Option<&Header>,
) -> Result<()> {
    let mut fields = Fields::new();
    if let Some(infusion) = header.infusion_id
        && before.and_then(|before| before.infusion_id) != Some(infusion)
    {
        fields.check(store::infusion_exists(tx, access, infusion)?, "/infusion_id", "is not an infusion of yours");
    }
    // For what is done, completing the prompt tells.
    if let Some(prompt) = header.prompt_id.filter(|_| header.draft)
        && before.and_then(|before| before.prompt_id) != Some(prompt)
    {
        fields.check(prompts::store::exists(tx, access, prompt)?, "/prompt_id", NOT_YOURS);
    }
    fields.done()
}

const NOT_YOURS: &str = "is not a prompt of yours";

/// Completes the prompt that a done entry has come to answer, in the unit that writes the entry. Not called for drafts,
/// nor again for edits of an answer.
pub(super) fn answered(tx: &mut Tx<'_>, access: &Access<Write>, entry: Id<Entry>, header: &Header) -> Result<()> {
    let Some(prompt) = header.prompt_id else { return Ok(()) };
    if prompts::actions::answered(tx, access, prompt, header.occurred_at, entry.uuid())? {
        return Ok(());
    }
    Err(Error::field("/prompt_id", NOT_YOURS))
}

/// Plans again, in the unit that changed an entry, when the prompts that wait for an entry, for one that nobody may read
/// or for a takeaway may have to go or to come.
pub(super) fn plan_follows(tx: &mut Tx<'_>, access: &Access<Write>, takeaway: bool) -> Result<()> {
    if takeaway || course::may_hold_otherwise(tx, access)? {
        prompts::actions::replan(tx, access)?;
    }
    Ok(())
}

/// Whether an entry says what the patient wants to bring along to the next session.
pub(super) fn is_takeaway(content: &Content) -> bool {
    !content.header.draft && content.tags.iter().any(|tag| course::is_takeaway(tag.as_str()))
}
