//! The operations that are killed, and their invariants: one entry each in [`ALL`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use account_server::Server;
use serde_json::json;

use crate::support::http::is_accepted;
use crate::support::{Home, Outcome, mail_to, session_json};

/// A call of the helper in its own home.
pub(super) struct Case<'a> {
    pub(super) server: &'a Server,
    pub(super) home: Home,
    pub(super) arguments: Vec<String>,
    pub(super) input: String,
    /// Used by no other run.
    email: String,
    /// What was brought.
    token: String,
}

/// A verb under test.
pub(super) struct Verb {
    pub(super) name: &'static str,
    /// Lays out a home and says how the helper is called.
    pub(super) lay: fn(&Server) -> Case<'_>,
    /// What has to be so after an exit status of 0.
    pub(super) done: fn(&Case<'_>, &Outcome),
    /// What has to be so after anything at all.
    pub(super) holds: fn(&Case<'_>),
}

pub(super) const ALL: &[Verb] = &[
    Verb { name: "refresh", lay: stale, done: prints_a_good_token, holds: is_logged_in },
    Verb {
        name: "mark of a rejected token",
        lay: stale_and_rejected,
        done: |_, _| {},
        holds: is_logged_in,
    },
    Verb { name: "login, first step", lay: first_step, done: |_, _| {}, holds: can_log_in },
    Verb {
        name: "login, second step",
        lay: second_step,
        done: |case, _| is_logged_in(case),
        holds: can_log_in,
    },
    Verb {
        name: "login with a token",
        lay: token,
        done: |case, _| has_token(case),
        holds: can_return_token,
    },
    Verb {
        name: "login with a token instead of a session",
        lay: token_for_session,
        done: |case, _| has_token(case),
        holds: has_either_credential,
    },
    Verb {
        name: "login elsewhere",
        lay: elsewhere,
        done: |case, _| is_logged_in(case),
        holds: can_log_in,
    },
    Verb { name: "store", lay: store, done: |case, _| has_stored(case, &[NEW]), holds: can_store },
    Verb {
        name: "store again",
        lay: store_again,
        done: |case, _| has_stored(case, &[NEW]),
        holds: has_either_secret,
    },
    Verb { name: "erase", lay: erase, done: |case, _| has_stored(case, &[""]), holds: can_erase },
    Verb {
        name: "erase of a session",
        lay: erase_session,
        done: |case, _| is_logged_out(case),
        holds: can_log_out,
    },
    Verb { name: "logout", lay: logout, done: |case, _| is_logged_out(case), holds: can_log_out },
];

pub(super) fn of(name: &str) -> &'static Verb {
    ALL.iter().find(|verb| verb.name == name).expect("a verb of the table")
}

const URL: &str = "https://git.example.com";
const OLD: &str = "old-secret";
const NEW: &str = "new-secret";

fn case<'a>(
    server: &'a Server,
    home: Home,
    arguments: &[&str],
    input: impl Into<String>,
) -> Case<'a> {
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    Case { server, home, arguments, input: input.into(), email: email(), token: String::new() }
}

/// A unique address: a login revokes the former session of its device.
fn email() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("user-{}@acme.dev", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn stale(server: &Server) -> Case<'_> {
    let (home, _) = Home::with_stale_session(server);
    case(server, home, &["get", "--format", "raw"], "")
}

fn stale_and_rejected(server: &Server) -> Case<'_> {
    let (home, session) = Home::logged_in(server);
    home.write_session(&session, Duration::from_secs(800), Duration::from_secs(100));
    let body = json!({ "url": format!("{}/x", server.url()), "secret": session.access_token });
    case(server, home, &["erase"], body.to_string())
}

fn first_step(server: &Server) -> Case<'_> {
    let email = email();
    let case = case(server, Home::at(server), &["login", "--email", &email, "--no-wait"], "");
    Case { email, ..case }
}

fn second_step(server: &Server) -> Case<'_> {
    let case = first_step(server);
    assert_eq!(run(&case).status, 0);
    let code = mail_to(server, &case.email).code;
    Case { arguments: ["login", "--code", &code].map(str::to_owned).into(), ..case }
}

fn token(server: &Server) -> Case<'_> {
    let email = email();
    let token = server.api_token(&email, "test").expect("a token").token;
    Case { email, token: token.clone(), ..case(server, Home::at(server), &["login"], token + "\n") }
}

fn token_for_session(server: &Server) -> Case<'_> {
    let case = token(server);
    let session = server.session(&case.email).expect("a session");
    case.home.write_session(&session, Duration::from_secs(900), Duration::ZERO);
    Case { arguments: ["login", "--force"].map(str::to_owned).into(), ..case }
}

/// Logged in at a service that is gone.
fn elsewhere(server: &Server) -> Case<'_> {
    let case = first_step(server);
    let session = server.session("me@acme.dev").expect("a session");
    case.home.write(".my/config.json", r#"{"api_url":"http://127.0.0.1:9","kept":true}"#);
    case.home.write(
        ".my/credentials.json",
        &session_json(&session, Duration::from_secs(900), Duration::ZERO),
    );
    let at = ["--api-url", server.url()].map(str::to_owned);
    let arguments =
        [case.arguments.clone(), ["--force"].map(str::to_owned).into(), at.into()].concat();
    let case = Case { arguments, ..case };
    assert_eq!(run(&case).status, 0);
    let code = mail_to(server, &case.email).code;
    Case { arguments: ["login", "--code", &code].map(str::to_owned).into(), ..case }
}

fn secret(value: &str) -> String {
    json!({ "url": URL, "username": "ada", "secret": value }).to_string()
}

fn store(server: &Server) -> Case<'_> {
    case(server, Home::at(server), &["store"], secret(NEW))
}

fn store_again(server: &Server) -> Case<'_> {
    let case = store(server);
    assert_eq!(case.home.run_with(&["store"], secret(OLD)).status, 0);
    case
}

fn erase(server: &Server) -> Case<'_> {
    let home = store_again(server).home;
    case(server, home, &["erase"], json!({ "url": URL }).to_string())
}

fn erase_session(server: &Server) -> Case<'_> {
    let (home, _) = Home::logged_in(server);
    case(server, home, &["erase"], r#"{"provider":"mycli"}"#)
}

fn logout(server: &Server) -> Case<'_> {
    let (home, _) = Home::logged_in(server);
    case(server, home, &["logout"], "")
}

/// The call once more, undisturbed.
fn run(case: &Case<'_>) -> Outcome {
    let arguments: Vec<&str> = case.arguments.iter().map(String::as_str).collect();
    case.home.run_with(&arguments, &case.input)
}

fn prints_a_good_token(case: &Case<'_>, outcome: &Outcome) {
    assert!(is_accepted(case.server.url(), outcome.output.trim_end()), "{outcome:?}");
}

/// A token is returned without a new login, and the stored session can be refreshed again.
fn is_logged_in(case: &Case<'_>) {
    let token = case.home.token();
    assert!(is_accepted(case.server.url(), &token), "the token that is served is good");
    let mut kept = case.home.session().expect("the file is whole");
    assert_eq!(kept["access_token"], token.as_str(), "and it is the one that is kept");
    kept["expires_at"] = "2020-01-01T00:00:00Z".into();
    case.home.write(".my/credentials.json", &kept.to_string());
    let next = case.home.token();
    assert!(next != token && is_accepted(case.server.url(), &next), "it can be refreshed");
}

/// A new login succeeds with any leftover state.
fn can_log_in(case: &Case<'_>) {
    let status = case.home.run(&["status"]);
    assert_eq!((status.status, &*status.messages), (0, ""), "{status:?}");
    let email = email();
    let outcome =
        case.home.log_in(case.server, &email, &["--force", "--api-url", case.server.url()]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    is_logged_in(case);
    assert_eq!(case.home.read(".my/pending-login.json"), None, "nothing is left of the way there");
}

fn has_token(case: &Case<'_>) {
    assert_eq!(case.home.token(), case.token);
}

fn can_return_token(case: &Case<'_>) {
    let before = case.home.run(&["get", "--format", "raw"]);
    assert!(
        before.output.trim_end() == case.token || before.messages.contains("not logged in"),
        "{before:?}"
    );
    returns_token(case);
}

fn returns_token(case: &Case<'_>) {
    let outcome = run(case);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    has_token(case);
}

/// One replaces the other: at no moment is there neither.
fn has_either_credential(case: &Case<'_>) {
    assert!(is_accepted(case.server.url(), &case.home.token()));
    returns_token(case);
}

/// The credential of the URL is one of these; none if the list is empty.
fn has_stored(case: &Case<'_>, secrets: &[&str]) {
    let outcome = case.home.run(&["get", "--url", URL, "--format", "raw"]);
    assert!(secrets.contains(&outcome.output.trim_end()), "{outcome:?}");
    assert!(outcome.status == 0 || outcome.messages.contains("no credential for"), "{outcome:?}");
}

fn can_store(case: &Case<'_>) {
    has_stored(case, &["", NEW]);
    stores(case);
}

fn has_either_secret(case: &Case<'_>) {
    has_stored(case, &[OLD, NEW]);
    stores(case);
}

fn stores(case: &Case<'_>) {
    let outcome = run(case);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    has_stored(case, &[NEW]);
}

fn can_erase(case: &Case<'_>) {
    has_stored(case, &["", OLD]);
    assert_eq!(run(case).status, 0);
    has_stored(case, &[""]);
}

fn is_logged_out(case: &Case<'_>) {
    let outcome = case.home.run(&["get"]);
    assert_eq!((outcome.status, &outcome.json()["error"]["code"]), (1, &json!("not_logged_in")));
}

fn can_log_out(case: &Case<'_>) {
    let outcome = run(case);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    is_logged_out(case);
    can_log_in(case);
}

impl Case<'_> {
    /// The invariants after every killed process: no partly written file, and no lock.
    pub(super) fn is_whole(&self) {
        for (path, contents) in self.home.snapshot() {
            if path.extension().is_some_and(|extension| extension == "json") {
                let contents = contents.expect("a file");
                let parsed =
                    serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(&contents);
                assert!(
                    parsed.is_ok(),
                    "{} is half: {}",
                    path.display(),
                    String::from_utf8_lossy(&contents)
                );
            }
        }
        if let Ok(lock) = std::fs::File::open(self.home.path().join(".my/refresh.lock")) {
            lock.try_lock().expect("no lock is stuck");
        }
    }

    /// Temporary files of this program.
    pub(super) fn temporaries(&self) -> Vec<std::path::PathBuf> {
        let is_temporary = |path: &std::path::PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".tmp"))
        };
        self.home.snapshot().into_keys().filter(is_temporary).collect()
    }
}
