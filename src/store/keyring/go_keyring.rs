//! How go-keyring, and thereby `my`, encodes a value in the macOS keychain. On Linux and Windows the value is raw UTF-8.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

const BASE64: &str = "go-keyring-base64:";
/// An older encoding, which go-keyring still reads.
const HEX: &str = "go-keyring-encoded:";

/// The value in a keychain item; `None` if it is not in the encoding of its prefix.
///
/// ```
/// # use my_credential_helper::store::keyring::go_keyring::decode;
/// assert_eq!(decode(b"go-keyring-base64:aGk=").unwrap().as_str(), "hi");
/// assert_eq!(decode(b"go-keyring-encoded:6869").unwrap().as_str(), "hi");
/// assert_eq!(decode(b"hi\n").unwrap().as_str(), "hi");
/// ```
pub fn decode(stored: &[u8]) -> Option<Zeroizing<String>> {
    // go-keyring reads the output of `security`, which ends in a line break, and trims it.
    let stored = std::str::from_utf8(stored).ok()?.trim();
    let bytes = if let Some(coded) = stored.strip_prefix(BASE64) {
        STANDARD.decode(coded).ok()?
    } else if let Some(coded) = stored.strip_prefix(HEX) {
        from_hex(coded.as_bytes())?
    } else {
        stored.as_bytes().to_vec()
    };
    String::from_utf8(bytes).ok().map(Zeroizing::new)
}

/// The value as go-keyring writes it today.
pub fn encode(value: &str) -> Zeroizing<String> {
    let mut coded =
        Zeroizing::new(String::with_capacity(BASE64.len() + value.len().div_ceil(3) * 4));
    coded.push_str(BASE64);
    STANDARD.encode_string(value, &mut coded);
    coded
}

fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip() {
        for value in [
            "",
            "hi",
            "{\"a\":\"é\n\"}",
            " padded ",
            "go-keyring-base64:not really",
            &"x".repeat(100_000),
        ] {
            assert_eq!(decode(encode(value).as_bytes()).unwrap().as_str(), value);
        }
    }

    #[test]
    fn both_encodings_and_a_plain_value_are_read() {
        for stored in
            ["go-keyring-base64:eyJhIjoxfQ==", "go-keyring-encoded:7b2261223a317D\n", "{\"a\":1}"]
        {
            assert_eq!(decode(stored.as_bytes()).unwrap().as_str(), "{\"a\":1}");
        }
    }

    #[test]
    fn a_prefix_without_its_encoding_is_rejected() {
        for stored in [
            &b"go-keyring-base64:*"[..],
            b"go-keyring-encoded:7",
            b"go-keyring-encoded:zz",
            b"go-keyring-encoded:ff",
            b"\xff",
        ] {
            assert!(decode(stored).is_none());
        }
    }
}
