//! The document in OpenAPI 3.0, for tools that do not read 3.1.
//!
//! It says the same as far as 3.0 can: what it cannot say is left out or widened, never narrowed, so that a client of
//! it accepts all that the server sends.

use serde_json::{Map, Value, json};

/// Members of a schema that 3.0 does not know and that only narrow it.
const UNKNOWN: [&str; 22] = [
    "$schema",
    "$id",
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$comment",
    "$defs",
    "$vocabulary",
    "if",
    "then",
    "else",
    "contains",
    "minContains",
    "maxContains",
    "dependentRequired",
    "dependentSchemas",
    "propertyNames",
    "prefixItems",
    "patternProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];

/// Returns a document of 3.1 as one of 3.0.3.
pub fn down_levelled(mut document: Value) -> Value {
    let Some(root) = document.as_object_mut() else { return document };
    root.insert("openapi".to_owned(), json!("3.0.3"));
    root.remove("jsonSchemaDialect");
    root.remove("webhooks");
    if let Some(info) = object(root.get_mut("info")) {
        info.remove("summary");
        if let Some(license) = object(info.get_mut("license")) {
            license.remove("identifier");
        }
    }
    for item in values(root.get_mut("paths")) {
        path_item(item);
    }
    if let Some(components) = object(root.get_mut("components")) {
        components.remove("pathItems");
        values(components.get_mut("schemas")).for_each(schema);
        values(components.get_mut("responses")).for_each(response);
        values(components.get_mut("parameters")).for_each(parameter);
        values(components.get_mut("headers")).for_each(parameter);
        values(components.get_mut("requestBodies")).for_each(body);
        values(components.get_mut("callbacks")).for_each(callback);
    }
    document
}

fn object(value: Option<&mut Value>) -> Option<&mut Map<String, Value>> {
    value.and_then(Value::as_object_mut)
}

/// The values of an object.
fn values(value: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    object(value).into_iter().flat_map(Map::values_mut)
}

/// The items of a list.
fn items(value: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    value.and_then(Value::as_array_mut).into_iter().flatten()
}

fn path_item(item: &mut Value) {
    items(item.get_mut("parameters")).for_each(parameter);
    for name in ["get", "put", "post", "delete", "options", "head", "patch", "trace"] {
        let Some(operation) = item.get_mut(name) else { continue };
        items(operation.get_mut("parameters")).for_each(parameter);
        operation.get_mut("requestBody").into_iter().for_each(body);
        values(operation.get_mut("responses")).for_each(response);
        values(operation.get_mut("callbacks")).for_each(callback);
    }
}

fn callback(callback: &mut Value) {
    values(Some(callback)).for_each(path_item);
}

/// Reduces a reference to its target, as in 3.0 nothing stands beside `$ref`. Returns whether the value is one.
fn reference(value: &mut Value) -> bool {
    let Some(target) = value.get("$ref").cloned() else { return false };
    *value = json!({ "$ref": target });
    true
}

fn parameter(parameter: &mut Value) {
    if !reference(parameter) {
        parameter.get_mut("schema").into_iter().for_each(schema);
        values(parameter.get_mut("content")).for_each(media);
    }
}

fn body(body: &mut Value) {
    if !reference(body) {
        values(body.get_mut("content")).for_each(media);
    }
}

fn response(response: &mut Value) {
    if !reference(response) {
        values(response.get_mut("headers")).for_each(parameter);
        values(response.get_mut("content")).for_each(media);
    }
}

fn media(media: &mut Value) {
    media.get_mut("schema").into_iter().for_each(schema);
    for encoding in values(media.get_mut("encoding")) {
        values(encoding.get_mut("headers")).for_each(parameter);
    }
}

fn schema(value: &mut Value) {
    if let Value::Bool(anything) = value {
        *value = if *anything { json!({}) } else { json!({ "not": {} }) };
    }
    let Some(fields) = value.as_object_mut() else { return };
    if let Some(target) = fields.remove("$ref") {
        let target = json!({ "$ref": target });
        if fields.is_empty() {
            *value = target;
            return;
        }
        let mut all = vec![target];
        all.extend(items(fields.get_mut("allOf")).map(Value::take));
        fields.insert("allOf".to_owned(), Value::Array(all));
    }
    types(fields);
    if let Some(only) = fields.remove("const") {
        fields.insert("enum".to_owned(), json!([only]));
    }
    if let Some(Value::Array(examples)) = fields.remove("examples")
        && let Some(first) = examples.into_iter().next()
    {
        fields.entry("example").or_insert(first);
    }
    bound(fields, "exclusiveMinimum", "minimum", f64::max);
    bound(fields, "exclusiveMaximum", "maximum", f64::min);
    encoding(fields);
    for name in UNKNOWN {
        fields.remove(name);
    }
    values(fields.get_mut("properties")).for_each(schema);
    for name in ["allOf", "anyOf", "oneOf"] {
        items(fields.get_mut(name)).for_each(schema);
    }
    for name in ["not", "items"] {
        fields.get_mut(name).into_iter().for_each(schema);
    }
    fields.get_mut("additionalProperties").filter(|more| more.is_object()).into_iter().for_each(schema);
    nulls(fields);
    if fields.get("type") == Some(&json!("array")) && !fields.contains_key("items") {
        fields.insert("items".to_owned(), json!({}));
    }
}

/// Replaces a list of types: null is `nullable`, several others are alternatives.
fn types(fields: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = fields.get("type").cloned() else {
        if fields.get("type") == Some(&json!("null")) {
            fields.remove("type");
            fields.insert("nullable".to_owned(), json!(true));
            fields.insert("enum".to_owned(), json!([null]));
        }
        return;
    };
    let others: Vec<Value> = types.iter().filter(|one| **one != "null").cloned().collect();
    if others.len() < types.len() {
        fields.insert("nullable".to_owned(), json!(true));
    }
    match others.as_slice() {
        [only] => drop(fields.insert("type".to_owned(), only.clone())),
        several => {
            fields.remove("type");
            let several: Vec<Value> = several.iter().map(|one| json!({ "type": one })).collect();
            if !several.is_empty() {
                let both = json!({ "anyOf": several });
                match fields.get_mut("allOf").and_then(Value::as_array_mut) {
                    Some(all) => all.push(both),
                    None => drop(fields.insert("allOf".to_owned(), json!([both]))),
                }
            }
        }
    }
}

/// Takes null out of alternatives: they are `nullable` then.
fn nulls(fields: &mut Map<String, Value>) {
    let null = json!({ "nullable": true, "enum": [null] });
    let mut nullable = false;
    for name in ["anyOf", "oneOf"] {
        let Some(Value::Array(list)) = fields.get_mut(name) else { continue };
        let before = list.len();
        list.retain(|one| *one != null);
        nullable |= list.len() < before;
        if let [only] = list.as_slice() {
            let only = only.clone();
            fields.remove(name);
            fields.insert("allOf".to_owned(), json!([only]));
        }
    }
    if nullable {
        fields.insert("nullable".to_owned(), json!(true));
    }
    // In 3.0 a null has to stand in the `enum` as well.
    if fields.get("nullable") == Some(&json!(true))
        && let Some(Value::Array(values)) = fields.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
}

/// Replaces an exclusive bound that is a number by the bound and a mark. Of two bounds the tighter one holds.
fn bound(fields: &mut Map<String, Value>, exclusive: &str, inclusive: &str, tighter: fn(f64, f64) -> f64) {
    let Some(open) = fields.get(exclusive).and_then(Value::as_f64) else { return };
    match fields.get(inclusive).and_then(Value::as_f64) {
        #[expect(clippy::float_cmp, reason = "one of the two numbers, unchanged")]
        Some(closed) if closed != open && tighter(closed, open) == closed => drop(fields.remove(exclusive)),
        _ => {
            if let Some(value) = fields.insert(exclusive.to_owned(), json!(true)) {
                fields.insert(inclusive.to_owned(), value);
            }
        }
    }
}

/// Replaces the encoding of a string by the format that 3.0 has for it.
fn encoding(fields: &mut Map<String, Value>) {
    let encoding = fields.remove("contentEncoding");
    let media = fields.remove("contentMediaType");
    let format = match encoding.as_ref().and_then(Value::as_str) {
        Some("base64" | "base64url") => "byte",
        None if media == Some(json!("application/octet-stream")) => "binary",
        _ => return,
    };
    fields.entry("format").or_insert(json!(format));
}
