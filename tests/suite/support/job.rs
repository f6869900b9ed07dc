//! A job of a CI platform: an empty home, a platform that issues identity tokens, a service that exchanges them. Platform
//! and service are doubles: they speak the protocol that the vendors document.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Home;
use super::scripted::{Request, Response, Scripted};

pub(crate) const AUDIENCE: &str = "https://login.acme.dev/ä?b=c&d";

/// What the runner gives a job to request its identity with.
pub(crate) const REQUEST_TOKEN: &str = "hunter2-the-request-token";

pub(crate) fn in_seconds(seconds: u64) -> u64 {
    let then = SystemTime::now() + Duration::from_secs(seconds);
    then.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A token that no service of a test verifies, for an hour.
pub(crate) fn identity_token(sub: &str, aud: &Value) -> String {
    token(&json!({
        "iss": "https://ci.acme.dev", "sub": sub, "aud": aud, "exp": in_seconds(3600),
        "jti": format!("{sub} {}", NEXT.fetch_add(1, Ordering::Relaxed)),
    }))
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(claims))
}

/// The claims of a token.
pub(crate) fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap_or_default();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap_or_default()).unwrap_or_default()
}

/// The runner of GitHub and Forgejo, as a double of
/// <https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token>.
pub(crate) fn runner() -> Scripted {
    Scripted::start(|_, request| {
        let path = request.path.trim_start_matches('/');
        let query = path.split_once("?api-version=2.0&audience=");
        let is_allowed =
            request.head.contains(&format!("authorization: Bearer {REQUEST_TOKEN}\r\n"));
        let Some((subject, audience)) = query.filter(|_| is_allowed) else {
            return (401, String::new(), json!({ "message": request.head }).to_string());
        };
        let audience = decoded(audience);
        let value = identity_token(subject, &json!(audience));
        (200, String::new(), json!({ "count": 1, "value": value }).to_string())
    })
}

fn decoded(text: &str) -> String {
    form(&format!("v={text}")).remove(0).1
}

/// The fields of a form.
pub(crate) fn form(body: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(body.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

pub(crate) fn field(body: &str, name: &str) -> String {
    form(body).into_iter().find(|(found, _)| found == name).map(|it| it.1).unwrap_or_default()
}

/// The identity token of a request, whatever the grant.
pub(crate) fn presented(request: &Request) -> String {
    let names = ["subject_token", "assertion", "client_assertion"];
    let found = names.map(|name| field(&request.body, name));
    let of_json = || serde_json::from_str::<Value>(&request.body).unwrap_or_default();
    let in_json = || of_json()["jwt"].as_str().unwrap_or_default().to_owned();
    found.into_iter().find(|token| !token.is_empty()).unwrap_or_else(in_json)
}

/// A token endpoint that accepts every identity token once, as services do that remember `jti`; its token names the subject.
pub(crate) fn service() -> Scripted {
    let seen = std::sync::Mutex::new(std::collections::HashSet::new());
    Scripted::start(move |_, request| {
        let claims = claims(&presented(request));
        if !seen.lock().unwrap().insert(claims["jti"].to_string()) {
            return error("invalid_grant");
        }
        issued(&format!("hunter2-token-of-{}", claims["sub"].as_str().unwrap_or_default()))
    })
}

pub(crate) fn issued(token: &str) -> Response {
    let body = json!({
        "access_token": token, "token_type": "Bearer", "expires_in": 900,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "refresh_token": "hunter2-a-refresh-token",
    });
    (200, String::new(), body.to_string())
}

pub(crate) fn error(code: &str) -> Response {
    (400, String::new(), json!({ "error": code }).to_string())
}

/// A home that knows the service as `acme`.
pub(crate) fn home(service: &str, identity: &str) -> Home {
    let mut home = Home::new();
    configure(&home, service, identity);
    home.set("MY_NO_KEYRING", "1");
    home
}

pub(crate) fn configure(home: &Home, service: &str, identity: &str) {
    let audience = if identity.contains("audience = ") {
        String::new()
    } else {
        format!("audience = \"{AUDIENCE}\"\n")
    };
    let text = format!(
        "provider = \"acme\"\n[providers.acme]\nkind = \"oauth\"\ntoken_endpoint = \"{service}/token\"\n\
         client_id = \"ci\"\nhosts = [\"git.acme.dev\"]\n[providers.acme.identity]\n{audience}{identity}\n"
    );
    home.write(".config/my-credential-helper/config.toml", &text);
}

/// Makes the home that of a job of GitHub Actions, for this subject.
pub(crate) fn start_github_job(home: &mut Home, runner: &Scripted, subject: &str) {
    let url = format!("{}/{subject}?api-version=2.0", runner.url);
    home.set("ACTIONS_ID_TOKEN_REQUEST_URL", url);
    home.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN);
}
