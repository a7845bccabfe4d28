//! The mark of the request that created an object, by which a repeat of that request is recognised.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::{Error, Result};

/// A digest of the body of the PUT that created an object. It is kept in the object's sealed document: a client that
/// was offline sends the body again and learns the present state.
///
/// It is made of the body as its wire names it, in a canonical form after RFC 8785: members sorted, numbers in one
/// notation; members that are `null` count as absent. So it stays the same when a field is renamed in Rust, when fields
/// change places, and when the body gains an optional field that old clients do not send. An optional field
/// without a value must be absent or `null` in the JSON of the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Creation(String);

impl Creation {
    /// Makes the digest of `body`.
    ///
    /// # Errors
    ///
    /// When `body` is not representable as JSON.
    pub fn of<T: Serialize>(body: &T) -> Result<Self> {
        let body = serde_json::to_value(body).map_err(|error| Error::Internal(Box::new(error)))?;
        let digest = digest::digest(&digest::SHA256, canonical(body, false).as_bytes());
        Ok(Self(URL_SAFE_NO_PAD.encode(digest.as_ref())))
    }
}

/// Writes a JSON document in a canonical form: with sorted members and with whole numbers written without a fraction.
/// Members that are `null` are left out, unless `nulls` say something, as they do in a merge patch.
pub fn canonical(mut value: Value, nulls: bool) -> String {
    // It is changed in place: a copy of every text of every body was seen in the profile.
    simplify(&mut value, nulls);
    value.sort_all_objects();
    value.to_string()
}

fn simplify(value: &mut Value, nulls: bool) {
    match value {
        Value::Object(members) => members.retain(|_, member| {
            simplify(member, nulls);
            nulls || !member.is_null()
        }),
        Value::Array(items) => items.iter_mut().for_each(|item| simplify(item, nulls)),
        Value::Number(number) => {
            if let Some(whole) = whole(number) {
                *number = whole;
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Returns a floating-point number without a fraction as an integer.
fn whole(number: &Number) -> Option<Number> {
    let value = number.as_f64().filter(|value| number.is_f64() && value.fract() == 0.0)?;
    format!("{value:.0}").parse::<i64>().ok().map(Number::from)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[derive(Serialize)]
    struct Body {
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        dose_mg: Option<f64>,
        parts: Vec<Part>,
    }

    #[derive(Serialize)]
    struct Part {
        key: &'static str,
        minutes: i64,
    }

    /// The same body a few releases later.
    #[derive(Serialize)]
    struct Later {
        #[serde(rename = "parts")]
        sections: Vec<LaterPart>,
        #[serde(skip_serializing_if = "Option::is_none")]
        colour: Option<String>,
        weight_kg: Option<f64>,
        #[serde(rename = "dose_mg")]
        dose: Option<f64>,
        #[serde(rename = "status")]
        stands: &'static str,
    }

    #[derive(Serialize)]
    struct LaterPart {
        #[serde(rename = "minutes")]
        length: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        remark: Option<&'static str>,
        key: &'static str,
    }

    fn of(value: &impl Serialize) -> Creation {
        Creation::of(value).unwrap()
    }

    #[test]
    fn a_body_is_known_again_by_later_releases() {
        let body = Body { status: "planned", dose_mg: Some(35.0), parts: vec![Part { key: "a", minutes: 40 }] };
        let part = LaterPart { length: 40.0, remark: None, key: "a" };
        let later = Later { sections: vec![part], colour: None, weight_kg: None, dose: Some(35.0), stands: "planned" };
        assert_eq!(of(&body), of(&later), "renamed, reordered, with new optional fields and another type of number");
        assert_ne!(
            of(&body),
            of(&Later { colour: Some("blue".to_owned()), ..later }),
            "a new field that is said counts"
        );
    }

    #[test]
    fn the_form_is_canonical() {
        let same = |one: &str, two: &str| {
            let [one, two] = [one, two].map(|text| of(&serde_json::from_str::<Value>(text).unwrap()));
            one == two
        };
        assert!(same(r#"{"a":1,"b":{"c":2,"d":3}}"#, r#"{"b":{"d":3,"c":2},"a":1}"#), "members have no order");
        assert!(same(r#"{"a":null,"b":{"c":null},"d":[{"e":null}]}"#, r#"{"b":{},"d":[{}]}"#), "null is absent");
        assert!(same(r#"{"a":[1,-2.0,1e3]}"#, r#"{"a":[1.0,-2,1000]}"#), "a number has one notation");
        for (one, two) in [
            (r#"{"a":1}"#, r#"{"a":1.5}"#),
            (r#"{"a":1}"#, r#"{"a":"1"}"#),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#),
            (r#"{"a":{"b":1}}"#, r#"{"a":{},"b":1}"#),
            (r#"{"a":[null]}"#, r#"{"a":[]}"#),
            (r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#),
        ] {
            assert!(!same(one, two), "{one} {two}");
        }
        assert_eq!(canonical(json!({"b": 2.0, "a": null}), false), r#"{"b":2}"#);
        assert_eq!(
            canonical(json!({"b": [{"d": 1.5, "c": null}], "a": null}), true),
            r#"{"a":null,"b":[{"c":null,"d":1.5}]}"#
        );
    }

    #[test]
    fn the_digest_stays_the_same_from_release_to_release() {
        let body = json!({"status": "planned", "dose_mg": 35, "distinct_from": [], "supervised": true});
        assert_eq!(of(&body).0, "hYOsQ7ltmNfU_C460J7Ny-QVOoYj-WZhy-OI_aBbATw");
        assert_eq!(serde_json::to_string(&of(&json!({}))).unwrap().len(), 45, "it is kept as a word");
    }
}
