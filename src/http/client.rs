//! The account services over HTTP. A [`Client`] is bound to one origin: a token given to it can go nowhere else, no
//! redirect is followed, and every answer is bounded in size and time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::time::{Duration, Instant};

use reqwest::blocking::{RequestBuilder, Response};
use reqwest::header::{DATE, HeaderName, HeaderValue, RETRY_AFTER};
use serde::de::DeserializeOwned;

use crate::config::{Context, device_id};
use crate::error::{Error, ErrorCode, sanitize};
use crate::model::{Header, LoginKind, Provider, Secret, Target, Timestamp, json};
use crate::sys::log::{Log as _, StderrLog};
use crate::sys::signals;

/// No answer of a service is larger.
const MOST: usize = 1 << 20;

/// Why a call brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// No connection: the request was not carried out.
    NotConnected(String),
    /// No answer, or not all of it. The request may have been carried out.
    Unreachable(String),
    /// An answer that cannot be understood. The request may have been carried out.
    Absurd(String),
    /// The service's own error.
    Service {
        /// The HTTP status.
        status: u16,
        /// `UPPER_SNAKE`; empty where the body said none.
        code: String,
        /// For people, safe to show.
        message: String,
        /// The header `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
}

impl ApiError {
    /// The service's code, or nothing.
    pub fn code(&self) -> &str {
        if let Self::Service { code, .. } = self { code } else { "" }
    }

    /// Whether the service itself answered, and knew what it said.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Service { status: ..500, .. })
    }

    /// Whether the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        !matches!(self, Self::Service { status: 400..=428 | 430..=499, .. })
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotConnected(reason) | Self::Unreachable(reason) | Self::Absurd(reason) => {
                f.write_str(reason)
            }
            Self::Service { status, code, message, retry_after } => {
                match (code.as_str(), message.as_str()) {
                    ("", _) => write!(f, "it answered with status {status}")?,
                    (code, "") => write!(f, "{code} (status {status})")?,
                    (code, message) => write!(f, "{message} ({code})")?,
                }
                retry_after.map_or(Ok(()), |seconds| write!(f, "; it asks to wait {seconds} s"))
            }
        }
    }
}

impl std::error::Error for ApiError {}

/// Every call's result.
pub type Result<T> = std::result::Result<T, ApiError>;

struct RawResponse {
    status: reqwest::StatusCode,
    retry_after: Option<u64>,
    body: zeroize::Zeroizing<Vec<u8>>,
}

/// What every client needs of this program.
#[derive(Clone, Copy)]
pub struct Network<'a> {
    pub context: &'a Context,
    pub log: StderrLog,
}

/// An HTTP client for one origin. Whoever has one names a path, and never a host: the token that is given with it goes
/// to that origin or nowhere.
#[derive(Clone)]
pub struct Client {
    pub(super) http: reqwest::blocking::Client,
    /// The origin, and the path of the base URL.
    bound: Target,
    base: String,
    header: Header,
    deadline: Option<Instant>,
    log: StderrLog,
}

impl Client {
    /// A client for the provider's API at `api_url`. Nothing is connected yet; TLS is set up only for https.
    pub fn new(
        network: Network<'_>,
        provider: &Provider,
        api_url: &str,
    ) -> crate::error::Result<Self> {
        let origin = Provider::api_origin(api_url)?;
        let bound = Target { origin: origin.clone(), ..Target::parse(api_url)? };
        let mut builder = reqwest::blocking::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .user_agent(concat!("my-credential-helper/", env!("CARGO_PKG_VERSION")))
            .default_headers(device_headers(network.context, provider))
            .dns_resolver(names::Resolver.into())
            .tls_backend_preconfigured(tls::configuration(network.context)?);
        if origin.is_loopback() {
            // A proxy for this machine would see a token that was meant to stay on it.
            builder = builder.no_proxy();
        }
        // Its thread takes no signal, so that whoever holds them off need not ask which clients there are.
        let _blocked = signals::block_all();
        let http = builder
            .build()
            .map_err(|error| Error::invalid_state(format!("the HTTP client: {}", cause(&error))))?;
        Ok(Self {
            http,
            bound,
            base: api_url.to_owned(),
            header: provider.header.clone(),
            deadline: None,
            log: network.log,
        })
    }

    /// The same client, which gives up at `deadline`.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The base URL, for messages.
    pub fn base_url(&self) -> &str {
        &self.base
    }

    /// The service's clock, as it tells it with any answer; `None` where it does not. Nothing is asked of it, and no
    /// token goes along.
    pub fn time(&self) -> Result<Option<Timestamp>> {
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(15));
        let remaining =
            deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let response = self.http.get(self.url("")).timeout(remaining).send();
        let response = response.map_err(|error| unsent_or_unanswered(&error))?;
        Ok(response.headers().get(DATE).and_then(|date| Timestamp::from_http(date.to_str().ok()?)))
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str, token: &Secret) -> Result<T> {
        self.call(self.http.get(self.url(path)), Some(token), &[])
    }

    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&Secret>,
        body: &impl serde::Serialize,
    ) -> Result<T> {
        self.call(self.http.post(self.url(path)).json(body), token, &[])
    }

    /// A body with secrets in it, none of which comes back in an error.
    pub(super) fn post_secrets<T: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&Secret>,
        secrets: &[(&'static str, &Secret)],
        others: &[(&'static str, &str)],
    ) -> Result<T> {
        // Written from where they are: no copy of a secret lies about in it.
        let exposed = secrets.iter().map(|(name, secret)| (*name, secret.expose_secret()));
        let body: BTreeMap<_, _> = exposed.chain(others.iter().copied()).collect();
        self.call(self.http.post(self.url(path)).json(&body), token, secrets)
    }

    pub(super) fn delete<T: DeserializeOwned>(&self, path: &str, token: &Secret) -> Result<T> {
        self.call(self.http.delete(self.url(path)), Some(token), &[])
    }

    pub(super) fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        token: &Secret,
        body: &impl serde::Serialize,
    ) -> Result<T> {
        self.call(self.http.patch(self.url(path)).json(body), Some(token), &[])
    }

    /// The origin as we write it ourselves, and a slash behind it, whatever the path is: it cannot change the host.
    pub(super) fn url(&self, path: &str) -> String {
        let Target { origin, path: prefix } = &self.bound;
        let prefix = prefix.as_str();
        let slash = if prefix.is_empty() { "" } else { "/" };
        format!("{origin}{slash}{}/{}", prefix, path.trim_start_matches('/'))
    }

    pub(super) fn call<T: DeserializeOwned>(
        &self,
        mut request: RequestBuilder,
        token: Option<&Secret>,
        secrets: &[(&str, &Secret)],
    ) -> Result<T> {
        if let Some(token) = token {
            let (name, value) = self.authorization(token)?;
            request = request.header(name, value);
        }
        let RawResponse { status, retry_after, body } = self.send(request)?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|error| ApiError::Absurd(format!("its answer {}", json::reason(&error))));
        }
        // Some services repeat what they were sent, to be helpful.
        let sent = token.into_iter().chain(secrets.iter().map(|(_, secret)| *secret));
        let hide = |text: String| {
            let sent = sent.clone().map(Secret::expose_secret).filter(|secret| !secret.is_empty());
            sanitize(&without_tokens(&sent.fold(text, |text, secret| text.replace(secret, HIDDEN))))
        };
        Err(service_error(status.as_u16(), &body, retry_after, hide))
    }

    /// Status and body, whatever they mean.
    pub(super) fn exchange(
        &self,
        request: RequestBuilder,
    ) -> Result<(u16, zeroize::Zeroizing<Vec<u8>>)> {
        self.send(request).map(|RawResponse { status, body, .. }| (status.as_u16(), body))
    }

    fn send(&self, request: RequestBuilder) -> Result<RawResponse> {
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(15));
        let remaining =
            deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let request =
            request.timeout(remaining).build().map_err(|error| unsent_or_unanswered(&error))?;
        self.log.debug(&|| {
            format!("{} {}{}", request.method(), self.bound.origin, request.url().path())
        });
        let response = self.http.execute(request).map_err(|error| unsent_or_unanswered(&error))?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        self.log
            .debug(&|| format!("{} answers with status {}", self.bound.origin, status.as_u16()));
        Ok(RawResponse { status, retry_after, body: read_body(response, deadline)? })
    }

    fn authorization(&self, token: &Secret) -> Result<(HeaderName, HeaderValue)> {
        let unusable =
            || ApiError::Absurd("the token has a character that no header can carry".to_owned());
        let name = HeaderName::from_bytes(self.header.name.as_bytes()).map_err(|_| unusable())?;
        let mut value = HeaderValue::from_str(self.header.value(token).expose_secret())
            .map_err(|_| unusable())?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

/// A value as one segment of a path, or one value of a query: it can begin no other.
pub(super) fn segment(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // A dot too: `..` would be a step up.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// An answer's body, up to [`MOST`] bytes and to the deadline; a slow one is not waited for byte by byte.
fn read_body(mut response: Response, deadline: Instant) -> Result<zeroize::Zeroizing<Vec<u8>>> {
    // Room for every proper answer, so that growing leaves no copy of a token behind.
    let mut body = zeroize::Zeroizing::new(Vec::with_capacity(16 * 1024));
    let mut chunk = zeroize::Zeroizing::new([0; 16 * 1024]);
    loop {
        if Instant::now() >= deadline {
            return Err(ApiError::Unreachable("its answer did not end in time".to_owned()));
        }
        match response.read(&mut *chunk) {
            Ok(0) => return Ok(body),
            Ok(count) => body.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(ApiError::Unreachable(format!(
                    "its answer broke off: {}",
                    root_cause(&error)
                )));
            }
        }
        if body.len() > MOST {
            return Err(ApiError::Absurd("its answer is larger than 1 MiB".to_owned()));
        }
    }
}

/// What stands for a secret in a service's message.
pub(super) const HIDDEN: &str = "[secret]";

/// A message without whatever has the length of a token; an id (36 characters) is shorter.
pub(super) fn without_tokens(message: &str) -> String {
    const SHORTEST: usize = 40;
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let pieces = message.split_inclusive(is_end).map(|piece| {
        let (word, end) = piece.split_at(piece.find(is_end).unwrap_or(piece.len()));
        if word.len() < SHORTEST { [word, end] } else { [HIDDEN, end] }
    });
    pieces.flatten().collect()
}

fn retry_after(response: &Response) -> Option<u64> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// `{"error":{"code","message"}}`, as it can be `sanitize`, or whatever else came with that status.
fn service_error(
    status: u16,
    body: &[u8],
    retry_after: Option<u64>,
    sanitize: impl Fn(String) -> String,
) -> ApiError {
    #[derive(serde::Deserialize)]
    struct Body {
        error: Fields,
    }
    #[derive(serde::Deserialize)]
    struct Fields {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Fields { code, message } = serde_json::from_slice::<Body>(body)
        .map_or_else(|_| Fields { code: String::new(), message: String::new() }, |body| body.error);
    ApiError::Service { status, code: sanitize(code), message: sanitize(message), retry_after }
}

fn unsent_or_unanswered(error: &reqwest::Error) -> ApiError {
    if error.is_connect() {
        ApiError::NotConnected(cause(error))
    } else {
        ApiError::Unreachable(cause(error))
    }
}

/// A token in an answer. One that could end a header or a line of another protocol is none.
pub(super) fn token<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Secret, D::Error> {
    let token = <Secret as serde::Deserialize>::deserialize(deserializer)?;
    if token.is_empty() || token.expose_secret().chars().any(|c| c.is_control() || c == ' ') {
        return Err(serde::de::Error::custom("no usable token"));
    }
    Ok(token)
}

/// What went wrong in a few words, without the URL.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() { "it did not answer in time".to_owned() } else { root_cause(error) }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    sanitize(&root.to_string())
}

/// A failed call as an error for people: the service at `api_url` could not be made to do `what`.
pub fn failed(api_url: &str, what: &str, error: &ApiError) -> Error {
    let code =
        if error.is_passing() { ErrorCode::TemporarilyUnavailable } else { ErrorCode::Rejected };
    Error::new(code, format!("cannot {what} at {api_url}: {error}"))
}

fn device_headers(context: &Context, provider: &Provider) -> reqwest::header::HeaderMap {
    let mut headers = reqwest::header::HeaderMap::new();
    if matches!(provider.login, LoginKind::OAuth(_)) {
        // Whoever it is need not know one machine from another.
        return headers;
    }
    let mut add = |name: &'static str, value: Option<String>| {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    };
    add("x-device-id", device_id::load(&context.paths, provider));
    add("x-device-name", device_name());
    headers
}

#[cfg(unix)]
fn device_name() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

#[cfg(not(unix))]
fn device_name() -> Option<String> {
    crate::sys::env::Environment::Process.text("COMPUTERNAME")
}

mod names {
    //! Host names, looked up in a thread of its own. The system's look-up cannot be called off, and `reqwest`, which has
    //! it done by its runtime, would wait for it long after the deadline: 40 s for a name server that does not answer.

    use std::net::ToSocketAddrs as _;

    use reqwest::dns::{Addrs, Name, Resolve, Resolving};
    use tokio::sync::oneshot;

    pub(super) struct Resolver;

    impl Resolve for Resolver {
        fn resolve(&self, name: Name) -> Resolving {
            let (sender, answer) = oneshot::channel();
            let look_up = move || {
                let addresses =
                    (name.as_str(), 0).to_socket_addrs().map(|found| Box::new(found) as Addrs);
                let _ = sender.send(addresses); // nobody listens after the deadline
            };
            let thread = std::thread::Builder::new().spawn(look_up);
            Box::pin(async move {
                thread?;
                Ok(answer.await??)
            })
        }
    }
}

mod tls {
    //! Which certificates are trusted: `SSL_CERT_FILE`, else `ca_file` of the configuration, else the bundled roots.

    use std::path::Path;
    use std::sync::Arc;

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::{ClientConfig, RootCertStore};

    use crate::config::Context;
    use crate::error::{Error, Result};

    pub(super) fn configuration(context: &Context) -> Result<ClientConfig> {
        let file = context.environment.get("SSL_CERT_FILE").map(std::path::PathBuf::from);
        let roots = match file.as_deref().or(context.configuration()?.ca_file.as_deref()) {
            Some(file) => roots_of(file)?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::invalid_state(format!("TLS: {error}")))?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }

    fn roots_of(file: &Path) -> Result<RootCertStore> {
        let unreadable = |why: &dyn std::fmt::Display| {
            Error::invalid_state(format!("the certificates in {}: {why}", file.display()))
        };
        let mut roots = RootCertStore::empty();
        let certificates =
            CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))?;
        roots.add_parsable_certificates(certificates.flatten());
        if roots.is_empty() { Err(unreadable(&"none could be read")) } else { Ok(roots) }
    }
}
