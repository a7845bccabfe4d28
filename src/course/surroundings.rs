//! The sources of the context of something written: the infusions, and the zones of the patient.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

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
    near: Option<Near>,
}

/// The infusions on which the contexts of a period depend.
#[derive(Clone, Debug)]
struct Near {
    first: Timestamp,
    last: Timestamp,
    doses: Arc<[Dose]>,
}

impl ContextSource {
    pub(super) fn new(doses: Arc<[Dose]>, zones: Arc<[ZoneSince]>, locale: String) -> Self {
        Self { doses, zones, locale, near: None }
    }

    /// Returns the same for an answer that needs these `doses`. A page asks for many contexts, and to look at hundreds of
    /// infusions for each takes long.
    pub(super) fn near(&self, needed: Needed, doses: Vec<Dose>) -> Self {
        let near = match needed {
            Needed::Contexts(first, last) => Some(Near { first, last, doses: doses.into() }),
            Needed::All | Needed::Window(..) => None,
        };
        Self { near, ..self.clone() }
    }

    /// Derives the context at `occurred_at`.
    pub fn context(&self, occurred_at: Timestamp) -> Context {
        let near = self.near.as_ref().filter(|near| near.first <= occurred_at && occurred_at <= near.last);
        let doses = near.map_or(&self.doses, |near| &near.doses);
        window::context(doses, WindowParams::shipped(), occurred_at)
    }

    /// Returns the patient's zone at `at`, as their settings have it.
    pub fn zone_at(&self, at: Timestamp) -> Zone {
        zone_at(&self.zones, at).cloned().unwrap_or_else(Zone::utc)
    }

    /// Returns the date on which `at` fell where the patient was then.
    pub fn date(&self, at: Timestamp) -> Date {
        self.zone_at(at).date(at)
    }
}

/// The infusions that an answer needs.
#[derive(Clone, Copy, Debug)]
pub enum Needed {
    /// Every one: the instants of the contexts are not known yet.
    All,
    /// Those on which the contexts of the instants from the first to the second depend.
    Contexts(Timestamp, Timestamp),
    /// Those on which the window at an instant depends, by parameters with this horizon.
    Window(Timestamp, SignedDuration),
}

impl Needed {
    /// For the contexts of these instants.
    pub fn contexts(instants: impl IntoIterator<Item = Timestamp>) -> Self {
        let none = (Timestamp::MAX, Timestamp::MIN);
        let (first, last) = instants.into_iter().fold(none, |(first, last), at| (first.min(at), last.max(at)));
        Self::Contexts(first, last)
    }

    /// Lists those among the `doses` of a patient; `None` for every one.
    pub(super) fn among(self, doses: &[Dose]) -> Option<Vec<Dose>> {
        match self {
            Self::All => None,
            Self::Contexts(first, last) => Some(window::doses_for_contexts(doses, (first, last))),
            Self::Window(at, horizon) => Some(window::doses_for_window(doses, horizon, at)),
        }
    }
}
