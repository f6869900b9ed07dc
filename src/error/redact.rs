//! Removes the secrets of a request from a text, in every form in which a service repeats what it received: as it is,
//! percent-encoded, escaped as JSON or as HTML, in base64 (also as part of a longer value, such as the pair of Basic
//! authentication), and broken over lines.
//!
//! The text is decoded in each of these ways, with a note of where each byte comes from; a secret that is found in the
//! result is removed from the text.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::sanitize;

const HIDDEN: &str = "[secret]";

/// A shorter part of a value in base64 occurs by chance.
const MIN_BASE64: usize = 4;

/// A decoded byte, and the bytes of the text that it stands for.
type Byte = (u8, Range<usize>);

/// The text without the secrets and without whatever is as long as a token, safe to show.
pub fn redact(text: &str, secrets: &[&str]) -> String {
    sanitize(&without_long_words(&without_secrets(text, secrets)))
}

fn without_secrets(text: &str, secrets: &[&str]) -> String {
    let mut is_hidden = vec![false; text.len()];
    let needles: Vec<_> = secrets.iter().flat_map(|secret| needles(secret)).collect();
    for view in views(text) {
        let bytes = Zeroizing::new(view.iter().map(|(byte, _)| *byte).collect::<Vec<_>>());
        for (needle, is_base64) in &needles {
            for start in memchr::memmem::find_iter(&bytes, needle.as_slice()) {
                let (mut start, mut end) = (start, start + needle.len());
                // The ends of a value in base64 encode parts of the secret too.
                while *is_base64 && start > 0 && is_one_value(&view[start - 1..=start]) {
                    start -= 1;
                }
                while *is_base64 && end < view.len() && is_one_value(&view[end - 1..=end]) {
                    end += 1;
                }
                is_hidden[view[start].1.start..view[end - 1].1.end].fill(true);
            }
        }
    }
    let (mut shown, mut was_hidden) = (String::with_capacity(text.len()), false);
    for (at, c) in text.char_indices() {
        let hides = is_hidden[at..at + c.len_utf8()].contains(&true);
        match hides {
            true if was_hidden => {}
            true => shown.push_str(HIDDEN),
            false => shown.push(c),
        }
        was_hidden = hides;
    }
    shown
}

/// The texts to find in a view, and whether each is base64: the secret, and the part that is the same in the base64 of
/// every text that contains it, for each of three positions. Basic authentication encodes a secret as a form does before
/// that (RFC 6749, 2.3.1).
fn needles(secret: &str) -> Vec<(Zeroizing<Vec<u8>>, bool)> {
    let plain = secret.as_bytes();
    let form = Zeroizing::new(url::form_urlencoded::byte_serialize(plain).collect::<String>());
    let mut needles = vec![(compact_bytes(plain), false)];
    for (text, position) in
        [plain, form.as_bytes()].into_iter().flat_map(|it| (0..3).map(move |at| (it, at)))
    {
        let mut padded = Zeroizing::new(vec![0; position]);
        padded.extend_from_slice(text);
        let encoded = Zeroizing::new(STANDARD_NO_PAD.encode(&padded));
        // Without the characters that also encode a byte before or behind the secret.
        let end = encoded.len().saturating_sub(usize::from(padded.len() % 3 != 0));
        let part = encoded.as_bytes().get([0, 2, 3][position]..end).unwrap_or_default();
        if part.len() >= MIN_BASE64 {
            needles.push((compact_bytes(part), true));
        }
    }
    needles.retain(|(needle, _)| !needle.is_empty());
    needles
}

/// Whether two bytes belong to one value in base64.
fn is_one_value(pair: &[Byte]) -> bool {
    let is_base64 = |(byte, _): &Byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    pair.iter().all(is_base64) && pair[0].1.end == pair[1].1.start
}

/// The text, decoded in every way.
fn views(text: &str) -> [Vec<Byte>; 7] {
    // A line may also break inside an escape.
    let bytes = text.bytes().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace());
    let plain: Vec<_> = bytes.map(|(at, byte)| (byte, at..at + 1)).collect();
    let (json, percent) = (decoded(&plain, json_unit), decoded(&plain, percent_unit));
    let (both, twice) = (decoded(&json, percent_unit), decoded(&percent, percent_unit));
    let (html, html_in_json) = (decoded(&plain, html_unit), decoded(&json, html_unit));
    let compact = |(byte, span)| Some((compact(byte)?, span));
    [plain, json, percent, both, twice, html, html_in_json]
        .map(|view| view.into_iter().filter_map(compact).collect())
}

/// Line breaks and the escapes before them do not count, and base64 is one alphabet.
fn compact(byte: u8) -> Option<u8> {
    match byte {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        b'\\' | b' ' | b'\t'..=b'\r' => None,
        byte => Some(byte),
    }
}

fn compact_bytes(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.iter().filter_map(|byte| compact(*byte)).collect())
}

/// Decodes a text unit by unit: `unit` adds the bytes that the text starts with, and returns the length of their code.
fn decoded(text: &[Byte], unit: impl Fn(&[Byte], &mut Vec<u8>) -> usize) -> Vec<Byte> {
    let (mut decoded, mut bytes) = (Vec::with_capacity(text.len()), Zeroizing::new(Vec::new()));
    let mut rest = text;
    while let [(_, first), ..] = rest {
        let length = unit(rest, &mut bytes);
        let span = first.start..rest[length - 1].1.end;
        decoded.extend(bytes.drain(..).map(|byte| (byte, span.clone())));
        rest = &rest[length..];
    }
    decoded
}

fn percent_unit(text: &[Byte], bytes: &mut Vec<u8>) -> usize {
    let (byte, length) = match (text[0].0, number(&text[1..], 2)) {
        (b'%', Some(code)) => (code.to_le_bytes()[0], 3),
        (b'+', _) => (b' ', 1),
        (byte, _) => (byte, 1),
    };
    bytes.push(byte);
    length
}

fn html_unit(text: &[Byte], bytes: &mut Vec<u8>) -> usize {
    char_or_byte(html_reference(text), text, bytes)
}

fn json_unit(text: &[Byte], bytes: &mut Vec<u8>) -> usize {
    if matches!(text, [(b'\\', _), (b'b' | b'f' | b'n' | b'r' | b't', _), ..]) {
        return 2;
    }
    char_or_byte(utf16(text), text, bytes)
}

/// Adds the character, else the first byte of the text as it is.
fn char_or_byte(found: Option<(char, usize)>, text: &[Byte], bytes: &mut Vec<u8>) -> usize {
    let Some((c, length)) = found else {
        bytes.push(text[0].0);
        return 1;
    };
    bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
    length
}

/// The character that starts the text as `&amp;`, `&#38;` or `&#x26;`, and its length. Servers escape no other name.
fn html_reference(text: &[Byte]) -> Option<(char, usize)> {
    const MAX_LENGTH: usize = 12;
    let [(b'&', _), name @ ..] = text else { return None };
    let length = name.iter().take(MAX_LENGTH).position(|(byte, _)| *byte == b';')?;
    let name: String = name[..length].iter().map(|(byte, _)| char::from(*byte)).collect();
    let c = match (&*name.to_ascii_lowercase(), name.strip_prefix('#')) {
        ("amp", _) => '&',
        ("lt", _) => '<',
        ("gt", _) => '>',
        ("quot", _) => '"',
        ("apos", _) => '\'',
        (_, Some(code)) => {
            let hex = code.strip_prefix(['x', 'X']).map(|hex| u32::from_str_radix(hex, 16));
            char::from_u32(hex.unwrap_or_else(|| code.parse()).ok()?)?
        }
        _ => return None,
    };
    Some((c, length + 2))
}

/// The character that the text starts with as an escape, which may be a pair of surrogates, and the length of that.
fn utf16(text: &[Byte]) -> Option<(char, usize)> {
    let unit = |at: usize| match text.get(at..)? {
        [(b'\\', _), (b'u', _), digits @ ..] => number(digits, 4),
        _ => None,
    };
    let decoded = |units: &[u16]| char::decode_utf16(units.iter().copied()).next()?.ok();
    let first = unit(0)?;
    let single = decoded(&[first]).map(|c| (c, 6));
    single.or_else(|| Some((decoded(&[first, unit(6)?])?, 12)))
}

/// The number that so many hexadecimal digits stand for.
fn number(digits: &[Byte], count: usize) -> Option<u16> {
    digits.get(..count)?.iter().try_fold(0, |number, (digit, _)| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number * 16 + u16::try_from(digit).ok()?)
    })
}

/// The second net: a message without whatever is as long as a token. An id (36 characters) is shorter.
fn without_long_words(message: &str) -> String {
    const MIN_TOKEN: usize = 40;
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let pieces = message.split_inclusive(is_end).map(|piece| {
        let (word, end) = piece.split_at(piece.find(is_end).unwrap_or(piece.len()));
        if word.len() < MIN_TOKEN { [word, end] } else { [HIDDEN, end] }
    });
    pieces.flatten().collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

    use super::{HIDDEN, redact, without_secrets};

    /// With a character for every encoding, and one that is not ASCII.
    const SECRET: &str = "s3/cr+t ä\"\\~?>>ÿ?=&𝄞";

    /// The forms in which a service repeats a secret.
    fn forms(secret: &str) -> Vec<String> {
        let percent = |byte: u8| format!("%{byte:02X}");
        let every_byte = secret.bytes().map(percent).collect::<Vec<_>>().concat();
        let encoded =
            |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let form = encoded(secret);
        let escape = |unit: u16| format!("\\u{unit:04x}");
        let unicode = secret.encode_utf16().map(escape).collect::<Vec<_>>().concat();
        let json = serde_json::to_string(secret).unwrap();
        let json = json[1..json.len() - 1].to_owned();
        let (head, tail) = secret.split_at(3);
        let html = |escape: &dyn Fn(char) -> String| secret.chars().map(escape).collect::<String>();
        let named = html(&|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            '/' => "&#x2F;".to_owned(),
            c => c.to_string(),
        });
        let mut forms = vec![
            secret.to_owned(),
            every_byte.replacen("%7", "%\n7", 1).replacen("%3", "%3\n  ", 1),
            every_byte.replacen("%7", "%\\n7", 1).replacen("%3", "%3\\r\\n", 1),
            unicode.replacen("\\u00", "\\u0\n0", 1),
            every_byte.to_lowercase(),
            every_byte.replace('%', "%25"),
            every_byte,
            form.replace('+', "%20"),
            unicode.to_uppercase().replace("\\U", "\\u"),
            unicode,
            serde_json::to_string(&json).unwrap().trim_matches('"').to_owned(),
            json,
            serde_json::to_string(&named).unwrap().trim_matches('"').to_owned(),
            named,
            html(&|c| format!("&#{};", u32::from(c))),
            html(&|c| format!("&#X{:x};", u32::from(c))),
            format!("{head}\n{tail}"),
            format!("{head}\r\n    {tail}"),
            format!("{head}\\n{tail}"),
            format!("{}%0D%0A{}", encoded(head), encoded(tail)),
        ];
        for pair in [
            secret.to_owned(),
            format!("id:{secret}"),
            format!("a%3Aid:{form}"),
            format!("user:{secret}:more"),
        ] {
            for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
                let encoded = engine.encode(&pair);
                forms.push(encoded.replace('+', "%2b").replace('/', "%2F").replace('=', "%3d"));
                forms.push(encoded);
            }
        }
        let encoded = STANDARD.encode(secret);
        forms.push(format!("{}\n{}", &encoded[..5], &encoded[5..]));
        forms.push(form);
        forms
    }

    #[test]
    fn every_form_of_a_secret_is_redacted() {
        for secret in [SECRET, "123456", "mic_0123456789abcdef", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"] {
            for form in forms(secret) {
                let text = format!("the value '{form}' is unknown");
                let shown = without_secrets(&text, &["other", secret]);
                assert_eq!(shown, format!("the value '{HIDDEN}' is unknown"), "{form}");
            }
        }
    }

    #[test]
    fn text_without_a_secret_stays_as_it_is() {
        for text in [
            "",
            "100 % of \\u00e4 and \\ud834, %zz %4",
            "a + b\nc \\",
            "ends in \\u12",
            "é%C3",
            "\\ud834\\u0020 x",
        ] {
            assert_eq!(without_secrets(text, &[SECRET]), text);
            assert_eq!(without_secrets(text, &[""]), text);
            assert_eq!(without_secrets(text, &[" \n"]), text);
        }
    }

    #[test]
    fn a_long_word_is_redacted_and_an_id_is_not() {
        let id = "0b5e1a52-7f0a-4c7e-9a39-0d1c2b3a4f5e";
        let token = "x".repeat(40);
        assert_eq!(redact(&format!("{id} {token}\u{7}"), &[]), format!("{id} {HIDDEN}\\u{{7}}"));
    }
}
