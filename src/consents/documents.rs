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
                "Diese App ist kein Notdienst, und niemand schaut rund um die Uhr hinein. Wenn du dir oder anderen \
                 etwas antun könntest oder dich körperlich schlecht fühlst, ruf die Notrufnummer oder das \
                 Krisentelefon an, die auf jeder Seite stehen.",
            ),
            (
                "es",
                "Esta aplicación no es un servicio de urgencias y nadie la vigila minuto a minuto. Si pudieras \
                 hacerte daño o hacérselo a otra persona, o te encuentras mal físicamente, llama al número de \
                 emergencias o a la línea de crisis que aparecen en cada página.",
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
                "Die Phasen und die Kurve sind ein Bild zum Erklären. Es beruht auf Forschung, die noch am Anfang \
                 steht, vieles davon an Tieren. Es misst nicht dein Gehirn, sagt nicht voraus, wie es dir gehen wird, \
                 und sagt nicht, wann du eine weitere Dosis bekommen solltest.",
            ),
            (
                "es",
                "Las fases y la curva son un dibujo para explicar, hecho a partir de una investigación que aún \
                 empieza, gran parte de ella en animales. No miden tu cerebro, no predicen cómo te irá ni te dicen \
                 cuándo recibir otra dosis.",
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
                "Deine Einträge sind nur für dich, solange du sie nicht einzeln teilst oder das Teilen einschaltest. \
                 Du kannst das Teilen zurücknehmen; wer bis dahin mitlesen durfte, kann schon gesehen oder notiert \
                 haben, was geteilt war.",
            ),
            (
                "es",
                "Tus entradas son solo tuyas mientras no las compartas una por una o actives la opción de compartir. \
                 Puedes dejar de compartir; quien podía leer quizá ya haya visto o anotado lo que compartiste hasta \
                 entonces.",
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
                "Bei manchen Fragen geht es um deine Sicherheit. Diese Antworten gehen an dein Behandlungsteam, auch \
                 wenn dein Tagebuch privat ist. Das steht auf dem Bildschirm, bevor du antwortest.",
            ),
            (
                "es",
                "Algunas preguntas tratan de tu seguridad. Esas respuestas llegan a tu equipo aunque tu diario sea \
                 privado. Te lo diremos en la pantalla antes de que respondas.",
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
                 encrypted and never sell them. Choose whether they may be used to make care better, once everything \
                 that points to you is taken out – no is fine and changes nothing in your care.",
            ),
            (
                "de",
                "Deine Notizen betreffen deine Gesundheit und können auch von Alkohol und Drogen, Sexualität, Glauben \
                 oder anderen Menschen handeln. Wir bewahren sie verschlüsselt auf und verkaufen sie nie. Du \
                 entscheidest, ob sie helfen dürfen, Behandlungen besser zu machen, nachdem alles entfernt ist, was \
                 auf dich hinweist – ein Nein ist in Ordnung und ändert nichts an deiner Behandlung.",
            ),
            (
                "es",
                "Tus notas tratan de tu salud y pueden hablar de alcohol y drogas, de sexo, de fe o de otras \
                 personas. Las guardamos cifradas y nunca las vendemos. Tú decides si pueden usarse para mejorar la \
                 atención, una vez quitado todo lo que apunte a ti: decir que no está bien y no cambia nada en tu \
                 atención.",
            ),
        ],
    ),
    information(
        "treatment_status",
        [
            (
                "en",
                "Ketamine for mood conditions is often prescribed off-label: for something other than what it was \
                 approved for. Esketamine nasal spray is approved for particular conditions and given only in places \
                 set up for it, with health staff present. Long-term risks, such as coming to depend on it, or \
                 problems with the bladder or memory, are not fully known.",
            ),
            (
                "de",
                "Bei Störungen der Stimmung wird Ketamin oft außerhalb der Zulassung verordnet, also für etwas \
                 anderes, als wofür es zugelassen ist. Esketamin-Nasenspray ist für bestimmte Erkrankungen zugelassen \
                 und wird nur in dafür vorgesehenen Einrichtungen gegeben, im Beisein von Fachpersonal. Risiken auf \
                 lange Sicht, etwa abhängig zu werden oder Probleme mit Blase oder Gedächtnis, sind nicht ganz \
                 bekannt.",
            ),
            (
                "es",
                "Para los trastornos del ánimo, la ketamina se receta a menudo fuera de indicación: para algo \
                 distinto de aquello para lo que se aprobó. El espray nasal de esketamina está aprobado para ciertas \
                 afecciones y se da solo en centros preparados para ello, con personal sanitario presente. Los \
                 riesgos a largo plazo, como llegar a depender de ella o tener problemas de vejiga o de memoria, no \
                 se conocen del todo.",
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
                "Bis zur angezeigten Zeit, und bis du eine ganze Nacht geschlafen hast: nicht ans Steuer setzen, \
                 nicht klettern, kleine Kinder nicht allein beaufsichtigen und nichts Wichtiges unterschreiben.",
            ),
            (
                "es",
                "Hasta la hora indicada, y hasta haber dormido una noche entera, no conduzcas, no te subas a sitios \
                 altos, no cuides a solas de niños pequeños y no firmes nada importante.",
            ),
        ],
    ),
    information(
        "data_rights",
        [
            (
                "en",
                "You can see and correct what you wrote, take a copy with you, and erase it. What your clinic has to \
                 keep by law, it keeps for that time; you see what that is.",
            ),
            (
                "de",
                "Du kannst sehen und berichtigen, was du geschrieben hast, eine Kopie mitnehmen und es löschen. Was \
                 deine Klinik nach dem Gesetz aufbewahren muss, bewahrt sie so lange auf; du siehst, was das ist.",
            ),
            (
                "es",
                "Puedes ver y corregir lo que escribiste, llevarte una copia y borrarlo. Lo que tu clínica debe \
                 guardar por ley, lo guarda durante ese tiempo; tú ves qué es.",
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
                "Jemand, den du bestimmst, darf die App für dich nutzen. Diese Person sieht dann, was du ihr öffnest, \
                 und du kannst das jederzeit beenden.",
            ),
            (
                "es",
                "Una persona que tú elijas puede usar la aplicación por ti. Verá lo que tú le abras, y puedes ponerle \
                 fin en cualquier momento.",
            ),
        ],
    ),
    optional(
        "research",
        Covers::Research,
        [
            (
                "en",
                "Your data may be used for research, once your name and everything that points to you is taken out. \
                 It is a separate choice: no is fine and changes nothing in your care.",
            ),
            (
                "de",
                "Deine Daten dürfen für die Forschung genutzt werden, nachdem dein Name und alles entfernt ist, was \
                 auf dich hinweist. Das ist eine eigene Entscheidung: ein Nein ist in Ordnung und ändert nichts an \
                 deiner Behandlung.",
            ),
            (
                "es",
                "Tus datos pueden usarse para investigación, una vez quitado tu nombre y todo lo que apunte a ti. Es \
                 una decisión aparte: decir que no está bien y no cambia nada en tu atención.",
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
                 one neutral sentence and nothing of what you wrote.",
            ),
            (
                "de",
                "Nachrichten per E-Mail sind unterwegs nicht geschützt, und andere können sie auf deinem Bildschirm \
                 sehen. Sie enthalten einen neutralen Satz und nichts von dem, was du geschrieben hast.",
            ),
            (
                "es",
                "Los mensajes por correo electrónico no son privados en el camino, y otras personas pueden verlos en \
                 tu pantalla. Llevan una frase neutra y nada de lo que escribiste.",
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
            // They speak to their reader as the rest does, not formally.
            let formal = ["Ihre", "Ihnen", "wenn Sie", "usted"]
                .map(|word| document.texts.iter().any(|(_, text)| text.contains(word)));
            assert_eq!(formal, [false; 4], "{}", document.key);
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
