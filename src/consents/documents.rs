//! The documents, with their texts. A text that was shown never changes: another wording is another version.

use std::fmt::Write as _;

use aws_lc_rs::digest;

/// What a document covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covers {
    /// Nothing that the program does: it is information to have read.
    Information,
    /// Opening what one writes to therapists.
    Sharing,
    /// That answers to questions about safety go to the care team.
    SafetyAnswers,
    /// The use of notes, without names, for work on quality.
    QualityWork,
    /// That somebody else uses the app for the patient.
    ProxyAccess,
    /// The use of data for research.
    Research,
    /// Messages by e-mail.
    AutomatedMessages,
}

impl Covers {
    /// Returns the word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Information => "information",
            Self::Sharing => "sharing",
            Self::SafetyAnswers => "safety_answers",
            Self::QualityWork => "quality_work",
            Self::ProxyAccess => "proxy_access",
            Self::Research => "research",
            Self::AutomatedMessages => "automated_messages",
        }
    }
}

/// A document in its present version.
#[derive(Debug)]
pub struct Document {
    /// Its key.
    pub key: &'static str,
    /// Its version.
    pub version: u32,
    /// What it covers.
    pub covers: Covers,
    /// Whether what it covers needs it.
    pub required: bool,
    /// Its text by language.
    pub texts: [(&'static str, &'static str); 3],
}

impl Document {
    /// Finds a document by its key.
    pub fn find(key: &str) -> Option<&'static Self> {
        DOCUMENTS.iter().find(|document| document.key == key)
    }

    /// Lists every document.
    pub fn all() -> &'static [Self] {
        &DOCUMENTS
    }

    /// Returns the text in a language.
    pub fn text(&self, locale: &str) -> Option<&'static str> {
        self.texts.iter().find(|(language, _)| *language == locale).map(|(_, text)| *text)
    }

    /// Whether a therapist is concerned by how it stands.
    pub fn concerns_therapists(&self) -> bool {
        matches!(self.covers, Covers::Sharing | Covers::SafetyAnswers)
    }
}

/// Returns the SHA-256 of a text, in hexadecimal digits.
pub fn text_hash(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    hash.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The version of every document so far.
const FIRST: u32 = 1;

const fn information(key: &'static str, texts: [(&'static str, &'static str); 3]) -> Document {
    Document { key, version: FIRST, covers: Covers::Information, required: false, texts }
}

const fn optional(key: &'static str, covers: Covers, texts: [(&'static str, &'static str); 3]) -> Document {
    Document { key, version: FIRST, covers, required: false, texts }
}

static DOCUMENTS: [Document; 11] = [
    information(
        "not_emergency",
        [
            (
                "en",
                "This app is not an emergency service and nobody is watching it minute by minute. If you might hurt \
                 yourself or someone else, or feel medically unwell, use the emergency number or crisis line shown \
                 on every page.",
            ),
            (
                "de",
                "Diese App ist kein Notdienst, und niemand schaut ständig hinein. Wenn Sie sich oder jemand anderen \
                 verletzen könnten oder sich körperlich schlecht fühlen, wählen Sie den Notruf oder das \
                 Krisentelefon, die auf jeder Seite stehen.",
            ),
            (
                "es",
                "Esta aplicación no es un servicio de urgencias y nadie la vigila minuto a minuto. Si pudiera \
                 hacerse daño a sí mismo o a otra persona, o se siente mal físicamente, use el número de emergencias \
                 o la línea de crisis que aparecen en cada página.",
            ),
        ],
    ),
    information(
        "window_heuristic",
        [
            (
                "en",
                "The phases and curve are a teaching picture built from early research, much of it in animals. They \
                 do not measure your brain, predict your result, or tell you when to have another dose.",
            ),
            (
                "de",
                "Phasen und Kurve sind ein Lehrbild aus früher Forschung, vieles davon an Tieren. Sie messen nicht \
                 Ihr Gehirn, sagen Ihr Ergebnis nicht voraus und sagen nicht, wann Sie eine weitere Dosis bekommen \
                 sollten.",
            ),
            (
                "es",
                "Las fases y la curva son una imagen didáctica hecha a partir de investigación temprana, gran parte \
                 en animales. No miden su cerebro, no predicen su resultado ni le dicen cuándo recibir otra dosis.",
            ),
        ],
    ),
    Document {
        key: "sharing",
        version: FIRST,
        covers: Covers::Sharing,
        required: true,
        texts: [
            (
                "en",
                "Your entries are yours alone unless you share them one by one or switch sharing on. You can take \
                 sharing back; readers may have seen or noted what was shared before then.",
            ),
            (
                "de",
                "Ihre Einträge gehören Ihnen allein, solange Sie sie nicht einzeln teilen oder das Teilen \
                 einschalten. Sie können das Teilen zurücknehmen; wer mitliest, kann vorher Geteiltes gesehen oder \
                 notiert haben.",
            ),
            (
                "es",
                "Sus entradas son solo suyas mientras no las comparta una por una o active el compartir. Puede dejar \
                 de compartir; quienes leen pueden haber visto o anotado lo que se compartió antes.",
            ),
        ],
    },
    optional(
        "safety_answers",
        Covers::SafetyAnswers,
        [
            (
                "en",
                "Some questions are about safety. Those answers go to your care team even if journals are private. \
                 We will say so on the screen before you answer.",
            ),
            (
                "de",
                "Einige Fragen betreffen die Sicherheit. Diese Antworten gehen an Ihr Behandlungsteam, auch wenn das \
                 Tagebuch privat ist. Wir sagen es auf dem Bildschirm, bevor Sie antworten.",
            ),
            (
                "es",
                "Algunas preguntas tratan de la seguridad. Esas respuestas llegan a su equipo aunque el diario sea \
                 privado. Lo diremos en la pantalla antes de que responda.",
            ),
        ],
    ),
    optional(
        "sensitive_data",
        Covers::QualityWork,
        [
            (
                "en",
                "Your notes concern health and may touch substance use, sex, faith or other people. We keep them \
                 encrypted and never sell them. Choose whether they may be used for de-identified quality work – no \
                 is fine and changes nothing in your care.",
            ),
            (
                "de",
                "Ihre Notizen betreffen die Gesundheit und können Substanzen, Sexualität, Glauben oder andere \
                 Menschen berühren. Wir bewahren sie verschlüsselt auf und verkaufen sie nie. Wählen Sie, ob sie \
                 ohne Namen für die Qualitätsarbeit genutzt werden dürfen – ein Nein ist in Ordnung und ändert \
                 nichts an Ihrer Behandlung.",
            ),
            (
                "es",
                "Sus notas tratan de la salud y pueden tocar el consumo de sustancias, el sexo, la fe u otras \
                 personas. Las guardamos cifradas y nunca las vendemos. Elija si pueden usarse, sin identificarle, \
                 para mejorar la calidad: decir que no está bien y no cambia nada en su atención.",
            ),
        ],
    ),
    information(
        "treatment_status",
        [
            (
                "en",
                "Ketamine for mood conditions is often prescribed off-label. Esketamine nasal spray is approved for \
                 particular conditions and given only in certified settings. Long-term risks, including dependence, \
                 bladder and memory problems, are not fully known.",
            ),
            (
                "de",
                "Ketamin wird bei Störungen der Stimmung oft außerhalb der Zulassung verordnet. Esketamin-Nasenspray \
                 ist für bestimmte Erkrankungen zugelassen und wird nur in dafür geeigneten Einrichtungen gegeben. \
                 Langzeitrisiken, darunter Abhängigkeit, Blasen- und Gedächtnisprobleme, sind nicht ganz bekannt.",
            ),
            (
                "es",
                "La ketamina para trastornos del ánimo se receta a menudo fuera de indicación. El espray nasal de \
                 esketamina está aprobado para ciertas afecciones y se da solo en centros certificados. Los riesgos \
                 a largo plazo, como dependencia y problemas de vejiga o de memoria, no se conocen del todo.",
            ),
        ],
    ),
    information(
        "no_driving",
        [
            (
                "en",
                "Until the time shown and a full night's sleep, do not drive, climb, supervise small children alone \
                 or sign anything important.",
            ),
            (
                "de",
                "Bis zur angezeigten Zeit und einer ganzen Nacht Schlaf: nicht fahren, nicht klettern, kleine Kinder \
                 nicht allein beaufsichtigen und nichts Wichtiges unterschreiben.",
            ),
            (
                "es",
                "Hasta la hora indicada y una noche entera de sueño, no conduzca, no trepe, no cuide solo a niños \
                 pequeños y no firme nada importante.",
            ),
        ],
    ),
    information(
        "data_rights",
        [
            (
                "en",
                "You can see, correct, take away and erase what you wrote. What your clinic has to keep by law, it \
                 keeps for that time; you see what that is.",
            ),
            (
                "de",
                "Sie können sehen, berichtigen, mitnehmen und löschen, was Sie geschrieben haben. Was Ihre Klinik \
                 nach dem Gesetz aufbewahren muss, bewahrt sie so lange auf; Sie sehen, was das ist.",
            ),
            (
                "es",
                "Puede ver, corregir, llevarse y borrar lo que escribió. Lo que su clínica debe guardar por ley, lo \
                 guarda durante ese tiempo; usted ve qué es.",
            ),
        ],
    ),
    optional(
        "proxy_access",
        Covers::ProxyAccess,
        [
            (
                "en",
                "Somebody you name may use the app for you. They then see what you choose to open to them, and you \
                 can end it at any time.",
            ),
            (
                "de",
                "Jemand, den Sie nennen, kann die App für Sie nutzen. Diese Person sieht dann, was Sie ihr öffnen, \
                 und Sie können es jederzeit beenden.",
            ),
            (
                "es",
                "Una persona que usted nombre puede usar la aplicación por usted. Verá lo que usted le abra, y puede \
                 terminarlo en cualquier momento.",
            ),
        ],
    ),
    optional(
        "research",
        Covers::Research,
        [
            (
                "en",
                "Your data may be used for research, without your name. It is a separate choice: no is fine and \
                 changes nothing in your care.",
            ),
            (
                "de",
                "Ihre Daten dürfen ohne Ihren Namen für die Forschung genutzt werden. Das ist eine eigene \
                 Entscheidung: ein Nein ist in Ordnung und ändert nichts an Ihrer Behandlung.",
            ),
            (
                "es",
                "Sus datos pueden usarse para investigación, sin su nombre. Es una decisión aparte: decir que no \
                 está bien y no cambia nada en su atención.",
            ),
        ],
    ),
    optional(
        "automated_messages",
        Covers::AutomatedMessages,
        [
            (
                "en",
                "Messages by e-mail are not private on the way, and others may see them on your screen. They carry \
                 one neutral sentence and no content.",
            ),
            (
                "de",
                "Nachrichten per E-Mail sind unterwegs nicht privat, und andere können sie auf Ihrem Bildschirm \
                 sehen. Sie enthalten einen neutralen Satz und keinen Inhalt.",
            ),
            (
                "es",
                "Los mensajes por correo electrónico no son privados en el camino, y otros pueden verlos en su \
                 pantalla. Llevan una frase neutra y ningún contenido.",
            ),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_document_has_one_key_and_a_text_in_each_language() {
        let mut keys: Vec<_> = DOCUMENTS.iter().map(|document| document.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), DOCUMENTS.len());
        for document in &DOCUMENTS {
            assert_eq!(document.texts.map(|(locale, _)| locale), ["en", "de", "es"], "{}", document.key);
            assert!(document.texts.iter().all(|(_, text)| text.len() > 60 && !text.contains("  ")), "{}", document.key);
        }
    }

    #[test]
    fn what_is_required_covers_something() {
        assert!(DOCUMENTS.iter().all(|document| !document.required || document.covers != Covers::Information));
    }

    #[test]
    fn the_hash_is_sha_256() {
        assert_eq!(text_hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
