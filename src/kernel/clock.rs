//! The injected clock. Nothing else in the crate reads the time of day.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// The source of the time: the machine's clock, or one that is moved by hand.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until it is moved. Microseconds since 1970.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Makes a clock that stands at `at`.
    pub fn manual(at: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(at.as_microsecond())))
    }

    /// Returns the present instant in whole seconds, the precision of everything that is stored and sent.
    pub fn now(&self) -> Timestamp {
        match self {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
            Self::System => seconds(Timestamp::now()),
            Self::Manual(hand) => {
                seconds(Timestamp::from_microsecond(hand.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH))
            }
        }
    }

    /// Sets a manual clock to `at`; a system clock is not moved.
    pub fn set(&self, at: Timestamp) {
        if let Self::Manual(hand) = self {
            hand.store(at.as_microsecond(), Ordering::SeqCst);
        }
    }
}

/// Cuts `at` to whole seconds.
pub fn seconds(at: Timestamp) -> Timestamp {
    let before = i64::from(at.subsec_nanosecond() < 0);
    Timestamp::from_second(at.as_second() - before).unwrap_or(at)
}
