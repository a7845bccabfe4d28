//! What a feed shows, its secret address, and its events.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::kernel::Id;
use crate::kernel::id::{CalendarAddress, CalendarEvent, Patient};
use crate::planning::PromptKind;
use crate::vault::{MacLabel, Vault};

/// The kinds of prompts that a feed may show, with their names on the wire. What is asked on demand has no time.
const KINDS: [(&str, PromptKind); 6] = [
    ("safety", PromptKind::Safety),
    ("measure", PromptKind::Measure),
    ("preparation", PromptKind::Preparation),
    ("reflection", PromptKind::Reflection),
    ("exercise", PromptKind::Exercise),
    ("habit", PromptKind::Habit),
];

/// The fault of another name, for the person who sent it.
pub const WRONG_KIND: &str = "must be safety, measure, preparation, reflection, exercise or habit";

/// Reads the name of a kind of prompts.
pub fn kind_named(name: &str) -> Option<PromptKind> {
    KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// What a feed shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticked {
    /// The prompts of these kinds.
    pub prompts: BTreeSet<PromptKind>,
    /// Whether it shows planned infusions.
    pub infusions: bool,
}

impl Ticked {
    /// Returns the names of the kinds of prompts, in a fixed order.
    pub fn prompt_names(&self) -> Vec<&'static str> {
        KINDS.iter().filter(|(_, kind)| self.prompts.contains(kind)).map(|(name, _)| *name).collect()
    }
}

/// The sealed document of a calendar.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarDoc {
    /// What the feed shows.
    pub ticked: Ticked,
}

/// The secret part of an address: 192 bits. Its `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 24]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Secret {
    /// Derives the secret of an address.
    pub fn of(vault: &Vault, patient: Id<Patient>, address: Id<CalendarAddress>) -> Self {
        let (patient, address) = (patient.uuid(), address.uuid());
        let mac = vault.mac(MacLabel::Calendar, &[b"address", patient.as_bytes(), address.as_bytes()]);
        let mut bytes = [0; 24];
        bytes.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        Self(bytes)
    }

    /// Reads the secret of an address.
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// Returns the text in the address.
    pub fn text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Computes the keyed hash by which the calendar of an address is found.
    pub fn key(self, vault: &Vault) -> Vec<u8> {
        vault.mac(MacLabel::Calendar, &[b"look-up", &self.0]).to_vec()
    }
}

/// The step to which times are rounded, in seconds.
const STEP: i64 = 15 * 60;

/// The step in which the instants of changes are given, in seconds. To the minute they would tell when an infusion was
/// recorded, or when the patient put something off.
const CHANGES: i64 = 6 * 60 * 60;

/// One event of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id, which stays the same as long as there is what it shows.
    pub id: Id<CalendarEvent>,
    /// The rounded start.
    pub start: Timestamp,
    /// The length.
    pub length: SignedDuration,
    /// The title.
    pub title: &'static str,
    /// Whether the time counts as taken.
    pub busy: bool,
    /// The number of its changes. A calendar app that has a lower one takes this state in its place.
    pub sequence: i64,
    /// The instant of its last change, as [`revised_at`] gives it.
    pub revised_at: Timestamp,
}

/// Derives the id of the event that shows a thing of a patient.
pub fn event_id(vault: &Vault, patient: Id<Patient>, (kind, thing): (&str, Uuid)) -> Id<CalendarEvent> {
    let patient = patient.uuid();
    Id::from_mac(&vault.mac(MacLabel::Calendar, &[b"event", patient.as_bytes(), kind.as_bytes(), thing.as_bytes()]))
}

/// Rounds to the nearest quarter of an hour. The zones of today differ from UTC by whole quarters, so that local times are
/// rounded with it.
pub fn rounded(at: Timestamp) -> Timestamp {
    let nearest = (at.as_second() + STEP / 2).div_euclid(STEP) * STEP;
    Timestamp::from_second(nearest).unwrap_or(at)
}

/// Returns what a feed gives for the instant `at` of the last change: the beginning of its six hours, and a second for
/// each of the `sequence` changes so far, so that it grows with each of them.
pub fn revised_at(at: Timestamp, sequence: i64) -> Timestamp {
    let step = at.as_second().div_euclid(CHANGES) * CHANGES;
    Timestamp::from_second(step + sequence.clamp(0, CHANGES - 1)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instant_of_a_change_is_given_roughly_and_grows_with_each_change() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let told = |text: &str, sequence| revised_at(at(text), sequence).to_string();
        assert_eq!(told("2026-03-10T08:41:17Z", 1), "2026-03-10T06:00:01Z");
        assert_eq!(told("2026-03-10T08:41:18Z", 2), "2026-03-10T06:00:02Z");
        assert_eq!(told("2026-03-10T11:59:59Z", 3), "2026-03-10T06:00:03Z");
        assert_eq!(told("2026-03-10T12:00:00Z", 4), "2026-03-10T12:00:04Z");
        assert_eq!(told("2026-03-10T12:00:00Z", i64::MAX), "2026-03-10T17:59:59Z");
    }

    #[test]
    fn times_are_rounded_to_quarters_of_an_hour() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (exact, shown) in
            [("09:00:00", "09:00"), ("09:07:29", "09:00"), ("09:07:30", "09:15"), ("23:53:00", "24:00")]
        {
            let shown =
                if shown == "24:00" { at("2026-03-11T00:00:00Z") } else { at(&format!("2026-03-10T{shown}:00Z")) };
            assert_eq!(rounded(at(&format!("2026-03-10T{exact}Z"))), shown, "{exact}");
        }
    }

    #[test]
    fn a_secret_is_read_as_it_is_written_and_not_otherwise() {
        let secret = Secret([0xFB; 24]);
        assert_eq!(secret.text().len(), 32);
        assert_eq!(Secret::parse(&secret.text()), Some(secret));
        for wrong in ["", "AAAA", &format!("{}A", secret.text()), &format!("{}=", secret.text()), "ä"] {
            assert_eq!(Secret::parse(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{secret:?}"), "Secret(***)");
    }

    #[test]
    fn every_kind_but_what_is_on_demand_has_a_name() {
        for (name, kind) in KINDS {
            assert_eq!(kind_named(name), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
        }
        assert_eq!(kind_named("on_demand"), None);
    }
}
