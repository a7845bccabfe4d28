//! The content of a change row.

use jiff::Timestamp;
use uuid::Uuid;

use crate::kernel::id::{Account, Any, Clinic, Cover, Invitation, Passkey, Patient, Session};
use crate::kernel::{Error, Id, Result, limits};

/// The kind of thing that changed. The numbers are stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entity {
    /// A journal entry.
    Entry,
    /// An infusion.
    Infusion,
    /// A prompt.
    Prompt,
    /// A grant.
    Grant,
    /// A comment on an entry.
    Comment,
    /// The patient's settings.
    Settings,
    /// A pause.
    Pause,
    /// A care link.
    CareLink,
    /// An exercise response.
    Response,
    /// An assignment.
    Assignment,
    /// A receipt: what the patient may know of a reader and an item.
    Receipt,
    /// A phone or browser of the patient.
    Device,
    /// The calendar feed of the patient.
    Calendar,
    /// What the patient agreed to.
    Consent,
    /// A kind that is declared outside this crate. It never feeds the plan.
    Extension(i32),
}

/// Whether a change of a thing calls for a new plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum FeedsPlan {
    /// The plan does not depend on it.
    #[default]
    Never,
    /// It is activity of the patient: the plan is made again if it waits for that.
    IfAwaited,
    /// The planner checks at little cost whether the facts of the plan have changed.
    Perhaps,
    /// The plan is made again.
    Always,
}

impl Entity {
    /// Returns the stored number.
    pub const fn number(self) -> i32 {
        match self {
            Self::Entry => 1,
            Self::Infusion => 2,
            Self::Prompt => 3,
            Self::Grant => 4,
            Self::Comment => 5,
            Self::Settings => 6,
            Self::Pause => 7,
            Self::CareLink => 8,
            Self::Response => 9,
            Self::Assignment => 10,
            Self::Receipt => 11,
            Self::Device => 12,
            Self::Calendar => 13,
            Self::Consent => 18,
            Self::Extension(number) => number,
        }
    }

    /// Returns the kind of a stored number; one that this crate does not know is an extension.
    pub const fn of(number: i32) -> Self {
        match number {
            1 => Self::Entry,
            2 => Self::Infusion,
            3 => Self::Prompt,
            4 => Self::Grant,
            5 => Self::Comment,
            6 => Self::Settings,
            7 => Self::Pause,
            8 => Self::CareLink,
            9 => Self::Response,
            10 => Self::Assignment,
            11 => Self::Receipt,
            12 => Self::Device,
            13 => Self::Calendar,
            18 => Self::Consent,
            other => Self::Extension(other),
        }
    }

    /// The kinds of which grants open sections.
    pub const GRANTED: [Self; 2] = [Self::Entry, Self::Response];

    /// Whether changes of this kind feed the plan. A new kind does not compile without an answer here.
    pub const fn feeds_plan(self) -> FeedsPlan {
        match self {
            Self::Infusion
            | Self::Prompt
            | Self::Grant
            | Self::Settings
            | Self::Pause
            | Self::CareLink
            | Self::Response
            | Self::Assignment => FeedsPlan::Always,
            // Most entries change no fact of the plan, and they are written most often.
            Self::Entry => FeedsPlan::Perhaps,
            Self::Comment | Self::Receipt | Self::Device | Self::Calendar | Self::Consent | Self::Extension(_) => {
                FeedsPlan::Never
            }
        }
    }

    /// The way in which therapists learn of things of this kind. A new kind does not compile without an answer here.
    pub const fn reader_view(self) -> ReaderView {
        match self {
            Self::Entry | Self::Response => ReaderView::Granted,
            Self::Grant | Self::Comment | Self::Assignment => ReaderView::OfLink,
            Self::Infusion => ReaderView::Whole,
            Self::CareLink => ReaderView::Link,
            // Of prompts a therapist sees the numbers of the last days, if the patient shares them.
            Self::Prompt
            | Self::Settings
            | Self::Pause
            | Self::Receipt
            | Self::Device
            | Self::Calendar
            | Self::Consent
            | Self::Extension(_) => ReaderView::Never,
        }
    }
}

/// The kind of change. The numbers are stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// It was made.
    Create,
    /// It was changed.
    Update,
    /// It was deleted.
    Delete,
    /// It was brought back.
    Undelete,
    /// An earlier revision was made the current one.
    Restore,
}

impl Op {
    /// Returns the stored number.
    pub const fn number(self) -> i32 {
        match self {
            Self::Create => 1,
            Self::Update => 2,
            Self::Delete => 3,
            Self::Undelete => 4,
            Self::Restore => 5,
        }
    }

    /// Returns the operation with that number.
    pub const fn of(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Create,
            2 => Self::Update,
            3 => Self::Delete,
            4 => Self::Undelete,
            5 => Self::Restore,
            _ => return None,
        })
    }

    /// Returns the word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Update => "updated",
            Self::Delete => "deleted",
            Self::Undelete => "undeleted",
            Self::Restore => "restored",
        }
    }
}

/// The way in which therapists learn of the things of a kind, in their feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderView {
    /// They never do.
    Never,
    /// They see the sections that a grant opens to them.
    Granted,
    /// They see those of their own care link.
    OfLink,
    /// Whoever has an active care link sees all of them.
    Whole,
    /// It is a care link: with it they begin and cease to see the patient.
    Link,
}

/// The part of a thing that a change concerns, as far as readers see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    #[default]
    All,
    /// These sections, by their bits in grants, and nothing else.
    Sections(i32),
}

/// One change of one thing.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The kind of thing.
    pub entity: Entity,
    /// Its id.
    pub id: Uuid,
    /// Its version after the change.
    pub version: i64,
    /// The event.
    pub op: Op,
    /// The part of it that changed, as far as readers see it.
    pub part: Part,
    /// The instant from which on the dates or phases of what happened may have changed with it.
    pub moves_from: Option<Timestamp>,
    /// Whether it took back what the patient had agreed to, or showed.
    pub withdraws: bool,
}

impl Change {
    /// Makes a change that brought `id` to `version`.
    pub const fn new<K>(entity: Entity, id: Id<K>, version: i64, op: Op) -> Self {
        Self { entity, id: id.uuid(), version, op, part: Part::All, moves_from: None, withdraws: false }
    }

    /// Restricts what readers see of it to the sections with these bits.
    #[must_use]
    pub const fn of_sections(self, bits: i32) -> Self {
        Self { part: Part::Sections(bits), ..self }
    }

    /// Whether it closed access: the revocation ledger is to know of it. The address of a calendar is not among them,
    /// because every one ends with the epoch.
    pub fn revokes(&self) -> bool {
        let closes = matches!(self.entity, Entity::Grant | Entity::CareLink | Entity::Device);
        self.withdraws || (closes && self.op == Op::Delete)
    }

    /// Says that it took back what the patient had agreed to, or showed.
    #[must_use]
    pub const fn withdrawing(self) -> Self {
        Self { withdraws: true, ..self }
    }

    /// Says that the dates or phases of what happened at `from` or later may have changed with it.
    #[must_use]
    pub const fn moving(self, from: Option<Timestamp>) -> Self {
        Self { moves_from: from, ..self }
    }
}

/// A note for the last step of a unit, which tells readers of it: what has changed for them.
#[derive(Clone, Debug)]
pub struct ForReaders {
    /// The patient.
    pub patient: Id<Patient>,
    /// The start of the unit.
    pub now: Timestamp,
    /// What has changed.
    pub event: ReaderEvent,
}

/// What has changed for readers.
#[derive(Clone, Debug)]
pub enum ReaderEvent {
    /// A thing.
    Changed(Change),
    /// What is open to them of these items, entries and responses.
    Opened(Vec<Id<Any>>),
}

/// A stored change.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The version it made.
    pub version: i64,
    /// The event.
    pub op: Op,
    /// The actor; `None` for the server.
    pub actor: Option<Id<Account>>,
    /// The session.
    pub session: Option<Id<Session>>,
    /// The instant at which the server took it.
    pub at: Timestamp,
}

/// The ends of the sequence of a patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the last change.
    pub seq: i64,
    /// The number below which changes that others followed may have been forgotten. The last change of each thing is
    /// kept. Nothing raises it so far.
    pub horizon: i64,
}

/// A point in the sequence of a patient. While it is the same, no change of theirs was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The number of the next change.
    next: i64,
    /// The version of a new row: another epoch has another one.
    first_version: i64,
}

impl Point {
    /// Returns the point before change `next`, where a new row has `first_version`.
    pub fn before(next: i64, first_version: i64) -> Self {
        Self { next, first_version }
    }
}

/// The head of a patient as a unit has locked it.
#[derive(Clone, Copy, Debug)]
pub struct LockedHead {
    /// The first number that the unit has taken.
    pub number: i64,
    /// The bytes that are stored now.
    pub stored: Bytes,
    /// Whether the patient has made a grant by rule, live or not.
    pub has_rules: bool,
    /// Whether a new entry that is not shared may change the plan.
    pub awaits_entry: bool,
}

/// A change that closed access to a patient's data, and may not stand in the revocation ledger yet.
#[derive(Clone, Copy, Debug)]
pub struct Revocation {
    /// The patient.
    pub patient: Id<Patient>,
    /// The number of the change.
    pub seq: i64,
    /// The kind of thing.
    pub entity: Entity,
    /// Its id.
    pub id: Id<Any>,
}

/// What closed access, beside the changes of a patient's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// A cover ended early.
    Cover(Id<Cover>),
    /// The work of a member of a clinic ended, or they lost a capability.
    Member(Id<Clinic>, Id<Account>),
    /// An account was disabled.
    Account(Id<Account>),
    /// An account got another passphrase: the one before opens nothing.
    Passphrase(Id<Account>),
    /// An account got another address: whoever reads the mail of the one before cannot reset its passphrase.
    Address(Id<Account>),
    /// An invitation was revoked.
    Invitation(Id<Invitation>),
    /// A passkey was taken away.
    Passkey(Id<Passkey>),
    /// The second factor of an account was switched on or off, or got other recovery codes.
    Factor(Id<Account>),
}

impl Closed {
    /// Returns the stored number, the thing, and the clinic of a member. Never reuse a number.
    pub(super) const fn columns(self) -> (i32, Uuid, Uuid) {
        match self {
            Self::Cover(id) => (1, id.uuid(), Uuid::nil()),
            Self::Member(clinic, account) => (2, account.uuid(), clinic.uuid()),
            Self::Account(id) => (3, id.uuid(), Uuid::nil()),
            Self::Passphrase(id) => (4, id.uuid(), Uuid::nil()),
            Self::Address(id) => (5, id.uuid(), Uuid::nil()),
            Self::Invitation(id) => (6, id.uuid(), Uuid::nil()),
            Self::Passkey(id) => (7, id.uuid(), Uuid::nil()),
            Self::Factor(id) => (8, id.uuid(), Uuid::nil()),
        }
    }

    /// Reads what is stored; `None` for a number that was never given.
    pub(super) const fn of(number: i32, thing: Id<Any>, clinic: Id<Any>) -> Option<Self> {
        match number {
            1 => Some(Self::Cover(thing.typed())),
            2 => Some(Self::Member(clinic.typed(), thing.typed())),
            3 => Some(Self::Account(thing.typed())),
            4 => Some(Self::Passphrase(thing.typed())),
            5 => Some(Self::Address(thing.typed())),
            6 => Some(Self::Invitation(thing.typed())),
            7 => Some(Self::Passkey(thing.typed())),
            8 => Some(Self::Factor(thing.typed())),
            _ => None,
        }
    }
}

/// Something that closed access, and may not stand in the revocation ledger yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// What it was.
    pub closed: Closed,
    /// The instant.
    pub at: Timestamp,
}

/// The place of a change in the sequence of a patient.
#[derive(Clone, Copy, Debug)]
pub struct Numbered {
    /// Its number.
    pub seq: i64,
    /// The kind of thing.
    pub entity: Entity,
    /// Its id.
    pub id: Id<Any>,
}

/// Sealed bytes that are stored about a patient, or a difference of such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// The patient's own: items with their replaced sections, grants, pauses.
    pub text: i64,
    /// Comments, in which others write about the patient.
    pub comments: i64,
}

impl Bytes {
    /// Counts documents of the patient's own.
    pub fn text<'d>(docs: impl IntoIterator<Item = &'d [u8]>) -> Self {
        Self { text: length(docs), comments: 0 }
    }

    /// Counts comments.
    pub fn comments<'d>(docs: impl IntoIterator<Item = &'d [u8]>) -> Self {
        Self { text: 0, comments: length(docs) }
    }

    /// Returns the sum of both.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { text: self.text.saturating_add(other.text), comments: self.comments.saturating_add(other.comments) }
    }

    /// Returns the difference of both.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self { text: self.text.saturating_sub(other.text), comments: self.comments.saturating_sub(other.comments) }
    }

    /// Checks what is stored after these bytes were added. Who only frees is not refused.
    ///
    /// # Errors
    ///
    /// [`Error::LimitReached`].
    pub fn within(self, stored: Self, quota: i64) -> Result<()> {
        if self.text > 0 && stored.text > quota {
            return Err(Error::LimitReached(limits::TEXT_BYTES_OF_PATIENT));
        }
        if self.comments > 0 && stored.comments > quota {
            return Err(Error::LimitReached(limits::COMMENT_BYTES_OF_PATIENT));
        }
        Ok(())
    }
}

fn length<'d>(docs: impl IntoIterator<Item = &'d [u8]>) -> i64 {
    docs.into_iter().map(|doc| i64::try_from(doc.len()).unwrap_or(i64::MAX)).fold(0, i64::saturating_add)
}
