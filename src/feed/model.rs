//! The rows of feeds, and what a unit has touched of a patient's things.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::changes::{Change, Entity, Op, Part, ReaderEvent, ReaderView};
use crate::kernel::Id;
use crate::kernel::id::{Account, Any, CareLink, Patient};

/// A thing: its kind and its id. An entry and a response may share an id.
pub type Thing = (Entity, Id<Any>);

/// A place in a feed: a number, and the order of the rows of one number.
pub type Place = (i64, Id<Any>);

/// A row of a feed.
#[derive(Clone, Copy, Debug)]
pub struct FeedRow {
    /// The account.
    pub account: Id<Account>,
    /// The patient.
    pub patient: Id<Patient>,
    /// The care link over which the account sees the thing.
    pub link: Id<CareLink>,
    /// The thing. A care link stands for the patient as a whole.
    pub thing: Thing,
    /// The bits of the sections that are open.
    pub sections: i32,
    /// Whether the account no longer sees it.
    pub removed: bool,
    /// Its place.
    pub place: Place,
}

/// What has changed of a thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touch {
    /// Whether another thing may be open, to others.
    pub opened: bool,
    /// Whether all of it may have changed.
    pub all: bool,
    /// The bits of the sections that have changed.
    pub sections: i32,
}

impl Touch {
    /// Makes the touch of what may be open to others, with the same content.
    pub const fn opened() -> Self {
        Self { opened: true, all: false, sections: 0 }
    }

    /// Makes the touch of what has another content, open to the same.
    pub const fn content() -> Self {
        Self { opened: false, all: true, sections: 0 }
    }

    /// Whether somebody sees a difference to whom these sections are open.
    pub const fn shows(self, sections: i32) -> bool {
        self.all || self.sections & sections != 0
    }

    fn or(self, other: Self) -> Self {
        Self {
            opened: self.opened || other.opened,
            all: self.all || other.all,
            sections: self.sections | other.sections,
        }
    }
}

/// Things of one kind that a unit has touched alike, and left to a later one.
#[derive(Clone, Debug)]
pub struct Portion {
    /// The patient.
    pub patient: Id<Patient>,
    /// The start of the unit that touched them.
    pub at: Timestamp,
    /// The kind.
    pub kind: Entity,
    /// What has changed of each.
    pub touch: Touch,
    /// The things.
    pub things: Vec<Id<Any>>,
}

/// What a unit has touched of a patient's things.
#[derive(Clone, Debug)]
pub struct Touched {
    /// The start of the unit.
    pub now: Timestamp,
    /// The things.
    pub things: BTreeMap<Entity, BTreeMap<Id<Any>, Touch>>,
    /// The instant from which on dates or phases may be others.
    pub moves_from: Option<Timestamp>,
    /// The care links.
    pub links: BTreeSet<Id<CareLink>>,
}

impl Touched {
    /// Makes one of nothing.
    pub fn new(now: Timestamp) -> Self {
        Self { now, things: BTreeMap::new(), moves_from: None, links: BTreeSet::new() }
    }

    /// Adds a thing.
    pub fn thing(&mut self, (kind, id): Thing, touch: Touch) {
        let known = self.things.entry(kind).or_default().entry(id).or_default();
        *known = known.or(touch);
    }

    /// Adds an event.
    pub fn add(&mut self, event: ReaderEvent) {
        match event {
            ReaderEvent::Changed(change) => self.change(&change),
            ReaderEvent::Opened(items) => {
                for id in items {
                    for kind in Entity::GRANTED {
                        self.thing((kind, id), Touch::opened());
                    }
                }
            }
        }
    }

    /// Adds what an earlier unit has left.
    pub fn add_left(&mut self, left: Portion) {
        for id in left.things {
            self.thing((left.kind, id), left.touch);
        }
    }

    fn change(&mut self, change: &Change) {
        self.moves_from = self.moves_from.into_iter().chain(change.moves_from).min();
        let id: Id<Any> = Id::from_uuid(change.id);
        let part = match change.part {
            Part::All => Touch::content(),
            Part::Sections(sections) => Touch { sections, ..Touch::default() },
        };
        match change.entity.reader_view() {
            ReaderView::Never => {}
            ReaderView::Link => drop(self.links.insert(id.typed())),
            ReaderView::Granted => {
                let opened = matches!(change.op, Op::Delete | Op::Undelete);
                if opened || part.shows(i32::MAX) {
                    self.thing((change.entity, id), Touch { opened, ..part });
                }
            }
            ReaderView::OfLink | ReaderView::Whole => self.thing((change.entity, id), Touch { opened: true, ..part }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_that_grants_open_are_those_that_say_so() {
        let numbers = (1..=20).map(Entity::of).filter(|kind| kind.reader_view() == ReaderView::Granted);
        assert_eq!(numbers.collect::<Vec<_>>(), Entity::GRANTED);
    }

    #[test]
    fn a_change_of_no_section_of_readers_touches_nothing() {
        let mut touched = Touched::new(Timestamp::UNIX_EPOCH);
        let id = Id::<Any>::from_uuid(uuid::Uuid::nil());
        touched.add(ReaderEvent::Changed(Change::new(Entity::Entry, id, 2, Op::Update).of_sections(0)));
        assert!(touched.things.is_empty());
        touched.add(ReaderEvent::Changed(Change::new(Entity::Entry, id, 3, Op::Update).of_sections(2)));
        touched.add(ReaderEvent::Opened(vec![id]));
        let touch = touched.things[&Entity::Entry][&id];
        assert!(touch.opened && touch.shows(2) && !touch.shows(1));
        assert!(!touched.things[&Entity::Response][&id].shows(i32::MAX));
    }
}
