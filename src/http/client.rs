//! The client of one service, and the only place that sends a request. A client is bound to one URL: it sends requests
//! to that endpoint or to a path below it, and follows no redirect. The caller passes every secret of a request, and
//! [`redact`] removes them from each error and log line before the text leaves this file. A successful body goes only
//! to its decoder. Every response is bounded in size and time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::time::{Duration, Instant};

use oauth2::{HttpRequest, HttpResponse};
use reqwest::Url;
use reqwest::blocking::{RequestBuilder, Response};
use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use zeroize::Zeroizing;

use super::error::{HttpError, Result, ServiceError, oauth_code, parse_code};
use super::tls::{self, Trust};
use super::{mycli, names, proxy};
use crate::config::{Context, device_id};
use crate::error::{self, Error};
use crate::model::{Header, LoginKind, Provider, Secret, Target, Timestamp, json};
use crate::sys::log::{Log as _, StderrLog};
use crate::sys::{os, signals};

pub(super) use reqwest::Method;

const MAX_BODY: usize = 1 << 20;

/// For a request without a deadline.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For a connection to a metadata server, which is one hop away or does not exist.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest `Retry-After` that is shown, in seconds.
const MAX_RETRY_AFTER: u64 = 24 * 3600;

/// The dependencies of every client.
#[derive(Clone, Copy)]
pub struct Network<'a> {
    pub context: &'a Context,
    pub log: StderrLog,
    /// Whether an error has the `error_description` of an OAuth service: only where a person reads it on a terminal.
    pub descriptions: bool,
    /// No request outlives it.
    pub deadline: Option<Instant>,
}

impl Network<'_> {
    #[must_use]
    pub fn until(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }
}

#[derive(Clone)]
pub struct Client {
    http: reqwest::blocking::Client,
    endpoint: Endpoint,
    base_url: String,
    header: Header,
    deadline: Option<Instant>,
    proxy_variable: Option<&'static str>,
    log: StderrLog,
    is_oauth: bool,
    descriptions: bool,
}

/// A response whose only field of interest has one of these names.
#[derive(Deserialize)]
pub(super) struct Wrapped<T> {
    #[serde(alias = "tokens", alias = "sessions", alias = "projects", alias = "environments")]
    #[serde(alias = "profiles", alias = "revoked_count")]
    pub(super) value: T,
}

impl Client {
    /// A client for an API or an endpoint of the provider. Nothing is connected; TLS is set up only for https.
    pub fn new(network: Network<'_>, provider: &Provider, url: &str) -> error::Result<Self> {
        Provider::api_origin(url)?;
        let headers = device_headers(network.context, provider);
        Ok(Self {
            header: provider.header.clone(),
            is_oauth: matches!(provider.login, LoginKind::OAuth(_)),
            ..Self::build(network, url, headers, &Trust::default())?
        })
    }

    /// A client for a platform that issues identity tokens, or a service that exchanges them, without the device headers.
    pub(super) fn for_identity(network: Network<'_>, url: &str) -> error::Result<Self> {
        Provider::api_origin(url)?;
        Self::build(network, url, HeaderMap::new(), &Trust::default())
    }

    /// A client for a server with the API of Vault: it trusts other certificates than a provider, and may require one.
    pub(super) fn for_vault(network: Network<'_>, url: &str, trust: &Trust) -> error::Result<Self> {
        Provider::api_origin(url)?;
        let client = Self::build(network, url, HeaderMap::new(), trust)?;
        Ok(Self { header: Header { name: "X-Vault-Token".into(), scheme: None }, ..client })
    }

    /// A client for a server at a literal link-local address, which no router forwards and no proxy sees: the one plain
    /// http besides loopback. A machine without such a server fails within [`METADATA_TIMEOUT`].
    pub(super) fn for_metadata(network: Network<'_>, url: &str) -> error::Result<Self> {
        let Target { origin, .. } = Target::parse(url)?;
        let address = origin.host().parse::<std::net::Ipv4Addr>();
        if !origin.is_loopback() && !address.is_ok_and(|address| address.is_link_local()) {
            let message = format!("{origin} is not a metadata server: it is not link-local");
            return Err(Error::invalid(message));
        }
        let client = Self::build(network, url, HeaderMap::new(), &Trust::default())?;
        // Longer than the connection timeout: without a server, the error must be that of the connection.
        Ok(client.until(Instant::now() + 2 * METADATA_TIMEOUT))
    }

    fn build(
        network: Network<'_>,
        url: &str,
        headers: HeaderMap,
        trust: &Trust,
    ) -> error::Result<Self> {
        let Target { origin, .. } = Target::parse(url)?;
        let is_local = origin.is_loopback() || !origin.is_safe();
        let tls = tls::configuration(network.context, origin.scheme(), trust)?;
        let mut builder = reqwest::blocking::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(if is_local { METADATA_TIMEOUT } else { CONNECT_TIMEOUT })
            .user_agent(concat!("my-credential-helper/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .dns_resolver(names::Resolver.into())
            .tls_backend_preconfigured(tls)
            .no_proxy();
        // Requests to this machine must not reach a proxy, which would see the token.
        let proxy = if is_local { None } else { proxy::from_env(&network.context.environment)? };
        let (proxy, proxy_variable) = proxy.unzip();
        if let Some(proxy) = proxy {
            builder = builder.proxy(proxy);
        }
        // The client's thread inherits the mask, so that a caller can block signals without knowing the clients.
        let _blocked = signals::block_all();
        let http = builder.build().map_err(|error| {
            let cause = root_cause(&error, &[]);
            Error::invalid_state(format!("cannot create the HTTP client: {cause}"))
        })?;
        Ok(Self {
            http,
            endpoint: Endpoint::parse(url)?,
            base_url: url.to_owned(),
            header: Header::BEARER,
            deadline: network.deadline,
            proxy_variable,
            log: network.log,
            is_oauth: false,
            descriptions: network.descriptions,
        })
    }

    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The service's clock, from the header of any response; `None` without the header. Sends no token.
    pub fn time(&self) -> Result<Option<Timestamp>> {
        let request = self.http.get(self.endpoint.below("")?);
        let response = self.execute(request, &[], self.deadline())?;
        Ok(date(response.headers()))
    }

    /// Sends a request to a path below the base URL, with the secrets and the texts as a JSON object.
    pub(super) fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        secrets: &[(&str, &Secret)],
        texts: &[(&str, &str)],
    ) -> Result<T> {
        let mut request = self.http.request(method, self.endpoint.below(path)?);
        let exposed = secrets.iter().map(|(name, secret)| (*name, secret.expose_secret()));
        let body: BTreeMap<_, _> = exposed.chain(texts.iter().copied()).collect();
        if !body.is_empty() {
            request = request.json(&body);
        }
        let sent: Vec<_> = token.into_iter().chain(secrets.iter().map(|(_, it)| *it)).collect();
        decode(&self.send(self.authorized(request, token)?, &sent)?)
    }

    /// Gets a list, which is the only field of its response.
    pub(super) fn list<T: DeserializeOwned>(&self, path: &str, token: &Secret) -> Result<Vec<T>> {
        let Wrapped { value } = self.call(Method::GET, path, Some(token), &[], &[])?;
        Ok(value)
    }

    /// The body of a path below the base URL, which is not secret.
    pub(super) fn text(&self, path: &str) -> Result<Zeroizing<Vec<u8>>> {
        self.send(self.http.get(self.endpoint.below(path)?), &[])
    }

    /// Gets the endpoint that the client is bound to.
    pub(super) fn get<T: DeserializeOwned>(&self, token: Option<&Secret>) -> Result<T> {
        let request = self.authorized(self.http.get(self.endpoint.0.clone()), token)?;
        decode(&self.send(request, token.as_slice())?)
    }

    /// Sends a request of the `oauth2` crate to the endpoint that the client is bound to, whatever URL the request has.
    pub(super) fn exchange(
        &self,
        request: HttpRequest,
        secrets: &[&Secret],
    ) -> Result<HttpResponse> {
        let (parts, body) = request.into_parts();
        let request = self.http.request(parts.method, self.endpoint.0.clone());
        let (headers, body) =
            self.receive(request.headers(parts.headers).body(body), secrets, |_, _| false)?;
        let mut response = HttpResponse::new(body.to_vec());
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Sends JSON to a path below the base URL, with these headers; returns the response and the server's clock. Where
    /// there is no record, Vault's response has the status 404, and no error; `data` has what is known of a deleted one.
    pub(super) fn send_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        token: Option<&Secret>,
        body: Option<&Secret>,
        secrets: &[&Secret],
    ) -> Result<(T, Option<Timestamp>)> {
        let mut request = self.http.request(method, self.endpoint.below(path)?);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.expose_secret().to_owned());
        }
        let secrets: Vec<_> = secrets.iter().copied().chain(token).collect();
        let request = self.authorized(request, token)?;
        let is_missing = |body: &[u8]| {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            body["data"].is_object() || body["errors"].as_array().is_some_and(Vec::is_empty)
        };
        let (headers, body) =
            self.receive(request, &secrets, |status, body| status == 404 && is_missing(body))?;
        // 204, as after a change that returns nothing.
        let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
        Ok((decode(body)?, date(&headers)))
    }

    fn authorized(
        &self,
        request: RequestBuilder,
        token: Option<&Secret>,
    ) -> Result<RequestBuilder> {
        let Some(token) = token else { return Ok(request) };
        let why = "the token contains a character that is not allowed in an HTTP header";
        let unusable = || HttpError::Malformed(why.to_owned());
        let name = HeaderName::from_bytes(self.header.name.as_bytes()).map_err(|_| unusable())?;
        let value = HeaderValue::from_str(self.header.value(token).expose_secret());
        let mut value = value.map_err(|_| unusable())?;
        value.set_sensitive(true);
        Ok(request.header(name, value))
    }

    /// The body of a successful response.
    fn send(&self, request: RequestBuilder, secrets: &[&Secret]) -> Result<Zeroizing<Vec<u8>>> {
        self.receive(request, secrets, |_, _| false).map(|(_, body)| body)
    }

    fn receive(
        &self,
        request: RequestBuilder,
        secrets: &[&Secret],
        is_accepted: impl FnOnce(u16, &[u8]) -> bool,
    ) -> Result<(HeaderMap, Zeroizing<Vec<u8>>)> {
        let deadline = self.deadline();
        let response = self.execute(request, secrets, deadline)?;
        let headers = response.headers().clone();
        let (status, retry_after) = (response.status().as_u16(), retry_after(&response));
        let body = read_body(response, deadline, secrets)?;
        let status = match status {
            // GitHub's status for a rejected request.
            200..300 if self.is_oauth && is_rejection(&body) => 400,
            200..300 => return Ok((headers, body)),
            status if is_accepted(status, &body) => return Ok((headers, body)),
            status => status,
        };
        let (code, message) = self.service_message(&body, secrets);
        Err(ServiceError { status, code, message, retry_after }.into())
    }

    fn execute(
        &self,
        request: RequestBuilder,
        secrets: &[&Secret],
        deadline: Instant,
    ) -> Result<Response> {
        let failed = |error: reqwest::Error| {
            let late = error.is_timeout().then(|| "the service did not respond in time".to_owned());
            let reason = late.unwrap_or_else(|| root_cause(&error, secrets));
            match self.proxy_variable {
                _ if !error.is_connect() => HttpError::NoResponse(reason),
                Some(name) => HttpError::NotConnected(format!("{reason}; {name} names a proxy")),
                None => HttpError::NotConnected(reason),
            }
        };
        let remaining = deadline.saturating_duration_since(Instant::now());
        let request = request.timeout(remaining.max(Duration::from_millis(1)));
        let request = request.build().map_err(failed)?;
        let origin = self.endpoint.origin();
        self.log.debug(&|| {
            redact(&format!("{} {origin}{}", request.method(), request.url().path()), secrets)
        });
        let response = self.http.execute(request).map_err(failed)?;
        self.log.debug(&|| format!("{origin} returned status {}", response.status().as_u16()));
        Ok(response)
    }

    fn deadline(&self) -> Instant {
        self.deadline.unwrap_or_else(|| Instant::now() + REQUEST_TIMEOUT)
    }

    /// Code and message of an error: `{"error":{"code","message"}}`, of OAuth `{"error","error_description"}`. A known
    /// code is shown as it is, whatever the secrets are, since the program decides by it.
    fn service_message(&self, body: &[u8], secrets: &[&Secret]) -> (String, String) {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default();
        if self.is_oauth {
            let description = if self.descriptions { text("/error_description") } else { "" };
            return (oauth_code(text("/error")).to_owned(), redact(description, secrets));
        }
        let code = text("/error/code");
        let is_known = parse_code::<mycli::Code>(code).is_some();
        let code = if is_known { code.to_owned() } else { redact(code, secrets) };
        // Vault's, crates.io's and PyPI's forms of an error.
        let paths = ["/error/message", "/errors/0", "/errors/0/detail", "/errors/0/description"];
        let message = paths.map(text).into_iter().find(|message| !message.is_empty());
        (code, redact(message.unwrap_or_default(), secrets))
    }
}

/// The URL that a client is bound to: origin, path and query.
#[derive(Clone)]
struct Endpoint(Url);

impl Endpoint {
    /// The URL as written. An error if the two parsers find different origins.
    fn parse(text: &str) -> error::Result<Self> {
        let Target { origin, .. } = Target::parse(text)?;
        let mut url = Url::parse(text).map_err(|_| Error::invalid("invalid URL"))?;
        url.set_fragment(None);
        let parts = (url.scheme(), url.host_str(), url.port_or_known_default());
        if parts == (origin.scheme().name(), Some(origin.host()), Some(origin.port())) {
            return Ok(Self(url));
        }
        Err(Error::invalid("invalid URL: two parsers disagree about its host"))
    }

    fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The URL of a path with its query. A path that the parser changes, such as `..`, is an error.
    fn below(&self, path: &str) -> Result<Url> {
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        let base = self.0.path().trim_end_matches('/');
        let path = format!("{base}/{}", path.trim_start_matches('/'));
        let mut url = self.0.clone();
        url.set_path(&path);
        url.set_query(query);
        if url.path() == path {
            return Ok(url);
        }
        Err(HttpError::NotSent(Error::invalid("invalid path of the request")))
    }
}

/// A JSON object, which may have secrets: a `Value` would leave copies of them in memory.
pub(super) fn body<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Secret {
    let fields: BTreeMap<_, _> = fields.collect();
    // Strings cannot fail to serialize.
    Secret::new(serde_json::to_string(&fields).unwrap_or_default())
}

/// Encodes a value as one segment of a path, or as one value of a query.
pub(super) fn segment(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|error| HttpError::Malformed(format!("the response {}", json::reason(&error))))
}

/// Whether a body has an `error` of OAuth, and no token.
fn is_rejection(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Response {
        error: Value,
        access_token: Option<IgnoredAny>,
    }
    let body = serde_json::from_slice(body);
    body.is_ok_and(|it: Response| it.error.is_string() && it.access_token.is_none())
}

/// A response's body, up to [`MAX_BODY`] bytes and to the deadline; a slow one is not read byte by byte.
fn read_body(
    mut response: Response,
    deadline: Instant,
    secrets: &[&Secret],
) -> Result<Zeroizing<Vec<u8>>> {
    // Large enough for every proper response, so that growing leaves no copy of a token in memory.
    let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
    let mut chunk = Zeroizing::new([0; 16 * 1024]);
    // The request may have spent a refresh token: a complete object is decoded even if the connection breaks.
    let incomplete = |body: Zeroizing<Vec<u8>>, reason: String| {
        let is_complete = body.trim_ascii_start().starts_with(b"{")
            && serde_json::from_slice::<IgnoredAny>(&body).is_ok();
        if is_complete { Ok(body) } else { Err(HttpError::NoResponse(reason)) }
    };
    loop {
        if Instant::now() >= deadline {
            return incomplete(body, "the response did not finish in time".to_owned());
        }
        match response.read(&mut *chunk) {
            Ok(0) => return Ok(body),
            Ok(count) => body.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                let cause = root_cause(&error, secrets);
                return incomplete(body, format!("the response was cut off: {cause}"));
            }
        }
        if body.len() > MAX_BODY {
            return Err(HttpError::Malformed("the response is larger than 1 MiB".to_owned()));
        }
    }
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    Timestamp::from_http(headers.get(DATE)?.to_str().ok()?)
}

fn retry_after(response: &Response) -> Option<u64> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    json::number(&seconds.into(), 0..=MAX_RETRY_AFTER)
}

fn redact(text: &str, secrets: &[&Secret]) -> String {
    let secrets: Vec<_> = secrets.iter().map(|secret| secret.expose_secret()).collect();
    error::redact(text, &secrets)
}

/// The innermost cause, which does not repeat the URL.
fn root_cause(error: &dyn std::error::Error, secrets: &[&Secret]) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    redact(&root.to_string(), secrets)
}

fn device_headers(context: &Context, provider: &Provider) -> HeaderMap {
    // Only a service that lists its sessions by device needs the device.
    let is_sent = provider.login == LoginKind::MagicLink;
    let id = is_sent.then(|| device_id::load(&context.paths, provider)).flatten();
    let name = is_sent.then(os::device_name).flatten();
    [("x-device-id", id), ("x-device-name", name)]
        .into_iter()
        .filter_map(|(name, value)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(&value?).ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, segment};

    #[test]
    fn no_path_leaves_the_endpoint() {
        for base in ["https://api.acme.dev", "https://api.acme.dev/base/?p=1"] {
            let endpoint = Endpoint::parse(base).unwrap();
            for path in [
                "https://evil.dev/x",
                "//evil.dev/x",
                "/\\evil.dev",
                "\\\\evil.dev",
                "@evil.dev/",
                ":80@evil.dev",
                "?x=@evil.dev",
                "#@evil.dev",
                "/..",
                "/../../x",
                "/v1/tokens/%2E%2e/x",
                "/v1/./x",
                "/v1/\t/x",
                "/v1/\nHost: evil.dev",
            ] {
                let Ok(url) = endpoint.below(path) else { continue };
                assert_eq!(url.origin(), endpoint.0.origin(), "{path}");
                assert!(url.path().starts_with(endpoint.0.path().trim_end_matches('/')), "{url}");
                assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
            }
            for path in ["/v1/tokens/..", "/v1/tokens/%2e%2E", "/../x", "/v1/a b", "/v1/\\x"] {
                assert!(endpoint.below(path).is_err(), "{path}");
            }
        }
    }

    #[test]
    fn a_value_is_one_segment_of_a_path() {
        let endpoint = Endpoint::parse("https://api.acme.dev/base").unwrap();
        for value in ["a/b", "a?b=c", "a#b", "a%2Fb", "ä ö", "a.b", "\u{0}", "a\\b", ""] {
            let path = format!("/v1/{}", segment(value));
            let url = endpoint.below(&path).unwrap();
            assert_eq!((url.path().matches('/').count(), url.query()), (3, None), "{url}");
        }
        for value in [".", ".."] {
            assert!(endpoint.below(&format!("/v1/{}", segment(value))).is_err(), "{value}");
        }
    }

    #[test]
    fn an_endpoint_has_the_path_and_the_query_of_its_url() {
        for (text, url) in [
            ("https://h.dev", "https://h.dev/"),
            ("https://h.dev/token?p=policy&x=%20#part", "https://h.dev/token?p=policy&x=%20"),
            ("http://127.0.0.1:8080/a/b", "http://127.0.0.1:8080/a/b"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().0.as_str(), url);
        }
        // Of Docker Hub, the origin has one of several names.
        assert!(Endpoint::parse("https://docker.io/v2").is_err());
    }
}
