//! An independent OAuth 2 service: npm's `oidc-provider`, with rotation on.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Home, has_client, rfc3339};

const SCRIPT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/support/oidc-provider/server.mjs");

/// Where `.ci/run` installs the packages of `.ci/package.json`.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ci/npm/node_modules");

/// Below the home directory.
pub(crate) const SESSION: &str = ".my/sessions/acme/default.json";

/// The process that runs the services of all tests; it ends with its standard input, and so with the tests.
static PROCESS: LazyLock<Mutex<(Child, BufReader<ChildStdout>)>> = LazyLock::new(|| {
    let places = std::env::var_os("NODE_PATH").unwrap_or_else(|| INSTALLED.into());
    let mut command = Command::new("node");
    command.arg(SCRIPT).current_dir("/").env("NODE_PATH", places);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("node starts");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    Mutex::new((child, output))
});

/// A service of its own, until this is dropped.
pub(crate) struct Oidc {
    pub(crate) url: String,
    /// The same address, or the one with TLS.
    pub(crate) issuer: String,
}

impl Drop for Oidc {
    fn drop(&mut self) {
        let _ = ureq::get(format!("{}/test/close", self.url)).call();
    }
}

impl Oidc {
    /// `None`, with a message, if node or the package is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_as("")
    }

    /// A service whose issuer has TLS, with this certificate and its key (PEM).
    pub(crate) fn start_with_tls(certificate: &Path, key: &Path) -> Option<Self> {
        Self::start_as(&format!("{} {}", certificate.display(), key.display()))
    }

    fn start_as(line: &str) -> Option<Self> {
        if !has_client("node") {
            return None;
        }
        let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        // It has ended where the package is missing.
        let _ = writeln!(process.0.stdin.as_mut().expect("a pipe"), "{line}");
        let mut line = String::new();
        // The library prints notices.
        while !line.starts_with("http") {
            line.clear();
            if process.1.read_line(&mut line).is_ok_and(|length| length == 0) {
                break;
            }
        }
        if line.is_empty() {
            let required = std::env::var_os("MY_TEST_REQUIRE_CLIENTS").is_some();
            assert!(!required, "npm's oidc-provider is not installed, and clients are required");
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: a test needs npm's oidc-provider, which is not installed"
            );
            return None;
        }
        let (url, issuer) = line.trim().split_once(' ').expect("two URLs");
        Some(Self { url: url.to_owned(), issuer: issuer.to_owned() })
    }

    fn test(&self, what: &str) -> Value {
        let mut answer =
            ureq::get(format!("{}/test/{what}", self.url)).call().expect("the service answers");
        answer.body_mut().read_json().expect("JSON")
    }

    /// Logs in, and returns the access and the refresh token.
    pub(crate) fn seed(&self, person: &str) -> (String, String) {
        let tokens = self.test(&format!("seed?account={person}"));
        let token = |name: &str| tokens[name].as_str().expect("a token").to_owned();
        (token("access_token"), token("refresh_token"))
    }

    /// The code that the page issues for this query.
    pub(crate) fn code(&self, query: &str) -> String {
        self.test(&format!("code?{query}"))["code"].as_str().expect("a code").to_owned()
    }

    /// The claims of an ID token that the service has signed for the client `helper`.
    pub(crate) fn verified(&self, id_token: &str) -> Value {
        self.test(&format!("id-token?token={id_token}"))
    }

    /// Delays every response of the token endpoint.
    pub(crate) fn delay(&self, time: Duration) {
        self.test(&format!("delay?ms={}", time.as_millis()));
    }

    /// Delays every response of the token endpoint until [`release`](Self::release).
    pub(crate) fn hold(&self) {
        self.test("hold");
    }

    pub(crate) fn release(&self) {
        self.test("release");
    }

    /// Delays the metadata of the service.
    pub(crate) fn delay_description(&self, time: Duration) {
        self.test(&format!("delay-description?ms={}", time.as_millis()));
    }

    /// From now on, no refresh returns an ID token.
    pub(crate) fn withhold_id_token(&self) {
        self.test("withhold-id-token");
    }

    /// Replaces the keys that sign ID tokens.
    pub(crate) fn rotate_keys(&self) {
        self.test("rotate-keys");
    }

    /// The lifetime of the access and the ID tokens that it issues from now on, in seconds.
    pub(crate) fn set_lifetime(&self, seconds: u64) {
        self.test(&format!("lifetime?s={seconds}"));
    }

    pub(crate) fn clear_journal(&self) {
        self.test("clear");
    }

    /// The number of these events: `token request`, `refresh_token.consumed`, `grant.revoked`.
    pub(crate) fn count(&self, event: &str) -> usize {
        let journal = self.test("journal");
        journal.as_array().into_iter().flatten().filter(|entry| entry["event"] == event).count()
    }

    /// Redeems a refresh token; returns the status of the response.
    pub(crate) fn redeem(&self, refresh_token: &str) -> u16 {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", "helper"),
        ];
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let request = config.build().new_agent().post(format!("{}/token", self.url));
        request.send_form(form).expect("the service answers").status().as_u16()
    }

    /// Whether the service reports to a host that the token is active.
    pub(crate) fn is_active(&self, token: &str) -> bool {
        self.introspect(token)["active"] == true
    }

    /// The response to a host about a token (RFC 7662).
    pub(crate) fn introspect(&self, token: &str) -> Value {
        let form = [("token", token), ("client_id", "git"), ("client_secret", "host")];
        let url = format!("{}/token/introspection", self.url);
        // `git:host`
        let request = ureq::post(&url).header("Authorization", "Basic Z2l0Omhvc3Q=");
        let mut answer = request.send_form(form.into_iter().take(1)).expect("the service answers");
        answer.body_mut().read_json().expect("JSON")
    }

    /// Registers a client that authenticates with this key, and returns the client's id.
    pub(crate) fn register_key(&self, jwk: &Value, algorithm: &str) -> String {
        let client = json!({
            "redirect_uris": [], "response_types": [], "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": algorithm, "jwks": { "keys": [jwk] },
        });
        let mut answer =
            ureq::post(format!("{}/reg", self.url)).send_json(client).expect("a client");
        let registered: Value = answer.body_mut().read_json().expect("JSON");
        registered["client_id"].as_str().expect("an id").to_owned()
    }

    /// The client assertion of the last request.
    pub(crate) fn last_assertion(&self) -> String {
        self.test("assertion")["assertion"].as_str().expect("an assertion").to_owned()
    }

    /// A home with the service as its default provider `acme`.
    pub(crate) fn home(&self, more: &str) -> Home {
        let mut home = Home::new();
        let issuer = &self.issuer;
        let text = format!(
            "provider = \"acme\"\n[providers.acme]\nkind = \"oauth\"\nissuer = \"{issuer}\"\nscopes = [\"openid\"]\n{more}\n"
        );
        let text = if more.contains("client_id") {
            text
        } else {
            format!("{text}client_id = \"helper\"\n")
        };
        home.write(".config/my-credential-helper/config.toml", &text);
        home.set("MY_NO_KEYRING", "1");
        home
    }

    /// As [`home`](Self::home), with a session whose access token has expired by this machine's clock.
    pub(crate) fn stale_home(&self) -> Home {
        let home = self.home("");
        self.make_stale(&home);
        home
    }

    /// Stores a session of `ada` with an expired access token.
    pub(crate) fn make_stale(&self, home: &Home) {
        self.make_stale_as(home, "ada", SESSION);
    }

    /// As [`make_stale`](Self::make_stale), for this person and in this file.
    pub(crate) fn make_stale_as(&self, home: &Home, person: &str, file: &str) {
        let (access_token, refresh_token) = self.seed(person);
        let then = rfc3339(SystemTime::now() - Duration::from_secs(3600));
        let session = json!({
            "access_token": access_token, "refresh_token": refresh_token,
            "expires_at": then, "logged_in_at": then, "last_refreshed_at": then,
        });
        home.write(file, &session.to_string());
    }
}
