//! The operations that are killed, and their invariants: one entry each in [`ALL`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use account_server::Server;
use serde_json::json;

use crate::support::http::is_accepted;
use crate::support::protected::{Protected, Protection};
use crate::support::secret_service::SecretService;
use crate::support::{Home, Outcome, mail_to, service, session_json};

/// The item of the session in a keyring.
pub(super) const ITEM: [(&str, &str); 2] = [("service", "mycli"), ("username", "mycli-tokens")];

/// The programs that the calls of a test share.
pub(super) struct Fixture {
    pub(super) server: Server,
    keyring: Option<SecretService>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self { server: service(), keyring: None }
    }

    /// `None` if no keyring is installed.
    pub(super) fn with_keyring() -> Option<Self> {
        Some(Self { keyring: Some(SecretService::start()?), ..Self::new() })
    }

    fn keyring(&self) -> &SecretService {
        self.keyring.as_ref().expect("a fixture with a keyring")
    }
}

/// A call of the helper in its own home.
pub(super) struct Case<'a> {
    pub(super) fixture: &'a Fixture,
    pub(super) home: Home,
    /// The exit status of the undisturbed call.
    pub(super) status: i32,
    /// The session file, if it is mounted by itself.
    mount: RefCell<Option<Protected>>,
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
    pub(super) lay: fn(&Fixture) -> Case<'_>,
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
    Verb {
        name: "refresh of a mounted file",
        lay: |fixture| Case { status: 3, ..mounted(stale(fixture)) },
        done: |case, _| panic!("{} cannot be replaced", case.home.path().display()),
        holds: nothing_is_spent,
    },
    Verb {
        name: "mark of a rejected token in a mounted file",
        lay: |fixture| Case { status: 1, ..mounted(stale_and_rejected(fixture)) },
        done: |_, _| {},
        holds: nothing_is_spent,
    },
    Verb {
        name: "login over a mounted file",
        lay: |fixture| Case { status: 1, ..mounted(token_for_session(fixture)) },
        done: |case, _| panic!("{} cannot be replaced", case.home.path().display()),
        holds: nothing_is_spent,
    },
    Verb {
        name: "logout of a mounted file",
        lay: |fixture| mounted(logout(fixture)),
        done: |case, _| is_logged_out(case),
        holds: can_log_out,
    },
    Verb {
        name: "erase of a session in a mounted file",
        lay: |fixture| mounted(erase_session(fixture)),
        done: |case, _| is_logged_out(case),
        holds: can_log_out,
    },
    Verb {
        name: "refresh in a keyring",
        lay: |fixture| in_keyring(stale(fixture)),
        done: prints_a_good_token,
        holds: is_logged_in,
    },
    Verb {
        name: "mark of a rejected token in a keyring",
        lay: |fixture| in_keyring(stale_and_rejected(fixture)),
        done: |_, _| {},
        holds: is_logged_in,
    },
    Verb {
        name: "login with a keyring",
        lay: |fixture| in_keyring(second_step(fixture)),
        done: |case, _| is_logged_in(case),
        holds: can_log_in,
    },
    Verb {
        name: "logout with a keyring",
        lay: |fixture| in_keyring(logout(fixture)),
        done: |case, _| is_logged_out(case),
        holds: can_log_out,
    },
    Verb {
        name: "store in a keyring",
        lay: |fixture| in_keyring(store_again(fixture)),
        done: |case, _| has_stored(case, &[NEW]),
        holds: has_either_secret,
    },
    Verb {
        name: "erase in a keyring",
        lay: |fixture| in_keyring(erase(fixture)),
        done: |case, _| has_stored(case, &[""]),
        holds: can_erase,
    },
];

/// The session file becomes a mount point.
pub(super) fn mount(case: &Case<'_>) {
    let mount = Protected::new(&case.home.path().join(FILE), Protection::Mounted);
    *case.mount.borrow_mut() = mount;
}

/// The keyring is away.
pub(super) fn hide_keyring(case: &Case<'_>) {
    case.fixture.keyring().hide();
}

/// The same call where the session file is mounted by itself, as containers mount single files.
fn mounted(case: Case<'_>) -> Case<'_> {
    mount(&case);
    case
}

/// The same call where the keyring has what the files had.
fn in_keyring(mut case: Case<'_>) -> Case<'_> {
    let keyring = case.fixture.keyring();
    keyring.clear();
    case.home.use_keyring(keyring);
    if let Some(session) = case.home.read(FILE) {
        keyring.store(&ITEM, session.as_bytes());
        std::fs::remove_file(case.home.path().join(FILE)).unwrap();
    }
    case
}

pub(super) fn of(name: &str) -> &'static Verb {
    ALL.iter().find(|verb| verb.name == name).expect("a verb of the table")
}

const FILE: &str = ".my/credentials.json";
const URL: &str = "https://git.example.com";
const OLD: &str = "old-secret";
const NEW: &str = "new-secret";

fn case<'a>(
    fixture: &'a Fixture,
    home: Home,
    arguments: &[&str],
    input: impl Into<String>,
) -> Case<'a> {
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    Case {
        fixture,
        home,
        status: 0,
        mount: RefCell::new(None),
        arguments,
        input: input.into(),
        email: email(),
        token: String::new(),
    }
}

/// A unique address: a login revokes the former session of its device.
fn email() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("user-{}@acme.dev", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn stale(fixture: &Fixture) -> Case<'_> {
    let (home, _) = Home::with_stale_session(&fixture.server);
    case(fixture, home, &["get", "--format", "raw"], "")
}

fn stale_and_rejected(fixture: &Fixture) -> Case<'_> {
    let (home, session) = Home::logged_in(&fixture.server);
    home.write_session(&session, Duration::from_secs(800), Duration::from_secs(100));
    let body =
        json!({ "url": format!("{}/x", fixture.server.url()), "secret": session.access_token });
    case(fixture, home, &["erase"], body.to_string())
}

fn first_step(fixture: &Fixture) -> Case<'_> {
    let email = email();
    let case =
        case(fixture, Home::at(&fixture.server), &["login", "--email", &email, "--no-wait"], "");
    Case { email, ..case }
}

fn second_step(fixture: &Fixture) -> Case<'_> {
    let case = first_step(fixture);
    assert_eq!(run(&case).status, 0);
    let code = mail_to(&fixture.server, &case.email).code;
    Case { arguments: ["login", "--code", &code].map(str::to_owned).into(), ..case }
}

fn token(fixture: &Fixture) -> Case<'_> {
    let email = email();
    let token = fixture.server.api_token(&email, "test").expect("a token").token;
    Case {
        email,
        token: token.clone(),
        ..case(fixture, Home::at(&fixture.server), &["login"], token + "\n")
    }
}

fn token_for_session(fixture: &Fixture) -> Case<'_> {
    let case = token(fixture);
    let session = fixture.server.session(&case.email).expect("a session");
    case.home.write_session(&session, Duration::from_secs(900), Duration::ZERO);
    Case { arguments: ["login", "--force"].map(str::to_owned).into(), ..case }
}

/// Logged in at a service that is gone.
fn elsewhere(fixture: &Fixture) -> Case<'_> {
    let case = first_step(fixture);
    let session = fixture.server.session("me@acme.dev").expect("a session");
    case.home.write(".my/config.json", r#"{"api_url":"http://127.0.0.1:9","kept":true}"#);
    case.home.write(
        ".my/credentials.json",
        &session_json(&session, Duration::from_secs(900), Duration::ZERO),
    );
    let at = ["--api-url", fixture.server.url()].map(str::to_owned);
    let arguments =
        [case.arguments.clone(), ["--force"].map(str::to_owned).into(), at.into()].concat();
    let case = Case { arguments, ..case };
    assert_eq!(run(&case).status, 0);
    let code = mail_to(&fixture.server, &case.email).code;
    Case { arguments: ["login", "--code", &code].map(str::to_owned).into(), ..case }
}

fn secret(value: &str) -> String {
    json!({ "url": URL, "username": "ada", "secret": value }).to_string()
}

fn store(fixture: &Fixture) -> Case<'_> {
    case(fixture, Home::at(&fixture.server), &["store"], secret(NEW))
}

fn store_again(fixture: &Fixture) -> Case<'_> {
    let case = store(fixture);
    assert_eq!(case.home.run_with(&["store"], secret(OLD)).status, 0);
    case
}

fn erase(fixture: &Fixture) -> Case<'_> {
    let home = store_again(fixture).home;
    case(fixture, home, &["erase"], json!({ "url": URL }).to_string())
}

fn erase_session(fixture: &Fixture) -> Case<'_> {
    let (home, _) = Home::logged_in(&fixture.server);
    case(fixture, home, &["erase"], r#"{"provider":"mycli"}"#)
}

fn logout(fixture: &Fixture) -> Case<'_> {
    let (home, _) = Home::logged_in(&fixture.server);
    case(fixture, home, &["logout"], "")
}

/// The call once more, undisturbed.
fn run(case: &Case<'_>) -> Outcome {
    let arguments: Vec<&str> = case.arguments.iter().map(String::as_str).collect();
    case.home.run_with(&arguments, &case.input)
}

fn prints_a_good_token(case: &Case<'_>, outcome: &Outcome) {
    assert!(is_accepted(case.fixture.server.url(), outcome.output.trim_end()), "{outcome:?}");
}

/// The token, as soon as a keyring that is busy answers: each call waits for it for three seconds.
fn token_of(case: &Case<'_>) -> String {
    let mut tokens = (0..5).map(|_| case.home.run(&["get", "--format", "raw"]));
    let is_busy = |outcome: &Outcome| outcome.messages.contains("did not answer in time");
    let outcome = tokens.find(|outcome| !is_busy(outcome)).expect("a keyring that answers");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    outcome.output.trim_end().to_owned()
}

/// A token is returned without a new login, and the stored session can be refreshed again.
fn is_logged_in(case: &Case<'_>) {
    let token = token_of(case);
    assert!(is_accepted(case.fixture.server.url(), &token), "the token that is served is good");
    let is_current = |text: &String| text.contains(&token);
    let expired = |text: String| {
        let mut session: serde_json::Value = serde_json::from_str(&text).expect("it is whole");
        session["expires_at"] = "2020-01-01T00:00:00Z".into();
        session.to_string()
    };
    let keyring = case.fixture.keyring.as_ref();
    if let Some(session) = case.home.read(FILE).filter(is_current) {
        case.home.write(FILE, &expired(session));
    } else {
        let keyring = keyring.expect("the token that is served is the one that is stored");
        let session = keyring.value_of(&ITEM).filter(is_current).expect("it is stored");
        keyring.replace(&ITEM, expired(session).as_bytes());
    }
    let next = token_of(case);
    assert!(next != token && is_accepted(case.fixture.server.url(), &next), "it can be refreshed");
}

/// A new login succeeds with any leftover state.
fn can_log_in(case: &Case<'_>) {
    let status = case.home.run(&["status"]);
    assert_eq!((status.status, &*status.messages), (0, ""), "{status:?}");
    let email = email();
    let outcome = case.home.log_in(
        &case.fixture.server,
        &email,
        &["--force", "--api-url", case.fixture.server.url()],
    );
    assert_eq!(outcome.status, 0, "{outcome:?}");
    is_logged_in(case);
    assert_eq!(case.home.read(".my/pending-login.json"), None, "nothing is left of the way there");
}

/// The session is as it was, and can be refreshed once the file can be replaced.
fn nothing_is_spent(case: &Case<'_>) {
    let session = case.home.session().expect("the file is whole");
    drop(case.mount.take());
    assert_eq!(case.home.session().as_ref(), Some(&session));
    is_logged_in(case);
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
    assert!(is_accepted(case.fixture.server.url(), &case.home.token()));
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
    drop(case.mount.take());
    can_log_in(case);
}

impl Case<'_> {
    /// The invariants after every killed process: no partly written file, and no lock.
    pub(super) fn is_whole(&self) {
        for (path, contents) in self.home.snapshot() {
            if path.extension().is_some_and(|extension| extension == "json") {
                let contents = contents.expect("a file");
                // A mounted file counts as removed when it is empty.
                if contents.is_empty() && self.mount.borrow().is_some() {
                    continue;
                }
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

    /// As before [`mount`] and [`hide_keyring`].
    pub(super) fn end_fault(&self) {
        drop(self.mount.take());
        self.fixture.keyring.iter().for_each(SecretService::show);
    }

    /// Temporary files of this program.
    pub(super) fn temporaries(&self) -> Vec<std::path::PathBuf> {
        let is_temporary = |path: &std::path::PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".tmp"))
        };
        self.home.snapshot().into_keys().filter(is_temporary).collect()
    }
}
