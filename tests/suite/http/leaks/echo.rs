//! Services that repeat what they receive: whatever request of whatever API it is, and in whatever form the service repeats
//! a secret of it, neither an error nor a log has the secret.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::scripted::{Request, Response, Scripted};
use crate::support::terminal::{in_terminal, status_of};
use crate::support::{HELPER, Home, Outcome, finish, rfc3339};

/// Each has a character that every encoding changes. A header carries no others.
const ACCESS_TOKEN: &str = "acc+ess/t=k%6Fn~\"q\".0123456789";
const REFRESH_TOKEN: &str = "ref\"resh+t/ken ä%41=&?>>ÿ\\0123456789";
const CLIENT_SECRET: &str = "cli+ent/s=cret %42\"&?>>ÿ\\0123456789";
const DEVICE_CODE: &str = "dev+ice/c=de %43\"&?>>ÿ\\0123456789";
const CODE: &str = "c=de/of+the page%44\"&?>>ÿ\\0123456789";

/// Fields of a request that are not secret.
const PUBLIC: [&str; 14] = [
    "client_assertion_type",
    "client_id",
    "email",
    "expires_in",
    "grant_type",
    "name",
    "profile_id",
    "redirect_uri",
    "role",
    "scope",
    "subject_token_type",
    "token_type_hint",
    "username",
    "response_type",
];

/// The secrets of a request, as the service reads them.
fn secrets(request: &Request) -> Vec<String> {
    let pairs: Vec<(String, String)> = match serde_json::from_str::<Value>(&request.body) {
        Ok(Value::Object(fields)) => fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
            .collect(),
        _ => url::form_urlencoded::parse(request.body.as_bytes()).into_owned().collect(),
    };
    let mut secrets: Vec<String> = pairs
        .into_iter()
        .filter(|(name, _)| !PUBLIC.contains(&name.as_str()))
        .map(|(_, value)| value)
        .collect();
    for line in request.head.lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if let Some(pair) = value.strip_prefix("Basic ") {
            let pair = String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap();
            let decoded = |text: &str| {
                url::form_urlencoded::parse(text.as_bytes()).next().unwrap().0.into_owned()
            };
            let (id, secret) = pair.split_once(':').unwrap();
            secrets.push(decoded(secret));
            secrets.push(format!("{}:{}", decoded(id), decoded(secret)));
            secrets.push(pair);
        } else if ["x-microtica-api-key", "x-identity-header"]
            .iter()
            .any(|header| name.eq_ignore_ascii_case(header))
        {
            secrets.push(value.to_owned());
        } else if let Some(token) = value.strip_prefix("Bearer ") {
            secrets.push(token.to_owned());
        }
    }
    secrets
}

/// The forms in which a secret is repeated.
fn forms(secret: &str) -> Vec<String> {
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let percent = |byte: u8| format!("%{byte:02x}");
    let percent = secret.bytes().map(percent).collect::<Vec<_>>().concat();
    let escape = |unit: u16| format!("\\u{unit:04X}");
    let unicode = secret.encode_utf16().map(escape).collect::<Vec<_>>().concat();
    let json = Value::from(secret).to_string();
    let mut forms =
        vec![secret.to_owned(), form, percent, unicode, json[1..json.len() - 1].to_owned()];
    for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
        forms.push(engine.encode(secret));
    }
    forms
}

/// Every form of every secret, also broken over two lines.
fn echo(request: &Request) -> String {
    let broken = |form: &String| {
        let at = form.char_indices().nth(form.chars().count() / 2).map_or(0, |(at, _)| at);
        format!("<{form}> and <{}\n    {}>", &form[..at], &form[at..])
    };
    let forms: Vec<_> = secrets(request).iter().flat_map(|secret| forms(secret)).collect();
    forms.iter().map(broken).collect::<Vec<_>>().join(", ")
}

/// How the service repeats what it received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Echo {
    Code,
    Message,
    /// As GitHub rejects a request.
    Success,
    Page,
    Token,
    Header,
}

const ECHOES: [Echo; 6] =
    [Echo::Code, Echo::Message, Echo::Success, Echo::Page, Echo::Token, Echo::Header];

impl Echo {
    fn response(self, request: &Request) -> Response {
        let text = echo(request);
        let is_api = request.path.starts_with("/v1/") || request.path.starts_with("/api/");
        let error = |code: &str| {
            let error = if is_api {
                json!({ "error": { "code": code, "message": text } })
            } else {
                json!({ "error": code, "error_description": text, "error_uri": text })
            };
            error.to_string()
        };
        let none = String::new();
        match self {
            Self::Code => (400, none, error(&text)),
            Self::Message => (401, none, error("invalid_client")),
            Self::Success => (200, none, error("access_denied")),
            Self::Page => (403, none, format!("<html>{text}</html>")),
            // Nothing of it has the right type.
            Self::Token => {
                let wrong = json!([{ "text": text, &text: 1 }]);
                let names = ["access_token", "device_code", "id", "tokens", "projects", "sessions"];
                let body: serde_json::Map<_, _> =
                    names.iter().map(|name| ((*name).to_owned(), wrong.clone())).collect();
                (200, none, Value::from(body).to_string())
            }
            Self::Header => {
                let text: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
                (
                    429,
                    format!("Location: /{text}\r\nRetry-After: {text}\r\nX-Sent: {text}\r\n"),
                    none,
                )
            }
        }
    }
}

/// No half of a form of a secret, whatever stands between the two.
fn assert_no_secret(outcome: &Outcome, secrets: &[String], what: &str) {
    for text in [&outcome.output, &outcome.messages] {
        for form in secrets.iter().flat_map(|secret| forms(secret)) {
            let half = form.char_indices().nth(form.chars().count() / 2).map_or(0, |(at, _)| at);
            for part in [&form[..half], &form[half..]] {
                let is_shown = part.len() > 4 && text.contains(part);
                assert!(!is_shown, "{what}: `{part}` of `{form}` is shown: {outcome:?}");
            }
        }
    }
    assert!(!outcome.messages.contains("panicked"), "{what}: {outcome:?}");
}

fn session(is_expired: bool) -> String {
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    let expiry = if is_expired { now - hour } else { now + hour };
    let then = rfc3339(now - 2 * hour);
    json!({
        "access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN, "expires_at": rfc3339(expiry),
        "logged_in_at": then, "last_refreshed_at": if is_expired { then.clone() } else { rfc3339(now) },
    })
    .to_string()
}

/// A call that sends a request to be repeated.
#[derive(Debug)]
struct Case {
    /// The path whose requests are repeated. The others succeed.
    path: &'static str,
    arguments: &'static [&'static str],
    /// What the request has to carry, so that the test is one.
    carries: &'static [&'static str],
}

const fn case(
    path: &'static str,
    arguments: &'static [&'static str],
    carries: &'static [&'static str],
) -> Case {
    Case { path, arguments, carries }
}

fn run(
    case: &Case,
    echo: Echo,
    home: impl Fn(&Scripted) -> Home,
    succeed: fn(&str, &str) -> Value,
) {
    run_by(piped, case, echo, home, succeed);
}

fn run_by(
    start: fn(&Case, &Home) -> Outcome,
    case: &Case,
    echo: Echo,
    home: impl Fn(&Scripted) -> Home,
    succeed: fn(&str, &str) -> Value,
) -> Outcome {
    let path = case.path;
    let service = Scripted::start(move |url, request| {
        let (of_request, _) = request.path.split_once('?').unwrap_or((&request.path, ""));
        if of_request == path {
            echo.response(request)
        } else {
            (200, String::new(), succeed(url, of_request).to_string())
        }
    });
    let mut home = home(&service);
    home.set("MY_LOG", "debug");
    let what = format!("{path} {:?} {echo:?}", case.arguments);
    let outcome = start(case, &home);
    let requests = service.requests();
    let sent: Vec<_> = requests.iter().flat_map(secrets).collect();
    let repeated: Vec<_> = requests
        .iter()
        .filter(|request| request.path.split('?').next() == Some(path))
        .flat_map(secrets)
        .collect();
    for secret in case.carries {
        assert!(repeated.iter().any(|sent| sent == secret), "{what}: {secret}: {requests:?}");
    }
    assert!(requests.iter().any(|request| request.path.starts_with(path)), "{what}: {outcome:?}");
    assert_no_secret(&outcome, &sent, &what);
    outcome
}

fn piped(case: &Case, home: &Home) -> Outcome {
    if case.arguments != ["login", "--browser"] {
        return finish(home.start(case.arguments), b"");
    }
    let mut command = home.command(HELPER);
    command.args(case.arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut login = command.spawn().unwrap();
    let mut lines = BufReader::new(login.stderr.take().unwrap()).lines().map(Result::unwrap);
    return_from(&lines.find(|line| line.contains("code_challenge=")).unwrap());
    let messages = lines.collect::<Vec<_>>().join("\n");
    let output = String::from_utf8(login.wait_with_output().unwrap().stdout).unwrap();
    Outcome { output, messages, status: 0 }
}

/// A terminal also shows the description of an OAuth error.
fn in_a_terminal(case: &Case, home: &Home) -> Outcome {
    let mut command = home.command(HELPER);
    command.args(case.arguments);
    let mut terminal = in_terminal(home, command);
    if case.arguments == ["login", "--browser"] {
        return_from(&terminal.exp_regex("http\\S+code_challenge=\\S+").unwrap().1);
    }
    Outcome { output: String::new(), messages: terminal.exp_eof().unwrap(), status: 0 }
}

/// Returns from a page with a code, as the browser of a person does.
fn return_from(page: &str) {
    let page = url::Url::parse(page.trim()).unwrap();
    let parameter =
        |name: &str| page.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned();
    // The page reports a failed login with status 400.
    let _ = ureq::get(parameter("redirect_uri"))
        .query("code", CODE)
        .query("state", parameter("state"))
        .call();
}

const MYCLI: &[Case] = &[
    case(
        "/v1/auth/device/start",
        &["login", "--force", "--email", "me@acme.dev", "--no-wait"],
        &[],
    ),
    case("/v1/auth/verify-code", &["login", "--code", "135790"], &["135790", DEVICE_CODE]),
    case("/v1/auth/device/token", &["login", "--code", "135790"], &[DEVICE_CODE]),
    case("/v1/me/username", &["login", "--code", "135790", "--username", "ada"], &[ACCESS_TOKEN]),
    case("/v1/me", &["whoami"], &[ACCESS_TOKEN]),
    case("/v1/me", &["login", "--code", "135790"], &[ACCESS_TOKEN]),
    case("/v1/tokens", &["token", "list"], &[ACCESS_TOKEN]),
    case("/v1/tokens", &["token", "create", "ci", "--expires-in", "1d"], &[ACCESS_TOKEN]),
    case("/v1/profiles", &["token", "create", "ci", "--profile", "work"], &[ACCESS_TOKEN]),
    case("/v1/tokens/t1", &["token", "revoke", "t1", "--force"], &[ACCESS_TOKEN]),
    case("/v1/sessions", &["session", "list"], &[ACCESS_TOKEN]),
    case("/v1/sessions/s1", &["session", "revoke", "s1"], &[ACCESS_TOKEN]),
    case("/v1/auth/logout", &["logout"], &[ACCESS_TOKEN, REFRESH_TOKEN]),
];

fn mycli(url: &str, path: &str) -> Value {
    let created_at = "2026-01-01T00:00:00Z";
    match path {
        "/v1/auth/device/token" => json!({
            "access_token": ACCESS_TOKEN, "refresh_token": "new", "expires_in": 900, "needs_username": true,
        }),
        "/v1/tokens" => json!({ "tokens": [
            { "id": "t1", "name": "ci", "token_prefix": "myc_", "created_at": created_at }
        ] }),
        "/v1/sessions" => json!({ "sessions": [{ "id": "s1" }] }),
        "/v1/me" => json!({ "id": "1", "email": "me@acme.dev" }),
        _ => json!({ "url": url }),
    }
}

fn mycli_home(service: &Scripted, is_expired: bool) -> Home {
    let home = Home::new();
    home.write(".my/config.json", &json!({ "api_url": service.url }).to_string());
    home.write(".my/credentials.json", &session(is_expired));
    let pending = json!({
        "provider": "mycli", "account": "default", "email": "me@acme.dev", "api_url": service.url,
        "device_code": DEVICE_CODE, "interval": 1, "expires_at": 4_000_000_000_u64,
    });
    home.write(".my/pending-login.json", &pending.to_string());
    home
}

/// A poll that fails for the moment is repeated for 20 s.
fn ends_at_once(case: &Case, echo: Echo) -> bool {
    let is_final = matches!(echo, Echo::Code | Echo::Message | Echo::Page);
    is_final || case.path != "/v1/auth/device/token"
}

#[test]
fn no_request_of_mycli_leaks_what_it_carries() {
    for echo in ECHOES {
        for case in MYCLI.iter().filter(|case| ends_at_once(case, echo)) {
            run(case, echo, |service| mycli_home(service, false), mycli);
        }
        let refresh = case("/v1/auth/refresh", &["get"], &[REFRESH_TOKEN]);
        run(&refresh, echo, |service| mycli_home(service, true), mycli);
    }
}

#[test]
fn a_key_that_microtica_repeats_is_not_shown() {
    let key = "mic_0123456789abcdef0123456789abcdef01234567";
    let cases = [
        case("/api/v1/whoami", &["whoami"], &["mic_0123456789abcdef0123456789abcdef01234567"]),
        case("/api/v1/projects", &["project", "list"], &[]),
        case("/api/v1/projects/p1/environments", &["env", "list", "--project", "p1"], &[]),
    ];
    let home = |service: &Scripted| {
        let mut home = Home::new();
        home.set("MY_PROVIDER", "microtica");
        home.set("MICROTICA_API_URL", &service.url);
        home.set("MICROTICA_TOKEN", key);
        home
    };
    for echo in ECHOES {
        for case in &cases {
            let case = Case { carries: &["mic_0123456789abcdef0123456789abcdef01234567"], ..*case };
            run(&case, echo, home, |_, _| json!({}));
        }
    }
}

const OAUTH: &[Case] = &[
    case("/device", &["login", "--device", "--force"], &[CLIENT_SECRET]),
    case("/token", &["login", "--device", "--force"], &[CLIENT_SECRET, DEVICE_CODE]),
    case("/token", &["login", "--browser"], &[CLIENT_SECRET, CODE]),
    case("/token", &["login", "--client-credentials", "--force"], &[CLIENT_SECRET]),
    case("/userinfo", &["whoami"], &[ACCESS_TOKEN]),
    case("/revoke", &["logout"], &[CLIENT_SECRET, REFRESH_TOKEN]),
];

fn oauth(url: &str, path: &str) -> Value {
    match path {
        "/.well-known/openid-configuration" => json!({
            "issuer": url, "authorization_endpoint": format!("{url}/page"), "token_endpoint": format!("{url}/token"),
            "device_authorization_endpoint": format!("{url}/device"), "revocation_endpoint": format!("{url}/revoke"),
            "userinfo_endpoint": format!("{url}/userinfo"),
        }),
        "/device" => json!({
            "device_code": DEVICE_CODE, "user_code": "ABCD", "verification_uri": format!("{url}/go"),
            "expires_in": 2, "interval": 1,
        }),
        _ => json!({ "access_token": ACCESS_TOKEN, "token_type": "bearer" }),
    }
}

fn oauth_home(service: &Scripted, kind: &str, is_expired: bool) -> Home {
    let mut home = Home::new();
    let url = &service.url;
    let text = format!(
        "provider = 'acme'\n[providers.acme]\nclient_id = 'the id'\nclient_secret_variable = 'CLIENT_SECRET'\n{}",
        match kind {
            // Its secret is in the body.
            "github" => format!(
                "kind = 'github'\nauthorization_endpoint = '{url}/page'\ntoken_endpoint = '{url}/token'\n\
                 device_authorization_endpoint = '{url}/device'\nrevocation_endpoint = '{url}/revoke'\n\
                 userinfo_endpoint = '{url}/userinfo'\n"
            ),
            kind => format!("kind = '{kind}'\nissuer = '{url}'\n"),
        }
    );
    home.write(".config/my-credential-helper/config.toml", &text);
    home.write(".my/sessions/acme/default.json", &session(is_expired));
    home.set("MY_NO_KEYRING", "1");
    home.set("CLIENT_SECRET", CLIENT_SECRET);
    home
}

/// Each request with the client secret in a header, and with the secret in the body.
#[test]
fn no_request_of_oauth_leaks_what_it_carries() {
    std::thread::scope(|scope| {
        for kind in ["oauth", "github"] {
            for echo in ECHOES {
                scope.spawn(move || {
                    for case in OAUTH {
                        let is_page = case.arguments == ["login", "--browser"];
                        let home = |service: &Scripted| {
                            let home = oauth_home(service, kind, false);
                            if is_page {
                                std::fs::remove_file(
                                    home.path().join(".my/sessions/acme/default.json"),
                                )
                                .unwrap();
                            }
                            home
                        };
                        run(case, echo, home, oauth);
                        let outcome = run_by(in_a_terminal, case, echo, home, oauth);
                        let is_shown = outcome.messages.contains("<[secret]> and <[secret]>");
                        let is_silent = !matches!(echo, Echo::Code | Echo::Message);
                        assert!(is_shown || is_silent, "{case:?} {echo:?}: {outcome:?}");
                    }
                    let refresh = case("/token", &["get"], &[CLIENT_SECRET, REFRESH_TOKEN]);
                    run(&refresh, echo, |service| oauth_home(service, kind, true), oauth);
                });
            }
        }
    });
}

/// The source and the exchange of an identity, the path of the request, and whether the request is the platform's.
const IDENTITY: &[(&str, &str, &str, bool)] = &[
    ("github-actions", "token-exchange", "/api/github", true),
    ("azure-pipelines", "token-exchange", "/api/azure", true),
    ("azure", "token-exchange", "/api/msi", true),
    ("variable", "token-exchange", "/token", false),
    ("variable", "jwt-bearer", "/token", false),
    ("variable", "client-assertion", "/token", false),
    ("variable", "vault", "/v1/auth/jwt/login", false),
];

/// `{"a":1}`, `{"aud":"a","exp":9999999999}`. As short as possible: a long message is cut off.
const TOKEN: &str = "eyJhIjoxfQ.eyJhdWQiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ.x";

fn identity_home(service: &Scripted, source: &str, exchange: &str) -> Home {
    let url = &service.url;
    let source = match source {
        "variable" => "source = 'variable'\nvariable = 'ID_TOKEN'\n".to_owned(),
        "azure-pipelines" => format!("source = '{source}'\nservice_connection = 'c'\n"),
        source => format!("source = '{source}'\n"),
    };
    let role = if exchange == "vault" { "role = 'ci'\n" } else { "" };
    let mut home = Home::new();
    let text = format!(
        "provider = 'acme'\n[providers.acme]\nkind = 'oauth'\ntoken_endpoint = '{url}/token'\nclient_id = 'the id'\n\
         client_secret_variable = 'CLIENT_SECRET'\n[providers.acme.identity]\n{source}{role}audience = 'a'\n\
         exchange = '{exchange}'\n"
    );
    home.write(".config/my-credential-helper/config.toml", &text);
    for (name, value) in [
        ("MY_NO_KEYRING", "1".to_owned()),
        ("CLIENT_SECRET", CLIENT_SECRET.to_owned()),
        ("ID_TOKEN", TOKEN.to_owned()),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{url}/api/github?x=1")),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", ACCESS_TOKEN.to_owned()),
        ("SYSTEM_OIDCREQUESTURI", format!("{url}/api/azure")),
        ("SYSTEM_ACCESSTOKEN", ACCESS_TOKEN.to_owned()),
        ("IDENTITY_ENDPOINT", format!("{url}/api/msi")),
        ("IDENTITY_HEADER", ACCESS_TOKEN.to_owned()),
    ] {
        home.set(name, value);
    }
    home
}

#[test]
fn no_request_of_an_identity_leaks_what_it_carries() {
    for echo in ECHOES {
        for (source, exchange, path, is_platform) in IDENTITY {
            let carries: &[_] = if *is_platform { &[ACCESS_TOKEN] } else { &[TOKEN] };
            let case = Case { path, arguments: &["get", "--explain"], carries };
            let home = |service: &Scripted| identity_home(service, source, exchange);
            run(&case, echo, home, |_, _| json!({}));
        }
    }
}

#[test]
fn a_description_is_shown_on_a_terminal_without_secrets() {
    let service = Scripted::start(|url, request| match &*request.path {
        "/revoke" => {
            let text = format!("the token is not yours: {}", echo(request));
            let body = json!({ "error": "invalid_request", "error_description": text });
            (400, String::new(), body.to_string())
        }
        path => (200, String::new(), oauth(url, path).to_string()),
    });
    let rejected = "could not revoke the session on the service: ";
    let home = oauth_home(&service, "oauth", false);
    let piped = home.run(&["logout"]);
    assert!(
        piped.messages.contains(&format!("{rejected}invalid_request (status 400)")),
        "{piped:?}"
    );
    let home = oauth_home(&service, "oauth", false);
    let mut command = home.command(HELPER);
    command.arg("logout");
    let mut terminal = in_terminal(&home, command);
    let before = terminal.exp_string("the token is not yours: <[secret]> and <[secret]>").unwrap();
    let after = terminal.exp_string("(invalid_request)").unwrap();
    assert_eq!(status_of(&mut terminal), 0);
    let outcome = Outcome { output: before, messages: after, status: 0 };
    let sent: Vec<_> = service.requests().iter().flat_map(secrets).collect();
    assert_no_secret(&outcome, &sent, "logout in a terminal");
}

#[test]
fn a_failed_resend_shows_no_secret() {
    let service = Scripted::start(|_, request| match &*request.path {
        "/v1/auth/device/start" => {
            let body = json!({ "device_code": DEVICE_CODE, "expires_in": 60, "interval": 60 });
            (200, String::new(), body.to_string())
        }
        "/v1/auth/device/token" => {
            let body = json!({ "error": { "code": "AUTHORIZATION_PENDING", "message": "" } });
            (400, String::new(), body.to_string())
        }
        _ => Echo::Message.response(request),
    });
    let home = Home::new();
    home.write(".my/config.json", &json!({ "api_url": service.url }).to_string());
    let mut command = home.command(HELPER);
    command.args(["login", "--email", "me@acme.dev"]).env("MY_NO_KEYRING", "1");
    let mut terminal = in_terminal(&home, command);
    terminal.exp_string("waiting").unwrap();
    terminal.send("r").unwrap();
    terminal.flush().unwrap();
    let before =
        terminal.exp_string("could not resend the email: <[secret]> and <[secret]>").unwrap();
    let after = terminal.exp_string("(invalid_client)").unwrap();
    terminal.send_control('c').unwrap();
    assert_eq!(status_of(&mut terminal), 130);
    let resent = service.requests().into_iter().find(|it| it.path == "/v1/auth/device/resend");
    let sent = secrets(&resent.unwrap());
    assert_eq!(sent, [DEVICE_CODE]);
    assert_no_secret(&Outcome { output: before, messages: after, status: 0 }, &sent, "resend");
}
