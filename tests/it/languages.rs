//! A patient reads prompts, reasons, the window and the bundle in their own language; staff read English.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::clinic_protocols::{a_minute_later, clinic};
use crate::support::app::{TestApp, new_id};
use crate::support::journal::{reflection, two, with};
use crate::support::people::Person;
use crate::support::protocols::{content, publishes, rule};
use crate::support::world::planned_for;

/// What somebody reads who has set a language.
struct Words {
    locale: &'static str,
    /// The language in which the texts are.
    texts: &'static str,
    tell: &'static str,
    because: &'static str,
    exercise: &'static str,
    choice: &'static str,
    therapist: &'static str,
    phase: &'static str,
    sentence: &'static str,
    disclaimer: &'static str,
    driving: &'static str,
    not_asked: &'static str,
    why: &'static str,
    notification: &'static str,
    takeaway: &'static str,
}

const ENGLISH: Words = Words {
    locale: "tlh",
    texts: "en",
    tell: "Tell the session once, in your own order.",
    because: "On the day after, telling it once in your own order helps it settle.",
    exercise: "A first practice while things are fresh.",
    choice: "– What matters, in piles, 12 min: A card sort,",
    therapist: "you would like your therapist to read before you meet",
    phase: "Open window",
    sentence: "You are just landing",
    disclaimer: "The phases and curve are a teaching picture",
    driving: "Please do not drive before Wednesday 11 March, 08:00 Berlin time (UTC+01), and",
    not_asked: "this server cannot do what it needs yet",
    why: "it has been quiet for some time",
    notification: "A moment for you is ready",
    takeaway: "Last time you wrote: 'the lake {is} quiet'. What",
};

const GERMAN: Words = Words {
    locale: "de-AT",
    texts: "de",
    tell: "Erzähl die Sitzung einmal, in deiner eigenen Reihenfolge.",
    because: "Am Tag danach hilft es beim Sortieren, einmal in der eigenen Reihenfolge zu erzählen.",
    exercise: "Eine erste Übung, solange alles noch frisch ist.",
    choice: "– Was zählt, in Stapeln, 12 min: Ein paar Karten",
    therapist: "die deine therapeutische Begleitung vor eurem Treffen lesen darf",
    phase: "Offenes Fenster",
    sentence: "Du landest gerade",
    disclaimer: "Die Phasen und die Kurve sind ein Lehrbild",
    driving: "Bitte setz dich nicht vor Mittwoch, 11. März, 08:00 Uhr Ortszeit Berlin (UTC+01) ans Steuer,",
    not_asked: "was es braucht, kann dieser Server noch nicht",
    why: "es war eine Zeit lang still",
    notification: "Ein Moment für dich ist bereit",
    takeaway: "Beim letzten Mal hast du geschrieben: „the lake {is} quiet“. Was davon",
};

const SPANISH: Words = Words {
    locale: "es-MX",
    texts: "es",
    tell: "Cuenta la sesión una vez, en tu propio orden.",
    because: "Al día siguiente, contarla una vez en tu propio orden ayuda a que se asiente.",
    exercise: "Una primera práctica mientras todo está reciente.",
    choice: "– Lo que importa, en montones, 12 min: Unas tarjetas",
    therapist: "que tu terapeuta leyera antes del próximo encuentro",
    phase: "Ventana abierta",
    sentence: "Estás aterrizando",
    disclaimer: "Las fases y la curva son una imagen didáctica",
    driving: "Por favor, no conduzcas antes del miércoles 11 de marzo, 08:00, hora de Berlin (UTC+01), ni",
    not_asked: "este servidor aún no puede hacer lo que necesita",
    why: "ha habido silencio durante un tiempo",
    notification: "Un momento para ti está listo",
    takeaway: "La última vez escribiste: «the lake {is} quiet». ¿Qué parte",
};

/// A patient who reads that language, an hour after an infusion, and their therapist.
async fn reader(words: &Words) -> (Arc<TestApp>, Person, Person, String) {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let infusion = theo.records(&ann, app.now() - SignedDuration::from_hours(1)).await;
    ann.sets(json!({ "locale": words.locale })).await.ok();
    (app, theo, ann, infusion)
}

/// The patient's prompts, with those that are not asked.
async fn prompts(ann: &Person) -> Value {
    let path = "/prompts?from=2026-01-01&to=2026-12-01&limit=200&not_asked=true";
    ann.get(&ann.my(path)).send().await.ok().body
}

#[track_caller]
fn of_rule<'v>(list: &'v Value, key: &str) -> &'v Value {
    list.as_array().unwrap().iter().find(|one| one["rule_key"] == key).unwrap_or_else(|| panic!("no {key}"))
}

#[track_caller]
fn says(value: &Value, words: &str) {
    let text = value.as_str().unwrap_or_else(|| panic!("no text in {value}"));
    assert!(text.contains(words), "{words} is not in {text}");
}

async fn prompts_are_read_in(words: &Words) {
    let (app, theo, ann, _) = reader(words).await;
    // Something of one's own that could be shared.
    ann.writes(with(reflection("Lake"), json!({ "occurred_at": app.now().to_string() }))).await;
    let told = prompts(&ann).await;
    let detail = |key: &str| &of_rule(&told["items"], key)["detail"];
    says(&detail("d1.tell")["text"], words.tell);
    assert_eq!(detail("d1.tell")["because"], words.because);
    says(&detail("d1.exercise")["text"], words.exercise);
    says(&detail("d1.exercise")["text"], words.choice);
    says(&detail("d3.share")["text"], words.therapist);
    assert_eq!(of_rule(&told["not_asked"], "d1.check")["reason_in_words"], words.not_asked);
    // A device shows it by itself.
    let plan = ann.get(&ann.my("/plan")).send().await.ok();
    let shown = plan.items().iter().find(|item| item["text"].as_str().unwrap().starts_with(words.tell)).unwrap();
    assert_eq!(shown["notification"], words.notification);
    // An act answers in the same language.
    let id = of_rule(&told["items"], "d1.tell")["id"].as_str().unwrap();
    let opened = ann.act(&ann.my(&format!("/prompts/{id}/open"))).send().await.ok();
    says(&opened.body["detail"]["text"], words.tell);
    assert_eq!(opened.body["detail"]["because"], words.because);
    // Whoever reads the schedule of the protocol sees no text in any language.
    let outline = theo.get(&ann.of_theirs("/prompts?from=2026-01-01&limit=200")).send().await.ok();
    assert!(!outline.items().is_empty() && outline.items().iter().all(|one| one.get("detail").is_none()));
}

async fn the_window_is_read_in(words: &Words) {
    let (_, theo, ann, infusion) = reader(words).await;
    let window = ann.get(&ann.my("/window")).send().await.ok().body;
    says(&window["sentence"], words.sentence);
    says(&window["disclaimer"], words.disclaimer);
    assert_eq!(window["phases"][2]["label"], words.phase);
    let path = format!("/infusions/{infusion}");
    let advice = ann.get(&ann.my(&path)).send().await.ok();
    says(&advice.body["driving"], words.driving);
    let listed = ann.get(&ann.my("/infusions")).send().await.ok();
    assert_eq!(listed.items()[0]["driving"], advice.body["driving"]);
    // The therapist reads English.
    let theirs = theo.get(&ann.of_theirs("/window")).send().await.ok().body;
    says(&theirs["sentence"], ENGLISH.sentence);
    says(&theirs["disclaimer"], ENGLISH.disclaimer);
    assert_eq!(theirs["phases"][2]["label"], ENGLISH.phase);
    let clinical = theo.get(&ann.of_theirs("/window/clinical")).send().await.ok().body;
    assert_eq!(clinical["sentence"], theirs["sentence"]);
    let advice = theo.get(&ann.of_theirs(&path)).send().await.ok();
    says(&advice.body["driving"], "Please do not drive before Wednesday 11 March, 08:00, and");
}

async fn the_bundle_is_read_in(words: &Words) {
    let (_, theo, ann, _) = reader(words).await;
    let answer = ann.get("/v1/bundle").send().await.ok();
    assert_eq!(answer.headers["content-language"], words.texts);
    let bundle = answer.body;
    let protocol = bundle["protocols"].as_array().unwrap().iter().find(|one| one["current"] == true).unwrap();
    assert_eq!((&bundle["locale"], &protocol["locale"]), (&json!(words.texts), &json!(words.texts)));
    let rule = |key: &str| of_rule(&protocol["rules"], key);
    says(&rule("d1.tell")["texts"][0], words.tell);
    assert_eq!(rule("d1.tell")["because"], words.because);
    says(&rule("d1.exercise")["choices"][0]["line"], words.choice);
    says(&rule("d3.share")["texts"][0], words.therapist);
    says(&rule("d5.habit")["texts"][0], "{answer:if-then-habit}");
    assert_eq!(bundle["why"]["silence"], words.why);
    assert_eq!(bundle["not_asked"]["capability"], words.not_asked);
    let peak = bundle["window"]["phases"].as_array().unwrap().iter().find(|phase| phase["key"] == "peak").unwrap();
    assert_eq!(peak["label"], words.phase);
    says(&bundle["window"]["disclaimer"], words.disclaimer);
    says(&bundle["window"]["driving"]["text"], "{when}");
    // Without a wish staff read English; with one they read it too.
    let theirs = theo.get("/v1/bundle").send().await.ok();
    assert_eq!(theirs.headers["content-language"], "en");
    let asked = theo.get("/v1/bundle").header("accept-language", words.locale).send().await.ok();
    assert_eq!(asked.bytes, answer.bytes);
}

/// What the patient wrote stands in a translated text as they wrote it, braces and all.
async fn a_quote_is_whole_in(words: &Words) {
    let (app, theo, ann, _) = reader(words).await;
    let session = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
    theo.put(&session, planned_for(app.now() + SignedDuration::from_hours(24 * 10))).send().await.created();
    let takeaway = json!({ "tags": ["takeaway"], "occurred_at": app.now().to_string(),
        "text": { "body": "the lake {is} quiet" } });
    ann.writes(with(reflection("Lake"), takeaway)).await;
    let plan = json!({ "exercise_key": "if-then-habit", "exercise_version": 1, "occurred_at": app.now().to_string(),
        "answers": { "when": "the kettle {boils}", "then": "breathe out" } });
    ann.works(plan).await;
    let told = prompts(&ann).await;
    says(&of_rule(&told["items"], "prep.lastround")["detail"]["text"], words.takeaway);
    says(&of_rule(&told["items"], "d5.habit")["detail"]["text"], "the kettle {boils} – breathe out");
}

#[actix_web::test]
async fn prompts_are_in_the_language_of_the_patient() {
    for words in [&ENGLISH, &GERMAN, &SPANISH] {
        prompts_are_read_in(words).await;
    }
}

#[actix_web::test]
async fn the_window_is_in_the_language_of_the_patient_and_in_english_for_staff() {
    for words in [&ENGLISH, &GERMAN, &SPANISH] {
        the_window_is_read_in(words).await;
    }
}

#[actix_web::test]
async fn the_bundle_is_in_the_language_of_the_patient() {
    for words in [&ENGLISH, &GERMAN, &SPANISH] {
        the_bundle_is_read_in(words).await;
    }
}

#[actix_web::test]
async fn a_quote_is_whole_in_every_language() {
    for words in [&ENGLISH, &GERMAN, &SPANISH] {
        a_quote_is_whole_in(words).await;
    }
}

/// A language is a way to read and no fact: the plan stays, and so does every id.
#[actix_web::test]
async fn another_language_changes_the_words_and_nothing_else() {
    let (_, _, ann, _) = reader(&ENGLISH).await;
    let english = prompts(&ann).await;
    ann.sets(json!({ "locale": "de" })).await.ok();
    let german = prompts(&ann).await;
    assert_ne!(english, german);
    let facts = |told: &Value| {
        let mut items = told["items"].as_array().unwrap().clone();
        for item in &mut items {
            let detail = item["detail"].as_object_mut().unwrap();
            assert!(detail.remove("text").is_some() && detail.remove("because").is_some());
        }
        items
    };
    assert_eq!(facts(&english), facts(&german));
}

#[actix_web::test]
async fn rule_a_protocol_in_german_is_filled_in_in_german_however_its_language_was_typed() {
    let app = TestApp::start().await;
    let (admin, _, ann, clinic) = clinic(&app).await;
    for typed in ["de_AT", "DE-at"] {
        let mut german = content("Zehn Tage");
        german["locale"] = json!(typed);
        let mood = rule(&mut german, "d2.mood");
        (mood["text"], mood["wordings"]) = (json!("{therapist_name} fragt: wie geht es?"), json!([]));
        let id = publishes(&admin, &clinic, german).await;
        a_minute_later(&app).await;
        let bundle = ann.get("/v1/bundle").send().await.ok().body;
        let ours = bundle["protocols"].as_array().unwrap().iter().find(|one| one["key"] == json!(id)).unwrap();
        assert_eq!(ours["locale"], "de-AT", "{typed}");
        let texts = &of_rule(&ours["rules"], "d2.mood")["texts"];
        assert_eq!(texts, &json!(["deine therapeutische Begleitung fragt: wie geht es?"]), "{typed}");
    }
}
