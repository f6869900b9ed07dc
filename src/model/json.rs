//! JSON that other programs send and receive.

use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::error::Category;

use super::MAX_OBJECT;
use crate::error::{Error, Result, is_visible};

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
    // Enough for most values: growing would leave copies of a secret in memory, and wiping costs for each byte.
    let mut line = Vec::with_capacity(768);
    // Strings, numbers and booleans cannot fail to serialize.
    if serde_json::to_writer(&mut line, value).is_err() {
        line.clear();
    }
    line.push(b'\n');
    let line = String::from_utf8(line).unwrap_or_default();
    // JSON allows these characters, but a terminal obeys them.
    if line.is_ascii() { line } else { escaped(&line) }
}

/// With `\uXXXX` for each character outside ASCII that is not visible. Only strings have such.
fn escaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        if c.is_ascii() || is_visible(c) {
            text.push(c);
        } else {
            let mut units = [0; 2];
            text.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}

/// Where and how JSON is wrong, without any of its text: serde's own message repeats the value, which may be a secret.
pub fn reason(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Eof => "ends unexpectedly",
        Category::Data => "has a field that is missing or of the wrong type",
        _ => "is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

/// A number that a service sent, held within the range: an integer, a float or a decimal string. `None` for anything else.
pub fn number(value: &Value, range: RangeInclusive<u64>) -> Option<u64> {
    let text = || value.as_str()?.trim().parse().ok();
    let number = value.as_f64().or_else(text).filter(|number| number.is_finite())?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and what it loses above 2^53 is out of every range"
    )]
    Some((number as u64).clamp(*range.start(), *range.end()))
}

/// As [`number`], for `deserialize_with`: `bounded::<_, 1, 60>`.
pub fn bounded<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> std::result::Result<u64, D::Error> {
    number(&Value::deserialize(deserializer)?, MIN..=MAX)
        .ok_or_else(|| serde::de::Error::custom("not a number"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    #[test]
    fn a_line_has_no_invisible_character_and_the_same_values() {
        for text in ["a\u{9b}2J", "\u{202e}x", "\u{feff}", "\u{e0041}\u{1d173}", "é𝄞", "\u{1b}\n"]
        {
            let line = super::line(&json!({ text: text }));
            let is_plain = |c: char| c == '\n' || super::is_visible(c);
            assert!(line.chars().all(is_plain) && line.ends_with('\n'), "{line:?}");
            let read: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(read, json!({ text: text }), "{line:?}");
        }
        assert_eq!(super::line(&json!("é𝄞")), "\"é𝄞\"\n");
    }

    #[test]
    fn numbers_of_a_service_are_held_within_their_range() {
        for (sent, read) in [
            (json!(900), Some(900)),
            (json!(7.9), Some(7)),
            (json!("900"), Some(900)),
            (json!(" 30.0 "), Some(30)),
            (json!(0), Some(1)),
            (json!(-1), Some(1)),
            (json!("-1"), Some(1)),
            (json!(i64::MIN), Some(1)),
            (json!(u64::MAX), Some(1000)),
            (json!("18446744073709551615"), Some(1000)),
            (json!(1e300), Some(1000)),
            (json!("soon"), None),
            (json!("inf"), None),
            (json!("NaN"), None),
            (json!(""), None),
            (json!([900]), None),
            (json!(true), None),
            (Value::Null, None),
        ] {
            assert_eq!(super::number(&sent, 1..=1000), read, "{sent}");
        }
    }
}
