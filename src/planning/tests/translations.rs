//! Translations of a protocol: those that are shipped are whole, and what is missing in one is named.

use std::collections::BTreeMap;

use super::*;
use crate::planning::RuleTexts;

fn faults(change: &dyn Fn(&mut Protocol)) -> Vec<String> {
    let mut protocol = Protocol::default_v1().clone();
    change(&mut protocol);
    protocol.validate()
}

/// The German texts of a rule.
fn german<'p>(protocol: &'p mut Protocol, key: &str) -> &'p mut RuleTexts {
    protocol.translations.get_mut("de").unwrap().get_mut(key).unwrap()
}

#[test]
fn the_shipped_protocol_is_whole_in_german_and_spanish() {
    let protocol = Protocol::default_v1();
    assert!(protocol.translations.keys().eq(["de", "es"]), "{:?}", protocol.translations.keys());
    assert_eq!(protocol.validate(), Vec::<String>::new());
    for (language, rules) in &protocol.translations {
        assert_eq!(rules.len(), protocol.rules.len());
        for rule in &protocol.rules {
            let words = protocol.words(rule, language);
            assert_eq!(words.language, language);
            assert!((20..=160).contains(&words.because.chars().count()), "{language} {}", rule.key);
            let own = [rule.text.as_str(), &rule.plain, &rule.because].into_iter().filter(|text| !text.is_empty());
            let same = own.zip([words.text, words.plain, words.because].into_iter().filter(|text| !text.is_empty()));
            assert!(same.into_iter().all(|(own, text)| own != text), "{language} {} is in English", rule.key);
        }
    }
}

#[test]
fn a_reader_gets_their_language_or_the_protocols_own() {
    let mut protocol = Protocol::default_v1().clone();
    let begins = |protocol: &Protocol, reader: &str, text: &str| {
        let rule = protocol.rule("d1.tell").unwrap();
        let words = protocol.words(rule, reader);
        assert_eq!(words.language, protocol.language_for(reader));
        assert!(words.text_of(0).starts_with(text), "{reader}: {}", words.text);
        assert_eq!(words.texts().count(), rule.texts().count());
        assert_eq!(words.text_of(9), words.text, "a wording that there is not is the first one");
    };
    begins(&protocol, "de-AT", "Erzähl die Sitzung einmal");
    begins(&protocol, "es-419", "Cuenta la sesión una vez");
    for reader in ["en", "en-GB", "tlh", "den", ""] {
        begins(&protocol, reader, "Tell the session once");
    }
    // A protocol of a clinic may be written in another language than English.
    protocol.locale = "fr".to_owned();
    begins(&protocol, "tlh", "Tell the session once");
    assert_eq!(protocol.language_for("tlh"), "fr");
}

#[test]
fn a_fault_of_a_translation_is_named() {
    let of_tell = |change: &dyn Fn(&mut RuleTexts)| faults(&|protocol| change(german(protocol, "d1.tell")));
    let of_habit = |change: &dyn Fn(&mut RuleTexts)| faults(&|protocol| change(german(protocol, "d5.habit")));
    let missing = faults(&|protocol| {
        protocol.translations.get_mut("de").unwrap().remove("d1.tell").unwrap();
    });
    assert_eq!(missing, ["de/d1.tell: it is not translated"]);
    let surplus = faults(&|protocol| {
        let texts = german(protocol, "d1.tell").clone();
        protocol.translations.get_mut("de").unwrap().insert("d1.told".to_owned(), texts);
    });
    assert_eq!(surplus, ["de/d1.told: it translates a rule that does not exist"]);
    let wordings = of_tell(&|texts| {
        texts.wordings.pop().unwrap();
    });
    assert_eq!(wordings, ["de/d1.tell: it has as many wordings as the rule"]);
    let said = ["de/d1.tell: `plain` and `because` are there where the rule has them"];
    assert_eq!(of_tell(&|texts| texts.because.clear()), said);
    assert_eq!(of_tell(&|texts| texts.plain = "Ohne Zitat.".to_owned()), said);
    assert_eq!(of_tell(&|texts| texts.text = " ".to_owned()), ["de/d1.tell: the text is empty"]);
    let long = ["de/d1.tell: the text has at most 240 characters"];
    assert_eq!(of_tell(&|texts| texts.text = "ä".repeat(241)), long);
    assert_eq!(of_tell(&|texts| texts.because = "ä".repeat(241)), long);
    assert_eq!(of_tell(&|texts| texts.text = "ä".repeat(240)), Vec::<String>::new());
    let nul = ["de/d1.tell: no text has a NUL character"];
    assert_eq!(of_tell(&|texts| texts.text.push('\0')), nul);
    assert_eq!(of_tell(&|texts| texts.because.push('\0')), nul);
    for wrong in ["Kein Zitat.", "„{answer:if-then-habit}“ {answer:if-then-habit}", "{last_takeaway}", "{answer:if"]
    {
        let faults = of_habit(&|texts| texts.text = wrong.to_owned());
        assert_eq!(faults, ["de/d5.habit: each text has the placeholders of the rule's"], "{wrong}");
    }
    let quoting = of_habit(&|texts| texts.plain = "{answer:if-then-habit}".to_owned());
    assert_eq!(quoting, ["de/d5.habit: each text has the placeholders of the rule's"]);
    for (name, fault) in [
        ("de-AT", "de-AT: a translation has the name of a language, such as de"),
        ("DE", "DE: a translation has the name of a language, such as de"),
        ("en", "en: the texts are in this language already"),
    ] {
        let named = faults(&|protocol| {
            let texts = protocol.translations["de"].clone();
            protocol.translations.insert(name.to_owned(), texts);
        });
        assert_eq!(named, [fault]);
    }
}

#[test]
fn a_protocol_without_translations_says_nothing_of_them() {
    let protocol = Protocol { translations: BTreeMap::new(), ..Protocol::default_v1().clone() };
    let document = serde_json::to_value(&protocol).unwrap();
    assert!(document.get("translations").is_none());
    assert_eq!(serde_json::from_value::<Protocol>(document).unwrap(), protocol);
    let mut unknown = serde_json::to_value(Protocol::default_v1()).unwrap();
    unknown["translations"]["de"]["d1.tell"]["texts"] = serde_json::json!("Erzähl.");
    assert!(serde_json::from_value::<Protocol>(unknown).is_err());
}
