//! The floor of the epoch, above which versions and numbers are given.

use std::sync::atomic::{AtomicI64, Ordering};

/// The floor that a process knows: 0 in the first epoch.
#[derive(Default)]
pub(super) struct Versions(AtomicI64);

impl Versions {
    pub(super) fn floor(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn raise(&self, floor: i64) {
        self.0.fetch_max(floor, Ordering::AcqRel);
    }
}
