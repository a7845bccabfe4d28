//! The words of the window in German.

use jiff::civil::{DateTime, Weekday};

use super::phase::Phase;

/// The advice on driving, with the place of the earliest time in it.
pub(super) const DRIVING: &str = "Bitte setz dich nicht vor {when} ans Steuer, und nicht, bevor du eine Nacht geschlafen hast. \
     Deine Klinik kann um mehr Zeit bitten.";
/// What follows a time by the clock of a place.
pub(super) const PLACE: &str = " Ortszeit {place}";

pub(super) const fn label(phase: Phase) -> &'static str {
    match phase {
        Phase::None => "Noch keine Sitzung",
        Phase::InSession => "In der Sitzung",
        Phase::Acute => "In der Klinik / Ankommen",
        Phase::Settling => "Ausruhen & festhalten",
        Phase::Peak => "Offenes Fenster",
        Phase::Consolidate => "Üben & wiederholen",
        Phase::Closing => "Weitertragen",
        Phase::Maintenance => "Zwischen den Fenstern",
    }
}

pub(super) const fn sentence(phase: Phase) -> &'static str {
    match phase {
        Phase::None => {
            "Sobald eine Sitzung eingetragen ist, siehst du hier, in welchem Teil der Tage danach du bist. \
             Bis dahin kannst du schreiben, wann immer du magst."
        }
        Phase::InSession => "Deine Sitzung läuft gerade, und hier braucht nichts deine Aufmerksamkeit.",
        Phase::Acute => "Du landest gerade: Lass dir Zeit, hier wird nichts von dir verlangt.",
        Phase::Settling => {
            "Ruhe geht für dich jetzt vor. Wenn du magst, halte ein paar Stücke fest von dem, was dir \
             aufgefallen ist, mit einem Wort oder einer Farbe."
        }
        Phase::Peak => {
            "Manche Forschung deutet darauf hin, dass es in diesen Tagen leichter sein kann, neue Muster zu \
             lernen. Wenn es für dich passt, kannst du eine kleine Übung ausprobieren."
        }
        Phase::Consolidate => {
            "Du kannst zu dem zurückkommen, was sich nützlich angefühlt hat, und es im Kleinen wiederholen. \
             Ein wenig genügt, und eine Pause ist in Ordnung."
        }
        Phase::Closing => {
            "Du kannst anschauen, was du behalten möchtest, und es in deinem eigenen Tempo in deinen Alltag \
             kommen lassen."
        }
        Phase::Maintenance => {
            "Du bist in der alltäglichen Zeit zwischen den Sitzungen. \
             Ein kurzer Blick zurück ab und zu reicht völlig, und ihn auszulassen ist in Ordnung."
        }
    }
}

/// Writes a local time.
pub(super) fn when(at: DateTime) -> String {
    format!("{}, {}. {}, {} Uhr", weekday(at.weekday()), at.day(), month(at.month()), at.strftime("%H:%M"))
}

const fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Montag",
        Weekday::Tuesday => "Dienstag",
        Weekday::Wednesday => "Mittwoch",
        Weekday::Thursday => "Donnerstag",
        Weekday::Friday => "Freitag",
        Weekday::Saturday => "Samstag",
        Weekday::Sunday => "Sonntag",
    }
}

const fn month(number: i8) -> &'static str {
    match number {
        1 => "Januar",
        2 => "Februar",
        3 => "März",
        4 => "April",
        5 => "Mai",
        6 => "Juni",
        7 => "Juli",
        8 => "August",
        9 => "September",
        10 => "Oktober",
        11 => "November",
        _ => "Dezember",
    }
}
