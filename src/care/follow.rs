//! Links and grants are among the facts that a plan depends on: it follows in the same unit.

use super::access::{Access, Write};
use super::store::mark_plan_stale;
use crate::db::Tx;
use crate::kernel::Result;
use crate::planning::Protocols;
use crate::schedule;

/// Plans again, in the unit that changed a link or a grant. Where a unit changes the links of many patients (somebody
/// leaves a clinic) it has no keys to plan with: the workers do it at once.
pub(super) fn plan_follows(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<()> {
    if access.keys().is_err() {
        return mark_plan_stale(tx, access);
    }
    schedule::replan(tx, access, &Protocols::shipped()).map(|_| ())
}
