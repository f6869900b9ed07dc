//! Responses of a hostile or broken service: another issuer, endpoints without TLS, tokens that do not fit a header,
//! `slow_down`. None may log in or out.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::oidc::{Oidc, SESSION};
use crate::support::{HELPER, Home, Outcome, rfc3339};

type Answers = dyn Fn(&str, usize) -> (u16, String) + Send + Sync;

/// A fake service: `answers` gets the path, and the number of earlier requests for it.
struct Double {
    url: String,
    requests: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Double {
    fn start(answers: impl Fn(&str, &str, usize) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (own, requests) = (url.clone(), Arc::new(Mutex::new(Vec::<(String, Instant)>::new())));
        let answers: Arc<Answers> = Arc::new(move |path, before| answers(&own, path, before));
        let journal = requests.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let mut reader = BufReader::new(&connection);
                let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
                let _ = reader.read_line(&mut first);
                while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap_or(0);
                    }
                    line.clear();
                }
                let _ = reader.read_exact(&mut vec![0; length]);
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                let before = {
                    let mut journal = journal.lock().unwrap();
                    let before = journal.iter().filter(|(other, _)| *other == path).count();
                    journal.push((path.clone(), Instant::now()));
                    before
                };
                let (status, body) = answers(&path, before);
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: "
                );
                let _ = (&connection).write_all(
                    format!("{head}{}\r\nConnection: close\r\n\r\n{body}", body.len()).as_bytes(),
                );
            }
        });
        Self { url, requests }
    }

    fn home(&self) -> Home {
        let mut home = Home::new();
        let url = &self.url;
        let text = format!(
            "provider = \"acme\"\n[providers.acme]\nkind = \"oauth\"\nissuer = \"{url}\"\nclient_id = \"me\"\n"
        );
        home.write(".config/my-credential-helper/config.toml", &text);
        home.set("MY_NO_KEYRING", "1");
        home
    }

    fn times(&self, path: &str) -> Vec<Instant> {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .filter(|(other, _)| other == path)
            .map(|(_, time)| *time)
            .collect()
    }
}

const DISCOVERY: &str = "/.well-known/openid-configuration";

fn description(url: &str) -> serde_json::Value {
    json!({ "issuer": url, "token_endpoint": format!("{url}/token"), "device_authorization_endpoint": format!("{url}/device") })
}

fn device(url: &str) -> (u16, String) {
    let answer = json!({ "device_code": "d", "user_code": "ABCD", "verification_uri": format!("{url}/go"), "expires_in": 60, "interval": 1 });
    (200, answer.to_string())
}

/// A `login --device` at a service that gives this at the end.
fn log_in(given: String) -> (Home, Outcome) {
    let double = Double::start(move |url, path, _| match path {
        DISCOVERY => (200, description(url).to_string()),
        "/device" => device(url),
        _ => (200, given.clone()),
    });
    let home = double.home();
    let outcome = home.run(&["login", "--device"]);
    (home, outcome)
}

#[test]
fn discovery_of_another_issuer_or_without_tls_is_rejected() {
    for (field, value) in
        [("issuer", "https://evil.dev"), ("token_endpoint", "http://evil.dev/token")]
    {
        let double = Double::start(move |url, _, _| {
            let mut answer = description(url);
            answer[field] = value.into();
            (200, answer.to_string())
        });
        let home = double.home();
        let outcome = home.run(&["login", "--device"]);
        assert_eq!(outcome.status, 4, "{outcome:?}");
        assert!(outcome.messages.contains(value), "{outcome:?}");
        assert_eq!(
            double.times("/device").len() + double.times("/token").len(),
            0,
            "no further request is sent"
        );
    }
}

#[test]
fn a_verification_page_without_tls_is_not_shown() {
    let double = Double::start(|url, path, _| match path {
        DISCOVERY => (200, description(url).to_string()),
        _ => device("http://evil.dev"),
    });
    let outcome = double.home().run(&["login", "--device"]);
    assert_eq!(outcome.status, 4, "{outcome:?}");
    assert!(
        outcome.messages.contains("without TLS") && !outcome.messages.contains("ABCD"),
        "{outcome:?}"
    );
}

#[test]
fn tokens_that_do_not_fit_a_header_are_not_stored() {
    let long = "x".repeat(100_000);
    for (given, part) in [
        (json!({ "access_token": long, "token_type": "Bearer" }).to_string(), "100000 bytes"),
        (json!({ "access_token": "a\nb", "token_type": "Bearer" }).to_string(), "no usable token"),
        (
            json!({ "access_token": "a\u{202e}b", "token_type": "Bearer" }).to_string(),
            "no usable token",
        ),
        (json!({ "access_token": "a", "token_type": "mac" }).to_string(), "not a Bearer token"),
        ("{}".to_owned(), "the response "),
        ("[".repeat(100_000), "the response "),
    ] {
        let (home, outcome) = log_in(given);
        assert_ne!(outcome.status, 0, "{part}");
        assert!(outcome.messages.contains(part), "{outcome:?}");
        assert!(outcome.messages.len() < 1000, "and the response is not repeated");
        assert_eq!(home.read(SESSION), None);
    }
}

#[test]
fn slow_down_and_errors_with_status_200_are_handled() {
    let double = Double::start(|url, path, before| match (path, before) {
        (DISCOVERY, _) => (200, description(url).to_string()),
        ("/device", _) => device(url),
        // As GitHub says it.
        (_, 0) => (200, r#"{"error":"authorization_pending"}"#.to_owned()),
        (_, 1) => (400, r#"{"error":"slow_down"}"#.to_owned()),
        // A proxy that is busy ends no login.
        (_, 2) => (502, "<html>".to_owned()),
        _ => (200, r#"{"access_token":"a","token_type":"bearer"}"#.to_owned()),
    });
    let home = double.home();
    let outcome = home.run(&["login", "--device"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let polls = double.times("/token");
    assert_eq!(polls.len(), 4);
    assert!(
        polls[1] - polls[0] < Duration::from_secs(5)
            && polls[2] - polls[1] >= Duration::from_secs(6)
    );
    assert_eq!(home.token(), "a");
    assert_eq!(home.run(&["get"]).json()["expires_at"], serde_json::Value::Null, "no end is known");
}

#[test]
fn only_a_decision_ends_a_session_and_a_token_is_sent_once() {
    for (status, body) in [
        (500, r#"{"error":"invalid_grant"}"#),
        (429, r#"{"error":"invalid_grant"}"#),
        (400, r#"{"error":"invalid_request"}"#),
        (401, "<html>please log in to the hotel</html>"),
        (302, ""),
        (200, "{}"),
        (200, "<html>"),
        (200, ""),
    ] {
        let double = Double::start(move |url, path, _| match path {
            DISCOVERY => (200, description(url).to_string()),
            _ => (status, body.to_owned()),
        });
        let home = double.home();
        let then = rfc3339(std::time::SystemTime::now() - Duration::from_secs(3600));
        let session =
            json!({ "access_token": "a", "refresh_token": "r", "expires_at": then, "logged_in_at": then }).to_string();
        home.write(SESSION, &session);
        let outcome = home.run(&["get"]);
        assert_eq!(outcome.status, 3, "{status} {body}: {outcome:?}");
        assert_eq!(double.times("/token").len(), 1, "{status} {body}");
        assert_eq!(home.read(SESSION).as_deref(), Some(&*session), "{status} {body}");
    }
}

#[test]
fn a_service_that_gives_no_new_refresh_token_keeps_the_old_one() {
    let double = Double::start(|url, path, before| match path {
        DISCOVERY => (200, description(url).to_string()),
        _ => (
            200,
            format!(r#"{{"access_token":"a{before}","token_type":"Bearer","expires_in":"1"}}"#),
        ),
    });
    let home = double.home();
    let then = rfc3339(std::time::SystemTime::now() - Duration::from_secs(3600));
    home.write(
        SESSION,
        &json!({ "access_token": "a", "refresh_token": "r", "expires_at": then }).to_string(),
    );
    assert_eq!(home.token(), "a0");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(home.token(), "a1");
    assert!(home.read(SESSION).unwrap().contains(r#""refresh_token":"r""#));
    assert_eq!(double.times(DISCOVERY).len(), 1, "the metadata is stored");
}

#[test]
fn a_missing_client_id_is_reported_with_a_hint() {
    let home = Home::new();
    home.write(".config/my-credential-helper/config.toml", "[providers.hub]\nkind = \"github\"\n");
    let outcome = home.run(&["--provider", "hub", "login", "--device"]);
    assert_eq!(outcome.status, 2, "{outcome:?}");
    assert!(outcome.messages.contains("[providers.hub] has no `client_id`"), "{outcome:?}");
    assert!(
        outcome.messages.contains("https://github.com/settings/applications/new"),
        "{outcome:?}"
    );
}

fn without_interval(url: &str) -> String {
    let mut answer: serde_json::Value = serde_json::from_str(&device(url).1).unwrap();
    assert!(answer.as_object_mut().unwrap().remove("interval").is_some());
    answer.to_string()
}

#[test]
fn the_default_polling_interval_is_five_seconds() {
    let double = Double::start(|url, path, before| match (path, before) {
        (DISCOVERY, _) => (200, description(url).to_string()),
        ("/device", _) => (200, without_interval(url)),
        (_, 0) => (400, r#"{"error":"authorization_pending"}"#.to_owned()),
        _ => (200, r#"{"access_token":"a","token_type":"bearer"}"#.to_owned()),
    });
    let outcome = double.home().run(&["login", "--device"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let polls = double.times("/token");
    assert!(polls.len() == 2 && polls[1] - polls[0] >= Duration::from_secs(5));
}

#[test]
fn a_code_of_another_client_login_or_issuer_is_rejected() {
    let Some(service) = Oidc::start() else { return };
    let good = service.url.clone();
    for (issuer, change, part) in [
        (&*good, ["", ""], "Logged in to acme as ada"),
        (&good, ["client_id=helper", "client_id=other"], "invalid_grant"),
        (&good, ["code_challenge=", "code_challenge=of-another-"], "invalid_grant"),
        (&good, ["%2Fcallback", "%2Felsewhere"], "invalid_grant"),
        ("https://evil.dev", ["", ""], "`iss` parameter mismatch"),
    ] {
        let home = service.home("");
        let mut command = home.command(HELPER);
        command
            .args(["login", "--browser"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut login = command.spawn().unwrap();
        let mut told = BufReader::new(login.stderr.take().unwrap()).lines();
        assert_eq!(told.next().unwrap().unwrap(), "Open this URL in a browser on this machine:");
        let asked = url::Url::parse(&told.next().unwrap().unwrap()).unwrap();
        let parameter = |name: &str| {
            asked.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned()
        };
        let code = service.code(&asked.query().unwrap().replace(change[0], change[1]));
        let (back, state) = (parameter("redirect_uri"), parameter("state"));
        // What the page says is 400 where it failed.
        let _ =
            ureq::get(&back).query("code", code).query("state", state).query("iss", issuer).call();
        let said: Vec<_> = told.map(Result::unwrap).collect();
        let outcome = login.wait_with_output().unwrap();
        let all = format!("{}{}", String::from_utf8_lossy(&outcome.stdout), said.concat());
        assert!(all.contains(part), "{change:?}: {all}");
        assert_eq!(
            home.read(SESSION).is_some(),
            change == ["", ""] && issuer == good,
            "{change:?}: {all}"
        );
    }
}

/// A home that knows the double as another installation of a service that is known by name.
fn known(double: &Double, kind: &str) -> Home {
    let (mut home, url) = (double.home(), &double.url);
    let endpoints = format!(
        "authorization_endpoint = '{url}/page'\ntoken_endpoint = '{url}/token'\n\
         device_authorization_endpoint = '{url}/device'\n"
    );
    let text = format!(
        "provider = 'acme'\n[providers.acme]\nkind = '{kind}'\nclient_id = 'me'\n{endpoints}"
    );
    home.write(".config/my-credential-helper/config.toml", &text);
    home.set("BROWSER", "/bin/true");
    home
}

#[test]
fn a_flow_that_requires_a_secret_is_not_offered_without_one() {
    let double = Double::start(|url, path, _| match path {
        "/device" => device(url),
        _ => (200, r#"{"access_token":"a","token_type":"bearer"}"#.to_owned()),
    });
    let hub = known(&double, "github");
    let asked = hub.run(&["login", "--browser"]);
    assert_eq!(asked.status, 2, "{asked:?}");
    assert!(
        asked.messages.contains("client_secret_variable") && asked.messages.contains("--device"),
        "{asked:?}"
    );
    let outcome = hub.run(&["login"]);
    assert_eq!(outcome.status, 0, "by a code, which needs none: {outcome:?}");
    assert_eq!(double.times("/device").len(), 1);
    let google = known(&double, "google").run(&["login"]);
    assert_eq!(google.status, 2, "its codes are for televisions: {google:?}");
    assert!(google.messages.contains("client_secret_variable"), "{google:?}");
    assert_eq!(double.times("/device").len(), 1);
}

#[test]
fn errors_of_github_end_a_session() {
    let then = rfc3339(std::time::SystemTime::now() - Duration::from_secs(3600));
    let session = json!({ "access_token": "a", "refresh_token": "ghr_old", "expires_at": then, "logged_in_at": then });
    for (code, status, is_kept) in
        [("bad_refresh_token", 1, false), ("incorrect_client_credentials", 4, true)]
    {
        let double = Double::start(move |_, _, _| (200, json!({ "error": code }).to_string()));
        let home = known(&double, "github");
        home.write(SESSION, &session.to_string());
        let outcome = home.run(&["get"]);
        assert_eq!(outcome.status, status, "{outcome:?}");
        assert_eq!(home.read(SESSION).is_some(), is_kept, "{outcome:?}");
    }
}

#[test]
fn a_device_code_flow_ends_with_any_interval_and_lifetime() {
    let most = u64::MAX;
    let answers = [
        (json!({ "expires_in": 2, "interval": most }), "authorization_pending"),
        (json!({ "expires_in": "2", "interval": "1" }), "slow_down"),
        (json!({ "expires_in": 2.5, "interval": 1e300 }), "slow_down"),
        (json!({ "expires_in": -1, "interval": -1 }), "authorization_pending"),
        (json!({ "expires_in": 2, "interval": 0 }), "temporarily_unavailable_for_ever"),
    ];
    std::thread::scope(|scope| {
        for (numbers, code) in answers {
            scope.spawn(move || {
                let (status, sent) = if code.ends_with("ever") {
                    (503, numbers.clone())
                } else {
                    (400, numbers.clone())
                };
                let double = Double::start(move |url, path, _| match path {
                    DISCOVERY => (200, description(url).to_string()),
                    "/device" => {
                        let mut body: serde_json::Value =
                            serde_json::from_str(&device(url).1).unwrap();
                        for (name, number) in numbers.as_object().unwrap() {
                            body[name] = number.clone();
                        }
                        (200, body.to_string())
                    }
                    _ => (status, json!({ "error": code }).to_string()),
                });
                let begun = Instant::now();
                let outcome = double.home().run(&["login", "--device"]);
                assert!(
                    outcome.messages.contains("error: the code has expired"),
                    "{sent}: {outcome:?}"
                );
                assert_eq!(outcome.status, 1, "{sent}: {outcome:?}");
                assert!(begun.elapsed() < Duration::from_secs(6), "{sent}: {:?}", begun.elapsed());
            });
        }
    });
}

#[test]
fn an_unregistered_error_code_is_not_shown() {
    for (body, shown) in [
        (
            json!({ "error": "invalid_grant", "error_description": "D" }),
            "invalid_grant (status 400)",
        ),
        (
            json!({ "error": "d", "error_description": "D" }),
            "an unregistered error code (status 400)",
        ),
        (json!({ "error": "see https://evil.dev" }), "an unregistered error code (status 400)"),
    ] {
        let text = body.to_string();
        let double = Double::start(move |url, path, _| match path {
            DISCOVERY => (200, description(url).to_string()),
            "/device" => device(url),
            _ => (400, text.clone()),
        });
        let outcome = double.home().run(&["login", "--device"]);
        assert_eq!(outcome.status, 4, "{outcome:?}");
        assert!(outcome.messages.ends_with(&format!(": {shown}\n")), "{outcome:?}");
    }
}
