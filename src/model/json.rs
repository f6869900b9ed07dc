//! JSON that other programs send and receive.

use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use super::MAX_OBJECT;
use crate::error::{Error, Result};

/// Parses the JSON object at the start of a request; what follows is ignored.
pub fn parse_request<'a, T: Deserialize<'a>>(input: &'a [u8]) -> Result<T> {
    if input.len() > MAX_OBJECT {
        let message = format!("the request is larger than {} KiB", MAX_OBJECT / 1024);
        return Err(Error::invalid(message));
    }
    T::deserialize(&mut serde_json::Deserializer::from_slice(input))
        .map_err(|error| Error::invalid(format!("the request {}", reason(&error))))
}

/// A value as JSON on one line.
pub fn line(value: &impl Serialize) -> String {
    // Strings, numbers and booleans cannot fail to serialize.
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

/// Where and how JSON is wrong, without any of its text: serde's own message repeats the value, which may be a secret.
pub fn reason(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Eof => "ends too early",
        Category::Data => "has a field that is missing or of the wrong type",
        _ => "is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}
