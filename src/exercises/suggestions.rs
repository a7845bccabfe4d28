//! The situation of a patient who asks for suggestions, for the rules in [`super::fit`]: its sources are read in the
//! unit and opened after it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::assignments::{self, AssignmentRow};
use super::catalogue::Availability;
use super::fit::{Situation, offer};
use super::model::{Header, Responses};
use super::store::ResponseTable;
use crate::care::Access;
use crate::changes::Entity;
use crate::course::{self, InfusionRow};
use crate::db::Tx;
use crate::items::{ItemTable as _, Part, open_header};
use crate::kernel::id::{Any, Patient};
use crate::kernel::{Error, Id, Result};
use crate::planning::Protocols;
use crate::planning::window::{self, WindowParams};
use crate::prompts::{self, store::PromptRow};
use crate::settings::{self, SealedCautions, SettingsRow};
use crate::vault::Keys;

/// The age up to which a due prompt may still wait for an answer.
const WAITING: SignedDuration = SignedDuration::from_hours(24 * 5);
/// The most responses that are read. An exercise that is not among them was done long ago.
const RESPONSES: i64 = 400;

/// The sealed sources of a situation.
#[derive(Debug)]
pub struct Sources {
    settings: Option<SettingsRow>,
    cautions: SealedCautions,
    infusions: Vec<InfusionRow>,
    responses: Vec<(Id<Any>, Part)>,
    assignments: Vec<AssignmentRow>,
    prompts: Vec<PromptRow>,
}

/// Reads the sources of the situation at `access.now()`.
///
/// # Errors
///
/// When something cannot be read.
pub fn read<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Sources> {
    let from = access.now().saturating_sub(WAITING).unwrap_or(access.now());
    Ok(Sources {
        settings: settings::find_settings(tx, access)?,
        cautions: settings::find_sealed_cautions(tx, access)?,
        infusions: course::list_infusion_rows(tx, access)?,
        responses: ResponseTable::list_headers(tx, access, Entity::Response, None, RESPONSES)?,
        assignments: assignments::list_live(tx, access)?,
        prompts: prompts::store::list(tx, access, (from, access.now()), None, i64::MAX)?,
    })
}

impl Sources {
    /// Opens the sources, and returns the situation at `now` with the patient's language. What does not open is left
    /// out, except that cautions that do not open withhold all that any caution withholds.
    ///
    /// # Errors
    ///
    /// When the library lacks an exercise.
    pub fn open(
        self,
        (keys, patient): (&Keys, Id<Patient>),
        protocols: &Protocols,
        minutes: Option<u32>,
        now: Timestamp,
    ) -> Result<(Situation, String)> {
        let settings = settings::open_or_default(self.settings.as_ref(), keys, patient)?;
        let today = settings.zone_at(now).date(now);
        let doses = course::open_doses(&self.infusions, keys, patient)?;
        let mut done = BTreeMap::new();
        for (id, part) in &self.responses {
            let header = open_header::<Responses>(keys, patient, *id, part);
            let Some(header) = Error::skip_damaged(header)? else { continue };
            let on = header.circumstances.local_date(|at| settings.zone_at(at));
            // A date in the future comes from a fast clock and is ignored, or from a phone in another zone.
            if on <= today || header.circumstances.occurred_at <= now {
                let on = on.min(today);
                let last = done.entry(header.exercise_key).or_insert(on);
                *last = on.max(*last);
            }
        }
        let mut open = assignments::actions::open_live(&self.assignments, keys, patient)?;
        // Of two assignments of an exercise, the one that is due sooner is inserted last and stays.
        open.sort_by_key(|(_, doc)| std::cmp::Reverse((doc.due_on.is_none(), doc.due_on)));
        let assigned = open.into_iter().map(|(id, doc)| (doc.exercise_key, (id.uuid(), doc.due_on))).collect();
        let mut prompted = BTreeMap::new();
        for row in self.prompts {
            let Some(prompt) = Error::skip_damaged(row.open(keys, patient))? else { continue };
            if matches!(prompt.state(now), "due" | "delivered" | "opened") {
                let exercises = protocols.rule_of(&prompt.doc.planned).into_iter().flat_map(|rule| &rule.exercises);
                prompted.extend(exercises.map(|key| (key.clone(), prompt.id.uuid())));
            }
        }
        let phase = window::context(&doses, WindowParams::shipped(), now).phase;
        let flags = self.cautions.open(keys, patient)?;
        Ok((Situation { phase, today, minutes, flags, done, prompted, assigned }, settings.locale))
    }
}

/// Returns the offer of the exercise of a response at the time of the response.
///
/// # Errors
///
/// When something cannot be read.
pub fn offer_of<A>(tx: &mut Tx<'_>, access: &Access<A>, header: &Header) -> Result<Availability> {
    let flags = settings::find_cautions(tx, access)?;
    let doses = course::doses(tx, access)?;
    let phase = window::context(&doses, WindowParams::shipped(), header.circumstances.occurred_at).phase;
    let open = assignments::actions::list_open(tx, access)?;
    let assigned = open.iter().any(|(_, open)| open.exercise_key == header.exercise_key);
    Ok(offer(header.exercise()?, &flags, assigned, phase))
}
