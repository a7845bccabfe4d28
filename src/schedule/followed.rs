//! The protocol that a patient follows.

use jiff::Timestamp;

use crate::care::Access;
use crate::care::store::list_active_links;
use crate::course::{self, courses};
use crate::db::Tx;
use crate::kernel::{Error, Result};
use crate::planning::{Planned, Protocol, Protocols, Rule};
use crate::settings::{ChosenProtocols, Settings, settings};

/// The protocols that are known, and the one that a patient follows.
#[derive(Clone, Copy, Debug)]
pub struct Following<'p> {
    /// Those that are known.
    pub known: &'p Protocols,
    /// The one that is followed.
    pub protocol: &'p Protocol,
    /// The instant at which a version that a clinic of the patient has published next comes into force.
    pub changes_at: Option<Timestamp>,
}

impl<'p> Following<'p> {
    /// Finds the protocol that a patient follows: the one that a therapist has chosen for the course that is under way,
    /// or for the patient, or the one that a clinic has chosen for its patients; of several clinics, the one that has
    /// treated the patient longest. Without any of them, or where it is not in force, it is the program's. Where no
    /// clinic has published a protocol, nothing is read.
    ///
    /// # Errors
    ///
    /// When something cannot be read. Settings that do not open choose nothing.
    pub fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, known: &'p Protocols) -> Result<Self> {
        let own = Self { known, protocol: known.current(), changes_at: None };
        if !known.has_others() {
            return Ok(own);
        }
        let mut clinics: Vec<_> =
            list_active_links(tx, access)?.iter().map(|link| (link.active_at, link.clinic)).collect();
        clinics.sort_unstable();
        let ids: Vec<_> = clinics.iter().map(|(_, clinic)| *clinic).collect();
        let own = Self { changes_at: known.next_in_force(&ids, access.now()), ..own };
        // A clinic whose link has ended has no say any more.
        let in_force = |key: &str| {
            let found = known.in_force(key, access.now())?;
            ids.contains(&found.clinic).then(|| found.protocol.as_ref())
        };
        let settings = Error::skip_damaged(settings(tx, access))?.map(|(settings, _)| settings);
        let chosen = settings.as_ref().map(|settings| settings.protocols.clone()).unwrap_or_default();
        if let Some((settings, (id, _))) = settings.as_ref().zip(chosen.course)
            && is_of_this_course(tx, access, settings, &chosen)?
            && let Some(protocol) = in_force(&id.uuid().to_string())
        {
            return Ok(Self { protocol, ..own });
        }
        if let Some(protocol) = chosen.patient.and_then(|id| in_force(&id.uuid().to_string())) {
            return Ok(Self { protocol, ..own });
        }
        let of_clinic = ids.iter().find_map(|clinic| in_force(known.default_of(*clinic)?));
        Ok(Self { protocol: of_clinic.unwrap_or(own.protocol), ..own })
    }

    /// Finds the rule that made `planned`, as it was then.
    pub fn rule_of<'a>(&'a self, planned: &'a Planned) -> Option<&'a Rule> {
        self.known.rule_of(planned)
    }
}

/// Whether the choice for a course is one for the course that is under way, or comes next.
fn is_of_this_course<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    settings: &Settings,
    chosen: &ChosenProtocols,
) -> Result<bool> {
    let Some((_, first)) = chosen.course else { return Ok(false) };
    let infusions = course::list_infusions(tx, access)?.list;
    let list = courses(infusions.iter().map(|stored| (stored.id, &stored.doc)), |at| settings.zone_at(at).date(at));
    Ok(list.last().is_some_and(|course| course.infusions.contains(&first)))
}
