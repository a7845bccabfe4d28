//! Signals: hints that something has changed, given after the commit, to this process and to others on its database.
//!
//! A signal reaches the [`Listener`] of its process at once. Between processes on PostgreSQL they are exchanged apart
//! ([`Db::share_signals`](super::Db::share_signals)).
//!
//! A signal may be lost: with a process, a connection, or a full queue. Its listener therefore looks at the rows now and
//! then as well.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use uuid::Uuid;

/// The most bytes of a message; PostgreSQL takes fewer than 8,000.
const MESSAGE: usize = 7000;
/// The most signals that wait to be sent. While the server is away the others are lost.
const WAITING: usize = 50_000;

/// The kind of thing that a signal names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// A patient whose number of changes has grown.
    Patient,
    /// An account whose feed has grown.
    Account,
    /// A session that has ended.
    Session,
    /// A session that has opened a stream.
    Stream,
}

impl Topic {
    const ALL: [(Self, char); 4] =
        [(Self::Patient, 'p'), (Self::Account, 'a'), (Self::Session, 's'), (Self::Stream, 'o')];

    fn letter(self) -> char {
        Self::ALL.into_iter().find(|(topic, _)| *topic == self).map_or('?', |(_, letter)| letter)
    }
}

/// A hint that something has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signal {
    /// The kind of thing.
    pub topic: Topic,
    /// Its id.
    pub id: Uuid,
}

/// The length of a signal in a message.
const LENGTH: usize = 33;

impl Signal {
    fn write(self, out: &mut String) {
        out.push(self.topic.letter());
        out.push_str(self.id.simple().encode_lower(&mut Uuid::encode_buffer()));
    }

    fn parse(text: &str) -> Option<Self> {
        let mut letters = text.chars();
        let first = letters.next()?;
        let (topic, _) = Topic::ALL.into_iter().find(|(_, letter)| *letter == first)?;
        Some(Self { topic, id: Uuid::try_parse(letters.as_str()).ok()? })
    }
}

/// Writes signals as messages of bounded length.
pub(super) fn messages(signals: &BTreeSet<Signal>) -> Vec<String> {
    let mut all = vec![String::new()];
    for signal in signals {
        if all.last().is_some_and(|text| text.len() + LENGTH > MESSAGE) {
            all.push(String::new());
        }
        if let Some(text) = all.last_mut() {
            signal.write(text);
        }
    }
    all.retain(|text| !text.is_empty());
    all
}

/// Reads the signals of a message. What is none is passed over.
pub(super) fn read(message: &str) -> impl Iterator<Item = Signal> {
    message.as_bytes().chunks(LENGTH).filter_map(|part| Signal::parse(std::str::from_utf8(part).ok()?))
}

/// Hears signals, on the threads of the database: it must not wait for anything.
pub trait Listener: Send + Sync {
    /// Something has changed.
    fn heard(&self, signal: Signal);
    /// Signals were lost: anything may have changed.
    fn missed(&self);
}

/// The signals of a process.
#[derive(Default)]
pub struct Signals {
    listener: OnceLock<Weak<dyn Listener>>,
    others: Mutex<Others>,
    more: Condvar,
}

/// What waits to be sent to other processes.
#[derive(Default)]
struct Others {
    shared: bool,
    closed: bool,
    waiting: BTreeSet<Signal>,
}

impl Signals {
    /// Sets what hears the signals. There is one.
    pub fn set_listener(&self, listener: Weak<dyn Listener>) {
        drop(self.listener.set(listener));
    }

    pub(super) fn listener(&self) -> Option<Arc<dyn Listener>> {
        self.listener.get().and_then(Weak::upgrade)
    }

    /// Tells this process and the others.
    pub(super) fn tell(&self, signal: Signal) {
        if let Some(listener) = self.listener() {
            listener.heard(signal);
        }
        self.tell_others(signal);
    }

    /// Tells the other processes, outside of units.
    pub fn tell_others(&self, signal: Signal) {
        let mut others = self.others();
        if !others.shared {
            return;
        }
        if others.waiting.len() < WAITING {
            others.waiting.insert(signal);
        } else {
            metrics::counter!("signals_lost_total").increment(1);
        }
    }

    fn others(&self) -> MutexGuard<'_, Others> {
        // The lock is only held to add to a set or to take it.
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a while, then takes what is to be sent; `None` when the database is closed and nothing is left.
    pub(super) fn take(&self, pause: Duration) -> Option<BTreeSet<Signal>> {
        let others = self.others();
        let (mut others, _) = self
            .more
            .wait_timeout_while(others, pause, |others| !others.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let waiting = std::mem::take(&mut others.waiting);
        (!others.closed || !waiting.is_empty()).then_some(waiting)
    }

    /// Keeps what is signalled from now on for the other processes.
    pub(super) fn share(&self) {
        self.others().shared = true;
    }

    pub(super) fn close(&self) {
        self.others().closed = true;
        self.more.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_short_enough_and_say_everything() {
        let topics = Topic::ALL.iter().cycle().map(|(topic, _)| *topic);
        let all: BTreeSet<Signal> =
            (0..1000).zip(topics).map(|(n, topic)| Signal { topic, id: Uuid::from_u128(n) }).collect();
        let messages = messages(&all);
        assert!(messages.len() == 5 && messages.iter().all(|text| text.len() <= MESSAGE), "{}", messages.len());
        assert_eq!(messages.iter().flat_map(|text| read(text)).collect::<BTreeSet<_>>(), all);
        assert_eq!(read("nothing like it").count() + read("").count(), 0);
    }
}
