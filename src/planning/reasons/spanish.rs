//! The reasons of a plan in Spanish, said to the patient.

use crate::planning::plan::{DropReason, Why};

pub(super) fn why_in_words(why: Why) -> &'static str {
    match why {
        Why::Window => "al comienzo de su parte del día, minutos arriba o abajo",
        Why::LaterWindow => "su primera parte del día ya estaba ocupada",
        Why::EarlierDay => "el día previsto quedaba demasiado cerca de una infusión",
        Why::LaterDay => "el día previsto era aún muy pronto después de una infusión",
        Why::AfterEnd => "unas horas después del final de la infusión",
        Why::LateSession => "la sesión terminó tarde: lo más tarde que cabe, o temprano a la mañana siguiente",
        Why::BeforeStart => "unas horas antes de la sesión",
        Why::Spacing => "tres horas después del aviso anterior",
        Why::QuietHours => "al final de las horas de silencio",
        Why::AfterSession => "después de la sesión, cuando pasan sus primeras horas",
        Why::Readiness => "antes habría pedido demasiado",
        Why::CarriedOver => "el día anterior no llegó a hacerse",
        Why::Silence => "ha habido silencio durante un tiempo",
        Why::Lighter => "en lugar de algo que habría pedido demasiado",
        Why::Corrected => "preguntado de nuevo: la hora de la infusión se corrigió cuando ya se había enviado",
    }
}

pub(super) fn dropped_in_words(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Capability => "este servidor aún no puede hacer lo que necesita",
        DropReason::LeftOut => "en tu terapia se dejó fuera para ti",
        DropReason::Withheld => "por ahora está en reposo",
        DropReason::Prerequisite => "falta algo que necesita de ti",
        DropReason::Paused => "cae en una pausa",
        DropReason::Suspended => "antes va otra cosa",
        DropReason::InSession => "llegaría durante una sesión o en las primeras horas después",
        DropReason::NotReady => "sería demasiado, recién aterrizando o si las cosas se sienten irreales",
        DropReason::Answered => "es para días callados, y has tenido actividad",
        DropReason::Stopped => "varios seguidos pasaron de largo; descansa hasta que hagas algo o llegue una infusión",
        DropReason::Replaced => "otro aviso viene en su lugar",
        DropReason::Merged => "otra infusión en la misma fecha ocupa su lugar",
        DropReason::Series => "la próxima infusión llega tan pronto que solo se conserva una parte del programa",
        DropReason::Superseded => "la próxima infusión viene antes",
        DropReason::Provisional => "el final de la infusión no está confirmado",
        DropReason::Cap => "en este día no cabe más",
        DropReason::Spacing => "no hay espacio entre sus vecinos",
        DropReason::QuietHours => "las horas de silencio duran hasta que ya no sirve",
        DropReason::TooLate => "lo que prepara viene antes",
        DropReason::TooSoon => "un cuestionario tan pronto después de una infusión, o del anterior, dice poco",
        DropReason::Corrected => "la hora de la infusión se corrigió cuando ya se había enviado",
        DropReason::Withdrawn => "aquello de lo que dependía ya no está",
        DropReason::Past => "su nueva hora ya ha pasado",
    }
}
