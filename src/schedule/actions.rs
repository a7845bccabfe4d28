//! Reads of a plan.

use std::collections::BTreeSet;

use super::facts;
use super::library::withheld;
use crate::care::Access;
use crate::course;
use crate::db::Tx;
use crate::kernel::{Result, Zone};
use crate::planning::{DropReason, Dropped, Planned, Protocol, Protocols, plan};
use crate::settings::{find_cautions, settings_or_default};

/// The values of the placeholders in a prompt, for its owner.
#[derive(Debug, Default)]
pub struct PlaceholderValues {
    /// The sentence to bring along, if a prompt quotes it.
    pub takeaway: Option<String>,
    /// The exercises that are not offered to the patient.
    pub withheld: BTreeSet<String>,
    /// The zone where the patient lives now, if a prompt was put off.
    pub zone: Option<Zone>,
}

/// Reads the fillings. The takeaway is read only if a prompt `quotes` it, and the zone if one was `put_off`.
///
/// # Errors
///
/// When something cannot be read.
pub fn fillings<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    protocols: &Protocols,
    (quotes, put_off): (bool, bool),
) -> Result<PlaceholderValues> {
    let takeaway = if quotes { facts::takeaway(tx, access, protocols)? } else { None };
    let flags = find_cautions(tx, access)?;
    let zone = if put_off { Some(settings_or_default(tx, access)?.zone_at(access.now())) } else { None };
    Ok(PlaceholderValues { takeaway, withheld: withheld(tx, access, &flags)?, zone })
}

/// Plans for the infusions as if the patient had never written, answered, paused or moved. Others may see only this
/// outline.
///
/// # Errors
///
/// When something cannot be read.
pub fn outline<A>(tx: &mut Tx<'_>, access: &Access<A>, protocol: &Protocol) -> Result<Vec<Planned>> {
    let facts = facts::known_to_the_clinic(tx, access)?;
    Ok(plan(protocol, &facts, access.now()).prompts)
}

/// Lists the prompts that rules call for and that are not planned and never were, each with the reason.
///
/// # Errors
///
/// When something cannot be read.
pub fn not_asked<A>(tx: &mut Tx<'_>, access: &Access<A>, protocols: &Protocols) -> Result<Vec<Dropped>> {
    let stored = facts::stored_prompts(tx, access)?;
    let infusions = course::list_infusions(tx, access)?;
    let facts = facts::facts(tx, access, protocols, &stored, &infusions)?.known;
    let mut dropped = plan(protocols.current(), &facts, access.now()).dropped;
    // That a therapist's caution sets something aside is not told to the patient.
    dropped.retain(|one| one.reason != DropReason::Withheld && !stored.unreadable.contains(&one.id));
    dropped.retain(|one| stored.list.iter().all(|prompt| prompt.id != one.id));
    Ok(dropped)
}
