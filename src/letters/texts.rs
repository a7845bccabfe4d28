//! The subjects and texts of letters, in three languages. They name neither medicine nor therapy: others see the
//! screen. The code stands on a line of its own.

use super::model::LetterKind;
use crate::kernel::JoinCode;
use crate::kernel::locale::TextLanguage;

/// Returns the subject and the text of a letter in a language, a tag of BCP 47; English for languages without texts.
/// A kind that does not leave has neither.
pub(super) fn subject_and_body(kind: LetterKind, locale: &str, code: Option<&JoinCode>) -> (&'static str, String) {
    let (subject, body, end) = match TextLanguage::of(locale) {
        TextLanguage::English => english(kind),
        TextLanguage::German => german(kind),
        TextLanguage::Spanish => spanish(kind),
    };
    let code = code.map(|code| format!("\n\n{code}")).unwrap_or_default();
    (subject, format!("{body}{code}\n\n{end}\n"))
}

/// The subject, what stands before the code, and what stands after it.
type Text = (&'static str, &'static str, &'static str);

const fn english(kind: LetterKind) -> Text {
    const IGNORE: &str = "If you did not ask for this, you need not do anything.";
    match kind {
        LetterKind::Verify => {
            ("Your code", "This code confirms your e-mail address. Enter it in the app within 24 hours:", IGNORE)
        }
        LetterKind::Reset => (
            "Your code for a new passphrase",
            "This code sets a new passphrase. Enter it in the app within 30 minutes:",
            "If you did not ask for this, do nothing: your passphrase stays as it is. Give the code to nobody.",
        ),
        LetterKind::Register => (
            "Your code to register",
            "This code confirms your e-mail address. Enter it in the app within 24 hours to make your account:",
            IGNORE,
        ),
        LetterKind::Known => (
            "You have an account",
            "Somebody wanted to use this e-mail address for an account. There is one already: log in with it, or set a \
             new passphrase in the app if you have forgotten yours.",
            IGNORE,
        ),
        LetterKind::KnownInvited => (
            "You have an account",
            "Somebody wants to join with an invitation and this e-mail address. There is an account already: log in with \
             it and enter the code of the invitation there. If you have forgotten your passphrase, set a new one in the \
             app.",
            IGNORE,
        ),
        LetterKind::AddressAsked => (
            "A new e-mail address for your account",
            "Somebody who is logged in asked for another e-mail address for your account. It takes the place of this one \
             once it is confirmed.",
            "If that was not you, change your passphrase in the app at once.",
        ),
        LetterKind::AddressChanged => (
            "Your account has another e-mail address",
            "Another e-mail address has taken the place of this one in your account. Codes and notices go there from now \
             on.",
            "If that was not you, write to the people from whom you have the app.",
        ),
        LetterKind::Disabled => (
            "Your account is disabled",
            "Your account was disabled, as you asked, and all your devices were logged out. Nothing was deleted.",
            "If that was not you, write to the people from whom you have the app.",
        ),
        LetterKind::DisabledByAdmin => (
            "Your account was disabled",
            "Somebody who looks after the accounts where you work disabled yours, and all your devices were logged out.",
            "If you do not know why, ask them.",
        ),
        LetterKind::PassphraseChanged
        | LetterKind::NewDevice
        | LetterKind::RefreshReused
        | LetterKind::SecondFactor
        | LetterKind::PasskeyAdded
        | LetterKind::FactorOff
        | LetterKind::RecoveryCodesMade
        | LetterKind::EnabledByOperator
        | LetterKind::FactorsForgotten => english_of_access(kind),
        LetterKind::Nothing => ("", "", ""),
    }
}

/// The letters about what opens an account.
const fn english_of_access(kind: LetterKind) -> Text {
    const LOOK: &str = "If that was not you, change your passphrase in the app at once. Then look through your \
                        passkeys and devices, and remove what you do not know.";
    match kind {
        LetterKind::PassphraseChanged => (
            "Your passphrase was changed",
            "The passphrase of your account was changed, and your other devices were logged out. A passkey that was \
             not removed still logs in.",
            "If that was not you, set a new passphrase in the app at once. Then look through your passkeys and \
             devices, and remove what you do not know.",
        ),
        LetterKind::NewDevice => (
            "A new device in your account",
            "Somebody logged in to your account on a device that it did not know. If that was you, you need not do \
             anything.",
            LOOK,
        ),
        LetterKind::RefreshReused => (
            "A device was logged out",
            "One of your devices was logged out, because a token of it came a second time: somebody may have copied it.",
            "Log in on it again. If you find a device that you do not know, log it out and change your passphrase.",
        ),
        LetterKind::SecondFactor => (
            "The second factor of your account",
            "A second factor was switched on for your account, a recovery code was used, or a passkey was removed or \
             copied. In the app you see what happened.",
            "If that was not you, change your passphrase in the app at once.",
        ),
        LetterKind::PasskeyAdded => (
            "A passkey was added to your account",
            "A passkey was added to your account. Whoever has it logs in without your passphrase.",
            LOOK,
        ),
        LetterKind::FactorOff => (
            "The second factor of your account was switched off",
            "The second factor of your account was switched off. Without one, your passphrase alone logs in.",
            LOOK,
        ),
        LetterKind::RecoveryCodesMade => (
            "New recovery codes for your account",
            "New recovery codes were made for your account; the old ones no longer work. Each new one stands in for \
             the second factor once.",
            LOOK,
        ),
        LetterKind::EnabledByOperator => (
            "Your account is enabled again",
            "The people who run this app enabled your account again, because somebody asked them to in your name. Your \
             devices stay logged out: log in with your passphrase. Then look through your passkeys, and remove what \
             you do not know.",
            "If that was not you, write to the people from whom you have the app.",
        ),
        LetterKind::FactorsForgotten => (
            "The second factor of your account was taken away",
            "The people who run this app took away the second factor of your account and its passkeys, because \
             somebody asked them to in your name. All your devices were logged out. Your passphrase alone logs in now: \
             switch on a second factor again in the app.",
            "If that was not you, change your passphrase at once and write to the people from whom you have the app.",
        ),
        _ => ("", "", ""),
    }
}

const fn german(kind: LetterKind) -> Text {
    const IGNORE: &str = "Wenn du das nicht angefordert hast, musst du nichts tun.";
    match kind {
        LetterKind::Verify => (
            "Dein Code",
            "Dieser Code bestätigt deine E-Mail-Adresse. Gib ihn innerhalb von 24 Stunden in der App ein:",
            IGNORE,
        ),
        LetterKind::Reset => (
            "Dein Code für eine neue Passphrase",
            "Mit diesem Code legst du eine neue Passphrase fest. Gib ihn innerhalb von 30 Minuten in der App ein:",
            "Wenn du das nicht angefordert hast, musst du nichts tun: Deine Passphrase bleibt, wie sie ist. Gib den Code \
             an niemanden weiter.",
        ),
        LetterKind::Register => (
            "Dein Code zum Registrieren",
            "Dieser Code bestätigt deine E-Mail-Adresse. Gib ihn innerhalb von 24 Stunden in der App ein, um dein Konto \
             anzulegen:",
            IGNORE,
        ),
        LetterKind::Known => (
            "Du hast ein Konto",
            "Jemand wollte diese E-Mail-Adresse für ein Konto verwenden. Es gibt schon eines: Melde dich damit an, oder \
             lege in der App eine neue Passphrase fest, wenn du deine vergessen hast.",
            IGNORE,
        ),
        LetterKind::KnownInvited => (
            "Du hast ein Konto",
            "Jemand möchte mit einer Einladung und dieser E-Mail-Adresse beitreten. Es gibt schon ein Konto: Melde dich \
             damit an und gib dort den Code der Einladung ein. Wenn du deine Passphrase vergessen hast, setze in der App \
             eine neue.",
            IGNORE,
        ),
        LetterKind::AddressAsked => (
            "Eine neue E-Mail-Adresse für dein Konto",
            "Jemand, der angemeldet ist, möchte für dein Konto eine andere E-Mail-Adresse. Sie tritt an die Stelle \
             dieser, sobald sie bestätigt ist.",
            "Wenn du das nicht warst, ändere sofort in der App deine Passphrase.",
        ),
        LetterKind::AddressChanged => (
            "Dein Konto hat eine andere E-Mail-Adresse",
            "Eine andere E-Mail-Adresse ist in deinem Konto an die Stelle dieser getreten. Codes und Nachrichten gehen \
             ab jetzt dorthin.",
            "Wenn du das nicht warst, schreib denen, von denen du die App hast.",
        ),
        LetterKind::Disabled => (
            "Dein Konto ist stillgelegt",
            "Dein Konto wurde stillgelegt, wie du es wolltest, und alle deine Geräte wurden abgemeldet. Nichts wurde \
             gelöscht.",
            "Wenn du das nicht warst, melde dich bei denen, von denen du die App hast.",
        ),
        LetterKind::DisabledByAdmin => (
            "Dein Konto wurde stillgelegt",
            "Wer dort, wo du arbeitest, die Konten betreut, hat deines stillgelegt, und alle deine Geräte wurden \
             abgemeldet.",
            "Wenn du nicht weißt, warum, frag dort nach.",
        ),
        LetterKind::PassphraseChanged
        | LetterKind::NewDevice
        | LetterKind::RefreshReused
        | LetterKind::SecondFactor
        | LetterKind::PasskeyAdded
        | LetterKind::FactorOff
        | LetterKind::RecoveryCodesMade
        | LetterKind::EnabledByOperator
        | LetterKind::FactorsForgotten => german_of_access(kind),
        LetterKind::Nothing => ("", "", ""),
    }
}

/// The letters about what opens an account.
const fn german_of_access(kind: LetterKind) -> Text {
    const LOOK: &str = "Wenn du das nicht warst, ändere sofort in der App deine Passphrase. Sieh dann deine Passkeys \
                        und Geräte durch und entferne, was du nicht kennst.";
    match kind {
        LetterKind::PassphraseChanged => (
            "Deine Passphrase wurde geändert",
            "Die Passphrase deines Kontos wurde geändert, und deine anderen Geräte wurden abgemeldet. Mit einem \
             Passkey, der nicht entfernt wurde, kann man sich weiter anmelden.",
            "Wenn du das nicht warst, lege sofort in der App eine neue Passphrase fest. Sieh dann deine Passkeys und \
             Geräte durch und entferne, was du nicht kennst.",
        ),
        LetterKind::NewDevice => (
            "Ein neues Gerät in deinem Konto",
            "Jemand hat sich in deinem Konto auf einem Gerät angemeldet, das es nicht kannte. Wenn du das warst, musst \
             du nichts tun.",
            LOOK,
        ),
        LetterKind::RefreshReused => (
            "Ein Gerät wurde abgemeldet",
            "Eines deiner Geräte wurde abgemeldet, weil ein Schlüssel davon ein zweites Mal kam: Jemand könnte ihn \
             kopiert haben.",
            "Melde dich dort neu an. Wenn du ein fremdes Gerät findest, melde es ab und ändere deine Passphrase.",
        ),
        LetterKind::SecondFactor => (
            "Der zweite Faktor deines Kontos",
            "Für dein Konto wurde ein zweiter Faktor eingeschaltet oder ein Notfallcode verwendet, oder ein Passkey \
             wurde entfernt oder kopiert. In der App siehst du, was geschehen ist.",
            "Wenn du das nicht warst, ändere sofort in der App deine Passphrase.",
        ),
        LetterKind::PasskeyAdded => (
            "Ein neuer Passkey in deinem Konto",
            "Zu deinem Konto kam ein Passkey hinzu. Wer ihn hat, meldet sich ohne deine Passphrase an.",
            LOOK,
        ),
        LetterKind::FactorOff => (
            "Der zweite Faktor deines Kontos wurde ausgeschaltet",
            "Der zweite Faktor deines Kontos wurde ausgeschaltet. Ohne ihn genügt deine Passphrase zum Anmelden.",
            LOOK,
        ),
        LetterKind::RecoveryCodesMade => (
            "Neue Notfallcodes für dein Konto",
            "Für dein Konto wurden neue Notfallcodes erstellt; die alten gelten nicht mehr. Jeder neue ersetzt einmal \
             den zweiten Faktor.",
            LOOK,
        ),
        LetterKind::EnabledByOperator => (
            "Dein Konto ist wieder freigegeben",
            "Wer diese App betreibt, hat dein Konto wieder freigegeben, weil jemand in deinem Namen darum bat. Deine \
             Geräte bleiben abgemeldet: Melde dich mit deiner Passphrase an. Sieh dann deine Passkeys durch und \
             entferne, was du nicht kennst.",
            "Wenn du das nicht warst, melde dich bei denen, von denen du die App hast.",
        ),
        LetterKind::FactorsForgotten => (
            "Der zweite Faktor deines Kontos wurde entfernt",
            "Wer diese App betreibt, hat den zweiten Faktor deines Kontos und seine Passkeys entfernt, weil jemand in \
             deinem Namen darum bat. Alle deine Geräte wurden abgemeldet. Jetzt genügt deine Passphrase: Schalte in \
             der App wieder einen zweiten Faktor ein.",
            "Wenn du das nicht warst, ändere sofort deine Passphrase und schreib denen, von denen du die App hast.",
        ),
        _ => ("", "", ""),
    }
}

const fn spanish(kind: LetterKind) -> Text {
    const IGNORE: &str = "Si no lo has pedido, no tienes que hacer nada.";
    match kind {
        LetterKind::Verify => (
            "Tu código",
            "Este código confirma tu dirección de correo. Escríbelo en la aplicación en las próximas 24 horas:",
            IGNORE,
        ),
        LetterKind::Reset => (
            "Tu código para una nueva frase de contraseña",
            "Con este código eliges una nueva frase de contraseña. Escríbelo en la aplicación en los próximos 30 minutos:",
            "Si no lo has pedido, no tienes que hacer nada: tu frase de contraseña sigue igual. No le des el código a \
             nadie.",
        ),
        LetterKind::Register => (
            "Tu código para registrarte",
            "Este código confirma tu dirección de correo. Escríbelo en la aplicación en las próximas 24 horas para crear \
             tu cuenta:",
            IGNORE,
        ),
        LetterKind::Known => (
            "Ya tienes una cuenta",
            "Alguien quiso usar esta dirección de correo para una cuenta. Ya hay una: entra con ella, o elige en la \
             aplicación una nueva frase de contraseña si has olvidado la tuya.",
            IGNORE,
        ),
        LetterKind::KnownInvited => (
            "Ya tienes una cuenta",
            "Alguien quiere unirse con una invitación y esta dirección de correo. Ya hay una cuenta: entra con ella y \
             escribe allí el código de la invitación. Si has olvidado tu frase de contraseña, elige una nueva en la \
             aplicación.",
            IGNORE,
        ),
        LetterKind::AddressAsked => (
            "Una nueva dirección de correo para tu cuenta",
            "Alguien con la sesión iniciada ha pedido otra dirección de correo para tu cuenta. Sustituirá a esta en \
             cuanto se confirme.",
            "Si no has sido tú, cambia enseguida tu frase de contraseña en la aplicación.",
        ),
        LetterKind::AddressChanged => (
            "Tu cuenta tiene otra dirección de correo",
            "Otra dirección de correo ha sustituido a esta en tu cuenta. Los códigos y avisos van allí desde ahora.",
            "Si no has sido tú, escribe a quienes te dieron la aplicación.",
        ),
        LetterKind::Disabled => (
            "Tu cuenta está desactivada",
            "Tu cuenta se ha desactivado, como pediste, y se ha cerrado la sesión en todos tus dispositivos. No se ha \
             borrado nada.",
            "Si no has sido tú, escribe a quienes te dieron la aplicación.",
        ),
        LetterKind::DisabledByAdmin => (
            "Han desactivado tu cuenta",
            "Quien cuida de las cuentas donde trabajas ha desactivado la tuya, y se ha cerrado la sesión en todos tus \
             dispositivos.",
            "Si no sabes por qué, pregúntales.",
        ),
        LetterKind::PassphraseChanged
        | LetterKind::NewDevice
        | LetterKind::RefreshReused
        | LetterKind::SecondFactor
        | LetterKind::PasskeyAdded
        | LetterKind::FactorOff
        | LetterKind::RecoveryCodesMade
        | LetterKind::EnabledByOperator
        | LetterKind::FactorsForgotten => spanish_of_access(kind),
        LetterKind::Nothing => ("", "", ""),
    }
}

/// The letters about what opens an account.
const fn spanish_of_access(kind: LetterKind) -> Text {
    const LOOK: &str = "Si no has sido tú, cambia enseguida tu frase de contraseña en la aplicación. Después revisa \
                        tus llaves de acceso y tus dispositivos, y quita lo que no conozcas.";
    match kind {
        LetterKind::PassphraseChanged => (
            "Tu frase de contraseña ha cambiado",
            "La frase de contraseña de tu cuenta ha cambiado y se ha cerrado la sesión en tus otros dispositivos. Con \
             una llave de acceso que no se haya quitado aún se puede entrar.",
            "Si no has sido tú, elige enseguida una nueva en la aplicación. Después revisa tus llaves de acceso y tus \
             dispositivos, y quita lo que no conozcas.",
        ),
        LetterKind::NewDevice => (
            "Un dispositivo nuevo en tu cuenta",
            "Alguien ha entrado en tu cuenta con un dispositivo que no conocía. Si has sido tú, no tienes que hacer \
             nada.",
            LOOK,
        ),
        LetterKind::RefreshReused => (
            "Se ha cerrado la sesión en un dispositivo",
            "Se ha cerrado la sesión en uno de tus dispositivos porque una clave suya llegó por segunda vez: alguien pudo \
             copiarla.",
            "Entra de nuevo en él. Si ves un dispositivo que no conoces, cierra su sesión y cambia tu frase de contraseña.",
        ),
        LetterKind::SecondFactor => (
            "El segundo factor de tu cuenta",
            "En tu cuenta se ha activado un segundo factor o se ha usado un código de recuperación, o se ha quitado o \
             copiado una llave de acceso. En la aplicación ves qué ha pasado.",
            "Si no has sido tú, cambia enseguida tu frase de contraseña en la aplicación.",
        ),
        LetterKind::PasskeyAdded => (
            "Una nueva llave de acceso en tu cuenta",
            "Se ha añadido una llave de acceso a tu cuenta. Quien la tenga entra sin tu frase de contraseña.",
            LOOK,
        ),
        LetterKind::FactorOff => (
            "Se ha desactivado el segundo factor de tu cuenta",
            "Se ha desactivado el segundo factor de tu cuenta. Sin él, basta tu frase de contraseña para entrar.",
            LOOK,
        ),
        LetterKind::RecoveryCodesMade => (
            "Nuevos códigos de recuperación para tu cuenta",
            "Se han creado nuevos códigos de recuperación para tu cuenta; los anteriores ya no sirven. Cada código \
             nuevo sustituye una vez al segundo factor.",
            LOOK,
        ),
        LetterKind::EnabledByOperator => (
            "Tu cuenta vuelve a estar activa",
            "Quienes gestionan esta aplicación han activado de nuevo tu cuenta, porque alguien lo pidió en tu nombre. \
             Tus dispositivos siguen sin sesión: entra con tu frase de contraseña. Después revisa tus llaves de acceso \
             y quita lo que no conozcas.",
            "Si no has sido tú, escribe a quienes te dieron la aplicación.",
        ),
        LetterKind::FactorsForgotten => (
            "Se ha quitado el segundo factor de tu cuenta",
            "Quienes gestionan esta aplicación han quitado el segundo factor de tu cuenta y sus llaves de acceso, \
             porque alguien lo pidió en tu nombre. Se ha cerrado la sesión en todos tus dispositivos. Ahora basta tu \
             frase de contraseña: activa de nuevo un segundo factor en la aplicación.",
            "Si no has sido tú, cambia enseguida tu frase de contraseña y escribe a quienes te dieron la aplicación.",
        ),
        _ => ("", "", ""),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_letter_has_words_of_its_own_in_each_language_and_none_of_medicine() {
        let mut seen = BTreeSet::new();
        for kind in LetterKind::SENT {
            for language in ["en", "de-AT", "es"] {
                let (subject, body) = subject_and_body(kind, language, None);
                assert!(!subject.is_empty() && subject.chars().count() <= 60, "{subject}");
                assert!(seen.insert(body.clone()), "{kind:?} in {language} says what another letter says");
                let all = format!("{subject} {body}").to_lowercase();
                for word in
                    ["ketamin", "therap", "terap", "clinic", "klinik", "clínic", "patient", "pacient", "infusion"]
                {
                    assert!(!all.contains(word), "{word}: {all}");
                }
            }
            assert_eq!(subject_and_body(kind, "tlh", None), subject_and_body(kind, "en", None));
        }
    }

    #[test]
    fn a_code_stands_on_a_line_of_its_own() {
        let code = JoinCode::of([7; 32]);
        let (_, body) = subject_and_body(LetterKind::Reset, "de", Some(&code));
        assert!(body.lines().any(|line| line == code.to_string()), "{body}");
    }
}
