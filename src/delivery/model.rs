//! Pushes, deliveries and their ids, and the judgement whether something may still be sent.

use jiff::{SignedDuration, Timestamp};

use crate::kernel::Id;
use crate::kernel::id::{Clinic, Delivery, Device, Patient, Prompt};
use crate::planning::{PausePeriod, PromptKind};
use crate::prompts::model::{DeliveryStage, StoredPrompt};
use crate::settings::Settings;
use crate::vault::{MacLabel, Vault};

/// The name of the task that delivers.
pub const TASK: &str = "outbox";
/// The only text of a push.
pub const TEXT: &str = "A moment for you is ready";
/// The most attempts at a delivery.
pub const ATTEMPTS: i32 = 5;
/// The lease of a delivery. It is longer than a batch can take, and shorter than the minute in which the deliveries of
/// a worker that died must be free again.
pub const LEASE: SignedDuration = SignedDuration::from_secs(30);
/// The lanes of the outbox, which clinics share.
pub const LANES: i32 = 16;
/// The delay after which a prompt is no longer where the plan put it.
const PUNCTUAL: SignedDuration = SignedDuration::from_mins(1);
/// The delay after which a reminder comes from an outage and is not sent.
const REMINDED: SignedDuration = SignedDuration::from_mins(30);
/// The time after which a device that acknowledges is sent again what it has not acknowledged, and the most times.
const RESEND: SignedDuration = SignedDuration::from_mins(30);
const RESENDS: i32 = 2;
/// The waits after the first, second … failed attempt.
const BACKOFF: [SignedDuration; 4] = [
    SignedDuration::from_secs(5),
    SignedDuration::from_secs(30),
    SignedDuration::from_mins(2),
    SignedDuration::from_mins(10),
];

/// The push that a channel is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The delivery's id, the same for every attempt.
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
    /// The number of earlier deliveries of the prompt.
    pub ordinal: i32,
    /// The instant at which it is to leave.
    pub due_at: Timestamp,
    /// The instant at which it expires.
    pub expires_at: Timestamp,
    /// The lane of the clinic that the patient is with.
    pub lane: i32,
}

/// Returns the lane of a clinic's deliveries, 0 to 15; 0 for a patient who is with none. It is the same for good, and
/// what a clinic has waiting holds only the few others of its lane.
pub fn lane_of(clinic: Option<Id<Clinic>>) -> i32 {
    // The last byte of an id is random.
    clinic.map_or(0, |id| {
        let [.., last] = *id.uuid().as_bytes();
        i32::from(last) % LANES
    })
}

/// Derives the id of a prompt's delivery number `ordinal`, with a key. A prompt that was snoozed or moved is delivered
/// again.
pub fn delivery_id(vault: &Vault, prompt: Id<Prompt>, ordinal: i32) -> Id<Delivery> {
    Id::from_mac(&vault.mac(MacLabel::Delivery, &[prompt.uuid().as_bytes(), &ordinal.to_be_bytes()]))
}

/// Derives the id of the delivery number `ordinal` of a prompt to one device, with a key.
pub fn device_delivery_id(vault: &Vault, prompt: Id<Prompt>, ordinal: i32, device: Id<Device>) -> Id<Delivery> {
    let (prompt, device) = (prompt.uuid(), device.uuid());
    Id::from_mac(&vault.mac(MacLabel::Delivery, &[prompt.as_bytes(), &ordinal.to_be_bytes(), device.as_bytes()]))
}

/// Decides about a delivery that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes out.
    Send,
    /// It waits until the instant.
    Wait(Timestamp),
    /// It never goes out.
    Lapse,
}

/// An attempt at a delivery to one device that was tried or sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It was tried, and no push service took it.
    Retry,
    /// It was sent, was to be sent again at the instant, and the device has not acknowledged it.
    Resend(Timestamp),
    /// The device has acknowledged it.
    Received,
}

/// Decides about another attempt at the delivery of `prompt` to one device at `now`. Nothing is sent again in quiet
/// hours, in a pause, once the prompt was answered, or so late that it comes from an outage; what was never sent waits
/// for the end of quiet hours. What falls into a session and its acute phase, or asks for effort before the patient is
/// ready for it, waits until `not_before`, and lapses if it has expired by then.
pub fn judge_repeat(
    prompt: &StoredPrompt,
    settings: &Settings,
    pauses: &[PausePeriod],
    not_before: Option<Timestamp>,
    (repeat, now): (Repeat, Timestamp),
) -> Verdict {
    let open = matches!(prompt.state(now), "due" | "delivered") && prompt.stage != DeliveryStage::Planned;
    let resting = prompt.doc.planned.kind != PromptKind::Safety && pauses.iter().any(|pause| pause.contains(now));
    let stale = match repeat {
        Repeat::Received => true,
        Repeat::Resend(at) => now.duration_since(at) > REMINDED,
        Repeat::Retry => false,
    };
    if !open || !settings.notifications.enabled || resting || stale {
        return Verdict::Lapse;
    }
    if let Some(at) = not_before {
        return if at < prompt.expires_at { Verdict::Wait(at) } else { Verdict::Lapse };
    }
    let allowed = settings.quiet_hours.next_allowed(&settings.zone_at(now), now);
    match repeat {
        _ if allowed <= now => Verdict::Send,
        Repeat::Retry if allowed < prompt.expires_at => Verdict::Wait(allowed),
        _ => Verdict::Lapse,
    }
}

/// Returns the instant at which what was sent at `now` is sent again unless the device acknowledges it, after it was
/// sent again `resends` times.
pub fn resend_at(resends: i32, expires_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    now.checked_add(RESEND).ok().filter(|at| resends < RESENDS && *at < expires_at)
}

/// Decides about the delivery of `prompt` at `now`.
///
/// A prompt lapses when it was answered, opened, withdrawn or snoozed, when it has expired, when it is only a card in
/// the app, and when the patient wants no pushes. Quiet hours, pauses and sessions are in the plan already. They are
/// checked again for prompts that go out late, after an outage or a failure of a channel. In a session and its acute
/// phase nothing goes out, and what asks for effort not until the patient is ready for it: a first push waits until
/// `not_before`, a reminder lapses.
pub fn judge(
    prompt: &StoredPrompt,
    settings: &Settings,
    pauses: &[PausePeriod],
    not_before: Option<Timestamp>,
    now: Timestamp,
) -> Verdict {
    let planned = &prompt.doc.planned;
    let open = matches!(
        (prompt.stage, prompt.state(now)),
        (DeliveryStage::Due, "due") | (DeliveryStage::Delivered, "delivered")
    );
    if !open || !planned.push || !settings.notifications.enabled {
        return Verdict::Lapse;
    }
    if prompt.stage == DeliveryStage::Delivered {
        // A reminder in quiet hours or a pause is dropped, never moved.
        let quiet = settings.quiet_hours.next_allowed(&settings.zone_at(now), now) > now;
        let resting = planned.kind != PromptKind::Safety && pauses.iter().any(|pause| pause.contains(now));
        // Too many reminders would go out at once after an outage.
        let stale = planned.reminder_at.is_none_or(|at| now.duration_since(at) > REMINDED);
        let stale = stale && planned.kind != PromptKind::Safety;
        return if quiet || resting || stale || not_before.is_some() { Verdict::Lapse } else { Verdict::Send };
    }
    if let Some(at) = not_before {
        return if at < prompt.expires_at { Verdict::Wait(at) } else { Verdict::Lapse };
    }
    if !is_late(prompt.due_at, now) {
        return Verdict::Send;
    }
    if planned.kind != PromptKind::Safety && pauses.iter().any(|pause| pause.contains(now)) {
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

/// Returns the instant of the reminder of `prompt` after delivery number `ordinal`, which leaves at `now`. The plan has
/// one reminder, half-way to the expiry. A safety check has one more after three quarters, even if the first falls into
/// the night.
pub fn remind_at(prompt: &StoredPrompt, ordinal: i32, now: Timestamp) -> Option<Timestamp> {
    let planned = &prompt.doc.planned;
    let quarter = SignedDuration::from_secs(prompt.expires_at.duration_since(prompt.due_at).as_secs() / 4);
    let second = || prompt.expires_at.checked_sub(quarter).ok().filter(|_| planned.kind == PromptKind::Safety);
    let next = match (ordinal, planned.reminder_at) {
        (0, Some(first)) => Some(first),
        (0, None) | (1, Some(_)) => second(),
        _ => None,
    };
    next.filter(|at| now < *at && *at < prompt.expires_at)
}

/// Whether a prompt due at `due_at` is late at `now`.
pub fn is_late(due_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(due_at) > PUNCTUAL
}

/// Returns the time of the next attempt after `attempts` failures; `None` when there is none.
pub fn retry_at(attempts: i32, expires_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let pause = usize::try_from(attempts - 1).ok().and_then(|turn| BACKOFF.get(turn))?;
    now.checked_add(*pause).ok().filter(|at| *at < expires_at)
}
