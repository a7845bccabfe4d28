//! The situation of a patient who asks for suggestions: read in the unit, for the rules in [`super::fit`].

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::assignments::actions as assignments;
use super::catalogue::Offer;
use super::fit::{Situation, offer};
use super::model::Header;
use super::store;
use crate::care::Access;
use crate::course;
use crate::db::Tx;
use crate::kernel::Result;
use crate::planning::Protocols;
use crate::planning::window::{self, WindowParams};
use crate::prompts;
use crate::settings;

/// The age up to which a due prompt may still wait for an answer.
const WAITING: SignedDuration = SignedDuration::from_hours(24 * 5);
/// The most responses that are read. An exercise that is not among them was done long ago.
const RESPONSES: i64 = 400;
/// The most prompts that are read. A plan has fewer in five days.
const PROMPTS: i64 = 200;

/// Returns the situation at `access.now()`, and the patient's language.
///
/// # Errors
///
/// When something cannot be read.
pub fn situation<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    protocols: &Protocols,
    minutes: Option<u32>,
) -> Result<(Situation, String)> {
    let now = access.now();
    let (settings, _) = settings::settings(tx, access)?;
    let zone = settings.zone_at(now);
    let today = zone.date(now);
    let doses = course::doses(tx, access)?;
    let mut done = BTreeMap::new();
    for (_, header) in store::list_headers(tx, access, RESPONSES)? {
        let on = header.circumstances.local_date(|at| settings.zone_at(at));
        // A date in the future comes from a fast clock and is ignored.
        if on <= today {
            let last = done.entry(header.exercise_key).or_insert(on);
            *last = on.max(*last);
        }
    }
    let mut open = assignments::list_open(tx, access)?;
    // Of two assignments of an exercise, the one that is due sooner is inserted last and stays.
    open.sort_by_key(|(_, doc)| std::cmp::Reverse((doc.due_on.is_none(), doc.due_on)));
    let assigned = open.into_iter().map(|(id, doc)| (doc.exercise_key, (id.uuid(), doc.due_on))).collect();
    let situation = Situation {
        phase: window::context(&doses, WindowParams::shipped(), now).phase,
        today,
        minutes,
        flags: settings::find_cautions(tx, access)?,
        done,
        prompted: prompted(tx, access, protocols)?,
        assigned,
    };
    Ok((situation, settings.locale))
}

/// Lists the exercises of prompts that wait for an answer, each with its prompt.
fn prompted<A>(tx: &mut Tx<'_>, access: &Access<A>, protocols: &Protocols) -> Result<BTreeMap<String, uuid::Uuid>> {
    let now = access.now();
    let from = now.saturating_sub(WAITING).unwrap_or(now);
    let mut found = BTreeMap::new();
    for prompt in prompts::store::list(tx, access, (from, now), None, PROMPTS)? {
        if !matches!(prompt.state(now), "due" | "delivered" | "opened") {
            continue;
        }
        for key in protocols.rule_of(&prompt.doc.planned).into_iter().flat_map(|rule| &rule.exercises) {
            found.insert(key.clone(), prompt.id.uuid());
        }
    }
    Ok(found)
}

/// Returns the offer of the exercise of a response at the time of the response.
///
/// # Errors
///
/// When something cannot be read.
pub fn offer_of<A>(tx: &mut Tx<'_>, access: &Access<A>, header: &Header) -> Result<Offer> {
    let flags = settings::find_cautions(tx, access)?;
    let doses = course::doses(tx, access)?;
    let phase = window::context(&doses, WindowParams::shipped(), header.circumstances.occurred_at).phase;
    let open = assignments::list_open(tx, access)?;
    let assigned = open.iter().any(|(_, open)| open.exercise_key == header.exercise_key);
    Ok(offer(header.exercise()?, &flags, assigned, phase))
}
