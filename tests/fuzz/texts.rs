//! External text: URLs, patterns, times, tokens, configuration, responses of a service.

use my_credential_helper::config::Configuration;
use my_credential_helper::error::sanitize;
use my_credential_helper::http::mycli::NewSession;
use my_credential_helper::model::Secret;
use my_credential_helper::model::Timestamp;
use my_credential_helper::model::jwt;
use my_credential_helper::model::{HostPattern, Origin, Scheme, Target};
use my_credential_helper::sys::clock;

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// A parsed URL has the meaning of its text, and is parsed again to the same value when printed.
pub(super) fn urls(data: &[u8]) {
    let text = text(data);
    let Ok(target) = Target::parse(&text) else { return };
    let again = Target::parse(&target.to_string()).expect("what was written is read");
    assert!(again == target, "{text:?} is read as {target}, and that as {again}");
    let (scheme, rest) = text.split_once("://").expect("a scheme");
    assert!(scheme.eq_ignore_ascii_case(target.origin.scheme().name()));
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    is_as_the_letters_say(authority, &target.origin);
}

/// RFC 3986, read as simply as can be.
fn is_as_the_letters_say(authority: &str, origin: &Origin) {
    assert!(
        !authority.contains(['@', '\\', '%', ' ']) && !authority.contains(char::is_control),
        "{authority:?}"
    );
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let usual = if origin.scheme() == Scheme::Https { 443 } else { 80 };
    let port = port.map_or(Some(usual), |port| port.parse().ok());
    assert_eq!(port, Some(origin.port()), "{authority:?}");
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let same = format!("[{}]", address.parse::<std::net::Ipv6Addr>().expect("an address"));
        // Two writings of an address that holds one of IPv4.
        assert!(same == origin.host() || same.contains('.'), "{authority:?} is read as {origin}");
    } else if host.is_ascii() {
        assert_eq!(host.to_ascii_lowercase(), origin.host(), "{authority:?}");
    } else {
        assert!(
            origin.host().is_ascii() && origin.host().contains("xn--"),
            "{authority:?} is read as {origin}"
        );
    }
}

/// A printed pattern is parsed to the same value, and never allows plain http to another machine.
pub(super) fn patterns(data: &[u8]) {
    let text = text(data);
    let (pattern, url) = text.split_once('\n').unwrap_or((&text, "https://git.acme.dev/"));
    let Ok(pattern) = HostPattern::parse(pattern) else { return };
    let again = HostPattern::parse(&pattern.to_string()).expect("what was written is read");
    assert!(again == pattern, "{pattern}");
    let own = pattern.target().map(|target| target.origin);
    for origin in own
        .iter()
        .chain(&pattern.origins())
        .cloned()
        .chain(Target::parse(url).ok().map(|at| at.origin))
    {
        let name = pattern.to_string();
        let host = name.rsplit("://").next().unwrap_or_default().trim_start_matches("*.");
        let host = if host.ends_with(']') {
            host
        } else {
            host.rsplit_once(':').map_or(host, |(host, _)| host)
        };
        if pattern.matches(&origin) {
            assert!(
                origin.is_safe() && origin.host().ends_with(host),
                "{pattern} matches {origin}"
            );
        }
    }
}

/// A time is the same when it was written down, and sums end where RFC 3339 does.
pub(super) fn timestamps(data: &[u8]) {
    if let Some(time) = Timestamp::parse(&text(data)) {
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        assert!(Timestamp::parse(&time.to_whole_seconds()).is_some());
    }
    let mut bytes = [0; 8];
    let length = data.len().min(8);
    bytes[..length].copy_from_slice(&data[..length]);
    let (seconds, now) = (i64::from_le_bytes(bytes), Timestamp::from_unix(1_700_000_000));
    for time in [Timestamp::from_unix(seconds), now.plus(time::Duration::seconds(seconds))] {
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        let _ = (time.since(now), time.plus(time::Duration::MAX), time.plus(time::Duration::MIN));
    }
}

/// Claims are read or not, and a token is a JWT or none.
pub(super) fn tokens(data: &[u8]) {
    let token = Secret::new(text(data));
    let claims = jwt::claims(&token);
    assert!(token.is_jwt() || claims == jwt::Claims::default());
    let _ = token.is_token(&token);
}

/// Nothing that is shown steers a terminal, or fills it.
pub(super) fn messages(data: &[u8]) {
    let told = sanitize(&text(data));
    assert!(
        !told
            .chars()
            .any(|c| c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    );
    assert!(told.chars().count() <= 300 * 10 + 1);
}

/// Every provider of a configuration is valid or an error.
pub(super) fn configuration(data: &[u8]) {
    let Ok(configuration) = toml::from_str::<Configuration>(&text(data)) else { return };
    for name in configuration.names() {
        if let Ok(provider) = configuration.provider(name) {
            let hosts = provider.hosts.iter().flat_map(HostPattern::origins);
            assert!(hosts.into_iter().all(|origin| origin.is_safe()), "{name}");
        }
    }
}

/// A session that a service grants ends within a day, and its tokens end no line.
pub(super) fn answers(data: &[u8]) {
    // The response counts from its request, and on a busy machine a moment passes until it is decoded.
    let requested = clock::now();
    let Ok(granted) = serde_json::from_slice::<NewSession>(data) else { return };
    let session = granted.into_session(clock::now());
    assert!((1..=24 * 60 * 60 + 5).contains(&(session.expires_at.unix() - requested.unix())));
    for token in [Some(&session.access_token), session.refresh_token.as_ref()].into_iter().flatten()
    {
        assert!(!token.is_empty() && !token.has_control_character());
    }
}
