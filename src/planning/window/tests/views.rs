//! The views for each reader, and their words.

use jiff::civil::Date;
use serde_json::{Value, json};

use super::*;
use crate::kernel::locale::TextLanguage;

/// The window as its owner reads it in English.
fn owner(window: &Window, zone: &Zone) -> OwnerView {
    OwnerView::of(window, shipped(), |at| zone.date(at), "en")
}

/// The calendar of somebody in UTC.
fn utc(at: Timestamp) -> Date {
    Zone::utc().date(at)
}

fn numbers_and_instants(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => found.push(number.to_string()),
        Value::String(text) if text.parse::<Timestamp>().is_ok() => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| numbers_and_instants(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| numbers_and_instants(field, found)),
        _ => {}
    }
}

#[test]
fn the_owner_sees_words_and_days_only() {
    let berlin = Zone::parse("Europe/Berlin").unwrap();
    let doses = [dose(1, Route::IvInfusion, end()), planned(plus(80.0))];
    let view = serde_json::to_value(owner(&seen(&doses, plus(26.0)), &berlin)).unwrap();
    let wanted = json!({
        "phase": "peak",
        "label": "Open window",
        "sentence": Phase::Peak.sentence(TextLanguage::English),
        "day": 1,
        "overlay": "prep",
        "phases": [
            { "key": "acute", "label": "In clinic / landing", "days": { "from": 0, "to": 0 } },
            { "key": "settling", "label": "Rest & capture", "days": { "from": 0, "to": 1 } },
            { "key": "peak", "label": "Open window", "days": { "from": 1, "to": 3 } },
            { "key": "consolidate", "label": "Practise & repeat", "days": { "from": 3, "to": 7 } },
            { "key": "closing", "label": "Carry forward", "days": { "from": 7, "to": 14 } },
            { "key": "maintenance", "label": "Between windows", "days": { "from": 14 } },
        ],
        "disclaimer": shipped().disclaimer,
    });
    assert_eq!(view, wanted);
    for hours in [-1.0, -0.5, 1.0, 26.0, 500.0] {
        let view = serde_json::to_value(owner(&seen(&doses, plus(hours)), &berlin)).unwrap();
        let mut found = Vec::new();
        numbers_and_instants(&view, &mut found);
        assert!(found.is_empty(), "{found:?}");
        for hidden in ["index", "curve", "hours_since", "infusion_id", "readiness", "at"] {
            assert!(view.get(hidden).is_none(), "{hidden}");
        }
    }
}

#[test]
fn the_clinician_sees_the_numbers_too() {
    let doses = [dose(1, Route::IvInfusion, end())];
    let window = seen(&doses, plus(48.04));
    let view = serde_json::to_value(ClinicalView::of(&window, utc)).unwrap();
    assert_eq!(view["index"], json!(0.905));
    assert_eq!(view["hours_since"], json!(48.0));
    assert_eq!(view["readiness"], json!(1.0));
    assert_eq!(view["infusion_id"], json!(doses[0].infusion_id));
    assert_eq!(view["phases"][2]["starts_at"], json!("2026-03-28T15:00:00Z"));
    assert_eq!(view["phases"][2]["ends_at"], json!("2026-03-30T15:00:00Z"));
    assert!(view["phases"][5].get("ends_at").is_none());
    assert_eq!(view["curve"].as_array().unwrap().len(), 85);
    assert_eq!(view["disclaimer"], json!(shipped().disclaimer));
    let owned = serde_json::to_value(owner(&window, &Zone::utc())).unwrap();
    for key in ["phase", "label", "sentence", "day"] {
        assert_eq!(view[key], owned[key]);
    }
}

#[test]
fn days_are_dates_in_the_zone_of_the_patient() {
    let doses = [dose(1, Route::IvInfusion, at("2026-05-04T22:30:00Z"))];
    let later = seen(&doses, at("2026-05-05T10:00:00Z"));
    assert_eq!(later.day(&utc), Some(1));
    let berlin = Zone::parse("Europe/Berlin").unwrap();
    assert_eq!(later.day(&|at| berlin.date(at)), Some(0));
    // A phase that ends at midnight does not touch the day that begins then.
    let midnight = [dose(1, Route::IvInfusion, at("2026-05-04T00:00:00Z"))];
    let days = owner(&seen(&midnight, at("2026-05-04T10:00:00Z")), &Zone::utc()).phases[2].days;
    assert_eq!(days, Days { from: 1, to: Some(2) });
    // Clocks that once were put back from 00:01 to 23:01: the day before does not come again.
    let newfoundland = [dose(1, Route::IvInfusion, at("2008-11-02T02:30:30Z"))];
    let back = seen(&newfoundland, at("2008-11-02T02:40:00Z"));
    let st_johns = Zone::parse("America/St_Johns").unwrap();
    assert_eq!(back.day(&|at| st_johns.date(at)), Some(0));
}

#[test]
fn day_0_is_the_date_of_the_place_where_the_infusion_ended_wherever_the_patient_is_now() {
    // It is ten in the morning of the tenth in Sydney, and the afternoon of the ninth in Los Angeles.
    let end = at("2026-03-09T23:00:00Z");
    let doses = [dose(1, Route::IvInfusion, end)];
    let [sydney, angeles] = ["Australia/Sydney", "America/Los_Angeles"].map(|name| Zone::parse(name).unwrap());
    // On the thirteenth a phase begins at ten. Half an hour later she lands where it is still the twelfth.
    let lands = at("2026-03-12T23:30:00Z");
    let date = |at: Timestamp| if at < lands { sydney.date(at) } else { angeles.date(at) };
    for (asked, day) in [("2026-03-12T23:00:00Z", 3), ("2026-03-12T23:45:00Z", 2), ("2026-03-13T12:00:00Z", 3)] {
        let view = OwnerView::of(&seen(&doses, at(asked)), shipped(), date, "en");
        let days = view.phases.iter().find(|phase| phase.key == view.phase).unwrap().days;
        assert_eq!((view.day, view.phase), (Some(day), Phase::Consolidate), "{asked}");
        assert!(days.from <= day && days.to.is_some_and(|to| day <= to), "{asked}: {days:?}");
    }
}

#[test]
fn the_words_promise_nothing_and_press_nobody() {
    for phase in Phase::ALL {
        let (label, sentence) = (phase.label(TextLanguage::English), phase.sentence(TextLanguage::English));
        assert!(sentence.chars().count() <= 240, "{phase}");
        let words = format!("{label} {sentence}").to_lowercase();
        let said: Vec<&str> = words.split(|c: char| !c.is_alphanumeric()).collect();
        for never in [
            "must",
            "should",
            "rewire",
            "cure",
            "heal",
            "guarantee",
            "optimal",
            "dose",
            "brain",
            "plasticity",
            "left",
            "remaining",
            "hurry",
            "last",
            "closing",
            "closes",
            "hours",
            "soon",
            "before",
            "he",
            "she",
            "streak",
        ] {
            assert!(!said.contains(&never), "{phase} says {never}");
        }
        assert!(!words.contains(|c: char| c.is_ascii_digit()), "{phase} counts");
        assert!(said.iter().any(|word| ["you", "your"].contains(word)), "{phase} speaks to nobody");
    }
}

#[test]
fn the_owner_reads_the_window_in_their_language() {
    let doses = [dose(1, Route::IvInfusion, end())];
    let window = seen(&doses, plus(26.0));
    for (reader, label, phase, disclaimer) in [
        ("de-AT", "Offenes Fenster", "Üben & wiederholen", "Die Phasen und die Kurve"),
        ("es", "Ventana abierta", "Practicar y repetir", "Las fases y la curva"),
        ("tlh", "Open window", "Practise & repeat", "The phases and curve"),
    ] {
        let view = OwnerView::of(&window, shipped(), utc, reader);
        assert_eq!((view.label.as_str(), view.phases[3].label.as_str()), (label, phase), "{reader}");
        assert!(view.disclaimer.starts_with(disclaimer), "{reader}: {}", view.disclaimer);
        assert_eq!(view.sentence, Phase::Peak.sentence(TextLanguage::of(reader)));
    }
}

#[test]
fn every_phase_speaks_to_the_patient_in_each_language_and_counts_nothing() {
    for (language, address) in [
        (TextLanguage::German, ["du", "dich", "dir", "deine", "deinem"].as_slice()),
        (TextLanguage::Spanish, ["tu", "tus", "te", "ti", "estás", "puedes"].as_slice()),
    ] {
        for phase in Phase::ALL {
            let (label, sentence) = (phase.label(language), phase.sentence(language));
            assert_ne!(label, phase.label(TextLanguage::English));
            assert!(label.chars().count() <= 40 && sentence.chars().count() <= 240, "{phase}");
            assert!(!sentence.contains(|c: char| c.is_ascii_digit()), "{phase} counts");
            let words = sentence.to_lowercase();
            let mut said = words.split(|c: char| !c.is_alphabetic());
            assert!(said.any(|word| address.contains(&word)), "{phase} speaks to nobody in {language:?}");
        }
    }
}

#[test]
fn the_schemas_are_ones_that_phones_can_read() {
    use utoipa::OpenApi;
    #[derive(OpenApi)]
    #[openapi(components(schemas(OwnerView, ClinicalView, Context)))]
    struct Doc;
    let doc = serde_json::to_value(Doc::openapi()).unwrap();
    let schemas = &doc["components"]["schemas"];
    let text = schemas.to_string();
    assert!(!text.contains("\"null\"") && !text.contains("oneOf") && !text.contains("\"enum\""), "{text}");
    let required = |name: &str| -> Vec<String> { serde_json::from_value(schemas[name]["required"].clone()).unwrap() };
    assert_eq!(required("WindowContext"), ["phase"]);
    assert_eq!(required("WindowView"), ["phase", "label", "sentence", "phases", "disclaimer"]);
    assert_eq!(required("ClinicalWindowPhase"), ["key", "label", "days", "starts_at"]);
    assert_eq!(schemas["ClinicalWindowPhase"]["properties"]["ends_at"]["format"], json!("date-time"));
    assert_eq!(schemas["WindowContext"]["properties"]["infusion_id"]["format"], json!("uuid"));
}
