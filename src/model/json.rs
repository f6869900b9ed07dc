//! What may be said of JSON that could not be read. serde's own message repeats the value, which may be a secret.

/// Where and how it is wrong, without any of its text.
pub fn reason(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "ends too early",
        serde_json::error::Category::Data => "has a field that is missing or of the wrong type",
        _ => "is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}
