//! Infusions as planning sees them.

use crate::course::{InfusionFacts, InfusionStatus, Source, Stored};
use crate::kernel::id::Infusion;
use crate::planning::InfusionFact;

/// What planning needs of the infusions in `list`, which is all of them. Those that were cancelled, or to which the
/// patient did not come, do not count.
pub(super) fn infusion_facts(list: &[Stored<Infusion, InfusionFacts>]) -> Vec<InfusionFact> {
    let report = |id| list.iter().filter(|one| one.doc.same_as == Some(id)).map(|one| one.id).min();
    let live = list.iter().filter(|stored| stored.doc.status.is_live());
    live.map(|Stored { id, doc, updated_at, .. }| InfusionFact {
        id: *id,
        route: doc.route,
        supervised: doc.supervised,
        planned_start: doc.planned_start,
        started_at: doc.started_at,
        ended_at: doc.ended_at.filter(|_| doc.status == InfusionStatus::Completed),
        provisional: doc.source == Source::Provisional,
        recorded_at: *updated_at,
        reported_as: report(*id),
    })
    .collect()
}
