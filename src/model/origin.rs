//! What a credential is asked for: scheme, host, port and path, read so that no two programs can understand it
//! differently. Opens no connection and resolves no name.
//!
//! The `url` crate follows the WHATWG rules, and quietly repairs what it is given: it drops tabs and newlines, turns
//! `\` into `/`, and reads `0x7f.1` as `127.0.0.1`. Whoever connects may repair it in another way, so whatever would
//! need a repair is refused before it is parsed.

use std::fmt;

use url::{Host, Url};

use crate::error::{Error, Result, sanitize};

/// The two schemes that a credential may travel over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// TLS, to anywhere.
    Https,
    /// In the clear: served to a loopback address only.
    Http,
}

impl Scheme {
    /// `https` or `http`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

/// Scheme, host and effective port: what a credential is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    scheme: Scheme,
    /// Lower case, in punycode; IPv6 in brackets.
    host: String,
    port: u16,
}

impl Origin {
    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host in lower case and punycode, IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own where none was given.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host, with the port where it is not the scheme's own.
    pub fn host_and_port(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether a credential may be sent there at all: https, or a loopback address.
    pub fn is_safe(&self) -> bool {
        self.scheme == Scheme::Https || self.is_loopback()
    }

    /// Whether it is on this machine: `localhost` or a loopback address, by its form.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host == "[::1]"
            || self.host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host_and_port())
    }
}

/// An origin and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What the credential is bound to.
    pub origin: Origin,
    /// The path as it was given, without the leading slash; empty where none was.
    pub path: String,
}

impl Target {
    /// Everything there.
    pub fn whole_host(origin: Origin) -> Self {
        Self { origin, path: String::new() }
    }

    /// Reads an `https` or `http` URL. Query and fragment are ignored; anything that parsers disagree about, and any
    /// user information, is an error.
    pub fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| refused("it has no scheme; write https://host/path"))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err(refused("only https and http are served")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let path = tail.strip_prefix('/').unwrap_or_default();
        let path = &path[..path.find(['?', '#']).unwrap_or(path.len())];
        no_repairs(authority, tail)?;
        Self::from_parts(scheme, authority, path)
    }

    /// As [`Target::parse`]; `None` for a URL of another scheme, or of none.
    pub fn parse_if_http(url: &str) -> Result<Option<Self>> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let is_http = ["https", "http"].iter().any(|name| scheme.eq_ignore_ascii_case(name));
        is_http.then(|| Self::parse(url)).transpose()
    }

    /// From a host without a scheme: http for a loopback address, https otherwise.
    pub fn from_host(authority: &str, path: &str) -> Result<Self> {
        let target = Self::from_parts(Scheme::Http, authority, path)?;
        if target.origin.is_loopback() {
            return Ok(target);
        }
        Self::from_parts(Scheme::Https, authority, path)
    }

    /// From the parts as git sends them: the host may carry a port.
    pub fn from_parts(scheme: Scheme, authority: &str, path: &str) -> Result<Self> {
        no_repairs(authority, path)?;
        if authority.contains(['/', '?', '#', '%', '*']) || authority.is_empty() {
            return Err(refused("that is no host"));
        }
        let url = Url::parse(&format!("{}://{authority}/", scheme.name()))
            .map_err(|cause| refused(&cause.to_string()))?;
        let host = url.host().ok_or_else(|| refused("that is no host"))?;
        is_as_written(authority, &host)?;
        let port = url.port().unwrap_or_else(|| scheme.default_port());
        Ok(Self { origin: Origin { scheme, host: host.to_string(), port }, path: path.to_owned() })
    }
}

/// Refuses a host or a port that was repaired on the way: `0x7f.1`, full-width letters, a hidden character, `:0443`.
fn is_as_written(authority: &str, host: &Host<&str>) -> Result<()> {
    let port_at = authority
        .rfind(':')
        .filter(|colon| !authority[*colon..].contains(']'))
        .unwrap_or(authority.len());
    let (written, port) = authority.split_at(port_at);
    let port_is_plain =
        |digits: &str| digits.parse::<u16>().is_ok_and(|number| number.to_string() == digits);
    if !port.strip_prefix(':').is_none_or(port_is_plain) {
        return Err(refused("the port is not a plain number"));
    }
    let is_same = match host {
        Host::Domain(name) if written.is_ascii() => written.eq_ignore_ascii_case(name),
        // The sign for kelvin is a `k` in lower case.
        Host::Domain(name) => {
            let stays_foreign =
                |c: char| c.is_ascii() || c.to_lowercase().all(|lower| !lower.is_ascii());
            written.chars().all(stays_foreign)
                && idna::domain_to_unicode(name).0 == written.to_lowercase()
        }
        Host::Ipv4(address) => written == address.to_string(),
        Host::Ipv6(_) => true,
    };
    match host {
        _ if !is_same => Err(refused("the host is not written in its plain form")),
        Host::Domain(name) if !is_dns_name(name) => {
            Err(refused("the host has a label that is empty or too long"))
        }
        _ => Ok(()),
    }
}

/// Whether a name server could know it (RFC 1035, 2.3.4): what is too long may be cut by whoever connects.
fn is_dns_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", self.path) }
    }
}

/// Refuses what a parser might drop or replace, before it is lost with the query or the fragment.
fn no_repairs(authority: &str, tail: &str) -> Result<()> {
    if authority.contains('@') {
        // The text after the `@` is the host, the text before it may be a password: neither is repeated.
        return Err(Error::invalid("the URL contains a user name or password; give the bare URL"));
    }
    match authority.chars().chain(tail.chars()).find(|c| c.is_control() || matches!(c, '\\' | ' '))
    {
        Some(bad) => Err(refused(&format!("it contains {bad:?}"))),
        None => Ok(()),
    }
}

/// What was not understood is not repeated: a password or a token may be in it.
fn refused(why: &str) -> Error {
    Error::invalid(format!("the URL cannot be used: {why}"))
}

/// A host that a provider's token may go to: `git.acme.dev`, `git.acme.dev:8443`, `*.acme.dev`, `http://localhost:3000`.
///
/// Without a scheme it means https, and http too where the host is a loopback address; without a port, the scheme's
/// own. `*.` stands for one or more whole labels; it does not match the bare domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    scheme: Option<Scheme>,
    any_below: bool,
    host: String,
    port: Option<u16>,
}

impl HostPattern {
    /// Reads a pattern from the configuration.
    pub fn parse(text: &str) -> Result<Self> {
        // It is the user's own, and no secret.
        Self::read(text).map_err(|error| Error {
            message: format!("the host `{}`: {}", sanitize(text), error.message),
            ..error
        })
    }

    fn read(text: &str) -> Result<Self> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => (Some(Scheme::Https), rest),
            Some(("http", rest)) => (Some(Scheme::Http), rest),
            Some(_) => return Err(refused("only https and http are served")),
            None => (None, text),
        };
        let (any_below, authority) =
            rest.strip_prefix("*.").map_or((false, rest), |rest| (true, rest));
        // Read as http, so that an explicit `:443` is seen, and as https, so that `:80` is.
        let http = Target::from_parts(Scheme::Http, authority, "")?.origin;
        let https = Target::from_parts(Scheme::Https, authority, "")?.origin;
        if any_below
            && (!http.host.contains('.') || http.host.parse::<std::net::Ipv4Addr>().is_ok())
        {
            return Err(refused("`*.` needs a domain of at least two labels behind it"));
        }
        if scheme == Some(Scheme::Http) && !http.is_loopback() {
            return Err(refused("a token goes over plain http to loopback addresses only"));
        }
        let port = (http.port == https.port).then_some(http.port);
        Ok(Self { scheme, any_below, host: http.host, port })
    }

    /// The place itself; `None` where the pattern stands for several.
    pub fn target(&self) -> Option<Target> {
        let host = self.host.clone();
        let loopback = Origin { scheme: Scheme::Http, host, port: 0 }.is_loopback();
        let scheme = self.scheme.unwrap_or(if loopback { Scheme::Http } else { Scheme::Https });
        let port = self.port.unwrap_or_else(|| scheme.default_port());
        let origin = Origin { scheme, host: self.host.clone(), port };
        (!self.any_below).then_some(Target { origin, path: String::new() })
    }

    /// Every origin that it matches; none where it stands for several hosts.
    pub fn origins(&self) -> Vec<Origin> {
        let origin = |scheme: Scheme| {
            let port = self.port.unwrap_or_else(|| scheme.default_port());
            Origin { scheme, host: self.host.clone(), port }
        };
        let origins = [Scheme::Https, Scheme::Http].into_iter().map(origin);
        origins.filter(|origin| !self.any_below && self.matches(origin)).collect()
    }

    /// Whether a token bound to this pattern may go to `origin`. Never over plain http off this machine.
    pub fn matches(&self, origin: &Origin) -> bool {
        let host = if self.any_below {
            origin
                .host
                .strip_suffix(&self.host)
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|l| !l.is_empty())
        } else {
            origin.host == self.host
        };
        host && self.scheme.is_none_or(|scheme| scheme == origin.scheme)
            && self.port.unwrap_or_else(|| origin.scheme.default_port()) == origin.port
            && origin.is_safe()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{}://", scheme.name())?;
        }
        write!(f, "{}{}", if self.any_below { "*." } else { "" }, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{HostPattern, Scheme, Target};

    #[test]
    fn the_same_place_is_recognised_however_it_is_written() {
        for url in [
            "https://Acme.dev",
            "https://acme.dev:443/",
            "HTTPS://acme.dev/?q#f",
            "https://acme.dev/#@evil.dev",
        ] {
            assert_eq!(Target::parse(url).unwrap().origin.to_string(), "https://acme.dev", "{url}");
        }
        assert_eq!(
            Target::parse("https://bücher.example/a/b").unwrap().to_string(),
            "https://xn--bcher-kva.example/a/b"
        );
    }

    #[test]
    fn what_parsers_disagree_about_is_refused() {
        for url in [
            "",
            "acme.dev",
            "ftp://acme.dev",
            "https://",
            "https:///x",
            "https://u@acme.dev",
            "https://u:p@acme.dev/",
            "https://evil.dev\\@acme.dev/",
            "https://acme.dev\\.evil.dev",
            "https://acme.dev\t/",
            "https://acme .dev",
            "https://acme.dev/\n",
            "https://acme.dev/?\r",
            "https://acme.dev#a b",
            "https://%61cme.dev",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://2130706433/",
            "https://acme.dev:99999/",
            "https://acme.dev:0443/",
            "https://acme.dev:/",
            "https://g\u{200b}it.acme.dev/",
            "https://\u{ff47}it.acme.dev/",
            "https://git\u{3002}acme.dev/",
            "https://user:hun/ter2@acme.dev/",
            "https://[::1%25eth0]/",
            "https://[::1/",
            "https://acme.dev:80:80/",
            "https://git..acme.dev/",
            "https://\u{212a}it.acme.dev/",
            "https://.acme.dev/",
            "https://acme.dev../",
            &format!("https://{}.acme.dev/", "a".repeat(64)),
            &format!("https://{}acme.dev/", "a.".repeat(123)),
        ] {
            assert!(Target::parse(url).is_err(), "`{url}` must be refused");
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_a_password() {
        for url in [
            "https://user:hunter2@acme.dev/",
            "https://user:hunter2 @acme.dev/?a b",
            "ssh://user:hunter2@acme.dev/",
            "user:hunter2@acme.dev",
            "https:/user:hun?ter2@acme.dev",
            "acme.dev/?token=hunter2",
            "https://user:hun/ter2@acme.dev/",
            "myc_hunter",
        ] {
            let error = Target::parse(url).unwrap_err();
            assert!(!error.to_string().contains("hun"), "{error}");
        }
        let parts = Target::from_parts(Scheme::Https, "user:hunter2@acme.dev", "");
        assert!(!parts.unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn a_pattern_matches_whole_labels_and_the_port() {
        let matches = |pattern: &str, url: &str| {
            HostPattern::parse(pattern).unwrap().matches(&Target::parse(url).unwrap().origin)
        };
        assert!(matches("git.acme.dev", "https://git.acme.dev/x"));
        assert!(matches("git.acme.dev:8443", "https://git.acme.dev:8443/x"));
        assert!(matches("*.acme.dev", "https://a.b.acme.dev"));
        assert!(matches("127.0.0.1:3000", "http://127.0.0.1:3000"));
        assert!(matches("localhost:80", "http://localhost/"));
        for (pattern, url) in [
            ("git.acme.dev", "http://git.acme.dev/"),
            ("git.acme.dev", "https://git.acme.dev:8443/"),
            ("git.acme.dev", "https://git.acme.dev./"),
            ("git.acme.dev", "https://git.acme.dev.evil.dev/"),
            ("*.acme.dev", "https://acme.dev/"),
            ("*.acme.dev", "https://evilacme.dev/"),
            ("https://localhost", "http://localhost/"),
            ("127.0.0.1:3000", "http://127.0.0.1:3001"),
        ] {
            assert!(!matches(pattern, url), "{pattern} must not match {url}");
        }
    }

    #[test]
    fn a_pattern_that_would_match_half_the_world_is_refused() {
        for pattern in
            ["*", "*.", "*.dev", "**.acme.dev", "a.*.dev", "http://acme.dev", "", "acme.dev/path"]
        {
            assert!(HostPattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
