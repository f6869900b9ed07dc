//! Scheme, host and port, canonical by construction: two spellings of one origin are equal, and a spelling that two
//! programs may parse differently is an error. Opens no connection and resolves no name.
//!
//! The `url` crate follows the WHATWG rules and repairs its input: it drops tabs and newlines, replaces `\` by `/`, and
//! parses `0x7f.1` as `127.0.0.1`. The program that connects may repair it in another way, so input that needs a repair
//! is an error.

use std::fmt;
use std::net::Ipv4Addr;

use url::Host;

use super::Target;
use crate::error::{Error, Result, sanitize};

/// The characters that IDNA 2003 and IDNA 2008 map to different hosts (UTS #46, section 7): a client with the older
/// rules connects to `strasse.example` for `straße.example`. Punycode has no such characters.
const DEVIATIONS: [char; 4] = ['ß', 'ς', '\u{200c}', '\u{200d}'];

/// The scheme of a URL. [`Origin::is_safe`] decides whether a credential may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    Https,
    /// Without encryption.
    Http,
}

impl Scheme {
    pub fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    pub(super) fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

/// The host of every origin of Docker Hub. The aliases are the host in image names and the host of the registry API:
/// clients map them to one server (docker/cli, `cli/registry`; oras; containers/image).
pub const DOCKER_HUB: &str = "index.docker.io";
const DOCKER_HUB_ALIASES: [&str; 2] = ["docker.io", "registry-1.docker.io"];

/// The key of Docker Hub in docker's configuration, without the last slash.
const DOCKER_HUB_URL: &str = "https://index.docker.io/v1";

/// The scheme, host and port that a credential is bound to, in one form. May be http to any host: see [`Origin::is_safe`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    scheme: Scheme,
    /// Lower case, in punycode; IPv6 in brackets.
    host: String,
    port: u16,
}

impl Origin {
    pub fn parse(scheme: Scheme, authority: &str) -> Result<Self> {
        let (host, port) = parse_authority(authority)?;
        let port = port.unwrap_or_else(|| scheme.default_port());
        let is_docker_hub = DOCKER_HUB_ALIASES.contains(&&*host);
        let host = if is_docker_hub { DOCKER_HUB.to_owned() } else { host };
        Ok(Self { scheme, host, port })
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host, with the port if it is not the scheme's default.
    pub fn host_and_port(&self) -> String {
        if self.port == self.scheme.default_port() {
            return self.host.clone();
        }
        format!("{}:{}", self.host, self.port)
    }

    /// The same host and port with the other scheme; the default port becomes the other default port.
    #[must_use]
    pub fn with_other_scheme(&self) -> Self {
        let scheme = if self.scheme == Scheme::Https { Scheme::Http } else { Scheme::Https };
        let is_default = self.port == self.scheme.default_port();
        let port = if is_default { scheme.default_port() } else { self.port };
        Self { scheme, host: self.host.clone(), port }
    }

    /// Whether a credential may be sent there: over https, or to a loopback address.
    pub fn is_safe(&self) -> bool {
        self.scheme == Scheme::Https || self.is_loopback()
    }

    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "[::1]")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host_and_port())
    }
}

/// The canonical host and the port of an authority.
fn parse_authority(authority: &str) -> Result<(String, Option<u16>)> {
    if authority.contains('@') {
        // The text before the `@` may contain a password, so the error repeats no text.
        let message = "the URL contains a user name or password; remove them";
        return Err(Error::invalid(message));
    }
    reject_repairs(authority)?;
    let (host, port) = split_port(authority)?;
    Ok((canonical_host(host)?, port))
}

/// Host and port of an authority. A port is a plain number: `:0443` and `:` are errors.
fn split_port(authority: &str) -> Result<(&str, Option<u16>)> {
    let colon = authority.rfind(':').filter(|colon| !authority[*colon..].contains(']'));
    let Some(colon) = colon else { return Ok((authority, None)) };
    let digits = &authority[colon + 1..];
    let port = digits.parse::<u16>().ok().filter(|port| port.to_string() == digits);
    let port = port.ok_or_else(|| invalid_url("the port is not a plain number"))?;
    Ok((&authority[..colon], Some(port)))
}

/// An IP literal, or labels of `[a-z0-9_-]`, in the one spelling that is stored and compared.
fn canonical_host(text: &str) -> Result<String> {
    // The parser has nothing to decode in these names: the last label is not a number, and none is punycode.
    let is_name = |last: &str| last.starts_with(|c: char| c.is_ascii_lowercase());
    if is_dns_name(text)
        && is_name(&text[text.rfind('.').map_or(0, |dot| dot + 1)..])
        && !text.contains("xn--")
    {
        return Ok(text.to_owned());
    }
    let not_plain = || invalid_url("the host is not in canonical form");
    if text.is_empty() || text.contains(['/', '?', '#', '%', '*']) {
        return Err(invalid_url("the host is missing or malformed"));
    }
    match Host::parse(text).map_err(|cause| invalid_url(&cause.to_string()))? {
        Host::Ipv4(address) if text == address.to_string() => Ok(text.to_owned()),
        Host::Ipv4(_) => Err(not_plain()),
        Host::Ipv6(address) => Ok(Host::<&str>::Ipv6(address).to_string()),
        Host::Domain(name) if !is_dns_name(&name) => Err(invalid_url(
            "a label of the host is empty, too long, or contains characters other than letters, digits, - and _",
        )),
        Host::Domain(name) if !is_spelling_of(text, &name) => Err(not_plain()),
        Host::Domain(name) => Ok(name),
    }
}

/// Whether `name` is a valid DNS name (RFC 1035, 2.3.4) of characters that every client parses in the same way.
fn is_dns_name(name: &str) -> bool {
    let mut length = 0;
    for byte in name.bytes() {
        match byte {
            b'.' if length > 0 => length = 0,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' if length < 63 => length += 1,
            _ => return false,
        }
    }
    length > 0 && name.len() <= 253
}

/// Whether `text` is the name in any case, or its Unicode form. Otherwise the parser has repaired `text`, which has
/// full-width letters or a hidden character.
fn is_spelling_of(text: &str, name: &str) -> bool {
    if text.is_ascii() {
        return text.eq_ignore_ascii_case(name);
    }
    // The lower case of the kelvin sign is `k`.
    let stays_foreign = |c: char| c.is_ascii() || c.to_lowercase().all(|lower| !lower.is_ascii());
    let lower = text.to_lowercase();
    text.chars().all(stays_foreign)
        && !lower.contains(DEVIATIONS)
        && idna::domain_to_unicode(name).0 == lower
}

/// An error for a character that a parser may drop or replace.
pub(super) fn reject_repairs(text: &str) -> Result<()> {
    match text.chars().find(|c| c.is_control() || matches!(c, '\\' | ' ')) {
        Some(bad) => Err(invalid_url(&format!("it contains {bad:?}"))),
        None => Ok(()),
    }
}

/// The error does not repeat the URL, which may contain a password or a token.
pub(super) fn invalid_url(why: &str) -> Error {
    Error::invalid(format!("invalid URL: {why}"))
}

/// A host that a provider's token may be sent to: `git.acme.dev`, `git.acme.dev:8443`, `*.acme.dev`,
/// `http://localhost:3000`.
///
/// Without a scheme it matches https, and for a loopback address also http; without a port, the scheme's default. `*.`
/// matches one or more whole labels, and not the bare domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    scheme: Option<Scheme>,
    is_wildcard: bool,
    host: String,
    port: Option<u16>,
}

impl HostPattern {
    pub fn parse(text: &str) -> Result<Self> {
        // The error repeats the pattern, which comes from the configuration and is not secret.
        let subject = || format!("the host `{}`", sanitize(text));
        Self::parse_parts(text).map_err(|error| error.about(subject()))
    }

    fn parse_parts(text: &str) -> Result<Self> {
        let text = if text.trim_end_matches('/') == DOCKER_HUB_URL { DOCKER_HUB } else { text };
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => (Some(Scheme::Https), rest),
            Some(("http", rest)) => (Some(Scheme::Http), rest),
            Some(_) => return Err(invalid_url("only https and http are supported")),
            None => (None, text),
        };
        if rest.contains(['/', '?', '#']) {
            return Err(invalid_url("it has a path; write only the host"));
        }
        let (is_wildcard, authority) =
            rest.strip_prefix("*.").map_or((false, rest), |rest| (true, rest));
        // An alias of Docker Hub is not replaced: the configuration of some tools needs that alias.
        let (host, port) = parse_authority(authority)?;
        if is_wildcard && (!host.contains('.') || host.parse::<Ipv4Addr>().is_ok()) {
            return Err(invalid_url("`*.` must be followed by a domain of at least two labels"));
        }
        // Of `*.kawasaki.jp` in the list, `kawasaki.jp` itself is not a public suffix, but each name below it is.
        let is_public = |name: &str| {
            psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix == name.as_bytes())
        };
        if is_wildcard && (is_public(&host) || is_public(&format!("x.{host}"))) {
            let message = "`*.` must not be followed by a public suffix, below which anyone can register a name";
            return Err(invalid_url(message));
        }
        if scheme == Some(Scheme::Http) && !is_loopback(&host) {
            return Err(invalid_url("plain http is allowed only for loopback addresses"));
        }
        Ok(Self { scheme, is_wildcard, host, port })
    }

    /// The order of patterns that match one origin: a host ranks above a wildcard, a longer name above a shorter one.
    pub fn host_rank(&self) -> (bool, usize) {
        (!self.is_wildcard, self.host.len())
    }

    /// The host of the pattern, on loopback over http unless the pattern has a scheme; `None` for a wildcard.
    pub fn target(&self) -> Option<Target> {
        let default = if is_loopback(&self.host) { Scheme::Http } else { Scheme::Https };
        let origin = self.with_scheme(self.scheme.unwrap_or(default));
        (!self.is_wildcard).then(|| Target::whole_host(origin))
    }

    /// Every origin that the pattern matches; none for a wildcard.
    pub fn origins(&self) -> Vec<Origin> {
        let origins = [Scheme::Https, Scheme::Http].map(|scheme| self.with_scheme(scheme));
        origins.into_iter().filter(|origin| !self.is_wildcard && self.matches(origin)).collect()
    }

    fn with_scheme(&self, scheme: Scheme) -> Origin {
        let port = self.port.unwrap_or_else(|| scheme.default_port());
        Origin { scheme, host: self.host.clone(), port }
    }

    /// Whether a token may be sent to `origin`: never over plain http to another machine.
    pub fn matches(&self, origin: &Origin) -> bool {
        let is_host = if self.is_wildcard {
            let labels =
                origin.host.strip_suffix(&self.host).and_then(|rest| rest.strip_suffix('.'));
            labels.is_some_and(|labels| !labels.is_empty())
        } else {
            // The host of an origin is never an alias.
            origin.host == self.host
                || DOCKER_HUB_ALIASES.contains(&&*self.host) && origin.host == DOCKER_HUB
        };
        is_host
            && self.scheme.is_none_or(|scheme| scheme == origin.scheme)
            && self.port.unwrap_or_else(|| origin.scheme.default_port()) == origin.port
            && origin.is_safe()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{}://", scheme.name())?;
        }
        write!(f, "{}{}", if self.is_wildcard { "*." } else { "" }, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{HostPattern, Origin, Scheme};
    use crate::model::Target;

    #[test]
    fn spellings_of_one_origin_are_equal() {
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
    fn the_parser_of_the_http_client_agrees_about_every_name() {
        let labels = [
            "a", "a1", "1a", "0", "08", "0x1", "0xg", "x", "xn--", "xn--a", "axn--b", "-", "_",
            "é", "A",
        ];
        let names = labels.iter().flat_map(|a| {
            let two = labels.iter().map(move |b| format!("{a}.{b}"));
            let three = two.clone().flat_map(|ab| labels.iter().map(move |c| format!("{ab}.{c}")));
            [(*a).to_owned()].into_iter().chain(two).chain(three)
        });
        for name in names {
            let Ok(origin) = Origin::parse(Scheme::Https, &name) else { continue };
            let parsed = url::Url::parse(&format!("https://{name}/"));
            let parsed = parsed.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(parsed.host_str(), Some(origin.host()), "{name}");
        }
    }

    #[test]
    fn hosts_that_parsers_disagree_about_are_rejected() {
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
            "https://acme.dev./",
            "https://evil.dev;.acme.dev/",
            "https://evil.dev,.acme.dev/",
            "https://evil.dev&.acme.dev/",
            "https://evil.dev'.acme.dev/",
            "https://evil.dev!.acme.dev/",
            "https://evil.dev$(id).acme.dev/",
            "https://evil.dev`id`.acme.dev/",
            "https://evil.dev\".acme.dev/",
            "https://evil.dev+.acme.dev/",
            "https://evil.dev=.acme.dev/",
            "https://evil.dev~.acme.dev/",
            "https://{evil}.acme.dev/",
            "https://git.straße.example/",
            "https://git.stra\u{1e9e}e.example/",
            "https://ολος.example/",
            "https://a\u{200d}b.example/",
            "https://a\u{200c}b.example/",
            "https://xn--zz\u{fffd}.example/",
            "https://xn--a.example/",
            &format!("https://{}.acme.dev/", "a".repeat(64)),
            &format!("https://{}acme.dev/", "a.".repeat(123)),
        ] {
            assert!(Target::parse(url).is_err(), "`{url}` must be refused");
        }
    }

    #[test]
    fn an_error_does_not_repeat_a_password() {
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
        let parts = Origin::parse(Scheme::Https, "user:hunter2@acme.dev");
        assert!(!parts.unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn every_name_of_docker_hub_is_one_host() {
        let names = ["docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO"];
        let patterns = ["https://docker.io", "docker.io:443", "https://index.docker.io/v1/"];
        for pattern in names.iter().chain(&patterns) {
            let pattern = HostPattern::parse(pattern).unwrap();
            for name in names {
                let origin = Origin::parse(Scheme::Https, name).unwrap();
                assert!(pattern.matches(&origin), "{pattern} {name}");
            }
            let listed = Target::parse(&pattern.target().unwrap().to_string()).unwrap();
            assert_eq!(listed.to_string(), "https://index.docker.io");
            for other in ["auth.docker.io", "hub.docker.io", "docker.io:8443", "xdocker.io"] {
                let origin = Origin::parse(Scheme::Https, other).unwrap();
                assert!(!pattern.matches(&origin), "{pattern} {other}");
            }
        }
        let wildcard = HostPattern::parse("*.docker.io").unwrap();
        for name in ["docker.io", "auth.docker.io"] {
            assert!(wildcard.matches(&Origin::parse(Scheme::Https, name).unwrap()), "{name}");
        }
        let other = HostPattern::parse("auth.docker.io").unwrap();
        assert!(!other.matches(&Origin::parse(Scheme::Https, "docker.io").unwrap()));
        assert!(HostPattern::parse("https://index.docker.io/v2/").is_err());
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
    fn deviation_characters_are_accepted_in_punycode() {
        let target = Target::parse("https://git.xn--strae-oqa.example/x").unwrap();
        assert_eq!(target.origin.host(), "git.xn--strae-oqa.example");
        assert!(Target::parse("https://git_1.acme-corp.example/").is_ok());
    }

    #[test]
    fn patterns_for_public_suffixes_are_rejected() {
        for pattern in [
            "*",
            "*.",
            "*.dev",
            "**.acme.dev",
            "a.*.dev",
            "http://acme.dev",
            "",
            "acme.dev/path",
            "*.com.",
            "*.co.uk",
            "*.kawasaki.jp",
            "*.compute.amazonaws.com",
            "*.github.io",
            "*.xn--55qx5d.cn",
            "*.acme.dev;",
            "acme.dev.",
        ] {
            assert!(HostPattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
