//! Values made from the schemas of the document, and values that fit none.

use serde_json::{Map, Value, json};

use super::contract::resolved;
use super::dice::Dice;

/// Values of schemas. Ids are drawn from those that are known, so that they name something.
pub struct Generator {
    pub dice: Dice,
    pub ids: Vec<String>,
}

/// Instants around the time of the tests.
const INSTANTS: [&str; 6] = [
    "2026-03-08T07:30:00Z",
    "2026-03-10T08:30:00+01:00",
    "2026-03-11T09:00:00Z",
    "2026-04-02T22:00:00Z",
    "2026-04-05T00:00:00Z",
    "2027-01-01T00:00:00Z",
];

/// The words of a description that stand between backticks: the values that a text may have.
fn named(schema: &Value) -> Vec<&str> {
    let description = schema["description"].as_str().unwrap_or_default();
    description.split('`').skip(1).step_by(2).filter(|word| !word.contains([' ', '/', ':'])).collect()
}

impl Generator {
    /// A value that fits a schema, or nearly: not every rule of a text stands in its schema.
    pub fn value(&self, schema: &'static Value) -> Value {
        let dice = &self.dice;
        let described = schema;
        let schema = resolved(schema);
        let types: Vec<&str> = match &schema["type"] {
            Value::Array(types) => types.iter().map(|one| one.as_str().unwrap()).collect(),
            one => one.as_str().into_iter().collect(),
        };
        match dice.of(&types).copied().unwrap_or("null") {
            "object" => self.object(schema, |_, required| required || dice.once_in(2)),
            "array" => (0..dice.below(4)).map(|_| self.value(&schema["items"])).collect(),
            "string" => json!(self.text(schema, described)),
            "integer" => {
                let bound = |name: &str, other: i64| schema[name].as_i64().unwrap_or(other);
                let (least, most) = (bound("minimum", 0), bound("maximum", 90));
                json!(least + i64::try_from(dice.below(usize::try_from(most - least).unwrap() + 1)).unwrap())
            }
            "number" => json!(f64::from(u32::try_from(dice.below(800)).unwrap()) / 8.0),
            "boolean" => json!(dice.once_in(2)),
            _ => Value::Null,
        }
    }

    /// An object with those of its members that `takes`, given their names and whether they are required.
    pub fn object(&self, schema: &'static Value, takes: impl Fn(&str, bool) -> bool) -> Value {
        let schema = resolved(schema);
        let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
        let members = schema["properties"].as_object().into_iter().flatten();
        let taken = members.filter(|(name, _)| takes(name, required(name)));
        Value::Object(taken.map(|(name, member)| (name.clone(), self.value(member))).collect())
    }

    fn text(&self, schema: &'static Value, described: &'static Value) -> String {
        let dice = &self.dice;
        match schema["format"].as_str() {
            Some("uuid") => match dice.of(&self.ids) {
                Some(id) if !dice.once_in(4) => id.clone(),
                _ => dice.id(),
            },
            Some("date-time") => INSTANTS[dice.below(INSTANTS.len())].to_owned(),
            Some("time-zone") => "Europe/Berlin".to_owned(),
            _ => {
                let named = [named(schema), named(described)].concat();
                let shown = schema["example"].as_str().or_else(|| described["example"].as_str());
                match dice.of(&named) {
                    Some(word) => (*word).to_owned(),
                    None => shown.map_or_else(|| format!("A lake, {} trees", dice.below(1000)), str::to_owned),
                }
            }
        }
    }

    /// Puts something odd into a random place of a value.
    pub fn spoil(&self, value: &mut Value) {
        let dice = &self.dice;
        match value {
            Value::Object(members) if !members.is_empty() && !dice.once_in(6) => {
                let names: Vec<String> = members.keys().cloned().collect();
                let name = &names[dice.below(names.len())];
                match dice.below(8) {
                    0 => drop(members.remove(name)),
                    1 => drop(members.insert(UNKNOWN[dice.below(UNKNOWN.len())].to_owned(), self.odd())),
                    _ => self.spoil(&mut members[name]),
                }
            }
            Value::Array(items) if !items.is_empty() && !dice.once_in(4) => {
                let place = dice.below(items.len());
                match dice.below(4) {
                    0 => items.push(items[place].clone()),
                    1 => items.extend(vec![items[place].clone(); 60]),
                    _ => self.spoil(&mut items[place]),
                }
            }
            value => *value = self.odd(),
        }
    }

    /// A value that fits few schemas.
    fn odd(&self) -> Value {
        let nested =
            (0..24).fold(json!(1), |inner, turn| if turn % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) });
        let many: Map<String, Value> = (0..400).map(|n| (format!("k{n}"), json!(n))).collect();
        let values = [
            Value::Null,
            json!(true),
            json!(0),
            json!(-1),
            json!(1.5),
            json!(1e300),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(""),
            json!(" \t\n"),
            json!("\0"),
            json!("a\u{202e}b\u{feff}"),
            json!("e\u{301}".repeat(120)),
            json!("\u{1f469}\u{200d}\u{1f52c}".repeat(90)),
            json!("x".repeat(5_000)),
            json!("x".repeat(300_000)),
            json!("../../etc/passwd"),
            json!("'; DROP TABLE entries; --"),
            json!("9999-12-31T23:59:60Z"),
            json!("0000-00-00T00:00:00Z"),
            json!("-009999-01-01T00:00:00Z"),
            json!("2026-03-29T02:30:00+02:00[Europe/Berlin]"),
            json!("00000000-0000-0000-0000-000000000000"),
            json!("ffffffff-ffff-ffff-ffff-ffffffffffff"),
            json!("c232ab00-9414-11ec-b3c8-9f68deced846"),
            json!([]),
            json!({}),
            json!([null, 1, "a", [], {}]),
            json!({ "id": "x", "type": null }),
            nested,
            Value::Object(many),
        ];
        values[self.dice.below(values.len())].clone()
    }
}

/// Members that no object has.
const UNKNOWN: [&str; 4] = ["colour", "__proto__", "", "a\u{0}b"];
