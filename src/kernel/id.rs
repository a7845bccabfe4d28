//! Typed ids.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// The id of a `K`: a UUID that cannot be mistaken for the id of anything else.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

/// Declares the kinds of object for which no slice has a type.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => { $($(#[$doc])* #[derive(Clone, Copy, Debug)] pub enum $name {})* };
}

kinds! {
    /// An object of any kind.
    Any,
    /// An account that logs in: a patient's or a staff member's.
    Account,
    /// A log-in on one device.
    Session,
    /// A key on a device by which its owner logs in (WebAuthn).
    Passkey,
    /// A proof that an address is its owner's.
    AddressProof,
    /// A mail to the owner of an account.
    Letter,
    /// A tenant.
    Clinic,
    /// A protocol that a clinic writes.
    ClinicProtocol,
    /// A person in treatment.
    Patient,
    /// A code that lets somebody join.
    Invitation,
    /// A code by which a member of staff gets a new passphrase.
    StaffReset,
    /// The link of one patient and one therapist.
    CareLink,
    /// The time in which a colleague stands in for a therapist.
    Cover,
    /// An access of staff to a patient's data in an emergency.
    Emergency,
    /// A patient's permission for a reader.
    Grant,
    /// One administration of ketamine.
    Infusion,
    /// A time in which prompts ask about safety only.
    Pause,
    /// One occurrence of a prompt rule.
    Prompt,
    /// One notification that leaves the server.
    Delivery,
    /// A phone or browser of a patient.
    Device,
    /// A secret address of a patient's calendar feed.
    CalendarAddress,
    /// What a calendar feed shows of one thing.
    CalendarEvent,
    /// A journal entry.
    Entry,
    /// A therapist's comment on an entry, or the patient's reply.
    Comment,
    /// What a patient may know of a reader and an item.
    Receipt,
    /// Things that a unit has touched and left to a later one.
    FeedPortion,
    /// An uploaded file.
    Attachment,
    /// A patient's work on one exercise.
    Response,
    /// A therapist's request to do an exercise.
    Assignment,
}

impl<K> Id<K> {
    /// Makes an id of a UUID.
    pub const fn from_uuid(id: Uuid) -> Self {
        Self(id, PhantomData)
    }

    /// Returns the UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// Returns the bytes of the UUID.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Returns the same id without its kind.
    pub const fn any(self) -> Id<Any> {
        Id::from_uuid(self.0)
    }

    /// Makes an id of version 8 from a keyed hash over everything that it stands for. It cannot be computed without the key.
    pub fn from_mac(mac: &[u8; 32]) -> Self {
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(mac).for_each(|(to, from)| *to = *from);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid(), PhantomData)
    }

    /// Whether this is a UUID of version 4 or 7, the versions that clients make.
    pub fn is_of_client(self) -> bool {
        matches!(self.0.get_version_num(), 4 | 7)
    }

    /// Whether this is a UUID of version 8, the version of ids that follow from something else.
    pub fn is_derived(self) -> bool {
        self.0.get_version_num() == 8
    }
}

impl Id<Any> {
    /// Returns the same id as the id of a `K`.
    pub const fn typed<K>(self) -> Id<K> {
        Id::from_uuid(self.0)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<K> FromStr for Id<K> {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::from_str(text).map(Self::from_uuid)
    }
}
impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}
impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Uuid::deserialize(from).map(Self::from_uuid)
    }
}
