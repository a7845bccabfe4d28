//! A push, what is to be delivered under which id, and whether something may still be sent.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::kernel::Id;
use crate::kernel::id::{Delivery, Patient, Prompt};
use crate::planning::{Kind, PausePeriod};
use crate::prompts::model::{Stage, StoredPrompt};
use crate::settings::Settings;

/// All that a push ever says.
pub const TEXT: &str = "A moment for you is ready";
/// A delivery is tried this often.
pub const ATTEMPTS: i32 = 5;
/// How long a worker may hold a delivery. Longer than a batch can take, shorter than the minute in which the
/// deliveries of a worker that died have to be back.
pub const LEASE: SignedDuration = SignedDuration::from_secs(30);
/// A prompt that goes out later than this is no longer where the plan put it.
const PUNCTUAL: SignedDuration = SignedDuration::from_mins(1);
/// A reminder that is later than this comes from an outage, and is not sent.
const REMINDED: SignedDuration = SignedDuration::from_mins(30);
/// How long to wait after the first, second … attempt that failed.
const BACKOFF: [SignedDuration; 4] = [
    SignedDuration::from_secs(5),
    SignedDuration::from_secs(30),
    SignedDuration::from_mins(2),
    SignedDuration::from_mins(10),
];

/// The push that a channel is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The delivery: the same however often it is tried.
    pub delivery: Id<Delivery>,
    /// The patient.
    pub patient: Id<Patient>,
    /// The prompt.
    pub prompt: Id<Prompt>,
    /// The instant at which it expires.
    pub expires_at: Timestamp,
    /// [`TEXT`].
    pub text: &'static str,
}

/// A prompt that is to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The patient.
    pub patient: Id<Patient>,
    /// The prompt.
    pub prompt: Id<Prompt>,
    /// How often it was delivered before.
    pub ordinal: i32,
    /// The instant at which it is to leave.
    pub due_at: Timestamp,
    /// The instant at which it expires.
    pub expires_at: Timestamp,
}

/// The id of the delivery number `ordinal` of a prompt; a prompt that was snoozed or moved is delivered again.
pub fn delivery_id(prompt: Id<Prompt>, ordinal: i32) -> Id<Delivery> {
    Id::from_uuid(Uuid::new_v5(&prompt.uuid(), &ordinal.to_be_bytes()))
}

/// Decides about a delivery that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes out.
    Send,
    /// It waits until then.
    Wait(Timestamp),
    /// It never goes out.
    Lapse,
}

/// Decides about the delivery of `prompt` at `now`.
///
/// Nothing goes out for what was answered, opened, withdrawn or snoozed, has expired, or is only a card in the app;
/// nor to somebody who wants no pushes. Quiet hours and pauses are in the plan already; what goes out late (after an
/// outage, or because a channel failed) is held against them again.
pub fn judge(prompt: &StoredPrompt, settings: &Settings, pauses: &[PausePeriod], now: Timestamp) -> Verdict {
    let planned = &prompt.doc.planned;
    let open = matches!((prompt.stage, prompt.state(now)), (Stage::Due, "due") | (Stage::Delivered, "delivered"));
    if !open || !planned.push || !settings.notifications.enabled {
        return Verdict::Lapse;
    }
    if prompt.stage == Stage::Delivered {
        // A reminder: dropped in quiet hours and pauses, never moved.
        let quiet = settings.quiet_hours.next_allowed(&settings.zone_at(now), now) > now;
        let resting = planned.kind != Kind::Safety && pauses.iter().any(|pause| pause.contains(now));
        // After an outage nobody needs reminders of everything at once.
        let stale = planned.reminder_at.is_none_or(|at| now.duration_since(at) > REMINDED);
        let stale = stale && planned.kind != Kind::Safety;
        return if quiet || resting || stale { Verdict::Lapse } else { Verdict::Send };
    }
    if !is_late(prompt.due_at, now) {
        return Verdict::Send;
    }
    if planned.kind != Kind::Safety && pauses.iter().any(|pause| pause.contains(now)) {
        return Verdict::Lapse;
    }
    let allowed = settings.quiet_hours.next_allowed(&settings.zone_at(now), now);
    if allowed <= now {
        Verdict::Send
    } else if allowed < prompt.expires_at {
        Verdict::Wait(allowed)
    } else {
        Verdict::Lapse
    }
}

/// When somebody is reminded of `prompt` after delivery number `ordinal`, which leaves at `now`: once, half-way to its
/// expiry as the plan says; of a safety check once more, after three quarters, also if the first falls into the night.
pub fn remind_at(prompt: &StoredPrompt, ordinal: i32, now: Timestamp) -> Option<Timestamp> {
    let planned = &prompt.doc.planned;
    let quarter = SignedDuration::from_secs(prompt.expires_at.duration_since(prompt.due_at).as_secs() / 4);
    let second = || prompt.expires_at.checked_sub(quarter).ok().filter(|_| planned.kind == Kind::Safety);
    let next = match (ordinal, planned.reminder_at) {
        (0, Some(first)) => Some(first),
        (0, None) | (1, Some(_)) => second(),
        _ => None,
    };
    next.filter(|at| now < *at && *at < prompt.expires_at)
}

/// Whether something that was due at `due_at` is late at `now`.
pub fn is_late(due_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(due_at) > PUNCTUAL
}

/// Returns the time of the next attempt after `attempts` failures; `None` when there is none.
pub fn retry_at(attempts: i32, expires_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let pause = usize::try_from(attempts - 1).ok().and_then(|turn| BACKOFF.get(turn))?;
    now.checked_add(*pause).ok().filter(|at| *at < expires_at)
}
