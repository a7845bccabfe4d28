//! What a failed parse says to the client: never a value that was sent.
//!
//! serde's messages quote the offending value, which may be somebody's words. What is passed on is the part that
//! speaks of the schema; everything else becomes "is not valid".

/// What a message of serde says about a field.
pub(super) enum Fault {
    /// The key is not known here.
    Unknown,
    /// This key is missing.
    Missing(String),
    /// The value is wrong, in words safe to show.
    Value(String),
}

/// Reads a message of serde.
pub(super) fn read(message: &str) -> Fault {
    let message = message.rsplit_once(" at line ").map_or(message, |(text, _)| text);
    if message.starts_with("unknown field ") {
        return Fault::Unknown;
    }
    if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return Fault::Missing(name.to_owned());
    }
    Fault::Value(value(message))
}

/// What may be said of a wrong value. A type's own message is passed on if it starts as this API's details do.
pub(super) fn value(message: &str) -> String {
    if message.starts_with("must ") || message.starts_with("is ") {
        return message.to_owned();
    }
    if message.starts_with("UUID parsing failed") {
        return "must be a UUID".to_owned();
    }
    // The schema's part is the last one; the value before it is quoted and may itself contain the separator.
    let quotes_schema = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    if quotes_schema.iter().any(|start| message.starts_with(start)) {
        if let Some((_, expected)) = message.rsplit_once(", expected ") {
            return format!("must be {}", plain(expected));
        }
        return "is not one of the known values".to_owned();
    }
    "is not valid".to_owned()
}

/// Rust's words for a shape, in the words of JSON.
fn plain(expected: &str) -> String {
    match expected {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number in range".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        other if other.starts_with("struct ") => "an object".to_owned(),
        other if other.starts_with("a formatted UUID") || other.starts_with("UUID") => "a UUID".to_owned(),
        other => other.to_owned(),
    }
}
