//! The document in OpenAPI 3.0: by its rules, and with nothing narrowed.

use afterglow::app::openapi::older::down_levelled;
use serde_json::{Value, json};

use crate::support::app::{TestApp, document};

/// The rules of OpenAPI 3.0.3 for what stands in a document of this server, as a JSON Schema. Nothing else may stand in
/// it: what 3.1 added fails.
fn rules() -> Value {
    let text = json!({ "type": "string" });
    let number = json!({ "type": "number" });
    let count = json!({ "type": "integer", "minimum": 0 });
    let flag = json!({ "type": "boolean" });
    let to = |name: &str| json!({ "$ref": format!("#/$defs/{name}") });
    let map = |name: &str| json!({ "type": "object", "additionalProperties": to(name) });
    let list = |name: &str| json!({ "type": "array", "items": to(name), "minItems": 1 });
    let object = |required: &[&str], properties: Value| {
        json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false,
            "patternProperties": { "^x-": {} } })
    };
    // Nothing stands beside a `$ref`.
    let or_reference = |name: &str| json!({ "if": { "required": ["$ref"] }, "then": object(&["$ref"], json!({ "$ref": text })), "else": to(name) });
    let operation = object(
        &["responses"],
        json!({ "tags": { "type": "array", "items": text }, "summary": text, "description": text, "operationId": text,
            "externalDocs": {}, "parameters": list("parameter"), "requestBody": to("body"),
            "responses": { "type": "object", "minProperties": 1, "additionalProperties": false,
                "patternProperties": { "^([1-5][0-9]{2}|default)$": to("response") } },
            "deprecated": flag, "security": { "type": "array" }, "servers": { "type": "array" } }),
    );
    let schema = json!({
        "title": text, "description": text, "default": {}, "example": {}, "nullable": flag, "deprecated": flag,
        "readOnly": flag, "writeOnly": flag, "externalDocs": {}, "xml": {},
        "type": { "enum": ["string", "number", "integer", "boolean", "array", "object"] }, "format": text, "pattern": text,
        "enum": { "type": "array", "minItems": 1 }, "multipleOf": number, "minimum": number, "maximum": number,
        "exclusiveMinimum": flag, "exclusiveMaximum": flag, "minLength": count, "maxLength": count, "minItems": count,
        "maxItems": count, "uniqueItems": flag, "minProperties": count, "maxProperties": count,
        "required": { "type": "array", "items": text, "minItems": 1, "uniqueItems": true },
        "properties": map("schema"), "additionalProperties": { "anyOf": [flag, to("schema")] }, "items": to("schema"),
        "allOf": list("schema"), "anyOf": list("schema"), "oneOf": list("schema"), "not": to("schema"),
        "discriminator": object(&["propertyName"], json!({ "propertyName": text, "mapping": { "type": "object" } })),
    });
    let mut schema = object(&[], schema);
    schema["allOf"] = json!([
        { "if": { "properties": { "type": { "const": "array" } }, "required": ["type"] }, "then": { "required": ["items"] } },
        { "if": { "required": ["nullable"] }, "then": { "anyOf": [
            { "required": ["type"] }, { "required": ["allOf"] }, { "required": ["anyOf"] }, { "required": ["oneOf"] },
            { "required": ["enum"] } ] } },
    ]);
    let shown = json!({ "description": text, "required": flag, "deprecated": flag, "allowEmptyValue": flag, "style": text,
        "explode": flag, "allowReserved": flag, "schema": to("schema"), "content": map("media"), "example": {},
        "examples": { "type": "object" } });
    let mut parameter = shown.clone();
    parameter["name"] = text.clone();
    parameter["in"] = json!({ "enum": ["query", "header", "path", "cookie"] });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": "#/$defs/document",
        "$defs": {
            "document": object(&["openapi", "info", "paths"], json!({
                "openapi": { "const": "3.0.3" },
                "info": object(&["title", "version"], json!({ "title": text, "description": text, "termsOfService": text,
                    "contact": {}, "license": object(&["name"], json!({ "name": text, "url": text })), "version": text })),
                "servers": { "type": "array" },
                "paths": { "type": "object", "patternProperties": { "^/": to("path") }, "additionalProperties": false },
                "components": object(&[], json!({ "schemas": map("schema"), "responses": map("response"),
                    "parameters": map("parameter"), "headers": map("header"), "requestBodies": map("body"),
                    "examples": { "type": "object" }, "securitySchemes": { "type": "object" }, "links": {} })),
                "security": { "type": "array" }, "tags": { "type": "array" }, "externalDocs": {},
            })),
            "path": object(&[], json!({ "summary": text, "description": text, "parameters": list("parameter"),
                "get": operation, "put": operation, "post": operation, "patch": operation, "delete": operation })),
            "parameter": or_reference("own_parameter"),
            "own_parameter": object(&["name", "in"], parameter),
            "header": or_reference("own_header"),
            "own_header": object(&[], shown),
            "body": or_reference("own_body"),
            "own_body": object(&["content"], json!({ "description": text, "content": map("media"), "required": flag })),
            "response": or_reference("own_response"),
            "own_response": object(&["description"], json!({ "description": text, "headers": map("header"),
                "content": map("media"), "links": { "type": "object" } })),
            "media": object(&[], json!({ "schema": to("schema"), "example": {}, "examples": { "type": "object" },
                "encoding": { "type": "object" } })),
            "schema": or_reference("own_schema"),
            "own_schema": schema,
        },
    })
}

fn faults(document: &Value) -> Vec<String> {
    let rules = jsonschema::draft202012::new(&rules()).unwrap();
    rules.iter_errors(document).map(|fault| format!("{}: {fault:.200}", fault.instance_path())).collect()
}

#[test]
fn it_keeps_the_rules_of_3_0_which_the_document_in_3_1_does_not() {
    assert!(!faults(document()).is_empty(), "the rules find nothing in 3.1");
    let found = faults(&down_levelled(document().clone()));
    assert!(found.is_empty(), "{} faults:\n{}", found.len(), found.join("\n"));
}

#[actix_web::test]
async fn it_is_served_with_the_same_operations_and_no_dangling_reference() {
    let app = TestApp::start().await;
    let served = app.get("/openapi-3.0.json").send().await.ok();
    assert_eq!(served.headers["content-type"], "application/json");
    assert_eq!(served.body, down_levelled(document().clone()));
    let (ours, theirs) = (&document()["paths"], &served.body["paths"]);
    for (path, item) in ours.as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let other = &theirs[path][method];
            assert_eq!(operation["operationId"], other["operationId"]);
            let count = |one: &Value| one["parameters"].as_array().map_or(0, Vec::len);
            assert_eq!(count(operation), count(other), "{method} {path}");
        }
    }
    let mut waiting = vec![&served.body];
    while let Some(value) = waiting.pop() {
        if let Some(to) = value["$ref"].as_str() {
            assert!(served.body.pointer(&to[1..]).is_some(), "{to} points to nothing");
        }
        match value {
            Value::Object(fields) => waiting.extend(fields.values()),
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
}

/// The schema as 3.0 says it.
fn schema(of: Value) -> Value {
    let document = json!({ "openapi": "3.1.0", "components": { "schemas": { "X": of } } });
    down_levelled(document)["components"]["schemas"]["X"].clone()
}

#[test]
fn each_thing_that_3_1_added_is_said_otherwise_or_left_out() {
    for (newer, older) in [
        (json!({ "type": ["string", "null"] }), json!({ "type": "string", "nullable": true })),
        (
            json!({ "type": ["string", "null"], "enum": ["a"] }),
            json!({ "type": "string", "nullable": true, "enum": ["a", null] }),
        ),
        (
            json!({ "type": ["string", "integer"] }),
            json!({ "allOf": [{ "anyOf": [{ "type": "string" }, { "type": "integer" }] }] }),
        ),
        (json!({ "type": "null" }), json!({ "nullable": true, "enum": [null] })),
        (json!({ "const": "me" }), json!({ "enum": ["me"] })),
        (json!({ "type": "string", "examples": ["a", "b"] }), json!({ "type": "string", "example": "a" })),
        (json!({ "type": "string", "examples": [] }), json!({ "type": "string" })),
        (json!({ "exclusiveMinimum": 0 }), json!({ "exclusiveMinimum": true, "minimum": 0 })),
        (json!({ "exclusiveMinimum": 0, "minimum": 3 }), json!({ "minimum": 3 })),
        (json!({ "exclusiveMinimum": 3, "minimum": 3 }), json!({ "exclusiveMinimum": true, "minimum": 3 })),
        (json!({ "exclusiveMaximum": 9, "maximum": 10 }), json!({ "exclusiveMaximum": true, "maximum": 9 })),
        (json!({ "exclusiveMaximum": 10, "maximum": 9 }), json!({ "maximum": 9 })),
        (json!({ "$ref": "#/a" }), json!({ "$ref": "#/a" })),
        (json!({ "$ref": "#/a", "description": "d" }), json!({ "allOf": [{ "$ref": "#/a" }], "description": "d" })),
        (
            json!({ "oneOf": [{ "$ref": "#/a" }, { "type": "null" }] }),
            json!({ "allOf": [{ "$ref": "#/a" }], "nullable": true }),
        ),
        (
            json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }, { "type": "null" }] }),
            json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }], "nullable": true }),
        ),
        (json!({ "type": "array" }), json!({ "type": "array", "items": {} })),
        (json!({ "type": "array", "items": true }), json!({ "type": "array", "items": {} })),
        (json!({ "type": "array", "prefixItems": [{ "type": "string" }] }), json!({ "type": "array", "items": {} })),
        (
            json!({ "properties": { "const": { "const": 1 }, "type": true } }),
            json!({ "properties": { "const": { "enum": [1] }, "type": {} } }),
        ),
        (
            json!({ "additionalProperties": { "type": ["integer", "null"] } }),
            json!({ "additionalProperties": { "type": "integer", "nullable": true } }),
        ),
        (json!({ "type": "string", "contentEncoding": "base64" }), json!({ "type": "string", "format": "byte" })),
        (
            json!({ "type": "string", "contentMediaType": "application/octet-stream" }),
            json!({ "type": "string", "format": "binary" }),
        ),
        (json!({ "patternProperties": {}, "unevaluatedProperties": false, "$comment": "c", "if": {} }), json!({})),
        (
            json!({ "example": { "type": ["not", "a schema"], "const": 1 } }),
            json!({ "example": { "type": ["not", "a schema"], "const": 1 } }),
        ),
    ] {
        assert_eq!(schema(newer.clone()), older, "{newer}");
    }
    let whole = down_levelled(json!({ "openapi": "3.1.0", "jsonSchemaDialect": "x", "webhooks": {},
        "info": { "summary": "s", "license": { "name": "MIT", "identifier": "MIT" } },
        "paths": { "/a": { "get": { "parameters": [{ "$ref": "#/p", "description": "d" }],
            "responses": { "404": { "$ref": "#/r", "summary": "s" } } } } },
        "components": { "pathItems": {} } }));
    assert_eq!(
        whole,
        json!({ "openapi": "3.0.3", "info": { "license": { "name": "MIT" } },
            "paths": { "/a": { "get": { "parameters": [{ "$ref": "#/p" }], "responses": { "404": { "$ref": "#/r" } } } } },
            "components": {} })
    );
}
