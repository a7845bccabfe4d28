//! The shipped parameters, and the faulty ones.

use serde_json::{Value, json};

use super::*;
use crate::kernel::Error;

#[test]
fn the_shipped_parameters_are_valid_and_survive_a_round_trip() {
    shipped().validate().unwrap();
    let text = serde_json::to_string(shipped()).unwrap();
    let again: WindowParams = serde_json::from_str(&text).unwrap();
    assert_eq!(&again, shipped());
    let value = serde_json::to_value(shipped()).unwrap();
    let names: Vec<&str> = value["routes"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names.len(), Route::ALL.len());
    for route in Route::ALL {
        assert!(names.contains(&route.name()));
        assert_eq!(Route::parse(route.name()), Ok(route));
        assert_eq!(serde_json::to_value(route).unwrap(), json!(route.name()));
    }
    for phase in Phase::ALL {
        assert_eq!(Phase::parse(phase.name()), Ok(phase));
        assert_eq!(serde_json::to_value(phase).unwrap(), json!(phase.name()));
    }
    assert!(Route::parse("intravenous").is_err() && Phase::parse("prep").is_err());
}

#[test]
fn faulty_parameters_are_refused_and_the_fault_is_named() {
    let faults = |pointer: &str, wrong: Value| -> Vec<String> {
        let mut value = serde_json::to_value(shipped()).unwrap();
        *value.pointer_mut(pointer).unwrap() = wrong;
        match serde_json::from_value::<WindowParams>(value).unwrap().validate() {
            Err(Error::Invalid(errors)) => errors.into_iter().map(|error| error.pointer).collect(),
            other => panic!("{pointer}: {other:?}"),
        }
    };
    let named = |pointer: &str, wrong: Value, at: &str| {
        let found = faults(pointer, wrong);
        assert!(found.iter().any(|fault| fault == at), "{pointer}: {found:?}");
    };
    named("/phases/2/start_h", json!(25), "/phases/2");
    named("/phases/2/start_h", json!(23), "/phases/2");
    named("/phases/2/end_h", json!(24), "/phases/2");
    named("/phases/0/start_h", json!(-1), "/phases/0");
    named("/phases/0/start_h", json!(1), "/phases/0");
    named("/phases/5/end_h", json!(400), "/phases/5");
    named("/phases/3/end_h", json!(null), "/phases/3");
    named("/phases/3/key", json!("peak"), "/phases");
    named("/phases", json!([]), "/phases");
    named("/curve/tau_rise_h", json!(0), "/curve/tau_rise_h");
    named("/curve/tau_rise_h", json!(120), "/curve/tau_decay_h");
    named("/curve/tau_decay_h", json!(9), "/curve/tau_decay_h");
    named("/curve/amplitude", json!(1.1), "/curve/amplitude");
    named("/curve/horizon_h", json!(1e300), "/curve/horizon_h");
    named("/prep_overlay/start_h", json!(1), "/prep_overlay");
    named("/routes/oral/acute_h", json!(24), "/routes/oral/acute_h");
    named("/routes/im/acute_h", json!(0), "/routes/im/acute_h");
    named("/routes/sc/lag_h", json!(-0.25), "/routes/sc/lag_h");
    named("/no_driving/min_h", json!(-1), "/no_driving/min_h");
    named("/units", json!("minutes"), "/units");
    named("/disclaimer", json!(" "), "/disclaimer");
    named("/disclaimers/de", json!(" "), "/disclaimers");
    let mut unknown = serde_json::to_value(shipped()).unwrap();
    unknown["curve"]["tau_rize_h"] = json!(3);
    assert!(serde_json::from_value::<WindowParams>(unknown).is_err());
}
