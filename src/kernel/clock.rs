//! The injected clock. Nothing else in the crate reads the time of day.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Tells the time: from the machine, or from a hand that a test moves.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until it is moved. Microseconds since 1970.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at`.
    pub fn manual(at: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(at.as_microsecond())))
    }

    /// The instant now, in whole microseconds (the precision both databases keep).
    pub fn now(&self) -> Timestamp {
        match self {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
            Self::System => micros(Timestamp::now()),
            Self::Manual(hand) => {
                Timestamp::from_microsecond(hand.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
            }
        }
    }

    /// Puts a manual clock to `at`; a system clock is not moved.
    pub fn set(&self, at: Timestamp) {
        if let Self::Manual(hand) = self {
            hand.store(at.as_microsecond(), Ordering::SeqCst);
        }
    }
}

/// `at` without what lies below a microsecond.
pub fn micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
