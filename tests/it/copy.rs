//! What patients read claims nothing, promises nothing, presses nobody, genders nobody and reads easily: prompts, the
//! words of exercises in every language, phases, driving, pushes.

use serde_json::Value;

/// Where patients are addressed from code, and in which language.
const WORD_FILES: &[(&str, &str)] = &[
    ("src/planning/window/phase_texts.rs", "en"),
    ("src/planning/window/driving.rs", "en"),
    ("src/planning/window/german.rs", "de"),
    ("src/planning/window/spanish.rs", "es"),
    ("src/planning/reasons.rs", "en"),
    ("src/planning/reasons/german.rs", "de"),
    ("src/planning/reasons/spanish.rs", "es"),
    ("src/schedule/rendering.rs", "en"),
    ("src/delivery/model.rs", "en"),
];

/// A language, what it would do, and what is never said: whole words, or beginnings where a star follows.
const NEVER: &str = "\
en claims: rewir*, re wir*, cure*, curing, heal*, guarantee*, miracle*, optimal*, proven, plasticity, neuroplastic*
en claims: brain damage, changes your brain, always works, works for everyone, will work, best results, you will feel
en claims: feel better, will make you, we promise, higher dose, more doses
en presses: must, mustn't, should, shouldn't, ought to, you need to, you have to, hurry*, hurried, last chance
en presses: window is closing, window closes, window will close, before it closes, too late, running out, hours left
en presses: days left, minutes left, time left, don't miss, do not miss, missed out, you missed, you failed, fall behind
en presses: act now, now or never, as soon as possible, streak*, countdown*, deadline*, overdue
en genders: he, he's, him, his, himself, she, she's, her, hers, herself, husband*, wife, boyfriend*, girlfriend*, guys
de claims: heilt, heilen*, heilung*, heilsam*, geheilt, garant*, umprogramm*, neu verdraht*, neuverdraht*, wundermittel*
de claims: bewiesen*, optimal*, plastizität*, neuroplast*, hirnschad*, gehirnschad*, verändert dein gehirn, wirkt immer
de claims: wirkt bei allen, wirst dich besser fühlen, wir versprechen, höhere dosis, mehr dosen
de presses: muss, musst, müssen, müsst, müsste*, soll, sollst, sollen, sollt, sollte*, beeil*, letzte chance
de presses: letzten chance, fenster schließt, schließt sich, bevor es schließt, zu spät, stunden übrig, tage übrig
de presses: noch stunden, nur noch heute, verpass*, versäum*, jetzt oder nie, so schnell wie möglich, streak*
de presses: countdown*, überfällig*
de genders: therapeut, therapeuten, therapeutin, arzt, ärztin, freund, freunde, freundin, partner, partnerin, patient
de genders: patienten, patientin, ehemann, ehefrau
es claims: cura, curar*, curación*, sanar*, sanación*, garanti*, milagro*, óptim*, demostrado, plasticidad
es claims: neuroplast*, reprogram*, recable*, daño cerebral, cambia tu cerebro, siempre funciona, funciona para todos
es claims: te sentirás mejor, te prometemos, prometemos, dosis más alta, más dosis
es presses: debes, debe, deberás, deberías, debería, tienes que, hay que, date prisa, apúrate, apresúrate
es presses: última oportunidad, la ventana se cierra, antes de que se cierre, demasiado tarde, quedan horas, te quedan
es presses: no te pierdas, te perdiste, no te olvides, fallaste, ahora o nunca, cuanto antes, lo antes posible, racha*
es presses: cuenta atrás, cuenta regresiva, fecha límite, atrasad*
es genders: él, ella, ellos, ellas, médico, médica, doctor, doctora, psicólogo, psicóloga, amigo, amiga, amigos, amigas
es genders: novio, novia, esposo, esposa, marido, bienvenido, bienvenida, listo, preparado, preparada, cansado, cansada
es genders: estás solo, estás sola, estás seguro, estás segura, estás tranquilo, estás tranquila
";

/// Words that only begin like something that is never said.
const HARMLESS: &[&str] = &["health", "healthy", "healthcare"];

fn read(file: &str) -> String {
    std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn json(file: &str) -> Value {
    serde_json::from_str(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn protocol() -> Value {
    json("src/planning/protocol.json")
}

/// The language, the key and the texts of each translated rule of the protocol.
fn translations() -> Vec<(&'static str, String, Vec<String>)> {
    let mut found = Vec::new();
    for language in ["de", "es"] {
        let file = json(&format!("src/planning/texts/{language}.json"));
        for (key, texts) in file.as_object().unwrap() {
            let fields = texts.as_object().unwrap().values();
            let words = fields.flat_map(|field| field.as_array().cloned().unwrap_or_else(|| vec![field.clone()]));
            let words = words.map(|text| text.as_str().unwrap().to_owned()).collect();
            found.push((language, key.clone(), words));
        }
    }
    found
}

/// The key and the texts of each rule: every wording, and why it is asked.
fn rules(protocol: &Value) -> impl Iterator<Item = (&str, &str)> {
    let rules = protocol["rules"].as_array().unwrap().iter();
    rules.flat_map(|rule| {
        let wordings = rule["wordings"].as_array().into_iter().flatten();
        let texts = [&rule["text"], &rule["because"]].into_iter().chain(rule.get("plain")).chain(wordings);
        texts.map(|text| (rule["key"].as_str().unwrap(), text.as_str().unwrap()))
    })
}

/// The texts of each exercise of a locale, and those common to all.
fn parts(words: &Value) -> impl Iterator<Item = (&str, Vec<&str>)> {
    let exercises = words["exercises"].as_object().unwrap().iter().map(|(key, texts)| (key.as_str(), texts));
    exercises
        .chain([("common", &words["common"])])
        .map(|(key, texts)| (key, texts.as_object().unwrap().values().map(|text| text.as_str().unwrap()).collect()))
}

/// The words of the exercises, with their language: every file there is.
fn locales() -> Vec<(String, Value)> {
    const FOLDER: &str = "src/exercises/data/texts";
    let folder = std::fs::read_dir(format!("{}/{FOLDER}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let read = |name: String| {
        let words = json(&format!("{FOLDER}/{name}"));
        let locale = words["locale"].as_str().unwrap();
        assert_eq!(name, format!("{locale}.json"), "a file is named after its locale");
        (locale.split('-').next().unwrap().to_owned(), words)
    };
    names.map(read).collect()
}

/// All that patients read: where it stands, in which language, what it says.
fn texts() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut push = |place: &str, language: &str, words: &str| {
        found.push((place.to_owned(), language.to_owned(), words.to_owned()));
    };
    let protocol = protocol();
    let language = protocol["locale"].as_str().unwrap();
    let (title, disclaimer) = (&protocol["title"], &protocol["window"]["disclaimer"]);
    let more = [("title", title.as_str().unwrap()), ("disclaimer", disclaimer.as_str().unwrap())];
    for (key, text) in rules(&protocol).chain(more) {
        push(key, language, text);
    }
    for (language, text) in protocol["window"]["disclaimers"].as_object().unwrap() {
        push("disclaimer", language, text.as_str().unwrap());
    }
    for (language, key, texts) in translations() {
        texts.iter().for_each(|text| push(&key, language, text));
    }
    for (language, words) in locales() {
        for (key, texts) in parts(&words) {
            texts.iter().for_each(|text| push(key, &language, text));
        }
    }
    for (file, language) in WORD_FILES {
        literals(&read(file)).iter().for_each(|literal| push(file, language, literal));
    }
    found
}

/// The string literals of three words and more, outside comments and what is compiled for tests only.
fn literals(source: &str) -> Vec<String> {
    assert!(!source.contains("r#\"") && !source.contains("/*"), "raw strings and block comments are not read here");
    let chars: Vec<char> = source.chars().collect();
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let end = |from: usize, of: char| (from..chars.len()).find(|i| chars[*i] == of).unwrap_or(chars.len());
    let (mut found, mut at, mut depth, mut testing) = (Vec::new(), 0, 0, None);
    while at < chars.len() {
        if starts(at, "//") {
            at = end(at, '\n');
        } else if starts(at, "#[cfg(test)]") {
            (testing, at) = (Some(depth), at + 12);
        } else if starts(at, "'\\") {
            at = end(at + 3, '\'') + 1;
        } else if chars[at] == '\'' && chars.get(at + 2) == Some(&'\'') {
            at += 3;
        } else if chars[at] == '"' {
            let mut text = String::new();
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                let escaped = chars[at] == '\\';
                at += usize::from(escaped);
                match chars.get(at) {
                    Some('\n' | 'n' | 't') if escaped => text.push(' '),
                    other => text.extend(other),
                }
                at += 1;
            }
            at += 1;
            let words: Vec<&str> = text.split_whitespace().collect();
            if testing.is_none() && words.len() >= 3 {
                found.push(words.join(" "));
            }
        } else {
            depth += i32::from(chars[at] == '{') - i32::from(chars[at] == '}');
            if testing == Some(depth) && matches!(chars[at], '}' | ';') {
                testing = None;
            }
            at += 1;
        }
    }
    found
}

/// The language, what it would do, the words.
fn never() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    NEVER.lines().flat_map(|line| {
        let (head, list) = line.split_once(": ").unwrap();
        let (language, does) = head.split_once(' ').unwrap();
        list.split(", ").map(move |never| (language, does, never))
    })
}

/// What `text` says of that which is never said in its language.
fn faults(language: &str, text: &str) -> Vec<String> {
    let lower = text.to_lowercase().replace('’', "'");
    let words = lower.split(|c: char| !(c.is_alphanumeric() || c == '\'')).map(|word| word.trim_matches('\''));
    let words: Vec<&str> = words.filter(|word| !word.is_empty() && !HARMLESS.contains(word)).collect();
    let plain = format!(" {} ", words.join(" "));
    let known: Vec<_> = never().filter(|(of, ..)| *of == language).collect();
    assert!(!known.is_empty(), "there is a text in {language}, and nothing in NEVER for it: add its lists");
    let said = |never: &str| match never.strip_suffix('*') {
        Some(beginning) => plain.contains(&format!(" {beginning}")),
        None => plain.contains(&format!(" {never} ")),
    };
    known.iter().filter(|(.., never)| said(never)).map(|(_, does, never)| format!("{does}: {never}")).collect()
}

fn too_long(prompt: &str) -> bool {
    prompt.chars().count() > 240
}

/// The Flesch-Kincaid grade of the texts together; what has no three words is a name and no sentence.
fn grade<'a>(texts: impl IntoIterator<Item = &'a str>) -> f64 {
    let (mut sentences, mut words, mut sounds) = (0.0, 0.0, 0.0);
    for sentence in texts.into_iter().flat_map(|text| text.split(['.', '!', '?'])) {
        let split = sentence.split(|c: char| !(c.is_alphabetic() || c == '\'' || c == '’'));
        let said: Vec<&str> = split.filter(|word| word.contains(char::is_alphabetic)).collect();
        if said.len() >= 3 {
            sentences += 1.0;
            words += said.len() as f64;
            sounds += said.iter().map(|word| syllables(word)).sum::<usize>() as f64;
        }
    }
    assert!(sentences > 0.0, "nothing to read");
    0.39 * words / sentences + 11.8 * sounds / words - 15.59
}

/// Groups of vowels, less the endings that are written and not spoken, and more where two vowels are two sounds.
fn syllables(word: &str) -> usize {
    let letters: Vec<char> = word.to_lowercase().chars().filter(|c| c.is_alphabetic()).collect();
    let text: String = letters.iter().collect();
    let vowel = |c: &char| "aeiouyäöüáéèêíóú".contains(*c);
    let groups = letters.chunk_by(|a, b| vowel(a) && vowel(b)).filter(|group| group.iter().any(vowel)).count();
    let before = |n: usize| letters.len().checked_sub(n).and_then(|i| letters.get(i)).copied().unwrap_or('a');
    let spoken_l = |n: usize| before(n) == 'l' && !vowel(&before(n + 1));
    let hiss = |c: char, before: char| "szxcg".contains(c) || (c == 'h' && "cs".contains(before));
    let silent = (text.ends_with('e') && !vowel(&before(2)) && !spoken_l(2))
        || (text.ends_with("es") && !vowel(&before(3)) && !spoken_l(3) && !hiss(before(3), before(4)))
        || (text.ends_with("ed") && !"dt".contains(before(3)) && !vowel(&before(3)));
    let two = (text.ends_with("ing") && vowel(&before(4)))
        || (text.ends_with("ea") && groups > 1)
        || ["iet", "ious", "ia"].iter().any(|sounds| text.contains(sounds) && !text.contains("cious"));
    (groups + usize::from(two)).saturating_sub(usize::from(silent)).max(1)
}

#[test]
fn no_text_for_patients_claims_or_promises_anything_presses_or_genders_anybody() {
    let mut found = Vec::new();
    for (place, language, words) in texts() {
        found.extend(faults(&language, &words).iter().map(|fault| format!("{place} ({language}) {fault}: {words}")));
    }
    assert!(found.is_empty(), "{}\n\nSay what it is, leave a way out, promise nothing.", found.join("\n"));
}

#[test]
fn a_prompt_has_240_characters_at_most() {
    for (key, text) in rules(&protocol()) {
        assert!(!too_long(text), "{key}: {text}");
    }
    for (language, key, texts) in translations() {
        assert!(texts.iter().all(|text| !too_long(text)), "{language} {key}: {texts:?}");
    }
}

#[test]
fn prompts_and_exercises_in_english_read_at_grade_nine_at_most() {
    let mut grades = vec![("the protocol".to_owned(), grade(rules(&protocol()).map(|(_, text)| text)))];
    for (_, words) in locales().into_iter().filter(|(language, _)| language == "en") {
        grades.extend(parts(&words).map(|(key, texts)| (key.to_owned(), grade(texts))));
    }
    assert!(grades.len() >= 24, "hardly anything was read: {grades:?}");
    let hard: Vec<_> = grades.iter().filter(|(_, grade)| *grade > 9.0).collect();
    assert!(hard.is_empty(), "{hard:?}: shorter sentences, shorter words");
}

#[test]
fn what_may_be_drawn_may_be_told_in_words() {
    let exercises = json("src/exercises/data/exercises.json");
    for (language, words) in locales() {
        for exercise in exercises["exercises"].as_array().unwrap() {
            let key = format!("{}@{}", exercise["key"].as_str().unwrap(), exercise["version"]);
            for step in exercise["steps"].as_array().unwrap().iter().filter(|step| step["type"] == "drawing") {
                let Some(label) = words["exercises"][&key][step["id"].as_str().unwrap()].as_str() else { continue };
                assert!(
                    ["in words", "in worten", "con palabras"].iter().any(|offer| label.to_lowercase().contains(offer)),
                    "{language} {key}: {label}"
                );
            }
        }
    }
}

#[test]
fn every_check_catches_what_it_is_for_and_nothing_else() {
    for (language, does, never) in never() {
        let bad = format!("Ähm… “{}”, 日本!", never.replace('*', "xyz").replace('\'', "’"));
        assert!(faults(language, &bad).contains(&format!("{does}: {never}")), "{bad}");
    }
    for (language, bad, number) in [
        ("en", "You must hurry: only 20 hours left to rewire your brain, and she guarantees it.", 6),
        ("de", "Beeil dich, du musst heute üben, bevor es zu spät ist; deine Therapeutin garantiert es.", 5),
        ("es", "Date prisa, tienes que practicar antes de que sea demasiado tarde; tu médica lo garantiza.", 5),
    ] {
        assert_eq!(faults(language, bad).len(), number, "{bad}: {:?}", faults(language, bad));
    }
    for (language, fine) in [
        ("en", "Your shoulders, your health, a curious look at what was left; the hours last. Here, there, this."),
        ("de", "Es kommt von her, du darfst; freundlich zu dir, eine Freundschaft, in der Therapie, heilig."),
        (
            "es",
            "Con curiosidad, en un lugar seguro; una lista de palabras, un mundo de cosas. Tu terapeuta, la amistad.",
        ),
    ] {
        assert_eq!(faults(language, fine), Vec::<String>::new());
    }
    assert!(too_long(&"ä".repeat(241)) && !too_long(&"ä".repeat(240)));
    assert!(grade(["Metacognitive consolidation necessitates considerable deliberation."]) > 9.0);
    assert!(grade(["Look up. What do you see? Rest your feet on the floor."]) < 3.0);
}

#[test]
fn what_patients_read_is_found() {
    let texts = texts();
    for known in [
        "A moment for you is ready",
        "You are just landing: take your time",
        "Please do not drive before",
        "Bitte setz dich nicht vor",
        "Por favor, no conduzcas antes",
        "Die Phasen und die Kurve",
        "No hace falta una historia",
    ] {
        assert!(texts.iter().any(|(.., words)| words.starts_with(known)), "{known}");
    }
    assert!(texts.iter().filter(|(_, language, _)| language == "en").count() > 300);
    let source = r###"
        /// one two three "four five six"
        const A: &str = "a b \
            c\"é"; // "no no no"
        fn f<'a>(c: char) -> &'a str { if c == '"' || c == '\'' || c == '}' { "d \"e\" f" } else { "g h" } }
        #[cfg(test)]
        mod tests { fn g() { let x = "not this one { } ;"; } }
        const B: &str = "i j k";
    "###;
    assert_eq!(literals(source), ["a b c\"é", "d \"e\" f", "i j k"]);
}

#[test]
fn syllables_are_counted_as_they_are_spoken() {
    for (number, words) in [
        (1, "word breathe sleeps"),
        (2, "people little noticed wanted quiet saying Élan"),
        (3, "notices curious therapist questionnaires"),
    ] {
        words.split(' ').for_each(|word| assert_eq!(syllables(word), number, "{word}"));
    }
}
