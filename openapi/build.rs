//! What the crate embeds beside its sources: the migrations, and the committed OpenAPI document. A server sends it as
//! one line, and reads of it when it starts only what its layers ask for.

use std::error::Error;
use std::path::Path;

use serde_json::{Map, Value, json};

const DOCUMENT: &str = "openapi/openapi.json";
/// What the layers read of an operation.
const READ: [&str; 3] = ["parameters", "security", "x-deprecation"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed={DOCUMENT}");
    let text = std::fs::read_to_string(DOCUMENT)?;
    // The command that makes the document anew has emptied the file before this runs.
    let document: Value = text.parse().unwrap_or_else(|error| {
        println!("cargo:warning={DOCUMENT}: {error}; a server of this build does not start");
        json!({ "paths": {} })
    });
    #[expect(clippy::disallowed_methods, reason = "cargo tells a build script its folder so")]
    let folder = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&folder).join("openapi.json"), document.to_string())?;
    std::fs::write(Path::new(&folder).join("operations.json"), operations(&document).to_string())?;
    Ok(())
}

/// Returns the document with nothing in it but the operations, and with nothing in these but what is read.
fn operations(document: &Value) -> Value {
    let paths = document["paths"].as_object().into_iter().flatten().map(|(path, item)| {
        let item =
            item.as_object().into_iter().flatten().map(|(method, operation)| (method.clone(), stripped(operation)));
        (path.clone(), Value::Object(item.collect()))
    });
    json!({ "paths": paths.collect::<Map<_, _>>() })
}

fn stripped(operation: &Value) -> Value {
    let mut read = operation.as_object().cloned().unwrap_or_default();
    read.retain(|name, _| READ.contains(&name.as_str()));
    for parameter in read.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        *parameter = json!({ "in": parameter["in"], "name": parameter["name"] });
    }
    Value::Object(read)
}
