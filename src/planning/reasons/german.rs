//! The reasons of a plan in German, said to the patient.

use crate::planning::plan::{DropReason, Why};

pub(super) fn why_in_words(why: Why) -> &'static str {
    match why {
        Why::Window => "am Anfang seines Tagesabschnitts, ein paar Minuten hin oder her",
        Why::LaterWindow => "sein erster Tagesabschnitt war schon belegt",
        Why::EarlierDay => "der Tag, für den es gedacht war, lag zu nah an einer Infusion",
        Why::LaterDay => "an dem Tag, für den es gedacht war, war die Infusion noch zu frisch",
        Why::AfterEnd => "einige Stunden nach dem Ende der Infusion",
        Why::LateSession => "die Sitzung endete spät: so spät, wie es noch geht, oder früh am nächsten Morgen",
        Why::BeforeStart => "einige Stunden vor der Sitzung",
        Why::Spacing => "drei Stunden nach der Anregung davor",
        Why::QuietHours => "am Ende der Ruhezeit",
        Why::AfterSession => "nach der Sitzung, wenn ihre ersten Stunden vorbei sind",
        Why::Readiness => "davor hätte es zu viel von dir verlangt",
        Why::CarriedOver => "am Tag davor ist es nicht dazu gekommen",
        Why::Silence => "es war eine Zeit lang still",
        Why::Lighter => "anstelle von etwas, das zu viel verlangt hätte",
        Why::Corrected => {
            "noch einmal gefragt: Die Zeit der Infusion wurde berichtigt, nachdem es schon verschickt war"
        }
    }
}

pub(super) fn dropped_in_words(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Capability => "was es braucht, kann dieser Server noch nicht",
        DropReason::LeftOut => "in deiner Therapie wurde es für dich weggelassen",
        DropReason::Withheld => "es ruht gerade",
        DropReason::Prerequisite => "etwas, das es von dir braucht, ist noch nicht da",
        DropReason::Paused => "es fällt in eine Pause",
        DropReason::Suspended => "zuerst ist etwas anderes dran",
        DropReason::InSession => "es käme während einer Sitzung oder in den ersten Stunden danach",
        DropReason::NotReady => "es wäre zu viel, so kurz nach der Landung oder wenn sich Dinge unwirklich anfühlen",
        DropReason::Answered => "es ist für stille Tage gedacht, und du warst aktiv",
        DropReason::Stopped => {
            "mehrere hintereinander sind vorübergegangen; es ruht, bis du etwas machst oder eine Infusion kommt"
        }
        DropReason::Replaced => "eine andere Anregung kommt an seiner Stelle",
        DropReason::Merged => "eine andere Infusion am selben Tag tritt an die Stelle",
        DropReason::Series => "die nächste Infusion folgt so bald, dass nur ein Teil des Programms bleibt",
        DropReason::Superseded => "die nächste Infusion kommt zuerst",
        DropReason::Provisional => "das Ende der Infusion ist noch nicht bestätigt",
        DropReason::Cap => "mehr passt nicht in diesen Tag",
        DropReason::Spacing => "zwischen seinen Nachbarn ist kein Platz",
        DropReason::QuietHours => "die Ruhezeit dauert, bis es nichts mehr nützt",
        DropReason::TooLate => "das, was es vorbereitet, kommt zuerst",
        DropReason::TooSoon => "ein Fragebogen so kurz nach einer Infusion oder nach dem letzten sagt wenig aus",
        DropReason::Corrected => "die Zeit der Infusion wurde berichtigt, nachdem es schon verschickt war",
        DropReason::Withdrawn => "woran es hing, gibt es nicht mehr",
        DropReason::Past => "seine neue Zeit ist schon vorbei",
    }
}
