//! The target of a credential: an origin and a path.

use std::fmt::{self, Write as _};

use url::Url;

use super::origin::{invalid_url, reject_repairs};
use super::{Origin, Scheme};
use crate::error::Result;

/// A path, canonical by construction: no slash at either end, no empty segment, no dot segment, one spelling of each
/// character. git sends a decoded path, every other tool an encoded one: both give the same value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UrlPath(String);

impl UrlPath {
    /// From the path of a URL. A `%` without two hex digits is a literal `%`.
    pub fn from_encoded(path: &str) -> Result<Self> {
        reject_repairs(path)?;
        Self::from_decoded(&percent_decode(path.as_bytes()))
    }

    /// From a path without percent-encoding, in any encoding.
    pub fn from_decoded(path: &[u8]) -> Result<Self> {
        if path.iter().any(u8::is_ascii_control) {
            return Err(invalid_url("the path contains a control character"));
        }
        let mut canonical = String::with_capacity(path.len());
        for segment in path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()) {
            // On Java servers, `..;x` is a dot segment. On Windows, servers take a backslash for a slash.
            let is_dots = |name: &[u8]| {
                let name = name.split(|byte| *byte == b';').next().unwrap_or_default();
                matches!(name, b"." | b"..")
            };
            if segment.split(|byte| *byte == b'\\').any(is_dots) {
                return Err(invalid_url("the path contains a dot segment"));
            }
            if !canonical.is_empty() {
                canonical.push('/');
            }
            for byte in segment {
                push_encoded(&mut canonical, *byte);
            }
        }
        Ok(Self(canonical))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the path is `prefix` or below `prefix`, by whole segments: `team-a` is not below `team`.
    pub fn is_below(&self, prefix: &Self) -> bool {
        let rest = self.0.strip_prefix(&prefix.0);
        prefix.is_root() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (mut decoded, mut at) = (Vec::with_capacity(text.len()), 0);
    while at < text.len() {
        let encoded = match text[at..] {
            [b'%', high, low, ..] => hex(high).zip(hex(low)),
            _ => None,
        };
        decoded.push(encoded.map_or(text[at], |(high, low)| high << 4 | low));
        at += if encoded.is_some() { 3 } else { 1 };
    }
    decoded
}

/// Encodes every byte except those that a path segment may contain (RFC 3986, 3.3).
fn push_encoded(path: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
        path.push(char::from(byte));
    } else {
        let _ = write!(path, "%{byte:02X}");
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub origin: Origin,
    pub path: UrlPath,
}

impl Target {
    /// Every path of an origin.
    pub fn whole_host(origin: Origin) -> Self {
        Self { origin, path: UrlPath::default() }
    }

    /// Parses an https or http URL. Query and fragment are ignored; user information is an error.
    pub fn parse(url: &str) -> Result<Self> {
        let (scheme, authority, tail) = split(url)?;
        let path = &tail[..tail.find(['?', '#']).unwrap_or(tail.len())];
        // The authority is checked first: a later error must not repeat user information.
        let origin = Origin::parse(scheme, authority)?;
        reject_repairs(tail)?;
        Ok(Self { origin, path: UrlPath::from_encoded(path)? })
    }

    /// As [`Target::parse`]; `None` for a URL with another scheme, or without one.
    pub fn parse_if_http(url: &str) -> Result<Option<Self>> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let is_http = ["https", "http"].iter().any(|name| scheme.eq_ignore_ascii_case(name));
        is_http.then(|| Self::parse(url)).transpose()
    }

    /// From a host without a scheme: http for a loopback address, https otherwise.
    pub fn from_host(authority: &str, path: &str) -> Result<Self> {
        let mut origin = Origin::parse(Scheme::Http, authority)?;
        if !origin.is_loopback() {
            origin = Origin::parse(Scheme::Https, authority)?;
        }
        Ok(Self { origin, path: UrlPath::from_encoded(path)? })
    }
}

fn split(url: &str) -> Result<(Scheme, &str, &str)> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or_else(|| invalid_url("it has no scheme; write https://host/path"))?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        _ => return Err(invalid_url("only https and http are supported")),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    Ok((scheme, &rest[..end], &rest[end..]))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin)?;
        if self.path.is_root() { Ok(()) } else { write!(f, "/{}", self.path.as_str()) }
    }
}

/// A URL as version 0.1.0 stored it, to erase what it stored for a URL that is an error today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyUrl {
    /// `https://host:443`, which gives the directory of its credentials.
    pub origin: String,
    pub url: String,
}

impl LegacyUrl {
    /// From a URL, or from a host without a scheme, which means https.
    pub fn parse(text: &str) -> Option<Self> {
        let url = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let (scheme, authority, tail) = split(&url).ok()?;
        let path = &tail[..tail.find(['?', '#']).unwrap_or(tail.len())];
        let path = if path == "/" { "" } else { path };
        let parsed = Url::parse(&format!("{}://{authority}/", scheme.name())).ok()?;
        let origin = format!("{}://{}", scheme.name(), parsed.host_str()?);
        let port = parsed.port().map_or_else(String::new, |port| format!(":{port}"));
        let url = format!("{origin}{port}{path}");
        let port = parsed.port().unwrap_or_else(|| scheme.default_port());
        Some(Self { origin: format!("{origin}:{port}"), url })
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, UrlPath};

    fn path(url: &str) -> String {
        Target::parse(url).unwrap().path.as_str().to_owned()
    }

    #[test]
    fn spellings_of_one_path_are_equal() {
        for spelling in [
            "A%20%26%20B",
            "A%20&%20B/",
            "/A%20%26%20B//",
            "%41%20%26%20%42",
            "A%20%26%20B?query#fragment",
        ] {
            assert_eq!(path(&format!("https://acme.dev/{spelling}")), "A%20&%20B", "{spelling}");
        }
        for (one, other) in [
            ("%7Eme/%2d%5F%2E%7e", "~me/-_.~"),
            ("b%C3%BCcher", "b\u{fc}cher"),
            ("b%c3%bccher", "b%C3%BCcher"),
            ("a//b///c", "a/b/c"),
            ("a%2Fb", "a/b"),
            ("a%3f%23b", "a%3F%23b"),
            ("100%", "100%25"),
            ("a%zz", "a%25zz"),
            ("%ff%FE", "%FF%fe"),
            ("a%5cb", "a%5Cb"),
            ("a[1]|b", "a%5B1%5D%7Cb"),
        ] {
            let url = |path: &str| format!("https://acme.dev/{path}");
            assert_eq!(path(&url(one)), path(&url(other)), "{one}");
        }
    }

    #[test]
    fn decoded_and_encoded_paths_become_the_same() {
        for (decoded, encoded) in [
            ("A & B/x.git", "A%20%26%20B/x.git"),
            ("b\u{fc}cher", "b%C3%BCcher"),
            ("50%41", "50%2541"),
            ("a?b#c", "a%3Fb%23c"),
            ("a\\b", "a%5Cb"),
            ("/a/b/", "a/b"),
        ] {
            let decoded = UrlPath::from_decoded(decoded.as_bytes()).unwrap();
            assert_eq!(decoded, UrlPath::from_encoded(encoded).unwrap(), "{encoded}");
        }
    }

    #[test]
    fn dot_segments_and_control_characters_are_rejected() {
        for path in [
            "team-a/../team-b/x.git",
            "team-a/%2e%2e/team-b",
            "team-a/.%2E/team-b",
            "team-a%2f..%2Fteam-b",
            "./x",
            "x/.",
            "..",
            "team-a/..;/team-b",
            "team-a/..;v=1/team-b",
            "team-a/..%5cteam-b",
            "team-a/x%5C..%5C..%5Cteam-b",
            "team-a/..%5C;x/team-b",
            "%0ahost=evil",
            "a%00b",
            "a%0D",
            "a%7f",
        ] {
            assert!(UrlPath::from_encoded(path).is_err(), "{path}");
            assert!(Target::parse(&format!("https://acme.dev/{path}")).is_err(), "{path}");
        }
        assert!(
            UrlPath::from_decoded(b"a/../b").is_err() && UrlPath::from_decoded(b"a\nb").is_err()
        );
        for path in ["...", "a..b", "..a", ".git", "a/%252e%252e/b"] {
            assert!(UrlPath::from_encoded(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_prefix_is_compared_by_whole_segments() {
        let is_below = |path: &str, prefix: &str| {
            let path = UrlPath::from_encoded(path).unwrap();
            path.is_below(&UrlPath::from_encoded(prefix).unwrap())
        };
        assert!(is_below("team/x", "team") && is_below("team", "team/") && is_below("x", ""));
        assert!(
            !is_below("team-a/x", "team") && !is_below("", "team") && !is_below("teams", "team")
        );
    }
}
