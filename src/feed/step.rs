//! The last step of a unit: what it has noted moves rows in the feeds of those who see a difference.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::backlog;
use super::model::{FeedRow, Portion, Thing, Touch, Touched};
use super::store;
use super::visible::{Visible, visible};
use crate::care::model::LinkState;
use crate::care::store::{Link, find_link, list_active_links};
use crate::care::{Access, Read, grants};
use crate::changes::{Entity, ForReaders, ReaderEvent};
use crate::course;
use crate::db::{LastStep, Note, Tx};
use crate::exercises::{Responses, store as responses};
use crate::items::ItemKind as _;
use crate::journal::Entries;
use crate::journal::comments::store as comments;
use crate::kernel::id::{Account, Any, CareLink, Patient};
use crate::kernel::{Error, Id, Result};
use crate::vault::{MacLabel, Vault};

/// The kinds, each after those whose changes it follows.
const ORDER: [Entity; 6] =
    [Entity::Infusion, Entity::Entry, Entity::Response, Entity::Grant, Entity::Comment, Entity::Assignment];

/// The last step of the units of a server.
#[derive(Debug)]
pub struct Step {
    vault: Vault,
}

impl Step {
    /// Makes the step of the server with this vault.
    pub const fn new(vault: Vault) -> Self {
        Self { vault }
    }

    /// Returns the order of a row among those of one number. It does not tell that of the ids.
    fn order(&self, row: &FeedRow) -> Id<Any> {
        let (kind, id) = row.thing;
        let of = [row.account.uuid(), row.patient.uuid(), id.uuid()].map(|id| *id.as_bytes());
        let mac = self.vault.mac(MacLabel::ReaderTag, &[b"feed", &of[0], &of[1], &of[2], &kind.number().to_be_bytes()]);
        Id::from_mac(&mac)
    }

    /// Stores the moves: under the next number of each feed, in ascending order of the accounts.
    fn store(&self, tx: &mut Tx<'_>, moves: BTreeMap<Id<Account>, Moves>) -> Result<()> {
        for (account, Moves { now, mut new, mut moved, ended }) in moves {
            let seq = store::take(tx, account)?;
            for row in new.iter_mut().chain(&mut moved) {
                row.place = (seq, self.order(row));
            }
            for link in ended {
                store::delete_link(tx, link)?;
            }
            store::insert(tx, &new, now)?;
            store::update(tx, &moved, now)?;
        }
        Ok(())
    }
}

impl LastStep for Step {
    fn run(&self, tx: &mut Tx<'_>, notes: Vec<Note>) -> Result<()> {
        let mut patients: BTreeMap<Id<Patient>, Touched> = BTreeMap::new();
        for note in notes {
            match note.downcast::<ForReaders>() {
                Ok(note) => {
                    patients.entry(note.patient).or_insert_with(|| Touched::new(note.now)).add(note.event);
                }
                Err(other) => {
                    let left =
                        other.downcast::<Portion>().map_err(|_other| Error::internal("a note that nobody reads"))?;
                    patients.entry(left.patient).or_insert_with(|| Touched::new(left.at)).add_left(*left);
                }
            }
        }
        let (mut moves, mut later) = (BTreeMap::new(), Vec::new());
        for (patient, touched) in patients {
            let access = Access::<Read>::for_server(patient, None, touched.now);
            OfPatient { access, links: None, moves: &mut moves, later: &mut later }.follow(tx, touched)?;
        }
        backlog::insert(tx, &self.vault, &later)?;
        self.store(tx, moves)
    }
}

/// What changes in one feed.
struct Moves {
    now: Timestamp,
    new: Vec<FeedRow>,
    moved: Vec<FeedRow>,
    /// The links whose rows go.
    ended: Vec<Id<CareLink>>,
}

/// The step for the things of one patient.
struct OfPatient<'m> {
    access: Access<Read>,
    /// The active links, once they were asked for.
    links: Option<Vec<Link>>,
    moves: &'m mut BTreeMap<Id<Account>, Moves>,
    /// What other units follow.
    later: &'m mut Vec<Portion>,
}

impl OfPatient<'_> {
    fn follow(mut self, tx: &mut Tx<'_>, mut touched: Touched) -> Result<()> {
        for link in std::mem::take(&mut touched.links) {
            self.link(tx, link, &mut touched)?;
        }
        if let Some(from) = touched.moves_from {
            for (kind, of) in [(Entries::ENTITY, Entries::grants()), (Responses::ENTITY, Responses::grants())] {
                for id in grants::store::list_items_since(tx, &self.access, of, from)? {
                    touched.thing((kind, id), Touch::content());
                }
            }
        }
        for kind in ORDER {
            let mut things = touched.things.remove(&kind).unwrap_or_default();
            self.put_off(kind, &mut things);
            if !things.is_empty() {
                let other = self.things(tx, kind, &things)?;
                self.entail(tx, kind, &other, &mut touched)?;
            }
        }
        Ok(())
    }

    /// Leaves the newest of many things, and puts the others off.
    fn put_off(&mut self, kind: Entity, things: &mut BTreeMap<Id<Any>, Touch>) {
        let Some(first) = things.keys().rev().nth(backlog::PORTION - 1).copied() else { return };
        let mut alike: BTreeMap<Touch, Vec<Id<Any>>> = BTreeMap::new();
        let newest = things.split_off(&first);
        for (id, touch) in std::mem::replace(things, newest).into_iter().rev() {
            alike.entry(touch).or_default().push(id);
        }
        let (patient, at) = (self.access.patient(), self.access.now());
        for (touch, ids) in alike {
            let portion = |things: &[Id<Any>]| Portion { patient, at, kind, touch, things: things.to_vec() };
            self.later.extend(ids.chunks(backlog::PORTION).map(portion));
        }
    }

    fn moves(&mut self, account: Id<Account>) -> &mut Moves {
        let now = self.access.now();
        self.moves.entry(account).or_insert_with(|| Moves {
            now,
            new: Vec::new(),
            moved: Vec::new(),
            ended: Vec::new(),
        })
    }

    fn active(&mut self, tx: &mut Tx<'_>) -> Result<Vec<Link>> {
        if self.links.is_none() {
            self.links = Some(list_active_links(tx, &self.access)?);
        }
        Ok(self.links.clone().unwrap_or_default())
    }

    /// Follows a change of a care link. With an active one its therapist sees the infusions, and what was granted over
    /// it before; with its end they hold nothing any more, if they held something.
    fn link(&mut self, tx: &mut Tx<'_>, id: Id<CareLink>, touched: &mut Touched) -> Result<()> {
        let Some(link) = find_link(tx, id)? else { return Ok(()) };
        match link.state {
            LinkState::Accepted => {}
            LinkState::Active => {
                for (id, _) in course::list_infusion_versions(tx, &self.access)? {
                    touched.thing((Entity::Infusion, id.any()), Touch::opened());
                }
                // After a transfer grants are there before the link is active.
                let (named, items) = grants::store::list_named(tx, &self.access, id)?;
                for grant in named {
                    touched.thing((Entity::Grant, grant.any()), Touch::opened());
                }
                touched.add(ReaderEvent::Opened(items));
            }
            LinkState::Ended => {
                if store::has_link(tx, id)? {
                    let row = self.row(&link, (Entity::CareLink, self.access.patient().any()), 0);
                    let known = store::list_of(tx, self.access.patient(), row.thing.0, &[row.thing.1])?;
                    let known = known.iter().any(|known| known.account == link.therapist);
                    let moves = self.moves(link.therapist);
                    moves.ended.push(id);
                    let gone = FeedRow { removed: true, ..row };
                    if known { moves.moved.push(gone) } else { moves.new.push(gone) }
                }
            }
        }
        Ok(())
    }

    fn row(&self, link: &Link, thing: Thing, sections: i32) -> FeedRow {
        FeedRow {
            account: link.therapist,
            patient: self.access.patient(),
            link: link.id,
            thing,
            sections,
            removed: false,
            place: (0, thing.1),
        }
    }

    /// Moves the rows of things of one kind. Returns those that somebody begins or ceases to see.
    fn things(&mut self, tx: &mut Tx<'_>, kind: Entity, things: &BTreeMap<Id<Any>, Touch>) -> Result<Vec<Id<Any>>> {
        let ids: Vec<Id<Any>> = things.keys().copied().collect();
        let rows = store::list_of(tx, self.access.patient(), kind, &ids)?;
        let opened: Vec<Id<Any>> = things.iter().filter(|(_, touch)| touch.opened).map(|(id, _)| *id).collect();
        let links = if opened.is_empty() { Vec::new() } else { self.active(tx)? };
        let ids: Vec<Id<CareLink>> = links.iter().map(|link| link.id).collect();
        let now = visible(tx, &self.access, &ids, kind, &opened)?;
        let seen: BTreeMap<Id<Account>, (Link, Visible)> =
            links.into_iter().zip(now).map(|(link, now)| (link.therapist, (link, now))).collect();
        let mut other = BTreeSet::new();
        let mut known = BTreeSet::new();
        for row in rows {
            let id = row.thing.1;
            known.insert((row.account, id));
            let touch = things.get(&id).copied().unwrap_or_default();
            let there = (!row.removed).then_some(row.sections);
            let now =
                if touch.opened { seen.get(&row.account).and_then(|(_, seen)| seen.get(&id).copied()) } else { there };
            let differs = there != now || now.is_some_and(|sections| touch.shows(sections));
            if there.is_some() != now.is_some() {
                other.insert(id);
            }
            if differs {
                let link = seen.get(&row.account).map_or(row.link, |(link, _)| link.id);
                let sections = now.unwrap_or(row.sections);
                let moved = FeedRow { link, sections, removed: now.is_none(), ..row };
                self.moves(row.account).moved.push(moved);
            }
        }
        for (account, (link, seen)) in seen {
            for (id, sections) in seen {
                if !known.contains(&(account, id)) {
                    other.insert(id);
                    let row = self.row(&link, (kind, id), sections);
                    self.moves(account).new.push(row);
                }
            }
        }
        Ok(other.into_iter().collect())
    }

    /// Adds what follows when somebody begins or ceases to see things: of an entry, the comments; of a response, its id
    /// in the assignment.
    fn entail(&mut self, tx: &mut Tx<'_>, kind: Entity, other: &[Id<Any>], touched: &mut Touched) -> Result<()> {
        for some in other.chunks(200) {
            if kind == Entity::Entry {
                let entries: Vec<_> = some.iter().map(|id| id.typed()).collect();
                for comment in comments::list_keys_on(tx, &self.access, &entries)? {
                    touched.thing((Entity::Comment, comment.id.any()), Touch::opened());
                }
            } else if kind == Entity::Response {
                let of: Vec<_> = some.iter().map(|id| id.typed()).collect();
                for assignment in responses::list_assignments_of(tx, &self.access, &of)? {
                    touched.thing((Entity::Assignment, assignment), Touch::content());
                }
            }
        }
        Ok(())
    }
}
