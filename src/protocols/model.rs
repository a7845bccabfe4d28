//! The versions of a clinic's protocol.

use jiff::SignedDuration;

use crate::exercises::catalogue;
use crate::kernel::id::{Clinic, ClinicProtocol};
use crate::kernel::{FieldError, Id};
use crate::planning::protocol::Anchor;
use crate::planning::{Capability, OWN, PromptKind, Protocol, ProtocolContent};
use crate::vault::SealContext;

/// The time after which plans are made by what was published or chosen. It is many times as long as the time in which
/// every process reads it, so that their clocks may differ.
pub const IN_FORCE_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// The time after which a process reads again what was published.
pub const FRESH: SignedDuration = SignedDuration::from_secs(5);

/// The time for which it answers by what it knows while it reads: still long before that is in force.
pub const STALE: SignedDuration = SignedDuration::from_secs(20);

/// The time after which a published version that did not open is tried again.
pub const TRY_AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// The state of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionState {
    /// It is being written.
    Draft,
    /// Plans may be made by it. It never changes.
    Published,
    /// No new plan is made by it; the prompts that it made keep it.
    Retired,
}

impl VersionState {
    /// Returns its name in rows and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Retired => "retired",
        }
    }

    /// Returns the state of that name; an unknown one is a draft, by which no plan is made.
    pub fn named(name: &str) -> Self {
        match name {
            "published" => Self::Published,
            "retired" => Self::Retired,
            _ => Self::Draft,
        }
    }
}

/// Returns the place to which the content of a version is sealed.
pub fn place(clinic: Id<Clinic>, id: Id<ClinicProtocol>, number: i32, version: i64) -> SealContext {
    // One sealed for a version never opens as that of another.
    let revision = (i64::from(number) << 32) | (version & 0xffff_ffff);
    SealContext { table: "protocols", column: "doc", subject: clinic.uuid(), row: id.uuid(), revision }
}

/// Makes the protocol of a version.
pub fn protocol(id: Id<ClinicProtocol>, number: i32, content: ProtocolContent) -> Protocol {
    content.of_clinic(id.uuid().to_string(), u32::try_from(number).unwrap_or(0))
}

/// Returns what stands against publishing a protocol, each with its place in the content.
pub fn faults(protocol: &Protocol) -> Vec<FieldError> {
    let mut faults = protocol.faults();
    for key in protocol.unsafe_without() {
        let detail = format!("`{key}`, a safety check of the default protocol, stays as it is there");
        faults.push(FieldError { pointer: "/rules".to_owned(), detail });
    }
    let default = Protocol::default_v1();
    if protocol.reminders.safety < default.reminders.safety {
        let detail = format!("safety checks keep {} reminders", default.reminders.safety);
        faults.push(FieldError { pointer: "/reminders/safety".to_owned(), detail });
    }
    for (n, rule) in protocol.rules.iter().enumerate() {
        if rule.key.starts_with(OWN) {
            let detail = "keys that begin with `own.` are for what therapists add".to_owned();
            faults.push(FieldError { pointer: format!("/rules/{n}/key"), detail });
        }
        // Without it they would be asked by a server that answers them with nothing: no rule, no score, no crisis card.
        let need = match rule.kind {
            PromptKind::Safety => Some((Capability::Checks, "a safety check needs `checks`")),
            PromptKind::Measure => Some((Capability::Measures, "a measure needs `measures`")),
            _ => None,
        };
        if let Some((_, detail)) = need.filter(|(need, _)| !rule.needs.contains(need)) {
            faults.push(FieldError { pointer: format!("/rules/{n}/needs"), detail: detail.to_owned() });
        }
        if let Anchor::DateOf(key) = &rule.anchor
            && catalogue::find(key, None).is_none_or(|exercise| exercise.returns_on.is_none())
        {
            let detail = "no response to this exercise comes back on a date".to_owned();
            faults.push(FieldError { pointer: format!("/rules/{n}/anchor"), detail });
        }
        for (place, key) in rule.exercises.iter().enumerate() {
            if catalogue::find(key, None).is_none() {
                let pointer = format!("/rules/{n}/exercises/{place}");
                faults.push(FieldError { pointer, detail: "is not an exercise of the library".to_owned() });
            }
        }
    }
    faults
}

/// The JSON Schema of the content of a protocol.
pub const SCHEMA: &str = include_str!("schema.json");
