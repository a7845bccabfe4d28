//! The kinds of things that a phone holds, and the place of a pull.

use jiff::Timestamp;
use uuid::Uuid;

use super::epoch::Epoch;
use crate::changes::Entity;
use crate::kernel::page::CursorKey;

/// The name of the operation that pulls, to which its cursors are bound.
pub const PULL: &str = "pull_changes";

/// A kind of thing that a phone holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The patient's settings.
    Settings,
    /// A care link.
    CareLink,
    /// An infusion.
    Infusion,
    /// A pause.
    Pause,
    /// A grant, of one item or by rule.
    Grant,
    /// An assignment.
    Assignment,
    /// A prompt.
    Prompt,
    /// A journal entry.
    Entry,
    /// An exercise response.
    ExerciseResponse,
    /// A comment on an entry.
    Comment,
    /// A receipt: what the patient may know of a reader and an item.
    Receipt,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Settings,
        Self::CareLink,
        Self::Infusion,
        Self::Pause,
        Self::Grant,
        Self::Assignment,
        Self::Prompt,
        Self::Entry,
        Self::ExerciseResponse,
        Self::Comment,
        Self::Receipt,
    ];

    /// Returns the kind that phones hold of changes of `entity`; `None` for what they do not hold.
    pub const fn of(entity: Entity) -> Option<Self> {
        Some(match entity {
            Entity::Settings => Self::Settings,
            Entity::CareLink => Self::CareLink,
            Entity::Infusion => Self::Infusion,
            Entity::Pause => Self::Pause,
            Entity::Grant => Self::Grant,
            Entity::Assignment => Self::Assignment,
            Entity::Prompt => Self::Prompt,
            Entity::Entry => Self::Entry,
            Entity::Response => Self::ExerciseResponse,
            Entity::Comment => Self::Comment,
            Entity::Receipt => Self::Receipt,
            // A device asks for its own row, for the patient's calendar and for the consents.
            Entity::Device | Entity::Calendar | Entity::Consent | Entity::Extension(_) => return None,
        })
    }

    /// Returns the kind in the change sequence.
    pub const fn entity(self) -> Entity {
        match self {
            Self::Settings => Entity::Settings,
            Self::CareLink => Entity::CareLink,
            Self::Infusion => Entity::Infusion,
            Self::Pause => Entity::Pause,
            Self::Grant => Entity::Grant,
            Self::Assignment => Entity::Assignment,
            Self::Prompt => Entity::Prompt,
            Self::Entry => Entity::Entry,
            Self::ExerciseResponse => Entity::Response,
            Self::Comment => Entity::Comment,
            Self::Receipt => Entity::Receipt,
        }
    }

    /// Returns the kind of that name on the wire.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether all words of such a thing are the patient's own, or the product's. Those of others are not compressed
    /// beside the patient's.
    pub const fn is_own(self) -> bool {
        match self {
            Self::Settings | Self::Pause | Self::Grant | Self::Prompt | Self::Entry | Self::ExerciseResponse => true,
            Self::CareLink | Self::Infusion | Self::Assignment | Self::Comment | Self::Receipt => false,
        }
    }

    /// Returns the name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::CareLink => "care_link",
            Self::Infusion => "infusion",
            Self::Pause => "pause",
            Self::Grant => "grant",
            Self::Assignment => "assignment",
            Self::Prompt => "prompt",
            Self::Entry => "entry",
            Self::ExerciseResponse => "exercise_response",
            Self::Comment => "comment",
            Self::Receipt => "receipt",
        }
    }
}

/// A phase of a first pull: what the first screen shows comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// All of a kind.
    All(Kind),
    /// The prompts around today.
    PromptsNear,
    /// The other prompts.
    PromptsFar,
}

impl Phase {
    /// The phases, in order.
    pub const ORDER: [Self; 12] = [
        Self::All(Kind::Settings),
        Self::All(Kind::CareLink),
        Self::All(Kind::Infusion),
        Self::All(Kind::Pause),
        Self::All(Kind::Grant),
        Self::All(Kind::Assignment),
        Self::PromptsNear,
        Self::All(Kind::Entry),
        Self::All(Kind::ExerciseResponse),
        Self::All(Kind::Comment),
        Self::PromptsFar,
        Self::All(Kind::Receipt),
    ];

    /// Returns the kind of its items.
    pub const fn kind(self) -> Kind {
        match self {
            Self::All(kind) => kind,
            Self::PromptsNear | Self::PromptsFar => Kind::Prompt,
        }
    }

    /// Returns the most items of its first page; `None` if the page's limit alone counts. The first page of a pull ends
    /// with the entries that the first screen shows.
    pub const fn first_page(self) -> Option<usize> {
        if matches!(self, Self::All(Kind::Entry)) { Some(20) } else { None }
    }
}

/// A place within a phase: that of the last item, in the order of the phase.
pub type Key = (i64, Uuid);

/// The progress of a first pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstPull {
    /// The number of the last change when it began. Later changes come after it.
    pub base: i64,
    /// The instant at which it began.
    pub began: Timestamp,
    /// The place of the phase in [`Phase::ORDER`].
    pub phase: usize,
    /// The last item of that phase.
    pub after: Option<Key>,
}

/// How far a phone has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is fetching everything.
    First(FirstPull),
    /// It has every change up to this number.
    Since(i64),
}

/// The place that a cursor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The epoch of the data.
    pub epoch: Epoch,
    /// The progress.
    pub progress: Progress,
}

impl CursorKey for Place {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.epoch.bytes().to_vec();
        match self.progress {
            Progress::Since(seq) => bytes.extend(seq.to_be_bytes()),
            Progress::First(FirstPull { base, began, phase, after }) => {
                bytes.extend(base.to_be_bytes());
                bytes.extend(began.as_second().to_be_bytes());
                bytes.extend(u8::try_from(phase).unwrap_or(u8::MAX).to_be_bytes());
                if let Some((number, id)) = after {
                    bytes.extend(number.to_be_bytes());
                    bytes.extend(id.as_bytes());
                }
            }
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(i64::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let epoch = Epoch::new(*bytes.first_chunk()?);
        let after = match bytes.len() {
            24 => return Some(Self { epoch, progress: Progress::Since(number(16)?) }),
            33 => None,
            57 => Some((number(33)?, Uuid::from_slice(bytes.get(41..)?).ok()?)),
            _ => return None,
        };
        let began = Timestamp::from_second(number(24)?).ok()?;
        let phase = usize::from(*bytes.get(32)?);
        Some(Self { epoch, progress: Progress::First(FirstPull { base: number(16)?, began, phase, after }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_holds_its_place() {
        let epoch = Epoch::new([7; 16]);
        let began = Timestamp::from_second(1_772_000_000).unwrap();
        let first = |after| Progress::First(FirstPull { base: 118, began, phase: 7, after });
        for progress in [Progress::Since(i64::MAX), first(None), first(Some((-5, Uuid::max())))] {
            let place = Place { epoch, progress };
            assert_eq!(Place::from_bytes(&place.to_bytes()), Some(place));
        }
        assert_eq!(Place::from_bytes(&[0; 25]), None);
    }

    #[test]
    fn every_kind_is_that_of_its_changes_and_is_pulled_first() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(Entity::of(kind.entity().number())), Some(kind), "{kind:?}");
            assert!(Phase::ORDER.iter().any(|phase| phase.kind() == kind), "{kind:?}");
        }
    }
}
