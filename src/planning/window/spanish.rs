//! The words of the window in Spanish.

use jiff::civil::{DateTime, Weekday};

use super::phase::Phase;

/// The advice on driving, with the place of the earliest time in it.
pub(super) const DRIVING: &str = "Por favor, no conduzcas antes del {when}, ni antes de haber dormido una noche. \
     Tu clínica puede pedirte que esperes más.";
/// What follows a time by the clock of a place.
pub(super) const PLACE: &str = ", hora de {place}";

pub(super) const fn label(phase: Phase) -> &'static str {
    match phase {
        Phase::None => "Aún no hay sesión",
        Phase::InSession => "En sesión",
        Phase::Acute => "En la clínica / aterrizaje",
        Phase::Settling => "Descansar y recoger",
        Phase::Peak => "Ventana abierta",
        Phase::Consolidate => "Practicar y repetir",
        Phase::Closing => "Llevarlo contigo",
        Phase::Maintenance => "Entre ventanas",
    }
}

pub(super) const fn sentence(phase: Phase) -> &'static str {
    match phase {
        Phase::None => {
            "Cuando haya una sesión registrada, aquí verás en qué parte de los días siguientes estás. \
             Hasta entonces puedes escribir cuando quieras."
        }
        Phase::InSession => "Tu sesión está en curso, y nada de aquí necesita tu atención.",
        Phase::Acute => "Estás aterrizando: tómate tu tiempo, aquí no se te pide nada.",
        Phase::Settling => {
            "Para ti, ahora el descanso va primero. Si quieres, recoge unos pedazos de lo que notaste, con una \
             palabra o un color."
        }
        Phase::Peak => {
            "Algunas investigaciones sugieren que en estos días puede ser más fácil aprender patrones nuevos. \
             Si te va bien, puedes probar una práctica pequeña."
        }
        Phase::Consolidate => {
            "Puedes volver a lo que te resultó útil y repetirlo en pequeño. Con un poco basta, y una pausa está bien."
        }
        Phase::Closing => {
            "Puedes mirar qué te gustaría conservar y dejar que se una a tus días corrientes, a tu propio ritmo."
        }
        Phase::Maintenance => {
            "Estás en el tiempo cotidiano entre sesiones. \
             Una breve mirada atrás de vez en cuando te basta, y saltártela está bien."
        }
    }
}

/// Writes a local time.
pub(super) fn when(at: DateTime) -> String {
    format!("{} {} de {}, {}", weekday(at.weekday()), at.day(), month(at.month()), at.strftime("%H:%M"))
}

const fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "lunes",
        Weekday::Tuesday => "martes",
        Weekday::Wednesday => "miércoles",
        Weekday::Thursday => "jueves",
        Weekday::Friday => "viernes",
        Weekday::Saturday => "sábado",
        Weekday::Sunday => "domingo",
    }
}

const fn month(number: i8) -> &'static str {
    match number {
        1 => "enero",
        2 => "febrero",
        3 => "marzo",
        4 => "abril",
        5 => "mayo",
        6 => "junio",
        7 => "julio",
        8 => "agosto",
        9 => "septiembre",
        10 => "octubre",
        11 => "noviembre",
        _ => "diciembre",
    }
}
