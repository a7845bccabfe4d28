//! Reads of a plan.

use std::collections::{BTreeMap, BTreeSet};

use super::facts;
use super::followed::Following;
use super::library::withheld;
use super::rendering::PlaceholderValues;
use crate::care::Access;
use crate::course;
use crate::db::Tx;
use crate::exercises;
use crate::kernel::Result;
use crate::planning::{DropReason, Dropped, Planned, Protocols, Quote, plan, quotes};
use crate::prompts::model::StoredPrompt;
use crate::settings::{find_cautions, settings_or_default};

/// Reads the values of the placeholders in the texts of `list`, and the language of the patient. Their words are opened
/// only if a text quotes them. A translation quotes what the rule quotes.
///
/// # Errors
///
/// When something cannot be read.
pub fn placeholder_values<'p, A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    protocols: &Protocols,
    list: impl IntoIterator<Item = &'p StoredPrompt>,
) -> Result<PlaceholderValues> {
    let (mut wanted, mut put_off) = (BTreeSet::new(), false);
    let settings = settings_or_default(tx, access)?;
    let (locale, mut returned) = (settings.locale.as_str(), BTreeMap::new());
    for prompt in list {
        let planned = &prompt.doc.planned;
        if let Some(response) = planned.returns {
            let words = exercises::quote_of(tx, access, response, locale)?;
            returned.extend(words.map(|words| (response, words)));
        }
        wanted.extend(protocols.rule_of(planned).into_iter().flat_map(|rule| quotes(rule.text_of(planned.wording))));
        put_off |= prompt.is_put_off();
    }
    let mut found = BTreeMap::new();
    for quote in wanted {
        let words = match &quote {
            Quote::Takeaway => facts::takeaway(tx, access, protocols)?,
            Quote::Answer(exercise) => exercises::newest_quote(tx, access, exercise, locale)?,
            Quote::Returned => None,
        };
        found.extend(words.map(|words| (quote, words)));
    }
    let flags = find_cautions(tx, access)?;
    let zone = put_off.then(|| settings.zone_at(access.now()));
    let withheld = withheld(tx, access, &flags)?;
    Ok(PlaceholderValues { quotes: found, returned, withheld, zone, language: settings.locale })
}

/// Plans for the infusions as if the patient had never written, answered, paused or moved. Others may see only this
/// outline.
///
/// # Errors
///
/// When something cannot be read.
pub fn outline<A>(tx: &mut Tx<'_>, access: &Access<A>, protocols: &Protocols) -> Result<Vec<Planned>> {
    let facts = facts::known_to_the_clinic(tx, access)?;
    let by = Following::find(tx, access, protocols)?;
    Ok(plan(by.protocol, &facts, access.now()).prompts)
}

/// Lists the prompts that rules call for and that are not planned and never were, each with the reason.
///
/// # Errors
///
/// When something cannot be read.
pub fn not_asked<A>(tx: &mut Tx<'_>, access: &Access<A>, protocols: &Protocols) -> Result<Vec<Dropped>> {
    let by = Following::find(tx, access, protocols)?;
    let mut stored = facts::stored_prompts(tx, access)?;
    let dated = facts::dated_responses(tx, access, by.protocol, &mut stored)?;
    let infusions = course::list_infusions(tx, access)?;
    let facts = facts::facts(tx, access, by, (&stored, dated), &infusions)?.known;
    let mut dropped = plan(by.protocol, &facts, access.now()).dropped;
    // That a therapist's caution sets something aside is not told to the patient.
    dropped.retain(|one| one.reason != DropReason::Withheld && !stored.unreadable.contains(&one.id));
    dropped.retain(|one| stored.list.iter().all(|prompt| prompt.id != one.id));
    Ok(dropped)
}
