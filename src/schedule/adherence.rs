//! Adherence: how much of what a patient was asked found its time.
//!
//! A prompt counts once its time has come, if it was announced: what is only a card in the app was not asked. An answer
//! counts by the instant at which it was written, whenever it arrived. What was taken back by planning, or was never
//! announced because the server was away, was not offered: it stands in no denominator. What was taken back because of an
//! infusion is counted as excused; a therapist is told nothing of the rest, which may follow from a pause.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::planning::window::Phase;
use crate::planning::{DropReason, PromptKind};
use crate::prompts::model::{PromptEvent, StoredPrompt};

/// What became of a prompt whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was answered in time.
    Completed,
    /// The patient did not want it.
    Skipped,
    /// It expired without an answer.
    Lapsed,
    /// It can still be answered.
    Open,
    /// It was taken back for a reason that the clinic knows: an infusion was cancelled, moved or corrected.
    Excused,
    /// It was taken back for another reason, or never went out.
    Withdrawn,
}

/// Finds the fate of a prompt; `None` if its time has not come, or if it is only a card in the app.
pub fn fate(prompt: &StoredPrompt, now: Timestamp) -> Option<Fate> {
    if prompt.due_at > now || !prompt.doc.planned.push || prompt.doc.planned.optional || prompt.is_foreseen() {
        return None;
    }
    Some(match prompt.state(now) {
        "completed" => Fate::Completed,
        "skipped" => Fate::Skipped,
        "cancelled" if of_an_infusion(prompt) => Fate::Excused,
        "cancelled" => Fate::Withdrawn,
        "lapsed" if prompt.fired_at.is_none() && prompt.touched_at().is_none() => Fate::Withdrawn,
        "lapsed" => Fate::Lapsed,
        _ => Fate::Open,
    })
}

/// Whether planning took a prompt back because of what happened to an infusion.
fn of_an_infusion(prompt: &StoredPrompt) -> bool {
    let reasons = [
        DropReason::Withdrawn,
        DropReason::Corrected,
        DropReason::Superseded,
        DropReason::Merged,
        DropReason::Series,
        DropReason::InSession,
        DropReason::Provisional,
    ];
    let cancelled = prompt.doc.history.iter().rev().find(|event| event.deed == PromptEvent::Cancelled);
    let cause = cancelled.and_then(|event| event.cause.as_deref());
    let words = reasons.iter().filter_map(|reason| serde_json::to_value(reason).ok());
    cause.is_some_and(|cause| words.into_iter().any(|word| word == cause))
}

/// The numbers of prompts by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answered in time.
    pub completed: u32,
    /// Not wanted.
    pub skipped: u32,
    /// Expired without an answer.
    pub lapsed: u32,
    /// Still to be answered.
    pub open: u32,
    /// Taken back because of an infusion.
    pub excused: u32,
}

impl Tally {
    /// Adds a prompt.
    pub fn add(&mut self, fate: Fate) {
        let number = match fate {
            Fate::Completed => &mut self.completed,
            Fate::Skipped => &mut self.skipped,
            Fate::Lapsed => &mut self.lapsed,
            Fate::Open => &mut self.open,
            Fate::Excused => &mut self.excused,
            Fate::Withdrawn => return,
        };
        *number += 1;
    }

    /// Returns the sum of two tallies.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            completed: self.completed + other.completed,
            skipped: self.skipped + other.skipped,
            lapsed: self.lapsed + other.lapsed,
            open: self.open + other.open,
            excused: self.excused + other.excused,
        }
    }

    /// Returns the number of prompts that were offered and are over.
    pub fn offered(&self) -> u32 {
        self.completed + self.skipped + self.lapsed
    }

    /// Returns the part of them that was answered, in words.
    pub fn portion(&self) -> Portion {
        let (completed, offered) = (self.completed, self.offered());
        match (completed, offered) {
            (_, 0) => Portion::NothingOffered,
            (0, _) => Portion::None,
            _ if completed == offered => Portion::All,
            _ if completed * 5 < offered * 2 => Portion::ALittle,
            _ if completed * 5 <= offered * 3 => Portion::AboutHalf,
            _ => Portion::Most,
        }
    }
}

/// Counts prompts by phase and kind. `phase` finds the phase of an instant.
pub fn tallies<'p>(
    prompts: impl IntoIterator<Item = &'p StoredPrompt>,
    phase: impl Fn(Timestamp) -> Phase,
    now: Timestamp,
) -> BTreeMap<(Phase, PromptKind), Tally> {
    let mut found = BTreeMap::new();
    for prompt in prompts {
        if let Some(fate) = fate(prompt, now).filter(|fate| *fate != Fate::Withdrawn) {
            let tally: &mut Tally = found.entry((phase(prompt.due_at), prompt.doc.planned.kind)).or_default();
            tally.add(fate);
        }
    }
    found
}

/// A part of what was offered, in words: a patient is shown no score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Portion {
    /// Nothing was offered.
    NothingOffered,
    /// None of it.
    None,
    /// Less than two fifths.
    ALittle,
    /// Two to three fifths.
    AboutHalf,
    /// More than three fifths.
    Most,
    /// All of it.
    All,
}

impl Portion {
    /// Returns a sentence for the patient, in their language or in English. The language is a tag of BCP 47.
    pub fn sentence(self, locale: &str) -> &'static str {
        let [en, de, es] = match self {
            Self::NothingOffered => [
                "Nothing was asked of you in these days.",
                "In diesen Tagen wurde nichts von dir gefragt.",
                "En estos días no se te pidió nada.",
            ],
            Self::None => [
                "These days were for other things. Nothing has to be made up for.",
                "Diese Tage gehörten anderem. Nichts muss nachgeholt werden.",
                "Estos días fueron para otras cosas. No hay nada que recuperar.",
            ],
            Self::ALittle => [
                "You found time for a part of what was offered. That counts.",
                "Für einen Teil davon hast du Zeit gefunden. Das zählt.",
                "Encontraste tiempo para una parte. Eso cuenta.",
            ],
            Self::AboutHalf => [
                "You found time for about half of what was offered.",
                "Für etwa die Hälfte davon hast du Zeit gefunden.",
                "Encontraste tiempo para cerca de la mitad.",
            ],
            Self::Most => [
                "You found time for most of what was offered.",
                "Für das meiste davon hast du Zeit gefunden.",
                "Encontraste tiempo para la mayor parte.",
            ],
            Self::All => [
                "You found time for all that was offered.",
                "Für alles davon hast du Zeit gefunden.",
                "Encontraste tiempo para todo.",
            ],
        };
        match locale.split('-').next() {
            Some("de") => de,
            Some("es") => es,
            _ => en,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::kernel::{Id, Zone};
    use crate::planning::{Planned, Why};
    use crate::prompts::model::{DeliveryStage, PromptDoc};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// A check that went out an hour ago and can be answered for another, with these events of its history.
    fn check(history: &[(PromptEvent, Option<&str>)]) -> StoredPrompt {
        let hour = SignedDuration::from_hours(1);
        let (due_at, expires_at, zone) = (NOW - hour, NOW + hour, Zone::parse("Europe/Berlin").unwrap());
        let local = zone.local(due_at);
        let planned = Planned {
            returns: None,
            wording: 0,
            id: Id::from_uuid(uuid::Uuid::nil()),
            rule_key: "d1.check".to_owned(),
            protocol: "default".to_owned(),
            protocol_version: 1,
            kind: PromptKind::Safety,
            priority: 1,
            anchor: None,
            occurrence: 0,
            day: Some(1),
            local_date: local.date(),
            local_time: local.time(),
            zone,
            due_at,
            expires_at,
            reminder_at: None,
            minutes: 1,
            optional: false,
            push: true,
            hangs_on: None,
            why: Why::Window,
            own: None,
        };
        let (id, doc) = (planned.id, PromptDoc { planned, history: Vec::new(), answer_id: None, answered_at: None });
        let fired_at = Some(due_at);
        let stage = DeliveryStage::Settled;
        let mut prompt =
            StoredPrompt { id, doc, stage, due_at, expires_at, fired_at, delivered_at: fired_at, version: 1 };
        for (deed, cause) in history {
            prompt.note(*deed, NOW, cause.map(str::to_owned));
        }
        prompt
    }

    #[test]
    fn what_an_infusion_took_back_is_excused_by_the_cause_of_the_withdrawal() {
        let fate_of = |history: &[(PromptEvent, Option<&str>)]| fate(&check(history), NOW).unwrap();
        let cancelled = |cause| (PromptEvent::Cancelled, Some(cause));
        for cause in ["withdrawn", "corrected", "superseded", "merged", "series", "in_session", "provisional"] {
            assert_eq!(fate_of(&[cancelled(cause)]), Fate::Excused, "{cause}");
        }
        // A pause, a caution of a therapist and the like say something of the patient.
        for cause in ["paused", "withheld", "left_out", "answered", "replaced", "cap", "not_ready", "no_such_reason"] {
            assert_eq!(fate_of(&[cancelled(cause)]), Fate::Withdrawn, "{cause}");
        }
        assert_eq!(fate_of(&[(PromptEvent::Cancelled, None)]), Fate::Withdrawn);
        // A move that is noted afterwards has a cause of its own, and so have the withdrawals before the last.
        let moved = |cause| (PromptEvent::Moved, Some(cause));
        let revived = (PromptEvent::Revived, None);
        assert_eq!(fate_of(&[cancelled("withdrawn"), moved("paused")]), Fate::Excused);
        assert_eq!(fate_of(&[cancelled("paused"), moved("withdrawn")]), Fate::Withdrawn);
        assert_eq!(fate_of(&[cancelled("paused"), revived, cancelled("merged")]), Fate::Excused);
        assert_eq!(fate_of(&[cancelled("merged"), revived, cancelled("paused")]), Fate::Withdrawn);
        // What came back is asked, whatever took it away before.
        assert_eq!(fate_of(&[cancelled("withdrawn"), revived]), Fate::Open);
        let mut answered = check(&[cancelled("withdrawn")]);
        answered.doc.answered_at = Some(NOW);
        assert_eq!(fate(&answered, NOW), Some(Fate::Completed));
    }

    fn of(completed: u32, lapsed: u32) -> Portion {
        Tally { completed, lapsed, open: 9, excused: 9, ..Tally::default() }.portion()
    }

    #[test]
    fn nothing_offered_is_no_full_adherence() {
        assert_eq!(of(0, 0), Portion::NothingOffered);
        assert_eq!(of(0, 3), Portion::None);
        assert_eq!(
            (of(1, 9), of(1, 1), of(9, 1), of(4, 0)),
            (Portion::ALittle, Portion::AboutHalf, Portion::Most, Portion::All)
        );
    }

    #[test]
    fn a_patient_is_shown_no_number() {
        for portion in [Portion::NothingOffered, Portion::None, Portion::ALittle, Portion::AboutHalf, Portion::Most] {
            let all = ["en", "de-AT", "es", "tlh"].map(|locale| portion.sentence(locale));
            assert!(all.iter().all(|text| !text.contains(|c: char| c.is_numeric()) && !text.contains('%')));
            assert_eq!(all[0], all[3]);
            assert!(all[0] != all[1] && all[1] != all[2]);
        }
    }
}
