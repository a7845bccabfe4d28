//! The sources of the context of something written: the infusions, and the zones of the patient.

use std::sync::Arc;

use jiff::Timestamp;

use crate::kernel::Zone;
use crate::planning::window::{self, Context, Dose, WindowParams};
use crate::planning::{ZoneSince, zone_at};

/// The infusions of a patient and the zones they lived in.
#[derive(Clone, Debug)]
pub struct ContextSource {
    pub(super) doses: Arc<[Dose]>,
    pub(super) zones: Arc<[ZoneSince]>,
    /// The language of the patient, as a BCP 47 tag.
    pub locale: String,
}

impl ContextSource {
    /// Derives the context at `occurred_at`.
    pub fn context(&self, occurred_at: Timestamp) -> Context {
        window::context(&self.doses, WindowParams::shipped(), occurred_at)
    }

    /// Returns the patient's zone at `at`, as their settings have it.
    pub fn zone_at(&self, at: Timestamp) -> Zone {
        zone_at(&self.zones, at).cloned().unwrap_or_else(Zone::utc)
    }
}
