//! The sources of the context of something written: the infusions, and the zones of the patient.

use jiff::Timestamp;

use crate::kernel::Zone;
use crate::planning::window::{self, Context, Dose, WindowParams};
use crate::planning::{ZoneSince, zone_at};

/// The infusions of a patient and the zones they lived in.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub(super) doses: Vec<Dose>,
    pub(super) zones: Vec<ZoneSince>,
    /// The language of the patient, as a BCP 47 tag.
    pub locale: String,
}

impl Surroundings {
    /// The context of what happened at `occurred_at`.
    pub fn context(&self, occurred_at: Timestamp) -> Context {
        window::context(&self.doses, WindowParams::shipped(), occurred_at)
    }

    /// The zone the patient was in at `at`, as far as their settings say.
    pub fn zone_at(&self, at: Timestamp) -> Zone {
        zone_at(&self.zones, at).cloned().unwrap_or_else(Zone::utc)
    }
}
